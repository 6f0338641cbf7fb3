//! The one place where an error is shown to a person.

use std::{fmt::Write as _, process::ExitCode};

use portcullis_model::{Exit, Fault, sanitize};
use tracing_subscriber::EnvFilter;

use crate::environment;

/// Prints an error with its code, its causes and its hint, and gives the exit code that belongs to it.
pub(crate) fn failure(fault: &dyn Fault) -> ExitCode {
    eprintln_all(&render(fault));
    ExitCode::from(fault.exit().code())
}

/// Prints an error that does not end the command.
pub(crate) fn remark(fault: &dyn Fault) {
    eprintln_all(&render(fault));
}

/// One paragraph: what went wrong, why, and what to do about it.
fn render(fault: &dyn Fault) -> String {
    let message = fault.to_string();
    let mut text = format!("error[{}]: {message}", fault.code());
    let mut cause = fault.source();
    while let Some(error) = cause {
        let said = sanitize(&error.to_string());
        // A transparent wrapper repeats its inner error, which has been said.
        if !message.contains(&said) {
            let _ = write!(text, "\n  caused by: {said}");
        }
        cause = error.source();
    }
    if let Some(hint) = fault.hint() {
        let _ = write!(text, "\nhint: {hint}");
    }
    text
}

/// Shows a mistake in the arguments, or the help that was asked for.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    // Where nobody reads any more, nothing can be reported either.
    let _ = error.print();
    match error.kind() {
        clap::error::ErrorKind::DisplayHelp | clap::error::ErrorKind::DisplayVersion => {
            ExitCode::from(Exit::Clean.code())
        }
        _ => ExitCode::from(Exit::Usage.code()),
    }
}

/// Sends log messages to standard error: warnings always, more with `-v`, `-vv`.
pub(crate) fn logging(verbose: u8) {
    let level = match verbose {
        0 => "warn",
        1 => "info",
        2 => "debug",
        _ => "trace",
    };
    let filter = EnvFilter::try_from_env(environment::LOG).unwrap_or_else(|_| EnvFilter::new(level));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .without_time()
        .init();
}

/// Writes a message to standard error; a closed standard error is nobody's fault.
pub(crate) fn eprintln_all(text: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use portcullis_firewall::FirewallError;
    use portcullis_model::Digest;
    use portcullis_ops::OpsError;

    #[test]
    fn an_error_is_one_paragraph_with_code_and_hint() {
        let stale = FirewallError::Stale {
            expected: Digest::of("a"),
            found: Digest::of("b"),
        };
        let text = render(&OpsError::Firewall(stale));
        assert_eq!(
            text,
            "error[FW003]: the ruleset changed after the plan was made: expected digest ca97, found 3e23\n\
             hint: run `portcullis plan` again and compare the two plans"
        );
    }
}
