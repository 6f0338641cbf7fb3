//! The side that has a sensor look.

use std::{collections::BTreeSet, time::Duration};

use async_nats::jetstream::message::PublishMessage;
use futures::StreamExt as _;
use portcullis_model::SensorName;

use crate::{
    Answer, AskedLook, Broker, FabricError, Looked, Outcome, Presence,
    broker::{Connection, Role, with_cause},
    streams::PRESENCE,
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
    /// Whoever asks may make streams, which sensors need not.
    async fn sensors(&self) -> Result<Vec<Presence>, FabricError> {
        self.looks().await?;
        self.seen().await?;
        let refused = |error: &dyn std::error::Error| FabricError::Server {
            what: "who is there",
            why: with_cause(error),
        };
        let said = self
            .presences()
            .await?
            .info_with_subjects(format!("{PRESENCE}*"))
            .await;
        let mut subjects = said.map_err(|error| refused(&error))?;
        let mut names = BTreeSet::new();
        while let Some(subject) = subjects.next().await {
            let (subject, _) = subject.map_err(|error| refused(&error))?;
            // What is no name is nobody's.
            names.extend(
                subject
                    .strip_prefix(PRESENCE)
                    .and_then(|name| name.parse::<SensorName>().ok()),
            );
        }
        let mut there = Vec::new();
        for name in names {
            there.extend(self.presence(&name).await?.map(|(_, presence)| presence));
        }
        Ok(there)
    }

    async fn asked(&self, sensor: &SensorName, asked: &AskedLook) -> Result<Answer, FabricError> {
        let ask = |error: &dyn std::error::Error| FabricError::Server {
            what: "to take a look",
            why: with_cause(error),
        };
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
        let answers = self.seen().await?;
        let subject = format!("portcullis.seen.{}.{sensor}", asked.run);
        // Asked for again and again, and not waited for: that goes on by itself when the server has been away meanwhile.
        loop {
            tokio::time::sleep(AGAIN).await;
            match answers.get_last_raw_message_by_subject(&subject).await {
                Ok(message) => {
                    return Answer::read(&message.payload, asked, sensor).map_err(|why| {
                        FabricError::Answer {
                            sensor: sensor.clone(),
                            why,
                        }
                    });
                }
                Err(error) => tracing::trace!(%error, "no answer yet"),
            }
        }
    }
}

/// How often it is asked whether a sensor has answered.
const AGAIN: Duration = Duration::from_millis(300);
