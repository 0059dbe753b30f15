//! ListDeadlineChanges: which due dates moved, and why.

use egov_auth::{Caller, ReadRecord};
use egov_clock::Clock as _;
use egov_database::Page;

use super::OneStop;
use super::list_cases_at_risk::WATCH;
use crate::domain::listing::{AfterChange, ChangeFilter, DeadlineChanged};
use crate::error::Error;
use crate::store::{Visible, deadlines};

impl OneStop {
    /// One page of the due dates that moved, the latest first; one record of reading for the whole page.
    pub(crate) async fn list_deadline_changes(
        &self,
        caller: &Caller,
        filter: ChangeFilter,
        page: Page<AfterChange>,
    ) -> Result<(Vec<DeadlineChanged>, String), Error> {
        let scope = caller.scope(WATCH);
        let visible = Visible::from(&scope);
        let (after, limit) = (page.after().cloned(), page.fetch());
        let rows = self
            .database
            .read(&scope, async |connection| {
                Ok::<_, Error>(deadlines::changes(connection, &visible, &filter, after.as_ref(), limit).await?)
            })
            .await?;
        let (rows, next) = page.finish(rows, |row| AfterChange {
            change_time: row.change_time,
            case_id: row.case_id,
            version: row.version,
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
