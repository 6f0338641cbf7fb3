//! Asks the guards, before a scan and while it runs.

use std::{
    io::{self, PipeWriter},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use serde::Serialize;

use super::{
    Baseline, Guard, GuardError, Health, QUESTIONS_BEFORE, Sample, Verdict,
    ask::{Asked, ask},
    end::{End, Woken},
};
use crate::Brake;

/// How often each guard is asked.
const EVERY: Duration = Duration::from_secs(1);
/// Between two questions before the scan.
const BETWEEN: Duration = Duration::from_millis(200);
/// More events of one guard are counted and not kept.
const MOST_EVENTS: usize = 1000;

/// Guards with their answer times before the scan.
#[derive(Debug, Clone, Default)]
pub struct Baselines(Vec<(Guard, Baseline)>);

impl Baselines {
    /// Each guard with its baseline, in the order in which they were named.
    pub fn iter(&self) -> impl Iterator<Item = &(Guard, Baseline)> {
        self.0.iter()
    }
}

/// Asks each guard five times, 200 ms apart: it takes at least 0.8 s for each, and sends nothing to any target.
///
/// # Errors
/// When a guard does not answer every question, or cannot be asked.
pub fn baseline(guards: &[Guard]) -> Result<Baselines, GuardError> {
    let one = |guard: &Guard| Ok((*guard, baseline_of(guard, BETWEEN, &ask)?));
    guards.iter().map(one).collect::<Result<_, _>>().map(Baselines)
}

fn baseline_of(guard: &Guard, between: Duration, ask: &Ask) -> Result<Baseline, GuardError> {
    let end = End::never();
    let mut answers = Vec::new();
    for question in 1..=QUESTIONS_BEFORE {
        if question > 1 {
            end.sleep(Instant::now() + between);
        }
        match ask(guard, &end) {
            Asked::Answered(after) => answers.push(after),
            Asked::Failed(source) => {
                return Err(GuardError::Ask {
                    guard: *guard,
                    source,
                });
            }
            Asked::Silent | Asked::Ended => {
                return Err(GuardError::Silent {
                    guard: *guard,
                    question,
                });
            }
        }
    }
    Baseline::of(&answers).ok_or(GuardError::Silent {
        guard: *guard,
        question: 1,
    })
}

/// Watches guards until the returned handle is dropped, or the brake is stopped by whomever: each is asked once per second
/// (give or take a tenth), one question at a time, and what they say together drives the brake.
///
/// Each guard has an ordinary thread, which asks from the network namespace of the calling thread, whatever runtime the
/// scan uses.
///
/// # Errors
/// When the system gives no pipe or no thread; nothing is watched then.
pub fn watch(baselines: Baselines, brake: Arc<Brake>) -> Result<Watching, GuardError> {
    begin(baselines, brake, EVERY, Arc::new(ask)).map_err(GuardError::Begin)
}

/// How a guard is asked; tests have other ways.
type Ask = dyn Fn(&Guard, &End) -> Asked + Send + Sync;

/// Guards that are watched as long as this lives.
#[derive(Debug)]
pub struct Watching {
    /// Its drop ends the threads.
    end: PipeWriter,
    threads: Vec<JoinHandle<()>>,
    post: Arc<Post>,
}

impl Watching {
    /// Ends the watch at once, without waiting for an answer that is under way, and reports on each guard.
    pub fn end(self) -> Vec<GuardReport> {
        drop(self.end);
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a thread that watched a guard ended before its time");
            }
        }
        self.post
            .ledgers()
            .iter()
            .map(|ledger| ledger.report.clone())
            .collect()
    }
}

/// What a guard did during a scan. Times are in milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GuardReport {
    /// The guard, as it is named on the command line.
    pub guard: String,
    /// Questions that were asked during the scan.
    pub samples: u64,
    /// Its usual answer time before the scan.
    pub baseline_median_ms: f64,
    /// Its slowest answer during the scan; `None` when it gave none.
    pub slowest_ms: Option<f64>,
    /// Questions that it did not answer in time, or that could not be asked.
    pub unanswered: u64,
    /// What happened, oldest first; at most the first thousand, and the stop.
    pub events: Vec<GuardEvent>,
    /// How many events were not kept.
    pub events_left_out: u64,
}

/// Something that happened to a guard, and what it did to the scan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GuardEvent {
    /// When.
    pub at: Timestamp,
    /// What, in plain words with the figures.
    pub what: String,
}

/// What the threads of a watch share.
#[derive(Debug)]
struct Post {
    begin: Instant,
    brake: Arc<Brake>,
    ledgers: Mutex<Vec<Ledger>>,
}

