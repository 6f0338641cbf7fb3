//! `portcullis reach`

mod diff;
mod matrix;

use std::fmt::{Display, Write as _};

use ipnet::IpNet;
use portcullis_firewall::reach::{HostInterface, Part, Passage, View, all_but};
use portcullis_model::{Exit, sanitize};
use portcullis_ops::reach::{self, From, MatrixRequest, Reached, Request, Rules, SiteFiles};
use serde::Serialize;

use super::{Outcome, fault};
use crate::{
    arguments::{Global, Reach},
    output::{View as Output, table},
};

pub(super) fn run(global: &Global, arguments: &Reach) -> Outcome {
    let rules = Rules {
        host: arguments.host.clone(),
        files: arguments.ruleset.clone(),
        interfaces: arguments.interface.clone(),
    };
    let files = SiteFiles {
        site: global.config.clone(),
        knowledge: global.knowledge.clone(),
    };
    let Some(port) = arguments.port else {
        let request = MatrixRequest {
            rules,
            ports: arguments.ports.clone(),
            addresses: arguments.address.clone(),
            files,
        };
        return matrix::show(global, &reach::matrix(&request).map_err(fault)?);
    };
    let request = Request {
        port,
        from: arguments.from.clone(),
        rules,
        instead: arguments.diff.clone(),
        addresses: arguments.address.clone(),
        files,
    };
    let reached = reach::ask(&request).map_err(fault)?;
    if let Some(instead) = &reached.instead {
        return diff::show(global, &reached, instead);
    }
    let records: Vec<Record<'_>> = reached
        .views
        .iter()
        .flat_map(|view| records(&reached, view))
        .collect();
    Output::text(text(&reached, global.verbose > 0))
        .all("reach", &records)
        .print(global.format)?;
    Ok(match (reached.is_exposed(), reached.is_in_part()) {
        (true, _) => Exit::Found,
        (false, true) => Exit::Partial,
        (false, false) => Exit::Clean,
    })
}

/// A network, an address, or the name of a zone, which has no character of an address but letters, digits and `-`
/// (docs/site.md).
pub(crate) fn from(text: &str) -> Result<From, String> {
    let address = || text.parse::<std::net::IpAddr>().map(Into::into);
    match text.parse().or_else(|_| address()) {
        Ok(network) => match IpNet::trunc(&network) {
            whole if whole == network => Ok(From::Network(network)),
            whole => Err(format!(
                "`{network}` has bits set behind its prefix: did you mean `{whole}`?"
            )),
        },
        Err(_) if text.contains(['.', ':', '/']) => Err(format!(
            "`{}` is neither an address nor a network",
            sanitize(text)
        )),
        Err(_) => Ok(From::Zone(text.into())),
    }
}

/// `IFNAMSIZ` of `linux/if.h`, with the zero at the end.
const LONGEST_NAME: usize = 16;

/// `eth0`, or `eth0=10.7.1.1/24,2001:db8::1/64`.
pub(crate) fn interface(text: &str) -> Result<HostInterface, String> {
    let (name, networks) = text.split_once('=').unwrap_or((text, ""));
    let network = |text: &str| {
        let address = || text.parse::<std::net::IpAddr>().map(Into::into);
        text.parse()
            .or_else(|_| address())
            .map_err(|_| format!("{} is no address", sanitize(text)))
    };
    let networks = networks.split(',').filter(|text| !text.is_empty()).map(network);
    // As the kernel has it (`dev_valid_name`).
    let is_name = !name.is_empty()
        && name.len() < LONGEST_NAME
        && !name.contains(|letter: char| letter == '/' || letter == ':' || letter.is_whitespace())
        && !matches!(name, "." | "..");
    if !is_name {
        return Err(format!("`{}` is no name of an interface", sanitize(name)));
    }
    Ok(HostInterface {
        name: name.into(),
        networks: networks.collect::<Result<_, _>>()?,
    })
}

/// One part of the sources.
#[derive(Debug, Serialize)]
struct Record<'a> {
    port: String,
    family: &'static str,
    interfaces: &'a [String],
    destinations: Vec<String>,
    passage: &'static str,
    /// A port of this host as in `:81`, or one of another; of what is led elsewhere.
    led_to: Option<&'a str>,
    sources: Vec<String>,
    source_ports: Option<String>,
    because: Vec<String>,
    /// Whether all of them have a conduit; null when no site says.
    has_conduit: Option<bool>,
}

fn records<'a>(reached: &'a Reached, view: &'a View) -> impl Iterator<Item = Record<'a>> {
    view.parts.iter().map(move |part| Record {
        port: reached.port.to_string(),
        family: family(view),
        interfaces: &view.interfaces,
        destinations: view.destinations.iter().map(ToString::to_string).collect(),
        passage: word(part.passage),
        led_to: part.led_to.as_deref(),
        sources: part.sources.iter().map(ToString::to_string).collect(),
        source_ports: part.source_ports.as_ref().map(ToString::to_string),
        because: part.because.iter().map(ToString::to_string).collect(),
        has_conduit: reached.without_conduit.as_ref().map(|views| {
            let same_view = |other: &&View| {
                (other.is_ipv4, &other.interfaces, &other.destinations)
                    == (view.is_ipv4, &view.interfaces, &view.destinations)
            };
            let left = views.iter().find(same_view).map(|other| &other.parts);
            !left.into_iter().flatten().any(|other| is_of(other, part))
        }),
    })
}

/// Whether one part is what is left of another.
fn is_of(left: &Part, part: &Part) -> bool {
    (left.passage, &left.led_to, left.at) == (part.passage, &part.led_to, part.at)
        && (&left.because, &left.source_ports) == (&part.because, &part.source_ports)
}

