//! What every use-case works with: the store, the site, what is known of services, and who is asking.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use jiff::Timestamp;
use portcullis_knowledge::Knowledge;
use portcullis_lab::{Lab, plant};
use portcullis_model::{AuditEntry, Port, ServiceName, Site, Vantage};
use portcullis_store::Store;
use tokio::sync::watch;

use crate::OpsError;

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
    /// Who is asking.
    pub actor: String,
    /// Name of this host.
    pub host: String,
    /// The clock.
    pub now: fn() -> Timestamp,
}

impl Desk {
    /// Reads the site and opens the store. Nothing is opened when the site has mistakes.
    ///
    /// # Errors
    /// All mistakes of the site at once; a store that cannot be opened.
    pub async fn open(store: &str, site: Option<&Path>) -> Result<Self, OpsError> {
        let knowledge = Arc::new(Knowledge::builtin().map_err(OpsError::Knowledge)?);
        let site = site.map(|path| read_site(path, &knowledge)).transpose()?;
        Ok(Self {
            store: Store::open(store).await.map_err(OpsError::Store)?,
            site,
            knowledge,
            actor: portcullis_sys::host::actor(),
            host: portcullis_sys::host::name(),
            now: Timestamp::now,
        })
    }

    /// Opens a store that must be there already, without a site.
    ///
    /// # Errors
    /// When there is no store, or it cannot be opened.
    pub async fn open_existing(store: &str) -> Result<Self, OpsError> {
        Store::open_read_only(store)
            .await
            .map_err(OpsError::Store)?
            .close()
            .await;
        Self::open(store, None).await
    }

    /// Where this process looks from: a host of the miniature plant, or this host.
    pub fn vantage(&self) -> Vantage {
        match Lab::around_us() {
            Some(_) if plant::Host::named(&self.host).is_some() => Vantage::lab(&self.host),
            _ => Vantage::this_host(),
        }
    }

    /// The ports that services were moved to on this site.
    pub fn moved(&self) -> Vec<(ServiceName, Port)> {
        let overrides = self.site.iter().flat_map(|site| &site.services);
        overrides
            .flat_map(|entry| entry.also_on.iter().map(|port| (entry.name.clone(), *port)))
            .collect()
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

fn read_site(path: &Path, knowledge: &Knowledge) -> Result<Site, OpsError> {
    let text = read_text(path)?;
    Site::parse_knowing(&path.to_string_lossy(), &text, &knowledge.names()).map_err(OpsError::Config)
}

/// Reads a text file that the operator named.
pub(crate) fn read_text(path: &Path) -> Result<String, OpsError> {
    let failed = |source| OpsError::Read {
        path: PathBuf::from(path),
        source,
    };
    let bytes = fs::read(path).map_err(failed)?;
    String::from_utf8(bytes)
        .map_err(|error| failed(std::io::Error::new(std::io::ErrorKind::InvalidData, error)))
}
