//! Khoản thu: `case_charges`, `charge_payments`, and what was done with fees (`fee_acts`).

use jiff::Timestamp;
use jiff::civil::Date;
use jiff_sqlx::ToSqlx as _;
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{PgConnection, Postgres, QueryBuilder, Row as _};
use uuid::Uuid;

use super::{StoreError, Visible, one_row, statistics};
use crate::domain::charge::{Charge, ChargedFee, Payment, PaymentState, Refund, Way};
use crate::domain::reconcile::{DifferenceKind, Ours, Returning};
use crate::domain::statistics::{PaidPayment, day_of};

const PAYMENT: &str = "payment_id, collecting_unit_id, way, amount_vnd, state, order_id, reference, pay_url, transaction, request_time, \
                       paid_time, paid_day, refund, problem, amount_differs, listed_otherwise";

fn payment(row: &PgRow) -> Result<Payment, StoreError> {
    let wrong = |column| StoreError::Inconsistent {
        table: "charge_payments",
        column,
    };
    Ok(Payment {
        payment_id: row.try_get("payment_id")?,
        collecting_unit_id: row.try_get("collecting_unit_id")?,
        way: Way::of_code(row.try_get("way")?).ok_or_else(|| wrong("way"))?,
        amount_vnd: row.try_get("amount_vnd")?,
        state: PaymentState::of_code(row.try_get("state")?).ok_or_else(|| wrong("state"))?,
        order_id: row.try_get("order_id")?,
        reference: row.try_get("reference")?,
        pay_url: row.try_get("pay_url")?,
        transaction: row.try_get("transaction")?,
        request_time: row.try_get::<jiff_sqlx::Timestamp, _>("request_time")?.to_jiff(),
        paid_time: row
            .try_get::<Option<jiff_sqlx::Timestamp>, _>("paid_time")?
            .map(jiff_sqlx::Timestamp::to_jiff),
        paid_day: row
            .try_get::<Option<jiff_sqlx::Date>, _>("paid_day")?
            .map(jiff_sqlx::Date::to_jiff),
        refund: row.try_get::<Option<Json<Refund>>, _>("refund")?.map(|refund| refund.0),
        problem: row.try_get("problem")?,
        amount_differs: row.try_get("amount_differs")?,
        listed_otherwise: row.try_get("listed_otherwise")?,
    })
}

/// The charge of a case that the caller sees; none if nothing was done with it yet. Its row is held if it is to be changed.
pub(crate) async fn get(
    connection: &mut PgConnection,
    case_id: Uuid,
    visible: &Visible,
    for_update: bool,
) -> Result<Option<Charge>, StoreError> {
    let mut query = QueryBuilder::<Postgres>::new(
        "SELECT case_id, case_code, responsible_unit_id, owner_id, fees, version FROM case_charges WHERE case_id = ",
    );
    query.push_bind(case_id).push(" AND (").push_bind(visible.all);
    query
        .push(" OR responsible_unit_id = ANY (")
        .push_bind(visible.units.clone())
        .push(") OR owner_id = ")
        .push_bind(visible.owner)
        .push(")");
    if for_update {
        query.push(" FOR UPDATE");
    }
    let Some(row) = query.build().fetch_optional(&mut *connection).await? else {
        return Ok(None);
    };
    let payments = sqlx::query(sqlx::AssertSqlSafe(format!(
        "SELECT {PAYMENT} FROM charge_payments WHERE case_id = $1 ORDER BY request_time, payment_id"
    )))
    .bind(case_id)
    .fetch_all(connection)
    .await?;
    Ok(Some(Charge {
        case_id: row.try_get("case_id")?,
        case_code: row.try_get("case_code")?,
        responsible_unit_id: row.try_get("responsible_unit_id")?,
        owner_id: row.try_get("owner_id")?,
        fees: row.try_get::<Json<Vec<ChargedFee>>, _>("fees")?.0,
        payments: payments.iter().map(payment).collect::<Result<_, _>>()?,
        version: row.try_get("version")?,
    }))
}

