//! The side of the sensor.

use std::time::Duration;

use async_nats::{
    Event,
    jetstream::{
        self,
        consumer::{AckPolicy, pull},
        message::PublishMessage,
    },
};
use futures::StreamExt as _;
use tokio::sync::mpsc;

use crate::{
    AskedLook, Broker, FabricError, Outcome, Presence,
    broker::{Connection, Role, with_cause},
    streams::PRESENCE,
};

/// How often a sensor says that it is there.
const SAYS_SO: Duration = Duration::from_secs(10);
/// Who says nothing for so long has gone without a last word.
const FALLEN_SILENT: Duration = Duration::from_secs(13);
/// For the last word.
const LAST_WORD: Duration = Duration::from_secs(2);
/// The server asks for a sign of life that often while nothing is asked for.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// A look that is neither answered nor said to be under way for so long is asked for again.
const UNDER_WAY: Duration = Duration::from_secs(15);
/// How long it is waited before what failed is tried again.
const AGAIN: Duration = Duration::from_secs(1);

/// A sensor at work.
pub struct Serving {
    connection: Connection,
    presence: Presence,
    messages: Option<pull::Stream>,
    events: mpsc::UnboundedReceiver<Event>,
    say_so: tokio::time::Interval,
}

/// A look that was asked for, until it is answered.
#[derive(Debug)]
pub struct Asked {
    /// What was asked for.
    pub look: AskedLook,
    message: jetstream::Message,
}

/// What a sensor meets while nobody asks for anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// The connection is gone; it is tried again for as long as it takes.
    Lost(String),
    /// It stands again.
    Back,
    /// Somebody asked for what is no look, and was not heard.
    NotUnderstood(String),
}

impl Serving {
    /// Connects, says that the sensor is there, and takes looks from now on.
    ///
    /// # Errors
    /// As of a connection, and when another host has the name.
    pub async fn begin(broker: &Broker, presence: Presence) -> Result<Self, FabricError> {
        let (tell, events) = mpsc::unbounded_channel();
        let connection = broker
            .connect(&Role::Sensor(&presence.sensor), Some(tell))
            .await?;
        if let Some((said, other)) = connection.presence(&presence.sensor).await? {
            let taken = || FabricError::Taken {
                sensor: presence.sensor.clone(),
                host: other.host.clone(),
            };
            if other.host != presence.host {
                return Err(taken());
            }
            // One of this host may have been killed a moment ago.
            tokio::time::sleep(FALLEN_SILENT).await;
            let says = connection.presence(&presence.sensor).await?;
            if says.is_some_and(|(says, _)| says != said) {
                return Err(taken());
            }
        }
        let mut serving = Self {
            connection,
            presence,
            messages: None,
            events,
            say_so: tokio::time::interval(SAYS_SO),
        };
        serving.take_looks().await?;
        serving.is_there().await?;
        Ok(serving)
    }

    /// Waits for the next look, or for something that goes wrong meanwhile. It may be dropped at any time: nothing is lost
    /// that way.
    pub async fn next(&mut self) -> Result<Asked, Trouble> {
        loop {
            let Some(messages) = &mut self.messages else {
                tokio::time::sleep(AGAIN).await;
                match self.take_looks().await {
                    Ok(()) => return Err(Trouble::Back),
                    Err(error) => {
                        tracing::debug!(%error, "the looks cannot be taken yet");
                        continue;
                    }
                }
            };
            tokio::select! {
                message = messages.next() => match message {
                    Some(Ok(message)) => return self.understood(message).await,
                    other => {
                        self.messages = None;
                        let why = match other {
                            Some(Err(error)) => with_cause(&error),
                            _ => "the server has ended it".into(),
                        };
                        return Err(Trouble::Lost(why));
                    }
                },
                event = self.events.recv() => {
                    if matches!(event, Some(Event::Disconnected | Event::Closed)) {
                        self.messages = None;
                        return Err(Trouble::Lost("the connection has ended".into()));
                    }
                }
                _ = self.say_so.tick() => {
                    if let Err(error) = self.is_there().await {
                        tracing::debug!(%error, "nobody hears that the sensor is there");
                    }
                }
            }
        }
    }

