//! The time at the beginning of a line, and what is missing from it.

use jiff::{
    Timestamp,
    civil::{Date, DateTime, Time},
    tz::TimeZone,
};

use crate::Years;

/// A line may lie this many hours behind the last moment that is known: the sender's clock or zone may differ from
/// ours, and a line that is minutes ahead must not be moved back by a year.
const TOLERATED_HOURS: i64 = 24;

/// Seconds from 1970 back to 1900, where the clocks of NTP begin: nothing was logged before.
const EARLIEST: i64 = -2_208_988_800;

/// 29 February exists only every fourth year, or every eighth around a century.
const YEARS_BACK: i16 = 8;

/// What is known about the times of a log that does not say it itself.
#[derive(Debug, Clone)]
pub struct TimeContext {
    /// The present.
    pub now: Timestamp,
    /// Zone of times without one.
    pub timezone: TimeZone,
    /// When the file was last written; no line of it is much later.
    pub file_modified: Option<Timestamp>,
    /// Years by the order of the lines, where the file was looked at for that.
    pub years: Years,
}

/// A time with the assumptions behind it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ReadTime {
    pub(crate) at: Option<Timestamp>,
    pub(crate) assumed: Option<String>,
}

impl ReadTime {
    pub(crate) fn unknown(why: impl Into<String>) -> Self {
        Self {
            at: None,
            assumed: Some(why.into()),
        }
    }
}

impl TimeContext {
    /// Reads the time that the text begins with. Returns what is left of the text.
    pub(crate) fn read<'a>(&self, text: &'a str) -> (ReadTime, &'a str) {
        let read = self
            .iso(text)
            .or_else(|| self.month_first(text))
            .or_else(|| self.weekday_first(text));
        match read {
            Some((time, rest)) if time.at.is_none_or(|at| at.as_second() >= EARLIEST) => (time, rest),
            Some((_, rest)) => (ReadTime::unknown("the time lies before 1900"), rest),
            None => (ReadTime::unknown("the line has no time that can be read"), text),
        }
    }

    /// `2026-11-22T23:56:51.123+01:00` (RFC 3339), also with a blank for the T and without an offset.
    fn iso<'a>(&self, text: &'a str) -> Option<(ReadTime, &'a str)> {
        if !text.starts_with(|first: char| first.is_ascii_digit()) {
            return None;
        }
        let (stamp, rest) = word(text)?;
        if stamp.contains(['T', 't']) {
            return Some((self.iso_stamp(stamp)?, rest));
        }
        let (clock, rest) = word(rest)?;
        // PAN-OS writes the date with slashes.
        let date = stamp.replace('/', "-");
        Some((self.iso_stamp(&format!("{date}T{clock}"))?, rest))
    }

    fn iso_stamp(&self, stamp: &str) -> Option<ReadTime> {
        let stamp = stamp.trim_end_matches([':', ',']);
        if !has_hours_of_a_day(stamp) {
            return None;
        }
        if let Ok(at) = stamp.parse::<Timestamp>() {
            let at = Some(at);
            return Some(ReadTime { at, assumed: None });
        }
        let civil: DateTime = stamp.parse().ok()?;
        Some(self.resolve(civil, "zone"))
    }

    /// `Nov 22 23:56:51` (RFC 3164), and with a year between or after, as some relays write it.
    fn month_first<'a>(&self, text: &'a str) -> Option<(ReadTime, &'a str)> {
        let (name, rest) = word(text)?;
        let month = month(name)?;
        let (day, rest) = word(rest)?;
        let day: i8 = day.parse().ok()?;
        let (next, after) = word(rest)?;
        if let Some(year) = year(next) {
            let (time, rest) = word(after)?;
            let time = clock(time)?;
            if says_utc(rest) {
                return Some((utc(Date::new(year, month, day).ok()?, time)?, rest));
            }
            return Some((self.dated(year, month, day, time)?, rest));
        }
        let time = clock(next)?;
        match word(after) {
            Some((next, rest)) if year(next).is_some() => {
                Some((self.dated(year(next)?, month, day, time)?, rest))
            }
            _ if says_utc(after) => {
                let zone = TimeZone::UTC;
                let (date, _) = self.likely_date(month, day, time, &zone)?;
                let assumed = Some(format!("year {} assumed", date.year()));
                Some((
                    ReadTime {
                        assumed,
                        ..utc(date, time)?
                    },
                    after,
                ))
            }
            _ => Some((self.without_year(month, day, time)?, after)),
        }
    }

    /// `Sun Nov 22 23:56:51 2026`, as `dmesg -T` and OpenWrt's `logread` write it.
    fn weekday_first<'a>(&self, text: &'a str) -> Option<(ReadTime, &'a str)> {
        let (day, rest) = word(text)?;
        let known = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
        known.contains(&day).then(|| self.month_first(rest))?
    }

    fn dated(&self, year: i16, month: i8, day: i8, time: Time) -> Option<ReadTime> {
        let civil = Date::new(year, month, day).ok()?.to_datetime(time);
        Some(self.resolve(civil, "zone"))
    }

    fn without_year(&self, month: i8, day: i8, time: Time) -> Option<ReadTime> {
        let (date, _) = self.likely_date(month, day, time, &self.timezone)?;
        Some(self.resolve(date.to_datetime(time), &format!("year {} and zone", date.year())))
    }

    /// In the latest year that does not put the line after the file was last written, and the moment.
    fn likely_date(&self, month: i8, day: i8, time: Time, zone: &TimeZone) -> Option<(Date, Timestamp)> {
        let known = self.file_modified.unwrap_or(self.now);
        let tolerance = jiff::SignedDuration::from_hours(TOLERATED_HOURS);
        let latest = known.checked_add(tolerance).unwrap_or(Timestamp::MAX);
        let last_year = zone.to_datetime(latest).year();
        (last_year.saturating_sub(YEARS_BACK)..=last_year)
            .rev()
            .filter_map(|year| Date::new(year, month, day).ok())
            .filter_map(|date| {
                let moment = zone.to_ambiguous_timestamp(date.to_datetime(time));
                Some((date, moment.compatible().ok()?))
            })
            .find(|(_, at)| *at <= latest)
    }

    fn resolve(&self, civil: DateTime, what: &str) -> ReadTime {
        let moment = self.timezone.to_ambiguous_timestamp(civil);
        let doubt = if moment.is_ambiguous() {
            "; the clocks were changed in that hour"
        } else {
            ""
        };
        match moment.compatible() {
            Ok(at) => ReadTime {
                at: Some(at),
                assumed: Some(format!("{what} {} assumed{doubt}", self.zone_name())),
            },
            Err(_) => ReadTime::unknown("the time lies outside the calendar"),
        }
    }

    fn zone_name(&self) -> String {
        match self.timezone.iana_name() {
            Some(name) => name.into(),
            None => self.timezone.to_offset(self.now).to_string(),
        }
    }
}

