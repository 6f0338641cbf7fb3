//! What a log says itself of lines that were left out of it.
//!
//! Forms: the kernel's own limit (`___ratelimit` in `lib/ratelimit.c`, and `printk: N messages suppressed.` before it; what
//! `console_unlock` in `printk.c` says of its ring), systemd's journal (`Suppressed N messages from …`, `Missed N kernel
//! messages`, `/dev/kmsg buffer overrun, some messages lost.` in `journald-rate-limit.c` and `journald-kmsg.c`; the last one it writes
//! to the kernel's own log, under its own tag), rsyslog (`imuxsock lost N messages from pid … due to
//! rate-limiting`, and `N messages lost due to rate-limiting` since 7.3.2). Of the firewall's own: `IPACCESSLOGRL` of Cisco
//! IOS and `INFO-EVENTS-LOST` of Windows, which are read with their formats.
//!
//! Whoever tries to log in chooses a name: such words count only behind the tag of the program that writes them.

use std::fmt;

use memchr::memchr;

use crate::{
    RawTime,
    syslog::{self, after_structured_data, is_uptime},
    words::{number, split, word},
};

/// What a log says to be missing from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lost {
    /// Who says so.
    pub by: LostBy,
    /// How many, if that is told.
    pub count: Option<u64>,
}

/// Who says that something is missing, and of what. A closed list, so that losses are counted by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LostBy {
    /// Windows has a line for it.
    Windows,
    /// Cisco IOS has a message for it.
    Ios,
    /// The kernel wrote fewer messages than it had.
    Kernel,
    /// systemd-journald did not get all messages of the kernel.
    JournalMissed,
    /// systemd-journald threw messages of a service away.
    JournalSuppressed,
    /// rsyslog threw messages away.
    Rsyslog,
}

impl LostBy {
    /// Whether it is the firewall that speaks, of its own lines. All others may have lost something else.
    pub fn is_the_firewall(self) -> bool {
        matches!(self, Self::Windows | Self::Ios)
    }
}

impl fmt::Display for LostBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Windows => "the firewall of Windows lost events",
            Self::Ios => "Cisco IOS rate-limited or missed packets of access lists",
            Self::Kernel => "the kernel left out messages, which may have been others",
            Self::JournalMissed => {
                "systemd-journald missed messages of the kernel, which may have been others"
            }
            Self::JournalSuppressed => {
                "systemd-journald threw away messages of a service, which may have been others"
            }
            Self::Rsyslog => "rsyslog threw away messages, which may have been others",
        })
    }
}

/// Bytes of a line that are looked at: all of these lines are short.
const LONGEST: usize = 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Program {
    Kernel,
    Journald,
    Rsyslog,
}

/// What a line that is no event says to be missing.
pub(crate) fn told(line: &[u8]) -> Option<Lost> {
    let line = line.get(..line.len().min(LONGEST)).unwrap_or_default();
    // Who wrote it is known by its first words; most lines are of others, and are not looked through.
    let head = syslog::head(line);
    let (program, message) = said(&head)?;
    match program {
        Program::Kernel => by_kernel(message).or_else(|| by_journald_through_the_kernel(message)),
        Program::Journald => by_journald(message),
        Program::Rsyslog => by_rsyslog(message),
    }
}

/// Who wrote a line, and what.
fn said<'a>(head: &syslog::Head<'a>) -> Option<(Program, &'a [u8])> {
    // What dmesg shows has a time in brackets, and neither host nor tag.
    if !head.host && head.time != RawTime::None {
        return Some((Program::Kernel, head.rest));
    }
    let (first, rest) = word(head.rest)?;
    if let Some((program, ended)) = tag(first) {
        return Some((program, message(rest, ended)?));
    }
    if !head.host || first.ends_with(b":") {
        return None;
    }
    let (second, rest) = word(rest)?;
    let (program, ended) = tag(second)?;
    Some((program, message(rest, ended)?))
}

/// The program of a tag, and whether the tag is that of RFC 3164, which ends with a colon.
fn tag(word: &[u8]) -> Option<(Program, bool)> {
    let (name, ended) = match word.strip_suffix(b":") {
        Some(name) => (name, true),
        None => (word, false),
    };
    let is = |program: &[u8]| {
        name.strip_prefix(program)
            .is_some_and(|behind| matches!(behind, [] | [b'[' | b'-', ..]))
    };
    let program = if is(b"kernel") {
        Program::Kernel
    } else if is(b"systemd-journald") {
        Program::Journald
    } else if is(b"rsyslogd") {
        Program::Rsyslog
    } else {
        return None;
    };
    Some((program, ended))
}

