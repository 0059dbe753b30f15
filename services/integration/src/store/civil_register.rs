//! `register_entries`, `register_changes`, `register_reconciliations`, `register_differences` and their history. What a caller reads is filtered by the
//! caller's scope; row-level security is the second wall.

use egov_auth::RowScope;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff_sqlx::ToSqlx as _;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{StoreError, inconsistent, one_row};
use crate::domain::civil_register::{
    DifferenceKind, EntryFilter, ReceivedChange, RegisterDifference, RegisterEntry, RegisterRun, RegisterTally,
};
use crate::domain::delivery::State;
use crate::domain::reconciliation::{DifferenceFilter, Handling, RunState};

/// What was handed in of an entry.
#[derive(Clone, Debug)]
pub(crate) struct Told<'a> {
    pub(crate) entry_id: Uuid,
    pub(crate) unit_id: i32,
    pub(crate) kind: i16,
    pub(crate) year: i32,
    pub(crate) number: i32,
    pub(crate) version: i64,
    /// By what its content is known again.
    pub(crate) digest: &'a str,
    pub(crate) time: Timestamp,
    /// The persons of whom it tells.
    pub(crate) subjects: &'a [Uuid],
}

/// Notes what was handed in, under the lock of its matter. What is handed in again is not acknowledged any more.
pub(crate) async fn told(connection: &mut PgConnection, told: &Told<'_>) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO register_entries AS known
             (entry_id, responsible_unit_id, kind, year, number, told_version, told_digest, told_time)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT (entry_id) DO UPDATE
         SET acknowledged_version = CASE WHEN known.told_version < EXCLUDED.told_version THEN known.acknowledged_version END,
             acknowledged_time = CASE WHEN known.told_version < EXCLUDED.told_version THEN known.acknowledged_time END,
             told_version = EXCLUDED.told_version, told_digest = EXCLUDED.told_digest, told_time = EXCLUDED.told_time",
        told.entry_id,
        told.unit_id,
        told.kind,
        told.year,
        told.number,
        told.version,
        told.digest,
        told.time.to_sqlx() as _,
    )
    .execute(&mut *connection)
    .await?;
    sqlx::query!(
        "INSERT INTO register_subjects (person_id, entry_id, responsible_unit_id)
         SELECT person_id, $2, $3 FROM unnest($1::uuid[]) AS person_id
         ON CONFLICT (person_id, entry_id) DO NOTHING",
        told.subjects,
        told.entry_id,
        told.unit_id,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Notes that the register has acknowledged a version; what is older changes nothing, and neither does the same version with another content than was told
/// last.
pub(crate) async fn acknowledged(
    connection: &mut PgConnection,
    entry_id: Uuid,
    (version, digest): (i64, &str),
    at: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE register_entries SET acknowledged_version = $2::bigint, acknowledged_time = $4
         WHERE entry_id = $1 AND coalesce(acknowledged_version, 0) <= $2::bigint
           AND (told_version <> $2::bigint OR told_digest = $3)",
        entry_id,
        version,
        digest,
        at.to_sqlx() as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Notes that the register does not have what it acknowledged: a comparison found so.
pub(crate) async fn doubted(connection: &mut PgConnection, entry_id: Uuid) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE register_entries SET acknowledged_version = NULL, acknowledged_time = NULL WHERE entry_id = $1",
        entry_id,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// When an entry was handed in last, and the unit that keeps its book; none if it never was.
pub(crate) async fn told_time(
    connection: &mut PgConnection,
    entry_id: Uuid,
) -> Result<Option<(Timestamp, i32)>, StoreError> {
    let told = sqlx::query!(
        "SELECT told_time, responsible_unit_id FROM register_entries WHERE entry_id = $1",
        entry_id,
    )
    .fetch_optional(connection)
    .await?;
    Ok(told.map(|row| (row.told_time.to_jiff(), row.responsible_unit_id)))
}

/// Whether any entry of a unit's books of a kind and year was ever handed in.
pub(crate) async fn is_told_of(
    connection: &mut PgConnection,
    (unit_id, kind, year): (i32, i16, i32),
) -> Result<bool, StoreError> {
    let told = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT 1 FROM register_entries
                          WHERE responsible_unit_id = $1 AND kind = $2 AND year = $3) AS "told!""#,
        unit_id,
        kind,
        year,
    )
    .fetch_one(connection)
    .await?;
    Ok(told)
}

