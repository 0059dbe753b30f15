//! Hộp việc: the open tasks of a person, of the caller's roles, or of a unit; what has waited longest first.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use sqlx::{FromRow as _, PgConnection, QueryBuilder, Row as _};
use uuid::Uuid;

use super::case_lists::summaries;
use super::tasks::TaskRow;
use super::{StoreError, Visible};
use crate::domain::listing::Summary;
use crate::domain::pack::Channel;
use crate::domain::work::task::Task;

/// Whose tasks.
#[derive(Debug, Clone)]
pub(crate) enum Whose {
    /// Those of one person.
    Person(Uuid),
    /// Those that nobody has, of a role at a unit.
    Roles(Vec<(String, i32)>),
    /// All of one unit, or some of it.
    Unit(i32, OfUnit),
}

/// Which tasks of a unit: all, unless something is said.
#[derive(Debug, Clone, Default)]
pub(crate) struct OfUnit {
    /// Those of this role.
    pub(crate) role: Option<String>,
    /// Those that this person has.
    pub(crate) assignee: Option<Uuid>,
}

/// Where a page begins: after this task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct AfterTask {
    pub(crate) create_time: Timestamp,
    pub(crate) task_id: Uuid,
}

/// A task with its case.
pub(crate) struct InboxRow {
    pub(crate) task: Task,
    pub(crate) case: Summary,
    /// The version of the procedure that the case keeps.
    pub(crate) procedure_version: i32,
    /// Marks of the case that have not been dealt with.
    pub(crate) open_marks: i64,
    /// Conditions of the procedure that hold in the case.
    pub(crate) conditions: Vec<String>,
    /// How it was filed.
    pub(crate) channel: Channel,
    /// Thời điểm tiếp nhận.
    pub(crate) accept_time: Option<Timestamp>,
}

/// What an inbox shows of a case beside its summary.
struct Beside {
    procedure_version: i32,
    open_marks: i64,
    conditions: Vec<String>,
    channel: Channel,
    accept_time: Option<Timestamp>,
}

impl Beside {
    fn of(row: &sqlx::postgres::PgRow) -> Result<Self, StoreError> {
        let accept_time: Option<jiff_sqlx::Timestamp> = row.try_get("accept_time")?;
        Ok(Self {
            procedure_version: row.try_get("procedure_version")?,
            open_marks: row.try_get("open_marks")?,
            conditions: row.try_get("conditions")?,
            channel: Channel::from_number(row.try_get("channel")?).ok_or(StoreError::Inconsistent {
                table: "cases",
                column: "channel",
            })?,
            accept_time: accept_time.map(jiff_sqlx::Timestamp::to_jiff),
        })
    }
}

impl InboxRow {
    pub(crate) fn position(&self) -> AfterTask {
        AfterTask {
            create_time: self.task.create_time,
            task_id: self.task.task_id,
        }
    }
}

impl<'r> sqlx::FromRow<'r, sqlx::postgres::PgRow> for TaskRow {
    fn from_row(row: &'r sqlx::postgres::PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            task_id: row.try_get("task_id")?,
            case_id: row.try_get("case_id")?,
            number: row.try_get("number")?,
            kind: row.try_get("kind")?,
            step: row.try_get("task_step")?,
            role: row.try_get("role")?,
            responsible_unit_id: row.try_get("task_unit_id")?,
            reception_unit_id: row.try_get("reception_unit_id")?,
            state: row.try_get("task_state")?,
            assignee_id: row.try_get("assignee_id")?,
            delegator_id: row.try_get("delegator_id")?,
            asked_by_task: row.try_get("asked_by_task")?,
            asking_unit_id: row.try_get("asking_unit_id")?,
            question: row.try_get("question")?,
            opinion: row.try_get("opinion")?,
            agrees: row.try_get("agrees")?,
            create_time: row.try_get("create_time")?,
            assign_time: row.try_get("assign_time")?,
            finish_time: row.try_get("finish_time")?,
            finished_by: row.try_get("finished_by")?,
            outcome: row.try_get("outcome")?,
            version: row.try_get("version")?,
        })
    }
}

/// What is shown of a task and its case, of the rows that follow as `t`.
const HEAD: &str = "SELECT t.task_id, t.number, t.kind, t.step AS task_step, t.role, t.responsible_unit_id AS task_unit_id, \
    t.state AS task_state, t.assignee_id, t.delegator_id, t.asked_by_task, t.asking_unit_id, t.question, t.opinion, t.agrees, \
    t.reception_unit_id, t.create_time, t.assign_time, t.finish_time, t.finished_by, t.outcome, t.version, \
    c.case_id, c.case_code, c.procedure_code, c.procedure_version, c.state, c.step, c.owner ->> 'full_name' AS owner_name, \
    c.owner_id, c.responsible_unit_id, c.submit_time, c.due_date, c.conditions, c.channel, c.accept_time, \
    (SELECT count(*) FROM case_marks AS m WHERE m.case_id = t.case_id AND m.resolve_time IS NULL) AS open_marks FROM (";

