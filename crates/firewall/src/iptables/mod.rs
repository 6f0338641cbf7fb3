//! iptables and ip6tables, over nf_tables or over the older interface of the kernel ("legacy").
//!
//! A change is a chain of its own in the table `mangle` and rules that lead to it, in both families. Each family is
//! loaded as a whole; a guard, started before the first, takes back what is on trial when its time is over, also when
//! only one of the two came to be.

mod read;
pub(crate) mod rules;
#[cfg(test)]
mod tests;

use std::time::Duration;

use portcullis_model::BackendName;
use portcullis_sys::{Machine, SysError};

use crate::{
    FirewallError,
    act::{Act, Acts, unasked},
    backend::{Backend, DeadMan, Lasting},
    closing::Closing,
    family::Family,
    guard,
    own::Own,
};
use rules::{Mark, Place};

pub use rules::CHAIN;

/// Which interface of the kernel the tools speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Iptables {
    /// nf_tables, the default of today's distributions.
    Nft,
    /// The older one, whose rules `nft` does not show.
    Legacy,
    /// The only one that a host has, whichever it is.
    Only,
    /// That of the host, whichever it is, in the place that ufw keeps for others.
    OfUfw,
}

/// Loads what it reads with a tool of any age: those before 1.6.2 know no `-w`, and a host without IPv6 in its kernel needs
/// no rules for it.
const RESTORE: &str = r#"
if ! command -v "$1" >/dev/null; then
    [ "$1" = ip6tables-restore ] && ! grep -q . /proc/net/if_inet6 2>/dev/null && exit 0
    echo "$1 is not installed" >&2
    exit 1
fi
"$1" -w 5 --noflush </dev/null >/dev/null 2>&1 && exec "$1" -w 5 --noflush
exec "$1" --noflush
"#;

impl Iptables {
    /// Whether this host has tools that say which interface they speak, so that none of them is the only one.
    fn has_named_ones(machine: &Machine) -> Result<bool, FirewallError> {
        let has = |one: Self| machine.has(&one.program(Family::V4, "save")).map_err(unasked);
        Ok(has(Self::Nft)? || has(Self::Legacy)?)
    }

    pub(crate) fn place(self) -> Place {
        match self {
            Self::Nft | Self::Legacy | Self::Only => Place::Mangle,
            Self::OfUfw => Place::Ufw,
        }
    }

    fn program(self, family: Family, verb: &str) -> String {
        let tool = match family {
            Family::V4 => "iptables",
            Family::V6 => "ip6tables",
        };
        match self {
            Self::Nft => format!("{tool}-nft-{verb}"),
            Self::Legacy => format!("{tool}-legacy-{verb}"),
            Self::Only | Self::OfUfw => format!("{tool}-{verb}"),
        }
    }

    fn restore(self, family: Family, script: String) -> Act {
        let program = self.program(family, "restore");
        if self == Self::Only {
            let shown = Act::reading(&program, &["--noflush"], script.clone()).to_string();
            return Act {
                shown: Some(shown),
                ..Act::reading("sh", &["-c", RESTORE, "sh", &program], script)
            };
        }
        // It waits for another one that is changing the rules at the same moment.
        Act::reading(&program, &["-w", "5", "--noflush"], script)
    }

    /// Takes out whatever there is of a closing, on trial or kept; what is not there is refused and does no harm.
    pub(crate) fn undo(self, closing: &Closing) -> Acts {
        let mut acts = Vec::new();
        for family in Family::BOTH.into_iter().filter(|f| rules::concerns(closing, *f)) {
            for mark in [Mark::Trial, Mark::Kept] {
                acts.push(self.restore(family, rules::remove(closing, self.place(), family, mark)));
            }
        }
        Acts(acts)
    }

