//! Hồ sơ: `cases` and what belongs to a case.

use std::collections::HashMap;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use serde::Deserialize;
use sqlx::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use super::{StoreError, Visible, one_row, statistics, unsettled};
use crate::domain::case::{
    Case, CaseFee, CaseResult, CaseReturn, Deadline, FiledComponent, Pause, Rating, SupplementItem,
};
use crate::domain::components::{ComparedWith, ComponentCheck};
use crate::domain::extension::Extension;
use crate::domain::linked::CaseStand;
use crate::domain::listing::After;
use crate::domain::pack::Channel;
use crate::domain::party::Party;
use crate::domain::results::ResultVersion;
use crate::domain::statistics::{Snapshot, When, changes};
use crate::domain::transitions::State;

pub(super) struct CaseRow {
    pub(super) case_id: Uuid,
    pub(super) case_code: String,
    pub(super) code_provisional: bool,
    pub(super) procedure_code: String,
    pub(super) procedure_version: i32,
    pub(super) procedure_name: String,
    pub(super) state: i16,
    pub(super) entered_from: Option<i16>,
    pub(super) step: String,
    pub(super) step_outcome: String,
    pub(super) channel: i16,
    pub(super) responsible_unit_id: i32,
    pub(super) receiving_unit_id: i32,
    pub(super) support_unit_id: Option<i32>,
    pub(super) owner_id: Option<Uuid>,
    pub(super) assignee_id: Option<Uuid>,
    pub(super) owner: Json<Party>,
    pub(super) submitter: Option<Json<Party>>,
    pub(super) subject: String,
    pub(super) conditions: Vec<String>,
    pub(super) submit_time: jiff_sqlx::Timestamp,
    pub(super) accept_time: Option<jiff_sqlx::Timestamp>,
    pub(super) deadline: Option<Json<Deadline>>,
    pub(super) fees: Json<Vec<CaseFee>>,
    pub(super) supplement_items: Json<Vec<SupplementItem>>,
    pub(super) supplement_rounds: i32,
    pub(super) lookup_secret: Vec<u8>,
    pub(super) version: i64,
    pub(super) belonging: Json<Belonging>,
}

/// What every case may have beside its own row, in the order of the tables' keys: read with it, in one statement.
#[derive(Deserialize)]
pub(super) struct Belonging {
    components: Option<Vec<FiledComponent>>,
    pauses: Option<Vec<PauseRow>>,
    extension: Option<ExtensionRow>,
    checks: Option<Vec<ComponentCheck>>,
    step_since: Option<Timestamp>,
}

#[derive(Deserialize)]
struct ExtensionRow {
    old_due_time: Timestamp,
    new_due_date: jiff::civil::Date,
    working_days: u32,
    reason: String,
    legal_basis: String,
    signer_name: String,
    signer_title: String,
    agency_name: String,
    after_latest: bool,
    extend_time: Timestamp,
}

impl From<ExtensionRow> for Extension {
    fn from(row: ExtensionRow) -> Self {
        Self {
            old_due_time: row.old_due_time,
            new_due_date: row.new_due_date,
            working_days: row.working_days,
            reason: row.reason,
            legal_basis: row.legal_basis,
            signer_name: row.signer_name,
            signer_title: row.signer_title,
            agency_name: row.agency_name,
            after_latest: row.after_latest,
            time: row.extend_time,
        }
    }
}

#[derive(Deserialize)]
struct PauseRow {
    state: i16,
    start_time: Timestamp,
    end_time: Option<Timestamp>,
}

impl TryFrom<PauseRow> for Pause {
    type Error = StoreError;

    fn try_from(row: PauseRow) -> Result<Self, StoreError> {
        Ok(Self {
            state: state(row.state, "case_pauses.state")?,
            start: row.start_time,
            end: row.end_time,
        })
    }
}

pub(super) fn state(code: i16, column: &'static str) -> Result<State, StoreError> {
    State::try_from(code).map_err(|_| StoreError::Inconsistent { table: "cases", column })
}

impl TryFrom<CaseRow> for Case {
    type Error = StoreError;

