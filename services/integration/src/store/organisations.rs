//! Organisations and their codes.

use jiff::civil::Date;
use jiff_sqlx::ToSqlx as _;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Result, inconsistent, one_row};
use crate::domain::organisation::{HeldCode, Organisation, Standing, Tenure, generation};

struct Row {
    organisation_id: Uuid,
    responsible_unit_id: i32,
    name: String,
    member_class: String,
    member_code: String,
    unit_id: Option<i32>,
    contact: String,
    state: String,
    version: i64,
    create_time: jiff_sqlx::Timestamp,
    update_time: jiff_sqlx::Timestamp,
}

impl TryFrom<Row> for Organisation {
    type Error = super::StoreError;

    fn try_from(row: Row) -> Result<Self> {
        Ok(Self {
            organisation_id: row.organisation_id,
            responsible_unit_id: row.responsible_unit_id,
            name: row.name,
            codes: Vec::new(),
            member_class: row.member_class,
            member_code: row.member_code,
            unit_id: row.unit_id,
            contact: row.contact,
            state: Standing::from_word(&row.state).ok_or(inconsistent("organisations", "state"))?,
            version: row.version,
            create_time: row.create_time.to_jiff(),
            update_time: row.update_time.to_jiff(),
        })
    }
}

/// Adds an organisation with its codes.
pub(crate) async fn insert(conn: &mut PgConnection, one: &Organisation) -> Result<()> {
    sqlx::query!(
        "INSERT INTO organisations (organisation_id, responsible_unit_id, name, member_class, member_code, unit_id, contact,
                                    state, version, create_time, update_time)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10)",
        one.organisation_id,
        one.responsible_unit_id,
        one.name,
        one.member_class,
        one.member_code,
        one.unit_id,
        one.contact,
        one.state.as_str(),
        one.version,
        one.create_time.to_sqlx() as _,
    )
    .execute(&mut *conn)
    .await?;
    for code in &one.codes {
        insert_code(conn, one, code).await?;
    }
    Ok(())
}

/// Stores a changed organisation; its version was raised by one.
pub(crate) async fn update(conn: &mut PgConnection, one: &Organisation) -> Result<()> {
    let done = sqlx::query!(
        "UPDATE organisations SET name = $3, member_class = $4, member_code = $5, unit_id = $6, contact = $7, state = $8,
                                  version = $2::bigint, update_time = $9
         WHERE organisation_id = $1 AND version = $2::bigint - 1",
        one.organisation_id,
        one.version,
        one.name,
        one.member_class,
        one.member_code,
        one.unit_id,
        one.contact,
        one.state.as_str(),
        one.update_time.to_sqlx() as _,
    )
    .execute(conn)
    .await?;
    one_row("organisations", done.rows_affected())
}

/// Adds a code and ends, on its first day, the one of the same generation.
pub(crate) async fn set_code(conn: &mut PgConnection, one: &Organisation, code: &HeldCode) -> Result<()> {
    sqlx::query!(
        "UPDATE organisation_codes SET valid_to = $3
         WHERE organisation_id = $1 AND generation = $2 AND valid_to IS NULL",
        one.organisation_id,
        generation(&code.code),
        code.valid_from.to_sqlx() as _,
    )
    .execute(&mut *conn)
    .await?;
    insert_code(conn, one, code).await
}

async fn insert_code(conn: &mut PgConnection, one: &Organisation, code: &HeldCode) -> Result<()> {
    sqlx::query!(
        "INSERT INTO organisation_codes (organisation_id, responsible_unit_id, generation, code, valid_from)
         VALUES ($1, $2, $3, $4, $5)",
        one.organisation_id,
        one.responsible_unit_id,
        generation(&code.code),
        code.code.as_str(),
        code.valid_from.to_sqlx() as _,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// Which organisations a list shows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    /// That have this code on a day.
    pub(crate) code: Option<(String, Date)>,
    /// With this X-Road member code.
    pub(crate) member_code: Option<String>,
}

/// The organisation with an id.
pub(crate) async fn get(conn: &mut PgConnection, organisation_id: Uuid) -> Result<Option<Organisation>> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT organisation_id, responsible_unit_id, name, member_class, member_code, unit_id, contact, state, version,
                  create_time AS "create_time: _", update_time AS "update_time: _"
           FROM organisations WHERE organisation_id = $1"#,
        organisation_id,
    )
    .fetch_optional(&mut *conn)
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(with_codes(conn, vec![row]).await?.pop())
}

