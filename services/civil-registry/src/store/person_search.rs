//! `person_tokens`: the words of names, by which persons are found within a scope.

use egov_auth::RowScope;
use sqlx::PgConnection;
use uuid::Uuid;

use super::StoreError;
use super::persons::Source;
use crate::domain::entry::Particulars;
use crate::domain::person::{Born, PersonName};
use crate::domain::person_search::{WantedWords, beside, words};

/// The year under which a name is kept of whose birth nothing is known.
const NO_YEAR: i16 = 0;

/// A walk of one word and year in the order of persons. It ends with the page, and sees in the index what else is asked.
const NAMED: &str = "SELECT person_id FROM person_tokens
    WHERE token = $1 AND birth_year = $2 AND person_id > $3 AND ($4 OR responsible_unit_id = ANY ($5)) AND words LIKE $6
      AND ($7::uuid IS NULL OR person_id = $7)
    GROUP BY person_id
    ORDER BY person_id
    LIMIT $8";

/// A name that is looked for.
#[derive(Clone)]
pub(crate) struct WantedName {
    pub(crate) words: WantedWords,
    pub(crate) birth_year: i16,
}

/// What an entry says of a person, as that which it is found by. Nothing is added for a name in which there is no word.
pub(crate) async fn add(connection: &mut PgConnection, source: Source, said: &Particulars) -> Result<(), StoreError> {
    // A name that is kept was read when it came in.
    let Ok(name) = PersonName::read(&said.full_name) else {
        return Ok(());
    };
    let tokens = words(&name);
    sqlx::query!(
        "INSERT INTO person_tokens (token, birth_year, person_id, responsible_unit_id, words)
         SELECT w.token, $2::smallint, $3::uuid, $4::integer, $5::text FROM unnest($1::text[]) AS w (token)
         ON CONFLICT DO NOTHING",
        &tokens,
        said.born.map_or(NO_YEAR, Born::year),
        said.person_id,
        source.unit_id,
        beside(&tokens),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Persons of whom an entry in the scope tells a name with all these words and this year of birth, after an id, by id; of one person only if it is named.
pub(crate) async fn named(
    connection: &mut PgConnection,
    wanted: &WantedName,
    person_id: Option<Uuid>,
    scope: &RowScope,
    page: (Uuid, i64),
) -> Result<Vec<Uuid>, StoreError> {
    let (after, limit) = page;
    let rows = sqlx::query(NAMED)
        .bind(&wanted.words.lead)
        .bind(wanted.birth_year)
        .bind(after)
        .bind(scope.all)
        .bind(&scope.units)
        .bind(&wanted.words.pattern)
        .bind(person_id)
        .bind(limit)
        .fetch_all(connection)
        .await?;
    rows.iter()
        .map(|row| sqlx::Row::try_get(row, 0).map_err(StoreError::from))
        .collect()
}

/// Whose a personal number is; whether anything of the person is seen is asked where it is read.
pub(crate) async fn numbered(connection: &mut PgConnection, number: &str) -> Result<Option<Uuid>, StoreError> {
    let found = sqlx::query_scalar!(
        "SELECT person_id FROM personal_numbers WHERE personal_number = $1",
        number,
    )
    .fetch_optional(connection)
    .await?;
    Ok(found)
}

/// The newest that entries in the scope tell of the name and birth of each of these persons, by person; neither the sex nor by which entry it is told,
/// since a change of sex is guarded.
pub(crate) async fn newest(
    connection: &mut PgConnection,
    persons: &[Uuid],
    scope: &RowScope,
) -> Result<Vec<Found>, StoreError> {
    let rows = sqlx::query!(
        "SELECT DISTINCT ON (person_id) person_id, full_name, birth_year, birth_month, birth_day
         FROM person_particulars
         WHERE person_id = ANY ($1) AND ($2 OR responsible_unit_id = ANY ($3))
         ORDER BY person_id, record_time DESC, entry_id DESC",
        persons,
        scope.all,
        &scope.units,
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
            Ok::<_, StoreError>(Found {
                person_id: row.person_id,
                full_name: row.full_name,
                born,
            })
        })
        .collect()
}

/// A person that was found.
pub(crate) struct Found {
    pub(crate) person_id: Uuid,
    pub(crate) full_name: String,
    pub(crate) born: Option<Born>,
}

#[cfg(test)]
#[path = "person_search_plans.rs"]
mod plans;