/// Stores what an act made of a charge: the first row of it, or the next version.
pub(crate) async fn save(
    connection: &mut PgConnection,
    before: &Charge,
    after: &Charge,
    now: Timestamp,
) -> Result<(), StoreError> {
    let saved = if before.version == 0 {
        sqlx::query(
            "INSERT INTO case_charges (case_id, case_code, responsible_unit_id, owner_id, fees, version, create_time, update_time)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $7)",
        )
        .bind(after.case_id)
        .bind(&after.case_code)
        .bind(after.responsible_unit_id)
        .bind(after.owner_id)
        .bind(Json(&after.fees))
        .bind(after.version)
        .bind(now.to_sqlx())
        .execute(&mut *connection)
        .await?
    } else {
        sqlx::query(
            "UPDATE case_charges SET fees = $3, version = $4, update_time = $5 WHERE case_id = $1 AND version = $2",
        )
        .bind(after.case_id)
        .bind(before.version)
        .bind(Json(&after.fees))
        .bind(after.version)
        .bind(now.to_sqlx())
        .execute(&mut *connection)
        .await?
    };
    one_row("case_charges", saved.rows_affected())?;
    for payment in &after.payments {
        let known = before.payment(payment.payment_id).ok();
        match known {
            None => insert(connection, after, payment, now).await?,
            Some(known) if known != payment => update(connection, known, payment, now).await?,
            Some(_) => {}
        }
        if known.is_none_or(|known| known.paid_day.is_none()) {
            count(connection, after.case_id, payment, now).await?;
        }
    }
    Ok(())
}

/// The day on which it became known that a payment was paid, when that is now: not if it was known before (`known`), by whatever version.
fn known_day(known: Option<&Payment>, payment: &Payment, now: Timestamp) -> Option<jiff_sqlx::Date> {
    let is_new = payment.paid_day.is_some() && known.is_none_or(|known| known.paid_day.is_none());
    is_new.then(|| day_of(now).to_sqlx())
}

/// Counts a payment that came in, in the transaction of the act by which it became known.
async fn count(
    connection: &mut PgConnection,
    case_id: Uuid,
    payment: &Payment,
    now: Timestamp,
) -> Result<(), StoreError> {
    let Some(day) = payment.paid_day else { return Ok(()) };
    let procedure_code: String = sqlx::query_scalar("SELECT procedure_code FROM cases WHERE case_id = $1")
        .bind(case_id)
        .fetch_one(&mut *connection)
        .await?;
    let known = day_of(now);
    let paid = PaidPayment {
        unit_id: payment.collecting_unit_id,
        procedure_code,
        online: payment.way == Way::Online,
        day,
        recorded_late: (known > day).then_some(known),
    };
    statistics::append(connection, case_id, &paid.changes()).await
}

/// The payments of these cases that came in, as they count, for the verification and for a rebuild.
pub(crate) async fn paid_of(
    connection: &mut PgConnection,
    case_ids: &[Uuid],
) -> Result<Vec<(Uuid, PaidPayment)>, StoreError> {
    let rows = sqlx::query(
        "SELECT p.case_id, p.collecting_unit_id, c.procedure_code, p.way, p.paid_day, p.known_day
         FROM charge_payments AS p JOIN cases AS c USING (case_id)
         WHERE p.case_id = ANY ($1) AND p.paid_day IS NOT NULL ORDER BY p.case_id, p.payment_id",
    )
    .bind(case_ids)
    .fetch_all(connection)
    .await?;
    rows.iter()
        .map(|row| {
            let way = Way::of_code(row.try_get("way")?).ok_or(StoreError::Inconsistent {
                table: "charge_payments",
                column: "way",
            })?;
            let day = row.try_get::<jiff_sqlx::Date, _>("paid_day")?.to_jiff();
            let known: Option<jiff_sqlx::Date> = row.try_get("known_day")?;
            let paid = PaidPayment {
                unit_id: row.try_get("collecting_unit_id")?,
                procedure_code: row.try_get("procedure_code")?,
                online: way == Way::Online,
                day,
                recorded_late: known.map(jiff_sqlx::Date::to_jiff).filter(|known| *known > day),
            };
            Ok((row.try_get("case_id")?, paid))
        })
        .collect()
}

/// Payments of these cases of which the version before did not say when it became known that they were paid: on the day on which they were.
/// So they count, and go on to. One on which somebody acts is left as it is, which counts the same.
pub(crate) async fn date_known(connection: &mut PgConnection, case_ids: &[Uuid]) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE charge_payments SET known_day = paid_day
         WHERE payment_id IN (SELECT payment_id FROM charge_payments
                              WHERE case_id = ANY ($1) AND paid_day IS NOT NULL AND known_day IS NULL
                              ORDER BY payment_id FOR UPDATE SKIP LOCKED)",
    )
    .bind(case_ids)
    .execute(connection)
    .await?;
    Ok(())
}

/// The day on which a payment was given back, by a decision here.
fn refund_day(payment: &Payment) -> Option<jiff_sqlx::Date> {
    let done = payment.refund.as_ref().and_then(|refund| refund.done_time);
    done.map(|at| day_of(at).to_sqlx())
}

