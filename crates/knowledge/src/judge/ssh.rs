//! SSH: the identification line that the server sends first proves it.

use portcullis_model::Grade;

use super::{
    Subject, Verdict, silence_reasons,
    speech::{Speech, quoted_bytes},
};
use crate::Seen;

pub(super) fn judge(subject: &Subject<'_>, seen: &Seen) -> Option<Verdict> {
    let speech = Speech::of(seen.bytes());
    if let Speech::Ssh(line) = speech {
        let verdict = Verdict::new(Grade::Proven, [format!("greets with `{line}`")]);
        return Some(verdict.field("name", line));
    }
    let place = subject.place_reason("SSH")?;
    // A server may send other lines before its identification (RFC 4253, 4.2), so text alone speaks against nothing.
    match speech {
        Speech::Nothing => {
            let reasons = std::iter::once(place).chain(silence_reasons(seen));
            Some(Verdict::new(Grade::Possible, reasons))
        }
        Speech::Text(line) => Some(Verdict::new(
            Grade::Possible,
            [
                place,
                format!("greets with text that is no SSH line yet: `{line}`"),
            ],
        )),
        _ => {
            let said = speech.described().unwrap_or_else(|| quoted_bytes(seen.bytes()));
            Some(Verdict::new(Grade::RuledOut, [format!("no SSH line but {said}")]))
        }
    }
}
