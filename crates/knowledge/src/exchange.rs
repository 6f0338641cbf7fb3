//! What to do with a port after it was reached: one connection, at most one request.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use portcullis_model::{Port, Secret, ServiceName};
use serde::{
    Deserialize, Deserializer,
    de::{SeqAccess, Visitor},
};

/// The one request that may be sent to a service.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// The same bytes for every device.
    Bytes {
        /// The request as it goes on the wire.
        #[serde(deserialize_with = "numbers")]
        bytes: Vec<u8>,
    },
    /// `GET /` of HTTP/1.1, which must name the host it is sent to (RFC 9112, 3.2).
    HttpGet,
    /// `GET` of another page than `/`.
    HttpGetPath {
        /// The page, e.g. `/v2/`; without a query.
        path: String,
    },
    /// Hello of OPC UA, which must name the endpoint it is sent to (OPC 10000-6, 7.1.2.3).
    OpcUaHello,
}

/// Reads bytes, and says how they are written where they are not.
fn numbers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    struct Numbers;
    impl<'de> Visitor<'de> for Numbers {
        type Value = Vec<u8>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of numbers from 0 to 255 such as [0x05, 0x64]")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<u8>, A::Error> {
            let mut bytes = Vec::new();
            while let Some(byte) = list.next_element()? {
                bytes.push(byte);
            }
            Ok(bytes)
        }
    }
    deserializer.deserialize_seq(Numbers)
}

impl Request {
    /// The request in plain words, its bytes as hexadecimal digits.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::Bytes { bytes } => format!("{} bytes: {}", bytes.len(), hex::encode(bytes)),
            Self::HttpGet => "GET /".into(),
            Self::HttpGetPath { path } => format!("GET {path}"),
            Self::OpcUaHello => "Hello of OPC UA".into(),
        }
    }

    /// The bytes to send to an address and port.
    pub fn bytes_for(&self, address: IpAddr, port: Port) -> Vec<u8> {
        match self {
            Self::Bytes { bytes } => bytes.clone(),
            Self::HttpGet => get("/", address, port),
            Self::HttpGetPath { path } => get(path, address, port),
            Self::OpcUaHello => hello(address, port),
        }
    }
}

fn get(path: &str, address: IpAddr, port: Port) -> Vec<u8> {
    let host = SocketAddr::new(address.to_canonical(), port.number);
    format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: portcullis\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    )
    .into_bytes()
}

/// Version 0, buffers of 64 KiB, no limits of our own, the endpoint's address.
fn hello(address: IpAddr, port: Port) -> Vec<u8> {
    const BUFFER: u32 = 65_536;
    let endpoint = format!(
        "opc.tcp://{}",
        SocketAddr::new(address.to_canonical(), port.number)
    );
    // An address and a port never have more than some sixty characters.
    let length = u32::try_from(endpoint.len()).unwrap_or_default();
    let mut bytes = b"HELF".to_vec();
    for number in [32 + length, 0, BUFFER, BUFFER, 0, 0, length] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.extend(endpoint.into_bytes());
    bytes
}

/// What to do after connect. A server that speaks while it is listened to gets no request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// How long to listen before anything is sent.
    pub listen_first: Duration,
    /// What to send if the server stayed silent; `None`: send nothing.
    pub request: Option<Request>,
    /// How long to wait for the reply.
    pub wait: Duration,
    /// Why this port is not to be touched at all, if so.
    pub not_testable: Option<&'static str>,
    /// What the request holds that must not be read in what is kept of the answer.
    pub secret: Option<Secret>,
}

/// What a person asks for beside what is done by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wishes {
    /// Services that are asked where they are usual or were moved to, also when that costs the device something.
    pub services: Vec<ServiceName>,
    /// Which of them stand on which port only because both were named: not usual there, and not moved there by the site.
    pub elsewhere: Vec<(ServiceName, Port)>,
    /// The community of SNMP.
    pub community: Option<Secret>,
}

impl Exchange {
    /// Listens and sends nothing.
    pub fn listen(listen_first: Duration) -> Self {
        Self {
            listen_first,
            request: None,
            wait: Duration::ZERO,
            not_testable: None,
            secret: None,
        }
    }

    /// A port where the connection itself already does something.
    pub(crate) fn untouched() -> Self {
        Self {
            not_testable: Some(
                "a connection to this port can take the device's serial line from whoever uses it: it is only made when the service is named",
            ),
            ..Self::listen(Duration::ZERO)
        }
    }

    /// A UDP port whose service is only asked when a person wants it.
    pub(crate) fn opt_in_udp() -> Self {
        Self {
            not_testable: Some(
                "asking the service of this UDP port costs the device something or needs a community: it is only asked when the service is named",
            ),
            ..Self::listen(Duration::ZERO)
        }
    }

    /// A UDP port for which no request is known. An open port and a dropped packet are both silent there, and a made-up
    /// datagram has stopped devices (CVE-2019-5636).
    pub(crate) fn unknown_udp() -> Self {
        Self {
            not_testable: Some(
                "no harmless request is known for this UDP port, and an empty one has stopped devices (CVE-2019-5636)",
            ),
            ..Self::listen(Duration::ZERO)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_get_names_the_host_it_is_sent_to() {
        let text = |address: &str| {
            let bytes = Request::HttpGet.bytes_for(address.parse().unwrap(), Port::tcp(5000));
            String::from_utf8(bytes).unwrap()
        };
        assert!(text("10.0.0.1").contains("\r\nHost: 10.0.0.1:5000\r\n"));
        assert!(text("2001:db8::1").contains("\r\nHost: [2001:db8::1]:5000\r\n"));
        assert!(text("10.0.0.1").ends_with("\r\n\r\n"));
    }

    #[test]
    fn the_hello_of_opc_ua_tells_its_own_length_and_the_endpoint() {
        let bytes = Request::OpcUaHello.bytes_for([127, 0, 0, 1].into(), Port::tcp(4840));
        assert_eq!(bytes.len(), 56);
        assert_eq!(&bytes[..8], b"HELF\x38\0\0\0");
        assert_eq!(&bytes[28..32], &[24, 0, 0, 0]);
        assert_eq!(&bytes[32..], b"opc.tcp://127.0.0.1:4840");
    }
}
