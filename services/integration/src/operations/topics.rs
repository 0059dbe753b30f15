//! CreateTopic, UpdateTopic, ListTopics.

use aws_lc_rs::digest::{SHA256, digest};
use egov_auth::{Caller, Resource, RowScope};
use egov_database::{Database, Event, Leaf, Page, UnitOfWork, WriteRequest, page_of};
use egov_events::EventStore;
use egov_fault::Fault;
use egov_proto::egov::integration::v1::{
    CreateTopicRequest, CreateTopicResponse, ListTopicsRequest, UpdateTopicRequest, UpdateTopicResponse,
};
use uuid::Uuid;

use super::Events;
use crate::domain::data_schema::DataSchema;
use crate::domain::topic::{DEFAULT_MAX_AGE, DEFAULT_MAX_BYTES, Grant, Judging, SchemaChange, ShownTopic, Topic};
use crate::error::Error;
use crate::store::topics::{self, StoredTopic};

/// The permission to make and change topics.
const MANAGE: &str = "integration.topics.manage";
/// The permission by which topics and subscriptions are seen.
pub(super) const USE: &str = "integration.events.use";

const CREATE: &str = "/egov.integration.v1.EventService/CreateTopic";
const UPDATE: &str = "/egov.integration.v1.EventService/UpdateTopic";
const LIST: &str = "/egov.integration.v1.EventService/ListTopics";

/// What UpdateTopic changes; none leaves it.
pub(crate) struct TopicChange {
    pub(crate) schema: SchemaChange,
    pub(crate) max_age: Option<std::time::Duration>,
    pub(crate) max_bytes: Option<i64>,
    pub(crate) grants: Vec<Grant>,
}

/// Refuses a JSON Schema that nothing could be judged by.
fn check_schema(text: &str) -> Result<(), Error> {
    DataSchema::read(text, "json_schema")
        .map(drop)
        .map_err(Error::TopicSchemaRefused)
}

impl Events {
    /// Makes a topic, at most once for a request id.
    pub(crate) async fn create_topic(
        &self,
        caller: &Caller,
        request_id: Uuid,
        body: &CreateTopicRequest,
        wanted: ShownTopic,
        answer: impl FnOnce(&ShownTopic) -> CreateTopicResponse + Send,
    ) -> Result<CreateTopicResponse, Error> {
        if let Some(text) = &wanted.json_schema {
            check_schema(text)?;
        }
        let write = WriteRequest::by(caller, MANAGE, CREATE, request_id, body);
        let mut made = None;
        let written = self
            .database
            .write(write, async |unit| {
                let mut shown = wanted;
                caller.require(MANAGE, &Resource::of_unit(shown.topic.unit_id))?;
                let topic = &mut shown.topic;
                (topic.id, topic.create_time) = (unit.new_id(), unit.now());
                if shown.json_schema.is_some() {
                    topic.know(topic.schema.clone(), topic.schema_version, true);
                }
                if !topics::insert(unit.conn(), topic).await? {
                    return Err(Error::TopicNameTaken);
                }
                topics::keep_versions(unit.conn(), topic, shown.json_schema.as_deref()).await?;
                topics::grant(unit.conn(), topic, &shown.grants).await?;
                record(unit, shown.topic.id, "event_topic_created").await?;
                made = Some(shown.topic.clone());
                Ok::<_, Error>(answer(&shown))
            })
            .await?;
        // The store is asked after the commit; if this process dies before it, the first publication makes it up.
        if let Some(topic) = made {
            self.store.open_topic(&topic.spec()).await?;
        }
        Ok(written.into_answer())
    }

    /// Changes a topic, at most once for a request id.
    pub(crate) async fn update_topic(
        &self,
        caller: &Caller,
        request_id: Uuid,
        body: &UpdateTopicRequest,
        topic_id: Uuid,
        change: TopicChange,
        answer: impl FnOnce(&ShownTopic) -> UpdateTopicResponse + Send,
    ) -> Result<UpdateTopicResponse, Error> {
        if let Judging::By(text) = &change.schema.judging {
            check_schema(text)?;
        }
        let scope = caller.scope(MANAGE);
        let write = WriteRequest::by(caller, MANAGE, UPDATE, request_id, body);
        let mut changed = None;
        let written = self
            .database
            .write(write, async |unit| {
                let found = topics::lock(unit.conn(), topic_id, &scope).await?;
                let mut topic = found.ok_or(Error::TopicNotFound)?;
                caller.require(MANAGE, &Resource::of_unit(topic.unit_id))?;
                if topic.version.to_string() != body.etag {
                    return Err(Error::StaleEtag);
                }
                let before = (topic.schema.as_str(), topic.schema_version);
                let before = topics::json_schema(unit.conn(), topic_id, before).await?;
                topic
                    .change_schema(&change.schema, unit.today())
                    .map_err(Error::TopicSchemaRefused)?;
                let json_schema = match change.schema.judging {
                    Judging::AsBefore => before,
                    Judging::ByNothing => None,
                    Judging::By(text) => Some(text),
                };
                topic.max_age = change.max_age.unwrap_or(topic.max_age);
                topic.max_bytes = change.max_bytes.unwrap_or(topic.max_bytes);
                topic.version += 1;
                topics::update(unit.conn(), &topic).await?;
                topics::keep_versions(unit.conn(), &topic, json_schema.as_deref()).await?;
                topics::grant(unit.conn(), &topic, &change.grants).await?;
                let shown = ShownTopic {
                    grants: topics::grants(unit.conn(), topic.id, &scope).await?,
                    topic,
                    json_schema,
                };
                record(unit, shown.topic.id, "event_topic_changed").await?;
                changed = Some(shown.topic.clone());
                Ok::<_, Error>(answer(&shown))
            })
            .await?;
        if let Some(topic) = changed {
            self.store.open_topic(&topic.spec()).await?;
        }
        Ok(written.into_answer())
    }

