//! The one place where an error is shown to a person.

use std::{error::Error as _, ffi::OsString, fmt::Write as _, process::ExitCode};

use clap::{
    CommandFactory,
    error::{ContextKind, ContextValue, ErrorKind},
};
use portcullis_model::{Exit, Fault, sanitize};
use tracing_subscriber::EnvFilter;

use crate::{arguments::Cli, environment};

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
    // File names, owners and sites are in it.
    let message = harmless(&fault.to_string());
    let mut text = format!("error[{}]: {message}", fault.code());
    let mut cause = fault.source();
    while let Some(error) = cause {
        let said = harmless(&error.to_string());
        // A transparent wrapper repeats its inner error, which has been said.
        if !message.contains(&said) {
            let _ = write!(text, "\n  caused by: {said}");
        }
        cause = error.source();
    }
    if let Some(hint) = fault.hint() {
        let _ = write!(text, "\nhint: {}", harmless(&hint));
    }
    text
}

/// Each line escaped; what comes from outside has no line ends of its own.
fn harmless(text: &str) -> String {
    text.lines().map(sanitize).collect::<Vec<_>>().join("\n")
}

/// Shows a mistake in the arguments, or the help that was asked for.
pub(crate) fn usage(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // Where nobody reads any more, nothing can be reported either.
            let _ = error.print();
            ExitCode::from(Exit::Clean.code())
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = error.print();
            ExitCode::from(Exit::Usage.code())
        }
        _ => failure(&Mistake::of(error, std::env::args_os().skip(1))),
    }
}

/// A mistake on the command line.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
struct Mistake {
    message: String,
    tip: Option<String>,
    /// The command that was typed, as far as there is one.
    command: String,
}

impl Mistake {
    fn of(error: &clap::Error, typed: impl Iterator<Item = OsString>) -> Self {
        if let Some(message) = without_secret(error) {
            return Self {
                message,
                tip: None,
                command: command(typed),
            };
        }
        let text = error.to_string();
        let text = text.strip_prefix("error: ").unwrap_or(&text);
        // Behind these words follow the usage, which the help shows too, and the way to the help.
        let said = text.split("\n\nUsage:").next().unwrap_or(text);
        let said = said.split("\n\nFor more information").next().unwrap_or(said);
        let (tips, lines): (Vec<&str>, Vec<&str>) = said
            .lines()
            .filter(|line| !line.trim().is_empty())
            .partition(|line| line.trim_start().starts_with("tip: "));
        // A number below zero is no option that was meant as a value.
        let tip = tips
            .iter()
            .map(|tip| tip.trim_start().trim_start_matches("tip: "))
            .find(|tip| !tip.starts_with("to pass"));
        Self {
            // What was typed may come from a file or a ticket.
            message: lines
                .iter()
                .map(|line| portcullis_model::sanitize(line))
                .collect::<Vec<_>>()
                .join("\n"),
            tip: tip.map(Into::into),
            command: command(typed),
        }
    }
}

/// What is wrong with a value that nobody else may read, without the value; `None` for any other mistake.
fn without_secret(error: &clap::Error) -> Option<String> {
    let Some(ContextValue::String(argument)) = error.get(ContextKind::InvalidArg) else {
        return None;
    };
    if error.kind() != ErrorKind::ValueValidation || !argument.starts_with("--community") {
        return None;
    }
    let cause = error.source().map(|cause| format!(": {cause}"));
    Some(format!(
        "invalid value for '{argument}'{}",
        cause.unwrap_or_default()
    ))
}

/// The command of this program that these words name.
fn command(typed: impl Iterator<Item = OsString>) -> String {
    let mut command = Cli::command();
    let mut path = command.get_name().to_owned();
    for word in typed {
        if let Some(sub) = command.find_subcommand(&word).cloned() {
            path = format!("{path} {}", sub.get_name());
            command = sub;
        }
    }
    path
}

impl Fault for Mistake {
    fn code(&self) -> &'static str {
        "CL002"
    }
    fn hint(&self) -> Option<String> {
        let help = format!("`{} --help` says what it takes", self.command);
        Some(match &self.tip {
            Some(tip) => format!("{tip}; {help}"),
            None => help,
        })
    }
    fn exit(&self) -> Exit {
        Exit::Usage
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
    use clap::Parser;

    use super::*;
    use portcullis_firewall::FirewallError;
    use portcullis_model::Digest;
    use portcullis_ops::OpsError;

    #[test]
    fn a_mistake_in_the_arguments_has_code_and_hint_like_any_other() {
        let said = |typed: &str| {
            let words = || typed.split(' ').map(OsString::from);
            let error = Cli::try_parse_from(words()).unwrap_err();
            render(&Mistake::of(&error, words().skip(1)))
        };
        assert_eq!(
            said("portcullis scan 10.0.0.1 --ports 0"),
            "error[CL002]: invalid value '0' for '--ports <PORTS>': `0` is not a port number from 1 to 65535\n\
             hint: `portcullis scan --help` says what it takes"
        );
        assert_eq!(
            said("portcullis --quiet lab sell"),
            "error[CL002]: unrecognized subcommand 'sell'\n\
             hint: a similar subcommand exists: 'shell'; `portcullis lab --help` says what it takes"
        );
        let both = said("portcullis scan 10.0.0.1 --resume F");
        assert!(
            both.contains("cannot be used with") && !both.contains("Usage"),
            "{both}"
        );
        let hostile = said("portcullis scan --rate \u{1b}[2J");
        assert!(!hostile.contains('\u{1b}'), "{hostile:?}");
        let secret = "plant7".repeat(11);
        for typed in [
            format!("portcullis scan 10.0.0.1 --community {secret}"),
            format!("portcullis scan 10.0.0.1 --community={secret}"),
        ] {
            assert_eq!(
                said(&typed),
                "error[CL002]: invalid value for '--community <TEXT>': a community has 64 bytes at most\n\
                 hint: `portcullis scan --help` says what it takes"
            );
        }
        assert!(said("portcullis scan").contains("<TARGET>"));
        assert!(!said("portcullis scan 10.0.0.1 --rate -1").contains("-- -1"));
    }

    #[test]
    fn names_from_outside_are_shown_escaped() {
        let hostile = OpsError::Read {
            path: "e\u{1b}[31m".into(),
            source: std::io::ErrorKind::NotFound.into(),
        };
        let text = render(&hostile);
        assert!(!text.contains('\u{1b}'), "{text:?}");
    }

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
