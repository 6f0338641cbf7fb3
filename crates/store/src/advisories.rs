//! Advisories that were imported: the latest version of each.

use serde_json::Value;

use crate::{
    Store, StoreError,
    record::{Row, decode_all, encode},
};

/// An advisory as it is kept: what names it, and the whole of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptAdvisory {
    /// The name space of its publisher.
    pub namespace: String,
    /// Its id, unique within the name space.
    pub id: String,
    /// The version of the document.
    pub version: String,
    /// The advisory.
    pub record: Value,
}

impl Store {
    /// Keeps an advisory in the place of any other version of it, unless `newer` says of the version that is there that it
    /// shall stay. Tells the version that was there before.
    ///
    /// # Errors
    /// Locked, full, read-only or damaged.
    pub async fn keep_advisory(
        &self,
        advisory: &KeptAdvisory,
        newer: impl Fn(&str) -> bool,
    ) -> Result<Option<String>, StoreError> {
        let doing = "keep an advisory";
        let mut transaction = self.write(doing).await?;
        let before: Option<String> =
            sqlx::query_scalar("SELECT version FROM advisory WHERE namespace = ? AND id = ?")
                .bind(&advisory.namespace)
                .bind(&advisory.id)
                .fetch_optional(&mut *transaction)
                .await
                .map_err(self.failed(doing))?;
        if before.as_deref().is_none_or(newer) {
            sqlx::query(
                "INSERT INTO advisory (namespace, id, version, record) VALUES (?, ?, ?, ?)
                 ON CONFLICT (namespace, id) DO UPDATE SET version = excluded.version, record = excluded.record",
            )
            .bind(&advisory.namespace)
            .bind(&advisory.id)
            .bind(&advisory.version)
            .bind(encode("advisory", &advisory.record)?)
            .execute(&mut *transaction)
            .await
            .map_err(self.failed(doing))?;
        }
        transaction.commit().await.map_err(self.failed(doing))?;
        Ok(before)
    }

    /// All advisories, by name space and id.
    ///
    /// # Errors
    /// Locked or damaged.
    pub async fn advisories(&self) -> Result<Vec<Value>, StoreError> {
        let rows: Vec<Row> = sqlx::query_as("SELECT id, record FROM advisory ORDER BY namespace, id")
            .fetch_all(&self.pool)
            .await
            .map_err(self.failed("read the advisories"))?;
        decode_all("advisory", rows)
    }
}
