//! Messages as JSON Schema (2020-12).

use std::collections::{BTreeMap, BTreeSet, HashSet};

use egov_proto::options::Options;
use prost_reflect::{DynamicMessage, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor, Value as Rule};
use serde_json::{Map, Value, json};

use super::comments::Comments;

/// Whether a message is sent or comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Direction {
    Request,
    Answer,
}

/// The schemas of a document, collected as they are referred to.
pub(super) struct Schemas<'o> {
    options: &'o Options,
    comments: &'o Comments,
    /// Stands before each name.
    prefix: &'o str,
    /// Messages that come in requests and in answers, under two names.
    both: HashSet<String>,
    components: BTreeMap<String, Value>,
    /// What is referred to and not described yet: messages refer to one another as deep as their author likes.
    waiting: Vec<(String, MessageDescriptor, Direction)>,
    /// About how many bytes more the document may have; none for no limit.
    left: Option<usize>,
}

/// The forms of `google.protobuf` that are a text or a number in JSON, so that they fit into a path or a query.
pub(super) fn is_text(message: &MessageDescriptor) -> bool {
    matches!(
        message.full_name().strip_prefix("google.protobuf."),
        Some(
            "Timestamp"
                | "Duration"
                | "FieldMask"
                | "DoubleValue"
                | "FloatValue"
                | "Int64Value"
                | "UInt64Value"
                | "Int32Value"
                | "UInt32Value"
                | "BoolValue"
                | "StringValue"
                | "BytesValue"
        )
    )
}

impl<'o> Schemas<'o> {
    pub(super) fn new(
        options: &'o Options,
        comments: &'o Comments,
        prefix: &'o str,
        most: Option<usize>,
        inputs: impl Iterator<Item = MessageDescriptor>,
        outputs: impl Iterator<Item = MessageDescriptor>,
    ) -> Self {
        let (sent, answered) = (reachable(inputs), reachable(outputs));
        Self {
            options,
            comments,
            prefix,
            both: sent.intersection(&answered).cloned().collect(),
            components: BTreeMap::new(),
            waiting: Vec::new(),
            left: most,
        }
    }

    pub(super) fn into_components(mut self) -> Map<String, Value> {
        while let Some((name, message, direction)) = self.waiting.pop() {
            let schema = self.object(&message, direction, &[]);
            self.components.insert(name, schema);
        }
        self.components.into_iter().collect()
    }

    /// Whether more may be described.
    pub(super) fn has_room(&self) -> bool {
        self.left != Some(0)
    }

    /// Counts about so many bytes.
    pub(super) fn spend(&mut self, bytes: usize) {
        self.left = self.left.map(|left| left.saturating_sub(bytes));
    }

    /// Counts what was described.
    pub(super) fn spend_on(&mut self, described: &Value) {
        if self.left.is_some() {
            self.spend(described.to_string().len());
        }
    }

    /// A comment, as long as there is room.
    pub(super) fn comment(&mut self, comment: String) -> String {
        if !self.has_room() {
            return String::new();
        }
        self.spend(comment.len());
        comment
    }

    /// Whether patterns of a rule are looked into: those of our own contracts.
    fn trusts_patterns(&self) -> bool {
        self.left.is_none()
    }

    /// A reference to a message, whose schema is made if it is not there yet.
    pub(super) fn message(&mut self, message: &MessageDescriptor, direction: Direction) -> Value {
        if let Some(known) = well_known(message.full_name()) {
            return known;
        }
        let name = if direction == Direction::Request && self.both.contains(message.full_name()) {
            format!("{}{}.Input", self.prefix, message.full_name())
        } else {
            format!("{}{}", self.prefix, message.full_name())
        };
        if !self.components.contains_key(&name) {
            // A message may contain itself: the name is taken first.
            self.components.insert(name.clone(), Value::Null);
            self.waiting.push((name.clone(), message.clone(), direction));
        }
        json!({ "$ref": format!("#/components/schemas/{name}") })
    }

