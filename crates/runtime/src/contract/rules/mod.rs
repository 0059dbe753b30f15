//! The rules of `buf.validate` that this crate implements, with their texts.
//!
//! The ids and the meaning are those of protovalidate 1.x, so that a client which validates with another
//! implementation comes to the same result. What is set in a contract and not listed here is a problem at start.

mod choice;
mod collection;
mod number;
mod pattern;
mod text;

use std::borrow::Cow;

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, Value};

use super::formats::Formats;
use super::plan::ValuePlan;

/// What is wrong with a value.
pub(super) struct Finding {
    pub(super) rule: Cow<'static, str>,
    pub(super) vi: String,
    pub(super) en: String,
}

/// One compiled rule: a value in, a finding out.
pub(super) struct Check(Box<Test>);

type Test = dyn Fn(&Value) -> Option<Finding> + Send + Sync;

impl Check {
    /// A rule that a value keeps or breaks. A value of another type keeps every rule: its field comes from another
    /// version of the contract, and decoding has judged it.
    fn new(
        rule: &'static str,
        vi: impl Into<String>,
        en: impl Into<String>,
        keeps: impl Fn(&Value) -> bool + Send + Sync + 'static,
    ) -> Self {
        let (vi, en) = (vi.into(), en.into());
        Self(Box::new(move |value| {
            (!keeps(value)).then(|| Finding {
                rule: Cow::Borrowed(rule),
                vi: vi.clone(),
                en: en.clone(),
            })
        }))
    }

    /// As [`Check::new`], for texts.
    fn text(
        rule: &'static str,
        vi: impl Into<String>,
        en: impl Into<String>,
        keeps: impl Fn(&str) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self::new(rule, vi, en, move |value| value.as_str().is_none_or(&keeps))
    }

    pub(super) fn run(&self, value: &Value) -> Option<Finding> {
        (self.0)(value)
    }
}

/// When the rules of a field do not apply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Ignore {
    /// They apply whenever the field is set, and to a field without presence always.
    #[default]
    Never,
    /// They do not apply to a zero value.
    Zero,
    /// They are switched off.
    Always,
}

/// The rules of one field.
#[derive(Default)]
pub(super) struct FieldRules {
    pub(super) required: bool,
    pub(super) ignore: Ignore,
    /// Of the value itself; of the list or map as a whole, if it is one.
    pub(super) checks: Vec<Check>,
    pub(super) items: ValuePlan,
    pub(super) keys: ValuePlan,
    pub(super) values: ValuePlan,
}

/// Where problems of one field are collected.
struct Problems<'a> {
    field: &'a str,
    list: &'a mut Vec<String>,
}

impl Problems<'_> {
    fn not_implemented(&mut self, rule: &str) {
        self.list.push(not_implemented(self.field, rule));
    }

    fn wrong(&mut self, rule: &str, what: &str) {
        self.list.push(format!("{}: {rule}: {what}", self.field));
    }
}

pub(super) fn not_implemented(place: &str, rule: &str) -> String {
    format!("{place}: the rule {rule} is not implemented")
}

/// The finding of a required field that is not set.
pub(super) fn missing() -> Finding {
    Finding {
        rule: Cow::Borrowed("required"),
        vi: "bắt buộc phải có".to_owned(),
        en: "is required".to_owned(),
    }
}

/// Compiles `buf.validate.FieldRules` of a field.
pub(super) fn field(field: &FieldDescriptor, set: &DynamicMessage, problems: &mut Vec<String>) -> FieldRules {
    let mut problems = Problems {
        field: field.full_name(),
        list: problems,
    };
    let mut rules = FieldRules::default();
    for (rule, value) in known(set, "field", &mut problems) {
        match rule.name() {
            "required" => rules.required = value.as_bool() == Some(true),
            "ignore" => rules.ignore = ignore(value, &mut problems),
            "repeated" if field.is_list() => {
                if let Some(set) = value.as_message() {
                    collection::list(&field.kind(), set, &mut rules, &mut problems);
                }
            }
            "map" if field.is_map() => {
                if let (Some(set), Kind::Message(entry)) = (value.as_message(), field.kind()) {
                    collection::map(&entry, set, &mut rules, &mut problems);
                }
            }
            name if field.is_list() || field.is_map() => {
                problems.wrong(name, "does not fit a repeated field or a map");
            }
            _ => typed(&field.kind(), &rule, value, &mut rules.checks, &mut problems),
        }
    }
    rules
}

