//! Where the routes of a host lead what is sent to an address, by `ip route get` (ip-route(8)).

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Duration,
};

use portcullis_firewall::reach::{HostInterface, Route};
use portcullis_sys::Machine;

const PATIENCE: Duration = Duration::from_secs(30);

/// So many addresses are asked for; of others it stays unknown.
const MOST: usize = 256;

/// The routes to these addresses, as far as the host tells them.
pub(crate) fn to(
    machine: &Machine,
    addresses: &BTreeSet<IpAddr>,
    interfaces: &[HostInterface],
) -> BTreeMap<IpAddr, Route> {
    let has = |is_ipv4: bool| addresses.iter().any(|address| address.is_ipv4() == is_ipv4);
    let is_plain = |is_ipv4: bool| has(is_ipv4) && has_no_policy(machine, is_ipv4);
    let passes_on = |is_ipv4: bool| match has(is_ipv4) {
        true => forwarding(machine, is_ipv4, interfaces),
        false => Forwarding::Unknown,
    };
    let (plain_v4, plain_v6) = (is_plain(true), is_plain(false));
    let (on_v4, on_v6) = (passes_on(true), passes_on(false));
    let is_connected = |address: &IpAddr| {
        let mut networks = interfaces.iter().flat_map(|interface| &interface.networks);
        networks.any(|network| network.contains(address))
    };
    let route = |address: &IpAddr| {
        let (is_plain, passes_on) = match address.is_ipv4() {
            true => (plain_v4, on_v4),
            false => (plain_v6, on_v6),
        };
        let asked = ["route", "get", &address.to_string()];
        let said = machine.run("ip", &asked, "", PATIENCE).ok()?;
        let route = match said.success {
            true => read(&said.stdout),
            false => refused(&said.stderr),
        }?;
        // Another rule of routing may know another way for packets of others. What is connected is taken to be there.
        let route = match route {
            Route::Onward if !is_plain && !is_connected(address) => return None,
            Route::Nowhere if !is_plain => return None,
            Route::Here | Route::Anycast | Route::Broadcast if !is_plain => Route::Unclear,
            Route::Onward => match passes_on {
                Forwarding::Nothing => Route::Unforwarded,
                Forwarding::Some => Route::PerhapsForwarded,
                Forwarding::All | Forwarding::Unknown => Route::Onward,
            },
            route => route,
        };
        Some((*address, route))
    };
    addresses.iter().take(MOST).filter_map(route).collect()
}

/// Whether there are no other rules of routing than those that every host has (ip-rule(8)).
fn has_no_policy(machine: &Machine, is_ipv4: bool) -> bool {
    let family = if is_ipv4 { "-4" } else { "-6" };
    let said = machine.run("ip", &[family, "rule", "show"], "", PATIENCE);
    said.is_ok_and(|said| said.success && are_usual(&said.stdout))
}

fn are_usual(rules: &str) -> bool {
    const USUAL: [&str; 3] = [
        "0: from all lookup local",
        "32766: from all lookup main",
        "32767: from all lookup default",
    ];
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    !rules.trim().is_empty() && rules.lines().all(|line| USUAL.contains(&words(line).as_str()))
}

/// What a host passes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Forwarding {
    Nothing,
    /// What comes by some interfaces.
    Some,
    All,
    Unknown,
}

/// By which interfaces what comes is passed on (`ip-sysctl.rst` of the kernel).
fn forwarding(machine: &Machine, is_ipv4: bool, interfaces: &[HostInterface]) -> Forwarding {
    let path = |name: &str, key: &str| {
        let family = if is_ipv4 { "ipv4" } else { "ipv6" };
        format!("/proc/sys/net/{family}/conf/{name}/{key}")
    };
    let values = |paths: &[String]| {
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        let said = machine.run("cat", &paths, "", PATIENCE);
        said.map(|said| said.stdout).unwrap_or_default()
    };
    let each = |key: &str| {
        let others = interfaces.iter().filter(|one| one.name != "lo");
        others.map(|one| path(&one.name, key)).collect::<Vec<_>>()
    };
    match is_ipv4 {
        true => {
            let asked = each("forwarding");
            of_settings(&values(&asked), asked.len())
        }
        // One setting is for all, and only newer kernels have an exception for single interfaces.
        false => match of_settings(&values(&[path("all", "forwarding")]), 1) {
            Forwarding::Nothing if values(&each("force_forwarding")).contains('1') => Forwarding::Some,
            all => all,
        },
    }
}

