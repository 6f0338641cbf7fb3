//! HTTP: a status line proves it, whether it was asked for or not.

use portcullis_model::{Grade, Untrusted};

use super::{
    Subject, Verdict, silence_reasons,
    speech::{Speech, quoted_bytes},
};
use crate::Seen;

/// Longest title or server name that is kept, in characters.
const LONGEST_NAME: usize = 120;

pub(super) fn judge(subject: &Subject<'_>, seen: &Seen) -> Option<Verdict> {
    let bytes = seen.bytes();
    if let Speech::Http(line) = Speech::of(bytes) {
        let how = if seen.spoke_first.is_empty() {
            "answered"
        } else {
            "sent unasked"
        };
        let server = header(bytes, "server");
        let name = title(bytes).or_else(|| server.clone());
        let verdict = Verdict::new(Grade::Proven, [format!("{how} `{line}`")]);
        return Some(
            verdict
                .field("name", name.unwrap_or_else(|| Untrusted::new("")))
                .field("server", server.unwrap_or_else(|| Untrusted::new(""))),
        );
    }
    let place = subject.place_reason("HTTP")?;
    if !bytes.is_empty() {
        let said = Speech::of(bytes)
            .described()
            .unwrap_or_else(|| quoted_bytes(bytes));
        return Some(Verdict::new(
            Grade::RuledOut,
            [format!("no HTTP status line but {said}")],
        ));
    }
    // A server that does not answer a GET speaks for nothing and against little: other services decide.
    if seen.request.is_some() {
        return None;
    }
    let reasons = std::iter::once(place).chain(silence_reasons(seen));
    Some(Verdict::new(Grade::Possible, reasons))
}

/// The value of a header.
pub(super) fn header(bytes: &[u8], wanted: &str) -> Option<Untrusted> {
    let text = String::from_utf8_lossy(bytes);
    text.lines()
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case(wanted))
        .and_then(|(_, value)| bounded(value))
}

/// The text of the page's title.
pub(super) fn title(bytes: &[u8]) -> Option<Untrusted> {
    let text = String::from_utf8_lossy(bytes);
    // Lowering ASCII letters keeps every offset.
    let lower = text.to_ascii_lowercase();
    let tag = lower.find("<title")?;
    let begin = tag + lower.get(tag..)?.find('>')? + 1;
    let length = lower.get(begin..)?.find("</title")?;
    bounded(text.get(begin..begin + length)?)
}

fn bounded(text: &str) -> Option<Untrusted> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let text: String = words.join(" ").chars().take(LONGEST_NAME).collect();
    (!text.is_empty()).then(|| Untrusted::new(text))
}
