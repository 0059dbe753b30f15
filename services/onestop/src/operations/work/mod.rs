//! Việc: inbox, taking and passing on, sending back, opinions, comments. What all acts on a task share stands here.

mod ask_opinion;
mod comments;
mod complete_task;
mod get_task;
mod hand_over_tasks;
mod list_inbox;
mod own_history;
mod pass_on;
mod roles;
mod send_back_task;

use std::sync::Arc;

use egov_auth::{Caller, Resource};
use egov_database::{Event, Leaf, UnitOfWork, WriteRequest};
use egov_fault::Fault;
use jiff::Timestamp;
use prost::Message;
use uuid::Uuid;

use super::OneStop;
use super::act::Version;
use super::assign_case;
use crate::domain::case::Case;
use crate::domain::civil_decision::DECIDE;
use crate::domain::listing::Versioned;
use crate::domain::pack::{Procedure, Step};
use crate::domain::transitions::{Operation, State};
use crate::domain::work::follow::{Progress, Stand, follow, is_inner};
use crate::domain::work::internal::{InternalStep, internal_of};
use crate::domain::work::task::{KIND, Task, TaskEntry, TaskKind, WorkRefused};
use crate::error::Error;
use crate::store::{Visible, cases, marks, tasks};

pub(crate) use self::comments::{KIND as COMMENT, NewComment, canonical as canonical_comment};
pub(crate) use self::complete_task::Completion;
pub(crate) use self::get_task::TaskDetails;
pub(crate) use self::hand_over_tasks::HandOver;
pub(crate) use self::list_inbox::{InboxView, ListedTask};
pub(crate) use self::own_history::{OwnEntry, for_applicant};
pub(crate) use self::send_back_task::{CASE_ACT as SEND_BACK, MARK, SendBack, canonical as canonical_mark};
pub(crate) use crate::store::marks::Comment;

/// The permission by which a caller sees tasks.
pub(crate) const READ: &str = "onestop.tasks.read";
/// To take tasks and work on them.
const WORK: &str = "onestop.tasks.work";
/// To give tasks to others.
const ASSIGN: &str = "onestop.tasks.assign";

/// Which task a request is about, and which request it is.
pub(crate) struct TaskTarget<'a, M> {
    /// Makes a repetition safe.
    pub(crate) request_id: Uuid,
    /// The whole request, for the hash that recognises a repetition.
    pub(crate) body: &'a M,
    /// The task.
    pub(crate) task_id: Uuid,
    /// The version that the caller read.
    pub(crate) etag: &'a str,
}

/// What an act on a task is called, and what it needs.
pub(crate) struct TaskAct {
    /// Its name in the history of the task.
    operation: &'static str,
    /// Its event, in the past tense.
    event: &'static str,
    /// What the caller needs.
    permission: &'static str,
    /// The full gRPC name.
    method: &'static str,
    /// Whether the caller must hold the role that the step names: who gives work away need not.
    by_role: bool,
}

/// A task with its case, both held until the transaction ends.
pub(super) struct Held {
    pub(super) task: Task,
    pub(super) case: Case,
    pub(super) procedure: Arc<Versioned>,
}

/// A task as it is shown: with the names of its step.
#[derive(Clone)]
pub(crate) struct TaskView {
    pub(crate) task: Task,
    pub(crate) case_code: String,
    pub(crate) case_state: State,
    pub(crate) procedure_code: String,
    pub(crate) procedure_name: String,
    /// Tên bước; empty if the version has no such step.
    pub(crate) step_name: String,
    pub(crate) internal: Option<InternalStep>,
    /// The outcomes to which whoever does the step may come; none of an opinion, or if the step has none.
    pub(crate) outcomes: Vec<String>,
}

