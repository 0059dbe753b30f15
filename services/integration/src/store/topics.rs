//! `event_topics`, `event_topic_grants`, `event_topic_schemas`, `event_subscriptions`. Every query filters by the caller's scope; row-level security is the
//! second wall.

use std::collections::HashMap;
use std::time::Duration;

use egov_auth::RowScope;
use egov_events::StartAt;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff_sqlx::ToSqlx as _;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{StoreError, inconsistent};
use crate::domain::topic::{Grant, Mode, SchemaVersion, Subscription, Topic};

struct TopicRow {
    topic_id: Uuid,
    name: String,
    responsible_unit_id: i32,
    schema_uri: String,
    schema_version: i32,
    max_age_seconds: i64,
    max_bytes: i64,
    version: i64,
    create_time: jiff_sqlx::Timestamp,
    versions: String,
}

impl TryFrom<TopicRow> for Topic {
    type Error = StoreError;

    fn try_from(row: TopicRow) -> Result<Self, StoreError> {
        let versions: Vec<SchemaVersion> =
            serde_json::from_str(&row.versions).map_err(|_| inconsistent("event_topic_schemas", "schema_uri"))?;
        Ok(Self {
            id: row.topic_id,
            name: row.name,
            unit_id: row.responsible_unit_id,
            schema: row.schema_uri,
            schema_version: row.schema_version,
            max_age: Duration::from_secs(row.max_age_seconds.unsigned_abs()),
            max_bytes: row.max_bytes,
            version: row.version,
            create_time: row.create_time.to_jiff(),
            versions,
        })
    }
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

/// Adds a topic; false if its name is taken.
pub(crate) async fn insert(connection: &mut PgConnection, topic: &Topic) -> Result<bool, StoreError> {
    let made = sqlx::query!(
        "INSERT INTO event_topics
             (topic_id, responsible_unit_id, name, schema_uri, schema_version, max_age_seconds, max_bytes, version, create_time)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         ON CONFLICT (name) DO NOTHING",
        topic.id,
        topic.unit_id,
        topic.name,
        topic.schema,
        topic.schema_version,
        seconds(topic.max_age),
        topic.max_bytes,
        topic.version,
        topic.create_time.to_sqlx() as _,
    )
    .execute(connection)
    .await?;
    Ok(made.rows_affected() == 1)
}

/// Changes what can be changed of a topic.
pub(crate) async fn update(connection: &mut PgConnection, topic: &Topic) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE event_topics
         SET schema_uri = $2, schema_version = $3, max_age_seconds = $4, max_bytes = $5, version = $6
         WHERE topic_id = $1",
        topic.id,
        topic.schema,
        topic.schema_version,
        seconds(topic.max_age),
        topic.max_bytes,
        topic.version,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The topics, as a row is read with what is known of the versions of its schemas, that a condition chooses.
macro_rules! select_topic {
    ($which:literal $(, $value:expr)* $(,)?) => {
        sqlx::query_as!(
            TopicRow,
            r#"SELECT topic_id, name, responsible_unit_id, schema_uri, schema_version, max_age_seconds, max_bytes, version,
                  create_time, topic_versions(topic_id) AS "versions!"
           FROM event_topics "# + $which
            $(, $value)*
        )
    };
}

/// A topic of a unit in the scope, held until the transaction ends.
pub(crate) async fn lock(
    connection: &mut PgConnection,
    topic_id: Uuid,
    scope: &RowScope,
) -> Result<Option<Topic>, StoreError> {
    let row = select_topic!(
        "WHERE topic_id = $1 AND ($2 OR responsible_unit_id = ANY ($3))
           FOR UPDATE",
        topic_id,
        scope.all,
        &scope.units,
    )
    .fetch_optional(connection)
    .await?;
    row.map(Topic::try_from).transpose()
}

/// A topic in the scope, and what this system may do with it.
pub(crate) async fn get(
    connection: &mut PgConnection,
    topic_id: Uuid,
    client: Uuid,
    scope: &RowScope,
) -> Result<Option<(Topic, Grant)>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT t.topic_id, t.name, t.responsible_unit_id, t.schema_uri, t.schema_version, t.max_age_seconds,
                  t.max_bytes, t.version, t.create_time, topic_versions(t.topic_id) AS "versions!",
                  coalesce(g.may_publish, false) AS "may_publish!", coalesce(g.may_subscribe, false) AS "may_subscribe!"
           FROM event_topics t
           LEFT JOIN event_topic_grants g ON g.topic_id = t.topic_id AND g.owner_id = $2
           WHERE t.topic_id = $1 AND ($3 OR t.responsible_unit_id = ANY ($4) OR g.owner_id = $5)"#,
        topic_id,
        client,
        scope.all,
        &scope.units,
        scope.owner,
    )
    .fetch_optional(connection)
    .await?;
    row.map(|row| {
        let grant = Grant {
            client,
            publish: row.may_publish,
            subscribe: row.may_subscribe,
        };
        let topic = TopicRow {
            topic_id: row.topic_id,
            name: row.name,
            responsible_unit_id: row.responsible_unit_id,
            schema_uri: row.schema_uri,
            schema_version: row.schema_version,
            max_age_seconds: row.max_age_seconds,
            max_bytes: row.max_bytes,
            version: row.version,
            create_time: row.create_time,
            versions: row.versions,
        };
        Ok::<_, StoreError>((Topic::try_from(topic)?, grant))
    })
    .transpose()
}

