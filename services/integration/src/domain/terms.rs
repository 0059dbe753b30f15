//! What the two sides of an agreement agree on, and whether it can be kept.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::canonical::{NotCanonical, canonical};
use super::permit::{BodyPolicy, MethodTerms, PredicateRule, Quota};
use super::plain::judgeable;
use super::shape::{Cardinality, FieldType, Shape, is_plain};

/// The terms of one version of an agreement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Terms {
    pub(crate) methods: BTreeMap<String, MethodTerms>,
    pub(crate) purpose: String,
    pub(crate) legal_basis: String,
    pub(crate) allowed_purposes: Vec<String>,
    pub(crate) quota: Quota,
    pub(crate) bodies: BodyPolicy,
    pub(crate) valid_from: Timestamp,
    pub(crate) valid_to: Timestamp,
    /// Whether the consumer may delegate.
    pub(crate) delegable: bool,
    /// The version of the interface by which methods and paths are read.
    pub(crate) interface_version: i64,
}

/// One thing that is wrong with terms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// Where, as a path of the request.
    pub(crate) field: String,
    pub(crate) vi: String,
    pub(crate) en: String,
}

impl Problem {
    pub(crate) fn new(field: impl Into<String>, vi: impl Into<String>, en: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            vi: vi.into(),
            en: en.into(),
        }
    }
}

/// The parties, as a signed document names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_field_names, reason = "the names of the contract")]
pub(crate) struct Parties {
    pub(crate) consumer_organisation_id: Uuid,
    pub(crate) consumer_system_id: Uuid,
    pub(crate) provider_organisation_id: Uuid,
    pub(crate) provider_system_id: Uuid,
    pub(crate) service_id: Uuid,
}

/// Everything that is wrong with terms, by the interface that they are about.
pub(crate) fn check(terms: &Terms, shape: &Shape, now: Timestamp) -> Vec<Problem> {
    let mut problems = Vec::new();
    if terms.valid_to <= terms.valid_from {
        problems.push(Problem::new(
            "terms.valid_to",
            "phải sau thời điểm bắt đầu",
            "must be after valid_from",
        ));
    }
    if terms.valid_to <= now {
        problems.push(Problem::new("terms.valid_to", "đã qua", "is over already"));
    }
    let records = terms.bodies.request || terms.bodies.response;
    if records != (terms.bodies.retention_days > 0) {
        problems.push(Problem::new(
            "terms.retention_days",
            "phải lớn hơn 0 khi và chỉ khi có lưu nội dung",
            "must be more than 0 if and only if bodies are recorded",
        ));
    }
    if terms.methods.is_empty() {
        problems.push(Problem::new(
            "terms.methods",
            "không được để trống",
            "must not be empty",
        ));
    }
    for (name, of) in &terms.methods {
        let place = format!("terms.methods[{name}]");
        let Some(method) = shape.methods.get(name) else {
            problems.push(Problem::new(
                place,
                "không có trong giao diện của dịch vụ",
                "is not in the interface of the service",
            ));
            continue;
        };
        if records && (method.client_streaming || method.server_streaming) {
            problems.push(Problem::new(
                place.clone(),
                "không lưu được nội dung của phương thức truyền dòng; hãy thỏa thuận riêng về phương thức này, không lưu nội dung",
                "bodies of a streaming method are not kept: agree on it apart, without recording bodies",
            ));
        }
        for (number, predicate) in of.predicates.iter().enumerate() {
            let input = shape.types.get(&method.input);
            if is_plain(name) && !input.is_some_and(|input| judgeable(input, &predicate.field)) {
                problems.push(Problem::new(
                    format!("{place}.predicates[{number}]"),
                    format!("không xét được {} như ý nghĩa của nó", predicate.field),
                    format!("{} cannot be judged as it is meant", predicate.field),
                ));
            } else if let Err((vi, en)) = check_predicate(shape, &method.input, &predicate.field, &predicate.rule) {
                problems.push(Problem::new(format!("{place}.predicates[{number}]"), vi, en));
            }
        }
        for (number, path) in of.mask.iter().enumerate() {
            if shape.field(&method.output, path).is_none_or(|found| found.names_any) {
                problems.push(Problem::new(
                    format!("{place}.mask[{number}]"),
                    format!("phản hồi không có trường {path}"),
                    format!("the response has no field {path}"),
                ));
            }
        }
    }
    problems
}