    async fn understood(&self, message: jetstream::Message) -> Result<Asked, Trouble> {
        match AskedLook::read(&message.payload) {
            Ok(look) => Ok(Asked { look, message }),
            Err(why) => {
                // It would be no better the next time.
                let _ = message.ack_with(jetstream::AckKind::Term).await;
                Err(Trouble::NotUnderstood(why))
            }
        }
    }

    /// Tells the server that a look is under way, so that it does not ask again, and that the sensor is still there.
    pub async fn is_under_way(&self, asked: &Asked) {
        // Asking again does no harm.
        let _ = asked.message.ack_with(jetstream::AckKind::Progress).await;
        if let Err(error) = self.is_there().await {
            tracing::debug!(%error, "nobody hears that the sensor is there");
        }
    }

    /// Stores what came of a look, and only then takes the question away.
    ///
    /// # Errors
    /// When the server could not be told; it will then ask again.
    pub async fn answer(&self, asked: Asked, outcome: Outcome) -> Result<(), FabricError> {
        let refused = |error: &dyn std::error::Error| FabricError::Server {
            what: "an answer",
            why: with_cause(error),
        };
        let sensor = &self.presence.sensor;
        let answer = asked.look.answered(sensor.clone(), outcome);
        let text = serde_json::to_vec(&answer).map_err(|error| refused(&error))?;
        // Without an id of its own: whoever knows it could have this one taken for a duplicate.
        let message = PublishMessage::build().payload(text.into());
        let subject = format!("portcullis.seen.{}.{sensor}", asked.look.run);
        let stored = self.connection.jetstream.send_publish(subject, message).await;
        stored
            .map_err(|error| refused(&error))?
            .await
            .map_err(|error| refused(&error))?;
        let acknowledged = asked.message.double_ack().await;
        acknowledged.map_err(|error| FabricError::Server {
            what: "an acknowledgement",
            why: error.to_string(),
        })
    }

    /// Goes: whoever asks from now on is told at once that nobody is there.
    pub async fn end(mut self) {
        self.presence.gone = true;
        // The server forgets it anyway, later.
        let _ = tokio::time::timeout(LAST_WORD, self.is_there()).await;
    }

    async fn take_looks(&mut self) -> Result<(), FabricError> {
        let refused = |error: &dyn std::error::Error| FabricError::Server {
            what: "to hand over looks",
            why: with_cause(error),
        };
        let sensor = self.presence.sensor.as_str();
        let config = pull::Config {
            durable_name: Some(sensor.into()),
            filter_subject: format!("portcullis.look.{sensor}"),
            ack_policy: AckPolicy::Explicit,
            ack_wait: UNDER_WAY,
            max_ack_pending: 1,
            ..pull::Config::default()
        };
        self.connection.seen().await?;
        self.connection.presences().await?;
        let looks = self.connection.looks().await?;
        let consumer = looks.get_or_create_consumer(sensor, config).await;
        let consumer = consumer.map_err(|error| refused(&error))?;
        let messages = consumer
            .stream()
            .max_messages_per_batch(1)
            .heartbeat(HEARTBEAT)
            .messages()
            .await
            .map_err(|error| refused(&error))?;
        self.messages = Some(messages);
        Ok(())
    }

    async fn is_there(&self) -> Result<(), FabricError> {
        let refused = |error: &dyn std::error::Error| FabricError::Server {
            what: "to note that a sensor is there",
            why: with_cause(error),
        };
        let said = serde_json::to_vec(&self.presence).map_err(|error| refused(&error))?;
        let subject = format!("{PRESENCE}{}", self.presence.sensor);
        let kept = self.connection.jetstream.publish(subject, said.into()).await;
        kept.map_err(|error| refused(&error))?
            .await
            .map_err(|error| refused(&error))?;
        Ok(())
    }
}
