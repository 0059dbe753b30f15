//! `programme_searches`: what systems asked, and what they were answered. A system sees its own.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use sqlx::PgConnection;
use uuid::Uuid;

use super::StoreError;
use crate::domain::programme::{Answered, SearchItem};

/// A message that is taken in, with the rights of whoever sent it.
pub(crate) struct NewSearch<'a> {
    pub(crate) correlation_id: Uuid,
    pub(crate) owner_id: Uuid,
    pub(crate) transaction_id: &'a str,
    pub(crate) is_sync: bool,
    pub(crate) purpose: &'a str,
    pub(crate) may_ask: bool,
    pub(crate) read_all: bool,
    pub(crate) read_units: &'a [i32],
    pub(crate) items: &'a [SearchItem],
    pub(crate) record_time: Timestamp,
}

/// Whose data an answer holds: the person, if one is known, and what was read.
pub(crate) type Reads = Vec<(Option<Uuid>, String)>;

/// A message that was taken in.
pub(crate) struct KeptSearch {
    pub(crate) correlation_id: Uuid,
    pub(crate) transaction_id: String,
    pub(crate) purpose: String,
    pub(crate) may_ask: bool,
    pub(crate) read_all: bool,
    pub(crate) read_units: Vec<i32>,
    pub(crate) items: Vec<SearchItem>,
    pub(crate) record_time: Timestamp,
    /// The answers, whose data they hold, and when they were given.
    pub(crate) answer: Option<(Vec<Answered>, Reads, Timestamp)>,
}

/// A row as it is stored.
struct Row {
    correlation_id: Uuid,
    transaction_id: String,
    purpose: String,
    may_ask: bool,
    read_all: bool,
    read_units: Vec<i32>,
    request: String,
    record_time: jiff_sqlx::Timestamp,
    answer: Option<String>,
    reads: Option<String>,
    answer_time: Option<jiff_sqlx::Timestamp>,
}

fn outside(column: &'static str) -> StoreError {
    StoreError::Inconsistent {
        table: "programme_searches",
        column,
    }
}

impl TryFrom<Row> for KeptSearch {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let answer = match (row.answer, row.reads, row.answer_time) {
            (Some(answer), Some(reads), Some(time)) => Some((
                serde_json::from_str(&answer).map_err(|_| outside("answer"))?,
                serde_json::from_str(&reads).map_err(|_| outside("reads"))?,
                time.to_jiff(),
            )),
            _ => None,
        };
        Ok(Self {
            correlation_id: row.correlation_id,
            transaction_id: row.transaction_id,
            purpose: row.purpose,
            may_ask: row.may_ask,
            read_all: row.read_all,
            read_units: row.read_units,
            items: serde_json::from_str(&row.request).map_err(|_| outside("request"))?,
            record_time: row.record_time.to_jiff(),
            answer,
        })
    }
}

/// Takes a message in.
pub(crate) async fn add(connection: &mut PgConnection, search: &NewSearch<'_>) -> Result<(), StoreError> {
    let request = serde_json::to_string(search.items).map_err(|_| outside("request"))?;
    sqlx::query!(
        "INSERT INTO programme_searches (correlation_id, owner_id, transaction_id, is_sync, purpose, may_ask, read_all, read_units, request,
             record_time, due_time)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10)",
        search.correlation_id,
        search.owner_id,
        search.transaction_id,
        search.is_sync,
        search.purpose,
        search.may_ask,
        search.read_all,
        search.read_units,
        request,
        search.record_time.to_sqlx() as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// A message of a system's own.
pub(crate) async fn of_owner(
    connection: &mut PgConnection,
    owner_id: Uuid,
    correlation_id: Uuid,
) -> Result<Option<KeptSearch>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT correlation_id, transaction_id, purpose, may_ask, read_all, read_units, request,
                  record_time AS "record_time: jiff_sqlx::Timestamp", answer, reads,
                  answer_time AS "answer_time: jiff_sqlx::Timestamp"
           FROM programme_searches
           WHERE correlation_id = $2 AND owner_id = $1"#,
        owner_id,
        correlation_id,
    )
    .fetch_optional(connection)
    .await?;
    row.map(KeptSearch::try_from).transpose()
}

/// The newest message of a system's own transaction.
pub(crate) async fn newest_of(
    connection: &mut PgConnection,
    owner_id: Uuid,
    transaction_id: &str,
) -> Result<Option<Uuid>, StoreError> {
    let found = sqlx::query_scalar!(
        "SELECT correlation_id FROM programme_searches
         WHERE owner_id = $1 AND transaction_id = $2
         ORDER BY record_time DESC, correlation_id DESC
         LIMIT 1",
        owner_id,
        transaction_id,
    )
    .fetch_optional(connection)
    .await?;
    Ok(found)
}

/// The message that waits longest for its answer, of whichever system: for the job.
pub(crate) async fn due(connection: &mut PgConnection, now: Timestamp) -> Result<Option<KeptSearch>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT correlation_id, transaction_id, purpose, may_ask, read_all, read_units, request,
                  record_time AS "record_time: jiff_sqlx::Timestamp", answer, reads,
                  answer_time AS "answer_time: jiff_sqlx::Timestamp"
           FROM programme_searches
           WHERE answer IS NULL AND NOT is_sync AND due_time <= $1
           ORDER BY due_time
           LIMIT 1"#,
        now.to_sqlx() as _,
    )
    .fetch_optional(connection)
    .await?;
    row.map(KeptSearch::try_from).transpose()
}

/// Tries it again later.
pub(crate) async fn put_off(
    connection: &mut PgConnection,
    correlation_id: Uuid,
    until: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE programme_searches SET due_time = $2 WHERE correlation_id = $1 AND answer IS NULL",
        correlation_id,
        until.to_sqlx() as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Answers a message, if nobody has answered it before. Whether this is the answer.
pub(crate) async fn answer(
    connection: &mut PgConnection,
    correlation_id: Uuid,
    (answered, reads): (&[Answered], &Reads),
    now: Timestamp,
) -> Result<bool, StoreError> {
    let answer = serde_json::to_string(answered).map_err(|_| outside("answer"))?;
    let reads = serde_json::to_string(reads).map_err(|_| outside("reads"))?;
    let changed = sqlx::query!(
        "UPDATE programme_searches SET answer = $2, reads = $3, answer_time = $4
         WHERE correlation_id = $1 AND answer IS NULL",
        correlation_id,
        answer,
        reads,
        now.to_sqlx() as _,
    )
    .execute(connection)
    .await?;
    Ok(changed.rows_affected() == 1)
}

/// Deletes what was taken in before an instant.
pub(crate) async fn forget(connection: &mut PgConnection, before: Timestamp) -> Result<(), StoreError> {
    sqlx::query!(
        "DELETE FROM programme_searches WHERE record_time < $1",
        before.to_sqlx() as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}
