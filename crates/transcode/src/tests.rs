//! The mapping and the bindings, against a second implementation of the JSON mapping (prost-reflect).

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use egov_fault::Violation;
use http::{HeaderMap, HeaderValue, Method, Request};
use http_body_util::{BodyExt as _, Full};
use proptest::prelude::*;
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value};
use serde_json::json;
use tower::ServiceExt as _;

use crate::Rest;
use crate::from_json::Reader;
use crate::plan::Messages;
use crate::to_json::{Unwritten, Writer};
use crate::wire::{Cursor, Raw};

const HERE: &str = env!("CARGO_MANIFEST_DIR");

static POOL: LazyLock<DescriptorPool> =
    LazyLock::new(|| compile(&[format!("{HERE}/tests/protos")], "egov/transcode/test/v1/test.proto"));

static MESSAGES: LazyLock<Messages> = LazyLock::new(|| Messages::compile(&POOL));

static REST: LazyLock<Arc<Rest>> = LazyLock::new(|| Arc::new(Rest::compile(&POOL, |_| true).unwrap()));

fn compile(folders: &[String], file: &str) -> DescriptorPool {
    let mut includes = folders.to_vec();
    includes.push(format!("{HERE}/../../proto"));
    let mut compiler = protox::Compiler::new(includes).unwrap();
    compiler.include_imports(true).include_source_info(true);
    compiler.open_files([file]).unwrap();
    DescriptorPool::decode(compiler.encode_file_descriptor_set().as_slice()).unwrap()
}

fn everything() -> MessageDescriptor {
    POOL.get_message_by_name("egov.transcode.test.v1.Everything").unwrap()
}

/// JSON to the binary form, by this crate.
fn read(json: &str) -> Result<Vec<u8>, Vec<Violation>> {
    let mut reader = Reader {
        messages: &MESSAGES,
        out: Vec::new(),
        violations: Vec::new(),
    };
    reader.message(
        MESSAGES.id("egov.transcode.test.v1.Everything").unwrap(),
        json.as_bytes(),
        &[],
    );
    if reader.violations.is_empty() {
        Ok(reader.out)
    } else {
        Err(reader.violations)
    }
}

/// The binary form to JSON, by this crate.
fn write(bytes: &[u8]) -> Option<String> {
    write_at_most(bytes, usize::MAX).ok()
}

fn write_at_most(bytes: &[u8], limit: usize) -> Result<String, Unwritten> {
    let mut writer = Writer::new(&MESSAGES, Vec::new(), limit);
    writer.message(MESSAGES.id("egov.transcode.test.v1.Everything").unwrap(), bytes)?;
    Ok(String::from_utf8(writer.out).unwrap())
}

/// JSON to a message, by the second implementation.
fn reference_read(json: &str) -> Result<DynamicMessage, String> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    DynamicMessage::deserialize(everything(), &mut deserializer).map_err(|error| format!("{error}: {json}"))
}

fn scalar(kind: &Kind) -> BoxedStrategy<Value> {
    match kind {
        Kind::Double => prop_oneof![any::<f64>(), Just(f64::INFINITY), Just(0.1)]
            .prop_filter("NaN is not equal to itself", |number| !number.is_nan())
            .prop_map(Value::F64)
            .boxed(),
        Kind::Float => prop_oneof![any::<f32>(), Just(f32::NEG_INFINITY), Just(0.1)]
            .prop_filter("NaN is not equal to itself", |number| !number.is_nan())
            .prop_map(Value::F32)
            .boxed(),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => any::<i32>().prop_map(Value::I32).boxed(),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => any::<i64>().prop_map(Value::I64).boxed(),
        Kind::Uint32 | Kind::Fixed32 => any::<u32>().prop_map(Value::U32).boxed(),
        Kind::Uint64 | Kind::Fixed64 => any::<u64>().prop_map(Value::U64).boxed(),
        Kind::Bool => any::<bool>().prop_map(Value::Bool).boxed(),
        Kind::String => "\\PC{0,8}|[\\x00-\\x1f\"\\\\/ạ😀]{0,4}".prop_map(Value::String).boxed(),
        Kind::Bytes => prop::collection::vec(any::<u8>(), 0..9)
            .prop_map(|bytes| Value::Bytes(bytes.into()))
            .boxed(),
        Kind::Enum(descriptor) if descriptor.full_name() == "google.protobuf.NullValue" => {
            Just(Value::EnumNumber(0)).boxed()
        }
        Kind::Enum(_) => prop_oneof![Just(0), Just(1), Just(2), Just(-1), Just(77)]
            .prop_map(Value::EnumNumber)
            .boxed(),
        Kind::Message(message) => self::message(message, 1).prop_map(Value::Message).boxed(),
    }
}

fn map_key(kind: &Kind) -> BoxedStrategy<MapKey> {
    match kind {
        Kind::Bool => any::<bool>().prop_map(MapKey::Bool).boxed(),
        Kind::Int64 => any::<i64>().prop_map(MapKey::I64).boxed(),
        _ => "\\PC{0,4}".prop_map(MapKey::String).boxed(),
    }
}

fn value(field: &FieldDescriptor, depth: u32) -> BoxedStrategy<Value> {
    let single = |kind: &Kind| match kind {
        Kind::Message(inner) => message(inner, depth + 1).prop_map(Value::Message).boxed(),
        other => scalar(other),
    };
    if let (true, Kind::Message(entry)) = (field.is_map(), field.kind()) {
        let keys = map_key(&entry.map_entry_key_field().kind());
        let values = single(&entry.map_entry_value_field().kind());
        prop::collection::hash_map(keys, values, 0..3)
            .prop_map(Value::Map)
            .boxed()
    } else if field.is_list() {
        prop::collection::vec(single(&field.kind()), 0..3)
            .prop_map(Value::List)
            .boxed()
    } else {
        single(&field.kind())
    }
}

fn with(descriptor: &MessageDescriptor, fields: Vec<(&str, Value)>) -> DynamicMessage {
    let mut message = DynamicMessage::new(descriptor.clone());
    for (name, value) in fields {
        message.set_field_by_name(name, value);
    }
    message
}

/// A message in which each field may be set.
fn message(descriptor: &MessageDescriptor, depth: u32) -> BoxedStrategy<DynamicMessage> {
    let descriptor = descriptor.clone();
    match descriptor.full_name() {
        "google.protobuf.Timestamp" => (-62_135_596_800_i64..=253_402_300_799, nanos())
            .prop_map(move |(seconds, nanos)| {
                with(
                    &descriptor,
                    vec![("seconds", Value::I64(seconds)), ("nanos", Value::I32(nanos))],
                )
            })
            .boxed(),
        "google.protobuf.Duration" => (0_i64..=315_576_000_000, nanos(), any::<bool>())
            .prop_map(move |(seconds, nanos, negative)| {
                let sign = if negative { -1 } else { 1 };
                with(
                    &descriptor,
                    vec![
                        ("seconds", Value::I64(seconds * i64::from(sign))),
                        ("nanos", Value::I32(nanos * sign)),
                    ],
                )
            })
            .boxed(),
        "google.protobuf.FieldMask" => prop::collection::vec("[a-z]{1,3}(_[a-z]{1,3}){0,2}(\\.[a-z]{1,3}){0,1}", 0..3)
            .prop_map(move |paths| {
                with(
                    &descriptor,
                    vec![("paths", Value::List(paths.into_iter().map(Value::String).collect()))],
                )
            })
            .boxed(),
        "google.protobuf.Any" => ("[a-z]{0,5}", any::<bool>())
            .prop_map(move |(name, nested)| {
                let inner = if nested {
                    "egov.transcode.test.v1.Nested"
                } else {
                    "google.protobuf.StringValue"
                };
                let of = POOL.get_message_by_name(inner).unwrap();
                let field = if nested { "name" } else { "value" };
                let bytes = with(&of, vec![(field, Value::String(name))]).encode_to_vec();
                with(
                    &descriptor,
                    vec![
                        ("type_url", Value::String(format!("type.googleapis.com/{inner}"))),
                        ("value", Value::Bytes(bytes.into())),
                    ],
                )
            })
            .boxed(),
        // Of what is not finite the second implementation writes null, which is no value at all.
        "google.protobuf.DoubleValue" => any::<f64>()
            .prop_filter("finite", |number| number.is_finite())
            .prop_map(move |number| with(&descriptor, vec![("value", Value::F64(number))]))
            .boxed(),
        "google.protobuf.FloatValue" => any::<f32>()
            .prop_filter("finite", |number| number.is_finite())
            .prop_map(move |number| with(&descriptor, vec![("value", Value::F32(number))]))
            .boxed(),
        "google.protobuf.Value" => {
            let structs = POOL.get_message_by_name("google.protobuf.Struct").unwrap();
            let lists = POOL.get_message_by_name("google.protobuf.ListValue").unwrap();
            let finite = any::<f64>().prop_filter("JSON has only these", |number| number.is_finite());
            let of = move |name: &'static str| {
                let descriptor = descriptor.clone();
                move |value| with(&descriptor, vec![(name, value)])
            };
            let leaf = prop_oneof![
                Just(Value::EnumNumber(0)).prop_map(of("null_value")),
                finite.prop_map(Value::F64).prop_map(of("number_value")),
                "\\PC{0,5}".prop_map(Value::String).prop_map(of("string_value")),
                any::<bool>().prop_map(Value::Bool).prop_map(of("bool_value")),
            ];
            if depth > 3 {
                leaf.boxed()
            } else {
                prop_oneof![
                    3 => leaf,
                    1 => message(&structs, depth + 1).prop_map(Value::Message).prop_map(of("struct_value")),
                    1 => message(&lists, depth + 1).prop_map(Value::Message).prop_map(of("list_value")),
                ]
                .boxed()
            }
        }
        _ => {
            let chance = if depth == 0 { 0.5 } else { 0.4 };
            let fields: Vec<_> = descriptor
                .fields()
                .filter(|field| depth < 3 || !matches!(field.kind(), Kind::Message(_)))
                .collect();
            // Side by side, not one within the other: the stack of a test is small.
            let values: Vec<_> = fields
                .iter()
                .map(|field| prop::option::weighted(chance, value(field, depth)))
                .collect();
            values
                .prop_map(move |values| {
                    let mut message = DynamicMessage::new(descriptor.clone());
                    for (field, value) in fields.iter().zip(values) {
                        if let Some(value) = value {
                            message.set_field(field, value);
                        }
                    }
                    message
                })
                .boxed()
        }
    }
}

