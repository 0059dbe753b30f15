#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail loudly")]

use proptest::prelude::*;

use super::*;

const BIRTH: &str = r##"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "title": "Tờ khai đăng ký khai sinh",
  "type": "object",
  "additionalProperties": false,
  "required": ["ho_ten", "ngay_sinh", "cha_me"],
  "properties": {
    "ho_ten": {"title": "Họ, chữ đệm, tên", "type": "string", "minLength": 2, "maxLength": 100},
    "ngay_sinh": {"title": "Ngày sinh", "type": "string", "format": "date"},
    "gioi_tinh": {"title": "Giới tính", "enum": ["nam", "nu"]},
    "so_ban_sao": {"title": "Số bản sao", "type": "integer", "minimum": 0, "maximum": 20},
    "dinh_danh": {"$ref": "#/$defs/so"},
    "cha_me": {
      "title": "Cha, mẹ", "type": "array", "minItems": 1, "maxItems": 2,
      "items": {
        "type": "object", "required": ["ho_ten"],
        "properties": {"ho_ten": {"title": "Họ tên cha hoặc mẹ", "type": "string"}, "so": {"$ref": "#/$defs/so"}}
      }
    }
  },
  "$defs": {"so": {"title": "Số định danh cá nhân", "type": "string", "pattern": "^[0-9]{12}$"}}
}"##;

fn pointers(violations: &[Violation]) -> Vec<(&str, &str)> {
    violations
        .iter()
        .map(|violation| (violation.pointer.as_str(), violation.rule.as_str()))
        .collect()
}

#[test]
fn every_violation_is_named_by_the_label_of_its_field() {
    let form = Form::read(BIRTH).unwrap();
    assert_eq!(form.title(), "Tờ khai đăng ký khai sinh");
    let filled = r#"{"ho_ten": "A", "ngay_sinh": "2026-02-30", "gioi_tinh": "x", "so_ban_sao": 21, "dinh_danh": "12",
        "cha_me": [{"so": "không"}], "la": 1}"#;
    let violations = form.check(filled).unwrap_err();
    assert_eq!(
        pointers(&violations),
        [
            ("/cha_me/0/ho_ten", "required"),
            ("/cha_me/0/so", "pattern"),
            ("/dinh_danh", "pattern"),
            ("/gioi_tinh", "enum"),
            ("/ho_ten", "minLength"),
            ("/la", "additionalProperties"),
            ("/ngay_sinh", "format"),
            ("/so_ban_sao", "maximum"),
        ]
    );
    let vi: Vec<&str> = violations.iter().map(|violation| violation.vi.as_str()).collect();
    assert_eq!(
        vi,
        [
            "“Họ tên cha hoặc mẹ” phải có",
            "“Số định danh cá nhân” không đúng dạng yêu cầu",
            "“Số định danh cá nhân” không đúng dạng yêu cầu",
            "“Giới tính” không thuộc các giá trị được phép",
            "“Họ, chữ đệm, tên” phải có ít nhất 2 ký tự",
            "“la” không có trong mẫu đơn",
            "“Ngày sinh” phải là một ngày có thật, dạng năm-tháng-ngày",
            "“Số bản sao” không được lớn hơn 20",
        ]
    );
    // What was filled in is personal data: no message repeats it.
    assert!(
        violations
            .iter()
            .all(|violation| !violation.vi.contains("không\"") && !violation.en.contains("2026-02"))
    );
}

#[test]
fn what_is_right_is_kept_in_one_form_whatever_its_spaces_and_order() {
    let form = Form::read(BIRTH).unwrap();
    let kept = form
        .check(r#" {"ngay_sinh":"2026-11-01", "ho_ten":"Nguyễn An",  "cha_me":[{"ho_ten":"Nguyễn Bình"}]} "#)
        .unwrap();
    assert_eq!(
        kept,
        r#"{"cha_me":[{"ho_ten":"Nguyễn Bình"}],"ho_ten":"Nguyễn An","ngay_sinh":"2026-11-01"}"#
    );
    assert_eq!(form.check(&kept).unwrap(), kept);
}

#[test]
fn an_answer_of_several_possible_forms_is_told_by_the_nearest() {
    let form = Form::read(
        r#"{"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Nộp", "type": "object",
            "oneOf": [
              {"required": ["a", "b", "c"], "properties": {"a": {"title": "A"}, "b": {"title": "B"}, "c": {"title": "C"}}},
              {"required": ["d"], "properties": {"d": {"title": "Địa chỉ"}}}]}"#,
    )
    .unwrap();
    let violations = form.check("{}").unwrap_err();
    assert_eq!(pointers(&violations), [("/d", "required")]);
    assert_eq!(violations[0].vi, "“Địa chỉ” phải có");
}

#[test]
fn a_form_is_refused_with_everything_that_is_wrong_with_it() {
    let kinds = |text: &str| -> Vec<(FormFaultKind, String)> {
        let faults = Form::read(text).unwrap_err();
        faults.into_iter().map(|fault| (fault.kind, fault.pointer)).collect()
    };
    assert_eq!(kinds("{"), [(FormFaultKind::Unreadable, String::new())]);
    assert_eq!(
        kinds(r#"{"$schema": "http://json-schema.org/draft-07/schema#", "type": "array"}"#),
        [
            (FormFaultKind::Schema, "/$schema".to_owned()),
            (FormFaultKind::Schema, "/type".to_owned()),
            (FormFaultKind::Label, String::new()),
        ]
    );
    let outside = r#"{"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "T", "type": "object",
        "properties": {"a": {"title": "A", "$ref": "https://example.org/x.json"}, "b": {"type": "string"}}}"#;
    assert_eq!(
        kinds(outside),
        [
            (FormFaultKind::Schema, "/properties/a/$ref".to_owned()),
            (FormFaultKind::Label, "/properties/b".to_owned()),
        ]
    );
    let wrong = r#"{"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "T", "type": "object",
        "properties": {"a": {"title": "A", "type": "chữ"}}}"#;
    assert_eq!(kinds(wrong)[0].0, FormFaultKind::Schema);
    // An engine with backtracking would take it, and might take for ever.
    let pattern = r#"{"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "T", "type": "object",
        "properties": {"a": {"title": "A", "type": "string", "pattern": "(a)\\1"}}}"#;
    assert_eq!(kinds(pattern)[0].0, FormFaultKind::Schema);
    let dangling = r##"{"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "T", "type": "object",
        "properties": {"a": {"title": "A", "$ref": "#/$defs/none"}}}"##;
    assert_eq!(kinds(dangling)[0].0, FormFaultKind::Schema);
}

