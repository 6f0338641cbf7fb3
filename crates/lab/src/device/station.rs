//! A computer with a historian that takes what it is sent.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    time::Duration,
};

pub(super) const PORT: u16 = 7000;

/// Also sends a line now and then, so that the peer speaks first on connections that others opened.
pub(super) fn serve(mut connection: TcpStream) -> io::Result<()> {
    connection.set_read_timeout(Some(Duration::from_millis(250)))?;
    let mut buffer = [0; 1024];
    loop {
        match connection.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => connection.write_all(b".")?,
            Err(error) => return Err(error),
        }
    }
}
