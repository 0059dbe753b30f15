//! CreateTopic, UpdateTopic, ListTopics.

use egov_auth::{Caller, Resource, RowScope};
use egov_database::{Database, Event, Leaf, PageBinding, UnitOfWork, WriteRequest};
use egov_events::EventStore;
use egov_fault::Fault;
use egov_proto::egov::integration::v1::{
    CreateTopicRequest, CreateTopicResponse, ListTopicsRequest, UpdateTopicRequest, UpdateTopicResponse,
};
use uuid::Uuid;

use super::Events;
use crate::domain::topic::{DEFAULT_MAX_AGE, DEFAULT_MAX_BYTES, Grant, Topic};
use crate::event_error::EventsError;
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
    pub(crate) schema: Option<String>,
    pub(crate) schema_version: Option<i32>,
    pub(crate) max_age: Option<std::time::Duration>,
    pub(crate) max_bytes: Option<i64>,
    pub(crate) grants: Vec<Grant>,
}

impl Events {
    /// Makes a topic, at most once for a request id.
    pub(crate) async fn create_topic(
        &self,
        caller: &Caller,
        request_id: Uuid,
        body: &CreateTopicRequest,
        topic: Topic,
        grants: Vec<Grant>,
        answer: impl FnOnce(&Topic, &[Grant]) -> CreateTopicResponse + Send,
    ) -> Result<CreateTopicResponse, EventsError> {
        let write = WriteRequest::by(caller, MANAGE, CREATE, request_id, body);
        let mut made = None;
        let written = self
            .database
            .write(write, async |unit| {
                caller.require(MANAGE, &Resource::of_unit(topic.unit_id))?;
                let topic = Topic {
                    id: unit.new_id(),
                    create_time: unit.now(),
                    ..topic
                };
                if !topics::insert(unit.conn(), &topic).await? {
                    return Err(EventsError::TopicNameTaken);
                }
                topics::grant(unit.conn(), &topic, &grants).await?;
                record(unit, &topic, &grants, "event_topic_created");
                made = Some(topic.clone());
                Ok::<_, EventsError>(answer(&topic, &grants))
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
        answer: impl FnOnce(&Topic, &[Grant]) -> UpdateTopicResponse + Send,
    ) -> Result<UpdateTopicResponse, EventsError> {
        let scope = caller.scope(MANAGE);
        let write = WriteRequest::by(caller, MANAGE, UPDATE, request_id, body);
        let mut changed = None;
        let written = self
            .database
            .write(write, async |unit| {
                let found = topics::lock(unit.conn(), topic_id, &scope).await?;
                let mut topic = found.ok_or(EventsError::TopicNotFound)?;
                caller.require(MANAGE, &Resource::of_unit(topic.unit_id))?;
                if topic.version.to_string() != body.etag {
                    return Err(EventsError::StaleEtag);
                }
                if change
                    .schema_version
                    .is_some_and(|version| version < topic.schema_version)
                {
                    return Err(EventsError::Field {
                        field: "schema_version",
                        vi: "không được nhỏ hơn phiên bản hiện tại",
                        en: "must not be below the present version",
                    });
                }
                topic.schema = change.schema.unwrap_or(topic.schema);
                topic.schema_version = change.schema_version.unwrap_or(topic.schema_version);
                topic.max_age = change.max_age.unwrap_or(topic.max_age);
                topic.max_bytes = change.max_bytes.unwrap_or(topic.max_bytes);
                topic.version += 1;
                topics::update(unit.conn(), &topic).await?;
                topics::grant(unit.conn(), &topic, &change.grants).await?;
                let grants = topics::grants(unit.conn(), topic.id, &scope).await?;
                record(unit, &topic, &grants, "event_topic_changed");
                changed = Some(topic.clone());
                Ok::<_, EventsError>(answer(&topic, &grants))
            })
            .await?;
        if let Some(topic) = changed {
            self.store.open_topic(&topic.spec()).await?;
        }
        Ok(written.into_answer())
    }

    /// A page of the topics that the caller sees, each with its grants where the caller may manage it.
    pub(crate) async fn list_topics(
        &self,
        caller: &Caller,
        request: &ListTopicsRequest,
    ) -> Result<(Vec<(Topic, Vec<Grant>)>, String), EventsError> {
        let filter = ListTopicsRequest {
            page_size: 0,
            page_token: String::new(),
            ..request.clone()
        };
        let binding = PageBinding::of(caller, LIST, &filter);
        let page = self
            .database
            .page_tokens()
            .page::<String>(request.page_size, &request.page_token, binding)?;
        let (scope, managed) = (caller.scope(USE), caller.scope(MANAGE));
        let name = (!request.name.is_empty()).then_some(request.name.as_str());
        let rows = self
            .database
            .read(&scope, async |conn| {
                let found = topics::list(conn, name, page.after().map(String::as_str), page.fetch(), &scope).await?;
                let mut rows = Vec::with_capacity(found.len());
                for topic in found {
                    let grants = topics::grants(conn, topic.id, &managed).await?;
                    rows.push((topic, grants));
                }
                Ok::<_, EventsError>(rows)
            })
            .await?;
        Ok(page.finish(rows, |(topic, _)| topic.name.clone())?)
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
                return Ok::<_, EventsError>(topic);
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
            };
            if !topics::insert(unit.conn(), &topic).await? {
                return Err(EventsError::TopicNameTaken);
            }
            topics::grant(unit.conn(), &topic, &[grant]).await?;
            record(unit, &topic, &[grant], "event_topic_created");
            Ok(topic)
        })
        .await
        .map_err(Fault::from)?;
    store.open_topic(&topic.spec()).await?;
    Ok(topic.id)
}

/// The event and the leaf of a change.
fn record(unit: &mut UnitOfWork<'_>, topic: &Topic, grants: &[Grant], kind: &'static str) {
    unit.publish(Event {
        aggregate_kind: "event_topic",
        aggregate_id: topic.id,
        version: topic.version,
        kind,
        payload: serde_json::json!({ "name": topic.name, "unit_id": topic.unit_id }),
    });
    let grants: Vec<_> = grants
        .iter()
        .map(|grant| serde_json::json!([grant.client, grant.publish, grant.subscribe]))
        .collect();
    let canonical = serde_json::json!({
        "topic_id": topic.id,
        "name": topic.name,
        "unit_id": topic.unit_id,
        "schema": topic.schema,
        "schema_version": topic.schema_version,
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