impl OneStop {
    /// Does an act on one task at most once and gives its answer. `judge` changes the task or refuses.
    async fn task_act<M, R>(
        &self,
        caller: &Caller,
        act: TaskAct,
        target: TaskTarget<'_, M>,
        reason: &str,
        judge: impl FnOnce(&mut Task, Timestamp) -> Result<(), WorkRefused> + Send,
        answer: impl FnOnce(&TaskView) -> R + Send,
    ) -> Result<R, Error>
    where
        M: Message,
        R: Message + Default,
    {
        let (request, visible) = task_write(caller, act.method, &target);
        let written = self
            .database
            .write(request, async |unit: &mut UnitOfWork<'_>| {
                let visible = sight(unit, &visible, target.task_id).await?;
                let held = self.hold(unit, &visible, target.task_id).await?;
                self.demand_act(caller, &act, &held, target.etag)?;
                let mut after = held.task.clone();
                judge(&mut after, unit.now())?;
                tasks::save(unit.conn(), &held.task, &after).await?;
                keep(unit, caller, &act, &held.case, &after, reason).await?;
                self.give_case(unit, caller, &held, &after).await?;
                Ok::<_, Error>(answer(&self.view(&held.procedure, &held.case, after)?))
            })
            .await?;
        Ok(written.into_answer())
    }

    /// A task and its case, both held: the case first, so that acts on it and on its tasks wait for one another in one order. For an
    /// opinion the case is only read: whoever is asked changes nothing of it.
    async fn hold(&self, unit: &mut UnitOfWork<'_>, visible: &Visible, task_id: Uuid) -> Result<Held, Error> {
        let seen = tasks::get(unit.conn(), task_id, visible)
            .await?
            .ok_or(WorkRefused::TaskNotFound)?;
        let case = match seen.kind {
            TaskKind::Step => cases::get_for_update(unit.conn(), seen.case_id, visible).await?,
            TaskKind::Opinion => cases::get(unit.conn(), seen.case_id, visible).await?,
        };
        let task = tasks::get_for_update(unit.conn(), task_id, visible)
            .await?
            .ok_or(WorkRefused::TaskNotFound)?;
        let Some(case) = case else {
            // Whoever was asked sees the case no longer than the question is open.
            return Err(if task.is_open() {
                WorkRefused::TaskNotFound.into()
            } else {
                WorkRefused::Closed.into()
            });
        };
        let today = unit.today();
        let procedure = self.procedure_for(unit, &case, Version::OfTheCase, today).await?;
        Ok(Held { task, case, procedure })
    }

    /// Demands permission, version and role.
    fn demand_act(&self, caller: &Caller, act: &TaskAct, held: &Held, etag: &str) -> Result<(), Error> {
        let row = task_resource(caller, act.permission, &held.task);
        caller.require(act.permission, &row)?;
        if held.task.etag() != etag {
            // Who comes second is told who came first rather than that something changed.
            if act.operation == "claim"
                && held.task.is_open()
                && let Some(holder) = held
                    .task
                    .assignee_id
                    .filter(|holder| *holder != caller.principal.subject)
            {
                return Err(WorkRefused::Taken(holder).into());
            }
            return Err(Error::StaleTask);
        }
        if act.by_role {
            let at = row.unit.unwrap_or(held.task.responsible_unit_id);
            self.require_role(caller, &held.task.role, at, &held.task.step)?;
        }
        Ok(())
    }

    /// Whoever has an inner step has the case (người được phân công): the act of assignment, where the transitions have it.
    async fn give_case(
        &self,
        unit: &mut UnitOfWork<'_>,
        caller: &Caller,
        held: &Held,
        after: &Task,
    ) -> Result<(), Error> {
        let Some(assignee) = after
            .assignee_id
            .filter(|_| after.kind == TaskKind::Step && after.is_open())
        else {
            return Ok(());
        };
        let case = &held.case;
        let inner = held.procedure.procedure.step(&after.step).is_some_and(is_inner);
        let law = self.law.get();
        let transitions = law.transitions(&held.procedure.procedure.transitions)?;
        let allowed = transitions
            .next(case.state, case.entered_from, Operation::Assign)
            .is_ok();
        let settled = case.state == State::Processing && case.assignee_id == Some(assignee);
        if inner && allowed && !settled {
            self.apply(unit, caller, &assign_case::ACT, case, |case, facts| {
                assign_case::judge(case, facts, assignee, "")
            })
            .await?;
        }
        Ok(())
    }

    /// A task as it is shown.
    fn view(&self, procedure: &Versioned, case: &Case, task: Task) -> Result<TaskView, Error> {
        let procedure = &procedure.procedure;
        let step = procedure.step(&task.step);
        let law = self.law.get();
        let internal = law.transitions(&procedure.transitions)?.internal_steps();
        Ok(TaskView {
            case_code: case.case_code.clone(),
            case_state: case.state,
            procedure_code: case.procedure_code.clone(),
            procedure_name: procedure.name.clone(),
            step_name: step.map(|step| step.name.clone()).unwrap_or_default(),
            internal: step.and_then(|step| internal_of(internal, step)).cloned(),
            outcomes: outcomes_of(procedure, &task, &case.conditions),
            task,
        })
    }

    /// What an act on a case needs of the work on it: the role that its step names, held at the unit for which it is done, and that no
    /// mark is left open by who says that the step is done.
    pub(super) async fn demand_work(
        &self,
        unit: &mut UnitOfWork<'_>,
        caller: &Caller,
        (operation, at): (&str, i32),
        procedure: &Procedure,
        after: &Case,
    ) -> Result<(), Error> {
        let is = |wanted: Operation| operation == wanted.as_str();
        let step = if is(Operation::RecordStep) {
            procedure.step(&after.step)
        } else if operation == DECIDE {
            procedure.steps.iter().find(|step| step.state == State::Completed)
        } else if is(Operation::Accept) || is(Operation::Approve) || is(Operation::ReturnResult) {
            procedure.steps.iter().find(|step| step.state == after.state)
        } else {
            None
        };
        if let Some(step) = step {
            self.require_role(caller, &step.role, at, &step.code)?;
        }
        if is(Operation::RecordStep) || is(Operation::Approve) || operation == DECIDE {
            let open = marks::open_of(unit.conn(), after.case_id).await?;
            if !open.is_empty() {
                return Err(WorkRefused::MarksOpen(open.into_iter().map(|mark| mark.mark_id).collect()).into());
            }
        }
        Ok(())
    }
}

