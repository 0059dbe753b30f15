//! ExtendDeadline (gia hạn): once, with a reason, an apology and a new date.

use egov_auth::Caller;
use egov_proto::egov::onestop::v1::{ExtendDeadlineRequest, ExtendDeadlineResponse};

use super::OneStop;
use super::act::{Act, Facts, Recorded, Target, Version};
use super::checks::due;
use crate::domain::case::{ActRefused, Case};
use crate::domain::extension::{ExtensionRefused, Wanted, extension_to};
use crate::domain::transitions::State;
use crate::domain::verify::EXTEND_DEADLINE;
use crate::error::Error;

pub(crate) const ACT: Act = Act {
    operation: EXTEND_DEADLINE,
    event: "case_deadline_extended",
    permission: "onestop.cases.extend",
    method: "egov.onestop.v1.DeadlineService/ExtendDeadline",
    version: Version::OfTheCase,
};

/// The extension, and the due date that it gives.
pub(crate) fn judge(case: &mut Case, facts: &Facts<'_>, wanted: Wanted) -> Result<Recorded, Error> {
    let present = case.may_be_extended(facts.now)?;
    let accepted = case.accept_time.ok_or(ActRefused::ClockNotRunning {
        state: State::Registered,
    })?;
    // Counted from what the arithmetic gives now, so that it leads to the date that is promised.
    let base = if present.is_taken_over() {
        present.clone()
    } else {
        due(case, facts, accepted)?
    };
    let extension = extension_to(
        facts.calendar,
        facts.deadline_rules,
        facts.profile,
        (present, &base),
        wanted,
        facts.now,
    )?;
    let recorded = Recorded {
        reason: extension.reason.clone(),
        legal_basis: extension.legal_basis.clone(),
        details: serde_json::json!({
            "old_due_time": extension.old_due_time,
            "new_due_date": extension.new_due_date,
            "working_days": extension.working_days,
            "after_latest": extension.after_latest,
        }),
        ..Recorded::default()
    };
    // By the same arithmetic as every due date, so that a later pause moves the new one as it moves any other.
    let mut extended = case.clone();
    extended.extension = Some(extension.clone());
    let deadline = if base.is_taken_over() {
        let promised = base.promised_for(extension.new_due_date);
        promised.ok_or(ExtensionRefused::NotReached(base.due_date))?
    } else {
        due(&extended, facts, accepted)?
    };
    if deadline.due_date != extension.new_due_date {
        return Err(ExtensionRefused::NotReached(deadline.due_date).into());
    }
    case.extend(facts.now, extension, deadline)?;
    Ok(recorded)
}

impl OneStop {
    /// Extends the period of a case and gives its apology.
    pub(crate) async fn extend_deadline(
        &self,
        caller: &Caller,
        target: Target<'_, ExtendDeadlineRequest>,
        wanted: Wanted,
        answer: impl FnOnce(&Case) -> ExtendDeadlineResponse + Send,
    ) -> Result<ExtendDeadlineResponse, Error> {
        self.act(
            caller,
            ACT,
            target,
            |case, facts| {
                // The name that the unit bears on the day of the apology.
                let agency_name = self.unit_name(case.responsible_unit_id);
                judge(case, facts, Wanted { agency_name, ..wanted })
            },
            |case| Ok(answer(case)),
        )
        .await
    }
}
