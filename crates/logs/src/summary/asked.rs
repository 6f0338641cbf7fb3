//! The ports that were asked for.

use std::collections::BTreeSet;

use portcullis_model::{Port, Transport};

/// One bit for each port of both transports.
#[derive(Debug, Clone)]
pub(super) struct PortBits([u64; 2 * 1024]);

impl PortBits {
    fn word_and_bit(port: Port) -> (usize, u64) {
        let number = usize::from(port.number);
        let half = match port.transport {
            Transport::Tcp => 0,
            Transport::Udp => 1024,
        };
        (half + number / 64, 1 << (number % 64))
    }

    pub(super) fn of(ports: &BTreeSet<Port>) -> Self {
        let mut bits = Self([0; 2 * 1024]);
        for port in ports {
            let (word, bit) = Self::word_and_bit(*port);
            if let Some(word) = bits.0.get_mut(word) {
                *word |= bit;
            }
        }
        bits
    }

    pub(super) fn has(&self, port: Port) -> bool {
        let (word, bit) = Self::word_and_bit(port);
        self.0.get(word).is_some_and(|word| word & bit != 0)
    }
}
