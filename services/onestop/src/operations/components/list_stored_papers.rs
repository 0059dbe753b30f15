//! ListStoredPapers (kho dữ liệu).

use egov_auth::Caller;
use egov_clock::Clock as _;
use egov_database::Page;
use egov_fault::{Fault, Violation};
use uuid::Uuid;

use super::types;
use crate::domain::components::paper::{StoredPaper, number_of};
use crate::error::Error;
use crate::operations::OneStop;
use crate::store::stored_papers::{self, AfterPaper, Whose};
use crate::store::{Visible, cases};

const READ: &str = "onestop.papers.read";

/// Officials look for papers of the owner of a case, and not of persons.
fn case_missing() -> Error {
    Fault::invalid(vec![Violation {
        field: "case_id".to_owned(),
        rule: "required".to_owned(),
        vi: "phải nêu hồ sơ mà giấy tờ được tìm cho".to_owned(),
        en: "must name the case for which papers are looked for".to_owned(),
    }])
    .into()
}

impl OneStop {
    /// One page of a store, with the components of the case for which each paper may stand. The read is recorded with every paper.
    pub(crate) async fn list_stored_papers(
        &self,
        caller: &Caller,
        case_id: Option<Uuid>,
        page: Page<AfterPaper>,
    ) -> Result<(Vec<(StoredPaper, Vec<String>)>, String), Error> {
        let citizen = caller.principal.citizen().map(|(citizen, _)| citizen);
        if citizen.is_none() && case_id.is_none() {
            return Err(case_missing());
        }
        let scope = caller.scope(READ);
        let visible = Visible::from(&scope);
        let (after, limit) = (page.after().copied(), page.fetch());
        let law = self.law.get();
        let today = self.clock.today();
        let rules = law.paper_rules_on(today);
        let (owner, rows) = self
            .database
            .read(&scope, async |connection| {
                let Some(case_id) = case_id else {
                    let whose = Whose::Account(citizen.unwrap_or_default());
                    let rows = stored_papers::list(connection, &whose, after, limit).await?;
                    return Ok((citizen, rows.into_iter().map(|paper| (paper, Vec::new())).collect()));
                };
                let case = cases::get(&mut *connection, case_id, &visible)
                    .await?
                    .ok_or(Error::CaseNotFound)?;
                let version = self
                    .procedures
                    .version(&mut *connection, &case.procedure_code, case.procedure_version)
                    .await?;
                let procedure = &version.procedure;
                let types = types(procedure, rules, self.profile, |_| true);
                let Some(number) = number_of(&case.owner).filter(|_| !types.is_empty()) else {
                    return Ok((case.owner_id, Vec::new()));
                };
                let whose = match citizen {
                    Some(citizen) => Whose::Both(citizen, number.to_owned(), types),
                    None => Whose::Number(number.to_owned(), types),
                };
                let rows = stored_papers::list(connection, &whose, after, limit).await?;
                let rows = rows.into_iter().map(|paper| {
                    let stands_for = paper.components_of(procedure, (rules, self.profile), today);
                    let stands_for = stands_for.into_iter().map(str::to_owned).collect();
                    (paper, stands_for)
                });
                Ok::<_, Error>((case.owner_id, rows.collect::<Vec<_>>()))
            })
            .await?;
        let (rows, next) = page.finish(rows, |(paper, _)| AfterPaper::from(paper))?;
        let mut subjects: Vec<Uuid> = rows
            .iter()
            .filter_map(|(paper, _)| paper.owner_id)
            .chain(owner)
            .collect();
        subjects.sort_unstable();
        subjects.dedup();
        let resources = rows.iter().map(|(paper, _)| format!("storedPapers/{}", paper.paper_id));
        self.record_read(caller, subjects, resources.collect()).await?;
        Ok((rows, next))
    }
}
