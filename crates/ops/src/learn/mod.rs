//! Learning: how a gateway that the operator knows behaves, so that its siblings on the site can be recognised.

mod error;
mod overheard;

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use portcullis_knowledge::{
    Hazard,
    signature::{AS_A_SCAN, ErrorFigure, Look, SCHEMA, Signature, cross_validate},
};
use portcullis_model::{EvidenceKind, Grade, Observation, Port, PortState, ServiceName, Transport};
use portcullis_scan::{Pace, Sighting, listen};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::sleep;

pub use self::error::LearnError;
use crate::{Desk, OpsError, Stop, scan};

/// The least pause between two connections to a host.
const PAUSE: Duration = Duration::from_secs(1);
/// Packets of a look: handshake, two ends, acknowledgements.
const PACKETS: u32 = 8;

/// What is to be learned.
#[derive(Debug, Clone)]
pub struct Request {
    /// The port that the operator knows.
    pub place: SocketAddr,
    /// What he knows it as.
    pub service: ServiceName,
    /// Ports of the site that are other services.
    pub counter_examples: Vec<SocketAddr>,
    /// How many looks at each.
    pub looks: u32,
    /// How long every second look waits for the server to end the connection by itself.
    pub patience: Duration,
    /// A capture with the beginning of a session.
    pub capture: Option<PathBuf>,
    /// File with the owner's permission.
    pub permission: Option<PathBuf>,
    /// File with the keys that may sign a permission.
    pub signers: Option<PathBuf>,
}

/// What was learned.
#[derive(Debug, Serialize)]
pub struct Learned {
    /// What is known now of each port that was looked at, the known one first.
    pub signatures: Vec<Signature>,
    /// Earlier statements that said something else of these ports, and are gone.
    pub replaced: Vec<Signature>,
    /// How often signatures of this service err, by all examples of the site.
    pub error_figure: ErrorFigure,
}

/// Looks at the ports, one connection at a time and without sending anything on it, and keeps what was seen. `begins` is
/// told how many ports there are once nothing refuses the looks any more.
///
/// # Errors
/// What may not be scanned, or is not known; a port that does not answer or is another service; a store that cannot be
/// written. Nothing is kept then.
pub async fn learn(
    desk: &Desk,
    request: &Request,
    stop: &Stop,
    begins: impl FnOnce(usize),
) -> Result<Learned, OpsError> {
    let places = places(desk, request)?;
    scan::may_look(
        desk,
        request.permission.as_deref(),
        request.signers.as_deref(),
        &places,
    )?;
    let overheard = request
        .capture
        .as_ref()
        .map(|path| overheard::first_bytes(desk, path, &places))
        .transpose()?;
    let replaced = contradicted(desk, request, &places).await?;
    let gone: Vec<Value> = replaced
        .iter()
        .map(|one| json!({ "place": one.place(), "service": one.service, "is_it": one.is_it, "at": one.at }))
        .collect();
    let details = json!({
        "place": request.place,
        "service": request.service,
        "counter_examples": request.counter_examples,
        "looks": request.looks,
        "patience_seconds": request.patience.as_secs(),
        "capture": request.capture,
        "permission": request.permission,
        "replaces": gone,
    });
    desk.record("learn.start", subject(request), details).await?;
    begins(places.len());
    let mut signatures = Vec::new();
    for place in &places {
        let looks = looks(desk, request, *place, stop).await?;
        let (address, port) = *place;
        signatures.push(Signature {
            schema: SCHEMA.into(),
            site: desk.site.as_ref().map(|site| site.name.clone()),
            address,
            port,
            service: request.service.clone(),
            is_it: signatures.is_empty(),
            by: desk.actor.clone(),
            at: (desk.now)(),
            looks,
            overheard: overheard
                .as_ref()
                .and_then(|all| all.get(place).cloned())
                .unwrap_or_default(),
        });
    }
    for signature in &signatures {
        let record = serde_json::to_value(signature).map_err(kept)?;
        let kept = desk
            .store
            .keep_signature(signature.address, signature.port, &record)
            .await;
        kept.map_err(OpsError::Store)?;
    }
    Ok(Learned {
        error_figure: error_figure(&known(desk).await?, &request.service),
        signatures,
        replaced,
    })
}

