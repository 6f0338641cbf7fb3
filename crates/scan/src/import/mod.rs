//! What other programs have found, read from the files that they write: nmap, masscan, Nessus, Zeek, neighbour and switch
//! tables.
//!
//! This module reads bytes and nothing else; it opens no file and no socket. A document is never held as a whole: each
//! record is handed on as it is read, and every length has a bound. What a program did not test is not claimed, what
//! cannot be read is named with its line, and what is read but says nothing about a port is counted with its reason.
//!
//! Verbs: [`read`] (finds out which program wrote it), [`Conversations::add`] (many connections to one record),
//! [`observation`] and [`neighbour`] (a record as a fact of a run).
//!
//! ```
//! use portcullis_scan::import::{self, Item};
//! let list = b"#masscan\nopen tcp 54321 10.7.10.10 1795455696\n# end\n";
//! let document = import::read(&list[..], None)?;
//! assert_eq!(document.format, import::Format::Masscan);
//! let found: Vec<Item> = document.collect();
//! assert!(matches!(&found[..], [Item::Port(seen)] if seen.port.to_string() == "tcp/54321"));
//! # Ok::<(), import::ImportError>(())
//! ```

mod conversations;
mod decode;
mod detect;
mod error;
mod fact;
mod json;
mod lines;
mod mac_table;
mod masscan;
mod named;
mod neighbours;
mod nessus;
mod nmap;
mod record;
#[cfg(test)]
mod tests;
mod time;
mod xml;
mod zeek;

use std::{
    fmt,
    io::{self, BufRead, BufReader, Cursor, Read},
    str::FromStr,
};

pub use conversations::Conversations;
pub use error::{ImportError, UnknownFormat};
pub use fact::{Source, neighbour, observation};
pub use named::had_asked;
pub use record::{Item, Named, NeighbourSeen, PassedOver, PortSeen, Tool, Unread, Why};

/// How much of a document is looked at to find out which program wrote it.
const HEAD: u64 = 16 * 1024;

/// What a document is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// XML of nmap, of masscan (`-oX`) and of `portcullis scan --format nmap-xml`.
    Nmap,
    /// JSON (`-oJ`), JSON lines (`-oD`) and list (`-oL`) of masscan.
    Masscan,
    /// `.nessus`, version 2.
    Nessus,
    /// `conn.log` of Zeek, as tab-separated values or JSON.
    Zeek,
    /// `arp -a`, `arp -n`, `ip neigh`, `/proc/net/arp`.
    Neighbours,
    /// `show mac address-table` of Cisco IOS.
    MacTable,
}

impl Format {
    /// All of them, in the order in which they are offered.
    pub const ALL: [Self; 6] = [
        Self::Nmap,
        Self::Masscan,
        Self::Nessus,
        Self::Zeek,
        Self::Neighbours,
        Self::MacTable,
    ];
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nmap => "nmap",
            Self::Masscan => "masscan",
            Self::Nessus => "nessus",
            Self::Zeek => "zeek",
            Self::Neighbours => "neighbours",
            Self::MacTable => "mac-table",
        })
    }
}

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        let named = Self::ALL.into_iter().find(|format| format.to_string() == text);
        named.ok_or_else(|| UnknownFormat(text.into()))
    }
}

/// A document that is being read: an iterator over what it holds, in its order.
pub struct Document {
    /// What it is written in.
    pub format: Format,
    items: Box<dyn Iterator<Item = Item> + Send>,
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Document")
            .field("format", &self.format)
            .finish_non_exhaustive()
    }
}

impl Iterator for Document {
    type Item = Item;

    fn next(&mut self) -> Option<Item> {
        self.items.next()
    }
}

/// Begins to read a document. Its encoding may be UTF-8 or UTF-16, as PowerShell redirects. `told` is the format if the
/// reader knows better than the document.
///
/// # Errors
/// When it is compressed, of no known format, or its beginning cannot be read. What is wrong behind the beginning is
/// an [`Item::Unread`].
pub fn read(reader: impl Read + Send + 'static, told: Option<Format>) -> Result<Document, ImportError> {
    let (beginning, reader) = peek(reader, 8).map_err(ImportError::Reading)?;
    if detect::is_compressed(&beginning) {
        return Err(ImportError::Compressed);
    }
    let (head, reader) = peek(decode::Decoded::new(reader), HEAD).map_err(ImportError::Reading)?;
    let head = String::from_utf8_lossy(&head);
    let format = told
        .or_else(|| detect::format_of(&head))
        .ok_or(ImportError::UnknownFormat)?;
    let reader = BufReader::with_capacity(64 * 1024, reader);
    Ok(Document {
        format,
        items: items(format, detect::is_json(&head), reader),
    })
}

fn items(
    format: Format,
    is_json: bool,
    reader: impl BufRead + Send + 'static,
) -> Box<dyn Iterator<Item = Item> + Send> {
    match format {
        Format::Nmap => Box::new(nmap::Nmap::new(reader)),
        Format::Nessus => Box::new(nessus::Nessus::new(reader)),
        Format::Masscan if is_json => Box::new(masscan::json(reader)),
        Format::Masscan => Box::new(masscan::list(reader)),
        Format::Zeek if is_json => Box::new(zeek::json(reader)),
        Format::Zeek => Box::new(zeek::Tsv::new(reader)),
        Format::Neighbours => Box::new(neighbours::items(reader)),
        Format::MacTable => Box::new(mac_table::items(reader)),
    }
}

/// A reader behind bytes that were taken from it.
type Again<R> = io::Chain<Cursor<Vec<u8>>, R>;

/// The first bytes, and a reader that gives them again.
fn peek<R: Read>(mut reader: R, most: u64) -> io::Result<(Vec<u8>, Again<R>)> {
    let mut beginning = Vec::new();
    reader.by_ref().take(most).read_to_end(&mut beginning)?;
    Ok((beginning.clone(), Cursor::new(beginning).chain(reader)))
}
