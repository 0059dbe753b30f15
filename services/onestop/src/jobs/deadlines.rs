//! Takes up what was imported, and works the due dates of open cases out again when the calendar has changed.

use std::sync::Arc;
use std::time::Duration;

use egov_database::Database;
use egov_fault::Fault;
use egov_runtime::server::{Assembly, Job, JobResult};
use tokio_util::sync::CancellationToken;

use super::give_back;
use crate::domain::pack::Profile;
use crate::error::Error;
use crate::law::{Law, LawError};
use crate::operations::recalculate_deadlines::{Recalculated, is_anything_left, recalculate_once};
use crate::operations::{KnownProcedures, OneStop};

/// Time between two looks at what was imported.
const EVERY: Duration = Duration::from_secs(2);
const LEASE: &str = "onestop.deadlines";
const LEASE_TIME: Duration = Duration::from_mins(1);

/// Cases of one transaction.
pub(crate) const BATCH: i64 = 100;

/// Adds the job.
pub(crate) fn add(assembly: Assembly, one_stop: Arc<OneStop>) -> Assembly {
    assembly.job(Job::new("onestop.deadlines", move |stop| {
        let one_stop = Arc::clone(&one_stop);
        async move { run(&one_stop, stop).await }
    }))
}

async fn run(one_stop: &OneStop, stop: CancellationToken) -> JobResult {
    let moved = opentelemetry::global::meter("egov")
        .u64_counter("egov.onestop.deadlines.moved")
        .with_description("Due dates of open cases that moved because the calendar changed")
        .build();
    while !stop.is_cancelled() {
        match one_stop.law.refresh(&one_stop.database).await {
            Ok(true) => tracing::info!(
                calendar = one_stop.law.get().calendar.version(),
                "the law that was imported is in force"
            ),
            Ok(false) => {}
            // What cannot be read is told, and the law that is known goes on: no case waits for a broken file.
            Err(LawError::Store(error)) => return Err(Fault::from(error).into()),
            Err(error) => tracing::error!(%error, "what was imported cannot be read; the law that was known goes on"),
        }
        let law = one_stop.law.get();
        let done = round(&one_stop.database, &law, one_stop.profile, BATCH, || {
            stop.is_cancelled()
        })
        .await;
        if let Some(done) = done.map_err(Fault::from)?
            && done.looked_at > 0
        {
            moved.add(done.moved, &[]);
            tracing::info!(
                cases = done.looked_at,
                moved = done.moved,
                kept = done.kept,
                "open cases were worked out with the calendar in force"
            );
        }
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
    Ok(())
}

/// One round under the lease, in batches; none if another process holds it. Without anything to do the lease is not even asked for.
pub(crate) async fn round(
    database: &Database,
    law: &Law,
    profile: Profile,
    batch: i64,
    stop: impl Fn() -> bool,
) -> Result<Option<Recalculated>, Error> {
    if !is_anything_left(database, law).await? {
        return Ok(Some(Recalculated::default()));
    }
    let Some(mut lease) = database.acquire_lease(LEASE, LEASE_TIME).await? else {
        return Ok(None);
    };
    let known = KnownProcedures::new();
    let recalculated = async {
        let mut all = Recalculated::default();
        while !stop() {
            let done = recalculate_once(database, &lease, law, &known, profile, batch).await?;
            if done.looked_at == 0 {
                break;
            }
            all.add(done);
            if lease.is_due() {
                lease.renew().await?;
            }
        }
        Ok(all)
    }
    .await;
    give_back(lease, recalculated).await.map(Some)
}
