//! No lines for a time, where each span of that length had some before: the log, the rule or the firewall is off, or the way
//! the lines take.
//!
//! It shows with the first line after the silence. What is silent still, only one who looks at a clock can tell.

use jiff::Timestamp;
use portcullis_model::Detection;

use super::{
    Detect, Seen,
    finding::{About, Raised},
    marks::Mark,
    recent::since,
};

pub(super) struct Silence {
    rule: Detection,
    last: Option<Mark>,
    /// From when on each span had lines.
    lively_since: Option<Timestamp>,
}

impl Silence {
    pub(super) fn new(rule: &Detection) -> Self {
        Self {
            rule: rule.clone(),
            last: None,
            lively_since: None,
        }
    }
}

impl Detect for Silence {
    fn add(&mut self, seen: &Seen<'_>) -> Option<Raised> {
        let Some(last) = self.last else {
            self.last = Some(seen.mark);
            self.lively_since = Some(seen.at);
            return None;
        };
        let gap = since(last.at, seen.at);
        if seen.at > last.at {
            self.last = Some(seen.mark);
        }
        if gap < self.rule.within {
            return None;
        }
        let lively_since = self.lively_since.replace(seen.at)?;
        let needed = self
            .rule
            .within
            .saturating_mul(u32::try_from(self.rule.count).unwrap_or(u32::MAX));
        let lively = since(lively_since, last.at);
        (lively >= needed).then(|| Raised {
            about: About::default(),
            marks: vec![last, seen.mark],
            events: 2,
            fresh: 2,
            got_through: 0,
            this_got_through: false,
            says: format!(
                "no line from {} to {}, after {} with lines all the time",
                last.at,
                seen.at,
                in_words(lively)
            ),
        })
    }
}

fn in_words(span: std::time::Duration) -> String {
    let minutes = span.as_secs() / 60;
    match minutes {
        0..120 => format!("{minutes} minutes"),
        120..2880 => format!("{} hours", minutes / 60),
        _ => format!("{} days", minutes / (24 * 60)),
    }
}
