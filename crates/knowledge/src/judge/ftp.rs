//! FTP (RFC 959, 4.2 and 5.4): the greeting 220 that names the service. Mail servers greet with 220 too.

use portcullis_model::Grade;

use super::{
    Subject, Verdict, silence_reasons,
    speech::{Speech, quoted_bytes},
};
use crate::Seen;

pub(super) fn judge(subject: &Subject<'_>, seen: &Seen) -> Option<Verdict> {
    if let Speech::Text(line) = Speech::of(&seen.spoke_first) {
        let greets = line.raw().starts_with("220 ") || line.raw().starts_with("220-");
        if greets && line.raw().to_ascii_uppercase().contains("FTP") {
            let verdict = Verdict::new(Grade::Proven, [format!("greets with `{line}`")]);
            return Some(verdict.field("name", line));
        }
    }
    let place = subject.place_reason("FTP")?;
    let bytes = seen.bytes();
    match Speech::of(bytes) {
        Speech::Nothing => Some(Verdict::new(
            Grade::Possible,
            std::iter::once(place).chain(silence_reasons(seen)),
        )),
        Speech::Text(line) if line.raw().starts_with("220") => Some(Verdict::new(
            Grade::Possible,
            [
                place,
                format!("greets with 220 and does not say what it is: `{line}`"),
            ],
        )),
        speech => {
            let said = speech.described().unwrap_or_else(|| quoted_bytes(bytes));
            Some(Verdict::new(
                Grade::RuledOut,
                [format!("no FTP greeting but {said}")],
            ))
        }
    }
}
