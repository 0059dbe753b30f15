//! Hồ sơ liên thông: `linked_cases` and what belongs to it.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{PgConnection, Row as _};
use uuid::Uuid;

use super::{StoreError, Visible, one_row};
use crate::domain::case::FiledComponent;
use crate::domain::linked::{LinkedCase, LinkedService, Owner};
use crate::domain::listing::StoredFile;
use crate::domain::party::Party;

/// What was filed for a member, until its case is.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub(crate) owner: Party,
    pub(crate) submitter: Option<Party>,
    pub(crate) components: Vec<FiledComponent>,
    pub(crate) conditions: Vec<String>,
    pub(crate) subject: String,
    /// Whose uploads the files are.
    pub(crate) uploader_id: Uuid,
}

/// Where a page of the list ended.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Place {
    pub(crate) time: Timestamp,
    pub(crate) id: Uuid,
}

/// Which applications are listed.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Listed {
    pub(crate) case_id: Option<Uuid>,
    pub(crate) to_decide: bool,
}

fn linked(row: &PgRow) -> Result<LinkedCase, StoreError> {
    let definition: Json<LinkedService> = row.try_get("definition")?;
    LinkedCase::from_stored(row.try_get("document")?, definition.0).map_err(|_| StoreError::Inconsistent {
        table: "linked_cases",
        column: "document",
    })
}

fn document(linked: &LinkedCase) -> Result<serde_json::Value, StoreError> {
    serde_json::to_value(linked).map_err(|_| StoreError::Inconsistent {
        table: "linked_cases",
        column: "document",
    })
}

/// An application that the caller sees; held until the transaction ends if it is to be changed.
pub(crate) async fn get(
    connection: &mut PgConnection,
    linked_case_id: Uuid,
    visible: &Visible,
    for_update: bool,
) -> Result<Option<LinkedCase>, StoreError> {
    const READ: &str = "SELECT definition, document FROM linked_cases AS l
         WHERE linked_case_id = $1
           AND ($2 OR owner_id = $3 OR EXISTS (SELECT 1 FROM linked_case_units AS u
                WHERE u.linked_case_id = l.linked_case_id AND u.responsible_unit_id = ANY ($4)))";
    const HOLD: &str = "SELECT definition, document FROM linked_cases AS l
         WHERE linked_case_id = $1
           AND ($2 OR owner_id = $3 OR EXISTS (SELECT 1 FROM linked_case_units AS u
                WHERE u.linked_case_id = l.linked_case_id AND u.responsible_unit_id = ANY ($4)))
         FOR UPDATE";
    let row = sqlx::query(if for_update { HOLD } else { READ })
        .bind(linked_case_id)
        .bind(visible.all)
        .bind(visible.owner)
        .bind(&visible.units)
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(linked).transpose()
}

/// The one that mirrors an application of the national system, held until the transaction ends.
pub(crate) async fn mirrored(connection: &mut PgConnection, code: &str) -> Result<Option<LinkedCase>, StoreError> {
    let row = sqlx::query("SELECT definition, document FROM linked_cases WHERE code = $1 AND national FOR UPDATE")
        .bind(code)
        .fetch_optional(connection)
        .await?;
    row.as_ref().map(linked).transpose()
}

/// Lets one transaction at a time take over an application of the national system, until it ends: two that first hear of it at once make
/// one of it.
pub(crate) async fn hold_code(connection: &mut PgConnection, code: &str) -> Result<(), StoreError> {
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('linked_cases ' || $1, 0))")
        .bind(code)
        .execute(connection)
        .await?;
    Ok(())
}

/// One page of the applications that the caller sees, newest first. Each unit's newest are met along its index; that of a case by the case.
pub(crate) async fn list(
    connection: &mut PgConnection,
    visible: &Visible,
    listed: Listed,
    after: Option<Place>,
    limit: i64,
) -> Result<Vec<LinkedCase>, StoreError> {
    let rows = list_query("", visible, listed, after, limit)
        .fetch_all(connection)
        .await?;
    rows.iter().map(linked).collect()
}

