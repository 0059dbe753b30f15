//! Calls over HTTP: found by path, made into one gRPC call, answered in JSON.

use std::collections::HashSet;
use std::convert::Infallible;
use std::fmt;
use std::sync::{Arc, OnceLock};

use axum::body::Body;
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use egov_fault::{Code, Fault, Violation};
use egov_proto::options::{Deprecation, Options, is_deprecated};
use http::header::{ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, TE};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, Version, request};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use jiff::tz::{self, TimeZone};
use prost_reflect::{DescriptorPool, MethodDescriptor};
use tonic::Status;
use tower::{Service, ServiceExt as _};

use crate::binding::{Binding, Bindings, BodyRule};
use crate::error::{Language, Outcome, failure, media_type, method_not_allowed, refusal, too_large};
use crate::from_json::Reader;
use crate::plan::{FieldPlan, MessageId, Messages, Shape, Special, Type};
use crate::router::{Found, Router, Segments};
use crate::template::Segment;
use crate::to_json::{Unwritten, Writer};
use crate::wire::Malformed;

/// The headers of an HTTP request that become metadata of the call. No other does: a caller cannot reach by HTTP what the
/// services read from metadata and this list does not know.
pub static FORWARDED: [HeaderName; 7] = [
    AUTHORIZATION,
    HeaderName::from_static("x-egov-purpose"),
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
    HeaderName::from_static("grpc-timeout"),
    http::header::ACCEPT_LANGUAGE,
];

/// The length of what stands before a message of gRPC: a flag and four bytes of length.
const PREFIX: usize = 5;

/// How many times the limit of a message its JSON may have. Names stand in JSON for each value, in the message never: for real
/// answers that makes two to five times as many bytes, for one that is made to hurt as many as somebody likes.
const JSON_TIMES: usize = 8;

/// The most segments of a path template that somebody else wrote: a search goes as deep as a template is long.
const MOST_SEGMENTS: usize = 32;

/// The most levels of a field that such a template binds.
const MOST_LEVELS: usize = 16;

/// The RPCs that are served over HTTP, compiled from their contracts.
///
/// ```no_run
/// # fn grpc() -> axum::Router { axum::Router::new() }
/// # fn main() -> Result<(), egov_transcode::RestError> {
/// use egov_transcode::Rest;
/// use std::sync::Arc;
///
/// let rest = Rest::compile(&egov_proto::POOL, |service| service == "egov.onestop.v1.CaseService")?;
/// // HTTP and gRPC on one port: what is no gRPC and has a binding is transcoded.
/// let router = Arc::new(rest).in_front_of(grpc());
/// # Ok(())
/// # }
/// ```
pub struct Rest {
    messages: Messages,
    router: Router<usize>,
    routes: Vec<Route>,
    limit: usize,
    passing: Vec<HeaderName>,
    unreadable: fn() -> Fault,
    overlong: fn() -> Fault,
}

/// Why contracts cannot be served over HTTP: every reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the contracts cannot be served over HTTP: {}", problems.join("; "))]
pub struct RestError {
    /// One sentence for each; it names the RPC.
    pub problems: Vec<String>,
}

/// One binding, compiled.
struct Route {
    /// `egov.onestop.v1.CaseService/GetCase`.
    rpc: Arc<str>,
    /// `POST /v1/cases/{case_id}:accept`, for errors at start.
    shown: String,
    /// `/v1/cases/*:accept`.
    pattern: String,
    target: Uri,
    input: MessageId,
    output: MessageId,
    body: BodyKind,
    /// The field of the answer that is the answer, by its number.
    response_body: Option<u32>,
    variables: Vec<Variable>,
    /// What neither body nor query may give again.
    taken: Vec<Vec<u32>>,
    /// What every answer of a deprecated RPC says.
    leaving: Option<Leaving>,
}

/// The headers of a deprecated RPC.
struct Leaving {
    /// Since when, RFC 9745: `@` and seconds.
    deprecation: HeaderValue,
    /// Until when at least, RFC 8594: a date of HTTP.
    sunset: HeaderValue,
}

