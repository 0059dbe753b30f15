//! Brings linked applications on: follows the log under a lease.

use std::sync::Arc;
use std::time::Duration;

use egov_database::Lease;
use egov_runtime::server::{Assembly, Job, JobResult};
use tokio_util::sync::CancellationToken;

use super::give_back;
use crate::error::Error;
use crate::operations::OneStop;
use crate::operations::linked::coordinate::{BATCH, FOLLOWER, coordinate_once, is_anything_left, retry_once};

/// Time between two looks at the log.
const EVERY: Duration = Duration::from_secs(1);
const LEASE_TIME: Duration = Duration::from_mins(1);

/// Adds the job.
pub(crate) fn add(assembly: Assembly, one_stop: Arc<OneStop>) -> Assembly {
    assembly.job(Job::new("onestop.linked", move |stop| {
        let one_stop = Arc::clone(&one_stop);
        async move { run(&one_stop, stop).await }
    }))
}

async fn run(one_stop: &OneStop, stop: CancellationToken) -> JobResult {
    while !stop.is_cancelled() {
        let changed = round(one_stop, &|| stop.is_cancelled()).await;
        if let Some(changed) = changed.map_err(egov_fault::Fault::from)?.filter(|changed| *changed > 0) {
            tracing::info!(applications = changed, "linked applications went on");
        }
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
    Ok(())
}

/// One round under the lease: how many applications changed. None if another process holds it; the lease is asked for only where the log
/// has gone on, or an application is to be tried again.
async fn round(one_stop: &OneStop, stop: &(dyn Fn() -> bool + Sync)) -> Result<Option<usize>, Error> {
    let database = &one_stop.database;
    if !is_anything_left(one_stop).await? {
        return Ok(Some(0));
    }
    let Some(mut lease) = database.acquire_lease(FOLLOWER, LEASE_TIME).await? else {
        return Ok(None);
    };
    let changed = under(one_stop, &mut lease, stop).await;
    give_back(lease, changed).await.map(Some)
}

/// Tries again what was set aside, then follows the log to its end, or until `stop`: how many applications changed.
pub(crate) async fn under(
    one_stop: &OneStop,
    lease: &mut Lease,
    stop: &(dyn Fn() -> bool + Sync),
) -> Result<usize, Error> {
    let mut all = retry_once(one_stop, lease, stop).await?;
    while !stop() {
        let (passed, changed) = coordinate_once(one_stop, lease, BATCH, stop).await?;
        all += changed;
        if passed == 0 {
            break;
        }
        if lease.is_due() {
            lease.renew().await?;
        }
    }
    Ok(all)
}