/// The statement of a list, or of its explanation.
fn list_query<'q>(
    explain: &str,
    visible: &'q Visible,
    listed: Listed,
    after: Option<Place>,
    limit: i64,
) -> sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments> {
    // The condition stands in the statement, so that the narrow index is used for what is to be decided.
    let statement = match listed.case_id {
        Some(_) => of_case(explain, listed.to_decide),
        None => of_units(explain, listed.to_decide),
    };
    let place = after.unwrap_or(Place {
        time: Timestamp::MAX,
        id: Uuid::max(),
    });
    // PostgreSQL's years end earlier than jiff's.
    let time = place
        .time
        .min(Timestamp::from_second(253_402_300_000).unwrap_or(place.time));
    let query = sqlx::query(sqlx::AssertSqlSafe(statement))
        .bind(visible.all)
        .bind(visible.owner)
        .bind(&visible.units)
        .bind(time.to_sqlx())
        .bind(place.id)
        .bind(limit);
    match listed.case_id {
        Some(case_id) => query.bind(case_id),
        None => query,
    }
}

/// What is asked of a unit is nothing that an owner would decide: then units alone are looked at.
const fn of_owners_too(to_decide: bool) -> &'static str {
    if to_decide { "false" } else { "true" }
}

/// The application to which a case belongs.
fn of_case(explain: &str, to_decide: bool) -> String {
    let own = of_owners_too(to_decide);
    let asked = if to_decide { "AND u.to_decide" } else { "" };
    format!(
        "{explain} SELECT l.definition, l.document
         FROM linked_case_members AS m JOIN linked_cases AS l USING (linked_case_id)
         WHERE m.case_id = $7 AND (l.submit_time, l.linked_case_id) < ($4, $5)
           AND (({own} AND ($1 OR l.owner_id = $2))
                OR EXISTS (SELECT 1 FROM linked_case_units AS u
                           WHERE u.linked_case_id = l.linked_case_id AND ($1 OR u.responsible_unit_id = ANY ($3)) {asked}))
         LIMIT $6"
    )
}

/// The applications of units and of an owner.
fn of_units(explain: &str, to_decide: bool) -> String {
    let own = of_owners_too(to_decide);
    let asked = if to_decide { "AND x.to_decide" } else { "" };
    let of_all = if to_decide {
        // Several units may be asked about one application.
        "SELECT DISTINCT x.linked_case_id, x.submit_time FROM linked_case_units AS x
              WHERE $1 AND x.to_decide AND (x.submit_time, x.linked_case_id) < ($4, $5)
              ORDER BY x.submit_time DESC, x.linked_case_id DESC LIMIT $6"
    } else {
        "SELECT linked_case_id, submit_time FROM linked_cases
              WHERE $1 AND (submit_time, linked_case_id) < ($4, $5)
              ORDER BY submit_time DESC, linked_case_id DESC LIMIT $6"
    };
    format!(
        "{explain} WITH seen AS (
             (SELECT found.linked_case_id, found.submit_time
              FROM unnest($3::int[]) AS u (id)
              CROSS JOIN LATERAL (
                  SELECT x.linked_case_id, x.submit_time FROM linked_case_units AS x
                  WHERE x.responsible_unit_id = u.id {asked} AND (x.submit_time, x.linked_case_id) < ($4, $5)
                  ORDER BY x.submit_time DESC, x.linked_case_id DESC LIMIT $6) AS found)
             UNION
             (SELECT linked_case_id, submit_time FROM linked_cases
              WHERE {own} AND owner_id = $2 AND (submit_time, linked_case_id) < ($4, $5)
              ORDER BY submit_time DESC, linked_case_id DESC LIMIT $6)
             UNION
             ({of_all})
         )
         SELECT l.definition, l.document FROM seen JOIN linked_cases AS l USING (linked_case_id)
         ORDER BY seen.submit_time DESC, seen.linked_case_id DESC LIMIT $6"
    )
}

/// The members of these applications whose case the caller may read: application, member. As [`super::cases::get`] says: the unit that
/// received a case reads it as well, and one whose opinion is asked for.
pub(crate) async fn readable_members(
    connection: &mut PgConnection,
    linked_case_ids: &[Uuid],
    visible: &Visible,
) -> Result<Vec<(Uuid, String)>, StoreError> {
    Ok(sqlx::query_as(
        "SELECT m.linked_case_id, m.member_code
         FROM linked_case_members AS m JOIN cases AS c ON c.case_id = m.case_id
         WHERE m.linked_case_id = ANY ($1)
           AND ($2 OR c.responsible_unit_id = ANY ($3) OR c.owner_id = $4 OR c.assignee_id = $5 OR c.receiving_unit_id = ANY ($3)
                OR EXISTS (SELECT 1 FROM case_tasks AS asked WHERE asked.case_id = c.case_id AND asked.state = 1
                           AND asked.kind = 2 AND asked.responsible_unit_id = ANY ($3)))",
    )
    .bind(linked_case_ids)
    .bind(visible.all)
    .bind(&visible.units)
    .bind(visible.owner)
    .bind(visible.assignee)
    .fetch_all(connection)
    .await?)
}