    fn try_from(row: CaseRow) -> Result<Self, StoreError> {
        let Belonging {
            components,
            pauses,
            extension,
            checks,
            step_since,
        } = row.belonging.0;
        Ok(Self {
            case_id: row.case_id,
            case_code: row.case_code,
            code_provisional: row.code_provisional,
            procedure_code: row.procedure_code,
            procedure_version: row.procedure_version,
            procedure_name: row.procedure_name,
            state: state(row.state, "state")?,
            entered_from: row.entered_from.map(|code| state(code, "entered_from")).transpose()?,
            step: row.step,
            step_outcome: row.step_outcome,
            channel: Channel::from_number(row.channel).ok_or(StoreError::Inconsistent {
                table: "cases",
                column: "channel",
            })?,
            responsible_unit_id: row.responsible_unit_id,
            receiving_unit_id: row.receiving_unit_id,
            support_unit_id: row.support_unit_id,
            owner_id: row.owner_id,
            assignee_id: row.assignee_id,
            owner: row.owner.0,
            submitter: row.submitter.map(|submitter| submitter.0),
            subject: row.subject,
            conditions: row.conditions,
            submit_time: row.submit_time.to_jiff(),
            accept_time: row.accept_time.map(jiff_sqlx::Timestamp::to_jiff),
            deadline: row.deadline.map(|deadline| deadline.0),
            fees: row.fees.0,
            supplement_items: row.supplement_items.0,
            supplement_rounds: row.supplement_rounds,
            lookup_secret: row.lookup_secret,
            version: row.version,
            components: components.unwrap_or_default(),
            pauses: pauses
                .unwrap_or_default()
                .into_iter()
                .map(Pause::try_from)
                .collect::<Result<_, _>>()?,
            results: Vec::new(),
            returned: None,
            rating: None,
            extension: extension.map(Extension::from),
            checks: checks.unwrap_or_default(),
            step_since,
        })
    }
}

/// The cases, as a row is read with what belongs to it, that a condition chooses.
macro_rules! select_case {
    ($which:literal, $($value:expr),+ $(,)?) => {
        sqlx::query_as!(
            CaseRow,
            r#"
        SELECT case_id, case_code, code_provisional, procedure_code, procedure_version, state, entered_from, step,
               step_outcome, channel, responsible_unit_id, receiving_unit_id, support_unit_id, owner_id, assignee_id,
               owner AS "owner: Json<Party>", submitter AS "submitter: Json<Party>", subject, conditions,
               submit_time, accept_time, deadline AS "deadline: Json<Deadline>",
               fees AS "fees: Json<Vec<CaseFee>>", supplement_items AS "supplement_items: Json<Vec<SupplementItem>>",
               supplement_rounds, lookup_secret, version,
               (SELECT name FROM procedures
                WHERE procedures.procedure_code = cases.procedure_code AND procedures.version = cases.procedure_version
               ) AS "procedure_name!",
               json_build_object(
                   'components', (SELECT json_agg(c ORDER BY c.round, c.position) FROM case_components AS c
                                  WHERE c.case_id = cases.case_id),
                   'pauses', (SELECT json_agg(p ORDER BY p.number) FROM case_pauses AS p WHERE p.case_id = cases.case_id),
                   'extension', (SELECT to_json(e) FROM case_extensions AS e WHERE e.case_id = cases.case_id),
                   'checks', (SELECT json_agg(k ORDER BY k.position) FROM component_checks AS k WHERE k.case_id = cases.case_id),
                   'step_since', (SELECT d.step_since FROM case_deadlines AS d WHERE d.case_id = cases.case_id)
               ) AS "belonging!: Json<Belonging>"
        FROM cases
        "# + $which,
            $($value),+
        )
    };
}
pub(super) use select_case;

/// Reads one case with all that belongs to it. The unit that received it reads it as well, and one whose opinion is asked for; neither
/// may hold its row ([`get_for_update`]) in its own scope.
pub(crate) async fn get(
    connection: &mut PgConnection,
    case_id: Uuid,
    visible: &Visible,
) -> Result<Option<Case>, StoreError> {
    let row = select_case!(
        r#"
        WHERE case_id = $1
          AND ($2 OR responsible_unit_id = ANY ($3) OR owner_id = $4 OR assignee_id = $5 OR receiving_unit_id = ANY ($3)
               OR EXISTS (SELECT 1 FROM case_tasks AS asked WHERE asked.case_id = cases.case_id AND asked.state = 1
                          AND asked.kind = 2 AND asked.responsible_unit_id = ANY ($3)))
        "#,
        case_id,
        visible.all,
        &visible.units,
        visible.owner,
        visible.assignee,
    )
    .fetch_optional(&mut *connection)
    .await?;
    complete(connection, row).await
}

/// Reads one case and holds its row until the transaction ends, so that two acts on it follow one another.
pub(crate) async fn get_for_update(
    connection: &mut PgConnection,
    case_id: Uuid,
    visible: &Visible,
) -> Result<Option<Case>, StoreError> {
    let row = select_case!(
        r#"
        WHERE case_id = $1
          AND ($2 OR responsible_unit_id = ANY ($3) OR owner_id = $4 OR assignee_id = $5)
        FOR UPDATE
        "#,
        case_id,
        visible.all,
        &visible.units,
        visible.owner,
        visible.assignee,
    )
    .fetch_optional(&mut *connection)
    .await?;
    complete(connection, row).await
}