/// Refunds that the version before made beside this one, and did not say on which day. How many.
pub(crate) async fn date_refunds(connection: &mut PgConnection) -> Result<u64, StoreError> {
    let dated = sqlx::query(
        "UPDATE charge_payments SET refund_day = ((refund ->> 'done_time')::timestamptz AT TIME ZONE 'Asia/Ho_Chi_Minh')::date
         WHERE payment_id IN (SELECT payment_id FROM charge_payments
                              WHERE refund ->> 'done_time' IS NOT NULL AND refund_day IS NULL
                              ORDER BY payment_id FOR UPDATE SKIP LOCKED)",
    )
    .execute(connection)
    .await?;
    Ok(dated.rows_affected())
}

/// When integration is asked about a payment: at once after a change, if something is awaited.
fn poll_time(payment: &Payment, now: Timestamp) -> Option<jiff_sqlx::Timestamp> {
    payment.state.is_awaited().then(|| now.to_sqlx())
}

async fn insert(
    connection: &mut PgConnection,
    charge: &Charge,
    payment: &Payment,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO charge_payments (payment_id, case_id, case_code, responsible_unit_id, owner_id, collecting_unit_id, way, amount_vnd,
                                      state, order_id, reference, pay_url, transaction, request_time, paid_time, paid_day, refund,
                                      poll_time, known_day)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)",
    )
    .bind(payment.payment_id)
    .bind(charge.case_id)
    .bind(&charge.case_code)
    .bind(charge.responsible_unit_id)
    .bind(charge.owner_id)
    .bind(payment.collecting_unit_id)
    .bind(payment.way.code())
    .bind(payment.amount_vnd)
    .bind(payment.state.code())
    .bind(payment.order_id)
    .bind(&payment.reference)
    .bind(&payment.pay_url)
    .bind(&payment.transaction)
    .bind(payment.request_time.to_sqlx())
    .bind(payment.paid_time.map(jiff_sqlx::ToSqlx::to_sqlx))
    .bind(payment.paid_day.map(jiff_sqlx::ToSqlx::to_sqlx))
    .bind(payment.refund.as_ref().map(Json))
    .bind(poll_time(payment, now))
    .bind(known_day(None, payment, now))
    .execute(connection)
    .await?;
    Ok(())
}

async fn update(
    connection: &mut PgConnection,
    known: &Payment,
    payment: &Payment,
    now: Timestamp,
) -> Result<(), StoreError> {
    let saved = sqlx::query(
        "UPDATE charge_payments
         SET state = $2, order_id = $3, reference = $4, pay_url = $5, transaction = $6, paid_time = $7, paid_day = $8, refund = $9,
             poll_time = $10, problem = '', known_day = coalesce(known_day, $11), refund_day = $12
         WHERE payment_id = $1",
    )
    .bind(payment.payment_id)
    .bind(payment.state.code())
    .bind(payment.order_id)
    .bind(&payment.reference)
    .bind(&payment.pay_url)
    .bind(&payment.transaction)
    .bind(payment.paid_time.map(jiff_sqlx::ToSqlx::to_sqlx))
    .bind(payment.paid_day.map(jiff_sqlx::ToSqlx::to_sqlx))
    .bind(payment.refund.as_ref().map(Json))
    .bind(poll_time(payment, now))
    .bind(known_day(Some(known), payment, now))
    .bind(refund_day(payment))
    .execute(connection)
    .await?;
    one_row("charge_payments", saved.rows_affected())
}

/// The charge of a case follows it to another unit, settled or not; whose receipt a payment was stays.
pub(crate) async fn move_to_unit(connection: &mut PgConnection, case_id: Uuid, unit_id: i32) -> Result<(), StoreError> {
    for table in ["case_charges", "charge_payments", "unsettled_charges"] {
        sqlx::query(sqlx::AssertSqlSafe(format!(
            "UPDATE {table} SET responsible_unit_id = $2 WHERE case_id = $1"
        )))
        .bind(case_id)
        .bind(unit_id)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// Payments about which integration is to be asked, with their cases: what has waited longest first.
pub(crate) async fn to_ask(
    connection: &mut PgConnection,
    now: Timestamp,
    most: i64,
) -> Result<Vec<(Uuid, Uuid)>, StoreError> {
    Ok(sqlx::query_as(
        "SELECT case_id, payment_id FROM charge_payments WHERE poll_time <= $1 ORDER BY poll_time, payment_id LIMIT $2",
    )
    .bind(now.to_sqlx())
    .bind(most)
    .fetch_all(connection)
    .await?)
}

/// Whether integration is to be asked about any payment.
pub(crate) async fn is_any_to_ask(connection: &mut PgConnection, now: Timestamp) -> Result<bool, StoreError> {
    Ok(
        sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM charge_payments WHERE poll_time <= $1)")
            .bind(now.to_sqlx())
            .fetch_one(connection)
            .await?,
    )
}

/// When integration is asked about a payment again, if something is still awaited, and why it could not be asked now.
pub(crate) async fn ask_at(
    connection: &mut PgConnection,
    payment_id: Uuid,
    at: Timestamp,
    problem: &str,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE charge_payments SET poll_time = $2, problem = $3 WHERE payment_id = $1 AND poll_time IS NOT NULL",
    )
    .bind(payment_id)
    .bind(at.to_sqlx())
    .bind(problem)
    .execute(connection)
    .await?;
    Ok(())
}

