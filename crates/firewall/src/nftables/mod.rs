//! Native nftables: the rules as values, the `nft` program as the way into the kernel.

mod counted;
mod own;
mod rules;
mod ruleset;
#[cfg(test)]
mod tests;
mod transaction;

use std::time::Duration;

use portcullis_model::BackendName;
use portcullis_sys::{Machine, SysError};
use serde_json::Value;

pub use counted::counted_before_limits;
pub use ruleset::Ruleset;
pub use transaction::{TABLE, Transaction};

use crate::{
    FirewallError,
    act::{Act, Acts, unasked},
    backend::{Backend, DeadMan, Lasting},
    closing::Closing,
    own::Own,
};

/// The netfilter log group that dropped packets are handed to; `portcullis logs --nflog 54` reads it.
pub const LOG_GROUP: u16 = 54;

/// Begins every log line of ours; the tag of the change follows.
pub const LOG_PREFIX: &str = "portcullis-drop ";

/// Native nftables: the port stands in a set whose element the kernel itself forgets when a trial ends.
#[derive(Debug)]
pub struct Nftables;

impl Backend for Nftables {
    fn name(&self) -> BackendName {
        BackendName::Nftables
    }

    fn read(&self, machine: &Machine) -> Result<Own, FirewallError> {
        Ok(read(machine)?.own)
    }

    fn load(&self, closing: &Closing, trial: Option<Duration>, beside: &Own) -> Acts {
        Transaction::load(closing, trial, beside.any_of(BackendName::Nftables)).into()
    }

    fn keep(&self, closing: &Closing) -> Acts {
        Transaction::confirm(&closing.tag, closing.port).into()
    }

    fn inverse(&self, closing: &Closing, beside: &Own) -> Acts {
        Transaction::inverse(closing, beside.any_of(BackendName::Nftables))
    }

    fn dead_man(&self) -> DeadMan {
        DeadMan::Kernel
    }

    fn lasting(&self, closing: &Closing) -> Lasting {
        let load = |joins| Acts::from(Transaction::load(closing, None, joins));
        let there = |what: &str| format!("nft list {what} >/dev/null 2>&1");
        Lasting::Script(format!(
            "{chain} && exit 0\nif {table}; then\n{join}else\n{alone}fi\n",
            chain = there(&format!("chain {TABLE} change_{}", closing.tag)),
            table = there(&format!("table {TABLE}")),
            join = load(true),
            alone = load(false),
        ))
    }
}

/// Reads the whole loaded ruleset.
///
/// Where iptables is installed and `nft` is not, there are no rules of nftables to be seen.
///
/// # Errors
/// Without either, without CAP_NET_ADMIN, or when its answer cannot be understood.
pub fn read(machine: &Machine) -> Result<Ruleset, FirewallError> {
    let has = |program| machine.has(program).map_err(unasked);
    if !has("nft")? && has("iptables-save")? {
        return Ok(Ruleset::none());
    }
    let finished = Act::new("nft", &["-j", "list", "ruleset"]).run("read", machine)?;
    Ruleset::parse(&finished.stdout)
}

/// Version of the `nft` program, e.g. `v1.0.6`.
///
/// # Errors
/// When it is not installed.
pub fn version() -> Result<String, SysError> {
    let finished = portcullis_sys::run("nft", &["--version"], "", Duration::from_secs(30))?;
    Ok(finished
        .stdout
        .split_whitespace()
        .nth(1)
        .unwrap_or("unknown")
        .to_owned())
}

fn text<'v>(body: &'v Value, key: &str) -> &'v str {
    body.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn handle_of(body: &Value) -> u64 {
    body.get("handle").and_then(Value::as_u64).unwrap_or(0)
}
