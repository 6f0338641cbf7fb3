//! Looking from one vantage at all addresses of this host.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use portcullis_fabric::{AskedLook, Broker, MOST_ADDRESSES, Target as Asked};
use portcullis_knowledge::Knowledge;
use portcullis_lab::Lab;
use portcullis_model::{Port, PortState, RunId, SensorName, Transport, Vantage};
use portcullis_scan::{ProbeSettings, Sighting, probe};
use portcullis_sys::ssh::{Knocked, Ssh, Target};

use super::{Control, Seen};
use crate::{Desk, OpsError};

pub(super) struct Looker<'a> {
    pub(super) desk: &'a Desk,
    pub(super) port: Port,
    pub(super) control: &'a Control,
    pub(super) addresses: &'a [IpAddr],
    /// At which loopback addresses a host looks as well.
    pub(super) loopback: &'a [IpAddr],
    /// Where sensors are asked.
    pub(super) broker: Option<&'a Broker>,
    pub(super) run: RunId,
}

/// What was seen from each vantage.
type Looks = Vec<(Vantage, Vec<Seen>)>;

impl Looker<'_> {
    /// Looks from all vantages at the same time; tells what was seen, and from where nobody could look.
    ///
    /// # Errors
    /// When nobody could look from anywhere.
    pub(super) fn look_from_all(&self, vantages: &[Vantage]) -> Result<(Looks, Vec<OpsError>), OpsError> {
        let mut looks = Vec::new();
        let mut failures = Vec::new();
        std::thread::scope(|scope| {
            let looking: Vec<_> = vantages
                .iter()
                .map(|vantage| (vantage, scope.spawn(move || self.look(vantage))))
                .collect();
            for (vantage, look) in looking {
                let panicked = |_| OpsError::Vantage {
                    vantage: vantage.clone(),
                    why: "the look ended with a panic".into(),
                };
                match look.join().map_err(panicked).flatten() {
                    Ok(seen) => looks.push((vantage.clone(), seen)),
                    Err(error) => failures.push(error),
                }
            }
        });
        if looks.is_empty() && !failures.is_empty() {
            return Err(failures.swap_remove(0));
        }
        Ok((looks, failures))
    }

    /// Looks from one vantage.
    fn look(&self, vantage: &Vantage) -> Result<Vec<Seen>, OpsError> {
        if let Some(target) = vantage.ssh_target() {
            return self.look_over_ssh(vantage, target);
        }
        if let Some(sensor) = vantage.sensor_name() {
            return self.look_by_sensor(vantage, &sensor);
        }
        let Some(host) = vantage.lab_host() else {
            let addresses = [self.loopback, self.addresses].concat();
            return self.all(&addresses).map_err(|why| OpsError::Vantage {
                vantage: vantage.clone(),
                why,
            });
        };
        let lab = Lab::around_us().ok_or_else(|| OpsError::Vantage {
            vantage: vantage.clone(),
            why: "this command does not run inside a lab".into(),
        })?;
        let network = lab.network_of(host).map_err(OpsError::Lab)?;
        network
            .run(|| self.all(self.addresses))
            .map_err(OpsError::System)?
            .map_err(|why| OpsError::Vantage {
                vantage: vantage.clone(),
                why,
            })
    }

    /// Has another host try to connect, one address after the other. Nothing is sent over what it opens.
    fn look_over_ssh(&self, vantage: &Vantage, target: &str) -> Result<Vec<Seen>, OpsError> {
        let unusable = |why: String| OpsError::Vantage {
            vantage: vantage.clone(),
            why,
        };
        if self.port.transport != Transport::Tcp {
            return Err(unusable("over ssh only TCP ports can be tried".into()));
        }
        let target = target
            .parse::<Target>()
            .map_err(|error| unusable(error.to_string()))?;
        let host = Ssh::connect_to_look(target).map_err(OpsError::System)?;
        let knock = |address: IpAddr, number: u16| {
            host.knock(SocketAddr::new(address, number))
                .map_err(OpsError::System)
        };
        let look = |address: &IpAddr| {
            let (knocked, source) = knock(*address, self.port.number)?;
            let control = match self.control.port_of(*address) {
                Some(number) => Some(knock(*address, number)?.0 == Knocked::Open),
                None => None,
            };
            let (state, because) = told(knocked);
            let port = Sighting {
                address: *address,
                port: self.port,
                at: (self.desk.now)(),
                source,
                state,
                because: because.into(),
                identifications: Vec::new(),
                evidence: Vec::new(),
                packets: 0,
            };
            Ok(Seen { port, control })
        };
        self.addresses.iter().map(look).collect()
    }

    /// Has a sensor look at all addresses.
    fn look_by_sensor(&self, vantage: &Vantage, sensor: &SensorName) -> Result<Vec<Seen>, OpsError> {
        let unusable = |why: String| OpsError::Vantage {
            vantage: vantage.clone(),
            why,
        };
        let Some(broker) = self.broker else {
            return Err(unusable("--nats says where sensors are asked".into()));
        };
        if self.addresses.len() > MOST_ADDRESSES {
            let many = self.addresses.len();
            return Err(unusable(format!(
                "it would look at {many} addresses, and looks at {MOST_ADDRESSES} at most"
            )));
        }
        let target = |address: &IpAddr| Asked {
            address: *address,
            control: self.control.port_of(*address),
        };
        let targets: Vec<Asked> = self.addresses.iter().map(target).collect();
        // A silent address takes seconds, and they are looked at one after the other.
        let patience = SENSOR_PATIENCE + EACH_ADDRESS * u32::try_from(targets.len()).unwrap_or(u32::MAX);
        let asked_by = format!("{} on {}", self.desk.actor, self.desk.host);
        let asked = AskedLook::new(self.run, &asked_by, self.port, targets);
        let looked = runtime()
            .map_err(unusable)?
            .block_on(broker.look(sensor, &asked, patience))
            .map_err(OpsError::Fabric)?;
        // Clocks of sensors may be wrong, and what was seen last is asked by time.
        let at = (self.desk.now)();
        Ok(looked
            .into_iter()
            .map(|looked| Seen::told(looked, self.port, at))
            .collect())
    }

    /// Looks at all addresses at the same time, from the network of the calling thread.
    fn all(&self, addresses: &[IpAddr]) -> Result<Vec<Seen>, String> {
        let settings = ProbeSettings {
            moved: self.desk.moved(),
            ..ProbeSettings::default()
        };
        let knowledge = &*self.desk.knowledge;
        let looks = addresses.iter().map(|address| {
            let control = self.control.port_of(*address);
            look_at(*address, self.port, control, &settings, knowledge)
        });
        Ok(runtime()?.block_on(futures::future::join_all(looks)))
    }
}

