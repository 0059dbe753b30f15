//! Khoản thu chưa xong: `unsettled_charges`, a row for each case of whose money something is to be done.
//!
//! It repeats what the list for accountants needs, so that the list walks small indexes. Whoever changes what a case owes, what is held of
//! it, or what the platform says of it writes the row too, while holding the case or, where there is one, the row of its charge.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Postgres, QueryBuilder, Row as _};
use uuid::Uuid;

use super::deadlines::push_units;
use super::{StoreError, Visible, charges, one_row};
use crate::domain::case::Case;
use crate::domain::charge::{Charge, Unsettled, UnsettledState, is_obliged};
use crate::domain::listing::{AfterSince, UnsettledCharge, UnsettledFilter};

/// Keeps what of a charge is not settled; takes the row away once all of it is. Since when it is open stays.
pub(crate) async fn keep(
    connection: &mut PgConnection,
    case: &Case,
    charge: &Charge,
    now: Timestamp,
) -> Result<(), StoreError> {
    let Some(unsettled) = charge.unsettled(is_obliged(case)) else {
        sqlx::query("DELETE FROM unsettled_charges WHERE case_id = $1")
            .bind(case.case_id)
            .execute(connection)
            .await?;
        return Ok(());
    };
    let kept = sqlx::query(
        "INSERT INTO unsettled_charges (case_id, case_code, procedure_code, responsible_unit_id, owner_id, owed, in_doubt, refund_due,
                                        order_open, left_vnd, held_vnd, refund_vnd, since)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
         ON CONFLICT (case_id) DO UPDATE
         SET responsible_unit_id = EXCLUDED.responsible_unit_id, owed = EXCLUDED.owed, in_doubt = EXCLUDED.in_doubt,
             refund_due = EXCLUDED.refund_due, order_open = EXCLUDED.order_open, left_vnd = EXCLUDED.left_vnd,
             held_vnd = EXCLUDED.held_vnd, refund_vnd = EXCLUDED.refund_vnd",
    )
    .bind(case.case_id)
    .bind(&case.case_code)
    .bind(&case.procedure_code)
    .bind(case.responsible_unit_id)
    .bind(case.owner_id)
    .bind(unsettled.owed)
    .bind(unsettled.in_doubt)
    .bind(unsettled.refund_due)
    .bind(unsettled.order_open)
    .bind(unsettled.left_vnd)
    .bind(unsettled.held_vnd)
    .bind(unsettled.refund_vnd)
    .bind(now.to_sqlx())
    .execute(connection)
    .await?;
    one_row("unsettled_charges", kept.rows_affected())
}

/// The same after an act on a case, which is held: only if it changed what the case owes. Before its acceptance a case has no charge.
pub(super) async fn follow(
    connection: &mut PgConnection,
    before: &Case,
    after: &Case,
    now: Timestamp,
) -> Result<(), StoreError> {
    let obliged = is_obliged(after);
    let owes_the_same = obliged == is_obliged(before) && (!obliged || after.fees == before.fees);
    if owes_the_same || after.fees.is_empty() {
        return Ok(());
    }
    let charge = if before.accept_time.is_some() {
        charges::get(connection, after.case_id, &Visible::everything(), true).await?
    } else {
        None
    };
    let charge = charge.unwrap_or_else(|| Charge::assess(after, &[]));
    keep(connection, after, &charge, now).await
}

fn unsettled(row: &PgRow) -> Result<UnsettledCharge, StoreError> {
    Ok(UnsettledCharge {
        case_id: row.try_get("case_id")?,
        case_code: row.try_get("case_code")?,
        procedure_code: row.try_get("procedure_code")?,
        responsible_unit_id: row.try_get("responsible_unit_id")?,
        owner_id: row.try_get("owner_id")?,
        unsettled: Unsettled {
            owed: row.try_get("owed")?,
            in_doubt: row.try_get("in_doubt")?,
            refund_due: row.try_get("refund_due")?,
            order_open: row.try_get("order_open")?,
            left_vnd: row.try_get("left_vnd")?,
            held_vnd: row.try_get("held_vnd")?,
            refund_vnd: row.try_get("refund_vnd")?,
        },
        since: row.try_get::<jiff_sqlx::Timestamp, _>("since")?.to_jiff(),
    })
}

pub(super) const UNSETTLED: &str = "SELECT case_id, case_code, procedure_code, responsible_unit_id, owner_id, owed, in_doubt, refund_due, \
                                    order_open, left_vnd, held_vnd, refund_vnd, since FROM unsettled_charges WHERE ";

/// One page of charges that are not settled, the longest open first.
pub(crate) async fn list(
    connection: &mut PgConnection,
    visible: &Visible,
    filter: &UnsettledFilter,
    after: Option<&AfterSince>,
    limit: i64,
) -> Result<Vec<UnsettledCharge>, StoreError> {
    let rows = list_query(UNSETTLED, visible, filter, after, limit)
        .build()
        .fetch_all(connection)
        .await?;
    rows.iter().map(unsettled).collect()
}

