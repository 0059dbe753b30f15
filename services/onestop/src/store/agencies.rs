//! What an agency decided for itself: `agency_sequences`.

use jiff::civil::Date;
use jiff_sqlx::ToSqlx as _;
use sqlx::PgConnection;

use super::StoreError;

/// Digits of the agency's daily case numbers: four by rule, more where it decided so.
pub(crate) async fn sequence_digits(connection: &mut PgConnection, unit_id: i32, on: Date) -> Result<u8, StoreError> {
    let digits = sqlx::query_scalar!(
        "SELECT digits FROM agency_sequences WHERE unit_id = $1 AND effective_from <= $2 ORDER BY effective_from DESC LIMIT 1",
        unit_id,
        on.to_sqlx() as _,
    )
    .fetch_optional(connection)
    .await?;
    digits_of(digits)
}

/// What an agency decided, or the rule.
pub(super) fn digits_of(decided: Option<i16>) -> Result<u8, StoreError> {
    u8::try_from(decided.unwrap_or(4)).map_err(|_| StoreError::Inconsistent {
        table: "agency_sequences",
        column: "digits",
    })
}
