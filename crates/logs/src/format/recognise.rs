//! Which format a line is of, by what only that format writes.

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;
use memchr::{memchr, memmem};
use portcullis_model::LogFormat;

use crate::{
    syslog,
    words::{find, until},
};

/// The signs in lines that are no JSON, in the order of [`TEXT_FORMATS`].
const TEXTS: [&str; 16] = [
    "IN=",
    "PROTO=",
    "%ASA-",
    "%FTD-",
    "%PIX-",
    "%FWSM-",
    "%SEC-6-IPACCESSLOG",
    "%IPV6_ACL-6-ACCESSLOG",
    "filterlog",
    "RT_FLOW_SESSION_",
    ",TRAFFIC,",
    "type=traffic",
    "type=\"traffic\"",
    ": in:",
    "%IPV6-6-ACCESSLOG",
    "%FMANFP-6-IPACCESSLOG",
];
const TEXT_FORMATS: [LogFormat; 16] = [
    LogFormat::Kernel,
    LogFormat::Kernel,
    LogFormat::Asa,
    LogFormat::Asa,
    LogFormat::Asa,
    LogFormat::Asa,
    LogFormat::Ios,
    LogFormat::Ios,
    LogFormat::Filterlog,
    LogFormat::Junos,
    LogFormat::PaloAlto,
    LogFormat::Fortigate,
    LogFormat::Fortigate,
    LogFormat::Mikrotik,
    LogFormat::Ios,
    LogFormat::Ios,
];

/// Searches a line for all signs at once.
static SIGNS: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| AhoCorasick::new(TEXTS).ok());

/// The format whose sign the line carries.
pub(super) fn format(line: &[u8]) -> Option<LogFormat> {
    if let Some(object) = super::object(line)
        && let Some(format) = of_object(object)
    {
        return Some(format);
    }
    if let Some(found) = SIGNS.as_ref()?.find(line) {
        return TEXT_FORMATS.get(found.pattern().as_usize()).copied();
    }
    super::windows::has_shape(line).then_some(LogFormat::Windows)
}

fn of_object(object: &[u8]) -> Option<LogFormat> {
    let has = |key: &[u8]| memmem::find(object, key).is_some();
    if has(b"\"event_type\"") {
        Some(LogFormat::Suricata)
    } else if has(b"\"conn_state\"") {
        Some(LogFormat::ZeekJson)
    } else if has(b"\"__REALTIME_TIMESTAMP\"") {
        Some(LogFormat::JournalJson)
    } else if has(b"\"oob.") {
        Some(LogFormat::UlogdJson)
    } else {
        None
    }
}

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
            LogFormat::PaloAlto => !until(message, b',').iter().all(u8::is_ascii_digit),
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

/// What a format is recognised by, in words.
pub fn sign(format: LogFormat) -> &'static str {
    match format {
        LogFormat::Kernel => "lines have IN= and OUT=",
        LogFormat::JournalJson => "JSON objects have __REALTIME_TIMESTAMP",
        LogFormat::JournalExport => "the file begins with __CURSOR=",
        LogFormat::UlogdJson => "JSON objects have oob. keys",
        LogFormat::Nflog => "the capture is of link type 239, or of a log group",
        LogFormat::Windows => "a line #Fields: names the columns",
        LogFormat::Asa => "lines have %ASA-, %FTD-, %PIX- or %FWSM-",
        LogFormat::Ios => "lines have %SEC-6-IPACCESSLOG or its like of IPv6 and IOS-XE",
        LogFormat::Fortigate => "lines have type=traffic",
        LogFormat::PaloAlto => "lines have ,TRAFFIC, in their fourth field",
        LogFormat::Filterlog => "lines have the tag filterlog",
        LogFormat::Junos => "lines have RT_FLOW_SESSION_",
        LogFormat::Mikrotik => "lines have in: and out: behind a chain",
        LogFormat::Suricata => "JSON objects have event_type",
        LogFormat::ZeekTsv => "a line #fields names the columns",
        LogFormat::ZeekJson => "JSON objects have conn_state",
    }
}
