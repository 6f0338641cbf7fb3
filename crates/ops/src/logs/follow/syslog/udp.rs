//! Syslog by UDP (RFC 5426): each datagram is a message.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use portcullis_logs::LONGEST_LINE;
use portcullis_sys::datagrams::Datagrams;
use tokio::sync::mpsc::Sender;

use super::{Listener, heard::Heard};
use crate::logs::{FollowError, follow::Wake};

/// How long one is waited for, and so how soon an end is noticed.
const PATIENCE: Duration = Duration::from_millis(200);

/// Bytes that are handed over at once.
const PIECE: usize = 64 * 1024;

/// A thread that listens; it ends when this is dropped.
pub(super) struct Ear(Arc<AtomicBool>);

impl Drop for Ear {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Begins to listen.
///
/// # Errors
/// When the address cannot be had.
pub(super) fn listen(listener: Listener, sender: Sender<Heard>, wake: Wake) -> Result<Ear, FollowError> {
    let socket = Datagrams::listen(listener.address).map_err(|source| FollowError::Bind {
        address: listener.address,
        source,
    })?;
    let over = Arc::new(AtomicBool::new(false));
    let ear = Ear(Arc::clone(&over));
    thread::spawn(move || hear(listener, socket, &sender, &wake, &over));
    Ok(ear)
}

/// Fetches datagrams until it is over. While nobody takes what was heard, nothing is fetched: the kernel keeps some, then
/// throws away and tells how many.
fn hear(listener: Listener, mut socket: Datagrams, sender: &Sender<Heard>, wake: &Wake, over: &AtomicBool) {
    let mut buffer = vec![0; LONGEST_LINE];
    let mut heard: Option<(IpAddr, Heard)> = None;
    while !over.load(Ordering::Relaxed) {
        // What is there already is handed over before more is waited for.
        let patience = heard.is_none().then_some(PATIENCE);
        let received = match socket.receive(&mut buffer, patience) {
            Ok(received) => received,
            Err(error) => {
                let gap = format!("{listener} cannot be listened to any more: {error}");
                let _ = sender.blocking_send(Heard::gap(listener.address.ip(), gap));
                wake.notify_one();
                return;
            }
        };
        if let Some((from, some)) = heard.take() {
            match received {
                Some(datagram) if datagram.from == from && some.len() < PIECE => heard = Some((from, some)),
                _ => {
                    if sender.blocking_send(some).is_err() {
                        return;
                    }
                    wake.notify_one();
                }
            }
        }
        let Some(datagram) = received else { continue };
        let (_, some) = heard.get_or_insert_with(|| (datagram.from, Heard::from(datagram.from)));
        if datagram.lost > 0 {
            some.gaps.push(format!(
                "the kernel threw away {} datagrams to {listener}, which were not fetched fast enough",
                datagram.lost
            ));
        }
        let message = buffer.get(..datagram.length).unwrap_or_default();
        // A line end is no part of the message, nor a zero (RFC 3164 relays).
        let message = message.trim_ascii_end();
        let message = message.strip_suffix(b"\0").unwrap_or(message);
        if !message.is_empty() {
            some.message(message, datagram.cut);
        } else if some.is_empty() {
            heard = None;
        }
    }
}
