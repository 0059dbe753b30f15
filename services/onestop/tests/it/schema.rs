//! The schema that this service shares with all others is the shared one, unchanged.

#[test]
fn the_first_migration_is_the_shared_schema_word_for_word() {
    let first = include_str!("../../migrations/0001_shared.sql");
    assert!(
        first == egov_database::SHARED_MIGRATION,
        "copy crates/database/shared.sql; once released, a change comes as a further shared file"
    );
}

#[test]
fn the_migration_of_the_ledger_is_the_shared_one_word_for_word() {
    let own = include_str!("../../migrations/0005_ledger.sql");
    assert!(
        own == egov_database::SHARED_MIGRATION_2,
        "copy crates/database/shared_2.sql to migrations/0005_ledger.sql"
    );
}