/// The agency code (mã cơ quan) that is a unit's today, the one that it has for the longest time.
pub(crate) async fn agency_code(
    connection: &mut PgConnection,
    unit_id: i32,
    today: Date,
) -> Result<Option<String>, StoreError> {
    let code = sqlx::query_scalar!(
        "SELECT c.code FROM organisation_codes c JOIN organisations o USING (organisation_id)
         WHERE o.unit_id = $1 AND c.valid_from <= $2 AND (c.valid_to IS NULL OR c.valid_to > $2)
         ORDER BY c.valid_from, c.code LIMIT 1",
        unit_id,
        today.to_sqlx() as _,
    )
    .fetch_optional(connection)
    .await?;
    Ok(code)
}

/// The unit whose an agency code is, or was last.
pub(crate) async fn unit_of_agency(connection: &mut PgConnection, code: &str) -> Result<Option<i32>, StoreError> {
    let unit = sqlx::query_scalar!(
        "SELECT o.unit_id FROM organisation_codes c JOIN organisations o USING (organisation_id)
         WHERE c.code = $1 AND o.unit_id IS NOT NULL
         ORDER BY (c.valid_to IS NULL) DESC, c.valid_from DESC LIMIT 1",
        code,
    )
    .fetch_optional(connection)
    .await?;
    Ok(unit.flatten())
}

/// The entry at a place in the books of a unit, with the unit.
pub(crate) async fn at_place(
    connection: &mut PgConnection,
    unit_id: i32,
    (kind, year, number): (i16, i32, i32),
) -> Result<Vec<(Uuid, i32)>, StoreError> {
    let rows = sqlx::query!(
        "SELECT entry_id, responsible_unit_id FROM register_entries
         WHERE responsible_unit_id = $1 AND kind = $2 AND year = $3 AND number = $4 ORDER BY entry_id",
        unit_id,
        kind,
        year,
        number,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.entry_id, row.responsible_unit_id))
        .collect())
}

/// The entries that tell of a person, with their units, at most so many.
pub(crate) async fn of_person(
    connection: &mut PgConnection,
    person_id: Uuid,
    most: i64,
) -> Result<Vec<(Uuid, i32)>, StoreError> {
    let rows = sqlx::query!(
        "SELECT entry_id, responsible_unit_id FROM register_subjects WHERE person_id = $1 ORDER BY entry_id LIMIT $2",
        person_id,
        most,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.entry_id, row.responsible_unit_id))
        .collect())
}

struct EntryRow {
    entry_id: Uuid,
    responsible_unit_id: i32,
    kind: i16,
    year: i32,
    number: i32,
    told_version: i64,
    told_time: jiff_sqlx::Timestamp,
    acknowledged_version: Option<i64>,
    acknowledged_time: Option<jiff_sqlx::Timestamp>,
    delivery_id: Option<Uuid>,
    delivery_state: Option<i16>,
    problem: Option<String>,
}