    /// A request's body without the fields that the path binds.
    pub(super) fn body(&mut self, message: &MessageDescriptor, bound: &[Vec<String>]) -> Value {
        if bound.is_empty() {
            self.message(message, Direction::Request)
        } else {
            self.object(message, Direction::Request, bound)
        }
    }

    fn object(&mut self, message: &MessageDescriptor, direction: Direction, bound: &[Vec<String>]) -> Value {
        let mut properties = Map::new();
        let mut required = Vec::new();
        let is_bound = |field: &FieldDescriptor| {
            bound
                .iter()
                .any(|names| names.len() == 1 && names.first().is_some_and(|name| name == field.name()))
        };
        let mut whole = true;
        for field in message.fields().filter(|field| !is_bound(field)) {
            if !self.has_room() {
                whole = false;
                break;
            }
            let below: Vec<Vec<String>> = bound
                .iter()
                .filter(|names| names.len() > 1 && names.first().is_some_and(|name| name == field.name()))
                .map(|names| names.get(1..).unwrap_or_default().to_vec())
                .collect();
            let schema = match field.kind() {
                Kind::Message(inner) if !below.is_empty() => self.object(&inner, direction, &below),
                _ => self.field(&field, direction),
            };
            if direction == Direction::Request && self.is_required(&field) && below.is_empty() {
                required.push(json!(field.json_name()));
            }
            if below.is_empty() {
                self.spend(field.json_name().len());
                self.spend_on(&schema);
            }
            properties.insert(field.json_name().to_owned(), schema);
        }
        let mut schema = Map::new();
        schema.insert("type".to_owned(), json!("object"));
        if !whole {
            // Neither closed nor required: what is not described may still be sent.
            schema.insert(
                "description".to_owned(),
                json!("too large to be described in full; the contract says the rest"),
            );
            schema.insert("properties".to_owned(), Value::Object(properties));
            return Value::Object(schema);
        }
        let comment = self.comments.of_path(&message.parent_file(), message.path());
        let comment = self.comment(comment);
        if !comment.is_empty() {
            schema.insert("description".to_owned(), json!(comment));
        }
        schema.insert("properties".to_owned(), Value::Object(properties));
        if !required.is_empty() {
            schema.insert("required".to_owned(), Value::Array(required));
        }
        if direction == Direction::Request {
            schema.insert("additionalProperties".to_owned(), json!(false));
            let oneofs = self.oneofs(message, &is_bound);
            if !oneofs.is_empty() {
                schema.insert("allOf".to_owned(), Value::Array(oneofs));
            }
        }
        Value::Object(schema)
    }

    /// Of fields that exclude one another one at most is given, or exactly one.
    fn oneofs(&self, message: &MessageDescriptor, is_bound: &impl Fn(&FieldDescriptor) -> bool) -> Vec<Value> {
        let mut all = Vec::new();
        for oneof in message.oneofs().filter(|oneof| !oneof.is_synthetic()) {
            let fields: Vec<FieldDescriptor> = oneof.fields().filter(|field| !is_bound(field)).collect();
            let required = self
                .options
                .oneof_rules(&oneof)
                .and_then(|rules| rules.get_field_by_name("required")?.as_bool())
                .unwrap_or(false);
            let mut choices: Vec<Value> = fields
                .iter()
                .map(|field| json!({ "required": [field.json_name()] }))
                .collect();
            if !required {
                let none = json!({ "not": { "anyOf": choices.clone() } });
                choices.push(none);
            }
            all.push(json!({ "oneOf": choices }));
        }
        all
    }

