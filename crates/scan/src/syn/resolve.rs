//! Finds the Ethernet addresses of hops: asks at the pace of the scan, and listens meanwhile.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use portcullis_sys::packet::{
    ETHERTYPE_ARP, ETHERTYPE_IPV6, Receiver, Sender,
    filter::{arp_replies, neighbour_advertisements},
    receive,
};

use super::{SynError, SynRequest, neighbour, tempo::Tempo, ways::Ways};

/// How often a neighbour is asked, as Linux does (`mcast_solicit` is 3).
const QUESTIONS: u32 = 3;
/// How long an answer is waited for, as Linux does (`retrans_time`).
const PATIENCE: Duration = Duration::from_secs(1);

/// What was used to ask. Closing it takes the kernel a while: it is to be dropped when there is time.
#[derive(Debug, Default)]
pub(super) struct Used {
    /// How many frames were sent.
    pub(super) asked: u64,
    _senders: Vec<Sender>,
    _receivers: Vec<Receiver>,
}

/// Asks for the hops that may be asked and have no Ethernet address.
pub(super) fn resolve(
    ways: &mut Ways,
    request: &SynRequest,
    may_ask: &dyn Fn(IpAddr) -> bool,
    stop: &AtomicBool,
) -> Result<Used, SynError> {
    let mut wanted: HashMap<(usize, IpAddr), Vec<usize>> = HashMap::new();
    for (place, hop) in ways.hops.iter().enumerate() {
        if hop.ethernet.is_none() && (hop.router || may_ask(hop.address)) {
            wanted.entry((hop.link, hop.address)).or_default().push(place);
        }
    }
    if wanted.is_empty() {
        return Ok(Used::default());
    }
    let mut senders = Vec::new();
    let mut receivers = Vec::new();
    let mut link_of = Vec::new();
    for (place, link) in ways.links.iter().enumerate() {
        senders.push(Sender::open(link.index).map_err(SynError::opening)?);
        for (ethertype, filter) in [
            (ETHERTYPE_ARP, arp_replies()),
            (ETHERTYPE_IPV6, neighbour_advertisements()),
        ] {
            receivers.push(Receiver::open(link.index, ethertype, &filter).map_err(SynError::opening)?);
            link_of.push(place);
        }
    }
    let begin = Instant::now();
    let mut asked = 0;
    for _ in 0..QUESTIONS {
        let mut questions: Vec<usize> = wanted
            .values()
            .filter_map(|places| places.first().copied())
            .collect();
        questions.sort_unstable();
        let mut tempo = Tempo::new(request.pace, questions.len() as u64, None, true);
        let mut questions = questions.into_iter();
        let mut last = Instant::now();
        let mut all_sent = false;
        while !wanted.is_empty() && (!all_sent || last.elapsed() < PATIENCE) && !stop.load(Ordering::Relaxed)
        {
            let now = begin.elapsed();
            if !all_sent && tempo.ready(now) > 0 {
                tempo.take(now, 1);
                match questions.next() {
                    Some(place) => {
                        asked += u64::from(ask(ways, place, &mut senders));
                        last = Instant::now();
                    }
                    None => all_sent = true,
                }
            }
            let patience = if all_sent {
                Duration::from_millis(5)
            } else {
                Duration::ZERO
            };
            let heard = receive(&mut receivers, patience, &mut |receiver, frame| {
                let answer = neighbour::answer(frame).zip(link_of.get(receiver));
                let Some(((address, ethernet), link)) = answer else {
                    return;
                };
                for place in wanted.remove(&(*link, address)).unwrap_or_default() {
                    if let Some(hop) = ways.hops.get_mut(place) {
                        hop.ethernet = Some(ethernet);
                    }
                }
            });
            if let Err(error) = heard {
                // A link that is down shows again when the scan sends on it, and has its reason there.
                tracing::debug!(%error, "cannot listen for neighbours");
                thread::sleep(Duration::from_millis(5));
            }
            let when = tempo.when();
            if !all_sent && when > begin.elapsed() {
                thread::sleep((when - begin.elapsed().min(when)).min(Duration::from_millis(5)));
            }
        }
    }
    Ok(Used {
        asked,
        _senders: senders,
        _receivers: receivers,
    })
}

fn ask(ways: &Ways, place: usize, senders: &mut [Sender]) -> bool {
    let Some(hop) = ways.hops.get(place) else {
        return false;
    };
    let (Some(question), Some(sender)) = (
        neighbour::question(hop.own, hop.address),
        senders.get_mut(hop.link),
    ) else {
        return false;
    };
    if let Some(room) = sender.room(question.len()) {
        room.copy_from_slice(&question);
    }
    // A question that the interface did not take is asked again, as one that was lost.
    let sent = sender.send();
    sender.clear();
    sent.is_ok_and(|sent| sent > 0)
}
