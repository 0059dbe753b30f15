//! Quầy giao dịch: `counter_groups`, `queue_tickets`, `queue_acts`.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff_sqlx::ToSqlx as _;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Postgres, QueryBuilder, Row as _};
use uuid::Uuid;

use super::{StoreError, one_row};
use crate::domain::counters::{CounterGroup, Ticket, TicketState};

const GROUP: &str = "group_id, responsible_unit_id, code, name, letter, counters, open, version";
const TICKET: &str = "ticket_id, responsible_unit_id, group_id, day, number, label, priority, rank, state, counter, calls, \
                      take_time, call_time, finish_time, version";

fn group(row: &PgRow) -> Result<CounterGroup, StoreError> {
    Ok(CounterGroup {
        group_id: row.try_get("group_id")?,
        unit_id: row.try_get("responsible_unit_id")?,
        code: row.try_get("code")?,
        name: row.try_get("name")?,
        letter: row.try_get("letter")?,
        counters: row.try_get("counters")?,
        open: row.try_get("open")?,
        version: row.try_get("version")?,
    })
}

fn ticket(row: &PgRow) -> Result<Ticket, StoreError> {
    let instant = |name: &str| {
        row.try_get::<Option<jiff_sqlx::Timestamp>, _>(name)
            .map(|time| time.map(jiff_sqlx::Timestamp::to_jiff))
    };
    Ok(Ticket {
        ticket_id: row.try_get("ticket_id")?,
        unit_id: row.try_get("responsible_unit_id")?,
        group_id: row.try_get("group_id")?,
        day: row.try_get::<jiff_sqlx::Date, _>("day")?.to_jiff(),
        number: row.try_get("number")?,
        label: row.try_get("label")?,
        priority: row.try_get("priority")?,
        rank: row.try_get("rank")?,
        state: TicketState::of_code(row.try_get("state")?).ok_or(StoreError::Inconsistent {
            table: "queue_tickets",
            column: "state",
        })?,
        counter: row.try_get("counter")?,
        calls: row.try_get("calls")?,
        take_time: row.try_get::<jiff_sqlx::Timestamp, _>("take_time")?.to_jiff(),
        call_time: instant("call_time")?,
        finish_time: instant("finish_time")?,
        version: row.try_get("version")?,
    })
}

/// A group of one of these units; held until the transaction ends if it is to be changed.
pub(crate) async fn get_group(
    connection: &mut PgConnection,
    group_id: Uuid,
    units: &[i32],
    for_update: bool,
) -> Result<Option<CounterGroup>, StoreError> {
    let mut query = QueryBuilder::<Postgres>::new(format!("SELECT {GROUP} FROM counter_groups WHERE group_id = "));
    query
        .push_bind(group_id)
        .push(" AND responsible_unit_id = ANY (")
        .push_bind(units)
        .push(")");
    if for_update {
        query.push(" FOR UPDATE");
    }
    let row = query.build().fetch_optional(connection).await?;
    row.as_ref().map(group).transpose()
}

/// One page of the groups of these units, by unit and code.
pub(crate) async fn list_groups(
    connection: &mut PgConnection,
    units: &[i32],
    after: Option<&(i32, String)>,
    limit: i64,
) -> Result<Vec<CounterGroup>, StoreError> {
    let rows = groups_query("", units, after, limit)
        .build()
        .fetch_all(connection)
        .await?;
    rows.iter().map(group).collect()
}

pub(super) fn groups_query(
    explain: &str,
    units: &[i32],
    after: Option<&(i32, String)>,
    limit: i64,
) -> QueryBuilder<Postgres> {
    let mut query = QueryBuilder::new(explain);
    query.push(format_args!(
        "SELECT {GROUP} FROM counter_groups WHERE responsible_unit_id = ANY ("
    ));
    query.push_bind(units.to_vec()).push(")");
    if let Some((unit_id, code)) = after {
        query.push(" AND (responsible_unit_id, code) > (").push_bind(*unit_id);
        query.push(", ").push_bind(code.clone()).push(")");
    }
    query
        .push(" ORDER BY responsible_unit_id, code LIMIT ")
        .push_bind(limit);
    query
}

