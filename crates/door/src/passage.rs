//! What lets a call through, and what it must then pass.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use egov_fault::Fault;
use http::{HeaderMap, HeaderName, Method};
use uuid::Uuid;

use crate::consumer::Consumer;
use crate::plain_path::PlainPath;
use crate::quota::Quota;
use crate::refusal::{Refusal, refusal};
use crate::upstream::Upstream;

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The method, as agreements name it: `egov.demo.v1.People/Get`, or `GET /people/{id}`.
    pub method: &'a str,
    /// The service that is meant, if the caller says so.
    pub service_id: Option<Uuid>,
    /// For what, as the caller says.
    pub purpose: Option<&'a str>,
}

/// What the interface says of a method.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MethodFacts {
    /// Whether the consumer sends a stream.
    pub client_streaming: bool,
    /// Whether the provider sends a stream.
    pub server_streaming: bool,
    /// Whether the call may be repeated.
    pub idempotent: bool,
}

/// Which bodies the agreement keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BodyRules {
    /// Requests.
    pub request: bool,
    /// Answers.
    pub response: bool,
    /// For how many days.
    pub retention_days: u32,
}

/// Why a message does not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FilterRefusal {
    /// It cannot be read by the interface.
    #[error("the message cannot be read")]
    Unreadable,
    /// A predicate does not hold.
    #[error("the agreement does not allow this request")]
    NotAgreed,
}

impl FilterRefusal {
    /// The fault for a request.
    pub(crate) fn of_request(self) -> Fault {
        refusal(match self {
            Self::Unreadable => Refusal::MessageUnreadable,
            Self::NotAgreed => Refusal::RequestNotAgreed,
        })
    }
}

/// The predicates and the mask of an agreement for one method.
pub trait MessageFilter: Send + Sync {
    /// A request: refused, or what goes on to the provider.
    fn request(&self, message: Bytes) -> Result<Bytes, FilterRefusal>;
    /// An answer: what the consumer may have of it.
    fn response(&self, message: Bytes) -> Result<Bytes, FilterRefusal>;
}

/// How the grant by which a call was let through stands by now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stands {
    /// It holds.
    Holds,
    /// Nobody knows: this instance has not heard of revocations for too long.
    Unknown,
    /// It was revoked, has ended, or its certificate or token was withdrawn.
    Ended,
}

/// Whether the grant by which a call was let through still holds.
pub trait Standing: Send + Sync {
    /// Looked at before a call is forwarded and before its answer leaves, and several times a second while a stream is open.
    fn stands(&self) -> Stands;

    /// A call that was let through by it is recorded, and about to be forwarded. Said once a call.
    fn used(&self) {}
}

/// By what a call is let through.
#[derive(Clone)]
pub struct Passage {
    /// The agreement.
    pub agreement_id: Uuid,
    /// Its version.
    pub agreement_version: i64,
    /// The delegation by which the caller acts.
    pub delegation_id: Option<Uuid>,
    /// The consumer's organisation.
    pub consumer_organisation_id: Uuid,
    /// The unit that keeps it, which may see the record.
    pub consumer_unit_id: i32,
    /// The provider's organisation.
    pub provider_organisation_id: Uuid,
    /// The unit that keeps it, which may see the record.
    pub provider_unit_id: i32,
    /// The service.
    pub service_id: Uuid,
    /// Where the service is.
    pub upstream: Arc<Upstream>,
    /// What the interface says of the method.
    pub facts: MethodFacts,
    /// What messages must pass; none if they pass as bytes.
    pub filter: Option<Arc<dyn MessageFilter>>,
    /// How often.
    pub quota: Quota,
    /// Which bodies are kept.
    pub bodies: BodyRules,
    /// Whether the grant still holds.
    pub standing: Arc<dyn Standing>,
}

impl fmt::Debug for Passage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passage")
            .field("agreement_id", &self.agreement_id)
            .field("agreement_version", &self.agreement_version)
            .field("facts", &self.facts)
            .field("filtered", &self.filter.is_some())
            .finish_non_exhaustive()
    }
}

/// Who knows the agreements.
pub trait Gatekeeper: Send + Sync + 'static {
    /// The passage of a call, or why there is none.
    fn admit(&self, consumer: &Consumer, asked: Asked<'_>) -> Result<Passage, Fault>;

    /// The passage of a call of plain HTTP: of the operations of the service the one that the request names. A gatekeeper that
    /// knows gRPC only has none.
    fn admit_plain(&self, _consumer: &Consumer, _asked: PlainAsked<'_>) -> Result<PlainPassage, Fault> {
        Err(refusal(Refusal::AgreementMissing))
    }
}

/// What is asked for over plain HTTP.
#[derive(Clone, Copy, Debug)]
pub struct PlainAsked<'a> {
    /// The service.
    pub service_id: Uuid,
    /// The method of HTTP.
    pub verb: &'a Method,
    /// The path below the service.
    pub path: &'a PlainPath,
    /// For what, as the caller says.
    pub purpose: Option<&'a str>,
}

/// By what a call of plain HTTP is let through.
#[derive(Clone)]
pub struct PlainPassage {
    /// As for gRPC; `filter` is not looked at.
    pub passage: Passage,
    /// The operation, as agreements name it: `GET /people/{id}`.
    pub method: String,
    /// The variables of its path with their values, decoded.
    pub variables: Vec<(String, String)>,
    /// What request and answer must pass; none if they pass as bytes.
    pub filter: Option<Arc<dyn PlainFilter>>,
}

impl fmt::Debug for PlainPassage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlainPassage")
            .field("passage", &self.passage)
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
}

/// A request of plain HTTP as it is judged.
#[derive(Clone, Copy, Debug)]
pub struct PlainRequest<'a> {
    /// The variables of the path, decoded.
    pub variables: &'a [(String, String)],
    /// The query as it came, without its question mark.
    pub query: Option<&'a str>,
    /// The headers as they will go on.
    pub headers: &'a HeaderMap,
    /// The body.
    pub body: &'a Bytes,
}

/// The predicates and the mask of an agreement for one operation of plain HTTP.
pub trait PlainFilter: Send + Sync {
    /// Whether requests are judged: then only headers that the door knows or the interface declares go on.
    fn judges(&self) -> bool;
    /// Whether the interface declares a header of the request.
    fn declares(&self, header: &HeaderName) -> bool;
    /// A request: refused, or the query as it goes on. Only asked if requests are judged.
    fn request(&self, request: &PlainRequest<'_>) -> Result<Option<String>, FilterRefusal>;
    /// Whether answers are masked.
    fn masks(&self) -> bool;
    /// An answer, a JSON document: what the consumer may have of it. Only asked if answers are masked.
    fn response(&self, document: &Bytes) -> Result<Bytes, FilterRefusal>;
}
