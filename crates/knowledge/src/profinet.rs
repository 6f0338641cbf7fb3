//! PROFINET DCP: stations of a segment say who they are, below IP (EtherType 8892, IEC 61158-6-10).
//!
//! A message is frame id, service, type, transaction id, delay, length of what follows, and blocks: option, suboption,
//! length, and in an answer two bytes of information before the value; each block begins at an even place. Only what every
//! station answers to is known here: the question to all who they are. Setting a name or an address and blinking are
//! services of the same protocol, and none of their bytes are made here.

use std::{collections::BTreeMap, net::Ipv4Addr};

use portcullis_model::{Grade, Identification, ServiceName, Untrusted};

/// The EtherType of PROFINET.
pub const ETHERTYPE: u16 = 0x8892;
/// The group of stations that answer to the question.
pub const GROUP: [u8; 6] = [0x01, 0x0e, 0xcf, 0, 0, 0];
/// The name of the service.
pub const SERVICE: &str = "profinet-dcp";

const IDENTIFY_REQUEST: [u8; 2] = [0xfe, 0xfe];
const IDENTIFY_RESPONSE: [u8; 2] = [0xfe, 0xff];
const HELLO: [u8; 2] = [0xfe, 0xfc];
const IDENTIFY: u8 = 5;
const HELLO_SERVICE: u8 = 6;
const REQUEST: u8 = 0;
const SUCCESS: u8 = 1;
/// What stands before the blocks.
const HEADER: usize = 12;
/// Stations may wait up to this many times 10 ms before they answer, so that not all do at once.
const DELAY: u16 = 4;
/// No station has more blocks.
const MOST_BLOCKS: usize = 64;

/// The question to all stations, as what follows the EtherType. `transaction` comes back in each answer.
pub fn identify_all(transaction: u32) -> Vec<u8> {
    let mut bytes = IDENTIFY_REQUEST.to_vec();
    bytes.extend([IDENTIFY, REQUEST]);
    bytes.extend(transaction.to_be_bytes());
    bytes.extend(DELAY.to_be_bytes());
    bytes.extend([0, 4, 0xff, 0xff, 0, 0]);
    bytes
}

/// What a station said of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Station {
    /// The transaction that it answers; `None` when it said so by itself, when it started.
    pub answers: Option<u32>,
    /// Its address of IPv4, if it has one.
    pub address: Option<Ipv4Addr>,
    /// What it says, by names as those of `Identification::fields`.
    pub fields: BTreeMap<String, Untrusted>,
}

impl Station {
    /// The station as something that is identified.
    pub fn identification(&self) -> Option<Identification> {
        let reason = match self.answers {
            Some(_) => "answered the question of PROFINET DCP who it is",
            None => "said by PROFINET DCP who it is when it started",
        };
        Some(Identification {
            service: ServiceName::new(SERVICE)?,
            grade: Grade::Proven,
            reasons: vec![reason.into()],
            fields: self.fields.clone(),
        })
    }
}

/// Reads what follows the EtherType: an answer, or the hello of a station. `None` for everything else.
pub fn station(bytes: &[u8]) -> Option<Station> {
    let (header, rest) = bytes.split_at_checked(HEADER)?;
    let [f0, f1, service, kind, t0, t1, t2, t3, _, _, l0, l1] = header else {
        return None;
    };
    let transaction = u32::from_be_bytes([*t0, *t1, *t2, *t3]);
    let answers = match ([*f0, *f1], *service, *kind) {
        (IDENTIFY_RESPONSE, IDENTIFY, SUCCESS) => Some(transaction),
        (HELLO, HELLO_SERVICE, REQUEST) => None,
        _ => return None,
    };
    let mut blocks = rest.get(..usize::from(u16::from_be_bytes([*l0, *l1])))?;
    let mut station = Station {
        answers,
        ..Station::default()
    };
    let mut count = 0;
    while !blocks.is_empty() {
        count += 1;
        let (head, rest) = blocks.split_at_checked(4)?;
        let [option, suboption, high, low] = head else {
            return None;
        };
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let block = rest.get(..length).filter(|_| count <= MOST_BLOCKS)?;
        // The last one may end without the byte that makes it even.
        blocks = rest.get(length + length % 2..).unwrap_or_default();
        if let Some(value) = block.get(2..) {
            station.take((*option, *suboption), value);
        }
    }
    (!station.fields.is_empty()).then_some(station)
}

