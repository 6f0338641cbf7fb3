//! The firewall systems that Portcullis drives, behind one small trait.

use std::time::Duration;

use portcullis_model::BackendName;
use portcullis_sys::Machine;

use crate::{
    FirewallError,
    act::{Act, Acts},
    closing::Closing,
    firewalld::Firewalld,
    iptables::Iptables,
    nftables::Nftables,
    own::Own,
    ufw::Ufw,
};

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

    /// How a confirmed closing outlasts a restart of the host.
    fn lasting(&self, closing: &Closing) -> Lasting;

    /// Takes away what [`Lasting::OwnPlace`] has put there, if there is any; `None` where nothing ever is.
    fn forget(&self, tag: &str) -> Option<Act> {
        let _ = tag;
        None
    }
}

/// How a confirmed closing outlasts a restart of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lasting {
    /// A POSIX shell script that loads it where it is not loaded, whatever else of ours is: a unit of ours runs it.
    Script(String),
    /// The firewall system loads it by itself from a place of its own.
    OwnPlace {
        /// The place, e.g. a file.
        place: String,
        /// Puts it there.
        put: Acts,
    },
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
        BackendName::Iptables => &Iptables::Only,
        BackendName::Firewalld => &Firewalld,
        BackendName::Ufw => &Ufw,
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
