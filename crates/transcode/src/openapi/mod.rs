//! OpenAPI 3.1 from the contracts: what is served over HTTP, and nothing that is not.
//!
//! Comments become descriptions, rules of `buf.validate` become constraints as far as JSON Schema has a word for them, and
//! what our options say stands in fields that begin with `x-egov-`.
//!
//! A message that comes in requests is described as it must be sent: closed, with what is required. The same message in an
//! answer is described as it may come: open, nothing required, since the mapping leaves out what is zero. Where one message
//! is both, the request's form has the suffix `.Input`.
//!
//! A document of contracts that somebody else wrote ([`document_of`]) is of bounded size, however they are written.

mod comments;
mod schema;

use std::collections::{BTreeMap, BTreeSet, HashSet};

use prost_reflect::{DescriptorPool, FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor, ServiceDescriptor};
use serde_json::{Map, Value, json};

use crate::binding::{Binding, Bindings, BodyRule};
use crate::rest::{Rest, shown};
use crate::template::Segment;
use comments::Comments;
use egov_proto::options::{Options, is_deprecated};
use schema::{Direction, Schemas};

/// How deep a query parameter may lead into messages.
const QUERY_DEPTH: usize = 4;

/// About how many bytes a section of a document of foreign contracts may have.
const FOREIGN_BYTES: usize = 4 * 1024 * 1024;

/// How many bytes all sections of a document of foreign contracts may have, if it has more than one.
const DOCUMENT_BYTES: usize = 16 * 1024 * 1024;

/// What stands at the beginning of a document.
#[derive(Clone, Debug, Default)]
pub struct Introduction {
    /// The title.
    pub title: String,
    /// What a reader should know, in CommonMark.
    pub description: String,
    /// How to bring a token.
    pub token: String,
    /// Further fields of `info`; their names begin with `x-`.
    pub extensions: Map<String, Value>,
}

/// Contracts that somebody else wrote, as a part of a document.
#[derive(Clone, Debug)]
pub struct Section<'a> {
    /// The contracts.
    pub pool: &'a DescriptorPool,
    /// What is served of them: no other binding is described.
    pub rest: &'a Rest,
    /// Stands before each path: `/s/ID`.
    pub base: String,
    /// Stands before the names of operations, tags and schemas: sections whose contracts have the same names need it.
    pub prefix: String,
    /// What may be called, by `package.Service/Method`; nothing else is described.
    pub methods: BTreeMap<String, Terms>,
    /// Where less than this document is described, this section too: a reader is sent there if there is no room for it here.
    pub elsewhere: Option<String>,
}

/// On which terms an RPC may be called, as far as a document says it.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    /// A paragraph behind the contract's own description.
    pub note: String,
    /// The purposes of which a call must name one; none if it need not.
    pub purposes: Vec<String>,
    /// Further fields of the operation; their names begin with `x-`.
    pub extensions: Map<String, Value>,
}

/// The document of the services of `pool` that `served` says yes to.
pub fn document(pool: &DescriptorPool, served: impl Fn(&str) -> bool) -> Value {
    let mut document = Document::default();
    let described = Described {
        pool,
        served: &|method| served(method.parent_service().full_name()).then_some(None),
        rest: None,
        base: "",
        prefix: "",
        most: None,
    };
    document.add(&described);
    document.finish(Introduction {
        title: "egov".to_owned(),
        description: include_str!("introduction.md").to_owned(),
        token: "An access token of identity: staff by SignIn and VerifyTotp, systems and citizens at \
            /oauth2/token. It lives five minutes at most."
            .to_owned(),
        extensions: Map::new(),
    })
}