/// Compiles `buf.validate.FieldRules` of a list's items, a map's keys or its values.
fn value_rules(kind: &Kind, place: &str, set: &DynamicMessage, problems: &mut Problems<'_>) -> ValuePlan {
    let mut plan = ValuePlan::default();
    for (rule, value) in known(set, place, problems) {
        match rule.name() {
            "ignore" => plan.ignore = ignore(value, problems),
            // An item is always there: the rule could only mean that it is not zero, which `min_len` says better.
            "required" if value.as_bool() != Some(true) => {}
            "required" => problems.not_implemented(&format!("{place}.required")),
            _ => typed(kind, &rule, value, &mut plan.checks, problems),
        }
    }
    plan
}

/// Compiles one entry of the oneof `FieldRules.type`.
fn typed(kind: &Kind, rule: &FieldDescriptor, value: &Value, checks: &mut Vec<Check>, problems: &mut Problems<'_>) {
    let name = rule.name();
    let Some(set) = value.as_message() else {
        // The rules in CEL are lists of expressions, and whatever else a later protovalidate adds.
        problems.not_implemented(name);
        return;
    };
    let fits = match name {
        "string" => matches!(kind, Kind::String),
        "bytes" => matches!(kind, Kind::Bytes),
        "bool" => matches!(kind, Kind::Bool),
        "enum" => matches!(kind, Kind::Enum(_)),
        "float" => matches!(kind, Kind::Float),
        "double" => matches!(kind, Kind::Double),
        "int32" => matches!(kind, Kind::Int32),
        "int64" => matches!(kind, Kind::Int64),
        "uint32" => matches!(kind, Kind::Uint32),
        "uint64" => matches!(kind, Kind::Uint64),
        "sint32" => matches!(kind, Kind::Sint32),
        "sint64" => matches!(kind, Kind::Sint64),
        "fixed32" => matches!(kind, Kind::Fixed32),
        "fixed64" => matches!(kind, Kind::Fixed64),
        "sfixed32" => matches!(kind, Kind::Sfixed32),
        "sfixed64" => matches!(kind, Kind::Sfixed64),
        _ => {
            problems.not_implemented(name);
            return;
        }
    };
    if !fits {
        problems.wrong(name, &format!("does not fit a field of type {kind:?}"));
        return;
    }
    match (name, kind) {
        ("string", _) => text::string(set, checks, problems),
        ("bytes", _) => text::bytes(set, checks, problems),
        ("bool", _) => choice::boolean(set, checks, problems),
        ("enum", Kind::Enum(descriptor)) => choice::enumeration(descriptor, set, checks, problems),
        ("float" | "double", _) => number::compile::<f64>(name, set, checks, problems),
        _ => number::compile::<i128>(name, set, checks, problems),
    }
}

/// The rules that are set, after those have been reported which the descriptor does not even name: unknown fields
/// (a later protovalidate) and predefined rules (extensions).
fn known<'m>(set: &'m DynamicMessage, place: &str, problems: &mut Problems<'_>) -> Vec<(FieldDescriptor, &'m Value)> {
    for unknown in set.unknown_fields() {
        problems.not_implemented(&format!("{place} number {}", unknown.number()));
    }
    for (extension, _) in set.extensions() {
        problems.not_implemented(extension.full_name());
    }
    set.fields().collect()
}

fn ignore(value: &Value, problems: &mut Problems<'_>) -> Ignore {
    // buf.validate.Ignore: 0 unspecified, 1 if zero value, 3 always.
    match value.as_enum_number() {
        Some(0) => Ignore::Never,
        Some(1) => Ignore::Zero,
        Some(3) => Ignore::Always,
        _ => {
            problems.not_implemented("ignore with this value");
            Ignore::Never
        }
    }
}

/// Compiles `egov.options.v1.format` of a field.
pub(super) fn format(
    field: &FieldDescriptor,
    name: &str,
    formats: Option<&Formats>,
    problems: &mut Vec<String>,
) -> Option<Check> {
    if !matches!(field.kind(), Kind::String) {
        problems.push(format!("{}: only a text can have the format {name}", field.full_name()));
        return None;
    }
    let check = match formats?.get(name) {
        Some(check) => check.clone(),
        None => {
            problems.push(format!(
                "{}: the format {name} is not known to this service",
                field.full_name()
            ));
            return None;
        }
    };
    let rule = format!("format.{}", name.to_lowercase());
    Some(Check(Box::new(move |value| {
        let text = value.as_str().filter(|text| !text.is_empty())?;
        let (vi, en) = check(text).err()?;
        Some(Finding {
            rule: Cow::Owned(rule.clone()),
            vi,
            en,
        })
    })))
}

/// `3 characters`, `1 character`.
fn counted(number: u64, one: &str) -> String {
    if number == 1 {
        format!("1 {one}")
    } else {
        format!("{number} {one}s")
    }
}

/// `a, b, c`.
fn listed<T: std::fmt::Display>(values: impl IntoIterator<Item = T>) -> String {
    let texts: Vec<String> = values.into_iter().map(|value| value.to_string()).collect();
    texts.join(", ")
}
