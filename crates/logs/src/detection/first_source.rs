//! A source that was never seen before gets to a port, or may have got there.
//!
//! What was blocked is not told: somebody new is turned away every minute on a line to the internet. Sources are learned for
//! a time before anything is said. When more come than can be remembered, nothing is said any more, since it could not be
//! known whether they are new.

use std::{collections::HashSet, net::IpAddr};

use jiff::Timestamp;
use portcullis_model::{Detection, Verdict};

use super::{
    Detect, Seen,
    finding::{About, Raised},
    recent::since,
};

pub(super) struct FirstSource {
    rule: Detection,
    known: HashSet<IpAddr>,
    /// Whether sources were known before the log began, so that nothing needs to be learned.
    taught: bool,
    begun: Option<Timestamp>,
    not_remembered: u64,
}

impl FirstSource {
    pub(super) fn new(rule: &Detection, known: HashSet<IpAddr>) -> Self {
        Self {
            rule: rule.clone(),
            taught: !known.is_empty(),
            known,
            begun: None,
            not_remembered: 0,
        }
    }
}

impl Detect for FirstSource {
    fn add(&mut self, seen: &Seen<'_>) -> Option<Raised> {
        let attempt = seen
            .attempt
            .filter(|attempt| attempt.verdict != Verdict::Blocked)?;
        let begun = *self.begun.get_or_insert(seen.at);
        let source = seen.event.source;
        if self.known.contains(&source) {
            return None;
        }
        if self.known.len() >= self.rule.remember {
            self.not_remembered += 1;
            return None;
        }
        self.known.insert(source);
        if !self.taught && since(begun, seen.at) < self.rule.within {
            return None;
        }
        let destination = seen.event.destination;
        let port = seen
            .event
            .port
            .map_or_else(String::new, |port| format!(" {port}"));
        let this_got_through = attempt.verdict == Verdict::Allowed;
        let how = if this_got_through {
            "got through to"
        } else {
            "tried"
        };
        Some(Raised {
            about: About {
                source: Some(source),
                destination: Some(destination),
                port: seen.event.port,
                prefix: None,
            },
            marks: vec![seen.mark],
            events: 1,
            fresh: 1,
            got_through: u64::from(this_got_through),
            this_got_through,
            says: format!("{source} {how} {destination}{port} and was never seen before"),
        })
    }

    fn forgotten(&self) -> u64 {
        self.not_remembered
    }
}
