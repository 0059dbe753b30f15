//! ListUnsettledCharges: what is owed, in doubt, or to be given back.

use egov_auth::{Caller, ReadRecord};
use egov_clock::Clock as _;
use egov_database::Page;

use super::READ_UNSETTLED;
use crate::domain::listing::{AfterSince, UnsettledCharge, UnsettledFilter};
use crate::error::Error;
use crate::operations::OneStop;
use crate::report_error::ReportRefused;
use crate::store::{Visible, unsettled};

impl OneStop {
    /// One page of the charges that are not settled, the longest open first; one record of reading for the whole page. What is left at a unit
    /// that closed is its successor's to follow: finished cases stay where they were finished.
    pub(crate) async fn list_unsettled_charges(
        &self,
        caller: &Caller,
        filter: UnsettledFilter,
        page: Page<AfterSince>,
    ) -> Result<(Vec<UnsettledCharge>, String), Error> {
        let scope = self.with_closed(caller.scope(READ_UNSETTLED));
        let visible = Visible::from(&scope);
        if let Some(unit_id) = filter.unit_id {
            let seen = visible.all || visible.units.contains(&unit_id);
            if !seen || self.directory.units().get(unit_id).is_none() {
                return Err(ReportRefused::UnitNotFound(unit_id).into());
            }
        }
        let (after, limit) = (page.after().copied(), page.fetch());
        let rows = self
            .database
            .read(&scope, async |connection| {
                Ok::<_, Error>(unsettled::list(connection, &visible, &filter, after.as_ref(), limit).await?)
            })
            .await?;
        let (rows, next) = page.finish(rows, |row| AfterSince {
            since: row.since,
            case_id: row.case_id,
        })?;
        let read = rows
            .iter()
            .map(|row| (row.owner_id, format!("cases/{}", row.case_code)));
        self.reads
            .record(ReadRecord::of_each(caller, read, self.clock.now()))
            .await?;
        Ok((rows, next))
    }
}
