//! Cases from practice, each with its answer worked out by hand.

mod all_else;
mod compared;
mod damaged;
mod deciding;
mod groups;
mod headers;
mod ingress;
mod led;
mod listed;
mod negated;
mod paired;
mod places;
mod practice;
mod property;
mod windows;
mod windows_places;
mod windows_property;

use super::{Answer, Host, HostInterface, Passage, Question, Remark, Route, Ruleset, View, reach};

/// A host with these interfaces: `eth0=10.7.1.1/24,2001:db8:7:1::1/64`.
fn host(interfaces: &[&str]) -> Host {
    let interface = |text: &&str| {
        let (name, networks) = text.split_once('=').unwrap_or((text, ""));
        HostInterface {
            name: name.into(),
            networks: networks
                .split(',')
                .filter(|network| !network.is_empty())
                .map(|network| network.parse().unwrap())
                .collect(),
        }
    };
    Host {
        interfaces: interfaces.iter().map(interface).collect(),
        ..Host::default()
    }
}

fn ask(texts: &[&str], port: &str, host: Host) -> Answer {
    let mut rules = Ruleset::default();
    for text in texts {
        rules.add(text, None).unwrap();
    }
    reach(&rules, &Question::new(port.parse().unwrap(), host))
}

fn view<'a>(answer: &'a Answer, is_ipv4: bool, interface: &str) -> &'a View {
    let found =
        |view: &&View| view.is_ipv4 == is_ipv4 && view.interfaces.iter().any(|name| name == interface);
    answer
        .views
        .iter()
        .find(found)
        .unwrap_or_else(|| panic!("{interface}: {answer:#?}"))
}

/// The networks of one fate, as a person would write them.
fn networks(view: &View, passage: Passage) -> String {
    let networks: Vec<String> = view.networks(passage).iter().map(ToString::to_string).collect();
    networks.join(" ")
}

/// What decides for one source.
fn because(view: &View, source: &str) -> String {
    let part = view.of(source.parse().unwrap(), 50_000).unwrap();
    let because: Vec<String> = part.because.iter().map(ToString::to_string).collect();
    format!("{:?}: {}", part.passage, because.join("; "))
}