/// Behind the tag; process, name and structured data of RFC 5424 stand between.
fn message(rest: &[u8], ended: bool) -> Option<&[u8]> {
    if ended {
        return Some(rest);
    }
    let (_process, rest) = word(rest)?;
    let (_name, rest) = word(rest)?;
    Some(after_structured_data(rest))
}

/// `net_ratelimit: 34 callbacks suppressed`, `printk: 3 messages suppressed.`, `** 7 printk messages dropped **`.
pub(crate) fn by_kernel(message: &[u8]) -> Option<Lost> {
    let message = message.trim_ascii();
    // The kernel writes much: most of it shows at its end that it is something else.
    let may_be = message.ends_with(b"suppressed")
        || message.ends_with(b"suppressed.")
        || memchr(b'*', message).is_some();
    if !may_be {
        return None;
    }
    let (first, rest) = word(without_stamp(message))?;
    let (count, rest) = word(rest)?;
    let is_one = match first {
        b"**" => begins(rest, &[b"printk", b"messages", b"dropped"]),
        b"printk:" => begins(rest, &[b"messages", b"suppressed."]),
        _ => first.ends_with(b":") && begins(rest, &[b"callbacks", b"suppressed"]),
    };
    lost(LostBy::Kernel, is_one, count)
}

/// Behind the kernel's own `[   12.345678]`.
fn without_stamp(message: &[u8]) -> &[u8] {
    match message.strip_prefix(b"[").and_then(|text| split(text, b']')) {
        Some((inside, rest)) if is_uptime(inside) => rest,
        _ => message,
    }
}

/// `systemd-journald[301]: …`, as dmesg and the kernel's file show it: only who may write to `/dev/kmsg` comes in there.
fn by_journald_through_the_kernel(message: &[u8]) -> Option<Lost> {
    let (first, rest) = word(without_stamp(message.trim_ascii_start()))?;
    // The kernel writes much: this is looked at first, as it costs least.
    if first.first() != Some(&b's') {
        return None;
    }
    match tag(first)? {
        (Program::Journald, true) => by_journald(rest),
        _ => None,
    }
}

/// `Suppressed 12 messages from kernel.service`, `Missed 3 kernel messages`, `/dev/kmsg buffer overrun, some messages lost.`
pub(crate) fn by_journald(message: &[u8]) -> Option<Lost> {
    let (verb, rest) = word(message)?;
    if verb == b"/dev/kmsg" {
        // How many is not told.
        return begins(rest, &[b"buffer", b"overrun,"]).then_some(Lost {
            by: LostBy::JournalMissed,
            count: None,
        });
    }
    let (count, rest) = word(rest)?;
    match verb {
        b"Suppressed" => lost(
            LostBy::JournalSuppressed,
            begins(rest, &[b"messages", b"from"]),
            count,
        ),
        b"Missed" => lost(
            LostBy::JournalMissed,
            begins(rest, &[b"kernel", b"messages"]),
            count,
        ),
        _ => None,
    }
}

/// `imuxsock lost 51 messages from pid 1 due to rate-limiting`, `imjournal: 33 messages lost due to rate-limiting`.
fn by_rsyslog(message: &[u8]) -> Option<Lost> {
    let mut rest = message;
    let mut before: &[u8] = b"";
    while let Some((this, behind)) = word(rest) {
        let is_one = (before == b"lost" && begins(behind, &[b"messages"]))
            || begins(behind, &[b"messages", b"lost", b"due"]);
        if let Some(lost) = lost(LostBy::Rsyslog, is_one, this) {
            return Some(lost);
        }
        (before, rest) = (this, behind);
    }
    None
}

fn begins(text: &[u8], words: &[&[u8]]) -> bool {
    let mut rest = text;
    words.iter().all(|expected| match word(rest) {
        Some((found, behind)) => {
            rest = behind;
            found == *expected
        }
        None => false,
    })
}

