//! One watch: what was heard since, when to look next, and what is to be put back.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use portcullis_model::{ChangeId, ChangeState, Digest, Doer};
use portcullis_sys::SysError;
use serde_json::json;
use tokio::time::Instant;

use super::{
    Alteration, BETWEEN, Told, WatchRequest, Watched, What,
    decide::Remembered,
    follow::{Follower, Heard},
    look,
    reapply::{self, Attempt},
};
use crate::{Desk, OpsError, change::subject_of};

/// Whoever is named beside an alteration.
const MOST_DOERS: usize = 4;
/// Who flushes often loads anew at once: what is put back waits for that, so that it is not flushed with it.
const SETTLED: Duration = Duration::from_millis(500);
/// Even where nothing seems to have changed. A change that is not in force can be taken back without a word of the kernel.
const LONGEST: Duration = Duration::from_secs(30);
const LONGEST_IN_DRIFT: Duration = Duration::from_secs(2);
/// Who holds the lock for so long does not change the firewall: it is looked at without touching anything.
const LOCKED: Duration = Duration::from_secs(60);

type Tell<'t> = &'t mut (dyn FnMut(Told) + Send);

pub(super) struct Round<'d> {
    desk: &'d Desk,
    puts_back: bool,
    follower: Follower,
    remembered: Remembered,
    watched: Watched,
    /// Who touched our rules since they were compared.
    doers: Vec<Doer>,
    /// When to look next, if there is a reason.
    look: Option<Instant>,
    looked: Instant,
    locked_since: Option<Instant>,
    /// The generation that was compared last.
    generation: u32,
    next_end: Option<Instant>,
    /// Confirmed changes that somebody took out of force while it was watched, with those who did.
    lost: BTreeMap<ChangeId, Vec<Doer>>,
    /// Those of them that are to be put back, and when.
    put_back: BTreeMap<ChangeId, Instant>,
    given_up: BTreeSet<ChangeId>,
    /// What was told last as trouble.
    trouble: Option<String>,
}

impl<'d> Round<'d> {
    pub(super) fn begin(desk: &'d Desk, request: &WatchRequest) -> Result<Self, OpsError> {
        let by_site = desk.site.as_ref().is_some_and(|site| site.watch.reapply);
        Ok(Self {
            desk,
            puts_back: request.reapply || by_site,
            follower: Follower::begin()?,
            remembered: Remembered::default(),
            watched: Watched::default(),
            doers: Vec::new(),
            look: None,
            looked: Instant::now(),
            locked_since: None,
            generation: 0,
            next_end: None,
            lost: BTreeMap::new(),
            put_back: BTreeMap::new(),
            given_up: BTreeSet::new(),
            trouble: None,
        })
    }

    pub(super) fn watched(&self) -> Watched {
        self.watched
    }

    /// Waits until the kernel tells something, and notes it.
    pub(super) async fn hear(&mut self) {
        let heard = self.follower.heard().await;
        self.note(heard);
    }

    fn note(&mut self, heard: Heard) {
        if let Heard::Touched(doer) = heard
            && !is_ours(&doer)
            && !self.doers.contains(&doer)
        {
            self.doers.push(doer);
            if self.doers.len() > MOST_DOERS {
                self.doers.remove(0);
            }
        }
        let soon = Instant::now().max(self.looked + BETWEEN);
        self.look = Some(self.look.map_or(soon, |due| due.min(soon)));
    }

    /// When there is something to do.
    pub(super) fn due(&self) -> Option<Instant> {
        self.look.into_iter().chain(self.put_back.values().copied()).min()
    }

    /// Every second: whether there is a reason to look that nobody told.
    pub(super) fn tick(&mut self) {
        let untold = match self.follower.generation() {
            Ok((now, untold)) => untold && now != self.generation,
            Err(_) => true,
        };
        let over = self.next_end.is_some_and(|end| end <= Instant::now());
        let longest = if self.remembered.drift() {
            LONGEST_IN_DRIFT
        } else {
            LONGEST
        };
        if untold || over || self.looked.elapsed() > longest || self.trouble.is_some() {
            self.look.get_or_insert_with(Instant::now);
        }
    }

    /// Looks, then puts back what is due. What fails is told, and tried again.
    pub(super) async fn compare_and_put_back(&mut self, tell: Tell<'_>) {
        if self.look.is_some_and(|due| due <= Instant::now()) {
            match self.compare(tell).await {
                Ok(true) => {}
                Ok(false) => self.look = Some(Instant::now() + BETWEEN),
                Err(error) => {
                    self.look = None;
                    self.looked = Instant::now();
                    self.watched.blind = true;
                    self.in_trouble(error, tell);
                }
            }
        }
        let now = Instant::now();
        let due: Vec<ChangeId> = self
            .put_back
            .iter()
            .filter(|(_, at)| **at <= now)
            .map(|(id, _)| *id)
            .collect();
        for id in due {
            self.put_back.remove(&id);
            self.restore(id, tell).await;
        }
    }

