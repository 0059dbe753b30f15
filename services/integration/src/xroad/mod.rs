//! The façade for existing clients of X-Road: `/r1/{instance}/{class}/{member}/{subsystem}/{service}/{path…}` with the header
//! `X-Road-Client`, and the metaservices `listMethods`, `allowedMethods` and `getOpenAPI` of a subsystem.
//!
//! A member is an organisation of the directory by its member class and code, a subsystem one of its systems, a service one of
//! that system's services by its code: of plain REST, or of gRPC with what its interface binds by `google.api.http`. What is
//! called this way goes the same way as everything through the door: by an agreement, judged, recorded before and after. Whoever `X-Road-Client` names must be the system that has proved itself: by its token, or by
//! a client certificate that is registered for it.

mod grpc;

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_lc_rs::digest::{SHA512, digest};
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use egov_auth::{RowScope, TokenRefusal};
use egov_clock::Ids as _;
use egov_database::Database;
use egov_door::{AnswerBody, Consumer, Door, Manner, PlainCall, Refusal, refusal};
use egov_fault::{Code, Fault};
use egov_runtime::server::client_certificate;
use egov_xroad::{
    Asked, Call, ClientId, Endpoint, Failure, FailureKind, Listed, MediaType, MetaService, MethodList, RequestHash,
    ServiceId, ServiceType, answer_headers, provider_headers,
};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use http::uri::PathAndQuery;
use http::{Extensions, HeaderMap, HeaderValue, Method};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use uuid::Uuid;

use crate::catalogue::Catalogue;
use crate::domain::service::InterfaceKind;
use crate::error::Error;
use crate::gatekeeper::Agreements;
use crate::store;
use crate::store::catalogue::{Member, Offered};
use crate::xroad::grpc::Bindings;

/// The façade.
#[derive(Clone)]
pub(crate) struct XRoad {
    instance: Arc<str>,
    door: Door,
    agreements: Arc<Agreements>,
    database: Database,
    turns: Arc<Semaphore>,
    bindings: Arc<Bindings>,
}

/// How many metaservices read from the database at once, and how long one waits for its turn.
const TURNS: usize = 4;
const PATIENCE: Duration = Duration::from_secs(5);

impl XRoad {
    /// A façade of this instance of X-Road.
    ///
    /// # Errors
    /// If the name cannot be one of an instance.
    pub(crate) fn new(
        instance: &str,
        door: Door,
        agreements: Arc<Agreements>,
        database: Database,
    ) -> anyhow::Result<Self> {
        let named = format!("{instance}/GOV/MEMBER").parse::<ClientId>();
        anyhow::ensure!(
            named.is_ok_and(|client| client.instance == instance),
            "door.xroad_instance cannot be the name of an instance of X-Road"
        );
        Ok(Self {
            instance: Arc::from(instance),
            door,
            agreements,
            database,
            turns: Arc::new(Semaphore::new(TURNS)),
            bindings: Arc::default(),
        })
    }

    /// Serves a request of the protocol.
    pub(crate) async fn serve(self, request: Request) -> Response {
        let media = MediaType::of_accept(request.headers().get(ACCEPT));
        let fresh = self.database.ids().uuid();
        let target = request
            .uri()
            .path_and_query()
            .map(ToString::to_string)
            .unwrap_or_default();
        let call = match Call::read(&target, request.headers()) {
            Ok(call) => call,
            Err(failure) => return whole(failed(&failure, media, fresh)),
        };
        let manner = XRoadManner {
            id: call.id_or(fresh),
            call,
            media,
            request_id: OnceLock::new(),
            hash: OnceLock::new(),
            fresh,
        };
        match Box::pin(self.answer(&manner, request)).await {
            Ok(response) => response,
            Err(failure) => whole(manner.failed(&failure)),
        }
    }

