use std::sync::atomic::{AtomicUsize, Ordering};

use portcullis_model::{Grade, PortState};
use tokio::{net::TcpListener, time::Instant};

use super::*;
use crate::checkpoint::Entry;

const LOOPBACK: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

/// Every address of 127.0.0.0/8 is this machine.
fn host(last: u8) -> IpAddr {
    [127, 9, 0, last].into()
}

fn request(addresses: Vec<IpAddr>, ports: Vec<Port>) -> ScanRequest {
    ScanRequest {
        run: RunId::of(&[b"test"]),
        vantage: Vantage::this_host(),
        addresses,
        ports,
        moved: Vec::new(),
        wishes: Wishes::default(),
        second_look: false,
        pace: Pace {
            total_per_second: 5000,
            per_host_per_second: 200,
            ..Pace::default()
        },
        scopes: Vec::new(),
        brake: Arc::default(),
        earlier: Vec::new(),
        connect_timeout: crate::DEFAULT_CONNECT_TIMEOUT,
    }
}

/// Nobody watches.
struct Unwatched;

impl Watcher for Unwatched {
    fn seen(&mut self, _: &Observation) {}
    fn progress(&mut self, _: &Progress) {}
}

/// Keeps what is told, and stops the scan after so many ports.
struct Stopping {
    after: u64,
    switch: watch::Sender<bool>,
    last: Option<Progress>,
    seen: Vec<Observation>,
    kept: Vec<Entry>,
}

impl Stopping {
    fn after(after: u64) -> (Self, watch::Receiver<bool>) {
        let (switch, stop) = watch::channel(false);
        (
            Self {
                after,
                switch,
                last: None,
                seen: Vec::new(),
                kept: Vec::new(),
            },
            stop,
        )
    }
}

impl Watcher for Stopping {
    fn seen(&mut self, observation: &Observation) {
        self.seen.push(observation.clone());
    }
    fn keep(&mut self, entry: &Entry) {
        self.kept.push(entry.clone());
    }
    fn progress(&mut self, progress: &Progress) {
        if progress.probes_done >= self.after {
            self.switch.send_replace(true);
        }
        self.last = Some(*progress);
    }
}

async fn run(request: ScanRequest, permit: Permit<'_>) -> ScanOutcome {
    let (_running, stop) = watch::channel(false);
    let knowledge = Knowledge::builtin().unwrap();
    scan(request, &knowledge, permit, &mut Unwatched, stop).await
}

fn everything(_: IpAddr, _: Port) -> Result<(), String> {
    Ok(())
}

/// Numbers that this process holds without listening, so that each refuses.
fn refusing(count: usize) -> (Vec<tokio::net::TcpSocket>, Vec<Port>) {
    let sockets: Vec<_> = (0..count)
        .map(|_| {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.bind(([0, 0, 0, 0], 0).into()).unwrap();
            socket
        })
        .collect();
    let ports = sockets
        .iter()
        .map(|socket| Port::tcp(socket.local_addr().unwrap().port()))
        .collect();
    (sockets, ports)
}

fn covered(outcome: &ScanOutcome) -> usize {
    let not_tested: usize = outcome
        .not_tested
        .iter()
        .map(|range| {
            let (IpAddr::V4(first), IpAddr::V4(last)) = (range.first, range.last) else {
                panic!("only IPv4 is scanned here")
            };
            (u32::from(last) - u32::from(first) + 1) as usize * range.ports.len()
        })
        .sum();
    outcome.observations.len() + not_tested
}

