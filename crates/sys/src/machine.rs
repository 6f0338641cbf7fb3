//! Where programs are run.

use std::time::Duration;

use crate::{Finished, SysError, command};

/// A machine whose own tools read and change its firewall.
#[derive(Debug, Clone, Default)]
pub enum Machine {
    /// This one.
    #[default]
    Here,
}

impl Machine {
    /// Runs a program there to its end; see [`crate::run`].
    ///
    /// # Errors
    /// When it is not installed, cannot be started, or does not end in time. A non-zero exit status is not an error here.
    pub fn run<A: AsRef<str>>(
        &self,
        program: &str,
        arguments: &[A],
        stdin: &str,
        timeout: Duration,
    ) -> Result<Finished, SysError> {
        let arguments: Vec<&str> = arguments.iter().map(AsRef::as_ref).collect();
        match self {
            Self::Here => command::run(program, &arguments, stdin, timeout),
        }
    }

    /// Whether a program is installed there.
    pub fn has(&self, program: &str) -> bool {
        match self {
            Self::Here => command::find_program(program).is_some(),
        }
    }
}
