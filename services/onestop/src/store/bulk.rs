//! Cases by COPY: the rows that [`super::cases`] and [`super::history`] would have left, in their order.

use egov_database::{BulkLoad, CopyRows, JsonText};
use egov_fault::Fault;
use sqlx::PgConnection;
use uuid::Uuid;

use super::StoreError;
use super::deadlines::notice_of;
use super::statistics::IN_TIME;
use crate::domain::case::Case;
use crate::domain::charge::{Charge, is_obliged};
use crate::domain::forecast::DueNext;
use crate::domain::listing::{DeadlineChanged, HistoryEntry};
use crate::domain::search::{kept_beside, tokens_of};
use crate::domain::statistics::Key;
use crate::domain::transitions::State;
use crate::domain::work::task::Task;
use jiff::Timestamp;

/// Rows of every table that a case has, ready to be copied.
#[derive(Debug, Default)]
pub(crate) struct CaseRows {
    cases: CopyRows,
    components: CopyRows,
    pauses: CopyRows,
    results: CopyRows,
    returns: CopyRows,
    ratings: CopyRows,
    history: CopyRows,
    tokens: CopyRows,
    received_tokens: CopyRows,
    tasks: CopyRows,
    deadlines: CopyRows,
    changes: CopyRows,
    counted: CopyRows,
    unsettled: CopyRows,
}

impl CaseRows {
    /// Adds a case as it is; `update_time` is the instant of its last act.
    pub(crate) fn push(&mut self, case: &Case, update_time: Timestamp) -> Result<(), serde_json::Error> {
        let owner = serde_json::to_vec(&case.owner)?;
        let submitter = case.submitter.as_ref().map(serde_json::to_vec).transpose()?;
        let deadline = case.deadline.as_ref().map(serde_json::to_vec).transpose()?;
        let fees = serde_json::to_vec(&case.fees)?;
        let items = serde_json::to_vec(&case.supplement_items)?;
        self.cases.push(&[
            &case.case_id,
            &case.case_code,
            &case.code_provisional,
            &case.procedure_code,
            &case.procedure_version,
            &case.state.code(),
            &case.entered_from.map(State::code),
            &case.step,
            &case.step_outcome,
            &case.channel.number(),
            &case.responsible_unit_id,
            &case.receiving_unit_id,
            &case.support_unit_id,
            &case.owner_id,
            &case.assignee_id,
            &JsonText(&owner),
            &submitter.as_deref().map(JsonText),
            &case.subject,
            &case.conditions.as_slice(),
            &case.submit_time,
            &case.accept_time,
            &case.deadline.as_ref().map(|deadline| deadline.due_date),
            &case.deadline.as_ref().map(|deadline| deadline.due_time),
            &deadline.as_deref().map(JsonText),
            &JsonText(&fees),
            &JsonText(&items),
            &case.supplement_rounds,
            &case.lookup_secret.as_slice(),
            &case.version,
            &case.submit_time,
            &update_time,
        ]);
        self.push_unsettled(case);
        for (position, component) in case.components.iter().enumerate() {
            self.components.push(&[
                &case.case_id,
                &component.round,
                &(position as i32),
                &component.component_code,
                &component.originals,
                &component.copies,
                &component.replaced_by_data,
                &component.file_ids.as_slice(),
            ]);
        }
        for (number, pause) in case.pauses.iter().enumerate() {
            self.pauses.push(&[
                &case.case_id,
                &(number as i32),
                &pause.state.code(),
                &pause.start,
                &pause.end,
            ]);
        }
        for (position, result) in case.results.iter().enumerate() {
            self.results.push(&[
                &case.case_id,
                &(position as i32),
                &result.result_code,
                &result.number,
                &result.file_id,
            ]);
        }
        if let Some(returned) = &case.returned {
            self.returns.push(&[
                &case.case_id,
                &returned.channel.number(),
                &returned.recipient_name,
                &returned.time,
            ]);
        }
        if let Some(rating) = &case.rating {
            self.ratings
                .push(&[&case.case_id, &rating.score, &rating.comment, &rating.time]);
        }
        let tokens = tokens_of(case);
        let beside = kept_beside(&tokens);
        for token in tokens {
            self.tokens.push(&[
                &case.responsible_unit_id,
                &token,
                &case.owner_id,
                &case.case_id,
                &case.submit_time,
                &beside,
            ]);
            if let Some(receiving_unit_id) = case.received_elsewhere() {
                self.received_tokens.push(&[
                    &receiving_unit_id,
                    &case.responsible_unit_id,
                    &token,
                    &case.case_id,
                    &case.submit_time,
                    &beside,
                ]);
            }
        }
        Ok(())
    }

