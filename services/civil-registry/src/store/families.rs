//! `family_relations` as a family: read across communes for judging alone, changed by annotations.

use egov_auth::RowScope;
use jiff::civil::Date;
use jiff_sqlx::ToSqlx;
use sqlx::PgConnection;
use uuid::Uuid;

use super::StoreError;
use super::persons::Source;
use crate::domain::entry::{Relation, RelationKind};

/// A row of `family_relations`.
struct Row {
    relation_id: Uuid,
    version: i64,
    kind: i16,
    person_id: Uuid,
    relative_id: Uuid,
    valid_from: jiff_sqlx::Date,
    valid_to: Option<jiff_sqlx::Date>,
}

fn outside() -> StoreError {
    StoreError::Inconsistent {
        table: "family_relations",
        column: "kind",
    }
}

impl TryFrom<Row> for Relation {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            relation_id: row.relation_id,
            version: row.version,
            kind: RelationKind::of_code(row.kind).ok_or_else(outside)?,
            person_id: row.person_id,
            relative_id: row.relative_id,
            valid_from: row.valid_from.to_jiff(),
            valid_to: row.valid_to.map(jiff_sqlx::Date::to_jiff),
        })
    }
}

/// Lets those who marry these persons, or change their marriages, parents or guardians, take turns until the end of the transaction, whichever communes
/// they are. In the order of the ids, so that two who name the same persons wait for one another in one order.
pub(crate) async fn take_turn(connection: &mut PgConnection, persons: &[Uuid]) -> Result<(), StoreError> {
    let mut ordered = persons.to_vec();
    ordered.sort_unstable();
    ordered.dedup();
    for person in ordered {
        sqlx::query!(
            "SELECT pg_advisory_xact_lock(hashtextextended('civil_registry.marriages ' || $1, 0))::text",
            person.to_string(),
        )
        .fetch_one(&mut *connection)
        .await?;
    }
    Ok(())
}

/// What the registry knows of the families of these persons, whichever communes entered it, each relation as it stands: for judging alone. A statement
/// of its own, so that it sees what was committed while the turn was awaited.
pub(crate) async fn of(
    connection: &mut PgConnection,
    persons: &[Uuid],
    steps: i32,
) -> Result<Vec<Relation>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT relation_id AS "relation_id!", version AS "version!", kind AS "kind!", person_id AS "person_id!",
                  relative_id AS "relative_id!", valid_from AS "valid_from!", valid_to
           FROM civil_family($1, $2)"#,
        persons,
        steps,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(Relation::try_from).collect()
}

/// The relations of these kinds that these persons have to others, whichever communes entered them, each as it stands: for judging alone.
pub(crate) async fn standing_of(
    connection: &mut PgConnection,
    persons: &[Uuid],
    kinds: &[RelationKind],
) -> Result<Vec<Relation>, StoreError> {
    let kinds: Vec<i16> = kinds.iter().map(|kind| kind.code()).collect();
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT relation_id AS "relation_id!", version AS "version!", kind AS "kind!", person_id AS "person_id!",
                  relative_id AS "relative_id!", valid_from AS "valid_from!", valid_to
           FROM civil_relations_of($1, $2)"#,
        persons,
        &kinds,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(Relation::try_from).collect()
}

/// Those of these persons who have a parent by a recognition or an adoption, of any commune.
pub(crate) async fn parents_guarded(connection: &mut PgConnection, persons: &[Uuid]) -> Result<Vec<Uuid>, StoreError> {
    let guarded = sqlx::query_scalar!(
        r#"SELECT guarded AS "guarded!" FROM civil_parents_guarded($1) AS guarded"#,
        persons,
    )
    .fetch_all(connection)
    .await?;
    Ok(guarded)
}

/// Those of these persons of whom it is noted by this day that their capacity is lost or limited.
pub(crate) async fn capacity_noted(
    connection: &mut PgConnection,
    persons: &[Uuid],
    until: Date,
) -> Result<Vec<Uuid>, StoreError> {
    let noted = sqlx::query_scalar!(
        r#"SELECT noted AS "noted!" FROM civil_capacity_noted($1, $2) AS noted"#,
        persons,
        until.to_sqlx() as _,
    )
    .fetch_all(connection)
    .await?;
    Ok(noted)
}

/// The marriage that an entry in the scope tells of, as the entry made it: what became of it may be known from elsewhere.
pub(crate) async fn marriage_of(
    connection: &mut PgConnection,
    entry_id: Uuid,
    scope: &RowScope,
) -> Result<Option<Relation>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        "SELECT relation_id, version, kind, person_id, relative_id, valid_from, valid_to
         FROM family_relations
         WHERE entry_id = $1 AND kind = 5 AND ($2 OR responsible_unit_id = ANY ($3))
         ORDER BY version
         LIMIT 1",
        entry_id,
        scope.all,
        &scope.units,
    )
    .fetch_optional(connection)
    .await?;
    row.map(Relation::try_from).transpose()
}

/// What became of a relation by an annotation.
pub(crate) async fn add_by_annotation(
    connection: &mut PgConnection,
    source: Source,
    annotation_id: Uuid,
    relation: &Relation,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO family_relations (relation_id, version, responsible_unit_id, kind, person_id, relative_id, valid_from, valid_to,
                                       entry_id, annotation_id, record_time)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        relation.relation_id,
        relation.version,
        source.unit_id,
        relation.kind.code(),
        relation.person_id,
        relation.relative_id,
        relation.valid_from.to_sqlx() as _,
        relation.valid_to.map(ToSqlx::to_sqlx) as _,
        source.entry_id,
        annotation_id,
        source.record_time.to_sqlx() as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// What became of relations by these annotations.
pub(crate) async fn changed_by(
    connection: &mut PgConnection,
    annotations: &[Uuid],
) -> Result<Vec<(Uuid, Relation)>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT annotation_id AS "annotation_id!", relation_id, version, kind, person_id, relative_id, valid_from, valid_to
           FROM family_relations WHERE annotation_id = ANY ($1)
           ORDER BY annotation_id, relation_id, version"#,
        annotations,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter()
        .map(|row| {
            let relation = Relation::try_from(Row {
                relation_id: row.relation_id,
                version: row.version,
                kind: row.kind,
                person_id: row.person_id,
                relative_id: row.relative_id,
                valid_from: row.valid_from,
                valid_to: row.valid_to,
            })?;
            Ok::<_, StoreError>((row.annotation_id, relation))
        })
        .collect()
}
