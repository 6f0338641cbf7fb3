use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use portcullis_model::{EvidenceKind, Grade};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UdpSocket},
};

use super::*;

const LOOPBACK: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

/// A server of this machine that counts what it gets.
struct StandIn {
    port: Port,
    connections: Arc<AtomicUsize>,
    bytes: Arc<AtomicUsize>,
}

impl StandIn {
    async fn tcp<F, S>(serve: S) -> Self
    where
        S: Fn(TcpStream, Arc<AtomicUsize>) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind((LOOPBACK, 0)).await.unwrap();
        let port = Port::tcp(listener.local_addr().unwrap().port());
        let (connections, bytes) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let stand_in = Self {
            port,
            connections: connections.clone(),
            bytes: bytes.clone(),
        };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream, bytes.clone()));
            }
        });
        stand_in
    }

    /// Reads one request and answers it; then waits for the end of the connection.
    async fn answering(reply: &'static [u8]) -> Self {
        Self::tcp(move |mut stream, bytes| async move {
            read_once(&mut stream, &bytes).await;
            let _ = stream.write_all(reply).await;
            read_to_end(&mut stream, &bytes).await;
        })
        .await
    }

    async fn silent() -> Self {
        Self::tcp(|mut stream, bytes| async move { read_to_end(&mut stream, &bytes).await }).await
    }

    fn counts(&self) -> (usize, usize) {
        (
            self.connections.load(Ordering::SeqCst),
            self.bytes.load(Ordering::SeqCst),
        )
    }
}

async fn read_once(stream: &mut TcpStream, bytes: &AtomicUsize) -> Vec<u8> {
    let mut buffer = vec![0; 2048];
    let length = stream.read(&mut buffer).await.unwrap_or_default();
    bytes.fetch_add(length, Ordering::SeqCst);
    buffer.truncate(length);
    buffer
}

async fn read_to_end(stream: &mut TcpStream, bytes: &AtomicUsize) {
    while !read_once(stream, bytes).await.is_empty() {}
}

fn name(text: &str) -> ServiceName {
    ServiceName::new(text).unwrap()
}

/// Looks at a port as if the site had put these services there.
async fn look_at(port: Port, services: &[&str]) -> Sighting {
    let settings = ProbeSettings {
        moved: services.iter().map(|service| (name(service), port)).collect(),
        ..ProbeSettings::default()
    };
    probe(LOOPBACK, port, &settings, &Knowledge::builtin().unwrap()).await
}

fn grade(sighting: &Sighting, service: &str) -> Option<Grade> {
    let found = sighting
        .identifications
        .iter()
        .find(|found| found.service.as_str() == service);
    found.map(|found| found.grade)
}

#[tokio::test]
async fn an_answer_in_pieces_is_heard_to_its_end() {
    let server = StandIn::tcp(|mut stream, bytes| async move {
        read_once(&mut stream, &bytes).await;
        // The identification of a device, as Modbus prescribes it (V1.1b3, 6.21).
        let reply = b"\0\0\0\0\0\x1a\x01\x2b\x0e\x01\x83\0\0\x03\0\x06VendoR\x01\x03ABC\x02\x03v1.";
        for piece in reply.chunks(9) {
            let _ = stream.write_all(piece).await;
            tokio::time::sleep(Duration::from_millis(400)).await;
        }
        read_to_end(&mut stream, &bytes).await;
    })
    .await;
    let sighting = look_at(server.port, &["modbus-tcp"]).await;
    assert_eq!(
        grade(&sighting, "modbus-tcp"),
        Some(Grade::Proven),
        "{sighting:?}"
    );
    assert_eq!(server.counts().0, 1);
}

#[tokio::test]
async fn a_silent_server_gets_one_connection_and_no_byte() {
    let server = StandIn::silent().await;
    let sighting = look_at(server.port, &["moxa-mdm-gateway"]).await;
    assert_eq!(sighting.state, PortState::Open);
    assert_eq!(sighting.source, Some(LOOPBACK));
    assert!(sighting.because.starts_with("connection accepted after "));
    assert_eq!(grade(&sighting, "moxa-mdm-gateway"), Some(Grade::Possible));
    let kinds: Vec<EvidenceKind> = sighting.evidence.iter().map(|piece| piece.kind).collect();
    assert_eq!(
        kinds,
        [
            EvidenceKind::Handshake,
            EvidenceKind::Silence,
            EvidenceKind::Behaviour
        ]
    );
    let behaviour = sighting.evidence[2].behaviour.as_ref().unwrap();
    assert!(behaviour.listened_ms >= 800 && behaviour.spoke_after_ms.is_none());
    assert!(behaviour.answer_to_end.is_some() && behaviour.own_end.is_none());
    assert!(behaviour.options.is_some_and(|options| options.segment > 0));
    assert_eq!(server.counts(), (1, 0));
    assert_eq!(
        sighting.packets, 4,
        "handshake and end, each with its acknowledgement"
    );
}