impl Leaving {
    /// Days begin in Việt Nam, at UTC+7 without summer time.
    fn of(deprecation: &Deprecation) -> Result<Self, String> {
        let begins = |day: &str| {
            let day: jiff::civil::Date = day.parse().map_err(|_| format!("{day:?} is no day"))?;
            TimeZone::fixed(tz::offset(7))
                .to_timestamp(day.at(0, 0, 0, 0))
                .map_err(|error| error.to_string())
        };
        let value = |text: String| HeaderValue::from_str(&text).map_err(|error| error.to_string());
        let (since, sunset) = (begins(&deprecation.since)?, begins(&deprecation.sunset)?);
        Ok(Self {
            deprecation: value(format!("@{}", since.as_second()))?,
            sunset: value(sunset.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string())?,
        })
    }

    fn say(&self, headers: &mut HeaderMap) {
        headers.insert(DEPRECATION, self.deprecation.clone());
        headers.insert(SUNSET, self.sunset.clone());
    }
}

/// RFC 9745.
const DEPRECATION: HeaderName = HeaderName::from_static("deprecation");
/// RFC 8594.
const SUNSET: HeaderName = HeaderName::from_static("sunset");

#[derive(Clone, Copy)]
enum BodyKind {
    None,
    Whole,
    /// The number of the field.
    Field(u32),
}

struct Variable {
    names: Vec<String>,
    first: usize,
    length: usize,
    to_end: bool,
    /// Whether it spans several segments, in which an encoded slash stays encoded.
    many: bool,
}

/// What a request is for.
#[derive(Debug)]
pub enum Target {
    /// An RPC.
    Call(Call),
    /// A path of an RPC, with a verb that it is not served under. OPTIONS is answered with the list.
    OtherMethods(Vec<Method>),
    /// Nothing of ours.
    Unknown,
}

/// An RPC that was found for a request.
#[derive(Debug)]
pub struct Call {
    route: usize,
    rpc: Arc<str>,
    segments: Segments,
}

impl Call {
    /// `egov.onestop.v1.CaseService/GetCase`.
    pub fn rpc(&self) -> &Arc<str> {
        &self.rpc
    }
}

/// A binding, as clients are told that it can be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// `egov.onestop.v1.CaseService/GetCase`.
    pub rpc: Arc<str>,
    /// The verb; `*` for any.
    pub verb: String,
    /// The path: `*` stands for any one segment or a beginning of it, `**` for all that follows.
    pub path: String,
}

/// A request that did not lead to what its RPC answers; nobody has been told yet.
#[derive(Debug)]
pub struct Failed {
    /// What became of it.
    pub status: Status,
    /// Whose word that is.
    pub by: FailedBy,
    /// What of the headers of the answer may pass all the same ([`Rest::passing`]).
    pub said: HeaderMap,
}

/// Whose word a failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailedBy {
    /// The request makes no message of the RPC.
    Request,
    /// The call over gRPC ended with this status.
    Call,
    /// The answer of the call cannot be told in JSON.
    Answer,
}

/// A status with whose word it is.
type Ended = (FailedBy, Status);

impl Rest {
    /// Compiles the bindings of the services of `pool` that `served` says yes to.
    ///
    /// # Errors
    /// Names every binding that cannot be served: no template, a field that is not there or cannot stand where it is
    /// bound, a streaming RPC; and every two that share a path.
    pub fn compile(pool: &DescriptorPool, served: impl Fn(&str) -> bool) -> Result<Self, RestError> {
        let bindings = Bindings::of(pool);
        let options = Options::of(pool);
        let mut rest = Self::empty(pool);
        let mut problems = Vec::new();
        for service in pool.services().filter(|service| served(service.full_name())) {
            for method in service.methods() {
                match bindings.read(&method) {
                    Ok(list) => {
                        for binding in list {
                            if let Err(problem) = rest.add(&method, &binding, &options) {
                                problems.push(format!("{}: {problem}", method.full_name()));
                            }
                        }
                    }
                    Err(problem) => problems.push(format!("{}: {problem}", method.full_name())),
                }
            }
        }
        if problems.is_empty() {
            Ok(rest)
        } else {
            Err(RestError { problems })
        }
    }

