//! Kho dữ liệu: `stored_papers`, `paper_acts`, `paper_uses`.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Postgres, QueryBuilder, Row as _};
use uuid::Uuid;

use super::{StoreError, one_row};
use crate::domain::components::ComparedWith;
use crate::domain::components::paper::{PaperKind, StoredPaper};

const PAPER: &str = "paper_id, responsible_unit_id, owner_id, owner_number, kind, type_code, title, number, procedure_code, case_id, \
                     case_code, compared_with, file_ids, valid_from, valid_until, replaced, replaced_by, revoked, validity_reason, store_time, \
                     version";

/// Where a page of a store, the latest first, begins: after this one.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct AfterPaper {
    pub(crate) store_time: Timestamp,
    pub(crate) paper_id: Uuid,
}

impl From<&StoredPaper> for AfterPaper {
    fn from(paper: &StoredPaper) -> Self {
        Self {
            store_time: paper.store_time,
            paper_id: paper.paper_id,
        }
    }
}

/// Whose papers are asked for.
#[derive(Debug, Clone)]
pub(crate) enum Whose {
    /// Of this account: a citizen's own.
    Account(Uuid),
    /// Of the person or organisation with this number. Of these types alone: kind, mã, and the procedure of a component.
    Number(String, Vec<Type>),
    /// Of the person with this number, as far as the account's own cases brought them.
    Both(Uuid, String, Vec<Type>),
}

/// A type of paper.
#[derive(Debug, Clone)]
pub(crate) struct Type {
    pub(crate) kind: PaperKind,
    pub(crate) code: String,
    /// Of this procedure alone; of any if absent.
    pub(crate) procedure_code: Option<String>,
}

fn paper(row: &PgRow) -> Result<StoredPaper, StoreError> {
    let wrong = |column| StoreError::Inconsistent {
        table: "stored_papers",
        column,
    };
    let compared: Option<String> = row.try_get("compared_with")?;
    let kind: String = row.try_get("kind")?;
    Ok(StoredPaper {
        paper_id: row.try_get("paper_id")?,
        unit_id: row.try_get("responsible_unit_id")?,
        owner_id: row.try_get("owner_id")?,
        owner_number: row.try_get("owner_number")?,
        kind: PaperKind::of_name(&kind).ok_or_else(|| wrong("kind"))?,
        type_code: row.try_get("type_code")?,
        title: row.try_get("title")?,
        number: row.try_get("number")?,
        procedure_code: row.try_get("procedure_code")?,
        case_id: row.try_get("case_id")?,
        case_code: row.try_get("case_code")?,
        compared_with: compared
            .map(|name| ComparedWith::of_name(&name).ok_or_else(|| wrong("compared_with")))
            .transpose()?,
        file_ids: row.try_get("file_ids")?,
        valid_from: row.try_get::<jiff_sqlx::Date, _>("valid_from")?.to_jiff(),
        valid_until: row
            .try_get::<Option<jiff_sqlx::Date>, _>("valid_until")?
            .map(jiff_sqlx::Date::to_jiff),
        replaced: row.try_get("replaced")?,
        replaced_by: row.try_get("replaced_by")?,
        revoked: row.try_get("revoked")?,
        validity_reason: row.try_get("validity_reason")?,
        store_time: row.try_get::<jiff_sqlx::Timestamp, _>("store_time")?.to_jiff(),
        version: row.try_get("version")?,
    })
}

/// One page of a store, the latest first.
pub(crate) async fn list(
    connection: &mut PgConnection,
    whose: &Whose,
    after: Option<AfterPaper>,
    limit: i64,
) -> Result<Vec<StoredPaper>, StoreError> {
    let rows = list_query("", whose, after, limit)
        .build()
        .fetch_all(connection)
        .await?;
    rows.iter().map(paper).collect()
}

pub(super) fn list_query(
    explain: &str,
    whose: &Whose,
    after: Option<AfterPaper>,
    limit: i64,
) -> QueryBuilder<Postgres> {
    let mut query = QueryBuilder::new(explain);
    query.push(format_args!("SELECT {PAPER} FROM stored_papers WHERE "));
    match whose {
        Whose::Account(owner) => {
            query.push("owner_id = ").push_bind(*owner);
        }
        Whose::Number(number, types) => {
            query.push("owner_number = ").push_bind(number.clone());
            push_types(&mut query, types);
        }
        Whose::Both(owner, number, types) => {
            query.push("owner_number = ").push_bind(number.clone());
            query.push(" AND owner_id = ").push_bind(*owner);
            push_types(&mut query, types);
        }
    }
    if let Some(after) = after {
        query
            .push(" AND (store_time, paper_id) < (")
            .push_bind(after.store_time.to_sqlx());
        query.push(", ").push_bind(after.paper_id).push(")");
    }
    query
        .push(" ORDER BY store_time DESC, paper_id DESC LIMIT ")
        .push_bind(limit);
    query
}

fn push_types(query: &mut QueryBuilder<Postgres>, types: &[Type]) {
    let kinds: Vec<String> = types.iter().map(|one| one.kind.as_str().to_owned()).collect();
    let codes: Vec<String> = types.iter().map(|one| one.code.clone()).collect();
    let procedures: Vec<Option<String>> = types.iter().map(|one| one.procedure_code.clone()).collect();
    query.push(" AND EXISTS (SELECT 1 FROM unnest(").push_bind(kinds);
    query.push("::text[], ").push_bind(codes);
    query.push("::text[], ").push_bind(procedures);
    query.push(
        "::text[]) AS t (kind, code, procedure_code) WHERE t.kind = stored_papers.kind AND t.code = type_code \
         AND (t.procedure_code IS NULL OR t.procedure_code = stored_papers.procedure_code))",
    );
}

