//! StartMigration (chuyển phiên bản): it is decided that running cases of a version go over; the job does it.

use egov_auth::Caller;
use egov_database::{Event, Leaf, UnitOfWork, WriteRequest};
use egov_proto::egov::onestop::v1::{StartMigrationRequest, StartMigrationResponse};
use uuid::Uuid;

use super::OneStop;
use super::drafting::resource;
use super::preview_migration::{MIGRATE, Versions};
use crate::definition_error::DefinitionError;
use crate::domain::definition::draft::Migration;
use crate::domain::definition::outcome_mapping::by_step;
use crate::error::Error;
use crate::store::case_versions;

const METHOD: &str = "egov.onestop.v1.DefinitionService/StartMigration";

/// The kind of aggregate of events, and of resource of leaves.
pub(crate) const KIND: &str = "procedure_migration";

impl OneStop {
    /// Begins a migration.
    pub(crate) async fn start_migration(
        &self,
        caller: &Caller,
        request_id: Uuid,
        body: &StartMigrationRequest,
        versions: Versions,
        answer: impl FnOnce(&Migration) -> StartMigrationResponse + Send,
    ) -> Result<StartMigrationResponse, Error> {
        let province = self.province();
        caller.require(MIGRATE, &resource(province))?;
        let request = WriteRequest::keyed(
            caller.principal.caller_key(),
            caller.scope(MIGRATE),
            METHOD,
            request_id,
            body,
        );
        let written = self
            .database
            .write(request, async |unit: &mut UnitOfWork<'_>| {
                self.both_versions(unit.conn(), &versions).await?;
                let now = unit.now();
                let migration = Migration {
                    migration_id: unit.new_id(),
                    procedure_code: versions.procedure_code.clone(),
                    from_version: versions.from,
                    to_version: versions.to,
                    steps: versions.steps.clone(),
                    outcomes: by_step(&versions.outcomes),
                    reason: body.reason.trim().to_owned(),
                    legal_basis: body.legal_basis.trim().to_owned(),
                    actor_id: caller.principal.subject,
                    on_behalf_of: caller.acting_for(MIGRATE, &resource(province)),
                    finished: false,
                    reached: None,
                    moved: 0,
                    kept: 0,
                    responsible_unit_id: province,
                    create_time: now,
                    update_time: now,
                };
                if !case_versions::insert(unit.conn(), &migration).await? {
                    return Err(DefinitionError::MigrationRunning.into());
                }
                announce(unit, &migration)?;
                Ok::<_, Error>(answer(&migration))
            })
            .await?;
        Ok(written.into_answer())
    }
}

/// Tells that a migration began or ended, and commits to it in the ledger.
pub(crate) fn announce(unit: &mut UnitOfWork<'_>, migration: &Migration) -> Result<(), Error> {
    let (version, kind) = if migration.finished {
        (2, "procedure_migration_finished")
    } else {
        (1, "procedure_migration_started")
    };
    let canonical = migration
        .canonical(migration.finished)
        .map_err(egov_fault::Fault::internal)?;
    unit.publish(Event {
        aggregate_kind: KIND,
        aggregate_id: migration.migration_id,
        version,
        kind,
        payload: serde_json::json!({
            "procedure_code": migration.procedure_code,
            "from_version": migration.from_version,
            "to_version": migration.to_version,
            "moved": migration.moved,
            "kept": migration.kept,
        }),
    });
    unit.leaf(Leaf {
        kind: KIND,
        resource: migration.migration_id,
        version,
        canonical: &canonical,
    });
    Ok(())
}
