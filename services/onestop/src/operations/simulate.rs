//! Simulate (chạy thử): what a draft would have made of past cases. Nothing is changed, and nobody is named.

use std::collections::BTreeMap;

use egov_auth::Caller;
use egov_calendar::vietnam_instant;
use egov_database::Page;
use jiff::civil::Date;
use uuid::Uuid;

use super::OneStop;
use crate::definition_error::DefinitionError;
use crate::domain::case::Case;
use crate::domain::definition::replay::{Facts, Replayed, Summed, replay};
use crate::domain::definition::text;
use crate::domain::listing::After;
use crate::error::Error;
use crate::store::case_versions::{self, CasesOf};
use crate::store::{Visible, cases};

const SIMULATE: &str = "onestop.procedures.simulate";

/// Cases filed on these days.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Filed {
    /// On this day or later.
    pub(crate) from: Option<Date>,
    /// Before this day.
    pub(crate) until: Option<Date>,
}

/// One page of replayed cases.
pub(crate) struct Simulated {
    pub(crate) cases: Vec<(Case, Replayed)>,
    pub(crate) summed: Summed,
    pub(crate) next_page_token: String,
}

impl OneStop {
    /// Replays the cases of the caller's units under a draft, the newest first.
    pub(crate) async fn simulate(
        &self,
        caller: &Caller,
        draft_id: Uuid,
        filed: Filed,
        page: Page<After>,
    ) -> Result<Simulated, Error> {
        let draft = self.draft(caller, draft_id).await?;
        let procedure = match text::read(&draft.definition) {
            (Some(procedure), _) => procedure,
            (None, findings) => return Err(DefinitionError::DraftNotReadable(findings).into()),
        };
        let scope = caller.scope(SIMULATE);
        let visible = Visible::from(&scope);
        let midnight = |day: Option<Date>| {
            day.map(|day| vietnam_instant(day.at(0, 0, 0, 0)))
                .transpose()
                .map_err(egov_fault::Fault::internal)
        };
        let of = CasesOf {
            procedure_code: draft.procedure_code.clone(),
            from: midnight(filed.from)?,
            until: midnight(filed.until)?,
            ..CasesOf::default()
        };
        let (after, limit) = (page.after().copied(), page.fetch());
        let places = self
            .database
            .read(&scope, async |connection| {
                Ok::<_, Error>(case_versions::cases_of(connection, &visible, &of, after, limit).await?)
            })
            .await?;
        let (places, next_page_token) = page.finish(places, |place| *place)?;
        let ids: Vec<Uuid> = places.iter().map(|place| place.case_id).collect();
        let (found, decided, outcomes) = self
            .database
            .read(&scope, async |connection| {
                let mut found = Vec::with_capacity(ids.len());
                for case_id in &ids {
                    let Some(case) = cases::get(&mut *connection, *case_id, &visible).await? else {
                        continue;
                    };
                    let own = self
                        .procedures
                        .version(&mut *connection, &case.procedure_code, case.procedure_version)
                        .await?;
                    found.push((case, own));
                }
                let decided = case_versions::decided(&mut *connection, &ids).await?;
                Ok::<_, Error>((found, decided, case_versions::outcomes_said(connection, &ids).await?))
            })
            .await?;
        let law = self.law.get();
        let mut summed = Summed::default();
        let none = BTreeMap::new();
        let cases = found
            .into_iter()
            .map(|(case, own)| {
                let facts = Facts {
                    draft: &procedure,
                    own: &own.procedure,
                    calendar: &law.calendar,
                    profile: self.profile,
                    decided: decided.get(&case.case_id).copied(),
                    outcomes: outcomes.get(&case.case_id).unwrap_or(&none),
                };
                let replayed = replay(&case, &facts);
                summed.add(&replayed);
                (case, replayed)
            })
            .collect();
        Ok(Simulated {
            cases,
            summed,
            next_page_token,
        })
    }
}