/// What is known of one guard.
#[derive(Debug)]
struct Ledger {
    health: Health,
    report: GuardReport,
    /// Whether the last question could not be asked.
    failing: bool,
}

fn begin(baselines: Baselines, brake: Arc<Brake>, every: Duration, ask: Arc<Ask>) -> io::Result<Watching> {
    let (writer, end) = End::pair()?;
    let end = Arc::new(end);
    let ledgers = baselines
        .iter()
        .map(|(guard, baseline)| Ledger::new(guard, *baseline));
    let post = Arc::new(Post {
        begin: Instant::now(),
        brake,
        ledgers: Mutex::new(ledgers.collect()),
    });
    // When one cannot be started, those before it end with the writer.
    let threads = baselines.iter().enumerate().map(|(place, (guard, _))| {
        let (post, end, ask, guard) = (Arc::clone(&post), Arc::clone(&end), Arc::clone(&ask), *guard);
        let name = format!("guard-{place}");
        thread::Builder::new()
            .name(name)
            .spawn(move || post.keep_asking(place, &guard, &end, every, &ask))
    });
    let threads = threads.collect::<io::Result<_>>()?;
    Ok(Watching {
        end: writer,
        threads,
        post,
    })
}

impl Post {
    fn keep_asking(&self, place: usize, guard: &Guard, end: &End, every: Duration, ask: &Arc<Ask>) {
        while self.brake.stopped().is_none() {
            let next = Instant::now() + jittered(every);
            match ask(guard, end) {
                Asked::Answered(after) => self.heard(place, Some(after), None),
                Asked::Silent => self.heard(place, None, None),
                Asked::Failed(error) => self.heard(place, None, Some(error)),
                Asked::Ended => return,
            }
            if end.sleep(next) == Woken::Ended {
                return;
            }
        }
    }

    /// Takes what came of a question. All of it happens under one lock, so that the brake never gets an older verdict
    /// after a newer one.
    fn heard(&self, place: usize, answer: Option<Duration>, failed: Option<io::Error>) {
        let at = self.begin.elapsed();
        let mut ledgers = self.ledgers();
        if let Some(ledger) = ledgers.get_mut(place) {
            ledger.take(Sample { at, answer }, failed);
        }
        match Verdict::worst(ledgers.iter().map(|ledger| ledger.health.verdict())) {
            Verdict::Go(share) => self.brake.slow(share),
            Verdict::Stop(reason) => self.brake.stop(reason),
        }
    }

    /// What a panicked thread left behind is still true, as far as it came.
    fn ledgers(&self) -> MutexGuard<'_, Vec<Ledger>> {
        self.ledgers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ledger {
    fn new(guard: &Guard, baseline: Baseline) -> Self {
        Self {
            health: Health::new(guard.to_string(), baseline),
            report: GuardReport {
                guard: guard.to_string(),
                samples: 0,
                baseline_median_ms: in_milliseconds(baseline.median),
                slowest_ms: None,
                unanswered: 0,
                events: Vec::new(),
                events_left_out: 0,
            },
            failing: false,
        }
    }

    fn take(&mut self, sample: Sample, failed: Option<io::Error>) {
        self.report.samples += 1;
        match sample.answer {
            Some(answer) => {
                let slowest = self.report.slowest_ms.unwrap_or_default();
                self.report.slowest_ms = Some(slowest.max(in_milliseconds(answer)));
            }
            None => self.report.unanswered += 1,
        }
        // A guard that could not be asked counts as silent, for nobody watches it; whose fault it is must be told.
        let was_failing = std::mem::replace(&mut self.failing, failed.is_some());
        if let Some(error) = failed.filter(|_| !was_failing) {
            let what = format!(
                "guard {} cannot be asked from this host: {error}",
                self.report.guard
            );
            self.note(what);
        }
        if let Some(what) = self.health.take(sample) {
            self.note(what);
        }
    }

    fn note(&mut self, what: String) {
        tracing::info!(guard = %self.report.guard, "{what}");
        let last = matches!(self.health.verdict(), Verdict::Stop(_));
        if self.report.events.len() >= MOST_EVENTS && !last {
            self.report.events_left_out += 1;
            return;
        }
        self.report.events.push(GuardEvent {
            at: Timestamp::now(),
            what,
        });
    }
}

fn in_milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// A time, give or take a tenth, so that the questions do not fall into step with what happens once per second.
fn jittered(time: Duration) -> Duration {
    // Without random numbers there is no jitter, and nothing else is lost.
    let random = getrandom::u32().unwrap_or(u32::MAX / 2);
    time.mul_f64(0.9 + 0.2 * f64::from(random) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests;
