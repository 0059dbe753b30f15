//! What PostgreSQL makes of the list of drafts, under row-level security, as the app role, over many rows.

use sqlx::{Connection as _, Executor as _};

use super::*;

#[tokio::test]
async fn the_list_of_drafts_walks_an_index() {
    let database = egov_testkit::database("onestop", &crate::MIGRATOR).await;
    let mut superuser = database.connect_as_superuser().await.unwrap();
    for statement in [
        "INSERT INTO procedure_drafts
         SELECT gen_random_uuid(), '1.' || lpad((n % 500)::text, 6, '0'), NULL, 'open', '', '', NULL, 1, 1,
                now() - n * interval '1 minute', now() FROM generate_series(1, 20000) AS n",
        "INSERT INTO procedure_draft_changes
         SELECT draft_id, v, 'update', 'open', '', '', '', NULL, draft_id, NULL, now()
         FROM procedure_drafts, generate_series(1, 2) AS v",
        "ANALYZE",
    ] {
        superuser.execute(statement).await.unwrap();
    }
    let province = Visible {
        all: false,
        units: vec![1, 2, 3],
        owner: None,
        assignee: None,
    };
    let after = AfterDraft {
        create_time: "2026-11-20T00:00:00Z".parse().unwrap(),
        draft_id: Uuid::nil(),
    };
    for (name, after) in [("first page", None), ("a later page", Some(after))] {
        let mut app = database.connect_as_app().await.unwrap();
        let mut transaction = app.begin().await.unwrap();
        sqlx::query("SELECT set_config('egov.scope_units', '{1,2,3}', true)")
            .execute(&mut *transaction)
            .await
            .unwrap();
        let mut query = list_query("EXPLAIN (COSTS OFF) ", &province, &DraftFilter::default(), after, 51);
        let rows = query.build().fetch_all(&mut *transaction).await.unwrap();
        let plan = rows
            .iter()
            .map(|row| row.get::<String, _>(0))
            .collect::<Vec<_>>()
            .join("\n");
        assert!(plan.contains("procedure_drafts_by_time"), "{name}:\n{plan}");
        assert!(!plan.contains("Seq Scan") && !plan.contains("Sort"), "{name}:\n{plan}");
    }
}
