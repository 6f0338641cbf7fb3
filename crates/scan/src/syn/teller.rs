//! Tells the watcher what the threads of a scan have found, and what a checkpoint must hold.

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

use super::engine::{Scan, lock};
use crate::{
    Watcher,
    checkpoint::{Entry, SeenPort},
    places::Place,
};

/// A turn counts as taken when its answer could have come, and this time has passed: its packet may have waited.
const MARGIN: Duration = Duration::from_millis(500);

pub(super) struct Teller<'w, 's> {
    watcher: &'w mut dyn Watcher,
    found: usize,
    refused: usize,
    /// Positions of the walk, and when they were reached.
    reached: VecDeque<(Instant, Entry)>,
    after: Duration,
    scan: std::marker::PhantomData<&'s ()>,
}

impl<'w> Teller<'w, '_> {
    pub(super) fn new(watcher: &'w mut dyn Watcher, scan: &Scan<'_>) -> Self {
        Self {
            watcher,
            found: 0,
            // What was refused earlier has been kept.
            refused: lock(&scan.refused).len(),
            reached: VecDeque::new(),
            after: scan.request.answer_wait + MARGIN,
            scan: std::marker::PhantomData,
        }
    }

    /// Tells what is new. `position` is the look, and round and turn up to which turns were taken.
    pub(super) fn tell(&mut self, scan: &Scan<'_>, position: Option<(u32, (u64, u64))>) {
        self.answers(scan);
        self.refusals(scan);
        if let Some((look, (round, turn))) = position {
            let entry = Entry::Reached { look, round, turn };
            self.reached.push_back((Instant::now(), entry));
        }
        let mut last = None;
        while let Some((_, entry)) = self
            .reached
            .pop_front_if(|(when, _)| when.elapsed() >= self.after)
        {
            last = Some(entry);
        }
        if let Some(entry) = last {
            self.watcher.keep(&entry);
            self.watcher.keep(&Entry::Loss(scan.canaries()));
        }
        self.watcher.progress(&scan.progress());
    }

    fn answers(&mut self, scan: &Scan<'_>) {
        let new: Vec<_> = lock(&scan.found).get(self.found..).unwrap_or_default().to_vec();
        self.found += new.len();
        for found in new.iter().filter(|found| !found.is_earlier()) {
            let observation = found.observation(scan.request, scan.ports.get(found.place.port).copied());
            self.watcher.seen(&observation);
            self.watcher.keep(&Entry::Seen(Box::new(SeenPort {
                look: found.look,
                packets: found.look,
                connections: 0,
                observation,
            })));
        }
    }

    fn refusals(&mut self, scan: &Scan<'_>) {
        let new: Vec<(Place, String)> = lock(&scan.refused)
            .get(self.refused..)
            .unwrap_or_default()
            .to_vec();
        self.refused += new.len();
        let mut by_reason: BTreeMap<String, Vec<(u32, u32)>> = BTreeMap::new();
        for (place, reason) in new {
            let port = scan
                .ports
                .get(place.port)
                .and_then(|port| scan.all_ports.binary_search(port).ok());
            if let Some(port) = port {
                by_reason
                    .entry(reason)
                    .or_default()
                    .push((place.host as u32, port as u32));
            }
        }
        for (reason, places) in by_reason {
            self.watcher.keep(&Entry::Refused { places, reason });
        }
    }
}
