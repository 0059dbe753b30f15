//! GetProcedure, ListProcedures, SearchProcedures: public by law.

use egov_auth::RowScope;
use egov_database::Page;
use jiff::civil::Date;

use super::OneStop;
use crate::domain::listing::{FoundProcedure, ProcedureFilter, Ranked, Versioned};
use crate::error::Error;
use crate::store::procedures;

impl OneStop {
    /// The version of a procedure in force on a day, today if none is given.
    pub(crate) async fn get_procedure(&self, procedure_code: &str, on: Option<Date>) -> Result<Versioned, Error> {
        let on = on.unwrap_or_else(|| self.clock.today());
        self.database
            .read(&RowScope::none(), async |connection| {
                Ok::<_, Error>(procedures::in_force(connection, procedure_code, on).await?)
            })
            .await?
            .ok_or_else(|| Error::ProcedureNotFound(procedure_code.to_owned()))
    }

    /// One page of the procedures in force today, by code.
    pub(crate) async fn list_procedures(
        &self,
        filter: ProcedureFilter,
        page: Page<String>,
    ) -> Result<(Vec<Versioned>, String), Error> {
        let today = self.clock.today();
        let after = page.after().cloned().unwrap_or_default();
        let limit = page.fetch();
        let rows = self
            .database
            .read(&RowScope::none(), async |connection| {
                Ok::<_, Error>(procedures::list(connection, today, &filter, &after, limit).await?)
            })
            .await?;
        Ok(page.finish(rows, |row| row.procedure.code.to_string())?)
    }

    /// One page of the procedures in force today that carry all words, the best first.
    pub(crate) async fn search_procedures(
        &self,
        filter: ProcedureFilter,
        page: Page<Ranked>,
    ) -> Result<(Vec<FoundProcedure>, String), Error> {
        let today = self.clock.today();
        let (after, limit) = (page.after().cloned(), page.fetch());
        let rows = self
            .database
            .read(&RowScope::none(), async |connection| {
                // Nothing to search for: spaces and signs only.
                if filter.words.is_empty() {
                    return Ok(Vec::new());
                }
                Ok::<_, Error>(procedures::search(connection, today, &filter, after.as_ref(), limit).await?)
            })
            .await?;
        Ok(page.finish(rows, |row| Ranked {
            rank: row.rank,
            procedure_code: row.versioned.procedure.code.to_string(),
        })?)
    }
}
