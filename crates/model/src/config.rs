//! Reading a configuration file so that every mistake in it is reported at once, each with its line.

use std::{
    cell::RefCell, collections::BTreeSet, fmt, fmt::Write as _, ops::RangeInclusive, str::FromStr,
    time::Duration,
};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::{Exit, Fault, sanitize};

/// One mistake in a configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Line, from 1.
    pub line: usize,
    /// What is wrong, and what to write instead.
    pub what: String,
}

/// All mistakes of one configuration file, in the order of their lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The file as it was named.
    pub file: String,
    /// At least one.
    pub problems: Vec<Problem>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.problems.len();
        write!(
            f,
            "{} has {count} mistake{}",
            sanitize(&self.file),
            if count == 1 { "" } else { "s" }
        )?;
        for Problem { line, what } in &self.problems {
            write!(f, "\n  line {line}: {}", sanitize(what))?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

impl Fault for ConfigError {
    fn code(&self) -> &'static str {
        "CF001"
    }
    fn hint(&self) -> Option<String> {
        Some("correct these lines; nothing was started".into())
    }
    fn exit(&self) -> Exit {
        Exit::Usage
    }
}

/// A value and where it stands in the file.
#[derive(Debug, Clone)]
pub(crate) struct Located<T> {
    pub(crate) value: T,
    pub(crate) offset: usize,
}

/// Collects the problems of one file while its sections are read.
pub(crate) struct Document<'s> {
    source: &'s str,
    problems: RefCell<Vec<(usize, String)>>,
}

