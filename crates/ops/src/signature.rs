//! The signature of a permission, checked by `ssh-keygen` against a list of allowed signers (ssh-keygen(1), ALLOWED
//! SIGNERS).

use std::{path::Path, time::Duration};

use portcullis_model::sanitize;
use portcullis_sys::{Finished, SysError, run};

use super::signature_file;
use crate::{OpsError, desk::read_text};

/// A signature says what it is meant for, so that one for another purpose is none for a permission.
const NAMESPACE: &str = "portcullis-permission";
const PATIENCE: Duration = Duration::from_secs(10);

/// Verifies that the text of a permission was signed by the one whom it names.
///
/// # Errors
/// A signature that is missing, of somebody else, or of another text; `ssh-keygen` that is missing.
pub(super) fn verify(file: &Path, text: &str, signers: &Path, signer: Option<&str>) -> Result<(), OpsError> {
    let refuse = |why: String| OpsError::Signature {
        path: file.into(),
        why,
    };
    let Some(signer) = signer else {
        return Err(refuse("it names nobody in `signed_by`".into()));
    };
    read_text(signers)?;
    let signature = signature_file(file);
    if !signature.is_file() {
        return Err(refuse(format!("there is no {}", signature.display())));
    }
    let (Some(signers), Some(signature)) = (signers.to_str(), signature.to_str()) else {
        return Err(refuse("the name of one of its files is not UTF-8".into()));
    };
    let found = keygen(&["-Y", "find-principals", "-s", signature, "-f", signers], "")?;
    if !found.success {
        return Err(refuse(format!(
            "{signers} does not know the key of {signature}{}",
            said(&found.stderr)
        )));
    }
    if !found.stdout.lines().any(|principal| principal == signer) {
        let other = sanitize(&found.stdout.lines().collect::<Vec<_>>().join(", "));
        return Err(refuse(format!(
            "the signature is of {other}, and `signed_by` names {signer}"
        )));
    }
    let check = [
        "-Y", "verify", "-f", signers, "-I", signer, "-n", NAMESPACE, "-s", signature,
    ];
    let verified = keygen(&check, text)?;
    if verified.success {
        Ok(())
    } else {
        Err(refuse(format!(
            "{signature} is not {signer}'s signature of this text{}",
            said(&verified.stderr)
        )))
    }
}

fn keygen(arguments: &[&str], stdin: &str) -> Result<Finished, OpsError> {
    run("ssh-keygen", arguments, stdin, PATIENCE).map_err(|error| match error {
        SysError::MissingProgram { .. } => OpsError::NoKeygen,
        other => OpsError::System(other),
    })
}

/// What the program complained of, in brackets.
fn said(stderr: &str) -> String {
    match stderr.lines().next() {
        Some(line) => format!(" ({})", sanitize(line)),
        None => String::new(),
    }
}
