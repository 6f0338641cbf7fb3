//! The sources that are at one place, by what else is known of their packets.

use super::{packet::State, space::Region};

/// Regions by the state of their packets, in the order of the states. Nearly always there is but one.
#[derive(Debug, Clone, Default)]
pub(super) struct Flow(Vec<(State, Region)>);

impl Flow {
    pub(super) fn new() -> Self {
        Self::default()
    }

    pub(super) fn of(state: State, region: Region) -> Self {
        Self(vec![(state, region)])
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The one and only.
    pub(super) fn only(&mut self) -> Option<(&State, &mut Region)> {
        match self.0.as_mut_slice() {
            [(state, region)] => Some((state, region)),
            _ => None,
        }
    }

    pub(super) fn states(&self) -> Vec<State> {
        self.0.iter().map(|(state, _)| state.clone()).collect()
    }

    pub(super) fn get_mut(&mut self, state: &State) -> Option<&mut Region> {
        let at = self.0.binary_search_by(|(own, _)| own.cmp(state)).ok()?;
        self.0.get_mut(at).map(|(_, region)| region)
    }

    pub(super) fn drop_empty(&mut self) {
        self.0.retain(|(_, region)| !region.is_empty());
    }

    /// Adds sources.
    pub(super) fn join(&mut self, state: State, region: Region) {
        if region.is_empty() {
            return;
        }
        match self.0.binary_search_by(|(own, _)| own.cmp(&state)) {
            Ok(at) => {
                if let Some((_, own)) = self.0.get_mut(at) {
                    own.absorb(region);
                }
            }
            Err(at) => self.0.insert(at, (state, region)),
        }
    }
}

impl IntoIterator for Flow {
    type Item = (State, Region);
    type IntoIter = std::vec::IntoIter<(State, Region)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl Extend<(State, Region)> for Flow {
    fn extend<I: IntoIterator<Item = (State, Region)>>(&mut self, parts: I) {
        for (state, region) in parts {
            self.join(state, region);
        }
    }
}

impl FromIterator<(State, Region)> for Flow {
    fn from_iter<I: IntoIterator<Item = (State, Region)>>(parts: I) -> Self {
        let mut flow = Self::new();
        flow.extend(parts);
        flow
    }
}
