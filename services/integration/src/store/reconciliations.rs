//! `portal_reconciliations`, `portal_differences` and their history. What a caller reads is filtered by the caller's scope; row-level
//! security is the second wall.

use egov_auth::RowScope;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff_sqlx::ToSqlx as _;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{StoreError, inconsistent, one_row};
use crate::domain::delivery::State;
use crate::domain::reconciliation::{
    Difference, DifferenceFilter, Finding, Handling, Kind, Reconciliation, RunState, Tally,
};

struct RunRow {
    reconciliation_id: Uuid,
    responsible_unit_id: i32,
    from_date: jiff_sqlx::Date,
    to_date: jiff_sqlx::Date,
    repair: bool,
    daily: bool,
    state: i16,
    compared: i32,
    equal: i32,
    waiting: i32,
    differing: i32,
    not_comparable: i32,
    looked_for_unknown: bool,
    attempts: i32,
    problem: String,
    due_time: jiff_sqlx::Timestamp,
    actor: String,
    version: i64,
    create_time: jiff_sqlx::Timestamp,
    end_time: Option<jiff_sqlx::Timestamp>,
}

impl TryFrom<RunRow> for Reconciliation {
    type Error = StoreError;

    fn try_from(row: RunRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.reconciliation_id,
            unit_id: row.responsible_unit_id,
            from: row.from_date.to_jiff(),
            to: row.to_date.to_jiff(),
            repair: row.repair,
            daily: row.daily,
            state: RunState::from_number(row.state).ok_or(inconsistent("portal_reconciliations", "state"))?,
            tally: Tally {
                compared: row.compared,
                equal: row.equal,
                waiting: row.waiting,
                differing: row.differing,
                not_comparable: row.not_comparable,
                looked_for_unknown: row.looked_for_unknown,
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

/// Adds a reconciliation; false if the daily one of its unit and day is there.
pub(crate) async fn insert(connection: &mut PgConnection, new: &Reconciliation) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "INSERT INTO portal_reconciliations
             (reconciliation_id, responsible_unit_id, from_date, to_date, repair, daily, state, compared, equal, waiting,
              differing, not_comparable, looked_for_unknown, attempts, problem, due_time, actor, version, create_time)
         VALUES ($1, $2, $3, $4, $5, $6, $7, 0, 0, 0, 0, 0, false, $8, $9, $10, $11, $12, $13)
         ON CONFLICT (responsible_unit_id, to_date) WHERE daily DO NOTHING",
        new.id,
        new.unit_id,
        new.from.to_sqlx() as _,
        new.to.to_sqlx() as _,
        new.repair,
        new.daily,
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
pub(crate) async fn update(connection: &mut PgConnection, changed: &Reconciliation) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE portal_reconciliations
         SET state = $3, compared = $4, equal = $5, waiting = $6, differing = $7, not_comparable = $8,
             looked_for_unknown = $9, attempts = $10, problem = $11, due_time = $12, version = $2::bigint, end_time = $13
         WHERE reconciliation_id = $1 AND version = $2::bigint - 1",
        changed.id,
        changed.version,
        changed.state as i16,
        changed.tally.compared,
        changed.tally.equal,
        changed.tally.waiting,
        changed.tally.differing,
        changed.tally.not_comparable,
        changed.tally.looked_for_unknown,
        changed.attempts,
        changed.problem,
        changed.due_time.to_sqlx() as _,
        changed.end_time.map(jiff_sqlx::ToSqlx::to_sqlx) as _,
    )
    .execute(connection)
    .await?;
    one_row("portal_reconciliations", done.rows_affected())
}

/// The reconciliations, as a row is read, that a condition chooses.
macro_rules! select_run {
    ($which:literal $(, $value:expr)* $(,)?) => {
        sqlx::query_as!(
            RunRow,
            "SELECT reconciliation_id, responsible_unit_id, from_date, to_date, repair, daily, state, compared, equal, waiting, differing,
                not_comparable, looked_for_unknown, attempts, problem, due_time, actor, version, create_time, end_time
         FROM portal_reconciliations " + $which
            $(, $value)*
        )
    };
}

/// A reconciliation in the scope.
pub(crate) async fn get(
    connection: &mut PgConnection,
    scope: &RowScope,
    id: Uuid,
) -> Result<Option<Reconciliation>, StoreError> {
    let row = select_run!(
        "WHERE reconciliation_id = $1 AND ($2 OR responsible_unit_id = ANY($3))",
        id,
        scope.all,
        &scope.units,
    )
    .fetch_optional(connection)
    .await?;
    row.map(Reconciliation::try_from).transpose()
}

/// The reconciliation that is due first.
pub(crate) async fn due(connection: &mut PgConnection, now: Timestamp) -> Result<Option<Reconciliation>, StoreError> {
    let row = select_run!(
        "WHERE state = 1 AND due_time <= $1
         ORDER BY due_time, reconciliation_id LIMIT 1",
        now.to_sqlx() as _,
    )
    .fetch_optional(connection)
    .await?;
    row.map(Reconciliation::try_from).transpose()
}

/// Adds the reconciliation as it is now to its history: what its leaf commits to, word for word.
pub(crate) async fn append_run_history(
    connection: &mut PgConnection,
    run: &Reconciliation,
    document: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO portal_reconciliation_history (reconciliation_id, version, responsible_unit_id, document, record_time)
         VALUES ($1, $2, $3, $4, $5)",
        run.id,
        run.version,
        run.unit_id,
        document,
        now.to_sqlx() as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The last day of the last daily reconciliation of a unit that was done.
pub(crate) async fn last_daily(connection: &mut PgConnection, unit_id: i32) -> Result<Option<Date>, StoreError> {
    let last = sqlx::query_scalar!(
        "SELECT max(to_date) FROM portal_reconciliations WHERE daily AND responsible_unit_id = $1 AND state = 2",
        unit_id,
    )
    .fetch_one(connection)
    .await?;
    Ok(last.map(jiff_sqlx::Date::to_jiff))
}

/// Whether the daily reconciliation of a unit and day is there.
pub(crate) async fn has_daily(connection: &mut PgConnection, unit_id: i32, to: Date) -> Result<bool, StoreError> {
    let there = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT 1 FROM portal_reconciliations
                          WHERE daily AND responsible_unit_id = $1 AND to_date = $2) AS "there!""#,
        unit_id,
        to.to_sqlx() as _,
    )
    .fetch_one(connection)
    .await?;
    Ok(there)
}

