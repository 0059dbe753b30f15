//! OpenAPI 3.1 from the contracts: what is served over HTTP, and nothing that is not.
//!
//! Comments become descriptions, rules of `buf.validate` become constraints as far as JSON Schema has a word for them, and
//! what our options say stands in fields that begin with `x-egov-`.
//!
//! A message that comes in requests is described as it must be sent: closed, with what is required. The same message in an
//! answer is described as it may come: open, nothing required, since the mapping leaves out what is zero. Where one message
//! is both, the request's form has the suffix `.Input`.

mod comments;
mod schema;

use prost_reflect::{DescriptorPool, FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor, ServiceDescriptor};
use serde_json::{Map, Value, json};

use crate::binding::{Binding, Bindings, BodyRule};
use crate::template::Segment;
use comments::Comments;
use egov_proto::options::{Options, is_deprecated};
use schema::{Direction, Schemas};

/// How deep a query parameter may lead into messages.
const QUERY_DEPTH: usize = 4;

/// The document of the services of `pool` that `served` says yes to.
pub fn document(pool: &DescriptorPool, served: impl Fn(&str) -> bool) -> Value {
    let options = Options::of(pool);
    let bindings = Bindings::of(pool);
    let comments = Comments::of(pool);
    let mut services: Vec<ServiceDescriptor> = pool.services().filter(|service| served(service.full_name())).collect();
    services.sort_by(|a, b| a.full_name().cmp(b.full_name()));

    let mut operations: Vec<(MethodDescriptor, Vec<Binding>)> = Vec::new();
    for service in &services {
        for method in service.methods() {
            // What cannot be read stops the start of the server; a document is made of the rest.
            let list = bindings.read(&method).unwrap_or_default();
            if !list.is_empty() && !method.is_client_streaming() && !method.is_server_streaming() {
                operations.push((method, list));
            }
        }
    }

    let mut schemas = Schemas::new(
        &options,
        &comments,
        operations.iter().map(|(method, _)| method.input()),
        operations.iter().map(|(method, _)| method.output()),
    );
    let mut paths: Map<String, Value> = Map::new();
    for (method, list) in &operations {
        for (index, binding) in list.iter().enumerate() {
            let path = path_of(binding, &method.input());
            let operation = operation(method, binding, index, &options, &comments, &mut schemas);
            let verb = binding
                .method
                .as_ref()
                .map_or_else(|| "post".to_owned(), |verb| verb.as_str().to_lowercase());
            if let Some(item) = paths
                .entry(path)
                .or_insert_with(|| Value::Object(Map::new()))
                .as_object_mut()
            {
                item.insert(verb, operation);
            }
        }
    }

    let tags: Vec<Value> = services
        .iter()
        .filter(|service| {
            operations
                .iter()
                .any(|(method, _)| method.parent_service().full_name() == service.full_name())
        })
        .map(|service| {
            json!({
                "name": service.full_name(),
                "description": comments.of_path(&service.parent_file(), service.path()),
            })
        })
        .collect();
    json!({
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": {
            "title": "egov",
            "version": env!("CARGO_PKG_VERSION"),
            "description": include_str!("introduction.md"),
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/", "description": "the server that gave this document" }],
        "tags": tags,
        "paths": paths,
        "components": {
            "schemas": schemas.into_components(),
            "responses": { "Failure": failure() },
            "parameters": { "Purpose": purpose() },
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "An access token of identity: staff by SignIn and VerifyTotp, systems and citizens at \
                        /oauth2/token. It lives five minutes at most.",
                },
            },
        },
    })
}

/// The path in the notation of OpenAPI, in which a variable is one segment.
fn path_of(binding: &Binding, input: &MessageDescriptor) -> String {
    let mut path = String::new();
    for (index, segment) in binding.template.segments().iter().enumerate() {
        path.push('/');
        match segment {
            Segment::Literal(_) => path.push_str(&segment.to_string()),
            Segment::One | Segment::Rest => {
                path.push('{');
                path.push_str(&name_at(binding, input, index));
                path.push('}');
            }
        }
    }
    if let Some(verb) = binding.template.verb() {
        path.push(':');
        path.push_str(verb);
    }
    path
}

/// The name of the parameter that is the wildcard at a segment: that of its field, numbered if the field has several.
fn name_at(binding: &Binding, input: &MessageDescriptor, index: usize) -> String {
    let variable = binding
        .template
        .variables()
        .iter()
        .find(|variable| (variable.first..variable.first + variable.length).contains(&index));
    let Some(variable) = variable else {
        return format!("segment{index}");
    };
    let name = json_path(input, &variable.field);
    let wildcard = |at: &usize| !matches!(binding.template.segments().get(*at), Some(Segment::Literal(_)));
    let wildcards: Vec<usize> = (variable.first..variable.first + variable.length)
        .filter(wildcard)
        .collect();
    match wildcards.iter().position(|at| *at == index) {
        Some(at) if wildcards.len() > 1 => format!("{name}.{}", at + 1),
        _ => name,
    }
}

