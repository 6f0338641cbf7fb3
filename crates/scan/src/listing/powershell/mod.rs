//! `Get-NetTCPConnection`: as a table, through `Format-List`, `ConvertTo-Json` or `Export-Csv`.
//!
//! Columns are found by their names, so that a selection in another order is read as well. `Bound` is a state of its
//! own here: such a socket has no peer either, but does not listen.

mod csv;
mod json;

use std::borrow::Cow;

use portcullis_model::{Transport, Untrusted};

use super::{
    Listing, Unreadable, endpoint,
    socket::{self, Socket, State},
    text,
};

const COLUMNS: [&str; 6] = [
    "LocalAddress",
    "LocalPort",
    "RemoteAddress",
    "RemotePort",
    "State",
    "OwningProcess",
];

/// Words of a table row that are looked at; the cmdlet has 36 properties.
const WORDS: usize = 64;

/// The properties of one socket, in the order of [`COLUMNS`].
#[derive(Debug, Default, Clone)]
struct Record<'t>([Option<Cow<'t, str>>; COLUMNS.len()]);

/// How the records are written.
enum Layout<'t> {
    Nothing,
    Table(Vec<&'t str>),
    Csv(csv::Header<'t>),
    /// A list, with the line on which the record began.
    List(usize, Record<'t>),
}

pub(super) fn read(text: &str, listing: &mut Listing) {
    if let Some((line, document)) = json::find(text) {
        return json::read(document, line, listing);
    }
    let mut layout = Layout::Nothing;
    for (line, content) in text::lines(text) {
        layout = step(layout, line, content, listing);
    }
    if let Layout::List(line, record) = layout {
        finish(line, &record, listing);
    }
}

/// Reads one line, and says how the next one is to be read.
fn step<'t>(layout: Layout<'t>, line: usize, content: &'t str, listing: &mut Listing) -> Layout<'t> {
    if let Layout::List(start, record) = layout {
        return step_list(start, record, line, content, listing);
    }
    if let Some(header) = csv::Header::read(content) {
        return Layout::Csv(header);
    }
    let words: Vec<&str> = content.split_whitespace().take(WORDS).collect();
    if words.contains(&"LocalAddress") && words.contains(&"LocalPort") && !content.contains('|') {
        return Layout::Table(words);
    }
    if property(content).is_some() {
        return step_list(line, Record::default(), line, content, listing);
    }
    match &layout {
        Layout::Table(columns) => {
            if let Some(read) = table_row(columns, &words) {
                listing.add_read(line, read);
            }
        }
        Layout::Csv(header) => {
            if let Some(read) = header.row(content) {
                listing.add_read(line, read);
            }
        }
        Layout::Nothing | Layout::List(..) => {}
    }
    layout
}

/// A record of a list ends with an empty line, or where a property comes for the second time.
fn step_list<'t>(
    start: usize,
    mut record: Record<'t>,
    line: usize,
    content: &'t str,
    listing: &mut Listing,
) -> Layout<'t> {
    let Some((column, value)) = property(content) else {
        if content.trim().is_empty() {
            finish(start, &record, listing);
            return Layout::Nothing;
        }
        return Layout::List(start, record);
    };
    let start = if record.get(column).is_some() {
        finish(start, &record, listing);
        record = Record::default();
        line
    } else {
        start
    };
    record.set(column, value.into());
    Layout::List(start, record)
}

/// Adds a record of a list, unless it is one of another cmdlet that has a `State` as well.
fn finish(line: usize, record: &Record<'_>, listing: &mut Listing) {
    if record.get("LocalAddress").is_some() || record.get("LocalPort").is_some() {
        listing.add_read(line, record.socket());
    }
}

/// Reads `LocalPort      : 54321`.
fn property(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once(':')?;
    let name = name.trim();
    COLUMNS.contains(&name).then_some((name, value.trim()))
}

/// Reads a row under a header, or gives `None` for a line that is no row: the rule under the header, a prompt.
/// `AppliedSetting` is blank for listeners.
fn table_row(columns: &[&str], words: &[&str]) -> Option<Result<Socket, Unreadable>> {
    let at = columns.iter().position(|column| *column == "LocalAddress")?;
    let address = words.get(at)?;
    if is_cut(address) {
        return Some(Err(Unreadable::Cut(Untrusted::new(*address))));
    }
    endpoint::address(address).ok()?;
    let blank = if words.len() == columns.len() {
        None
    } else {
        Some("AppliedSetting")
    };
    let columns: Vec<&str> = columns
        .iter()
        .copied()
        .filter(|column| Some(*column) != blank)
        .collect();
    if columns.len() != words.len() {
        return Some(Err(Unreadable::Columns));
    }
    let mut record = Record::default();
    for (column, word) in columns.iter().zip(words) {
        record.set(column, (*word).into());
    }
    Some(record.socket())
}

impl<'t> Record<'t> {
    fn set(&mut self, column: &str, value: Cow<'t, str>) {
        for (slot, _) in self.0.iter_mut().zip(COLUMNS).filter(|(_, name)| *name == column) {
            *slot = Some(value.clone());
        }
    }

    fn get(&self, column: &str) -> Option<&str> {
        let at = COLUMNS.iter().position(|name| *name == column)?;
        self.0.get(at)?.as_deref()
    }

    fn need(&self, column: &'static str) -> Result<&str, Unreadable> {
        self.get(column)
            .filter(|value| !value.is_empty())
            .ok_or(Unreadable::Missing(column))
    }

    fn socket(&self) -> Result<Socket, Unreadable> {
        let local = self.need("LocalAddress")?;
        if is_cut(local) {
            return Err(Unreadable::Cut(Untrusted::new(local)));
        }
        let state = state_word(self.need("State")?);
        let peer = match endpoint::number(self.get("RemotePort").unwrap_or("0"))? {
            None => None,
            Some(port) => {
                endpoint::address(self.need("RemoteAddress")?)?.map(|address| (address, port).into())
            }
        };
        let address = endpoint::address(local)?.ok_or_else(|| Unreadable::Address(Untrusted::new(local)))?;
        let pid = self
            .get("OwningProcess")
            .and_then(|pid| pid.parse().ok())
            .unwrap_or(0);
        Ok(Socket {
            transport: Transport::Tcp,
            state: State::of(state, peer),
            address,
            port: endpoint::number(self.need("LocalPort")?)?,
            peer,
            takes_ipv4: None,
            process: socket::process(pid, None),
        })
    }
}

/// JSON carries the number of the state (the enumeration of MSFT_NetTCPConnection), the others its name.
fn state_word(state: &str) -> &str {
    match state {
        "1" => "Closed",
        "2" => "Listen",
        "3" => "SynSent",
        "4" => "SynReceived",
        "5" => "Established",
        "6" => "FinWait1",
        "7" => "FinWait2",
        "8" => "CloseWait",
        "9" => "Closing",
        "10" => "LastAck",
        "11" => "TimeWait",
        "12" => "DeleteTCB",
        "100" => "Bound",
        other => other,
    }
}

fn is_cut(address: &str) -> bool {
    address.ends_with("...") || address.ends_with('…')
}
