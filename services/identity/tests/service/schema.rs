//! What the database itself guarantees.

use sqlx::Executor as _;

use crate::support::{COMMUNE, WARD, World};

#[test]
fn the_first_migration_is_the_shared_schema_word_for_word() {
    let first = include_str!("../../migrations/0001_shared.sql");
    assert!(
        first == egov_database::SHARED_MIGRATION,
        "copy crates/database/shared.sql to migrations/0001_shared.sql"
    );
}

#[test]
fn the_migration_of_the_ledger_is_the_shared_one_word_for_word() {
    let own = include_str!("../../migrations/0007_ledger.sql");
    assert!(
        own == egov_database::SHARED_MIGRATION_2,
        "copy crates/database/shared_2.sql to migrations/0007_ledger.sql"
    );
}

#[tokio::test]
async fn no_table_with_an_owner_or_a_unit_is_without_row_level_security() {
    let world = World::start().await;
    let bare: Vec<String> = sqlx::query_scalar("SELECT t::text FROM egov.unprotected_tables() t")
        .fetch_all(&mut world.sql().await)
        .await
        .unwrap();
    assert!(bare.is_empty(), "{bare:?}");
}

#[tokio::test]
async fn without_the_querys_own_filter_the_database_still_hides_the_neighbour() {
    let world = World::start().await;
    world.person("an.nguyen", WARD, &[("one_stop_clerk", WARD)]).await;
    world.person("binh.tran", COMMUNE, &[("one_stop_clerk", COMMUNE)]).await;
    world.system("cong-quoc-gia", false).await;
    let mut app = world.test_database.connect_as_app().await.unwrap();
    let mut count = async |scope: &str, table: &str| {
        let mut transaction = sqlx::Connection::begin(&mut app).await.unwrap();
        if !scope.is_empty() {
            transaction
                .execute(sqlx::AssertSqlSafe(format!(
                    "SELECT set_config('egov.{}', '{}', true)",
                    scope.split('=').next().unwrap(),
                    scope.split('=').nth(1).unwrap()
                )))
                .await
                .unwrap();
        }
        let sql = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        sqlx::query_scalar::<_, i64>(sql)
            .fetch_one(&mut *transaction)
            .await
            .unwrap()
    };
    let ward = format!("scope_units={{{WARD}}}");
    for (table, all, of_ward) in [
        ("accounts", 2, 1),
        ("role_grants", 2, 1),
        ("access_records", 5, 2),
        ("systems", 1, 0),
        ("system_roles", 1, 0),
        ("citizens", 0, 0),
    ] {
        assert_eq!(count("", table).await, 0, "{table} without a scope");
        assert_eq!(count("scope_all=on", table).await, all, "{table}");
        assert_eq!(count(&ward, table).await, of_ward, "{table} of the ward");
    }
}

#[tokio::test]
async fn without_the_querys_own_filter_the_database_still_hides_the_neighbours_access() {
    let world = World::start().await;
    let mut ids = Vec::new();
    for (name, unit) in [
        ("an.nguyen", WARD),
        ("cap.pho", WARD),
        ("binh.tran", COMMUNE),
        ("cap.ba", COMMUNE),
    ] {
        ids.push(world.person(name, unit, &[("officer", unit)]).await.account_id);
        world.session(name).await;
    }
    let mut sql = world.sql().await;
    for (delegator, delegatee, unit) in [(0, 1, WARD), (2, 3, COMMUNE)] {
        sqlx::query(
            "INSERT INTO delegations (delegation_id, grant_id, delegator_id, delegator_name, delegator_unit_id, delegatee_id,
                                      delegatee_name, delegatee_unit_id, effective_from, effective_to, reason,
                                      document_number, create_time)
             SELECT gen_random_uuid(), grant_id, $1, 'a', $3, $2, 'b', $3, '2026-12-01', '2026-12-02', 'c', 'd', now()
             FROM role_grants WHERE account_id = $1",
        )
        .bind(ids[delegator])
        .bind(ids[delegatee])
        .bind(unit)
        .execute(&mut sql)
        .await
        .unwrap();
    }
    for statement in [
        "INSERT INTO grant_reviews SELECT gen_random_uuid(), grant_id, account_id, now(), 'x' FROM role_grants",
        "INSERT INTO activations SELECT account_id, sha256(account_id::text::bytea), 'x', 'k', now(), now() FROM accounts",
    ] {
        sqlx::query(statement).execute(&mut sql).await.unwrap();
    }
    let mut app = world.test_database.connect_as_app().await.unwrap();
    for (table, all, of_ward, own) in [
        ("delegations", 2, 1, 1),
        ("grant_uses", 4, 2, 2),
        ("grant_reviews", 4, 2, 2),
        ("sessions", 4, 2, 1),
        ("activations", 4, 2, 1),
    ] {
        // One's own: one's grant, and the one that one acts by.
        for (scope, expected) in [
            (String::new(), 0),
            ("'egov.scope_all', 'on'".to_owned(), all),
            (format!("'egov.scope_units', '{{{WARD}}}'"), of_ward),
            (format!("'egov.scope_owner', '{}'", ids[1]), own),
        ] {
            let mut transaction = sqlx::Connection::begin(&mut app).await.unwrap();
            if !scope.is_empty() {
                let set = sqlx::AssertSqlSafe(format!("SELECT set_config({scope}, true)"));
                transaction.execute(set).await.unwrap();
            }
            let count = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
            let found: i64 = sqlx::query_scalar(count).fetch_one(&mut *transaction).await.unwrap();
            assert_eq!(found, expected, "{table} with {scope:?}");
        }
    }
    for statement in [
        "UPDATE grant_reviews SET note = ''",
        "DELETE FROM grant_reviews",
        "UPDATE delegations SET effective_to = '2030-01-01'",
        "DELETE FROM delegations",
    ] {
        let refused = app.execute(statement).await.unwrap_err();
        assert!(
            refused.to_string().contains("permission denied"),
            "{statement}: {refused}"
        );
    }
}

