//! What the answers need that no log tells.

use crate::Prefixes;

/// What is known of the site and of what was done there.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Prefixes whose verdict the site vouches for.
    pub prefixes: Prefixes,
}
