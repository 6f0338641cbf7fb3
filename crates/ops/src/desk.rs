//! What every use-case works with: the store, the site, what is known of services, and who is asking.

use std::{
    fs,
    io::{self, ErrorKind, Read as _},
    path::{Path, PathBuf},
    string::FromUtf8Error,
    sync::Arc,
};

use jiff::Timestamp;
use portcullis_knowledge::Knowledge;
use portcullis_lab::{Lab, plant};
use portcullis_model::{AuditEntry, Plan, Port, ServiceName, Site, Vantage};
use portcullis_store::Store;
use portcullis_sys::{Machine, ssh::Target};
use tokio::sync::watch;

use crate::{
    OpsError,
    services::{self, OwnServices, Services},
};

/// Told when the operator wants to stop (Ctrl-C).
pub type Stop = watch::Receiver<bool>;

/// Everything that a use-case needs.
#[derive(Debug)]
pub struct Desk {
    /// What was found and done.
    pub store: Store,
    /// The site, if one is declared.
    pub site: Option<Site>,
    /// What is known of services.
    pub knowledge: Arc<Knowledge>,
    /// The user's own services among them; `None` without a folder.
    pub own_services: Option<OwnServices>,
    /// Who is asking.
    pub actor: String,
    /// Name of the host whose firewall is worked on: this one's, unless another was gone to.
    pub host: String,
    /// The way to its tools.
    pub machine: Machine,
    /// The clock.
    pub now: fn() -> Timestamp,
}

impl Desk {
    /// Reads the user's own services and the site, and opens the store. Nothing is opened when either has mistakes.
    /// With `must_exist` the store must be there already.
    ///
    /// # Errors
    /// All mistakes of the services or of the site at once; a store that cannot be opened.
    pub async fn open(
        store: &str,
        must_exist: bool,
        site: Option<&Path>,
        services: Option<&Path>,
    ) -> Result<Self, OpsError> {
        let Services { knowledge, own } = services::read(services)?;
        let knowledge = Arc::new(knowledge);
        let site = site.map(|path| read_site(path, &knowledge)).transpose()?;
        if must_exist {
            // A slip of the finger would be an empty store, and "nothing is known" would look like "all clear".
            let there = Store::open_read_only(store).await.map_err(OpsError::Store)?;
            there.close().await;
        }
        Ok(Self {
            store: Store::open(store).await.map_err(OpsError::Store)?,
            site,
            knowledge,
            own_services: own,
            actor: portcullis_sys::host::actor(),
            host: portcullis_sys::host::name(),
            machine: Machine::Here,
            now: Timestamp::now,
        })
    }

    /// Opens a store that must be there already, without a site and without services of the user's own.
    ///
    /// # Errors
    /// When there is no store, or it cannot be opened.
    pub async fn open_existing(store: &str) -> Result<Self, OpsError> {
        Self::open(store, true, None, None).await
    }

    /// Where this process looks from: a host of the miniature plant, or this host.
    pub fn vantage(&self) -> Vantage {
        let here = portcullis_sys::host::name();
        match Lab::around_us() {
            Some(_) if plant::Host::named(&here).is_some() => Vantage::lab(&here),
            _ => Vantage::this_host(),
        }
    }

    /// Goes to another host, whose firewall is worked on from now on.
    ///
    /// # Errors
    /// When it cannot be reached, or the one who signs in is not root there.
    pub fn go_to(&mut self, target: Target) -> Result<(), OpsError> {
        self.host = target.name();
        self.machine = Machine::at(Some(target)).map_err(OpsError::System)?;
        Ok(())
    }

    /// Goes to the host of a plan or a change, where it is another one. What is not known is left to the one who asks.
    ///
    /// # Errors
    /// As [`Desk::go_to`].
    pub async fn go_to_that_of(&mut self, prefix: &str) -> Result<(), OpsError> {
        match self
            .plan_of(prefix)
            .await
            .ok()
            .and_then(|plan| plan.via?.parse().ok())
        {
            Some(target) => self.go_to(target),
            None => Ok(()),
        }
    }

    /// The plan with this id, or the plan of the change with this id.
    pub(crate) async fn plan_of(&self, prefix: &str) -> Result<Plan, OpsError> {
        let no_plan = match self.store.plan(prefix).await {
            Ok(plan) => return Ok(plan),
            Err(no_plan) => no_plan,
        };
        let Ok(change) = self.store.change(prefix).await else {
            return Err(OpsError::Store(no_plan));
        };
        let plan = self.store.plan(&change.plan.to_string()).await;
        plan.map_err(OpsError::Store)
    }

