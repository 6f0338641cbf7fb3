//! How many when, as a picture: one panel for each verdict, each by a scale of its own, over one line of time.

use std::fmt::Write as _;

use jiff::Timestamp;
use portcullis_ops::logs::{ChangeReport, TimelineReport, VerdictCounts};

use super::super::{plot, tables};

/// Measures in units of the picture, which is scaled to the page.
const WIDTH: f64 = 960.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 22.0;
const PANEL: f64 = 84.0;
/// Between two panels: the name of the lower one stands there.
const GAP: f64 = 34.0;
const BELOW: f64 = 44.0;

/// Times that are written below.
const TICKS: usize = 6;

/// Name, class, and what it counts.
type Panel = (&'static str, &'static str, fn(&VerdictCounts) -> u64);

const PANELS: [Panel; 3] = [
    ("got through", "allowed", |counts| counts.allowed),
    ("blocked", "blocked", |counts| counts.blocked),
    ("unknown", "unknown", |counts| counts.unknown),
];

/// Draws it, if there is more than one span.
pub(super) fn chart(page: &mut String, timeline: &TimelineReport, changes: &[ChangeReport]) {
    let (Some(first), true) = (timeline.spans.first(), timeline.spans.len() > 1) else {
        return;
    };
    let counts = |of: fn(&VerdictCounts) -> u64| -> Vec<u64> {
        timeline.spans.iter().map(|span| of(&span.verdicts)).collect()
    };
    let panels: Vec<_> = PANELS
        .into_iter()
        .map(|(name, class, of)| (name, class, counts(of)))
        .filter(|(_, _, counts)| counts.iter().any(|count| *count > 0))
        .collect();
    let marks = marks(timeline, first.begins, changes);
    // Each mark has a line of its own for its words, so that they never lie upon each other.
    let top = TOP + 14.0 * marks.len() as f64;
    let bottom = top + panels.len() as f64 * (PANEL + GAP) - GAP;
    let height = bottom + BELOW;
    let each = plot::length(timeline.seconds);
    let _ = writeln!(
        page,
        "<figure>\n<svg viewBox=\"0 0 {WIDTH} {height:.0}\" role=\"img\" aria-label=\"Logged packets over time, by verdict\">"
    );
    for (number, (name, class, counts)) in panels.iter().enumerate() {
        let begin = top + number as f64 * (PANEL + GAP);
        panel(page, (name, class), counts, begin, timeline);
    }
    for (number, (x, words)) in marks.iter().enumerate() {
        let y = 12.0 + 14.0 * number as f64;
        let (anchor, at) = match *x > WIDTH / 2.0 {
            true => ("end", x - 4.0),
            false => ("start", x + 4.0),
        };
        let _ = writeln!(
            page,
            "<line class=\"mark\" x1=\"{x:.1}\" y1=\"{:.1}\" x2=\"{x:.1}\" y2=\"{bottom:.1}\"/><text x=\"{at:.1}\" y=\"{y:.1}\" \
             text-anchor=\"{anchor}\">{}</text>",
            y - 10.0,
            super::escaped(words)
        );
    }
    ticks(page, timeline, bottom);
    let _ = writeln!(
        page,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">time (UTC)</text>\n</svg>\n<figcaption>Each bar is {each}; each \
         panel has a scale of its own.</figcaption>\n</figure>",
        (LEFT + WIDTH - RIGHT) / 2.0,
        bottom + 38.0
    );
}

/// Where a span begins.
fn x_of(number: usize, spans: usize) -> f64 {
    LEFT + (WIDTH - LEFT - RIGHT) * number as f64 / spans as f64
}

fn panel(page: &mut String, of: (&str, &str), counts: &[u64], begin: f64, timeline: &TimelineReport) {
    let (name, class) = of;
    let most = counts.iter().copied().max().unwrap_or(1).max(1);
    let sum = counts.iter().fold(0_u64, |sum, count| sum.saturating_add(*count));
    let (end, right) = (begin + PANEL, WIDTH - RIGHT);
    // The legend stands where it is needed: over its panel.
    let _ = writeln!(
        page,
        "<rect class=\"{class}\" x=\"{LEFT}\" y=\"{:.1}\" width=\"10\" height=\"10\"/><text class=\"name\" x=\"{:.1}\" \
         y=\"{:.1}\">{name}: {sum}</text>",
        begin - 17.0,
        LEFT + 15.0,
        begin - 8.0
    );
    for (value, y) in [(most, begin), (0, end)] {
        let _ = writeln!(
            page,
            "<line class=\"axis\" x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{right:.1}\" y2=\"{y:.1}\"/><text x=\"{:.1}\" y=\"{:.1}\" \
             text-anchor=\"end\">{value}</text>",
            LEFT - 6.0,
            y + 4.0
        );
    }
    let middle = begin + PANEL / 2.0;
    let _ = writeln!(
        page,
        "<text x=\"14\" y=\"{middle:.1}\" text-anchor=\"middle\" transform=\"rotate(-90 14 {middle:.1})\">packets</text>"
    );
    for (number, (count, span)) in counts.iter().zip(&timeline.spans).enumerate() {
        if *count == 0 {
            continue;
        }
        let (x, next) = (x_of(number, counts.len()), x_of(number + 1, counts.len()));
        // Little is not nothing.
        let height = (PANEL * (*count as f64 / most as f64)).max(1.5);
        let _ = writeln!(
            page,
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{height:.1}\"><title>{}: {count}</title></rect>",
            end - height,
            ((next - x) * 0.9).max(0.5),
            moment(span.begins, timeline.seconds)
        );
    }
}

fn ticks(page: &mut String, timeline: &TimelineReport, bottom: f64) {
    let spans = timeline.spans.len();
    let step = spans.div_ceil(TICKS);
    for (number, span) in timeline.spans.iter().enumerate().step_by(step.max(1)) {
        let x = x_of(number, spans);
        let _ = writeln!(
            page,
            "<line class=\"axis\" x1=\"{x:.1}\" y1=\"{bottom:.1}\" x2=\"{x:.1}\" y2=\"{:.1}\"/><text x=\"{x:.1}\" y=\"{:.1}\">{}</text>",
            bottom + 5.0,
            bottom + 19.0,
            moment(span.begins, timeline.seconds)
        );
    }
}

/// A moment, as exactly as the spans are.
fn moment(at: Timestamp, seconds: u64) -> String {
    let form = match seconds {
        ..60 => "%Y-%m-%d %H:%M:%S",
        60..86_400 => "%Y-%m-%d %H:%M",
        _ => "%Y-%m-%d",
    };
    at.strftime(form).to_string()
}

/// Where something became of a change within the picture, and what.
fn marks(timeline: &TimelineReport, first: Timestamp, changes: &[ChangeReport]) -> Vec<(f64, String)> {
    let length = timeline.seconds as f64 * timeline.spans.len() as f64;
    let moments = changes.iter().flat_map(|change| {
        [
            (Some(change.loaded), "loaded"),
            (change.confirmed, "confirmed"),
            (change.ended, tables::end(change)),
        ]
        .map(|(at, what)| (at, format!("{} {what}", change.change)))
    });
    let mark = |(at, words): (Option<Timestamp>, String)| {
        let part = at?.duration_since(first).as_secs_f64() / length;
        (0.0..=1.0)
            .contains(&part)
            .then_some((LEFT + (WIDTH - LEFT - RIGHT) * part, words))
    };
    moments.filter_map(mark).collect()
}
