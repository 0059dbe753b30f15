//! An OpenAPI 3.0 or 3.1 document that somebody uploaded: read, and turned into the shape of an interface.
//!
//! Each operation gets one message for its request (parameters as `query.x`, `path.x`, `header.x`, the body as `body.x`) and one
//! for its response (the properties of all its 2xx answers; the answer itself is [`ROOT`]). Nested properties keep their whole path
//! as their name, so that it does not matter whether a schema is written in place or referred to. What repeats itself endlessly
//! ends there. What lies below a place of an answer that may be a map or something else has no name: in a mask it would mean two
//! things.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde_json::{Map, Value};

use super::descriptors::MAX_DOCUMENT_BYTES;
use super::routes::variables_of;
use super::shape::{Cardinality, FieldShape, FieldType, MethodShape, ROOT, Shape, TypeShape, Way};

/// How deep schemas are followed.
const MAX_DEPTH: usize = 12;

/// The most fields of one document, over all its operations: a schema that multiplies itself is refused.
const MAX_FIELDS: usize = 50_000;

/// The longest list of values of one place that is compared: a longer one is a code table, which has versions of its own.
const MAX_VALUES: usize = 1_000;

/// The HTTP methods of a path item.
const VERBS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

/// The shape of a document.
///
/// # Errors
/// Every problem, in English.
pub(crate) fn shape(document: &[u8]) -> Result<Shape, Vec<String>> {
    if document.len() > MAX_DOCUMENT_BYTES {
        return Err(vec![format!(
            "the document has {} bytes; at most {MAX_DOCUMENT_BYTES} are taken",
            document.len()
        )]);
    }
    let root: Value =
        serde_json::from_slice(document).map_err(|error| vec![format!("it is not a JSON document: {error}")])?;
    let mut reader = Reader {
        root: &root,
        problems: Vec::new(),
        shape: Shape::default(),
        fields: 0,
        unclear: BTreeSet::new(),
        lists: HashMap::new(),
    };
    reader.document();
    if reader.problems.is_empty() {
        Ok(reader.shape)
    } else {
        Err(reader.problems)
    }
}

/// The variable that a segment is, if it is one.
fn only_variable(segment: &str) -> Option<&str> {
    match variables_of(segment)?[..] {
        [variable] if segment.len() == variable.len() + 2 => Some(variable),
        _ => None,
    }
}

/// What is wrong with the templates of an interface that is published: braces that make no variable, and several variables in one
/// segment. Which text is whose could be read in more than one way there, and a predicate would judge another reading than the
/// provider's. Interfaces of before may have them; no path leads to such an operation.
pub(crate) fn templates(shape: &Shape) -> Vec<String> {
    let mut problems = Vec::new();
    for (name, method) in &shape.methods {
        let Some((_, path)) = name.split_once(' ') else {
            continue;
        };
        for segment in path.split('/') {
            match variables_of(segment) {
                None => problems.push(format!("{name}: the braces of {segment} make no variable")),
                Some(names) if names.len() > 1 => problems.push(format!(
                    "{name}: {segment} has several variables in one segment; one is taken, as in google.api.http"
                )),
                Some(names) => {
                    let input = shape.types.get(&method.input);
                    let declared = |variable: &str| {
                        input.is_some_and(|input| input.fields.contains_key(&format!("path.{variable}")))
                    };
                    let missing = names.into_iter().filter(|variable| !declared(variable));
                    problems.extend(
                        missing.map(|variable| format!("{name}: the path names {{{variable}}}, but no parameter does")),
                    );
                }
            }
        }
    }
    problems
}

struct Reader<'a> {
    root: &'a Value,
    problems: Vec<String>,
    shape: Shape,
    fields: usize,
    /// The places of the message at hand that may be a map or something else, by their paths.
    unclear: BTreeSet<String>,
    /// The values of the schemas that list them, once for all places that refer to one.
    lists: HashMap<*const Value, Arc<BTreeSet<String>>>,
}

