//! How much there is to judge by: the schemas of a document, with references followed.

use serde_json::Value;

use crate::{FormFault, FormFaultKind, fault};

/// Most schemas that judge what a program sends, each reference counted with all that it leads to. So many times at most is each part
/// of the data looked at; a schema that leads back to itself has no end.
pub const MOST_SCHEMAS: usize = 1_000;

/// What is wrong with a schema that would be too much work to judge by.
pub(crate) fn too_much(root: &Value) -> Vec<FormFault> {
    let mut unknown: Vec<&str> = Vec::new();
    let (mut waiting, mut left) = (vec![root], MOST_SCHEMAS);
    while let Some(schema) = waiting.pop() {
        left = left.saturating_sub(1);
        for (keyword, value) in schema.as_object().into_iter().flatten() {
            match (keyword.as_str(), value) {
                ("$ref", Value::String(to)) => match to.strip_prefix('#').and_then(|pointer| root.pointer(pointer)) {
                    Some(schema) => waiting.push(schema),
                    None => unknown.push(to),
                },
                // Where it leads depends on the way that led to it.
                ("$dynamicRef", Value::String(to)) => unknown.push(to),
                ("properties" | "patternProperties" | "dependentSchemas", Value::Object(schemas)) => {
                    waiting.extend(schemas.values());
                }
                ("allOf" | "anyOf" | "oneOf" | "prefixItems", Value::Array(schemas)) => waiting.extend(schemas),
                (
                    "items"
                    | "contains"
                    | "additionalProperties"
                    | "unevaluatedProperties"
                    | "unevaluatedItems"
                    | "not"
                    | "if"
                    | "then"
                    | "else"
                    | "propertyNames",
                    schema,
                ) => waiting.push(schema),
                _ => {}
            }
        }
        if waiting.len() > left {
            return vec![fault(
                FormFaultKind::Schema,
                "",
                "tham chiếu vòng, hoặc quá 1.000 lược đồ con khi theo hết các tham chiếu",
                "leads back to itself, or has more than 1,000 schemas with its references followed",
            )];
        }
    }
    unknown.sort_unstable();
    unknown.dedup();
    unknown
        .into_iter()
        .map(|to| {
            fault(
                FormFaultKind::Schema,
                to,
                "chỉ được tham chiếu bằng JSON pointer tới một phần có trong văn bản",
                "is no JSON pointer to something in the document",
            )
        })
        .collect()
}
