//! Sources together: by zone of the site, and by network.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    net::{IpAddr, Ipv6Addr},
};

use ipnet::IpNet;
use portcullis_model::Site;

use super::{
    Countries, VerdictCounts,
    countries::Said,
    report::GroupCount,
    sources::{Source, Span},
    told::time,
};

/// What sources of one kind did together.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Group {
    sources: u64,
    verdicts: VerdictCounts,
    span: Span,
}

impl Group {
    pub(super) fn add(&mut self, source: &Source) {
        self.sources += 1;
        self.verdicts = self.verdicts.plus(source.tally.verdicts());
        self.span.absorb(&source.span);
    }

    pub(super) fn named(&self, name: Option<String>) -> GroupCount {
        GroupCount {
            name,
            sources: self.sources,
            attempts: self.verdicts.sum(),
            verdicts: self.verdicts,
            first: time(self.span.first),
            last: time(self.span.last),
        }
    }
}

/// Groups by name, most attempts first; those without a name are one group.
pub(super) fn by_name<N: Ord + ToString>(groups: BTreeMap<Option<N>, Group>) -> Vec<GroupCount> {
    let mut groups: Vec<GroupCount> = groups
        .into_iter()
        .map(|(name, group)| group.named(name.map(|name| name.to_string())))
        .collect();
    groups.sort_by_key(|group| Reverse(group.attempts));
    groups
}

/// By zone of the site, most attempts first; sources in no zone have no name.
pub(super) fn by_zone<'s>(site: &Site, sources: impl Iterator<Item = &'s Source>) -> Vec<GroupCount> {
    let mut zones: BTreeMap<Option<&str>, Group> = BTreeMap::new();
    for source in sources {
        let zone = site.zone_of(address(source.address));
        zones
            .entry(zone.map(|zone| zone.name.as_str()))
            .or_default()
            .add(source);
    }
    by_name(zones)
}

/// By country, with how many sources the database is damaged for; the `top` with the most attempts.
pub(super) fn by_country<'s>(
    database: &Countries,
    sources: impl Iterator<Item = &'s Source>,
    top: usize,
) -> (Vec<GroupCount>, u64) {
    let mut countries: BTreeMap<Option<String>, Group> = BTreeMap::new();
    let mut damaged = 0;
    for source in sources {
        let said = database.of(address(source.address));
        damaged += u64::from(said == Said::Damaged);
        countries.entry(said.name()).or_default().add(source);
    }
    let mut countries = by_name(countries);
    countries.truncate(top);
    (countries, damaged)
}

pub(super) fn address(bits: u128) -> IpAddr {
    IpAddr::V6(Ipv6Addr::from_bits(bits)).to_canonical()
}

/// The network that a source is counted with: what one of IPv4 announces to the world at least (/24), and what one site of
/// IPv6 has at least (/64).
pub(super) fn network_of(bits: u128) -> IpNet {
    let address = address(bits);
    let length = if address.is_ipv4() { 24 } else { 64 };
    IpNet::new(address, length).map_or_else(|_| address.into(), |network| network.trunc())
}

/// The network as a number, without the work of making one.
fn key(bits: u128) -> u128 {
    let host_bits = if bits >> 32 == 0xffff { 8 } else { 64 };
    bits >> host_bits << host_bits
}

/// The networks with the most attempts, most first, and how many there are in all. It needs eight bytes for each source.
pub(super) fn by_network<'s>(
    sources: impl Iterator<Item = &'s Source>,
    top: usize,
) -> (Vec<GroupCount>, u64) {
    let mut sources: Vec<&Source> = sources.collect();
    sources.sort_unstable_by_key(|source| source.address);
    let mut most = BinaryHeap::new();
    let mut networks = 0;
    let mut begin = 0;
    for run in sources.chunk_by(|one, other| key(one.address) == key(other.address)) {
        networks += 1;
        let attempts = run.iter().fold(0_u64, |sum, source| {
            sum.saturating_add(source.tally.verdicts().sum())
        });
        let run_of = Reverse((attempts, Reverse(begin), run.len()));
        if most.len() < top || most.peek().is_some_and(|least| run_of < *least) {
            most.push(run_of);
            if most.len() > top {
                most.pop();
            }
        }
        begin += run.len();
    }
    let counts = most
        .into_sorted_vec()
        .into_iter()
        .filter_map(|Reverse((_, Reverse(begin), length))| {
            let run = sources.get(begin..begin + length)?;
            let mut group = Group::default();
            run.iter().for_each(|source| group.add(source));
            Some(group.named(Some(network_of(run.first()?.address).to_string())))
        });
    (counts.collect(), networks)
}