/// What is stated of which ports, in the record.
fn subject(request: &Request) -> String {
    let mut subject = format!("{} as {}", request.place, request.service);
    for (number, place) in request.counter_examples.iter().enumerate() {
        let word = if number == 0 { ", not" } else { "," };
        subject.push_str(&format!("{word} {place}"));
    }
    subject
}

/// Earlier statements of these ports that say something else, and whose place the new ones take.
async fn contradicted(
    desk: &Desk,
    request: &Request,
    places: &[(IpAddr, Port)],
) -> Result<Vec<Signature>, OpsError> {
    let records = desk.store.signatures().await.map_err(OpsError::Store)?;
    // What cannot be read is told when all of it is read, and what is of another site is replaced no less.
    let mut earlier: Vec<Signature> = records
        .into_iter()
        .filter_map(|record| serde_json::from_value(record).ok())
        .collect();
    earlier.retain(|one| {
        let place = (one.address, one.port);
        let is_it = places.first() == Some(&place);
        places.contains(&place) && (one.is_it != is_it || one.service != request.service)
    });
    Ok(earlier)
}

/// All that was learned on this site, by address and port.
///
/// # Errors
/// When the store cannot be read, or holds what this version does not understand.
pub async fn known(desk: &Desk) -> Result<Vec<Signature>, OpsError> {
    let records = desk.store.signatures().await.map_err(OpsError::Store)?;
    let signatures: Result<Vec<Signature>, _> = records.into_iter().map(serde_json::from_value).collect();
    let mut signatures = signatures.map_err(kept)?;
    let site = desk.site.as_ref().map(|site| site.name.as_str());
    signatures.retain(|one| one.schema == SCHEMA && one.site.as_deref() == site);
    Ok(signatures)
}

/// How often the signatures of a service err, by its own examples.
pub fn error_figure(signatures: &[Signature], service: &ServiceName) -> ErrorFigure {
    let of_it: Vec<&Signature> = signatures.iter().filter(|one| one.service == *service).collect();
    cross_validate(&of_it)
}

/// Forgets what was learned of a port.
///
/// # Errors
/// When nothing was; a store that cannot be written.
pub async fn forget(desk: &Desk, place: SocketAddr) -> Result<(), OpsError> {
    let (address, port) = of(place);
    let details = json!({ "place": place });
    desk.record("learn.forget", place.to_string(), details).await?;
    match desk.store.forget_signature(address, port).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(OpsError::Learn(LearnError::NotLearned(place))),
        Err(error) => Err(OpsError::Store(error)),
    }
}

/// The look that an observation of a scan is; `None` for one that was not listened to.
pub(crate) fn look_of(observation: &Observation) -> Option<Look> {
    let behaviour = observation
        .evidence
        .iter()
        .find_map(|one| one.behaviour.clone())?;
    let spoken = |one: &&portcullis_model::Evidence| one.kind == EvidenceKind::ServerSpokeFirst;
    let first_bytes = observation.evidence.iter().find(spoken);
    Some(Look {
        at: observation.at,
        behaviour,
        first_bytes: first_bytes.map(|one| one.bytes.clone()).unwrap_or_default(),
    })
}

fn kept(error: serde_json::Error) -> OpsError {
    OpsError::Learn(LearnError::Kept(error))
}

fn of(place: SocketAddr) -> (IpAddr, Port) {
    (place.ip().to_canonical(), Port::tcp(place.port()))
}

