//! `mailboxes` and `mailbox_messages`. Every query filters by the caller's scope; row-level security is the second wall.

use egov_auth::RowScope;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use sqlx::PgConnection;
use uuid::Uuid;

use super::StoreError;
use crate::domain::mailbox::{Mailbox, Message, State};

struct MailboxRow {
    mailbox_id: Uuid,
    responsible_unit_id: i32,
    receiver_unit_id: i32,
    sender_agency: String,
    receiver_agency: String,
    max_age_seconds: i64,
    max_messages: i32,
    create_time: jiff_sqlx::Timestamp,
}

impl From<MailboxRow> for Mailbox {
    fn from(row: MailboxRow) -> Self {
        Self {
            id: row.mailbox_id,
            sender_unit: row.responsible_unit_id,
            receiver_unit: row.receiver_unit_id,
            sender_agency: row.sender_agency,
            receiver_agency: row.receiver_agency,
            max_age: std::time::Duration::from_secs(row.max_age_seconds.unsigned_abs()),
            max_messages: row.max_messages,
            create_time: row.create_time.to_jiff(),
        }
    }
}

/// Adds a mailbox; false if there is one between these two.
pub(crate) async fn insert(connection: &mut PgConnection, mailbox: &Mailbox) -> Result<bool, StoreError> {
    let made = sqlx::query!(
        "INSERT INTO mailboxes (mailbox_id, responsible_unit_id, receiver_unit_id, sender_agency, receiver_agency,
                                max_age_seconds, max_messages, create_time)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (responsible_unit_id, receiver_unit_id) DO NOTHING",
        mailbox.id,
        mailbox.sender_unit,
        mailbox.receiver_unit,
        mailbox.sender_agency,
        mailbox.receiver_agency,
        i64::try_from(mailbox.max_age.as_secs()).unwrap_or(i64::MAX),
        mailbox.max_messages,
        mailbox.create_time.to_sqlx() as _,
    )
    .execute(connection)
    .await?;
    Ok(made.rows_affected() == 1)
}

/// The mailboxes, as a row is read, that a condition chooses.
macro_rules! select_mailbox {
    ($which:literal $(, $value:expr)* $(,)?) => {
        sqlx::query_as!(
            MailboxRow,
            "SELECT mailbox_id, responsible_unit_id, receiver_unit_id, sender_agency, receiver_agency, max_age_seconds,
                max_messages, create_time
         FROM mailboxes " + $which
            $(, $value)*
        )
    };
}

/// A mailbox in the scope. Locked, senders follow one another: the limit holds.
pub(crate) async fn get(
    connection: &mut PgConnection,
    mailbox_id: Uuid,
    scope: &RowScope,
) -> Result<Option<Mailbox>, StoreError> {
    let row = select_mailbox!(
        "WHERE mailbox_id = $1 AND ($2 OR responsible_unit_id = ANY ($3) OR receiver_unit_id = ANY ($3))",
        mailbox_id,
        scope.all,
        &scope.units,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(Mailbox::from))
}

/// Mailboxes in the scope by id, behind an id.
pub(crate) async fn list(
    connection: &mut PgConnection,
    after: Option<Uuid>,
    limit: i64,
    scope: &RowScope,
) -> Result<Vec<Mailbox>, StoreError> {
    let rows = select_mailbox!(
        "WHERE mailbox_id > coalesce($1, '00000000-0000-0000-0000-000000000000'::uuid)
           AND ($2 OR responsible_unit_id = ANY ($3) OR receiver_unit_id = ANY ($3))
         ORDER BY mailbox_id LIMIT $4",
        after,
        scope.all,
        &scope.units,
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(Mailbox::from).collect())
}

/// How many messages of a mailbox wait, counted no further than its limit.
pub(crate) async fn waiting(connection: &mut PgConnection, mailbox: &Mailbox) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!"
           FROM (SELECT 1 FROM mailbox_messages WHERE mailbox_id = $1 AND state IN (1, 2) LIMIT $2) AS waiting"#,
        mailbox.id,
        i64::from(mailbox.max_messages),
    )
    .fetch_one(connection)
    .await?)
}

