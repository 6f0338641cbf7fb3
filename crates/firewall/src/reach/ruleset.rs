//! A packet filter of Linux as values: what `nft` and `iptables-save` print, without what has no bearing on who gets
//! through. Whatever was not understood stands here as such.

use std::{collections::BTreeMap, sync::Arc};

use crate::{family::Family, reach::ranges::Ranges};

/// All that was read of the rules of one host.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ruleset {
    pub(super) tables: Vec<Table>,
    /// Objects outside every table that were not understood.
    pub(super) strangers: Vec<String>,
    /// Rules of Windows; then there are no tables.
    pub(super) windows: Option<super::windows::Policy>,
}

/// The packets that a table sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    V4,
    V6,
    Both,
    /// Packets of both families on some interfaces, as they come in: `netdev`.
    Device,
    /// Frames, before or beside the network layer: `bridge`, `arp`.
    Frames,
    Unknown,
}

impl Scope {
    pub(super) fn sees(self, family: Family) -> bool {
        match self {
            Self::V4 => family == Family::V4,
            Self::V6 => family == Family::V6,
            Self::Both | Self::Device | Self::Frames | Self::Unknown => true,
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Table {
    pub(super) scope: Scope,
    /// As an administrator would write it, e.g. `inet filter` or `iptables filter`.
    pub(super) name: String,
    /// Whether it is switched off (`flags dormant`), which not every listing tells.
    pub(super) dormant: Option<bool>,
    pub(super) sets: BTreeMap<String, Arc<Set>>,
    pub(super) chains: BTreeMap<String, Chain>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Chain {
    pub(super) base: Option<Base>,
    pub(super) rules: Vec<Rule>,
}

/// What makes a chain see packets by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Base {
    /// Only packets that arrive by one of these, where it stands before the network layer; without any, it is not known which.
    pub(super) devices: Vec<String>,
    pub(super) kind: Kind,
    pub(super) hook: Hook,
    pub(super) priority: i64,
    pub(super) drops: bool,
}

/// Priorities of what the kernel itself does at a hook (`enum nf_ip_hook_priorities`).
pub(super) mod priority {
    pub(in crate::reach) const TRACKING: i64 = -200;
    pub(in crate::reach) const NEW_DESTINATION: i64 = -100;
    pub(in crate::reach) const NEW_SOURCE: i64 = 100;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Filter,
    Nat,
}

/// Where in the kernel a base chain stands (`nft(8)`, address family hooks).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Hook {
    Ingress,
    Prerouting,
    Input,
    Forward,
    Output,
    Postrouting,
    Unknown,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rule {
    pub(super) at: At,
    pub(super) steps: Vec<Step>,
    /// It has parts of iptables, which `nft` names and does not show.
    pub(super) needs_save: bool,
    /// As its system writes it, cut short; where that is at hand.
    pub(super) text: Option<Box<str>>,
}

impl Rule {
    pub(super) fn new(at: At, steps: Vec<Step>) -> Self {
        Self {
            at,
            steps,
            needs_save: false,
            text: None,
        }
    }
}

/// How a rule is found again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum At {
    /// `nft -a` shows it.
    Handle(u64),
    /// In the text that was read, from 1.
    Line(usize),
    /// The name that its system has for it.
    Named(Arc<str>),
}

/// A rule does one after the other, until something does not match.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    Match(Match),
    Verdict(Verdict),
    /// The verdict that a map has for a key. Without one, the rule ends.
    VerdictMap {
        key: Vec<Field>,
        map: Lookup,
    },
    /// Changes a mark to what a map has for a key. Without one, the rule ends.
    SetMarkByMap {
        key: Vec<Field>,
        map: Lookup,
        /// The mark of the connection; otherwise that of the packet.
        of_connection: bool,
    },
    /// Changes the mark of the packet.
    SetMark(MarkValue),
    /// Changes the mark of the connection.
    SetConnectionMark(MarkValue),
    /// This packet belongs to no connection.
    NoTrack,
    /// Another destination, in chains of kind nat.
    Translate(Translation),
    /// Another source, in chains of kind nat; of packets of this family only.
    TranslateSource(Option<Family>),
    /// A copy goes to this address, or to one that is not known; where that is one of this host, or the one that is asked for, it gets there by itself.
    Copy(Option<u128>),
    /// Goes on or not, who knows.
    Perhaps(String),
    /// It may do anything.
    Opaque(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    Accept,
    Drop,
    Return,
    Continue,
    Jump(Arc<str>),
    Goto(Arc<str>),
    Opaque(String),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Match {
    pub(super) key: Key,
    pub(super) test: Test,
    pub(super) negated: bool,
    /// What holds where the packet has nothing of the kind, e.g. belongs to no connection.
    pub(super) when_absent: bool,
}

/// What of a packet is looked at. Most rules look at one thing.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Key {
    One(Field),
    Several(Vec<Field>),
}

impl Key {
    pub(super) fn fields(&self) -> &[Field] {
        match self {
            Self::One(field) => std::slice::from_ref(field),
            Self::Several(fields) => fields,
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Test {
    Value(Value),
    /// Another value is not it; of this one it is not known ([`super::negated`]).
    Perhaps(Value),
    In(Lookup),
    /// Some bits, after a mask, have this value.
    Masked {
        mask: u128,
        value: u128,
    },
    /// At least one of these bits is set.
    AnyBit(u128),
}

/// A set, or the name of one that stands in the table.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Lookup {
    Inline(Arc<Set>),
    Named(Arc<str>),
}

/// One or the other end of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Source,
    Destination,
}

/// Something of a packet. A field that the packet does not have matches nothing, negated or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Field {
    Address(End, Family),
    /// The port, if the packet is of this protocol; `None` is any that has ports.
    Port(End, Option<u8>),
    Protocol,
    /// The protocol as a field of the header of this family.
    ProtocolOf(Family),
    /// 4 or 6.
    Family,
    /// What the frame says that it carries (`meta protocol`; IEEE 802 numbers).
    FrameProtocol,
    ArrivesBy,
    LeavesBy,
    Mark,
    ConnectionMark,
    /// Bits of [`state`].
    ConnectionState,
    /// The same, with the two bits that iptables adds.
    ConnectionStateAndNat,
    /// 0 original, 1 reply.
    ConnectionDirection,
    /// Bits of the kernel's `enum ip_conntrack_status`.
    ConnectionStatus,
    /// Of the first packet of the connection, as it arrived.
    OriginalAddress(End, Family),
    OriginalPort(End),
    /// Of the answer to it.
    ReplyAddress(End, Family),
    ReplyPort(End),
    TcpFlags,
    /// Whether an extension header of IPv6, or an option of IPv4, is there: none is (docs/reach.md).
    Extension(Family),
    /// Of such a header, or of another protocol than any question: no packet has it.
    Missing,
    /// The length of the header of IPv4, in units of 4 bytes, without options.
    HeaderLength,
    /// The place of a fragment and the flags beside it (RFC 791): of a whole packet, only one of them may be set.
    FragmentOffset,
    /// A number of [`kind`].
    DestinationKind,
    /// The same for the source.
    SourceKind,
    /// Something that no question says.
    Unknown(String),
    /// The same, of packets of this family only.
    UnknownOf(Family, String),
}

/// States of connections as `ct state` has them, and two more that iptables has among them.
pub(super) mod state {
    pub(in crate::reach) const INVALID: u128 = 1;
    pub(in crate::reach) const ESTABLISHED: u128 = 2;
    pub(in crate::reach) const RELATED: u128 = 4;
    pub(in crate::reach) const NEW: u128 = 8;
    pub(in crate::reach) const UNTRACKED: u128 = 64;
    /// Of iptables: the source was translated.
    pub(in crate::reach) const SNAT: u128 = 1 << 16;
    /// Of iptables: the destination was translated.
    pub(in crate::reach) const DNAT: u128 = 1 << 17;

    pub(in crate::reach) fn of_name(name: &str) -> Option<u128> {
        Some(match name.to_ascii_lowercase().as_str() {
            "invalid" => INVALID,
            "established" => ESTABLISHED,
            "related" => RELATED,
            "new" => NEW,
            "untracked" => UNTRACKED,
            _ => return None,
        })
    }
}

/// Kinds of addresses, as `fib … type` and `-m addrtype` have them (`linux/rtnetlink.h`).
pub(super) mod kind {
    pub(in crate::reach) const UNICAST: u128 = 1;
    pub(in crate::reach) const LOCAL: u128 = 2;
    pub(in crate::reach) const BROADCAST: u128 = 3;
    pub(in crate::reach) const ANYCAST: u128 = 4;
    pub(in crate::reach) const MULTICAST: u128 = 5;

    pub(in crate::reach) fn of_name(name: &str) -> Option<u128> {
        let names = [
            "unspec",
            "unicast",
            "local",
            "broadcast",
            "anycast",
            "multicast",
            "blackhole",
            "unreachable",
            "prohibit",
            "throw",
            "nat",
            "xresolve",
        ];
        let name = name.to_ascii_lowercase();
        let at = names.iter().position(|known| *known == name)?;
        u128::try_from(at).ok()
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// From the first to the last number.
    Numbers(u128, u128),
    /// The name of an interface, or with `true` only its beginning.
    Name(Arc<str>, bool),
    Unknown,
}

/// A set or a map.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Set {
    pub(super) elements: Vec<Element>,
    /// All elements at once, when each is one range of numbers and no more than that.
    pub(super) numbers: Option<Ranges>,
    /// What holds where no other element does: the element `*`.
    pub(super) otherwise: Option<Box<Element>>,
    /// Rules add or remove elements, or it was not understood: what it holds is not known.
    pub(super) uncertain: bool,
    /// Numbers that rules may add: what else it holds is known.
    pub(super) perhaps: Option<Ranges>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Element {
    pub(super) key: Vec<Value>,
    /// Of a verdict map.
    pub(super) verdict: Option<Verdict>,
    /// Of another map.
    pub(super) data: Vec<Value>,
}

impl Set {
    pub(super) fn new(elements: Vec<Element>) -> Self {
        let number = |element: &Element| match element.key.as_slice() {
            [Value::Numbers(first, last)] if element.verdict.is_none() && element.data.is_empty() => {
                Some((*first, *last))
            }
            _ => None,
        };
        let numbers: Option<Vec<_>> = elements.iter().map(number).collect();
        let numbers = numbers.map(|all| all.into_iter().collect());
        Self {
            elements: if numbers.is_some() { Vec::new() } else { elements },
            numbers,
            otherwise: None,
            uncertain: false,
            perhaps: None,
        }
    }

    /// The same set with an element for all other keys.
    pub(super) fn with_otherwise(self, otherwise: Element) -> Self {
        Self {
            // No longer all that it holds.
            numbers: None,
            otherwise: Some(Box::new(otherwise)),
            ..self
        }
    }

    /// Every element, and what holds where none does.
    pub(super) fn all(&self) -> impl Iterator<Item = &Element> {
        self.elements.iter().chain(self.otherwise.as_deref())
    }

    /// A set of which nothing is known.
    pub(super) fn unknown() -> Self {
        Self {
            uncertain: true,
            ..Self::default()
        }
    }
}

/// What a mark becomes: `(from & and) ^ xor`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MarkValue {
    pub(super) from: MarkSource,
    pub(super) and: u32,
    pub(super) xor: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MarkSource {
    Zero,
    Mark,
    ConnectionMark,
    Unknown,
}

impl MarkValue {
    pub(super) const UNKNOWN: Self = Self {
        from: MarkSource::Unknown,
        and: 0,
        xor: 0,
    };

    pub(super) fn constant(value: u32) -> Self {
        Self {
            from: MarkSource::Zero,
            and: 0,
            xor: value,
        }
    }

    pub(super) fn copy(from: MarkSource) -> Self {
        Self {
            from,
            and: u32::MAX,
            xor: 0,
        }
    }

    pub(super) fn and(self, bits: u32) -> Self {
        Self {
            and: self.and & bits,
            xor: self.xor & bits,
            ..self
        }
    }

    pub(super) fn or(self, bits: u32) -> Self {
        let cleared = self.and(!bits);
        Self {
            xor: cleared.xor | bits,
            ..cleared
        }
    }

    pub(super) fn xor(self, bits: u32) -> Self {
        Self {
            xor: self.xor ^ bits,
            ..self
        }
    }
}

/// Where a packet is sent instead.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Translation {
    /// Of packets of this family only.
    pub(super) family: Option<Family>,
    pub(super) address: NewAddress,
    pub(super) port: NewPort,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum NewAddress {
    Keep,
    /// An address of the interface by which the packet arrives.
    Here,
    To(u128),
    /// What a map has for a key; with a port where its data have two fields.
    Mapped {
        key: Vec<Field>,
        map: Lookup,
    },
    /// One of several.
    Unknown,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum NewPort {
    Keep,
    To(u16),
    Unknown,
}
