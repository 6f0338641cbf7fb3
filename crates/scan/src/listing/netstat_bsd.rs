//! `netstat -an` of FreeBSD, NetBSD, OpenBSD and macOS.
//!
//! ```text
//! Proto Recv-Q Send-Q  Local Address          Foreign Address        (state)
//! tcp46      0      0  *.54321                *.*                    LISTEN
//! ```
//!
//! Without `-W`, an IPv6 address is shortened to 16 letters; the port stays whole.

use portcullis_model::{Transport, Untrusted};

use super::{
    Listing, ListingFormat, Unreadable, detect,
    endpoint::Endpoint,
    socket::{Socket, State},
    text::{self, next_word},
};

/// Letters of an address, without its port, when `-W` is not given.
const ADDRESS: usize = 16;

/// What the listing as a whole tells about its rows.
struct Style {
    wide: bool,
    /// FreeBSD and macOS write `tcp4`, `tcp6` and `tcp46`; the others write `tcp6` for both of the last.
    names_families: bool,
}

pub(super) fn read(text: &str, listing: &mut Listing) {
    let style = Style {
        wide: rows(text).any(|(_, row)| {
            row.split_whitespace()
                .skip(3)
                .take(2)
                .any(|end| address_of(end).len() > ADDRESS)
        }),
        names_families: rows(text).any(|(_, row)| row.contains("tcp4") || row.contains("udp4")),
    };
    for (line, row) in rows(text) {
        listing.add_read(line, socket(row, &style));
    }
}

fn rows(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text::lines(text).filter(|(_, line)| detect::row(line) == Some(ListingFormat::NetstatBsd))
}

fn socket(row: &str, style: &Style) -> Result<Socket, Unreadable> {
    let mut rest = row;
    let mut word = || next_word(&mut rest).ok_or(Unreadable::Columns);
    let (protocol, _, _, local, foreign) = (word()?, word()?, word()?, word()?, word()?);
    let transport = if protocol.starts_with("tcp") {
        Transport::Tcp
    } else {
        Transport::Udp
    };
    for end in [local, foreign] {
        let address = address_of(end);
        if !style.wide && address.contains(':') && address.len() >= ADDRESS {
            return Err(Unreadable::Cut(Untrusted::new(end)));
        }
    }
    let local = Endpoint::read(local, '.')?;
    let peer = Endpoint::read_peer(foreign, '.')?;
    let state = match transport {
        Transport::Tcp => State::of(next_word(&mut rest).unwrap_or("CLOSED"), peer),
        Transport::Udp => State::Neither,
    };
    let (address, takes_ipv4) = match protocol {
        "tcp46" | "udp46" => (local.or_ipv6_wildcard(), Some(true)),
        "tcp6" | "udp6" => (local.or_ipv6_wildcard(), style.names_families.then_some(false)),
        _ => (local.or_ipv4_wildcard(), None),
    };
    Ok(Socket {
        transport,
        state,
        address,
        port: local.port,
        peer,
        takes_ipv4,
        process: None,
    })
}

fn address_of(end: &str) -> &str {
    end.rsplit_once('.').map_or(end, |(address, _)| address)
}
