//! Which sources match: the part of the space that a look at a packet leaves open.

use std::{borrow::Cow, collections::BTreeMap};

use super::{
    ranges::{Range, Ranges},
    space::{Rectangle, Region},
};

/// Which part of the sources matches.
pub(super) enum Hit<'a> {
    No,
    Yes,
    /// Everybody, perhaps.
    Unsure,
    Addresses(Cow<'a, Ranges>),
    Ports(Cow<'a, Ranges>),
    Parts {
        yes: Vec<Rectangle>,
        maybe: Vec<Rectangle>,
    },
}

/// A hit, and whether the rule wants the opposite.
pub(super) struct Outcome<'a> {
    pub(super) hit: Hit<'a>,
    pub(super) negated: bool,
}

impl Outcome<'_> {
    /// `Some` when it is the same for all sources.
    pub(super) fn for_all(&self) -> Option<bool> {
        match self.hit {
            Hit::No => Some(self.negated),
            Hit::Yes => Some(!self.negated),
            _ => None,
        }
    }

    /// Takes what matches out of a region. The second one is a copy of what perhaps does, which also stays in the region.
    pub(super) fn split(&self, region: &mut Region, highest: u128) -> (Region, Region) {
        let all_ports = Ranges::all_ports();
        match (&self.hit, self.negated) {
            (Hit::No, false) | (Hit::Yes, true) => (Region::default(), Region::default()),
            (Hit::No, true) | (Hit::Yes, false) => (std::mem::take(region), Region::default()),
            (Hit::Unsure, _) => (Region::default(), region.clone()),
            (Hit::Addresses(addresses), false) => (region.take(addresses, &all_ports), Region::default()),
            (Hit::Addresses(addresses), true) => {
                let others = addresses.complement(highest);
                (region.take(&others, &all_ports), Region::default())
            }
            (Hit::Ports(ports), false) => (region.take_ports(ports), Region::default()),
            (Hit::Ports(ports), true) => (
                region.take_ports(&ports.complement(u16::MAX.into())),
                Region::default(),
            ),
            (Hit::Parts { yes, maybe }, negated) => {
                let take = |region: &mut Region, parts: &[Rectangle]| {
                    let mut taken = Region::default();
                    for part in parts {
                        taken.absorb(region.take(&part.addresses, &part.ports));
                    }
                    taken
                };
                let hit = take(region, yes);
                let perhaps = take(region, maybe);
                if negated {
                    let others = std::mem::replace(region, hit);
                    region.absorb(perhaps.clone());
                    return (others, perhaps);
                }
                region.absorb(perhaps.clone());
                (hit, perhaps)
            }
        }
    }
}

/// Elements by their ports, so that a set without ports stays one set of addresses.
#[derive(Default)]
pub(super) struct Parts {
    yes: BTreeMap<Range, Vec<Range>>,
    maybe: BTreeMap<Range, Vec<Range>>,
}

impl Parts {
    pub(super) fn add(&mut self, part: Option<(Range, Range, bool)>) {
        if let Some((addresses, ports, certain)) = part {
            let of = if certain { &mut self.yes } else { &mut self.maybe };
            of.entry(ports).or_default().push(addresses);
        }
    }

    pub(super) fn finish<'a>(self) -> Hit<'a> {
        let rectangles = |parts: BTreeMap<Range, Vec<Range>>| {
            let of = |(ports, addresses): (Range, Vec<Range>)| Rectangle {
                addresses: addresses.into_iter().collect(),
                ports: Ranges::one(ports),
            };
            parts.into_iter().map(of).collect::<Vec<_>>()
        };
        Hit::Parts {
            yes: rectangles(self.yes),
            maybe: rectangles(self.maybe),
        }
    }
}

/// Numbers of which some match for certain and others perhaps.
pub(super) struct Perhaps {
    pub(super) yes: Ranges,
    pub(super) maybe: Ranges,
}

impl Perhaps {
    pub(super) fn hit<'a>(self, part: impl Fn(Ranges) -> Rectangle) -> Hit<'a> {
        Hit::Parts {
            maybe: vec![part(self.maybe.minus(&self.yes))],
            yes: vec![part(self.yes)],
        }
    }
}

pub(super) fn certain<'a>(holds: Option<bool>) -> Hit<'a> {
    match holds {
        Some(true) => Hit::Yes,
        Some(false) => Hit::No,
        None => Hit::Unsure,
    }
}

/// One certain yes is enough; without one, an unknown leaves it open.
pub(super) fn any(each: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let mut all = Some(false);
    for one in each {
        match one {
            Some(true) => return Some(true),
            Some(false) => {}
            None => all = None,
        }
    }
    all
}
