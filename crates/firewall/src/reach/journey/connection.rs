//! What the kernel itself does at a hook for a connection: to track it, and to translate its packets.

use super::{Journey, Station};
use crate::reach::{
    flow::Flow,
    link::special,
    packet::{State, TCP, Tracking},
    place::Tag,
    ruleset::{Hook, Kind},
    walk::join,
};

impl Journey<'_> {
    pub(super) fn track(&self, flow: Flow) -> Flow {
        let mut tracked = Flow::new();
        for (mut state, region) in flow {
            if state.tracking != Tracking::NotYet {
                join(&mut tracked, state, region);
                continue;
            }
            let sight = &self.walk.sight;
            state.tracking = match (sight.is_reply, sight.is_third) {
                (false, false) => Tracking::New,
                // Nobody has seen what it answers, or the answer to what it follows.
                (true, _) if !state.tracked && sight.protocol == TCP => Tracking::Invalid,
                (true, _) if !state.tracked => Tracking::New,
                (false, true) if state.tracked && !state.answered => Tracking::Invalid,
                (false, true) if !state.tracked => {
                    // With `nf_conntrack_tcp_loose` it is taken for the first of a connection.
                    let invalid = State {
                        tracking: Tracking::Invalid,
                        ..state.clone()
                    };
                    let tag = |tag| Tag {
                        fork: special::PICKED_UP,
                        ..tag
                    };
                    join(&mut tracked, invalid, region.clone().tagged(tag));
                    Tracking::New
                }
                (true, _) | (false, true) => Tracking::Established,
            };
            match (sight.is_reply, sight.is_third) {
                (false, false) => state.tracked = true,
                (true, _) => state.answered = state.tracking == Tracking::Established,
                _ => {}
            }
            join(&mut tracked, state, region);
        }
        tracked
    }

    /// Whether any rule makes the kernel track connections of this family.
    fn is_tracked(&self) -> bool {
        let family = self.walk.sight.family;
        self.rules
            .tables
            .iter()
            .any(|table| table.tracks.contains(&family) && table.table.scope.sees(family))
    }

    /// New connections go through the chains of kind nat, until one of them decides.
    pub(super) fn translate(&mut self, hook: Hook, flow: Flow) -> Flow {
        let chains = self.chains_of(hook, Kind::Nat);
        let (mut done, mut open) = (Flow::new(), Flow::new());
        for (state, region) in flow {
            let to = if state.tracking == Tracking::New {
                &mut open
            } else {
                &mut done
            };
            join(
                to,
                State {
                    bound: false,
                    ..state
                },
                region,
            );
        }
        let stops = |(_, station): &(i64, Station<'_>)| matches!(station, Station::Chain(_, chain) | Station::Perhaps(_, chain, _) if chain.does.stops);
        if !self.is_tracked() && chains.iter().any(stops) {
            // Without a rule that needs it nothing is tracked, and these chains are not asked.
            for (state, region) in open.clone() {
                join(&mut done, state, region);
            }
            let fork = |tag| Tag {
                fork: special::TRACKING,
                ..tag
            };
            open = open
                .into_iter()
                .map(|(state, region)| (state, region.tagged(fork)))
                .collect();
        }
        let open = self.in_order(hook, &chains, open);
        for (state, region) in open {
            join(&mut done, state, region);
        }
        done
    }

    /// An answer gets the addresses back that the first packet had, and what follows it gets the new ones again.
    pub(super) fn translate_known(&self, hook: Hook, flow: Flow) -> Flow {
        let mut back = Flow::new();
        for (mut state, region) in flow {
            let translated = state.tracking == Tracking::Established;
            if translated && self.walk.sight.is_third {
                match hook {
                    Hook::Prerouting | Hook::Output => {
                        state.address = state.new_address;
                        state.port = state.new_port;
                    }
                    _ => state.hidden = state.source_translated,
                }
            } else if translated {
                match hook {
                    Hook::Prerouting | Hook::Output => state.hidden = false,
                    _ => {
                        state.address = self.departure.address;
                        state.port = self.departure.port;
                    }
                }
            }
            join(&mut back, state, region);
        }
        back
    }
}
