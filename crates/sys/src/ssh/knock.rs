//! Looking at a port from another host, as anybody there: one connection attempt, over which nothing is sent.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use super::Ssh;
use crate::{SysError, shell};

/// One attempt waits three seconds.
const PATIENCE: Duration = Duration::from_secs(20);

const SCRIPT: &str = include_str!("knock.sh");

/// What a port answered to another host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Knocked {
    /// It took the connection.
    Open,
    /// It refused it.
    Closed,
    /// Something on the way said that it is not allowed, or that nobody is there.
    Filtered,
    /// Nothing came back.
    NoAnswer,
    /// That host has no way there.
    NoRoute,
    /// That host has neither `bash` with `timeout` nor an `nc` that tells.
    NoTool,
}

impl Ssh {
    /// Tries to connect from there to an address and port, and tells from which of its addresses.
    ///
    /// # Errors
    /// When the connection to that host is lost.
    pub fn knock(&self, end: SocketAddr) -> Result<(Knocked, Option<IpAddr>), SysError> {
        let (address, port) = (end.ip().to_string(), end.port().to_string());
        let script = format!(
            "set -- {} {}\n{SCRIPT}",
            shell::quoted(&address),
            shell::quoted(&port)
        );
        Ok(read(&self.script(&script, PATIENCE)?.stdout))
    }
}

fn read(told: &str) -> (Knocked, Option<IpAddr>) {
    let source = told
        .lines()
        .find_map(|line| line.strip_prefix("source ")?.trim().parse().ok());
    let knocked = match told.lines().last().map(str::trim) {
        Some("open") => Knocked::Open,
        Some("closed") => Knocked::Closed,
        Some("filtered") => Knocked::Filtered,
        Some("no-answer") => Knocked::NoAnswer,
        Some("no-route") => Knocked::NoRoute,
        _ => Knocked::NoTool,
    };
    (knocked, source)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_read_and_what_is_not_understood_tells_nothing() {
        let source = "10.7.30.5".parse().ok();
        assert_eq!(read("source 10.7.30.5\nopen\n"), (Knocked::Open, source));
        assert_eq!(read("no-answer\n"), (Knocked::NoAnswer, None));
        for text in ["", "source x\n", "open sesame\n"] {
            assert_eq!(read(text), (Knocked::NoTool, None), "{text:?}");
        }
    }

    /// The script itself, in a shell of this host, against ports of loopback.
    #[test]
    fn the_script_tells_an_open_port_from_a_closed_one() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let open = listener.local_addr().unwrap().port();
        let closed = {
            let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            gone.local_addr().unwrap().port()
        };
        for (port, expected) in [(open, Knocked::Open), (closed, Knocked::Closed)] {
            let script = format!("set -- 127.0.0.1 {port}\n{SCRIPT}");
            let told = crate::run("sh", &["-c", &script], "", PATIENCE).unwrap();
            assert_eq!(read(&told.stdout).0, expected, "{told:?}");
        }
    }
}
