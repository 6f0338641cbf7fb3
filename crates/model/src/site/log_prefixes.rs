//! `[[log_prefix]]`: what the owner's own log rules do with a packet.

use super::LogPrefix;
use crate::{
    Verdict,
    config::{Document, Section},
};

/// The kernel keeps 127 bytes of a rule's prefix (`NF_LOG_PREFIXLEN` in `linux/netfilter/nf_log.h`): a longer one is in no log.
const LONGEST: usize = 127;

pub(super) fn log_prefixes(document: &Document<'_>, sections: Vec<Section<'_, '_>>) -> Vec<LogPrefix> {
    let mut all: Vec<LogPrefix> = Vec::new();
    for mut section in sections {
        let begins = section.required("begins");
        let verdict = section.required("verdict");
        section.finish();
        let verdict = verdict.and_then(|verdict| {
            let known = [Verdict::Blocked, Verdict::Allowed, Verdict::Unknown];
            let read = known.into_iter().find(|known| known.to_string() == verdict.value);
            if read.is_none() {
                let what = format!(
                    "`{}` is not a verdict: write blocked, allowed or unknown",
                    verdict.value
                );
                document.problem(verdict.offset, what);
            }
            read
        });
        let Some(begins) = begins else { continue };
        let text = begins.value.trim();
        if text.len() > LONGEST {
            let what = format!("`begins` is longer than {LONGEST} bytes, and no rule's prefix is");
            document.problem(begins.offset, what);
        }
        if all.iter().any(|other| other.begins == text) {
            document.problem(
                begins.offset,
                format!("there are two log prefixes that begin with `{text}`"),
            );
        }
        all.push(LogPrefix {
            begins: text.into(),
            verdict: verdict.unwrap_or(Verdict::Unknown),
        });
    }
    all
}
