//! From what was seen to a verdict. Pure.

use std::{fmt, net::IpAddr};

use portcullis_firewall::reach::Passage;
use portcullis_model::{Exit, NetworkSet, Observation, Plan, Port, PortState, Site, Vantage, without};
use portcullis_scan::Sighting;
use serde::Serialize;

use super::forecast::{Class, Predicted};
use crate::Desk;

/// What one vantage saw of one address, and what that means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Where it was seen from.
    pub vantage: Vantage,
    /// Our own address there.
    pub source: Option<IpAddr>,
    /// The address that was asked.
    pub address: IpAddr,
    /// What the same vantage saw the last time.
    pub before: Option<PortState>,
    /// What it sees now.
    pub now: PortState,
    /// Why, in plain words.
    pub because: String,
    /// Whether the positive control answered; `None` when there was none.
    pub control: Option<bool>,
    /// Whether its packets came as far as this host; `None` when that is not known.
    pub arrived: Option<bool>,
    /// What the rules that are loaded say of it; `None` when they say nothing.
    pub predicted: Option<Predicted>,
    /// Whether it should get through; `None` when nothing says so.
    pub expected: Option<bool>,
    /// What prediction and measurement prove together.
    pub proof: Proof,
    /// The verdict on this row.
    pub verdict: Verdict,
}

/// What prediction and measurement prove together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Proof {
    /// The rules say that it is closed, its packets came as far as this host, and nothing answered them.
    ProvedClosed,
    /// The packets say that it is closed, and not that the rules of this host are what closes it.
    ClosedNotPredicted,
    /// The packets say that it is open, whatever the rules say.
    Open,
    /// The packets prove nothing.
    CannotConclude,
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ProvedClosed => "proved closed",
            Self::ClosedNotPredicted => "closed as measured, not predicted",
            Self::Open => "open",
            Self::CannotConclude => "cannot conclude",
        })
    }
}

/// What was measured.
#[derive(Debug, Clone, Copy)]
pub(super) struct Measured<'a> {
    pub(super) port: &'a Sighting,
    /// Whether the positive control answered; `None` when there was none.
    pub(super) control: Option<bool>,
    /// Whether the packets came as far as this host; `None` when that is not known.
    pub(super) arrived: Option<bool>,
}

/// Silence means something only where the control beside it was heard; and for the rules only where there was something that
/// they could drop.
fn proof(now: PortState, control: Option<bool>, predicted: Option<Passage>, arrived: Option<bool>) -> Proof {
    match (now, predicted) {
        (PortState::Open, _) => Proof::Open,
        (PortState::NotTested, _) => Proof::CannotConclude,
        _ if control != Some(true) => Proof::CannotConclude,
        (_, Some(Passage::Blocked)) if arrived == Some(true) => Proof::ProvedClosed,
        _ => Proof::ClosedNotPredicted,
    }
}

/// What packets have shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// As it should be: closed where it should be closed, open where it should be open.
    AsExpected,
    /// Nothing says what it should be.
    NoExpectation,
    /// Closed where it should be closed, but what closes it is not what the rules of this host say.
    NotPredicted,
    /// The packets prove nothing: the positive control did not answer either.
    CannotConclude,
    /// Cut, though it should get through, or nothing listens any more.
    Cut,
    /// Open, though it should be closed.
    NotClosed,
}

impl Verdict {
    /// How the process ends on this verdict.
    pub fn exit(self) -> Exit {
        match self {
            Self::AsExpected | Self::NoExpectation => Exit::Clean,
            Self::NotPredicted | Self::CannotConclude => Exit::Partial,
            Self::Cut | Self::NotClosed => Exit::Found,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AsExpected => "as expected",
            Self::NoExpectation => "no expectation",
            Self::NotPredicted => "closed as measured, not predicted",
            Self::CannotConclude => "cannot conclude",
            Self::Cut => "CUT",
            Self::NotClosed => "NOT CLOSED",
        })
    }
}

