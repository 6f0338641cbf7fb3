//! Verifying: packets from every vantage against what was expected, each with a positive control, so that a dead cable
//! is never taken for a closed port.

mod arrival;
mod control;
mod forecast;
mod judge;
mod look;
mod seen;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use portcullis_fabric::Broker;
use portcullis_lab::{Lab, plant};
use portcullis_model::{
    Change, ChangeState, Coverage, NetworkSet, Observation, Plan, Port, PortState, Run, RunId, Transport,
    Vantage,
};
use portcullis_sys::{Socket, Survey};
use serde::Serialize;
use serde_json::json;

pub use forecast::{Class, Predicted};
pub use judge::{Proof, Row, Verdict};

use crate::{
    Desk, OpsError, Stop,
    change::{moment::Moment, sweep::alterations},
    reach,
};
use arrival::Listening;
use control::Control;
use forecast::Forecast;
use judge::Measured;
pub(crate) use look::look_at;
use seen::Seen;

/// What is to be verified.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Beginning of the id of a plan or a change; its expectations are held against the packets.
    pub subject: Option<String>,
    /// The port, when there is no plan: the conduits say what is expected.
    pub port: Option<Port>,
    /// Where to look from; this host, every vantage of the lab and every sensor when empty.
    pub from: Vec<Vantage>,
    /// Where sensors are asked.
    pub broker: Option<Broker>,
    /// A command that must succeed afterwards.
    pub smoke: Option<String>,
}

/// What the packets have shown.
#[derive(Debug, Clone, Serialize)]
pub struct Verification {
    /// This host.
    pub host: String,
    /// The port.
    pub port: Port,
    /// One row for each vantage and address.
    pub rows: Vec<Row>,
    /// The parts of the prediction, each with those who have tested it; empty when no model could be made of the rules.
    pub parts: Vec<Class>,
    /// Those of them by which somebody gets through, or perhaps does, who should not by the plan or, without one, by the conduits.
    pub lets_in: Vec<Class>,
    /// Why there is no prediction, if there is none.
    pub not_predicted: Option<String>,
    /// What a reviewer of the loaded rules should look at, as `reach` tells it.
    pub to_look_at: Vec<String>,
    /// What somebody changed in the rules for this port, in plain words.
    pub altered: Vec<String>,
    /// Vantages from which nobody could look, with the reason.
    pub failures: Vec<String>,
    /// Whether something still listens on the port; `None` for a port of hosts behind this one.
    pub listening: Option<bool>,
    /// Packets that the drop rules for this port dropped while we looked; `None` when the firewall cannot be read.
    pub dropped_while_looking: Option<u64>,
    /// Whether the smoke check succeeded, when there was one.
    pub smoke: Option<bool>,
    /// The word over all.
    pub verdict: Verdict,
}