/// Whether the offset from UTC, if there is one, is less than a day (RFC 3339, 5.6).
fn has_hours_of_a_day(stamp: &str) -> bool {
    let clock = stamp.split_once(['T', 't']).map_or("", |(_, clock)| clock);
    let hours = clock
        .split_once(['+', '-'])
        .and_then(|(_, offset)| offset.get(..2));
    hours.is_none_or(|hours| hours.parse::<u8>().is_ok_and(|hours| hours < 24))
}

/// Whether the zone stands behind a time, as Cisco's systems write it when they are told to. Of the names of zones only these mean one
/// thing everywhere.
fn says_utc(behind: &str) -> bool {
    matches!(word(behind), Some(("UTC:" | "GMT:", _)))
}

fn utc(date: Date, time: Time) -> Option<ReadTime> {
    let at = TimeZone::UTC.to_timestamp(date.to_datetime(time)).ok()?;
    Some(ReadTime {
        at: Some(at),
        assumed: None,
    })
}

/// The first word and the rest behind it.
pub(crate) fn word(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start();
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    let (word, rest) = text.split_at_checked(end)?;
    (!word.is_empty()).then_some((word, rest))
}

fn month(name: &str) -> Option<i8> {
    let names = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    (1..)
        .zip(names)
        .find_map(|(number, known)| (known == name).then_some(number))
}

fn year(text: &str) -> Option<i16> {
    let four_digits = text.len() == 4 && text.bytes().all(|b| b.is_ascii_digit());
    four_digits.then(|| text.parse().ok()).flatten()
}