impl Row {
    pub(super) fn new(
        vantage: Vantage,
        before: Option<PortState>,
        measured: Measured<'_>,
        predicted: Option<Predicted>,
        expected: Option<bool>,
    ) -> Self {
        let Measured {
            port,
            control,
            arrived,
        } = measured;
        let passage = predicted.as_ref().map(|predicted| predicted.passage);
        let proof = proof(port.state, control, passage, arrived);
        Self {
            vantage,
            source: port.source,
            address: port.address,
            before,
            now: port.state,
            because: port.because.clone(),
            control,
            arrived,
            expected,
            proof,
            verdict: verdict(port.state, control, expected, proof),
            predicted,
        }
    }

    /// Whether it is open though the rules say that it is blocked.
    pub fn is_contradicted(&self) -> bool {
        let blocked = |predicted: &Predicted| predicted.passage == Passage::Blocked;
        self.proof == Proof::Open && self.predicted.as_ref().is_some_and(blocked)
    }

    /// What is at odds between the rules and the packets, in plain words.
    pub fn disagreement(&self) -> Option<&'static str> {
        match (self.predicted.as_ref()?.passage, self.proof) {
            (Passage::Blocked, Proof::Open) => Some("the rules say that it is blocked, and it is open"),
            (Passage::Through, Proof::ClosedNotPredicted) => Some(match self.arrived {
                Some(true) => "the rules of this host let it through, and it is not answered",
                Some(false) => {
                    "the rules of this host let it through, and it does not come as far as this host"
                }
                None => "the rules of this host let it through, and it does not arrive or is not answered",
            }),
            (Passage::Blocked, Proof::ClosedNotPredicted) => Some(match self.arrived {
                Some(true) => "elsewhere packets have shown that the rules are not all that decides",
                Some(false) => {
                    "the rules say that it is blocked, but it does not come as far as this host: somebody on the way holds it back"
                }
                None => {
                    "the rules say that it is blocked, but whether it came as far as this host is not known"
                }
            }),
            _ => None,
        }
    }
}

/// The verdict on one look.
fn verdict(now: PortState, control: Option<bool>, expected: Option<bool>, proof: Proof) -> Verdict {
    match (now, expected) {
        (PortState::NotTested, _) => Verdict::CannotConclude,
        (_, None) => Verdict::NoExpectation,
        (PortState::Open, Some(true)) => Verdict::AsExpected,
        (PortState::Open, Some(false)) => Verdict::NotClosed,
        // Silence means something only where the control beside it was heard.
        (_, Some(_)) if control != Some(true) => Verdict::CannotConclude,
        (_, Some(false)) if proof == Proof::ProvedClosed => Verdict::AsExpected,
        (_, Some(false)) => Verdict::NotPredicted,
        (_, Some(true)) => Verdict::Cut,
    }
}

/// Where packets contradict the rules once, the rules prove nothing of the other rows either.
pub(super) fn doubt(rows: &mut [Row]) {
    if !rows.iter().any(Row::is_contradicted) {
        return;
    }
    for row in rows.iter_mut().filter(|row| row.proof == Proof::ProvedClosed) {
        row.proof = Proof::ClosedNotPredicted;
        row.verdict = verdict(row.now, row.control, row.expected, row.proof);
    }
}

/// The parts of the prediction by which somebody gets through who should not, or of whom that is not concluded, whether or not
/// anybody looked from there; each without those who may.
pub(super) fn let_in(classes: &[Class], allowed: &NetworkSet) -> Vec<Class> {
    let strangers = |class: &Class| Class {
        sources: class
            .sources
            .iter()
            .flat_map(|source| without(source, allowed))
            .collect(),
        ..class.clone()
    };
    let may_let_in = |class: &&Class| {
        class.passage != Passage::Blocked && class.interfaces.iter().any(|name| name != "lo")
    };
    let classes = classes.iter().filter(may_let_in).map(strangers);
    classes.filter(|class| !class.sources.is_empty()).collect()
}