/// When the job turns to a payment again, if it does, and why it could not do all that was to be done, a word.
pub(crate) async fn turn_to_at(
    connection: &mut PgConnection,
    payment_id: Uuid,
    at: Option<Timestamp>,
    problem: &str,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE charge_payments SET poll_time = $2, problem = $3 WHERE payment_id = $1")
        .bind(payment_id)
        .bind(at.map(jiff_sqlx::ToSqlx::to_sqlx))
        .bind(problem)
        .execute(connection)
        .await?;
    Ok(())
}

/// Keeps whether integration names another amount of a payment than was asked for.
pub(crate) async fn note_amount(
    connection: &mut PgConnection,
    payment_id: Uuid,
    differs: bool,
) -> Result<(), StoreError> {
    let kept = sqlx::query("UPDATE charge_payments SET amount_differs = $2 WHERE payment_id = $1")
        .bind(payment_id)
        .bind(differs)
        .execute(connection)
        .await?;
    one_row("charge_payments", kept.rows_affected())
}

/// Keeps of these payments whether the platform's list contradicts us about them, by the differences that are open. How many are seen
/// otherwise than before.
pub(crate) async fn note_listed(connection: &mut PgConnection, payment_ids: &[Uuid]) -> Result<u64, StoreError> {
    let doubts: Vec<i16> = DifferenceKind::ALL
        .into_iter()
        .filter(|kind| kind.is_doubt())
        .map(DifferenceKind::code)
        .collect();
    let kept = sqlx::query(
        "UPDATE charge_payments AS p SET listed_otherwise = NOT p.listed_otherwise
         WHERE p.payment_id = ANY ($1)
           AND p.listed_otherwise <> EXISTS (SELECT 1 FROM payment_differences AS d
                                             WHERE d.payment_id = p.payment_id AND d.state = 1 AND d.kind = ANY ($2))",
    )
    .bind(payment_ids)
    .bind(&doubts)
    .execute(connection)
    .await?;
    Ok(kept.rows_affected())
}

/// Payments by receipts of a unit that are đã đối soát, were paid on one of these days and have one of these references, with their cases;
/// by case.
pub(crate) async fn reconciled_under(
    connection: &mut PgConnection,
    unit_id: i32,
    days: &[Date],
    references: &[String],
) -> Result<Vec<(Uuid, Uuid)>, StoreError> {
    let days: Vec<String> = days.iter().map(ToString::to_string).collect();
    Ok(sqlx::query_as(
        "SELECT case_id, payment_id FROM charge_payments
         WHERE collecting_unit_id = $1 AND reference = ANY ($2) AND reference <> '' AND state = 4
           AND paid_day = ANY ($3::text[]::date[])
         ORDER BY case_id, payment_id",
    )
    .bind(unit_id)
    .bind(references)
    .bind(&days)
    .fetch_all(connection)
    .await?)
}

