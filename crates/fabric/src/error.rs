//! Why nothing could be said to a sensor, or heard from it.

use std::time::Duration;

use portcullis_model::{Exit, Fault, SensorName, Untrusted, sanitize};

/// An error on the way to a sensor.
#[derive(Debug, thiserror::Error)]
pub enum FabricError {
    /// A way that others could listen on.
    #[error("nats://{0} is not encrypted, and not this host: whoever is on the way could have sensors look")]
    Unencrypted(String),
    /// An address that is none.
    #[error("`{}` is not the address of a NATS server", sanitize(.0))]
    Address(String),
    /// A file of credentials or certificates that cannot be used.
    #[error("cannot use {}: {why}", sanitize(.path))]
    File {
        /// The file.
        path: String,
        /// Why not.
        why: String,
    },
    /// The server cannot be reached, or does not let us in.
    #[error("cannot connect to the NATS server {server}: {why}")]
    Connect {
        /// As it was given.
        server: String,
        /// What was in the way.
        why: String,
    },
    /// The server does not do what is needed.
    #[error("the NATS server refuses {what}: {why}")]
    Server {
        /// What was asked of it.
        what: &'static str,
        /// What it said.
        why: String,
    },
    /// A stream by one of our names that keeps its messages otherwise.
    #[error("the stream {0} is there already, with other settings")]
    OtherStream(String),
    /// Nobody of that name is there.
    #[error("no sensor `{sensor}` is there; {}", those_there(.there))]
    NoSuchSensor {
        /// Who was looked for.
        sensor: SensorName,
        /// Those that there are.
        there: Vec<SensorName>,
    },
    /// A sensor that took a look and did not answer.
    #[error("sensor {sensor} did not answer within {} s", .patience.as_secs())]
    Silent {
        /// The sensor.
        sensor: SensorName,
        /// How long it was waited for.
        patience: Duration,
    },
    /// An answer that is not one to the question.
    #[error("the answer of sensor {sensor} cannot be used: {}", sanitize(.why))]
    Answer {
        /// The sensor.
        sensor: SensorName,
        /// Why not.
        why: String,
    },
    /// The sensor may not look there.
    #[error("sensor {sensor} refuses to look: {why}")]
    Refused {
        /// The sensor.
        sensor: SensorName,
        /// Why, in its own words.
        why: Untrusted,
    },
    /// The sensor could not look.
    #[error("sensor {sensor} could not look: {why}")]
    Failed {
        /// The sensor.
        sensor: SensorName,
        /// Why, in its own words.
        why: Untrusted,
    },
    /// Two hosts that call themselves the same.
    #[error("a sensor `{sensor}` is there already, on host {host}")]
    Taken {
        /// The name.
        sensor: SensorName,
        /// The other host.
        host: Untrusted,
    },
}

fn those_there(there: &[SensorName]) -> String {
    match there {
        [] => "there is none at all".into(),
        [one] => format!("{one} is"),
        several => {
            let names: Vec<&str> = several.iter().map(SensorName::as_str).collect();
            format!("{} are", names.join(", "))
        }
    }
}

impl Fault for FabricError {
    fn code(&self) -> &'static str {
        match self {
            Self::Unencrypted(_) => "FB001",
            Self::Address(_) => "FB002",
            Self::File { .. } => "FB003",
            Self::Connect { .. } => "FB004",
            Self::Server { .. } => "FB005",
            Self::NoSuchSensor { .. } => "FB006",
            Self::Silent { .. } => "FB007",
            Self::Answer { .. } => "FB008",
            Self::Refused { .. } => "FB009",
            Self::Failed { .. } => "FB010",
            Self::Taken { .. } => "FB011",
            Self::OtherStream(_) => "FB012",
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Unencrypted(_) => {
                "use tls://HOST:PORT, or a NATS server on this host (a leaf node) that goes on from here by TLS"
            }
            Self::Address(_) => "use tls://HOST:PORT, or nats://127.0.0.1:4222 for a server on this host",
            Self::File { .. } => {
                "--nats-creds takes what `nsc generate creds` wrote, the others certificates and a key in PEM"
            }
            Self::OtherStream(_) => {
                "remove it (`nats stream rm`): it is made anew, and holds nothing for long"
            }
            Self::Connect { .. } => {
                "look whether the server runs and is reached from here; --nats-creds says who we are, and --nats-ca \
                 whose certificates are believed"
            }
            Self::Server { .. } => {
                "the server needs JetStream (`jetstream {}` in its configuration), and this user the rights that \
                 docs/sensors.md lists; a missing right shows as a timeout"
            }
            Self::NoSuchSensor { .. } => "start it there with `portcullis sensor NAME`",
            Self::Silent { .. } => "see what it prints there; a look at many silent addresses takes long",
            Self::Answer { .. } => "use the same version of Portcullis on both sides",
            Self::Refused { .. } => {
                "what a sensor may look at is said by its own site.toml or permission, where it runs"
            }
            Self::Failed { .. } => return None,
            Self::Taken { .. } => "give this one another name, or end the other one and wait 45 s",
        };
        Some(hint.into())
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Unencrypted(_) | Self::Address(_) | Self::File { .. } => Exit::Usage,
            Self::Refused { .. } | Self::Taken { .. } => Exit::Refused,
            Self::Connect { .. }
            | Self::Server { .. }
            | Self::OtherStream(_)
            | Self::NoSuchSensor { .. }
            | Self::Silent { .. }
            | Self::Answer { .. }
            | Self::Failed { .. } => Exit::Failed,
        }
    }
}