/// Topics in the scope by name, behind a name; only one if it is asked for.
pub(crate) async fn list(
    connection: &mut PgConnection,
    name: Option<&str>,
    after: Option<&str>,
    limit: i64,
    scope: &RowScope,
) -> Result<Vec<Topic>, StoreError> {
    let rows = select_topic!(
        "WHERE ($1::text IS NULL OR name = $1) AND name > coalesce($2, '')
             AND ($3 OR responsible_unit_id = ANY ($4)
                  OR topic_id IN (SELECT g.topic_id FROM event_topic_grants g
                                  WHERE g.owner_id = $5 AND (g.may_publish OR g.may_subscribe)))
           ORDER BY name LIMIT $6",
        name,
        after,
        scope.all,
        &scope.units,
        scope.owner,
        limit,
    )
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(Topic::try_from).collect()
}

/// Every topic, for the jobs.
pub(crate) async fn all(connection: &mut PgConnection) -> Result<Vec<Topic>, StoreError> {
    let rows = select_topic!("ORDER BY topic_id").fetch_all(connection).await?;
    rows.into_iter().map(Topic::try_from).collect()
}

/// Keeps what is known of the versions of a topic's schemas. A version that is new and judged is that of `json_schema`.
pub(crate) async fn keep_versions(
    connection: &mut PgConnection,
    topic: &Topic,
    json_schema: Option<&str>,
) -> Result<(), StoreError> {
    let uris: Vec<String> = topic.versions.iter().map(|one| one.uri.clone()).collect();
    let versions: Vec<i32> = topic.versions.iter().map(|one| one.version).collect();
    let judged: Vec<bool> = topic.versions.iter().map(|one| one.judged).collect();
    let until: Vec<Option<jiff_sqlx::Date>> = topic
        .versions
        .iter()
        .map(|one| one.accept_until.map(jiff_sqlx::ToSqlx::to_sqlx))
        .collect();
    sqlx::query!(
        "INSERT INTO event_topic_schemas
             (topic_id, responsible_unit_id, schema_uri, schema_version, json_schema, accept_until)
         SELECT $1, $2, n.uri, n.version, CASE WHEN n.judged THEN $7::text END, n.until
         FROM unnest($3::text[], $4::integer[], $5::boolean[], $6::date[]) AS n (uri, version, judged, until)
         ON CONFLICT (topic_id, schema_uri, schema_version) DO UPDATE SET accept_until = excluded.accept_until",
        topic.id,
        topic.unit_id,
        &uris,
        &versions,
        &judged,
        until as _,
        json_schema,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The JSON Schema of a version of a topic's schema, if it has one.
pub(crate) async fn json_schema(
    connection: &mut PgConnection,
    topic_id: Uuid,
    (uri, version): (&str, i32),
) -> Result<Option<String>, StoreError> {
    let found = sqlx::query_scalar!(
        "SELECT json_schema FROM event_topic_schemas WHERE topic_id = $1 AND schema_uri = $2 AND schema_version = $3",
        topic_id,
        uri,
        version,
    )
    .fetch_optional(connection)
    .await?;
    Ok(found.flatten())
}

/// Gives systems what they may do; a grant replaces the earlier one.
pub(crate) async fn grant(connection: &mut PgConnection, topic: &Topic, grants: &[Grant]) -> Result<(), StoreError> {
    let clients: Vec<Uuid> = grants.iter().map(|grant| grant.client).collect();
    let publish: Vec<bool> = grants.iter().map(|grant| grant.publish).collect();
    let subscribe: Vec<bool> = grants.iter().map(|grant| grant.subscribe).collect();
    sqlx::query!(
        "INSERT INTO event_topic_grants (topic_id, owner_id, responsible_unit_id, may_publish, may_subscribe)
         SELECT $1, g.client, $2, g.publish, g.subscribe
         FROM unnest($3::uuid[], $4::boolean[], $5::boolean[]) AS g (client, publish, subscribe)
         ON CONFLICT (topic_id, owner_id)
         DO UPDATE SET may_publish = excluded.may_publish, may_subscribe = excluded.may_subscribe",
        topic.id,
        topic.unit_id,
        &clients,
        &publish,
        &subscribe,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// What systems may do with a topic of a unit in the scope.
pub(crate) async fn grants(
    connection: &mut PgConnection,
    topic_id: Uuid,
    scope: &RowScope,
) -> Result<Vec<Grant>, StoreError> {
    let rows = sqlx::query!(
        "SELECT owner_id, may_publish, may_subscribe FROM event_topic_grants
         WHERE topic_id = $1 AND (may_publish OR may_subscribe) AND ($2 OR responsible_unit_id = ANY ($3))
         ORDER BY owner_id",
        topic_id,
        scope.all,
        &scope.units,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| Grant {
            client: row.owner_id,
            publish: row.may_publish,
            subscribe: row.may_subscribe,
        })
        .collect())
}

/// A topic as it is stored, with all that belongs to it.
#[derive(Clone, Debug)]
pub(crate) struct StoredTopic {
    pub(crate) topic: Topic,
    /// By system; also those that allow nothing any more.
    pub(crate) grants: Vec<Grant>,
    /// URI, version, JSON Schema and last day of each version of its schemas, in their order.
    pub(crate) schemas: Vec<(String, i32, Option<String>, Option<Date>)>,
}

/// A topic as it is stored; none if there is none that may be seen.
pub(crate) async fn as_stored(
    connection: &mut PgConnection,
    topic_id: Uuid,
) -> Result<Option<StoredTopic>, StoreError> {
    let row = select_topic!("WHERE topic_id = $1", topic_id)
        .fetch_optional(&mut *connection)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let grants = sqlx::query!(
        "SELECT owner_id, may_publish, may_subscribe FROM event_topic_grants WHERE topic_id = $1 ORDER BY owner_id",
        topic_id,
    )
    .fetch_all(&mut *connection)
    .await?;
    let schemas = sqlx::query!(
        "SELECT schema_uri, schema_version, json_schema, accept_until FROM event_topic_schemas WHERE topic_id = $1",
        topic_id,
    )
    .fetch_all(connection)
    .await?;
    let mut schemas: Vec<_> = schemas
        .into_iter()
        .map(|row| {
            let until = row.accept_until.map(jiff_sqlx::Date::to_jiff);
            (row.schema_uri, row.schema_version, row.json_schema, until)
        })
        .collect();
    // Here and not in the database, whose order of texts is that of its collation.
    schemas.sort();
    Ok(Some(StoredTopic {
        topic: Topic::try_from(row)?,
        grants: grants
            .into_iter()
            .map(|row| Grant {
                client: row.owner_id,
                publish: row.may_publish,
                subscribe: row.may_subscribe,
            })
            .collect(),
        schemas,
    }))
}

struct SubscriptionRow {
    subscription_id: Uuid,
    topic_id: Uuid,
    owner_id: Uuid,
    responsible_unit_id: i32,
    name: String,
    mode: i16,
    start_at: i16,
    start_time: Option<jiff_sqlx::Timestamp>,
    types: Vec<String>,
    max_in_flight: i32,
    acknowledge_millis: i64,
    max_attempts: i32,
    webhook_url: Option<String>,
    webhook_secret: Option<Vec<u8>>,
    create_time: jiff_sqlx::Timestamp,
}

/// Where a subscription begins, as it is stored.
pub(crate) fn stored_start(start: StartAt) -> (i16, Option<Timestamp>) {
    match start {
        StartAt::New => (1, None),
        StartAt::Oldest => (2, None),
        StartAt::Time(at) => (3, Some(at)),
    }
}

fn start_of(code: i16, at: Option<jiff_sqlx::Timestamp>) -> StartAt {
    match (code, at) {
        (3, Some(at)) => StartAt::Time(at.to_jiff()),
        (2, _) => StartAt::Oldest,
        _ => StartAt::New,
    }
}

impl From<SubscriptionRow> for Subscription {
    fn from(row: SubscriptionRow) -> Self {
        Self {
            id: row.subscription_id,
            topic: row.topic_id,
            owner: row.owner_id,
            unit_id: row.responsible_unit_id,
            name: row.name,
            mode: Mode::of(row.mode),
            start: start_of(row.start_at, row.start_time),
            types: row.types,
            max_in_flight: row.max_in_flight.unsigned_abs(),
            acknowledge_within: Duration::from_millis(row.acknowledge_millis.unsigned_abs()),
            max_attempts: row.max_attempts.unsigned_abs(),
            webhook_url: row.webhook_url,
            webhook_secret: row.webhook_secret,
            create_time: row.create_time.to_jiff(),
        }
    }
}

/// Adds a subscription; false if the subscriber has one of this name.
pub(crate) async fn insert_subscription(
    connection: &mut PgConnection,
    subscription: &Subscription,
) -> Result<bool, StoreError> {
    let (start_at, start_time) = stored_start(subscription.start);
    let made = sqlx::query!(
        "INSERT INTO event_subscriptions
             (subscription_id, topic_id, owner_id, responsible_unit_id, name, mode, types, max_in_flight, acknowledge_millis,
              max_attempts, webhook_url, webhook_secret, version, create_time, start_at, start_time)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 1, $13, $14, $15)
         ON CONFLICT (topic_id, owner_id, name) WHERE end_time IS NULL DO NOTHING",
        subscription.id,
        subscription.topic,
        subscription.owner,
        subscription.unit_id,
        subscription.name,
        subscription.mode.code(),
        &subscription.types,
        i32::try_from(subscription.max_in_flight).unwrap_or(i32::MAX),
        i64::try_from(subscription.acknowledge_within.as_millis()).unwrap_or(i64::MAX),
        i32::try_from(subscription.max_attempts).unwrap_or(i32::MAX),
        subscription.webhook_url,
        subscription.webhook_secret,
        subscription.create_time.to_sqlx() as _,
        start_at,
        start_time.map(jiff_sqlx::ToSqlx::to_sqlx) as _,
    )
    .execute(connection)
    .await?;
    Ok(made.rows_affected() == 1)
}

/// How many subscriptions a system has.
pub(crate) async fn count_subscriptions(connection: &mut PgConnection, owner: Uuid) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM event_subscriptions WHERE owner_id = $1 AND end_time IS NULL"#,
        owner,
    )
    .fetch_one(connection)
    .await?)
}

