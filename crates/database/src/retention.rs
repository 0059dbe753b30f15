//! The daily care of the request ids.

use std::time::Duration;

use egov_fault::Fault;
use jiff_sqlx::ToSqlx as _;
use tokio_util::sync::CancellationToken;

use crate::database::Database;
use crate::fault::sql_fault;

/// How often the job looks.
const EVERY: Duration = Duration::from_hours(1);

impl Database {
    /// Creates the partitions of the request ids for the coming week and drops those older than thirty days; returns how
    /// many days were dropped. Writes do not depend on it: a missing day is created by the write that needs it.
    pub async fn keep_request_days(&self) -> Result<i32, Fault> {
        sqlx::query_scalar("SELECT egov.keep_request_days($1)")
            .bind(self.clock().today().to_sqlx())
            .fetch_one(self.pool())
            .await
            .map_err(sql_fault)
    }

    /// Runs [`keep_request_days`](Self::keep_request_days) now and every hour until `shutdown`. Every process may run
    /// it: it does the same thing twice without harm.
    pub async fn keep_request_days_until(self, shutdown: CancellationToken) {
        loop {
            match self.keep_request_days().await {
                Ok(0) => {}
                Ok(days) => tracing::info!(days, "dropped old request ids"),
                Err(fault) => {
                    tracing::warn!(reason = fault.reason(), error = ?fault, "request ids not tidied");
                }
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    }
}
