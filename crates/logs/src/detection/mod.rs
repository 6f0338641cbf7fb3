//! Signs in a log that are worth a person's attention, each with its evidence.
//!
//! Events come in one after the other; the only clock is their own. Each detection remembers a bounded number of sources,
//! and says what it had to forget. What is found is a sign, not a judgement: the events are named so that a person can look.

mod attempt;
mod closed_port;
mod finding;
mod first_source;
mod host_sweep;
mod marks;
mod password_guessing;
mod port_sweep;
mod rate_limit;
mod recent;
mod repeated;
mod silence;
mod slow_guessing;
mod success_after_failures;
mod sweep;
#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use portcullis_model::{Detection, DetectionKind, Detections, LogEvent, NetworkSet, Port};
use serde::Serialize;

use attempt::Attempts;
use finding::{About, Raised};
use marks::{Mark, Marks};

pub use finding::Finding;

/// Findings that are kept; further ones are counted.
const MOST_FINDINGS: usize = 10_000;

/// A port that is closed, and who may still get through.
#[derive(Debug, Clone)]
pub struct Closed {
    /// The port.
    pub port: Port,
    /// The hosts whose port is closed; all when empty.
    pub hosts: NetworkSet,
    /// From when on.
    pub since: Timestamp,
    /// Until when; `None` when it still is.
    pub until: Option<Timestamp>,
    /// Who still gets through.
    pub allowed: NetworkSet,
    /// Which change closes it, for the reader.
    pub change: String,
}

/// What a detector must know that the log does not say.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// Ports that changes close.
    pub closed: Vec<Closed>,
    /// Sources that were seen before this log, so that they are not seen for the first time.
    pub sources: HashSet<IpAddr>,
    /// Our own looks: scanning is what they are for, and nothing is said of them.
    pub ours: Vec<OwnLook>,
}

/// A time in which we looked ourselves, and from where.
#[derive(Debug, Clone)]
pub struct OwnLook {
    /// The addresses that we looked from.
    pub from: NetworkSet,
    /// When it began.
    pub began: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
}

impl OwnLook {
    /// A log may have no fraction of a second.
    fn made(&self, source: IpAddr, at: Timestamp) -> bool {
        const COARSE: SignedDuration = SignedDuration::from_secs(1);
        let begins = self.began.checked_sub(COARSE).unwrap_or(self.began);
        begins <= at && at <= self.ended && self.from.contains(source)
    }
}

/// What a detection says, and of whom.
trait Detect {
    /// Looks at an event. Says so as long as the sign lasts, with each event that belongs to it.
    fn add(&mut self, seen: &Seen<'_>) -> Option<Raised>;

    /// How many it had to forget while they still counted.
    fn forgotten(&self) -> u64 {
        0
    }
}

/// An event whose time is known.
struct Seen<'e> {
    event: &'e LogEvent,
    at: Timestamp,
    mark: Mark,
    /// Whether the event is an attempt to connect, and how that went.
    attempt: Option<attempt::Attempt>,
}

/// Looks for all signs at once.
pub struct Detector {
    detections: Vec<(Detection, Box<dyn Detect + Send>)>,
    ours: Vec<OwnLook>,
    attempts: Attempts,
    marks: Marks,
    findings: Vec<Finding>,
    open: HashMap<(DetectionKind, About), usize>,
    unnamed: u64,
    without_time: u64,
    of_ours: u64,
}

/// What was found, and what limits it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Findings {
    /// In the order in which each began to show.
    pub findings: Vec<Finding>,
    /// What was not looked at, in plain words.
    pub notes: Vec<String>,
}

impl Detector {
    /// Looks for what the site wants to be told of.
    pub fn new(detections: &Detections, known: Known) -> Self {
        let wanted = detections.all().iter().filter(|detection| !detection.off);
        let mut known = known;
        let detections = wanted
            .map(|detection| (detection.clone(), made(detection, &mut known)))
            .collect();
        Self {
            detections,
            ours: known.ours,
            attempts: Attempts::default(),
            marks: Marks::default(),
            findings: Vec::new(),
            open: HashMap::new(),
            unnamed: 0,
            without_time: 0,
            of_ours: 0,
        }
    }