    /// Whether a request without the field breaks a rule: it is required, or its zero value is refused.
    pub(super) fn is_required(&self, field: &FieldDescriptor) -> bool {
        let Some(rules) = self.options.field_rules(field) else {
            return false;
        };
        if flag(&rules, "required") {
            return true;
        }
        let ignored = rules
            .get_field_by_name("ignore")
            .and_then(|value| value.as_enum_number())
            .unwrap_or_default()
            != 0;
        if ignored || field.supports_presence() {
            return false;
        }
        let of = |name: &str| {
            rules
                .has_field_by_name(name)
                .then(|| {
                    rules
                        .get_field_by_name(name)
                        .and_then(|rules| rules.as_message().cloned())
                })
                .flatten()
        };
        if field.is_list() {
            return of("repeated").is_some_and(|rules| number(&rules, "min_items").is_some_and(|least| least > 0.0));
        }
        if field.is_map() {
            return of("map").is_some_and(|rules| number(&rules, "min_pairs").is_some_and(|least| least > 0.0));
        }
        match field.kind() {
            Kind::String => of("string").is_some_and(|rules| refuses_empty(&rules, self.trusts_patterns())),
            Kind::Bytes => of("bytes").is_some_and(|rules| {
                ["len", "min_len"]
                    .iter()
                    .any(|name| number(&rules, name).is_some_and(|least| least > 0.0))
            }),
            Kind::Enum(_) => of("enum").is_some_and(|rules| {
                numbers(&rules, "not_in").contains(&0.0)
                    || number(&rules, "const").is_some_and(|only| only != 0.0)
                    || (rules.has_field_by_name("in") && !numbers(&rules, "in").contains(&0.0))
            }),
            Kind::Bool => of("bool").is_some_and(|rules| flag(&rules, "const")),
            kind => of(rule_name(&kind)).is_some_and(|rules| {
                number(&rules, "gt").is_some_and(|bound| bound >= 0.0)
                    || number(&rules, "gte").is_some_and(|bound| bound > 0.0)
                    || number(&rules, "lt").is_some_and(|bound| bound <= 0.0)
                    || number(&rules, "lte").is_some_and(|bound| bound < 0.0)
                    || number(&rules, "const").is_some_and(|only| only != 0.0)
                    || (rules.has_field_by_name("in") && !numbers(&rules, "in").contains(&0.0))
                    || numbers(&rules, "not_in").contains(&0.0)
            }),
        }
    }

    /// A field as a parameter of a path or a query: as in a request, described beside the schema.
    pub(super) fn parameter(&mut self, field: &FieldDescriptor) -> Value {
        let mut schema = self.field(field, Direction::Request);
        if let Some(object) = schema.as_object_mut() {
            object.remove("description");
            // The names of an enum stand in the parameter itself: a form needs no reference to be followed.
            object.remove("x-egov-personal-data");
        }
        schema
    }

    /// A field with its comment, its rules and what our options say of it.
    pub(super) fn field(&mut self, field: &FieldDescriptor, direction: Direction) -> Value {
        let rules = self
            .options
            .field_rules(field)
            .filter(|_| direction == Direction::Request);
        let of = |rules: &Option<DynamicMessage>, name: &str| {
            rules
                .as_ref()
                .filter(|rules| rules.has_field_by_name(name))
                .and_then(|rules| rules.get_field_by_name(name)?.as_message().cloned())
        };
        let mut schema = if let (true, Kind::Message(entry)) = (field.is_map(), field.kind()) {
            let map = of(&rules, "map");
            let values = of(&map, "values");
            let keys = of(&map, "keys");
            let mut schema = json!({
                "type": "object",
                "additionalProperties": self.value(&entry.map_entry_value_field().kind(), values.as_ref(), direction),
            });
            if let (Some(object), Some(map)) = (schema.as_object_mut(), &map) {
                put(object, "minProperties", number(map, "min_pairs"));
                put(object, "maxProperties", number(map, "max_pairs"));
                if keys.is_some() {
                    let names = self.value(&entry.map_entry_key_field().kind(), keys.as_ref(), direction);
                    object.insert("propertyNames".to_owned(), names);
                }
            }
            schema
        } else if field.is_list() {
            let list = of(&rules, "repeated");
            let items = of(&list, "items");
            let mut schema = json!({
                "type": "array",
                "items": self.value(&field.kind(), items.as_ref(), direction),
            });
            if let (Some(object), Some(list)) = (schema.as_object_mut(), &list) {
                put(object, "minItems", number(list, "min_items"));
                put(object, "maxItems", number(list, "max_items"));
                if flag(list, "unique") {
                    object.insert("uniqueItems".to_owned(), json!(true));
                }
            }
            schema
        } else {
            self.value(&field.kind(), rules.as_ref(), direction)
        };
        let Some(object) = schema.as_object_mut() else {
            return schema;
        };
        let comment = self.comments.of_field(field);
        if !comment.is_empty() {
            object.insert("description".to_owned(), json!(comment));
        }
        if let Some(level) = self.options.personal_data(field) {
            object.insert("x-egov-personal-data".to_owned(), json!(level));
            if level == "SECRET" && direction == Direction::Request {
                object.insert("writeOnly".to_owned(), json!(true));
            }
        }
        if let Some(format) = self.options.format(field) {
            object.insert("x-egov-format".to_owned(), json!(format.to_lowercase()));
        }
        schema
    }

