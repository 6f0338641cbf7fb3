//! Identifiers: one type per thing, derived from content, so that the same fact has the same id everywhere.

use std::{fmt, marker::PhantomData, str::FromStr};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// A SHA-256 digest, shown as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest that stands before the first record of a chain.
    pub const ZERO: Self = Self([0; 32]);

    /// Digest of some bytes.
    pub fn of(bytes: impl AsRef<[u8]>) -> Self {
        Self(Sha256::digest(bytes.as_ref()).into())
    }

    /// Digest of several parts. Each part is preceded by its length, so that moving bytes from one part to the
    /// next changes the digest.
    pub fn of_parts<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut hasher = Sha256::new();
        for part in parts {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        Self(hasher.finalize().into())
    }

    /// Digest of everything that a reader gives, in pieces of 64 KiB.
    ///
    /// # Errors
    /// What the reader says.
    pub fn of_reader(mut reader: impl std::io::Read) -> std::io::Result<Self> {
        let mut hasher = Sha256::new();
        let mut piece = vec![0; 64 * 1024];
        loop {
            match reader.read(&mut piece) {
                Ok(0) => return Ok(Self(hasher.finalize().into())),
                Ok(length) => hasher.update(piece.get(..length).unwrap_or_default()),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The raw 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first four hexadecimal digits, for people to compare.
    pub fn short(&self) -> String {
        self.to_string().chars().take(4).collect()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

/// A text that should be an identifier or a digest and is not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {expected} lower-case hexadecimal digits")]
pub struct IdError {
    text: String,
    expected: usize,
}

impl FromStr for Digest {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| IdError {
            text: text.into(),
            expected: 64,
        })?;
        Ok(Self(bytes))
    }
}

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// Sixteen hexadecimal digits of a SHA-256: short enough to type, long enough never to collide on one site.
/// `T` is the thing that is named, so that the id of a plan cannot be passed for the id of a change.
pub struct Id<T> {
    digits: [u8; 8],
    thing: PhantomData<fn() -> T>,
}

impl<T> Id<T> {
    /// Derives the id from the parts that make the thing what it is.
    pub fn of(parts: &[&[u8]]) -> Self {
        let digest = Digest::of_parts(parts.iter().copied());
        let mut digits = [0; 8];
        for (to, from) in digits.iter_mut().zip(digest.as_bytes()) {
            *to = *from;
        }
        Self {
            digits,
            thing: PhantomData,
        }
    }

    /// The first six hexadecimal digits, which are enough to name the thing on a command line.
    pub fn short(&self) -> String {
        self.to_string().chars().take(6).collect()
    }
}

impl<T> FromStr for Id<T> {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let mut digits = [0; 8];
        hex::decode_to_slice(text, &mut digits).map_err(|_| IdError {
            text: text.into(),
            expected: 16,
        })?;
        Ok(Self {
            digits,
            thing: PhantomData,
        })
    }
}

impl<T> fmt::Display for Id<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.digits))
    }
}

impl<T> fmt::Debug for Id<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Id({self})")
    }
}

// Written out because `derive` would demand the same traits of `T`, which is only a name.
impl<T> Clone for Id<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Id<T> {}
impl<T> PartialEq for Id<T> {
    fn eq(&self, other: &Self) -> bool {
        self.digits == other.digits
    }
}
impl<T> Eq for Id<T> {}
impl<T> PartialOrd for Id<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<T> Ord for Id<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.digits.cmp(&other.digits)
    }
}
impl<T> std::hash::Hash for Id<T> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.digits.hash(state);
    }
}

impl<T> Serialize for Id<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, T> Deserialize<'de> for Id<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// One `plan`: derived from everything the plan says.
pub type PlanId = Id<crate::Plan>;
/// One firewall change: derived from its plan and the moment of its `apply`.
pub type ChangeId = Id<crate::Change>;
/// One exposure: derived from host, port, service and the zone that it is reached from; stable between runs.
pub type ExposureId = Id<crate::Exposure>;
/// One observation: derived from its run, vantage, address and port.
pub type ObservationId = Id<crate::Observation>;
/// One run of a scan, check or verification.
pub type RunId = Id<crate::Run>;
