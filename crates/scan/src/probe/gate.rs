//! Where each packet of a connection waits for its turn and its permission.

use tokio::sync::{mpsc, oneshot};

use crate::places::Place;

/// What waits for its turn on a connection that stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// The one request.
    Request,
    /// Reading on: the kernel acknowledges what the peer can say then.
    Read,
    /// The end of a connection: never refused, for an open connection is a burden to the device.
    Close,
    /// The end of one that does not end in order; never refused either.
    Reset,
}

impl Step {
    /// How many packets of our own it is; acknowledgements are seen later.
    pub(crate) fn own_packets(self) -> u32 {
        match self {
            Self::Request | Self::Close | Self::Reset => 1,
            Self::Read => 0,
        }
    }
}

/// A request or an end, and the acknowledgement of what comes back; or two acknowledgements.
pub(crate) const STEP: u32 = 2;

/// One step that waits.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) place: Place,
    pub(crate) step: Step,
    /// Packets that the kernel has sent meanwhile and nobody has counted so far.
    pub(crate) uncounted: u32,
    /// Packets that the schedule has not counted so far.
    pub(crate) unpaid: u32,
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
        /// Packets of this connection that the scan has counted.
        counted: u32,
        /// And those that its schedule has counted.
        paid: u32,
    },
}

impl Gate {
    /// Waits for the turn of a step. `sent` is how many packets the kernel has sent on this connection by now, where it
    /// says so. Returns whether the step may be taken.
    pub(crate) async fn pass(&mut self, step: Step, sent: Option<u32>) -> bool {
        let Self::Kept {
            place,
            asks,
            counted,
            paid,
        } = self
        else {
            return true;
        };
        let sent = sent.unwrap_or_default();
        let (answer, answered) = oneshot::channel();
        let ask = Ask {
            place: *place,
            step,
            uncounted: sent.saturating_sub(*counted),
            unpaid: sent.saturating_sub(*paid),
            answer,
        };
        *counted = sent.max(*counted);
        *paid = sent.max(*paid);
        // A scan that is gone neither grants nor needs anything more.
        let granted = asks.send(ask).is_ok() && answered.await.unwrap_or(false);
        if granted {
            *counted += step.own_packets();
            *paid += STEP;
        }
        granted
    }

    /// How many packets of this connection the scan has counted, and how many its schedule.
    pub(crate) fn so_far(&self) -> (u32, u32) {
        match self {
            Self::Free => (0, 0),
            Self::Kept { counted, paid, .. } => (*counted, *paid),
        }
    }
}
