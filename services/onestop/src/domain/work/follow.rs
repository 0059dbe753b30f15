//! Which tasks a case has as it goes on: made from the steps of its procedure's version, ended by the acts on the case.
//!
//! A case that has not ended has at most one open step, the one that follows from where it stands. The same function is asked behind
//! the port, by the generator of test data and by the verification.

use jiff::Timestamp;
use uuid::Uuid;

use super::task::{Consultation, Task, TaskKind, TaskState};
use crate::domain::case::Case;
use crate::domain::civil_decision::{DECIDE, RETURN_DECISION};
use crate::domain::definition::migrate::MIGRATE;
use crate::domain::definition::{Done, leads_to, way_on};
use crate::domain::pack::Step;
use crate::domain::reception::is_of_reception;
use crate::domain::transitions::{Operation, State};

/// Where a case stands, as far as its next step follows from it.
#[derive(Debug, Clone, Copy)]
pub struct Stand<'a> {
    /// The case.
    pub case_id: Uuid,
    /// National code.
    pub state: State,
    /// From where 5 was entered.
    pub entered_from: Option<State>,
    /// What was done last: the step, and its outcome.
    pub done: Done<'a>,
    /// Which hold, by their codes: they decide between branches.
    pub conditions: &'a [String],
    /// Cơ quan có thẩm quyền.
    pub unit_id: i32,
    /// Nơi tiếp nhận, if another unit.
    pub received_elsewhere: Option<i32>,
    /// Người được phân công.
    pub assignee_id: Option<Uuid>,
}

impl<'a> From<&'a Case> for Stand<'a> {
    fn from(case: &'a Case) -> Self {
        Self {
            case_id: case.case_id,
            state: case.state,
            entered_from: case.entered_from,
            done: case.done(),
            conditions: &case.conditions,
            unit_id: case.responsible_unit_id,
            received_elsewhere: case.received_elsewhere(),
            assignee_id: case.assignee_id,
        }
    }
}

/// An act on a case, and where it left it.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a> {
    /// Steps of the version by which the act was judged.
    pub steps: &'a [Step],
    /// Its name in the history.
    pub operation: &'a str,
    /// Afterwards.
    pub stand: Stand<'a>,
    /// Who did it.
    pub actor: Uuid,
    /// When.
    pub now: Timestamp,
}

/// Whether a step is done in the competent unit, between reception and decision.
pub fn is_inner(step: &Step) -> bool {
    matches!(step.state, State::Processing | State::PaymentRequested)
}

/// The step that is to be done next; none if the case has ended or the procedure names none.
pub fn next_step<'a>(steps: &'a [Step], stand: &Stand<'_>) -> Option<&'a Step> {
    let leading_to = |wanted: State| steps.iter().find(|step| step.state == wanted);
    match stand.state {
        State::Registered => leading_to(State::Accepted),
        // Asked for before acceptance, what is supplied is checked at the counter again.
        State::SupplementRequested if stand.entered_from != Some(State::Processing) => leading_to(State::Accepted),
        State::Accepted | State::Processing | State::PaymentRequested | State::SupplementRequested => {
            way_on(steps, stand.done, stand.conditions)
                .into_iter()
                .find(|step| is_inner(step) || matches!(step.state, State::Completed | State::Stopped))
        }
        State::Completed => leading_to(State::Returned),
        State::Rejected | State::Withdrawn | State::Stopped | State::Returned => None,
    }
}

