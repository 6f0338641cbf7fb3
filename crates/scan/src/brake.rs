//! What holds a running scan back. It is shared between the engine, which asks, and those who watch over the scan: the
//! reader of the permission and the guards.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use crate::Pace;

/// What part of the pace goes through. The order is from nothing to everything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Share {
    /// Nothing goes.
    Hold,
    /// An eighth of the pace.
    Eighth,
    /// A quarter of the pace.
    Quarter,
    /// Half of the pace.
    Half,
    /// The whole pace.
    #[default]
    Whole,
}

impl Share {
    /// The next smaller one that lets anything go; an eighth stays an eighth, and what is held stays held.
    pub fn halved(self) -> Self {
        match self {
            Self::Hold => Self::Hold,
            Self::Eighth | Self::Quarter => Self::Eighth,
            Self::Half => Self::Quarter,
            Self::Whole => Self::Half,
        }
    }

    /// The next larger one; what is held stays held.
    pub fn doubled(self) -> Self {
        match self {
            Self::Hold => Self::Hold,
            Self::Eighth => Self::Quarter,
            Self::Quarter => Self::Half,
            Self::Half | Self::Whole => Self::Whole,
        }
    }

    /// This part of a rate, in the rate's own unit, and at least 1; `None` when nothing goes.
    pub fn of(self, rate: u32) -> Option<u32> {
        let parts = match self {
            Self::Hold => return None,
            Self::Eighth => 8,
            Self::Quarter => 4,
            Self::Half => 2,
            Self::Whole => 1,
        };
        Some((rate / parts).max(1))
    }
}

impl std::fmt::Display for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Hold => "nothing",
            Self::Eighth => "an eighth",
            Self::Quarter => "a quarter",
            Self::Half => "half",
            Self::Whole => "the whole",
        })
    }
}

/// Holds a scan back. Whoever has a reference may slow the scan or end it; only a guard's share ever rises again, and
/// never above what was asked for and what is permitted.
///
/// ```
/// use portcullis_scan::{Brake, Pace, Share};
/// let brake = Brake::new();
/// brake.limit(Some(100), None, None);
/// brake.slow(Share::Half);
/// let pace = brake.pace(Pace::default());
/// assert_eq!(pace.map(|pace| pace.total_per_second), Some(50));
/// ```
#[derive(Debug, Default)]
pub struct Brake {
    held: Mutex<Held>,
    generation: AtomicU64,
}

#[derive(Debug, Default)]
struct Held {
    total: Option<u32>,
    per_host: Option<u32>,
    per_subnet: Option<u32>,
    share: Share,
    stopped: Option<String>,
}

impl Brake {
    /// A brake that holds nothing back yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Limits the rates, in packets per second; 0 counts as 1, as in [`Pace`]. A limit is only ever lowered: `None`, and
    /// what is higher than the limit before, change nothing.
    pub fn limit(&self, total: Option<u32>, per_host: Option<u32>, per_subnet: Option<u32>) {
        self.change(|held| {
            let limits = [
                (&mut held.total, total),
                (&mut held.per_host, per_host),
                (&mut held.per_subnet, per_subnet),
            ];
            // Each is lowered, whether another one was or not.
            limits
                .into_iter()
                .fold(false, |changed, (limit, new)| lower(limit, new) || changed)
        });
    }

    /// Sets what part of the pace goes through; this may rise again.
    pub fn slow(&self, share: Share) {
        self.change(|held| std::mem::replace(&mut held.share, share) != share);
    }

    /// Ends the scan. The first reason stays.
    pub fn stop(&self, reason: String) {
        self.change(|held| {
            let first = held.stopped.is_none();
            held.stopped.get_or_insert(reason);
            first
        });
    }

    /// The pace that holds now: the smaller of what was asked for and the limit, then the share of it, each rate at
    /// least 1 packet per second. `None` while the scan is held, and after it was stopped.
    pub fn pace(&self, asked: Pace) -> Option<Pace> {
        let held = self.held();
        if held.stopped.is_some() {
            return None;
        }
        let rate = |asked: u32, limit: Option<u32>| held.share.of(asked.min(limit.unwrap_or(asked)));
        Some(Pace {
            total_per_second: rate(asked.total_per_second, held.total)?,
            per_host_per_second: rate(asked.per_host_per_second, held.per_host)?,
            per_subnet_per_second: match (asked.per_subnet_per_second, held.per_subnet) {
                (0, None) => 0,
                // 0 is no limit of its own, and any other is less.
                (0, limit) => rate(u32::MAX, limit)?,
                (asked, limit) => rate(asked, limit)?,
            },
            ..asked
        })
    }

