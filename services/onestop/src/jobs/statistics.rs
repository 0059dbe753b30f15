//! Folds what acts changed in the figures into sums. Figures are right before and after: what is read is both together.

use std::time::Duration;

use egov_database::{Database, Lease, UnitOfWork};
use egov_runtime::server::JobResult;
use tokio_util::sync::CancellationToken;

use super::give_back;
use crate::error::Error;
use crate::store::statistics;

const LEASE: &str = "onestop.statistics";
const LEASE_TIME: Duration = Duration::from_mins(1);

/// Time between two looks.
const EVERY: Duration = Duration::from_secs(2);

/// Changes of one transaction.
const BATCH: i64 = 2_000;

pub(super) async fn run(database: &Database, stop: CancellationToken) -> JobResult {
    loop {
        match round(database, &stop).await {
            Ok(folded) if folded > 0 => tracing::debug!(changes = folded, "changes folded into the figures"),
            Ok(_) => {}
            Err(error) => return Err(egov_fault::Fault::from(error).into()),
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

/// Folds what waits, in batches, under the lease; nothing if another process holds it.
async fn round(database: &Database, stop: &CancellationToken) -> Result<i64, Error> {
    let Some(mut lease) = database.acquire_lease(LEASE, LEASE_TIME).await? else {
        return Ok(0);
    };
    let folded = under(database, &mut lease, stop).await;
    give_back(lease, folded).await
}

async fn under(database: &Database, lease: &mut Lease, stop: &CancellationToken) -> Result<i64, Error> {
    let mut folded = 0;
    while !stop.is_cancelled() {
        let taken = database
            .work(lease, async |unit: &mut UnitOfWork<'_>| {
                Ok::<_, Error>(statistics::fold(unit.conn(), BATCH).await?)
            })
            .await?;
        folded += taken;
        if taken < BATCH {
            break;
        }
        if lease.is_due() {
            lease.renew().await?;
        }
    }
    Ok(folded)
}
