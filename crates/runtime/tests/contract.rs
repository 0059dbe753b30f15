//! The rules of the contracts: what they let through, what they say, what stops the start.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail loudly"
)]

mod support;

use std::sync::LazyLock;

use egov_fault::{Code, Violation};
use egov_runtime::contract::{Contract, Formats};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use prost_reflect::{DynamicMessage, MessageDescriptor, Value};
use serde_json::json;
use support::{POOL, compile, contract};

fn message(name: &str) -> MessageDescriptor {
    POOL.get_message_by_name(&format!("egov.runtime.test.v1.{name}"))
        .unwrap()
}

fn from_json(name: &str, json: serde_json::Value) -> DynamicMessage {
    DynamicMessage::deserialize(message(name), json).unwrap()
}

fn violations(name: &str, json: serde_json::Value) -> Vec<Violation> {
    match contract().validate(&from_json(name, json)) {
        Ok(()) => Vec::new(),
        Err(fault) => {
            assert_eq!((fault.code(), fault.reason()), (Code::InvalidArgument, "INVALID_FIELD"));
            fault.violations().to_vec()
        }
    }
}

/// `field rule` of every violation.
fn broken(name: &str, json: serde_json::Value) -> Vec<String> {
    violations(name, json)
        .iter()
        .map(|one| format!("{} {}", one.field, one.rule))
        .collect()
}

#[test]
fn every_rule_of_a_text_lets_the_good_through_and_names_the_bad() {
    let cases = [
        ("const", json!("VN"), json!("vn"), "string.const"),
        ("len", json!("Đào"), json!("Đào tạo"), "string.len"),
        ("min_len", json!("Đà"), json!("Đ"), "string.min_len"),
        ("max_len", json!("ế ở"), json!("ế ở đ"), "string.max_len"),
        ("len_bytes", json!("Đa1"), json!("Đa"), "string.len_bytes"),
        ("min_bytes", json!("Đa1"), json!("Đa"), "string.min_bytes"),
        ("max_bytes", json!("abcd"), json!("abcđ"), "string.max_bytes"),
        ("pattern", json!("01-AB"), json!("٠١-AB"), "string.pattern"),
        ("prefix", json!("H40"), json!("40"), "string.prefix"),
        ("suffix", json!("x.pdf"), json!("x.exe"), "string.suffix"),
        ("contains", json!("a@b"), json!("ab"), "string.contains"),
        ("not_contains", json!("ab"), json!("a/b"), "string.not_contains"),
        ("in", json!("b"), json!("c"), "string.in"),
        ("not_in", json!("user"), json!("root"), "string.not_in"),
        (
            "uuid",
            json!("01936f1e-8b5a-7c3d-9e2f-0123456789ab"),
            json!("01936f1e"),
            "string.uuid",
        ),
        (
            "uuid",
            json!("01936F1E-8B5A-7C3D-9E2F-0123456789AB"),
            json!(""),
            "string.uuid_empty",
        ),
        ("email", json!("hoso@nghean.gov.vn"), json!("hoso@"), "string.email"),
        ("email", json!("a@b"), json!(""), "string.email_empty"),
        ("format", json!("0912345678"), json!("12"), "format.phone"),
        ("format", json!(""), json!("x"), "format.phone"),
    ];
    for (field, good, bad, rule) in cases {
        assert_eq!(broken("Texts", json!({ field: good })), [""; 0], "{field}");
        assert_eq!(
            broken("Texts", json!({ field: bad })),
            [format!("{field} {rule}")],
            "{field}"
        );
    }
    assert_eq!(broken("Texts", json!({"noUuid": "anything"})), [""; 0]);
    assert_eq!(
        broken("Texts", json!({"formats": ["0912345678", "1", "2"]})),
        ["formats[1] format.phone", "formats[2] format.phone"]
    );
}

#[test]
fn every_rule_of_bytes_lets_the_good_through_and_names_the_bad() {
    // Base64: two bytes, one, three.
    for (field, good, bad) in [
        ("len", "AAA=", "AA=="),
        ("min_len", "AAA=", "AA=="),
        ("max_len", "AAA=", "AAAA"),
    ] {
        assert_eq!(broken("Octets", json!({ field: good })), [""; 0], "{field}");
        assert_eq!(
            broken("Octets", json!({ field: bad })),
            [format!("{field} bytes.{field}")]
        );
    }
}

