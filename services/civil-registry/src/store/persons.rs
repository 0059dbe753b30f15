//! `persons`, `personal_numbers`, `person_particulars`, `family_relations`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;
use uuid::Uuid;

use super::StoreError;
use crate::domain::entry::{Particulars, Relation, RelationKind};
use crate::domain::person::{Born, Sex};

/// Whose these numbers are: those that nobody has yet become those of the ids beside them. In the order of the numbers, so that two registrations
/// that name the same persons wait for one another in one order.
pub(crate) async fn claim(
    connection: &mut PgConnection,
    wanted: &BTreeMap<String, Uuid>,
    now: Timestamp,
) -> Result<BTreeMap<String, Uuid>, StoreError> {
    let (numbers, persons): (Vec<String>, Vec<Uuid>) = wanted.iter().map(|(number, id)| (number.clone(), *id)).unzip();
    sqlx::query!(
        "INSERT INTO personal_numbers (personal_number, person_id, record_time)
         SELECT w.personal_number, w.person_id, $3::timestamptz
         FROM unnest($1::text[], $2::uuid[]) WITH ORDINALITY AS w (personal_number, person_id, place)
         ORDER BY w.place
         ON CONFLICT (personal_number) DO NOTHING",
        &numbers,
        &persons,
        now.to_sqlx() as _,
    )
    .execute(&mut *connection)
    .await?;
    // A statement of its own: it sees what another registration committed while it was waited for.
    let rows = sqlx::query!(
        "SELECT personal_number, person_id FROM personal_numbers WHERE personal_number = ANY ($1)",
        &numbers,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.personal_number, row.person_id))
        .collect())
}

/// New persons.
pub(crate) async fn insert(connection: &mut PgConnection, ids: &[Uuid], now: Timestamp) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO persons (person_id, create_time) SELECT w.person_id, $2::timestamptz FROM unnest($1::uuid[]) AS w (person_id)",
        ids,
        now.to_sqlx() as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The entry from which something is known, and when it was entered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source {
    pub(crate) entry_id: Uuid,
    pub(crate) unit_id: i32,
    pub(crate) record_time: Timestamp,
}

/// What an entry says of a person.
pub(crate) async fn add_particulars(
    connection: &mut PgConnection,
    source: Source,
    said: &Particulars,
) -> Result<(), StoreError> {
    let (year, month, day) = match said.born.map(Born::parts) {
        None => (None, None, None),
        Some((year, month, day)) => (Some(year), month, day),
    };
    sqlx::query!(
        "INSERT INTO person_particulars (person_id, entry_id, responsible_unit_id, full_name, sex, birth_year, birth_month, birth_day,
                                         ethnic_group, nationality, other_nationality, valid_from, record_time)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        said.person_id,
        source.entry_id,
        source.unit_id,
        said.full_name,
        said.sex.code(),
        year,
        month,
        day,
        said.ethnic_group,
        said.nationality,
        said.other_nationality,
        said.valid_from.to_sqlx() as _,
        source.record_time.to_sqlx() as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Who an entry says is whose parent or spouse.
pub(crate) async fn add_relation(
    connection: &mut PgConnection,
    source: Source,
    relation: &Relation,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO family_relations (relation_id, version, responsible_unit_id, kind, person_id, relative_id, valid_from, valid_to,
                                       entry_id, record_time)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        relation.relation_id,
        relation.version,
        source.unit_id,
        relation.kind.code(),
        relation.person_id,
        relation.relative_id,
        relation.valid_from.to_sqlx() as _,
        relation.valid_to.map(ToSqlx::to_sqlx) as _,
        source.entry_id,
        source.record_time.to_sqlx() as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// What these entries say of persons.
pub(crate) async fn particulars_of(
    connection: &mut PgConnection,
    entries: &[Uuid],
) -> Result<Vec<(Uuid, Particulars)>, StoreError> {
    let rows = sqlx::query!(
        "SELECT person_id, entry_id, full_name, sex, birth_year, birth_month, birth_day, ethnic_group, nationality, other_nationality,
                valid_from
         FROM person_particulars WHERE entry_id = ANY ($1)",
        entries,
    )
    .fetch_all(connection)
    .await?;
    let outside = |column| StoreError::Inconsistent {
        table: "person_particulars",
        column,
    };
    rows.into_iter()
        .map(|row| {
            let said = Particulars {
                person_id: row.person_id,
                full_name: row.full_name,
                sex: Sex::of_code(row.sex).ok_or_else(|| outside("sex"))?,
                born: match row.birth_year {
                    None => None,
                    Some(year) => {
                        let (month, day) = (row.birth_month.unwrap_or_default(), row.birth_day.unwrap_or_default());
                        let born = Born::of_numbers(year.into(), month.into(), day.into());
                        Some(born.ok_or_else(|| outside("birth_year"))?)
                    }
                },
                ethnic_group: row.ethnic_group,
                nationality: row.nationality,
                other_nationality: row.other_nationality,
                valid_from: row.valid_from.to_jiff(),
            };
            Ok::<_, StoreError>((row.entry_id, said))
        })
        .collect()
}

/// Who these entries say is whose parent or spouse; what became of it by annotations is theirs.
pub(crate) async fn relations_of(
    connection: &mut PgConnection,
    entries: &[Uuid],
) -> Result<Vec<(Uuid, Relation)>, StoreError> {
    let rows = sqlx::query!(
        "SELECT relation_id, version, kind, person_id, relative_id, valid_from, valid_to, entry_id
         FROM family_relations WHERE entry_id = ANY ($1) AND annotation_id IS NULL",
        entries,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            let relation = Relation {
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
            };
            Ok::<_, StoreError>((row.entry_id, relation))
        })
        .collect()
}