/// The outcomes to which whoever does a task may come in a case of these conditions: none of an opinion.
fn outcomes_of(procedure: &Procedure, task: &Task, conditions: &[String]) -> Vec<String> {
    if task.kind == TaskKind::Opinion {
        return Vec::new();
    }
    let outcomes = procedure.outcomes(&task.step, conditions);
    outcomes.into_iter().map(str::to_owned).collect()
}

/// A write on a task: its request, and the rows that it sees.
fn task_write<'a, M: Message>(
    caller: &Caller,
    method: &'static str,
    target: &TaskTarget<'a, M>,
) -> (WriteRequest<'a, M>, Visible) {
    let mut scope = caller.scope(READ);
    let visible = Visible::from(&scope);
    // The transaction also sees the caller's own uploads, which a step may bring to the case.
    scope.owner.get_or_insert_with(|| caller.principal.record_owner());
    let request = WriteRequest::keyed(
        caller.principal.caller_key(),
        scope,
        method,
        target.request_id,
        target.body,
    );
    (request, visible)
}

/// What an act on a task itself sees: a step of reception, that lies at the place of reception as well, in the scope of the competent unit.
async fn sight(unit: &mut UnitOfWork<'_>, visible: &Visible, task_id: Uuid) -> Result<Visible, Error> {
    let seen = tasks::get(unit.conn(), task_id, visible)
        .await?
        .ok_or(WorkRefused::TaskNotFound)?;
    let mut visible = visible.clone();
    let competent = seen.responsible_unit_id;
    if seen.reception_unit_id.is_some() && !visible.units.contains(&competent) {
        unit.hand_over_to(&[competent]).await?;
        visible.units.push(competent);
    }
    Ok(visible)
}

/// The task as the decision function sees it: at its unit, or at the place of reception if it lies there as well and the caller may do there
/// alone what the permission names.
fn task_resource(caller: &Caller, permission: &str, task: &Task) -> Resource {
    let at = |unit| Resource {
        unit: Some(unit),
        owner: None,
        assignee: task.assignee_id,
    };
    let competent = at(task.responsible_unit_id);
    let there = task.reception_unit_id.map(at);
    match there {
        Some(there) if !caller.decide(permission, &competent).allowed && caller.decide(permission, &there).allowed => {
            there
        }
        _ => competent,
    }
}

/// Lets the tasks of a case follow an act on it.
pub(super) async fn follow_tasks(
    unit: &mut UnitOfWork<'_>,
    actor: Uuid,
    operation: &str,
    steps: &[Step],
    after: &Case,
) -> Result<Vec<Task>, Error> {
    let known = tasks::of_case(unit.conn(), after.case_id).await?;
    let mut followed = known.clone();
    let progress = Progress {
        steps,
        operation,
        stand: Stand::from(after),
        actor,
        now: unit.now(),
    };
    follow(&mut followed, &progress, || unit.new_id());
    tasks::save_all(unit.conn(), &known, &followed).await?;
    Ok(followed)
}

/// The task with which a case begins.
pub(super) fn first_task(steps: &[Step], operation: &str, case: &Case, actor: Uuid, task_id: Uuid) -> Option<Task> {
    let mut tasks = Vec::new();
    let progress = Progress {
        steps,
        operation,
        stand: Stand::from(case),
        actor,
        now: case.submit_time,
    };
    follow(&mut tasks, &progress, || task_id);
    tasks.pop()
}

/// Keeps what was done with a task: history, event, leaf.
async fn keep(
    unit: &mut UnitOfWork<'_>,
    caller: &Caller,
    act: &TaskAct,
    case: &Case,
    after: &Task,
    reason: &str,
) -> Result<(), Error> {
    let entry = TaskEntry {
        task_id: after.task_id,
        version: after.version,
        operation: act.operation.to_owned(),
        actor_id: caller.principal.subject,
        on_behalf_of: caller.acting_for(act.permission, &task_resource(caller, act.permission, after)),
        assignee_id: after.assignee_id,
        reason: reason.to_owned(),
        record_time: unit.now(),
    };
    tasks::append(unit.conn(), &entry).await?;
    unit.publish(Event {
        aggregate_kind: KIND,
        aggregate_id: after.task_id,
        version: after.version,
        kind: act.event,
        payload: serde_json::json!({
            "case_id": case.case_id,
            "case_code": case.case_code,
            "step": after.step,
            "role": after.role,
            "state": after.state.number(),
            "responsible_unit_id": after.responsible_unit_id,
            "assignee_id": after.assignee_id,
        }),
    });
    let canonical = after.canonical().map_err(Fault::internal)?;
    unit.leaf(Leaf {
        kind: KIND,
        resource: after.task_id,
        version: after.version,
        canonical: &canonical,
    });
    Ok(())
}
