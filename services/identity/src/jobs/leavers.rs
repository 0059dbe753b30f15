//! Closes the accounts of people whose last day is over, within half a minute of midnight in Việt Nam.

use std::time::Duration;

use egov_runtime::server::JobResult;
use tokio_util::sync::CancellationToken;

use crate::identity::Identity;
use crate::operations::disable_accounts::close_leavers;

const EVERY: Duration = Duration::from_secs(30);
const LEASE_TIME: Duration = Duration::from_mins(2);

pub(super) async fn run(identity: &Identity, stop: CancellationToken) -> JobResult {
    loop {
        if let Some(mut lease) = identity.database.acquire_lease("identity.leavers", LEASE_TIME).await? {
            let mut closed = 0;
            loop {
                let batch = close_leavers(identity, &lease).await?;
                closed += batch;
                if batch == 0 || stop.is_cancelled() {
                    break;
                }
                if lease.is_due() {
                    lease.renew().await?;
                }
            }
            lease.release().await?;
            if closed > 0 {
                tracing::info!(accounts = closed, "accounts of leavers are closed");
            }
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}