/// The organisations after an id, by id.
pub(crate) async fn list(
    conn: &mut PgConnection,
    filter: &Filter,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Organisation>> {
    let (code, day) = filter.code.clone().unzip();
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT o.organisation_id, o.responsible_unit_id, o.name, o.member_class, o.member_code, o.unit_id, o.contact,
                  o.state, o.version, o.create_time AS "create_time: _", o.update_time AS "update_time: _"
           FROM organisations o
           WHERE ($1::uuid IS NULL OR o.organisation_id > $1)
             AND ($2::text IS NULL OR o.member_code = $2)
             AND ($3::text IS NULL OR EXISTS (
                 SELECT 1 FROM organisation_codes c
                 WHERE c.organisation_id = o.organisation_id AND c.code = $3
                   AND c.valid_from <= $4::date AND (c.valid_to IS NULL OR c.valid_to > $4::date)))
           ORDER BY o.organisation_id LIMIT $5"#,
        after as Option<Uuid>,
        filter.member_code as _,
        code as _,
        day.map(jiff_sqlx::ToSqlx::to_sqlx) as _,
        limit,
    )
    .fetch_all(&mut *conn)
    .await?;
    with_codes(conn, rows).await
}

async fn with_codes(conn: &mut PgConnection, rows: Vec<Row>) -> Result<Vec<Organisation>> {
    let mut found: Vec<Organisation> = rows.into_iter().map(Organisation::try_from).collect::<Result<_>>()?;
    let ids: Vec<Uuid> = found.iter().map(|one| one.organisation_id).collect();
    let codes = sqlx::query!(
        "SELECT organisation_id, code, valid_from, valid_to FROM organisation_codes
         WHERE organisation_id = ANY($1) ORDER BY valid_from, generation",
        &ids,
    )
    .fetch_all(conn)
    .await?;
    for row in codes {
        let held = HeldCode {
            code: row
                .code
                .parse()
                .map_err(|_| inconsistent("organisation_codes", "code"))?,
            valid_from: row.valid_from.to_jiff(),
            valid_to: row.valid_to.map(jiff_sqlx::Date::to_jiff),
        };
        if let Some(one) = found.iter_mut().find(|one| one.organisation_id == row.organisation_id) {
            one.codes.push(held);
        }
    }
    Ok(found)
}

/// Whether another organisation has a code on a day or later.
pub(crate) async fn code_taken(conn: &mut PgConnection, code: &str, from: Date, except: Option<Uuid>) -> Result<bool> {
    let taken = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT 1 FROM organisation_codes
                          WHERE code = $1 AND (valid_to IS NULL OR valid_to > $2)
                            AND ($3::uuid IS NULL OR organisation_id <> $3)) AS "taken!""#,
        code,
        from.to_sqlx() as _,
        except as Option<Uuid>,
    )
    .fetch_one(conn)
    .await?;
    Ok(taken)
}

/// Whose a code was, through time.
pub(crate) async fn tenures(conn: &mut PgConnection, code: &str) -> Result<Vec<Tenure>> {
    let rows = sqlx::query!(
        "SELECT o.unit_id, c.valid_from, c.valid_to
         FROM organisation_codes c JOIN organisations o USING (organisation_id)
         WHERE c.code = $1",
        code,
    )
    .fetch_all(conn)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Tenure {
            unit_id: row.unit_id,
            valid_from: row.valid_from.to_jiff(),
            valid_to: row.valid_to.map(jiff_sqlx::Date::to_jiff),
        })
        .collect())
}

/// The unit that keeps each organisation.
pub(crate) async fn units(conn: &mut PgConnection) -> Result<Vec<(Uuid, i32)>> {
    let rows = sqlx::query!("SELECT organisation_id, responsible_unit_id FROM organisations")
        .fetch_all(conn)
        .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.organisation_id, row.responsible_unit_id))
        .collect())
}
