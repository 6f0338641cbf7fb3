//! Runs: a scan, a check or a verification, from its beginning to its end.

use std::collections::HashMap;

use portcullis_model::{Run, RunId};

use crate::{
    Store, StoreError,
    record::{Row, decode, decode_all, encode},
};

impl Store {
    /// Records that a run began. The same run again changes nothing.
    ///
    /// # Errors
    /// Locked, full, read-only or damaged.
    pub async fn begin_run(&self, run: &Run) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO run (id, started, record) VALUES (?, ?, ?) ON CONFLICT (id) DO NOTHING")
            .bind(run.id.to_string())
            .bind(run.started.as_microsecond())
            .bind(encode("run", run)?)
            .execute(&self.pool)
            .await
            .map_err(self.failed("record a run"))?;
        Ok(())
    }

    /// Records when a run ended, what it covered and what it did not test. What was recorded at its beginning stays.
    ///
    /// # Errors
    /// Not found when it was never begun; locked, full, read-only or damaged.
    pub async fn finish_run(&self, run: &Run) -> Result<(), StoreError> {
        let doing = "record the end of a run";
        let mut transaction = self.write(doing).await?;
        let row: Option<Row> = sqlx::query_as("SELECT id, record FROM run WHERE id = ?")
            .bind(run.id.to_string())
            .fetch_optional(&mut *transaction)
            .await
            .map_err(self.failed(doing))?;
        let Some(row) = row else {
            return Err(not_found(run.id));
        };
        let mut begun: Run = decode("run", row)?;
        begun.ended = run.ended;
        begun.not_tested.clone_from(&run.not_tested);
        begun.coverage.clone_from(&run.coverage);
        sqlx::query("UPDATE run SET record = ? WHERE id = ?")
            .bind(encode("run", &begun)?)
            .bind(run.id.to_string())
            .execute(&mut *transaction)
            .await
            .map_err(self.failed(doing))?;
        transaction.commit().await.map_err(self.failed(doing))
    }

    /// The run with this id.
    ///
    /// # Errors
    /// Locked or damaged.
    pub async fn run(&self, id: RunId) -> Result<Option<Run>, StoreError> {
        let row: Option<Row> = sqlx::query_as("SELECT id, record FROM run WHERE id = ?")
            .bind(id.to_string())
            .fetch_optional(&self.pool)
            .await
            .map_err(self.failed("read a run"))?;
        row.map(|row| decode("run", row)).transpose()
    }

    /// The runs that began last, newest first.
    ///
    /// # Errors
    /// Locked or damaged.
    pub async fn latest_runs(&self, limit: u32) -> Result<Vec<Run>, StoreError> {
        let rows = sqlx::query_as("SELECT id, record FROM run ORDER BY started DESC, rowid DESC LIMIT ?")
            .bind(limit)
            .fetch_all(&self.pool)
            .await
            .map_err(self.failed("read the runs"))?;
        decode_all("run", rows)
    }

    /// The runs that name stations or tell of a host from within, oldest first.
    ///
    /// # Errors
    /// Locked or damaged.
    pub async fn runs_that_name_hosts(&self) -> Result<Vec<Run>, StoreError> {
        let rows = sqlx::query_as(
            "SELECT id, record FROM run
             WHERE json_type(record, '$.coverage.neighbours') = 'array'
                OR json_type(record, '$.coverage.introductions') = 'array'
                OR json_type(record, '$.coverage.host') = 'object'
             ORDER BY started, rowid",
        )
        .fetch_all(&self.pool)
        .await
        .map_err(self.failed("read the runs"))?;
        decode_all("run", rows)
    }

    /// The verb of each run, by its id.
    ///
    /// # Errors
    /// Locked or damaged.
    pub async fn commands_of_runs(&self) -> Result<HashMap<RunId, String>, StoreError> {
        let rows: Vec<Row> =
            sqlx::query_as("SELECT id, coalesce(json_extract(record, '$.command'), '') FROM run")
                .fetch_all(&self.pool)
                .await
                .map_err(self.failed("read the runs"))?;
        let commands = rows.into_iter();
        Ok(commands
            .filter_map(|(id, command)| Some((id.parse().ok()?, command)))
            .collect())
    }
}

pub(crate) fn not_found(id: RunId) -> StoreError {
    StoreError::NotFound {
        thing: "run",
        id: id.to_string(),
    }
}