/// A paper that the transaction sees, of this account alone if one is given.
pub(crate) async fn get(
    connection: &mut PgConnection,
    paper_id: Uuid,
    owner: Option<Uuid>,
) -> Result<Option<StoredPaper>, StoreError> {
    let mut query = QueryBuilder::<Postgres>::new(format!("SELECT {PAPER} FROM stored_papers WHERE paper_id = "));
    query.push_bind(paper_id);
    if let Some(owner) = owner {
        query.push(" AND owner_id = ").push_bind(owner);
    }
    let row = query.build().fetch_optional(connection).await?;
    row.as_ref().map(paper).transpose()
}

/// A paper of one of these units, held until the transaction ends.
pub(crate) async fn get_for_update(
    connection: &mut PgConnection,
    paper_id: Uuid,
    units: &[i32],
) -> Result<Option<StoredPaper>, StoreError> {
    let mut query = QueryBuilder::<Postgres>::new(format!("SELECT {PAPER} FROM stored_papers WHERE paper_id = "));
    query.push_bind(paper_id).push(" AND responsible_unit_id = ANY (");
    query.push_bind(units).push(") FOR UPDATE");
    let row = query.build().fetch_optional(connection).await?;
    row.as_ref().map(paper).transpose()
}

/// The results of a case in the store of its owner, whom this number names; the latest first.
pub(crate) async fn results_of(
    connection: &mut PgConnection,
    number: &str,
    case_id: Uuid,
) -> Result<Vec<StoredPaper>, StoreError> {
    let mut query = QueryBuilder::<Postgres>::new(format!("SELECT {PAPER} FROM stored_papers WHERE owner_number = "));
    query.push_bind(number).push(" AND case_id = ");
    query.push_bind(case_id).push(" AND kind = ");
    query.push_bind(PaperKind::Result.as_str());
    query.push(" ORDER BY store_time DESC, paper_id DESC");
    let rows = query.build().fetch_all(connection).await?;
    rows.iter().map(paper).collect()
}

/// Stores a paper.
pub(crate) async fn insert(connection: &mut PgConnection, paper: &StoredPaper) -> Result<(), StoreError> {
    sqlx::query!(
        r#"
        INSERT INTO stored_papers (paper_id, responsible_unit_id, owner_id, owner_number, kind, type_code, title, number, procedure_code,
                                   case_id, case_code, compared_with, file_ids, valid_from, valid_until, replaced, replaced_by,
                                   revoked, validity_reason, store_time, version)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)
        "#,
        paper.paper_id,
        paper.unit_id,
        paper.owner_id,
        paper.owner_number,
        paper.kind.as_str(),
        paper.type_code,
        paper.title,
        paper.number,
        paper.procedure_code,
        paper.case_id,
        paper.case_code,
        paper.compared_with.map(ComparedWith::as_str),
        &paper.file_ids,
        paper.valid_from.to_sqlx() as _,
        paper.valid_until.map(jiff_sqlx::ToSqlx::to_sqlx) as _,
        paper.replaced,
        paper.replaced_by,
        paper.revoked,
        paper.validity_reason,
        paper.store_time.to_sqlx() as _,
        paper.version,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Stores another validity.
pub(crate) async fn save_validity(connection: &mut PgConnection, paper: &StoredPaper) -> Result<(), StoreError> {
    let changed = sqlx::query!(
        r#"
        UPDATE stored_papers SET valid_until = $2, replaced = $3, replaced_by = $4, validity_reason = $5, version = $6, revoked = $7
        WHERE paper_id = $1 AND version = $6::bigint - 1
        "#,
        paper.paper_id,
        paper.valid_until.map(jiff_sqlx::ToSqlx::to_sqlx) as _,
        paper.replaced,
        paper.replaced_by,
        paper.validity_reason,
        paper.version,
        paper.revoked,
    )
    .execute(connection)
    .await?;
    one_row("stored_papers", changed.rows_affected())
}

/// Something that was done with a paper.
pub(crate) struct Act<'a> {
    pub(crate) paper: &'a StoredPaper,
    pub(crate) name: &'static str,
    pub(crate) actor_id: Uuid,
    pub(crate) actor_kind: &'static str,
    pub(crate) now: Timestamp,
    pub(crate) content: &'a str,
}

/// Appends what was done.
pub(crate) async fn append(connection: &mut PgConnection, act: &Act<'_>) -> Result<(), StoreError> {
    sqlx::query!(
        r#"
        INSERT INTO paper_acts (responsible_unit_id, paper_id, version, act, actor_id, actor_kind, record_time, content)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        "#,
        act.paper.unit_id,
        act.paper.paper_id,
        act.paper.version,
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

/// Everything that was done, for the verification of the ledger: paper, version, content.
pub(crate) async fn acts(connection: &mut PgConnection) -> Result<Vec<(Uuid, i64, Vec<u8>)>, StoreError> {
    let rows = sqlx::query!("SELECT paper_id, version, content FROM paper_acts ORDER BY paper_id, version")
        .fetch_all(connection)
        .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.paper_id, row.version, row.content.into_bytes()))
        .collect())
}

/// Which case uses which paper, from now on: whoever sees the case reads its files.
pub(crate) async fn use_in(
    connection: &mut PgConnection,
    case_id: Uuid,
    paper: &StoredPaper,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        r#"
        INSERT INTO paper_uses (case_id, file_id, paper_id, use_time)
        SELECT $1, file_id, $2, $4 FROM unnest($3::uuid[]) AS file_id
        ON CONFLICT DO NOTHING
        "#,
        case_id,
        paper.paper_id,
        &paper.file_ids,
        now.to_sqlx() as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}
