//! From what a line says of the time to a moment. Lines come many to a minute, so that the last minute is remembered.

use std::borrow::Cow;

use jiff::Timestamp;

use crate::{TimeContext, time::ReadTime};

/// The time of a line, as it stands there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RawTime<'a> {
    /// The line has none.
    None,
    /// Only how long the machine was up.
    Uptime,
    /// Microseconds since 1970 (UTC).
    Unix(i64),
    /// A text that begins with a time, in one of the ways that [`TimeContext`] reads.
    Text(Cow<'a, [u8]>),
    /// Date, time of day, and offset from UTC, which may be empty. Boxed, since it is rare, and a large time makes every event
    /// large.
    Parts(Box<[Cow<'a, [u8]>; 3]>),
}

impl<'a> RawTime<'a> {
    /// A text that begins with a time.
    pub fn text(text: &'a [u8]) -> Self {
        Self::Text(Cow::Borrowed(text))
    }

    /// Date, time of day, and offset from UTC.
    pub fn parts(date: &'a [u8], time: &'a [u8], offset: &'a [u8]) -> Self {
        Self::Parts(Box::new([date, time, offset].map(Cow::Borrowed)))
    }

    /// The same with texts of its own.
    pub fn into_owned(self) -> RawTime<'static> {
        let own = |text: Cow<'_, [u8]>| Cow::Owned(text.into_owned());
        match self {
            Self::None => RawTime::None,
            Self::Uptime => RawTime::Uptime,
            Self::Unix(microseconds) => RawTime::Unix(microseconds),
            Self::Text(text) => RawTime::Text(own(text)),
            Self::Parts(parts) => RawTime::Parts(Box::new(parts.map(own))),
        }
    }
}

/// Microseconds since 1970 (UTC), and whether something had to be assumed for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Microseconds since 1970 (UTC).
    pub microseconds: i64,
    /// Whether a year or a zone was assumed.
    pub assumed: bool,
}

/// Resolves times for one file. It remembers the last minute.
#[derive(Debug)]
pub struct Clock<'c> {
    context: Cow<'c, TimeContext>,
    month_first: Minute<13>,
    iso: Minute<17>,
    /// What followed the seconds of the last ISO time: the offset.
    offset: Offset,
}

/// An offset from UTC as it is written, which is mostly nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Offset {
    written: [u8; 6],
    length: usize,
}

impl Offset {
    /// `None` where it is longer than `+01:00`.
    fn of(text: &[u8]) -> Option<Self> {
        if text.is_empty() {
            return Some(Self::default());
        }
        let mut written = [0; 6];
        written.get_mut(..text.len())?.copy_from_slice(text);
        Some(Self {
            written,
            length: text.len(),
        })
    }
}

/// The last minute with its beginning as it is written.
#[derive(Debug, Clone, Copy)]
struct Minute<const LENGTH: usize> {
    written: [u8; LENGTH],
    begins: Option<Moment>,
}

impl<const LENGTH: usize> Default for Minute<LENGTH> {
    fn default() -> Self {
        Self {
            written: [0; LENGTH],
            begins: None,
        }
    }
}

impl<'c> Clock<'c> {
    /// A clock for a file of which this much is known.
    pub fn new(context: &'c TimeContext) -> Self {
        Self {
            context: Cow::Borrowed(context),
            month_first: Minute::default(),
            iso: Minute::default(),
            offset: Offset::default(),
        }
    }

    /// From now on times are of lines at this place of the log, or behind it.
    pub fn move_to(&mut self, offset: u64) {
        if self.context.years.is_empty() {
            return;
        }
        let latest = self.context.years.latest_at(offset);
        if latest.is_some() && latest != self.context.file_modified {
            self.context.to_mut().file_modified = latest;
            (self.month_first, self.iso) = (Minute::default(), Minute::default());
        }
    }

    /// When; `None` when the line does not tell.
    pub fn at(&mut self, time: &RawTime<'_>) -> Option<Moment> {
        match time {
            RawTime::None | RawTime::Uptime => None,
            RawTime::Unix(microseconds) => Some(Moment {
                microseconds: *microseconds,
                assumed: false,
            }),
            RawTime::Text(text) => match text.first()? {
                b'A'..=b'Z' => self.month_first(text),
                _ => self.iso(text),
            },
            RawTime::Parts(..) => self.slowly(time),
        }
    }

