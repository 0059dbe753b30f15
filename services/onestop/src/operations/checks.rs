//! What several acts check in the same way.

use super::act::Facts;
use crate::definition_error::DefinitionError;
use crate::domain::case::{Case, Deadline, FiledComponent};
use crate::domain::deadline::{Clock, NoDeadline, deadline_of};
use crate::domain::definition::Asked;
use crate::domain::pack::{Channel, ConditionFault, Procedure, Profile};
use crate::domain::party::PartyKind;
use crate::domain::transitions::State;
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

/// Demands that everything is settled without which a case of this procedure cannot be handled.
pub(crate) fn check_settled(procedure: &Procedure, profile: Profile) -> Result<(), Error> {
    procedure.fileable(profile).map_err(|open| Error::FactsNotDecided {
        procedure_code: procedure.code.to_string(),
        facts: open.into_iter().map(|fact| fact.path).collect(),
    })
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

/// Demands that behind every component there is a file, a paper or data, and that data replaces a paper only where the
/// procedure allows it.
pub(crate) fn check_contents(procedure: &Procedure, components: &[FiledComponent]) -> Result<(), Error> {
    check_known(
        procedure,
        components.iter().map(|component| component.component_code.as_str()),
    )?;
    let empty: Vec<String> = components
        .iter()
        .filter(|component| {
            let by_data = !component.replaced_by_data.is_empty();
            let data_allowed = procedure
                .component(&component.component_code)
                .is_some_and(|known| known.data_allowed);
            component.is_empty() || (by_data && !data_allowed && component.file_ids.is_empty())
        })
        .map(|component| component.component_code.clone())
        .collect();
    if empty.is_empty() {
        Ok(())
    } else {
        Err(Error::ComponentsEmpty(empty))
    }
}

/// Demands that no row of the eligibility table speaks against the case.
pub(crate) fn check_eligible(procedure: &Procedure, asked: &Asked<'_>) -> Result<(), Error> {
    match procedure.eligibility_for(asked) {
        Some(row) if !row.eligible => Err(DefinitionError::NotEligible {
            row: row.code.clone(),
            text: row.text.clone(),
            article: row.article.clone(),
        }
        .into()),
        _ => Ok(()),
    }
}

/// Demands that every component was filed in a shape that is accepted, and brings e-forms to the form in which they are kept.
/// `index` of a violation is the place in `filed`.
pub(crate) fn check_shapes_and_forms(
    procedure: &Procedure,
    channel: Channel,
    conditions: &[String],
    filed: &mut [FiledComponent],
) -> Result<(), Error> {
    let wrong = procedure.wrong_shapes(channel, conditions, filed);
    if !wrong.is_empty() {
        return Err(DefinitionError::Shapes(wrong).into());
    }
    Ok(procedure.check_forms(filed).map_err(DefinitionError::Forms)?)
}

/// Demands that nothing is missing which the procedure requires under these conditions.
pub(crate) fn check_complete(
    procedure: &Procedure,
    conditions: &[String],
    filed: &[(&str, bool)],
) -> Result<(), Error> {
    let missing = procedure.missing_components(conditions, filed);
    if missing.is_empty() {
        Ok(())
    } else {
        Err(Error::ComponentsMissing(
            missing.iter().map(|missing| missing.any_of.join(" | ")).collect(),
        ))
    }
}

/// Demands that the procedure is for this kind of owner.
pub(crate) fn check_applicant(procedure: &Procedure, owner: PartyKind) -> Result<(), Error> {
    let person = owner == PartyKind::Citizen;
    if procedure
        .applicants
        .iter()
        .any(|applicant| applicant.is_person() == person)
    {
        Ok(())
    } else {
        Err(Error::ApplicantNotEligible)
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
        &Clock {
            accepted,
            pauses: &case.pauses,
            extended_by: case.extended_by(),
        },
    )
    .map_err(|refused| no_deadline(procedure, refused))
}

/// Why a due date could not be worked out, as a caller can act on it.
pub(crate) fn no_deadline(procedure: &Procedure, refused: NoDeadline) -> Error {
    match refused {
        NoDeadline::NotDecided(channel) => Error::FactNotDecided(format!("{} {channel} time", procedure.code)),
        NoDeadline::Calendar(error) => Error::Calendar(error),
    }
}

/// Works out the due date again when a pause has ended, whichever act ended it. Where it cannot be worked out any more
/// and the case has ended, the date that was promised stays: nobody is kept from a result by a missing date.
pub(crate) fn go_on(before: &Case, after: &mut Case, facts: &Facts<'_>) -> Result<(), Error> {
    if !before.is_paused() || after.is_paused() {
        return Ok(());
    }
    let Some(accepted) = after.accept_time.filter(|_| before.accept_time.is_some()) else {
        return Ok(());
    };
    match due(after, facts, accepted) {
        Ok(deadline) => after.deadline = Some(deadline),
        Err(refused) if after.state == State::Processing => return Err(refused),
        Err(_) => {}
    }
    Ok(())
}
