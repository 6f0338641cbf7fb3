//! The connections of `[keep]` by packets: who was heard before a change must be heard with it. What a plan predicts of
//! them is one thing; this is the other.

use std::{
    collections::BTreeMap,
    fmt,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use portcullis_model::{Change, ChangeState, KeptConnection, KeptEnd, Port, PortState, Site, Transport};
use portcullis_scan::{ProbeSettings, probe};
use tokio::{
    net::UdpSocket,
    time::{self, Instant},
};

use crate::{Desk, OpsError};

/// How long an answer over UDP is awaited, each of two times.
const PATIENCE: Duration = Duration::from_secs(1);

/// A lost packet is no lock-out.
const ATTEMPTS: usize = 2;

/// A request of a client for the time (RFC 5905, 7.3: version 4, mode 3, all else empty).
const NTP: [u8; 48] = {
    let mut request = [0; 48];
    request[0] = 0x23;
    request
};

/// A query for the name servers of the root (RFC 1035, 4.1: one question, recursion not asked for).
const DNS: [u8; 17] = [0x50, 0x43, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1];

/// How a connection of `[keep]` can be tried from the host that is worked on.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Way {
    /// This host opens it: it is asked.
    Ask(IpAddr),
    /// Others open it: what arrives on the connections that are up tells.
    Hear,
    /// It cannot be tried, for this reason.
    Not(&'static str),
}

/// What was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heard {
    /// An answer came.
    Answer,
    /// So many segments have arrived.
    Segments(u32),
    Nothing,
    NotTested(&'static str),
}

impl fmt::Display for Heard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answer => f.write_str("passes, an answer came"),
            Self::Segments(segments) => write!(f, "passes, {segments} segments have arrived"),
            Self::Nothing => f.write_str("no answer"),
            Self::NotTested(why) => write!(f, "not tested: {why}"),
        }
    }
}

/// What was heard of each connection of `[keep]` that begins or ends on this host.
#[derive(Debug)]
pub(super) struct Kept(Vec<(KeptConnection, Way, Heard)>);

/// How the connections of `[keep]` that begin or end at one of these addresses can be tried.
fn ways(site: &Site, own: &[IpAddr], is_here: bool) -> Vec<(KeptConnection, Way)> {
    let is_own = |end: &KeptEnd| own.iter().any(|address| site.end_holds(end, *address));
    let way = |kept: &KeptConnection| {
        if is_own(&kept.from) && !is_own(&kept.to) {
            return Some(match single(&kept.to) {
                _ if !is_here => Way::Not("this is not the host that opens it"),
                None => Way::Not("it names no single address"),
                Some(_) if kept.port.transport == Transport::Udp && request(kept.port).is_none() => {
                    Way::Not("no harmless request is known for it")
                }
                Some(address) => Way::Ask(address),
            });
        }
        is_own(&kept.to).then_some(match kept.port.transport {
            Transport::Tcp => Way::Hear,
            Transport::Udp => Way::Not("its packets can only be sent from the other end"),
        })
    };
    let all = site.keep.iter();
    all.filter_map(|kept| Some((kept.clone(), way(kept)?))).collect()
}

fn single(end: &KeptEnd) -> Option<IpAddr> {
    match end {
        KeptEnd::Network(network) => {
            (network.prefix_len() == network.max_prefix_len()).then(|| network.addr())
        }
        KeptEnd::Zone(_) => None,
    }
}

fn request(port: Port) -> Option<&'static [u8]> {
    match port.number {
        53 => Some(&DNS),
        123 => Some(&NTP),
        _ => None,
    }
}

/// Asks whom this host asks, before the change.
///
/// # Errors
/// When the host does not tell its addresses.
pub(super) async fn ask(desk: &Desk) -> Result<Kept, OpsError> {
    let ways = match desk.site.as_ref().filter(|site| !site.keep.is_empty()) {
        Some(site) => {
            let own = desk.machine.survey().map_err(OpsError::System)?.addresses;
            ways(site, &own, desk.machine.via().is_none())
        }
        None => Vec::new(),
    };
    let heard = ways.into_iter().map(|(kept, way)| async {
        let heard = match way {
            Way::Ask(address) => asked(desk, address, kept.port).await,
            Way::Hear => Heard::Nothing,
            Way::Not(why) => Heard::NotTested(why),
        };
        (kept, way, heard)
    });
    Ok(Kept(futures::future::join_all(heard).await))
}

async fn asked(desk: &Desk, address: IpAddr, port: Port) -> Heard {
    for _ in 0..ATTEMPTS {
        let heard = match (port.transport, request(port)) {
            (Transport::Tcp, _) => {
                let settings = ProbeSettings {
                    identify: false,
                    ..ProbeSettings::default()
                };
                let sighting = probe(address, port, &settings, &desk.knowledge).await;
                matches!(sighting.state, PortState::Open | PortState::Closed)
            }
            (Transport::Udp, Some(request)) => answers(SocketAddr::new(address, port.number), request)
                .await
                .unwrap_or(false),
            (Transport::Udp, None) => false,
        };
        if heard {
            return Heard::Answer;
        }
    }
    Heard::Nothing
}

