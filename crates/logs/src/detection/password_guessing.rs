//! Repeated connections from one source to one port, as when passwords are tried.
//!
//! What the log proves to have been blocked is no such attempt: nobody can try a password on a port that does not answer. Of
//! sessions whose length is told, only the short ones count. Where no length is told, the finding says so.

use std::net::IpAddr;

use portcullis_model::{Detection, Port, Verdict};

use super::{
    Detect, Seen,
    finding::{About, Raised},
    recent::Recent,
    repeated::Repeated,
};

pub(super) struct PasswordGuessing {
    rule: Detection,
    ways: Recent<(IpAddr, IpAddr, Port), Repeated>,
}

impl PasswordGuessing {
    pub(super) fn new(rule: &Detection) -> Self {
        Self {
            ways: Recent::new(rule.remember, rule.within),
            rule: rule.clone(),
        }
    }
}

impl Detect for PasswordGuessing {
    fn add(&mut self, seen: &Seen<'_>) -> Option<Raised> {
        let attempt = seen
            .attempt
            .filter(|attempt| attempt.verdict != Verdict::Blocked)?;
        let short = attempt.length.map(|length| length < self.rule.shorter_than);
        if short == Some(false) {
            return None;
        }
        let port = seen.event.port?;
        let (source, destination) = (seen.event.source, seen.event.destination);
        let this_got_through = attempt.verdict == Verdict::Allowed;
        let repeated = self.ways.of((source, destination, port), seen.at);
        repeated.add(seen.mark, this_got_through, self.rule.count, self.rule.within);
        if repeated.len() < self.rule.count {
            return None;
        }
        let count = repeated.len();
        let says = if short.is_some() {
            format!("{source} made {count} short connections to {destination} {port}")
        } else {
            format!(
                "{source} made {count} connections to {destination} {port}; how long they were is not logged"
            )
        };
        Some(Raised {
            about: About {
                source: Some(source),
                destination: Some(destination),
                port: Some(port),
                prefix: None,
            },
            marks: repeated.marks().collect(),
            events: count as u64,
            fresh: 1,
            got_through: repeated.got_through(),
            this_got_through,
            says,
        })
    }

    fn forgotten(&self) -> u64 {
        self.ways.forgotten()
    }
}