/// The units that have an agency code, and those whose cases were told.
pub(crate) async fn units(connection: &mut PgConnection) -> Result<Vec<i32>, StoreError> {
    let units = sqlx::query_scalar!(
        r#"SELECT o.unit_id AS "unit_id!" FROM organisations o
           WHERE o.unit_id IS NOT NULL
             AND EXISTS (SELECT 1 FROM organisation_codes c
                         WHERE c.organisation_id = o.organisation_id AND c.valid_to IS NULL)
           UNION SELECT responsible_unit_id FROM portal_synchronisations
           ORDER BY 1"#
    )
    .fetch_all(connection)
    .await?;
    Ok(units)
}

/// The agency codes that were a unit's on some day of a period.
pub(crate) async fn agency_codes(
    connection: &mut PgConnection,
    unit_id: i32,
    from: Date,
    to: Date,
) -> Result<Vec<String>, StoreError> {
    let codes = sqlx::query_scalar!(
        "SELECT DISTINCT c.code FROM organisation_codes c JOIN organisations o USING (organisation_id)
         WHERE o.unit_id = $1 AND c.valid_from <= $3 AND (c.valid_to IS NULL OR c.valid_to > $2)
         ORDER BY c.code",
        unit_id,
        from.to_sqlx() as _,
        to.to_sqlx() as _,
    )
    .fetch_all(connection)
    .await?;
    Ok(codes)
}

struct DifferenceRow {
    difference_id: Uuid,
    reconciliation_id: Uuid,
    responsible_unit_id: i32,
    case_code: String,
    case_id: Option<Uuid>,
    kind: i16,
    fields: Vec<String>,
    ours: String,
    theirs: String,
    mendable: bool,
    state: i16,
    delivery_id: Option<Uuid>,
    delivery_state: Option<i16>,
    reason: String,
    actor: String,
    version: i64,
    find_time: jiff_sqlx::Timestamp,
    update_time: jiff_sqlx::Timestamp,
}

impl TryFrom<DifferenceRow> for Difference {
    type Error = StoreError;

