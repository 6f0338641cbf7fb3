//! Zones and services in one table: who reaches what by the rules.

use std::{collections::BTreeSet, net::IpAddr};

use ipnet::IpNet;
use portcullis_firewall::reach::{Answer, Host, Passage, View, reach};
use portcullis_knowledge::Knowledge;
use portcullis_model::{Port, Site};
use portcullis_sys::Machine;
use serde::Serialize;

use super::{From, Rules, SiteFiles, allowed, leaves_groups, question, rules::Basis, sources, within};
use crate::{OpsError, check};

/// What is asked.
#[derive(Debug, Clone)]
pub struct MatrixRequest {
    /// By which rules.
    pub rules: Rules,
    /// The ports; without any, those on which the host listens, or of rules in files those of the services that the
    /// conduits of the site name.
    pub ports: Vec<Port>,
    /// Destinations; without any, all addresses that are known of the host.
    pub addresses: Vec<IpAddr>,
    /// The site, which must be there, and services.
    pub files: SiteFiles,
}

/// How the rules stand to one zone and one port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stance {
    /// Nobody of the zone gets through.
    Blocked,
    /// Everybody does.
    Through,
    /// Some do, or on some interfaces.
    Partly,
    /// For some that cannot be concluded.
    CannotConclude,
}

/// One zone and one port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Cell {
    /// How the rules stand.
    pub stance: Stance,
    /// Whether somebody gets through without a conduit; `None` where the site does not declare the host.
    pub exposed: Option<bool>,
}

/// One port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The port.
    pub port: Port,
    /// The services that are usual there, or that the site moved there.
    pub services: Vec<String>,
    /// For each zone of [`Matrix::zones`].
    pub cells: Vec<Cell>,
}

/// The table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Matrix {
    /// `this host`, the name of another one, or those of files.
    pub source: String,
    /// How many rules were read.
    pub rules: usize,
    /// The zones, in the order of the site.
    pub zones: Vec<String>,
    /// The ports.
    pub rows: Vec<Row>,
    /// Whether what goes to several hosts at once was not asked for, and may have another answer.
    pub leaves_groups: bool,
}

impl Matrix {
    /// Whether anybody gets through for whom there is no conduit.
    pub fn is_exposed(&self) -> bool {
        self.cells().any(|cell| cell.exposed == Some(true))
    }

    /// Whether anything could not be concluded.
    pub fn is_in_part(&self) -> bool {
        self.cells().any(|cell| cell.stance == Stance::CannotConclude)
    }

    /// Whether the site declares the host, so that it is known who may.
    pub fn is_declared(&self) -> bool {
        self.cells().any(|cell| cell.exposed.is_some())
    }

    fn cells(&self) -> impl Iterator<Item = &Cell> {
        self.rows.iter().flat_map(|row| &row.cells)
    }
}

/// Answers for every zone and every port.
///
/// # Errors
/// Without a site; rules that cannot be read.
pub fn matrix(request: &MatrixRequest) -> Result<Matrix, OpsError> {
    let (known, site) = request.files.read()?;
    let site = site.ok_or(OpsError::NoSite)?;
    let basis = Basis::read(&request.rules, &request.addresses, None)?;
    let ports = match request.ports.as_slice() {
        [] if request.rules.files.is_empty() => listening(&request.rules)?,
        [] => named(&site, &known),
        ports => ports.iter().copied().collect(),
    };
    let zones: Vec<String> = site.zones.iter().map(|zone| zone.name.clone()).collect();
    let mut rows = Vec::new();
    let mut without_groups = false;
    for port in ports {
        let question = question(port, basis.host.clone(), &request.addresses);
        let answer = reach(&basis.ruleset, &question);
        without_groups |= leaves_groups(&answer);
        let allowed = allowed(&site, &question.destinations, port, &known);
        let cell = |zone: &String| {
            let (networks, inside) = sources(&From::Zone(zone.clone()), Some(&site))?;
            Ok(cell(
                &answer,
                &basis.host,
                (&networks, inside),
                allowed.as_deref(),
            ))
        };
        rows.push(Row {
            port,
            services: on_port(&site, &known, port),
            cells: zones.iter().map(cell).collect::<Result<_, OpsError>>()?,
        });
    }
    Ok(Matrix {
        source: basis.source,
        rules: basis.ruleset.rules(),
        zones,
        rows,
        leaves_groups: without_groups,
    })
}

