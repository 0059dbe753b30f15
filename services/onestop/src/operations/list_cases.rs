//! ListCases.

use egov_auth::{Caller, ReadRecord};
use egov_clock::Clock as _;
use egov_database::Page;

use super::OneStop;
use super::act::READ;
use crate::domain::listing::{After, CaseFilter, Summary};
use crate::error::Error;
use crate::store::{Visible, cases};

impl OneStop {
    /// One page of the cases that the caller sees, newest first; one record of reading for the whole page.
    pub(crate) async fn list_cases(
        &self,
        caller: &Caller,
        filter: CaseFilter,
        page: Page<After>,
    ) -> Result<(Vec<Summary>, String), Error> {
        let scope = caller.scope(READ);
        let visible = Visible::from(&scope);
        let (after, limit) = (page.after().copied(), page.fetch());
        let rows = self
            .database
            .read(&scope, async |connection| {
                Ok::<_, Error>(cases::list(connection, &visible, &filter, after, limit).await?)
            })
            .await?;
        let (mut rows, next) = page.finish(rows, Summary::position)?;
        self.record_summaries(caller, &mut rows).await?;
        Ok((rows, next))
    }

    /// One record of reading for a page, with its subjects. An applicant does without the names of internal steps.
    pub(crate) async fn record_summaries(&self, caller: &Caller, rows: &mut [Summary]) -> Result<(), Error> {
        if caller.principal.citizen().is_some() {
            rows.iter_mut().for_each(|row| row.step.clear());
        }
        let read = rows
            .iter()
            .map(|row| (row.owner_id, format!("cases/{}", row.case_code)));
        let record = ReadRecord::of_each(caller, read, self.clock.now());
        Ok(self.reads.record(record).await?)
    }
}