    async fn answer(&self, manner: &XRoadManner, request: Request) -> Result<Response, Failure> {
        let call = &manner.call;
        let consumer = self
            .consumer(request.headers(), request.extensions())
            .await
            .map_err(|fault| {
                self.door.refused(&fault);
                failure_of(&fault)
            })?;
        let catalogue = self.agreements.catalogue();
        self.is_client(&catalogue, &consumer, &call.client)?;
        let provider = self.provider(&catalogue, &call.service)?;
        match &call.asked {
            Asked::Service { path_and_query } => {
                let service = service_of(&catalogue, provider, &call.service.service)?;
                let below;
                let path_and_query = if path_and_query.starts_with('/') {
                    path_and_query.as_str()
                } else {
                    below = format!("/{path_and_query}");
                    below.as_str()
                };
                if service.kind == InterfaceKind::Grpc {
                    let service_id = service.service_id;
                    return Ok(Box::pin(self.grpc(consumer, service_id, path_and_query, manner, request)).await);
                }
                let call = PlainCall {
                    service_id: service.service_id,
                    path_and_query,
                    manner,
                };
                Ok(self.door.plain(consumer, request, call).await.map(Body::new))
            }
            Asked::Meta(_) if !matches!(*request.method(), Method::GET | Method::HEAD) => {
                Err(Failure::new(FailureKind::BadRequest, "a metaservice is asked by GET"))
            }
            Asked::Meta(MetaService::GetOpenApi { service }) => {
                let turn = self.turn().await?;
                let service = service_of(&catalogue, provider, service)?;
                let document = match service.kind {
                    InterfaceKind::OpenApi => self.document(service).await?,
                    InterfaceKind::Grpc => self.described(service, turn).await?,
                };
                Ok(whole(manner.told(document)))
            }
            Asked::Meta(asked) => {
                let _turn = self.turn().await?;
                let services: Vec<&Offered> = catalogue.services_of(provider.system_id).collect();
                let endpoints = if matches!(asked, MetaService::ListMethods) {
                    self.offered(&services).await?
                } else {
                    self.allowed(&consumer, &services)?
                };
                let mut list = MethodList::default();
                for (service, endpoints) in services.into_iter().zip(endpoints) {
                    if !endpoints.is_empty() {
                        list.service.push(listed(&call.service, &service.code, endpoints));
                    }
                }
                let body = serde_json::to_vec(&list).map_err(|_| internal())?;
                Ok(whole(manner.told(Bytes::from(body))))
            }
        }
    }

    /// What the newest interface of each service has.
    async fn offered(&self, services: &[&Offered]) -> Result<Vec<Vec<Endpoint>>, Failure> {
        let plain: Vec<&Offered> = services.iter().copied().filter(|service| is_plain(service)).collect();
        let mut methods = self.methods(&plain).await?;
        let mut all = Vec::with_capacity(services.len());
        for service in services {
            all.push(if is_plain(service) {
                of_operations(methods.remove(&service.service_id).unwrap_or_default())
            } else {
                let bound = self.bound(service).await?;
                bound.iter().map(endpoint).collect()
            });
        }
        Ok(all)
    }

    /// What of each service a consumer may call now.
    fn allowed(&self, consumer: &Consumer, services: &[&Offered]) -> Result<Vec<Vec<Endpoint>>, Failure> {
        let reach = self.agreements.reach(consumer);
        let reach = reach.map_err(|fault| failure_of(&fault))?;
        let of = |service: &Offered| -> Result<Vec<Endpoint>, Failure> {
            if !is_plain(service) {
                return Ok(grpc::allowed(&reach, service.service_id, self.agreements.now()));
            }
            let operations = self.agreements.allowed(&consumer.client_id, service.service_id);
            Ok(of_operations(operations.map_err(|fault| failure_of(&fault))?))
        };
        services.iter().map(|service| of(service)).collect()
    }

    /// A turn to ask the database for documents: the journal needs its connections more.
    async fn turn(&self) -> Result<OwnedSemaphorePermit, Failure> {
        let busy = || failure_of(&refusal(Refusal::ConsumerBusy));
        timeout(PATIENCE, Arc::clone(&self.turns).acquire_owned())
            .await
            .map_err(|_| busy())?
            .map_err(|_| busy())
    }