    /// Adds what the case owes: nothing was done with its charge.
    fn push_unsettled(&mut self, case: &Case) {
        let (Some(since), Some(unsettled)) = (case.accept_time, Charge::assess(case, &[]).unsettled(is_obliged(case)))
        else {
            return;
        };
        self.unsettled.push(&[
            &case.case_id,
            &case.case_code,
            &case.procedure_code,
            &case.responsible_unit_id,
            &case.owner_id,
            &unsettled.owed,
            &unsettled.in_doubt,
            &unsettled.refund_due,
            &unsettled.order_open,
            &unsettled.left_vnd,
            &unsettled.held_vnd,
            &unsettled.refund_vnd,
            &since,
        ]);
    }

    /// Adds what is due next of an open case.
    pub(crate) fn push_due(&mut self, next: &DueNext) {
        let (notice_kind, notice_time) = notice_of(next);
        self.deadlines.push(&[
            &next.case_id,
            &next.case_code,
            &next.procedure_code,
            &next.procedure_version,
            &next.state.code(),
            &next.recorded_step,
            &next.current_step,
            &next.responsible_unit_id,
            &next.owner_id,
            &next.assignee_id,
            &next.due_time,
            &next.step_since,
            &next.step_end,
            &next.latest_step_end,
            &next.at_risk_from,
            &notice_kind,
            &notice_time,
            &next.calendar,
        ]);
    }

    /// Adds that a due date moved.
    pub(crate) fn push_change(&mut self, change: &DeadlineChanged) {
        self.changes.push(&[
            &change.case_id,
            &change.version,
            &change.cause,
            &change.old_due_time,
            &change.new_due_time,
            &change.old_calendar,
            &change.new_calendar,
            &change.responsible_unit_id,
            &change.change_time,
            &change.case_code,
            &change.owner_id,
        ]);
    }

    /// Adds an entry of the history.
    pub(crate) fn push_entry(&mut self, case_id: Uuid, entry: &HistoryEntry) -> Result<(), serde_json::Error> {
        let details = serde_json::to_vec(&entry.details)?;
        self.history.push(&[
            &case_id,
            &entry.version,
            &entry.operation,
            &entry.from_state.map(State::code),
            &entry.to_state.code(),
            &entry.step,
            &entry.actor_id,
            &entry.actor_kind,
            &entry.on_behalf_of,
            &entry.reason,
            &entry.legal_basis,
            &JsonText(&details),
            &entry.record_time,
            &entry.record_time,
        ]);
        Ok(())
    }

    /// Adds a task as it is.
    pub(crate) fn push_task(&mut self, task: &Task) {
        self.tasks.push(&[
            &task.task_id,
            &task.case_id,
            &task.number,
            &task.kind.number(),
            &task.step,
            &task.role,
            &task.responsible_unit_id,
            &task.reception_unit_id,
            &task.state.number(),
            &task.assignee_id,
            &task.create_time,
            &task.assign_time,
            &task.finish_time,
            &task.finished_by,
            &task.outcome,
            &task.version,
        ]);
    }

    /// Adds what acts changed in the figures.
    pub(crate) fn push_counted(&mut self, key: &Key, amount: i64) {
        self.counted.push(&[
            &key.unit_id,
            &key.procedure_code,
            &key.officer_id,
            &key.day,
            &key.recorded_late.unwrap_or(IN_TIME),
            &key.measure.code(),
            &i32::try_from(amount).unwrap_or(if amount < 0 { i32::MIN } else { i32::MAX }),
        ]);
    }

