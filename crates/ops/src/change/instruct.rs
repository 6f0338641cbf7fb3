//! The text for a device that Portcullis does not drive: it reads nothing of that device and changes nothing.

use std::{net::IpAddr, time::Duration};

use ipnet::IpNet;
use portcullis_firewall::{
    dialect::{self, Dialect, Document, Order},
    plan::allowed_by_site,
};
use portcullis_model::{ChangeId, NetworkSet, Port, without};

use super::{
    apply::{LONGEST_TRIAL, SHORTEST_TRIAL},
    plan::service_on,
};
use crate::{Desk, OpsError, exposures};

/// What a text is asked for.
#[derive(Debug, Clone)]
pub struct InstructRequest {
    /// In whose words.
    pub dialect: Dialect,
    /// Beginning of the id of an exposure, whose address and port are meant where none are given.
    pub exposure: Option<String>,
    /// The port to close.
    pub port: Option<Port>,
    /// Who gets through beside those who have a conduit.
    pub allow: Vec<IpNet>,
    /// Who does not, whoever lets him.
    pub except: Vec<IpNet>,
    /// The hosts whose port is closed.
    pub assets: Vec<IpAddr>,
    /// How long the trial lasts, where the device has one.
    pub trial: Duration,
}

/// The text of one closing. The same request gives the same text, with the same tag.
///
/// # Errors
/// When the exposure is not known, when a device is to close a port of hosts that are not named, and when nobody would
/// be shut out.
pub async fn instruct(desk: &Desk, request: &InstructRequest) -> Result<Document, OpsError> {
    if !(SHORTEST_TRIAL..=LONGEST_TRIAL).contains(&request.trial) {
        return Err(OpsError::TrialLength);
    }
    let exposure = match &request.exposure {
        Some(prefix) => Some(exposures::find(desk, prefix).await?),
        None => None,
    };
    let port = request.port.or(exposure.as_ref().map(|exposure| exposure.port));
    let port = port.ok_or_else(|| OpsError::NoSuchExposure(String::new()))?;
    let mut assets = request.assets.clone();
    if assets.is_empty() {
        assets.extend(exposure.as_ref().map(|exposure| exposure.address));
    }
    assets.sort();
    assets.dedup();
    let service = exposure
        .and_then(|exposure| exposure.service)
        .or_else(|| service_on(desk, port));
    let by_site = match (&desk.site, service) {
        (Some(site), Some(service)) => allowed_by_site(site, &assets, &service),
        _ => Vec::new(),
    };
    let except: NetworkSet = request.except.iter().copied().collect();
    let allow: NetworkSet = by_site
        .iter()
        .map(|source| source.network)
        .chain(request.allow.iter().copied())
        .flat_map(|network| without(&network, &except))
        .collect();
    let named = format!("{} {port} {allow} {assets:?}", request.dialect);
    let order = Order {
        tag: ChangeId::of(&[named.as_bytes()]).short(),
        port,
        allow,
        assets,
        trial: request.trial,
    };
    dialect::write(request.dialect, &order).map_err(OpsError::Firewall)
}
