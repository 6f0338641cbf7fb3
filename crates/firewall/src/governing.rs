//! Which firewall system really governs a host, and in which one a change to a port is effective there.

use std::{collections::BTreeSet, time::Duration};

use portcullis_model::{BackendName, Port, StatePart};
use portcullis_sys::{Machine, SysError};

use crate::{FirewallError, act::unasked, plan, state::Snapshot};

/// What decides it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Governing {
    /// The systems whose tools are installed.
    pub installed: BTreeSet<BackendName>,
    /// The kinds of iptables without a twin for IPv6, on a host that speaks it.
    pub only_ipv4: BTreeSet<BackendName>,
    /// Whether firewalld runs.
    pub firewalld: bool,
    /// Whether ufw is enabled, for both families: without IPv6 it has no place for a rule of that family.
    pub ufw: bool,
    /// Whether the older interface of iptables holds rules, which `nft` does not show.
    pub legacy_rules: bool,
    /// Whether Docker has made rules, which let published ports through before the rules of the host are asked.
    pub docker: bool,
    /// Whether addresses are translated at the port (DNAT, redirection): what a zone or the chain INPUT sees of it is not
    /// what the sender addressed.
    pub translated: bool,
    /// Whether it is about what passes through the host to hosts behind it.
    pub passing: bool,
    /// Whether there is a tool that ends connections which firewalld would let live on.
    pub cutter: bool,
}

const PATIENCE: Duration = Duration::from_secs(30);

impl Governing {
    /// Asks a machine. The parts of the snapshot that were read anyway are not read again.
    ///
    /// # Errors
    /// When another machine does not tell what it has.
    pub fn read(
        machine: &Machine,
        snapshot: &Snapshot,
        port: Port,
        passing: bool,
    ) -> Result<Self, FirewallError> {
        let has = |program: &str| machine.has(program).map_err(unasked);
        let parts = &snapshot.parts;
        let says = |name: &str, found: &dyn Fn(&str) -> bool| {
            parts
                .iter()
                .any(|part| part.read && part.name == name && part.output.lines().any(found))
        };
        let runs = has("firewall-cmd")?
            && machine
                .run("firewall-cmd", &["--state"], "", PATIENCE)
                .is_ok_and(|finished| finished.success);
        let chain_of_ufw = |name: &str, chain: &str| says(name, &|line: &str| line.starts_with(chain));
        let is_rule = |line: &str| line.starts_with("-A ");
        let mut installed = BTreeSet::new();
        for name in BackendName::ALL {
            if has(program(name))? {
                installed.insert(name);
            }
        }
        if installed.contains(&BackendName::IptablesNft) || installed.contains(&BackendName::IptablesLegacy) {
            installed.remove(&BackendName::Iptables);
        }
        let mut only_ipv4 = BTreeSet::new();
        for name in installed.iter().copied() {
            if let Some(twin) = twin(name)
                && !has(twin)?
                && machine.has_ipv6().map_err(unasked)?
            {
                only_ipv4.insert(name);
            }
        }
        Ok(Self {
            installed,
            only_ipv4,
            firewalld: runs,
            ufw: chain_of_ufw("iptables", ":ufw-before-input ")
                && chain_of_ufw("ip6tables", ":ufw6-before-input "),
            legacy_rules: says("iptables-legacy", &is_rule) || says("ip6tables-legacy", &is_rule),
            docker: parts.iter().any(of_docker),
            translated: !plan::translations(parts, port).is_empty(),
            passing,
            cutter: has("conntrack")? || port.transport == portcullis_model::Transport::Tcp && has("ss")?,
        })
    }

    /// The system that a change is to be made in, and why.
    ///
    /// # Errors
    /// When the one that is asked for is not installed or does not govern the host, or none is installed.
    pub fn choose(&self, asked: Option<BackendName>) -> Result<(BackendName, String), FirewallError> {
        let chosen = self.chosen(asked)?;
        match twin(chosen.0).filter(|_| self.only_ipv4.contains(&chosen.0)) {
            Some(twin) => Err(missing(twin)),
            None => Ok(chosen),
        }
    }

