//! Forgets what nobody needs any more: challenges, sign-ins at issuers that ran out, ended sessions, used assertions, old counts, revocations of tokens that
//! have ended, activation codes that have run out. The record of sign-ins stays.

use std::time::Duration;

use egov_database::Lease;
use egov_fault::Fault;
use egov_runtime::server::JobResult;
use jiff::SignedDuration;
use tokio_util::sync::CancellationToken;

use crate::identity::Identity;
use crate::store;

const EVERY: Duration = Duration::from_mins(10);
const LEASE_TIME: Duration = Duration::from_mins(2);

/// Sessions are kept this long after their end, so that a refresh token that turns up late still raises its alarm.
const SESSIONS_KEPT: SignedDuration = SignedDuration::from_hours(24);

pub(super) async fn run(identity: &Identity, stop: CancellationToken) -> JobResult {
    loop {
        if let Some(lease) = identity.database.acquire_lease("identity.purge", LEASE_TIME).await? {
            let forgotten = purge_once(identity, &lease).await?;
            lease.release().await?;
            if forgotten > 0 {
                tracing::debug!(rows = forgotten, "forgot what nobody needs any more");
            }
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

/// One round; how many rows it removed.
pub(crate) async fn purge_once(identity: &Identity, lease: &Lease) -> Result<u64, Fault> {
    identity
        .database
        .work(lease, async |write| {
            let now = write.now();
            let before = |age: SignedDuration| now.checked_sub(age).unwrap_or(now);
            let sessions = store::sessions::purge(write.conn(), before(SESSIONS_KEPT)).await?;
            let assertions = store::systems::purge_assertions(write.conn(), now).await?;
            let old = before(identity.lockout.forget_after);
            let attempts = store::attempts::purge(write.conn(), old, now).await?;
            let revocations = store::revocations::purge(write.conn(), now).await?;
            let activations = store::activations::purge(write.conn(), now).await?;
            let federated = store::federation::purge(write.conn(), now).await?;
            Ok(sessions + assertions + attempts + revocations + activations + federated)
        })
        .await
}
