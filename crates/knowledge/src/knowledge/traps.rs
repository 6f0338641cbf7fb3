//! Servers that answer everything and mean nothing: no service may get a name from them.

use std::net::IpAddr;

use portcullis_model::Grade;
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};

use super::*;

/// How many trap replies are tried.
const REPLIES: u32 = 10_000;

#[derive(Debug, Clone)]
enum Trap {
    /// The request comes back, once or more often, or the first part of it.
    Echo(usize, usize),
    Chargen(usize),
    FourBytes,
    /// One byte again and again.
    Drone(u8, usize),
    /// Text that never ends.
    Talker(String),
    Close,
    Silence,
    Random(Vec<u8>),
    /// What was asked, with some bytes altered, as a confused implementation of the protocol would.
    AlteredEcho(Vec<(prop::sample::Index, u8)>),
    Http(u16, String),
    TlsAlert(u8, u8),
    SshBanner(String),
}

fn traps() -> impl Strategy<Value = Trap> {
    let text = "[ -~]{8,120}";
    prop_oneof![
        (1usize..4, 0usize..80).prop_map(|(times, cut)| Trap::Echo(times, cut)),
        (1usize..2000).prop_map(Trap::Chargen),
        Just(Trap::FourBytes),
        (any::<u8>(), 1usize..2000).prop_map(|(byte, length)| Trap::Drone(byte, length)),
        text.prop_map(Trap::Talker),
        Just(Trap::Close),
        Just(Trap::Silence),
        prop::collection::vec(any::<u8>(), 1..600).prop_map(Trap::Random),
        prop::collection::vec(any::<u8>(), 1..30).prop_map(Trap::Random),
        prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3).prop_map(Trap::AlteredEcho),
        (200u16..505, text).prop_map(|(code, body)| Trap::Http(code, body)),
        (0u8..=4, 0u8..=120).prop_map(|(version, description)| Trap::TlsAlert(version, description)),
        "[!-~]{1,30}".prop_map(Trap::SshBanner),
    ]
}

impl Trap {
    fn answer(&self, request: Option<&[u8]>) -> Vec<u8> {
        let request = request.unwrap_or(b"hello, is anybody there?");
        match self {
            Self::Echo(times, cut) => {
                let mut bytes = request.repeat(*times);
                bytes.truncate(bytes.len().saturating_sub(*cut));
                bytes
            }
            Self::Chargen(length) => (b' '..=b'~').chain(*b"\r\n").cycle().take(*length).collect(),
            Self::FourBytes => vec![1, 0, 0, 0],
            Self::Drone(byte, length) => vec![*byte; *length],
            Self::Talker(text) => format!("{text}\r\n").repeat(20).into_bytes(),
            Self::Close | Self::Silence => Vec::new(),
            Self::Random(bytes) => bytes.clone(),
            Self::AlteredEcho(changes) => {
                let mut bytes = request.to_vec();
                for (place, byte) in changes {
                    let place = place.index(bytes.len());
                    bytes[place] = *byte;
                }
                bytes
            }
            Self::Http(code, body) => {
                format!("HTTP/1.1 {code} x\r\nServer: trap\r\nContent-Type: text/html\r\n\r\n<title>{body}</title>{body}")
                    .into_bytes()
            }
            Self::TlsAlert(version, description) => vec![0x15, 3, *version, 0, 2, 2, *description],
            Self::SshBanner(software) => format!("SSH-2.0-x{software}\r\n").into_bytes(),
        }
    }

    /// Whether altering the request has made a whole reply of it: in these two a single byte makes the difference.
    fn is_a_reply_by_chance(&self, request: Option<&[u8]>) -> bool {
        const TEST_FRAME_CONFIRMED: [u8; 6] = [0x68, 4, 0x83, 0, 0, 0];
        const HART_IP_SESSION: [u8; 2] = [1, 1];
        let bytes = self.answer(request);
        matches!(self, Self::AlteredEcho(_))
            && (bytes == TEST_FRAME_CONFIRMED || bytes.starts_with(&HART_IP_SESSION))
    }

    /// The general service that such bytes do prove.
    fn is_really(&self) -> Option<&'static str> {
        match self {
            Self::Http(..) => Some("http"),
            Self::TlsAlert(..) => Some("tls"),
            Self::SshBanner(_) => Some("ssh"),
            _ => None,
        }
    }
}

/// Every place where a service may be met: its own ports, and one that the site moved it to.
fn places(knowledge: &Knowledge) -> Vec<(ServiceName, Port)> {
    let mut places = Vec::new();
    for service in knowledge.services.values() {
        for port in service.ports.iter().take(4) {
            places.push((service.name.clone(), *port));
            places.push((service.name.clone(), Port { number: 7, ..*port }));
        }
    }
    places
}

#[test]
fn ten_thousand_traps_get_no_false_name() {
    let knowledge = Knowledge::builtin().unwrap();
    let places = places(&knowledge);
    let mut runner = TestRunner::new(Config {
        cases: REPLIES,
        ..Config::default()
    });
    let trap = (traps(), any::<prop::sample::Index>(), any::<bool>());
    let outcome = runner.run(&trap, |(trap, place, unasked)| {
        let (name, port) = &places[place.index(places.len())];
        let moved = [(name.clone(), *port)];
        let exchange = knowledge.exchange_for(name, *port).unwrap();
        let request = exchange
            .request
            .filter(|_| !unasked)
            .map(|request| request.bytes_for(IpAddr::from([127, 0, 0, 1]), *port));
        prop_assume!(!trap.is_a_reply_by_chance(request.as_deref()));
        let bytes = trap.answer(request.as_deref());
        let seen = match request {
            Some(_) => Seen {
                request,
                reply: bytes,
                closed_by_peer: matches!(trap, Trap::Close),
                ..Seen::default()
            },
            None => Seen {
                spoke_first: bytes,
                closed_by_peer: matches!(trap, Trap::Close),
                ..Seen::default()
            },
        };
        for found in knowledge.identify(*port, &moved, &seen) {
            let right = trap.is_really() == Some(found.service.as_str());
            prop_assert!(found.grade <= Grade::Possible || right, "{found:?} from {seen:?}");
        }
        prop_assert!(
            knowledge.further(*port, &moved, &seen).is_none(),
            "asked on after {seen:?}"
        );
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}
