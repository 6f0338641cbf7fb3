//! One packet as far as a question fixes it, and what a rule sees of it. The address and the port of the source are open:
//! they are the space that rules divide.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use super::{
    hit::{Hit, Outcome, Parts, Perhaps, any, certain},
    nft::number_of_word,
    place::CauseId,
    places::{Here, Place, Places},
    ranges::{Range, Ranges},
    ruleset::{End, Field, Key, Lookup, Match, Set, Test, Value, kind, state},
    space::Rectangle,
};
use crate::family::Family;

/// An interface, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Interface {
    /// The packet has none there.
    Nothing,
    Named(Arc<str>),
    /// One that no rule and no question names. Its name begins so, and matches no longer pattern of a rule.
    Other(Arc<str>),
    Unknown,
}

impl Interface {
    /// Whether the name matches; `None` when that is not known.
    fn is(&self, name: &str, is_beginning: bool) -> Option<bool> {
        match self {
            Self::Nothing => Some(false),
            Self::Named(own) if is_beginning => Some(own.starts_with(name)),
            Self::Named(own) => Some(**own == *name),
            Self::Other(begins) => Some(is_beginning && begins.starts_with(name)),
            Self::Unknown => None,
        }
    }
}

/// What of a packet rules can change, and what follows from its connection.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct State {
    /// `None` is not known.
    pub(super) mark: Option<u32>,
    pub(super) connection_mark: Option<u32>,
    pub(super) tracking: Tracking,
    /// The destination in the header; in an answer its source. `None` is one of several.
    pub(super) address: Option<u128>,
    pub(super) port: u16,
    /// The destination of the connection after translation.
    pub(super) new_address: Option<u128>,
    pub(super) new_port: u16,
    /// Whether the destination was translated; `None` is not known.
    pub(super) translated: Option<bool>,
    /// The rule that has translated it; 0 is none.
    pub(super) translated_by: CauseId,
    /// Whether a rule of a nat chain has decided.
    pub(super) bound: bool,
    /// Whether the source was translated.
    pub(super) source_translated: bool,
    /// Whether the header has another source than the packet had when it arrived.
    pub(super) hidden: bool,
    /// Whether the first packet of the connection was tracked.
    pub(super) tracked: bool,
    /// Whether the answer to it was, too.
    pub(super) answered: bool,
}

/// What connection tracking says of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Tracking {
    /// It has not been there yet.
    NotYet,
    New,
    Established,
    Untracked,
    Invalid,
}

impl Tracking {
    fn bit(self) -> u128 {
        match self {
            Self::NotYet | Self::Invalid => state::INVALID,
            Self::New => state::NEW,
            Self::Established => state::ESTABLISHED,
            Self::Untracked => state::UNTRACKED,
        }
    }

    fn has_connection(self) -> bool {
        matches!(self, Self::New | Self::Established)
    }
}

/// What is the same for all packets on one part of the way.
#[derive(Debug, Clone)]
pub(super) struct Sight {
    pub(super) family: Family,
    pub(super) protocol: u8,
    /// The destination as the question has it.
    pub(super) address: Option<u128>,
    pub(super) port: u16,
    /// Whether that is an address of another host.
    pub(super) forwarded: bool,
    /// The kind of the address, where it is one of several hosts at once.
    pub(super) group: Option<u128>,
    /// Addresses and routes of this host, as far as they are known.
    pub(super) places: Arc<Places>,
    /// Where `redirect` leads.
    pub(super) here: Here,
    /// Whether this is the answer to the first packet.
    pub(super) is_reply: bool,
    /// Whether this is the packet that follows the answer.
    pub(super) is_third: bool,
    pub(super) arrives: Interface,
    pub(super) leaves: Interface,
    pub(super) flags: Flags,
}

/// The flags of the packets that open a connection of TCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Flags {
    pub(super) first: u128,
    pub(super) answer: u128,
    pub(super) third: u128,
}

impl Flags {
    const fn of(first: u128, answer: u128, third: u128) -> Self {
        Self { first, answer, third }
    }

    /// Without congestion notification, and with it (RFC 3168, 6.1.1): whether the answer has it too is up to this host.
    pub(super) const ALL: [Self; 4] = [
        Self::of(0x02, 0x12, 0x10),
        Self::of(0xc2, 0x52, 0x10),
        Self::of(0xc2, 0x12, 0x10),
        Self::of(0xc2, 0x52, 0x90),
    ];
}

/// What a rule looks at, as one packet has it.
enum Seen<'a> {
    Number(u128),
    Interface(&'a Interface),
    /// The address that is open.
    Source,
    /// The port that is open.
    SourcePort,
    Absent,
    Unsure,
}