impl<'a> Reader<'a> {
    fn document(&mut self) {
        let version = self.root.get("openapi").and_then(Value::as_str).unwrap_or_default();
        if !(version.starts_with("3.0.") || version.starts_with("3.1.")) {
            self.problems
                .push("openapi: must be a version 3.0.x or 3.1.x".to_owned());
        }
        for word in ["title", "version"] {
            let said = self.root.pointer(&format!("/info/{word}")).and_then(Value::as_str);
            if said.is_none_or(str::is_empty) {
                self.problems.push(format!("info.{word}: is missing"));
            }
        }
        let Some(paths) = self.root.get("paths").and_then(Value::as_object) else {
            self.problems.push("paths: is missing".to_owned());
            return;
        };
        for (path, item) in paths {
            if !path.starts_with('/') {
                self.problems.push(format!("paths.{path}: must begin with /"));
            }
            let Some(item) = self.resolve(item, path).and_then(Value::as_object) else {
                self.problems.push(format!("paths.{path}: is not an object"));
                continue;
            };
            for verb in VERBS {
                if let Some(operation) = item.get(verb) {
                    self.operation(path, verb, item, operation);
                }
            }
        }
        if self.shape.methods.is_empty() {
            self.problems.push("paths: has no operation".to_owned());
        }
    }

    fn operation(&mut self, path: &str, verb: &str, item: &'a Map<String, Value>, operation: &'a Value) {
        let name = format!("{} {path}", verb.to_uppercase());
        let Some(operation) = operation.as_object() else {
            self.problems.push(format!("{name}: is not an object"));
            return;
        };
        let mut request = BTreeMap::new();
        let shared = item.get("parameters").and_then(Value::as_array);
        let own = operation.get("parameters").and_then(Value::as_array);
        for parameter in shared.into_iter().chain(own).flatten() {
            self.parameter(&name, parameter, &mut request);
        }
        // What else may be wrong with a template, a document that is published anew is asked (`templates`).
        for variable in path.split('/').filter_map(only_variable) {
            if !request.contains_key(&format!("path.{variable}")) {
                self.problems
                    .push(format!("{name}: the path names {{{variable}}}, but no parameter does"));
            }
        }
        if let Some(body) = operation.get("requestBody").and_then(|body| self.resolve(body, &name)) {
            let required = body.get("required").and_then(Value::as_bool).unwrap_or(false);
            if let Some(schema) = json_schema(body) {
                self.schema(schema, "body", required, 0, &mut request);
            }
        }
        // The names of a request are judged as they stand; only masks mean something else below a map.
        self.unclear.clear();
        let mut response = BTreeMap::new();
        match operation.get("responses").and_then(Value::as_object) {
            None => self.problems.push(format!("{name}: responses is missing")),
            Some(responses) => {
                for (code, answer) in responses {
                    if !(code.starts_with('2') || code == "default") || (code == "default" && responses.len() > 1) {
                        continue;
                    }
                    if let Some(schema) = self.resolve(answer, &name).and_then(json_schema) {
                        self.schema(schema, ROOT, true, 0, &mut response);
                    }
                }
            }
        }
        self.leave_out_the_unclear(&mut response);
        let (input, output) = (format!("{name} request"), format!("{name} response"));
        for (key, way, fields) in [(&input, Way::Input, request), (&output, Way::Output, response)] {
            self.shape.types.insert(key.clone(), TypeShape { way, fields });
        }
        let method = MethodShape {
            client_streaming: false,
            server_streaming: false,
            input,
            output,
        };
        self.shape.methods.insert(name, method);
    }

    fn parameter(&mut self, operation: &str, parameter: &'a Value, request: &mut BTreeMap<String, FieldShape>) {
        let Some(parameter) = self.resolve(parameter, operation) else {
            return;
        };
        let word = |key: &str| parameter.get(key).and_then(Value::as_str);
        let (Some(name), Some(place)) = (word("name"), word("in")) else {
            self.problems
                .push(format!("{operation}: a parameter without name or in"));
            return;
        };
        if !["query", "path", "header", "cookie"].contains(&place) {
            self.problems.push(format!("{operation}: {name} is in {place}"));
            return;
        }
        let required = parameter.get("required").and_then(Value::as_bool).unwrap_or(false);
        if place == "path" && !required {
            self.problems
                .push(format!("{operation}: the path parameter {name} must be required"));
        }
        let schema = parameter.get("schema").or_else(|| json_schema(parameter));
        let path = format!("{place}.{name}");
        match schema {
            Some(schema) => self.schema(schema, &path, required, 0, request),
            None => self.problems.push(format!("{operation}: {name} has no schema")),
        }
    }

