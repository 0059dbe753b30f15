//! `personal_number_requests`, `personal_number_history`: which numbers are asked for, and what became of it.

use egov_auth::RowScope;
use egov_codes::PersonalNumber;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{StoreError, one_row};
use crate::domain::personal_number::{NumberRequest, RequestState};

/// A row of `personal_number_requests`.
struct Row {
    entry_id: Uuid,
    person_id: Uuid,
    responsible_unit_id: i32,
    request_code: String,
    legal_basis: String,
    state: i16,
    problem: String,
    personal_number: Option<String>,
    assign_date: Option<jiff_sqlx::Date>,
    agency_code: String,
    attempts: i32,
    next_time: Option<jiff_sqlx::Timestamp>,
    version: i64,
    record_time: jiff_sqlx::Timestamp,
}

impl TryFrom<Row> for NumberRequest {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let outside = |column| StoreError::Inconsistent {
            table: "personal_number_requests",
            column,
        };
        let number = row.personal_number.map(|number| number.parse::<PersonalNumber>());
        Ok(Self {
            entry_id: row.entry_id,
            person_id: row.person_id,
            unit_id: row.responsible_unit_id,
            request_code: row.request_code,
            legal_basis: row.legal_basis,
            state: RequestState::of_code(row.state).ok_or_else(|| outside("state"))?,
            problem: row.problem,
            number: number.transpose().map_err(|_| outside("personal_number"))?,
            assign_date: row.assign_date.map(jiff_sqlx::Date::to_jiff),
            agency_code: row.agency_code,
            attempts: row.attempts,
            next_time: row.next_time.map(jiff_sqlx::Timestamp::to_jiff),
            version: row.version,
            record_time: row.record_time.to_jiff(),
        })
    }
}

/// A new request.
pub(crate) async fn insert(connection: &mut PgConnection, new: &NumberRequest) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO personal_number_requests (entry_id, person_id, responsible_unit_id, request_code, legal_basis, state, problem, next_time,
                                               version, record_time)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        new.entry_id,
        new.person_id,
        new.unit_id,
        new.request_code,
        new.legal_basis,
        new.state.code(),
        new.problem,
        new.next_time.map(ToSqlx::to_sqlx) as _,
        new.version,
        new.record_time.to_sqlx() as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Stores what became of a request that is held.
pub(crate) async fn save(connection: &mut PgConnection, request: &NumberRequest) -> Result<(), StoreError> {
    let changed = sqlx::query!(
        "UPDATE personal_number_requests
         SET state = $2, problem = $3, personal_number = $4, assign_date = $5, agency_code = $6, attempts = $7, next_time = $8,
             version = $9, record_time = $10
         WHERE entry_id = $1",
        request.entry_id,
        request.state.code(),
        request.problem,
        request.number.as_ref().map(PersonalNumber::reveal),
        request.assign_date.map(ToSqlx::to_sqlx) as _,
        request.agency_code,
        request.attempts,
        request.next_time.map(ToSqlx::to_sqlx) as _,
        request.version,
        request.record_time.to_sqlx() as _,
    )
    .execute(connection)
    .await?;
    one_row("personal_number_requests", changed.rows_affected())
}

/// Adds an act to the history of a request; `content` is what its leaf commits to.
pub(crate) async fn add_act(
    connection: &mut PgConnection,
    request: &NumberRequest,
    act: &str,
    (actor_id, actor_kind): (Option<Uuid>, &str),
    content: &str,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO personal_number_history (entry_id, version, responsible_unit_id, act, actor_id, actor_kind, content, record_time)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        request.entry_id,
        request.version,
        request.unit_id,
        act,
        actor_id,
        actor_kind,
        content,
        request.record_time.to_sqlx() as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The request of an entry in the scope; none if none was made, or it is not in the scope.
pub(crate) async fn of_entry(
    connection: &mut PgConnection,
    entry_id: Uuid,
    scope: &RowScope,
) -> Result<Option<NumberRequest>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT entry_id, person_id, responsible_unit_id, request_code, legal_basis, state, problem, personal_number,
                  assign_date AS "assign_date: jiff_sqlx::Date", agency_code, attempts, next_time AS "next_time: jiff_sqlx::Timestamp",
                  version, record_time AS "record_time: jiff_sqlx::Timestamp"
           FROM personal_number_requests
           WHERE entry_id = $1 AND ($2 OR responsible_unit_id = ANY ($3))"#,
        entry_id,
        scope.all,
        &scope.units,
    )
    .fetch_optional(connection)
    .await?;
    row.map(NumberRequest::try_from).transpose()
}

/// The same, held until the transaction ends.
pub(crate) async fn hold(
    connection: &mut PgConnection,
    entry_id: Uuid,
    scope: &RowScope,
) -> Result<Option<NumberRequest>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT entry_id, person_id, responsible_unit_id, request_code, legal_basis, state, problem, personal_number,
                  assign_date AS "assign_date: jiff_sqlx::Date", agency_code, attempts, next_time AS "next_time: jiff_sqlx::Timestamp",
                  version, record_time AS "record_time: jiff_sqlx::Timestamp"
           FROM personal_number_requests
           WHERE entry_id = $1 AND ($2 OR responsible_unit_id = ANY ($3))
           FOR UPDATE"#,
        entry_id,
        scope.all,
        &scope.units,
    )
    .fetch_optional(connection)
    .await?;
    row.map(NumberRequest::try_from).transpose()
}

