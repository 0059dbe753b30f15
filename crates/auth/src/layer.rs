//! The tower layer that stands before every method.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use egov_fault::{Code, Fault, Violation};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use percent_encoding::percent_decode;
use tower::{Layer, Service};

use crate::access::purpose_missing;
use crate::rules::Rules;
use crate::{Access, Caller, MethodRule, Principal, Revocations, TokenRefusal, Verifier};

/// The header with the purpose of a call: visible ASCII, other characters percent-encoded UTF-8.
pub const PURPOSE_HEADER: &str = "x-egov-purpose";

/// The header with the reason of a refusal, in answers that are not gRPC.
pub const REASON_HEADER: &str = "x-egov-reason";

/// The longest purpose, in bytes after decoding.
const MAX_PURPOSE_BYTES: usize = 300;

/// How old the list of revocations may be for a sensitive method, unless configured.
const REVOCATIONS_FRESH: Duration = Duration::from_secs(10);

/// Makes the caller of each request known, or refuses it before the service sees it.
///
/// In this order: a rule for the method exists; a token is there (unless the method is public) and is genuine, in
/// force, and not revoked; the purpose is given where it is required; some role of the caller has the method's
/// permission; the list of revocations is fresh where the method is sensitive. Then the [`Caller`] stands in the
/// request's extensions. Which rows the caller may touch is for the operation to ask.
///
/// gRPC requests (by their content type) are refused with a gRPC status; others with the HTTP status of the code, an
/// empty body, `www-authenticate` (RFC 6750) and the reason in [`REASON_HEADER`].
#[derive(Clone)]
pub struct AuthLayer {
    gate: Arc<Gate>,
    fresh_within: Duration,
}

struct Gate {
    verifier: Arc<Verifier>,
    access: Arc<Access>,
    revocations: Arc<Revocations>,
    rules: Rules,
}

impl AuthLayer {
    /// A layer that knows the methods in `rules`. Paths that begin with one of `exempt` pass without a look (health,
    /// reflection); a method that neither names is refused.
    pub fn new(
        verifier: Arc<Verifier>,
        access: Arc<Access>,
        revocations: Arc<Revocations>,
        rules: Vec<MethodRule>,
        exempt: &[&str],
    ) -> Self {
        let exempt = exempt.iter().map(|&prefix| prefix.to_owned()).collect();
        let rules = Rules::new(rules, exempt);
        Self {
            gate: Arc::new(Gate {
                verifier,
                access,
                revocations,
                rules,
            }),
            fresh_within: REVOCATIONS_FRESH,
        }
    }

    /// How old the list of revocations may be for a sensitive method; 10 s if not set.
    #[must_use]
    pub fn revocations_fresh_within(self, age: Duration) -> Self {
        Self {
            fresh_within: age,
            ..self
        }
    }
}

impl fmt::Debug for AuthLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthLayer")
            .field("rules", &self.gate.rules)
            .finish_non_exhaustive()
    }
}

impl<S> Layer<S> for AuthLayer {
    type Service = AuthService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        AuthService {
            inner,
            layer: self.clone(),
        }
    }
}

/// A service behind an [`AuthLayer`].
#[derive(Clone)]
pub struct AuthService<S> {
    inner: S,
    layer: AuthLayer,
}

impl<S> fmt::Debug for AuthService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthService").finish_non_exhaustive()
    }
}

impl<S, B, R> Service<Request<B>> for AuthService<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: Send + 'static,
    R: Default,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<R>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // The service that was polled ready serves this call; its clone waits for the next.
        let next = self.inner.clone();
        let mut ready = std::mem::replace(&mut self.inner, next);
        let AuthLayer { gate, fresh_within } = self.layer.clone();
        Box::pin(async move {
            let (mut parts, body) = request.into_parts();
            match gate.admit(&mut parts, fresh_within).await {
                Ok(()) => ready.call(Request::from_parts(parts, body)).await,
                Err(fault) => Ok(refusal(is_grpc(&parts.headers), fault)),
            }
        })
    }
}

