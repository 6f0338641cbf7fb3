//! Writes the capture of an imaginary plant to standard output, the same bytes for the same size: polls of controllers,
//! pages, files, name queries, refused and unanswered connections, device search, ARP. For `bench/capture.sh`.
//!
//!     cargo run --release --example plant -- 300000000 > plant.pcap
#![expect(clippy::print_stderr, reason = "an example says how it is used")]

use std::io::{self, BufWriter, Write};

/// Conversations that go on at the same time.
const AT_ONCE: usize = 4000;

fn main() -> io::Result<()> {
    let Some(size) = std::env::args().nth(1).and_then(|size| size.parse::<u64>().ok()) else {
        eprintln!("usage: plant BYTES > FILE");
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let mut plant = Plant {
        out: BufWriter::with_capacity(1 << 20, io::stdout().lock()),
        random: 0x9e37_79b9_7f4a_7c15,
        written: 24,
        at: 1_795_000_000_000_000,
        frame: Vec::with_capacity(1600),
    };
    plant
        .out
        .write_all(b"\xd4\xc3\xb2\xa1\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\x04\0\x01\0\0\0")?;
    let mut running: Vec<Talk> = (0..AT_ONCE).map(|_| Talk::begin(&mut plant)).collect();
    while plant.written < size {
        let place = plant.below(AT_ONCE as u64) as usize;
        let Some(talk) = running.get_mut(place) else {
            continue;
        };
        if !talk.step(&mut plant)? {
            *talk = Talk::begin(&mut plant);
        }
    }
    plant.out.flush()
}

struct Plant<W> {
    out: W,
    random: u64,
    written: u64,
    /// Microseconds since 1970.
    at: u64,
    frame: Vec<u8>,
}

#[derive(Clone, Copy)]
enum Kind {
    Modbus,
    Page,
    File,
    Name,
    Refused,
    Unanswered,
    Management,
}

/// One conversation, and how far it is.
struct Talk {
    kind: Kind,
    client: u32,
    server: u32,
    client_port: u16,
    server_port: u16,
    asked: u32,
    answered: u32,
    step: u32,
    turns: u32,
}

const SYN: u8 = 2;
const RST: u8 = 4;
const PUSH: u8 = 8;
const ACK: u8 = 16;
const FIN: u8 = 1;

impl Talk {
    fn begin<W: Write>(plant: &mut Plant<W>) -> Self {
        let (kind, server_port, turns) = match plant.below(100) {
            0..20 => (Kind::Modbus, 502, 200 + plant.below(400)),
            20..40 => (Kind::Page, 80, 3 + plant.below(20)),
            40..45 => (Kind::File, 445, 100 + plant.below(300)),
            45..75 => (Kind::Name, 53, 1),
            75..83 => (Kind::Refused, 1 + plant.below(30_000), 1),
            83..97 => (Kind::Unanswered, 1 + plant.below(30_000), 1),
            _ => (Kind::Management, 54_321, 20),
        };
        Self {
            kind,
            // 10.7.20.0/22 speaks with 10.7.10.0/24.
            client: 0x0a07_1400 + plant.below(1000) as u32,
            server: 0x0a07_0a00 + 1 + plant.below(200) as u32,
            client_port: 32_768 + plant.below(28_000) as u16,
            server_port: server_port as u16,
            asked: plant.below(1 << 32) as u32,
            answered: plant.below(1 << 32) as u32,
            step: 0,
            turns: turns as u32,
        }
    }

    /// Writes the next packet; false when there is no other.
    fn step<W: Write>(&mut self, plant: &mut Plant<W>) -> io::Result<bool> {
        let step = self.step;
        self.step += 1;
        if matches!(self.kind, Kind::Name) {
            let question = [
                b"\x12\x34\x01\x00\0\x01\0\0\0\0\0\0\x05plant\x07example\0\0\x01\0\x01".as_slice(),
                &[],
            ];
            self.udp(plant, step == 0, &question.concat())?;
            return Ok(step < 1);
        }
        match (step, self.kind) {
            (0, _) => self.tcp(plant, true, SYN, &[])?,
            (_, Kind::Unanswered) => {
                self.asked = self.asked.wrapping_sub(1);
                self.tcp(plant, true, SYN, &[])?;
                return Ok(step < 2);
            }
            (1, Kind::Refused) => {
                self.tcp(plant, false, RST | ACK, &[])?;
                return Ok(false);
            }
            (1, _) => self.tcp(plant, false, SYN | ACK, &[])?,
            (2, _) => self.tcp(plant, true, ACK, &[])?,
            (step, kind) if step < 3 + 2 * self.turns => {
                let (of_client, number) = (step % 2 == 1, (step - 3) / 2);
                let payload = payload(kind, of_client, number);
                self.tcp(plant, of_client, PUSH | ACK, &payload)?;
            }
            (step, _) => {
                let of_client = step % 2 == 1;
                self.tcp(plant, of_client, FIN | ACK, &[])?;
                return Ok(of_client);
            }
        }
        Ok(true)
    }

    fn tcp<W: Write>(
        &mut self,
        plant: &mut Plant<W>,
        of_client: bool,
        flags: u8,
        payload: &[u8],
    ) -> io::Result<()> {
        let (sequence, acknowledged) = match of_client {
            true => (self.asked, self.answered),
            false => (self.answered, self.asked),
        };
        let mut header = Vec::with_capacity(20 + payload.len());
        let (from, to) = self.ports(of_client);
        header.extend(from.to_be_bytes());
        header.extend(to.to_be_bytes());
        header.extend(sequence.to_be_bytes());
        header.extend(if flags & ACK == 0 { 0 } else { acknowledged }.to_be_bytes());
        header.extend([0x50, flags, 0x20, 0, 0, 0, 0, 0]);
        header.extend_from_slice(payload);
        let length = payload.len() as u32 + u32::from(flags & (SYN | FIN) != 0);
        match of_client {
            true => self.asked = self.asked.wrapping_add(length),
            false => self.answered = self.answered.wrapping_add(length),
        }
        self.packet(plant, of_client, 6, &header)
    }

    fn udp<W: Write>(&self, plant: &mut Plant<W>, of_client: bool, payload: &[u8]) -> io::Result<()> {
        let (from, to) = self.ports(of_client);
        let mut header = Vec::with_capacity(8 + payload.len());
        header.extend(from.to_be_bytes());
        header.extend(to.to_be_bytes());
        header.extend((8 + payload.len() as u16).to_be_bytes());
        header.extend([0, 0]);
        header.extend_from_slice(payload);
        self.packet(plant, of_client, 17, &header)
    }

    fn ports(&self, of_client: bool) -> (u16, u16) {
        match of_client {
            true => (self.client_port, self.server_port),
            false => (self.server_port, self.client_port),
        }
    }

    fn packet<W: Write>(
        &self,
        plant: &mut Plant<W>,
        of_client: bool,
        protocol: u8,
        rest: &[u8],
    ) -> io::Result<()> {
        let (from, to) = match of_client {
            true => (self.client, self.server),
            false => (self.server, self.client),
        };
        let mac = |address: u32| {
            [
                0x02,
                0,
                (address >> 24) as u8,
                (address >> 16) as u8,
                (address >> 8) as u8,
                address as u8,
            ]
        };
        plant.frame.clear();
        plant.frame.extend(mac(to));
        plant.frame.extend(mac(from));
        plant.frame.extend([8, 0, 0x45, 0]);
        plant.frame.extend((20 + rest.len() as u16).to_be_bytes());
        plant.frame.extend([0, 0, 0x40, 0, 64, protocol, 0, 0]);
        plant.frame.extend(from.to_be_bytes());
        plant.frame.extend(to.to_be_bytes());
        plant.frame.extend_from_slice(rest);
        let filler = 60_usize.saturating_sub(plant.frame.len());
        plant.frame.extend(std::iter::repeat_n(0, filler));
        plant.write()
    }
}

/// What is said in a turn.
fn payload(kind: Kind, of_client: bool, number: u32) -> Vec<u8> {
    let transaction = (number as u16).to_be_bytes();
    match (kind, of_client) {
        (Kind::Modbus, true) => [&transaction[..], &[0, 0, 0, 6, 1, 3, 0, 0, 0, 20]].concat(),
        (Kind::Modbus, false) => [&transaction[..], &[0, 0, 0, 43, 1, 3, 40], &[7; 40]].concat(),
        (Kind::Page, true) => b"GET / HTTP/1.1\r\nHost: plant.example\r\n\r\n".to_vec(),
        (Kind::Page, false) => {
            let mut page =
                b"HTTP/1.1 200 OK\r\nServer: MoxaHttp/1.0\r\n\r\n<TITLE>NPort Web Console</TITLE>".to_vec();
            page.resize(1400, b' ');
            page
        }
        (Kind::File, true) => vec![0xfe; 120],
        (Kind::File, false) => vec![0xfe; 1448],
        (Kind::Management, true) => vec![0x11; 64],
        (Kind::Management, false) => [&[0x28, 0x10, 0x00, 0x29][..], &[0; 200]].concat(),
        (Kind::Name | Kind::Refused | Kind::Unanswered, _) => Vec::new(),
    }
}

impl<W: Write> Plant<W> {
    /// A number below another (xorshift64*).
    fn below(&mut self, most: u64) -> u64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        (self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16) % most
    }

    fn write(&mut self) -> io::Result<()> {
        self.at += 20;
        let length = self.frame.len() as u32;
        self.out
            .write_all(&((self.at / 1_000_000) as u32).to_le_bytes())?;
        self.out
            .write_all(&((self.at % 1_000_000) as u32).to_le_bytes())?;
        self.out.write_all(&length.to_le_bytes())?;
        self.out.write_all(&length.to_le_bytes())?;
        self.out.write_all(&self.frame)?;
        self.written += 16 + u64::from(length);
        Ok(())
    }
}