impl Sight {
    pub(super) fn highest(&self) -> u128 {
        self.family.highest()
    }

    /// Holds a match of a rule against a packet.
    pub(super) fn judge<'a>(
        &self,
        matching: &'a Match,
        state: &State,
        sets: &'a BTreeMap<String, Arc<Set>>,
    ) -> Outcome<'a> {
        let hit = match (&matching.key, &matching.test) {
            (Key::One(field), test) => match self.look(field, state) {
                Seen::Absent => {
                    let hit = if matching.when_absent { Hit::Yes } else { Hit::No };
                    return Outcome { hit, negated: false };
                }
                seen => self.compare(field, seen, test, sets),
            },
            (Key::Several(fields), Test::In(lookup)) => match self.find(fields, state, lookup, sets) {
                Some(hit) => hit,
                None => {
                    return Outcome {
                        hit: Hit::No,
                        negated: false,
                    };
                }
            },
            (Key::Several(_), _) => Hit::Unsure,
        };
        Outcome {
            hit,
            negated: matching.negated,
        }
    }

    fn look(&self, field: &Field, state: &State) -> Seen<'_> {
        let own_end = |end: &End| match (end, self.is_reply) {
            (End::Source, false) | (End::Destination, true) => End::Source,
            (End::Destination, false) | (End::Source, true) => End::Destination,
        };
        let number = |number: Option<u128>| number.map_or(Seen::Unsure, Seen::Number);
        let connected = state.tracking.has_connection();
        match field {
            Field::Address(_, family)
            | Field::ProtocolOf(family)
            | Field::OriginalAddress(_, family)
            | Field::ReplyAddress(_, family)
            | Field::Extension(family)
            | Field::UnknownOf(family, _)
                if *family != self.family =>
            {
                Seen::Absent
            }
            Field::Port(_, Some(protocol)) if *protocol != self.protocol => Seen::Absent,
            Field::Address(end, _) => match own_end(end) {
                End::Source if state.hidden => Seen::Unsure,
                End::Source => Seen::Source,
                End::Destination => number(state.address),
            },
            Field::Port(end, _) => match own_end(end) {
                End::Source if state.hidden => Seen::Unsure,
                End::Source => Seen::SourcePort,
                End::Destination => Seen::Number(state.port.into()),
            },
            Field::Protocol | Field::ProtocolOf(_) => Seen::Number(self.protocol.into()),
            Field::Family => Seen::Number(match self.family {
                Family::V4 => 4,
                Family::V6 => 6,
            }),
            Field::FrameProtocol => Seen::Number(match self.family {
                Family::V4 => 0x0800,
                Family::V6 => 0x86dd,
            }),
            Field::ArrivesBy => Seen::Interface(&self.arrives),
            Field::LeavesBy => Seen::Interface(&self.leaves),
            Field::Mark => number(state.mark.map(u128::from)),
            Field::ConnectionState => Seen::Number(state.tracking.bit()),
            Field::ConnectionStateAndNat => {
                let nat = if connected {
                    nat_bits(state, state::SNAT, state::DNAT)
                } else {
                    Some(0)
                };
                number(nat.map(|nat| nat | state.tracking.bit()))
            }
            Field::ConnectionMark
            | Field::ConnectionDirection
            | Field::ConnectionStatus
            | Field::OriginalAddress(..)
            | Field::OriginalPort(_)
            | Field::ReplyAddress(..)
            | Field::ReplyPort(_)
                if !connected =>
            {
                Seen::Absent
            }
            Field::ConnectionMark => number(state.connection_mark.map(u128::from)),
            Field::ConnectionDirection => Seen::Number(self.is_reply.into()),
            Field::ConnectionStatus => {
                // Of an answer: it has been seen, and the connection is confirmed.
                let by_direction = if self.is_reply || self.is_third { 2 | 8 } else { 0 };
                number(nat_bits(state, 16, 32).map(|nat| nat | by_direction))
            }
            Field::OriginalAddress(End::Source, _) => Seen::Source,
            Field::OriginalAddress(End::Destination, _) => number(self.address),
            Field::OriginalPort(End::Source) => Seen::SourcePort,
            Field::OriginalPort(End::Destination) => Seen::Number(self.port.into()),
            Field::ReplyAddress(End::Source, _) => number(state.new_address),
            Field::ReplyPort(End::Source) => Seen::Number(state.new_port.into()),
            Field::ReplyAddress(End::Destination, _) | Field::ReplyPort(End::Destination)
                if state.source_translated =>
            {
                Seen::Unsure
            }
            Field::ReplyAddress(End::Destination, _) => Seen::Source,
            Field::ReplyPort(End::Destination) => Seen::SourcePort,
            Field::TcpFlags if self.protocol != TCP => Seen::Absent,
            Field::TcpFlags => Seen::Number(match (self.is_reply, self.is_third) {
                (true, _) => self.flags.answer,
                (_, true) => self.flags.third,
                _ => self.flags.first,
            }),
            Field::DestinationKind => match self.is_reply {
                // The address to which a source was translated is mostly one of this host.
                true if state.hidden => Seen::Unsure,
                // Somebody who gets an answer.
                true => Seen::Number(kind::UNICAST),
                false => number(self.kind_of(state.address)),
            },
            Field::SourceKind => match self.is_reply {
                true => number(self.kind_of(state.address)),
                false => Seen::Unsure,
            },
            Field::Extension(_) => Seen::Number(0),
            Field::HeaderLength | Field::FragmentOffset if self.family != Family::V4 => Seen::Absent,
            Field::HeaderLength => Seen::Number(5),
            Field::FragmentOffset => Seen::Number(0),
            Field::Missing => Seen::Absent,
            Field::Unknown(_) | Field::UnknownOf(..) => Seen::Unsure,
        }
    }

    /// Kind of a destination of the first packet.
    fn kind_of(&self, address: Option<u128>) -> Option<u128> {
        if address == self.address && self.group.is_some() {
            return self.group;
        }
        self.place_of(address).kind()
    }

    /// Where a packet goes that is sent to an address; without one it is any address of this host.
    pub(super) fn place_of(&self, address: Option<u128>) -> Place {
        let Some(bits) = address else {
            return Place::Own;
        };
        let place = self.places.place_by(bits, &self.arrives);
        if address != self.address {
            return place;
        }
        // Whether what is asked for is at this host is known by the question.
        match (self.forwarded, place) {
            (true, Place::NoRoute | Place::Unforwarded | Place::PerhapsForwarded | Place::Nobody) => place,
            (true, _) => Place::Onward,
            (false, Place::Anycast | Place::PerhapsAnycast) if self.group.is_none() => Place::Anycast,
            (false, _) => Place::Own,
        }
    }

    /// Whether what is sent to an address comes neither to this host nor to where the question asks.
    pub(super) fn is_elsewhere(&self, address: Option<u128>) -> bool {
        self.place_of(address).is_own() == Some(false) && address != self.address
    }

    fn compare<'a>(
        &self,
        field: &Field,
        seen: Seen<'_>,
        test: &'a Test,
        sets: &'a BTreeMap<String, Arc<Set>>,
    ) -> Hit<'a> {
        match seen {
            Seen::Absent => Hit::No,
            Seen::Unsure => Hit::Unsure,
            Seen::Source => match perhaps(test, sets) {
                Some(numbers) => numbers.hit(|addresses| Rectangle {
                    addresses,
                    ports: Ranges::all_ports(),
                }),
                None => self.open_end(test, sets, self.highest(), Hit::Addresses),
            },
            Seen::SourcePort => match perhaps(test, sets) {
                Some(numbers) => numbers.hit(|ports| Rectangle {
                    addresses: Ranges::one((0, self.highest())),
                    ports,
                }),
                None => self.open_end(test, sets, u16::MAX.into(), Hit::Ports),
            },
            // The sender may forbid to divide it.
            Seen::Number(_) if matches!(field, Field::FragmentOffset) => {
                let [plain, whole] = [0, 0x4000].map(|flags| holds(field, flags, test, sets));
                certain(if plain == whole { plain } else { None })
            }
            // Of the other bits it is not known which the kernel has set by then.
            Seen::Number(_) if matches!(field, Field::ConnectionStatus) && !is_of_known_bits(test) => {
                Hit::Unsure
            }
            Seen::Number(number) => certain(holds(field, number, test, sets)),
            Seen::Interface(interface) => match test {
                Test::Value(value) => certain(is_interface(interface, value)),
                Test::In(lookup) => certain(resolve(lookup, sets).and_then(|set| {
                    if set.otherwise.is_some() {
                        return Some(true);
                    }
                    // Names that look like numbers.
                    if set.numbers.as_ref().is_some_and(|numbers| !numbers.is_empty()) {
                        return None;
                    }
                    any(set.elements.iter().map(|element| match element.key.as_slice() {
                        [value] => is_interface(interface, value),
                        _ => None,
                    }))
                })),
                Test::Perhaps(_) | Test::Masked { .. } | Test::AnyBit(_) => Hit::Unsure,
            },
        }
    }

    fn open_end<'a>(
        &self,
        test: &'a Test,
        sets: &'a BTreeMap<String, Arc<Set>>,
        highest: u128,
        hit: impl Fn(Cow<'a, Ranges>) -> Hit<'a>,
    ) -> Hit<'a> {
        match test {
            Test::Value(Value::Numbers(first, last)) => hit(Cow::Owned(Ranges::one((*first, *last)))),
            Test::Value(_) | Test::Perhaps(_) | Test::AnyBit(_) => Hit::Unsure,
            Test::In(lookup) => match resolve(lookup, sets).map(|set| (&set.numbers, &set.otherwise)) {
                Some((Some(ranges), _)) => hit(Cow::Borrowed(ranges)),
                Some((None, Some(_))) => Hit::Yes,
                _ => Hit::Unsure,
            },
            Test::Masked { mask, value } => match prefix(*mask, *value, highest) {
                Some(range) => hit(Cow::Owned(Ranges::one(range))),
                None => Hit::Unsure,
            },
        }
    }

    /// A key of several fields in a set; `None` when the packet lacks one of them.
    fn find<'a>(
        &self,
        fields: &[Field],
        state: &State,
        lookup: &'a Lookup,
        sets: &'a BTreeMap<String, Arc<Set>>,
    ) -> Option<Hit<'a>> {
        let seen: Vec<Seen<'_>> = fields.iter().map(|field| self.look(field, state)).collect();
        if seen.iter().any(|seen| matches!(seen, Seen::Absent)) {
            return None;
        }
        let Some(set) = resolve(lookup, sets) else {
            return Some(Hit::Unsure);
        };
        if set.otherwise.is_some() {
            return Some(match are_known(&seen) {
                true => Hit::Yes,
                false => Hit::Unsure,
            });
        }
        if set.numbers.as_ref().is_some_and(|numbers| !numbers.is_empty()) {
            return Some(Hit::Unsure);
        }
        let mut parts = Parts::default();
        for element in &set.elements {
            parts.add(self.part(fields, &seen, &element.key));
        }
        Some(parts.finish())
    }

    /// The sources for which one element of a set is the key, and whether that is certain.
    fn part(&self, fields: &[Field], seen: &[Seen<'_>], key: &[Value]) -> Option<(Range, Range, bool)> {
        let mut addresses = (0, self.highest());
        let mut ports = (0, u16::MAX.into());
        let mut certain = fields.len() == key.len();
        for ((field, seen), value) in fields.iter().zip(seen).zip(key) {
            let cut = |range: Range, first: u128, last: u128| (range.0.max(first), range.1.min(last));
            match (seen, value) {
                (Seen::Source, Value::Numbers(first, last)) => addresses = cut(addresses, *first, *last),
                (Seen::SourcePort, Value::Numbers(first, last)) => ports = cut(ports, *first, *last),
                (Seen::Number(number), value) => match (field, is_number(field, *number, value)) {
                    (Field::ConnectionStatus | Field::FragmentOffset, _) | (_, None) => certain = false,
                    (_, Some(true)) => {}
                    (_, Some(false)) => return None,
                },
                (Seen::Interface(interface), value) => match is_interface(interface, value) {
                    Some(true) => {}
                    Some(false) => return None,
                    None => certain = false,
                },
                _ => certain = false,
            }
        }
        (addresses.0 <= addresses.1 && ports.0 <= ports.1).then_some((addresses, ports, certain))
    }

    /// Which sources have which verdict of a map, and which data.
    pub(super) fn elements<'a>(
        &self,
        fields: &[Field],
        state: &State,
        lookup: &'a Lookup,
        sets: &'a BTreeMap<String, Arc<Set>>,
    ) -> Elements<'a> {
        let seen: Vec<Seen<'_>> = fields.iter().map(|field| self.look(field, state)).collect();
        if seen.iter().any(|seen| matches!(seen, Seen::Absent)) {
            return Elements::Known {
                found: Vec::new(),
                otherwise: None,
            };
        }
        let Some(set) = resolve(lookup, sets) else {
            return Elements::Unknown;
        };
        let mut found = Vec::new();
        for element in &set.elements {
            if let Some((addresses, ports, certain)) = self.part(fields, &seen, &element.key) {
                found.push(Found {
                    addresses,
                    ports,
                    certain,
                    element,
                });
            }
        }
        Elements::Known {
            found,
            otherwise: set.otherwise.as_deref().map(|element| Found {
                addresses: (0, self.highest()),
                ports: (0, u16::MAX.into()),
                certain: are_known(&seen),
                element,
            }),
        }
    }
}