    /// A page of the topics that the caller sees, each with its grants where the caller may manage it; one that was asked for by its
    /// name with its JSON Schema.
    pub(crate) async fn list_topics(
        &self,
        caller: &Caller,
        request: &ListTopicsRequest,
    ) -> Result<(Vec<ShownTopic>, String), Error> {
        let page: Page<String> = page_of!(self.database.page_tokens(), caller, LIST, request)?;
        let (scope, managed) = (caller.scope(USE), caller.scope(MANAGE));
        let name = (!request.name.is_empty()).then_some(request.name.as_str());
        let rows = self
            .database
            .read(&scope, async |conn| {
                let found = topics::list(conn, name, page.after().map(String::as_str), page.fetch(), &scope).await?;
                let mut rows = Vec::with_capacity(found.len());
                for topic in found {
                    let present = (topic.schema.as_str(), topic.schema_version);
                    let json_schema = match name {
                        Some(_) => topics::json_schema(conn, topic.id, present).await?,
                        None => None,
                    };
                    rows.push(ShownTopic {
                        grants: topics::grants(conn, topic.id, &managed).await?,
                        topic,
                        json_schema,
                    });
                }
                Ok::<_, Error>(rows)
            })
            .await?;
        Ok(page.finish(rows, |shown| shown.topic.name.clone())?)
    }
}

/// Makes the topic of a service's own events if it is missing, and lets the service publish to it: a step of the installation, not of
/// a caller. Gives the topic's id.
///
/// # Errors
/// Those of the database and of the store.
pub async fn ensure_topic(
    database: &Database,
    store: &dyn EventStore,
    name: &str,
    unit_id: i32,
    publisher: Uuid,
) -> Result<Uuid, Fault> {
    let everything = RowScope::everything();
    let topic = database
        .write_unkeyed(&everything, async |unit| {
            let found = topics::list(unit.conn(), Some(name), None, 1, &everything).await?.pop();
            let grant = Grant {
                client: publisher,
                publish: true,
                subscribe: false,
            };
            if let Some(found) = found {
                // Held: another process of the service may do the same at this moment.
                let mut topic = topics::lock(unit.conn(), found.id, &everything)
                    .await?
                    .ok_or(Error::TopicNotFound)?;
                let known = topics::get(unit.conn(), topic.id, publisher, &everything).await?;
                if !known.is_some_and(|(_, held)| held.publish) {
                    topic.version += 1;
                    topics::update(unit.conn(), &topic).await?;
                    topics::grant(unit.conn(), &topic, &[grant]).await?;
                    record(unit, topic.id, "event_topic_changed").await?;
                }
                return Ok::<_, Error>(topic);
            }
            let topic = Topic {
                id: unit.new_id(),
                name: name.to_owned(),
                unit_id,
                schema: format!("urn:egov:{name}"),
                schema_version: 1,
                max_age: DEFAULT_MAX_AGE * 4,
                max_bytes: DEFAULT_MAX_BYTES,
                version: 1,
                create_time: unit.now(),
                versions: Vec::new(),
            };
            if !topics::insert(unit.conn(), &topic).await? {
                return Err(Error::TopicNameTaken);
            }
            topics::grant(unit.conn(), &topic, &[grant]).await?;
            record(unit, topic.id, "event_topic_created").await?;
            Ok(topic)
        })
        .await
        .map_err(Fault::from)?;
    store.open_topic(&topic.spec()).await?;
    Ok(topic.id)
}

/// The kind of the events and the leaves of topics.
pub(crate) const TOPIC: &str = "event_topic";

/// What the leaf of a topic commits to: the topic as it is stored, with what every system may do and every version of its schemas.
pub(crate) fn canonical_topic(stored: &StoredTopic) -> serde_json::Value {
    let topic = &stored.topic;
    let grants: Vec<_> = stored
        .grants
        .iter()
        .map(|grant| serde_json::json!([grant.client, grant.publish, grant.subscribe]))
        .collect();
    let schemas: Vec<_> = stored
        .schemas
        .iter()
        .map(|(uri, version, text, until)| {
            let judges = text.as_ref().map(|text| hex::encode(digest(&SHA256, text.as_bytes())));
            serde_json::json!([uri, version, judges, until])
        })
        .collect();
    serde_json::json!({
        "topic_id": topic.id,
        "name": topic.name,
        "unit_id": topic.unit_id,
        "schema": topic.schema,
        "schema_version": topic.schema_version,
        "schemas": schemas,
        "max_age_seconds": topic.max_age.as_secs(),
        "max_bytes": topic.max_bytes,
        "create_time": topic.create_time,
        "grants": grants,
    })
}

/// The event and the leaf of a change. The leaf commits to what is stored: a change names only the grants that it gives.
async fn record(unit: &mut UnitOfWork<'_>, topic_id: Uuid, kind: &'static str) -> Result<(), Error> {
    let stored = topics::as_stored(unit.conn(), topic_id)
        .await?
        .ok_or(Error::TopicNotFound)?;
    let topic = &stored.topic;
    unit.publish(Event {
        aggregate_kind: TOPIC,
        aggregate_id: topic.id,
        version: topic.version,
        kind,
        payload: serde_json::json!({ "name": topic.name, "unit_id": topic.unit_id }),
    });
    unit.leaf(Leaf {
        kind: TOPIC,
        resource: topic.id,
        version: topic.version,
        canonical: canonical_topic(&stored).to_string().as_bytes(),
    });
    unit.led_to(TOPIC, topic.id, topic.version);
    Ok(())
}
