//! Whose packets came as far as this host while it was looked at. What never arrived says nothing of the rules here, however closed
//! the port seems: somebody on the way may hold it back, today.

use std::{
    collections::BTreeSet,
    net::IpAddr,
    sync::mpsc::{Receiver as Signal, Sender, TryRecvError, channel},
    thread::{self, JoinHandle},
    time::Duration,
};

use portcullis_capture::{Link, ends};
use portcullis_model::{Port, Transport};
use portcullis_sys::{
    SysError,
    packet::{
        ETHERTYPE_IPV4, ETHERTYPE_IPV6, Receiver,
        filter::{everything, to_port_v4, to_port_v6},
        receive,
        route::interfaces,
    },
};

/// A pair of source and destination that is kept; more come only from a flood.
const MOST: usize = 100_000;

const WAIT: Duration = Duration::from_millis(50);

/// What arrives after the last look was only slow.
const LINGER: Duration = Duration::from_millis(200);

/// What the interfaces of this host hear, before any rule has a say (packet(7)). Dropped, it hears no more.
pub(super) struct Listening {
    open: Sender<()>,
    thread: JoinHandle<Result<Option<Arrivals>, SysError>>,
}

/// Sources and destinations of what came to the port.
#[derive(Debug, Default)]
pub(super) struct Arrivals(BTreeSet<(IpAddr, IpAddr)>);

impl Listening {
    /// Begins to listen for packets to a port, on every interface but loopback.
    ///
    /// # Errors
    /// Without the right to (CAP_NET_RAW).
    pub(super) fn begin(port: Port) -> Result<Self, SysError> {
        let mut receivers = Vec::new();
        let mut links = Vec::new();
        let protocol = match port.transport {
            Transport::Tcp => 6,
            Transport::Udp => 17,
        };
        for interface in interfaces()?.iter().filter(|one| one.up && one.name != "lo") {
            for (ethertype, filter) in [
                (ETHERTYPE_IPV4, to_port_v4(protocol, port.number)),
                (ETHERTYPE_IPV6, to_port_v6(protocol, port.number)),
            ] {
                // Where no Ethernet header stands first, the filters look at the wrong places.
                let (link, filter) = match interface.ethernet {
                    Some(_) => (Link::Ethernet, filter),
                    None => (Link::Ip, everything()),
                };
                receivers.push(Receiver::open(interface.index, ethertype, &filter)?);
                links.push(link);
            }
        }
        let (open, closed) = channel();
        let thread = thread::spawn(move || hear(&mut receivers, &links, port, &closed));
        Ok(Self { open, thread })
    }

    /// What has arrived; `None` when that is not known.
    pub(super) fn end(self) -> Option<Arrivals> {
        thread::sleep(LINGER);
        drop(self.open);
        self.thread.join().ok()?.ok()?
    }
}

fn hear(
    receivers: &mut [Receiver],
    links: &[Link],
    port: Port,
    closed: &Signal<()>,
) -> Result<Option<Arrivals>, SysError> {
    let mut arrivals = Arrivals::default();
    loop {
        let last = closed.try_recv() == Err(TryRecvError::Disconnected);
        receive(receivers, WAIT, &mut |place, frame| {
            let ends = links.get(place).and_then(|link| ends(*link, frame));
            let Some((_, from, to)) =
                ends.filter(|(transport, _, to)| *transport == port.transport && to.port() == port.number)
            else {
                return;
            };
            if arrivals.0.len() < MOST {
                arrivals.0.insert((from.ip(), to.ip()));
            }
        })?;
        if last {
            break;
        }
    }
    for receiver in receivers {
        if receiver.lost()? > 0 {
            // Of what the kernel dropped nothing can be said.
            return Ok(None);
        }
    }
    Ok(Some(arrivals))
}

impl Arrivals {
    /// Whether packets from a source came for an address; `None` where only such came as nobody of us sent: somebody on the way
    /// may have put another source into ours.
    pub(super) fn have(&self, source: IpAddr, address: IpAddr, ours: &BTreeSet<IpAddr>) -> Option<bool> {
        if self.0.contains(&(source, address)) {
            return Some(true);
        }
        let strange = |(from, to): &(IpAddr, IpAddr)| *to == address && !ours.contains(from);
        if self.0.iter().any(strange) {
            None
        } else {
            Some(false)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_under_another_name_may_be_ours() {
        let [a, b, other, here, there]: [IpAddr; 5] =
            ["10.7.30.5", "10.7.30.6", "192.0.2.1", "10.7.10.10", "10.7.10.11"]
                .map(|text| text.parse().unwrap());
        let ours = BTreeSet::from([a, b]);
        let arrivals = Arrivals(BTreeSet::from([(a, here), (other, there)]));
        assert_eq!(arrivals.have(a, here, &ours), Some(true));
        assert_eq!(arrivals.have(b, here, &ours), Some(false));
        assert_eq!(arrivals.have(a, there, &ours), None);
    }
}