    /// Who calls: by a token if there is one, otherwise by the certificate of the connection.
    async fn consumer(&self, headers: &HeaderMap, extensions: &Extensions) -> Result<Consumer, Fault> {
        let bearer = headers
            .get(AUTHORIZATION)
            .and_then(|value| value.as_bytes().get(..7))
            .is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"bearer "));
        let shown = client_certificate(extensions).filter(|_| !bearer);
        let Some(shown) = shown else {
            return self.door.consumer(headers, extensions).await;
        };
        let catalogue = self.agreements.catalogue();
        let member = catalogue
            .of_certificate(&hex::encode(shown), self.agreements.now())
            .ok_or(TokenRefusal::Missing)?;
        Ok(Consumer::by_certificate(
            member.client_id.clone(),
            member.system_id,
            shown,
        ))
    }

    /// Whether the consumer is who it says to be: its subsystem, or the member to which it belongs.
    fn is_client(&self, catalogue: &Catalogue, consumer: &Consumer, said: &ClientId) -> Result<(), Failure> {
        let is = catalogue.client(&consumer.client_id).is_some_and(|member| {
            *said.instance == *self.instance
                && said.member_class == member.member_class
                && said.member_code == member.member_code
                && said
                    .subsystem
                    .as_ref()
                    .is_none_or(|subsystem| *subsystem == member.subsystem_code)
        });
        if is {
            return Ok(());
        }
        Err(Failure::new(
            FailureKind::UnknownMember,
            "X-Road-Client is not the system that calls",
        ))
    }

    fn provider<'c>(&self, catalogue: &'c Catalogue, service: &ServiceId) -> Result<&'c Member, Failure> {
        Some(service)
            .filter(|service| *service.instance == *self.instance)
            .and_then(|service| catalogue.subsystem(&service.member_class, &service.member_code, &service.subsystem))
            .ok_or_else(|| Failure::new(FailureKind::UnknownService, "there is no such subsystem"))
    }

    /// The newest document of a service, as its provider published it.
    async fn document(&self, service: &Offered) -> Result<Bytes, Failure> {
        let (id, version) = (service.service_id, service.interface_version);
        let read = self
            .database
            .read(&RowScope::everything(), async |conn| {
                Ok::<_, Error>(store::services::interface(conn, id, version).await?)
            })
            .await;
        match read {
            Ok(Some((_, document))) => Ok(Bytes::from(document)),
            Ok(None) => Err(Failure::new(FailureKind::UnknownService, "there is no such document")),
            Err(error) => Err(failure_of(&Fault::from(error))),
        }
    }

    async fn methods(&self, services: &[&Offered]) -> Result<HashMap<Uuid, Vec<String>>, Failure> {
        let versions: Vec<(Uuid, i64)> = services
            .iter()
            .map(|service| (service.service_id, service.interface_version))
            .collect();
        self.database
            .read(&RowScope::everything(), async |conn| {
                Ok::<_, Error>(store::catalogue::methods(conn, &versions).await?)
            })
            .await
            .map_err(|error| failure_of(&Fault::from(error)))
    }
}

fn is_plain(service: &Offered) -> bool {
    service.kind == InterfaceKind::OpenApi
}

fn service_of<'c>(catalogue: &'c Catalogue, provider: &Member, code: &str) -> Result<&'c Offered, Failure> {
    catalogue
        .services_of(provider.system_id)
        .find(|one| one.code == code)
        .ok_or_else(|| Failure::new(FailureKind::UnknownService, "there is no such service"))
}

/// The operations of an OpenAPI interface by their names, `GET /people/{id}`.
fn of_operations(operations: impl IntoIterator<Item = String>) -> Vec<Endpoint> {
    let split = |name: String| {
        let (verb, template) = name.split_once(' ')?;
        Some(Endpoint::of_template(verb, template))
    };
    operations.into_iter().filter_map(split).collect()
}

fn endpoint(bound: &egov_transcode::Endpoint) -> Endpoint {
    Endpoint {
        method: bound.verb.clone(),
        path: bound.path.clone(),
    }
}

fn listed(asked: &ServiceId, code: &str, endpoints: Vec<Endpoint>) -> Listed {
    let service = ServiceId {
        service: code.to_owned(),
        ..asked.clone()
    };
    Listed::new(service, ServiceType::OpenApi, endpoints)
}

/// The words of the protocol for one call.
struct XRoadManner {
    call: Call,
    media: MediaType,
    id: String,
    /// The id of the exchange, once there is one.
    request_id: OnceLock<Uuid>,
    hash: OnceLock<RequestHash>,
    /// The id of the request where there is no exchange.
    fresh: Uuid,
}

