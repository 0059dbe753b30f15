//! RecordStep: a finer step of the procedure.

use super::OneStop;
use super::act::{Act, Recorded, Target, Version};
use super::checks::go_on;
use crate::domain::case::Case;
use crate::error::Error;
use egov_auth::Caller;
use egov_proto::egov::onestop::v1::{RecordStepRequest, RecordStepResponse};

const ACT: Act = Act {
    operation: "record_step",
    event: "case_step_recorded",
    permission: "onestop.cases.process",
    method: "egov.onestop.v1.CaseService/RecordStep",
    version: Version::OfTheCase,
};

impl OneStop {
    /// Records a step; where it ends a pause, the due date is worked out again.
    pub(crate) async fn record_step(
        &self,
        caller: &Caller,
        target: Target<'_, RecordStepRequest>,
        answer: impl FnOnce(&Case) -> RecordStepResponse + Send,
    ) -> Result<RecordStepResponse, Error> {
        let body = target.body;
        self.act(
            caller,
            ACT,
            target,
            |case, facts| {
                let procedure = &facts.procedure.procedure;
                let step = procedure
                    .step(&body.step)
                    .ok_or_else(|| Error::StepUnknown(body.step.clone()))?;
                let was_paused = case.is_paused();
                case.record_step(facts.transitions, facts.now, &step.code, step.state)?;
                if was_paused {
                    go_on(case, facts)?;
                }
                Ok(Recorded {
                    reason: body.reason.clone(),
                    ..Recorded::default()
                })
            },
            |case| Ok(answer(case)),
        )
        .await
    }
}