/// A sensor is waited for so long,
const SENSOR_PATIENCE: Duration = Duration::from_secs(20);
/// and so much longer for each address.
const EACH_ADDRESS: Duration = Duration::from_secs(10);

fn runtime() -> Result<tokio::runtime::Runtime, String> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())
}

/// Looks at a port of one address and at the positive control beside it, at the same time.
pub(crate) async fn look_at(
    address: IpAddr,
    port: Port,
    control: Option<u16>,
    settings: &ProbeSettings,
    knowledge: &Knowledge,
) -> Seen {
    let controlled = async {
        // What answers there need not be named.
        let settings = ProbeSettings {
            identify: false,
            ..settings.clone()
        };
        Some(probe(address, Port::tcp(control?), &settings, knowledge).await)
    };
    let (port, control) = tokio::join!(probe(address, port, settings, knowledge), controlled);
    let packets = control.as_ref().map_or(0, |control| control.packets);
    Seen {
        port: Sighting {
            packets: port.packets.saturating_add(packets),
            ..port
        },
        control: control.map(|control| control.state == PortState::Open),
    }
}

fn told(knocked: Knocked) -> (PortState, &'static str) {
    match knocked {
        Knocked::Open => (PortState::Open, "connection accepted there"),
        Knocked::Closed => (PortState::Closed, "connection refused there"),
        Knocked::Filtered => (
            PortState::Filtered,
            "forbidden, or nobody there, says something on the way",
        ),
        Knocked::NoAnswer => (PortState::NoAnswer, "no answer there within 3 s"),
        Knocked::NoRoute => (PortState::NotTested, "that host has no way there"),
        Knocked::NoTool => (
            PortState::NotTested,
            "that host has neither bash with timeout nor an nc that tells",
        ),
    }
}

const SMOKE_PATIENCE: Duration = Duration::from_secs(120);

/// Runs the operator's own check through the shell.
pub(super) fn smoke(command: &str) -> Result<bool, OpsError> {
    let finished =
        portcullis_sys::run("sh", &["-c", command], "", SMOKE_PATIENCE).map_err(OpsError::Smoke)?;
    Ok(finished.success)
}