/// Keeps a group: a new one, or the next version of one.
pub(crate) async fn put_group(
    connection: &mut PgConnection,
    group: &CounterGroup,
    now: Timestamp,
) -> Result<(), StoreError> {
    let changed = sqlx::query!(
        r#"
        INSERT INTO counter_groups AS g (group_id, responsible_unit_id, code, name, letter, counters, open, version,
                                         create_time, update_time)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)
        ON CONFLICT (group_id) DO UPDATE
        SET code = EXCLUDED.code, name = EXCLUDED.name, letter = EXCLUDED.letter, counters = EXCLUDED.counters,
            open = EXCLUDED.open, version = EXCLUDED.version, update_time = EXCLUDED.update_time
        WHERE g.version = EXCLUDED.version - 1
        "#,
        group.group_id,
        group.unit_id,
        group.code,
        group.name,
        group.letter,
        group.counters,
        group.open,
        group.version,
        now.to_sqlx() as _,
    )
    .execute(connection)
    .await?;
    one_row("counter_groups", changed.rows_affected())
}

/// A new ticket.
pub(crate) async fn insert_ticket(connection: &mut PgConnection, ticket: &Ticket) -> Result<(), StoreError> {
    sqlx::query!(
        r#"
        INSERT INTO queue_tickets (ticket_id, responsible_unit_id, group_id, day, number, label, priority, rank, state, calls,
                                   take_time, version)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, $10, $11)
        "#,
        ticket.ticket_id,
        ticket.unit_id,
        ticket.group_id,
        ticket.day.to_sqlx() as _,
        ticket.number,
        ticket.label,
        ticket.priority,
        ticket.rank,
        ticket.state.code(),
        ticket.take_time.to_sqlx() as _,
        ticket.version,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The waiting ticket that is next, held until the transaction ends. One that somebody else is calling right now is passed over,
/// so that two who call at once get two.
pub(crate) async fn next_waiting(
    connection: &mut PgConnection,
    group_id: Uuid,
    day: Date,
) -> Result<Option<Ticket>, StoreError> {
    let mut query = QueryBuilder::<Postgres>::new(format!("SELECT {TICKET} FROM queue_tickets WHERE group_id = "));
    query.push_bind(group_id).push(" AND day = ").push_bind(day.to_sqlx());
    query.push(" AND state = 1 ORDER BY rank, number LIMIT 1 FOR UPDATE SKIP LOCKED");
    let row = query.build().fetch_optional(connection).await?;
    row.as_ref().map(ticket).transpose()
}

/// A ticket of a day at one of these units, held until the transaction ends.
pub(crate) async fn get_ticket(
    connection: &mut PgConnection,
    ticket_id: Uuid,
    day: Date,
    units: &[i32],
) -> Result<Option<Ticket>, StoreError> {
    let mut query = QueryBuilder::<Postgres>::new(format!("SELECT {TICKET} FROM queue_tickets WHERE ticket_id = "));
    query.push_bind(ticket_id).push(" AND day = ").push_bind(day.to_sqlx());
    query
        .push(" AND responsible_unit_id = ANY (")
        .push_bind(units)
        .push(") FOR UPDATE");
    let row = query.build().fetch_optional(connection).await?;
    row.as_ref().map(ticket).transpose()
}

/// Stores what an act made of a ticket.
pub(crate) async fn save_ticket(connection: &mut PgConnection, after: &Ticket) -> Result<(), StoreError> {
    let changed = sqlx::query!(
        r#"
        UPDATE queue_tickets
        SET state = $3, counter = $4, calls = $5, call_time = $6, finish_time = $7, version = $8
        WHERE ticket_id = $1 AND version = $2
        "#,
        after.ticket_id,
        after.version - 1,
        after.state.code(),
        after.counter,
        after.calls,
        after.call_time.map(jiff_sqlx::ToSqlx::to_sqlx) as _,
        after.finish_time.map(jiff_sqlx::ToSqlx::to_sqlx) as _,
        after.version,
    )
    .execute(connection)
    .await?;
    one_row("queue_tickets", changed.rows_affected())
}

/// How many wait in a group, and how many of them are called before a rank and number.
pub(crate) async fn waiting(
    connection: &mut PgConnection,
    group_id: Uuid,
    day: Date,
    before: (i16, i32),
) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM queue_tickets
           WHERE group_id = $1 AND day = $2 AND state = 1 AND (rank, number) < ($3, $4)"#,
        group_id,
        day.to_sqlx() as _,
        before.0,
        before.1,
    )
    .fetch_one(connection)
    .await?)
}

