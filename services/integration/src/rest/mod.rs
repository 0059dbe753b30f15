//! REST/JSON of gRPC interfaces through the door: a request is found among what its caller may call, becomes one call of gRPC, and
//! goes through the door as any other; what comes back becomes JSON. The door judges, this only translates.

pub(crate) mod document;

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use egov_auth::purpose_of;
use egov_door::{AGREEMENT, AnswerBody, Door, EXCHANGE, PROMISE, Refusal, SERVICE, refusal, service_of};
use egov_fault::{Fault, Violation};
use egov_transcode::{Language, Rest, Target, method_not_allowed, unknown_path};
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Uri};
use prost_reflect::DescriptorPool;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tower::{ServiceExt as _, service_fn};
use uuid::Uuid;

use crate::gatekeeper::{Agreements, Reach, denied};
use crate::permits::{Call, Denial};

/// The most bindings of one interface. A real one has a few hundred.
const MOST_BINDINGS: usize = 2_000;

/// How many reasons why a binding is left out are logged.
const MOST_LOGGED: usize = 20;

/// How many documents are made at once: a large one takes a core for a while.
const DOCUMENTS_AT_ONCE: usize = 2;

/// How long a caller waits for its turn to have one made.
const DOCUMENT_WAIT: Duration = Duration::from_secs(5);

/// One version of the gRPC interface of a service, compiled.
pub(crate) struct Interface {
    pool: DescriptorPool,
    rest: Arc<Rest>,
}

impl Interface {
    /// Compiles what of an uploaded interface can be served over HTTP; what cannot is logged, and is reached over gRPC.
    pub(crate) fn compile(service_id: Uuid, version: i64, pool: DescriptorPool, message_bytes: usize) -> Self {
        let (rest, left_out) = Rest::compile_foreign(&pool, MOST_BINDINGS);
        if !left_out.is_empty() {
            let some: Vec<&String> = left_out.iter().take(MOST_LOGGED).collect();
            tracing::warn!(service = %service_id, version, left_out = left_out.len(), ?some, "bindings of an interface are not served over HTTP");
        }
        let rest = rest
            .limit(message_bytes)
            .passing([AGREEMENT, EXCHANGE, PROMISE])
            .unreadable(|| refusal(Refusal::AnswerUnreadable))
            .overlong(|| refusal(Refusal::AnswerTooLarge));
        Self {
            pool,
            rest: Arc::new(rest),
        }
    }

    /// The descriptors.
    pub(crate) fn pool(&self) -> &DescriptorPool {
        &self.pool
    }

    /// What of it can be called over HTTP.
    pub(crate) fn rest(&self) -> &Arc<Rest> {
        &self.rest
    }
}

/// The call of gRPC that the door serves, for a service that is known.
pub(crate) async fn through(door: Door, service_id: Uuid, mut call: Request) -> http::Response<AnswerBody> {
    // Letters, digits and dashes are always a value.
    if let Ok(service) = HeaderValue::from_str(&service_id.to_string()) {
        call.headers_mut().insert(SERVICE, service);
    }
    door.grpc(call).await
}

/// What answers on the door's port to whoever speaks plain HTTP.
#[derive(Clone)]
pub(crate) struct RestFront {
    door: Door,
    agreements: Arc<Agreements>,
    page: Router,
    documents: Arc<Semaphore>,
}

impl RestFront {
    pub(crate) fn new(door: Door, agreements: Arc<Agreements>) -> Self {
        Self {
            door,
            agreements,
            page: egov_transcode::page(),
            documents: Arc::new(Semaphore::new(DOCUMENTS_AT_ONCE)),
        }
    }

    pub(crate) async fn answer(&self, request: Request) -> Response {
        let language = Language::of(request.headers());
        if request.uri().path() == "/docs" {
            // The page holds nothing of anybody; it asks for a token by itself.
            return match self.page.clone().oneshot(request).await {
                Ok(response) => response,
                Err(never) => match never {},
            };
        }
        match self.judged(request, language).await {
            Ok(response) => response,
            Err(fault) => {
                self.door.refused(&fault);
                egov_transcode::refusal(fault, language)
            }
        }
    }

    /// Who calls comes first: which paths there are depends on it.
    async fn judged(&self, mut request: Request, language: Language) -> Result<Response, Fault> {
        let consumer = self.door.consumer(request.headers(), request.extensions()).await?;
        consumer.clone().known_in(request.extensions_mut());
        let service_id = named(&mut request)?;
        let mut reach = self.agreements.reach(&consumer)?;
        reach.retain(|one| service_id.is_none_or(|wanted| wanted == one.permit.service_id));
        if request.uri().path() == "/openapi.json" {
            if service_id.is_some() && reach.is_empty() {
                let behind = self.agreements.is_behind(&consumer.client_id);
                return nothing(behind, None);
            }
            return self.document(request.method(), reach, language).await;
        }
        match find(&self.agreements, &reach, &consumer.client_id, &request)? {
            Found::One(found) => Ok(self.call(found, request).await),
            Found::OtherMethods(_) if self.agreements.is_behind(&consumer.client_id) => {
                Err(refusal(Refusal::PermitsStale))
            }
            Found::OtherMethods(allowed) => Ok(Rest::other_methods(request.method(), &allowed, language)),
            Found::Nothing => {
                let known = service_id.is_some() && !reach.is_empty();
                nothing(
                    self.agreements.is_behind(&consumer.client_id),
                    known.then(|| unknown_path(language)),
                )
            }
        }
    }

