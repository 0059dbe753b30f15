//! What is kept sealed, row by row, for sealing it anew.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use sqlx::PgConnection;
use uuid::Uuid;

use super::Result;

/// A column that holds sealed texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kept {
    /// Of exchanges.
    Bodies,
    /// Of messages in mailboxes.
    Mail,
    /// Of deliveries to partners.
    Messages,
    /// What partners answered.
    Answers,
}

impl Kept {
    /// All of them.
    pub(crate) const ALL: [Self; 4] = [Self::Bodies, Self::Mail, Self::Messages, Self::Answers];

    /// Its name where the job notes how far it has come.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Bodies => "exchange_bodies.sealed",
            Self::Mail => "mailbox_messages.content",
            Self::Messages => "deliveries.message",
            Self::Answers => "deliveries.answer",
        }
    }
}

/// A place in the order of a column's rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) id: Uuid,
    /// Of two texts of one id, which.
    pub(crate) part: String,
}

/// How far the job has come with a column.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) after: Place,
    pub(crate) sealed: i64,
    /// Texts that no key opens any more.
    pub(crate) lost: i64,
    pub(crate) finished: bool,
}

/// How far the job has come; from the beginning if it never began.
pub(crate) async fn progress(conn: &mut PgConnection, kept: Kept) -> Result<Progress> {
    let row = sqlx::query!(
        "SELECT after_id, after_part, sealed, lost, finish_time IS NOT NULL AS \"finished!\" FROM resealing WHERE kept = $1",
        kept.name(),
    )
    .fetch_optional(conn)
    .await?;
    Ok(row.map_or_else(Progress::default, |row| Progress {
        after: Place {
            id: row.after_id,
            part: row.after_part,
        },
        sealed: row.sealed,
        lost: row.lost,
        finished: row.finished,
    }))
}

/// Notes how far the job has come.
pub(crate) async fn note(conn: &mut PgConnection, kept: Kept, progress: &Progress, now: Timestamp) -> Result<()> {
    sqlx::query!(
        "INSERT INTO resealing (kept, after_id, after_part, sealed, lost, finish_time) VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (kept) DO UPDATE SET after_id = excluded.after_id, after_part = excluded.after_part, sealed = excluded.sealed,
             lost = excluded.lost, finish_time = excluded.finish_time",
        kept.name(),
        progress.after.id,
        progress.after.part,
        progress.sealed,
        progress.lost,
        progress.finished.then(|| now.to_sqlx()) as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A row, with its text if none of the known keys sealed it.
pub(crate) struct Row {
    pub(crate) place: Place,
    pub(crate) text: Option<Vec<u8>>,
}

/// The rows behind a place, at most so many. The id of the key stands in front of a sealed text: what was sealed with one of `known` stays
/// where it is, and is not even read.
///
/// None is locked: whoever fetches the messages of a mailbox passes by what somebody holds, and would be told that nothing waits.
pub(crate) async fn rows(
    conn: &mut PgConnection,
    kept: Kept,
    after: &Place,
    known: &[String],
    most: i64,
) -> Result<Vec<Row>> {
    // One shape of statement for each column; nothing in it comes from outside.
    let (from, id, part, column) = match kept {
        Kept::Bodies => ("exchange_bodies", "exchange_id", "direction", "sealed"),
        Kept::Mail => ("mailbox_messages", "message_id", "''", "content"),
        Kept::Messages => ("deliveries", "delivery_id", "''", "message"),
        Kept::Answers => ("deliveries", "delivery_id", "''", "answer"),
    };
    let order = if part == "''" {
        id.to_owned()
    } else {
        format!("{id}, {part}")
    };
    let behind = if part == "''" {
        format!("{id} > $1 AND $2 = $2")
    } else {
        format!("({id}, {part}) > ($1, $2)")
    };
    let statement = format!(
        "SELECT {id}, {part}::text,
                CASE WHEN {column} IS NULL OR length({column}) < 46 THEN NULL
                     WHEN encode(substr({column}, 3, get_byte({column}, 1)), 'escape') = ANY ($3) THEN NULL
                     ELSE {column} END
         FROM {from} WHERE {behind} ORDER BY {order} LIMIT $4"
    );
    let rows: Vec<(Uuid, String, Option<Vec<u8>>)> = sqlx::query_as(sqlx::AssertSqlSafe(statement))
        .bind(after.id)
        .bind(&after.part)
        .bind(known)
        .bind(most)
        .fetch_all(conn)
        .await?;
    Ok(rows
        .into_iter()
        .map(|(id, part, text)| Row {
            place: Place { id, part },
            text,
        })
        .collect())
}

/// Puts a text in the place of the one that was sealed before; false if that is not there any more, or another.
pub(crate) async fn replace(
    conn: &mut PgConnection,
    kept: Kept,
    place: &Place,
    (before, text): (&[u8], &[u8]),
) -> Result<bool> {
    let done = match kept {
        Kept::Bodies => {
            sqlx::query!(
                "UPDATE exchange_bodies SET sealed = $4 WHERE exchange_id = $1 AND direction = $2 AND sealed = $3",
                place.id,
                place.part,
                before,
                text,
            )
            .execute(conn)
            .await?
        }
        Kept::Mail => {
            sqlx::query!(
                "UPDATE mailbox_messages SET content = $3 WHERE message_id = $1 AND content = $2",
                place.id,
                before,
                text,
            )
            .execute(conn)
            .await?
        }
        Kept::Messages => {
            sqlx::query!(
                "UPDATE deliveries SET message = $3 WHERE delivery_id = $1 AND message = $2",
                place.id,
                before,
                text,
            )
            .execute(conn)
            .await?
        }
        Kept::Answers => {
            sqlx::query!(
                "UPDATE deliveries SET answer = $3 WHERE delivery_id = $1 AND answer = $2",
                place.id,
                before,
                text,
            )
            .execute(conn)
            .await?
        }
    };
    Ok(done.rows_affected() == 1)
}