type Words = (String, String);

fn check_predicate(shape: &Shape, input: &str, path: &str, rule: &PredicateRule) -> Result<(), Words> {
    let found = shape.field(input, path).ok_or_else(|| {
        (
            format!("yêu cầu không có trường {path}"),
            format!("the request has no field {path}"),
        )
    })?;
    if found.through_many || (found.field.cardinality != Cardinality::Single && rule_compares(rule)) {
        return Err((
            "điều kiện không đi qua trường lặp".to_owned(),
            "a predicate does not go through repeated fields or maps".to_owned(),
        ));
    }
    let values: &[String] = match rule {
        PredicateRule::Present | PredicateRule::Absent => return Ok(()),
        PredicateRule::Equals(value) => std::slice::from_ref(value),
        PredicateRule::In(values) => values,
        PredicateRule::Prefix(value) => {
            if !is_text(&found.field.kind) || value.is_empty() {
                return Err((
                    "tiền tố chỉ dùng cho trường văn bản và không được rỗng".to_owned(),
                    "a prefix is for texts and not empty".to_owned(),
                ));
            }
            return Ok(());
        }
    };
    if values.is_empty() {
        return Err(("phải có ít nhất một giá trị".to_owned(), "must name a value".to_owned()));
    }
    match values.iter().find(|value| !fits(shape, &found.field.kind, value)) {
        None => Ok(()),
        Some(value) => Err((
            format!("{value} không phải là giá trị của trường {path}"),
            format!("{value} is not a value of {path}"),
        )),
    }
}

const fn rule_compares(rule: &PredicateRule) -> bool {
    !matches!(rule, PredicateRule::Present | PredicateRule::Absent)
}

fn is_text(kind: &FieldType) -> bool {
    matches!(kind, FieldType::Scalar(name) if name == "string" || name.starts_with("string "))
}

/// Whether a text is the canonical text of a value of a type. Fractions, bytes, messages and maps have none.
fn fits(shape: &Shape, kind: &FieldType, value: &str) -> bool {
    let name = match kind {
        FieldType::Enum(of) => return shape.enums.get(of).is_some_and(|values| values.contains_key(value)),
        FieldType::Message(_) => return false,
        FieldType::Scalar(name) => name.as_str(),
    };
    fn whole<T: std::str::FromStr + ToString>(text: &str) -> bool {
        text.parse::<T>().is_ok_and(|number| number.to_string() == text)
    }
    match name {
        "int32" | "sint32" | "sfixed32" => whole::<i32>(value),
        "int64" | "sint64" | "sfixed64" => whole::<i64>(value),
        "uint32" | "fixed32" => whole::<u32>(value),
        "uint64" | "fixed64" => whole::<u64>(value),
        "bool" | "boolean" => matches!(value, "true" | "false"),
        _ if is_text(kind) => true,
        _ if name == "integer" || name.starts_with("integer ") => whole::<i64>(value),
        _ => false,
    }
}

