//! The relay: from the outbox into the log, in an order that everybody agrees on.

use std::time::Duration;

use egov_fault::Fault;
use jiff::Timestamp;
use sqlx::Row as _;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::database::Database;
use crate::fault::sql_fault;
use crate::lease::Lease;

/// The lease under which offsets are assigned; `egov.relay` checks its fence.
const LEASE: &str = "relay";

/// The pause after a round that moved something: under load the next one then moves many. Without it a relay beside a thousand
/// writes a second would commit some hundred times a second, for one or two events each.
const BREATH: Duration = Duration::from_millis(10);

/// Moves events from the outbox into the log and gives them offsets.
///
/// One relay works at a time, however many processes run one. It takes rows because they are there, never because they
/// are newer than the last one: a transaction that began earlier may commit later. It is woken by the commits of its own
/// process and looks every 100 ms for those of others. NOTIFY is not used: inside a write it would serialise the commits.
#[derive(Debug)]
pub struct Relay {
    database: Database,
    batch: i32,
    lease_time: Duration,
    poll: Duration,
}

impl Relay {
    /// A relay for this database.
    pub fn new(database: Database) -> Self {
        Self {
            database,
            batch: 500,
            lease_time: Duration::from_secs(15),
            poll: Duration::from_millis(100),
        }
    }

    /// The same with at most `events` a transaction.
    #[must_use]
    pub fn batch(mut self, events: i32) -> Self {
        self.batch = events.max(1);
        self
    }

    /// Takes the lease; `None` while another process has it.
    pub async fn acquire(&self) -> Result<Option<Lease>, Fault> {
        self.database.acquire_lease(LEASE, self.lease_time).await
    }

    /// Moves one batch; returns how many events it moved. `ABORTED` / `LEASE_LOST` if the lease has changed hands.
    pub async fn relay(&self, lease: &Lease) -> Result<i64, Fault> {
        // Looking costs nothing; the fenced transaction writes even when it finds nothing.
        let waiting: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM egov.outbox)")
            .fetch_one(self.database.pool())
            .await
            .map_err(sql_fault)?;
        if !waiting {
            return Ok(0);
        }
        sqlx::query_scalar("SELECT egov.relay($1, $2)")
            .bind(lease.fence())
            .bind(self.batch)
            .fetch_one(self.database.pool())
            .await
            .map_err(sql_fault)
    }

    /// Relays until `shutdown`, then gives the lease back. Failures are logged and tried again.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut published = self.database.inner().published.subscribe();
        loop {
            let pause = match self.acquire().await {
                Ok(Some(lease)) => match self.relay_while_held(lease, &mut published, &shutdown).await {
                    Ok(()) => Duration::ZERO,
                    Err(fault) => {
                        tracing::warn!(reason = fault.reason(), error = ?fault, "relay interrupted");
                        Duration::from_secs(1)
                    }
                },
                Ok(None) => self.lease_time / 3,
                Err(fault) => {
                    tracing::warn!(reason = fault.reason(), error = ?fault, "relay has no lease");
                    Duration::from_secs(1)
                }
            };
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn relay_while_held(
        &self,
        mut lease: Lease,
        published: &mut watch::Receiver<u64>,
        shutdown: &CancellationToken,
    ) -> Result<(), Fault> {
        while !shutdown.is_cancelled() {
            if lease.is_due() {
                lease.renew().await?;
            }
            published.mark_unchanged();
            let moved = self.relay(&lease).await?;
            if moved >= i64::from(self.batch) {
                continue;
            }
            if moved > 0 {
                tokio::select! {
                    () = shutdown.cancelled() => {}
                    () = tokio::time::sleep(BREATH) => {}
                }
            }
            tokio::select! {
                () = shutdown.cancelled() => {}
                _ = published.changed() => {}
                () = tokio::time::sleep(self.poll) => {}
            }
        }
        lease.release().await
    }
}

/// A place in the log. Places compare by epoch first: after a restore a new epoch begins, and with it new offsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The epoch.
    pub epoch: i32,
    /// The offset within the epoch, from 0, without gaps.
    pub offset: i64,
}

impl Position {
    /// Before the first event.
    pub const START: Self = Self { epoch: 0, offset: -1 };
}

/// An event as it stands in the log.
#[derive(Clone, Debug, PartialEq)]
pub struct LoggedEvent {
    /// Its place.
    pub position: Position,
    /// Its id, by which a consumer applies it once.
    pub event_id: Uuid,
    /// The kind of aggregate.
    pub aggregate_kind: String,
    /// The aggregate.
    pub aggregate_id: Uuid,
    /// The aggregate's version after the event.
    pub version: i64,
    /// What happened.
    pub kind: String,
    /// Ids, codes and states.
    pub payload: serde_json::Value,
    /// When it happened.
    pub create_time: Timestamp,
}

impl Database {
    /// The events behind `after`, in order, at most `limit`. Nothing ever appears before a place that was read.
    pub async fn events_after(&self, after: Position, limit: i64) -> Result<Vec<LoggedEvent>, Fault> {
        let rows = sqlx::query(
            "SELECT epoch, log_offset, event_id, aggregate_kind, aggregate_id, version, kind, payload, create_time
             FROM egov.event_log WHERE (epoch, log_offset) > ($1, $2)
             ORDER BY epoch, log_offset LIMIT $3",
        )
        .bind(after.epoch)
        .bind(after.offset)
        .bind(limit)
        .fetch_all(self.pool())
        .await
        .map_err(sql_fault)?;
        rows.iter()
            .map(|row| {
                Ok(LoggedEvent {
                    position: Position {
                        epoch: row.try_get("epoch")?,
                        offset: row.try_get("log_offset")?,
                    },
                    event_id: row.try_get("event_id")?,
                    aggregate_kind: row.try_get("aggregate_kind")?,
                    aggregate_id: row.try_get("aggregate_id")?,
                    version: row.try_get("version")?,
                    kind: row.try_get("kind")?,
                    payload: row.try_get("payload")?,
                    create_time: row.try_get::<jiff_sqlx::Timestamp, _>("create_time")?.to_jiff(),
                })
            })
            .collect::<Result<_, sqlx::Error>>()
            .map_err(sql_fault)
    }

    /// Waits until this process commits events, or `at_most`; for workers that follow the outbox or the log.
    pub async fn wait_for_events(&self, at_most: Duration) {
        let mut published = self.inner().published.subscribe();
        // Running out of time is the ordinary case, and the sender lives as long as this database.
        let _ = tokio::time::timeout(at_most, published.changed()).await;
    }
}
