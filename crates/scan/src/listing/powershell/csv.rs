//! `Export-Csv` and `ConvertTo-Csv` (RFC 4180, with the separator of the host's culture).

use std::borrow::Cow;

use super::{Record, Socket, Unreadable};

/// Fields of a line that are looked at; the cmdlet has 36 properties.
const FIELDS: usize = 128;

/// The first line, which names the columns.
pub(super) struct Header<'t> {
    separator: char,
    columns: Vec<Cow<'t, str>>,
}

impl<'t> Header<'t> {
    pub(super) fn read(line: &'t str) -> Option<Self> {
        if !line.contains("LocalAddress") {
            return None;
        }
        [',', ';', '\t'].into_iter().find_map(|separator| {
            let columns = fields(line, separator);
            let named = |name: &str| columns.iter().any(|column| column == name);
            (named("LocalAddress") && named("LocalPort")).then_some(Self { separator, columns })
        })
    }

    /// Reads a line under the header; `None` when it is no line of the file.
    pub(super) fn row(&self, line: &str) -> Option<Result<Socket, Unreadable>> {
        if !line.contains(self.separator) {
            return None;
        }
        let fields = fields(line, self.separator);
        if fields.len() != self.columns.len() {
            return Some(Err(Unreadable::Columns));
        }
        let mut record = Record::default();
        for (column, field) in self.columns.iter().zip(fields) {
            record.set(column, field);
        }
        Some(record.socket())
    }
}

/// Splits a line. A quoted field does not run over its end: none of the properties that are read holds a line break.
fn fields(line: &str, separator: char) -> Vec<Cow<'_, str>> {
    let mut fields = Vec::new();
    let mut rest = Some(line.trim());
    while let Some(text) = rest.filter(|_| fields.len() < FIELDS) {
        let (quoted, after) = match text.strip_prefix('"') {
            Some(text) => quoted(text),
            None => (Cow::Borrowed(""), text),
        };
        let (plain, next) = match after.split_once(separator) {
            Some((plain, next)) => (plain, Some(next)),
            None => (after, None),
        };
        fields.push(if quoted.is_empty() {
            Cow::Borrowed(plain)
        } else {
            quoted
        });
        rest = next;
    }
    fields
}

/// Reads up to the closing quote; two quotes stand for one.
fn quoted(text: &str) -> (Cow<'_, str>, &str) {
    let mut field = String::new();
    let mut rest = text;
    while let Some((part, after)) = rest.split_once('"') {
        field.push_str(part);
        let Some(more) = after.strip_prefix('"') else {
            return (field.into(), after);
        };
        field.push('"');
        rest = more;
    }
    field.push_str(rest);
    (field.into(), "")
}
