//! One look: at the port, and at the positive control beside it.

use jiff::Timestamp;
use portcullis_fabric::Looked;
use portcullis_model::Port;
use portcullis_scan::Sighting;

#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(super) port: Sighting,
    /// Whether the control answered; `None` when there is none.
    pub(super) control: Option<bool>,
}

impl Seen {
    /// What a sensor saw, as it tells it.
    pub(super) fn told(looked: Looked, port: Port, at: Timestamp) -> Self {
        Self {
            port: Sighting {
                address: looked.address,
                port,
                at,
                source: looked.source,
                state: looked.state,
                because: looked.because,
                identifications: looked.identifications,
                evidence: looked.evidence,
                packets: looked.packets,
            },
            control: looked.control,
        }
    }

    /// The same, for a sensor to tell.
    pub(crate) fn into_looked(self) -> Looked {
        let Self { port, control } = self;
        Looked {
            address: port.address,
            source: port.source,
            state: port.state,
            because: port.because,
            control,
            identifications: port.identifications,
            evidence: port.evidence,
            packets: port.packets,
        }
    }

    /// Packets that were sent for it.
    pub(crate) fn packets(&self) -> u32 {
        self.port.packets
    }
}
