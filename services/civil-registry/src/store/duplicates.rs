//! `duplicate_words`, `duplicates`, `duplicate_rulings`: rows are added and read, never changed.

use egov_auth::RowScope;
use jiff_sqlx::ToSqlx as _;
use sqlx::PgConnection;
use uuid::Uuid;

use super::StoreError;
use crate::domain::duplicate::{Duplicate, KeptPart, KeptRuling, Side};
use crate::domain::matching::verdict::{Ruling, Verdict};

fn outside(table: &'static str, column: &'static str) -> StoreError {
    StoreError::Inconsistent { table, column }
}

/// Lets those who register births of this kind at this commune, or who decide, take turns until the end of the transaction.
pub(crate) async fn take_turn(connection: &mut PgConnection, whose: &str) -> Result<(), StoreError> {
    sqlx::query!(
        "SELECT pg_advisory_xact_lock(hashtextextended('civil_registry.duplicates ' || $1, 0))::text",
        whose,
    )
    .fetch_one(connection)
    .await?;
    Ok(())
}

/// Keeps a birth under these words.
pub(crate) async fn keep(
    connection: &mut PgConnection,
    (entry_id, unit_id): (Uuid, i32),
    words: &[String],
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO duplicate_words (word, entry_id, responsible_unit_id)
         SELECT w.word, $2::uuid, $3::integer FROM unnest($1::text[]) AS w (word)
         ON CONFLICT DO NOTHING",
        words,
        entry_id,
        unit_id,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The births in the scope that are kept under some of these words, those first that are kept under most. A statement of its own, so that it sees what
/// was committed while the turn was awaited.
pub(crate) async fn under(
    connection: &mut PgConnection,
    words: &[String],
    scope: &RowScope,
    limit: i64,
) -> Result<Vec<Uuid>, StoreError> {
    let found = sqlx::query_scalar!(
        "SELECT entry_id FROM duplicate_words
         WHERE word = ANY ($1) AND ($2 OR responsible_unit_id = ANY ($3))
         GROUP BY entry_id
         ORDER BY count(*) DESC, entry_id
         LIMIT $4",
        words,
        scope.all,
        &scope.units,
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(found)
}

/// A new pair; `parts` are its reasons, as they are kept.
pub(crate) async fn insert(connection: &mut PgConnection, pair: &Duplicate, parts: &str) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO duplicates (duplicate_id, responsible_unit_id, entry_id, person_id, other_unit_id, other_entry_id, other_person_id,
                                 points, parts, record_time)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        pair.duplicate_id,
        pair.later.unit_id,
        pair.later.entry_id,
        pair.later.person_id,
        pair.earlier.unit_id,
        pair.earlier.entry_id,
        pair.earlier.person_id,
        pair.points,
        parts,
        pair.record_time.to_sqlx() as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// A row of `duplicates`.
struct Row {
    duplicate_id: Uuid,
    responsible_unit_id: i32,
    entry_id: Uuid,
    person_id: Uuid,
    other_unit_id: i32,
    other_entry_id: Uuid,
    other_person_id: Uuid,
    points: i32,
    parts: String,
    record_time: jiff_sqlx::Timestamp,
}

impl TryFrom<Row> for Duplicate {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let parts: Vec<KeptPart> = serde_json::from_str(&row.parts).map_err(|_| outside("duplicates", "parts"))?;
        Ok(Self {
            duplicate_id: row.duplicate_id,
            later: Side {
                unit_id: row.responsible_unit_id,
                entry_id: row.entry_id,
                person_id: row.person_id,
            },
            earlier: Side {
                unit_id: row.other_unit_id,
                entry_id: row.other_entry_id,
                person_id: row.other_person_id,
            },
            points: row.points,
            parts,
            record_time: row.record_time.to_jiff(),
        })
    }
}

/// A pair of which the scope holds both communes.
pub(crate) async fn get(
    connection: &mut PgConnection,
    duplicate_id: Uuid,
    scope: &RowScope,
) -> Result<Option<Duplicate>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        "SELECT duplicate_id, responsible_unit_id, entry_id, person_id, other_unit_id, other_entry_id, other_person_id, points, parts,
                record_time
         FROM duplicates
         WHERE duplicate_id = $1 AND ($2 OR (responsible_unit_id = ANY ($3) AND other_unit_id = ANY ($3)))",
        duplicate_id,
        scope.all,
        &scope.units,
    )
    .fetch_optional(connection)
    .await?;
    row.map(Duplicate::try_from).transpose()
}

