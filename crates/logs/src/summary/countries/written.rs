//! Writes a small database in the format of MaxMind (MaxMind DB File Format Specification 2.0), for tests: a tree with records of
//! 24 bits, and for each network a map with the code of its country.

use std::net::IpAddr;

const NONE: u32 = u32::MAX;

/// A database of these networks (address, length, code); for IPv6 those of IPv4 stand in `::/96`, as the format has it.
pub(crate) fn database(version: u16, networks: &[(&str, u8, &str)]) -> Vec<u8> {
    let mut nodes = vec![[NONE; 2]];
    let mut data = Vec::new();
    for (address, length, code) in networks {
        let (bits, length) = match (address.parse::<IpAddr>().unwrap(), version) {
            (IpAddr::V4(address), 4) => (u128::from(address.to_bits()) << 96, *length),
            (IpAddr::V4(address), _) => (u128::from(address.to_bits()), length + 96),
            (IpAddr::V6(address), _) => (address.to_bits(), *length),
        };
        // The high bit marks data until the number of nodes is known.
        insert(
            &mut nodes,
            bits,
            length,
            1 << 31 | u32::try_from(data.len()).unwrap(),
        );
        data.extend(map(&[("country", map(&[("iso_code", text(code))]))]));
    }
    let count = u32::try_from(nodes.len()).unwrap();
    let mut bytes = Vec::new();
    for record in nodes.iter().flatten() {
        let value = match *record {
            NONE => count,
            data if data >> 31 == 1 => count + 16 + (data & !(1 << 31)),
            node => node,
        };
        bytes.extend(&value.to_be_bytes()[1..]);
    }
    bytes.extend([0; 16]);
    bytes.extend(data);
    bytes.extend(b"\xab\xcd\xefMaxMind.com");
    bytes.extend(map(&[
        ("node_count", number(6, u64::from(count))),
        ("record_size", number(5, 24)),
        ("ip_version", number(5, version.into())),
        ("database_type", text("Test-Country")),
        ("languages", vec![0, 4]),
        ("binary_format_major_version", number(5, 2)),
        ("binary_format_minor_version", number(5, 0)),
        (
            "build_epoch",
            [vec![8, 2], 1_795_000_000_u64.to_be_bytes().to_vec()].concat(),
        ),
        ("description", map(&[])),
    ]));
    bytes
}

fn insert(nodes: &mut Vec<[u32; 2]>, bits: u128, length: u8, data: u32) {
    let mut node = 0;
    for place in 0..length {
        let side = usize::from(bits >> (127 - place) & 1 == 1);
        if place + 1 == length {
            nodes[node][side] = data;
        } else {
            if nodes[node][side] == NONE {
                nodes.push([NONE; 2]);
                nodes[node][side] = u32::try_from(nodes.len() - 1).unwrap();
            }
            node = usize::try_from(nodes[node][side]).unwrap();
        }
    }
}

/// Lengths above 28 have bytes of their own.
fn text(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).unwrap();
    let head = if length < 29 {
        vec![2 << 5 | length]
    } else {
        vec![2 << 5 | 29, length - 29]
    };
    [head, text.as_bytes().to_vec()].concat()
}

fn number(kind: u8, number: u64) -> Vec<u8> {
    let bytes = number.to_be_bytes();
    let from = if kind == 5 { 6 } else { 4 };
    let length = u8::try_from(8 - from).unwrap();
    [vec![kind << 5 | length], bytes[from..].to_vec()].concat()
}

fn map(pairs: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = vec![7 << 5 | u8::try_from(pairs.len()).unwrap()];
    for (key, value) in pairs {
        bytes.extend(text(key));
        bytes.extend(value);
    }
    bytes
}
