//! `[[detection]]`: which signs in firewall logs are told of, and from how many on.

use std::time::Duration;

use super::read::network_of;
use crate::{
    Detection, DetectionKind, Detections,
    config::{Document, Section, nearest},
};

/// Longest time that a detection looks back: what is remembered for it is bounded, and a quarter covers the slowest.
const LONGEST: Duration = Duration::from_secs(92 * 24 * 3600);

pub(super) fn detections(document: &Document<'_>, sections: Vec<Section<'_, '_>>) -> Detections {
    let mut all = Detections::default();
    let mut named: Vec<DetectionKind> = Vec::new();
    for section in sections {
        let offset = section.offset;
        let Some(detection) = detection(document, section) else {
            continue;
        };
        if named.contains(&detection.kind) {
            document.problem(
                offset,
                format!("there are two detections called `{}`", detection.kind),
            );
        }
        named.push(detection.kind);
        all.set(detection);
    }
    all
}

fn detection(document: &Document<'_>, mut section: Section<'_, '_>) -> Option<Detection> {
    let name = section.required("name");
    let kind = name
        .as_ref()
        .and_then(|name| match name.value.parse::<DetectionKind>() {
            Ok(kind) => Some(kind),
            Err(error) => {
                let near = nearest(
                    &name.value,
                    DetectionKind::ALL.into_iter().map(DetectionKind::name),
                );
                let what = near.map_or_else(
                    || error.to_string(),
                    |near| format!("no detection is called `{}`; did you mean `{near}`?", name.value),
                );
                document.problem(name.offset, what);
                None
            }
        });
    let off = section.flag("off");
    let count = section.number("count", 1..=Detection::MOST_COUNT);
    let within = section.span("within", LONGEST);
    let shorter_than = section.span_at("shorter_than", LONGEST);
    let remember = section.number("remember", 1..=Detection::MOST_REMEMBERED);
    let ignore = section.texts("ignore");
    section.finish();
    let ignore = ignore
        .iter()
        .filter_map(|network| network_of(document, network))
        .collect();
    let usual = Detection::usual(kind?);
    if let Some(length) = shorter_than.as_ref().filter(|_| !usual.kind.looks_at_length()) {
        document.problem(
            length.offset,
            format!("`shorter_than` means nothing to `{}`", usual.kind),
        );
    }
    Some(Detection {
        off,
        count: count.unwrap_or(usual.count),
        within: within.unwrap_or(usual.within),
        shorter_than: shorter_than.map_or(usual.shorter_than, |length| length.value),
        remember: remember.unwrap_or(usual.remember),
        ignore,
        kind: usual.kind,
    })
}
