//! Reading what a host tells of its sockets: the tables of `/proc/net` (proc_net(5)) and the answers to `survey.sh`.
//! All of it comes from outside: what is not understood is passed over.

use std::{
    collections::{BTreeMap, HashMap},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use portcullis_model::{ProcessIdentity, Transport, Untrusted};

use crate::{Holders, Socket, SocketState, Survey, conntrack::Flow};

/// Byte order of the host's numbers: the tables print words of addresses as the processor holds them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Endian {
    Little,
    Big,
}

/// What `survey.sh` has printed. `None` when it did not come to its end.
pub(super) fn survey(printed: &str) -> Option<Survey> {
    let sections = sections(printed)?;
    let section = |name: &str| sections.get(name).map(Vec::as_slice).unwrap_or_default();
    let endian = match section("endian") {
        ["big"] => Endian::Big,
        _ => Endian::Little,
    };
    let sockets: Vec<Socket> = [
        ("tcp", Transport::Tcp),
        ("tcp6", Transport::Tcp),
        ("udp", Transport::Udp),
        ("udp6", Transport::Udp),
    ]
    .into_iter()
    .flat_map(|(name, transport)| section(name).iter().map(move |line| (transport, *line)))
    .filter_map(|(transport, line)| socket(transport, line, endian))
    .collect();
    let mut range = section("ephemeral")
        .iter()
        .flat_map(|line| line.split_whitespace());
    let mut port = || range.next()?.parse().ok();
    Some(Survey {
        sockets,
        holders: Holders::There(holders(section("holders"), section("names"))),
        addresses: addresses(section("addresses")),
        tracked: section("tracked").iter().filter_map(|line| flow(line)).collect(),
        // Its default (ip(7)).
        ephemeral: port().zip(port()).unwrap_or((32768, 60999)),
        above: Vec::new(),
        session: None,
    })
}

fn sections(printed: &str) -> Option<HashMap<&str, Vec<&str>>> {
    let mut sections: HashMap<&str, Vec<&str>> = HashMap::new();
    let mut name = "";
    for line in printed.lines() {
        match line.strip_prefix("== ") {
            Some("end") => return Some(sections),
            Some(begins) => name = begins,
            None => sections.entry(name).or_default().push(line),
        }
    }
    None
}

/// A line of `/proc/net/tcp` and its siblings: number, local end, peer, state, queues, timer, retransmits, user, timeout, inode.
fn socket(transport: Transport, line: &str, endian: Endian) -> Option<Socket> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let field = |place: usize| fields.get(place).copied();
    let (local, peer) = (end(field(1)?, endian)?, end(field(2)?, endian)?);
    let state = match (transport, u8::from_str_radix(field(3)?, 16).ok()?) {
        (Transport::Tcp, 0x0a) | (Transport::Udp, 7) => SocketState::Listening,
        // Up, or half closed: ESTABLISHED, FIN_WAIT1, FIN_WAIT2, CLOSE_WAIT (linux/tcp_states.h).
        (Transport::Tcp, 1 | 4 | 5 | 8) => SocketState::Connected,
        (Transport::Udp, 1) => SocketState::UdpConnected,
        _ => return None,
    };
    Some(Socket {
        transport,
        state,
        local,
        peer,
        inode: field(9)?.parse().ok()?,
        uid: field(7)?.parse().ok()?,
        silent: None,
        ipv6_only: None,
    })
}

/// `0A070A0A:D431`: words of the address in the order of the processor, then the port.
fn end(text: &str, endian: Endian) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let mut bytes = Vec::new();
    for word in address.as_bytes().chunks(8) {
        let word = u32::from_str_radix(std::str::from_utf8(word).ok()?, 16).ok()?;
        bytes.extend(match endian {
            Endian::Little => word.to_le_bytes(),
            Endian::Big => word.to_be_bytes(),
        });
    }
    let address: IpAddr = match bytes.len() {
        4 => Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?).into(),
        16 => Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).into(),
        _ => return None,
    };
    let port = u16::from_str_radix(port, 16).ok()?;
    Some(SocketAddr::new(address.to_canonical(), port))
}

