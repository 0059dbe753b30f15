//! `papers`, `paper_seals`, `paper_revocations`: rows are added and read, never changed.

use egov_auth::RowScope;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use sqlx::PgConnection;
use uuid::Uuid;

use super::StoreError;
use crate::domain::book::EventKind;
use crate::domain::paper::{IssuedPaper, KeptPaper, PaperKind, Revocation};

/// A row of `papers` with what became of it.
struct Row {
    paper_id: Uuid,
    responsible_unit_id: i32,
    entry_id: Uuid,
    kind: i16,
    is_copy: bool,
    copies: i32,
    title: String,
    printed_number: String,
    content: String,
    amendments: i32,
    check_code: String,
    recipient_name: String,
    recipient_paper: String,
    signer_name: String,
    signer_title: String,
    signer_authorisation: String,
    issue_date: jiff_sqlx::Date,
    actor_id: Uuid,
    actor_kind: String,
    record_time: jiff_sqlx::Timestamp,
    event: i16,
    subject_id: Uuid,
    amendments_now: i64,
    revoke_reason: Option<String>,
    revoke_basis: Option<String>,
    revoke_date: Option<jiff_sqlx::Date>,
    revoker_id: Option<Uuid>,
    revoker_kind: Option<String>,
    revoke_time: Option<jiff_sqlx::Timestamp>,
}

impl TryFrom<Row> for KeptPaper {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let outside = |column| StoreError::Inconsistent {
            table: "papers",
            column,
        };
        let revocation = match (row.revoke_date, row.revoker_id, row.revoke_time) {
            (Some(date), Some(actor_id), Some(time)) => Some(Revocation {
                paper_id: row.paper_id,
                unit_id: row.responsible_unit_id,
                reason: row.revoke_reason.unwrap_or_default(),
                basis_number: row.revoke_basis.unwrap_or_default(),
                revoke_date: date.to_jiff(),
                actor_id,
                actor_kind: row.revoker_kind.unwrap_or_default(),
                record_time: time.to_jiff(),
            }),
            _ => None,
        };
        Ok(Self {
            paper: IssuedPaper {
                paper_id: row.paper_id,
                entry_id: row.entry_id,
                unit_id: row.responsible_unit_id,
                kind: PaperKind::of_code(row.kind).ok_or_else(|| outside("kind"))?,
                is_copy: row.is_copy,
                copies: row.copies,
                title: row.title,
                printed_number: row.printed_number,
                content: row.content,
                amendments: row.amendments,
                check_code: row.check_code,
                recipient_name: row.recipient_name,
                recipient_paper: row.recipient_paper,
                signer_name: row.signer_name,
                signer_title: row.signer_title,
                signer_authorisation: row.signer_authorisation,
                issue_date: row.issue_date.to_jiff(),
                actor_id: row.actor_id,
                actor_kind: row.actor_kind,
                record_time: row.record_time.to_jiff(),
            },
            event: EventKind::of_code(row.event).ok_or_else(|| outside("event"))?,
            subject_id: row.subject_id,
            amendments_now: row.amendments_now,
            revocation,
        })
    }
}

/// A new paper.
pub(crate) async fn insert(connection: &mut PgConnection, paper: &IssuedPaper) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO papers (paper_id, responsible_unit_id, entry_id, kind, is_copy, copies, title, printed_number, content, amendments,
                             check_code, recipient_name, recipient_paper, signer_name, signer_title, signer_authorisation, issue_date,
                             actor_id, actor_kind, record_time)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)",
        paper.paper_id,
        paper.unit_id,
        paper.entry_id,
        paper.kind.code(),
        paper.is_copy,
        paper.copies,
        paper.title,
        paper.printed_number,
        paper.content,
        paper.amendments,
        paper.check_code,
        paper.recipient_name,
        paper.recipient_paper,
        paper.signer_name,
        paper.signer_title,
        paper.signer_authorisation,
        paper.issue_date.to_sqlx() as _,
        paper.actor_id,
        paper.actor_kind,
        paper.record_time.to_sqlx() as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// A paper in the scope, with what became of it.
