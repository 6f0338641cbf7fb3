//! Guards: neighbours of the targets that are watched while a scan runs. When they answer slower or not at all, the scan
//! slows, pauses and stops, and says why.
//!
//! A guard is asked once per second by one exchange: a TCP connection that is opened and closed at once, or an ICMP echo.
//! Only the time until the answer is measured, and no cause is guessed: the scan may be innocent.
//!
//! Verbs: [`baseline`] (how long they take before the scan; sends nothing to any target), [`watch`] (ask them while it
//! runs, and drive a [`Brake`](crate::Brake)); [`Health`] is the judgement alone, without a socket.

mod ask;
mod echo;
mod end;
mod health;
mod watch;

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

use portcullis_model::{Exit, Fault, Port, sanitize};

pub use health::{Baseline, Health, Sample, Verdict};
pub use watch::{Baselines, GuardEvent, GuardReport, Watching, baseline, watch};

/// Questions to each guard before the scan.
const QUESTIONS_BEFORE: u32 = 5;

/// A neighbour that is watched: `10.7.10.9:502`, `[fd00::1]:502`, or `icmp:10.7.10.9`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Guard {
    /// Port 0 when it is asked by ICMP.
    address: SocketAddr,
    way: Way,
}

/// How a guard is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Way {
    Tcp,
    Icmp,
}

impl Guard {
    /// Its address.
    pub fn address(&self) -> IpAddr {
        self.address.ip()
    }

    /// The port that it is asked on; `None` when it is asked by ICMP.
    pub fn port(&self) -> Option<Port> {
        match self.way {
            Way::Tcp => Some(Port::tcp(self.address.port())),
            Way::Icmp => None,
        }
    }
}

impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.way {
            Way::Tcp => self.address.fmt(f),
            Way::Icmp => write!(f, "icmp:{}", self.address.ip()),
        }
    }
}

impl FromStr for Guard {
    type Err = GuardError;

    /// Reads an address with a TCP port, or an address behind `icmp:`. A name is refused: which host answers to it may
    /// change while the scan runs.
    fn from_str(text: &str) -> Result<Self, GuardError> {
        let wrong = |why| GuardError::NotAGuard {
            text: text.into(),
            why,
        };
        let (address, way) = match text.strip_prefix("icmp:") {
            Some(address) => {
                let address: IpAddr = address
                    .parse()
                    .map_err(|_| wrong("there is no address behind `icmp:`"))?;
                (SocketAddr::new(address, 0), Way::Icmp)
            }
            None if text.parse::<IpAddr>().is_ok() => return Err(wrong("it has no port")),
            None => {
                let address: SocketAddr = text
                    .parse()
                    .map_err(|_| wrong("it is not an address with a port"))?;
                if address.port() == 0 {
                    return Err(wrong("port 0 is none"));
                }
                (address, Way::Tcp)
            }
        };
        let ip = address.ip().to_canonical();
        let broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
        if ip.is_unspecified() || ip.is_multicast() || broadcast {
            return Err(wrong("no single host has this address"));
        }
        let address = match address {
            // Its scope stays.
            SocketAddr::V6(_) if ip.is_ipv6() => address,
            _ => SocketAddr::new(ip, address.port()),
        };
        Ok(Self { address, way })
    }
}

/// Why guards cannot be watched. Nothing has been sent to any target.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// A text that names no guard.
    #[error("`{}` is not a guard: {why}", sanitize(text))]
    NotAGuard {
        /// As typed.
        text: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A guard that does not answer every question before the scan.
    #[error(
        "guard {guard} did not answer question {question} of {QUESTIONS_BEFORE} before the scan; nothing was scanned"
    )]
    Silent {
        /// Which.
        guard: Guard,
        /// Which question, from 1.
        question: u32,
    },
    /// A guard that this host cannot ask.
    #[error("guard {guard} cannot be asked from this host; nothing was scanned")]
    Ask {
        /// Which.
        guard: Guard,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The system gives no pipe or no thread to watch with.
    #[error("cannot begin to watch the guards; nothing was scanned")]
    Begin(#[source] io::Error),
}

impl Fault for GuardError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotAGuard { .. } => "SC050",
            Self::Silent { .. } => "SC051",
            Self::Ask { .. } => "SC052",
            Self::Begin(_) => "SC053",
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::NotAGuard { .. } => Some("write 10.7.10.9:502, [fd00::1]:502 or icmp:10.7.10.9".into()),
            Self::Silent { .. } => Some("name a neighbour that answers reliably, or mend this one first".into()),
            Self::Ask { guard, source } if source.kind() == io::ErrorKind::PermissionDenied => match guard.way {
                Way::Icmp => Some(
                    "run it as root, allow this group ICMP sockets with `sysctl net.ipv4.ping_group_range`, or name a \
                     TCP port of the guard"
                        .into(),
                ),
                Way::Tcp => Some("the firewall of this host may forbid it".into()),
            },
            Self::Ask { .. } | Self::Begin(_) => None,
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::NotAGuard { .. } => Exit::Usage,
            Self::Silent { .. } => Exit::Refused,
            Self::Ask { .. } | Self::Begin(_) => Exit::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guards_are_read_as_they_are_shown() {
        for text in [
            "10.7.10.9:502",
            "[fd00::1]:502",
            "[fe80::1%3]:22",
            "icmp:10.7.10.9",
            "icmp:fd00::1",
        ] {
            assert_eq!(text.parse::<Guard>().unwrap().to_string(), text);
        }
        let mapped: Guard = "[::ffff:10.7.10.9]:502".parse().unwrap();
        assert_eq!(mapped.to_string(), "10.7.10.9:502");
        assert_eq!(mapped.port(), Some(Port::tcp(502)));
        assert_eq!("icmp:fd00::1".parse::<Guard>().unwrap().port(), None);
    }

    #[test]
    fn what_is_no_guard_says_why() {
        for (text, why) in [
            ("", "not an address with a port"),
            ("plc-7:502", "not an address with a port"),
            ("fd00::1:502x", "not an address with a port"),
            ("10.7.10.9:70000", "not an address with a port"),
            ("10.7.10.9", "it has no port"),
            ("fd00::1", "it has no port"),
            ("10.7.10.9:0", "port 0"),
            ("icmp:", "no address behind"),
            ("icmp:10.7.10.9:502", "no address behind"),
            ("0.0.0.0:502", "no single host"),
            ("icmp:255.255.255.255", "no single host"),
            ("icmp:ff02::1", "no single host"),
            ("[::ffff:224.0.0.1]:5", "no single host"),
        ] {
            let error = text.parse::<Guard>().unwrap_err();
            assert!(error.to_string().contains(why), "{text}: {error}");
            assert_eq!((error.code(), error.exit()), ("SC050", Exit::Usage));
        }
    }
}
