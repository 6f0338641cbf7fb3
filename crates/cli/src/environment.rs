//! Every environment variable that Portcullis reads, and the places it falls back to.
//!
//! `PORTCULLIS_LAB` (set inside the lab, read by the lab's crate), `SSH_CONNECTION` and `SUDO_USER` (who is behind this
//! command, read by the use-cases) and `PATH` are the only others.

use std::{
    env,
    path::{Path, PathBuf},
};

/// Names the store; `--store` goes before it.
pub(crate) const STORE: &str = "PORTCULLIS_STORE";
/// Names `site.toml`; `--config` goes before it.
pub(crate) const CONFIG: &str = "PORTCULLIS_CONFIG";
/// The community of SNMP; `--community` goes before it.
pub(crate) const COMMUNITY: &str = "PORTCULLIS_COMMUNITY";
/// Names the folder of the user's own services; `--knowledge` goes before it.
pub(crate) const KNOWLEDGE: &str = "PORTCULLIS_KNOWLEDGE";
/// Switches log messages on, e.g. `portcullis=debug`; `-v` does the same.
pub(crate) const LOG: &str = "PORTCULLIS_LOG";

/// The store of this user: `$XDG_DATA_HOME/portcullis`, else `~/.local/share/portcullis`.
pub(crate) fn default_store() -> PathBuf {
    let data = env::var_os("XDG_DATA_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".local/share")))
        .filter(|folder| folder.is_absolute())
        .unwrap_or_else(|| PathBuf::from("/var/lib"));
    data.join("portcullis/portcullis.sqlite")
}