/// The word over all: the worst of the rows. A service that no longer listens has been cut, whatever the rows say.
/// Where nobody looked who should be kept out, where somebody changed the rules, or where the rules let in, or may let in, who
/// should be kept out, nothing is proved closed.
pub(super) fn overall(
    rows: &[Row],
    listening: Option<bool>,
    smoke: Option<bool>,
    altered: &[String],
    lets_in: bool,
) -> Verdict {
    let somebody_is_kept_out =
        altered.is_empty() && !lets_in && rows.iter().any(|row| row.expected == Some(false));
    let worst = rows
        .iter()
        .map(|row| row.verdict)
        .max()
        .unwrap_or(Verdict::CannotConclude);
    let word = if somebody_is_kept_out && !rows.iter().any(Row::is_contradicted) {
        worst
    } else {
        worst.max(Verdict::CannotConclude)
    };
    if listening == Some(false) || smoke == Some(false) {
        word.max(Verdict::Cut)
    } else {
        word
    }
}

/// Whether a vantage should get through: the plan says it; without a plan the conduits do.
pub(super) fn expected(
    desk: &Desk,
    plan: Option<&Plan>,
    port: Port,
    vantage: &Vantage,
    seen: &Observation,
) -> Option<bool> {
    if *vantage == Vantage::this_host() && desk.machine.via().is_none() {
        return Some(true);
    }
    let source = seen.source.map(|source| source.to_canonical());
    match plan {
        Some(plan) => source.map(|source| plan.allowed_networks().contains(source)),
        None => by_conduit(
            desk.site.as_ref()?,
            &desk.knowledge.names(),
            port,
            source?,
            seen.address,
            desk,
        ),
    }
}

