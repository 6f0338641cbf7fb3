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
    let keeps_to_itself = |is_ipv4: bool| has(is_ipv4) && forwards_nothing(machine, is_ipv4, interfaces);
    let (plain_v4, plain_v6) = (is_plain(true), is_plain(false));
    let (alone_v4, alone_v6) = (keeps_to_itself(true), keeps_to_itself(false));
    let route = |address: &IpAddr| {
        let (is_plain, is_alone) = match address.is_ipv4() {
            true => (plain_v4, alone_v4),
            false => (plain_v6, alone_v6),
        };
        let asked = ["route", "get", &address.to_string()];
        let said = machine.run("ip", &asked, "", PATIENCE).ok()?;
        let route = match said.success {
            true => read(&said.stdout),
            false => refused(&said.stderr),
        }?;
        let route = match route {
            Route::Onward if is_alone => Route::Unforwarded,
            route => route,
        };
        // Another rule of routing may know a way for packets of others.
        let is_known = is_plain || route != Route::Nowhere;
        is_known.then_some((*address, route))
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

/// Whether no interface passes on what comes by it (`ip-sysctl.rst` of the kernel).
fn forwards_nothing(machine: &Machine, is_ipv4: bool, interfaces: &[HostInterface]) -> bool {
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
        interfaces
            .iter()
            .map(|one| path(&one.name, key))
            .collect::<Vec<_>>()
    };
    let mut all = vec![path("all", "forwarding")];
    match is_ipv4 {
        true => {
            all.extend(each("forwarding"));
            are_all_off(&values(&all), all.len())
        }
        // Only newer kernels have an exception, for single interfaces.
        false => are_all_off(&values(&all), 1) && !values(&each("force_forwarding")).contains('1'),
    }
}

/// Of so many settings, each on a line.
fn are_all_off(values: &str, many: usize) -> bool {
    let values: Vec<&str> = values.split_whitespace().collect();
    values.len() == many && values.iter().all(|value| *value == "0")
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
    fn a_host_forwards_nothing_where_each_setting_says_so() {
        assert!(are_all_off("0\n0\n", 2));
        assert!(!are_all_off("0\n1\n", 2));
        assert!(!are_all_off("0\n", 2));
        assert!(!are_all_off("", 1));
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
