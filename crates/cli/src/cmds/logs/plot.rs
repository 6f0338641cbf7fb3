//! How many when, as bars in a terminal: a row for each verdict, each by a scale of its own.

use std::fmt::Write as _;

use jiff::Timestamp;
use portcullis_ops::logs::{TimelineReport, VerdictCounts};

use crate::environment::Screen;

/// Wider ones are not read any better.
const WIDEST: usize = 120;

/// Room for the name of a row and its scale.
const MARGIN: usize = 32;

const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const ASCII: [char; 8] = ['.', ':', '-', '=', '+', '*', '#', '@'];

/// The plot; empty when there is nothing over which time could be told apart.
pub(super) fn plot(timeline: &TimelineReport, screen: Screen) -> String {
    let room = screen.columns.min(WIDEST).saturating_sub(MARGIN).max(8);
    let joined = timeline.spans.len().div_ceil(room).max(1);
    let columns: Vec<VerdictCounts> = timeline
        .spans
        .chunks(joined)
        .map(|spans| {
            let verdicts = spans.iter().map(|span| span.verdicts);
            verdicts.reduce(VerdictCounts::plus).unwrap_or_default()
        })
        .collect();
    let (Some(first), true) = (timeline.spans.first(), columns.len() > 1) else {
        return String::new();
    };
    let mut text = String::new();
    for (name, of) in ROWS {
        let counts: Vec<u64> = columns.iter().map(of).collect();
        let most = counts.iter().copied().max().unwrap_or(0);
        if most == 0 {
            continue;
        }
        let glyphs = if screen.unicode { BARS } else { ASCII };
        let bars: String = counts.iter().map(|count| bar(*count, most, glyphs)).collect();
        let _ = writeln!(text, "{name:11} {bars}  most {most}");
    }
    let seconds = timeline.seconds.saturating_mul(joined as u64);
    let _ = writeln!(
        text,
        "{:11} from {}, one column is {}",
        "",
        minute(first.begins),
        length(seconds)
    );
    text
}

/// The name of a row, and what it counts.
type Row = (&'static str, fn(&VerdictCounts) -> u64);

/// What one wants to see first stands first.
const ROWS: [Row; 3] = [
    ("got through", |counts| counts.allowed),
    ("blocked", |counts| counts.blocked),
    ("unknown", |counts| counts.unknown),
];

/// Only nothing is shown as nothing.
fn bar(count: u64, most: u64, glyphs: [char; 8]) -> char {
    if count == 0 {
        return ' ';
    }
    let height = u128::from(count) * 8 / u128::from(most.max(1));
    let place = usize::try_from(height).unwrap_or(0).clamp(1, 8) - 1;
    glyphs.get(place).copied().unwrap_or('?')
}

pub(super) fn minute(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M").to_string()
}

/// A length of time in the largest unit in which it is whole.
pub(super) fn length(seconds: u64) -> String {
    let units = [(86_400, "d"), (3600, "h"), (60, "min")];
    let whole = units
        .into_iter()
        .find(|(unit, _)| seconds >= *unit && seconds.is_multiple_of(*unit));
    let (unit, name) = whole.unwrap_or((1, "s"));
    format!("{} {name}", seconds / unit)
}

#[cfg(test)]
mod tests {
    use portcullis_ops::logs::TimeSpan;

    use super::*;

    fn timeline(counts: impl IntoIterator<Item = (u64, u64)>) -> TimelineReport {
        let spans = (0..).zip(counts).map(|(number, (blocked, allowed))| TimeSpan {
            begins: Timestamp::from_second(1_795_305_600 + number * 600).unwrap(),
            verdicts: VerdictCounts {
                blocked,
                allowed,
                unknown: 0,
            },
        });
        TimelineReport {
            seconds: 600,
            spans: spans.collect(),
        }
    }

    #[test]
    fn each_verdict_has_its_own_scale_and_little_is_not_nothing() {
        let timeline = timeline([(800, 0), (0, 1), (1, 0), (400, 0)]);
        let screen = |unicode| Screen { columns: 80, unicode };
        assert_eq!(
            plot(&timeline, screen(true)),
            "got through  █    most 1\nblocked     █ ▁▄  most 800\n            from 2026-11-22 00:00, one column is 10 min\n"
        );
        let ascii = plot(&timeline, screen(false));
        assert!(ascii.is_ascii() && ascii.contains("blocked     @ .="), "{ascii}");
    }

    #[test]
    fn it_is_never_wider_than_the_screen_and_loses_nothing() {
        let timeline = timeline(std::iter::repeat_n((1, 0), 240));
        for columns in [20, 60, 80, 200, 1000] {
            let text = plot(
                &timeline,
                Screen {
                    columns,
                    unicode: true,
                },
            );
            let widest = text.lines().map(|line| line.chars().count()).max().unwrap();
            assert!(widest <= columns.clamp(60, WIDEST), "{columns}: {widest}\n{text}");
        }
        let text = plot(
            &timeline,
            Screen {
                columns: 80,
                unicode: true,
            },
        );
        assert!(
            text.contains("most 5") && text.contains("one column is 50 min"),
            "{text}"
        );
    }

    #[test]
    fn a_single_moment_is_no_line_of_time() {
        let screen = Screen {
            columns: 80,
            unicode: true,
        };
        assert_eq!(plot(&timeline([(3, 0)]), screen), "");
        assert_eq!(plot(&timeline([]), screen), "");
    }

    #[test]
    fn lengths_are_told_in_their_largest_whole_unit() {
        let told = [1, 90, 600, 5400, 7200, 86_400, 90_000].map(length);
        assert_eq!(told, ["1 s", "90 s", "10 min", "90 min", "2 h", "1 d", "25 h"]);
    }
}