fn cell(
    answer: &Answer,
    host: &Host,
    (networks, inside): (&[IpNet], bool),
    allowed: Option<&[IpNet]>,
) -> Cell {
    let connected = connected_by(host, networks, inside);
    let of_zone: Vec<View> = within(&answer.views, networks, inside)
        .into_iter()
        .filter(|view| {
            connected
                .as_ref()
                .is_none_or(|name| view.interfaces.contains(name))
        })
        .collect();
    let passages: BTreeSet<Passage> = of_zone
        .iter()
        .flat_map(|view| &view.parts)
        .map(|part| part.passage)
        .collect();
    let stance = if passages.contains(&Passage::Unknown) {
        Stance::CannotConclude
    } else {
        // Who is led elsewhere gets an answer at the port.
        match (
            passages.contains(&Passage::Through) || passages.contains(&Passage::Led),
            passages.contains(&Passage::Blocked),
        ) {
            (true, true) => Stance::Partly,
            (true, false) => Stance::Through,
            (false, _) => Stance::Blocked,
        }
    };
    let exposed = allowed.map(|allowed| {
        let left = within(&of_zone, allowed, false);
        let mut parts = left.iter().flat_map(|view| &view.parts);
        parts.any(|part| matches!(part.passage, Passage::Through | Passage::Led))
    });
    Cell { stance, exposed }
}

/// The one interface at whose networks all of a zone is: from elsewhere none of it can come.
fn connected_by(host: &Host, networks: &[IpNet], inside: bool) -> Option<String> {
    if !inside || networks.is_empty() {
        return None;
    }
    let holds = |own: &IpNet, network: &IpNet| own.trunc().contains(network);
    let mut holding = host.interfaces.iter().filter(|interface| {
        networks
            .iter()
            .all(|network| interface.networks.iter().any(|own| holds(own, network)))
    });
    match (holding.next(), holding.next()) {
        (Some(interface), None) => Some(interface.name.clone()),
        _ => None,
    }
}

/// The ports on which the host listens for others.
fn listening(rules: &Rules) -> Result<BTreeSet<Port>, OpsError> {
    let machine = Machine::at(rules.host.clone()).map_err(OpsError::System)?;
    let survey = machine.survey().map_err(OpsError::System)?;
    let checked = check::of_sockets(String::new(), &survey.sockets, &survey.holders);
    let for_others = checked
        .listeners
        .iter()
        .filter(|listener| !listener.address.is_loopback());
    Ok(for_others.map(|listener| listener.port()).collect())
}

/// The ports of the services that the conduits name.
fn named(site: &Site, known: &Knowledge) -> BTreeSet<Port> {
    let services = site.conduits.iter().flat_map(|conduit| &conduit.services);
    let ports = services.flat_map(|name| {
        let usual = known
            .service(name)
            .map(|service| service.ports.clone())
            .unwrap_or_default();
        usual.into_iter().chain(site.extra_ports(name))
    });
    ports.collect()
}

