//! What PostgreSQL makes of figures, reports and tickets, under row-level security, as the app role, over many rows.

use jiff::civil::date;
use sqlx::postgres::Postgres;
use sqlx::{Connection as _, Executor as _, QueryBuilder, Row as _};
use uuid::Uuid;

use super::{counters, reports, statistics};
use crate::domain::statistics::Group;

/// Sums of thirty units over two years, reports and tickets of a year.
async fn filled() -> egov_testkit::TestDatabase {
    let database = egov_testkit::database("onestop", &crate::MIGRATOR).await;
    let mut superuser = database.connect_as_superuser().await.unwrap();
    for statement in [
        "INSERT INTO statistic_sums
         SELECT 1 + n % 30, 1, date '2025-01-01' + n / 60, '1.00' || n % 7, '00000000-0000-0000-0000-000000000000', '0001-01-01',
                1 + n % 27, 1
         FROM generate_series(0, 40000) AS n ON CONFLICT DO NOTHING",
        "INSERT INTO statistic_sums
         SELECT responsible_unit_id, 2, date_trunc('month', day::timestamp)::date, procedure_code, officer_id, recorded, measure, sum(amount)
         FROM statistic_sums WHERE level = 1 GROUP BY 1, 2, 3, 4, 5, 6, 7",
        "INSERT INTO reports
         SELECT ('00000000-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid, 1 + n % 30, 'thang', date '2000-01-01' + n / 30,
                date '2000-01-01', date '2000-01-01', date '2000-01-01', '{}', '{}', '{}', '', '00000000-0000-0000-0000-000000000000', now()
         FROM generate_series(1, 9000) AS n",
        "INSERT INTO counter_groups
         SELECT ('00000000-0000-0000-0001-' || lpad(n::text, 12, '0'))::uuid, n, 'g', 'g', 'A', 3, true, 1, now(), now()
         FROM generate_series(1, 3000) AS n",
        "INSERT INTO queue_tickets
         SELECT ('00000000-0000-0000-0002-' || lpad(n::text, 12, '0'))::uuid, 1 + n % 30,
                ('00000000-0000-0000-0001-' || lpad((1 + n % 30)::text, 12, '0'))::uuid, date '2026-01-01' + n / 3000, 1 + n / 30, 'A', '',
                32767, CASE WHEN n % 50 = 0 THEN 1 ELSE 4 END, NULL, 0, now(), NULL, NULL, 1
         FROM generate_series(0, 30000) AS n",
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
async fn figures_reports_and_tickets_walk_an_index() {
    let database = filled().await;
    let explain = "EXPLAIN (COSTS OFF) ";
    let wanted = statistics::Wanted {
        units: vec![7],
        group: Group::Procedure,
        procedures: None,
        before: date(2026, 11, 23),
        known_until: date(2026, 11, 23),
    };
    let group = "00000000-0000-0000-0001-000000000007".parse::<Uuid>().unwrap();
    for (name, query, index, table) in [
        (
            "figures",
            statistics::sums_query(explain, &wanted),
            "statistic_sums_pkey",
            "statistic_sums",
        ),
        (
            "reports of a unit",
            reports::list_query(explain, &[7], None, 51),
            "reports_by_unit_and_period",
            "reports",
        ),
        (
            "groups of a unit",
            counters::groups_query(explain, &[7], None, 51),
            "counter_groups_code",
            "counter_groups",
        ),
        (
            "tickets of a group",
            counters::tickets_query(explain, group, date(2026, 1, 5), None, 10, 51),
            "queue_tickets_group_id_day_number_key",
            "queue_tickets",
        ),
    ] {
        let plan = plan(&database, query).await;
        assert!(plan.contains(index), "{name}:\n{plan}");
        assert!(!plan.contains(&format!("Seq Scan on {table}")), "{name}:\n{plan}");
    }
}
