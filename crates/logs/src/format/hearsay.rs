//! Whether another program's tag stands before what looks like a packet: then it is what that program was told, by whoever
//! reaches it.

use memchr::memmem;

use crate::{RawTime, syslog, words::word};

/// Whether what stands before the fields of a line of the kernel's form, which has no tag of the kernel, is of another program.
/// ulogd writes that form under its own name, or with a host name and the rule's prefix alone.
pub(super) fn is_of_another(before: &[u8], head: &syslog::Head<'_>) -> bool {
    if syslog::message_of_rfc_5424(before).is_some() {
        // Host and program; the time before them may be left open.
        let program = if head.time == RawTime::None { 2 } else { 1 };
        let mut words = head
            .rest
            .split(|byte| *byte == b' ')
            .filter(|word| !word.is_empty());
        return words
            .nth(program)
            .is_some_and(|name| !matches!(name, b"-" | b"kernel" | b"ulogd"));
    }
    if let Some(named) = has_process(head.rest) {
        return named;
    }
    // `dnsmasq: `, and not a rule's prefix that is one word, nor one in capitals. Without a host name there is no tag: the kernel itself
    // may have been told to write such a prefix.
    let message = word(head.rest)
        .filter(|_| head.host)
        .map(|(_host, message)| message);
    let Some((tag, behind)) = message.and_then(word) else {
        return false;
    };
    matches!(tag, [.., b'a'..=b'z', b':']) && tag != b"ulogd:" && !behind.trim_ascii().is_empty()
}

/// Whether the first tag with a number of a process, as in `sshd[5]: `, is of another program than ulogd; `None` without one.
pub(super) fn has_process(text: &[u8]) -> Option<bool> {
    memmem::find_iter(text, b"]: ").find_map(|end| {
        let tag = text.get(..end)?;
        let tag = tag.rsplit(|byte| *byte == b' ').next()?;
        let digits = tag.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
        let name = tag.get(..tag.len() - digits)?.strip_suffix(b"[")?;
        (digits > 0 && !name.is_empty()).then_some(name != b"ulogd")
    })
}
