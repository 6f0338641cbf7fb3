//! Packets that wait for their turn: connections under way before new ones, and whoever waits longest first.

use std::{collections::BTreeMap, time::Duration};

use super::Permit;
use crate::{
    pace::{Schedule, Turn},
    probe::gate::{Ask, Refusal, Step},
};

/// When the host may get its packet, and the order in which the asks came.
type Place = (Duration, u64);

#[derive(Debug, Default)]
pub(super) struct Waiting {
    under_way: BTreeMap<Place, Ask>,
    fresh: BTreeMap<Place, Ask>,
    count: u64,
}

pub(super) enum Next {
    /// This one is to be answered now.
    Ask(Ask, Result<(), Refusal>),
    /// Nobody before this time.
    At(Duration),
    Nobody,
}

impl Waiting {
    pub(super) fn add(&mut self, ask: Ask, now: Duration, schedule: &Schedule) {
        self.count += 1;
        let place = (schedule.host_ready(ask.address).max(now), self.count);
        let queue = if ask.step == Step::First {
            &mut self.fresh
        } else {
            &mut self.under_way
        };
        queue.insert(place, ask);
    }

    /// Whoever comes next, with the verdict of the permission. A packet that is denied takes nobody's turn.
    pub(super) fn next(&mut self, now: Duration, schedule: &mut Schedule, permit: Permit<'_>) -> Next {
        let mut earliest: Option<Duration> = None;
        for queue in [&mut self.under_way, &mut self.fresh] {
            while let Some(first) = queue.first_entry() {
                let (ready, count) = *first.key();
                if ready > now {
                    earliest = Some(earliest.map_or(ready, |before| before.min(ready)));
                    break;
                }
                let ask = first.get();
                if ask.step != Step::Close
                    && let Err(reason) = permit(ask.address, ask.port)
                {
                    return Next::Ask(first.remove(), Err(Refusal::Denied(reason)));
                }
                match schedule.next(now, ask.address, ask.packets) {
                    Turn::Now => return Next::Ask(first.remove(), Ok(())),
                    // Another connection to the same host has taken the turn in the meantime.
                    Turn::At(when) if schedule.host_ready(ask.address) > now => {
                        let ask = first.remove();
                        queue.insert((when, count), ask);
                    }
                    Turn::At(when) => return Next::At(when),
                }
            }
        }
        earliest.map_or(Next::Nobody, Next::At)
    }

    /// Anybody, for when all are sent home.
    pub(super) fn take_any(&mut self) -> Option<Ask> {
        let queue = if self.under_way.is_empty() {
            &mut self.fresh
        } else {
            &mut self.under_way
        };
        queue.pop_first().map(|(_, ask)| ask)
    }
}