#[test]
fn a_form_that_refers_to_itself_ends_and_what_is_too_deep_or_long_is_refused() {
    let form = Form::read(
        r##"{"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Cây", "type": "object",
            "additionalProperties": false, "properties": {"con": {"$ref": "#"}}}"##,
    )
    .unwrap();
    assert!(form.check(r#"{"con": {"con": {}}}"#).is_ok());
    assert_eq!(
        form.check(r#"{"con": {"con": {"x": 1}}}"#).unwrap_err()[0].pointer,
        "/con/con/x"
    );
    let deep = format!("{}{}{}", r#"{"con":"#.repeat(40), "{}", "}".repeat(40));
    assert_eq!(form.check(&deep).unwrap_err()[0].rule, "json");
    let long = format!(r#"{{"con": {{}}{}}}"#, " ".repeat(MOST_BYTES));
    assert_eq!(form.check(&long).unwrap_err()[0].rule, "json");
}

#[test]
fn what_programs_send_needs_no_labels_and_its_schema_is_bounded() {
    let of = |rest: &str| format!(r#"{{"$schema": "{DRAFT}", "type": "object", {rest}}}"#);
    let schema = of(r##""required": ["id"], "additionalProperties": false,
            "properties": {"id": {"type": "string", "maxLength": 3}, "lines": {"type": "array", "items": {"$ref": "#/$defs/line"}}},
            "$defs": {"line": {"type": "object", "properties": {"amount": {"type": "integer"}}}}"##);
    Form::read(&schema).unwrap_err();
    let form = Form::of_programs(&schema).unwrap();
    assert_eq!(form.check(r#"{"id": "a"}"#).unwrap(), r#"{"id":"a"}"#);
    let violations = form.check(r#"{"lines": [{"amount": "x"}], "more": 1}"#).unwrap_err();
    let said: Vec<(&str, &str)> = violations
        .iter()
        .map(|one| (one.pointer.as_str(), one.vi.as_str()))
        .collect();
    assert_eq!(
        said,
        [
            ("/id", "“id” phải có"),
            ("/lines/0/amount", "“amount” phải là số nguyên"),
            ("/more", "“more” không có trong lược đồ"),
        ]
    );
    assert_eq!(
        form.check("[]").unwrap_err()[0].en,
        "the data must be a group of fields"
    );

    let faults = |rest: &str| Form::of_programs(&of(rest)).unwrap_err();
    assert!(
        faults(r##""properties": {"more": {"$ref": "#"}}"##)[0]
            .en
            .contains("leads back to itself")
    );
    assert_eq!(
        faults(r##""properties": {"more": {"$dynamicRef": "#x"}}, "$defs": {"x": {"$dynamicAnchor": "x"}}"##)[0]
            .pointer,
        "#x"
    );
    // Each of them twice as much work as the one before: a million at the end.
    let doubled: Vec<String> = (0..20)
        .map(|n| {
            format!(
                r##""d{n}": {{"allOf": [{{"$ref": "#/$defs/d{0}"}}, {{"$ref": "#/$defs/d{0}"}}]}}"##,
                n + 1
            )
        })
        .collect();
    let doubled = format!(
        r##""allOf": [{{"$ref": "#/$defs/d0"}}], "$defs": {{{}, "d20": {{"type": "object"}}}}"##,
        doubled.join(", ")
    );
    assert!(faults(&doubled)[0].en.contains("more than 1,000 schemas"));
}

fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i32>().prop_map(Into::into),
        "[a-zà-ỹ0-9-]{0,12}".prop_map(Into::into),
        Just("2026-11-01".into()),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Into::into),
            prop::collection::btree_map("ho_ten|ngay_sinh|cha_me|so|la|dinh_danh", inner, 0..5)
                .prop_map(|fields| serde_json::Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused_as_a_form_and_as_an_answer(text in ".{0,200}") {
        let _ = Form::read(&text);
        let form = Form::read(BIRTH).unwrap();
        if let Err(violations) = form.check(&text) {
            prop_assert!(!violations.is_empty());
        }
    }

    /// The judgement agrees with the library's own yes or no, and every violation points at a place.
    #[test]
    fn an_answer_is_refused_exactly_if_the_library_refuses_it(filled in any_json()) {
        let form = Form::read(BIRTH).unwrap();
        let schema: serde_json::Value = serde_json::from_str(BIRTH).unwrap();
        let plain = jsonschema::draft202012::options().should_validate_formats(true).build(&schema).unwrap();
        match form.check(&filled.to_string()) {
            Ok(kept) => {
                prop_assert!(plain.is_valid(&filled));
                prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&kept).unwrap(), filled);
            }
            Err(violations) => {
                prop_assert!(!plain.is_valid(&filled));
                prop_assert!(violations.iter().all(|v| v.pointer.is_empty() || v.pointer.starts_with('/')));
            }
        }
    }
}
