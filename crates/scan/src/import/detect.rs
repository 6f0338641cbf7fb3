//! Which program wrote a document, judged by its beginning.

use super::{Format, mac_table, neighbours};

/// gzip (RFC 1952), xz, zstd (RFC 8878), bzip2, ZIP.
pub(super) fn is_compressed(beginning: &[u8]) -> bool {
    [
        &[0x1f, 0x8b][..],
        &[0xfd, b'7', b'z', b'X', b'Z'],
        &[0x28, 0xb5, 0x2f, 0xfd],
        b"BZh",
        b"PK\x03\x04",
    ]
    .iter()
    .any(|magic| beginning.starts_with(magic))
}

/// Whether the document is JSON, if it is of a program that writes other forms as well.
pub(super) fn is_json(head: &str) -> bool {
    head.trim_start().starts_with(['[', '{'])
}

pub(super) fn format_of(head: &str) -> Option<Format> {
    let begin = head.trim_start();
    if begin.starts_with('<') {
        // The comment before the root element may quote anything.
        return [
            ("<NessusClientData_v2", Format::Nessus),
            ("<nmaprun", Format::Nmap),
        ]
        .into_iter()
        .filter_map(|(root, format)| begin.find(root).map(|at| (at, format)))
        .min_by_key(|(at, _)| *at)
        .map(|(_, format)| format);
    }
    if is_json(begin) {
        return match (begin.contains("\"id.orig_h\""), begin.contains("\"ip\"")) {
            (true, _) => Some(Format::Zeek),
            (false, true) => Some(Format::Masscan),
            (false, false) => None,
        };
    }
    if begin.starts_with("#masscan") {
        return Some(Format::Masscan);
    }
    if begin.starts_with("#separator") || begin.starts_with("#fields") {
        return Some(Format::Zeek);
    }
    begin.lines().find_map(row)
}

fn row(line: &str) -> Option<Format> {
    let words: Vec<&str> = line.split_whitespace().take(5).collect();
    if let ["open" | "closed" | "banner", "tcp" | "udp", port, _, ..] = words.as_slice()
        && port.parse::<u16>().is_ok()
    {
        return Some(Format::Masscan);
    }
    if neighbours::is_entry(line) {
        return Some(Format::Neighbours);
    }
    mac_table::is_entry(line).then_some(Format::MacTable)
}