/// The entries whose requests are due, those first that have waited longest.
pub(crate) async fn due(connection: &mut PgConnection, now: Timestamp, limit: i64) -> Result<Vec<Uuid>, StoreError> {
    let found = sqlx::query_scalar!(
        "SELECT entry_id FROM personal_number_requests
         WHERE state IN (1, 2) AND next_time <= $1
         ORDER BY next_time, entry_id
         LIMIT $2",
        now.to_sqlx() as _,
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(found)
}

/// Which requests a list is of.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RequestFilter {
    pub(crate) unit_id: Option<i32>,
    pub(crate) entry_id: Option<Uuid>,
    pub(crate) state: Option<RequestState>,
}

/// One page of the requests in the scope, the newest entries first.
pub(crate) async fn list(
    connection: &mut PgConnection,
    scope: &RowScope,
    wanted: RequestFilter,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<NumberRequest>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT entry_id, person_id, responsible_unit_id, request_code, legal_basis, state, problem, personal_number,
                  assign_date AS "assign_date: jiff_sqlx::Date", agency_code, attempts, next_time AS "next_time: jiff_sqlx::Timestamp",
                  version, record_time AS "record_time: jiff_sqlx::Timestamp"
           FROM personal_number_requests
           WHERE ($1 OR responsible_unit_id = ANY ($2))
             AND ($3::integer IS NULL OR responsible_unit_id = $3)
             AND ($4::uuid IS NULL OR entry_id = $4)
             AND ($5::smallint IS NULL OR state = $5)
             AND ($6::uuid IS NULL OR entry_id < $6)
           ORDER BY entry_id DESC
           LIMIT $7"#,
        scope.all,
        &scope.units,
        wanted.unit_id,
        wanted.entry_id,
        wanted.state.map(RequestState::code),
        after,
        limit,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(NumberRequest::try_from).collect()
}

/// The number that was assigned to a person by a request in the scope.
pub(crate) async fn assigned(
    connection: &mut PgConnection,
    person_id: Uuid,
    scope: &RowScope,
) -> Result<Option<NumberRequest>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT entry_id, person_id, responsible_unit_id, request_code, legal_basis, state, problem, personal_number,
                  assign_date AS "assign_date: jiff_sqlx::Date", agency_code, attempts, next_time AS "next_time: jiff_sqlx::Timestamp",
                  version, record_time AS "record_time: jiff_sqlx::Timestamp"
           FROM personal_number_requests
           WHERE person_id = $1 AND state = 3 AND ($2 OR responsible_unit_id = ANY ($3))"#,
        person_id,
        scope.all,
        &scope.units,
    )
    .fetch_optional(connection)
    .await?;
    row.map(NumberRequest::try_from).transpose()
}

/// Makes a number a person's, unless the number or the person is taken; whose the number is, and which number the person has, afterwards.
pub(crate) async fn claim(
    connection: &mut PgConnection,
    (number, person_id): (&str, Uuid),
    now: Timestamp,
) -> Result<(Option<Uuid>, Option<String>), StoreError> {
    sqlx::query!(
        "INSERT INTO personal_numbers (personal_number, person_id, record_time) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        number,
        person_id,
        now.to_sqlx() as _,
    )
    .execute(&mut *connection)
    .await?;
    // A statement of its own: it sees what another transaction committed while it was waited for.
    let rows = sqlx::query!(
        "SELECT personal_number, person_id FROM personal_numbers WHERE personal_number = $1 OR person_id = $2",
        number,
        person_id,
    )
    .fetch_all(connection)
    .await?;
    let (mut holder, mut held) = (None, None);
    for row in rows {
        if row.personal_number == number {
            holder = Some(row.person_id);
        }
        if row.person_id == person_id {
            held = Some(row.personal_number);
        }
    }
    Ok((holder, held))
}

/// The requests after an entry, by entry, for the verification.
pub(crate) async fn after(
    connection: &mut PgConnection,
    entry_id: Uuid,
    limit: i64,
) -> Result<Vec<NumberRequest>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT entry_id, person_id, responsible_unit_id, request_code, legal_basis, state, problem, personal_number,
                  assign_date AS "assign_date: jiff_sqlx::Date", agency_code, attempts, next_time AS "next_time: jiff_sqlx::Timestamp",
                  version, record_time AS "record_time: jiff_sqlx::Timestamp"
           FROM personal_number_requests
           WHERE entry_id > $1
           ORDER BY entry_id
           LIMIT $2"#,
        entry_id,
        limit,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(NumberRequest::try_from).collect()
}

/// The acts on these requests, with what each committed to.
pub(crate) async fn acts_of(
    connection: &mut PgConnection,
    entries: &[Uuid],
) -> Result<Vec<(Uuid, i64, String)>, StoreError> {
    let rows = sqlx::query!(
        "SELECT entry_id, version, content FROM personal_number_history WHERE entry_id = ANY ($1) ORDER BY entry_id, version",
        entries,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.entry_id, row.version, row.content))
        .collect())
}
