//! Progress of a long command, on standard error, and only where somebody looks at it.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use portcullis_scan::Progress;

/// A line that is drawn over itself.
pub(crate) struct ProgressLine(ProgressBar);

impl ProgressLine {
    /// A line; none when `quiet`, or when standard error is no terminal.
    pub(crate) fn new(quiet: bool) -> Self {
        let target = if quiet {
            ProgressDrawTarget::hidden()
        } else {
            ProgressDrawTarget::stderr_with_hz(5)
        };
        let bar = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template("{wide_msg}") {
            bar.set_style(style);
        }
        Self(bar)
    }

    /// Tells how far a scan has come.
    pub(crate) fn scan(&self, progress: &Progress) {
        let left = match progress.time_left {
            Some(left) => format!("about {} left", duration(left)),
            None => "time left not known yet".into(),
        };
        let look = match progress.look {
            0 | 1 => String::new(),
            look => format!(" (look {look})"),
        };
        self.0.set_message(format!(
            "scan{look}: {} of {} hosts, {} of {} ports, {} open, {} answers, {:.0} packets/s, {left}",
            progress.hosts_done,
            progress.hosts_total,
            progress.probes_done,
            progress.probes_total,
            progress.open,
            progress.answers,
            progress.rate_per_second,
        ));
        self.0.tick();
    }

    /// Tells how much of a capture was read.
    pub(crate) fn capture(&self, frames: u64, bytes: u64) {
        self.0
            .set_message(format!("capture: {frames} packets, {:.1} MB", bytes as f64 / 1e6));
        self.0.tick();
    }

    /// Prints something to standard output, which may be the terminal that the line is drawn on.
    pub(crate) fn beside(&self, print: impl FnOnce()) {
        self.0.suspend(print);
    }

    /// Takes the line away.
    pub(crate) fn end(&self) {
        self.0.finish_and_clear();
    }
}

/// A time span as people say it: `4 s`, `3 min 20 s`, `2 h 5 min`.
pub(crate) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}
