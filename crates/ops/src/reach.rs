//! Who can reach a port by the rules that are loaded, or by those in files. Nothing is sent and nothing is written.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use ipnet::IpNet;
use portcullis_firewall::{
    FirewallError,
    plan::allowed_by_site,
    reach::{Host, HostInterface, Passage, Question, Ruleset, TextKind, View, reach},
};
use portcullis_model::{Networks, Port, Site};
use portcullis_sys::{Machine, ssh::Target};

use crate::{OpsError, desk, interfaces, services};

/// What is asked.
#[derive(Debug, Clone)]
pub struct Request {
    /// The port.
    pub port: Port,
    /// Only these sources.
    pub from: Option<From>,
    /// The host whose loaded rules are meant; this one when not given.
    pub host: Option<Target>,
    /// Rules in files; without any, the loaded ones.
    pub files: Vec<PathBuf>,
    /// Interfaces of the host whose rules are in files.
    pub interfaces: Vec<HostInterface>,
    /// Destinations; without any, all addresses that are known of the host.
    pub addresses: Vec<IpAddr>,
    /// The site, if one is declared.
    pub site: Option<PathBuf>,
    /// A folder with services of the user's own.
    pub knowledge: Option<PathBuf>,
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
    /// The same, without those for whom there is a conduit; `None` when no site says.
    pub without_conduit: Option<Vec<View>>,
}

impl Reached {
    /// Whether anybody gets through for whom there is no conduit.
    pub fn is_exposed(&self) -> bool {
        self.without_conduit
            .iter()
            .flatten()
            .any(|view| has(view, Passage::Through))
    }

    /// Whether anything could not be concluded.
    pub fn is_in_part(&self) -> bool {
        self.views.iter().any(|view| has(view, Passage::Unknown))
    }
}

fn has(view: &View, passage: Passage) -> bool {
    view.parts.iter().any(|part| part.passage == passage)
}

const PATIENCE: Duration = Duration::from_secs(30);

