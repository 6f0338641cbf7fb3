//! The side that has a sensor look.

use std::time::Duration;

use async_nats::jetstream::{
    AckKind,
    consumer::{AckPolicy, pull},
    message::PublishMessage,
};
use futures::StreamExt as _;
use portcullis_model::SensorName;

use crate::{
    Answer, AskedLook, Broker, FabricError, Looked, Outcome, Presence,
    broker::{Connection, LOOKS_LIVE, Role, with_cause},
};

impl Broker {
    /// Who is there, by name.
    ///
    /// # Errors
    /// As of a connection, and when the server refuses to tell.
    pub async fn sensors(&self) -> Result<Vec<Presence>, FabricError> {
        self.connect(&Role::Verify, None).await?.sensors().await
    }

    /// Has a sensor look, and waits for what it saw.
    ///
    /// # Errors
    /// As of a connection; when no such sensor is there, it does not answer in `patience`, or it says that it may not or
    /// cannot look.
    pub async fn look(
        &self,
        sensor: &SensorName,
        asked: &AskedLook,
        patience: Duration,
    ) -> Result<Vec<Looked>, FabricError> {
        let connection = self.connect(&Role::Verify, None).await?;
        let there: Vec<SensorName> = connection
            .sensors()
            .await?
            .into_iter()
            .map(|presence| presence.sensor)
            .collect();
        if !there.contains(sensor) {
            let sensor = sensor.clone();
            return Err(FabricError::NoSuchSensor { sensor, there });
        }
        let answer = tokio::time::timeout(patience, connection.asked(sensor, asked));
        let silent = |_| FabricError::Silent {
            sensor: sensor.clone(),
            patience,
        };
        match answer.await.map_err(silent)??.outcome {
            Outcome::Looked(looked) => Ok(looked),
            Outcome::Refused(why) => Err(FabricError::Refused {
                sensor: sensor.clone(),
                why,
            }),
            Outcome::Failed(why) => Err(FabricError::Failed {
                sensor: sensor.clone(),
                why,
            }),
        }
    }
}

impl Connection {
    async fn sensors(&self) -> Result<Vec<Presence>, FabricError> {
        let refused = |error: &dyn std::error::Error| FabricError::Server {
            what: "who is there",
            why: with_cause(error),
        };
        let bucket = self.presences().await?;
        let mut names = bucket.keys().await.map_err(|error| refused(&error))?;
        let mut there = Vec::new();
        while let Some(name) = names.next().await {
            let name = name.map_err(|error| refused(&error))?;
            let said = bucket.get(name).await.map_err(|error| refused(&error))?;
            // What somebody else writes there is no sensor.
            there.extend(said.and_then(|said| serde_json::from_slice::<Presence>(&said).ok()));
        }
        there.sort_by(|one, other| one.sensor.cmp(&other.sensor));
        Ok(there)
    }

    async fn asked(&self, sensor: &SensorName, asked: &AskedLook) -> Result<Answer, FabricError> {
        let refused = |what: &'static str| {
            move |error: &dyn std::error::Error| FabricError::Server {
                what,
                why: with_cause(error),
            }
        };
        self.looks().await?;
        let listen = refused("to hand over answers");
        let answers = self
            .seen()
            .await?
            .create_consumer(pull::Config {
                filter_subject: format!("portcullis.seen.{}.{sensor}", asked.run),
                ack_policy: AckPolicy::Explicit,
                inactive_threshold: LOOKS_LIVE,
                ..pull::Config::default()
            })
            .await
            .map_err(|error| listen(&error))?;
        let ask = refused("to take a look");
        let text = serde_json::to_vec(asked).map_err(|error| ask(&error))?;
        let message = PublishMessage::build()
            .payload(text.into())
            .message_id(asked.id(sensor));
        self.jetstream
            .send_publish(format!("portcullis.look.{sensor}"), message)
            .await
            .map_err(|error| ask(&error))?
            .await
            .map_err(|error| ask(&error))?;
        let mut answers = answers.messages().await.map_err(|error| listen(&error))?;
        loop {
            // The connection comes back by itself; how long that may take, the caller says.
            let Some(Ok(message)) = answers.next().await else {
                tokio::time::sleep(Duration::from_millis(200)).await;
                continue;
            };
            let answer = Answer::read(&message.payload, asked, sensor).map_err(|why| FabricError::Answer {
                sensor: sensor.clone(),
                why,
            });
            // It has been heard; the server would forget it anyway.
            let _ = message.ack_with(AckKind::Ack).await;
            return answer;
        }
    }
}