    /// A command that succeeds as long as something of a change is on trial, or the rules cannot be asked.
    fn on_trial(self, tag: &str) -> String {
        let mark = Mark::Trial.comment(tag);
        let table = self.place().table();
        let saved = Family::BOTH
            .map(|family| format!("{} -t {table} || echo '{mark}'", self.program(family, "save")));
        format!("( {} ) 2>/dev/null | grep -q '{mark}'", saved.join("; "))
    }
}

impl Backend for Iptables {
    fn name(&self) -> BackendName {
        match self {
            Self::Nft => BackendName::IptablesNft,
            Self::Legacy => BackendName::IptablesLegacy,
            Self::Only => BackendName::Iptables,
            Self::OfUfw => BackendName::Ufw,
        }
    }

    fn read(&self, machine: &Machine) -> Result<Own, FirewallError> {
        if *self == Self::Only && Self::has_named_ones(machine)? {
            return Ok(Own::default());
        }
        let mut saved = Vec::new();
        for family in Family::BOTH {
            let act = Act::new(&self.program(family, "save"), &["-c"]);
            match act.run("read", machine) {
                Ok(finished) => saved.push((family, finished.stdout)),
                Err(FirewallError::Tool {
                    source: SysError::MissingProgram { .. },
                    ..
                }) => {
                    if family == Family::V4 || machine.has_ipv6().map_err(unasked)? {
                        saved.push((family, String::new()));
                    }
                }
                // Without privileges the older tools say nothing of use; nftables says it better.
                Err(FirewallError::Refused { .. }) if *self == Self::Legacy => {}
                Err(error) => return Err(error),
            }
        }
        if !saved.iter().any(|(_, text)| text.contains(rules::CHAIN)) {
            return Ok(Own::default());
        }
        Ok(read::own(*self, &saved, &guard::running(machine)?))
    }

    fn load(&self, closing: &Closing, trial: Option<Duration>, _beside: &Own) -> Acts {
        let mut acts = Vec::new();
        if let Some(trial) = trial {
            let on_trial = self.on_trial(&closing.tag);
            acts.push(guard::start(&closing.tag, trial, &on_trial, &self.undo(closing)));
        }
        let mark = if trial.is_some() { Mark::Trial } else { Mark::Kept };
        let families = Family::BOTH.into_iter().filter(|f| rules::concerns(closing, *f));
        let loads =
            families.map(|family| self.restore(family, rules::load(closing, self.place(), family, mark)));
        acts.push(Act::together(&Acts(loads.collect()), &self.undo(closing)));
        Acts(acts)
    }

    fn keep(&self, closing: &Closing) -> Acts {
        let families = Family::BOTH.into_iter().filter(|f| rules::concerns(closing, *f));
        let marks = families.map(|family| {
            self.restore(
                family,
                rules::remark(closing, self.place(), family, Mark::Trial, Mark::Kept),
            )
        });
        // Its guard is ended last: up to here it would have taken back what was kept by halves.
        Acts(vec![
            Act::together(&Acts(marks.collect()), &Acts::default()),
            guard::end(&closing.tag),
        ])
    }

    fn inverse(&self, closing: &Closing, _beside: &Own) -> Acts {
        let families = Family::BOTH.into_iter().filter(|f| rules::concerns(closing, *f));
        let removed = families
            .map(|family| self.restore(family, rules::remove(closing, self.place(), family, Mark::Trial)));
        Acts(removed.collect())
    }

    fn dead_man(&self) -> DeadMan {
        DeadMan::Guard
    }

    fn lasting(&self, closing: &Closing) -> Lasting {
        let families = Family::BOTH.into_iter().filter(|f| rules::concerns(closing, *f));
        let loads = families.map(|family| {
            format!(
                "{save} -t mangle | grep -q '^:{chain} ' || {load}\nloaded=$((loaded | $?))\n",
                save = self.program(family, "save"),
                chain = rules::chain(&closing.tag),
                load = self
                    .restore(family, rules::load(closing, self.place(), family, Mark::Kept))
                    .call(),
            )
        });
        Lasting::Script(format!("loaded=0\n{}exit $loaded\n", loads.collect::<String>()))
    }
}
