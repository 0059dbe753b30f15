//! The quotas of agreements, shared by all instances of the door: what each takes out of a minute or a day stands in the database.

use async_trait::async_trait;
use egov_auth::RowScope;
use egov_database::Database;
use egov_door::{QuotaLedger, Refusal, Span, Window, refusal};
use egov_fault::Fault;
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::error::Error;
use crate::store;
use crate::store::quota_leases::LeaseKey;

/// How long windows are remembered: longer than a day, so that none is forgotten while it lasts.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(72);

/// How many windows are forgotten at once.
const AT_ONCE: i64 = 5_000;

/// The ledger of quotas in the service's database.
#[derive(Clone, Debug)]
pub struct Leases(Database);

impl Leases {
    /// In this database.
    pub const fn new(database: Database) -> Self {
        Self(database)
    }
}

#[async_trait]
impl QuotaLedger for Leases {
    async fn lease(&self, agreement: Uuid, window: Window, limit: u32, wanted: u32) -> Result<u32, Fault> {
        let number = |count: u32| i32::try_from(count).unwrap_or(i32::MAX);
        let key = LeaseKey {
            agreement_id: agreement,
            span: match window.span {
                Span::Minute => "minute",
                Span::Day => "day",
            },
            start: Timestamp::from_second(window.start).map_err(Fault::internal)?,
        };
        let leased = self
            .0
            .write_unkeyed(&RowScope::everything(), async |unit| {
                let taken = store::quota_leases::take(unit.conn(), key, number(limit), number(wanted)).await?;
                Ok::<_, Error>(taken)
            })
            .await;
        match leased {
            Ok(leased) => Ok(u32::try_from(leased).unwrap_or_default()),
            Err(error) => {
                // What cannot be counted is not let through: nor could it be recorded.
                tracing::warn!(error = ?Fault::from(error), "a quota cannot be leased");
                Err(refusal(Refusal::ExchangeNotRecorded))
            }
        }
    }
}

/// Forgets windows that are long over.
pub(crate) async fn forget(database: &Database) -> Result<(), Fault> {
    let before = database.clock().now().checked_sub(REMEMBERED).unwrap_or(Timestamp::MIN);
    let forgotten = database
        .write_unkeyed(&RowScope::everything(), async |unit| {
            let gone = store::quota_leases::forget(unit.conn(), before, AT_ONCE).await?;
            Ok::<_, Error>(gone)
        })
        .await;
    forgotten.map(drop).map_err(Fault::from)
}
