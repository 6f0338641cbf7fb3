//! The streams in which both sides meet: what each holds, for how long, and under which subjects.

use std::time::Duration;

use async_nats::jetstream::stream::{self, LastRawMessageErrorKind, RetentionPolicy, Stream};
use portcullis_model::SensorName;

use crate::{
    FabricError, Presence,
    broker::{Connection, with_cause},
};

/// What is asked for. The server forgets it after that time, by its own clock: a sensor that comes back later must not look
/// for one who has gone, and clocks in plants are wrong.
const LOOKS: &str = "PORTCULLIS_LOOKS";
const LOOKS_LIVE: Duration = Duration::from_secs(120);
/// What was seen.
const SEEN: &str = "PORTCULLIS_SEEN";
const SEEN_LIVE: Duration = Duration::from_secs(3600);
/// Who is there, the last word of each.
const SENSORS: &str = "PORTCULLIS_SENSORS";
/// Who has not said for so long that he is there is not there.
const SENSORS_LIVE: Duration = Duration::from_secs(45);
/// A message larger than this is none of ours.
const LARGEST: i32 = 1 << 20;

/// Before the name of a sensor, the subject of what it says of itself.
pub(crate) const PRESENCE: &str = "portcullis.sensor.";

impl Connection {
    /// The looks that are asked for. Each goes to one sensor, and goes when that has answered.
    pub(crate) async fn looks(&self) -> Result<Stream, FabricError> {
        self.stream(stream::Config {
            name: LOOKS.into(),
            subjects: vec!["portcullis.look.*".into()],
            retention: RetentionPolicy::WorkQueue,
            max_age: LOOKS_LIVE,
            ..stream::Config::default()
        })
        .await
    }

    /// What sensors have seen.
    pub(crate) async fn seen(&self) -> Result<Stream, FabricError> {
        self.stream(stream::Config {
            name: SEEN.into(),
            subjects: vec!["portcullis.seen.*.*".into()],
            max_age: SEEN_LIVE,
            ..stream::Config::default()
        })
        .await
    }

    /// Who is there.
    pub(crate) async fn presences(&self) -> Result<Stream, FabricError> {
        self.stream(stream::Config {
            name: SENSORS.into(),
            subjects: vec![format!("{PRESENCE}*")],
            max_messages_per_subject: 1,
            max_age: SENSORS_LIVE,
            ..stream::Config::default()
        })
        .await
    }

    /// A stream, made if it is not there. One that keeps its messages otherwise would be another one by the same name.
    async fn stream(&self, config: stream::Config) -> Result<Stream, FabricError> {
        let config = stream::Config {
            max_message_size: LARGEST,
            duplicate_window: config.max_age.min(LOOKS_LIVE),
            ..config
        };
        let stream = self.jetstream.get_or_create_stream(config.clone()).await;
        let stream = stream.map_err(|error| FabricError::Server {
            what: "a stream",
            why: with_cause(&error),
        })?;
        let is = &stream.cached_info().config;
        let is_ours = is.subjects == config.subjects
            && is.retention == config.retention
            && is.max_age == config.max_age
            && (is.max_messages_per_subject == 1) == (config.max_messages_per_subject == 1)
            && (is.max_message_size <= 0 || is.max_message_size >= LARGEST);
        match is_ours {
            true => Ok(stream),
            false => Err(FabricError::OtherStream(config.name)),
        }
    }

    /// What a sensor has said last of whether it is there, and the number of that word.
    pub(crate) async fn presence(&self, sensor: &SensorName) -> Result<Option<(u64, Presence)>, FabricError> {
        let said = self
            .presences()
            .await?
            .get_last_raw_message_by_subject(&format!("{PRESENCE}{sensor}"))
            .await;
        match said {
            Ok(said) => Ok(Presence::read(&said.payload, sensor).map(|presence| (said.sequence, presence))),
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(FabricError::Server {
                what: "who is there",
                why: with_cause(&error),
            }),
        }
    }
}
