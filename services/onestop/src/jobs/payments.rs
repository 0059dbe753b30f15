//! Follows payments at integration; under a lease, so that of many processes one asks.

use std::sync::Arc;
use std::time::Duration;

use egov_fault::Fault;
use egov_runtime::server::{Assembly, Job, JobResult};
use tokio_util::sync::CancellationToken;

use super::give_back;
use crate::error::Error;
use crate::operations::OneStop;

/// Time between two looks.
const EVERY: Duration = Duration::from_millis(500);
/// How long integration is left alone while it is away.
const PAUSE: Duration = Duration::from_secs(2);
const LEASE: &str = "onestop.payments";
const LEASE_TIME: Duration = Duration::from_mins(2);

/// Adds the job, if there is a platform.
pub(crate) fn add(assembly: Assembly, one_stop: Arc<OneStop>) -> Assembly {
    if !one_stop.payments.is_connected() {
        return assembly;
    }
    assembly.job(Job::new("onestop.payments", move |stop| {
        let one_stop = Arc::clone(&one_stop);
        async move { run(&one_stop, stop).await }
    }))
}

async fn run(one_stop: &OneStop, stop: CancellationToken) -> JobResult {
    while !stop.is_cancelled() {
        let pause = match round(one_stop, &stop).await.map_err(Fault::from) {
            Ok(false) => EVERY,
            Ok(true) => PAUSE,
            Err(fault) => {
                tracing::warn!(reason = fault.reason(), error = ?fault, "payments are not followed");
                PAUSE
            }
        };
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(pause) => {}
        }
    }
    Ok(())
}

/// One round under the lease; true if integration is away. What is given up halfway comes again.
async fn round(one_stop: &OneStop, stop: &CancellationToken) -> Result<bool, Error> {
    if !one_stop.is_payment_due().await? {
        return Ok(false);
    }
    let Some(mut lease) = one_stop.database.acquire_lease(LEASE, LEASE_TIME).await? else {
        return Ok(false);
    };
    let followed = tokio::select! {
        () = stop.cancelled() => Ok((0, false)),
        followed = one_stop.follow_payments(&mut lease) => followed,
    };
    give_back(lease, followed).await.map(|(_, away)| away)
}
