//! Hardware addresses as tables of neighbours and switches write them.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A 48-bit hardware address (IEEE EUI-48), shown as `00:90:e8:12:34:56`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MacAddress([u8; 6]);

impl MacAddress {
    /// Takes the six bytes in the order in which they are sent.
    pub const fn new(bytes: [u8; 6]) -> Self {
        Self(bytes)
    }

    /// Whether it names a group of stations, or all of them, instead of one.
    pub fn is_group(self) -> bool {
        let [first, ..] = self.0;
        first & 1 == 1
    }

    /// Whether it is nobody's: tables hold it for a neighbour that did not answer.
    pub fn is_zero(self) -> bool {
        self.0 == [0; 6]
    }

    /// Whether its first three bytes are registered to Moxa (IEEE registry: 00-90-E8 and 50-0B-88). Anybody can set
    /// any address, and a device of another name may carry a Moxa module: a hint, no proof.
    pub fn is_moxa(self) -> bool {
        matches!(self.0, [0x00, 0x90, 0xe8, ..] | [0x50, 0x0b, 0x88, ..])
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// A text that is not a hardware address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a hardware address such as 00:90:e8:12:34:56")]
pub struct MacAddressError(String);

impl FromStr for MacAddress {
    type Err = MacAddressError;

    /// Reads `00:90:e8:12:34:56`, `00-90-E8-12-34-56` (Windows), `0:90:e8:1:2:3` (BSD) and `0090.e812.3456` (Cisco).
    fn from_str(text: &str) -> Result<Self, MacAddressError> {
        read(text).map(Self).ok_or_else(|| MacAddressError(text.into()))
    }
}

fn read(text: &str) -> Option<[u8; 6]> {
    // The longest form has 17 letters; what is longer need not be looked at.
    if text.len() > 17 || !text.is_ascii() {
        return None;
    }
    let separator = [':', '-', '.']
        .into_iter()
        .find(|separator| text.contains(*separator))?;
    let hexadecimal = |group: &str, longest: usize| {
        let fits = (1..=longest).contains(&group.len()) && group.bytes().all(|byte| byte.is_ascii_hexdigit());
        fits.then(|| u16::from_str_radix(group, 16).ok()).flatten()
    };
    let mut bytes = [0; 6];
    let mut groups = text.split(separator);
    if separator == '.' {
        for pair in bytes.chunks_exact_mut(2) {
            let group = groups.next().filter(|group| group.len() == 4)?;
            pair.copy_from_slice(&hexadecimal(group, 4)?.to_be_bytes());
        }
    } else {
        for byte in &mut bytes {
            *byte = u8::try_from(hexadecimal(groups.next()?, 2)?).ok()?;
        }
    }
    groups.next().is_none().then_some(bytes)
}

impl Serialize for MacAddress {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for MacAddress {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_write_it_gives_the_same_address() {
        for text in [
            "00:90:e8:01:02:03",
            "00-90-E8-01-02-03",
            "0:90:e8:1:2:3",
            "0090.e801.0203",
        ] {
            let mac: MacAddress = text.parse().unwrap();
            assert_eq!(mac.to_string(), "00:90:e8:01:02:03", "{text}");
            assert!(mac.is_moxa() && !mac.is_group() && !mac.is_zero());
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            ":",
            "00:90:e8:01:02",
            "00:90:e8:01:02:03:04",
            "00:90:e8:01:02:0x",
            "00:90:e8:01:02:003",
            "0090.e801.203",
            "0090.e801",
            "::1",
            "10.7.10.10",
            "1.2.3",
            "00:90-e8:01:02:03",
            "٠٠:90:e8:01:02:03",
        ] {
            assert!(
                text.parse::<MacAddress>().is_err(),
                "{text:?} was taken for an address"
            );
        }
    }
}