/// The JSON names of a path of fields.
fn json_path(input: &MessageDescriptor, names: &[String]) -> String {
    let mut at = Some(input.clone());
    let mut path = Vec::new();
    for name in names {
        let field = at.as_ref().and_then(|message| message.get_field_by_name(name));
        path.push(
            field
                .as_ref()
                .map_or_else(|| name.clone(), |field| field.json_name().to_owned()),
        );
        at = field.and_then(|field| field.kind().as_message().cloned());
    }
    path.join(".")
}

/// The field at the end of a path of names.
fn field_at(input: &MessageDescriptor, names: &[String]) -> Option<FieldDescriptor> {
    let (last, parents) = names.split_last()?;
    let mut at = input.clone();
    for name in parents {
        at = at.get_field_by_name(name)?.kind().as_message()?.clone();
    }
    at.get_field_by_name(last)
}

fn operation(
    method: &MethodDescriptor,
    binding: &Binding,
    index: usize,
    options: &Options,
    comments: &Comments,
    schemas: &mut Schemas<'_>,
) -> Value {
    let input = method.input();
    let mut parameters = Vec::new();
    let mut bound: Vec<Vec<String>> = Vec::new();
    for variable in binding.template.variables() {
        bound.push(variable.field.clone());
        let field = field_at(&input, &variable.field);
        let whole = variable.length == 1;
        let wildcards = (variable.first..variable.first + variable.length)
            .filter(|at| !matches!(binding.template.segments().get(*at), Some(Segment::Literal(_))));
        for at in wildcards {
            let schema = match &field {
                // Of a field that is several segments one segment keeps no rule.
                Some(field) if whole => schemas.parameter(field),
                _ => json!({ "type": "string", "minLength": 1 }),
            };
            parameters.push(json!({
                "name": name_at(binding, &input, at),
                "in": "path",
                "required": true,
                "description": field.as_ref().map(|field| comments.of_field(field)).unwrap_or_default(),
                "schema": schema,
            }));
        }
    }
    for at in 0..binding.template.segments().len() {
        let free = !matches!(binding.template.segments().get(at), Some(Segment::Literal(_)))
            && !binding
                .template
                .variables()
                .iter()
                .any(|variable| (variable.first..variable.first + variable.length).contains(&at));
        if free {
            parameters.push(json!({
                "name": name_at(binding, &input, at),
                "in": "path",
                "required": true,
                "schema": { "type": "string", "minLength": 1 },
            }));
        }
    }
    let body = match &binding.body {
        BodyRule::None => None,
        BodyRule::Whole => Some(schemas.body(&input, &bound)),
        BodyRule::Field(name) => {
            bound.push(vec![name.clone()]);
            input
                .get_field_by_name(name)
                .map(|field| schemas.field(&field, Direction::Request))
        }
    };
    if binding.body != BodyRule::Whole {
        let mut query = Query {
            comments,
            schemas: &mut *schemas,
            bound: &bound,
            parameters: &mut parameters,
        };
        query.fields(&input, &mut Vec::new(), true);
    }

    let access = options.access(method);
    if access.as_ref().is_some_and(|access| access.purpose_required) {
        parameters.push(json!({ "$ref": "#/components/parameters/Purpose" }));
    }
    let comment = comments.of_path(&method.parent_file(), method.path());
    let answer = match &binding.response_body {
        None => schemas.message(&method.output(), Direction::Answer),
        Some(name) => method
            .output()
            .get_field_by_name(name)
            .map_or_else(|| json!({}), |field| schemas.field(&field, Direction::Answer)),
    };

    let mut operation = json!({
        "operationId": match index {
            0 => format!("{}_{}", method.parent_service().full_name(), method.name()),
            more => format!("{}_{}_{}", method.parent_service().full_name(), method.name(), more + 1),
        },
        "tags": [method.parent_service().full_name()],
        "summary": comments::first_sentence(&comment),
        "description": comment,
        "parameters": parameters,
        "responses": {
            "200": {
                "description": "done",
                "content": { "application/json": { "schema": answer } },
            },
            "default": { "$ref": "#/components/responses/Failure" },
        },
        "x-egov-rpc": format!("{}/{}", method.parent_service().full_name(), method.name()),
    });
    let Some(object) = operation.as_object_mut() else {
        return operation;
    };
    if let Some(schema) = body {
        object.insert(
            "requestBody".to_owned(),
            json!({ "required": true, "content": { "application/json": { "schema": schema } } }),
        );
    }
    if let Some(access) = access {
        if access.public {
            object.insert("security".to_owned(), json!([]));
            object.insert("x-egov-public".to_owned(), json!(access.public_reason));
        } else {
            object.insert("security".to_owned(), json!([{ "token": [] }]));
            object.insert("x-egov-permission".to_owned(), json!(access.permission));
        }
        if access.sensitive {
            object.insert("x-egov-sensitive".to_owned(), json!(true));
        }
        if access.purpose_required {
            object.insert("x-egov-purpose-required".to_owned(), json!(true));
        }
    }
    if is_deprecated(method) {
        object.insert("deprecated".to_owned(), json!(true));
    }
    if let Some(deprecation) = options.deprecation(method) {
        object.insert("x-egov-deprecated-since".to_owned(), json!(deprecation.since));
        object.insert("x-egov-sunset".to_owned(), json!(deprecation.sunset));
        object.insert("x-egov-instead".to_owned(), json!(deprecation.instead));
    }
    if let Some(idempotency) = options.idempotency(method) {
        object.insert("x-egov-idempotency".to_owned(), json!(idempotency.kind));
    }
    operation
}