/// One page of the pairs of which the scope holds both communes, those with the most points first. Decided ones only if they are asked for.
pub(crate) async fn list(
    connection: &mut PgConnection,
    with_decided: bool,
    scope: &RowScope,
    (points, duplicate_id): (i32, Uuid),
    limit: i64,
) -> Result<Vec<Duplicate>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT duplicate_id, responsible_unit_id, entry_id, person_id, other_unit_id, other_entry_id, other_person_id, points, parts,
                record_time
         FROM duplicates AS d
         WHERE ($2 OR (responsible_unit_id = ANY ($3) AND other_unit_id = ANY ($3)))
           AND (points < $4 OR (points = $4 AND duplicate_id > $5))
           AND ($1 OR coalesce((SELECT r.verdict FROM duplicate_rulings AS r WHERE r.duplicate_id = d.duplicate_id
                                ORDER BY r.position DESC LIMIT 1), 3) = 3)
         ORDER BY points DESC, duplicate_id
         LIMIT $6",
        with_decided,
        scope.all,
        &scope.units,
        points,
        duplicate_id,
        limit,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(Duplicate::try_from).collect()
}

/// A new decision.
pub(crate) async fn rule(connection: &mut PgConnection, kept: &KeptRuling) -> Result<(), StoreError> {
    let ruling = &kept.ruling;
    sqlx::query!(
        "INSERT INTO duplicate_rulings (ruling_id, duplicate_id, responsible_unit_id, position, one_id, other_id, verdict, reason, actor_id,
                                        actor_kind, record_time)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        kept.ruling_id,
        kept.duplicate_id,
        kept.unit_id,
        kept.position,
        ruling.one,
        ruling.other,
        ruling.verdict.code(),
        ruling.reason,
        ruling.decided_by,
        kept.actor_kind,
        ruling.time.to_sqlx() as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// A row of `duplicate_rulings`.
struct RulingRow {
    ruling_id: Uuid,
    duplicate_id: Uuid,
    responsible_unit_id: i32,
    position: i32,
    one_id: Uuid,
    other_id: Uuid,
    verdict: i16,
    reason: String,
    actor_id: Uuid,
    actor_kind: String,
    record_time: jiff_sqlx::Timestamp,
}

impl TryFrom<RulingRow> for KeptRuling {
    type Error = StoreError;

    fn try_from(row: RulingRow) -> Result<Self, StoreError> {
        Ok(Self {
            ruling_id: row.ruling_id,
            duplicate_id: row.duplicate_id,
            unit_id: row.responsible_unit_id,
            position: row.position,
            ruling: Ruling {
                one: row.one_id,
                other: row.other_id,
                verdict: Verdict::of_code(row.verdict).ok_or_else(|| outside("duplicate_rulings", "verdict"))?,
                reason: row.reason,
                decided_by: row.actor_id,
                time: row.record_time.to_jiff(),
            },
            actor_kind: row.actor_kind,
        })
    }
}

/// The decisions in the scope of pairs in which one of these persons stands, in the order in which they were taken.
pub(crate) async fn rulings_about(
    connection: &mut PgConnection,
    persons: &[Uuid],
    scope: &RowScope,
) -> Result<Vec<KeptRuling>, StoreError> {
    let rows = sqlx::query_as!(
        RulingRow,
        "SELECT ruling_id, duplicate_id, responsible_unit_id, position, one_id, other_id, verdict, reason, actor_id, actor_kind, record_time
         FROM duplicate_rulings
         WHERE (one_id = ANY ($1) OR other_id = ANY ($1)) AND ($2 OR responsible_unit_id = ANY ($3))
         ORDER BY record_time, duplicate_id, position",
        persons,
        scope.all,
        &scope.units,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(KeptRuling::try_from).collect()
}

/// The last decision in the scope on each of these pairs.
pub(crate) async fn last_rulings(
    connection: &mut PgConnection,
    pairs: &[Uuid],
    scope: &RowScope,
) -> Result<Vec<KeptRuling>, StoreError> {
    let rows = sqlx::query_as!(
        RulingRow,
        "SELECT DISTINCT ON (duplicate_id) ruling_id, duplicate_id, responsible_unit_id, position, one_id, other_id, verdict, reason, actor_id,
                actor_kind, record_time
         FROM duplicate_rulings
         WHERE duplicate_id = ANY ($1) AND ($2 OR responsible_unit_id = ANY ($3))
         ORDER BY duplicate_id, position DESC",
        pairs,
        scope.all,
        &scope.units,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(KeptRuling::try_from).collect()
}

/// Some decisions after an id, in the order of ids, for the verification.
pub(crate) async fn rulings_after(
    connection: &mut PgConnection,
    ruling_id: Uuid,
    limit: i64,
) -> Result<Vec<KeptRuling>, StoreError> {
    let rows = sqlx::query_as!(
        RulingRow,
        "SELECT ruling_id, duplicate_id, responsible_unit_id, position, one_id, other_id, verdict, reason, actor_id, actor_kind, record_time
         FROM duplicate_rulings
         WHERE ruling_id > $1
         ORDER BY ruling_id
         LIMIT $2",
        ruling_id,
        limit,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(KeptRuling::try_from).collect()
}
