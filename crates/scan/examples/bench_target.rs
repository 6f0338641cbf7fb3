//! The target's side of the benchmark. `bench_target listen PORT…` accepts connections and closes them;
//! `bench_target watch INTERFACE` counts what the interface receives until its standard input ends, and prints how much it
//! was and how much at most in 100 ms.
#![expect(clippy::print_stdout, reason = "the figures are what it is for")]

use std::{
    env,
    error::Error,
    fs,
    io::{self, Read as _},
    net::{Ipv4Addr, TcpListener},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

/// Shorter than the window by far, and long enough to leave the processor to others.
const SAMPLE: Duration = Duration::from_millis(2);
const WINDOW: Duration = Duration::from_millis(100);

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .as_slice()
    {
        ["listen", ports @ ..] => listen(ports),
        ["watch", interface] => watch(interface),
        _ => Err("bench_target listen PORT... | bench_target watch INTERFACE".into()),
    }
}

fn listen(ports: &[&str]) -> Result<(), Box<dyn Error>> {
    let listeners: Result<Vec<TcpListener>, Box<dyn Error>> = ports
        .iter()
        .map(|port| Ok(TcpListener::bind((Ipv4Addr::UNSPECIFIED, port.parse()?))?))
        .collect();
    thread::scope(|scope| {
        for listener in listeners? {
            scope.spawn(move || listener.incoming().for_each(drop));
        }
        Ok(())
    })
}

fn watch(interface: &str) -> Result<(), Box<dyn Error>> {
    let over = AtomicBool::new(false);
    let samples = thread::scope(|scope| {
        let sampler = scope.spawn(|| sample(interface, &over));
        let read = io::stdin().read_to_end(&mut Vec::new());
        over.store(true, Ordering::Relaxed);
        read?;
        sampler
            .join()
            .unwrap_or_else(|_| Err(io::Error::other("the sampler panicked")))
    })?;
    let (Some((_, first)), Some((_, last))) = (samples.first(), samples.last()) else {
        return Err("nothing was sampled".into());
    };
    // The fastest that it was over at least 100 ms.
    let peak = samples.iter().enumerate().filter_map(|(number, (from, before))| {
        let rest = samples.get(number..)?;
        let until = rest.partition_point(|(at, _)| at.duration_since(*from) < WINDOW);
        let (at, after) = rest.get(until)?;
        Some((after - before) as f64 / at.duration_since(*from).as_secs_f64())
    });
    // A neighbour's question long before or after the rest must not count as time: the middle 98 % tells the rate.
    let total = last - first;
    let reached = |share: u64| {
        let count = first + total * share / 100;
        samples
            .iter()
            .find(|(_, counted)| *counted >= count)
            .map(|(at, _)| *at)
    };
    let span = match (reached(1), reached(99)) {
        (Some(from), Some(to)) => to.duration_since(from).div_f64(0.98),
        _ => Duration::ZERO,
    };
    println!(
        "packets {} peak {:.0} span {:.4}",
        total,
        peak.fold(0.0, f64::max),
        span.as_secs_f64()
    );
    Ok(())
}

fn sample(interface: &str, over: &AtomicBool) -> io::Result<Vec<(Instant, u64)>> {
    let mut samples = Vec::new();
    loop {
        let last = over.load(Ordering::Relaxed);
        samples.push((Instant::now(), received(interface)?));
        if last {
            return Ok(samples);
        }
        thread::sleep(SAMPLE);
    }
}

/// The second number behind the interface's name in `/proc/net/dev`.
fn received(interface: &str) -> io::Result<u64> {
    let table = fs::read_to_string("/proc/thread-self/net/dev")?;
    table
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix(interface)?.strip_prefix(':'))
        .find_map(|numbers| numbers.split_whitespace().nth(1)?.parse().ok())
        .ok_or_else(|| io::Error::other("there is no such interface"))
}