/// Of so many settings, each on a line.
fn of_settings(values: &str, many: usize) -> Forwarding {
    let values: Vec<&str> = values.split_whitespace().collect();
    let on = values.iter().filter(|value| **value == "1").count();
    let off = values.iter().filter(|value| **value == "0").count();
    match (on, off) {
        _ if many == 0 || on + off != many => Forwarding::Unknown,
        (0, _) => Forwarding::Nothing,
        (_, 0) => Forwarding::All,
        _ => Forwarding::Some,
    }
}

fn read(said: &str) -> Option<Route> {
    Some(match said.split_whitespace().next()? {
        "local" => Route::Here,
        "anycast" => Route::Anycast,
        "broadcast" => Route::Broadcast,
        "unreachable" | "blackhole" | "prohibit" | "throw" => Route::Nowhere,
        word if word == "unicast" || word.parse::<IpAddr>().is_ok() => Route::Onward,
        _ => return None,
    })
}

/// By what the kernel answers to one who asks for a route that is not there, or that is a refusal.
fn refused(said: &str) -> Option<Route> {
    const ANSWERS: [&str; 4] = [
        "Network is unreachable",
        "No route to host",
        "Permission denied",
        "Invalid argument",
    ];
    let is_answer = said.contains("RTNETLINK answers") && ANSWERS.iter().any(|answer| said.contains(answer));
    is_answer.then_some(Route::Nowhere)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As iproute2 6.1 prints it.
    #[test]
    fn routes_are_read() {
        for (said, route) in [
            (
                "10.0.0.9 dev c0 src 10.0.0.1 uid 0 \n    cache \n",
                Some(Route::Onward),
            ),
            (
                "local 10.0.0.1 dev lo src 10.0.0.1 uid 0 \n    cache <local> \n",
                Some(Route::Here),
            ),
            (
                "broadcast 10.0.0.255 dev c0 src 10.0.0.1 uid 0 \n    cache <local,brd> \n",
                Some(Route::Broadcast),
            ),
            (
                "anycast fd00:10:: from :: dev lo table local proto kernel src fd00:10::1 metric 0 pref medium\n",
                Some(Route::Anycast),
            ),
            (
                "fd00:10::9 from :: dev c0 proto kernel src fd00:10::2 metric 256 pref medium\n",
                Some(Route::Onward),
            ),
            (
                "unreachable fd00:77::1 from :: dev lo table unspec metric 4294967295 error -101\n",
                Some(Route::Nowhere),
            ),
            ("multicast ff02::1 from :: dev c0 table local\n", None),
            ("", None),
        ] {
            assert_eq!(read(said), route, "{said}");
        }
        let nowhere = Some(Route::Nowhere);
        assert_eq!(refused("RTNETLINK answers: Network is unreachable\n"), nowhere);
        assert_eq!(refused("RTNETLINK answers: Invalid argument\n"), nowhere);
        assert_eq!(refused("sh: ip: Permission denied\n"), None);
        assert_eq!(refused("RTNETLINK answers: Operation not supported\n"), None);
    }

    /// A setting that could not be read may be on.
    #[test]
    fn what_a_host_passes_on_is_said_by_each_setting() {
        for (values, many, forwarding) in [
            ("0\n0\n", 2, Forwarding::Nothing),
            ("0\n1\n", 2, Forwarding::Some),
            ("1\n1\n", 2, Forwarding::All),
            ("0\n", 2, Forwarding::Unknown),
            ("", 1, Forwarding::Unknown),
            ("", 0, Forwarding::Unknown),
        ] {
            assert_eq!(of_settings(values, many), forwarding, "{values:?}");
        }
    }

    #[test]
    fn rules_of_routing_beyond_the_usual_ones_are_noticed() {
        let usual =
            "0:\tfrom all lookup local\n32766:\tfrom all lookup main\n32767:\tfrom all lookup default\n";
        assert!(are_usual(usual));
        assert!(are_usual(
            "0:\tfrom all lookup local\n32766:\tfrom all lookup main\n"
        ));
        assert!(!are_usual(&format!(
            "{usual}1000:\tfrom all fwmark 0x1 lookup 100\n"
        )));
        assert!(!are_usual(""));
    }
}
