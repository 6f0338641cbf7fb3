//! The rules of one change as values, printed as a script that `nft -f` takes as one transaction.
//!
//! The shape and its reasons: `docs/security.md`.

use std::{fmt, net::SocketAddr, time::Duration};

use ipnet::IpNet;
use portcullis_model::{NetworkSet, Port};

use super::{LOG_GROUP, LOG_PREFIX, Loaded};

/// The table that Portcullis owns. It touches no other.
pub const TABLE: &str = "inet portcullis";

/// One closing of one port: who still gets through, and under which tag its objects stand in the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closing {
    /// Six hexadecimal digits that name the change.
    pub tag: String,
    /// The port.
    pub port: Port,
    /// Who still gets through.
    pub allow: NetworkSet,
    /// Peers of this host's own outgoing connections whose source port is the closed one. The connection tracker may
    /// not have seen them begin, and would then take the peer's next packet for a new connection to the closed port.
    pub outgoing_peers: Vec<SocketAddr>,
}

impl Closing {
    /// A closing without outgoing connections to look after.
    pub fn new(tag: &str, port: Port, allow: NetworkSet) -> Self {
        Self {
            tag: tag.into(),
            port,
            allow,
            outgoing_peers: Vec::new(),
        }
    }

    /// The rules of the change's own chain, in the order in which the kernel walks them.
    fn rules(&self) -> Vec<String> {
        let (tag, transport) = (&self.tag, self.port.transport);
        let mut rules = vec![
            format!("ip saddr @sources4_{tag} accept"),
            format!("ip6 saddr @sources6_{tag} accept"),
        ];
        if !self.outgoing_peers.is_empty() {
            rules.push(format!("ip saddr . {transport} sport @own4_{tag} accept"));
            rules.push(format!("ip6 saddr . {transport} sport @own6_{tag} accept"));
        }
        // One log for the kernel's own log, one for programs; each limited, so that a flood fills no disk.
        rules.push(format!(
            "limit rate 10/minute burst 20 packets log prefix \"{LOG_PREFIX}{tag} \" level info"
        ));
        rules.push(format!(
            "limit rate 100/second burst 200 packets log prefix \"{LOG_PREFIX}{tag} \" group {LOG_GROUP}"
        ));
        rules.push(format!("counter drop comment \"portcullis change {tag}\""));
        rules
    }

    /// The rule that sends new connections to the closed port into the change's chain. Only traffic to this host
    /// itself is meant: on a router, forwarded connections to the same port pass by.
    fn entry(&self) -> String {
        let (tag, transport) = (&self.tag, self.port.transport);
        format!(
            "{transport} dport @ports_{tag} fib daddr type {{ local, broadcast, multicast }} jump change_{tag}"
        )
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Statement {
    AddTable,
    DeleteTable,
    AddSet {
        name: String,
        kind: &'static str,
        flags: Option<&'static str>,
    },
    DeleteSet(String),
    AddElements {
        set: String,
        elements: Vec<String>,
    },
    DeleteElement {
        set: String,
        element: String,
    },
    AddBaseChain,
    AddChain(String),
    DeleteChain(String),
    AddRule {
        chain: String,
        rule: String,
    },
    DeleteRule {
        chain: String,
        handle: u64,
    },
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddTable => write!(f, "add table {TABLE}"),
            Self::DeleteTable => write!(f, "delete table {TABLE}"),
            Self::AddSet {
                name,
                kind,
                flags: None,
            } => write!(f, "add set {TABLE} {name} {{ type {kind}; }}"),
            Self::AddSet {
                name,
                kind,
                flags: Some(flags),
            } => {
                write!(f, "add set {TABLE} {name} {{ type {kind}; flags {flags}; }}")
            }
            Self::DeleteSet(name) => write!(f, "delete set {TABLE} {name}"),
            Self::AddElements { set, elements } => {
                write!(f, "add element {TABLE} {set} {{ {} }}", elements.join(", "))
            }
            Self::DeleteElement { set, element } => write!(f, "delete element {TABLE} {set} {{ {element} }}"),
            Self::AddBaseChain => write!(
                f,
                "add chain {TABLE} prerouting {{ type filter hook prerouting priority mangle; policy accept; }}"
            ),
            Self::AddChain(name) => write!(f, "add chain {TABLE} {name}"),
            Self::DeleteChain(name) => write!(f, "delete chain {TABLE} {name}"),
            Self::AddRule { chain, rule } => write!(f, "add rule {TABLE} {chain} {rule}"),
            Self::DeleteRule { chain, handle } => write!(f, "delete rule {TABLE} {chain} handle {handle}"),
        }
    }
}

/// Statements that the kernel carries out together or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction(Vec<Statement>);

