//! Sockets that are made and closed beside the scan: both take the kernel as long as connecting does, and at a high rate
//! the thread that scans has no time for them.

use std::{
    collections::VecDeque,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread,
};

use socket2::{Domain, Socket};

use crate::probe::tcp;

/// From so many packets per second on it is worth a thread.
const WORTH_IT: u32 = 5000;
/// How many are made at once.
const BATCH: usize = 256;
/// So few that are left mean that more are ordered.
const FEW: usize = 512;

enum Order {
    Make(Domain),
    /// Dropping them closes them.
    Close(Vec<Socket>),
}

/// Takes orders, and gives what was made.
type Worker = (Sender<Order>, Receiver<(Domain, Vec<Socket>)>);

/// Makes and closes sockets on a thread of its own, where that is worth it.
pub(super) struct Sockets {
    worker: Option<Worker>,
    v4: Stock,
    v6: Stock,
    /// How many are yet to be closed.
    closing: Arc<AtomicUsize>,
}

#[derive(Default)]
struct Stock {
    ready: VecDeque<Socket>,
    ordered: usize,
}

impl Sockets {
    /// For so many connections at a time, at this rate. The thread looks from the network namespace of the calling one.
    pub(super) fn new(packets_per_second: u32, connections: usize) -> Self {
        let closing = Arc::<AtomicUsize>::default();
        let worth_it = packets_per_second >= WORTH_IT && connections >= 8 * FEW;
        Self {
            worker: worth_it.then(|| worker(Arc::clone(&closing))),
            v4: Stock::default(),
            v6: Stock::default(),
            closing,
        }
    }

    /// How many descriptors are taken by those that are not connecting: ready, ordered, or yet to be closed.
    pub(super) fn held(&self) -> usize {
        let stock = |stock: &Stock| stock.ready.len() + stock.ordered;
        stock(&self.v4) + stock(&self.v6) + self.closing.load(Ordering::Relaxed)
    }

    /// A socket for a connection to this address, if one is ready.
    pub(super) fn take(&mut self, to: IpAddr) -> Option<Socket> {
        let (orders, made) = self.worker.as_ref()?;
        for (domain, sockets) in made.try_iter() {
            let stock = if domain == Domain::IPV4 {
                &mut self.v4
            } else {
                &mut self.v6
            };
            stock.ordered = stock.ordered.saturating_sub(BATCH);
            stock.ready.extend(sockets);
        }
        let (domain, stock) = match to {
            IpAddr::V4(_) => (Domain::IPV4, &mut self.v4),
            IpAddr::V6(_) => (Domain::IPV6, &mut self.v6),
        };
        if stock.ready.len() + stock.ordered < FEW && orders.send(Order::Make(domain)).is_ok() {
            stock.ordered += BATCH;
        }
        stock.ready.pop_front()
    }

    /// Closes what is not needed any more.
    pub(super) fn close(&self, sockets: Vec<Socket>) {
        if let Some((orders, _)) = &self.worker {
            self.closing.fetch_add(sockets.len(), Ordering::Relaxed);
            // Where nobody takes them, dropping them is as good.
            let _ = orders.send(Order::Close(sockets));
        }
    }
}

/// It ends when nobody can order anything any more.
fn worker(closing: Arc<AtomicUsize>) -> Worker {
    let (orders, ordered) = channel();
    let (make, made) = channel();
    thread::spawn(move || {
        for order in ordered {
            match order {
                Order::Make(domain) => {
                    // Why one cannot be made is told where it is needed.
                    let sockets = (0..BATCH).map_while(|_| tcp::socket(domain).ok()).collect();
                    if make.send((domain, sockets)).is_err() {
                        return;
                    }
                }
                Order::Close(sockets) => {
                    let count = sockets.len();
                    drop(sockets);
                    closing.fetch_sub(count, Ordering::Relaxed);
                }
            }
        }
    });
    (orders, made)
}

#[cfg(test)]
mod tests {
    use super::*;

    const V4: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
    const V6: IpAddr = IpAddr::V6(std::net::Ipv6Addr::LOCALHOST);

    fn next(sockets: &mut Sockets, to: IpAddr) -> Socket {
        std::iter::repeat_with(|| {
            thread::yield_now();
            sockets.take(to)
        })
        .flatten()
        .next()
        .unwrap()
    }

    #[test]
    fn each_family_gets_its_own_however_they_alternate() {
        let mut sockets = Sockets::new(WORTH_IT, 10_000);
        for to in [V4, V6, V4, V4, V6, V6] {
            let socket = next(&mut sockets, to);
            let domain = if to.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
            assert_eq!(socket.domain().unwrap(), domain);
            sockets.close(vec![socket]);
        }
        for stock in [&sockets.v4, &sockets.v6] {
            assert!(stock.ready.len() + stock.ordered < FEW + BATCH);
        }
    }

    #[test]
    fn a_gentle_scan_needs_none() {
        assert!(Sockets::new(WORTH_IT - 1, 10_000).take(V4).is_none());
        assert!(Sockets::new(WORTH_IT, 500).take(V4).is_none());
    }
}
