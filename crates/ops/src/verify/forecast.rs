//! What the rules say of the packets that are sent: the prediction that stands beside each measurement, and the parts of it
//! that no packet has tested.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use ipnet::IpNet;
use portcullis_firewall::reach::{
    Answer, Because, Part, Passage, Question, Remark, Ruleset, View, reach as who_reaches,
};
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
    /// The port that they ask for, where that is another one, from which they are led here.
    pub asked: Option<Port>,
    /// The vantages from which one of these sources was tried; without one, it is not tested.
    pub witnesses: Vec<Vantage>,
}

/// The prediction for one port.
pub(super) struct Forecast<'a> {
    answer: Answer,
    /// Who asks for another port and is led to this one, or perhaps is.
    led_here: Vec<Class>,
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
        let mut question = Question::new(port, reach::host(&desk.machine, &ruleset, addresses)?);
        question.destinations = addresses.to_vec();
        question.forwarded = behind;
        let answer = who_reaches(&ruleset, &question);
        Ok(Self {
            led_here: led_here(&ruleset, &question, &answer),
            answer,
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

    /// What a reviewer of these rules should look at.
    pub(super) fn remarks(&self) -> Vec<String> {
        self.answer.remarks.iter().map(Remark::to_string).collect()
    }

    /// Who asks for another port and is led to this one, or perhaps is.
    pub(super) fn led_here(&self) -> &[Class] {
        &self.led_here
    }

    /// All parts of the prediction for the interfaces that there are.
    pub(super) fn classes(&self, witnesses: &BTreeMap<(usize, usize), Vec<Vantage>>) -> Vec<Class> {
        let mut classes = Vec::new();
        for (number, view) in self.answer.views.iter().enumerate() {
            let of_view = classes_of(view).into_iter().enumerate();
            classes.extend(of_view.map(|(part_number, class)| Class {
                witnesses: witnesses.get(&(number, part_number)).cloned().unwrap_or_default(),
                ..class
            }));
        }
        classes
    }
}

/// The parts of a view, for the interfaces that there are.
fn classes_of(view: &View) -> Vec<Class> {
    let there = view
        .interfaces
        .iter()
        .filter(|name| !name.starts_with("any other"));
    let interfaces: Vec<String> = there.cloned().collect();
    if interfaces.is_empty() {
        return Vec::new();
    }
    let class = |part: &Part| Class {
        is_ipv4: view.is_ipv4,
        interfaces: interfaces.clone(),
        destinations: view.destinations.clone(),
        sources: part.sources.clone(),
        passage: part.passage,
        because: because(part),
        asked: None,
        witnesses: Vec::new(),
    };
    view.parts.iter().map(class).collect()
}

/// By the rules that may lead packets for other ports here: who asks for those ports, and ends here. Of a rule that names no ports,
/// or many, that is not known of anybody.
fn led_here(ruleset: &Ruleset, question: &Question, answer: &Answer) -> Vec<Class> {
    let mut classes = Vec::new();
    for remark in &answer.remarks {
        let Remark::LedHere { rule, ports } = remark else {
            continue;
        };
        let Some(ports) = ports else {
            let everybody = answer.views.iter().flat_map(classes_of);
            classes.extend(everybody.map(|class| Class {
                passage: Passage::Unknown,
                because: vec![rule.to_string()],
                ..class
            }));
            continue;
        };
        for number in ports {
            let port = Port {
                number: *number,
                ..question.port
            };
            let asked = Question {
                port,
                ..question.clone()
            };
            for view in who_reaches(ruleset, &asked).views {
                let of_view = view.parts.iter().zip(classes_of(&view));
                let ends_here = of_view.filter(|(part, _)| ends_at(part, question));
                classes.extend(ends_here.map(|(_, class)| Class {
                    asked: Some(port),
                    ..class
                }));
            }
        }
    }
    classes
}

/// Whether a part is led to the port of a question, or to an unknown place.
fn ends_at(part: &Part, question: &Question) -> bool {
    match (part.passage, part.led_to.as_deref()) {
        (Passage::Unknown, _) => true,
        (Passage::Led, Some(place)) => match place.parse::<SocketAddr>() {
            Ok(place) => place.port() == question.port.number && question.destinations.contains(&place.ip()),
            Err(_) => place == format!(":{}", question.port.number),
        },
        _ => false,
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
    use portcullis_firewall::reach::{Host, HostInterface};

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
            ..Host::default()
        };
        Forecast {
            answer: who_reaches(&ruleset, &Question::new("tcp/54321".parse().unwrap(), host)),
            led_here: Vec::new(),
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
    fn who_asks_for_another_port_and_is_led_here_is_told_with_that_port() {
        let led = |target: &str, last: &str| {
            let mut ruleset = Ruleset::default();
            let rules = format!(
                "*nat\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p tcp -m tcp --dport 6000{last} -j {target}\nCOMMIT\n\
                 *mangle\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -p tcp -m tcp --dport 54321 -j DROP\n\
                 -A PREROUTING -s 10.7.30.0/24 -j DROP\nCOMMIT\n"
            );
            ruleset.add(&rules, None).unwrap();
            let host = Host {
                interfaces: vec![HostInterface {
                    name: "eth0".into(),
                    networks: vec!["10.7.10.10/24".parse().unwrap()],
                }],
                ..Host::default()
            };
            let question = Question::new("tcp/54321".parse().unwrap(), host);
            let answer = who_reaches(&ruleset, &question);
            led_here(&ruleset, &question, &answer)
        };
        let classes = led("REDIRECT --to-ports 54321", "");
        let v4: Vec<&Class> = classes.iter().filter(|class| class.is_ipv4).collect();
        assert_eq!(v4.len(), 1, "{classes:?}");
        assert_eq!(v4[0].asked, Some("tcp/6000".parse().unwrap()));
        let barred: IpAddr = "10.7.30.5".parse().unwrap();
        assert!(
            !v4[0].sources.iter().any(|network| network.contains(&barred)),
            "{v4:?}"
        );
        assert_eq!(led("REDIRECT --to-ports 54322", "").len(), 0);
        assert_eq!(led("DNAT --to-destination 192.0.2.9:54321", "").len(), 0);
        // Of many ports nobody asks each.
        let many = led("REDIRECT --to-ports 54321", ":7000");
        assert!(
            many.iter().all(|class| class.passage == Passage::Unknown) && !many.is_empty(),
            "{many:?}"
        );
    }

    #[test]
    fn what_a_reviewer_should_look_at_is_told_as_reach_tells_it() {
        let machine = Machine::Here;
        let told = forecast(
            &machine,
            "-A INPUT -i wg0 -p tcp --dport 54321 -j ACCEPT\n-A INPUT -p tcp -m addrtype --dst-type MULTICAST -m tcp --dport 54321 \
             -j ACCEPT\n-A INPUT -p tcp --dport 54321 -j DROP",
        )
        .remarks();
        let has = |what: &str| told.iter().any(|remark| remark.contains(what));
        assert!(has("anyone on any other wg0 gets through"), "{told:?}");
        assert!(has("line 4 never applies to this port"), "{told:?}");
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