/// Payments by receipts of a unit that were paid or given back on a day, and those of other days with one of these references. Whose receipt it is never
/// changes: a case that followed a closed unit to its successor is still in the closed unit's list of the platform and of the treasury.
pub(crate) async fn paid_on(
    connection: &mut PgConnection,
    unit_id: i32,
    day: Date,
    references: &[String],
) -> Result<Vec<Ours>, StoreError> {
    let rows = sqlx::query(
        "SELECT payment_id, case_id, case_code, way, reference, amount_vnd, paid_day, refund IS NOT NULL AS decided, refund_day
         FROM charge_payments WHERE collecting_unit_id = $1 AND paid_day = $2
         UNION
         SELECT payment_id, case_id, case_code, way, reference, amount_vnd, paid_day, refund IS NOT NULL AS decided, refund_day
         FROM charge_payments WHERE collecting_unit_id = $1 AND refund_day = $2 AND paid_day IS NOT NULL
         UNION
         SELECT payment_id, case_id, case_code, way, reference, amount_vnd, paid_day, refund IS NOT NULL AS decided, refund_day
         FROM charge_payments
         WHERE collecting_unit_id = $1 AND reference = ANY ($3) AND reference <> '' AND paid_day IS NOT NULL
         ORDER BY payment_id",
    )
    .bind(unit_id)
    .bind(day.to_sqlx())
    .bind(references)
    .fetch_all(connection)
    .await?;
    rows.iter()
        .map(|row| {
            let made: Option<jiff_sqlx::Date> = row.try_get("refund_day")?;
            let returning = match (row.try_get("decided")?, made) {
                (false, _) => Returning::No,
                (true, None) => Returning::Ordered,
                (true, Some(made)) => Returning::Made(made.to_jiff()),
            };
            Ok(Ours {
                returning,
                payment_id: row.try_get("payment_id")?,
                case_id: row.try_get("case_id")?,
                case_code: row.try_get("case_code")?,
                way: Way::of_code(row.try_get("way")?).ok_or(StoreError::Inconsistent {
                    table: "charge_payments",
                    column: "way",
                })?,
                reference: row.try_get("reference")?,
                amount_vnd: row.try_get("amount_vnd")?,
                day: row.try_get::<jiff_sqlx::Date, _>("paid_day")?.to_jiff(),
            })
        })
        .collect()
}

/// How much was paid in which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Collected {
    /// How.
    pub(crate) way: Way,
    /// How many payments.
    pub(crate) payments: i64,
    /// VND.
    pub(crate) amount_vnd: i64,
    /// Of these, given back: how many.
    pub(crate) refunded: i64,
}

/// What was paid by receipts of units from one day to another (inclusive), by way: a range of the index by unit and day. What a unit took
/// stays its own when its cases go to another.
pub(crate) async fn collected(
    connection: &mut PgConnection,
    units: &[i32],
    from: Date,
    to: Date,
) -> Result<Vec<Collected>, StoreError> {
    let rows: Vec<(i16, i64, i64, i64)> = sqlx::query_as(
        "SELECT way, count(*), coalesce(sum(amount_vnd), 0)::bigint, count(*) FILTER (WHERE state = 6) FROM charge_payments
         WHERE collecting_unit_id = ANY ($1) AND paid_day BETWEEN $2 AND $3 GROUP BY way ORDER BY way",
    )
    .bind(units)
    .bind(from.to_sqlx())
    .bind(to.to_sqlx())
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|(way, payments, amount_vnd, refunded)| {
            Ok(Collected {
                way: Way::of_code(way).ok_or(StoreError::Inconsistent {
                    table: "charge_payments",
                    column: "way",
                })?,
                payments,
                amount_vnd,
                refunded,
            })
        })
        .collect()
}

/// Something that was done with fees.
#[derive(Debug, Clone)]
pub(crate) struct FeeAct {
    pub(crate) unit_id: i32,
    pub(crate) owner_id: Option<Uuid>,
    pub(crate) kind: &'static str,
    pub(crate) resource_id: Uuid,
    pub(crate) version: i64,
    pub(crate) act: &'static str,
    pub(crate) actor_id: Uuid,
    pub(crate) actor_kind: &'static str,
    /// The account in whose name a member of staff acted (thừa uỷ quyền).
    pub(crate) on_behalf_of: Option<Uuid>,
    pub(crate) reason: String,
    pub(crate) record_time: Timestamp,
    /// JSON, to whose bytes the ledger commits.
    pub(crate) content: String,
}

/// Appends what was done.
pub(crate) async fn append(connection: &mut PgConnection, act: &FeeAct) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO fee_acts (responsible_unit_id, owner_id, kind, resource_id, version, act, actor_id, actor_kind, reason, record_time,
                               content, on_behalf_of)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
    )
    .bind(act.unit_id)
    .bind(act.owner_id)
    .bind(act.kind)
    .bind(act.resource_id)
    .bind(act.version)
    .bind(act.act)
    .bind(act.actor_id)
    .bind(act.actor_kind)
    .bind(&act.reason)
    .bind(act.record_time.to_sqlx())
    .bind(&act.content)
    .bind(act.on_behalf_of)
    .execute(connection)
    .await?;
    Ok(())
}

/// What every leaf about fees commits to: kind, resource, version, bytes.
pub(crate) async fn acts(connection: &mut PgConnection) -> Result<Vec<(String, Uuid, i64, Vec<u8>)>, StoreError> {
    Ok(
        sqlx::query_as("SELECT kind, resource_id, version, convert_to(content, 'UTF8') FROM fee_acts")
            .fetch_all(connection)
            .await?,
    )
}
