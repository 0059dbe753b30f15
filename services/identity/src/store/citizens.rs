//! Citizens, by what their issuers call them.

use egov_database::sql_fault;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Result, digest, exactly_one};

/// A citizen as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KnownCitizen {
    /// Its id.
    pub citizen_id: Uuid,
    /// The keyed digest of the personal number, if one is known.
    pub personal_number_digest: Option<[u8; 32]>,
}

/// A personal number as it is stored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SealedNumber<'a> {
    /// Sealed.
    pub sealed: &'a [u8],
    /// Under which key.
    pub key_id: &'a str,
    /// For equality only.
    pub digest: &'a [u8; 32],
}

/// Lets the first sign-ins of one person take turns until the end of the transaction.
pub(crate) async fn take_turn(conn: &mut PgConnection, digest: &[u8; 32]) -> Result<()> {
    sqlx::query!(
        "SELECT pg_advisory_xact_lock(hashtextextended('egov.identity.citizen' || encode($1, 'hex'), 0))",
        digest.as_slice()
    )
    .fetch_one(conn)
    .await
    .map(drop)
    .map_err(sql_fault)
}

/// The citizen whom an issuer calls so.
pub(crate) async fn by_subject(
    conn: &mut PgConnection,
    issuer: &str,
    subject_digest: &[u8; 32],
) -> Result<Option<KnownCitizen>> {
    let row = sqlx::query!(
        "SELECT c.citizen_id, c.personal_number_digest
         FROM citizen_identities i JOIN citizens c USING (citizen_id)
         WHERE i.issuer = $1 AND i.subject_digest = $2",
        issuer,
        subject_digest.as_slice()
    )
    .fetch_optional(conn)
    .await
    .map_err(sql_fault)?;
    row.map(|row| {
        Ok(KnownCitizen {
            citizen_id: row.citizen_id,
            personal_number_digest: row.personal_number_digest.map(digest).transpose()?,
        })
    })
    .transpose()
}

/// The citizen with this personal number.
pub(crate) async fn by_personal_number(conn: &mut PgConnection, number_digest: &[u8; 32]) -> Result<Option<Uuid>> {
    sqlx::query_scalar!(
        "SELECT citizen_id FROM citizens WHERE personal_number_digest = $1",
        number_digest.as_slice()
    )
    .fetch_optional(conn)
    .await
    .map_err(sql_fault)
}

/// Whether there is such a citizen.
pub(crate) async fn exists(conn: &mut PgConnection, citizen_id: Uuid) -> Result<bool> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT 1 FROM citizens WHERE citizen_id = $1) AS "exists!""#,
        citizen_id
    )
    .fetch_one(conn)
    .await
    .map_err(sql_fault)
}

/// Adds a citizen.
pub(crate) async fn insert(
    conn: &mut PgConnection,
    citizen_id: Uuid,
    number: Option<SealedNumber<'_>>,
    now: Timestamp,
) -> Result<()> {
    sqlx::query!(
        "INSERT INTO citizens (citizen_id, personal_number, personal_number_digest, seal_key_id, create_time)
         VALUES ($1, $2, $3, $4, $5)",
        citizen_id,
        number.map(|number| number.sealed),
        number.map(|number| number.digest.as_slice()),
        number.map(|number| number.key_id),
        now.to_sqlx() as _
    )
    .execute(conn)
    .await
    .map(drop)
    .map_err(sql_fault)
}

/// Adds the personal number of a citizen of whom none was known.
pub(crate) async fn set_number(conn: &mut PgConnection, citizen_id: Uuid, number: SealedNumber<'_>) -> Result<()> {
    sqlx::query!(
        "UPDATE citizens SET personal_number = $2, personal_number_digest = $3, seal_key_id = $4
         WHERE citizen_id = $1",
        citizen_id,
        number.sealed,
        number.digest.as_slice(),
        number.key_id
    )
    .execute(conn)
    .await
    .map_err(sql_fault)
    .and_then(exactly_one)
}

/// Adds what an issuer calls a citizen.
pub(crate) async fn insert_identity(
    conn: &mut PgConnection,
    issuer: &str,
    subject_digest: &[u8; 32],
    citizen_id: Uuid,
    now: Timestamp,
) -> Result<()> {
    sqlx::query!(
        "INSERT INTO citizen_identities (issuer, subject_digest, citizen_id, create_time) VALUES ($1, $2, $3, $4)",
        issuer,
        subject_digest.as_slice(),
        citizen_id,
        now.to_sqlx() as _
    )
    .execute(conn)
    .await
    .map(drop)
    .map_err(sql_fault)
}

/// Personal numbers that are sealed under another key than the present one; locked until the end of the transaction.
pub(crate) async fn sealed_otherwise(
    conn: &mut PgConnection,
    key_id: &str,
    limit: i64,
) -> Result<Vec<(Uuid, Vec<u8>)>> {
    sqlx::query!(
        r#"SELECT citizen_id, personal_number AS "personal_number!" FROM citizens
           WHERE seal_key_id <> $1 LIMIT $2 FOR UPDATE SKIP LOCKED"#,
        key_id,
        limit
    )
    .fetch_all(conn)
    .await
    .map(|rows| {
        rows.into_iter()
            .map(|row| (row.citizen_id, row.personal_number))
            .collect()
    })
    .map_err(sql_fault)
}

/// Stores a personal number that was sealed anew.
pub(crate) async fn set_sealed(conn: &mut PgConnection, citizen_id: Uuid, sealed: &[u8], key_id: &str) -> Result<()> {
    sqlx::query!(
        "UPDATE citizens SET personal_number = $2, seal_key_id = $3 WHERE citizen_id = $1",
        citizen_id,
        sealed,
        key_id
    )
    .execute(conn)
    .await
    .map_err(sql_fault)
    .and_then(exactly_one)
}
