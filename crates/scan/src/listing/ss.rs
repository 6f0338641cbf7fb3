//! `ss -tlnp`, `-tulpn`, `-tan`, `-uan` of iproute2.
//!
//! ```text
//! Netid  State   Recv-Q  Send-Q  Local Address:Port  Peer Address:Port  Process
//! tcp    LISTEN  0       128     *:54321             *:*                users:(("mdmgw",pid=812,fd=3))
//! ```
//!
//! The first column is missing when only one transport was asked for. `*` is a socket on `::` that takes IPv4 as well,
//! `[::]` one that does not. Versions that write IPv6 without brackets (CentOS 7) use `*` for every IPv4 address and do
//! not tell the two kinds of `::` apart.

use std::net::{IpAddr, Ipv6Addr};

use portcullis_model::{ProcessIdentity, Transport};

use super::{
    Listing, ListingFormat, Unreadable, detect,
    endpoint::Endpoint,
    socket::{self, Socket, State},
    text::{self, next_word},
};

/// What the listing as a whole tells about its rows.
struct Style {
    /// IPv6 is written without brackets.
    old: bool,
    /// The transport of rows that do not name it. TCP has no state `UNCONN` in a listing of one transport.
    transport: Transport,
}

/// The columns of a row.
struct Row<'t> {
    transport: Option<Transport>,
    state: &'t str,
    local: &'t str,
    peer: &'t str,
    tail: &'t str,
}

pub(super) fn read(text: &str, listing: &mut Listing) {
    let style = Style::of(text);
    // On a narrow terminal, the processes stand on a line below their socket.
    let mut last: Option<Socket> = None;
    for (line, content) in text::lines(text) {
        if detect::row(content) == Some(ListingFormat::Ss) {
            if let Some(socket) = last.take() {
                listing.add(socket);
            }
            match columns(content)
                .ok_or(Unreadable::Columns)
                .and_then(|row| socket(&row, &style))
            {
                Ok(socket) => last = Some(socket),
                Err(why) => listing.add_read(line, Err(why)),
            }
        } else if let Some(socket) = last.as_mut().filter(|socket| socket.process.is_none())
            && content.trim_start().starts_with("users:((")
        {
            socket.process = process(content);
        }
    }
    if let Some(socket) = last {
        listing.add(socket);
    }
}

impl Style {
    fn of(text: &str) -> Self {
        let rows = || {
            text::lines(text)
                .filter(|(_, line)| detect::row(line) == Some(ListingFormat::Ss))
                .filter_map(|(_, line)| columns(line))
        };
        let udp = rows().any(|row| row.transport.is_none() && row.state == "UNCONN");
        Self {
            old: rows().any(|row| is_bare_ipv6(row.local) || is_bare_ipv6(row.peer)),
            transport: if udp { Transport::Udp } else { Transport::Tcp },
        }
    }
}

fn is_bare_ipv6(end: &str) -> bool {
    end.rsplit_once(':')
        .is_some_and(|(host, _)| host.contains(':') && !host.starts_with('['))
}

fn columns(line: &str) -> Option<Row<'_>> {
    let mut rest = line;
    let first = next_word(&mut rest)?;
    let (transport, state) = match first {
        "tcp" => (Some(Transport::Tcp), next_word(&mut rest)?),
        "udp" => (Some(Transport::Udp), next_word(&mut rest)?),
        _ => (None, first),
    };
    let (_, _) = (next_word(&mut rest)?, next_word(&mut rest)?);
    Some(Row {
        transport,
        state,
        local: next_word(&mut rest)?,
        peer: next_word(&mut rest)?,
        tail: rest,
    })
}

fn socket(row: &Row<'_>, style: &Style) -> Result<Socket, Unreadable> {
    let local = Endpoint::read(row.local, ':')?;
    let peer = Endpoint::read_peer(row.peer, ':')?;
    let (address, takes_ipv4) = match local.address {
        None if style.old => (local.or_ipv4_wildcard(), None),
        None => (local.or_ipv6_wildcard(), Some(true)),
        Some(address) if address == IpAddr::V6(Ipv6Addr::UNSPECIFIED) => {
            (address, (!style.old).then_some(false))
        }
        Some(address) => (address, None),
    };
    Ok(Socket {
        transport: row.transport.unwrap_or(style.transport),
        state: State::of(row.state, peer),
        address,
        port: local.port,
        peer,
        takes_ipv4,
        process: process(row.tail),
    })
}

/// Reads the first process of `users:(("sshd",pid=812,fd=3),…)`, or of `users:(("sshd",812,3),…)` as old versions
/// write it. The name is the process's own choice and may hold anything.
fn process(tail: &str) -> Option<ProcessIdentity> {
    let (_, users) = tail.split_once("users:((\"")?;
    let (name, rest) = users.split_once("\",")?;
    let digits = rest.strip_prefix("pid=").unwrap_or(rest);
    let (pid, _) = digits.split_once([',', ')'])?;
    socket::process(pid.parse().ok()?, Some(name))
}
