//! Services of gRPC for clients of X-Road: what the interface binds by `google.api.http` becomes one call of gRPC, which goes
//! through the door as any other; its answer becomes JSON, and what goes wrong is told in the errors of the protocol.
//!
//! The provider finds the headers of the protocol in the metadata, but for `X-Road-Request-Id`: that is the exchange, which it
//! has from the door (`x-egov-exchange`). `X-Road-Request-Hash` is over the request as the client made it: verb and path below
//! the service, the headers of the protocol, the body.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::digest::{Context, SHA512};
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use egov_auth::RowScope;
use egov_door::{ByTheDoor, Consumer, EXCHANGE, Manner as _, Refusal, refusal};
use egov_fault::{Fault, fault_of};
use egov_transcode::{Failed, FailedBy, Language, failure};
use egov_xroad::{Endpoint, Failure, FailureKind, RequestHash, names, provider_headers};
use http::header::ACCEPT;
use http::uri::PathAndQuery;
use http::{HeaderMap, Uri};
use http_body_util::BodyExt as _;
use jiff::Timestamp;
use tokio::sync::OwnedSemaphorePermit;
use tower::service_fn;
use uuid::Uuid;

use super::{XRoad, XRoadManner, endpoint, failure_of, whole};
use crate::domain::descriptors;
use crate::error::Error;
use crate::gatekeeper::Reach;
use crate::rest::{Found, Interface, Matched, document, find, through};
use crate::store;
use crate::store::catalogue::Offered;

/// What the protocol's own headers begin with.
const BEGINNING: &str = "x-road-";

/// The most interfaces whose bindings are remembered.
const MOST_REMEMBERED: usize = 256;

/// What a version of an interface binds.
type Bound = Arc<Vec<egov_transcode::Endpoint>>;

/// What versions of interfaces bind: none of them ever changes.
#[derive(Default)]
pub(super) struct Bindings(Mutex<HashMap<(Uuid, i64), Bound>>);

impl Bindings {
    fn of(&self, source: (Uuid, i64)) -> Option<Bound> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&source).cloned()
    }

    fn keep(&self, source: (Uuid, i64), bound: Bound) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST_REMEMBERED {
            known.clear();
        }
        known.insert(source, bound);
    }
}

/// The SHA-512 of a body, as it is read.
struct Hashing {
    context: Context,
    empty: bool,
}

/// What a consumer may call now of a service, as its permits have it.
pub(super) fn allowed(reach: &[Reach], service_id: Uuid, now: Timestamp) -> Vec<Endpoint> {
    let of_service = reach.iter().filter(|one| one.permit.service_id == service_id);
    of_service
        .flat_map(|one| {
            let may = |rpc: &str| {
                one.permit.methods.contains_key(rpc) && one.caller().is_some_and(|caller| caller.may_call(rpc, now))
            };
            let bound = one.interface.rest().endpoints().filter(move |bound| may(&bound.rpc));
            bound.map(|bound| endpoint(&bound)).collect::<Vec<_>>()
        })
        .collect()
}

impl XRoad {
    /// Serves a call of a service of gRPC.
    pub(super) async fn grpc(
        &self,
        consumer: Consumer,
        service_id: Uuid,
        path_and_query: &str,
        manner: &XRoadManner,
        mut request: Request,
    ) -> Response {
        let found = self.found(&consumer, service_id, path_and_query, &mut request);
        match found {
            Ok(found) => {
                consumer.known_in(request.extensions_mut());
                self.call(found, manner, request).await
            }
            Err(fault) => {
                self.door.refused(&fault);
                refused(manner, fault, HeaderMap::new())
            }
        }
    }

    /// The RPC that is meant, of those that the consumer may call; the request then has its path below the service.
    fn found(
        &self,
        consumer: &Consumer,
        service_id: Uuid,
        path_and_query: &str,
        request: &mut Request,
    ) -> Result<Matched, Fault> {
        let below: PathAndQuery = path_and_query.parse().map_err(|_| refusal(Refusal::PathRefused))?;
        *request.uri_mut() = Uri::from(below);
        let mut reach = self.agreements.reach(consumer)?;
        reach.retain(|one| one.permit.service_id == service_id);
        let found = find(&self.agreements, &reach, &consumer.client_id, request)?;
        match found {
            Found::One(found) => Ok(found),
            // In a moment this instance may know better.
            _ if self.agreements.is_behind(&consumer.client_id) => Err(refusal(Refusal::PermitsStale)),
            // Whoever lost its agreement must not take "not there" for an answer about a person.
            _ if reach.is_empty() => Err(refusal(Refusal::AgreementMissing)),
            Found::OtherMethods(_) | Found::Nothing => Err(refusal(Refusal::OperationUnknown)),
        }
    }

