//! What PostgreSQL makes of the lists and looks of fees, under row-level security, as the app role, over many rows.

use jiff::civil::date;
use sqlx::{Connection as _, Executor as _, Row as _};

use super::reconciliations::{DifferenceFilter, list_query};

#[tokio::test]
async fn differences_payments_of_a_day_and_what_is_to_be_asked_walk_an_index() {
    let database = egov_testkit::database("onestop", &crate::MIGRATOR).await;
    let mut superuser = database.connect_as_superuser().await.unwrap();
    for statement in [
        "SET session_replication_role = replica",
        "INSERT INTO payment_differences (difference_id, responsible_unit_id, day, kind, reference, case_code, content, state, version, find_time)
         SELECT gen_random_uuid(), 1 + n % 30, date '2026-01-01' + n / 100, 2, 'r' || n, '', '{}', CASE WHEN n % 9 = 0 THEN 1 ELSE 3 END, 1, now()
         FROM generate_series(1, 20000) AS n",
        "INSERT INTO charge_payments (payment_id, case_id, case_code, responsible_unit_id, collecting_unit_id, way, amount_vnd, state, reference,
                                      pay_url, transaction, request_time, paid_time, paid_day, poll_time)
         SELECT gen_random_uuid(), gen_random_uuid(), '', 1 + n % 30, 1 + n % 30, 1, 8000, 3, 'p' || n, '', '', now(), now(), date '2026-01-01' + n / 100,
                CASE WHEN n % 500 = 0 THEN now() END
         FROM generate_series(1, 20000) AS n",
        "ANALYZE",
    ] {
        superuser.execute(statement).await.unwrap();
    }
    let filter = DifferenceFilter {
        units: vec![7],
        from: Some(date(2026, 3, 1)),
        to: None,
        open_only: false,
    };
    let list = list_query("EXPLAIN (COSTS OFF) ", &filter, None, 51);
    let mut app = database.connect_as_app().await.unwrap();
    let mut transaction = app.begin().await.unwrap();
    sqlx::query("SELECT set_config('egov.scope_units', '{7}', true)")
        .execute(&mut *transaction)
        .await
        .unwrap();
    let mut list = list;
    let rows = list.build().fetch_all(&mut *transaction).await.unwrap();
    let mut plans = vec![("payment_differences_by_day", rows)];
    for (index, statement) in [
        (
            "charge_payments_by_collector",
            "EXPLAIN (COSTS OFF) SELECT payment_id FROM charge_payments WHERE collecting_unit_id = 7 AND paid_day = '2026-03-01'",
        ),
        (
            "charge_payments_to_ask",
            "EXPLAIN (COSTS OFF) SELECT case_id, payment_id FROM charge_payments WHERE poll_time <= now() ORDER BY poll_time, payment_id LIMIT 50",
        ),
    ] {
        plans.push((
            index,
            sqlx::query(statement).fetch_all(&mut *transaction).await.unwrap(),
        ));
    }
    for (index, rows) in plans {
        let lines: Vec<String> = rows.iter().map(|row| row.get::<String, _>(0)).collect();
        let plan = lines.join("\n");
        assert!(plan.contains(index), "{index}:\n{plan}");
        assert!(!plan.contains("Seq Scan"), "{index}:\n{plan}");
    }
}
