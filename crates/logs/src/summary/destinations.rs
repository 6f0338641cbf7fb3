//! To whom the attempts went, as long as they are few: a firewall of one host has one, and then it is known which zone was tried.

use std::net::IpAddr;

/// More are not kept: who has so many logs for a whole network.
const MOST: usize = 16;

#[derive(Debug, Clone, Default)]
pub(super) struct Destinations {
    last: Option<IpAddr>,
    kept: Vec<IpAddr>,
    too_many: bool,
}

impl Destinations {
    pub(super) fn add(&mut self, address: IpAddr) {
        if self.too_many || self.last == Some(address) {
            return;
        }
        self.last = Some(address);
        if self.kept.contains(&address) {
            return;
        }
        if self.kept.len() == MOST {
            self.too_many = true;
            self.kept.clear();
        } else {
            self.kept.push(address);
        }
    }

    pub(super) fn absorb(&mut self, other: &Self) {
        other.kept.iter().for_each(|address| self.add(*address));
        if other.too_many {
            self.too_many = true;
            self.kept.clear();
        }
    }

    /// All of them, sorted; `None` when they were too many.
    pub(super) fn all(&self) -> Option<Vec<IpAddr>> {
        let mut all: Vec<IpAddr> = self.kept.iter().map(IpAddr::to_canonical).collect();
        all.sort_unstable();
        all.dedup();
        (!self.too_many).then_some(all)
    }
}
