//! One target text, read.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net};

use super::{Span, TargetError};

/// The widest IPv6 prefix that is walked: 2^16 addresses.
const WIDEST_IPV6: u8 = 112;

pub(super) enum Target {
    Span(Span),
    Name(String),
    /// A link-local address and the name of its interface (RFC 4007 11).
    Scoped(Ipv6Addr, String),
    /// Whom the kernel has talked to, on one interface or on all.
    Neighbours(Option<String>),
}

const NEIGHBOURS: &str = "neighbours";

pub(super) fn target(text: &str) -> Result<Target, TargetError> {
    if text.contains('/') {
        return network(text).map(Target::Span);
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        let address = address.to_canonical();
        if matches!(address, IpAddr::V6(address) if address.is_unicast_link_local()) {
            return Err(TargetError::WhichInterface { text: text.into() });
        }
        return Ok(Target::Span(host_span(text, Span::one(address))?));
    }
    if let Some((first, last)) = text.split_once('-')
        && let Ok(first) = first.trim().parse::<IpAddr>()
    {
        return range(text, first, last.trim()).map(Target::Span);
    }
    if let Some((address, interface)) = text.split_once('%') {
        return match address.parse::<Ipv6Addr>() {
            Ok(address) if address.is_unicast_link_local() && !interface.is_empty() => {
                Ok(Target::Scoped(address, interface.into()))
            }
            _ => Err(TargetError::NotATarget { text: text.into() }),
        };
    }
    if text == NEIGHBOURS {
        return Ok(Target::Neighbours(None));
    }
    if let Some((NEIGHBOURS, interface)) = text.split_once(':') {
        return Ok(Target::Neighbours(Some(interface.into())));
    }
    if is_name(text) {
        return Ok(Target::Name(text.to_ascii_lowercase()));
    }
    Err(TargetError::NotATarget { text: text.into() })
}

fn network(text: &str) -> Result<Span, TargetError> {
    let network: IpNet = text
        .parse()
        .map_err(|_| TargetError::NotATarget { text: text.into() })?;
    if network.prefix_len() == 0 {
        return Err(TargetError::Everything { text: text.into() });
    }
    let span = match network {
        IpNet::V4(network) => hosts(network),
        IpNet::V6(network) if network.prefix_len() < WIDEST_IPV6 => {
            return Err(TargetError::TooWide { text: text.into() });
        }
        IpNet::V6(network) => Span::V6(network.network().into(), network.broadcast().into()),
    };
    host_span(text, span)
}

/// The addresses of a network that hosts can have. In a /31 and a /32 all can (RFC 3021).
fn hosts(network: Ipv4Net) -> Span {
    let (first, last) = (u32::from(network.network()), u32::from(network.broadcast()));
    if network.prefix_len() <= 30 {
        Span::V4(first + 1, last - 1)
    } else {
        Span::V4(first, last)
    }
}

/// `10.0.0.1-10.0.0.20`, or the last number alone: `10.0.0.1-20`.
fn range(text: &str, first: IpAddr, last: &str) -> Result<Span, TargetError> {
    let wrong = || TargetError::NotATarget { text: text.into() };
    let last = match (first, last.parse::<IpAddr>()) {
        (_, Ok(last)) => last,
        (IpAddr::V4(first), Err(_)) => {
            let [a, b, c, _] = first.octets();
            IpAddr::from([a, b, c, last.parse::<u8>().map_err(|_| wrong())?])
        }
        (IpAddr::V6(_), Err(_)) => return Err(wrong()),
    };
    let span = match (first.to_canonical(), last.to_canonical()) {
        (IpAddr::V4(first), IpAddr::V4(last)) => Span::V4(first.into(), last.into()),
        (IpAddr::V6(first), IpAddr::V6(last)) => Span::V6(first.into(), last.into()),
        _ => return Err(wrong()),
    };
    if matches!(span, Span::V4(first, last) if first > last)
        || matches!(span, Span::V6(first, last) if first > last)
    {
        return Err(TargetError::Backwards { text: text.into() });
    }
    host_span(text, span)
}

/// Refuses what no single host can have: a datagram to a group or to everybody is answered by many, and the
/// unspecified address is this host under another name.
fn host_span(text: &str, span: Span) -> Result<Span, TargetError> {
    let ends: [IpAddr; 2] = match span {
        Span::V4(first, last) => [Ipv4Addr::from(first).into(), Ipv4Addr::from(last).into()],
        Span::V6(first, last) => [Ipv6Addr::from(first).into(), Ipv6Addr::from(last).into()],
    };
    // Groups and the reserved block are the upper end of IPv4, so the ends of a span show whether it reaches them.
    let no_host = |address: &IpAddr| match address {
        IpAddr::V4(address) => address
            .octets()
            .first()
            .is_none_or(|first| *first == 0 || *first >= 224),
        IpAddr::V6(address) => address.is_unspecified() || address.is_multicast(),
    };
    if ends.iter().any(no_host) {
        return Err(TargetError::NoHost { text: text.into() });
    }
    Ok(span)
}

/// A host name (RFC 1123): labels of letters, digits and hyphens; not digits and dots alone, which is a mistyped
/// address.
fn is_name(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let text = text.strip_suffix('.').unwrap_or(text);
    text.len() <= 253
        && text.split('.').all(label)
        && text
            .split('.')
            .next_back()
            .is_some_and(|last| last.bytes().any(|byte| byte.is_ascii_alphabetic()))
}
