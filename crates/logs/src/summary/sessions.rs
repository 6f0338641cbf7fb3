//! Sessions inferred: lines of one source to one port of one host that come close together are one.

use foldhash::quality::RandomState;
use hashbrown::HashMap;
use portcullis_model::Port;

use super::{
    key,
    report::{LogReport, SessionReport},
    told::time,
};
use crate::{Event, Moment};

/// After a longer silence than this a new session begins, in microseconds; after exactly so long it is still the same. It is what a translator of addresses is told to wait before it takes
/// a silent conversation for over (RFC 4787, 4.3). Clients of devices ask far more often.
const IDLE: i64 = 300_000_000;

/// By so much a beginning may be late by the time of its end: both are told in whole seconds.
const CLOCKS: i64 = 2_000_000;

/// Ways from a source to a port of a host that are remembered: some twenty megabytes.
const MOST_WAYS: usize = 1 << 18;

/// Sources whose sessions are counted: some ten megabytes.
const MOST_SOURCES: usize = 1 << 17;

/// Source, destination and port.
type WayKey = (u128, u128, Option<Port>);

/// Counts sessions. Lines must come nearly in the order of their time, as one thread reads them.
#[derive(Debug)]
pub struct Sessions {
    ways: HashMap<WayKey, Open, RandomState>,
    sources: HashMap<u128, Counted, RandomState>,
    most_ways: usize,
    most_sources: usize,
    without_time: u64,
    late: u64,
    forgotten: u64,
    beyond: u64,
}

/// First and last moment of the session that may still go on.
#[derive(Debug, Clone, Copy)]
struct Open {
    first: i64,
    last: i64,
}

impl Open {
    fn reach(&mut self, began: i64, at: i64) {
        self.first = self.first.min(began);
        self.last = self.last.max(at);
    }
}

/// When what a line tells of began: a line that tells of a whole session tells how long it was.
fn began(event: &Event<'_>, at: i64) -> i64 {
    let length = event.duration_ms.unwrap_or(0).saturating_mul(1000);
    at.saturating_sub(i64::try_from(length).unwrap_or(i64::MAX))
}

#[derive(Debug, Clone, Copy)]
struct Counted {
    sessions: u64,
    longest: i64,
    /// Beginning of the first one, and of the last one.
    first: i64,
    last: i64,
}

impl Default for Sessions {
    fn default() -> Self {
        Self::of_at_most(MOST_WAYS, MOST_SOURCES)
    }
}

impl Sessions {
    fn of_at_most(most_ways: usize, most_sources: usize) -> Self {
        Self {
            ways: HashMap::default(),
            sources: HashMap::default(),
            most_ways,
            most_sources,
            without_time: 0,
            late: 0,
            forgotten: 0,
            beyond: 0,
        }
    }

    /// Takes a line that counts.
    pub fn add(&mut self, event: &Event<'_>, at: Option<Moment>) {
        if !event.directed {
            if let Some(at) = at {
                self.add_end(event, at.microseconds);
            }
            return;
        }
        let Some(at) = at.map(|at| at.microseconds) else {
            self.without_time += 1;
            return;
        };
        let source = key(event.source);
        if !self.sources.contains_key(&source) && self.sources.len() >= self.most_sources {
            self.beyond += 1;
            return;
        }
        let began = began(event, at);
        let way = (source, key(event.destination), event.port());
        if let Some(open) = self.ways.get_mut(&way) {
            if began <= open.last.saturating_add(IDLE) && at >= open.first.saturating_sub(IDLE) {
                open.reach(began, at);
                let length = open.last.saturating_sub(open.first);
                if let Some(counted) = self.sources.get_mut(&source) {
                    counted.longest = counted.longest.max(length);
                    counted.first = counted.first.min(began);
                }
                return;
            }
            if at < open.first {
                self.late += 1;
            }
        } else if self.ways.len() >= self.most_ways {
            self.make_room(at);
        }
        self.ways.insert(
            way,
            Open {
                first: began,
                last: at,
            },
        );
        let length = at.saturating_sub(began);
        let counted = self.sources.entry(source).or_insert(Counted {
            sessions: 0,
            longest: 0,
            first: began,
            last: began,
        });
        counted.sessions += 1;
        counted.longest = counted.longest.max(length);
        counted.first = counted.first.min(began);
        counted.last = counted.last.max(began);
    }

