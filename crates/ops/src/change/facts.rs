//! What is read of a host before its firewall is changed, and planning from that alone.

use std::net::{IpAddr, SocketAddr};

use portcullis_firewall::{
    PlanInput,
    plan::Today,
    state::{self, Snapshot},
};
use portcullis_model::{AllowedSource, BackendName, Connection, ExposureId, Plan, Port};
use portcullis_sys::Survey;

use crate::{
    Desk, OpsError,
    check::{self, Checked},
    reach,
};

/// What was read of the host that is worked on.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) survey: Survey,
    pub(super) checked: Checked,
    pub(super) snapshot: Snapshot,
    /// What the rules of today say, where a model could be made of them.
    pub(super) today: Option<Today>,
}

/// What is to be planned.
pub(super) struct Wanted {
    pub(super) port: Port,
    /// The hosts behind the one that is worked on, when it is about them.
    pub(super) behind: Vec<IpAddr>,
    pub(super) allow: Vec<AllowedSource>,
    pub(super) exposure: Option<ExposureId>,
    /// Whether a port on which nothing listens is closed all the same.
    pub(super) preventive: bool,
    /// The firewall system, and why it is this one.
    pub(super) backend: (BackendName, String),
}

impl Facts {
    pub(super) fn read(desk: &Desk) -> Result<Self, OpsError> {
        let survey = desk.machine.survey().map_err(OpsError::System)?;
        let checked = check::of_sockets(desk.host.clone(), &survey.sockets, &survey.holders);
        let snapshot = state::read(&desk.machine, &checked.listeners, &checked.connections)
            .map_err(OpsError::Firewall)?;
        let today = reach::live(&desk.machine).and_then(|ruleset| {
            let host = reach::host(&desk.machine, &ruleset, &[])?;
            Ok(Today { ruleset, host })
        });
        let today = match today {
            Ok(today) => Some(today),
            Err(error) => {
                tracing::debug!(%error, "no model can be made of the rules");
                None
            }
        };
        Ok(Self {
            today,
            survey,
            checked,
            snapshot,
        })
    }

    /// The plan, as it is made now. It is refused where it would lock somebody out.
    pub(super) fn plan(self, desk: &Desk, wanted: Wanted) -> Result<Plan, OpsError> {
        let connection = |(local, peer): &(SocketAddr, SocketAddr)| Connection {
            local: *local,
            peer: *peer,
            process: None,
            silent_seconds: None,
        };
        portcullis_firewall::plan(PlanInput {
            now: (desk.now)(),
            host: desk.host.clone(),
            via: desk.machine.via(),
            addresses: &self.survey.addresses,
            behind: &wanted.behind,
            port: wanted.port,
            allow: wanted.allow,
            exposure: wanted.exposure,
            site: desk.site.as_ref(),
            snapshot: self.snapshot,
            listeners: &self.checked.listeners,
            connections: &self.checked.connections,
            tracked: &self.survey.tracked,
            above: &self.survey.above.iter().map(connection).collect::<Vec<_>>(),
            ephemeral: self.survey.ephemeral,
            today: self.today.as_ref(),
            preventive: wanted.preventive,
            backend: wanted.backend,
        })
        .map_err(OpsError::Firewall)
    }
}
