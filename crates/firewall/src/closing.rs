//! What a change closes, and for whom it stays open: the same for all backends.

use std::net::{IpAddr, SocketAddr};

use portcullis_model::{NetworkSet, Port};

/// One closing of one port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closing {
    /// Six hexadecimal digits that name the change; its objects in the ruleset carry it.
    pub tag: String,
    /// The port.
    pub port: Port,
    /// The hosts behind this one whose port is closed; that of this host itself when empty.
    pub behind: Vec<IpAddr>,
    /// Who still gets through.
    pub allow: NetworkSet,
    /// Peers of this host's own outgoing connections whose source port is the closed one. The connection tracker may
    /// not have seen them begin, and would then take the peer's next packet for a new connection to the closed port.
    pub outgoing_peers: Vec<SocketAddr>,
    /// Peers of connections to the port that were up and are cut. Where the connection tracker did not see one begin, or was
    /// made to forget it, it takes the service's next packet for the first, and the peer's for a reply.
    pub cut_peers: Vec<SocketAddr>,
    /// Whether nothing that comes to the port is taken for a reply. A service of UDP answers from its port, so that the
    /// tracker takes it for the one who began; as long as it holds the port, nobody else sends from there.
    pub no_replies: bool,
}

impl Closing {
    /// A closing of this host's port, without outgoing connections to look after.
    pub fn new(tag: &str, port: Port, allow: NetworkSet) -> Self {
        Self {
            tag: tag.into(),
            port,
            behind: Vec::new(),
            allow,
            outgoing_peers: Vec::new(),
            cut_peers: Vec::new(),
            no_replies: false,
        }
    }
}
