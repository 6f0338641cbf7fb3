//! systemd's journal as a source: what the kernel wrote to it, as the system's `journalctl` shows it.
//!
//! First what has come since the last time is read to its end, of all starts of the machine; then the journal is followed, where
//! journalctl shows those of the present start only. Each time it is entered at the entry that was read last, and not behind it:
//! whether that one is still there tells whether any may be missing.

use std::path::{Path, PathBuf};

use portcullis_logs::{Frame, Framing, LONGEST_LINE, Line, LineReader, Reason};
use portcullis_model::{LogFormat, LogSource};
use portcullis_sys::feed::{Feed, Printed};

use super::{
    FollowError, Wake,
    source::{Source, Taking},
};
use crate::OpsError;

/// Pieces of 64 KiB that are read before what was counted is looked at again.
const MOST_PIECES: usize = 16;

/// A followed journal.
pub(super) struct Journal {
    place: Option<PathBuf>,
    wake: Wake,
    feed: Option<Feed>,
    /// All that was there is read, and what comes is waited for.
    following: bool,
    framing: Framing,
    /// The entry that was read last.
    cursor: String,
    /// The entry that must come first.
    expected: Option<String>,
}

impl Journal {
    /// What it is called in the store.
    ///
    /// # Errors
    /// For a single file, which journalctl does not follow.
    pub(super) fn name(place: Option<&Path>) -> Result<String, OpsError> {
        let Some(place) = place else {
            return Ok("journal".into());
        };
        if place.is_file() {
            return Err(OpsError::Follow(FollowError::JournalFile(place.into())));
        }
        let whole = std::path::absolute(place).map_err(|source| OpsError::Read {
            path: place.into(),
            source,
        })?;
        Ok(format!("journal:{}", whole.display()))
    }

    /// Goes on behind the entry that was read last.
    pub(super) fn open(place: Option<&Path>, kept: Option<&str>, wake: Wake) -> Self {
        Self {
            place: place.map(Path::to_path_buf),
            wake,
            feed: None,
            following: false,
            framing: Framing::lines(LONGEST_LINE),
            cursor: kept.unwrap_or_default().into(),
            expected: None,
        }
    }

    fn start(&mut self) -> Result<Feed, OpsError> {
        let mut arguments = shown(self.place.as_deref());
        if self.following {
            arguments.extend(["--follow".into(), "--no-tail".into()]);
        }
        self.expected = None;
        if !self.cursor.is_empty() {
            arguments.push(format!("--cursor={}", self.cursor));
            self.expected = Some(self.cursor.clone());
        }
        let wake = self.wake.clone();
        Feed::start("journalctl", &arguments, move || wake.notify_one()).map_err(OpsError::System)
    }

    fn entries(&mut self, bytes: &[u8], taking: &mut Taking<'_>) {
        let mut reader = LineReader::new(&taking.settings.prefixes, Some(LogFormat::JournalJson));
        let (cursor, expected) = (&mut self.cursor, &mut self.expected);
        let mut each = |frame: Frame<'_>| {
            let line = match frame {
                Frame::Message(line) => line,
                Frame::TooLong => {
                    taking.line(&Line::Unreadable(Reason::TooLong), b"", || place(b""));
                    return;
                }
                // Only the end of the stream is unfinished, and that is not told here.
                Frame::Unfinished(_) => return,
            };
            let own = value(line, b"\"__CURSOR\":\"");
            if let Some(wanted) = expected.take() {
                if own == Some(wanted.as_bytes()) {
                    return;
                }
                taking.gap(
                    "the journal no longer has the entry that was read last: what was logged after it may be missing"
                        .into(),
                );
            }
            if let Some(own) = own {
                cursor.clear();
                cursor.push_str(&String::from_utf8_lossy(own));
            }
            taking.line(&reader.read(line, true), line, || place(line));
        };
        // Lines are never without an end of their own.
        let _ = self.framing.push(bytes, &mut each);
    }
}

impl Source for Journal {
    fn read(&mut self, taking: &mut Taking<'_>) -> Result<bool, OpsError> {
        let mut feed = match self.feed.take() {
            Some(feed) => feed,
            None => self.start()?,
        };
        let mut any = false;
        for _ in 0..MOST_PIECES {
            match feed.printed().map_err(OpsError::System)? {
                Printed::Bytes(bytes) => {
                    any = true;
                    self.entries(&bytes, taking);
                }
                Printed::Nothing => break,
                Printed::Ended(ended) if self.following || !ended.success => {
                    let why = match ended.complaint {
                        nothing if nothing.is_empty() => "it ended, and does not say why".into(),
                        complaint => complaint,
                    };
                    return Err(OpsError::Follow(FollowError::Journal(why)));
                }
                Printed::Ended(ended) => {
                    if !ended.complaint.is_empty() {
                        taking.gap(format!("journalctl says: {}", ended.complaint));
                    }
                    self.following = true;
                    return Ok(true);
                }
            }
        }
        self.feed = Some(feed);
        Ok(any)
    }

    fn position(&mut self) -> Result<Option<String>, OpsError> {
        Ok(Some(self.cursor.clone()).filter(|cursor| !cursor.is_empty()))
    }
}

/// What journalctl is told to show: all that the kernel wrote, whenever the machine was started.
pub(in crate::logs) fn shown(place: Option<&Path>) -> Vec<String> {
    let mut arguments: Vec<String> = [
        "--no-pager",
        "--all",
        "--output=json",
        "_TRANSPORT=kernel",
        // What the journal says of itself: that it missed messages.
        "_TRANSPORT=driver",
    ]
    .map(Into::into)
    .to_vec();
    if let Some(place) = place {
        let kind = if place.is_dir() { "directory" } else { "file" };
        arguments.push(format!("--{kind}={}", place.display()));
    }
    arguments
}

/// A value of an entry. A message that holds such a key has a backslash before each of its quotes.
fn value<'l>(line: &'l [u8], key: &[u8]) -> Option<&'l [u8]> {
    let from = line.windows(key.len()).position(|window| window == key)? + key.len();
    let rest = line.get(from..)?;
    rest.get(..rest.iter().position(|byte| *byte == b'"')?)
}

fn place(line: &[u8]) -> LogSource {
    let time = value(line, b"\"__REALTIME_TIMESTAMP\":\"");
    let number = time.and_then(|time| std::str::from_utf8(time).ok()?.parse().ok());
    LogSource::Journal {
        realtime: number.unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_cannot_feign_the_cursor_or_the_time_of_its_entry() {
        let line = br#"{"MESSAGE":"\"__CURSOR\":\"no\" \"__REALTIME_TIMESTAMP\":\"1\"","__CURSOR":"s=1;i=2","__REALTIME_TIMESTAMP":"7"}"#;
        assert_eq!(value(line, b"\"__CURSOR\":\""), Some(&b"s=1;i=2"[..]));
        assert_eq!(place(line), LogSource::Journal { realtime: 7 });
        assert_eq!(value(b"{}", b"\"__CURSOR\":\""), None);
    }
}
