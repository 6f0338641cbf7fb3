//! Signatures of people, made with `ssh-keygen` and checked by it against a list of allowed signers (ssh-keygen(1),
//! ALLOWED SIGNERS).

use std::{path::Path, time::Duration};

use portcullis_model::sanitize;
use portcullis_sys::{Finished, SysError, run};

use crate::{OpsError, desk::read_text};

const PATIENCE: Duration = Duration::from_secs(10);

/// A text, and what is said to be somebody's signature of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Signed<'a> {
    /// The text.
    pub(crate) text: &'a str,
    /// The file with the signature.
    pub(crate) signature: &'a Path,
    /// Whose signatures count.
    pub(crate) signers: &'a Path,
    /// A signature says what it is meant for, so that one for another purpose is none for this one.
    pub(crate) namespace: &'a str,
}

/// Why a signature does not count, in plain words, or why it could not be checked.
#[derive(Debug)]
pub(crate) enum Unsigned {
    /// It does not count.
    Refused(String),
    /// It could not be checked.
    NotChecked(OpsError),
}

impl Unsigned {
    /// As an error, whose refusal is made here.
    pub(crate) fn into_error(self, refused: impl FnOnce(String) -> OpsError) -> OpsError {
        match self {
            Self::Refused(why) => refused(why),
            Self::NotChecked(error) => error,
        }
    }
}

impl Signed<'_> {
    /// The names under which the list knows the key of the signature: whoever could have made it.
    ///
    /// # Errors
    /// A signature that is missing, or of an unknown key; `ssh-keygen` that is missing.
    pub(crate) fn possible_signers(&self) -> Result<Vec<String>, Unsigned> {
        read_text(self.signers).map_err(Unsigned::NotChecked)?;
        let (signature, signers) = self.files()?;
        let found = keygen(&["-Y", "find-principals", "-s", signature, "-f", signers], "")?;
        if found.success {
            return Ok(found.stdout.lines().map(str::to_owned).collect());
        }
        let said = said(&found.stderr);
        Err(Unsigned::Refused(format!(
            "{signers} does not know the key of {signature}{said}"
        )))
    }

    /// Verifies that it is the signature of `signer`, of this text, and for this purpose.
    ///
    /// # Errors
    /// When it is not; `ssh-keygen` that is missing.
    pub(crate) fn is_by(&self, signer: &str) -> Result<(), Unsigned> {
        let (signature, signers) = self.files()?;
        let check = [
            "-Y",
            "verify",
            "-f",
            signers,
            "-I",
            signer,
            "-n",
            self.namespace,
            "-s",
            signature,
        ];
        let verified = keygen(&check, self.text)?;
        if verified.success {
            return Ok(());
        }
        let said = said(&verified.stderr);
        Err(Unsigned::Refused(format!(
            "{signature} is not {}'s signature of this text{said}",
            sanitize(signer)
        )))
    }

    fn files(&self) -> Result<(&str, &str), Unsigned> {
        if !self.signature.is_file() {
            let missing = format!("there is no {}", self.signature.display());
            return Err(Unsigned::Refused(missing));
        }
        match (self.signature.to_str(), self.signers.to_str()) {
            (Some(signature), Some(signers)) => Ok((signature, signers)),
            _ => Err(Unsigned::Refused(
                "the name of one of its files is not UTF-8".into(),
            )),
        }
    }
}

fn keygen(arguments: &[&str], stdin: &str) -> Result<Finished, Unsigned> {
    run("ssh-keygen", arguments, stdin, PATIENCE).map_err(|error| {
        Unsigned::NotChecked(match error {
            SysError::MissingProgram { .. } => OpsError::NoKeygen,
            other => OpsError::System(other),
        })
    })
}

/// What the program complained of, in brackets.
fn said(stderr: &str) -> String {
    match stderr.lines().next() {
        Some(line) => format!(" ({})", sanitize(line)),
        None => String::new(),
    }
}