/// `23:56:51`, with or without a fraction; relays put a colon behind it.
fn clock(text: &str) -> Option<Time> {
    let text = text.trim_end_matches(':');
    text.contains(':').then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(modified: &str, zone: &str) -> TimeContext {
        TimeContext {
            now: "2030-01-01T00:00:00Z".parse().unwrap(),
            timezone: TimeZone::get(zone).unwrap(),
            file_modified: Some(modified.parse().unwrap()),
            years: Years::default(),
        }
    }

    fn read(context: &TimeContext, text: &str) -> (String, String) {
        let (time, rest) = context.read(text);
        assert_eq!(rest, " gw kernel: x", "{text}");
        (time.at.unwrap().to_string(), time.assumed.unwrap_or_default())
    }

    #[test]
    fn a_missing_year_is_the_latest_that_is_not_in_the_future() {
        let context = context("2026-11-22T23:00:00Z", "Europe/Oslo");
        for (line, at, year) in [
            ("Nov 22 23:56:51 gw kernel: x", "2026-11-22T22:56:51Z", "2026"),
            ("Nov  2 03:00:00 gw kernel: x", "2026-11-02T02:00:00Z", "2026"),
            ("Dec 31 23:59:59 gw kernel: x", "2025-12-31T22:59:59Z", "2025"),
            ("Feb 29 12:00:00 gw kernel: x", "2024-02-29T11:00:00Z", "2024"),
            // Its sender's clock is ahead of ours: not a year old.
            ("Nov 23 08:00:00 gw kernel: x", "2026-11-23T07:00:00Z", "2026"),
        ] {
            let assumed = format!("year {year} and zone Europe/Oslo assumed");
            assert_eq!(read(&context, line), (at.into(), assumed), "{line}");
        }
    }

    #[test]
    fn offsets_of_more_than_a_day_and_years_before_all_clocks_are_no_time() {
        let context = context("2026-11-22T23:00:00Z", "UTC");
        for (text, why) in [
            ("2026-11-22T23:56:51+25:00 x", "no time"),
            ("2026-11-22T23:56:51-2500 x", "no time"),
            ("0000-11-22T23:56:51Z x", "before 1900"),
            ("1899-12-31T23:59:59Z x", "before 1900"),
            ("Nov 22 23:56:51 0004 x", "before 1900"),
            ("-004-11-22T23:56:51Z x", "no time"),
        ] {
            let (time, _) = context.read(text);
            assert_eq!(time.at, None, "{text}");
            assert!(time.assumed.unwrap().contains(why), "{text}");
        }
        for text in ["2026-11-22T23:56:51+23:59 x", "1900-01-01T00:00:00Z x"] {
            assert!(context.read(text).0.at.is_some(), "{text}");
        }
    }

    #[test]
    fn a_log_of_december_read_in_january_keeps_its_year() {
        let context = context("2027-01-01T00:30:00Z", "UTC");
        assert_eq!(
            read(&context, "Dec 31 23:59:59 gw kernel: x").0,
            "2026-12-31T23:59:59Z"
        );
    }

    #[test]
    fn a_full_time_needs_no_assumption_and_a_zone_is_said_when_it_does() {
        let context = context("2026-11-22T23:00:00Z", "Europe/Oslo");
        let zone = "zone Europe/Oslo assumed";
        for (line, at, assumed) in [
            (
                "2026-11-22T23:56:51.123+01:00 gw kernel: x",
                "2026-11-22T22:56:51.123Z",
                "",
            ),
            (
                "2026-11-22T23:56:51+0100 gw kernel: x",
                "2026-11-22T22:56:51Z",
                "",
            ),
            ("2026-11-22T22:56:51Z gw kernel: x", "2026-11-22T22:56:51Z", ""),
            ("2026-11-22T23:56:51 gw kernel: x", "2026-11-22T22:56:51Z", zone),
            (
                "2026-11-22 23:56:51.5 gw kernel: x",
                "2026-11-22T22:56:51.5Z",
                zone,
            ),
            (
                "Sun Nov 22 23:56:51 2026 gw kernel: x",
                "2026-11-22T22:56:51Z",
                zone,
            ),
            ("Nov 22 2026 23:56:51: gw kernel: x", "2026-11-22T22:56:51Z", zone),
        ] {
            assert_eq!(read(&context, line), (at.into(), assumed.into()), "{line}");
        }
    }

    #[test]
    fn a_zone_that_stands_behind_the_time_counts() {
        let context = context("2026-11-22T23:00:00Z", "Europe/Oslo");
        let zone = "zone Europe/Oslo assumed";
        for (line, at, assumed) in [
            (
                "Nov 22 2026 22:56:51 UTC: %ASA-4-1: x",
                "2026-11-22T22:56:51Z",
                "",
            ),
            (
                "Nov 22 2026 23:56:51 CET: %ASA-4-1: x",
                "2026-11-22T22:56:51Z",
                zone,
            ),
            (
                "Nov 22 22:56:51.000 UTC: %SEC-6-1: x",
                "2026-11-22T22:56:51Z",
                "year 2026 assumed",
            ),
            (
                "Nov 22 22:56:51 GMT: %SEC-6-1: x",
                "2026-11-22T22:56:51Z",
                "year 2026 assumed",
            ),
        ] {
            let (read, _) = context.read(line);
            assert_eq!(read.at.map(|at| at.to_string()).as_deref(), Some(at), "{line}");
            assert_eq!(read.assumed.unwrap_or_default(), assumed, "{line}");
        }
    }

    #[test]
    fn the_hour_that_comes_twice_is_said() {
        let context = context("2026-11-22T23:00:00Z", "Europe/Oslo");
        let (_, assumed) = read(&context, "Oct 25 02:30:00 gw kernel: x");
        assert!(
            assumed.ends_with("the clocks were changed in that hour"),
            "{assumed}"
        );
    }

    #[test]
    fn what_is_no_time_is_left_in_the_text() {
        let context = context("2026-11-22T23:00:00Z", "UTC");
        for text in [
            "",
            "kernel: x",
            "Nov 42 23:56:51 gw",
            "Nov 22",
            "2026-13-01T00:00:00 gw",
            "Øst 1",
        ] {
            assert_eq!(context.read(text).1, text);
            assert_eq!(context.read(text).0.at, None, "{text}");
        }
    }
}
