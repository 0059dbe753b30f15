//! Events against a multi-row INSERT into a table with the same indexes, and against a bare publisher of JetStream: the same batch,
//! the same durability.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::{self, stream};
use egov_clock::{Ids as _, SystemIds};
use egov_events::{CloudEvent, EventStore, JetStreamConfig, JetStreamStore, PostgresStore, TopicSpec};
use sqlx::postgres::PgPoolOptions;
use uuid::Uuid;

use super::{Aim, CALLERS, How, Outcome, PAYLOAD_BYTES, Run, load, outcome, stage};
use crate::import;
use crate::temporary::TemporaryFolder;

/// How many events a caller publishes at a time.
const BATCH: u64 = 100;

/// Room for all that 16 callers may have under way.
const QUEUE_BYTES: usize = 256 << 20;

/// The anchor: a table with the columns and indexes of `event_records`, and one statement that fills it.
const TABLE: &str =
    "CREATE TABLE bench_records (topic_id uuid NOT NULL, log_offset bigint NOT NULL, dedupe uuid NOT NULL,
    kind text NOT NULL, partition_key text, content bytea NOT NULL, publish_time timestamptz NOT NULL,
    PRIMARY KEY (topic_id, log_offset));
    CREATE UNIQUE INDEX ON bench_records (topic_id, dedupe);
    CREATE INDEX ON bench_records (topic_id, publish_time)";
const INSERT: &str = "INSERT INTO bench_records
    SELECT $1, o, d, 'vn.egov.bench', 'k', c, now() FROM unnest($2::bigint[], $3::uuid[], $4::bytea[]) AS n (o, d, c)";

fn topic() -> TopicSpec {
    TopicSpec {
        id: SystemIds::default().uuid(),
        max_age: Duration::from_hours(24),
        // JetStream sets it aside, for ours and for the anchor: more than a run leaves, less than a small disk has.
        max_bytes: 1 << 31,
    }
}

/// New events of the stated size.
fn batch() -> Vec<CloudEvent> {
    let ids = SystemIds::default();
    (0..BATCH)
        .map(|_| CloudEvent {
            id: ids.uuid().to_string(),
            source: "/egov/bench".to_owned(),
            kind: "vn.egov.bench".to_owned(),
            subject: None,
            time: None,
            data_content_type: Some("application/octet-stream".to_owned()),
            data_schema: None,
            partition_key: Some("k".to_owned()),
            epoch: None,
            data: vec![b'x'; PAYLOAD_BYTES].into(),
        })
        .collect()
}

/// Batches a second as events a second.
fn events(run: Run) -> Run {
    Run {
        per_second: run.per_second * BATCH as f64,
        ..run
    }
}

async fn publish(store: Arc<dyn EventStore>, topic: Uuid, how: &How) -> Run {
    let run = load::run(how.duration(), |_| {
        let store = Arc::clone(&store);
        move |_| {
            let store = Arc::clone(&store);
            async move {
                store
                    .publish(topic, batch())
                    .await
                    .map(drop)
                    .map_err(|fault| fault.to_string())
            }
        }
    });
    events(run.await)
}

/// PostgreSQL, and JetStream where the address of a server is given.
pub(super) async fn measure(how: &How) -> anyhow::Result<Vec<Outcome>> {
    let mut all = vec![Box::pin(in_postgres(how)).await?];
    match &how.nats {
        Some(address) => all.push(Box::pin(in_nats(how, address)).await?),
        None => crate::say::note("JetStream is left out: name a server with --nats nats://HOST:PORT"),
    }
    Ok(all)
}

