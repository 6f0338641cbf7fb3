//! Services that greet with a text of their own.

use portcullis_model::{Grade, Untrusted};

use super::{Subject, Verdict, console, not_shown, speech::Speech};
use crate::{Seen, service::Banner};

pub(super) fn judge(subject: &Subject<'_>, seen: &Seen) -> Option<Verdict> {
    let banner = subject.service.banner.as_ref()?;
    if greets(banner, &seen.spoke_first) {
        return Some(found(banner, &seen.spoke_first));
    }
    not_shown(subject, seen)
}

fn greets(banner: &Banner, bytes: &[u8]) -> bool {
    let text = console::readable(bytes);
    !text.is_empty()
        && text.starts_with(&banner.begins)
        && banner.contains.iter().all(|wanted| text.contains(wanted))
}

fn found(banner: &Banner, bytes: &[u8]) -> Verdict {
    let line = match Speech::of(console::readable(bytes).as_bytes()) {
        Speech::Ssh(line) | Speech::Text(line) | Speech::Http(line) => line,
        _ => Untrusted::new(""),
    };
    let reason = format!("greets as it does: `{line}`");
    Verdict::new(Grade::Proven, [reason])
        .field("vendor", Untrusted::new(banner.vendor.as_str()))
        .field("name", line)
}