    /// Why the scan shall end, if it shall.
    pub fn stopped(&self) -> Option<String> {
        self.held().stopped.clone()
    }

    /// A number that is another one after every change. It is raised after the change: whoever reads the number first
    /// and the pace then may read the same pace twice, and never misses one.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    fn change(&self, change: impl FnOnce(&mut Held) -> bool) {
        let mut held = self.held();
        if change(&mut held) {
            self.generation.fetch_add(1, Ordering::Release);
        }
    }

    /// What a panicked thread left behind is still true: each write is one assignment.
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lowers a limit. Returns whether that changed it.
fn lower(limit: &mut Option<u32>, to: Option<u32>) -> bool {
    let Some(to) = to.map(|to| to.max(1)) else {
        return false;
    };
    let lower = limit.is_none_or(|limit| to < limit);
    if lower {
        *limit = Some(to);
    }
    lower
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rates(brake: &Brake) -> Option<(u32, u32, u32)> {
        let pace = brake.pace(Pace {
            host_connections: 3,
            ..Pace::default()
        })?;
        Some((
            pace.total_per_second,
            pace.per_host_per_second,
            pace.host_connections,
        ))
    }

    #[test]
    fn nothing_is_held_back_at_first() {
        assert_eq!(rates(&Brake::new()), Some((1000, 20, 3)));
        assert_eq!(Brake::new().stopped(), None);
    }

    #[test]
    fn a_limit_is_only_lowered_and_the_share_is_of_what_is_left() {
        let brake = Brake::new();
        brake.limit(Some(2000), Some(8), None);
        assert_eq!(rates(&brake), Some((1000, 8, 3)));
        brake.limit(Some(100), Some(9), None);
        brake.limit(Some(400), None, None);
        assert_eq!(rates(&brake), Some((100, 8, 3)));
        brake.slow(Share::Eighth);
        assert_eq!(rates(&brake), Some((12, 1, 3)));
        brake.slow(Share::Hold);
        assert_eq!(rates(&brake), None);
        brake.slow(Share::Whole);
        assert_eq!(rates(&brake), Some((100, 8, 3)));
        brake.limit(Some(0), Some(0), None);
        assert_eq!(rates(&brake), Some((1, 1, 3)));
    }

    #[test]
    fn the_first_reason_to_stop_stays_and_nothing_goes_any_more() {
        let brake = Brake::new();
        brake.stop("first".into());
        brake.stop("second".into());
        brake.slow(Share::Whole);
        assert_eq!(brake.stopped().as_deref(), Some("first"));
        assert_eq!(rates(&brake), None);
    }

    #[test]
    fn the_generation_tells_changes_and_only_them() {
        let brake = Brake::new();
        let mut last = brake.generation();
        let mut changed = || {
            let before = std::mem::replace(&mut last, brake.generation());
            before != last
        };
        brake.limit(None, None, None);
        brake.slow(Share::Whole);
        assert!(!changed());
        brake.limit(Some(10), None, None);
        assert!(changed());
        brake.limit(Some(11), None, None);
        assert!(!changed());
        brake.limit(Some(10), Some(5), None);
        assert!(changed());
        brake.slow(Share::Half);
        assert!(changed());
        brake.stop("enough".into());
        assert!(changed());
        brake.stop("enough".into());
        assert!(!changed());
    }

    proptest! {
        #[test]
        fn never_more_than_asked_for_or_permitted_and_never_less_than_one(
            total: u32, per_host: u32, limits in prop::collection::vec((any::<Option<u32>>(), any::<Option<u32>>()), 0..5),
            share in prop::sample::select(vec![Share::Eighth, Share::Quarter, Share::Half, Share::Whole])) {
            let brake = Brake::new();
            for (total, per_host) in &limits {
                brake.limit(*total, *per_host, None);
            }
            brake.slow(share);
            let asked = Pace { total_per_second: total, per_host_per_second: per_host, ..Pace::default() };
            let pace = brake.pace(asked).unwrap();
            let most = |asked: u32, limits: Vec<u32>| limits.into_iter().fold(asked, u32::min).max(1);
            let in_all = most(total, limits.iter().filter_map(|limit| limit.0).collect());
            let to_one = most(per_host, limits.iter().filter_map(|limit| limit.1).collect());
            prop_assert!((1..=in_all).contains(&pace.total_per_second));
            prop_assert!((1..=to_one).contains(&pace.per_host_per_second));
            prop_assert!(share != Share::Whole || pace.total_per_second == in_all);
        }
    }
}