#[tokio::test]
async fn every_port_of_every_host_is_in_the_outcome_once() {
    let (_held, mut ports) = refusing(5);
    let server = TcpListener::bind((LOOPBACK, 0)).await.unwrap();
    let open = Port::tcp(server.local_addr().unwrap().port());
    ports.extend([open, Port::udp(9)]);
    let mut addresses: Vec<IpAddr> = (1..=20).map(host).collect();
    addresses.push(LOOPBACK);
    let outcome = run(request(addresses, ports), &everything).await;

    assert_eq!(covered(&outcome), 21 * 7);
    assert!(!outcome.interrupted);
    let found: Vec<_> = outcome
        .observations
        .iter()
        .filter(|seen| seen.state == PortState::Open)
        .collect();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].address, found[0].port), (LOOPBACK, open));
    assert_eq!(found[0].source, Some(LOOPBACK));
    let vantage = Vantage::this_host();
    let id = portcullis_model::Observation::id_of(found[0].run, &vantage, LOOPBACK, open);
    assert_eq!(found[0].id, id);
    // A UDP port without a known request is told as not tested, in as few ranges as the addresses make.
    assert_eq!(outcome.not_tested.len(), 2);
    assert!(outcome.not_tested[0].reason.contains("CVE-2019-5636"));
    assert_eq!(outcome.counters.most_connections_per_host, 1);
    assert_eq!(outcome.counters.answers, 21 * 6);
    let sorted = outcome
        .observations
        .is_sorted_by_key(|seen| (seen.address, seen.port));
    assert!(sorted);
}

#[tokio::test]
async fn what_the_permission_denies_gets_no_packet_and_is_told() {
    let server = TcpListener::bind((LOOPBACK, 0)).await.unwrap();
    let port = Port::tcp(server.local_addr().unwrap().port());
    let nothing = |_: IpAddr, _: Port| Err("not in the permission of Kari".to_owned());
    let outcome = run(request(vec![LOOPBACK], vec![port]), &nothing).await;
    assert!(outcome.observations.is_empty());
    assert_eq!(outcome.not_tested[0].reason, "not in the permission of Kari");
    assert_eq!(outcome.counters.packets_sent, 0);
}

#[tokio::test]
async fn a_permission_that_ends_stops_the_packets() {
    let (_held, ports) = refusing(30);
    let asked = AtomicUsize::new(0);
    let permit = |_: IpAddr, _: Port| {
        if asked.fetch_add(1, Ordering::SeqCst) < 20 {
            Ok(())
        } else {
            Err("expired".to_owned())
        }
    };
    let outcome = run(request(vec![LOOPBACK], ports), &permit).await;
    assert_eq!(covered(&outcome), 30);
    assert_eq!(outcome.observations.len(), 20);
    assert_eq!(outcome.counters.packets_sent, 20);
}

#[tokio::test]
async fn a_scan_that_is_told_to_stop_says_what_it_did_not_test() {
    let (_held, ports) = refusing(40);
    let addresses = (1..=200).map(host).collect();
    let (mut watch, stop) = Stopping::after(10);
    let knowledge = Knowledge::builtin().unwrap();
    let slow = ScanRequest {
        pace: Pace {
            total_per_second: 100,
            ..Pace::default()
        },
        ..request(addresses, ports)
    };
    let outcome = scan(slow, &knowledge, &everything, &mut watch, stop).await;
    assert!(outcome.interrupted);
    assert_eq!(covered(&outcome), 8000);
    assert!((10..1000).contains(&outcome.observations.len()));
    assert!(
        outcome
            .not_tested
            .iter()
            .all(|range| range.reason == "interrupted")
    );
    let last = watch.last.unwrap();
    // What was seen was told as it was seen.
    let mut seen = watch.seen;
    seen.sort_by_key(|one| (one.address, one.port));
    assert_eq!(seen, outcome.observations);
    assert_eq!(last.probes_total, 8000);
    assert!(last.probes_done < 8000 && last.answers as usize == outcome.observations.len());
}

#[tokio::test]
async fn a_host_never_gets_more_than_its_pace() {
    let (_held, ports) = refusing(12);
    let begun = Instant::now();
    let gentle = ScanRequest {
        pace: Pace {
            per_host_per_second: 20,
            ..Pace::default()
        },
        ..request(vec![LOOPBACK], ports)
    };
    let outcome = run(gentle, &everything).await;
    assert_eq!(outcome.counters.packets_sent, 12);
    assert!(begun.elapsed() >= Duration::from_millis(11 * 50));
}

