//! What kind of speech some bytes are, as far as their beginning tells.

use portcullis_model::{Untrusted, sanitize};

/// How many characters of a foreign line are quoted.
const QUOTED: usize = 100;
/// How many printable bytes make a text: fewer can be binary by chance.
const LEAST_TEXT: usize = 8;

/// The kind of some bytes. Lines are bounded and not yet sanitized.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Speech {
    Nothing,
    /// An HTTP status line.
    Http(Untrusted),
    /// An SSH identification line.
    Ssh(Untrusted),
    /// A TLS record.
    Tls,
    /// Printable text that is none of these.
    Text(Untrusted),
    Binary,
}

impl Speech {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        if bytes.is_empty() {
            Self::Nothing
        } else if is_status_line(bytes) {
            Self::Http(first_line(bytes))
        } else if is_ssh(bytes) {
            Self::Ssh(first_line(bytes))
        } else if is_tls(bytes) {
            Self::Tls
        } else if is_text(bytes) {
            Self::Text(first_line(bytes))
        } else {
            Self::Binary
        }
    }

    /// The speech in plain words, e.g. ``HTTP: `HTTP/1.1 200 OK` ``; `None` for what is not readable.
    pub(crate) fn described(&self) -> Option<String> {
        match self {
            Self::Nothing | Self::Binary => None,
            Self::Http(line) => Some(format!("HTTP: `{line}`")),
            Self::Ssh(line) => Some(format!("SSH: `{line}`")),
            Self::Tls => Some("TLS".into()),
            Self::Text(line) => Some(format!("plain text: `{line}`")),
        }
    }
}

/// The first bytes as hexadecimal text, for reasons.
pub(crate) fn quoted_bytes(bytes: &[u8]) -> String {
    let shown: Vec<String> = bytes.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let more = if bytes.len() > shown.len() { " …" } else { "" };
    format!("`{}{more}`", shown.join(" "))
}

/// The first line that has any text, bounded.
fn first_line(bytes: &[u8]) -> Untrusted {
    let text = String::from_utf8_lossy(bytes);
    let line = text.lines().find(|line| !line.trim().is_empty());
    let line: String = line.unwrap_or_default().trim().chars().take(QUOTED).collect();
    Untrusted::new(line)
}

/// `HTTP/1.1 200` and a space or the end of the line (RFC 9112, 4).
fn is_status_line(bytes: &[u8]) -> bool {
    let [
        b'H',
        b'T',
        b'T',
        b'P',
        b'/',
        major,
        b'.',
        minor,
        b' ',
        hundreds @ b'1'..=b'5',
        tens,
        ones,
        end,
        ..,
    ] = bytes
    else {
        return false;
    };
    [major, minor, hundreds, tens, ones]
        .iter()
        .all(|digit| digit.is_ascii_digit())
        && matches!(end, b' ' | b'\r' | b'\n')
}

/// `SSH-2.0-software` (RFC 4253, 4.2), or 1.x of old servers.
fn is_ssh(bytes: &[u8]) -> bool {
    ["SSH-2.0-", "SSH-1.99-", "SSH-1.5-"]
        .iter()
        .filter_map(|version| bytes.strip_prefix(version.as_bytes()))
        .any(|software| software.first().is_some_and(u8::is_ascii_graphic))
}

/// An alert, or a handshake record that begins with a server hello (RFC 8446, 5.1 and 6).
fn is_tls(bytes: &[u8]) -> bool {
    match bytes {
        [0x15, 3, 0..=4, 0, 2, 1 | 2, description] => *description <= 120,
        [
            0x16,
            3,
            0..=4,
            high,
            low,
            2,
            0,
            hello_high,
            hello_low,
            3,
            0..=4,
            ..,
        ] => {
            let record = usize::from(u16::from_be_bytes([*high, *low]));
            let hello = usize::from(u16::from_be_bytes([*hello_high, *hello_low]));
            // Random (32) and the lengths around it; one record may carry more than the hello.
            (38..=record.saturating_sub(4)).contains(&hello) && record <= 1 << 14
        }
        _ => false,
    }
}

fn is_text(bytes: &[u8]) -> bool {
    let beginning = bytes.get(..64).unwrap_or(bytes);
    beginning.len() >= LEAST_TEXT
        && beginning
            .iter()
            .all(|byte| byte.is_ascii_graphic() || matches!(byte, b' ' | b'\t' | b'\r' | b'\n'))
        && !sanitize(first_line(beginning).raw()).is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_told_from_its_neighbours() {
        for (bytes, expected) in [
            (&b"HTTP/1.1 200 OK\r\nServer: x"[..], "HTTP: `HTTP/1.1 200 OK`"),
            (b"HTTP/1.0 404\r\n", "HTTP: `HTTP/1.0 404`"),
            (b"SSH-2.0-moxa_1\r\n", "SSH: `SSH-2.0-moxa_1`"),
            (b"SSH-1.99-OpenSSH_3\n", "SSH: `SSH-1.99-OpenSSH_3`"),
            (&[0x15, 3, 1, 0, 2, 2, 10], "TLS"),
            (b"\r\nModel name : NPort\r\n", "plain text: `Model name : NPort`"),
        ] {
            assert_eq!(
                Speech::of(bytes).described().as_deref(),
                Some(expected),
                "{bytes:?}"
            );
        }
    }

    #[test]
    fn what_only_resembles_a_protocol_is_not_taken_for_it() {
        for bytes in [
            &b"HTTP/1.1 999 x"[..],
            b"HTTP/1.1 20",
            b"SSH-2.0-",
            b"SSH-9.9-x",
            &[0x15, 3, 1, 0, 2, 2, 10, 0],
            &[0x16, 3, 1, 0xff, 0xff],
            &[1, 0, 0, 0],
        ] {
            let speech = Speech::of(bytes);
            assert!(
                matches!(speech, Speech::Text(_) | Speech::Binary),
                "{bytes:?}: {speech:?}"
            );
        }
    }
}