    /// Takes the end of a session that does not tell who began it. Who did is known where its beginning was seen: then the session is as
    /// long as its end says.
    fn add_end(&mut self, event: &Event<'_>, at: i64) {
        if event.duration_ms.is_none() {
            return;
        }
        let began = began(event, at);
        let (one, other) = (key(event.source), key(event.destination));
        let forth = (one, other, event.port());
        let back = (other, one, event.source_port());
        let is_open = |way: &WayKey| {
            self.ways.get(way).is_some_and(|open| {
                began <= open.last.saturating_add(CLOCKS) && at >= open.first.saturating_sub(CLOCKS)
            })
        };
        let way = match (is_open(&forth), is_open(&back)) {
            (true, false) => forth,
            (false, true) => back,
            // Nobody began it that is known, or both did.
            _ => return,
        };
        let Some(open) = self.ways.get_mut(&way) else {
            return;
        };
        open.reach(began, at);
        let length = open.last.saturating_sub(open.first);
        if let Some(counted) = self.sources.get_mut(&way.0) {
            counted.longest = counted.longest.max(length);
        }
    }

    /// Forgets those that are over, which loses nothing; where that is not enough, the half of the others that is silent longest.
    fn make_room(&mut self, now: i64) {
        self.ways.retain(|_, open| open.last.saturating_add(IDLE) >= now);
        if self.ways.len() <= self.most_ways / 2 {
            return;
        }
        let mut last: Vec<i64> = self.ways.values().map(|open| open.last).collect();
        let middle = last.len() / 2;
        let (_, median, _) = last.select_nth_unstable(middle);
        let median = *median;
        let before = self.ways.len();
        self.ways.retain(|_, open| open.last > median);
        self.forgotten += (before - self.ways.len()) as u64;
    }

