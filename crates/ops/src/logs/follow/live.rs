//! Sources that keep nothing for whoever comes later: what came while nobody listened is lost, and told as a gap.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// So often the moment is kept though nothing came: a gap is told that much longer than it was, at most.
pub(super) const BEAT: Duration = Duration::from_secs(30);

/// Until when it was listened. It stands in the place of a position: what was counted is of before, and nothing that is read
/// later is.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Listened {
    until: Timestamp,
}

impl Listened {
    /// Begins now to listen to what has this name. Told is what may be missing since the last time, if there was one.
    pub(super) fn begin(name: &str, kept: Option<&str>) -> (Self, Option<String>) {
        let now = Self {
            until: Timestamp::now(),
        };
        let gap = kept.map(|kept| match serde_json::from_str::<Self>(kept) {
            Ok(before) => format!(
                "nobody listened to {name} from {} to {}: what came then is not counted",
                clock(before.until),
                clock(now.until)
            ),
            Err(_) => format!(
                "nobody listened to {name} until {}: what came then is not counted",
                clock(now.until)
            ),
        });
        (now, gap)
    }

    /// What is fetched from now on is what came until now.
    pub(super) fn now(&mut self) {
        // Two positions that are the same would be one.
        self.until = Timestamp::now().max(self.until + Duration::from_micros(1));
    }

    pub(super) fn position(&self) -> serde_json::Result<String> {
        serde_json::to_string(self)
    }
}

fn clock(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S (UTC)").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_while_nobody_listened_is_a_gap_from_the_last_commit_to_now() {
        let (mut first, gap) = Listened::begin("x", None);
        assert_eq!(gap, None);
        let before = first.position().unwrap();
        first.now();
        assert_ne!(before, first.position().unwrap());
        let (_, gap) = Listened::begin("udp://192.0.2.1:514", Some(r#"{"until":"2026-11-22T12:00:00Z"}"#));
        let gap = gap.unwrap();
        assert!(
            gap.starts_with("nobody listened to udp://192.0.2.1:514 from 2026-11-22 12:00:00 (UTC) to 20"),
            "{gap}"
        );
    }
}