impl Gate {
    async fn admit(&self, parts: &mut Parts, fresh_within: Duration) -> Result<(), Fault> {
        // Nobody but this layer says who calls.
        parts.extensions.remove::<Caller>();
        if self.rules.is_exempt(parts.uri.path()) {
            return Ok(());
        }
        let Some(rule) = self.rules.of(&parts.method, parts.uri.path()) else {
            return Err(unknown_method(is_grpc(&parts.headers)));
        };
        let admitted = async {
            let Some(principal) = self.principal(&parts.headers).await? else {
                return if rule.public {
                    Ok(None)
                } else {
                    Err(TokenRefusal::Missing.into())
                };
            };
            let purpose = purpose_of(&parts.headers)?;
            if rule.purpose_required && purpose.is_none() {
                return Err(purpose_missing());
            }
            let caller = Caller::new(principal, purpose, Arc::clone(&self.access)).calling(Arc::clone(&rule.path));
            if let Some(permission) = rule.permission.as_deref().filter(|_| !rule.public) {
                caller.admit(permission)?;
            }
            if rule.sensitive && !self.revocations.fresh_within(fresh_within) {
                return Err(revocations_stale());
            }
            Ok(Some(caller))
        };
        match admitted.await {
            Ok(caller) => {
                if let Some(caller) = caller {
                    parts.extensions.insert(caller);
                }
                Ok(())
            }
            Err(fault) => {
                tracing::info!(
                    method = &*rule.path,
                    reason = fault.reason(),
                    permission = fault.metadata().get("permission"),
                    "call refused before it ran"
                );
                Err(fault)
            }
        }
    }

    async fn principal(&self, headers: &HeaderMap) -> Result<Option<Arc<Principal>>, TokenRefusal> {
        let Some(token) = bearer_token(headers)? else {
            return Ok(None);
        };
        let principal = self.verifier.verify(token).await?;
        if self.revocations.is_revoked(&principal) {
            return Err(TokenRefusal::Revoked);
        }
        Ok(Some(principal))
    }
}

/// The token of `authorization: Bearer TOKEN`. An empty header or token counts as none.
///
/// # Errors
/// [`TokenRefusal::Malformed`] for two headers, another scheme, or what is not ASCII.
pub fn bearer_token(headers: &HeaderMap) -> Result<Option<&str>, TokenRefusal> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(TokenRefusal::Malformed("there are two authorization headers"));
    }
    let value = value
        .to_str()
        .map_err(|_| TokenRefusal::Malformed("the authorization header is not ASCII"))?;
    let value = value.trim();
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    if scheme.is_empty() {
        return Ok(None);
    }
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(TokenRefusal::Malformed(
            "the authorization header is not of the Bearer scheme",
        ));
    }
    let token = token.trim_start();
    Ok((!token.is_empty()).then_some(token))
}

/// The purpose of a call ([`PURPOSE_HEADER`]), decoded. A blank one counts as none.
///
/// # Errors
/// A violation if it is sent twice, is too long, or is not one line of percent-encoded UTF-8.
pub fn purpose_of(headers: &HeaderMap) -> Result<Option<String>, Fault> {
    let mut values = headers.get_all(PURPOSE_HEADER).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let decoded = percent_decode(value.as_bytes()).decode_utf8();
    match decoded {
        Ok(text)
            if values.next().is_none() && text.len() <= MAX_PURPOSE_BYTES && !text.chars().any(char::is_control) =>
        {
            let text = text.trim();
            Ok((!text.is_empty()).then(|| text.to_owned()))
        }
        _ => Err(Fault::invalid(vec![Violation {
            field: PURPOSE_HEADER.to_owned(),
            rule: "header".to_owned(),
            vi: format!(
                "mục đích phải là một dòng chữ UTF-8 mã hoá phần trăm, tối đa {MAX_PURPOSE_BYTES} byte, gửi một lần"
            ),
            en: format!(
                "the purpose must be one line of percent-encoded UTF-8 of at most {MAX_PURPOSE_BYTES} bytes, sent once"
            ),
        }])),
    }
}

