//! Where each packet of a connection waits for its turn and its permission.

use tokio::sync::{mpsc, oneshot};

use crate::places::Place;

/// What kind of packet wants to go on a connection that stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// The one request.
    Request,
    /// The end of a connection: never refused, for an open connection is a burden to the device.
    Close,
}

/// One packet that waits.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) place: Place,
    pub(crate) step: Step,
    /// Takes whether it may go.
    pub(crate) answer: oneshot::Sender<bool>,
}

/// The gate that a probe's packets go through.
#[derive(Debug)]
pub(crate) enum Gate {
    /// Open to all.
    Free,
    /// Kept by a scan, which answers each ask when its time has come.
    Kept {
        place: Place,
        asks: mpsc::UnboundedSender<Ask>,
    },
}

impl Gate {
    /// Waits for the turn of a packet. Returns whether it may go.
    pub(crate) async fn pass(&self, step: Step) -> bool {
        let Self::Kept { place, asks } = self else {
            return true;
        };
        let (answer, answered) = oneshot::channel();
        let ask = Ask {
            place: *place,
            step,
            answer,
        };
        // A scan that is gone neither grants nor needs anything more.
        asks.send(ask).is_ok() && answered.await.unwrap_or(false)
    }
}
