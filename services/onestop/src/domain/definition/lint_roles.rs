//! The linter's look at roles: whether the policies know them, whether they may do what the step needs, and whether
//! somebody holds them at every competent unit.

use super::lint::{Context, FindingKind, Found, step_path};
use crate::domain::pack::Procedure;
use crate::domain::transitions::State;

/// The permission without which nobody brings a case into a state.
pub(super) const fn needed_for(state: State) -> &'static str {
    match state {
        State::Registered => "onestop.cases.submit",
        State::Accepted | State::Rejected => "onestop.cases.accept",
        State::Processing | State::SupplementRequested | State::PaymentRequested => "onestop.cases.process",
        State::Withdrawn => "onestop.cases.withdraw",
        State::Stopped => "onestop.cases.stop",
        State::Completed => "onestop.cases.approve",
        State::Returned => "onestop.cases.return",
    }
}

/// Most units that one finding names.
const NAMED: usize = 5;

/// Looks at the role of every step.
pub(super) fn roles(procedure: &Procedure, context: &Context<'_>, found: &mut Found) {
    for step in &procedure.steps {
        let path = format!("{}.role", step_path(&step.code));
        let role = &step.role;
        if let Some(roles) = context.roles {
            let needed = needed_for(step.state);
            match roles.get(role) {
                None => {
                    found.say(
                        FindingKind::RoleUnknown,
                        path,
                        format!("không có vai trò {role}"),
                        format!("no policy declares the role {role}"),
                    );
                    continue;
                }
                Some(may) if !may.contains(needed) => found.say(
                    FindingKind::RoleMayNot,
                    &path,
                    format!("vai trò {role} không có quyền {needed} mà bước này cần"),
                    format!("the role {role} lacks {needed}, which the step needs"),
                ),
                Some(_) => {}
            }
        }
        if let Some(staffing) = context.staffing {
            match staffing.held.get(role) {
                None | Some(None) => found.say(
                    FindingKind::HoldersUnknown,
                    path,
                    format!("không biết ai đang giữ vai trò {role}"),
                    format!("who holds the role {role} could not be learned"),
                ),
                Some(Some(held)) => {
                    let without: Vec<_> = staffing
                        .units
                        .iter()
                        .filter(|unit| !held.contains(&unit.unit_id))
                        .collect();
                    if without.is_empty() {
                        continue;
                    }
                    let named: Vec<String> = without
                        .iter()
                        .take(NAMED)
                        .map(|unit| format!("{} ({})", unit.name, unit.code))
                        .collect();
                    let (count, named) = (without.len(), named.join(", "));
                    found.say(
                        FindingKind::RoleNotHeld,
                        path,
                        format!("{count} đơn vị có thẩm quyền không có ai giữ vai trò {role}: {named}"),
                        format!("at {count} competent units nobody holds the role {role}: {named}"),
                    );
                }
            }
        }
    }
    if context.staffing.is_some_and(|staffing| staffing.units.is_empty()) {
        found.say(
            FindingKind::CompetentUnitsUnknown,
            "agency",
            "không xác định được đơn vị có thẩm quyền nào; không kiểm tra được vai trò",
            "no competent unit follows from levels and agency; where roles are held was not looked at",
        );
    }
}
