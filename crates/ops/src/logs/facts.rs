//! What the answers need that no log tells: from the site.

use portcullis_logs::{Facts, Prefixes};
use portcullis_model::Site;

use crate::Desk;

/// What is known here.
pub fn facts(desk: &Desk) -> Facts {
    Facts {
        prefixes: desk.site.as_ref().map(prefixes).unwrap_or_default(),
    }
}

fn prefixes(site: &Site) -> Prefixes {
    let declared = site.log_prefixes.iter();
    Prefixes::declared(
        declared
            .map(|prefix| (prefix.begins.clone(), prefix.verdict))
            .collect(),
    )
}