fn nanos() -> impl Strategy<Value = i32> {
    prop_oneof![
        Just(0),
        (0..1000).prop_map(|millis| millis * 1_000_000),
        0..1_000_000_000
    ]
}

/// Whether two messages say the same: an empty list that was set is as good as none, which `==` does not know, and Debug of a
/// recursive type has no end.
fn same(one: &DynamicMessage, other: &DynamicMessage) -> bool {
    serde_json::to_value(one).unwrap() == serde_json::to_value(other).unwrap()
}

/// A message that a failing test can show: the descriptor of a recursive type has no end for Debug.
#[derive(Clone)]
struct Shown(DynamicMessage);

impl std::fmt::Debug for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&serde_json::to_string(&self.0).unwrap_or_default())
    }
}

/// Strategies of messages within messages go deep, and the stack of a test is small.
fn with_a_large_stack(test: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new()
        .stack_size(64 << 20)
        .spawn(test)
        .unwrap()
        .join()
        .unwrap();
}

#[test]
fn a_message_survives_the_way_to_json_and_back() {
    with_a_large_stack(|| {
        let config = ProptestConfig {
            failure_persistence: None,
            ..ProptestConfig::with_cases(200)
        };
        let mut runner = proptest::test_runner::TestRunner::new(config);
        let outcome = runner.run(&message(&everything(), 0).prop_map(Shown), |Shown(message)| {
            let bytes = message.encode_to_vec();
            let json = write(&bytes).unwrap();

            // What is written here is read there and here.
            prop_assert!(same(&reference_read(&json).unwrap(), &message), "{}", json);
            let again = read(&json)
                .map_err(|violations| format!("{violations:?}: {json}"))
                .unwrap();
            prop_assert!(
                same(
                    &DynamicMessage::decode(everything(), again.as_slice()).unwrap(),
                    &message
                ),
                "{}",
                json
            );

            // What is written there is read here.
            let theirs = serde_json::to_string(&message).unwrap();
            let again = read(&theirs)
                .map_err(|violations| format!("{violations:?}: {theirs}"))
                .unwrap();
            prop_assert!(
                same(
                    &DynamicMessage::decode(everything(), again.as_slice()).unwrap(),
                    &message
                ),
                "{}",
                theirs
            );
            Ok(())
        });
        if let Err(error) = outcome {
            panic!("{error}");
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn fields_in_any_order_and_in_parts_are_written_as_they_are_read(
        Shown(first) in message(&everything(), 1).prop_map(Shown),
        Shown(second) in message(&everything(), 1).prop_map(Shown),
    ) {
        // Two messages one after the other are their merger.
        let bytes = [second.encode_to_vec(), first.encode_to_vec()].concat();
        let merged = DynamicMessage::decode(everything(), bytes.as_slice()).unwrap();
        let json = write(&bytes).unwrap();
        // A merger may be no value of its type, a duration of two signs for example: the second implementation says so.
        let Ok(Ok(theirs)) = serde_json::to_string(&merged).map(|theirs| reference_read(&theirs)) else {
            return Ok(());
        };
        prop_assert!(same(&reference_read(&json).unwrap(), &theirs), "{}", json);
    }

    #[test]
    fn any_bytes_are_written_or_refused_and_the_json_is_valid(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        if let Some(json) = write(&bytes) {
            prop_assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok(), "{}", json);
        }
    }

    #[test]
    fn no_json_is_longer_than_it_may_be(bytes in prop::collection::vec(any::<u8>(), 0..80), limit in 0_usize..200) {
        match (write(&bytes), write_at_most(&bytes, limit)) {
            (Some(whole), Ok(json)) => {
                prop_assert!(json.len() <= limit);
                prop_assert_eq!(json, whole);
            }
            (Some(whole), Err(error)) => {
                prop_assert_eq!(error, Unwritten::TooLong(limit));
                // Parts that are copied count too.
                prop_assert!(whole.len() + bytes.len() > limit);
            }
            (None, written) => prop_assert!(written.is_err()),
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[\\[\\]{}\",:a-z0-9.eE+\\-\\\\ \\x00ạ]{0,40}") {
        if let Ok(bytes) = read(&text) {
            prop_assert!(DynamicMessage::decode(everything(), bytes.as_slice()).is_ok());
        }
    }

    #[test]
    fn any_value_in_any_field_is_taken_only_if_the_second_implementation_takes_it(
        field in prop::sample::select(everything().fields().map(|field| field.json_name().to_owned()).collect::<Vec<_>>()),
        value in any_json(),
    ) {
        let text = json!({ field: value }).to_string();
        if let Ok(bytes) = read(&text) {
            let ours = DynamicMessage::decode(everything(), bytes.as_slice());
            prop_assert!(ours.is_ok(), "what was taken cannot be decoded: {}", text);
            if let Ok(theirs) = reference_read(&text) {
                prop_assert!(same(&ours.unwrap(), &theirs), "{}", text);
            }
        }
    }
}

fn any_json() -> BoxedStrategy<serde_json::Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|flag| json!(flag)),
        any::<i64>().prop_map(|number| json!(number)),
        any::<f64>().prop_map(|number| json!(number)),
        prop::sample::select(vec![
            "",
            "1",
            "-1",
            "1.0",
            "1e3",
            "NaN",
            "Infinity",
            "true",
            "COLOUR_RED",
            "AAEC",
            "_-8",
            "1.5s",
            "-1.5s",
            "a,b.cD",
            "2026-11-23T08:00:00Z",
            "2026-11-23",
            "9999-12-31T23:59:59.999999999Z",
            "type.googleapis.com/x.Y",
        ])
        .prop_map(|text| json!(text)),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(|list| json!(list)),
            prop::collection::hash_map(
                prop::sample::select(vec![
                    "name", "next", "numbers", "text", "number", "1", "true", "@type", "x"
                ]),
                inner,
                0..3
            )
            .prop_map(|map: HashMap<&str, serde_json::Value>| json!(map)),
        ]
    })
    .boxed()
}

/// Field and rule of each violation.
fn broken(json: &str) -> Vec<String> {
    read(json)
        .unwrap_err()
        .into_iter()
        .map(|violation| {
            assert!(!violation.vi.is_empty() && !violation.en.is_empty());
            format!("{} {}", violation.field, violation.rule)
        })
        .collect()
}

