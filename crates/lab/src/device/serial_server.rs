//! Stand-in for a serial device server: answers the DSCI search request (opcode 0x01) on UDP 4800 as an NPort 5110
//! does, and nothing else. Layout of the reply: Moxa's Linux driver (npreal2d.h, struct DSCI_HEADER) and the ID table of
//! its manuals.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, UdpSocket},
};

const SEARCH: u8 = 0x01;
const REPLY: u8 = 0x80;
const REPLY_LENGTH: u8 = 24;

pub(super) fn bind() -> io::Result<UdpSocket> {
    UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 4800))
}

pub(super) fn serve(socket: &UdpSocket, address: &str) {
    let address: Ipv4Addr = address.parse().unwrap_or(Ipv4Addr::UNSPECIFIED);
    let mut buffer = [0; 512];
    loop {
        let Ok((length, peer)) = socket.recv_from(&mut buffer) else {
            continue;
        };
        if let Some(reply) = buffer.get(..length).and_then(|request| reply(request, address)) {
            let _ = socket.send_to(&reply, peer);
        }
    }
}

fn reply(request: &[u8], address: Ipv4Addr) -> Option<Vec<u8>> {
    let [SEARCH, _result, 0, 8, id @ ..] = request else {
        return None;
    };
    let id: &[u8; 4] = id.try_into().ok()?;
    let mut reply = vec![SEARCH | REPLY, 0, 0, REPLY_LENGTH];
    reply.extend(id);
    reply.extend(0x8000_5110_u32.to_le_bytes());
    reply.extend(0x5110_u16.to_le_bytes());
    reply.extend([0x00, 0x90, 0xE8, 0x00, 0x51, 0x10]);
    reply.extend(address.octets());
    Some(reply)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_search_request_is_answered() {
        let request = [1, 0, 0, 8, 0, 0, 0, 9];
        let reply = reply(&request, Ipv4Addr::new(10, 7, 10, 13)).unwrap();
        assert_eq!(reply.len(), 24);
        assert_eq!(&reply[..8], [0x81, 0, 0, 24, 0, 0, 0, 9]);
        assert_eq!(&reply[20..], [10, 7, 10, 13]);
        assert_eq!(
            super::reply(&[0x16, 0, 0, 8, 0, 0, 0, 0], Ipv4Addr::LOCALHOST),
            None
        );
        assert_eq!(super::reply(&[], Ipv4Addr::LOCALHOST), None);
    }
}
