//! Hồ sơ: `cases` and what belongs to a case.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use serde::Deserialize;
use sqlx::types::Json;
use sqlx::{PgConnection, QueryBuilder, Row as _};
use uuid::Uuid;

use super::{StoreError, Visible, one_row, statistics};
use crate::domain::case::{
    Case, CaseFee, CaseResult, CaseReturn, Deadline, FiledComponent, Pause, Rating, SupplementItem,
};
use crate::domain::listing::{After, CaseFilter, Summary};
use crate::domain::pack::Channel;
use crate::domain::party::Party;
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
        let Belonging { components, pauses } = row.belonging.0;
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
               channel, responsible_unit_id, receiving_unit_id, support_unit_id, owner_id, assignee_id,
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
                   'pauses', (SELECT json_agg(p ORDER BY p.number) FROM case_pauses AS p WHERE p.case_id = cases.case_id)
               ) AS "belonging!: Json<Belonging>"
        FROM cases
        "# + $which,
            $($value),+
        )
    };
}
pub(super) use select_case;

/// Reads one case with all that belongs to it.
pub(crate) async fn get(
    connection: &mut PgConnection,
    case_id: Uuid,
    visible: &Visible,
) -> Result<Option<Case>, StoreError> {
    let row = select_case!(
        r#"
        WHERE case_id = $1
          AND ($2 OR responsible_unit_id = ANY ($3) OR owner_id = $4 OR assignee_id = $5)
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
        case.results = sqlx::query_as!(
            CaseResult,
            "SELECT result_code, number, file_id FROM case_results WHERE case_id = $1 ORDER BY position",
            case.case_id
        )
        .fetch_all(&mut *connection)
        .await?;
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

/// The words by which a case is found: those of its owner and of who submitted it, each once.
pub(crate) fn search_tokens(case: &Case) -> Vec<String> {
    let mut tokens = case.owner.search_tokens();
    if let Some(submitter) = &case.submitter {
        tokens.extend(submitter.search_tokens());
    }
    tokens.sort();
    tokens.dedup();
    tokens
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
            version = $15, update_time = $16
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
    )
    .execute(&mut *connection)
    .await?;
    one_row("cases", changed.rows_affected())?;

    insert_components(connection, after, before.components.len()).await?;
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
    count(connection, before, after, now).await
}

/// What an act changed in the figures, in its own transaction.
async fn count(connection: &mut PgConnection, before: &Case, after: &Case, now: Timestamp) -> Result<(), StoreError> {
    let changed = changes(Some(&Snapshot::of(before)), &Snapshot::of(after), When::now(now));
    statistics::append(connection, after.case_id, &changed).await
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

/// Moves a case to another unit, and the words by which it is found with it.
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
    count(connection, before, after, now).await
}

/// Adds the components from position `known` of the case's list on.
async fn insert_components(connection: &mut PgConnection, case: &Case, known: usize) -> Result<(), StoreError> {
    for (position, component) in case.components.iter().enumerate().skip(known) {
        sqlx::query!(
            r#"
            INSERT INTO case_components (case_id, round, position, component_code, originals, copies, replaced_by_data, file_ids)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
            "#,
            case.case_id,
            component.round,
            position as i32,
            component.component_code,
            component.originals,
            component.copies,
            component.replaced_by_data,
            &component.file_ids,
        )
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

const SUMMARY: &str = "SELECT case_id, case_code, procedure_code, state, step, owner ->> 'full_name' AS owner_name, \
                       owner_id, responsible_unit_id, submit_time, due_date FROM cases WHERE ";

/// One page, newest first.
pub(crate) async fn list(
    connection: &mut PgConnection,
    visible: &Visible,
    filter: &CaseFilter,
    after: Option<After>,
    limit: i64,
) -> Result<Vec<Summary>, StoreError> {
    let mut query = list_query(SUMMARY, visible, filter, after, limit);
    summaries(query.build().fetch_all(connection).await?)
}

/// The query of a list. `head` is apart so that a test can put EXPLAIN before it.
///
/// Whoever sees rows for several reasons (the cases of the unit, and those assigned to them elsewhere) gets the page from a page
/// for each reason: joined by OR, none of the indexes gives the order, and PostgreSQL walks everybody's cases by time until it has
/// met enough that the caller sees.
fn list_query(
    head: &str,
    visible: &Visible,
    filter: &CaseFilter,
    after: Option<After>,
    limit: i64,
) -> QueryBuilder<sqlx::Postgres> {
    let mut query = QueryBuilder::new(head);
    let reasons = visible.reasons();
    if let [reason] = reasons.as_slice() {
        push_visible(&mut query, reason);
        push_filter(&mut query, filter);
        push_page(&mut query, after, limit);
        return query;
    }
    query.push("case_id IN (SELECT case_id FROM (");
    for (number, reason) in reasons.iter().enumerate() {
        query.push(if number == 0 { "(" } else { " UNION (" });
        query.push("SELECT case_id, submit_time FROM cases WHERE ");
        push_visible(&mut query, reason);
        push_filter(&mut query, filter);
        push_page(&mut query, after, limit);
        query.push(")");
    }
    query.push(") AS pages");
    push_order(&mut query, limit);
    query.push(")");
    push_order(&mut query, limit);
    query
}

fn push_filter(query: &mut QueryBuilder<sqlx::Postgres>, filter: &CaseFilter) {
    if let Some(unit_id) = filter.unit_id {
        query.push(" AND responsible_unit_id = ").push_bind(unit_id);
    }
    if !filter.states.is_empty() {
        query
            .push(" AND state = ANY (")
            .push_bind(filter.states.clone())
            .push(")");
    }
    if let Some(procedure_code) = &filter.procedure_code {
        query.push(" AND procedure_code = ").push_bind(procedure_code.clone());
    }
    if let Some(due_until) = filter.due_until {
        query.push(" AND due_date <= ").push_bind(due_until.to_sqlx());
    }
}

/// The case with this code, if it is visible.
pub(crate) async fn list_by_code(
    connection: &mut PgConnection,
    visible: &Visible,
    case_code: &str,
) -> Result<Vec<Summary>, StoreError> {
    let mut query = QueryBuilder::new(SUMMARY);
    push_visible(&mut query, visible);
    query.push(" AND case_code = ").push_bind(case_code.to_owned());
    summaries(query.build().fetch_all(connection).await?)
}

/// One page of the cases that carry all of these words, newest first.
///
/// The rarest word leads: its rows are few, and the others are looked up for each of them by `=`.
pub(crate) async fn search(
    connection: &mut PgConnection,
    visible: &Visible,
    words: &[String],
    after: Option<After>,
    limit: i64,
) -> Result<Vec<Summary>, StoreError> {
    let rarest_first = sqlx::query_scalar!(
        r#"
        SELECT word AS "word!"
        FROM unnest($1::text[]) AS word
        ORDER BY (SELECT count(*) FROM (SELECT 1 FROM case_tokens WHERE token = word LIMIT 1000) AS counted)
        "#,
        words
    )
    .fetch_all(&mut *connection)
    .await?;
    let mut query = search_query(SUMMARY, visible, rarest_first, after, limit);
    summaries(query.build().fetch_all(connection).await?)
}

/// The query of a search, the rarest word first.
fn search_query(
    head: &str,
    visible: &Visible,
    rarest_first: Vec<String>,
    after: Option<After>,
    limit: i64,
) -> QueryBuilder<sqlx::Postgres> {
    let mut query = QueryBuilder::new(head);
    push_visible(&mut query, visible);
    for (number, word) in rarest_first.into_iter().enumerate() {
        if number == 0 {
            query
                .push(" AND case_id IN (SELECT case_id FROM case_tokens WHERE token = ")
                .push_bind(word);
        } else {
            query
                .push(" AND EXISTS (SELECT 1 FROM case_tokens WHERE case_tokens.case_id = cases.case_id AND token = ")
                .push_bind(word);
        }
        if !visible.all {
            query
                .push(" AND responsible_unit_id = ANY (")
                .push_bind(visible.units.clone())
                .push(")");
        }
        query.push(")");
    }
    push_page(&mut query, after, limit);
    query
}

/// The query's own filter, no longer than it must be: a condition that cannot hold would only keep PostgreSQL from the
/// index in whose order the list comes. For one unit it is `=` and not `= ANY` for the same reason.
fn push_visible(query: &mut QueryBuilder<sqlx::Postgres>, visible: &Visible) {
    if visible.all {
        query.push("true");
        return;
    }
    query.push("(false");
    match visible.units.as_slice() {
        [] => {}
        [unit] => {
            query.push(" OR responsible_unit_id = ").push_bind(*unit);
        }
        units => {
            query
                .push(" OR responsible_unit_id = ANY (")
                .push_bind(units.to_vec())
                .push(")");
        }
    }
    if let Some(owner) = visible.owner {
        query.push(" OR owner_id = ").push_bind(owner);
    }
    if let Some(assignee) = visible.assignee {
        query.push(" OR assignee_id = ").push_bind(assignee);
    }
    query.push(")");
}

fn push_page(query: &mut QueryBuilder<sqlx::Postgres>, after: Option<After>, limit: i64) {
    if let Some(after) = after {
        query
            .push(" AND (submit_time, case_id) < (")
            .push_bind(after.submit_time.to_sqlx())
            .push(", ")
            .push_bind(after.case_id)
            .push(")");
    }
    push_order(query, limit);
}

fn push_order(query: &mut QueryBuilder<sqlx::Postgres>, limit: i64) {
    // Spelt out: where PostgreSQL does not know how few rows are wanted, it makes a new plan for every page.
    query.push(format_args!(" ORDER BY submit_time DESC, case_id DESC LIMIT {limit}"));
}

fn summaries(rows: Vec<sqlx::postgres::PgRow>) -> Result<Vec<Summary>, StoreError> {
    rows.into_iter()
        .map(|row| {
            Ok(Summary {
                case_id: row.try_get("case_id")?,
                case_code: row.try_get("case_code")?,
                procedure_code: row.try_get("procedure_code")?,
                state: state(row.try_get("state")?, "state")?,
                step: row.try_get("step")?,
                owner_name: row.try_get::<Option<String>, _>("owner_name")?.unwrap_or_default(),
                owner_id: row.try_get("owner_id")?,
                responsible_unit_id: row.try_get("responsible_unit_id")?,
                submit_time: row.try_get::<jiff_sqlx::Timestamp, _>("submit_time")?.to_jiff(),
                due_date: row
                    .try_get::<Option<jiff_sqlx::Date>, _>("due_date")?
                    .map(jiff_sqlx::Date::to_jiff),
            })
        })
        .collect()
}

#[cfg(test)]
#[path = "cases_plans.rs"]
mod plans;