    fn try_from(row: DifferenceRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.difference_id,
            reconciliation_id: row.reconciliation_id,
            unit_id: row.responsible_unit_id,
            case_code: row.case_code,
            case_id: row.case_id,
            finding: Finding {
                kind: Kind::from_number(row.kind).ok_or(inconsistent("portal_differences", "kind"))?,
                fields: row.fields,
                ours: row.ours,
                theirs: row.theirs,
                mendable: row.mendable,
            },
            handling: Handling::from_number(row.state).ok_or(inconsistent("portal_differences", "state"))?,
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
pub(crate) async fn insert_difference(connection: &mut PgConnection, new: &Difference) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "INSERT INTO portal_differences
             (difference_id, reconciliation_id, responsible_unit_id, case_code, case_id, kind, fields, ours, theirs, mendable,
              state, delivery_id, reason, actor, version, find_time, update_time)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
         ON CONFLICT (reconciliation_id, case_code) DO NOTHING",
        new.id,
        new.reconciliation_id,
        new.unit_id,
        new.case_code,
        new.case_id,
        new.finding.kind as i16,
        &new.finding.fields,
        new.finding.ours,
        new.finding.theirs,
        new.finding.mendable,
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

/// How many differences a reconciliation has found.
pub(crate) async fn count_differences(
    connection: &mut PgConnection,
    reconciliation_id: Uuid,
) -> Result<i32, StoreError> {
    let count = sqlx::query_scalar!(
        r#"SELECT count(*)::int AS "count!" FROM portal_differences WHERE reconciliation_id = $1"#,
        reconciliation_id,
    )
    .fetch_one(connection)
    .await?;
    Ok(count)
}

/// The codes of the cases in which a reconciliation has found a difference.
pub(crate) async fn found_codes(
    connection: &mut PgConnection,
    reconciliation_id: Uuid,
) -> Result<Vec<String>, StoreError> {
    let codes = sqlx::query_scalar!(
        "SELECT case_code FROM portal_differences WHERE reconciliation_id = $1",
        reconciliation_id,
    )
    .fetch_all(connection)
    .await?;
    Ok(codes)
}

/// Writes what became of a difference, if nobody else has meanwhile.
pub(crate) async fn update_difference(connection: &mut PgConnection, changed: &Difference) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE portal_differences
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
    one_row("portal_differences", done.rows_affected())
}

/// Adds the difference as it is now to its history.
pub(crate) async fn append_history(connection: &mut PgConnection, difference: &Difference) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO portal_difference_history
             (difference_id, version, responsible_unit_id, state, delivery_id, reason, actor, record_time)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        difference.id,
        difference.version,
        difference.unit_id,
        difference.handling as i16,
        difference.delivery_id,
        difference.reason,
        difference.actor,
        difference.update_time.to_sqlx() as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The differences, as a row is read with what became of the repair, that a condition chooses.
macro_rules! select_difference {
    ($which:literal $(, $value:expr)* $(,)?) => {
        sqlx::query_as!(
            DifferenceRow,
            r#"SELECT f.difference_id, f.reconciliation_id, f.responsible_unit_id, f.case_code, f.case_id, f.kind, f.fields, f.ours,
                  f.theirs, f.mendable, f.state, f.delivery_id, r.state AS "delivery_state?", f.reason, f.actor, f.version, f.find_time,
                  f.update_time
           FROM portal_differences f
           LEFT JOIN LATERAL (
               -- The delivery that repairs it, or what was told of the case last, if that delivery did not go through.
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
) -> Result<Option<Difference>, StoreError> {
    let row = select_difference!(
        "WHERE f.difference_id = $1 AND ($2 OR f.responsible_unit_id = ANY($3))",
        id,
        scope.all,
        &scope.units,
    )
    .fetch_optional(connection)
    .await?;
    row.map(Difference::try_from).transpose()
}

/// One page of the differences in the scope, found last first.
pub(crate) async fn list_differences(
    connection: &mut PgConnection,
    scope: &RowScope,
    filter: DifferenceFilter,
    after: Option<(Timestamp, Uuid)>,
    most: i64,
) -> Result<Vec<Difference>, StoreError> {
    let rows = select_difference!(
        "WHERE ($1 OR f.responsible_unit_id = ANY($2)) AND ($3::uuid IS NULL OR f.reconciliation_id = $3)
             AND (NOT $4 OR f.state = 1 OR (f.state = 2 AND r.state IN (5, 6)))
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
    rows.into_iter().map(Difference::try_from).collect()
}

/// Every version of every difference, after one, by difference and version: for the verification of the ledger.
pub(crate) async fn difference_versions(
    connection: &mut PgConnection,
    (id, version): (Uuid, i64),
    most: i64,
) -> Result<Vec<Difference>, StoreError> {
    let rows = sqlx::query_as!(
        DifferenceRow,
        r#"SELECT f.difference_id, f.reconciliation_id, f.responsible_unit_id, f.case_code, f.case_id, f.kind, f.fields, f.ours,
                  f.theirs, f.mendable, h.state, h.delivery_id, NULL::smallint AS "delivery_state?", h.reason, h.actor, h.version,
                  f.find_time, h.record_time AS update_time
           FROM portal_difference_history h JOIN portal_differences f USING (difference_id)
           WHERE (h.difference_id, h.version) > ($1, $2) ORDER BY h.difference_id, h.version LIMIT $3"#,
        id,
        version,
        most,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(Difference::try_from).collect()
}

/// The differences whose row is not what their last change says, or of which no change speaks, with their version.
pub(crate) async fn differences_unlike_history(connection: &mut PgConnection) -> Result<Vec<(Uuid, i64)>, StoreError> {
    let rows = sqlx::query!(
        "SELECT f.difference_id, f.version FROM portal_differences f
         LEFT JOIN portal_difference_history h ON h.difference_id = f.difference_id AND h.version = f.version
         WHERE (h.responsible_unit_id, h.state, h.delivery_id, h.reason, h.actor, h.record_time)
               IS DISTINCT FROM (f.responsible_unit_id, f.state, f.delivery_id, f.reason, f.actor, f.update_time)
         ORDER BY f.difference_id",
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.difference_id, row.version)).collect())
}

/// A version of a reconciliation as it was recorded: what its leaf commits to.
#[derive(Clone, Debug)]
pub(crate) struct RecordedRun {
    pub(crate) id: Uuid,
    pub(crate) version: i64,
    pub(crate) document: String,
}

/// Every recorded version of every reconciliation, after one, by reconciliation and version.
pub(crate) async fn run_versions(
    connection: &mut PgConnection,
    (id, version): (Uuid, i64),
    most: i64,
) -> Result<Vec<RecordedRun>, StoreError> {
    let rows = sqlx::query!(
        "SELECT reconciliation_id, version, document FROM portal_reconciliation_history
         WHERE (reconciliation_id, version) > ($1, $2) ORDER BY reconciliation_id, version LIMIT $3",
        id,
        version,
        most,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| RecordedRun {
            id: row.reconciliation_id,
            version: row.version,
            document: row.document,
        })
        .collect())
}

/// The reconciliations after one, by id.
pub(crate) async fn all_after(
    connection: &mut PgConnection,
    after: Uuid,
    most: i64,
) -> Result<Vec<Reconciliation>, StoreError> {
    let rows = select_run!(
        "WHERE reconciliation_id > $1 ORDER BY reconciliation_id LIMIT $2",
        after,
        most,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(Reconciliation::try_from).collect()
}

/// Of these reconciliations: the newest version that was recorded, with its document.
pub(crate) async fn last_recorded(connection: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<RecordedRun>, StoreError> {
    let rows = sqlx::query!(
        "SELECT DISTINCT ON (reconciliation_id) reconciliation_id, version, document FROM portal_reconciliation_history
         WHERE reconciliation_id = ANY ($1) ORDER BY reconciliation_id, version DESC",
        ids,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| RecordedRun {
            id: row.reconciliation_id,
            version: row.version,
            document: row.document,
        })
        .collect())
}

/// Those of these reconciliations whose present version has a leaf of the kind of before: it was written by a version of before.
pub(crate) async fn recorded_before(
    connection: &mut PgConnection,
    ids: &[Uuid],
    older: &str,
) -> Result<Vec<Uuid>, StoreError> {
    let ids = sqlx::query_scalar!(
        "SELECT r.reconciliation_id FROM portal_reconciliations r
         WHERE r.reconciliation_id = ANY ($1) AND EXISTS (
             SELECT 1 FROM egov.leaves l WHERE l.kind = $2 AND l.resource_id = r.reconciliation_id AND l.version = r.version)",
        ids,
        older,
    )
    .fetch_all(connection)
    .await?;
    Ok(ids)
}