/// Adds a message with its sealed content.
pub(crate) async fn insert_message(
    connection: &mut PgConnection,
    message: &Message,
    sealed: &[u8],
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO mailbox_messages (message_id, mailbox_id, responsible_unit_id, receiver_unit_id, kind, media_type, content,
                                       sha256, state, due_time, expire_time, send_time, version, subject_ids, purpose)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 1, $9, $10, $9, 1, $11, $12)",
        message.id,
        message.mailbox,
        message.sender_unit,
        message.receiver_unit,
        message.kind,
        message.media_type,
        sealed,
        message.sha256,
        message.send_time.to_sqlx() as _,
        message.expire_time.to_sqlx() as _,
        &message.subjects,
        message.purpose,
    )
    .execute(connection)
    .await?;
    Ok(())
}

struct MessageRow {
    message_id: Uuid,
    mailbox_id: Uuid,
    responsible_unit_id: i32,
    receiver_unit_id: i32,
    kind: String,
    media_type: String,
    sha256: String,
    state: i16,
    attempts: i32,
    send_time: jiff_sqlx::Timestamp,
    expire_time: jiff_sqlx::Timestamp,
    fetch_time: Option<jiff_sqlx::Timestamp>,
    confirm_time: Option<jiff_sqlx::Timestamp>,
    receiver_reference: String,
    cause: String,
    version: i64,
    subject_ids: Vec<Uuid>,
    purpose: String,
}

impl From<MessageRow> for Message {
    fn from(row: MessageRow) -> Self {
        Self {
            id: row.message_id,
            mailbox: row.mailbox_id,
            sender_unit: row.responsible_unit_id,
            receiver_unit: row.receiver_unit_id,
            kind: row.kind,
            media_type: row.media_type,
            sha256: row.sha256,
            state: State::of(row.state),
            attempts: row.attempts,
            send_time: row.send_time.to_jiff(),
            expire_time: row.expire_time.to_jiff(),
            fetch_time: row.fetch_time.map(jiff_sqlx::Timestamp::to_jiff),
            confirm_time: row.confirm_time.map(jiff_sqlx::Timestamp::to_jiff),
            receiver_reference: row.receiver_reference,
            cause: row.cause,
            version: row.version,
            subjects: row.subject_ids,
            purpose: row.purpose,
        }
    }
}

/// Hands out what waits, oldest first, until an instant; each with its sealed content. At most so many messages and bytes, but one
/// message whatever its size.
pub(crate) async fn fetch(
    connection: &mut PgConnection,
    mailbox: Uuid,
    now: Timestamp,
    again: Timestamp,
    limit: i64,
    bytes: i64,
) -> Result<Vec<(Message, Vec<u8>)>, StoreError> {
    let rows = sqlx::query!(
        r#"UPDATE mailbox_messages m
           SET state = 2, attempts = m.attempts + 1, due_time = $3, fetch_time = coalesce(m.fetch_time, $2),
               version = m.version + 1
           WHERE m.message_id = ANY (ARRAY(
               SELECT s.message_id
               FROM (SELECT h.message_id, h.size, sum(h.size) OVER (ORDER BY h.due_time, h.message_id) AS size_so_far
                     FROM (SELECT w.message_id, w.due_time, octet_length(w.content) AS size FROM mailbox_messages w
                           WHERE w.mailbox_id = $1 AND w.state IN (1, 2) AND w.due_time <= $2 AND w.expire_time > $2
                           ORDER BY w.due_time, w.message_id LIMIT $4 FOR UPDATE SKIP LOCKED) AS h) AS s
               WHERE s.size_so_far <= $5 OR s.size_so_far = s.size))
           RETURNING m.message_id, m.mailbox_id, m.responsible_unit_id, m.receiver_unit_id, m.kind, m.media_type, m.sha256,
                     m.state, m.attempts, m.send_time, m.expire_time, m.fetch_time, m.confirm_time, m.receiver_reference,
                     m.cause, m.version, m.subject_ids, m.purpose, m.content"#,
        mailbox,
        now.to_sqlx() as _,
        again.to_sqlx() as _,
        limit,
        bytes,
    )
    .fetch_all(connection)
    .await?;
    let mut messages: Vec<(Message, Vec<u8>)> = rows
        .into_iter()
        .map(|row| {
            let message = MessageRow {
                message_id: row.message_id,
                mailbox_id: row.mailbox_id,
                responsible_unit_id: row.responsible_unit_id,
                receiver_unit_id: row.receiver_unit_id,
                kind: row.kind,
                media_type: row.media_type,
                sha256: row.sha256,
                state: row.state,
                attempts: row.attempts,
                send_time: row.send_time,
                expire_time: row.expire_time,
                fetch_time: row.fetch_time,
                confirm_time: row.confirm_time,
                receiver_reference: row.receiver_reference,
                cause: row.cause,
                version: row.version,
                subject_ids: row.subject_ids,
                purpose: row.purpose,
            };
            (message.into(), row.content.unwrap_or_default())
        })
        .collect();
    messages.sort_by_key(|(message, _)| (message.send_time, message.id));
    Ok(messages)
}