fn on_port(site: &Site, known: &Knowledge, port: Port) -> Vec<String> {
    let names = known.names();
    let there = names.iter().filter(|name| {
        let usual = known
            .service(name)
            .is_some_and(|service| service.ports.contains(&port));
        usual || site.extra_ports(name).any(|moved| moved == port)
    });
    there.map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use portcullis_firewall::reach::{HostInterface, Question, Ruleset};

    use super::*;

    fn host() -> Host {
        let interface = |name: &str, network: &str| HostInterface {
            name: name.into(),
            networks: vec![network.parse().unwrap()],
        };
        Host {
            interfaces: vec![
                interface("eth0", "10.7.10.10/24"),
                interface("eth1", "10.7.30.1/24"),
                interface("docker0", "172.17.0.1/16"),
            ],
            routes: None,
        }
    }

    fn of(rules: &str, networks: &[&str], inside: bool, allowed: Option<&str>) -> (Stance, Option<bool>) {
        let mut ruleset = Ruleset::default();
        let text = format!("*filter\n:INPUT DROP [0:0]\n{rules}\nCOMMIT\n");
        ruleset.add(&text, None).unwrap();
        let answer = reach(&ruleset, &Question::new("tcp/4840".parse().unwrap(), host()));
        let networks: Vec<IpNet> = networks.iter().map(|text| text.parse().unwrap()).collect();
        let allowed: Option<Vec<IpNet>> = allowed.map(|text| vec![text.parse().unwrap()]);
        let cell = cell(&answer, &host(), (&networks, inside), allowed.as_deref());
        (cell.stance, cell.exposed)
    }

    #[test]
    fn a_zone_is_let_through_wholly_partly_or_not_at_all() {
        let rule = "-A INPUT -s 10.7.20.0/25 -p tcp --dport 4840 -j ACCEPT";
        for (zone, stance, exposed) in [
            ("10.7.20.0/26", Stance::Through, false),
            ("10.7.20.0/24", Stance::Partly, false),
            ("10.7.40.0/24", Stance::Blocked, false),
        ] {
            assert_eq!(
                of(rule, &[zone], true, Some("10.7.20.0/24")),
                (stance, Some(exposed)),
                "{zone}"
            );
        }
        assert_eq!(
            of(rule, &["10.7.20.0/26"], true, Some("10.7.99.0/24")).1,
            Some(true)
        );
        assert_eq!(of(rule, &["10.7.20.0/26"], true, None).1, None);
        // Everybody else, of whom nobody is let in.
        assert_eq!(
            of(rule, &["10.7.20.0/24", "::/0"], false, None).0,
            Stance::Blocked
        );
        let unclear = "-A INPUT -s 10.7.20.0/25 -m geoip --source-country NO -j ACCEPT";
        assert_eq!(
            of(unclear, &["10.7.20.0/24"], true, None).0,
            Stance::CannotConclude
        );
    }

    /// A published port of a container answers, though not from this host.
    #[test]
    fn who_is_led_elsewhere_gets_an_answer_at_the_port() {
        let rules = "COMMIT\n*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -s 10.7.20.0/24 -p tcp --dport 4840 -j DNAT \
                     --to-destination 172.17.0.2:80";
        assert_eq!(
            of(rules, &["10.7.20.0/24"], true, Some("10.7.99.0/24")),
            (Stance::Through, Some(true))
        );
        assert_eq!(
            of(rules, &["10.7.40.0/24"], true, Some("10.7.99.0/24")),
            (Stance::Blocked, Some(false))
        );
    }

    /// Who sends to a whole network is no part of the table.
    #[test]
    fn that_several_hosts_at_once_were_not_asked_for_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let rules = write("rules.save", "*filter\n:INPUT DROP [0:0]\nCOMMIT\n");
        let site = write(
            "site.toml",
            "[site]\nname = \"plant\"\n[[zone]]\nname = \"office\"\nnetworks = [\"10.7.20.0/24\"]\n",
        );
        let of = |port: &str| MatrixRequest {
            rules: Rules {
                files: vec![rules.clone()],
                interfaces: host().interfaces,
                ..Rules::default()
            },
            ports: vec![port.parse().unwrap()],
            addresses: Vec::new(),
            files: SiteFiles {
                site: Some(site.clone()),
                knowledge: None,
            },
        };
        assert!(matrix(&of("udp/161")).unwrap().leaves_groups);
        assert!(!matrix(&of("tcp/4840")).unwrap().leaves_groups);
    }

    #[test]
    fn a_zone_at_one_interface_does_not_come_by_another() {
        let rule = "-A INPUT -i eth0 -p tcp --dport 4840 -j ACCEPT";
        assert_eq!(of(rule, &["10.7.30.0/24"], true, None).0, Stance::Blocked);
        assert_eq!(of(rule, &["10.7.10.0/25"], true, None).0, Stance::Through);
        assert_eq!(of(rule, &["10.7.50.0/24"], true, None).0, Stance::Partly);
    }
}
