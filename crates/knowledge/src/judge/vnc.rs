//! VNC (RFC 6143, 7.1.1): the twelve bytes that the server begins with, e.g. `RFB 003.008` and a line feed.

use portcullis_model::{Grade, Untrusted};

use super::{
    Subject, Verdict, silence_reasons,
    speech::{Speech, quoted_bytes},
};
use crate::Seen;

pub(super) fn judge(subject: &Subject<'_>, seen: &Seen) -> Option<Verdict> {
    if let [b'R', b'F', b'B', b' ', a, b, c, b'.', d, e, f, b'\n'] = seen.spoke_first.as_slice()
        && [a, b, c, d, e, f].iter().all(|digit| digit.is_ascii_digit())
    {
        let version = Untrusted::from_bytes(seen.spoke_first.trim_ascii());
        let verdict = Verdict::new(Grade::Proven, [format!("greets with `{version}`")]);
        return Some(verdict.field("revision", version));
    }
    let place = subject.place_reason("VNC")?;
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
        [format!("no VNC greeting but {said}")],
    ))
}
