//! The layers around the services, in one expression.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::Response;
use egov_fault::{Code, Fault};
use egov_transcode::{Language, Rest, Target, unknown_path};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic_web::GrpcWebLayer;
use tower::util::option_layer;
use tower::{Layer as _, ServiceBuilder, ServiceExt as _, service_fn};
use tower_http::cors::CorsLayer;

use super::StartError;
use super::answer::{is_grpc, is_grpc_web, refuse};
use super::health::Health;
use super::limits::{bound, catch_panic, deadline, end_streams, shed};
use crate::config::LimitsConfig;
use crate::telemetry::{Recorder, note_method, note_route, record};

pub(super) struct Parts {
    /// The RPCs of each assembly, behind that assembly's auth layer.
    pub(super) grpc: Vec<Router>,
    /// The plain HTTP routes of all assemblies.
    pub(super) http: Router,
    pub(super) health: Health,
    /// The encoded descriptor set of all contracts.
    pub(super) descriptors: Vec<u8>,
    pub(super) recorder: Recorder,
    pub(super) draining: CancellationToken,
    pub(super) limits: LimitsConfig,
    /// The RPCs over plain HTTP, from the contracts.
    pub(super) rest: Arc<Rest>,
    /// For calls from pages of other origins; `None` allows none.
    pub(super) cors: Option<CorsLayer>,
}

pub(super) fn build(parts: Parts) -> Result<Router, StartError> {
    let grpc = parts
        .grpc
        .into_iter()
        .fold(infrastructure(&parts.health, &parts.descriptors)?, Router::merge)
        .fallback(unknown_method);
    let http = parts
        .http
        .merge(parts.health.routes())
        // Inside the router, where the pattern of the matched route is known.
        .layer(from_fn(note_route))
        .fallback(|request: Request| async move { unknown_path(Language::of(request.headers())) });

    // One port: the content type tells gRPC, then the path tells an RPC over plain HTTP, which becomes the same call of the
    // same router: inside the layers below, so that it is recorded, limited and guarded once and as any other.
    let rest = parts.rest;
    let front = service_fn(move |request: Request| {
        let (rest, grpc, http) = (Arc::clone(&rest), grpc.clone(), http.clone());
        async move {
            if is_grpc(request.headers()) {
                return grpc.oneshot(request).await;
            }
            match rest.find(request.method(), request.uri().path()) {
                Target::Call(call) => {
                    note_method(&request, call.rpc());
                    Ok(rest.serve(call, request, grpc).await)
                }
                Target::OtherMethods(allowed) => {
                    let language = Language::of(request.headers());
                    Ok(Rest::other_methods(request.method(), &allowed, language))
                }
                Target::Unknown => http.oneshot(request).await,
            }
        }
    });

    let limits = Arc::new(parts.limits);
    let permits = Arc::new(Semaphore::new(limits.concurrent_calls.min(Semaphore::MAX_PERMITS)));
    let router = Router::new().fallback_service(front).layer(
        ServiceBuilder::new()
            // Outermost, so that every answer is recorded, whichever layer gives it, and every line that a layer logs
            // carries the trace.
            .layer(from_fn_with_state(Arc::new(parts.recorder), record))
            // Answers the browser's questions by itself, and marks every answer, refusals included.
            .layer(option_layer(parts.cors))
            // Around all that follows, so that a panic in a layer is as harmless as one in a handler; inside the
            // record, which shows it as INTERNAL.
            .layer(from_fn(catch_panic))
            // Sees the bodies of the answers only; above the deadline, which does not apply to open streams.
            .layer(from_fn_with_state(parts.draining, end_streams))
            // Before anything that costs: under overload a refusal must be cheaper than the work.
            .layer(from_fn_with_state(permits, shed))
            // Around token verification and handler together: fetching keys is part of the caller's time.
            .layer(from_fn_with_state(Arc::clone(&limits), deadline))
            // Acts while the handler reads its message.
            .layer(from_fn_with_state(limits.message_bytes, bound)),
        // Then, for RPCs, the auth layer of the assembly (assembly.rs): the innermost, so that nothing stands between
        // a verified caller and the handler.
    );

    // Around everything: gRPC-Web is gRPC whose trailers are part of the body. Inside it is plain gRPC for every layer.
    let web = GrpcWebLayer::new().layer(router.clone());
    let outside = service_fn(move |request: Request| {
        let (router, web) = (router.clone(), web.clone());
        async move {
            if is_grpc_web(request.headers()) {
                let answer = web.oneshot(request).await?;
                Ok::<_, Infallible>(answer.map(Body::new))
            } else {
                router.oneshot(request).await
            }
        }
    });
    Ok(Router::new().fallback_service(outside))
}

/// What answers on a port beside the server's own: the health of the process, and `router` for all else.
pub(super) fn beside(router: Router, health: &Health, draining: CancellationToken) -> Router {
    Routes::default()
        .add_service(health.service())
        .into_axum_router()
        .reset_fallback()
        .merge(health.routes())
        .layer(from_fn_with_state(draining, end_streams))
        .fallback_service(router)
}

/// Health and reflection, which need no token.
fn infrastructure(health: &Health, descriptors: &[u8]) -> Result<Router, StartError> {
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(descriptors)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let wrong = |error: tonic_reflection::server::Error| StartError::Reflection(error.to_string());
    Ok(Routes::default()
        .add_service(health.service())
        .add_service(reflection().build_v1().map_err(wrong)?)
        // Older tools, Python's grpcio-reflection among them, ask for this one only.
        .add_service(reflection().build_v1alpha().map_err(wrong)?)
        .into_axum_router()
        .reset_fallback())
}

async fn unknown_method(_request: Request) -> Result<Response, Infallible> {
    Ok(refuse(
        Fault::new(
            Code::Unimplemented,
            "METHOD_UNKNOWN",
            "không có thao tác này",
            "there is no such method here",
        ),
        true,
    ))
}