/// A page of each unit joined by UNION, as lists of cases are: only so each is read along its index. `head` is apart so that a test can put
/// EXPLAIN before it.
pub(super) fn list_query(
    head: &str,
    visible: &Visible,
    filter: &UnsettledFilter,
    after: Option<&AfterSince>,
    limit: i64,
) -> QueryBuilder<Postgres> {
    let visible = visible.narrowed(filter.unit_id);
    let mut query = QueryBuilder::new(head);
    let part = |query: &mut QueryBuilder<Postgres>, reason: &Visible| {
        push_units(query, reason);
        query.push(match filter.state {
            None => "",
            Some(UnsettledState::Owed) => " AND owed",
            Some(UnsettledState::InDoubt) => " AND in_doubt",
            Some(UnsettledState::RefundsDue) => " AND refund_due",
        });
        if let Some(after) = after {
            query
                .push(" AND (since, case_id) > (")
                .push_bind(after.since.to_sqlx())
                .push(", ")
                .push_bind(after.case_id)
                .push(")");
        }
        query.push(format_args!(" ORDER BY since, case_id LIMIT {limit}"));
    };
    match visible.reasons().as_slice() {
        [reason] => part(&mut query, reason),
        reasons => {
            query.push("case_id IN (SELECT case_id FROM (");
            for (number, reason) in reasons.iter().enumerate() {
                query.push(if number == 0 { "(" } else { " UNION (" });
                query.push("SELECT case_id, since FROM unsettled_charges WHERE ");
                part(&mut query, reason);
                query.push(")");
            }
            query.push(format_args!(
                ") AS pages ORDER BY since, case_id LIMIT {limit}) ORDER BY since, case_id LIMIT {limit}"
            ));
        }
    }
    query
}

/// The case with which a range of so many cases after this one ends; none if fewer are left.
pub(crate) async fn range_end(
    connection: &mut PgConnection,
    after: Uuid,
    cases: i64,
) -> Result<Option<Uuid>, StoreError> {
    Ok(
        sqlx::query_scalar("SELECT case_id FROM cases WHERE case_id > $1 ORDER BY case_id OFFSET $2 LIMIT 1")
            .bind(after)
            .bind(cases - 1)
            .fetch_optional(connection)
            .await?,
    )
}

pub(super) const DIFFERING: &str = "WITH paid AS (
        SELECT case_id, sum(amount_vnd) FILTER (WHERE state IN (3, 4)) AS held, sum(amount_vnd) FILTER (WHERE state = 5) AS on_its_way,
               bool_or(state IN (1, 2)) AS ordered,
               bool_or(state <> 6 AND (amount_differs OR listed_otherwise AND state IN (3, 4, 5))) AS doubted
        FROM charge_payments WHERE case_id > $1 AND case_id <= $2 GROUP BY case_id
    ), charged AS (
        SELECT c.case_id, c.case_code, c.responsible_unit_id, c.state NOT IN (3, 7, 8) AS obliged, coalesce(h.fees, c.fees) AS fees
        FROM cases AS c LEFT JOIN case_charges AS h USING (case_id)
        WHERE c.case_id > $1 AND c.case_id <= $2 AND c.accept_time IS NOT NULL
    ), money AS (
        SELECT charged.case_id, charged.case_code, charged.responsible_unit_id, obliged AND coalesce(f.unestablished, false) AS unestablished,
               CASE WHEN obliged THEN coalesce(f.due, 0) ELSE 0 END AS due, coalesce(held, 0) AS held,
               coalesce(on_its_way, 0) AS on_its_way, coalesce(ordered, false) AS ordered, coalesce(doubted, false) AS doubted
        FROM charged
        LEFT JOIN paid USING (case_id),
        LATERAL (SELECT bool_or(due IS NULL) AS unestablished, sum(due) AS due
                 FROM (SELECT CASE WHEN jsonb_typeof(fee -> 'exemption') = 'object' THEN (fee #>> '{exemption,reduced_to_vnd}')::bigint
                                   ELSE (fee ->> 'amount_vnd')::bigint * coalesce((fee ->> 'quantity')::bigint, 1) END AS due
                       FROM jsonb_array_elements(charged.fees) AS listed (fee)) AS each_fee) AS f
    ), found AS (
        SELECT case_id, case_code, responsible_unit_id, unestablished OR held < due AS owed, doubted AS in_doubt,
               on_its_way > 0 OR NOT unestablished AND held > due AS refund_due, ordered AS order_open,
               CASE WHEN NOT unestablished AND held < due THEN due - held END AS left_vnd, held AS held_vnd,
               on_its_way + CASE WHEN unestablished THEN 0 ELSE greatest(held - due, 0) END AS refund_vnd
        FROM money
    )
    SELECT coalesce(f.case_id, k.case_id) AS case_id, coalesce(f.case_code, k.case_code) AS case_code
    FROM (SELECT * FROM found WHERE owed OR in_doubt OR refund_due) AS f
    FULL JOIN (SELECT * FROM unsettled_charges WHERE case_id > $1 AND case_id <= $2) AS k ON k.case_id = f.case_id
    WHERE f.case_id IS NULL OR k.case_id IS NULL
       OR (f.case_code, f.responsible_unit_id, f.owed, f.in_doubt, f.refund_due, f.order_open, f.left_vnd, f.held_vnd, f.refund_vnd)
          IS DISTINCT FROM
          (k.case_code, k.responsible_unit_id, k.owed, k.in_doubt, k.refund_due, k.order_open, k.left_vnd, k.held_vnd, k.refund_vnd)
    ORDER BY 1
    LIMIT $3";

/// Cases after one and up to another of which something else is kept than what charges and payments say, by a second, plain reading in SQL;
/// what is kept of a case that there is not is among them. Up to `limit` of them.
pub(crate) async fn differing(
    connection: &mut PgConnection,
    (after, until): (Uuid, Uuid),
    limit: i64,
) -> Result<Vec<(Uuid, String)>, StoreError> {
    Ok(sqlx::query_as(DIFFERING)
        .bind(after)
        .bind(until)
        .bind(limit)
        .fetch_all(connection)
        .await?)
}
