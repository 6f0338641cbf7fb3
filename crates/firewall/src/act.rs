//! What is done to a machine, as values: they print as lines of a POSIX shell, and are run one after the other.

use std::{fmt, time::Duration};

use portcullis_sys::{Finished, Machine, SysError, shell};

use crate::FirewallError;

/// The tools answer in milliseconds; on a loaded old machine with a large ruleset, or in firewalld, which is asked for each
/// zone, they may take tens of seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// One program with its arguments and what it reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Act {
    /// Its name, e.g. `nft`.
    pub program: String,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// What it reads from its standard input; nothing when empty.
    pub stdin: String,
    /// What is shown of it where it is printed, when that is not the call itself.
    pub shown: Option<String>,
}

impl Act {
    /// A program that reads nothing.
    pub fn new(program: &str, arguments: &[&str]) -> Self {
        Self::reading(program, arguments, String::new())
    }

    /// A program that reads a script.
    pub fn reading(program: &str, arguments: &[&str], stdin: String) -> Self {
        Self {
            program: program.into(),
            arguments: arguments.iter().copied().map(str::to_owned).collect(),
            stdin,
            shown: None,
        }
    }

    /// Several acts as one process, which goes on when the one that started it is killed in the middle. When one of
    /// them fails, what is given as `undo` is done, and the whole has failed.
    pub fn together(acts: &Acts, undo: &Acts) -> Self {
        let each: Vec<String> = acts
            .0
            .iter()
            .map(|act| format!("{{ {}\n}}", act.call()))
            .collect();
        // What was not there to be undone is no news; why the first one failed is.
        let script = format!(
            "{} || {{\n{{\n{}:\n}} 2>/dev/null\nexit 1\n}}\n",
            each.join(" && "),
            undo.script()
        );
        Self {
            shown: Some(acts.to_string().trim_end().to_owned()),
            ..Self::new("sh", &["-c", &script])
        }
    }

    /// The call itself, as a shell would run it, whatever is shown of it.
    pub(crate) fn call(&self) -> String {
        shell::call(&self.program, &self.arguments, &self.stdin)
    }

    /// Runs it.
    ///
    /// # Errors
    /// When it is not installed or hangs, and when it refuses.
    pub fn run(&self, act: &'static str, machine: &Machine) -> Result<Finished, FirewallError> {
        let finished = machine
            .run(&self.program, &self.arguments, &self.stdin, PATIENCE)
            .map_err(|source| FirewallError::Tool { act, source })?;
        if finished.success {
            return Ok(finished);
        }
        let said: Vec<&str> = finished.stderr.lines().take(3).map(str::trim).collect();
        Err(FirewallError::Refused {
            act,
            program: self.program.clone(),
            said: portcullis_model::sanitize(&said.join(" ")),
        })
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.shown {
            Some(shown) => f.write_str(shown),
            None => f.write_str(&self.call()),
        }
    }
}

/// A machine that could not be asked what it has.
pub(crate) fn unasked(source: SysError) -> FirewallError {
    FirewallError::Tool { act: "read", source }
}

/// Acts in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Acts(pub Vec<Act>);

impl Acts {
    /// Runs one after the other; the first that fails ends it.
    ///
    /// # Errors
    /// That of the first act that fails.
    pub fn run(&self, act: &'static str, machine: &Machine) -> Result<(), FirewallError> {
        self.0
            .iter()
            .try_for_each(|one| one.run(act, machine).map(|_| ()))
    }

    /// A shell script that does them, whatever is shown of them.
    pub fn script(&self) -> String {
        self.0.iter().map(|act| act.call() + "\n").collect()
    }

    /// Runs all of them, also after one has failed; the first failure is what is told.
    ///
    /// # Errors
    /// That of the first act that fails.
    pub fn run_all(&self, act: &'static str, machine: &Machine) -> Result<(), FirewallError> {
        let failures = self.0.iter().filter_map(|one| one.run(act, machine).err());
        failures
            .collect::<Vec<_>>()
            .into_iter()
            .next()
            .map_or(Ok(()), Err)
    }
}

impl From<Act> for Acts {
    fn from(act: Act) -> Self {
        Self(vec![act])
    }
}

impl fmt::Display for Acts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|act| writeln!(f, "{act}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_what_a_shell_would_run() {
        let acts = Acts(vec![
            Act::reading("cat", &["-"], "it's $HOME\n".into()),
            Act::new("printf", &["%s|", "it's", "$HOME `x`", ""]),
        ]);
        let run = portcullis_sys::run("sh", &["-s"], &acts.to_string(), PATIENCE).unwrap();
        assert_eq!(run.stdout, "it's $HOME\nit's|$HOME `x`||");
    }

    #[test]
    fn a_script_that_holds_acts_is_read_whole() {
        let inner = Act::reading("cat", &[], "one\n".into());
        let outer = Act::reading("sh", &["-s"], format!("{inner}\n"));
        let run = portcullis_sys::run("sh", &["-s"], &outer.to_string(), PATIENCE).unwrap();
        assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("one\n", ""));
    }

    #[test]
    fn together_they_are_all_done_or_undone() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
        let touch = |name: &str| Act::new("touch", &[&file(name)]);
        let undo = Acts::from(touch("undone"));
        let good = Acts(vec![touch("one"), Act::reading("cat", &[], "it's\n".into())]);
        assert_eq!(
            Act::together(&good, &undo).to_string(),
            good.to_string().trim_end()
        );
        Act::together(&good, &undo).run("try", &Machine::Here).unwrap();
        assert!(!folder.path().join("undone").exists());
        let bad = Acts(vec![Act::new("ls", &["/no/such/place"]), touch("two")]);
        let error = Act::together(&bad, &undo).run("try", &Machine::Here).unwrap_err();
        assert!(error.to_string().contains("/no/such/place"), "{error}");
        assert!(folder.path().join("undone").exists() && !folder.path().join("two").exists());
    }

    #[test]
    fn what_is_shown_of_an_act_is_not_what_is_run() {
        let act = Act {
            shown: Some("# says something".into()),
            ..Act::new("printf", &["done"])
        };
        let acts = Acts::from(act);
        assert_eq!(acts.script(), "printf done\n");
        let together = Act::together(&acts, &Acts::default());
        assert_eq!(together.to_string(), "# says something");
        assert_eq!(together.run("try", &Machine::Here).unwrap().stdout, "done");
    }

    #[test]
    fn all_are_run_even_when_one_fails() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("made");
        let acts = Acts(vec![
            Act::new("false", &[]),
            Act::new("touch", &[&file.to_string_lossy()]),
        ]);
        assert!(acts.run("try", &Machine::Here).is_err());
        assert!(!file.exists());
        assert!(acts.run_all("try", &Machine::Here).is_err());
        assert!(file.exists());
    }
}
