//! Why a use-case did not do what was asked.

use std::{io, net::IpAddr, path::PathBuf};

use jiff::Timestamp;
use portcullis_capture::CaptureError;
use portcullis_fabric::FabricError;
use portcullis_firewall::{FirewallError, reach::ReachError};
use portcullis_knowledge::{KnowledgeError, advisory::csaf::CsafError};
use portcullis_lab::LabError;
use portcullis_logs::NotCountries;
use portcullis_model::{ChangeState, ConfigError, Denial, Exit, Fault, Port, ServiceName, Vantage, sanitize};
use portcullis_scan::{
    MOST_PROBES, checkpoint::CheckpointError, guard::GuardError, import::ImportError, listing::ListingError,
    segment::SegmentError, syn::SynError, targets::TargetError,
};
use portcullis_store::StoreError;
use portcullis_sys::SysError;

use crate::{capture::LiveError, learn::LearnError, logs::FollowError};

/// An error of a use-case.
#[derive(Debug, thiserror::Error)]
pub enum OpsError {
    /// A configuration file has mistakes.
    #[error(transparent)]
    Config(ConfigError),
    /// What is known of services has mistakes: the user's own files, or a damaged build.
    #[error(transparent)]
    Knowledge(KnowledgeError),
    /// A folder that shall hold services and holds none.
    #[error("there is no service file (*.toml) in {0}")]
    NoServices(PathBuf),
    /// The store.
    #[error(transparent)]
    Store(StoreError),
    /// The firewall.
    #[error(transparent)]
    Firewall(FirewallError),
    /// The operating system.
    #[error(transparent)]
    System(SysError),
    /// A file that is no ruleset.
    #[error("cannot read the rules in {path}")]
    Rules {
        /// The file, or what printed the text.
        path: PathBuf,
        /// Why not.
        #[source]
        source: ReachError,
    },
    /// A file that is no database of countries.
    #[error("cannot read the countries in {path}")]
    Countries {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: NotCountries,
    },
    /// A question for TCP at an address of several hosts at once.
    #[error(
        "TCP goes to one host: {0} is a broadcast or multicast address, at which nobody gets a connection"
    )]
    NoConnection(IpAddr),
    /// A zone that the site does not have.
    #[error("the site has no zone {}", sanitize(.0))]
    NoSuchZone(String),
    /// The lab.
    #[error(transparent)]
    Lab(LabError),
    /// The SYN engine.
    #[error(transparent)]
    Syn(SynError),
    /// The neighbours that shall be watched.
    #[error(transparent)]
    Guard(GuardError),
    /// A file of another program that is not read.
    #[error("cannot import {path}")]
    Import {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: ImportError,
    },
    /// A file that is not taken for an advisory.
    #[error("cannot import {path} as an advisory")]
    Csaf {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: CsafError,
    },
    /// An advisory in the store that cannot be read.
    #[error("an advisory in the store cannot be read")]
    KeptAdvisory(#[source] serde_json::Error),
    /// A capture that is not read.
    #[error("cannot read the capture {path}")]
    Capture {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: CaptureError,
    },
    /// The way to a sensor.
    #[error(transparent)]
    Fabric(FabricError),
    /// A sensor that may look at nothing.
    #[error("this sensor would refuse every look: it has neither a site nor a permission")]
    LooksNowhere,
    /// Somebody asks a sensor for what only its own host reaches.
    #[error("{0} is a loopback address, at which a sensor looks for nobody")]
    OwnLoopback(IpAddr),
    /// An interface that cannot be listened to.
    #[error(transparent)]
    Live(LiveError),
    /// What the operator knows cannot be learned.
    #[error(transparent)]
    Learn(LearnError),
    /// The place that another program is said to have looked from.
    #[error("`{0}` is neither an address nor a zone of this site")]
    SeenFrom(String),
    /// A checkpoint that cannot be used.
    #[error("cannot resume {path}")]
    Resume {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: CheckpointError,
    },
    /// Nobody knows a service of this name.
    #[error("no service is called `{0}`")]
    UnknownService(ServiceName),
    /// A service that is asked with a community, and none was given.
    #[error("`{0}` is asked with a community, and none was given")]
    NoCommunity(ServiceName),
    /// By half-open connections nothing can be asked.
    #[error("a scan by half-open connections asks nothing, so that there is no second question")]
    NothingToAsk,
    /// A service that has no port, or a segment that is asked for one that has.
    #[error("PROFINET DCP lives below IP: a segment is asked for it, and for nothing else")]
    BelowIp,
    /// An interface without a network of its own.
    #[error("interface `{}` has no IPv4 network of its own, or one wider than a /16: whose segment it is cannot be told", sanitize(.0))]
    WhoseSegment(String),
    /// A segment that cannot be asked.
    #[error(transparent)]
    Segment(SegmentError),
    /// There is no checkpoint of this name.
    #[error("there is no checkpoint {0}")]
    NoCheckpoint(PathBuf),
    /// What a scan has found could not be kept. It was told all the same.
    #[error("what was found is told above, and could not be kept")]
    NotKept {
        /// With what the scan can go on, and keep it then.
        checkpoint: Option<PathBuf>,
        /// Why not.
        #[source]
        source: Box<StoreError>,
    },
    /// More ports of hosts than one scan may have.
    #[error("{count} ports of hosts are more than the {MOST_PROBES} that one scan may have")]
    TooManyPorts {
        /// How many.
        count: u128,
    },
    /// What a scan has seen could not be written to its checkpoint.
    #[error("cannot keep what the scan sees in {path}")]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Two follow the same log into the same store.
    #[error("somebody else follows {} into the same store", sanitize(.0))]
    FollowedTwice(String),
    /// A source of log lines that cannot be followed.
    #[error(transparent)]
    Follow(FollowError),
    /// How far a log was followed cannot be written down.
    #[error("how far the log was followed cannot be written down")]
    Position(#[source] serde_json::Error),
    /// The targets of a scan.
    #[error(transparent)]
    Targets(TargetError),
    /// An imported listing.
    #[error("cannot import {path}")]
    Listing {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: ListingError,
    },
    /// A file cannot be read.
    #[error("cannot read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The targets may not be scanned.
    #[error("not permitted to scan {count} of {total} targets: {first}")]
    NotPermitted {
        /// How many addresses are refused.
        count: usize,
        /// How many were asked for.
        total: usize,
        /// The first refusal.
        first: Denial,
    },
    /// The signature of a permission is missing or wrong.
    #[error("cannot trust {path}: {why}")]
    Signature {
        /// The permission.
        path: PathBuf,
        /// What is wrong with its signature.
        why: String,
    },
    /// The program that checks signatures is not installed.
    #[error("cannot check a signature: the program `ssh-keygen` is not installed")]
    NoKeygen,
    /// The site wants a second person's approval, and it is missing or wrong.
    #[error("plan {plan} is not approved: {why}")]
    NotApproved {
        /// The plan.
        plan: String,
        /// What is missing or wrong.
        why: String,
    },
    /// A connection of `[keep]` was heard before the change and not with it.
    #[error(
        "with the change in force nothing answers any more on `{0}`, which [keep] names: the change was taken back"
    )]
    KeptLost(String),
    /// A change was to be made, and it cannot be told whether it was.
    #[error("it cannot be told whether change {change} was made: if it was, it is on trial{}", until_when(*until))]
    MayBeLoaded {
        /// Its tag.
        change: String,
        /// When the trial ends.
        until: Option<Timestamp>,
        /// Why it cannot be told.
        #[source]
        source: Box<FirewallError>,
    },
    /// No copy of this host can be made to rehearse in.
    #[error("the change cannot be rehearsed: {0}")]
    CannotRehearse(String),
    /// No maintenance window is open.
    #[error("no maintenance window is open now; {next}")]
    OutsideWindow {
        /// When the next one opens, in words.
        next: String,
    },
    /// An emergency needs a reason.
    #[error("an emergency change needs a reason")]
    EmptyReason,
    /// The plan is for another host.
    #[error("{plan} is for host {wanted}, and this is {here}")]
    OtherHost {
        /// The plan or change.
        plan: String,
        /// Its host.
        wanted: String,
        /// This host.
        here: String,
    },
    /// The plan was made with another site.toml, or with none.
    #[error("plan {plan} was made with another site.toml, or one of the two was not named")]
    OtherSite {
        /// The plan.
        plan: String,
    },
    /// The change is not in a state in which this can be done.
    #[error("change {change} cannot be {verb}: it stands as `{state}`")]
    WrongState {
        /// The change.
        change: String,
        /// Where it stands.
        state: ChangeState,
        /// `confirmed` or `rolled back`.
        verb: &'static str,
    },
    /// Confirming over the session that applied proves nothing.
    #[error("this is the very session that applied the change: it proves nothing about new connections")]
    SameSession,
    /// The operator stopped it in time.
    #[error("stopped; nothing was changed")]
    Interrupted,
    /// The operator stopped it after the rules were loaded; they were taken back.
    #[error("stopped while the change was being made; it was taken back")]
    TakenBack,
    /// Exposures need a declared site.
    #[error("without a site.toml there are no zones and conduits to compare with")]
    NoSite,
    /// There is no exposure with this id.
    #[error("there is not exactly one exposure whose id begins with `{0}`")]
    NoSuchExposure(String),
    /// The exposure is on another host.
    #[error("exposure {exposure} is on {address}, which is not an address of this host")]
    ExposureElsewhere {
        /// Its id.
        exposure: String,
        /// Where it is.
        address: std::net::IpAddr,
    },
    /// A vantage that cannot be used from here.
    #[error("cannot look from {vantage}: {why}")]
    Vantage {
        /// The vantage.
        vantage: Vantage,
        /// Why not.
        why: String,
    },
    /// Only ports that can be probed without harm can be verified by packets.
    #[error("no harmless request is known for {0}, so packets cannot prove anything about it")]
    NotProvable(Port),
    /// Where nothing listens, silence proves nothing.
    #[error("nothing listens on {0} on this host, so silence would prove nothing of its rules")]
    NothingToVerify(Port),
    /// A time span that cannot be used.
    #[error("a trial must last from 5 seconds to 24 hours")]
    TrialLength,
    /// The check that was to be run after the change could not be started.
    #[error("cannot run the smoke check")]
    Smoke(#[source] SysError),
}

