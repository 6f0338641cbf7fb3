//! The engine against real hosts: two network namespaces with a cable between them. The test that starts is in the
//! machine's own network, so it starts itself again in a new one, where it is root.

use std::{
    collections::{BTreeSet, HashMap},
    net::{IpAddr, SocketAddr, TcpListener},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use portcullis_model::{Observation, Port, PortState, RunId, Vantage};
use portcullis_sys::{
    namespace::in_network_of,
    packet::{ETHERTYPE_IPV4, Receiver, filter::tcp_answers_v4, receive, route::interfaces},
};

use super::{SynOutcome, SynRequest, scan};
use crate::{Pace, Progress, Watcher, checkpoint::Entry};

const INSIDE: &str = "PORTCULLIS_TEST_INSIDE";

/// Runs one of the tests below again, as root of a new network.
fn inside(name: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    // Root needs no user namespace, and in a changed root the kernel gives none.
    let root = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap()) == 0;
    let apart: &[&str] = if root {
        &["--net", "--"]
    } else {
        &["--user", "--map-root-user", "--net", "--"]
    };
    let output = Command::new("unshare")
        .args(apart)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", &format!("syn::tests::{name}"), "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    false
}

/// The other end of the cable.
struct Peer(Child);

impl Peer {
    fn new() -> Self {
        let child = Command::new("unshare")
            .args(["--net", "--", "sleep", "60"])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let peer = Self(child);
        let own = std::fs::read_link("/proc/self/ns/net").unwrap();
        let theirs = format!("/proc/{}/ns/net", peer.pid());
        let begin = Instant::now();
        while std::fs::read_link(&theirs).is_ok_and(|network| network == own) {
            assert!(begin.elapsed() < Duration::from_secs(10));
            thread::yield_now();
        }
        ip("link set lo up");
        ip(&format!(
            "link add wire type veth peer name wire netns {}",
            peer.pid()
        ));
        ip("addr add 10.9.0.1/24 dev wire");
        ip("addr add fd09::1/64 dev wire nodad");
        ip("link set wire up");
        peer.ip("link set lo up");
        peer.ip("addr add 10.9.0.2/24 dev wire");
        peer.ip("addr add fd09::2/64 dev wire nodad");
        peer.ip("link set wire up");
        let begin = Instant::now();
        while !interfaces()
            .unwrap()
            .iter()
            .any(|one| one.name == "wire" && one.up)
        {
            assert!(begin.elapsed() < Duration::from_secs(10));
            thread::yield_now();
        }
        peer
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }

    fn ip(&self, arguments: &str) {
        in_network_of(self.pid(), || ip(arguments)).unwrap();
    }

    fn listen(&self, address: &str) -> TcpListener {
        in_network_of(self.pid(), || TcpListener::bind(address).unwrap()).unwrap()
    }

    /// Notes all TCP segments that come to it, until the flag is set.
    fn watch(&self, over: &Arc<AtomicBool>) -> thread::JoinHandle<Vec<(Instant, Segment)>> {
        let mut receivers = vec![
            in_network_of(self.pid(), || {
                let wire = interfaces()
                    .unwrap()
                    .into_iter()
                    .find(|one| one.name == "wire")
                    .unwrap();
                Receiver::open(wire.index, ETHERTYPE_IPV4, &tcp_answers_v4(&(0..=u16::MAX))).unwrap()
            })
            .unwrap(),
        ];
        let over = Arc::clone(over);
        thread::spawn(move || {
            let mut seen = Vec::new();
            loop {
                let last = over.load(Ordering::Relaxed);
                receive(&mut receivers, Duration::from_millis(10), &mut |_, frame| {
                    seen.push((
                        Instant::now(),
                        Segment {
                            to: IpAddr::from(<[u8; 4]>::try_from(&frame[30..34]).unwrap()),
                            port: u16::from_be_bytes([frame[36], frame[37]]),
                            sequence: u32::from_be_bytes(frame[38..42].try_into().unwrap()),
                            flags: frame[47],
                        },
                    ));
                })
                .unwrap();
                if last {
                    assert_eq!(receivers[0].lost().unwrap(), 0);
                    return seen;
                }
            }
        })
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Segment {
    to: IpAddr,
    port: u16,
    sequence: u32,
    flags: u8,
}

fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split(' ')).status().unwrap();
    assert!(status.success(), "ip {arguments}");
}