/// A subscription in the scope, and whether its subscriber may still subscribe to the topic.
pub(crate) async fn get_subscription(
    connection: &mut PgConnection,
    subscription_id: Uuid,
    scope: &RowScope,
) -> Result<Option<(Subscription, bool)>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT s.subscription_id, s.topic_id, s.owner_id, s.responsible_unit_id, s.name, s.mode, s.start_at, s.start_time,
                  s.types, s.max_in_flight,
                  s.acknowledge_millis, s.max_attempts, s.webhook_url, s.webhook_secret, s.create_time,
                  EXISTS (SELECT 1 FROM event_topic_grants g
                          WHERE g.topic_id = s.topic_id AND g.owner_id = s.owner_id AND g.may_subscribe) AS "granted!"
           FROM event_subscriptions s
           WHERE s.subscription_id = $1 AND s.end_time IS NULL
             AND ($2 OR s.responsible_unit_id = ANY ($3) OR s.owner_id = $4)"#,
        subscription_id,
        scope.all,
        &scope.units,
        scope.owner,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(|row| {
        let granted = row.granted;
        let subscription = SubscriptionRow {
            subscription_id: row.subscription_id,
            topic_id: row.topic_id,
            owner_id: row.owner_id,
            responsible_unit_id: row.responsible_unit_id,
            name: row.name,
            mode: row.mode,
            start_at: row.start_at,
            start_time: row.start_time,
            types: row.types,
            max_in_flight: row.max_in_flight,
            acknowledge_millis: row.acknowledge_millis,
            max_attempts: row.max_attempts,
            webhook_url: row.webhook_url,
            webhook_secret: row.webhook_secret,
            create_time: row.create_time,
        };
        (subscription.into(), granted)
    }))
}

