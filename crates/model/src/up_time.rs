//! The clock that counts from the start of a machine.

use std::time::Duration;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

/// A moment by the clock of a machine that counts from its start: nobody can step it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpTime {
    /// Which start it counts from: what `/proc/sys/kernel/random/boot_id` says.
    pub boot: String,
    /// Since then.
    pub milliseconds: u64,
}

impl UpTime {
    /// Reads what `/proc/uptime` and, in a line of its own, `/proc/sys/kernel/random/boot_id` say (proc(5)).
    pub fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let (seconds, hundredths) = lines.next()?.split_whitespace().next()?.split_once('.')?;
        let boot = lines.next()?.trim();
        let milliseconds = seconds.parse::<u64>().ok()?.checked_mul(1000)?;
        let part = hundredths.parse::<u64>().ok().filter(|part| *part < 100)? * 10;
        (!boot.is_empty() && boot.len() <= 64).then(|| Self {
            boot: boot.to_owned(),
            milliseconds: milliseconds.saturating_add(part),
        })
    }

    /// So much later.
    #[must_use]
    pub fn after(&self, time: Duration) -> Self {
        let more = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Self {
            boot: self.boot.clone(),
            milliseconds: self.milliseconds.saturating_add(more),
        }
    }

    /// How long it is until then, less than nothing when it has passed; `None` where the machine was started anew.
    pub fn until(&self, then: &Self) -> Option<SignedDuration> {
        let milliseconds = |moment: &Self| i64::try_from(moment.milliseconds).unwrap_or(i64::MAX);
        (self.boot == then.boot)
            .then(|| SignedDuration::from_millis(milliseconds(then).saturating_sub(milliseconds(self))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_says_is_read() {
        let read = UpTime::parse("1234.56 2000.10\n3b1f6a52-5d63-4f0e-a3d4-6a1d2c7e9f00\n").unwrap();
        assert_eq!(read.milliseconds, 1_234_560);
        for text in [
            "",
            "12.34 5\n",
            "12 5\nid\n",
            "x.y 5\nid\n",
            "99999999999999999999.00 1\nid\n",
        ] {
            assert_eq!(UpTime::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn times_of_different_starts_are_not_compared() {
        let now = UpTime::parse("100.00 1\nfirst\n").unwrap();
        let later = now.after(Duration::from_secs(60));
        assert_eq!(now.until(&later), Some(SignedDuration::from_secs(60)));
        assert_eq!(later.until(&now), Some(SignedDuration::from_secs(-60)));
        let elsewhere = UpTime {
            boot: "second".into(),
            ..later
        };
        assert_eq!(now.until(&elsewhere), None);
    }
}
