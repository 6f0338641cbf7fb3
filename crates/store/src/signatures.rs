//! What was learned of ports on the operator's word: the latest of each.

use std::net::IpAddr;

use portcullis_model::Port;
use serde_json::Value;

use crate::{
    Store, StoreError,
    record::{Row, decode_all, encode},
};

impl Store {
    /// Keeps what was learned of a port, in the place of what was learned of it before.
    ///
    /// # Errors
    /// Locked, full, read-only or damaged.
    pub async fn keep_signature(
        &self,
        address: IpAddr,
        port: Port,
        record: &Value,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO signature (address, port, record) VALUES (?, ?, ?)
             ON CONFLICT (address, port) DO UPDATE SET record = excluded.record",
        )
        .bind(address.to_string())
        .bind(port.to_string())
        .bind(encode("signature", record)?)
        .execute(&self.pool)
        .await
        .map_err(self.failed("keep a signature"))?;
        Ok(())
    }

    /// Forgets what was learned of a port. Tells whether there was anything.
    ///
    /// # Errors
    /// Locked, full, read-only or damaged.
    pub async fn forget_signature(&self, address: IpAddr, port: Port) -> Result<bool, StoreError> {
        let gone = sqlx::query("DELETE FROM signature WHERE address = ? AND port = ?")
            .bind(address.to_string())
            .bind(port.to_string())
            .execute(&self.pool)
            .await
            .map_err(self.failed("forget a signature"))?;
        Ok(gone.rows_affected() > 0)
    }

    /// All that was learned, by address and port.
    ///
    /// # Errors
    /// Locked or damaged.
    pub async fn signatures(&self) -> Result<Vec<Value>, StoreError> {
        let rows: Vec<Row> = sqlx::query_as("SELECT address, record FROM signature ORDER BY address, port")
            .fetch_all(&self.pool)
            .await
            .map_err(self.failed("read the signatures"))?;
        decode_all("signature", rows)
    }
}