    /// When, and what was assumed, in words.
    pub(crate) fn read(&mut self, time: &RawTime<'_>) -> ReadTime {
        match time {
            RawTime::None => ReadTime::unknown("the line has no time that can be read"),
            RawTime::Uptime => ReadTime::unknown("the line tells only how long the machine was up"),
            RawTime::Unix(microseconds) => match Timestamp::from_microsecond(*microseconds) {
                Ok(at) => ReadTime {
                    at: Some(at),
                    assumed: None,
                },
                Err(_) => ReadTime::unknown("the time lies outside the calendar"),
            },
            RawTime::Text(text) => self.context.read(&String::from_utf8_lossy(short(text))).0,
            RawTime::Parts(parts) => {
                let [date, time, offset] = &**parts;
                let parts = [short(date), b"T", short(time), short(offset)].concat();
                self.context.read(&String::from_utf8_lossy(&parts)).0
            }
        }
    }

    fn slowly(&mut self, time: &RawTime<'_>) -> Option<Moment> {
        let read = self.read(time);
        Some(Moment {
            microseconds: read.at?.as_microsecond(),
            assumed: read.assumed.is_some(),
        })
    }

    /// `Nov 22 23:56:51 `: the first twelve bytes and the colon are the minute.
    fn month_first(&mut self, text: &[u8]) -> Option<Moment> {
        let Some((minute, rest)) = text.split_first_chunk::<13>() else {
            return self.slowly(&RawTime::text(text));
        };
        let Some(second) = rest
            .split_first_chunk::<3>()
            .and_then(|([high, low, end], _)| (*end == b' ').then(|| two_digits(*high, *low))?)
        else {
            return self.slowly(&RawTime::text(text));
        };
        if self.month_first.written != *minute || self.month_first.begins.is_none() {
            let begin = [&minute[..], b"00 "].concat();
            // Such a line is not the minute alone.
            if says_more(rest) || minute.last() != Some(&b':') {
                return self.slowly(&RawTime::text(text));
            }
            self.month_first.written = *minute;
            self.month_first.begins = self.slowly(&RawTime::text(&begin));
        } else if says_more(rest) {
            return self.slowly(&RawTime::text(text));
        }
        after(self.month_first.begins?, second, 0)
    }

    /// `2026-11-22T23:56:51.123+01:00`, or with a blank for the T.
    fn iso(&mut self, text: &[u8]) -> Option<Moment> {
        let quick = text.split_first_chunk::<17>().and_then(|(minute, rest)| {
            let ([high, low], rest) = rest.split_first_chunk::<2>()?;
            let second = two_digits(*high, *low)?;
            let (fraction, rest) = fraction(rest)?;
            let end = rest.iter().position(|byte| *byte == b' ').unwrap_or(rest.len());
            let offset = rest.get(..end)?;
            Some((minute, second, fraction, offset, Offset::of(offset)?))
        });
        let Some((minute, second, fraction, offset, written)) = quick else {
            return self.slowly(&RawTime::text(text));
        };
        if self.iso.written != *minute || self.offset != written || self.iso.begins.is_none() {
            let begin = [&minute[..], b"00", offset].concat();
            self.iso.written = *minute;
            self.offset = written;
            self.iso.begins = self.slowly(&RawTime::text(&begin));
        }
        after(self.iso.begins?, second, fraction)
    }
}

/// Whether a year follows the seconds, as some relays write it, or a zone, as Cisco's systems do.
fn says_more(rest: &[u8]) -> bool {
    match rest.get(3..7) {
        Some(b"UTC:" | b"GMT:") => true,
        Some(year) => year.iter().all(u8::is_ascii_digit),
        None => false,
    }
}

fn after(begin: Moment, second: i64, microseconds: i64) -> Option<Moment> {
    Some(Moment {
        microseconds: begin
            .microseconds
            .checked_add(second * 1_000_000 + microseconds)?,
        ..begin
    })
}

/// 60 is a leap second, which the calendar counts as 59.
fn two_digits(high: u8, low: u8) -> Option<i64> {
    let (high, low) = (high.wrapping_sub(b'0'), low.wrapping_sub(b'0'));
    let second = i64::from(high) * 10 + i64::from(low);
    (high <= 6 && low <= 9 && second <= 60).then_some(second.min(59))
}