/// The document of contracts that others wrote: what may be called of each, and on which terms.
///
/// What the contracts say in our own options of who may call is not repeated: the terms say it. Where contracts are so large
/// that the document would be, the rest of a section is left undescribed, and says so. Of so many sections that they have more
/// than 16 MiB together the first ones are described, and `info` says where the others are (`x-egov-not-described`).
pub fn document_of(introduction: Introduction, sections: &[Section<'_>]) -> Value {
    of_at_most(introduction, sections, DOCUMENT_BYTES)
}

/// The first section is described whatever its size, which has a bound of its own.
pub(crate) fn of_at_most(mut introduction: Introduction, sections: &[Section<'_>], most: usize) -> Value {
    let mut document = Document::default();
    let mut used = 0_usize;
    for (at, section) in sections.iter().enumerate() {
        let described = Described {
            pool: section.pool,
            served: &|method| {
                let name = format!("{}/{}", method.parent_service().full_name(), method.name());
                section.methods.get(&name).map(Some)
            },
            rest: Some(section.rest),
            base: &section.base,
            prefix: &section.prefix,
            most: Some(FOREIGN_BYTES),
        };
        let mut part = Document::default();
        part.add(&described);
        used = used.saturating_add(part.length());
        if at > 0 && used > most {
            // Nothing after it is tried: each try takes as long as what is described.
            say_what_is_missing(&mut introduction, sections.get(at..).unwrap_or_default());
            break;
        }
        document.join(part);
    }
    document.finish(introduction)
}

/// Says which sections are not described, and where they are.
fn say_what_is_missing(introduction: &mut Introduction, missing: &[Section<'_>]) {
    let elsewhere: BTreeSet<&String> = missing
        .iter()
        .filter_map(|section| section.elsewhere.as_ref())
        .collect();
    let en = "Not all that may be called is described here, since there is too much of it. Documents of less than this one: \
        `x-egov-not-described`.";
    let vi = "Tài liệu này không mô tả hết những gì được gọi vì quá dài. Các tài liệu riêng: `x-egov-not-described`.";
    introduction.description.push_str("\n\n");
    introduction.description.push_str(en);
    introduction.extensions.insert(
        "x-egov-not-described".to_owned(),
        json!({ "vi": vi, "en": en, "documents": elsewhere }),
    );
}

/// What is described of a pool.
struct Described<'d, 't> {
    pool: &'d DescriptorPool,
    /// Whether an RPC is described, and its terms where it is not the contract that says them.
    served: &'d dyn Fn(&MethodDescriptor) -> Option<Option<&'t Terms>>,
    /// What is served; none for everything.
    rest: Option<&'d Rest>,
    base: &'d str,
    prefix: &'d str,
    /// About how many bytes; none for no limit.
    most: Option<usize>,
}

/// What is collected of a document.
#[derive(Default)]
struct Document {
    paths: Map<String, Value>,
    tags: Vec<Value>,
    schemas: Map<String, Value>,
}

impl Document {
    /// How many bytes it has as JSON, about.
    fn length(&self) -> usize {
        let length = |value: &Map<String, Value>| -> usize {
            value
                .iter()
                .map(|(name, value)| name.len() + value.to_string().len() + 4)
                .sum()
        };
        let tags: usize = self.tags.iter().map(|tag| tag.to_string().len() + 1).sum();
        length(&self.paths) + length(&self.schemas) + tags
    }

    /// Adds what another has and this has not.
    fn join(&mut self, other: Self) {
        for (path, operations) in other.paths {
            let item = self.paths.entry(path).or_insert_with(|| Value::Object(Map::new()));
            if let (Some(item), Value::Object(operations)) = (item.as_object_mut(), operations) {
                for (verb, operation) in operations {
                    item.entry(verb).or_insert(operation);
                }
            }
        }
        for (name, schema) in other.schemas {
            self.schemas.entry(name).or_insert(schema);
        }
        self.tags.extend(other.tags);
    }

    fn add(&mut self, described: &Described<'_, '_>) {
        let Described { pool, prefix, .. } = described;
        let options = Options::of(pool);
        let bindings = Bindings::of(pool);
        let comments = Comments::of(pool);
        let mut services: Vec<ServiceDescriptor> = pool.services().collect();
        services.sort_by(|a, b| a.full_name().cmp(b.full_name()));

        let served: Option<HashSet<(&str, &str)>> = described.rest.map(|rest| rest.bindings().collect());
        let mut operations: Vec<(MethodDescriptor, Vec<Binding>, Option<&Terms>)> = Vec::new();
        for method in services
            .iter()
            .flat_map(|service| service.methods().collect::<Vec<_>>())
        {
            let Some(terms) = (described.served)(&method) else {
                continue;
            };
            // What cannot be read stops the start of the server; a document is made of the rest.
            let mut list = bindings.read(&method).unwrap_or_default();
            if let Some(served) = &served {
                let name = format!("{}/{}", method.parent_service().full_name(), method.name());
                list.retain(|binding| served.contains(&(name.as_str(), shown(binding).as_str())));
            }
            if !list.is_empty() && !method.is_client_streaming() && !method.is_server_streaming() {
                operations.push((method, list, terms));
            }
        }

        let mut schemas = Schemas::new(
            &options,
            &comments,
            prefix,
            described.most,
            operations.iter().map(|(method, ..)| method.input()),
            operations.iter().map(|(method, ..)| method.output()),
        );
        for (method, list, terms) in &operations {
            for (index, binding) in list.iter().enumerate() {
                if !schemas.has_room() {
                    break;
                }
                let path = format!("{}{}", described.base, path_of(binding, &method.input()));
                let of = Operation {
                    method,
                    binding,
                    index,
                    terms: *terms,
                    prefix,
                };
                let operation = of.describe(&options, &comments, &mut schemas);
                schemas.spend_on(&operation);
                let verb = binding
                    .method
                    .as_ref()
                    .map_or_else(|| "post".to_owned(), |verb| verb.as_str().to_lowercase());
                if let Some(item) = self
                    .paths
                    .entry(path)
                    .or_insert_with(|| Value::Object(Map::new()))
                    .as_object_mut()
                {
                    item.entry(verb).or_insert(operation);
                }
            }
        }
        for service in &services {
            let name = service.full_name();
            if operations
                .iter()
                .any(|(method, ..)| method.parent_service().full_name() == name)
            {
                self.tags.push(json!({
                    "name": format!("{prefix}{name}"),
                    "description": schemas.comment(comments.of_path(&service.parent_file(), service.path())),
                }));
            }
        }
        self.schemas.extend(schemas.into_components());
    }

    fn finish(self, introduction: Introduction) -> Value {
        let mut info = json!({
            "title": introduction.title,
            "version": env!("CARGO_PKG_VERSION"),
            "description": introduction.description,
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        });
        if let Some(info) = info.as_object_mut() {
            info.extend(introduction.extensions);
        }
        json!({
            "openapi": "3.1.0",
            "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
            "info": info,
            "servers": [{ "url": "/", "description": "the server that gave this document" }],
            "tags": self.tags,
            "paths": self.paths,
            "components": {
                "schemas": self.schemas,
                "responses": { "Failure": failure() },
                "parameters": { "Purpose": purpose() },
                "securitySchemes": {
                    "token": {
                        "type": "http",
                        "scheme": "bearer",
                        "bearerFormat": "JWT",
                        "description": introduction.token,
                    },
                },
            },
        })
    }
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

/// One binding of an RPC, to be described.
struct Operation<'o> {
    method: &'o MethodDescriptor,
    binding: &'o Binding,
    /// Which of the bindings it is.
    index: usize,
    terms: Option<&'o Terms>,
    prefix: &'o str,
}

impl Operation<'_> {
    fn describe(&self, options: &Options, comments: &Comments, schemas: &mut Schemas<'_>) -> Value {
        let Self {
            method,
            binding,
            index,
            terms,
            prefix,
        } = *self;
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
                "description": schemas.comment(field.as_ref().map(|field| comments.of_field(field)).unwrap_or_default()),
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

        // Who may call what others provide is said by the terms, whatever their contract says.
        let access = options.access(method).filter(|_| terms.is_none());
        if access.as_ref().is_some_and(|access| access.purpose_required) {
            parameters.push(json!({ "$ref": "#/components/parameters/Purpose" }));
        }
        let mut comment = schemas.comment(comments.of_path(&method.parent_file(), method.path()));
        let summary = comments::first_sentence(&comment);
        if let Some(terms) = terms {
            if !terms.purposes.is_empty() {
                parameters.push(json!({
                    "name": "x-egov-purpose",
                    "in": "header",
                    "required": true,
                    "description": "For which of the agreed purposes the call is made (mục đích). It is recorded.",
                    "schema": { "type": "string", "enum": terms.purposes },
                }));
            }
            if !terms.note.is_empty() {
                if !comment.is_empty() {
                    comment.push_str("\n\n");
                }
                comment.push_str(&terms.note);
            }
        }
        let answer = match &binding.response_body {
            None => schemas.message(&method.output(), Direction::Answer),
            Some(name) => method
                .output()
                .get_field_by_name(name)
                .map_or_else(|| json!({}), |field| schemas.field(&field, Direction::Answer)),
        };

        let mut operation = json!({
            "operationId": match index {
                0 => format!("{prefix}{}_{}", method.parent_service().full_name(), method.name()),
                more => format!("{prefix}{}_{}_{}", method.parent_service().full_name(), method.name(), more + 1),
            },
            "tags": [format!("{prefix}{}", method.parent_service().full_name())],
            "summary": summary,
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
        if let Some(terms) = terms {
            object.insert("security".to_owned(), json!([{ "token": [] }]));
            object.insert("x-egov-purpose-required".to_owned(), json!(!terms.purposes.is_empty()));
            object.extend(terms.extensions.clone());
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
            if !self.schemas.has_room() {
                return;
            }
            self.schemas.spend(1);
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
            self.schemas.spend_on(&parameter);
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