#[test]
fn every_rule_of_numbers_lets_the_good_through_and_names_the_bad() {
    let cases = [
        ("const", json!(7), json!(8), "int32.const"),
        ("lt", json!(6), json!(7), "int32.lt"),
        ("lte", json!(7), json!(8), "int64.lte"),
        ("gt", json!(8), json!(7), "uint32.gt"),
        (
            "gte",
            json!("18446744073709551615"),
            json!("18446744073709551614"),
            "uint64.gte",
        ),
        ("in", json!(-1), json!(0), "sint32.in"),
        ("not_in", json!(1), json!(-1), "sint64.not_in"),
        ("fixed", json!(3), json!(4), "fixed32.lte"),
        ("fixed", json!(1), json!(0), "fixed32.gte"),
        ("fixed_64", json!(2), json!(1), "fixed64.gt"),
        ("signed", json!(-1), json!(0), "sfixed32.lt"),
        ("signed_64", json!(-1), json!(0), "sfixed64.lt"),
        ("single", json!(0.75), json!(0.5), "float.gt"),
        ("double", json!(0.99), json!(1.0), "double.lt"),
        ("finite", json!(1e300), json!("Infinity"), "double.finite"),
    ];
    for (field, good, bad, rule) in cases {
        assert_eq!(broken("Numbers", json!({ field: good })), [""; 0], "{field}");
        assert_eq!(
            broken("Numbers", json!({ field: bad })),
            [format!("{field} {rule}")],
            "{field}"
        );
    }
    assert_eq!(broken("Numbers", json!({"single": "NaN"})), ["single float.gt"]);
    assert_eq!(
        broken("Numbers", json!({"double": "NaN"})),
        ["double double.lt", "double double.gte"]
    );
}

#[test]
fn every_rule_of_choices_lets_the_good_through_and_names_the_bad() {
    let cases = [
        ("yes", json!(true), json!(false), "bool.const"),
        ("const", json!("COLOUR_RED"), json!("COLOUR_BLUE"), "enum.const"),
        ("defined", json!("COLOUR_BLUE"), json!(9), "enum.defined_only"),
        ("in", json!("COLOUR_BLUE"), json!("COLOUR_RED"), "enum.in"),
        (
            "not_in",
            json!("COLOUR_RED"),
            json!("COLOUR_UNSPECIFIED"),
            "enum.not_in",
        ),
    ];
    for (field, good, bad, rule) in cases {
        assert_eq!(broken("Choices", json!({ field: good })), [""; 0], "{field}");
        assert_eq!(
            broken("Choices", json!({ field: bad })),
            [format!("{field} {rule}")],
            "{field}"
        );
    }
    let text = &violations("Choices", json!({"in": "COLOUR_RED"}))[0];
    assert_eq!(text.en, "must be one of: COLOUR_BLUE");
    assert_eq!(text.vi, "phải là một trong: COLOUR_BLUE");
}

#[test]
fn lists_and_maps_are_judged_as_a_whole_and_item_by_item() {
    let cases = [
        (json!({"min": ["a", "b"]}), vec![]),
        (json!({"min": ["a"]}), vec!["min repeated.min_items"]),
        (json!({"max": [1, 2, 3]}), vec!["max repeated.max_items"]),
        (json!({"unique": ["a", "b", "a"]}), vec!["unique repeated.unique"]),
        (json!({"uniqueColours": [1, 2]}), vec![]),
        (json!({"uniqueColours": [1, 1]}), vec!["unique_colours repeated.unique"]),
        (
            json!({"items": ["abc", "ab", "abcd"]}),
            vec!["items[0] string.max_len", "items[2] string.max_len"],
        ),
        (
            json!({"someItems": ["", "a", "ab"]}),
            vec!["some_items[1] string.min_len"],
        ),
        (
            json!({"pairs": {"a": 0, "bb": -1, "cc": 1}}),
            vec![
                "pairs map.max_pairs",
                "pairs[\"a\"] string.min_len",
                "pairs[\"a\"] int32.gt",
                "pairs[\"bb\"] int32.gt",
            ],
        ),
        (json!({"few": {"a": 1}}), vec!["few map.min_pairs"]),
        (json!({}), vec![]),
    ];
    for (value, expected) in cases {
        assert_eq!(broken("Lists", value.clone()), expected, "{value}");
    }
}