    /// One value. `rules` is `buf.validate.FieldRules`.
    fn value(&mut self, kind: &Kind, rules: Option<&DynamicMessage>, direction: Direction) -> Value {
        let set = rules.and_then(|rules| {
            let name = rule_name(kind);
            rules
                .has_field_by_name(name)
                .then(|| rules.get_field_by_name(name)?.as_message().cloned())
                .flatten()
        });
        let mut schema = Map::new();
        match kind {
            Kind::Message(message) => {
                if let Value::Object(object) = self.message(message, direction) {
                    schema = object;
                }
            }
            Kind::Enum(descriptor) => {
                let refused = set.as_ref().map(|rules| numbers(rules, "not_in")).unwrap_or_default();
                let allowed = set
                    .as_ref()
                    .map(|rules| numbers(rules, "in"))
                    .filter(|list| !list.is_empty());
                let only = set.as_ref().and_then(|rules| number(rules, "const"));
                let take = |value: i32| {
                    let value = f64::from(value);
                    !refused.contains(&value)
                        && allowed.as_ref().is_none_or(|list| list.contains(&value))
                        && only.is_none_or(|only| only.total_cmp(&value).is_eq())
                };
                schema = self.enumeration(descriptor, direction, take);
            }
            Kind::String => {
                schema.insert("type".to_owned(), json!("string"));
                if let Some(rules) = &set {
                    text(&mut schema, rules);
                }
            }
            Kind::Bytes => {
                schema.insert("type".to_owned(), json!("string"));
                schema.insert("contentEncoding".to_owned(), json!("base64"));
                schema.insert("format".to_owned(), json!("byte"));
                if let Some(rules) = &set {
                    // Of the text in base64, four characters for three bytes.
                    let characters = |bytes: f64| (bytes / 3.0).ceil() * 4.0;
                    put(
                        &mut schema,
                        "minLength",
                        number(rules, "min_len")
                            .or_else(|| number(rules, "len"))
                            .map(characters),
                    );
                    put(
                        &mut schema,
                        "maxLength",
                        number(rules, "max_len")
                            .or_else(|| number(rules, "len"))
                            .map(characters),
                    );
                }
            }
            Kind::Bool => {
                schema.insert("type".to_owned(), json!("boolean"));
                if let Some(rules) = set.filter(|rules| rules.has_field_by_name("const")) {
                    schema.insert("const".to_owned(), json!(flag(&rules, "const")));
                }
            }
            Kind::Double | Kind::Float => {
                schema.insert("type".to_owned(), json!("number"));
                schema.insert(
                    "format".to_owned(),
                    json!(if *kind == Kind::Double { "double" } else { "float" }),
                );
                if let Some(rules) = &set {
                    range(&mut schema, rules);
                }
            }
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => {
                schema.insert("type".to_owned(), json!("string"));
                schema.insert("format".to_owned(), json!("int64"));
                let least = set
                    .as_ref()
                    .and_then(|rules| number(rules, "gte").or_else(|| number(rules, "gt")));
                let unsigned = least.is_some_and(|least| least >= 0.0);
                let pattern = if unsigned { "^[0-9]{1,18}$" } else { "^-?[0-9]{1,18}$" };
                schema.insert("pattern".to_owned(), json!(pattern));
                if let Some(rules) = &set {
                    // The bounds of a number that is written as text; JSON Schema has no word for it.
                    let mut bounds = Map::new();
                    range(&mut bounds, rules);
                    if !bounds.is_empty() {
                        schema.insert("x-egov-range".to_owned(), Value::Object(bounds));
                    }
                }
            }
            Kind::Uint64 | Kind::Fixed64 => {
                schema.insert("type".to_owned(), json!("string"));
                schema.insert("format".to_owned(), json!("uint64"));
                schema.insert("pattern".to_owned(), json!("^[0-9]{1,19}$"));
            }
            Kind::Uint32 | Kind::Fixed32 => {
                schema.insert("type".to_owned(), json!("integer"));
                schema.insert("minimum".to_owned(), json!(0));
                schema.insert("maximum".to_owned(), json!(u32::MAX));
                if let Some(rules) = &set {
                    range(&mut schema, rules);
                }
            }
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => {
                schema.insert("type".to_owned(), json!("integer"));
                schema.insert("format".to_owned(), json!("int32"));
                schema.insert("minimum".to_owned(), json!(i32::MIN));
                schema.insert("maximum".to_owned(), json!(i32::MAX));
                if let Some(rules) = &set {
                    range(&mut schema, rules);
                }
            }
        }
        Value::Object(schema)
    }

