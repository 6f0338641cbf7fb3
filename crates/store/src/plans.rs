//! Plans: immutable, found by the beginning of their id.

use portcullis_model::Plan;

use crate::{
    Store, StoreError,
    record::{Row, decode, encode, id_range, only},
};

impl Store {
    /// Keeps a plan. Its id is derived from all it says, so a plan that is already there is never overwritten.
    ///
    /// # Errors
    /// Locked, full, read-only or damaged.
    pub async fn save_plan(&self, plan: &Plan) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO plan (id, made, host, record) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
        )
        .bind(plan.id.to_string())
        .bind(plan.made.as_microsecond())
        .bind(&plan.host)
        .bind(encode("plan", plan)?)
        .execute(&self.pool)
        .await
        .map_err(self.failed("keep a plan"))?;
        Ok(())
    }

    /// The one plan whose id begins with these 4 to 16 hexadecimal digits.
    ///
    /// # Errors
    /// Not found, ambiguous (with the ids that begin so), not digits, altered since it was made; locked or damaged.
    pub async fn plan(&self, prefix: &str) -> Result<Plan, StoreError> {
        let (first, last) = id_range("plan", prefix)?;
        let rows: Vec<Row> =
            sqlx::query_as("SELECT id, record FROM plan WHERE id BETWEEN ? AND ? ORDER BY id LIMIT 20")
                .bind(first)
                .bind(last)
                .fetch_all(&self.pool)
                .await
                .map_err(self.failed("look up a plan"))?;
        unaltered(only("plan", prefix, rows)?)
    }

    /// All plans, newest first.
    ///
    /// # Errors
    /// One of them was altered since it was made; locked or damaged.
    pub async fn plans(&self) -> Result<Vec<Plan>, StoreError> {
        let rows: Vec<Row> = sqlx::query_as("SELECT id, record FROM plan ORDER BY made DESC, rowid DESC")
            .fetch_all(&self.pool)
            .await
            .map_err(self.failed("read the plans"))?;
        rows.into_iter().map(unaltered).collect()
    }
}

/// The plan in this row, if its id can be derived from what it says, as it was when it was made.
fn unaltered(row: Row) -> Result<Plan, StoreError> {
    let stored_under = row.0.clone();
    let plan: Plan = decode("plan", row)?;
    if plan.id.to_string() == stored_under && plan.clone().seal().id == plan.id {
        Ok(plan)
    } else {
        let id = portcullis_model::sanitize(&stored_under);
        Err(StoreError::AlteredPlan { id })
    }
}
