//! Accounts of staff.

use std::collections::HashMap;

use egov_auth::RowScope;
use egov_database::sql_fault;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff_sqlx::ToSqlx as _;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Result, roles};
use crate::domain::account::Account;

struct Row {
    account_id: Uuid,
    username: String,
    full_name: String,
    responsible_unit_id: i32,
    disabled_time: Option<jiff_sqlx::Timestamp>,
    locked_until: Option<jiff_sqlx::Timestamp>,
    version: i64,
}

impl From<Row> for Account {
    fn from(row: Row) -> Self {
        Self {
            account_id: row.account_id,
            username: row.username,
            full_name: row.full_name,
            unit_id: row.responsible_unit_id,
            disabled_time: row.disabled_time.map(jiff_sqlx::Timestamp::to_jiff),
            locked_until: row.locked_until.map(jiff_sqlx::Timestamp::to_jiff),
            roles: Vec::new(),
            version: row.version,
        }
    }
}

/// An account to be added.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewAccount<'a> {
    /// Its id.
    pub account_id: Uuid,
    /// Its name, in the canonical form.
    pub username: &'a str,
    /// The person's name.
    pub full_name: &'a str,
    /// The unit.
    pub unit_id: i32,
    /// The key under which failed sign-ins of this name are counted.
    pub attempt_key: &'a [u8],
    /// When.
    pub now: Timestamp,
}

/// Adds an account. `false` if the name is taken.
pub(crate) async fn insert(conn: &mut PgConnection, account: NewAccount<'_>) -> Result<bool> {
    // By the index and not by a look: row-level security hides other units' names from a look, not from the index.
    let inserted = sqlx::query!(
        "INSERT INTO accounts (account_id, username, full_name, responsible_unit_id, attempt_key,
                               version, create_time, update_time)
         VALUES ($1, $2, $3, $4, $5, 1, $6, $6)
         ON CONFLICT ON CONSTRAINT accounts_username_key DO NOTHING",
        account.account_id,
        account.username,
        account.full_name,
        account.unit_id,
        account.attempt_key,
        account.now.to_sqlx() as _
    )
    .execute(conn)
    .await
    .map_err(sql_fault)?
    .rows_affected();
    Ok(inserted == 1)
}

/// The accounts, as a row is read with the lock of its sign-in, that a condition chooses.
macro_rules! select_account {
    ($which:literal $(, $value:expr)* $(,)?) => {
        sqlx::query_as!(
            Row,
            r#"SELECT a.account_id, a.username, a.full_name, a.responsible_unit_id, a.disabled_time,
                  t.locked_until AS "locked_until?", a.version
           FROM accounts a LEFT JOIN sign_in_attempts t ON t.attempt_key = a.attempt_key "# + $which
            $(, $value)*
        )
    };
}

/// The account with an id, if it is in scope, with its roles.
pub(crate) async fn get(conn: &mut PgConnection, scope: &RowScope, account_id: Uuid) -> Result<Option<Account>> {
    let row = select_account!(
        "WHERE a.account_id = $1
             AND ($2 OR a.responsible_unit_id = ANY($3) OR a.owner_id = $4)",
        account_id,
        scope.all,
        &scope.units,
        scope.owner as Option<Uuid>
    )
    .fetch_optional(&mut *conn)
    .await
    .map_err(sql_fault)?;
    let Some(row) = row else { return Ok(None) };
    let mut account = Account::from(row);
    account.roles = roles::of_accounts(conn, &[account_id])
        .await?
        .remove(&account_id)
        .unwrap_or_default();
    Ok(Some(account))
}

/// Locks the account with an id, if it is in scope, until the end of the transaction.
pub(crate) async fn lock(conn: &mut PgConnection, scope: &RowScope, account_id: Uuid) -> Result<Option<Account>> {
    let locked = sqlx::query_scalar!(
        "SELECT account_id FROM accounts
         WHERE account_id = $1 AND ($2 OR responsible_unit_id = ANY($3) OR owner_id = $4)
         FOR UPDATE",
        account_id,
        scope.all,
        &scope.units,
        scope.owner as Option<Uuid>
    )
    .fetch_optional(&mut *conn)
    .await
    .map_err(sql_fault)?;
    match locked {
        // Read anew: the row may have changed while the lock was awaited, and roles lie in rows of their own.
        Some(_) => get(conn, scope, account_id).await,
        None => Ok(None),
    }
}

/// The accounts in scope after an id, by id: of every unit in scope, or of one.
pub(crate) async fn list(
    conn: &mut PgConnection,
    scope: &RowScope,
    unit_id: Option<i32>,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Account>> {
    let rows = select_account!(
        "WHERE ($1 OR a.responsible_unit_id = ANY($2) OR a.owner_id = $3)
             AND ($4::int IS NULL OR a.responsible_unit_id = $4)
             AND ($5::uuid IS NULL OR a.account_id > $5)
           ORDER BY a.account_id LIMIT $6",
        scope.all,
        &scope.units,
        scope.owner as Option<Uuid>,
        unit_id,
        after as Option<Uuid>,
        limit
    )
    .fetch_all(&mut *conn)
    .await
    .map_err(sql_fault)?;
    with_roles(conn, rows).await
}

/// The accounts of these rows, each with its roles.
async fn with_roles(conn: &mut PgConnection, rows: Vec<Row>) -> Result<Vec<Account>> {
    let ids: Vec<Uuid> = rows.iter().map(|row| row.account_id).collect();
    let mut grants: HashMap<Uuid, _> = roles::of_accounts(conn, &ids).await?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let mut account = Account::from(row);
            account.roles = grants.remove(&account.account_id).unwrap_or_default();
            account
        })
        .collect())
}

