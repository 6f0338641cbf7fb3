//! What a failed attempt says about a port.

use std::{io, net::IpAddr};

use nix::errno::Errno;
use portcullis_model::{PortState, Transport};

use super::icmp::Icmp;

/// Where an attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failed {
    /// While the packet was handed over: it never left this host.
    Sending,
    /// While its answer was awaited.
    Waiting,
}

/// What is known of the two ends of an attempt.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ends {
    pub(super) transport: Transport,
    pub(super) target: IpAddr,
    pub(super) source: Option<IpAddr>,
}

/// The state that an error shows, and why.
pub(super) fn of_error(
    ends: Ends,
    failed: Failed,
    error: &io::Error,
    icmp: Option<Icmp>,
) -> (PortState, String) {
    if let Some(icmp) = icmp {
        return of_icmp(ends, icmp);
    }
    let errno = error.raw_os_error().map(Errno::from_raw);
    match (errno, failed) {
        // A refusal is ECONNREFUSED: this connection stood, and was reset before it was looked at.
        (Some(Errno::ECONNRESET), Failed::Waiting) if ends.transport == Transport::Tcp => {
            (PortState::Open, "connection accepted, and reset at once".into())
        }
        // On loopback the refusal can come back before the call returns.
        (Some(Errno::ECONNREFUSED | Errno::ECONNRESET), _) => (PortState::Closed, refused(ends.transport)),
        (Some(Errno::ETIMEDOUT), _) => (PortState::NoAnswer, "the connection attempt timed out".into()),
        (Some(Errno::EHOSTUNREACH | Errno::ENETUNREACH | Errno::EHOSTDOWN), Failed::Waiting) => (
            PortState::NoAnswer,
            format!("{error}: no route, or nobody there; the network did not say which"),
        ),
        (Some(Errno::EACCES | Errno::EPERM), Failed::Waiting) => (
            PortState::Filtered,
            "administratively prohibited; the network did not say by whom".into(),
        ),
        (Some(Errno::EMFILE | Errno::ENFILE), _) => (
            PortState::NotTested,
            "this host has no free file descriptor for a socket".into(),
        ),
        (Some(Errno::EADDRNOTAVAIL), _) => (
            PortState::NotTested,
            "this host has no free address or port to look from".into(),
        ),
        (Some(Errno::ENETUNREACH | Errno::EHOSTUNREACH), Failed::Sending) => (
            PortState::NotTested,
            "this host has no route to it: no packet was sent".into(),
        ),
        (Some(Errno::EACCES | Errno::EPERM), Failed::Sending) => (
            PortState::NotTested,
            "this host's own firewall or routes forbid to send to it".into(),
        ),
        _ => (
            PortState::NotTested,
            format!("the attempt failed on this host: {error}"),
        ),
    }
}

fn refused(transport: Transport) -> String {
    match transport {
        Transport::Tcp => "connection refused with a TCP reset".into(),
        Transport::Udp => "refused with an ICMP port unreachable".into(),
    }
}

/// What the network said, told apart by its type and code (RFC 792, RFC 1812 5.2.7, RFC 4443 3.1).
enum Said {
    PortUnreachable,
    Prohibited,
    Unreachable,
}

fn of_icmp(ends: Ends, icmp: Icmp) -> (PortState, String) {
    let said = said(ends.target, icmp);
    let what = format!("ICMP type {} code {}", icmp.kind, icmp.code);
    let who = match icmp.from {
        Some(from) if from == ends.target => "the host itself".into(),
        Some(from) if Some(from) == ends.source => "this host".into(),
        Some(from) => from.to_string(),
        None => "an unknown device".into(),
    };
    let own = icmp.from.is_some() && icmp.from == ends.source && ends.source != Some(ends.target);
    match said {
        Said::PortUnreachable if ends.transport == Transport::Udp && icmp.from == Some(ends.target) => {
            (PortState::Closed, refused(Transport::Udp))
        }
        // A host without a listener resets a TCP connection: this message is what a firewall's reject sends.
        Said::PortUnreachable => (
            PortState::Filtered,
            format!("rejected with port unreachable by {who} ({what}), as a firewall does"),
        ),
        Said::Prohibited => (
            PortState::Filtered,
            format!("administratively prohibited, says {who} ({what})"),
        ),
        Said::Unreachable if own => (
            PortState::NoAnswer,
            "nobody there: no neighbour answered to its address".into(),
        ),
        // A host that says of itself that it is unreachable is there, and its firewall speaks.
        Said::Unreachable if icmp.from == Some(ends.target) => (
            PortState::Filtered,
            format!("rejected as unreachable by the host itself ({what}), as a firewall does"),
        ),
        Said::Unreachable => (PortState::NoAnswer, format!("unreachable, says {who} ({what})")),
    }
}

fn said(target: IpAddr, icmp: Icmp) -> Said {
    match (target.is_ipv4(), icmp.kind, icmp.code) {
        (true, 3, 3) | (false, 1, 4) => Said::PortUnreachable,
        (true, 3, 2 | 9 | 10 | 13) | (false, 1, 1 | 5 | 6) => Said::Prohibited,
        _ => Said::Unreachable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(transport: Transport, target: &str, from: &str, kind: u8, code: u8) -> PortState {
        let ends = Ends {
            transport,
            target: target.parse().unwrap(),
            source: Some("10.0.0.1".parse().unwrap()),
        };
        let icmp = Icmp {
            from: Some(from.parse().unwrap()),
            kind,
            code,
        };
        let error = io::Error::from_raw_os_error(Errno::EHOSTUNREACH as i32);
        of_error(ends, Failed::Waiting, &error, Some(icmp)).0
    }

    #[test]
    fn a_firewall_that_says_no_is_not_a_closed_port() {
        use PortState::{Closed, Filtered, NoAnswer};
        use Transport::{Tcp, Udp};
        for (transport, target, from, kind, code, expected) in [
            (Tcp, "10.0.0.9", "10.0.0.9", 3, 3, Filtered),
            (Tcp, "10.0.0.9", "10.0.0.5", 3, 13, Filtered),
            (Tcp, "10.0.0.9", "10.0.0.5", 3, 1, NoAnswer),
            (Tcp, "10.0.0.9", "10.0.0.1", 3, 1, NoAnswer),
            (Tcp, "10.0.0.9", "10.0.0.9", 3, 1, Filtered),
            (Udp, "10.0.0.9", "10.0.0.9", 3, 3, Closed),
            (Udp, "10.0.0.9", "10.0.0.5", 3, 3, Filtered),
            (Udp, "fd00::9", "fd00::9", 1, 4, Closed),
            (Tcp, "fd00::9", "fd00::5", 1, 1, Filtered),
            (Tcp, "fd00::9", "fd00::5", 1, 0, NoAnswer),
        ] {
            let found = state(transport, target, from, kind, code);
            assert_eq!(found, expected, "{transport} {target} from {from}: {kind}/{code}");
        }
    }

    #[test]
    fn what_never_left_this_host_was_not_tested() {
        let ends = Ends {
            transport: Transport::Tcp,
            target: "10.0.0.9".parse().unwrap(),
            source: None,
        };
        for errno in [
            Errno::ENETUNREACH,
            Errno::EHOSTUNREACH,
            Errno::EACCES,
            Errno::EMFILE,
            Errno::EADDRNOTAVAIL,
            Errno::EINVAL,
        ] {
            let error = io::Error::from_raw_os_error(errno as i32);
            let (state, because) = of_error(ends, Failed::Sending, &error, None);
            assert_eq!(state, PortState::NotTested, "{errno}: {because}");
        }
    }
}
