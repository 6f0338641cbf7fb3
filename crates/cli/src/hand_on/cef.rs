//! Events in the Common Event Format (ArcSight, "Implementing ArcSight Common Event Format", version 25: "Header
//! Information", "Character Encoding", "Predefined Keys").

use std::{fmt::Write as _, net::IpAddr};

use portcullis_model::{LogEvent, LogSource, Transport, Verdict, sanitize};

/// One line, without its end.
pub(crate) fn line(event: &LogEvent) -> String {
    let (name, severity) = match event.verdict {
        Verdict::Allowed => ("let through", 3),
        Verdict::Blocked => ("blocked", 2),
        Verdict::Unknown => ("logged without a verdict", 1),
    };
    let mut line = String::from("CEF:0");
    for field in [
        "Portcullis",
        "portcullis",
        env!("CARGO_PKG_VERSION"),
        &format!("firewall-{}", event.verdict),
        &format!("connection {name}"),
        &severity.to_string(),
    ] {
        line.push('|');
        line.push_str(&header(field));
    }
    line.push('|');
    line.push_str(&extension(event).join(" "));
    line
}

fn extension(event: &LogEvent) -> Vec<String> {
    let mut pairs = Vec::new();
    let mut put = |key: &str, text: &str| pairs.push(format!("{key}={}", value(text)));
    if let Some(at) = event.at {
        put("rt", &at.as_millisecond().to_string());
    }
    // `src` and `dst` take IPv4 addresses only; the custom fields 2 and 3 are for those of IPv6.
    match event.source {
        IpAddr::V4(address) => put("src", &address.to_string()),
        IpAddr::V6(address) => {
            put("c6a2Label", "Source IPv6 Address");
            put("c6a2", &address.to_string());
        }
    }
    match event.destination {
        IpAddr::V4(address) => put("dst", &address.to_string()),
        IpAddr::V6(address) => {
            put("c6a3Label", "Destination IPv6 Address");
            put("c6a3", &address.to_string());
        }
    }
    if let Some(port) = event.source_port {
        put("spt", &port.to_string());
    }
    if let Some(port) = event.port {
        put("dpt", &port.number.to_string());
    }
    match (event.port.map(|port| port.transport), event.protocol) {
        (Some(Transport::Tcp), _) => put("proto", "TCP"),
        (Some(Transport::Udp), _) => put("proto", "UDP"),
        (None, Some(number)) => put("proto", &number.to_string()),
        (None, None) => {}
    }
    put("act", &event.verdict.to_string());
    put("cnt", &event.count.to_string());
    if let Some(interface) = &event.interface {
        put("deviceInboundInterface", interface.raw());
    }
    if let Some(interface) = &event.out_interface {
        put("deviceOutboundInterface", interface.raw());
    }
    if !event.prefix.raw().is_empty() {
        put("cs1Label", "rule");
        put("cs1", event.prefix.raw());
    }
    if let Some(assumed) = &event.time_assumed {
        put("cs2Label", "time assumed");
        put("cs2", assumed);
    }
    if let LogSource::File { path, line, .. } = &event.read_from {
        put("cs3Label", "read from");
        put("cs3", &format!("{path}:{line}"));
    }
    if let Some(duration) = event.duration_ms {
        put("cn1Label", "duration in ms");
        put("cn1", &duration.to_string());
    }
    if let Some(bytes) = event.bytes {
        put("cn2Label", "bytes");
        put("cn2", &bytes.to_string());
    }
    pairs
}

/// Of the header: pipe and backslash are escaped; it has no line ends.
pub(super) fn header(text: &str) -> String {
    sanitize(text).replace('\\', "\\\\").replace('|', "\\|")
}

/// Of an extension: backslash and equals sign are escaped, line ends are written as `\n` and `\r`. Other control characters are
/// shown as everywhere: a collector shows lines on terminals.
pub(super) fn value(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        match character {
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\\' | '=' => {
                escaped.push('\\');
                escaped.push(character);
            }
            other => {
                let _ = write!(
                    escaped,
                    "{}",
                    sanitize(other.encode_utf8(&mut [0; 4])).replace('\\', "\\\\")
                );
            }
        }
    }
    escaped
}
