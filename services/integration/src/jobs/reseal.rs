//! Has what versions before sealed sealed anew, once, under a lease.

use std::sync::Arc;
use std::time::Duration;

use egov_database::{Database, Lease};
use egov_fault::Fault;
use egov_keyring::Keyring;
use tokio_util::sync::CancellationToken;

use crate::operations::reseal::step;
use crate::store::resealing::Kept;

const LEASE: &str = "integration.reseal";
const LEASE_TIME: Duration = Duration::from_secs(30);

/// How long it waits before it looks again, after a failure or because another process is at it.
const AGAIN: Duration = Duration::from_mins(1);

/// Until all is done, or `stop`.
pub(crate) async fn run(database: &Database, keyring: &Arc<Keyring>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let done = match database.acquire_lease(LEASE, LEASE_TIME).await {
            Ok(Some(lease)) => while_held(database, keyring, lease, &stop).await,
            Ok(None) => Ok(false),
            Err(fault) => Err(fault),
        };
        match done {
            Ok(true) => break,
            Ok(false) => {}
            Err(fault) => {
                tracing::warn!(reason = fault.reason(), error = ?fault, "what is kept sealed waits to be sealed anew");
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(AGAIN) => {}
        }
    }
    // A job that ends by itself would end the process.
    stop.cancelled().await;
}

/// Everything, now, if the lease can be had: how many texts were sealed anew, and how many no key opens any more.
///
/// # Errors
/// The database's; what was done until then stays done.
pub async fn reseal_once(database: &Database, keyring: &Keyring) -> Result<(i64, i64), Fault> {
    let (mut sealed, mut lost) = (0, 0);
    let Some(mut lease) = database.acquire_lease(LEASE, LEASE_TIME).await? else {
        return Ok((0, 0));
    };
    for kept in Kept::ALL {
        loop {
            if lease.is_due() {
                lease.renew().await?;
            }
            let progress = step(database, keyring, &lease, kept).await.map_err(Fault::from)?;
            if progress.finished {
                (sealed, lost) = (sealed + progress.sealed, lost + progress.lost);
                break;
            }
        }
    }
    lease.release().await?;
    Ok((sealed, lost))
}

/// Whether all is done.
async fn while_held(
    database: &Database,
    keyring: &Keyring,
    mut lease: Lease,
    stop: &CancellationToken,
) -> Result<bool, Fault> {
    for kept in Kept::ALL {
        loop {
            if stop.is_cancelled() {
                lease.release().await?;
                return Ok(false);
            }
            if lease.is_due() {
                lease.renew().await?;
            }
            let progress = step(database, keyring, &lease, kept).await.map_err(Fault::from)?;
            if progress.finished {
                if progress.sealed + progress.lost > 0 {
                    let (sealed, lost) = (progress.sealed, progress.lost);
                    tracing::info!(kept = kept.name(), sealed, lost, "sealed anew with the key of bodies");
                }
                break;
            }
        }
    }
    lease.release().await?;
    Ok(true)
}
