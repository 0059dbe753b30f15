//! Works all figures out anew from what is stored of the cases: after an upgrade over cases that the version before handled, or
//! where the verification names a difference.

use egov_auth::RowScope;
use egov_database::{Database, UnitOfWork};
use uuid::Uuid;

use crate::domain::statistics::replay;
use crate::error::Error;
use crate::store::{audit, charges, statistics};

/// Cases of one page.
const PAGE: i64 = 500;

/// Changes of one fold.
const BATCH: i64 = 20_000;

/// One transaction: whoever acts on a case meanwhile waits with the figures until it has ended, and adds to the new ones. How many cases
/// were counted; `progress` is told as it goes.
pub async fn rebuild_statistics(database: &Database, mut progress: impl FnMut(u64)) -> Result<u64, Error> {
    database
        .write_unkeyed(&RowScope::everything(), async |unit: &mut UnitOfWork<'_>| {
            statistics::hold(unit.conn()).await?;
            statistics::clear(unit.conn()).await?;
            let mut counted = 0;
            let mut after = Uuid::nil();
            loop {
                let page = audit::page(unit.conn(), after, 1, PAGE).await?;
                let Some(last) = page.last() else { break };
                after = last.case.case_id;
                for record in &page {
                    let changes = replay(&record.case, &record.history);
                    statistics::append(unit.conn(), record.case.case_id, &changes).await?;
                    counted += 1;
                }
                let ids: Vec<Uuid> = page.iter().map(|record| record.case.case_id).collect();
                for (case_id, paid) in charges::paid_of(unit.conn(), &ids).await? {
                    statistics::append(unit.conn(), case_id, &paid.changes()).await?;
                }
                statistics::fold(unit.conn(), BATCH).await?;
                progress(counted);
            }
            while statistics::fold(unit.conn(), BATCH).await? == BATCH {}
            Ok::<_, Error>(counted)
        })
        .await
}
