//! Says that this instance of the door lives, and ends what no instance will end any more: an exchange whose instance is gone, or
//! that is older than any call can be, gets the outcome "unknown" with its leaf. Deletes bodies whose time is over.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use egov_auth::RowScope;
use egov_database::{Database, Lease};
use egov_door::Door;
use egov_fault::Fault;
use egov_runtime::server::JobResult;
use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::domain::exchange::{End, Outcome};
use crate::error::Error;
use crate::journal::write;
use crate::store::exchanges;

const LEASE: &str = "integration.exchanges";
const LEASE_TIME: Duration = Duration::from_secs(30);

/// How often an instance says that it lives, and the sweep looks.
const EVERY: Duration = Duration::from_secs(5);

/// An instance that was not heard of for this long is gone.
const DEAD_AFTER: SignedDuration = SignedDuration::from_secs(30);

/// Older than the longest stream and its record.
const TOO_OLD: SignedDuration = SignedDuration::from_mins(75);

/// The most exchanges or bodies in one transaction.
const MOST: i64 = 500;

/// One sign of life of an instance.
pub(crate) async fn live(database: &Database, instance: Uuid) -> Result<(), Error> {
    database
        .write_unkeyed(&RowScope::everything(), async |unit| {
            let now = unit.now();
            exchanges::seen(unit.conn(), instance, now).await?;
            Ok::<_, Error>(())
        })
        .await
}

/// One round; how many exchanges were ended, and how many bodies deleted.
pub(crate) async fn sweep_once(database: &Database, lease: &Lease) -> Result<(usize, u64), Error> {
    database
        .work(lease, async |unit| {
            let now: Timestamp = unit.now();
            let before = |age: SignedDuration| now.checked_sub(age).unwrap_or(Timestamp::MIN);
            let open = exchanges::left_open(unit.conn(), before(DEAD_AFTER), before(TOO_OLD), MOST).await?;
            let nothing = digest(&SHA256, &[]);
            let nothing: [u8; 32] = nothing.as_ref().try_into().unwrap_or([0; 32]);
            let ended: Vec<End> = open
                .into_iter()
                .map(|exchange| End {
                    exchange,
                    outcome: Outcome::unknown(nothing, now),
                    promised: None,
                })
                .collect();
            write(unit, &[], &ended, &[]).await?;
            let bodies = exchanges::delete_bodies(unit.conn(), now, MOST).await?;
            if ended.is_empty() {
                exchanges::forget_instances(unit.conn(), before(TOO_OLD)).await?;
            }
            Ok::<_, Error>((ended.len(), bodies))
        })
        .await
}

/// One round under the lease, if it can be had.
pub(crate) async fn by_hand(database: &Database) -> Result<usize, Fault> {
    match database.acquire_lease(LEASE, LEASE_TIME).await? {
        None => Ok(0),
        Some(lease) => {
            let (ended, _) = sweep_once(database, &lease).await.map_err(Fault::from)?;
            lease.release().await?;
            Ok(ended)
        }
    }
}

/// Says that this instance lives, until `stop`; apart from the sweep, so that nothing that ails one makes the other look dead.
pub(crate) async fn keep_alive(database: &Database, instance: Uuid, stop: CancellationToken) -> JobResult {
    loop {
        live(database, instance).await.map_err(Fault::from)?;
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

/// Until `stop`.
pub(crate) async fn run(database: &Database, door: &Door, stop: CancellationToken) -> JobResult {
    loop {
        door.sweep();
        if let Some(lease) = database.acquire_lease(LEASE, LEASE_TIME).await? {
            loop {
                let (ended, bodies) = sweep_once(database, &lease).await.map_err(Fault::from)?;
                if ended > 0 {
                    tracing::warn!(
                        exchanges = ended,
                        "exchanges whose end nobody saw are recorded as unknown"
                    );
                }
                let full = ended >= usize::try_from(MOST).unwrap_or(usize::MAX) || bodies >= MOST.unsigned_abs();
                if !full || stop.is_cancelled() {
                    break;
                }
            }
            lease.release().await?;
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}
