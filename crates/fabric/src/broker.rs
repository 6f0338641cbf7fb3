//! The way to the NATS server.

use std::{
    fmt,
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use async_nats::{
    ConnectOptions, Event, ServerAddr,
    jetstream::{self, Context},
};
use portcullis_model::SensorName;
use tokio::sync::mpsc;

use crate::FabricError;

const PATIENCE: Duration = Duration::from_secs(10);

/// A NATS server, and who we are there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Broker {
    /// `tls://HOST:PORT`, or `nats://HOST:PORT` for a server on this host; several of a cluster with commas between them.
    pub server: String,
    /// A file of credentials (JWT and seed, as `nsc` writes it).
    pub credentials: Option<PathBuf>,
    /// The authorities whose certificates are believed (PEM), beside those of the system.
    pub authorities: Option<PathBuf>,
    /// Our own certificate and its key (PEM), where the server asks for one.
    pub certificate: Option<(PathBuf, PathBuf)>,
}

/// As what somebody connects.
pub(crate) enum Role<'a> {
    /// He asks sensors.
    Verify,
    /// He is one.
    Sensor(&'a SensorName),
}

impl fmt::Display for Role<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Verify => f.write_str("verify"),
            Self::Sensor(name) => write!(f, "sensor.{name}"),
        }
    }
}

/// A connection that stands, and comes back by itself when it is lost.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    pub(crate) jetstream: Context,
}

impl Broker {
    /// Connects; what becomes of the connection later is told to `events`.
    ///
    /// # Errors
    /// When the way would not be encrypted, a file cannot be used, or the server is not there or does not let us in.
    pub(crate) async fn connect(
        &self,
        role: &Role<'_>,
        events: Option<mpsc::UnboundedSender<Event>>,
    ) -> Result<Connection, FabricError> {
        let addresses = self.addresses()?;
        self.files_are_there()?;
        let mut options = ConnectOptions::new()
            .name(format!("portcullis {role}"))
            // A user who may hear only his own replies cannot read those of others.
            .custom_inbox_prefix(format!("_INBOX.{role}"))
            // Only servers that were named: one on this host may tell of others, to which the way is not encrypted.
            .ignore_discovered_servers()
            .connection_timeout(PATIENCE)
            .request_timeout(Some(PATIENCE));
        options = options.require_tls(addresses.iter().any(ServerAddr::tls_required));
        if let Some(file) = &self.authorities {
            options = options.add_root_certificates(file.clone());
        }
        if let Some((certificate, key)) = &self.certificate {
            options = options.add_client_certificate(certificate.clone(), key.clone());
        }
        if let Some(file) = &self.credentials {
            options = options
                .credentials_file(file)
                .await
                .map_err(|error| unusable(file, &error))?;
        }
        if let Some(events) = events {
            options = options.event_callback(move |event| {
                // Whoever listened may have gone.
                let _ = events.send(event);
                async {}
            });
        }
        let server = hosts(&addresses);
        let client = options
            .connect(addresses)
            .await
            .map_err(|error| FabricError::Connect {
                server,
                why: with_cause(&error),
            })?;
        Ok(Connection {
            jetstream: jetstream::new(client),
        })
    }

    /// The client would not say which of them is missing, nor that one holds no certificate.
    fn files_are_there(&self) -> Result<(), FabricError> {
        let (certificate, key) = self
            .certificate
            .as_ref()
            .map(|(certificate, key)| (certificate, key))
            .unzip();
        let pem = [
            (&self.authorities, "CERTIFICATE"),
            (&certificate.cloned(), "CERTIFICATE"),
            (&key.cloned(), "PRIVATE KEY"),
        ];
        for (file, what) in pem.iter().filter_map(|(file, what)| Some((file.as_ref()?, what))) {
            let text = std::fs::read_to_string(file).map_err(|error| unusable(file, &error))?;
            if !(text.contains("-----BEGIN ") && text.contains(what)) {
                return Err(unusable(
                    file,
                    &format!("it holds no {} in PEM", what.to_lowercase()),
                ));
            }
        }
        Ok(())
    }

    fn addresses(&self) -> Result<Vec<ServerAddr>, FabricError> {
        self.server
            .split(',')
            .map(|text| {
                let address: ServerAddr = text
                    .trim()
                    .parse()
                    .map_err(|_| FabricError::Address(without_password(text)))?;
                let is_encrypted = address.tls_required() || is_here(address.host());
                match address.scheme() {
                    _ if address.host().is_empty() => Err(FabricError::Address(without_password(text))),
                    "tls" | "nats" if is_encrypted => Ok(address),
                    "nats" => Err(FabricError::Unencrypted(address.host().into())),
                    _ => Err(FabricError::Address(without_password(text))),
                }
            })
            .collect()
    }
}

fn unusable(file: &Path, why: &dyn fmt::Display) -> FabricError {
    FabricError::File {
        path: file.display().to_string(),
        why: why.to_string(),
    }
}

/// What stands before the host may be a password, and is not shown.
fn without_password(text: &str) -> String {
    text.rsplit('@').next().unwrap_or_default().into()
}

fn hosts(addresses: &[ServerAddr]) -> String {
    let named = |address: &ServerAddr| format!("{}:{}", address.host(), address.port());
    addresses.iter().map(named).collect::<Vec<_>>().join(", ")
}

fn is_here(host: &str) -> bool {
    let host = host.trim_matches(['[', ']']);
    host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

/// The client says what was in the way in the cause.
pub(crate) fn with_cause(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(server: &str) -> Result<Vec<ServerAddr>, FabricError> {
        let broker = Broker {
            server: server.into(),
            ..Broker::default()
        };
        broker.addresses()
    }

    #[test]
    fn nothing_goes_unencrypted_to_another_host() {
        for server in ["nats://10.7.10.1:4222", "10.7.10.1", "tls://plant,nats://plant"] {
            assert!(matches!(at(server), Err(FabricError::Unencrypted(_))), "{server}");
        }
        for server in [
            "tls://plant",
            "nats://127.0.0.1:4222",
            "nats://[::1]:4222",
            "localhost",
            "tls://one:4222, tls://two:4222",
        ] {
            assert!(at(server).is_ok(), "{server}");
        }
    }

    #[test]
    fn what_is_no_address_is_told_without_its_password() {
        for server in ["http://me:secret@plant", "ws://plant", "tls://"] {
            let Err(FabricError::Address(told)) = at(server) else {
                panic!("{server} is an address")
            };
            assert!(!told.contains("secret"), "{told}");
        }
    }
}
