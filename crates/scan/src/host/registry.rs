//! Installed programs, from the uninstall keys of the registry: `reg export`, `reg query /s`.
//!
//! ```text
//! [HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall\Example]
//! "DisplayName"="Example"
//!
//! HKEY_LOCAL_MACHINE\SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall\Example
//!     DisplayName    REG_SZ    Example
//! ```
//!
//! Names of keys, values and types are the same in every language.

use portcullis_model::{Program, Untrusted};

use super::{MOST, name};

/// The path of a program's key has this in it, whether of the machine, of a user, or of 32-bit programs.
const UNINSTALL: &str = "\\currentversion\\uninstall\\";
/// Which values are read.
const VALUES: [&str; 4] = ["displayname", "displayversion", "publisher", "installlocation"];

/// A key that is being read.
#[derive(Default)]
struct Key {
    values: [Option<Untrusted>; VALUES.len()],
}

pub(super) fn read(text: &str) -> Vec<Program> {
    let mut programs = Vec::new();
    let mut key: Option<Key> = None;
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(path) = path(line) {
            programs.extend(key.take().and_then(Key::program));
            key = is_program(path).then(Key::default);
        } else if let Some(key) = &mut key {
            let mut line = line.to_owned();
            // A long value of bytes goes on behind a backslash.
            while line.contains("=hex") && line.ends_with('\\') && line.len() < 64 * 1024 {
                line.pop();
                let Some(more) = lines.next() else { break };
                line.push_str(more.trim());
            }
            if let Some((named, value)) = exported(&line).or_else(|| queried(&line)) {
                key.add(&named, &value);
            }
        }
        if programs.len() >= MOST {
            return programs;
        }
    }
    programs.extend(key.and_then(Key::program));
    programs
}

impl Key {
    fn add(&mut self, named: &str, value: &str) {
        let named = named.to_lowercase();
        let place = VALUES.iter().position(|value| *value == named);
        if let Some(slot) = place.and_then(|place| self.values.get_mut(place)) {
            *slot = name(value);
        }
    }

    /// A key without a name is an update, or a part of another program.
    fn program(self) -> Option<Program> {
        let [named, version, publisher, location] = self.values;
        Some(Program {
            name: named?,
            version,
            publisher,
            location,
        })
    }
}

/// The path of a key: in brackets (`reg export`), or alone on its line (`reg query`).
fn path(line: &str) -> Option<&str> {
    let line = line.trim_end();
    let bare = line
        .strip_prefix('[')
        .and_then(|line| line.strip_suffix(']'))
        .unwrap_or(line);
    (bare.starts_with("HKEY_") || bare.starts_with("HKLM\\") || bare.starts_with("HKCU\\")).then_some(bare)
}

fn is_program(path: &str) -> bool {
    let path = path.to_lowercase();
    let program = path.split_once(UNINSTALL).map(|(_, program)| program);
    program.is_some_and(|program| !program.is_empty() && !program.contains('\\'))
}

/// `"DisplayName"="text"`, or with `hex(1):` and `hex(2):`, which hold UTF-16.
fn exported(line: &str) -> Option<(String, String)> {
    let (named, rest) = line.trim().strip_prefix('"')?.split_once("\"=")?;
    if let Some(text) = rest.strip_prefix('"') {
        return Some((named.to_owned(), unescaped(text.strip_suffix('"')?)));
    }
    let digits = rest
        .strip_prefix("hex(1):")
        .or_else(|| rest.strip_prefix("hex(2):"))?;
    let bytes: Option<Vec<u8>> = digits
        .split(',')
        .map(|pair| u8::from_str_radix(pair.trim(), 16).ok())
        .collect();
    let units: Vec<u16> = bytes?
        .chunks_exact(2)
        .filter_map(|pair| <[u8; 2]>::try_from(pair).ok())
        .map(u16::from_le_bytes)
        .take_while(|unit| *unit != 0)
        .collect();
    Some((named.to_owned(), String::from_utf16_lossy(&units)))
}

/// Undoes `\\` and `\"`.
fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        plain.extend(if letter == '\\' {
            letters.next()
        } else {
            Some(letter)
        });
    }
    plain
}

/// `    DisplayName    REG_SZ    text`, with four blanks between them, or tabs in old versions.
fn queried(line: &str) -> Option<(String, String)> {
    if !line.starts_with([' ', '\t']) {
        return None;
    }
    let (named, rest) = ["REG_SZ", "REG_EXPAND_SZ"].iter().find_map(|kind| {
        line.split_once(&format!(" {kind}"))
            .or_else(|| line.split_once(&format!("\t{kind}")))
    })?;
    Some((named.trim().to_owned(), rest.trim().to_owned()))
}
