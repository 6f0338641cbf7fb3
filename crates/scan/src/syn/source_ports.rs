//! Source ports that nobody else on this host uses, in one stretch, so that the kernel's filter is a range.

use std::{collections::BTreeSet, fs, ops::RangeInclusive};

use super::SynError;

/// The kernel's range for its own connections (`ip(7)`); the names are the same for IPv6.
const LOCAL_PORTS: &str = "/proc/sys/net/ipv4/ip_local_port_range";
/// As many as are wanted. More would only make the stretch harder to find.
const WANTED: u16 = 4096;
/// With fewer a forger would have to guess little more than the sequence number; that alone is enough.
const FEWEST: u16 = 16;

/// Finds free source ports. A SYN-ACK that comes to one of them finds no connection in our own kernel, which therefore
/// answers with a reset by itself and ends the half-open connection at the target: no packet of ours is needed. Should
/// another program open a listener there while the scan runs, it will not take part either: a SYN-ACK is no SYN.
///
/// The kernel's own range is avoided, for a connection of another program would get our answers and reset them.
pub(super) fn find() -> Result<RangeInclusive<u16>, SynError> {
    let text = fs::read_to_string(LOCAL_PORTS).unwrap_or_default();
    // Without the file, the range that Linux begins with.
    let kernel = range(&text).unwrap_or(32768..=60999);
    let sockets = portcullis_sys::sockets().map_err(SynError::System)?;
    let used = sockets.iter().map(|socket| socket.local.port()).collect();
    choose(&kernel, &used).ok_or(SynError::NoSourcePorts)
}

fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let mut numbers = text.split_whitespace().map(str::parse);
    Some(numbers.next()?.ok()?..=numbers.next()?.ok()?)
}

/// The longest free stretch outside the kernel's range, its upper end.
fn choose(kernel: &RangeInclusive<u16>, used: &BTreeSet<u16>) -> Option<RangeInclusive<u16>> {
    let mut best: Option<RangeInclusive<u16>> = None;
    let mut start = None;
    for port in 1024..=u16::MAX {
        if kernel.contains(&port) || used.contains(&port) {
            start = None;
            continue;
        }
        let first = *start.get_or_insert(port);
        let longest = best.as_ref().map_or(0, |best| best.end() - best.start());
        if best.is_none() || port - first > longest {
            best = Some(first..=port);
        }
    }
    let best = best?;
    let first = (*best.start()).max(best.end().saturating_sub(WANTED - 1));
    (best.end() - first + 1 >= FEWEST).then_some(first..=*best.end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_the_kernels_range_nor_a_used_port_is_taken() {
        let used = BTreeSet::from([8080, 61000, 64000]);
        let found = choose(&(32768..=60999), &used).unwrap();
        assert_eq!(found, 28672..=32767);
        let found = choose(&(1024..=60999), &used).unwrap();
        assert_eq!(found, 61001..=63999);
        assert!(used.iter().all(|port| !found.contains(port)));
    }

    #[test]
    fn a_host_without_free_ports_is_told_so() {
        assert_eq!(choose(&(1024..=65535), &BTreeSet::new()), None);
        assert_eq!(choose(&(1024..=65530), &BTreeSet::new()), None);
        assert_eq!(choose(&(1025..=65535), &BTreeSet::new()), None);
    }

    #[test]
    fn the_kernels_file_is_read() {
        assert_eq!(range("32768\t60999\n"), Some(32768..=60999));
        assert_eq!(range(""), None);
    }
}
