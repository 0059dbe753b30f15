//! `exchanges`, `exchange_outcomes`, `exchange_bodies`, `door_instances`.

use egov_auth::RowScope;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use sqlx::PgConnection;
use uuid::Uuid;

use super::StoreError;
use crate::domain::exchange::{End, Exchange, Outcome, Passed};

/// The place of an exchange in a list, newest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) begin_time: Timestamp,
    pub(crate) exchange_id: Uuid,
}

/// A body to keep.
#[derive(Debug)]
pub(crate) struct Body {
    pub(crate) exchange_id: Uuid,
    pub(crate) direction: &'static str,
    pub(crate) consumer_unit_id: i32,
    pub(crate) provider_unit_id: i32,
    pub(crate) sealed: Vec<u8>,
    pub(crate) expire_time: Timestamp,
}

fn instants(times: impl Iterator<Item = Timestamp>) -> Vec<jiff_sqlx::Timestamp> {
    times.map(jiff_sqlx::ToSqlx::to_sqlx).collect()
}

/// Adds exchanges that are about to be forwarded: one statement. Those that are `over` by now are not open for anybody; what is there
/// stays as it is.
pub(crate) async fn insert(connection: &mut PgConnection, batch: &[Exchange], over: &[Uuid]) -> Result<(), StoreError> {
    if batch.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = batch.iter().map(|one| one.exchange_id).collect();
    let instances: Vec<Uuid> = batch.iter().map(|one| one.instance_id).collect();
    let consumer_units: Vec<i32> = batch.iter().map(|one| one.consumer_unit_id).collect();
    let provider_units: Vec<i32> = batch.iter().map(|one| one.provider_unit_id).collect();
    let consumers: Vec<Uuid> = batch.iter().map(|one| one.consumer_organisation_id).collect();
    let providers: Vec<Uuid> = batch.iter().map(|one| one.provider_organisation_id).collect();
    let agreements: Vec<Uuid> = batch.iter().map(|one| one.agreement_id).collect();
    let versions: Vec<i64> = batch.iter().map(|one| one.agreement_version).collect();
    let delegations: Vec<Option<Uuid>> = batch.iter().map(|one| one.delegation_id).collect();
    let services: Vec<Uuid> = batch.iter().map(|one| one.service_id).collect();
    let clients: Vec<&str> = batch.iter().map(|one| one.client_id.as_str()).collect();
    let callers: Vec<Uuid> = batch.iter().map(|one| one.caller).collect();
    let citizens: Vec<Option<Uuid>> = batch.iter().map(|one| one.on_behalf_of).collect();
    let methods: Vec<&str> = batch.iter().map(|one| one.method.as_str()).collect();
    let purposes: Vec<Option<&str>> = batch.iter().map(|one| one.purpose.as_deref()).collect();
    let traces: Vec<Option<&str>> = batch.iter().map(|one| one.trace.as_deref()).collect();
    let times = instants(batch.iter().map(|one| one.begin_time));
    sqlx::query!(
        r#"WITH added AS (INSERT INTO exchanges (exchange_id, instance_id, consumer_unit_id, provider_unit_id, consumer_organisation_id,
             provider_organisation_id, agreement_id, agreement_version, delegation_id, service_id, client_id, caller, on_behalf_of,
             method, purpose, trace, begin_time)
           SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::int[], $4::int[], $5::uuid[], $6::uuid[], $7::uuid[], $8::bigint[],
             $9::uuid[], $10::uuid[], $11::text[], $12::uuid[], $13::uuid[], $14::text[], $15::text[], $16::text[],
             $17::timestamptz[])
           ON CONFLICT (exchange_id) DO NOTHING
           RETURNING exchange_id, instance_id, begin_time)
           INSERT INTO open_exchanges (exchange_id, instance_id, begin_time)
           SELECT exchange_id, instance_id, begin_time FROM added WHERE exchange_id <> ALL($18::uuid[])"#,
        &ids,
        &instances,
        &consumer_units,
        &provider_units,
        &consumers,
        &providers,
        &agreements,
        &versions,
        &delegations as _,
        &services,
        &clients as _,
        &callers,
        &citizens as _,
        &methods as _,
        &purposes as _,
        &traces as _,
        &times as _,
        over,
    )
    .execute(connection)
    .await?;
    Ok(())
}