    async fn call(&self, found: Matched, manner: &XRoadManner, request: Request) -> Response {
        let language = Language::of(request.headers());
        let said = said_to_provider(manner);
        let (verb, target) = (request.method().clone(), request.uri().to_string());
        let (request, hashing) = hashed(request);
        let by_the_door = Arc::new(AtomicBool::new(false));
        let (door, service_id) = (self.door.clone(), found.service_id);
        let (metadata, its_own) = (said.clone(), Arc::clone(&by_the_door));
        let grpc = service_fn(move |mut call: Request| {
            let (door, its_own) = (door.clone(), Arc::clone(&its_own));
            call.headers_mut().extend(metadata.clone());
            async move {
                let answer = through(door, service_id, call).await;
                its_own.store(answer.extensions().get::<ByTheDoor>().is_some(), Ordering::Relaxed);
                Ok::<_, Infallible>(answer)
            }
        });
        let answered = found.rest.attempt(found.call, request, grpc).await;
        let headers = match &answered {
            Ok(response) => response.headers(),
            Err(failed) => &failed.said,
        };
        // With an exchange the request was sent on, and read to its end before.
        if let Some(exchange_id) = exchange_of(headers) {
            let _ = manner.request_id.set(exchange_id);
            let hash = RequestHash::of(&verb, &target, &said, of_body(&hashing));
            let _ = manner.hash.set(hash);
        }
        let mut response = match answered {
            Ok(response) => without_theirs(response),
            Err(failed) => failed_as(manner, *failed, by_the_door.load(Ordering::Relaxed), language),
        };
        manner.answering(response.headers_mut());
        response
    }

    /// What the newest interface of a service of gRPC binds.
    pub(super) async fn bound(&self, service: &Offered) -> Result<Arc<Vec<egov_transcode::Endpoint>>, Failure> {
        let source = (service.service_id, service.interface_version);
        if let Some(known) = self.bindings.of(source) {
            return Ok(known);
        }
        let interface = self.interface(service, None).await?;
        let bound = Arc::new(interface.rest().endpoints().collect::<Vec<_>>());
        self.bindings.keep(source, Arc::clone(&bound));
        Ok(bound)
    }

    /// The OpenAPI document of the newest interface of a service of gRPC.
    pub(super) async fn described(&self, service: &Offered, turn: OwnedSemaphorePermit) -> Result<Bytes, Failure> {
        let interface = self.interface(service, Some(turn)).await?;
        let made = tokio::task::spawn_blocking(move || document::of_interface(&interface).to_string());
        made.await
            .map(Bytes::from)
            .map_err(|error| failure_of(&Fault::internal(error)))
    }

    /// Reads and compiles an interface; a turn that is given is held until that is over.
    async fn interface(&self, service: &Offered, turn: Option<OwnedSemaphorePermit>) -> Result<Interface, Failure> {
        let (id, version) = (service.service_id, service.interface_version);
        let read = self
            .database
            .read(&RowScope::everything(), async |conn| {
                Ok::<_, Error>(store::services::interface(conn, id, version).await?)
            })
            .await;
        let read = read.map_err(|error| failure_of(&Fault::from(error)))?;
        let gone = || Failure::new(FailureKind::UnknownService, "there is no such interface");
        let (_, document) = read.ok_or_else(gone)?;
        let message_bytes = self.door.limits().message_bytes;
        let compiling = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            descriptors::pool(&document).map(|pool| Interface::compile(id, version, pool, message_bytes))
        });
        let compiled = compiling.await.map_err(|error| failure_of(&Fault::internal(error)))?;
        compiled.map_err(|problems| {
            tracing::error!(service = %id, ?problems, "an interface cannot be read");
            failure_of(&Fault::internal("the interface cannot be read"))
        })
    }
}

/// The headers of the protocol as the provider finds them in the metadata.
fn said_to_provider(manner: &XRoadManner) -> HeaderMap {
    let mut said = HeaderMap::new();
    provider_headers(&mut said, &manner.call, &manner.id, "");
    // What is accepted the door says; the request is the exchange.
    said.remove(ACCEPT);
    said.remove(names::REQUEST_ID);
    said
}

/// A request whose body is hashed as it is read.
fn hashed(request: Request) -> (Request, Arc<Mutex<Hashing>>) {
    let hashing = Arc::new(Mutex::new(Hashing {
        context: Context::new(&SHA512),
        empty: true,
    }));
    let reading = Arc::clone(&hashing);
    let request = request.map(|body| {
        Body::new(body.map_frame(move |frame| {
            if let Some(data) = frame.data_ref().filter(|data| !data.is_empty()) {
                let mut hashing = reading.lock().unwrap_or_else(PoisonError::into_inner);
                hashing.context.update(data);
                hashing.empty = false;
            }
            frame
        }))
    });
    (request, hashing)
}

fn of_body(hashing: &Mutex<Hashing>) -> Option<[u8; 64]> {
    let hashing = hashing.lock().unwrap_or_else(PoisonError::into_inner);
    let digest = <[u8; 64]>::try_from(hashing.context.clone().finish().as_ref()).ok();
    digest.filter(|_| !hashing.empty)
}

fn exchange_of(headers: &HeaderMap) -> Option<Uuid> {
    headers.get(&EXCHANGE)?.to_str().ok()?.parse().ok()
}

/// The answer that tells a failure: the provider's own as it is told over HTTP, all others in the errors of the protocol.
fn failed_as(manner: &XRoadManner, failed: Failed, by_the_door: bool, language: Language) -> Response {
    let Failed { status, by, said } = failed;
    if by == FailedBy::Call && !by_the_door {
        let mut response = failure(&status, language);
        response.headers_mut().extend(said);
        return response;
    }
    refused(manner, fault_of(&status), said)
}

fn refused(manner: &XRoadManner, fault: Fault, said: HeaderMap) -> Response {
    let mut response = whole(manner.refusal(fault));
    response.headers_mut().extend(said);
    response
}

/// An answer of the provider without what it says in headers of the protocol: it does not speak for the door.
fn without_theirs(mut response: Response) -> Response {
    let names = response.headers().keys();
    let theirs: Vec<_> = names
        .filter(|name| name.as_str().starts_with(BEGINNING))
        .cloned()
        .collect();
    for name in theirs {
        response.headers_mut().remove(name);
    }
    response
}
