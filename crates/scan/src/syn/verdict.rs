//! Which state an answer shows, and why. The words and the states are those of a whole handshake, so that the two ways to
//! look can be compared.

use std::net::IpAddr;

use portcullis_model::PortState;

use super::answer::{Answer, Said};

/// The state that an answer shows, with its reason.
pub(super) fn of(answer: &Answer) -> (PortState, String) {
    match answer.said {
        Said::Accepted => (
            PortState::Open,
            "a SYN was answered with SYN-ACK; the connection was not completed".into(),
        ),
        Said::Reset => (PortState::Closed, "connection refused with a TCP reset".into()),
        Said::Icmp { from, kind, code } => of_icmp(answer.target, from, kind, code),
    }
}

/// RFC 792, RFC 1812 5.2.7 and RFC 4443 3.1 and 3.3.
fn of_icmp(target: IpAddr, from: IpAddr, kind: u8, code: u8) -> (PortState, String) {
    let what = format!("ICMP type {kind} code {code}");
    let who = if from == target {
        "the host itself".to_owned()
    } else {
        from.to_string()
    };
    match (target.is_ipv4(), kind, code) {
        // A host without a listener resets a TCP connection: this message is what a firewall's reject sends.
        (true, 3, 3) | (false, 1, 4) => (
            PortState::Filtered,
            format!("rejected with port unreachable by {who} ({what}), as a firewall does"),
        ),
        (true, 3, 2 | 9 | 10 | 13) | (false, 1, 1 | 5 | 6) => (
            PortState::Filtered,
            format!("administratively prohibited, says {who} ({what})"),
        ),
        (true, 11, _) | (false, 3, _) => (
            PortState::NoAnswer,
            format!("it went round in circles until its time was over, says {who} ({what})"),
        ),
        // A host that says of itself that it is unreachable is there, and its firewall speaks.
        _ if from == target => (
            PortState::Filtered,
            format!("rejected as unreachable by the host itself ({what}), as a firewall does"),
        ),
        _ => (PortState::NoAnswer, format!("unreachable, says {who} ({what})")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_firewall_that_says_no_is_not_a_closed_port() {
        use PortState::{Filtered, NoAnswer};
        for (target, from, kind, code, expected) in [
            ("10.0.0.9", "10.0.0.9", 3, 3, Filtered),
            ("10.0.0.9", "10.0.0.5", 3, 3, Filtered),
            ("10.0.0.9", "10.0.0.5", 3, 9, Filtered),
            ("10.0.0.9", "10.0.0.5", 3, 10, Filtered),
            ("10.0.0.9", "10.0.0.5", 3, 13, Filtered),
            ("10.0.0.9", "10.0.0.5", 3, 1, NoAnswer),
            ("10.0.0.9", "10.0.0.9", 3, 1, Filtered),
            ("10.0.0.9", "10.0.0.5", 11, 0, NoAnswer),
            ("fd00::9", "fd00::5", 1, 1, Filtered),
            ("fd00::9", "fd00::5", 1, 5, Filtered),
            ("fd00::9", "fd00::5", 1, 6, Filtered),
            ("fd00::9", "fd00::9", 1, 4, Filtered),
            ("fd00::9", "fd00::5", 1, 0, NoAnswer),
            ("fd00::9", "fd00::5", 3, 0, NoAnswer),
        ] {
            let (target, from) = (target.parse().unwrap(), from.parse().unwrap());
            let (state, because) = of_icmp(target, from, kind, code);
            assert_eq!(state, expected, "{target} from {from}: {kind}/{code}");
            assert!(because.contains(&format!("type {kind} code {code}")));
        }
    }
}
