//! The way of a packet through the hooks of the kernel, and of the answer to it.

mod connection;

use std::{collections::BTreeMap, sync::Arc};

use super::{
    applied::Applied,
    arrivals::is_above,
    flow::Flow,
    link::{Linked, LinkedChain, LinkedTable, is_followed, special},
    packet::{Flags, Interface, Sight, State, TCP, Tracking},
    place::{CauseId, Tag},
    places::{Here, Place, Places},
    ruleset::{Base, Hook, Kind, NewAddress, Scope, Step, priority},
    space::Region,
    walk::{Walk, join},
};
use crate::family::Family;

/// Where a first packet comes from and goes to.
#[derive(Debug, Clone)]
pub(super) struct Departure<'a> {
    pub(super) family: Family,
    pub(super) protocol: u8,
    pub(super) port: u16,
    /// Without one it is any address of this host.
    pub(super) address: Option<u128>,
    pub(super) forwarded: bool,
    /// The kind of the address, where it is one of several hosts at once.
    pub(super) group: Option<u128>,
    pub(super) arrives: Interface,
    pub(super) host: &'a Arc<Places>,
}

/// Where packets are led that were sent to what is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Led {
    /// Without one it is this host.
    pub(super) address: Option<u128>,
    /// Which of its own addresses, where a rule names one.
    pub(super) at: Option<u128>,
    pub(super) port: u16,
    /// The rule that leads them there.
    pub(super) by: CauseId,
}

/// Where sources end. Who is in more than one is somebody of whom nothing can be concluded.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    pub(super) through: Region,
    /// Who gets through, but to an own address that a rule names.
    pub(super) through_at: BTreeMap<u128, Region>,
    /// Who gets through, but to something else.
    pub(super) led: BTreeMap<Led, Region>,
    pub(super) blocked: Region,
    /// The rules that applied to anybody on the way.
    pub(super) applied: Applied,
}

impl Arrivals {
    /// Adds where they end if something holds of which that is not known. Who does not end alike is then not concluded.
    pub(super) fn perhaps(&mut self, other: Self, cause: CauseId) {
        let fork = |tag: Tag| Tag {
            fork: if tag.fork == 0 { cause } else { tag.fork },
            ..tag
        };
        self.through.absorb(other.through.tagged(fork));
        self.blocked.absorb(other.blocked.tagged(fork));
        for (at, region) in other.through_at {
            self.through_at.entry(at).or_default().absorb(region.tagged(fork));
        }
        for (led, region) in other.led {
            self.led.entry(led).or_default().absorb(region.tagged(fork));
        }
        self.applied.join(&other.applied);
    }
}

/// Sends everybody on the way.
pub(super) fn travel(rules: &Linked<'_>, strangers: bool, departure: &Departure<'_>) -> Arrivals {
    let [plain, notifying @ ..] = Flags::ALL;
    let mut all = travel_with(rules, strangers, departure, plain);
    if rules.tells_notification && departure.protocol == TCP {
        // Each kind of connection has its way, and who does not arrive alike with all of them is not concluded.
        for flags in notifying {
            all.perhaps(
                travel_with(rules, strangers, departure, flags),
                special::NOTIFICATION,
            );
        }
    }
    all
}

