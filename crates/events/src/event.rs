//! The envelope: CloudEvents 1.0 in protobuf and in JSON.

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use egov_proto::egov::integration::v1 as proto;
use egov_proto::{instant, timestamp};
use jiff::Timestamp;
use prost::Message as _;
use serde_json::{Map, Value};
use uuid::Uuid;

/// The most bytes of data in an event.
pub const MAX_DATA_BYTES: usize = 256 * 1024;

const VERSION: &str = "1.0";

/// One event (CloudEvents 1.0, with the extensions `partitionkey` and `epoch`). It carries ids, codes and states, never personal
/// data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloudEvent {
    /// Unique within its source.
    pub id: String,
    /// Where it happened: a URI reference.
    pub source: String,
    /// What happened.
    pub kind: String,
    /// What it is about.
    pub subject: Option<String>,
    /// When it happened.
    pub time: Option<Timestamp>,
    /// The media type of the data; JSON if there is none.
    pub data_content_type: Option<String>,
    /// The schema of the data: a URI reference.
    pub data_schema: Option<String>,
    /// Events of one key are delivered in their order.
    pub partition_key: Option<String>,
    /// The epoch of the database where it was numbered.
    pub epoch: Option<i32>,
    /// The data.
    pub data: Bytes,
}

/// Why something is not an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventError {
    /// The attribute, by its name in CloudEvents.
    pub attribute: &'static str,
    /// What is wrong, in Vietnamese.
    pub vi: &'static str,
    /// What is wrong, in English.
    pub en: &'static str,
}

impl std::fmt::Display for EventError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.attribute, self.en)
    }
}

impl std::error::Error for EventError {}

const fn wrong(attribute: &'static str, vi: &'static str, en: &'static str) -> EventError {
    EventError { attribute, vi, en }
}

impl CloudEvent {
    /// Checks what the specification and our limits say of the attributes.
    pub fn check(&self) -> Result<(), EventError> {
        required("id", &self.id, 128)?;
        required("source", &self.source, 256)?;
        required("type", &self.kind, 256)?;
        uri_reference("source", &self.source)?;
        optional("subject", self.subject.as_deref(), 256)?;
        optional("datacontenttype", self.data_content_type.as_deref(), 128)?;
        optional("dataschema", self.data_schema.as_deref(), 512)?;
        if let Some(schema) = &self.data_schema {
            uri_reference("dataschema", schema)?;
        }
        optional("partitionkey", self.partition_key.as_deref(), 128)?;
        if self.epoch.is_some_and(|epoch| epoch < 1) {
            return Err(wrong("epoch", "phải từ 1 trở lên", "must be at least 1"));
        }
        if self.data.len() > MAX_DATA_BYTES {
            return Err(wrong("data", "lớn hơn 256 KiB", "is larger than 256 KiB"));
        }
        if self.is_json()
            && !self.data.is_empty()
            && serde_json::from_slice::<serde::de::IgnoredAny>(&self.data).is_err()
        {
            return Err(wrong(
                "data",
                "không phải là JSON",
                "is not JSON, which its content type says",
            ));
        }
        Ok(())
    }

    /// Whether the data is JSON by its content type.
    pub fn is_json(&self) -> bool {
        self.data_content_type.as_deref().is_none_or(|media| {
            let essence = media.split(';').next().unwrap_or_default().trim();
            essence.eq_ignore_ascii_case("application/json") || essence.to_ascii_lowercase().ends_with("+json")
        })
    }

    /// By what the same event is known again: the first half of SHA-256 over source and id.
    pub fn dedupe(&self) -> Uuid {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(&(self.source.len() as u64).to_be_bytes());
        context.update(self.source.as_bytes());
        context.update(self.id.as_bytes());
        let mut half = [0; 16];
        for (to, from) in half.iter_mut().zip(context.finish().as_ref()) {
            *to = *from;
        }
        Uuid::from_bytes(half)
    }

    /// As it is stored.
    pub fn encode(&self) -> Vec<u8> {
        proto::CloudEvent::from(self.clone()).encode_to_vec()
    }

    /// From what was stored.
    pub fn decode(bytes: &[u8]) -> Result<Self, EventError> {
        let damaged = |_| wrong("event", "không đọc được", "is not an encoded event");
        Self::try_from(proto::CloudEvent::decode(bytes).map_err(damaged)?)
    }