/// The id of the account of a name, whatever the unit: for the operator, and never for a caller.
pub(crate) async fn id_of(conn: &mut PgConnection, username: &str) -> Result<Option<Uuid>> {
    sqlx::query_scalar!("SELECT account_id FROM accounts WHERE username = $1", username)
        .fetch_optional(conn)
        .await
        .map_err(sql_fault)
}

/// The unit of an account whose session goes on.
pub(crate) async fn unit_of(conn: &mut PgConnection, account_id: Uuid) -> Result<Option<i32>> {
    sqlx::query_scalar!(
        "SELECT responsible_unit_id FROM accounts WHERE account_id = $1",
        account_id
    )
    .fetch_optional(conn)
    .await
    .map_err(sql_fault)
}

/// Raises the version of a locked account, and closes it if `disabled` is given.
pub(crate) async fn touch(
    conn: &mut PgConnection,
    account_id: Uuid,
    disabled: Option<Timestamp>,
    now: Timestamp,
) -> Result<i64> {
    sqlx::query_scalar!(
        "UPDATE accounts
         SET version = version + 1, update_time = $2, disabled_time = coalesce(disabled_time, $3)
         WHERE account_id = $1 RETURNING version",
        account_id,
        now.to_sqlx() as _,
        disabled.map(jiff_sqlx::ToSqlx::to_sqlx) as _
    )
    .fetch_one(conn)
    .await
    .map_err(sql_fault)
}

/// Locks accounts in the order of their ids, so that two writes about the same people do not wait for one another for ever.
pub(crate) async fn lock_all(conn: &mut PgConnection, accounts: &[Uuid]) -> Result<()> {
    sqlx::query_scalar!(
        "SELECT account_id FROM accounts WHERE account_id = ANY($1) ORDER BY account_id FOR UPDATE",
        accounts
    )
    .fetch_all(conn)
    .await
    .map(drop)
    .map_err(sql_fault)
}

/// The accounts in scope that carry these names, with their roles.
pub(crate) async fn by_usernames(
    conn: &mut PgConnection,
    scope: &RowScope,
    usernames: &[String],
) -> Result<Vec<Account>> {
    let rows = select_account!(
        "WHERE a.username = ANY($4)
             AND ($1 OR a.responsible_unit_id = ANY($2) OR a.owner_id = $3)",
        scope.all,
        &scope.units,
        scope.owner as Option<Uuid>,
        usernames
    )
    .fetch_all(&mut *conn)
    .await
    .map_err(sql_fault)?;
    with_roles(conn, rows).await
}

/// Which of these names are taken, whatever the unit: what the making of an account tells anyway.
pub(crate) async fn taken(conn: &mut PgConnection, usernames: &[String]) -> Result<Vec<String>> {
    sqlx::query_scalar!("SELECT username FROM accounts WHERE username = ANY($1)", usernames)
        .fetch_all(conn)
        .await
        .map_err(sql_fault)
}

/// Whether somebody can sign in to the account: it was activated.
pub(crate) async fn is_activated(conn: &mut PgConnection, account_id: Uuid) -> Result<bool> {
    sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT 1 FROM credentials WHERE account_id = $1) AS "activated!""#,
        account_id
    )
    .fetch_one(conn)
    .await
    .map_err(sql_fault)
}

/// Sets the day on which a locked account is to be closed; its new version.
pub(crate) async fn schedule_closing(
    conn: &mut PgConnection,
    account_id: Uuid,
    day: Date,
    reason: &str,
    by: Uuid,
    now: Timestamp,
) -> Result<i64> {
    sqlx::query_scalar!(
        "UPDATE accounts
         SET version = version + 1, update_time = $2, closing_day = $3, closing_reason = $4, closing_by = $5
         WHERE account_id = $1 RETURNING version",
        account_id,
        now.to_sqlx() as _,
        day.to_sqlx() as _,
        reason,
        by
    )
    .fetch_one(conn)
    .await
    .map_err(sql_fault)
}

/// An account whose day has come.
#[derive(Clone, Debug)]
pub(crate) struct Leaver {
    /// Whose.
    pub account_id: Uuid,
    /// Who named the day.
    pub by: Option<Uuid>,
    /// Why.
    pub reason: String,
}

/// The accounts that are to be closed on a day or were before, and are open.
pub(crate) async fn leavers(conn: &mut PgConnection, today: Date, limit: i64) -> Result<Vec<Leaver>> {
    sqlx::query!(
        "SELECT account_id, closing_by, closing_reason FROM accounts
         WHERE closing_day <= $1 AND disabled_time IS NULL ORDER BY account_id LIMIT $2",
        today.to_sqlx() as _,
        limit
    )
    .fetch_all(conn)
    .await
    .map(|rows| {
        rows.into_iter()
            .map(|row| Leaver {
                account_id: row.account_id,
                by: row.closing_by,
                reason: row.closing_reason,
            })
            .collect()
    })
    .map_err(sql_fault)
}
