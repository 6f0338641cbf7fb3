//! Listings of sockets, read from the text that a host's own tools print.
//!
//! They come from hosts where nothing may be installed: somebody runs one command there and carries the text over.
//! This module reads the text and nothing else; it opens no file and no socket. What it cannot read it names, line by
//! line, so that a listener is never lost in silence.
//!
//! Verbs: [`parse`] (finds out which tool wrote the text), [`parse_as`] (is told).
//!
//! Of UDP, only sockets without a peer count as listeners: the others take datagrams from one peer. Of TCP, connections
//! that are being opened or are over (`SYN_SENT`, `TIME_WAIT` …) are left out. UNIX and raw sockets are left out.

mod detect;
mod endpoint;
mod netstat_bsd;
mod netstat_linux;
mod netstat_windows;
mod powershell;
mod socket;
mod ss;
#[cfg(test)]
mod tests;
mod text;

use std::fmt;

use portcullis_model::{Connection, Exit, Fault, Listener, Untrusted};

/// The largest text that is read, in bytes. A busy server with 65,000 connections prints about 7 MB.
pub const MAX_BYTES: usize = 16 * 1024 * 1024;

/// The tool that wrote a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ListingFormat {
    /// `netstat` of net-tools or BusyBox.
    NetstatLinux,
    /// `netstat` of FreeBSD, NetBSD, OpenBSD and macOS.
    NetstatBsd,
    /// `netstat` of Windows, in any language.
    NetstatWindows,
    /// `ss` of iproute2.
    Ss,
    /// `Get-NetTCPConnection`: table, list, JSON or CSV.
    PowerShell,
}

impl ListingFormat {
    /// All of them, in the order in which they are offered.
    pub const ALL: [Self; 5] = [
        Self::NetstatLinux,
        Self::NetstatBsd,
        Self::NetstatWindows,
        Self::Ss,
        Self::PowerShell,
    ];

    /// The command that prints most of what can be read in this format.
    pub fn command(self) -> &'static str {
        match self {
            Self::NetstatLinux => "netstat -tulpnW",
            Self::NetstatBsd => "netstat -anW",
            Self::NetstatWindows => "netstat -ano",
            Self::Ss => "ss -tulpn",
            Self::PowerShell => "Get-NetTCPConnection | ConvertTo-Json",
        }
    }
}

impl fmt::Display for ListingFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NetstatLinux => "netstat (Linux)",
            Self::NetstatBsd => "netstat (BSD, macOS)",
            Self::NetstatWindows => "netstat (Windows)",
            Self::Ss => "ss",
            Self::PowerShell => "Get-NetTCPConnection",
        })
    }
}

/// What a listing says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// The tool that wrote it.
    pub format: ListingFormat,
    /// What listens, in the order of the text. When the text names the program but not its process id
    /// (`netstat -ab`), the id is 0.
    pub listeners: Vec<Listener>,
    /// TCP connections, in the order of the text.
    pub connections: Vec<Connection>,
    /// Lines that name a socket which could not be read. When there are any, the listing is not complete.
    pub unreadable: Vec<UnreadableLine>,
}

/// A line that names a socket which could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadableLine {
    /// Line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub why: Unreadable,
}

impl fmt::Display for UnreadableLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.why)
    }
}

/// Why a line could not be read, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unreadable {
    /// The address was shortened to fit its column, or may have been.
    Cut(Untrusted),
    /// A host or service name stands where a number should.
    Name(Untrusted),
    /// Not an address with a port.
    Address(Untrusted),
    /// The line ends too early, or has more columns than its header.
    Columns,
    /// A record without this property.
    Missing(&'static str),
    /// The line was written by another tool.
    OtherFormat(ListingFormat),
    /// The text is not JSON from here on.
    Json(Untrusted),
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cut(text) => {
                write!(
                    f,
                    "`{text}` may have been shortened to fit its column: run it again "
                )?;
                f.write_str("with -W (netstat), or with `| Format-List` (PowerShell)")
            }
            Self::Name(text) => write!(f, "`{text}` is a name, not a number: run it again with -n"),
            Self::Address(text) => write!(f, "`{text}` is not an address with a port"),
            Self::Columns => f.write_str("the columns are not those of the header"),
            Self::Missing(property) => write!(f, "the record has no {property}"),
            Self::OtherFormat(format) => write!(f, "written by {format}: import it as a text of its own"),
            Self::Json(why) => write!(f, "not valid JSON: {why}"),
        }
    }
}

