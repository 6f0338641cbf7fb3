//! What a source of log lines is to the one who follows it, and where its lines go.

use std::time::Duration;

use portcullis_logs::{Clock, Event, Line, Lost, Settings, Summary};
use portcullis_model::LogSource;

use super::{Tell, Told, tally::Tally};
use crate::OpsError;

/// Something that lines of a log come from.
pub(super) trait Source: Send {
    /// Hands over what came since, or a part of it that fits into memory; never waits for more. Tells whether there was
    /// anything.
    ///
    /// # Errors
    /// When the source cannot be read any more.
    fn read(&mut self, taking: &mut Taking<'_>) -> Result<bool, OpsError>;

    /// Up to where what was handed over reaches, in words of the source; `None` before the first line.
    ///
    /// # Errors
    /// When it cannot be written down.
    fn position(&mut self) -> Result<Option<String>, OpsError>;

    /// How often the position is kept though nothing came, where it moves all the same.
    fn beat(&self) -> Option<Duration> {
        None
    }
}

/// Takes what a source hands over: counts it, tells it, and notices what is said to be missing.
pub(super) struct Taking<'t> {
    pub(super) settings: &'t Settings,
    pub(super) clock: Clock<'t>,
    pub(super) tally: &'t mut Tally,
    pub(super) gaps: &'t mut Vec<String>,
    pub(super) summary: &'t mut Summary,
    pub(super) told: &'t mut Tell<'t>,
    /// Whether events are told one by one.
    pub(super) events: bool,
}

impl Taking<'_> {
    /// A line, or what stands for one: what it turned out to be, its bytes, and where it stands.
    pub(super) fn line(&mut self, line: &Line<'_>, bytes: &[u8], place: impl Fn() -> LogSource) {
        self.tally.lines += 1;
        match line {
            Line::Event(event) => self.event(event, place),
            Line::Unrelated => {
                self.tally.unrelated += 1;
                self.summary.add_unrelated();
            }
            Line::Lost(lost) => {
                self.tally.unrelated += 1;
                self.lost(*lost, bytes, place);
            }
            Line::Unreadable(reason) => {
                self.tally.unreadable += 1;
                self.summary.add_unreadable(*reason, bytes, place);
            }
        }
    }

    fn event(&mut self, event: &Event<'_>, place: impl Fn() -> LogSource) {
        let at = self.clock.at(&event.time);
        if event.hearsay {
            self.tally.unrelated += 1;
        } else {
            self.tally.add(event, at);
        }
        if self.summary.add(event, at) && self.events {
            (self.told)(Told::Event(&event.to_log_event(&mut self.clock, place())));
        }
    }

    fn lost(&mut self, lost: Lost, bytes: &[u8], place: impl Fn() -> LogSource) {
        let at = match place() {
            LogSource::File { offset, .. } => format!(" at byte {offset}"),
            _ => String::new(),
        };
        let what = match lost.count {
            Some(count) => format!("{count} lines were left out"),
            None => "lines were left out".to_owned(),
        };
        self.summary.add_lost(lost, bytes, place);
        self.gap(format!("the log itself says{at} that {what}: {}", lost.by));
    }

    /// What may be missing, in plain words: told, and kept with the next counts.
    pub(super) fn gap(&mut self, gap: String) {
        (self.told)(Told::Gap(&gap));
        self.gaps.push(gap);
    }
}
