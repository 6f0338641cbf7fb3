//! Who changed the rules: what the kernel says, and what could still be read of the process.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Untrusted;

/// Whoever committed a transaction to the kernel's ruleset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doer {
    /// Its name as the kernel gives it (`comm`, at most 15 bytes, chosen by the process itself).
    pub program: Untrusted,
    /// Its process id, as the whole machine counts; 0 when the kernel does not tell.
    pub pid: u32,
    /// What `/proc` told of it; `None` when it had ended already.
    pub process: Option<Traced>,
}

/// What could be read of a process while it lived.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traced {
    /// Path of the executable.
    pub executable: Option<Untrusted>,
    /// Its command line, arguments separated by spaces, cut after 400 bytes.
    pub command: Option<Untrusted>,
    /// Under which user it runs.
    pub user: Option<Untrusted>,
    /// Who logged in at the beginning of the session (audit's login uid), if somebody did: `sudo` does not change it.
    pub login: Option<Untrusted>,
    /// The unit of systemd that it belongs to, or whichever control group.
    pub unit: Option<Untrusted>,
    /// The processes that started it, the nearest first, four at most.
    pub ancestors: Vec<Ancestor>,
}

/// A process above another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ancestor {
    /// Its id.
    pub pid: u32,
    /// Its name.
    pub name: Untrusted,
}

impl fmt::Display for Doer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.program)?;
        if self.pid != 0 {
            write!(f, " (process {})", self.pid)?;
        }
        let Some(process) = &self.process else {
            return f.write_str(", which has ended");
        };
        if let Some(command) = process.command.as_ref().or(process.executable.as_ref()) {
            write!(f, " `{command}`")?;
        }
        match (&process.user, &process.login) {
            (Some(user), Some(login)) if user != login => write!(f, " of {user}, logged in as {login}")?,
            (Some(user), _) => write!(f, " of {user}")?,
            (None, Some(login)) => write!(f, " of a session of {login}")?,
            (None, None) => {}
        }
        if let Some(unit) = &process.unit {
            write!(f, " in {unit}")?;
        }
        for (place, ancestor) in process.ancestors.iter().enumerate() {
            let word = if place == 0 { ", started by" } else { " of" };
            write!(f, "{word} {} ({})", ancestor.name, ancestor.pid)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_doer_is_told_in_one_line_whatever_its_name_holds() {
        let mut doer = Doer {
            program: Untrusted::new("n\x1b[2Jft\n"),
            pid: 4711,
            process: None,
        };
        assert_eq!(
            doer.to_string(),
            "n\\u{1b}[2Jft\\u{a} (process 4711), which has ended"
        );
        let ancestor = |pid, name: &str| Ancestor {
            pid,
            name: Untrusted::new(name),
        };
        doer.program = Untrusted::new("nft");
        doer.process = Some(Traced {
            command: Some(Untrusted::new("nft flush ruleset")),
            user: Some(Untrusted::new("root")),
            login: Some(Untrusted::new("ola")),
            unit: Some(Untrusted::new("cron.service")),
            ancestors: vec![ancestor(4700, "sh"), ancestor(812, "cron")],
            executable: None,
        });
        assert_eq!(
            doer.to_string(),
            "nft (process 4711) `nft flush ruleset` of root, logged in as ola in cron.service, started by sh (4700) of \
             cron (812)"
        );
    }
}
