//! ListChecklist (danh mục thành phần hồ sơ).

use std::sync::Arc;

use egov_auth::Caller;
use egov_clock::Clock as _;
use jiff::civil::Date;
use uuid::Uuid;

use crate::domain::case::Case;
use crate::domain::components::rules::PaperRules;
use crate::domain::components::{ChecklistItem, checklist};
use crate::domain::listing::Versioned;
use crate::error::Error;
use crate::law::Law;
use crate::operations::OneStop;
use crate::operations::act::READ;
use crate::store::{Visible, cases};

/// A case with what its checklist follows from.
pub(crate) struct Checked {
    pub(crate) case: Case,
    pub(crate) version: Arc<Versioned>,
    pub(crate) law: Arc<Law>,
    pub(crate) today: Date,
    /// Whether the population database is asked by machine.
    pub(crate) asks_population: bool,
}

impl Checked {
    /// The checklist.
    pub(crate) fn items(&self) -> Vec<ChecklistItem<'_>> {
        checklist(&self.version.procedure, &self.case)
    }

    /// Which register answers for which component today.
    pub(crate) fn rules(&self) -> Option<&PaperRules> {
        self.law.paper_rules_on(self.today)
    }
}

impl OneStop {
    /// The checklist of a case that the caller sees. The read is recorded before it is given away.
    pub(crate) async fn list_checklist(&self, caller: &Caller, case_id: Uuid) -> Result<Checked, Error> {
        let scope = caller.scope(READ);
        let visible = Visible::from(&scope);
        let (case, version) = self
            .database
            .read(&scope, async |connection| {
                let case = cases::get(&mut *connection, case_id, &visible)
                    .await?
                    .ok_or(Error::CaseNotFound)?;
                let version = self
                    .procedures
                    .version(connection, &case.procedure_code, case.procedure_version)
                    .await?;
                Ok::<_, Error>((case, version))
            })
            .await?;
        self.record_read(
            caller,
            case.owner_id.into_iter().collect(),
            vec![format!("cases/{}", case.case_code)],
        )
        .await?;
        Ok(Checked {
            case,
            version,
            law: self.law.get(),
            today: self.clock.today(),
            asks_population: self.population.is_connected(),
        })
    }
}
