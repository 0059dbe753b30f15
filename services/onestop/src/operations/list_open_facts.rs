//! ListOpenFacts, ListDecisions: what is to be decided about procedures, and what was.

use egov_auth::{Caller, RowScope};
use egov_database::Page;

use super::OneStop;
use crate::domain::listing::{AfterFact, Decided, FactFilter, Open};
use crate::error::Error;
use crate::store::decisions;

const READ: &str = "onestop.open_facts.read";

impl OneStop {
    /// One page of what is to be decided, and how many there are in all if that is asked for.
    pub(crate) async fn list_open_facts(
        &self,
        caller: &Caller,
        filter: FactFilter,
        count: bool,
        page: Page<AfterFact>,
    ) -> Result<(Vec<Open>, String, Option<i64>), Error> {
        caller.admit(READ)?;
        let (after, limit) = (page.after().cloned(), page.fetch());
        let (rows, total) = self
            .database
            .read(&RowScope::none(), async |connection| {
                let rows = decisions::open(&mut *connection, &filter, after.as_ref(), limit).await?;
                let total = if count {
                    Some(decisions::count_open(connection, &filter).await?)
                } else {
                    None
                };
                Ok::<_, Error>((rows, total))
            })
            .await?;
        let (rows, next) = page.finish(rows, |row| AfterFact {
            procedure_code: row.procedure_code.clone(),
            kind: row.kind.clone(),
        })?;
        Ok((rows, next, total))
    }

    /// One page of the decisions on a procedure, the latest first.
    pub(crate) async fn list_decisions(
        &self,
        caller: &Caller,
        procedure_code: &str,
        path: Option<&str>,
        page: Page<i32>,
    ) -> Result<(Vec<Decided>, String), Error> {
        caller.admit(READ)?;
        let (before, limit) = (page.after().copied(), page.fetch());
        let rows = self
            .database
            .read(&RowScope::none(), async |connection| {
                Ok::<_, Error>(decisions::history(connection, procedure_code, path, before, limit).await?)
            })
            .await?;
        Ok(page.finish(rows, |row| row.version)?)
    }
}
