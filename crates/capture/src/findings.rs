//! What conversations have shown of ports: by client, and the first bytes by listener. Everything has a bound.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    net::IpAddr,
};

use portcullis_model::{Port, PortState};

use crate::{
    Limits,
    conversation::{Conversation, Shown},
    turns::Turns,
};

/// Different exchanges of one listener that are kept.
const MOST_EXCHANGES: usize = 3;

/// Whose port, who asked, and how the port was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Pair {
    pub(crate) address: IpAddr,
    pub(crate) port: Port,
    pub(crate) client: IpAddr,
    pub(crate) state: PortState,
}

/// How often, when, and by what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) count: u64,
    pub(crate) first_at: u64,
    pub(crate) last_at: u64,
    pub(crate) shown: Shown,
    pub(crate) asked_bytes: u64,
    pub(crate) answered_bytes: u64,
    /// Of unanswered ones: how many SYNs.
    pub(crate) questions: u32,
}

/// The first bytes of a conversation with a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Exchange {
    pub(crate) client: IpAddr,
    pub(crate) shown: Shown,
    pub(crate) turns: Turns,
    /// From the first packet to the last, in nanoseconds.
    pub(crate) lasted: u64,
    pub(crate) at: u64,
}

/// Everything that was shown.
#[derive(Debug)]
pub(crate) struct Findings {
    limits: Limits,
    pub(crate) pairs: HashMap<Pair, Tally>,
    unanswered: HashMap<Pair, Tally>,
    pub(crate) exchanges: HashMap<(IpAddr, Port), Vec<Exchange>>,
    bytes: usize,
    /// Pairs beyond the bound.
    pub(crate) pairs_left_out: u64,
    /// Exchanges that were not kept for want of room.
    pub(crate) bytes_left_out: u64,
}

impl Findings {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            pairs: HashMap::new(),
            unanswered: HashMap::new(),
            exchanges: HashMap::new(),
            bytes: 0,
            pairs_left_out: 0,
            bytes_left_out: 0,
        }
    }

    /// Whether the bytes of one more conversation with a listener could tell anything new.
    pub(crate) fn wants(&self, address: IpAddr, port: Port) -> bool {
        self.exchanges
            .get(&(address, port))
            .is_none_or(|known| known.len() < MOST_EXCHANGES)
    }

    /// Takes over what a conversation has shown.
    pub(crate) fn add(&mut self, conversation: &mut Conversation) {
        let Some(shown) = conversation.shown() else {
            return;
        };
        let state = match shown {
            Shown::Refused => PortState::Closed,
            Shown::Unanswered => PortState::NoAnswer,
            _ => PortState::Open,
        };
        let pair = Pair {
            address: conversation.server.0,
            port: conversation.port(),
            client: conversation.client.0,
            state,
        };
        let tally = Tally {
            count: 1,
            first_at: conversation.first_at,
            last_at: conversation.last_at,
            shown,
            asked_bytes: conversation.asked.bytes,
            answered_bytes: conversation.answered.bytes,
            questions: conversation.questions,
        };
        if state == PortState::NoAnswer {
            // Beyond the bound the claim is not made, which is no loss: silence alone claims nothing anyway.
            if self.unanswered.len() < self.limits.pairs / 8 || self.unanswered.contains_key(&pair) {
                join(&mut self.unanswered, pair, tally);
            }
            return;
        }
        if self.pairs.len() >= self.limits.pairs && !self.pairs.contains_key(&pair) {
            self.pairs_left_out += 1;
            return;
        }
        join(&mut self.pairs, pair, tally);
        if state == PortState::Open
            && let Some(turns) = conversation.turns.take()
            // Bytes that were not captured are no silence.
            && (turns.has_answer() || !turns.is_ended())
        {
            self.exchange(pair, shown, *turns, &tally);
        }
    }

    fn exchange(&mut self, pair: Pair, shown: Shown, turns: Turns, tally: &Tally) {
        let size = turns.size();
        if self.bytes + size > self.limits.bytes {
            self.bytes_left_out += 1;
            return;
        }
        let known = self.exchanges.entry((pair.address, pair.port)).or_default();
        let exchange = Exchange {
            client: pair.client,
            shown,
            turns,
            lasted: tally.last_at.saturating_sub(tally.first_at),
            at: tally.last_at,
        };
        // One without an answer makes way for one with.
        if let Some(place) = known.iter().position(|one| !one.turns.has_answer()) {
            if exchange.turns.has_answer() || known.len() > 1 {
                known.remove(place);
            } else {
                return;
            }
        }
        if known.len() < MOST_EXCHANGES && !known.iter().any(|one| exchange.turns.resembles(&one.turns)) {
            self.bytes += size;
            known.push(exchange);
        }
    }

    /// SYNs that stayed without an answer, of hosts that answered the same client on another port, and whose port
    /// never answered it: the way back was in view.
    pub(crate) fn silent(&self) -> BTreeMap<Pair, Tally> {
        let mut in_view: HashSet<(IpAddr, IpAddr)> = HashSet::new();
        let mut answered: HashSet<(IpAddr, Port, IpAddr)> = HashSet::new();
        for (pair, tally) in &self.pairs {
            // Datagrams may take another way than connections.
            if !matches!(tally.shown, Shown::Handshake | Shown::Refused) {
                continue;
            }
            in_view.insert((pair.address, pair.client));
            answered.insert((pair.address, pair.port, pair.client));
        }
        self.unanswered
            .iter()
            .filter(|(pair, _)| {
                in_view.contains(&(pair.address, pair.client))
                    && !answered.contains(&(pair.address, pair.port, pair.client))
            })
            .map(|(pair, tally)| (*pair, *tally))
            .collect()
    }
}

fn join(tallies: &mut HashMap<Pair, Tally>, pair: Pair, new: Tally) {
    tallies
        .entry(pair)
        .and_modify(|known| {
            known.count += 1;
            known.first_at = known.first_at.min(new.first_at);
            known.last_at = known.last_at.max(new.last_at);
            known.asked_bytes = known.asked_bytes.saturating_add(new.asked_bytes);
            known.answered_bytes = known.answered_bytes.saturating_add(new.answered_bytes);
            known.questions = known.questions.saturating_add(new.questions);
            known.shown = known.shown.min(new.shown);
        })
        .or_insert(new);
}
