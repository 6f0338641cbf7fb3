//! Which signs in a firewall log are worth a person's attention, and how many make one.

use std::{fmt, str::FromStr, time::Duration};

use crate::NetworkSet;

/// A kind of sign. What each means exactly stands with its detection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DetectionKind {
    /// Repeated short connections from one source to one port.
    PasswordGuessing,
    /// A few attempts each from many sources at one port.
    SlowGuessing,
    /// One source tries many ports of one host.
    PortSweep,
    /// One source tries one port of many hosts.
    HostSweep,
    /// A source that was never seen before.
    FirstSource,
    /// A source gets through after many failures.
    SuccessAfterFailures,
    /// Somebody gets through to a port that a change closes.
    ClosedPort,
    /// No lines where there always were some.
    Silence,
    /// As many lines in each span as a limit lets through.
    RateLimit,
}

impl DetectionKind {
    /// All of them, in the order in which they are told.
    pub const ALL: [Self; 9] = [
        Self::ClosedPort,
        Self::SuccessAfterFailures,
        Self::PasswordGuessing,
        Self::SlowGuessing,
        Self::PortSweep,
        Self::HostSweep,
        Self::FirstSource,
        Self::Silence,
        Self::RateLimit,
    ];

    /// Its name, as in `site.toml` and in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::PasswordGuessing => "password-guessing",
            Self::SlowGuessing => "slow-guessing",
            Self::PortSweep => "port-sweep",
            Self::HostSweep => "host-sweep",
            Self::FirstSource => "first-source",
            Self::SuccessAfterFailures => "success-after-failures",
            Self::ClosedPort => "closed-port",
            Self::Silence => "silence",
            Self::RateLimit => "rate-limit",
        }
    }

    /// Whether [`Detection::shorter_than`] means anything to it.
    pub fn looks_at_length(self) -> bool {
        matches!(
            self,
            Self::PasswordGuessing | Self::SlowGuessing | Self::SuccessAfterFailures
        )
    }
}

impl fmt::Display for DetectionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text that names no detection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no detection is called `{}`; there are {}", crate::sanitize(.0), names())]
pub struct NotADetection(String);

fn names() -> String {
    DetectionKind::ALL.map(DetectionKind::name).join(", ")
}

impl FromStr for DetectionKind {
    type Err = NotADetection;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.name() == text)
            .ok_or_else(|| NotADetection(text.into()))
    }
}

/// How one kind of sign is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detection {
    /// The kind.
    pub kind: DetectionKind,
    /// Whether it is not looked for at all.
    pub off: bool,
    /// How many make a sign: attempts, sources, ports, hosts, spans with lines. At least 1, at most
    /// [`Detection::MOST_COUNT`].
    pub count: usize,
    /// Within which time; of `first-source` how long it learns first, of `silence` and `rate-limit` one span.
    pub within: Duration,
    /// Sessions below this length count as failures.
    pub shorter_than: Duration,
    /// Sources that are never told of.
    pub ignore: NetworkSet,
    /// How many sources, pairs or rules are remembered at most.
    pub remember: usize,
}

impl Detection {
    /// More than that is counted by the summary, not by a detection.
    pub const MOST_COUNT: usize = 10_000;
    /// Sources that are remembered unless the site says otherwise.
    pub const REMEMBER: usize = 65_536;
    /// So many may be remembered at most.
    pub const MOST_REMEMBERED: usize = 1_000_000;

    /// What holds for a site that says nothing.
    pub fn usual(kind: DetectionKind) -> Self {
        const MINUTE: u64 = 60;
        const HOUR: u64 = 60 * MINUTE;
        const DAY: u64 = 24 * HOUR;
        let (count, seconds) = match kind {
            DetectionKind::PasswordGuessing => (10, MINUTE),
            DetectionKind::SlowGuessing => (10, DAY),
            DetectionKind::PortSweep => (15, MINUTE),
            DetectionKind::HostSweep => (10, MINUTE),
            DetectionKind::FirstSource => (1, 7 * DAY),
            DetectionKind::SuccessAfterFailures => (10, HOUR),
            DetectionKind::ClosedPort => (1, HOUR),
            DetectionKind::Silence => (24, HOUR),
            DetectionKind::RateLimit => (10, MINUTE),
        };
        Self {
            kind,
            off: false,
            count,
            within: Duration::from_secs(seconds),
            shorter_than: Duration::from_secs(10),
            ignore: NetworkSet::default(),
            remember: Self::REMEMBER,
        }
    }
}

/// How all kinds of signs are looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detections(Vec<Detection>);

impl Default for Detections {
    fn default() -> Self {
        Self(DetectionKind::ALL.map(Detection::usual).into())
    }
}

impl Detections {
    /// One for each kind, in the order of [`DetectionKind::ALL`].
    pub fn all(&self) -> &[Detection] {
        &self.0
    }

    /// Puts one in the place of the usual one.
    pub fn set(&mut self, detection: Detection) {
        for own in &mut self.0 {
            if own.kind == detection.kind {
                *own = detection;
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_back_and_is_the_same_in_json() {
        for kind in DetectionKind::ALL {
            assert_eq!(kind.name().parse(), Ok(kind));
            assert_eq!(serde_json::to_string(&kind).unwrap(), format!("\"{kind}\""));
        }
    }

    #[test]
    fn what_is_set_replaces_what_is_usual() {
        let mut all = Detections::default();
        let changed = Detection {
            count: 99,
            ..Detection::usual(DetectionKind::PortSweep)
        };
        all.set(changed.clone());
        assert_eq!(all.all().len(), DetectionKind::ALL.len());
        assert!(all.all().contains(&changed));
    }
}
