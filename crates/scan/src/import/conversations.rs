//! Many connections between the same two, told as one record.

use std::{collections::BTreeMap, net::IpAddr};

use jiff::Timestamp;
use portcullis_model::Port;

use super::PortSeen;

/// How many pairs are remembered at once: about 20 MB.
const MOST: usize = 65_536;

/// Overheard connections, by client, server and port. The memory is bounded: what is remembered is given away when it is
/// full, and counting begins again.
#[derive(Debug, Default)]
pub struct Conversations {
    seen: BTreeMap<(IpAddr, IpAddr, Port), Tally>,
}

#[derive(Debug)]
struct Tally {
    last: PortSeen,
    first_at: Option<Timestamp>,
    count: u64,
}

impl Conversations {
    /// Adds what was seen of a port. Comes back what can be told now: what was not overheard at once, and everything
    /// else when too much is remembered.
    pub fn add(&mut self, seen: PortSeen) -> Vec<PortSeen> {
        let Some(client) = seen.client else {
            return vec![seen];
        };
        let key = (client, seen.address, seen.port);
        if let Some(tally) = self.seen.get_mut(&key) {
            tally.count += 1;
            tally.first_at = tally.first_at.min(seen.at);
            if seen.at >= tally.last.at {
                tally.last = seen;
            }
            return Vec::new();
        }
        let full = if self.seen.len() >= MOST {
            self.take()
        } else {
            Vec::new()
        };
        let tally = Tally {
            first_at: seen.at,
            last: seen,
            count: 1,
        };
        self.seen.insert(key, tally);
        full
    }

    /// All that is remembered, and forgets it.
    pub fn take(&mut self) -> Vec<PortSeen> {
        let seen = std::mem::take(&mut self.seen);
        seen.into_values().map(told).collect()
    }
}

fn told(tally: Tally) -> PortSeen {
    let mut seen = tally.last;
    if let (Some(first), true) = (tally.first_at, tally.count > 1) {
        let first = first.strftime("%Y-%m-%d %H:%M:%S");
        seen.because = format!(
            "{}, the last of {} connections since {first}",
            seen.because, tally.count
        );
    }
    seen
}
