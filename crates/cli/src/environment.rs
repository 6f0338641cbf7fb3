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
/// Names the NATS server at which sensors are asked; `--nats` goes before it.
pub(crate) const NATS: &str = "PORTCULLIS_NATS";
/// Names the file of credentials for it; `--nats-creds` goes before it.
pub(crate) const NATS_CREDS: &str = "PORTCULLIS_NATS_CREDS";
/// Switches log messages on, e.g. `portcullis=debug`; `-v` does the same.
pub(crate) const LOG: &str = "PORTCULLIS_LOG";

/// What tells which letters the terminal shows; the first that is set and not empty counts (POSIX, "Environment Variables").
const LOCALE: [&str; 3] = ["LC_ALL", "LC_CTYPE", "LANG"];

/// What a plot must know of the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Screen {
    /// Columns.
    pub(crate) columns: usize,
    /// Whether more than ASCII is shown.
    pub(crate) unicode: bool,
}

impl Screen {
    /// That of the terminal at standard output, or at one of the others when that is a pipe; 80 columns when there is none.
    pub(crate) fn here() -> Self {
        let size = terminal_size::terminal_size();
        Self {
            columns: size.map_or(80, |(width, _)| usize::from(width.0)),
            unicode: is_utf8(LOCALE.into_iter().map(env::var_os)),
        }
    }
}

fn is_utf8(locale: impl Iterator<Item = Option<std::ffi::OsString>>) -> bool {
    let set = locale.flatten().find(|name| !name.is_empty());
    set.is_some_and(|name| {
        let name = name.to_string_lossy().to_ascii_lowercase();
        name.contains("utf-8") || name.contains("utf8")
    })
}

/// The store of this user: `$XDG_DATA_HOME/portcullis`, else `~/.local/share/portcullis`.
pub(crate) fn default_store() -> PathBuf {
    let data = env::var_os("XDG_DATA_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".local/share")))
        .filter(|folder| folder.is_absolute())
        .unwrap_or_else(|| PathBuf::from("/var/lib"));
    data.join("portcullis/portcullis.sqlite")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_locale_that_is_set_decides() {
        let of = |names: [&str; 3]| is_utf8(names.into_iter().map(|name| (name != "-").then(|| name.into())));
        assert!(of(["-", "-", "en_GB.UTF-8"]) && of(["C.utf8", "C", "C"]) && of(["", "nb_NO.UTF-8", "C"]));
        assert!(
            !of(["-", "-", "-"])
                && !of(["C", "en_GB.UTF-8", "en_GB.UTF-8"])
                && !of(["de_DE.ISO-8859-1", "-", "-"])
        );
    }
}
