//! Systems with a key of their own, and the assertions that were believed.

use std::collections::HashMap;

use egov_database::sql_fault;
use egov_fault::Fault;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use jsonwebtoken::jwk::Jwk;
use sqlx::PgConnection;
use uuid::Uuid;

use super::Result;
use crate::domain::client::{System, SystemRole};

struct Row {
    system_id: Uuid,
    client_id: String,
    name: String,
    acts_for_citizens: bool,
    disabled: bool,
}

impl From<Row> for System {
    fn from(row: Row) -> Self {
        Self {
            system_id: row.system_id,
            client_id: row.client_id,
            name: row.name,
            roles: Vec::new(),
            acts_for_citizens: row.acts_for_citizens,
            disabled: row.disabled,
        }
    }
}

/// Adds a system with its roles. `false` if the client id is taken.
pub(crate) async fn insert(conn: &mut PgConnection, system: &System, key: &Jwk, now: Timestamp) -> Result<bool> {
    let inserted = sqlx::query!(
        "INSERT INTO systems (system_id, client_id, name, public_jwk, acts_for_citizens, version, create_time, update_time)
         VALUES ($1, $2, $3, $4, $5, 1, $6, $6)
         ON CONFLICT ON CONSTRAINT systems_client_id_key DO NOTHING",
        system.system_id,
        system.client_id,
        system.name,
        json(key)?,
        system.acts_for_citizens,
        now.to_sqlx() as _
    )
    .execute(&mut *conn)
    .await
    .map_err(sql_fault)?
    .rows_affected();
    if inserted == 0 {
        return Ok(false);
    }
    insert_roles(conn, system.system_id, &system.roles).await?;
    Ok(true)
}

/// Puts a system right: name, key, roles, and whether it may act for citizens; its new version.
pub(crate) async fn update(conn: &mut PgConnection, system: &System, key: &Jwk, now: Timestamp) -> Result<i64> {
    let version = sqlx::query_scalar!(
        "UPDATE systems SET name = $2, public_jwk = $3, acts_for_citizens = $4, version = version + 1, update_time = $5
         WHERE system_id = $1 RETURNING version",
        system.system_id,
        system.name,
        json(key)?,
        system.acts_for_citizens,
        now.to_sqlx() as _
    )
    .fetch_one(&mut *conn)
    .await
    .map_err(sql_fault)?;
    sqlx::query!("DELETE FROM system_roles WHERE system_id = $1", system.system_id)
        .execute(&mut *conn)
        .await
        .map_err(sql_fault)?;
    insert_roles(conn, system.system_id, &system.roles).await?;
    Ok(version)
}

fn json(key: &Jwk) -> Result<serde_json::Value> {
    serde_json::to_value(key).map_err(Fault::internal)
}

async fn insert_roles(conn: &mut PgConnection, system_id: Uuid, roles: &[SystemRole]) -> Result<()> {
    let (names, units): (Vec<String>, Vec<i32>) = roles.iter().map(|role| (role.role.clone(), role.unit_id)).unzip();
    sqlx::query!(
        "INSERT INTO system_roles (system_id, role, unit_id)
         SELECT $1, r.role, r.unit_id FROM unnest($2::text[], $3::int[]) AS r (role, unit_id)
         ON CONFLICT DO NOTHING",
        system_id,
        &names,
        &units
    )
    .execute(conn)
    .await
    .map(drop)
    .map_err(sql_fault)
}

/// The system of a client id, with its key.
pub(crate) async fn by_client_id(conn: &mut PgConnection, client_id: &str) -> Result<Option<(System, Jwk)>> {
    let row = sqlx::query!(
        r#"SELECT system_id, client_id, name, public_jwk, acts_for_citizens,
                  disabled_time IS NOT NULL AS "disabled!"
           FROM systems WHERE client_id = $1"#,
        client_id
    )
    .fetch_optional(&mut *conn)
    .await
    .map_err(sql_fault)?;
    let Some(row) = row else { return Ok(None) };
    let key = serde_json::from_value(row.public_jwk).map_err(Fault::internal)?;
    let mut system = System::from(Row {
        system_id: row.system_id,
        client_id: row.client_id,
        name: row.name,
        acts_for_citizens: row.acts_for_citizens,
        disabled: row.disabled,
    });
    system.roles = roles(conn, &[system.system_id])
        .await?
        .remove(&system.system_id)
        .unwrap_or_default();
    Ok(Some((system, key)))
}

/// The system with an id.
pub(crate) async fn get(conn: &mut PgConnection, system_id: Uuid) -> Result<Option<System>> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT system_id, client_id, name, acts_for_citizens, disabled_time IS NOT NULL AS "disabled!"
           FROM systems WHERE system_id = $1"#,
        system_id
    )
    .fetch_optional(&mut *conn)
    .await
    .map_err(sql_fault)?;
    let Some(row) = row else { return Ok(None) };
    let mut system = System::from(row);
    system.roles = roles(conn, &[system_id]).await?.remove(&system_id).unwrap_or_default();
    Ok(Some(system))
}

