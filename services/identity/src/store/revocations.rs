//! What is void before its time.

use egov_auth::CallerKind;
use egov_database::sql_fault;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Result, corrupt};

/// What is revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// Every token of a subject issued until then.
    Subject(Uuid),
    /// Every token of a session.
    Session(Uuid),
    /// One token.
    Token(String),
}

/// An entry of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Its place.
    pub position: i64,
    /// What is revoked.
    pub target: Target,
    /// Tokens issued up to this instant are void.
    pub not_after: Timestamp,
    /// The entry may be forgotten after this instant.
    pub expire_time: Timestamp,
}

/// Adds an entry at the end. From here to the commit, every other revocation waits: call it late.
pub(crate) async fn append(
    conn: &mut PgConnection,
    target: &Target,
    not_after: Timestamp,
    expire_time: Timestamp,
) -> Result<i64> {
    let (subject, session, token) = match target {
        Target::Subject(id) => (Some(*id), None, None),
        Target::Session(id) => (None, Some(*id), None),
        Target::Token(id) => (None, None, Some(id.as_str())),
    };
    // After a restore from a backup (a new epoch) positions begin above all that were given out before, so that no reader
    // believes to have seen what is new.
    sqlx::query_scalar!(
        "WITH head AS (
             UPDATE revocation_head
             SET position = greatest(position, (egov.current_epoch() - 1)::bigint << 40) + 1
             RETURNING position
         )
         INSERT INTO revocations (position, subject_id, session_id, token_id, not_after, expire_time)
         SELECT position, $1, $2, $3, $4, $5 FROM head
         RETURNING position",
        subject as Option<Uuid>,
        session as Option<Uuid>,
        token,
        not_after.to_sqlx() as _,
        expire_time.to_sqlx() as _
    )
    .fetch_one(conn)
    .await
    .map_err(sql_fault)
}

/// Adds entries for sessions at the end, in one statement: from here to the commit, every other revocation waits.
pub(crate) async fn append_sessions(
    conn: &mut PgConnection,
    sessions: &[Uuid],
    not_after: Timestamp,
    expire_time: Timestamp,
) -> Result<()> {
    if sessions.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "WITH head AS (
             UPDATE revocation_head
             SET position = greatest(position, (egov.current_epoch() - 1)::bigint << 40) + cardinality($1::uuid[])
             RETURNING position
         )
         INSERT INTO revocations (position, session_id, not_after, expire_time)
         SELECT h.position - cardinality($1::uuid[]) + s.n, s.id, $2, $3
         FROM head h, unnest($1::uuid[]) WITH ORDINALITY AS s (id, n)",
        sessions,
        not_after.to_sqlx() as _,
        expire_time.to_sqlx() as _
    )
    .execute(conn)
    .await
    .map(drop)
    .map_err(sql_fault)
}

/// The last position that was given out.
pub(crate) async fn head(conn: &mut PgConnection) -> Result<i64> {
    sqlx::query_scalar!("SELECT position FROM revocation_head")
        .fetch_one(conn)
        .await
        .map_err(sql_fault)
}

/// The entries after a position that still matter, oldest first.
pub(crate) async fn after(conn: &mut PgConnection, position: i64, now: Timestamp, limit: i64) -> Result<Vec<Entry>> {
    let rows = sqlx::query!(
        "SELECT position, subject_id, session_id, token_id, not_after, expire_time FROM revocations
         WHERE position > $1 AND expire_time >= $2 ORDER BY position LIMIT $3",
        position,
        now.to_sqlx() as _,
        limit
    )
    .fetch_all(conn)
    .await
    .map_err(sql_fault)?;
    rows.into_iter()
        .map(|row| {
            let target = match (row.subject_id, row.session_id, row.token_id) {
                (Some(id), None, None) => Target::Subject(id),
                (None, Some(id), None) => Target::Session(id),
                (None, None, Some(id)) => Target::Token(id),
                _ => return Err(corrupt("target of a revocation")),
            };
            Ok(Entry {
                position: row.position,
                target,
                not_after: row.not_after.to_jiff(),
                expire_time: row.expire_time.to_jiff(),
            })
        })
        .collect()
}

/// Until when tokens of any of these subjects, or of any of these kinds of callers, were revoked last.
pub(crate) async fn latest_of(
    conn: &mut PgConnection,
    subjects: &[Uuid],
    kinds: &[CallerKind],
) -> Result<Option<Timestamp>> {
    let kinds: Vec<String> = kinds.iter().map(ToString::to_string).collect();
    sqlx::query_scalar!(
        "SELECT greatest(
             (SELECT max(not_after) FROM revocations WHERE subject_id = ANY($1)),
             (SELECT max(not_after) FROM kind_revocations WHERE caller_kind = ANY($2))
         )",
        subjects,
        &kinds
    )
    .fetch_one(conn)
    .await
    .map(|latest| latest.map(jiff_sqlx::Timestamp::to_jiff))
    .map_err(sql_fault)
}

