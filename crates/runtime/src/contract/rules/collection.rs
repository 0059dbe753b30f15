//! Rules of repeated fields and maps.

use std::collections::HashSet;

use prost_reflect::{DynamicMessage, Kind, MessageDescriptor, Value};

use super::{Check, FieldRules, Problems, counted, known, value_rules};

pub(super) fn list(kind: &Kind, set: &DynamicMessage, rules: &mut FieldRules, problems: &mut Problems<'_>) {
    for (rule, value) in known(set, "repeated", problems) {
        let number = value.as_u64().unwrap_or_default();
        match rule.name() {
            "min_items" => rules.checks.push(size(
                "repeated.min_items",
                format!("phải có ít nhất {number} mục"),
                format!("must have at least {}", counted(number, "item")),
                move |size| size >= number,
            )),
            "max_items" => rules.checks.push(size(
                "repeated.max_items",
                format!("không được quá {number} mục"),
                format!("must have at most {}", counted(number, "item")),
                move |size| size <= number,
            )),
            "unique" if value.as_bool() != Some(true) => {}
            "unique" if matches!(kind, Kind::Message(_) | Kind::Float | Kind::Double) => {
                problems.wrong(
                    "repeated.unique",
                    "messages and floating point numbers are not compared",
                );
            }
            "unique" => rules.checks.push(Check::new(
                "repeated.unique",
                "không được có mục trùng nhau",
                "must not have equal items",
                |value| value.as_list().is_none_or(all_different),
            )),
            "items" => {
                if let Some(set) = value.as_message() {
                    rules.items = value_rules(kind, "repeated.items", set, problems);
                }
            }
            other => problems.not_implemented(&format!("repeated.{other}")),
        }
    }
}

pub(super) fn map(
    entry: &MessageDescriptor,
    set: &DynamicMessage,
    rules: &mut FieldRules,
    problems: &mut Problems<'_>,
) {
    for (rule, value) in known(set, "map", problems) {
        let number = value.as_u64().unwrap_or_default();
        match (rule.name(), value.as_message()) {
            ("min_pairs", _) => rules.checks.push(size(
                "map.min_pairs",
                format!("phải có ít nhất {number} mục"),
                format!("must have at least {number} in all"),
                move |size| size >= number,
            )),
            ("max_pairs", _) => rules.checks.push(size(
                "map.max_pairs",
                format!("không được quá {number} mục"),
                format!("must have at most {number} in all"),
                move |size| size <= number,
            )),
            ("keys", Some(set)) => {
                let kind = entry.map_entry_key_field().kind();
                rules.keys = value_rules(&kind, "map.keys", set, problems);
            }
            ("values", Some(set)) => {
                let kind = entry.map_entry_value_field().kind();
                rules.values = value_rules(&kind, "map.values", set, problems);
            }
            (other, _) => problems.not_implemented(&format!("map.{other}")),
        }
    }
}

fn size(rule: &'static str, vi: String, en: String, keeps: impl Fn(u64) -> bool + Send + Sync + 'static) -> Check {
    Check::new(rule, vi, en, move |value| match value {
        Value::List(items) => keeps(items.len() as u64),
        Value::Map(entries) => keeps(entries.len() as u64),
        _ => true,
    })
}

/// Whether no two items are equal. Items are scalars: the compiler of the rule refuses others.
fn all_different(items: &[Value]) -> bool {
    #[derive(PartialEq, Eq, Hash)]
    enum Key<'v> {
        Text(&'v str),
        Bytes(&'v [u8]),
        Number(i128),
    }
    let mut seen = HashSet::with_capacity(items.len());
    items.iter().all(|item| {
        let key = match item {
            Value::String(text) => Key::Text(text),
            Value::Bytes(bytes) => Key::Bytes(bytes),
            Value::Bool(flag) => Key::Number((*flag).into()),
            Value::I32(number) | Value::EnumNumber(number) => Key::Number((*number).into()),
            Value::I64(number) => Key::Number((*number).into()),
            Value::U32(number) => Key::Number((*number).into()),
            Value::U64(number) => Key::Number((*number).into()),
            _ => return true,
        };
        seen.insert(key)
    })
}
