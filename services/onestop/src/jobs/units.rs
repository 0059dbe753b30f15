//! Lets open cases follow a unit that closed to its designated successor.

use std::time::{Duration, Instant};

use egov_clock::{Clock as _, SharedClock};
use egov_database::Database;
use egov_directory::Directory;
use egov_runtime::server::JobResult;
use tokio_util::sync::CancellationToken;

use super::give_back;
use crate::error::Error;
use crate::operations::follow_units::{Closed, follow_once, left_behind, stranded};

/// Time between two looks at the tree and the day.
const EVERY: Duration = Duration::from_secs(5);

/// While neither changes, cases are looked for this often: one may have been filed by a process that had not heard yet.
const AGAIN: Duration = Duration::from_mins(5);
const LEASE: &str = "onestop.units";
const LEASE_TIME: Duration = Duration::from_mins(1);

/// Cases of one transaction.
pub(crate) const BATCH: i64 = 100;

/// What a round did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Round {
    /// Cases that moved.
    pub moved: usize,
    /// Open cases of units that closed without a successor.
    pub stranded: i64,
}

pub(super) async fn run(
    database: &Database,
    directory: &Directory,
    clock: &SharedClock,
    stop: CancellationToken,
) -> JobResult {
    let gauge = opentelemetry::global::meter("egov")
        .i64_gauge("egov.onestop.cases.without_unit")
        .with_description("Open cases whose unit closed without a designated successor")
        .build();
    let mut told = 0;
    let mut settled: Option<(i64, jiff::civil::Date, Instant)> = None;
    loop {
        let (version, today) = (directory.version(), clock.today());
        let fresh = settled.is_some_and(|(known, day, at)| (known, day) == (version, today) && at.elapsed() < AGAIN);
        if fresh {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(EVERY) => continue,
            }
        }
        match round(database, directory, clock, BATCH, || stop.is_cancelled()).await {
            Ok(None) => {}
            Ok(Some(Round { moved, stranded })) => {
                settled = Some((version, today, Instant::now()));
                if moved > 0 {
                    tracing::info!(cases = moved, "cases followed their unit to its successor");
                }
                gauge.record(stranded, &[]);
                if stranded > 0 && stranded != told {
                    tracing::warn!(
                        cases = stranded,
                        "open cases belong to units that closed without a designated successor"
                    );
                }
                told = stranded;
            }
            Err(error) => return Err(egov_fault::Fault::from(error).into()),
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

/// One round under the lease, in batches; none if another process holds it.
pub(crate) async fn round(
    database: &Database,
    directory: &Directory,
    clock: &SharedClock,
    batch: i64,
    stop: impl Fn() -> bool,
) -> Result<Option<Round>, Error> {
    let Some(mut lease) = database.acquire_lease(LEASE, LEASE_TIME).await? else {
        return Ok(None);
    };
    let closed = Closed::by(&directory.units(), clock.today());
    let followed = async {
        let mut moved = 0;
        for unit in left_behind(database, &closed).await? {
            let mut after = None;
            // Once over the open cases of the unit, however many batches it takes.
            while !stop() {
                let (batch, last) = follow_once(database, &lease, &closed, unit, after, batch).await?;
                if last.is_none() {
                    break;
                }
                moved += batch;
                after = last;
                if lease.is_due() {
                    lease.renew().await?;
                }
            }
        }
        let stranded = stranded(database, &closed).await?;
        Ok(Round { moved, stranded })
    }
    .await;
    give_back(lease, followed).await.map(Some)
}
