//! Adds what the journal's batches sum up to to the sums of hours and days, under a lease.

use std::time::Duration;

use egov_database::Database;
use egov_fault::Fault;
use egov_runtime::server::JobResult;
use jiff::SignedDuration;
use tokio_util::sync::CancellationToken;

use crate::operations::traffic::{roll_up, was_full};
use crate::quotas;

const LEASE: &str = "integration.traffic";
const LEASE_TIME: Duration = Duration::from_secs(30);

/// How often it looks. Who reads sees what waits as well, so that this only bounds how many rows wait.
const EVERY: Duration = Duration::from_secs(5);

/// How often the quotas of past days are forgotten.
const FORGET_EVERY: Duration = Duration::from_hours(1);

/// Everything that waits, under the lease, if it can be had; how many rows.
pub(crate) async fn by_hand(database: &Database, kept: SignedDuration) -> Result<usize, Fault> {
    let mut all = 0;
    let Some(mut lease) = database.acquire_lease(LEASE, LEASE_TIME).await? else {
        return Ok(all);
    };
    loop {
        let taken = roll_up(database, &lease, kept).await.map_err(Fault::from)?;
        all += taken;
        if !was_full(taken) {
            break;
        }
        if lease.is_due() {
            lease.renew().await?;
        }
    }
    lease.release().await?;
    Ok(all)
}

/// Until `stop`.
pub(crate) async fn run(database: &Database, kept: SignedDuration, stop: CancellationToken) -> JobResult {
    let mut forgotten = tokio::time::Instant::now();
    loop {
        by_hand(database, kept).await?;
        if forgotten.elapsed() >= FORGET_EVERY {
            forgotten = tokio::time::Instant::now();
            quotas::forget(database).await?;
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}