async fn answers(server: SocketAddr, request: &[u8]) -> std::io::Result<bool> {
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => ([0; 4], 0).into(),
        SocketAddr::V6(_) => ([0; 16], 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(server).await?;
    socket.send(request).await?;
    let answer = time::timeout(PATIENCE, socket.recv(&mut [0; 64])).await;
    Ok(answer.is_ok_and(|received| received.is_ok()))
}

/// How long is listened to the connections that others have opened.
const LISTEN: Duration = Duration::from_millis(1500);

/// Segments that have arrived, by local end and peer.
type Arrived = BTreeMap<(SocketAddr, SocketAddr), u32>;

/// Listens, with the change in force, to the connections that others have opened.
pub(super) struct Listening {
    before: Kept,
    began: Instant,
    /// What had arrived when it began, for each port.
    arrived: BTreeMap<u16, Arrived>,
}

impl Listening {
    pub(super) fn begin(desk: &Desk, before: Kept) -> Self {
        let heard = before.0.iter().filter(|(_, way, _)| *way == Way::Hear);
        let arrived = heard.filter_map(|(kept, ..)| {
            let number = kept.port.number;
            Some((number, desk.machine.segments_in(number).ok()?))
        });
        Self {
            arrived: arrived.collect(),
            began: Instant::now(),
            before,
        }
    }

    /// Asks again whom this host asks, and notes of each what was heard.
    ///
    /// # Errors
    /// [`OpsError::KeptLost`] when one that was heard before is not heard any more.
    pub(super) async fn end(self, desk: &Desk, change: &mut Change) -> Result<(), OpsError> {
        if self.before.0.is_empty() {
            return Ok(());
        }
        if !self.arrived.values().all(BTreeMap::is_empty) {
            time::sleep_until(self.began + LISTEN).await;
        }
        let looks = self.before.0.iter().map(|(kept, way, earlier)| {
            let this = &self;
            async move {
                match (way, earlier) {
                    (Way::Ask(_), Heard::Nothing) => {
                        Heard::NotTested("there was no answer before the change either")
                    }
                    (Way::Ask(address), _) => asked(desk, *address, kept.port).await,
                    (Way::Hear, _) => this.heard(desk, kept),
                    (Way::Not(why), _) => Heard::NotTested(why),
                }
            }
        });
        let heard = futures::future::join_all(looks).await;
        let each = self.before.0.iter().map(|(kept, ..)| kept).zip(&heard);
        let told = each.clone().map(|(kept, heard)| format!("{kept}: {heard}"));
        let told = told.collect::<Vec<_>>().join("; ");
        let lost = each.clone().find(|(_, heard)| **heard == Heard::Nothing);
        desk.step(
            change,
            ChangeState::OnTrial,
            "kept connections",
            lost.is_none(),
            told,
        )
        .await?;
        match lost {
            Some((kept, _)) => Err(OpsError::KeptLost(kept.to_string())),
            None => Ok(()),
        }
    }

    fn heard(&self, desk: &Desk, kept: &KeptConnection) -> Heard {
        let number = kept.port.number;
        let (Some(before), Ok(now), Some(site)) = (
            self.arrived.get(&number),
            desk.machine.segments_in(number),
            &desk.site,
        ) else {
            return Heard::NotTested("the connections that are up could not be read");
        };
        let of_kept = now.iter().filter(|((local, peer), _)| {
            site.end_holds(&kept.from, peer.ip().to_canonical())
                && site.end_holds(&kept.to, local.ip().to_canonical())
        });
        let segments = of_kept.filter_map(|(ends, now)| Some(now.wrapping_sub(*before.get(ends)?)));
        match segments.sum() {
            0 => Heard::NotTested("nothing arrived meanwhile"),
            segments => Heard::Segments(segments),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site() -> Site {
        let text = r#"
[site]
name = "plant-7"
timezone = "UTC"
[[zone]]
name = "control"
networks = ["10.7.10.0/24"]
[[zone]]
name = "engineering"
networks = ["10.7.20.0/24"]
[keep]
connections = [
    "control -> 10.7.20.5 udp/123",
    "control -> 10.7.20.6 tcp/7000",
    "control -> engineering tcp/443",
    "10.7.10.10 -> 10.7.20.7 udp/514",
    "10.7.20.5 -> control tcp/22",
    "10.7.20.5 -> control udp/161",
    "engineering -> 10.7.10.99 tcp/22",
]
"#;
        Site::parse("site.toml", text).unwrap()
    }

    #[test]
    fn only_what_begins_or_ends_here_is_tried_and_only_as_it_can_be() {
        let own = ["10.7.10.10".parse().unwrap()];
        let ways: Vec<Way> = ways(&site(), &own, true)
            .into_iter()
            .map(|(_, way)| way)
            .collect();
        assert_eq!(
            ways,
            [
                Way::Ask("10.7.20.5".parse().unwrap()),
                Way::Ask("10.7.20.6".parse().unwrap()),
                Way::Not("it names no single address"),
                Way::Not("no harmless request is known for it"),
                Way::Hear,
                Way::Not("its packets can only be sent from the other end"),
            ]
        );
    }

    #[test]
    fn nothing_is_asked_for_another_host() {
        let own = ["10.7.10.10".parse().unwrap()];
        let asked = ways(&site(), &own, false)
            .into_iter()
            .filter(|(_, way)| matches!(way, Way::Ask(_)));
        assert_eq!(asked.count(), 0);
    }
}
