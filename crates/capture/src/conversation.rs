//! What the packets between two endpoints show: who asked, whether there was an answer, and the first bytes.

use std::net::IpAddr;

use portcullis_model::{Port, Transport};

use crate::{
    packet::{ACK, Between, Data, FIN, RST, SYN, Segment},
    turns::Turns,
};

/// One end.
pub(crate) type Endpoint = (IpAddr, u16);

/// What shows that a port is in a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Shown {
    /// A SYN, and the SYN-ACK to it.
    Handshake,
    /// A SYN-ACK; the SYN was not captured.
    HalfHandshake,
    /// A SYN, and the reset that answers it.
    Refused,
    /// SYNs without an answer, over more than three seconds.
    Unanswered,
    /// A datagram from the port to where one had come from.
    Answered,
    /// The same, to a question that went to a group or to all.
    AnsweredGroup,
    /// A datagram that is an answer by its own word.
    AnswerAlone,
    /// A connection that was up before the capture began; its bytes name the service.
    MidStream,
}

/// How far a conversation has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// TCP: SYN seen, with this sequence number.
    Asked(u32),
    /// The server has answered.
    Open(Shown),
    /// TCP: the server has refused.
    Refused,
    /// TCP: its beginning was not seen; whether the sides are told apart by their ports.
    MidStream { placed: bool },
    /// UDP: nothing came back yet.
    Waiting,
    /// It has ended and was told.
    Over,
}

/// Bytes and packets of one direction, and where its stream stands.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Way {
    pub(crate) bytes: u64,
    /// The sequence number of the next byte; `None` until it is known.
    next: Option<u32>,
}

/// What is remembered of one conversation.
#[derive(Debug)]
pub(crate) struct Conversation {
    pub(crate) client: Endpoint,
    pub(crate) server: Endpoint,
    pub(crate) transport: Transport,
    pub(crate) stage: Stage,
    pub(crate) first_at: u64,
    pub(crate) last_at: u64,
    pub(crate) asked: Way,
    pub(crate) answered: Way,
    /// SYNs, or datagrams of the client until it was answered.
    pub(crate) questions: u32,
    /// `None` when the bytes of this conversation are not wanted.
    pub(crate) turns: Option<Box<Turns>>,
    /// Whether it has ended and was told.
    pub(crate) over: bool,
}

impl Conversation {
    pub(crate) fn new(
        client: Endpoint,
        server: Endpoint,
        transport: Transport,
        stage: Stage,
        at: u64,
    ) -> Self {
        Self {
            client,
            server,
            transport,
            stage,
            first_at: at,
            last_at: at,
            asked: Way::default(),
            answered: Way::default(),
            questions: 0,
            turns: None,
            over: false,
        }
    }

    /// The port that is asked.
    pub(crate) fn port(&self) -> Port {
        Port {
            transport: self.transport,
            number: self.server.1,
        }
    }

    /// Whether a packet is of the client. When one end speaks to itself, all of them are.
    pub(crate) fn is_of_client(&self, between: &Between) -> bool {
        between.from == self.client
    }

    /// What is certain about the port so far.
    pub(crate) fn shown(&self) -> Option<Shown> {
        const PATIENCE: u64 = 3_000_000_000;
        match self.stage {
            Stage::Open(shown) => Some(shown),
            Stage::Refused => Some(Shown::Refused),
            Stage::Asked(_) => (self.questions > 1 && self.last_at.saturating_sub(self.first_at) >= PATIENCE)
                .then_some(Shown::Unanswered),
            Stage::MidStream { placed } => {
                (placed && self.asked.bytes > 0 && self.answered.bytes > 0).then_some(Shown::MidStream)
            }
            Stage::Waiting | Stage::Over => None,
        }
    }

