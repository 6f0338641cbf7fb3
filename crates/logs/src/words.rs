//! Words, numbers and addresses in a line of bytes, without a detour over text.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use memchr::memchr;

use crate::digits;

/// What stands before the first such byte, and what behind it.
pub(crate) fn split(bytes: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let (before, rest) = bytes.split_at_checked(memchr(at, bytes)?)?;
    Some((before, rest.get(1..)?))
}

/// What stands before the first such byte; all of it when there is none.
pub(crate) fn until(bytes: &[u8], end: u8) -> &[u8] {
    split(bytes, end).map_or(bytes, |(before, _)| before)
}

/// Where a few words first stand in a short text. A searcher with vector instructions costs more to make than a line is long.
#[inline]
pub(crate) fn find(text: &[u8], words: &[u8]) -> Option<usize> {
    // What is rare in lines of logs leads to the place with the fewest stops.
    let anchor = words.iter().position(|byte| !is_common(*byte)).unwrap_or(0);
    let byte = *words.get(anchor)?;
    let mut from = anchor;
    loop {
        let at = from + memchr(byte, text.get(from..)?)?;
        if text.get(at - anchor..)?.starts_with(words) {
            return Some(at - anchor);
        }
        from = at + 1;
    }
}

#[inline]
fn is_common(byte: u8) -> bool {
    matches!(
        byte,
        b' ' | b'e'
            | b't'
            | b'i'
            | b'n'
            | b's'
            | b'a'
            | b'o'
            | b'r'
            | b'.'
            | b','
            | b':'
            | b'-'
            | b'/'
            | b'"'
            | b'='
            | b'0'..=b'9'
    )
}

/// The first word and what is behind it.
pub(crate) fn word(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let bytes = bytes.trim_ascii_start();
    if bytes.is_empty() {
        return None;
    }
    let end = bytes
        .iter()
        .position(u8::is_ascii_whitespace)
        .unwrap_or(bytes.len());
    bytes.split_at_checked(end)
}

/// A decimal number of at most 19 digits, and nothing else.
pub(crate) fn number(bytes: &[u8]) -> Option<u64> {
    if bytes.is_empty() || bytes.len() > 19 {
        return None;
    }
    bytes.iter().try_fold(0_u64, |sum, byte| {
        byte.is_ascii_digit().then(|| sum * 10 + u64::from(byte - b'0'))
    })
}

/// A decimal port number, and nothing else.
pub(crate) fn port(bytes: &[u8]) -> Option<u16> {
    if bytes.is_empty() || bytes.len() > 5 {
        return None;
    }
    let mut sum = 0_u32;
    for byte in bytes {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        sum = sum * 10 + u32::from(digit);
    }
    u16::try_from(sum).ok()
}

/// Seconds with an optional fraction, as milliseconds.
pub(crate) fn milliseconds(bytes: &[u8]) -> Option<u64> {
    let (whole, fraction) = split(bytes, b'.').unwrap_or((bytes, b""));
    let mut thousandths = 0;
    for place in 0..3 {
        let digit = fraction.get(place).copied().unwrap_or(b'0');
        thousandths = thousandths * 10 + u64::from(digit.is_ascii_digit().then(|| digit - b'0')?);
    }
    number(whole)?.checked_mul(1000)?.checked_add(thousandths)
}

/// An IPv4 or IPv6 address, and nothing else.
pub(crate) fn address(bytes: &[u8]) -> Option<IpAddr> {
    if let Some(address) = ipv4(bytes) {
        return Some(address.into());
    }
    let text = std::str::from_utf8(bytes.get(..bytes.len().min(64))?).ok()?;
    // A zone index (RFC 4007) names an interface of whoever wrote the line.
    let text = text.split_once('%').map_or(text, |(address, _)| address);
    text.parse::<Ipv6Addr>().ok().map(IpAddr::from)
}

/// Four decimal numbers with dots between, each without leading zeros, and nothing else.
pub(crate) fn ipv4(bytes: &[u8]) -> Option<Ipv4Addr> {
    // With room behind the longest address, so that its last number can be read like the others.
    let mut room = [0; 20];
    let (beginning, _) = room.split_first_chunk_mut::<16>()?;
    *beginning = match (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        // The last eight bytes without those that the first eight have: to copy so few takes longer.
        (Some(first), Some(last)) if bytes.len() < 16 => {
            let [first, last] = [first, last].map(|part| u128::from(u64::from_le_bytes(*part)));
            (first | last >> (8 * (16 - bytes.len())) << 64).to_le_bytes()
        }
        _ => {
            let mut short = [0; 16];
            short
                .get_mut(..bytes.len())
                .filter(|_| bytes.len() < 8)?
                .copy_from_slice(bytes);
            short
        }
    };
    let (address, length) = digits::ipv4(&room)?;
    (length == bytes.len()).then_some(address)
}

/// The number of a protocol by its name or number.
pub(crate) fn protocol(name: &[u8]) -> Option<u8> {
    match name {
        b"TCP" | b"tcp" | b"6" => Some(6),
        b"UDP" | b"udp" | b"17" => Some(17),
        b"ICMP" | b"icmp" => Some(1),
        b"ICMPv6" | b"icmp6" | b"ipv6-icmp" | b"IPv6-ICMP" | b"icmpv6" | b"ICMP6" => Some(58),
        b"IGMP" | b"igmp" => Some(2),
        b"GRE" | b"gre" => Some(47),
        b"ESP" | b"esp" => Some(50),
        b"AH" | b"ah" => Some(51),
        b"OSPF" | b"ospf" => Some(89),
        b"SCTP" | b"sctp" => Some(132),
        other => number(other).and_then(|number| u8::try_from(number).ok()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_read_whole_or_not_at_all() {
        assert_eq!(
            (number(b"0"), number(b"18"), number(b"")),
            (Some(0), Some(18), None)
        );
        assert_eq!((number(b"1x"), number(b"12345678901234567890")), (None, None));
        assert_eq!(
            (port(b"65535"), port(b"65536"), port(b"-1")),
            (Some(65535), None, None)
        );
        assert_eq!(
            (milliseconds(b"3"), milliseconds(b"0.0127"), milliseconds(b"1.x")),
            (Some(3000), Some(12), None)
        );
    }

    #[test]
    fn addresses_with_zones_and_leading_zeros() {
        assert_eq!(address(b"fe80::1%eth0").unwrap().to_string(), "fe80::1");
        for wrong in [
            "",
            "1.2.3",
            "1.2.3.4.5",
            "1.2.3.256",
            "01.2.3.4",
            "1..2.3",
            "1.2.3.4 ",
            ":",
            "192.0.2.",
        ] {
            assert_eq!(address(wrong.as_bytes()), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn words_are_found_where_a_search_of_the_library_finds_them(text in "[ tox>-]{0,30}", words in "[ tox>-]{1,4}") {
            prop_assert_eq!(find(text.as_bytes(), words.as_bytes()), text.find(&words));
        }

        #[test]
        fn an_address_is_read_as_the_standard_library_reads_it(text in "[0-9.]{0,16}", any in any::<IpAddr>()) {
            prop_assert_eq!(ipv4(text.as_bytes()), text.parse::<Ipv4Addr>().ok());
            prop_assert_eq!(address(any.to_string().as_bytes()), Some(any));
        }

        #[test]
        fn a_port_is_read_as_the_standard_library_reads_it(text in "[0-9]{0,7}") {
            let known = text.parse::<u16>().ok().filter(|_| text.len() <= 5);
            prop_assert_eq!(port(text.as_bytes()), known);
        }
    }
}