pub(crate) async fn get(
    connection: &mut PgConnection,
    paper_id: Uuid,
    scope: &RowScope,
) -> Result<Option<KeptPaper>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT p.paper_id AS "paper_id!", p.responsible_unit_id AS "responsible_unit_id!", p.entry_id AS "entry_id!",
                  p.kind AS "kind!", p.is_copy AS "is_copy!", p.copies AS "copies!", p.title AS "title!",
                  p.printed_number AS "printed_number!", p.content AS "content!", p.amendments AS "amendments!",
                  p.check_code AS "check_code!", p.recipient_name AS "recipient_name!", p.recipient_paper AS "recipient_paper!",
                  p.signer_name AS "signer_name!", p.signer_title AS "signer_title!",
                  p.signer_authorisation AS "signer_authorisation!", p.issue_date AS "issue_date!", p.actor_id AS "actor_id!",
                  p.actor_kind AS "actor_kind!", p.record_time AS "record_time!", e.event AS "event!",
                  e.subject_id AS "subject_id!",
                  (SELECT count(*) FROM corrections c WHERE c.corrected_entry_id = p.entry_id)
                    + (SELECT count(*) FROM annotations a WHERE a.entry_id = p.entry_id AND a.kind = 5 AND e.event = 2)
                    AS "amendments_now!",
                  r.reason AS "revoke_reason?", r.basis_number AS "revoke_basis?", r.revoke_date AS "revoke_date?",
                  r.actor_id AS "revoker_id?", r.actor_kind AS "revoker_kind?", r.record_time AS "revoke_time?"
           FROM papers p
           JOIN entries e ON e.entry_id = p.entry_id
           LEFT JOIN paper_revocations r ON r.paper_id = p.paper_id
           WHERE p.paper_id = $1 AND ($2 OR p.responsible_unit_id = ANY ($3))"#,
        paper_id,
        scope.all,
        &scope.units,
    )
    .fetch_optional(connection)
    .await?;
    row.map(KeptPaper::try_from).transpose()
}

/// Which papers are listed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PaperFilter {
    pub(crate) unit_id: Option<i32>,
    pub(crate) entry_id: Option<Uuid>,
}

/// One page of the papers in the scope, the latest first; `after` is time and id of the last one before. Those of recognitions (5) and adoptions (7), and
/// of what corrects one, within the narrower scope of what is guarded.
pub(crate) async fn list(
    connection: &mut PgConnection,
    (scope, guarded): (&RowScope, &RowScope),
    wanted: PaperFilter,
    after: Option<(Timestamp, Uuid)>,
    limit: i64,
) -> Result<Vec<KeptPaper>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT p.paper_id AS "paper_id!", p.responsible_unit_id AS "responsible_unit_id!", p.entry_id AS "entry_id!",
                  p.kind AS "kind!", p.is_copy AS "is_copy!", p.copies AS "copies!", p.title AS "title!",
                  p.printed_number AS "printed_number!", p.content AS "content!", p.amendments AS "amendments!",
                  p.check_code AS "check_code!", p.recipient_name AS "recipient_name!", p.recipient_paper AS "recipient_paper!",
                  p.signer_name AS "signer_name!", p.signer_title AS "signer_title!",
                  p.signer_authorisation AS "signer_authorisation!", p.issue_date AS "issue_date!", p.actor_id AS "actor_id!",
                  p.actor_kind AS "actor_kind!", p.record_time AS "record_time!", e.event AS "event!",
                  e.subject_id AS "subject_id!",
                  (SELECT count(*) FROM corrections c WHERE c.corrected_entry_id = p.entry_id)
                    + (SELECT count(*) FROM annotations a WHERE a.entry_id = p.entry_id AND a.kind = 5 AND e.event = 2)
                    AS "amendments_now!",
                  r.reason AS "revoke_reason?", r.basis_number AS "revoke_basis?", r.revoke_date AS "revoke_date?",
                  r.actor_id AS "revoker_id?", r.actor_kind AS "revoker_kind?", r.record_time AS "revoke_time?"
           FROM papers p
           JOIN entries e ON e.entry_id = p.entry_id
           LEFT JOIN paper_revocations r ON r.paper_id = p.paper_id
           WHERE ($1 OR p.responsible_unit_id = ANY ($2))
             AND ($3::integer IS NULL OR p.responsible_unit_id = $3)
             AND ($4::uuid IS NULL OR p.entry_id = $4)
             AND ($5::timestamptz IS NULL OR (p.record_time, p.paper_id) < ($5, $6::uuid))
             AND ($8 OR p.responsible_unit_id = ANY ($9)
                  OR (e.event NOT IN (5, 7)
                      AND NOT EXISTS (SELECT FROM corrections c JOIN entries g ON g.entry_id = c.corrected_entry_id
                                      WHERE c.entry_id = p.entry_id AND g.event IN (5, 7))))
           ORDER BY p.record_time DESC, p.paper_id DESC
           LIMIT $7"#,
        scope.all,
        &scope.units,
        wanted.unit_id,
        wanted.entry_id,
        after.map(|(time, _)| time.to_sqlx()) as _,
        after.map(|(_, id)| id),
        limit,
        guarded.all,
        &guarded.units,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(KeptPaper::try_from).collect()
}

