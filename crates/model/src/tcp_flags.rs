//! The flags of a TCP segment.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Flags of a TCP segment, as the bits of the header's 14th byte (RFC 9293, 3.1). Written `SYN ACK`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TcpFlags(pub u8);

impl TcpFlags {
    /// Synchronise: the first segment of a connection has it.
    pub const SYN: Self = Self(0x02);
    /// Acknowledgement.
    pub const ACK: Self = Self(0x10);
    /// Reset.
    pub const RST: Self = Self(0x04);
    /// No more data.
    pub const FIN: Self = Self(0x01);
    /// Push.
    pub const PSH: Self = Self(0x08);
    /// Urgent.
    pub const URG: Self = Self(0x20);

    const NAMES: [(&'static str, u8); 8] = [
        ("CWR", 0x80),
        ("ECE", 0x40),
        ("URG", 0x20),
        ("ACK", 0x10),
        ("PSH", 0x08),
        ("RST", 0x04),
        ("SYN", 0x02),
        ("FIN", 0x01),
    ];

    /// Both together.
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of the other are set.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The flag of this name, in capitals.
    pub fn named(name: &[u8]) -> Option<Self> {
        Self::NAMES
            .iter()
            .find_map(|(known, bit)| (known.as_bytes() == name).then_some(Self(*bit)))
    }
}

impl fmt::Display for TcpFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "";
        for (name, bit) in Self::NAMES {
            if self.0 & bit != 0 {
                write!(f, "{between}{name}")?;
                between = " ";
            }
        }
        Ok(())
    }
}

impl Serialize for TcpFlags {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TcpFlags {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.split_ascii_whitespace()
            .try_fold(Self::default(), |flags, name| {
                Self::named(name.as_bytes())
                    .map(|flag| flags.with(flag))
                    .ok_or_else(|| D::Error::custom(format!("{} is no TCP flag", crate::sanitize(name))))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_read_back_as_they_are_written() {
        for bits in 0..=u8::MAX {
            let json = serde_json::to_string(&TcpFlags(bits)).unwrap();
            assert_eq!(serde_json::from_str::<TcpFlags>(&json).unwrap(), TcpFlags(bits));
        }
        assert_eq!(TcpFlags::SYN.with(TcpFlags::ACK).to_string(), "ACK SYN");
        assert!(serde_json::from_str::<TcpFlags>("\"SIN\"").is_err());
    }
}
