//! What is to be looked at: networks, ranges, addresses and host names, as people type them.

mod error;
mod read;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

pub use error::TargetError;
use portcullis_sys::packet::route::{interfaces, neighbours};

/// The most addresses that one scan may have: 2^20, as many as a /12 holds.
pub const MOST_ADDRESSES: u128 = 1 << 20;

/// Addresses and host names to look at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Targets {
    spans: Vec<Span>,
    names: BTreeSet<String>,
    scoped: BTreeSet<(Ipv6Addr, String)>,
    /// Interfaces whose neighbours are meant; `None` is all of them.
    neighbours: BTreeSet<Option<String>>,
}

/// The addresses of targets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resolved {
    /// Each once, in order, IPv4 first.
    pub addresses: Vec<IpAddr>,
    /// The interfaces of those that are link-local (RFC 4007).
    pub scopes: Vec<(IpAddr, u32)>,
}

/// A range of addresses of one family, first and last inclusive. The order is IPv4 before IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Span {
    V4(u32, u32),
    V6(u128, u128),
}

/// Reads targets as typed: `10.0.0.0/24`, `10.0.0.1-10.0.0.20`, `10.0.0.1-20`, an address, a link-local address with its
/// interface `fe80::4%eth0`, `neighbours` or `neighbours:eth0` for whom the kernel has talked to, or a host name.
///
/// # Errors
/// The first text that is no target.
pub fn parse<S: AsRef<str>>(texts: &[S]) -> Result<Targets, TargetError> {
    let mut targets = Targets::default();
    for text in texts {
        targets.add(text.as_ref())?;
    }
    Ok(targets)
}

/// Reads a list with one or more targets on a line; `#` begins a comment.
///
/// # Errors
/// The first text that is no target, with its line.
pub fn parse_list(text: &str) -> Result<Targets, TargetError> {
    let mut targets = Targets::default();
    for (line, content) in (1..).zip(text.lines()) {
        let content = content.split_once('#').map_or(content, |(before, _)| before);
        for target in content.split_whitespace() {
            targets.add(target).map_err(|source| TargetError::Line {
                line,
                source: Box::new(source),
            })?;
        }
    }
    Ok(targets)
}

impl Targets {
    /// Both together.
    pub fn merge(mut self, other: Self) -> Self {
        self.spans.extend(other.spans);
        self.names.extend(other.names);
        self.scoped.extend(other.scoped);
        self.neighbours.extend(other.neighbours);
        self
    }

    /// The host names, which have no addresses until the resolver is asked.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// Each address once, in order, IPv4 first; what this host must be asked for is left out.
    ///
    /// # Errors
    /// None at all, or more than [`MOST_ADDRESSES`].
    pub fn addresses(&self) -> Result<Vec<IpAddr>, TargetError> {
        let spans = merged(&self.spans);
        let count = spans.iter().map(Span::count).sum();
        if count == 0 {
            return Err(TargetError::Empty);
        }
        if count > MOST_ADDRESSES {
            return Err(TargetError::TooMany { count });
        }
        Ok(spans.iter().flat_map(Span::addresses).collect())
    }

    /// Asks the resolver of this host for the names, and the kernel for interfaces and neighbours. Nothing is sent but
    /// what the resolver sends.
    ///
    /// # Errors
    /// The first name that has no address, an interface that this host does not have, none at all, or too many.
    pub async fn resolve(mut self) -> Result<Resolved, TargetError> {
        for name in std::mem::take(&mut self.names) {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await;
            let found = found.map_err(|source| TargetError::Unresolved {
                name: name.clone(),
                source,
            })?;
            self.spans
                .extend(found.map(|address| Span::one(address.ip().to_canonical())));
        }
        let mut scopes = BTreeMap::new();
        if !self.scoped.is_empty() || !self.neighbours.is_empty() {
            self.on_link(&mut scopes)?;
        }
        Ok(Resolved {
            addresses: self.addresses()?,
            scopes: scopes.into_iter().collect(),
        })
    }

    /// Adds the link-local addresses and the neighbours.
    fn on_link(&mut self, scopes: &mut BTreeMap<IpAddr, u32>) -> Result<(), TargetError> {
        let interfaces = interfaces().map_err(TargetError::System)?;
        let index = |name: &str| {
            let found = interfaces.iter().find(|interface| interface.name == name);
            found
                .map(|found| found.index)
                .ok_or_else(|| TargetError::NoInterface { name: name.into() })
        };
        let mut add = |address: IpAddr, interface: u32| {
            if matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
                && scopes
                    .insert(address, interface)
                    .is_some_and(|before| before != interface)
            {
                return Err(TargetError::TwoInterfaces { address });
            }
            self.spans.push(Span::one(address));
            Ok(())
        };
        for (address, interface) in &self.scoped {
            add((*address).into(), index(interface)?)?;
        }
        if self.neighbours.is_empty() {
            return Ok(());
        }
        let wanted: Result<Vec<Option<u32>>, TargetError> = self
            .neighbours
            .iter()
            .map(|name| name.as_deref().map(index).transpose())
            .collect();
        let wanted = wanted?;
        let known = neighbours().map_err(TargetError::System)?;
        for (interface, address) in known.into_keys() {
            let meant = wanted.contains(&None) || wanted.contains(&Some(interface));
            if meant && !address.is_multicast() && !address.is_unspecified() {
                add(address, interface)?;
            }
        }
        Ok(())
    }

    fn add(&mut self, text: &str) -> Result<(), TargetError> {
        match read::target(text)? {
            read::Target::Span(span) => self.spans.push(span),
            read::Target::Name(name) => {
                self.names.insert(name);
            }
            read::Target::Scoped(address, interface) => {
                self.scoped.insert((address, interface));
            }
            read::Target::Neighbours(interface) => {
                self.neighbours.insert(interface);
            }
        }
        Ok(())
    }
}

impl Span {
    fn one(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::V4(address.into(), address.into()),
            IpAddr::V6(address) => Self::V6(address.into(), address.into()),
        }
    }

    fn count(&self) -> u128 {
        match *self {
            Self::V4(first, last) => u128::from(last - first) + 1,
            Self::V6(first, last) => (last - first).saturating_add(1),
        }
    }

    fn addresses(&self) -> Box<dyn Iterator<Item = IpAddr>> {
        match *self {
            Self::V4(first, last) => Box::new((first..=last).map(|bits| Ipv4Addr::from(bits).into())),
            Self::V6(first, last) => Box::new((first..=last).map(|bits| Ipv6Addr::from(bits).into())),
        }
    }

    /// The span of both if they overlap.
    fn joined(self, other: Self) -> Option<Self> {
        match (self, other) {
            (Self::V4(first, last), Self::V4(from, to)) if from <= last => {
                Some(Self::V4(first.min(from), last.max(to)))
            }
            (Self::V6(first, last), Self::V6(from, to)) if from <= last => {
                Some(Self::V6(first.min(from), last.max(to)))
            }
            _ => None,
        }
    }
}

fn merged(spans: &[Span]) -> Vec<Span> {
    let mut sorted = spans.to_vec();
    sorted.sort_unstable();
    let mut merged: Vec<Span> = Vec::new();
    for span in sorted {
        match merged.last_mut() {
            Some(before) => match before.joined(span) {
                Some(joined) => *before = joined,
                None => merged.push(span),
            },
            None => merged.push(span),
        }
    }
    merged
}

#[cfg(test)]
mod tests;
