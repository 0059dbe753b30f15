//! RecordStep: a finer step of the procedure.
use uuid::Uuid;

use super::OneStop;
use super::act::{Act, Facts, Recorded, Target, Version};
use crate::domain::case::Case;
use crate::domain::definition::Done;
use crate::domain::listing::{FOR_APPLICANT, OUTCOME};
use crate::domain::work::follow::is_inner;
use crate::domain::work::task::WorkRefused;
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

/// A step that the procedure has and that a way leads to from where the case stands, with an outcome that it may come to.
pub(crate) fn judge(
    case: &mut Case,
    facts: &Facts<'_>,
    done: Done<'_>,
    file_ids: Vec<Uuid>,
    reason: &str,
) -> Result<Recorded, Error> {
    let procedure = &facts.procedure.procedure;
    let step = procedure
        .step(done.step)
        .ok_or_else(|| Error::StepUnknown(done.step.to_owned()))?;
    let reached = procedure.reached_by(case.done(), &case.conditions);
    // What the state of the case refuses is told first: it names the acts that are allowed instead. A refused act keeps nothing.
    case.record_step(facts.transitions, facts.now, done, step.state)?;
    if !reached.contains(done.step) {
        return Err(WorkRefused::StepNotReached {
            step: step.code.clone(),
            reached: procedure
                .steps
                .iter()
                .filter(|step| is_inner(step) && reached.contains(step.code.as_str()))
                .map(|step| step.code.clone())
                .collect(),
        }
        .into());
    }
    if !procedure.takes_outcome(done.step, &case.conditions, done.outcome) {
        let outcomes = procedure.outcomes(done.step, &case.conditions);
        return Err(WorkRefused::OutcomeUnknown {
            step: step.code.clone(),
            outcome: done.outcome.to_owned(),
            outcomes: outcomes.into_iter().map(str::to_owned).collect(),
        }
        .into());
    }
    let mut details = serde_json::Map::new();
    details.insert("files".to_owned(), file_ids.len().into());
    if !done.outcome.is_empty() {
        details.insert(OUTCOME.to_owned(), done.outcome.into());
    }
    Ok(Recorded {
        reason: reason.to_owned(),
        details: details.into(),
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
        let done = Done {
            step: &body.step,
            outcome: body.outcome.trim(),
        };
        self.act(
            caller,
            ACT,
            target,
            |case, facts| {
                let mut recorded = judge(case, facts, done, file_ids, &body.reason)?;
                // The note of CompleteTask is for the office; what is said here is for the applicant.
                let said = recorded.details.as_object_mut().filter(|_| !recorded.reason.is_empty());
                if let Some(details) = said {
                    details.insert(FOR_APPLICANT.to_owned(), true.into());
                }
                Ok(recorded)
            },
            |case| Ok(answer(case)),
        )
        .await
    }
}
