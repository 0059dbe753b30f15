//! Roles of accounts.

use std::collections::HashMap;

use egov_auth::RowScope;
use egov_database::sql_fault;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff_sqlx::ToSqlx as _;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Result, exactly_one};
use crate::domain::role::{GrantEntry, Holder, NewGrant, RoleGrant};

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

/// The ids that were granted roles although no account has the id: nobody but the owner of the database can write them.
pub(crate) async fn grants_of_nobody(conn: &mut PgConnection) -> Result<Vec<Uuid>> {
    sqlx::query_scalar!(
        r#"SELECT DISTINCT g.account_id AS "account_id!" FROM role_grants g
         WHERE NOT EXISTS (SELECT 1 FROM accounts a WHERE a.account_id = g.account_id)"#
    )
    .fetch_all(conn)
    .await
    .map_err(sql_fault)
}

/// Adds a grant.
pub(crate) async fn insert(conn: &mut PgConnection, new: &NewGrant) -> Result<()> {
    sqlx::query!(
        "INSERT INTO role_grants (grant_id, account_id, role, unit_id, effective_from, effective_to,
                                  granted_by, grant_time, reason)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        new.grant.grant_id,
        new.account_id,
        new.grant.role,
        new.grant.unit_id,
        new.grant.effective_from.to_sqlx() as _,
        new.grant.effective_to.map(jiff_sqlx::ToSqlx::to_sqlx) as _,
        new.granted_by as Option<Uuid>,
        new.grant_time.to_sqlx() as _,
        new.reason
    )
    .execute(conn)
    .await
    .map(drop)
    .map_err(sql_fault)
}

/// Sets the end of a grant, and who did so, when and why.
pub(crate) async fn end(
    conn: &mut PgConnection,
    grant_id: Uuid,
    effective_to: Option<Date>,
    by: Uuid,
    reason: &str,
    now: Timestamp,
) -> Result<()> {
    sqlx::query!(
        "UPDATE role_grants SET effective_to = $2, ended_by = $3, end_reason = $4, end_time = $5 WHERE grant_id = $1",
        grant_id,
        effective_to.map(jiff_sqlx::ToSqlx::to_sqlx) as _,
        by,
        reason,
        now.to_sqlx() as _
    )
    .execute(conn)
    .await
    .map_err(sql_fault)
    .and_then(exactly_one)
}

/// Which grants a list shows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GrantFilter<'a> {
    /// Only of this account.
    pub account_id: Option<Uuid>,
    /// Only at these units.
    pub units: Option<&'a [i32]>,
    /// Only this role.
    pub role: Option<&'a str>,
    /// In force on this day.
    pub on: Date,
}

