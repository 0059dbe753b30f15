//! What the service's role cannot do, and what not even the owner does by accident.

use sqlx::{AssertSqlSafe, PgConnection};

use crate::stage::{CLERK, Stage, note, write_note};

async fn state_of(conn: &mut PgConnection, sql: String) -> String {
    let error = sqlx::raw_sql(AssertSqlSafe(sql.clone()))
        .execute(conn)
        .await
        .expect_err(&sql);
    error.as_database_error().unwrap().code().unwrap().into_owned()
}

#[tokio::test]
async fn the_service_cannot_change_or_delete_history_leaves_answers_or_events() {
    let stage = Stage::new().await;
    let database = stage.connect(1).await;
    write_note(&database, CLERK, stage.id(), &note(1, "written once"))
        .await
        .unwrap();
    let mut app = stage.as_app().await;
    sqlx::query("SELECT set_config('egov.scope_all', 'on', false)")
        .execute(&mut app)
        .await
        .unwrap();
    for (table, column) in [
        ("note_history", "body"),
        ("egov.leaves", "kind"),
        ("egov.leaf_erasures", "kind"),
        ("egov.request_ids", "method"),
        ("egov.event_log", "kind"),
        ("egov.outbox", "kind"),
        ("egov.read_records", "purpose"),
        ("egov.epochs", "reason"),
        ("egov.ledger_entries", "leaf_hash"),
        ("egov.ledger_nodes", "hash"),
        ("egov.checkpoints", "note"),
        ("egov.cosignatures", "line"),
        ("egov.time_stamps", "token"),
        ("egov.ledger_anchors", "note"),
        ("egov.witnessed_checkpoints", "note"),
        ("egov.witness_conflicts", "note"),
        ("egov.unsequenced_leaves", "leaf_id"),
        ("egov.counters", "period"),
        ("egov.leases", "name"),
    ] {
        for sql in [
            format!("UPDATE {table} SET {column} = {column}"),
            format!("DELETE FROM {table}"),
            format!("TRUNCATE {table}"),
        ] {
            assert_eq!(state_of(&mut app, sql.clone()).await, "42501", "{sql}");
        }
    }
    for sql in [
        "SELECT * FROM egov.request_ids",
        "INSERT INTO egov.event_log SELECT * FROM egov.event_log",
        "INSERT INTO egov.ledger_entries SELECT * FROM egov.ledger_entries",
        "INSERT INTO egov.ledger_nodes SELECT * FROM egov.ledger_nodes",
        "INSERT INTO egov.checkpoints SELECT * FROM egov.checkpoints",
        "DELETE FROM egov.leaf_salts",
        "DELETE FROM notes",
        "UPDATE notes SET number = 7",
        "SELECT egov.add_request_day(current_date)",
        "SELECT egov.begin_epoch('mine')",
        "SELECT egov.burn_numbers('a', 'b', 'c', 9)",
        "SELECT egov.append_only('notes')",
        "ALTER TABLE notes DISABLE ROW LEVEL SECURITY",
        "CREATE TABLE public.mine (id int)",
    ] {
        assert_eq!(state_of(&mut app, sql.to_owned()).await, "42501", "{sql}");
    }
}

#[tokio::test]
async fn the_owner_is_stopped_before_rewriting_history() {
    let stage = Stage::new().await;
    let database = stage.connect(1).await;
    write_note(&database, CLERK, stage.id(), &note(1, "written once"))
        .await
        .unwrap();
    let mut owner = stage.as_owner().await;
    sqlx::query("SELECT set_config('egov.scope_all', 'on', false)")
        .execute(&mut owner)
        .await
        .unwrap();
    for sql in [
        "UPDATE note_history SET body = 'other'",
        "DELETE FROM note_history",
        "TRUNCATE note_history",
        "UPDATE egov.leaves SET version = 2",
        "DELETE FROM egov.request_ids",
        "DELETE FROM egov.epochs",
    ] {
        assert_eq!(state_of(&mut owner, sql.to_owned()).await, "EG002", "{sql}");
    }
}

#[tokio::test]
async fn no_function_of_the_shared_schema_is_open_to_everybody() {
    let stage = Stage::new().await;
    let mut owner = stage.as_owner().await;
    let open: Vec<String> = sqlx::query_scalar(
        "SELECT p.oid::regprocedure::text FROM pg_proc p
         WHERE p.pronamespace IN ('egov'::regnamespace, 'public'::regnamespace)
           AND (p.proacl IS NULL OR EXISTS (SELECT 1 FROM aclexplode(p.proacl) a WHERE a.grantee = 0))",
    )
    .fetch_all(&mut owner)
    .await
    .unwrap();
    assert!(open.is_empty(), "{open:?}");
    let careless: Vec<String> = sqlx::query_scalar(
        "SELECT p.oid::regprocedure::text FROM pg_proc p
         WHERE p.pronamespace = 'egov'::regnamespace AND p.prosecdef
           AND NOT EXISTS (SELECT 1 FROM unnest(p.proconfig) s WHERE s = 'search_path=egov, pg_temp')",
    )
    .fetch_all(&mut owner)
    .await
    .unwrap();
    assert!(careless.is_empty(), "{careless:?}");
}
