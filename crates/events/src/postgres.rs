//! Events in a service's own PostgreSQL.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use egov_auth::RowScope;
use egov_database::{Database, sql_fault};
use egov_fault::Fault;
use jiff::Timestamp;
use jiff_sqlx::ToSqlx as _;
use sqlx::postgres::types::PgInterval;
use sqlx::{PgConnection, Row as _};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot, watch};
use uuid::Uuid;

use crate::CloudEvent;
use crate::budget::Budget;
use crate::store::{
    Batch, DeadLetter, DeadLetters, Delivery, Durability, EventStore, Letters, Missed, NO_EVENT, Progress, Published,
    Redriven, Rejection, StartAt, SubscriptionSpec, Swept, TopicSpec, dead_letter_not_found, queue_full,
    subscription_not_found, token_invalid, topic_not_found, unavailable,
};

/// How many events are stored in one transaction at most.
const GROUP: usize = 2000;

/// How many callers may wait to be stored; what they bring is bounded by bytes.
const QUEUE: usize = 1024;

/// How many events a sweep drops in one transaction.
const SWEEP: i64 = 10_000;

/// How often a waiting fetch looks for what other processes have published.
const LOOK: Duration = Duration::from_millis(100);

/// Events in a service's database; the tables are those of [`EVENTS_MIGRATION`](crate::EVENTS_MIGRATION) and
/// [`EVENTS_MIGRATION_2`](crate::EVENTS_MIGRATION_2).
///
/// Publications of one process that come at the same time share a transaction: while one group is being committed the next
/// gathers. What a caller is answered has been committed.
#[derive(Clone)]
pub struct PostgresStore {
    database: Database,
    queue: mpsc::Sender<Waiting>,
    budget: Budget,
    published: watch::Sender<u64>,
}

struct Waiting {
    topic: Uuid,
    events: Vec<CloudEvent>,
    answer: oneshot::Sender<Result<Vec<Published>, Fault>>,
    /// Given back when it is stored, whether or not the caller still waits.
    _room: OwnedSemaphorePermit,
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").finish_non_exhaustive()
    }
}

impl PostgresStore {
    /// A store in this database. At most `queue_bytes` of events wait to be stored. Must be called within a runtime.
    pub fn new(database: Database, queue_bytes: usize) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let store = Self {
            database: database.clone(),
            queue,
            budget: Budget::of_bytes(queue_bytes),
            published: watch::Sender::new(0),
        };
        // Ends when the last clone of the store is gone.
        tokio::spawn(write_groups(database, waiting, store.published.clone()));
        store
    }

    async fn run<T>(&self, f: impl AsyncFnOnce(&mut PgConnection) -> Result<T, Fault>) -> Result<T, Fault> {
        self.database
            .write_unkeyed(&RowScope::everything(), async |unit| f(unit.conn()).await)
            .await
    }

    async fn look<T>(&self, f: impl AsyncFnOnce(&mut PgConnection) -> Result<T, Fault>) -> Result<T, Fault> {
        self.database.read(&RowScope::everything(), f).await
    }

    fn now(&self) -> Timestamp {
        self.database.clock().now()
    }

    /// Puts what cannot be read as an event among the dead letters.
    async fn give_up(&self, subscription: Uuid, offsets: &[i64], at: Timestamp) -> Result<(), Fault> {
        self.run(async |conn| {
            // First, as whoever fetches, settles or retains takes it.
            sqlx::query("SELECT 1 FROM event_consumers WHERE subscription_id = $1 FOR UPDATE")
                .bind(subscription)
                .execute(&mut *conn)
                .await
                .map_err(sql_fault)?;
            sqlx::query(
                "WITH dead AS (
                     DELETE FROM event_deliveries d WHERE d.subscription_id = $1 AND d.log_offset = ANY ($2) RETURNING d.*
                 )
                 INSERT INTO event_dead_letters
                     (subscription_id, log_offset, partition_key, attempts, cause, content, publish_time, dead_time)
                 SELECT d.subscription_id, d.log_offset, d.partition_key, d.attempt, $4, coalesce(d.content, r.content),
                        coalesce(d.publish_time, r.publish_time), $3
                 FROM dead d
                 JOIN event_consumers c ON c.subscription_id = d.subscription_id
                 LEFT JOIN event_records r ON r.topic_id = c.topic_id AND r.log_offset = d.log_offset
                 WHERE coalesce(d.content, r.content) IS NOT NULL
                 ON CONFLICT DO NOTHING",
            )
            .bind(subscription)
            .bind(offsets)
            .bind(at.to_sqlx())
            .bind(NO_EVENT)
            .execute(conn)
            .await
            .map(drop)
            .map_err(sql_fault)
        })
        .await
    }
}

