//! `netstat -an`, `-ano`, `-abno` of Windows, in any language.
//!
//! ```text
//! Proto  Lokale Adresse         Remoteadresse          Status           PID
//! TCP    0.0.0.0:54321          0.0.0.0:0              ABHÖREN         1234
//!  [MDMGw.exe]
//! ```
//!
//! The state is translated, and written in a code page that the text does not name. A socket without a peer therefore
//! listens, whatever its word, unless that is `BOUND` (`netstat -q`) or `CLOSED`.

use portcullis_model::Transport;

use super::{
    Listing, ListingFormat, Unreadable, detect,
    endpoint::Endpoint,
    socket::{self, Socket, State},
    text::{self, next_word},
};

pub(super) fn read(text: &str, listing: &mut Listing) {
    // With `-b`, the program stands on a line below its socket.
    let mut last: Option<Socket> = None;
    for (line, content) in text::lines(text) {
        if detect::row(content) == Some(ListingFormat::NetstatWindows) {
            if let Some(socket) = last.take() {
                listing.add(socket);
            }
            match socket(content) {
                Ok(socket) => last = Some(socket),
                Err(why) => listing.add_read(line, Err(why)),
            }
        } else if let (Some(program), Some(socket)) = (program(content), last.as_mut()) {
            let pid = socket.process.as_ref().map_or(0, |process| process.pid);
            if socket
                .process
                .as_ref()
                .is_none_or(|process| process.name.is_none())
            {
                socket.process = socket::process(pid, Some(program));
            }
        }
    }
    if let Some(socket) = last {
        listing.add(socket);
    }
}

fn socket(row: &str) -> Result<Socket, Unreadable> {
    let mut rest = row;
    let mut word = || next_word(&mut rest).ok_or(Unreadable::Columns);
    let (protocol, local, foreign) = (word()?, word()?, word()?);
    let local = Endpoint::read(local, ':')?;
    let peer = Endpoint::read_peer(foreign, ':')?;
    // The state may be two words in some languages; the first number after it is the process id.
    let mut state = None;
    let mut pid = None;
    while let Some(word) = next_word(&mut rest) {
        if text::is_number(word) {
            pid = word.parse().ok();
            break;
        }
        state.get_or_insert(word);
    }
    let (transport, state) = if protocol.eq_ignore_ascii_case("tcp") {
        (Transport::Tcp, State::of(state.ok_or(Unreadable::Columns)?, peer))
    } else {
        (Transport::Udp, State::Neither)
    };
    // A connection that is over belongs to no process any more; this holds in every language.
    let state = if pid == Some(0) && state == State::Connected {
        State::Neither
    } else {
        state
    };
    Ok(Socket {
        transport,
        state,
        address: local.or_ipv4_wildcard(),
        port: local.port,
        peer,
        takes_ipv4: None,
        process: socket::process(pid.unwrap_or(0), None),
    })
}

/// Reads ` [MDMGw.exe]`. Not `[10.0.0.5]: PS C:\>`, the prompt of a remote session.
fn program(line: &str) -> Option<&str> {
    line.trim().strip_prefix('[')?.strip_suffix(']')
}
