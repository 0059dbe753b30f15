//! The feed of permits.

use std::collections::HashMap;

use jiff::Timestamp;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Result, agreements};
use crate::domain::issuing::{SystemFacts, permits};
use crate::domain::permit::{PermitCertificate, PermitChange};

/// Says that what agreements permit has changed. It takes the one counter of the feed and holds it until the commit, so
/// that places appear in their order: as late in a transaction as possible.
pub(crate) async fn touch(conn: &mut PgConnection, ids: &[Uuid]) -> Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "WITH counted AS (
             UPDATE permit_feed SET position = position + cardinality($1::uuid[]) RETURNING position
         )
         INSERT INTO permit_changes (agreement_id, position)
         SELECT n.agreement_id, counted.position - cardinality($1::uuid[]) + n.place
         FROM counted, unnest($1::uuid[]) WITH ORDINALITY AS n (agreement_id, place)
         ON CONFLICT (agreement_id) DO UPDATE SET position = excluded.position",
        ids,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Where the feed stands: epoch and position.
pub(crate) async fn head(conn: &mut PgConnection) -> Result<(i32, i64)> {
    let row =
        sqlx::query!(r#"SELECT egov.current_epoch() AS "epoch!", (SELECT position FROM permit_feed) AS "position!""#)
            .fetch_one(conn)
            .await?;
    Ok((row.epoch, row.position))
}

/// The agreements that changed after a position, in order, with the position of each.
pub(crate) async fn after(conn: &mut PgConnection, position: i64, limit: i64) -> Result<Vec<(Uuid, i64)>> {
    let rows = sqlx::query!(
        "SELECT agreement_id, position FROM permit_changes WHERE position > $1 ORDER BY position LIMIT $2",
        position,
        limit,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.agreement_id, row.position)).collect())
}

/// What is in force of agreements by now.
pub(crate) async fn of(conn: &mut PgConnection, ids: &[Uuid], now: Timestamp) -> Result<Vec<PermitChange>> {
    let found = agreements::by_ids(&mut *conn, ids).await?;
    let mut systems: Vec<Uuid> = found
        .iter()
        .flat_map(|one| {
            let parties = [one.parties.consumer_system_id, one.parties.provider_system_id];
            parties
                .into_iter()
                .chain(one.delegations.iter().map(|held| held.system_id))
        })
        .collect();
    systems.sort_unstable();
    systems.dedup();
    let facts = facts(&mut *conn, &systems).await?;
    let services: Vec<Uuid> = found.iter().map(|one| one.parties.service_id).collect();
    let offered = sqlx::query_scalar!(
        "SELECT service_id FROM services WHERE service_id = ANY($1) AND state <> 'closed'",
        &services,
    )
    .fetch_all(conn)
    .await?;
    Ok(found
        .iter()
        .map(|one| PermitChange {
            agreement_id: one.agreement_id,
            permits: permits(one, &facts, offered.contains(&one.parties.service_id), now),
        })
        .collect())
}

async fn facts(conn: &mut PgConnection, ids: &[Uuid]) -> Result<HashMap<Uuid, SystemFacts>> {
    let rows = sqlx::query!(
        r#"SELECT s.system_id, s.client_id, (s.state = 'active' AND o.state = 'active') AS "active!"
           FROM systems s JOIN organisations o ON o.organisation_id = s.organisation_id
           WHERE s.system_id = ANY($1)"#,
        ids,
    )
    .fetch_all(&mut *conn)
    .await?;
    let mut found: HashMap<Uuid, SystemFacts> = rows
        .into_iter()
        .map(|row| {
            let facts = SystemFacts {
                client_id: row.client_id,
                active: row.active,
                certificates: Vec::new(),
            };
            (row.system_id, facts)
        })
        .collect();
    let certificates = sqlx::query!(
        "SELECT system_id, thumbprint, not_before, not_after FROM system_certificates
         WHERE system_id = ANY($1) AND withdraw_time IS NULL ORDER BY thumbprint",
        ids,
    )
    .fetch_all(conn)
    .await?;
    for row in certificates {
        if let Some(facts) = found.get_mut(&row.system_id) {
            facts.certificates.push(PermitCertificate {
                thumbprint: row.thumbprint,
                not_before: row.not_before.to_jiff(),
                not_after: row.not_after.to_jiff(),
            });
        }
    }
    Ok(found)
}
