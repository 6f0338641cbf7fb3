//! Assets: what is known of each host, put together from everything that was observed of it, from tables of neighbours and
//! from what its own tools tell, and held against the advisories.

mod derive;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
};

use jiff::Timestamp;
pub use portcullis_knowledge::advisory::Status;
use portcullis_knowledge::{
    Knowledge,
    program::{self, KnownProgram},
    signature::Signature,
};
use portcullis_model::{Assessment, Grade, MacAddress, Observation, Port, Run, RunId, ServiceName, Site};
use serde::Serialize;

pub use crate::advised::{AdvisedProduct, Advisories, AssetAdvisory};
pub use derive::derive;

use crate::{Desk, OpsError, host::AdvisedProgram, learn};

/// A host, and what is known of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Asset {
    /// Its address.
    pub address: IpAddr,
    /// The zone that claims it.
    pub zone: Option<String>,
    /// What its services are for: `management`, `control`, `general`.
    pub roles: BTreeSet<&'static str>,
    /// The device: maker, model and firmware, as it says itself. `None` when it names no model.
    pub device: Option<AdvisedProduct>,
    /// Its hardware address, and who says so.
    pub mac: Option<AssetMac>,
    /// Its services, each with the grade that follows from all that is known of the host.
    pub services: Vec<AssetService>,
    /// Open ports on which no service was recognised.
    pub unidentified: Vec<Port>,
    /// Ports of these that answered as closed when they were last seen to answer, with the time; from elsewhere they may
    /// still be open.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub closed_since: BTreeMap<Port, Timestamp>,
    /// What it says of itself, by the names of `Identification::fields`, from the newest observation that has it.
    pub facts: BTreeMap<String, Fact>,
    /// Where its services tell different models, firmwares or serial numbers of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub contradictions: Vec<String>,
    /// What is installed on it, as its own tools say.
    pub programs: Vec<AdvisedProgram>,
    /// Whether a port of it was ever seen open or closed. Without that, it is known from tables or texts only.
    pub answered: bool,
    /// How it is known: `scan`, `verify`, `check`, `import:nmap`, `import:neighbours` …
    pub sources: BTreeSet<String>,
    /// When it was last seen, in whichever way.
    pub last_seen: Timestamp,
    /// From where its ports were seen.
    pub seen_from: BTreeSet<String>,
    /// Advisories of its model and of its programs, the gravest first.
    pub advisories: Vec<AssetAdvisory>,
}

/// A service of a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AssetService {
    /// Where it listens.
    pub port: Port,
    /// What it is.
    pub service: ServiceName,
    /// How sure that is.
    pub grade: Grade,
    /// What raised and lowered that, and what would be needed for more.
    pub assessment: Assessment,
    /// Whether only the host's own tools tell of it, so that nobody is known to have reached it.
    pub from_within: bool,
}

/// The hardware address of a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AssetMac {
    /// The address that was seen last.
    pub address: MacAddress,
    /// Whether its block is registered to Moxa. That is a hint and proves nothing: addresses can be set.
    pub registered_to_moxa: bool,
    /// Who says so.
    pub said_by: String,
    /// When.
    pub at: Timestamp,
    /// Other addresses that were seen for the same host, each with its source: a device that was exchanged, an address
    /// that two hosts have, or somebody who answers in place of another.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<String>,
    /// Interface and virtual network that a switch sees it behind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub behind: Option<String>,
}

/// Something that a host says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fact {
    /// What it says, made harmless to show.
    pub value: String,
    /// Where: a port, and the service by which it said so.
    pub said_by: String,
}

/// All that assets are put together from.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// The latest of each port from each vantage.
    pub observations: &'a [Observation],
    /// Runs that name neighbours or tell of a host from within, oldest first.
    pub runs: &'a [Run],
    /// The verb of each run.
    pub commands: &'a HashMap<RunId, String>,
    /// The site, if one is declared.
    pub site: Option<&'a Site>,
    /// What is known of services.
    pub knowledge: &'a Knowledge,
    /// What is known of programs.
    pub programs: &'a [KnownProgram],
    /// What was learned on the site.
    pub signatures: &'a [Signature],
    /// The advisories.
    pub advisories: &'a Advisories,
}

/// All hosts that ever answered, that a table of neighbours names, or that told of themselves.
///
/// # Errors
/// When the store cannot be read.
pub async fn assets(desk: &Desk) -> Result<Vec<Asset>, OpsError> {
    let advisories = Advisories::of(desk).await?;
    let programs = program::builtin().map_err(OpsError::Knowledge)?;
    let store = &desk.store;
    let observations = store.latest_observations().await.map_err(OpsError::Store)?;
    let runs = store.runs_that_name_hosts().await.map_err(OpsError::Store)?;
    let commands = store.commands_of_runs().await.map_err(OpsError::Store)?;
    Ok(derive(&Known {
        observations: &observations,
        runs: &runs,
        commands: &commands,
        site: desk.site.as_ref(),
        knowledge: &desk.knowledge,
        programs: &programs,
        signatures: &learn::known(desk).await?,
        advisories: &advisories,
    }))
}
