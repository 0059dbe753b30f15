//! Systems, their certificates and keys.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Result, inconsistent, one_row};
use crate::domain::organisation::Standing;
use crate::domain::system::{Certificate, ReadCertificate, SigningKey, System};

struct Row {
    system_id: Uuid,
    organisation_id: Uuid,
    responsible_unit_id: i32,
    name: String,
    client_id: String,
    subsystem_code: String,
    state: String,
    version: i64,
    create_time: jiff_sqlx::Timestamp,
    update_time: jiff_sqlx::Timestamp,
}

impl TryFrom<Row> for System {
    type Error = super::StoreError;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            system_id: row.system_id,
            organisation_id: row.organisation_id,
            responsible_unit_id: row.responsible_unit_id,
            name: row.name,
            client_id: row.client_id,
            subsystem_code: row.subsystem_code,
            state: Standing::from_word(&row.state).ok_or(inconsistent("systems", "state"))?,
            certificates: Vec::new(),
            keys: Vec::new(),
            version: row.version,
            create_time: row.create_time.to_jiff(),
            update_time: row.update_time.to_jiff(),
        })
    }
}

/// Adds a system.
pub(crate) async fn insert(conn: &mut PgConnection, one: &System) -> Result<()> {
    sqlx::query!(
        "INSERT INTO systems (system_id, organisation_id, responsible_unit_id, name, client_id, subsystem_code, state,
                              version, create_time, update_time)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)",
        one.system_id,
        one.organisation_id,
        one.responsible_unit_id,
        one.name,
        one.client_id,
        one.subsystem_code,
        one.state.as_str(),
        one.version,
        one.create_time.to_sqlx() as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Stores a changed system, without certificates and keys; its version was raised by one.
pub(crate) async fn update(conn: &mut PgConnection, one: &System) -> Result<()> {
    let done = sqlx::query!(
        "UPDATE systems SET name = $3, state = $4, version = $2::bigint, update_time = $5
         WHERE system_id = $1 AND version = $2::bigint - 1",
        one.system_id,
        one.version,
        one.name,
        one.state.as_str(),
        one.update_time.to_sqlx() as _,
    )
    .execute(conn)
    .await?;
    one_row("systems", done.rows_affected())
}