fn lost(by: LostBy, is_one: bool, count: &[u8]) -> Option<Lost> {
    let count = number(count).filter(|_| is_one)?;
    Some(Lost {
        by,
        count: Some(count),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Option<(LostBy, u64)> {
        let lost = told(line.as_bytes())?;
        Some((lost.by, lost.count.unwrap()))
    }

    #[test]
    fn a_log_that_says_that_lines_were_left_out_is_believed() {
        use LostBy::{JournalMissed, JournalSuppressed, Kernel, Rsyslog};
        for (line, expected) in [
            (
                "Nov 22 23:56:51 gw kernel: net_ratelimit: 34 callbacks suppressed",
                (Kernel, 34),
            ),
            (
                "Nov 22 23:56:51 gw kernel: [  12.345678] nf_conntrack: 4 callbacks suppressed",
                (Kernel, 4),
            ),
            (
                "[   12.345678] net_ratelimit: 5 callbacks suppressed",
                (Kernel, 5),
            ),
            (
                "Nov 22 23:56:51 gw kernel: printk: 3 messages suppressed.",
                (Kernel, 3),
            ),
            (
                "<4>1 2026-11-22T23:56:51Z gw kernel - - - ** 7 printk messages dropped **",
                (Kernel, 7),
            ),
            (
                "Sun Nov 22 23:56:51 2026 kern.warn kernel: [ 9.5] net_ratelimit: 6 callbacks suppressed",
                (Kernel, 6),
            ),
            (
                "systemd-journald[301]: Suppressed 12 messages from kernel.service",
                (JournalSuppressed, 12),
            ),
            (
                "Nov 22 23:56:51 gw systemd-journald[301]: Missed 8 kernel messages",
                (JournalMissed, 8),
            ),
            (
                "<46>1 2026-11-22T23:56:51Z gw systemd-journald 301 - - Missed 9 kernel messages",
                (JournalMissed, 9),
            ),
            (
                "rsyslogd: imuxsock lost 51 messages from pid 1 due to rate-limiting",
                (Rsyslog, 51),
            ),
            (
                "Nov 22 23:56:51 gw rsyslogd-2177: imuxsock lost 52 messages from pid 1 due to rate-limiting",
                (Rsyslog, 52),
            ),
            (
                "Nov 22 23:56:51 gw rsyslogd[7]: imjournal: 53 messages lost due to rate-limiting",
                (Rsyslog, 53),
            ),
        ] {
            assert_eq!(read(line), Some(expected), "{line}");
        }
    }

    #[test]
    fn what_the_journal_lost_of_the_kernel_may_be_told_without_a_number() {
        let overrun = "/dev/kmsg buffer overrun, some messages lost.";
        for line in [
            format!("[   81.436020] systemd-journald[248]: {overrun}"),
            format!("Nov 22 23:56:51 gw kernel: [   81.4] systemd-journald[248]: {overrun}"),
            format!("Nov 22 23:56:51 gw systemd-journald[248]: {overrun}"),
        ] {
            let lost = Lost {
                by: LostBy::JournalMissed,
                count: None,
            };
            assert_eq!(told(line.as_bytes()), Some(lost), "{line}");
        }
        assert_eq!(
            read("[   81.436020] systemd-journald[248]: Missed 3 kernel messages"),
            Some((LostBy::JournalMissed, 3))
        );
        for line in [
            format!("Nov 22 23:56:51 gw sshd[5]: {overrun}"),
            format!("Nov 22 23:56:51 gw sshd[5]: systemd-journald[248]: {overrun}"),
            format!("Nov 22 23:56:51 gw kernel: usb 1-1: systemd-journald[248]: {overrun}"),
            "[   81.4] systemd-journald[248]: /dev/kmsg opened".to_owned(),
        ] {
            assert_eq!(told(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn what_another_program_was_told_to_write_is_no_loss() {
        for line in [
            "",
            "kernel: FW IN=eth0 lost many messages",
            "Nov 22 23:56:51 gw sshd[5]: Invalid user net_ratelimit: 34 callbacks suppressed",
            "Nov 22 23:56:51 gw sshd[5]: kernel: net_ratelimit: 34 callbacks suppressed",
            "Nov 22 23:56:51 sshd: kernel: net_ratelimit: 34 callbacks suppressed",
            "sshd[5]: rsyslogd: imuxsock lost 51 messages from pid 1 due to rate-limiting",
            "Nov 22 23:56:51 gw kernelish: net_ratelimit: 34 callbacks suppressed",
            "Nov 22 23:56:51 gw kernel: net_ratelimit: many callbacks suppressed",
            "Nov 22 23:56:51 gw systemd-journald[301]: Missed 8 messages",
            "Nov 22 23:56:51 gw rsyslogd: imuxsock begins to drop messages from pid 1 due to rate-limiting",
        ] {
            assert_eq!(read(line), None, "{line}");
        }
        assert_eq!(told(b"\xff\xfe 3 callbacks suppressed"), None);
    }
}
