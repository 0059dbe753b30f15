//! RecordStep: a finer step of the procedure.
use uuid::Uuid;

use super::OneStop;
use super::act::{Act, Facts, Recorded, Target, Version};
use crate::domain::case::Case;
use crate::error::Error;
use egov_auth::Caller;
use egov_proto::egov::onestop::v1::{RecordStepRequest, RecordStepResponse};

pub(crate) const ACT: Act = Act {
    operation: "record_step",
    event: "case_step_recorded",
    permission: "onestop.cases.process",
    method: "egov.onestop.v1.CaseService/RecordStep",
    version: Version::OfTheCase,
};

/// A step that the procedure has.
pub(crate) fn judge(
    case: &mut Case,
    facts: &Facts<'_>,
    step: &str,
    file_ids: Vec<Uuid>,
    reason: &str,
) -> Result<Recorded, Error> {
    let procedure = &facts.procedure.procedure;
    let step = procedure
        .step(step)
        .ok_or_else(|| Error::StepUnknown(step.to_owned()))?;
    case.record_step(facts.transitions, facts.now, &step.code, step.state)?;
    Ok(Recorded {
        reason: reason.to_owned(),
        details: serde_json::json!({ "files": file_ids.len() }),
        file_ids,
        ..Recorded::default()
    })
}

impl OneStop {
    /// Records a step; files that it brings belong to the case from then on.
    pub(crate) async fn record_step(
        &self,
        caller: &Caller,
        target: Target<'_, RecordStepRequest>,
        file_ids: Vec<Uuid>,
        answer: impl FnOnce(&Case) -> RecordStepResponse + Send,
    ) -> Result<RecordStepResponse, Error> {
        let body = target.body;
        self.act(
            caller,
            ACT,
            target,
            |case, facts| judge(case, facts, &body.step, file_ids, &body.reason),
            |case| Ok(answer(case)),
        )
        .await
    }
}
