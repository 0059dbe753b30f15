//! `deaths`: rows are added and read, never changed. It has no wall: that somebody is dead must be known whichever commune registers.

use jiff::civil::Date;
use jiff_sqlx::ToSqlx as _;
use sqlx::PgConnection;
use uuid::Uuid;

use super::StoreError;
use super::persons::Source;
use crate::domain::death::KnownDeath;
use crate::domain::entry::{Relation, RelationKind};

/// Makes a death known.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    source: Source,
    death: &KnownDeath,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO deaths (person_id, day, entry_id, record_time) VALUES ($1, $2, $3, $4)",
        death.person_id,
        death.day.to_sqlx() as _,
        source.entry_id,
        source.record_time.to_sqlx() as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Who of these persons is known to be dead, since when.
pub(crate) async fn of_persons(
    connection: &mut PgConnection,
    persons: &[Uuid],
) -> Result<Vec<(Uuid, Date)>, StoreError> {
    let rows = sqlx::query!("SELECT person_id, day FROM deaths WHERE person_id = ANY ($1)", persons)
        .fetch_all(connection)
        .await?;
    Ok(rows.into_iter().map(|row| (row.person_id, row.day.to_jiff())).collect())
}

/// The deaths that these entries made known.
pub(crate) async fn of_entries(
    connection: &mut PgConnection,
    entries: &[Uuid],
) -> Result<Vec<(Uuid, KnownDeath)>, StoreError> {
    let rows = sqlx::query!(
        "SELECT person_id, day, entry_id FROM deaths WHERE entry_id = ANY ($1)",
        entries,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let death = KnownDeath {
                person_id: row.person_id,
                day: row.day.to_jiff(),
            };
            (row.entry_id, death)
        })
        .collect())
}

/// The marriages of a person that have no end yet, whichever communes entered them.
pub(crate) async fn standing_marriages(
    connection: &mut PgConnection,
    person_id: Uuid,
) -> Result<Vec<Relation>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT relation_id AS "relation_id!", version AS "version!", person_id AS "person_id!", relative_id AS "relative_id!",
                  valid_from AS "valid_from!"
           FROM civil_standing_marriages($1)"#,
        person_id,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Relation {
            relation_id: row.relation_id,
            version: row.version,
            kind: RelationKind::Spouse,
            person_id: row.person_id,
            relative_id: row.relative_id,
            valid_from: row.valid_from.to_jiff(),
            valid_to: None,
        })
        .collect())
}