#[test]
fn every_violation_is_named_with_its_path_and_not_only_the_first() {
    let json = r#"{
        "int32Value": 2147483648, "uint32_value": -1, "boolValue": "true", "stringValue": 5, "bytesValue": "!",
        "colour": "COLOUR_BLUE", "nested": {"name": 1, "next": {"next": {"numbers": [1, "x", 2.5]}}, "ghost": 1},
        "int32List": [1, null, "b"], "stringList": "a", "stringMap": {"k": 1}, "nestedMap": {"x": {}},
        "choiceText": "a", "choiceBool": true, "timestamp": "yesterday", "duration": "1m", "ghost": {"deep": [1]},
        "int64Value": 1.5, "doubleValue": "many", "floatValue": 1e300, "timestampList": [0], "any": {"@type": "x/y.Z"}
    }"#;
    assert_eq!(
        broken(json),
        [
            "int32_value rest.type",
            "uint32_value rest.type",
            "bool_value rest.type",
            "string_value rest.type",
            "bytes_value rest.type",
            "colour rest.type",
            "nested.name rest.type",
            "nested.next.next.numbers[1] rest.type",
            "nested.next.next.numbers[2] rest.type",
            "nested.ghost rest.unknown",
            "int32_list[1] rest.null",
            "int32_list[2] rest.type",
            "string_list rest.type",
            "string_map[\"k\"] rest.type",
            "nested_map[\"x\"] rest.type",
            "choice_bool rest.oneof",
            "timestamp rest.type",
            "duration rest.type",
            "ghost rest.unknown",
            "int64_value rest.type",
            "double_value rest.type",
            "float_value rest.type",
            "timestamp_list[0] rest.type",
            "any.@type rest.unknown",
        ]
    );
}

#[test]
fn what_is_no_object_or_no_json_is_said_of_the_body() {
    assert_eq!(broken("[1]"), ["body rest.type"]);
    assert_eq!(broken("null"), ["body rest.type"]);
    assert_eq!(broken("{\"int32Value\": 1"), ["body rest.syntax"]);
    assert_eq!(broken("{\"int32Value\": 1} x"), ["body rest.syntax"]);
    assert_eq!(
        broken("{\"int32Value\": 1, \"int32_value\": 1}"),
        ["int32_value rest.duplicate"]
    );
    assert_eq!(
        broken("{\"stringMap\": {\"a\": \"1\", \"a\": \"2\"}}"),
        ["string_map[\"a\"] rest.duplicate"]
    );
    let violations = read("{\n \"int32Value\": }").unwrap_err();
    assert!(violations[0].vi.contains("dòng 2"), "{}", violations[0].vi);
    assert!(violations[0].en.contains("line 2"), "{}", violations[0].en);
    assert_eq!(read(" \n").unwrap(), b"");
    assert_eq!(read("{}").unwrap(), b"");
}

#[test]
fn nothing_nests_deeper_than_a_service_can_decode() {
    let nested = |depth: usize| {
        format!(
            "{{\"nested\":{}{}}}",
            "{\"next\":".repeat(depth - 1) + "{}",
            "}".repeat(depth - 1)
        )
    };
    let bytes = read(&nested(90)).unwrap();
    assert!(DynamicMessage::decode(everything(), bytes.as_slice()).is_ok());
    let violations = read(&nested(91)).unwrap_err();
    assert_eq!(violations[0].rule, "rest.depth");
    let list = format!("{{\"listValue\":{}{}}}", "[".repeat(100), "]".repeat(100));
    assert!(
        read(&list)
            .unwrap_err()
            .iter()
            .any(|violation| violation.rule == "rest.depth")
    );
    assert_eq!(broken(&"[".repeat(100_000)), ["body rest.type", "body rest.syntax"]);
}

