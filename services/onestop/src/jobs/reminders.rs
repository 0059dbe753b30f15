//! Gives the notices about due dates that are to be given.

use std::sync::Arc;
use std::time::Duration;

use egov_clock::{Clock as _, SharedClock};
use egov_database::Database;
use egov_fault::Fault;
use egov_runtime::server::{Assembly, Job, JobResult};
use tokio_util::sync::CancellationToken;

use super::give_back;
use crate::error::Error;
use crate::operations::OneStop;
use crate::operations::remind::{is_anything_due, remind_once};

/// Time between two looks.
const EVERY: Duration = Duration::from_secs(5);
const LEASE: &str = "onestop.reminders";
const LEASE_TIME: Duration = Duration::from_mins(1);

/// Notices of one transaction.
pub(crate) const BATCH: i64 = 100;

/// Adds the job.
pub(crate) fn add(assembly: Assembly, one_stop: Arc<OneStop>) -> Assembly {
    assembly.job(Job::new("onestop.reminders", move |stop| {
        let one_stop = Arc::clone(&one_stop);
        async move { run(&one_stop, stop).await }
    }))
}

async fn run(one_stop: &OneStop, stop: CancellationToken) -> JobResult {
    while !stop.is_cancelled() {
        let given = round(&one_stop.database, &one_stop.clock, BATCH, || stop.is_cancelled()).await;
        if let Some(given) = given.map_err(Fault::from)?.filter(|given| *given > 0) {
            tracing::info!(notices = given, "notices about due dates were given");
        }
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
    Ok(())
}

/// One round under the lease, in batches: how many notices were given. None if another process holds it; without anything to do the
/// lease is not even asked for.
pub(crate) async fn round(
    database: &Database,
    clock: &SharedClock,
    batch: i64,
    stop: impl Fn() -> bool,
) -> Result<Option<usize>, Error> {
    if !is_anything_due(database, clock.now()).await? {
        return Ok(Some(0));
    }
    let Some(mut lease) = database.acquire_lease(LEASE, LEASE_TIME).await? else {
        return Ok(None);
    };
    let reminded = async {
        let mut all = 0;
        while !stop() {
            let (looked_at, given) = remind_once(database, &lease, batch).await?;
            if looked_at == 0 {
                break;
            }
            all += given;
            if lease.is_due() {
                lease.renew().await?;
            }
        }
        Ok(all)
    }
    .await;
    give_back(lease, reminded).await.map(Some)
}