async fn write_groups(database: Database, mut waiting: mpsc::Receiver<Waiting>, published: watch::Sender<u64>) {
    while let Some(first) = waiting.recv().await {
        let mut events = first.events.len();
        let mut group = vec![first];
        while events < GROUP {
            let Ok(next) = waiting.try_recv() else { break };
            events += next.events.len();
            group.push(next);
        }
        match write_group(&database, &group).await {
            Ok(answers) => {
                published.send_modify(|count| *count += 1);
                for (one, answer) in group.into_iter().zip(answers) {
                    // Who does not wait any more sends it again and learns that it is stored.
                    let _ = one.answer.send(answer);
                }
            }
            Err(fault) => {
                tracing::warn!(reason = fault.reason(), error = ?fault, "events not stored");
                for one in group {
                    let _ = one.answer.send(Err(unavailable(fault.to_string())));
                }
            }
        }
    }
}

/// Stores a group in one transaction; an answer for each of its members.
async fn write_group(database: &Database, group: &[Waiting]) -> Result<Vec<Result<Vec<Published>, Fault>>, Fault> {
    let all = || {
        group
            .iter()
            .flat_map(|one| one.events.iter().map(move |event| (one.topic, event)))
    };
    let topics: Vec<Uuid> = all().map(|(topic, _)| topic).collect();
    let dedupes: Vec<Uuid> = all().map(|(_, event)| event.dedupe()).collect();
    let kinds: Vec<&str> = all().map(|(_, event)| event.kind.as_str()).collect();
    let keys: Vec<Option<&str>> = all().map(|(_, event)| event.partition_key.as_deref()).collect();
    let contents: Vec<Vec<u8>> = all().map(|(_, event)| event.encode()).collect();
    let rows = database
        .write_unkeyed(&RowScope::everything(), async |unit| {
            let at = unit.now();
            sqlx::query("SELECT log_offset, duplicate FROM publish_events($1, $2, $3, $4, $5, $6)")
                .bind(at.to_sqlx())
                .bind(&topics)
                .bind(&dedupes)
                .bind(&kinds)
                .bind(&keys)
                .bind(&contents)
                .fetch_all(unit.conn())
                .await
                .map_err(sql_fault)
        })
        .await?;
    let mut rows = rows.iter();
    group
        .iter()
        .map(|one| {
            let mut published = Vec::with_capacity(one.events.len());
            let mut missing = false;
            for row in rows.by_ref().take(one.events.len()) {
                match row.try_get::<Option<i64>, _>("log_offset").map_err(sql_fault)? {
                    Some(offset) => published.push(Published {
                        offset,
                        duplicate: row.try_get("duplicate").map_err(sql_fault)?,
                    }),
                    None => missing = true,
                }
            }
            Ok(if missing { Err(topic_not_found()) } else { Ok(published) })
        })
        .collect()
}

#[async_trait]
impl EventStore for PostgresStore {
    async fn durability(&self) -> Result<Durability, Fault> {
        let row = self
            .look(async |conn| {
                sqlx::query(
                    "SELECT current_setting('fsync') AS fsync, current_setting('synchronous_commit') AS commits",
                )
                .fetch_one(conn)
                .await
                .map_err(sql_fault)
            })
            .await?;
        let fsync: String = row.try_get("fsync").map_err(sql_fault)?;
        let commits: String = row.try_get("commits").map_err(sql_fault)?;
        Ok(Durability {
            durable: fsync == "on" && matches!(commits.as_str(), "on" | "remote_apply"),
            words: format!("PostgreSQL: fsync = {fsync}, synchronous_commit = {commits}"),
        })
    }