fn passed(hash: &[u8; 32]) -> Vec<u8> {
    hash.to_vec()
}

/// Outcomes as the columns of a statement.
#[derive(Default)]
struct Columns<'a> {
    ids: Vec<Uuid>,
    consumer_units: Vec<i32>,
    provider_units: Vec<i32>,
    outcomes: Vec<&'a str>,
    statuses: Vec<i32>,
    request_hashes: Vec<Vec<u8>>,
    request_messages: Vec<i64>,
    request_bytes: Vec<i64>,
    forwarded: Vec<Option<Vec<u8>>>,
    response_hashes: Vec<Vec<u8>>,
    response_messages: Vec<i64>,
    response_bytes: Vec<i64>,
    received: Vec<Option<Vec<u8>>>,
    elapsed: Vec<i64>,
    at_provider: Vec<i64>,
    times: Vec<jiff_sqlx::Timestamp>,
    versions: Vec<i64>,
}

impl<'a> Columns<'a> {
    fn of(ends: impl Iterator<Item = &'a End>) -> Self {
        let mut columns = Self::default();
        for End { exchange, outcome, .. } in ends {
            columns.ids.push(exchange.exchange_id);
            columns.consumer_units.push(exchange.consumer_unit_id);
            columns.provider_units.push(exchange.provider_unit_id);
            columns.outcomes.push(&outcome.outcome);
            columns.statuses.push(outcome.status);
            columns.request_hashes.push(passed(&outcome.request.hash));
            columns.request_messages.push(outcome.request.messages);
            columns.request_bytes.push(outcome.request.bytes);
            columns.forwarded.push(outcome.forwarded_hash.as_ref().map(passed));
            columns.response_hashes.push(passed(&outcome.response.hash));
            columns.response_messages.push(outcome.response.messages);
            columns.response_bytes.push(outcome.response.bytes);
            columns.received.push(outcome.received_hash.as_ref().map(passed));
            columns.elapsed.push(outcome.elapsed_us);
            columns.at_provider.push(outcome.provider_us);
            columns.times.push(outcome.end_time.to_sqlx());
            columns.versions.push(outcome.leaf_version());
        }
        columns
    }
}

/// Adds outcomes; returns the epoch, and the exchanges whose outcome is now this one. Those that had one already keep it; of an
/// exchange whose beginning could not be recorded there is none.
pub(crate) async fn insert_outcomes(
    connection: &mut PgConnection,
    batch: &[End],
) -> Result<(i32, Vec<Uuid>), StoreError> {
    if batch.is_empty() {
        return Ok((0, Vec::new()));
    }
    let columns = Columns::of(batch.iter());
    let row = sqlx::query!(
        r#"WITH added AS (INSERT INTO exchange_outcomes (exchange_id, consumer_unit_id, provider_unit_id, outcome, status, request_hash,
             request_messages, request_bytes, forwarded_hash, response_hash, response_messages, response_bytes, received_hash,
             elapsed_us, provider_us, end_time, leaf_version)
           SELECT n.* FROM unnest($1::uuid[], $2::int[], $3::int[], $4::text[], $5::int[], $6::bytea[], $7::bigint[], $8::bigint[],
             $9::bytea[], $10::bytea[], $11::bigint[], $12::bigint[], $13::bytea[], $14::bigint[], $15::bigint[],
             $16::timestamptz[], $17::bigint[]) AS n (exchange_id, consumer_unit_id, provider_unit_id, outcome, status, request_hash,
             request_messages, request_bytes, forwarded_hash, response_hash, response_messages, response_bytes, received_hash,
             elapsed_us, provider_us, end_time, leaf_version)
           WHERE EXISTS (SELECT 1 FROM exchanges e WHERE e.exchange_id = n.exchange_id)
           ON CONFLICT (exchange_id) DO NOTHING
           RETURNING exchange_id),
           over AS (DELETE FROM open_exchanges WHERE exchange_id = ANY($1))
           SELECT egov.current_epoch() AS "epoch!", ARRAY(SELECT exchange_id FROM added) AS "added!""#,
        &columns.ids,
        &columns.consumer_units,
        &columns.provider_units,
        &columns.outcomes as _,
        &columns.statuses,
        &columns.request_hashes,
        &columns.request_messages,
        &columns.request_bytes,
        &columns.forwarded as _,
        &columns.response_hashes,
        &columns.response_messages,
        &columns.response_bytes,
        &columns.received as _,
        &columns.elapsed,
        &columns.at_provider,
        &columns.times as _,
        &columns.versions,
    )
    .fetch_one(connection)
    .await?;
    Ok((row.epoch, row.added))
}

