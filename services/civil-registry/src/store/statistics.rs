//! `vital_counts`: rows are added with the entries that they are of, and summed.

use egov_auth::RowScope;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;
use uuid::Uuid;

use super::StoreError;
use crate::domain::book::EventKind;
use crate::domain::entry::{Entry, RegistrationKind};
use crate::domain::person::Sex;
use crate::domain::statistics::{Change, Counted, Dimension, Key, Sum};

/// The column of a value outside its domain.
fn outside(column: &'static str) -> StoreError {
    StoreError::Inconsistent {
        table: "vital_counts",
        column,
    }
}

/// Adds what an entry, or a correction of it, changes. No row of anybody else is touched.
pub(crate) async fn append(connection: &mut PgConnection, entry: &Entry, change: &Change) -> Result<(), StoreError> {
    let counted = &change.counted;
    sqlx::query!(
        "INSERT INTO vital_counts (entry_id, change, responsible_unit_id, event, year, month, sex, ethnic_group, registration_kind,
                                   amount, record_time)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        entry.entry_id,
        change.place,
        entry.unit_id,
        counted.event.code(),
        entry.year,
        i16::from(entry.registration_date.month()),
        counted.sex.map_or(0, Sex::code),
        counted.ethnic_group,
        entry.registration_kind.code(),
        change.amount,
        change.record_time.to_sqlx() as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Which figures.
pub(crate) struct Wanted<'a> {
    /// The units that are counted; all of them within the scope.
    pub(crate) units: &'a [i32],
    pub(crate) year: i16,
    pub(crate) from_month: i16,
    pub(crate) to_month: i16,
    pub(crate) event: Option<EventKind>,
    pub(crate) dimension: Dimension,
    /// Only what was recorded before; everything if it is not said.
    pub(crate) before: Option<Timestamp>,
}

/// The sums of the groups by kind of event and of registration.
pub(crate) async fn sums(connection: &mut PgConnection, wanted: &Wanted<'_>) -> Result<Vec<Sum>, StoreError> {
    let rows = sqlx::query!(
        r#"
        SELECT event AS "event!", registration_kind AS "registration_kind!",
               CASE $6::smallint WHEN 2 THEN responsible_unit_id WHEN 3 THEN month WHEN 4 THEN sex ELSE 0 END AS "number!: i32",
               CASE $6::smallint WHEN 5 THEN ethnic_group ELSE '' END AS "code!",
               sum(amount)::bigint AS "count!"
        FROM vital_counts
        WHERE responsible_unit_id = ANY ($1) AND year = $2 AND month BETWEEN $3 AND $4
          AND ($5::smallint IS NULL OR event = $5) AND ($7::timestamptz IS NULL OR record_time < $7)
        GROUP BY 1, 2, 3, 4
        "#,
        wanted.units,
        wanted.year,
        wanted.from_month,
        wanted.to_month,
        wanted.event.map(EventKind::code) as _,
        wanted.dimension.code(),
        wanted.before.map(ToSqlx::to_sqlx) as _,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(Sum {
                event: EventKind::of_code(row.event).ok_or_else(|| outside("event"))?,
                key: Key {
                    number: row.number,
                    code: row.code,
                },
                kind: RegistrationKind::of_code(row.registration_kind).ok_or_else(|| outside("registration_kind"))?,
                count: row.count,
            })
        })
        .collect()
}

/// What is counted of an entry, in its order, and whether unit, period and kind of registration are the entry's.
pub(crate) async fn of_entry(
    connection: &mut PgConnection,
    entry: &Entry,
    scope: &RowScope,
) -> Result<(Vec<Change>, bool), StoreError> {
    let rows = sqlx::query!(
        "SELECT change, responsible_unit_id, event, year, month, sex, ethnic_group, registration_kind, amount, record_time
         FROM vital_counts
         WHERE entry_id = $1 AND ($2 OR responsible_unit_id = ANY ($3))
         ORDER BY change",
        entry.entry_id,
        scope.all,
        &scope.units,
    )
    .fetch_all(connection)
    .await?;
    let placed = rows.iter().all(|row| {
        row.responsible_unit_id == entry.unit_id
            && row.year == entry.year
            && row.month == i16::from(entry.registration_date.month())
            && row.registration_kind == entry.registration_kind.code()
    });
    let changes: Result<Vec<Change>, StoreError> = rows
        .into_iter()
        .map(|row| {
            Ok(Change {
                place: row.change,
                counted: Counted {
                    event: EventKind::of_code(row.event).ok_or_else(|| outside("event"))?,
                    sex: Sex::of_code(row.sex),
                    ethnic_group: row.ethnic_group,
                },
                amount: row.amount,
                record_time: row.record_time.to_jiff(),
            })
        })
        .collect();
    Ok((changes?, placed))
}

/// Entries of a unit that were registered in a year, after an id, in the order of ids.
pub(crate) async fn entries_of_year(
    connection: &mut PgConnection,
    (unit_id, year): (i32, i16),
    scope: &RowScope,
    after: Uuid,
    limit: i64,
) -> Result<Vec<Uuid>, StoreError> {
    let rows = sqlx::query_scalar!(
        "SELECT e.entry_id
         FROM books b
         JOIN entries e ON e.book_id = b.book_id
         WHERE b.responsible_unit_id = $1 AND b.year = $2 AND e.entry_id > $3
           AND ($4 OR e.responsible_unit_id = ANY ($5)) AND ($4 OR b.responsible_unit_id = ANY ($5))
         ORDER BY e.entry_id
         LIMIT $6",
        unit_id,
        year,
        after,
        scope.all,
        &scope.units,
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows)
}

/// The units and years of the books in which there are entries, for the verification.
pub(crate) async fn units_and_years(connection: &mut PgConnection) -> Result<Vec<(i32, i16)>, StoreError> {
    let rows = sqlx::query!(
        "SELECT DISTINCT b.responsible_unit_id, b.year
         FROM books b
         WHERE EXISTS (SELECT FROM entries e WHERE e.book_id = b.book_id)
         ORDER BY b.responsible_unit_id, b.year",
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.responsible_unit_id, row.year))
        .collect())
}
