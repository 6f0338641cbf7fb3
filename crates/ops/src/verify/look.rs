//! Looking from one vantage at all addresses of this host.

use std::{net::IpAddr, time::Duration};

use portcullis_lab::Lab;
use portcullis_model::{Port, PortState, Vantage};
use portcullis_scan::{ProbeSettings, probe};

use super::{Control, Seen};
use crate::{Desk, OpsError};

pub(super) struct Looker<'a> {
    pub(super) desk: &'a Desk,
    pub(super) port: Port,
    pub(super) control: &'a Control,
    pub(super) addresses: &'a [IpAddr],
    /// At which loopback addresses a host looks as well.
    pub(super) loopback: &'a [IpAddr],
}

impl Looker<'_> {
    /// Looks from all vantages at the same time.
    pub(super) fn look_from_all(&self, vantages: &[Vantage]) -> Result<Vec<(Vantage, Vec<Seen>)>, OpsError> {
        std::thread::scope(|scope| {
            let looks: Vec<_> = vantages
                .iter()
                .map(|vantage| (vantage, scope.spawn(move || self.look(vantage))))
                .collect();
            looks
                .into_iter()
                .map(|(vantage, look)| {
                    let panicked = |_| OpsError::Vantage {
                        vantage: vantage.clone(),
                        why: "the look ended with a panic".into(),
                    };
                    Ok((vantage.clone(), look.join().map_err(panicked)??))
                })
                .collect()
        })
    }

    /// Looks from one vantage.
    fn look(&self, vantage: &Vantage) -> Result<Vec<Seen>, OpsError> {
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

    /// Looks at all addresses at the same time, from the network of the calling thread.
    fn all(&self, addresses: &[IpAddr]) -> Result<Vec<Seen>, String> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| error.to_string())?;
        let settings = ProbeSettings {
            moved: self.desk.moved(),
            ..ProbeSettings::default()
        };
        let knowledge = &*self.desk.knowledge;
        runtime.block_on(async {
            let looks = addresses.iter().map(|address| async {
                let looked = probe(*address, self.port, &settings, knowledge);
                let (port, control) = tokio::join!(looked, self.controlled(*address, &settings));
                Seen { port, control }
            });
            Ok(futures::future::join_all(looks).await)
        })
    }

    /// Whether the positive control answers; `None` when there is none.
    async fn controlled(&self, address: IpAddr, settings: &ProbeSettings) -> Option<bool> {
        let control = Port::tcp(self.control.port_of(address)?);
        // What answers there is our own listener: nothing has to be named.
        let settings = ProbeSettings {
            identify: false,
            ..settings.clone()
        };
        let sighting = probe(address, control, &settings, &self.desk.knowledge).await;
        Some(sighting.state == PortState::Open)
    }
}

const SMOKE_PATIENCE: Duration = Duration::from_secs(120);

/// Runs the operator's own check through the shell.
pub(super) fn smoke(command: &str) -> Result<bool, OpsError> {
    let finished =
        portcullis_sys::run("sh", &["-c", command], "", SMOKE_PATIENCE).map_err(OpsError::Smoke)?;
    Ok(finished.success)
}