/// Adds outcomes of exchanges that were swept before; returns those whose outcome is now this one.
pub(crate) async fn insert_late_outcomes(
    connection: &mut PgConnection,
    batch: impl Iterator<Item = &End>,
) -> Result<Vec<Uuid>, StoreError> {
    let columns = Columns::of(batch);
    if columns.ids.is_empty() {
        return Ok(Vec::new());
    }
    let rows = sqlx::query_scalar!(
        r#"INSERT INTO exchange_late_outcomes (exchange_id, consumer_unit_id, provider_unit_id, outcome, status, request_hash,
             request_messages, request_bytes, forwarded_hash, response_hash, response_messages, response_bytes, received_hash,
             elapsed_us, provider_us, end_time)
           SELECT n.* FROM unnest($1::uuid[], $2::int[], $3::int[], $4::text[], $5::int[], $6::bytea[], $7::bigint[], $8::bigint[],
             $9::bytea[], $10::bytea[], $11::bigint[], $12::bigint[], $13::bytea[], $14::bigint[], $15::bigint[],
             $16::timestamptz[]) AS n (exchange_id, consumer_unit_id, provider_unit_id, outcome, status, request_hash,
             request_messages, request_bytes, forwarded_hash, response_hash, response_messages, response_bytes, received_hash,
             elapsed_us, provider_us, end_time)
           WHERE n.outcome <> 'unknown'
             -- What was swept before sweeps had a version of their own keeps the one leaf that there can be.
             AND EXISTS (SELECT 1 FROM exchange_outcomes o
                         WHERE o.exchange_id = n.exchange_id AND o.outcome = 'unknown' AND o.leaf_version = 2)
           ON CONFLICT (exchange_id) DO NOTHING
           RETURNING exchange_id"#,
        &columns.ids,
        &columns.consumer_units,
        &columns.provider_units,
        &columns.outcomes as _,
        &columns.statuses,
        &columns.request_hashes,
        &columns.request_messages,
        &columns.request_bytes,
        &columns.forwarded as _,
        &columns.response_hashes,
        &columns.response_messages,
        &columns.response_bytes,
        &columns.received as _,
        &columns.elapsed,
        &columns.at_provider,
        &columns.times as _,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows)
}

