//! Time and memory of the question who reaches a port, over generated rulesets. `make bench-reach` runs it.
#![expect(clippy::print_stdout, reason = "it prints what it measures")]

use std::{fmt::Write as _, time::Instant};

use portcullis_firewall::reach::{Host, Passage, Question, Ruleset, TextKind, reach};
use portcullis_model::Port;

/// How the rules of a ruleset are laid out.
#[derive(Clone, Copy, PartialEq)]
enum Shape {
    /// All in one chain.
    Flat,
    /// In chains of 100, one for each /16.
    Chained,
    /// Elements of one set.
    Sets,
}

const SHAPES: [(Shape, &str); 3] = [
    (Shape::Flat, "flat"),
    (Shape::Chained, "chained"),
    (Shape::Sets, "sets"),
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    // One measurement in a process of its own, so that its memory is its own.
    if let (Some(shape), Some(count)) = (arguments.next(), arguments.next()) {
        let (shape, _) = SHAPES
            .into_iter()
            .find(|(_, name)| *name == shape)
            .ok_or("no such shape")?;
        return measure(shape, count.parse()?);
    }
    let mut growth: f64 = 0.0;
    let (mut of_10k, mut of_100k, mut memory): (f64, f64, f64) = (0.0, 0.0, 0.0);
    for (_, name) in SHAPES {
        let mut times = Vec::new();
        for count in [100_u32, 1_000, 10_000, 100_000] {
            let mut best = f64::MAX;
            for _ in 0..3 {
                let output = std::process::Command::new(std::env::current_exe()?)
                    .args([name, &count.to_string()])
                    .output()?;
                let text = String::from_utf8(output.stdout)?;
                let figure = |key: &str| -> Option<f64> {
                    text.lines()
                        .find_map(|line| line.strip_prefix(key)?.trim().parse().ok())
                };
                let milliseconds = figure("ms").ok_or_else(|| format!("{name} {count}: {text}"))?;
                best = best.min(milliseconds);
                let mebibytes = figure("mib").ok_or("no memory")?;
                if count == 10_000 {
                    memory = memory.max(mebibytes);
                }
            }
            println!("{name} {count}: {best:.1} ms");
            match count {
                10_000 => of_10k = of_10k.max(best),
                100_000 => of_100k = of_100k.max(best),
                _ => {}
            }
            times.push((f64::from(count), best));
        }
        // Between the two largest: the exponent of a power law, 1 for a line.
        if let [.., (small, fast), (large, slow)] = times.as_slice() {
            growth = growth.max((slow / fast).ln() / (large / small).ln());
        }
    }
    println!("figure reach_10k_ms {of_10k:.1}");
    println!("figure reach_100k_ms {of_100k:.1}");
    println!("figure reach_10k_mib {memory:.1}");
    println!("figure growth_exponent {growth:.2}");
    Ok(())
}

/// Reads and answers, for both families.
fn measure(shape: Shape, count: u32) -> Result<(), Box<dyn std::error::Error>> {
    let text = rules(shape, count);
    let question = Question::new(Port::tcp(4840), Host::default());
    let begin = Instant::now();
    let mut ruleset = Ruleset::default();
    ruleset.add(&text, Some(TextKind::NftJson))?;
    let read = begin.elapsed();
    let answer = reach(&ruleset, &question);
    let all = begin.elapsed();
    let through: usize = answer
        .views
        .iter()
        .map(|view| view.networks(Passage::Through).len())
        .sum();
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .ok_or("no peak")?;
    let kibibytes: f64 = peak.trim().trim_end_matches(" kB").parse()?;
    println!(
        "read {:.1}\nms {:.1}\nthrough {through}",
        read.as_secs_f64() * 1e3,
        all.as_secs_f64() * 1e3
    );
    // The text itself is the caller's.
    println!("mib {:.1}", kibibytes / 1024.0);
    Ok(())
}