fn request(addresses: &[&str], ports: &[u16]) -> SynRequest {
    SynRequest {
        run: RunId::of(&[b"test"]),
        vantage: Vantage::this_host(),
        addresses: addresses.iter().map(|text| text.parse().unwrap()).collect(),
        ports: ports.iter().copied().map(Port::tcp).collect(),
        pace: Pace {
            total_per_second: 1000,
            per_host_per_second: 1000,
            ..Pace::default()
        },
        scopes: Vec::new(),
        brake: Arc::default(),
        earlier: Vec::new(),
        most_looks: 1,
        answer_wait: Duration::from_millis(300),
    }
}

/// Does something whenever progress is told, and keeps what a checkpoint must hold.
struct Each<F>(F, Vec<Entry>);

impl<F: FnMut(&Progress) + Send> Watcher for Each<F> {
    fn seen(&mut self, _: &Observation) {}
    fn keep(&mut self, entry: &Entry) {
        self.1.push(entry.clone());
    }
    fn progress(&mut self, progress: &Progress) {
        (self.0)(progress);
    }
}

fn each<F: FnMut(&Progress) + Send>(progress: F) -> Each<F> {
    Each(progress, Vec::new())
}

fn run(request: &SynRequest) -> SynOutcome {
    scan(
        request,
        &|_, _| Ok(()),
        &mut each(|_| {}),
        &AtomicBool::new(false),
    )
    .unwrap()
}

fn states(outcome: &SynOutcome) -> Vec<(SocketAddr, PortState)> {
    let observations = outcome.scan.observations.iter();
    observations
        .map(|one| (SocketAddr::new(one.address, one.port.number), one.state))
        .collect()
}

#[test]
fn neighbours_are_found_and_answers_are_told_apart() {
    if !inside("neighbours_are_found_and_answers_are_told_apart") {
        return;
    }
    let peer = Peer::new();
    let _four = peer.listen("10.9.0.2:502");
    let _six = peer.listen("[fd09::2]:502");
    peer.ip("route add prohibit 10.20.0.1");
    peer.ip("route add unreachable 10.20.0.2");
    peer.ip("route add blackhole 10.20.0.3");
    ip("route add 10.20.0.0/24 via 10.9.0.2");
    ip("route add 10.30.0.0/24 via 10.9.0.77");
    ip("route add blackhole 10.40.0.0/24");
    // A thread sees /proc/sys/net of its own network. Routers send few ICMP errors a second; here all are wanted.
    in_network_of(peer.pid(), || {
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap();
        std::fs::write("/proc/sys/net/ipv4/icmp_ratemask", "0").unwrap();
    })
    .unwrap();
    let addresses = [
        "10.9.0.2",
        "10.9.0.3",
        "fd09::2",
        "fd09::3",
        "10.20.0.1",
        "10.20.0.2",
        "10.20.0.3",
        "10.30.0.1",
        "10.40.0.1",
        "192.0.2.1",
        "10.9.0.1",
        "127.0.0.1",
        "10.9.0.255",
        "fe80::1",
    ];
    let mut request = request(&addresses, &[502, 503]);
    request.ports.push(Port::udp(4800));
    let begin = Instant::now();
    let outcome = run(&request);
    assert!(begin.elapsed() < Duration::from_secs(8), "{:?}", begin.elapsed());

    let expected: Vec<(SocketAddr, PortState)> = [
        ("10.9.0.2:502", PortState::Open),
        ("10.9.0.2:503", PortState::Closed),
        ("10.9.0.3:502", PortState::NoAnswer),
        ("10.9.0.3:503", PortState::NoAnswer),
        ("10.20.0.1:502", PortState::Filtered),
        ("10.20.0.1:503", PortState::Filtered),
        ("10.20.0.2:502", PortState::NoAnswer),
        ("10.20.0.2:503", PortState::NoAnswer),
        ("10.20.0.3:502", PortState::NoAnswer),
        ("10.20.0.3:503", PortState::NoAnswer),
        ("[fd09::2]:502", PortState::Open),
        ("[fd09::2]:503", PortState::Closed),
        ("[fd09::3]:502", PortState::NoAnswer),
        ("[fd09::3]:503", PortState::NoAnswer),
    ]
    .map(|(end, state)| (end.parse().unwrap(), state))
    .to_vec();
    let mut expected = expected;
    expected.sort();
    let mut found = states(&outcome);
    found.sort();
    assert_eq!(found, expected);
    assert_eq!((outcome.lost, outcome.scan.interrupted), (0, false));
    let because: HashMap<String, &str> = outcome
        .scan
        .observations
        .iter()
        .map(|one| (format!("{} {}", one.address, one.port), one.because.as_str()))
        .collect();
    assert!(
        because["10.20.0.1 tcp/502"].contains("ICMP type 3 code 13"),
        "{because:?}"
    );
    assert!(
        because["10.20.0.2 tcp/502"].contains("unreachable, says 10.9.0.2"),
        "{because:?}"
    );
    assert!(
        because["10.20.0.3 tcp/502"].contains("asked once, no answer"),
        "{because:?}"
    );
    assert!(
        because["fd09::3 tcp/502"].contains("no neighbour answered"),
        "{because:?}"
    );

    let reason = |address: &str| {
        let address: IpAddr = address.parse().unwrap();
        let mut about = outcome.scan.not_tested.iter();
        let tcp = Port::tcp(502);
        about
            .find(|one| one.first <= address && address <= one.last && one.ports.contains(&tcp))
            .map_or("", |one| one.reason.as_str())
    };
    for (address, part) in [
        ("10.30.0.1", "the router 10.9.0.77 on wire did not answer"),
        ("10.40.0.1", "routes forbid"),
        ("192.0.2.1", "no route"),
        ("10.9.0.1", "own address"),
        ("127.0.0.1", "own address"),
        ("10.9.0.255", "broadcast"),
        ("fe80::1", "link-local"),
        ("10.9.0.2", ""),
    ] {
        assert!(reason(address).contains(part), "{address}: {}", reason(address));
    }
    let udp: BTreeSet<&str> = outcome
        .scan
        .not_tested
        .iter()
        .filter(|one| one.ports.contains(&Port::udp(4800)))
        .map(|one| one.reason.as_str())
        .collect();
    assert_eq!(udp, BTreeSet::from(["a SYN scan is of TCP only"]));
}

