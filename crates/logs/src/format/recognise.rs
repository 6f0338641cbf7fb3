//! Which format a line is of, by what only that format writes.

use std::sync::LazyLock;

use aho_corasick::AhoCorasick;
use memchr::memmem;
use portcullis_model::LogFormat;

/// The signs in lines that are no JSON, in the order of [`TEXT_FORMATS`].
const TEXTS: [&str; 17] = [
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
    ",\"TRAFFIC\",",
];
const TEXT_FORMATS: [LogFormat; 17] = [
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
    LogFormat::PaloAlto,
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
