//! Listening to the kernel in a thread of its own: a process that changed the rules is looked up before it has ended.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};

use portcullis_model::Doer;
use portcullis_sys::{
    doer,
    ruleset_events::{Events, Generations, Told},
};
use tokio::sync::mpsc;

use crate::OpsError;

/// What was heard.
#[derive(Debug)]
pub(super) enum Heard {
    /// Somebody touched the table that our rules stand in.
    Touched(Doer),
    /// Something was not told, or the kernel tells nothing any more: look.
    Lost,
}

/// NFPROTO_INET and the name of our table; see `portcullis_firewall::nftables::TABLE`.
const OWN_TABLE: (u8, &str) = (1, "portcullis");
/// What waits to be taken; with more, the rest counts as lost.
const MOST_WAITING: usize = 64;
/// How long the thread outlives the watch at most.
const PATIENCE: Duration = Duration::from_millis(200);

/// Follows the generations of the ruleset.
pub(super) struct Follower {
    heard: mpsc::Receiver<Heard>,
    generations: Generations,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// The newest generation that was told.
    generation: AtomicU32,
    lost: AtomicBool,
    ended: AtomicBool,
}

impl Follower {
    /// Begins to listen.
    pub(super) fn begin() -> Result<Self, OpsError> {
        let mut events = Events::open().map_err(OpsError::System)?;
        let mut generations = Generations::open().map_err(OpsError::System)?;
        let shared = Arc::new(Shared::default());
        let generation = generations.now().map_err(OpsError::System)?;
        shared.generation.store(generation, Ordering::Relaxed);
        let (sender, heard) = mpsc::channel(MOST_WAITING);
        let listener = Arc::clone(&shared);
        thread::Builder::new()
            .name("ruleset".into())
            .spawn(move || listen(&mut events, &sender, &listener))
            .map_err(|source| {
                OpsError::System(portcullis_sys::SysError::Call {
                    what: "start the thread that follows the ruleset",
                    source,
                })
            })?;
        Ok(Self {
            heard,
            generations,
            shared,
        })
    }

    /// Waits until something is heard; for ever when nothing can be heard any more.
    pub(super) async fn heard(&mut self) -> Heard {
        match self.heard.recv().await {
            Some(heard) => heard,
            None => std::future::pending().await,
        }
    }

    /// What else has been heard, without waiting.
    pub(super) fn more(&mut self) -> Option<Heard> {
        self.heard.try_recv().ok()
    }

    /// The generation of the ruleset now, and whether anything up to it was perhaps not told.
    pub(super) fn generation(&mut self) -> Result<(u32, bool), OpsError> {
        let now = self.generations.now().map_err(OpsError::System)?;
        let lost = self.shared.lost.swap(false, Ordering::Relaxed);
        Ok((now, lost || self.shared.generation.load(Ordering::Relaxed) != now))
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
    }
}

fn listen(events: &mut Events, sender: &mpsc::Sender<Heard>, shared: &Shared) {
    let say = |heard| {
        if sender.try_send(heard).is_err() {
            shared.lost.store(true, Ordering::Relaxed);
        }
    };
    while !shared.ended.load(Ordering::Relaxed) {
        let told = match events.receive(PATIENCE) {
            Ok(told) => told,
            Err(error) => {
                // From now on only the look at the generation every second is left.
                tracing::warn!(%error, "the kernel tells nothing of its ruleset any more");
                say(Heard::Lost);
                return;
            }
        };
        for one in told {
            match one {
                Told::Generation(event) => {
                    // First of all: the process may end at any moment.
                    if event.touches(OWN_TABLE.0, OWN_TABLE.1) {
                        say(Heard::Touched(doer::trace(event.pid, &event.program)));
                    }
                    shared.generation.store(event.generation, Ordering::Relaxed);
                }
                Told::Lost => say(Heard::Lost),
            }
        }
    }
}