impl<'s> Document<'s> {
    /// Reads a whole file: `read` takes the values out of the top section and reports what is wrong with them.
    pub(crate) fn read<T>(
        file: &str,
        source: &'s str,
        read: impl FnOnce(&Document<'s>, &mut Section<'_, 's>) -> T,
    ) -> Result<T, ConfigError> {
        let document = Self {
            source,
            problems: RefCell::default(),
        };
        let (top, mistakes) = DeTable::parse_recoverable(source);
        let broken: Vec<(usize, String)> = mistakes
            .iter()
            .map(|mistake| {
                (
                    mistake.span().map_or(0, |span| span.start),
                    format!("not valid TOML: {}", mistake.message()),
                )
            })
            .collect();
        // After a syntax error the sections that could be read are still checked: one look shows all there is to mend.
        let mut section = Section::new(&document, top.get_ref(), 0, "the file");
        let value = read(&document, &mut section);
        section.finish();
        // What else seems wrong with a broken line follows from its being broken.
        let broken_lines: BTreeSet<usize> = broken
            .iter()
            .map(|(offset, _)| line_of(source, *offset))
            .collect();
        let mut problems = document.problems.take();
        problems.retain(|(offset, _)| !broken_lines.contains(&line_of(source, *offset)));
        problems.extend(broken);
        if problems.is_empty() {
            return Ok(value);
        }
        problems.sort();
        problems.dedup();
        let problems = problems
            .into_iter()
            .map(|(offset, what)| Problem {
                line: line_of(source, offset),
                what,
            })
            .collect();
        Err(ConfigError {
            file: file.into(),
            problems,
        })
    }

    /// Notes a mistake at a byte offset.
    pub(crate) fn problem(&self, offset: usize, what: impl Into<String>) {
        self.problems
            .borrow_mut()
            .push((offset.min(self.source.len()), what.into()));
    }
}

fn line_of(source: &str, offset: usize) -> usize {
    source.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

/// One table of the file. Keys that nobody asked for are reported by [`Section::finish`].
pub(crate) struct Section<'d, 's> {
    document: &'d Document<'s>,
    table: &'d DeTable<'s>,
    name: &'d str,
    asked: BTreeSet<&'static str>,
    /// Where the section begins.
    pub(crate) offset: usize,
}

impl<'d, 's> Section<'d, 's> {
    fn new(document: &'d Document<'s>, table: &'d DeTable<'s>, offset: usize, name: &'d str) -> Self {
        Self {
            document,
            table,
            name,
            asked: BTreeSet::new(),
            offset,
        }
    }

    fn ask(&mut self, key: &'static str) -> Option<&'d Spanned<DeValue<'s>>> {
        self.asked.insert(key);
        self.table
            .iter()
            .find(|(name, _)| name.get_ref() == key)
            .map(|(_, value)| value)
    }

    /// A text that must be there and not be empty.
    pub(crate) fn required(&mut self, key: &'static str) -> Option<Located<String>> {
        let found = self.ask(key).is_some();
        let text = self.text(key);
        match &text {
            None if !found => {
                self.document
                    .problem(self.offset, format!("{} has no `{key}`", self.name));
            }
            Some(text) if text.value.trim().is_empty() => {
                self.document.problem(text.offset, format!("`{key}` is empty"));
                return None;
            }
            _ => {}
        }
        text
    }

    /// A text that may be missing.
    pub(crate) fn text(&mut self, key: &'static str) -> Option<Located<String>> {
        let value = self.ask(key)?;
        let offset = value.span().start;
        match value.get_ref() {
            DeValue::String(text) => Some(Located {
                value: text.to_string(),
                offset,
            }),
            _ => {
                self.document
                    .problem(offset, format!("`{key}` must be a text in quotes"));
                None
            }
        }
    }

    /// A yes or no; a missing key is no.
    pub(crate) fn flag(&mut self, key: &'static str) -> bool {
        let Some(value) = self.ask(key) else {
            return false;
        };
        match value.get_ref() {
            DeValue::Boolean(flag) => *flag,
            _ => {
                let what = format!("`{key}` must be true or false, without quotes");
                self.document.problem(value.span().start, what);
                false
            }
        }
    }

    /// A whole number within bounds; `None` when the key is missing or wrong.
    pub(crate) fn number(&mut self, key: &'static str, bounds: RangeInclusive<usize>) -> Option<usize> {
        let value = self.ask(key)?;
        let number = match value.get_ref() {
            DeValue::Integer(number) => {
                usize::from_str_radix(&number.as_str().replace('_', ""), number.radix())
                    .ok()
                    .filter(|number| bounds.contains(number))
            }
            _ => None,
        };
        if number.is_none() {
            let (least, most) = (bounds.start(), bounds.end());
            let what = format!("`{key}` must be a whole number from {least} to {most}, without quotes");
            self.document.problem(value.span().start, what);
        }
        number
    }

    /// A length of time of at least one second, such as `90s`, `5m`, `2h` or `7d`.
    pub(crate) fn span(&mut self, key: &'static str, longest: Duration) -> Option<Duration> {
        self.span_at(key, longest).map(|span| span.value)
    }

    /// The same, with its place.
    pub(crate) fn span_at(&mut self, key: &'static str, longest: Duration) -> Option<Located<Duration>> {
        let Located { value, offset } = self.text(key)?;
        let span = time_span(&value).filter(|span| *span <= longest);
        if span.is_none() {
            let days = longest.as_secs() / (24 * 3600);
            let what = format!(
                "`{key}`: `{value}` is not a time such as 90s, 5m, 2h or 7d, of at least 1s and at most {days}d"
            );
            self.document.problem(offset, what);
        }
        span.map(|value| Located { value, offset })
    }

    /// A list of texts; a missing key gives an empty list.
    pub(crate) fn texts(&mut self, key: &'static str) -> Vec<Located<String>> {
        let Some(value) = self.ask(key) else {
            return Vec::new();
        };
        let DeValue::Array(items) = value.get_ref() else {
            self.document.problem(
                value.span().start,
                format!("`{key}` must be a list of texts: [\"…\"]"),
            );
            return Vec::new();
        };
        let mut texts = Vec::new();
        for item in items.iter() {
            match item.get_ref() {
                DeValue::String(text) => {
                    texts.push(Located {
                        value: text.to_string(),
                        offset: item.span().start,
                    });
                }
                _ => self.document.problem(
                    item.span().start,
                    format!("`{key}` may hold only texts in quotes"),
                ),
            }
        }
        texts
    }

    /// Reports a list that is there and empty.
    pub(crate) fn not_empty(&mut self, key: &'static str) {
        if let Some(value) = self.ask(key)
            && matches!(value.get_ref(), DeValue::Array(items) if items.is_empty())
        {
            self.document.problem(
                value.span().start,
                format!("`{key}` is an empty list: fill it, or leave it out"),
            );
        }
    }

    /// A list of values that are written as texts; those that do not parse are reported and left out.
    pub(crate) fn parsed<T: FromStr<Err: fmt::Display>>(&mut self, key: &'static str) -> Vec<Located<T>> {
        let document = self.document;
        self.texts(key)
            .into_iter()
            .filter_map(|Located { value, offset }| match value.parse() {
                Ok(value) => Some(Located { value, offset }),
                Err(error) => {
                    document.problem(offset, format!("`{key}`: {error}"));
                    None
                }
            })
            .collect()
    }

    /// One `[key]` section, if it is there.
    pub(crate) fn section(&mut self, key: &'static str) -> Option<Section<'d, 's>> {
        let value = self.ask(key)?;
        match value.get_ref() {
            DeValue::Table(table) => Some(Section::new(self.document, table, value.span().start, key)),
            _ => {
                self.document
                    .problem(value.span().start, format!("`{key}` must be a section: [{key}]"));
                None
            }
        }
    }

    /// All `[[key]]` sections.
    pub(crate) fn sections(&mut self, key: &'static str) -> Vec<Section<'d, 's>> {
        let Some(value) = self.ask(key) else {
            return Vec::new();
        };
        let wrong = || {
            self.document.problem(
                value.span().start,
                format!("`{key}` must be a list of sections: [[{key}]]"),
            );
        };
        let DeValue::Array(items) = value.get_ref() else {
            wrong();
            return Vec::new();
        };
        let mut sections = Vec::new();
        for item in items.iter() {
            match item.get_ref() {
                DeValue::Table(table) => {
                    sections.push(Section::new(self.document, table, item.span().start, key));
                }
                _ => wrong(),
            }
        }
        sections
    }

    /// Reports the keys that nobody asked for.
    pub(crate) fn finish(self) {
        for (key, _) in self.table.iter() {
            if !self.asked.contains(key.get_ref().as_ref()) {
                let mut what = format!("unknown key `{}` in {}", key.get_ref(), self.name);
                if let Some(near) = nearest(key.get_ref(), self.asked.iter().copied()) {
                    let _ = write!(what, "; did you mean `{near}`?");
                }
                self.document.problem(key.span().start, what);
            }
        }
    }
}

/// A number and its unit: seconds, minutes, hours or days. Not nothing.
fn time_span(text: &str) -> Option<Duration> {
    let (number, seconds) = [("s", 1), ("m", 60), ("h", 3600), ("d", 24 * 3600)]
        .into_iter()
        .find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, seconds)))?;
    // `parse` alone would take a sign.
    if !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let seconds = number.parse::<u64>().ok()?.checked_mul(seconds)?;
    (seconds > 0).then(|| Duration::from_secs(seconds))
}

