//! A service that can be reached from a zone for which there is no conduit.

use std::{fmt, net::IpAddr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Assessment, ExposureId, Grade, ObservationId, Port, ServiceName, Vantage};

/// How urgent an exposure is. Reached from addresses that no zone claims it is `High`, from another zone of the site
/// `Medium`; one step up when it is at least likely a management or control service, one step down when it is another
/// kind of service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Look at it when there is time.
    Low,
    /// Close it in the next window.
    Medium,
    /// Close it now if the process allows.
    High,
    /// Close it now.
    Critical,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        })
    }
}

/// One exposure, with the observations that show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exposure {
    /// Stable between runs.
    pub id: ExposureId,
    /// How urgent.
    pub severity: Severity,
    /// The address that can be reached.
    pub address: IpAddr,
    /// The zone of that address, if the site declares one.
    pub zone: Option<String>,
    /// The port that is open.
    pub port: Port,
    /// What it most probably is.
    pub service: Option<ServiceName>,
    /// How sure that is.
    pub grade: Option<Grade>,
    /// What raised and lowered that, and what would be needed for more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assessment: Option<Assessment>,
    /// The zone that it is reached from.
    pub from_zone: String,
    /// Whether that zone is the one that stands for everybody else.
    pub from_anywhere: bool,
    /// The vantage that reached it last.
    pub vantage: Vantage,
    /// When it was last seen open from there.
    pub seen: Timestamp,
    /// Why this is an exposure, in plain words.
    pub because: String,
    /// The observations behind it, latest first.
    pub evidence: Vec<ObservationId>,
}
