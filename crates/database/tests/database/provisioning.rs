//! Roles, databases, migrations.

use egov_database::{Passwords, Provision, SHARED_MIGRATION, migrate, provision};
use egov_fault::Code;
use secrecy::{ExposeSecret as _, SecretString};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{Connection as _, PgConnection, Row as _, SqlSafeStr as _};

use crate::stage::{CLERK, MIGRATOR, Stage, all, bodies, note, write_note};

/// A service name of its own for one test: roles belong to the whole server.
fn name(stage: &Stage) -> String {
    format!("s{}", &stage.id().simple().to_string()[16..])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn processes_that_provision_at_once_agree_and_a_second_time_changes_nothing() {
    let stage = Stage::new().await;
    let (superuser, service) = (stage.test.superuser_url.clone(), name(&stage));
    let (first, second) = tokio::join!(
        provision(&superuser, &service, &MIGRATOR),
        provision(&superuser, &service, &MIGRATOR)
    );
    let urls = first.unwrap();
    assert_eq!(urls.app.expose_secret(), second.unwrap().app.expose_secret());
    // A future that can be spawned.
    let again = tokio::spawn({
        let (superuser, service) = (superuser.clone(), service.clone());
        async move { provision(&superuser, &service, &MIGRATOR).await }
    });
    again.await.unwrap().unwrap();

    let mut app = PgConnection::connect(urls.app.expose_secret()).await.unwrap();
    let row = sqlx::query(
        "SELECT current_user::text AS app, pg_get_userbyid(nspowner)::text AS owner,
                (SELECT rolbypassrls FROM pg_roles WHERE rolname = $1) AS definer_sees_all
         FROM pg_namespace WHERE nspname = 'egov'",
    )
    .bind(format!("{service}_definer"))
    .fetch_one(&mut app)
    .await
    .unwrap();
    assert_eq!(row.get::<String, _>("app"), format!("{service}_app"));
    assert_eq!(row.get::<String, _>("owner"), format!("{service}_owner"));
    assert!(row.get::<bool, _>("definer_sees_all"));
    // An index that is built beside the traffic waits for every statement under way, so also for one that waits for its turn to migrate.
    let further = [
        (30, "CREATE TABLE walked (place int)", false),
        (31, "CREATE INDEX CONCURRENTLY walked_by_place ON walked (place)", true),
    ]
    .map(|(version, sql, alone)| Migration::new(version, "x".into(), MigrationType::Simple, sql.into_sql_str(), alone));
    let migrator = Migrator::with_migrations(MIGRATOR.iter().cloned().chain(further).collect());
    let (one, two) = tokio::join!(
        migrate(urls.owner.expose_secret(), &migrator),
        migrate(urls.owner.expose_secret(), &migrator)
    );
    one.unwrap();
    two.unwrap();
    drop(app);
    stage.drop_service(&service).await;
}

#[tokio::test]
async fn a_database_can_be_created_empty_for_a_restore() {
    let stage = Stage::new().await;
    let (superuser, service) = (stage.test.superuser_url.clone(), name(&stage));
    let urls = Provision::new(&superuser, &service).create().await.unwrap();
    let mut app = PgConnection::connect(urls.app.expose_secret()).await.unwrap();
    let tables: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace
            OR relnamespace = to_regnamespace('egov')",
    )
    .fetch_one(&mut app)
    .await
    .unwrap();
    assert_eq!(tables, 0);
    drop(app);
    stage.drop_service(&service).await;
}

#[tokio::test]
async fn only_a_services_own_roles_may_connect() {
    let stage = Stage::new().await;
    let (superuser, service) = (stage.test.superuser_url.clone(), name(&stage));
    let urls = provision(&superuser, &service, &MIGRATOR).await.unwrap();
    let neighbour = urls
        .app
        .expose_secret()
        .replace(&format!("{service}_app@"), "notes_app@");
    let error = PgConnection::connect(&neighbour).await.unwrap_err();
    assert_eq!(error.as_database_error().unwrap().code().unwrap(), "42501");
    stage.drop_service(&service).await;
}

#[tokio::test]
async fn passwords_reach_the_server_as_scram_verifiers_and_the_urls_as_they_are() {
    let stage = Stage::new().await;
    let (superuser, service) = (stage.test.superuser_url.clone(), name(&stage));
    let passwords = Passwords {
        owner: SecretString::from("owner p@ss/word"),
        app: SecretString::from("app"),
    };
    let urls = Provision::new(&superuser, &service)
        .passwords(passwords)
        .run(&MIGRATOR)
        .await
        .unwrap();
    let mut conn = PgConnection::connect(&superuser).await.unwrap();
    let stored: Vec<String> = sqlx::query_scalar("SELECT rolpassword FROM pg_authid WHERE rolname IN ($1, $2)")
        .bind(format!("{service}_owner"))
        .bind(format!("{service}_app"))
        .fetch_all(&mut conn)
        .await
        .unwrap();
    assert_eq!(stored.len(), 2);
    assert!(
        stored
            .iter()
            .all(|verifier| verifier.starts_with("SCRAM-SHA-256$4096:"))
    );
    assert!(urls.owner.expose_secret().contains("owner%20p%40ss%2Fword@"));
    PgConnection::connect(urls.owner.expose_secret()).await.unwrap();
    stage.drop_service(&service).await;
}

#[tokio::test]
async fn a_migration_that_changed_or_fails_is_named() {
    let stage = Stage::new().await;
    let with = |sql: &'static str| {
        let next = Migration::new(30, "x".into(), MigrationType::Simple, sql.into_sql_str(), false);
        Migrator::with_migrations(MIGRATOR.iter().cloned().chain([next]).collect())
    };
    let broken = migrate(&stage.test.owner_url, &with("SELECT 1 / 0")).await.unwrap_err();
    assert_eq!(
        (broken.code(), broken.reason()),
        (Code::FailedPrecondition, "MIGRATION_FAILED")
    );
    assert!(broken.en().contains("30"), "{}", broken.en());
    migrate(&stage.test.owner_url, &with("SELECT 1")).await.unwrap();
    let changed = migrate(&stage.test.owner_url, &with("SELECT 2")).await.unwrap_err();
    assert!(changed.en().contains("30"), "{}", changed.en());
}

#[tokio::test]
async fn a_migration_sees_every_row_although_row_level_security_binds_the_owner() {
    let stage = Stage::new().await;
    let database = stage.connect(1).await;
    for unit in [1, 2] {
        write_note(&database, CLERK, stage.id(), &note(unit, "old"))
            .await
            .unwrap();
    }
    let sql = "UPDATE notes SET body = 'backfilled'".into_sql_str();
    let next = Migration::new(30, "x".into(), MigrationType::Simple, sql, false);
    let migrator = Migrator::with_migrations(MIGRATOR.iter().cloned().chain([next]).collect());
    migrate(&stage.test.owner_url, &migrator).await.unwrap();
    assert_eq!(bodies(&database, &all()).await, ["backfilled", "backfilled"]);
}

#[tokio::test]
async fn the_shared_schema_refuses_to_be_created_by_another_role() {
    let stage = Stage::new().await;
    let superuser = stage.test.superuser_url.clone();
    let mut conn = PgConnection::connect(&superuser).await.unwrap();
    let refused = sqlx::raw_sql(SHARED_MIGRATION).execute(&mut conn).await;
    assert!(
        refused
            .unwrap_err()
            .to_string()
            .contains("migrations run as <service>_owner")
    );
    let name = Provision::new(&superuser, "Not a name").run(&MIGRATOR).await;
    assert_eq!(name.unwrap_err().reason(), "DATABASE_NAME_INVALID");
}
