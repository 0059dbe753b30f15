//! Việc: `case_tasks` and `task_history`.

use std::collections::HashMap;

use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{StoreError, Visible, one_row};
use crate::domain::work::check::{TaskLeaf, WorkRecord};
use crate::domain::work::task::{Consultation, KIND, Task, TaskEntry, TaskKind, TaskState};

pub(super) struct TaskRow {
    pub(super) task_id: Uuid,
    pub(super) case_id: Uuid,
    pub(super) number: i32,
    pub(super) kind: i16,
    pub(super) step: String,
    pub(super) role: String,
    pub(super) responsible_unit_id: i32,
    pub(super) reception_unit_id: Option<i32>,
    pub(super) state: i16,
    pub(super) assignee_id: Option<Uuid>,
    pub(super) delegator_id: Option<Uuid>,
    pub(super) asked_by_task: Option<Uuid>,
    pub(super) asking_unit_id: Option<i32>,
    pub(super) question: String,
    pub(super) opinion: String,
    pub(super) agrees: Option<bool>,
    pub(super) create_time: jiff_sqlx::Timestamp,
    pub(super) assign_time: Option<jiff_sqlx::Timestamp>,
    pub(super) finish_time: Option<jiff_sqlx::Timestamp>,
    pub(super) finished_by: Option<Uuid>,
    pub(super) outcome: String,
    pub(super) version: i64,
}

impl TryFrom<TaskRow> for Task {
    type Error = StoreError;

    fn try_from(row: TaskRow) -> Result<Self, StoreError> {
        let outside = |column| StoreError::Inconsistent {
            table: "case_tasks",
            column,
        };
        Ok(Self {
            task_id: row.task_id,
            case_id: row.case_id,
            number: row.number,
            kind: TaskKind::from_number(row.kind).ok_or_else(|| outside("kind"))?,
            step: row.step,
            role: row.role,
            responsible_unit_id: row.responsible_unit_id,
            reception_unit_id: row.reception_unit_id,
            state: TaskState::from_number(row.state).ok_or_else(|| outside("state"))?,
            assignee_id: row.assignee_id,
            delegator_id: row.delegator_id,
            consultation: Consultation {
                asked_by_task: row.asked_by_task,
                asking_unit_id: row.asking_unit_id,
                question: row.question,
                opinion: row.opinion,
                agrees: row.agrees,
            },
            create_time: row.create_time.to_jiff(),
            assign_time: row.assign_time.map(jiff_sqlx::Timestamp::to_jiff),
            finish_time: row.finish_time.map(jiff_sqlx::Timestamp::to_jiff),
            finished_by: row.finished_by,
            outcome: row.outcome,
            version: row.version,
        })
    }
}

/// The tasks that a condition chooses.
macro_rules! select_task {
    ($which:literal, $($value:expr),+ $(,)?) => {
        sqlx::query_as!(
            TaskRow,
            r#"
        SELECT task_id, case_id, number, kind, step, role, responsible_unit_id, reception_unit_id, state, assignee_id, delegator_id,
               asked_by_task, asking_unit_id, question, opinion, agrees, create_time, assign_time, finish_time, finished_by,
               outcome, version
        FROM case_tasks
        "# + $which,
            $($value),+
        )
    };
}

/// Every task of a case, by number. Whoever asks has looked whether the caller may know of the case.
pub(crate) async fn of_case(connection: &mut PgConnection, case_id: Uuid) -> Result<Vec<Task>, StoreError> {
    select_task!("WHERE case_id = $1 ORDER BY number FOR UPDATE", case_id)
        .fetch_all(connection)
        .await?
        .into_iter()
        .map(Task::try_from)
        .collect()
}

/// A task that the caller may see: of its units, asked for by them, or of the reception of what they received for another unit.
pub(crate) async fn get(
    connection: &mut PgConnection,
    task_id: Uuid,
    visible: &Visible,
) -> Result<Option<Task>, StoreError> {
    select_task!(
        "WHERE task_id = $1 AND ($2 OR responsible_unit_id = ANY ($3) OR asking_unit_id = ANY ($3)
                                 OR reception_unit_id = ANY ($3))",
        task_id,
        visible.all,
        &visible.units,
    )
    .fetch_optional(connection)
    .await?
    .map(Task::try_from)
    .transpose()
}

