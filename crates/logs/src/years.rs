//! The years of lines that have none, by the order of the lines: a log goes forward in time, so that what stands before a line
//! of January and is of December is of the year before. The last line is not later than the file's last change.

use std::io::{self, Read, Seek, SeekFrom};

use jiff::Timestamp;

use crate::TimeContext;

/// Up to this length every line is looked at.
const SMALL: u64 = 1 << 20;

/// Places of a longer log that are looked at.
const PLACES: u64 = 4096;

/// Bytes in which a line must begin, and of its beginning.
const LOOK: u64 = 4096;
const BEGINNING: usize = 48;

/// Until where in a log lines are not later than when. Empty when the file's last change alone gives the same years.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Years(Vec<(u64, Timestamp)>);

impl Years {
    /// Looks at a log that can be read from any place. It is left somewhere.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn by_order(mut log: impl Read + Seek, length: u64, context: &TimeContext) -> io::Result<Self> {
        let lines = if length <= SMALL {
            all_lines(&mut log)?
        } else {
            some_lines(&mut log, length)?
        };
        let mut context = context.clone();
        let plain = context.clone();
        let mut bounds = Vec::new();
        let mut differs = false;
        for (offset, beginning) in lines.iter().rev() {
            let (read, _) = context.read(beginning);
            let without_year = read.assumed.is_some_and(|assumed| assumed.starts_with("year"));
            let Some(at) = read.at.filter(|_| without_year) else {
                continue;
            };
            differs |= plain.read(beginning).0.at != Some(at);
            // Minutes out of order are no new year, and the bound must not creep back with them.
            if context.file_modified.is_none_or(|latest| at < latest) {
                context.file_modified = Some(at);
            }
            bounds.push((*offset, context.file_modified.unwrap_or(at)));
        }
        bounds.reverse();
        Ok(Self(if differs { bounds } else { Vec::new() }))
    }

    /// When the lines at this place are not later than, if their order tells.
    pub(crate) fn latest_at(&self, offset: u64) -> Option<Timestamp> {
        let behind = self.0.partition_point(|(place, _)| *place <= offset);
        self.0.get(behind).map(|(_, latest)| *latest)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

type Beginnings = Vec<(u64, String)>;

fn all_lines(log: &mut (impl Read + Seek)) -> io::Result<Beginnings> {
    let mut text = Vec::new();
    log.seek(SeekFrom::Start(0))?;
    log.take(SMALL).read_to_end(&mut text)?;
    let mut offset = 0;
    let lines = text.split(|byte| *byte == b'\n').map(|line| {
        let place = offset;
        offset += line.len() as u64 + 1;
        (place, beginning(line))
    });
    Ok(lines.collect())
}

fn some_lines(log: &mut (impl Read + Seek), length: u64) -> io::Result<Beginnings> {
    let mut lines = Vec::new();
    let mut text = Vec::new();
    for number in 0..PLACES {
        let place = length / PLACES * number;
        text.clear();
        log.seek(SeekFrom::Start(place))?;
        log.take(LOOK).read_to_end(&mut text)?;
        let end = if place == 0 {
            Some(0)
        } else {
            memchr::memchr(b'\n', &text).map(|end| end + 1)
        };
        if let Some(line) = end.and_then(|end| text.get(end..)) {
            lines.push((place + end.unwrap_or(0) as u64, beginning(line)));
        }
    }
    Ok(lines)
}

fn beginning(line: &[u8]) -> String {
    let line = line.get(..line.len().min(BEGINNING)).unwrap_or_default();
    match crate::syslog::head(line).time {
        crate::RawTime::Text(text) => String::from_utf8_lossy(&text).into_owned(),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;
    use crate::Clock;

    fn context(modified: &str) -> TimeContext {
        TimeContext {
            now: "2030-01-01T00:00:00Z".parse().unwrap(),
            timezone: jiff::tz::TimeZone::UTC,
            file_modified: Some(modified.parse().unwrap()),
            years: Years::default(),
        }
    }

    /// The year that each line is put into.
    fn years(log: &str, modified: &str) -> Vec<i16> {
        let mut context = context(modified);
        context.years = Years::by_order(Cursor::new(log), log.len() as u64, &context).unwrap();
        let mut clock = Clock::new(&context);
        let mut offset = 0;
        let year = |line: &str| {
            clock.move_to(offset);
            offset += line.len() as u64 + 1;
            let at = clock.at(&crate::RawTime::text(line.as_bytes())).unwrap();
            let at = Timestamp::from_microsecond(at.microseconds).unwrap();
            jiff::tz::TimeZone::UTC.to_datetime(at).year()
        };
        log.lines().map(year).collect()
    }

    #[test]
    fn a_log_of_three_years_is_put_into_three_years() {
        let log = "Nov 22 23:56:51 gw a\nDec 31 23:59:59 gw b\nJan  1 00:00:01 gw c\nNov 22 23:56:51 gw d\nMar  1 12:00:00 gw e\n";
        assert_eq!(years(log, "2026-03-02T00:00:00Z"), [2024, 2024, 2025, 2025, 2026]);
    }

    #[test]
    fn lines_a_little_out_of_order_stay_in_their_year() {
        let log = "Nov 22 23:56:51 gw a\nNov 22 23:56:49 gw b\nNov 22 23:59:51 gw c\nNov 22 23:50:51 gw d\n";
        assert_eq!(years(log, "2026-11-23T00:00:00Z"), [2026; 4]);
        let read = Years::by_order(
            Cursor::new(log),
            log.len() as u64,
            &context("2026-11-23T00:00:00Z"),
        )
        .unwrap();
        assert!(read.is_empty(), "the file's last change is enough");
    }

    #[test]
    fn a_long_log_is_looked_at_in_many_places() {
        let mut log = String::new();
        for month in ["Jun", "Dec", "Mar", "Sep", "Feb"] {
            for day in 1..=28 {
                for second in 0..500 {
                    log += &format!(
                        "{month} {day:2} 12:{:02}:{:02} gw kernel: x\n",
                        second / 60,
                        second % 60
                    );
                }
            }
        }
        let read = years(&log, "2026-03-02T00:00:00Z");
        let month = 28 * 500;
        let each: Vec<_> = read
            .chunks(month)
            .map(|lines| (lines[0], lines[month - 1]))
            .collect();
        assert_eq!(
            each,
            [
                (2024, 2024),
                (2024, 2024),
                (2025, 2025),
                (2025, 2025),
                (2026, 2026)
            ]
        );
        assert!(log.len() as u64 > SMALL);
    }
}
