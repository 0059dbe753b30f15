//! Makes up for what the version before leaves out while both run: on which day a refund was made, of which day a reconciliation was the
//! last, and which words a case is found by, also where it was received. Once at the start of each process, and then now and again: that
//! version may end after the last process of this one has begun.

use std::time::Duration;

use egov_database::{Database, UnitOfWork};
use egov_runtime::server::JobResult;
use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;

use super::give_back;
use crate::error::Error;
use crate::store::{case_search, charges, reconciliations};

/// Time between two looks.
const EVERY: Duration = Duration::from_hours(1);
const LEASE: &str = "onestop.version-before";
const LEASE_TIME: Duration = Duration::from_mins(1);

/// Two versions run beside one another for a shorter time. What was done before both did is filled in by the migrations.
const BESIDE: SignedDuration = SignedDuration::from_hours(24 * 30);

pub(super) async fn run(database: &Database, stop: CancellationToken) -> JobResult {
    loop {
        match round(database).await {
            Ok(Some(made_up)) if made_up > 0 => {
                tracing::info!(rows = made_up, "what the version before left out was made up for");
            }
            Ok(_) => {}
            Err(error) => return Err(egov_fault::Fault::from(error).into()),
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

/// One round under the lease: how many days, refunds and words were noted. None if another process holds it.
pub(crate) async fn round(database: &Database) -> Result<Option<u64>, Error> {
    let Some(lease) = database.acquire_lease(LEASE, LEASE_TIME).await? else {
        return Ok(None);
    };
    let made_up = database
        .work(&lease, async |unit: &mut UnitOfWork<'_>| {
            let since = unit.now().checked_sub(BESIDE).unwrap_or(Timestamp::MIN);
            let refunds = charges::date_refunds(unit.conn()).await?;
            let days = reconciliations::note_unnoted(unit.conn(), since).await?;
            let words = case_search::keep_words_beside(unit.conn()).await?;
            let received = case_search::keep_unkept_at_reception(unit.conn()).await?;
            let noted = [days, words, received]
                .into_iter()
                .map(i64::unsigned_abs)
                .fold(0, u64::saturating_add);
            Ok::<_, Error>(refunds.saturating_add(noted))
        })
        .await;
    give_back(lease, made_up).await.map(Some)
}
