//! The pure planner: what was read goes in, an immutable plan comes out. It touches nothing.

mod today;

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use jiff::Timestamp;
use portcullis_model::{
    AllowedSource, BackendName, Binding, Connection, ExposureId, Listener, LiveConnection, NetworkSet,
    Networks, Note, NoteLevel, Plan, PlanId, Port, Prediction, ProcessIdentity, ServiceName, Site, StatePart,
    Transport,
};
use portcullis_sys::conntrack::Flow;

pub use today::Today;

use crate::{FirewallError, closing::Closing, lockout, reach::Answer, state::Snapshot};

/// A neighbour without an address of its own (RFC 4291, 2.5.6).
const LINK_LOCAL: std::net::Ipv6Addr = std::net::Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);

/// Everything that a plan follows from.
#[derive(Debug)]
pub struct PlanInput<'a> {
    /// The time.
    pub now: Timestamp,
    /// Name of this host.
    pub host: String,
    /// How it is reached, when it is not this one.
    pub via: Option<String>,
    /// Addresses of this host, without loopback.
    pub addresses: &'a [IpAddr],
    /// The hosts behind this one whose port is closed; that of this host when empty.
    pub behind: &'a [IpAddr],
    /// The port to close.
    pub port: Port,
    /// Who shall still get through.
    pub allow: Vec<AllowedSource>,
    /// The exposure that is being closed.
    pub exposure: Option<ExposureId>,
    /// The site, if it is declared.
    pub site: Option<&'a Site>,
    /// What the firewall is now.
    pub snapshot: Snapshot,
    /// All listeners of this host.
    pub listeners: &'a [Listener],
    /// All live connections of this host.
    pub connections: &'a [Connection],
    /// Tracked connections, when the connection tracker could be read.
    pub tracked: &'a [Flow],
    /// Connections that the processes above this one hold: the operator's way in.
    pub above: &'a [Connection],
    /// Range of source ports for outgoing connections, inclusive.
    pub ephemeral: (u16, u16),
    /// The rules of today, if they could be read.
    pub today: Option<&'a Today>,
    /// Whether a port on which nothing listens is closed all the same.
    pub preventive: bool,
    /// The firewall system that the change is to be made in, and why.
    pub backend: (BackendName, String),
}

/// Makes a plan.
///
/// # Errors
/// When nothing listens on the port, when another change governs it, and when it would lock somebody out.
pub fn plan(input: PlanInput<'_>) -> Result<Plan, FirewallError> {
    let port = input.port;
    let allow: NetworkSet = input.allow.iter().map(|source| source.network).collect();
    let of_this_host = input.behind.is_empty();
    if let Some(own) = input.behind.iter().find(|host| input.addresses.contains(host)) {
        return Err(FirewallError::NotBehind(*own));
    }
    let listeners: Vec<Listener> = input
        .listeners
        .iter()
        .filter(|listener| of_this_host && listener.port() == port)
        .cloned()
        .collect();
    if of_this_host && listeners.is_empty() && !input.preventive {
        return Err(FirewallError::NothingListens(port));
    }
    let governing = input
        .snapshot
        .own
        .changes
        .values()
        .find(|change| change.port == Some(port));
    if let Some(change) = governing {
        return Err(FirewallError::AlreadyGoverned {
            port,
            tag: change.tag.clone(),
        });
    }
    let strangers = &input.snapshot.own.strangers;
    if !strangers.is_empty() {
        return Err(FirewallError::Strangers(strangers.join(", ")));
    }
    let closed_on = if of_this_host {
        lockout::operator(port, &allow, input.above)?;
        input.addresses
    } else {
        input.behind
    };
    if let Some(site) = input.site {
        lockout::kept(port, &allow, site, closed_on)?;
    }
    let connections: Vec<LiveConnection> = if port.transport != Transport::Tcp {
        Vec::new()
    } else if of_this_host {
        let on_port = |connection: &&Connection| connection.local.port() == port.number;
        let connections = input.connections.iter().filter(on_port);
        connections
            .map(|connection| {
                let opened_here = opened_here(connection, &listeners, input.tracked);
                outlook(connection, &allow, opened_here, &input)
            })
            .collect()
    } else {
        let led_there = |flow: &&Flow| {
            flow.responder.port() == port.number && input.behind.contains(&flow.responder.ip())
        };
        let flows = input.tracked.iter().filter(led_there);
        flows
            .map(|flow| {
                let connection = Connection {
                    local: flow.responder,
                    peer: flow.originator,
                    process: None,
                    silent_seconds: None,
                };
                let own = input.addresses.contains(&flow.originator.ip());
                outlook(&connection, &allow, own, &input)
            })
            .collect()
    };
    let predictions = predictions(&allow, input.site, of_this_host);
    let today = input.today.map(|today| today.answer(port, input.behind));
    let notes = notes(&input, &allow, &listeners, &connections, today.as_ref());
    Ok(Plan {
        id: PlanId::of(&[]),
        made: input.now,
        host: input.host,
        via: input.via,
        backend: input.backend.0,
        close: port,
        behind: input.behind.to_vec(),
        allow: input.allow,
        exposure: input.exposure,
        site: input.site.map(|site| site.digest),
        ruleset: input.snapshot.foreign,
        before: input.snapshot.parts,
        listeners,
        connections,
        notes,
        predictions,
        effects: today
            .map(|today| today::effects(&today, &allow))
            .unwrap_or_default(),
    }
    .seal())
}

