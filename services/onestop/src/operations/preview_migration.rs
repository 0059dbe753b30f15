//! PreviewMigration: what a migration would make of each running case. Nothing is changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use egov_auth::Caller;
use egov_database::Page;

use super::OneStop;
use crate::definition_error::DefinitionError;
use crate::domain::case::Case;
use crate::domain::definition::migrate::{Facts, Hindrance, Migrated, migrated};
use crate::domain::definition::outcome_mapping::{OutcomeMapping, by_step, outcome_faults};
use crate::domain::listing::{After, Versioned};
use crate::error::Error;
use crate::store::case_versions::{self, CasesOf};
use crate::store::{Visible, cases};

pub(crate) const MIGRATE: &str = "onestop.cases.migrate";

/// From which version to which, and what steps and their outcomes are called in the new one.
#[derive(Debug, Clone)]
pub(crate) struct Versions {
    pub(crate) procedure_code: String,
    pub(crate) from: i32,
    pub(crate) to: i32,
    pub(crate) steps: BTreeMap<String, String>,
    /// In the order of the request.
    pub(crate) outcomes: Vec<OutcomeMapping>,
}

/// A case with what would become of it.
pub(crate) type Previewed = (Case, Result<Migrated, Vec<Hindrance>>);

impl OneStop {
    /// Both versions. The new one must be in force: nobody is treated by law that does not hold yet. And the outcomes that are named must be
    /// some of them.
    pub(crate) async fn both_versions(
        &self,
        connection: &mut sqlx::PgConnection,
        versions: &Versions,
    ) -> Result<(Arc<Versioned>, Arc<Versioned>), Error> {
        if versions.from == versions.to {
            return Err(DefinitionError::SameVersion.into());
        }
        let code = &versions.procedure_code;
        let from = self.procedures.version(&mut *connection, code, versions.from).await?;
        let to = self.procedures.version(connection, code, versions.to).await?;
        let today = self.clock.today();
        if to.effective_from > today || to.effective_to.is_some_and(|end| end <= today) {
            return Err(Error::ProcedureNotFound(code.clone()));
        }
        let faults = outcome_faults(&from.procedure, &to.procedure, &versions.steps, &versions.outcomes);
        if !faults.is_empty() {
            return Err(DefinitionError::OutcomesNotMapped(faults).into());
        }
        Ok((from, to))
    }

    /// One page of the running cases of a version, the newest first.
    pub(crate) async fn preview_migration(
        &self,
        caller: &Caller,
        versions: Versions,
        page: Page<After>,
    ) -> Result<(Vec<Previewed>, String), Error> {
        let scope = caller.scope(MIGRATE);
        let visible = Visible::from(&scope);
        let of = CasesOf {
            procedure_code: versions.procedure_code.clone(),
            version: Some(versions.from),
            running: true,
            ..CasesOf::default()
        };
        let (after, limit) = (page.after().copied(), page.fetch());
        let (from, to, places) = self
            .database
            .read(&scope, async |connection| {
                let (from, to) = self.both_versions(&mut *connection, &versions).await?;
                let places = case_versions::cases_of(connection, &visible, &of, after, limit).await?;
                Ok::<_, Error>((from, to, places))
            })
            .await?;
        let (places, next) = page.finish(places, |place| *place)?;
        let found = self
            .database
            .read(&scope, async |connection| {
                let mut found = Vec::with_capacity(places.len());
                for place in &places {
                    found.extend(cases::get(&mut *connection, place.case_id, &visible).await?);
                }
                Ok::<_, Error>(found)
            })
            .await?;
        let law = self.law.get();
        let outcomes = by_step(&versions.outcomes);
        let facts = Facts {
            from: &from,
            to: &to,
            steps: &versions.steps,
            outcomes: &outcomes,
            calendar: &law.calendar,
            profile: self.profile,
            now: self.clock.now(),
        };
        let previewed = found
            .into_iter()
            .map(|case| {
                let outcome = migrated(&case, &facts);
                (case, outcome)
            })
            .collect();
        Ok((previewed, next))
    }
}
