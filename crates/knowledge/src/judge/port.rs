//! A service of which no harmless request is known: its port gives `possible`, and what the server says of its own
//! accord can only speak against it.

use portcullis_model::{Grade, Transport};

use super::{
    Subject, Verdict, silence_reasons,
    speech::{Speech, quoted_bytes},
};
use crate::Seen;

pub(super) fn judge(subject: &Subject<'_>, seen: &Seen) -> Option<Verdict> {
    let place = subject.place_reason(&subject.service.title)?;
    // Without a request a UDP port says nothing about its service.
    if subject.port.transport == Transport::Udp && seen.request.is_none() {
        return None;
    }
    let ruled_out = |reason: String| Some(Verdict::new(Grade::RuledOut, [reason]));
    if seen.is_echo() {
        return ruled_out("sent our own request back, as an echo service does".into());
    }
    let speech = Speech::of(seen.bytes());
    let mut reasons = vec![place];
    match (&speech, speech.described()) {
        (Speech::Nothing, _) => reasons.extend(silence_reasons(seen)),
        (Speech::Http(_) | Speech::Ssh(_), Some(said)) => {
            return ruled_out(format!("the server speaks {said}"));
        }
        (_, said) => {
            let said = said.unwrap_or_else(|| quoted_bytes(seen.bytes()));
            reasons.push(format!("what it said proves nothing: {said}"));
        }
    }
    reasons.push("no harmless request is known for it, so the port gives no more than possible".into());
    Some(Verdict::new(Grade::Possible, reasons))
}
