//! Sends what was handed in for partners, and asks about what is not known.

use std::time::Duration;

use egov_fault::Fault;
use egov_runtime::server::JobResult;
use tokio_util::sync::CancellationToken;

use crate::operations::partners::{Round, Shared};

/// Time between two looks while nothing is handed in by this process.
const EVERY: Duration = Duration::from_secs(1);

/// The least time between two looks: whatever happens in this service wakes the job, not only what is for partners.
const PAUSE: Duration = Duration::from_millis(100);

pub(crate) async fn run(partners: Shared, stop: CancellationToken) -> JobResult {
    while !stop.is_cancelled() {
        // A round that is given up in the middle leaves deliveries that are asked about later.
        let round = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            round = partners.round() => round.map_err(Fault::from)?,
        };
        if let Some(Round { stuck, .. }) = round.filter(|round| round.stuck > 0) {
            tracing::warn!(deliveries = stuck, "deliveries to partners failed or were given up");
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(PAUSE) => {}
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = partners.database.wait_for_events(EVERY) => {}
        }
    }
    Ok(())
}
