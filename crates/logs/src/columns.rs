//! Logs whose first lines name their columns: Windows and Zeek.

use portcullis_model::LogFormat;

use crate::digits;

/// Columns that are looked at; the longest known log has half as many.
pub(crate) const MOST: usize = 48;

/// Which value stands in which column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns {
    /// The log that they are of.
    pub format: LogFormat,
    places: Vec<Option<u8>>,
    /// How many columns have to be looked at.
    last: usize,
    /// What is known of which log of Zeek it is.
    path: Path,
}

/// Zeek writes a log for each kind of thing; only `conn` is of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Path {
    /// A line named it, and the columns follow.
    Conn,
    Other,
    /// The columns are there, and it is that log or another one.
    ConnWithColumns,
    OtherWithColumns,
}

impl Columns {
    /// The columns that a line names, if it is such a line: `#Fields:` of Windows, `#fields` of Zeek. `#path` of Zeek stands before
    /// them, and names the log; without it, what only `conn` has tells.
    pub fn named_by(line: &[u8], before: Option<&Self>) -> Option<Self> {
        let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        if let Some(names) = line.strip_prefix(b"#Fields:") {
            let names = names
                .split(u8::is_ascii_whitespace)
                .filter(|name| !name.is_empty());
            return Some(Self::of(
                LogFormat::Windows,
                names,
                &crate::format::windows::COLUMNS,
            ));
        }
        if let Some(path) = line.strip_prefix(b"#path\t") {
            let path = if path.trim_ascii_end() == b"conn" {
                Path::Conn
            } else {
                Path::Other
            };
            return Some(Self {
                path,
                ..Self::of(LogFormat::ZeekTsv, std::iter::empty(), &[])
            });
        }
        let mut names = line
            .strip_prefix(b"#fields\t")?
            .trim_ascii_end()
            .split(|byte| *byte == b'\t');
        let columns = Self::of(LogFormat::ZeekTsv, names.clone(), &crate::format::zeek::COLUMNS);
        let is_conn = match before.map(|before| before.path) {
            Some(Path::Conn) => true,
            Some(Path::Other) => false,
            _ => names.any(|name| name == b"conn_state"),
        };
        let path = if is_conn {
            Path::ConnWithColumns
        } else {
            Path::OtherWithColumns
        };
        Some(Self { path, ..columns })
    }

    fn of<'a>(format: LogFormat, names: impl Iterator<Item = &'a [u8]>, known: &[&str]) -> Self {
        let names: Vec<_> = names.take(MOST).collect();
        let place = |column: &&str| {
            let place = names.iter().position(|name| *name == column.as_bytes())?;
            u8::try_from(place).ok()
        };
        let places: Vec<_> = known.iter().map(place).collect();
        let last = places
            .iter()
            .flatten()
            .max()
            .map_or(0, |last| usize::from(*last) + 1);
        Self {
            format,
            places,
            last,
            path: Path::ConnWithColumns,
        }
    }

    /// The values of a line in the order of the columns that the format knows. A value that is not there, or that
    /// is only `-`, is `None`.
    pub(crate) fn values<'a, const N: usize>(&self, line: &'a [u8], between: u8) -> [Option<&'a [u8]>; N] {
        let mut ends = [0; MOST];
        let mut count = 0;
        for (slot, end) in ends.iter_mut().take(self.last).zip(digits::places(line, between)) {
            *slot = end;
            count += 1;
        }
        if let Some(slot) = ends.get_mut(count).filter(|_| count < self.last) {
            *slot = line.len();
            count += 1;
        }
        let mut values = [None; N];
        for (value, place) in values.iter_mut().zip(&self.places) {
            let Some(place) = place.map(usize::from).filter(|place| *place < count) else {
                continue;
            };
            let before = place.checked_sub(1).and_then(|before| ends.get(before));
            let start = before.map_or(0, |end| end + 1);
            *value = ends
                .get(place)
                .and_then(|end| line.get(start..*end))
                .filter(|field| !matches!(*field, [] | [b'-']));
        }
        values
    }

    /// Whether they are of a log of Zeek that is not `conn`.
    pub(crate) fn of_another_log(&self) -> bool {
        matches!(self.path, Path::Other | Path::OtherWithColumns)
    }

    /// Whether the first two known columns are the first two of the line.
    pub(crate) fn begins_with_date_and_time(&self) -> bool {
        self.places.starts_with(&[Some(0), Some(1)])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn values_are_what_stands_between(line in "[a-c- ]{0,40}") {
            let columns = Columns::named_by(b"#Fields: time x action date src-port protocol", None).unwrap();
            let fields: Vec<_> = line.split(' ').map(|field| (!matches!(field, "" | "-")).then_some(field.as_bytes())).collect();
            let field = |place: usize| fields.get(place).copied().flatten();
            let [date, time, action, protocol, source, destination, source_port, ..]: [Option<&[u8]>; 13] =
                columns.values(line.as_bytes(), b' ');
            prop_assert_eq!([time, action, date, source_port, protocol], [0, 2, 3, 4, 5].map(field));
            prop_assert_eq!([source, destination], [None, None]);
        }
    }

    #[test]
    fn columns_are_found_by_name_wherever_they_stand() {
        let columns = Columns::named_by(b"#Fields: time date  src-ip action\r\n", None).unwrap();
        assert_eq!(columns.format, LogFormat::Windows);
        let [date, time, action, ..]: [Option<&[u8]>; 13] = columns.values(b"a b - d", b' ');
        assert_eq!(
            (date, time, action),
            (Some(&b"b"[..]), Some(&b"a"[..]), Some(&b"d"[..]))
        );
        assert_eq!(Columns::named_by(b"#Version: 1.5", None), None);
        assert_eq!(
            Columns::named_by(b"#fields\tts\tuid", None).unwrap().format,
            LogFormat::ZeekTsv
        );
    }
}
