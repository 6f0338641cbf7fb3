//! Guards that slow, hold and stop a scan; targets that change while they are looked at; hosts whose answers mean less
//! than they seem.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use serde_json::Value;

use crate::{
    segments::{ACK, Arrived, RST, Segment, Standin},
    wire::{FAR, Running, Wire, inside, silent},
};

const GUARD: &str = "10.77.0.3";

/// A guard that refuses every connection after so many milliseconds, and not at all from a thousand on.
fn guard(wire: &Wire) -> (Standin, Arc<AtomicU64>) {
    wire.ip("addr add 10.77.0.3/24 dev wire");
    wire.on_arrival("ip daddr 10.77.0.3 drop");
    let after = Arc::new(AtomicU64::new(1));
    let told = Arc::clone(&after);
    let answer = move |segment: &Segment| {
        let after = told.load(Ordering::Relaxed);
        let answers = segment.is_syn() && after < 1000;
        let reset = segment.answer(RST | ACK, 0);
        answers
            .then_some((Duration::from_millis(after), reset))
            .into_iter()
            .collect()
    };
    (wire.stand_in(GUARD, answer), after)
}

/// Whom each of two scans looks at.
const HOSTS: [std::ops::RangeInclusive<u8>; 2] = [1..=50, 51..=100];

/// One scan in each mode, at the same time.
fn both(wire: &Wire, rate: &str, further: &[&str]) -> [Running; 2] {
    [("connect", "10.80.0.1-50"), ("syn", "10.80.0.51-100")].map(|(mode, hosts)| {
        let store = wire.home().join(mode).join("s.sqlite");
        let scan = [
            "scan",
            hosts,
            "--ports",
            "20000,20001,20002,20003,20004,20005",
            "--quiet",
        ];
        let pace = ["--rate", rate, "--mode", mode, "--guard", "10.77.0.3:502"];
        let store = ["--store", store.to_str().unwrap()];
        wire.start(&[&scan[..], &pace, &store, further].concat())
    })
}

fn to_targets(arrived: &[Arrived], hosts: std::ops::RangeInclusive<u8>) -> Vec<Arrived> {
    let wanted: Vec<IpAddr> = hosts.map(|host| [10, 80, 0, host].into()).collect();
    let theirs = arrived.iter().filter(|one| wanted.contains(&one.segment.to));
    theirs.copied().collect()
}

fn events(run: &Value) -> String {
    let guards = run["coverage"]["guards"].as_array().unwrap();
    let events = guards
        .iter()
        .flat_map(|guard| guard["events"].as_array().unwrap());
    events
        .map(|event| event["what"].as_str().unwrap().to_owned() + "\n")
        .collect()
}

#[test]
fn a_guard_that_slows_down_slows_and_holds_the_scan_and_one_that_recovers_lets_it_go_on() {
    if !inside("health::a_guard_that_slows_down_slows_and_holds_the_scan_and_one_that_recovers_lets_it_go_on")
    {
        return;
    }
    let wire = Wire::new();
    let (_standin, after) = guard(&wire);
    wire.network(1..=100);
    let capture = wire.capture();
    let mut scans = both(&wire, "60", &["--format", "jsonl"]);
    thread::sleep(Duration::from_millis(3200));
    after.store(150, Ordering::Relaxed);
    thread::sleep(Duration::from_millis(7000));
    after.store(1, Ordering::Relaxed);
    let ended = scans
        .each_mut()
        .map(|running| running.ends(Duration::from_secs(40)).with(0));
    let arrived = capture.end();
    for (ended, hosts) in ended.iter().zip(HOSTS) {
        let arrived = to_targets(&arrived, hosts.clone());
        let run: Value = serde_json::from_str(ended.stdout.lines().last().unwrap()).unwrap();
        let events = events(&run);
        for word in ["half", "quarter", "eighth", "held"] {
            assert!(events.contains(word), "{word} is not told:\n{events}");
        }
        let begin = arrived.first().unwrap().at;
        let within = |from: u64, to: u64| {
            let (from, to) = (Duration::from_millis(from), Duration::from_millis(to));
            arrived
                .iter()
                .filter(|one| (from..to).contains(&(one.at - begin)))
                .count()
        };
        // Its questions before the scan took a second.
        let (whole, slow) = (within(0, 1000), within(5500, 6500));
        assert!((40..=60).contains(&whole), "{hosts:?}: {whole}\n{events}");
        assert!(slow <= 10, "{hosts:?}: {slow} at an eighth\n{events}");
        let pauses = arrived.windows(2).map(|pair| match pair {
            [before, after] => after.at - before.at,
            _ => Duration::ZERO,
        });
        assert!(
            pauses.max() > Some(Duration::from_secs(1)),
            "{hosts:?}: not held\n{events}"
        );
    }
}