/// Microseconds of `.123`, and what is behind it; none is none.
fn fraction(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let Some((b'.', digits)) = bytes.split_first() else {
        return Some((0, bytes));
    };
    let (mut sum, mut places, mut length) = (0, 0, 0);
    for byte in digits.iter().take_while(|byte| byte.is_ascii_digit()) {
        length += 1;
        if places < 6 {
            sum = sum * 10 + i64::from(byte - b'0');
            places += 1;
        }
    }
    if length == 0 || length > 9 {
        return None;
    }
    let rest = digits.get(length..)?;
    Some((sum * 10_i64.pow(6 - places), rest))
}

/// No time is longer.
fn short(text: &[u8]) -> &[u8] {
    text.get(..text.len().min(64)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;
    use proptest::prelude::*;

    use super::*;

    fn context() -> TimeContext {
        TimeContext {
            now: "2026-11-23T12:00:00Z".parse().unwrap(),
            timezone: TimeZone::get("Europe/Oslo").unwrap(),
            file_modified: None,
            years: Default::default(),
        }
    }

    #[test]
    fn the_quick_way_and_the_slow_way_tell_the_same() {
        let context = context();
        let mut clock = Clock::new(&context);
        for text in [
            "Nov 22 23:56:51 gw",
            "Nov 22 23:56:59 gw",
            "Nov  2 23:56:51 gw",
            "Nov 2 23:56:51 gw",
            "Nov 22 23:57:00 gw",
            "Nov 22 23:56:51 2025 gw",
            "Nov 22 2025 23:56:51 gw",
            "Sun Nov 22 23:56:51 2026",
            "Nov 22 23:56:51: gw",
            "Nov 22 23:56:51 UTC: gw",
            "Nov 22 23:56:51 UTC gw",
            "2026-11-22T23:56:51+01:00 gw",
            "2026-11-22T23:56:52.5+01:00 gw",
            "2026-11-22T23:56:52.5+02:00 gw",
            "2026-11-22T23:56:52Z gw",
            "2026-11-22T23:56:52.123456Z gw",
            "2026-11-22T23:56:52 gw",
            "2026-11-22 23:56:52 gw",
            "2026-11-22 23:56:52.25 gw",
            "2026/11/22 23:56:52,gw",
            "Nov 42 00:00:00 x",
            "x",
            "",
            "2026-11-22T23:56:6",
        ] {
            let raw = RawTime::text(text.as_bytes());
            let quick = clock.at(&raw).map(|moment| moment.microseconds);
            let slow = Clock::new(&context).read(&raw).at.map(Timestamp::as_microsecond);
            assert_eq!(quick, slow, "{text}");
        }
    }

    #[test]
    fn parts_and_numbers() {
        let context = context();
        let mut clock = Clock::new(&context);
        let parts = |offset: &'static [u8]| RawTime::parts(b"2026-11-22", b"23:56:51", offset);
        assert_eq!(
            clock.read(&parts(b"+0200")).at.unwrap().to_string(),
            "2026-11-22T21:56:51Z"
        );
        assert_eq!(
            clock.read(&parts(b"")).at.unwrap().to_string(),
            "2026-11-22T22:56:51Z"
        );
        assert!(clock.at(&parts(b"")).unwrap().assumed);
        assert_eq!(
            clock.at(&RawTime::Unix(7)),
            Some(Moment {
                microseconds: 7,
                assumed: false
            })
        );
        assert_eq!(clock.at(&RawTime::Uptime), None);
        assert_eq!(clock.read(&RawTime::Unix(i64::MAX)).at, None);
    }

    proptest! {
        #[test]
        fn any_text_is_read_the_same_in_both_ways(texts in proptest::collection::vec("[A-Z0-9][a-z0-9]{0,3}[- /]?[0-9 :T.+-]{0,24}", 1..6)) {
            let context = context();
            let mut clock = Clock::new(&context);
            for text in texts {
                let raw = RawTime::text(text.as_bytes());
                if let (Some(quick), Some(slow)) = (clock.at(&raw), Clock::new(&context).read(&raw).at) {
                    prop_assert_eq!(quick.microseconds, slow.as_microsecond(), "{}", text);
                }
            }
        }
    }
}