    /// Copies all of it, the cases first: what belongs to them refers to them.
    pub(crate) async fn copy(&self, load: &mut BulkLoad) -> Result<(), Fault> {
        load.copy(
            "cases",
            "(case_id, case_code, code_provisional, procedure_code, procedure_version, state, entered_from, step, step_outcome, channel, \
             responsible_unit_id, receiving_unit_id, support_unit_id, owner_id, assignee_id, owner, submitter, subject, \
             conditions, submit_time, accept_time, due_date, due_time, deadline, fees, supplement_items, \
             supplement_rounds, lookup_secret, version, create_time, update_time)",
            &self.cases,
        )
        .await?;
        load.copy(
            "case_components",
            "(case_id, round, position, component_code, originals, copies, replaced_by_data, file_ids)",
            &self.components,
        )
        .await?;
        load.copy(
            "case_pauses",
            "(case_id, number, state, start_time, end_time)",
            &self.pauses,
        )
        .await?;
        load.copy(
            "case_results",
            "(case_id, position, result_code, number, file_id)",
            &self.results,
        )
        .await?;
        load.copy(
            "case_returns",
            "(case_id, channel, recipient_name, return_time)",
            &self.returns,
        )
        .await?;
        load.copy("case_ratings", "(case_id, score, comment, rate_time)", &self.ratings)
            .await?;
        load.copy(
            "case_history",
            "(case_id, version, operation, from_state, to_state, step, actor_id, actor_kind, on_behalf_of, reason, \
             legal_basis, details, event_time, record_time)",
            &self.history,
        )
        .await?;
        load.copy(
            "case_tasks",
            "(task_id, case_id, number, kind, step, role, responsible_unit_id, reception_unit_id, state, assignee_id, create_time, \
             assign_time, finish_time, finished_by, outcome, version)",
            &self.tasks,
        )
        .await?;
        load.copy(
            "case_tokens",
            "(responsible_unit_id, token, owner_id, case_id, submit_time, words)",
            &self.tokens,
        )
        .await?;
        load.copy(
            "received_case_tokens",
            "(receiving_unit_id, responsible_unit_id, token, case_id, submit_time, words)",
            &self.received_tokens,
        )
        .await?;
        load.copy(
            "case_deadlines",
            "(case_id, case_code, procedure_code, procedure_version, state, recorded_step, current_step, responsible_unit_id, \
             owner_id, assignee_id, due_time, step_since, step_end, latest_step_end, at_risk_from, notice_kind, notice_time, \
             calendar_version)",
            &self.deadlines,
        )
        .await?;
        load.copy(
            "case_deadline_changes",
            "(case_id, version, cause, old_due_time, new_due_time, old_calendar, new_calendar, responsible_unit_id, change_time, \
             case_code, owner_id)",
            &self.changes,
        )
        .await?;
        load.copy(
            "unsettled_charges",
            "(case_id, case_code, procedure_code, responsible_unit_id, owner_id, owed, in_doubt, refund_due, order_open, left_vnd, \
             held_vnd, refund_vnd, since)",
            &self.unsettled,
        )
        .await?;
        load.copy(
            "statistic_changes",
            "(responsible_unit_id, procedure_code, officer_id, day, recorded, measure, amount)",
            &self.counted,
        )
        .await
    }
}

/// Whether there are cases, and whether one of them bears a code that the province has issued. Counted without a caller's
/// scope: the connection of a load is bound by none.
pub(crate) async fn present(connection: &mut PgConnection) -> Result<(bool, bool), StoreError> {
    let row = sqlx::query!(
        r#"SELECT EXISTS (SELECT 1 FROM cases) AS "any!",
                  EXISTS (SELECT 1 FROM cases WHERE NOT code_provisional) AS "issued!""#
    )
    .fetch_one(connection)
    .await?;
    Ok((row.any, row.issued))
}
