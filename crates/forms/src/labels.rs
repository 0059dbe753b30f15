//! Labels: what a field is called, and which fields have no name.

use serde_json::Value;

use crate::read::{escaped, names};
use crate::{FormFault, FormFaultKind, fault};

/// Keywords whose value is a schema, or a list or map of schemas, for the same place of what is filled in.
const SAME_PLACE: [&str; 6] = ["allOf", "anyOf", "oneOf", "if", "then", "else"];

/// How many references are followed to a label: a form may refer to itself.
const MOST_REFERENCES: usize = 16;

/// Every field of the form that has no label, and the form itself if it has none.
pub(crate) fn missing(schema: &Value) -> Vec<FormFault> {
    let mut faults = Vec::new();
    if own_title(schema, schema).is_none() {
        faults.push(without_label(""));
    }
    fields(schema, schema, "", &mut faults);
    faults
}

fn without_label(pointer: &str) -> FormFault {
    fault(
        FormFaultKind::Label,
        pointer,
        "chưa có nhãn (title)",
        "has no label (title)",
    )
}

/// Goes through schemas, not through whatever looks like one: a property may well be called `properties`.
fn fields(root: &Value, schema: &Value, pointer: &str, faults: &mut Vec<FormFault>) {
    let Some(object) = schema.as_object() else { return };
    let is_a_case = ["/if", "/then", "/else"].iter().any(|end| pointer.ends_with(end));
    for (keyword, value) in object {
        let below = format!("{pointer}/{keyword}");
        match (keyword.as_str(), value) {
            ("properties", Value::Object(properties)) => {
                for (name, property) in properties {
                    let at = format!("{below}/{}", escaped(name));
                    // What a condition says of a field that stands elsewhere needs no second label.
                    if !is_a_case && property.is_object() && own_title(root, property).is_none() {
                        faults.push(without_label(&at));
                    }
                    fields(root, property, &at, faults);
                }
            }
            ("$defs", Value::Object(definitions)) => {
                for (name, definition) in definitions {
                    fields(root, definition, &format!("{below}/{}", escaped(name)), faults);
                }
            }
            (
                "items"
                | "contains"
                | "not"
                | "if"
                | "then"
                | "else"
                | "additionalProperties"
                | "unevaluatedProperties"
                | "unevaluatedItems",
                value,
            ) => fields(root, value, &below, faults),
            ("allOf" | "anyOf" | "oneOf" | "prefixItems", Value::Array(schemas)) => {
                for (index, schema) in schemas.iter().enumerate() {
                    fields(root, schema, &format!("{below}/{index}"), faults);
                }
            }
            _ => {}
        }
    }
}

/// The label that a schema has itself, or by what it refers to.
fn own_title<'a>(root: &'a Value, schema: &'a Value) -> Option<&'a str> {
    let mut schema = schema;
    for _ in 0..MOST_REFERENCES {
        let title = schema.get("title").and_then(Value::as_str).map(str::trim);
        if let Some(title) = title.filter(|title| !title.is_empty()) {
            return Some(title);
        }
        schema = referred(root, schema)?;
    }
    None
}

fn referred<'a>(root: &'a Value, schema: &Value) -> Option<&'a Value> {
    let pointer = schema.get("$ref")?.as_str()?.strip_prefix('#')?;
    root.pointer(pointer)
}

/// What the field at a pointer of the filled-in form is called; its bare name if nothing says it.
pub(crate) fn label(root: &Value, pointer: &str) -> String {
    let mut places = vec![root];
    let mut last = String::new();
    for name in names(pointer) {
        places = places.iter().flat_map(|schema| below(root, schema, &name)).collect();
        last = name;
    }
    let found = places.iter().find_map(|schema| own_title(root, schema));
    // An item of a list is called like the list, with its place.
    let number = last.parse::<usize>().ok();
    match (found, number) {
        (Some(title), _) => title.to_owned(),
        (None, Some(number)) => {
            let list = pointer.rsplit_once('/').map(|(list, _)| list).unwrap_or_default();
            format!("{} [{}]", label(root, list), number + 1)
        }
        (None, None) => last,
    }
}

/// The schemas that judge a field or item of this name.
fn below<'a>(root: &'a Value, schema: &'a Value, name: &str) -> Vec<&'a Value> {
    everywhere(root, schema, MOST_REFERENCES)
        .into_iter()
        .filter_map(|schema| {
            let property = schema.get("properties").and_then(|properties| properties.get(name));
            property.or_else(|| {
                let index = name.parse::<usize>().ok()?;
                let first = schema.get("prefixItems").and_then(|items| items.get(index));
                first.or_else(|| schema.get("items"))
            })
        })
        .collect()
}

/// The schema with all that judge the same place.
fn everywhere<'a>(root: &'a Value, schema: &'a Value, deeper: usize) -> Vec<&'a Value> {
    let mut found = vec![schema];
    if deeper == 0 {
        return found;
    }
    if let Some(referred) = referred(root, schema) {
        found.extend(everywhere(root, referred, deeper - 1));
    }
    for keyword in SAME_PLACE {
        match schema.get(keyword) {
            Some(Value::Array(schemas)) => {
                found.extend(schemas.iter().flat_map(|schema| everywhere(root, schema, deeper - 1)));
            }
            Some(one) => found.extend(everywhere(root, one, deeper - 1)),
            None => {}
        }
    }
    found
}
