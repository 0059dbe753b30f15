//! `pending_decisions`.

use egov_auth::RowScope;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff_sqlx::ToSqlx as _;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{StoreError, one_row};
use crate::domain::book::EventKind;
use crate::domain::pending_decision::{Decided, PendingDecision, PendingState};

/// A row.
struct Row {
    decision_id: Uuid,
    case_id: Uuid,
    case_code: String,
    procedure_code: String,
    responsible_unit_id: i32,
    event: i16,
    decision_date: jiff_sqlx::Date,
    number: String,
    signer_name: String,
    signer_title: String,
    signer_authorisation: String,
    performer_name: String,
    state: i16,
    findings: String,
    entry_id: Option<Uuid>,
    paper_id: Option<Uuid>,
    return_reason: String,
    record_time: jiff_sqlx::Timestamp,
}

impl TryFrom<Row> for PendingDecision {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let outside = |column| StoreError::Inconsistent {
            table: "pending_decisions",
            column,
        };
        Ok(Self {
            decided: Decided {
                decision_id: row.decision_id,
                case_id: row.case_id,
                case_code: row.case_code,
                procedure_code: row.procedure_code,
                unit_id: row.responsible_unit_id,
                decision_date: row.decision_date.to_jiff(),
                number: row.number,
                signer_name: row.signer_name,
                signer_title: row.signer_title,
                signer_authorisation: row.signer_authorisation,
                performer_name: row.performer_name,
            },
            event: EventKind::of_code(row.event).ok_or_else(|| outside("event"))?,
            state: PendingState::of_code(row.state).ok_or_else(|| outside("state"))?,
            findings: serde_json::from_str(&row.findings).map_err(|_| outside("findings"))?,
            entry_id: row.entry_id,
            paper_id: row.paper_id,
            return_reason: row.return_reason,
            record_time: row.record_time.to_jiff(),
        })
    }
}

/// Keeps a decision that one-stop told; nothing if it is kept already, or its case has another one that was not given back.
pub(crate) async fn keep(
    connection: &mut PgConnection,
    decided: &Decided,
    event: EventKind,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO pending_decisions (decision_id, case_id, case_code, procedure_code, responsible_unit_id, event, decision_date, number,
             signer_name, signer_title, signer_authorisation, performer_name, state, record_time)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 1, $13)
         ON CONFLICT DO NOTHING",
        decided.decision_id,
        decided.case_id,
        decided.case_code,
        decided.procedure_code,
        decided.unit_id,
        event.code(),
        decided.decision_date.to_sqlx() as _,
        decided.number,
        decided.signer_name,
        decided.signer_title,
        decided.signer_authorisation,
        decided.performer_name,
        now.to_sqlx() as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Which of these are kept.
pub(crate) async fn known(connection: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<Uuid>, StoreError> {
    let rows = sqlx::query_scalar!(
        "SELECT decision_id FROM pending_decisions WHERE decision_id = ANY($1)",
        ids
    )
    .fetch_all(connection)
    .await?;
    Ok(rows)
}

/// A decision in the scope.
pub(crate) async fn get(
    connection: &mut PgConnection,
    decision_id: Uuid,
    scope: &RowScope,
) -> Result<Option<PendingDecision>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        "SELECT decision_id, case_id, case_code, procedure_code, responsible_unit_id, event, decision_date, number, signer_name, signer_title,
                signer_authorisation, performer_name, state, findings, entry_id, paper_id, return_reason, record_time
         FROM pending_decisions
         WHERE decision_id = $1 AND ($2 OR responsible_unit_id = ANY($3))",
        decision_id,
        scope.all,
        &scope.units,
    )
    .fetch_optional(connection)
    .await?;
    row.map(PendingDecision::try_from).transpose()
}

/// The same, held until the transaction ends: whoever enters it at the same moment waits.
pub(crate) async fn hold(
    connection: &mut PgConnection,
    decision_id: Uuid,
    scope: &RowScope,
) -> Result<Option<PendingDecision>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        "SELECT decision_id, case_id, case_code, procedure_code, responsible_unit_id, event, decision_date, number, signer_name, signer_title,
                signer_authorisation, performer_name, state, findings, entry_id, paper_id, return_reason, record_time
         FROM pending_decisions
         WHERE decision_id = $1 AND ($2 OR responsible_unit_id = ANY($3))
         FOR UPDATE",
        decision_id,
        scope.all,
        &scope.units,
    )
    .fetch_optional(connection)
    .await?;
    row.map(PendingDecision::try_from).transpose()
}

/// Those that wait, after one of them.
pub(crate) async fn list(
    connection: &mut PgConnection,
    scope: &RowScope,
    unit_id: Option<i32>,
    after: (i32, Uuid),
    limit: i64,
) -> Result<Vec<PendingDecision>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT decision_id, case_id, case_code, procedure_code, responsible_unit_id, event, decision_date, number, signer_name, signer_title,
                signer_authorisation, performer_name, state, findings, entry_id, paper_id, return_reason, record_time
         FROM pending_decisions
         WHERE state = 1 AND ($1 OR responsible_unit_id = ANY($2)) AND ($3::integer IS NULL OR responsible_unit_id = $3)
           AND (responsible_unit_id, decision_id) > ($4, $5)
         ORDER BY responsible_unit_id, decision_id
         LIMIT $6",
        scope.all,
        &scope.units,
        unit_id,
        after.0,
        after.1,
        limit,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(PendingDecision::try_from).collect()
}

