//! The words of Portcullis: zones, ports, observations, identifications, exposures, plans, changes, log events.
//!
//! It holds values and the rules that make them valid. It opens no socket, reads no clock and touches no file: text
//! comes in as `&str`, the time comes in as [`jiff::Timestamp`].
//!
//! Verbs: parse ([`Site::parse`], [`Permission::parse`]), show (every word implements `Display`), compare, digest
//! ([`Digest::of`]).
//!
//! ```
//! use portcullis_model::{Port, Site};
//! let site = Site::parse("site.toml", r#"
//!     [site]
//!     name = "plant-7"
//!     [[zone]]
//!     name = "control"
//!     networks = ["10.7.10.0/24"]
//! "#)?;
//! let zone = site.zone_of("10.7.10.4".parse()?).map(|zone| zone.name.as_str());
//! assert_eq!(zone, Some("control"));
//! assert_eq!("tcp/54321".parse::<Port>()?.to_string(), "tcp/54321");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod audit;
mod backend;
mod behaviour;
mod change;
mod config;
mod coverage;
mod detection;
mod doer;
mod exposure;
mod fault;
mod host;
mod id;
mod identification;
mod listener;
mod log_event;
mod log_format;
mod mac;
mod network;
mod observation;
mod permission;
mod plan;
mod port;
mod secret;
mod site;
mod tcp_flags;
mod untrusted;
mod up_time;
mod vantage;
mod window;

pub use audit::{AuditEntry, AuditRecord};
pub use backend::BackendName;
pub use behaviour::{AnswerToEnd, Behaviour, OwnEnd, TcpOptions};
pub use change::{Change, ChangeState, StepRecord};
pub use config::{ConfigError, Problem};
pub use coverage::{
    Confidence, Coverage, Felt, Introduction, Label, Loss, Neighbour, NotTested, Remark, Silent,
};
pub use detection::{Detection, DetectionKind, Detections, NotADetection};
pub use doer::{Ancestor, Doer, Traced};
pub use exposure::{Exposure, Severity};
pub use fault::{Exit, Fault};
pub use host::{HostEvidence, HostListener, Program};
pub use id::{ChangeId, Digest, ExposureId, ObservationId, PlanId, RunId};
pub use identification::{Assessment, Evidence, EvidenceKind, Grade, Identification, ServiceName};
pub use listener::{Binding, Connection, Listener, ProcessIdentity};
pub use log_event::{LogEvent, LogMoment, LogSource, Verdict};
pub use log_format::{LogFormat, NotALogFormat};
pub use mac::{MacAddress, MacAddressError};
pub use network::{NetworkSet, is_public, without};
pub use observation::{Observation, PortState, Run};
pub use permission::{Denial, Hours, Permission, Standing, covered, may_scan};
pub use plan::{AllowedSource, Effect, LiveConnection, Note, NoteLevel, Plan, Prediction, StatePart};
pub use port::{Port, PortError, PortRange, Transport};
pub use secret::Secret;
pub use site::{
    Conduit, KeptConnection, KeptEnd, LogPrefix, Networks, ServiceOverride, Site, WatchPolicy, Zone,
};
pub use tcp_flags::TcpFlags;
pub use untrusted::{Untrusted, sanitize};
pub use up_time::UpTime;
pub use vantage::{SensorName, SensorNameError, Vantage, VantageError};
pub use window::{MaintenanceWindow, WindowError};
