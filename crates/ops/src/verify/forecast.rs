//! What the rules say of the packets that are sent: the prediction that stands beside each measurement, and the parts of it
//! that no packet has tested.

use std::{collections::BTreeMap, net::IpAddr, time::Duration};

use ipnet::IpNet;
use portcullis_firewall::reach::{Answer, Because, Part, Passage, Question, View, reach as who_reaches};
use portcullis_model::{Port, Vantage};
use portcullis_sys::Machine;
use serde::Serialize;

use crate::{Desk, OpsError, reach};

const PATIENCE: Duration = Duration::from_secs(30);

/// What the rules say of one source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Predicted {
    /// Its fate.
    pub passage: Passage,
    /// What decides.
    pub because: Vec<String>,
    /// The part of the prediction that it belongs to.
    #[serde(skip)]
    pub(super) place: (usize, usize),
}

/// A part of the prediction: sources with one fate for one reason, for which one witness is enough.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Class {
    /// Whether it is of IPv4; otherwise of IPv6.
    pub is_ipv4: bool,
    /// The interfaces by which they come.
    pub interfaces: Vec<String>,
    /// The addresses of this host that they ask.
    pub destinations: Vec<IpAddr>,
    /// The fewest networks that are these sources.
    pub sources: Vec<IpNet>,
    /// Their fate.
    pub passage: Passage,
    /// What decides.
    pub because: Vec<String>,
    /// The vantages from which one of these sources was tried; without one, it is not tested.
    pub witnesses: Vec<Vantage>,
}

/// The prediction for one port.
pub(super) struct Forecast<'a> {
    answer: Answer,
    machine: &'a Machine,
    /// By which interface a source comes, as far as it was asked.
    ways: BTreeMap<IpAddr, Option<String>>,
}

impl<'a> Forecast<'a> {
    /// Reads the rules that are loaded now.
    pub(super) fn read(
        desk: &'a Desk,
        port: Port,
        addresses: &[IpAddr],
        behind: bool,
    ) -> Result<Self, OpsError> {
        let ruleset = reach::live(&desk.machine)?;
        let mut question = Question::new(port, reach::host(&desk.machine)?);
        question.destinations = addresses.to_vec();
        question.forwarded = behind;
        Ok(Self {
            answer: who_reaches(&ruleset, &question),
            machine: &desk.machine,
            ways: BTreeMap::new(),
        })
    }

    /// What the rules say of one source; `None` of this host's own packets, which pass no interface, and of those of which
    /// it is not known by which interface they come.
    pub(super) fn of(&mut self, source: IpAddr, address: IpAddr) -> Option<Predicted> {
        let source = source.to_canonical();
        let machine = self.machine;
        let way = self
            .ways
            .entry(source)
            .or_insert_with(|| way_of(machine, source))
            .clone()?;
        let wanted = self.answer.view(source.is_ipv4(), &way, Some(address))?;
        let number = self.answer.views.iter().position(|view| view == wanted)?;
        predicted(wanted, number, source)
    }

    /// All parts of the prediction for the interfaces that there are.
    pub(super) fn classes(&self, witnesses: &BTreeMap<(usize, usize), Vec<Vantage>>) -> Vec<Class> {
        let mut classes = Vec::new();
        for (number, view) in self.answer.views.iter().enumerate() {
            let interfaces: Vec<String> = view
                .interfaces
                .iter()
                .filter(|name| !name.starts_with("any other"))
                .cloned()
                .collect();
            if interfaces.is_empty() {
                continue;
            }
            classes.extend(view.parts.iter().enumerate().map(|(part_number, part)| Class {
                is_ipv4: view.is_ipv4,
                interfaces: interfaces.clone(),
                destinations: view.destinations.clone(),
                sources: part.sources.clone(),
                passage: part.passage,
                because: because(part),
                witnesses: witnesses.get(&(number, part_number)).cloned().unwrap_or_default(),
            }));
        }
        classes
    }
}

