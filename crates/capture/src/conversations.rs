//! All conversations that are followed at a time: a fixed number of places, and who has to go when they are full.

use std::collections::HashMap;

use portcullis_model::Transport;

use crate::conversation::{Conversation, Endpoint, Shown, Stage};

/// Two endpoints, in an order that does not depend on who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    low: Endpoint,
    high: Endpoint,
    is_tcp: bool,
}

impl Key {
    pub(crate) fn of(one: Endpoint, other: Endpoint, transport: Transport) -> Self {
        let (low, high) = if one <= other { (one, other) } else { (other, one) };
        Self {
            low,
            high,
            is_tcp: transport == Transport::Tcp,
        }
    }
}

/// How many places are looked at before somebody has to go.
const LOOKED_AT: usize = 32;
/// An answer to a SYN that is older is not waited for.
const SYN_IDLE: u64 = 10_000_000_000;
/// After so long without a packet, a conversation is taken for ended.
const IDLE: u64 = 60_000_000_000;

/// A table of fixed size.
#[derive(Debug)]
pub(crate) struct Conversations {
    places: Vec<(Key, Conversation)>,
    by_key: HashMap<Key, usize>,
    most: usize,
    hand: usize,
}

/// A conversation that had to make room.
#[derive(Debug)]
pub(crate) struct Displaced {
    pub(crate) conversation: Conversation,
    /// Whether more was to be expected of it.
    pub(crate) early: bool,
}

impl Conversations {
    pub(crate) fn new(most: usize) -> Self {
        Self {
            places: Vec::new(),
            by_key: HashMap::new(),
            most: most.max(1),
            hand: 0,
        }
    }

    /// Where a conversation is, if it is followed.
    pub(crate) fn place(&self, key: &Key) -> Option<usize> {
        self.by_key.get(key).copied()
    }

    pub(crate) fn at(&mut self, place: usize) -> Option<&mut Conversation> {
        self.places.get_mut(place).map(|(_, conversation)| conversation)
    }

    /// Follows one more. When all places are taken, the one that is worth least among some goes: what has ended or is
    /// idle first, then what was never answered, so that a flood of SYNs pushes out its own kind.
    pub(crate) fn insert(&mut self, key: Key, conversation: Conversation) -> Option<Displaced> {
        let now = conversation.last_at;
        if self.places.len() < self.most {
            self.by_key.insert(key, self.places.len());
            self.places.push((key, conversation));
            return None;
        }
        let mut chosen = self.hand;
        let mut least = u8::MAX;
        for _ in 0..LOOKED_AT.min(self.most) {
            self.hand = (self.hand + 1) % self.most;
            let worth = self
                .places
                .get(self.hand)
                .map_or(u8::MAX, |(_, one)| worth(one, now));
            if worth < least {
                (chosen, least) = (self.hand, worth);
            }
            if worth == 0 {
                break;
            }
        }
        let place = self.places.get_mut(chosen)?;
        let (old_key, conversation) = std::mem::replace(place, (key, conversation));
        self.by_key.remove(&old_key);
        self.by_key.insert(key, chosen);
        Some(Displaced {
            conversation,
            early: least > 0,
        })
    }

    /// All that are left.
    pub(crate) fn into_all(self) -> impl Iterator<Item = Conversation> {
        self.places.into_iter().map(|(_, conversation)| conversation)
    }
}

/// 0: nothing more is expected. The highest are those that speak and were answered.
fn worth(conversation: &Conversation, now: u64) -> u8 {
    let idle = now.saturating_sub(conversation.last_at);
    match conversation.stage {
        _ if conversation.over || idle > IDLE => 0,
        Stage::Asked(_) if idle > SYN_IDLE => 0,
        Stage::MidStream { placed: false } | Stage::Over => 0,
        Stage::Asked(_) | Stage::Waiting => 1,
        Stage::MidStream { .. } => 2,
        Stage::Open(Shown::Answered) => 3,
        Stage::Open(_) | Stage::Refused => 4,
    }
}
