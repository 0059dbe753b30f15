//! Failures over HTTP: `google.rpc.Status` as JSON.

use std::sync::LazyLock;

use axum::body::Body;
use axum::response::Response;
use egov_fault::{Code, Fault, fault_of, reason_of};
use http::header::{ACCEPT_LANGUAGE, ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use prost::Message as _;
use prost_reflect::DescriptorPool;
use tonic::Status;
use tonic_types::pb;

use crate::plan::Messages;
use crate::to_json::Writer;

/// The header with the reason of a refusal, for whoever looks at headers only. The auth layer names it so.
const REASON: HeaderName = HeaderName::from_static("x-egov-reason");

/// The most bytes of a failure with its details. They come in a header, so that real ones have a few thousand.
const MOST_BYTES: usize = 1024 * 1024;

/// How a call ended, in the extensions of its HTTP answer, for whoever records calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The code of gRPC.
    pub code: tonic::Code,
    /// The reason of a refusal.
    pub reason: Option<String>,
}

/// The language in which a caller would rather read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Language {
    /// Vietnamese, also for who says nothing.
    #[default]
    Vietnamese,
    /// English.
    English,
}

impl Language {
    /// By `accept-language`: of the two the one with the greater weight, Vietnamese if they are equal.
    pub fn of(headers: &HeaderMap) -> Self {
        let Some(text) = headers.get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()) else {
            return Self::Vietnamese;
        };
        let (mut vi, mut en) = (0.0_f32, 0.0_f32);
        for range in text.split(',') {
            let (tag, parameter) = range.split_once(';').unwrap_or((range, ""));
            let weight = match parameter.trim().strip_prefix("q=") {
                Some(weight) => weight.trim().parse().unwrap_or(0.0),
                None => 1.0,
            };
            let language = tag.trim().split('-').next().unwrap_or_default();
            if language.eq_ignore_ascii_case("vi") {
                vi = vi.max(weight);
            } else if language.eq_ignore_ascii_case("en") {
                en = en.max(weight);
            }
        }
        if en > vi { Self::English } else { Self::Vietnamese }
    }
}

/// The messages of `google.rpc`, which the details of a failure are made of.
static DETAILS: LazyLock<Messages> = LazyLock::new(|| {
    // The bytes come with the library; without them details are shown as bytes.
    let pool = DescriptorPool::decode(pb::FILE_DESCRIPTOR_SET).unwrap_or_default();
    Messages::compile(&pool)
});

/// The HTTP answer that says a fault.
pub fn refusal(fault: Fault, language: Language) -> Response {
    failure(&Status::from(fault), language)
}

/// The same with its body at hand, for who records what he answers.
pub fn refusal_bytes(fault: Fault, language: Language) -> Response<Vec<u8>> {
    failure_bytes(&Status::from(fault), language)
}

/// The HTTP answer that says a status of gRPC. A status without details gets those that every refusal has.
pub fn failure(status: &Status, language: Language) -> Response {
    failure_bytes(status, language).map(Body::from)
}

