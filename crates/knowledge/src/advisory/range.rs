//! The versions that an advisory means, read from what it writes: `vers:` ranges and the usual free texts.
//!
//! What cannot be read is kept as it was written and decides nothing: no version is inside it, and none is outside.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use crate::Version;

/// The longest text that is read as a range, in bytes.
const LONGEST: usize = 400;

/// Versions as an advisory writes them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Versions {
    /// The text of the advisory.
    pub(super) written: String,
    /// What it means; `None` when it cannot be read.
    meant: Option<Vec<Span>>,
    /// Versions that are left out of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    except: Vec<String>,
}

/// Versions from one bound to another; without any bound, all there are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Span {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lower: Option<Bound>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    upper: Option<Bound>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Bound {
    version: String,
    inclusive: bool,
}

/// One comparison, as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Comparison {
    Equal(String),
    Except(String),
    Lower(Bound),
    Upper(Bound),
    All,
}

impl Versions {
    /// Reads a text.
    pub(super) fn read(written: &str) -> Self {
        let comparisons = comparisons(written.trim()).filter(|found| !found.is_empty());
        let except = comparisons.iter().flatten().filter_map(|one| match one {
            Comparison::Except(version) => Some(version.clone()),
            _ => None,
        });
        Self {
            written: super::csaf::shortened(written.trim(), LONGEST),
            except: except.collect(),
            meant: comparisons.and_then(spans),
        }
    }

    /// All versions.
    pub(super) fn all() -> Self {
        Self {
            written: "all versions".into(),
            meant: Some(vec![Span::default()]),
            except: Vec::new(),
        }
    }

    /// Whether it could be read.
    pub(super) fn is_readable(&self) -> bool {
        self.meant.is_some()
    }

    /// Whether every version is meant.
    pub(super) fn is_all(&self) -> bool {
        let all = |spans: &Vec<Span>| spans.iter().any(|span| *span == Span::default());
        self.except.is_empty() && self.meant.as_ref().is_some_and(all)
    }

    /// Whether it names single versions only, so that it says nothing of any other.
    pub(super) fn is_list(&self) -> bool {
        let single = |span: &Span| span.lower.is_some() && span.lower == span.upper;
        self.meant.as_ref().is_some_and(|spans| spans.iter().all(single))
    }

    /// The same with every later version, for an advisory that names the first affected one.
    pub(super) fn and_later(mut self) -> Self {
        for span in self.meant.iter_mut().flatten() {
            span.upper = None;
        }
        self.written.push_str(" and later");
        self
    }

    /// The same with every earlier version, for an advisory that names the last affected one.
    pub(super) fn and_earlier(mut self) -> Self {
        for span in self.meant.iter_mut().flatten() {
            span.lower = None;
        }
        self.written.push_str(" and earlier");
        self
    }

    /// From the first of one to the last of another. Where either is no single span, nothing can be told.
    pub(super) fn up_to(&self, last: &Self) -> Self {
        let end = |versions: &Self| match versions.meant.as_deref() {
            Some([span]) => Some(span.clone()),
            _ => None,
        };
        let meant = end(self).zip(end(last)).map(|(first, last)| Span {
            lower: first.lower,
            upper: last.upper,
        });
        let first = self.written.trim_end_matches(" and later");
        Self {
            written: format!("{first} to {}", last.written.trim_end_matches(" and earlier")),
            meant: meant.map(|span| vec![span]),
            except: [self.except.clone(), last.except.clone()].concat(),
        }
    }

    /// Whether a version is meant; `None` when it cannot be told.
    pub(super) fn holds(&self, version: &Version) -> Option<bool> {
        for except in &self.except {
            match against(version, except) {
                Some(Ordering::Equal) => return Some(false),
                Some(_) => {}
                None => return None,
            }
        }
        let mut told = Some(false);
        for span in self.meant.as_ref()? {
            match span.holds(version) {
                Some(true) => return Some(true),
                Some(false) => {}
                None => told = None,
            }
        }
        told
    }
}

