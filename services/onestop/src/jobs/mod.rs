//! Background work, each under a lease or harmless to do twice.

use std::sync::Arc;
use std::time::Duration;

use egov_auth::RowScope;
use egov_clock::SharedClock;
use egov_database::{Database, Relay};
use egov_files::FileStore;
use egov_runtime::server::{Assembly, Job};
use jiff::SignedDuration;

use crate::error::Error;

/// Time between two looks for abandoned uploads.
const SWEEP_EVERY: Duration = Duration::from_hours(1);

/// An upload that was begun longer ago is abandoned.
const ABANDONED_AFTER: SignedDuration = SignedDuration::from_hours(24 * 7);

/// Adds the jobs of this service.
pub(crate) fn add(assembly: Assembly, database: Database, files: Arc<dyn FileStore>, clock: SharedClock) -> Assembly {
    let relaying = database.clone();
    let sweeping = database.clone();
    assembly
        .job(Job::new("onestop.relay", move |stop| {
            let relay = Relay::new(relaying.clone());
            async move {
                relay.run(stop).await;
                Ok(())
            }
        }))
        .job(Job::new("onestop.request-days", move |stop| {
            let database = database.clone();
            async move {
                database.keep_request_days_until(stop).await;
                Ok(())
            }
        }))
        .job(Job::new("onestop.sweep-uploads", move |stop| {
            let (files, clock, database) = (Arc::clone(&files), clock.clone(), sweeping.clone());
            async move {
                loop {
                    // Sweeping twice at once is harmless: the second finds nothing.
                    let before = clock.now().checked_sub(ABANDONED_AFTER)?;
                    let swept = files.sweep(before).await?;
                    for upload in &swept {
                        // Finished, but the process was killed before it was recorded: nobody can reach it.
                        if let Some(key) = upload.became
                            && !is_recorded(&database, &key.to_string()).await?
                        {
                            files.delete(&key).await?;
                        }
                    }
                    if !swept.is_empty() {
                        tracing::info!(uploads = swept.len(), "abandoned uploads swept");
                    }
                    tokio::select! {
                        () = stop.cancelled() => return Ok(()),
                        () = tokio::time::sleep(SWEEP_EVERY) => {}
                    }
                }
            }
        }))
}

/// Whether a file of the store is known to the database, whoever it belongs to.
async fn is_recorded(database: &Database, store_key: &str) -> Result<bool, Error> {
    database
        .read(&RowScope::everything(), async |connection| {
            Ok::<_, Error>(crate::store::files::is_recorded(connection, store_key).await?)
        })
        .await
}
