//! What the answers need that no log tells.

use std::{collections::BTreeMap, net::IpAddr};

use portcullis_model::{Port, ServiceName, Site};

use super::{ChangeTimes, Countries, OwnScans};
use crate::Prefixes;

/// What is known of the site and of what was done there.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Prefixes whose verdict the site vouches for.
    pub prefixes: Prefixes,
    /// Zones and conduits.
    pub site: Option<Site>,
    /// The services that are usual at a port, or that the site moved there.
    pub services: BTreeMap<Port, Vec<ServiceName>>,
    /// Addresses that we look from, with the name of the vantage.
    pub vantages: BTreeMap<IpAddr, String>,
    /// Our own scans, which are set apart.
    pub own: OwnScans,
    /// Changes around which is counted, in the order in which they were loaded.
    pub changes: Vec<ChangeTimes>,
    /// In which country an address is, if the operator has given a database.
    pub countries: Option<Countries>,
    /// What could not be told, in plain words; it goes into the report.
    pub notes: Vec<String>,
}
