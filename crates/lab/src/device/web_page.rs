//! An ordinary web page, on a port where somebody might expect something else.

use std::{
    io::{self, BufRead, BufReader, Write},
    net::TcpStream,
    time::Duration,
};

pub(super) fn serve(connection: TcpStream) -> io::Result<()> {
    connection.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut lines = BufReader::new(connection.try_clone()?).lines();
    while let Some(Ok(line)) = lines.next() {
        if line.is_empty() {
            break;
        }
    }
    let page =
        "<!doctype html><title>Pump station 3: spare parts</title><p>Order list of the workshop.</p>\n";
    let mut connection = connection;
    write!(
        connection,
        "HTTP/1.1 200 OK\r\nServer: lab\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{page}",
        page.len()
    )
}
