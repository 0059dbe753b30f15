//! The way of a trace and of a deadline through the services (W3C Trace Context, `grpc-timeout`).
//!
//! Baggage is not propagated: callers could put personal data into it, and it would end up in every system behind.

use std::sync::LazyLock;

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator as _};
use opentelemetry::trace::TraceContextExt as _;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tonic::metadata::{MetadataKey, MetadataMap, MetadataValue};
use tonic::service::Interceptor;
use tonic::{Request, Status};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use crate::server::remaining;

static W3C: LazyLock<TraceContextPropagator> = LazyLock::new(TraceContextPropagator::new);

/// The trace that the headers of a request name; an empty context if they name none.
pub(super) fn extract(headers: &HeaderMap) -> Context {
    W3C.extract_with_context(&Context::new(), &Headers(headers))
}

/// Hands the trace and the deadline of the call in progress on to another service:
/// `CaseServiceClient::with_interceptor(channel, Propagate)`.
///
/// The other service then writes the same trace id into its log and does not work on when the caller has given up. A
/// deadline that the request has already is kept. When no time is left the call is not made.
#[derive(Clone, Copy, Debug, Default)]
pub struct Propagate;

impl Interceptor for Propagate {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        inject(request.metadata_mut());
        // A deadline set on the request itself is the business of whoever set it; ours only fills the gap.
        if let Some(left) = remaining()
            && request.metadata().get("grpc-timeout").is_none()
        {
            if left.is_zero() {
                return Err(crate::server::deadline_passed().into());
            }
            request.set_timeout(left);
        }
        Ok(request)
    }
}

/// Writes the trace of the current span into metadata.
fn inject(metadata: &mut MetadataMap) {
    let of_span = tracing::Span::current().context();
    let context = if of_span.span().span_context().is_valid() {
        of_span
    } else {
        // No tracer is installed, or code uses OpenTelemetry directly.
        Context::current()
    };
    W3C.inject_context(&context, &mut Metadata(metadata));
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

struct Metadata<'a>(&'a mut MetadataMap);

impl Injector for Metadata<'_> {
    fn set(&mut self, key: &str, value: String) {
        let key = MetadataKey::from_bytes(key.as_bytes());
        let value = HeaderValue::try_from(value).map(|value| MetadataValue::try_from(value.as_bytes()));
        if let (Ok(key), Ok(Ok(value))) = (key, value) {
            self.0.insert(key, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_traceparent_is_read() {
        let mut headers = HeaderMap::new();
        headers.insert("traceparent", HeaderValue::from_static(PARENT));
        let context = extract(&headers);
        assert_eq!(
            context.span().span_context().trace_id().to_string(),
            "0af7651916cd43dd8448eb211c80319c"
        );
        headers.insert("traceparent", HeaderValue::from_static("00-nonsense"));
        assert!(!extract(&headers).span().span_context().is_valid());
    }

    #[test]
    fn the_current_trace_is_written_and_baggage_is_not() {
        let parent = Context::new().with_remote_span_context(SpanContext::new(
            TraceId::from(0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c_u128),
            SpanId::from(0xb7ad_6b71_6920_3331_u64),
            TraceFlags::SAMPLED,
            true,
            TraceState::default(),
        ));
        let _attached = parent.attach();
        let request = Propagate.call(Request::new(())).unwrap();
        assert_eq!(request.metadata().get("traceparent").unwrap(), PARENT);
        assert!(request.metadata().get("baggage").is_none());
        assert!(
            request.metadata().get("grpc-timeout").is_none(),
            "outside of a call there is no deadline"
        );
    }
}
