//! Reads the keyring again, once a minute: takes up what other processes rotated, drops what has retired, and takes out what was
//! withdrawn and came back with a backup.

use std::time::Duration;

use egov_runtime::server::JobResult;
use tokio_util::sync::CancellationToken;

use crate::identity::Identity;
use crate::operations::keys::keep_withdrawn;

const EVERY: Duration = Duration::from_mins(1);

pub(super) async fn run(identity: &Identity, stop: CancellationToken) -> JobResult {
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(EVERY) => {}
        }
        let keyring = egov_keyring::Keyring::clone(&identity.keyring);
        let clock = egov_clock::SharedClock::clone(&identity.clock);
        tokio::task::spawn_blocking(move || keyring.reload(&clock)).await??;
        // A key that another process made is seen now, and not only at the next sign-in by an issuer: its time of being
        // published before it signs begins.
        identity.client_keys.at(identity.clock.now());
        keep_withdrawn(&identity.database, &identity.keyring, &identity.clock).await?;
    }
}
