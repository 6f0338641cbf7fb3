//! Asking a segment of this host's own, below IP: what may be asked is decided here, before the one frame is sent.

use std::{
    net::IpAddr,
    path::PathBuf,
    sync::Arc,
    sync::atomic::{AtomicBool, Ordering},
};

use ipnet::IpNet;
use portcullis_knowledge::profinet;
use portcullis_model::{Coverage, Introduction, Port, Run, RunId, ServiceName};
use portcullis_scan::segment::{self, ANSWER_WAIT};
use portcullis_sys::host;
use serde::Serialize;
use serde_json::json;

use super::{authority::Source, begin};
use crate::{Desk, OpsError, Stop};

/// PROFINET's own port of IP (its context manager): who may be asked there may be asked below IP.
const STANDS_FOR: Port = Port::udp(34964);
/// A larger network is no segment.
const WIDEST: u8 = 16;

/// What is to be asked.
#[derive(Debug, Clone)]
pub struct Request {
    /// The interface.
    pub interface: String,
    /// The services that were named.
    pub services: Vec<ServiceName>,
    /// File with the owner's permission.
    pub permission: Option<PathBuf>,
    /// File with the keys that may sign a permission.
    pub signers: Option<PathBuf>,
}

/// What came of it.
#[derive(Debug, Clone, Serialize)]
pub struct Asked {
    /// The run, as kept.
    pub run: Run,
    /// The stations that answered.
    pub stations: Vec<Introduction>,
    /// Whether more answered than are kept.
    pub too_many: bool,
}

/// Asks all stations of a segment who they are, and keeps what they say. Refuses before anything is sent when one address
/// of the interface's networks may not be scanned: the question reaches all of them.
///
/// # Errors
/// Another service than PROFINET DCP; what may not be scanned; an interface that cannot be asked; a store that cannot be
/// written.
pub async fn ask(desk: &Desk, request: &Request, stop: Stop) -> Result<Asked, OpsError> {
    if request.services.is_empty()
        || request
            .services
            .iter()
            .any(|name| name.as_str() != profinet::SERVICE)
    {
        return Err(OpsError::BelowIp);
    }
    let source = request.permission.clone().map(|file| Source {
        file,
        signers: request.signers.clone(),
    });
    let used = source.as_ref().map(Source::read).transpose()?;
    let addresses = addresses(&request.interface)?;
    begin::permitted(
        desk,
        &addresses,
        &[STANDS_FOR],
        used.as_ref().map(|used| &used.permission),
    )?;
    let (started, vantage) = ((desk.now)(), desk.vantage());
    let settings = json!({
        "segment": request.interface,
        "services": request.services,
        "permission": used,
    });
    let mut run = Run {
        id: RunId::of(&[
            b"segment",
            vantage.as_str().as_bytes(),
            started.to_string().as_bytes(),
        ]),
        command: "scan".into(),
        vantage,
        started,
        ended: None,
        settings: settings.clone(),
        not_tested: Vec::new(),
        coverage: Coverage::default(),
    };
    let subject = format!("segment behind {} from {}", request.interface, run.vantage);
    desk.record("scan.segment", subject, settings).await?;
    desk.store.begin_run(&run).await.map_err(OpsError::Store)?;
    let stopped = Arc::new(AtomicBool::new(false));
    let waiting = tokio::spawn({
        let (stopped, mut stop) = (Arc::clone(&stopped), stop);
        async move {
            if stop.wait_for(|stop| *stop).await.is_ok() {
                stopped.store(true, Ordering::Relaxed);
            }
        }
    });
    // Any number that is not always the same: an answer to somebody else's question is not taken for ours.
    let transaction = started.as_microsecond() as u32;
    let asked = tokio::task::block_in_place(|| {
        segment::ask(&request.interface, transaction, ANSWER_WAIT, &|| {
            stopped.load(Ordering::Relaxed)
        })
    });
    waiting.abort();
    run.ended = Some((desk.now)());
    match asked {
        Ok(segment::Answers { stations, too_many }) => {
            run.coverage.packets = 1;
            let flooded = || format!("more than {} stations answered", stations.len());
            run.coverage.stopped = too_many.then(flooded);
            run.coverage.introductions.clone_from(&stations);
            desk.store.finish_run(&run).await.map_err(OpsError::Store)?;
            Ok(Asked {
                run,
                stations,
                too_many,
            })
        }
        Err(error) => {
            run.coverage.stopped = Some(error.to_string());
            // What ended it is told, whatever the store says.
            let _ = desk.store.finish_run(&run).await;
            Err(OpsError::Segment(error))
        }
    }
}

/// All addresses of the networks that this host has on an interface.
fn addresses(interface: &str) -> Result<Vec<IpAddr>, OpsError> {
    let networks: Vec<IpNet> = host::networks_on(interface)
        .into_iter()
        .filter_map(|(address, prefix)| IpNet::new(address, prefix).ok())
        .filter(|network| network.addr().is_ipv4())
        .collect();
    let narrow = networks.iter().all(|network| network.prefix_len() >= WIDEST);
    let addresses: Vec<IpAddr> = networks
        .iter()
        .filter(|_| narrow)
        .flat_map(IpNet::hosts)
        .collect();
    if addresses.is_empty() {
        return Err(OpsError::WhoseSegment(interface.into()));
    }
    Ok(addresses)
}
