//! Moxa Device Manager Gateway. No harmless request is publicly known, so nothing here can prove it; what other
//! protocols say on the port can rule it out.

use portcullis_model::Grade;

use super::{
    Place, Subject, Verdict, milliseconds, silence_reasons,
    speech::{Speech, quoted_bytes},
};
use crate::{Overheard, Seen};

/// How the message of a published exploit's server begins (Metasploit moxa_mdmtool, CVE-2010-4741). Whether an
/// ordinary gateway's does is not known.
const EXPLOIT_SERVER: [u8; 4] = [0x28, 0x10, 0x00, 0x29];

pub(super) fn judge(subject: &Subject<'_>, seen: &Seen) -> Option<Verdict> {
    let place = match subject.place? {
        Place::Own => subject.place_reason("MDM Gateway (CVE-2010-4741)")?,
        Place::Moved => subject.place_reason("MDM Gateway")?,
    };
    if seen.bytes().is_empty() {
        return Some(silent(place, seen));
    }
    if let Some(reason) = against(seen) {
        return Some(Verdict::new(Grade::RuledOut, [reason]));
    }
    // Of a connection that was up before, the first bytes that were heard are not the first of the session.
    if seen.bytes().starts_with(&EXPLOIT_SERVER) && seen.overheard != Some(Overheard::MidStream) {
        let hint =
            "its first bytes are 28 10 00 29, as in the message of a published exploit's server: a weak hint";
        return Some(Verdict::new(Grade::Likely, [hint.into(), place]));
    }
    let spoke = if seen.spoke_first.is_empty() {
        format!(
            "answered the request with {}, which is no protocol known here; how MDM Gateway answers it is not known",
            quoted_bytes(&seen.reply)
        )
    } else {
        format!(
            "spoke first, with {}, though MDM Tool is the side that begins",
            quoted_bytes(&seen.spoke_first)
        )
    };
    Some(Verdict::new(Grade::Possible, [place, spoke]))
}

fn silent(place: String, seen: &Seen) -> Verdict {
    let mut reasons = vec![place];
    if seen.request.is_none() && !seen.closed_by_peer && seen.overheard != Some(Overheard::MidStream) {
        reasons.push(format!(
            "silent for {} after connect, as a server that waits for its client",
            milliseconds(seen.silent_for)
        ));
    } else {
        reasons.extend(silence_reasons(seen));
    }
    reasons.push(
        "no harmless MDM request is publicly known, so port and silence give no more than possible".into(),
    );
    Verdict::new(Grade::Possible, reasons)
}

fn against(seen: &Seen) -> Option<String> {
    if seen.is_echo() {
        return Some("sent our own request back, as an echo service does".into());
    }
    let speech = Speech::of(seen.bytes());
    let described = speech.described()?;
    if !seen.spoke_first.is_empty() {
        return Some(format!("the server spoke first, in {described}"));
    }
    // What MDM Gateway says to a request that is not its own is not known: it may be some text.
    (!matches!(speech, Speech::Text(_))).then(|| format!("the server answers in {described}"))
}
