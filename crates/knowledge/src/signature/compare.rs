//! One look held against those of a host that is known.

use portcullis_model::{AnswerToEnd, Behaviour, OwnEnd, TcpOptions};

use super::{Look, Signature};
use crate::combine::Kind;

/// Clocks and schedulers: two ends this close are the same.
const SLACK_MS: u64 = 250;
/// First bytes that must be the same where both speak.
const SAME_BYTES: usize = 4;

/// Whether a look is like the known ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Likeness {
    /// Everything that could be compared fits, and it was enough; names what was compared.
    Alike(Vec<&'static str>),
    /// Something does not fit.
    Unlike(String),
    /// Everything that could be compared fits, and any ordinary server that waits in silence does the same.
    Ordinary(Vec<&'static str>),
    /// Nothing differs so far, and the known ones end the connection themselves later than was listened.
    TooShort {
        /// How long was listened.
        listened_ms: u64,
        /// When they end it.
        ends_after_ms: u64,
    },
    /// Too little of it was measured.
    CannotTell,
}

/// How one feature compares.
enum Feature {
    Fits(&'static str),
    Differs(String),
    /// The known ones have it after so many milliseconds; the look was over by then.
    NotReached(u64),
    NotMeasured,
}

/// Holds a look against the looks at one host. Where these do not agree among themselves, nothing is compared.
pub fn compare(look: &Look, known: &[Look]) -> Likeness {
    let reaction = reaction(&look.behaviour, known);
    let own_end = own_end(&look.behaviour, known);
    // Silence, the stack of an ordinary system and an end that follows ours at once are shared by half a plant: without
    // anything that the service itself does, nothing is recognised.
    let reacts_so = matches!(reaction, Feature::Fits(_));
    let as_anybody = look.behaviour.answer_to_end == Some(AnswerToEnd::AtOnce);
    let characteristic = (reacts_so && !as_anybody) || matches!(own_end, Feature::Fits(WHEN_IT_ENDS));
    let mut fitting = Vec::new();
    let mut later = None;
    for feature in [
        speech(look, known),
        own_end,
        reaction,
        options(&look.behaviour, known),
        window(&look.behaviour, known),
    ] {
        match feature {
            Feature::Fits(name) => fitting.push(name),
            Feature::Differs(how) => return Likeness::Unlike(how),
            Feature::NotReached(ends_after_ms) => later = Some(ends_after_ms),
            Feature::NotMeasured => {}
        }
    }
    if let Some(ends_after_ms) = later {
        return Likeness::TooShort {
            listened_ms: look.behaviour.listened_ms,
            ends_after_ms,
        };
    }
    match fitting.len() >= 3 {
        true if characteristic => Likeness::Alike(fitting),
        true if reacts_so => Likeness::Ordinary(fitting),
        _ => Likeness::CannotTell,
    }
}

/// What the signatures of one service say of a look at another host, as evidence; `None` when they say nothing.
///
/// A likeness counts only where at least one counter-example is unlike, and none is alike: else everything that waits in
/// silence would be recognised. What is no likeness, and not unlike either, is told with its reason and counts nothing.
pub fn recognise(look: &Look, signatures: &[&Signature]) -> Option<(Kind, String)> {
    let (taught, counter): (Vec<&Signature>, Vec<&Signature>) = signatures.iter().partition(|one| one.is_it);
    let mut unlike = Vec::new();
    let mut undecided = None;
    for signature in &taught {
        let fitting = match compare(look, &signature.looks) {
            Likeness::Alike(fitting) => fitting,
            Likeness::Unlike(how) => {
                unlike.push(format!("unlike {}: {how}", signature.place()));
                continue;
            }
            Likeness::Ordinary(fitting) => {
                undecided.get_or_insert_with(|| ordinary(signature, &fitting));
                continue;
            }
            Likeness::TooShort {
                listened_ms,
                ends_after_ms,
            } => {
                undecided.get_or_insert_with(|| too_short(signature, listened_ms, ends_after_ms));
                continue;
            }
            Likeness::CannotTell => continue,
        };
        // What this look cannot tell from a counter-example speaks for it no less.
        let like = |other: &&&Signature| {
            let likeness = compare(look, &other.looks);
            matches!(likeness, Likeness::Alike(_) | Likeness::TooShort { .. })
        };
        let confused = counter.iter().find(like);
        let says = format!(
            "behaves like {}, which the operator knows as {} ({})",
            signature.place(),
            signature.service,
            fitting.join(", ")
        );
        let told_apart = counter
            .iter()
            .filter(|other| matches!(compare(look, &other.looks), Likeness::Unlike(_)))
            .count();
        return Some(match (confused, told_apart) {
            (Some(other), _) => (
                Kind::AlikeUntested,
                format!(
                    "{says}; so does {}, as far as was listened, which is another service: it proves nothing",
                    other.place()
                ),
            ),
            (None, 0) => (
                Kind::AlikeUntested,
                format!("{says}; without a counter-example that behaves differently this counts nothing"),
            ),
            (None, apart) => (
                Kind::Alike,
                format!("{says}, and unlike {apart} counter-example(s) of this site"),
            ),
        });
    }
    if !unlike.is_empty() && unlike.len() == taught.len() {
        return Some((Kind::Unlike, unlike.join("; ")));
    }
    undecided.map(|says| (Kind::AlikeUntested, says))
}

fn ordinary(signature: &Signature, fitting: &[&str]) -> String {
    format!(
        "does not differ from {}, which the operator knows as {} ({}); any server that waits in silence and ends when we \
         do behaves so: this counts nothing",
        signature.place(),
        signature.service,
        fitting.join(", ")
    )
}

fn too_short(signature: &Signature, listened_ms: u64, ends_after_ms: u64) -> String {
    format!(
        "cannot be held against {}, which the operator knows as {}: that one ends the connection itself after \
         {ends_after_ms} ms, and the look listened for {listened_ms} ms, which is too short to see it: this counts nothing",
        signature.place(),
        signature.service
    )
}

/// What the first bytes of a server that were overheard say of it, as evidence. They count where a counter-example was
/// overheard to begin with others.
pub fn recognise_bytes(bytes: &[u8], signatures: &[&Signature]) -> Option<(Kind, String)> {
    let head = bytes.get(..SAME_BYTES)?;
    let begins_so = |one: &&&Signature| one.overheard.starts_with(head);
    let known = signatures.iter().filter(|one| one.is_it).find(begins_so)?;
    let mut counter = signatures
        .iter()
        .filter(|one| !one.is_it && !one.overheard.is_empty())
        .peekable();
    let tested = counter.peek().is_some() && !counter.any(|one| begins_so(&one));
    let says = format!(
        "was overheard to begin like {}, which the operator knows as {}",
        known.place(),
        known.service
    );
    Some(match tested {
        true => (
            Kind::Alike,
            format!("{says}, and unlike the counter-examples of this site"),
        ),
        false => (
            Kind::AlikeUntested,
            format!(
                "{says}; without a counter-example that was overheard to begin differently this counts nothing"
            ),
        ),
    })
}

fn speech(look: &Look, known: &[Look]) -> Feature {
    let name = "whether it speaks first";
    let speaks = |look: &Look| !look.first_bytes.is_empty();
    let Some(first) = known.first() else {
        return Feature::NotMeasured;
    };
    if known.iter().any(|one| speaks(one) != speaks(first)) {
        return Feature::NotMeasured;
    }
    match (speaks(look), speaks(first)) {
        (false, false) => Feature::Fits(name),
        (true, true) => {
            let head = |look: &Look| {
                look.first_bytes
                    .iter()
                    .take(SAME_BYTES)
                    .copied()
                    .collect::<Vec<u8>>()
            };
            match known.iter().any(|one| head(one) == head(look)) {
                true => Feature::Fits(name),
                false => Feature::Differs("it begins with other bytes".into()),
            }
        }
        // It would have to be listened to for longer.
        (false, true)
            if known
                .iter()
                .any(|one| one.behaviour.spoke_after_ms > Some(look.behaviour.listened_ms)) =>
        {
            Feature::NotMeasured
        }
        (false, true) => Feature::Differs("it is silent".into()),
        (true, false) => Feature::Differs("it speaks first".into()),
    }
}

const WHEN_IT_ENDS: &str = "when and how it ends the connection itself";

/// When it ends the connection by itself. A look that was shorter than that says only that it was still open.
fn own_end(behaviour: &Behaviour, known: &[Look]) -> Feature {
    let ends: Vec<OwnEnd> = known.iter().filter_map(|one| one.behaviour.own_end).collect();
    let lowest = ends.iter().map(|end| end.after_ms).min();
    let highest = ends.iter().map(|end| end.after_ms).max();
    let open_until = known
        .iter()
        .filter(|one| one.behaviour.own_end.is_none())
        .map(|one| one.behaviour.listened_ms)
        .max()
        .unwrap_or(0);
    if lowest.is_some_and(|lowest| open_until > lowest + slack(lowest)) {
        return Feature::NotMeasured;
    }
    match (behaviour.own_end, lowest, highest) {
        (Some(end), Some(lowest), Some(highest)) => {
            let fits = end.after_ms + slack(lowest) >= lowest && end.after_ms <= highest + slack(highest);
            let alike_way = ends.iter().any(|other| other.reset == end.reset);
            match fits && alike_way {
                true => Feature::Fits(WHEN_IT_ENDS),
                false => Feature::Differs(format!("it ends the connection itself {}", shown(end))),
            }
        }
        (Some(end), _, _) if end.after_ms + slack(end.after_ms) < open_until => {
            Feature::Differs(format!("it ends the connection itself {}", shown(end)))
        }
        (None, _, Some(highest)) if behaviour.listened_ms > highest + slack(highest) => {
            Feature::Differs(format!("it is still open after {} ms", behaviour.listened_ms))
        }
        (None, Some(lowest), _) => Feature::NotReached(lowest),
        (None, None, _) if open_until > 0 => Feature::Fits("that it leaves the connection open"),
        _ => Feature::NotMeasured,
    }
}

fn shown(end: OwnEnd) -> String {
    let how = if end.reset { "by a reset" } else { "in order" };
    format!("after {} ms, {how}", end.after_ms)
}

fn slack(milliseconds: u64) -> u64 {
    SLACK_MS.max(milliseconds / 10)
}

fn reaction(behaviour: &Behaviour, known: &[Look]) -> Feature {
    let Some(answer) = behaviour.answer_to_end else {
        return Feature::NotMeasured;
    };
    let mut answers: Vec<AnswerToEnd> = known
        .iter()
        .filter_map(|one| one.behaviour.answer_to_end)
        .collect();
    answers.sort_unstable();
    answers.dedup();
    match answers.as_slice() {
        [one] if *one == answer => Feature::Fits("its reaction to our end"),
        [_] => Feature::Differs(format!("it {answer}")),
        _ => Feature::NotMeasured,
    }
}

/// The TCP options that all known looks agree on.
fn agreed(known: &[Look]) -> Option<TcpOptions> {
    let mut all = known.iter().filter_map(|one| one.behaviour.options);
    let first = all.next()?;
    let same = |other: TcpOptions| stack(other) == stack(first);
    all.all(same).then_some(first)
}

fn stack(options: TcpOptions) -> (bool, bool, bool, Option<u8>) {
    (
        options.timestamps,
        options.selective_acks,
        options.ecn,
        options.window_scale,
    )
}

fn options(behaviour: &Behaviour, known: &[Look]) -> Feature {
    match (behaviour.options, agreed(known)) {
        (Some(own), Some(known)) if stack(own) == stack(known) => Feature::Fits("TCP options"),
        (Some(own), Some(_)) => Feature::Differs(format!("its TCP options are others: {own}")),
        _ => Feature::NotMeasured,
    }
}

/// The first window, within a tenth: it depends a little on the path.
fn window(behaviour: &Behaviour, known: &[Look]) -> Feature {
    let of = |options: Option<TcpOptions>| options.and_then(|options| options.window);
    let (Some(own), Some(known)) = (of(behaviour.options), of(agreed(known))) else {
        return Feature::NotMeasured;
    };
    match own.abs_diff(known) <= known / 10 {
        true => Feature::Fits("first window"),
        false => Feature::Differs(format!("its first window is {own} bytes")),
    }
}
