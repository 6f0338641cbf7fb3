//! What has become of the connections that were up when a port was closed: what arrives on them is counted by the
//! kernel, and what the firewall drops does not arrive.

use std::{collections::BTreeMap, fmt, net::SocketAddr, time::Duration};

use portcullis_model::{Change, ChangeState, LiveConnection, Plan, Transport};

use crate::{Desk, OpsError};

/// How long is looked. A peer that sends nothing meanwhile proves nothing, and is told so.
const LOOK: Duration = Duration::from_millis(1500);

/// So many are named; of more the number must do.
const NAMED: usize = 20;

/// Segments that have arrived, by local end and peer.
type Arrived = BTreeMap<(SocketAddr, SocketAddr), u32>;

/// What has become of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It was to be cut, and nothing has arrived on it.
    Cut,
    /// It was to be cut, and so many segments have arrived on it all the same.
    NotCut(u32),
    /// It was to live on, and so many segments have arrived.
    Alive(u32),
    /// It was to live on, and nobody has sent anything.
    Idle,
    /// It is no longer there.
    Ended,
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cut => f.write_str("cut, nothing arrives any more"),
            Self::NotCut(segments) => write!(f, "NOT CUT, {segments} segments have arrived"),
            Self::Alive(segments) => write!(f, "alive, {segments} segments have arrived"),
            Self::Idle => f.write_str("up and silent, not tested"),
            Self::Ended => f.write_str("ended"),
        }
    }
}

fn fate(live: &LiveConnection, before: &Arrived, after: &Arrived) -> Fate {
    let ends = (live.connection.local, live.connection.peer);
    let (Some(before), Some(after)) = (before.get(&ends), after.get(&ends)) else {
        return Fate::Ended;
    };
    match (live.cut, after.wrapping_sub(*before)) {
        (true, 0) => Fate::Cut,
        (true, segments) => Fate::NotCut(segments),
        (false, 0) => Fate::Idle,
        (false, segments) => Fate::Alive(segments),
    }
}

/// Whether all that were to be cut are, and what is told of each.
fn told(connections: &[LiveConnection], before: &Arrived, after: &Arrived) -> (bool, String) {
    let fates: Vec<Fate> = connections.iter().map(|live| fate(live, before, after)).collect();
    let all_cut = !fates.iter().any(|fate| matches!(fate, Fate::NotCut(_)));
    let lines = connections.iter().zip(&fates).take(NAMED).map(|(live, fate)| {
        let zone = live.zone.as_deref().unwrap_or("no zone");
        format!("{} ({zone}): {fate}", live.connection.peer)
    });
    let mut text = lines.collect::<Vec<_>>().join("; ");
    if let Some(more) = connections.len().checked_sub(NAMED).filter(|more| *more > 0) {
        text.push_str(&format!("; and {more} more"));
    }
    (all_cut, text)
}

/// Looks at the connections of a plan after the change was loaded, and notes what has become of each.
pub(super) async fn look(desk: &Desk, change: &mut Change, plan: &Plan) -> Result<(), OpsError> {
    let connections = &plan.connections;
    if connections.is_empty() || change.port.transport != Transport::Tcp {
        return Ok(());
    }
    if !plan.behind.is_empty() {
        let outcome = "not tested: they pass through this host and end elsewhere".to_owned();
        return desk
            .step(change, ChangeState::OnTrial, "live connections", true, outcome)
            .await;
    }
    let number = change.port.number;
    let arrived = || desk.machine.segments_in(number);
    let before = arrived();
    tokio::time::sleep(LOOK).await;
    let (done, outcome) = match (before, arrived()) {
        (Ok(before), Ok(after)) => told(connections, &before, &after),
        (Err(error), _) | (_, Err(error)) => (false, format!("not tested: {error}")),
    };
    desk.step(change, ChangeState::OnTrial, "live connections", done, outcome)
        .await
}

#[cfg(test)]
mod tests {
    use portcullis_model::Connection;

    use super::*;

    fn live(peer: &str, cut: bool) -> LiveConnection {
        LiveConnection {
            connection: Connection {
                local: "10.7.10.10:54321".parse().unwrap(),
                peer: peer.parse().unwrap(),
                process: None,
                silent_seconds: None,
            },
            age_seconds: None,
            zone: None,
            cut,
            because: String::new(),
        }
    }

    #[test]
    fn what_arrives_decides() {
        let connections = [
            live("10.7.30.5:1", true),
            live("10.7.30.5:2", true),
            live("10.7.20.5:3", false),
            live("10.7.20.5:4", false),
            live("10.7.20.5:5", false),
        ];
        let counts = |counts: &[u32]| -> Arrived {
            let ends = connections
                .iter()
                .map(|live| (live.connection.local, live.connection.peer));
            ends.zip(counts.iter().copied()).collect()
        };
        let (before, after) = (counts(&[7, 7, 7, u32::MAX, 7]), counts(&[7, 9, 7, 1]));
        let fates: Vec<Fate> = connections
            .iter()
            .map(|live| fate(live, &before, &after))
            .collect();
        assert_eq!(
            fates,
            [
                Fate::Cut,
                Fate::NotCut(2),
                Fate::Idle,
                Fate::Alive(2),
                Fate::Ended
            ]
        );
        let (all_cut, text) = told(&connections, &before, &after);
        assert!(
            !all_cut && text.contains("10.7.30.5:2 (no zone): NOT CUT"),
            "{text}"
        );
        assert!(told(&connections[..1], &before, &after).0);
    }
}
