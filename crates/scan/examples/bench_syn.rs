//! A SYN scan without the command line around it, for the benchmark: `bench_syn PACE PER_HOST PORTS TARGET…`. PACE 0 is
//! as fast as it goes. One line of figures comes out.
#![expect(clippy::print_stdout, reason = "the figures are what it is for")]

use std::{
    env,
    error::Error,
    sync::{Arc, atomic::AtomicBool},
    time::Instant,
};

use portcullis_model::{Observation, Port, PortState, RunId, Vantage};
use portcullis_scan::{Pace, Progress, Watcher, syn, targets};

/// Nobody watches.
struct Unwatched;

impl Watcher for Unwatched {
    fn seen(&mut self, _: &Observation) {}
    fn progress(&mut self, _: &Progress) {}
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let mut next = || arguments.next().ok_or("bench_syn PACE PER_HOST PORTS TARGET...");
    let (total, per_host, ports) = (next()?.parse::<u32>()?, next()?.parse()?, next()?);
    let ports: Result<Vec<Port>, _> = ports.split(',').map(|port| port.parse().map(Port::tcp)).collect();
    let targets: Vec<String> = arguments.collect();
    let begin = Instant::now();
    let request = syn::SynRequest {
        run: RunId::of(&[b"bench"]),
        vantage: Vantage::this_host(),
        addresses: targets::parse(&targets)?.addresses()?,
        ports: ports?,
        pace: Pace {
            total_per_second: if total == 0 { syn::UNLIMITED } else { total },
            per_host_per_second: per_host,
            ..Pace::default()
        },
        scopes: Vec::new(),
        brake: Arc::default(),
        earlier: Vec::new(),
        // As the scanners that it is compared with.
        most_looks: 1,
        answer_wait: syn::DEFAULT_ANSWER_WAIT,
    };
    let outcome = syn::scan(&request, &|_, _| Ok(()), &mut Unwatched, &AtomicBool::new(false))?;
    let count = |state| {
        outcome
            .scan
            .observations
            .iter()
            .filter(|one| one.state == state)
            .count()
    };
    println!(
        "wall {:.3} sending {:.3} packets {} open {} closed {} filtered {} no-answer {} silent {} not-tested {} strays {} lost {}",
        begin.elapsed().as_secs_f64(),
        outcome.sending.as_secs_f64(),
        outcome.scan.counters.packets_sent,
        count(PortState::Open),
        count(PortState::Closed),
        count(PortState::Filtered),
        count(PortState::NoAnswer),
        outcome.scan.coverage.silent.len(),
        outcome.scan.not_tested.len(),
        outcome.strays,
        outcome.lost,
    );
    Ok(())
}
