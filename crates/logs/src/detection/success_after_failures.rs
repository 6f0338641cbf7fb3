//! A source that failed many times gets through to the same port: it was let in, or it has found the password.
//!
//! A failure is what was blocked, or a short session. A success is a session of some length, or what got through where the
//! failures were blocked.

use std::net::IpAddr;

use portcullis_model::{Detection, LogMoment, Port, Verdict};

use super::{
    Detect, Seen,
    finding::{About, Raised},
    recent::Recent,
    repeated::Repeated,
};

#[derive(Debug, Default)]
struct Failures {
    blocked: Repeated,
    short: Repeated,
}

pub(super) struct SuccessAfterFailures {
    rule: Detection,
    ways: Recent<(IpAddr, IpAddr, Port), Failures>,
}

impl SuccessAfterFailures {
    pub(super) fn new(rule: &Detection) -> Self {
        Self {
            ways: Recent::new(rule.remember, rule.within),
            rule: rule.clone(),
        }
    }
}

impl Detect for SuccessAfterFailures {
    fn add(&mut self, seen: &Seen<'_>) -> Option<Raised> {
        let attempt = seen.attempt?;
        let port = seen.event.port?;
        let (source, destination) = (seen.event.source, seen.event.destination);
        let way = (source, destination, port);
        let (count, within) = (self.rule.count, self.rule.within);
        let short = attempt.length.map(|length| length < self.rule.shorter_than);
        match (attempt.verdict, short) {
            (Verdict::Blocked, _) => {
                let failures = self.ways.of(way, seen.at);
                failures.blocked.add(seen.mark, false, count, within);
                return None;
            }
            (Verdict::Unknown, _) => return None,
            (Verdict::Allowed, _) => {}
        }
        // Whoever never failed needs no room.
        let failed = self.ways.get(&way).is_some();
        if short == Some(true) {
            let failures = self.ways.of(way, seen.at);
            failures.short.add(seen.mark, true, count, within);
        } else if !failed {
            return None;
        }
        let failures = self.ways.of(way, seen.at);
        failures.blocked.forget(seen.at, within);
        failures.short.forget(seen.at, within);
        // A short session that got through where others were blocked is through all the same; one among short ones is one more
        // failure. A packet alone tells nothing of a session.
        let (before, failed_how) = if failures.blocked.len() >= count {
            (&failures.blocked, "was blocked")
        } else if failures.short.len() >= count && short == Some(false) && seen.event.moment == LogMoment::End
        {
            (&failures.short, "stayed only a moment")
        } else {
            return None;
        };
        let mut marks: Vec<_> = before.marks().collect();
        let (events, got_through) = (before.len() as u64 + 1, before.got_through() + 1);
        let says = format!(
            "{source} {failed_how} {} times or more, and then got through to {destination} {port}",
            before.len()
        );
        // Evidence is named from the front: what got through comes before the failures.
        marks.insert(0, seen.mark);
        failures.blocked.clear();
        failures.short.clear();
        Some(Raised {
            about: About {
                source: Some(source),
                destination: Some(destination),
                port: Some(port),
                prefix: None,
            },
            marks,
            events,
            fresh: 1,
            got_through,
            this_got_through: true,
            says,
        })
    }

    fn forgotten(&self) -> u64 {
        self.ways.forgotten()
    }
}