    /// The names of an enum. In an answer they are a component; in a request those that the rules take stand in place.
    fn enumeration(
        &mut self,
        descriptor: &EnumDescriptor,
        direction: Direction,
        take: impl Fn(i32) -> bool,
    ) -> Map<String, Value> {
        if !self.has_room() {
            return Map::from_iter([("type".to_owned(), json!("string"))]);
        }
        let names: Vec<Value> = descriptor
            .values()
            .filter(|value| take(value.number()))
            .map(|value| json!(value.name()))
            .collect();
        if direction == Direction::Request {
            let mut schema = Map::new();
            schema.insert("type".to_owned(), json!("string"));
            schema.insert("enum".to_owned(), Value::Array(names));
            return schema;
        }
        let name = format!("{}{}", self.prefix, descriptor.full_name());
        if !self.components.contains_key(&name) {
            let file = descriptor.parent_file();
            let mut lines = vec![self.comments.of_path(&file, descriptor.path())];
            lines.extend(
                descriptor
                    .values()
                    .map(|value| format!("* `{}`: {}", value.name(), self.comments.of_path(&file, value.path()))),
            );
            let schema = json!({ "type": "string", "enum": names, "description": lines.join("\n") });
            self.spend_on(&schema);
            self.components.insert(name.clone(), schema);
        }
        let mut schema = Map::new();
        schema.insert("$ref".to_owned(), json!(format!("#/components/schemas/{name}")));
        schema
    }
}

/// The full names of messages that can be reached from some.
fn reachable(from: impl Iterator<Item = MessageDescriptor>) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut waiting: Vec<MessageDescriptor> = from.collect();
    while let Some(message) = waiting.pop() {
        if names.insert(message.full_name().to_owned()) {
            waiting.extend(message.fields().filter_map(|field| field.kind().as_message().cloned()));
        }
    }
    names
}

/// The name of the rules of a kind in `buf.validate.FieldRules`.
fn rule_name(kind: &Kind) -> &'static str {
    match kind {
        Kind::Double => "double",
        Kind::Float => "float",
        Kind::Int32 => "int32",
        Kind::Int64 => "int64",
        Kind::Uint32 => "uint32",
        Kind::Uint64 => "uint64",
        Kind::Sint32 => "sint32",
        Kind::Sint64 => "sint64",
        Kind::Fixed32 => "fixed32",
        Kind::Fixed64 => "fixed64",
        Kind::Sfixed32 => "sfixed32",
        Kind::Sfixed64 => "sfixed64",
        Kind::Bool => "bool",
        Kind::String => "string",
        Kind::Bytes => "bytes",
        Kind::Enum(_) => "enum",
        Kind::Message(_) => "any",
    }
}