/// One page.
pub(crate) async fn list(
    connection: &mut PgConnection,
    visible: &Visible,
    whose: &Whose,
    after: Option<AfterTask>,
    limit: i64,
) -> Result<Vec<InboxRow>, StoreError> {
    let rows = query(HEAD, visible, whose, after, limit)
        .build()
        .fetch_all(connection)
        .await?;
    let tasks: Vec<Task> = rows
        .iter()
        .map(|row| Task::try_from(TaskRow::from_row(row)?))
        .collect::<Result<_, StoreError>>()?;
    let others: Vec<Beside> = rows.iter().map(Beside::of).collect::<Result<_, StoreError>>()?;
    Ok(tasks
        .into_iter()
        .zip(summaries(rows)?)
        .zip(others)
        .map(|((task, case), beside)| InboxRow {
            task,
            case,
            procedure_version: beside.procedure_version,
            open_marks: beside.open_marks,
            conditions: beside.conditions,
            channel: beside.channel,
            accept_time: beside.accept_time,
        })
        .collect())
}

/// The query of a page. `head` is apart so that a test can put EXPLAIN before it.
///
/// A page for each unit and role, each in the order of the index, and the page of them all: joined by OR or `= ANY`, no index would
/// give the order, and every open task of the province would be sorted.
pub(super) fn query(
    head: &str,
    visible: &Visible,
    whose: &Whose,
    after: Option<AfterTask>,
    limit: i64,
) -> QueryBuilder<sqlx::Postgres> {
    let mut query = QueryBuilder::new(head);
    match whose {
        Whose::Person(person) => {
            query
                .push("SELECT * FROM case_tasks WHERE assignee_id = ")
                .push_bind(*person);
            query.push(" AND state = 1");
            if !visible.all {
                query
                    .push(" AND (responsible_unit_id = ANY (")
                    .push_bind(visible.units.clone())
                    .push(") OR reception_unit_id = ANY (")
                    .push_bind(visible.units.clone())
                    .push("))");
            }
            push_page(&mut query, after, limit);
        }
        Whose::Unit(unit, only) => push_both(&mut query, |query, at| {
            // What one person has is less than what a unit has: an expression is no condition of the unit's index, and the person's is walked.
            let of = if only.assignee.is_some() { " + 0" } else { "" };
            query
                .push(format_args!("SELECT * FROM case_tasks WHERE {at}{of} = "))
                .push_bind(*unit);
            if let Some(role) = &only.role {
                query.push(" AND role = ").push_bind(role.clone());
            }
            if let Some(assignee) = only.assignee {
                query.push(" AND assignee_id = ").push_bind(assignee);
            }
            push_visible(query, visible, at);
            push_page(query, after, limit);
        }),
        Whose::Roles(held) => {
            let (roles, units): (Vec<String>, Vec<i32>) = held.iter().cloned().unzip();
            push_both(&mut query, |query, at| {
                query
                    .push("SELECT page.* FROM unnest(")
                    .push_bind(roles.clone())
                    .push("::text[], ")
                    .push_bind(units.clone())
                    .push(format_args!(
                        "::int[]) AS held (role, unit) CROSS JOIN LATERAL (SELECT * FROM case_tasks \
                         WHERE {at} = held.unit AND role = held.role AND assignee_id IS NULL"
                    ));
                push_visible(query, visible, at);
                push_page(query, after, limit);
                query.push(") AS page");
                push_order(query, "page.", limit);
            });
        }
    }
    query.push(") AS t JOIN cases AS c ON c.case_id = t.case_id");
    push_order(&mut query, "t.", limit);
    query
}

/// Two pages in one, what is in both once: what lies with the competent unit, and what its units received for another one.
fn push_both(query: &mut QueryBuilder<sqlx::Postgres>, page: impl Fn(&mut QueryBuilder<sqlx::Postgres>, &'static str)) {
    query.push("(");
    page(query, "responsible_unit_id");
    query.push(") UNION (");
    page(query, "reception_unit_id");
    query.push(")");
}

/// The query's own filter; by unit alone, as tasks belong to units. `at` is the column that names it.
fn push_visible(query: &mut QueryBuilder<sqlx::Postgres>, visible: &Visible, at: &str) {
    query.push(" AND state = 1");
    if !visible.all {
        query
            .push(" AND ")
            .push(at)
            .push(" = ANY (")
            .push_bind(visible.units.clone())
            .push(")");
    }
}

fn push_page(query: &mut QueryBuilder<sqlx::Postgres>, after: Option<AfterTask>, limit: i64) {
    if let Some(after) = after {
        query
            .push(" AND (create_time, task_id) > (")
            .push_bind(after.create_time.to_sqlx())
            .push(", ")
            .push_bind(after.task_id)
            .push(")");
    }
    push_order(query, "", limit);
}

fn push_order(query: &mut QueryBuilder<sqlx::Postgres>, of: &str, limit: i64) {
    query.push(format_args!(" ORDER BY {of}create_time, {of}task_id LIMIT {limit}"));
}

#[cfg(test)]
#[path = "inbox_plans.rs"]
mod plans;
