//! Whose rows a transaction sees.

use std::time::Duration;

use egov_auth::RowScope;
use egov_database::{UnitOfWork, sql_fault};
use egov_fault::{Code, Fault};
use sqlx::Connection as _;
use uuid::Uuid;

use crate::stage::{CLERK, Stage, all, bodies, count, note, poll_at_most, store_note, unit_scope, write_note};

async fn two_notes(stage: &Stage, database: &egov_database::Database) {
    write_note(database, CLERK, stage.id(), &note(1, "of unit 1"))
        .await
        .unwrap();
    write_note(database, CLERK, stage.id(), &note(2, "of unit 2"))
        .await
        .unwrap();
}

#[tokio::test]
async fn one_pooled_connection_serves_two_callers_and_shows_each_its_own_rows() {
    let stage = Stage::new().await;
    let database = stage.connect(1).await;
    two_notes(&stage, &database).await;
    assert_eq!(bodies(&database, &unit_scope(1)).await, ["of unit 1"]);
    assert_eq!(bodies(&database, &unit_scope(2)).await, ["of unit 2"]);
    assert_eq!(bodies(&database, &all()).await, ["of unit 1", "of unit 2"]);
    assert!(bodies(&database, &RowScope::none()).await.is_empty());
    // As in a server: in a task of its own.
    let neighbour = tokio::spawn(async move { bodies(&database, &unit_scope(3)).await });
    assert!(neighbour.await.unwrap().is_empty());
}

