//! Delegations.

use egov_auth::RowScope;
use egov_database::sql_fault;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff_sqlx::ToSqlx as _;
use sqlx::PgConnection;
use uuid::Uuid;

use super::Result;
use crate::domain::delegation::Delegation;

struct Row {
    delegation_id: Uuid,
    grant_id: Uuid,
    role: String,
    unit_id: i32,
    delegator_id: Uuid,
    delegator_name: String,
    delegator_unit_id: i32,
    delegatee_id: Uuid,
    delegatee_name: String,
    delegatee_unit_id: i32,
    effective_from: jiff_sqlx::Date,
    effective_to: jiff_sqlx::Date,
    grant_from: jiff_sqlx::Date,
    grant_to: Option<jiff_sqlx::Date>,
    reason: String,
    document_number: String,
    create_time: jiff_sqlx::Timestamp,
    end_time: Option<jiff_sqlx::Timestamp>,
    ended_by: Option<Uuid>,
    end_reason: String,
}

impl From<Row> for Delegation {
    fn from(row: Row) -> Self {
        Self {
            delegation_id: row.delegation_id,
            grant_id: row.grant_id,
            role: row.role,
            unit_id: row.unit_id,
            delegator_id: row.delegator_id,
            delegator_name: row.delegator_name,
            delegator_unit_id: row.delegator_unit_id,
            delegatee_id: row.delegatee_id,
            delegatee_name: row.delegatee_name,
            delegatee_unit_id: row.delegatee_unit_id,
            effective_from: row.effective_from.to_jiff(),
            effective_to: row.effective_to.to_jiff(),
            grant_from: row.grant_from.to_jiff(),
            grant_to: row.grant_to.map(jiff_sqlx::Date::to_jiff),
            reason: row.reason,
            document_number: row.document_number,
            create_time: row.create_time.to_jiff(),
            end_time: row.end_time.map(jiff_sqlx::Timestamp::to_jiff),
            ended_by: row.ended_by,
            end_reason: row.end_reason,
        }
    }
}

/// Adds a delegation.
pub(crate) async fn insert(conn: &mut PgConnection, new: &Delegation) -> Result<()> {
    sqlx::query!(
        "INSERT INTO delegations (delegation_id, grant_id, delegator_id, delegator_name, delegator_unit_id, delegatee_id,
                                  delegatee_name, delegatee_unit_id, effective_from, effective_to, reason, document_number,
                                  create_time)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        new.delegation_id,
        new.grant_id,
        new.delegator_id,
        new.delegator_name,
        new.delegator_unit_id,
        new.delegatee_id,
        new.delegatee_name,
        new.delegatee_unit_id,
        new.effective_from.to_sqlx() as _,
        new.effective_to.to_sqlx() as _,
        new.reason,
        new.document_number,
        new.create_time.to_sqlx() as _
    )
    .execute(conn)
    .await
    .map(drop)
    .map_err(sql_fault)
}

/// The delegations, as a row is read with the grant that each rests on, that a condition chooses.
macro_rules! select_delegation {
    ($which:literal $(, $value:expr)* $(,)?) => {
        sqlx::query_as!(
            Row,
            "SELECT d.delegation_id, d.grant_id, g.role, g.unit_id, d.delegator_id, d.delegator_name, d.delegator_unit_id,
                d.delegatee_id, d.delegatee_name, d.delegatee_unit_id, d.effective_from, d.effective_to,
                g.effective_from AS grant_from, g.effective_to AS grant_to, d.reason, d.document_number, d.create_time,
                d.end_time, d.ended_by, d.end_reason
         FROM delegations d JOIN role_grants g USING (grant_id) " + $which
            $(, $value)*
        )
    };
}

/// Locks a delegation, if either side is in scope, until the end of the transaction.
pub(crate) async fn lock(conn: &mut PgConnection, scope: &RowScope, delegation_id: Uuid) -> Result<Option<Delegation>> {
    let locked = sqlx::query_scalar!(
        "SELECT delegation_id FROM delegations d
         WHERE delegation_id = $1
           AND ($2 OR delegator_id = $4 OR delegatee_id = $4
                OR EXISTS (SELECT 1 FROM accounts a
                           WHERE a.account_id IN (d.delegator_id, d.delegatee_id) AND a.responsible_unit_id = ANY($3)))
         FOR UPDATE",
        delegation_id,
        scope.all,
        &scope.units,
        scope.owner as Option<Uuid>
    )
    .fetch_optional(&mut *conn)
    .await
    .map_err(sql_fault)?;
    if locked.is_none() {
        return Ok(None);
    }
    // Read anew: it may have changed while the lock was awaited.
    select_delegation!("WHERE d.delegation_id = $1", delegation_id)
        .fetch_optional(conn)
        .await
        .map(|row| row.map(Delegation::from))
        .map_err(sql_fault)
}