fn revocations_stale() -> Fault {
    Fault::new(
        Code::Unavailable,
        "REVOCATION_FEED_STALE",
        "danh sách thu hồi đã cũ, chưa thể thực hiện việc này",
        "the list of revocations is too old for this act",
    )
    .retry_after(Duration::from_secs(2))
}

fn unknown_method(grpc: bool) -> Fault {
    let code = if grpc { Code::Unimplemented } else { Code::NotFound };
    Fault::new(
        code,
        "METHOD_UNKNOWN",
        "không có phương thức này hoặc phương thức không có quy tắc truy cập",
        "there is no such method, or it has no access rule",
    )
}

fn is_grpc(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

fn refusal<R: Default>(grpc: bool, fault: Fault) -> Response<R> {
    if grpc {
        return tonic::Status::from(fault).into_http();
    }
    let mut response = Response::new(R::default());
    *response.status_mut() =
        StatusCode::from_u16(fault.code().http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    if let Ok(reason) = HeaderValue::from_str(fault.reason()) {
        headers.insert(REASON_HEADER, reason);
    }
    let challenge = match (fault.code(), fault.reason()) {
        (Code::Unauthenticated, "TOKEN_MISSING") => Some("Bearer".to_owned()),
        (Code::Unauthenticated, _) => Some(format!(
            "Bearer error=\"invalid_token\", error_description=\"{}\"",
            fault.en()
        )),
        (Code::PermissionDenied, "PERMISSION_MISSING") => Some("Bearer error=\"insufficient_scope\"".to_owned()),
        _ => None,
    };
    if let Some(value) = challenge.and_then(|text| HeaderValue::from_str(&text).ok()) {
        headers.insert(header::WWW_AUTHENTICATE, value);
    }
    if let Some(delay) = fault.retry_delay() {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(delay.as_secs().max(1)));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        headers
    }

    #[test]
    fn a_bearer_token_is_found_whatever_the_case_of_its_scheme() {
        for value in ["Bearer abc", "bearer abc", "BEARER   abc", " Bearer abc "] {
            let headers = headers("authorization", &[value]);
            assert_eq!(bearer_token(&headers), Ok(Some("abc")), "{value}");
        }
        for value in ["", "Bearer", "Bearer "] {
            let headers = headers("authorization", &[value]);
            assert_eq!(bearer_token(&headers), Ok(None), "{value}");
        }
        assert_eq!(bearer_token(&HeaderMap::new()), Ok(None));
    }

    #[test]
    fn other_schemes_and_two_headers_are_malformed() {
        for values in [&["Basic YTpi"][..], &["abc"], &["Bearer a", "Bearer b"], &["Bearer ấ"]] {
            let headers = headers("authorization", values);
            assert!(
                matches!(bearer_token(&headers), Err(TokenRefusal::Malformed(_))),
                "{values:?}"
            );
        }
    }

    #[test]
    fn a_purpose_is_percent_decoded_and_bounded() {
        let read = |values: &[&str]| purpose_of(&headers(PURPOSE_HEADER, values));
        assert_eq!(read(&[]).unwrap(), None);
        assert_eq!(read(&["  "]).unwrap(), None);
        assert_eq!(read(&["case_processing"]).unwrap().as_deref(), Some("case_processing"));
        assert_eq!(
            read(&["gi%E1%BA%A3i%20quy%E1%BA%BFt"]).unwrap().as_deref(),
            Some("giải quyết")
        );
        let long = "a".repeat(301);
        for values in [&["a", "b"][..], &["%FF"], &["a%00b"], &["a%0Ab"], &[&long]] {
            assert_eq!(read(values).unwrap_err().reason(), "INVALID_FIELD", "{values:?}");
        }
    }
}