/// One page of the entries in the scope, told last first.
pub(crate) async fn list_entries(
    connection: &mut PgConnection,
    scope: &RowScope,
    filter: EntryFilter,
    after: Option<(Timestamp, Uuid)>,
    most: i64,
) -> Result<Vec<RegisterEntry>, StoreError> {
    let rows = sqlx::query_as!(
        EntryRow,
        r#"SELECT s.entry_id, s.responsible_unit_id, s.kind, s.year, s.number, s.told_version, s.told_time, s.acknowledged_version,
                  s.acknowledged_time, d.delivery_id AS "delivery_id?", d.state AS "delivery_state?", d.problem AS "problem?"
           FROM (SELECT * FROM register_entries e
                 WHERE ($1 OR e.responsible_unit_id = ANY($2)) AND ($3::int IS NULL OR e.responsible_unit_id = $3)
                   AND (NOT $4 OR e.acknowledged_version IS DISTINCT FROM e.told_version)
                   AND ($5::timestamptz IS NULL OR (e.told_time, e.entry_id) < ($5, $6))
                 ORDER BY e.told_time DESC, e.entry_id DESC LIMIT $7) s
           LEFT JOIN LATERAL (
               SELECT delivery_id, state, problem FROM deliveries
               WHERE partner = 'civil-status-register' AND act = 'tell_entry' AND order_key = s.entry_id::text
               ORDER BY sequence DESC LIMIT 1
           ) d ON true
           ORDER BY s.told_time DESC, s.entry_id DESC"#,
        scope.all,
        &scope.units,
        filter.unit_id,
        filter.waiting,
        after.map(|(at, _)| at.to_sqlx()) as _,
        after.map(|(_, id)| id),
        most,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| RegisterEntry {
            entry_id: row.entry_id,
            unit_id: row.responsible_unit_id,
            kind: row.kind,
            year: row.year,
            number: row.number,
            told_version: row.told_version,
            told_time: row.told_time.to_jiff(),
            acknowledged_version: row.acknowledged_version,
            acknowledged_time: row.acknowledged_time.map(jiff_sqlx::Timestamp::to_jiff),
            delivery: row
                .delivery_id
                .zip(row.delivery_state)
                .map(|(id, state)| (id, state, row.problem.unwrap_or_default())),
        })
        .collect())
}

/// How far the register's changes were received; empty before the first.
pub(crate) async fn cursor(connection: &mut PgConnection) -> Result<String, StoreError> {
    let place = sqlx::query_scalar!("SELECT place FROM register_cursor")
        .fetch_optional(connection)
        .await?;
    Ok(place.unwrap_or_default())
}

/// Moves it.
pub(crate) async fn move_cursor(connection: &mut PgConnection, place: &str, at: Timestamp) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO register_cursor (place, update_time) VALUES ($1, $2)
         ON CONFLICT (is_the_one) DO UPDATE SET place = EXCLUDED.place, update_time = EXCLUDED.update_time",
        place,
        at.to_sqlx() as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Keeps a change with its sealed content; false if it was received before.
pub(crate) async fn insert_change(
    connection: &mut PgConnection,
    new: &ReceivedChange,
    content: &[u8],
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "INSERT INTO register_changes
             (change_id, register_key, responsible_unit_id, content, matched_by, entry_ids, person_id, receive_time)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT (register_key) DO NOTHING",
        new.id,
        new.register_key,
        new.unit_id,
        content,
        new.matched_by,
        &new.entry_ids,
        new.person_id,
        new.receive_time.to_sqlx() as _,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// One page of the received changes in the scope with their sealed contents, received last first.
pub(crate) async fn list_changes(
    connection: &mut PgConnection,
    scope: &RowScope,
    unit_id: Option<i32>,
    after: Option<(Timestamp, Uuid)>,
    most: i64,
) -> Result<Vec<(ReceivedChange, Vec<u8>)>, StoreError> {
    let rows = sqlx::query!(
        "SELECT change_id, register_key, responsible_unit_id, content, matched_by, entry_ids, person_id, receive_time
         FROM register_changes
         WHERE ($1 OR responsible_unit_id = ANY($2)) AND ($3::int IS NULL OR responsible_unit_id = $3)
           AND ($4::timestamptz IS NULL OR (receive_time, change_id) < ($4, $5))
         ORDER BY receive_time DESC, change_id DESC LIMIT $6",
        scope.all,
        &scope.units,
        unit_id,
        after.map(|(at, _)| at.to_sqlx()) as _,
        after.map(|(_, id)| id),
        most,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let change = ReceivedChange {
                id: row.change_id,
                register_key: row.register_key,
                unit_id: row.responsible_unit_id,
                matched_by: row.matched_by,
                entry_ids: row.entry_ids,
                person_id: row.person_id,
                receive_time: row.receive_time.to_jiff(),
            };
            (change, row.content)
        })
        .collect())
}