impl Span {
    fn holds(&self, version: &Version) -> Option<bool> {
        let side = |bound: &Option<Bound>, beyond: Ordering| match bound {
            None => Some(true),
            Some(bound) => against(version, &bound.version)
                .map(|order| order == beyond || (order.is_eq() && bound.inclusive)),
        };
        match (
            side(&self.lower, Ordering::Greater),
            side(&self.upper, Ordering::Less),
        ) {
            (Some(false), _) | (_, Some(false)) => Some(false),
            (Some(true), Some(true)) => Some(true),
            _ => None,
        }
    }
}

/// Where a version stands beside a boundary. A boundary without a build means all builds of that version.
pub(super) fn against(version: &Version, boundary: &str) -> Option<Ordering> {
    let other = boundary.parse::<Version>().ok()?;
    match (version.compare(&other), other.without_build() == other) {
        (None, true) => version.without_build().compare(&other),
        (order, _) => order,
    }
}

/// Puts comparisons together: a lower bound and the upper one behind it are one span (as the specification of `vers`
/// has it). Two upper bounds in a row, or two lower ones, have no meaning that is certain.
fn spans(comparisons: Vec<Comparison>) -> Option<Vec<Span>> {
    let mut spans: Vec<Span> = Vec::new();
    let mut open: Option<Bound> = None;
    let mut bounded = false;
    for comparison in comparisons {
        match comparison {
            Comparison::All => spans.push(Span::default()),
            Comparison::Except(_) => {}
            Comparison::Equal(version) => {
                let bound = Some(Bound {
                    version,
                    inclusive: true,
                });
                spans.push(Span {
                    lower: bound.clone(),
                    upper: bound,
                });
            }
            Comparison::Lower(bound) => {
                if open.replace(bound).is_some() {
                    return None;
                }
            }
            Comparison::Upper(bound) => {
                let lower = open.take();
                // `<1|<2`: the first of a row may stand alone, no later one.
                if lower.is_none() && bounded {
                    return None;
                }
                if lower.as_ref().is_some_and(|lower| !is_ordered(lower, &bound)) {
                    return None;
                }
                spans.push(Span {
                    lower,
                    upper: Some(bound),
                });
                bounded = true;
            }
        }
    }
    if open.is_some() {
        spans.push(Span {
            lower: open,
            upper: None,
        });
    }
    if spans.is_empty() {
        spans.push(Span::default());
    }
    Some(spans)
}

fn is_ordered(lower: &Bound, upper: &Bound) -> bool {
    let lower = lower.version.parse::<Version>().ok();
    lower
        .and_then(|lower| against(&lower, &upper.version))
        .is_some_and(Ordering::is_le)
}

fn comparisons(written: &str) -> Option<Vec<Comparison>> {
    if written.is_empty() || written.len() > LONGEST {
        return None;
    }
    match written.strip_prefix("vers:") {
        Some(range) => {
            let (_, constraints) = range.split_once('/')?;
            constraints
                .split('|')
                .map(|one| constraint(&decoded(one)?))
                .collect()
        }
        None => text::read(written),
    }
}

/// One constraint of `vers`: a comparator and a version, the comparator of equality being left out.
fn constraint(text: &str) -> Option<Comparison> {
    let text = text.trim();
    if text == "*" {
        return Some(Comparison::All);
    }
    let operators = ["<=", ">=", "!=", "<", ">", "="];
    let operator = operators.into_iter().find(|operator| text.starts_with(operator));
    let version = text.trim_start_matches(['<', '>', '=', '!']).trim();
    comparison(operator.unwrap_or("="), version)
}

fn comparison(operator: &str, version: &str) -> Option<Comparison> {
    let version = version.parse::<Version>().ok()?.to_string();
    let bound = |inclusive| Bound {
        version: version.clone(),
        inclusive,
    };
    Some(match operator {
        "<=" => Comparison::Upper(bound(true)),
        "<" => Comparison::Upper(bound(false)),
        ">=" => Comparison::Lower(bound(true)),
        ">" => Comparison::Lower(bound(false)),
        "!=" => Comparison::Except(version),
        _ => Comparison::Equal(version),
    })
}

/// Undoes percent encoding, which `vers` uses for characters of its own syntax.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: u8| {
            char::from(byte)
                .to_digit(16)
                .and_then(|digit| u8::try_from(digit).ok())
        };
        bytes.push(digit(rest.next()?)? << 4 | digit(rest.next()?)?);
    }
    String::from_utf8(bytes).ok()
}

/// Ranges as people write them.
mod text {
    use super::{Comparison, comparison};

