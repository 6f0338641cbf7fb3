//! Texts of a Windows host beside its sockets: which process has which id, and which programs are installed.
//!
//! They are read as [`crate::listing`] reads sockets: from the bytes that somebody carried over, whatever the language of
//! the system and the encoding of the shell. Nothing is recognised by a translated word. A text may hold several outputs
//! behind each other, and listings of sockets among them.
//!
//! Verb: [`parse`].
//!
//! ```
//! # use portcullis_scan::host;
//! let text = b"Abbildname    PID Sitzungsname\r\n========== ====== ============\r\nMDMGw.exe    1884 Services\r\n";
//! let found = host::parse(text)?;
//! assert_eq!(found.tasks[0].name.raw(), "MDMGw.exe");
//! # Ok::<(), portcullis_scan::listing::ListingError>(())
//! ```

mod registry;
mod tasks;
#[cfg(test)]
mod tests;

use portcullis_model::{Program, Untrusted};

use crate::listing::{ListingError, MAX_BYTES};

/// How many processes, or programs, of one text are kept. A busy server has a few hundred of each.
const MOST: usize = 5_000;
/// The longest name that is kept, in letters.
const LONGEST: usize = 300;

/// A process, as `tasklist` names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Its id.
    pub pid: u32,
    /// The name of its image, such as `MDMGw.exe`. A table shows its first 25 letters only.
    pub name: Untrusted,
    /// The services that it runs, by their short names; of `tasklist /svc` only.
    pub services: Vec<Untrusted>,
    /// Who runs it; of `tasklist /v` only.
    pub user: Option<Untrusted>,
}

/// What a text holds. One that is empty was of another kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostText {
    /// Of `tasklist`: table, list or CSV, plain, `/v` or `/svc`.
    pub tasks: Vec<Task>,
    /// Of the uninstall keys of the registry: `reg export`, or `reg query /s`.
    pub programs: Vec<Program>,
}

impl HostText {
    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty() && self.programs.is_empty()
    }
}

/// Reads a text. What is neither a process nor a program is passed over.
///
/// # Errors
/// [`ListingError::TooLarge`].
pub fn parse(bytes: &[u8]) -> Result<HostText, ListingError> {
    if bytes.len() > MAX_BYTES {
        return Err(ListingError::TooLarge { bytes: bytes.len() });
    }
    let text = decode(bytes);
    Ok(HostText {
        tasks: tasks::read(&text),
        programs: registry::read(&text),
    })
}

/// As [`crate::listing`] decodes, but of a code page each byte becomes one letter, so that columns stay where they are.
fn decode(bytes: &[u8]) -> String {
    let is_wide = matches!(bytes, [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [_, 0, _, 0, ..]);
    if is_wide || std::str::from_utf8(bytes).is_ok() {
        return crate::listing::decode_text(bytes);
    }
    let letter = |byte: &u8| {
        if byte.is_ascii() {
            char::from(*byte)
        } else {
            char::REPLACEMENT_CHARACTER
        }
    };
    bytes.iter().map(letter).collect()
}

/// A name of a sensible length; `None` for an empty one.
fn name(text: &str) -> Option<Untrusted> {
    let text = text.trim();
    (!text.is_empty()).then(|| Untrusted::new(text.chars().take(LONGEST).collect::<String>()))
}