struct RunRow {
    reconciliation_id: Uuid,
    responsible_unit_id: i32,
    year: i32,
    repair: bool,
    own_day: Option<jiff_sqlx::Date>,
    state: i16,
    compared: i32,
    equal: i32,
    waiting: i32,
    differing: i32,
    attempts: i32,
    problem: String,
    due_time: jiff_sqlx::Timestamp,
    actor: String,
    version: i64,
    create_time: jiff_sqlx::Timestamp,
    end_time: Option<jiff_sqlx::Timestamp>,
}

impl TryFrom<RunRow> for RegisterRun {
    type Error = StoreError;

    fn try_from(row: RunRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.reconciliation_id,
            unit_id: row.responsible_unit_id,
            year: row.year,
            repair: row.repair,
            own_day: row.own_day.map(jiff_sqlx::Date::to_jiff),
            state: RunState::from_number(row.state).ok_or(inconsistent("register_reconciliations", "state"))?,
            tally: RegisterTally {
                compared: row.compared,
                equal: row.equal,
                waiting: row.waiting,
                differing: row.differing,
            },
            attempts: row.attempts,
            problem: row.problem,
            due_time: row.due_time.to_jiff(),
            actor: row.actor,
            version: row.version,
            create_time: row.create_time.to_jiff(),
            end_time: row.end_time.map(jiff_sqlx::Timestamp::to_jiff),
        })
    }
}

/// Adds a reconciliation; false if the job's own of its unit, year and day is there.
pub(crate) async fn insert_run(connection: &mut PgConnection, new: &RegisterRun) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "INSERT INTO register_reconciliations
             (reconciliation_id, responsible_unit_id, year, repair, own_day, state, compared, equal, waiting, differing, attempts,
              problem, due_time, actor, version, create_time)
         VALUES ($1, $2, $3, $4, $5, $6, 0, 0, 0, 0, $7, $8, $9, $10, $11, $12)
         ON CONFLICT (responsible_unit_id, year, own_day) WHERE own_day IS NOT NULL DO NOTHING",
        new.id,
        new.unit_id,
        new.year,
        new.repair,
        new.own_day.map(jiff_sqlx::ToSqlx::to_sqlx) as _,
        new.state as i16,
        new.attempts,
        new.problem,
        new.due_time.to_sqlx() as _,
        new.actor,
        new.version,
        new.create_time.to_sqlx() as _,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Writes what became of a reconciliation, if nobody else has meanwhile.
pub(crate) async fn update_run(connection: &mut PgConnection, changed: &RegisterRun) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE register_reconciliations
         SET state = $3, compared = $4, equal = $5, waiting = $6, differing = $7, attempts = $8, problem = $9, due_time = $10,
             version = $2::bigint, end_time = $11
         WHERE reconciliation_id = $1 AND version = $2::bigint - 1",
        changed.id,
        changed.version,
        changed.state as i16,
        changed.tally.compared,
        changed.tally.equal,
        changed.tally.waiting,
        changed.tally.differing,
        changed.attempts,
        changed.problem,
        changed.due_time.to_sqlx() as _,
        changed.end_time.map(jiff_sqlx::ToSqlx::to_sqlx) as _,
    )
    .execute(connection)
    .await?;
    one_row("register_reconciliations", done.rows_affected())
}