fn travel_with(rules: &Linked<'_>, strangers: bool, departure: &Departure<'_>, flags: Flags) -> Arrivals {
    let sight = Sight {
        family: departure.family,
        protocol: departure.protocol,
        address: departure.address,
        port: departure.port,
        forwarded: departure.forwarded,
        group: departure.group,
        places: Arc::clone(departure.host),
        here: match &departure.arrives {
            Interface::Named(name) => departure.host.here(name),
            _ => Here::Several,
        },
        is_reply: false,
        is_third: false,
        arrives: departure.arrives.clone(),
        leaves: Interface::Nothing,
        flags,
    };
    let everybody = Region::everybody(sight.highest());
    let walk = Walk {
        sight,
        decides: false,
        blocked: Region::default(),
        perhaps: Region::default(),
        steps: 0,
        applied: Applied::default(),
    };
    let mut journey = Journey {
        rules,
        departure,
        walk,
        through: Region::default(),
        through_at: BTreeMap::new(),
        led: BTreeMap::new(),
    };
    if strangers {
        journey.walk.give_up(everybody.clone(), special::STRANGER);
    }
    let state = State {
        mark: Some(0),
        connection_mark: Some(0),
        tracking: Tracking::NotYet,
        address: departure.address,
        port: departure.port,
        new_address: departure.address,
        new_port: departure.port,
        translated: Some(false),
        translated_by: 0,
        bound: false,
        source_translated: false,
        hidden: false,
        tracked: false,
        answered: false,
    };
    let flow = journey.frames(state, everybody);
    let flow = journey.hook(Hook::Ingress, flow);
    let flow = journey.hook(Hook::Prerouting, flow);
    journey.routed(flow);
    let mut arrivals = Arrivals {
        through: journey.through,
        through_at: journey.through_at,
        led: journey.led,
        blocked: std::mem::take(&mut journey.walk.blocked),
        applied: std::mem::take(&mut journey.walk.applied),
    };
    arrivals.through.absorb(std::mem::take(&mut journey.walk.perhaps));
    arrivals
}

/// What stands at a hook.
#[derive(Clone, Copy)]
enum Station<'a> {
    Chain(&'a LinkedTable<'a>, &'a LinkedChain<'a>),
    /// One of which it is not known whether it is there for the packets.
    Perhaps(&'a LinkedTable<'a>, &'a LinkedChain<'a>, CauseId),
    /// Connection tracking.
    Tracking,
    /// All chains of kind nat, which have one place whatever their own priority is.
    Translation,
}

struct Journey<'a> {
    rules: &'a Linked<'a>,
    departure: &'a Departure<'a>,
    walk: Walk,
    through: Region,
    through_at: BTreeMap<u128, Region>,
    led: BTreeMap<Led, Region>,
}

impl<'a> Journey<'a> {
    /// Tables that look at frames come before, and are not understood beyond whether they stop or change anything.
    fn frames(&mut self, state: State, everybody: Region) -> Flow {
        let mut state = state;
        for (table, chain) in self.base_chains() {
            let Some(base) = &chain.chain.base else {
                continue;
            };
            let is_followed = is_followed(table.table.scope, base.hook);
            if is_followed
                || !table.table.scope.sees(self.walk.sight.family)
                || self.comes_by(base) == Some(false)
                || table.table.dormant == Some(true)
            {
                continue;
            }
            if chain.does.stops || table.table.scope == Scope::Unknown {
                let tag = |tag| Tag {
                    fork: chain.id,
                    ..tag
                };
                self.walk.blocked.absorb(everybody.clone().tagged(tag));
            }
            if chain.does.changes || table.table.scope == Scope::Unknown {
                state.mark = None;
            }
        }
        Flow::of(state, everybody)
    }

