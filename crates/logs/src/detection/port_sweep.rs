//! One source tries many ports of one host within a short time, whatever came of it.

use std::net::IpAddr;

use portcullis_model::{Detection, Port, Verdict};

use super::{
    Detect, Seen,
    finding::{About, Raised},
    recent::Recent,
    sweep::Touched,
};

pub(super) struct PortSweep {
    rule: Detection,
    pairs: Recent<(IpAddr, IpAddr), Touched<Port>>,
}

impl PortSweep {
    pub(super) fn new(rule: &Detection) -> Self {
        Self {
            pairs: Recent::new(rule.remember, rule.within),
            rule: rule.clone(),
        }
    }
}

impl Detect for PortSweep {
    fn add(&mut self, seen: &Seen<'_>) -> Option<Raised> {
        let attempt = seen.attempt?;
        let port = seen.event.port?;
        let (source, destination) = (seen.event.source, seen.event.destination);
        let this_got_through = attempt.verdict == Verdict::Allowed;
        let touched = self.pairs.of((source, destination), seen.at);
        let different = touched.add(
            port,
            seen.mark,
            this_got_through,
            self.rule.count,
            self.rule.within,
        )?;
        let count = different.0.len();
        Some(Raised::of_different(
            About {
                source: Some(source),
                destination: Some(destination),
                ..About::default()
            },
            different,
            this_got_through,
            format!("{source} tried {} ports of {destination}", count),
        ))
    }

    fn forgotten(&self) -> u64 {
        self.pairs.forgotten()
    }
}
