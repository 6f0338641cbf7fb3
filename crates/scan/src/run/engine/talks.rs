//! Conversations on connections that stand: whose turn it is to send, and what they bring.

use std::time::Duration;

use portcullis_model::{PortState, Transport};
use tokio::task::{Id, JoinError};

use super::{EXCHANGE, NOTHING, Scan, TICK, Talk, asking::keep_canary};
use crate::{
    Sighting,
    checkpoint::{Entry, SeenPort},
    pace::Turn,
    places::Place,
    probe::{Target, Trace, gate::Step},
    run::{Watcher, attempts::Why},
};

impl Scan<'_> {
    /// Answers the conversations whose turn has come. Returns when the next one's comes.
    pub(super) fn grant(&mut self) -> Option<Duration> {
        let mut earliest: Option<Duration> = None;
        for _ in 0..self.waiting.len() {
            let mut ask = self.waiting.pop_front()?;
            let now = self.now();
            self.beside(ask.place.host, std::mem::take(&mut ask.uncounted));
            let unpaid = std::mem::take(&mut ask.unpaid);
            self.schedule
                .settle(now, self.to(ask.place.host), NOTHING, unpaid);
            let asking = matches!(ask.step, Step::Request | Step::Read);
            // An end is never refused, for an open connection is a burden to the device.
            if asking && (self.ending.is_some() || self.is_denied(ask.place)) {
                // A conversation that is gone needs no answer.
                let _ = ask.answer.send(false);
                continue;
            }
            let turn = if asking && self.held {
                Turn::At(now + TICK)
            } else {
                self.schedule.next(now, self.to(ask.place.host), EXCHANGE)
            };
            match turn {
                Turn::Now => {
                    self.sent(ask.place.host, now, ask.step.own_packets());
                    let _ = ask.answer.send(true);
                }
                // The operator's word to stop does not wait for a slow pace.
                Turn::At(_) if self.ending.is_some() => {
                    self.sent(ask.place.host, now, ask.step.own_packets());
                    let _ = ask.answer.send(true);
                }
                Turn::At(when) => {
                    earliest = Some(earliest.map_or(when, |before| before.min(when)));
                    self.waiting.push_back(ask);
                }
            }
        }
        earliest
    }

    /// Counts what our kernel has sent by itself: acknowledgements.
    fn beside(&mut self, host: usize, packets: u32) {
        self.devices.beside(host, packets);
        self.counters.packets_sent += u64::from(packets);
    }

    pub(super) fn is_denied(&self, place: Place) -> bool {
        let ends = self.addresses.get(place.host).zip(self.ports.get(place.port));
        ends.is_none_or(|(address, port)| (self.permit)(*address, *port).is_err())
    }

    /// Takes what a conversation brings.
    pub(super) fn talked(&mut self, ended: Result<(Id, Trace), JoinError>, watcher: &mut dyn Watcher) {
        let (id, trace) = match ended {
            Ok((id, trace)) => (id, trace),
            Err(error) => {
                tracing::error!(%error, "a probe ended before its time");
                let trace = Trace::not_tested("the probe failed inside Portcullis");
                (error.id(), trace)
            }
        };
        let Some(Talk { target, place, why }) = self.talking.remove(&id) else {
            return;
        };
        let now = self.now();
        if target.port.transport == Transport::Udp {
            self.looking -= 1;
            match trace.state {
                PortState::NoAnswer => {
                    self.looking += 1;
                    return self.no_answer(place, why, None, watcher);
                }
                PortState::NotTested => self.refuse(place, trace.because),
                state => {
                    self.answer_came(place, trace.answered_after.unwrap_or_default(), watcher);
                    self.first_answer(place, state);
                    self.tell(&target, place, trace, 0, watcher);
                }
            }
            self.line.free(place.host);
            return;
        }
        self.beside(place.host, trace.packets.saturating_sub(trace.counted));
        let unpaid = trace.packets.saturating_sub(trace.paid);
        self.schedule.settle(now, self.to(place.host), NOTHING, unpaid);
        self.conversation_over(&target, place, why, trace, watcher);
    }

    /// An accepted connection has come to its end.
    pub(super) fn conversation_over(
        &mut self,
        target: &Target,
        place: Place,
        why: Why,
        trace: Trace,
        watcher: &mut dyn Watcher,
    ) {
        if self.behaviour.connection(place.host, trace.conduct) {
            self.leave(place.host, watcher);
        }
        if why == Why::Canary {
            keep_canary(place, trace.packets, 1, watcher);
        }
        if why == Why::Look {
            if trace.state == PortState::NotTested {
                self.refuse(place, trace.because);
            } else {
                self.tell(target, place, trace, 1, watcher);
            }
        }
        self.line.free(place.host);
    }

    /// A port's state is known: it is kept and told.
    pub(super) fn tell(
        &mut self,
        target: &Target,
        place: Place,
        trace: Trace,
        connections: u32,
        watcher: &mut dyn Watcher,
    ) {
        let sighting = Sighting::of(target, trace, &self.request.moved, self.knowledge);
        let packets = sighting.packets;
        let observation = sighting.into_observation(self.request.run, &self.request.vantage);
        self.counters.answers += 1;
        self.open += u64::from(observation.state == PortState::Open);
        let entry = Entry::Seen(Box::new(SeenPort {
            look: self.look,
            packets,
            connections,
            observation: observation.clone(),
        }));
        watcher.keep(&entry);
        watcher.seen(&observation);
        self.found.push((place, observation));
    }
}