#[test]
fn values_are_read_in_every_form_of_the_mapping() {
    let same = |one: &str, other: &str| assert_eq!(read(one).unwrap(), read(other).unwrap(), "{one} {other}");
    same(r#"{"int32Value": 5}"#, r#"{"int32_value": "5"}"#);
    same(r#"{"int32Value": 1000}"#, r#"{"int32Value": 1e3}"#);
    same(r#"{"int32Value": 1000}"#, r#"{"int32Value": "1e3"}"#);
    same(
        r#"{"int64Value": "9007199254740993"}"#,
        r#"{"int64Value": 9007199254740993}"#,
    );
    same(r#"{"colour": "COLOUR_RED"}"#, r#"{"colour": 1}"#);
    same(r#"{"bytesValue": "_-8="}"#, r#"{"bytesValue": "/+8"}"#);
    same(
        r#"{"timestamp": "2026-11-23T08:00:00+07:00"}"#,
        r#"{"timestamp": "2026-11-23T01:00:00Z"}"#,
    );
    same(r#"{"duration": "1.5s"}"#, r#"{"duration": "1.500s"}"#);
    same(
        r#"{"stringValue": null, "int32List": null, "stringMap": null, "nested": null}"#,
        "{}",
    );
    same(r#"{"Ümlaut \"x\"": 3}"#, r#"{"with_json_name": 3}"#);
    same(r#"{"stringValue": "\u1ea1"}"#, r#"{"stringValue": "ạ"}"#);
    // Null is a value of these two, and not "not set".
    assert_ne!(read(r#"{"value": null}"#).unwrap(), b"");
    assert_eq!(
        write(&read(r#"{"value": null}"#).unwrap()).unwrap(),
        r#"{"value":null}"#
    );

    for refused in [
        r#"{"int32Value": "0x10"}"#,
        r#"{"int32Value": " 1"}"#,
        r#"{"int32Value": "+1"}"#,
        r#"{"int32Value": ""}"#,
        r#"{"int64Value": -9223372036854775809}"#,
        r#"{"uint64Value": 18446744073709551616}"#,
        r#"{"doubleValue": "inf"}"#,
        r#"{"doubleValue": ""}"#,
        r#"{"boolValue": 1}"#,
        r#"{"timestamp": "2026-11-23"}"#,
        r#"{"timestamp": "0000-01-01T00:00:00Z"}"#,
        r#"{"timestamp": "2026-13-01T00:00:00Z"}"#,
        r#"{"duration": "1.5"}"#,
        r#"{"duration": "-s"}"#,
        r#"{"duration": "315576000001s"}"#,
        r#"{"fieldMask": "a b"}"#,
        r#"{"colour": "COLOUR_red"}"#,
        r#"{"colour": 1.5}"#,
    ] {
        assert_eq!(broken(refused).len(), 1, "{refused}");
    }
    assert_eq!(
        write(&read(r#"{"doubleValue": "NaN"}"#).unwrap()).unwrap(),
        r#"{"doubleValue":"NaN"}"#
    );
}

/// A service that sends its message back, or fails with the code that is asked for.
fn grpc() -> axum::Router {
    axum::Router::new().fallback(|request: Request<Body>| async move {
        assert_eq!(request.headers()["content-type"], "application/grpc");
        let path = request.uri().path().to_owned();
        let seen: Vec<&str> = request
            .headers()
            .keys()
            .map(http::HeaderName::as_str)
            .filter(|name| !["content-type", "te"].contains(name))
            .collect();
        let seen = seen.join(",");
        let bytes = request.into_body().collect().await.unwrap().to_bytes();
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        let body = if path.ends_with("/Fail") {
            let message = DynamicMessage::decode(
                POOL.get_message_by_name("egov.transcode.test.v1.FailRequest").unwrap(),
                &bytes[5..],
            )
            .unwrap();
            let code = message.get_field_by_name("code").unwrap().as_i32().unwrap();
            trailers.insert("grpc-status", HeaderValue::from(code));
            Bytes::new()
        } else {
            bytes
        };
        let mut response = Response::new(Body::new(
            Full::new(body).with_trailers(async move { Some(Ok(trailers)) }),
        ));
        response
            .headers_mut()
            .insert("content-type", HeaderValue::from_static("application/grpc"));
        response
            .headers_mut()
            .insert("x-seen", HeaderValue::from_str(&seen).unwrap());
        response
            .headers_mut()
            .insert("internal", HeaderValue::from_static("no"));
        response
    })
}

async fn ask(method: &str, url: &str, headers: &[(&'static str, &str)], body: &str) -> Response {
    let mut request = Request::builder()
        .method(Method::from_bytes(method.as_bytes()).unwrap())
        .uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = if body.is_empty() {
        Body::empty()
    } else {
        Body::from(body.to_owned())
    };
    Arc::clone(&REST)
        .in_front_of(grpc())
        .oneshot(request.body(body).unwrap())
        .await
        .unwrap()
}

const JSON: (&str, &str) = ("content-type", "application/json");

async fn answer(response: Response) -> serde_json::Value {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    serde_json::from_slice(&bytes).unwrap_or_else(|_| json!(String::from_utf8_lossy(&bytes)))
}

async fn get(url: &str) -> serde_json::Value {
    let response = ask("GET", url, &[], "").await;
    let status = response.status();
    let body = answer(response).await;
    assert_eq!(status, 200, "{url} {body}");
    body
}

/// Field and rule of each violation of a refusal.
async fn refused(method: &str, url: &str, body: &str) -> Vec<String> {
    let response = ask(method, url, &[JSON], body).await;
    assert_eq!(response.status(), 400, "{url}");
    let body = answer(response).await;
    body["details"][1]["fieldViolations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|violation| {
            assert_eq!(violation["localizedMessage"]["locale"], "vi");
            format!(
                "{} {}",
                violation["field"].as_str().unwrap(),
                violation["reason"].as_str().unwrap()
            )
        })
        .collect()
}

#[tokio::test]
async fn paths_queries_and_bodies_become_one_message() {
    assert_eq!(
        get("/v1/echo/h%E1%BB%93%20s%C6%A1").await,
        json!({"stringValue": "hồ sơ"})
    );
    assert_eq!(get("/v1/echo/a:b").await, json!({"stringValue": "a:b"}));
    assert_eq!(
        get("/v1/shelves/shelves/1%2F2/books/b%20c").await,
        json!({"stringValue": "shelves/1%2F2/books/b c"})
    );
    assert_eq!(get("/v1/files/a/b/c.pdf").await, json!({"stringValue": "a/b/c.pdf"}));
    assert_eq!(
        get("/v1/at/2026-11-23T08:00:00Z/-7").await,
        json!({"timestamp": "2026-11-23T08:00:00Z", "int32Value": -7})
    );
    assert_eq!(
        get(
            "/v1/echo?int32List=1&int32List=2&colour=COLOUR_RED&bool_value=true&nested.name=a+b&nested.next.numbers=5\
            &timestamp=2026-11-23T08:00:00Z&duration=3s&int64Wrapper=9&stringWrapper=&bytesValue=_-8&doubleValue=1.5\
            &fieldMask=a,bC&nested.next.numbers=6&colourList=2&optionalString="
        )
        .await,
        json!({
            "int32List": [1, 2], "colour": "COLOUR_RED", "boolValue": true, "bytesValue": "/+8=", "doubleValue": 1.5,
            "nested": {"name": "a b", "next": {"numbers": ["5", "6"]}}, "timestamp": "2026-11-23T08:00:00Z", "duration": "3s",
            "int64Wrapper": "9", "stringWrapper": "", "fieldMask": "a,bC", "colourList": ["COLOUR_CRIMSON"], "optionalString": "",
        })
    );

    let send = |method: &'static str, url: &'static str, body: &'static str| async move {
        answer(ask(method, url, &[JSON], body).await).await
    };
    assert_eq!(
        send("POST", "/v1/echo/loud:shout", r#"{"int32Value": 1}"#).await,
        json!({"stringValue": "loud", "int32Value": 1})
    );
    assert_eq!(
        send("PUT", "/v1/echo/ann/nested?int32Value=4", r#"{"numbers": [1]}"#).await,
        json!({"nested": {"name": "ann", "numbers": ["1"]}, "int32Value": 4})
    );
    assert_eq!(send("POST", "/v1/lists?boolValue=true", "[1, 2]").await, json!([1, 2]));
    assert_eq!(send("POST", "/v1/lists", "").await, json!([]));
    assert_eq!(send("GET", "/v1/nested?nested.text=x", "").await, json!({"text": "x"}));
    assert_eq!(send("GET", "/v1/nested", "").await, json!({}));
    assert_eq!(
        send("REPORT", "/v1/echo?int32Value=1", "").await,
        json!({"int32Value": 1})
    );
}

#[tokio::test]
async fn every_violation_of_path_query_and_body_is_named() {
    assert_eq!(
        refused("GET", "/v1/at/noon/x?ghost=1&nested=1&stringMap=1&colour=blue&int32Value=2&boolValue=1&boolValue=0&x=%FF&nestedList=1", "").await,
        [
            "timestamp rest.type",
            "int32_value rest.type",
            "ghost rest.unknown",
            "nested rest.not_a_parameter",
            "string_map rest.not_a_parameter",
            "colour rest.type",
            "int32_value rest.bound",
            "bool_value rest.type",
            "bool_value rest.duplicate",
            "x rest.encoding",
            "nested_list rest.not_a_parameter",
        ]
    );
    assert_eq!(
        refused(
            "GET",
            "/v1/echo?choiceText=a&choiceNested.name=b&nested.text=a&nested.number=1",
            ""
        )
        .await,
        ["choice_nested.name rest.oneof", "nested.number rest.oneof"]
    );
    assert_eq!(
        refused(
            "POST",
            "/v1/echo/a:shout?int32Value=1&ghost",
            r#"{"stringValue": "b", "ghost": 1}"#
        )
        .await,
        [
            "int32_value rest.no_query",
            "ghost rest.no_query",
            "string_value rest.bound",
            "ghost rest.unknown"
        ]
        .map(|line| line.replace("int32_value rest.no_query", "int32Value rest.no_query"))
    );
    assert_eq!(
        refused("PUT", "/v1/echo/ann/nested?nested.text=x", r#"{"name": "bob"}"#).await,
        ["nested.text rest.bound", "nested.name rest.bound"]
    );
    assert_eq!(refused("GET", "/v1/echo", "{}").await, ["body rest.no_body"]);
    assert_eq!(refused("GET", "/v1/echo/%FF", "").await, ["string_value rest.encoding"]);
}

#[tokio::test]
async fn verbs_paths_and_media_types_that_are_not_served_are_told_what_is() {
    let response = ask("DELETE", "/v1/echo", &[], "").await;
    assert_eq!(response.status(), 405);
    assert_eq!(response.headers()["allow"], "GET, HEAD, OPTIONS, POST, REPORT");
    assert_eq!(
        answer(response).await["details"][0]["reason"],
        "HTTP_METHOD_NOT_ALLOWED"
    );

    let response = ask("OPTIONS", "/v1/echo", &[], "").await;
    assert_eq!(response.status(), 204);
    assert_eq!(response.headers()["allow"], "GET, HEAD, OPTIONS, POST, REPORT");

    let response = ask("HEAD", "/v1/echo?stringValue=hello", &[], "").await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-length"], "23");
    assert!(response.into_body().collect().await.unwrap().to_bytes().is_empty());

    for headers in [
        &[][..],
        &[("content-type", "text/plain")],
        &[JSON, ("content-encoding", "gzip")],
    ] {
        let response = ask("POST", "/v1/echo", headers, "{}").await;
        assert_eq!(response.status(), 415, "{headers:?}");
        assert_eq!(answer(response).await["details"][0]["reason"], "MEDIA_TYPE_UNSUPPORTED");
    }
    let utf8 = [("content-type", "Application/JSON; charset=utf-8")];
    assert_eq!(ask("POST", "/v1/echo", &utf8, "{}").await.status(), 200);
    // Without a body there is nothing whose type could be wrong.
    assert_eq!(ask("POST", "/v1/echo", &[], "").await.status(), 200);
}

#[tokio::test]
async fn only_the_listed_headers_reach_the_service_and_only_its_own_come_back() {
    let response = ask(
        "GET",
        "/v1/echo",
        &[
            ("authorization", "Bearer x"),
            ("x-egov-purpose", "case_handling"),
            ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
            ("x-forwarded-for", "1.2.3.4"),
            ("cookie", "a=b"),
            ("grpc-timeout", "1S"),
        ],
        "",
    )
    .await;
    let mut seen: Vec<&str> = response.headers()["x-seen"].to_str().unwrap().split(',').collect();
    seen.sort_unstable();
    assert_eq!(seen, ["authorization", "grpc-timeout", "traceparent", "x-egov-purpose"]);
    assert!(!response.headers().contains_key("internal"));
    assert_eq!(response.headers()["cache-control"], "no-store");
}

#[tokio::test]
async fn a_failure_of_the_service_has_the_http_status_of_its_code() {
    for code in egov_fault::Code::ALL {
        let response = ask("GET", &format!("/v1/fail/{}", code.to_tonic() as i32), &[], "").await;
        assert_eq!(response.status().as_u16(), code.http_status());
        let outcome = response.extensions().get::<crate::Outcome>().unwrap().clone();
        assert_eq!(outcome.code, code.to_tonic());
        assert_eq!(answer(response).await["code"], code.to_tonic() as i32);
    }
}

#[tokio::test]
async fn a_deprecated_rpc_says_since_when_and_until_when_and_others_say_nothing() {
    let response = ask("GET", "/v1/old/5", &[], "").await;
    assert_eq!(response.status(), 200);
    // 26/11/2026 and 01/12/2027, 00:00 in Việt Nam.
    assert_eq!(response.headers()["deprecation"], "@1795626000");
    assert_eq!(response.headers()["sunset"], "Tue, 30 Nov 2027 17:00:00 GMT");
    let refused = ask("GET", "/v1/old/5?nothing=1", &[], "").await;
    assert_eq!(refused.status(), 400);
    assert!(refused.headers().contains_key("sunset"), "a refusal says it as well");
    let other = ask("GET", "/v1/echo", &[], "").await;
    assert!(!other.headers().contains_key("deprecation") && !other.headers().contains_key("sunset"));

    let document = crate::document(&POOL, |_| true);
    let old = &document["paths"]["/v1/old/{code}"]["get"];
    assert_eq!(
        (&old["deprecated"], &old["x-egov-sunset"]),
        (&json!(true), &json!("2027-12-01"))
    );
    assert_eq!(old["x-egov-instead"], "egov.transcode.test.v1.EchoService/Echo");
    assert!(document["paths"]["/v1/echo"]["get"].get("deprecated").is_none());
}

#[tokio::test]
async fn a_body_above_the_limit_is_refused_also_if_only_its_message_is() {
    let rest = Arc::new(Rest::compile(&POOL, |_| true).unwrap().limit(1000));
    let send = |body: String| {
        let router = Arc::clone(&rest).in_front_of(grpc());
        async move {
            let request = Request::post("/v1/echo")
                .header(JSON.0, JSON.1)
                .body(Body::from(body))
                .unwrap();
            router.oneshot(request).await.unwrap()
        }
    };
    let response = send(format!("{{\"stringValue\": \"{}\"}}", "a".repeat(2000))).await;
    assert_eq!(response.status(), 413);
    assert_eq!(answer(response).await["details"][0]["reason"], "MESSAGE_TOO_LARGE");
    // Two characters each in JSON, eight bytes each in the message.
    assert_eq!(
        send(format!("{{\"doubleList\": [{}1]}}", "1,".repeat(400)))
            .await
            .status(),
        413
    );
    assert_eq!(
        send(format!("{{\"doubleList\": [{}1]}}", "1,".repeat(100)))
            .await
            .status(),
        200
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn whatever_is_sent_is_answered_without_a_failure_of_ours(
        method in prop::sample::select(vec!["GET", "POST", "PUT", "HEAD", "OPTIONS", "DELETE", "REPORT"]),
        path in prop_oneof![
            "/v1/(echo|echo/[a-z%:0-9F]{0,6}|lists|nested|files/[a-z%/F2:]{1,8}|at/[0-9TZ:-]{0,20}/[0-9-]{0,12})",
            "/[a-z0-9/:%.~-]{0,20}",
        ],
        query in "[a-zA-Z0-9_.&=%+-]{0,40}",
        body in prop_oneof![Just(Vec::new()), prop::collection::vec(any::<u8>(), 0..60), any_json().prop_map(|json| json.to_string().into_bytes())],
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let Ok(uri) = format!("{path}?{query}").parse::<http::Uri>() else { return Ok(()) };
        let request = Request::builder()
            .method(method)
            .uri(uri)
            .header(JSON.0, JSON.1)
            .body(Body::from(body))
            .unwrap();
        // A path that is not served would reach the gRPC service, which asserts that nothing but gRPC does.
        if matches!(REST.find(request.method(), request.uri().path()), crate::Target::Unknown) {
            return Ok(());
        }
        let response = runtime.block_on(Arc::clone(&REST).in_front_of(grpc()).oneshot(request)).unwrap();
        prop_assert!(response.status().as_u16() < 500, "{} {}", response.status(), path);
    }
}

fn problems(service: &str) -> Vec<String> {
    let folder = std::env::temp_dir().join(format!("egov-transcode-{}-{}", std::process::id(), service.len()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(
        folder.join("bad.proto"),
        format!(
            "syntax = \"proto3\"; package bad.v1; import \"google/api/annotations.proto\";\n\
             message M {{ string a = 1; M m = 2; repeated string list = 3; }}\nservice S {{ {service} }}"
        ),
    )
    .unwrap();
    let pool = compile(&[folder.to_string_lossy().into_owned()], "bad.proto");
    std::fs::remove_dir_all(folder).unwrap();
    Rest::compile(&pool, |_| true).unwrap_err().problems
}

#[test]
fn bindings_that_cannot_be_served_stop_the_start_each_with_the_name_of_its_rpc() {
    let found = problems(
        "rpc A(M) returns (M) { option (google.api.http) = {get: \"/v1/a/{b}\"}; }
         rpc B(M) returns (M) { option (google.api.http) = {get: \"/v1/a/{m}\"}; }
         rpc C(M) returns (M) { option (google.api.http) = {get: \"/v1/a/{list}\"}; }
         rpc D(M) returns (M) { option (google.api.http) = {get: \"v1\"}; }
         rpc E(M) returns (M) { option (google.api.http) = {get: \"/v1/e\" body: \"*\"}; }
         rpc F(M) returns (M) { option (google.api.http) = {post: \"/v1/f\" body: \"x\"}; }
         rpc G(M) returns (M) { option (google.api.http) = {get: \"/v1/g\" response_body: \"x\"}; }
         rpc H(M) returns (stream M) { option (google.api.http) = {get: \"/v1/h\"}; }
         rpc I(M) returns (M) { option (google.api.http) = {get: \"/v1/i/{a}\"}; }
         rpc J(M) returns (M) { option (google.api.http) = {get: \"/v1/i/{m.a}\"}; }",
    );
    let expected = [
        ("bad.v1.S.A", "b is no single field"),
        ("bad.v1.S.B", "m is no single field"),
        ("bad.v1.S.C", "list is no single field"),
        ("bad.v1.S.D", "begins with a slash"),
        ("bad.v1.S.E", "a GET has no body"),
        ("bad.v1.S.F", "the body names the field x"),
        ("bad.v1.S.G", "the answer has no field x"),
        ("bad.v1.S.H", "streaming"),
        (
            "bad.v1.S.J",
            "GET /v1/i/{m.a} is served already, as GET /v1/i/{a} of bad.v1.S/I",
        ),
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (problem, (rpc, what)) in found.iter().zip(expected) {
        assert!(problem.starts_with(rpc) && problem.contains(what), "{problem}");
    }
}

#[test]
fn the_document_says_what_the_contracts_say() {
    let document = crate::document(&POOL, |_| true);
    let echo = &document["paths"]["/v1/echo"];
    assert_eq!(echo["post"]["operationId"], "egov.transcode.test.v1.EchoService_Echo");
    assert_eq!(echo["get"]["operationId"], "egov.transcode.test.v1.EchoService_Echo_2");
    assert_eq!(echo["post"]["summary"], "Echo sends everything back");
    assert_eq!(echo["post"]["x-egov-permission"], "transcode.echoes.read");
    assert_eq!(echo["post"]["security"], json!([{"token": []}]));
    assert_eq!(
        echo["post"]["parameters"],
        json!([{"$ref": "#/components/parameters/Purpose"}])
    );
    let names: Vec<&str> = echo["get"]["parameters"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|parameter| parameter["name"].as_str())
        .collect();
    assert!(names.contains(&"nested.next.name") && names.contains(&"int32List") && names.contains(&"timestamp"));
    assert!(
        !names
            .iter()
            .any(|name| name.starts_with("stringMap") || name.starts_with("struct"))
    );
    assert_eq!(document["paths"]["/v1/fail/{code}"]["get"]["security"], json!([]));
    assert!(
        document["paths"]
            .get("/v1/shelves/shelves/{stringValue.1}/books/{stringValue.2}")
            .is_some()
    );
    assert!(!document.to_string().contains("Silent"));

    let ruled = &document["paths"]["/v1/rules/{requestId}"]["post"];
    assert_eq!(ruled["x-egov-sensitive"], true);
    assert_eq!(ruled["x-egov-idempotency"], "REQUEST_ID");
    let body = &ruled["requestBody"]["content"]["application/json"]["schema"];
    assert_eq!(body["required"], json!(["text", "colour", "items", "nested"]));
    assert_eq!(body["additionalProperties"], false);
    let properties = &body["properties"];
    assert!(properties.get("requestId").is_none(), "the path has it");
    assert_eq!(properties["text"]["minLength"], 2);
    assert_eq!(properties["text"]["maxLength"], 9);
    assert_eq!(properties["text"]["pattern"], "^[a-z]+$");
    assert_eq!(properties["text"]["description"], "A text of some length.");
    assert_eq!(
        properties["colour"]["enum"],
        json!(["COLOUR_NEGATIVE", "COLOUR_RED", "COLOUR_CRIMSON"])
    );
    assert_eq!(properties["number"]["minimum"], -5);
    assert_eq!(properties["number"]["exclusiveMaximum"], 10);
    assert_eq!(properties["secret"]["x-egov-personal-data"], "SECRET");
    assert_eq!(properties["items"]["minItems"], 1);
    assert_eq!(properties["items"]["uniqueItems"], true);
    assert_eq!(properties["items"]["items"]["maxLength"], 4);
    assert_eq!(properties["phone"]["x-egov-format"], "phone");
    assert_eq!(properties["id"]["x-egov-range"], json!({"minimum": 1}));
    assert_eq!(properties["places"]["maxProperties"], 2);
    assert_eq!(
        body["allOf"],
        json!([{"oneOf": [{"required": ["name"]}, {"required": ["id"]}]}])
    );
    assert_eq!(
        properties["nested"]["$ref"],
        "#/components/schemas/egov.transcode.test.v1.Nested.Input"
    );
    // In an answer nothing is required and nothing closed.
    let answer = &document["components"]["schemas"]["egov.transcode.test.v1.Rules"];
    assert!(answer.get("required").is_none() && answer.get("additionalProperties").is_none());

    // Every reference leads somewhere.
    let text = document.to_string();
    for reference in text.split("\"$ref\":\"#").skip(1) {
        let pointer = reference.split('"').next().unwrap();
        assert!(
            document.pointer(pointer).is_some_and(|target| !target.is_null()),
            "{pointer}"
        );
    }
}

#[tokio::test]
async fn the_document_and_the_page_are_sent_once_and_then_only_confirmed() {
    let routes = crate::docs(&POOL, |_| true);
    let ask = |path: &'static str, tag: Option<String>| {
        let routes = routes.clone();
        async move {
            let mut request = Request::get(path);
            if let Some(tag) = tag {
                request = request.header("if-none-match", tag);
            }
            routes.oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
        }
    };
    for (path, media_type) in [
        ("/openapi.json", "application/json"),
        ("/docs", "text/html; charset=utf-8"),
    ] {
        let first = ask(path, None).await;
        assert_eq!(first.status(), 200);
        assert_eq!(first.headers()["content-type"], media_type);
        assert_eq!(first.headers()["x-content-type-options"], "nosniff");
        let tag = first.headers()["etag"].to_str().unwrap().to_owned();
        let second = ask(path, Some(format!("\"other\", W/{tag}"))).await;
        assert_eq!(second.status(), 304);
        assert!(second.into_body().collect().await.unwrap().to_bytes().is_empty());
        assert_eq!(ask(path, Some("\"other\"".to_owned())).await.status(), 200);
    }
    let page = ask("/docs", None).await;
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    assert!(!policy.contains("unsafe"));
}

/// The answer of a door: what it says of itself stands in head, trailers, or beside a failure.
fn door(read: Arc<std::sync::atomic::AtomicBool>, code: i32) -> axum::Router {
    axum::Router::new().fallback(move |request: Request<Body>| {
        let read = Arc::clone(&read);
        async move {
            if code == 7 {
                return tonic::Status::permission_denied("no").into_http();
            }
            let body = request.into_body().collect().await;
            read.store(true, std::sync::atomic::Ordering::SeqCst);
            let bytes = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", HeaderValue::from(code));
            trailers.insert("x-promise", HeaderValue::from_static("signed"));
            trailers.insert("x-other", HeaderValue::from_static("stays"));
            let data = if code == 0 { bytes } else { Bytes::new() };
            let mut response = Response::new(Body::new(
                Full::new(data).with_trailers(async move { Some(Ok(trailers)) }),
            ));
            let headers = response.headers_mut();
            headers.insert("content-type", HeaderValue::from_static("application/grpc"));
            headers.insert("x-exchange", HeaderValue::from_static("17"));
            response
        }
    })
}

async fn through(rest: &Arc<Rest>, code: i32, method: &str, url: &str, body: &'static str) -> (Response, bool) {
    let read = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let request = Request::builder()
        .method(method)
        .uri(url)
        .header(JSON.0, JSON.1)
        .body(Body::from(body))
        .unwrap();
    let crate::Target::Call(call) = rest.find(request.method(), request.uri().path()) else {
        panic!("{url} is served");
    };
    let response = rest.serve_when_read(call, request, door(Arc::clone(&read), code)).await;
    (response, read.load(std::sync::atomic::Ordering::SeqCst))
}

#[tokio::test]
async fn what_may_pass_of_the_trailers_reaches_the_http_caller_beside_an_answer_and_beside_a_failure() {
    let names = ["x-promise", "x-exchange"].map(http::HeaderName::from_static);
    let rest = Arc::new(Rest::compile(&POOL, |_| true).unwrap().passing(names));
    for (code, status) in [(0, 200), (5, 404)] {
        let (response, read) = through(&rest, code, "POST", "/v1/echo", "{\"int32Value\": 7}").await;
        assert_eq!(response.status(), status);
        assert!(read);
        assert_eq!(response.headers()["x-promise"], "signed");
        assert_eq!(response.headers()["x-exchange"], "17");
        assert!(!response.headers().contains_key("x-other"));
        if code == 0 {
            assert_eq!(answer(response).await, json!({"int32Value": 7}));
        }
    }
}

#[tokio::test]
async fn a_server_that_judges_first_refuses_before_the_body_is_read_and_a_wrong_body_is_still_named() {
    let rest = Arc::new(Rest::compile(&POOL, |_| true).unwrap());
    let (refused, read) = through(&rest, 7, "POST", "/v1/echo", "{\"ghost\": 1}").await;
    assert_eq!(refused.status(), 403);
    assert!(!read);
    let (wrong, read) = through(&rest, 0, "POST", "/v1/echo", "{\"ghost\": 1}").await;
    assert!(read);
    assert_eq!(wrong.status(), 400);
    assert_eq!(
        answer(wrong).await["details"][1]["fieldViolations"][0]["field"],
        "ghost"
    );
    let (head, _) = through(&rest, 0, "HEAD", "/v1/echo?stringValue=hello", "").await;
    assert_eq!(
        (head.status().as_u16(), &head.headers()["content-length"]),
        (200, &HeaderValue::from_static("23"))
    );
}

/// A contract of somebody else, without our options.
const FOREIGN: &str = r#"
syntax = "proto3";
package foreign.v1;
import "google/api/annotations.proto";
// Somebody.
message Person {
  string name = 1;
  Person parent = 2;
  repeated Person children = 3;
  map<string, Person> places = 4;
  Colour colour = 5;
  oneof choice { string text = 6; int32 number = 7; }
}
enum Colour { NONE = 0; RED = 1; }
service People {
  // Get says who somebody is. More.
  rpc Get(Person) returns (Person) { option (google.api.http) = {get: "/v1/people/{name}" additional_bindings {post: "/v1/people:get" body: "*"}}; }
  rpc Watch(Person) returns (stream Person) { option (google.api.http) = {get: "/v1/watch"}; }
  rpc Twice(Person) returns (Person) { option (google.api.http) = {get: "/v1/people/{text}"}; }
  rpc Wrong(Person) returns (Person) { option (google.api.http) = {get: "/v1/wrong/{ghost}"}; }
  rpc Deep(Person) returns (Person) { option (google.api.http) = {get: "/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a"}; }
  rpc Change(Person) returns (Person) { option (google.api.http) = {put: "/v1/people/{name}" body: "*"}; }
  rpc Silent(Person) returns (Person);
}
"#;

static FOREIGN_SET: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let folder = std::env::temp_dir().join(format!("egov-transcode-foreign-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("foreign.proto"), FOREIGN).unwrap();
    let mut compiler =
        protox::Compiler::new([folder.to_string_lossy().into_owned(), format!("{HERE}/../../proto")]).unwrap();
    compiler.include_imports(true).include_source_info(true);
    compiler.open_files(["foreign.proto"]).unwrap();
    std::fs::remove_dir_all(folder).unwrap();
    compiler.encode_file_descriptor_set()
});

fn foreign() -> DescriptorPool {
    DescriptorPool::decode(FOREIGN_SET.as_slice()).unwrap()
}

fn section<'a>(pool: &'a DescriptorPool, rest: &'a Rest, methods: &[&str]) -> crate::Section<'a> {
    crate::Section {
        pool,
        rest,
        base: "/s/17".to_owned(),
        prefix: "17.".to_owned(),
        methods: methods
            .iter()
            .map(|method| ((*method).to_owned(), crate::Terms::default()))
            .collect(),
        elsewhere: None,
    }
}

#[test]
fn of_foreign_contracts_what_can_be_served_is_and_the_rest_is_named() {
    let (rest, left_out) = Rest::compile_foreign(&foreign(), 100);
    let mut served: Vec<&str> = rest.rpcs().into_iter().collect();
    served.sort_unstable();
    assert_eq!(served, ["foreign.v1.People/Change", "foreign.v1.People/Get"]);
    let expected = [
        ("foreign.v1.People.Watch", "streaming"),
        ("foreign.v1.People.Twice", "served already"),
        ("foreign.v1.People.Wrong", "ghost is no single field"),
        ("foreign.v1.People.Deep", "at most 32 segments"),
    ];
    assert_eq!(left_out.len(), expected.len(), "{left_out:#?}");
    for (problem, (rpc, what)) in left_out.iter().zip(expected) {
        assert!(problem.starts_with(rpc) && problem.contains(what), "{problem}");
    }
    let (few, left_out) = Rest::compile_foreign(&foreign(), 1);
    assert_eq!(few.len(), 1);
    assert!(left_out[0].contains("at most 1 bindings"), "{left_out:#?}");
}

#[test]
fn a_document_of_foreign_contracts_says_what_is_granted_and_on_which_terms() {
    let pool = foreign();
    let (rest, _) = Rest::compile_foreign(&pool, 100);
    let mut section = section(&pool, &rest, &["foreign.v1.People/Get", "foreign.v1.People/Twice"]);
    let terms = section.methods.get_mut("foreign.v1.People/Get").unwrap();
    terms.note = "Only the name comes back.".to_owned();
    terms.purposes = vec!["verify".to_owned()];
    terms.extensions.insert("x-mask".to_owned(), json!(["name"]));
    let introduction = crate::Introduction {
        title: "what may be called".to_owned(),
        ..crate::Introduction::default()
    };
    let document = crate::document_of(introduction, &[section]);
    assert_eq!(document["info"]["title"], "what may be called");
    let paths: Vec<&String> = document["paths"].as_object().unwrap().keys().collect();
    assert_eq!(paths, ["/s/17/v1/people/{name}", "/s/17/v1/people:get"]);
    let get = &document["paths"]["/s/17/v1/people/{name}"]["get"];
    assert_eq!(get["summary"], "Get says who somebody is");
    assert_eq!(
        get["description"],
        "Get says who somebody is. More.\n\nOnly the name comes back."
    );
    assert_eq!(get["x-mask"], json!(["name"]));
    assert_eq!(get["operationId"], "17.foreign.v1.People_Get");
    let parameters = get["parameters"].as_array().unwrap();
    let purpose = parameters.iter().find(|one| one["name"] == "x-egov-purpose").unwrap();
    assert_eq!(purpose["schema"]["enum"], json!(["verify"]));
    assert_eq!(
        get["responses"]["200"]["content"]["application/json"]["schema"]["$ref"],
        "#/components/schemas/17.foreign.v1.Person"
    );
    assert_references(&document);
}

fn assert_references(document: &serde_json::Value) {
    let text = document.to_string();
    for reference in text.split("\"$ref\":\"#").skip(1) {
        let pointer = reference.split('"').next().unwrap();
        assert!(
            document.pointer(pointer).is_some_and(|target| !target.is_null()),
            "{pointer}"
        );
    }
}

/// A pool with the foreign file changed by hand.
fn by_hand(change: impl FnOnce(&mut prost_types::FileDescriptorProto)) -> DescriptorPool {
    changed(|set| {
        let file = set.file.iter_mut().find(|file| file.name() == "foreign.proto").unwrap();
        change(file);
    })
}

/// The foreign pool changed by hand. Its services stay as they are: prost would lose the options that say their bindings.
fn changed(change: impl FnOnce(&mut prost_types::FileDescriptorSet)) -> DescriptorPool {
    let mut set = prost_types::FileDescriptorSet::decode(FOREIGN_SET.as_slice()).unwrap();
    change(&mut set);
    let (mut out, mut files) = (Vec::new(), Cursor(&FOREIGN_SET));
    for mut file in set.file {
        file.service.clear();
        let mut bytes = file.encode_to_vec();
        let Some((1, Raw::Bytes(original))) = files.field().unwrap() else {
            panic!("a file");
        };
        let mut original = Cursor(original);
        while let Some((number, raw)) = original.field().unwrap() {
            if let (6, Raw::Bytes(service)) = (number, raw) {
                prost::encoding::bytes::encode(6, &service.to_vec(), &mut bytes);
            }
        }
        prost::encoding::bytes::encode(1, &bytes, &mut out);
    }
    DescriptorPool::decode(out.as_slice()).unwrap()
}

fn field_of(number: i32, name: String, of: &str) -> prost_types::FieldDescriptorProto {
    let mut field = prost_types::FieldDescriptorProto {
        name: Some(name),
        number: Some(number),
        type_name: Some(format!(".foreign.v1.{of}")),
        ..Default::default()
    };
    field.set_type(prost_types::field_descriptor_proto::Type::Message);
    field.set_label(prost_types::field_descriptor_proto::Label::Optional);
    field
}

#[test]
fn contracts_that_would_make_an_endless_document_make_a_bounded_one() {
    // Messages that lead to one another twenty thousand deep, and one that contains itself in every way a query could name.
    let pool = by_hand(|file| {
        for at in 0..20_000 {
            file.message_type.push(prost_types::DescriptorProto {
                name: Some(format!("M{at}")),
                field: if at < 19_999 {
                    vec![field_of(1, "next".to_owned(), &format!("M{}", at + 1))]
                } else {
                    Vec::new()
                },
                ..Default::default()
            });
        }
        let person = file
            .message_type
            .iter_mut()
            .find(|message| message.name() == "Person")
            .unwrap();
        person.field.push(field_of(100, "deep".to_owned(), "M0"));
        for at in 0..300 {
            person.field.push(field_of(200 + at, format!("self{at}"), "Person"));
        }
    });
    let (rest, _) = Rest::compile_foreign(&pool, 100);
    let document = crate::document_of(
        crate::Introduction::default(),
        &[section(
            &pool,
            &rest,
            &["foreign.v1.People/Get", "foreign.v1.People/Change"],
        )],
    );
    assert!(!document["paths"].as_object().unwrap().is_empty());
    assert_references(&document);
    let length = document.to_string().len();
    assert!(length < 24 * 1024 * 1024, "{length}");
}

#[test]
fn a_document_of_too_many_contracts_says_where_the_rest_is_described() {
    let pool = foreign();
    let (rest, _) = Rest::compile_foreign(&pool, 100);
    let sections: Vec<crate::Section<'_>> = (0..5)
        .map(|at| crate::Section {
            base: format!("/s/{at}"),
            prefix: format!("{at}."),
            elsewhere: Some(format!("/s/{at}/openapi.json")),
            ..section(&pool, &rest, &["foreign.v1.People/Get"])
        })
        .collect();
    let described = |document: &serde_json::Value| document["paths"].as_object().unwrap().len() / 2;
    let at_most = |most| crate::openapi::of_at_most(crate::Introduction::default(), &sections, most);

    let whole = crate::document_of(crate::Introduction::default(), &sections);
    assert_eq!(described(&whole), 5);
    assert!(whole["info"].get("x-egov-not-described").is_none());

    let one = at_most(0);
    assert_eq!(described(&one), 1);
    let of_one = one.to_string().len();
    let most = 3 * of_one;
    let some = at_most(most);
    assert!((2..5).contains(&described(&some)), "{}", described(&some));
    assert!(some.to_string().len() < of_one + most);
    let missing = &some["info"]["x-egov-not-described"];
    let wanted: Vec<String> = (described(&some)..5)
        .map(|at| format!("/s/{at}/openapi.json"))
        .collect();
    assert_eq!(missing["documents"], json!(wanted));
    let said = some["info"]["description"].as_str().unwrap();
    assert!(said.contains(missing["en"].as_str().unwrap()), "{said}");
    for document in [whole, one, some] {
        assert_references(&document);
    }
}

/// A service that answers with these frames.
fn frames(frames: Vec<Bytes>) -> axum::Router {
    axum::Router::new().fallback(move |request: Request<Body>| {
        let frames = frames.clone();
        async move {
            request.into_body().collect().await.unwrap();
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", HeaderValue::from_static("0"));
            let frames = frames
                .into_iter()
                .map(http_body::Frame::data)
                .chain([http_body::Frame::trailers(trailers)])
                .map(Ok::<_, std::convert::Infallible>);
            let mut response = Response::new(Body::new(http_body_util::StreamBody::new(futures::stream::iter(
                frames,
            ))));
            response
                .headers_mut()
                .insert("content-type", HeaderValue::from_static("application/grpc"));
            response
        }
    })
}

/// A message in the frame of gRPC.
fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0], length.as_slice(), message].concat()
}

#[tokio::test]
async fn names_without_end_make_no_answer_without_end() {
    use prost_types::field_descriptor_proto::{Label, Type};
    let long = "X".repeat(50_000);
    let pool = by_hand(|file| {
        file.enum_type[0].value[1].name = Some(long.clone());
        let person = &mut file.message_type[0];
        let mut colours = field_of(20, "colours".to_owned(), "Colour");
        colours.set_type(Type::Enum);
        colours.set_label(Label::Repeated);
        let mut flag = field_of(21, "flag".to_owned(), "Person");
        (flag.type_name, flag.json_name) = (None, Some(long.clone()));
        flag.set_type(Type::Bool);
        person.field.extend([colours, flag]);
    });
    let (rest, _) = Rest::compile_foreign(&pool, 100);
    let too_long = || egov_fault::Fault::internal("too long").with("what", "too_long");
    let rest = Arc::new(rest.limit(1024 * 1024).overlong(too_long));
    let ask = async |message: Vec<u8>| {
        let request = Request::get("/v1/people/a").body(Body::empty()).unwrap();
        let grpc = frames(vec![framed(&message).into()]);
        Arc::clone(&rest).in_front_of(grpc).oneshot(request).await.unwrap()
    };
    let mut packed = vec![0xa2, 0x01];
    prost::encoding::encode_varint(1_000_000, &mut packed);
    packed.resize(packed.len() + 1_000_000, 1);
    let unpacked = [0xa0, 0x01, 1].repeat(300_000);
    let children = [0x1a, 3, 0xa8, 0x01, 1].repeat(200_000);
    for (name, message) in [("packed", packed), ("unpacked", unpacked), ("children", children)] {
        let began = std::time::Instant::now();
        let response = ask(message).await;
        assert_eq!(response.status(), 500, "{name}");
        assert_eq!(answer(response).await["details"][0]["metadata"]["what"], "too_long");
        assert!(began.elapsed() < std::time::Duration::from_secs(5));
    }
    // As long as it is no more than the limit allows, long names are written.
    let response = ask([0xa0, 0x01, 1].repeat(100)).await;
    assert_eq!(response.status(), 200);
    let written = answer(response).await;
    assert_eq!(written["colours"].as_array().unwrap().len(), 100);
    assert_eq!(written["colours"][99], json!(long));
}

#[test]
fn a_message_in_parts_within_parts_is_not_copied_without_end() {
    let id = "foreign.v1.Person";
    let messages = Messages::compile(&foreign());
    // Its parent in two parts, of which the second is empty; and so on, ninety deep.
    let mut bytes = Vec::new();
    prost::encoding::string::encode(1, &"a".repeat(100_000), &mut bytes);
    for _ in 0..90 {
        let inner = std::mem::take(&mut bytes);
        prost::encoding::bytes::encode(2, &inner, &mut bytes);
        bytes.extend_from_slice(&[0x12, 0]);
    }
    let write = |limit| {
        let mut writer = Writer::new(&messages, Vec::new(), limit);
        writer.message(messages.id(id).unwrap(), &bytes).map(|()| writer.out)
    };
    assert_eq!(write(1_000_000).unwrap_err(), Unwritten::TooLong(1_000_000));
    assert!(write(20_000_000).unwrap().starts_with(b"{\"parent\":{\"parent\":"));
}

/// Bytes that hold a place until they are dropped.
struct Placed {
    bytes: Vec<u8>,
    _place: Arc<()>,
}

impl AsRef<[u8]> for Placed {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[tokio::test]
async fn what_the_answer_of_grpc_holds_is_held_until_its_json_is_taken() {
    let (rest, _) = Rest::compile_foreign(&foreign(), 100);
    let rest = Arc::new(rest);
    let whole = framed(b"\x0a\x05hello");
    for cuts in [vec![], vec![5], vec![0, 0, 1, 7]] {
        let place = Arc::new(());
        let mut parts = Vec::new();
        let mut begin = 0;
        for end in cuts.iter().copied().chain([whole.len()]) {
            parts.push(Bytes::from_owner(Placed {
                bytes: whole[begin..end].to_vec(),
                _place: Arc::clone(&place),
            }));
            begin = end;
        }
        let response = once(&rest, Method::GET, parts).await;
        assert_eq!(response.status(), 200);
        assert!(Arc::strong_count(&place) > 1, "{cuts:?}");
        let json = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(json, "{\"name\":\"hello\"}");
        assert!(Arc::strong_count(&place) > 1, "{cuts:?}");
        drop(json);
        assert_eq!(Arc::strong_count(&place), 1, "{cuts:?}");
    }
    // Nobody takes the body of an answer to HEAD.
    let place = Arc::new(());
    let bytes = Bytes::from_owner(Placed {
        bytes: whole,
        _place: Arc::clone(&place),
    });
    let head = once(&rest, Method::HEAD, vec![bytes]).await;
    assert_eq!(head.headers()["content-length"], "16");
    assert_eq!(Arc::strong_count(&place), 1);
}

async fn once(rest: &Arc<Rest>, method: Method, answered: Vec<Bytes>) -> Response {
    let request = Request::builder().method(method).uri("/v1/people/a");
    let request = request.body(Body::empty()).unwrap();
    let crate::Target::Call(call) = rest.find(request.method(), request.uri().path()) else {
        panic!("it is served");
    };
    rest.serve(call, request, frames(answered)).await
}

#[test]
fn an_option_that_only_has_the_name_of_one_of_ours_says_nothing() {
    let pool = changed(|set| {
        for extension in set.file.iter_mut().flat_map(|file| &mut file.extension) {
            if extension.name() == "http" {
                extension.extendee = Some(".google.protobuf.MessageOptions".to_owned());
            }
        }
    });
    let (rest, left_out) = Rest::compile_foreign(&pool, 100);
    assert!(rest.is_empty() && left_out.is_empty(), "{left_out:?}");
}

#[test]
fn of_a_oneof_the_last_field_counts_however_often_they_change_places() {
    let id = "egov.transcode.test.v1.Everything";
    let with = |fields: &[(u32, &str)]| {
        let mut bytes = Vec::new();
        for (number, text) in fields {
            if *number == 32 {
                bytes.extend_from_slice(&[0x80, 0x02, 1]);
            } else {
                prost::encoding::string::encode(*number, &(*text).to_owned(), &mut bytes);
            }
        }
        bytes
    };
    let descriptor = POOL.get_message_by_name(id).unwrap();
    for fields in [
        &[(30, "a"), (32, ""), (30, "b")][..],
        &[(30, "a"), (32, "")],
        &[(32, ""), (30, "a"), (14, "s"), (32, ""), (32, "")],
        &[(14, "s"), (30, "a"), (30, "b"), (14, "t")],
    ] {
        let bytes = with(fields);
        let reference = DynamicMessage::decode(descriptor.clone(), bytes.as_slice()).unwrap();
        let ours: serde_json::Value = serde_json::from_str(&write(&bytes).unwrap()).unwrap();
        assert_eq!(ours, serde_json::to_value(&reference).unwrap(), "{fields:?}");
    }
    // As many changes as fit: one pass, not one for each.
    let mut many = Vec::new();
    for _ in 0..300_000 {
        many.extend_from_slice(&with(&[(30, "a"), (32, "")]));
    }
    let began = std::time::Instant::now();
    assert_eq!(write(&many).unwrap(), "{\"choiceBool\":true}");
    assert!(
        began.elapsed() < std::time::Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever was uploaded: a set that is read is compiled, described, searched, and panics nowhere.
    #[test]
    fn any_descriptor_set_is_compiled_as_far_as_it_goes(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        path in "/(v1|s)/[a-z:/%]{0,12}",
    ) {
        let mut set = FOREIGN_SET.clone();
        let from = set.len() - set.len() / 4;
        for (index, byte) in changes {
            // The own file stands last; most changes hit it.
            let span = set.len() - from;
            let at = if byte % 4 == 0 { index.index(set.len()) } else { from + index.index(span) };
            set[at] = byte;
        }
        if let Ok(pool) = crate::foreign_contracts(&set) {
            let (rest, _) = Rest::compile_foreign(&pool, 100);
            let _ = rest.find(&Method::GET, &path);
            let methods: Vec<String> = pool
                .services()
                .flat_map(|service| service.methods().map(|method| format!("{}/{}", service.full_name(), method.name())).collect::<Vec<_>>())
                .collect();
            let names: Vec<&str> = methods.iter().map(String::as_str).collect();
            let document = crate::document_of(crate::Introduction::default(), &[section(&pool, &rest, &names)]);
            assert_references(&document);
        }
    }
}
