//! A line whose end was lost, so that the next one follows in the same line: what stands before the packet is then of two.

use crate::{
    syslog::is_uptime,
    words::{find, split},
};

/// Whether the text before a packet, behind its head, holds what only a head or another packet has. A rule's prefix has none of it.
pub(super) fn holds_a_head(prefix: &[u8]) -> bool {
    let is_quoted = memchr::memchr(b'"', prefix).is_some();
    find(prefix, b"kernel:").is_some()
        || (!is_quoted && find(prefix, b"IN=").is_some())
        || holds_a_stamp(prefix)
        || holds_a_clock(prefix)
}

/// `[   12.345678]`.
fn holds_a_stamp(prefix: &[u8]) -> bool {
    memchr::memchr_iter(b'[', prefix).any(|bracket| {
        prefix
            .get(bracket + 1..)
            .and_then(|behind| split(behind, b']'))
            .is_some_and(|(inside, _)| is_uptime(inside))
    })
}

/// `23:56:51`, and not a part of a hardware address.
fn holds_a_clock(prefix: &[u8]) -> bool {
    let is_more = |byte: Option<&u8>| byte.is_some_and(|byte| *byte == b':' || byte.is_ascii_digit());
    prefix.windows(8).enumerate().any(|(start, clock)| {
        let [a, b, b':', c, d, b':', e, f] = clock else {
            return false;
        };
        let before = start.checked_sub(1).and_then(|before| prefix.get(before));
        [a, b, c, d, e, f].iter().all(|digit| digit.is_ascii_digit())
            && !is_more(before)
            && !is_more(prefix.get(start + 8))
    })
}