    /// The ports that services were moved to on this site.
    pub fn moved(&self) -> Vec<(ServiceName, Port)> {
        self.site.as_ref().map(Site::moved).unwrap_or_default()
    }

    /// Writes to the audit record what is about to be done.
    pub(crate) async fn record(
        &self,
        action: &str,
        subject: String,
        details: serde_json::Value,
    ) -> Result<(), OpsError> {
        let entry = AuditEntry {
            at: (self.now)(),
            actor: self.actor.clone(),
            action: action.into(),
            subject,
            details,
        };
        self.store.append_audit(entry).await.map_err(OpsError::Store)?;
        Ok(())
    }
}

/// Reads the site.
pub(crate) fn read_site(path: &Path, knowledge: &Knowledge) -> Result<Site, OpsError> {
    let text = read_text(path)?;
    let mut site =
        Site::parse_knowing(&path.to_string_lossy(), &text, &knowledge.names()).map_err(OpsError::Config)?;
    if let (Some(approval), Some(folder)) = (&mut site.approval, path.parent()) {
        // A name in the file is meant from where the file stands.
        approval.signers = folder.join(&approval.signers);
    }
    Ok(site)
}

/// A larger file is none of ours.
const LARGEST: u64 = 1 << 30;

/// Reads a text file that the operator named: UTF-8, or UTF-16 with its mark, as Windows writes it.
pub(crate) fn read_text(path: &Path) -> Result<String, OpsError> {
    let failed = |source| OpsError::Read {
        path: PathBuf::from(path),
        source,
    };
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(failed)?;
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > LARGEST {
        return Err(failed(io::Error::new(
            ErrorKind::FileTooLarge,
            "it is larger than 1 GiB, or has no end",
        )));
    }
    text_of(bytes).map_err(|error| failed(io::Error::new(ErrorKind::InvalidData, error)))
}

/// Reads a text file that is no pipe and no device: it is read again later, and both would give their text once.
pub(crate) fn read_regular(path: &Path) -> Result<String, OpsError> {
    let failed = |source| OpsError::Read {
        path: PathBuf::from(path),
        source,
    };
    if !fs::metadata(path).map_err(failed)?.is_file() {
        return Err(failed(io::Error::new(
            ErrorKind::InvalidInput,
            "it is not a regular file",
        )));
    }
    read_text(path)
}

/// Text in UTF-8, or in UTF-16 with its mark.
pub(crate) fn text_of(bytes: Vec<u8>) -> Result<String, FromUtf8Error> {
    let utf16 = |units: &[u8], unit: fn([u8; 2]) -> u16| -> String {
        let units = units
            .chunks_exact(2)
            .filter_map(|pair| pair.try_into().ok())
            .map(unit);
        char::decode_utf16(units)
            .map(|letter| letter.unwrap_or(char::REPLACEMENT_CHARACTER))
            .collect()
    };
    match bytes.as_slice() {
        [0xff, 0xfe, rest @ ..] => Ok(utf16(rest, u16::from_le_bytes)),
        [0xfe, 0xff, rest @ ..] => Ok(utf16(rest, u16::from_be_bytes)),
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8(rest.to_vec()),
        _ => String::from_utf8(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_windows_writes_is_read_like_any_other_text() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("targets.txt");
        let units = |unit: fn(u16) -> [u8; 2]| -> Vec<u8> {
            "10.7.10.1 ü\n".encode_utf16().flat_map(unit).collect()
        };
        for bytes in [
            "10.7.10.1 ü\n".as_bytes().to_vec(),
            [b"\xef\xbb\xbf".as_slice(), "10.7.10.1 ü\n".as_bytes()].concat(),
            [vec![0xff, 0xfe], units(u16::to_le_bytes)].concat(),
            [vec![0xfe, 0xff], units(u16::to_be_bytes)].concat(),
        ] {
            fs::write(&path, bytes).unwrap();
            assert_eq!(read_text(&path).unwrap(), "10.7.10.1 ü\n");
        }
        fs::write(&path, b"10.7.10.1 \xfc").unwrap();
        assert!(matches!(read_text(&path), Err(OpsError::Read { .. })));
    }

    #[test]
    fn what_has_no_end_is_not_read() {
        let zero = Path::new("/dev/zero");
        assert!(read_regular(zero).is_err());
    }
}
