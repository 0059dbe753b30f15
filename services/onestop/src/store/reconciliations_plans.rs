//! What PostgreSQL makes of the lists and looks of fees, under row-level security, as the app role, over many rows.

use jiff::civil::date;
use sqlx::{Connection as _, Executor as _, Row as _};

use super::reconciliations::{CONTRADICTED, DifferenceFilter, list_query};
use super::treasury_files::{self, FileFilter};

#[tokio::test]
async fn differences_payments_of_a_day_and_what_is_to_be_asked_walk_an_index() {
    let database = egov_testkit::database("onestop", &crate::MIGRATOR).await;
    let mut superuser = database.connect_as_superuser().await.unwrap();
    for statement in [
        "SET session_replication_role = replica",
        "INSERT INTO payment_differences (difference_id, responsible_unit_id, day, kind, reference, case_code, content, state, version, find_time)
         SELECT gen_random_uuid(), 1 + n % 30, date '2026-01-01' + n / 100, 2, 'r' || n, '', '{}', CASE WHEN n % 9 = 0 THEN 1 ELSE 3 END, 1, now()
         FROM generate_series(1, 20000) AS n",
        "INSERT INTO payment_differences (difference_id, responsible_unit_id, day, kind, reference, case_code, case_id, payment_id, content, state,
                                          settled_by, version, find_time)
         SELECT gen_random_uuid(), 1 + n % 30, date '2026-01-01' + n / 100, CASE WHEN n % 50 = 0 THEN 12 ELSE 10 END, 'd' || n, '', gen_random_uuid(),
                ('00000000-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid, '{}', CASE WHEN n % 9 = 0 THEN 1 ELSE 2 END,
                CASE WHEN n % 9 <> 0 THEN '00000000-0000-0000-0000-000000000001'::uuid END, 1, now()
         FROM generate_series(1, 20000) AS n",
        "INSERT INTO charge_payments (payment_id, case_id, case_code, responsible_unit_id, collecting_unit_id, way, amount_vnd, state, reference,
                                      pay_url, transaction, request_time, paid_time, paid_day, poll_time)
         SELECT gen_random_uuid(), gen_random_uuid(), '', 1 + n % 30, 1 + n % 30, 1, 8000, 3, 'p' || n, '', '', now(), now(), date '2026-01-01' + n / 100,
                CASE WHEN n % 500 = 0 THEN now() END
         FROM generate_series(1, 20000) AS n",
        "INSERT INTO treasury_files (file_id, responsible_unit_id, day, format, sha256, entries, amount_vnd, actor_id, import_time)
         SELECT ('00000000-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid, 1 + n % 30, date '2026-01-01' + n / 100, 'x', '', 0, 0,
                '00000000-0000-0000-0000-000000000001', now()
         FROM generate_series(1, 20000) AS n",
        "INSERT INTO treasury_files_taken_back (file_id, responsible_unit_id, reason, actor_id, take_back_time)
         SELECT file_id, responsible_unit_id, 'x', actor_id, now() FROM treasury_files WHERE right(file_id::text, 1) = '3'",
        "INSERT INTO treasury_entries (file_id, line, responsible_unit_id, day, case_code, reference, amount_vnd)
         SELECT file_id, 2, responsible_unit_id, day, '', 'p' || right(file_id::text, 6), 8000 FROM treasury_files",
        "INSERT INTO reconciliation_files (reconciliation_id, file_id, responsible_unit_id)
         SELECT file_id, file_id, responsible_unit_id FROM treasury_files",
        "INSERT INTO reconciled_days (responsible_unit_id, day, reconciliation_id, reconcile_time)
         SELECT DISTINCT ON (responsible_unit_id, day) responsible_unit_id, day, file_id, now() FROM treasury_files",
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
    let one = "('{00000000-0000-0000-0000-000000000450}'::uuid[])";
    let contradicted = format!("EXPLAIN (COSTS OFF) {}", CONTRADICTED.replace("($1)", one));
    for index in ["payment_differences_by_payment", "payment_differences_returned"] {
        let rows = sqlx::query(sqlx::AssertSqlSafe(contradicted.clone()))
            .fetch_all(&mut *transaction)
            .await
            .unwrap();
        plans.push((index, rows));
    }
    for taken_back in [None, Some(false)] {
        let filter = FileFilter {
            units: vec![7],
            from: Some(date(2026, 3, 1)),
            to: None,
            taken_back,
        };
        let mut files = treasury_files::list_query("EXPLAIN (COSTS OFF) ", &filter, None, 51);
        let rows = files.build().fetch_all(&mut *transaction).await.unwrap();
        let lines: Vec<String> = rows.iter().map(|row| row.get::<String, _>(0)).collect();
        let plan = lines.join("\n");
        assert!(plan.contains("treasury_files_by_day"), "{taken_back:?}:\n{plan}");
        for table in ["treasury_files f", "reconciliation_files", "reconciled_days"] {
            assert!(
                !plan.contains(&format!("Seq Scan on {table}")),
                "{taken_back:?}:\n{plan}"
            );
        }
    }
    for (index, statement) in [
        (
            "charge_payments_by_refund",
            "EXPLAIN (COSTS OFF) SELECT payment_id FROM charge_payments WHERE collecting_unit_id = 7 AND refund_day = '2026-03-01'",
        ),
        (
            "charge_payments_by_collector",
            "EXPLAIN (COSTS OFF) SELECT payment_id FROM charge_payments WHERE collecting_unit_id = 7 AND paid_day = '2026-03-01'",
        ),
        (
            "treasury_entries_by_reference",
            "EXPLAIN (COSTS OFF) SELECT file_id FROM treasury_entries AS e
             WHERE responsible_unit_id = 7 AND reference IN (SELECT reference FROM treasury_entries WHERE file_id = '00000000-0000-0000-0000-000000000006')
               AND NOT EXISTS (SELECT 1 FROM treasury_files_taken_back AS b WHERE b.file_id = e.file_id)",
        ),
        (
            "reconciliation_files_by_file",
            "EXPLAIN (COSTS OFF) SELECT reconciliation_id FROM reconciliation_files WHERE file_id = '00000000-0000-0000-0000-000000000006'",
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
