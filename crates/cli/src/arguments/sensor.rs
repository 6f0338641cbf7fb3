//! Sensors: being one, and asking some.

use std::path::PathBuf;

use clap::Args;
use portcullis_model::SensorName;
use portcullis_ops::Broker;

use crate::environment;

/// Where sensors and those who ask them meet.
#[derive(Debug, Args)]
pub(crate) struct Nats {
    /// The NATS server with JetStream where sensors are asked: tls://HOST:PORT, or nats://127.0.0.1:4222 on this host; of a
    /// cluster several, with commas
    #[arg(long = "nats", value_name = "URL", env = environment::NATS, hide_env_values = true, help_heading = "NATS")]
    server: Option<String>,
    /// Who we are there: a file of credentials as nsc writes it
    #[arg(long = "nats-creds", value_name = "FILE", env = environment::NATS_CREDS, hide_env_values = true, help_heading = "NATS")]
    credentials: Option<PathBuf>,
    /// The authority of its certificate (PEM) [default: those of this system]
    #[arg(long = "nats-ca", value_name = "FILE", help_heading = "NATS")]
    authorities: Option<PathBuf>,
    /// Our own certificate (PEM), where the server asks for one
    #[arg(
        long = "nats-cert",
        value_name = "FILE",
        requires = "key",
        help_heading = "NATS"
    )]
    certificate: Option<PathBuf>,
    /// Its key (PEM)
    #[arg(
        long = "nats-key",
        value_name = "FILE",
        requires = "certificate",
        help_heading = "NATS"
    )]
    key: Option<PathBuf>,
}

impl Nats {
    /// The server, if one was named.
    pub(crate) fn broker(&self) -> Option<Broker> {
        Some(Broker {
            server: self.server.clone().filter(|server| !server.is_empty())?,
            credentials: self.credentials.clone(),
            authorities: self.authorities.clone(),
            certificate: self.certificate.clone().zip(self.key.clone()),
        })
    }
}

#[derive(Debug, Args)]
#[command(
    after_help = "It dials out and opens no port. It looks only at what the zones of its own site.toml (--config) or its own \
                  --permission have, one look at a time and no faster than a scan, and writes each look to its audit record. \
                  Ask it with `portcullis verify PLAN --from sensor:NAME`.\n\nExit codes: 0 it was stopped, 2 bad usage or \
                  configuration, 4 the name is taken, 5 no connection."
)]
pub(crate) struct Sensor {
    /// What it is called by those who ask: letters, digits and hyphens
    #[arg(value_name = "NAME")]
    pub(crate) name: SensorName,
    #[command(flatten)]
    pub(crate) nats: Nats,
    /// The owner's permission for what lies outside the declared zones; read again for each look
    #[arg(long, value_name = "FILE")]
    pub(crate) permission: Option<PathBuf>,
    /// Keys that may sign a permission, as of `portcullis scan`
    #[arg(long, value_name = "FILE", requires = "permission")]
    pub(crate) signers: Option<PathBuf>,
}
