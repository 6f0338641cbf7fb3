//! Observations: facts, written once and never edited.

use std::net::IpAddr;

use portcullis_model::{Observation, Port, RunId};

use sqlx::{QueryBuilder, Sqlite};

use crate::{
    Store, StoreError,
    record::{decode_all, encode},
    runs::not_found,
};

/// A run, a port that it looked at, and the address of ours that it looked from.
pub type Look = (RunId, Port, Option<IpAddr>);

/// Rows of one statement: a statement of its own for each row would take a thousand times as long to hand over.
const ROWS: usize = 200;

impl Store {
    /// Adds observations, all or none. One whose id is already there is the same fact and is left as it is.
    ///
    /// # Errors
    /// Not found when a run was never begun; locked, full, read-only or damaged.
    pub async fn add_observations(&self, observations: &[Observation]) -> Result<(), StoreError> {
        let doing = "record observations";
        let mut records = Vec::with_capacity(observations.len());
        for observation in observations {
            records.push(encode("observation", observation)?);
        }
        let mut transaction = self.write(doing).await?;
        for (chunk, records) in observations.chunks(ROWS).zip(records.chunks(ROWS)) {
            let mut insert = QueryBuilder::<Sqlite>::new(
                "INSERT INTO observation (id, run, at, vantage, address, port, record) ",
            );
            insert.push_values(chunk.iter().zip(records), |mut row, (observation, record)| {
                row.push_bind(observation.id.to_string())
                    .push_bind(observation.run.to_string())
                    .push_bind(observation.at.as_microsecond())
                    .push_bind(observation.vantage.as_str())
                    .push_bind(observation.address.to_string())
                    .push_bind(observation.port.to_string())
                    .push_bind(record);
            });
            insert.push(" ON CONFLICT (id) DO NOTHING");
            let inserted = insert.build().execute(&mut *transaction).await;
            inserted.map_err(|error| match (error.as_database_error(), chunk.first()) {
                (Some(refused), Some(first)) if refused.is_foreign_key_violation() => not_found(first.run),
                _ => self.failed(doing)(error),
            })?;
        }
        transaction.commit().await.map_err(self.failed(doing))
    }

    /// What a run observed, in the order in which it was recorded.
    ///
    /// # Errors
    /// Locked or damaged.
    pub async fn observations_of_run(&self, run: RunId) -> Result<Vec<Observation>, StoreError> {
        let rows = sqlx::query_as("SELECT id, record FROM observation WHERE run = ? ORDER BY rowid")
            .bind(run.to_string())
            .fetch_all(&self.pool)
            .await
            .map_err(self.failed("read the observations of a run"))?;
        decode_all("observation", rows)
    }

    /// On which ports the newest `limit` runs of these commands looked, and from which address of ours, where that is known: run,
    /// port, address. What was only silent is not among the observations.
    ///
    /// # Errors
    /// Locked or damaged.
    pub async fn looks_of_runs(&self, commands: [&str; 2], limit: u32) -> Result<Vec<Look>, StoreError> {
        let [one, other] = commands;
        // An observation is a long text: one of each port and one of each host tell enough.
        let rows: Vec<(String, String, String)> = sqlx::query_as(
            "WITH looked AS (
                 SELECT id FROM run WHERE json_extract(record, '$.command') IN (?, ?)
                 ORDER BY started DESC, rowid DESC LIMIT ?
             )
             SELECT DISTINCT run, port, coalesce(json_extract(record, '$.source'), '') FROM observation
             WHERE rowid IN (
                 SELECT min(rowid) FROM observation WHERE run IN (SELECT id FROM looked) GROUP BY run, port
                 UNION SELECT min(rowid) FROM observation WHERE run IN (SELECT id FROM looked) GROUP BY run, address
             )",
        )
        .bind(one)
        .bind(other)
        .bind(limit)
        .fetch_all(&self.pool)
        .await
        .map_err(self.failed("read from where runs looked"))?;
        let look = |(run, port, source): (String, String, String)| {
            Some((run.parse().ok()?, port.parse().ok()?, source.parse().ok()))
        };
        Ok(rows.into_iter().filter_map(look).collect())
    }

    /// The newest observation of each port of each address from each vantage, sorted by address, port and vantage.
    ///
    /// # Errors
    /// Locked or damaged.
    pub async fn latest_observations(&self) -> Result<Vec<Observation>, StoreError> {
        let rows = sqlx::query_as(
            "SELECT id, record FROM (
                 SELECT id, record, row_number() OVER (
                     PARTITION BY vantage, address, port ORDER BY at DESC, rowid DESC
                 ) AS age
                 FROM observation
             ) WHERE age = 1",
        )
        .fetch_all(&self.pool)
        .await
        .map_err(self.failed("read the latest observations"))?;
        let mut latest: Vec<Observation> = decode_all("observation", rows)?;
        // As text, 10.0.0.10 would come before 10.0.0.9.
        latest.sort_by(|a, b| (a.address, a.port, &a.vantage).cmp(&(b.address, b.port, &b.vantage)));
        Ok(latest)
    }
}
