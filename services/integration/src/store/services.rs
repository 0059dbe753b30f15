//! Services and the versions of their interfaces.

use jiff_sqlx::ToSqlx as _;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Result, inconsistent, one_row};
use crate::domain::service::{Interface, InterfaceKind, Service, ServiceState};

struct Row {
    service_id: Uuid,
    system_id: Uuid,
    organisation_id: Uuid,
    responsible_unit_id: i32,
    code: String,
    title: String,
    kind: String,
    state: String,
    interface_version: i64,
    version: i64,
    create_time: jiff_sqlx::Timestamp,
    update_time: jiff_sqlx::Timestamp,
}

impl TryFrom<Row> for Service {
    type Error = super::StoreError;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            service_id: row.service_id,
            system_id: row.system_id,
            organisation_id: row.organisation_id,
            responsible_unit_id: row.responsible_unit_id,
            code: row.code,
            title: row.title,
            kind: InterfaceKind::from_word(&row.kind).ok_or(inconsistent("services", "kind"))?,
            state: ServiceState::from_word(&row.state).ok_or(inconsistent("services", "state"))?,
            interface_version: row.interface_version,
            version: row.version,
            create_time: row.create_time.to_jiff(),
            update_time: row.update_time.to_jiff(),
        })
    }
}

/// Adds a service.
pub(crate) async fn insert(conn: &mut PgConnection, one: &Service) -> Result<()> {
    sqlx::query!(
        "INSERT INTO services (service_id, system_id, organisation_id, responsible_unit_id, code, title, kind, state,
                               interface_version, version, create_time, update_time)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11)",
        one.service_id,
        one.system_id,
        one.organisation_id,
        one.responsible_unit_id,
        one.code,
        one.title,
        one.kind.as_str(),
        one.state.as_str(),
        one.interface_version,
        one.version,
        one.create_time.to_sqlx() as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Stores a changed service; its version was raised by one.
pub(crate) async fn update(conn: &mut PgConnection, one: &Service) -> Result<()> {
    let done = sqlx::query!(
        "UPDATE services SET title = $3, state = $4, interface_version = $5, version = $2::bigint, update_time = $6
         WHERE service_id = $1 AND version = $2::bigint - 1",
        one.service_id,
        one.version,
        one.title,
        one.state.as_str(),
        one.interface_version,
        one.update_time.to_sqlx() as _,
    )
    .execute(conn)
    .await?;
    one_row("services", done.rows_affected())
}

/// The service with an id.
pub(crate) async fn get(conn: &mut PgConnection, service_id: Uuid) -> Result<Option<Service>> {
    sqlx::query_as!(
        Row,
        r#"SELECT service_id, system_id, organisation_id, responsible_unit_id, code, title, kind, state, interface_version,
                  version, create_time AS "create_time: _", update_time AS "update_time: _"
           FROM services WHERE service_id = $1"#,
        service_id,
    )
    .fetch_optional(conn)
    .await?
    .map(Service::try_from)
    .transpose()
}

/// The services after an id, by id; of one system, if it is named.
pub(crate) async fn list(
    conn: &mut PgConnection,
    system_id: Option<Uuid>,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Service>> {
    sqlx::query_as!(
        Row,
        r#"SELECT service_id, system_id, organisation_id, responsible_unit_id, code, title, kind, state, interface_version,
                  version, create_time AS "create_time: _", update_time AS "update_time: _"
           FROM services
           WHERE ($1::uuid IS NULL OR system_id = $1) AND ($2::uuid IS NULL OR service_id > $2)
           ORDER BY service_id LIMIT $3"#,
        system_id as Option<Uuid>,
        after as Option<Uuid>,
        limit,
    )
    .fetch_all(conn)
    .await?
    .into_iter()
    .map(Service::try_from)
    .collect()
}

/// Adds a version of an interface with its document.
pub(crate) async fn insert_interface(
    conn: &mut PgConnection,
    unit_id: i32,
    one: &Interface,
    document: &[u8],
    actor: &str,
) -> Result<()> {
    let breaking = serde_json::to_value(&one.breaking).map_err(|_| inconsistent("interfaces", "breaking"))?;
    sqlx::query!(
        "INSERT INTO interfaces (service_id, interface_version, responsible_unit_id, kind, document, sha256, methods, breaking,
                                 breaking_reason, actor, create_time)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        one.service_id,
        one.interface_version,
        unit_id,
        one.kind.as_str(),
        document,
        one.sha256,
        &one.methods,
        breaking,
        one.breaking_reason,
        actor,
        one.create_time.to_sqlx() as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A version of an interface with its document.
pub(crate) async fn interface(
    conn: &mut PgConnection,
    service_id: Uuid,
    interface_version: i64,
) -> Result<Option<(Interface, Vec<u8>)>> {
    let row = sqlx::query!(
        "SELECT service_id, interface_version, kind, document, sha256, methods, breaking, breaking_reason, create_time
         FROM interfaces WHERE service_id = $1 AND interface_version = $2",
        service_id,
        interface_version,
    )
    .fetch_optional(conn)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let one = Interface {
        service_id: row.service_id,
        interface_version: row.interface_version,
        kind: InterfaceKind::from_word(&row.kind).ok_or(inconsistent("interfaces", "kind"))?,
        sha256: row.sha256,
        methods: row.methods,
        breaking: serde_json::from_value(row.breaking).map_err(|_| inconsistent("interfaces", "breaking"))?,
        breaking_reason: row.breaking_reason,
        create_time: row.create_time.to_jiff(),
    };
    Ok(Some((one, row.document)))
}

/// The versions of an interface before one, the newest first, without their documents.
pub(crate) async fn interfaces(
    conn: &mut PgConnection,
    service_id: Uuid,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<Interface>> {
    let rows = sqlx::query!(
        "SELECT service_id, interface_version, kind, sha256, methods, breaking, breaking_reason, create_time
         FROM interfaces WHERE service_id = $1 AND interface_version < coalesce($2, 9223372036854775807)
         ORDER BY interface_version DESC LIMIT $3",
        service_id,
        before,
        limit,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Interface {
                service_id: row.service_id,
                interface_version: row.interface_version,
                kind: InterfaceKind::from_word(&row.kind).ok_or(inconsistent("interfaces", "kind"))?,
                sha256: row.sha256,
                methods: row.methods,
                breaking: serde_json::from_value(row.breaking).map_err(|_| inconsistent("interfaces", "breaking"))?,
                breaking_reason: row.breaking_reason,
                create_time: row.create_time.to_jiff(),
            })
        })
        .collect()
}