fn because(part: &Part) -> Vec<String> {
    part.because.iter().map(Because::to_string).collect()
}

/// Where the source port decides, nothing is predicted: each attempt has another one.
fn predicted(view: &View, number: usize, source: IpAddr) -> Option<Predicted> {
    let holds = |part: &Part| part.sources.iter().any(|network| network.contains(&source));
    let mut parts = view.parts.iter().enumerate().filter(|(_, part)| holds(part));
    let (place, part) = parts.next()?;
    let same_fate = parts.all(|(_, other)| other.passage == part.passage);
    same_fate.then(|| Predicted {
        passage: part.passage,
        because: because(part),
        place: (number, place),
    })
}

/// The interface by which answers to a source leave, which is taken for the one by which it comes.
fn way_of(machine: &Machine, source: IpAddr) -> Option<String> {
    let asked = machine
        .run("ip", &["route", "get", &source.to_string()], "", PATIENCE)
        .ok()?;
    let mut words = asked.stdout.split_whitespace();
    words.find(|word| *word == "dev")?;
    words.next().filter(|name| *name != "lo").map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use portcullis_firewall::reach::{Host, HostInterface, Ruleset};

    use super::*;

    fn forecast<'a>(machine: &'a Machine, rules: &str) -> Forecast<'a> {
        let mut ruleset = Ruleset::default();
        ruleset
            .add(&format!("*filter\n:INPUT ACCEPT [0:0]\n{rules}\nCOMMIT\n"), None)
            .unwrap();
        let host = Host {
            interfaces: vec![HostInterface {
                name: "eth0".into(),
                networks: vec!["10.7.10.10/24".parse().unwrap()],
            }],
        };
        Forecast {
            answer: who_reaches(&ruleset, &Question::new("tcp/54321".parse().unwrap(), host)),
            machine,
            ways: BTreeMap::new(),
        }
    }

    #[test]
    fn each_part_wants_a_witness_of_its_own() {
        let machine = Machine::Here;
        let mut forecast = forecast(
            &machine,
            "-A INPUT -s 10.7.20.0/24 -j ACCEPT\n-A INPUT -s 10.7.30.0/24 -j DROP\n-A INPUT -p tcp --dport 54321 -j DROP",
        );
        let (office, here): (IpAddr, IpAddr) = ("10.7.30.5".parse().unwrap(), "10.7.10.10".parse().unwrap());
        forecast.ways.insert(office, Some("eth0".into()));
        let predicted = forecast.of(office, here).unwrap();
        assert_eq!(predicted.passage, Passage::Blocked);
        assert!(predicted.because[0].ends_with("line 4"), "{predicted:?}");
        let witnesses = BTreeMap::from([(predicted.place, vec![Vantage::lab("office")])]);
        let classes = forecast.classes(&witnesses);
        let tested: Vec<(Passage, usize)> = classes
            .iter()
            .filter(|class| class.is_ipv4)
            .map(|class| (class.passage, class.witnesses.len()))
            .collect();
        assert_eq!(tested.len(), 3, "{classes:?}");
        assert_eq!(tested.iter().filter(|(_, witnesses)| *witnesses == 1).count(), 1);
    }

    #[test]
    fn where_the_source_port_decides_nothing_is_predicted() {
        let machine = Machine::Here;
        let mut forecast = forecast(
            &machine,
            "-A INPUT -p tcp --sport 1024:65535 --dport 54321 -j DROP",
        );
        let (office, here): (IpAddr, IpAddr) = ("10.7.30.5".parse().unwrap(), "10.7.10.10".parse().unwrap());
        forecast.ways.insert(office, Some("eth0".into()));
        assert_eq!(forecast.of(office, here), None);
        // Of this host's own packets, and of those who come from nobody knows where.
        forecast.ways.insert(here, None);
        assert_eq!(forecast.of(here, here), None);
    }
}
