//! LintDraft: whether a draft can work, by everything that the service knows: the transitions, the policies, the tree of units,
//! and of identity where the roles are held.

use std::collections::{BTreeMap, BTreeSet};

use egov_auth::{Caller, Over};
use egov_calendar::WorkCalendar;
use egov_directory::{Unit, UnitKind, Units};
use jiff::civil::Date;
use uuid::Uuid;

use super::{OneStop, level_of};
use crate::domain::definition::draft::Draft;
use crate::domain::definition::lint::{CompetentUnit, Context, Finding, OFFICE_MINUTES, Roles, Staffing, in_order};
use crate::domain::definition::{lint, text};
use crate::domain::pack::{Level, Procedure};
use crate::error::Error;
use crate::staffing::HeldAt;

/// What the linter made of a text.
pub(crate) struct Linted {
    /// Everything that it found, errors first.
    pub(crate) findings: Vec<Finding>,
    /// What the text says, if it can be read.
    pub(crate) procedure: Option<Procedure>,
}

impl OneStop {
    /// Checks a draft that the caller sees. Identity is asked with the caller's own token.
    pub(crate) async fn lint_draft(
        &self,
        caller: &Caller,
        token: &str,
        draft_id: Uuid,
    ) -> Result<(Draft, Linted), Error> {
        let draft = self.draft(caller, draft_id).await?;
        let linted = self.lint_text(caller, token, &draft.definition).await;
        Ok((draft, linted))
    }

    /// Checks a text.
    pub(crate) async fn lint_text(&self, caller: &Caller, token: &str, definition: &str) -> Linted {
        let (procedure, mut findings) = text::read(definition);
        let Some(procedure) = procedure else {
            return Linted {
                findings: in_order(findings),
                procedure: None,
            };
        };
        let (law, today) = (self.law.get(), self.clock.today());
        let wanted: BTreeSet<String> = procedure.steps.iter().map(|step| step.role.clone()).collect();
        let held = self.holders.held(&wanted, token).await;
        let units = self.directory.units();
        let staffing = staffing(&procedure, &units, today, caller, &wanted, &held);
        let roles = roles(caller);
        let context = Context {
            transitions: law.transitions(&procedure.transitions).ok(),
            office_minutes: office_minutes(&law.calendar, today),
            profile: Some(self.profile),
            roles: Some(&roles),
            staffing: Some(&staffing),
        };
        findings.extend(lint(&procedure, &context));
        Linted {
            findings: in_order(findings),
            procedure: Some(procedure),
        }
    }
}

/// Office minutes of the day, as the calendar has them.
pub(crate) fn office_minutes(calendar: &WorkCalendar, on: Date) -> u32 {
    let minutes: i64 = calendar
        .office_hours()
        .parts(on)
        .iter()
        .map(|part| (part.end.duration_since(part.start)).as_mins())
        .sum();
    u32::try_from(minutes)
        .ok()
        .filter(|minutes| *minutes > 0)
        .unwrap_or(OFFICE_MINUTES)
}

/// What each role may do, by the policies.
fn roles(caller: &Caller) -> Roles {
    let policies = caller.policies();
    let mut roles: Roles = policies
        .roles()
        .map(|role| (role.name.clone(), BTreeSet::new()))
        .collect();
    for grant in policies.grants() {
        if let Some(may) = roles.get_mut(&grant.role) {
            may.extend(grant.permissions.iter().cloned());
        }
    }
    roles
}

/// The units that are competent for a procedure: every commune, and at the province the one that its agency names.
fn competent(procedure: &Procedure, units: &Units, on: Date) -> Vec<CompetentUnit> {
    let named = |unit: &Unit| {
        procedure.agency.as_deref().is_some_and(|agency| {
            egov_codes::fold(agency.trim()).to_lowercase() == egov_codes::fold(&unit.name).to_lowercase()
        })
    };
    units
        .on(on)
        .filter(|unit| match level_of(unit.kind) {
            Some(Level::Commune) => {
                procedure.levels.contains(&Level::Commune) && unit.kind != UnitKind::CommuneDepartment
            }
            Some(Level::Province) => procedure.levels.contains(&Level::Province) && named(unit),
            _ => false,
        })
        .map(|unit| CompetentUnit {
            unit_id: unit.id,
            code: unit.code.clone(),
            name: unit.name.clone(),
        })
        .collect()
}

/// Over which units each role is held, as far as it was told. A role is unknown unless it was told of every competent unit.
fn staffing(
    procedure: &Procedure,
    units: &Units,
    on: Date,
    caller: &Caller,
    wanted: &BTreeSet<String>,
    told: &BTreeMap<String, HeldAt>,
) -> Staffing {
    let competent = competent(procedure, units, on);
    let above = |unit: i32| {
        let mut chain = vec![unit];
        while let Some(parent) = chain.last().and_then(|id| units.get(*id)).and_then(|unit| unit.parent) {
            if chain.contains(&parent) {
                break;
            }
            chain.push(parent);
        }
        chain
    };
    let held = wanted.iter().map(|role| {
        let of_role = told.get(role).and_then(|at| {
            let seen = |unit: i32| {
                let chain = above(unit);
                at.seen
                    .iter()
                    .any(|(place, below)| *place == unit || (*below && chain.contains(place)))
            };
            if !competent.iter().all(|unit| seen(unit.unit_id)) {
                return None;
            }
            let reach: Vec<Over> = caller
                .policies()
                .grants()
                .iter()
                .filter(|grant| grant.role == *role)
                .map(|grant| grant.over)
                .collect();
            let covers = |unit: i32| {
                let chain = above(unit);
                reach.iter().any(|over| match over {
                    Over::All => !at.units.is_empty(),
                    Over::Subtree => chain.iter().any(|id| at.units.contains(id)),
                    Over::Unit => at.units.contains(&unit),
                    Over::None => false,
                })
            };
            let covered = competent.iter().map(|unit| unit.unit_id).filter(|unit| covers(*unit));
            Some(covered.collect::<BTreeSet<i32>>())
        });
        (role.clone(), of_role)
    });
    Staffing {
        held: held.collect(),
        units: competent,
    }
}
