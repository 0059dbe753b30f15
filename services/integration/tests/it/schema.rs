//! The schema keeps the rules of the house.

use egov_integration::{MIGRATOR, SERVICE};

#[test]
fn the_first_migration_is_the_shared_schema() {
    let own = include_str!("../../migrations/0001_shared.sql");
    assert_eq!(own, egov_database::SHARED_MIGRATION);
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
    // The tables of two sides carry other columns than the house's function looks for.
    let open: Vec<String> = sqlx::query_scalar(
        "SELECT c.relname::text FROM pg_class c
         JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'consumer_unit_id'
         WHERE c.relkind = 'r' AND NOT (c.relrowsecurity AND c.relforcerowsecurity)",
    )
    .fetch_all(&mut superuser)
    .await
    .unwrap();
    assert!(open.is_empty(), "{open:?}");
}
