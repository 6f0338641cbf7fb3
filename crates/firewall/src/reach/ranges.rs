//! Sets of numbers as ranges: addresses, ports, marks.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::nft::bits_of;
use crate::family::Family;

/// A first and a last number, both of the set.
pub(crate) type Range = (u128, u128);

/// A set of numbers: ranges in ascending order, none touching the next.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Ranges(Vec<Range>);

impl Ranges {
    /// Nothing where the first number is above the last.
    pub(crate) fn one(range: Range) -> Self {
        Self::from_iter([range])
    }

    /// Every port.
    pub(crate) fn all_ports() -> Self {
        Self::one((0, u16::MAX.into()))
    }

    /// The addresses of networks, as far as they are of one family.
    pub(crate) fn of(networks: &[IpNet], family: Family) -> Self {
        let of_family = networks.iter().filter(|network| family.is_of(network.addr()));
        of_family
            .map(|network| (bits_of(network.network()), bits_of(network.broadcast())))
            .collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn as_slice(&self) -> &[Range] {
        &self.0
    }

    pub(crate) fn contains(&self, number: u128) -> bool {
        let after = self.0.partition_point(|(_, last)| *last < number);
        self.0.get(after).is_some_and(|(first, _)| *first <= number)
    }

    /// All numbers up to `highest` that are not in the set.
    pub(crate) fn complement(&self, highest: u128) -> Self {
        let mut gaps = Vec::with_capacity(self.0.len().saturating_add(1));
        let mut next = Some(0);
        for (first, last) in &self.0 {
            if let Some(begin) = next
                && begin < *first
            {
                gaps.push((begin, first.saturating_sub(1)));
            }
            next = last.checked_add(1);
        }
        if let Some(begin) = next
            && begin <= highest
        {
            gaps.push((begin, highest));
        }
        Self(gaps)
    }

    pub(crate) fn intersect(&self, other: &Self) -> Self {
        let mut common = Vec::new();
        let (mut left, mut right) = (self.0.iter().peekable(), other.0.iter().peekable());
        while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
            let (first, last) = (a.0.max(b.0), a.1.min(b.1));
            if first <= last {
                common.push((first, last));
            }
            if a.1 < b.1 {
                left.next();
            } else {
                right.next();
            }
        }
        Self(common)
    }

    /// Whether any number is in both.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        let (mut left, mut right) = (self.0.iter().peekable(), other.0.iter().peekable());
        while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
            if a.0.max(b.0) <= a.1.min(b.1) {
                return true;
            }
            if a.1 < b.1 {
                left.next();
            } else {
                right.next();
            }
        }
        false
    }

    pub(crate) fn minus(&self, other: &Self) -> Self {
        self.intersect(&other.complement(u128::MAX))
    }

    pub(crate) fn union(&self, other: &Self) -> Self {
        self.0.iter().chain(&other.0).copied().collect()
    }

    /// The fewest networks that are this set.
    pub(crate) fn networks(&self, family: Family) -> Vec<IpNet> {
        let mut networks = Vec::new();
        for (first, last) in &self.0 {
            blocks(family, *first, *last, &mut networks);
        }
        networks
    }
}

impl FromIterator<Range> for Ranges {
    fn from_iter<I: IntoIterator<Item = Range>>(ranges: I) -> Self {
        let mut sorted: Vec<Range> = ranges.into_iter().filter(|(first, last)| first <= last).collect();
        if !sorted.is_sorted() {
            sorted.sort_unstable();
        }
        let mut merged: Vec<Range> = Vec::with_capacity(sorted.len());
        for (first, last) in sorted {
            match merged.last_mut() {
                Some((_, end)) if first <= end.saturating_add(1) => *end = last.max(*end),
                _ => merged.push((first, last)),
            }
        }
        Self(merged)
    }
}

/// Cuts a range into networks: always the largest that begins at its beginning.
fn blocks(family: Family, first: u128, last: u128, networks: &mut Vec<IpNet>) {
    let width = u32::from(family.host_length());
    let mut begin = first;
    loop {
        let aligned = begin.trailing_zeros().min(width);
        // The number of addresses is span + 1, which may be more than fits.
        let span = last.saturating_sub(begin);
        let fitting = match span.checked_add(1) {
            Some(count) => count.ilog2(),
            None => width,
        };
        let bits = aligned.min(fitting).min(width);
        let length = u8::try_from(width.saturating_sub(bits)).unwrap_or(0);
        networks.extend(network(family, begin, length));
        let end = match 1_u128.checked_shl(bits) {
            Some(size) => begin.saturating_add(size.saturating_sub(1)),
            None => u128::MAX,
        };
        match end.checked_add(1) {
            Some(next) if next <= last => begin = next,
            _ => return,
        }
    }
}

fn network(family: Family, address: u128, length: u8) -> Option<IpNet> {
    match family {
        Family::V4 => {
            let address = Ipv4Addr::from_bits(u32::try_from(address).ok()?);
            Ipv4Net::new(address, length).ok().map(IpNet::V4)
        }
        Family::V6 => Ipv6Net::new(Ipv6Addr::from_bits(address), length)
            .ok()
            .map(IpNet::V6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_cut_into_the_fewest_networks() {
        let shown = |family, first, last| {
            let networks = Ranges::one((first, last)).networks(family);
            networks
                .iter()
                .map(IpNet::to_string)
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(shown(Family::V4, 0, u32::MAX.into()), "0.0.0.0/0");
        assert_eq!(shown(Family::V6, 0, u128::MAX), "::/0");
        assert_eq!(
            shown(Family::V4, 1, 8),
            "0.0.0.1/32 0.0.0.2/31 0.0.0.4/30 0.0.0.8/32"
        );
        assert_eq!(shown(Family::V6, u128::MAX, u128::MAX).matches("/128").count(), 1);
        assert_eq!(Ranges::one((1, u128::MAX)).networks(Family::V6).len(), 128);
    }

    #[test]
    fn what_touches_is_merged_and_the_complement_is_the_rest() {
        let set: Ranges = [(5, 9), (0, 2), (10, 12), (3, 1)].into_iter().collect();
        assert_eq!(set.as_slice(), [(0, 2), (5, 12)]);
        assert_eq!(set.complement(20).as_slice(), [(3, 4), (13, 20)]);
        assert_eq!(set.complement(12).as_slice(), [(3, 4)]);
        assert!(set.contains(12) && !set.contains(13) && !set.contains(4));
        let everything = Ranges::one((0, u128::MAX));
        assert!(everything.complement(u128::MAX).is_empty());
        assert_eq!(everything.minus(&set).as_slice(), [(3, 4), (13, u128::MAX)]);
    }
}