/// The subscriptions, as a row is read, that a condition chooses.
macro_rules! select_subscription {
    ($which:literal $(, $value:expr)* $(,)?) => {
        sqlx::query_as!(
            SubscriptionRow,
            "SELECT s.subscription_id, s.topic_id, s.owner_id, s.responsible_unit_id, s.name, s.mode, s.start_at, s.start_time,
                s.types, s.max_in_flight, s.acknowledge_millis, s.max_attempts, s.webhook_url, s.webhook_secret, s.create_time
         FROM event_subscriptions s " + $which
            $(, $value)*
        )
    };
}

/// Subscriptions in the scope by id, behind an id; only to one topic if it is asked for.
pub(crate) async fn list_subscriptions(
    connection: &mut PgConnection,
    topic: Option<Uuid>,
    after: Option<Uuid>,
    limit: i64,
    scope: &RowScope,
) -> Result<Vec<Subscription>, StoreError> {
    let rows = select_subscription!(
        "WHERE end_time IS NULL AND ($1::uuid IS NULL OR topic_id = $1)
           AND subscription_id > coalesce($2, '00000000-0000-0000-0000-000000000000'::uuid)
           AND ($3 OR responsible_unit_id = ANY ($4) OR owner_id = $5)
         ORDER BY subscription_id LIMIT $6",
        topic,
        after,
        scope.all,
        &scope.units,
        scope.owner,
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(Subscription::from).collect())
}