fn by_conduit(
    site: &Site,
    names: &std::collections::BTreeSet<portcullis_model::ServiceName>,
    port: Port,
    source: IpAddr,
    address: IpAddr,
    desk: &Desk,
) -> Option<bool> {
    let (from, to) = (site.zone_of(source)?, site.zone_of(address)?);
    let on_port = |name: &&portcullis_model::ServiceName| {
        desk.knowledge
            .service(name)
            .is_some_and(|known| known.ports.contains(&port))
            || site.extra_ports(name).any(|moved| moved == port)
    };
    Some(
        from == to
            || names
                .iter()
                .filter(on_port)
                .any(|name| site.permits(&from.name, &to.name, name)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_proves_nothing_where_the_control_is_silent_too() {
        use PortState::{Closed, NoAnswer, NotTested, Open};
        for (now, control, expected, verdict) in [
            (NoAnswer, Some(true), Some(false), Verdict::NotPredicted),
            (NoAnswer, Some(false), Some(false), Verdict::CannotConclude),
            (NoAnswer, None, Some(false), Verdict::CannotConclude),
            (NoAnswer, Some(true), Some(true), Verdict::Cut),
            (Closed, Some(true), Some(true), Verdict::Cut),
            (Open, Some(false), Some(false), Verdict::NotClosed),
            (Open, None, Some(true), Verdict::AsExpected),
            (Open, None, None, Verdict::NoExpectation),
            (NotTested, Some(true), None, Verdict::CannotConclude),
        ] {
            assert_eq!(
                super::verdict(now, control, expected, Proof::ClosedNotPredicted),
                verdict,
                "{now} {control:?} {expected:?}"
            );
        }
    }

    #[test]
    fn only_prediction_and_measurement_together_prove_it_closed() {
        use PortState::{Closed, NoAnswer, NotTested, Open};
        let (blocked, through, unknown) = (
            Some(Passage::Blocked),
            Some(Passage::Through),
            Some(Passage::Unknown),
        );
        assert_eq!(
            super::verdict(NoAnswer, Some(true), Some(false), Proof::ProvedClosed),
            Verdict::AsExpected
        );
        for arrived in [Some(false), None] {
            assert_eq!(
                proof(NoAnswer, Some(true), blocked, arrived),
                Proof::ClosedNotPredicted
            );
        }
        for (now, control, predicted, expected) in [
            (NoAnswer, Some(true), blocked, Proof::ProvedClosed),
            (NoAnswer, Some(true), through, Proof::ClosedNotPredicted),
            (Closed, Some(true), unknown, Proof::ClosedNotPredicted),
            (NoAnswer, Some(true), None, Proof::ClosedNotPredicted),
            (NoAnswer, Some(false), blocked, Proof::CannotConclude),
            (NoAnswer, None, blocked, Proof::CannotConclude),
            (Open, None, blocked, Proof::Open),
            (Open, Some(true), through, Proof::Open),
            (NotTested, Some(true), blocked, Proof::CannotConclude),
        ] {
            assert_eq!(
                proof(now, control, predicted, Some(true)),
                expected,
                "{now} {control:?} {predicted:?}"
            );
        }
    }

    #[test]
    fn where_packets_contradict_the_rules_nothing_is_concluded() {
        let row = |vantage: &str, proof, expected: bool| Row {
            vantage: Vantage::lab(vantage),
            source: None,
            address: "10.7.10.10".parse().unwrap(),
            before: None,
            now: if proof == Proof::Open {
                PortState::Open
            } else {
                PortState::NoAnswer
            },
            because: String::new(),
            control: Some(true),
            arrived: Some(true),
            predicted: Some(Predicted {
                passage: Passage::Blocked,
                because: Vec::new(),
                place: (0, 0),
            }),
            expected: Some(expected),
            proof,
            verdict: Verdict::AsExpected,
        };
        let kept_out = row("office", Proof::ProvedClosed, false);
        assert_eq!(
            overall(std::slice::from_ref(&kept_out), Some(true), None, &[], false),
            Verdict::AsExpected
        );
        assert_eq!(
            overall(std::slice::from_ref(&kept_out), Some(true), None, &[], true),
            Verdict::CannotConclude
        );
        let contradicted = row("engineering", Proof::Open, true);
        let mut rows = [kept_out, contradicted];
        doubt(&mut rows);
        assert_eq!(rows[0].proof, Proof::ClosedNotPredicted);
        assert_eq!(rows[0].verdict, Verdict::NotPredicted);
        assert_eq!(
            overall(&rows, Some(true), None, &[], false),
            Verdict::CannotConclude
        );
    }

    #[test]
    fn who_is_let_in_by_the_rules_and_should_not_be_is_told_whoever_looked() {
        let class = |sources: &str, passage| Class {
            is_ipv4: true,
            interfaces: vec!["eth0".into()],
            destinations: Vec::new(),
            sources: vec![sources.parse().unwrap()],
            passage,
            because: Vec::new(),
            asked: None,
            witnesses: Vec::new(),
        };
        let classes = [
            class("10.7.20.0/25", Passage::Through),
            class("10.7.0.0/16", Passage::Blocked),
            class("192.0.2.0/24", Passage::Through),
        ];
        let allowed = NetworkSet::from_iter(["10.7.20.0/24".parse().unwrap()]);
        assert_eq!(let_in(&classes, &allowed), [classes[2].clone()]);
        // Of a part that holds both, only those who should not are told; and those of whom nothing is concluded.
        let both = [
            class("10.7.20.0/23", Passage::Led),
            class("10.7.30.0/24", Passage::Unknown),
        ];
        let strangers = [
            class("10.7.21.0/24", Passage::Led),
            class("10.7.30.0/24", Passage::Unknown),
        ];
        assert_eq!(let_in(&both, &allowed), strangers);
    }

    #[test]
    fn the_worst_row_decides_and_nothing_at_all_concludes_nothing() {
        assert_eq!(
            overall(&[], Some(true), None, &[], false),
            Verdict::CannotConclude
        );
        assert_eq!(overall(&[], Some(false), None, &[], false), Verdict::Cut);
        assert_eq!(overall(&[], Some(true), Some(false), &[], false), Verdict::Cut);
    }
}