    /// Leaves out what lies below the places of an answer that may be a map or something else.
    fn leave_out_the_unclear(&mut self, fields: &mut BTreeMap<String, FieldShape>) {
        let unclear = std::mem::take(&mut self.unclear);
        fields.retain(|path, _| {
            let below_root = path != ROOT && unclear.contains(ROOT);
            let mut above = path.match_indices('.').filter_map(|(at, _)| path.get(..at));
            !below_root && !above.any(|above| unclear.contains(above))
        });
    }

    /// Adds the field at a path and all below it.
    fn schema(
        &mut self,
        schema: &'a Value,
        path: &str,
        required: bool,
        depth: usize,
        into: &mut BTreeMap<String, FieldShape>,
    ) {
        self.fields += 1;
        if self.fields == MAX_FIELDS {
            self.problems.push(format!("it has more than {MAX_FIELDS} fields"));
        }
        if depth > MAX_DEPTH || self.fields >= MAX_FIELDS {
            return;
        }
        let Some(mut schema) = self.resolve(schema, path) else {
            return;
        };
        let mut cardinality = Cardinality::Single;
        if type_name(schema) == "array" {
            cardinality = Cardinality::Repeated;
            if let Some(items) = schema.get("items").and_then(|items| self.resolve(items, path)) {
                schema = items;
            }
        } else if let Some(values) = values_of_map(schema).and_then(|values| self.resolve(values, path)) {
            cardinality = Cardinality::Map;
            schema = values;
        }
        // Maps within maps or lists have no names inside; another schema of the same place must not give them some.
        if cardinality != Cardinality::Single && values_of_map(schema).is_some() {
            self.unclear.insert(path.to_owned());
        }
        let values = self.values(schema);
        // Two answers of one operation may share a field.
        match into.entry(path.to_owned()) {
            Entry::Vacant(place) => {
                place.insert(FieldShape {
                    number: 0,
                    kind: FieldType::Scalar(type_name(schema)),
                    cardinality,
                    required,
                    oneof: None,
                    values,
                });
            }
            Entry::Occupied(mut held) => {
                let held = held.get_mut();
                if (held.cardinality == Cardinality::Map) != (cardinality == Cardinality::Map) {
                    self.unclear.insert(path.to_owned());
                }
                either(&mut held.values, values);
            }
        }
        self.properties(schema, path, depth, into);
    }