#[test]
fn a_field_without_presence_is_judged_even_when_it_is_zero() {
    assert_eq!(
        broken("Plain", json!({})),
        [
            "name string.min_len",
            "number int32.gt",
            "id string.uuid_empty",
            "mail string.email_empty"
        ]
    );
    let good = json!({"name": "x", "number": 1, "id": "01936f1e-8b5a-7c3d-9e2f-0123456789ab", "mail": "a@b"});
    assert_eq!(broken("Plain", good.clone()), [""; 0]);
    let mut note = good;
    note["note"] = json!("ab");
    note["off"] = json!("x");
    assert_eq!(broken("Plain", note), ["note string.min_len"]);
}

#[test]
fn what_is_required_is_missed_wherever_it_may_stand() {
    assert_eq!(
        broken("Needed", json!({})),
        [
            "way required",
            "text required",
            "maybe required",
            "message required",
            "list required",
            "map required",
            "colour required"
        ]
    );
    let full = json!({
        "text": "x", "maybe": "", "message": {}, "list": [""], "map": {"": ""},
        "colour": "COLOUR_RED", "byHand": "",
    });
    assert_eq!(broken("Needed", full), [""; 0]);
}

#[test]
fn every_violation_at_every_depth_is_reported_with_its_path() {
    let tree = json!({
        "name": "root",
        "children": [{"name": "ok"}, {"name": "long", "children": [{"name": "longer"}]}],
        "named": {"x y": {"name": "four"}},
        "numbered": {"7": {"name": "seven"}},
        "off": {"name": "nobody looks"},
    });
    assert_eq!(
        broken("Tree", tree),
        [
            "name string.max_len",
            "children[1].name string.max_len",
            "children[1].children[0].name string.max_len",
            "named[\"x y\"].name string.max_len",
            "numbered[7].name string.max_len",
        ]
    );
    let first = &violations("Tree", json!({"name": "root"}))[0];
    assert_eq!(first.vi, "không được quá 3 ký tự");
    assert_eq!(first.en, "must have at most 3 characters");
}

#[test]
fn a_message_that_is_nested_without_end_is_refused_and_not_walked() {
    let descriptor = message("Tree");
    let children = descriptor.get_field_by_name("children").unwrap();
    let mut tree = DynamicMessage::new(descriptor.clone());
    for _ in 0..150 {
        let mut parent = DynamicMessage::new(descriptor.clone());
        parent.set_field(&children, Value::List(vec![Value::Message(tree)]));
        tree = parent;
    }
    let fault = contract().validate(&tree).unwrap_err();
    assert_eq!(fault.violations().len(), 1);
    assert_eq!(fault.violations()[0].rule, "message.depth");
}

#[test]
fn a_message_with_a_million_violations_does_not_cost_a_million_texts() {
    let descriptor = message("Lists");
    let items = descriptor.get_field_by_name("items").unwrap();
    let mut lists = DynamicMessage::new(descriptor);
    lists.set_field(&items, Value::List(vec![Value::String("too long".to_owned()); 100_000]));
    let fault = contract().validate(&lists).unwrap_err();
    assert_eq!(fault.violations().len(), 1000);
}

#[test]
fn a_message_of_another_contract_is_our_own_failure() {
    let other = compile(&[(
        "other.proto",
        "syntax = \"proto3\"; package other; message Strange { string a = 1; }",
    )]);
    let message = DynamicMessage::new(other.get_message_by_name("other.Strange").unwrap());
    assert_eq!(contract().validate(&message).unwrap_err().code(), Code::Internal);
}

#[test]
fn personal_data_is_taken_out_at_every_depth() {
    let person = from_json(
        "Person",
        json!({
            "id": "1", "fullName": "Nguyễn Thị Hoa", "fingerprint": "AAAA",
            "children": [{"id": "2", "fullName": "Trần Văn Bình"}],
            "others": {"aunt": {"id": "3", "fullName": "Lê Thị Mai"}},
        }),
    );
    let shown = serde_json::to_value(contract().without_personal_data(&person)).unwrap();
    assert_eq!(
        shown,
        json!({"id": "1", "children": [{"id": "2"}], "others": {"aunt": {"id": "3"}}})
    );
    let names = contract().personal_field_names();
    assert!(names.contains("full_name") && names.contains("fingerprint") && !names.contains("id"));
}