/// Every paper, for the verification.
pub(crate) async fn after(
    connection: &mut PgConnection,
    paper_id: Uuid,
    limit: i64,
) -> Result<Vec<KeptPaper>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT p.paper_id AS "paper_id!", p.responsible_unit_id AS "responsible_unit_id!", p.entry_id AS "entry_id!",
                  p.kind AS "kind!", p.is_copy AS "is_copy!", p.copies AS "copies!", p.title AS "title!",
                  p.printed_number AS "printed_number!", p.content AS "content!", p.amendments AS "amendments!",
                  p.check_code AS "check_code!", p.recipient_name AS "recipient_name!", p.recipient_paper AS "recipient_paper!",
                  p.signer_name AS "signer_name!", p.signer_title AS "signer_title!",
                  p.signer_authorisation AS "signer_authorisation!", p.issue_date AS "issue_date!", p.actor_id AS "actor_id!",
                  p.actor_kind AS "actor_kind!", p.record_time AS "record_time!", e.event AS "event!",
                  e.subject_id AS "subject_id!",
                  0::bigint AS "amendments_now!",
                  r.reason AS "revoke_reason?", r.basis_number AS "revoke_basis?", r.revoke_date AS "revoke_date?",
                  r.actor_id AS "revoker_id?", r.actor_kind AS "revoker_kind?", r.record_time AS "revoke_time?"
           FROM papers p
           JOIN entries e ON e.entry_id = p.entry_id
           LEFT JOIN paper_revocations r ON r.paper_id = p.paper_id
           WHERE p.paper_id > $1
           ORDER BY p.paper_id
           LIMIT $2"#,
        paper_id,
        limit,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(KeptPaper::try_from).collect()
}

/// What belongs to the leaf of a paper.
pub(crate) struct LeafParts {
    pub(crate) version: i64,
    pub(crate) commitment: Vec<u8>,
    pub(crate) create_time: Timestamp,
    pub(crate) epoch: i32,
}

/// The leaf of a paper that was read under a scope.
pub(crate) async fn leaf(
    connection: &mut PgConnection,
    kind: &str,
    paper_id: Uuid,
) -> Result<Option<LeafParts>, StoreError> {
    let row = sqlx::query!(
        "SELECT version, commitment, create_time, epoch
         FROM egov.leaves
         WHERE kind = $1 AND resource_id = $2
         ORDER BY version
         LIMIT 1",
        kind,
        paper_id,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| LeafParts {
        version: row.version,
        commitment: row.commitment,
        create_time: row.create_time.to_jiff(),
        epoch: row.epoch,
    }))
}

/// What the QR code of a paper in the scope says, if it was asked for before.
pub(crate) async fn seal(
    connection: &mut PgConnection,
    paper_id: Uuid,
    scope: &RowScope,
) -> Result<Option<String>, StoreError> {
    let receipt = sqlx::query_scalar!(
        "SELECT receipt FROM paper_seals WHERE paper_id = $1 AND ($2 OR responsible_unit_id = ANY ($3))",
        paper_id,
        scope.all,
        &scope.units,
    )
    .fetch_optional(connection)
    .await?;
    Ok(receipt)
}

/// Keeps what the QR code of a paper says, unless somebody else did so first.
pub(crate) async fn keep_seal(
    connection: &mut PgConnection,
    (paper_id, unit_id): (Uuid, i32),
    receipt: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO paper_seals (paper_id, responsible_unit_id, receipt, record_time) VALUES ($1, $2, $3, $4)
         ON CONFLICT (paper_id) DO NOTHING",
        paper_id,
        unit_id,
        receipt,
        now.to_sqlx() as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// A revocation.
pub(crate) async fn revoke(connection: &mut PgConnection, revocation: &Revocation) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO paper_revocations (paper_id, responsible_unit_id, reason, basis_number, revoke_date, actor_id, actor_kind, record_time)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        revocation.paper_id,
        revocation.unit_id,
        revocation.reason,
        revocation.basis_number,
        revocation.revoke_date.to_sqlx() as _,
        revocation.actor_id,
        revocation.actor_kind,
        revocation.record_time.to_sqlx() as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}
