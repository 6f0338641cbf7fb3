//! The space of sources: addresses by ports. A rule takes away its part in place, so that a chain of many rules costs each
//! of them only what it takes.

use std::collections::BTreeMap;

use super::{
    place::Tag,
    ranges::{Range, Ranges},
};

/// A range of addresses with what is known of it.
pub(super) type Piece = (u128, u128, Tag);

/// Ranges of addresses that do not overlap.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Pieces(BTreeMap<u128, (u128, Tag)>);

impl Pieces {
    pub(super) fn iter(&self) -> impl Iterator<Item = Piece> {
        self.0.iter().map(|(first, (last, tag))| (*first, *last, *tag))
    }

    /// Takes what lies in one range.
    fn take(&mut self, (first, last): Range, taken: &mut Vec<Piece>) {
        if let Some((_, (end, tag))) = self.0.range_mut(..first).next_back()
            && *end >= first
        {
            let (was, tag) = (*end, *tag);
            *end = first.saturating_sub(1);
            taken.push((first, was.min(last), tag));
            self.put_tail(was, last, tag);
        }
        while let Some((begin, (end, tag))) = self.0.range(first..=last).next().map(|(k, v)| (*k, *v)) {
            self.0.remove(&begin);
            taken.push((begin, end.min(last), tag));
            self.put_tail(end, last, tag);
        }
    }

    /// What lies behind the range that was taken stays.
    fn put_tail(&mut self, end: u128, last: u128, tag: Tag) {
        if let Some(begin) = last.checked_add(1)
            && begin <= end
        {
            self.0.insert(begin, (end, tag));
        }
    }

    fn take_all_of(&mut self, ranges: &Ranges) -> Vec<Piece> {
        let mut taken = Vec::new();
        let ranges = ranges.as_slice();
        if ranges.len().saturating_mul(16) <= self.0.len() {
            for range in ranges {
                self.take(*range, &mut taken);
            }
            return taken;
        }
        if ranges.len() / 16 <= self.0.len() {
            for range in self.meeting(ranges) {
                self.take(range, &mut taken);
            }
            return taken;
        }
        // Few pieces and a large set: only the ranges that meet a piece are of interest.
        let pieces: Vec<Range> = self.0.iter().map(|(first, (last, _))| (*first, *last)).collect();
        for (first, last) in pieces {
            let begin = ranges.partition_point(|(_, end)| *end < first);
            let meeting = ranges.iter().skip(begin).take_while(|(begin, _)| *begin <= last);
            for (begin, end) in meeting {
                self.take((first.max(*begin), last.min(*end)), &mut taken);
            }
        }
        taken
    }

    /// What the ranges have in common with the pieces, found by going along both of them once.
    fn meeting(&self, ranges: &[Range]) -> Vec<Range> {
        let mut common = Vec::new();
        let mut ranges = ranges.iter().peekable();
        for (first, (last, _)) in &self.0 {
            while ranges.next_if(|(_, end)| end < first).is_some() {}
            while let Some((begin, end)) = ranges.peek().filter(|(begin, _)| begin <= last) {
                common.push((*begin.max(first), *end.min(last)));
                if end > last {
                    break;
                }
                ranges.next();
            }
        }
        common
    }

    /// Adds a range. What is there already stays as it is, unless it is there only in case that something applies of which
    /// that is not known, and the new one in any other case: what decides for certain is what decides without it.
    pub(super) fn add(&mut self, (first, last, tag): Piece) {
        let mut begin = first;
        if let Some((_, (end, own))) = self.0.range(..=first).next_back()
            && *end >= first
        {
            if gives_way(*own, tag) {
                return self.replace((first, last, tag));
            }
            match end.checked_add(1) {
                Some(next) if next <= last => begin = next,
                _ => return,
            }
        }
        loop {
            let next = self.0.range(begin..=last).next().map(|(k, v)| (*k, *v));
            let Some((other, (end, own))) = next else {
                self.put((begin, last, tag));
                return;
            };
            if gives_way(own, tag) {
                return self.replace((begin, last, tag));
            }
            if begin < other {
                self.put((begin, other.saturating_sub(1), tag));
            }
            match end.checked_add(1) {
                Some(next) if next <= last => begin = next,
                _ => return,
            }
        }
    }

    /// Adds a range in place of all that gives way to it.
    fn replace(&mut self, (first, last, tag): Piece) {
        let before = self.0.range(..first).next_back();
        let giving: Vec<Range> = before
            .into_iter()
            .chain(self.0.range(first..=last))
            .filter(|(_, (end, own))| *end >= first && gives_way(*own, tag))
            .map(|(begin, (end, _))| ((*begin).max(first), (*end).min(last)))
            .collect();
        let mut taken = Vec::new();
        for range in giving {
            self.take(range, &mut taken);
        }
        self.add((first, last, tag));
    }

