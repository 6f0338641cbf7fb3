//! What each device felt: counted when a packet is handed to the kernel, or when the kernel says that it has sent one.

use std::{
    net::IpAddr,
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
    time::Duration,
};

use portcullis_model::Felt;

/// Packets closer than this belong to one burst.
const BURST: Duration = Duration::from_millis(10);

/// One device. Several threads may count.
#[derive(Debug, Default)]
struct Device {
    packets: AtomicU32,
    connections: AtomicU32,
    /// When the last packet went, in tenths of a millisecond from 1 on (32 bits), the length of its burst and of the
    /// longest (16 bits each).
    burst: AtomicU64,
}

/// All devices of a scan.
#[derive(Debug)]
pub(crate) struct Devices(Vec<Device>);

impl Devices {
    pub(crate) fn new(hosts: usize) -> Self {
        Self(std::iter::repeat_with(Device::default).take(hosts).collect())
    }

    /// Counts packets that go at once. `now` is the time since the start.
    pub(crate) fn packets(&self, host: usize, now: Duration, packets: u32) {
        let Some(device) = self.0.get(host).filter(|_| packets > 0) else {
            return;
        };
        device.packets.fetch_add(packets, Ordering::Relaxed);
        let now = now.as_micros() as u64 / 100 + 1;
        let _ = device
            .burst
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |burst| {
                let (last, run, most) = (burst >> 32, burst >> 16 & 0xffff, burst & 0xffff);
                let same = last > 0 && now.saturating_sub(last) < BURST.as_micros() as u64 / 100;
                let run = (if same { run } else { 0 } + u64::from(packets)).min(0xffff);
                Some((now & 0xffff_ffff) << 32 | run << 16 | most.max(run))
            });
    }

    /// Counts packets of which it is not known when they went: acknowledgements of our kernel.
    pub(crate) fn beside(&self, host: usize, packets: u32) {
        if let Some(device) = self.0.get(host) {
            device.packets.fetch_add(packets, Ordering::Relaxed);
        }
    }

    /// Counts a connection that the device accepted.
    pub(crate) fn connection(&self, host: usize) {
        if let Some(device) = self.0.get(host) {
            device.connections.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Takes over what an earlier part of the run has counted.
    pub(crate) fn earlier(&self, host: usize, packets: u32, connections: u32) {
        if let Some(device) = self.0.get(host) {
            device.packets.fetch_add(packets, Ordering::Relaxed);
            device.connections.fetch_add(connections, Ordering::Relaxed);
        }
    }

    /// What a device felt.
    pub(crate) fn felt(&self, host: usize, address: IpAddr) -> Felt {
        let read = |counter: &AtomicU32| counter.load(Ordering::Relaxed);
        let device = self.0.get(host);
        Felt {
            address,
            packets: device.map_or(0, |device| read(&device.packets)),
            connections: device.map_or(0, |device| read(&device.connections)),
            largest_burst: device.map_or(0, |device| (device.burst.load(Ordering::Relaxed) & 0xffff) as u32),
        }
    }

    /// What those devices felt that answered, and the one of the others that felt most.
    pub(crate) fn all(
        &self,
        addresses: impl Iterator<Item = IpAddr>,
        answered: impl Fn(usize) -> bool,
    ) -> Vec<Felt> {
        let mut most: Option<Felt> = None;
        let mut felt = Vec::new();
        for (host, address) in addresses.enumerate() {
            let one = self.felt(host, address);
            if answered(host) {
                felt.push(one);
            } else if one.packets > most.map_or(0, |most| most.packets) {
                most = Some(one);
            }
        }
        felt.extend(most);
        felt
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_close_together_are_a_burst() {
        let devices = Devices::new(2);
        for (at, packets) in [(0, 1), (5, 2), (14, 1), (25, 1), (100, 2)] {
            devices.packets(0, Duration::from_millis(at), packets);
        }
        devices.connection(0);
        let address = [10, 0, 0, 1].into();
        let felt = devices.felt(0, address);
        assert_eq!((felt.packets, felt.connections, felt.largest_burst), (7, 1, 4));
        devices.packets(9, Duration::ZERO, 1);
        assert_eq!(devices.felt(1, address).largest_burst, 0);
    }

    #[test]
    fn of_the_silent_only_the_one_that_felt_most_is_told() {
        let devices = Devices::new(4);
        for (host, packets) in [(0, 1), (1, 3), (2, 2), (3, 9)] {
            devices.packets(host, Duration::ZERO, packets);
        }
        let addresses = (1..=4).map(|last| IpAddr::from([10, 0, 0, last]));
        let all = devices.all(addresses, |host| host == 3);
        let packets: Vec<u32> = all.iter().map(|felt| felt.packets).collect();
        assert_eq!(packets, [9, 3]);
    }
}
