//! History cannot be rewritten: the role of the service has no right to, and whoever forces it is found by the verification.

use std::collections::BTreeSet;

use egov_civil_registry::rebuild_leaves::{rebuild_leaves, without_row};
use egov_transparency::{LogReport, kinds, verify_kind};
use sqlx::AssertSqlSafe;

use crate::support::*;

/// What was written and stays.
const KEPT: [&str; 7] = [
    "annotations",
    "entries",
    "book_history",
    "persons",
    "personal_numbers",
    "person_particulars",
    "family_relations",
];

/// What the verification says of this service's kinds, each in one sentence: by the rules by which `verify log` judges.
pub(crate) async fn findings(stack: &Stack) -> Vec<String> {
    let mut report = LogReport::default();
    let rebuilt = rebuild_leaves(&stack.pool).await.unwrap();
    let mut looked_at: BTreeSet<String> = kinds(&stack.pool).await.unwrap().into_iter().collect();
    looked_at.extend(rebuilt.iter().map(|one| one.kind.clone()));
    for kind in looked_at {
        verify_kind(&stack.pool, &kind, &rebuilt, without_row(&kind), &mut report)
            .await
            .unwrap();
    }
    report.findings.iter().map(|one| one.detail.clone()).collect()
}

/// The SQLSTATE of a refusal.
fn state(error: &sqlx::Error) -> String {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.unwrap_or_default().into_owned()
}

#[tokio::test]
async fn the_role_of_the_service_cannot_change_history_and_what_is_forced_is_found() {
    let stack = Stack::start().await;
    let mut officer = stack.staff(OFFICER, TRUONG_VINH);
    let book = officer.open(TRUONG_VINH, 2026).await.unwrap();
    let entry = officer.register(birth()).await.unwrap();
    let noted = officer.annotate(annotation(&entry)).await.unwrap();
    assert_eq!(findings(&stack).await, Vec::<String>::new());

    // As the service's own role, with every row in sight; and as the owner, whom a trigger refuses.
    for mut connection in [
        stack.database.connect_as_app().await.unwrap(),
        stack.database.connect_as_owner().await.unwrap(),
    ] {
        sqlx::query("SELECT set_config('egov.scope_all', 'on', false)")
            .execute(&mut connection)
            .await
            .unwrap();
        for table in KEPT {
            let column = match table {
                "book_history" | "entries" => "actor_kind = 'x'",
                "annotations" => "kind = 3",
                "persons" => "create_time = create_time",
                "personal_numbers" => "personal_number = '040000000000'",
                "person_particulars" => "full_name = 'x'",
                _ => "valid_to = valid_from",
            };
            for sql in [
                format!("UPDATE {table} SET {column}"),
                format!("DELETE FROM {table}"),
                format!("TRUNCATE {table} CASCADE"),
            ] {
                let refused = sqlx::query(AssertSqlSafe(sql.clone())).execute(&mut connection).await;
                let error = refused.expect_err(&sql);
                // No right to, or append-only.
                assert!(["42501", "EG002"].contains(&state(&error).as_str()), "{sql}: {error}");
            }
        }
        let refused = sqlx::query("DELETE FROM books").execute(&mut connection).await;
        assert!(refused.is_err());
    }
    let mut app = stack.database.connect_as_app().await.unwrap();
    let refused = sqlx::query("UPDATE books SET year = 2025").execute(&mut app).await;
    assert_eq!(state(&refused.unwrap_err()), "42501", "what a book is does not change");
    assert_eq!(officer.clone().entry(&entry.entry_id).await.unwrap(), entry);

    // Whoever switches the triggers off is found.
    let mut superuser = stack.database.connect_as_superuser().await.unwrap();
    for (forced, undone, about) in [
        (
            "UPDATE entries SET number = 7",
            "UPDATE entries SET number = 1",
            &entry.entry_id,
        ),
        (
            "UPDATE entries SET content = replace(content, 'An Nhiên', 'An Nhien')",
            "UPDATE entries SET content = replace(content, 'An Nhien', 'An Nhiên')",
            &entry.entry_id,
        ),
        (
            "UPDATE person_particulars SET full_name = full_name || 'x'",
            "UPDATE person_particulars SET full_name = rtrim(full_name, 'x')",
            &entry.entry_id,
        ),
        (
            "UPDATE family_relations SET valid_to = valid_from WHERE kind = 2",
            "UPDATE family_relations SET valid_to = NULL",
            &entry.entry_id,
        ),
        (
            "UPDATE annotations SET kind = 3",
            "UPDATE annotations SET kind = 2",
            &noted.annotation_id,
        ),
        (
            "UPDATE books SET pages_per_volume = 200",
            "UPDATE books SET pages_per_volume = 2",
            &book.book_id,
        ),
        (
            "UPDATE book_history SET content = replace(content, '\"birth\"', '\"death\"')",
            "UPDATE book_history SET content = replace(content, '\"death\"', '\"birth\"')",
            &book.book_id,
        ),
    ] {
        for (sql, is_wrong) in [(forced, true), (undone, false)] {
            sqlx::raw_sql(AssertSqlSafe(format!("SET session_replication_role = replica; {sql}")))
                .execute(&mut superuser)
                .await
                .unwrap();
            let found = findings(&stack).await;
            let named = found.len() == 1 && found[0].contains(about.as_str());
            assert!(if is_wrong { named } else { found.is_empty() }, "{sql}: {found:?}");
        }
    }
}