/// The units whose books of a year the job compares next: those with an agency code today that it has not asked for after `before`, longest ago first. A day has
/// the share of one in `every` days, of which what was asked for today is taken off.
pub(crate) async fn own_turn(
    connection: &mut PgConnection,
    year: i32,
    (today, before): (Date, Date),
    every: i64,
) -> Result<Vec<i32>, StoreError> {
    let units = sqlx::query_scalar!(
        r#"WITH held AS (
               SELECT DISTINCT o.unit_id FROM organisations o
               WHERE o.unit_id IS NOT NULL
                 AND EXISTS (SELECT 1 FROM organisation_codes c
                             WHERE c.organisation_id = o.organisation_id AND c.valid_from <= $2
                               AND (c.valid_to IS NULL OR c.valid_to > $2))
           ), asked AS (
               SELECT h.unit_id,
                      (SELECT max(r.own_day) FROM register_reconciliations r
                       WHERE r.responsible_unit_id = h.unit_id AND r.year = $1 AND r.own_day IS NOT NULL) AS last_day
               FROM held h
           )
           SELECT a.unit_id AS "unit_id!" FROM asked a
           WHERE a.last_day IS NULL OR a.last_day <= $3
           ORDER BY a.last_day NULLS FIRST, a.unit_id
           LIMIT greatest(0, (SELECT (count(*) + $4::bigint - 1) / $4::bigint - count(*) FILTER (WHERE last_day = $2)
                              FROM asked))"#,
        year,
        today.to_sqlx() as _,
        before.to_sqlx() as _,
        every,
    )
    .fetch_all(connection)
    .await?;
    Ok(units)
}

/// The reconciliations, as a row is read, that a condition chooses.
macro_rules! select_run {
    ($which:literal $(, $value:expr)* $(,)?) => {
        sqlx::query_as!(
            RunRow,
            "SELECT reconciliation_id, responsible_unit_id, year, repair, own_day, state, compared, equal, waiting, differing,
                attempts, problem, due_time, actor, version, create_time, end_time
         FROM register_reconciliations " + $which
            $(, $value)*
        )
    };
}

/// A reconciliation in the scope.
pub(crate) async fn run(
    connection: &mut PgConnection,
    scope: &RowScope,
    id: Uuid,
) -> Result<Option<RegisterRun>, StoreError> {
    let row = select_run!(
        "WHERE reconciliation_id = $1 AND ($2 OR responsible_unit_id = ANY($3))",
        id,
        scope.all,
        &scope.units,
    )
    .fetch_optional(connection)
    .await?;
    row.map(RegisterRun::try_from).transpose()
}

/// The reconciliation that has waited longest of those that are due.
pub(crate) async fn due_run(connection: &mut PgConnection, now: Timestamp) -> Result<Option<RegisterRun>, StoreError> {
    let row = select_run!(
        "WHERE state = 1 AND due_time <= $1 ORDER BY due_time, reconciliation_id LIMIT 1",
        now.to_sqlx() as _,
    )
    .fetch_optional(connection)
    .await?;
    row.map(RegisterRun::try_from).transpose()
}

/// The reconciliations after one, by id.
pub(crate) async fn runs_after(
    connection: &mut PgConnection,
    after: Uuid,
    most: i64,
) -> Result<Vec<RegisterRun>, StoreError> {
    let rows = select_run!(
        "WHERE reconciliation_id > $1 ORDER BY reconciliation_id LIMIT $2",
        after,
        most,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(RegisterRun::try_from).collect()
}

struct DifferenceRow {
    difference_id: Uuid,
    reconciliation_id: Uuid,
    responsible_unit_id: i32,
    register_key: String,
    entry_id: Option<Uuid>,
    registration_kind: i16,
    year: i32,
    number: String,
    kind: i16,
    fields: Vec<String>,
    state: i16,
    delivery_id: Option<Uuid>,
    delivery_state: Option<i16>,
    reason: String,
    actor: String,
    version: i64,
    find_time: jiff_sqlx::Timestamp,
    update_time: jiff_sqlx::Timestamp,
}

impl TryFrom<DifferenceRow> for RegisterDifference {
    type Error = StoreError;

    fn try_from(row: DifferenceRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.difference_id,
            reconciliation_id: row.reconciliation_id,
            unit_id: row.responsible_unit_id,
            register_key: row.register_key,
            entry_id: row.entry_id,
            registration_kind: row.registration_kind,
            year: row.year,
            number: row.number,
            kind: DifferenceKind::from_number(row.kind).ok_or(inconsistent("register_differences", "kind"))?,
            fields: row.fields,
            handling: Handling::from_number(row.state).ok_or(inconsistent("register_differences", "state"))?,
            delivery_id: row.delivery_id,
            delivery_state: row.delivery_state.and_then(State::from_number),
            reason: row.reason,
            actor: row.actor,
            version: row.version,
            find_time: row.find_time.to_jiff(),
            update_time: row.update_time.to_jiff(),
        })
    }
}