impl XRoadManner {
    fn request_id(&self) -> Uuid {
        self.request_id.get().copied().unwrap_or(self.fresh)
    }

    fn failed(&self, failure: &Failure) -> http::Response<Bytes> {
        let mut response = failed(failure, self.media, self.request_id());
        self.answering(response.headers_mut());
        response
    }

    /// An answer of the façade itself, in JSON.
    fn told(&self, body: Bytes) -> http::Response<Bytes> {
        let mut response = http::Response::new(body);
        let headers = response.headers_mut();
        // What the door itself answers says its encoding (PR-REST 4.3).
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json;charset=utf-8"));
        self.answering(headers);
        response
    }
}

impl Manner for XRoadManner {
    fn forwarding(&self, exchange_id: Uuid, verb: &Method, path: &PathAndQuery, headers: &mut HeaderMap, body: &Bytes) {
        let request_id = self.request_id.get_or_init(|| exchange_id);
        provider_headers(headers, &self.call, &self.id, &request_id.to_string());
        let of_body = <[u8; 64]>::try_from(digest(&SHA512, body).as_ref()).ok();
        let of_body = of_body.filter(|_| !body.is_empty());
        // One call is forwarded once; a repetition by the door carries the same bytes.
        let _ = self.hash.set(RequestHash::of(verb, path.as_str(), headers, of_body));
    }

    fn answering(&self, headers: &mut HeaderMap) {
        let request_id = self.request_id().to_string();
        answer_headers(headers, &self.call, &self.id, &request_id, self.hash.get());
    }

    fn refusal(&self, fault: Fault) -> http::Response<Bytes> {
        let mut response = self.failed(&failure_of(&fault));
        if let Some(delay) = fault.retry_delay() {
            let seconds = u64::try_from(delay.as_millis().div_ceil(1000)).unwrap_or(u64::MAX);
            response
                .headers_mut()
                .insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        if let Ok(reason) = HeaderValue::from_str(fault.reason()) {
            response.headers_mut().insert("x-egov-reason", reason);
        }
        response
    }
}

fn whole(response: http::Response<Bytes>) -> Response {
    response.map(AnswerBody::of).map(Body::new)
}

fn failed(failure: &Failure, media: MediaType, trace: Uuid) -> http::Response<Bytes> {
    let answered = failure.answer(media, trace);
    let mut response = http::Response::new(Bytes::from(answered.body));
    *response.status_mut() = answered.status;
    *response.headers_mut() = answered.headers;
    response
}

fn internal() -> Failure {
    Failure::new(FailureKind::InternalError, "something failed inside")
}

/// A refusal of the door in the words of X-Road.
fn failure_of(fault: &Fault) -> Failure {
    let kind = match (fault.reason(), fault.code()) {
        ("NOT_A_SYSTEM" | "CERTIFICATE_NOT_BOUND", _) | (_, Code::Unauthenticated) => FailureKind::UnknownMember,
        ("EXCHANGE_NOT_RECORDED", _) => FailureKind::LogUnavailable,
        ("PROVIDER_UNAVAILABLE" | "PROVIDER_IN_MAINTENANCE" | "PROVIDER_BROKE_OFF", _) => FailureKind::NetworkError,
        ("OPERATION_UNKNOWN", _) => FailureKind::UnknownService,
        // To come again, as where a quota is used up, would not help.
        ("MESSAGE_TOO_LARGE", _) => FailureKind::BadRequest,
        (_, Code::PermissionDenied) => FailureKind::AccessDenied,
        (_, Code::ResourceExhausted) => FailureKind::LimitReached,
        (_, Code::DeadlineExceeded) => FailureKind::ServiceTimeout,
        (_, Code::InvalidArgument) => FailureKind::BadRequest,
        _ => return Failure::new(FailureKind::InternalError, reworded(fault)),
    };
    Failure::new(kind, reworded(fault))
}

/// The text of a fault with everything that it names.
fn reworded(fault: &Fault) -> String {
    let mut text = fault.en().to_owned();
    for violation in fault.violations() {
        text.push_str("; ");
        text.push_str(&violation.field);
        text.push_str(": ");
        text.push_str(&violation.en);
    }
    text
}