fn family(view: &View) -> &'static str {
    if view.is_ipv4 { "ipv4" } else { "ipv6" }
}

fn word(passage: Passage) -> &'static str {
    match passage {
        Passage::Through => "let through",
        Passage::Blocked => "blocked",
        Passage::Unknown => "cannot conclude",
        Passage::Led => "led elsewhere",
    }
}

/// So many networks and parts are shown, unless everything is asked for.
const SHOWN: usize = 8;

fn text(reached: &Reached, everything: bool) -> String {
    let mut text = format!(
        "{} by the {} rule(s) of {}: who can open a connection\n",
        reached.port,
        reached.rules,
        sanitize(&reached.source)
    );
    for view in &reached.views {
        let _ = write!(
            text,
            "\n{}\n",
            heading(view.is_ipv4, &view.interfaces, &view.destinations)
        );
        let limit = if everything { usize::MAX } else { SHOWN };
        let parts = view.parts.iter().take(limit);
        let rows = parts.map(|part| row(part, view.is_ipv4, everything));
        let _ = writeln!(text, "{}", table(["from", "is", "because of"], rows));
        if let Some(more) = view.parts.len().checked_sub(limit).filter(|more| *more > 0) {
            let _ = writeln!(text, "… and {more} more part(s): -v");
        }
    }
    let looks = to_look_at(&reached.remarks);
    if !looks.is_empty() {
        let _ = writeln!(text, "\n{looks}");
    }
    match &reached.without_conduit {
        None if reached.has_site => text.push_str(
            "\nThe site.toml does not declare the addresses of that host: --interface or --address names them, and then it is \
             compared with the conduits.",
        ),
        None => text.push_str("\nNo site.toml says who may: --config compares it with the conduits."),
        Some(_) if !reached.is_exposed() => {
            text.push_str("\nNobody gets through for whom there is no conduit.")
        }
        Some(views) => {
            text.push_str("\nLet through without a conduit:");
            for view in views {
                let by = sanitize(&view.interfaces.join(", "));
                for (passage, how) in [(Passage::Through, ""), (Passage::Led, " (led elsewhere)")] {
                    let networks = view.networks(passage);
                    if !networks.is_empty() {
                        let from = sources(&networks, view.is_ipv4, everything);
                        let _ = write!(text, "\n  by {by}: {from}{how}");
                    }
                }
            }
        }
    }
    text
}

/// What a reviewer should look at, if there is anything.
pub(crate) fn to_look_at(remarks: &[impl Display]) -> String {
    let mut text = String::new();
    for (number, remark) in remarks.iter().enumerate() {
        let heading = if number == 0 { "To look at:" } else { "" };
        let _ = write!(text, "{heading}\n  {remark}");
    }
    text
}

/// `IPv4 by eth0, eth1, to 10.7.10.10`
pub(crate) fn heading(is_ipv4: bool, interfaces: &[String], destinations: &[std::net::IpAddr]) -> String {
    let family = if is_ipv4 { "IPv4" } else { "IPv6" };
    let by = sanitize(&interfaces.join(", "));
    let to: Vec<String> = destinations.iter().map(ToString::to_string).collect();
    match to.is_empty() {
        true => format!("{family} by {by}"),
        false => format!("{family} by {by}, to {}", to.join(", ")),
    }
}

fn row(part: &Part, is_ipv4: bool, everything: bool) -> [String; 3] {
    let mut from = sources(&part.sources, is_ipv4, everything);
    if let Some(ports) = &part.source_ports {
        let _ = write!(from, " (source port {ports})");
    }
    let because: Vec<String> = part.because.iter().map(ToString::to_string).collect();
    [
        from,
        fate(part.passage, part.led_to.as_deref()),
        because.join("; "),
    ]
}

/// What becomes of a part, in words.
fn fate(passage: Passage, led_to: Option<&str>) -> String {
    match led_to {
        Some(place) => format!("led to {place}"),
        None => word(passage).into(),
    }
}

/// Sources as a person would say them: all but some, where that is shorter.
pub(crate) fn sources(networks: &[IpNet], is_ipv4: bool, everything: bool) -> String {
    let shown = |networks: &[IpNet]| {
        let networks: Vec<String> = networks.iter().map(ToString::to_string).collect();
        some(&networks, everything)
    };
    if networks.len() > SHOWN && !everything {
        let others = all_but(networks, is_ipv4);
        if others.len() < networks.len() {
            return format!("all but {}", shown(&others));
        }
    }
    shown(networks)
}

fn some(all: &[String], everything: bool) -> String {
    match all.get(..SHOWN) {
        Some(first) if !everything && all.len() > SHOWN => {
            format!(
                "{} … and {} more",
                first.join(" "),
                all.len().saturating_sub(SHOWN)
            )
        }
        _ => all.join(" "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_like_an_address_and_is_none_is_no_zone() {
        for text in ["10.7.20.0/24", "10.7.20.1", "fd00::1", "fe80::/10"] {
            assert!(matches!(from(text), Ok(From::Network(_))), "{text}");
        }
        for text in [
            "10.7.20.0/33",
            "10.7.20",
            "10.7.20.300",
            "fe80::/129",
            "fe80:::1",
            "office/24",
            "/",
            "10.7.20.0/",
        ] {
            let why = from(text).expect_err(text);
            assert_eq!(why, format!("`{text}` is neither an address nor a network"));
        }
        assert_eq!(
            from("10.\u{1b}[2J"),
            Err("`10.\\u{1b}[2J` is neither an address nor a network".into())
        );
        // Names of zones may begin with a digit.
        for text in ["office", "cell-2", "2nd_floor", "10"] {
            assert_eq!(from(text), Ok(From::Zone(text.into())));
        }
    }
}
