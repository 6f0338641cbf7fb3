//! Where an event was read, in few bytes: a detection remembers many.

use std::collections::HashMap;

use jiff::Timestamp;
use portcullis_model::LogSource;

/// Files and groups whose names are kept. A log of more files than that is told of without its places.
const MOST_NAMES: usize = 4096;

/// The place and the moment of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) at: Timestamp,
    name: u32,
    line: u64,
    offset: u64,
}

/// The names that marks stand for.
#[derive(Debug, Default)]
pub(super) struct Marks {
    names: Vec<LogSource>,
    places: HashMap<LogSource, u32>,
    last: Option<(LogSource, u32)>,
}

impl Marks {
    pub(super) fn mark(&mut self, read_from: &LogSource, at: Timestamp) -> Mark {
        let (name, line, offset) = match read_from {
            LogSource::File { line, offset, .. } => (self.name(read_from), *line, *offset),
            LogSource::Journal { realtime } => (self.name(read_from), 0, *realtime),
            LogSource::Nflog { .. } | LogSource::Syslog { .. } => (self.name(read_from), 0, 0),
        };
        Mark {
            at,
            name,
            line,
            offset,
        }
    }

    /// Nearly every event is read from where the one before was, so that its name is compared and not copied.
    fn name(&mut self, read_from: &LogSource) -> u32 {
        if let Some((last, name)) = &self.last
            && same_name(last, read_from)
        {
            return *name;
        }
        let plain = match read_from {
            LogSource::File { path, .. } => LogSource::File {
                path: path.clone(),
                line: 0,
                offset: 0,
            },
            LogSource::Journal { .. } => LogSource::Journal { realtime: 0 },
            other => other.clone(),
        };
        let name = match self.places.get(&plain) {
            Some(name) => *name,
            None if self.names.len() < MOST_NAMES => {
                let name = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
                self.names.push(plain.clone());
                self.places.insert(plain.clone(), name);
                name
            }
            None => u32::MAX,
        };
        self.last = Some((plain, name));
        name
    }

    /// The place that a mark stands for, if its name was kept.
    pub(super) fn place(&self, mark: Mark) -> Option<LogSource> {
        let name = self.names.get(usize::try_from(mark.name).ok()?)?;
        Some(match name {
            LogSource::File { path, .. } => LogSource::File {
                path: path.clone(),
                line: mark.line,
                offset: mark.offset,
            },
            LogSource::Journal { .. } => LogSource::Journal {
                realtime: mark.offset,
            },
            other => other.clone(),
        })
    }
}

fn same_name(a: &LogSource, b: &LogSource) -> bool {
    match (a, b) {
        (LogSource::File { path: a, .. }, LogSource::File { path: b, .. }) => a == b,
        (LogSource::Journal { .. }, LogSource::Journal { .. }) => true,
        (a, b) => a == b,
    }
}