/// Which application a case belongs to, of those whose events are to be followed: case, application.
pub(crate) async fn of_cases(
    connection: &mut PgConnection,
    case_ids: &[Uuid],
) -> Result<Vec<(Uuid, Uuid)>, StoreError> {
    Ok(
        sqlx::query_as("SELECT case_id, linked_case_id FROM linked_case_members WHERE case_id = ANY ($1)")
            .bind(case_ids)
            .fetch_all(connection)
            .await?,
    )
}

/// Stores a new application. The units come first, because the application is seen through them.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    linked: &LinkedCase,
    now: Timestamp,
) -> Result<(), StoreError> {
    keep_units(connection, linked).await?;
    sqlx::query(
        "INSERT INTO linked_cases (linked_case_id, code, service_code, state, national, owner_id, submit_time, definition, document,
                                   version, update_time)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    )
    .bind(linked.linked_case_id)
    .bind(&linked.code)
    .bind(&linked.service_code)
    .bind(linked.state.code())
    .bind(linked.owner == Owner::National)
    .bind(linked.owner_id)
    .bind(linked.submit_time.to_sqlx())
    .bind(Json(&linked.service))
    .bind(document(linked)?)
    .bind(linked.version)
    .bind(now.to_sqlx())
    .execute(&mut *connection)
    .await?;
    keep_members(connection, linked).await
}

/// Stores the next version of an application.
pub(crate) async fn save(connection: &mut PgConnection, linked: &LinkedCase, now: Timestamp) -> Result<(), StoreError> {
    keep_units(connection, linked).await?;
    let changed = sqlx::query(
        "UPDATE linked_cases SET state = $2, document = $3, version = $4, update_time = $5
         WHERE linked_case_id = $1 AND version = $4 - 1",
    )
    .bind(linked.linked_case_id)
    .bind(linked.state.code())
    .bind(document(linked)?)
    .bind(linked.version)
    .bind(now.to_sqlx())
    .execute(&mut *connection)
    .await?;
    one_row("linked_cases", changed.rows_affected())?;
    keep_members(connection, linked).await
}

/// Keeps which units see it, and of which something is asked. Whoever saw it goes on seeing it.
async fn keep_units(connection: &mut PgConnection, linked: &LinkedCase) -> Result<(), StoreError> {
    let seen_by = linked.seen_by();
    let units: Vec<i32> = seen_by.keys().copied().collect();
    let to_decide: Vec<bool> = seen_by.values().copied().collect();
    sqlx::query(
        "INSERT INTO linked_case_units (responsible_unit_id, linked_case_id, owner_id, submit_time, to_decide)
         SELECT u.id, $1, $2, $3, u.asked FROM unnest($4::int[], $5::bool[]) AS u (id, asked)
         ON CONFLICT (responsible_unit_id, linked_case_id) DO UPDATE SET to_decide = EXCLUDED.to_decide
         WHERE linked_case_units.to_decide <> EXCLUDED.to_decide",
    )
    .bind(linked.linked_case_id)
    .bind(linked.owner_id)
    .bind(linked.submit_time.to_sqlx())
    .bind(&units)
    .bind(&to_decide)
    .execute(&mut *connection)
    .await?;
    // Of a unit that was asked about a member which has no case, and is asked no longer, nothing is to be decided any more.
    sqlx::query(
        "UPDATE linked_case_units SET to_decide = false
         WHERE linked_case_id = $1 AND to_decide AND responsible_unit_id <> ALL ($2)",
    )
    .bind(linked.linked_case_id)
    .bind(&units)
    .execute(connection)
    .await?;
    Ok(())
}

async fn keep_members(connection: &mut PgConnection, linked: &LinkedCase) -> Result<(), StoreError> {
    let codes: Vec<&str> = linked.members.iter().map(|member| member.code.as_str()).collect();
    let cases: Vec<Option<Uuid>> = linked.members.iter().map(|member| member.case_id).collect();
    sqlx::query(
        "INSERT INTO linked_case_members (linked_case_id, member_code, case_id)
         SELECT $1, m.code, m.case_id FROM unnest($2::text[], $3::uuid[]) AS m (code, case_id)
         ON CONFLICT (linked_case_id, member_code) DO UPDATE SET case_id = EXCLUDED.case_id
         WHERE linked_case_members.case_id IS DISTINCT FROM EXCLUDED.case_id",
    )
    .bind(linked.linked_case_id)
    .bind(&codes)
    .bind(&cases)
    .execute(connection)
    .await?;
    Ok(())
}

