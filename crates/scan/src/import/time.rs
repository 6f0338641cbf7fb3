//! Times as other programs write them.

use jiff::Timestamp;

/// Seconds since 1970, with or without a fraction, as in `1795455696` and `1591367999.305988`.
pub(super) fn seconds(text: &str) -> Option<Timestamp> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || whole.len() > 12 || !is_number(whole) || !is_number(fraction) {
        return None;
    }
    let nanoseconds = format!("{fraction:0<9}");
    let nanoseconds = nanoseconds.get(..9)?.parse().ok()?;
    Timestamp::new(whole.parse().ok()?, nanoseconds).ok()
}

/// The same, or a time by ISO 8601 with its zone, as Zeek writes when it is told to.
pub(super) fn seconds_or_iso(text: &str) -> Option<Timestamp> {
    seconds(text).or_else(|| text.parse().ok())
}
