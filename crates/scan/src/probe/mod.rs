//! One look at one port: one connection or datagram, and at most one request.

pub(crate) mod gate;
mod icmp;
pub(crate) mod talk;
pub(crate) mod tcp;
mod trace;
pub(crate) mod udp;
mod verdict;

use std::{
    net::{IpAddr, SocketAddr, SocketAddrV6},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;
use portcullis_knowledge::{Exchange, Knowledge, Seen};
use portcullis_model::{
    Evidence, Identification, Observation, Port, PortState, RunId, ServiceName, Transport, Vantage,
};

pub(crate) use trace::{Conduct, Trace, milliseconds};

/// How long a connection attempt waits for its answer. The kernel repeats an unanswered SYN after one second (RFC 6298,
/// 2.1); an attempt that ends before it sends exactly one packet, and so the pace can hold.
pub const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_millis(950);
/// How long to wait before an attempt that got no answer is repeated, once.
const PAUSE: Duration = Duration::from_secs(1);

/// How one port is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeSettings {
    /// How long an attempt waits for its answer; there are two attempts.
    pub connect_timeout: Duration,
    /// Where the site says a service also listens.
    pub moved: Vec<(ServiceName, Port)>,
    /// Whether to listen and ask what the service is. A TCP port is found open or not without it; UDP needs the request.
    pub identify: bool,
}

impl Default for ProbeSettings {
    fn default() -> Self {
        Self {
            connect_timeout: DEFAULT_CONNECT_TIMEOUT,
            moved: Vec::new(),
            identify: true,
        }
    }
}

/// What one look at one port has shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// The address that was asked.
    pub address: IpAddr,
    /// The port that was asked.
    pub port: Port,
    /// When the look ended.
    pub at: Timestamp,
    /// Our own address, when known.
    pub source: Option<IpAddr>,
    /// What the port answered.
    pub state: PortState,
    /// Why that is its state.
    pub because: String,
    /// The services that were considered.
    pub identifications: Vec<Identification>,
    /// The bytes and circumstances behind it.
    pub evidence: Vec<Evidence>,
    /// Packets that were sent, acknowledgements among them.
    pub packets: u32,
}

impl Sighting {
    /// The sighting as an observation of a run.
    pub fn into_observation(self, run: RunId, vantage: &Vantage) -> Observation {
        Observation {
            id: Observation::id_of(run, vantage, self.address, self.port),
            run,
            at: self.at,
            vantage: vantage.clone(),
            source: self.source,
            address: self.address,
            port: self.port,
            state: self.state,
            because: self.because,
            confidence: None,
            identifications: self.identifications,
            evidence: self.evidence,
        }
    }

    pub(crate) fn of(
        target: &Target,
        mut trace: Trace,
        moved: &[(ServiceName, Port)],
        knowledge: &Knowledge,
    ) -> Self {
        let secret = target
            .exchange
            .as_ref()
            .and_then(|exchange| exchange.secret.as_ref());
        let identifications = trace.seen.as_mut().map(|seen| match secret {
            Some(secret) => knowledge.identify_concealed(target.port, moved, seen, secret),
            None => knowledge.identify(target.port, moved, seen),
        });
        // Made of the bytes in which the secret is concealed by now.
        let evidence = trace.evidence(target.port.transport);
        Self {
            address: target.address,
            port: target.port,
            at: trace.at,
            source: trace.source,
            state: trace.state,
            identifications: identifications.unwrap_or_default(),
            evidence,
            because: trace.because,
            packets: trace.packets,
        }
    }
}

/// One port of one address, and what to do with it.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) address: IpAddr,
    pub(crate) port: Port,
    /// The interface of a link-local address (RFC 4007); 0 where none is needed.
    pub(crate) scope: u32,
    pub(crate) connect_timeout: Duration,
    /// `None`: connect and close.
    pub(crate) exchange: Option<Exchange>,
    /// Judges what is seen while it is seen.
    pub(crate) reader: Reader,
    /// Whether it may be asked once more.
    pub(crate) second_look: bool,
}

/// What is known of services, and where the site says that one also listens.
#[derive(Debug, Clone)]
pub(crate) struct Reader(Arc<(Knowledge, Vec<(ServiceName, Port)>)>);

impl Reader {
    pub(crate) fn new(knowledge: &Knowledge, moved: &[(ServiceName, Port)]) -> Self {
        Self(Arc::new((knowledge.clone(), moved.to_vec())))
    }
}

impl Target {
    /// What is to be sent after that was seen, as it goes on the wire.
    fn second_request(&self, seen: &Seen) -> Option<Vec<u8>> {
        let (knowledge, moved) = self.reader.0.as_ref();
        let request = knowledge
            .further(self.port, moved, seen)
            .filter(|_| self.second_look)?;
        Some(request.bytes_for(self.address, self.port))
    }

    /// Whether nothing more needs to be heard.
    fn is_settled(&self, seen: &Seen) -> bool {
        let (knowledge, moved) = self.reader.0.as_ref();
        knowledge.is_settled(self.port, moved, seen)
    }

    pub(crate) fn socket_address(&self) -> SocketAddr {
        match self.address {
            IpAddr::V4(_) => SocketAddr::new(self.address, self.port.number),
            IpAddr::V6(address) => SocketAddrV6::new(address, self.port.number, 0, self.scope).into(),
        }
    }
}

/// Connects, listens for a time, sends nothing, and closes. At once and without asking for a permission, as [`probe`].
/// `moved` lists where a service is held to listen beside its usual ports.
pub async fn listen(
    address: IpAddr,
    port: Port,
    patience: Duration,
    moved: &[(ServiceName, Port)],
    knowledge: &Knowledge,
) -> Sighting {
    let target = Target {
        address,
        port,
        scope: 0,
        connect_timeout: DEFAULT_CONNECT_TIMEOUT,
        exchange: Some(Exchange::listen(patience)),
        reader: Reader::new(knowledge, moved),
        second_look: false,
    };
    let trace = match port.transport {
        Transport::Tcp => tcp::look(&target).await,
        Transport::Udp => Trace::not_tested("a UDP port that is not asked says nothing"),
    };
    Sighting::of(&target, trace, moved, knowledge)
}

/// Looks at one port, at once and without asking for a permission: both are the caller's to arrange. It never fails; what
/// could not be tested is `not-tested` and says why.
pub async fn probe(address: IpAddr, port: Port, settings: &ProbeSettings, knowledge: &Knowledge) -> Sighting {
    let exchange = knowledge.exchange(port, &settings.moved);
    let asks = settings.identify || port.transport == Transport::Udp;
    let target = Target {
        address,
        port,
        scope: 0,
        connect_timeout: settings.connect_timeout,
        exchange: asks.then_some(exchange),
        reader: Reader::new(knowledge, &settings.moved),
        second_look: false,
    };
    let unfit = target
        .exchange
        .as_ref()
        .and_then(|exchange| exchange.not_testable);
    let trace = match (unfit, port.transport) {
        (Some(reason), _) => Trace::not_tested(reason),
        (None, Transport::Tcp) => tcp::look(&target).await,
        (None, Transport::Udp) => udp::look(&target).await,
    };
    Sighting::of(&target, trace, &settings.moved, knowledge)
}

#[cfg(test)]
mod tests;
