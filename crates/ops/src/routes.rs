//! Where the routes of a host lead what is sent to an address, by `ip route get` (ip-route(8)).

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Duration,
};

use portcullis_firewall::reach::Route;
use portcullis_sys::Machine;

const PATIENCE: Duration = Duration::from_secs(30);

/// So many addresses are asked for; of others it stays unknown.
const MOST: usize = 256;

/// The routes to these addresses, as far as the host tells them.
pub(crate) fn to(machine: &Machine, addresses: &BTreeSet<IpAddr>) -> BTreeMap<IpAddr, Route> {
    let is_plain = |is_ipv4: bool| {
        let of_family = addresses.iter().any(|address| address.is_ipv4() == is_ipv4);
        of_family && has_no_policy(machine, is_ipv4)
    };
    let (plain_v4, plain_v6) = (is_plain(true), is_plain(false));
    let route = |address: &IpAddr| {
        let is_plain = if address.is_ipv4() { plain_v4 } else { plain_v6 };
        let asked = ["route", "get", &address.to_string()];
        let said = machine.run("ip", &asked, "", PATIENCE).ok()?;
        let route = match said.success {
            true => read(&said.stdout),
            false => refused(&said.stderr),
        }?;
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
