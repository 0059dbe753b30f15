//! What questions about a person are answered by, whichever communes entered it: for judging alone, never shown (migration 0010).

use std::collections::BTreeMap;

use sqlx::PgConnection;
use uuid::Uuid;

use super::StoreError;
use crate::domain::person::Born;
use crate::domain::predicate::Mention;

/// Whose these personal numbers are.
pub(crate) async fn persons_of(
    connection: &mut PgConnection,
    numbers: &[String],
) -> Result<BTreeMap<String, Uuid>, StoreError> {
    let rows = sqlx::query!(
        "SELECT personal_number, person_id FROM personal_numbers WHERE personal_number = ANY ($1)",
        numbers,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.personal_number, row.person_id))
        .collect())
}

/// What entries say of the birth of these persons.
pub(crate) async fn births_told(connection: &mut PgConnection, persons: &[Uuid]) -> Result<Vec<Mention>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT person_id AS "person_id!", is_own AS "is_own!", birth_year, birth_month, birth_day,
                  record_time AS "record_time!: jiff_sqlx::Timestamp"
           FROM civil_births_told($1)"#,
        persons,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            let born = match row.birth_year {
                None => None,
                Some(year) => {
                    let (month, day) = (row.birth_month.unwrap_or_default(), row.birth_day.unwrap_or_default());
                    let born = Born::of_numbers(year.into(), month.into(), day.into());
                    Some(born.ok_or(StoreError::Inconsistent {
                        table: "person_particulars",
                        column: "birth_year",
                    })?)
                }
            };
            Ok::<_, StoreError>(Mention {
                person_id: row.person_id,
                is_own: row.is_own,
                born,
                record_time: row.record_time.to_jiff(),
            })
        })
        .collect()
}

/// Those of these persons beside whose birth something of these kinds is noted.
pub(crate) async fn noted(
    connection: &mut PgConnection,
    persons: &[Uuid],
    kinds: &[i16],
) -> Result<Vec<Uuid>, StoreError> {
    let noted = sqlx::query_scalar!(
        r#"SELECT noted AS "noted!" FROM civil_noted($1, $2) AS noted"#,
        persons,
        kinds,
    )
    .fetch_all(connection)
    .await?;
    Ok(noted)
}
