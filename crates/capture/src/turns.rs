//! The first bytes of both sides of a conversation, in turns, bounded.

use portcullis_knowledge::{Further, Overheard, Seen};

use crate::packet::Data;

/// How many questions and answers of one conversation are kept.
const MOST_TURNS: usize = 3;
/// How much is kept of a question: enough for every request that a judge compares.
const QUESTION: usize = 256;
/// How much is kept of an answer: what evidence may hold.
const ANSWER: usize = 512;

/// Questions and answers as they followed each other.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Turns {
    turns: Vec<Turn>,
    /// Whether bytes are missing behind what is kept, so that nothing more can be put to it.
    ended: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Turn {
    question: Vec<u8>,
    answer: Vec<u8>,
}

impl Turns {
    /// Bytes of the client. Returns how many more are kept now.
    pub(crate) fn asked(&mut self, data: Data<'_>) -> usize {
        if self.ended || data.sent == 0 {
            return 0;
        }
        if self.turns.last().is_none_or(|turn| !turn.answer.is_empty()) {
            if self.turns.len() >= MOST_TURNS {
                self.ended = true;
                return 0;
            }
            self.turns.push(Turn::default());
        }
        let kept = self
            .turns
            .last_mut()
            .map_or(0, |turn| keep(&mut turn.question, data.bytes, QUESTION));
        self.ended = data.bytes.len() < data.sent;
        kept
    }

    /// Bytes of the server. Returns how many more are kept now.
    pub(crate) fn answered(&mut self, data: Data<'_>) -> usize {
        if self.ended || data.sent == 0 {
            return 0;
        }
        if self.turns.is_empty() {
            self.turns.push(Turn::default());
        }
        let kept = self
            .turns
            .last_mut()
            .map_or(0, |turn| keep(&mut turn.answer, data.bytes, ANSWER));
        self.ended = data.bytes.len() < data.sent;
        kept
    }

    /// Ends it: what follows does not join what is kept.
    pub(crate) fn end(&mut self) {
        self.ended = true;
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.ended
    }

    /// How many bytes are kept.
    pub(crate) fn size(&self) -> usize {
        let sizes = self
            .turns
            .iter()
            .map(|turn| turn.question.len() + turn.answer.len());
        sizes.sum()
    }

    /// Whether the server said anything.
    pub(crate) fn has_answer(&self) -> bool {
        self.turns.iter().any(|turn| !turn.answer.is_empty())
    }

    /// Whether these turns tell nothing that the others do not: questions of the same beginning, answers of one length.
    pub(crate) fn resembles(&self, other: &Self) -> bool {
        fn key(turns: &Turns) -> Option<(&[u8], usize)> {
            let first = turns.turns.first()?;
            Some((
                first.question.get(..8).unwrap_or(&first.question),
                first.answer.len(),
            ))
        }
        key(self) == key(other) && self.turns.len() <= other.turns.len()
    }

    /// The first words of the server, and what they answer.
    pub(crate) fn first(&self) -> (&[u8], &[u8]) {
        self.turns
            .first()
            .map_or((&[], &[]), |turn| (&turn.question, &turn.answer))
    }

    /// As the judges take it.
    pub(crate) fn seen(&self, overheard: Overheard) -> Seen {
        let mut seen = Seen {
            overheard: Some(overheard),
            ..Seen::default()
        };
        let Some((first, rest)) = self.turns.split_first() else {
            return seen;
        };
        if first.question.is_empty() && overheard != Overheard::AnswerOnly {
            seen.spoke_first.clone_from(&first.answer);
            return seen;
        }
        seen.request = (!first.question.is_empty()).then(|| first.question.clone());
        seen.reply.clone_from(&first.answer);
        seen.further = rest
            .iter()
            .map(|turn| Further {
                request: turn.question.clone(),
                reply: turn.answer.clone(),
            })
            .collect();
        seen
    }
}

fn keep(kept: &mut Vec<u8>, bytes: &[u8], most: usize) -> usize {
    let room = most.saturating_sub(kept.len());
    let more = bytes.get(..room.min(bytes.len())).unwrap_or_default();
    // Without the spare room that a growing vector gives itself: thousands of these are kept.
    kept.reserve_exact(more.len());
    kept.extend_from_slice(more);
    more.len()
}
