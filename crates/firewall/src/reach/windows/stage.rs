//! All rules of one action, as rules of a chain.

use super::{
    record::Kind,
    rule::{Action, Told},
    sides::{interfaces, ports, who_listens},
    steps,
    values::Addresses,
};
use crate::{
    family::Family,
    reach::{
        nft::bits_of,
        question::{HostInterface, Question},
        ranges::Ranges,
        ruleset::{End, Rule, Step},
    },
};

/// In the place of addresses that a filter does not have.
const MISSING: &str = "(none)";

/// All rules of one action: those of which it is known whether they match, before the others, so that what they decide does
/// not hang on an unclear one.
pub(super) struct Stage {
    clear: Vec<Rule>,
    unclear: Vec<Rule>,
}

impl Stage {
    pub(super) const fn new() -> Self {
        Self {
            clear: Vec::new(),
            unclear: Vec::new(),
        }
    }

    pub(super) fn rules(self) -> impl Iterator<Item = Rule> {
        self.clear.into_iter().chain(self.unclear)
    }

    /// Adds a rule, unless it cannot match what is asked for.
    pub(super) fn add(&mut self, told: &Told<'_>, action: Action, perhaps: bool, question: &Question) {
        let mut unclear = told.unclear.clone();
        let mut common = Vec::new();
        match told.policy.filter(Kind::Ports, told.id) {
            Ok(record) => match ports(record, question) {
                None => return,
                Some(said) => {
                    common.extend(said.source_port);
                    unclear.extend(said.unclear);
                }
            },
            Err(why) => unclear.push(why),
        }
        unclear.extend(who_listens(told));
        if perhaps && unclear.is_empty() {
            unclear.push("it asks for authentication".into());
        }
        let mut writer = Writer {
            stage: self,
            name: &told.name,
            verdict: action.verdict(),
            unclear,
            common,
        };
        let addresses = told.policy.filter(Kind::Addresses, told.id).map(|record| {
            let of = |property: &str| {
                let words = record.words(property).filter(|words| !words.is_empty());
                Addresses::of(words.unwrap_or(&[MISSING.to_owned()]))
            };
            (of("localaddress"), of("remoteaddress"))
        });
        let ways = match interfaces(told, question) {
            Ok(ways) => ways,
            Err(why) => {
                writer.unclear.push(why);
                vec![None]
            }
        };
        match addresses {
            Ok((local, remote)) => writer.addresses(&ways, &local, &remote, question),
            Err(why) => {
                writer.unclear.push(why);
                writer.ways(&ways, &[]);
            }
        }
    }
}

/// Writes one rule as several, each with one set of addresses.
struct Writer<'a> {
    stage: &'a mut Stage,
    name: &'a str,
    verdict: Step,
    unclear: Vec<String>,
    common: Vec<Step>,
}

impl Writer<'_> {
    fn write(&mut self, more: &[Step], unclear: Option<&str>) {
        let mut steps = self.common.clone();
        steps.extend_from_slice(more);
        let why: Vec<&str> = self.unclear.iter().map(String::as_str).chain(unclear).collect();
        let to = if why.is_empty() {
            &mut self.stage.clear
        } else {
            steps.push(Step::Perhaps(why.join(", ")));
            &mut self.stage.unclear
        };
        steps.push(self.verdict.clone());
        to.push(steps::rule(self.name, steps));
    }

    fn ways(&mut self, ways: &[Option<Step>], more: &[Step]) {
        for way in ways {
            let steps: Vec<Step> = way.iter().chain(more).cloned().collect();
            self.write(&steps, None);
        }
    }

    fn addresses(
        &mut self,
        ways: &[Option<Step>],
        local: &Addresses,
        remote: &Addresses,
        question: &Question,
    ) {
        // Of the local address it is not asked which networks the host is in: it is one of the host's own in any case.
        if !local.unclear.is_empty() || !local.subnets.is_empty() {
            self.unclear.push("its local addresses".into());
        }
        let local_any = local.any || !local.unclear.is_empty() || !local.subnets.is_empty();
        for way in ways {
            for family in Family::BOTH {
                let mut before: Vec<Step> = way.iter().cloned().collect();
                if !local_any {
                    if local.ranges(family).is_empty() {
                        continue;
                    }
                    before.push(steps::address(End::Destination, family, local.ranges(family)));
                }
                self.sources(&before, family, remote, question);
            }
        }
    }

    fn sources(&mut self, before: &[Step], family: Family, remote: &Addresses, question: &Question) {
        let with = |more: &[Step]| [before, more].concat();
        let from = |ranges: &Ranges| steps::address(End::Source, family, ranges);
        let everybody = Ranges::one((0, family.highest()));
        if remote.any {
            self.write(&with(&[from(&everybody)]), None);
            return;
        }
        if !remote.ranges(family).is_empty() {
            self.write(&with(&[from(remote.ranges(family))]), None);
        }
        if remote.subnets.contains(&family) {
            self.subnets(before, family, question);
        }
        for word in &remote.unclear {
            self.write(
                &with(&[from(&everybody)]),
                Some(&format!("which addresses `{word}` are")),
            );
        }
    }

    /// `LocalSubnet`: the network of the interface by which a packet comes. Whether it is that of another one as well,
    /// and addresses of the link that nobody named, is not said.
    fn subnets(&mut self, before: &[Step], family: Family, question: &Question) {
        const UNCLEAR: &str = "which addresses `LocalSubnet` is here";
        let with = |more: Vec<Step>| [before, more.as_slice()].concat();
        let from = |ranges: &Ranges| steps::address(End::Source, family, ranges);
        let of_interface = |interface: &HostInterface| -> Ranges {
            let networks = interface.networks.iter();
            let of_family = networks.filter(|network| family.is_of(network.addr()));
            of_family
                .map(|network| (bits_of(network.network()), bits_of(network.broadcast())))
                .collect()
        };
        let known: Vec<(&str, Ranges)> = question
            .host
            .interfaces
            .iter()
            .map(|interface| (interface.name.as_str(), of_interface(interface)))
            .filter(|(_, networks)| !networks.is_empty())
            .collect();
        let of_link = match family {
            Family::V4 => Ranges::default(),
            // fe80::/10
            Family::V6 => Ranges::one((0xfe80 << 112, (0xfec0 << 112) - 1)),
        };
        let all = known
            .iter()
            .fold(of_link, |all, (_, networks)| all.union(networks));
        for (name, networks) in &known {
            self.write(&with(vec![steps::arrives_by(name, true), from(networks)]), None);
            let others = all.minus(networks);
            if !others.is_empty() {
                self.write(
                    &with(vec![steps::arrives_by(name, true), from(&others)]),
                    Some(UNCLEAR),
                );
            }
        }
        let mut elsewhere: Vec<Step> = known
            .iter()
            .map(|(name, _)| steps::arrives_by(name, false))
            .collect();
        elsewhere.push(from(&Ranges::one((0, family.highest()))));
        self.write(&with(elsewhere), Some(UNCLEAR));
    }
}