#[test]
fn what_is_not_implemented_or_does_not_fit_stops_the_start_and_is_named_in_full() {
    let pool = compile(&[(
        "bad.proto",
        r#"
        syntax = "proto3";
        package bad;
        import "buf/validate/validate.proto";
        import "egov/options/v1/options.proto";
        import "google/protobuf/timestamp.proto";
        message Bad {
            option (buf.validate.message).cel = {id: "x", message: "x", expression: "true"};
            string cel = 1 [(buf.validate.field).cel = {id: "x", message: "x", expression: "true"}];
            string cel_expression = 2 [(buf.validate.field).cel_expression = "true"];
            string hostname = 3 [(buf.validate.field).string.hostname = true];
            bytes pattern = 4 [(buf.validate.field).bytes.pattern = "a"];
            google.protobuf.Timestamp when = 5 [(buf.validate.field).timestamp.lt_now = true];
            int32 wrong_type = 6 [(buf.validate.field).string.min_len = 1];
            int64 wrong_width = 7 [(buf.validate.field).int32.gt = 1];
            string broken_pattern = 8 [(buf.validate.field).string.pattern = "("];
            int32 empty_range = 9 [(buf.validate.field).int32 = {gt: 9, lt: 1}];
            repeated string scalar_rule = 10 [(buf.validate.field).string.min_len = 1];
            string list_rule = 11 [(buf.validate.field).repeated.min_items = 1];
            repeated Bad unique = 12 [(buf.validate.field).repeated.unique = true];
            repeated string items = 13 [(buf.validate.field).repeated.items.string.ip = true];
            map<string, string> keys = 14 [(buf.validate.field).map.keys.string.uri = true];
            string format = 15 [(egov.options.v1.format) = FORMAT_CASE_CODE];
            int32 number_format = 16 [(egov.options.v1.format) = FORMAT_PHONE];
            repeated string needed = 17 [(buf.validate.field).repeated.items.required = true];
        }
        service Doors {
            rpc Open(Bad) returns (Bad);
            rpc Close(Bad) returns (Bad) { option (egov.options.v1.access) = {sensitive: true}; }
        }
        "#,
    )]);
    let error = Contract::with_formats(&pool, &support::formats()).unwrap_err();
    for expected in [
        "bad.Bad: the rule message.cel is not implemented",
        "bad.Bad.cel: the rule cel is not implemented",
        "bad.Bad.cel_expression: the rule cel_expression is not implemented",
        "bad.Bad.hostname: the rule string.hostname is not implemented",
        "bad.Bad.pattern: the rule bytes.pattern is not implemented",
        "bad.Bad.when: the rule timestamp is not implemented",
        "bad.Bad.wrong_type: string: does not fit a field of type int32",
        "bad.Bad.wrong_width: int32: does not fit a field of type int64",
        "bad.Bad.empty_range: int32: nothing lies between 9 and 1",
        "bad.Bad.scalar_rule: string: does not fit a repeated field or a map",
        "bad.Bad.list_rule: the rule repeated is not implemented",
        "bad.Bad.unique: repeated.unique: messages and floating point numbers are not compared",
        "bad.Bad.items: the rule string.ip is not implemented",
        "bad.Bad.keys: the rule string.uri is not implemented",
        "bad.Bad.format: the format CASE_CODE is not known to this service",
        "bad.Bad.number_format: only a text can have the format PHONE",
        "bad.Bad.needed: the rule repeated.items.required is not implemented",
        "bad.Doors.Open: the option egov.options.v1.access is missing",
        "bad.Doors.Close: access is neither public nor names a permission",
    ] {
        assert!(
            error.problems.iter().any(|problem| problem == expected),
            "{expected}\n{error:#?}"
        );
    }
    let pattern = error
        .problems
        .iter()
        .find(|problem| problem.starts_with("bad.Bad.broken_pattern: string.pattern:"));
    assert!(pattern.is_some(), "{error:#?}");
    assert_eq!(error.problems.len(), 20, "{error:#?}");
}

#[test]
fn a_format_without_a_check_stops_the_start() {
    let error = Contract::from_pool(&POOL).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("egov.runtime.test.v1.Texts.format: the format PHONE is not known")
    );
    assert!(Contract::with_formats(&POOL, &Formats::new().with("PHONE", |_| Ok(()))).is_ok());
}

#[test]
fn the_rules_of_methods_come_from_the_options() {
    let rules = contract().method_rules();
    let echo = rules
        .iter()
        .find(|rule| rule.path == "/egov.runtime.test.v1.EchoService/Echo")
        .unwrap();
    assert_eq!(echo.permission.as_deref(), Some("runtime.echoes.read"));
    assert!(!echo.public && !echo.sensitive && !echo.purpose_required);
    let greet = rules.iter().find(|rule| rule.path.ends_with("/Greet")).unwrap();
    assert!(greet.public && greet.permission.is_none());
}

