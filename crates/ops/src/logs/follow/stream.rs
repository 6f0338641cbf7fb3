//! A source and what the store holds of it.

use std::time::Instant;

use jiff::Timestamp;
use portcullis_logs::{Clock, Settings, Summary};
use portcullis_store::{LogBatch, StoreError};

use super::{
    COMMIT, Tell, Told,
    source::{Source, Taking},
    tally::Tally,
};
use crate::{Desk, OpsError, Stop};

/// A followed source.
pub(super) struct Stream {
    /// What it is called in the store.
    name: String,
    source: Box<dyn Source>,
    /// What the store holds as position.
    kept: Option<String>,
    tally: Tally,
    gaps: Vec<String>,
    committed: Instant,
}

impl Stream {
    /// Opens a source where the store says that it was left.
    ///
    /// # Errors
    /// A store that cannot be read, or a source that cannot be opened.
    pub(super) async fn open(
        desk: &Desk,
        name: String,
        open: impl FnOnce(Option<&str>) -> Result<Box<dyn Source>, OpsError>,
    ) -> Result<Self, OpsError> {
        let kept = desk.store.log_stream(&name).await.map_err(OpsError::Store)?;
        let kept = kept.map(|stream| stream.position);
        Ok(Self {
            source: open(kept.as_deref())?,
            name,
            kept,
            tally: Tally::default(),
            gaps: Vec::new(),
            committed: Instant::now(),
        })
    }

    /// Counts what came since. Tells whether there was anything.
    ///
    /// # Errors
    /// When the source cannot be read any more.
    pub(super) fn read<'t>(
        &'t mut self,
        settings: &'t Settings,
        summary: &'t mut Summary,
        events: bool,
        told: &'t mut Tell<'t>,
    ) -> Result<bool, OpsError> {
        self.source.read(&mut Taking {
            settings,
            clock: Clock::new(&settings.time),
            tally: &mut self.tally,
            gaps: &mut self.gaps,
            summary,
            told,
            events,
        })
    }

    /// Different counts since the last commit.
    pub(super) fn counts(&self) -> usize {
        self.tally.len()
    }

    /// Commits what was counted; `last` where nothing will be read after it. While the store takes nothing, it is waited for: nothing is thrown away.
    ///
    /// # Errors
    /// A store that is broken, or somebody else who follows the same into it.
    pub(super) async fn commit(
        &mut self,
        desk: &Desk,
        last: bool,
        stop: &mut Stop,
        told: &mut Tell<'_>,
    ) -> Result<(), OpsError> {
        let beat = self
            .source
            .beat()
            .is_some_and(|beat| last || self.kept.is_none() || self.committed.elapsed() >= beat);
        if self.tally.lines == 0 && self.gaps.is_empty() && !beat {
            return Ok(());
        }
        let Some(to) = self.source.position()? else {
            return Ok(());
        };
        let batch = LogBatch {
            stream: self.name.clone(),
            from: self.kept.clone(),
            to: to.clone(),
            at: Timestamp::now(),
            counts: self.tally.counts(),
            lines: self.tally.lines,
            unreadable: self.tally.unreadable,
            unrelated: self.tally.unrelated,
            gaps: self.gaps.clone(),
        };
        let mut waiting = false;
        loop {
            match desk.store.add_log_counts(&batch).await {
                Ok(true) => break,
                Ok(false) => return Err(OpsError::FollowedTwice(self.name.clone())),
                Err(error @ (StoreError::Full { .. } | StoreError::Locked { .. })) => {
                    if *stop.borrow() {
                        // The position is that of before: what was read since is read again.
                        return Err(OpsError::Store(error));
                    }
                    if !waiting {
                        told(Told::Waiting(Some(&error)));
                        waiting = true;
                    }
                    let _ = tokio::time::timeout(COMMIT, stop.changed()).await;
                }
                Err(error) => return Err(OpsError::Store(error)),
            }
        }
        if waiting {
            told(Told::Waiting(None));
        }
        self.kept = Some(to);
        self.committed = Instant::now();
        self.tally = Tally::default();
        self.gaps.clear();
        Ok(())
    }
}
