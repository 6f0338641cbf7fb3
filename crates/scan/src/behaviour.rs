//! How hosts behave while they are looked at: who is to be left alone, and whose answers mean less than they seem. Pure.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use portcullis_model::{Label, Remark};

use crate::probe::{Conduct, milliseconds};

/// An answer is slow when it takes so many times as long as the fastest of the same host …
const SLOWER: u32 = 10;
/// … and longer than this.
const SLOW: Duration = Duration::from_millis(300);
/// After so many in a row the host is left alone.
const ENOUGH: u8 = 2;
/// So many connections that were reset unasked show that something else accepts them.
const RESETS: u8 = 3;
/// So many open ports, and no other, show that every port would be open.
pub(crate) const ALL_OPEN: usize = 8;

#[derive(Debug, Clone, Copy, Default)]
struct Host {
    fastest: Option<Duration>,
    slow: u8,
    /// Connections that ended in order.
    orderly: bool,
    resets: u8,
    resets_unasked: u8,
    unacknowledged: u8,
    open: u32,
    other: u32,
}

/// All hosts that have answered.
#[derive(Debug, Default)]
pub(crate) struct Behaviour {
    hosts: BTreeMap<usize, Host>,
    left: BTreeMap<usize, String>,
}

impl Behaviour {
    /// A port answered for the first time.
    pub(crate) fn port(&mut self, host: usize, open: bool) {
        let host = self.hosts.entry(host).or_default();
        if open {
            host.open += 1;
        } else {
            host.other += 1;
        }
    }

    /// An answer came so long after the question. Returns whether the host is to be left alone from now on.
    pub(crate) fn answer(&mut self, place: usize, after: Duration) -> bool {
        let host = self.hosts.entry(place).or_default();
        let fastest = host.fastest.map_or(after, |fastest| fastest.min(after));
        host.fastest = Some(fastest);
        if after <= fastest.saturating_mul(SLOWER).max(SLOW) {
            host.slow = 0;
            return false;
        }
        host.slow = host.slow.saturating_add(1);
        if host.slow < ENOUGH {
            return false;
        }
        let (before, now) = (milliseconds(fastest), milliseconds(after));
        self.leave(
            place,
            format!("its answers became slow: {before} before, {now} now"),
        )
    }

    /// A connection ended. Returns whether the host is to be left alone from now on.
    pub(crate) fn connection(&mut self, place: usize, conduct: Conduct) -> bool {
        let host = self.hosts.entry(place).or_default();
        host.unacknowledged = host
            .unacknowledged
            .saturating_add(u8::from(conduct.unacknowledged));
        host.resets_unasked = host
            .resets_unasked
            .saturating_add(u8::from(conduct.reset_unasked));
        if !conduct.reset_unasked && !conduct.reset_when_asked {
            host.orderly = true;
            host.resets = 0;
            return false;
        }
        host.resets = host.resets.saturating_add(1);
        if !host.orderly || host.resets < ENOUGH {
            return false;
        }
        self.leave(place, "it began to reset connections that it had accepted".into())
    }

    /// The host stopped answering.
    pub(crate) fn stopped(&mut self, place: usize, missed: u32) -> bool {
        let reason =
            format!("it stopped answering: {missed} questions in a row to a port that had answered before");
        self.leave(place, reason)
    }

    /// It is left alone. Returns whether it was not before.
    pub(crate) fn leave(&mut self, place: usize, reason: String) -> bool {
        let new = !self.left.contains_key(&place);
        self.left.entry(place).or_insert(reason);
        new
    }

    /// Why a host is left alone.
    pub(crate) fn left(&self, place: usize) -> Option<&str> {
        if self.left.is_empty() {
            return None;
        }
        self.left.get(&place).map(String::as_str)
    }

    /// What is to be said of the hosts.
    pub(crate) fn remarks(&self, address: impl Fn(usize) -> Option<IpAddr>) -> Vec<Remark> {
        let mut remarks = Vec::new();
        let mut remark = |place: usize, label: Label, reason: String| {
            if let Some(address) = address(place) {
                remarks.push(Remark {
                    address,
                    label,
                    reason,
                });
            }
        };
        for (place, reason) in &self.left {
            remark(*place, Label::LeftAlone, reason.clone());
        }
        for (place, host) in &self.hosts {
            if host.open as usize >= ALL_OPEN && host.other == 0 {
                let reason = format!(
                    "each of the {} ports that were asked is open: something answers in its place, and an open port shows no service",
                    host.open
                );
                remark(*place, Label::EveryPortOpen, reason);
            }
            if host.resets_unasked >= RESETS && !host.orderly {
                let reason = format!(
                    "all {} connections were accepted and then reset at once: something in front of it accepts for it",
                    host.resets_unasked
                );
                remark(*place, Label::SynProxy, reason);
            }
            if host.unacknowledged > 0 {
                let reason = "it accepts connections and acknowledges nothing that is sent on them".into();
                remark(*place, Label::Tarpit, reason);
            }
        }
        remarks.sort_by_key(|remark| (remark.address, remark.label));
        remarks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESET: Conduct = Conduct {
        reset_unasked: true,
        reset_when_asked: false,
        unacknowledged: false,
        spoke_after: None,
        listened: std::time::Duration::ZERO,
        answer_to_end: None,
        options: None,
    };

    fn labels(behaviour: &Behaviour) -> Vec<Label> {
        let remarks = behaviour.remarks(|place| Some([10, 0, 0, place as u8].into()));
        remarks.into_iter().map(|remark| remark.label).collect()
    }

    #[test]
    fn a_host_whose_answers_become_slow_is_left_alone() {
        let mut behaviour = Behaviour::default();
        let mut answer = |after| behaviour.answer(1, Duration::from_millis(after));
        assert!(!answer(4) && !answer(700) && !answer(5) && !answer(301) && answer(900));
        assert!(behaviour.left(1).unwrap().contains("4.0 ms before, 900 ms now"));
        assert_eq!(behaviour.left(2), None);
    }

    #[test]
    fn a_host_that_was_always_slow_is_not() {
        let mut behaviour = Behaviour::default();
        assert!((0..9).all(|_| !behaviour.answer(1, Duration::from_millis(900))));
    }

    #[test]
    fn a_host_that_starts_to_reset_is_left_alone_and_one_that_always_did_is_a_proxy() {
        let mut behaviour = Behaviour::default();
        assert!(!behaviour.connection(1, Conduct::default()));
        assert!(!behaviour.connection(1, RESET) && behaviour.connection(1, RESET));
        assert!((0..4).all(|_| !behaviour.connection(2, RESET)));
        assert_eq!(labels(&behaviour), [Label::LeftAlone, Label::SynProxy]);
    }

    #[test]
    fn every_port_open_and_tarpit() {
        let mut behaviour = Behaviour::default();
        (0..8).for_each(|_| behaviour.port(1, true));
        (0..8).for_each(|_| behaviour.port(2, true));
        behaviour.port(2, false);
        let held = Conduct {
            unacknowledged: true,
            ..Conduct::default()
        };
        behaviour.connection(3, held);
        assert_eq!(labels(&behaviour), [Label::EveryPortOpen, Label::Tarpit]);
    }
}
