//! SearchCases.

use egov_auth::Caller;
use egov_database::Page;

use super::OneStop;
use super::act::READ;
use crate::domain::listing::{CaseFilter, Summary};
use crate::domain::search::{CaseQuery, Place};
use crate::error::Error;
use crate::store::{Visible, case_search};

impl OneStop {
    /// One page of the cases that the text asks for, in scope: by code the highest first, else newest first.
    pub(crate) async fn search_cases(
        &self,
        caller: &Caller,
        query: &str,
        filter: CaseFilter,
        page: Page<Place>,
    ) -> Result<(Vec<Summary>, String), Error> {
        let scope = caller.scope(READ);
        let visible = Visible::from(&scope);
        let (after, limit) = (page.after().cloned(), page.fetch());
        let asked = CaseQuery::read(query);
        let found = async |connection: &mut _| {
            Ok::<_, Error>(case_search::search(connection, &visible, &asked, &filter, after.as_ref(), limit).await?)
        };
        let rows = if case_search::keeps_plans(&visible, &asked, &filter) {
            self.database.read_by_kept_plans(&scope, found).await?
        } else {
            self.database.read(&scope, found).await?
        };
        let (mut rows, next) = page.finish(rows, |row: &Summary| row.place(asked.order()))?;
        self.record_summaries(caller, &mut rows).await?;
        Ok((rows, next))
    }
}
