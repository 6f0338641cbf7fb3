//! Lines of one rule that come as evenly as a limit lets them through: the counts are a lower bound then.
//!
//! A rule with a `limit` logs, while more comes than it allows, the same number of lines in each span. Somebody who knocks
//! by the clock looks the same; so the finding says what was seen, and the counter of the rule knows.

use std::time::Duration;

use portcullis_model::{Detection, Untrusted, Verdict};

use super::{
    Detect, Seen,
    finding::{About, Raised},
    marks::Mark,
    recent::Recent,
};

/// Fewer lines than that are in each span by chance.
const FEWEST: u64 = 3;

/// Spans of one rule that had the same number of lines, one after the other.
#[derive(Debug, Default)]
struct Even {
    /// Number of the span that is being counted, from the epoch.
    span: i64,
    lines: u64,
    first: Option<Mark>,
    /// Lines of each even span, and how many there were.
    each: u64,
    spans: u64,
    begun: Option<Mark>,
}

pub(super) struct RateLimit {
    rule: Detection,
    rules: Recent<Untrusted, Even>,
}

impl RateLimit {
    pub(super) fn new(rule: &Detection) -> Self {
        Self {
            // A rule is remembered for as many spans as make a sign.
            rules: Recent::new(
                rule.remember,
                rule.within
                    .saturating_mul(u32::try_from(rule.count).unwrap_or(u32::MAX)),
            ),
            rule: rule.clone(),
        }
    }
}

impl Detect for RateLimit {
    fn add(&mut self, seen: &Seen<'_>) -> Option<Raised> {
        let prefix = &seen.event.prefix;
        if prefix.raw().is_empty() {
            return None;
        }
        let length = i64::try_from(self.rule.within.as_secs()).ok()?.max(1);
        let span = seen.at.as_second().div_euclid(length);
        let even = self.rules.of(prefix.clone(), seen.at);
        if span == even.span {
            even.lines += 1;
            return None;
        }
        if span < even.span {
            return None;
        }
        let follows = span == even.span + 1;
        if follows && even.lines >= FEWEST && even.lines == even.each {
            even.spans += 1;
        } else {
            (even.each, even.spans, even.begun) = (even.lines, 1, even.first);
        }
        if !follows {
            (even.each, even.spans) = (0, 0);
        }
        (even.span, even.lines, even.first) = (span, 1, Some(seen.mark));
        let (each, spans) = (even.each, even.spans);
        if each < FEWEST || spans < self.rule.count as u64 {
            return None;
        }
        Some(Raised {
            about: About {
                prefix: Some(prefix.clone()),
                ..About::default()
            },
            marks: even.begun.into_iter().chain([seen.mark]).collect(),
            events: each * spans,
            fresh: each,
            got_through: 0,
            this_got_through: seen.event.verdict == Verdict::Allowed,
            says: format!(
                "rule `{prefix}` logged exactly {each} lines in each of {spans} spans of {} seconds: a limit of the rule was \
                 reached, or somebody knocks by the clock; counts are a lower bound, the counter of the rule knows more",
                Duration::as_secs(&self.rule.within)
            ),
        })
    }

    fn forgotten(&self) -> u64 {
        self.rules.forgotten()
    }
}
