//! What has become of the changes since they were last looked at. Pure.

use std::{collections::BTreeMap, fmt};

use jiff::Timestamp;
use portcullis_model::{ChangeId, ChangeState, Digest, Doer, Port};
use serde::Serialize;

/// What has happened to a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// It is watched from now on.
    Watched,
    /// It was applied, or put on trial.
    OnTrial,
    /// It was confirmed.
    Confirmed,
    /// Somebody took it back with Portcullis.
    RolledBack,
    /// Its trial ended without a confirmation.
    FellBack,
    /// It never came into force.
    Failed,
    /// Somebody else removed it.
    Removed,
    /// Somebody else altered it: whether the port is closed cannot be concluded.
    Altered,
    /// It is in force again, and this watch did not do it.
    InForceAgain,
    /// It was put back by policy.
    Reapplied,
    /// It could not be put back, or must not be.
    NotReapplied,
    /// It was put back so often that it is left alone from now on.
    GaveUp,
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Watched => "watched",
            Self::OnTrial => "on trial",
            Self::Confirmed => "confirmed",
            Self::RolledBack => "rolled back",
            Self::FellBack => "fell back",
            Self::Failed => "failed",
            Self::Removed | Self::Altered => "not in force",
            Self::InForceAgain => "in force again",
            Self::Reapplied => "applied again",
            Self::NotReapplied => "not applied again",
            Self::GaveUp => "given up",
        })
    }
}

/// A change that stands otherwise than before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Alteration {
    /// When it was seen.
    pub at: Timestamp,
    /// The change.
    pub change: ChangeId,
    /// The port that it closes.
    pub port: Port,
    /// What has happened.
    pub what: What,
    /// Where it stood before, if it was known.
    pub was: Option<ChangeState>,
    /// Where it stands now.
    pub state: ChangeState,
    /// Why, in plain words.
    pub why: String,
    /// Who did it: whoever touched our rules since they were last compared. Empty when nobody can be named.
    pub by: Vec<Doer>,
}

impl Alteration {
    /// Whether the change is not in force, though nobody took it back.
    pub fn is_drift(&self) -> bool {
        self.state == ChangeState::NotInForce
    }

    /// Whether somebody else has just altered or removed it.
    pub fn is_tampering(&self) -> bool {
        matches!(self.what, What::Removed | What::Altered)
    }
}

/// A change as it stands now.
#[derive(Debug, Clone)]
pub(super) struct Stand {
    pub(super) change: ChangeId,
    pub(super) port: Port,
    pub(super) state: ChangeState,
    /// Digest of its rules, where the ruleset holds any.
    pub(super) held: Option<Digest>,
    pub(super) why: String,
}

/// How the changes stood when they were last looked at. Those that are over are not remembered.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    stands: BTreeMap<ChangeId, (ChangeState, Option<Digest>)>,
    begun: bool,
}

impl Remembered {
    /// What has become of the changes, each told once. `by` are those who touched our rules since then.
    pub(super) fn compare(&mut self, now: &[Stand], by: &[Doer], at: Timestamp) -> Vec<Alteration> {
        let mut alterations = Vec::new();
        for stand in now {
            let before = self.stands.get(&stand.change).copied();
            let was = before.map(|(state, _)| state);
            let Some(what) = self.what(before, stand) else {
                continue;
            };
            let blamed = matches!(what, What::Removed | What::Altered | What::InForceAgain);
            alterations.push(Alteration {
                at,
                change: stand.change,
                port: stand.port,
                what,
                was,
                state: stand.state,
                why: stand.why.clone(),
                by: if blamed { by.to_vec() } else { Vec::new() },
            });
        }
        let lasting = now.iter().filter(|stand| stand.state.may_be_loaded());
        self.stands = lasting
            .map(|stand| (stand.change, (stand.state, stand.held)))
            .collect();
        self.begun = true;
        alterations
    }

    /// Notes what this watch itself has made of a change, so that it is not told as somebody's deed.
    pub(super) fn note(&mut self, change: ChangeId, state: ChangeState, held: Option<Digest>) {
        self.stands.insert(change, (state, held));
    }

    /// Whether a change is not in force.
    pub(super) fn drift(&self) -> bool {
        self.stands
            .values()
            .any(|(state, _)| *state == ChangeState::NotInForce)
    }

