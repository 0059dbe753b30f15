//! From the domain to the contract: drafts, findings, simulations, migrations, and what a definition adds to a procedure.

use aws_lc_rs::digest;
use egov_proto::egov::onestop::v1 as proto;
use egov_proto::egov::types::v1::LocalizedText;
use egov_proto::google::r#type::{Date, Money};
use egov_proto::timestamp;

use super::encode;
use crate::domain::case::Case;
use crate::domain::deadline::basis_of;
use crate::domain::definition::draft::{Draft, DraftChange, DraftState, Migration, Outcome};
use crate::domain::definition::lint::{Finding, Severity};
use crate::domain::definition::migrate::{Hindrance, Migrated, words_of};
use crate::domain::definition::outcome_mapping::Outcomes;
use crate::domain::definition::replay::{Handler, Replayed, Summed};
use crate::domain::definition::{Branch, EligibilityRow, FeeRow, RowWhen, Way};
use crate::domain::pack::{Component, Procedure, Step, TimeUnit};
use crate::domain::party::PartyKind;

fn draft_state(state: DraftState) -> i32 {
    match state {
        DraftState::Open => proto::DraftState::Open,
        DraftState::Published => proto::DraftState::Published,
        DraftState::Discarded => proto::DraftState::Discarded,
    }
    .into()
}

/// A draft with its text.
pub(super) fn draft(draft: &Draft) -> proto::Draft {
    proto::Draft {
        draft_id: draft.draft_id.to_string(),
        procedure_code: draft.procedure_code.clone(),
        base_version: draft.base_version.unwrap_or_default(),
        state: draft_state(draft.state),
        definition: draft.definition.clone(),
        note: draft.note.clone(),
        published_version: draft.published_version.unwrap_or_default(),
        etag: draft.etag(),
        create_time: Some(timestamp(draft.create_time)),
        update_time: Some(timestamp(draft.update_time)),
        version: draft.version,
    }
}

/// A draft as a list shows it.
pub(super) fn listed_draft(listed: &Draft) -> proto::Draft {
    proto::Draft {
        definition: String::new(),
        ..draft(listed)
    }
}

pub(super) fn change(change: &DraftChange) -> proto::DraftChange {
    proto::DraftChange {
        version: change.version,
        operation: change.operation.clone(),
        state: draft_state(change.state),
        actor_id: change.actor_id.to_string(),
        on_behalf_of_id: change.on_behalf_of.map(|id| id.to_string()).unwrap_or_default(),
        note: change.note.clone(),
        definition_sha256: hex::encode(digest::digest(&digest::SHA256, change.definition.as_bytes())),
        record_time: Some(timestamp(change.record_time)),
        accept_unknown_holders_reason: change.accepted_unknown_holders.clone(),
    }
}

pub(super) fn finding(finding: &Finding) -> proto::Finding {
    let severity = match finding.severity() {
        Severity::Error => proto::FindingSeverity::Error,
        Severity::Warning => proto::FindingSeverity::Warning,
    };
    proto::Finding {
        path: finding.path.clone(),
        kind: finding.kind.as_str(),
        severity: severity.into(),
        text: Some(LocalizedText {
            vi: finding.vi.clone(),
            en: finding.en.clone(),
        }),
    }
}

fn handlers(handlers: &[Handler]) -> Vec<proto::StepHandler> {
    handlers
        .iter()
        .map(|handler| proto::StepHandler {
            step: handler.step.clone(),
            role: handler.role.clone(),
        })
        .collect()
}

/// What a draft would have made of a case; nothing of its people.
pub(super) fn simulated(case: &Case, replayed: &Replayed) -> proto::SimulatedCase {
    proto::SimulatedCase {
        case_id: case.case_id.to_string(),
        case_code: case.case_code.clone(),
        procedure_version: case.procedure_version,
        responsible_unit_id: case.responsible_unit_id,
        due_date: replayed.due_then.map(Date::from),
        draft_due_date: replayed.due_draft.map(Date::from),
        late: replayed.late_then,
        draft_late: replayed.late_draft,
        fees: Some(Money::vnd(replayed.fees_then)),
        draft_fees: Some(Money::vnd(replayed.fees_draft)),
        draft_fee_items: replayed.fees.iter().map(encode::fee).collect(),
        not_eligible_row: replayed.not_eligible.clone().unwrap_or_default(),
        missing_components: replayed.missing.clone(),
        wrong_shapes: replayed
            .wrong_shapes
            .iter()
            .map(|wrong| wrong.component_code.clone())
            .collect(),
        not_offered: replayed.conditions_wrong || !replayed.offered,
        handlers: handlers(&replayed.handlers_then),
        draft_handlers: handlers(&replayed.handlers_draft),
    }
}

