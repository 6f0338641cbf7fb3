//! A netfilter log group as a source.

use std::{collections::HashMap, time::Duration};

use jiff::Timestamp;
use portcullis_logs::{Line, LoggedPacket, Prefixes, read_packet};
use portcullis_model::LogSource;
use portcullis_sys::{
    SysError,
    nflog::{self, Group, Logged},
};

use super::{
    live::{BEAT, Listened},
    source::{Source, Taking},
};
use crate::OpsError;

/// Rounds of fetching before what was counted is looked at again.
const MOST_ROUNDS: usize = 64;

/// Names of interfaces are looked up again after that many packets: they change with the machine.
const MOST_LOOKUPS: u64 = 10_000;

/// A log group that is listened to, and what the kernel lost of it.
pub(in crate::logs) struct Listening {
    number: u16,
    group: Group,
    lost: Lost,
    names: HashMap<u32, String>,
    packets: u64,
}

impl Listening {
    /// Begins to listen.
    ///
    /// # Errors
    /// Without the right to, and when somebody else listens to the group.
    pub(in crate::logs) fn open(number: u16) -> Result<Self, SysError> {
        Ok(Self {
            number,
            group: Group::open(number)?,
            lost: Lost::default(),
            names: HashMap::new(),
            packets: 0,
        })
    }

    /// Waits up to `patience` for packets, and hands over each that came, as a line. Tells how many came, and what was lost.
    ///
    /// # Errors
    /// When the socket failed.
    pub(in crate::logs) fn receive(
        &mut self,
        patience: Duration,
        prefixes: &Prefixes,
        mut each: impl FnMut(&Line<'_>, &[u8], LogSource),
    ) -> Result<(usize, Vec<String>), SysError> {
        let received = self.group.receive(patience)?;
        let mut gaps = Vec::new();
        self.lost.overrun |= received.overrun;
        for logged in &received.packets {
            gaps.extend(self.lost.packet(logged.sequence));
            self.packets += 1;
            if self.packets.is_multiple_of(MOST_LOOKUPS) {
                self.names.clear();
            }
            let line = self.line(logged, prefixes);
            each(&line, &logged.payload, LogSource::Nflog { group: self.number });
        }
        if received.packets.is_empty() && !received.overrun {
            gaps.extend(self.lost.drained());
        }
        Ok((received.packets.len() + usize::from(received.overrun), gaps))
    }

    fn line<'l>(&mut self, logged: &'l Logged, prefixes: &Prefixes) -> Line<'l> {
        let name = self
            .names
            .entry(logged.interface)
            .or_insert_with(|| nflog::interface_name(logged.interface).unwrap_or_default());
        let packet = LoggedPacket {
            prefix: logged.prefix.as_bytes(),
            payload: &logged.payload,
            at: Some(Timestamp::now().as_microsecond()),
            interface: name.clone().into_bytes().into(),
            ..LoggedPacket::default()
        };
        read_packet(&packet, prefixes)
    }
}

/// What the kernel threw away.
#[derive(Debug, Default)]
struct Lost {
    /// The number of the next packet.
    next: Option<u32>,
    /// The kernel said that it threw something away, and not yet how much.
    overrun: bool,
}

impl Lost {
    /// A packet came: tells what is missing before it.
    fn packet(&mut self, sequence: Option<u32>) -> Option<String> {
        let missing = match (self.next, sequence) {
            (Some(next), Some(sequence)) => sequence.wrapping_sub(next),
            // The kernel counts from 0 for each who listens.
            (None, Some(sequence)) => sequence,
            (_, None) => 0,
        };
        if let Some(sequence) = sequence {
            self.next = Some(sequence.wrapping_add(1));
        }
        // Half of the numbers: they went backwards, which is no loss.
        (1..1 << 31).contains(&missing).then(|| {
            self.overrun = false;
            format!("the kernel threw away {missing} logged packets, which were not fetched fast enough")
        })
    }

    /// All that the kernel had kept is fetched: if it threw something away, that came behind it, and the next packet tells how
    /// much it was.
    fn drained(&mut self) -> Option<String> {
        std::mem::take(&mut self.overrun).then(|| {
            "the kernel threw away logged packets, which were not fetched fast enough; the next one tells how many".into()
        })
    }
}

/// A followed log group.
pub(super) struct NflogGroup {
    listening: Listening,
    listened: Listened,
    gap: Option<String>,
}

impl NflogGroup {
    /// What it is called in the store.
    pub(super) fn name(group: u16) -> String {
        format!("nflog:{group}")
    }

    /// Begins to listen.
    ///
    /// # Errors
    /// Without the right to, and when somebody else listens to the group.
    pub(super) fn open(group: u16, kept: Option<&str>) -> Result<Self, OpsError> {
        let listening = Listening::open(group).map_err(OpsError::System)?;
        let (listened, gap) = Listened::begin(&format!("log group {group}"), kept);
        Ok(Self {
            listening,
            listened,
            gap,
        })
    }
}

impl Source for NflogGroup {
    fn read(&mut self, taking: &mut Taking<'_>) -> Result<bool, OpsError> {
        if let Some(gap) = self.gap.take() {
            taking.gap(gap);
        }
        self.listened.now();
        let settings = taking.settings;
        let mut any = false;
        for _ in 0..MOST_ROUNDS {
            let (came, gaps) = self
                .listening
                .receive(Duration::ZERO, &settings.prefixes, |line, bytes, place| {
                    taking.line(line, bytes, || place.clone());
                })
                .map_err(OpsError::System)?;
            for gap in gaps {
                taking.gap(gap);
            }
            if came == 0 {
                break;
            }
            any = true;
        }
        Ok(any)
    }

    fn position(&mut self) -> Result<Option<String>, OpsError> {
        self.listened.position().map(Some).map_err(OpsError::Position)
    }

    fn beat(&self) -> Option<Duration> {
        Some(BEAT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_threw_away_is_told_by_its_number() {
        let mut lost = Lost::default();
        let mut told = |sequence| lost.packet(Some(sequence)).is_some();
        assert_eq!([0, 1, 2].map(&mut told), [false; 3]);
        assert!(told(7) && !told(8));
        // The kernel says so before it hands over what it had kept.
        lost.overrun = true;
        assert_eq!((lost.packet(Some(9)), lost.packet(Some(10))), (None, None));
        assert!(lost.drained().unwrap().contains("the next one tells"));
        assert_eq!(lost.drained(), None);
        let gap = lost.packet(Some(14)).unwrap();
        assert!(gap.contains("threw away 3 logged"), "{gap}");
        lost.next = Some(u32::MAX);
        assert_eq!(lost.packet(Some(u32::MAX)), None);
        assert_eq!(lost.packet(Some(0)), None, "the numbers begin anew");
        lost.overrun = true;
        assert_eq!(lost.packet(None), None);
        assert!(lost.drained().is_some());
    }
}