/// Adds a certificate.
pub(crate) async fn insert_certificate(
    conn: &mut PgConnection,
    system: &System,
    certificate_id: Uuid,
    read: &ReadCertificate,
    now: Timestamp,
) -> Result<()> {
    sqlx::query!(
        "INSERT INTO system_certificates (certificate_id, system_id, responsible_unit_id, thumbprint, subject, certificate,
                                          not_before, not_after, create_time)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        certificate_id,
        system.system_id,
        system.responsible_unit_id,
        read.thumbprint,
        read.subject,
        read.der,
        read.not_before.to_sqlx() as _,
        read.not_after.to_sqlx() as _,
        now.to_sqlx() as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Withdraws a certificate; `false` if there is none, or it was withdrawn.
pub(crate) async fn withdraw_certificate(
    conn: &mut PgConnection,
    system_id: Uuid,
    certificate_id: Uuid,
    now: Timestamp,
) -> Result<bool> {
    let done = sqlx::query!(
        "UPDATE system_certificates SET withdraw_time = $3
         WHERE system_id = $1 AND certificate_id = $2 AND withdraw_time IS NULL",
        system_id,
        certificate_id,
        now.to_sqlx() as _,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Adds a key.
pub(crate) async fn insert_key(
    conn: &mut PgConnection,
    system: &System,
    key: &SigningKey,
    now: Timestamp,
) -> Result<()> {
    sqlx::query!(
        "INSERT INTO signing_keys (organisation_id, key_id, system_id, responsible_unit_id, public_jwk, valid_from, valid_to,
                                   create_time)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        system.organisation_id,
        key.key_id,
        system.system_id,
        system.responsible_unit_id,
        key.public_jwk,
        key.valid_from.to_sqlx() as _,
        key.valid_to.to_sqlx() as _,
        now.to_sqlx() as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Withdraws a key; `false` if there is none, or it was withdrawn.
pub(crate) async fn withdraw_key(
    conn: &mut PgConnection,
    system_id: Uuid,
    key_id: &str,
    now: Timestamp,
) -> Result<bool> {
    let done = sqlx::query!(
        "UPDATE signing_keys SET withdraw_time = $3
         WHERE system_id = $1 AND key_id = $2 AND withdraw_time IS NULL",
        system_id,
        key_id,
        now.to_sqlx() as _,
    )
    .execute(conn)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// A key of an active system of an organisation, by its id.
pub(crate) async fn key_of(conn: &mut PgConnection, organisation_id: Uuid, key_id: &str) -> Result<Option<SigningKey>> {
    let row = sqlx::query!(
        "SELECT k.key_id, k.public_jwk, k.valid_from, k.valid_to, k.withdraw_time
         FROM signing_keys k JOIN systems s ON s.system_id = k.system_id AND s.state = 'active'
         WHERE k.organisation_id = $1 AND k.key_id = $2",
        organisation_id,
        key_id,
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map(|row| SigningKey {
        key_id: row.key_id,
        public_jwk: row.public_jwk,
        valid_from: row.valid_from.to_jiff(),
        valid_to: row.valid_to.to_jiff(),
        withdraw_time: row.withdraw_time.map(jiff_sqlx::Timestamp::to_jiff),
    }))
}

/// The system with an id.
pub(crate) async fn get(conn: &mut PgConnection, system_id: Uuid) -> Result<Option<System>> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT system_id, organisation_id, responsible_unit_id, name, client_id, subsystem_code, state, version,
                  create_time AS "create_time: _", update_time AS "update_time: _"
           FROM systems WHERE system_id = $1"#,
        system_id,
    )
    .fetch_optional(&mut *conn)
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(with_proofs(conn, vec![row]).await?.pop())
}

/// The systems after an id, by id; of one organisation, if it is named.
pub(crate) async fn list(
    conn: &mut PgConnection,
    organisation_id: Option<Uuid>,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<System>> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT system_id, organisation_id, responsible_unit_id, name, client_id, subsystem_code, state, version,
                  create_time AS "create_time: _", update_time AS "update_time: _"
           FROM systems
           WHERE ($1::uuid IS NULL OR organisation_id = $1) AND ($2::uuid IS NULL OR system_id > $2)
           ORDER BY system_id LIMIT $3"#,
        organisation_id as Option<Uuid>,
        after as Option<Uuid>,
        limit,
    )
    .fetch_all(&mut *conn)
    .await?;
    with_proofs(conn, rows).await
}

async fn with_proofs(conn: &mut PgConnection, rows: Vec<Row>) -> Result<Vec<System>> {
    let mut found: Vec<System> = rows.into_iter().map(System::try_from).collect::<Result<_>>()?;
    let ids: Vec<Uuid> = found.iter().map(|one| one.system_id).collect();
    let certificates = sqlx::query!(
        "SELECT certificate_id, system_id, thumbprint, subject, not_before, not_after, withdraw_time
         FROM system_certificates WHERE system_id = ANY($1) ORDER BY create_time, certificate_id",
        &ids,
    )
    .fetch_all(&mut *conn)
    .await?;
    for row in certificates {
        if let Some(one) = found.iter_mut().find(|one| one.system_id == row.system_id) {
            one.certificates.push(Certificate {
                certificate_id: row.certificate_id,
                thumbprint: row.thumbprint,
                subject: row.subject,
                not_before: row.not_before.to_jiff(),
                not_after: row.not_after.to_jiff(),
                withdraw_time: row.withdraw_time.map(jiff_sqlx::Timestamp::to_jiff),
            });
        }
    }
    let keys = sqlx::query!(
        "SELECT system_id, key_id, public_jwk, valid_from, valid_to, withdraw_time
         FROM signing_keys WHERE system_id = ANY($1) ORDER BY create_time, key_id",
        &ids,
    )
    .fetch_all(conn)
    .await?;
    for row in keys {
        if let Some(one) = found.iter_mut().find(|one| one.system_id == row.system_id) {
            one.keys.push(SigningKey {
                key_id: row.key_id,
                public_jwk: row.public_jwk,
                valid_from: row.valid_from.to_jiff(),
                valid_to: row.valid_to.to_jiff(),
                withdraw_time: row.withdraw_time.map(jiff_sqlx::Timestamp::to_jiff),
            });
        }
    }
    Ok(found)
}

/// The ids of an organisation's systems.
pub(crate) async fn of_organisation(conn: &mut PgConnection, organisation_id: Uuid) -> Result<Vec<Uuid>> {
    let ids = sqlx::query_scalar!(
        "SELECT system_id FROM systems WHERE organisation_id = $1",
        organisation_id
    )
    .fetch_all(conn)
    .await?;
    Ok(ids)
}
