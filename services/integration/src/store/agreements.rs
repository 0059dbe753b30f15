//! Agreements with their versions, signatures and delegations. Every query that serves a caller filters by the scope;
//! row-level security is the second wall.

use std::collections::HashMap;

use egov_auth::RowScope;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use serde_json::Value;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Result, inconsistent, one_row};
use crate::domain::agreement::{Actor, Agreement, Delegation, Frame, Side, Signature, State, Status, Version};
use crate::domain::service::Consumer;
use crate::domain::terms::{Parties, Terms};

struct Row {
    agreement_id: Uuid,
    consumer_unit_id: i32,
    provider_unit_id: i32,
    consumer_organisation_id: Uuid,
    consumer_system_id: Uuid,
    provider_organisation_id: Uuid,
    provider_system_id: Uuid,
    service_id: Uuid,
    status: String,
    suspended_by: Option<String>,
    end_reason: String,
    version: i64,
    create_time: jiff_sqlx::Timestamp,
    update_time: jiff_sqlx::Timestamp,
}

impl TryFrom<Row> for Agreement {
    type Error = super::StoreError;

    fn try_from(row: Row) -> Result<Self> {
        let by = row.suspended_by.as_deref().and_then(Actor::from_word);
        let status = match (row.status.as_str(), by) {
            ("open", None) => Status::Open,
            ("suspended", Some(by)) => Status::Suspended(by),
            ("revoked", None) => Status::Revoked,
            ("expired", None) => Status::Expired,
            _ => return Err(inconsistent("agreements", "status")),
        };
        Ok(Self {
            agreement_id: row.agreement_id,
            parties: Parties {
                consumer_organisation_id: row.consumer_organisation_id,
                consumer_system_id: row.consumer_system_id,
                provider_organisation_id: row.provider_organisation_id,
                provider_system_id: row.provider_system_id,
                service_id: row.service_id,
            },
            consumer_unit_id: row.consumer_unit_id,
            provider_unit_id: row.provider_unit_id,
            status,
            end_reason: row.end_reason,
            versions: Vec::new(),
            delegations: Vec::new(),
            version: row.version,
            create_time: row.create_time.to_jiff(),
            update_time: row.update_time.to_jiff(),
        })
    }
}

/// Adds an agreement with all that belongs to it.
pub(crate) async fn insert(conn: &mut PgConnection, one: &Agreement) -> Result<()> {
    sqlx::query!(
        "INSERT INTO agreements (agreement_id, consumer_unit_id, provider_unit_id, consumer_organisation_id, consumer_system_id,
                                 provider_organisation_id, provider_system_id, service_id, status, end_reason,
                                 latest_version, version, create_time, update_time)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $13)",
        one.agreement_id,
        one.consumer_unit_id,
        one.provider_unit_id,
        one.parties.consumer_organisation_id,
        one.parties.consumer_system_id,
        one.parties.provider_organisation_id,
        one.parties.provider_system_id,
        one.parties.service_id,
        one.status.as_str(),
        one.end_reason,
        one.next_version() - 1,
        one.version,
        one.create_time.to_sqlx() as _,
    )
    .execute(&mut *conn)
    .await?;
    parts(conn, one).await
}

/// Stores a changed agreement; its version was raised by one.
pub(crate) async fn update(conn: &mut PgConnection, one: &Agreement) -> Result<()> {
    let by = match one.status {
        Status::Suspended(by) => Some(by.as_str()),
        _ => None,
    };
    let done = sqlx::query!(
        "UPDATE agreements SET status = $3, suspended_by = $4, end_reason = $5, latest_version = $6, version = $2::bigint,
                               update_time = $7
         WHERE agreement_id = $1 AND version = $2::bigint - 1",
        one.agreement_id,
        one.version,
        one.status.as_str(),
        by as _,
        one.end_reason,
        one.next_version() - 1,
        one.update_time.to_sqlx() as _,
    )
    .execute(&mut *conn)
    .await?;
    one_row("agreements", done.rows_affected())?;
    parts(conn, one).await
}

