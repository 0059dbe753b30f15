//! What PostgreSQL makes of lists of linked applications, under row-level security, as the app role, over many rows.

use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{Connection as _, Executor as _, Row as _};
use uuid::Uuid;

use super::{Listed, list_query};
use crate::store::Visible;

/// Forty thousand applications of thirty units, two each; of every hundredth both are asked something.
async fn filled() -> egov_testkit::TestDatabase {
    let database = egov_testkit::database("onestop", &crate::MIGRATOR).await;
    let mut superuser = database.connect_as_superuser().await.unwrap();
    for statement in [
        "SET session_replication_role = replica",
        "INSERT INTO linked_cases
         SELECT ('00000000-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid, 'LT-' || n, '2.000986', 1, false,
                ('00000000-0000-0000-0001-' || lpad((n % 1000)::text, 12, '0'))::uuid, timestamptz '2026-01-01' + n * interval '1 minute',
                '{}', jsonb_build_object('n', n), 1, now()
         FROM generate_series(1, 40000) AS n",
        "INSERT INTO linked_case_units
         SELECT 1 + (n + k) % 30, ('00000000-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid,
                ('00000000-0000-0000-0001-' || lpad((n % 1000)::text, 12, '0'))::uuid, timestamptz '2026-01-01' + n * interval '1 minute',
                n % 100 = 0
         FROM generate_series(1, 40000) AS n, generate_series(0, 1) AS k",
        "INSERT INTO linked_case_members
         SELECT ('00000000-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid, 'm' || k,
                ('00000000-0000-0000-000' || (2 + k) || '-' || lpad(n::text, 12, '0'))::uuid
         FROM generate_series(1, 40000) AS n, generate_series(0, 1) AS k",
        "ANALYZE",
    ] {
        superuser.execute(statement).await.unwrap();
    }
    database
}

/// What a list gives in this scope, or how it is explained.
async fn rows(
    database: &egov_testkit::TestDatabase,
    scope: &str,
    explain: &str,
    visible: &Visible,
    listed: Listed,
) -> Vec<PgRow> {
    let mut app = database.connect_as_app().await.unwrap();
    let mut transaction = app.begin().await.unwrap();
    let (name, value) = scope.split_once('=').unwrap();
    sqlx::query("SELECT set_config($1, $2, true)")
        .bind(name)
        .bind(value)
        .execute(&mut *transaction)
        .await
        .unwrap();
    list_query(explain, visible, listed, None, 51)
        .fetch_all(&mut *transaction)
        .await
        .unwrap()
}

fn of_unit() -> Visible {
    Visible {
        all: false,
        units: vec![7],
        owner: None,
        assignee: None,
    }
}

fn numbers(rows: &[PgRow]) -> Vec<i64> {
    let document = |row: &PgRow| row.get::<Json<serde_json::Value>, _>("document").0;
    rows.iter().map(|row| document(row)["n"].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn lists_of_linked_applications_walk_an_index_and_that_of_a_case_looks_at_no_other() {
    let database = filled().await;
    let (unit, all) = ("egov.scope_units={7}", "egov.scope_all=on");
    // Of the application 36: of the units 7 and 8.
    let case_id: Uuid = "00000000-0000-0000-0002-000000000036".parse().unwrap();
    let listed = |case_id: Option<Uuid>, to_decide: bool| Listed { case_id, to_decide };
    for (name, scope, visible, listed, index) in [
        (
            "of a unit",
            unit,
            of_unit(),
            listed(None, false),
            "linked_case_units_by_time",
        ),
        (
            "to decide",
            unit,
            of_unit(),
            listed(None, true),
            "linked_case_units_to_decide",
        ),
        (
            "all to decide",
            all,
            Visible::everything(),
            listed(None, true),
            "linked_case_units_to_decide_by_time",
        ),
        (
            "of a case",
            unit,
            of_unit(),
            listed(Some(case_id), false),
            "linked_case_members_by_case",
        ),
    ] {
        let explained = rows(&database, scope, "EXPLAIN (COSTS OFF) ", &visible, listed).await;
        let lines: Vec<String> = explained.iter().map(|row| row.get::<String, _>(0)).collect();
        let plan = lines.join("\n");
        assert!(plan.contains(index), "{name}:\n{plan}");
        assert!(!plan.contains("Seq Scan on linked_cases"), "{name}:\n{plan}");
        if listed.case_id.is_some() {
            assert!(!plan.contains("linked_cases_by_time"), "{name}:\n{plan}");
        }
    }
    let found = rows(&database, unit, "", &of_unit(), listed(Some(case_id), false)).await;
    assert_eq!(numbers(&found), [36]);
    let neighbours = Visible {
        units: vec![9],
        ..of_unit()
    };
    for (visible, listed) in [
        (&of_unit(), listed(Some(case_id), true)),
        (&neighbours, listed(Some(case_id), false)),
        (&of_unit(), listed(Some(Uuid::nil()), false)),
    ] {
        assert!(rows(&database, unit, "", visible, listed).await.is_empty());
    }
}

#[tokio::test]
async fn what_is_to_be_decided_is_listed_once_however_many_units_are_asked() {
    let database = filled().await;
    let listed = Listed {
        case_id: None,
        to_decide: true,
    };
    let found = rows(&database, "egov.scope_all=on", "", &Visible::everything(), listed).await;
    let expected: Vec<i64> = (0..51).map(|place| 40_000 - 100 * place).collect();
    assert_eq!(numbers(&found), expected, "a whole page, newest first");
}
