//! Changes: plans that were applied, and what became of them.

use portcullis_model::Change;

use crate::{
    Store, StoreError,
    record::{decode, decode_all, encode, id_range, only},
};

impl Store {
    /// Keeps a change as it stands now, in place of what was known of it.
    ///
    /// # Errors
    /// Locked, full, read-only or damaged.
    pub async fn save_change(&self, change: &Change) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO change (id, plan, host, applied, record) VALUES (?, ?, ?, ?, ?)
             ON CONFLICT (id) DO UPDATE SET record = excluded.record",
        )
        .bind(change.id.to_string())
        .bind(change.plan.to_string())
        .bind(&change.host)
        .bind(change.applied.as_microsecond())
        .bind(encode("change", change)?)
        .execute(&self.pool)
        .await
        .map_err(self.failed("keep a change"))?;
        Ok(())
    }

    /// The one change whose id begins with these 4 to 16 hexadecimal digits.
    ///
    /// # Errors
    /// Not found, ambiguous (with the ids that begin so), not digits; locked or damaged.
    pub async fn change(&self, prefix: &str) -> Result<Change, StoreError> {
        let (first, last) = id_range("change", prefix)?;
        let rows =
            sqlx::query_as("SELECT id, record FROM change WHERE id BETWEEN ? AND ? ORDER BY id LIMIT 20")
                .bind(first)
                .bind(last)
                .fetch_all(&self.pool)
                .await
                .map_err(self.failed("look up a change"))?;
        decode("change", only("change", prefix, rows)?)
    }

    /// The changes on one host, or all of them, newest first.
    ///
    /// # Errors
    /// Locked or damaged.
    pub async fn changes(&self, host: Option<&str>) -> Result<Vec<Change>, StoreError> {
        let rows = sqlx::query_as(
            "SELECT id, record FROM change WHERE ?1 IS NULL OR host = ?1 ORDER BY applied DESC, rowid DESC",
        )
        .bind(host)
        .fetch_all(&self.pool)
        .await
        .map_err(self.failed("read the changes"))?;
        decode_all("change", rows)
    }
}