    /// Compiles the bindings of contracts that somebody else wrote, at most `most` of them: what cannot be served is left out
    /// and named, one sentence for each, and the rest is served. Of two bindings that share a path the first one counts.
    ///
    /// What a contract says with options of ours that make no sense stays unsaid, and templates that are needlessly long are
    /// left out too.
    pub fn compile_foreign(pool: &DescriptorPool, most: usize) -> (Self, Vec<String>) {
        let bindings = Bindings::of(pool);
        let options = Options::of(pool);
        let mut rest = Self::empty(pool);
        let mut left_out = Vec::new();
        for method in pool
            .services()
            .flat_map(|service| service.methods().collect::<Vec<_>>())
        {
            let name = method.full_name();
            let list = bindings.read(&method).unwrap_or_else(|problem| {
                left_out.push(format!("{name}: {problem}"));
                Vec::new()
            });
            for binding in list {
                let added = if rest.routes.len() >= most {
                    Err(format!(
                        "{}: an interface has at most {most} bindings",
                        binding.template
                    ))
                } else if is_overlong(&binding) {
                    Err(format!(
                        "a template has at most {MOST_SEGMENTS} segments, and binds fields at most {MOST_LEVELS} levels deep"
                    ))
                } else {
                    rest.add(&method, &binding, &options)
                };
                if let Err(problem) = added {
                    left_out.push(format!("{name}: {problem}"));
                }
            }
        }
        (rest, left_out)
    }

    fn empty(pool: &DescriptorPool) -> Self {
        Self {
            messages: Messages::compile(pool),
            router: Router::default(),
            routes: Vec::new(),
            limit: 4 * 1024 * 1024,
            passing: Vec::new(),
            unreadable: || Fault::internal("the answer is not one message of its type"),
            overlong: || Fault::internal("the answer is too long as JSON"),
        }
    }

    /// Answers with this fault where an answer of gRPC is not one message of its type; if not set, with `INTERNAL`, since a
    /// service of ours that answers so is broken.
    #[must_use]
    pub fn unreadable(self, fault: fn() -> Fault) -> Self {
        Self {
            unreadable: fault,
            ..self
        }
    }

    /// Answers with this fault where an answer of gRPC would have more than eight times [`Rest::limit`] bytes as JSON; if not
    /// set, with `INTERNAL`.
    #[must_use]
    pub fn overlong(self, fault: fn() -> Fault) -> Self {
        Self {
            overlong: fault,
            ..self
        }
    }

    /// Lets these headers of an answer of gRPC pass to the HTTP answer, also where they stand in its trailers or beside a
    /// failure.
    #[must_use]
    pub fn passing(self, names: impl IntoIterator<Item = HeaderName>) -> Self {
        Self {
            passing: names.into_iter().collect(),
            ..self
        }
    }

    /// Takes bodies, and messages made of them, of at most `bytes`; 4 MiB if not set. The JSON of an answer has at most eight
    /// times as many.
    #[must_use]
    pub fn limit(self, bytes: usize) -> Self {
        Self { limit: bytes, ..self }
    }

