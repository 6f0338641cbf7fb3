//! Telnet (RFC 854, RFC 855): options that the server offers or asks for before any text.

use portcullis_model::Grade;

use super::{
    Subject, Verdict, silence_reasons,
    speech::{Speech, quoted_bytes},
};
use crate::Seen;

const COMMAND: u8 = 255;
/// The highest option that is assigned, but for those at the very end (IANA, Telnet Options).
const HIGHEST_OPTION: u8 = 49;

pub(super) fn judge(subject: &Subject<'_>, seen: &Seen) -> Option<Verdict> {
    let (options, rest) = options(&seen.spoke_first);
    // One option alone can be three bytes of chance.
    if options >= 2 || options == 1 && matches!(Speech::of(rest), Speech::Text(_)) {
        let reason = format!("greets with Telnet options ({options})");
        return Some(Verdict::new(Grade::Proven, [reason]));
    }
    let place = subject.place_reason("Telnet")?;
    match Speech::of(seen.bytes()) {
        Speech::Nothing => Some(Verdict::new(
            Grade::Possible,
            std::iter::once(place).chain(silence_reasons(seen)),
        )),
        // A server need not negotiate: text alone speaks neither for nor against it.
        Speech::Text(line) => Some(Verdict::new(
            Grade::Possible,
            [place, format!("greets with text: `{line}`")],
        )),
        speech => {
            let said = speech.described().unwrap_or_else(|| quoted_bytes(seen.bytes()));
            Some(Verdict::new(
                Grade::RuledOut,
                [format!("no Telnet options but {said}")],
            ))
        }
    }
}

/// How many option commands the bytes begin with, and what follows them.
pub(super) fn options(mut bytes: &[u8]) -> (usize, &[u8]) {
    let mut count = 0;
    while let [COMMAND, 251..=254, 0..=HIGHEST_OPTION, rest @ ..] = bytes {
        bytes = rest;
        count += 1;
    }
    (count, bytes)
}