impl Transaction {
    /// Closes a port: on trial the kernel itself lets go after `trial`, without one it holds until it is taken back.
    /// With `joins` the table is there already, because another change is in force.
    pub fn load(closing: &Closing, trial: Option<Duration>, joins: bool) -> Self {
        let tag = &closing.tag;
        let mut statements = Vec::new();
        if !joins {
            // Adding and deleting first makes the rest a replacement of whatever remnant stands there.
            statements.extend([
                Statement::AddTable,
                Statement::DeleteTable,
                Statement::AddTable,
                Statement::AddBaseChain,
            ]);
            for rule in ["iif \"lo\" accept", "ct direction reply accept"] {
                statements.push(Statement::AddRule {
                    chain: "prerouting".into(),
                    rule: rule.into(),
                });
            }
        }
        let sets = [
            ("ports", "inet_service", Some("timeout")),
            ("sources4", "ipv4_addr", Some("interval")),
            ("sources6", "ipv6_addr", Some("interval")),
        ];
        let own = [
            ("own4", "ipv4_addr . inet_service", None),
            ("own6", "ipv6_addr . inet_service", None),
        ];
        let own = if closing.outgoing_peers.is_empty() {
            [].as_slice()
        } else {
            own.as_slice()
        };
        for (name, kind, flags) in sets.iter().chain(own) {
            statements.push(Statement::AddSet {
                name: format!("{name}_{tag}"),
                kind,
                flags: *flags,
            });
        }
        let port = match trial {
            Some(trial) => format!("{} timeout {}s", closing.port.number, trial.as_secs().max(1)),
            None => closing.port.number.to_string(),
        };
        let of_family = |v4: bool| {
            let networks = closing.allow.networks().iter();
            networks
                .filter(move |network| matches!(network, IpNet::V4(_)) == v4)
                .map(IpNet::to_string)
                .collect()
        };
        let own_of_family = |v4: bool| {
            let peers = closing.outgoing_peers.iter();
            peers
                .filter(move |peer| peer.is_ipv4() == v4)
                .map(|peer| format!("{} . {}", peer.ip(), peer.port()))
                .collect()
        };
        let elements: [(&str, Vec<String>); 5] = [
            ("ports", vec![port]),
            ("sources4", of_family(true)),
            ("sources6", of_family(false)),
            ("own4", own_of_family(true)),
            ("own6", own_of_family(false)),
        ];
        for (set, elements) in elements {
            if !elements.is_empty() {
                statements.push(Statement::AddElements {
                    set: format!("{set}_{tag}"),
                    elements,
                });
            }
        }
        let chain = format!("change_{tag}");
        statements.push(Statement::AddChain(chain.clone()));
        for rule in closing.rules() {
            statements.push(Statement::AddRule {
                chain: chain.clone(),
                rule,
            });
        }
        statements.push(Statement::AddRule {
            chain: "prerouting".into(),
            rule: closing.entry(),
        });
        Self(statements)
    }

    /// What would take a closing out again, as text for people: the handle of its entry rule is known only once the
    /// kernel has given it one.
    pub fn inverse(closing: &Closing, joins: bool) -> String {
        if !joins {
            return Self(vec![Statement::DeleteTable]).to_string();
        }
        let tag = &closing.tag;
        let own: &[&str] = if closing.outgoing_peers.is_empty() {
            &[]
        } else {
            &["own4", "own6"]
        };
        let sets = ["ports", "sources4", "sources6"]
            .iter()
            .chain(own)
            .map(|name| format!("{name}_{tag}"));
        let loaded = Loaded {
            has_chain: true,
            sets: sets.collect(),
            ..Loaded::named(tag)
        };
        let entry =
            format!("delete rule {TABLE} prerouting handle N   # the one that jumps to change_{tag}\n");
        entry + &Self::remove(&loaded, false).to_string()
    }

    /// Makes a trial permanent: the element with its timeout goes and one without comes, in the same moment.
    pub fn confirm(tag: &str, port: Port) -> Self {
        let set = format!("ports_{tag}");
        let element = port.number.to_string();
        Self(vec![
            Statement::DeleteElement {
                set: set.clone(),
                element: element.clone(),
            },
            Statement::AddElements {
                set,
                elements: vec![element],
            },
        ])
    }

    /// Takes one change away and leaves the others of the table alone; the last one takes the table with it.
    pub fn remove(change: &Loaded, is_last: bool) -> Self {
        if is_last {
            return Self(vec![Statement::DeleteTable]);
        }
        let mut statements = Vec::new();
        for handle in &change.entry_handles {
            statements.push(Statement::DeleteRule {
                chain: "prerouting".into(),
                handle: *handle,
            });
        }
        if change.has_chain {
            statements.push(Statement::DeleteChain(format!("change_{}", change.tag)));
        }
        statements.extend(change.sets.iter().cloned().map(Statement::DeleteSet));
        Self(statements)
    }
}

impl fmt::Display for Transaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for statement in &self.0 {
            writeln!(f, "{statement}")?;
        }
        Ok(())
    }
}
