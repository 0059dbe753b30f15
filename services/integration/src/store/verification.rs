//! What the verification of the ledger reads of history and rows: everything, page by page.

use jiff::Timestamp;
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::Result;
use crate::domain::commitment::{AGREEMENT, OLDER_AGREEMENT};
use crate::domain::system::SigningKey;

/// A change as it was recorded.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    pub(crate) kind: String,
    pub(crate) id: Uuid,
    pub(crate) version: i64,
    pub(crate) change: String,
    pub(crate) reason: String,
    pub(crate) actor: String,
    pub(crate) record_time: Timestamp,
    pub(crate) document: Value,
    /// Whether its leaf is of the kind of before, which commits to the document alone.
    pub(crate) older: bool,
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
    /// None for changes from before documents were kept.
    pub(crate) document: Option<Value>,
    /// Whether its leaf is of the kind of before, and none of the kind of now came before it: only then it may be without a document.
    pub(crate) older: bool,
}

/// A key that signs for an organisation, or did.
#[derive(Clone, Debug)]
pub(crate) struct KeyOf {
    pub(crate) organisation_id: Uuid,
    pub(crate) key: SigningKey,
}

/// A document, from its text. What is none that can be read here (a number beyond any) becomes its text, which no leaf commits to.
fn read(document: String) -> Value {
    serde_json::from_str(&document).unwrap_or(Value::String(document))
}

/// Changes of entries of the directory after one, by entry and version.
pub(crate) async fn directory_changes(
    conn: &mut PgConnection,
    (id, version): (Uuid, i64),
    limit: i64,
) -> Result<Vec<Recorded>> {
    let rows = sqlx::query!(
        r#"SELECT h.kind, h.resource_id, h.version, h.change, h.reason, h.actor, h.record_time, h.document::text AS "document!",
                  EXISTS (SELECT 1 FROM egov.leaves l
                          WHERE l.kind = h.kind AND l.resource_id = h.resource_id AND l.version = h.version) AS "older!"
           FROM directory_history h
           WHERE (h.resource_id, h.version) > ($1, $2) ORDER BY h.resource_id, h.version LIMIT $3"#,
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
            change: row.change,
            reason: row.reason,
            actor: row.actor,
            record_time: row.record_time.to_jiff(),
            document: read(row.document),
            older: row.older,
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
        r#"SELECT h.agreement_id, h.version, h.change, h.state, h.reason, h.actor, h.record_time, h.document::text AS document,
                  EXISTS (SELECT 1 FROM egov.leaves l
                          WHERE l.kind = $4 AND l.resource_id = h.agreement_id AND l.version = h.version)
                  AND NOT EXISTS (SELECT 1 FROM egov.leaves l
                          WHERE l.kind = $5 AND l.resource_id = h.agreement_id AND l.version <= h.version) AS "older!"
           FROM agreement_history h
           WHERE (h.agreement_id, h.version) > ($1, $2) ORDER BY h.agreement_id, h.version LIMIT $3"#,
        id,
        version,
        limit,
        OLDER_AGREEMENT,
        AGREEMENT,
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
            document: row.document.map(read),
            older: row.older,
        })
        .collect())
}

