//! Frames of a running interface.

use std::time::{Duration, Instant};

use portcullis_capture::{Link, Watch};
use portcullis_model::sanitize;
use portcullis_sys::packet::{Heard, Receiver, route::interfaces};

use super::{Live, LiveError, TOLD_EACH, Watcher};
use crate::Stop;

/// How long one wait for frames is at most.
const WAIT: Duration = Duration::from_millis(100);
/// `ARPHRD_ETHER`, `ARPHRD_LOOPBACK`, `ARPHRD_NONE`, `ARPHRD_RAWIP` of `linux/if_arp.h`.
const ETHERNET: u16 = 1;
const LOOPBACK: u16 = 772;
const NONE: u16 = 0xfffe;
const RAW_IP: u16 = 519;

/// What was heard.
pub(super) struct Finished {
    pub(super) watch: Watch,
    pub(super) dropped: u64,
    /// Why nothing more was heard, when that was not asked for.
    pub(super) damage: Option<String>,
}

/// The index of an interface.
pub(super) fn find(name: &str) -> Result<u32, LiveError> {
    let all = interfaces().map_err(LiveError::System)?;
    let found = all.iter().find(|interface| interface.name == name);
    found.map(|interface| interface.index).ok_or_else(|| {
        let names: Vec<&str> = all.iter().map(|interface| interface.name.as_str()).collect();
        LiveError::NoInterface {
            name: sanitize(name),
            known: sanitize(&names.join(", ")),
        }
    })
}

pub(super) fn listen(
    index: u32,
    live: &Live,
    mut watch: Watch,
    watcher: &mut dyn Watcher,
    stop: &Stop,
    ready: impl FnOnce(),
) -> Result<Finished, LiveError> {
    let mut receiver = Receiver::listen(index).map_err(LiveError::opening)?;
    ready();
    let end = live
        .patience
        .and_then(|patience| Instant::now().checked_add(patience));
    let most = live.packets.unwrap_or(u64::MAX);
    let mut damage = None;
    let mut told = 0;
    while watch.frames() < most && !*stop.borrow() {
        let left = end.map_or(WAIT, |end| end.saturating_duration_since(Instant::now()));
        if left.is_zero() {
            break;
        }
        let heard = receiver.hear(left.min(WAIT), &mut |heard| {
            if watch.frames() < most {
                take(&mut watch, &heard);
            }
        });
        if let Err(error) = heard {
            damage = Some(match std::error::Error::source(&error) {
                Some(source) => format!("{error}: {source}"),
                None => error.to_string(),
            });
            break;
        }
        if watch.frames() / TOLD_EACH != told || watch.frames() < TOLD_EACH {
            told = watch.frames() / TOLD_EACH;
            watcher.progress(watch.frames(), watch.bytes());
        }
    }
    let dropped = receiver.lost().map_err(LiveError::System)?;
    Ok(Finished {
        watch,
        dropped,
        damage,
    })
}

fn take(watch: &mut Watch, heard: &Heard<'_>) {
    let link = match heard.hardware {
        ETHERNET => Link::Ethernet,
        // What goes out over loopback comes in as well, and would count twice.
        LOOPBACK if heard.outgoing => return,
        LOOPBACK => Link::Ethernet,
        NONE | RAW_IP => Link::Ip,
        other => Link::Unknown(other),
    };
    watch.tagged(link, heard.bytes, heard.at, heard.vlan);
}