fn count(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

pub(super) fn summary(summed: &Summed) -> proto::SimulationSummary {
    proto::SimulationSummary {
        cases: count(summed.cases),
        due_earlier: count(summed.due_earlier),
        due_later: count(summed.due_later),
        late: count(summed.late_then),
        draft_late: count(summed.late_draft),
        fees: Some(Money::vnd(summed.fees_then)),
        draft_fees: Some(Money::vnd(summed.fees_draft)),
        not_filed: count(summed.not_filed),
        draft_steps: summed
            .steps_by_role
            .iter()
            .map(|(role, steps)| proto::RoleLoad {
                role: role.clone(),
                steps: count(*steps),
            })
            .collect(),
    }
}

fn hindrance(hindrance: Hindrance, (vi, en): (String, String)) -> proto::Hindrance {
    proto::Hindrance {
        kind: hindrance.as_str().to_owned(),
        text: Some(LocalizedText { vi, en }),
    }
}

/// What a migration would make of a case; nothing of its people.
pub(super) fn previewed(case: &Case, outcome: &Result<Migrated, Vec<Hindrance>>) -> proto::MigrationPreview {
    let due = |case: &Case| case.deadline.as_ref().map(|deadline| deadline.due_date.into());
    let moved = outcome.as_ref().ok();
    proto::MigrationPreview {
        case_id: case.case_id.to_string(),
        case_code: case.case_code.clone(),
        state: encode::state(case.state),
        step: case.step.clone(),
        new_step: moved.map(|moved| moved.case.step.clone()).unwrap_or_default(),
        due_date: due(case),
        new_due_date: moved.and_then(|moved| due(&moved.case)),
        missing_components: moved.map(|moved| moved.missing.clone()).unwrap_or_default(),
        hindrances: outcome
            .as_ref()
            .err()
            .into_iter()
            .flatten()
            .map(|kept| hindrance(*kept, words_of(*kept, case)))
            .collect(),
        outcome: case.step_outcome.clone(),
        new_outcome: moved.map(|moved| moved.case.step_outcome.clone()).unwrap_or_default(),
    }
}

pub(super) fn migration(migration: &Migration) -> proto::Migration {
    let state = if migration.finished {
        proto::MigrationState::Finished
    } else {
        proto::MigrationState::Running
    };
    proto::Migration {
        migration_id: migration.migration_id.to_string(),
        procedure_code: migration.procedure_code.clone(),
        from_version: migration.from_version,
        to_version: migration.to_version,
        steps: migration
            .steps
            .iter()
            .map(|(from, to)| proto::StepMapping {
                from: from.clone(),
                to: to.clone(),
            })
            .collect(),
        reason: migration.reason.clone(),
        legal_basis: migration.legal_basis.clone(),
        state: state.into(),
        moved: migration.moved,
        kept: migration.kept,
        create_time: Some(timestamp(migration.create_time)),
        update_time: Some(timestamp(migration.update_time)),
        outcomes: outcome_mappings(&migration.outcomes),
    }
}

fn outcome_mappings(outcomes: &Outcomes) -> Vec<proto::OutcomeMapping> {
    let of_step = outcomes.iter().flat_map(|(step, of_step)| {
        of_step.iter().map(move |(from, to)| proto::OutcomeMapping {
            step: step.clone(),
            from: from.clone(),
            to: to.clone(),
        })
    });
    of_step.collect()
}

pub(super) fn outcome(outcome: &Outcome) -> proto::MigratedCase {
    let words = |kept: Hindrance| {
        let (vi, en) = kept.words();
        (vi.to_owned(), en.to_owned())
    };
    proto::MigratedCase {
        case_id: outcome.case_id.to_string(),
        moved: outcome.hindrances.is_empty(),
        hindrances: outcome
            .hindrances
            .iter()
            .map(|kept| hindrance(*kept, words(*kept)))
            .collect(),
        record_time: Some(timestamp(outcome.record_time)),
    }
}

fn when(when: &RowWhen) -> proto::RowCondition {
    let applicant = match when.applicant {
        None => proto::ApplicantKind::Unspecified,
        Some(PartyKind::Citizen) => proto::ApplicantKind::Citizen,
        Some(PartyKind::Organisation) => proto::ApplicantKind::Organisation,
    };
    proto::RowCondition {
        channels: when.channels.iter().map(|channel| encode::channel(*channel)).collect(),
        applicant: applicant.into(),
        all_conditions: when.all.clone(),
        no_conditions: when.none.clone(),
    }
}

fn eligibility_row(row: &EligibilityRow) -> proto::EligibilityRow {
    proto::EligibilityRow {
        code: row.code.clone(),
        when: Some(when(&row.when)),
        eligible: row.eligible,
        text: row.text.clone(),
        article: row.article.clone(),
        effective_from: Some(row.effective_from.into()),
        effective_to: row.effective_to.map(Date::from),
        basis: Some(encode::basis(&basis_of(&row.fact))),
    }
}

fn fee_row(row: &FeeRow) -> proto::FeeRow {
    proto::FeeRow {
        code: row.code.clone(),
        fee_code: row.fee.clone(),
        when: Some(when(&row.when)),
        amount: row.amount_vnd.map(Money::vnd),
        article: row.article.clone(),
        effective_from: Some(row.effective_from.into()),
        effective_to: row.effective_to.map(Date::from),
        basis: Some(encode::basis(&basis_of(&row.fact))),
    }
}

/// Adds what only who reads one procedure is shown: decision tables and e-forms.
pub(super) fn with_tables(procedure: &Procedure, shown: proto::Procedure) -> proto::Procedure {
    let title = |schema: &str| {
        let schema: Option<serde_json::Value> = serde_json::from_str(schema).ok();
        let title = schema.as_ref().and_then(|schema| schema.get("title")?.as_str());
        title.unwrap_or_default().to_owned()
    };
    proto::Procedure {
        eligibility: procedure.eligibility.iter().map(eligibility_row).collect(),
        fee_rows: procedure.fee_rows.iter().map(fee_row).collect(),
        forms: procedure
            .forms
            .iter()
            .map(|form| proto::ProcedureForm {
                code: form.code.clone(),
                title: title(&form.schema),
                schema: form.schema.clone(),
            })
            .collect(),
        ..shown
    }
}

fn way(way: &Way) -> proto::ComponentWay {
    proto::ComponentWay {
        channels: way.channels.iter().map(|channel| encode::channel(*channel)).collect(),
        condition_code: way.when.clone().unwrap_or_default(),
        accepts: way.accepts.iter().map(|shape| shape.as_str().to_owned()).collect(),
    }
}

/// Adds the shapes of a component, its e-form and its reuse.
pub(super) fn with_ways(component: &Component, shown: proto::ProcedureComponent) -> proto::ProcedureComponent {
    let reuse = component.reuse.as_ref();
    proto::ProcedureComponent {
        ways: component.ways.iter().map(way).collect(),
        form_code: component.e_form.clone().unwrap_or_default(),
        reuse_source: reuse.map(|reuse| reuse.source.clone()).unwrap_or_default(),
        reuse_valid_days: reuse.and_then(|reuse| reuse.valid_days).map(count).unwrap_or_default(),
        ..shown
    }
}

fn branch(branch: &Branch) -> proto::StepBranch {
    proto::StepBranch {
        to: branch.to.clone(),
        condition_code: branch.when.clone().unwrap_or_default(),
        outcome: branch.outcome.clone().unwrap_or_default(),
    }
}

/// Adds the time of a step and what follows it.
pub(super) fn with_branches(procedure: &Procedure, step: &Step, shown: proto::ProcedureStep) -> proto::ProcedureStep {
    let unit = step.time.and_then(|time| time.unit).map(|unit| match unit {
        TimeUnit::WorkingDay => proto::TimeUnit::WorkingDay,
        TimeUnit::Day => proto::TimeUnit::Day,
        TimeUnit::WorkingHour => proto::TimeUnit::WorkingHour,
        TimeUnit::Hour => proto::TimeUnit::Hour,
        TimeUnit::SameDay => proto::TimeUnit::SameDay,
    });
    proto::ProcedureStep {
        time_value: step.time.and_then(|time| time.value).map(count).unwrap_or_default(),
        time_unit: unit.unwrap_or_default().into(),
        next: procedure.branches(step).iter().map(branch).collect(),
        ..shown
    }
}
