//! Maintenance windows: the hours of the week in which a change may be made.

use jiff::{
    Timestamp, ToSpan,
    civil::{Time, Weekday},
    tz::TimeZone,
};

/// A weekly window in the site's time zone. It may run over midnight.
#[derive(Debug, Clone)]
pub struct MaintenanceWindow {
    /// Its name.
    pub name: String,
    /// As it was written, e.g. `Sun 02:00-04:00`.
    pub when: String,
    days: Vec<Weekday>,
    start: Time,
    end: Time,
    timezone: TimeZone,
}

/// A text that is not a maintenance window.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a window such as \"Sun 02:00-04:00\" or \"Mon-Fri 22:00-06:00\"")]
pub struct WindowError(String);

impl MaintenanceWindow {
    /// Reads `DAYS HH:MM-HH:MM`, where DAYS is `daily`, a day, a range or a list of them (`Mon-Fri`, `Sat,Sun`).
    /// An end that is not after the start means the next day.
    ///
    /// # Errors
    /// When the text has another shape.
    pub fn new(name: &str, when: &str, timezone: TimeZone) -> Result<Self, WindowError> {
        let wrong = || WindowError(when.into());
        let (days, hours) = when.trim().split_once(' ').ok_or_else(wrong)?;
        let (start, end) = hours.trim().split_once('-').ok_or_else(wrong)?;
        Ok(Self {
            name: name.into(),
            when: when.into(),
            days: days_of(days).ok_or_else(wrong)?,
            start: time_of(start).ok_or_else(wrong)?,
            end: time_of(end).ok_or_else(wrong)?,
            timezone,
        })
    }

    /// Whether the window is open at this moment. The start belongs to it, the end does not.
    pub fn is_open(&self, at: Timestamp) -> bool {
        let local = at.to_zoned_datetime(self.timezone.clone());
        let (today, yesterday) = (local.weekday(), local.weekday().previous());
        let time = local.time();
        if self.start < self.end {
            return self.days.contains(&today) && self.start <= time && time < self.end;
        }
        (self.days.contains(&today) && self.start <= time)
            || (self.days.contains(&yesterday) && time < self.end)
    }

    /// The next moment after `at` at which the window opens; `None` beyond the calendar's end.
    pub fn next_opening(&self, at: Timestamp) -> Option<Timestamp> {
        let local = at.to_zoned_datetime(self.timezone.clone());
        (0..=7).find_map(|days| {
            let date = local.date().checked_add(i64::from(days).days()).ok()?;
            let opening = date
                .to_datetime(self.start)
                .to_zoned_datetime(self.timezone.clone())
                .ok()?
                .timestamp();
            (self.days.contains(&date.weekday()) && opening > at).then_some(opening)
        })
    }
}

fn time_of(text: &str) -> Option<Time> {
    let (hour, minute) = text.trim().split_once(':')?;
    if hour.len() != 2 || minute.len() != 2 {
        return None;
    }
    Time::new(hour.parse().ok()?, minute.parse().ok()?, 0, 0).ok()
}

fn days_of(text: &str) -> Option<Vec<Weekday>> {
    if text.eq_ignore_ascii_case("daily") {
        return days_of("Mon-Sun");
    }
    let mut days = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (mut day, last) = (day_of(first)?, day_of(last)?);
        days.push(day);
        while day != last {
            day = day.next();
            days.push(day);
        }
    }
    Some(days)
}

fn day_of(text: &str) -> Option<Weekday> {
    Some(match text.trim().to_ascii_lowercase().as_str() {
        "mon" => Weekday::Monday,
        "tue" => Weekday::Tuesday,
        "wed" => Weekday::Wednesday,
        "thu" => Weekday::Thursday,
        "fri" => Weekday::Friday,
        "sat" => Weekday::Saturday,
        "sun" => Weekday::Sunday,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn window(when: &str) -> MaintenanceWindow {
        MaintenanceWindow::new("w", when, TimeZone::get("Europe/Oslo").unwrap()).unwrap()
    }

    #[test]
    fn the_window_is_meant_in_the_site_s_own_time() {
        let window = window("Sun 02:00-04:00");
        assert!(
            window.is_open(at("2026-11-22T01:00:00Z")),
            "02:00 in Oslo, winter time"
        );
        assert!(!window.is_open(at("2026-11-22T00:59:59Z")));
        assert!(
            !window.is_open(at("2026-11-22T03:00:00Z")),
            "the end does not belong to it"
        );
        assert!(
            window.is_open(at("2026-07-19T00:30:00Z")),
            "02:30 in Oslo, summer time"
        );
    }

    #[test]
    fn a_window_may_run_over_midnight_into_a_day_that_is_not_listed() {
        let window = window("Mon-Fri 22:00-06:00");
        assert!(
            window.is_open(at("2026-11-21T04:59:00Z")),
            "Saturday 05:59, opened on Friday"
        );
        assert!(
            !window.is_open(at("2026-11-22T23:00:00Z")),
            "Monday 00:00, Sunday is not listed"
        );
        assert!(window.is_open(at("2026-11-23T21:00:00Z")), "Monday 22:00");
    }

    #[test]
    fn the_next_opening_is_told() {
        let window = window("Sun 02:00-04:00");
        assert_eq!(
            window.next_opening(at("2026-11-23T12:00:00Z")),
            Some(at("2026-11-29T01:00:00Z"))
        );
        assert_eq!(
            window.next_opening(at("2026-11-22T01:00:00Z")),
            Some(at("2026-11-29T01:00:00Z"))
        );
    }

    #[test]
    fn other_shapes_are_refused() {
        for wrong in [
            "",
            "Sun",
            "Sun 2-4",
            "Sun 02:00",
            "Someday 02:00-04:00",
            "Sun 24:00-25:00",
            "Sun 02:00-4:00",
        ] {
            assert!(
                MaintenanceWindow::new("w", wrong, TimeZone::UTC).is_err(),
                "{wrong:?}"
            );
        }
    }
}
