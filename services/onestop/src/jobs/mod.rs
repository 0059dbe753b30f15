//! Background work, each under a lease or harmless to do twice.

pub(crate) mod deadlines;
pub(crate) mod linked;
pub(crate) mod migrations;
pub(crate) mod payments;
pub(crate) mod reminders;
mod statistics;
pub(crate) mod units;
pub(crate) mod version_before;

use std::sync::Arc;
use std::time::Duration;

use egov_auth::RowScope;
use egov_clock::SharedClock;
use egov_database::{Database, Lease, Relay, UnitOfWork};
use egov_directory::Directory;
use egov_files::FileStore;
use egov_runtime::server::{Assembly, Job};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::domain::lookup::MEMORY;
use crate::error::Error;
use crate::operations::OneStop;
use crate::operations::migrate_cases::Means;
use crate::store;

/// Time between two looks for abandoned uploads.
const SWEEP_EVERY: Duration = Duration::from_hours(1);

/// An upload that was begun longer ago is abandoned.
const ABANDONED_AFTER: SignedDuration = SignedDuration::from_hours(24 * 7);

/// Adds the jobs of this service.
pub(crate) fn add(
    assembly: Assembly,
    database: Database,
    directory: Arc<Directory>,
    files: Arc<dyn FileStore>,
    clock: SharedClock,
) -> Assembly {
    let relaying = database.clone();
    let sweeping = database.clone();
    let folding = database.clone();
    let making_up = database.clone();
    let following = (database.clone(), directory, clock.clone());
    assembly
        .job(Job::new("onestop.units", move |stop| {
            let (database, directory, clock) = following.clone();
            async move { units::run(&database, &directory, &clock, stop).await }
        }))
        .job(Job::new("onestop.statistics", move |stop| {
            let database = folding.clone();
            async move { statistics::run(&database, stop).await }
        }))
        .job(Job::new("onestop.version-before", move |stop| {
            let database = making_up.clone();
            async move { version_before::run(&database, stop).await }
        }))
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
        .job(Job::new("onestop.sweep", move |stop| {
            let (files, clock, database) = (Arc::clone(&files), clock.clone(), sweeping.clone());
            async move {
                loop {
                    // Sweeping twice at once is harmless: the second finds nothing.
                    let before = clock.now().checked_sub(ABANDONED_AFTER)?;
                    let swept = files.sweep(before).await?;
                    for upload in &swept {
                        // Unless it was recorded, nobody can reach what it became: a process was killed in between.
                        let orphan = forget(&database, upload.upload).await?;
                        if let Some(key) = upload.became.filter(|_| orphan) {
                            files.delete(&key).await?;
                        }
                    }
                    if !swept.is_empty() {
                        tracing::info!(uploads = swept.len(), "abandoned uploads swept");
                    }
                    forget_attempts(&database, clock.now().checked_sub(MEMORY)?).await?;
                    tokio::select! {
                        () = stop.cancelled() => return Ok(()),
                        () = tokio::time::sleep(SWEEP_EVERY) => {}
                    }
                }
            }
        }))
}

/// Adds the job that lets running cases go over to another version.
pub(crate) fn add_migrations(assembly: Assembly, one_stop: Arc<OneStop>) -> Assembly {
    assembly.job(Job::new("onestop.migrations", move |stop| {
        let one_stop = Arc::clone(&one_stop);
        async move {
            let means = Means {
                law: &one_stop.law,
                procedures: &one_stop.procedures,
                profile: one_stop.profile,
            };
            migrations::run(&one_stop.database, &means, stop).await
        }
    }))
}

/// Gives a lease back whatever became of the work under it: nobody shall wait until it runs out because something failed. The work's own
/// error is told before that of giving back.
async fn give_back<T>(lease: Lease, done: Result<T, Error>) -> Result<T, Error> {
    let released = lease.release().await;
    let done = done?;
    released?;
    Ok(done)
}

/// Forgets a swept upload; true if its content is nobody's.
async fn forget(database: &Database, upload_id: Uuid) -> Result<bool, Error> {
    database
        .write_unkeyed(&RowScope::everything(), async |unit: &mut UnitOfWork<'_>| {
            Ok::<_, Error>(store::files::forget_unfinished(unit.conn(), upload_id).await?)
        })
        .await
}

/// Forgets wrong secrets that are too old to count.
async fn forget_attempts(database: &Database, before: Timestamp) -> Result<u64, Error> {
    database
        .write_unkeyed(&RowScope::everything(), async |unit: &mut UnitOfWork<'_>| {
            Ok::<_, Error>(store::lookups::purge(unit.conn(), before).await?)
        })
        .await
}