/// As `nft -j list ruleset` prints it.
fn rules(shape: Shape, count: u32) -> String {
    let mut text = String::from(
        r#"{"nftables": [{"metainfo": {"json_schema_version": 1}}, {"table": {"family": "inet", "name": "t", "handle": 1}}"#,
    );
    let mut add = |object: std::fmt::Arguments<'_>| {
        let _ = write!(text, ", {object}");
    };
    // Spread over the whole space, in no order.
    let address = |number: u32| std::net::Ipv4Addr::from_bits(number.wrapping_mul(2_654_435_761));
    let base = r#"{"chain": {"family": "inet", "table": "t", "name": "in", "handle": 1, "type": "filter", "hook": "input", "prio": 0, "policy": "drop"}}"#;
    let verdict = |number: u32| {
        if number.is_multiple_of(3) {
            "drop"
        } else {
            "accept"
        }
    };
    let dport = r#"{"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": 4840}}"#;
    match shape {
        Shape::Sets => {
            let elements: Vec<String> = (0..count)
                .map(|number| {
                    format!(
                        r#"{{"prefix": {{"addr": "{}", "len": 30}}}}"#,
                        std::net::Ipv4Addr::from_bits(number * 42_000 / 4 * 4)
                    )
                })
                .collect();
            add(format_args!(
                r#"{{"set": {{"family": "inet", "name": "s", "table": "t", "type": "ipv4_addr", "handle": 2, "flags": ["interval"], "elem": [{}]}}}}"#,
                elements.join(", ")
            ));
            add(format_args!("{base}"));
            for handle in 0..100 {
                add(format_args!(
                    r#"{{"rule": {{"family": "inet", "table": "t", "chain": "in", "handle": {handle}, "expr": [{{"match": {{"op": "==", "left": {{"payload": {{"protocol": "ip", "field": "saddr"}}}}, "right": "@s"}}}}, {dport}, {{"counter": {{"packets": 0, "bytes": 0}}}}, {{"accept": null}}]}}}}"#
                ));
            }
        }
        Shape::Flat => {
            add(format_args!("{base}"));
            for number in 0..count {
                add(format_args!(
                    r#"{{"rule": {{"family": "inet", "table": "t", "chain": "in", "handle": {number}, "expr": [{{"match": {{"op": "==", "left": {{"payload": {{"protocol": "ip", "field": "saddr"}}}}, "right": {{"prefix": {{"addr": "{}", "len": 30}}}}}}}}, {dport}, {{"counter": {{"packets": 0, "bytes": 0}}}}, {{"{}": null}}]}}}}"#,
                    address(number),
                    verdict(number)
                ));
            }
        }
        Shape::Chained => {
            add(format_args!("{base}"));
            for chain in 0..count.div_ceil(100) {
                let network = std::net::Ipv4Addr::from_bits(chain << 16);
                add(format_args!(
                    r#"{{"chain": {{"family": "inet", "table": "t", "name": "c{chain}", "handle": {chain}}}}}"#
                ));
                add(format_args!(
                    r#"{{"rule": {{"family": "inet", "table": "t", "chain": "in", "handle": {chain}, "expr": [{{"match": {{"op": "==", "left": {{"payload": {{"protocol": "ip", "field": "saddr"}}}}, "right": {{"prefix": {{"addr": "{network}", "len": 16}}}}}}}}, {{"jump": {{"target": "c{chain}"}}}}]}}}}"#
                ));
                for number in 0..100 {
                    let network = std::net::Ipv4Addr::from_bits((chain << 16) | (number * 600));
                    add(format_args!(
                        r#"{{"rule": {{"family": "inet", "table": "t", "chain": "c{chain}", "handle": {number}, "expr": [{{"match": {{"op": "==", "left": {{"payload": {{"protocol": "ip", "field": "saddr"}}}}, "right": {{"prefix": {{"addr": "{network}", "len": 28}}}}}}}}, {dport}, {{"{}": null}}]}}}}"#,
                        verdict(number)
                    ));
                }
            }
        }
    }
    text.push_str("]}");
    text
}