/// Lets the tasks of a case follow an act on it. `tasks` are all of the case, by number.
///
/// A step that follows one of the same role stays with who has it (thụ lý chính); what is sent back goes to who did it before.
pub fn follow(tasks: &mut Vec<Task>, progress: &Progress<'_>, new_id: impl FnOnce() -> Uuid) {
    let wanted = next_step(progress.steps, &progress.stand);
    let mut heir = None;
    if let Some(task) = tasks.iter_mut().find(|task| is_open_step(task)) {
        let done = was_done(task, progress);
        // A version that gives the step to another role makes another task of it.
        let same = |step: &&Step| step.code == task.step && step.role == task.role;
        if !done && let Some(step) = wanted.filter(same) {
            let given = progress.stand.assignee_id;
            if progress.operation == Operation::Assign.as_str() && is_inner(step) && task.assignee_id != given {
                task.give(given, None, progress.now);
            }
            return;
        }
        let ended = if done {
            heir = task.assignee_id.map(|holder| (task.role.clone(), holder));
            if progress.operation == Operation::RecordStep.as_str() {
                progress.stand.done.outcome.clone_into(&mut task.outcome);
            }
            TaskState::Done
        } else if progress.operation == Operation::SendBack.as_str() {
            TaskState::SentBack
        } else if progress.operation == MIGRATE {
            // The same work by another version: it stays with who has it.
            heir = task.assignee_id.map(|holder| (task.role.clone(), holder));
            TaskState::PassedOver
        } else {
            TaskState::PassedOver
        };
        let (ended_task, actor, now) = (task.task_id, progress.actor, progress.now);
        task.end(ended, actor, now);
        for opinion in tasks
            .iter_mut()
            .filter(|task| task.is_open() && task.consultation.asked_by_task == Some(ended_task))
        {
            opinion.end(TaskState::PassedOver, actor, now);
        }
    }
    let Some(step) = wanted else { return };
    let comes_back = [Operation::SendBack.as_str(), RETURN_DECISION].contains(&progress.operation);
    let assignee = if comes_back {
        last_done(tasks, &step.code)
    } else if progress.operation == Operation::Assign.as_str() && is_inner(step) {
        progress.stand.assignee_id
    } else {
        heir.filter(|(role, _)| *role == step.role).map(|(_, holder)| holder)
    };
    let number = tasks.last().map_or(0, |last| last.number).saturating_add(1);
    tasks.push(Task {
        task_id: new_id(),
        case_id: progress.stand.case_id,
        number,
        kind: TaskKind::Step,
        step: step.code.clone(),
        role: step.role.clone(),
        responsible_unit_id: progress.stand.unit_id,
        reception_unit_id: progress.stand.received_elsewhere.filter(|_| is_of_reception(step)),
        state: TaskState::Open,
        assignee_id: assignee,
        delegator_id: None,
        consultation: Consultation::default(),
        create_time: progress.now,
        assign_time: assignee.map(|_| progress.now),
        finish_time: None,
        finished_by: None,
        outcome: String::new(),
        version: 1,
    });
}

/// Whether a task is a step that is to be done.
pub fn is_open_step(task: &Task) -> bool {
    task.is_open() && task.kind == TaskKind::Step
}

/// Whether the act did the step, rather than going past it.
fn was_done(task: &Task, progress: &Progress<'_>) -> bool {
    let is = |operation: Operation| progress.operation == operation.as_str();
    if is(Operation::RecordStep) {
        return task.step == progress.stand.done.step;
    }
    if progress.operation == DECIDE {
        let step = progress.steps.iter().find(|step| step.code == task.step);
        return step.is_none_or(|step| step.state == State::Completed);
    }
    let decides = is(Operation::Accept) || is(Operation::Approve) || is(Operation::Stop) || is(Operation::ReturnResult);
    decides
        && progress
            .steps
            .iter()
            .find(|step| step.code == task.step)
            .is_none_or(|step| step.state == progress.stand.state)
}

/// Who did a step last.
fn last_done(tasks: &[Task], step: &str) -> Option<Uuid> {
    tasks
        .iter()
        .rev()
        .find(|task| task.kind == TaskKind::Step && task.step == step && task.state == TaskState::Done)
        .and_then(|task| task.assignee_id.or(task.finished_by))
}

/// Where a step can be sent back to: the inner steps before it on the ordinary way of the case, in their order; before one that is off
/// this way those of the list from which some way leads to it.
pub fn earlier_steps<'a>(steps: &'a [Step], conditions: &[String], of: &str) -> Vec<&'a Step> {
    let way = way_on(steps, Done::NOTHING, conditions);
    let way = if way.iter().any(|step| step.code == of) {
        way
    } else {
        let leads = |step: &&Step| step.code == of || leads_to(steps, &step.code, of);
        steps.iter().filter(leads).collect()
    };
    way.into_iter()
        .take_while(|step| step.code != of)
        .filter(|step| is_inner(step))
        .collect()
}

/// Where a case can be sent back to from a step: the earlier ones, and the one that was done last if an outcome led to it off the
/// ordinary way.
pub fn sent_back_to<'a>(steps: &'a [Step], stand: &Stand<'_>, from: &str) -> Vec<&'a Step> {
    let mut earlier = earlier_steps(steps, stand.conditions, from);
    let last = steps.iter().find(|step| step.code == stand.done.step);
    let off_the_way =
        |step: &&Step| is_inner(step) && step.code != from && earlier.iter().all(|one| one.code != step.code);
    if let Some(last) = last.filter(off_the_way) {
        earlier.push(last);
    }
    earlier
}