/// Collects the query parameters of an operation.
struct Query<'q, 's> {
    comments: &'q Comments,
    schemas: &'q mut Schemas<'s>,
    bound: &'q [Vec<String>],
    parameters: &'q mut Vec<Value>,
}

impl Query<'_, '_> {
    /// `required` if everything on the way is.
    fn fields(&mut self, message: &MessageDescriptor, above: &mut Vec<FieldDescriptor>, required: bool) {
        for field in message.fields() {
            let names: Vec<String> = above
                .iter()
                .chain([&field])
                .map(|field| field.name().to_owned())
                .collect();
            if self.bound.contains(&names) || field.is_map() {
                continue;
            }
            let must = required && self.schemas.is_required(&field);
            if let Kind::Message(inner) = field.kind()
                && !schema::is_text(&inner)
            {
                let plain = !field.is_list() && !inner.full_name().starts_with("google.protobuf.");
                if plain && above.len() < QUERY_DEPTH {
                    above.push(field);
                    self.fields(&inner, above, must);
                    above.pop();
                }
                continue;
            }
            let name: Vec<&str> = above.iter().chain([&field]).map(FieldDescriptor::json_name).collect();
            let mut parameter = json!({
                "name": name.join("."),
                "in": "query",
                "description": self.comments.of_field(&field),
                "schema": self.schemas.parameter(&field),
            });
            if let Some(object) = parameter.as_object_mut() {
                if must {
                    object.insert("required".to_owned(), json!(true));
                }
                if field.is_list() {
                    object.insert("style".to_owned(), json!("form"));
                    object.insert("explode".to_owned(), json!(true));
                }
            }
            self.parameters.push(parameter);
        }
    }
}

/// The header by which a caller says why it reads.
fn purpose() -> Value {
    json!({
        "name": "x-egov-purpose",
        "in": "header",
        "required": true,
        "description": "For which purpose personal data is read (mục đích): one line of at most 300 bytes, other characters \
            than visible ASCII percent-encoded. It is recorded with the reading, before the data leaves.",
        "schema": { "type": "string", "minLength": 1, "maxLength": 300, "pattern": "^[!-$&-~]+$" },
        "example": "case_handling",
    })
}

/// `google.rpc.Status`, with the details that a refusal has.
fn failure() -> Value {
    let violation = json!({
        "type": "object",
        "properties": {
            "field": { "type": "string", "description": "path of the field, by its names in the contract" },
            "reason": { "type": "string", "description": "the rule that is broken" },
            "description": { "type": "string", "description": "what is wrong, in English" },
            "localizedMessage": {
                "type": "object",
                "properties": { "locale": { "type": "string" }, "message": { "type": "string" } },
            },
        },
    });
    json!({
        "description": "refused or failed: `google.rpc.Status`. The details name the reason (`ErrorInfo`, documented in the \
            contract), every violation (`BadRequest`), the failed condition (`PreconditionFailure`), the time after which to \
            try again (`RetryInfo`), and a text in Vietnamese and in English (`LocalizedMessage`).",
        "content": { "application/json": { "schema": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {
                "code": { "type": "integer", "description": "google.rpc.Code" },
                "message": { "type": "string", "description": "for developers, in English" },
                "details": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["@type"],
                        "properties": {
                            "@type": { "type": "string", "description": "type.googleapis.com/google.rpc.…" },
                            "reason": { "type": "string", "description": "ErrorInfo: on which a program decides" },
                            "domain": { "type": "string" },
                            "metadata": { "type": "object", "additionalProperties": { "type": "string" } },
                            "fieldViolations": { "type": "array", "items": violation },
                            "retryDelay": { "type": "string" },
                            "locale": { "type": "string" },
                            "message": { "type": "string" },
                        },
                    },
                },
            },
        } } },
    })
}
