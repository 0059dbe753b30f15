//! Giấy tờ hỏi thừa: `avoidable_papers`, each one that was asked for, and `avoidable_paper_sums`, their sums by day.

use jiff::civil::Date;
use jiff_sqlx::ToSqlx as _;
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, Postgres, QueryBuilder, Row as _};

use super::StoreError;
use crate::domain::case::Case;

/// A paper that was asked for although a register could have answered.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Asked {
    pub(crate) component_code: String,
    pub(crate) register_code: String,
}

/// How often a paper was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Count {
    pub(crate) of: Key,
    pub(crate) amount: i64,
}

/// By what it is counted, which is the order of the report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Key {
    pub(crate) unit_id: i32,
    pub(crate) procedure_code: String,
    pub(crate) component_code: String,
    pub(crate) register_code: String,
}

/// Counts what an act on a case asked for, once a case, component and register: asked for again it is the same paper. Whoever acts holds the
/// row of the case, so that two acts on it never count at once. `asked` comes in order and without repetition, so that two acts of one unit
/// wait for one another and never block each other.
pub(crate) async fn count(
    connection: &mut PgConnection,
    case: &Case,
    asked: &[Asked],
    day: Date,
) -> Result<(), StoreError> {
    for one in asked {
        sqlx::query(
            "WITH asked AS (
                 INSERT INTO avoidable_papers (case_id, version, component_code, register_code, responsible_unit_id, procedure_code, day)
                 SELECT $1::uuid, $2::bigint, $3::text, $4::text, $5::int, $6::text, $7::date
                 WHERE NOT EXISTS (SELECT 1 FROM avoidable_papers
                                   WHERE case_id = $1 AND component_code = $3 AND register_code = $4)
                 RETURNING 1
             )
             INSERT INTO avoidable_paper_sums AS s (responsible_unit_id, procedure_code, component_code, register_code, day, amount)
             SELECT $5::int, $6::text, $3::text, $4::text, $7::date, 1 FROM asked
             ON CONFLICT (responsible_unit_id, procedure_code, component_code, register_code, day)
             DO UPDATE SET amount = s.amount + 1",
        )
        .bind(case.case_id)
        .bind(case.version)
        .bind(&one.component_code)
        .bind(&one.register_code)
        .bind(case.responsible_unit_id)
        .bind(&case.procedure_code)
        .bind(day.to_sqlx())
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// One page of the sums of these units over days, by unit, procedure, component and register.
pub(crate) async fn list(
    connection: &mut PgConnection,
    units: &[i32],
    days: (Option<Date>, Option<Date>),
    after: Option<&Key>,
    limit: i64,
) -> Result<Vec<Count>, StoreError> {
    let rows = list_query("", units, days, after, limit)
        .build()
        .fetch_all(connection)
        .await?;
    rows.iter()
        .map(|row| {
            Ok(Count {
                of: Key {
                    unit_id: row.try_get("responsible_unit_id")?,
                    procedure_code: row.try_get("procedure_code")?,
                    component_code: row.try_get("component_code")?,
                    register_code: row.try_get("register_code")?,
                },
                amount: row.try_get("amount")?,
            })
        })
        .collect()
}

pub(super) fn list_query(
    explain: &str,
    units: &[i32],
    (from, to): (Option<Date>, Option<Date>),
    after: Option<&Key>,
    limit: i64,
) -> QueryBuilder<Postgres> {
    let key = "responsible_unit_id, procedure_code, component_code, register_code";
    let mut query = QueryBuilder::new(explain);
    query.push(format_args!(
        "SELECT {key}, sum(amount)::bigint AS amount FROM avoidable_paper_sums WHERE responsible_unit_id = ANY ("
    ));
    query.push_bind(units.to_vec()).push(")");
    if let Some(from) = from {
        query.push(" AND day >= ").push_bind(from.to_sqlx());
    }
    if let Some(to) = to {
        query.push(" AND day <= ").push_bind(to.to_sqlx());
    }
    if let Some(after) = after {
        query.push(format_args!(" AND ({key}) > (")).push_bind(after.unit_id);
        for text in [&after.procedure_code, &after.component_code, &after.register_code] {
            query.push(", ").push_bind(text.clone());
        }
        query.push(")");
    }
    query
        .push(format_args!(" GROUP BY {key} ORDER BY {key} LIMIT "))
        .push_bind(limit);
    query
}
