//! A syslog listener as a source.
//!
//! What was heard waits in a short queue. While the store takes nothing the queue is full, and nothing more is fetched: senders by TCP
//! and TLS must wait, and of datagrams the kernel throws away what it has no room for, and tells how many.

mod address;
mod heard;
mod tcp;
mod tls;
mod udp;

use std::time::Duration;

use portcullis_logs::LineReader;
use tokio::sync::mpsc::{Receiver, channel};

pub use address::{Carrier, Listener};
pub use tls::TlsFiles;

use self::heard::Heard;
use super::{
    FollowError, Wake,
    live::{BEAT, Listened},
    source::{Source, Taking},
};
use crate::OpsError;

/// Pieces that wait: some megabytes.
const QUEUE: usize = 64;

/// Pieces that are counted before the store is looked at again.
const MOST_PIECES: usize = 64;

/// A place that is listened at.
pub(super) struct Syslog {
    name: String,
    heard: Receiver<Heard>,
    listened: Listened,
    gap: Option<String>,
    _ear: Ear,
}

/// Listens until it is dropped.
enum Ear {
    Udp(#[expect(dead_code, reason = "it ends its thread when it goes")] udp::Ear),
    Tcp(#[expect(dead_code, reason = "it ends its tasks when it goes")] tcp::Ear),
}

impl Syslog {
    /// What it is called in the store.
    pub(super) fn name(listener: Listener) -> String {
        format!("syslog:{listener}")
    }

    /// Begins to listen. To be called inside the runtime.
    ///
    /// # Errors
    /// When the address cannot be had, or TLS has no certificate that it can use.
    pub(super) fn open(
        listener: Listener,
        tls: Option<&TlsFiles>,
        kept: Option<&str>,
        wake: &Wake,
    ) -> Result<Self, OpsError> {
        let (sender, heard) = channel(QUEUE);
        let wake = wake.clone();
        let ear = match listener.carrier {
            Carrier::Udp => udp::listen(listener, sender, wake).map(Ear::Udp),
            Carrier::Tcp => tcp::listen(listener, None, sender, wake).map(Ear::Tcp),
            Carrier::Tls => tls
                .ok_or(FollowError::Tls("TLS needs a certificate and its key"))
                .and_then(tls::acceptor)
                .and_then(|tls| tcp::listen(listener, Some(tls), sender, wake))
                .map(Ear::Tcp),
        };
        let ear = ear.map_err(OpsError::Follow)?;
        let (listened, gap) = Listened::begin(&listener.to_string(), kept);
        Ok(Self {
            name: listener.to_string(),
            heard,
            listened,
            gap,
            _ear: ear,
        })
    }
}

impl Source for Syslog {
    fn read(&mut self, taking: &mut Taking<'_>) -> Result<bool, OpsError> {
        if let Some(gap) = self.gap.take() {
            taking.gap(gap);
        }
        self.listened.now();
        let settings = taking.settings;
        let mut reader = LineReader::new(&settings.prefixes, settings.format);
        let mut any = false;
        for _ in 0..MOST_PIECES {
            let Ok(heard) = self.heard.try_recv() else { break };
            any = true;
            heard.count(&self.name, &mut reader, taking);
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