/// The subscriptions after an id, by id, each with its end if it ended.
pub(crate) async fn subscriptions_after(
    connection: &mut PgConnection,
    after: Uuid,
    limit: i64,
) -> Result<Vec<(Subscription, Option<Timestamp>)>, StoreError> {
    let rows = select_subscription!(
        "WHERE s.subscription_id > $1 ORDER BY s.subscription_id LIMIT $2",
        after,
        limit
    )
    .fetch_all(&mut *connection)
    .await?;
    let ids: Vec<Uuid> = rows.iter().map(|row| row.subscription_id).collect();
    let ended = sqlx::query!(
        r#"SELECT subscription_id, end_time AS "end_time!" FROM event_subscriptions
           WHERE subscription_id = ANY ($1) AND end_time IS NOT NULL"#,
        &ids,
    )
    .fetch_all(connection)
    .await?;
    let ended: HashMap<Uuid, Timestamp> = ended
        .into_iter()
        .map(|row| (row.subscription_id, row.end_time.to_jiff()))
        .collect();
    Ok(rows
        .into_iter()
        .map(|row| {
            let end = ended.get(&row.subscription_id).copied();
            (Subscription::from(row), end)
        })
        .collect())
}

/// A subscription by topic, subscriber and name.
pub(crate) async fn subscription_of(
    connection: &mut PgConnection,
    topic: &str,
    owner: Uuid,
    name: &str,
) -> Result<Option<Subscription>, StoreError> {
    let row = select_subscription!(
        "JOIN event_topics t ON t.topic_id = s.topic_id
         WHERE t.name = $1 AND s.owner_id = $2 AND s.name = $3 AND s.end_time IS NULL",
        topic,
        owner,
        name,
    )
    .fetch_optional(connection)
    .await?;
    Ok(row.map(Subscription::from))
}

