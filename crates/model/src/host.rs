//! What a host says of itself, from within: what listens there, under which process, and what is installed.

use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Identification, Listener, Untrusted};

/// What the texts of a host's own tools say of it. It is no look at a port: whether anybody can reach it is not in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostEvidence {
    /// Whose texts they are, as the person who brought them says.
    pub address: IpAddr,
    /// When they were taken, as far as that is known.
    pub at: Timestamp,
    /// The texts, each by its name and the tool that wrote it.
    pub documents: Vec<String>,
    /// What listens.
    pub listeners: Vec<HostListener>,
    /// What is installed.
    pub programs: Vec<Program>,
}

/// A socket that waits for peers, with what its process tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostListener {
    /// The socket.
    #[serde(flatten)]
    pub listener: Listener,
    /// The services of the system that its process runs (Windows), by their short names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<Untrusted>,
    /// What it may be, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub identifications: Vec<Identification>,
}

/// An installed program, as the registry of Windows names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Program {
    /// `DisplayName`.
    pub name: Untrusted,
    /// `DisplayVersion`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Untrusted>,
    /// `Publisher`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publisher: Option<Untrusted>,
    /// `InstallLocation`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<Untrusted>,
}
