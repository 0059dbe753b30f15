//! What several acts check in the same way.

use super::act::Facts;
use crate::domain::case::{Case, Deadline};
use crate::domain::deadline::{NoDeadline, deadline_of};
use crate::domain::pack::{ConditionFault, Procedure};
use crate::error::Error;

/// Demands that every component code belongs to the procedure.
pub(crate) fn check_known<'a>(procedure: &Procedure, codes: impl IntoIterator<Item = &'a str>) -> Result<(), Error> {
    let unknown = procedure.unknown_components(codes);
    if unknown.is_empty() {
        Ok(())
    } else {
        Err(Error::ComponentsUnknown(unknown))
    }
}

/// Demands that the conditions stated belong to the procedure, and that of each choice exactly one was stated.
pub(crate) fn check_conditions(procedure: &Procedure, stated: &[String]) -> Result<(), Error> {
    let faults = procedure.condition_faults(stated);
    if faults.is_empty() {
        return Ok(());
    }
    let shown = faults.iter().map(|fault| match fault {
        ConditionFault::Unknown { code } | ConditionFault::FollowsFromChannel { code } => code.clone(),
        ConditionFault::Choice { choice, one_of, .. } => format!("{choice}: {}", one_of.join(" | ")),
    });
    Err(Error::ConditionsUnknown(shown.collect()))
}

/// Demands that what was filed is what the procedure requires under these conditions.
pub(crate) fn check_components(
    procedure: &Procedure,
    conditions: &[String],
    filed: &[(&str, bool)],
) -> Result<(), Error> {
    check_known(procedure, filed.iter().map(|(code, _)| *code))?;
    let missing = procedure.missing_components(conditions, filed);
    if missing.is_empty() {
        Ok(())
    } else {
        Err(Error::ComponentsMissing(
            missing.iter().map(|missing| missing.any_of.join(" | ")).collect(),
        ))
    }
}

/// The due date of a case by these facts, counted from its acceptance.
pub(crate) fn due(case: &Case, facts: &Facts<'_>, accepted: jiff::Timestamp) -> Result<Deadline, Error> {
    let procedure = &facts.procedure.procedure;
    deadline_of(
        facts.calendar,
        procedure,
        facts.profile,
        case.channel,
        &case.conditions,
        accepted,
        &case.pauses,
    )
    .map_err(|refused| match refused {
        NoDeadline::NotDecided(channel) => Error::FactNotDecided(format!("{} {channel} time", procedure.code)),
        NoDeadline::Calendar(error) => Error::Calendar(error),
    })
}

/// Works out the due date again after a pause, if the clock goes on.
pub(crate) fn go_on(case: &mut Case, facts: &Facts<'_>) -> Result<(), Error> {
    if let Some(accepted) = case.accept_time.filter(|_| !case.is_paused()) {
        case.deadline = Some(due(case, facts, accepted)?);
    }
    Ok(())
}