/// Whether the packet has every field for certain: the kernel leaves a rule that looks for one that is not there.
fn are_known(seen: &[Seen<'_>]) -> bool {
    !seen
        .iter()
        .any(|seen| matches!(seen, Seen::Unsure | Seen::Absent))
}

/// What a map has for some sources.
pub(super) struct Found<'a> {
    pub(super) addresses: Range,
    pub(super) ports: Range,
    pub(super) certain: bool,
    pub(super) element: &'a super::ruleset::Element,
}

pub(super) enum Elements<'a> {
    Known {
        found: Vec<Found<'a>>,
        /// For those for whom there is no other element.
        otherwise: Option<Found<'a>>,
    },
    Unknown,
}

pub(super) const TCP: u8 = 6;

fn nat_bits(state: &State, source: u128, destination: u128) -> Option<u128> {
    let translated = if state.translated? { destination } else { 0 };
    Some(if state.source_translated {
        translated | source
    } else {
        translated
    })
}

/// Expected, seen-reply, confirmed, snat, dnat, dying.
fn is_of_known_bits(test: &Test) -> bool {
    matches!(test, Test::AnyBit(bits) if bits & !0x23b == 0)
}

fn resolve<'a>(lookup: &'a Lookup, sets: &'a BTreeMap<String, Arc<Set>>) -> Option<&'a Set> {
    let set = match lookup {
        Lookup::Inline(set) => set,
        Lookup::Named(name) => sets.get(&**name)?,
    };
    (!set.uncertain).then_some(&**set)
}