/// Those of these cases that are visible, without what only finished cases have, in the order of their ids.
pub(crate) async fn get_open(
    connection: &mut PgConnection,
    case_ids: &[Uuid],
    visible: &Visible,
) -> Result<Vec<Case>, StoreError> {
    let rows = select_case!(
        r#"
        WHERE case_id = ANY ($1)
          AND ($2 OR responsible_unit_id = ANY ($3) OR owner_id = $4 OR assignee_id = $5)
        ORDER BY case_id
        "#,
        case_ids,
        visible.all,
        &visible.units,
        visible.owner,
        visible.assignee,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(Case::try_from).collect()
}

/// The id and the sealed look-up secret of the case with this code, for the public look-up: no more than is needed to
/// compare, so that an unknown code takes as long as a wrong secret.
pub(crate) async fn secret_of(
    connection: &mut PgConnection,
    case_code: &str,
) -> Result<Option<(Uuid, Vec<u8>)>, StoreError> {
    let row = sqlx::query!(
        "SELECT case_id, lookup_secret FROM cases WHERE case_code = $1",
        case_code
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| (row.case_id, row.lookup_secret)))
}

/// Adds what only a finished case has.
async fn complete(connection: &mut PgConnection, row: Option<CaseRow>) -> Result<Option<Case>, StoreError> {
    let Some(row) = row else { return Ok(None) };
    let mut case = Case::try_from(row)?;
    if case.state >= State::Completed {
        case.results = sqlx::query!(
            r#"
            SELECT result_code, number, file_id,
                   (SELECT json_agg(v.content::json ORDER BY v.version) FROM result_versions AS v
                    WHERE v.case_id = r.case_id AND v.position = r.position) AS "versions?: Json<Vec<ResultVersion>>"
            FROM case_results AS r WHERE case_id = $1 ORDER BY position
            "#,
            case.case_id
        )
        .fetch_all(&mut *connection)
        .await?
        .into_iter()
        .map(|row| CaseResult {
            result_code: row.result_code,
            number: row.number,
            file_id: row.file_id,
            versions: row.versions.map(|versions| versions.0).unwrap_or_default(),
        })
        .collect();
    }
    if case.state == State::Returned {
        case.returned = sqlx::query!(
            "SELECT channel, recipient_name, return_time FROM case_returns WHERE case_id = $1",
            case.case_id
        )
        .fetch_optional(&mut *connection)
        .await?
        .map(|returned| {
            Ok::<_, StoreError>(CaseReturn {
                channel: Channel::from_number(returned.channel).ok_or(StoreError::Inconsistent {
                    table: "case_returns",
                    column: "channel",
                })?,
                recipient_name: returned.recipient_name,
                time: returned.return_time.to_jiff(),
            })
        })
        .transpose()?;
        case.rating = sqlx::query!(
            "SELECT score, comment, rate_time FROM case_ratings WHERE case_id = $1",
            case.case_id
        )
        .fetch_optional(&mut *connection)
        .await?
        .map(|rating| Rating {
            score: rating.score,
            comment: rating.comment,
            time: rating.rate_time.to_jiff(),
        });
    }
    Ok(Some(case))
}