/// Who may reach a service of this host by the site's conduits: the zones with a conduit to a zone of this host, and
/// the host's own zones, inside which no conduit is needed (IEC 62443-3-2).
pub fn allowed_by_site(site: &Site, addresses: &[IpAddr], service: &ServiceName) -> Vec<AllowedSource> {
    let own: Vec<&str> = site
        .zones
        .iter()
        .filter(|zone| {
            addresses
                .iter()
                .any(|address| site.zone_of(*address) == Some(*zone) && site.declares(*address))
        })
        .map(|zone| zone.name.as_str())
        .collect();
    let mut allowed = Vec::new();
    for zone in &site.zones {
        let because = if own.contains(&zone.name.as_str()) {
            "the zone of this host".to_owned()
        } else {
            match own.iter().find(|to| site.permits(&zone.name, to, service)) {
                Some(to) => format!("conduit {} -> {to} for {service}", zone.name),
                None => continue,
            }
        };
        let networks = match &zone.networks {
            Networks::Listed(networks) => networks.networks().to_vec(),
            Networks::Rest => ["0.0.0.0/0", "::/0"]
                .iter()
                .filter_map(|all| all.parse().ok())
                .collect(),
        };
        allowed.extend(networks.into_iter().map(|network| AllowedSource {
            network,
            because: because.clone(),
        }));
    }
    allowed
}

/// The rules of a plan, under the tag of a change.
pub fn closing(plan: &Plan, tag: &str) -> Closing {
    let closing = Closing {
        behind: plan.behind.clone(),
        ..Closing::new(tag, plan.close, plan.allowed_networks())
    };
    if plan.backend == BackendName::Firewalld {
        // firewalld lets replies through before anything else, and has tracked connections for as long as it has run.
        return closing;
    }
    // Over loopback and from who is allowed nothing is cut.
    let cut = plan.connections.iter().filter(|live| live.cut);
    let closing = Closing {
        cut_peers: cut.map(|live| live.connection.peer).collect(),
        no_replies: plan.close.transport == Transport::Udp && !plan.listeners.is_empty(),
        ..closing
    };
    if !plan.behind.is_empty() {
        // What this host opens itself does not pass through it.
        return closing;
    }
    Closing {
        outgoing_peers: plan
            .connections
            .iter()
            .filter(|live| !live.cut && !plan.allowed_networks().contains(live.connection.peer.ip()))
            .map(|live| live.connection.peer)
            .filter(|peer: &SocketAddr| !peer.ip().is_loopback())
            .collect(),
        ..closing
    }
}

/// What becomes of one live connection.
fn outlook(
    connection: &Connection,
    allow: &NetworkSet,
    opened_here: bool,
    input: &PlanInput<'_>,
) -> LiveConnection {
    let peer = connection.peer.ip();
    let (cut, because) = if peer.is_loopback() {
        (false, "loopback is not touched")
    } else if allow.contains(peer) {
        (false, "its source is allowed")
    } else if opened_here {
        let because = if input.behind.is_empty() {
            "this host's own outgoing connection: its source port only happens to be the closed one"
        } else {
            "this host's own connection, which does not pass through it"
        };
        (false, because)
    } else {
        (true, "its source is not allowed")
    };
    let ends = (connection.peer, connection.local);
    let same =
        |flow: &&Flow| (flow.originator, flow.responder) == ends || (flow.responder, flow.originator) == ends;
    LiveConnection {
        connection: connection.clone(),
        age_seconds: input
            .tracked
            .iter()
            .find(same)
            .and_then(|flow| flow.age)
            .map(|age| age.as_secs()),
        zone: input
            .site
            .and_then(|site| site.zone_of(peer))
            .map(|zone| zone.name.clone()),
        cut,
        because: because.into(),
    }
}

