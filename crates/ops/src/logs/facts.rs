//! What the answers need that no log tells: from the site, from what is known of services, and from the store.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
};

use jiff::SignedDuration;
use portcullis_logs::{ChangeTimes, Facts, OwnScan, OwnScans, Prefixes};
use portcullis_model::{Change, ChangeState, Plan, Port, Run, RunId, ServiceName, Site, Vantage};

use super::signs::{addresses, own_addresses};
use crate::{Desk, OpsError};

/// Runs that are looked through for our own scans, newest first.
const MOST_RUNS: u32 = 1000;

/// How far the clock of whoever wrote a log may be off from ours: devices of a plant that nobody has set to a time server are off by
/// some seconds, and a log may have no fraction of one. What we hear live is timed by our own clock.
const OTHER_CLOCK: SignedDuration = SignedDuration::from_secs(30);

/// Changes around which is counted, newest first: each is compared with every line.
const MOST_CHANGES: usize = 8;

/// What is known here of these ports (of all when there are none). With `change`, only that one counts. `live` tells that the
/// log is timed by the clock of this host. What comes into the store later is not known.
///
/// # Errors
/// A store that cannot be read, or has no such change.
pub async fn facts(desk: &Desk, ports: &[Port], change: Option<&str>, live: bool) -> Result<Facts, OpsError> {
    let slack = if live { SignedDuration::ZERO } else { OTHER_CLOCK };
    let mut notes = Vec::new();
    let here = own_addresses(desk, &mut notes);
    let scans = own_scans(desk, &here).await?;
    let changes = changes(desk, ports, change, &here, &mut notes).await?;
    Ok(Facts {
        prefixes: desk.site.as_ref().map(prefixes).unwrap_or_default(),
        services: services(desk),
        site: desk.site.clone(),
        vantages: vantages(&scans, &here),
        own: OwnScans::new(scans.into_iter().map(|(_, scan)| scan).collect(), slack),
        changes,
        countries: None,
        notes,
    })
}

fn prefixes(site: &Site) -> Prefixes {
    let declared = site.log_prefixes.iter();
    Prefixes::declared(
        declared
            .map(|prefix| (prefix.begins.clone(), prefix.verdict))
            .collect(),
    )
}