/// A task of the caller's units or asked for by them, held until the transaction ends, so that two acts on it follow one another.
pub(crate) async fn get_for_update(
    connection: &mut PgConnection,
    task_id: Uuid,
    visible: &Visible,
) -> Result<Option<Task>, StoreError> {
    select_task!(
        "WHERE task_id = $1 AND ($2 OR responsible_unit_id = ANY ($3) OR asking_unit_id = ANY ($3)) FOR UPDATE",
        task_id,
        visible.all,
        &visible.units,
    )
    .fetch_optional(connection)
    .await?
    .map(Task::try_from)
    .transpose()
}

/// Opinions that a task asked for, in their order.
pub(crate) async fn opinions_on(connection: &mut PgConnection, task: &Task) -> Result<Vec<Task>, StoreError> {
    select_task!(
        "WHERE case_id = $1 AND asked_by_task = $2 ORDER BY number",
        task.case_id,
        task.task_id,
    )
    .fetch_all(connection)
    .await?
    .into_iter()
    .map(Task::try_from)
    .collect()
}

/// Open tasks that a person has in a unit, what has waited longest first. Only their ids: each is read again under its case.
pub(crate) async fn open_of_person(
    connection: &mut PgConnection,
    person: Uuid,
    unit: i32,
    limit: i64,
) -> Result<Vec<Uuid>, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"SELECT task_id FROM case_tasks
           WHERE assignee_id = $1 AND state = 1 AND responsible_unit_id = $2
           ORDER BY create_time, task_id LIMIT $3"#,
        person,
        unit,
        limit,
    )
    .fetch_all(connection)
    .await?)
}

/// Stores what an act changed of the tasks of a case. What ended is stored before what came up: a case has one open step.
pub(crate) async fn save_all(connection: &mut PgConnection, before: &[Task], after: &[Task]) -> Result<(), StoreError> {
    for task in after {
        match before.iter().find(|known| known.task_id == task.task_id) {
            Some(known) if known == task => {}
            Some(known) => save(&mut *connection, known, task).await?,
            None => insert(&mut *connection, task).await?,
        }
    }
    Ok(())
}

/// Stores what an act changed of one task.
pub(crate) async fn save(connection: &mut PgConnection, before: &Task, after: &Task) -> Result<(), StoreError> {
    let changed = sqlx::query!(
        r#"
        UPDATE case_tasks
        SET state = $3, assignee_id = $4, delegator_id = $5, opinion = $6, agrees = $7, assign_time = $8, finish_time = $9,
            finished_by = $10, outcome = $11, version = $12
        WHERE task_id = $1 AND version = $2
        "#,
        before.task_id,
        before.version,
        after.state.number(),
        after.assignee_id,
        after.delegator_id,
        after.consultation.opinion,
        after.consultation.agrees,
        after.assign_time.map(ToSqlx::to_sqlx) as _,
        after.finish_time.map(ToSqlx::to_sqlx) as _,
        after.finished_by,
        after.outcome,
        after.version,
    )
    .execute(connection)
    .await?;
    one_row("case_tasks", changed.rows_affected())
}

