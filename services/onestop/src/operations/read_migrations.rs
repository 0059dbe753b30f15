//! GetMigration, ListMigratedCases.

use egov_auth::Caller;
use egov_database::Page;
use uuid::Uuid;

use super::OneStop;
use super::preview_migration::MIGRATE;
use crate::definition_error::DefinitionError;
use crate::domain::definition::draft::{Migration, Outcome};
use crate::error::Error;
use crate::store::{Visible, case_versions};

impl OneStop {
    /// A migration that the caller sees.
    pub(crate) async fn migration(&self, caller: &Caller, migration_id: Uuid) -> Result<Migration, Error> {
        let scope = caller.scope(MIGRATE);
        let visible = Visible::from(&scope);
        self.database
            .read(&scope, async |connection| {
                Ok::<_, Error>(case_versions::get(connection, migration_id, &visible).await?)
            })
            .await?
            .ok_or_else(|| DefinitionError::MigrationNotFound.into())
    }

    /// One page of what became of its cases, by id.
    pub(crate) async fn list_migrated_cases(
        &self,
        caller: &Caller,
        migration_id: Uuid,
        page: Page<Uuid>,
    ) -> Result<(Vec<Outcome>, String), Error> {
        let migration = self.migration(caller, migration_id).await?;
        let (after, limit) = (page.after().copied(), page.fetch());
        let rows = self
            .database
            .read(&caller.scope(MIGRATE), async |connection| {
                Ok::<_, Error>(case_versions::outcomes(connection, migration.migration_id, after, limit).await?)
            })
            .await?;
        Ok(page.finish(rows, |row| row.case_id)?)
    }
}
