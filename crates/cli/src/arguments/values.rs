//! Values of options: what a person may write, and what it means.

use std::{net::SocketAddr, time::Duration};

use ipnet::IpNet;
use portcullis_model::{BackendName, ServiceName};

/// A community, which may be empty in the environment and is none then.
pub(super) fn community(text: &str) -> Result<String, String> {
    match text.len() {
        0..=64 => Ok(text.into()),
        _ => Err("a community has 64 bytes at most".into()),
    }
}

/// A TCP port of a host, as it is learned.
pub(super) fn tcp_port(text: &str) -> Result<SocketAddr, String> {
    if text.to_ascii_lowercase().contains("udp") {
        return Err("only TCP ports can be learned: a UDP port says nothing unless it is asked".into());
    }
    match text.parse::<SocketAddr>() {
        Ok(place) if place.port() == 0 => Err("the port must be from 1 to 65535".into()),
        Ok(place) => Ok(place),
        Err(_) => Err("write ADDRESS:PORT, such as 10.7.10.10:54321 or [2001:db8::4]:54321".into()),
    }
}

/// A name such as those of docs/knowledge.md.
pub(super) fn service(text: &str) -> Result<ServiceName, String> {
    ServiceName::new(text)
        .ok_or_else(|| "a service is called by lower-case letters, digits and hyphens".into())
}

/// The beginning of an id: 4 to 16 hexadecimal digits.
pub(super) fn id(text: &str) -> Result<String, String> {
    let text = text.to_ascii_lowercase();
    if (4..=16).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(text);
    }
    Err("not the beginning of an id: write its first 4 to 16 hexadecimal digits".into())
}

/// How long a connection may be held that does nothing.
pub(super) fn patience(text: &str) -> Result<Duration, String> {
    let patience = time_span(text)?;
    if (Duration::from_secs(1)..=Duration::from_secs(300)).contains(&patience) {
        return Ok(patience);
    }
    Err("not from 1s to 5m".into())
}

/// A firewall system, by the name that plans have for it.
pub(super) fn backend(text: &str) -> Result<BackendName, String> {
    let names = BackendName::ALL.map(|name| name.to_string()).join(", ");
    BackendName::ALL
        .into_iter()
        .find(|name| name.to_string() == text)
        .ok_or_else(|| format!("it is none of {names}"))
}

/// A network, or one address as a network of its full length.
pub(super) fn network(text: &str) -> Result<IpNet, String> {
    let address = text
        .parse::<std::net::IpAddr>()
        .map(|address| IpNet::from(address.to_canonical()));
    let network: IpNet = text
        .parse()
        .or(address)
        .map_err(|_| "not an address or a network such as 10.7.20.0/24".to_owned())?;
    if network.addr() != network.network() {
        return Err(format!(
            "has bits set behind its prefix: did you mean {}?",
            network.trunc()
        ));
    }
    if matches!(network, IpNet::V6(v6) if v6.addr().to_ipv4_mapped().is_some()) {
        return Err("write IPv4 as IPv4: packets over IPv4 never match an IPv4-mapped network".into());
    }
    Ok(network)
}

/// A time span such as `90s`, `2m`, `1h`, `1m30s`; a bare number means seconds.
pub(super) fn time_span(text: &str) -> Result<Duration, String> {
    let wrong = || "not a time span such as 90s, 2m or 1h".to_owned();
    if let Ok(seconds) = text.parse() {
        return Ok(Duration::from_secs(seconds));
    }
    let (mut total, mut number) = (0_u64, String::new());
    for character in text.chars() {
        if character.is_ascii_digit() {
            number.push(character);
            continue;
        }
        let unit = match character {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            _ => return Err(wrong()),
        };
        let count: u64 = std::mem::take(&mut number).parse().map_err(|_| wrong())?;
        total = count
            .checked_mul(unit)
            .and_then(|seconds| total.checked_add(seconds))
            .ok_or_else(wrong)?;
    }
    if text.is_empty() || !number.is_empty() {
        Err(wrong())
    } else {
        Ok(Duration::from_secs(total))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_some_of_its_digits_and_nothing_else() {
        assert_eq!(id("3F2A91"), Ok("3f2a91".into()));
        for wrong in ["3f2", "3f2a91 ", "3f2a9z", "00112233445566778"] {
            assert!(id(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn networks_mean_what_they_say() {
        assert_eq!(network("10.7.20.5"), Ok("10.7.20.5/32".parse().unwrap()));
        assert_eq!(network("::ffff:10.7.20.5"), Ok("10.7.20.5/32".parse().unwrap()));
        for wrong in ["10.7.20.5/24", "::ffff:10.7.20.5/128", "10.7.20.0/33", "office"] {
            assert!(network(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn time_spans_are_read_as_people_write_them() {
        for (text, seconds) in [("90", 90), ("90s", 90), ("2m", 120), ("1h", 3600), ("1m30s", 90)] {
            assert_eq!(time_span(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for wrong in ["", "m", "2x", "1h2", "-1s", "99999999999999999999h"] {
            assert!(time_span(wrong).is_err(), "{wrong}");
        }
    }
}