/// Stores a new task.
pub(crate) async fn insert(connection: &mut PgConnection, task: &Task) -> Result<(), StoreError> {
    sqlx::query!(
        r#"
        INSERT INTO case_tasks (task_id, case_id, number, kind, step, role, responsible_unit_id, state, assignee_id,
                                asked_by_task, asking_unit_id, question, create_time, assign_time, version, reception_unit_id)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
        "#,
        task.task_id,
        task.case_id,
        task.number,
        task.kind.number(),
        task.step,
        task.role,
        task.responsible_unit_id,
        task.state.number(),
        task.assignee_id,
        task.consultation.asked_by_task,
        task.consultation.asking_unit_id,
        task.consultation.question,
        task.create_time.to_sqlx() as _,
        task.assign_time.map(ToSqlx::to_sqlx) as _,
        task.version,
        task.reception_unit_id,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Appends to the history of a task.
pub(crate) async fn append(connection: &mut PgConnection, entry: &TaskEntry) -> Result<(), StoreError> {
    sqlx::query!(
        r#"
        INSERT INTO task_history (task_id, version, operation, actor_id, on_behalf_of, assignee_id, reason, record_time)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        "#,
        entry.task_id,
        entry.version,
        entry.operation,
        entry.actor_id,
        entry.on_behalf_of,
        entry.assignee_id,
        entry.reason,
        entry.record_time.to_sqlx() as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// What was done with a task itself, oldest first.
pub(crate) async fn history(connection: &mut PgConnection, task_id: Uuid) -> Result<Vec<TaskEntry>, StoreError> {
    let rows = sqlx::query!(
        r#"
        SELECT task_id, version, operation, actor_id, on_behalf_of, assignee_id, reason, record_time
        FROM task_history WHERE task_id = $1 ORDER BY version LIMIT 200
        "#,
        task_id
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| TaskEntry {
            task_id: row.task_id,
            version: row.version,
            operation: row.operation,
            actor_id: row.actor_id,
            on_behalf_of: row.on_behalf_of,
            assignee_id: row.assignee_id,
            reason: row.reason,
            record_time: row.record_time.to_jiff(),
        })
        .collect())
}

/// Everything that is stored of the tasks of these cases, for the verification.
pub(crate) async fn work_of(
    connection: &mut PgConnection,
    cases: &[Uuid],
) -> Result<HashMap<Uuid, WorkRecord>, StoreError> {
    let mut works: HashMap<Uuid, WorkRecord> = HashMap::new();
    let mut case_of: HashMap<Uuid, Uuid> = HashMap::new();
    for row in select_task!("WHERE case_id = ANY ($1) ORDER BY case_id, number", cases)
        .fetch_all(&mut *connection)
        .await?
    {
        case_of.insert(row.task_id, row.case_id);
        works.entry(row.case_id).or_default().tasks.push(Task::try_from(row)?);
    }
    let ids: Vec<Uuid> = case_of.keys().copied().collect();
    for row in sqlx::query!(
        "SELECT task_id, version, record_time FROM task_history WHERE task_id = ANY ($1) ORDER BY task_id, version",
        &ids
    )
    .fetch_all(&mut *connection)
    .await?
    {
        if let Some(case_id) = case_of.get(&row.task_id) {
            let entry = (row.task_id, row.version, row.record_time.to_jiff());
            works.entry(*case_id).or_default().entries.push(entry);
        }
    }
    for row in sqlx::query!(
        r#"
        SELECT resource_id AS task_id, version, commitment, create_time, salt AS "salt?"
        FROM egov.leaves LEFT JOIN egov.leaf_salts USING (leaf_id)
        WHERE kind = $2 AND resource_id = ANY ($1) ORDER BY resource_id, version
        "#,
        &ids,
        KIND,
    )
    .fetch_all(connection)
    .await?
    {
        if let Some(case_id) = case_of.get(&row.task_id) {
            works.entry(*case_id).or_default().leaves.push(TaskLeaf {
                task_id: row.task_id,
                version: row.version,
                commitment: row.commitment,
                salt: row.salt,
                create_time: row.create_time.to_jiff(),
            });
        }
    }
    Ok(works)
}

/// Lets the steps of a case follow it to another unit, also those that were done: whoever goes on needs their numbers, their marks and
/// who did them. Opinions that it asked for know who asks now.
pub(crate) async fn move_to_unit(connection: &mut PgConnection, case_id: Uuid, unit: i32) -> Result<(), StoreError> {
    sqlx::query!(
        r#"
        UPDATE case_tasks
        SET responsible_unit_id = CASE WHEN kind = 1 THEN $2 ELSE responsible_unit_id END,
            asking_unit_id = CASE WHEN kind = 2 THEN $2 END
        WHERE case_id = $1
        "#,
        case_id,
        unit,
    )
    .execute(connection)
    .await?;
    Ok(())
}
