//! How sure it is that a service is at a port, from all that is known of the host. Pure: a list of evidence in, one
//! assessment out. docs/knowledge.md has the rules as a table, and a test holds it against [`Kind`].
//!
//! What one source says counts once, however often it says it: two looks at a silent port are no more than one. The order
//! of the list does not matter. What supports never lowers, and what contradicts never raises.

use std::{cmp::Reverse, collections::BTreeMap, fmt};

use jiff::Timestamp;
use portcullis_model::{Assessment, Grade};

/// So much weight makes a service likely. The port alone has 1.
const LIKELY: u32 = 3;

/// What a piece of evidence says of the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// The service proved itself by its protocol.
    Proof,
    /// On the host itself, the process that listens there is the service's, and the program that it belongs to is installed.
    Process,
    /// The bytes carry marks of the service that are no proof.
    Marks,
    /// On the host itself, the name of the listening process or an installed program points to the service.
    Program,
    /// A check of another program that exists for this service alone reports it.
    Check,
    /// The operator knows it, of this very port of this host.
    Operator,
    /// Another service of the same maker is proven on the host.
    SameMaker,
    /// It behaves like a host that the operator knows, and unlike the other services that the signature was held against.
    Alike,
    /// The same, and no other service was ever found to behave differently, or one does not.
    AlikeUntested,
    /// Another program, that had asked the port, calls it so.
    Named,
    /// The hardware address is of a block of the service's maker.
    Hardware,
    /// The port is usual for it, or the site says that it was moved there; silence does not speak against it.
    Place,
    /// What came back is something that the service does not do.
    Excluded,
    /// On the host itself, another process listens there.
    OtherProcess,
    /// The operator says of this very port of this host that it is another service.
    Denied,
    /// It behaves unlike every host that the operator knows.
    Unlike,
}

/// Whose word a piece of evidence is. What one source says counts once.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// The number of the port. Whoever saw it open, it is the same number.
    Port,
    /// Our own packets to the port.
    Look,
    /// Packets of others to the port.
    Capture,
    /// The host's own tools.
    Host,
    /// Whatever tells who made the host: the hardware address, other services.
    Maker,
    /// Another program, by its short name.
    Tool(String),
    /// The operator.
    Operator,
    /// What was learned on this site.
    Signatures,
}

/// One thing that is known.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Piece {
    /// What it says of the service.
    pub kind: Kind,
    /// Whose word it is.
    pub source: Source,
    /// When that was so.
    pub at: Timestamp,
    /// What was found, in plain words.
    pub because: String,
}

impl Kind {
    /// Every kind, the strongest first of those that support, then of those that contradict.
    pub const ALL: [Self; 16] = [
        Self::Proof,
        Self::Process,
        Self::Marks,
        Self::Program,
        Self::Check,
        Self::Operator,
        Self::SameMaker,
        Self::Alike,
        Self::AlikeUntested,
        Self::Named,
        Self::Hardware,
        Self::Place,
        Self::Excluded,
        Self::Denied,
        Self::OtherProcess,
        Self::Unlike,
    ];

    /// What it counts.
    pub fn counts(self) -> Counts {
        match self {
            Self::Proof | Self::Process => Counts::Proves,
            Self::Marks | Self::Program | Self::Check | Self::Operator => Counts::For(3),
            Self::SameMaker | Self::Alike => Counts::For(2),
            Self::Named | Self::Hardware | Self::Place => Counts::For(1),
            Self::AlikeUntested => Counts::Nothing,
            Self::Denied => Counts::Against(3),
            Self::OtherProcess => Counts::Against(2),
            Self::Unlike => Counts::Against(1),
            Self::Excluded => Counts::RulesOut,
        }
    }

    /// As docs/knowledge.md calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Proof => "proof",
            Self::Process => "process",
            Self::Marks => "marks",
            Self::Program => "program",
            Self::Check => "check",
            Self::Operator => "operator",
            Self::SameMaker => "same maker",
            Self::Alike => "alike",
            Self::AlikeUntested => "alike, untested",
            Self::Named => "named",
            Self::Hardware => "hardware address",
            Self::Place => "port",
            Self::Excluded => "excluded",
            Self::Denied => "denied",
            Self::OtherProcess => "other process",
            Self::Unlike => "unlike",
        }
    }
}

/// What a kind of evidence counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counts {
    /// Makes it proven.
    Proves,
    /// So much for it.
    For(u32),
    /// Told, and counts nothing.
    Nothing,
    /// So much against it.
    Against(u32),
    /// Makes it ruled out.
    RulesOut,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Proves => f.write_str("proves"),
            Self::For(weight) => write!(f, "+{weight}"),
            Self::Nothing => f.write_str("0"),
            Self::Against(weight) => write!(f, "-{weight}"),
            Self::RulesOut => f.write_str("rules out"),
        }
    }
}

impl Piece {
    /// How heavy it is; a larger one goes first.
    fn weight(&self) -> u32 {
        match self.kind.counts() {
            Counts::Proves | Counts::RulesOut => u32::MAX,
            Counts::For(weight) | Counts::Against(weight) => weight,
            Counts::Nothing => 0,
        }
    }

