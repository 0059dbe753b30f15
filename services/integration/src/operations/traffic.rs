//! SummarizeTraffic, GetAgreementUsage, and the rolling up of what they read.

use egov_auth::Caller;
use egov_database::{Database, Lease};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::permission::READ_TRAFFIC;
use crate::domain::traffic::{About, Dimensions, Grain, Line, Period, coarser};
use crate::error::Error;
use crate::journal::{ExchangeJournal, caught_up};
use crate::store;

/// The most lines of a summary.
const LINES: usize = 2_000;

/// The most rows that are rolled up, and the most old sums of each grain that are deleted, in one transaction.
const MOST: i64 = 2_000;

/// What the reading of traffic works with.
pub(crate) struct TrafficReader {
    pub(crate) database: Database,
    /// Where this process mediates.
    pub(crate) journal: Option<ExchangeJournal>,
}

/// How much of an agreement was used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    /// The version in force, if one is.
    pub(crate) agreement_version: Option<i64>,
    pub(crate) hour: Used,
    pub(crate) day: Used,
}

/// How much of a quota was used since an instant.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Used {
    pub(crate) since: Timestamp,
    pub(crate) calls: i64,
    /// 0 for none.
    pub(crate) quota: i64,
}

impl TrafficReader {
    /// What the traffic that the caller sees sums up to.
    pub(crate) async fn summarise(
        &self,
        caller: &Caller,
        period: Period,
        by: Dimensions,
        about: About,
    ) -> Result<Vec<Line>, Error> {
        let scope = caller.scope(READ_TRAFFIC);
        caught_up(self.journal.as_ref()).await;
        self.database
            .read(&scope, async |conn| {
                store::traffic::summarise(conn, &scope, period, by, about, LINES)
                    .await?
                    .ok_or(Error::SummaryTooLarge)
            })
            .await
    }

    /// How much of the quota of an agreement that the caller sees is used in this hour and today.
    pub(crate) async fn usage(&self, caller: &Caller, agreement_id: Uuid) -> Result<Usage, Error> {
        let now = self.database.clock().now();
        let (hour, day) = (Grain::Hour.start(now), Grain::Day.start(now));
        let scope = caller.scope(READ_TRAFFIC);
        caught_up(self.journal.as_ref()).await;
        let (agreement, (in_hour, in_day)) = self
            .database
            .read(&scope, async |conn| {
                let agreement = store::agreements::get(&mut *conn, agreement_id, &scope)
                    .await?
                    .ok_or(Error::AgreementNotFound)?;
                let calls = store::traffic::calls_since(conn, agreement_id, hour, day).await?;
                Ok::<_, Error>((agreement, calls))
            })
            .await?;
        let in_force = agreement
            .current(now)
            .filter(|version| version.effective.is_some_and(|frame| frame.holds(now)));
        let (per_minute, per_day) = in_force.map_or((0, 0), |version| {
            (version.terms.quota.per_minute, version.terms.quota.per_day)
        });
        Ok(Usage {
            agreement_version: in_force.map(|version| version.number),
            hour: Used {
                since: hour,
                calls: in_hour,
                quota: 60 * i64::from(per_minute),
            },
            day: Used {
                since: day,
                calls: in_day,
                quota: i64::from(per_day),
            },
        })
    }
}

/// Adds what waits to the sums of its hours and days, and deletes sums that are older than `kept`: one transaction, so that whatever
/// happens to this process nothing is lost or counted twice. How many rows were taken.
pub(crate) async fn roll_up(database: &Database, lease: &Lease, kept: SignedDuration) -> Result<usize, Error> {
    database
        .work(lease, async |unit| {
            let before = unit.now().checked_sub(kept).unwrap_or(Timestamp::MIN);
            let (hours, taken) = store::traffic::take(unit.conn(), MOST).await?;
            let days = coarser(&hours, Grain::Day);
            store::traffic::add_to(unit.conn(), Grain::Hour, &hours).await?;
            store::traffic::add_to(unit.conn(), Grain::Day, &days).await?;
            store::traffic::forget(unit.conn(), before, MOST).await?;
            Ok::<_, Error>(taken)
        })
        .await
}

/// Whether a round took as much as it may: there is probably more.
pub(crate) fn was_full(taken: usize) -> bool {
    i64::try_from(taken).is_ok_and(|taken| taken >= MOST)
}
