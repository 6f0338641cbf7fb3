//! Which tool wrote a line, judged by its shape.

use super::{ListingFormat, text};

/// The format that most lines of a text have. A header counts as a line, so that a host on which nothing listens gives
/// an empty listing and not an error.
pub(super) fn format_of(text: &str) -> Option<ListingFormat> {
    let mut votes = ListingFormat::ALL.map(|format| (format, 0_usize));
    for (_, line) in text::lines(text) {
        let found = row(line).or_else(|| header(line));
        for (_, count) in votes.iter_mut().filter(|(format, _)| Some(*format) == found) {
            *count += 1;
        }
    }
    // The first of the formats wins a tie, so that the answer does not depend on chance.
    votes
        .into_iter()
        .rev()
        .max_by_key(|(_, count)| *count)
        .filter(|(_, count)| *count > 0)
        .map(|(format, _)| format)
}

/// The tool that wrote a line which describes a TCP or UDP socket. PowerShell's lines have no shape of their own: they
/// mean something under their header only.
pub(super) fn row(line: &str) -> Option<ListingFormat> {
    let mut words = line.split_whitespace();
    let first = words.next()?;
    let second = words.next()?;
    let third = words.next()?;
    if is_ss_state(first) && text::is_number(second) && text::is_number(third) {
        return Some(ListingFormat::Ss);
    }
    let protocol = first.to_ascii_lowercase();
    match protocol.as_str() {
        "tcp4" | "tcp46" | "udp4" | "udp46" if text::is_number(second) => Some(ListingFormat::NetstatBsd),
        "tcp" | "udp" if is_ss_state(second) => Some(ListingFormat::Ss),
        "tcp" | "udp" if second.contains(':') => Some(ListingFormat::NetstatWindows),
        "tcp" | "udp" | "tcp6" | "udp6" if text::is_number(second) && text::is_number(third) => {
            let local = words.next()?;
            match local.rfind(['.', ':']).and_then(|at| local.get(at..=at)) {
                Some(".") => Some(ListingFormat::NetstatBsd),
                _ => Some(ListingFormat::NetstatLinux),
            }
        }
        _ => None,
    }
}

fn header(line: &str) -> Option<ListingFormat> {
    if is_powershell_header(line) {
        return Some(ListingFormat::PowerShell);
    }
    let mut words = line.split_whitespace();
    match (words.next()?, words.next()?) {
        ("State", "Recv-Q") | ("Netid", "State") => Some(ListingFormat::Ss),
        ("Proto", "Recv-Q") if line.contains("(state)") => Some(ListingFormat::NetstatBsd),
        ("Proto", "Recv-Q") => Some(ListingFormat::NetstatLinux),
        // The header of the UNIX sockets in a Linux listing.
        ("Proto", "RefCnt") => None,
        // The other words are translated.
        ("Proto", _) if words.count() >= 2 => Some(ListingFormat::NetstatWindows),
        _ => None,
    }
}

/// A header of a table or a CSV file, or the first property of a list or a JSON record; not the command line itself.
fn is_powershell_header(line: &str) -> bool {
    let line = line.trim_start();
    let property = line
        .strip_prefix("LocalAddress")
        .is_some_and(|rest| rest.trim_start().starts_with(':'));
    let columns = line.contains("LocalAddress") && line.contains("LocalPort") && !line.contains("Get-Net");
    property || columns || line.contains("\"LocalAddress\":")
}

fn is_ss_state(word: &str) -> bool {
    matches!(
        word,
        "LISTEN"
            | "UNCONN"
            | "ESTAB"
            | "SYN-SENT"
            | "SYN-RECV"
            | "FIN-WAIT-1"
            | "FIN-WAIT-2"
            | "TIME-WAIT"
            | "CLOSE-WAIT"
            | "LAST-ACK"
            | "CLOSING"
    )
}
