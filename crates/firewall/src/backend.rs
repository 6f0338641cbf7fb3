//! The firewall systems that Portcullis drives, behind one small trait.

use std::time::Duration;

use portcullis_model::BackendName;
use portcullis_sys::{Machine, SysError};

use crate::{FirewallError, act::Acts, closing::Closing, iptables::Iptables, nftables::Nftables, own::Own};

/// A firewall system. What it makes of a closing are values; only [`Backend::read`] asks the machine.
pub trait Backend: std::fmt::Debug + Sync {
    /// Its name.
    fn name(&self) -> BackendName;

    /// What stands in this system's rules that Portcullis has made; nothing where the system is not installed.
    ///
    /// # Errors
    /// When it cannot be read, or what was read cannot be understood.
    fn read(&self, machine: &Machine) -> Result<Own, FirewallError>;

    /// Closes a port beside what stands there already: on trial, or until it is taken back.
    fn load(&self, closing: &Closing, trial: Option<Duration>, beside: &Own) -> Acts;

    /// Makes a trial permanent, without a moment in which the port is open.
    fn keep(&self, closing: &Closing) -> Acts;

    /// Takes a closing out again, without having read what the ruleset looks like by then.
    fn inverse(&self, closing: &Closing, beside: &Own) -> Acts;

    /// Who takes a trial back when nobody confirms it.
    fn dead_man(&self) -> DeadMan;

    /// A POSIX shell script that loads a confirmed closing where it is not loaded, whatever else of ours is; `None` where
    /// the firewall system keeps it over a restart by itself.
    fn at_boot(&self, closing: &Closing) -> Option<String> {
        let _ = closing;
        None
    }
}

/// Who takes a trial back when nobody confirms it, whatever has become of Portcullis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeadMan {
    /// The kernel itself.
    Kernel,
    /// A process of its own, started and looked after before the change is made.
    Guard,
}

/// The backend of a name.
pub fn of(name: BackendName) -> &'static dyn Backend {
    match name {
        BackendName::Nftables => &Nftables,
        BackendName::IptablesNft => &Iptables::Nft,
        BackendName::IptablesLegacy => &Iptables::Legacy,
    }
}

/// All that Portcullis has made on a machine.
///
/// # Errors
/// When the rules cannot be read.
pub fn own(machine: &Machine) -> Result<Own, FirewallError> {
    let mut own = Own::default();
    for name in BackendName::ALL {
        own.join(of(name).read(machine)?);
    }
    Ok(own)
}

/// The backend that a change is to be made in on a machine, and why.
///
/// # Errors
/// When the one that is asked for is not installed, or none is.
pub fn choose(asked: Option<BackendName>, machine: &Machine) -> Result<(BackendName, String), FirewallError> {
    if let Some(name) = asked {
        let program = program(name);
        return if machine.has(program) {
            Ok((name, format!("the change is made in {name}, as asked for")))
        } else {
            Err(missing(program))
        };
    }
    let found = BackendName::ALL
        .into_iter()
        .find(|name| machine.has(program(*name)));
    let Some(name) = found else {
        return Err(missing(program(BackendName::default())));
    };
    let why = match name {
        BackendName::Nftables => {
            "a drop in its own table is final, whatever the rules of others accept, and the kernel itself ends a trial"
        }
        BackendName::IptablesNft | BackendName::IptablesLegacy => "`nft` is not installed",
    };
    Ok((name, format!("the change is made in {name}: {why}")))
}

fn program(name: BackendName) -> &'static str {
    match name {
        BackendName::Nftables => "nft",
        BackendName::IptablesNft => "iptables-nft-restore",
        BackendName::IptablesLegacy => "iptables-legacy-restore",
    }
}

fn missing(program: &str) -> FirewallError {
    FirewallError::Tool {
        act: "change",
        source: SysError::MissingProgram {
            program: program.into(),
        },
    }
}