/// Looks from every vantage and judges.
///
/// # Errors
/// When a vantage cannot be used, or packets cannot prove anything about the port.
pub async fn verify(desk: &Desk, request: &Request, stop: &Stop) -> Result<Verification, OpsError> {
    let plan = match &request.subject {
        Some(prefix) => Some(desk.plan_of(prefix).await?),
        None => None,
    };
    let port = plan
        .as_ref()
        .map(|plan| plan.close)
        .or(request.port)
        .unwrap_or(Port::tcp(0));
    if port.transport == Transport::Udp
        && desk
            .knowledge
            .exchange(port, &desk.moved())
            .not_testable
            .is_some()
    {
        return Err(OpsError::NotProvable(port));
    }
    let vantages = if request.from.is_empty() {
        every_vantage(request.broker.as_ref()).await?
    } else {
        each_once(&request.from)
    };
    let survey = desk.machine.survey().map_err(OpsError::System)?;
    let behind = plan.as_ref().map(|plan| plan.behind.clone()).unwrap_or_default();
    let mut addresses = if behind.is_empty() {
        survey.addresses.clone()
    } else {
        behind.clone()
    };
    addresses.retain(|address| !is_link_local(*address));
    let mut loopback = Vec::new();
    if behind.is_empty() && desk.machine.via().is_none() {
        loopback.extend([IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)]);
    }
    // Where nothing listens in a family, silence is no sign of a rule, and no fault of one.
    if behind.is_empty() && addresses.iter().any(|address| serves(&survey, port, *address)) {
        addresses.retain(|address| serves(&survey, port, *address));
        loopback.retain(|address| serves(&survey, port, *address));
    }
    if plan.is_none() && !listens(&survey, port) {
        return Err(OpsError::NothingToVerify(port));
    }
    let earlier = Earlier::read(desk).await?;

    let run = begin(desk, port, &vantages).await?;
    let control = if behind.is_empty() {
        Control::of_host(&desk.machine)
    } else {
        Control::seen_open(&earlier.observations, port)
    };
    let dropped_before = dropped(desk, port);
    let looker = look::Looker {
        desk,
        port,
        control: &control,
        addresses: &addresses,
        loopback: &loopback,
        broker: request.broker.as_ref(),
        run: run.id,
    };
    let (mut forecast, not_predicted) = match Forecast::read(desk, port, &addresses, !behind.is_empty()) {
        Ok(forecast) => (Some(forecast), None),
        Err(error) => (None, Some(error.to_string())),
    };
    let mut witnesses: BTreeMap<(usize, usize), Vec<Vantage>> = BTreeMap::new();
    let mut rows = Vec::new();
    // Another host is not listened on; there its counters tell.
    let listening_for = match desk.machine.via() {
        None => Listening::begin(port).ok(),
        Some(_) => None,
    };
    let (looks, failures) = looker.look_from_all(&vantages)?;
    let arrivals = listening_for.and_then(Listening::end);
    let dropped_while_looking =
        dropped_before.and_then(|before| Some(dropped(desk, port)?.saturating_sub(before)));
    let ours: BTreeSet<IpAddr> = looks
        .iter()
        .flat_map(|(_, seen)| seen.iter().filter_map(|seen| seen.port.source))
        .map(|source| source.to_canonical())
        .collect();
    if *stop.borrow() {
        return Err(OpsError::Interrupted);
    }
    for (vantage, seen) in looks {
        for seen in seen {
            let before = earlier.state(&vantage, seen.port.address, port);
            let observation = seen.port.clone().into_observation(run.id, &vantage);
            // What was not tested must not hide what was seen before.
            if observation.state != PortState::NotTested {
                desk.store
                    .add_observations(std::slice::from_ref(&observation))
                    .await
                    .map_err(OpsError::Store)?;
            }
            let expected = judge::expected(desk, plan.as_ref(), port, &vantage, &observation);
            // What this host sends to itself goes by no interface that rules or listeners look at.
            let is_own = vantage == Vantage::this_host() && desk.machine.via().is_none();
            let from = seen
                .port
                .source
                .filter(|source| !is_own && *source != seen.port.address);
            let predicted = forecast
                .as_mut()
                .zip(from)
                .and_then(|(forecast, source)| forecast.of(source, seen.port.address));
            let arrived = match (&arrivals, from) {
                (Some(arrivals), Some(source)) => {
                    arrivals.have(source.to_canonical(), seen.port.address, &ours)
                }
                // A drop rule that counted has met packets, though not whose.
                (None, _) => dropped_while_looking.filter(|dropped| *dropped > 0).map(|_| true),
                _ => None,
            };
            let measured = Measured {
                port: &seen.port,
                control: seen.control,
                arrived,
            };
            let row = Row::new(vantage.clone(), before, measured, predicted, expected);
            if let Some(predicted) = row
                .predicted
                .as_ref()
                .filter(|_| row.proof != Proof::CannotConclude)
            {
                let known = witnesses.entry(predicted.place).or_default();
                if !known.contains(&vantage) {
                    known.push(vantage.clone());
                }
            }
            rows.push(row);
        }
    }
    desk.store
        .finish_run(&Run {
            ended: Some((desk.now)()),
            ..run
        })
        .await
        .map_err(OpsError::Store)?;
    judge::doubt(&mut rows);
    let listening = match behind.as_slice() {
        [] => Some(listens(&desk.machine.survey().map_err(OpsError::System)?, port)),
        _ => None,
    };
    let smoke = request.smoke.as_deref().map(look::smoke).transpose()?;
    let altered = altered(desk, port, plan.as_ref()).await?;
    let led_here: Vec<Class> = forecast
        .iter()
        .flat_map(|forecast| forecast.led_here())
        .cloned()
        .collect();
    let to_look_at = forecast.as_ref().map(Forecast::remarks).unwrap_or_default();
    let parts = forecast
        .map(|forecast| forecast.classes(&witnesses))
        .unwrap_or_default();
    let allowed: Option<NetworkSet> = match (&plan, &desk.site) {
        (Some(plan), _) => Some(plan.allowed_networks()),
        (None, Some(site)) => reach::allowed(site, &addresses, port, &desk.knowledge)
            .map(|allowed| allowed.into_iter().collect()),
        (None, None) => None,
    };
    let lets_in = allowed.map_or_else(Vec::new, |allowed| {
        judge::let_in(&[parts.as_slice(), &led_here].concat(), &allowed)
    });
    let mut verdict = judge::overall(&rows, listening, smoke, &altered, !lets_in.is_empty());
    if !failures.is_empty() {
        verdict = verdict.max(Verdict::CannotConclude);
    }
    Ok(Verification {
        host: desk.host.clone(),
        port,
        rows,
        parts,
        lets_in,
        not_predicted,
        to_look_at,
        altered,
        failures: failures.iter().map(OpsError::to_string).collect(),
        listening,
        dropped_while_looking,
        smoke,
        verdict,
    })
}