    fn dated(&self) -> String {
        format!("{} ({})", self.because, self.at.strftime("%Y-%m-%d %H:%M"))
    }
}

/// Puts evidence about one service at one port of one host together; `None` without any that speaks for or against it.
pub fn combine(evidence: &[Piece]) -> Option<Assessment> {
    let supports = |piece: &Piece| matches!(piece.kind.counts(), Counts::Proves | Counts::For(_));
    let excludes = |piece: &Piece| piece.kind.counts() == Counts::RulesOut;
    let (supporting, repeated) = once_each(evidence, supports);
    let (against, repeated_against) = once_each(evidence, |piece| {
        matches!(piece.kind.counts(), Counts::Against(_))
    });
    let (told, _) = once_each(evidence, |piece| piece.kind.counts() == Counts::Nothing);
    let (excluding, _) = once_each(evidence, excludes);
    if supporting.is_empty() && excluding.is_empty() {
        return None;
    }
    let mut not_counted: Vec<String> = told.iter().map(|piece| piece.because.clone()).collect();
    let again = |piece: &&Piece| format!("{}: the same source is counted once", piece.because);
    not_counted.extend(repeated.iter().chain(&repeated_against).map(again));
    // A proof by protocol that came after: the port has another service now. Nothing else undoes what was seen.
    let proved_at = evidence
        .iter()
        .filter(|piece| piece.kind == Kind::Proof)
        .map(|piece| piece.at)
        .max();
    let excluded_at = evidence
        .iter()
        .filter(|piece| excludes(piece))
        .map(|piece| piece.at)
        .max();
    if excluded_at.is_some() && proved_at <= excluded_at {
        not_counted.sort();
        not_counted.dedup();
        return Some(ruled_out(&excluding, &supporting, not_counted));
    }
    not_counted.extend(
        excluding
            .iter()
            .map(|piece| format!("{}: a later look proved the service", piece.dated())),
    );
    not_counted.sort();
    not_counted.dedup();
    let proven = supporting
        .iter()
        .any(|piece| piece.kind.counts() == Counts::Proves);
    let sum = |pieces: &[&Piece]| {
        let weights = pieces.iter().map(|piece| piece.weight());
        weights.fold(0, u32::saturating_add)
    };
    let total = sum(&supporting).saturating_sub(sum(&against));
    let grade = match (proven, total) {
        (true, _) => Grade::Proven,
        (false, LIKELY..) => Grade::Likely,
        (false, _) => Grade::Possible,
    };
    Some(Assessment {
        grade,
        raised_by: supporting.iter().map(|piece| piece.because.clone()).collect(),
        lowered_by: against
            .iter()
            .map(|piece| match proven {
                true => format!("{}: contradicts the proof, and does not undo it", piece.dated()),
                false => piece.dated(),
            })
            .collect(),
        not_counted,
        for_more: for_more(grade, total),
    })
}

/// The pieces of a sort, the heaviest of each source, heaviest first; and those that are left over.
fn once_each(evidence: &[Piece], sort: impl Fn(&Piece) -> bool) -> (Vec<&Piece>, Vec<&Piece>) {
    let mut pieces: Vec<&Piece> = evidence.iter().filter(|piece| sort(piece)).collect();
    // Of equals the newest; of those any, but always the same.
    pieces.sort_by_key(|piece| (Reverse(piece.weight()), Reverse(piece.at), *piece));
    let mut first: BTreeMap<&Source, usize> = BTreeMap::new();
    let (mut kept, mut left) = (Vec::new(), Vec::new());
    for piece in pieces {
        let before = first.entry(&piece.source).or_default();
        *before += 1;
        if *before == 1 {
            kept.push(piece);
        } else if kept.iter().all(|other: &&Piece| other.because != piece.because) {
            left.push(piece);
        }
    }
    (kept, left)
}

fn ruled_out(excluding: &[&Piece], supporting: &[&Piece], not_counted: Vec<String>) -> Assessment {
    let mut lowered_by: Vec<String> = excluding.iter().map(|piece| piece.because.clone()).collect();
    let contradicts = |piece: &&&Piece| !matches!(piece.kind, Kind::Place | Kind::Hardware);
    lowered_by.extend(supporting.iter().filter(contradicts).map(|piece| {
        format!(
            "this contradicts: {}; one of the two is wrong or out of date",
            piece.dated()
        )
    }));
    Assessment {
        grade: Grade::RuledOut,
        raised_by: Vec::new(),
        lowered_by,
        not_counted,
        for_more: Some("a later look at the port in which the service proves itself".into()),
    }
}

fn for_more(grade: Grade, total: u32) -> Option<String> {
    match grade {
        Grade::Proven => None,
        Grade::Likely => Some(
            "for proven: an answer in the service's own protocol, or from the host itself the listening process and the \
             program that it belongs to (`portcullis check --import … --host ADDRESS`)"
                .into(),
        ),
        Grade::Possible | Grade::RuledOut => {
            let missing = LIKELY.saturating_sub(total);
            Some(format!(
                "for likely: {missing} more of weight from another source, e.g. the host's own listing (3), the operator's \
                 word (3), another proven service of the same maker (2), a hardware address of the maker (1)"
            ))
        }
    }
}

#[cfg(test)]
mod tests;
