//! Being a sensor: looking for a `verify` that runs elsewhere, at what the permission or the site here has, and nowhere else.

use std::{net::IpAddr, path::PathBuf, time::Duration};

use jiff::Timestamp;
pub use portcullis_fabric::Trouble;
use portcullis_fabric::{AskedLook, Broker, Looked, Outcome, Presence, Serving};
use portcullis_model::{Port, PortState, RunId, SensorName, Untrusted};
use portcullis_scan::{Pace, ProbeSettings};
use serde::Serialize;
use serde_json::json;

use crate::{
    Desk, OpsError, Stop,
    scan::{self, PermissionUsed},
    verify::look_at,
};

/// A sensor that shall be.
#[derive(Debug, Clone)]
pub struct SensorRequest {
    /// Its name.
    pub name: SensorName,
    /// Where it is asked.
    pub broker: Broker,
    /// The owner's permission for what lies outside the declared zones; read again for each look.
    pub permission: Option<PathBuf>,
    /// Who may have signed it.
    pub signers: Option<PathBuf>,
}

/// What a sensor tells while it works.
#[derive(Debug)]
pub enum Told {
    /// It is there.
    There,
    /// It has looked, or says why not.
    Asked(Box<AskedFor>),
    /// What it met meanwhile.
    Trouble(Trouble),
    /// What came of a look could not be handed over; the server asks again.
    NotHandedOver(OpsError),
}

/// A look that was asked for, and what came of it.
#[derive(Debug, Clone, Serialize)]
pub struct AskedFor {
    /// When it was answered.
    pub at: Timestamp,
    /// The run of the one who asked.
    pub run: RunId,
    /// Who that is, in his own words.
    pub asked_by: Untrusted,
    /// The port.
    pub port: Port,
    /// What each address answered; empty when nobody looked.
    pub states: Vec<(IpAddr, PortState)>,
    /// Why nobody looked.
    pub refused: Option<String>,
}

/// While a long look goes on, the server is told so that often.
const STILL_AT_IT: Duration = Duration::from_secs(5);

/// Looks for whoever asks, until it is told to stop.
///
/// # Errors
/// When the server cannot be reached at the beginning, another host has the name, or the permission cannot be used.
pub async fn serve(
    desk: &Desk,
    request: &SensorRequest,
    stop: &Stop,
    tell: &mut impl FnMut(Told),
) -> Result<(), OpsError> {
    let sensor = Sensor { desk, request };
    if desk.site.is_none() && request.permission.is_none() {
        return Err(OpsError::LooksNowhere);
    }
    // A permission with mistakes is told now, not to the first who asks.
    sensor.may_look(&[])?;
    let presence = Presence {
        sensor: request.name.clone(),
        host: Untrusted::new(&desk.host),
        version: Untrusted::new(env!("CARGO_PKG_VERSION")),
        since: (desk.now)(),
        gone: false,
    };
    let mut stop = stop.clone();
    let begun = tokio::select! {
        begun = Serving::begin(&request.broker, presence) => begun,
        _ = stop.wait_for(|stop| *stop) => return Ok(()),
    };
    let mut serving = begun.map_err(OpsError::Fabric)?;
    desk.record("sensor.start", format!("sensor {}", request.name), json!({}))
        .await?;
    tell(Told::There);
    loop {
        let next = tokio::select! {
            next = serving.next() => next,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        match next {
            Ok(asked) => {
                // Beside the look, and not between its parts: a server that is away must not hold it up.
                let still_at_it = async {
                    loop {
                        tokio::time::sleep(STILL_AT_IT).await;
                        serving.is_under_way(&asked).await;
                    }
                };
                let looked = tokio::select! {
                    looked = sensor.answer(&asked.look) => looked,
                    () = still_at_it => break,
                    // It is not answered, and will be asked of whoever has this name next.
                    _ = stop.wait_for(|stop| *stop) => break,
                };
                let told = sensor.told(&asked.look, &looked);
                match serving.answer(asked, looked).await {
                    Ok(()) => tell(Told::Asked(Box::new(told))),
                    Err(error) => tell(Told::NotHandedOver(OpsError::Fabric(error))),
                }
            }
            Err(trouble) => tell(Told::Trouble(trouble)),
        }
    }
    serving.end().await;
    Ok(())
}

struct Sensor<'a> {
    desk: &'a Desk,
    request: &'a SensorRequest,
}