#[tokio::test]
async fn an_open_port_gets_one_connection() {
    let server = TcpListener::bind((LOOPBACK, 0)).await.unwrap();
    let port = Port::tcp(server.local_addr().unwrap().port());
    let counting = tokio::spawn(async move {
        let (_stream, _) = server.accept().await.unwrap();
        server
    });
    let outcome = run(request(vec![LOOPBACK], vec![port]), &everything).await;
    // SYN and its acknowledgement, FIN and its acknowledgement; the server is silent and closes when we do.
    assert!(
        (3..=4).contains(&outcome.counters.packets_sent),
        "{:?}",
        outcome.counters
    );
    assert_eq!(outcome.coverage.devices[0].connections, 1);
    let server = counting.await.unwrap();
    let second =
        std::future::poll_fn(|context| std::task::Poll::Ready(server.poll_accept(context).is_ready()));
    assert!(!second.await, "there was a second connection");
}

#[tokio::test]
async fn nothing_to_do_ends_at_once() {
    let outcome = run(request(Vec::new(), vec![Port::tcp(1)]), &everything).await;
    assert_eq!(covered(&outcome), 0);
    let outcome = run(request(vec![LOOPBACK], Vec::new()), &everything).await;
    assert_eq!(covered(&outcome), 0);
}

#[test]
fn it_runs_on_a_runtime_of_one_thread_of_its_own() {
    let outcome = std::thread::spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let (_held, ports) = runtime.block_on(async { refusing(3) });
        runtime.block_on(run(request(vec![LOOPBACK], ports), &everything))
    });
    assert_eq!(outcome.join().unwrap().observations.len(), 3);
}

/// What was seen before is taken over: nothing is asked twice, and the end is that of an undisturbed run.
#[tokio::test]
async fn a_scan_that_goes_on_asks_only_what_is_left_and_ends_as_if_undisturbed() {
    let (_held, ports) = refusing(12);
    let addresses: Vec<IpAddr> = (1..=10).map(host).collect();
    let whole = run(request(addresses.clone(), ports.clone()), &everything).await;
    let (mut watch, stop) = Stopping::after(30);
    let knowledge = Knowledge::builtin().unwrap();
    let slow = ScanRequest {
        pace: Pace {
            total_per_second: 200,
            ..Pace::default()
        },
        ..request(addresses.clone(), ports.clone())
    };
    let first = scan(slow, &knowledge, &everything, &mut watch, stop).await;
    assert!(first.interrupted && !watch.seen.is_empty() && watch.seen.len() < 120);
    let rest = ScanRequest {
        earlier: watch.kept.clone(),
        ..request(addresses, ports)
    };
    let resumed = run(rest, &everything).await;
    assert_eq!(resumed.counters.packets_sent, 120, "those of both parts");
    let states = |outcome: &ScanOutcome| -> Vec<_> {
        outcome
            .observations
            .iter()
            .map(|seen| (seen.id, seen.address, seen.port, seen.state))
            .collect()
    };
    assert_eq!(states(&resumed), states(&whole));
    assert!(resumed.not_tested.is_empty());
}

/// A stand-in that answers the first two messages of each connection, and counts both.
fn in_two_turns(replies: [&'static [u8]; 2]) -> (Port, Arc<AtomicUsize>, Arc<AtomicUsize>) {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind((LOOPBACK, 0)).unwrap();
    let port = Port::tcp(listener.local_addr().unwrap().port());
    let (connections, messages) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let counted = (Arc::clone(&connections), Arc::clone(&messages));
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            connections.fetch_add(1, Ordering::Relaxed);
            for reply in replies {
                if !matches!(stream.read(&mut [0; 512]), Ok(length) if length > 0) {
                    break;
                }
                messages.fetch_add(1, Ordering::Relaxed);
                let _ = stream.write_all(reply);
            }
            let _ = stream.read(&mut [0; 512]);
        }
    });
    (port, counted.0, counted.1)
}

