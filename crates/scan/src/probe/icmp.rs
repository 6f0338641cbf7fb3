//! The ICMP message behind a socket's error. The error code alone does not tell a firewall's refusal from a host that is
//! switched off; Linux keeps the message in the socket's error queue (ip(7), `IP_RECVERR`).

use std::{
    io::IoSliceMut,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::fd::AsRawFd,
};

use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg, setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};

/// `SO_EE_ORIGIN_ICMP` and `SO_EE_ORIGIN_ICMP6` of `linux/errqueue.h`: the error came from the network.
const FROM_NETWORK: [u8; 2] = [2, 3];
/// Room for the control messages that come with one error.
const CONTROL: usize = 512;

/// An ICMP or ICMPv6 message that answers our packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Icmp {
    /// Who sent it.
    pub(super) from: Option<IpAddr>,
    pub(super) kind: u8,
    pub(super) code: u8,
}

/// A socket that never blocks and keeps the ICMP messages of its errors.
pub(super) fn socket(domain: Domain, kind: Type, protocol: Protocol) -> std::io::Result<Socket> {
    let socket = Socket::new(domain, kind.nonblocking(), Some(protocol))?;
    if domain == Domain::IPV4 {
        setsockopt(&socket, sockopt::Ipv4RecvErr, &true)?;
    } else {
        setsockopt(&socket, sockopt::Ipv6RecvErr, &true)?;
    }
    Ok(socket)
}

/// Takes the next ICMP message out of a socket's error queue.
pub(super) fn pending(socket: &impl AsRawFd) -> Option<Icmp> {
    let mut payload = [0; 64];
    let mut parts = [IoSliceMut::new(&mut payload)];
    let mut control = [0; CONTROL];
    let message = recvmsg::<()>(
        socket.as_raw_fd(),
        &mut parts,
        Some(&mut control),
        MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT,
    )
    .ok()?;
    message.cmsgs().ok()?.find_map(|control| {
        let (error, from) = match control {
            ControlMessageOwned::Ipv4RecvErr(error, from) => {
                let from = from.map(|from| Ipv4Addr::from(u32::from_be(from.sin_addr.s_addr)));
                (error, from.map(IpAddr::from))
            }
            ControlMessageOwned::Ipv6RecvErr(error, from) => {
                let from = from.map(|from| Ipv6Addr::from(from.sin6_addr.s6_addr));
                (error, from.map(IpAddr::from))
            }
            _ => return None,
        };
        FROM_NETWORK.contains(&error.ee_origin).then_some(Icmp {
            from,
            kind: error.ee_type,
            code: error.ee_code,
        })
    })
}
