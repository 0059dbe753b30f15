//! Leases: which process does a piece of background work, with a fencing number.

use std::time::Duration;

use egov_fault::{Code, Fault};
use sqlx::PgConnection;
use sqlx::postgres::types::PgInterval;
use tokio::time::Instant;
use uuid::Uuid;

use crate::database::Database;
use crate::fault::sql_fault;

/// The right to do a piece of background work, for a while.
///
/// A holder that stalls may believe that it still holds what somebody else has taken over. Hence the fence, a number
/// that grows with every holder: [`Database::work`] presents it inside the transaction and is refused when it is old.
/// Dropping a lease does not give it back, it runs out; [`release`](Self::release) gives it back at once.
#[derive(Debug)]
pub struct Lease {
    database: Database,
    name: String,
    fence: i64,
    ttl: Duration,
    renewed: Instant,
}

impl Database {
    /// Takes the lease `name` for `ttl` if nobody holds it. The database's clock judges when it runs out.
    pub async fn acquire_lease(&self, name: &str, ttl: Duration) -> Result<Option<Lease>, Fault> {
        let asked = Instant::now();
        let holder: Uuid = self.inner().ids.uuid();
        let fence: Option<i64> = sqlx::query_scalar("SELECT egov.acquire_lease($1, $2, $3)")
            .bind(name)
            .bind(holder)
            .bind(interval(ttl))
            .fetch_one(self.pool())
            .await
            .map_err(sql_fault)?;
        Ok(fence.map(|fence| Lease {
            database: self.clone(),
            name: name.to_owned(),
            fence,
            ttl,
            renewed: asked,
        }))
    }
}

impl Lease {
    /// The name of the work.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The fencing number of this holder.
    pub fn fence(&self) -> i64 {
        self.fence
    }

    /// Whether a third of the time is over, so that it is time to renew.
    pub fn is_due(&self) -> bool {
        self.renewed.elapsed() >= self.ttl / 3
    }

    /// Prolongs the lease by its full time from now; `ABORTED` / `LEASE_LOST` if it had run out.
    pub async fn renew(&mut self) -> Result<(), Fault> {
        let asked = Instant::now();
        let kept: bool = sqlx::query_scalar("SELECT egov.renew_lease($1, $2, $3)")
            .bind(&self.name)
            .bind(self.fence)
            .bind(interval(self.ttl))
            .fetch_one(self.database.pool())
            .await
            .map_err(sql_fault)?;
        if !kept {
            return Err(Fault::new(
                Code::Aborted,
                "LEASE_LOST",
                "tiến trình khác đã nhận công việc này",
                "another process has taken this work over",
            )
            .with("lease", &self.name));
        }
        self.renewed = asked;
        Ok(())
    }

    /// Gives the lease back, so that another process need not wait until it runs out.
    pub async fn release(self) -> Result<(), Fault> {
        sqlx::query("SELECT egov.release_lease($1, $2)")
            .bind(&self.name)
            .bind(self.fence)
            .execute(self.database.pool())
            .await
            .map(drop)
            .map_err(sql_fault)
    }

    /// Refuses the transaction if the fence is old, and keeps the lease from changing hands until it ends.
    pub(crate) async fn fence_in(&self, conn: &mut PgConnection) -> Result<(), Fault> {
        sqlx::query("SELECT egov.hold_lease($1, $2)")
            .bind(&self.name)
            .bind(self.fence)
            .execute(conn)
            .await
            .map(drop)
            .map_err(|error| sql_fault(error).with("lease", &self.name))
    }
}

fn interval(time: Duration) -> PgInterval {
    PgInterval {
        months: 0,
        days: 0,
        microseconds: i64::try_from(time.as_micros()).unwrap_or(i64::MAX),
    }
}
