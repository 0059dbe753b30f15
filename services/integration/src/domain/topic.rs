//! Topics and subscriptions: what may be asked of them.

use std::time::Duration;

use egov_events::{Backoff, CloudEvent, StartAt, SubscriptionSpec, TopicSpec};
use jiff::Timestamp;
use uuid::Uuid;

/// How long events are kept where nobody says.
pub(crate) const DEFAULT_MAX_AGE: Duration = Duration::from_hours(7 * 24);
/// The longest time that events are kept: a year.
pub(crate) const LONGEST_MAX_AGE: Duration = Duration::from_hours(366 * 24);
/// How many bytes are kept where nobody says.
pub(crate) const DEFAULT_MAX_BYTES: i64 = 1 << 30;
/// How many subscriptions a system may have.
pub(crate) const MOST_SUBSCRIPTIONS: i64 = 200;

/// A topic (chủ đề).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Topic {
    pub(crate) id: Uuid,
    pub(crate) name: String,
    pub(crate) unit_id: i32,
    pub(crate) schema: String,
    pub(crate) schema_version: i32,
    pub(crate) max_age: Duration,
    pub(crate) max_bytes: i64,
    pub(crate) version: i64,
    pub(crate) create_time: Timestamp,
}

impl Topic {
    /// What the store must know.
    pub(crate) fn spec(&self) -> TopicSpec {
        TopicSpec {
            id: self.id,
            max_age: self.max_age,
            max_bytes: self.max_bytes,
        }
    }

    /// The schema of a version, as an event's `dataschema` names it.
    fn schema_of(&self, version: i32) -> String {
        format!("{}/v{version}", self.schema)
    }

    /// Takes an event in: without a schema it gets the present one; one that it names must be of this topic, the present version or
    /// an earlier one (publishers are not all upgraded at once).
    pub(crate) fn fit(&self, event: &mut CloudEvent) -> bool {
        match &event.data_schema {
            None => {
                event.data_schema = Some(self.schema_of(self.schema_version));
                true
            }
            Some(named) => (1..=self.schema_version).any(|version| *named == self.schema_of(version)),
        }
    }
}

/// What a system may do with a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) client: Uuid,
    pub(crate) publish: bool,
    pub(crate) subscribe: bool,
}

/// How a subscription is fed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The subscriber fetches.
    Pull,
    /// We send.
    Webhook,
}

impl Mode {
    pub(crate) const fn code(self) -> i16 {
        match self {
            Self::Pull => 1,
            Self::Webhook => 2,
        }
    }

    pub(crate) const fn of(code: i16) -> Self {
        if code == 2 { Self::Webhook } else { Self::Pull }
    }
}

/// A subscription (đăng ký nhận).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Subscription {
    pub(crate) id: Uuid,
    pub(crate) topic: Uuid,
    pub(crate) owner: Uuid,
    pub(crate) unit_id: i32,
    pub(crate) name: String,
    pub(crate) mode: Mode,
    /// Where it begins.
    pub(crate) start: StartAt,
    pub(crate) types: Vec<String>,
    pub(crate) max_in_flight: u32,
    pub(crate) acknowledge_within: Duration,
    pub(crate) max_attempts: u32,
    pub(crate) webhook_url: Option<String>,
    pub(crate) webhook_secret: Option<Vec<u8>>,
    pub(crate) create_time: Timestamp,
}

impl Subscription {
    /// What the store must know. If the store does not have the subscription yet (this process died between the commit and the
    /// store's own step), it begins where it was asked to, and one of new events at the instant at which it was made.
    pub(crate) fn spec(&self) -> SubscriptionSpec {
        let start = match self.start {
            StartAt::New => StartAt::Time(self.create_time),
            start => start,
        };
        SubscriptionSpec {
            start,
            ..self.first_spec()
        }
    }

    /// The same, for the store's step right after the commit: new events are those that come after it.
    pub(crate) fn first_spec(&self) -> SubscriptionSpec {
        SubscriptionSpec {
            id: self.id,
            topic: self.topic,
            start: self.start,
            types: self.types.clone(),
            max_in_flight: self.max_in_flight,
            acknowledge_within: self.acknowledge_within,
            max_attempts: self.max_attempts,
            backoff: Backoff::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(schema: Option<&str>) -> CloudEvent {
        CloudEvent {
            id: "1".to_owned(),
            source: "/s".to_owned(),
            kind: "t".to_owned(),
            subject: None,
            time: None,
            data_content_type: None,
            data_schema: schema.map(str::to_owned),
            partition_key: None,
            epoch: None,
            data: Vec::new().into(),
        }
    }

    #[test]
    fn an_event_has_the_present_schema_or_an_earlier_one_and_none_to_come() {
        let topic = Topic {
            id: Uuid::nil(),
            name: "t".to_owned(),
            unit_id: 1,
            schema: "urn:x".to_owned(),
            schema_version: 2,
            max_age: DEFAULT_MAX_AGE,
            max_bytes: 1,
            version: 1,
            create_time: Timestamp::UNIX_EPOCH,
        };
        let mut silent = event(None);
        assert!(topic.fit(&mut silent));
        assert_eq!(silent.data_schema.as_deref(), Some("urn:x/v2"));
        assert!(topic.fit(&mut event(Some("urn:x/v1"))));
        for wrong in ["urn:x/v3", "urn:x/v0", "urn:x", "urn:y/v1"] {
            assert!(!topic.fit(&mut event(Some(wrong))), "{wrong}");
        }
    }
}
