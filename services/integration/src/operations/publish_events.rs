//! Publish.

use egov_auth::Caller;
use egov_events::{CloudEvent, Published};
use egov_proto::egov::integration::v1 as proto;
use uuid::Uuid;

use super::Events;
use super::topics::USE;
use crate::domain::topic::Topic;
use crate::event_error::EventsError;
use crate::store::topics;

impl Events {
    /// Stores events of a publisher that the topic knows.
    pub(crate) async fn publish(
        &self,
        caller: &Caller,
        topic_id: Uuid,
        events: Vec<proto::CloudEvent>,
    ) -> Result<Vec<Published>, EventsError> {
        let topic = self.topic_for_publishing(caller, topic_id).await?;
        let mut accepted = Vec::with_capacity(events.len());
        for (index, event) in events.into_iter().enumerate() {
            let mut event = CloudEvent::try_from(event).map_err(|error| EventsError::EventInvalid { index, error })?;
            if !topic.fit(&mut event) {
                return Err(EventsError::EventSchemaMismatch { index });
            }
            accepted.push(event);
        }
        match self.store.publish(topic.id, accepted.clone()).await {
            // The process died between the topic's commit and the store's own step.
            Err(fault) if fault.reason() == "TOPIC_NOT_FOUND" => {
                self.store.open_topic(&topic.spec()).await?;
                Ok(self.store.publish(topic.id, accepted).await?)
            }
            outcome => Ok(outcome?),
        }
    }

    async fn topic_for_publishing(&self, caller: &Caller, topic_id: Uuid) -> Result<Topic, EventsError> {
        let scope = caller.scope(USE);
        let found = self
            .database
            .read(&scope, async |conn| {
                topics::get(conn, topic_id, caller.principal.subject, &scope)
                    .await
                    .map_err(EventsError::from)
            })
            .await?;
        match found {
            Some((topic, grant)) if grant.publish => Ok(topic),
            // Whose every grant was taken back knows nothing of the topic any more.
            Some((topic, grant)) if grant.subscribe || scope.all || scope.units.contains(&topic.unit_id) => {
                Err(EventsError::PublishingNotGranted)
            }
            _ => Err(EventsError::TopicNotFound),
        }
    }
}
