//! `person_particulars` and `family_relations` by person, within a scope.

use egov_auth::RowScope;
use sqlx::PgConnection;
use uuid::Uuid;

use super::StoreError;
use crate::domain::as_of::Told;
use crate::domain::entry::{Particulars, Relation, RelationKind};
use crate::domain::person::{Born, Sex};

/// What the entries in the scope say of a person, in the order in which it became known.
pub(crate) async fn particulars(
    connection: &mut PgConnection,
    person_id: Uuid,
    scope: &RowScope,
) -> Result<Vec<Told<Particulars>>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT person_id, entry_id, full_name, sex, birth_year, birth_month, birth_day, ethnic_group, nationality, other_nationality,
                  valid_from AS "valid_from: jiff_sqlx::Date", record_time AS "record_time: jiff_sqlx::Timestamp"
           FROM person_particulars
           WHERE person_id = $1 AND ($2 OR responsible_unit_id = ANY ($3))
           ORDER BY record_time, entry_id"#,
        person_id,
        scope.all,
        &scope.units,
    )
    .fetch_all(connection)
    .await?;
    let outside = |column| StoreError::Inconsistent {
        table: "person_particulars",
        column,
    };
    rows.into_iter()
        .map(|row| {
            let born = match row.birth_year {
                None => None,
                Some(year) => {
                    let (month, day) = (row.birth_month.unwrap_or_default(), row.birth_day.unwrap_or_default());
                    let born = Born::of_numbers(year.into(), month.into(), day.into());
                    Some(born.ok_or_else(|| outside("birth_year"))?)
                }
            };
            Ok::<_, StoreError>(Told {
                entry_id: row.entry_id,
                record_time: row.record_time.to_jiff(),
                what: Particulars {
                    person_id: row.person_id,
                    full_name: row.full_name,
                    sex: Sex::of_code(row.sex).ok_or_else(|| outside("sex"))?,
                    born,
                    ethnic_group: row.ethnic_group,
                    nationality: row.nationality,
                    other_nationality: row.other_nationality,
                    valid_from: row.valid_from.to_jiff(),
                },
            })
        })
        .collect()
}

/// The relations of a person, on either side, that entries in the scope tell of, with every version; adoptive parents (3), and what the books of
/// recognitions (5) and adoptions (7) tell, within the narrower scope of what is guarded.
pub(crate) async fn relations(
    connection: &mut PgConnection,
    person_id: Uuid,
    scope: &RowScope,
    guarded: &RowScope,
) -> Result<Vec<Told<Relation>>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT relation_id, version, kind, person_id, relative_id, entry_id, valid_from AS "valid_from: jiff_sqlx::Date",
                  valid_to AS "valid_to: jiff_sqlx::Date", record_time AS "record_time: jiff_sqlx::Timestamp"
           FROM family_relations r
           WHERE (person_id = $1 OR relative_id = $1) AND ($2 OR responsible_unit_id = ANY ($3))
             AND ($4 OR responsible_unit_id = ANY ($5)
                  OR (kind <> 3 AND NOT EXISTS (SELECT FROM entries e WHERE e.entry_id = r.entry_id AND e.event IN (5, 7))))
           ORDER BY relation_id, version"#,
        person_id,
        scope.all,
        &scope.units,
        guarded.all,
        &guarded.units,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok::<_, StoreError>(Told {
                entry_id: row.entry_id,
                record_time: row.record_time.to_jiff(),
                what: Relation {
                    relation_id: row.relation_id,
                    version: row.version,
                    kind: RelationKind::of_code(row.kind).ok_or(StoreError::Inconsistent {
                        table: "family_relations",
                        column: "kind",
                    })?,
                    person_id: row.person_id,
                    relative_id: row.relative_id,
                    valid_from: row.valid_from.to_jiff(),
                    valid_to: row.valid_to.map(jiff_sqlx::Date::to_jiff),
                },
            })
        })
        .collect()
}

/// Of these persons those of whom an entry in the scope tells, by id.
pub(crate) async fn told_of(
    connection: &mut PgConnection,
    persons: &[Uuid],
    scope: &RowScope,
) -> Result<Vec<Uuid>, StoreError> {
    let told = sqlx::query_scalar!(
        "SELECT DISTINCT person_id FROM person_particulars
         WHERE person_id = ANY ($1) AND ($2 OR responsible_unit_id = ANY ($3))
         ORDER BY person_id",
        persons,
        scope.all,
        &scope.units,
    )
    .fetch_all(connection)
    .await?;
    Ok(told)
}
