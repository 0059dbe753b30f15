//! SearchCases.

use egov_auth::Caller;
use egov_codes::CaseCode;
use egov_database::Page;

use super::OneStop;
use super::act::READ;
use crate::domain::listing::{After, Summary, case_query};
use crate::error::Error;
use crate::store::{Visible, cases};

impl OneStop {
    /// One page of the cases that carry all words of the query, or the one whose code it is; in scope, newest first.
    pub(crate) async fn search_cases(
        &self,
        caller: &Caller,
        query: &str,
        page: Page<After>,
    ) -> Result<(Vec<Summary>, String), Error> {
        let scope = caller.scope(READ);
        let visible = Visible::from(&scope);
        let (after, limit) = (page.after().copied(), page.fetch());
        let code = query.trim().parse::<CaseCode>().ok().map(|code| code.to_string());
        let words = case_query(query);
        let rows = self
            .database
            .read(&scope, async |connection| {
                Ok::<_, Error>(match &code {
                    Some(code) => cases::list_by_code(connection, &visible, code).await?,
                    // Nothing to search for: spaces and signs only.
                    None if words.is_empty() => Vec::new(),
                    None => cases::search(connection, &visible, &words, after, limit).await?,
                })
            })
            .await?;
        let (mut rows, next) = page.finish(rows, Summary::position)?;
        self.record_summaries(caller, &mut rows).await?;
        Ok((rows, next))
    }
}