/// What python-snap7 3.3.0 says to the connection request and to the setup.
const S7: [&[u8]; 2] = [
    b"\x03\x00\x00\x16\x11\xd0\x00\x14\x00\x01\x00\xc0\x01\x0a\xc1\x02\x01\x00\xc2\x02\x01\x02",
    b"\x03\x00\x00\x1b\x02\xf0\x80\x32\x03\x00\x00\x00\x00\x00\x08\x00\x00\x00\x00\xf0\x00\x00\x01\x00\x01\x01\xe0",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_second_look_asks_once_more_over_the_same_connection() {
    for (second_look, grade, requests) in [(false, Grade::Possible, 1), (true, Grade::Proven, 2)] {
        let (port, connections, messages) = in_two_turns(S7);
        let s7 = ServiceName::new("s7comm").unwrap();
        let named = ScanRequest {
            moved: vec![(s7.clone(), port)],
            second_look,
            ..request(vec![LOOPBACK], vec![port])
        };
        let outcome = run(named, &everything).await;
        let best = outcome.observations[0].best().unwrap();
        assert_eq!((&best.service, best.grade), (&s7, grade), "{:?}", best.reasons);
        assert_eq!(connections.load(Ordering::Relaxed), 1);
        assert_eq!(messages.load(Ordering::Relaxed), requests);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn snmp_is_asked_with_the_community_that_was_given_which_is_kept_nowhere() {
    let agent = std::net::UdpSocket::bind((LOOPBACK, 0)).unwrap();
    let port = Port::udp(agent.local_addr().unwrap().port());
    std::thread::spawn(move || {
        let mut buffer = [0; 512];
        let (length, from) = agent.recv_from(&mut buffer).unwrap();
        let mut answer = buffer[..length].to_vec();
        let get = answer.iter().rposition(|byte| *byte == 0xa0).unwrap();
        // The same message as a response, with a sysDescr that says the community twice.
        answer.truncate(get);
        let bound = b"\x30\x1a\x06\x08\x2b\x06\x01\x02\x01\x01\x01\x00\x04\x0eplant7, plant7";
        answer.extend(b"\xa2\x28\x02\x02\x50\x43\x02\x01\x00\x02\x01\x00\x30\x1c");
        answer.extend(bound);
        answer[1] = (answer.len() - 2) as u8;
        agent.send_to(&answer, from).unwrap();
    });
    let snmp = ServiceName::new("snmp").unwrap();
    let named = ScanRequest {
        moved: vec![(snmp.clone(), port)],
        wishes: Wishes {
            services: vec![snmp.clone()],
            elsewhere: Vec::new(),
            community: Some(portcullis_model::Secret::new("plant7")),
        },
        ..request(vec![LOOPBACK], vec![port])
    };
    let outcome = run(named, &everything).await;
    let seen = &outcome.observations[0];
    assert_eq!(seen.state, PortState::Open, "{}", seen.because);
    let best = seen.best().unwrap();
    assert_eq!((&best.service, best.grade), (&snmp, Grade::Proven));
    assert_eq!(best.fields["product"].raw(), "******, ******");
    let kept = serde_json::to_string(seen).unwrap() + &format!("{:?}", seen.evidence);
    assert!(seen.evidence.iter().any(|one| !one.bytes.is_empty()));
    for hidden in ["plant7", "706c616e7437"] {
        assert!(!kept.contains(hidden), "{kept}");
    }
    assert!(
        seen.evidence
            .iter()
            .all(|one| !one.bytes.windows(6).any(|window| window == b"plant7"))
    );
}

#[tokio::test]
async fn without_the_word_of_a_person_snmp_is_not_asked() {
    let port = Port::udp(161);
    let outcome = run(request(vec![LOOPBACK], vec![port]), &everything).await;
    assert_eq!(outcome.counters.packets_sent, 0);
    assert!(
        outcome.not_tested[0]
            .reason
            .contains("only asked when the service is named")
    );
}
