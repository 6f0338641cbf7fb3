//! How a TCP port behaves on a connection on which nothing is sent.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What the other side of a connection does, beside its bytes. Times are measured by our clock from the moment at which
/// the connection stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Behaviour {
    /// How long it was listened to before anything was sent or ended by us, in milliseconds.
    pub listened_ms: u64,
    /// When its first byte came, in milliseconds; `None` for silence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spoke_after_ms: Option<u64>,
    /// Its own end of the connection, when it ended it while it was listened to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own_end: Option<OwnEnd>,
    /// What it did when we ended the connection; `None` when it had ended it, or had been asked something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer_to_end: Option<AnswerToEnd>,
    /// What its SYN-ACK agreed to; `None` where the kernel does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub options: Option<TcpOptions>,
}

/// How the other side ended a connection of its own accord.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnEnd {
    /// When, in milliseconds.
    pub after_ms: u64,
    /// By a reset instead of in order.
    pub reset: bool,
}

/// What the other side does when we end the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AnswerToEnd {
    /// It ends it too, within 100 ms beyond what the connection took to stand.
    AtOnce,
    /// It ends it too, within 300 ms.
    Late,
    /// It keeps its side open for longer.
    KeptOpen,
    /// It resets.
    Reset,
}

impl fmt::Display for AnswerToEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AtOnce => "ends the connection at once when we end it",
            Self::Late => "ends the connection late when we end it",
            Self::KeptOpen => "keeps its side open when we end the connection",
            Self::Reset => "resets when we end the connection",
        })
    }
}

/// What a handshake agreed to (`TCP_INFO`, linux/tcp.h). The time to live of the SYN-ACK is not among it: the kernel
/// tells it to root alone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TcpOptions {
    /// Timestamps (RFC 7323).
    pub timestamps: bool,
    /// Selective acknowledgements (RFC 2018).
    pub selective_acks: bool,
    /// Explicit congestion notification (RFC 3168).
    pub ecn: bool,
    /// Its window scale (RFC 7323); `None` without one.
    pub window_scale: Option<u8>,
    /// Its first window in bytes; `None` before Linux 5.4.
    pub window: Option<u32>,
    /// Largest segment to it, in bytes: of its own limit and the path's the smaller.
    pub segment: u32,
}

impl fmt::Display for TcpOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = [
            (self.timestamps, "timestamps"),
            (self.selective_acks, "selective acknowledgements"),
            (self.ecn, "ECN"),
        ];
        let mut words: Vec<String> = named
            .iter()
            .filter(|(there, _)| *there)
            .map(|(_, name)| (*name).to_owned())
            .collect();
        words.extend(self.window_scale.map(|scale| format!("window scale {scale}")));
        words.extend(self.window.map(|window| format!("window {window}")));
        words.push(format!("segments of {}", self.segment));
        f.write_str(&words.join(", "))
    }
}