/// Those that the registry has not tried to enter yet, after one of them.
pub(crate) async fn untried(
    connection: &mut PgConnection,
    after: Uuid,
    limit: i64,
) -> Result<Vec<PendingDecision>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT decision_id, case_id, case_code, procedure_code, responsible_unit_id, event, decision_date, number, signer_name, signer_title,
                signer_authorisation, performer_name, state, findings, entry_id, paper_id, return_reason, record_time
         FROM pending_decisions
         WHERE state = 1 AND NOT tried AND decision_id > $1
         ORDER BY decision_id
         LIMIT $2",
        after,
        limit,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(PendingDecision::try_from).collect()
}

/// Those that one-stop is to be told of, after one of them. The certificate of a birth waits for the personal number as long as it may still come; where the
/// number was refused, until an officer has issued a certificate without it.
pub(crate) async fn unanswered(
    connection: &mut PgConnection,
    after: Uuid,
    limit: i64,
) -> Result<Vec<PendingDecision>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        "SELECT p.decision_id, p.case_id, p.case_code, p.procedure_code, p.responsible_unit_id, p.event, p.decision_date, p.number, p.signer_name,
                p.signer_title, p.signer_authorisation, p.performer_name, p.state, p.findings, p.entry_id, p.paper_id, p.return_reason, p.record_time
         FROM pending_decisions p
         WHERE p.state <> 1 AND NOT p.answered AND p.decision_id > $1
           AND NOT EXISTS (SELECT 1 FROM personal_number_requests r WHERE r.entry_id = p.entry_id
                             AND (r.state IN (1, 2)
                                  OR r.state = 4 AND NOT EXISTS (SELECT 1 FROM papers c WHERE c.entry_id = p.entry_id AND c.kind = 1)))
         ORDER BY p.decision_id
         LIMIT $2",
        after,
        limit,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(PendingDecision::try_from).collect()
}

/// Keeps what stood in the way of entering it.
pub(crate) async fn refuse(connection: &mut PgConnection, decision_id: Uuid, findings: &str) -> Result<(), StoreError> {
    // Whoever entered it in between is right.
    sqlx::query!(
        "UPDATE pending_decisions SET findings = $2, tried = true WHERE decision_id = $1 AND state = 1",
        decision_id,
        findings,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Keeps that it is entered.
pub(crate) async fn enter(connection: &mut PgConnection, decision_id: Uuid, entry_id: Uuid) -> Result<(), StoreError> {
    let changed = sqlx::query!(
        "UPDATE pending_decisions SET state = 2, entry_id = $2, tried = true WHERE decision_id = $1 AND state = 1",
        decision_id,
        entry_id,
    )
    .execute(connection)
    .await?;
    one_row("pending_decisions", changed.rows_affected())
}

/// Keeps that it goes back.
pub(crate) async fn give_back(
    connection: &mut PgConnection,
    decision_id: Uuid,
    reason: &str,
) -> Result<(), StoreError> {
    let changed = sqlx::query!(
        "UPDATE pending_decisions SET state = 3, return_reason = $2, tried = true WHERE decision_id = $1 AND state = 1",
        decision_id,
        reason,
    )
    .execute(connection)
    .await?;
    one_row("pending_decisions", changed.rows_affected())
}

/// Keeps which certificate was issued.
pub(crate) async fn issue(connection: &mut PgConnection, decision_id: Uuid, paper_id: Uuid) -> Result<(), StoreError> {
    let changed = sqlx::query!(
        "UPDATE pending_decisions SET paper_id = $2 WHERE decision_id = $1",
        decision_id,
        paper_id,
    )
    .execute(connection)
    .await?;
    one_row("pending_decisions", changed.rows_affected())
}

/// Keeps that one-stop knows.
pub(crate) async fn answer(connection: &mut PgConnection, decision_id: Uuid) -> Result<(), StoreError> {
    let changed = sqlx::query!(
        "UPDATE pending_decisions SET answered = true WHERE decision_id = $1",
        decision_id,
    )
    .execute(connection)
    .await?;
    one_row("pending_decisions", changed.rows_affected())
}

/// How many wait for a commune's book of a kind and year.
pub(crate) async fn of_book(
    connection: &mut PgConnection,
    unit_id: i32,
    event: EventKind,
    (from, until): (Date, Date),
) -> Result<i64, StoreError> {
    let count = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM pending_decisions
           WHERE responsible_unit_id = $1 AND event = $2 AND state = 1 AND decision_date BETWEEN $3 AND $4"#,
        unit_id,
        event.code(),
        from.to_sqlx() as _,
        until.to_sqlx() as _,
    )
    .fetch_one(connection)
    .await?;
    Ok(count)
}