#[tokio::test]
async fn without_a_scope_there_are_no_rows_even_for_the_owner() {
    let stage = Stage::new().await;
    let database = stage.connect(1).await;
    two_notes(&stage, &database).await;
    for mut conn in [stage.as_app().await, stage.as_owner().await] {
        let seen: i64 = sqlx::query_scalar("SELECT count(*) FROM notes")
            .fetch_one(&mut conn)
            .await
            .unwrap();
        assert_eq!(seen, 0);
        conn.close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_read_leaves_no_scope_behind_wherever_it_was_cancelled() {
    let stage = Stage::new().await;
    let database = stage.connect(1).await;
    two_notes(&stage, &database).await;
    let mut watcher = stage.as_app().await;
    let mut polls = 1;
    loop {
        let everything = all();
        // The server takes its time over each answer, so that no poll finds two of them there already.
        let read = database.read(&everything, async |conn| {
            sqlx::query_scalar::<_, i64>("SELECT count(*) FROM notes, pg_sleep(0.005)")
                .fetch_one(&mut *conn)
                .await
                .map_err(sql_fault)?;
            sqlx::query_scalar::<_, i64>("SELECT count(*) FROM notes, pg_sleep(0.005)")
                .fetch_one(&mut *conn)
                .await
                .map_err(sql_fault)?;
            sqlx::query_scalar::<_, i64>("SELECT count(*) FROM notes, pg_sleep(0.005)")
                .fetch_one(conn)
                .await
                .map_err(sql_fault)
        });
        let finished = poll_at_most(polls, read).await;
        no_transaction_stays_open(&mut watcher).await;
        assert!(
            bodies(&database, &RowScope::none()).await.is_empty(),
            "after {polls} polls"
        );
        assert_eq!(bodies(&database, &unit_scope(2)).await, ["of unit 2"]);
        if let Some(finished) = finished {
            assert_eq!(finished.unwrap(), 2);
            break;
        }
        polls += 1;
    }
    assert!(polls > 3);
}

/// Other connections of this role to this database must come to rest outside a transaction.
async fn no_transaction_stays_open(watcher: &mut sqlx::PgConnection) {
    for _ in 0..200 {
        let open: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_stat_activity
             WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()
               AND (xact_start IS NOT NULL OR state <> 'idle')",
        )
        .fetch_one(&mut *watcher)
        .await
        .unwrap();
        if open == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("a connection stayed in a transaction");
}

#[tokio::test]
async fn a_person_sees_their_own_rows_and_an_officer_the_assigned_ones() {
    let stage = Stage::new().await;
    let database = stage.connect(1).await;
    let (citizen, officer) = (stage.id(), stage.id());
    database
        .write_unkeyed(&all(), async |unit: &mut UnitOfWork<'_>| {
            for (owner, assignee, body) in [
                (Some(citizen), None, "the citizen's"),
                (None, Some(officer), "the officer's"),
                (None, None, "nobody's"),
            ] {
                let id = unit.new_id();
                sqlx::query(
                    "INSERT INTO notes (note_id, responsible_unit_id, owner_id, assignee_id, number, body, version, create_time)
                     VALUES ($1, 9, $2, $3, 1, $4, 1, now())",
                )
                .bind(id)
                .bind(owner)
                .bind(assignee)
                .bind(body)
                .execute(unit.conn())
                .await
                .map_err(sql_fault)?;
            }
            Ok::<_, Fault>(())
        })
        .await
        .unwrap();
    let owned = RowScope {
        owner: Some(citizen),
        ..RowScope::none()
    };
    let assigned = RowScope {
        assignee: Some(officer),
        ..RowScope::none()
    };
    assert_eq!(bodies(&database, &owned).await, ["the citizen's"]);
    assert_eq!(bodies(&database, &assigned).await, ["the officer's"]);
    let stranger = RowScope {
        owner: Some(officer),
        assignee: Some(citizen),
        ..RowScope::none()
    };
    assert!(bodies(&database, &stranger).await.is_empty());
}

#[tokio::test]
async fn a_write_cannot_touch_or_create_rows_out_of_scope() {
    let stage = Stage::new().await;
    let database = stage.connect(1).await;
    two_notes(&stage, &database).await;
    let changed = database
        .write_unkeyed(&unit_scope(1), async |unit| {
            sqlx::query("UPDATE notes SET body = 'changed'")
                .execute(unit.conn())
                .await
                .map(|done| done.rows_affected())
                .map_err(sql_fault)
        })
        .await
        .unwrap();
    assert_eq!(changed, 1);
    assert_eq!(bodies(&database, &all()).await, ["changed", "of unit 2"]);
    let created = database
        .write_unkeyed(&unit_scope(1), async |unit| {
            store_note(unit, &note(2, "smuggled")).await
        })
        .await;
    assert_eq!(
        created.unwrap_err().code(),
        Code::Internal,
        "the second wall is our bug to find"
    );
    assert_eq!(count(&stage, "SELECT count(*) FROM notes").await, 2);
}

#[tokio::test]
async fn a_row_moves_to_another_unit_only_when_it_is_handed_over() {
    async fn move_note(unit: &mut UnitOfWork<'_>, to: i32) -> Result<(), Fault> {
        sqlx::query("UPDATE notes SET responsible_unit_id = $1 WHERE body = 'of unit 1'")
            .bind(to)
            .execute(unit.conn())
            .await
            .map(drop)
            .map_err(sql_fault)
    }
    let stage = Stage::new().await;
    let database = stage.connect(1).await;
    two_notes(&stage, &database).await;
    let quietly = database
        .write_unkeyed(&unit_scope(1), async |unit| move_note(unit, 2).await)
        .await;
    assert!(quietly.is_err());
    database
        .write_unkeyed(&unit_scope(1), async |unit| {
            unit.hand_over_to(&[2]).await?;
            move_note(unit, 2).await
        })
        .await
        .unwrap();
    assert!(bodies(&database, &unit_scope(1)).await.is_empty());
    assert_eq!(bodies(&database, &unit_scope(2)).await, ["of unit 1", "of unit 2"]);
}

#[tokio::test]
async fn a_read_cannot_write() {
    let stage = Stage::new().await;
    let database = stage.connect(1).await;
    let outcome = database
        .read(&all(), async |conn| {
            sqlx::query("INSERT INTO entries VALUES ($1, 1, $1)")
                .bind(Uuid::nil())
                .execute(conn)
                .await
                .map(drop)
                .map_err(sql_fault)
        })
        .await;
    assert!(outcome.is_err());
}

#[tokio::test]
async fn a_search_function_sees_past_the_policy_and_the_owners_functions_do_not() {
    let stage = Stage::new().await;
    let database = stage.connect(1).await;
    two_notes(&stage, &database).await;
    let (found, everywhere, as_owner) = database
        .read(&unit_scope(2), async |conn| {
            let found: Vec<Uuid> = sqlx::query_scalar("SELECT find_notes('of unit')")
                .fetch_all(&mut *conn)
                .await
                .map_err(sql_fault)?;
            let counts: (i64, i64) = sqlx::query_as("SELECT count_all_notes(), count_notes_as_owner()")
                .fetch_one(conn)
                .await
                .map_err(sql_fault)?;
            Ok::<_, Fault>((found.len(), counts.0, counts.1))
        })
        .await
        .unwrap();
    assert_eq!((found, everywhere, as_owner), (1, 2, 1));
}

#[tokio::test]
async fn a_careless_function_is_not_given_to_the_role_that_sees_everything() {
    let stage = Stage::new().await;
    let mut owner = stage.as_owner().await;
    sqlx::query("CREATE FUNCTION careless() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT 1::bigint'")
        .execute(&mut owner)
        .await
        .unwrap();
    let refused = sqlx::query("SELECT egov.bypass_scope('careless()')")
        .execute(&mut owner)
        .await;
    assert!(refused.unwrap_err().to_string().contains("search_path"));
}

#[tokio::test]
async fn the_policy_is_evaluated_once_a_statement_and_the_list_uses_its_index() {
    let stage = Stage::new().await;
    let database = stage.connect(1).await;
    let mut owner = stage.as_owner().await;
    sqlx::raw_sql(
        "SELECT set_config('egov.scope_all', 'on', false);
         INSERT INTO notes (note_id, responsible_unit_id, number, body, version, create_time)
         SELECT gen_random_uuid(), n % 10, n, 'note', 1, now() - n * interval '1 minute'
         FROM generate_series(1, 5000) AS n;
         ANALYZE notes",
    )
    .execute(&mut owner)
    .await
    .unwrap();
    let plan: Vec<String> = database
        .read(&unit_scope(1), async |conn| {
            sqlx::query_scalar(
                "EXPLAIN SELECT note_id FROM notes WHERE responsible_unit_id = 1
                 ORDER BY create_time DESC, note_id DESC LIMIT 20",
            )
            .fetch_all(conn)
            .await
            .map_err(sql_fault)
        })
        .await
        .unwrap();
    let plan = plan.join("\n");
    assert!(plan.contains("Index Scan using notes_by_unit"), "{plan}");
    assert!(!plan.contains("Sort"), "{plan}");
    assert!(plan.contains("InitPlan"), "{plan}");
    // Per row only parameters are compared; a function call per row would show in the filter.
    let filter = plan.lines().find(|line| line.contains("Filter:")).unwrap();
    assert!(!filter.contains("scope"), "{plan}");
}

#[tokio::test]
async fn a_table_that_was_forgotten_is_named() {
    let stage = Stage::new().await;
    assert_eq!(count(&stage, "SELECT count(*) FROM egov.unprotected_tables()").await, 0);
    let mut owner = stage.as_owner().await;
    sqlx::query("CREATE TABLE forgotten (id uuid PRIMARY KEY, owner_id uuid)")
        .execute(&mut owner)
        .await
        .unwrap();
    let named: Vec<String> = sqlx::query_scalar("SELECT egov.unprotected_tables()::text")
        .fetch_all(&mut owner)
        .await
        .unwrap();
    assert_eq!(named, ["forgotten"]);
    for (wrong, word) in [
        (
            "CREATE TABLE typed (id uuid PRIMARY KEY, owner_id text)",
            "must be of type uuid",
        ),
        ("CREATE TABLE bare (id uuid PRIMARY KEY)", "nothing to protect it by"),
    ] {
        sqlx::query(wrong).execute(&mut owner).await.unwrap();
        let table = if wrong.contains("typed") { "typed" } else { "bare" };
        let error = sqlx::query("SELECT egov.protect($1::regclass)")
            .bind(table)
            .execute(&mut owner)
            .await
            .unwrap_err();
        assert!(error.to_string().contains(word), "{error}");
    }
}
