//! `ConvertTo-Json`: an array of records, or a single one.

use std::borrow::Cow;

use portcullis_model::Untrusted;
use serde::{Deserialize, de::IgnoredAny};

use super::{Listing, Record, Unreadable};
use crate::listing::UnreadableLine;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Row {
    local_address: Option<Field>,
    local_port: Option<Field>,
    remote_address: Option<Field>,
    remote_port: Option<Field>,
    state: Option<Field>,
    owning_process: Option<Field>,
}

/// Ports and process ids are numbers, addresses text; the state is a number unless `-EnumsAsStrings` was given.
#[derive(Deserialize)]
#[serde(untagged)]
enum Field {
    Number(u64),
    Text(String),
    Other(IgnoredAny),
}

/// Finds where the document begins, behind prompts and command lines: its line and the text from there on.
/// `[10.0.0.5]: PS C:\>`, the prompt of a remote session, is no beginning.
pub(super) fn find(text: &str) -> Option<(usize, &str)> {
    if !text.contains("\"LocalAddress\":") {
        return None;
    }
    let mut offset = 0;
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let start = line.trim();
        let inside = start.strip_prefix(['[', '{']).map(str::trim_start);
        if inside.is_some_and(|inside| inside.is_empty() || inside.starts_with(['{', '"'])) {
            return Some((index + 1, text.get(offset..)?));
        }
        offset += line.len();
    }
    None
}

/// Reads record after record, so that those before a break are kept and what follows the document does not matter.
pub(super) fn read(document: &str, line: usize, listing: &mut Listing) {
    // A document that ends too soon is broken in its last line, not behind it.
    let last = line + line_breaks(document.trim_end(), "");
    let (list, mut rest) = match document.trim_start().strip_prefix('[') {
        Some(inside) => (true, inside.trim_start()),
        None => (false, document.trim_start()),
    };
    let mut line = line + line_breaks(document, rest);
    while !rest.is_empty() && !rest.starts_with(']') {
        let mut rows = serde_json::Deserializer::from_str(rest).into_iter::<Row>();
        match rows.next() {
            Some(Ok(row)) => listing.add_read(line, row.record().socket()),
            Some(Err(error)) => {
                let at = line + error.line().saturating_sub(1);
                return broken(at.min(last), &error.to_string(), listing);
            }
            None => break,
        }
        let after = rest.get(rows.byte_offset()..).unwrap_or_default().trim_start();
        let next = after.strip_prefix(',').map(str::trim_start);
        line += line_breaks(rest, next.unwrap_or(after));
        rest = next.unwrap_or(after);
        if next.is_none() {
            break;
        }
    }
    if list && !rest.starts_with(']') {
        broken(line.min(last), "the list is not closed", listing);
    }
}

fn broken(line: usize, why: &str, listing: &mut Listing) {
    // serde_json counts the lines from the record on; the line is given with the problem.
    let why = why.split_once(" at line ").map_or(why, |(why, _)| why);
    listing.unreadable.push(UnreadableLine {
        line,
        why: Unreadable::Json(Untrusted::new(why)),
    });
}

/// Line breaks in the part of `text` before `rest`, its end.
fn line_breaks(text: &str, rest: &str) -> usize {
    let before = text.len().saturating_sub(rest.len());
    text.bytes().take(before).filter(|byte| *byte == b'\n').count()
}

impl Row {
    fn record(self) -> Record<'static> {
        Record(
            [
                self.local_address,
                self.local_port,
                self.remote_address,
                self.remote_port,
                self.state,
                self.owning_process,
            ]
            .map(|field| field.and_then(Field::text)),
        )
    }
}

impl Field {
    fn text(self) -> Option<Cow<'static, str>> {
        match self {
            Self::Number(number) => Some(number.to_string().into()),
            Self::Text(text) => Some(text.into()),
            Self::Other(_) => None,
        }
    }
}
