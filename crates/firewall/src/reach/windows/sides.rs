//! The filters of a rule: its ports, its interfaces, and what hangs on who listens and who asks.

use portcullis_model::Transport;

use super::{
    profile::interface,
    record::{Kind, Record},
    rule::Told,
    steps,
    values::Ports,
};
use crate::reach::{question::Question, ruleset::Step};

/// What the ports of a rule say of the port that is asked for.
pub(super) struct SaidOfPorts {
    pub(super) source_port: Option<Step>,
    pub(super) unclear: Vec<String>,
}

/// `None` where the rule is for another protocol or port.
pub(super) fn ports(record: &Record, question: &Question) -> Option<SaidOfPorts> {
    let mut unclear = Vec::new();
    let asked = match question.port.transport {
        Transport::Tcp => (6, "tcp"),
        Transport::Udp => (17, "udp"),
    };
    let others = [
        "icmpv4",
        "icmpv6",
        "igmp",
        "gre",
        "ipv6",
        "ipv6route",
        "ipv6frag",
        "ipv6nonxt",
        "ipv6opts",
        "hopopt",
        "vrrp",
        "pgm",
        "l2tp",
        "tcp",
        "udp",
    ];
    let protocol = record
        .word("protocol")
        .map(str::to_ascii_lowercase)
        .unwrap_or_default();
    let is_any = match (protocol.as_str(), protocol.parse::<u8>()) {
        ("any" | "256", _) => true,
        (word, _) if word == asked.1 => false,
        (_, Ok(number)) if number == asked.0 => false,
        (_, Ok(_)) => return None,
        (word, _) if others.contains(&word) => return None,
        _ => {
            unclear.push("its protocol".to_owned());
            false
        }
    };
    let words = |property: &str| {
        record
            .words(property)
            .filter(|words| !words.is_empty())
            .map(Ports::of)
    };
    match words("localport") {
        // A rule for all protocols names no ports.
        Some(local) if local.any => {}
        _ if is_any => unclear.push("ports of a rule for all protocols".to_owned()),
        Some(local) if local.ranges.contains(question.port.number.into()) => {}
        Some(local) if local.unclear.is_empty() => return None,
        Some(local) => unclear.push(format!("which ports `{}` are", local.unclear.join("`, `"))),
        None => unclear.push("its ports".to_owned()),
    }
    let mut source_port = None;
    match words("remoteport") {
        Some(remote) if remote.any => {}
        Some(remote) if remote.unclear.is_empty() && !is_any => {
            source_port = Some(steps::source_port(&remote.ranges))
        }
        _ => unclear.push("its remote ports".to_owned()),
    }
    let target = record.words_of(&["dynamictarget", "dynamictransport"]);
    if !is_one_of(target, &["any", "0"]) {
        unclear.push("its transport (DynamicTarget)".to_owned());
    }
    Some(SaidOfPorts { source_port, unclear })
}

fn is_one_of(words: Option<&[String]>, known: &[&str]) -> bool {
    match words {
        Some([word]) => known.iter().any(|known| word.eq_ignore_ascii_case(known)),
        _ => false,
    }
}

/// What hangs on the program that listens, on the kind of the interface, or on who authenticates.
pub(super) fn who_listens(told: &Told<'_>) -> Vec<String> {
    let mut unclear = Vec::new();
    let mut look =
        |kind: Kind, judge: &dyn Fn(&Record) -> Option<String>| match told.policy.filter(kind, told.id) {
            Ok(record) => unclear.extend(judge(record)),
            Err(why) => unclear.push(why),
        };
    look(Kind::Application, &|record| {
        let of_any = is_one_of(record.words_of(&["program", "apppath"]), &["any"]);
        let of_package = record.words("package");
        let none = of_package == Some(&[]) || is_one_of(of_package, &["any"]);
        (!of_any || !none).then(|| "which program listens (Program, Package)".to_owned())
    });
    look(Kind::Service, &|record| {
        let of_any = is_one_of(record.words_of(&["service", "servicename"]), &["any"]);
        (!of_any).then(|| "which service listens (Service)".to_owned())
    });
    look(Kind::InterfaceType, &|record| {
        let of_any = is_one_of(record.words("interfacetype"), &["any", "0"]);
        (!of_any).then(|| "the kind of the interface (InterfaceType)".to_owned())
    });
    look(Kind::Security, &|record| {
        let plain = ["authentication", "encryption"]
            .iter()
            .all(|property| is_one_of(record.words(property), &["notrequired", "0"]));
        let anybody = [
            ["localuser", "localusers"],
            ["remoteuser", "remoteusers"],
            ["remotemachine", "remotemachines"],
        ]
        .iter()
        .all(|names| is_one_of(record.words_of(names), &["any"]));
        (!plain || !anybody)
            .then(|| "who authenticates (Authentication, Encryption, users and machines)".to_owned())
    });
    unclear
}

/// The interfaces for which a rule is, each as a step; `None` is all.
pub(super) fn interfaces(told: &Told<'_>, question: &Question) -> Result<Vec<Option<Step>>, String> {
    let words = told
        .policy
        .filter(Kind::Interface, told.id)?
        .words("interfacealias");
    if is_one_of(words, &["any"]) {
        return Ok(vec![None]);
    }
    let unclear = || "its interfaces (InterfaceAlias)".to_owned();
    let words = words.filter(|words| !words.is_empty()).ok_or_else(unclear)?;
    let by = |word: &String| {
        let name = interface(word, &question.host).filter(|_| !word.eq_ignore_ascii_case("any"))?;
        Some(Some(steps::arrives_by(&name, true)))
    };
    words.iter().map(by).collect::<Option<_>>().ok_or_else(unclear)
}
