//! What PostgreSQL makes of every list and search, under row-level security, as the app role, over many rows.

use sqlx::{Connection as _, Executor as _};

use super::*;

const CASES: i64 = 30_000;

/// Thirty thousand cases of thirty units, each citizen with a hundred, two words each.
async fn filled() -> egov_testkit::TestDatabase {
    let database = egov_testkit::database("onestop", &crate::MIGRATOR).await;
    let mut superuser = database.connect_as_superuser().await.unwrap();
    superuser
        .execute(
            "INSERT INTO procedures VALUES ('1.000001', 1, 'x', 'x', 's', 's', '{commune}', '2025-01-01', NULL, '{}', '', now())",
        )
        .await
        .unwrap();
    sqlx::query(
        r#"
        INSERT INTO cases (case_id, case_code, code_provisional, procedure_code, procedure_version, state, channel,
                           responsible_unit_id, receiving_unit_id, owner_id, owner, subject, conditions, submit_time,
                           lookup_secret, version, create_time, update_time)
        SELECT ('00000000-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid, 'c' || n, true, '1.000001', 1, 1 + n % 10, 2,
               1 + n % 30, 1 + n % 30, ('00000000-0000-0000-0001-' || lpad((n % 300)::text, 12, '0'))::uuid,
               '{"full_name": "x"}', '', '{}', now() - n * interval '1 minute', '', 1, now(), now()
        FROM generate_series(1, $1) AS n
        "#,
    )
    .bind(CASES)
    .execute(&mut superuser)
    .await
    .unwrap();
    superuser
        .execute(
            "INSERT INTO case_tokens (responsible_unit_id, token, owner_id, case_id, submit_time)
             SELECT responsible_unit_id, token, owner_id, case_id, submit_time FROM cases,
             LATERAL (VALUES ('nguyen'), ('t' || right(case_code, 3))) AS words (token)",
        )
        .await
        .unwrap();
    // Each has its open step, so that what is asked of the few opinions is asked of a table that is worth an index.
    superuser
        .execute(
            "INSERT INTO case_tasks (task_id, case_id, number, kind, step, role, responsible_unit_id, state, create_time, version)
             SELECT case_id, case_id, 1, 1, 'x', 'officer', responsible_unit_id, 1, submit_time, 1 FROM cases",
        )
        .await
        .unwrap();
    superuser.execute("ANALYZE").await.unwrap();
    database
}

/// The plan of a query as the app role sees it in this scope.
async fn plan(
    database: &egov_testkit::TestDatabase,
    visible: &Visible,
    mut query: QueryBuilder<sqlx::Postgres>,
) -> String {
    let mut app = database.connect_as_app().await.unwrap();
    let mut transaction = app.begin().await.unwrap();
    sqlx::query(
        "SELECT set_config('egov.scope_units', $1, true), set_config('egov.scope_all', $2, true),
                set_config('egov.scope_owner', $3, true)",
    )
    .bind(format!(
        "{{{}}}",
        visible
            .units
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(",")
    ))
    .bind(if visible.all { "on" } else { "off" })
    .bind(visible.owner.map(|owner| owner.to_string()).unwrap_or_default())
    .execute(&mut *transaction)
    .await
    .unwrap();
    let rows = query.build().fetch_all(&mut *transaction).await.unwrap();
    rows.iter()
        .map(|row| row.get::<String, _>(0))
        .collect::<Vec<_>>()
        .join("\n")
}

fn explained() -> String {
    format!("EXPLAIN (COSTS OFF) {SUMMARY}")
}

fn unit(unit: i32) -> Visible {
    Visible {
        all: false,
        units: vec![unit],
        owner: None,
        assignee: None,
    }
}

#[tokio::test]
async fn every_list_and_search_walks_an_index() {
    let database = filled().await;
    let later = After {
        submit_time: "2026-11-20T00:00:00Z".parse().unwrap(),
        case_id: Uuid::nil(),
    };
    let states = CaseFilter {
        states: vec![1, 2],
        ..CaseFilter::default()
    };
    let nothing = CaseFilter::default();
    let everywhere = Visible {
        all: true,
        units: Vec::new(),
        owner: None,
        assignee: None,
    };
    let citizen = Visible {
        all: false,
        units: Vec::new(),
        owner: Some(Uuid::from_u128(1 << 64)),
        assignee: None,
    };

    for (name, visible, query, index) in [
        (
            "first page of a unit",
            unit(7),
            list_query(&explained(), &unit(7), &nothing, None, 51),
            "cases_by_unit_and_time",
        ),
        (
            "a later page",
            unit(7),
            list_query(&explained(), &unit(7), &nothing, Some(later), 51),
            "cases_by_unit_and_time",
        ),
        (
            "some states",
            unit(7),
            list_query(&explained(), &unit(7), &states, None, 51),
            "cases_by_unit_and_time",
        ),
        (
            "the whole province",
            everywhere.clone(),
            list_query(&explained(), &everywhere, &nothing, None, 51),
            "cases_by_time",
        ),
        (
            "the own cases of a citizen",
            citizen.clone(),
            list_query(&explained(), &citizen, &nothing, None, 51),
            "cases_by_owner",
        ),
    ] {
        let plan = plan(&database, &visible, query).await;
        assert!(plan.contains(index), "{name}:\n{plan}");
        assert!(!plan.contains("Seq Scan on cases"), "{name}:\n{plan}");
        // What is few may be sorted: one citizen's cases, one unit's in some states, and the two pages of a unit (its cases, and those that
        // it received for another). What is many comes in index order.
        assert!(
            name != "the whole province" || !plan.contains("Sort"),
            "{name}:\n{plan}"
        );
        let of_a_unit = !visible.units.is_empty();
        assert!(
            !of_a_unit || (plan.contains("cases_received_by") && !plan.contains("cases_by_time")),
            "{name}:\n{plan}"
        );
    }

    // An officer sees the cases of the commune and its departments and those assigned to them: a page of each, not everybody's cases by time.
    let officer = Visible {
        units: vec![7, 8, 9],
        assignee: Some(Uuid::from_u128(3)),
        ..unit(7)
    };
    let found = plan(
        &database,
        &officer,
        list_query(&explained(), &officer, &nothing, Some(later), 51),
    )
    .await;
    for index in ["cases_by_unit_and_time", "cases_by_assignee"] {
        assert!(found.contains(index), "{found}");
    }
    assert!(
        !found.contains("cases_by_time") && !found.contains("Seq Scan on cases"),
        "{found}"
    );

    let words = vec!["t042".to_owned(), "nguyen".to_owned()];
    let found = plan(
        &database,
        &unit(7),
        search_query(&explained(), &unit(7), words, None, 51),
    )
    .await;
    assert!(found.contains("case_tokens_pkey"), "{found}");
    assert!(!found.contains("Seq Scan"), "{found}");
    let words = vec!["t042".to_owned(), "nguyen".to_owned()];
    let found = plan(
        &database,
        &citizen,
        search_query(&explained(), &citizen, words, None, 51),
    )
    .await;
    assert!(!found.contains("Seq Scan"), "{found}");
}

#[tokio::test]
async fn a_list_for_several_reasons_has_every_row_once_in_the_order_of_one_list() {
    let database = filled().await;
    let mut superuser = database.connect_as_superuser().await.unwrap();
    // Of the officer's own units and of others.
    superuser
        .execute(
            "UPDATE cases SET assignee_id = '00000000-0000-0000-0000-000000000003' WHERE right(case_code, 2) = '42'",
        )
        .await
        .unwrap();
    let officer = Visible {
        units: vec![7, 8, 9],
        assignee: Some(Uuid::from_u128(3)),
        ..unit(7)
    };
    let expected: Vec<Uuid> = sqlx::query_scalar(
        "SELECT case_id FROM cases WHERE responsible_unit_id IN (7, 8, 9) OR assignee_id = '00000000-0000-0000-0000-000000000003'
         ORDER BY submit_time DESC, case_id DESC LIMIT 200",
    )
    .fetch_all(&mut superuser)
    .await
    .unwrap();
    let (mut listed, mut after) = (Vec::new(), None);
    while listed.len() < expected.len() {
        let page = list(&mut superuser, &officer, &CaseFilter::default(), after, 50)
            .await
            .unwrap();
        assert_eq!(page.len(), 50);
        after = page.last().map(Summary::position);
        listed.extend(page.iter().map(|row| row.case_id));
    }
    assert_eq!(listed, expected);
    assert!(expected.iter().any(|id| {
        let number: u64 = id.to_string().rsplit('-').next().unwrap().parse().unwrap();
        !(6..=8).contains(&(number % 30))
    }));
}