/// Keeps what was filed for a member.
pub(crate) async fn keep_submission(
    connection: &mut PgConnection,
    linked_case_id: Uuid,
    member: (&str, i32),
    owner_id: Option<Uuid>,
    kept: &Kept,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO linked_case_submissions (linked_case_id, member_code, responsible_unit_id, owner_id, uploader_id, content)
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(linked_case_id)
    .bind(member.0)
    .bind(member.1)
    .bind(owner_id)
    .bind(kept.uploader_id)
    .bind(Json(kept))
    .execute(connection)
    .await?;
    Ok(())
}

/// What was filed for a member that is not a case yet.
pub(crate) async fn submission(
    connection: &mut PgConnection,
    linked_case_id: Uuid,
    member_code: &str,
) -> Result<Option<Kept>, StoreError> {
    let kept: Option<Json<Kept>> = sqlx::query_scalar(
        "SELECT content FROM linked_case_submissions WHERE linked_case_id = $1 AND member_code = $2",
    )
    .bind(linked_case_id)
    .bind(member_code)
    .fetch_optional(connection)
    .await?;
    Ok(kept.map(|kept| kept.0))
}

/// Forgets what was filed for a member: its case holds it now, or never will.
pub(crate) async fn forget_submission(
    connection: &mut PgConnection,
    linked_case_id: Uuid,
    member_code: &str,
) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM linked_case_submissions WHERE linked_case_id = $1 AND member_code = $2")
        .bind(linked_case_id)
        .bind(member_code)
        .execute(connection)
        .await?;
    Ok(())
}

/// What was done with an application.
pub(crate) struct Entry<'a> {
    pub(crate) operation: &'a str,
    pub(crate) actor_id: Uuid,
    pub(crate) actor_kind: &'a str,
    pub(crate) on_behalf_of: Option<Uuid>,
    pub(crate) reason: &'a str,
    pub(crate) content: &'a str,
}

/// Appends it to its history.
pub(crate) async fn record(
    connection: &mut PgConnection,
    linked: &LinkedCase,
    entry: &Entry<'_>,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO linked_case_history (linked_case_id, version, operation, actor_id, actor_kind, on_behalf_of, reason, content,
                                          record_time)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(linked.linked_case_id)
    .bind(linked.version)
    .bind(entry.operation)
    .bind(entry.actor_id)
    .bind(entry.actor_kind)
    .bind(entry.on_behalf_of)
    .bind(entry.reason)
    .bind(entry.content)
    .bind(now.to_sqlx())
    .execute(connection)
    .await?;
    Ok(())
}

/// Everything that the ledger commits to: application, version, content.
pub(crate) async fn all_versions(connection: &mut PgConnection) -> Result<Vec<(Uuid, i64, String)>, StoreError> {
    Ok(
        sqlx::query_as("SELECT linked_case_id, version, content FROM linked_case_history")
            .fetch_all(connection)
            .await?,
    )
}

/// Which case has each of these files, if any; files that there are not are left out.
pub(crate) async fn cases_of_files(
    connection: &mut PgConnection,
    file_ids: &[Uuid],
) -> Result<Vec<(Uuid, Option<Uuid>)>, StoreError> {
    Ok(
        sqlx::query_as("SELECT file_id, case_id FROM files WHERE file_id = ANY ($1)")
            .bind(file_ids)
            .fetch_all(connection)
            .await?,
    )
}

/// Lets a case show files of another one.
pub(crate) async fn hand_over_files(
    connection: &mut PgConnection,
    case_id: Uuid,
    file_ids: &[Uuid],
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO linked_case_files (case_id, file_id) SELECT $1, f.id FROM unnest($2::uuid[]) AS f (id)
         ON CONFLICT (case_id, file_id) DO NOTHING",
    )
    .bind(case_id)
    .bind(file_ids)
    .execute(connection)
    .await?;
    Ok(())
}

