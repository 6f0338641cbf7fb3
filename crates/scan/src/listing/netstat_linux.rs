//! `netstat -an`, `-ano`, `-tulpn` of net-tools and BusyBox.
//!
//! ```text
//! Proto Recv-Q Send-Q Local Address           Foreign Address         State       PID/Program name
//! tcp6       0      0 :::54321                :::*                    LISTEN      812/mdmgw
//! ```
//!
//! Whether a socket on `::` takes IPv4 as well is not shown. Without `-W`, net-tools shortens an IPv6 address so that
//! address and port fill 23 columns. What is left is often a valid address, but of another host.

use portcullis_model::{ProcessIdentity, Transport, Untrusted};

use super::{
    Listing, ListingFormat, Unreadable, detect,
    endpoint::Endpoint,
    socket::{self, Socket, State},
    text::{self, next_word},
};

/// Letters in an address column of net-tools and BusyBox without `-W`.
const COLUMN: usize = 23;

pub(super) fn read(text: &str, listing: &mut Listing) {
    let wide = rows(text).any(|(_, row)| {
        row.split_whitespace()
            .skip(3)
            .take(2)
            .any(|word| word.len() > COLUMN)
    });
    for (line, row) in rows(text) {
        listing.add_read(line, socket(row, wide));
    }
}

fn rows(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text::lines(text).filter(|(_, line)| detect::row(line) == Some(ListingFormat::NetstatLinux))
}

fn socket(row: &str, wide: bool) -> Result<Socket, Unreadable> {
    let mut rest = row;
    let mut word = || next_word(&mut rest).ok_or(Unreadable::Columns);
    let (protocol, _, _, local, foreign) = (word()?, word()?, word()?, word()?, word()?);
    let transport = if protocol.starts_with("tcp") {
        Transport::Tcp
    } else {
        Transport::Udp
    };
    for address in [local, foreign] {
        if !wide && protocol.ends_with('6') && address.len() >= COLUMN {
            return Err(Unreadable::Cut(Untrusted::new(address)));
        }
    }
    let local = Endpoint::read(local, ':')?;
    let peer = Endpoint::read_peer(foreign, ':')?;
    let state = match transport {
        Transport::Tcp => State::of(next_word(&mut rest).ok_or(Unreadable::Columns)?, peer),
        Transport::Udp => State::Neither,
    };
    Ok(Socket {
        transport,
        state,
        address: local.or_ipv4_wildcard(),
        port: local.port,
        peer,
        takes_ipv4: None,
        process: process(rest),
    })
}

/// Finds `812/sshd: /usr/sbin` behind the columns of `-e` and before that of `-o`.
fn process(tail: &str) -> Option<ProcessIdentity> {
    let mut rest = tail;
    while let Some(word) = next_word(&mut rest) {
        let Some((pid, start)) = word.split_once('/').filter(|(pid, _)| text::is_number(pid)) else {
            continue;
        };
        let more = [
            " off (",
            " keepalive (",
            " on (",
            " on2 (",
            " timewait (",
            " probe (",
            " unkn-",
        ]
        .iter()
        .filter_map(|timer| rest.find(timer))
        .min()
        .and_then(|end| rest.get(..end))
        .unwrap_or(rest);
        return socket::process(pid.parse().ok()?, Some(&format!("{start} {}", more.trim())));
    }
    None
}
