//! Seals columns anew after the keyring's key for columns was rotated, so that the old key can retire: secrets of one-time
//! codes, personal numbers, secrets of clients at issuers, and the key of digests.

use std::time::Duration;

use egov_database::Lease;
use egov_fault::Fault;
use egov_runtime::server::JobResult;
use tokio_util::sync::CancellationToken;

use crate::identity::Identity;
use crate::operations::{citizens, issuers, verify_totp};
use crate::store;

const EVERY: Duration = Duration::from_mins(10);
const LEASE_TIME: Duration = Duration::from_mins(2);

/// Rows of one transaction.
const BATCH: i64 = 200;

pub(super) async fn run(identity: &Identity, stop: CancellationToken) -> JobResult {
    loop {
        if let Some(mut lease) = identity.database.acquire_lease("identity.reseal", LEASE_TIME).await? {
            let mut sealed = 0;
            loop {
                let batch = reseal_once(identity, &lease).await?;
                sealed += batch;
                if batch == 0 || stop.is_cancelled() {
                    break;
                }
                if lease.is_due() {
                    lease.renew().await?;
                }
            }
            lease.release().await?;
            if sealed > 0 {
                tracing::info!(rows = sealed, "columns are sealed with the present key");
            }
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

/// One batch; how many rows were sealed anew.
pub(crate) async fn reseal_once(identity: &Identity, lease: &Lease) -> Result<usize, Fault> {
    let sealer = identity.sealer();
    let key_id = sealer.key_id();
    identity
        .database
        .work(lease, async |write| {
            let mut done = 0;
            for (purpose, old) in store::keys::sealed_otherwise(write.conn(), &key_id).await? {
                let plain = sealer.open(&old, purpose.as_bytes())?;
                let (new, new_key) = sealer.seal(&plain, purpose.as_bytes());
                store::keys::set_sealed(write.conn(), &purpose, &new, &new_key).await?;
                done += 1;
            }
            let secrets = store::credentials::sealed_otherwise(write.conn(), &key_id, BATCH).await?;
            for (account_id, old) in secrets {
                let place = verify_totp::sealed_for(account_id);
                let (new, new_key) = sealer.seal(&sealer.open(&old, &place)?, &place);
                store::credentials::set_sealed(write.conn(), account_id, &new, &new_key).await?;
                done += 1;
            }
            let waiting = store::activations::sealed_otherwise(write.conn(), &key_id, BATCH).await?;
            for (account_id, old) in waiting {
                let place = verify_totp::sealed_for(account_id);
                let (new, new_key) = sealer.seal(&sealer.open(&old, &place)?, &place);
                store::activations::set_sealed(write.conn(), account_id, &new, &new_key).await?;
                done += 1;
            }
            let clients = store::federation::sealed_otherwise(write.conn(), &key_id, BATCH).await?;
            for (issuer_id, old) in clients {
                let place = issuers::sealed_for(issuer_id);
                let (new, new_key) = sealer.seal(&sealer.open(&old, &place)?, &place);
                store::federation::set_sealed(write.conn(), issuer_id, &new, &new_key).await?;
                done += 1;
            }
            let numbers = store::citizens::sealed_otherwise(write.conn(), &key_id, BATCH).await?;
            for (citizen_id, old) in numbers {
                let place = citizens::sealed_for(citizen_id);
                let (new, new_key) = sealer.seal(&sealer.open(&old, &place)?, &place);
                store::citizens::set_sealed(write.conn(), citizen_id, &new, &new_key).await?;
                done += 1;
            }
            Ok(done)
        })
        .await
}