/// Every webhook whose subscriber may still subscribe, for the job that sends.
pub(crate) async fn webhooks(connection: &mut PgConnection) -> Result<Vec<Subscription>, StoreError> {
    let rows = select_subscription!(
        "JOIN event_topic_grants g ON g.topic_id = s.topic_id AND g.owner_id = s.owner_id AND g.may_subscribe
         WHERE s.mode = 2 AND s.end_time IS NULL ORDER BY s.subscription_id",
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(Subscription::from).collect())
}

/// Ends a subscription; its version from then on. None if it has ended already.
pub(crate) async fn end_subscription(
    connection: &mut PgConnection,
    subscription_id: Uuid,
    at: Timestamp,
) -> Result<Option<i64>, StoreError> {
    Ok(sqlx::query_scalar!(
        "UPDATE event_subscriptions SET end_time = $2, version = version + 1
         WHERE subscription_id = $1 AND end_time IS NULL RETURNING version",
        subscription_id,
        at.to_sqlx() as _,
    )
    .fetch_optional(connection)
    .await?)
}

/// Counts something that happened to a subscription, or after its end, as its next version; none if there is no such subscription.
pub(crate) async fn next_version(
    connection: &mut PgConnection,
    subscription_id: Uuid,
) -> Result<Option<i64>, StoreError> {
    Ok(sqlx::query_scalar!(
        "UPDATE event_subscriptions SET version = version + 1 WHERE subscription_id = $1 RETURNING version",
        subscription_id,
    )
    .fetch_optional(connection)
    .await?)
}

/// Subscriptions that ended until an instant and that the store of events may still know, those that ended first before the others.
pub(crate) async fn to_forget(
    connection: &mut PgConnection,
    ended_until: Timestamp,
    limit: i64,
) -> Result<Vec<Subscription>, StoreError> {
    let rows = select_subscription!(
        "WHERE end_time <= $1 AND forget_time IS NULL
         ORDER BY end_time, subscription_id LIMIT $2",
        ended_until.to_sqlx() as _,
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(Subscription::from).collect())
}

/// Notes that the store of events knows nothing of these subscriptions any more.
pub(crate) async fn forgotten(
    connection: &mut PgConnection,
    subscriptions: &[Uuid],
    at: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE event_subscriptions SET forget_time = $2 WHERE subscription_id = ANY ($1)",
        subscriptions,
        at.to_sqlx() as _,
    )
    .execute(connection)
    .await?;
    Ok(())
}
