//! What PostgreSQL makes of the search for persons, under row-level security, as the app role, over many rows.

use egov_auth::RowScope;
use sqlx::{Connection as _, Executor as _, Row as _};
use uuid::Uuid;

use super::NAMED;
use crate::domain::person::PersonName;
use crate::domain::person_search::WantedWords;

/// Two hundred thousand words of persons of thirty-one units, born in forty years: half of them the most frequent one.
async fn filled() -> egov_testkit::TestDatabase {
    let database = egov_testkit::database(crate::SERVICE, &crate::MIGRATOR).await;
    let mut superuser = database.connect_as_superuser().await.unwrap();
    for statement in [
        "SET session_replication_role = replica",
        "INSERT INTO person_tokens (token, birth_year, person_id, responsible_unit_id, words)
         SELECT w.token, 1980 + n % 40, ('00000000-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid, 1 + n % 31,
                ' nguyen  tu' || n % 500 || ' '
         FROM generate_series(1, 100000) AS n, unnest(ARRAY['nguyen', 'tu' || n % 500]) AS w (token)",
    ] {
        superuser.execute(statement).await.unwrap();
    }
    // Of a table that was vacuumed the index alone is read; in a transaction it cannot be done.
    superuser.execute("VACUUM ANALYZE person_tokens").await.unwrap();
    database
}

fn of(units: &[i32]) -> RowScope {
    RowScope {
        units: units.to_vec(),
        all: false,
        ..RowScope::everything()
    }
}

#[tokio::test]
async fn a_search_for_persons_walks_one_word_of_one_year_in_the_index_alone() {
    let database = filled().await;
    for (what, scope) in [
        ("a unit", of(&[7])),
        ("every unit", of(&(1..=31).collect::<Vec<i32>>())),
        ("everything", RowScope::everything()),
    ] {
        let mut app = database.connect_as_app().await.unwrap();
        let mut transaction = app.begin().await.unwrap();
        let units = scope.units.iter().map(ToString::to_string).collect::<Vec<_>>();
        let units = format!("{{{}}}", units.join(","));
        sqlx::query("SELECT set_config('egov.scope_units', $1, true), set_config('egov.scope_all', $2, true)")
            .bind(&units)
            .bind(if scope.all { "on" } else { "off" })
            .execute(&mut *transaction)
            .await
            .unwrap();
        let all = scope.all;
        for statement in [
            // As `read_by_kept_plans` has it.
            "SET LOCAL plan_cache_mode = force_generic_plan".to_owned(),
            "SET LOCAL enable_bitmapscan = off".to_owned(),
            format!("PREPARE search (text, smallint, uuid, boolean, integer[], text, uuid, bigint) AS {NAMED}"),
        ] {
            transaction.execute(sqlx::AssertSqlSafe(statement)).await.unwrap();
        }
        for name in ["Nguyễn", "Tú Nguyễn", "Nguyễn Thị Nhường"] {
            let WantedWords { lead, pattern } = WantedWords::of(&PersonName::read(name).unwrap()).unwrap();
            let after = Uuid::nil();
            let explain = format!(
                "EXPLAIN (COSTS OFF) EXECUTE search ('{lead}', 1990, '{after}', {all}, '{units}', '{pattern}', NULL, 51)"
            );
            let rows = transaction.fetch_all(sqlx::AssertSqlSafe(explain)).await.unwrap();
            let lines: Vec<String> = rows.iter().map(|row| row.get::<String, _>(0)).collect();
            let plan = lines.join("\n");
            assert!(
                plan.contains("Index Only Scan using person_tokens_by_word"),
                "{what}:\n{plan}"
            );
            assert!(!plan.contains("Seq Scan") && !plan.contains("Sort"), "{what}:\n{plan}");
        }
    }
}
