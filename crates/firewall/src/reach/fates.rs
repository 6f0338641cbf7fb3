//! Where sources end, laid over each other: who ends in one way only has a fate, and of who ends in several nothing is
//! concluded.

use super::{
    answer::Passage,
    journey::{Arrivals, Led},
    place::{CauseId, Tag},
    ranges::Ranges,
    space::{Pieces, Region},
};
use crate::family::Family;

/// A fate and its reasons. Of what is led elsewhere that is who leads it, too; of what is not concluded, up to two things are
/// unclear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Fate {
    pub(super) passage: Passage,
    /// The number of a place to which it is led.
    pub(super) led: Option<u32>,
    /// The own address that a rule names, of who gets through.
    pub(super) at: Option<u128>,
    pub(super) causes: [CauseId; 2],
}

/// Who ends in one way.
#[derive(Clone, Copy)]
pub(super) enum End {
    /// With an own address, if a rule names one.
    Through(Option<u128>),
    Blocked,
    /// The number of the place, and the rule that leads there.
    Led(u32, CauseId),
}

pub(super) fn place_of(led: Led, family: Family) -> String {
    match led.address {
        None => format!(":{}", led.port),
        Some(bits) => std::net::SocketAddr::new(family.address(bits), led.port).to_string(),
    }
}

pub(super) fn ends(arrivals: &Arrivals) -> impl Iterator<Item = (End, &Region)> {
    let led = (0..).zip(&arrivals.led);
    let led = led.map(|(number, (led, region))| (End::Led(number, led.by), region));
    let through_at = arrivals.through_at.iter();
    [
        (End::Through(None), &arrivals.through),
        (End::Blocked, &arrivals.blocked),
    ]
    .into_iter()
    .chain(through_at.map(|(at, region)| (End::Through(Some(*at)), region)))
    .chain(led)
}

pub(super) fn classes_of_ports(arrivals: &Arrivals) -> Vec<Ranges> {
    let mut classes = vec![Ranges::all_ports()];
    for slab in ends(arrivals).flat_map(|(_, region)| region.slabs()) {
        if slab.ports == Ranges::all_ports() {
            continue;
        }
        let mut finer = Vec::new();
        for class in classes {
            let (inside, outside) = (class.intersect(&slab.ports), class.minus(&slab.ports));
            finer.extend([inside, outside].into_iter().filter(|part| !part.is_empty()));
        }
        classes = finer;
    }
    classes
}

pub(super) fn pieces_of<'a>(region: &'a Region, ports: &Ranges) -> Option<&'a Pieces> {
    let slab = region
        .slabs()
        .iter()
        .find(|slab| !slab.ports.intersect(ports).is_empty());
    slab.map(|slab| &slab.pieces)
}

/// Lays partitions over each other.
pub(super) fn merged(ends: &[(End, &Pieces)]) -> Vec<(u128, u128, Fate)> {
    // Where a piece begins, and where the first address after it is: its end, first, so that it is over before another one begins.
    let mut marks: Vec<(u128, u32, Tag)> = Vec::new();
    let mut highest = 0;
    for (number, (_, pieces)) in (0_u32..).zip(ends) {
        for (first, last, tag) in pieces.iter() {
            highest = highest.max(last);
            marks.push((first, number | BEGINS, tag));
            marks.extend(last.checked_add(1).map(|after| (after, number, tag)));
        }
    }
    // They come in sorted runs, one of each end.
    marks.sort_by_key(|(at, what, _)| (*at, *what));
    let mut open: Vec<(u32, Tag)> = Vec::new();
    let mut all = Vec::new();
    let mut marks = marks.into_iter().peekable();
    while let Some((at, what, tag)) = marks.next() {
        match what & BEGINS != 0 {
            true => open.push((what & !BEGINS, tag)),
            false => open.retain(|(known, _)| *known != what),
        }
        let next = marks.peek().map(|(next, ..)| *next);
        if next == Some(at) || open.is_empty() {
            continue;
        }
        let last = next.map_or(highest, |next| next.saturating_sub(1));
        all.push((at, last, fate(ends, &open)));
    }
    all
}

/// Of a mark at which a piece begins; the other bits are the number of its end.
const BEGINS: u32 = 1 << 31;

fn fate(ends: &[(End, &Pieces)], open: &[(u32, Tag)]) -> Fate {
    let end = |number: u32| usize::try_from(number).ok().and_then(|number| ends.get(number));
    if let [(number, tag)] = open {
        let (passage, led, at, by) = match end(*number) {
            Some((End::Led(led, by), _)) => (Passage::Led, Some(*led), None, *by),
            Some((End::Through(at), _)) => (Passage::Through, None, *at, 0),
            Some((End::Blocked, _)) | None => (Passage::Blocked, None, None, 0),
        };
        return Fate {
            passage,
            led,
            at,
            causes: [by, tag.decided],
        };
    }
    // At whichever address of this host, it gets through.
    let is_through = |(number, _): &(u32, Tag)| matches!(end(*number), Some((End::Through(_), _)));
    if let Some((_, tag)) = open.iter().min_by_key(|(_, tag)| tag.fork != 0)
        && open.iter().all(is_through)
    {
        return Fate {
            passage: Passage::Through,
            led: None,
            at: None,
            causes: [0, tag.decided],
        };
    }
    let mut forks: [CauseId; 2] = [0, 0];
    // The smallest two of them, each once.
    for fork in open.iter().map(|(_, tag)| tag.fork).filter(|fork| *fork != 0) {
        forks = match forks {
            [0, _] => [fork, 0],
            [one, _] if one == fork => forks,
            [one, other] if fork < one => [fork, if other == 0 || one < other { one } else { other }],
            [one, other] if other == 0 || fork < other => [one, fork],
            _ => forks,
        };
    }
    Fate {
        passage: Passage::Unknown,
        led: None,
        at: None,
        causes: forks,
    }
}