#[test]
fn no_host_feels_more_than_its_share_and_no_port_more_than_one_syn() {
    if !inside("no_host_feels_more_than_its_share_and_no_port_more_than_one_syn") {
        return;
    }
    let peer = Peer::new();
    let _listeners: Vec<TcpListener> = (1000..1010)
        .map(|port| peer.listen(&format!("10.9.0.2:{port}")))
        .collect();
    let over = Arc::new(AtomicBool::new(false));
    let watch = peer.watch(&over);
    let ports: Vec<u16> = (1000..1030).collect();
    let mut request = request(&["10.9.0.2"], &ports);
    request.pace.per_host_per_second = 20;
    let outcome = run(&request);
    over.store(true, Ordering::Relaxed);
    let seen = watch.join().unwrap();
    let count = |flags| seen.iter().filter(|(_, segment)| segment.flags == flags).count();
    // One SYN to each port; one reset of our kernel to each that listens.
    assert_eq!((count(0x02), count(0x04)), (30, 10), "{seen:?}");
    let ports: BTreeSet<u16> = seen.iter().map(|(_, segment)| segment.port).collect();
    assert_eq!(ports.len(), 30);
    let most = seen.iter().enumerate().map(|(first, (from, _))| {
        seen[first..].partition_point(|(at, _)| *at < *from + Duration::from_secs(1))
    });
    let most = most.max().unwrap();
    assert!((9..=20).contains(&most), "{most} packets in a second");
    let open = states(&outcome)
        .iter()
        .filter(|(_, state)| *state == PortState::Open)
        .count();
    assert_eq!(open, 10);
}