/// Adds what is new of versions, signatures and delegations, and stores what may change of them.
async fn parts(conn: &mut PgConnection, one: &Agreement) -> Result<()> {
    for version in &one.versions {
        let terms = serde_json::to_value(&version.terms).map_err(|_| inconsistent("agreement_versions", "terms"))?;
        sqlx::query!(
            "INSERT INTO agreement_versions (agreement_id, agreement_version, consumer_unit_id, provider_unit_id, terms,
                                             canonical, offer_time, effective_from, effective_to, create_time)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
             ON CONFLICT (agreement_id, agreement_version) DO UPDATE
                 SET offer_time = excluded.offer_time, effective_from = excluded.effective_from,
                     effective_to = excluded.effective_to",
            one.agreement_id,
            version.number,
            one.consumer_unit_id,
            one.provider_unit_id,
            terms,
            version.canonical,
            version.offer_time.map(jiff_sqlx::ToSqlx::to_sqlx) as _,
            version.effective.map(|frame| frame.from.to_sqlx()) as _,
            version.effective.map(|frame| frame.to.to_sqlx()) as _,
            version.create_time.to_sqlx() as _,
        )
        .execute(&mut *conn)
        .await?;
    }
    for held in &one.delegations {
        sqlx::query!(
            "INSERT INTO agreement_delegations (delegation_id, agreement_id, consumer_unit_id, provider_unit_id,
                                                delegate_unit_id, system_id, methods, valid_from, valid_to, end_time,
                                                create_time)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
             ON CONFLICT (delegation_id) DO UPDATE SET end_time = excluded.end_time",
            held.delegation_id,
            one.agreement_id,
            one.consumer_unit_id,
            one.provider_unit_id,
            held.unit_id,
            held.system_id,
            &held.methods,
            held.valid_from.to_sqlx() as _,
            held.valid_to.to_sqlx() as _,
            held.end_time.map(jiff_sqlx::ToSqlx::to_sqlx) as _,
            one.update_time.to_sqlx() as _,
        )
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

/// Adds a signature of a version.
pub(crate) async fn insert_signature(
    conn: &mut PgConnection,
    one: &Agreement,
    number: i64,
    signature: &Signature,
    actor: &str,
) -> Result<()> {
    sqlx::query!(
        "INSERT INTO agreement_signatures (agreement_id, agreement_version, side, consumer_unit_id, provider_unit_id, key_id,
                                           jws, actor, sign_time)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        one.agreement_id,
        number,
        signature.side.as_str(),
        one.consumer_unit_id,
        one.provider_unit_id,
        signature.key_id,
        signature.jws,
        actor,
        signature.sign_time.to_sqlx() as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// An agreement in the scope.
pub(crate) async fn get(conn: &mut PgConnection, agreement_id: Uuid, scope: &RowScope) -> Result<Option<Agreement>> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT agreement_id, consumer_unit_id, provider_unit_id, consumer_organisation_id, consumer_system_id,
                  provider_organisation_id, provider_system_id, service_id, status, suspended_by, end_reason, version,
                  create_time AS "create_time: _", update_time AS "update_time: _"
           FROM agreements
           WHERE agreement_id = $1 AND ($2 OR consumer_unit_id = ANY($3) OR provider_unit_id = ANY($3))"#,
        agreement_id,
        scope.all,
        &scope.units,
    )
    .fetch_optional(&mut *conn)
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(with_parts(conn, vec![row]).await?.pop())
}

/// Agreements by their ids, whatever the caller: for the feed of permits and for jobs.
pub(crate) async fn by_ids(conn: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<Agreement>> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT agreement_id, consumer_unit_id, provider_unit_id, consumer_organisation_id, consumer_system_id,
                  provider_organisation_id, provider_system_id, service_id, status, suspended_by, end_reason, version,
                  create_time AS "create_time: _", update_time AS "update_time: _"
           FROM agreements WHERE agreement_id = ANY($1)"#,
        ids,
    )
    .fetch_all(&mut *conn)
    .await?;
    with_parts(conn, rows).await
}

/// The agreements in the scope after an id, by id.
pub(crate) async fn list(
    conn: &mut PgConnection,
    (service_id, system_id): (Option<Uuid>, Option<Uuid>),
    scope: &RowScope,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Agreement>> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT agreement_id, consumer_unit_id, provider_unit_id, consumer_organisation_id, consumer_system_id,
                  provider_organisation_id, provider_system_id, service_id, status, suspended_by, end_reason, version,
                  create_time AS "create_time: _", update_time AS "update_time: _"
           FROM agreements
           WHERE ($1 OR consumer_unit_id = ANY($2) OR provider_unit_id = ANY($2))
             AND ($3::uuid IS NULL OR agreement_id > $3)
             AND ($4::uuid IS NULL OR service_id = $4)
             AND ($5::uuid IS NULL OR consumer_system_id = $5 OR provider_system_id = $5)
           ORDER BY agreement_id LIMIT $6"#,
        scope.all,
        &scope.units,
        after as Option<Uuid>,
        service_id as Option<Uuid>,
        system_id as Option<Uuid>,
        limit,
    )
    .fetch_all(&mut *conn)
    .await?;
    with_parts(conn, rows).await
}