    /// In the JSON format of CloudEvents (structured mode): data that is JSON stands as it is, other data in `data_base64`.
    pub fn to_json(&self) -> Value {
        let mut json = Map::new();
        let mut put = |name: &str, value: Option<&String>| {
            if let Some(value) = value {
                json.insert(name.to_owned(), Value::String(value.clone()));
            }
        };
        put("specversion", Some(&VERSION.to_owned()));
        put("id", Some(&self.id));
        put("source", Some(&self.source));
        put("type", Some(&self.kind));
        put("subject", self.subject.as_ref());
        put("time", self.time.map(|time| time.to_string()).as_ref());
        put("datacontenttype", self.data_content_type.as_ref());
        put("dataschema", self.data_schema.as_ref());
        put("partitionkey", self.partition_key.as_ref());
        if let Some(epoch) = self.epoch {
            json.insert("epoch".to_owned(), Value::from(epoch));
        }
        if !self.data.is_empty() {
            match serde_json::from_slice(&self.data) {
                Ok(data) if self.is_json() => json.insert("data".to_owned(), data),
                _ => json.insert("data_base64".to_owned(), Value::String(STANDARD.encode(&self.data))),
            };
        }
        Value::Object(json)
    }

    /// From the JSON format of CloudEvents. Extensions that we do not know are passed by.
    pub fn from_json(bytes: &[u8]) -> Result<Self, EventError> {
        let Ok(Value::Object(mut json)) = serde_json::from_slice(bytes) else {
            return Err(wrong("event", "không phải là đối tượng JSON", "is not a JSON object"));
        };
        let mut text = |name: &'static str| match json.remove(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(wrong(name, "phải là chuỗi ký tự", "must be a string")),
        };
        if text("specversion")?.as_deref() != Some(VERSION) {
            return Err(wrong("specversion", "phải là 1.0", "must be 1.0"));
        }
        let (id, source, kind) = (text("id")?, text("source")?, text("type")?);
        let (subject, time) = (text("subject")?, text("time")?);
        let (data_content_type, data_schema) = (text("datacontenttype")?, text("dataschema")?);
        let (partition_key, base64) = (text("partitionkey")?, text("data_base64")?);
        let epoch = match json.remove("epoch") {
            None | Some(Value::Null) => None,
            Some(number) => Some(
                number
                    .as_i64()
                    .and_then(|number| i32::try_from(number).ok())
                    .ok_or(wrong("epoch", "phải là số nguyên", "must be an integer of 32 bits"))?,
            ),
        };
        let time = time
            .map(|time| {
                time.parse()
                    .map_err(|_| wrong("time", "không phải là thời điểm RFC 3339", "is no RFC 3339 instant"))
            })
            .transpose()?;
        let mut event = Self {
            id: id.unwrap_or_default(),
            source: source.unwrap_or_default(),
            kind: kind.unwrap_or_default(),
            subject,
            time,
            data_content_type,
            data_schema,
            partition_key,
            epoch,
            data: Bytes::new(),
        };
        event.data = match (json.remove("data"), base64) {
            (Some(_), Some(_)) => {
                return Err(wrong(
                    "data",
                    "chỉ được có một trong data và data_base64",
                    "stands beside data_base64",
                ));
            }
            (None, None) => Bytes::new(),
            (None, Some(encoded)) => STANDARD
                .decode(encoded)
                .map_err(|_| wrong("data_base64", "không phải là base64", "is not base64"))?
                .into(),
            (Some(Value::String(text)), None) if !event.is_json() => text.into(),
            (Some(value), None) => value.to_string().into(),
        };
        event.check()?;
        Ok(event)
    }
}

fn required(attribute: &'static str, text: &str, most: usize) -> Result<(), EventError> {
    if text.is_empty() {
        return Err(wrong(attribute, "bắt buộc phải có", "is missing"));
    }
    optional(attribute, Some(text), most)
}