fn failure_bytes(status: &Status, language: Language) -> Response<Vec<u8>> {
    let made;
    let status = if status.details().is_empty() {
        made = Status::from(match status.code() {
            tonic::Code::Unknown | tonic::Code::Internal => Fault::internal(status.message().to_owned()),
            _ => fault_of(status),
        });
        &made
    } else {
        status
    };
    let fault = fault_of(status);
    let http_status = match fault.reason() {
        // What gRPC knows one code for, HTTP has a more exact one for.
        "MESSAGE_TOO_LARGE" => StatusCode::PAYLOAD_TOO_LARGE,
        "MEDIA_TYPE_UNSUPPORTED" => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "HTTP_METHOD_NOT_ALLOWED" => StatusCode::METHOD_NOT_ALLOWED,
        _ => StatusCode::from_u16(fault.code().http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
    };

    let mut response = Response::new(body(status, language));
    *response.status_mut() = http_status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(reason) = HeaderValue::from_str(fault.reason()) {
        headers.insert(REASON, reason);
    }
    if let Some(challenge) = challenge(&fault).and_then(|text| HeaderValue::from_str(&text).ok()) {
        headers.insert(WWW_AUTHENTICATE, challenge);
    }
    if let Some(delay) = fault.retry_delay() {
        // In whole seconds, rounded up: zero would mean "at once".
        headers.insert(
            RETRY_AFTER,
            HeaderValue::from(delay.as_millis().div_ceil(1000).max(1) as u64),
        );
    }
    response.extensions_mut().insert(Outcome {
        code: status.code(),
        reason: reason_of(status),
    });
    response
}

/// What a caller without a sufficient token is told by RFC 6750.
fn challenge(fault: &Fault) -> Option<String> {
    match (fault.code(), fault.reason()) {
        (Code::Unauthenticated, "TOKEN_MISSING") => Some("Bearer".to_owned()),
        (Code::Unauthenticated, _) => Some(format!(
            "Bearer error=\"invalid_token\", error_description=\"{}\"",
            fault.en().replace(['"', '\\'], "'")
        )),
        (Code::PermissionDenied, "PERMISSION_MISSING") => Some("Bearer error=\"insufficient_scope\"".to_owned()),
        _ => None,
    }
}

fn body(status: &Status, language: Language) -> Vec<u8> {
    let mut whole = pb::Status::decode(status.details()).unwrap_or_default();
    whole.code = status.code() as i32;
    status.message().clone_into(&mut whole.message);
    if language == Language::English {
        // The message in the wanted language first, for who shows the first.
        let is_vi = |any: &prost_types::Any| {
            any.type_url.ends_with("/google.rpc.LocalizedMessage")
                && pb::LocalizedMessage::decode(any.value.as_slice()).is_ok_and(|message| message.locale == "vi")
        };
        let (vi, others): (Vec<_>, Vec<_>) = whole.details.into_iter().partition(is_vi);
        whole.details = others.into_iter().chain(vi).collect();
    }
    let bytes = whole.encode_to_vec();
    let mut writer = Writer::new(&DETAILS, Vec::with_capacity(bytes.len() * 2), MOST_BYTES);
    let written = DETAILS
        .id("google.rpc.Status")
        .is_some_and(|id| writer.message(id, &bytes).is_ok());
    if written {
        return writer.out;
    }
    // Details of another server that are no protobuf, or without end: code and message are what is left.
    serde_json::json!({ "code": whole.code, "message": whole.message })
        .to_string()
        .into_bytes()
}

/// There is nothing at this path.
pub fn unknown_path(language: Language) -> Response {
    refusal(
        Fault::new(
            Code::NotFound,
            "PATH_UNKNOWN",
            "không có gì ở đường dẫn này; xem /openapi.json",
            "there is nothing at this path; /openapi.json lists what there is",
        ),
        language,
    )
}

/// The path is served, but not with this verb of HTTP.
pub fn method_not_allowed(allowed: &[Method], language: Language) -> Response {
    let list: Vec<&str> = allowed.iter().map(Method::as_str).collect();
    let list = list.join(", ");
    let mut response = refusal(
        Fault::new(
            Code::Unimplemented,
            "HTTP_METHOD_NOT_ALLOWED",
            format!("đường dẫn này chỉ nhận {list}"),
            format!("this path takes {list} only"),
        )
        .with("allow", list.clone()),
        language,
    );
    if let Ok(value) = HeaderValue::from_str(&list) {
        response.headers_mut().insert(ALLOW, value);
    }
    response
}

/// The body is larger than the limit.
pub(crate) fn too_large(limit: usize) -> Fault {
    Fault::new(
        Code::ResourceExhausted,
        "MESSAGE_TOO_LARGE",
        "yêu cầu vượt quá dung lượng cho phép",
        "the message is larger than allowed",
    )
    .with("limit", limit.to_string())
}

/// The body is not of a type that is read.
pub(crate) fn media_type() -> Fault {
    Fault::new(
        Code::InvalidArgument,
        "MEDIA_TYPE_UNSUPPORTED",
        "nội dung phải là application/json, không nén",
        "the body must be application/json without compression",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use egov_fault::Violation;
    use http_body_util::BodyExt as _;
    use std::time::Duration;

    async fn json(response: Response) -> serde_json::Value {
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        serde_json::from_slice(&bytes).unwrap()
    }

    #[tokio::test]
    async fn a_failure_is_a_status_in_json_with_every_detail_in_both_languages() {
        let fault = Fault::invalid(vec![Violation {
            field: "applicant.full_name".to_owned(),
            rule: "string.min_len".to_owned(),
            vi: "phải dài ít nhất 1 ký tự".to_owned(),
            en: "must be at least 1 character long".to_owned(),
        }])
        .with("hint", "x")
        .precondition("STATE", "case", "is closed")
        .retry_after(Duration::from_millis(1500));
        let response = refusal(fault, Language::Vietnamese);
        assert_eq!(response.status(), 400);
        assert_eq!(response.headers()["content-type"], "application/json");
        assert_eq!(response.headers()["cache-control"], "no-store");
        assert_eq!(response.headers()["retry-after"], "2");
        assert_eq!(response.headers()["x-egov-reason"], "INVALID_FIELD");
        assert_eq!(
            json(response).await,
            serde_json::json!({
                "code": 3,
                "message": "the request has invalid fields",
                "details": [
                    {
                        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                        "reason": "INVALID_FIELD",
                        "domain": "egov",
                        "metadata": {"hint": "x"},
                    },
                    {
                        "@type": "type.googleapis.com/google.rpc.BadRequest",
                        "fieldViolations": [{
                            "field": "applicant.full_name",
                            "description": "must be at least 1 character long",
                            "reason": "string.min_len",
                            "localizedMessage": {"locale": "vi", "message": "phải dài ít nhất 1 ký tự"},
                        }],
                    },
                    {
                        "@type": "type.googleapis.com/google.rpc.PreconditionFailure",
                        "violations": [{"type": "STATE", "subject": "case", "description": "is closed"}],
                    },
                    {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1.500s"},
                    {
                        "@type": "type.googleapis.com/google.rpc.LocalizedMessage",
                        "locale": "vi",
                        "message": "yêu cầu có trường không hợp lệ",
                    },
                    {
                        "@type": "type.googleapis.com/google.rpc.LocalizedMessage",
                        "locale": "en",
                        "message": "the request has invalid fields",
                    },
                ],
            })
        );
    }

    #[tokio::test]
    async fn the_wanted_language_comes_first() {
        let fault = || {
            Fault::new(
                Code::NotFound,
                "CASE_NOT_FOUND",
                "không có hồ sơ này",
                "there is no such case",
            )
        };
        let locales = |body: &serde_json::Value| -> Vec<String> {
            body["details"]
                .as_array()
                .unwrap()
                .iter()
                .filter_map(|detail| Some(detail.get("locale")?.as_str()?.to_owned()))
                .collect()
        };
        assert_eq!(
            locales(&json(refusal(fault(), Language::Vietnamese)).await),
            ["vi", "en"]
        );
        assert_eq!(locales(&json(refusal(fault(), Language::English)).await), ["en", "vi"]);

        let of = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_LANGUAGE, HeaderValue::from_static(text));
            Language::of(&headers)
        };
        assert_eq!(of("en-GB,en;q=0.9"), Language::English);
        assert_eq!(of("vi,en;q=0.9"), Language::Vietnamese);
        assert_eq!(of("en;q=0.3, vi-VN;q=0.8"), Language::Vietnamese);
        assert_eq!(of("fr"), Language::Vietnamese);
        assert_eq!(of(";;;q=,"), Language::Vietnamese);
    }

    #[tokio::test]
    async fn every_code_has_its_http_status_and_a_reason_even_without_details() {
        for code in Code::ALL {
            let response = failure(&Status::new(code.to_tonic(), "a text"), Language::default());
            assert_eq!(response.status().as_u16(), code.http_status());
            let body = json(response).await;
            assert_eq!(body["code"], code.to_tonic() as i32);
            assert_eq!(body["details"][0]["reason"], code.name());
        }
        // What an unknown failure says stays inside.
        let body = json(failure(&Status::unknown("secret"), Language::default())).await;
        assert!(!body.to_string().contains("secret"), "{body}");
        assert_eq!(body["code"], 13);
    }

    #[test]
    fn what_http_knows_better_than_grpc_has_its_own_status() {
        let status = |fault: Fault| refusal(fault, Language::default()).status();
        assert_eq!(status(too_large(1)), 413);
        assert_eq!(status(media_type()), 415);
        let response = method_not_allowed(&[Method::GET, Method::HEAD], Language::default());
        assert_eq!(response.status(), 405);
        assert_eq!(response.headers()["allow"], "GET, HEAD");
        assert_eq!(unknown_path(Language::default()).status(), 404);
    }

    #[test]
    fn a_caller_without_a_token_is_told_how_to_bring_one() {
        let challenge = |code: Code, reason: &'static str| {
            let response = refusal(
                Fault::new(code, reason, "x", "the \"token\" is bad"),
                Language::default(),
            );
            response
                .headers()
                .get(WWW_AUTHENTICATE)
                .map(|value| value.to_str().unwrap().to_owned())
        };
        assert_eq!(
            challenge(Code::Unauthenticated, "TOKEN_MISSING").as_deref(),
            Some("Bearer")
        );
        assert_eq!(
            challenge(Code::Unauthenticated, "TOKEN_EXPIRED").as_deref(),
            Some("Bearer error=\"invalid_token\", error_description=\"the 'token' is bad\"")
        );
        assert_eq!(
            challenge(Code::PermissionDenied, "PERMISSION_MISSING").as_deref(),
            Some("Bearer error=\"insufficient_scope\"")
        );
        assert_eq!(challenge(Code::NotFound, "CASE_NOT_FOUND"), None);
    }
}