/// Adds bodies of exchanges that are recorded.
pub(crate) async fn insert_bodies(connection: &mut PgConnection, batch: &[Body]) -> Result<(), StoreError> {
    if batch.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = batch.iter().map(|one| one.exchange_id).collect();
    let directions: Vec<&str> = batch.iter().map(|one| one.direction).collect();
    let consumer_units: Vec<i32> = batch.iter().map(|one| one.consumer_unit_id).collect();
    let provider_units: Vec<i32> = batch.iter().map(|one| one.provider_unit_id).collect();
    let sealed: Vec<&[u8]> = batch.iter().map(|one| one.sealed.as_slice()).collect();
    let ends = instants(batch.iter().map(|one| one.expire_time));
    sqlx::query!(
        r#"INSERT INTO exchange_bodies (exchange_id, direction, consumer_unit_id, provider_unit_id, sealed, expire_time)
           SELECT n.* FROM unnest($1::uuid[], $2::text[], $3::int[], $4::int[], $5::bytea[], $6::timestamptz[])
             AS n (exchange_id, direction, consumer_unit_id, provider_unit_id, sealed, expire_time)
           WHERE EXISTS (SELECT 1 FROM exchanges e WHERE e.exchange_id = n.exchange_id)
           ON CONFLICT (exchange_id, direction) DO NOTHING"#,
        &ids,
        &directions as _,
        &consumer_units,
        &provider_units,
        &sealed as _,
        &ends as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Deletes bodies whose time is over, at most `most`; how many. That there was one, and when it was deleted, stays.
pub(crate) async fn delete_bodies(connection: &mut PgConnection, now: Timestamp, most: i64) -> Result<u64, StoreError> {
    let deleted = sqlx::query!(
        r#"UPDATE exchange_bodies b SET sealed = NULL, delete_time = $1 FROM (
             SELECT exchange_id, direction FROM exchange_bodies WHERE sealed IS NOT NULL AND expire_time <= $1
             ORDER BY expire_time LIMIT $2) AS old
           WHERE b.exchange_id = old.exchange_id AND b.direction = old.direction"#,
        now.to_sqlx() as _,
        most,
    )
    .execute(connection)
    .await?;
    Ok(deleted.rows_affected())
}

/// A body as it is kept, or that it was deleted.
#[derive(Clone, Debug)]
pub(crate) struct KeptBody {
    pub(crate) direction: String,
    /// None once it is deleted.
    pub(crate) sealed: Option<Vec<u8>>,
    pub(crate) expire_time: Timestamp,
    pub(crate) delete_time: Option<Timestamp>,
}

/// The bodies of an exchange that was read under a scope.
pub(crate) async fn bodies(connection: &mut PgConnection, exchange_id: Uuid) -> Result<Vec<KeptBody>, StoreError> {
    let rows = sqlx::query!(
        "SELECT direction, sealed, expire_time, delete_time FROM exchange_bodies WHERE exchange_id = $1",
        exchange_id,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| KeptBody {
            direction: row.direction,
            sealed: row.sealed,
            expire_time: row.expire_time.to_jiff(),
            delete_time: row.delete_time.map(jiff_sqlx::Timestamp::to_jiff),
        })
        .collect())
}

/// An instance is alive.
pub(crate) async fn seen(connection: &mut PgConnection, instance: Uuid, now: Timestamp) -> Result<(), StoreError> {
    sqlx::query!(
        r#"INSERT INTO door_instances (instance_id, seen_time) VALUES ($1, $2)
           ON CONFLICT (instance_id) DO UPDATE SET seen_time = excluded.seen_time"#,
        instance,
        now.to_sqlx() as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The columns of an exchange as [`row!`] reads them.
macro_rules! exchange_of {
    ($row:expr) => {
        Exchange {
            exchange_id: $row.exchange_id,
            instance_id: $row.instance_id,
            consumer_unit_id: $row.consumer_unit_id,
            provider_unit_id: $row.provider_unit_id,
            consumer_organisation_id: $row.consumer_organisation_id,
            provider_organisation_id: $row.provider_organisation_id,
            agreement_id: $row.agreement_id,
            agreement_version: $row.agreement_version,
            delegation_id: $row.delegation_id,
            service_id: $row.service_id,
            client_id: $row.client_id,
            caller: $row.caller,
            on_behalf_of: $row.on_behalf_of,
            method: $row.method,
            purpose: $row.purpose,
            trace: $row.trace,
            begin_time: $row.begin_time.to_jiff(),
        }
    };
}

/// Exchanges without an outcome whose instance has given no sign of life since `dead_since`, or that began before `too_old`; at most
/// `most`.
pub(crate) async fn left_open(
    connection: &mut PgConnection,
    dead_since: Timestamp,
    too_old: Timestamp,
    most: i64,
) -> Result<Vec<Exchange>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT e.exchange_id, e.instance_id, e.consumer_unit_id, e.provider_unit_id, e.consumer_organisation_id,
             e.provider_organisation_id, e.agreement_id, e.agreement_version, e.delegation_id, e.service_id, e.client_id, e.caller,
             e.on_behalf_of, e.method, e.purpose, e.trace, e.begin_time
           FROM open_exchanges o JOIN exchanges e ON e.exchange_id = o.exchange_id
           WHERE o.begin_time < $2
              OR o.begin_time < $1 AND NOT EXISTS (
                 SELECT 1 FROM door_instances i WHERE i.instance_id = o.instance_id AND i.seen_time >= $1)
           ORDER BY o.begin_time, o.exchange_id LIMIT $3"#,
        dead_since.to_sqlx() as _,
        too_old.to_sqlx() as _,
        most,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| exchange_of!(row)).collect())
}