/// One page of a group's tickets of a day, by number.
pub(crate) async fn list_tickets(
    connection: &mut PgConnection,
    group_id: Uuid,
    day: Date,
    state: Option<TicketState>,
    after: i32,
    limit: i64,
) -> Result<Vec<Ticket>, StoreError> {
    let rows = tickets_query("", group_id, day, state, after, limit)
        .build()
        .fetch_all(connection)
        .await?;
    rows.iter().map(ticket).collect()
}

pub(super) fn tickets_query(
    explain: &str,
    group_id: Uuid,
    day: Date,
    state: Option<TicketState>,
    after: i32,
    limit: i64,
) -> QueryBuilder<Postgres> {
    let mut query = QueryBuilder::new(explain);
    query.push(format_args!("SELECT {TICKET} FROM queue_tickets WHERE group_id = "));
    query.push_bind(group_id).push(" AND day = ").push_bind(day.to_sqlx());
    query.push(" AND number > ").push_bind(after);
    if let Some(state) = state {
        query.push(" AND state = ").push_bind(state.code());
    }
    query.push(" ORDER BY number LIMIT ").push_bind(limit);
    query
}

/// What the board of a unit shows of a group: nothing but numbers.
pub(crate) struct BoardRow {
    pub(crate) name: String,
    /// Label, counter, how often called.
    pub(crate) calls: Vec<(String, i32, i32)>,
    pub(crate) waiting: i64,
}

/// The board of a unit on a day, by code of the group.
pub(crate) async fn board(connection: &mut PgConnection, unit_id: i32, day: Date) -> Result<Vec<BoardRow>, StoreError> {
    let rows = sqlx::query!(
        r#"
        SELECT g.name,
               (SELECT count(*) FROM queue_tickets t WHERE t.group_id = g.group_id AND t.day = $2 AND t.state = 1) AS "waiting!",
               coalesce(c.labels, '{}') AS "labels!", coalesce(c.counters, '{}') AS "counters!", coalesce(c.calls, '{}') AS "calls!"
        FROM counter_groups g
        LEFT JOIN LATERAL (
            SELECT array_agg(t.label ORDER BY t.counter) AS labels, array_agg(t.counter ORDER BY t.counter) AS counters,
                   array_agg(t.calls ORDER BY t.counter) AS calls
            FROM queue_tickets t WHERE t.group_id = g.group_id AND t.day = $2 AND t.state = 2
        ) AS c ON true
        WHERE g.responsible_unit_id = $1
        ORDER BY g.code
        "#,
        unit_id,
        day.to_sqlx() as _,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| BoardRow {
            name: row.name,
            calls: row
                .labels
                .into_iter()
                .zip(row.counters)
                .zip(row.calls)
                .map(|((label, counter), calls)| (label, counter, calls))
                .collect(),
            waiting: row.waiting,
        })
        .collect())
}

/// What was done, with the bytes to which the ledger commits.
pub(crate) struct Act<'a> {
    pub(crate) unit_id: i32,
    pub(crate) kind: &'static str,
    pub(crate) resource_id: Uuid,
    pub(crate) version: i64,
    pub(crate) name: &'static str,
    pub(crate) actor_id: Uuid,
    pub(crate) actor_kind: &'static str,
    pub(crate) content: &'a str,
    pub(crate) now: Timestamp,
}

/// Appends what was done.
pub(crate) async fn append(connection: &mut PgConnection, act: &Act<'_>) -> Result<(), StoreError> {
    sqlx::query!(
        r#"
        INSERT INTO queue_acts (responsible_unit_id, kind, resource_id, version, act, actor_id, actor_kind, record_time, content)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
        "#,
        act.unit_id,
        act.kind,
        act.resource_id,
        act.version,
        act.name,
        act.actor_id,
        act.actor_kind,
        act.now.to_sqlx() as _,
        act.content,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Everything that was done, for the verification of the ledger: kind, resource, version, content.
pub(crate) async fn acts(connection: &mut PgConnection) -> Result<Vec<(String, Uuid, i64, Vec<u8>)>, StoreError> {
    let rows = sqlx::query!("SELECT kind, resource_id, version, content FROM queue_acts ORDER BY resource_id, version")
        .fetch_all(connection)
        .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.kind, row.resource_id, row.version, row.content.into_bytes()))
        .collect())
}
