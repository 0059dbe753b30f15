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
use crate::store::topics;

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
                record(unit, &shown, "event_topic_created");
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
                record(unit, &shown, "event_topic_changed");
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
            if let Some(topic) = found {
                let known = topics::get(unit.conn(), topic.id, publisher, &everything).await?;
                if !known.is_some_and(|(_, held)| held.publish) {
                    topics::grant(unit.conn(), &topic, &[grant]).await?;
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
            let made = ShownTopic {
                topic,
                grants: vec![grant],
                json_schema: None,
            };
            record(unit, &made, "event_topic_created");
            Ok(made.topic)
        })
        .await
        .map_err(Fault::from)?;
    store.open_topic(&topic.spec()).await?;
    Ok(topic.id)
}

/// The event and the leaf of a change.
fn record(unit: &mut UnitOfWork<'_>, made: &ShownTopic, kind: &'static str) {
    let topic = &made.topic;
    unit.publish(Event {
        aggregate_kind: "event_topic",
        aggregate_id: topic.id,
        version: topic.version,
        kind,
        payload: serde_json::json!({ "name": topic.name, "unit_id": topic.unit_id }),
    });
    let grants: Vec<_> = made
        .grants
        .iter()
        .map(|grant| serde_json::json!([grant.client, grant.publish, grant.subscribe]))
        .collect();
    let replaced: Vec<_> = topic
        .replaced()
        .into_iter()
        .map(|(uri, version, until)| serde_json::json!([uri, version, until]))
        .collect();
    let judges = made
        .json_schema
        .as_ref()
        .map(|text| hex::encode(digest(&SHA256, text.as_bytes())));
    let canonical = serde_json::json!({
        "topic_id": topic.id,
        "name": topic.name,
        "unit_id": topic.unit_id,
        "schema": topic.schema,
        "schema_version": topic.schema_version,
        "json_schema_sha256": judges,
        "earlier_schemas": replaced,
        "max_age_seconds": topic.max_age.as_secs(),
        "max_bytes": topic.max_bytes,
        "grants": grants,
    });
    unit.leaf(Leaf {
        kind: "event_topic",
        resource: topic.id,
        version: topic.version,
        canonical: canonical.to_string().as_bytes(),
    });
    unit.led_to("event_topic", topic.id, topic.version);
}
