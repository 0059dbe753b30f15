//! `population_requests` and `unmapped_values`.

use egov_auth::RowScope;
use egov_partners::code_tables::Unmapped;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use sqlx::PgConnection;
use uuid::Uuid;

use super::StoreError;
use crate::domain::unmapped::Counted;

/// A question to the population database, without the person.
#[derive(Clone, Debug)]
pub(crate) struct PopulationRequest {
    pub(crate) id: Uuid,
    pub(crate) unit_id: i32,
    pub(crate) request_code: String,
    pub(crate) operation: String,
    pub(crate) service_code: String,
    pub(crate) legal_basis: String,
    pub(crate) officer_code: String,
    pub(crate) case_code: String,
    pub(crate) citizen_id: Option<Uuid>,
    pub(crate) actor: String,
    pub(crate) purpose: String,
    pub(crate) record_time: Timestamp,
}

/// The questions after an id, by id.
pub(crate) async fn requests_after(
    connection: &mut PgConnection,
    after: Uuid,
    limit: i64,
) -> Result<Vec<PopulationRequest>, StoreError> {
    let rows = sqlx::query!(
        "SELECT population_request_id, responsible_unit_id, request_code, operation, service_code, legal_basis, officer_code,
                case_code, citizen_id, actor, purpose, record_time
         FROM population_requests WHERE population_request_id > $1 ORDER BY population_request_id LIMIT $2",
        after,
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| PopulationRequest {
            id: row.population_request_id,
            unit_id: row.responsible_unit_id,
            request_code: row.request_code,
            operation: row.operation,
            service_code: row.service_code,
            legal_basis: row.legal_basis,
            officer_code: row.officer_code,
            case_code: row.case_code,
            citizen_id: row.citizen_id,
            actor: row.actor,
            purpose: row.purpose,
            record_time: row.record_time.to_jiff(),
        })
        .collect())
}

/// Adds a question.
pub(crate) async fn insert_request(connection: &mut PgConnection, new: &PopulationRequest) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO population_requests (population_request_id, responsible_unit_id, request_code, operation, service_code,
                                          legal_basis, officer_code, case_code, citizen_id, actor, purpose, record_time)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        new.id,
        new.unit_id,
        new.request_code,
        new.operation,
        new.service_code,
        new.legal_basis,
        new.officer_code,
        new.case_code,
        new.citizen_id,
        new.actor,
        new.purpose,
        new.record_time.to_sqlx() as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// For which unit something was asked under a code before, and what; none if it was not, or another unit did.
pub(crate) async fn request_under(
    connection: &mut PgConnection,
    request_code: &str,
) -> Result<Option<(i32, String)>, StoreError> {
    let row = sqlx::query!(
        "SELECT responsible_unit_id, operation FROM population_requests WHERE request_code = $1",
        request_code,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| (row.responsible_unit_id, row.operation)))
}

/// Counts a code that could not be translated.
pub(crate) async fn count_unmapped(
    connection: &mut PgConnection,
    new_id: Uuid,
    unit_id: i32,
    unmapped: &Unmapped,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO unmapped_values AS known (unmapped_value_id, responsible_unit_id, code_table, from_side, to_side,
                                               table_version, value, path, count, last_time)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 1, $9)
         ON CONFLICT (responsible_unit_id, code_table, from_side, to_side, table_version, value, path)
         DO UPDATE SET count = known.count + 1, last_time = EXCLUDED.last_time",
        new_id,
        unit_id,
        unmapped.table,
        unmapped.from,
        unmapped.to,
        i32::try_from(unmapped.version).unwrap_or(i32::MAX),
        unmapped.value,
        unmapped.path,
        now.to_sqlx() as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// One page of the codes in the scope, met last first.
pub(crate) async fn list_unmapped(
    connection: &mut PgConnection,
    scope: &RowScope,
    after: Option<(Timestamp, Uuid)>,
    most: i64,
) -> Result<Vec<Counted>, StoreError> {
    let rows = sqlx::query!(
        "SELECT unmapped_value_id, responsible_unit_id, code_table, from_side, to_side, table_version, value, path, count,
                last_time
         FROM unmapped_values
         WHERE ($1 OR responsible_unit_id = ANY($2))
           AND (last_time, unmapped_value_id)
               < (coalesce($3, 'infinity'::timestamptz), coalesce($4, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid))
         ORDER BY last_time DESC, unmapped_value_id DESC LIMIT $5",
        scope.all,
        &scope.units,
        after.map(|(at, _)| at.to_sqlx()) as _,
        after.map(|(_, id)| id),
        most,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Counted {
            id: row.unmapped_value_id,
            unit_id: row.responsible_unit_id,
            unmapped: Unmapped {
                table: row.code_table,
                from: row.from_side,
                to: row.to_side,
                version: u32::try_from(row.table_version).unwrap_or_default(),
                value: row.value,
                path: row.path,
            },
            count: row.count,
            last_time: row.last_time.to_jiff(),
        })
        .collect())
}