/// Answers.
///
/// # Errors
/// Rules that cannot be read; a site with mistakes, or without the zone.
pub fn ask(request: &Request) -> Result<Reached, OpsError> {
    let known = services::read(request.knowledge.as_deref())?.knowledge;
    let site = request
        .site
        .as_deref()
        .map(|path| desk::read_site(path, &known))
        .transpose()?;
    let only = request
        .from
        .as_ref()
        .map(|from| sources(from, site.as_ref()))
        .transpose()?;
    let (ruleset, host, source) = match request.files.is_empty() {
        true => {
            let name = request.host.as_ref().map_or("this host".to_owned(), Target::name);
            let machine = Machine::at(request.host.clone()).map_err(OpsError::System)?;
            (live(&machine)?, host(&machine)?, name)
        }
        false => {
            let host = Host {
                interfaces: request.interfaces.clone(),
            };
            let names: Vec<String> = request
                .files
                .iter()
                .map(|file| file.display().to_string())
                .collect();
            (of_files(&request.files)?, host, names.join(", "))
        }
    };
    let mut question = Question::new(request.port, host);
    if !request.addresses.is_empty() {
        question.destinations.clone_from(&request.addresses);
        let own = |address: &IpAddr| {
            let mut networks = question.host.interfaces.iter().flat_map(|one| &one.networks);
            networks.any(|network| network.addr() == *address)
        };
        let is_known = question
            .host
            .interfaces
            .iter()
            .any(|one| !one.networks.is_empty());
        question.forwarded = is_known && !request.addresses.iter().any(own);
    }
    let mut views = reach(&ruleset, &question).views;
    if let Some((networks, inside)) = &only {
        views = views.iter().map(|view| view.within(networks, *inside)).collect();
        views.retain(|view| !view.parts.is_empty());
    }
    let without_conduit = site.as_ref().and_then(|site| {
        let declared = question
            .destinations
            .iter()
            .any(|address| site.declares(*address));
        declared.then(|| {
            let allowed = allowed(site, &question.destinations, request.port, &known);
            views.iter().map(|view| view.within(&allowed, false)).collect()
        })
    });
    Ok(Reached {
        port: request.port,
        source,
        rules: ruleset.rules(),
        views,
        without_conduit,
    })
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

/// Who may reach a port by the conduits, whichever service of that port it is.
fn allowed(
    site: &Site,
    addresses: &[IpAddr],
    port: Port,
    knowledge: &portcullis_knowledge::Knowledge,
) -> Vec<IpNet> {
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
    allowed
}

fn of_files(files: &[PathBuf]) -> Result<Ruleset, OpsError> {
    let mut ruleset = Ruleset::default();
    let mut texts: BTreeMap<bool, Vec<(&Path, String)>> = BTreeMap::new();
    for file in files {
        for text in apart(&desk::read_text(file)?) {
            texts.entry(is_save(&text)).or_default().push((file, text));
        }
    }
    // What iptables-nft has saved stands in place of what nft says of it, so it comes after.
    for (file, text) in texts.into_values().flatten() {
        let damaged = |source| OpsError::Rules {
            path: file.into(),
            source,
        };
        match TextKind::of(&text) {
            Some(kind) if is_save(&text) && is_of_nft(&text) => ruleset.add_instead(&text, kind),
            kind => ruleset.add(&text, kind),
        }
        .map_err(damaged)?;
    }
    Ok(ruleset)
}

/// Several saves in one file, each with its own first line, are several texts: one may be of IPv4 and the next of IPv6.
fn apart(text: &str) -> Vec<String> {
    const BEGINS: &str = "# Generated by ip";
    if text.matches(BEGINS).count() < 2 {
        return vec![text.to_owned()];
    }
    let kind = |line: &str| line.split_whitespace().nth(3).map(str::to_owned);
    let mut texts: Vec<(Option<String>, String)> = Vec::new();
    for line in text.lines() {
        let begins = line.starts_with(BEGINS).then(|| kind(line));
        match (texts.last_mut(), begins) {
            // The tables of one save follow each other, each with such a line.
            (Some((last, text)), Some(kind)) if *last == kind => text.push_str(&format!("{line}\n")),
            (Some((_, text)), None) => text.push_str(&format!("{line}\n")),
            (_, begins) => texts.push((begins.flatten(), format!("{line}\n"))),
        }
    }
    texts.into_iter().map(|(_, text)| text).collect()
}

fn is_save(text: &str) -> bool {
    matches!(
        TextKind::of(text),
        Some(TextKind::IptablesSave | TextKind::Ip6tablesSave)
    )
}

/// Whether a save is of iptables-nft, by its first line.
fn is_of_nft(text: &str) -> bool {
    text.lines()
        .any(|line| line.starts_with("# Generated by") && line.contains("(nf_tables)"))
}

/// Programs that print rules on hosts that have only one kind of iptables.
const ONLY_SAVES: [(&str, TextKind); 2] = [
    ("iptables-save", TextKind::IptablesSave),
    ("ip6tables-save", TextKind::Ip6tablesSave),
];

/// Programs that print rules, whether they are those of nftables too, and what they print.
const SAVES: [(&str, bool, TextKind); 4] = [
    ("iptables-nft-save", true, TextKind::IptablesSave),
    ("ip6tables-nft-save", true, TextKind::Ip6tablesSave),
    ("iptables-legacy-save", false, TextKind::IptablesSave),
    ("ip6tables-legacy-save", false, TextKind::Ip6tablesSave),
];

/// The rules that are loaded on a machine.
pub(crate) fn live(machine: &Machine) -> Result<Ruleset, OpsError> {
    let mut ruleset = Ruleset::default();
    let damaged = |program: &str| {
        let path = PathBuf::from(program);
        move |source| OpsError::Rules { path, source }
    };
    let has = |program: &str| machine.has(program).map_err(OpsError::System);
    // Where iptables is installed and `nft` is not, there are no rules of nftables to be seen.
    if has("nft")? || !has("iptables-save")? {
        let text = said(machine, "nft", &["-j", "list", "ruleset"])?;
        // Where nothing was ever loaded, some versions print nothing.
        if !text.trim().is_empty() {
            ruleset
                .add(&text, Some(TextKind::NftJson))
                .map_err(damaged("nft"))?;
        }
    }
    let named = SAVES
        .iter()
        .try_fold(false, |named, (program, ..)| Ok(named || has(program)?))?;
    if !named {
        for (program, kind) in ONLY_SAVES {
            if has(program)? {
                let text = said(machine, program, &[])?;
                ruleset.add(&text, Some(kind)).map_err(damaged(program))?;
            }
        }
    }
    for (program, is_nft, kind) in SAVES {
        if !has(program)? {
            continue;
        }
        let text = said(machine, program, &[])?;
        if is_nft {
            ruleset.add_instead(&text, kind).map_err(damaged(program))?;
        } else {
            ruleset.add(&text, Some(kind)).map_err(damaged(program))?;
        }
    }
    for (program, tables) in [
        ("iptables-legacy-save", "/proc/net/ip_tables_names"),
        ("ip6tables-legacy-save", "/proc/net/ip6_tables_names"),
    ] {
        let names = machine
            .run("cat", &[tables], "", PATIENCE)
            .map_err(OpsError::System)?;
        let holds = names.success && !names.stdout.trim().is_empty() && named;
        if holds && !has(program)? {
            ruleset.add_unreadable(format!("rules of iptables-legacy, which {program} would list"));
        }
    }
    Ok(ruleset)
}

fn said(machine: &Machine, program: &str, arguments: &[&str]) -> Result<String, OpsError> {
    let act = "read";
    let finished = machine
        .run(program, arguments, "", PATIENCE)
        .map_err(|source| OpsError::Firewall(FirewallError::Tool { act, source }))?;
    if !finished.success {
        return Err(OpsError::Firewall(FirewallError::Refused {
            act,
            program: program.into(),
            said: finished.stderr.lines().take(3).collect::<Vec<_>>().join("; "),
        }));
    }
    Ok(finished.stdout)
}

/// The interfaces of the machine, with and without addresses.
/// What is known of a host.
pub(crate) fn host(machine: &Machine) -> Result<Host, OpsError> {
    let of = |interface: interfaces::Interface| HostInterface {
        name: interface.name,
        networks: interface.networks,
    };
    let interfaces = interfaces::of(machine)?.into_iter().map(of).collect();
    Ok(Host { interfaces })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `Set-Content` and `>` of Windows PowerShell write a mark, or UTF-16; each list may be in a file of its own.
    #[test]
    fn rules_of_windows_are_read_in_the_encodings_of_windows() {
        let folder = tempfile::tempdir().unwrap();
        let rules = r#"[{"InstanceID": "a", "Enabled": 1, "Profile": 0, "Direction": 1, "Action": 2}]"#;
        let ports = r#"{"InstanceID": "a", "Protocol": "TCP", "LocalPort": "4840"}"#;
        let wide: Vec<u8> = rules.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let files = [
            ("rules.json", [vec![0xff, 0xfe], wide].concat()),
            (
                "ports.json",
                [b"\xef\xbb\xbf".as_slice(), ports.as_bytes()].concat(),
            ),
        ]
        .map(|(name, bytes)| {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            path
        });
        assert_eq!(of_files(&files).unwrap().rules(), 1);
        let linux = folder.path().join("linux.save");
        std::fs::write(&linux, "*filter\n:INPUT DROP [0:0]\nCOMMIT\n").unwrap();
        let [rules, _] = files;
        for mixed in [[rules.clone(), linux.clone()], [linux, rules]] {
            let error = of_files(&mixed).unwrap_err();
            assert_eq!(portcullis_model::Fault::code(&error), "RE004");
        }
    }

    #[test]
    fn saves_of_both_families_in_one_file_are_taken_apart() {
        let v4 = "# Generated by iptables-save v1.8.9\n*filter\n:INPUT DROP [0:0]\nCOMMIT\n# Completed\n\
                  # Generated by iptables-save v1.8.9\n*mangle\nCOMMIT\n";
        let v6 = "# Generated by ip6tables-save v1.8.9\n*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n";
        assert_eq!(apart(&format!("{v4}{v6}")), [v4, v6]);
        assert_eq!(apart(v4), [v4]);
        assert_eq!(apart("*filter\nCOMMIT\n"), ["*filter\nCOMMIT\n"]);
    }
}