/// Revokes every token of a kind of callers issued until then. An earlier instant does not undo a later one.
pub(crate) async fn revoke_kind(
    conn: &mut PgConnection,
    kind: CallerKind,
    not_after: Timestamp,
    expire_time: Timestamp,
) -> Result<()> {
    sqlx::query!(
        "INSERT INTO kind_revocations AS known (caller_kind, not_after, expire_time) VALUES ($1, $2, $3)
         ON CONFLICT (caller_kind) DO UPDATE
         SET not_after = greatest(known.not_after, excluded.not_after),
             expire_time = greatest(known.expire_time, excluded.expire_time)",
        kind.as_str(),
        not_after.to_sqlx() as _,
        expire_time.to_sqlx() as _
    )
    .execute(conn)
    .await
    .map(drop)
    .map_err(sql_fault)
}

/// What was revoked of whole kinds and still matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KindEntry {
    /// Whose tokens.
    pub kind: CallerKind,
    /// Tokens issued up to this instant are void.
    pub not_after: Timestamp,
    /// The entry may be forgotten after this instant.
    pub expire_time: Timestamp,
}

/// The kinds of which something was revoked that still matters.
pub(crate) async fn kinds(conn: &mut PgConnection, now: Timestamp) -> Result<Vec<KindEntry>> {
    let rows = sqlx::query!(
        "SELECT caller_kind, not_after, expire_time FROM kind_revocations WHERE expire_time >= $1 ORDER BY caller_kind",
        now.to_sqlx() as _
    )
    .fetch_all(conn)
    .await
    .map_err(sql_fault)?;
    rows.into_iter()
        .map(|row| {
            Ok(KindEntry {
                kind: CallerKind::ALL
                    .into_iter()
                    .find(|kind| kind.as_str() == row.caller_kind)
                    .ok_or_else(|| corrupt("kind of callers"))?,
                not_after: row.not_after.to_jiff(),
                expire_time: row.expire_time.to_jiff(),
            })
        })
        .collect()
}

/// An act upon whole kinds.
#[derive(Clone, Debug)]
pub(crate) struct MassRevocation {
    /// Its id.
    pub act_id: Uuid,
    /// Whose tokens.
    pub scope: String,
    /// Up to which instant of issue they are void.
    pub not_after: Timestamp,
    /// Whether sessions were to end.
    pub end_sessions: bool,
    /// How many did.
    pub sessions_ended: i64,
    /// Why.
    pub reason: String,
    /// Who.
    pub actor_id: Uuid,
    /// When.
    pub record_time: Timestamp,
}

/// Adds to the history of acts upon whole kinds.
pub(crate) async fn insert_mass(conn: &mut PgConnection, act: &MassRevocation) -> Result<()> {
    sqlx::query!(
        "INSERT INTO mass_revocations
             (mass_revocation_id, scope, not_after, end_sessions, sessions_ended, reason, actor_id, record_time)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        act.act_id,
        act.scope,
        act.not_after.to_sqlx() as _,
        act.end_sessions,
        act.sessions_ended,
        act.reason,
        act.actor_id,
        act.record_time.to_sqlx() as _
    )
    .execute(conn)
    .await
    .map(drop)
    .map_err(sql_fault)
}

/// Every act upon whole kinds.
pub(crate) async fn all_mass(conn: &mut PgConnection) -> Result<Vec<MassRevocation>> {
    sqlx::query!(
        "SELECT mass_revocation_id, scope, not_after, end_sessions, sessions_ended, reason, actor_id, record_time
         FROM mass_revocations ORDER BY mass_revocation_id"
    )
    .fetch_all(conn)
    .await
    .map(|rows| {
        rows.into_iter()
            .map(|row| MassRevocation {
                act_id: row.mass_revocation_id,
                scope: row.scope,
                not_after: row.not_after.to_jiff(),
                end_sessions: row.end_sessions,
                sessions_ended: row.sessions_ended,
                reason: row.reason,
                actor_id: row.actor_id,
                record_time: row.record_time.to_jiff(),
            })
            .collect()
    })
    .map_err(sql_fault)
}

/// Removes entries that concern no living token.
pub(crate) async fn purge(conn: &mut PgConnection, before: Timestamp) -> Result<u64> {
    sqlx::query!("DELETE FROM revocations WHERE expire_time < $1", before.to_sqlx() as _)
        .execute(conn)
        .await
        .map(|done| done.rows_affected())
        .map_err(sql_fault)
}
