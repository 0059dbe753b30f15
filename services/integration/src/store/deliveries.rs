//! `deliveries` and their history. What a caller reads is filtered by the caller's scope; row-level security is the second
//! wall.

use egov_auth::RowScope;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use sqlx::PgConnection;
use uuid::Uuid;

use super::StoreError;
use crate::domain::delivery::{Delivery, State};

struct Row {
    delivery_id: Uuid,
    responsible_unit_id: i32,
    partner: String,
    act: String,
    partner_key: String,
    order_key: String,
    contract: String,
    state: i16,
    attempts: i32,
    problem: String,
    partner_code: String,
    reference: String,
    subject_ids: Vec<Uuid>,
    denied_time: Option<jiff_sqlx::Timestamp>,
    taken_time: Option<jiff_sqlx::Timestamp>,
    content_digest: String,
    due_time: jiff_sqlx::Timestamp,
    version: i64,
    create_time: jiff_sqlx::Timestamp,
    update_time: jiff_sqlx::Timestamp,
}

impl From<Row> for Delivery {
    fn from(row: Row) -> Self {
        Self {
            id: row.delivery_id,
            unit_id: row.responsible_unit_id,
            partner: row.partner,
            act: row.act,
            partner_key: row.partner_key,
            order_key: row.order_key,
            contract: row.contract,
            // The column's check allows no other number.
            state: State::from_number(row.state).unwrap_or(State::Dead),
            attempts: row.attempts,
            problem: row.problem,
            partner_code: row.partner_code,
            reference: row.reference,
            subjects: row.subject_ids,
            denied_time: row.denied_time.map(jiff_sqlx::Timestamp::to_jiff),
            taken_time: row.taken_time.map(jiff_sqlx::Timestamp::to_jiff),
            content_digest: row.content_digest,
            due_time: row.due_time.to_jiff(),
            version: row.version,
            create_time: row.create_time.to_jiff(),
            update_time: row.update_time.to_jiff(),
        }
    }
}

/// Waits until nobody else writes about this matter, to the end of the transaction.
pub(crate) async fn lock_matter(connection: &mut PgConnection, order_key: &str) -> Result<(), StoreError> {
    sqlx::query!(
        "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))::text",
        format!("deliveries {order_key}")
    )
    .fetch_one(connection)
    .await?;
    Ok(())
}

/// Adds a delivery with its sealed message.
pub(crate) async fn insert(connection: &mut PgConnection, new: &Delivery, message: &[u8]) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO deliveries (delivery_id, responsible_unit_id, partner, act, partner_key, order_key, contract, state,
                                 attempts, problem, partner_code, reference, message, due_time, version, create_time,
                                 update_time, subject_ids, content_digest)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)",
        new.id,
        new.unit_id,
        new.partner,
        new.act,
        new.partner_key,
        new.order_key,
        new.contract,
        new.state.number(),
        new.attempts,
        new.problem,
        new.partner_code,
        new.reference,
        message,
        new.due_time.to_sqlx() as _,
        new.version,
        new.create_time.to_sqlx() as _,
        new.update_time.to_sqlx() as _,
        &new.subjects,
        new.content_digest,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Writes what changed; the message is forgotten when nobody will send it any more, an answer is kept when there is one.