async fn in_postgres(how: &How) -> anyhow::Result<Outcome> {
    let folder = TemporaryFolder::make("bench")?;
    let opened = import::open(&stage::installation(folder.data())).await?;
    let store: Arc<dyn EventStore> = Arc::new(PostgresStore::new(opened.databases.integration.clone(), QUEUE_BYTES));
    let topic = topic();
    store.open_topic(&topic).await?;
    let options = opened
        .postgres
        .superuser_url()
        .parse::<sqlx::postgres::PgConnectOptions>()?;
    let pool = PgPoolOptions::new()
        .max_connections(CALLERS as u32)
        .connect_with(options.database("integration"))
        .await?;
    sqlx::raw_sql(TABLE).execute(&pool).await?;
    let next = Arc::new(AtomicU64::new(0));
    let (mut ours, mut anchor) = (Vec::new(), Vec::new());
    for _ in 0..how.runs.max(1) {
        ours.push(publish(Arc::clone(&store), topic.id, how).await);
        let inserted = load::run(how.duration(), |_| {
            let (pool, next) = (pool.clone(), Arc::clone(&next));
            move |_| {
                let (pool, next) = (pool.clone(), Arc::clone(&next));
                async move {
                    let first = next.fetch_add(BATCH, Ordering::Relaxed);
                    let offsets: Vec<i64> = (first..first + BATCH).map(|offset| offset as i64).collect();
                    let given = batch();
                    let dedupes: Vec<Uuid> = given.iter().map(CloudEvent::dedupe).collect();
                    let contents: Vec<Vec<u8>> = given.iter().map(CloudEvent::encode).collect();
                    let done = sqlx::query(INSERT)
                        .bind(Uuid::nil())
                        .bind(&offsets)
                        .bind(&dedupes)
                        .bind(&contents)
                        .execute(&pool);
                    done.await.map(drop).map_err(|error| error.to_string())
                }
            }
        });
        anchor.push(events(inserted.await).per_second);
    }
    pool.close().await;
    drop(store);
    opened.close().await?;
    Ok(outcome(
        "events acknowledged, PostgreSQL",
        &ours,
        &anchor,
        Some(Aim::Ratio(0.4)),
    ))
}

async fn in_nats(how: &How, address: &str) -> anyhow::Result<Outcome> {
    let config = JetStreamConfig {
        address: address.to_owned(),
        replicas: 1,
        sync_always: false,
        queue_bytes: QUEUE_BYTES,
    };
    let store: Arc<dyn EventStore> = Arc::new(JetStreamStore::connect(config, SystemIds::shared()).await?);
    let topic = topic();
    store.open_topic(&topic).await?;
    let context = jetstream::new(async_nats::connect(address).await?);
    let name = format!("bench_{}", topic.id.simple());
    // As ours: on disk, one replica, with a window against duplicates.
    let bare = stream::Config {
        name: name.clone(),
        subjects: vec![format!("{name}.>")],
        max_bytes: topic.max_bytes,
        max_age: topic.max_age,
        duplicate_window: egov_events::DUPLICATE_WINDOW,
        ..stream::Config::default()
    };
    context.create_stream(bare).await?;
    let (mut ours, mut anchor) = (Vec::new(), Vec::new());
    for _ in 0..how.runs.max(1) {
        ours.push(publish(Arc::clone(&store), topic.id, how).await);
        let published = load::run(how.duration(), |_| {
            let (context, subject) = (context.clone(), format!("{name}.k"));
            move |_| {
                let (context, subject) = (context.clone(), subject.clone());
                async move {
                    let mut sent = Vec::with_capacity(BATCH as usize);
                    for event in batch() {
                        let message = PublishMessage::build()
                            .message_id(event.dedupe().simple().to_string())
                            .payload(event.encode().into());
                        let taken = context.send_publish(subject.clone(), message).await;
                        sent.push(taken.map_err(|error| error.to_string())?);
                    }
                    for taken in sent {
                        taken.await.map_err(|error| error.to_string())?;
                    }
                    Ok(())
                }
            }
        });
        anchor.push(events(published.await).per_second);
    }
    context.delete_stream(&name).await?;
    Ok(outcome(
        "events acknowledged, JetStream",
        &ours,
        &anchor,
        Some(Aim::Ratio(0.8)),
    ))
}
