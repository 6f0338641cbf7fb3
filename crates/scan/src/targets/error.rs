//! Errors of target texts.

use std::io;

use portcullis_model::{Exit, Fault, sanitize};

use super::MOST_ADDRESSES;

/// Why a text cannot be scanned.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// Neither a network, a range, an address nor a host name.
    #[error("`{}` is not a network, a range, an address or a host name", sanitize(text))]
    NotATarget {
        /// As typed.
        text: String,
    },
    /// A prefix of length zero.
    #[error("`{}` is every address there is", sanitize(text))]
    Everything {
        /// As typed.
        text: String,
    },
    /// An IPv6 network that cannot be walked.
    #[error("the IPv6 network `{}` is too wide to be walked", sanitize(text))]
    TooWide {
        /// As typed.
        text: String,
    },
    /// A range whose end lies before its beginning.
    #[error("the range `{}` ends before it begins", sanitize(text))]
    Backwards {
        /// As typed.
        text: String,
    },
    /// A multicast, reserved or unspecified address.
    #[error("`{}` has addresses that no host can have", sanitize(text))]
    NoHost {
        /// As typed.
        text: String,
    },
    /// More addresses than one scan may have.
    #[error("the targets have {count} addresses, and one scan may have {MOST_ADDRESSES}")]
    TooMany {
        /// How many.
        count: u128,
    },
    /// No address at all.
    #[error("there is no address to scan")]
    Empty,
    /// A host name without an address.
    #[error("cannot resolve host name {}", sanitize(name))]
    Unresolved {
        /// The name.
        name: String,
        /// What the resolver said.
        #[source]
        source: io::Error,
    },
    /// An interface that this host does not have.
    #[error("this host has no interface `{}`", sanitize(name))]
    NoInterface {
        /// Its name, as typed.
        name: String,
    },
    /// A link-local address without the interface that it is meant on.
    #[error("`{}` is on every interface", sanitize(text))]
    WhichInterface {
        /// As typed.
        text: String,
    },
    /// One link-local address on two interfaces: in the result they could not be told apart.
    #[error("{address} is meant on two interfaces")]
    TwoInterfaces {
        /// The address.
        address: std::net::IpAddr,
    },
    /// The kernel did not tell its interfaces or neighbours.
    #[error("cannot ask this host for its interfaces and neighbours")]
    System(#[source] portcullis_sys::SysError),
    /// A line of a list.
    #[error("line {line} of the target list is wrong")]
    Line {
        /// Line, from 1.
        line: usize,
        /// What is wrong with it.
        #[source]
        source: Box<TargetError>,
    },
}

impl Fault for TargetError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotATarget { .. } => "SC001",
            Self::Everything { .. } => "SC002",
            Self::TooWide { .. } => "SC003",
            Self::Backwards { .. } => "SC004",
            Self::NoHost { .. } => "SC005",
            Self::TooMany { .. } => "SC006",
            Self::Empty => "SC007",
            Self::Unresolved { .. } => "SC008",
            Self::Line { .. } => "SC009",
            Self::NoInterface { .. } => "SC010",
            Self::TwoInterfaces { .. } => "SC011",
            Self::System(_) => "SC012",
            Self::WhichInterface { .. } => "SC013",
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NotATarget { .. } => {
                "write 10.7.10.0/24, 10.7.10.1-20, 10.7.10.4, 2001:db8::4 or gw-1.plant.example"
            }
            Self::Everything { .. } => "name the networks of the site",
            Self::TooWide { .. } => {
                "list the hosts, or give a prefix of /112 or longer: guessing addresses finds nothing in a wider one"
            }
            Self::Backwards { .. } => "write the lower address first",
            Self::NoHost { .. } => "leave out multicast, reserved and unspecified addresses",
            Self::TooMany { .. } => "split the scan into several",
            Self::Empty => "name at least one network, range, address or host name",
            Self::Unresolved { .. } => "give the address instead of the name",
            Self::NoInterface { .. } => "`ip -brief link` lists those that it has",
            Self::WhichInterface { text } => {
                return Some(format!("name the interface, as in {}%eth0", sanitize(text)));
            }
            Self::TwoInterfaces { .. } => "scan one interface after the other",
            Self::System(source) => return source.hint(),
            Self::Line { source, .. } => return source.hint(),
        };
        Some(hint.into())
    }

    fn exit(&self) -> Exit {
        match self {
            Self::System(source) => source.exit(),
            _ => Exit::Usage,
        }
    }
}
