//! Quyết định hộ tịch: `civil_decisions`.

use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{StoreError, Visible};
use crate::domain::civil_decision::{CivilDecision, DecisionState, Signing};

/// A row of `civil_decisions`.
struct Row {
    decision_id: Uuid,
    case_id: Uuid,
    case_code: String,
    procedure_code: String,
    responsible_unit_id: i32,
    decision_date: jiff_sqlx::Date,
    number: String,
    signer_name: String,
    signer_title: String,
    signer_authorisation: String,
    performer_name: String,
    state: i16,
    step_before: String,
    outcome_before: String,
    record_time: jiff_sqlx::Timestamp,
}

impl TryFrom<Row> for CivilDecision {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            decision_id: row.decision_id,
            case_id: row.case_id,
            case_code: row.case_code,
            procedure_code: row.procedure_code,
            responsible_unit_id: row.responsible_unit_id,
            decision_date: row.decision_date.to_jiff(),
            signing: Signing {
                number: row.number,
                signer_name: row.signer_name,
                signer_title: row.signer_title,
                signer_authorisation: row.signer_authorisation,
                performer_name: row.performer_name,
            },
            state: DecisionState::from_number(row.state).ok_or(StoreError::Inconsistent {
                table: "civil_decisions",
                column: "state",
            })?,
            before: (row.step_before, row.outcome_before),
            record_time: row.record_time.to_jiff(),
        })
    }
}

/// A new decision, which waits.
pub(crate) async fn insert(
    connection: &mut PgConnection,
    decision: &CivilDecision,
    decider_id: Uuid,
) -> Result<(), StoreError> {
    let signing = &decision.signing;
    sqlx::query!(
        "INSERT INTO civil_decisions (decision_id, case_id, case_code, procedure_code, responsible_unit_id, decision_date, number, signer_name,
             signer_title, signer_authorisation, performer_name, state, step_before, outcome_before, decider_id, record_time)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
        decision.decision_id,
        decision.case_id,
        decision.case_code,
        decision.procedure_code,
        decision.responsible_unit_id,
        decision.decision_date.to_sqlx() as _,
        signing.number,
        signing.signer_name,
        signing.signer_title,
        signing.signer_authorisation,
        signing.performer_name,
        decision.state.number(),
        decision.before.0,
        decision.before.1,
        decider_id,
        decision.record_time.to_sqlx() as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// A decision that the caller may see.
pub(crate) async fn get(
    connection: &mut PgConnection,
    decision_id: Uuid,
    visible: &Visible,
) -> Result<Option<CivilDecision>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        r#"
        SELECT decision_id, case_id, case_code, procedure_code, responsible_unit_id, decision_date, number,
               signer_name, signer_title, signer_authorisation, performer_name, state, step_before, outcome_before,
               record_time
        FROM civil_decisions
        WHERE decision_id = $1 AND ($2 OR responsible_unit_id = ANY($3))
        "#,
        decision_id,
        visible.all,
        &visible.units,
    )
    .fetch_optional(connection)
    .await?;
    row.map(CivilDecision::try_from).transpose()
}

/// Decisions that wait, after one of them.
pub(crate) async fn waiting(
    connection: &mut PgConnection,
    visible: &Visible,
    after: Uuid,
    limit: i64,
) -> Result<Vec<CivilDecision>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        r#"
        SELECT decision_id, case_id, case_code, procedure_code, responsible_unit_id, decision_date, number,
               signer_name, signer_title, signer_authorisation, performer_name, state, step_before, outcome_before,
               record_time
        FROM civil_decisions
        WHERE state = 1 AND decision_id > $1 AND ($2 OR responsible_unit_id = ANY($3))
        ORDER BY decision_id
        LIMIT $4
        "#,
        after,
        visible.all,
        &visible.units,
        limit,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(CivilDecision::try_from).collect()
}

/// Ends a decision that waits; false if it does not wait any more.
pub(crate) async fn close(
    connection: &mut PgConnection,
    (decision_id, state): (Uuid, DecisionState),
    entry_id: Option<Uuid>,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let changed = sqlx::query!(
        "UPDATE civil_decisions SET state = $2, entry_id = $3, close_time = $4 WHERE decision_id = $1 AND state = 1",
        decision_id,
        state.number(),
        entry_id,
        now.to_sqlx() as _,
    )
    .execute(connection)
    .await?;
    Ok(changed.rows_affected() == 1)
}
