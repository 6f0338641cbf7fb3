//! Decisions as `cscli decisions import --format json` takes them (CrowdSec documentation, "cscli decisions import"): a list
//! of objects with `duration`, `reason`, `scope`, `type` and `value`.

use serde_json::{Value, json};

use super::Offender;

/// How long a decision holds unless CrowdSec is told otherwise.
const DURATION: &str = "4h";

/// The list.
pub(crate) fn decisions(offenders: &[Offender]) -> Value {
    offenders
        .iter()
        .map(|offender| {
            json!({
                "duration": DURATION,
                "reason": format!("portcullis: {}", offender.kinds()),
                "scope": "ip",
                "type": "ban",
                "value": offender.address,
            })
        })
        .collect()
}
