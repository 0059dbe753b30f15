//! GetSynchronisation, ListSynchronisations.

use egov_auth::Caller;
use egov_database::Page;
use jiff::Timestamp;

use super::Partners;
use crate::domain::synchronisation::{Filter, Synchronisation};
use crate::error::Error;
use crate::store::synchronisations;

const READ: &str = "integration.synchronisations.read";

impl Partners {
    /// What is known of the synchronisation of a case that the caller sees.
    pub(crate) async fn get_synchronisation(&self, caller: &Caller, case_code: &str) -> Result<Synchronisation, Error> {
        let scope = caller.scope(READ);
        self.database
            .read(&scope, async |connection| {
                synchronisations::get(connection, &scope, case_code)
                    .await?
                    .ok_or(Error::SynchronisationNotFound)
            })
            .await
    }

    /// One page of the cases that the caller sees, told last first.
    pub(crate) async fn list_synchronisations(
        &self,
        caller: &Caller,
        filter: Filter,
        page: Page<(Timestamp, String)>,
    ) -> Result<(Vec<Synchronisation>, String), Error> {
        let scope = caller.scope(READ);
        let (after, limit) = (page.after().cloned(), page.fetch());
        let rows = self
            .database
            .read(&scope, async |connection| {
                let rows = synchronisations::list(connection, &scope, filter, after.as_ref(), limit).await?;
                Ok::<_, Error>(rows)
            })
            .await?;
        Ok(page.finish(rows, |row| (row.told_time, row.case_code.clone()))?)
    }
}