    /// Inserts into a gap, and joins what is alike on both sides.
    fn put(&mut self, (first, last, tag): Piece) {
        let mut end = last;
        if let Some(next) = last.checked_add(1)
            && let Some((after, other)) = self.0.get(&next).copied()
            && other == tag
        {
            self.0.remove(&next);
            end = after;
        }
        if let Some((_, (before, other))) = self.0.range_mut(..first).next_back()
            && *other == tag
            && before.checked_add(1) == Some(first)
        {
            *before = end;
            return;
        }
        self.0.insert(first, (end, tag));
    }
}

/// Whether something is there only in case, and something else in any other case.
fn gives_way(own: Tag, to: Tag) -> bool {
    own.fork != 0 && to.fork == 0
}

impl FromIterator<Piece> for Pieces {
    fn from_iter<I: IntoIterator<Item = Piece>>(pieces: I) -> Self {
        let mut all = Self::default();
        pieces.into_iter().for_each(|piece| all.add(piece));
        all
    }
}

/// Addresses of some source ports.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Slab {
    pub(super) ports: Ranges,
    pub(super) pieces: Pieces,
}

/// A part of the space of sources. The ports of its slabs do not overlap.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Region(Vec<Slab>);

/// Addresses by ports.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rectangle {
    pub(super) addresses: Ranges,
    pub(super) ports: Ranges,
}

impl Region {
    /// Everybody.
    pub(super) fn everybody(highest: u128) -> Self {
        Self(vec![Slab {
            ports: Ranges::all_ports(),
            pieces: [(0, highest, Tag::default())].into_iter().collect(),
        }])
    }

    pub(super) fn slabs(&self) -> &[Slab] {
        &self.0
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.iter().all(|slab| slab.pieces.0.is_empty())
    }

    /// Takes a part out.
    pub(super) fn take(&mut self, addresses: &Ranges, ports: &Ranges) -> Self {
        self.take_with(ports, |pieces| {
            pieces.take_all_of(addresses).into_iter().collect()
        })
    }

    /// Takes out all addresses of some ports.
    pub(super) fn take_ports(&mut self, ports: &Ranges) -> Self {
        self.take_with(ports, std::mem::take)
    }

    fn take_with(&mut self, ports: &Ranges, taking: impl Fn(&mut Pieces) -> Pieces) -> Self {
        let mut taken = Self::default();
        let mut split = Vec::new();
        let all_ports = *ports == Ranges::all_ports();
        for slab in &mut self.0 {
            let common = match all_ports || slab.ports == *ports {
                true => slab.ports.clone(),
                false => slab.ports.intersect(ports),
            };
            if common.is_empty() {
                continue;
            }
            if common != slab.ports {
                split.push(Slab {
                    ports: slab.ports.minus(&common),
                    pieces: slab.pieces.clone(),
                });
                slab.ports = common.clone();
            }
            let pieces = taking(&mut slab.pieces);
            if !pieces.0.is_empty() {
                taken.0.push(Slab {
                    ports: common,
                    pieces,
                });
            }
        }
        self.0.extend(split);
        self.0.retain(|slab| !slab.pieces.0.is_empty());
        taken
    }

    /// Adds a part; what is there already stays as it is.
    pub(super) fn absorb(&mut self, other: Self) {
        if self.is_empty() {
            *self = other;
            return;
        }
        for slab in other.0 {
            self.absorb_slab(slab);
        }
    }

    fn absorb_slab(&mut self, other: Slab) {
        if other.pieces.0.is_empty() {
            return;
        }
        if let Some(slab) = self.0.iter_mut().find(|slab| slab.ports == other.ports) {
            other.pieces.iter().for_each(|piece| slab.pieces.add(piece));
            return;
        }
        let mut left = other.ports.clone();
        let mut split = Vec::new();
        for slab in &mut self.0 {
            let common = slab.ports.intersect(&left);
            if common.is_empty() {
                continue;
            }
            if common != slab.ports {
                split.push(Slab {
                    ports: slab.ports.minus(&common),
                    pieces: slab.pieces.clone(),
                });
                slab.ports = common.clone();
            }
            left = left.minus(&common);
            other.pieces.iter().for_each(|piece| slab.pieces.add(piece));
        }
        self.0.extend(split);
        if !left.is_empty() {
            self.0.push(Slab {
                ports: left,
                pieces: other.pieces,
            });
        }
    }

    /// The same part, with something else known of it.
    pub(super) fn tagged(mut self, tag: impl Fn(Tag) -> Tag) -> Self {
        let pieces = self.0.iter_mut().flat_map(|slab| slab.pieces.0.values_mut());
        pieces.for_each(|(_, own)| *own = tag(*own));
        self
    }
}