/// The systems after an id, by id.
pub(crate) async fn list(conn: &mut PgConnection, after: Option<Uuid>, limit: i64) -> Result<Vec<System>> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT system_id, client_id, name, acts_for_citizens, disabled_time IS NOT NULL AS "disabled!"
           FROM systems WHERE ($1::uuid IS NULL OR system_id > $1) ORDER BY system_id LIMIT $2"#,
        after as Option<Uuid>,
        limit
    )
    .fetch_all(&mut *conn)
    .await
    .map_err(sql_fault)?;
    let ids: Vec<Uuid> = rows.iter().map(|row| row.system_id).collect();
    let mut held = roles(conn, &ids).await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let mut system = System::from(row);
            system.roles = held.remove(&system.system_id).unwrap_or_default();
            system
        })
        .collect())
}

/// A system as its rows stand, for the verification.
pub(crate) struct Stored {
    /// What it is.
    pub system: System,
    /// Its key, whether it can be read as one or not.
    pub key: serde_json::Value,
    /// How often it was changed.
    pub version: i64,
}

/// Every system as it stands.
pub(crate) async fn all(conn: &mut PgConnection) -> Result<Vec<Stored>> {
    let rows = sqlx::query!(
        r#"SELECT system_id, client_id, name, public_jwk, acts_for_citizens, disabled_time IS NOT NULL AS "disabled!", version
           FROM systems ORDER BY system_id"#
    )
    .fetch_all(&mut *conn)
    .await
    .map_err(sql_fault)?;
    let ids: Vec<Uuid> = rows.iter().map(|row| row.system_id).collect();
    let mut held = roles(conn, &ids).await?;
    Ok(rows
        .into_iter()
        .map(|row| Stored {
            system: System {
                system_id: row.system_id,
                client_id: row.client_id,
                name: row.name,
                roles: held.remove(&row.system_id).unwrap_or_default(),
                acts_for_citizens: row.acts_for_citizens,
                disabled: row.disabled,
            },
            key: row.public_jwk,
            version: row.version,
        })
        .collect())
}

/// The ids that have roles although no system has the id: nobody but the owner of the database can write them.
pub(crate) async fn roles_of_nobody(conn: &mut PgConnection) -> Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        r#"SELECT DISTINCT r.system_id AS "system_id!" FROM system_roles r
         WHERE NOT EXISTS (SELECT 1 FROM systems s WHERE s.system_id = r.system_id)"#
    )
    .fetch_all(conn)
    .await
    .map_err(sql_fault)
}

async fn roles(conn: &mut PgConnection, systems: &[Uuid]) -> Result<HashMap<Uuid, Vec<SystemRole>>> {
    let rows = sqlx::query!(
        "SELECT system_id, role, unit_id FROM system_roles WHERE system_id = ANY($1) ORDER BY role, unit_id",
        systems
    )
    .fetch_all(conn)
    .await
    .map_err(sql_fault)?;
    let mut held: HashMap<Uuid, Vec<SystemRole>> = HashMap::new();
    for row in rows {
        held.entry(row.system_id).or_default().push(SystemRole {
            role: row.role,
            unit_id: row.unit_id,
        });
    }
    Ok(held)
}

/// Closes a system; returns its version. A system that was closed stays as it is.
pub(crate) async fn disable(conn: &mut PgConnection, system_id: Uuid, now: Timestamp) -> Result<Option<i64>> {
    sqlx::query_scalar!(
        "UPDATE systems
         SET disabled_time = coalesce(disabled_time, $2), version = version + 1, update_time = $2
         WHERE system_id = $1 RETURNING version",
        system_id,
        now.to_sqlx() as _
    )
    .fetch_optional(conn)
    .await
    .map_err(sql_fault)
}

/// Believes an assertion, once: `false` if it was believed before.
pub(crate) async fn use_assertion(
    conn: &mut PgConnection,
    issuer: &str,
    token_id_digest: &[u8],
    remember_until: Timestamp,
) -> Result<bool> {
    let first = sqlx::query!(
        "INSERT INTO used_assertions (issuer, token_id_digest, expire_time) VALUES ($1, $2, $3)
         ON CONFLICT (issuer, token_id_digest) DO NOTHING",
        issuer,
        token_id_digest,
        remember_until.to_sqlx() as _
    )
    .execute(conn)
    .await
    .map_err(sql_fault)?
    .rows_affected();
    Ok(first == 1)
}

/// Forgets assertions that could not be believed any more.
pub(crate) async fn purge_assertions(conn: &mut PgConnection, before: Timestamp) -> Result<u64> {
    sqlx::query!(
        "DELETE FROM used_assertions WHERE expire_time < $1",
        before.to_sqlx() as _
    )
    .execute(conn)
    .await
    .map(|done| done.rows_affected())
    .map_err(sql_fault)
}
