//! Observations: facts, written once and never edited.

use portcullis_model::{Observation, RunId};

use sqlx::{QueryBuilder, Sqlite};

use crate::{
    Store, StoreError,
    record::{decode_all, encode},
    runs::not_found,
};

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
