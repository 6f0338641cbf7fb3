//! The rules of one change as values, printed as a script that `nft -f` takes as one transaction.
//!
//! The shape and its reasons: `docs/security.md`.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use ipnet::IpNet;
use portcullis_model::Port;

use super::{LOG_GROUP, LOG_PREFIX};
use crate::{
    act::{Act, Acts},
    closing::Closing,
};

/// The table that Portcullis owns. It touches no other.
pub const TABLE: &str = "inet portcullis";

/// The base chains of our table, each at the hook of its name: before addresses are translated, and after, for what
/// another port or address was translated to the closed one.
pub(super) const BASE_CHAINS: [&str; 3] = ["prerouting", "input", "forward"];

impl Closing {
    /// The rules of the change's own chain, in the order in which the kernel walks them.
    fn rules(&self) -> Vec<String> {
        let (tag, transport) = (&self.tag, self.port.transport);
        let mut rules = Vec::new();
        if !self.cut_peers.is_empty() {
            rules.push(format!("ip saddr . {transport} sport @cut4_{tag} counter drop"));
            rules.push(format!("ip6 saddr . {transport} sport @cut6_{tag} counter drop"));
        }
        if !self.no_replies {
            rules.push("ct direction reply accept".into());
        }
        rules.push(format!("ip saddr @sources4_{tag} accept"));
        rules.push(format!("ip6 saddr @sources6_{tag} accept"));
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

    /// The rules that send connections to the closed port into the change's chain, each with its base chain. This
    /// host's port: on a router, forwarded connections to the same port pass by. That of hosts behind it: only they.
    fn entries(&self) -> Vec<(&'static str, String)> {
        let (tag, transport) = (&self.tag, self.port.transport);
        let entry = |to: &str| format!("{transport} dport @ports_{tag} {to}jump change_{tag}");
        if self.behind.is_empty() {
            return vec![
                (
                    "prerouting",
                    entry("fib daddr type { local, broadcast, multicast } "),
                ),
                ("input", entry("")),
            ];
        }
        let mut entries = Vec::new();
        for chain in ["prerouting", "forward"] {
            if self.behind.iter().any(IpAddr::is_ipv4) {
                entries.push((chain, entry(&format!("ip daddr @targets4_{tag} "))));
            }
            if self.behind.iter().any(IpAddr::is_ipv6) {
                entries.push((chain, entry(&format!("ip6 daddr @targets6_{tag} "))));
            }
        }
        entries
    }

    /// The sets of the change: role, type and flags.
    fn sets(&self) -> Vec<(&'static str, &'static str, Option<&'static str>)> {
        let mut sets = vec![
            ("ports", "inet_service", Some("timeout")),
            ("sources4", "ipv4_addr", Some("interval")),
            ("sources6", "ipv6_addr", Some("interval")),
        ];
        if !self.outgoing_peers.is_empty() {
            sets.push(("own4", "ipv4_addr . inet_service", None));
            sets.push(("own6", "ipv6_addr . inet_service", None));
        }
        if !self.cut_peers.is_empty() {
            sets.push(("cut4", "ipv4_addr . inet_service", None));
            sets.push(("cut6", "ipv6_addr . inet_service", None));
        }
        if self.behind.iter().any(IpAddr::is_ipv4) {
            sets.push(("targets4", "ipv4_addr", None));
        }
        if self.behind.iter().any(IpAddr::is_ipv6) {
            sets.push(("targets6", "ipv6_addr", None));
        }
        sets
    }
}

/// What belongs to one change in our table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Pieces {
    /// Its tag.
    pub(super) tag: String,
    /// Names of its sets.
    pub(super) sets: Vec<String>,
    /// Whether its chain is there.
    pub(super) has_chain: bool,
    /// The rules that lead into its chain: base chain and handle.
    pub(super) entries: Vec<(String, u64)>,
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
    AddBaseChain(&'static str),
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
            Self::AddBaseChain(hook) => write!(
                f,
                "add chain {TABLE} {hook} {{ type filter hook {hook} priority mangle; policy accept; }}"
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
            statements.extend([Statement::AddTable, Statement::DeleteTable, Statement::AddTable]);
            for chain in BASE_CHAINS {
                statements.push(Statement::AddBaseChain(chain));
                statements.push(Statement::AddRule {
                    chain: chain.into(),
                    rule: "iif \"lo\" accept".into(),
                });
            }
        }
        for (role, kind, flags) in closing.sets() {
            statements.push(Statement::AddSet {
                name: format!("{role}_{tag}"),
                kind,
                flags,
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
        let peers_of_family = |peers: &[SocketAddr], v4: bool| {
            peers
                .iter()
                .filter(move |peer| peer.is_ipv4() == v4)
                .map(|peer| format!("{} . {}", peer.ip(), peer.port()))
                .collect()
        };
        let behind_of_family = |v4: bool| {
            let hosts = closing.behind.iter();
            hosts
                .filter(move |host| host.is_ipv4() == v4)
                .map(IpAddr::to_string)
                .collect()
        };
        let elements: [(&str, Vec<String>); 9] = [
            ("ports", vec![port]),
            ("sources4", of_family(true)),
            ("sources6", of_family(false)),
            ("own4", peers_of_family(&closing.outgoing_peers, true)),
            ("own6", peers_of_family(&closing.outgoing_peers, false)),
            ("cut4", peers_of_family(&closing.cut_peers, true)),
            ("cut6", peers_of_family(&closing.cut_peers, false)),
            ("targets4", behind_of_family(true)),
            ("targets6", behind_of_family(false)),
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
        for (base, rule) in closing.entries() {
            statements.push(Statement::AddRule {
                chain: base.into(),
                rule,
            });
        }
        Self(statements)
    }

    /// What would take a closing out again, as text for people: the handles of the rules that lead to it are known only
    /// once the kernel has given them.
    pub fn inverse(closing: &Closing, joins: bool) -> Acts {
        if !joins {
            return remove_table();
        }
        let tag = &closing.tag;
        let pieces = Pieces {
            tag: tag.clone(),
            sets: closing
                .sets()
                .iter()
                .map(|(role, ..)| format!("{role}_{tag}"))
                .collect(),
            has_chain: true,
            entries: Vec::new(),
        };
        let entries: String = closing
            .entries()
            .iter()
            .map(|(base, _)| {
                format!("delete rule {TABLE} {base} handle N   # the one that jumps to change_{tag}\n")
            })
            .collect();
        script(entries + &Self::remove(&pieces).to_string())
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

    /// Takes one change away and leaves the others of the table alone.
    pub(super) fn remove(change: &Pieces) -> Self {
        let mut statements = Vec::new();
        for (chain, handle) in &change.entries {
            statements.push(Statement::DeleteRule {
                chain: chain.clone(),
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

/// Takes the whole table away.
pub(super) fn remove_table() -> Acts {
    Act::new("nft", &["delete", "table", "inet", "portcullis"]).into()
}

/// `nft` takes a script as one transaction: all of it or nothing, whatever is refused in it.
fn script(text: String) -> Acts {
    Act::reading("nft", &["-f", "-"], text).into()
}

impl From<Transaction> for Acts {
    fn from(transaction: Transaction) -> Self {
        script(transaction.to_string())
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
