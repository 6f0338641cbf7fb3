//! Sensors: hosts in other networks that look for this one. Both sides only dial out, to a NATS server with JetStream
//! between them, which keeps what one of them has said until the other one has heard it.
//!
//! A look that is asked for is a message of the stream `PORTCULLIS_LOOKS` (`portcullis.look.SENSOR`), and what was seen one of
//! `PORTCULLIS_SEEN` (`portcullis.seen.RUN.SENSOR`). A sensor acknowledges the first after the second is stored, so that a
//! look is never lost and may be made twice. Who is there says so in `PORTCULLIS_SENSORS` (`portcullis.sensor.SENSOR`), from which the
//! server removes whoever has fallen silent.

mod asking;
mod broker;
mod error;
mod message;
mod serving;
mod streams;

pub use broker::Broker;
pub use error::FabricError;
pub use message::{Answer, AskedLook, Looked, MOST_ADDRESSES, Outcome, Presence, Target};
pub use serving::{Asked, Serving, Trouble};