async fn with_parts(conn: &mut PgConnection, rows: Vec<Row>) -> Result<Vec<Agreement>> {
    let mut found: Vec<Agreement> = rows.into_iter().map(Agreement::try_from).collect::<Result<_>>()?;
    found.sort_by_key(|one| one.agreement_id);
    let ids: Vec<Uuid> = found.iter().map(|one| one.agreement_id).collect();
    let mut signatures = signatures(conn, &ids).await?;
    let mut place: HashMap<Uuid, &mut Agreement> = found.iter_mut().map(|one| (one.agreement_id, one)).collect();
    let versions = sqlx::query!(
        "SELECT agreement_id, agreement_version, terms, canonical, offer_time, effective_from, effective_to, create_time
         FROM agreement_versions WHERE agreement_id = ANY($1) ORDER BY agreement_id, agreement_version",
        &ids,
    )
    .fetch_all(&mut *conn)
    .await?;
    for row in versions {
        let terms: Terms =
            serde_json::from_value(row.terms).map_err(|_| inconsistent("agreement_versions", "terms"))?;
        let version = Version {
            number: row.agreement_version,
            terms,
            canonical: row.canonical,
            offer_time: row.offer_time.map(jiff_sqlx::Timestamp::to_jiff),
            signatures: signatures
                .remove(&(row.agreement_id, row.agreement_version))
                .unwrap_or_default(),
            effective: row.effective_from.zip(row.effective_to).map(|(from, to)| Frame {
                from: from.to_jiff(),
                to: to.to_jiff(),
            }),
            create_time: row.create_time.to_jiff(),
        };
        if let Some(one) = place.get_mut(&row.agreement_id) {
            one.versions.push(version);
        }
    }
    let delegations = sqlx::query!(
        "SELECT delegation_id, agreement_id, delegate_unit_id, system_id, methods, valid_from, valid_to, end_time
         FROM agreement_delegations WHERE agreement_id = ANY($1) ORDER BY create_time, delegation_id",
        &ids,
    )
    .fetch_all(conn)
    .await?;
    for row in delegations {
        if let Some(one) = place.get_mut(&row.agreement_id) {
            one.delegations.push(Delegation {
                delegation_id: row.delegation_id,
                system_id: row.system_id,
                unit_id: row.delegate_unit_id,
                methods: row.methods,
                valid_from: row.valid_from.to_jiff(),
                valid_to: row.valid_to.to_jiff(),
                end_time: row.end_time.map(jiff_sqlx::Timestamp::to_jiff),
            });
        }
    }
    Ok(found)
}

async fn signatures(conn: &mut PgConnection, ids: &[Uuid]) -> Result<HashMap<(Uuid, i64), Vec<Signature>>> {
    let rows = sqlx::query!(
        "SELECT agreement_id, agreement_version, side, key_id, jws, sign_time
         FROM agreement_signatures WHERE agreement_id = ANY($1) ORDER BY sign_time, side",
        ids,
    )
    .fetch_all(conn)
    .await?;
    let mut found: HashMap<(Uuid, i64), Vec<Signature>> = HashMap::new();
    for row in rows {
        let signature = Signature {
            side: Side::from_word(&row.side).ok_or(inconsistent("agreement_signatures", "side"))?,
            key_id: row.key_id,
            jws: row.jws,
            sign_time: row.sign_time.to_jiff(),
        };
        found
            .entry((row.agreement_id, row.agreement_version))
            .or_default()
            .push(signature);
    }
    Ok(found)
}

/// One change of an agreement.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_field_names, reason = "the names of the contract")]
pub(crate) struct Change {
    pub(crate) version: i64,
    pub(crate) change: String,
    pub(crate) state: State,
    pub(crate) agreement_version: i64,
    pub(crate) reason: String,
    pub(crate) actor: String,
    pub(crate) record_time: Timestamp,
}

