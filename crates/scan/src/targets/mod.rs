//! What is to be looked at: networks, ranges, addresses and host names, as people type them.

mod error;
mod read;

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

pub use error::TargetError;

/// The most addresses that one scan may have: 2^20, as many as a /12 holds.
pub const MOST_ADDRESSES: u128 = 1 << 20;

/// Addresses and host names to look at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Targets {
    spans: Vec<Span>,
    names: BTreeSet<String>,
}

/// A range of addresses of one family, first and last inclusive. The order is IPv4 before IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Span {
    V4(u32, u32),
    V6(u128, u128),
}

/// Reads targets as typed: `10.0.0.0/24`, `10.0.0.1-10.0.0.20`, `10.0.0.1-20`, an address, or a host name.
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
        self
    }

    /// The host names, which have no addresses until they are resolved.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// Each address once, in order, IPv4 first; host names are left out.
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

    /// Asks the resolver of this host for the names, then gives each address once.
    ///
    /// # Errors
    /// The first name that has no address, none at all, or too many.
    pub async fn resolve(mut self) -> Result<Vec<IpAddr>, TargetError> {
        for name in std::mem::take(&mut self.names) {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await;
            let found = found.map_err(|source| TargetError::Unresolved {
                name: name.clone(),
                source,
            })?;
            self.spans
                .extend(found.map(|address| Span::one(address.ip().to_canonical())));
        }
        self.addresses()
    }

    fn add(&mut self, text: &str) -> Result<(), TargetError> {
        match read::target(text)? {
            read::Target::Span(span) => self.spans.push(span),
            read::Target::Name(name) => {
                self.names.insert(name);
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
