//! `pfirewall.log` of Windows, old and new.
//!
//! The columns are those that `#Fields:` names; newer builds have a process id more. Times are local and say so nowhere but
//! in `#Time Format: Local`. Held against Microsoft, "Configuring Firewall Log Files" (Windows 7, Server 2008 R2), and the
//! log that Microsoft prints in the troubleshooting of Azure Stack Edge. Of the process id no documentation was at hand.

use std::borrow::Cow;

use portcullis_model::{LogFormat, LogMoment, TcpFlags, Verdict};

use crate::{
    Columns, Event, Line, Lost, LostBy, RawTime, Reason,
    event::{TCP, UDP},
    words::{address, number, port, protocol},
};

/// The columns that are read.
pub(crate) const COLUMNS: [&str; 13] = [
    "date", "time", "action", "protocol", "src-ip", "dst-ip", "src-port", "dst-port", "size", "tcpflags",
    "info", "path", "pid",
];

/// Reads one line.
pub(crate) fn read<'a>(line: &'a [u8], columns: Option<&Columns>) -> Line<'a> {
    if line.starts_with(b"#") || line.is_empty() {
        return Line::Unrelated;
    }
    let Some(columns) = columns.filter(|columns| columns.format == LogFormat::Windows) else {
        return if has_shape(line) {
            Line::Unreadable(Reason::NoColumns)
        } else {
            Line::Unrelated
        };
    };
    if !has_shape(line) {
        return Line::Unrelated;
    }
    event(line, columns).unwrap_or_else(Line::Unreadable)
}

/// `2026-11-22 23:56:51 DROP TCP …`
pub(crate) fn has_shape(line: &[u8]) -> bool {
    let Some((stamp, rest)) = line.split_first_chunk::<20>() else {
        return false;
    };
    let [
        _,
        _,
        _,
        _,
        b'-',
        _,
        _,
        b'-',
        _,
        _,
        b' ',
        _,
        _,
        b':',
        _,
        _,
        b':',
        _,
        _,
        b' ',
    ] = stamp
    else {
        return false;
    };
    let end = rest
        .iter()
        .take(20)
        .position(|byte| *byte == b' ')
        .unwrap_or_default();
    matches!(
        rest.get(..end),
        Some(b"ALLOW" | b"DROP" | b"OPEN" | b"OPEN-INBOUND" | b"CLOSE" | b"INFO-EVENTS-LOST")
    )
}

fn event<'a>(line: &'a [u8], columns: &Columns) -> Result<Line<'a>, Reason> {
    let [
        date,
        time,
        action,
        name,
        source,
        destination,
        source_port,
        destination_port,
        size,
        flags,
        info,
        path,
        _,
    ] = columns.values(line, b' ');
    let action = action.ok_or(Reason::CutOffBefore("action"))?;
    if action == b"INFO-EVENTS-LOST" {
        // How many stands in `info`.
        return Ok(Line::Lost(Lost {
            by: LostBy::Windows,
            count: info.and_then(number),
        }));
    }
    let end = |value: Option<&[u8]>, name| {
        address(value.ok_or(Reason::CutOffBefore(name))?).ok_or(Reason::NotAnAddress(name))
    };
    let mut event = Event::between(
        LogFormat::Windows,
        end(source, "src-ip")?,
        end(destination, "dst-ip")?,
    );
    event.protocol = protocol(name.ok_or(Reason::CutOffBefore("protocol"))?);
    if matches!(event.protocol, Some(TCP | UDP)) {
        let number_of = |value: Option<&[u8]>, name| {
            port(value.ok_or(Reason::CutOffBefore(name))?).ok_or(Reason::NotAPort(name))
        };
        event.source_port = Some(number_of(source_port, "src-port")?);
        event.destination_port = Some(number_of(destination_port, "dst-port")?);
    }
    (event.verdict, event.moment) = match action {
        b"ALLOW" => (Verdict::Allowed, LogMoment::Packet),
        b"DROP" => (Verdict::Blocked, LogMoment::Packet),
        b"OPEN" | b"OPEN-INBOUND" => (Verdict::Allowed, LogMoment::Begin),
        b"CLOSE" => (Verdict::Allowed, LogMoment::End),
        _ => return Err(Reason::NotKnown("action")),
    };
    event.flags = flags.filter(|_| event.protocol == Some(TCP)).map(letters);
    event.bytes = size.and_then(number);
    event.interface = Cow::Borrowed(path.unwrap_or_default().trim_ascii());
    event.time = match (date, time) {
        // The two stand side by side in every known order.
        (Some(date), Some(_)) if line.starts_with(date) && columns.begins_with_date_and_time() => {
            RawTime::text(line)
        }
        (Some(date), Some(time)) => RawTime::parts(date, time, b""),
        _ => RawTime::None,
    };
    Ok(Line::Event(event))
}

/// `SA`: the first letter of each flag.
fn letters(text: &[u8]) -> TcpFlags {
    text.iter().fold(TcpFlags::default(), |flags, letter| {
        flags.with(match letter {
            b'S' => TcpFlags::SYN,
            b'A' => TcpFlags::ACK,
            b'F' => TcpFlags::FIN,
            b'R' => TcpFlags::RST,
            b'P' => TcpFlags::PSH,
            b'U' => TcpFlags::URG,
            _ => TcpFlags(0),
        })
    })
}