pub(crate) async fn update(
    connection: &mut PgConnection,
    changed: &Delivery,
    answer: Option<&[u8]>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE deliveries SET state = $2, attempts = $3, problem = $4, partner_code = $5, reference = $6, due_time = $7,
                               version = $8, update_time = $9, answer = coalesce($10, answer), denied_time = $11, taken_time = $12,
                               message = CASE WHEN $2 = 3::smallint THEN NULL ELSE message END
         WHERE delivery_id = $1",
        changed.id,
        changed.state.number(),
        changed.attempts,
        changed.problem,
        changed.partner_code,
        changed.reference,
        changed.due_time.to_sqlx() as _,
        changed.version,
        changed.update_time.to_sqlx() as _,
        answer,
        changed.denied_time.map(jiff_sqlx::ToSqlx::to_sqlx) as _,
        changed.taken_time.map(jiff_sqlx::ToSqlx::to_sqlx) as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Adds the delivery as it is now to its history.
pub(crate) async fn append_history(
    connection: &mut PgConnection,
    delivery: &Delivery,
    actor: &str,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO delivery_history (delivery_id, version, responsible_unit_id, state, problem, actor, record_time)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        delivery.id,
        delivery.version,
        delivery.unit_id,
        delivery.state.number(),
        delivery.problem,
        actor,
        delivery.update_time.to_sqlx() as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The deliveries, as a row is read, that a condition chooses.
macro_rules! select_delivery {
    ($which:literal $(, $value:expr)* $(,)?) => {
        sqlx::query_as!(
            Row,
            "SELECT delivery_id, responsible_unit_id, partner, act, partner_key, order_key, contract, state, attempts, problem,
                partner_code, reference, subject_ids, denied_time, taken_time, content_digest, due_time, version, create_time,
                update_time
         FROM deliveries " + $which
            $(, $value)*
        )
    };
}

/// A delivery in the scope.
pub(crate) async fn get(
    connection: &mut PgConnection,
    delivery_id: Uuid,
    scope: &RowScope,
) -> Result<Option<Delivery>, StoreError> {
    let row = select_delivery!(
        "WHERE delivery_id = $1 AND ($2 OR responsible_unit_id = ANY($3))",
        delivery_id,
        scope.all,
        &scope.units,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(Delivery::from))
}

/// Deliveries after one, by id, for the verification.
pub(crate) async fn all_after(
    connection: &mut PgConnection,
    after: Uuid,
    limit: i64,
) -> Result<Vec<Delivery>, StoreError> {
    let rows = select_delivery!("WHERE delivery_id > $1 ORDER BY delivery_id LIMIT $2", after, limit)
        .fetch_all(connection)
        .await?;
    Ok(rows.into_iter().map(Delivery::from).collect())
}

/// A delivery that this transaction sees, with its sealed message, locked to its end.
pub(crate) async fn lock(
    connection: &mut PgConnection,
    delivery_id: Uuid,
) -> Result<Option<(Delivery, Option<Vec<u8>>)>, StoreError> {
    let row = sqlx::query!(
        "SELECT delivery_id, responsible_unit_id, partner, act, partner_key, order_key, contract, state, attempts, problem,
                partner_code, reference, subject_ids, denied_time, taken_time, content_digest, message, due_time, version,
                create_time, update_time
         FROM deliveries WHERE delivery_id = $1 FOR UPDATE",
        delivery_id,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| {
        let delivery = Row {
            delivery_id: row.delivery_id,
            responsible_unit_id: row.responsible_unit_id,
            partner: row.partner,
            act: row.act,
            partner_key: row.partner_key,
            order_key: row.order_key,
            contract: row.contract,
            state: row.state,
            attempts: row.attempts,
            problem: row.problem,
            partner_code: row.partner_code,
            reference: row.reference,
            subject_ids: row.subject_ids,
            denied_time: row.denied_time,
            taken_time: row.taken_time,
            content_digest: row.content_digest,
            due_time: row.due_time,
            version: row.version,
            create_time: row.create_time,
            update_time: row.update_time,
        };
        (Delivery::from(delivery), row.message)
    }))
}

/// The delivery of an act under the key by which the partner knows it, among those that this transaction sees.
pub(crate) async fn by_key(
    connection: &mut PgConnection,
    partner: &str,
    act: &str,
    partner_key: &str,
) -> Result<Option<Delivery>, StoreError> {
    let row = select_delivery!(
        "WHERE partner = $1 AND act = $2 AND partner_key = $3",
        partner,
        act,
        partner_key,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(Delivery::from))
}

/// The last delivery of an act about a matter.
pub(crate) async fn last_of_matter(
    connection: &mut PgConnection,
    partner: &str,
    act: &str,
    order_key: &str,
) -> Result<Option<Delivery>, StoreError> {
    let row = select_delivery!(
        "WHERE partner = $1 AND order_key = $3 AND act = $2 ORDER BY sequence DESC LIMIT 1",
        partner,
        act,
        order_key,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(Delivery::from))
}

/// What a delivery says, sealed; none if it is kept no more.
pub(crate) async fn message_of(
    connection: &mut PgConnection,
    delivery_id: Uuid,
) -> Result<Option<Vec<u8>>, StoreError> {
    let message: Option<Option<Vec<u8>>> = sqlx::query_scalar("SELECT message FROM deliveries WHERE delivery_id = $1")
        .bind(delivery_id)
        .fetch_optional(connection)
        .await?;
    Ok(message.flatten())
}

/// Since when a delivery is open: it was handed in then, or, if it failed or was given up before, sent again by somebody.
pub(crate) async fn open_since(
    connection: &mut PgConnection,
    delivery_id: Uuid,
) -> Result<Option<Timestamp>, StoreError> {
    let since = sqlx::query_scalar!(
        "SELECT min(h.record_time) FROM delivery_history h
         WHERE h.delivery_id = $1
           AND h.version > coalesce((SELECT max(c.version) FROM delivery_history c
                                     WHERE c.delivery_id = $1 AND c.state IN (5, 6)), 0)",
        delivery_id,
    )
    .fetch_one(connection)
    .await?;
    Ok(since.map(jiff_sqlx::Timestamp::to_jiff))
}

/// The deliveries of an act about a matter that failed with this problem, in their order.
pub(crate) async fn failed_with(
    connection: &mut PgConnection,
    (partner, act, order_key): (&str, &str, &str),
    problem: &str,
) -> Result<Vec<Uuid>, StoreError> {
    Ok(sqlx::query_scalar!(
        "SELECT delivery_id FROM deliveries
         WHERE partner = $1 AND order_key = $3 AND act = $2 AND state = 5 AND problem = $4 ORDER BY sequence",
        partner,
        act,
        order_key,
        problem,
    )
    .fetch_all(connection)
    .await?)
}

/// Open deliveries that are due to a partner, those of one matter in their order.
pub(crate) async fn due(
    connection: &mut PgConnection,
    partner: &str,
    now: Timestamp,
    most: i64,
) -> Result<Vec<Uuid>, StoreError> {
    Ok(sqlx::query_scalar!(
        "SELECT d.delivery_id FROM deliveries d
         WHERE d.partner = $1 AND d.state IN (1, 2, 4) AND d.due_time <= $2
           AND NOT EXISTS (SELECT 1 FROM deliveries e
                           WHERE e.partner = d.partner AND e.order_key = d.order_key AND e.sequence < d.sequence
                             AND e.state IN (1, 2, 4))
         ORDER BY d.due_time, d.delivery_id LIMIT $3",
        partner,
        now.to_sqlx() as _,
        most,
    )
    .fetch_all(connection)
    .await?)
}

/// One page of the deliveries in the scope, newest first.
pub(crate) async fn list(
    connection: &mut PgConnection,
    scope: &RowScope,
    state: Option<State>,
    after: Option<(Timestamp, Uuid)>,
    most: i64,
) -> Result<Vec<Delivery>, StoreError> {
    let rows = select_delivery!(
        "WHERE ($1 OR responsible_unit_id = ANY($2)) AND ($3::smallint IS NULL OR state = $3)
           AND (create_time, delivery_id)
               < (coalesce($4, 'infinity'::timestamptz), coalesce($5, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid))
         ORDER BY create_time DESC, delivery_id DESC LIMIT $6",
        scope.all,
        &scope.units,
        state.map(State::number),
        after.map(|(at, _)| at.to_sqlx()) as _,
        after.map(|(_, id)| id),
        most,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(Delivery::from).collect())
}

/// The sealed answer of an acknowledged delivery.
pub(crate) async fn answer(connection: &mut PgConnection, delivery_id: Uuid) -> Result<Option<Vec<u8>>, StoreError> {
    Ok(
        sqlx::query_scalar!("SELECT answer FROM deliveries WHERE delivery_id = $1", delivery_id)
            .fetch_optional(connection)
            .await?
            .flatten(),
    )
}
