//! The answer: all sources in parts, each with what decides.

use std::{fmt, net::IpAddr, sync::Arc};

use ipnet::IpNet;
use portcullis_model::{Transport, sanitize};
use serde::Serialize;

use super::{
    applied::Applied,
    arrivals::Told,
    fates::{End, Fate, classes_of_ports, ends, merged, pieces_of, place_of},
    journey::{Arrivals, Departure, travel},
    link::{Linked, special},
    packet::Interface,
    places::{Place, is_of_a_link},
    question::Question,
    ranges::Ranges,
    reason::because,
    remark::{Remark, remarks},
    ruleset::Ruleset,
    space::Pieces,
    windows,
};
use crate::family::Family;

/// What happens to a connection attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Passage {
    /// It gets through.
    Through,
    /// It does not.
    Blocked,
    /// That depends on something that is not known.
    Unknown,
    /// It gets through, but is led to another port or another host, and does not reach what it was sent to.
    Led,
}

/// Source ports, when not all of them have the same answer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourcePorts(Vec<(u16, u16)>);

impl SourcePorts {
    /// First and last port of each range.
    pub fn ranges(&self) -> &[(u16, u16)] {
        &self.0
    }

    /// `None` when it is all of them.
    pub(super) fn of(ports: &Ranges) -> Option<Self> {
        if *ports == Ranges::all_ports() {
            return None;
        }
        let port = |number: u128| u16::try_from(number).unwrap_or(u16::MAX);
        let ranges = ports
            .as_slice()
            .iter()
            .map(|(first, last)| (port(*first), port(*last)));
        Some(Self(ranges.collect()))
    }

    pub(super) fn as_ranges(&self) -> Ranges {
        self.0
            .iter()
            .map(|(first, last)| (u128::from(*first), u128::from(*last)))
            .collect()
    }
}

impl fmt::Display for SourcePorts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (first, last)) in self.0.iter().enumerate() {
            let comma = if number > 0 { "," } else { "" };
            match first == last {
                true => write!(f, "{comma}{first}")?,
                false => write!(f, "{comma}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

/// What decides.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Because {
    /// No chain of the deciding hook sees such packets.
    NoRule,
    /// A rule.
    Rule {
        /// Its table, e.g. `inet filter`, or `iptables filter`.
        table: String,
        /// Its chain.
        chain: String,
        /// `handle 7`, `line 12`, or the name that Windows has for it.
        at: String,
        /// As its system writes it, cut short; where that is at hand.
        text: Option<String>,
        /// What was not understood in it, where that is why nothing is concluded.
        unclear: Option<String>,
    },
    /// The policy of a chain.
    Policy {
        /// Its table.
        table: String,
        /// The chain.
        chain: String,
    },
    /// Something else.
    Other(&'static str),
}

impl fmt::Display for Because {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRule => f.write_str("no rule"),
            Self::Rule {
                table,
                chain,
                at,
                text,
                unclear,
            } => {
                write!(f, "{} / {} / {}", sanitize(table), sanitize(chain), sanitize(at))?;
                if let Some(text) = text {
                    write!(f, " `{}`", sanitize(text))?;
                }
                match unclear {
                    Some(unclear) => write!(f, ": {}", sanitize(unclear)),
                    None => Ok(()),
                }
            }
            Self::Policy { table, chain } => {
                write!(f, "{} / {} / policy", sanitize(table), sanitize(chain))
            }
            Self::Other(what) => f.write_str(what),
        }
    }
}

/// A part of the sources with one fate, for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The fewest networks that are this part.
    pub sources: Vec<IpNet>,
    /// When it is of some source ports only.
    pub source_ports: Option<SourcePorts>,
    /// Its fate.
    pub passage: Passage,
    /// Where it is led instead, as in `:81` for a port of this host and `192.0.2.9:4840` for one of another; of [`Passage::Led`]
    /// only.
    pub led_to: Option<String>,
    /// The address of this host that it ends at, where a rule names one to which it leads.
    pub at: Option<IpAddr>,
    /// What decides; for what is not concluded, all that is unclear.
    pub because: Vec<Because>,
}

/// All sources of one family that arrive by one of these interfaces at one of these destinations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// Whether it is of IPv4; otherwise of IPv6.
    pub is_ipv4: bool,
    /// Names of interfaces, or `any other`, `any other eth*`; of Windows with a profile, as in `Ethernet (profile Public)`,
    /// where not all profiles have this answer.
    pub interfaces: Vec<String>,
    /// The destinations; none is any address of the host.
    pub destinations: Vec<IpAddr>,
    /// Together all sources, and no two of them the same.
    pub parts: Vec<Part>,
}