impl OpsError {
    fn inner(&self) -> Option<&dyn Fault> {
        Some(match self {
            Self::Config(error) => error,
            Self::Store(error) => error,
            Self::Firewall(error) => error,
            Self::System(error) | Self::Smoke(error) => error,
            Self::Lab(error) => error,
            Self::Targets(error) => error,
            Self::Syn(error) => error,
            Self::Segment(error) => error,
            Self::Guard(error) => error,
            Self::Resume { source, .. } => source,
            Self::Import { source, .. } => source,
            Self::Csaf { source, .. } => source,
            Self::Capture { source, .. } => source,
            Self::Fabric(error) => error,
            Self::Live(error) => error,
            Self::Learn(error) => error,
            Self::Follow(error) => error,
            Self::Knowledge(error) => error,
            Self::Listing { source, .. } => source,
            Self::Rules { source, .. } => source,
            _ => return None,
        })
    }
}

impl Fault for OpsError {
    fn code(&self) -> &'static str {
        match self {
            Self::Config(error) => error.code(),
            Self::Store(error) => error.code(),
            Self::Firewall(error) => error.code(),
            Self::System(error) | Self::Smoke(error) => error.code(),
            Self::Lab(error) => error.code(),
            Self::Targets(error) => error.code(),
            Self::Syn(error) => error.code(),
            Self::Guard(error) => error.code(),
            Self::Resume { source, .. } => source.code(),
            Self::Import { source, .. } => source.code(),
            Self::Csaf { source, .. } => source.code(),
            Self::KeptAdvisory(_) => "AD006",
            Self::Capture { source, .. } => source.code(),
            Self::Fabric(error) => error.code(),
            Self::Live(error) => error.code(),
            Self::Learn(error) => error.code(),
            Self::Follow(error) => error.code(),
            Self::Position(_) => "OP031",
            Self::SeenFrom(_) => "IM004",
            Self::Checkpoint { .. } => "OP019",
            Self::NotKept { .. } => "OP020",
            Self::NoCheckpoint(_) => "SC033",
            Self::UnknownService(_) => "SC060",
            Self::NoCommunity(_) => "SC061",
            Self::NothingToAsk => "SC062",
            Self::BelowIp => "SC063",
            Self::WhoseSegment(_) => "SC068",
            Self::Segment(error) => error.code(),
            Self::TooManyPorts { .. } => "SC014",
            Self::Knowledge(error) => error.code(),
            Self::Listing { source, .. } => source.code(),
            Self::Rules { source, .. } => source.code(),
            Self::NoSuchZone(_) => "RE003",
            Self::NoConnection(_) => "RE005",
            Self::NoServices(_) => "KN003",
            Self::Read { .. } => "OP001",
            Self::NotPermitted { .. } => "OP002",
            Self::OutsideWindow { .. } => "OP003",
            Self::EmptyReason => "OP004",
            Self::OtherHost { .. } => "OP005",
            Self::WrongState { .. } => "OP006",
            Self::SameSession => "OP007",
            Self::Interrupted => "OP008",
            Self::TakenBack => "OP009",
            Self::NoSite => "OP010",
            Self::NoSuchExposure(_) => "OP011",
            Self::ExposureElsewhere { .. } => "OP012",
            Self::Vantage { .. } => "OP013",
            Self::LooksNowhere => "OP041",
            Self::OwnLoopback(_) => "OP042",
            Self::NotProvable(_) => "OP014",
            Self::NothingToVerify(_) => "OP025",
            Self::TrialLength => "OP015",
            Self::OtherSite { .. } => "OP016",
            Self::Signature { .. } => "OP017",
            Self::NoKeygen => "OP018",
            Self::NotApproved { .. } => "OP021",
            Self::FollowedTwice(_) => "OP030",
            Self::Countries { .. } => "OP040",
            Self::CannotRehearse(_) => "OP022",
            Self::MayBeLoaded { .. } => "OP023",
            Self::KeptLost(_) => "OP024",
        }
    }

    fn hint(&self) -> Option<String> {
        if let Some(inner) = self.inner() {
            return inner.hint();
        }
        let hint = match self {
            Self::NotKept {
                checkpoint: Some(checkpoint),
                ..
            } => {
                return Some(format!(
                    "put it right, then `portcullis scan --resume {}` keeps it, and asks no device again for what it knows",
                    checkpoint.display()
                ));
            }
            Self::NotKept { .. } => "put it right and scan again",
            Self::NoSuchZone(_) => "site.toml names them; --from takes a network or an address, too",
            Self::NoConnection(_) => "ask for a port of UDP there, or for TCP at an address of the host",
            Self::NoServices(_) => "docs/knowledge.md shows one; or leave --knowledge out",
            Self::NoCheckpoint(_) => {
                "a scan that has come to its end needs none and has removed it: `portcullis exposures` and `portcullis \
                 assets` show what it found"
            }
            Self::UnknownService(_) => "docs/knowledge.md lists the services with their names",
            Self::NoCommunity(_) => {
                "give the one that the owner gave you: PORTCULLIS_COMMUNITY in the environment, or --community; it is never \
                 guessed and never written down, so that a resumed scan needs it again"
            }
            Self::FollowedTwice(_) => {
                "nothing was counted twice; end one of the two, or give each a store of its own with --store"
            }
            Self::Countries { .. } => {
                "give a .mmdb file that tells countries; unpack it first when it came in an archive"
            }
            Self::BelowIp => {
                "write it as `portcullis scan --segment eth0 --service profinet-dcp`, without targets"
            }
            Self::WhoseSegment(_) => {
                "give the interface an address of the segment, so that site.toml or a permission can cover it"
            }
            Self::NothingToAsk => "leave out --second-look, or look with --mode connect",
            Self::TooManyPorts { .. } => "split the scan into several, or name fewer ports",
            Self::Checkpoint { .. } => "make room beside the store; what was written before can go on",
            Self::Read { source, .. } => match source.kind() {
                io::ErrorKind::NotFound => "look at the name, and at the folder that it begins from",
                io::ErrorKind::PermissionDenied => {
                    "allow this user to read it, or run as the one who owns it"
                }
                io::ErrorKind::IsADirectory => "name a file in it",
                io::ErrorKind::InvalidData => "save it as text in UTF-8",
                _ => return None,
            },
            Self::NotPermitted {
                first: Denial::Public { .. },
                ..
            } => {
                "scan public addresses only with their owner's word: --permission FILE (see docs/permission.md)"
            }
            Self::NotPermitted {
                first: Denial::NoZone { .. },
                ..
            } => {
                "declare the network in site.toml, or give its owner's word: --permission FILE (see docs/permission.md)"
            }
            Self::NotPermitted {
                first: Denial::NoSite { .. },
                ..
            } => {
                "declare your networks in a site.toml and name it with --config (see docs/site.md), or give their \
                 owner's word: --permission FILE (see docs/permission.md)"
            }
            Self::NotPermitted { first, .. } if first.is_for_now() => {
                "start it again when the permission is open; nothing was sent"
            }
            Self::NotPermitted { .. } => "ask the owner for a permission that covers it; nothing was sent",
            Self::Signature { .. } => {
                "nothing was sent; the owner signs it with `ssh-keygen -Y sign -n portcullis-permission -f KEY \
                 permission.toml` (see docs/permission.md)"
            }
            Self::NothingToVerify(_) => {
                "`portcullis check` lists what listens; `verify PLAN` looks at a port that a plan has closed, whatever listens"
            }
            Self::NoKeygen => "install it: `apt install openssh-client`; nothing was sent",
            Self::NotApproved { .. } => {
                "`portcullis approve PLAN` prints what somebody else must sign, and says how; nothing was changed"
            }
            Self::MayBeLoaded { .. } => {
                "do nothing, and the trial ends by itself; `portcullis changes`, with --host for another host, tells how it stands"
            }
            Self::CannotRehearse(_) => {
                "the plan is kept and nothing was changed; `portcullis apply` makes it on trial without a rehearsal"
            }
            Self::KeptLost(_) => {
                "`plan --rehearse` shows whom the plan cuts; where the other end was down just \
                 then, apply it again"
            }
            Self::OutsideWindow { .. } => "wait for the window, or say why not: --emergency \"reason\"",
            Self::EmptyReason => "write what would happen if it waited: --emergency \"reason\"",
            Self::OtherHost { .. } => "run it there, or make a plan for this host: `portcullis plan`",
            Self::OtherSite { .. } => "name the same file with --config, or make the plan again",
            Self::WrongState { .. } => "`portcullis changes` lists where each change stands",
            Self::SameSession => {
                "open a second session to this host and confirm from there; until then the trial goes on"
            }
            Self::NoSite => "name one with --config site.toml (see docs/site.md)",
            Self::KeptAdvisory(_) => "import the advisory again with this version of portcullis",
            Self::SeenFrom(_) => {
                "give the address it looked from, or a zone as the site.toml that --config names declares it"
            }
            Self::NoSuchExposure(_) => "`portcullis exposures` lists them with their ids",
            Self::ExposureElsewhere { .. } => "run `portcullis plan` on that host",
            Self::LooksNowhere => "name the site with --config, or give it a --permission",
            Self::Vantage { .. } => {
                "`portcullis lab up` builds hosts to look from; this-host is always there"
            }
            _ => return None,
        };
        Some(hint.into())
    }

    fn exit(&self) -> Exit {
        if let Some(inner) = self.inner() {
            return inner.exit();
        }
        match self {
            Self::NotPermitted { .. }
            | Self::Signature { .. }
            | Self::OtherSite { .. }
            | Self::NotApproved { .. }
            | Self::OutsideWindow { .. }
            | Self::SameSession
            | Self::KeptLost(_)
            | Self::WrongState { .. } => Exit::Refused,
            Self::Read { .. }
            | Self::NoServices(_)
            | Self::NoCheckpoint(_)
            | Self::UnknownService(_)
            | Self::NoCommunity(_)
            | Self::NothingToAsk
            | Self::BelowIp
            | Self::WhoseSegment(_)
            | Self::TooManyPorts { .. }
            | Self::EmptyReason
            | Self::OtherHost { .. }
            | Self::NoSite
            | Self::NoSuchZone(_)
            | Self::NoConnection(_)
            | Self::SeenFrom(_)
            | Self::NoSuchExposure(_)
            | Self::ExposureElsewhere { .. }
            | Self::Vantage { .. }
            | Self::LooksNowhere
            | Self::NotProvable(_)
            | Self::NothingToVerify(_)
            | Self::Countries { .. }
            | Self::TrialLength => Exit::Usage,
            Self::CannotRehearse(_) => Exit::Partial,
            _ => Exit::Failed,
        }
    }
}

/// `until …`, where that is known.
fn until_when(until: Option<Timestamp>) -> String {
    until.map_or_else(String::new, |until| {
        format!(" until {}", until.strftime("%H:%M:%S (UTC)"))
    })
}

/// The words for the next opening of a window.
pub(crate) fn next_opening(next: Option<(String, Timestamp)>) -> String {
    match next {
        Some((name, at)) => format!("the next is `{name}`, from {at}"),
        None => "none is declared that ever opens".into(),
    }
}
