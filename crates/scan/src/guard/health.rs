//! How a guard feels, and what that means for the scan: samples in, what to do out. It reads no clock.

use std::time::Duration;

use crate::Share;

/// An answer may take so many times as long as the usual one before it counts as slow.
const TIMES_SLOWER: u32 = 3;
/// Or so much longer than the longest before the scan: what is very fast may become much slower and still be fast.
const ALLOWANCE: Duration = Duration::from_millis(20);
/// So many healthy answers in a row double the share.
const HEALTHY_TO_DOUBLE: u32 = 5;
/// So many healthy answers in a row let a held scan go on.
const HEALTHY_TO_GO_ON: u32 = 3;
/// So many slow answers at an eighth hold the scan.
const SLOW_TO_HOLD: u32 = 3;
/// A scan that was held for so long is stopped.
const LONGEST_HOLD: Duration = Duration::from_secs(30);
/// So many holds stop the scan.
const MOST_HOLDS: u32 = 3;

/// How long a guard took to answer before the scan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Baseline {
    /// The answer time in the middle; of an even number the longer one.
    pub median: Duration,
    /// The longest answer time.
    pub largest: Duration,
}

impl Baseline {
    /// The baseline of these answer times; `None` when there are none.
    pub fn of(answers: &[Duration]) -> Option<Self> {
        let mut sorted = answers.to_vec();
        sorted.sort_unstable();
        Some(Self {
            median: *sorted.get(sorted.len() / 2)?,
            largest: *sorted.last()?,
        })
    }

    /// The longest answer time that is still healthy.
    pub fn healthy_within(&self) -> Duration {
        let times = self.median.saturating_mul(TIMES_SLOWER);
        times.max(self.largest.saturating_add(ALLOWANCE))
    }
}

/// One question to a guard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// When the answer came or the wait for it ended: time since the start of the scan. It must not go back.
    pub at: Duration,
    /// How long the answer took; `None` when none came.
    pub answer: Option<Duration>,
}

/// What a guard says the scan shall do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Go on with this share of the pace, which may be nothing.
    Go(Share),
    /// End, for this reason.
    Stop(String),
}

impl Verdict {
    /// The verdict that counts when there are several guards: the first that says stop, else the smallest share; the
    /// whole pace without guards.
    pub fn worst<'a>(verdicts: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut share = Share::Whole;
        for verdict in verdicts {
            match verdict {
                Self::Go(one) => share = share.min(*one),
                Self::Stop(reason) => return Self::Stop(reason.clone()),
            }
        }
        Self::Go(share)
    }
}

/// Judges the answers of one guard.
///
/// A slow answer halves the share, down to an eighth; three slow ones at an eighth hold the scan, unless five healthy
/// ones come between them. No answer holds it at once. Five healthy answers in a row double the share; three let a held
/// scan go on at a quarter. A hold of 30 s, and the third hold, stop the scan.
#[derive(Debug, Clone)]
pub struct Health {
    guard: String,
    baseline: Baseline,
    verdict: Verdict,
    healthy_in_a_row: u32,
    slow_at_an_eighth: u32,
    holds: u32,
    /// Since when the scan is held.
    held_since: Option<Duration>,
    /// When the first of the questions was given up that were not answered since the last answer.
    silent_since: Option<Duration>,
}

impl Health {
    /// A healthy guard with this name and baseline.
    pub fn new(guard: impl Into<String>, baseline: Baseline) -> Self {
        Self {
            guard: guard.into(),
            baseline,
            verdict: Verdict::Go(Share::Whole),
            healthy_in_a_row: 0,
            slow_at_an_eighth: 0,
            holds: 0,
            held_since: None,
            silent_since: None,
        }
    }