    fn add(&mut self, method: &MethodDescriptor, binding: &Binding, options: &Options) -> Result<(), String> {
        let shown = shown(binding);
        if method.is_client_streaming() || method.is_server_streaming() {
            return Err(format!("{shown}: a streaming RPC cannot be served over HTTP"));
        }
        let id = |name: &str| {
            self.messages
                .id(name)
                .ok_or_else(|| format!("there is no message {name}"))
        };
        let (input, output) = (id(method.input().full_name())?, id(method.output().full_name())?);

        let mut taken = Vec::new();
        let mut variables = Vec::new();
        for variable in binding.template.variables() {
            let field = self
                .messages
                .walk(input, variable.field.iter())
                .filter(|(_, field)| field.shape == Shape::One && self.is_text(field.of));
            let Some((parents, field)) = field else {
                let name = variable.field.join(".");
                return Err(format!("{shown}: {name} is no single field that a path can hold"));
            };
            taken.push(
                parents
                    .iter()
                    .map(|parent| parent.number)
                    .chain([field.number])
                    .collect(),
            );
            let segments = binding
                .template
                .segments()
                .get(variable.first..variable.first + variable.length)
                .unwrap_or_default();
            let to_end = segments.last() == Some(&Segment::Rest);
            variables.push(Variable {
                names: variable.field.clone(),
                first: variable.first,
                length: variable.length,
                to_end,
                many: to_end || segments.len() > 1,
            });
        }
        let body = match &binding.body {
            BodyRule::None => BodyKind::None,
            BodyRule::Whole => BodyKind::Whole,
            BodyRule::Field(name) => match self.messages.plan(input).by_name(name) {
                Some((_, field)) => BodyKind::Field(field.number),
                None => return Err(format!("{shown}: the body names the field {name}, which is not there")),
            },
        };
        let response_body = match &binding.response_body {
            None => None,
            Some(name) => match self.messages.plan(output).by_name(name) {
                Some((_, field)) => Some(field.number),
                None => return Err(format!("{shown}: the answer has no field {name}")),
            },
        };
        let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
        let target = path
            .parse::<PathAndQuery>()
            .map(Uri::from)
            .map_err(|error| format!("{path} is no path: {error}"))?;

        let leaving = match options.deprecation(method).filter(|_| is_deprecated(method)) {
            Some(deprecation) => Some(Leaving::of(&deprecation).map_err(|problem| format!("{shown}: {problem}"))?),
            None => None,
        };
        if let Err(first) = self
            .router
            .add(binding.method.clone(), &binding.template, self.routes.len())
        {
            let other = self.routes.get(*first);
            return Err(format!(
                "{shown} is served already, as {} of {}",
                other.map_or("?", |other| other.shown.as_str()),
                other.map_or("?", |other| &*other.rpc)
            ));
        }
        self.routes.push(Route {
            rpc: Arc::from(path.trim_start_matches('/')),
            shown,
            pattern: pattern(binding),
            target,
            input,
            output,
            body,
            response_body,
            variables,
            taken,
            leaving,
        });
        Ok(())
    }

    fn is_text(&self, of: Type) -> bool {
        match of {
            Type::Scalar(_) => true,
            Type::Message(id) => self.messages.plan(id).special.is_some_and(Special::is_text),
        }
    }

    /// How many bindings there are.
    pub fn len(&self) -> usize {
        self.routes.len()
    }

    /// Whether nothing is served over HTTP.
    pub fn is_empty(&self) -> bool {
        self.routes.is_empty()
    }

    /// The names of the RPCs that have a binding, `egov.onestop.v1.CaseService/GetCase`.
    pub fn rpcs(&self) -> HashSet<&str> {
        self.routes.iter().map(|route| &*route.rpc).collect()
    }

    /// What can be called, for lists of it.
    pub fn endpoints(&self) -> impl Iterator<Item = Endpoint> {
        self.routes.iter().map(|route| Endpoint {
            rpc: Arc::clone(&route.rpc),
            verb: route.shown.split(' ').next().unwrap_or_default().to_owned(),
            path: route.pattern.clone(),
        })
    }

    /// The bindings: RPC and `POST /v1/cases/{case_id}:accept`.
    pub(crate) fn bindings(&self) -> impl Iterator<Item = (&str, &str)> {
        self.routes.iter().map(|route| (&*route.rpc, route.shown.as_str()))
    }

    /// What a request is for.
    pub fn find(&self, method: &Method, path: &str) -> Target {
        match self.router.find(method, path) {
            Found::Value(index, segments) => match self.routes.get(*index) {
                Some(route) => Target::Call(Call {
                    route: *index,
                    rpc: Arc::clone(&route.rpc),
                    segments,
                }),
                None => Target::Unknown,
            },
            Found::OtherMethods(mut methods) => {
                methods.push(Method::OPTIONS);
                methods.sort_by(|a, b| a.as_str().cmp(b.as_str()));
                Target::OtherMethods(methods)
            }
            Found::Nothing => Target::Unknown,
        }
    }

    /// The answer to a request whose path is served under other verbs.
    pub fn other_methods(request: &Method, allowed: &[Method], language: Language) -> Response {
        let mut response = method_not_allowed(allowed, language);
        if *request == Method::OPTIONS
            && let Some(list) = response.headers_mut().remove(ALLOW)
        {
            response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NO_CONTENT;
            response.headers_mut().insert(ALLOW, list);
        }
        response
    }