#[test]
fn a_guard_that_falls_silent_stops_the_scan_with_the_reason() {
    if !inside("health::a_guard_that_falls_silent_stops_the_scan_with_the_reason") {
        return;
    }
    let wire = Wire::new();
    let (_standin, after) = guard(&wire);
    wire.network(1..=100);
    let capture = wire.capture();
    let mut scans = both(&wire, "20", &[]);
    thread::sleep(Duration::from_millis(3000));
    after.store(5000, Ordering::Relaxed);
    let ended = scans
        .each_mut()
        .map(|running| running.ends(Duration::from_secs(60)).with(3));
    let arrived = capture.end();
    for (ended, hosts) in ended.iter().zip(HOSTS) {
        let arrived = to_targets(&arrived, hosts.clone());
        let (begin, last) = (arrived.first().unwrap().at, arrived.last().unwrap().at);
        assert!(
            last - begin < Duration::from_secs(6),
            "it went on for {:?}",
            last - begin
        );
        for told in [
            "It stopped itself: guard 10.77.0.3:502 has not answered for",
            "Not tested: ",
            "To go on: portcullis scan --resume ",
            "held",
        ] {
            assert!(ended.stdout.contains(told), "{told}\n{}", ended.stdout);
        }
        let not_tested = ended
            .stdout
            .lines()
            .find(|line| line.starts_with("Not tested: "))
            .unwrap();
        assert!(
            not_tested.contains("guard 10.77.0.3:502 has not answered"),
            "{not_tested}"
        );
    }
}

#[test]
fn a_guard_that_does_not_answer_before_refuses_the_scan() {
    if !inside("health::a_guard_that_does_not_answer_before_refuses_the_scan") {
        return;
    }
    let wire = Wire::new();
    let (_standin, after) = guard(&wire);
    after.store(5000, Ordering::Relaxed);
    let capture = wire.capture();
    for mode in ["connect", "syn"] {
        let scan = [
            "scan",
            FAR,
            "--ports",
            "502",
            "--guard",
            "10.77.0.3:502",
            "--quiet",
            "--mode",
            mode,
        ];
        wire.portcullis(&scan).refused(4, "SC051");
    }
    let scan = [
        "scan",
        FAR,
        "--ports",
        "502",
        "--guard",
        "icmp:10.77.0.3",
        "--quiet",
    ];
    wire.portcullis(&scan).refused(4, "SC051");
    let mut arrived = capture.end();
    arrived.retain(|one| one.segment.to.to_string() != GUARD);
    assert_eq!(arrived.len(), 0);
}

