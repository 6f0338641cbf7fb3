//! Where in the rules something stands, and what is remembered of a part of the sources on its way.

/// The number of a rule, of a policy or of another cause. 0 is none.
pub(super) type CauseId = u32;

/// What is remembered of a part of the sources.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Tag {
    /// What accepted or dropped it last where that decides.
    pub(super) decided: CauseId,
    /// The last thing of which is not known whether it applies, and that was followed as if it did.
    pub(super) fork: CauseId,
}