/// The grants in force on a day after a grant, by id: those of accounts in scope and those at units in scope. Of an account out of
/// scope nothing but the id is told.
pub(crate) async fn list(
    conn: &mut PgConnection,
    scope: &RowScope,
    filter: &GrantFilter<'_>,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<GrantEntry>> {
    let rows = sqlx::query!(
        r#"SELECT g.grant_id, g.account_id, g.role, g.unit_id, g.effective_from, g.effective_to, g.granted_by, g.grant_time,
                  g.reason, g.ended_by, g.end_time, g.end_reason,
                  a.username AS "username?", a.full_name AS "full_name?", a.responsible_unit_id AS "account_unit_id?",
                  a.disabled_time IS NOT NULL AS "disabled!"
           FROM role_grants g
           LEFT JOIN accounts a ON a.account_id = g.account_id
                AND ($1 OR a.responsible_unit_id = ANY($2) OR a.owner_id = $3)
           WHERE ($1 OR a.account_id IS NOT NULL OR g.unit_id = ANY($2))
             AND ($4::uuid IS NULL OR g.account_id = $4)
             AND ($5::int[] IS NULL OR g.unit_id = ANY($5))
             AND ($6::text IS NULL OR g.role = $6)
             AND g.effective_from <= $7 AND (g.effective_to IS NULL OR g.effective_to > $7)
             AND ($8::uuid IS NULL OR g.grant_id > $8)
           ORDER BY g.grant_id LIMIT $9"#,
        scope.all,
        &scope.units,
        scope.owner as Option<Uuid>,
        filter.account_id as Option<Uuid>,
        filter.units as Option<&[i32]>,
        filter.role as Option<&str>,
        filter.on.to_sqlx() as _,
        after as Option<Uuid>,
        limit
    )
    .fetch_all(conn)
    .await
    .map_err(sql_fault)?;
    Ok(rows
        .into_iter()
        .map(|row| GrantEntry {
            grant: RoleGrant {
                grant_id: row.grant_id,
                role: row.role,
                unit_id: row.unit_id,
                effective_from: row.effective_from.to_jiff(),
                effective_to: row.effective_to.map(jiff_sqlx::Date::to_jiff),
            },
            account_id: row.account_id,
            holder: match (row.username, row.full_name, row.account_unit_id) {
                (Some(username), Some(full_name), Some(unit_id)) => Some(Holder {
                    username,
                    full_name,
                    unit_id,
                    disabled: row.disabled,
                }),
                _ => None,
            },
            granted_by: row.granted_by,
            grant_time: row.grant_time.to_jiff(),
            reason: row.reason,
            ended_by: row.ended_by,
            end_time: row.end_time.map(jiff_sqlx::Timestamp::to_jiff),
            end_reason: row.end_reason,
        })
        .collect())
}

/// The units in scope at which somebody holds these roles on a day, by role and unit. A closed account holds nothing; one that the
/// caller does not see, because it belongs to a unit out of scope, counts as open.
pub(crate) async fn units_held(
    conn: &mut PgConnection,
    scope: &RowScope,
    roles: &[String],
    on: Date,
) -> Result<Vec<(String, i32)>> {
    let rows = sqlx::query!(
        r#"SELECT DISTINCT g.role, g.unit_id
           FROM role_grants g
           LEFT JOIN accounts a ON a.account_id = g.account_id
           WHERE ($1 OR g.unit_id = ANY($2))
             AND g.role = ANY($3)
             AND g.effective_from <= $4 AND (g.effective_to IS NULL OR g.effective_to > $4)
             AND a.disabled_time IS NULL
           ORDER BY g.role, g.unit_id"#,
        scope.all,
        &scope.units,
        roles,
        on.to_sqlx() as _
    )
    .fetch_all(conn)
    .await
    .map_err(sql_fault)?;
    Ok(rows.into_iter().map(|row| (row.role, row.unit_id)).collect())
}

/// Whose a grant is.
pub(crate) async fn holder_of(conn: &mut PgConnection, grant_id: Uuid) -> Result<Option<Uuid>> {
    sqlx::query_scalar!("SELECT account_id FROM role_grants WHERE grant_id = $1", grant_id)
        .fetch_optional(conn)
        .await
        .map_err(sql_fault)
}

/// Notes that a token carried these grants on a day. Only the first token of a day writes.
pub(crate) async fn note_in_token(conn: &mut PgConnection, grants: &[Uuid], day: Date) -> Result<()> {
    sqlx::query!(
        "INSERT INTO grant_uses (grant_id, last_in_token)
         SELECT g, $2::date FROM unnest($1::uuid[]) AS g
         WHERE NOT EXISTS (SELECT 1 FROM grant_uses u WHERE u.grant_id = g AND u.last_in_token >= $2)
         ORDER BY g
         ON CONFLICT (grant_id) DO UPDATE SET last_in_token = excluded.last_in_token
         WHERE grant_uses.last_in_token < excluded.last_in_token",
        grants,
        day.to_sqlx() as _
    )
    .execute(conn)
    .await
    .map(drop)
    .map_err(sql_fault)
}
