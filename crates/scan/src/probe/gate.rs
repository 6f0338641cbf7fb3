//! Where each packet waits for its turn and its permission.

use std::net::IpAddr;

use portcullis_model::Port;
use tokio::sync::{mpsc, oneshot};

/// What kind of packet wants to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// The first packet to a port.
    First,
    /// The same once more, because nothing came back.
    Again,
    /// The one request.
    Request,
    /// The end of a connection: never refused, for an open connection is a burden to the device.
    Close,
}

/// Why a packet may not go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The permission does not cover it.
    Denied(String),
    /// The scan was told to stop.
    Interrupted,
}

impl Refusal {
    pub(crate) fn reason(&self) -> &str {
        match self {
            Self::Denied(reason) => reason,
            Self::Interrupted => "interrupted",
        }
    }
}

/// One packet that waits.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) address: IpAddr,
    pub(crate) port: Port,
    pub(crate) step: Step,
    /// How many packets the step stands for, with the kernel's repeats.
    pub(crate) packets: u32,
    pub(crate) answer: oneshot::Sender<Result<(), Refusal>>,
}

/// The gate that a probe's packets go through.
#[derive(Debug)]
pub(crate) enum Gate {
    /// Open to all.
    Free,
    /// Kept by a scan, which answers each ask when its time has come.
    Kept {
        address: IpAddr,
        port: Port,
        asks: mpsc::UnboundedSender<Ask>,
    },
}

impl Gate {
    /// Waits for the turn of a packet.
    pub(crate) async fn pass(&self, step: Step, packets: u32) -> Result<(), Refusal> {
        let Self::Kept { address, port, asks } = self else {
            return Ok(());
        };
        let (answer, answered) = oneshot::channel();
        let ask = Ask {
            address: *address,
            port: *port,
            step,
            packets,
            answer,
        };
        // A scan that is gone neither grants nor needs anything more.
        if asks.send(ask).is_err() {
            return Err(Refusal::Interrupted);
        }
        answered.await.unwrap_or(Err(Refusal::Interrupted))
    }
}
