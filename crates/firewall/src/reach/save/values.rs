//! Values that no program saves: addresses, networks and ports that there are not.

use std::net::IpAddr;

use super::words::Word;
use crate::reach::error::shown;

/// Options with an address or a network (iptables(8), iptables-extensions(8)).
const NETWORKS: [&str; 8] = [
    "-s",
    "--source",
    "-d",
    "--destination",
    "--ctorigsrc",
    "--ctorigdst",
    "--ctreplsrc",
    "--ctrepldst",
];

/// Options with ports, ranges of them, or lists of both.
const PORTS: [&str; 14] = [
    "--sport",
    "--source-port",
    "--dport",
    "--destination-port",
    "--sports",
    "--source-ports",
    "--dports",
    "--destination-ports",
    "--ports",
    "--ctorigsrcport",
    "--ctorigdstport",
    "--ctreplsrcport",
    "--ctrepldstport",
    "--to-ports",
];

/// The first value that is none, and why.
pub(super) fn damaged<'a, 'b>(words: &'a [Word<'b>]) -> Option<(&'a Word<'b>, String)> {
    let pairs = words.iter().zip(words.iter().skip(1));
    let mut pairs = pairs.filter(|(option, _)| !option.quoted && option.text.starts_with('-'));
    pairs.find_map(|(option, value)| {
        let option = &*option.text;
        let why = if NETWORKS.contains(&option) {
            no_network(&value.text)
        } else if PORTS.contains(&option) {
            no_port(&value.text)
        } else {
            None
        };
        Some((value, why?))
    })
}

fn no_network(value: &str) -> Option<String> {
    let (address, mask) = match value.split_once('/') {
        Some((address, mask)) => (address, Some(mask)),
        None => (value, None),
    };
    let Ok(known) = address.parse::<IpAddr>() else {
        return Some(format!("`{}` is no address", shown(value)));
    };
    let longest = if known.is_ipv4() { 32 } else { 128 };
    let fits = |mask: &str| match mask.parse::<IpAddr>() {
        Ok(mask) => mask.is_ipv4() == known.is_ipv4(),
        Err(_) => mask.parse::<u8>().is_ok_and(|length| length <= longest),
    };
    match mask {
        Some(mask) if !fits(mask) => Some(format!("`{}` is no network", shown(value))),
        _ => None,
    }
}

/// A name of a port is not understood, which is another matter.
fn no_port(value: &str) -> Option<String> {
    let numbers = value.split([',', ':', '-']);
    let mut numbers = numbers.filter(|number| number.bytes().all(|byte| byte.is_ascii_digit()));
    let too_large = numbers.find(|number| !number.is_empty() && number.parse::<u16>().is_err())?;
    Some(format!("`{}` is no port", shown(too_large)))
}