    async fn open_topic(&self, topic: &TopicSpec) -> Result<(), Fault> {
        self.run(async |conn| {
            sqlx::query("INSERT INTO event_heads (topic_id) VALUES ($1) ON CONFLICT DO NOTHING")
                .bind(topic.id)
                .execute(conn)
                .await
                .map(drop)
                .map_err(sql_fault)
        })
        .await
    }

    async fn publish(&self, topic: Uuid, events: Vec<CloudEvent>) -> Result<Vec<Published>, Fault> {
        if events.is_empty() {
            return Ok(Vec::new());
        }
        let room = self.budget.take(&events)?;
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting {
            topic,
            events,
            answer,
            _room: room,
        };
        self.queue.try_send(waiting).map_err(|_| queue_full())?;
        answered.await.map_err(unavailable)?
    }

    async fn subscribe(&self, subscription: &SubscriptionSpec) -> Result<(), Fault> {
        let (mode, from) = match subscription.start {
            StartAt::New => ("new", Timestamp::UNIX_EPOCH),
            StartAt::Oldest => ("oldest", Timestamp::UNIX_EPOCH),
            StartAt::Time(at) => ("time", at),
        };
        let made = self
            .run(async |conn| {
                sqlx::query(
                    "INSERT INTO event_consumers (subscription_id, topic_id, next_offset)
                     SELECT $1, h.topic_id, CASE $3
                         WHEN 'new' THEN h.next_offset
                         WHEN 'oldest' THEN 0
                         ELSE coalesce((SELECT r.log_offset FROM event_records r
                                        WHERE r.topic_id = h.topic_id AND r.publish_time >= $4
                                        ORDER BY r.publish_time, r.log_offset LIMIT 1), h.next_offset) END
                     FROM event_heads h WHERE h.topic_id = $2
                     ON CONFLICT (subscription_id) DO UPDATE SET next_offset = event_consumers.next_offset",
                )
                .bind(subscription.id)
                .bind(subscription.topic)
                .bind(mode)
                .bind(from.to_sqlx())
                .execute(conn)
                .await
                .map_err(sql_fault)
            })
            .await?;
        if made.rows_affected() == 0 {
            return Err(topic_not_found());
        }
        Ok(())
    }

    async fn unsubscribe(&self, subscription: &SubscriptionSpec) -> Result<(), Fault> {
        self.run(async |conn| {
            sqlx::query("DELETE FROM event_consumers WHERE subscription_id = $1")
                .bind(subscription.id)
                .execute(conn)
                .await
                .map(drop)
                .map_err(sql_fault)
        })
        .await
    }

