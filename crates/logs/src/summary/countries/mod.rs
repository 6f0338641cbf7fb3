//! In which country an address is, by a database that the operator has on disk.

#[cfg(test)]
mod tests;
#[cfg(test)]
mod written;

use std::{fmt, net::IpAddr, sync::Arc};

use maxminddb::{MaxMindDbError, Reader, path};

/// Codes are of two letters (ISO 3166-1), and what others invent is not much longer.
const LONGEST_CODE: usize = 8;

/// A database in the format of MaxMind that tells countries.
#[derive(Clone)]
pub struct Countries(Arc<Reader<Vec<u8>>>);

impl fmt::Debug for Countries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Countries(..)")
    }
}

/// Bytes that are no such database.
#[derive(Debug)]
pub struct NotCountries(MaxMindDbError);

impl fmt::Display for NotCountries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "it is no database in the format of MaxMind: {}",
            portcullis_model::sanitize(&self.0.to_string())
        )
    }
}

impl std::error::Error for NotCountries {}

/// What a database says of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    /// The code of the country.
    Country(String),
    /// It does not know the address, or knows no country of it.
    Nothing,
    /// It is damaged there.
    Damaged,
}

impl Said {
    /// The code, if there is one.
    pub(super) fn name(self) -> Option<String> {
        match self {
            Self::Country(code) => Some(code),
            Self::Nothing | Self::Damaged => None,
        }
    }
}

impl Countries {
    /// Takes the bytes of a database.
    ///
    /// # Errors
    /// When they are none.
    pub fn read(bytes: Vec<u8>) -> Result<Self, NotCountries> {
        Reader::from_source(bytes)
            .map(|reader| Self(Arc::new(reader)))
            .map_err(NotCountries)
    }

    /// Where the address is, or, of networks that are in no country, where it is registered.
    pub(super) fn of(&self, address: IpAddr) -> Said {
        let found = match self.0.lookup(address) {
            Ok(found) => found,
            // One for IPv4 only knows nothing of IPv6.
            Err(MaxMindDbError::InvalidInput { .. }) => return Said::Nothing,
            Err(_) => return Said::Damaged,
        };
        for of in ["country", "registered_country"] {
            match found.decode_path::<String>(&path![of, "iso_code"]) {
                Ok(Some(code)) if is_code(&code) => return Said::Country(code),
                Ok(_) => {}
                Err(_) => return Said::Damaged,
            }
        }
        Said::Nothing
    }
}

fn is_code(code: &str) -> bool {
    (1..=LONGEST_CODE).contains(&code.len())
        && code
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}
