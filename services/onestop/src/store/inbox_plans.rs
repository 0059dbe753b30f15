//! What PostgreSQL makes of every inbox, under row-level security, as the app role, over many open tasks.

use sqlx::{Connection as _, Executor as _, Row as _};

use super::*;

/// Forty thousand cases of thirty units, each with an open task; every hundredth official has four hundred of them.
async fn filled() -> egov_testkit::TestDatabase {
    let database = egov_testkit::database("onestop", &crate::MIGRATOR).await;
    let mut superuser = database.connect_as_superuser().await.unwrap();
    for statement in [
        "INSERT INTO procedures VALUES ('1.000001', 1, 'x', 'x', 's', 's', '{commune}', '2025-01-01', NULL, '{}', '', now())",
        r#"INSERT INTO cases (case_id, case_code, code_provisional, procedure_code, procedure_version, state, channel,
                              responsible_unit_id, receiving_unit_id, owner, subject, conditions, submit_time, lookup_secret,
                              version, create_time, update_time)
           SELECT ('00000000-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid, 'c' || n, true, '1.000001', 1, 4, 1,
                  1 + n % 30, 1 + n % 30, '{"full_name": "x"}', '', '{}', now() - n * interval '1 minute', '', 1, now(), now()
           FROM generate_series(1, 40000) AS n"#,
        r"INSERT INTO case_tasks (task_id, case_id, number, kind, step, role, responsible_unit_id, state, assignee_id,
                                   create_time, version)
           SELECT gen_random_uuid(), case_id, 1, 1, 'tham_tra', (ARRAY['officer', 'unit_leader'])[1 + n % 2], responsible_unit_id, 1,
                  CASE WHEN n % 2 = 0 THEN ('00000000-0000-0000-0002-' || lpad((n % 100)::text, 12, '0'))::uuid END,
                  submit_time, 1
           FROM (SELECT case_id, responsible_unit_id, submit_time, right(case_code, -1)::int AS n FROM cases) AS c",
        "ANALYZE",
    ] {
        superuser.execute(statement).await.unwrap();
    }
    database
}

fn units(units: &[i32]) -> Visible {
    Visible {
        units: units.to_vec(),
        all: false,
        ..Visible::everything()
    }
}

fn role(role: &str) -> OfUnit {
    OfUnit {
        role: Some(role.to_owned()),
        ..OfUnit::default()
    }
}

fn person(number: u128) -> OfUnit {
    OfUnit {
        assignee: Some(Uuid::from_u128((2 << 48) + number)),
        ..OfUnit::default()
    }
}

async fn plan(database: &egov_testkit::TestDatabase, visible: &Visible, whose: &Whose) -> String {
    let mut app = database.connect_as_app().await.unwrap();
    let mut transaction = app.begin().await.unwrap();
    let listed = visible.units.iter().map(ToString::to_string).collect::<Vec<_>>();
    sqlx::query("SELECT set_config('egov.scope_units', $1, true), set_config('egov.scope_all', 'off', true)")
        .bind(format!("{{{}}}", listed.join(",")))
        .execute(&mut *transaction)
        .await
        .unwrap();
    let after = AfterTask {
        create_time: "2026-01-01T00:00:00Z".parse().unwrap(),
        task_id: Uuid::nil(),
    };
    let head = format!("EXPLAIN (COSTS OFF) {HEAD}");
    let rows = query(&head, visible, whose, Some(after), 51)
        .build()
        .fetch_all(&mut *transaction)
        .await
        .unwrap();
    rows.iter()
        .map(|row| row.get::<String, _>(0))
        .collect::<Vec<_>>()
        .join("\n")
}

#[tokio::test]
async fn every_inbox_walks_an_index() {
    let database = filled().await;
    let every: Vec<i32> = (1..=30).collect();
    let roles = every
        .iter()
        .flat_map(|unit| ["officer", "unit_leader"].map(|role| (role.to_owned(), *unit)))
        .collect();
    for (name, visible, whose, index) in [
        (
            "of a person",
            units(&[7, 8]),
            Whose::Person(Uuid::from_u128((2 << 64) + 0x42)),
            "case_tasks_by_assignee",
        ),
        (
            "of a unit",
            units(&[7]),
            Whose::Unit(7, OfUnit::default()),
            "case_tasks_by_unit",
        ),
        (
            "of a role of a unit, whoever has it",
            units(&[7]),
            Whose::Unit(7, role("unit_leader")),
            "case_tasks_by_unit_and_role",
        ),
        (
            "of a person of a unit",
            units(&[7]),
            Whose::Unit(7, person(0x42)),
            "case_tasks_by_assignee",
        ),
        (
            "of a role",
            units(&[7]),
            Whose::Roles(vec![("officer".to_owned(), 7)]),
            "case_tasks_by_unit",
        ),
        (
            "of every role over every unit",
            units(&every),
            Whose::Roles(roles),
            "case_tasks_by_unit",
        ),
    ] {
        let plan = plan(&database, &visible, &whose).await;
        assert!(plan.contains(index), "{name}:\n{plan}");
        for table in ["case_tasks", "cases"] {
            assert!(!plan.contains(&format!("Seq Scan on {table}")), "{name}:\n{plan}");
        }
    }
}
