//! Services that show themselves in HTTP: in a header, in the title or in the text of the page.

use portcullis_model::{Grade, Untrusted};

use super::{
    Subject, Verdict,
    http::{header, title},
    not_shown,
    speech::Speech,
};
use crate::{Seen, service::Page};

/// Pages other than `/` that a service may be asked for. Any other could be one that does something.
pub(super) const PATHS: &[&str] = &["/v2/"];

pub(super) fn judge(subject: &Subject<'_>, seen: &Seen) -> Option<Verdict> {
    let bytes = seen.bytes();
    let page = matches!(Speech::of(bytes), Speech::Http(_))
        .then(|| subject.service.pages.iter().find(|page| shows(page, bytes)))
        .flatten();
    match page {
        Some(page) => Some(found(page, bytes)),
        None => not_shown(subject, seen),
    }
}

/// Whether all marks of a page are there.
fn shows(page: &Page, bytes: &[u8]) -> bool {
    let begins = |wanted: &str, text: Option<Untrusted>| {
        wanted.is_empty() || text.is_some_and(|text| text.raw().starts_with(wanted))
    };
    let server = header(bytes, "server");
    let named = server.as_ref().map_or("", Untrusted::raw);
    named.contains(&page.server_names)
        && begins(&page.server, server.clone())
        && begins(&page.title, title(bytes))
        && page
            .header
            .split_once(": ")
            .is_none_or(|(name, value)| begins(value, header(bytes, name)))
        && page
            .contains
            .iter()
            .all(|text| bytes.windows(text.len()).any(|window| window == text.as_bytes()))
}

fn found(page: &Page, bytes: &[u8]) -> Verdict {
    let marks: Vec<String> = [
        ("a Server header that begins with", &page.server),
        ("a Server header with", &page.server_names),
        ("the header", &page.header),
        ("a title that begins with", &page.title),
    ]
    .into_iter()
    .filter(|(_, mark)| !mark.is_empty())
    .map(|(what, mark)| format!("{what} `{mark}`"))
    .chain(page.contains.iter().map(|text| format!("the text `{text}`")))
    .collect();
    let reason = format!("answered in HTTP with {}", marks.join(" and "));
    let verdict = Verdict::new(Grade::Proven, [reason])
        .field("vendor", Untrusted::new(page.vendor.as_str()))
        .field("model", Untrusted::new(page.model.as_str()));
    [("name", title(bytes)), ("server", header(bytes, "server"))]
        .into_iter()
        .fold(verdict, |verdict, (name, text)| match text {
            Some(text) => verdict.field(name, text),
            None => verdict,
        })
}
