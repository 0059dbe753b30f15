//! Nộp hồ sơ: what a filing must know, and what it stores. In as few statements as can be, because nothing is done more often
//! and every one is a way to the database and back.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff_sqlx::ToSqlx as _;
use serde::Serialize;
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use super::agencies::digits_of;
use super::statistics::ChangeColumns;
use super::{StoreError, case_search};
use crate::domain::case::{Case, FiledComponent};
use crate::domain::listing::HistoryEntry;
use crate::domain::search::{kept_beside, tokens_of};
use crate::domain::statistics::{Snapshot, When, changes};
use crate::domain::transitions::State;
use crate::domain::work::task::Task;

/// What is asked of the database before a case is judged.
pub(crate) struct Facts {
    /// The version of the procedure that is in force.
    pub(crate) procedure_version: i32,
    /// Digits of the agency's daily case numbers: four by rule, more where it decided so.
    pub(crate) digits: u8,
}

/// The facts of a filing on a day; none if no version of the procedure is in force.
pub(crate) async fn facts(
    connection: &mut PgConnection,
    procedure_code: &str,
    unit_id: i32,
    on: Date,
) -> Result<Option<Facts>, StoreError> {
    let row = sqlx::query!(
        r#"
        SELECT version,
               (SELECT digits FROM agency_sequences
                WHERE unit_id = $2 AND effective_from <= $3 ORDER BY effective_from DESC LIMIT 1) AS digits
        FROM procedures
        WHERE procedure_code = $1 AND effective_from <= $3 AND (effective_to IS NULL OR effective_to > $3)
        ORDER BY effective_from DESC, version DESC
        LIMIT 1
        "#,
        procedure_code,
        unit_id,
        on.to_sqlx() as _,
    )
    .fetch_optional(connection)
    .await?;
    row.map(|row| {
        Ok(Facts {
            procedure_version: row.version,
            digits: digits_of(row.digits)?,
        })
    })
    .transpose()
}

/// A component as the statement reads it: lists of files differ in length, which arrays of arrays cannot express.
#[derive(Serialize)]
struct ComponentRow<'a> {
    round: i32,
    position: usize,
    component_code: &'a str,
    originals: i32,
    copies: i32,
    replaced_by_data: &'a str,
    file_ids: &'a [Uuid],
    form_data: Option<&'a str>,
}

impl<'a> ComponentRow<'a> {
    fn at((position, component): (usize, &'a FiledComponent)) -> Self {
        Self {
            round: component.round,
            position,
            component_code: &component.component_code,
            originals: component.originals,
            copies: component.copies,
            replaced_by_data: &component.replaced_by_data,
            file_ids: &component.file_ids,
            form_data: component.form_data.as_deref(),
        }
    }
}

/// Stores a new case with the words by which it is found, its components, its first task, the first entry of its history, and what it
/// changes in the figures.
///
/// Two statements, and a third for a case that was received for another unit, because what belongs to a case is written by whoever sees the case, and a row is seen by the statements
/// after the one that inserts it.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    case: &Case,
    entry: &HistoryEntry,
    task: Option<&Task>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let tokens = tokens_of(case);
    sqlx::query!(
        r#"
        WITH words AS (
            INSERT INTO case_tokens (responsible_unit_id, token, owner_id, case_id, submit_time, words)
            SELECT $9, token, $12, $1, $17, $23 FROM unnest($22::text[]) AS token
        )
        INSERT INTO cases (case_id, case_code, code_provisional, procedure_code, procedure_version, state, step, channel,
                           responsible_unit_id, receiving_unit_id, support_unit_id, owner_id, owner, submitter, subject,
                           conditions, submit_time, fees, lookup_secret, version, create_time, update_time)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $21)
        "#,
        case.case_id,
        case.case_code,
        case.code_provisional,
        case.procedure_code,
        case.procedure_version,
        case.state.code(),
        case.step,
        case.channel.number(),
        case.responsible_unit_id,
        case.receiving_unit_id,
        case.support_unit_id,
        case.owner_id,
        Json(&case.owner) as _,
        case.submitter.as_ref().map(Json) as _,
        case.subject,
        &case.conditions,
        case.submit_time.to_sqlx() as _,
        Json(&case.fees) as _,
        case.lookup_secret,
        case.version,
        now.to_sqlx() as _,
        &tokens,
        kept_beside(&tokens),
    )
    .execute(&mut *connection)
    .await?;
    if case.received_elsewhere().is_some() {
        case_search::keep_at_reception(&mut *connection, case).await?;
    }
    let components: Vec<ComponentRow<'_>> = case.components.iter().enumerate().map(ComponentRow::at).collect();
    let when = When {
        happened: case.submit_time,
        recorded: now,
    };
    let counted = ChangeColumns::of(&changes(None, &Snapshot::of(case), when));
    sqlx::query!(
        r#"
        WITH components AS (
            INSERT INTO case_components (case_id, round, position, component_code, originals, copies, replaced_by_data, file_ids,
                                         form_data)
            SELECT $1, round, position, component_code, originals, copies, replaced_by_data, file_ids, form_data
            FROM jsonb_to_recordset($14) AS c (
                round int, position int, component_code text, originals int, copies int, replaced_by_data text, file_ids uuid[],
                form_data text)
        ), task AS (
            INSERT INTO case_tasks (task_id, case_id, number, kind, step, role, responsible_unit_id, state, create_time, version,
                                    reception_unit_id)
            SELECT $15, $1, 1, 1, $16, $17, $18, 1, $13, 1, $26::int WHERE $15::uuid IS NOT NULL
        ), counted AS (
            INSERT INTO statistic_changes (responsible_unit_id, procedure_code, officer_id, day, recorded, measure, amount, case_id)
            SELECT unit, procedure, officer, day, recorded, measure, amount, $1
            FROM unnest($19::int[], $20::text[], $21::uuid[], $22::date[], $23::date[], $24::smallint[], $25::int[])
                 AS c (unit, procedure, officer, day, recorded, measure, amount)
        )
        INSERT INTO case_history (case_id, version, operation, from_state, to_state, step, actor_id, actor_kind,
                                  on_behalf_of, reason, legal_basis, details, event_time, record_time)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $13)
        "#,
        case.case_id,
        entry.version,
        entry.operation,
        entry.from_state.map(State::code),
        entry.to_state.code(),
        entry.step,
        entry.actor_id,
        entry.actor_kind,
        entry.on_behalf_of,
        entry.reason,
        entry.legal_basis,
        entry.details,
        entry.record_time.to_sqlx() as _,
        Json(&components) as _,
        task.map(|task| task.task_id),
        task.map_or("", |task| task.step.as_str()),
        task.map_or("", |task| task.role.as_str()),
        case.responsible_unit_id,
        &counted.units,
        &counted.procedures,
        &counted.officers,
        &counted.days as _,
        &counted.recorded as _,
        &counted.measures,
        &counted.amounts,
        task.and_then(|task| task.reception_unit_id),
    )
    .execute(connection)
    .await?;
    Ok(())
}