/// What `ip addr` or `ifconfig` tells of addresses, without loopback.
fn addresses(lines: &[&str]) -> Vec<IpAddr> {
    let mut addresses = Vec::new();
    for line in lines {
        let mut words = line.split_whitespace();
        while let Some(word) = words.next() {
            let told = match word {
                "inet" | "inet6" => words.next().map(|next| match next.strip_prefix("addr:") {
                    // `inet6 addr: fe80::1/64` of older ones.
                    Some("") => words.next().unwrap_or_default(),
                    Some(address) => address,
                    None => next,
                }),
                _ => None,
            };
            let address = told.and_then(|told| told.split(['/', '%']).next()?.parse::<IpAddr>().ok());
            addresses.extend(address.filter(|address| !address.is_loopback()));
        }
    }
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

/// A TCP connection of the connection tracker: the first tuple of its line is that of who opened it.
fn flow(line: &str) -> Option<Flow> {
    if !line.split_whitespace().any(|word| word == "tcp") {
        return None;
    }
    let value = |key: &str| line.split_whitespace().find_map(|word| word.strip_prefix(key));
    let end = |address: &str, port: &str| {
        Some(SocketAddr::new(
            value(address)?.parse().ok()?,
            value(port)?.parse().ok()?,
        ))
    };
    Some(Flow {
        originator: end("src=", "sport=")?,
        responder: end("dst=", "dport=")?,
        // Only where the tracker keeps times (nf_conntrack_timestamp).
        age: value("delta-time=")
            .and_then(|seconds| seconds.parse().ok())
            .map(Duration::from_secs),
    })
}

/// Who holds which socket: the one with the lowest id when several share it.
fn holders(descriptors: &[&str], names: &[&str]) -> HashMap<u32, ProcessIdentity> {
    let pid_of = |text: &str, end: &str| -> Option<u32> {
        text.strip_prefix("/proc/")?.split_once(end)?.0.parse().ok()
    };
    let names: HashMap<u32, &str> = names
        .iter()
        .rev()
        .filter_map(|line| Some((pid_of(line, "/comm:")?, line.split_once("/comm:")?.1)))
        .collect();
    let mut pids: BTreeMap<u32, u32> = BTreeMap::new();
    let mut pid = None;
    for line in descriptors {
        if let Some(begins) = pid_of(line, "/fd:") {
            pid = Some(begins);
        } else if let (Some(pid), Some((_, socket))) = (pid, line.rsplit_once("socket:["))
            && let Ok(inode) = socket.trim_end_matches(']').parse()
        {
            let holder = pids.entry(inode).or_insert(pid);
            *holder = pid.min(*holder);
        }
    }
    let identity = |pid: u32| ProcessIdentity {
        pid,
        name: names.get(&pid).map(|name| Untrusted::new(*name)),
        ..ProcessIdentity::default()
    };
    pids.into_iter()
        .map(|(inode, pid)| (inode, identity(pid)))
        .collect()
}

/// What `ss -tin` tells of TCP connections: a line with state, queues and both ends, then one of details with `segs_in`.
pub(super) fn segments_in(printed: &str, port: u16) -> BTreeMap<(SocketAddr, SocketAddr), u32> {
    let mut arrived = BTreeMap::new();
    let mut ends = None;
    for line in printed.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        if !line.starts_with([' ', '\t']) {
            let parsed: Vec<SocketAddr> = words.iter().filter_map(|word| end_of_ss(word)).collect();
            ends = match parsed.as_slice() {
                [local, peer, ..] if local.port() == port => Some((*local, *peer)),
                _ => None,
            };
        }
        let segments = words
            .iter()
            .find_map(|word| word.strip_prefix("segs_in:")?.parse().ok());
        if let (Some(ends), Some(segments)) = (ends, segments) {
            arrived.insert(ends, segments);
        }
    }
    arrived
}

