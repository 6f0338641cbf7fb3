//! Services that greet with a text of their own.

use portcullis_model::{Grade, Untrusted};

use super::{
    Place, Subject, Verdict, console, silence_reasons,
    speech::{Speech, quoted_bytes},
};
use crate::{Seen, service::Banner};

pub(super) fn judge(subject: &Subject<'_>, seen: &Seen) -> Option<Verdict> {
    let banner = subject.service.banner.as_ref()?;
    if greets(banner, &seen.spoke_first) {
        return Some(found(banner, &seen.spoke_first));
    }
    // The port belongs to others as well: silence and other greetings there name nobody.
    if subject.place != Some(Place::Moved) {
        return None;
    }
    let place = subject.place_reason(&subject.service.title)?;
    let bytes = seen.bytes();
    if bytes.is_empty() {
        return Some(Verdict::new(
            Grade::Possible,
            std::iter::once(place).chain(silence_reasons(seen)),
        ));
    }
    let said = Speech::of(bytes)
        .described()
        .unwrap_or_else(|| quoted_bytes(bytes));
    Some(Verdict::new(
        Grade::RuledOut,
        [format!(
            "does not greet as {} does: {said}",
            subject.service.title
        )],
    ))
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