/// Forgets instances that are gone and have left nothing open.
pub(crate) async fn forget_instances(connection: &mut PgConnection, before: Timestamp) -> Result<u64, StoreError> {
    let deleted = sqlx::query!("DELETE FROM door_instances WHERE seen_time < $1", before.to_sqlx() as _)
        .execute(connection)
        .await?;
    Ok(deleted.rows_affected())
}

/// A 32-byte hash of a column that a check keeps at that length.
fn hash(bytes: &[u8]) -> [u8; 32] {
    bytes.try_into().unwrap_or([0; 32])
}

/// An exchange in the scope, with its outcome if it is over.
pub(crate) async fn get(
    connection: &mut PgConnection,
    exchange_id: Uuid,
    scope: &RowScope,
) -> Result<Option<(Exchange, Option<Outcome>)>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT exchange_id, instance_id, consumer_unit_id, provider_unit_id, consumer_organisation_id,
             provider_organisation_id, agreement_id, agreement_version, delegation_id, service_id, client_id, caller,
             on_behalf_of, method, purpose, trace, begin_time
           FROM exchanges
           WHERE exchange_id = $1 AND ($2 OR consumer_unit_id = ANY($3) OR provider_unit_id = ANY($3))"#,
        exchange_id,
        scope.all,
        &scope.units,
    )
    .fetch_optional(&mut *connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let exchange = exchange_of!(row);
    let outcome = outcomes(connection, &[exchange_id])
        .await?
        .pop()
        .map(|(_, outcome)| outcome);
    Ok(Some((exchange, outcome)))
}

/// The outcomes of exchanges that were read under a scope: what a door saw, where it saw anything.
pub(crate) async fn outcomes(
    connection: &mut PgConnection,
    exchanges: &[Uuid],
) -> Result<Vec<(Uuid, Outcome)>, StoreError> {
    let mut all = all_outcomes(connection, exchanges).await?;
    all.sort_by_key(|recorded| (recorded.exchange_id, recorded.leaf_version));
    all.dedup_by_key(|recorded| recorded.exchange_id);
    Ok(all
        .into_iter()
        .map(|recorded| (recorded.exchange_id, recorded.outcome))
        .collect())
}

/// An outcome with the version of its leaf.
#[derive(Debug)]
pub(crate) struct RecordedOutcome {
    pub(crate) exchange_id: Uuid,
    pub(crate) leaf_version: i64,
    pub(crate) outcome: Outcome,
}

/// Every outcome that was recorded of exchanges: of one that was swept and brought later there are two.
pub(crate) async fn all_outcomes(
    connection: &mut PgConnection,
    exchanges: &[Uuid],
) -> Result<Vec<RecordedOutcome>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT exchange_id AS "exchange_id!", leaf_version AS "leaf_version!", outcome AS "outcome!", status AS "status!",
             request_hash AS "request_hash!", request_messages AS "request_messages!", request_bytes AS "request_bytes!",
             forwarded_hash, response_hash AS "response_hash!", response_messages AS "response_messages!",
             response_bytes AS "response_bytes!", received_hash, elapsed_us AS "elapsed_us!", provider_us AS "provider_us!",
             end_time AS "end_time!"
           FROM exchange_outcomes WHERE exchange_id = ANY($1)
           UNION ALL
           SELECT exchange_id, 1, outcome, status, request_hash, request_messages, request_bytes, forwarded_hash, response_hash,
             response_messages, response_bytes, received_hash, elapsed_us, provider_us, end_time
           FROM exchange_late_outcomes WHERE exchange_id = ANY($1)"#,
        exchanges,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| RecordedOutcome {
            exchange_id: row.exchange_id,
            leaf_version: row.leaf_version,
            outcome: Outcome {
                outcome: row.outcome,
                status: row.status,
                request: Passed {
                    hash: hash(&row.request_hash),
                    messages: row.request_messages,
                    bytes: row.request_bytes,
                },
                forwarded_hash: row.forwarded_hash.as_deref().map(hash),
                response: Passed {
                    hash: hash(&row.response_hash),
                    messages: row.response_messages,
                    bytes: row.response_bytes,
                },
                received_hash: row.received_hash.as_deref().map(hash),
                elapsed_us: row.elapsed_us,
                provider_us: row.provider_us,
                end_time: row.end_time.to_jiff(),
            },
        })
        .collect())
}