/// A file that was handed to a case which the caller sees, also because an opinion on it is asked for.
pub(crate) async fn handed_over(
    connection: &mut PgConnection,
    file_id: Uuid,
    visible: &Visible,
) -> Result<Option<StoredFile>, StoreError> {
    let row = sqlx::query(
        "SELECT f.file_id, f.owner_id, f.name, f.media_type, f.size, f.sha256, f.store_key, f.create_time, c.case_id,
                c.owner_id AS case_owner_id
         FROM linked_case_files AS handed
         JOIN files AS f USING (file_id)
         JOIN cases AS c ON c.case_id = handed.case_id
         WHERE handed.file_id = $1
           AND ($2 OR c.responsible_unit_id = ANY ($3) OR c.owner_id = $4 OR c.assignee_id = $5 OR c.receiving_unit_id = ANY ($3)
                OR EXISTS (SELECT 1 FROM case_tasks AS asked WHERE asked.case_id = c.case_id AND asked.state = 1
                           AND asked.kind = 2 AND asked.responsible_unit_id = ANY ($3)))
         ORDER BY c.case_id LIMIT 1",
    )
    .bind(file_id)
    .bind(visible.all)
    .bind(&visible.units)
    .bind(visible.owner)
    .bind(visible.assignee)
    .fetch_optional(connection)
    .await?;
    row.map(|row| {
        Ok(StoredFile {
            file_id: row.try_get("file_id")?,
            owner_id: row.try_get("owner_id")?,
            name: row.try_get("name")?,
            media_type: row.try_get("media_type")?,
            size: row.try_get("size")?,
            sha256: row.try_get("sha256")?,
            store_key: row.try_get("store_key")?,
            create_time: row.try_get::<jiff_sqlx::Timestamp, _>("create_time")?.to_jiff(),
            case_id: row.try_get("case_id")?,
            case_owner_id: row.try_get("case_owner_id")?,
        })
    })
    .transpose()
}

/// From here on can be taken back without ending the transaction.
pub(crate) async fn mark(connection: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query("SAVEPOINT linked_member").execute(connection).await?;
    Ok(())
}

/// Takes back what was done since the mark.
pub(crate) async fn back_to_mark(connection: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query("ROLLBACK TO SAVEPOINT linked_member")
        .execute(connection)
        .await?;
    Ok(())
}

/// How often an application that is set aside was tried; 0 if it is not.
pub(crate) async fn attempts(connection: &mut PgConnection, linked_case_id: Uuid) -> Result<i32, StoreError> {
    let known = sqlx::query_scalar("SELECT attempts FROM linked_case_retries WHERE linked_case_id = $1")
        .bind(linked_case_id)
        .fetch_optional(connection)
        .await?;
    Ok(known.unwrap_or(0))
}

/// Has an application tried again from `due` on, because its reaction met a fault of its own for the `attempts`th time.
pub(crate) async fn set_aside(
    connection: &mut PgConnection,
    linked_case_id: Uuid,
    attempts: i32,
    reason: &str,
    (now, due): (Timestamp, Timestamp),
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO linked_case_retries (linked_case_id, attempts, reason, first_time, due_time) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (linked_case_id) DO UPDATE
             SET attempts = EXCLUDED.attempts, reason = EXCLUDED.reason, due_time = EXCLUDED.due_time",
    )
    .bind(linked_case_id)
    .bind(attempts)
    .bind(reason)
    .bind(now.to_sqlx())
    .bind(due.to_sqlx())
    .execute(connection)
    .await?;
    Ok(())
}

/// Whether any application that was set aside is to be tried again by now.
pub(crate) async fn is_any_due(connection: &mut PgConnection, now: Timestamp) -> Result<bool, StoreError> {
    Ok(
        sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM linked_case_retries WHERE due_time <= $1)")
            .bind(now.to_sqlx())
            .fetch_one(connection)
            .await?,
    )
}

/// Applications that are to be tried again by now, first those that wait longest.
pub(crate) async fn all_due(
    connection: &mut PgConnection,
    now: Timestamp,
    limit: i64,
) -> Result<Vec<Uuid>, StoreError> {
    Ok(sqlx::query_scalar(
        "SELECT linked_case_id FROM linked_case_retries WHERE due_time <= $1 ORDER BY due_time, linked_case_id LIMIT $2",
    )
    .bind(now.to_sqlx())
    .bind(limit)
    .fetch_all(connection)
    .await?)
}

/// An application is set aside no longer: its reaction did what was to be done.
pub(crate) async fn take_up(connection: &mut PgConnection, linked_case_id: Uuid) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM linked_case_retries WHERE linked_case_id = $1")
        .bind(linked_case_id)
        .execute(connection)
        .await?;
    Ok(())
}

#[cfg(test)]
#[path = "linked_plans.rs"]
mod plans;