/// What both sides sign.
pub(crate) fn document(
    agreement_id: Uuid,
    version: i64,
    parties: &Parties,
    interface_sha256: &[u8],
    terms: &Terms,
) -> Result<String, NotCanonical> {
    let methods: Vec<Value> = terms
        .methods
        .iter()
        .map(|(name, of)| json!({ "method": name, "predicates": of.predicates, "mask": of.mask }))
        .collect();
    canonical(&json!({
        "type": "egov.integration.agreement.v1",
        "agreement_id": agreement_id,
        "agreement_version": version,
        "consumer": { "organisation_id": parties.consumer_organisation_id, "system_id": parties.consumer_system_id },
        "provider": { "organisation_id": parties.provider_organisation_id, "system_id": parties.provider_system_id },
        "service": {
            "service_id": parties.service_id,
            "interface_version": terms.interface_version,
            "interface_sha256": hex::encode(interface_sha256),
        },
        "methods": methods,
        "purpose": terms.purpose,
        "legal_basis": terms.legal_basis,
        "allowed_purposes": terms.allowed_purposes,
        "quota": terms.quota,
        "bodies": terms.bodies,
        "valid_from": terms.valid_from,
        "valid_to": terms.valid_to,
        "delegable": terms.delegable,
    }))
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::descriptors;
    use crate::domain::permit::Predicate;

    const LIST: &str = "egov.integration.v1.AgreementService/ListAgreements";
    const SIGN: &str = "egov.integration.v1.AgreementService/SignAgreement";

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// Terms for one method.
    pub(crate) fn terms(method: &str, of: MethodTerms) -> Terms {
        Terms {
            methods: BTreeMap::from([(method.to_owned(), of)]),
            purpose: "đối chiếu hồ sơ".to_owned(),
            legal_basis: "NĐ 278/2025/NĐ-CP".to_owned(),
            allowed_purposes: vec!["verify".to_owned()],
            quota: Quota::default(),
            bodies: BodyPolicy::default(),
            valid_from: at(100),
            valid_to: at(1_000),
            delegable: false,
            interface_version: 1,
        }
    }

    fn predicate(field: &str, rule: PredicateRule) -> MethodTerms {
        MethodTerms {
            predicates: vec![Predicate {
                field: field.to_owned(),
                rule,
            }],
            mask: Vec::new(),
        }
    }

    fn wrong(method: &str, of: MethodTerms) -> usize {
        let shape = descriptors::shape(egov_proto::FILE_DESCRIPTOR_SET).unwrap();
        check(&terms(method, of), &shape, at(0)).len()
    }

    #[test]
    fn predicates_and_masks_are_read_by_the_interface() {
        let equals = |text: &str| PredicateRule::Equals(text.to_owned());
        assert_eq!(wrong(LIST, predicate("service_id", equals("x"))), 0);
        assert_eq!(wrong(LIST, predicate("page_size", equals("50"))), 0);
        assert_eq!(wrong(LIST, predicate("page_size", equals("050"))), 1, "not canonical");
        assert_eq!(wrong(LIST, predicate("page_size", equals("many"))), 1);
        assert_eq!(
            wrong(LIST, predicate("page_size", PredicateRule::Prefix("5".to_owned()))),
            1
        );
        assert_eq!(wrong(LIST, predicate("page_size", PredicateRule::In(Vec::new()))), 1);
        assert_eq!(wrong(LIST, predicate("nothing", PredicateRule::Absent)), 1);
        assert_eq!(wrong(SIGN, predicate("side", equals("SIDE_CONSUMER"))), 0);
        assert_eq!(wrong(SIGN, predicate("side", equals("SIDE_OTHER"))), 1);
        let create = "egov.integration.v1.AgreementService/CreateAgreement";
        assert_eq!(wrong(create, predicate("terms", PredicateRule::Present)), 0);
        assert_eq!(
            wrong(create, predicate("terms.methods.method", equals("x"))),
            1,
            "repeated"
        );
        let mask = |path: &str| MethodTerms {
            predicates: Vec::new(),
            mask: vec![path.to_owned()],
        };
        assert_eq!(wrong(LIST, mask("agreements.current.terms.purpose")), 0);
        assert_eq!(wrong(LIST, mask("agreements.secret")), 1);
        assert_eq!(
            wrong("egov.integration.v1.AgreementService/*", MethodTerms::default()),
            1
        );
    }

    #[test]
    fn a_path_leads_into_an_any_by_the_type_that_it_must_hold() {
        const CONTRACT: &str = r#"
            syntax = "proto3"; package demo;
            import "google/protobuf/any.proto";
            message Address { string ward = 1; int32 number = 2; google.protobuf.Any more = 3; }
            message Notice { google.protobuf.Any detail = 1; repeated google.protobuf.Any details = 2; Address address = 3; }
            service Notices { rpc Get(Notice) returns (Notice); }
        "#;
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("demo.proto"), CONTRACT).unwrap();
        let mut compiler = protox::Compiler::new([folder.path()]).unwrap();
        compiler.include_imports(true);
        compiler.open_files(["demo.proto"]).unwrap();
        let shape = descriptors::shape(&compiler.encode_file_descriptor_set()).unwrap();
        let wrong = |of: MethodTerms| check(&terms("demo.Notices/Get", of), &shape, at(0)).len();
        let mask = |path: &str| {
            wrong(MethodTerms {
                predicates: Vec::new(),
                mask: vec![path.to_owned()],
            })
        };
        for path in [
            "detail",
            "detail.[demo.Address]",
            "details.[demo.Address].ward",
            "detail.[demo.Address].more.[demo.Notice].address.ward",
            "detail.[google.protobuf.Any].[demo.Address].ward",
        ] {
            assert_eq!(mask(path), 0, "{path}");
        }
        for path in [
            "detail.value",
            "detail.ward",
            "detail.[demo.Ghost]",
            "detail.[demo.Address].ghost",
            "detail.[demo.Address]ward",
            "detail.[demo.Address",
            "address.[demo.Address].ward",
            "detail.[demo.Address].",
        ] {
            assert_eq!(mask(path), 1, "{path}");
        }
        let equals = |text: &str| PredicateRule::Equals(text.to_owned());
        for (path, rule, problems) in [
            ("detail.[demo.Address].ward", equals("W"), 0),
            ("detail.[demo.Address].number", equals("7"), 0),
            ("detail.[demo.Address].number", equals("07"), 1),
            ("detail.[demo.Address]", PredicateRule::Present, 0),
            ("detail.[demo.Address]", equals("W"), 1),
            ("details.[demo.Address].ward", equals("W"), 1),
            ("detail.[demo.Ghost]", PredicateRule::Present, 1),
        ] {
            assert_eq!(wrong(predicate(path, rule)), problems, "{path}");
        }
    }

    #[test]
    fn terms_that_contradict_themselves_are_refused_with_every_problem() {
        let shape = descriptors::shape(egov_proto::FILE_DESCRIPTOR_SET).unwrap();
        let mut bad = terms(LIST, MethodTerms::default());
        bad.valid_to = bad.valid_from;
        bad.bodies.request = true;
        let fields: Vec<String> = check(&bad, &shape, at(2_000))
            .into_iter()
            .map(|one| one.field)
            .collect();
        assert_eq!(fields, ["terms.valid_to", "terms.valid_to", "terms.retention_days"]);
    }

    #[test]
    fn nobody_agrees_that_bodies_of_streams_are_kept() {
        const STREAM: &str = "egov.integration.v1.EventService/Subscribe";
        let shape = descriptors::shape(egov_proto::FILE_DESCRIPTOR_SET).unwrap();
        let fields = |terms: &Terms| -> Vec<String> {
            let problems = check(terms, &shape, at(0)).into_iter();
            problems.map(|one| one.field).collect()
        };
        let mut both = terms(STREAM, MethodTerms::default());
        both.methods.insert(LIST.to_owned(), MethodTerms::default());
        assert!(fields(&both).is_empty());
        for (request, response) in [(true, false), (false, true)] {
            both.bodies = BodyPolicy {
                request,
                response,
                retention_days: 1,
            };
            assert_eq!(fields(&both), [format!("terms.methods[{STREAM}]")]);
        }
        both.methods.remove(STREAM);
        assert!(fields(&both).is_empty());
    }

    proptest! {
        /// Whatever differs in the terms differs in what is signed, and what is signed is canonical.
        #[test]
        fn what_is_signed_says_everything(purpose in "\\PC{1,20}", minute in any::<u32>(), delegable in any::<bool>()) {
            let parties = Parties {
                consumer_organisation_id: Uuid::from_u128(1), consumer_system_id: Uuid::from_u128(2),
                provider_organisation_id: Uuid::from_u128(3), provider_system_id: Uuid::from_u128(4),
                service_id: Uuid::from_u128(5),
            };
            let base = terms(LIST, MethodTerms::default());
            let mut other = base.clone();
            other.purpose = purpose;
            other.quota.per_minute = minute;
            other.delegable = delegable;
            let text = |terms: &Terms| document(Uuid::nil(), 1, &parties, &[0; 32], terms).unwrap();
            prop_assert_eq!(text(&base) == text(&other), base == other);
            let read: Value = serde_json::from_str(&text(&other)).unwrap();
            prop_assert_eq!(canonical(&read).unwrap(), text(&other));
        }
    }
}
