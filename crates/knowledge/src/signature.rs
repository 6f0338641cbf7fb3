//! How hosts behave that the operator knows, and whether another one behaves so, too. Pure.
//!
//! A look is one connection on which nothing is sent. What is compared is what the other side does by itself: whether it
//! speaks, when it ends the connection, what it does when we end it, and what its TCP agrees to. The time that the
//! handshake took is of the network and not of the host, and the segment size is of the path: neither is compared.

mod compare;
mod validate;

use std::net::IpAddr;

use jiff::Timestamp;
use portcullis_model::{Behaviour, Port, ServiceName};
use serde::{Deserialize, Serialize};

pub use compare::{Likeness, compare, recognise, recognise_bytes};
pub use validate::{AS_A_SCAN, ErrorFigure, cross_validate};

/// Names the shape of a signature; another number is another shape.
pub const SCHEMA: &str = "portcullis.signature/1";

/// One look at one port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Look {
    /// When.
    pub at: Timestamp,
    /// How it behaved.
    pub behaviour: Behaviour,
    /// The first bytes that it sent, unasked; at most 512.
    #[serde(default, with = "hex::serde", skip_serializing_if = "Vec::is_empty")]
    pub first_bytes: Vec<u8>,
}

/// What was learned of one port of one host, with all that it rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// Shape of the record: [`SCHEMA`].
    pub schema: String,
    /// The site that it was learned on; `None` without one.
    pub site: Option<String>,
    /// Whose port.
    pub address: IpAddr,
    /// The port.
    pub port: Port,
    /// The service that it teaches.
    pub service: ServiceName,
    /// Whether the operator says that it is this service, or that it is another one: a counter-example.
    pub is_it: bool,
    /// Who says so.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// The looks, oldest first.
    pub looks: Vec<Look>,
    /// The first bytes that the server was overheard to send, at most 512; empty without a capture.
    #[serde(default, with = "hex::serde", skip_serializing_if = "Vec::is_empty")]
    pub overheard: Vec<u8>,
}

impl Signature {
    /// As the operator names it, e.g. `10.7.10.10 tcp/54321`.
    pub fn place(&self) -> String {
        format!("{} {}", self.address, self.port)
    }
}

#[cfg(test)]
mod tests;