    /// Compares, and tells what has changed; `false` when another portcullis is at work.
    ///
    /// # Errors
    /// When the ruleset or the store cannot be read.
    pub(super) async fn compare(&mut self, tell: Tell<'_>) -> Result<bool, OpsError> {
        let lock = match self.desk.machine.lock() {
            Ok(lock) => Some(lock),
            Err(SysError::Locked) => {
                let since = *self.locked_since.get_or_insert_with(Instant::now);
                if since.elapsed() < LOCKED {
                    return Ok(false);
                }
                None
            }
            Err(error) => return Err(OpsError::System(error)),
        };
        self.locked_since = None;
        self.look = None;
        // Read before the ruleset is: what changes meanwhile is compared once more.
        let (generation, _) = self.follower.generation()?;
        // Who is heard only now did it before we look.
        while let Some(heard) = self.follower.more() {
            self.note(heard);
        }
        self.look = None;
        let looked = look::look(self.desk, lock.is_some()).await?;
        drop(lock);
        (self.generation, self.next_end, self.looked) = (generation, looked.next_end, Instant::now());
        let doers = std::mem::take(&mut self.doers);
        let now = (self.desk.now)();
        let alterations = self.remembered.compare(&looked.stands, &doers, now);
        for alteration in alterations {
            self.tell(alteration, tell).await;
        }
        match looked.trouble {
            Some(error) => self.in_trouble(error, tell),
            None if self.trouble.take().is_some() => tell(Told::Recovered),
            None => {}
        }
        Ok(true)
    }

    async fn tell(&mut self, alteration: Alteration, tell: Tell<'_>) {
        self.watched.drift |= alteration.is_drift();
        self.expect(&alteration);
        let record = alteration.is_tampering().then(|| alteration.clone());
        // Who watches is told before the disk is asked, which may be full.
        tell(Told::Alteration(Box::new(alteration)));
        if let Some(record) = record
            && let Err(error) = self.record(&record).await
        {
            self.in_trouble(error, tell);
        }
    }

    /// Remembers what is to be put back.
    fn expect(&mut self, alteration: &Alteration) {
        let id = alteration.change;
        if !alteration.is_drift() {
            self.lost.remove(&id);
            self.put_back.remove(&id);
            self.given_up.remove(&id);
            return;
        }
        let lost = alteration.was == Some(ChangeState::Confirmed) || self.lost.contains_key(&id);
        if !self.puts_back || !alteration.is_tampering() || !lost || self.given_up.contains(&id) {
            return;
        }
        let who = self.lost.entry(id).or_default();
        for doer in &alteration.by {
            let same = |known: &&Doer| known.program == doer.program && known.process == doer.process;
            if who.iter().find(same).is_none() && who.len() < MOST_DOERS {
                who.push(doer.clone());
            }
        }
        self.put_back.insert(id, Instant::now() + SETTLED);
    }

    async fn record(&self, alteration: &Alteration) -> Result<(), OpsError> {
        let change = self.desk.store.change(&alteration.change.to_string()).await;
        let change = change.map_err(OpsError::Store)?;
        let details = json!({ "was": alteration.was, "what": alteration.what, "why": alteration.why, "by": alteration.by });
        self.desk
            .record("change.altered", subject_of(&change), details)
            .await
    }

    async fn restore(&mut self, id: ChangeId, tell: Tell<'_>) {
        let by = self.lost.get(&id).cloned().unwrap_or_default();
        let outcome = reapply::reapply(self.desk, id, &by).await;
        let (what, change, why) = match outcome {
            Ok(Attempt::Moot) => {
                self.lost.remove(&id);
                return;
            }
            Ok(Attempt::Done(change)) => {
                self.noted(&change, change.fingerprint);
                (
                    What::Reapplied,
                    change,
                    "the kernel holds again what was confirmed".to_owned(),
                )
            }
            Ok(Attempt::GaveUp(change)) => {
                self.given_up.insert(id);
                let why = format!(
                    "it was put back {} times within 10 minutes, and somebody keeps removing it",
                    reapply::MOST
                );
                (What::GaveUp, change, why)
            }
            Err(OpsError::System(SysError::Locked)) => {
                self.put_back.insert(id, Instant::now() + SETTLED);
                return;
            }
            Err(error) => {
                let why = error.to_string();
                match self.desk.store.change(&id.to_string()).await {
                    Ok(change) => (What::NotReapplied, change, why),
                    Err(_) => return self.in_trouble(error, tell),
                }
            }
        };
        tell(Told::Alteration(Box::new(Alteration {
            at: (self.desk.now)(),
            change: id,
            port: change.port,
            what,
            was: Some(ChangeState::NotInForce),
            state: change.state,
            why,
            by: if what == What::GaveUp { by } else { Vec::new() },
        })));
    }

    fn noted(&mut self, change: &portcullis_model::Change, held: Option<Digest>) {
        self.remembered.note(change.id, change.state, held);
    }

    /// Tells what went wrong, unless it is what was told before.
    fn in_trouble(&mut self, error: OpsError, tell: Tell<'_>) {
        let text = error.to_string();
        if self.trouble.as_ref() != Some(&text) {
            self.trouble = Some(text);
            tell(Told::Trouble(error));
        }
    }
}

/// Whether this very process had it done.
fn is_ours(doer: &Doer) -> bool {
    let ancestors = doer.process.as_ref().map(|process| process.ancestors.as_slice());
    let parent = ancestors.and_then(<[_]>::first);
    parent.is_some_and(|parent| parent.pid == std::process::id())
}
