//! Endpoints, and how they were last seen.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Result, inconsistent, one_row};
use crate::domain::endpoint::{Endpoint, EndpointState, Health};

/// Adds an endpoint.
pub(crate) async fn insert(conn: &mut PgConnection, one: &Endpoint, now: Timestamp) -> Result<()> {
    sqlx::query!(
        "INSERT INTO endpoints (endpoint_id, service_id, responsible_unit_id, url, health_path, weight, state, create_time,
                                update_time)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)",
        one.endpoint_id,
        one.service_id,
        one.responsible_unit_id,
        one.url,
        one.health_path,
        one.weight,
        one.state.as_str(),
        now.to_sqlx() as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Stores weight and state.
pub(crate) async fn update(conn: &mut PgConnection, one: &Endpoint, now: Timestamp) -> Result<()> {
    let done = sqlx::query!(
        "UPDATE endpoints SET weight = $2, state = $3, update_time = $4 WHERE endpoint_id = $1 AND state <> 'removed'",
        one.endpoint_id,
        one.weight,
        one.state.as_str(),
        now.to_sqlx() as _,
    )
    .execute(conn)
    .await?;
    one_row("endpoints", done.rows_affected())
}

/// The endpoints of services, those removed left out; of every service, if none is named.
pub(crate) async fn of_services(conn: &mut PgConnection, services: Option<&[Uuid]>) -> Result<Vec<Endpoint>> {
    let rows = sqlx::query!(
        r#"SELECT e.endpoint_id, e.service_id, e.responsible_unit_id, e.url, e.health_path, e.weight, e.state,
                  h.healthy AS "healthy?", h.detail AS "detail?", h.latency_ms AS "latency_ms?",
                  h.check_time AS "check_time?: jiff_sqlx::Timestamp"
           FROM endpoints e LEFT JOIN endpoint_health h ON h.endpoint_id = e.endpoint_id
           WHERE ($1::uuid[] IS NULL OR e.service_id = ANY($1)) AND e.state <> 'removed'
           ORDER BY e.create_time, e.endpoint_id"#,
        services as Option<&[Uuid]>,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            let health = match (row.healthy, row.detail, row.latency_ms, row.check_time) {
                (Some(healthy), Some(detail), Some(latency_ms), Some(check_time)) => Some(Health {
                    healthy,
                    detail,
                    latency_ms,
                    check_time: check_time.to_jiff(),
                }),
                _ => None,
            };
            Ok(Endpoint {
                endpoint_id: row.endpoint_id,
                service_id: row.service_id,
                responsible_unit_id: row.responsible_unit_id,
                url: row.url,
                health_path: row.health_path,
                weight: row.weight,
                state: EndpointState::from_word(&row.state).ok_or(inconsistent("endpoints", "state"))?,
                health,
            })
        })
        .collect()
}

/// Records how an endpoint was seen.
pub(crate) async fn record_health(conn: &mut PgConnection, one: &Endpoint, health: &Health) -> Result<()> {
    sqlx::query!(
        "INSERT INTO endpoint_health AS h (endpoint_id, responsible_unit_id, healthy, detail, latency_ms, check_time)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (endpoint_id) DO UPDATE
             SET healthy = excluded.healthy, detail = excluded.detail, latency_ms = excluded.latency_ms,
                 check_time = excluded.check_time
             WHERE h.check_time < excluded.check_time",
        one.endpoint_id,
        one.responsible_unit_id,
        health.healthy,
        health.detail,
        health.latency_ms,
        health.check_time.to_sqlx() as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}
