//! Answers that a layer gives in place of a handler.

use axum::body::Body;
use axum::response::Response;
use egov_fault::Fault;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::json;
use tonic::Status;

/// Whether a request is a gRPC call. The content type decides, as the protocol says: `application/grpc`, with a codec
/// behind a plus sign perhaps.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("application/grpc"))
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['+', ';']))
}

/// The answer that says `fault`, in the form that the caller understands.
pub(super) fn refuse(fault: Fault, grpc: bool) -> Response {
    if grpc {
        Status::from(fault).into_http()
    } else {
        refuse_http(&fault)
    }
}

/// `google.rpc.Status` as JSON.
fn refuse_http(fault: &Fault) -> Response {
    let body = json!({
        "code": fault.code().to_tonic() as i32,
        "message": fault.en(),
        "details": [
            {
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": fault.reason(),
                "domain": fault.error_domain(),
                "metadata": fault.metadata(),
            },
            {
                "@type": "type.googleapis.com/google.rpc.LocalizedMessage",
                "locale": "vi",
                "message": fault.vi(),
            },
            {
                "@type": "type.googleapis.com/google.rpc.LocalizedMessage",
                "locale": "en",
                "message": fault.en(),
            },
        ],
    });
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() =
        StatusCode::from_u16(fault.code().http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(delay) = fault.retry_delay() {
        // In whole seconds, rounded up: zero would mean "at once".
        headers.insert(RETRY_AFTER, HeaderValue::from(delay.as_millis().div_ceil(1000) as u64));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use egov_fault::Code;
    use std::time::Duration;

    #[test]
    fn the_content_type_tells_a_grpc_call() {
        let with = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(value));
            is_grpc(&headers)
        };
        assert!(with("application/grpc"));
        assert!(with("application/grpc+proto"));
        assert!(!with("application/grpc-web"));
        assert!(!with("application/json"));
        assert!(!is_grpc(&HeaderMap::new()));
    }

    #[tokio::test]
    async fn a_plain_http_refusal_is_a_status_in_json_with_both_languages() {
        let fault = Fault::new(Code::ResourceExhausted, "OVERLOADED", "quá tải", "overloaded")
            .retry_after(Duration::from_millis(1200));
        let response = refuse(fault, false);
        assert_eq!(response.status(), 429);
        assert_eq!(response.headers().get(RETRY_AFTER).unwrap(), "2");
        let body = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["code"], 8);
        assert_eq!(body["details"][0]["reason"], "OVERLOADED");
        assert_eq!(body["details"][1]["message"], "quá tải");
    }
}
