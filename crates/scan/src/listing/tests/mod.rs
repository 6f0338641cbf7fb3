//! What the listings of each tool give; the samples were written for these tests.

mod bytes;
mod detection;
mod netstat_bsd;
mod netstat_linux;
mod netstat_windows;
mod powershell;
mod properties;
mod ss;

use portcullis_model::ProcessIdentity;

use super::{Listing, ListingFormat, parse};

fn read(text: &str) -> Listing {
    parse(text.as_bytes()).unwrap()
}

/// Reads a text that must be of the given format and without a line that is not understood.
fn read_whole(format: ListingFormat, text: &str) -> Listing {
    let listing = read(text);
    assert_eq!(listing.format, format);
    assert_eq!(unreadable(&listing), Vec::<String>::new());
    listing
}

/// `tcp/22 on 0.0.0.0 by 812 sshd`, with `4+6` and `6 only` where the listing tells.
fn listeners(listing: &Listing) -> Vec<String> {
    let families = |takes_ipv4| match takes_ipv4 {
        Some(true) => " 4+6",
        Some(false) => " 6 only",
        None => "",
    };
    let show = |listener: &portcullis_model::Listener| {
        let (port, address) = (listener.port(), listener.address);
        format!(
            "{port} on {address}{}{}",
            families(listener.takes_ipv4),
            process(listener.process.as_ref())
        )
    };
    listing.listeners.iter().map(show).collect()
}

fn connections(listing: &Listing) -> Vec<String> {
    let show = |connection: &portcullis_model::Connection| {
        format!(
            "{} <-> {}{}",
            connection.local,
            connection.peer,
            process(connection.process.as_ref())
        )
    };
    listing.connections.iter().map(show).collect()
}

fn unreadable(listing: &Listing) -> Vec<String> {
    listing.unreadable.iter().map(ToString::to_string).collect()
}

fn process(process: Option<&ProcessIdentity>) -> String {
    process.map_or_else(String::new, |process| match &process.name {
        Some(name) => format!(" by {} {name}", process.pid),
        None => format!(" by {}", process.pid),
    })
}
