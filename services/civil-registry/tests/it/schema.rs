//! The schema keeps the rules of the house.

use egov_civil_registry::{MIGRATOR, SERVICE};

#[test]
fn the_first_migrations_are_the_shared_schema_word_for_word() {
    let shared = [
        (
            include_str!("../../migrations/0001_shared.sql"),
            egov_database::SHARED_MIGRATION,
        ),
        (
            include_str!("../../migrations/0002_ledger.sql"),
            egov_database::SHARED_MIGRATION_2,
        ),
        (
            include_str!("../../migrations/0003_inbox.sql"),
            egov_database::SHARED_MIGRATION_3,
        ),
        (
            include_str!("../../migrations/0004_readings.sql"),
            egov_database::SHARED_MIGRATION_4,
        ),
    ];
    for (place, (own, shared)) in shared.into_iter().enumerate() {
        assert!(own == shared, "copy file {} of crates/database", place + 1);
    }
}

#[tokio::test]
async fn no_table_of_a_unit_is_without_its_wall() {
    let database = egov_testkit::database(SERVICE, &MIGRATOR).await;
    let mut superuser = database.connect_as_superuser().await.unwrap();
    let unprotected: Vec<String> = sqlx::query_scalar("SELECT t::text FROM egov.unprotected_tables() AS t")
        .fetch_all(&mut superuser)
        .await
        .unwrap();
    assert!(unprotected.is_empty(), "{unprotected:?}");
}
