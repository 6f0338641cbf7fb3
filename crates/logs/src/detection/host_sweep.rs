//! One source tries the same port of many hosts within a short time, whatever came of it.

use std::net::IpAddr;

use portcullis_model::{Detection, Port, Verdict};

use super::{
    Detect, Seen,
    finding::{About, Raised},
    recent::Recent,
    sweep::Touched,
};

pub(super) struct HostSweep {
    rule: Detection,
    pairs: Recent<(IpAddr, Port), Touched<IpAddr>>,
}

impl HostSweep {
    pub(super) fn new(rule: &Detection) -> Self {
        Self {
            pairs: Recent::new(rule.remember, rule.within),
            rule: rule.clone(),
        }
    }
}

impl Detect for HostSweep {
    fn add(&mut self, seen: &Seen<'_>) -> Option<Raised> {
        let attempt = seen.attempt?;
        let port = seen.event.port?;
        let source = seen.event.source;
        let this_got_through = attempt.verdict == Verdict::Allowed;
        let touched = self.pairs.of((source, port), seen.at);
        let different = touched.add(
            seen.event.destination,
            seen.mark,
            this_got_through,
            self.rule.count,
            self.rule.within,
        )?;
        let count = different.0.len();
        Some(Raised::of_different(
            About {
                source: Some(source),
                port: Some(port),
                ..About::default()
            },
            different,
            this_got_through,
            format!("{source} tried {port} of {} hosts", count),
        ))
    }

    fn forgotten(&self) -> u64 {
        self.pairs.forgotten()
    }
}
