//! TLS: a record that the server sent proves it. It is not asked: see the data file.

use portcullis_model::Grade;

use super::{
    Subject, Verdict, silence_reasons,
    speech::{Speech, quoted_bytes},
};
use crate::Seen;

pub(super) fn judge(subject: &Subject<'_>, seen: &Seen) -> Option<Verdict> {
    let speech = Speech::of(seen.bytes());
    if speech == Speech::Tls {
        return Some(Verdict::new(Grade::Proven, ["sent a TLS record".into()]));
    }
    let place = subject.place_reason("TLS (HTTPS)")?;
    if speech == Speech::Nothing {
        let reasons = std::iter::once(place).chain(silence_reasons(seen));
        return Some(Verdict::new(Grade::Possible, reasons));
    }
    let said = speech.described().unwrap_or_else(|| quoted_bytes(seen.bytes()));
    Some(Verdict::new(
        Grade::RuledOut,
        [format!("no TLS record but {said}")],
    ))
}
