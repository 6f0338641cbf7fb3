//! The owner's permission of one scan: read and verified before it begins, read again every second while it runs.

use std::{
    io::ErrorKind,
    net::IpAddr,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock, mpsc},
    thread,
    time::Duration,
};

use jiff::Timestamp;
use portcullis_model::{Denial, Digest, Fault, Permission, Port, Standing, sanitize};
use portcullis_scan::{Brake, Pace, pace::UNLIMITED};
use serde::Serialize;
use tokio::sync::mpsc::UnboundedSender;

use super::Request;
use crate::{OpsError, desk::read_regular, signature::Signed};

/// How often the file is looked at while the scan runs.
const EVERY: Duration = Duration::from_secs(1);

/// What is known of the signature of a permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Signature {
    /// The file names nobody who signs it.
    #[serde(rename = "not signed")]
    None,
    /// The file names a signer, and no list of allowed signers was given.
    #[serde(rename = "signature not checked")]
    NotChecked,
    /// It is the signature of the one whom the file names.
    #[serde(rename = "signature checked")]
    Checked,
}

/// One version of a permission as it was used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PermissionUsed {
    /// The file.
    pub file: PathBuf,
    /// Digest of its text.
    pub digest: Digest,
    /// Whether somebody has signed it.
    pub signature: Signature,
    /// What it says.
    #[serde(flatten)]
    pub permission: Permission,
}

/// A change of the file while the scan ran, after which less was permitted.
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "change", rename_all = "kebab-case")]
pub enum Tightening {
    /// A new version permits less.
    Narrowed(Box<PermissionUsed>),
    /// Nothing is permitted any more.
    Withdrawn {
        /// The file.
        file: PathBuf,
        /// What became of it.
        why: String,
    },
}

/// Where a permission comes from, and who may have signed it.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) file: PathBuf,
    pub(super) signers: Option<PathBuf>,
}

impl Source {
    /// Where the permission of a scan comes from, if it has one.
    pub(super) fn of(request: &Request) -> Option<Self> {
        Some(Self {
            file: request.permission.clone()?,
            signers: request.signers.clone(),
        })
    }

    /// Reads the file and verifies its signature.
    pub(super) fn read(&self) -> Result<PermissionUsed, OpsError> {
        let text = self.text()?;
        self.understand(&text)
    }

    fn text(&self) -> Result<String, OpsError> {
        // It is read many times: a pipe would hold up the one who asks again.
        read_regular(&self.file)
    }

    /// What is verified is the very text that is read: the file is not opened a second time.
    fn understand(&self, text: &str) -> Result<PermissionUsed, OpsError> {
        let name = self.file.to_string_lossy();
        let permission = Permission::parse(&name, text).map_err(OpsError::Config)?;
        let signature = match (&self.signers, &permission.signed_by) {
            (Some(signers), signer) => {
                verify(&self.file, text, signers, signer.as_deref())?;
                Signature::Checked
            }
            (None, Some(_)) => Signature::NotChecked,
            (None, None) => Signature::None,
        };
        Ok(PermissionUsed {
            file: self.file.clone(),
            digest: Digest::of(text),
            signature,
            permission,
        })
    }
}

/// The permission while the scan runs; shared with the thread that reads the file again.
#[derive(Debug, Clone)]
pub(super) struct Authority {
    standing: Arc<RwLock<Standing>>,
    brake: Arc<Brake>,
}

impl Authority {
    /// Rates that become smaller reach the scan by its brake.
    pub(super) fn new(permission: Permission, brake: Arc<Brake>) -> Self {
        Self {
            standing: Arc::new(RwLock::new(Standing::new(permission))),
            brake,
        }
    }

    /// Whether a packet may go now.
    pub(super) fn permits(&self, address: IpAddr, port: Port, now: Timestamp) -> Result<(), Denial> {
        let standing = self.standing.read().unwrap_or_else(PoisonError::into_inner);
        standing.may_scan(address, port, now)
    }

    /// Reads the file again until the watch is dropped, and tells each tightening after it is in force.
    pub(super) fn watch(&self, source: Source, digest: Digest, tell: UnboundedSender<Tightening>) -> Watch {
        let (running, ended) = mpsc::channel();
        let authority = self.clone();
        // A thread of its own: neither a busy runtime nor a slow signature check may keep a withdrawal from counting.
        thread::spawn(move || authority.keep_reading(&source, digest, &ended, &tell));
        Watch { _running: running }
    }