    async fn call(&self, found: Matched, request: Request) -> Response {
        let (door, service_id) = (self.door.clone(), found.service_id);
        let grpc = service_fn(move |call: Request| {
            let door = door.clone();
            async move { Ok::<_, Infallible>(through(door, service_id, call).await) }
        });
        found.rest.serve_when_read(found.call, request, grpc).await
    }

    async fn document(&self, method: &Method, reach: Vec<Reach>, language: Language) -> Result<Response, Fault> {
        let allowed = [Method::GET, Method::HEAD];
        if !allowed.contains(method) {
            return Ok(method_not_allowed(&allowed, language));
        }
        let place = turn(&self.documents).await?;
        let now = self.agreements.now();
        let made = tokio::task::spawn_blocking(move || {
            let _place = place;
            document::of(&reach, now).to_string()
        });
        let text = made.await.map_err(Fault::internal)?;
        let mut response = Response::new(if method == Method::HEAD {
            Body::empty()
        } else {
            Body::from(text)
        });
        let headers = response.headers_mut();
        headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        // It is of this caller and of this moment.
        headers.insert(http::header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(response)
    }
}

/// The answer where nothing is found that the caller may call. `unknown` is what there is not of a service that it may call:
/// only then it can be told. Otherwise it is told that it may not: a system that lost its agreement must not take "nothing
/// there" for an answer about what it asked for.
///
/// Neither is said while this instance is behind with the permits of the caller: in a moment it may know better.
fn nothing(is_behind: bool, unknown: Option<Response>) -> Result<Response, Fault> {
    if is_behind {
        return Err(refusal(Refusal::PermitsStale));
    }
    unknown.ok_or_else(|| refusal(Refusal::AgreementMissing))
}

/// Waits for a turn to have a document made, but not for ever: those who wait hold their requests open.
async fn turn(documents: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Fault> {
    match tokio::time::timeout(DOCUMENT_WAIT, Arc::clone(documents).acquire_owned()).await {
        Ok(place) => place.map_err(Fault::internal),
        Err(_) => Err(refusal(Refusal::ConsumerBusy)),
    }
}

/// What a request is for.
pub(crate) enum Found {
    /// This RPC of this service.
    One(Matched),
    /// A path of an RPC, with a verb that it is not served under.
    OtherMethods(Vec<Method>),
    /// Nothing that the caller may call.
    Nothing,
}

/// An RPC of a service that the caller may call.
pub(crate) struct Matched {
    pub(crate) service_id: Uuid,
    pub(crate) rest: Arc<Rest>,
    pub(crate) call: egov_transcode::Call,
}

/// Finds the RPC among what the caller may call, and lets the permits say which is meant, as they will for the call itself.
pub(crate) fn find(
    agreements: &Agreements,
    reach: &[Reach],
    client_id: &str,
    request: &Request,
) -> Result<Found, Fault> {
    let purpose = purpose_of(request.headers())?;
    let (method, path) = (request.method(), request.uri().path());
    let mut looked_at: BTreeSet<(Uuid, i64)> = BTreeSet::new();
    let mut others: Vec<Method> = Vec::new();
    let mut denial = None;
    let mut found: Option<Matched> = None;
    for one in reach {
        let (service_id, version) = (one.permit.service_id, one.permit.interface_version);
        if !looked_at.insert((service_id, version)) {
            continue;
        }
        let call = match one.interface.rest.find(method, path) {
            Target::Call(call) => call,
            Target::OtherMethods(allowed) => {
                others.extend(allowed);
                continue;
            }
            Target::Unknown => continue,
        };
        let granted = agreements.grant(Call {
            client_id,
            method: call.rpc(),
            service_id: Some(service_id),
            purpose: purpose.as_deref(),
        });
        match granted {
            // By another version of the interface the same path may be another call.
            Ok(grant) if grant.permit().interface_version != version => {}
            Ok(_) if found.as_ref().is_some_and(|other| other.service_id != service_id) => {
                return Err(refusal(Refusal::ServiceAmbiguous));
            }
            Ok(_) => {
                found = Some(Matched {
                    service_id,
                    rest: Arc::clone(&one.interface.rest),
                    call,
                });
            }
            Err(Denial::Stale) => return Err(denied(Denial::Stale)),
            Err(other) => {
                denial = denial.filter(|before| *before != Denial::NoAgreement).or(Some(other));
            }
        }
    }
    match (found, denial) {
        (Some(found), _) => Ok(Found::One(found)),
        (None, Some(denial)) => Err(denied(denial)),
        (None, None) if others.is_empty() => Ok(Found::Nothing),
        (None, None) => {
            others.sort_by(|a, b| a.as_str().cmp(b.as_str()));
            others.dedup();
            Ok(Found::OtherMethods(others))
        }
    }
}

/// The service that the request names: in its path (`/s/ID/…`, which is taken off) or in `x-egov-service`.
fn named(request: &mut Request) -> Result<Option<Uuid>, Fault> {
    let by_header = service_of(request.headers())?;
    let Some((by_path, rest)) = prefixed(request.uri()) else {
        return Ok(by_header);
    };
    if by_header.is_some_and(|other| other != by_path) {
        return Err(Fault::invalid(vec![Violation {
            field: SERVICE.as_str().to_owned(),
            rule: "header".to_owned(),
            vi: "khác với dịch vụ nêu trong đường dẫn".to_owned(),
            en: "is another service than the path names".to_owned(),
        }]));
    }
    *request.uri_mut() = Uri::from(rest);
    Ok(Some(by_path))
}

/// The service of `/s/ID/…`, and what follows it.
fn prefixed(uri: &Uri) -> Option<(Uuid, PathAndQuery)> {
    let whole = uri.path_and_query()?.as_str();
    let inside = whole.strip_prefix("/s/")?;
    let (id, _) = inside.split_once('/')?;
    let service_id = id.parse().ok()?;
    let rest = inside.get(id.len()..)?.parse().ok()?;
    Some((service_id, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

    fn request(uri: &str, headers: &[(&'static str, &str)]) -> Request {
        let mut request = Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(Body::empty()).unwrap()
    }

    #[test]
    fn a_service_is_named_by_its_path_or_its_header_and_not_by_two_that_differ() {
        let id: Uuid = ID.parse().unwrap();
        let mut by_path = request(&format!("/s/{ID}/v1/people/a%2Fb?x=1"), &[]);
        assert_eq!(named(&mut by_path).unwrap(), Some(id));
        assert_eq!(by_path.uri().to_string(), "/v1/people/a%2Fb?x=1");

        let mut by_header = request("/v1/people", &[("x-egov-service", ID)]);
        assert_eq!(named(&mut by_header).unwrap(), Some(id));
        assert_eq!(by_header.uri().path(), "/v1/people");

        let mut by_both = request(&format!("/s/{ID}/v1/people"), &[("x-egov-service", ID)]);
        assert_eq!(named(&mut by_both).unwrap(), Some(id));

        let other = Uuid::from_u128(9).to_string();
        let mut different = request(&format!("/s/{ID}/v1/people"), &[("x-egov-service", &other)]);
        assert_eq!(named(&mut different).unwrap_err().violations().len(), 1);

        for path in ["/v1/people", "/s/people/1", &format!("/s/{ID}"), "/s//x"] {
            let mut plain = request(path, &[]);
            assert_eq!(named(&mut plain).unwrap(), None);
            assert_eq!(plain.uri().path(), path);
        }
    }

    #[test]
    fn nothing_is_unknown_or_forbidden_while_the_permits_of_the_caller_are_not_all_known() {
        let unknown = || Some(unknown_path(Language::default()));
        for named in [unknown(), None] {
            assert_eq!(nothing(true, named).unwrap_err().reason(), "PERMITS_STALE");
        }
        assert_eq!(nothing(false, unknown()).unwrap().status(), 404);
        assert_eq!(nothing(false, None).unwrap_err().reason(), "AGREEMENT_MISSING");
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_too_long_for_a_document_is_told_to_come_again() {
        let documents = Arc::new(Semaphore::new(1));
        let held = turn(&documents).await.unwrap();
        let began = tokio::time::Instant::now();
        assert_eq!(turn(&documents).await.unwrap_err().reason(), "CONSUMER_BUSY");
        assert_eq!(began.elapsed().as_secs(), DOCUMENT_WAIT.as_secs());
        drop(held);
        assert!(turn(&documents).await.is_ok());
    }

    proptest! {
        #[test]
        fn any_path_names_a_service_or_stays_as_it_is(
            begin in prop_oneof!["/s/", "/"],
            id in prop_oneof![Just(ID.to_owned()), "[a-f0-9-]{0,40}".boxed()],
            end in "/?[a-z/%?=&:]{0,20}",
        ) {
            let path = format!("{begin}{id}{end}");
            let Ok(uri) = path.parse::<Uri>() else { return Ok(()) };
            let named = path.strip_prefix("/s/").and_then(|inside| inside.split_once('/'));
            let wanted = named.and_then(|(id, _)| id.parse::<Uuid>().ok());
            let found = prefixed(&uri);
            prop_assert_eq!(found.as_ref().map(|(id, _)| *id), wanted);
            if let Some((_, rest)) = found {
                prop_assert_eq!(format!("{begin}{id}{rest}"), path);
            }
        }
    }
}