/// Whether a connection with the closed port as its local port was opened by this host.
///
/// A server's connections are held by the process that listens or by one of the same program, and they are incoming whatever the
/// connection tracker says: where it did not see one begin, it takes whoever spoke next for the one who opened it. Of all
/// others its word counts, and where it has none they are somebody's outgoing ones. When the holder cannot be read and
/// something listens, it is taken for incoming: the closing must not fail open.
fn opened_here(connection: &Connection, listeners: &[Listener], tracked: &[Flow]) -> bool {
    let of_the_service = |holder: &ProcessIdentity| {
        listeners.iter().any(|listener| match &listener.process {
            Some(server) if server.executable.is_some() && holder.executable.is_some() => {
                server.pid == holder.pid || server.executable == holder.executable
            }
            // Of another host only names are told.
            Some(server) => server.pid == holder.pid || server.name.is_some() && server.name == holder.name,
            None => true,
        })
    };
    match &connection.process {
        Some(holder) if of_the_service(holder) => return false,
        None if !listeners.is_empty() => return false,
        _ => {}
    }
    let (local, peer) = (connection.local, connection.peer);
    let from_outside = |flow: &Flow| (flow.originator, flow.responder) == (peer, local);
    !tracked.iter().any(from_outside)
}

fn predictions(allow: &NetworkSet, site: Option<&Site>, of_this_host: bool) -> Vec<Prediction> {
    let mut predictions = vec![Prediction {
        from: if of_this_host {
            "this host (loopback)"
        } else {
            "this host"
        }
        .into(),
        networks: NetworkSet::default(),
        passes: true,
    }];
    for zone in site.map(|site| site.zones.as_slice()).unwrap_or_default() {
        if let Networks::Listed(networks) = &zone.networks {
            predictions.extend(predictions_of(&zone.name, networks, allow));
        }
    }
    let in_no_zone = |network: &&IpNet| {
        !predictions
            .iter()
            .any(|prediction| prediction.networks.covers(network))
    };
    let everybody = |network: &&IpNet| network.prefix_len() > 0;
    let others: NetworkSet = allow
        .networks()
        .iter()
        .filter(in_no_zone)
        .filter(everybody)
        .copied()
        .collect();
    if !others.is_empty() {
        predictions.push(Prediction {
            from: "other allowed sources".into(),
            networks: others,
            passes: true,
        });
    }
    let all: NetworkSet = ["0.0.0.0/0", "::/0"]
        .iter()
        .filter_map(|all| all.parse().ok())
        .collect();
    predictions.extend(predictions_of("everybody else", &all, allow));
    predictions
}

/// One prediction for a set of networks, or one for each family when they fare differently. A set of which only a part
/// is allowed counts as cut off; the notes say so.
fn predictions_of(from: &str, networks: &NetworkSet, allow: &NetworkSet) -> Vec<Prediction> {
    let of_family = |v4: bool| -> NetworkSet {
        networks
            .networks()
            .iter()
            .filter(|network| network.addr().is_ipv4() == v4)
            .copied()
            .collect()
    };
    let passes = |networks: &NetworkSet| networks.networks().iter().all(|network| allow.covers(network));
    let (v4, v6) = (of_family(true), of_family(false));
    if v4.is_empty() || v6.is_empty() || passes(&v4) == passes(&v6) {
        return vec![Prediction {
            from: from.into(),
            passes: passes(networks),
            networks: networks.clone(),
        }];
    }
    [(v4, "IPv4"), (v6, "IPv6")]
        .into_iter()
        .map(|(networks, family)| Prediction {
            from: format!("{from} over {family}"),
            passes: passes(&networks),
            networks,
        })
        .collect()
}