/// Stores what an act changed: the row itself, and of what belongs to it only what is new.
pub(crate) async fn save(
    connection: &mut PgConnection,
    before: &Case,
    after: &Case,
    now: Timestamp,
) -> Result<(), StoreError> {
    let (due_date, due_time) = after
        .deadline
        .as_ref()
        .map(|deadline| (deadline.due_date.to_sqlx(), deadline.due_time.to_sqlx()))
        .unzip();
    let changed = sqlx::query!(
        r#"
        UPDATE cases
        SET state = $3, entered_from = $4, step = $5, assignee_id = $6, accept_time = $7, due_date = $8, due_time = $9,
            deadline = $10, fees = $11, supplement_items = $12, supplement_rounds = $13, procedure_version = $14,
            version = $15, update_time = $16, step_outcome = $17
        WHERE case_id = $1 AND version = $2
        "#,
        before.case_id,
        before.version,
        after.state.code(),
        after.entered_from.map(State::code),
        after.step,
        after.assignee_id,
        after.accept_time.map(ToSqlx::to_sqlx) as _,
        due_date as _,
        due_time as _,
        after.deadline.as_ref().map(Json) as _,
        Json(&after.fees) as _,
        Json(&after.supplement_items) as _,
        after.supplement_rounds,
        after.procedure_version,
        after.version,
        now.to_sqlx() as _,
        after.step_outcome,
    )
    .execute(&mut *connection)
    .await?;
    one_row("cases", changed.rows_affected())?;

    insert_components(connection, after, before.components.len()).await?;
    insert_checks(connection, after, before.checks.len()).await?;
    for (number, pause) in after.pauses.iter().enumerate() {
        if before.pauses.get(number) != Some(pause) {
            sqlx::query!(
                r#"
                INSERT INTO case_pauses (case_id, number, state, start_time, end_time)
                VALUES ($1, $2, $3, $4, $5)
                ON CONFLICT (case_id, number) DO UPDATE SET end_time = EXCLUDED.end_time
                "#,
                after.case_id,
                number as i32,
                pause.state.code(),
                pause.start.to_sqlx() as _,
                pause.end.map(ToSqlx::to_sqlx) as _,
            )
            .execute(&mut *connection)
            .await?;
        }
    }
    if let (None, Some(extension)) = (&before.extension, &after.extension) {
        sqlx::query!(
            r#"
            INSERT INTO case_extensions (case_id, old_due_time, new_due_date, working_days, reason, legal_basis, signer_name,
                                         signer_title, agency_name, after_latest, extend_time)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
            "#,
            after.case_id,
            extension.old_due_time.to_sqlx() as _,
            extension.new_due_date.to_sqlx() as _,
            i32::try_from(extension.working_days).unwrap_or(i32::MAX),
            extension.reason,
            extension.legal_basis,
            extension.signer_name,
            extension.signer_title,
            extension.agency_name,
            extension.after_latest,
            extension.time.to_sqlx() as _,
        )
        .execute(&mut *connection)
        .await?;
    }
    for (position, result) in after.results.iter().enumerate().skip(before.results.len()) {
        sqlx::query!(
            "INSERT INTO case_results (case_id, position, result_code, number, file_id) VALUES ($1, $2, $3, $4, $5)",
            after.case_id,
            position as i32,
            result.result_code,
            result.number,
            result.file_id,
        )
        .execute(&mut *connection)
        .await?;
    }
    if let (None, Some(returned)) = (&before.returned, &after.returned) {
        sqlx::query!(
            "INSERT INTO case_returns (case_id, channel, recipient_name, return_time) VALUES ($1, $2, $3, $4)",
            after.case_id,
            returned.channel.number(),
            returned.recipient_name,
            returned.time.to_sqlx() as _,
        )
        .execute(&mut *connection)
        .await?;
    }
    if let (None, Some(rating)) = (&before.rating, &after.rating) {
        sqlx::query!(
            "INSERT INTO case_ratings (case_id, score, comment, rate_time) VALUES ($1, $2, $3, $4)",
            after.case_id,
            rating.score,
            rating.comment,
            rating.time.to_sqlx() as _,
        )
        .execute(&mut *connection)
        .await?;
    }
    unsettled::follow(&mut *connection, before, after, now).await?;
    count(connection, before, after, now).await
}

/// What an act changed in the figures, in its own transaction.
pub(super) async fn count(
    connection: &mut PgConnection,
    before: &Case,
    after: &Case,
    now: Timestamp,
) -> Result<(), StoreError> {
    let changed = changes(Some(&Snapshot::of(before)), &Snapshot::of(after), When::now(now));
    statistics::append(connection, after.case_id, &changed).await
}

/// Where these cases stand, of those that are visible.
pub(crate) async fn stands(connection: &mut PgConnection, case_ids: &[Uuid]) -> Result<Vec<CaseStand>, StoreError> {
    let rows = sqlx::query!(
        "SELECT case_id, case_code, responsible_unit_id, state, due_date FROM cases WHERE case_id = ANY ($1)",
        case_ids
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(CaseStand {
                case_id: row.case_id,
                case_code: row.case_code,
                unit_id: row.responsible_unit_id,
                state: state(row.state, "state")?,
                due_date: row.due_date.map(jiff_sqlx::Date::to_jiff),
            })
        })
        .collect()
}

/// By what the ways of these cases through their procedures branch, of those that are visible: which conditions hold, and to which
/// outcome the step that was done last came.
pub(crate) async fn branching_of(
    connection: &mut PgConnection,
    cases: &[Uuid],
) -> Result<HashMap<Uuid, (Vec<String>, String)>, StoreError> {
    let rows = sqlx::query!(
        "SELECT case_id, conditions, step_outcome FROM cases WHERE case_id = ANY ($1)",
        cases
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.case_id, (row.conditions, row.step_outcome)))
        .collect())
}

