//! Stand-in for a controller: Modbus/TCP with the function Read Device Identification (43/14) and an exception for the
//! rest (MODBUS Application Protocol V1.1b3, sections 6.21 and 7).

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    time::Duration,
};

pub(super) const PORT: u16 = 502;

const OBJECTS: [&str; 3] = ["Portcullis lab", "stand-in controller", "1.0"];

pub(super) fn serve(mut connection: TcpStream) -> io::Result<()> {
    connection.set_read_timeout(Some(Duration::from_secs(10)))?;
    loop {
        let mut header = [0; 7];
        connection.read_exact(&mut header)?;
        let [
            transaction_high,
            transaction_low,
            0,
            0,
            length_high,
            length_low,
            unit,
        ] = header
        else {
            return Ok(());
        };
        let length = u16::from_be_bytes([length_high, length_low]);
        if !(2..=254).contains(&length) {
            return Ok(());
        }
        let mut request = vec![0; usize::from(length) - 1];
        connection.read_exact(&mut request)?;
        let answer = answer(&request);
        let mut reply = vec![transaction_high, transaction_low, 0, 0];
        reply.extend(u16::try_from(answer.len() + 1).unwrap_or(0).to_be_bytes());
        reply.push(unit);
        reply.extend(answer);
        connection.write_all(&reply)?;
    }
}

fn answer(request: &[u8]) -> Vec<u8> {
    const READ_DEVICE_IDENTIFICATION: [u8; 2] = [0x2B, 0x0E];
    const ILLEGAL_FUNCTION: u8 = 0x01;
    if !request.starts_with(&READ_DEVICE_IDENTIFICATION) {
        return vec![request.first().copied().unwrap_or(0) | 0x80, ILLEGAL_FUNCTION];
    }
    let mut answer = vec![0x2B, 0x0E, 0x01, 0x01, 0x00, 0x00, 3];
    for (id, text) in (0..).zip(OBJECTS) {
        answer.extend([id, u8::try_from(text.len()).unwrap_or(0)]);
        answer.extend(text.bytes());
    }
    answer
}
