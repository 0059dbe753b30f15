//! Applies reorganisations on their day, and lets staff, roles and systems follow.

use std::time::Duration;

use egov_database::Lease;
use egov_fault::Fault;
use egov_runtime::server::JobResult;
use tokio_util::sync::CancellationToken;

use crate::identity::Identity;
use crate::operations::apply_reorganisations::{apply_next, follow_once};
use crate::store;

const EVERY: Duration = Duration::from_secs(5);
pub(crate) const LEASE: &str = "identity.reorganise";
pub(crate) const LEASE_TIME: Duration = Duration::from_mins(1);

pub(super) async fn run(identity: &Identity, stop: CancellationToken) -> JobResult {
    loop {
        if let Some(mut lease) = identity.database.acquire_lease(LEASE, LEASE_TIME).await? {
            reorganise(identity, &mut lease, || stop.is_cancelled()).await?;
            lease.release().await?;
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

/// One round; how many reorganisations had their day, and how many accounts and systems followed.
pub(crate) async fn reorganise(
    identity: &Identity,
    lease: &mut Lease,
    stop: impl Fn() -> bool,
) -> Result<(usize, usize), Fault> {
    let (mut applied, mut followed) = (0, 0);
    while !stop() && apply_next(identity, lease).await? {
        applied += 1;
        if lease.is_due() {
            lease.renew().await?;
        }
    }
    while !stop() {
        let batch = follow_once(identity, lease).await?;
        if batch == 0 {
            break;
        }
        followed += batch;
        if lease.is_due() {
            lease.renew().await?;
        }
    }
    if applied > 0 || followed > 0 {
        identity.spread().await;
        let left = identity
            .database
            .read(&egov_auth::RowScope::everything(), async |conn| {
                store::reorganisations::accounts_left(conn).await
            })
            .await?;
        tracing::info!(applied, followed, "staff and systems followed a reorganisation");
        if left > 0 {
            tracing::warn!(
                accounts = left,
                "accounts belong to units that closed without a designated successor"
            );
        }
    }
    Ok((applied, followed))
}