#[tokio::test]
async fn the_service_cannot_change_or_remove_what_was_recorded() {
    let world = World::start().await;
    world.person("an.nguyen", WARD, &[]).await;
    let mut app = world.test_database.connect_as_app().await.unwrap();
    app.execute("SELECT set_config('egov.scope_all', 'on', false)")
        .await
        .unwrap();
    for statement in [
        "UPDATE access_records SET detail = ''",
        "DELETE FROM access_records",
        "TRUNCATE access_records",
        "UPDATE unit_history SET source = ''",
        "DELETE FROM unit_history",
        "DELETE FROM accounts",
        "UPDATE accounts SET username = 'x'",
        "DELETE FROM role_grants",
        "UPDATE role_grants SET role = 'province_admin'",
        "DELETE FROM units",
        "UPDATE units SET code = 'x'",
        "UPDATE revocations SET expire_time = now()",
        "DELETE FROM egov.leaves",
    ] {
        let refused = app.execute(statement).await.unwrap_err();
        let code = refused
            .as_database_error()
            .and_then(|error| error.code().map(std::borrow::Cow::into_owned));
        assert_eq!(code.as_deref(), Some("42501"), "{statement}: {refused}");
    }
    // Not even its owner rewrites the record.
    let mut owner = world.test_database.connect_as_owner().await.unwrap();
    owner
        .execute("SELECT set_config('egov.scope_all', 'on', false)")
        .await
        .unwrap();
    let refused = owner
        .execute("UPDATE access_records SET detail = ''")
        .await
        .unwrap_err();
    assert!(refused.to_string().contains("append-only"), "{refused}");
}

#[tokio::test]
async fn a_list_of_accounts_reads_along_its_index() {
    let world = World::start().await;
    let mut sql = world.sql().await;
    sqlx::query(
        "INSERT INTO accounts (account_id, username, full_name, responsible_unit_id, attempt_key, version, create_time, update_time)
         SELECT gen_random_uuid(), 'u' || n, 'n', 2 + n % 2, sha256(n::text::bytea), 1, now(), now()
         FROM generate_series(1, 20000) n",
    )
    .execute(&mut sql)
    .await
    .unwrap();
    sqlx::query("ANALYZE accounts").execute(&mut sql).await.unwrap();
    let mut app = world.test_database.connect_as_app().await.unwrap();
    app.execute("SELECT set_config('egov.scope_units', '{2}', false)")
        .await
        .unwrap();
    let plan: Vec<String> = sqlx::query_scalar(
        "EXPLAIN SELECT account_id FROM accounts
         WHERE (false OR responsible_unit_id = ANY('{2}'::int[]) OR owner_id = NULL)
           AND account_id > '00000000-0000-0000-0000-000000000000' ORDER BY account_id LIMIT 51",
    )
    .fetch_all(&mut app)
    .await
    .unwrap();
    let plan = plan.join("\n");
    assert!(plan.contains("Index Scan"), "{plan}");
    assert!(!plan.contains("Seq Scan"), "{plan}");
}