fn each_once(vantages: &[Vantage]) -> Vec<Vantage> {
    let mut once = Vec::new();
    for vantage in vantages {
        if !once.contains(vantage) {
            once.push(vantage.clone());
        }
    }
    once
}

/// This host, every host of the lab that is a place to look from, and every sensor that is there.
async fn every_vantage(broker: Option<&Broker>) -> Result<Vec<Vantage>, OpsError> {
    let mut vantages = vec![Vantage::this_host()];
    if Lab::around_us().is_some() {
        let stations = plant::HOSTS
            .iter()
            .filter(|host| host.device == plant::Device::Station);
        vantages.extend(stations.map(|host| Vantage::lab(host.name)));
    }
    if let Some(broker) = broker {
        let sensors = broker.sensors().await.map_err(OpsError::Fabric)?;
        vantages.extend(sensors.iter().map(|there| Vantage::sensor(&there.sensor)));
    }
    Ok(vantages)
}

/// Whether something listens on the port.
fn listens(survey: &Survey, port: Port) -> bool {
    let on_port = |socket: &Socket| socket.transport == port.transport && socket.local.port() == port.number;
    survey
        .sockets
        .iter()
        .any(|socket| socket.is_listening() && on_port(socket))
}

/// Whether something listens on the port at an address.
fn serves(survey: &Survey, port: Port, address: IpAddr) -> bool {
    survey.sockets.iter().any(|socket| {
        let bound = socket.local.ip();
        let takes = bound == address
            || bound.is_unspecified()
                && (bound.is_ipv4() == address.is_ipv4()
                    || address.is_ipv4() && socket.ipv6_only != Some(true));
        socket.is_listening()
            && socket.transport == port.transport
            && socket.local.port() == port.number
            && takes
    })
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    }
}

async fn begin(desk: &Desk, port: Port, vantages: &[Vantage]) -> Result<Run, OpsError> {
    let started = (desk.now)();
    let run = Run {
        id: RunId::of(&[b"verify", desk.host.as_bytes(), started.to_string().as_bytes()]),
        command: "verify".into(),
        vantage: desk.vantage(),
        started,
        ended: None,
        settings: json!({ "host": desk.host, "port": port, "from": vantages }),
        not_tested: Vec::new(),
        coverage: Coverage::default(),
    };
    desk.record(
        "verify.start",
        format!("host {} {port}", desk.host),
        run.settings.clone(),
    )
    .await?;
    desk.store.begin_run(&run).await.map_err(OpsError::Store)?;
    Ok(run)
}