/// Silence after an answer is no filter: the device is left alone and reported.
#[test]
fn a_target_that_stops_answering_is_left_alone() {
    if !inside("health::a_target_that_stops_answering_is_left_alone") {
        return;
    }
    let ports: Vec<String> = (20000..20060).map(|port| port.to_string()).collect();
    let ports = ports.join(",");
    for mode in ["connect", "syn"] {
        let wire = Wire::new();
        // A SYN is 60 bytes, or 44 when it is the scanner's own.
        wire.on_arrival("ip daddr 10.77.0.2 meta l4proto tcp quota over 1200 bytes drop");
        let capture = wire.capture();
        let scanned = wire
            .scan(&[FAR, "--ports", &ports, "--per-host", "50", "--mode", mode])
            .with(3);
        let asked = capture.end().len();
        let labels = scanned.labels(FAR);
        let reason = labels
            .get("left-alone")
            .unwrap_or_else(|| panic!("{mode}: {:#}", scanned.run));
        assert!(reason.contains("stopped answering"), "{reason}");
        let (mut closed, mut doubtful, mut left) = (0, 0, 0);
        for port in ports.split(',').map(|port| format!("tcp/{port}")) {
            let answered = scanned.state(FAR, &port) == "closed";
            let doubt = scanned.is_in_doubt(FAR.parse().unwrap(), &port);
            let reason = scanned.not_tested_because(FAR, &port);
            let alone = reason.is_some_and(|reason| reason.starts_with("left alone: "));
            assert_eq!(
                [answered, doubt, alone].iter().filter(|so| **so).count(),
                1,
                "{mode} {port}"
            );
            closed += u32::from(answered);
            doubtful += u32::from(doubt);
            left += u32::from(alone);
        }
        assert!((15..40).contains(&closed), "{mode}: {closed} {doubtful} {left}");
        // A half-open look learns it only when it is over.
        assert!(
            (doubtful < 10 && left > 10) || mode == "syn",
            "{mode}: {closed} {doubtful} {left}"
        );
        assert!(asked <= if mode == "syn" { 130 } else { 60 }, "{mode}: {asked}");
    }
}

#[test]
fn a_target_that_begins_to_reset_is_left_alone() {
    if !inside("health::a_target_that_begins_to_reset_is_left_alone") {
        return;
    }
    let wire = Wire::new();
    let accepted = Arc::new(AtomicUsize::new(0));
    let ports = [
        "102", "502", "1911", "2404", "4840", "8080", "20000", "44818", "54321",
    ];
    for port in ports {
        let accepted = Arc::clone(&accepted);
        wire.serve(port.parse().unwrap(), move |stream| {
            if accepted.fetch_add(1, Ordering::Relaxed) < 3 {
                return silent(stream);
            }
            // Closed at once it is a reset.
            socket2::SockRef::from(&stream)
                .set_linger(Some(Duration::ZERO))
                .unwrap();
        });
    }
    let scanned = wire
        .scan(&[FAR, "--ports", &ports.join(","), "--per-host", "50"])
        .with(3);
    let labels = scanned.labels(FAR);
    assert!(labels["left-alone"].contains("began to reset"), "{labels:?}");
    assert!(accepted.load(Ordering::Relaxed) <= 6, "{accepted:?}");
    assert!(
        scanned
            .not_tested()
            .iter()
            .all(|reason| reason.starts_with("left alone: ")),
        "{:#}",
        scanned.run
    );
}

#[test]
fn hosts_whose_answers_mean_less_than_they_seem_have_labels() {
    if !inside("health::hosts_whose_answers_mean_less_than_they_seem_have_labels") {
        return;
    }
    let wire = Wire::new();
    wire.network(1..=3);
    let ports = ["102", "502", "1911", "2404", "4840", "8080", "20000", "44818"];
    for port in ports {
        wire.serve(port.parse().unwrap(), move |stream| {
            let host = stream.local_addr().unwrap().to_string();
            if host.contains("10.80.0.2") {
                return socket2::SockRef::from(&stream)
                    .set_linger(Some(Duration::ZERO))
                    .unwrap();
            }
            // Who hangs up is not waited for.
            thread::sleep(Duration::from_millis(20));
        });
    }
    // The first has every port open, the second resets all that it accepted, the third is an ordinary one.
    wire.on_arrival("ip daddr 10.80.0.3 tcp dport { 102, 1911, 2404 } reject with tcp reset");
    for mode in ["connect", "syn"] {
        let scan = [
            "10.80.0.1-3",
            "--ports",
            &ports.join(","),
            "--per-host",
            "100",
            "--mode",
            mode,
        ];
        let scanned = wire.scan(&scan).with(0);
        assert!(
            scanned.labels("10.80.0.1").contains_key("every-port-open"),
            "{:#}",
            scanned.run
        );
        assert_eq!(scanned.labels("10.80.0.3").len(), 0);
        if mode == "connect" {
            assert!(
                scanned.labels("10.80.0.2").contains_key("syn-proxy"),
                "{:#}",
                scanned.run
            );
        }
    }
}
