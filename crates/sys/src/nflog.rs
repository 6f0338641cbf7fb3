//! Live firewall log: the packets that a rule with `log group N` hands to user space (nfnetlink_log).

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd},
    time::Duration,
};

use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use netlink_packet_netfilter::{
    NetfilterMessage, NetfilterMessageInner, NetfilterProtoFamily,
    nflog::{ConfigCmd, ConfigFlags, ConfigMode, ConfigNla, PacketNla, Timeout, ULogMessage, config_request},
};
use netlink_sys::{Socket, protocols::NETLINK_NETFILTER};
use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{
        setsockopt,
        sockopt::{RcvBuf, RcvBufForce},
    },
};

use crate::{SysError, link};

/// One packet that the kernel logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logged {
    /// The rule's prefix.
    pub prefix: String,
    /// The packet from its IP header on, perhaps cut off.
    pub payload: Vec<u8>,
    /// Index of the interface it came in by; 0 when it has none.
    pub interface: u32,
    /// Its number among those of the group since it is listened to: one that is missing was lost.
    pub sequence: Option<u32>,
}

/// What came, and whether the kernel had to throw packets away before it, because they were not fetched fast enough.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Received {
    /// In their order.
    pub packets: Vec<Logged>,
    /// `ENOBUFS`: how many is told by [`Logged::sequence`] of the next one.
    pub overrun: bool,
}

/// A log group that is being listened to.
pub struct Group {
    number: u16,
    socket: Socket,
    buffer: Vec<u8>,
}

/// Enough of each packet for the IP and transport headers with their options.
const COPY_BYTES: u32 = 256;

/// Bytes that the kernel shall keep for us while we are busy.
const BUFFER: usize = 16 << 20;

impl Group {
    /// Begins to listen. Needs CAP_NET_ADMIN in the network namespace.
    ///
    /// # Errors
    /// Without that right, or when somebody else listens to the group.
    pub fn open(number: u16) -> Result<Self, SysError> {
        let fail = |source| SysError::LogGroup {
            group: number,
            source,
        };
        let mut socket = Socket::new(NETLINK_NETFILTER).map_err(fail)?;
        socket.bind_auto().map_err(fail)?;
        // SAFETY: the descriptor belongs to `socket`, which outlives this borrow.
        let descriptor = unsafe { BorrowedFd::borrow_raw(socket.as_raw_fd()) };
        // Without the right to more there is at most what the system allows everybody.
        if setsockopt(&descriptor, RcvBufForce, &BUFFER).is_err() {
            setsockopt(&descriptor, RcvBuf, &BUFFER).map_err(|error| fail(error.into()))?;
        }
        let mut group = Self {
            number,
            socket,
            buffer: Vec::new(),
        };
        let settings = vec![
            ConfigCmd::Bind.into(),
            ConfigMode::new_packet(COPY_BYTES).into(),
            // Hand over each packet soon: an operator watches.
            Timeout::from(Duration::from_millis(10)).into(),
            ConfigNla::Flags(ConfigFlags::SEQ),
        ];
        group
            .configure(config_request(NetfilterProtoFamily::Unspec, number, settings))
            .map_err(fail)?;
        Ok(group)
    }

    fn configure(&mut self, request: NetlinkMessage<NetfilterMessage>) -> io::Result<()> {
        link::send(&self.socket, request)?;
        let mut acknowledged = false;
        while !acknowledged {
            link::receive(
                &self.socket,
                &mut self.buffer,
                |payload: NetlinkPayload<NetfilterMessage>| {
                    if let NetlinkPayload::Error(error) = payload {
                        acknowledged = true;
                        link::acknowledged(&error)?;
                    }
                    Ok(())
                },
            )?;
        }
        Ok(())
    }

    /// Waits up to `patience` for packets and hands over those that came.
    ///
    /// # Errors
    /// When the socket failed.
    pub fn receive(&mut self, patience: Duration) -> Result<Received, SysError> {
        let fail = |source| SysError::LogGroup {
            group: self.number,
            source,
        };
        let timeout = PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX);
        // SAFETY: the descriptor belongs to `self.socket`, which outlives this borrow.
        let descriptor = unsafe { BorrowedFd::borrow_raw(self.socket.as_raw_fd()) };
        let ready = match poll(&mut [PollFd::new(descriptor.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(ready) => ready,
            Err(nix::Error::EINTR) => 0,
            Err(error) => return Err(fail(error.into())),
        };
        let mut received = Received::default();
        if ready > 0 {
            let outcome = link::receive(
                &self.socket,
                &mut self.buffer,
                |payload: NetlinkPayload<NetfilterMessage>| {
                    if let NetlinkPayload::InnerMessage(message) = payload
                        && let NetfilterMessageInner::ULog(ULogMessage::Packet(attributes)) = message.inner
                    {
                        received.packets.push(logged(attributes));
                    }
                    Ok(())
                },
            );
            match outcome {
                Err(error) if error.raw_os_error() == Some(nix::libc::ENOBUFS) => received.overrun = true,
                outcome => outcome.map_err(fail)?,
            }
        }
        Ok(received)
    }
}

fn logged(attributes: Vec<PacketNla>) -> Logged {
    let mut packet = Logged {
        prefix: String::new(),
        payload: Vec::new(),
        interface: 0,
        sequence: None,
    };
    for attribute in attributes {
        match attribute {
            PacketNla::Prefix(prefix) => packet.prefix = prefix.to_string_lossy().into_owned(),
            PacketNla::Payload(payload) => packet.payload = payload,
            PacketNla::IfIndexInDev(index) => packet.interface = index,
            PacketNla::Seq(number) => packet.sequence = Some(number),
            _ => {}
        }
    }
    packet
}

/// Name of an interface of this network namespace.
pub fn interface_name(index: u32) -> Option<String> {
    let interfaces = nix::net::if_::if_nameindex().ok()?;
    interfaces
        .iter()
        .find(|interface| interface.index() == index)
        .and_then(|interface| interface.name().to_str().ok().map(str::to_owned))
}
