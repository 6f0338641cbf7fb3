//! What a look leaves behind before it is judged.

use std::{net::IpAddr, time::Duration};

use jiff::Timestamp;
use portcullis_knowledge::Seen;
use portcullis_model::{
    AnswerToEnd, Behaviour, Evidence, EvidenceKind, OwnEnd, PortState, TcpOptions, Transport,
};

/// How many bytes of what was received are kept.
const KEPT: usize = 512;

#[derive(Debug, Clone)]
pub(crate) struct Trace {
    pub(crate) at: Timestamp,
    pub(crate) source: Option<IpAddr>,
    pub(crate) state: PortState,
    pub(crate) because: String,
    /// What came back on an open port; `None` when there was nothing to judge.
    pub(crate) seen: Option<Seen>,
    pub(crate) packets: u32,
    /// How many of them were told to the scan while they went, and how many its schedule has counted.
    pub(crate) counted: u32,
    pub(crate) paid: u32,
    /// How long the answer to the first packet took; `None` when there was none.
    pub(crate) answered_after: Option<Duration>,
    /// How the connection behaved.
    pub(crate) conduct: Conduct,
}

/// What a connection showed beside the bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Conduct {
    /// It was reset although nothing had been sent on it.
    pub(crate) reset_unasked: bool,
    /// It was reset after the request.
    pub(crate) reset_when_asked: bool,
    /// It stands, and what was sent on it was never acknowledged.
    pub(crate) unacknowledged: bool,
    /// When the first byte came.
    pub(crate) spoke_after: Option<Duration>,
    /// How long it was listened to before anything was sent.
    pub(crate) listened: Duration,
    /// What the peer did when we ended the connection.
    pub(crate) answer_to_end: Option<AnswerToEnd>,
    /// What the handshake agreed to.
    pub(crate) options: Option<TcpOptions>,
}

impl Trace {
    pub(crate) fn new(state: PortState, because: impl Into<String>) -> Self {
        Self {
            at: Timestamp::now(),
            source: None,
            state,
            because: because.into(),
            seen: None,
            packets: 0,
            counted: 0,
            paid: 0,
            answered_after: None,
            conduct: Conduct::default(),
        }
    }

    pub(crate) fn not_tested(reason: impl Into<String>) -> Self {
        Self::new(PortState::NotTested, reason)
    }

    pub(crate) fn sent(mut self, source: Option<IpAddr>, packets: u32) -> Self {
        self.source = source;
        self.packets = packets;
        self
    }

    pub(super) fn with(mut self, seen: Option<Seen>) -> Self {
        self.seen = seen;
        self
    }

    /// The evidence, in the order in which it came.
    pub(crate) fn evidence(&self, transport: Transport) -> Vec<Evidence> {
        if self.state == PortState::NotTested {
            return Vec::new();
        }
        let mut evidence = vec![piece(EvidenceKind::Handshake, self.because.clone(), &[])];
        let Some(seen) = &self.seen else {
            return evidence;
        };
        if !seen.spoke_first.is_empty() {
            let note = format!("{} without being asked", received(&seen.spoke_first));
            evidence.push(piece(EvidenceKind::ServerSpokeFirst, note, &seen.spoke_first));
        } else if transport == Transport::Tcp && !seen.silent_for.is_zero() {
            let end = if seen.closed_by_peer && seen.request.is_none() {
                ", then it closed the connection"
            } else {
                ""
            };
            let note = format!("silent for {} after connect{end}", milliseconds(seen.silent_for));
            evidence.push(piece(EvidenceKind::Silence, note, &[]));
        }
        if let Some(request) = &seen.request {
            let sent = request.len();
            evidence.push(if seen.reply.is_empty() {
                let note = format!(
                    "no reply for {} to a request of {sent} bytes",
                    milliseconds(seen.waited)
                );
                piece(EvidenceKind::Silence, note, &[])
            } else {
                let note = format!("{} after a request of {sent} bytes", received(&seen.reply));
                piece(EvidenceKind::Reply, note, &seen.reply)
            });
        }
        for further in &seen.further {
            let sent = further.request.len();
            let note = match further.reply.as_slice() {
                [] => format!("no reply to a second request of {sent} bytes"),
                reply => format!("{} after a second request of {sent} bytes", received(reply)),
            };
            evidence.push(piece(EvidenceKind::Reply, note, &further.reply));
        }
        evidence.extend((transport == Transport::Tcp).then(|| self.behaviour(seen)));
        evidence
    }

    /// What the peer did beside its bytes.
    fn behaviour(&self, seen: &Seen) -> Evidence {
        let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let conduct = &self.conduct;
        let ended = seen.closed_by_peer && seen.request.is_none();
        let behaviour = Behaviour {
            listened_ms: milliseconds(conduct.listened),
            spoke_after_ms: conduct.spoke_after.map(milliseconds),
            own_end: ended.then_some(OwnEnd {
                after_ms: milliseconds(conduct.listened),
                reset: conduct.reset_unasked,
            }),
            answer_to_end: conduct
                .answer_to_end
                .filter(|_| !seen.closed_by_peer && seen.request.is_none()),
            options: conduct.options,
        };
        let answer = behaviour.answer_to_end.map(|answer| format!("it {answer}"));
        let options = behaviour
            .options
            .map(|options| format!("its handshake agreed to {options}"));
        let told: Vec<String> = answer.into_iter().chain(options).collect();
        Evidence {
            behaviour: Some(behaviour),
            ..piece(EvidenceKind::Behaviour, told.join("; "), &[])
        }
    }
}

fn piece(kind: EvidenceKind, note: String, bytes: &[u8]) -> Evidence {
    Evidence {
        kind,
        note,
        bytes: bytes.get(..KEPT).unwrap_or(bytes).to_vec(),
        behaviour: None,
    }
}

fn received(bytes: &[u8]) -> String {
    if bytes.len() > KEPT {
        format!("received {} bytes ({KEPT} kept)", bytes.len())
    } else {
        format!("received {} bytes", bytes.len())
    }
}

/// A duration for people: whole milliseconds, or tenths below ten.
pub(crate) fn milliseconds(duration: Duration) -> String {
    let milliseconds = duration.as_secs_f64() * 1000.0;
    if milliseconds < 10.0 {
        format!("{milliseconds:.1} ms")
    } else {
        format!("{milliseconds:.0} ms")
    }
}