fn optional(attribute: &'static str, text: Option<&str>, most: usize) -> Result<(), EventError> {
    let Some(text) = text else { return Ok(()) };
    if text.is_empty() {
        return Err(wrong(attribute, "không được rỗng", "must not be empty"));
    }
    if text.chars().count() > most {
        return Err(wrong(attribute, "quá dài", "is too long"));
    }
    // CloudEvents 1.0, type String: no control characters, no noncharacters.
    if text
        .chars()
        .any(|c| c.is_control() || u32::from(c) & 0xFFFE == 0xFFFE || ('\u{FDD0}'..='\u{FDEF}').contains(&c))
    {
        return Err(wrong(attribute, "có ký tự điều khiển", "contains a control character"));
    }
    Ok(())
}

/// RFC 3986: the characters of a URI reference, and complete percent signs.
fn uri_reference(attribute: &'static str, text: &str) -> Result<(), EventError> {
    let not_uri = wrong(attribute, "không phải là URI", "is no URI reference");
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let fits = match byte {
            b'%' => {
                let hex = |digit: Option<u8>| digit.is_some_and(|digit| digit.is_ascii_hexdigit());
                hex(rest.next()) && hex(rest.next())
            }
            _ => byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=".contains(&byte),
        };
        if !fits {
            return Err(not_uri);
        }
    }
    Ok(())
}

impl From<CloudEvent> for proto::CloudEvent {
    fn from(event: CloudEvent) -> Self {
        Self {
            id: event.id,
            source: event.source,
            r#type: event.kind,
            subject: event.subject.unwrap_or_default(),
            time: event.time.map(timestamp),
            data_content_type: event.data_content_type.unwrap_or_default(),
            data_schema: event.data_schema.unwrap_or_default(),
            partition_key: event.partition_key.unwrap_or_default(),
            epoch: event.epoch.unwrap_or_default(),
            data: event.data,
        }
    }
}

impl TryFrom<proto::CloudEvent> for CloudEvent {
    type Error = EventError;