/// A page of the exchanges in the scope, newest first: a page for each reason why one is seen, joined.
pub(crate) async fn list(
    connection: &mut PgConnection,
    scope: &RowScope,
    agreement_id: Option<Uuid>,
    after: Option<Place>,
    limit: i64,
) -> Result<Vec<Exchange>, StoreError> {
    let rows = sqlx::query!(
        r#"WITH found AS (
             (SELECT e.exchange_id, e.begin_time FROM exchanges e
              WHERE $1 AND ($3::uuid IS NULL OR e.agreement_id = $3)
                AND ($4::timestamptz IS NULL OR (e.begin_time, e.exchange_id) < ($4, $5::uuid))
              ORDER BY e.begin_time DESC, e.exchange_id DESC LIMIT $6)
             UNION
             (SELECT e.exchange_id, e.begin_time FROM exchanges e
              WHERE NOT $1 AND e.consumer_unit_id = ANY($2) AND ($3::uuid IS NULL OR e.agreement_id = $3)
                AND ($4::timestamptz IS NULL OR (e.begin_time, e.exchange_id) < ($4, $5::uuid))
              ORDER BY e.begin_time DESC, e.exchange_id DESC LIMIT $6)
             UNION
             (SELECT e.exchange_id, e.begin_time FROM exchanges e
              WHERE NOT $1 AND e.provider_unit_id = ANY($2) AND ($3::uuid IS NULL OR e.agreement_id = $3)
                AND ($4::timestamptz IS NULL OR (e.begin_time, e.exchange_id) < ($4, $5::uuid))
              ORDER BY e.begin_time DESC, e.exchange_id DESC LIMIT $6)
           )
           SELECT e.exchange_id, e.instance_id, e.consumer_unit_id, e.provider_unit_id, e.consumer_organisation_id,
             e.provider_organisation_id, e.agreement_id, e.agreement_version, e.delegation_id, e.service_id, e.client_id, e.caller,
             e.on_behalf_of, e.method, e.purpose, e.trace, e.begin_time
           FROM found f JOIN exchanges e ON e.exchange_id = f.exchange_id
           ORDER BY f.begin_time DESC, f.exchange_id DESC LIMIT $6"#,
        scope.all,
        &scope.units,
        agreement_id,
        after.map(|place| place.begin_time.to_sqlx()) as _,
        after.map(|place| place.exchange_id),
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| exchange_of!(row)).collect())
}

/// Exchanges by their ids, for a job that reads all of them.
pub(crate) async fn after(
    connection: &mut PgConnection,
    exchange_id: Uuid,
    limit: i64,
) -> Result<Vec<Exchange>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT exchange_id, instance_id, consumer_unit_id, provider_unit_id, consumer_organisation_id,
             provider_organisation_id, agreement_id, agreement_version, delegation_id, service_id, client_id, caller,
             on_behalf_of, method, purpose, trace, begin_time
           FROM exchanges WHERE exchange_id > $1 ORDER BY exchange_id LIMIT $2"#,
        exchange_id,
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| exchange_of!(row)).collect())
}

/// What belongs to the leaf of an exchange: salt, commitment, time, epoch. The salt is gone after an erasure.
#[derive(Clone, Debug)]
pub(crate) struct LeafParts {
    pub(crate) version: i64,
    pub(crate) commitment: Vec<u8>,
    pub(crate) salt: Option<Vec<u8>>,
    pub(crate) create_time: Timestamp,
    pub(crate) epoch: i32,
}

/// The leaf of an exchange that was read under a scope: of the outcome that [`outcomes`] gives.
pub(crate) async fn leaf(
    connection: &mut PgConnection,
    kind: &str,
    exchange_id: Uuid,
) -> Result<Option<LeafParts>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT l.version, l.commitment, l.create_time, l.epoch, s.salt AS "salt?"
           FROM egov.leaves l LEFT JOIN egov.leaf_salts s ON s.leaf_id = l.leaf_id
           WHERE l.kind = $1 AND l.resource_id = $2 ORDER BY l.version LIMIT 1"#,
        kind,
        exchange_id,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| LeafParts {
        version: row.version,
        commitment: row.commitment,
        salt: row.salt,
        create_time: row.create_time.to_jiff(),
        epoch: row.epoch,
    }))
}
