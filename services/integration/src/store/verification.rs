//! What the verification of the ledger reads of history and rows: everything, page by page.

use jiff::Timestamp;
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::Result;

/// A change as it was recorded.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    pub(crate) kind: String,
    pub(crate) id: Uuid,
    pub(crate) version: i64,
    /// None for changes of agreements from before documents were kept.
    pub(crate) document: Option<Value>,
}

/// A change of an agreement as it was recorded.
#[derive(Clone, Debug)]
pub(crate) struct RecordedAgreement {
    pub(crate) agreement_id: Uuid,
    pub(crate) version: i64,
    pub(crate) change: String,
    pub(crate) state: String,
    pub(crate) reason: String,
    pub(crate) actor: String,
    pub(crate) record_time: Timestamp,
    pub(crate) document: Option<Value>,
}

/// Changes of entries of the directory after one, by entry and version.
pub(crate) async fn directory_changes(
    conn: &mut PgConnection,
    (id, version): (Uuid, i64),
    limit: i64,
) -> Result<Vec<Recorded>> {
    let rows = sqlx::query!(
        "SELECT kind, resource_id, version, document FROM directory_history
         WHERE (resource_id, version) > ($1, $2) ORDER BY resource_id, version LIMIT $3",
        id,
        version,
        limit,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Recorded {
            kind: row.kind,
            id: row.resource_id,
            version: row.version,
            document: Some(row.document),
        })
        .collect())
}

/// Changes of agreements after one, by agreement and version.
pub(crate) async fn agreement_changes(
    conn: &mut PgConnection,
    (id, version): (Uuid, i64),
    limit: i64,
) -> Result<Vec<RecordedAgreement>> {
    let rows = sqlx::query!(
        "SELECT agreement_id, version, change, state, reason, actor, record_time, document FROM agreement_history
         WHERE (agreement_id, version) > ($1, $2) ORDER BY agreement_id, version LIMIT $3",
        id,
        version,
        limit,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| RecordedAgreement {
            agreement_id: row.agreement_id,
            version: row.version,
            change: row.change,
            state: row.state,
            reason: row.reason,
            actor: row.actor,
            record_time: row.record_time.to_jiff(),
            document: row.document,
        })
        .collect())
}

/// The leaves of agreements whose change is gone from the history, and the rows that no change speaks of, as (kind, id, version).
pub(crate) async fn without_history(conn: &mut PgConnection) -> Result<Vec<(String, Uuid, i64)>> {
    let rows = sqlx::query!(
        r#"SELECT 'agreement' AS "kind!", l.resource_id AS "id!", l.version AS "version!" FROM egov.leaves l
           WHERE l.kind = 'agreement' AND NOT EXISTS (
             SELECT 1 FROM agreement_history h WHERE h.agreement_id = l.resource_id AND h.version = l.version)
           UNION ALL
           SELECT 'agreement', a.agreement_id, a.version FROM agreements a
           WHERE NOT EXISTS (SELECT 1 FROM agreement_history h WHERE h.agreement_id = a.agreement_id)
           UNION ALL
           SELECT 'organisation', o.organisation_id, o.version FROM organisations o
           WHERE NOT EXISTS (SELECT 1 FROM directory_history h WHERE h.resource_id = o.organisation_id)
           UNION ALL
           SELECT 'system', s.system_id, s.version FROM systems s
           WHERE NOT EXISTS (SELECT 1 FROM directory_history h WHERE h.resource_id = s.system_id)
           UNION ALL
           SELECT 'service', s.service_id, s.version FROM services s
           WHERE NOT EXISTS (SELECT 1 FROM directory_history h WHERE h.resource_id = s.service_id)
           ORDER BY 1, 2, 3"#,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.kind, row.id, row.version)).collect())
}

/// Interfaces whose document does not have the hash that stands beside it, as (service, version).
pub(crate) async fn changed_interfaces(conn: &mut PgConnection) -> Result<Vec<(Uuid, i64)>> {
    let rows = sqlx::query!(
        "SELECT service_id, interface_version FROM interfaces WHERE sha256(document) <> sha256
         ORDER BY service_id, interface_version",
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.service_id, row.interface_version))
        .collect())
}
