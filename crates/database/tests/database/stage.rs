//! What the tests share: a database with notes in it, and the operation that writes one.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll};

use egov_auth::RowScope;
use egov_clock::{Ids as _, ManualClock, SharedIds, SystemIds};
use egov_database::{
    Database, DatabaseConfig, Event, Leaf, SHARED_MIGRATION, SHARED_MIGRATION_2, SHARED_MIGRATION_3,
    SHARED_MIGRATION_4, UnitOfWork, WriteRequest, Written, sql_fault,
};
use egov_fault::{Code, Fault};
use egov_keyring::Keyring;
use egov_testkit::TestDatabase;
use jiff_sqlx::ToSqlx as _;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, SqlSafeStr as _};
use uuid::Uuid;

pub(crate) static MIGRATOR: LazyLock<Migrator> = LazyLock::new(|| {
    let migration = |version, name: &'static str, sql: &'static str| {
        Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    Migrator::with_migrations(vec![
        migration(1, "shared", SHARED_MIGRATION),
        migration(2, "notes", include_str!("notes.sql")),
        migration(3, "ledger", SHARED_MIGRATION_2),
        migration(4, "inbox", SHARED_MIGRATION_3),
        migration(5, "readings", SHARED_MIGRATION_4),
    ])
});

pub(crate) const WRITE: &str = "/test.v1.Notes/WriteNote";
pub(crate) const CLERK: &str = "staff:clerk";

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct WriteNote {
    #[prost(string, tag = "1")]
    pub(crate) body: String,
    #[prost(int32, tag = "2")]
    pub(crate) unit: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct NoteWritten {
    #[prost(string, tag = "1")]
    pub(crate) note_id: String,
    #[prost(int64, tag = "2")]
    pub(crate) number: i64,
}

pub(crate) fn note(unit: i32, body: &str) -> WriteNote {
    WriteNote {
        body: body.to_owned(),
        unit,
    }
}

pub(crate) fn unit_scope(unit: i32) -> RowScope {
    RowScope {
        units: vec![unit],
        ..RowScope::none()
    }
}

pub(crate) fn all() -> RowScope {
    RowScope {
        all: true,
        ..RowScope::none()
    }
}

/// A database of its own for one test.
pub(crate) struct Stage {
    pub(crate) test: TestDatabase,
    pub(crate) clock: ManualClock,
    pub(crate) ids: SharedIds,
    pub(crate) keyring: Arc<Keyring>,
}

impl Stage {
    pub(crate) async fn new() -> Self {
        let test = egov_testkit::database("notes", &MIGRATOR).await;
        let clock = egov_testkit::clock();
        Self {
            test,
            clock,
            ids: SystemIds::shared(),
            keyring: Arc::new(Keyring::ephemeral()),
        }
    }

    pub(crate) fn config(&self) -> DatabaseConfig {
        DatabaseConfig::new(self.test.app_url.clone()).test_profile()
    }

    /// A pool of its own, as another process would have it.
    pub(crate) async fn connect(&self, connections: u32) -> Database {
        Database::connect(
            &self.config().max_connections(connections),
            Arc::clone(&self.keyring),
            self.clock.shared(),
            Arc::clone(&self.ids),
        )
        .await
        .unwrap()
    }

    pub(crate) async fn as_owner(&self) -> PgConnection {
        PgConnection::connect(&self.test.owner_url).await.unwrap()
    }

    pub(crate) async fn as_app(&self) -> PgConnection {
        PgConnection::connect(&self.test.app_url).await.unwrap()
    }

    /// Takes a service that a test provisioned off the server again.
    pub(crate) async fn drop_service(&self, service: &str) {
        let mut conn = PgConnection::connect(&self.test.superuser_url).await.unwrap();
        for sql in [
            format!("DROP DATABASE {service} WITH (FORCE)"),
            format!("DROP ROLE {service}_owner, {service}_app, {service}_definer"),
        ] {
            sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut conn).await.unwrap();
        }
    }

    pub(crate) fn id(&self) -> Uuid {
        self.ids.uuid()
    }
}

/// The operation of these tests. A body of `refuse` is refused, after everything was written.
pub(crate) async fn write_note(
    database: &Database,
    caller: &str,
    request_id: Uuid,
    request: &WriteNote,
) -> Result<Written<NoteWritten>, Fault> {
    let write = WriteRequest::keyed(caller, unit_scope(request.unit), WRITE, request_id, request);
    database
        .write(write, async |unit_of_work| {
            let note_id = store_note(unit_of_work, request).await?;
            let number: i64 = sqlx::query_scalar("SELECT number FROM notes WHERE note_id = $1")
                .bind(note_id)
                .fetch_one(unit_of_work.conn())
                .await
                .map_err(sql_fault)?;
            if request.body == "refuse" {
                return Err(refusal());
            }
            Ok(NoteWritten {
                note_id: note_id.to_string(),
                number,
            })
        })
        .await
}

pub(crate) async fn store_note(unit_of_work: &mut UnitOfWork<'_>, request: &WriteNote) -> Result<Uuid, Fault> {
    let note_id = unit_of_work.new_id();
    let now = unit_of_work.now().to_sqlx();
    unit_of_work.publish(Event {
        aggregate_kind: "note",
        aggregate_id: note_id,
        version: 1,
        kind: "note_written",
        payload: serde_json::json!({ "unit": request.unit }),
    });
    unit_of_work.leaf(Leaf {
        kind: "note",
        resource: note_id,
        version: 1,
        canonical: request.body.as_bytes(),
    });
    let number = unit_of_work.next_number("H41", "notes", "2026").await?;
    sqlx::query(
        "INSERT INTO notes (note_id, responsible_unit_id, number, body, version, create_time)
         VALUES ($1, $2, $3, $4, 1, $5)",
    )
    .bind(note_id)
    .bind(request.unit)
    .bind(number)
    .bind(&request.body)
    .bind(now)
    .execute(unit_of_work.conn())
    .await
    .map_err(sql_fault)?;
    sqlx::query("INSERT INTO note_history (note_id, version, responsible_unit_id, body) VALUES ($1, 1, $2, $3)")
        .bind(note_id)
        .bind(request.unit)
        .bind(&request.body)
        .execute(unit_of_work.conn())
        .await
        .map_err(sql_fault)?;
    Ok(note_id)
}

pub(crate) fn refusal() -> Fault {
    Fault::new(Code::FailedPrecondition, "NOTE_REFUSED", "không nhận", "not accepted")
}

/// The bodies that `scope` shows, in order.
pub(crate) async fn bodies(database: &Database, scope: &RowScope) -> Vec<String> {
    database
        .read(scope, async |conn| {
            sqlx::query_scalar("SELECT body FROM notes ORDER BY body")
                .fetch_all(conn)
                .await
                .map_err(sql_fault)
        })
        .await
        .unwrap()
}

/// A count, read by the owner with every row in scope.
pub(crate) async fn count(stage: &Stage, sql: &'static str) -> i64 {
    let mut conn = stage.as_owner().await;
    sqlx::query("SELECT set_config('egov.scope_all', 'on', false)")
        .execute(&mut conn)
        .await
        .unwrap();
    sqlx::query_scalar(sql).fetch_one(&mut conn).await.unwrap()
}

/// Polls a future at most so many times, then drops it where it stands: how a caller goes away.
pub(crate) async fn poll_at_most<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    struct AtMost<F> {
        future: Pin<Box<F>>,
        left: usize,
    }
    impl<F: Future> Future for AtMost<F> {
        type Output = Option<F::Output>;
        fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
            if self.left == 0 {
                return Poll::Ready(None);
            }
            self.left -= 1;
            match self.future.as_mut().poll(cx) {
                Poll::Ready(value) => Poll::Ready(Some(value)),
                Poll::Pending if self.left == 0 => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            }
        }
    }
    AtMost {
        future: Box::pin(future),
        left: polls,
    }
    .await
}
