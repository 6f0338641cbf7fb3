//! Whole Ethernet frames, in and out (`packet(7)`), and the way that the kernel would send them (`rtnetlink(7)`).
//!
//! Nothing here decides what is sent: [`Sender`] sends the frames that it is given, [`Receiver`] hands over those that
//! its [`filter`] lets through, [`route`] asks the kernel for interfaces, routes and neighbours.

pub mod filter;
mod mapping;
mod receiver;
mod ring;
pub mod route;
mod sender;
mod socket;

pub use receiver::{Receiver, receive};
pub use ring::Heard;
pub use sender::{MOST_FRAMES, Sender};

/// Longest frame that [`Sender`] takes, in bytes: enough for a TCP segment without data over IPv6.
pub const MOST_BYTES: usize = 128;
/// `ETH_P_ALL` of `linux/if_ether.h`.
const ETHERTYPE_ALL: u16 = 3;
/// `ETH_P_IP` of `linux/if_ether.h`.
pub const ETHERTYPE_IPV4: u16 = 0x0800;
/// `ETH_P_ARP`.
pub const ETHERTYPE_ARP: u16 = 0x0806;
/// `ETH_P_IPV6`.
pub const ETHERTYPE_IPV6: u16 = 0x86dd;
