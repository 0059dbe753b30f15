//! What a service refuses to start on.

use std::sync::Arc;

use egov_database::{Database, DatabaseConfig};
use egov_fault::{Code, Fault};

use crate::stage::{Stage, all, bodies};

async fn connect(stage: &Stage, config: DatabaseConfig) -> Result<Database, Fault> {
    Database::connect(
        &config,
        Arc::clone(&stage.keyring),
        stage.clock.shared(),
        Arc::clone(&stage.ids),
    )
    .await
}

#[tokio::test]
async fn a_server_that_may_lose_commits_is_refused_outside_the_test_profile() {
    let stage = Stage::new().await;
    let mut config = stage.config();
    config.test_profile = false;
    let fault = connect(&stage, config).await.unwrap_err();
    assert_eq!(
        (fault.code(), fault.reason()),
        (Code::FailedPrecondition, "DATABASE_NOT_DURABLE")
    );
    assert!(fault.en().contains("fsync = off"), "{}", fault.en());
    connect(&stage, stage.config()).await.unwrap().ping().await.unwrap();
}

#[tokio::test]
async fn the_owners_role_is_too_strong_to_run_a_service() {
    let stage = Stage::new().await;
    let config = DatabaseConfig::new(stage.test.owner_url.clone()).test_profile();
    let fault = connect(&stage, config).await.unwrap_err();
    assert_eq!(fault.reason(), "DATABASE_ROLE_TOO_STRONG");
}

#[tokio::test]
async fn a_database_without_the_shared_schema_is_not_migrated() {
    let stage = Stage::new().await;
    let mut owner = stage.as_owner().await;
    sqlx::query("ALTER FUNCTION egov.shared_version() RENAME TO gone")
        .execute(&mut owner)
        .await
        .unwrap();
    let fault = connect(&stage, stage.config()).await.unwrap_err();
    assert_eq!(fault.reason(), "DATABASE_NOT_MIGRATED");
}

#[tokio::test]
async fn a_database_or_role_that_does_not_exist_is_named_as_such() {
    let stage = Stage::new().await;
    let name = stage.test.name();
    let nowhere = stage.test.app_url.replace(name, "no_such_database");
    let fault = connect(&stage, DatabaseConfig::new(nowhere)).await.unwrap_err();
    assert_eq!(
        (fault.code(), fault.reason()),
        (Code::FailedPrecondition, "DATABASE_MISSING")
    );
    let nobody = stage.test.app_url.replace("notes_app", "no_such_role");
    let fault = connect(&stage, DatabaseConfig::new(nobody)).await.unwrap_err();
    assert_eq!(fault.reason(), "DATABASE_LOGIN_REFUSED");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable() {
    let stage = Stage::new().await;
    let config = DatabaseConfig::new("postgres:///x?host=/nowhere&user=nobody").test_profile();
    let fault = connect(&stage, config).await.unwrap_err();
    assert_eq!(fault.code(), Code::Unavailable);
}

#[tokio::test]
async fn a_full_pool_says_so_after_its_time_and_a_closed_one_at_once() {
    let stage = Stage::new().await;
    let mut config = stage.config().max_connections(1);
    config.acquire_timeout_ms = 50;
    let database = connect(&stage, config).await.unwrap();
    let nested = database
        .read(&all(), async |_conn| {
            Ok::<_, Fault>(database.read(&all(), async |_conn| Ok::<_, Fault>(())).await)
        })
        .await
        .unwrap();
    let fault = nested.unwrap_err();
    assert_eq!((fault.code(), fault.reason()), (Code::Unavailable, "DATABASE_BUSY"));
    assert!(bodies(&database, &all()).await.is_empty(), "the pool goes on");
    database.close().await;
    assert_eq!(database.ping().await.unwrap_err().reason(), "DATABASE_UNAVAILABLE");
}

#[tokio::test]
async fn a_statement_that_takes_too_long_is_ended() {
    let stage = Stage::new().await;
    let mut config = stage.config();
    config.statement_timeout_ms = 50;
    let database = connect(&stage, config).await.unwrap();
    let fault = database
        .read(&all(), async |conn| {
            sqlx::query("SELECT pg_sleep(5)")
                .execute(conn)
                .await
                .map(drop)
                .map_err(egov_database::sql_fault)
        })
        .await
        .unwrap_err();
    assert_eq!(
        (fault.code(), fault.reason()),
        (Code::DeadlineExceeded, "STATEMENT_TIMEOUT")
    );
}