    fn what(&self, before: Option<(ChangeState, Option<Digest>)>, now: &Stand) -> Option<What> {
        use ChangeState::{Applying, Confirmed, Failed, FellBack, NotInForce, OnTrial, RolledBack};
        let broken = if now.held.is_some() {
            What::Altered
        } else {
            What::Removed
        };
        match (before, now.state) {
            // What was over before we looked is nobody's news.
            (None, RolledBack | FellBack | Failed) => None,
            (None, _) if !self.begun => Some(What::Watched),
            (Some((NotInForce, held)), NotInForce) => (held != now.held).then_some(broken),
            (Some((state, _)), after) if state == after => None,
            (Some((NotInForce, _)), OnTrial | Confirmed) => Some(What::InForceAgain),
            (_, NotInForce) => Some(broken),
            (_, OnTrial) => Some(What::OnTrial),
            (_, Confirmed) => Some(What::Confirmed),
            (_, RolledBack) => Some(What::RolledBack),
            (_, FellBack) => Some(What::FellBack),
            (_, Failed) => Some(What::Failed),
            (_, Applying) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use portcullis_model::Untrusted;

    use super::*;

    fn stand(state: ChangeState, held: Option<&str>) -> Stand {
        Stand {
            change: ChangeId::of(&[b"one"]),
            port: Port::tcp(54321),
            state,
            held: held.map(Digest::of),
            why: "because".into(),
        }
    }

    fn nft() -> Doer {
        Doer {
            program: Untrusted::new("nft"),
            pid: 4711,
            process: None,
        }
    }

    fn seen(stands: &[Stand]) -> Vec<Option<(What, usize)>> {
        let mut remembered = Remembered::default();
        let told = |alterations: Vec<Alteration>| {
            assert!(alterations.len() < 2, "{alterations:?}");
            alterations.first().map(|one| (one.what, one.by.len()))
        };
        stands
            .iter()
            .map(|stand| {
                told(remembered.compare(std::slice::from_ref(stand), &[nft()], Timestamp::UNIX_EPOCH))
            })
            .collect()
    }

    #[test]
    fn what_happens_to_a_change_is_told_once_and_only_tampering_has_a_doer() {
        use ChangeState::{Confirmed, FellBack, NotInForce, OnTrial, RolledBack};
        let whole = Some("rules");
        for (next, told) in [
            (stand(Confirmed, whole), None),
            (stand(NotInForce, None), Some((What::Removed, 1))),
            (stand(NotInForce, Some("other")), Some((What::Altered, 1))),
            (stand(RolledBack, None), Some((What::RolledBack, 0))),
        ] {
            let begin = [stand(Confirmed, whole), next.clone(), next];
            assert_eq!(seen(&begin), [Some((What::Watched, 0)), told, None], "{begin:?}");
        }
        let trial = [
            stand(OnTrial, whole),
            stand(Confirmed, whole),
            stand(NotInForce, Some("other")),
            stand(NotInForce, None),
            stand(Confirmed, whole),
        ];
        assert_eq!(
            seen(&trial),
            [
                Some((What::Watched, 0)),
                Some((What::Confirmed, 0)),
                Some((What::Altered, 1)),
                Some((What::Removed, 1)),
                Some((What::InForceAgain, 1)),
            ]
        );
        let over = [
            stand(OnTrial, whole),
            stand(FellBack, None),
            stand(FellBack, None),
        ];
        assert_eq!(
            seen(&over),
            [Some((What::Watched, 0)), Some((What::FellBack, 0)), None]
        );
        assert_eq!(
            seen(&[stand(RolledBack, None), stand(RolledBack, None)]),
            [None, None]
        );
    }

    #[test]
    fn a_change_that_is_new_is_told_as_what_it_is_and_one_that_is_over_is_forgotten() {
        let mut remembered = Remembered::default();
        assert!(remembered.compare(&[], &[], Timestamp::UNIX_EPOCH).is_empty());
        let mut compare = |state| {
            let told = remembered.compare(&[stand(state, Some("rules"))], &[], Timestamp::UNIX_EPOCH);
            (told.first().map(|one| one.what), remembered.stands.len())
        };
        assert_eq!(compare(ChangeState::OnTrial), (Some(What::OnTrial), 1));
        assert_eq!(compare(ChangeState::FellBack), (Some(What::FellBack), 0));
    }

    #[test]
    fn what_the_watch_has_put_back_itself_is_not_told_again() {
        let mut remembered = Remembered::default();
        let id = ChangeId::of(&[b"one"]);
        remembered.compare(
            &[stand(ChangeState::NotInForce, None)],
            &[],
            Timestamp::UNIX_EPOCH,
        );
        remembered.note(id, ChangeState::Confirmed, Some(Digest::of("rules")));
        let now = [stand(ChangeState::Confirmed, Some("rules"))];
        assert!(
            remembered
                .compare(&now, &[nft()], Timestamp::UNIX_EPOCH)
                .is_empty()
        );
    }
}
