//! Observations: facts, written once and never edited.

use portcullis_model::{Observation, RunId};

use crate::{
    Store, StoreError,
    record::{decode_all, encode},
    runs::not_found,
};

impl Store {
    /// Adds observations, all or none. One whose id is already there is the same fact and is left as it is.
    ///
    /// # Errors
    /// Not found when a run was never begun; locked, full, read-only or damaged.
    pub async fn add_observations(&self, observations: &[Observation]) -> Result<(), StoreError> {
        let doing = "record observations";
        let mut transaction = self.write(doing).await?;
        for observation in observations {
            sqlx::query(
                "INSERT INTO observation (id, run, at, vantage, address, port, record)
                 VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
            )
            .bind(observation.id.to_string())
            .bind(observation.run.to_string())
            .bind(observation.at.as_microsecond())
            .bind(observation.vantage.as_str())
            .bind(observation.address.to_string())
            .bind(observation.port.to_string())
            .bind(encode("observation", observation)?)
            .execute(&mut *transaction)
            .await
            .map_err(|error| match error.as_database_error() {
                Some(refused) if refused.is_foreign_key_violation() => not_found(observation.run),
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