fn holds(field: &Field, number: u128, test: &Test, sets: &BTreeMap<String, Arc<Set>>) -> Option<bool> {
    match test {
        Test::Value(value) => is_number(field, number, value),
        Test::Perhaps(value) => is_number(field, number, value).filter(|is_it| !is_it),
        Test::In(lookup) => {
            let set = resolve(lookup, sets)?;
            if set.otherwise.is_some() {
                return Some(true);
            }
            match &set.numbers {
                Some(ranges) => Some(ranges.contains(number)),
                None => any(set.elements.iter().map(|element| match element.key.as_slice() {
                    [value] => is_number(field, number, value),
                    _ => None,
                })),
            }
        }
        Test::Masked { mask, value } => Some(number & mask == *value),
        Test::AnyBit(bits) => Some(number & bits != 0),
    }
}

fn is_number(field: &Field, number: u128, value: &Value) -> Option<bool> {
    match value {
        Value::Numbers(first, last) => Some((*first..=*last).contains(&number)),
        Value::Name(word, false) => number_of_word(field, word).map(|known| known == number),
        Value::Name(_, true) | Value::Unknown => None,
    }
}

fn is_interface(interface: &Interface, value: &Value) -> Option<bool> {
    match value {
        Value::Name(name, is_beginning) => interface.is(name, *is_beginning),
        Value::Numbers(..) | Value::Unknown => None,
    }
}

