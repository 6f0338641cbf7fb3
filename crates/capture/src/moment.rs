//! Times of a capture, counted in nanoseconds since 1970.

use jiff::Timestamp;

/// A time as it is told, to the microsecond. Every count of nanoseconds in 64 bits is a time (the last is in 2554).
pub(crate) fn of(nanoseconds: u64) -> Timestamp {
    let microseconds = i64::try_from(nanoseconds / 1000).unwrap_or_default();
    Timestamp::from_microsecond(microseconds).unwrap_or_default()
}