fn notes(
    input: &PlanInput<'_>,
    allow: &NetworkSet,
    listeners: &[Listener],
    connections: &[LiveConnection],
    today: Option<&Answer>,
) -> Vec<Note> {
    let mut notes = Vec::new();
    let mut note = |level, text: String| notes.push(Note { level, text });
    let port = input.port;
    note(NoteLevel::Info, input.backend.1.clone());
    if allow.is_empty() {
        note(
            NoteLevel::Warning,
            format!("nobody but this host itself will reach {port}"),
        );
    }
    for network in allow
        .networks()
        .iter()
        .filter(|network| network.prefix_len() == 0)
    {
        note(
            NoteLevel::Warning,
            format!("{network} is everybody: for this family nothing is closed"),
        );
    }
    let families = |v4: bool| {
        allow
            .networks()
            .iter()
            .any(|network| network.addr().is_ipv4() == v4)
    };
    if families(false) && !allow.contains(IpAddr::V6(LINK_LOCAL)) {
        note(
            NoteLevel::Info,
            "who comes from a link-local address (fe80::/10) is kept out; to let the neighbours of an interface through, allow \
             fe80::/10"
                .into(),
        );
    }
    if !allow.is_empty() && families(true) != families(false) {
        let missing = if families(true) { "IPv6" } else { "IPv4" };
        note(
            NoteLevel::Info,
            format!("no {missing} source is allowed: over {missing} the port is closed to all"),
        );
    }
    for zone in input.site.map(|site| site.zones.as_slice()).unwrap_or_default() {
        if let Networks::Listed(networks) = &zone.networks {
            let covered = networks
                .networks()
                .iter()
                .filter(|network| allow.covers(network))
                .count();
            let touched = networks
                .networks()
                .iter()
                .filter(|network| allow.overlaps(network))
                .count();
            if covered < networks.networks().len() && touched > 0 {
                note(
                    NoteLevel::Warning,
                    format!("only a part of zone `{}` is allowed", zone.name),
                );
            }
        }
    }
    if !input.behind.is_empty() {
        let hosts: Vec<String> = input.behind.iter().map(ToString::to_string).collect();
        let text = format!(
            "it is closed for what passes through this host to {}; who reaches a host by another way, or from its own \
             network, still gets through",
            hosts.join(", ")
        );
        note(NoteLevel::Warning, text);
    } else if listeners.is_empty() {
        note(
            NoteLevel::Warning,
            format!("nothing listens on {port}: it is closed in advance"),
        );
    } else if listeners
        .iter()
        .all(|listener| listener.binding() == Binding::LoopbackOnly)
    {
        note(
            NoteLevel::Info,
            format!("{port} listens on loopback only: nobody outside can reach it anyway"),
        );
    }
    let (first, last) = input.ephemeral;
    if port.transport == Transport::Udp && !listeners.is_empty() {
        let text = format!(
            "something holds {port}: what comes to it is never taken for a reply, also not after the service has sent \
             something itself"
        );
        note(NoteLevel::Info, text);
    } else if input.behind.is_empty() && (first..=last).contains(&port.number) {
        let text = "this host may use the port as the source port of its own connections; their replies pass, \
                    because replies are let through before anything is dropped";
        note(NoteLevel::Info, text.into());
    }
    let cut = connections.iter().filter(|live| live.cut).count();
    if cut > 0 {
        note(
            NoteLevel::Warning,
            format!(
                "{cut} live connection{} will be cut",
                if cut == 1 { "" } else { "s" }
            ),
        );
    }
    if port.transport == Transport::Udp {
        note(
            NoteLevel::Info,
            "UDP has no connections that could be listed: who uses it now is not known".into(),
        );
    }
    for line in translations(&input.snapshot.parts, port) {
        let text = format!(
            "addresses are translated (NAT) at this port: `{line}`; who comes that way is let through or kept out \
             like everybody else"
        );
        note(NoteLevel::Info, text);
    }
    for told in today
        .map(|today| today::notes(today, &input.allow))
        .unwrap_or_default()
    {
        note(told.level, told.text);
    }
    for fault in &input.snapshot.own.faults {
        note(
            NoteLevel::Warning,
            format!("among the rules of Portcullis: {fault}"),
        );
    }
    notes
}

/// The rules of others that translate an address or port to or from this one: such packets carry the other port when
/// they pass either the chain before the translation or the one after it.
pub(crate) fn translations(parts: &[StatePart], port: Port) -> Vec<String> {
    let number = port.number.to_string();
    let names_port = |line: &str| {
        line.split(|c: char| !c.is_ascii_digit())
            .any(|word| word == number)
    };
    let translates = |line: &str| {
        let line = line.to_ascii_lowercase();
        line.contains("redirect") || line.contains("dnat")
    };
    parts
        .iter()
        .filter(|part| part.read && (part.name == "nftables" || part.name.contains("tables")))
        .flat_map(|part| part.output.lines())
        .filter(|line| translates(line) && names_port(line))
        .map(|line| portcullis_model::sanitize(line.trim()))
        .collect()
}

#[cfg(test)]
mod tests;