/// Messages of `google.protobuf` with a JSON form of their own.
fn well_known(name: &str) -> Option<Value> {
    Some(match name.strip_prefix("google.protobuf.")? {
        "Timestamp" => json!({ "type": "string", "format": "date-time" }),
        "Duration" => json!({ "type": "string", "pattern": "^-?[0-9]{1,12}(\\.[0-9]{1,9})?s$", "examples": ["1.5s"] }),
        "FieldMask" => json!({ "type": "string", "pattern": "^[a-zA-Z0-9_.,]*$", "examples": ["displayName,state"] }),
        "Struct" => json!({ "type": "object" }),
        "ListValue" => json!({ "type": "array" }),
        "Value" => json!({}),
        "Any" => json!({ "type": "object", "required": ["@type"], "properties": { "@type": { "type": "string" } } }),
        "DoubleValue" | "FloatValue" => json!({ "type": "number" }),
        "Int64Value" => json!({ "type": "string", "format": "int64", "pattern": "^-?[0-9]{1,18}$" }),
        "UInt64Value" => json!({ "type": "string", "format": "uint64", "pattern": "^[0-9]{1,19}$" }),
        "Int32Value" => json!({ "type": "integer", "format": "int32", "minimum": i32::MIN, "maximum": i32::MAX }),
        "UInt32Value" => json!({ "type": "integer", "minimum": 0, "maximum": u32::MAX }),
        "BoolValue" => json!({ "type": "boolean" }),
        "StringValue" => json!({ "type": "string" }),
        "BytesValue" => json!({ "type": "string", "contentEncoding": "base64", "format": "byte" }),
        _ => return None,
    })
}

fn rule(rules: &DynamicMessage, name: &str) -> Option<Rule> {
    rules
        .has_field_by_name(name)
        .then(|| rules.get_field_by_name(name).map(std::borrow::Cow::into_owned))
        .flatten()
}

fn flag(rules: &DynamicMessage, name: &str) -> bool {
    rule(rules, name).and_then(|value| value.as_bool()).unwrap_or(false)
}

fn as_number(value: &Rule) -> Option<f64> {
    Some(match value {
        Rule::I32(number) | Rule::EnumNumber(number) => f64::from(*number),
        Rule::I64(number) => *number as f64,
        Rule::U32(number) => f64::from(*number),
        Rule::U64(number) => *number as f64,
        Rule::F32(number) => f64::from(*number),
        Rule::F64(number) => *number,
        _ => return None,
    })
}

fn number(rules: &DynamicMessage, name: &str) -> Option<f64> {
    rule(rules, name).as_ref().and_then(as_number)
}

fn numbers(rules: &DynamicMessage, name: &str) -> Vec<f64> {
    rule(rules, name)
        .and_then(|value| Some(value.as_list()?.iter().filter_map(as_number).collect()))
        .unwrap_or_default()
}

fn word(rules: &DynamicMessage, name: &str) -> Option<String> {
    rule(rules, name).and_then(|value| value.as_str().map(ToOwned::to_owned))
}

fn words(rules: &DynamicMessage, name: &str) -> Vec<String> {
    rule(rules, name)
        .and_then(|value| {
            let list = value.as_list()?.iter();
            Some(list.filter_map(|item| item.as_str().map(ToOwned::to_owned)).collect())
        })
        .unwrap_or_default()
}

/// Writes a bound, whole numbers without a fraction.
fn put(schema: &mut Map<String, Value>, name: &str, value: Option<f64>) {
    let Some(value) = value else { return };
    let value = if value.fract() == 0.0 && value.abs() < 9e15 {
        json!(value as i64)
    } else {
        json!(value)
    };
    schema.insert(name.to_owned(), value);
}