/// The delegations that could still count on a day or later and that rest on these grants.
pub(crate) async fn open_on_grants(conn: &mut PgConnection, grants: &[Uuid], today: Date) -> Result<Vec<Delegation>> {
    select_delegation!(
        "WHERE d.grant_id = ANY($1) AND d.end_time IS NULL AND d.effective_to > $2
           AND (g.effective_to IS NULL OR g.effective_to > $2)
         ORDER BY d.delegation_id",
        grants,
        today.to_sqlx() as _
    )
    .fetch_all(conn)
    .await
    .map(|rows| rows.into_iter().map(Delegation::from).collect())
    .map_err(sql_fault)
}

/// The delegations that could still count on a day or later and of which an account is either side.
pub(crate) async fn open_of(conn: &mut PgConnection, account_id: Uuid, today: Date) -> Result<Vec<Delegation>> {
    select_delegation!(
        "WHERE (d.delegator_id = $1 OR d.delegatee_id = $1) AND d.end_time IS NULL AND d.effective_to > $2
           AND (g.effective_to IS NULL OR g.effective_to > $2)
         ORDER BY d.delegation_id",
        account_id,
        today.to_sqlx() as _
    )
    .fetch_all(conn)
    .await
    .map(|rows| rows.into_iter().map(Delegation::from).collect())
    .map_err(sql_fault)
}

/// What an account acts by on a day; the delegator's account must be open.
pub(crate) async fn acted_by(conn: &mut PgConnection, delegatee_id: Uuid, on: Date) -> Result<Vec<Delegation>> {
    select_delegation!(
        "JOIN accounts a ON a.account_id = d.delegator_id
         WHERE d.delegatee_id = $1 AND d.end_time IS NULL AND a.disabled_time IS NULL
           AND d.effective_from <= $2 AND d.effective_to > $2
           AND g.effective_from <= $2 AND (g.effective_to IS NULL OR g.effective_to > $2)
         ORDER BY d.delegation_id",
        delegatee_id,
        on.to_sqlx() as _
    )
    .fetch_all(conn)
    .await
    .map(|rows| rows.into_iter().map(Delegation::from).collect())
    .map_err(sql_fault)
}

/// The delegations after a delegation, by id, of which either side is in scope: all, or of one account; those that can still count
/// on a day, or of all times.
pub(crate) async fn list(
    conn: &mut PgConnection,
    scope: &RowScope,
    account_id: Option<Uuid>,
    open_on: Option<Date>,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Delegation>> {
    select_delegation!(
        "WHERE ($1 OR d.delegator_id = $3 OR d.delegatee_id = $3
                OR EXISTS (SELECT 1 FROM accounts a
                           WHERE a.account_id IN (d.delegator_id, d.delegatee_id) AND a.responsible_unit_id = ANY($2)))
           AND ($4::uuid IS NULL OR d.delegator_id = $4 OR d.delegatee_id = $4)
           AND ($5::date IS NULL OR (d.end_time IS NULL AND d.effective_to > $5
                                     AND (g.effective_to IS NULL OR g.effective_to > $5)))
           AND ($6::uuid IS NULL OR d.delegation_id > $6)
         ORDER BY d.delegation_id LIMIT $7",
        scope.all,
        &scope.units,
        scope.owner as Option<Uuid>,
        account_id as Option<Uuid>,
        open_on.map(jiff_sqlx::ToSqlx::to_sqlx) as _,
        after as Option<Uuid>,
        limit
    )
    .fetch_all(conn)
    .await
    .map(|rows| rows.into_iter().map(Delegation::from).collect())
    .map_err(sql_fault)
}

/// Ends a delegation. `false` if it had ended.
pub(crate) async fn end(
    conn: &mut PgConnection,
    delegation_id: Uuid,
    by: Option<Uuid>,
    reason: &str,
    now: Timestamp,
) -> Result<bool> {
    sqlx::query!(
        "UPDATE delegations SET ended_by = $2, end_reason = $3, end_time = $4
         WHERE delegation_id = $1 AND end_time IS NULL",
        delegation_id,
        by as Option<Uuid>,
        reason,
        now.to_sqlx() as _
    )
    .execute(conn)
    .await
    .map(|done| done.rows_affected() == 1)
    .map_err(sql_fault)
}