    /// Words that add nothing to a range.
    const FILLING: [&str; 12] = [
        "version", "versions", "firmware", "release", "releases", "ver", "ver.", "all", "any", "the", "v",
        "and",
    ];

    /// Reads `<=1.2`, `>= 1.0 < 2.0`, `1.0 to 1.4`, `1.4 and earlier`, `prior to 1.5`, `all versions`, and lists of such
    /// with `|`, `,` or `;`.
    pub(super) fn read(written: &str) -> Option<Vec<Comparison>> {
        let text = written
            .to_lowercase()
            .replace('\u{2264}', "<=")
            .replace('\u{2265}', ">=");
        let all = text.split_whitespace().any(|word| matches!(word, "all" | "any")) || text == "*";
        let mut found = Vec::new();
        for part in text.split(['|', ',', ';']) {
            let words = words(part);
            if words.is_empty() {
                continue;
            }
            found.extend(part_of(&words)?);
        }
        if found.is_empty() && all {
            found.push(Comparison::All);
        }
        // "All 2.0 versions" may mean 2.0.7 as well.
        let single = found.iter().any(|one| matches!(one, Comparison::Equal(_)));
        (!(all && single)).then_some(found)
    }

    /// Operators, words and versions, one by one; a version and its build are one.
    fn words(part: &str) -> Vec<String> {
        let mut spaced = String::with_capacity(part.len());
        let mut before = ' ';
        for letter in part.chars() {
            let operator = |letter| matches!(letter, '<' | '>' | '=' | '!');
            if operator(letter) != operator(before) {
                spaced.push(' ');
            }
            spaced.push(letter);
            before = letter;
        }
        let mut words: Vec<String> = Vec::new();
        for word in spaced.split_whitespace() {
            let build = word.strip_prefix("(build").or_else(|| word.strip_prefix("build"));
            let wants_build = words.last().is_some_and(|last| last.ends_with(" build"));
            match (build, words.last_mut()) {
                (Some(digits), Some(last)) => {
                    last.push_str(" build");
                    last.push_str(digits.trim_matches([':', '.', ')']));
                }
                (None, Some(last)) if wants_build => last.push_str(word.trim_end_matches(')')),
                _ if FILLING.contains(&word) || word == "*" => {}
                _ => words.push(word.to_owned()),
            }
        }
        words
    }

    fn part_of(words: &[String]) -> Option<Vec<Comparison>> {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let mut rest = words.as_slice();
        let mut found = Vec::new();
        while !rest.is_empty() {
            let (comparisons, after) = match rest {
                [
                    operator @ ("<" | "<=" | ">" | ">=" | "=" | "==" | "!="),
                    version,
                    after @ ..,
                ] => {
                    let operator = if *operator == "==" { "=" } else { operator };
                    (vec![comparison(operator, version)?], after)
                }
                ["prior", "to", version, after @ ..]
                | [
                    "earlier" | "lower" | "older" | "less",
                    "than",
                    version,
                    after @ ..,
                ]
                | ["before" | "below", version, after @ ..] => (vec![comparison("<", version)?], after),
                [
                    "later" | "higher" | "newer" | "greater",
                    "than",
                    version,
                    after @ ..,
                ]
                | ["after" | "above", version, after @ ..] => (vec![comparison(">", version)?], after),
                ["up", "to", "including", version, after @ ..]
                | ["up", "to", version, after @ ..]
                | ["through" | "until" | "to", version, after @ ..] => {
                    (vec![comparison("<=", version)?], after)
                }
                ["from" | "since" | "starting", version, after @ ..] => {
                    (vec![comparison(">=", version)?], after)
                }
                [
                    first,
                    "to" | "through" | "-" | "\u{2013}" | "thru",
                    last,
                    after @ ..,
                ] => (vec![comparison(">=", first)?, comparison("<=", last)?], after),
                [version, "or" | "&", word, after @ ..] => (vec![beyond(version, word)?], after),
                [
                    version,
                    word @ ("earlier" | "prior" | "older" | "lower" | "below" | "later" | "newer" | "higher"
                    | "above"),
                ] => (vec![beyond(version, word)?], &[][..]),
                [version] => (vec![comparison("=", version)?], &[][..]),
                _ => return None,
            };
            found.extend(comparisons);
            rest = after;
        }
        Some(found)
    }

