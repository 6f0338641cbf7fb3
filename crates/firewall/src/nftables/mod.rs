//! Native nftables: the rules as values, the `nft` program as the way into the kernel.

mod read;
#[cfg(test)]
mod tests;
mod transaction;

use std::time::Duration;

use portcullis_sys::{Finished, SysError};

pub use read::{ChainRule, Loaded, OwnTable, Ruleset};
pub use transaction::{Closing, TABLE, Transaction};

use crate::FirewallError;

/// The netfilter log group that dropped packets are handed to; `portcullis logs --nflog 54` reads it.
pub const LOG_GROUP: u16 = 54;

/// Begins every log line of ours; the tag of the change follows.
pub const LOG_PREFIX: &str = "portcullis-drop ";

/// `nft` answers in milliseconds; on a loaded old machine with a large ruleset it may take seconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// Reads the whole loaded ruleset.
///
/// # Errors
/// Without `nft`, without CAP_NET_ADMIN, or when its answer cannot be understood.
pub fn read() -> Result<Ruleset, FirewallError> {
    let finished = nft("read", &["-j", "list", "ruleset"], "")?;
    Ruleset::parse(&finished.stdout)
}

/// Loads a transaction: all of it or nothing. It is tried with `nft -c` first, which changes nothing.
///
/// # Errors
/// When `nft` refuses it; nothing was changed then.
pub fn load(transaction: &Transaction) -> Result<(), FirewallError> {
    let text = transaction.to_string();
    nft("check the change to", &["-c", "-f", "-"], &text)?;
    nft("change", &["-f", "-"], &text)?;
    Ok(())
}

/// Version of the `nft` program, e.g. `v1.0.6`.
///
/// # Errors
/// When it is not installed.
pub fn version() -> Result<String, SysError> {
    let finished = portcullis_sys::run("nft", &["--version"], "", PATIENCE)?;
    Ok(finished
        .stdout
        .split_whitespace()
        .nth(1)
        .unwrap_or("unknown")
        .to_owned())
}

fn nft(act: &'static str, arguments: &[&str], stdin: &str) -> Result<Finished, FirewallError> {
    let finished = portcullis_sys::run("nft", arguments, stdin, PATIENCE)
        .map_err(|source| FirewallError::Tool { act, source })?;
    if finished.success {
        return Ok(finished);
    }
    let said: Vec<&str> = finished.stderr.lines().take(3).map(str::trim).collect();
    Err(FirewallError::Nft {
        act,
        said: portcullis_model::sanitize(&said.join(" ")),
    })
}