/// The leaves of agreements whose change is gone from the history, and the rows that no change speaks of, as (kind, id, version).
pub(crate) async fn without_history(conn: &mut PgConnection) -> Result<Vec<(String, Uuid, i64)>> {
    let rows = sqlx::query!(
        r#"SELECT 'agreement' AS "kind!", l.resource_id AS "id!", l.version AS "version!" FROM egov.leaves l
           WHERE l.kind IN ('agreement', 'agreement_change') AND NOT EXISTS (
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

/// The leaf of a version of something, with its salt unless that is gone.
#[derive(Clone, Debug)]
pub(crate) struct LeafOf {
    pub(crate) id: Uuid,
    pub(crate) commitment: Vec<u8>,
    pub(crate) salt: Option<Vec<u8>>,
}

/// The leaves of a kind of these, each of one version.
pub(crate) async fn leaves_of(
    conn: &mut PgConnection,
    kind: &str,
    (ids, versions): (&[Uuid], &[i64]),
) -> Result<Vec<LeafOf>> {
    let rows = sqlx::query!(
        r#"SELECT l.resource_id, l.commitment, s.salt AS "salt?"
           FROM unnest($2::uuid[], $3::bigint[]) AS w (id, version)
           JOIN egov.leaves l ON l.kind = $1 AND l.resource_id = w.id AND l.version = w.version
           LEFT JOIN egov.leaf_salts s ON s.leaf_id = l.leaf_id"#,
        kind,
        ids,
        versions,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| LeafOf {
            id: row.resource_id,
            commitment: row.commitment,
            salt: row.salt,
        })
        .collect())
}

/// What the history says of a delivery as it is now.
#[derive(Clone, Debug)]
pub(crate) struct RecordedDelivery {
    pub(crate) id: Uuid,
    pub(crate) unit_id: i32,
    pub(crate) state: i16,
    pub(crate) problem: String,
    pub(crate) actor: String,
    pub(crate) record_time: Timestamp,
}

/// The entries of the history of these deliveries that are of the version that each has now.
pub(crate) async fn recorded_deliveries(conn: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<RecordedDelivery>> {
    let rows = sqlx::query!(
        "SELECT h.delivery_id, h.responsible_unit_id, h.state, h.problem, h.actor, h.record_time
         FROM delivery_history h JOIN deliveries d ON d.delivery_id = h.delivery_id AND d.version = h.version
         WHERE h.delivery_id = ANY ($1)",
        ids,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| RecordedDelivery {
            id: row.delivery_id,
            unit_id: row.responsible_unit_id,
            state: row.state,
            problem: row.problem,
            actor: row.actor,
            record_time: row.record_time.to_jiff(),
        })
        .collect())
}

/// Leaves of mailboxes' messages and deliveries whose row or entry of the history is gone, as (kind, id, version). Neither is ever
/// deleted.
pub(crate) async fn leaves_without_row(conn: &mut PgConnection) -> Result<Vec<(String, Uuid, i64)>> {
    let rows = sqlx::query!(
        r#"SELECT l.kind AS "kind!", l.resource_id AS "id!", l.version AS "version!" FROM egov.leaves l
           WHERE l.kind = 'mailbox_message' AND l.version = 1
             AND NOT EXISTS (SELECT 1 FROM mailbox_messages m WHERE m.message_id = l.resource_id)
           UNION ALL
           SELECT l.kind, l.resource_id, l.version FROM egov.leaves l
           WHERE l.kind = 'delivery' AND NOT EXISTS (
             SELECT 1 FROM delivery_history h WHERE h.delivery_id = l.resource_id AND h.version = l.version)
           UNION ALL
           SELECT l.kind, l.resource_id, l.version FROM egov.leaves l
           WHERE l.kind = 'delivery' AND l.version = 1
             AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.delivery_id = l.resource_id)
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

/// The keys of systems of organisations, whatever became of either since.
pub(crate) async fn keys_of(conn: &mut PgConnection, organisations: &[Uuid]) -> Result<Vec<KeyOf>> {
    // A key is compared with the history of its system, which does not say whose the system is beside each key.
    let rows = sqlx::query!(
        "SELECT k.organisation_id, k.key_id, k.public_jwk, k.valid_from, k.valid_to, k.withdraw_time
         FROM signing_keys k JOIN systems s ON s.system_id = k.system_id AND s.organisation_id = k.organisation_id
         WHERE k.organisation_id = ANY ($1)",
        organisations,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| KeyOf {
            organisation_id: row.organisation_id,
            key: SigningKey {
                key_id: row.key_id,
                public_jwk: row.public_jwk,
                valid_from: row.valid_from.to_jiff(),
                valid_to: row.valid_to.to_jiff(),
                withdraw_time: row.withdraw_time.map(jiff_sqlx::Timestamp::to_jiff),
            },
        })
        .collect())
}

/// The erasures of leaves of kinds, as (kind, resource).
pub(crate) async fn erasures(conn: &mut PgConnection, kinds: &[&str]) -> Result<Vec<(String, Uuid)>> {
    let rows = sqlx::query!(
        "SELECT DISTINCT kind, resource_id FROM egov.leaf_erasures WHERE kind = ANY ($1) ORDER BY kind, resource_id",
        kinds as &[&str],
    )
    .fetch_all(conn)
    .await?;
    Ok(rows.into_iter().map(|row| (row.kind, row.resource_id)).collect())
}
