//! What was seen of one port: the input of the matcher.

use std::time::Duration;

use portcullis_model::Secret;

/// What one connection, or one datagram, brought to light.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// Bytes that the server sent before we sent any.
    pub spoke_first: Vec<u8>,
    /// The request that was sent, if any.
    pub request: Option<Vec<u8>>,
    /// Bytes that came after the request.
    pub reply: Vec<u8>,
    /// How long the server was silent after connect, before the request or the end.
    pub silent_for: Duration,
    /// How long we waited for a reply that did not come; zero when one came or nothing was sent.
    pub waited: Duration,
    /// What was asked after that reply, with [`crate::Knowledge::further`], and what came back; in order.
    pub further: Vec<Further>,
    /// Whether the server ended the connection.
    pub closed_by_peer: bool,
    /// Whether somebody else's conversation was listened to, and how much of it; `None` for one of our own.
    pub overheard: Option<Overheard>,
}

/// How much of somebody else's conversation was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Overheard {
    /// Both sides, from their first bytes on.
    FromTheBeginning,
    /// Both sides, of a connection that was up before.
    MidStream,
    /// What the server said, and not what it answers.
    AnswerOnly,
}

/// One more question over the same connection, or from the same UDP port, and its reply.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Further {
    /// The request that was sent.
    pub request: Vec<u8>,
    /// Bytes that came after it; empty when none came.
    pub reply: Vec<u8>,
}

impl Seen {
    /// Makes a secret unreadable in all bytes, those that were sent among them: what must be the same in a request and its
    /// reply stays so.
    pub(crate) fn conceal(&mut self, secret: &Secret) {
        let further = self
            .further
            .iter_mut()
            .flat_map(|turn| [&mut turn.request, &mut turn.reply]);
        let own = [&mut self.spoke_first, &mut self.reply];
        for bytes in self.request.iter_mut().chain(own).chain(further) {
            secret.conceal_in(bytes);
        }
    }

    /// The bytes that tell most: what came unasked, else the reply.
    pub(crate) fn bytes(&self) -> &[u8] {
        if self.spoke_first.is_empty() {
            &self.reply
        } else {
            &self.spoke_first
        }
    }

    /// Whether the reply is nothing but the beginning of our own request.
    pub(crate) fn is_echo(&self) -> bool {
        // Fewer than four bytes can be equal by chance.
        self.reply.len() >= 4
            && self
                .request
                .as_ref()
                .is_some_and(|request| request.starts_with(&self.reply))
    }
}