    fn chosen(&self, asked: Option<BackendName>) -> Result<(BackendName, String), FirewallError> {
        if let Some(name) = asked {
            if !self.installed.contains(&name) {
                return Err(missing(program(name)));
            }
            match name {
                BackendName::Firewalld | BackendName::Ufw if self.passing => {
                    return Err(FirewallError::NotInUse(
                        name,
                        "in it only ports of the host itself are closed",
                    ));
                }
                BackendName::Firewalld if !self.firewalld => {
                    return Err(FirewallError::NotInUse(name, "it does not run"));
                }
                BackendName::Ufw if !self.ufw => {
                    return Err(FirewallError::NotInUse(
                        name,
                        "it is not enabled for IPv4 and IPv6",
                    ));
                }
                _ => {}
            }
            let mut why = format!("the change is made in {name}, as asked for");
            if self.translated && [BackendName::Firewalld, BackendName::Ufw].contains(&name) {
                why.push_str("; who is led to the port by a translation of addresses passes it by");
            }
            return Ok((name, why));
        }
        let has = |name: BackendName| self.installed.contains(&name);
        let (name, why) = if has(BackendName::Nftables) {
            self.beside_nft()
        } else if self.firewalld && self.cutter && !self.translated && !self.passing {
            (BackendName::Firewalld, "firewalld governs this host".to_owned())
        } else if self.ufw && !self.translated && !self.passing {
            (BackendName::Ufw, "ufw governs this host".to_owned())
        } else {
            let of_others = if self.legacy_rules {
                BackendName::IptablesLegacy
            } else {
                BackendName::IptablesNft
            };
            let found = [
                of_others,
                BackendName::IptablesNft,
                BackendName::IptablesLegacy,
                BackendName::Iptables,
            ];
            let Some(name) = found.into_iter().find(|name| has(*name)) else {
                return Err(missing(program(BackendName::default())));
            };
            (name, "`nft` is not installed".to_owned())
        };
        Ok((name, format!("the change is made in {name}: {why}")))
    }

    /// Where `nft` is there, a table of our own is always effective: what matters is what the host is managed by.
    fn beside_nft(&self) -> (BackendName, String) {
        let own_table = "a drop in its own table is final, whatever the rules of others accept, and the kernel itself ends \
                         a trial";
        let manager = match (self.firewalld, self.ufw) {
            (true, _) => Some(BackendName::Firewalld),
            (false, true) => Some(BackendName::Ufw),
            (false, false) => None,
        };
        let translates = if self.docker {
            "Docker publishes"
        } else {
            "addresses are translated at"
        };
        match manager {
            Some(manager) if self.passing => (
                BackendName::Nftables,
                format!("{manager} runs, but what passes through this host is closed elsewhere; {own_table}"),
            ),
            Some(manager) if self.translated => (
                BackendName::Nftables,
                format!("{manager} runs, but {translates} this port before {manager} sees it; {own_table}"),
            ),
            Some(BackendName::Firewalld) if !self.cutter => (
                BackendName::Nftables,
                format!(
                    "firewalld runs, but lets established connections live on, and neither `conntrack` nor `ss` is there \
                     to end them; {own_table}"
                ),
            ),
            Some(manager) => (manager, format!("{manager} governs this host")),
            None if self.translated => (
                BackendName::Nftables,
                format!("{translates} this port before the other rules see it; {own_table}"),
            ),
            None if self.legacy_rules => (
                BackendName::Nftables,
                format!("rules of iptables-legacy stand beside, and both are asked; {own_table}"),
            ),
            None => (BackendName::Nftables, own_table.to_owned()),
        }
    }
}

fn of_docker(part: &StatePart) -> bool {
    part.read && part.name.contains("tables") && part.output.contains("DOCKER")
}

/// The program that does the same for IPv6, where there is another one.
fn twin(name: BackendName) -> Option<&'static str> {
    match name {
        BackendName::IptablesNft => Some("ip6tables-nft-restore"),
        BackendName::IptablesLegacy => Some("ip6tables-legacy-restore"),
        BackendName::Iptables | BackendName::Ufw => Some("ip6tables-restore"),
        BackendName::Nftables | BackendName::Firewalld => None,
    }
}

fn program(name: BackendName) -> &'static str {
    match name {
        BackendName::Nftables => "nft",
        BackendName::IptablesNft => "iptables-nft-restore",
        BackendName::IptablesLegacy => "iptables-legacy-restore",
        BackendName::Firewalld => "firewall-cmd",
        BackendName::Iptables | BackendName::Ufw => "iptables-restore",
    }
}