/// `10.7.10.10:54321`, `[::ffff:10.7.10.10]:54321`, `[fe80::1]%eth0:22`.
fn end_of_ss(word: &str) -> Option<SocketAddr> {
    let (address, port) = word.rsplit_once(':')?;
    let address = address.split('%').next()?;
    let address: IpAddr = address.trim_matches(['[', ']']).parse().ok()?;
    Some(SocketAddr::new(address.to_canonical(), port.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PRINTED: &str = "\
== endian
little
== ephemeral
32768\t60999
== tcp
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:D431 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100 0 0 10 0
   1: 0A0A070A:D431 051E070A:C350 01 00000000:00000000 00:00000000 00000000  1000        0 4712 1 0 20 4 30 10 -1
   2: 0A0A070A:D431 051E070A:C351 06 00000000:00000000 03:00000000 00000000     0        0 0 3 0
== tcp6
   0: 00000000000000000000000000000000:0016 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4713 1 0
   1: B80D012010000700000000000A000000:0016 00000000000000000000000001000000:0001 01 00000000:00000000 00:00000000 00000000     0        0 4714 1 0
   2: 0000000000000000FFFF00000A0A070A:0016 0000000000000000FFFF0000051E070A:0001 01 0:0 0:0 0 0 0 4715 1 0
== udp
  10: 00000000:12C0 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 4716 2 0 0
== udp6
== addresses
1: lo: <LOOPBACK,UP> mtu 65536
    inet 127.0.0.1/8 scope host lo
2: eth0@if3: <UP> mtu 1500
    inet 10.7.10.10/24 brd 10.7.10.255 scope global eth0
    inet6 2001:db8:7:10::a/64 scope global
eth9      inet addr:192.0.2.7  Bcast:192.0.2.255
          inet6 addr: fe80::1/64 Scope:Link
== tracked
ipv4     2 tcp      6 431999 ESTABLISHED src=10.7.30.5 dst=10.7.10.10 sport=50000 dport=54321 src=10.7.10.10 dst=10.7.30.5 sport=54321 dport=50000 [ASSURED] mark=0 delta-time=95 use=1
ipv4     2 udp      17 29 src=10.7.30.5 dst=10.7.10.10 sport=1 dport=2
== holders
/proc/77/fd:
lrwx------ 1 root root 64 Nov 29 10:00 3 -> socket:[4711]
/proc/9/fd:
lrwx------ 1 root root 64 Nov 29 10:00 5 -> socket:[4711]
== names
/proc/9/comm:mdm\u{1b}[2J
/proc/9/comm:== tcp
== end
";

    #[test]
    fn what_a_host_tells_is_read() {
        let survey = survey(PRINTED).unwrap();
        let shown: Vec<String> = survey
            .sockets
            .iter()
            .map(|socket| {
                format!(
                    "{:?} {} {} {}",
                    socket.state, socket.local, socket.peer, socket.inode
                )
            })
            .collect();
        assert_eq!(
            shown,
            [
                "Listening 0.0.0.0:54321 0.0.0.0:0 4711",
                "Connected 10.7.10.10:54321 10.7.30.5:50000 4712",
                "Listening [::]:22 [::]:0 4713",
                "Connected [2001:db8:7:10::a]:22 [::1]:1 4714",
                "Connected 10.7.10.10:22 10.7.30.5:1 4715",
                "Listening 0.0.0.0:4800 0.0.0.0:0 4716",
            ]
        );
        let addresses: Vec<String> = survey.addresses.iter().map(ToString::to_string).collect();
        assert_eq!(
            addresses,
            ["10.7.10.10", "192.0.2.7", "2001:db8:7:10::a", "fe80::1"]
        );
        assert_eq!(survey.tracked.len(), 1);
        assert_eq!(survey.tracked[0].age, Some(Duration::from_secs(95)));
        assert_eq!(survey.tracked[0].originator, "10.7.30.5:50000".parse().unwrap());
        let holder = survey.holders.identity(&survey.sockets[0]).unwrap();
        assert_eq!((holder.pid, holder.name.unwrap().raw()), (9, "mdm\u{1b}[2J"));
    }

    #[test]
    fn a_big_endian_host_prints_its_words_the_other_way_round() {
        let big = PRINTED
            .replace("little", "big")
            .replace("0A0A070A:D431 051E070A", "0A070A0A:D431 0A071E05");
        let survey = survey(&big).unwrap();
        assert_eq!(survey.sockets[1].local, "10.7.10.10:54321".parse().unwrap());
        assert_eq!(survey.sockets[1].peer, "10.7.30.5:50000".parse().unwrap());
    }

    #[test]
    fn an_answer_that_was_cut_off_is_no_answer() {
        assert!(survey(PRINTED.split_once("== tracked").unwrap().0).is_none());
        assert!(survey("").is_none());
    }

    #[test]
    fn what_ss_counts_is_read() {
        let printed = "ESTAB 0 0 10.7.10.10:54321 10.7.30.5:50000\n\t cubic wscale:7,7 segs_out:3 segs_in:15\n\
                       ESTAB 0 0 [::ffff:10.7.10.10]:54321 [::ffff:10.7.20.5]:1\n\t cubic segs_in:7\n\
                       ESTAB 0 0 10.7.10.10:22 10.7.20.5:2\n\t cubic segs_in:9\n";
        let arrived = segments_in(printed, 54321);
        let shown: Vec<String> = arrived
            .iter()
            .map(|((_, peer), count)| format!("{peer} {count}"))
            .collect();
        assert_eq!(shown, ["10.7.20.5:1 7", "10.7.30.5:50000 15"]);
    }

    proptest! {
        #[test]
        fn any_answer_is_read_without_a_fault(text in "\\PC{0,300}") {
            let text = text.replace('~', "\n");
            let _ = survey(&format!("== tcp\n{text}\n== addresses\n{text}\n== tracked\n{text}\n== holders\n{text}\n== end\n"));
            let _ = segments_in(&text, 1);
        }
    }
}
