//! Answers that a layer gives in place of a handler.

use axum::response::Response;
use egov_fault::Fault;
use egov_transcode::Language;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
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

/// Whether a request is a gRPC-Web call, in either of its forms.
pub(super) fn is_grpc_web(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/grpc-web"))
}

/// The answer that says `fault`, in the form that the caller understands.
pub(super) fn refuse(fault: Fault, grpc: bool) -> Response {
    if grpc {
        Status::from(fault).into_http()
    } else {
        egov_transcode::refusal(fault, Language::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

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
}