    fn try_from(event: proto::CloudEvent) -> Result<Self, EventError> {
        let given = |text: String| (!text.is_empty()).then_some(text);
        let time = match &event.time {
            None => None,
            Some(time) => Some(instant(time).ok_or(wrong("time", "nằm ngoài lịch", "lies outside the calendar"))?),
        };
        let event = Self {
            id: event.id,
            source: event.source,
            kind: event.r#type,
            subject: given(event.subject),
            time,
            data_content_type: given(event.data_content_type),
            data_schema: given(event.data_schema),
            partition_key: given(event.partition_key),
            epoch: (event.epoch != 0).then_some(event.epoch),
            data: event.data,
        };
        event.check()?;
        Ok(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn event() -> CloudEvent {
        CloudEvent {
            id: "A234-1234-1234".to_owned(),
            source: "/egov/onestop".to_owned(),
            kind: "vn.egov.onestop.case.accepted".to_owned(),
            subject: None,
            time: None,
            data_content_type: None,
            data_schema: None,
            partition_key: None,
            epoch: None,
            data: Bytes::new(),
        }
    }

    /// The examples of the specification (CloudEvents 1.0.2, JSON event format, section 3.2).
    #[test]
    fn the_examples_of_the_specification_are_read() {
        let binary =
            br#"{"specversion":"1.0","type":"com.example.someevent","source":"/mycontext","id":"A234-1234-1234",
            "time":"2018-04-05T17:31:00Z","comexampleextension1":"value","comexampleothervalue":5,
            "datacontenttype":"application/vnd.apache.thrift.binary","data_base64":"YWJj"}"#;
        let read = CloudEvent::from_json(binary).unwrap();
        assert_eq!(&read.data[..], b"abc");
        assert_eq!(read.time, Some("2018-04-05T17:31:00Z".parse().unwrap()));
        let text =
            br#"{"specversion":"1.0","type":"t","source":"/mycontext","id":"1","datacontenttype":"application/xml",
            "data":"<much wow=\"xml\"/>"}"#;
        assert_eq!(&CloudEvent::from_json(text).unwrap().data[..], br#"<much wow="xml"/>"#);
        let json = br#"{"specversion":"1.0","type":"t","source":"/mycontext","id":"1","data":{"appinfoA":"abc"}}"#;
        assert_eq!(&CloudEvent::from_json(json).unwrap().data[..], br#"{"appinfoA":"abc"}"#);
    }

    #[test]
    fn what_breaks_the_specification_is_refused_with_its_attribute() {
        let base = event().to_json();
        let change = |name: &str, value: Value| {
            let mut json = base.clone();
            json[name] = value;
            CloudEvent::from_json(json.to_string().as_bytes())
                .unwrap_err()
                .attribute
        };
        assert_eq!(change("specversion", "0.3".into()), "specversion");
        assert_eq!(change("id", "".into()), "id");
        assert_eq!(change("id", 7.into()), "id");
        assert_eq!(change("source", "có dấu".into()), "source");
        assert_eq!(change("source", "/a%2".into()), "source");
        assert_eq!(change("type", "a\u{7}".into()), "type");
        assert_eq!(change("time", "hôm nay".into()), "time");
        assert_eq!(change("epoch", 0.into()), "epoch");
        assert_eq!(change("data_base64", "%".into()), "data_base64");
        let mut both = base.clone();
        both["data"] = 1.into();
        both["data_base64"] = "YWJj".into();
        assert_eq!(
            CloudEvent::from_json(both.to_string().as_bytes())
                .unwrap_err()
                .attribute,
            "data"
        );
    }

    #[test]
    fn the_same_id_of_two_sources_is_two_events() {
        let (one, mut other) = (event(), event());
        other.source = "/egov/identity".to_owned();
        assert_ne!(one.dedupe(), other.dedupe());
        other.source = "/egov/onestopA".to_owned();
        other.id = "234-1234-1234".to_owned();
        assert_ne!(one.dedupe(), other.dedupe(), "where the source ends matters");
    }

    fn word(most: usize) -> impl Strategy<Value = String> {
        proptest::collection::vec(proptest::char::ranges(vec!['!'..='~', 'À'..='ỹ'].into()), 1..most)
            .prop_map(String::from_iter)
    }

    prop_compose! {
        fn any_event()(
            id in word(40), source in "[a-zA-Z0-9:/._~-]{1,40}", kind in word(40),
            subject in proptest::option::of(word(40)),
            seconds in proptest::option::of(0_i64..4_000_000_000),
            key in proptest::option::of(word(40)), epoch in proptest::option::of(1_i32..),
            json in proptest::option::of(proptest::collection::btree_map("[a-z]{1,8}", any::<i64>(), 0..5)),
            raw in proptest::collection::vec(any::<u8>(), 0..64),
        ) -> CloudEvent {
            let (data_content_type, data) = match json {
                Some(map) => (None, serde_json::to_vec(&map).unwrap()),
                None => (Some("application/octet-stream".to_owned()), raw),
            };
            CloudEvent {
                id, source, kind, subject,
                time: seconds.map(|seconds| Timestamp::from_second(seconds).unwrap()),
                data_content_type, data_schema: None, partition_key: key, epoch, data: data.into(),
            }
        }
    }

    proptest! {
        #[test]
        fn an_event_survives_json_and_protobuf(event in any_event()) {
            prop_assert_eq!(event.check(), Ok(()));
            let json = event.to_json().to_string();
            prop_assert_eq!(&CloudEvent::from_json(json.as_bytes()).unwrap(), &event);
            prop_assert_eq!(&CloudEvent::decode(&event.encode()).unwrap(), &event);
        }

        #[test]
        fn any_bytes_are_read_or_refused_and_what_is_read_keeps_the_rules(bytes: Vec<u8>) {
            if let Ok(event) = CloudEvent::from_json(&bytes) {
                prop_assert_eq!(event.check(), Ok(()));
            }
            if let Ok(event) = CloudEvent::decode(&bytes) {
                prop_assert_eq!(event.check(), Ok(()));
            }
        }

        #[test]
        fn any_json_object_is_read_or_refused(
            names in proptest::collection::vec("specversion|id|source|type|time|data|data_base64|epoch|partitionkey|subject", 0..10),
            texts in proptest::collection::vec("1\\.0|[ -~]{0,12}", 10),
        ) {
            let object: Map<String, Value> = names.into_iter().zip(texts).map(|(name, text)| (name, Value::String(text))).collect();
            if let Ok(event) = CloudEvent::from_json(Value::Object(object).to_string().as_bytes()) {
                prop_assert_eq!(event.check(), Ok(()));
            }
        }
    }
}