    /// What the scan shall do, as far as this guard is concerned.
    pub fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// Takes a sample. Returns in words what changed and on which figures, if anything did. After a stop nothing does.
    pub fn take(&mut self, sample: Sample) -> Option<String> {
        let Verdict::Go(share) = self.verdict else {
            return None;
        };
        let healthy = sample
            .answer
            .is_some_and(|answer| answer <= self.baseline.healthy_within());
        self.healthy_in_a_row = if healthy { self.healthy_in_a_row + 1 } else { 0 };
        self.silent_since = match sample.answer {
            Some(_) => None,
            None => self.silent_since.or(Some(sample.at)),
        };
        match self.held_since {
            Some(since) => self.while_held(since, sample),
            None if healthy => self.healthy(share, sample),
            None if sample.answer.is_some() => self.slow(share, sample),
            None => self.hold("has not answered", sample),
        }
    }

    fn while_held(&mut self, since: Duration, sample: Sample) -> Option<String> {
        if self.healthy_in_a_row >= HEALTHY_TO_GO_ON {
            self.held_since = None;
            self.slow_at_an_eighth = 0;
            return self.go(Share::Quarter, sample);
        }
        let held = sample.at.saturating_sub(since);
        if held < LONGEST_HOLD {
            return None;
        }
        let (guard, now) = (&self.guard, self.figures(sample.answer));
        let reason = match self.silent_since {
            // The first question that was not answered is the one that held the scan.
            Some(silent) if silent <= since => {
                format!("guard {guard} has not answered for {} s ({now})", held.as_secs())
            }
            _ => format!(
                "guard {guard} has not become healthy in {} s without scanning ({now})",
                held.as_secs()
            ),
        };
        self.stop(reason)
    }

    fn healthy(&mut self, share: Share, sample: Sample) -> Option<String> {
        if self.healthy_in_a_row < HEALTHY_TO_DOUBLE || share == Share::Whole {
            return None;
        }
        self.slow_at_an_eighth = 0;
        self.go(share.doubled(), sample)
    }

    fn slow(&mut self, share: Share, sample: Sample) -> Option<String> {
        if share > Share::Eighth {
            self.verdict = Verdict::Go(share.halved());
            let (guard, now) = (&self.guard, self.figures(sample.answer));
            return Some(format!(
                "guard {guard} has become slow ({now}): {} of the pace",
                share.halved()
            ));
        }
        self.slow_at_an_eighth += 1;
        if self.slow_at_an_eighth < SLOW_TO_HOLD {
            return None;
        }
        self.hold("stays slow at an eighth of the pace", sample)
    }

    /// Goes on at a share, after healthy answers.
    fn go(&mut self, share: Share, sample: Sample) -> Option<String> {
        self.healthy_in_a_row = 0;
        self.verdict = Verdict::Go(share);
        let (guard, now) = (&self.guard, self.figures(sample.answer));
        Some(format!("guard {guard} is healthy ({now}): {share} of the pace"))
    }

    fn hold(&mut self, why: &str, sample: Sample) -> Option<String> {
        self.holds += 1;
        let what = format!("guard {} {why} ({})", self.guard, self.figures(sample.answer));
        if self.holds >= MOST_HOLDS {
            return self.stop(format!(
                "{what}, and the scan was held {} times before",
                MOST_HOLDS - 1
            ));
        }
        self.held_since = Some(sample.at);
        self.verdict = Verdict::Go(Share::Hold);
        Some(format!("{what}: the scan is held"))
    }

    fn stop(&mut self, reason: String) -> Option<String> {
        let what = format!("{reason}: the scan is stopped");
        self.verdict = Verdict::Stop(reason);
        Some(what)
    }

    fn figures(&self, answer: Option<Duration>) -> String {
        let before = milliseconds(self.baseline.median);
        match answer {
            Some(answer) => format!("{before} before the scan, now {}", milliseconds(answer)),
            None => format!("{before} before the scan, now no answer"),
        }
    }
}

/// A time as people compare it: `0.35 ms`, `2.4 ms`, `120 ms`.
fn milliseconds(time: Duration) -> String {
    let figure = time.as_secs_f64() * 1000.0;
    match figure {
        figure if figure < 1.0 => format!("{figure:.2} ms"),
        figure if figure < 10.0 => format!("{figure:.1} ms"),
        figure => format!("{figure:.0} ms"),
    }
}

#[cfg(test)]
mod tests;