/// A text that is not read as a listing at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListingError {
    /// No line looks like one of the formats.
    #[error("the text is not a socket listing of a known format")]
    UnknownFormat,
    /// More than [`MAX_BYTES`].
    #[error("the text has {bytes} bytes; at most {MAX_BYTES} are read")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
}

impl Fault for ListingError {
    fn code(&self) -> &'static str {
        match self {
            Self::UnknownFormat => "SC020",
            Self::TooLarge { .. } => "SC021",
        }
    }

    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::UnknownFormat => {
                let commands = ListingFormat::ALL.map(|format| format!("`{}`", format.command()));
                format!(
                    "import the output of one of {}; beside it, of Windows, that of `tasklist` and of `reg query /s` or `reg \
                     export` of the uninstall keys",
                    commands.join(", ")
                )
            }
            Self::TooLarge { .. } => {
                "list the listening sockets only (`netstat -tulpnW`, `ss -tulpn`), or cut the file in parts"
                    .into()
            }
        })
    }

    fn exit(&self) -> Exit {
        Exit::Usage
    }
}

/// Finds out which tool wrote a text, and reads it. Prompts, pasted command lines and anything else around the listing
/// are passed over; line ends may be CRLF, the encoding UTF-8, UTF-16 or an old Windows code page.
///
/// ```
/// # use portcullis_scan::listing;
/// let text = b"C:\\> netstat -an\r\n\r\n  TCP    0.0.0.0:54321    0.0.0.0:0    ABH\x99REN\r\n";
/// let listing = listing::parse(text)?;
/// assert_eq!(listing.format, listing::ListingFormat::NetstatWindows);
/// assert_eq!(listing.listeners[0].port().to_string(), "tcp/54321");
/// # Ok::<(), listing::ListingError>(())
/// ```
///
/// # Errors
/// [`ListingError::UnknownFormat`] and [`ListingError::TooLarge`]. A line that cannot be read is no error.
pub fn parse(text: &[u8]) -> Result<Listing, ListingError> {
    let text = decode(text)?;
    let format = detect::format_of(&text).ok_or(ListingError::UnknownFormat)?;
    Ok(read(format, &text))
}

/// Reads a text as the output of a given tool.
///
/// # Errors
/// [`ListingError::TooLarge`]. A text without a single line of that format gives an empty listing.
pub fn parse_as(format: ListingFormat, text: &[u8]) -> Result<Listing, ListingError> {
    Ok(read(format, &decode(text)?))
}

/// Makes text of the bytes that a shell wrote to a file.
pub(crate) fn decode_text(bytes: &[u8]) -> String {
    text::decode(bytes)
}

fn decode(text: &[u8]) -> Result<String, ListingError> {
    if text.len() > MAX_BYTES {
        return Err(ListingError::TooLarge { bytes: text.len() });
    }
    Ok(text::decode(text))
}

fn read(format: ListingFormat, text: &str) -> Listing {
    let mut listing = Listing {
        format,
        listeners: Vec::new(),
        connections: Vec::new(),
        unreadable: Vec::new(),
    };
    match format {
        ListingFormat::NetstatLinux => netstat_linux::read(text, &mut listing),
        ListingFormat::NetstatBsd => netstat_bsd::read(text, &mut listing),
        ListingFormat::NetstatWindows => netstat_windows::read(text, &mut listing),
        ListingFormat::Ss => ss::read(text, &mut listing),
        ListingFormat::PowerShell => powershell::read(text, &mut listing),
    }
    for (line, content) in text::lines(text) {
        if let Some(other) = detect::row(content).filter(|other| *other != format) {
            listing.unreadable.push(UnreadableLine {
                line,
                why: Unreadable::OtherFormat(other),
            });
        }
    }
    listing.unreadable.sort_by_key(|unreadable| unreadable.line);
    listing
}