/// What must be done for `code` to be the next one: the step before it on the ordinary way, or any that leads there, with the outcome
/// that does. Nothing if it is the first.
pub fn done_before<'a>(steps: &'a [Step], conditions: &[String], code: &str) -> Done<'a> {
    let before = earlier_steps(steps, conditions, code);
    let ordinary = Done::step(before.last().map_or("", |step| step.code.as_str()));
    let leads = |done: &Done<'_>| {
        let next = way_on(steps, *done, conditions).into_iter().find(|step| is_inner(step));
        next.is_some_and(|next| next.code == code)
    };
    let others = steps.iter().filter(|step| is_inner(step)).flat_map(|step| {
        let branches = step.next.as_deref().unwrap_or_default().iter();
        let outcomes = branches
            .filter(move |branch| branch.to == code)
            .filter_map(|branch| branch.outcome.as_deref());
        let done = move |outcome| Done {
            step: &step.code,
            outcome,
        };
        std::iter::once("").chain(outcomes).map(done)
    });
    std::iter::once(ordinary).chain(others).find(leads).unwrap_or(ordinary)
}

/// The act on the case by which a step ends, if being done is not all that it says.
pub fn act_of(step: &Step) -> Option<&'static str> {
    match step.state {
        State::Accepted => Some("AcceptCase"),
        State::Completed => Some("ApproveCase"),
        State::Stopped => Some("StopCase"),
        State::Returned => Some("ReturnResult"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::transitions::Transitions;

    const NATIONAL: &str = include_str!("../../../../../deploy/packs/transitions/national-2026.toml");
    const OFFICER: Uuid = Uuid::from_u128(0xA);
    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn steps() -> Vec<Step> {
        serde_json::from_value(serde_json::json!([
            { "code": "tiep_nhan", "name": "", "role": "one_stop_clerk", "state": 2 },
            { "code": "tham_tra", "name": "", "role": "officer", "state": 4 },
            { "code": "nop_tien", "name": "", "role": "officer", "state": 6 },
            { "code": "trinh_ky", "name": "", "role": "officer", "state": 4 },
            { "code": "ky", "name": "", "role": "unit_leader", "state": 9 },
            { "code": "tra", "name": "", "role": "one_stop_clerk", "state": 10 },
        ]))
        .unwrap()
    }

    fn stand(state: i16, step: &str) -> Stand<'_> {
        Stand {
            case_id: Uuid::nil(),
            state: State::try_from(state).unwrap(),
            entered_from: None,
            done: Done::step(step),
            conditions: &[],
            unit_id: 7,
            received_elsewhere: None,
            assignee_id: None,
        }
    }

    fn go(tasks: &mut Vec<Task>, operation: &str, stand: Stand<'_>) {
        let steps = steps();
        let progress = Progress {
            steps: &steps,
            operation,
            stand,
            actor: OFFICER,
            now: NOW,
        };
        let id = Uuid::from_u128(tasks.len() as u128 + 100);
        follow(tasks, &progress, || id);
    }

    fn shown(tasks: &[Task]) -> Vec<(&str, TaskState, Option<Uuid>)> {
        tasks
            .iter()
            .map(|task| (task.step.as_str(), task.state, task.assignee_id))
            .collect()
    }

    #[test]
    fn reception_and_return_lie_at_the_place_of_reception_as_well_and_nothing_between() {
        let elsewhere = |state, step| Stand {
            received_elsewhere: Some(9),
            ..stand(state, step)
        };
        let mut tasks = Vec::new();
        go(&mut tasks, "submit", elsewhere(1, ""));
        go(&mut tasks, "accept", elsewhere(2, ""));
        go(&mut tasks, "record_step", elsewhere(4, "tham_tra"));
        go(&mut tasks, "record_step", elsewhere(4, "trinh_ky"));
        go(&mut tasks, "approve", elsewhere(9, "trinh_ky"));
        for task in &tasks {
            let there = matches!(task.step.as_str(), "tiep_nhan" | "tra").then_some(9);
            assert_eq!(task.reception_unit_id, there, "{}", task.step);
            assert_eq!(task.responsible_unit_id, 7);
        }
        assert_eq!(tasks.last().map(|task| task.step.as_str()), Some("tra"));
    }

    #[test]
    fn a_case_has_the_task_of_its_next_step_from_filing_to_return() {
        let mut tasks = Vec::new();
        go(&mut tasks, "submit", stand(1, ""));
        go(&mut tasks, "accept", stand(2, ""));
        let assigned = Stand {
            assignee_id: Some(OFFICER),
            ..stand(4, "")
        };
        go(&mut tasks, "assign", assigned);
        go(&mut tasks, "record_step", stand(4, "tham_tra"));
        go(&mut tasks, "record_step", stand(6, "nop_tien"));
        go(&mut tasks, "record_step", stand(4, "trinh_ky"));
        go(&mut tasks, "approve", stand(9, "trinh_ky"));
        go(&mut tasks, "return_result", stand(10, "trinh_ky"));
        use TaskState::Done;
        assert_eq!(
            shown(&tasks),
            [
                ("tiep_nhan", Done, None),
                // The officer who was assigned keeps the steps of the same role.
                ("tham_tra", Done, Some(OFFICER)),
                ("nop_tien", Done, Some(OFFICER)),
                ("trinh_ky", Done, Some(OFFICER)),
                ("ky", Done, None),
                ("tra", Done, None),
            ]
        );
    }

    #[test]
    fn the_next_step_is_that_of_the_branch_whose_condition_holds() {
        let steps: Vec<Step> = serde_json::from_value(serde_json::json!([
            { "code": "tiep_nhan", "name": "", "role": "one_stop_clerk", "state": 2 },
            { "code": "tham_tra", "name": "", "role": "officer", "state": 4,
              "next": [{ "to": "xac_minh", "when": "can_xac_minh" }, { "to": "trinh_ky" }] },
            { "code": "xac_minh", "name": "", "role": "officer", "state": 4 },
            { "code": "trinh_ky", "name": "", "role": "officer", "state": 4 },
            { "code": "ky", "name": "", "role": "unit_leader", "state": 9 },
            { "code": "tra", "name": "", "role": "one_stop_clerk", "state": 10 },
        ]))
        .unwrap();
        let holds = ["can_xac_minh".to_owned()];
        let next = |conditions, done| {
            let at = Stand {
                conditions,
                ..stand(4, done)
            };
            next_step(&steps, &at).map(|step| step.code.as_str())
        };
        assert_eq!(next(&[], "tham_tra"), Some("trinh_ky"));
        assert_eq!(next(&holds, "tham_tra"), Some("xac_minh"));
        assert_eq!(next(&holds, "xac_minh"), Some("trinh_ky"));
        let codes = |steps: Vec<&Step>| steps.into_iter().map(|step| step.code.clone()).collect::<Vec<_>>();
        assert_eq!(codes(earlier_steps(&steps, &[], "trinh_ky")), ["tham_tra"]);
        assert_eq!(
            codes(earlier_steps(&steps, &holds, "trinh_ky")),
            ["tham_tra", "xac_minh"]
        );
        assert_eq!(done_before(&steps, &[], "trinh_ky"), Done::step("tham_tra"));
        // What was reached off the ordinary way goes back along the list.
        assert_eq!(codes(earlier_steps(&steps, &[], "xac_minh")), ["tham_tra"]);
    }

    #[test]
    fn a_step_done_again_has_a_task_anew_and_nothing_goes_back_into_another_branch() {
        let steps: Vec<Step> = serde_json::from_value(serde_json::json!([
            { "code": "tiep_nhan", "name": "", "role": "one_stop_clerk", "state": 2 },
            { "code": "tham_tra", "name": "", "role": "officer", "state": 4,
              "next": [{ "to": "du", "outcome": "đủ" }, { "to": "thieu", "outcome": "thiếu" },
                       { "to": "tham_tra", "outcome": "xem lại" }, { "to": "dung", "outcome": "dừng" }] },
            { "code": "du", "name": "", "role": "officer", "state": 4, "next": [{ "to": "ky" }] },
            { "code": "thieu", "name": "", "role": "officer", "state": 4, "next": [{ "to": "ky" }] },
            { "code": "ky", "name": "", "role": "unit_leader", "state": 9 },
            { "code": "dung", "name": "", "role": "unit_leader", "state": 8 },
        ]))
        .unwrap();
        let after = |outcome| Stand {
            done: Done {
                step: "tham_tra",
                outcome,
            },
            ..stand(4, "")
        };
        let next = |outcome| next_step(&steps, &after(outcome)).map(|step| step.code.as_str());
        assert_eq!(next("xem lại"), Some("tham_tra"));
        assert_eq!(next("thiếu"), Some("thieu"));
        assert_eq!(next("dừng"), Some("dung"), "whoever stops the case has it to do");
        assert_eq!(steps.last().and_then(act_of), Some("StopCase"));
        let back = sent_back_to(&steps, &after("thiếu"), "thieu");
        let back: Vec<&str> = back.into_iter().map(|step| step.code.as_str()).collect();
        assert_eq!(back, ["tham_tra"], "the branch that was not taken is no step before");
    }

    #[test]
    fn what_is_sent_back_goes_to_who_did_it_and_comes_again() {
        let mut tasks = Vec::new();
        go(&mut tasks, "accept", stand(2, ""));
        go(&mut tasks, "record_step", stand(4, "tham_tra"));
        go(&mut tasks, "record_step", stand(6, "nop_tien"));
        go(&mut tasks, "record_step", stand(4, "trinh_ky"));
        let steps = steps();
        assert_eq!(done_before(&steps, &[], "trinh_ky"), Done::step("nop_tien"));
        assert_eq!(done_before(&steps, &[], "tham_tra"), Done::NOTHING);
        go(&mut tasks, "send_back", stand(4, ""));
        let last_two: Vec<_> = shown(&tasks).into_iter().rev().take(2).collect();
        assert_eq!(
            last_two,
            [
                ("tham_tra", TaskState::Open, Some(OFFICER)),
                ("ky", TaskState::SentBack, None)
            ]
        );
        assert_eq!(tasks.last().unwrap().number, 5);
    }

    #[test]
    fn steps_that_a_decision_goes_past_are_passed_over_and_a_case_that_ends_has_no_task() {
        let mut tasks = Vec::new();
        go(&mut tasks, "accept", stand(2, ""));
        go(&mut tasks, "approve", stand(9, ""));
        assert_eq!(shown(&tasks)[0].1, TaskState::PassedOver);
        assert_eq!(shown(&tasks)[1], ("tra", TaskState::Open, None));
        for (operation, state) in [("withdraw", 7), ("stop", 8), ("reject", 3)] {
            let mut tasks = Vec::new();
            go(&mut tasks, "accept", stand(2, ""));
            go(&mut tasks, operation, stand(state, ""));
            assert_eq!(shown(&tasks), [("tham_tra", TaskState::PassedOver, None)]);
        }
    }

    proptest! {
        /// Whatever way a case takes through the national transitions: its one open step is the next one, numbers run from 1
        /// without a gap, and what has ended never changes again.
        #[test]
        fn the_one_open_step_is_always_the_next_one(
            choices in proptest::collection::vec((any::<prop::sample::Index>(), 0..6_usize), 0..50)
        ) {
            let transitions = Transitions::from_toml(NATIONAL).unwrap();
            let steps = steps();
            let (mut state, mut entered_from, mut step) = (State::Registered, None, String::new());
            let mut tasks: Vec<Task> = Vec::new();
            go(&mut tasks, "submit", stand(1, ""));
            for (choice, which) in choices {
                let allowed = transitions.allowed(state, entered_from);
                if allowed.is_empty() {
                    break;
                }
                let (operation, to) = *choice.get(&allowed);
                match operation {
                    Operation::RecordStep => match steps.iter().filter(|one| one.state == to).nth(which % 2) {
                        Some(one) => step.clone_from(&one.code),
                        None => continue,
                    },
                    Operation::SendBack => {
                        let before = earlier_steps(&steps, &[], "ky");
                        step = done_before(&steps, &[], &before[which % before.len()].code).step.to_owned();
                    }
                    _ => {}
                }
                if to != state {
                    entered_from = (to == State::SupplementRequested).then_some(state);
                }
                state = to;
                let ended: Vec<Task> = tasks.iter().filter(|task| !task.is_open()).cloned().collect();
                let at = Stand { entered_from, ..stand(state.code(), &step) };
                go(&mut tasks, operation.as_str(), at);

                let open: Vec<&str> = tasks.iter().filter(|task| task.is_open()).map(|task| task.step.as_str()).collect();
                let wanted: Vec<&str> = next_step(&steps, &at).map(|step| step.code.as_str()).into_iter().collect();
                prop_assert_eq!(open, wanted, "{} into {:?}", operation, state);
                prop_assert!(tasks.iter().map(|task| task.number).eq(1..=tasks.len() as i32));
                prop_assert!(ended.iter().all(|task| tasks.contains(task)));
            }
        }
    }
}
