//! Who said it: whether a line is what another program was told, by whoever reaches it, and not what the firewall wrote.

use memchr::{memchr, memmem};
use portcullis_model::LogFormat;

use crate::{
    syslog,
    words::{find, until, word},
};

/// Whether a line of a format is what another program was told, as in `sshd[5]: Invalid user %ASA-…`: nothing but a head may stand
/// before what the firewall itself writes.
pub(super) fn is_told_to_another(format: LogFormat, line: &[u8]) -> bool {
    if matches!(format, LogFormat::JournalExport | LogFormat::Nflog) {
        return false;
    }
    if syslog::is_indented(line) {
        return true;
    }
    let begins = match format {
        LogFormat::Asa => super::asa::sign(line),
        LogFormat::Ios => super::ios::sign(line),
        LogFormat::Fortigate => memchr(b'=', line).map(|equals| begin_of_field(line, equals)),
        LogFormat::PaloAlto => memchr(b',', line).map(|comma| begin_of_field(line, comma)),
        LogFormat::Filterlog => find(line, b"filterlog"),
        LogFormat::Junos => find(line, b"RT_FLOW"),
        LogFormat::Mikrotik => find(line, b"firewall,"),
        LogFormat::Suricata | LogFormat::ZeekJson | LogFormat::UlogdJson | LogFormat::JournalJson => {
            return !is_alone_behind_its_tag(format, line);
        }
        // Of columns the file's own head says what they are; the kernel's tag is looked at where its prefix is.
        LogFormat::Kernel
        | LogFormat::Windows
        | LogFormat::ZeekTsv
        | LogFormat::JournalExport
        | LogFormat::Nflog => return false,
    };
    let Some((before, message)) = begins.and_then(|begins| line.split_at_checked(begins)) else {
        return true;
    };
    is_glued(before)
        || !syslog::behind_head(before).is_empty()
        || match format {
            LogFormat::Filterlog => !super::filterlog::is_its_tag(line, message),
            LogFormat::Junos => !super::junos::is_its_tag(message),
            LogFormat::PaloAlto => !super::palo_alto::begins_record(until(message, b',')),
            _ => false,
        }
}

/// Whether what follows goes on with a word, and so is no message.
fn is_glued(before: &[u8]) -> bool {
    !matches!(
        before.last(),
        None | Some(b' ' | b'\t' | b'\0' | b':' | b'>' | 0xbf)
    )
}

/// Where the field begins that ends at a place. The priority stands before the first one without a blank.
fn begin_of_field(line: &[u8], end: usize) -> usize {
    let before = line.get(..end).unwrap_or_default();
    memchr::memrchr3(b' ', b'\t', b'>', before).map_or(0, |at| at + 1)
}

/// An object has no name of its own: only the tag of who writes such objects may stand before it.
fn is_alone_behind_its_tag(format: LogFormat, line: &[u8]) -> bool {
    if matches!(line.strip_prefix(b" ").unwrap_or(line), [b'{', ..]) {
        return true;
    }
    if let Some(message) = syslog::message_of_rfc_5424(line) {
        let program = syslog::program_of_rfc_5424(line).unwrap_or_default();
        return (program == b"-" || writes(program, format))
            // rsyslog may put its mark of JSON here.
            && before_object(message).is_some_and(|before| matches!(before, b"" | b"@cee:"));
    }
    let Some(before) = before_object(line) else {
        return false;
    };
    let before = before.strip_suffix(b"@cee:").unwrap_or(before).trim_ascii_end();
    let tag = syslog::behind_head(before);
    let is_its_tag = || {
        tag.strip_suffix(b":")
            .map(|tag| until(tag, b'['))
            .is_some_and(|name| !name.contains(&b' ') && writes(name, format))
    };
    tag.is_empty() || is_its_tag()
}

/// Whether a program of this name writes the objects of a format. Others may write what they were told, whole.
fn writes(program: &[u8], format: LogFormat) -> bool {
    let names: &[&[u8]] = match format {
        LogFormat::Suricata => &[b"suricata", b"eve"],
        LogFormat::ZeekJson => &[b"zeek", b"bro", b"conn"],
        LogFormat::UlogdJson => &[b"ulogd"],
        LogFormat::JournalJson => &[b"journal", b"systemd-journal"],
        _ => &[],
    };
    let program = program.to_ascii_lowercase();
    names.iter().any(|name| {
        program.strip_prefix(*name).is_some_and(|behind| {
            !behind.first().is_some_and(u8::is_ascii_alphabetic) || behind == b"ctl" || behind == b"d"
        })
    })
}

/// What stands before the object, when nothing but the object begins with the first brace.
fn before_object(text: &[u8]) -> Option<&[u8]> {
    let (before, object) = text.split_at_checked(memchr(b'{', text)?)?;
    let is_object = object.starts_with(b"{\"") && !is_glued(before);
    is_object.then(|| before.trim_ascii_end())
}

/// Whether what stands before the fields of a line of the kernel's form, which has no tag of the kernel, is of another program.
/// ulogd writes that form under its own name, or with a host name and the rule's prefix alone.
pub(super) fn is_of_another(before: &[u8], head: &syslog::Head<'_>) -> bool {
    if syslog::message_of_rfc_5424(before).is_some() {
        // Host and program; the time before them may be left open.
        let program = if head.host { 1 } else { 2 };
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
