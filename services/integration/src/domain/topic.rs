//! Topics and subscriptions: what may be asked of them.

use std::time::Duration;

use egov_events::{Backoff, CloudEvent, StartAt, SubscriptionSpec, TopicSpec};
use jiff::Timestamp;
use jiff::civil::Date;
use serde::Deserialize;
use uuid::Uuid;

use super::terms::Problem;

/// How long events are kept where nobody says.
pub(crate) const DEFAULT_MAX_AGE: Duration = Duration::from_hours(7 * 24);
/// The longest time that events are kept: a year.
pub(crate) const LONGEST_MAX_AGE: Duration = Duration::from_hours(366 * 24);
/// How many bytes are kept where nobody says.
pub(crate) const DEFAULT_MAX_BYTES: i64 = 1 << 30;
/// How many subscriptions a system may have.
pub(crate) const MOST_SUBSCRIPTIONS: i64 = 200;
/// Of how many versions of its schemas a topic may know more than their number: they are read with every publication.
pub(crate) const MOST_VERSIONS: usize = 100;

/// A version of a schema of a topic of which more is known than its number: that it has a JSON Schema, or that its schema was replaced.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct SchemaVersion {
    pub(crate) uri: String,
    pub(crate) version: i32,
    /// Whether a JSON Schema judges the data of its events.
    pub(crate) judged: bool,
    /// The last day on which it is accepted; none of a schema that was not replaced.
    pub(crate) accept_until: Option<Date>,
}

/// By what the data of events is judged from a version of the schema on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Judging {
    /// By what judged before.
    #[default]
    AsBefore,
    /// By nothing.
    ByNothing,
    /// By a JSON Schema.
    By(String),
}

/// What is to become of a topic's schema; none leaves it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SchemaChange {
    pub(crate) uri: Option<String>,
    pub(crate) version: Option<i32>,
    pub(crate) judging: Judging,
    /// The last day on which the schema that is replaced is accepted.
    pub(crate) accept_earlier_until: Option<Date>,
}

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
    /// The versions of its schemas of which more is known than their number.
    pub(crate) versions: Vec<SchemaVersion>,
}

/// A topic as it is shown to whoever sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ShownTopic {
    pub(crate) topic: Topic,
    pub(crate) grants: Vec<Grant>,
    /// The JSON Schema of the present version, where it is shown.
    pub(crate) json_schema: Option<String>,
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
    /// an earlier one, or a schema that was replaced, until its last day (publishers are not all upgraded at once). Which schema and
    /// version it is; none if it is not of this topic, or not any more.
    pub(crate) fn fit(&self, event: &mut CloudEvent, today: Date) -> Option<(&str, i32)> {
        let present = (self.schema.as_str(), self.schema_version);
        let Some(named) = &event.data_schema else {
            event.data_schema = Some(self.schema_of(self.schema_version));
            return Some(present);
        };
        let earlier = self.versions.iter().filter(|one| {
            let accepted = one.accept_until.is_some_and(|last| today <= last);
            accepted && one.uri != self.schema
        });
        let earlier = earlier.map(|one| (one.uri.as_str(), one.version));
        std::iter::once(present).chain(earlier).find_map(|(uri, last)| {
            let version = version_of(named, uri)?;
            (version <= last).then_some((uri, version))
        })
    }

    /// Whether a JSON Schema judges the data of events of this version of a schema.
    pub(crate) fn is_judged(&self, uri: &str, version: i32) -> bool {
        self.versions
            .iter()
            .any(|one| one.judged && one.version == version && one.uri == uri)
    }

    /// Schemas that were replaced: the last version of each and until when they are accepted.
    pub(crate) fn replaced(&self) -> Vec<(&str, i32, Date)> {
        let mut replaced: Vec<(&str, i32, Date)> = Vec::new();
        for one in &self.versions {
            let Some(until) = one.accept_until.filter(|_| one.uri != self.schema) else {
                continue;
            };
            match replaced.iter_mut().find(|(uri, ..)| *uri == one.uri) {
                Some((_, version, _)) => *version = one.version.max(*version),
                None => replaced.push((&one.uri, one.version, until)),
            }
        }
        replaced
    }

    /// Goes over to another schema or version. Otherwise everything that is wrong with the change, and nothing is changed.
    pub(crate) fn change_schema(&mut self, change: &SchemaChange, today: Date) -> Result<(), Vec<Problem>> {
        let uri = change.uri.as_ref().unwrap_or(&self.schema).clone();
        let version = change.version.unwrap_or(self.schema_version);
        let replaces = uri != self.schema;
        let moves = replaces || version != self.schema_version;
        let mut problems = Vec::new();
        let mut wrong = |field, vi, en| problems.push(Problem::new(field, vi, en));
        if version < self.schema_version {
            wrong(
                "schema_version",
                "không được nhỏ hơn phiên bản hiện tại",
                "must not be below the present version",
            );
        }
        match change.accept_earlier_until {
            None if replaces => wrong(
                "accept_earlier_until",
                "phải nêu ngày cuối cùng còn nhận sự kiện theo lược đồ bị thay",
                "must name the last day on which the schema that is replaced is accepted",
            ),
            Some(_) if !replaces => wrong(
                "accept_earlier_until",
                "chỉ nêu khi thay bằng lược đồ khác",
                "stands only with another schema",
            ),
            Some(last) if last < today => wrong(
                "accept_earlier_until",
                "không được trước ngày hôm nay",
                "must not be before today",
            ),
            _ => {}
        }
        if change.judging != Judging::AsBefore && !moves {
            wrong(
                "json_schema",
                "chỉ kèm theo phiên bản khác: lược đồ của một phiên bản không thay đổi",
                "stands only with another version: that of a version does not change",
            );
        }
        // What came back once its versions had been used would be judged by what they were judged by.
        let used = self.versions.iter().filter(|one| moves && one.uri == uri);
        if used.map(|one| one.version).max() >= Some(version) {
            wrong(
                "schema_version",
                "phiên bản này của lược đồ đã được dùng; hãy nêu số lớn hơn",
                "this version of the schema was used before: name a higher one",
            );
        }
        let more = if replaces { 2 } else { 1 };
        if moves && self.versions.len() + more > MOST_VERSIONS {
            wrong(
                "schema_version",
                "chủ đề đã có quá nhiều phiên bản lược đồ; hãy lập chủ đề mới",
                "the topic has had too many versions: make another topic",
            );
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        if !moves {
            return Ok(());
        }
        let judges = match change.judging {
            Judging::AsBefore => self.is_judged(&self.schema, self.schema_version),
            Judging::ByNothing => false,
            Judging::By(_) => true,
        };
        if replaces {
            // So that the last version of what is replaced stays known.
            self.know(self.schema.clone(), self.schema_version, false);
            for one in &mut self.versions {
                if one.uri == self.schema {
                    one.accept_until = change.accept_earlier_until;
                } else if one.uri == uri {
                    one.accept_until = None;
                }
            }
        }
        if judges {
            self.know(uri.clone(), version, true);
        }
        (self.schema, self.schema_version) = (uri, version);
        Ok(())
    }

    /// Keeps a version, unless it is known.
    pub(crate) fn know(&mut self, uri: String, version: i32, judged: bool) {
        let known = self.versions.iter().any(|one| one.uri == uri && one.version == version);
        if !known {
            self.versions.push(SchemaVersion {
                uri,
                version,
                judged,
                accept_until: None,
            });
        }
    }
}

