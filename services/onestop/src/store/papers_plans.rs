//! What PostgreSQL makes of a tracking book, under row-level security, as the app role, over many rows.

use jiff::Timestamp;
use sqlx::{Connection as _, Executor as _, Row as _};
use uuid::Uuid;

use super::{BookPart, book_query};
use crate::store::Visible;

#[tokio::test]
async fn a_tracking_book_walks_the_index_of_its_unit() {
    let database = egov_testkit::database("onestop", &crate::MIGRATOR).await;
    let mut superuser = database.connect_as_superuser().await.unwrap();
    for statement in [
        "INSERT INTO procedures VALUES ('1.000001', 1, 'x', 'x', 's', 's', '{commune}', '2020-01-01', NULL, '{}', '\\x00', now())",
        "INSERT INTO cases (case_id, case_code, code_provisional, procedure_code, procedure_version, state, channel, responsible_unit_id,
                            receiving_unit_id, owner, subject, conditions, submit_time, accept_time, lookup_secret, version, create_time, update_time)
         SELECT ('00000000-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid, 'H41.201-260101-' || n, false, '1.000001', 1, 2, 1, 1 + n % 30,
                1 + n % 30, '{\"full_name\": \"A\"}', '', '{}', timestamptz '2026-01-01' + n * interval '1 minute',
                timestamptz '2026-01-01' + n * interval '1 minute', '\\x00', 1, now(), now()
         FROM generate_series(1, 40000) AS n",
        "ANALYZE",
    ] {
        superuser.execute(statement).await.unwrap();
    }
    let visible = Visible {
        all: false,
        units: vec![7],
        owner: None,
        assignee: None,
    };
    let instant = |text: &str| text.parse::<Timestamp>().unwrap();
    let part = BookPart {
        receiving_unit_id: 7,
        before: instant("2026-02-01T00:00:00Z"),
        after: (instant("2026-01-10T00:00:00Z"), Uuid::nil()),
        limit: 51,
    };
    let mut app = database.connect_as_app().await.unwrap();
    let mut transaction = app.begin().await.unwrap();
    sqlx::query("SELECT set_config('egov.scope_units', '{7}', true)")
        .execute(&mut *transaction)
        .await
        .unwrap();
    let mut query = book_query("EXPLAIN (COSTS OFF) ", &visible, &part);
    let rows = query.build().fetch_all(&mut *transaction).await.unwrap();
    let lines: Vec<String> = rows.iter().map(|row| row.get::<String, _>(0)).collect();
    let plan = lines.join("\n");
    assert!(plan.contains("cases_taken_in"), "{plan}");
    assert!(!plan.contains("Seq Scan on cases"), "{plan}");
    // What belongs to a case is looked up for the rows of the part alone.
    assert!(plan.contains("CTE Scan on part"), "{plan}");
}
