//! Frames and files as bytes.

use portcullis_knowledge::Knowledge;
use portcullis_model::{Observation, Port, RunId, ServiceName};

use crate::{Counted, File, Found, Limits, Link, Source, Watch};

pub(super) const CLIENT: &str = "10.7.20.5";
pub(super) const SERVER: &str = "10.7.10.10";
/// 2026-11-23 in nanoseconds.
pub(super) const BEGIN: u64 = 1_795_392_000_000_000_000;
pub(super) const SECOND: u64 = 1_000_000_000;

pub(super) fn hex(text: &str) -> Vec<u8> {
    text.split_whitespace()
        .map(|byte| u8::from_str_radix(byte, 16).unwrap())
        .collect()
}

/// An end as `address:port`; the hardware address follows from the address.
pub(super) fn ip(protocol: u8, from: &str, to: &str, rest: &[u8]) -> Vec<u8> {
    let (from, to): (std::net::Ipv4Addr, std::net::Ipv4Addr) = (from.parse().unwrap(), to.parse().unwrap());
    let mut packet = vec![0x45, 0];
    packet.extend((20 + rest.len() as u16).to_be_bytes());
    packet.extend([0, 0, 0x40, 0, 64, protocol, 0, 0]);
    packet.extend(from.octets());
    packet.extend(to.octets());
    packet.extend(rest);
    packet
}

pub(super) fn ip6(next: u8, from: &str, to: &str, rest: &[u8]) -> Vec<u8> {
    let (from, to): (std::net::Ipv6Addr, std::net::Ipv6Addr) = (from.parse().unwrap(), to.parse().unwrap());
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend((rest.len() as u16).to_be_bytes());
    packet.extend([next, 64]);
    packet.extend(from.octets());
    packet.extend(to.octets());
    packet.extend(rest);
    packet
}

pub(super) fn ethernet(packet: &[u8]) -> Vec<u8> {
    let (kind, from, to) = match packet[0] >> 4 {
        6 => ([0x86, 0xdd], &packet[20..24], &packet[36..40]),
        _ => ([8, 0], &packet[12..16], &packet[16..20]),
    };
    let mut frame = vec![2, 0];
    frame.extend(to);
    frame.extend([2, 0]);
    frame.extend(from);
    frame.extend(kind);
    frame.extend(packet);
    frame
}

pub(super) fn tcp(from: u16, to: u16, numbers: (u32, u32), flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut segment = Vec::new();
    segment.extend(from.to_be_bytes());
    segment.extend(to.to_be_bytes());
    segment.extend(numbers.0.to_be_bytes());
    segment.extend(numbers.1.to_be_bytes());
    segment.extend([0x50, flags, 0x20, 0, 0, 0, 0, 0]);
    segment.extend(payload);
    segment
}

pub(super) fn udp(from: u16, to: u16, payload: &[u8]) -> Vec<u8> {
    let mut datagram = Vec::new();
    datagram.extend(from.to_be_bytes());
    datagram.extend(to.to_be_bytes());
    datagram.extend((8 + payload.len() as u16).to_be_bytes());
    datagram.extend([0, 0]);
    datagram.extend(payload);
    datagram
}

/// A connection of CLIENT to a port of SERVER, packet by packet.
pub(super) struct Line {
    pub(super) port: u16,
    asked: u32,
    answered: u32,
    pub(super) packets: Vec<Vec<u8>>,
}

impl Line {
    /// With its handshake.
    pub(super) fn open(port: u16) -> Self {
        let mut line = Self::up(port);
        line.asked = line.asked.wrapping_sub(1);
        line.answered = line.answered.wrapping_sub(1);
        line.send(true, 2, &[]);
        line.send(false, 0x12, &[]);
        line.send(true, 0x10, &[]);
        line
    }

    /// Without it.
    pub(super) fn up(port: u16) -> Self {
        Self {
            port,
            asked: 0xffff_fff0,
            answered: 7000,
            packets: Vec::new(),
        }
    }

