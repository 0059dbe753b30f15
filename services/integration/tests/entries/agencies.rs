//! Entries of the directory that tests of several parts need.

use egov_clock::{Ids as _, SystemIds};
use egov_testkit::TestDatabase;

/// The directory says since when an agency code is a unit's.
pub(crate) async fn agency(database: &TestDatabase, unit: i32, code: &str, since: &str) {
    let mut connection = database.connect_as_superuser().await.unwrap();
    let organisation = SystemIds::default().uuid();
    sqlx::query(
        "INSERT INTO organisations (organisation_id, responsible_unit_id, name, member_class, member_code, unit_id, contact,
                                    state, version, create_time, update_time)
         VALUES ($1, $2, 'UBND', 'GOV', $1::text, $2, '', 'active', 1, now(), now())",
    )
    .bind(organisation)
    .bind(unit)
    .execute(&mut connection)
    .await
    .unwrap();
    sqlx::query(
        "INSERT INTO organisation_codes (organisation_id, responsible_unit_id, generation, code, valid_from)
         VALUES ($1, $2, 2, $3, $4::date)",
    )
    .bind(organisation)
    .bind(unit)
    .bind(code)
    .bind(since)
    .execute(&mut connection)
    .await
    .unwrap();
}