impl Station {
    fn take(&mut self, block: (u8, u8), value: &[u8]) {
        let mut field = |name: &str, value: String| {
            self.fields.insert(name.into(), Untrusted::new(value));
        };
        let text = || {
            let text = String::from_utf8_lossy(value);
            let text = text.trim_matches(['\0', ' ']);
            (!text.is_empty()).then(|| text.to_owned())
        };
        match (block, value) {
            ((1, 2), [a, b, c, d, ..]) => {
                let address = Ipv4Addr::new(*a, *b, *c, *d);
                self.address = (!address.is_unspecified()).then_some(address);
            }
            ((2, 1), _) => text().into_iter().for_each(|text| field("model", text)),
            ((2, 2), _) => text().into_iter().for_each(|text| field("name", text)),
            ((2, 3), [v0, v1, d0, d1, ..]) => {
                field("vendor-id", format!("{:#06x}", u16::from_be_bytes([*v0, *v1])));
                field("device-id", format!("{:#06x}", u16::from_be_bytes([*d0, *d1])));
            }
            ((2, 4), [role, ..]) => {
                let roles = [
                    (1, "device"),
                    (2, "controller"),
                    (4, "multidevice"),
                    (8, "supervisor"),
                ];
                let roles: Vec<&str> = roles
                    .iter()
                    .filter(|(bit, _)| role & bit != 0)
                    .map(|(_, name)| *name)
                    .collect();
                if !roles.is_empty() {
                    field("role", roles.join(", "));
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// An answer with the layout that NMAP's multicast-profinet-discovery reads: role, name, vendor and device, address.
    fn answer() -> Vec<u8> {
        let mut blocks = Vec::new();
        let mut block = |option: u8, suboption: u8, value: &[u8]| {
            blocks.extend([option, suboption, 0, value.len() as u8 + 2, 0, 0]);
            blocks.extend(value);
            blocks.extend(std::iter::repeat_n(0, value.len() % 2));
        };
        block(2, 2, b"press-7");
        block(2, 1, b"ET200SP");
        block(2, 3, &[0, 0x2a, 3, 0x0d]);
        block(2, 4, &[1, 0]);
        block(1, 2, &[10, 7, 10, 31, 255, 255, 255, 0, 10, 7, 10, 1]);
        let mut bytes = vec![0xfe, 0xff, 5, 1, 0, 0, 0x12, 0x34, 0, 0];
        bytes.extend((blocks.len() as u16).to_be_bytes());
        bytes.extend(blocks);
        // Ethernet fills up short frames.
        bytes.extend([0; 6]);
        bytes
    }

    #[test]
    fn the_question_is_that_of_the_source() {
        assert_eq!(
            identify_all(0x1234),
            [0xfe, 0xfe, 5, 0, 0, 0, 0x12, 0x34, 0, 4, 0, 4, 0xff, 0xff, 0, 0]
        );
        assert_eq!(station(&identify_all(1)), None);
    }

    #[test]
    fn a_station_says_who_it_is() {
        let station = station(&answer()).unwrap();
        assert_eq!(station.answers, Some(0x1234));
        assert_eq!(station.address, Some(Ipv4Addr::new(10, 7, 10, 31)));
        let fields: Vec<String> = station
            .fields
            .iter()
            .map(|(name, value)| format!("{name} {value}"))
            .collect();
        assert_eq!(
            fields,
            [
                "device-id 0x030d",
                "model ET200SP",
                "name press-7",
                "role device",
                "vendor-id 0x002a"
            ]
        );
        assert_eq!(station.identification().unwrap().grade, Grade::Proven);
    }

    #[test]
    fn what_sets_something_or_lies_about_its_length_is_not_read() {
        let mut set = answer();
        (set[1], set[2]) = (0xfd, 4);
        assert_eq!(station(&set), None);
        let mut long = answer();
        long[10] = 0x7f;
        assert_eq!(station(&long), None);
        let mut block = answer();
        block[HEADER + 3] = 0xff;
        assert_eq!(station(&block), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(at in 0..90usize, byte: u8, end in 0..90usize) {
            let mut bytes = answer();
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
            bytes.truncate(end.max(4));
            let _ = station(&bytes);
        }
    }
}