#[tokio::test]
async fn a_web_server_gets_one_get_and_is_named() {
    let server =
        StandIn::answering(b"HTTP/1.1 200 OK\r\nServer: test\r\n\r\n<title>Pump house</title>").await;
    let sighting = look_at(server.port, &["http", "moxa-mdm-gateway"]).await;
    assert_eq!(grade(&sighting, "http"), Some(Grade::Proven));
    assert_eq!(grade(&sighting, "moxa-mdm-gateway"), Some(Grade::RuledOut));
    assert_eq!(
        sighting.identifications[0].fields["name"].to_string(),
        "Pump house"
    );
    let (connections, bytes) = server.counts();
    assert_eq!(connections, 1);
    assert!((20..300).contains(&bytes), "{bytes} bytes are not one GET");
}

#[tokio::test]
async fn a_modbus_server_tells_its_vendor() {
    let reply = b"\0\0\0\0\0\x0e\x01\x2b\x0e\x01\x01\0\0\x01\0\x04Acme";
    let server = StandIn::answering(reply).await;
    let sighting = look_at(server.port, &["modbus-tcp"]).await;
    assert_eq!(grade(&sighting, "modbus-tcp"), Some(Grade::Proven));
    assert_eq!(sighting.identifications[0].fields["vendor"].to_string(), "Acme");
    assert_eq!(server.counts(), (1, 11));
}

#[tokio::test]
async fn a_server_that_speaks_first_is_not_asked() {
    let server = StandIn::tcp(|mut stream, bytes| async move {
        let _ = stream.write_all(b"SSH-2.0-test_1\r\n").await;
        read_to_end(&mut stream, &bytes).await;
    })
    .await;
    let sighting = look_at(server.port, &["http"]).await;
    assert_eq!(grade(&sighting, "ssh"), Some(Grade::Proven));
    assert_eq!(sighting.evidence[1].bytes, b"SSH-2.0-test_1\r\n");
    assert_eq!(server.counts(), (1, 0));
}

#[tokio::test]
async fn an_echo_is_given_no_name() {
    let server = StandIn::tcp(|mut stream, bytes| async move {
        loop {
            let heard = read_once(&mut stream, &bytes).await;
            if heard.is_empty() || stream.write_all(&heard).await.is_err() {
                return;
            }
        }
    })
    .await;
    for services in [&["http", "moxa-mdm-gateway"][..], &["modbus-tcp"]] {
        let sighting = look_at(server.port, services).await;
        assert_eq!(sighting.state, PortState::Open);
        assert!(
            sighting
                .identifications
                .iter()
                .all(|found| found.grade == Grade::RuledOut)
        );
    }
}

#[tokio::test]
async fn an_endless_talker_is_left_after_a_bounded_time_with_bounded_evidence() {
    let chargen = StandIn::tcp(|mut stream, _| async move {
        let line: Vec<u8> = (b' '..=b'~').chain(*b"\r\n").collect();
        while stream.write_all(&line).await.is_ok() {}
    })
    .await;
    let tarpit = StandIn::tcp(|mut stream, _| async move {
        while stream.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(40)).await;
        }
    })
    .await;
    for server in [chargen, tarpit] {
        let looked = look_at(server.port, &["moxa-mdm-gateway"]);
        let sighting = tokio::time::timeout(Duration::from_secs(8), looked)
            .await
            .expect("a talker held the probe");
        assert_eq!(grade(&sighting, "moxa-mdm-gateway"), Some(Grade::RuledOut));
        assert!(sighting.evidence.iter().all(|piece| piece.bytes.len() <= 512));
        assert_eq!(server.counts().0, 1);
    }
}

#[tokio::test]
async fn a_server_that_closes_at_once_is_open_and_no_more_than_possible() {
    let server = StandIn::tcp(|stream, _| async move { drop(stream) }).await;
    let sighting = look_at(server.port, &["http", "moxa-mdm-gateway"]).await;
    assert_eq!(sighting.state, PortState::Open);
    assert!(
        sighting
            .identifications
            .iter()
            .all(|found| found.grade <= Grade::Possible)
    );
    assert_eq!(server.counts(), (1, 0));
}