    pub(super) fn send(&mut self, of_client: bool, flags: u8, payload: &[u8]) {
        let length = payload.len() as u32 + u32::from(flags & 3 != 0);
        let acknowledged = |number| if flags & 0x10 == 0 { 0 } else { number };
        self.packets.push(if of_client {
            let numbers = (self.asked, acknowledged(self.answered));
            self.asked = self.asked.wrapping_add(length);
            ip(
                6,
                CLIENT,
                SERVER,
                &tcp(40_000, self.port, numbers, flags, payload),
            )
        } else {
            let numbers = (self.answered, acknowledged(self.asked));
            self.answered = self.answered.wrapping_add(length);
            ip(
                6,
                SERVER,
                CLIENT,
                &tcp(self.port, 40_000, numbers, flags, payload),
            )
        });
    }

    pub(super) fn asks(mut self, payload: &[u8]) -> Self {
        self.send(true, 0x18, payload);
        self
    }

    pub(super) fn answers(mut self, payload: &[u8]) -> Self {
        self.send(false, 0x18, payload);
        self
    }
}

/// The header of a pcap file.
pub(super) fn pcap_head(magic: u32, big: bool, link: u32) -> Vec<u8> {
    let word = |number: u32| {
        if big {
            number.to_be_bytes()
        } else {
            number.to_le_bytes()
        }
    };
    [
        word(magic),
        word(0x0004_0002),
        word(0),
        word(0),
        word(262_144),
        word(link),
    ]
    .concat()
}

/// A pcap file in microseconds; a packet each 100 ms.
pub(super) fn pcap(link: u32, frames: &[Vec<u8>]) -> Vec<u8> {
    let mut file = pcap_head(0xa1b2_c3d4, false, link);
    for (number, frame) in frames.iter().enumerate() {
        let at = BEGIN + number as u64 * SECOND / 10;
        let length = frame.len() as u32;
        for word in [(at / SECOND) as u32, (at % SECOND / 1000) as u32, length, length] {
            file.extend(word.to_le_bytes());
        }
        file.extend(frame);
    }
    file
}

pub(super) struct Outcome {
    pub(super) observations: Vec<Observation>,
    pub(super) counted: Counted,
    pub(super) found: Found,
    pub(super) damage: Option<String>,
    pub(super) dropped: u64,
}

impl Outcome {
    /// Address, port, state, and the best service with its grade.
    pub(super) fn told(&self) -> Vec<String> {
        let told = |one: &Observation| {
            let best = one.best();
            let best = best.map_or_else(String::new, |best| format!(" {} {}", best.service, best.grade));
            format!("{} {} {}{best}", one.address, one.port, one.state)
        };
        self.observations.iter().map(told).collect()
    }
}

pub(super) fn finish(watch: Watch, damage: Option<String>, dropped: u64) -> Outcome {
    finish_with(watch, damage, dropped, &[])
}

fn finish_with(watch: Watch, damage: Option<String>, dropped: u64, moved: &[(ServiceName, Port)]) -> Outcome {
    let knowledge = Knowledge::builtin().unwrap();
    let mut found = watch.end();
    let source = Source {
        run: RunId::of(&[b"test"]),
        document: "test.pcap",
        dropped,
    };
    let observations = found.observations(source, &knowledge, moved).collect();
    Outcome {
        observations,
        counted: found.counted(),
        found,
        damage,
        dropped,
    }
}

/// Reads a file.
pub(super) fn outcome(bytes: &[u8]) -> Outcome {
    outcome_with(bytes, &[])
}

pub(super) fn outcome_with(bytes: &[u8], moved: &[(ServiceName, Port)]) -> Outcome {
    let mut watch = Watch::new(Limits::default(), &Knowledge::builtin().unwrap(), moved);
    let mut file = File::open(bytes).unwrap();
    let damage = loop {
        match file.next_frame() {
            Ok(Some(frame)) => watch.frame(frame.link, frame.bytes, frame.at),
            Ok(None) => break None,
            Err(damage) => break Some(damage.to_string()),
        }
    };
    finish_with(watch, damage, file.dropped(), moved)
}

/// Watches IP packets, each 100 ms after the other.
pub(super) fn watched(packets: &[Vec<u8>]) -> Outcome {
    let mut watch = Watch::new(Limits::default(), &Knowledge::builtin().unwrap(), &[]);
    for (number, packet) in packets.iter().enumerate() {
        watch.frame(Link::Ip, packet, BEGIN + number as u64 * SECOND / 10);
    }
    finish(watch, None, 0)
}
