//! What PostgreSQL makes of the cases of a procedure, under row-level security, as the app role, over many rows.

use sqlx::{Connection as _, Executor as _};

use super::*;

#[tokio::test]
async fn the_cases_of_a_procedure_walk_an_index_for_simulations_and_migrations() {
    let database = egov_testkit::database("onestop", &crate::MIGRATOR).await;
    let mut superuser = database.connect_as_superuser().await.unwrap();
    for statement in [
        "INSERT INTO procedures SELECT '1.' || lpad(n::text, 6, '0'), 1, 'x', 'x', 's', 's', '{commune}', '2025-01-01', NULL,
                '{}', '', now() FROM generate_series(0, 99) AS n",
        r#"INSERT INTO cases (case_id, case_code, code_provisional, procedure_code, procedure_version, state, channel,
                              responsible_unit_id, receiving_unit_id, owner, subject, conditions, submit_time, lookup_secret,
                              version, create_time, update_time)
           SELECT ('00000000-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid, 'c' || n, true,
                  '1.' || lpad((n % 100)::text, 6, '0'), 1, 1 + n % 10, 2, 1 + n % 30, 1 + n % 30, '{"full_name": "x"}', '',
                  '{}', now() - n * interval '1 minute', '', 1, now(), now()
           FROM generate_series(1, 30000) AS n"#,
        "ANALYZE",
    ] {
        superuser.execute(statement).await.unwrap();
    }
    let everywhere: Vec<i32> = (1..=30).collect();
    let of = CasesOf {
        procedure_code: "1.000042".to_owned(),
        ..CasesOf::default()
    };
    let running = CasesOf {
        version: Some(1),
        running: true,
        ..of.clone()
    };
    let after = After {
        submit_time: "2099-01-01T00:00:00Z".parse().unwrap(),
        case_id: Uuid::nil(),
    };
    for (name, units, of, after) in [
        ("a simulation of the province", everywhere.clone(), &of, None),
        ("a later page", everywhere.clone(), &of, Some(after)),
        ("a migration", everywhere, &running, Some(after)),
        ("one commune", vec![7], &running, None),
    ] {
        let visible = Visible {
            all: false,
            units: units.clone(),
            owner: None,
            assignee: None,
        };
        let mut app = database.connect_as_app().await.unwrap();
        let mut transaction = app.begin().await.unwrap();
        let scope: Vec<String> = units.iter().map(ToString::to_string).collect();
        sqlx::query("SELECT set_config('egov.scope_units', $1, true)")
            .bind(format!("{{{}}}", scope.join(",")))
            .execute(&mut *transaction)
            .await
            .unwrap();
        let mut query = cases_query("EXPLAIN (COSTS OFF) ", &visible, of, after, 51);
        let rows = query.build().fetch_all(&mut *transaction).await.unwrap();
        let plan = rows
            .iter()
            .map(|row| row.get::<String, _>(0))
            .collect::<Vec<_>>()
            .join("\n");
        assert!(
            plan.contains("Index") && !plan.contains("Seq Scan on cases"),
            "{name}:\n{plan}"
        );
        assert!(
            name == "one commune" || plan.contains("cases_by_procedure"),
            "{name}:\n{plan}"
        );
    }
}