    fn properties(&mut self, schema: &'a Value, path: &str, depth: usize, into: &mut BTreeMap<String, FieldShape>) {
        let required: Vec<&str> = schema
            .get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        for (name, inner) in schema
            .get("properties")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            let below = if path == ROOT {
                name.clone()
            } else {
                format!("{path}.{name}")
            };
            self.schema(inner, &below, required.contains(&name.as_str()), depth + 1, into);
        }
        // Of a choice, every branch is possible; of allOf, every branch holds.
        for word in ["allOf", "oneOf", "anyOf"] {
            for branch in schema.get(word).and_then(Value::as_array).into_iter().flatten() {
                self.fields += 1;
                if depth < MAX_DEPTH
                    && self.fields < MAX_FIELDS
                    && let Some(branch) = self.resolve(branch, path)
                {
                    // Of all that hold, the names of one stay what they are; of a choice, one may be a map.
                    if word != "allOf" && values_of_map(branch).is_some() {
                        self.unclear.insert(path.to_owned());
                    }
                    self.properties(branch, path, depth + 1, into);
                }
            }
        }
    }

    /// The values to which a schema limits a place: its own list, or that of the first schema by which all of it is described (as
    /// documents write a reference with a description).
    fn values(&mut self, schema: &'a Value) -> Vec<Arc<BTreeSet<String>>> {
        let described = schema.get("allOf").and_then(Value::as_array).into_iter().flatten();
        let described = described.filter_map(|schema| self.target(schema));
        let Some((schema, listed)) = std::iter::once(schema)
            .chain(described)
            .find_map(|schema| Some((schema, listed(schema)?)))
        else {
            return Vec::new();
        };
        let list = self.lists.entry(std::ptr::from_ref(schema)).or_insert_with(|| {
            // Whether a place may be null is no question of its values.
            let values = listed.iter().filter(|value| !value.is_null());
            Arc::new(values.map(text_of).collect())
        });
        if list.is_empty() {
            Vec::new()
        } else {
            vec![Arc::clone(list)]
        }
    }

    /// What a `$ref` points to, if to anything; whether it must is asked elsewhere.
    fn target(&self, mut value: &'a Value) -> Option<&'a Value> {
        for _ in 0..16 {
            let Some(reference) = value.get("$ref").and_then(Value::as_str) else {
                return Some(value);
            };
            value = self.root.pointer(reference.strip_prefix('#')?)?;
        }
        None
    }

    /// What a `$ref` within the document points to.
    fn resolve(&mut self, value: &'a Value, place: &str) -> Option<&'a Value> {
        let mut value = value;
        for _ in 0..16 {
            let Some(reference) = value.get("$ref").and_then(Value::as_str) else {
                return Some(value);
            };
            let found = reference
                .strip_prefix('#')
                .and_then(|pointer| self.root.pointer(pointer));
            let Some(found) = found else {
                self.problems
                    .push(format!("{place}: {reference} points to nothing in the document"));
                return None;
            };
            value = found;
        }
        self.problems
            .push(format!("{place}: references that go round in a circle"));
        None
    }
}

/// The values that a schema lists, by `enum` or by `const`, unless they are too many.
fn listed(schema: &Value) -> Option<&[Value]> {
    let one = schema.get("const").map(std::slice::from_ref);
    let listed = one.or_else(|| schema.get("enum").and_then(Value::as_array).map(Vec::as_slice))?;
    (listed.len() <= MAX_VALUES).then_some(listed)
}

fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// What two schemas of one place leave together: what either does.
fn either(held: &mut Vec<Arc<BTreeSet<String>>>, more: Vec<Arc<BTreeSet<String>>>) {
    if more.is_empty() {
        held.clear();
    }
    // Once anything may stand there, no list limits it any more.
    if held.is_empty() {
        return;
    }
    for list in more {
        if !held.contains(&list) {
            held.push(list);
        }
    }
    if held.iter().map(|list| list.len()).sum::<usize>() > MAX_VALUES {
        held.clear();
    }
}

/// The schema of the JSON content.
fn json_schema(holder: &Value) -> Option<&Value> {
    let content = holder.get("content")?.as_object()?;
    content
        .iter()
        .find(|(kind, _)| kind.starts_with("application/json") || kind.ends_with("+json"))
        .and_then(|(_, media)| media.get("schema"))
}

/// The schema of the values of a map: an object that names none of its properties.
fn values_of_map(schema: &Value) -> Option<&Value> {
    let values = schema.get("additionalProperties").filter(|more| more.is_object())?;
    schema.get("properties").is_none().then_some(values)
}

/// The type of a schema with its format: `string`, `string date`, `object`; of several types (3.1), all but null.
fn type_name(schema: &Value) -> String {
    let kind = match schema.get("type") {
        Some(Value::String(one)) => one.clone(),
        Some(Value::Array(several)) => {
            let several: Vec<&str> = several
                .iter()
                .filter_map(Value::as_str)
                .filter(|one| *one != "null")
                .collect();
            several.join("|")
        }
        _ if schema.get("properties").is_some() || schema.get("allOf").is_some() => "object".to_owned(),
        _ => "any".to_owned(),
    };
    match schema.get("format").and_then(Value::as_str) {
        Some(format) => format!("{kind} {format}"),
        None => kind,
    }
}

#[cfg(test)]
mod tests;