/// The services that are usual at each port, and those that the site moved there.
fn services(desk: &Desk) -> BTreeMap<Port, Vec<ServiceName>> {
    let mut services: BTreeMap<Port, Vec<ServiceName>> = BTreeMap::new();
    let usual = desk.knowledge.services();
    let usual = usual.flat_map(|service| service.ports.iter().map(|port| (service.name.clone(), *port)));
    let moved = desk.site.iter().flat_map(Site::moved);
    for (name, port) in usual.chain(moved) {
        let names = services.entry(port).or_default();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    services
}

/// What each run of ours touched, and from where. One that has no end is left out: it may have ended at any time.
async fn own_scans(desk: &Desk, here: &[IpAddr]) -> Result<Vec<(Vantage, OwnScan)>, OpsError> {
    let looks = desk
        .store
        .looks_of_runs(["scan", "verify"], MOST_RUNS)
        .await
        .map_err(OpsError::Store)?;
    let mut of_run: HashMap<RunId, (BTreeSet<Port>, BTreeSet<IpAddr>)> = HashMap::new();
    for (run, port, source) in looks {
        let (ports, from) = of_run.entry(run).or_default();
        ports.insert(port);
        from.extend(source);
    }
    let runs = desk.store.latest_runs(MOST_RUNS).await.map_err(OpsError::Store)?;
    let scans = runs.into_iter().filter_map(|run| {
        let (ports, from) = of_run.remove(&run.id).unwrap_or_default();
        own_scan(&run, ports, from, here)
    });
    Ok(scans.collect())
}

fn own_scan(
    run: &Run,
    mut ports: BTreeSet<Port>,
    mut from: BTreeSet<IpAddr>,
    here: &[IpAddr],
) -> Option<(Vantage, OwnScan)> {
    let ended = run.ended?;
    if !matches!(run.command.as_str(), "scan" | "verify") {
        return None;
    }
    for silent in run.coverage.silent.iter().chain(&run.coverage.in_doubt) {
        ports.extend(&silent.ports);
    }
    if run.vantage == Vantage::this_host() {
        from.extend(here);
    }
    from.retain(|address| !address.is_loopback());
    let scan = OwnScan {
        run: run.id.to_string(),
        from: from.into_iter().collect(),
        ports,
        began: run.started,
        ended,
    };
    (!scan.from.is_empty()).then(|| (run.vantage.clone(), scan))
}

/// The addresses that we look from.
fn vantages(scans: &[(Vantage, OwnScan)], here: &[IpAddr]) -> BTreeMap<IpAddr, String> {
    let scanned = scans.iter().flat_map(|(vantage, scan)| {
        let from = scan.from.iter();
        from.map(|address| (*address, vantage.to_string()))
    });
    let here = here
        .iter()
        .map(|address| (*address, Vantage::this_host().to_string()));
    scanned.chain(here).collect()
}

async fn changes(
    desk: &Desk,
    ports: &[Port],
    named: Option<&str>,
    here: &[IpAddr],
    notes: &mut Vec<String>,
) -> Result<Vec<ChangeTimes>, OpsError> {
    let mut changes = match named {
        Some(prefix) => vec![desk.store.change(prefix).await.map_err(OpsError::Store)?],
        None => desk.store.changes(None).await.map_err(OpsError::Store)?,
    };
    if named.is_none() && !ports.is_empty() {
        changes.retain(|change| ports.contains(&change.port));
    }
    let mut times = Vec::new();
    for change in changes {
        let plan = match desk.store.plan(&change.plan.to_string()).await {
            Ok(plan) => plan,
            Err(error) if named.is_some() => return Err(OpsError::Store(error)),
            Err(error) => {
                notes.push(format!(
                    "nothing is counted around change {}: {error}",
                    change.id.short()
                ));
                continue;
            }
        };
        if plan.behind.is_empty() && (change.host != desk.host || here.is_empty()) {
            notes.push(format!(
                "change {} closes {} of host {}, whose addresses are not known here: nothing is counted around it",
                change.id.short(),
                change.port,
                change.host
            ));
        } else {
            times.extend(change_times(&change, &plan, here));
        }
    }
    times.sort_by_key(|change| change.loaded);
    let beyond = times.len().saturating_sub(MOST_CHANGES);
    if beyond > 0 {
        times.drain(..beyond);
        notes.push(format!(
            "{beyond} older changes of these ports are left out; --change ID counts around one of them"
        ));
    }
    Ok(times)
}

/// When a change was in force; `None` when it never was.
fn change_times(change: &Change, plan: &Plan, here: &[IpAddr]) -> Option<ChangeTimes> {
    let done = |name: &str| {
        let mut steps = change.steps.iter();
        steps
            .find(|step| step.step == name && step.done)
            .map(|step| step.at)
    };
    let ended = match change.state {
        ChangeState::Applying | ChangeState::Failed => return None,
        // It should be in force: what gets through is what one wants to hear of.
        ChangeState::Confirmed | ChangeState::NotInForce => None,
        ChangeState::OnTrial => change.trial_until,
        ChangeState::RolledBack | ChangeState::FellBack => Some(change.since),
    };
    let confirmed = match change.state {
        ChangeState::Confirmed => done("confirm").or(Some(change.since)),
        _ => done("confirm"),
    };
    let hosts = if plan.behind.is_empty() {
        here
    } else {
        plan.behind.as_slice()
    };
    Some(ChangeTimes {
        change: change.id.short(),
        state: change.state.to_string(),
        port: change.port,
        hosts: addresses(hosts),
        allowed: plan.allowed_networks(),
        loaded: done("load").unwrap_or(change.applied),
        confirmed,
        ended,
    })
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use portcullis_model::{BackendName, ChangeId, Coverage, Digest, PlanId, Silent, StepRecord};

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + second).unwrap()
    }

    #[test]
    fn what_we_sent_is_known_by_its_ports_and_by_where_it_came_from() {
        let here = [IpAddr::from([10, 7, 10, 1])];
        let silent = Silent {
            first: IpAddr::from([10, 7, 10, 4]),
            last: IpAddr::from([10, 7, 10, 9]),
            ports: vec![Port::tcp(502)],
            looks: 2,
            confidence: None,
        };
        let run = |command: &str, vantage: Vantage, ended| Run {
            id: RunId::of(&[b"1"]),
            command: command.into(),
            vantage,
            started: at(0),
            ended,
            settings: serde_json::Value::Null,
            not_tested: Vec::new(),
            coverage: Coverage {
                silent: vec![silent.clone()],
                ..Coverage::default()
            },
        };
        let of = |run: &Run, from: &[IpAddr]| {
            let from = from.iter().copied().collect();
            own_scan(run, [Port::tcp(102)].into(), from, &here).map(|(_, scan)| scan)
        };
        let own = of(&run("scan", Vantage::this_host(), Some(at(9))), &[]).unwrap();
        assert_eq!(own.from, here);
        assert_eq!(own.ports, [Port::tcp(102), Port::tcp(502)].into());
        let office = IpAddr::from([10, 7, 30, 5]);
        let lab = of(&run("verify", Vantage::lab("office"), Some(at(9))), &[office]).unwrap();
        assert_eq!(lab.from, [office]);
        assert!(of(&run("scan", Vantage::lab("office"), Some(at(9))), &[]).is_none());
        assert!(of(&run("scan", Vantage::this_host(), None), &[]).is_none());
        assert!(of(&run("import", Vantage::this_host(), Some(at(9))), &[office]).is_none());
    }

    #[test]
    fn a_change_has_its_times_from_its_steps() {
        let step = |step: &str, second, done| StepRecord {
            step: step.into(),
            at: at(second),
            done,
            outcome: String::new(),
        };
        let change = |state, steps| Change {
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
            steps,
        };
        let plan = Plan {
            id: PlanId::of(&[b"1"]),
            made: at(0),
            host: "gw".into(),
            via: None,
            backend: BackendName::default(),
            close: Port::tcp(54321),
            behind: Vec::new(),
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
        };
        let here = [IpAddr::from([10, 7, 10, 1])];
        let times = |state, confirmed: bool| {
            let mut steps = vec![step("load", 1, true), step("confirm", 30, false)];
            if confirmed {
                steps.push(step("confirm", 40, true));
            }
            let times = change_times(&change(state, steps), &plan, &here)?;
            assert!(times.hosts.contains(here[0]));
            Some((times.loaded, times.confirmed, times.ended))
        };
        let confirmed = Some(at(40));
        assert_eq!(times(ChangeState::Failed, false), None);
        assert_eq!(
            times(ChangeState::OnTrial, false),
            Some((at(1), None, Some(at(121))))
        );
        assert_eq!(
            times(ChangeState::Confirmed, true),
            Some((at(1), confirmed, None))
        );
        assert_eq!(
            times(ChangeState::NotInForce, true),
            Some((at(1), confirmed, None))
        );
        assert_eq!(
            times(ChangeState::RolledBack, true),
            Some((at(1), confirmed, Some(at(50))))
        );
        assert_eq!(
            times(ChangeState::FellBack, false),
            Some((at(1), None, Some(at(50))))
        );
    }
}
