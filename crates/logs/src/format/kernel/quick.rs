//! The fields in the order in which the kernel writes them for TCP and UDP over IPv4 (`dump_ipv4_packet` in
//! `nf_log_syslog.c`), without looking for their ends. Whatever differs in the least is left to the general way.

use std::net::Ipv4Addr;

use memchr::memchr;
use portcullis_model::TcpFlags;

use crate::{
    digits,
    event::{TCP, UDP},
    words::find,
};

/// What the kernel writes behind the flags or the ports is shorter, but for the options of TCP.
const LONGEST_END: usize = 48;

/// What the general way would find, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Packet {
    pub(super) source: Ipv4Addr,
    pub(super) destination: Ipv4Addr,
    pub(super) protocol: u8,
    pub(super) source_port: u16,
    pub(super) destination_port: u16,
    pub(super) flags: Option<TcpFlags>,
    pub(super) bytes: u64,
}

/// Reads from `IN=` on: the names of the interfaces, and the packet.
pub(super) fn read(body: &[u8]) -> Option<([&[u8]; 2], Packet)> {
    let mut rest = Rest(body.strip_prefix(b"IN=")?);
    let interface = rest.word()?;
    rest.skip(b"OUT=")?;
    let out_interface = rest.word()?;
    if rest.skip(b"MAC=").is_some() {
        let length = memchr(b' ', rest.0)?;
        rest.0 = rest.0.get(length + 1..)?;
    }
    rest.skip(b"SRC=")?;
    Some(([interface, out_interface], packet(rest.0)?))
}

/// Reads from behind `SRC=` on. Of TCP nothing behind `URGP=` is looked at, of UDP nothing behind `DPT=`: fields count the first time.
// Inlined, so that its answer is never put together in memory and taken apart again.
#[inline(always)]
pub(super) fn packet(text: &[u8]) -> Option<Packet> {
    let mut rest = Rest(text);
    let source = rest.address()?;
    rest.skip(b"DST=")?;
    let destination = rest.address()?;
    rest.skip(b"LEN=")?;
    let bytes = u64::from(rest.number()?);
    rest.skip(b"TOS=0x")?;
    rest.hexadecimal()?;
    rest.skip(b"PREC=0x")?;
    rest.hexadecimal()?;
    rest.skip(b"TTL=")?;
    rest.number()?;
    rest.skip(b"ID=")?;
    rest.number()?;
    let _ = rest.skip(b"CE ");
    let _ = rest.skip(b"DF ");
    rest.skip(b"PROTO=")?;
    let protocol = match rest.0.first_chunk::<4>()? {
        b"TCP " => TCP,
        b"UDP " => UDP,
        _ => return None,
    };
    rest.0 = rest.0.get(4..)?;
    rest.skip(b"SPT=")?;
    let source_port = u16::try_from(rest.number()?).ok()?;
    rest.skip(b"DPT=")?;
    let destination_port = u16::try_from(rest.number()?).ok()?;
    let flags = if protocol == TCP {
        Some(rest.flags()?)
    } else {
        None
    };
    if rest.0.len() > LONGEST_END && begins_another(rest.0) {
        return None;
    }
    Some(Packet {
        source,
        destination,
        protocol,
        source_port,
        destination_port,
        flags,
        bytes,
    })
}

/// Whether another record begins in what follows the interfaces of a packet: its own have been told.
#[inline(never)]
pub(super) fn begins_another(text: &[u8]) -> bool {
    find(text, b" OUT=").is_some() || find(text, b" IN=").is_some()
}

/// What has not been read yet.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    #[inline]
    fn skip(&mut self, text: &[u8]) -> Option<()> {
        self.0 = self.0.strip_prefix(text)?;
        Some(())
    }

    /// What stands before the next blank, of a name's length.
    #[inline]
    fn word(&mut self) -> Option<&'a [u8]> {
        let end = self.0.iter().take(64).position(|byte| *byte == b' ')?;
        let (word, rest) = self.0.split_at_checked(end)?;
        self.0 = rest.get(1..)?;
        Some(word)
    }

    /// Two digits and the blank behind them.
    #[inline]
    fn hexadecimal(&mut self) -> Option<()> {
        let ([high, low, b' '], rest) = self.0.split_first_chunk::<3>()? else {
            return None;
        };
        self.0 = rest;
        (high.is_ascii_hexdigit() && low.is_ascii_hexdigit()).then_some(())
    }

    /// A decimal number of at most seven digits, and the blank behind it.
    #[inline]
    fn number(&mut self) -> Option<u32> {
        let (number, length) = digits::number(self.0)?;
        self.0 = self.0.get(length..)?.strip_prefix(b" ")?;
        Some(number)
    }

    /// An address and the blank behind it.
    #[inline]
    fn address(&mut self) -> Option<Ipv4Addr> {
        let (address, length) = digits::ipv4(self.0)?;
        self.0 = self.0.get(length..)?.strip_prefix(b" ")?;
        Some(address)
    }

    /// Behind the ports of TCP: `WINDOW=64240 RES=0x00 SYN URGP=0`.
    #[inline]
    fn flags(&mut self) -> Option<TcpFlags> {
        self.skip(b"WINDOW=")?;
        self.number()?;
        self.skip(b"RES=0x")?;
        self.hexadecimal()?;
        let mut flags = TcpFlags::default();
        while let Some((name, rest)) = self.0.split_first_chunk::<4>() {
            let flag = match name {
                b"SYN " => TcpFlags::SYN,
                b"ACK " => TcpFlags::ACK,
                b"PSH " => TcpFlags::PSH,
                b"RST " => TcpFlags::RST,
                b"FIN " => TcpFlags::FIN,
                b"URG " => TcpFlags::URG,
                b"URGP" => return Some(flags),
                _ => return None,
            };
            flags = flags.with(flag);
            self.0 = rest;
        }
        None
    }
}