impl View {
    /// The fewest networks all of whose sources, from any port, have this fate.
    pub fn networks(&self, passage: Passage) -> Vec<IpNet> {
        let parts = self
            .parts
            .iter()
            .filter(|part| part.passage == passage && part.source_ports.is_none());
        let networks: Vec<IpNet> = parts.flat_map(|part| part.sources.iter().copied()).collect();
        IpNet::aggregate(&networks)
    }

    /// Only these sources; with `false`, all others.
    #[must_use]
    pub fn within(&self, networks: &[IpNet], inside: bool) -> Self {
        let family = if self.is_ipv4 { Family::V4 } else { Family::V6 };
        let wanted = Ranges::of(networks, family);
        let cut = |part: &Part| {
            let own = Ranges::of(&part.sources, family);
            let left = if inside {
                own.intersect(&wanted)
            } else {
                own.minus(&wanted)
            };
            (!left.is_empty()).then(|| Part {
                sources: left.networks(family),
                ..part.clone()
            })
        };
        Self {
            parts: self.parts.iter().filter_map(cut).collect(),
            ..self.clone()
        }
    }

    /// The fate of one source.
    pub fn of(&self, source: IpAddr, port: u16) -> Option<&Part> {
        let has_port = |part: &&Part| {
            let ports = part.source_ports.as_ref();
            ports.is_none_or(|ports| {
                ports
                    .0
                    .iter()
                    .any(|(first, last)| (*first..=*last).contains(&port))
            })
        };
        let mut parts = self.parts.iter().filter(has_port);
        parts.find(|part| part.sources.iter().any(|network| network.contains(&source)))
    }
}

/// The fewest networks that are all sources of one family but these.
pub fn all_but(networks: &[IpNet], is_ipv4: bool) -> Vec<IpNet> {
    let (family, highest) = match is_ipv4 {
        true => (Family::V4, u128::from(u32::MAX)),
        false => (Family::V6, u128::MAX),
    };
    Ranges::of(networks, family).complement(highest).networks(family)
}

/// Who gets through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// For each family, the interfaces and destinations that have the same answer.
    pub views: Vec<View>,
    /// What a reviewer should look at.
    pub remarks: Vec<Remark>,
}

/// Says who can reach a port.
pub fn reach(ruleset: &Ruleset, question: &Question) -> Answer {
    if let Some(policy) = &ruleset.windows {
        return windows::reach(policy, question);
    }
    let told = Told::by(ruleset);
    let linked = Linked::new(ruleset);
    let mut views: Vec<View> = Vec::new();
    let mut applied = Applied::default();
    for family in Family::BOTH {
        let places = Arc::new(question.places(family));
        let destinations = question.destinations_of(family);
        let every: Vec<u128> = destinations.iter().flatten().copied().collect();
        let all: Vec<IpAddr> = every.iter().map(|bits| family.address(*bits)).collect();
        // An address of several hosts is another kind of destination.
        let place = |destination: &Option<u128>| destination.map(|bits| places.place(bits));
        let is_alike = destinations.windows(2).all(|two| match two {
            [one, other] => place(one) == place(other),
            _ => true,
        });
        let each = told.destination || question.asks_for_groups() || !is_alike;
        for class in told.classes(question, &places) {
            let first_of_class = views.len();
            let mut here: Vec<(Option<u128>, Interface)> = destinations
                .iter()
                .filter_map(|one| Some((*one, class.to(*one, &places)?)))
                .collect();
            if !each {
                here.truncate(1);
                if here.is_empty() && !destinations.is_empty() {
                    here.push((None, class.interface.clone()));
                }
            }
            for (destination, arrives) in &here {
                let here = destination.map(|bits| family.address(bits));
                let group = here.and_then(|address| question.group(address));
                // What the routers of a network have together is asked for at this host, and where that is not known both ways.
                let place = destination
                    .filter(|_| group.is_none())
                    .map(|bits| places.place(bits));
                let (forwarded, perhaps) = match place {
                    Some(Place::Own | Place::Anycast) => (false, false),
                    Some(Place::PerhapsAnycast) => (false, true),
                    // One address of several may be of this host, and another one not.
                    Some(place) if place.is_own() == Some(false) => (true, false),
                    _ => (question.forwarded && group.is_none(), false),
                };
                let departure = Departure {
                    family,
                    protocol: match question.port.transport {
                        Transport::Tcp => super::packet::TCP,
                        Transport::Udp => 17,
                    },
                    port: question.port.number,
                    address: *destination,
                    forwarded,
                    group,
                    arrives: arrives.clone(),
                    host: &places,
                };
                let strangers = !ruleset.strangers.is_empty();
                let mut arrivals = travel(&linked, strangers, &departure);
                if perhaps {
                    let departure = Departure {
                        forwarded: true,
                        ..departure
                    };
                    arrivals.perhaps(travel(&linked, strangers, &departure), special::ANYCAST);
                }
                applied.join(&arrivals.applied);
                let parts = parts(&linked, family, &arrivals);
                let of_class = views.get_mut(first_of_class..).unwrap_or_default();
                match of_class.iter_mut().find(|view| view.parts == parts) {
                    Some(view) => view.destinations.extend(here),
                    None => views.push(View {
                        is_ipv4: family == Family::V4,
                        interfaces: match (destination, each) {
                            (Some(bits), true) => class.names_to(&[*bits], &places),
                            (Some(_), false) => class.names_to(&every, &places),
                            (None, _) => class.names.clone(),
                        },
                        destinations: if each {
                            here.into_iter().collect()
                        } else {
                            all.clone()
                        },
                        parts,
                    }),
                }
            }
        }
    }
    let views = joined(views);
    Answer {
        remarks: remarks(&linked, question, &views, &applied),
        views,
    }
}