/// Appends a change.
pub(crate) async fn append_history(
    conn: &mut PgConnection,
    one: &Agreement,
    change: &Change,
    document: &Value,
) -> Result<()> {
    sqlx::query!(
        "INSERT INTO agreement_history (agreement_id, version, consumer_unit_id, provider_unit_id, change, state,
                                        agreement_version, reason, actor, record_time, document)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        one.agreement_id,
        change.version,
        one.consumer_unit_id,
        one.provider_unit_id,
        change.change,
        change.state.as_str(),
        change.agreement_version,
        change.reason,
        change.actor,
        change.record_time.to_sqlx() as _,
        document,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The changes of an agreement in the scope before a version, the newest first.
pub(crate) async fn history(
    conn: &mut PgConnection,
    agreement_id: Uuid,
    scope: &RowScope,
    before: Option<i64>,
    limit: i64,
) -> Result<Vec<Change>> {
    let rows = sqlx::query!(
        "SELECT version, change, state, agreement_version, reason, actor, record_time FROM agreement_history
         WHERE agreement_id = $1 AND ($2 OR consumer_unit_id = ANY($3) OR provider_unit_id = ANY($3))
           AND version < coalesce($4, 9223372036854775807)
         ORDER BY version DESC LIMIT $5",
        agreement_id,
        scope.all,
        &scope.units,
        before,
        limit,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Change {
                version: row.version,
                change: row.change,
                state: State::from_word(&row.state).ok_or(inconsistent("agreement_history", "state"))?,
                agreement_version: row.agreement_version,
                reason: row.reason,
                actor: row.actor,
                record_time: row.record_time.to_jiff(),
            })
        })
        .collect()
}

/// The agreements that a system takes part in, on either side or by delegation.
pub(crate) async fn of_systems(conn: &mut PgConnection, systems: &[Uuid]) -> Result<Vec<Uuid>> {
    let ids = sqlx::query_scalar!(
        r#"SELECT agreement_id AS "agreement_id!" FROM agreements
           WHERE consumer_system_id = ANY($1) OR provider_system_id = ANY($1)
           UNION
           SELECT agreement_id FROM agreement_delegations WHERE system_id = ANY($1)"#,
        systems,
    )
    .fetch_all(conn)
    .await?;
    Ok(ids)
}

/// The agreements about a service.
pub(crate) async fn of_service(conn: &mut PgConnection, service_id: Uuid) -> Result<Vec<Uuid>> {
    let ids = sqlx::query_scalar!("SELECT agreement_id FROM agreements WHERE service_id = $1", service_id)
        .fetch_all(conn)
        .await?;
    Ok(ids)
}

/// Who uses a service by an agreement in force, agreed for later or suspended for a while, as far as the scope shows, with
/// the methods that it names.
pub(crate) async fn consumers(
    conn: &mut PgConnection,
    service_id: Uuid,
    scope: &RowScope,
    now: Timestamp,
) -> Result<Vec<Consumer>> {
    let rows = sqlx::query!(
        r#"SELECT a.agreement_id, a.consumer_system_id, v.terms
           FROM agreements a JOIN agreement_versions v ON v.agreement_id = a.agreement_id
           WHERE a.service_id = $1 AND a.status IN ('open', 'suspended')
             AND v.effective_to > $2 AND v.effective_from < v.effective_to
             AND ($3 OR a.consumer_unit_id = ANY($4) OR a.provider_unit_id = ANY($4))
           ORDER BY a.agreement_id"#,
        service_id,
        now.to_sqlx() as _,
        scope.all,
        &scope.units,
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|row| {
            let terms: Terms =
                serde_json::from_value(row.terms).map_err(|_| inconsistent("agreement_versions", "terms"))?;
            Ok(Consumer {
                agreement_id: row.agreement_id,
                system_id: row.consumer_system_id,
                methods: terms.methods.into_keys().collect(),
            })
        })
        .collect()
}

/// Agreements whose last frame may be over, for the job that says so.
pub(crate) async fn maybe_over(conn: &mut PgConnection, now: Timestamp, limit: i64) -> Result<Vec<Uuid>> {
    let ids = sqlx::query_scalar!(
        "SELECT a.agreement_id FROM agreements a
         WHERE a.status IN ('open', 'suspended')
           AND EXISTS (SELECT 1 FROM agreement_versions v
                       WHERE v.agreement_id = a.agreement_id AND v.agreement_version = a.latest_version
                         AND v.effective_to <= $1)
         ORDER BY a.agreement_id LIMIT $2",
        now.to_sqlx() as _,
        limit,
    )
    .fetch_all(conn)
    .await?;
    Ok(ids)
}