    fn base_chains(&self) -> impl Iterator<Item = (&'a LinkedTable<'a>, &'a LinkedChain<'a>)> + use<'a> {
        let with_base = |chain: &&LinkedChain<'_>| chain.chain.base.is_some();
        self.rules.tables.iter().flat_map(move |table| {
            table
                .chains
                .values()
                .filter(with_base)
                .map(move |chain| (table, chain))
        })
    }

    /// The chains of one hook that see the packets, each with its priority.
    fn chains_of(&self, hook: Hook, kind: Kind) -> Vec<(i64, Station<'a>)> {
        let family = self.walk.sight.family;
        let here = |(table, chain): (&'a LinkedTable<'a>, &'a LinkedChain<'a>)| {
            let base = chain.chain.base.as_ref()?;
            let is_here = base.hook == hook
                && base.kind == kind
                && is_followed(table.table.scope, hook)
                && table.table.scope.sees(family);
            let comes_by = match hook {
                Hook::Ingress => self.comes_by(base),
                _ => Some(true),
            };
            let station = match (is_here, table.table.dormant, comes_by) {
                (false, ..) | (_, Some(true), _) | (.., Some(false)) => return None,
                (_, None, _) => Station::Perhaps(table, chain, special::DORMANT),
                (.., None) => Station::Perhaps(table, chain, special::DEVICE),
                _ => Station::Chain(table, chain),
            };
            Some((base.priority, station))
        };
        let mut chains: Vec<_> = self.base_chains().filter_map(here).collect();
        chains.sort_by_key(|(priority, _)| *priority);
        chains
    }

    /// Whether packets come by an interface of a chain that stands before the network layer.
    fn comes_by(&self, base: &Base) -> Option<bool> {
        let Interface::Named(name) = &self.walk.sight.arrives else {
            let is_unknown = base.devices.is_empty() || self.walk.sight.arrives == Interface::Unknown;
            return if is_unknown { None } else { Some(false) };
        };
        let mut devices = base.devices.iter();
        if devices.clone().any(|device| **device == **name) {
            return Some(true);
        }
        // What comes by a VLAN comes by the interface beneath it first.
        if base.devices.is_empty() || devices.any(|device| is_above(name, device)) {
            return None;
        }
        Some(false)
    }

    fn translates(&self) -> bool {
        [Hook::Prerouting, Hook::Input, Hook::Output, Hook::Postrouting]
            .into_iter()
            .any(|hook| !self.chains_of(hook, Kind::Nat).is_empty())
    }

    /// Everything that happens at a hook, in its order.
    fn hook(&mut self, hook: Hook, flow: Flow) -> Flow {
        let mut stations = self.chains_of(hook, Kind::Filter);
        if matches!(hook, Hook::Prerouting | Hook::Output) {
            stations.push((priority::TRACKING, Station::Tracking));
        }
        if !matches!(hook, Hook::Ingress | Hook::Forward) && self.translates() {
            let at = match hook {
                Hook::Prerouting | Hook::Output => priority::NEW_DESTINATION,
                _ => priority::NEW_SOURCE,
            };
            stations.push((at, Station::Translation));
        }
        stations.sort_by_key(|(priority, _)| *priority);
        self.in_order(hook, &stations, flow)
    }

    /// Stations of one priority stand in the order in which they were loaded, which no listing tells.
    fn in_order(&mut self, hook: Hook, stations: &[(i64, Station<'a>)], flow: Flow) -> Flow {
        let mut flow = flow;
        for group in stations.chunk_by(|a, b| a.0 == b.0) {
            let group: Vec<Station<'a>> = group.iter().map(|(_, station)| *station).collect();
            let changes = group.iter().any(|station| match station {
                Station::Chain(_, chain) | Station::Perhaps(_, chain, _) => chain.does.changes,
                Station::Tracking | Station::Translation => true,
            });
            if group.len() == 1 || !changes {
                for station in group {
                    flow = self.station(hook, station, flow);
                }
                continue;
            }
            flow = self.in_any_order(hook, &group, flow);
        }
        flow
    }

    fn in_any_order(&mut self, hook: Hook, group: &[Station<'a>], flow: Flow) -> Flow {
        if group.len() > 4 {
            for (_, region) in flow {
                self.walk.give_up(region, special::ORDER);
            }
            return Flow::new();
        }
        let (blocked, perhaps) = (
            std::mem::take(&mut self.walk.blocked),
            std::mem::take(&mut self.walk.perhaps),
        );
        let (mut all_blocked, mut all_perhaps, mut all) = (blocked, perhaps, Flow::new());
        for (number, order) in orders(group).into_iter().enumerate() {
            let mut left = flow.clone();
            for station in order {
                left = self.station(hook, station, left);
            }
            let fork = |tag: Tag| match number {
                0 => tag,
                _ => Tag {
                    fork: special::ORDER,
                    ..tag
                },
            };
            all_blocked.absorb(std::mem::take(&mut self.walk.blocked).tagged(fork));
            all_perhaps.absorb(std::mem::take(&mut self.walk.perhaps).tagged(fork));
            for (state, region) in left {
                join(&mut all, state, region.tagged(fork));
            }
        }
        self.walk.blocked = all_blocked;
        self.walk.perhaps = all_perhaps;
        all
    }

    fn station(&mut self, hook: Hook, station: Station<'a>, flow: Flow) -> Flow {
        match station {
            Station::Chain(table, chain) => {
                let is_nat = chain
                    .chain
                    .base
                    .as_ref()
                    .is_some_and(|base| base.kind == Kind::Nat);
                let (bound, open): (Flow, Flow) =
                    flow.into_iter().partition(|(state, _)| is_nat && state.bound);
                let mut left = self.walk.base_chain(table, chain, open);
                for (state, region) in bound {
                    join(&mut left, state, region);
                }
                left
            }
            Station::Perhaps(table, chain, cause) => {
                let fork = |tag| Tag { fork: cause, ..tag };
                let perhaps = flow
                    .clone()
                    .into_iter()
                    .map(|(state, region)| (state, region.tagged(fork)))
                    .collect();
                let mut left = flow;
                for (state, region) in self.station(hook, Station::Chain(table, chain), perhaps) {
                    join(&mut left, state, region);
                }
                left
            }
            Station::Tracking => self.track(flow),
            Station::Translation if self.walk.sight.is_reply => self.translate_known(hook, flow),
            Station::Translation if self.walk.sight.is_third => {
                let (new, known) = flow
                    .into_iter()
                    .partition(|(state, _)| state.tracking == Tracking::New);
                let mut done = self.translate_known(hook, known);
                for (state, region) in self.translate(hook, new) {
                    join(&mut done, state, region);
                }
                done
            }
            Station::Translation => self.translate(hook, flow),
        }
    }

    /// What is for this host goes up, and the rest goes on.
    fn routed(&mut self, flow: Flow) {
        let (mut local, mut onward) = (Flow::new(), Flow::new());
        for (state, region) in flow {
            let is_loopback = match (self.departure.family, state.address) {
                (Family::V4, Some(address)) => address >> 24 == 127,
                (Family::V6, Some(address)) => address == 1,
                _ => false,
            };
            if is_loopback && self.walk.sight.arrives != Interface::Named("lo".into()) {
                // It depends on `route_localnet`, which is no rule.
                self.walk.give_up(region, special::LOOPBACK);
                continue;
            }
            let is_connection = self.departure.protocol == TCP;
            match self.walk.sight.place_of(state.address) {
                Place::Own => join(&mut local, state, region),
                Place::Onward => join(&mut onward, state, region),
                Place::Nobody => self.walk.block(region, special::NOBODY),
                Place::NoRoute => self.walk.block(region, special::NO_ROUTE),
                Place::Unforwarded => self.walk.block(region, special::UNFORWARDED),
                Place::Group(_) if is_connection => self.walk.block(region, special::NO_CONNECTION),
                Place::Anycast if is_connection => self.walk.block(region, special::NO_CONNECTION),
                Place::Anycast => join(&mut local, state, region),
                // Who of them takes it is told by memberships and sockets.
                Place::Group(_) => {
                    self.walk.perhaps_block(&region, special::GROUP);
                    join(&mut local, state, region);
                }
                place @ (Place::PerhapsOnward | Place::PerhapsForwarded) => {
                    let cause = match place {
                        Place::PerhapsForwarded => special::FORWARDED,
                        _ => special::ROUTE,
                    };
                    self.walk.perhaps_block(&region, cause);
                    join(&mut onward, state, region);
                }
                Place::PerhapsAnycast if is_connection => {
                    self.walk.perhaps_block(&region, special::ANYCAST);
                    join(&mut onward, state, region);
                }
                place @ (Place::PerhapsAnycast | Place::Unknown) => {
                    let fork = match place {
                        Place::PerhapsAnycast => special::ANYCAST,
                        _ => special::OWN_ADDRESS,
                    };
                    join(&mut local, state.clone(), region.clone());
                    join(&mut onward, state, region.tagged(|tag| Tag { fork, ..tag }));
                }
            }
        }
        self.walk.decides = true;
        let arrived = self.hook(Hook::Input, local);
        self.walk.decides = false;
        self.answered_here(arrived);
        // Each destination has its own way out.
        let mut by_address = BTreeMap::<Option<u128>, Flow>::new();
        for (state, region) in onward {
            by_address.entry(state.address).or_default().join(state, region);
        }
        for (address, flow) in by_address {
            self.forwarded(address, flow);
        }
    }

    /// Packets, or connections, that have got to where they are led.
    fn arrive(&mut self, flow: Flow, is_onward: bool) {
        for (state, region) in flow {
            let is_moved = match (is_onward, self.departure.forwarded) {
                // Any address of this host is as good as another one.
                (false, false) => false,
                (true, true) => state.new_address != self.departure.address,
                _ => true,
            };
            let at = if is_onward {
                None
            } else {
                self.named_by_rule(&state)
            };
            if is_moved || state.new_port != self.departure.port {
                let led = Led {
                    address: if is_onward { state.new_address } else { None },
                    at,
                    port: state.new_port,
                    by: state.translated_by,
                };
                self.led.entry(led).or_default().absorb(region);
            } else if let Some(at) = at {
                self.through_at.entry(at).or_default().absorb(region);
            } else {
                self.through.absorb(region);
            }
        }
    }

    /// The address to which a rule has translated the destination, if it names one.
    fn named_by_rule(&self, state: &State) -> Option<u128> {
        let names = |step: &Step| match step {
            Step::Translate(translation) => {
                matches!(translation.address, NewAddress::To(_) | NewAddress::Mapped { .. })
            }
            _ => false,
        };
        let rule = self.rules.rule(state.translated_by)?;
        state.new_address.filter(|_| rule.steps.iter().any(names))
    }

    /// A connection stands when its answer gets back, and the packet after that arrives. A datagram has arrived when it
    /// has arrived.
    fn answered_here(&mut self, arrived: Flow) {
        if self.departure.protocol != TCP {
            return self.arrive(arrived, false);
        }
        let arrives = self.departure.arrives.clone();
        let flow = self.turned(arrived);
        let flow = self.reply(Hook::Output, flow, Interface::Nothing, arrives.clone());
        let flow = self.reply(Hook::Postrouting, flow, Interface::Unknown, arrives.clone());
        let flow = self.back(flow);
        if !self.rules.tells_later {
            return self.arrive(flow, false);
        }
        let flow = self.third(Hook::Ingress, flow, arrives.clone(), Interface::Nothing);
        let flow = self.third(Hook::Prerouting, flow, arrives.clone(), Interface::Nothing);
        let flow = self.third(Hook::Input, flow, arrives, Interface::Nothing);
        let flow = self.of_connection(flow);
        self.arrive(flow, false);
    }

    fn forwarded(&mut self, address: Option<u128>, flow: Flow) {
        let onward = self.departure.host.way_to(address);
        let before = self.walk.sight.clone();
        self.walk.sight.leaves = onward.clone();
        self.walk.decides = true;
        let flow = self.hook(Hook::Forward, flow);
        self.walk.decides = false;
        // Older kernels do not say there by which interface it came.
        self.walk.sight.arrives = Interface::Unknown;
        let flow = self.hook(Hook::Postrouting, flow);
        self.walk.sight = before;
        if self.departure.protocol != TCP {
            return self.arrive(flow, true);
        }
        let arrives = self.departure.arrives.clone();
        let flow = self.turned(flow);
        let flow = self.reply(Hook::Ingress, flow, onward.clone(), Interface::Nothing);
        let flow = self.reply(Hook::Prerouting, flow, onward.clone(), Interface::Nothing);
        let flow = self.reply(Hook::Forward, flow, onward.clone(), arrives.clone());
        let flow = self.reply(Hook::Postrouting, flow, Interface::Unknown, arrives.clone());
        let flow = self.back(flow);
        if !self.rules.tells_later {
            return self.arrive(flow, true);
        }
        let flow = self.third(Hook::Ingress, flow, arrives.clone(), Interface::Nothing);
        let flow = self.third(Hook::Prerouting, flow, arrives.clone(), Interface::Nothing);
        let flow = self.third(Hook::Forward, flow, arrives, onward.clone());
        let flow = self.third(Hook::Postrouting, flow, Interface::Unknown, onward);
        let flow = self.of_connection(flow);
        self.arrive(flow, true);
    }

    /// Answers to packets that have arrived.
    fn turned(&self, flow: Flow) -> Flow {
        let mut turned = Flow::new();
        for (state, region) in flow {
            let state = State {
                mark: Some(0),
                tracking: Tracking::NotYet,
                address: state.new_address,
                port: state.new_port,
                hidden: state.source_translated,
                bound: false,
                ..state
            };
            join(&mut turned, state, region);
        }
        turned
    }

    fn reply(&mut self, hook: Hook, flow: Flow, arrives: Interface, leaves: Interface) -> Flow {
        self.later(hook, flow, (arrives, leaves), true)
    }

    fn third(&mut self, hook: Hook, flow: Flow, arrives: Interface, leaves: Interface) -> Flow {
        self.later(hook, flow, (arrives, leaves), false)
    }

    fn later(
        &mut self,
        hook: Hook,
        flow: Flow,
        (arrives, leaves): (Interface, Interface),
        is_reply: bool,
    ) -> Flow {
        let before = self.walk.sight.clone();
        self.walk.sight.is_reply = is_reply;
        self.walk.sight.is_third = !is_reply;
        self.walk.sight.arrives = arrives;
        self.walk.sight.leaves = leaves;
        let flow = self.hook(hook, flow);
        self.walk.sight = before;
        flow
    }

    /// What follows a right answer is sent again to where the first was sent.
    fn back(&mut self, flow: Flow) -> Flow {
        let right = self.of_connection(flow);
        let again = |(state, region): (State, Region)| {
            let state = State {
                mark: Some(0),
                tracking: Tracking::NotYet,
                address: self.departure.address,
                port: self.departure.port,
                hidden: false,
                bound: false,
                ..state
            };
            (state, region)
        };
        right.into_iter().map(again).collect()
    }

    /// A packet that is not translated as the first one was belongs to another connection, for its receiver.
    fn of_connection(&mut self, flow: Flow) -> Flow {
        let mut right = Flow::new();
        for (state, region) in flow {
            if state.tracking == Tracking::Established
                || state.translated == Some(false) && !state.source_translated
            {
                join(&mut right, state, region);
            } else if state.translated == Some(true) || state.source_translated {
                self.walk.block(region, special::NOT_TRANSLATED_BACK);
            } else {
                self.walk.give_up(region, special::NOT_TRANSLATED_BACK);
            }
        }
        right
    }
}

/// All orders of a few things.
fn orders<T: Copy>(things: &[T]) -> Vec<Vec<T>> {
    let mut orders = vec![Vec::new()];
    for thing in things {
        orders = orders
            .iter()
            .flat_map(|order: &Vec<T>| {
                (0..=order.len()).map(|at| {
                    let mut longer = order.clone();
                    longer.insert(at, *thing);
                    longer
                })
            })
            .collect();
    }
    orders
}