    /// Puts a TCP segment to it. Returns how many more bytes are kept. The segment is none that begins another
    /// conversation ([`Self::is_begun_anew`]).
    pub(crate) fn segment(&mut self, of_client: bool, segment: &Segment<'_>) -> usize {
        let flags = segment.flags;
        match (self.stage, of_client) {
            (Stage::Asked(_), true) if flags & SYN != 0 => self.questions += 1,
            (Stage::Asked(sequence), false) => {
                let to_our_syn = flags & ACK != 0 && segment.acknowledged == sequence.wrapping_add(1);
                if to_our_syn && flags & (SYN | RST) == SYN {
                    self.stage = Stage::Open(Shown::Handshake);
                    self.asked.next = Some(segment.acknowledged);
                    self.answered.next = Some(segment.sequence.wrapping_add(1));
                } else if to_our_syn && flags & (SYN | RST) == RST {
                    self.stage = Stage::Refused;
                    self.over = true;
                }
                return 0;
            }
            _ => {}
        }
        if flags & (SYN | RST) != 0 {
            self.over |= flags & RST != 0 && self.is_up();
            return 0;
        }
        let kept = if self.is_up() {
            self.stream(of_client, segment)
        } else {
            0
        };
        // Both sides may still say goodbye; nothing that is kept comes behind the first FIN of the server.
        self.over |= flags & FIN != 0 && !of_client && self.is_up();
        kept
    }

    fn is_up(&self) -> bool {
        matches!(self.stage, Stage::Open(_) | Stage::MidStream { .. })
    }

    /// Whether a segment is the SYN of another connection between the same ends.
    pub(crate) fn is_begun_anew(&self, segment: &Segment<'_>) -> bool {
        match self.stage {
            Stage::Asked(sequence) => segment.sequence != sequence,
            _ => self.over || segment.sequence.wrapping_add(1) != self.asked.next.unwrap_or_default(),
        }
    }

    /// A SYN-ACK whose SYN was not captured: where both streams begin.
    pub(crate) fn half_begun(&mut self, segment: &Segment<'_>) {
        self.asked.next = Some(segment.acknowledged);
        self.answered.next = Some(segment.sequence.wrapping_add(1));
    }

    fn stream(&mut self, of_client: bool, segment: &Segment<'_>) -> usize {
        let Data { bytes, sent } = segment.data;
        let (way, other) = match of_client {
            true => (&mut self.asked, self.answered.next),
            false => (&mut self.answered, self.asked.next),
        };
        way.bytes += sent as u64;
        // What it acknowledges and was not captured is a question that its bytes would be the answer to.
        let unheard = other.is_some_and(|next| segment.acknowledged.wrapping_sub(next).cast_signed() > 0);
        if unheard
            && segment.flags & ACK != 0
            && let Some(turns) = &mut self.turns
        {
            turns.end();
        }
        let Some(turns) = self.turns.as_mut().filter(|turns| !turns.is_ended()) else {
            return 0;
        };
        // A keep-alive repeats one byte before what comes next; it is passed over as any repetition is.
        let ahead = segment
            .sequence
            .wrapping_sub(way.next.unwrap_or(segment.sequence))
            .cast_signed();
        let repeated = usize::try_from(ahead.unsigned_abs()).unwrap_or(usize::MAX);
        let (bytes, sent) = match ahead {
            0 => (bytes, sent),
            1.. => {
                turns.end();
                return 0;
            }
            _ if repeated >= sent => return 0,
            _ => (bytes.get(repeated..).unwrap_or_default(), sent - repeated),
        };
        let new = u32::try_from(sent).unwrap_or_default();
        let next = way.next.unwrap_or(segment.sequence);
        way.next = Some(next.wrapping_add(new));
        let data = Data { bytes, sent };
        if of_client {
            turns.asked(data)
        } else {
            turns.answered(data)
        }
    }

    /// Puts a datagram to it. Returns how many more bytes are kept.
    pub(crate) fn datagram(&mut self, of_client: bool, data: Data<'_>) -> usize {
        let way = if of_client {
            &mut self.asked
        } else {
            &mut self.answered
        };
        way.bytes += data.sent as u64;
        if !of_client && self.stage == Stage::Waiting {
            self.stage = Stage::Open(Shown::Answered);
        }
        self.questions += u32::from(of_client && self.stage == Stage::Waiting);
        let Some(turns) = &mut self.turns else {
            return 0;
        };
        if of_client {
            turns.asked(data)
        } else {
            turns.answered(data)
        }
    }
}