/// Adds a difference; false if this reconciliation has found it already.
pub(crate) async fn insert_difference(
    connection: &mut PgConnection,
    new: &RegisterDifference,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "INSERT INTO register_differences
             (difference_id, reconciliation_id, responsible_unit_id, register_key, entry_id, registration_kind, year, number, kind,
              fields, state, delivery_id, reason, actor, version, find_time, update_time)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
         ON CONFLICT (reconciliation_id, register_key) DO NOTHING",
        new.id,
        new.reconciliation_id,
        new.unit_id,
        new.register_key,
        new.entry_id,
        new.registration_kind,
        new.year,
        new.number,
        new.kind as i16,
        &new.fields,
        new.handling as i16,
        new.delivery_id,
        new.reason,
        new.actor,
        new.version,
        new.find_time.to_sqlx() as _,
        new.update_time.to_sqlx() as _,
    )
    .execute(connection)
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Writes what became of a difference, if nobody else has meanwhile.
pub(crate) async fn update_difference(
    connection: &mut PgConnection,
    changed: &RegisterDifference,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE register_differences
         SET state = $3, delivery_id = $4, reason = $5, actor = $6, version = $2::bigint, update_time = $7
         WHERE difference_id = $1 AND version = $2::bigint - 1",
        changed.id,
        changed.version,
        changed.handling as i16,
        changed.delivery_id,
        changed.reason,
        changed.actor,
        changed.update_time.to_sqlx() as _,
    )
    .execute(connection)
    .await?;
    one_row("register_differences", done.rows_affected())
}

/// How many differences a reconciliation has found.
pub(crate) async fn count_differences(
    connection: &mut PgConnection,
    reconciliation_id: Uuid,
) -> Result<i32, StoreError> {
    let count = sqlx::query_scalar!(
        r#"SELECT count(*)::int AS "count!" FROM register_differences WHERE reconciliation_id = $1"#,
        reconciliation_id,
    )
    .fetch_one(connection)
    .await?;
    Ok(count)
}

/// The differences, as a row is read with what became of the repair, that a condition chooses.
macro_rules! select_difference {
    ($which:literal $(, $value:expr)* $(,)?) => {
        sqlx::query_as!(
            DifferenceRow,
            r#"SELECT f.difference_id, f.reconciliation_id, f.responsible_unit_id, f.register_key, f.entry_id, f.registration_kind, f.year,
                  f.number, f.kind, f.fields, f.state, f.delivery_id, r.state AS "delivery_state?", f.reason, f.actor, f.version,
                  f.find_time, f.update_time
           FROM register_differences f
           LEFT JOIN LATERAL (
               -- The delivery that repairs it, or what was told of the entry last, if that delivery did not go through.
               SELECT CASE WHEN d.state = 3 THEN d.state ELSE e.state END AS state
               FROM deliveries d
               JOIN deliveries e ON e.partner = d.partner AND e.order_key = d.order_key AND e.act = d.act AND e.sequence >= d.sequence
               WHERE d.delivery_id = f.delivery_id
               ORDER BY e.sequence DESC LIMIT 1
           ) r ON true "# + $which
            $(, $value)*
        )
    };
}