/// The known port and the counter-examples, each once, when they may be connected to at all.
fn places(desk: &Desk, request: &Request) -> Result<Vec<(IpAddr, Port)>, OpsError> {
    let failed = |error| Err(OpsError::Learn(error));
    let Some(service) = desk.knowledge.service(&request.service) else {
        return failed(LearnError::NoSuchService(request.service.to_string()));
    };
    // Silence at a port would make likely what has no such port, or would have spoken.
    let no_tcp = !service.ports.iter().any(|port| port.transport == Transport::Tcp);
    let why = match service.hazard {
        _ if no_tcp => Some("it has no TCP port"),
        Hazard::Silent => None,
        Hazard::Banner | Hazard::ReadOnlyRequest | Hazard::OptIn => {
            Some("it shows itself, and is recognised by what it says")
        }
    };
    if let Some(why) = why {
        return failed(LearnError::NotByBehaviour {
            service: request.service.to_string(),
            why,
        });
    }
    let mut places = vec![of(request.place)];
    for place in &request.counter_examples {
        if of(*place) == of(request.place) {
            return failed(LearnError::Both(*place));
        }
        if !places.contains(&of(*place)) {
            places.push(of(*place));
        }
    }
    let moved = desk.moved();
    for (number, (address, port)) in places.iter().enumerate() {
        // Of the known port the operator has named the service, as a scan wants it for some.
        let named = (number == 0)
            .then(|| desk.knowledge.exchange_for(&request.service, *port))
            .flatten();
        let exchange = named.unwrap_or_else(|| desk.knowledge.exchange(*port, &moved));
        if let Some(why) = exchange.not_testable {
            return failed(LearnError::NotTestable {
                place: SocketAddr::new(*address, port.number),
                why: why.into(),
            });
        }
    }
    Ok(places)
}

/// Looks at one port: in turn as a scan looks, and with patience, so that both what a scan can compare and the server's own
/// end are known.
async fn looks(
    desk: &Desk,
    request: &Request,
    place: (IpAddr, Port),
    stop: &Stop,
) -> Result<Vec<Look>, OpsError> {
    let (address, port) = place;
    // What the server says is held against the service wherever it is.
    let moved = [(request.service.clone(), port)];
    let mut looks = Vec::new();
    for number in 0..request.looks {
        if *stop.borrow() {
            return Err(OpsError::Interrupted);
        }
        // The permission may have been taken back, or its hours may be over.
        let used = scan::may_look(
            desk,
            request.permission.as_deref(),
            request.signers.as_deref(),
            &[place],
        )?;
        let per_host = scan::permitted_per_host(Pace::default(), used.as_ref());
        if number > 0 {
            sleep(PAUSE.max(Duration::from_secs(1) * PACKETS / per_host.max(1))).await;
        }
        let patience = match number % 2 {
            0 => AS_A_SCAN,
            _ => request.patience,
        };
        let mut stopped = stop.clone();
        let sighting = tokio::select! {
            sighting = listen(address, port, patience, &moved, &desk.knowledge) => sighting,
            _ = stopped.wait_for(|stop| *stop) => return Err(OpsError::Interrupted),
        };
        looks.push(look(request, place, sighting)?);
    }
    Ok(looks)
}

fn look(request: &Request, (address, port): (IpAddr, Port), sighting: Sighting) -> Result<Look, OpsError> {
    let place = SocketAddr::new(address, port.number);
    let is_known_one = of(request.place) == (address, port);
    let excluded = sighting
        .identifications
        .iter()
        .find(|what| what.service == request.service && what.grade == Grade::RuledOut);
    if let Some(excluded) = excluded.filter(|_| is_known_one) {
        return Err(OpsError::Learn(LearnError::RuledOut {
            place,
            service: request.service.to_string(),
            why: excluded.reasons.join("; "),
        }));
    }
    let not_open = LearnError::NotOpen {
        place,
        state: sighting.state,
        because: sighting.because.clone(),
    };
    let run = portcullis_model::RunId::of(&[b"learn"]);
    let observation = sighting.into_observation(run, &portcullis_model::Vantage::this_host());
    look_of(&observation)
        .filter(|_| observation.state == PortState::Open)
        .ok_or(OpsError::Learn(not_open))
}
