//! What was applied, once; and how far a follower of the log has come.

use std::time::Duration;

use egov_fault::Fault;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use sqlx::Row as _;
use uuid::Uuid;

use crate::database::Database;
use crate::fault::sql_fault;
use crate::relay::Position;
use crate::unit::UnitOfWork;

/// How many are forgotten in one transaction.
const FORGET: i64 = 10_000;

impl UnitOfWork<'_> {
    /// Whether `consumer` applies this event for the first time, and records that it does: in this transaction, so that the effect
    /// and the record are both there or neither. When the same event is applied elsewhere at this moment, waits for the outcome.
    ///
    /// ```no_run
    /// # async fn example(database: egov_database::Database, scope: egov_auth::RowScope, event: uuid::Uuid) -> Result<(), egov_fault::Fault> {
    /// database
    ///     .write_unkeyed(&scope, async |unit| {
    ///         if unit.first_time("cases", event).await? {
    ///             // … the effect
    ///         }
    ///         Ok::<_, egov_fault::Fault>(())
    ///     })
    ///     .await?;
    /// // Only now is the delivery acknowledged.
    /// # Ok(()) }
    /// ```
    pub async fn first_time(&mut self, consumer: &str, event: Uuid) -> Result<bool, Fault> {
        Ok(!self.first_times(consumer, &[event]).await?.is_empty())
    }

    /// Those of the events that `consumer` applies for the first time, in their order, each once; records them as
    /// [`first_time`](Self::first_time) does.
    pub async fn first_times(&mut self, consumer: &str, events: &[Uuid]) -> Result<Vec<Uuid>, Fault> {
        let at = self.now();
        sqlx::query_scalar("SELECT egov.first_times($1, $2, $3)")
            .bind(consumer)
            .bind(events)
            .bind(at.to_sqlx())
            .fetch_one(self.conn())
            .await
            .map_err(sql_fault)
    }

    /// Moves a follower of this database's log to a place; never back.
    pub async fn follow_to(&mut self, follower: &str, place: Position) -> Result<(), Fault> {
        sqlx::query("SELECT egov.follow_to($1, $2, $3)")
            .bind(follower)
            .bind(place.epoch)
            .bind(place.offset)
            .execute(self.conn())
            .await
            .map(drop)
            .map_err(sql_fault)
    }
}

impl Database {
    /// How far a follower of this database's log has come.
    pub async fn follower_position(&self, follower: &str) -> Result<Position, Fault> {
        let row = sqlx::query("SELECT epoch, log_offset FROM egov.followers WHERE follower = $1")
            .bind(follower)
            .fetch_optional(self.pool())
            .await
            .map_err(sql_fault)?;
        let Some(row) = row else { return Ok(Position::START) };
        Ok(Position {
            epoch: row.try_get("epoch").map_err(sql_fault)?,
            offset: row.try_get("log_offset").map_err(sql_fault)?,
        })
    }

    /// How many events of the log a follower has not passed.
    pub async fn follower_lag(&self, follower: &str) -> Result<i64, Fault> {
        sqlx::query_scalar("SELECT egov.follower_lag($1)")
            .bind(follower)
            .fetch_one(self.pool())
            .await
            .map_err(sql_fault)
    }

    /// Forgets the events that were applied longer ago than `age`, which must exceed the time for which anything can be delivered
    /// again. Returns how many.
    pub async fn forget_applied(&self, age: Duration) -> Result<i64, Fault> {
        let before = self.clock().now().checked_sub(age).unwrap_or(Timestamp::MIN);
        let mut forgotten = 0;
        loop {
            let batch: i64 = sqlx::query_scalar("SELECT egov.forget_applied($1, $2)")
                .bind(before.to_sqlx())
                .bind(FORGET)
                .fetch_one(self.pool())
                .await
                .map_err(sql_fault)?;
            forgotten += batch;
            if batch < FORGET {
                return Ok(forgotten);
            }
        }
    }
}
