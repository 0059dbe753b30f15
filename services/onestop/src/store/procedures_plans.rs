//! What PostgreSQL makes of the lists and searches of procedures, as the app role, over many rows.

use sqlx::Executor as _;

use super::*;
use crate::domain::listing::{AfterFact, FactFilter};
use crate::domain::pack::FactKind;
use crate::store::decisions::open_query;

const EXPLAIN: &str = "EXPLAIN (COSTS OFF) ";

/// Twenty thousand procedures of two hundred sectors, two versions each.
async fn filled() -> egov_testkit::TestDatabase {
    let database = egov_testkit::database("onestop", &crate::MIGRATOR).await;
    let mut superuser = database.connect_as_superuser().await.unwrap();
    for statement in [
        "INSERT INTO procedures SELECT '1.' || lpad(n::text, 6, '0'), version, 'x', 'x', 's' || n % 200, 's', '{commune}',
                '2025-01-01'::date + version, NULL, '{}', '', now(), 'catalogue', 1
         FROM generate_series(1, 20000) AS n, generate_series(1, 2) AS version",
        "INSERT INTO procedure_tokens SELECT word, procedure_code, version, 2
         FROM procedures, LATERAL (VALUES ('dang'), ('w' || right(procedure_code, 4)), (procedure_code)) AS words (word)",
        "INSERT INTO procedure_open_facts SELECT procedure_code, version, kind, '{x}', '', false
         FROM procedures, unnest(ARRAY['time', 'fee']) AS kind",
        "ANALYZE",
    ] {
        superuser.execute(statement).await.unwrap();
    }
    database
}

async fn plan(database: &egov_testkit::TestDatabase, mut query: QueryBuilder<Postgres>) -> String {
    let mut app = database.connect_as_app().await.unwrap();
    let rows = query.build().fetch_all(&mut app).await.unwrap();
    rows.iter()
        .map(|row| row.get::<String, _>(0))
        .collect::<Vec<_>>()
        .join("\n")
}

#[tokio::test]
async fn every_list_and_search_of_procedures_walks_an_index() {
    let database = filled().await;
    let today = jiff::civil::date(2026, 11, 23);
    let all = ProcedureFilter::default();
    let sector = ProcedureFilter {
        sector_code: Some("s7".to_owned()),
        ..ProcedureFilter::default()
    };
    let word = ProcedureFilter::searching("w0042");
    let code = ProcedureFilter::searching("1.00004");
    let after = Ranked {
        rank: 5,
        procedure_code: "1.000042".to_owned(),
    };
    for (name, query, index) in [
        ("list", list_query(EXPLAIN, today, &all, "1.000500", 51), "Index"),
        (
            "list of a sector",
            list_query(EXPLAIN, today, &sector, "", 51),
            "procedures_by_sector",
        ),
        (
            "search",
            search_query(EXPLAIN, today, &word, None, 51),
            "procedure_tokens_pkey",
        ),
        (
            "search by a code's beginning",
            search_query(EXPLAIN, today, &code, None, 51),
            "procedure_tokens_pkey",
        ),
        (
            "search, a later page",
            search_query(EXPLAIN, today, &word, Some(&after), 51),
            "procedure_tokens_pkey",
        ),
    ] {
        let plan = plan(&database, query).await;
        assert!(plan.contains(index), "{name}:\n{plan}");
        assert!(!plan.contains("Seq Scan"), "{name}:\n{plan}");
    }
    let after = AfterFact {
        procedure_code: "1.000500".to_owned(),
        kind: "fee".to_owned(),
    };
    let times = FactFilter {
        kind: Some(FactKind::Time),
        ..FactFilter::default()
    };
    for (name, query) in [
        ("open facts", open_query(EXPLAIN, &FactFilter::default(), None, 51)),
        (
            "open facts, a later page",
            open_query(EXPLAIN, &FactFilter::default(), Some(&after), 51),
        ),
        ("open times", open_query(EXPLAIN, &times, None, 51)),
    ] {
        let plan = plan(&database, query).await;
        assert!(plan.contains("procedure_open_facts_pkey"), "{name}:\n{plan}");
        assert!(!plan.contains("Seq Scan"), "{name}:\n{plan}");
    }
}
