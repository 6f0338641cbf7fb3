//! The first bytes of servers, from a capture.

use std::{collections::BTreeMap, fs::File, net::IpAddr, net::SocketAddr, path::Path};

use portcullis_capture::{self as packets, Limits, Source, Watch};
use portcullis_model::{EvidenceKind, Port, RunId};

use super::LearnError;
use crate::{Desk, OpsError};

/// The first bytes that these ports were overheard to send; the first of them must be in the capture.
pub(super) fn first_bytes(
    desk: &Desk,
    path: &Path,
    places: &[(IpAddr, Port)],
) -> Result<BTreeMap<(IpAddr, Port), Vec<u8>>, OpsError> {
    let failed = |source| OpsError::Read {
        path: path.into(),
        source,
    };
    let refused = |source| OpsError::Capture {
        path: path.into(),
        source,
    };
    let moved = desk.moved();
    let mut content = packets::File::open(File::open(path).map_err(failed)?).map_err(refused)?;
    let mut watch = Watch::new(Limits::default(), &desk.knowledge, &moved);
    // What is damaged further back does not matter for what stands before it.
    while let Ok(Some(frame)) = content.next_frame() {
        watch.frame(frame.link, frame.bytes, frame.at);
    }
    let mut found = watch.end();
    let source = Source {
        run: RunId::of(&[b"learn"]),
        document: "",
        dropped: 0,
    };
    let mut all = BTreeMap::new();
    for observation in found.observations(source, &desk.knowledge, &moved) {
        let place = (observation.address, observation.port);
        let said = observation.evidence.into_iter().find(|one| {
            let spoken = matches!(one.kind, EvidenceKind::ServerSpokeFirst | EvidenceKind::Reply);
            spoken && !one.bytes.is_empty()
        });
        if let Some(said) = said.filter(|_| places.contains(&place)) {
            all.entry(place).or_insert(said.bytes);
        }
    }
    match places.first() {
        Some((address, port)) if !all.contains_key(&(*address, *port)) => {
            let place = SocketAddr::new(*address, port.number);
            Err(OpsError::Learn(LearnError::NotOverheard(place)))
        }
        _ => Ok(all),
    }
}
