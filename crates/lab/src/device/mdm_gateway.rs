//! Stand-in for an MDM Gateway. Public documents say where it listens and that its client speaks first (CVE-2010-4741,
//! ICSA-10-301-01A); no message of the protocol is public. So it takes what it is sent and never answers.

use std::{
    io::{self, Read},
    net::TcpStream,
};

pub(super) fn serve(mut connection: TcpStream) -> io::Result<()> {
    let mut buffer = [0; 1024];
    while connection.read(&mut buffer)? > 0 {}
    Ok(())
}