/// Of a set to which rules may add, and of what may be a part of a longer comparison.
fn perhaps(test: &Test, sets: &BTreeMap<String, Arc<Set>>) -> Option<Perhaps> {
    let name = match test {
        Test::Perhaps(Value::Numbers(first, last)) => {
            return Some(Perhaps {
                yes: Ranges::default(),
                maybe: Ranges::one((*first, *last)),
            });
        }
        Test::In(Lookup::Named(name)) => name,
        _ => return None,
    };
    let set = sets.get(&**name)?;
    match (&set.numbers, &set.perhaps, set.uncertain) {
        (Some(yes), Some(maybe), true) => Some(Perhaps {
            yes: yes.clone(),
            maybe: maybe.clone(),
        }),
        _ => None,
    }
}

/// Whether the flags of a packet decide what a rule does, so that it makes a difference whether it has congestion notification.
pub(super) fn tells_flags_apart(matching: &Match, sets: &BTreeMap<String, Arc<Set>>) -> bool {
    if !matches!(matching.key, Key::One(Field::TcpFlags)) {
        return matching.key.fields().contains(&Field::TcpFlags);
    }
    let of = |flags: u128| holds(&Field::TcpFlags, flags, &matching.test, sets);
    let [plain, others @ ..] = Flags::ALL.map(|flags| [of(flags.first), of(flags.answer), of(flags.third)]);
    others.iter().any(|other| *other != plain)
}

/// The range that a mask of leading bits stands for.
fn prefix(mask: u128, value: u128, highest: u128) -> Option<Range> {
    let rest = highest & !mask;
    if mask > highest || value & !mask != 0 || rest.checked_add(1).is_some_and(|size| !size.is_power_of_two())
    {
        return None;
    }
    Some((value, value | rest))
}