#[test]
fn the_silent_and_the_canaries_are_asked_again_and_with_the_same_syn() {
    if !inside("the_silent_and_the_canaries_are_asked_again_and_with_the_same_syn") {
        return;
    }
    let peer = Peer::new();
    let _listener = peer.listen("10.9.0.2:502");
    peer.ip("route add blackhole 10.20.0.0/24");
    ip("route add 10.20.0.0/24 via 10.9.0.2");
    let over = Arc::new(AtomicBool::new(false));
    let watch = peer.watch(&over);
    let mut request = request(&["10.9.0.2", "10.20.0.1", "10.20.0.2", "10.20.0.3"], &[502, 503]);
    request.most_looks = 2;
    let refused: IpAddr = "10.20.0.3".parse().unwrap();
    let permit = |address: IpAddr, _| {
        if address == refused {
            Err("outside the permission".to_owned())
        } else {
            Ok(())
        }
    };
    let outcome = scan(&request, &permit, &mut each(|_| {}), &AtomicBool::new(false)).unwrap();
    over.store(true, Ordering::Relaxed);
    let mut asked: HashMap<(IpAddr, u16), Vec<u32>> = HashMap::new();
    for (_, segment) in watch.join().unwrap() {
        if segment.flags == 0x02 {
            asked
                .entry((segment.to, segment.port))
                .or_default()
                .push(segment.sequence);
        }
    }
    assert_eq!(asked.len(), 6, "{asked:?}");
    for ((address, _), sequences) in &asked {
        assert_eq!(sequences.len(), 2, "{address}");
        assert!(sequences.windows(2).all(|pair| pair[0] == pair[1]), "{address}");
    }
    let [not_tested] = outcome.scan.not_tested.as_slice() else {
        panic!("{:?}", outcome.scan.not_tested)
    };
    assert_eq!(
        (
            not_tested.first,
            not_tested.reason.as_str(),
            not_tested.ports.len()
        ),
        (refused, "outside the permission", 2)
    );
    assert_eq!(
        outcome.scan.counters.packets_sent,
        12 + 1,
        "with one question for the neighbour"
    );
}

#[test]
fn an_interface_that_goes_down_ends_the_scan_with_a_reason() {
    if !inside("an_interface_that_goes_down_ends_the_scan_with_a_reason") {
        return;
    }
    let peer = Peer::new();
    peer.ip("route add blackhole 10.20.0.0/24");
    ip("route add 10.20.0.0/24 via 10.9.0.2");
    let addresses: Vec<String> = (1..=200).map(|last| format!("10.20.0.{last}")).collect();
    let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
    let mut request = request(&addresses, &[502]);
    request.pace.total_per_second = 200;
    let mut ticks = 0;
    let begin = Instant::now();
    let outcome = scan(
        &request,
        &|_, _| Ok(()),
        &mut each(|_| {
            ticks += 1;
            if ticks == 3 {
                ip("link set wire down");
            }
        }),
        &AtomicBool::new(false),
    )
    .unwrap();
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    let reasons: BTreeSet<&str> = outcome
        .scan
        .not_tested
        .iter()
        .map(|one| one.reason.as_str())
        .collect();
    assert_eq!(reasons.len(), 1, "{reasons:?}");
    assert!(
        reasons
            .iter()
            .all(|reason| reason.contains("the interface wire failed")),
        "{reasons:?}"
    );
    let hosts: u64 = outcome
        .scan
        .not_tested
        .iter()
        .map(|one| match (one.first, one.last) {
            (IpAddr::V4(first), IpAddr::V4(last)) => u64::from(u32::from(last) - u32::from(first) + 1),
            _ => 0,
        })
        .sum();
    assert_eq!(hosts, 200, "what was silent on a dead link was not tested");
}

#[test]
fn a_scan_that_is_stopped_says_what_it_did_not_ask() {
    if !inside("a_scan_that_is_stopped_says_what_it_did_not_ask") {
        return;
    }
    let peer = Peer::new();
    let _listener = peer.listen("10.9.0.2:502");
    let ports: Vec<u16> = (500..600).collect();
    let mut request = request(&["10.9.0.2"], &ports);
    request.pace.per_host_per_second = 40;
    let stop = AtomicBool::new(false);
    let outcome = scan(
        &request,
        &|_, _| Ok(()),
        &mut each(|progress| stop.store(progress.probes_done >= 5, Ordering::Relaxed)),
        &stop,
    )
    .unwrap();
    assert!(outcome.scan.interrupted);
    let left: usize = outcome.scan.not_tested.iter().map(|one| one.ports.len()).sum();
    assert_eq!(left + outcome.scan.observations.len(), 100);
    assert!((50..=95).contains(&left), "{left}");
    assert!(
        outcome
            .scan
            .not_tested
            .iter()
            .all(|one| one.reason == "interrupted")
    );
}