    /// Looks at an event, and hands over what begins to show with it.
    pub fn add(&mut self, event: &LogEvent) -> Vec<Finding> {
        let Some(at) = event.at else {
            self.without_time += 1;
            return Vec::new();
        };
        let source = event.source.to_canonical();
        if self.ours.iter().any(|look| look.made(source, at)) {
            self.of_ours += 1;
            return Vec::new();
        }
        let seen = Seen {
            event,
            at,
            mark: self.marks.mark(&event.read_from, at),
            attempt: self.attempts.of(event),
        };
        let mut begun = Vec::new();
        for (detection, detect) in &mut self.detections {
            if detection.ignore.contains(source) {
                continue;
            }
            let Some(raised) = detect.add(&seen) else {
                continue;
            };
            let key = (detection.kind, raised.about.clone());
            let standing = self
                .open
                .get(&key)
                .and_then(|place| self.findings.get_mut(*place));
            if let Some(finding) = standing
                && at.duration_since(finding.last).unsigned_abs() <= patience(detection)
            {
                finding.go_on(&raised, at, &event.read_from);
                continue;
            }
            if self.findings.len() >= MOST_FINDINGS {
                self.unnamed += 1;
                continue;
            }
            let finding = Finding::begin(detection, raised, at, &self.marks, event);
            self.open.insert(key, self.findings.len());
            begun.push(finding.clone());
            self.findings.push(finding);
        }
        begun
    }

    /// What was found so far.
    pub fn findings(&self) -> Findings {
        let mut notes = Vec::new();
        for (detection, detect) in &self.detections {
            let forgotten = detect.forgotten();
            if forgotten > 0 {
                notes.push(format!(
                    "{}: {forgotten} had to be forgotten while they still counted, since more than {} came at once: there may \
                     be more than is told (`remember` in site.toml)",
                    detection.kind, detection.remember
                ));
            }
        }
        for (count, what) in [
            (
                self.unnamed,
                "events belong to signs that are not told one by one, since there are too many",
            ),
            (
                self.without_time,
                "events without a time were not looked at for signs",
            ),
            (
                self.of_ours,
                "events of our own scans were not looked at for signs",
            ),
        ] {
            if count > 0 {
                notes.push(format!("{count} {what}"));
            }
        }
        Findings {
            findings: self.findings.clone(),
            notes,
        }
    }
}

/// How long after its last event a sign is still the same one.
fn patience(detection: &Detection) -> Duration {
    match detection.kind {
        // It shows once a span, with the first line of the next.
        DetectionKind::RateLimit => detection.within.saturating_mul(2),
        _ => detection.within,
    }
}

fn made(detection: &Detection, known: &mut Known) -> Box<dyn Detect + Send> {
    match detection.kind {
        DetectionKind::PasswordGuessing => Box::new(password_guessing::PasswordGuessing::new(detection)),
        DetectionKind::SlowGuessing => Box::new(slow_guessing::SlowGuessing::new(detection)),
        DetectionKind::PortSweep => Box::new(port_sweep::PortSweep::new(detection)),
        DetectionKind::HostSweep => Box::new(host_sweep::HostSweep::new(detection)),
        DetectionKind::FirstSource => Box::new(first_source::FirstSource::new(
            detection,
            std::mem::take(&mut known.sources),
        )),
        DetectionKind::SuccessAfterFailures => {
            Box::new(success_after_failures::SuccessAfterFailures::new(detection))
        }
        DetectionKind::ClosedPort => {
            Box::new(closed_port::ClosedPort::new(std::mem::take(&mut known.closed)))
        }
        DetectionKind::Silence => Box::new(silence::Silence::new(detection)),
        DetectionKind::RateLimit => Box::new(rate_limit::RateLimit::new(detection)),
    }
}
