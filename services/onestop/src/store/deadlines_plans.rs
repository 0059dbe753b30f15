//! What PostgreSQL makes of the lists and jobs of due dates, under row-level security, as the app role, over many rows.

use sqlx::{Connection as _, Executor as _};

use super::*;

/// Thirty thousand open cases of thirty units, a tenth of them at risk.
async fn filled() -> egov_testkit::TestDatabase {
    let database = egov_testkit::database("onestop", &crate::MIGRATOR).await;
    let mut superuser = database.connect_as_superuser().await.unwrap();
    superuser
        .execute(
            r#"
            INSERT INTO procedures VALUES ('1.000001', 1, 'x', 'x', 's', 's', '{commune}', '2025-01-01', NULL, '{}', '', now());
            INSERT INTO cases (case_id, case_code, code_provisional, procedure_code, procedure_version, state, channel,
                               responsible_unit_id, receiving_unit_id, owner, subject, conditions, submit_time,
                               lookup_secret, version, create_time, update_time)
            SELECT ('00000000-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid, 'c' || n, true, '1.000001', 1, 4, 2,
                   1 + n % 30, 1 + n % 30, '{"full_name": "x"}', '', '{}', now() - n * interval '1 minute', '', 1, now(), now()
            FROM generate_series(1, 30000) AS n;
            INSERT INTO case_deadlines (case_id, case_code, procedure_code, procedure_version, state, recorded_step, current_step,
                                        responsible_unit_id, due_time, step_since, latest_step_end, at_risk_from, notice_kind,
                                        notice_time, calendar_version)
            SELECT case_id, case_code, procedure_code, 1, 4, '', 's' || right(case_code, 1), responsible_unit_id,
                   submit_time + interval '20 days', submit_time, submit_time + interval '20 days',
                   CASE WHEN case_code LIKE '%7' THEN submit_time ELSE now() + interval '9 days' END, 1,
                   submit_time + interval '40 days', 'calendar'
            FROM cases;
            INSERT INTO case_deadline_changes (case_id, version, cause, old_due_time, new_due_time, old_calendar, new_calendar,
                                               responsible_unit_id, change_time, case_code)
            SELECT case_id, 2, 3, now(), now(), 'a', 'b', responsible_unit_id, submit_time, case_code FROM cases;
            ANALYZE;
            "#,
        )
        .await
        .unwrap();
    database
}

async fn plan(
    database: &egov_testkit::TestDatabase,
    visible: &Visible,
    mut query: QueryBuilder<sqlx::Postgres>,
) -> String {
    let mut app = database.connect_as_app().await.unwrap();
    let mut transaction = app.begin().await.unwrap();
    let units = visible
        .units
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(",");
    sqlx::query("SELECT set_config('egov.scope_units', $1, true), set_config('egov.scope_all', $2, true)")
        .bind(format!("{{{units}}}"))
        .bind(if visible.all { "on" } else { "off" })
        .execute(&mut *transaction)
        .await
        .unwrap();
    let rows = query.build().fetch_all(&mut *transaction).await.unwrap();
    let lines: Vec<String> = rows.iter().map(|row| row.get::<String, _>(0)).collect();
    lines.join("\n")
}

fn of(units: &[i32]) -> Visible {
    Visible {
        all: false,
        units: units.to_vec(),
        owner: None,
        assignee: None,
    }
}

#[tokio::test]
async fn every_list_of_due_dates_walks_an_index() {
    let database = filled().await;
    let now: Timestamp = "2040-01-01T00:00:00Z".parse().unwrap();
    let filter = AtRiskFilter {
        as_of: now,
        unit_id: None,
        procedure_code: None,
        step: None,
    };
    let after = AfterDue {
        due_time: "2020-01-01T00:00:00Z".parse().unwrap(),
        case_id: Uuid::nil(),
    };
    let explain = |head: &str| format!("EXPLAIN (COSTS OFF) {head}");
    for (name, visible, index) in [
        ("a unit", of(&[7]), "case_deadlines_by_unit_and_due"),
        ("three units", of(&[7, 8, 9]), "case_deadlines_by_unit_and_due"),
        ("everything", Visible::everything(), "case_deadlines_by_due"),
    ] {
        let query = at_risk_query(&explain(AT_RISK), &visible, &filter, Some(&after), 51);
        let found = plan(&database, &visible, query).await;
        assert!(found.contains(index), "at risk, {name}:\n{found}");
        assert!(
            !found.contains("Seq Scan on case_deadlines"),
            "at risk, {name}:\n{found}"
        );
    }
    let changed = ChangeFilter::default();
    for (name, visible, index) in [
        ("a unit", of(&[7]), "case_deadline_changes_by_unit"),
        ("everything", Visible::everything(), "case_deadline_changes_by_time"),
    ] {
        let query = changes_query(&explain(CHANGES), &visible, &changed, None, 51);
        let found = plan(&database, &visible, query).await;
        assert!(found.contains(index), "changes, {name}:\n{found}");
        // The last ground of the policy, the case itself, is looked at for rows of no own unit only: in these lists there are none.
        assert!(
            !found.contains("Seq Scan on case_deadline_changes"),
            "changes, {name}:\n{found}"
        );
    }
    let place = AfterPlace {
        responsible_unit_id: 6,
        procedure_code: "1.000001".to_owned(),
        step: "s1".to_owned(),
    };
    for (name, visible) in [("a unit", of(&[7])), ("everything", Visible::everything())] {
        let query = forecast_query(&explain(GROUPS), &visible, None, (now, now), Some(&place), 51);
        let found = plan(&database, &visible, query).await;
        assert!(found.contains("case_deadlines_by_"), "groups, {name}:\n{found}");
        assert!(!found.contains("Seq Scan"), "groups, {name}:\n{found}");
    }
}

#[tokio::test]
async fn what_the_jobs_look_for_is_found_along_an_index() {
    let database = filled().await;
    let everything = Visible::everything();
    for (name, query, index) in [
        (
            "out of date",
            "EXPLAIN (COSTS OFF) (SELECT case_id FROM case_deadlines WHERE calendar_version < 'calendar' ORDER BY calendar_version, case_id LIMIT 100)
             UNION ALL (SELECT case_id FROM case_deadlines WHERE calendar_version > 'calendar' ORDER BY calendar_version, case_id LIMIT 100) LIMIT 100",
            "case_deadlines_by_calendar",
        ),
        (
            "notices",
            "EXPLAIN (COSTS OFF) SELECT EXISTS (SELECT 1 FROM case_deadlines WHERE notice_time <= '2020-01-01')",
            "case_deadlines_by_notice",
        ),
    ] {
        let found = plan(&database, &everything, QueryBuilder::new(query)).await;
        assert!(found.contains(index), "{name}:\n{found}");
        assert!(!found.contains("Seq Scan"), "{name}:\n{found}");
    }
}

#[tokio::test]
async fn several_units_give_each_case_at_risk_once_in_the_order_of_one_list() {
    let database = filled().await;
    let mut superuser = database.connect_as_superuser().await.unwrap();
    let expected: Vec<Uuid> = sqlx::query_scalar(
        "SELECT case_id FROM case_deadlines WHERE responsible_unit_id IN (7, 8, 9) AND at_risk_from <= now()
         ORDER BY due_time, case_id LIMIT 120",
    )
    .fetch_all(&mut superuser)
    .await
    .unwrap();
    assert_eq!(expected.len(), 120);
    let now: Timestamp = sqlx::query_scalar::<_, jiff_sqlx::Timestamp>("SELECT now()")
        .fetch_one(&mut superuser)
        .await
        .unwrap()
        .to_jiff();
    let filter = AtRiskFilter {
        as_of: now,
        unit_id: None,
        procedure_code: None,
        step: None,
    };
    let (mut listed, mut after) = (Vec::new(), None);
    while listed.len() < expected.len() {
        let page = at_risk(&mut superuser, &of(&[7, 8, 9]), &filter, after.as_ref(), 40)
            .await
            .unwrap();
        assert_eq!(page.len(), 40);
        after = page.last().map(|row| AfterDue {
            due_time: row.due_time,
            case_id: row.case_id,
        });
        listed.extend(page.iter().map(|row| row.case_id));
    }
    assert_eq!(listed, expected);
}