    /// Makes the call with `grpc`, which serves gRPC, and answers in JSON.
    ///
    /// The answer's extensions hold an [`Outcome`].
    pub async fn serve<S, B, R>(&self, call: Call, request: Request<B>, grpc: S) -> Response
    where
        S: Service<Request<Body>, Response = Response<R>, Error = Infallible>,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
        R: http_body::Body<Data = Bytes> + Send + 'static,
        R::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let language = Language::of(request.headers());
        let head = request.method() == Method::HEAD;
        let Some(route) = self.routes.get(call.route) else {
            return refusal(Fault::internal("a call of another router"), language);
        };
        let (parts, body) = request.into_parts();
        let mut said = HeaderMap::new();
        let answered = match self.message(route, &call.segments, &parts, body).await {
            Ok(message) => self.call(route, parts, Body::from(message), grpc, &mut said).await,
            Err(status) => Err((FailedBy::Request, status)),
        };
        match self.finished(route, answered, said, head) {
            Ok(response) => response,
            Err(failed) => self.told(route, &failed, language),
        }
    }

    /// As [`Rest::serve`], but the body is read, and what is wrong with the request is found, only when `grpc` reads its
    /// message: for a server that first judges who calls and by what right, and only then takes anything in.
    pub async fn serve_when_read<S, B, R>(self: &Arc<Self>, call: Call, request: Request<B>, grpc: S) -> Response
    where
        S: Service<Request<Body>, Response = Response<R>, Error = Infallible>,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
        R: http_body::Body<Data = Bytes> + Send + 'static,
        R::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let language = Language::of(request.headers());
        let route = call.route;
        match (self.attempt(call, request, grpc).await, self.routes.get(route)) {
            (Ok(response), _) => response,
            (Err(failed), Some(route)) => self.told(route, &failed, language),
            (Err(failed), None) => failure(&failed.status, language),
        }
    }

    /// As [`Rest::serve_when_read`], but a failure is not told yet: for whoever tells it in words of his own.
    ///
    /// # Errors
    /// Whatever is not the answer of the RPC, with whose word it is.
    pub async fn attempt<S, B, R>(
        self: &Arc<Self>,
        call: Call,
        request: Request<B>,
        grpc: S,
    ) -> Result<Response, Box<Failed>>
    where
        S: Service<Request<Body>, Response = Response<R>, Error = Infallible>,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
        R: http_body::Body<Data = Bytes> + Send + 'static,
        R::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let head = request.method() == Method::HEAD;
        let mut said = HeaderMap::new();
        let Some(route) = self.routes.get(call.route) else {
            let status = Fault::internal("a call of another router").into();
            let by = FailedBy::Request;
            return Err(Box::new(Failed { status, by, said }));
        };
        let (mut parts, body) = request.into_parts();
        let extensions = std::mem::take(&mut parts.extensions);
        let wrong: Arc<OnceLock<Status>> = Arc::default();
        let (rest, of_text, found) = (Arc::clone(self), parts.clone(), Arc::clone(&wrong));
        let message = futures::stream::once(async move {
            let Some(route) = rest.routes.get(call.route) else {
                return Err(NoMessage);
            };
            rest.message(route, &call.segments, &of_text, body)
                .await
                .map_err(|status| {
                    // Set once: there is one message.
                    let _ = found.set(status);
                    NoMessage
                })
        });
        parts.extensions = extensions;
        let answered = self
            .call(route, parts, Body::from_stream(message), grpc, &mut said)
            .await;
        // Whatever became of a call without a message: the caller hears what is wrong with its request.
        let answered = match wrong.get() {
            Some(status) => Err((FailedBy::Request, status.clone())),
            None => answered,
        };
        self.finished(route, answered, said, head)
    }

    async fn call<S, R>(
        &self,
        route: &Route,
        parts: request::Parts,
        message: Body,
        grpc: S,
        said: &mut HeaderMap,
    ) -> Result<Response, Ended>
    where
        S: Service<Request<Body>, Response = Response<R>, Error = Infallible>,
        R: http_body::Body<Data = Bytes> + Send + 'static,
        R::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let answer = match grpc.oneshot(request(route, parts, message)).await {
            Ok(answer) => answer,
            Err(never) => match never {},
        };
        self.answer(route, answer, said).await
    }

    /// An answer with all that it says beside its message, or the failure with what may pass of that.
    fn finished(
        &self,
        route: &Route,
        answered: Result<Response, Ended>,
        said: HeaderMap,
        head: bool,
    ) -> Result<Response, Box<Failed>> {
        match answered {
            Ok(response) => {
                let response = if head { without_body(response) } else { response };
                Ok(self.with_said(route, response, &said))
            }
            Err((by, status)) => Err(Box::new(Failed { status, by, said })),
        }
    }

    fn told(&self, route: &Route, failed: &Failed, language: Language) -> Response {
        self.with_said(route, failure(&failed.status, language), &failed.said)
    }

    fn with_said(&self, route: &Route, mut response: Response, said: &HeaderMap) -> Response {
        for name in &self.passing {
            if let Some(value) = said.get(name) {
                response.headers_mut().insert(name.clone(), value.clone());
            }
        }
        if let Some(leaving) = &route.leaving {
            leaving.say(response.headers_mut());
        }
        response
    }

    /// The message of an HTTP request, in the frame of gRPC.
    async fn message<B>(
        &self,
        route: &Route,
        segments: &Segments,
        parts: &request::Parts,
        body: B,
    ) -> Result<Bytes, Status>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let text = if http_body::Body::is_end_stream(&body) {
            Bytes::new()
        } else {
            read(body, self.limit).await?
        };
        if !text.is_empty() && !matches!(route.body, BodyKind::None) && !is_json(&parts.headers) {
            return Err(media_type().into());
        }

        let mut out = Vec::with_capacity(PREFIX + text.len() + 64);
        out.resize(PREFIX, 0);
        let mut reader = Reader {
            messages: &self.messages,
            out,
            violations: Vec::new(),
        };
        for variable in &route.variables {
            let raw = segments.text(parts.uri.path(), variable.first, variable.length, variable.to_end);
            if let Some((parents, field)) = self.messages.walk(route.input, variable.names.iter()) {
                reader.variable(&parents, field, raw, variable.many);
            }
        }
        let query = parts.uri.query().unwrap_or_default();
        match route.body {
            BodyKind::None => {
                reader.query(route.input, query, &route.taken);
                if !text.is_empty() {
                    reader.violations.push(no_body());
                }
            }
            BodyKind::Whole => {
                if !query.is_empty() {
                    reader.no_query(query);
                }
                reader.message(route.input, &text, &route.taken);
            }
            BodyKind::Field(number) => {
                let plan = self.messages.plan(route.input);
                let field: Option<&FieldPlan> = plan.by_number(number).and_then(|index| plan.fields.get(index));
                let mut taken = route.taken.clone();
                taken.push(vec![number]);
                reader.query(route.input, query, &taken);
                if let Some(field) = field {
                    let below: Vec<Vec<u32>> = route
                        .taken
                        .iter()
                        .filter(|numbers| numbers.first() == Some(&number) && numbers.len() > 1)
                        .map(|numbers| numbers.get(1..).unwrap_or_default().to_vec())
                        .collect();
                    reader.field(&[], field, &text, &below);
                }
            }
        }
        let Reader {
            mut out, violations, ..
        } = reader;
        if !violations.is_empty() {
            return Err(Fault::invalid(violations).into());
        }
        let length = out.len() - PREFIX;
        if length > self.limit {
            return Err(too_large(self.limit).with("bytes", length.to_string()).into());
        }
        if let Some(prefix) = out.get_mut(1..PREFIX) {
            prefix.copy_from_slice(&(length as u32).to_be_bytes());
        }
        Ok(out.into())
    }

    /// The HTTP answer of a gRPC answer.
    ///
    /// Of what it says beside its message, in head or trailers, what may pass goes into `said`. Whatever the bytes of its
    /// message keep alive (a place among the calls under way) is kept until the caller has taken the JSON.
    async fn answer<R>(&self, route: &Route, answer: Response<R>, said: &mut HeaderMap) -> Result<Response, Ended>
    where
        R: http_body::Body<Data = Bytes> + Send + 'static,
        R::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (parts, body) = answer.into_parts();
        self.note(&parts.headers, said);
        if let Some(status) = Status::from_header_map(&parts.headers)
            && status.code() != tonic::Code::Ok
        {
            return Err((FailedBy::Call, status));
        }
        let collected = collect(body).await.map_err(|status| (FailedBy::Call, status))?;
        let Collected { bytes, first, trailers } = collected;
        if let Some(trailers) = &trailers {
            self.note(trailers, said);
        }
        match trailers.as_ref().and_then(Status::from_header_map) {
            Some(status) if status.code() != tonic::Code::Ok => return Err((FailedBy::Call, status)),
            _ => {}
        }
        let unreadable = || (FailedBy::Answer, Status::from((self.unreadable)()));
        let message = unframed(&bytes).ok_or_else(unreadable)?;

        let most = self.limit.saturating_mul(JSON_TIMES);
        let mut writer = Writer::new(&self.messages, Vec::with_capacity(message.len() * 2 + 16), most);
        let written = match route.response_body {
            None => writer.message(route.output, message),
            Some(number) => {
                let plan = self.messages.plan(route.output);
                match plan.by_number(number).and_then(|index| plan.fields.get(index)) {
                    Some(field) => writer.only(route.output, field, message),
                    None => Err(Malformed.into()),
                }
            }
        };
        written.map_err(|error| {
            let fault = match error {
                Unwritten::Malformed(_) => (self.unreadable)(),
                Unwritten::TooLong(_) => (self.overlong)(),
            };
            (FailedBy::Answer, Status::from(fault.caused_by(error)))
        })?;

        let json = Bytes::from_owner(Keeping {
            json: writer.out,
            _first: first,
        });
        let mut response = Response::new(Body::from(json));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        // Nearly every answer is about somebody.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        // What a service says beside its message.
        for (name, value) in &parts.headers {
            if name.as_str().starts_with("x-") {
                headers.append(name.clone(), value.clone());
            }
        }
        response.extensions_mut().insert(Outcome {
            code: tonic::Code::Ok,
            reason: None,
        });
        Ok(response)
    }

    /// Keeps what may pass.
    fn note(&self, from: &HeaderMap, said: &mut HeaderMap) {
        for name in &self.passing {
            if let Some(value) = from.get(name) {
                said.insert(name.clone(), value.clone());
            }
        }
    }

    /// REST in front of a router that serves gRPC and whatever else: for a server that is not built by `egov-runtime`, which
    /// has this inside its layers.
    pub fn in_front_of(self: Arc<Self>, grpc: axum::Router) -> axum::Router {
        axum::Router::new().fallback(move |request: Request<Body>| {
            let (rest, grpc) = (Arc::clone(&self), grpc.clone());
            async move {
                let is_grpc = request
                    .headers()
                    .get(CONTENT_TYPE)
                    .is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"));
                if !is_grpc {
                    match rest.find(request.method(), request.uri().path()) {
                        Target::Call(call) => return rest.serve(call, request, grpc).await,
                        Target::OtherMethods(allowed) => {
                            let language = Language::of(request.headers());
                            return Self::other_methods(request.method(), &allowed, language);
                        }
                        Target::Unknown => {}
                    }
                }
                match grpc.oneshot(request).await {
                    Ok(response) => response,
                    Err(never) => match never {},
                }
            }
        })
    }
}