#[test]
fn the_audit_names_everything_that_a_contract_owes() {
    let set = support::encode(&[(
        "owing.proto",
        r#"
        syntax = "proto3";
        package egov.owing.v1;
        import "buf/validate/validate.proto";
        import "egov/options/v1/options.proto";
        service Silent {
            rpc Bare(Request) returns (Request);
            // Says everything.
            rpc Good(Write) returns (Write) {
                option (egov.options.v1.access) = {permission: "owing.things.write"};
                option (egov.options.v1.idempotency) = {kind: KIND_REQUEST_ID};
            }
            // A write without the id.
            rpc NoId(Request) returns (Request) {
                option (egov.options.v1.access) = {permission: "owing.things.write"};
                option (egov.options.v1.idempotency) = {kind: KIND_REQUEST_ID};
            }
            // The id may be empty.
            rpc LooseId(Loose) returns (Loose) {
                option (egov.options.v1.access) = {permission: "things"};
                option (egov.options.v1.idempotency) = {kind: KIND_REQUEST_ID};
            }
            // No reasons.
            rpc NoReasons(Write) returns (Write) {
                option (egov.options.v1.access) = {public: true};
                option (egov.options.v1.idempotency) = {kind: KIND_EXEMPT};
            }
            // Leaves without a word.
            rpc Abrupt(Write) returns (Write) {
                option deprecated = true;
                option (egov.options.v1.access) = {permission: "owing.things.write"};
                option (egov.options.v1.idempotency) = {kind: KIND_REQUEST_ID};
            }
            // Leaves too soon, for nowhere, and is not marked.
            rpc Hasty(Write) returns (Write) {
                option (egov.options.v1.access) = {permission: "owing.things.write"};
                option (egov.options.v1.idempotency) = {kind: KIND_REQUEST_ID};
                option (egov.options.v1.deprecation) = {since: "2026-11-26", sunset: "2027-11-25"};
            }
            // Says no day.
            rpc Dayless(Write) returns (Write) {
                option deprecated = true;
                option (egov.options.v1.access) = {permission: "owing.things.write"};
                option (egov.options.v1.idempotency) = {kind: KIND_REQUEST_ID};
                option (egov.options.v1.deprecation) = {since: "soon", sunset: "2027-11-26", instead: "Good"};
            }
            // Says everything.
            rpc Leaving(Write) returns (Write) {
                option deprecated = true;
                option (egov.options.v1.access) = {permission: "owing.things.write"};
                option (egov.options.v1.idempotency) = {kind: KIND_REQUEST_ID};
                option (egov.options.v1.deprecation) = {since: "2026-11-26", sunset: "2027-11-26", instead: "Good"};
            }
            // Both.
            rpc Both(Write) returns (Write) {
                option (egov.options.v1.access) = {public: true, public_reason: "x", permission: "owing.things.read"};
                option (egov.options.v1.idempotency) = {};
            }
        }
        message Request { string a = 1; enum Kind { KIND_UNSPECIFIED = 0; } message Inner { } }
        // Commented.
        message Write {
            // Commented.
            string request_id = 1 [(buf.validate.field).string.uuid = true];
            // A rule that nobody knows.
            string host = 2 [(buf.validate.field).string.hostname = true];
        }
        // Commented.
        message Loose {
            // Commented.
            string request_id = 1 [
                (buf.validate.field).string.uuid = true, (buf.validate.field).ignore = IGNORE_IF_ZERO_VALUE];
        }
        "#,
    )]);
    let mut found: Vec<String> = Contract::audit(&set)
        .into_iter()
        .filter(|problem| problem.starts_with("egov.owing.v1."))
        .map(|problem| problem.replacen("egov.owing.v1.", "", 1))
        .collect();
    found.sort();
    let mut expected = [
        "Write.host: the rule string.hostname is not implemented",
        "Silent: there is no leading comment",
        "Silent.Bare: there is no leading comment",
        "Silent.Bare: the option egov.options.v1.access is missing",
        "Silent.Bare: the option egov.options.v1.idempotency is missing",
        "Silent.NoId: the write has no field request_id in egov.owing.v1.Request",
        "Silent.LooseId: a permission is three lower-case words with dots: area.resource.verb",
        "Loose.request_id: request_id must be a string with (buf.validate.field).string.uuid = true and no ignore",
        "Silent.NoReasons: access is public without public_reason",
        "Silent.NoReasons: idempotency is EXEMPT without exempt_reason",
        "Silent.Both: access is public and names a permission as well",
        "Silent.Both: idempotency kind UNSPECIFIED is not one of ours",
        "Request: there is no leading comment",
        "Request.a: there is no leading comment",
        "Request.Kind: there is no leading comment",
        "Request.KIND_UNSPECIFIED: there is no leading comment",
        "Request.Inner: there is no leading comment",
        "Silent.Abrupt: it is deprecated without the option egov.options.v1.deprecation",
        "Silent.Hasty: egov.options.v1.deprecation stands without deprecated = true",
        "Silent.Hasty: its deprecation does not say what to call instead",
        "Silent.Hasty: its sunset is less than twelve months after its deprecation",
        "Silent.Dayless: since and sunset of its deprecation are days, written 2026-01-31",
        "Silent.Abrupt: the option google.api.http is missing",
        "Silent.Hasty: the option google.api.http is missing",
        "Silent.Dayless: the option google.api.http is missing",
        "Silent.Leaving: the option google.api.http is missing",
        "Silent.Bare: the option google.api.http is missing",
        "Silent.Good: the option google.api.http is missing",
        "Silent.NoId: the option google.api.http is missing",
        "Silent.LooseId: the option google.api.http is missing",
        "Silent.NoReasons: the option google.api.http is missing",
        "Silent.Both: the option google.api.http is missing",
    ];
    expected.sort_unstable();
    assert_eq!(found, expected);
}

