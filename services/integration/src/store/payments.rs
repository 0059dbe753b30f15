//! `payment_orders` and `payment_notices`.

use std::collections::BTreeMap;

use egov_auth::RowScope;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use sqlx::PgConnection;
use uuid::Uuid;

use super::StoreError;
use crate::domain::payment::{PaymentOrder, PaymentState};

struct Row {
    order_id: Uuid,
    responsible_unit_id: i32,
    order_code: String,
    case_code: String,
    amount: i64,
    state: i16,
    pay_url: String,
    transaction: String,
    delivery_id: Uuid,
    settle_time: Option<jiff_sqlx::Timestamp>,
    refund_time: Option<jiff_sqlx::Timestamp>,
    version: i64,
    create_time: jiff_sqlx::Timestamp,
    update_time: jiff_sqlx::Timestamp,
}

impl From<Row> for PaymentOrder {
    fn from(row: Row) -> Self {
        Self {
            id: row.order_id,
            unit_id: row.responsible_unit_id,
            order_code: row.order_code,
            case_code: row.case_code,
            amount: row.amount,
            // The column's check allows no other number.
            state: PaymentState::from_number(row.state).unwrap_or(PaymentState::Ordered),
            pay_url: row.pay_url,
            transaction: row.transaction,
            delivery_id: row.delivery_id,
            settle_time: row.settle_time.map(jiff_sqlx::Timestamp::to_jiff),
            refund_time: row.refund_time.map(jiff_sqlx::Timestamp::to_jiff),
            version: row.version,
            create_time: row.create_time.to_jiff(),
            update_time: row.update_time.to_jiff(),
        }
    }
}

/// Adds an order.
pub(crate) async fn insert(connection: &mut PgConnection, order: &PaymentOrder) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO payment_orders (order_id, responsible_unit_id, order_code, case_code, amount, state, pay_url,
                                     transaction, delivery_id, ask_time, version, create_time, update_time)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $10, $10)",
        order.id,
        order.unit_id,
        order.order_code,
        order.case_code,
        order.amount,
        order.state.number(),
        order.pay_url,
        order.transaction,
        order.delivery_id,
        order.create_time.to_sqlx() as _,
        order.version,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Writes what changed.
pub(crate) async fn update(connection: &mut PgConnection, order: &PaymentOrder) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE payment_orders SET state = $2, pay_url = $3, transaction = $4, version = $5, update_time = $6,
                                   settle_time = $7, refund_time = $8
         WHERE order_id = $1",
        order.id,
        order.state.number(),
        order.pay_url,
        order.transaction,
        order.version,
        order.update_time.to_sqlx() as _,
        order.settle_time.map(jiff_sqlx::ToSqlx::to_sqlx) as _,
        order.refund_time.map(jiff_sqlx::ToSqlx::to_sqlx) as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The orders, as a row is read, that a condition chooses.
macro_rules! select_order {
    ($which:literal $(, $value:expr)* $(,)?) => {
        sqlx::query_as!(
            Row,
            "SELECT order_id, responsible_unit_id, order_code, case_code, amount, state, pay_url, transaction, delivery_id,
                settle_time, refund_time, version, create_time, update_time
         FROM payment_orders " + $which
            $(, $value)*
        )
    };
}

/// An order in the scope.
pub(crate) async fn get(
    connection: &mut PgConnection,
    order_id: Uuid,
    scope: &RowScope,
) -> Result<Option<PaymentOrder>, StoreError> {
    let row = select_order!(
        "WHERE order_id = $1 AND ($2 OR responsible_unit_id = ANY($3))",
        order_id,
        scope.all,
        &scope.units,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(PaymentOrder::from))
}

/// The order with our code, locked to the end of the transaction.
pub(crate) async fn lock(connection: &mut PgConnection, order_code: &str) -> Result<Option<PaymentOrder>, StoreError> {
    let row = select_order!("WHERE order_code = $1 FOR UPDATE", order_code)
        .fetch_optional(connection)
        .await?;
    Ok(row.map(PaymentOrder::from))
}

/// The orders after an id, by id.
pub(crate) async fn all_after(
    connection: &mut PgConnection,
    after: Uuid,
    limit: i64,
) -> Result<Vec<PaymentOrder>, StoreError> {
    let rows = select_order!("WHERE order_id > $1 ORDER BY order_id LIMIT $2", after, limit)
        .fetch_all(connection)
        .await?;
    Ok(rows.into_iter().map(PaymentOrder::from).collect())
}

/// Notes a call-back; false if it was noted before.
pub(crate) async fn note(
    connection: &mut PgConnection,
    notice_id: &str,
    order: &PaymentOrder,
    had_effect: bool,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "INSERT INTO payment_notices (notice_id, responsible_unit_id, order_id, state, had_effect, record_time)
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (notice_id) DO NOTHING",
        notice_id,
        order.unit_id,
        order.id,
        order.state.number(),
        had_effect,
        now.to_sqlx() as _,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Codes of pending orders about which the platform is to be asked.
pub(crate) async fn to_ask(
    connection: &mut PgConnection,
    now: Timestamp,
    most: i64,
) -> Result<Vec<String>, StoreError> {
    Ok(sqlx::query_scalar!(
        "SELECT order_code FROM payment_orders WHERE state = 2 AND ask_time <= $1 ORDER BY ask_time, order_id LIMIT $2",
        now.to_sqlx() as _,
        most,
    )
    .fetch_all(connection)
    .await?)
}

/// When the platform is asked about an order again.
pub(crate) async fn ask_at(connection: &mut PgConnection, order_code: &str, at: Timestamp) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE payment_orders SET ask_time = $2 WHERE order_code = $1",
        order_code,
        at.to_sqlx() as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The orders with these codes: unit and case code of each, by code.
pub(crate) async fn with_codes(
    connection: &mut PgConnection,
    codes: &[String],
) -> Result<BTreeMap<String, (i32, String)>, StoreError> {
    let rows: Vec<(String, i32, String)> = sqlx::query_as(
        "SELECT order_code, responsible_unit_id, case_code FROM payment_orders WHERE order_code = ANY ($1)",
    )
    .bind(codes)
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|(code, unit_id, case_code)| (code, (unit_id, case_code)))
        .collect())
}
