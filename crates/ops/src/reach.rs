//! Who can reach a port by the rules that are loaded, or by those in files. Nothing is sent and nothing is written.

mod matrix;
mod rules;

use std::{net::IpAddr, path::PathBuf};

use ipnet::IpNet;
use portcullis_firewall::{
    plan::allowed_by_site,
    reach::{
        Answer, Difference, Host, HostInterface, Passage, Question, Remark, Ruleset, View, compare, reach,
    },
};
use portcullis_knowledge::Knowledge;
use portcullis_model::{Networks, Port, Site, Transport};
use portcullis_sys::ssh::Target;

pub use matrix::{Cell, Matrix, MatrixRequest, Row, Stance, matrix};
pub(crate) use rules::{host, live};

use crate::{OpsError, desk, services};
use rules::Basis;

/// What is asked.
#[derive(Debug, Clone)]
pub struct Request {
    /// The port.
    pub port: Port,
    /// Only these sources.
    pub from: Option<From>,
    /// By which rules.
    pub rules: Rules,
    /// Rules in files that may come in place of those: what would change.
    pub instead: Vec<PathBuf>,
    /// Destinations; without any, all addresses that are known of the host.
    pub addresses: Vec<IpAddr>,
    /// The site and services.
    pub files: SiteFiles,
}

/// Whose rules are meant.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// The host whose loaded rules are meant; this one when not given.
    pub host: Option<Target>,
    /// Rules in files; without any, the loaded ones.
    pub files: Vec<PathBuf>,
    /// Interfaces of the host whose rules are in files.
    pub interfaces: Vec<HostInterface>,
}

/// The files that say who may reach what.
#[derive(Debug, Clone, Default)]
pub struct SiteFiles {
    /// The site, if one is declared.
    pub site: Option<PathBuf>,
    /// A folder with services of the user's own.
    pub knowledge: Option<PathBuf>,
}

impl SiteFiles {
    fn read(&self) -> Result<(Knowledge, Option<Site>), OpsError> {
        let known = services::read(self.knowledge.as_deref())?.knowledge;
        let site = self
            .site
            .as_deref()
            .map(|path| desk::read_site(path, &known))
            .transpose()?;
        Ok((known, site))
    }
}

/// Sources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum From {
    /// A network.
    Network(IpNet),
    /// A zone of the site.
    Zone(String),
}

/// The answer.
#[derive(Debug, Clone)]
pub struct Reached {
    /// The port.
    pub port: Port,
    /// `this host`, the name of another one, or those of files.
    pub source: String,
    /// How many rules were read.
    pub rules: usize,
    /// All sources, by interfaces and destinations.
    pub views: Vec<View>,
    /// Whether a site was given.
    pub has_site: bool,
    /// The same, without those for whom there is a conduit; `None` when no site says.
    pub without_conduit: Option<Vec<View>>,
    /// What a reviewer of the rules should look at.
    pub remarks: Vec<Remark>,
    /// What would change with other rules; `None` when it was not asked.
    pub instead: Option<Instead>,
}

/// What would change with other rules.
#[derive(Debug, Clone)]
pub struct Instead {
    /// The names of their files.
    pub source: String,
    /// What changes.
    pub differences: Vec<Difference>,
    /// Whether something may change of what goes to several hosts at once, which was not asked for.
    pub leaves_groups: bool,
}

impl Reached {
    /// Whether anybody for whom there is no conduit gets an answer at the port, be it from elsewhere.
    pub fn is_exposed(&self) -> bool {
        self.without_conduit
            .iter()
            .flatten()
            .any(|view| has(view, Passage::Through) || has(view, Passage::Led))
    }

    /// Whether anything could not be concluded.
    pub fn is_in_part(&self) -> bool {
        self.views.iter().any(|view| has(view, Passage::Unknown))
    }
}

fn has(view: &View, passage: Passage) -> bool {
    view.parts.iter().any(|part| part.passage == passage)
}

/// Answers.
///
/// # Errors
/// Rules that cannot be read; a site with mistakes, or without the zone.
pub fn ask(request: &Request) -> Result<Reached, OpsError> {
    let (known, site) = request.files.read()?;
    let only = request
        .from
        .as_ref()
        .map(|from| sources(from, site.as_ref()))
        .transpose()?;
    let others = match request.instead.as_slice() {
        [] => None,
        files => Some(rules::of_files(files)?),
    };
    let basis = Basis::read(&request.rules, &request.addresses, others.as_ref())?;
    let question = question(request.port, basis.host.clone(), &request.addresses);
    let mut asked = request.addresses.iter();
    if request.port.transport == Transport::Tcp
        && let Some(address) = asked.find(|address| question.is_of_several_hosts(**address))
    {
        return Err(OpsError::NoConnection(*address));
    }
    let answered = |ruleset: &Ruleset| {
        let answer = reach(ruleset, &question);
        match &only {
            None => answer,
            Some((networks, inside)) => Answer {
                views: within(&answer.views, networks, *inside),
                ..answer
            },
        }
    };
    let mut answer = answered(&basis.ruleset);
    basis.quote(&mut answer);
    let instead = match others {
        None => None,
        Some(other) => {
            let mut instead = Instead {
                source: rules::names(&request.instead),
                differences: Vec::new(),
                leaves_groups: false,
            };
            if basis.ruleset != other {
                let by_other = answered(&other);
                instead.leaves_groups = leaves_groups(&answer) || leaves_groups(&by_other);
                instead.differences = compare(&answer, &by_other);
            }
            Some(instead)
        }
    };
    let without_conduit = site.as_ref().and_then(|site| {
        let allowed = allowed(site, &asked_of(&question), request.port, &known)?;
        Some(
            answer
                .views
                .iter()
                .map(|view| view.within(&allowed, false))
                .collect(),
        )
    });
    Ok(Reached {
        port: request.port,
        source: basis.source,
        rules: basis.ruleset.rules(),
        has_site: site.is_some(),
        remarks: answer.remarks,
        views: answer.views,
        without_conduit,
        instead,
    })
}