/// Interfaces that turn out to have the same answer.
pub(super) fn joined(views: Vec<View>) -> Vec<View> {
    let mut joined: Vec<View> = Vec::new();
    for view in views {
        // Each link has addresses of its own.
        let of_all = |view: &View| -> Vec<IpAddr> {
            let addresses = view.destinations.iter();
            addresses
                .filter(|address| !is_of_a_link(address))
                .copied()
                .collect()
        };
        let same = |known: &&mut View| {
            (known.is_ipv4, of_all(known), &known.parts) == (view.is_ipv4, of_all(&view), &view.parts)
        };
        match joined.iter_mut().find(same) {
            Some(known) => {
                known.interfaces.extend(view.interfaces);
                let more = view.destinations.iter();
                let more: Vec<IpAddr> = more
                    .filter(|one| !known.destinations.contains(one))
                    .copied()
                    .collect();
                known.destinations.extend(more);
            }
            None => joined.push(view),
        }
    }
    joined
}

fn parts(linked: &Linked<'_>, family: Family, arrivals: &Arrivals) -> Vec<Part> {
    // Ports that no rule tells apart, each class with its own partition of the addresses.
    let mut of_fate: Vec<(Fate, Ranges, Ranges)> = Vec::new();
    for ports in classes_of_ports(arrivals) {
        let ends: Vec<(End, &Pieces)> = ends(arrivals)
            .filter_map(|(end, region)| Some((end, pieces_of(region, &ports)?)))
            .collect();
        let mut pieces = merged(&ends);
        pieces.sort_by_key(|(.., fate)| *fate);
        for alike in pieces.chunk_by(|(.., one), (.., other)| one == other) {
            if let Some((.., fate)) = alike.first() {
                let addresses = alike.iter().map(|(first, last, _)| (*first, *last)).collect();
                of_fate.push((*fate, addresses, ports.clone()));
            }
        }
    }
    of_fate.sort_by(|one, other| (one.0, &one.1).cmp(&(other.0, &other.1)));
    of_fate.dedup_by(|(fate, addresses, more), (known, all, ports)| {
        let is_alike = fate == known && addresses == all;
        if is_alike {
            *ports = ports.union(more);
        }
        is_alike
    });
    let part = |(fate, addresses, ports): (Fate, Ranges, Ranges)| {
        let led = fate.led.and_then(|number| {
            let mut places = arrivals.led.keys();
            places.nth(usize::try_from(number).ok()?)
        });
        Part {
            sources: addresses.networks(family),
            source_ports: SourcePorts::of(&ports),
            passage: fate.passage,
            led_to: led.map(|led| place_of(*led, family)),
            at: fate
                .at
                .or(led.and_then(|led| led.at))
                .map(|bits| family.address(bits)),
            because: because(linked, fate),
        }
    };
    of_fate.into_iter().map(part).collect()
}
