//! Telnet console of Moxa's serial device servers: what it shows before anybody types anything.
//!
//! It names model, hardware address, serial number and firmware, and then asks for the password; if it shows its menu
//! instead, none is set, and that is seen without trying one.

use portcullis_model::{Grade, Untrusted};

use super::{Subject, Verdict, not_shown, telnet};
use crate::Seen;

/// Longest value that is kept, in characters.
const LONGEST_VALUE: usize = 80;
const MOXA: &str = "00:90:E8";
const ASKS_FOR_PASSWORD: &str = "Please keyin your password";
const MENU: [&str; 3] = ["Basic settings", "Change password", "Load factory default"];
const LABELS: [(&str, &str); 4] = [
    ("model", "Model name"),
    ("mac", "MAC address"),
    ("serial", "Serial No."),
    ("firmware", "Firmware version"),
];

pub(super) fn judge(subject: &Subject<'_>, seen: &Seen) -> Option<Verdict> {
    read(&readable(&seen.spoke_first)).or_else(|| not_shown(subject, seen))
}

fn read(text: &str) -> Option<Verdict> {
    let values: Vec<(&str, String)> = LABELS
        .iter()
        .filter_map(|(field, label)| Some((*field, value(text, label)?)))
        .collect();
    let has = |wanted: &str| values.iter().any(|(field, _)| *field == wanted);
    let moxa = values
        .iter()
        .any(|(field, value)| *field == "mac" && value.to_ascii_uppercase().starts_with(MOXA));
    let asks = text.contains(ASKS_FOR_PASSWORD);
    let menu = MENU.iter().filter(|entry| text.contains(**entry)).count() >= 2;
    if !has("model") || !(asks || menu || moxa) {
        return None;
    }
    let grade = if moxa || has("firmware") && (asks || menu) {
        Grade::Proven
    } else {
        Grade::Likely
    };
    let mut verdict = Verdict::new(
        grade,
        ["greets as the console of a Moxa serial device server".to_owned()],
    );
    if menu && !asks {
        verdict
            .reasons
            .push("shows its menu without asking for a password: none is set".into());
        verdict = verdict.field("weakness", Untrusted::new("no console password is set"));
    }
    verdict = verdict.field("vendor", Untrusted::new("Moxa"));
    Some(values.into_iter().fold(verdict, |verdict, (field, value)| {
        verdict.field(field, Untrusted::new(value))
    }))
}

/// What follows a label and its colon, up to the end of the line.
fn value(text: &str, label: &str) -> Option<String> {
    let (_, after) = text.split_once(label)?;
    let line = after.lines().next()?;
    let value: String = line
        .trim_start()
        .strip_prefix(':')?
        .trim()
        .chars()
        .take(LONGEST_VALUE)
        .collect();
    // The line of a reply that was cut off may be incomplete.
    (!value.is_empty() && after.contains('\n')).then_some(value)
}

/// The text without Telnet options and terminal control sequences (ECMA-48, 5.4).
pub(super) fn readable(bytes: &[u8]) -> String {
    let (_, bytes) = telnet::options(bytes);
    let text = String::from_utf8_lossy(bytes);
    let mut shown = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '\u{1b}' {
            shown.push(character);
        } else if characters.next() == Some('[') {
            // A control sequence ends with a letter or one of @[\]^_`{|}~.
            let _end = characters.find(|character| ('@'..='~').contains(character));
        }
    }
    shown
}
