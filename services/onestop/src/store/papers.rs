//! What papers are printed from, beside the case and its history.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use sqlx::{PgConnection, QueryBuilder, Row as _};
use uuid::Uuid;

use super::{StoreError, Visible};
use crate::domain::pack::Channel;
use crate::domain::papers::BookRow;

/// The units whose opinion was asked for on a case, in the order of asking. Whoever sees the case and the questions sees them.
pub(crate) async fn consulted_units(connection: &mut PgConnection, case_id: Uuid) -> Result<Vec<i32>, StoreError> {
    let units = sqlx::query_scalar!(
        "SELECT responsible_unit_id FROM case_tasks WHERE case_id = $1 AND kind = 2 ORDER BY number",
        case_id,
    )
    .fetch_all(connection)
    .await?;
    Ok(units)
}

/// Which part of a tracking book.
pub(crate) struct BookPart {
    /// Who took the cases in.
    pub(crate) receiving_unit_id: i32,
    /// Taken in before this instant.
    pub(crate) before: Timestamp,
    /// After this case: the instant at which it was taken in, and its id.
    pub(crate) after: (Timestamp, Uuid),
    /// At most so many.
    pub(crate) limit: i64,
}

/// The rows first, by their index and no more than are wanted; what belongs to each is looked up for these alone.
const ROWS: &str = "WITH part AS MATERIALIZED (SELECT c.case_id, c.case_code, c.procedure_code, c.procedure_version, c.owner, c.owner_id, \
     c.responsible_unit_id, c.accept_time, c.due_date FROM cases AS c WHERE ";

const BELONGING: &str = "SELECT c.case_id, c.case_code, p.name, c.owner, c.owner_id, c.responsible_unit_id, c.accept_time, c.due_date, \
     (SELECT min(h.record_time) FROM case_history AS h WHERE h.case_id = c.case_id AND h.from_state = 2 AND h.to_state = 4) AS sent_time, \
     (SELECT max(h.record_time) FROM case_history AS h WHERE h.case_id = c.case_id AND h.operation = 'approve') AS result_time, \
     r.return_time, r.channel, r.recipient_name \
     FROM part AS c \
     JOIN procedures AS p ON p.procedure_code = c.procedure_code AND p.version = c.procedure_version \
     LEFT JOIN case_returns AS r ON r.case_id = c.case_id ORDER BY c.accept_time, c.case_id";

/// The query of a part. `head` is apart so that a test can put EXPLAIN before it.
pub(super) fn book_query(head: &str, visible: &Visible, part: &BookPart) -> QueryBuilder<sqlx::Postgres> {
    let mut query = QueryBuilder::new(head);
    query
        .push(ROWS)
        .push("c.receiving_unit_id = ")
        .push_bind(part.receiving_unit_id)
        .push(" AND (c.accept_time, c.case_id) > (")
        .push_bind(part.after.0.to_sqlx())
        .push(", ")
        .push_bind(part.after.1)
        .push(") AND c.accept_time < ")
        .push_bind(part.before.to_sqlx());
    if !visible.all {
        query
            .push(" AND (c.responsible_unit_id = ANY (")
            .push_bind(visible.units.clone())
            .push(") OR c.receiving_unit_id = ANY (")
            .push_bind(visible.units.clone())
            .push("))");
    }
    // Spelt out: where PostgreSQL does not know how few rows are wanted, it makes a new plan for every part.
    query.push(format_args!(
        " ORDER BY c.accept_time, c.case_id LIMIT {}) {BELONGING}",
        part.limit
    ));
    query
}

/// The rows of a part, in the order in which the cases were taken in. The name of the agency is left to the caller.
pub(crate) async fn book(
    connection: &mut PgConnection,
    visible: &Visible,
    part: &BookPart,
) -> Result<Vec<BookRow>, StoreError> {
    let rows = book_query("", visible, part).build().fetch_all(connection).await?;
    let moment = |row: &sqlx::postgres::PgRow, name: &str| {
        row.try_get::<Option<jiff_sqlx::Timestamp>, _>(name)
            .map(|time| time.map(jiff_sqlx::Timestamp::to_jiff))
    };
    rows.into_iter()
        .map(|row| {
            let owner: serde_json::Value = row.try_get("owner")?;
            let said = |name: &str| {
                owner
                    .get(name)
                    .and_then(|text| text.as_str())
                    .unwrap_or_default()
                    .to_owned()
            };
            Ok(BookRow {
                case_id: row.try_get("case_id")?,
                case_code: row.try_get("case_code")?,
                procedure_name: row.try_get("name")?,
                owner_name: said("full_name"),
                owner_id: row.try_get("owner_id")?,
                address: said("address"),
                phone: said("phone"),
                responsible_unit_id: row.try_get("responsible_unit_id")?,
                agency: String::new(),
                accept_time: row.try_get::<jiff_sqlx::Timestamp, _>("accept_time")?.to_jiff(),
                due_date: row
                    .try_get::<Option<jiff_sqlx::Date>, _>("due_date")?
                    .map(jiff_sqlx::Date::to_jiff),
                sent_time: moment(&row, "sent_time")?,
                result_time: moment(&row, "result_time")?,
                return_time: moment(&row, "return_time")?,
                return_channel: row.try_get::<Option<i16>, _>("channel")?.and_then(Channel::from_number),
                recipient: row.try_get::<Option<String>, _>("recipient_name")?.unwrap_or_default(),
            })
        })
        .collect()
}

#[cfg(test)]
#[path = "papers_plans.rs"]
mod plans;
