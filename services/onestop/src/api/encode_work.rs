//! From the domain to the contract: tasks, marks, comments.

use egov_proto::egov::onestop::v1 as proto;
use egov_proto::egov::types::v1::LocalizedText;
use egov_proto::timestamp;
use uuid::Uuid;

use super::{encode, encode_deadlines};
use crate::domain::transitions::Transitions;
use crate::domain::work::mark::{Mark, Marked};
use crate::domain::work::task::{Task, TaskEntry};
use crate::operations::work::{Comment, ListedTask, OwnEntry, TaskDetails, TaskView};

fn id(id: Option<Uuid>) -> String {
    id.map(|id| id.to_string()).unwrap_or_default()
}

/// A task with the names of its step and case.
pub(super) fn task(view: &TaskView) -> proto::Task {
    let internal = view.internal.as_ref();
    proto::Task {
        case_code: view.case_code.clone(),
        case_state: encode::state(view.case_state),
        procedure_code: view.procedure_code.clone(),
        procedure_name: view.procedure_name.clone(),
        step_name: view.step_name.clone(),
        internal_step: internal.map(|step| step.code.clone()).unwrap_or_default(),
        internal_step_name: internal.map(|step| LocalizedText {
            vi: step.name.clone(),
            en: step.name_en.clone(),
        }),
        internal_step_state: internal.map(|step| encode::state(step.state)).unwrap_or_default(),
        outcomes: view.outcomes.clone(),
        ..bare_task(&view.task)
    }
}

/// A task by itself.
fn bare_task(task: &Task) -> proto::Task {
    proto::Task {
        task_id: task.task_id.to_string(),
        case_id: task.case_id.to_string(),
        number: task.number,
        kind: i32::from(task.kind.number()),
        step: task.step.clone(),
        role: task.role.clone(),
        responsible_unit_id: task.responsible_unit_id,
        state: i32::from(task.state.number()),
        assignee_id: id(task.assignee_id),
        delegator_id: id(task.delegator_id),
        create_time: Some(timestamp(task.create_time)),
        assign_time: task.assign_time.map(timestamp),
        finish_time: task.finish_time.map(timestamp),
        finished_by_id: id(task.finished_by),
        asked_by_task_id: id(task.consultation.asked_by_task),
        asking_unit_id: task.consultation.asking_unit_id.unwrap_or_default(),
        question: task.consultation.question.clone(),
        opinion: task.consultation.opinion.clone(),
        agrees: task.consultation.agrees,
        outcome: task.outcome.clone(),
        etag: task.etag(),
        ..Default::default()
    }
}

pub(super) fn inbox_item(listed: ListedTask) -> proto::InboxItem {
    proto::InboxItem {
        task: Some(task(&listed.view)),
        case: Some(encode::summary(listed.case)),
        open_marks: i32::try_from(listed.open_marks).unwrap_or(i32::MAX),
        reception: listed.reception.as_ref().map(encode_deadlines::reception),
    }
}

pub(super) fn details(details: TaskDetails) -> proto::GetTaskResponse {
    let opinions = details.opinions.into_iter().map(|opinion| {
        let view = TaskView {
            task: opinion,
            outcomes: Vec::new(),
            ..details.view.clone()
        };
        task(&view)
    });
    proto::GetTaskResponse {
        opinions: opinions.collect(),
        task: Some(task(&details.view)),
        history: details.history.into_iter().map(entry).collect(),
        open_marks: details.marks.iter().map(mark).collect(),
    }
}

fn entry(entry: TaskEntry) -> proto::TaskEntry {
    proto::TaskEntry {
        version: entry.version,
        operation: entry.operation,
        actor_id: entry.actor_id.to_string(),
        on_behalf_of_id: id(entry.on_behalf_of),
        assignee_id: id(entry.assignee_id),
        reason: entry.reason,
        record_time: Some(timestamp(entry.record_time)),
    }
}

pub(super) fn mark(mark: &Mark) -> proto::Mark {
    let (field, component_code) = match &mark.on {
        Marked::Field(path) => (path.clone(), String::new()),
        Marked::Component(code) => (String::new(), code.clone()),
    };
    proto::Mark {
        mark_id: mark.mark_id.to_string(),
        task_id: mark.task_id.to_string(),
        field,
        component_code,
        text: mark.text.clone(),
        author_id: mark.author_id.to_string(),
        create_time: Some(timestamp(mark.create_time)),
    }
}

pub(super) fn comment(comment: &Comment) -> proto::Comment {
    proto::Comment {
        comment_id: comment.comment_id.to_string(),
        case_id: comment.case_id.to_string(),
        task_id: id(comment.task_id),
        author_id: comment.author_id.to_string(),
        text: comment.text.clone(),
        create_time: Some(timestamp(comment.create_time)),
    }
}

pub(super) fn own_entry(entry: OwnEntry, names: Option<&Transitions>) -> proto::OwnHistoryEntry {
    proto::OwnHistoryEntry {
        version: entry.version,
        operation: entry.operation,
        state: encode::state(entry.to_state),
        state_name: names.map(|names| {
            let info = names.info(entry.to_state);
            LocalizedText {
                vi: info.name.clone(),
                en: info.name_en.clone(),
            }
        }),
        reason: entry.reason,
        legal_basis: entry.legal_basis,
        time: Some(timestamp(entry.record_time)),
    }
}
