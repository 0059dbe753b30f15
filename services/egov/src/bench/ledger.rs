//! The ledger: leaves that wait are sequenced, leaves that come are sequenced beside the load, and a million are verified.
//!
//! There is no anchor beside it: the aims are absolute. The database is a stack's own, fully durable.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use egov_clock::{SystemClock, SystemIds};
use egov_database::{Database, DatabaseConfig};
use egov_keyring::Keyring;
use egov_transparency::{Log, LogConfig, Sequencer, Trust, verify_log};
use sqlx::{Connection as _, PgConnection};
use tokio_util::sync::CancellationToken;

use super::stage::{Running, Stage};
use super::{Aim, How, Outcome, absolute};
use crate::say;

/// Leaves a second that come while the lag is measured.
const COMING: u64 = 10_000;
/// Leaves of one statement.
const STATEMENT: u64 = 100;

/// Inserts leaves like those of writes, `each` by each, until there are `count`.
async fn fill(superuser: &str, count: u64) -> anyhow::Result<()> {
    let mut connection = PgConnection::connect(superuser).await?;
    let mut left = count;
    while left > 0 {
        let now = left.min(50_000);
        insert(&mut connection, now).await?;
        left -= now;
    }
    Ok(())
}

async fn insert(connection: &mut PgConnection, count: u64) -> anyhow::Result<()> {
    sqlx::query(
        "WITH made AS (SELECT gen_random_uuid() AS id, n FROM generate_series(1, $1) AS n),
              leaves AS (INSERT INTO egov.leaves (leaf_id, kind, resource_id, version, commitment, create_time)
                         SELECT id, 'bench', id, 1, sha256(uuid_send(id)), clock_timestamp() FROM made)
         INSERT INTO egov.leaf_salts (leaf_id, salt) SELECT id, sha256(uuid_send(id)) FROM made",
    )
    .bind(i64::try_from(count)?)
    .execute(connection)
    .await?;
    Ok(())
}

async fn open(running: &Running, stage: &Stage) -> anyhow::Result<(Arc<Log>, Database, String)> {
    // One-stop's database of a stack at work has a sequencer already; the ledger is measured on one that nobody else touches.
    let superuser = running.database(TWIN)?;
    let clock = SystemClock::shared();
    let keyring = Arc::new(Keyring::open(&stage.data().join("keys"), clock.as_ref())?);
    let app = running.database_as(TWIN, "onestop_app")?;
    let config = DatabaseConfig::new(app).max_connections(8);
    let database = Database::connect(&config, Arc::clone(&keyring), clock, SystemIds::shared()).await?;
    let log = Log::new(
        database.clone(),
        keyring,
        LogConfig {
            id: "bench".to_owned(),
            prefix: "egov.local".to_owned(),
            memory: Some(stage.data().join("ledger")),
        },
    );
    Ok((Arc::new(log), database, superuser))
}

const TWIN: &str = "ledger_bench";

/// How many leaves have a place in the log.
pub(super) async fn places(connection: &mut PgConnection) -> anyhow::Result<i64> {
    Ok(
        sqlx::query_scalar("SELECT coalesce(max(log_index) + 1, 0) FROM egov.ledger_entries")
            .fetch_one(connection)
            .await?,
    )
}

/// Of the leaves from a place on: the time from the leaf's own instant to that of the checkpoint that it is under; 50th, 95th and
/// 99th part, in microseconds.
pub(super) async fn lags(connection: &mut PgConnection, from: i64) -> anyhow::Result<[f64; 3]> {
    let parts: Option<Vec<f64>> = sqlx::query_scalar(
        "SELECT percentile_disc(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP
                  (ORDER BY (extract(epoch FROM c.create_time - l.create_time) * 1000000)::float8)
         FROM egov.ledger_entries e JOIN egov.leaves l USING (leaf_id)
         JOIN LATERAL (SELECT create_time FROM egov.checkpoints
                       WHERE epoch = e.epoch AND tree_size > e.log_index ORDER BY tree_size LIMIT 1) c ON true
         WHERE e.log_index >= $1",
    )
    .bind(from)
    .fetch_one(connection)
    .await?;
    parts
        .and_then(|parts| parts.try_into().ok())
        .context("no leaf of the benchmark was sequenced")
}

/// Sequences a backlog, sequences beside a steady load, verifies everything.
pub(super) async fn measure(how: &How) -> anyhow::Result<Vec<Outcome>> {
    let stage = Stage::prepare(None, Some(TWIN)).await?;
    let running = stage.start().await?;
    let (log, database, superuser) = open(&running, &stage).await?;

    // A backlog as large as a million: how fast it is placed when nothing else is done.
    let backlog = how.cases();
    say::note(format!("  {backlog} leaves …"));
    fill(&superuser, backlog).await.context("the leaves")?;
    let sequencer = Sequencer::new(Arc::clone(&log));
    let lease = sequencer.acquire().await?.context("somebody else sequences")?;
    let fault = |error: egov_transparency::Error| egov_fault::Fault::from(error);
    let mut lease = lease;
    let mut head = sequencer.head(&lease).await.map_err(fault)?;
    let begin = Instant::now();
    loop {
        if lease.is_due() {
            lease.renew().await?;
        }
        if sequencer.round(&lease, &mut head).await.map_err(fault)? == 0 {
            break;
        }
    }
    let placed = head.size() as f64 / begin.elapsed().as_secs_f64();
    lease.release().await?;
    let mut all = vec![absolute(
        "ledger_backlog",
        placed,
        [f64::NAN; 3],
        Aim::PerSecond(10_000.0),
    )];

    // A steady load of ten thousand a second: how long each leaf waits for its place.
    let stop = CancellationToken::new();
    let working = tokio::spawn(sequencer.run(stop.clone()));
    let before = head.size();
    let mut writer = PgConnection::connect(&superuser).await?;
    let begin = Instant::now();
    let mut tick = tokio::time::interval(Duration::from_secs_f64(STATEMENT as f64 / COMING as f64));
    let mut written = 0;
    while begin.elapsed() < how.duration() {
        tick.tick().await;
        insert(&mut writer, STATEMENT).await?;
        written += STATEMENT;
    }
    let per_second = written as f64 / begin.elapsed().as_secs_f64();
    let until = Instant::now() + Duration::from_secs(30);
    while log.standing().await.map_err(fault)?.waiting > 0 && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    stop.cancel();
    working.await?;
    let parts = lags(&mut writer, i64::try_from(before)?).await?;
    all.push(absolute(
        "ledger_lag",
        per_second,
        parts,
        Aim::NearlyAllWithin(2_000_000.0),
    ));

    // Everything is verified: every leaf, the tree, every checkpoint.
    let epoch = log.epoch().await?;
    let trust = Trust::in_keys(log.keys(epoch)?);
    let begin = Instant::now();
    let report = verify_log(&database, "bench", (epoch, &log.origin(epoch)), &trust, |_, _| {})
        .await
        .map_err(fault)?;
    let seconds = begin.elapsed().as_secs_f64();
    anyhow::ensure!(report.is_whole(), "the ledger does not hold: {:?}", report.findings);
    say::note(format!("  {} leaves verified in {seconds:.2} s", report.entries));
    let verified = report.entries as f64 / seconds;
    all.push(absolute(
        "ledger_verify",
        verified,
        [f64::NAN; 3],
        Aim::PerSecond(100_000.0),
    ));

    database.close().await;
    drop(writer);
    running.stop().await?;
    stage.remove()?;
    Ok(all)
}