static MESSAGES: LazyLock<Vec<MessageDescriptor>> = LazyLock::new(|| {
    POOL.all_messages()
        .filter(|message| message.full_name().starts_with("egov.runtime.test.v1."))
        .collect()
});

/// Bytes of a message in which field numbers and wire types mostly fit.
fn wire(depth: u32) -> BoxedStrategy<Vec<u8>> {
    let varint = any::<u64>().prop_map(|value| {
        let mut bytes = Vec::new();
        prost::encoding::encode_varint(value, &mut bytes);
        bytes
    });
    let short = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..12),
        "[a-zđ0-9@.-]{0,8}".prop_map(String::into_bytes),
    ];
    let inner = if depth == 0 {
        short.boxed()
    } else {
        prop_oneof![short, wire(depth - 1)].boxed()
    };
    let field = (
        1_u64..20,
        prop_oneof![Just(0_u64), Just(1), Just(2), Just(5)],
        varint,
        inner,
    )
        .prop_map(|(number, wire_type, varint, inner)| {
            let mut bytes = Vec::new();
            prost::encoding::encode_varint(number << 3 | wire_type, &mut bytes);
            match wire_type {
                0 => bytes.extend(varint),
                1 => bytes.extend([0x7f; 8]),
                5 => bytes.extend([0xc0; 4]),
                _ => {
                    prost::encoding::encode_varint(inner.len() as u64, &mut bytes);
                    bytes.extend(inner);
                }
            }
            bytes
        });
    prop::collection::vec(field, 0..6)
        .prop_map(|fields| fields.concat())
        .boxed()
}

proptest! {
    #[test]
    fn whatever_decodes_is_judged_without_a_panic(index in 0_usize..1000, bytes in wire(2)) {
        let descriptor = &MESSAGES[index % MESSAGES.len()];
        if let Ok(message) = DynamicMessage::decode(descriptor.clone(), bytes.as_slice()) {
            if let Err(fault) = contract().validate(&message) {
                for one in fault.violations() {
                    prop_assert!([&one.field, &one.rule, &one.vi, &one.en].into_iter().all(|text| !text.is_empty()));
                }
            }
            let shown = contract().without_personal_data(&message);
            prop_assert_eq!(shown.fields().filter(|(field, _)| field.name() == "full_name").count(), 0);
        }
    }
}

#[test]
fn the_generator_of_bytes_reaches_the_rules() {
    // Guards the property above against bytes that never decode.
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let strategy = wire(2);
    let mut decoded = 0;
    for index in 0..500 {
        let bytes = strategy.new_tree(&mut runner).unwrap().current();
        let descriptor = &MESSAGES[index % MESSAGES.len()];
        decoded += usize::from(DynamicMessage::decode(descriptor.clone(), bytes.as_slice()).is_ok());
    }
    assert!(decoded > 100, "{decoded} of 500 decoded");
}
