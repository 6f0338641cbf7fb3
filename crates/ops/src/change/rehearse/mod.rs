//! Rehearsing a change: the rules, addresses and listeners of this host are copied into a throw-away network of its own;
//! there the change is made, probed from where people would come, and taken back. The host itself is only read.

mod inside;
mod judge;
mod scenery;

use std::{
    io::Write as _,
    net::IpAddr,
    process::{Command, Stdio},
};

use ipnet::IpNet;
use portcullis_model::{BackendName, NetworkSet, Plan, Port};
use portcullis_sys::isolation;
use serde::{Deserialize, Serialize};

use crate::{Desk, OpsError};

pub use inside::{first_process, perform};

/// What is needed to set a copy up, and what is to be tried in it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Scenery {
    interfaces: Vec<Interface>,
    /// The ruleset as `nft -s list ruleset` prints it.
    nftables: Option<String>,
    /// What the older iptables and ip6tables hold, as their `save` prints it.
    legacy: [Option<String>; 2],
    port: Port,
    /// Where the service listens.
    listeners: Vec<IpAddr>,
    allow: NetworkSet,
    backend: BackendName,
    witnesses: Vec<Witness>,
}

/// An interface of the host with its addresses, without link-local ones.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Interface {
    name: String,
    addresses: Vec<IpNet>,
}

/// One address from which the port is tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Witness {
    /// For whom it stands, e.g. a zone.
    name: String,
    from: IpAddr,
    to: IpAddr,
    /// The interface by which it comes; that of a loopback address when not given.
    interface: Option<String>,
}

/// How the port answered one witness.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// For whom it stands, e.g. a zone.
    pub name: String,
    /// Its address.
    pub from: IpAddr,
    /// The address of this host that it tried.
    pub to: IpAddr,
    /// Whether the closing lets it through.
    pub allowed: bool,
    /// Whether the port answered before.
    pub before: bool,
    /// Whether it answered with the change in force.
    pub on_trial: bool,
    /// Whether it answered after the change was taken back.
    pub after: bool,
}

/// What became of a change in the copy.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Rehearsal {
    /// One for each witness.
    pub rows: Vec<Row>,
    /// Whether the ruleset was, after the change was taken back, the one before.
    pub restored: bool,
    /// What is not as the plan says, in plain words; empty when the plan is borne out.
    pub against: Vec<String>,
    /// What could not be concluded, in plain words.
    pub not_concluded: Vec<String>,
}

/// What the process inside answers.
#[derive(Debug, Serialize, Deserialize)]
enum Answer {
    Done { rows: Vec<Row>, restored: bool },
    Failed(String),
}

/// Rehearses a plan of this host.
///
/// # Errors
/// When the copy cannot be made: without the right to make namespaces, when the ruleset cannot be loaded again, and in
/// firewalld, whose daemon would change the host itself.
pub fn rehearse(desk: &Desk, plan: &Plan) -> Result<Rehearsal, OpsError> {
    let cannot = |why: String| OpsError::CannotRehearse(portcullis_model::sanitize(&why));
    if plan.backend == BackendName::Firewalld {
        return Err(cannot(
            "firewalld is one daemon for the whole host, and would change the host itself".into(),
        ));
    }
    if !plan.behind.is_empty() {
        return Err(cannot(
            "it is about hosts behind this one, which a copy of this one does not have".into(),
        ));
    }
    let scenery = scenery::of(&desk.machine, plan)?;
    let mut command = Command::new("/proc/self/exe");
    command
        .arg("rehearsal")
        .env_remove("SSH_CONNECTION")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    isolation::apart(&mut command, true);
    let failed = |error: std::io::Error| cannot(format!("no namespaces can be made: {error}"));
    let mut child = command.spawn().map_err(failed)?;
    let described = serde_json::to_vec(&scenery).unwrap_or_default();
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(&described).map_err(failed)?;
    }
    let output = child.wait_with_output().map_err(failed)?;
    match serde_json::from_slice(&output.stdout) {
        Ok(Answer::Done { rows, restored }) => Ok(Rehearsal {
            against: judge::against(&rows, restored),
            not_concluded: judge::not_concluded(&rows),
            rows,
            restored,
        }),
        Ok(Answer::Failed(why)) => Err(cannot(why)),
        Err(_) => Err(cannot(format!("the copy ended with {}", output.status))),
    }
}
