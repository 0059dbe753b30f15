//! AcceptCase (tiếp nhận): the clock starts, the version of the procedure is fixed, the receipt is given.

use egov_auth::Caller;
use egov_proto::egov::onestop::v1::{AcceptCaseRequest, AcceptCaseResponse};

use super::OneStop;
use super::act::{Act, Facts, Recorded, Target, Version};
use super::checks::{check_complete, due};
use crate::domain::case::{ActRefused, Case};
use crate::domain::definition::Asked;
use crate::domain::transitions::Operation;
use crate::error::Error;

pub(crate) const ACT: Act = Act {
    operation: "accept",
    event: "case_accepted",
    permission: "onestop.cases.accept",
    method: "egov.onestop.v1.CaseService/AcceptCase",
    version: Version::InForceToday,
};

/// The receipt by the version in force on the day: complete, with a due date.
pub(crate) fn judge(case: &mut Case, facts: &Facts<'_>) -> Result<Recorded, Error> {
    let procedure = &facts.procedure.procedure;
    // What the state of the case refuses is told first: it names the acts that are allowed instead.
    facts
        .transitions
        .next(case.state, case.entered_from, Operation::Accept)
        .map_err(ActRefused::from)?;
    // By the version in force today. What the old version knew and the new one does not is simply not counted.
    check_complete(procedure, &case.conditions, &case.filed())?;
    let deadline = due(case, facts, facts.now)?;
    case.procedure_version = facts.procedure.version;
    procedure.name.clone_into(&mut case.procedure_name);
    let asked = Asked::at(case.channel, case.owner.kind, &case.conditions, facts.now);
    case.fees = procedure.fees_on(&asked);
    let due_date = deadline.due_date;
    case.accept(facts.transitions, facts.now, deadline)?;
    Ok(Recorded {
        details: serde_json::json!({
            "due_date": due_date,
            "procedure_version": case.procedure_version,
        }),
        ..Recorded::default()
    })
}

impl OneStop {
    /// Takes the case in and gives the receipt, made by `answer` from the case and its look-up secret.
    pub(crate) async fn accept_case(
        &self,
        caller: &Caller,
        target: Target<'_, AcceptCaseRequest>,
        answer: impl FnOnce(&Case, &str) -> AcceptCaseResponse + Send,
    ) -> Result<AcceptCaseResponse, Error> {
        self.act(caller, ACT, target, judge, |case| {
            Ok(answer(case, &self.open_lookup_secret(case)?))
        })
        .await
    }
}
