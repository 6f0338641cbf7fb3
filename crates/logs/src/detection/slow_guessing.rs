//! A few attempts each from many sources at one port, as when a list of passwords is shared out to stay below a threshold.
//!
//! A source counts from its second attempt on: a single one is what any passer-by makes. What was blocked, and sessions that
//! were not short, do not count.

use std::net::IpAddr;

use portcullis_model::{Detection, Port, Verdict};

use super::{
    Detect, Seen,
    finding::{About, Raised},
    recent::Recent,
    sweep::Touched,
};

/// A source makes a second attempt before it counts.
const ATTEMPTS: u32 = 2;

pub(super) struct SlowGuessing {
    rule: Detection,
    ways: Recent<(IpAddr, IpAddr, Port), u32>,
    ports: Recent<(IpAddr, Port), Touched<IpAddr>>,
}

impl SlowGuessing {
    pub(super) fn new(rule: &Detection) -> Self {
        Self {
            ways: Recent::new(rule.remember, rule.within),
            ports: Recent::new(rule.remember, rule.within),
            rule: rule.clone(),
        }
    }
}

impl Detect for SlowGuessing {
    fn add(&mut self, seen: &Seen<'_>) -> Option<Raised> {
        let attempt = seen
            .attempt
            .filter(|attempt| attempt.verdict != Verdict::Blocked)?;
        if attempt
            .length
            .is_some_and(|length| length >= self.rule.shorter_than)
        {
            return None;
        }
        let port = seen.event.port?;
        let (source, destination) = (seen.event.source, seen.event.destination);
        let attempts = self.ways.of((source, destination, port), seen.at);
        *attempts = attempts.saturating_add(1);
        if *attempts < ATTEMPTS {
            return None;
        }
        let this_got_through = attempt.verdict == Verdict::Allowed;
        let sources = self.ports.of((destination, port), seen.at);
        let different = sources.add(
            source,
            seen.mark,
            this_got_through,
            self.rule.count,
            self.rule.within,
        )?;
        let count = different.0.len();
        Some(Raised::of_different(
            About {
                destination: Some(destination),
                port: Some(port),
                ..About::default()
            },
            different,
            this_got_through,
            format!("{} sources came back to {destination} {port}", count),
        ))
    }

    fn forgotten(&self) -> u64 {
        self.ways.forgotten() + self.ports.forgotten()
    }
}
