//! Lets running cases go over to another version of their procedure, where somebody started a migration.

use std::time::Duration;

use egov_database::Database;
use egov_runtime::server::JobResult;
use tokio_util::sync::CancellationToken;

use super::give_back;
use crate::error::Error;
use crate::operations::migrate_cases::{Means, migrate_once, running};

/// Time between two looks for migrations.
const EVERY: Duration = Duration::from_secs(5);
const LEASE: &str = "onestop.migrations";
const LEASE_TIME: Duration = Duration::from_mins(1);

/// Cases of one transaction.
pub(crate) const BATCH: i64 = 50;

pub(super) async fn run(database: &Database, means: &Means<'_>, stop: CancellationToken) -> JobResult {
    loop {
        match round(database, means, BATCH, || stop.is_cancelled()).await {
            Ok(Some(cases)) if cases > 0 => tracing::info!(cases, "running cases were looked at for another version"),
            Ok(_) => {}
            Err(error) => return Err(egov_fault::Fault::from(error).into()),
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

/// One round under the lease, in batches: how many cases were looked at; none if another process holds it.
pub(crate) async fn round(
    database: &Database,
    means: &Means<'_>,
    batch: i64,
    stop: impl Fn() -> bool,
) -> Result<Option<usize>, Error> {
    let waiting = running(database).await?;
    if waiting.is_empty() {
        return Ok(Some(0));
    }
    let Some(mut lease) = database.acquire_lease(LEASE, LEASE_TIME).await? else {
        return Ok(None);
    };
    let migrated = async {
        let mut looked_at = 0;
        for migration in waiting {
            while !stop() {
                let (cases, finished) = migrate_once(database, &lease, means, migration, batch).await?;
                looked_at += cases;
                if finished {
                    break;
                }
                if lease.is_due() {
                    lease.renew().await?;
                }
            }
        }
        Ok(looked_at)
    }
    .await;
    give_back(lease, migrated).await.map(Some)
}