fn missing(program: &str) -> FirewallError {
    FirewallError::Tool {
        act: "change",
        source: SysError::MissingProgram {
            program: program.into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use BackendName::{Firewalld, Iptables, IptablesLegacy, IptablesNft, Nftables, Ufw};

    use super::*;

    /// A host with these tools.
    fn with(installed: &[BackendName]) -> Governing {
        Governing {
            installed: installed.iter().copied().collect(),
            cutter: true,
            ..Governing::default()
        }
    }

    #[test]
    fn the_change_is_made_where_it_is_effective() {
        let all = || with(&BackendName::ALL);
        let old = || with(&[IptablesNft, IptablesLegacy]);
        for (host, expected, because) in [
            (all(), Nftables, "its own table is final"),
            (
                Governing {
                    firewalld: true,
                    ..all()
                },
                Firewalld,
                "firewalld governs",
            ),
            (Governing { ufw: true, ..all() }, Ufw, "ufw governs"),
            (
                Governing {
                    firewalld: true,
                    ufw: true,
                    ..all()
                },
                Firewalld,
                "firewalld governs",
            ),
            (
                Governing {
                    firewalld: true,
                    cutter: false,
                    ..all()
                },
                Nftables,
                "established connections",
            ),
            (
                Governing {
                    firewalld: true,
                    translated: true,
                    ..all()
                },
                Nftables,
                "before firewalld sees it",
            ),
            (
                Governing {
                    ufw: true,
                    passing: true,
                    ..all()
                },
                Nftables,
                "what passes through",
            ),
            (
                Governing {
                    ufw: true,
                    translated: true,
                    docker: true,
                    ..all()
                },
                Nftables,
                "Docker publishes",
            ),
            (
                Governing {
                    translated: true,
                    docker: true,
                    ..all()
                },
                Nftables,
                "Docker publishes",
            ),
            (
                Governing {
                    docker: true,
                    ..all()
                },
                Nftables,
                "its own table is final",
            ),
            (
                Governing {
                    legacy_rules: true,
                    ..all()
                },
                Nftables,
                "both are asked",
            ),
            (old(), IptablesNft, "`nft` is not installed"),
            (with(&[Iptables]), Iptables, "`nft` is not installed"),
            (
                Governing {
                    legacy_rules: true,
                    ..old()
                },
                IptablesLegacy,
                "`nft` is not installed",
            ),
            (
                Governing {
                    legacy_rules: true,
                    ..with(&[IptablesNft])
                },
                IptablesNft,
                "`nft`",
            ),
            (
                Governing {
                    firewalld: true,
                    ..with(&[Firewalld])
                },
                Firewalld,
                "governs",
            ),
            (
                Governing {
                    ufw: true,
                    ..with(&[IptablesLegacy, Ufw])
                },
                Ufw,
                "governs",
            ),
        ] {
            let (name, why) = host.choose(None).unwrap();
            assert_eq!(name, expected, "{host:?}: {why}");
            assert!(why.contains(because), "{host:?}: {why}");
        }
        for name in [Iptables, IptablesNft, IptablesLegacy] {
            let open_in_ipv6 = Governing {
                only_ipv4: [name].into(),
                ..with(&[name])
            };
            assert!(open_in_ipv6.choose(None).is_err(), "{name}");
        }
        assert_eq!(
            with(&[]).choose(None).unwrap_err().to_string(),
            "cannot change the firewall rules"
        );
    }

    #[test]
    fn what_is_asked_for_must_be_there_and_govern() {
        use portcullis_model::Fault;
        let host = with(&BackendName::ALL);
        assert_eq!(host.choose(Some(IptablesLegacy)).unwrap().0, IptablesLegacy);
        assert_eq!(host.choose(Some(Firewalld)).unwrap_err().code(), "FW013");
        assert_eq!(host.choose(Some(Ufw)).unwrap_err().code(), "FW013");
        assert_ne!(
            with(&[Nftables]).choose(Some(IptablesNft)).unwrap_err().code(),
            "FW013"
        );
        let translated = Governing {
            ufw: true,
            translated: true,
            ..host
        };
        assert!(translated.choose(Some(Ufw)).unwrap().1.contains("passes it by"));
    }
}