impl Sensor<'_> {
    /// The permission by which all of these may be looked at. A scan may look at its own host; whoever asks a sensor may not have
    /// it do so.
    fn may_look(&self, places: &[(IpAddr, Port)]) -> Result<Option<PermissionUsed>, OpsError> {
        if let Some((address, _)) = places
            .iter()
            .find(|(address, _)| address.to_canonical().is_loopback())
        {
            return Err(OpsError::OwnLoopback(*address));
        }
        let (permission, signers) = (
            self.request.permission.as_deref(),
            self.request.signers.as_deref(),
        );
        scan::may_look(self.desk, permission, signers, places)
    }

    /// Looks; when the audit record cannot be written, nothing is sent, and whoever asked is told so.
    async fn answer(&self, look: &AskedLook) -> Outcome {
        let answered = self.permitted(look).await;
        answered.unwrap_or_else(|error| Outcome::Failed(Untrusted::new(error.to_string())))
    }

    /// Looks, if all of it may be looked at; a look that may be made in part is refused as a whole, as a scan is.
    async fn permitted(&self, look: &AskedLook) -> Result<Outcome, OpsError> {
        let details =
            json!({ "run": look.run, "asked_by": look.asked_by, "port": look.port, "targets": look.targets });
        let subject = format!("{} for {}", look.port, look.asked_by);
        let ports: Vec<(IpAddr, Port)> = look
            .targets
            .iter()
            .map(|target| (target.address, look.port))
            .collect();
        if let Err(why) = self.may_look(&ports) {
            self.desk.record("sensor.refused", subject, details).await?;
            return Ok(Outcome::Refused(Untrusted::new(why.to_string())));
        }
        self.desk.record("sensor.look", subject, details).await?;
        Ok(Outcome::Looked(self.look(look).await))
    }

    /// One address after the other, not faster than a scan would ask one host.
    async fn look(&self, look: &AskedLook) -> Vec<Looked> {
        let settings = ProbeSettings {
            moved: self.desk.moved(),
            ..ProbeSettings::default()
        };
        let mut looked = Vec::new();
        for target in &look.targets {
            // A permission may end while it is used.
            let used = match self.may_look(&[(target.address, look.port)]) {
                Ok(used) => used,
                Err(why) => {
                    looked.push(Looked::not_tested(target.address, why.to_string()));
                    continue;
                }
            };
            let is_permitted = |port: &u16| self.may_look(&[(target.address, Port::tcp(*port))]).is_ok();
            let control = target.control.filter(is_permitted);
            let knowledge = &self.desk.knowledge;
            let seen = look_at(target.address, look.port, control, &settings, knowledge).await;
            let per_second = scan::permitted_per_host(Pace::default(), used.as_ref());
            // Behind the last one, too: the next look may be at the same host.
            let rest = Duration::from_secs(1) * seen.packets() / per_second;
            looked.push(seen.into_looked());
            tokio::time::sleep(rest).await;
        }
        looked
    }

    fn told(&self, look: &AskedLook, outcome: &Outcome) -> AskedFor {
        let (states, refused) = match outcome {
            Outcome::Looked(looked) => {
                let state = |looked: &Looked| (looked.address, looked.state);
                (looked.iter().map(state).collect(), None)
            }
            Outcome::Refused(why) | Outcome::Failed(why) => (Vec::new(), Some(why.to_string())),
        };
        AskedFor {
            at: (self.desk.now)(),
            run: look.run,
            asked_by: look.asked_by.clone(),
            port: look.port,
            states,
            refused,
        }
    }
}