    fn beyond(version: &str, word: &str) -> Option<Comparison> {
        match word {
            "earlier" | "prior" | "older" | "lower" | "below" => comparison("<=", version),
            "later" | "newer" | "higher" | "above" => comparison(">=", version),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn inside(range: &str, version: &str) -> Option<bool> {
        Versions::read(range).holds(&version.parse().unwrap())
    }

    #[test]
    fn ranges_are_read_as_vendors_write_them() {
        for (range, within, without) in [
            ("<2.6", "2.5", "2.6"),
            ("<=1.2", "1.2", "1.3"),
            ("< 3.0", "2.9", "3.0"),
            ("\u{2264} 1.2", "1.2", "1.2.1"),
            ("1.0 to 1.4", "1.4", "1.5"),
            ("Versions 1.0 through 1.4", "1.0", "0.9"),
            ("1.0 - 1.4", "1.2", "1.5"),
            (">=1.0|<2.0", "1.5", "2.0"),
            (">= 1.0 < 2.0", "1.0", "0.9"),
            (">=1.0,<2.0", "1.9", "2.0"),
            ("All versions < V2.0", "1.9", "2.0"),
            ("All versions >= V1.0 and < V2.0", "1.9", "2.0"),
            ("1.4 and earlier", "1.4", "1.5"),
            ("Version 1.4 and prior", "1.0", "1.5"),
            ("1.4 or later", "1.5", "1.3"),
            ("versions prior to 1.5", "1.4", "1.5"),
            ("up to 1.4", "1.4", "1.4.1"),
            ("from 1.0 up to 1.4", "1.0", "0.9"),
            ("V2.6", "2.6", "2.7"),
            ("2.2, 2.4", "2.4", "2.3"),
            ("vers:intdot/<2.0.1", "2.0", "2.0.1"),
            ("vers:generic/>=1.0|<1.5|>=2.0|<2.5", "2.4", "1.7"),
            ("vers:generic/>=1.0|<2.0|!=1.5", "1.6", "1.5"),
            ("vers:generic/%3E%3D1.0", "1.0", "0.9"),
            ("<=2.9 Build 17030709", "2.9 Build 17030709", "2.9 Build 17030710"),
            ("<= 2.9 (Build 17030709)", "2.8", "2.10"),
        ] {
            assert_eq!(inside(range, within), Some(true), "{within} in `{range}`");
            assert_eq!(inside(range, without), Some(false), "{without} in `{range}`");
        }
        for range in [
            "all versions",
            "*",
            "vers:all/*",
            "vers:intdot/*",
            "All Versions",
            "any",
        ] {
            assert!(Versions::read(range).is_all(), "{range}");
        }
        assert!(Versions::read("2.6").is_list() && !Versions::read("<2.6").is_list());
    }

    #[test]
    fn what_cannot_be_read_decides_nothing() {
        for range in [
            "",
            "3.x",
            "see note",
            "<latest",
            "<1|<2",
            ">1|>2",
            ">2.0|<1.0",
            "before the summer of 2021",
            "all but 2.0",
            "all 2.0 versions",
            "vers:deb/<1:2.0-1",
            "vers:intdot",
            "1.0 to",
            "1.4 and most earlier",
        ] {
            let versions = Versions::read(range);
            assert!(!versions.is_readable(), "`{range}` was read as {versions:?}");
            assert_eq!(versions.holds(&"1.0".parse().unwrap()), None, "{range}");
        }
        assert_eq!(
            inside("<=2.9 Build 17030709", "2.9"),
            None,
            "a build that is not told"
        );
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,60}", operators in "[<>=!|, 0-9.v%a-z]{0,40}") {
            for text in [text.as_str(), &operators, &format!("vers:{operators}")] {
                let _ = Versions::read(text).holds(&"1.0".parse().unwrap());
            }
        }

        #[test]
        fn a_span_holds_what_lies_between_its_ends(low in 0u32..50, length in 0u32..50, asked in 0u32..120) {
            let range = Versions::read(&format!(">=1.{low}|<=1.{}", low + length));
            let version = format!("1.{asked}").parse().unwrap();
            prop_assert_eq!(range.holds(&version), Some((low..=low + length).contains(&asked)));
        }
    }
}