#[tokio::test]
async fn the_close_is_no_reset() {
    let (ended, mut end) = tokio::sync::mpsc::unbounded_channel();
    let server = StandIn::tcp(move |mut stream, _| {
        let ended = ended.clone();
        async move {
            let _ = stream.write_all(&[7; 20_000]).await;
            let mut rest = Vec::new();
            let _ = ended.send(stream.read_to_end(&mut rest).await);
        }
    })
    .await;
    look_at(server.port, &[]).await;
    assert_eq!(end.recv().await.unwrap().unwrap(), 0);
}

#[tokio::test]
async fn without_identification_a_port_is_only_opened_and_closed() {
    let server = StandIn::answering(b"HTTP/1.1 200 OK\r\n\r\n").await;
    let settings = ProbeSettings {
        identify: false,
        moved: vec![(name("http"), server.port)],
        ..ProbeSettings::default()
    };
    let sighting = probe(LOOPBACK, server.port, &settings, &Knowledge::builtin().unwrap()).await;
    assert_eq!(
        (sighting.state, sighting.identifications.len()),
        (PortState::Open, 0)
    );
    assert_eq!(server.counts().1, 0);
}

#[tokio::test]
async fn a_port_without_a_listener_is_closed() {
    // The socket keeps the number, so that nobody else can listen there.
    let taken = tokio::net::TcpSocket::new_v4().unwrap();
    taken.bind((LOOPBACK, 0).into()).unwrap();
    let tcp = Port::tcp(taken.local_addr().unwrap().port());
    let sighting = look_at(tcp, &[]).await;
    assert_eq!(sighting.state, PortState::Closed, "{}", sighting.because);
    assert_eq!(sighting.because, "connection refused with a TCP reset");

    let udp = UdpSocket::bind((LOOPBACK, 0)).await.unwrap();
    let port = Port::udp(udp.local_addr().unwrap().port());
    drop(udp);
    let sighting = look_at(port, &["moxa-dsci"]).await;
    assert_eq!(sighting.state, PortState::Closed, "{}", sighting.because);
    assert_eq!(sighting.packets, 1);
}

#[tokio::test]
async fn the_device_search_gets_one_datagram_and_its_reply_is_judged() {
    let device = UdpSocket::bind((LOOPBACK, 0)).await.unwrap();
    let port = Port::udp(device.local_addr().unwrap().port());
    let answering = tokio::spawn(async move {
        let mut buffer = [0; 64];
        let (length, from) = device.recv_from(&mut buffer).await.unwrap();
        let reply = b"\x81\0\0\x18\0\0\0\0\x10\x51\0\x80\x10\x51\0\x90\xe8\x01\x02\x03\xc0\xa8\x7f\xfe";
        device.send_to(reply, from).await.unwrap();
        (device, buffer[..length].to_vec())
    });
    let sighting = look_at(port, &["moxa-dsci"]).await;
    assert_eq!(sighting.state, PortState::Open);
    assert_eq!(grade(&sighting, "moxa-dsci"), Some(Grade::Proven));
    let (device, request) = answering.await.unwrap();
    assert_eq!(request, [1, 0, 0, 8, 0, 0, 0, 0]);
    assert!(
        device.try_recv(&mut [0; 64]).is_err(),
        "there was a second datagram"
    );
}

#[tokio::test]
async fn a_udp_port_without_a_known_request_gets_nothing() {
    let device = UdpSocket::bind((LOOPBACK, 0)).await.unwrap();
    let port = Port::udp(device.local_addr().unwrap().port());
    let sighting = look_at(port, &[]).await;
    assert_eq!(sighting.state, PortState::NotTested);
    assert!(sighting.because.contains("CVE-2019-5636"));
    assert!(device.try_recv(&mut [0; 64]).is_err());
}

#[tokio::test]
async fn a_silent_udp_port_is_asked_twice_and_is_no_answer() {
    let device = UdpSocket::bind((LOOPBACK, 0)).await.unwrap();
    let port = Port::udp(device.local_addr().unwrap().port());
    let sighting = look_at(port, &["moxa-dsci"]).await;
    assert_eq!((sighting.state, sighting.packets), (PortState::NoAnswer, 2));
}

#[tokio::test]
async fn an_ipv6_port_is_looked_at_alike() {
    let Ok(listener) = TcpListener::bind(("::1", 0)).await else {
        return; // This machine has no IPv6.
    };
    let address = listener.local_addr().unwrap();
    let settings = ProbeSettings {
        identify: false,
        ..ProbeSettings::default()
    };
    let knowledge = Knowledge::builtin().unwrap();
    let port = Port::tcp(address.port());
    let sighting = probe(address.ip(), port, &settings, &knowledge).await;
    assert_eq!(sighting.state, PortState::Open, "{}", sighting.because);
}
