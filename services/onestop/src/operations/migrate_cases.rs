//! Running cases go over to another version, a batch a transaction. What was reached is kept with each batch, so that a process
//! that was killed leaves nothing but work for the next one.

use egov_auth::RowScope;
use egov_database::{Database, Lease, UnitOfWork};
use uuid::Uuid;

use super::act::{self, Actor, Recorded, announce, entry, keep_deadline};
use super::known_procedures::KnownProcedures;
use super::start_migration;
use super::work::follow_tasks;
use crate::domain::case::Case;
use crate::domain::definition::draft::{Migration, Outcome};
use crate::domain::definition::migrate::{Facts, MIGRATE, migrated};
use crate::domain::listing::{After, FROM_OUTCOME, OUTCOME};
use crate::domain::pack::Profile;
use crate::error::Error;
use crate::law::InForce;
use crate::store::case_versions::{self, CasesOf};
use crate::store::{Visible, cases, history};

/// Its name in the history.
pub(crate) const OPERATION: &str = MIGRATE;

/// Its event.
pub(crate) const EVENT: &str = "case_version_migrated";

/// By what cases are migrated.
pub(crate) struct Means<'a> {
    pub(crate) law: &'a InForce,
    pub(crate) procedures: &'a KnownProcedures,
    pub(crate) profile: Profile,
}

/// The migrations that run, the oldest first.
pub(crate) async fn running(database: &Database) -> Result<Vec<Uuid>, Error> {
    database
        .read(&RowScope::everything(), async |connection| {
            Ok::<_, Error>(case_versions::running(connection).await?)
        })
        .await
}

/// Looks at up to `limit` further cases of a migration: how many were looked at, and whether it is finished.
pub(crate) async fn migrate_once(
    database: &Database,
    lease: &Lease,
    means: &Means<'_>,
    migration_id: Uuid,
    limit: i64,
) -> Result<(usize, bool), Error> {
    database
        .work(lease, async |unit: &mut UnitOfWork<'_>| {
            let found = case_versions::get(unit.conn(), migration_id, &Visible::everything()).await?;
            let Some(mut migration) = found.filter(|migration| !migration.finished) else {
                return Ok((0, true));
            };
            let of = CasesOf {
                procedure_code: migration.procedure_code.clone(),
                version: Some(migration.from_version),
                running: true,
                ..CasesOf::default()
            };
            let after = migration
                .reached
                .map(|(submit_time, case_id)| After { submit_time, case_id });
            let places = case_versions::cases_of(unit.conn(), &Visible::everything(), &of, after, limit).await?;
            for place in &places {
                one(unit, means, &mut migration, place.case_id).await?;
                migration.reached = Some((place.submit_time, place.case_id));
            }
            migration.update_time = unit.now();
            migration.finished = (places.len() as i64) < limit;
            case_versions::advance(unit.conn(), &migration).await?;
            if migration.finished {
                start_migration::announce(unit, &migration)?;
            }
            Ok::<_, Error>((places.len(), migration.finished))
        })
        .await
}

/// Judges a case as it is now, and lets it go over or stay.
async fn one(
    unit: &mut UnitOfWork<'_>,
    means: &Means<'_>,
    migration: &mut Migration,
    case_id: Uuid,
) -> Result<(), Error> {
    let now = unit.now();
    let before: Case = cases::get_for_update(unit.conn(), case_id, &Visible::everything())
        .await?
        .ok_or(Error::CaseNotFound)?;
    // Its receipt may have given it another version while the batch was read.
    if before.procedure_version != migration.from_version {
        return Ok(());
    }
    let code = &migration.procedure_code;
    let from = means
        .procedures
        .version(unit.conn(), code, migration.from_version)
        .await?;
    let to = means
        .procedures
        .version(unit.conn(), code, migration.to_version)
        .await?;
    let law = means.law.get();
    let facts = Facts {
        from: &from,
        to: &to,
        steps: &migration.steps,
        outcomes: &migration.outcomes,
        calendar: &law.calendar,
        profile: means.profile,
        now,
    };
    let hindrances = match migrated(&before, &facts) {
        Err(hindrances) => {
            migration.kept += 1;
            hindrances
        }
        Ok(moved) => {
            migration.moved += 1;
            let after = moved.case;
            case_versions::save_version(unit.conn(), &before, &after, now).await?;
            let by = act::Facts {
                now,
                transitions: law.transitions(&to.procedure.transitions)?,
                procedure: &to,
                calendar: &law.calendar,
                deadline_rules: law.deadline_rules_on(unit.today()),
                profile: means.profile,
            };
            keep_deadline(unit, &before, &after, &by, OPERATION).await?;
            follow_tasks(unit, migration.actor_id, OPERATION, &to.procedure.steps, &after).await?;
            let due = |case: &Case| case.deadline.as_ref().map(|deadline| deadline.due_date);
            let mut details = serde_json::json!({
                "migration_id": migration.migration_id,
                "from_version": migration.from_version, "to_version": migration.to_version,
                "from_step": before.step, "to_step": after.step,
                "from_due_date": due(&before), "to_due_date": due(&after),
                "missing": moved.missing,
            });
            // What the step came to stays where it was recorded; here it is said what stands for it.
            if let Some(details) = details.as_object_mut().filter(|_| !before.step_outcome.is_empty()) {
                details.insert(OUTCOME.to_owned(), after.step_outcome.as_str().into());
                if before.step_outcome != after.step_outcome {
                    details.insert(FROM_OUTCOME.to_owned(), before.step_outcome.as_str().into());
                }
            }
            let recorded = Recorded {
                reason: migration.reason.clone(),
                legal_basis: migration.legal_basis.clone(),
                details,
                ..Recorded::default()
            };
            // Decided by somebody about all cases of the version, done by the platform.
            let actor = Actor {
                id: migration.actor_id,
                kind: "staff",
                on_behalf_of: migration.on_behalf_of,
            };
            let entry = entry(&actor, Some(&before), &after, OPERATION, recorded, now);
            history::append(unit.conn(), case_id, &entry).await?;
            announce(unit, &after, EVENT)?;
            Vec::new()
        }
    };
    let outcome = Outcome {
        case_id,
        hindrances,
        record_time: now,
    };
    case_versions::record(unit.conn(), migration.migration_id, &outcome).await?;
    Ok(())
}
