//! The order of a log that was rotated: `x.log.2.gz`, `x.log.1`, `x.log`; or `x.log-20261121`, `x.log-20261122`, `x.log`.

use std::path::{Path, PathBuf};

/// What stands behind the name of a log that was rotated away: those with the highest number are the oldest, those with the
/// lowest date are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Age {
    Dated(u64),
    Numbered(std::cmp::Reverse<u64>),
    #[default]
    Current,
}

/// Brings the files of each series into the order of time. A series stands where its first file stood; all others stay
/// where they are.
pub fn in_order(paths: &[PathBuf]) -> Vec<PathBuf> {
    let parts: Vec<_> = paths.iter().map(|path| name_and_age(path)).collect();
    let mut order: Vec<usize> = (0..paths.len()).collect();
    order.sort_by_key(|number| {
        let (name, age) = parts.get(*number).cloned().unwrap_or_default();
        let first = parts.iter().position(|(other, _)| *other == name);
        (first, age)
    });
    order
        .into_iter()
        .filter_map(|number| paths.get(number).cloned())
        .collect()
}

/// Whether files were rotated away by date and by number, as happens when the one way is given up for the other: their names do not
/// tell which of them are older.
pub fn is_of_two_ways(paths: &[PathBuf]) -> bool {
    let has = |wanted: fn(Age) -> bool| paths.iter().any(|path| wanted(name_and_age(path).1));
    has(|age| matches!(age, Age::Dated(_))) && has(|age| matches!(age, Age::Numbered(_)))
}

fn name_and_age(path: &Path) -> (PathBuf, Age) {
    let text = path.to_string_lossy();
    let bare = [".gz", ".zst"]
        .iter()
        .find_map(|end| text.strip_suffix(end))
        .unwrap_or(&text);
    let digits = |end: &str| {
        (!end.is_empty() && end.len() <= 14)
            .then(|| end.parse::<u64>().ok())
            .flatten()
    };
    let numbered = bare.rsplit_once('.').and_then(|(name, end)| {
        // Eight digits are a date, as logrotate's `dateext` writes it.
        digits(end).map(|number| {
            (
                name,
                if end.len() < 8 {
                    Age::Numbered(std::cmp::Reverse(number))
                } else {
                    Age::Dated(number)
                },
            )
        })
    });
    let dated = || {
        let (name, end) = bare.rsplit_once('-')?;
        digits(end)
            .filter(|_| end.len() >= 8)
            .map(|number| (name, Age::Dated(number)))
    };
    match numbered.or_else(dated) {
        Some((name, age)) if !name.is_empty() => (name.into(), age),
        _ => (bare.into(), Age::Current),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ordered(paths: &[&str]) -> Vec<String> {
        let paths: Vec<PathBuf> = paths.iter().map(PathBuf::from).collect();
        in_order(&paths)
            .iter()
            .map(|path| path.to_string_lossy().into_owned())
            .collect()
    }

    #[test]
    fn a_rotated_log_is_read_from_its_oldest_file_on() {
        assert_eq!(
            ordered(&[
                "a/x.log",
                "a/x.log.1",
                "a/x.log.10.gz",
                "a/x.log.2.gz",
                "b/y.log",
                "-"
            ]),
            [
                "a/x.log.10.gz",
                "a/x.log.2.gz",
                "a/x.log.1",
                "a/x.log",
                "b/y.log",
                "-"
            ]
        );
        assert_eq!(
            ordered(&["m-20261122.zst", "m", "m-20261121.zst", "n", "m"]),
            ["m-20261121.zst", "m-20261122.zst", "m", "m", "n"]
        );
        let two_ways = |paths: &[&str]| is_of_two_ways(&paths.iter().map(PathBuf::from).collect::<Vec<_>>());
        assert!(two_ways(&["m", "m.1.gz", "m-20261122"]));
        assert!(!two_ways(&["m", "m.1.gz", "m.2"]) && !two_ways(&["m", "m-20261122", "m-20261123.zst"]));
        assert_eq!(ordered(&["b", "a", "10.7.10.4"]), ["b", "a", "10.7.10.4"]);
        assert_eq!(ordered(&[]), Vec::<String>::new());
    }
}