    async fn pull(&self, subscription: &SubscriptionSpec, batch: Batch) -> Result<Vec<Delivery>, Fault> {
        let now = self.now();
        let due: bool = self
            .look(async |conn| {
                sqlx::query_scalar("SELECT events_due($1, $2) OR NOT EXISTS (SELECT 1 FROM event_consumers WHERE subscription_id = $1)")
                    .bind(subscription.id)
                    .bind(now.to_sqlx())
                    .fetch_one(conn)
                    .await
                    .map_err(sql_fault)
            })
            .await?;
        if !due {
            return Ok(Vec::new());
        }
        let rows = self
            .run(async |conn| {
                sqlx::query(
                    "SELECT log_offset, attempt, content, publish_time FROM pull_events($1, $2, $3, $4, $5, $6, $7, $8)
                     WHERE content IS NOT NULL",
                )
                .bind(subscription.id)
                .bind(now.to_sqlx())
                .bind(i64::from(batch.events))
                .bind(i64::try_from(batch.bytes).unwrap_or(i64::MAX))
                .bind(i64::from(subscription.max_in_flight))
                .bind(interval(subscription.acknowledge_within))
                .bind(i32::try_from(subscription.max_attempts).unwrap_or(i32::MAX))
                .bind(&subscription.types)
                .fetch_all(conn)
                .await
                .map_err(no_subscription)
            })
            .await?;
        let (mut deliveries, mut unreadable) = (Vec::with_capacity(rows.len()), Vec::new());
        for row in &rows {
            let offset: i64 = row.try_get("log_offset").map_err(sql_fault)?;
            let attempt: i32 = row.try_get("attempt").map_err(sql_fault)?;
            let content: &[u8] = row.try_get("content").map_err(sql_fault)?;
            let publish_time: jiff_sqlx::Timestamp = row.try_get("publish_time").map_err(sql_fault)?;
            match CloudEvent::decode(content) {
                Ok(event) => deliveries.push(Delivery {
                    token: format!("{offset}.{attempt}"),
                    offset,
                    attempt: u32::try_from(attempt).unwrap_or_default(),
                    publish_time: publish_time.to_jiff(),
                    event,
                }),
                // What was stored was checked before: it was damaged since.
                Err(error) => {
                    tracing::error!(subscription = %subscription.id, offset, %error, "{NO_EVENT}");
                    unreadable.push(offset);
                }
            }
        }
        if !unreadable.is_empty() {
            self.give_up(subscription.id, &unreadable, now).await?;
        }
        Ok(deliveries)
    }

    async fn settle(
        &self,
        subscription: &SubscriptionSpec,
        acknowledged: &[String],
        rejected: &[Rejection],
    ) -> Result<(), Fault> {
        let now = self.now();
        let done: Vec<i64> = acknowledged
            .iter()
            .map(|token| parse(token).map(|(offset, _)| offset))
            .collect::<Result<_, _>>()?;
        let mut offsets = Vec::with_capacity(rejected.len());
        let mut attempts = Vec::with_capacity(rejected.len());
        let mut again = Vec::with_capacity(rejected.len());
        for rejection in rejected {
            let (offset, attempt) = parse(&rejection.token)?;
            let pause = rejection.retry_after.unwrap_or_else(|| {
                let times = u32::try_from(attempt).unwrap_or(1);
                subscription.backoff.draw(times, self.database.ids().as_ref())
            });
            offsets.push(offset);
            attempts.push(attempt);
            again.push(now.checked_add(pause).unwrap_or(Timestamp::MAX).to_sqlx());
        }
        let causes: Vec<&str> = rejected.iter().map(|rejection| rejection.cause.as_str()).collect();
        self.run(async |conn| {
            sqlx::query("SELECT settle_events($1, $2, $3, $4, $5, $6, $7, $8)")
                .bind(subscription.id)
                .bind(now.to_sqlx())
                .bind(i32::try_from(subscription.max_attempts).unwrap_or(i32::MAX))
                .bind(&done)
                .bind(&offsets)
                .bind(&attempts)
                .bind(&again)
                .bind(&causes)
                .execute(conn)
                .await
                .map(drop)
                .map_err(sql_fault)
        })
        .await
    }