/// Which of these units have cases, finished ones as well.
pub(crate) async fn units_with_cases(connection: &mut PgConnection, units: &[i32]) -> Result<Vec<i32>, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"SELECT unit AS "unit!" FROM unnest($1::int[]) AS unit
           WHERE EXISTS (SELECT 1 FROM cases WHERE responsible_unit_id = unit)
           ORDER BY unit"#,
        units,
    )
    .fetch_all(connection)
    .await?)
}

/// Open cases of a unit after a place, the latest first, held until the transaction ends.
pub(crate) async fn open_of(
    connection: &mut PgConnection,
    unit: i32,
    after: Option<After>,
    limit: i64,
) -> Result<Vec<After>, StoreError> {
    let (time, case_id) = after.map(|after| (after.submit_time.to_sqlx(), after.case_id)).unzip();
    let rows = sqlx::query!(
        r#"SELECT case_id, submit_time FROM cases
           WHERE responsible_unit_id = $1 AND state NOT IN (3, 7, 8, 10)
             AND (submit_time, case_id) < (coalesce($2::timestamptz, 'infinity'),
                                           coalesce($3::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff'))
           ORDER BY submit_time DESC, case_id DESC LIMIT $4 FOR UPDATE"#,
        unit,
        time as _,
        case_id as Option<Uuid>,
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| After {
            submit_time: row.submit_time.to_jiff(),
            case_id: row.case_id,
        })
        .collect())
}

/// How many open cases these units have.
pub(crate) async fn count_open_of(connection: &mut PgConnection, units: &[i32]) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM cases
           WHERE responsible_unit_id = ANY ($1) AND state NOT IN (3, 7, 8, 10)"#,
        units,
    )
    .fetch_one(connection)
    .await?)
}

/// Moves a case to another unit, and the words by which it is found with it; those at the place of reception stay there.
pub(crate) async fn move_to_unit(
    connection: &mut PgConnection,
    before: &Case,
    after: &Case,
    now: Timestamp,
) -> Result<(), StoreError> {
    let changed = sqlx::query!(
        "UPDATE cases SET responsible_unit_id = $3, version = $4, update_time = $5 WHERE case_id = $1 AND version = $2",
        before.case_id,
        before.version,
        after.responsible_unit_id,
        after.version,
        now.to_sqlx() as _,
    )
    .execute(&mut *connection)
    .await?;
    one_row("cases", changed.rows_affected())?;
    sqlx::query!(
        "UPDATE case_tokens SET responsible_unit_id = $2 WHERE case_id = $1",
        before.case_id,
        after.responsible_unit_id,
    )
    .execute(&mut *connection)
    .await?;
    super::case_search::keep_at_reception(&mut *connection, after).await?;
    sqlx::query!(
        "UPDATE case_deadlines SET responsible_unit_id = $2 WHERE case_id = $1",
        before.case_id,
        after.responsible_unit_id,
    )
    .execute(&mut *connection)
    .await?;
    super::charges::move_to_unit(&mut *connection, before.case_id, after.responsible_unit_id).await?;
    count(connection, before, after, now).await
}

/// Adds the components from position `known` of the case's list on.
async fn insert_components(connection: &mut PgConnection, case: &Case, known: usize) -> Result<(), StoreError> {
    for (position, component) in case.components.iter().enumerate().skip(known) {
        sqlx::query!(
            r#"
            INSERT INTO case_components (case_id, round, position, component_code, originals, copies, replaced_by_data, file_ids,
                                         form_data)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
            "#,
            case.case_id,
            component.round,
            position as i32,
            component.component_code,
            component.originals,
            component.copies,
            component.replaced_by_data,
            &component.file_ids,
            component.form_data,
        )
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// Adds what was said of components from position `known` of the case's list on.
async fn insert_checks(connection: &mut PgConnection, case: &Case, known: usize) -> Result<(), StoreError> {
    for (position, check) in case.checks.iter().enumerate().skip(known) {
        sqlx::query!(
            r#"
            INSERT INTO component_checks (case_id, position, version, rows, component_code, state, compared_with, file_ids, source,
                                          paper_id, reason, valid_until, officer_id, check_time, request_code, confirmed)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
            "#,
            case.case_id,
            position as i32,
            check.version,
            check.rows,
            check.component_code,
            check.state.as_str(),
            check.compared_with.map(ComparedWith::as_str),
            &check.file_ids,
            check.source,
            check.paper_id,
            check.reason,
            check.valid_until.map(ToSqlx::to_sqlx) as _,
            check.officer_id,
            check.time.to_sqlx() as _,
            check.request_code,
            check.confirmed,
        )
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}
