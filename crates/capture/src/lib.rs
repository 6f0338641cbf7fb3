//! What captured packets show, without one of its own: who listens, who asks, and what the first bytes name.
//!
//! It reads frames from pcap and pcapng, or takes them one by one, and remembers what they show within fixed bounds. It
//! opens no file and no socket, sends nothing, and reads no clock. What is not certain is not claimed; what had no room is
//! counted.
//!
//! Verbs: [`File::open`], [`File::next_frame`], [`Watch::frame`], [`Watch::end`], [`Found::observations`].
//!
//! ```
//! use portcullis_capture::{CaptureError, File, Limits, Watch};
//! use portcullis_knowledge::Knowledge;
//! // The header of a pcap file in microseconds, of Ethernet, without a frame.
//! let bytes = b"\xd4\xc3\xb2\xa1\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\x04\0\x01\0\0\0";
//! let mut watch = Watch::new(Limits::default(), &Knowledge::builtin()?, &[]);
//! let mut file = File::open(&bytes[..])?;
//! while let Some(frame) = file.next_frame()? {
//!     watch.frame(frame.link, frame.bytes, frame.at);
//! }
//! assert_eq!(watch.end().counted().frames, 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod buffer;
mod conversation;
mod conversations;
mod error;
mod file;
mod findings;
mod found;
mod link;
mod moment;
pub mod moxa;
mod packet;
mod pcap;
mod pcapng;
mod stations;
#[cfg(test)]
mod tests;
mod turns;
mod watch;

pub use error::{CaptureError, Damage};
pub use file::{Container, File, Frame};
pub use found::{AddressReport, Counted, Found, Observations, Source};
pub use link::Link;
pub use packet::ends;
pub use watch::{Limits, Watch};
