//! What the tests share: a database whose leaves are sequenced, and a database administrator who means no good.

use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use egov_auth::RowScope;
use egov_clock::{Ids as _, ManualClock, SystemIds};
use egov_database::{Database, DatabaseConfig, Leaf, SHARED_MIGRATION, SHARED_MIGRATION_2, SHARED_MIGRATION_4};
use egov_fault::Fault;
use egov_keyring::Keyring;
use egov_ledger::{Hash, VerifyingKey};
use egov_testkit::TestDatabase;
use egov_transparency::{Head, Log, LogConfig, LogReport, Sequencer, Trust, verify_log};
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, SqlSafeStr as _};
use uuid::Uuid;

pub(crate) static MIGRATOR: LazyLock<Migrator> = LazyLock::new(|| {
    let migration = |version, name: &'static str, sql: &'static str| {
        Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    Migrator::with_migrations(vec![
        migration(1, "shared", SHARED_MIGRATION),
        migration(2, "ledger", SHARED_MIGRATION_2),
        migration(4, "readings", SHARED_MIGRATION_4),
    ])
});

pub(crate) const PREFIX: &str = "test.gov.vn";

/// A service's database with its log.
pub(crate) struct Stage {
    pub(crate) test: TestDatabase,
    pub(crate) database: Database,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) clock: ManualClock,
    pub(crate) log: Arc<Log>,
    memory: tempfile::TempDir,
}

impl Stage {
    pub(crate) async fn new() -> Self {
        let test = egov_testkit::database("ledger", &MIGRATOR).await;
        let clock = egov_testkit::clock();
        let keyring = Arc::new(Keyring::ephemeral());
        let database = connect(&test, &keyring, &clock).await;
        let memory = tempfile::tempdir().unwrap();
        let log = Arc::new(Log::new(
            database.clone(),
            Arc::clone(&keyring),
            config(Some(memory.path().to_owned())),
        ));
        Self {
            test,
            database,
            keyring,
            clock,
            log,
            memory,
        }
    }

    /// The same log on another machine, which remembers nothing.
    pub(crate) fn elsewhere(&self) -> Arc<Log> {
        Arc::new(Log::new(self.database.clone(), Arc::clone(&self.keyring), config(None)))
    }

    pub(crate) fn memory(&self) -> PathBuf {
        self.memory.path().join("onestop.json")
    }

    /// Writes `count` resources, one transaction each; answers with the last resource.
    pub(crate) async fn write(&self, count: usize) -> Uuid {
        let mut last = Uuid::nil();
        for _ in 0..count {
            last = self
                .database
                .write_unkeyed(&RowScope::none(), async |unit| {
                    let resource = unit.new_id();
                    unit.leaf(Leaf {
                        kind: "case",
                        resource,
                        version: 1,
                        canonical: resource.as_bytes(),
                    });
                    Ok::<_, Fault>(resource)
                })
                .await
                .unwrap();
        }
        last
    }

    /// Sequences all that waits, and remembers it.
    pub(crate) async fn sequence(&self) -> Head {
        sequence(&self.log).await.unwrap()
    }

    /// Writes `count` resources and sequences them.
    pub(crate) async fn grow(&self, count: usize) -> Head {
        self.write(count).await;
        self.sequence().await
    }

    /// The hash of an entry.
    pub(crate) async fn leaf(&self, index: u64) -> Hash {
        self.log.entries(0, index, None, 1).await.unwrap()[0].hash
    }

    pub(crate) fn key(&self) -> VerifyingKey {
        self.log.keys(1).unwrap().pop().unwrap()
    }

    pub(crate) async fn verify(&self) -> LogReport {
        self.verify_as(1, &Trust::in_keys(vec![self.key()])).await
    }

    pub(crate) async fn verify_as(&self, epoch: i32, trust: &Trust) -> LogReport {
        let origin = self.log.origin(epoch);
        verify_log(&self.database, "onestop", (epoch, &origin), trust, |_, _| {})
            .await
            .unwrap()
    }

    /// What somebody does who owns the database: no grant and no trigger stops them.
    pub(crate) async fn tamper(&self, sql: &str) {
        let mut owner = PgConnection::connect(&self.test.owner_url).await.unwrap();
        for table in [
            "leaves",
            "ledger_entries",
            "ledger_nodes",
            "checkpoints",
            "cosignatures",
            "read_records",
            "ledger_anchors",
        ] {
            let disable = format!("ALTER TABLE egov.{table} DISABLE TRIGGER USER");
            sqlx::raw_sql(AssertSqlSafe(disable)).execute(&mut owner).await.unwrap();
        }
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
            .execute(&mut owner)
            .await
            .unwrap();
        let enable = "ALTER TABLE egov.leaves ENABLE TRIGGER queue_leaves";
        sqlx::raw_sql(enable).execute(&mut owner).await.unwrap();
    }

    /// As a restore from a backup that was made at `size` would leave it: the rows behind are gone, everything that is left fits together.
    pub(crate) async fn restore_to(&self, size: u64) {
        self.tamper(&format!(
            "CREATE TEMP TABLE gone AS SELECT leaf_id FROM egov.ledger_entries WHERE log_index >= {size};
             DELETE FROM egov.cosignatures WHERE tree_size > {size};
             DELETE FROM egov.checkpoints WHERE tree_size > {size};
             DELETE FROM egov.ledger_nodes WHERE (node_index + 1) << level > {size};
             DELETE FROM egov.ledger_entries WHERE log_index >= {size};
             DELETE FROM egov.leaf_salts WHERE leaf_id IN (SELECT leaf_id FROM gone);
             DELETE FROM egov.leaves WHERE leaf_id IN (SELECT leaf_id FROM gone)"
        ))
        .await;
    }
}

fn config(memory: Option<PathBuf>) -> LogConfig {
    LogConfig {
        id: "onestop".to_owned(),
        prefix: PREFIX.to_owned(),
        memory,
    }
}

pub(crate) async fn connect(test: &TestDatabase, keyring: &Arc<Keyring>, clock: &ManualClock) -> Database {
    let config = DatabaseConfig::new(test.app_url.clone())
        .test_profile()
        .max_connections(4);
    Database::connect(&config, Arc::clone(keyring), clock.shared(), SystemIds::shared())
        .await
        .unwrap()
}

/// Sequences all that waits in a log.
pub(crate) async fn sequence(log: &Arc<Log>) -> Result<Head, egov_transparency::Error> {
    let sequencer = Sequencer::new(Arc::clone(log)).batch(300);
    let lease = sequencer.acquire().await?.expect("nobody else has the lease");
    let ended = async {
        let mut head = sequencer.head(&lease).await?;
        while sequencer.round(&lease, &mut head).await? > 0 {}
        sequencer.remember(&mut head).await?;
        Ok(head)
    }
    .await;
    lease.release().await?;
    ended
}

pub(crate) fn id() -> Uuid {
    SystemIds::shared().uuid()
}
