//! What PostgreSQL makes of stores and of the report on papers asked for, under row-level security, as the app role, over many rows.

use jiff::civil::date;
use sqlx::postgres::Postgres;
use sqlx::{Connection as _, Executor as _, QueryBuilder, Row as _};
use uuid::Uuid;

use super::stored_papers::{AfterPaper, Type, Whose};
use super::{avoidable, stored_papers};
use crate::domain::components::paper::PaperKind;

/// Thirty thousand papers of a thousand persons, and sums of thirty units over two years.
async fn filled() -> egov_testkit::TestDatabase {
    let database = egov_testkit::database("onestop", &crate::MIGRATOR).await;
    let mut superuser = database.connect_as_superuser().await.unwrap();
    for statement in [
        "SET session_replication_role = replica",
        "INSERT INTO stored_papers
         SELECT ('00000000-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid, 1 + n % 30,
                ('00000000-0000-0000-0001-' || lpad((n % 1000)::text, 12, '0'))::uuid, '0401900' || lpad((n % 1000)::text, 5, '0'),
                'result', 'KQ.' || n % 5, 't', '', '1.00' || n % 7, gen_random_uuid(), '', NULL, ARRAY[gen_random_uuid()],
                '2026-01-01', NULL, false, NULL, '', timestamptz '2026-01-01' + n * interval '1 minute', 1
         FROM generate_series(1, 30000) AS n",
        "INSERT INTO avoidable_paper_sums
         SELECT 1 + n % 30, '1.00' || n % 7, 'c' || n % 11, 'r' || n % 5, date '2025-01-01' + n % 700, 1
         FROM generate_series(0, 60000) AS n ON CONFLICT DO NOTHING",
        "ANALYZE",
    ] {
        superuser.execute(statement).await.unwrap();
    }
    database
}

async fn plan(database: &egov_testkit::TestDatabase, mut query: QueryBuilder<Postgres>) -> String {
    let mut app = database.connect_as_app().await.unwrap();
    let mut transaction = app.begin().await.unwrap();
    sqlx::query("SELECT set_config('egov.scope_units', '{7}', true)")
        .execute(&mut *transaction)
        .await
        .unwrap();
    let rows = query.build().fetch_all(&mut *transaction).await.unwrap();
    let lines: Vec<String> = rows.iter().map(|row| row.get::<String, _>(0)).collect();
    lines.join("\n")
}

#[tokio::test]
async fn stores_and_the_report_on_papers_asked_for_walk_an_index() {
    let database = filled().await;
    let explain = "EXPLAIN (COSTS OFF) ";
    let after = Some(AfterPaper {
        store_time: "2026-01-15T00:00:00Z".parse().unwrap(),
        paper_id: Uuid::max(),
    });
    let number = "040190000007".to_owned();
    let types = vec![Type {
        kind: PaperKind::Result,
        code: "KQ.1".to_owned(),
        procedure_code: None,
    }];
    let account: Uuid = "00000000-0000-0000-0001-000000000007".parse().unwrap();
    let after_key = avoidable::Key {
        unit_id: 7,
        procedure_code: "1.003".to_owned(),
        component_code: "c2".to_owned(),
        register_code: "r1".to_owned(),
    };
    let days = (Some(date(2026, 1, 1)), Some(date(2026, 1, 31)));
    for (name, query, index, table) in [
        (
            "papers of a person",
            stored_papers::list_query(explain, &Whose::Number(number, types), after, 51),
            "stored_papers_by_number",
            "stored_papers",
        ),
        (
            "papers of an account",
            stored_papers::list_query(explain, &Whose::Account(account), after, 51),
            "stored_papers_by_owner",
            "stored_papers",
        ),
        (
            "papers asked for",
            avoidable::list_query(explain, &[7], days, Some(&after_key), 51),
            "avoidable_paper_sums_pkey",
            "avoidable_paper_sums",
        ),
    ] {
        let plan = plan(&database, query).await;
        assert!(plan.contains(index), "{name}:\n{plan}");
        assert!(!plan.contains(&format!("Seq Scan on {table}")), "{name}:\n{plan}");
    }
}
