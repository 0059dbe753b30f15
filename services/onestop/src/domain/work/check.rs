//! Whether the tasks of a case fit the case and themselves: part of the verification, a second reading of what is stored.

use std::collections::BTreeMap;

use jiff::Timestamp;
use uuid::Uuid;

use super::follow::{Stand, is_open_step, next_step};
use super::task::{Task, TaskKind};
use crate::domain::case::Case;
use crate::domain::pack::Step;

/// A leaf of a task as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskLeaf {
    /// The task.
    pub task_id: Uuid,
    /// Version of the task.
    pub version: i64,
    /// The commitment.
    pub commitment: Vec<u8>,
    /// Its salt; none if it is not there.
    pub salt: Option<Vec<u8>>,
    /// When.
    pub create_time: Timestamp,
}

/// Everything that is stored of the tasks of a case.
#[derive(Debug, Clone, Default)]
pub struct WorkRecord {
    /// By number.
    pub tasks: Vec<Task>,
    /// Task and version of each entry of their histories, with its time.
    pub entries: Vec<(Uuid, i64, Timestamp)>,
    /// Their leaves.
    pub leaves: Vec<TaskLeaf>,
}

/// What does not fit, in words; without personal data. `moved` is when the case went over to another unit the last time: its tasks went
/// along without an act of their own, so that what a leaf of before commits to is no longer what stands there.
pub fn check_tasks(
    case: &Case,
    steps: &[Step],
    work: &WorkRecord,
    moved: Option<Timestamp>,
    commit: fn(&[u8], &[u8]) -> [u8; 32],
) -> Vec<String> {
    let mut wrong = Vec::new();
    let numbers: Vec<i32> = work.tasks.iter().map(|task| task.number).collect();
    if !numbers
        .iter()
        .copied()
        .eq(1..=i32::try_from(numbers.len()).unwrap_or(i32::MAX))
    {
        wrong.push(format!("numbers of tasks: {numbers:?}"));
    }
    let open: Vec<&Task> = work.tasks.iter().filter(|task| is_open_step(task)).collect();
    let stand = Stand::from(case);
    let wanted = next_step(steps, &stand);
    match (open.as_slice(), wanted) {
        ([], None) => {}
        ([task], Some(step)) => {
            if task.step != step.code || task.role != step.role || task.responsible_unit_id != case.responsible_unit_id
            {
                wrong.push(format!(
                    "the open step is {} ({}) at unit {}, instead of {} ({}) at unit {}",
                    task.step, task.role, task.responsible_unit_id, step.code, step.role, case.responsible_unit_id
                ));
            }
        }
        (open, wanted) => wrong.push(format!(
            "{} open steps, and the next one is {:?}",
            open.len(),
            wanted.map(|step| &step.code)
        )),
    }
    for task in &work.tasks {
        let asked_by = task.consultation.asked_by_task;
        let by_open_step = open.iter().any(|step| Some(step.task_id) == asked_by);
        if task.kind == TaskKind::Opinion && task.is_open() && !by_open_step {
            wrong.push(format!("task {} is asked for by no open step", task.number));
        }
    }
    check_leaves(work, moved, commit, &mut wrong);
    wrong
}

/// One leaf for each entry of a task's history; the last one commits to the task as it is, unless an act on the case went on since.
fn check_leaves(
    work: &WorkRecord,
    moved: Option<Timestamp>,
    commit: fn(&[u8], &[u8]) -> [u8; 32],
    wrong: &mut Vec<String>,
) {
    let entries: BTreeMap<(Uuid, i64), Timestamp> = work
        .entries
        .iter()
        .map(|(id, version, at)| ((*id, *version), *at))
        .collect();
    let leaves: BTreeMap<(Uuid, i64), Timestamp> = work
        .leaves
        .iter()
        .map(|leaf| ((leaf.task_id, leaf.version), leaf.create_time))
        .collect();
    if entries != leaves {
        wrong.push(format!(
            "{} entries of tasks and {} leaves do not fit",
            entries.len(),
            leaves.len()
        ));
    }
    for leaf in work
        .leaves
        .iter()
        .filter(|leaf| moved.is_none_or(|moved| leaf.create_time > moved))
    {
        let now = work
            .tasks
            .iter()
            .find(|task| task.task_id == leaf.task_id && task.version == leaf.version);
        let (Some(task), Some(salt)) = (now, &leaf.salt) else {
            continue;
        };
        let fits = task
            .canonical()
            .is_ok_and(|canonical| commit(salt, &canonical).as_slice() == leaf.commitment);
        if !fits {
            wrong.push(format!(
                "task {} is not what the leaf of version {} commits to",
                task.number, task.version
            ));
        }
    }
}
