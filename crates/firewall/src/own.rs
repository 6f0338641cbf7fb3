//! What stands in the ruleset that Portcullis has made, whichever backend made it.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use portcullis_model::{BackendName, Digest, NetworkSet, Port};

use crate::{act::Acts, closing::Closing};

/// All that Portcullis has made, and what somebody else has put beside it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Own {
    /// The changes, by tag.
    pub changes: BTreeMap<String, Loaded>,
    /// What is not as Portcullis makes it, in plain words.
    pub faults: Vec<String>,
    /// What stands among it that Portcullis did not make; it is never removed.
    pub strangers: Vec<String>,
    /// Takes away the frame that the changes stood in, where one is left without a change and without a stranger.
    pub remnant: Option<Acts>,
}

impl Own {
    /// Joins what another backend has made.
    pub(crate) fn join(&mut self, other: Self) {
        self.changes.extend(other.changes);
        self.faults.extend(other.faults);
        self.strangers.extend(other.strangers);
        self.remnant = match (self.remnant.take(), other.remnant) {
            (Some(mut one), Some(two)) => {
                one.0.extend(two.0);
                Some(one)
            }
            (one, two) => one.or(two),
        };
    }

    /// Whether a backend holds a change.
    pub fn any_of(&self, backend: BackendName) -> bool {
        self.changes.values().any(|loaded| loaded.backend == backend)
    }
}

/// One change as it stands in the ruleset.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// Its tag.
    pub tag: String,
    /// Where it stands.
    pub backend: BackendName,
    /// The port that is closed; `None` when its trial is over, and what stands there is to be cleared away.
    pub port: Option<Port>,
    /// The hosts behind this one whose port is closed; that of this host when empty.
    pub behind: Vec<IpAddr>,
    /// How long until its trial ends; `None` when it is confirmed or over.
    pub expires: Option<Duration>,
    /// Who gets through.
    pub allow: NetworkSet,
    /// Peers of outgoing connections that get through.
    pub outgoing_peers: Vec<SocketAddr>,
    /// Peers of connections that were up and are cut, whatever the connection tracker makes of them.
    pub cut_peers: Vec<SocketAddr>,
    /// Whether nothing that comes to the port is taken for a reply.
    pub no_replies: bool,
    /// Packets that its drop rule has dropped.
    pub dropped_packets: u64,
    /// What is not as Portcullis makes it, in plain words: somebody else changed it, or it was made by halves.
    pub damage: Vec<String>,
    /// Digest of everything that decides what it does. The time left, counters and handles are left out.
    pub fingerprint: Digest,
    /// Takes it away, and with the last change the frame as well.
    pub removal: Acts,
}

impl Loaded {
    /// A change of which nothing has been read yet.
    pub fn named(tag: &str, backend: BackendName) -> Self {
        Self {
            tag: tag.into(),
            backend,
            port: None,
            behind: Vec::new(),
            expires: None,
            allow: NetworkSet::default(),
            outgoing_peers: Vec::new(),
            cut_peers: Vec::new(),
            no_replies: false,
            dropped_packets: 0,
            damage: Vec::new(),
            fingerprint: Digest::ZERO,
            removal: Acts::default(),
        }
    }

    /// The closing that it makes of a port.
    pub fn closing(&self, port: Port) -> Closing {
        Closing {
            behind: self.behind.clone(),
            outgoing_peers: self.outgoing_peers.clone(),
            cut_peers: self.cut_peers.clone(),
            no_replies: self.no_replies,
            ..Closing::new(&self.tag, port, self.allow.clone())
        }
    }

    /// What differs from the closing that should be loaded; empty when nothing does.
    pub fn differences(&self, expected: &Closing) -> Vec<String> {
        let mut differences = Vec::new();
        match self.port {
            Some(port) if port == expected.port => {}
            Some(port) => differences.push(format!("{port} is closed instead of {}", expected.port)),
            None => differences.push(format!("{} is not closed", expected.port)),
        }
        if sorted(&self.behind) != sorted(&expected.behind) {
            differences.push("it is closed for other hosts than those of the plan".into());
        }
        if self.allow != expected.allow {
            differences.push(format!(
                "let through are {} instead of {}",
                self.allow, expected.allow
            ));
        }
        if sorted(&self.outgoing_peers) != sorted(&expected.outgoing_peers) {
            differences.push("the host's own outgoing connections are not those of the plan".into());
        }
        if sorted(&self.cut_peers) != sorted(&expected.cut_peers) || self.no_replies != expected.no_replies {
            differences.push("what is taken for a reply is not as in the plan".into());
        }
        differences.extend(self.damage.iter().cloned());
        differences
    }
}

fn sorted<T: Ord + Clone>(values: &[T]) -> Vec<T> {
    let mut values = values.to_vec();
    values.sort();
    values
}
