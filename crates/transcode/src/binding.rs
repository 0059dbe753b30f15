//! What the contracts say of HTTP: the option `google.api.http` of each RPC.

use http::Method;
use prost_reflect::{DescriptorPool, DynamicMessage, ExtensionDescriptor, MethodDescriptor, Value};

use crate::template::Template;

/// One way to call an RPC over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// The verb of HTTP; `None` is every one (`custom { kind: "*" }`).
    pub method: Option<Method>,
    /// The path.
    pub template: Template,
    /// What the body of the request is.
    pub body: BodyRule,
    /// The field of the answer that is the body of the HTTP answer; the whole answer if none is named.
    pub response_body: Option<String>,
}

/// What the body of a request is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyRule {
    /// There is none; what the path does not bind comes as query parameters.
    None,
    /// All fields that the path does not bind (`*`); there are no query parameters.
    Whole,
    /// This field; the others come as query parameters.
    Field(String),
}

/// Reads the option of RPCs of one pool.
#[derive(Clone, Debug)]
pub struct Bindings {
    http: Option<ExtensionDescriptor>,
}

impl Bindings {
    /// Of a pool. Where the option is not defined nobody uses it.
    pub fn of(pool: &DescriptorPool) -> Self {
        Self {
            // A pool that somebody else wrote may give the name to anything.
            http: pool
                .get_extension_by_name("google.api.http")
                .filter(|extension| extension.containing_message().full_name() == "google.protobuf.MethodOptions"),
        }
    }

    /// The binding of an RPC and its additional ones, in the order of the contract; empty without the option.
    ///
    /// # Errors
    /// Says what in the option cannot be served.
    pub fn read(&self, method: &MethodDescriptor) -> Result<Vec<Binding>, String> {
        let Some(extension) = &self.http else {
            return Ok(Vec::new());
        };
        let options = method.options();
        if !options.has_extension(extension) {
            return Ok(Vec::new());
        }
        let option = options.get_extension(extension);
        let Some(rule) = option.as_message() else {
            return Ok(Vec::new());
        };
        let mut bindings = vec![binding(rule)?];
        if let Some(more) = rule.get_field_by_name("additional_bindings") {
            for rule in more.as_list().unwrap_or_default().iter().filter_map(Value::as_message) {
                if rule.has_field_by_name("additional_bindings") {
                    return Err("an additional binding has additional bindings of its own".to_owned());
                }
                bindings.push(binding(rule)?);
            }
        }
        Ok(bindings)
    }
}

fn text(rule: &DynamicMessage, field: &str) -> String {
    rule.get_field_by_name(field)
        .and_then(|value| value.as_str().map(ToOwned::to_owned))
        .unwrap_or_default()
}

fn binding(rule: &DynamicMessage) -> Result<Binding, String> {
    let verbs = [
        ("get", Method::GET),
        ("put", Method::PUT),
        ("post", Method::POST),
        ("delete", Method::DELETE),
        ("patch", Method::PATCH),
    ];
    let named = verbs.into_iter().find(|(field, _)| rule.has_field_by_name(field));
    let (method, path) = if let Some((field, method)) = named {
        (Some(method), text(rule, field))
    } else {
        let custom = rule
            .get_field_by_name("custom")
            .filter(|_| rule.has_field_by_name("custom"));
        let Some(custom) = custom.as_deref().and_then(Value::as_message) else {
            return Err("google.api.http names no path".to_owned());
        };
        let kind = text(custom, "kind");
        let method = if kind == "*" {
            None
        } else {
            Some(Method::from_bytes(kind.as_bytes()).map_err(|_| format!("{kind:?} is no verb of HTTP"))?)
        };
        (method, text(custom, "path"))
    };
    let template: Template = path.parse().map_err(|error| format!("{error}"))?;
    let body = match text(rule, "body").as_str() {
        "" => BodyRule::None,
        "*" => BodyRule::Whole,
        field => BodyRule::Field(field.to_owned()),
    };
    if body != BodyRule::None && matches!(method, Some(Method::GET | Method::HEAD)) {
        return Err(format!("{path}: a GET has no body"));
    }
    Ok(Binding {
        method,
        template,
        body,
        response_body: Some(text(rule, "response_body")).filter(|field| !field.is_empty()),
    })
}
