//! Says in the history that agreements have ended by their dates.

use std::sync::Arc;
use std::time::Duration;

use egov_database::Database;
use egov_fault::Fault;
use tokio_util::sync::CancellationToken;

use crate::operations::Integration;
use crate::operations::agencies::Agencies;

const LEASE: Duration = Duration::from_mins(1);
const EVERY: Duration = Duration::from_secs(30);

/// Looks until it is told to stop. What fails is tried again in the next round.
pub(super) async fn run(service: &Integration, stop: CancellationToken) {
    while !stop.is_cancelled() {
        if let Err(fault) = round(service).await {
            tracing::warn!(error = ?fault, "agreements that have ended could not be marked");
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

/// Marks the agreements whose last day is over, under the lease of that job; how many. For the operator; the running
/// service does it by itself.
///
/// # Errors
/// The store's.
pub async fn expire_once(database: &Database) -> Result<usize, Fault> {
    let service = Integration {
        database: database.clone(),
        agencies: Agencies::default(),
        endpoints: Arc::default(),
    };
    round(&service).await
}

async fn round(service: &Integration) -> Result<usize, Fault> {
    let Some(lease) = service.database.acquire_lease("integration.expiry", LEASE).await? else {
        return Ok(0);
    };
    let ended = service.expire_agreements(&lease).await;
    lease.release().await?;
    ended.map_err(Fault::from)
}
