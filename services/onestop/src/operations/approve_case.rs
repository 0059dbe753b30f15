//! ApproveCase (phê duyệt).

use super::OneStop;
use super::act::{Act, Facts, Recorded, Target, Version};
use crate::domain::case::{Case, CaseResult};
use crate::domain::results::Metadata;
use crate::error::Error;
use egov_auth::Caller;
use egov_clock::Ids as _;
use egov_proto::egov::onestop::v1::{ApproveCaseRequest, ApproveCaseResponse};

pub(crate) const ACT: Act = Act {
    operation: "approve",
    event: "case_approved",
    permission: "onestop.cases.approve",
    method: "egov.onestop.v1.CaseService/ApproveCase",
    version: Version::OfTheCase,
};

/// The decision: its results belong to the procedure.
pub(crate) fn judge(
    case: &mut Case,
    facts: &Facts<'_>,
    results: Vec<CaseResult>,
    reason: &str,
) -> Result<Recorded, Error> {
    for result in &results {
        if facts.procedure.procedure.result(&result.result_code).is_none() {
            return Err(Error::ResultUnknown(result.result_code.clone()));
        }
    }
    let file_ids = results.iter().filter_map(|result| result.file_id).collect();
    let codes: Vec<String> = results.iter().map(|result| result.result_code.clone()).collect();
    case.approve(facts.transitions, facts.now, results)?;
    Ok(Recorded {
        reason: reason.to_owned(),
        details: serde_json::json!({ "results": codes }),
        file_ids,
        ..Recorded::default()
    })
}

impl OneStop {
    /// Decides the case: its results are fixed, with what is said of each as a document.
    pub(crate) async fn approve_case(
        &self,
        caller: &Caller,
        target: Target<'_, ApproveCaseRequest>,
        results: Vec<(CaseResult, Option<Metadata>)>,
        answer: impl FnOnce(&Case) -> ApproveCaseResponse + Send,
    ) -> Result<ApproveCaseResponse, Error> {
        let body = target.body;
        self.act(
            caller,
            ACT,
            target,
            |case, facts| {
                if self.goes_into_book(case, facts) {
                    return Err(Error::CivilDecisionExpected);
                }
                let (results, said): (Vec<CaseResult>, Vec<Option<Metadata>>) = results.into_iter().unzip();
                let recorded = judge(case, facts, results, &body.reason)?;
                let unit_id = case.responsible_unit_id;
                self.make_version(unit_id, caller.principal.subject, facts, |making| {
                    case.describe_results(said, || self.ids.uuid(), making)
                })?;
                Ok(recorded)
            },
            |case| Ok(answer(case)),
        )
        .await
    }
}