impl fmt::Debug for Rest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rest")
            .field("routes", &self.routes.len())
            .finish_non_exhaustive()
    }
}

/// The request of gRPC that is made of an HTTP request.
fn request(route: &Route, parts: request::Parts, message: Body) -> Request<Body> {
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(TE, HeaderValue::from_static("trailers"));
    for name in &FORWARDED {
        for value in parts.headers.get_all(name) {
            headers.append(name.clone(), value.clone());
        }
    }
    let mut call = Request::new(message);
    *call.method_mut() = Method::POST;
    *call.uri_mut() = route.target.clone();
    *call.version_mut() = Version::HTTP_2;
    *call.headers_mut() = headers;
    // Who is connected, the request's name, and what outer layers noted.
    *call.extensions_mut() = parts.extensions;
    call
}

/// There is no message, since the HTTP request makes none.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the request makes no message")]
struct NoMessage;

/// A binding as it is told to people.
pub(crate) fn shown(binding: &Binding) -> String {
    let verb = binding.method.as_ref().map_or("*", Method::as_str);
    format!("{verb} {}", binding.template)
}

/// The path of a binding with its variables as wildcards.
fn pattern(binding: &Binding) -> String {
    let mut path = String::new();
    for segment in binding.template.segments() {
        path.push('/');
        path.push_str(&segment.to_string());
    }
    if let Some(verb) = binding.template.verb() {
        path.push(':');
        path.push_str(verb);
    }
    path
}