/// The version that an event's `dataschema` names of a schema.
fn version_of(named: &str, uri: &str) -> Option<i32> {
    let number = named.strip_prefix(uri)?.strip_prefix("/v")?;
    let version: i32 = number.parse().ok()?;
    // As it is written here, and in no other way.
    (version > 0 && version.to_string() == number).then_some(version)
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
pub(crate) mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;

    /// An event that names a schema.
    pub(crate) fn event(schema: Option<&str>) -> CloudEvent {
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

    fn topic() -> Topic {
        Topic {
            id: Uuid::nil(),
            name: "t".to_owned(),
            unit_id: 1,
            schema: "urn:x".to_owned(),
            schema_version: 2,
            max_age: DEFAULT_MAX_AGE,
            max_bytes: 1,
            version: 1,
            create_time: Timestamp::UNIX_EPOCH,
            versions: Vec::new(),
        }
    }

    const TODAY: Date = date(2026, 11, 23);

    fn fits(topic: &Topic, schema: &str, today: Date) -> Option<i32> {
        topic.fit(&mut event(Some(schema)), today).map(|(_, version)| version)
    }

    fn wrong(topic: &Topic, change: &SchemaChange) -> Vec<String> {
        let mut changed = topic.clone();
        let problems = changed.change_schema(change, TODAY).err().unwrap_or_default();
        if !problems.is_empty() {
            assert_eq!(changed, *topic, "nothing is changed");
        }
        problems.into_iter().map(|problem| problem.field).collect()
    }

    #[test]
    fn an_event_has_the_present_schema_or_an_earlier_one_and_none_to_come() {
        let topic = topic();
        let mut silent = event(None);
        assert_eq!(topic.fit(&mut silent, TODAY), Some(("urn:x", 2)));
        assert_eq!(silent.data_schema.as_deref(), Some("urn:x/v2"));
        assert_eq!(fits(&topic, "urn:x/v1", TODAY), Some(1));
        for wrong in [
            "urn:x/v3",
            "urn:x/v0",
            "urn:x/v01",
            "urn:x/v+1",
            "urn:x",
            "urn:y/v1",
            "urn:x/v",
            "urn:x/v1/v1",
        ] {
            assert_eq!(fits(&topic, wrong, TODAY), None, "{wrong}");
        }
    }

    #[test]
    fn a_schema_that_was_replaced_is_accepted_until_the_day_that_the_change_named() {
        let mut topic = topic();
        let replace = |uri: &str, version: i32, day| SchemaChange {
            uri: Some(uri.to_owned()),
            version: Some(version),
            accept_earlier_until: Some(day),
            ..SchemaChange::default()
        };
        let last = date(2026, 12, 31);
        topic.change_schema(&replace("urn:y", 3, last), TODAY).unwrap();
        assert_eq!(topic.replaced(), [("urn:x", 2, last)]);
        assert_eq!(fits(&topic, "urn:y/v3", TODAY), Some(3));
        for version in 1..=2 {
            let named = format!("urn:x/v{version}");
            assert_eq!(fits(&topic, &named, last), Some(version));
            assert_eq!(fits(&topic, &named, last.tomorrow().unwrap()), None);
        }
        assert_eq!(fits(&topic, "urn:x/v3", TODAY), None, "it never had this version");
        // A third one, and back to the first: its versions go on.
        topic.change_schema(&replace("urn:z", 3, TODAY), TODAY).unwrap();
        assert_eq!(topic.replaced(), [("urn:x", 2, last), ("urn:y", 3, TODAY)]);
        assert_eq!(
            fits(&topic, "urn:x/v1", TODAY),
            Some(1),
            "the day of the first change still counts"
        );
        topic.change_schema(&replace("urn:x", 4, last), TODAY).unwrap();
        assert_eq!(
            fits(&topic, "urn:x/v2", date(2099, 1, 1)),
            Some(2),
            "it is the present one"
        );
        assert_eq!(topic.replaced(), [("urn:y", 3, TODAY), ("urn:z", 3, last)]);
    }

    #[test]
    fn a_change_that_contradicts_itself_is_refused_with_every_problem() {
        let mut topic = topic();
        topic.know("urn:x".to_owned(), 2, true);
        let change = |uri: Option<&str>, version, judging, accept_earlier_until| SchemaChange {
            uri: uri.map(str::to_owned),
            version,
            judging,
            accept_earlier_until,
        };
        let (before, judge) = (|| Judging::AsBefore, || Judging::By("{}".to_owned()));
        assert_eq!(
            wrong(&topic, &change(Some("urn:y"), Some(1), before(), None)),
            ["schema_version", "accept_earlier_until"]
        );
        assert_eq!(
            wrong(&topic, &change(None, None, judge(), Some(TODAY))),
            ["accept_earlier_until", "json_schema"]
        );
        let yesterday = TODAY.yesterday().unwrap();
        assert_eq!(
            wrong(&topic, &change(Some("urn:y"), None, before(), Some(yesterday))),
            ["accept_earlier_until"]
        );
        assert_eq!(
            wrong(&topic, &change(None, Some(3), judge(), None)),
            Vec::<String>::new()
        );
        assert_eq!(wrong(&topic, &SchemaChange::default()), Vec::<String>::new());
        topic
            .change_schema(&change(Some("urn:y"), None, before(), Some(TODAY)), TODAY)
            .unwrap();
        assert!(topic.is_judged("urn:y", 2), "what judged before judges on");
        assert_eq!(
            wrong(&topic, &change(Some("urn:x"), None, before(), Some(TODAY))),
            ["schema_version"],
            "what judged its events then is not known to whoever names it now"
        );
        topic
            .change_schema(&change(None, Some(3), Judging::ByNothing, None), TODAY)
            .unwrap();
        assert!(!topic.is_judged("urn:y", 3) && topic.is_judged("urn:y", 2));
        for version in 4..200 {
            let _ = topic.change_schema(&change(None, Some(version), judge(), None), TODAY);
        }
        assert_eq!(topic.versions.len(), MOST_VERSIONS);
    }

    proptest! {
        #[test]
        fn whatever_an_event_names_it_fits_as_what_it_is_written_as_or_not_at_all(
            named in "urn:[xy]/v[0-9]{0,3}|\\PC{0,20}",
            days in 0_i64..60,
        ) {
            let mut topic = topic();
            let change = SchemaChange {
                uri: Some("urn:y".to_owned()),
                accept_earlier_until: Some(date(2026, 12, 23)),
                ..SchemaChange::default()
            };
            topic.change_schema(&change, TODAY).unwrap();
            let today = TODAY.checked_add(jiff::Span::new().days(days)).unwrap();
            let mut event = event(Some(&named));
            if let Some((uri, version)) = topic.fit(&mut event, today) {
                prop_assert_eq!(&named, &format!("{uri}/v{version}"));
                prop_assert!(uri == "urn:y" || days <= 30);
                prop_assert!((1..=2).contains(&version));
            }
            prop_assert_eq!(event.data_schema, Some(named));
        }
    }
}
