//! The positive control: another port on the same host, which must answer where the closed one does not.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener},
};

use portcullis_model::{Observation, Port, PortState, Transport};
use portcullis_sys::Machine;

/// A port that should answer. Where there is none, silence proves nothing, and the verdict is "cannot conclude".
#[derive(Debug)]
pub(crate) enum Control {
    /// A listener on a port that the kernel chose, on all addresses of this host. It never accepts: the kernel completes
    /// handshakes by itself, and that is all that is asked.
    Own(TcpListener),
    /// The ssh server of another host, over which it is worked on: nothing is started there.
    Ssh(u16),
    /// Ports of hosts behind this one that were seen open before.
    Seen(BTreeMap<IpAddr, u16>),
    /// None: this host lets no port be opened, or another one does not tell.
    None,
}

impl Control {
    /// The one for ports of the host that is worked on.
    pub(crate) fn of_host(machine: &Machine) -> Self {
        if let Machine::There(ssh) = machine {
            return ssh.server().map_or(Self::None, |server| Self::Ssh(server.port()));
        }
        let any: [SocketAddr; 2] = [
            (Ipv6Addr::UNSPECIFIED, 0).into(),
            (Ipv4Addr::UNSPECIFIED, 0).into(),
        ];
        TcpListener::bind(any.as_slice()).map_or(Self::None, Self::Own)
    }

    /// The ones for a port of hosts of which only this is known.
    pub(crate) fn seen_open(observations: &[Observation], closed: Port) -> Self {
        let is_control = |seen: &&Observation| {
            seen.state == PortState::Open && seen.port.transport == Transport::Tcp && seen.port != closed
        };
        let seen = observations.iter().filter(is_control);
        Self::Seen(seen.map(|seen| (seen.address, seen.port.number)).collect())
    }

    /// The number of the TCP port that should answer at an address.
    pub(crate) fn port_of(&self, address: IpAddr) -> Option<u16> {
        match self {
            Self::Own(listener) => Some(listener.local_addr().ok()?.port()),
            Self::Ssh(number) => Some(*number),
            Self::Seen(seen) => seen.get(&address).copied(),
            Self::None => None,
        }
    }
}