fn range(schema: &mut Map<String, Value>, rules: &DynamicMessage) {
    for (name, rule) in [
        ("exclusiveMinimum", "gt"),
        ("minimum", "gte"),
        ("exclusiveMaximum", "lt"),
        ("maximum", "lte"),
        ("const", "const"),
    ] {
        put(schema, name, number(rules, rule));
    }
    let allowed = numbers(rules, "in");
    if !allowed.is_empty() {
        schema.insert("enum".to_owned(), json!(allowed));
    }
    let refused = numbers(rules, "not_in");
    if !refused.is_empty() {
        schema.insert("not".to_owned(), json!({ "enum": refused }));
    }
}

/// Whether an empty text breaks a rule of texts.
fn refuses_empty(rules: &DynamicMessage, trusts_patterns: bool) -> bool {
    let least = ["min_len", "len", "min_bytes", "len_bytes"]
        .iter()
        .any(|name| number(rules, name).is_some_and(|least| least > 0.0));
    // Compiling a pattern that somebody else wrote may take long; it is then said to take the empty text.
    let pattern = word(rules, "pattern")
        .filter(|_| trusts_patterns)
        .is_some_and(|pattern| {
            // A pattern of one class or literal at least; what may be empty ends in a star, a question mark or an alternative.
            !matches_empty(&pattern)
        });
    least
        || pattern
        || flag(rules, "uuid")
        || flag(rules, "email")
        || ["prefix", "suffix", "contains"]
            .iter()
            .any(|name| word(rules, name).is_some_and(|text| !text.is_empty()))
        || word(rules, "const").is_some_and(|only| !only.is_empty())
        || (rules.has_field_by_name("in") && !words(rules, "in").contains(&String::new()))
}

/// Whether a pattern takes the empty text; one that cannot be read is said to.
fn matches_empty(pattern: &str) -> bool {
    regex::Regex::new(pattern).map_or(true, |pattern| pattern.is_match(""))
}

fn text(schema: &mut Map<String, Value>, rules: &DynamicMessage) {
    let exact = number(rules, "len");
    put(schema, "minLength", number(rules, "min_len").or(exact));
    put(
        schema,
        "maxLength",
        number(rules, "max_len")
            .or(exact)
            .or_else(|| number(rules, "max_bytes")),
    );
    let mut patterns = Vec::new();
    if let Some(pattern) = word(rules, "pattern") {
        patterns.push(pattern);
    }
    if let Some(prefix) = word(rules, "prefix") {
        patterns.push(format!("^{}", regex::escape(&prefix)));
    }
    if let Some(suffix) = word(rules, "suffix") {
        patterns.push(format!("{}$", regex::escape(&suffix)));
    }
    if let Some(part) = word(rules, "contains") {
        patterns.push(regex::escape(&part));
    }
    match patterns.as_slice() {
        [] => {}
        [one] => {
            schema.insert("pattern".to_owned(), json!(one));
        }
        several => {
            let all: Vec<Value> = several.iter().map(|pattern| json!({ "pattern": pattern })).collect();
            schema.insert("allOf".to_owned(), json!(all));
        }
    }
    if flag(rules, "uuid") {
        schema.insert("format".to_owned(), json!("uuid"));
    }
    if flag(rules, "email") {
        schema.insert("format".to_owned(), json!("email"));
    }
    if let Some(only) = word(rules, "const") {
        schema.insert("const".to_owned(), json!(only));
    }
    let allowed = words(rules, "in");
    if !allowed.is_empty() {
        schema.insert("enum".to_owned(), json!(allowed));
    }
    let mut refused: Vec<Value> = Vec::new();
    let not_in = words(rules, "not_in");
    if !not_in.is_empty() {
        refused.push(json!({ "enum": not_in }));
    }
    if let Some(part) = word(rules, "not_contains") {
        refused.push(json!({ "pattern": regex::escape(&part) }));
    }
    if !refused.is_empty() {
        schema.insert("not".to_owned(), json!({ "anyOf": refused }));
    }
    // What may be left empty is a rule for what is not.
    let examples = words(rules, "example");
    if !examples.is_empty() {
        schema.insert("examples".to_owned(), json!(examples));
    }
}
