//! Somebody gets through to a port that a change closes: the rule is not in force, or there is a way around it.
//!
//! Only what the log proves to have got through counts. Sources that the change lets through are left out.

use portcullis_model::Verdict;

use super::{
    Closed, Detect, Seen,
    finding::{About, Raised},
};

pub(super) struct ClosedPort(Vec<Closed>);

impl ClosedPort {
    pub(super) fn new(closed: Vec<Closed>) -> Self {
        Self(closed)
    }
}

impl Detect for ClosedPort {
    fn add(&mut self, seen: &Seen<'_>) -> Option<Raised> {
        let event = seen.event;
        // A connection that was up before the change is not cut by it, and its segments and its end are logged later.
        let attempt = seen
            .attempt
            .filter(|attempt| attempt.verdict == Verdict::Allowed)?;
        let began = match attempt.length {
            Some(length) => seen.at.checked_sub(length).ok()?,
            None => seen.at,
        };
        let port = event.port?;
        let source = event.source.to_canonical();
        let closed = self.0.iter().find(|closed| {
            closed.port == port
                && closed.since < began
                && closed.until.is_none_or(|until| seen.at < until)
                && (closed.hosts.is_empty() || closed.hosts.contains(event.destination.to_canonical()))
                && !closed.allowed.contains(source)
        })?;
        Some(Raised {
            about: About {
                source: Some(event.source),
                destination: Some(event.destination),
                port: Some(port),
                prefix: None,
            },
            marks: vec![seen.mark],
            events: 1,
            fresh: 1,
            got_through: 1,
            this_got_through: true,
            says: format!(
                "{} got through to {} {port}, which change {} closes for it",
                event.source, event.destination, closed.change
            ),
        })
    }
}
