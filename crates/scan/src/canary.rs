//! Canaries: ports that have answered and are asked again at random times, to measure what is lost. Pure.

use std::collections::HashMap;

use crate::places::Place;

/// So many known ports are kept, a random choice of all.
const MOST_KNOWN: usize = 4096;
/// A host that has answered before and then misses so many questions in a row has stopped answering, where little is lost.
const LEAST_MISSED: u32 = 3;
/// Where much is lost it may miss more, so that chance alone makes it miss all of them no more often than this.
const BY_CHANCE: f64 = 1e-4;
/// More than so many are not asked, whatever is lost.
const MOST_MISSED: u32 = 12;

/// How many questions in a row a host must miss until it has stopped answering, with this chance of loss, from 0 to 1.
pub(crate) fn enough_missed(loss: f64) -> u32 {
    let by_chance = (LEAST_MISSED..MOST_MISSED).find(|missed| loss.powi(*missed as i32) <= BY_CHANCE);
    by_chance.unwrap_or(MOST_MISSED)
}

/// What a question to a canary has shown of its host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    /// It answers.
    Answers,
    /// The question or its answer was lost, or the host has stopped answering: it is to be asked again.
    Missed,
    /// The host has stopped answering.
    Stopped,
}

/// The known ports, and who is to be asked again.
#[derive(Debug)]
pub(crate) struct Canaries {
    /// Ports that refuse: a question costs the device two packets and no connection. The first choice.
    refusing: Reservoir,
    open: Reservoir,
    missed: HashMap<usize, u32>,
    again: Vec<Place>,
    random: u64,
    asked: u64,
}

impl Canaries {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            refusing: Reservoir::default(),
            open: Reservoir::default(),
            missed: HashMap::new(),
            again: Vec::new(),
            random: seed,
            asked: 0,
        }
    }

    /// A port has answered for the first time.
    pub(crate) fn known(&mut self, place: Place, refuses: bool) {
        let random = next_random(&mut self.random);
        let reservoir = if refuses {
            &mut self.refusing
        } else {
            &mut self.open
        };
        reservoir.add(place, random);
    }

    /// A look begins: its canaries are counted anew.
    pub(crate) fn begin_look(&mut self) {
        self.asked = 0;
    }

    /// Who is to be asked now, when so much of the look is done, from 0 to 1, and so many are wanted in the whole look.
    pub(crate) fn next(&mut self, done: f64, wanted: u64) -> Option<Place> {
        if let Some(place) = self.again.pop() {
            return Some(place);
        }
        if self.asked as f64 >= (wanted as f64 * done).ceil() {
            return None;
        }
        let random = next_random(&mut self.random);
        let place = self
            .refusing
            .choose(random)
            .or_else(|| self.open.choose(random))?;
        self.asked += 1;
        Some(place)
    }

    /// Whether somebody is to be asked before a look can be over in which so many are wanted.
    pub(crate) fn due(&self, wanted: u64) -> bool {
        let known = !self.refusing.places.is_empty() || !self.open.places.is_empty();
        !self.again.is_empty() || (known && self.asked < wanted)
    }

    /// A canary could not be asked now, for its host is busy: another one may do as well, unless it was this very one
    /// that missed a question.
    pub(crate) fn put_off(&mut self, place: Place) {
        if self.missed.contains_key(&place.host) {
            self.again.push(place);
        } else {
            self.asked = self.asked.saturating_sub(1);
        }
    }

    /// How many questions in a row a host has missed.
    pub(crate) fn missed(&self, host: usize) -> u32 {
        self.missed.get(&host).copied().unwrap_or_default()
    }

    /// What came of a question. `enough` is how many a host must miss in a row until it has stopped answering.
    pub(crate) fn shown(&mut self, place: Place, answered: bool, enough: u32) -> Shown {
        if answered {
            self.missed.remove(&place.host);
            return Shown::Answers;
        }
        let missed = self.missed.entry(place.host).or_default();
        *missed += 1;
        if *missed >= enough {
            self.refusing.drop_host(place.host);
            self.open.drop_host(place.host);
            self.again.retain(|again| again.host != place.host);
            return Shown::Stopped;
        }
        self.again.push(place);
        Shown::Missed
    }
}

/// A random choice of a stream of unknown length (Vitter, algorithm R).
#[derive(Debug, Default)]
struct Reservoir {
    places: Vec<Place>,
    seen: u64,
}

impl Reservoir {
    fn add(&mut self, place: Place, random: u64) {
        self.seen += 1;
        if self.places.len() < MOST_KNOWN {
            self.places.push(place);
        } else if let Some(kept) = below(random, self.seen)
            .try_into()
            .ok()
            .and_then(|chosen: usize| self.places.get_mut(chosen))
        {
            *kept = place;
        }
    }

    fn choose(&self, random: u64) -> Option<Place> {
        let chosen = below(random, self.places.len() as u64);
        self.places.get(usize::try_from(chosen).ok()?).copied()
    }

    fn drop_host(&mut self, host: usize) {
        self.places.retain(|place| place.host != host);
    }
}

fn below(random: u64, limit: u64) -> u64 {
    ((u128::from(random) * u128::from(limit)) >> 64) as u64
}

/// SplitMix64: enough to scatter, and no secret depends on it.
pub(crate) fn next_random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(host: usize) -> Place {
        Place { host, port: 0 }
    }

    #[test]
    fn they_are_spread_over_the_look() {
        let mut canaries = Canaries::new(1);
        assert_eq!(canaries.next(1.0, 10), None);
        (0..100).for_each(|host| canaries.known(place(host), true));
        let mut asked = 0;
        for done in 0..=100 {
            while canaries.next(f64::from(done) / 100.0, 10).is_some() {
                asked += 1;
            }
            assert!(asked <= done / 10 + 1);
        }
        assert_eq!(asked, 10);
    }

    #[test]
    fn ports_that_refuse_come_first() {
        let mut canaries = Canaries::new(1);
        canaries.known(place(1), false);
        assert_eq!(canaries.next(1.0, 9), Some(place(1)));
        canaries.known(place(2), true);
        assert_eq!(canaries.next(1.0, 9), Some(place(2)));
    }

    #[test]
    fn where_much_is_lost_a_host_may_miss_more() {
        let missed: Vec<u32> = [0.0, 0.01, 0.04, 0.09, 0.3, 0.5, 0.9].map(enough_missed).into();
        assert_eq!(missed, [3, 3, 3, 4, 8, 12, 12]);
    }

    #[test]
    fn a_host_that_misses_three_in_a_row_has_stopped_answering() {
        let mut canaries = Canaries::new(1);
        canaries.known(place(1), true);
        assert_eq!(canaries.shown(place(1), false, 3), Shown::Missed);
        assert_eq!(canaries.next(0.0, 0), Some(place(1)), "it is asked again at once");
        assert_eq!(canaries.shown(place(1), false, 3), Shown::Missed);
        assert_eq!(canaries.shown(place(1), true, 3), Shown::Answers);
        for expected in [Shown::Missed, Shown::Missed, Shown::Stopped] {
            assert_eq!(canaries.shown(place(1), false, 3), expected);
        }
        assert_eq!(canaries.next(1.0, 9), None);
    }
}