/// A difference in the scope.
pub(crate) async fn difference(
    connection: &mut PgConnection,
    scope: &RowScope,
    id: Uuid,
) -> Result<Option<RegisterDifference>, StoreError> {
    let row = select_difference!(
        "WHERE f.difference_id = $1 AND ($2 OR f.responsible_unit_id = ANY($3))",
        id,
        scope.all,
        &scope.units,
    )
    .fetch_optional(connection)
    .await?;
    row.map(RegisterDifference::try_from).transpose()
}

/// One page of the differences in the scope, found last first.
pub(crate) async fn list_differences(
    connection: &mut PgConnection,
    scope: &RowScope,
    filter: DifferenceFilter,
    after: Option<(Timestamp, Uuid)>,
    most: i64,
) -> Result<Vec<RegisterDifference>, StoreError> {
    let rows = select_difference!(
        "WHERE ($1 OR f.responsible_unit_id = ANY($2)) AND ($3::uuid IS NULL OR f.reconciliation_id = $3)
             AND (NOT $4 OR (f.state IN (1, 2) AND (f.state = 1 OR r.state IN (5, 6))))
             AND (f.find_time, f.difference_id)
                 < (coalesce($5, 'infinity'::timestamptz), coalesce($6, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid))
           ORDER BY f.find_time DESC, f.difference_id DESC LIMIT $7",
        scope.all,
        &scope.units,
        filter.reconciliation_id,
        filter.open,
        after.map(|(at, _)| at.to_sqlx()) as _,
        after.map(|(_, id)| id),
        most,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(RegisterDifference::try_from).collect()
}

/// The differences after one, by id.
pub(crate) async fn differences_after(
    connection: &mut PgConnection,
    after: Uuid,
    most: i64,
) -> Result<Vec<RegisterDifference>, StoreError> {
    let rows = select_difference!(
        "WHERE f.difference_id > $1 ORDER BY f.difference_id LIMIT $2",
        after,
        most,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(RegisterDifference::try_from).collect()
}

/// A version of a received change, reconciliation or difference as it was recorded: what its leaf commits to.
#[derive(Clone, Debug)]
pub(crate) struct RecordedVersion {
    pub(crate) kind: String,
    pub(crate) id: Uuid,
    pub(crate) version: i64,
    pub(crate) document: String,
}

/// Records a version, word for word.
pub(crate) async fn append_history(
    connection: &mut PgConnection,
    recorded: &RecordedVersion,
    unit_id: i32,
    at: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO register_history (kind, resource_id, version, responsible_unit_id, document, record_time)
         VALUES ($1, $2, $3, $4, $5, $6)",
        recorded.kind,
        recorded.id,
        recorded.version,
        unit_id,
        recorded.document,
        at.to_sqlx() as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The recorded versions after one.
pub(crate) async fn recorded_after(
    connection: &mut PgConnection,
    (kind, id, version): (&str, Uuid, i64),
    most: i64,
) -> Result<Vec<RecordedVersion>, StoreError> {
    let rows = sqlx::query_as!(
        RecordedVersion,
        "SELECT kind, resource_id AS id, version, document FROM register_history
         WHERE (kind, resource_id, version) > ($1, $2, $3) ORDER BY kind, resource_id, version LIMIT $4",
        kind,
        id,
        version,
        most,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows)
}

/// The document of a version; none if it was not recorded.
pub(crate) async fn document(
    connection: &mut PgConnection,
    (kind, id, version): (&str, Uuid, i64),
) -> Result<Option<String>, StoreError> {
    let document = sqlx::query_scalar!(
        "SELECT document FROM register_history WHERE kind = $1 AND resource_id = $2 AND version = $3",
        kind,
        id,
        version,
    )
    .fetch_optional(connection)
    .await?;
    Ok(document)
}
