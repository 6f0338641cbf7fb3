//! Plans that would keep those out who show signs. Nothing is loaded: a person looks at a plan and applies it, or does not.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use ipnet::IpNet;
use portcullis_logs::detection::Finding;
use portcullis_model::{DetectionKind, Port};

use crate::{
    Desk, OpsError,
    change::{self, PlanRequest, Planned},
};

/// What would keep some offenders out.
#[derive(Debug)]
pub struct Proposal {
    /// The port that they were at.
    pub port: Port,
    /// Who they are.
    pub offenders: BTreeSet<IpAddr>,
    /// The plan that closes it to them, and to all who have no conduit; or why there is none.
    pub planned: Result<Planned, OpsError>,
}

/// A plan for each port of this host at which a sign names who did something. Nothing is changed.
///
/// # Errors
/// When the addresses of this host cannot be read.
pub async fn proposals(desk: &Desk, findings: &[Finding]) -> Result<Vec<Proposal>, OpsError> {
    let own = desk.machine.survey().map_err(OpsError::System)?.addresses;
    let mut proposals = Vec::new();
    for (port, offenders) in by_port(findings, &own) {
        let request = PlanRequest {
            port: Some(port),
            except: offenders.iter().copied().map(IpNet::from).collect(),
            ..PlanRequest::default()
        };
        proposals.push(Proposal {
            port,
            planned: change::plan(desk, &request).await,
            offenders,
        });
    }
    Ok(proposals)
}

/// Who was at which port of this host. Where a change should keep them out already, no other one would do better.
fn by_port(findings: &[Finding], own: &[IpAddr]) -> BTreeMap<Port, BTreeSet<IpAddr>> {
    let mut ports: BTreeMap<Port, BTreeSet<IpAddr>> = BTreeMap::new();
    for finding in findings {
        let did_something = matches!(
            finding.kind,
            DetectionKind::PasswordGuessing | DetectionKind::SuccessAfterFailures | DetectionKind::HostSweep
        );
        let is_here = finding.destination.is_none_or(|address| own.contains(&address));
        if let (Some(source), Some(port), true) = (finding.source, finding.port, did_something && is_here) {
            ports.entry(port).or_default().insert(source.to_canonical());
        }
    }
    ports
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn finding(kind: DetectionKind, source: &str, destination: Option<&str>, port: Option<u16>) -> Finding {
        Finding {
            kind,
            source: source.parse().ok(),
            destination: destination.map(|address| address.parse().unwrap()),
            port: port.map(Port::tcp),
            prefix: None,
            first: Timestamp::UNIX_EPOCH,
            last: Timestamp::UNIX_EPOCH,
            events: 1,
            got_through: 0,
            says: String::new(),
            assumed: None,
            evidence: Vec::new(),
        }
    }

    #[test]
    fn only_who_did_something_at_a_port_of_this_host_is_proposed_to_be_kept_out() {
        let own = ["10.7.10.10".parse().unwrap()];
        let here = Some("10.7.10.10");
        let findings = [
            finding(DetectionKind::PasswordGuessing, "10.7.30.5", here, Some(22)),
            finding(DetectionKind::SuccessAfterFailures, "10.7.30.5", here, Some(22)),
            finding(
                DetectionKind::PasswordGuessing,
                "::ffff:10.7.30.6",
                None,
                Some(22),
            ),
            finding(
                DetectionKind::PasswordGuessing,
                "10.7.30.7",
                Some("10.7.10.11"),
                Some(22),
            ),
            finding(DetectionKind::FirstSource, "10.7.30.8", here, Some(22)),
            finding(DetectionKind::ClosedPort, "10.7.30.9", here, Some(22)),
            finding(DetectionKind::PortSweep, "10.7.30.10", here, None),
        ];
        let expected = BTreeSet::from(["10.7.30.5".parse().unwrap(), "10.7.30.6".parse().unwrap()]);
        assert_eq!(
            by_port(&findings, &own),
            BTreeMap::from([(Port::tcp(22), expected)])
        );
    }
}
