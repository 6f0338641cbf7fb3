//! What the detections must know: the ports that changes close here, and when we scanned ourselves.

use std::net::IpAddr;

use ipnet::IpNet;
use jiff::Timestamp;
use portcullis_logs::detection::{Closed, Detector, Known, OwnLook};
use portcullis_model::{Change, ChangeState, NetworkSet, Plan, Run, Vantage};

use crate::{Desk, OpsError, interfaces};

/// Runs that are looked through for our own scans, newest first.
const MOST_RUNS: u32 = 1000;

/// A detector that knows the site and the store, and what could not be told to it, in plain words.
///
/// # Errors
/// A store that cannot be read.
pub async fn detector(desk: &Desk) -> Result<(Detector, Vec<String>), OpsError> {
    let mut notes = Vec::new();
    let here = own_addresses(desk, &mut notes);
    let mut known = Known::default();
    for change in desk.store.changes(None).await.map_err(OpsError::Store)? {
        let plan = desk
            .store
            .plan(&change.plan.to_string())
            .await
            .map_err(OpsError::Store)?;
        if plan.behind.is_empty() && (change.host != desk.host || here.is_empty()) {
            notes.push(format!(
                "change {} closes {} of host {}, whose addresses are not known here: traffic to it is not judged",
                change.id.short(),
                change.port,
                change.host
            ));
            continue;
        }
        known.closed.extend(closed(&change, &plan, &here));
    }
    let runs = desk.store.latest_runs(MOST_RUNS).await.map_err(OpsError::Store)?;
    known.ours = runs.iter().filter_map(|run| own_look(run, &here)).collect();
    let detections = desk
        .site
        .as_ref()
        .map(|site| site.detections.clone())
        .unwrap_or_default();
    Ok((Detector::new(&detections, known), notes))
}

/// The addresses of this host; none, and a note, when they could not be read.
pub(super) fn own_addresses(desk: &Desk, notes: &mut Vec<String>) -> Vec<IpAddr> {
    match interfaces::of(&desk.machine) {
        Ok(interfaces) => interfaces
            .iter()
            .flat_map(|interface| interface.networks.iter().map(IpNet::addr))
            .filter(|address| !address.is_loopback())
            .collect(),
        Err(_) => {
            notes.push(
                "the addresses of this host could not be read: own scans and its own closed ports are not recognised"
                    .to_owned(),
            );
            Vec::new()
        }
    }
}

pub(super) fn addresses(addresses: &[IpAddr]) -> NetworkSet {
    addresses.iter().copied().map(IpNet::from).collect()
}

/// What a change closes, and when; `None` when it never did.
fn closed(change: &Change, plan: &Plan, here: &[IpAddr]) -> Option<Closed> {
    let until = match change.state {
        ChangeState::Applying | ChangeState::Failed => return None,
        // It should be in force: what gets through is what one wants to hear of.
        ChangeState::Confirmed | ChangeState::NotInForce => None,
        ChangeState::OnTrial => change.trial_until,
        ChangeState::RolledBack | ChangeState::FellBack => Some(change.since),
    };
    let loaded = change.steps.iter().find(|step| step.step == "load" && step.done);
    let hosts = if plan.behind.is_empty() {
        here
    } else {
        plan.behind.as_slice()
    };
    Some(Closed {
        port: change.port,
        hosts: addresses(hosts),
        since: loaded.map_or(change.applied, |step| step.at),
        until,
        allowed: plan.allowed_networks(),
        change: change.id.short(),
    })
}

/// A scan or a verification from this host. One that has no end is left out: it may have ended at any time.
fn own_look(run: &Run, here: &[IpAddr]) -> Option<OwnLook> {
    let sends = matches!(run.command.as_str(), "scan" | "verify");
    let ended: Timestamp = run.ended?;
    (sends && run.vantage == Vantage::this_host() && !here.is_empty()).then(|| OwnLook {
        from: addresses(here),
        began: run.started,
        ended,
    })
}

#[cfg(test)]
mod tests {
    use portcullis_model::{BackendName, ChangeId, Digest, PlanId, Port, StepRecord};

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + second).unwrap()
    }

    fn change(state: ChangeState) -> Change {
        Change {
            id: ChangeId::of(&[b"1"]),
            plan: PlanId::of(&[b"1"]),
            host: "gw".into(),
            backend: BackendName::default(),
            port: Port::tcp(54321),
            state,
            applied: at(0),
            trial_seconds: Some(120),
            trial_until: Some(at(121)),
            trial_ends: None,
            since: at(50),
            actor: "a".into(),
            emergency: None,
            fingerprint: None,
            session: None,
            steps: vec![StepRecord {
                step: "load".into(),
                at: at(1),
                done: true,
                outcome: String::new(),
            }],
        }
    }

    fn plan(behind: Vec<IpAddr>) -> Plan {
        Plan {
            id: PlanId::of(&[b"1"]),
            made: at(0),
            host: "gw".into(),
            via: None,
            backend: BackendName::default(),
            close: Port::tcp(54321),
            behind,
            allow: Vec::new(),
            exposure: None,
            site: None,
            ruleset: Digest::of("x"),
            before: Vec::new(),
            listeners: Vec::new(),
            connections: Vec::new(),
            notes: Vec::new(),
            predictions: Vec::new(),
            effects: Vec::new(),
        }
    }

    #[test]
    fn a_port_counts_as_closed_exactly_while_it_should_be() {
        let here = [IpAddr::from([10, 7, 10, 1])];
        let until = |state| closed(&change(state), &plan(Vec::new()), &here).map(|closed| closed.until);
        assert_eq!(until(ChangeState::Applying), None);
        assert_eq!(until(ChangeState::Failed), None);
        assert_eq!(until(ChangeState::Confirmed), Some(None));
        assert_eq!(until(ChangeState::NotInForce), Some(None));
        assert_eq!(until(ChangeState::OnTrial), Some(Some(at(121))));
        assert_eq!(until(ChangeState::RolledBack), Some(Some(at(50))));
        assert_eq!(until(ChangeState::FellBack), Some(Some(at(50))));
        let own = closed(&change(ChangeState::Confirmed), &plan(Vec::new()), &here).unwrap();
        assert_eq!((own.since, own.hosts.contains(here[0])), (at(1), true));
        let behind = IpAddr::from([10, 7, 10, 9]);
        let other = closed(&change(ChangeState::Confirmed), &plan(vec![behind]), &here).unwrap();
        assert!(other.hosts.contains(behind) && !other.hosts.contains(here[0]));
    }

    #[test]
    fn only_what_we_sent_ourselves_and_ended_is_a_look_of_ours() {
        let here = [IpAddr::from([10, 7, 10, 1])];
        let run = |command: &str, vantage: Vantage, ended| Run {
            id: portcullis_model::RunId::of(&[b"1"]),
            command: command.into(),
            vantage,
            started: at(0),
            ended,
            settings: serde_json::Value::Null,
            not_tested: Vec::new(),
            coverage: portcullis_model::Coverage::default(),
        };
        let ended = Some(at(9));
        assert!(own_look(&run("scan", Vantage::this_host(), ended), &here).is_some());
        for other in [
            run("import", Vantage::this_host(), ended),
            run("scan", Vantage::lab("office"), ended),
            run("scan", Vantage::this_host(), None),
        ] {
            assert!(own_look(&other, &here).is_none(), "{other:?}");
        }
        assert!(own_look(&run("scan", Vantage::this_host(), ended), &[]).is_none());
    }
}