/// Undoes [`fetch`] for messages that could not be handed out after all. They come again no sooner than they would have, so that they
/// stand in nobody's way.
pub(crate) async fn put_back(connection: &mut PgConnection, messages: &[Uuid]) -> Result<(), StoreError> {
    if messages.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "UPDATE mailbox_messages
         SET state = CASE WHEN attempts = 1 THEN 1 ELSE 2 END, attempts = attempts - 1, version = version - 1,
             fetch_time = CASE WHEN attempts = 1 THEN NULL ELSE fetch_time END
         WHERE message_id = ANY ($1)",
        messages,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The messages, as a row is read, that a condition chooses.
macro_rules! select_message {
    ($which:literal $(, $value:expr)* $(,)?) => {
        sqlx::query_as!(
            MessageRow,
            "SELECT message_id, mailbox_id, responsible_unit_id, receiver_unit_id, kind, media_type, sha256, state, attempts,
                send_time, expire_time, fetch_time, confirm_time, receiver_reference, cause, version, subject_ids, purpose
         FROM mailbox_messages " + $which
            $(, $value)*
        )
    };
}

/// A message in the scope.
pub(crate) async fn get_message(
    connection: &mut PgConnection,
    message_id: Uuid,
    scope: &RowScope,
) -> Result<Option<Message>, StoreError> {
    let row = select_message!(
        "WHERE message_id = $1 AND ($2 OR responsible_unit_id = ANY ($3) OR receiver_unit_id = ANY ($3))",
        message_id,
        scope.all,
        &scope.units,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(Message::from))
}

/// The same, held until the transaction ends.
pub(crate) async fn lock_message(
    connection: &mut PgConnection,
    message_id: Uuid,
    scope: &RowScope,
) -> Result<Option<Message>, StoreError> {
    let row = select_message!(
        "WHERE message_id = $1 AND ($2 OR responsible_unit_id = ANY ($3) OR receiver_unit_id = ANY ($3))
         FOR UPDATE",
        message_id,
        scope.all,
        &scope.units,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(Message::from))
}

/// Stores what has become of a message. A confirmed one loses its content.
pub(crate) async fn update_message(
    connection: &mut PgConnection,
    message: &Message,
    due_time: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE mailbox_messages
         SET state = $2, attempts = $3, due_time = $4, expire_time = $5, confirm_time = $6, receiver_reference = $7, cause = $8,
             version = $9, content = CASE WHEN $2::smallint = 3 THEN NULL ELSE content END
         WHERE message_id = $1",
        message.id,
        message.state.code(),
        message.attempts,
        due_time.to_sqlx() as _,
        message.expire_time.to_sqlx() as _,
        message.confirm_time.map(jiff_sqlx::ToSqlx::to_sqlx) as _,
        message.receiver_reference,
        message.cause,
        message.version,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Messages of a mailbox that were given up, by id, behind an id.
pub(crate) async fn dead(
    connection: &mut PgConnection,
    mailbox: Uuid,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Message>, StoreError> {
    let rows = select_message!(
        "WHERE mailbox_id = $1 AND state = 4
           AND message_id > coalesce($2, '00000000-0000-0000-0000-000000000000'::uuid)
         ORDER BY message_id LIMIT $3",
        mailbox,
        after,
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(Message::from).collect())
}

/// Messages that nobody confirmed in time, held until the transaction ends.
pub(crate) async fn expired(
    connection: &mut PgConnection,
    now: Timestamp,
    limit: i64,
) -> Result<Vec<Message>, StoreError> {
    let rows = select_message!(
        "WHERE state IN (1, 2) AND expire_time <= $1 ORDER BY expire_time LIMIT $2 FOR UPDATE SKIP LOCKED",
        now.to_sqlx() as _,
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(Message::from).collect())
}

/// Messages after one, by id, for the verification.
pub(crate) async fn messages_after(
    connection: &mut PgConnection,
    after: Uuid,
    limit: i64,
) -> Result<Vec<Message>, StoreError> {
    let rows = select_message!("WHERE message_id > $1 ORDER BY message_id LIMIT $2", after, limit)
        .fetch_all(connection)
        .await?;
    Ok(rows.into_iter().map(Message::from).collect())
}
