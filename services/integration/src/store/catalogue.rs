//! Who takes part in the directory and what is offered there, as the door and X-Road name it.

use std::collections::HashMap;

use jiff::Timestamp;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Result, inconsistent};
use crate::domain::service::InterfaceKind;

/// Where the directory stood when it was read: every transaction that changes it makes another one of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct DirectoryState {
    epoch: i32,
    changes: i64,
}

/// Where the directory stands.
pub(crate) async fn state(conn: &mut PgConnection) -> Result<DirectoryState> {
    let row =
        sqlx::query!(r#"SELECT egov.current_epoch() AS "epoch!", (SELECT changes FROM directory_state) AS "changes!""#)
            .fetch_one(conn)
            .await?;
    Ok(DirectoryState {
        epoch: row.epoch,
        changes: row.changes,
    })
}

/// A system that takes part.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_field_names, reason = "the names of the contract")]
pub(crate) struct Member {
    pub(crate) system_id: Uuid,
    pub(crate) client_id: String,
    pub(crate) member_class: String,
    pub(crate) member_code: String,
    pub(crate) subsystem_code: String,
}

/// A service that such a system offers, with a published interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Offered {
    pub(crate) service_id: Uuid,
    pub(crate) system_id: Uuid,
    pub(crate) code: String,
    pub(crate) kind: InterfaceKind,
    /// The newest version of its interface.
    pub(crate) interface_version: i64,
}

/// A client certificate of a system that takes part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) system_id: Uuid,
    /// SHA-256, lower-case hexadecimal.
    pub(crate) thumbprint: String,
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
}

/// The systems that take part now, of organisations that do.
pub(crate) async fn members(conn: &mut PgConnection) -> Result<Vec<Member>> {
    let rows = sqlx::query!(
        "SELECT s.system_id, s.client_id, s.subsystem_code, o.member_class, o.member_code
         FROM systems s JOIN organisations o ON o.organisation_id = s.organisation_id
         WHERE s.state = 'active' AND o.state = 'active'",
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Member {
            system_id: row.system_id,
            client_id: row.client_id,
            member_class: row.member_class,
            member_code: row.member_code,
            subsystem_code: row.subsystem_code,
        })
        .collect())
}

/// The services that are offered, whoever offers them.
pub(crate) async fn offered(conn: &mut PgConnection) -> Result<Vec<Offered>> {
    let rows = sqlx::query!(
        "SELECT service_id, system_id, code, kind, interface_version FROM services
         WHERE state <> 'closed' AND interface_version > 0",
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Offered {
                service_id: row.service_id,
                system_id: row.system_id,
                code: row.code,
                kind: InterfaceKind::from_word(&row.kind).ok_or(inconsistent("services", "kind"))?,
                interface_version: row.interface_version,
            })
        })
        .collect()
}

/// The certificates that are registered and not withdrawn; whether one is valid now, its dates say.
pub(crate) async fn certificates(conn: &mut PgConnection) -> Result<Vec<Shown>> {
    let rows = sqlx::query!(
        "SELECT system_id, thumbprint, not_before, not_after FROM system_certificates WHERE withdraw_time IS NULL",
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Shown {
            system_id: row.system_id,
            thumbprint: row.thumbprint,
            not_before: row.not_before.to_jiff(),
            not_after: row.not_after.to_jiff(),
        })
        .collect())
}

/// The operations of versions of interfaces, by their names: each service with its own.
pub(crate) async fn methods(conn: &mut PgConnection, of: &[(Uuid, i64)]) -> Result<HashMap<Uuid, Vec<String>>> {
    let (services, versions): (Vec<Uuid>, Vec<i64>) = of.iter().copied().unzip();
    let rows = sqlx::query!(
        "SELECT i.service_id, i.methods FROM unnest($1::uuid[], $2::bigint[]) AS s (service_id, version)
         JOIN interfaces i ON i.service_id = s.service_id AND i.interface_version = s.version",
        &services,
        &versions,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.service_id, row.methods)).collect())
}