    /// Writes into a report what was counted of its sources, and what limits it.
    pub fn tell(&self, report: &mut LogReport) {
        for source in &mut report.sources {
            source.sessions = self
                .sources
                .get(&key(source.address))
                .map(|counted| SessionReport {
                    sessions: counted.sessions,
                    longest_seconds: counted.longest.unsigned_abs() / 1_000_000,
                    first: time(counted.first),
                    last: time(counted.last),
                });
        }
        let minutes = IDLE / 60_000_000;
        report.notes.push(format!(
            "sessions are inferred: lines of a source to one port of one host with at most {minutes} minutes between them are one"
        ));
        for (count, what) in [
            (self.without_time, "line(s) without a time are in no session"),
            (
                self.late,
                "line(s) came behind later ones: there may be fewer sessions than told",
            ),
            (
                self.forgotten,
                "way(s) were too many to be remembered: there may be fewer sessions than told",
            ),
            (
                self.beyond,
                "line(s) of sources that came when there were too many already are in no session",
            ),
        ] {
            if count > 0 {
                report.notes.push(format!("{count} {what}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use portcullis_model::LogFormat;

    use super::*;
    use crate::{Summary, TCP};

    fn event(source: &str, destination: &str, port: u16) -> Event<'static> {
        let mut event = Event::between(
            LogFormat::Kernel,
            source.parse().unwrap(),
            destination.parse().unwrap(),
        );
        (event.protocol, event.destination_port) = (Some(TCP), Some(port));
        event
    }

    fn at(second: i64) -> Option<Moment> {
        Some(Moment {
            microseconds: second * 1_000_000,
            assumed: false,
        })
    }

    /// Sessions, longest, first and last.
    type Numbers = (u64, u64, i64, i64);

    /// Those of one source, and the notes.
    fn told(sessions: &Sessions, source: &str) -> (Option<Numbers>, Vec<String>) {
        let mut summary = Summary::of_all_ports();
        summary.add(&event(source, "10.7.10.4", 22), None);
        let mut report = summary.report(1);
        sessions.tell(&mut report);
        let second = |time: Option<jiff::Timestamp>| time.unwrap().as_second();
        let told = report.sources[0].sessions.map(|told| {
            (
                told.sessions,
                told.longest_seconds,
                second(told.first),
                second(told.last),
            )
        });
        (told, report.notes)
    }

    #[test]
    fn silence_ends_a_session_and_each_port_of_each_host_has_its_own() {
        let mut sessions = Sessions::default();
        let one = event("192.0.2.1", "10.7.10.4", 22);
        for second in [0, 200, 500, 801, 900] {
            sessions.add(&one, at(second));
        }
        assert_eq!(told(&sessions, "192.0.2.1").0, Some((2, 500, 0, 801)));
        sessions.add(&event("192.0.2.1", "10.7.10.4", 23), at(901));
        sessions.add(&event("192.0.2.1", "10.7.10.5", 22), at(902));
        sessions.add(&event("192.0.2.2", "10.7.10.4", 22), at(903));
        assert_eq!(told(&sessions, "192.0.2.1").0, Some((4, 500, 0, 902)));
        assert_eq!(told(&sessions, "192.0.2.2").0, Some((1, 0, 903, 903)));
        assert_eq!(told(&sessions, "192.0.2.3").0, None);
        let mut turned = one;
        turned.directed = false;
        sessions.add(&turned, at(9000));
        assert_eq!(told(&sessions, "192.0.2.1").0, Some((4, 500, 0, 902)));
    }

    #[test]
    fn exactly_five_minutes_are_no_end_and_whatever_is_longer_is() {
        let one = event("192.0.2.1", "10.7.10.4", 22);
        for (silence, expected) in [(299_999_999, 1), (300_000_000, 1), (300_000_001, 2)] {
            for times in [[0, silence], [silence, 0]] {
                let mut sessions = Sessions::default();
                for microseconds in times {
                    let moment = Moment {
                        microseconds,
                        assumed: false,
                    };
                    sessions.add(&one, Some(moment));
                }
                let told = told(&sessions, "192.0.2.1").0;
                assert_eq!(told.map(|told| told.0), Some(expected), "{times:?}");
            }
            // Nor is it over for who makes room for others.
            let mut sessions = Sessions::of_at_most(4, 100);
            sessions.add(&one, at(0));
            sessions.make_room(silence);
            assert_eq!(sessions.ways.len(), usize::from(expected == 1), "{silence}");
        }
    }

    #[test]
    fn a_line_that_tells_how_long_it_was_is_the_whole_session() {
        let mut sessions = Sessions::default();
        let mut end = event("192.0.2.1", "10.7.10.4", 22);
        sessions.add(&end, at(1000));
        end.duration_ms = Some(3_600_000);
        sessions.add(&end, at(4600));
        assert_eq!(told(&sessions, "192.0.2.1").0, Some((1, 3600, 1000, 1000)));
        sessions.add(&end, at(9000));
        assert_eq!(told(&sessions, "192.0.2.1").0, Some((2, 3600, 1000, 5400)));
    }

    /// As a teardown of an ASA tells it: with both ports, in either order, and how long it was.
    #[test]
    fn an_end_that_does_not_tell_who_began_makes_the_session_as_long_that_was_seen_to_begin() {
        let (source, plc) = ("192.0.2.1", "10.7.10.4");
        let end = |first: (&str, u16), second: (&str, u16), seconds: u64| {
            let mut end = event(first.0, second.0, second.1);
            (end.directed, end.source_port) = (false, Some(first.1));
            end.duration_ms = Some(seconds * 1000);
            end
        };
        for turned in [false, true] {
            let ends = [(source, 40000), (plc, 502)];
            let [first, second] = if turned { [ends[1], ends[0]] } else { ends };
            let mut sessions = Sessions::default();
            sessions.add(&end(first, second, 3600), at(900));
            assert_eq!(told(&sessions, source).0, None, "nobody knows who began");
            sessions.add(&event(source, plc, 502), at(1000));
            sessions.add(&end(first, second, 3600), at(4600));
            assert_eq!(told(&sessions, source).0, Some((1, 3600, 1000, 1000)), "{turned}");
            assert_eq!(told(&sessions, plc).0, None);
            // What goes on within five minutes of the end is the same session.
            sessions.add(&event(source, plc, 502), at(4700));
            assert_eq!(told(&sessions, source).0, Some((1, 3700, 1000, 1000)));
            // One that began elsewhere is not this one.
            sessions.add(&end((source, 40001), (plc, 503), 60), at(4700));
            sessions.add(&end(first, second, 10), at(9000));
            assert_eq!(told(&sessions, source).0, Some((1, 3700, 1000, 1000)));
        }
    }

    #[test]
    fn what_makes_the_number_inexact_is_said() {
        let mut sessions = Sessions::of_at_most(4, 6);
        for source in 1..=8 {
            sessions.add(&event(&format!("192.0.2.{source}"), "10.7.10.4", 22), at(1000));
        }
        sessions.add(&event("192.0.2.6", "10.7.10.4", 22), at(10));
        sessions.add(&event("192.0.2.6", "10.7.10.4", 22), None);
        let (_, notes) = told(&sessions, "192.0.2.1");
        for note in [
            "1 line(s) without a time",
            "1 line(s) came behind later ones",
            "way(s) were too many",
            "2 line(s) of sources that came when",
            "at most 5 minutes",
        ] {
            assert!(notes.iter().any(|told| told.contains(note)), "{note}: {notes:?}");
        }
        assert!(sessions.ways.len() <= 4);
        // What is over is forgotten without loss.
        let mut sessions = Sessions::of_at_most(4, 100);
        for round in 0..50 {
            sessions.add(
                &event(&format!("192.0.2.{round}"), "10.7.10.4", 22),
                at(1000 * round),
            );
        }
        let (_, notes) = told(&sessions, "192.0.2.1");
        assert!(!notes.iter().any(|note| note.contains("too many")), "{notes:?}");
    }
}