fn is_overlong(binding: &Binding) -> bool {
    let deep = |variable: &crate::template::Variable| variable.field.len() > MOST_LEVELS;
    binding.template.segments().len() > MOST_SEGMENTS || binding.template.variables().iter().any(deep)
}

/// An answer to HEAD: what GET would say, without saying it.
fn without_body(response: Response) -> Response {
    let length = http_body::Body::size_hint(response.body()).exact();
    let mut response = response.map(|_| Body::empty());
    if let Some(length) = length {
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    response
}

/// Reads a whole body.
async fn read<B>(body: B, limit: usize) -> Result<Bytes, Status>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    match Limited::new(body, limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) => {
            let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&*error);
            while let Some(error) = cause {
                if error.is::<LengthLimitError>() {
                    return Err(too_large(limit).into());
                }
                cause = error.source();
            }
            // The caller went away or sent no HTTP; nobody reads this answer.
            Err(Fault::new(
                Code::Cancelled,
                "CANCELLED",
                "yêu cầu bị ngắt giữa chừng",
                "the request broke off",
            )
            .into())
        }
    }
}

/// `application/json`, with parameters perhaps, and not compressed.
fn is_json(headers: &HeaderMap) -> bool {
    let json = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| {
            let essence = value.split(';').next().unwrap_or_default().trim();
            essence.eq_ignore_ascii_case("application/json")
        });
    let plain = headers
        .get(CONTENT_ENCODING)
        .is_none_or(|value| value.as_bytes().eq_ignore_ascii_case(b"identity"));
    json && plain
}