    fn keep_reading(
        &self,
        source: &Source,
        mut digest: Digest,
        ended: &mpsc::Receiver<()>,
        tell: &UnboundedSender<Tightening>,
    ) {
        while ended.recv_timeout(EVERY) == Err(mpsc::RecvTimeoutError::Timeout) {
            let tightening = match self.look_again(source, &mut digest) {
                Ok(None) => continue,
                Ok(Some(used)) => Tightening::Narrowed(Box::new(used)),
                Err(error) => {
                    let why = in_one_line(&error);
                    self.change(|standing| standing.withdraw(why.clone()));
                    let file = source.file.clone();
                    Tightening::Withdrawn { file, why }
                }
            };
            let over = matches!(tightening, Tightening::Withdrawn { .. });
            // Nobody may be left to record it; it counts all the same.
            let _ = tell.send(tightening);
            if over {
                return;
            }
        }
    }

    /// The new version if it permits less than before.
    fn look_again(&self, source: &Source, digest: &mut Digest) -> Result<Option<PermissionUsed>, OpsError> {
        let text = source.text()?;
        if Digest::of(&text) == *digest {
            return Ok(None);
        }
        let used = source.understand(&text)?;
        *digest = used.digest;
        let narrower = self.change(|standing| {
            let narrower = standing.tighten(&used.permission);
            let left = standing.permission();
            self.brake.limit(left.rate, left.per_host, left.per_subnet);
            narrower
        });
        if !narrower {
            tracing::warn!(
                file = %source.file.display(),
                "the permission was changed and permits no less; what it permits beyond its first version does not count"
            );
        }
        Ok(narrower.then_some(used))
    }

    fn change<T>(&self, change: impl FnOnce(&mut Standing) -> T) -> T {
        let mut standing = self.standing.write().unwrap_or_else(PoisonError::into_inner);
        change(&mut standing)
    }
}

/// The file is read again as long as this lives.
pub(super) struct Watch {
    _running: mpsc::Sender<()>,
}

/// The pace that is both asked for and permitted, and in words what was made slower.
pub(crate) fn permitted_pace(asked: Pace, permission: Option<&Permission>) -> (Pace, Vec<String>) {
    let Some(permission) = permission else {
        return (asked, Vec::new());
    };
    let mut slowed = Vec::new();
    let mut slower = |asked: u32, permitted: Option<u32>, to: &str| {
        let Some(permitted) = permitted.filter(|permitted| *permitted < asked) else {
            return asked;
        };
        let asked = match asked {
            UNLIMITED.. => "no limit was asked for".into(),
            asked => format!("{asked} were asked for"),
        };
        slowed.push(format!(
            "{permitted} packets per second {to}, as the permission has it; {asked}"
        ));
        permitted
    };
    let pace = Pace {
        total_per_second: slower(asked.total_per_second, permission.rate, "in all"),
        per_host_per_second: slower(asked.per_host_per_second, permission.per_host, "to one host"),
        // 0 asks for no limit of its own.
        per_subnet_per_second: match asked.per_subnet_per_second {
            0 => permission.per_subnet.unwrap_or_default(),
            asked => slower(asked, permission.per_subnet, "to one network"),
        },
        ..asked
    };
    (pace, slowed)
}

/// Why a permission counts no more: without its lines, for it stands beside each range that was not tested.
fn in_one_line(error: &OpsError) -> String {
    match error {
        OpsError::Config(error) => format!("{} has mistakes now", error.file),
        OpsError::Read { path, source } if source.kind() == ErrorKind::NotFound => {
            format!("{} is gone", path.display())
        }
        OpsError::Read { path, source } => format!("{} cannot be read: {source}", path.display()),
        other => format!("{other} ({})", other.code()),
    }
}

/// A signature says what it is meant for, so that one for another purpose is none for a permission.
const NAMESPACE: &str = "portcullis-permission";

/// Verifies that the text of a permission was signed by the one whom it names.
///
/// # Errors
/// A signature that is missing, of somebody else, or of another text; `ssh-keygen` that is missing.
fn verify(file: &Path, text: &str, signers: &Path, signer: Option<&str>) -> Result<(), OpsError> {
    let refuse = |why: String| OpsError::Signature {
        path: file.into(),
        why,
    };
    let Some(signer) = signer else {
        return Err(refuse("it names nobody in `signed_by`".into()));
    };
    let signed = Signed {
        text,
        signature: &signature_file(file),
        signers,
        namespace: NAMESPACE,
    };
    let possible = signed
        .possible_signers()
        .map_err(|error| error.into_error(refuse))?;
    if !possible.iter().any(|possible| possible == signer) {
        let other = sanitize(&possible.join(", "));
        return Err(refuse(format!(
            "the signature is of {other}, and `signed_by` names {signer}"
        )));
    }
    signed.is_by(signer).map_err(|error| error.into_error(refuse))
}

/// The file beside a permission that holds its signature, as `ssh-keygen -Y sign` names it.
fn signature_file(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".sig");
    PathBuf::from(name)
}

#[cfg(test)]
mod tests;
