//! Publish.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use egov_auth::{Caller, RowScope};
use egov_clock::Clock as _;
use egov_events::{CloudEvent, Published};
use egov_fault::Fault;
use egov_proto::egov::integration::v1 as proto;
use uuid::Uuid;

use super::Events;
use super::subscriptions::NO_TOPIC_IN_STORE;
use super::topics::USE;
use crate::domain::data_schema::{DataSchema, MOST_PROBLEMS};
use crate::domain::topic::Topic;
use crate::error::Error;
use crate::store::topics;

/// How many JSON Schemas are kept ready.
const MOST_READY: usize = 256;

/// A version of a schema of a topic.
type Version = (Uuid, String, i32);

/// JSON Schemas that are ready to judge by. A version never changes, so that what is ready stays right.
#[derive(Debug, Default)]
pub(crate) struct DataSchemas(Mutex<HashMap<Version, Arc<DataSchema>>>);

impl DataSchemas {
    fn get(&self, version: &Version) -> Option<Arc<DataSchema>> {
        let ready = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ready.get(version).cloned()
    }

    fn keep(&self, version: Version, schema: Arc<DataSchema>) {
        let mut ready = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if ready.len() >= MOST_READY {
            // Whatever is asked for again is read again.
            ready.clear();
        }
        ready.insert(version, schema);
    }
}

impl Events {
    /// Stores events of a publisher that the topic knows.
    pub(crate) async fn publish(
        &self,
        caller: &Caller,
        topic_id: Uuid,
        events: Vec<proto::CloudEvent>,
    ) -> Result<Vec<Published>, Error> {
        let topic = self.topic_for_publishing(caller, topic_id).await?;
        let today = self.database.clock().today();
        let mut accepted = Vec::with_capacity(events.len());
        let mut judged = Vec::new();
        for (index, event) in events.into_iter().enumerate() {
            let mut event = CloudEvent::try_from(event).map_err(|error| Error::EventInvalid { index, error })?;
            let (uri, version) = topic
                .fit(&mut event, today)
                .ok_or(Error::EventSchemaMismatch { index })?;
            if topic.is_judged(uri, version) {
                let schema = self.data_schema((topic.id, uri.to_owned(), version)).await?;
                judged.push((index, schema, event.clone()));
            }
            accepted.push(event);
        }
        judge(judged).await?;
        match self.store.publish(topic.id, accepted.clone()).await {
            // The process died between the topic's commit and the store's own step.
            Err(fault) if fault.reason() == NO_TOPIC_IN_STORE => {
                self.store.open_topic(&topic.spec()).await?;
                Ok(self.store.publish(topic.id, accepted).await?)
            }
            outcome => Ok(outcome?),
        }
    }

    /// The JSON Schema of a version that has one.
    async fn data_schema(&self, version: Version) -> Result<Arc<DataSchema>, Error> {
        if let Some(ready) = self.data_schemas.get(&version) {
            return Ok(ready);
        }
        // That the caller sees the topic was found out before.
        let (topic, uri, number) = &version;
        let text = self
            .database
            .read(&RowScope::everything(), async |conn| {
                Ok::<_, Error>(topics::json_schema(conn, *topic, (uri.as_str(), *number)).await?)
            })
            .await?
            .ok_or_else(|| Fault::internal("a judged version has no JSON Schema"))?;
        let schema = DataSchema::read(&text, "json_schema")
            .map_err(|_| Fault::internal("the JSON Schema of a topic cannot be read any more"))?;
        let schema = Arc::new(schema);
        self.data_schemas.keep(version, Arc::clone(&schema));
        Ok(schema)
    }

    async fn topic_for_publishing(&self, caller: &Caller, topic_id: Uuid) -> Result<Topic, Error> {
        let scope = caller.scope(USE);
        let found = self
            .database
            .read(&scope, async |conn| {
                topics::get(conn, topic_id, caller.principal.subject, &scope)
                    .await
                    .map_err(Error::from)
            })
            .await?;
        match found {
            Some((topic, grant)) if grant.publish => Ok(topic),
            // Whose every grant was taken back knows nothing of the topic any more.
            Some((topic, grant)) if grant.subscribe || scope.all || scope.units.contains(&topic.unit_id) => {
                Err(Error::PublishingNotGranted)
            }
            _ => Err(Error::TopicNotFound),
        }
    }
}

/// Refuses a batch in which data is not what its schema asks for: all of it is looked at, beside the tasks that answer calls.
async fn judge(judged: Vec<(usize, Arc<DataSchema>, CloudEvent)>) -> Result<(), Error> {
    if judged.is_empty() {
        return Ok(());
    }
    let found = tokio::task::spawn_blocking(move || {
        let problems = judged
            .iter()
            .flat_map(|(index, schema, event)| schema.judge(*index, event));
        problems.take(MOST_PROBLEMS).collect::<Vec<_>>()
    });
    let problems = found.await.map_err(Fault::internal)?;
    if problems.is_empty() {
        Ok(())
    } else {
        Err(Error::EventDataRefused(problems))
    }
}