    async fn progress(&self, subscription: &SubscriptionSpec) -> Result<Progress, Fault> {
        let now = self.now();
        let row = self
            .look(async |conn| {
                sqlx::query(
                    "SELECT greatest(h.next_offset - greatest(c.next_offset, coalesce(
                                (SELECT min(r.log_offset) FROM event_records r WHERE r.topic_id = c.topic_id),
                                h.next_offset)), 0) AS ahead,
                            count(d.log_offset) AS waiting,
                            count(d.log_offset) FILTER (WHERE d.attempt > 0 AND d.due_time > $2) AS in_flight,
                            (SELECT count(*) FROM event_dead_letters l WHERE l.subscription_id = $1) AS dead,
                            c.missed, coalesce(c.first_missed, 0) AS first_missed, coalesce(c.last_missed, 0) AS last_missed
                     FROM event_consumers c
                     JOIN event_heads h ON h.topic_id = c.topic_id
                     LEFT JOIN event_deliveries d ON d.subscription_id = c.subscription_id
                     WHERE c.subscription_id = $1
                     GROUP BY h.next_offset, c.subscription_id",
                )
                .bind(subscription.id)
                .bind(now.to_sqlx())
                .fetch_optional(conn)
                .await
                .map_err(sql_fault)
            })
            .await?
            .ok_or_else(subscription_not_found)?;
        let number = |name: &str| row.try_get::<i64, _>(name).map_err(sql_fault);
        Ok(Progress {
            lag: number("ahead")? + number("waiting")?,
            in_flight: number("in_flight")?,
            dead_letters: number("dead")?,
            missed: Some(Missed {
                events: number("missed")?,
                first: number("first_missed")?,
                last: number("last_missed")?,
            })
            .filter(|missed| missed.events > 0),
        })
    }

    async fn dead_letters(
        &self,
        subscription: &SubscriptionSpec,
        after: Option<i64>,
        limit: u32,
        bytes: usize,
    ) -> Result<DeadLetters, Fault> {
        let rows = self
            .look(async |conn| {
                // The next letter is looked at to say that there is one; of those that have no room only the length is read.
                sqlx::query(
                    "WITH ahead AS (
                         SELECT log_offset, octet_length(content) AS length FROM event_dead_letters
                         WHERE subscription_id = $1 AND log_offset > $2 ORDER BY log_offset LIMIT $3 + 1
                     ), sized AS (
                         SELECT log_offset, sum(length) OVER w AS upto, row_number() OVER w AS place, count(*) OVER () AS found
                         FROM ahead WINDOW w AS (ORDER BY log_offset)
                     )
                     SELECT d.log_offset, d.attempts, d.cause, d.content, d.dead_time, s.found
                     FROM sized s JOIN event_dead_letters d ON d.subscription_id = $1 AND d.log_offset = s.log_offset
                     WHERE s.place <= $3 AND (s.place = 1 OR s.upto <= $4) ORDER BY d.log_offset",
                )
                .bind(subscription.id)
                .bind(after.unwrap_or(-1))
                .bind(i64::from(limit))
                .bind(i64::try_from(bytes).unwrap_or(i64::MAX))
                .fetch_all(conn)
                .await
                .map_err(sql_fault)
            })
            .await?;
        let found = match rows.first() {
            Some(row) => row.try_get::<i64, _>("found").map_err(sql_fault)?,
            None => 0,
        };
        let letters: Vec<DeadLetter> = rows.iter().map(dead_letter_of).collect::<Result<_, _>>()?;
        let more = i64::try_from(letters.len()).unwrap_or(i64::MAX) < found;
        Ok(DeadLetters { letters, more })
    }

    async fn dead_letter(&self, subscription: &SubscriptionSpec, offset: i64) -> Result<DeadLetter, Fault> {
        let row = self
            .look(async |conn| {
                sqlx::query(
                    "SELECT log_offset, attempts, cause, content, dead_time FROM event_dead_letters
                     WHERE subscription_id = $1 AND log_offset = $2",
                )
                .bind(subscription.id)
                .bind(offset)
                .fetch_optional(conn)
                .await
                .map_err(sql_fault)
            })
            .await?;
        dead_letter_of(&row.ok_or_else(dead_letter_not_found)?)
    }

    async fn redrive(&self, subscription: &SubscriptionSpec, letters: Letters<'_>) -> Result<Redriven, Fault> {
        let (offsets, until) = meant(letters);
        let redriven: i64 = self
            .run(async |conn| {
                sqlx::query_scalar("SELECT redrive_events($1, $2, $3)")
                    .bind(subscription.id)
                    .bind(offsets)
                    .bind(until.map(jiff_sqlx::ToSqlx::to_sqlx))
                    .fetch_one(conn)
                    .await
                    .map_err(sql_fault)
            })
            .await?;
        self.published.send_modify(|count| *count += 1);
        Ok(Redriven {
            letters: u64::try_from(redriven).unwrap_or_default(),
            more: false,
        })
    }

    async fn purge(&self, subscription: &SubscriptionSpec, letters: Letters<'_>) -> Result<u64, Fault> {
        let (offsets, until) = meant(letters);
        self.run(async |conn| {
            sqlx::query(
                "DELETE FROM event_dead_letters WHERE subscription_id = $1 AND (log_offset = ANY ($2) OR dead_time <= $3)",
            )
            .bind(subscription.id)
            .bind(offsets)
            .bind(until.map(jiff_sqlx::ToSqlx::to_sqlx))
            .execute(conn)
            .await
            .map(|done| done.rows_affected())
            .map_err(sql_fault)
        })
        .await
    }

    async fn sweep(&self, topic: &TopicSpec) -> Result<Swept, Fault> {
        let before = self.now().checked_sub(topic.max_age).unwrap_or(Timestamp::MIN);
        let mut swept = Swept::default();
        loop {
            let rows = self
                .run(async |conn| {
                    sqlx::query(
                        "SELECT subscription_id, events, first_offset, last_offset FROM retain_events($1, $2, $3, $4)",
                    )
                    .bind(topic.id)
                    .bind(before.to_sqlx())
                    .bind(topic.max_bytes)
                    .bind(SWEEP)
                    .fetch_all(conn)
                    .await
                    .map_err(sql_fault)
                })
                .await?;
            let mut batch = 0;
            for row in &rows {
                let events: i64 = row.try_get("events").map_err(sql_fault)?;
                match row.try_get::<Option<Uuid>, _>("subscription_id").map_err(sql_fault)? {
                    None => batch = events,
                    Some(subscription) => swept.miss(
                        subscription,
                        Missed {
                            events,
                            first: row.try_get("first_offset").map_err(sql_fault)?,
                            last: row.try_get("last_offset").map_err(sql_fault)?,
                        },
                    ),
                }
            }
            swept.events += u64::try_from(batch).unwrap_or_default();
            if batch < SWEEP {
                return Ok(swept);
            }
        }
    }

    async fn wait(&self, _topic: Uuid, at_most: Duration) {
        let mut published = self.published.subscribe();
        // Running out of time is the ordinary case, and the sender lives as long as this store.
        let _ = tokio::time::timeout(at_most.min(LOOK), published.changed()).await;
    }
}

