//! Values as JSON text in a column, and the lookup of one value by the beginning of its id.

use serde::{Serialize, de::DeserializeOwned};

use crate::StoreError;

/// A row as it is read: id and record.
pub(crate) type Row = (String, String);

const SHORTEST_PREFIX: usize = 4;
const ID_DIGITS: usize = 16;

pub(crate) fn encode<T: Serialize>(thing: &'static str, value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|source| StoreError::Encode { thing, source })
}

pub(crate) fn decode<T: DeserializeOwned>(thing: &'static str, (id, text): Row) -> Result<T, StoreError> {
    serde_json::from_str(&text).map_err(|source| StoreError::Decode { thing, id, source })
}

pub(crate) fn decode_all<T: DeserializeOwned>(
    thing: &'static str,
    rows: Vec<Row>,
) -> Result<Vec<T>, StoreError> {
    rows.into_iter().map(|row| decode(thing, row)).collect()
}

/// The first and the last id that begin with these digits.
pub(crate) fn id_range(thing: &'static str, prefix: &str) -> Result<(String, String), StoreError> {
    let prefix = prefix.trim().to_ascii_lowercase();
    let length = prefix.len();
    if !(SHORTEST_PREFIX..=ID_DIGITS).contains(&length) || !prefix.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(StoreError::BadPrefix {
            thing,
            prefix: portcullis_model::sanitize(&prefix),
        });
    }
    let rest = ID_DIGITS - length;
    Ok((
        format!("{prefix}{}", "0".repeat(rest)),
        format!("{prefix}{}", "f".repeat(rest)),
    ))
}

/// The one row that was found.
pub(crate) fn only(thing: &'static str, prefix: &str, mut rows: Vec<Row>) -> Result<Row, StoreError> {
    match (rows.pop(), rows.is_empty()) {
        (Some(row), true) => Ok(row),
        (None, _) => Err(StoreError::NotFound {
            thing,
            id: prefix.trim().into(),
        }),
        (Some(last), false) => Err(StoreError::Ambiguous {
            thing,
            prefix: prefix.trim().into(),
            matches: rows.into_iter().chain([last]).map(|(id, _)| id).collect(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_needs_four_hexadecimal_digits() {
        for wrong in ["", "abc", "abcg", "0123456789abcdef0", "%%%%"] {
            assert!(
                matches!(id_range("plan", wrong), Err(StoreError::BadPrefix { .. })),
                "{wrong}"
            );
        }
        assert_eq!(
            id_range("plan", "7C1e").unwrap(),
            ("7c1e000000000000".into(), "7c1effffffffffff".into())
        );
    }
}
