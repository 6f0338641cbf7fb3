//! Niagara Fox: the hello that answers our hello. No login follows.
//!
//! Text: `fox a 0 -1 fox hello`, then `{`, one `key=type:value` a line, and `};;`.

use portcullis_model::{Grade, Untrusted};

use super::{Subject, Verdict, asked, cursor::padded_text};
use crate::Seen;

const HELLO: &[u8] = b"fox a 1 -1 fox hello\n{\nfox.version=s:1.0\nid=i:1\n};;\n";
pub(super) const REQUESTS: &[&[u8]] = &[HELLO];

/// What becomes of which key.
const FIELDS: [(&str, &str); 5] = [
    ("name", "hostName"),
    ("product", "app.name"),
    ("firmware", "app.version"),
    ("vendor", "brandId"),
    ("serial", "hostId"),
];

pub(super) fn judge(subject: &Subject<'_>, seen: &Seen) -> Option<Verdict> {
    subject.place?;
    // Either side may begin with its hello.
    if let Some(verdict) = read(&seen.spoke_first) {
        return Some(verdict);
    }
    asked::judge(subject, seen, "Niagara Fox", |_, reply| read(reply))
}

fn read(reply: &[u8]) -> Option<Verdict> {
    let body = reply.strip_prefix(b"fox a 0 -1 fox hello\n{\n")?;
    let complete = body.trim_ascii_end().strip_suffix(b"};;");
    value(body, "fox.version")?;
    let (grade, reason) = match complete {
        Some(_) => (Grade::Proven, "answered the Fox hello with its own"),
        None => (Grade::Likely, "began to answer the Fox hello with its own"),
    };
    let mut verdict = Verdict::new(grade, [reason.into()]);
    for (field, key) in FIELDS {
        if let Some(text) = value(complete.unwrap_or(body), key) {
            verdict = verdict.field(field, text);
        }
    }
    // Our own hello has none of these keys.
    (!verdict.fields.is_empty()).then_some(verdict)
}

/// The value of a key, without its type.
fn value(body: &[u8], key: &str) -> Option<Untrusted> {
    body.split(|byte| *byte == b'\n')
        .filter_map(|line| line.strip_prefix(key.as_bytes())?.strip_prefix(b"="))
        .find_map(|typed| {
            let colon = typed.iter().position(|byte| *byte == b':')?;
            padded_text(typed.get(colon + 1..)?)
        })
}
