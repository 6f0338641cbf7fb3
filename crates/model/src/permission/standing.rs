//! A permission while a scan runs: it may become narrower, and never wider than it was.

use std::net::IpAddr;

use jiff::Timestamp;

use super::{Denial, Permission};
use crate::Port;

/// A permission, and what is left of it after all that its owner changed since the scan began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    first: Permission,
    left: Permission,
    withdrawn: Option<String>,
}

impl Standing {
    /// As it was when the scan began.
    pub fn new(first: Permission) -> Self {
        Self {
            left: first.clone(),
            first,
            withdrawn: None,
        }
    }

    /// What it permits now, apart from a withdrawal.
    pub fn permission(&self) -> &Permission {
        &self.left
    }

    /// Takes in a new version of the file: from now on only what all versions permit is permitted. Returns whether that
    /// is less than before.
    pub fn tighten(&mut self, version: &Permission) -> bool {
        let left = self.left.and(version);
        let narrower = left != self.left;
        self.left = left;
        narrower
    }

    /// Ends it for good. The first reason counts.
    pub fn withdraw(&mut self, why: impl Into<String>) {
        self.withdrawn.get_or_insert_with(|| why.into());
    }

    /// Whether this address and port may be scanned now. Its rates are not a matter of yes or no: whoever scans keeps to
    /// them. Loopback is this host and always permitted.
    ///
    /// # Errors
    /// The reason why not.
    pub fn may_scan(&self, address: IpAddr, port: Port, now: Timestamp) -> Result<(), Denial> {
        let address = address.to_canonical();
        if address.is_loopback() {
            return Ok(());
        }
        if let Some(why) = &self.withdrawn {
            return Err(Denial::Withdrawn { why: why.clone() });
        }
        self.left.allows(address, port, now).map_err(|denial| {
            if self.first.allows(address, port, now).is_ok() {
                Denial::Tightened(Box::new(denial))
            } else {
                denial
            }
        })
    }
}