/// The JSON of an answer, and bytes of the answer itself: who sent these sees when the caller has taken those.
struct Keeping {
    json: Vec<u8>,
    _first: Bytes,
}

impl AsRef<[u8]> for Keeping {
    fn as_ref(&self) -> &[u8] {
        &self.json
    }
}

/// A whole gRPC body.
struct Collected {
    bytes: Bytes,
    /// The first frame as it came, not copied.
    first: Bytes,
    trailers: Option<HeaderMap>,
}

/// Reads a whole gRPC body.
async fn collect<R>(body: R) -> Result<Collected, Status>
where
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut body = std::pin::pin!(body);
    let mut first = Bytes::new();
    let mut more: Option<BytesMut> = None;
    let mut trailers = None;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Status::from(Fault::internal(error)))?;
        match frame.into_data() {
            // One frame is the rule: then nothing is copied.
            Ok(data) => match &mut more {
                Some(more) => more.extend_from_slice(&data),
                None if first.is_empty() => first = data,
                None => {
                    let mut all = BytesMut::with_capacity(first.len() + data.len() * 2);
                    all.extend_from_slice(&first);
                    all.extend_from_slice(&data);
                    more = Some(all);
                }
            },
            Err(frame) => trailers = frame.into_trailers().ok(),
        }
    }
    let bytes = more.map_or_else(|| first.clone(), BytesMut::freeze);
    Ok(Collected { bytes, first, trailers })
}

/// The one message of a gRPC body; `None` if it is not exactly one, or compressed, which was not asked for.
fn unframed(body: &[u8]) -> Option<&[u8]> {
    let (prefix, message) = body.split_at_checked(PREFIX)?;
    let (flag, length) = prefix.split_first()?;
    let length = u32::from_be_bytes(length.try_into().ok()?) as usize;
    (*flag == 0 && length == message.len()).then_some(message)
}

fn no_body() -> Violation {
    Violation {
        field: "body".to_owned(),
        rule: "rest.no_body".to_owned(),
        vi: "thao tác này không có nội dung, hãy gửi bằng tham số truy vấn".to_owned(),
        en: "this operation takes no body, its fields are query parameters".to_owned(),
    }
}