/// The letters that are meant, as the statements take them: what is not named is NULL, and NULL means none.
fn meant(letters: Letters<'_>) -> (Option<&[i64]>, Option<Timestamp>) {
    match letters {
        Letters::At(offsets) => (Some(offsets), None),
        Letters::Until(until) => (None, Some(until)),
    }
}

fn dead_letter_of(row: &sqlx::postgres::PgRow) -> Result<DeadLetter, Fault> {
    let offset: i64 = row.try_get("log_offset").map_err(sql_fault)?;
    let attempts: i32 = row.try_get("attempts").map_err(sql_fault)?;
    let content: &[u8] = row.try_get("content").map_err(sql_fault)?;
    let dead_time: jiff_sqlx::Timestamp = row.try_get("dead_time").map_err(sql_fault)?;
    Ok(DeadLetter {
        place: offset,
        offset,
        attempts: u32::try_from(attempts).unwrap_or_default(),
        cause: row.try_get("cause").map_err(sql_fault)?,
        dead_time: dead_time.to_jiff(),
        event: CloudEvent::decode(content).ok(),
    })
}

fn no_subscription(error: sqlx::Error) -> Fault {
    match &error {
        sqlx::Error::Database(said) if said.code().as_deref() == Some("EG003") => subscription_not_found(),
        _ => sql_fault(error),
    }
}

fn parse(token: &str) -> Result<(i64, i32), Fault> {
    let (offset, attempt) = token.split_once('.').ok_or_else(token_invalid)?;
    match (offset.parse(), attempt.parse()) {
        (Ok(offset), Ok(attempt)) => Ok((offset, attempt)),
        _ => Err(token_invalid()),
    }
}

fn interval(duration: Duration) -> PgInterval {
    PgInterval {
        months: 0,
        days: 0,
        microseconds: i64::try_from(duration.as_micros()).unwrap_or(i64::MAX),
    }
}
