//! ListCases.

use egov_auth::{Caller, ReadRecord};
use egov_clock::Clock as _;
use egov_database::Page;

use super::OneStop;
use super::act::READ;
use crate::domain::listing::{CaseFilter, Summary};
use crate::domain::search::Place;
use crate::error::Error;
use crate::store::{Visible, case_lists};

impl OneStop {
    /// One page of the cases that the caller sees, in the order of the filter; one record of reading for the whole page.
    pub(crate) async fn list_cases(
        &self,
        caller: &Caller,
        filter: CaseFilter,
        page: Page<Place>,
    ) -> Result<(Vec<Summary>, String), Error> {
        let scope = caller.scope(READ);
        let visible = Visible::from(&scope);
        let (after, limit) = (page.after().cloned(), page.fetch());
        let near = if case_lists::looks_near(&filter) {
            self.database
                .read_by_kept_plans(&scope, async |connection| {
                    Ok::<_, Error>(case_lists::list_near(connection, &visible, &filter, after.as_ref(), limit).await?)
                })
                .await?
        } else {
            None
        };
        let rows = match near {
            Some(rows) => rows,
            None => {
                self.database
                    .read(&scope, async |connection| {
                        Ok::<_, Error>(case_lists::list(connection, &visible, &filter, after.as_ref(), limit).await?)
                    })
                    .await?
            }
        };
        let (mut rows, next) = page.finish(rows, |row: &Summary| row.place(filter.order))?;
        self.record_summaries(caller, &mut rows).await?;
        Ok((rows, next))
    }

    /// One record of reading for a page, with its subjects. An applicant does without the names of internal steps.
    pub(crate) async fn record_summaries(&self, caller: &Caller, rows: &mut [Summary]) -> Result<(), Error> {
        if caller.principal.citizen().is_some() {
            for row in rows.iter_mut() {
                row.step.clear();
            }
        }
        let read = rows
            .iter()
            .map(|row| (row.owner_id, format!("cases/{}", row.case_code)));
        let record = ReadRecord::of_each(caller, read, self.clock.now());
        Ok(self.reads.record(record).await?)
    }
}