/// Whether what goes to several hosts at once is not in an answer, and may have another one.
fn leaves_groups(answer: &Answer) -> bool {
    answer.remarks.contains(&Remark::NoGroups)
}

/// The addresses that say whose zone is asked for: of what goes to several hosts at once, those of the host.
fn asked_of(question: &Question) -> Vec<IpAddr> {
    let (groups, mut asked): (Vec<IpAddr>, Vec<IpAddr>) = question
        .destinations
        .iter()
        .partition(|address| question.is_of_several_hosts(**address));
    if !groups.is_empty() {
        let networks = question
            .host
            .interfaces
            .iter()
            .flat_map(|interface| &interface.networks);
        asked.extend(networks.map(IpNet::addr).filter(|address| !address.is_loopback()));
    }
    asked
}

fn within(views: &[View], networks: &[IpNet], inside: bool) -> Vec<View> {
    let cut = views.iter().map(|view| view.within(networks, inside));
    cut.filter(|view| !view.parts.is_empty()).collect()
}

fn question(port: Port, host: Host, addresses: &[IpAddr]) -> Question {
    let mut question = Question::new(port, host);
    if !addresses.is_empty() {
        let networks = || question.host.interfaces.iter().flat_map(|one| &one.networks);
        let own = |address: &IpAddr| networks().any(|network| network.addr() == *address);
        question.forwarded = networks().next().is_some() && !addresses.iter().any(own);
        question.destinations = addresses.to_vec();
    }
    question
}

/// Networks, and whether those or all others are meant.
fn sources(from: &From, site: Option<&Site>) -> Result<(Vec<IpNet>, bool), OpsError> {
    let name = match from {
        From::Network(network) => return Ok((vec![*network], true)),
        From::Zone(name) => name,
    };
    let site = site.ok_or(OpsError::NoSite)?;
    let zone = site
        .zone(name)
        .ok_or_else(|| OpsError::NoSuchZone(name.clone()))?;
    Ok(match &zone.networks {
        Networks::Listed(networks) => (networks.networks().to_vec(), true),
        Networks::Rest => {
            let listed = site.zones.iter().filter_map(|zone| match &zone.networks {
                Networks::Listed(networks) => Some(networks.networks()),
                Networks::Rest => None,
            });
            (listed.flatten().copied().collect(), false)
        }
    })
}

/// Who may reach a port by the conduits, whichever service of that port it is; `None` where the site does not declare the
/// addresses.
pub(crate) fn allowed(
    site: &Site,
    addresses: &[IpAddr],
    port: Port,
    knowledge: &Knowledge,
) -> Option<Vec<IpNet>> {
    if !addresses.iter().any(|address| site.declares(*address)) {
        return None;
    }
    let names = knowledge.names();
    let on_port = names.iter().filter(|name| {
        let usual = knowledge
            .service(name)
            .is_some_and(|service| service.ports.contains(&port));
        usual || site.extra_ports(name).any(|moved| moved == port)
    });
    let mut allowed: Vec<IpNet> = on_port
        .flat_map(|service| allowed_by_site(site, addresses, service))
        .map(|source| source.network)
        .collect();
    // Inside the zones of the host no conduit is needed.
    for zone in &site.zones {
        let is_own = addresses
            .iter()
            .any(|address| site.zone_of(*address) == Some(zone));
        if let (true, Networks::Listed(networks)) = (is_own, &zone.networks) {
            allowed.extend(networks.networks());
        }
    }
    Some(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_says_that_several_hosts_at_once_were_not_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, rule: &str| {
            let path = folder.path().join(name);
            let text = format!("*filter\n:INPUT DROP [0:0]\n{rule}COMMIT\n");
            std::fs::write(&path, text).unwrap();
            path
        };
        let now = file("now.save", "");
        let multicast = file(
            "multicast.save",
            "-A INPUT -p udp -m addrtype --dst-type MULTICAST -j ACCEPT\n",
        );
        let told = |port: &str, instead: &PathBuf| {
            let request = Request {
                port: port.parse().unwrap(),
                from: None,
                rules: Rules {
                    files: vec![now.clone()],
                    interfaces: vec![HostInterface {
                        name: "eth0".into(),
                        networks: vec!["10.7.10.10/24".parse().unwrap()],
                    }],
                    ..Rules::default()
                },
                instead: vec![instead.clone()],
                addresses: Vec::new(),
                files: SiteFiles::default(),
            };
            let instead = ask(&request).unwrap().instead.unwrap();
            (instead.differences.len(), instead.leaves_groups)
        };
        assert_eq!(told("udp/5353", &multicast), (0, true));
        assert_eq!(told("tcp/5353", &multicast), (0, false));
        // The same rules have the same answer for those as well.
        assert_eq!(told("udp/5353", &now), (0, false));
    }
}
