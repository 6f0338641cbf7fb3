//! What all protocols have in common in which the client begins: silence, echo, the wrong request, a foreign language.

use portcullis_model::{Grade, Transport};

use super::{
    Subject, Verdict, overheard, silence_reasons,
    speech::{Speech, quoted_bytes},
};
use crate::Seen;

/// Judges a service whose client begins. `read` gets the request and the reply to it and says what the reply proves;
/// `None` from it means that the reply is not of this protocol.
pub(super) fn judge(
    subject: &Subject<'_>,
    seen: &Seen,
    name: &str,
    read: impl FnOnce(&[u8], &[u8]) -> Option<Verdict>,
) -> Option<Verdict> {
    let place = subject.place_reason(name)?;
    if !seen.spoke_first.is_empty() {
        let said = said(&seen.spoke_first);
        return Some(ruled_out(format!(
            "the server spoke first, which a server of {name} never does: {said}"
        )));
    }
    if seen.overheard.is_some() && !seen.reply.is_empty() {
        let own = |request: &Vec<u8>| subject.service.may_have_sent(request);
        if !seen.request.as_ref().is_some_and(own) {
            return overheard::judge(subject, seen, name, place);
        }
    }
    let Some(request) = &seen.request else {
        // Without a request a UDP port says nothing about its service.
        return (subject.port.transport == Transport::Tcp).then(|| silent(place, seen));
    };
    if seen.reply.is_empty() {
        return Some(silent(place, seen));
    }
    if seen.is_echo() {
        return Some(ruled_out(
            "sent our own request back, as an echo service does".into(),
        ));
    }
    if !subject.service.may_have_sent(request) {
        return Some(answer_to_another(place, &seen.reply));
    }
    let not = || ruled_out(format!("the answer is not {name}: {}", said(&seen.reply)));
    Some(read(request, &seen.reply).unwrap_or_else(not))
}

fn silent(place: String, seen: &Seen) -> Verdict {
    Verdict::new(
        Grade::Possible,
        std::iter::once(place).chain(silence_reasons(seen)),
    )
}

/// The port was asked in the language of another service. How this one answers that is not known.
fn answer_to_another(place: String, reply: &[u8]) -> Verdict {
    match Speech::of(reply).described() {
        Some(said) => ruled_out(format!("the server answers in {said}")),
        None => {
            let answer = format!(
                "answered the request of another protocol with {}, which says nothing here",
                quoted_bytes(reply)
            );
            Verdict::new(Grade::Possible, [place, answer])
        }
    }
}

fn ruled_out(reason: String) -> Verdict {
    Verdict::new(Grade::RuledOut, [reason])
}

fn said(bytes: &[u8]) -> String {
    Speech::of(bytes)
        .described()
        .unwrap_or_else(|| quoted_bytes(bytes))
}
