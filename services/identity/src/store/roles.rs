//! Roles of accounts.

use std::collections::HashMap;

use egov_database::sql_fault;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff_sqlx::ToSqlx as _;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Result, exactly_one};
use crate::domain::role::{NewGrant, RoleGrant};

/// The roles of accounts, past and present, in the order in which they were granted.
pub(crate) async fn of_accounts(conn: &mut PgConnection, accounts: &[Uuid]) -> Result<HashMap<Uuid, Vec<RoleGrant>>> {
    let rows = sqlx::query!(
        "SELECT grant_id, account_id, role, unit_id, effective_from, effective_to
         FROM role_grants WHERE account_id = ANY($1) ORDER BY grant_id",
        accounts
    )
    .fetch_all(conn)
    .await
    .map_err(sql_fault)?;
    let mut grants: HashMap<Uuid, Vec<RoleGrant>> = HashMap::new();
    for row in rows {
        grants.entry(row.account_id).or_default().push(RoleGrant {
            grant_id: row.grant_id,
            role: row.role,
            unit_id: row.unit_id,
            effective_from: row.effective_from.to_jiff(),
            effective_to: row.effective_to.map(jiff_sqlx::Date::to_jiff),
        });
    }
    Ok(grants)
}

/// Adds a grant.
pub(crate) async fn insert(conn: &mut PgConnection, new: &NewGrant) -> Result<()> {
    sqlx::query!(
        "INSERT INTO role_grants (grant_id, account_id, role, unit_id, effective_from, effective_to,
                                  granted_by, grant_time)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        new.grant.grant_id,
        new.account_id,
        new.grant.role,
        new.grant.unit_id,
        new.grant.effective_from.to_sqlx() as _,
        new.grant.effective_to.map(jiff_sqlx::ToSqlx::to_sqlx) as _,
        new.granted_by as Option<Uuid>,
        new.grant_time.to_sqlx() as _
    )
    .execute(conn)
    .await
    .map(drop)
    .map_err(sql_fault)
}

/// Ends a grant.
pub(crate) async fn end(
    conn: &mut PgConnection,
    grant_id: Uuid,
    effective_to: Date,
    by: Uuid,
    now: Timestamp,
) -> Result<()> {
    sqlx::query!(
        "UPDATE role_grants SET effective_to = $2, ended_by = $3, end_time = $4 WHERE grant_id = $1",
        grant_id,
        effective_to.to_sqlx() as _,
        by,
        now.to_sqlx() as _
    )
    .execute(conn)
    .await
    .map_err(sql_fault)
    .and_then(exactly_one)
}
