//! Whether an agency code (mã định danh cơ quan) is the unit's that uses it: nobody acts under another's.

use egov_codes::{AgencyCode, CaseCode};
use jiff::civil::Date;
use sqlx::PgConnection;

use crate::domain::organisation::holder;
use crate::error::Error;
use crate::store::organisations;

/// The directory says that on this day the code was the unit's.
pub(crate) async fn require_agency(
    conn: &mut PgConnection,
    unit_id: i32,
    field: &'static str,
    code: &str,
    day: Date,
) -> Result<(), Error> {
    let refused = || Error::AgencyCodeNotOfUnit {
        field,
        code: code.to_owned(),
    };
    let agency: AgencyCode = code.parse().map_err(|_| refused())?;
    let tenures = organisations::tenures(conn, agency.as_str()).await?;
    match holder(&tenures, day).and_then(|tenure| tenure.unit_id) {
        Some(unit) if unit == unit_id => Ok(()),
        _ => Err(refused()),
    }
}

/// The directory says that the agency in a case code (mã hồ sơ) was the unit's on the day of the case.
pub(crate) async fn require_case(
    conn: &mut PgConnection,
    unit_id: i32,
    field: &'static str,
    case_code: &str,
) -> Result<(), Error> {
    let case: CaseCode = case_code.parse().map_err(|_| Error::AgencyCodeNotOfUnit {
        field,
        code: case_code.to_owned(),
    })?;
    require_agency(conn, unit_id, field, case.agency().as_str(), case.date()).await
}
