//! One file for each format, and the choice between them.

mod asa;
mod filterlog;
mod fortigate;
mod hearsay;
mod ios;
mod journal;
mod junos;
pub(crate) mod kernel;
mod mikrotik;
mod nflog;
mod palo_alto;
mod recognise;
mod suricata;
#[cfg(test)]
mod tests;
mod ulogd_json;
pub(crate) mod windows;
pub(crate) mod zeek;

use std::{
    borrow::Cow,
    sync::{Arc, LazyLock},
};

use memchr::memmem;
use portcullis_model::{LogFormat, Verdict};
use serde::Deserialize;

pub use nflog::{LoggedPacket, read_frame, read_packet};
pub use recognise::sign;
#[cfg(test)]
pub(crate) use tests::context as test_context;

use crate::{Columns, LONGEST_LINE, Line, Prefixes, Reason, lost, syslog};

/// Reads lines one by one. Without a fixed format, each line is first held against the format of the last event, then
/// against the one whose sign it carries.
#[derive(Debug)]
pub struct LineReader<'p> {
    prefixes: &'p Prefixes,
    fixed: Option<LogFormat>,
    last: LogFormat,
    columns: Option<Arc<Columns>>,
    heads: kernel::Heads,
}

impl<'p> LineReader<'p> {
    /// A reader for one format, or for lines of any.
    pub fn new(prefixes: &'p Prefixes, format: Option<LogFormat>) -> Self {
        Self {
            prefixes,
            fixed: format,
            last: format.unwrap_or(LogFormat::Kernel),
            columns: None,
            heads: kernel::Heads::default(),
        }
    }

    /// The columns that an earlier line named; a line that names columns is noticed by itself.
    pub fn set_columns(&mut self, columns: Option<Arc<Columns>>) {
        self.columns = columns;
    }

    /// From now on all lines are of this format.
    pub fn set_format(&mut self, format: LogFormat) {
        (self.fixed, self.last) = (Some(format), format);
    }

    /// Reads one line without its line end; an entry where the format's entries have several lines. `ended` tells whether it
    /// had a line end. The work is bounded by [`LONGEST_LINE`].
    pub fn read<'a>(&mut self, line: &'a [u8], ended: bool) -> Line<'a> {
        // Most lines of the kernel's log: of a head that is known nothing else need be asked.
        if self.last == LogFormat::Kernel
            && line.len() <= LONGEST_LINE
            && !syslog::is_indented(line)
            && let Some(event) = self.heads.event(line)
        {
            return Line::Event(event);
        }
        match self.of_firewall(line, ended) {
            Line::Unrelated if syslog::is_indented(line) => Line::Unrelated,
            Line::Unrelated => lost::told(line).map_or(Line::Unrelated, Line::Lost),
            read => read,
        }
    }

    fn of_firewall<'a>(&mut self, line: &'a [u8], ended: bool) -> Line<'a> {
        if line.len() > LONGEST_LINE {
            return Line::Unreadable(Reason::TooLong);
        }
        let line = match self.fixed {
            // The last byte may be one of a value.
            Some(LogFormat::JournalExport) => line,
            _ => line.strip_suffix(b"\r").unwrap_or(line),
        };
        if line.first() == Some(&b'#')
            && let Some(columns) = Columns::named_by(line, self.columns.as_deref())
        {
            self.last = self.fixed.unwrap_or(columns.format);
            self.columns = Some(Arc::new(columns));
            return Line::Unrelated;
        }
        let mut read = self.read_as(self.last, line, ended);
        let is_told = take_back(self.last, line, &mut read);
        let is_open = is_told || matches!(read, Line::Unrelated | Line::Unreadable(Reason::BeginningMissing));
        if self.fixed.is_some() || !is_open {
            return read;
        }
        let columns = self.columns.as_deref().map(|columns| columns.format);
        match recognise::format(line).or(columns) {
            Some(format) if format != self.last => {
                let mut read = self.read_as(format, line, ended);
                take_back(format, line, &mut read);
                if matches!(read, Line::Event(_)) {
                    self.last = format;
                }
                read
            }
            _ => read,
        }
    }

    fn read_as<'a>(&mut self, format: LogFormat, line: &'a [u8], ended: bool) -> Line<'a> {
        let columns = self.columns.as_deref();
        match format {
            LogFormat::Kernel => kernel::read_after(line, ended, self.prefixes, &mut self.heads),
            LogFormat::JournalJson => journal::read_json(line, self.prefixes),
            LogFormat::JournalExport => journal::read_export(line, self.prefixes),
            LogFormat::UlogdJson => ulogd_json::read(line, self.prefixes),
            LogFormat::Nflog => read_frame(line, None, self.prefixes),
            LogFormat::Windows => windows::read(line, columns),
            LogFormat::Asa => asa::read(line),
            LogFormat::Ios => ios::read(line),
            LogFormat::Fortigate => fortigate::read(line),
            LogFormat::PaloAlto => palo_alto::read(line),
            LogFormat::Filterlog => filterlog::read(line),
            LogFormat::Junos => junos::read(line),
            LogFormat::Mikrotik => mikrotik::read(line, self.prefixes),
            LogFormat::Suricata => suricata::read(line),
            LogFormat::ZeekTsv => zeek::read_tsv(line, columns),
            LogFormat::ZeekJson => zeek::read_json(line),
        }
    }
}

/// What another program was told, by whoever reaches it, proves no verdict and no loss, and nothing of those whom it names. Tells
/// whether it is such a line: it may be one of another format, that only quotes this one.
#[inline]
fn take_back(format: LogFormat, line: &[u8], read: &mut Line<'_>) -> bool {
    let is_told = match read {
        Line::Event(event) => event.hearsay || hearsay::is_told_to_another(format, line),
        Line::Lost(_) => hearsay::is_told_to_another(format, line),
        Line::Unreadable(_) => format != LogFormat::Kernel && hearsay::is_told_to_another(format, line),
        Line::Unrelated => false,
    };
    match read {
        Line::Event(event) if is_told => {
            event.verdict = Verdict::Unknown;
            event.hearsay = true;
        }
        Line::Lost(_) if is_told => *read = Line::Unrelated,
        _ => {}
    }
    is_told
}

/// Searches for a key, made once: making it costs as much as searching a line.
type Key = LazyLock<memmem::Finder<'static>>;

/// The JSON object of a line; a relay may have put a head before it.
fn object(line: &[u8]) -> Option<&[u8]> {
    let line = line.trim_ascii();
    if line.first() == Some(&b'{') {
        return Some(line);
    }
    // A value of structured data may look like the beginning of an object.
    let message = syslog::message_of_rfc_5424(line).unwrap_or(line);
    message.get(memmem::find(message, b"{\"")?..)
}

/// What a JSON object says. Whether the line is text is looked at once, and not for each of its words.
fn json<'a, T: Deserialize<'a>>(object: &'a [u8]) -> Option<T> {
    match std::str::from_utf8(object) {
        Ok(text) => serde_json::from_str(text).ok(),
        // What is no text may stand where nobody looks.
        Err(_) => serde_json::from_slice(object).ok(),
    }
}

/// Text as bytes, borrowed where it was.
fn bytes(text: Cow<'_, str>) -> Cow<'_, [u8]> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
        Cow::Owned(text) => Cow::Owned(text.into_bytes()),
    }
}
