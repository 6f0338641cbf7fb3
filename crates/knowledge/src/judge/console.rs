//! Telnet console of Moxa's serial device servers: what it shows before anybody types anything.
//!
//! It names model, hardware address, serial number and firmware, and then asks for the password; if it shows its menu
//! instead, none is set, and that is seen without trying one.

use portcullis_model::{Grade, Untrusted};

use super::{
    Place, Subject, Verdict, silence_reasons,
    speech::{Speech, quoted_bytes},
    telnet,
};
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
    let text = readable(&seen.spoke_first);
    if let Some(verdict) = read(&text) {
        return Some(verdict);
    }
    // tcp/23 belongs to many: silence and other greetings there name nobody.
    if subject.place != Some(Place::Moved) {
        return None;
    }
    let place = subject.place_reason("Moxa's telnet console")?;
    if seen.bytes().is_empty() {
        return Some(Verdict::new(
            Grade::Possible,
            std::iter::once(place).chain(silence_reasons(seen)),
        ));
    }
    let said = Speech::of(seen.bytes())
        .described()
        .unwrap_or_else(|| quoted_bytes(seen.bytes()));
    Some(Verdict::new(
        Grade::RuledOut,
        [format!("does not greet as Moxa's telnet console does: {said}")],
    ))
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
