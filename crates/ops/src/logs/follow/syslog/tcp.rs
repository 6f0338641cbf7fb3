//! Syslog by TCP and TLS: connections, each with messages one behind the other (RFC 6587, RFC 5425).

use std::{
    collections::HashMap,
    io,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use portcullis_logs::{Framing, LONGEST_LINE};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    net::{TcpListener, TcpStream},
    sync::mpsc::Sender,
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

use super::{Listener, heard::Heard};
use crate::logs::{FollowError, follow::Wake};

/// Connections at the same time, and from one address: each costs a buffer and at most one message that has not come whole.
const MOST_CONNECTIONS: usize = 256;
const MOST_OF_ONE: usize = 64;

/// Bytes that are fetched at once.
const PIECE: usize = 32 * 1024;

/// How long a connection may be silent. Senders keep theirs open while nothing happens.
const IDLE: Duration = Duration::from_secs(3600);

/// How long a sender may take to agree on TLS.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// So often is told that connections are refused: whoever asks for many must not fill the store with it.
const TELL: Duration = Duration::from_secs(60);

/// What the connections of a listener share.
struct Shared {
    listener: Listener,
    tls: Option<TlsAcceptor>,
    sender: Sender<Heard>,
    wake: Wake,
    open: Mutex<HashMap<IpAddr, usize>>,
    refused: Mutex<Refused>,
}

/// Connections that were refused since it was told last.
#[derive(Default)]
struct Refused {
    told: Option<Instant>,
    since: u64,
}

/// Tasks that listen and read; they end when this is dropped.
pub(super) struct Ear(#[expect(dead_code, reason = "it ends its tasks when it goes")] JoinSet<()>);

/// Begins to listen. To be called inside the runtime.
///
/// # Errors
/// When the address cannot be had.
pub(super) fn listen(
    listener: Listener,
    tls: Option<TlsAcceptor>,
    sender: Sender<Heard>,
    wake: Wake,
) -> Result<Ear, FollowError> {
    let bind = || {
        let domain = socket2::Domain::for_address(listener.address);
        let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None)?;
        // After a restart connections of before may still be ending.
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&listener.address.into())?;
        socket.listen(128)?;
        TcpListener::from_std(socket.into())
    };
    let socket = bind().map_err(|source| FollowError::Bind {
        address: listener.address,
        source,
    })?;
    let shared = Arc::new(Shared {
        listener,
        tls,
        sender,
        wake,
        open: Mutex::default(),
        refused: Mutex::default(),
    });
    let mut tasks = JoinSet::new();
    tasks.spawn(accept(socket, shared));
    Ok(Ear(tasks))
}

async fn accept(socket: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let (stream, from) = match socket.accept().await {
            Ok((stream, from)) => (stream, from.ip()),
            Err(error) => {
                // No descriptors are left, or the sender has gone again: neither ends the listening.
                tracing::debug!(%error, "no connection could be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        if shared.enter(from) {
            let shared = Arc::clone(&shared);
            connections.spawn(async move {
                connection(stream, from, &shared).await;
                shared.leave(from);
            });
        } else {
            let why = "too many are open";
            shared.refuse(from, why).await;
        }
    }
}

async fn connection(stream: TcpStream, from: IpAddr, shared: &Shared) {
    // A sender that vanished is noticed by the kernel.
    let alive = socket2::TcpKeepalive::new().with_time(Duration::from_secs(120));
    if let Err(error) = socket2::SockRef::from(&stream).set_tcp_keepalive(&alive) {
        tracing::debug!(%error, "no keepalive");
    }
    let Some(tls) = &shared.tls else {
        return read(stream, from, shared).await;
    };
    match timeout(HANDSHAKE, tls.accept(stream)).await {
        Ok(Ok(stream)) => read(stream, from, shared).await,
        Ok(Err(error)) => shared.refuse(from, &error.to_string()).await,
        Err(_) => shared.refuse(from, "it did not agree on TLS in time").await,
    }
}

/// Reads a connection to its end. While nobody takes what was heard, nothing is fetched, and the sender must wait.
async fn read(mut stream: impl AsyncRead + Unpin, from: IpAddr, shared: &Shared) {
    let mut framing = Framing::new(LONGEST_LINE);
    let mut buffer = vec![0; PIECE];
    loop {
        let mut heard = Heard::from(from);
        let over = match timeout(IDLE, stream.read(&mut buffer)).await {
            Ok(Ok(count @ 1..)) => {
                let bytes = buffer.get(..count).unwrap_or_default();
                heard.stream(&mut framing, bytes).is_err()
            }
            // Closed, broken or silent for too long: in each case no more comes.
            Ok(Ok(0) | Err(_)) | Err(_) => {
                heard.end(&mut framing);
                true
            }
        };
        if !heard.is_empty() && shared.hand_over(heard).await.is_err() || over {
            return;
        }
    }
}

impl Shared {
    /// Whether there is room for one more of this sender.
    fn enter(&self, from: IpAddr) -> bool {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.values().sum::<usize>() >= MOST_CONNECTIONS {
            return false;
        }
        let of_one = open.entry(from).or_default();
        let room = *of_one < MOST_OF_ONE;
        *of_one += usize::from(room);
        room
    }

    fn leave(&self, from: IpAddr) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(of_one) = open.get_mut(&from) {
            *of_one -= 1;
            if *of_one == 0 {
                open.remove(&from);
            }
        }
    }

    async fn hand_over(&self, heard: Heard) -> io::Result<()> {
        let sent = self.sender.send(heard).await;
        self.wake.notify_one();
        sent.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    /// Tells, from time to time, that somebody was not let in: what he had to say is missing.
    async fn refuse(&self, from: IpAddr, why: &str) {
        let before = {
            let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
            if refused.told.is_some_and(|told| told.elapsed() < TELL) {
                refused.since += 1;
                return;
            }
            refused.told = Some(Instant::now());
            std::mem::take(&mut refused.since)
        };
        let mut gap = format!("a connection from {from} to {} was refused: {why}", self.listener);
        if before > 0 {
            gap += &format!("; {before} more since it was told last");
        }
        // Nobody listens any more when the use-case has ended.
        let _ = self.hand_over(Heard::gap(from, gap)).await;
    }
}
