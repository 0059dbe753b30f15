//! Violations in words: what the library found, told to the person who filled the form in.

use jsonschema::ValidationError;
use jsonschema::error::{TypeKind, ValidationErrorKind as Kind};
use serde_json::Value;

use crate::Violation;
use crate::labels::label;
use crate::read::escaped;

/// The violations that an error of the library stands for; of a form that people fill in, or of what programs send.
pub(crate) fn violations(error: &ValidationError<'_>, schema: &Value, labelled: bool) -> Vec<Violation> {
    let at = error.instance_path().as_str();
    let rule = error.kind().keyword().to_owned();
    let say = |pointer: String, vi: &str, en: &str| {
        // The whole of what programs send has no name.
        let name = label(schema, &pointer);
        let (of_vi, of_en) = if name.is_empty() {
            ("dữ liệu".to_owned(), "the data".to_owned())
        } else {
            (format!("“{name}”"), format!("“{name}”"))
        };
        Violation {
            rule: rule.clone(),
            vi: format!("{of_vi} {vi}"),
            en: format!("{of_en} {en}"),
            pointer,
        }
    };
    let (no_field_vi, no_field_en) = if labelled {
        ("không có trong mẫu đơn", "is no field of the form")
    } else {
        ("không có trong lược đồ", "is no field of the schema")
    };
    let here = |vi: &str, en: &str| vec![say(at.to_owned(), vi, en)];
    let unexpected = |names: &[String]| {
        names
            .iter()
            .map(|name| say(format!("{at}/{}", escaped(name)), no_field_vi, no_field_en))
            .collect()
    };
    match error.kind() {
        Kind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            vec![say(format!("{at}/{}", escaped(name)), "phải có", "is required")]
        }
        Kind::AdditionalProperties { unexpected: names } | Kind::UnevaluatedProperties { unexpected: names } => {
            unexpected(names)
        }
        // Of several possible forms of an answer, the one that is nearest says what to mend.
        Kind::AnyOf { context } | Kind::OneOfNotValid { context } => {
            let nearest = context
                .iter()
                .filter(|branch| !branch.is_empty())
                .min_by_key(|b| b.len());
            let below: Vec<Violation> = nearest
                .into_iter()
                .flatten()
                .flat_map(|error| violations(error, schema, labelled))
                .collect();
            if below.is_empty() || below.iter().all(|violation| violation.pointer == at) {
                here("không thuộc các giá trị được phép", "is none of what is allowed")
            } else {
                below
            }
        }
        Kind::PropertyNames { .. } => here("có tên trường không được phép", "has a field whose name is not allowed"),
        kind => {
            let (vi, en) = words(kind);
            here(&vi, &en)
        }
    }
}

fn words(kind: &Kind) -> (String, String) {
    let both = |vi: &str, en: &str| (vi.to_owned(), en.to_owned());
    match kind {
        Kind::Type { kind } => {
            let (vi, en) = type_words(kind);
            (format!("phải là {vi}"), format!("must be {en}"))
        }
        Kind::MinLength { limit } => (
            format!("phải có ít nhất {limit} ký tự"),
            format!("must have at least {limit} characters"),
        ),
        Kind::MaxLength { limit } => (
            format!("không được quá {limit} ký tự"),
            format!("must have at most {limit} characters"),
        ),
        Kind::Minimum { limit } => (
            format!("không được nhỏ hơn {limit}"),
            format!("must not be less than {limit}"),
        ),
        Kind::Maximum { limit } => (
            format!("không được lớn hơn {limit}"),
            format!("must not be more than {limit}"),
        ),
        Kind::ExclusiveMinimum { limit } => (format!("phải lớn hơn {limit}"), format!("must be more than {limit}")),
        Kind::ExclusiveMaximum { limit } => (format!("phải nhỏ hơn {limit}"), format!("must be less than {limit}")),
        Kind::MultipleOf { multiple_of } => (
            format!("phải là bội số của {multiple_of}"),
            format!("must be a multiple of {multiple_of}"),
        ),
        Kind::MinItems { limit } => (
            format!("phải có ít nhất {limit} mục"),
            format!("must have at least {limit} items"),
        ),
        Kind::MaxItems { limit } => (
            format!("không được quá {limit} mục"),
            format!("must have at most {limit} items"),
        ),
        Kind::AdditionalItems { limit } => (
            format!("không được quá {limit} mục"),
            format!("must have at most {limit} items"),
        ),
        Kind::UniqueItems => both("có mục bị lặp lại", "has an item twice"),
        Kind::Contains => both("thiếu một mục bắt buộc", "lacks an item that it must have"),
        Kind::MinProperties { limit } => (
            format!("phải điền ít nhất {limit} trường"),
            format!("must have at least {limit} fields"),
        ),
        Kind::MaxProperties { limit } => (
            format!("không được điền quá {limit} trường"),
            format!("must have at most {limit} fields"),
        ),
        Kind::Enum { .. } | Kind::Constant { .. } | Kind::OneOfMultipleValid { .. } => {
            both("không thuộc các giá trị được phép", "is none of what is allowed")
        }
        Kind::Pattern { .. } => both("không đúng dạng yêu cầu", "does not have the form that is asked for"),
        Kind::Format { format } => {
            let vi = match format.as_str() {
                "date" => "phải là một ngày có thật, dạng năm-tháng-ngày",
                "time" => "phải là giờ",
                "date-time" => "phải là ngày và giờ",
                "email" | "idn-email" => "phải là địa chỉ thư điện tử",
                "uuid" => "phải là mã định danh UUID",
                _ => "không đúng định dạng",
            };
            (vi.to_owned(), format!("must be of the format {format}"))
        }
        _ => both("không hợp lệ", "is not allowed"),
    }
}

fn type_words(kind: &TypeKind) -> (String, String) {
    let name = |word: &str| match word {
        "string" => ("chữ", "text"),
        "integer" => ("số nguyên", "a whole number"),
        "number" => ("số", "a number"),
        "boolean" => ("có hoặc không", "true or false"),
        "array" => ("danh sách", "a list"),
        "object" => ("nhóm thông tin", "a group of fields"),
        _ => ("để trống", "empty"),
    };
    let words: Vec<String> = match kind {
        TypeKind::Single(one) => vec![one.to_string()],
        TypeKind::Multiple(several) => several.iter().map(|one| one.to_string()).collect(),
    };
    let join = |or: &str, pick: fn((&'static str, &'static str)) -> &'static str| {
        let parts: Vec<&str> = words.iter().map(|word| pick(name(word))).collect();
        parts.join(or)
    };
    (join(" hoặc ", |pair| pair.0), join(" or ", |pair| pair.1))
}
