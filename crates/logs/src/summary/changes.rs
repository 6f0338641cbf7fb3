//! Before a change, while it was on trial, and after it.

use jiff::Timestamp;
use portcullis_model::{NetworkSet, Port, Verdict};

use super::{
    VerdictCounts,
    lines::Lines,
    report::{ChangeReport, PhaseCounts},
};
use crate::{Event, Moment};

/// When a change closed a port, on which hosts, and who still gets through.
#[derive(Debug, Clone)]
pub struct ChangeTimes {
    /// Which change, for the reader.
    pub change: String,
    /// How it stands now, for the reader.
    pub state: String,
    /// The port.
    pub port: Port,
    /// The hosts whose port is closed.
    pub hosts: NetworkSet,
    /// Who still gets through.
    pub allowed: NetworkSet,
    /// When its rules were loaded.
    pub loaded: Timestamp,
    /// When it was confirmed, if it was.
    pub confirmed: Option<Timestamp>,
    /// When it was taken back or fell back, if it did.
    pub ended: Option<Timestamp>,
}

impl ChangeTimes {
    fn phase(&self, at: i64) -> Phase {
        let reached = |time: Option<Timestamp>| time.is_some_and(|time| time.as_microsecond() <= at);
        if reached(self.ended) {
            Phase::TakenBack
        } else if reached(self.confirmed) {
            Phase::After
        } else if reached(Some(self.loaded)) {
            Phase::Trial
        } else {
            Phase::Before
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Before,
    Trial,
    After,
    TakenBack,
}

/// What was counted around one change.
#[derive(Debug, Clone, Default)]
pub(super) struct Around {
    phases: [(Lines, u64); 4],
    without_time: Lines,
    /// Those who got through while the port should be closed, and are not let through by the change.
    got_through: Lines,
    first: Option<i64>,
}

impl Around {
    /// Counts an event, if it went to the port of the change.
    pub(super) fn add(&mut self, change: &ChangeTimes, event: &Event<'_>, port: Port, at: Option<Moment>) {
        if port != change.port || !change.hosts.contains(event.destination.to_canonical()) {
            return;
        }
        let Some(at) = at else {
            return self.without_time.add(event.moment, event.verdict, event.count);
        };
        // A session counts from when it began: one that was up before the change is no way around it.
        let length = event.duration_ms.unwrap_or(0).saturating_mul(1000);
        let began = at
            .microseconds
            .saturating_sub(i64::try_from(length).unwrap_or(i64::MAX));
        let phase = change.phase(began);
        if let Some((lines, assumed)) = self.phases.get_mut(phase as usize) {
            lines.add(event.moment, event.verdict, event.count);
            *assumed += u64::from(at.assumed);
        }
        let closed = matches!(phase, Phase::Trial | Phase::After);
        if closed
            && event.verdict == Verdict::Allowed
            && !change.allowed.contains(event.source.to_canonical())
        {
            self.got_through.add(event.moment, event.verdict, event.count);
            self.first = Some(self.first.map_or(began, |first| first.min(began)));
        }
    }

    pub(super) fn absorb(&mut self, other: &Self) {
        for ((own, assumed), (other, more)) in self.phases.iter_mut().zip(&other.phases) {
            own.absorb(other);
            *assumed += more;
        }
        self.without_time.absorb(&other.without_time);
        self.got_through.absorb(&other.got_through);
        self.first = [self.first, other.first].into_iter().flatten().min();
    }

    pub(super) fn report(&self, change: &ChangeTimes) -> ChangeReport {
        let mut all = self.without_time;
        self.phases.iter().for_each(|(lines, _)| all.absorb(lines));
        let kinds = all.kinds();
        let counts = |phase: Phase| {
            let (lines, time_assumed) = self.phases.get(phase as usize).copied().unwrap_or_default();
            let verdicts = lines.by(kinds);
            PhaseCounts {
                attempts: verdicts.sum(),
                verdicts,
                time_assumed,
            }
        };
        ChangeReport {
            change: change.change.clone(),
            state: change.state.clone(),
            port: change.port,
            loaded: change.loaded,
            confirmed: change.confirmed,
            ended: change.ended,
            before: counts(Phase::Before),
            trial: counts(Phase::Trial),
            after: counts(Phase::After),
            taken_back: counts(Phase::TakenBack),
            without_time: VerdictCounts::sum(self.without_time.by(kinds)),
            got_through: self.got_through.by(kinds).allowed,
            got_through_first: self
                .first
                .and_then(|first| Timestamp::from_microsecond(first).ok()),
        }
    }
}
