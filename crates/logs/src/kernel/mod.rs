//! Lines of the kernel's LOG target (iptables and nftables) and of ulogd LOGEMU.
//!
//! The format is that of `nf_log_syslog.c` in the Linux kernel; ulogd writes the same fields with other spellings.

mod fields;
mod head;
#[cfg(test)]
mod tests;

use portcullis_model::{LogEvent, LogFormat, LogMoment, LogSource, Untrusted};

#[cfg(test)]
pub(crate) use tests::test_settings;

use crate::{LineOutcome, Settings};

/// Bytes of a line that are looked at. The kernel's own lines end before 1024 (`S_SIZE` in `nf_log.h`).
pub const LONGEST_LINE: usize = 64 * 1024;

/// Where a line stands in its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    /// Path as given.
    pub path: &'a str,
    /// Line number, from 1.
    pub line: u64,
    /// Offset of its first byte.
    pub offset: u64,
}

/// Reads one line, with or without its line end. The work is bounded by [`LONGEST_LINE`].
pub fn parse_line(line: &[u8], settings: &Settings, place: Place<'_>) -> LineOutcome {
    parse(line, true, settings, place)
}

/// `ended` tells whether the line had a line end: one without may have been cut off in the middle of a number.
pub(crate) fn parse(line: &[u8], ended: bool, settings: &Settings, place: Place<'_>) -> LineOutcome {
    if line.len() > LONGEST_LINE {
        return too_long(line.len() as u64);
    }
    let text = String::from_utf8_lossy(line);
    let text = text.trim_end_matches(['\r', '\n', '\0']);
    let Some((head, body)) = fields::split(text) else {
        return without_shape(text);
    };
    let packet = match fields::read(body, ended) {
        Ok(packet) => packet,
        Err(fields::Missing::NotIp) => return LineOutcome::Unrelated,
        Err(fields::Missing::Reason(reason)) => return LineOutcome::Unreadable(reason),
    };
    let head = head::read(head, &settings.time);
    LineOutcome::Event(Box::new(LogEvent {
        at: head.time.at,
        time_assumed: head.time.assumed,
        verdict: settings.prefixes.verdict(head.prefix),
        source: packet.source,
        destination: packet.destination,
        port: packet.port,
        source_port: packet.source_port,
        interface: packet.interface.map(Untrusted::new),
        prefix: Untrusted::new(head.prefix),
        read_from: LogSource::File {
            path: place.path.into(),
            line: place.line,
            offset: place.offset,
        },
        format: LogFormat::Kernel,
        moment: LogMoment::Packet,
        protocol: None,
        flags: None,
        out_interface: None,
        count: 1,
        bytes: None,
        duration_ms: None,
    }))
}

pub(crate) fn too_long(bytes: u64) -> LineOutcome {
    LineOutcome::Unreadable(format!(
        "the line is {bytes} bytes long, more than {LONGEST_LINE}: not read"
    ))
}

/// A ring buffer that wrapped leaves the end of a line without its beginning; that is a packet that goes uncounted.
fn without_shape(text: &str) -> LineOutcome {
    let has = |key: &str| text.split_ascii_whitespace().any(|token| token.starts_with(key));
    let tail = has("PROTO=") && (has("SRC=") || has("DST=") || has("SPT=") || has("DPT=") || has("ID="));
    if tail {
        LineOutcome::Unreadable("the beginning of the line is missing, with IN= and OUT=".into())
    } else {
        LineOutcome::Unrelated
    }
}