/// The known name that is closest to a mistyped one, if any is close enough to be meant.
pub(crate) fn nearest<'a>(typed: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|name| (edit_distance(typed, name), name))
        .filter(|(distance, name)| *distance <= 1 + name.len() / 4)
        .min()
        .map(|(_, name)| name)
}

/// Levenshtein distance in characters.
fn edit_distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (above, character) in from.chars().enumerate() {
        let mut diagonal = above;
        let mut left = above + 1;
        let mut next = vec![left];
        for (cell, other) in row.iter().skip(1).zip(&to) {
            left = (left + 1)
                .min(cell + 1)
                .min(diagonal + usize::from(character != *other));
            diagonal = *cell;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_span_needs_a_number_and_a_unit() {
        assert_eq!(time_span("90s"), Some(Duration::from_secs(90)));
        assert_eq!(time_span("7d"), Some(Duration::from_secs(604_800)));
        for text in [
            "",
            "s",
            "0s",
            "+5m",
            "-5m",
            "5",
            "5 m",
            "99999999999999999999d",
            "1w",
        ] {
            assert_eq!(time_span(text), None, "{text}");
        }
    }

    #[test]
    fn a_slip_of_the_finger_is_recognised_and_another_word_is_not() {
        let known = ["control", "engineering", "office"];
        assert_eq!(nearest("enginering", known.into_iter()), Some("engineering"));
        assert_eq!(nearest("dmz", known.into_iter()), None);
        assert_eq!(edit_distance("kitten", "sitting"), 3);
    }
}
