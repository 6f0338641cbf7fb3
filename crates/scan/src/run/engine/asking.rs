//! Asking ports: connections that are made, datagrams, canaries, and what becomes of them.

use std::{net::IpAddr, time::Duration};

use portcullis_model::{PortState, Transport};

use super::{ATTEMPT, DATAGRAM, HANDSHAKE, MOST_DEAD, MOST_REASONS, Next, ON_TIME, Scan, Talk};
use crate::{
    canary::{Shown, enough_missed},
    checkpoint::Entry,
    loss::LEAST_LOOKS,
    pace::Turn,
    places::Place,
    probe::{Target, Trace, gate::Gate, talk::talk, tcp, udp},
    run::{
        Watcher,
        attempts::{Attempt, Why},
    },
};

impl Scan<'_> {
    /// Asks a canary if one is due and its host is free. Returns whether something was asked.
    pub(super) fn start_canary(&mut self, now: Duration, watcher: &mut dyn Watcher) -> bool {
        if self.silences == 0 {
            return false;
        }
        self.ledger.silent(self.silences);
        // A look of a scan that goes on may have nothing left but its canaries.
        let done = match self.look_total {
            0 => 1.0,
            total => self.look_done as f64 / total as f64,
        };
        let wanted = self.canaries_wanted();
        let Some(place) = self.canaries.next(done, wanted) else {
            return false;
        };
        // A later look is at some networks only, and a loss elsewhere says nothing of them.
        if self.look > LEAST_LOOKS && !self.network(place.host).doubtful {
            return true;
        }
        let to = self.to(place.host);
        let may = self.schedule.host_ready(to.host, now, ATTEMPT) <= now && self.line.take(place.host);
        if !may {
            self.canaries.put_off(place);
            return false;
        }
        let Some(target) = self.target(place, false) else {
            self.line.free(place.host);
            return false;
        };
        if (self.permit)(target.address, target.port).is_err() {
            self.line.free(place.host);
            return false;
        }
        if self.schedule.next(now, to, ATTEMPT) != Turn::Now {
            self.canaries.put_off(place);
            self.line.free(place.host);
            return false;
        }
        self.connect(&target, place, Why::Canary, now, watcher);
        true
    }

    /// Asks a port, unless it may not be asked. `Next::At` when nobody may be asked before that.
    pub(super) fn start_look(&mut self, place: Place, now: Duration, watcher: &mut dyn Watcher) -> Next {
        let Some(target) = self.target(place, true) else {
            self.line.free(place.host);
            return Next::More;
        };
        let to = self.to(place.host);
        let cost = match target.port.transport {
            Transport::Tcp => ATTEMPT,
            Transport::Udp => DATAGRAM,
        };
        let ready = self.schedule.host_ready(to.host, now, cost);
        if ready > now {
            self.line.rest(place.host, ready);
            return Next::More;
        }
        // The permission is asked last, for it can end at any moment.
        let unfit = target
            .exchange
            .as_ref()
            .and_then(|exchange| exchange.not_testable);
        let refusal = match unfit {
            Some(reason) => Some(reason.to_owned()),
            None => (self.permit)(target.address, target.port).err(),
        };
        if let Some(reason) = refusal {
            self.refuse(place, reason);
            self.look_done += 1;
            self.line.free(place.host);
            return Next::More;
        }
        if let Turn::At(when) = self.schedule.next(now, to, cost) {
            if self.schedule.total_ready(now) > now {
                self.line.put_back(place.host);
                return Next::At(when);
            }
            self.line.rest(place.host, when);
            return Next::More;
        }
        self.look_done += 1;
        let busy = self.line.busy(place.host);
        self.counters.most_connections_per_host = self.counters.most_connections_per_host.max(busy);
        match target.port.transport {
            Transport::Tcp => {
                self.looking += 1;
                self.connect(&target, place, Why::Look, now, watcher);
            }
            Transport::Udp => {
                self.looking += 1;
                self.sent(place.host, now, 1);
                let task = target.clone();
                let gate = self.gate(place, 1);
                let handle = self.talks.spawn(async move { udp::ask(&task, gate).await });
                let talk = Talk {
                    target,
                    place,
                    why: Why::Look,
                };
                self.talking.insert(handle.id(), talk);
            }
        }
        Next::More
    }

    /// Begins a connection, which has been counted with the schedule.
    pub(super) fn connect(
        &mut self,
        target: &Target,
        place: Place,
        why: Why,
        now: Duration,
        watcher: &mut dyn Watcher,
    ) {
        self.canaries_out += u64::from(why == Why::Canary);
        let made = self.sockets.take(target.address);
        let socket = match tcp::begin(target, made) {
            Ok(socket) => socket,
            Err(refused) => {
                let packets = u32::from(refused.state != PortState::NotTested);
                self.sent(place.host, now, packets);
                self.refused(target, place, why, now, refused, None, watcher);
                return;
            }
        };
        self.sent(place.host, now, 1);
        let late = self.now().saturating_sub(now);
        if late > ON_TIME {
            self.schedule.late(self.to(place.host), late);
        }
        let due = now + self.patience.shortest();
        if let Err(error) = self.attempts.add(socket, place, why, now, due) {
            let refused = tcp::Refused {
                state: PortState::NotTested,
                because: format!("this host cannot watch the connection: {error}"),
            };
            self.refused(target, place, why, now, refused, None, watcher);
        }
    }

    /// Takes what became of the connections that are being made.
    pub(super) fn connections(&mut self, watcher: &mut dyn Watcher) {
        loop {
            let ready = match self.attempts.ready() {
                Ok(ready) => ready,
                Err(error) => {
                    tracing::error!(%error, "cannot watch connections that are being made");
                    break;
                }
            };
            if ready.is_empty() {
                break;
            }
            for attempt in ready {
                self.concluded(attempt, watcher);
            }
        }
        let now = self.now();
        let (patience, networks, look) = (&self.patience, &self.networks, self.look);
        let wait = |place: Place| patience.wait(networks.of_host(place.host), look);
        let mut over = Vec::new();
        for attempt in self.attempts.expired(now, wait) {
            self.schedule.settle(now, self.to(attempt.place.host), ATTEMPT, 1);
            self.no_answer(attempt.place, attempt.why, None, watcher);
            over.push(attempt.socket);
        }
        self.sockets.close(over);
    }

    pub(super) fn concluded(&mut self, attempt: Attempt, watcher: &mut dyn Watcher) {
        let Attempt {
            socket,
            place,
            why,
            begun,
            ..
        } = attempt;
        let now = self.now();
        let after = now.saturating_sub(begun);
        let Some(target) = self.target(place, why == Why::Look) else {
            return;
        };
        let concluded = tcp::conclude(&target, &socket);
        if let Err(refused) = &concluded
            && refused.state != PortState::Open
        {
            let source = tcp::source_of(&socket);
            let refused = refused.clone();
            self.refused(&target, place, why, now, refused, Some((source, after)), watcher);
            return;
        }
        self.schedule.settle(now, self.to(place.host), ATTEMPT, HANDSHAKE);
        self.sent(place.host, now, 1);
        self.devices.connection(place.host);
        self.answer_came(place, after, watcher);
        if why == Why::Look {
            self.looking -= 1;
            self.first_answer(place, PortState::Open);
        } else {
            self.canary_answered(place);
        }
        if let Err(reset) = concluded {
            let mut trace = reset.into_trace(&target).sent(tcp::source_of(&socket), 2);
            trace.answered_after = Some(after);
            return self.conversation_over(&target, place, why, trace, watcher);
        }
        let gate = self.gate(place, HANDSHAKE);
        let task = target.clone();
        let handle = self
            .talks
            .spawn(async move { talk(&task, gate, socket, after).await });
        let talk = Talk { target, place, why };
        self.talking.insert(handle.id(), talk);
    }

    /// Where a conversation waits for its turns; so many of its packets have been counted.
    fn gate(&self, place: Place, counted: u32) -> Gate {
        Gate::Kept {
            place,
            asks: self.asks.clone(),
            counted,
            paid: counted,
        }
    }

    /// A connection does not stand. `answer` is our own address and the time it took, when something came back.
    #[expect(
        clippy::too_many_arguments,
        reason = "each is a fact of its own, and nobody else needs them together"
    )]
    pub(super) fn refused(
        &mut self,
        target: &Target,
        place: Place,
        why: Why,
        now: Duration,
        refused: tcp::Refused,
        answer: Option<(Option<IpAddr>, Duration)>,
        watcher: &mut dyn Watcher,
    ) {
        let tcp::Refused { state, because } = refused;
        let packets = u32::from(state != PortState::NotTested);
        self.schedule.settle(now, self.to(place.host), ATTEMPT, packets);
        match state {
            PortState::NoAnswer => return self.no_answer(place, why, Some(because), watcher),
            PortState::NotTested => self.refuse(place, because),
            PortState::Open | PortState::Closed | PortState::Filtered => {
                let (source, after) = answer.unwrap_or_default();
                self.answer_came(place, after, watcher);
                if why == Why::Canary {
                    self.canary_answered(place);
                    keep_canary(place, packets, 0, watcher);
                } else {
                    self.first_answer(place, state);
                    let mut trace = Trace::new(state, because).sent(source, packets);
                    trace.answered_after = Some(after);
                    self.tell(target, place, trace, 0, watcher);
                }
            }
        }
        match why {
            Why::Look => self.looking -= 1,
            Why::Canary => {
                self.canaries_out = self
                    .canaries_out
                    .saturating_sub(u64::from(state == PortState::NotTested))
            }
        }
        self.line.free(place.host);
    }

    /// An answer came from a host, to whatever was asked.
    pub(super) fn answer_came(&mut self, place: Place, after: Duration, watcher: &mut dyn Watcher) {
        self.patience.answered(self.networks.of_host(place.host), after);
        if self.behaviour.answer(place.host, after) {
            self.leave(place.host, watcher);
        }
    }

    /// A port answered that had not answered before.
    pub(super) fn first_answer(&mut self, place: Place, state: PortState) {
        if self.answered.add(place) {
            self.ledger.answered(self.look);
            self.silences -= u64::from(self.looks(place) > 0);
            self.behaviour.port(place.host, state == PortState::Open);
            self.know(place, state);
        }
    }

    pub(super) fn know(&mut self, place: Place, state: PortState) {
        let tcp = self
            .ports
            .get(place.port)
            .is_some_and(|port| port.transport == Transport::Tcp);
        if tcp && matches!(state, PortState::Open | PortState::Closed) {
            self.canaries.known(place, state == PortState::Closed);
        }
    }

    pub(super) fn canary_answered(&mut self, place: Place) {
        self.canaries_out = self.canaries_out.saturating_sub(1);
        self.canaries.shown(place, true, u32::MAX);
        self.ledger.canary(self.networks.of_host(place.host), true);
    }

    /// Nothing came back in time.
    pub(super) fn no_answer(
        &mut self,
        place: Place,
        why: Why,
        because: Option<String>,
        watcher: &mut dyn Watcher,
    ) {
        match why {
            Why::Look => {
                self.looking -= 1;
                let looks = self.looks(place) + 1;
                self.set_looks(place, looks);
                let silent = (place.host as u32, place.port as u32);
                self.silent_since.entry(looks).or_default().push(silent);
                if let Some(because) = because
                    && self.unreachable.len() < MOST_REASONS
                {
                    self.unreachable.insert(place, because);
                }
            }
            Why::Canary => {
                keep_canary(place, 1, 0, watcher);
                self.canaries_out = self.canaries_out.saturating_sub(1);
                let network = self.networks.of_host(place.host);
                self.ledger.canary(network, false);
                let missed = self.canaries.missed(place.host) + 1;
                let enough = enough_missed(self.ledger.chance_without(missed.into()));
                if self.canaries.shown(place, false, enough) == Shown::Stopped {
                    self.stopped_hosts += 1;
                    // One host may have died. Where several fall silent it is the way to them, and that is loss.
                    if self.stopped_hosts <= MOST_DEAD {
                        self.ledger.forget(network, missed.into());
                    }
                    if self.behaviour.stopped(place.host, missed) {
                        self.leave(place.host, watcher);
                    }
                }
            }
        }
        self.line.free(place.host);
    }

    pub(super) fn leave(&mut self, host: usize, watcher: &mut dyn Watcher) {
        let reason = self.behaviour.left(host).unwrap_or_default().to_owned();
        watcher.keep(&Entry::Left {
            host: host as u32,
            reason,
        });
    }
}

/// What a canary has cost its host, for the checkpoint.
pub(super) fn keep_canary(place: Place, packets: u32, connections: u32, watcher: &mut dyn Watcher) {
    watcher.keep(&Entry::Canary {
        host: place.host as u32,
        packets,
        connections,
    });
}