/// What was seen before, so that it can stand beside what is seen now.
struct Earlier {
    observations: Vec<Observation>,
}

impl Earlier {
    /// The latest observation of each vantage; from this host only those that were made on this host.
    async fn read(desk: &Desk) -> Result<Self, OpsError> {
        let mut observations = Vec::new();
        for seen in desk.store.latest_observations().await.map_err(OpsError::Store)? {
            if seen.vantage == Vantage::this_host() {
                let run = desk.store.run(seen.run).await.map_err(OpsError::Store)?;
                if run.is_none_or(|run| run.settings.get("host") != Some(&json!(desk.host))) {
                    continue;
                }
            }
            observations.push(seen);
        }
        Ok(Self { observations })
    }

    fn state(&self, vantage: &Vantage, address: IpAddr, port: Port) -> Option<PortState> {
        let same =
            |seen: &&Observation| &seen.vantage == vantage && seen.address == address && seen.port == port;
        self.observations
            .iter()
            .filter(same)
            .max_by_key(|seen| seen.at)
            .map(|seen| seen.state)
    }
}

/// What is not as Portcullis loaded it, of the changes for this port; nothing when the firewall cannot be read.
///
/// A change that should be in force and of which the kernel holds nothing proves nothing either, whatever the packets say:
/// somebody else may drop them today.
async fn altered(desk: &Desk, port: Port, plan: Option<&Plan>) -> Result<Vec<String>, OpsError> {
    // What is left of a trial is told while it is read.
    let now = Moment::now(desk);
    let Ok(own) = desk.own() else {
        return Ok(Vec::new());
    };
    let changes = desk
        .store
        .changes(Some(&desk.host))
        .await
        .map_err(OpsError::Store)?;
    let mut altered: Vec<String> = own
        .strangers
        .iter()
        .map(|stranger| format!("Portcullis did not make {stranger}"))
        .collect();
    for change in changes.iter().filter(|change| change.port == port) {
        let tag = change.id.short();
        let is_meant = match change.state {
            ChangeState::OnTrial | ChangeState::Confirmed => true,
            ChangeState::NotInForce => plan.is_some_and(|plan| plan.id == change.plan),
            _ => false,
        };
        match own.changes.get(&tag) {
            Some(loaded) if loaded.port.is_none() && is_meant => {
                altered.push(format!(
                    "the trial of change {tag} is over, and it was not taken back"
                ));
            }
            Some(loaded) => altered.extend(alterations(change, loaded, &own.faults, &now)),
            None if is_meant => altered.push(format!("nothing of change {tag} is loaded")),
            None => {}
        }
    }
    if let Some(plan) = plan {
        altered.extend(taken_back(&changes, plan));
    }
    altered.dedup();
    Ok(altered)
}

/// That a plan's change was taken back, unless the plan was applied again.
fn taken_back(changes: &[Change], plan: &Plan) -> Option<String> {
    let of_plan = || changes.iter().filter(|change| change.plan == plan.id);
    let last = of_plan().max_by_key(|change| change.applied)?;
    let is_over = of_plan().all(|change| !change.state.may_be_loaded());
    is_over.then(|| {
        let (tag, state) = (last.id.short(), last.state);
        format!("change {tag} of this plan is no longer loaded: {state}")
    })
}

fn dropped(desk: &Desk, port: Port) -> Option<u64> {
    let own = desk.own().ok()?;
    let of_port = own.changes.values().filter(|change| change.port == Some(port));
    let counts: Vec<u64> = of_port.map(|change| change.dropped_packets).collect();
    (!counts.is_empty()).then(|| counts.iter().sum())
}
