//! Calls from pages of other origins.

use std::time::Duration;

use http::header::{ACCEPT_LANGUAGE, AUTHORIZATION, CONTENT_TYPE, ETAG, IF_NONE_MATCH, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Method, Uri};
use tower_http::cors::CorsLayer;

use super::StartError;
use crate::config::CorsConfig;

/// How long a browser may remember the answer to its question.
const REMEMBER: Duration = Duration::from_mins(10);

/// What a page may send.
const SENT: [HeaderName; 10] = [
    AUTHORIZATION,
    CONTENT_TYPE,
    ACCEPT_LANGUAGE,
    IF_NONE_MATCH,
    HeaderName::from_static("x-egov-purpose"),
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("grpc-timeout"),
    HeaderName::from_static("x-grpc-web"),
    HeaderName::from_static("x-user-agent"),
];

/// What a page may read.
const READ: [HeaderName; 10] = [
    ETAG,
    RETRY_AFTER,
    WWW_AUTHENTICATE,
    HeaderName::from_static("x-request-id"),
    HeaderName::from_static("x-egov-reason"),
    HeaderName::from_static("deprecation"),
    HeaderName::from_static("sunset"),
    HeaderName::from_static("grpc-status"),
    HeaderName::from_static("grpc-message"),
    HeaderName::from_static("grpc-status-details-bin"),
];

/// The layer of the configured origins; `None` if there are none. Credentials of a browser (cookies) are never asked for:
/// a token is sent by the page itself.
pub(super) fn layer(config: &CorsConfig) -> Result<Option<CorsLayer>, StartError> {
    if config.origins.is_empty() {
        return Ok(None);
    }
    let origins = config.origins.iter().map(|origin| one(origin));
    let origins: Vec<HeaderValue> = origins.collect::<Result<_, _>>()?;
    Ok(Some(
        CorsLayer::new()
            .allow_origin(origins)
            .allow_methods([
                Method::GET,
                Method::HEAD,
                Method::POST,
                Method::PUT,
                Method::PATCH,
                Method::DELETE,
            ])
            .allow_headers(SENT)
            .expose_headers(READ)
            .max_age(REMEMBER),
    ))
}

/// Scheme, host and perhaps a port, as a browser writes an origin.
fn one(origin: &str) -> Result<HeaderValue, StartError> {
    let refused = || StartError::Origin(origin.to_owned());
    let uri: Uri = origin.parse().map_err(|_| refused())?;
    let scheme = uri.scheme_str().filter(|scheme| ["http", "https"].contains(scheme));
    let (Some(scheme), Some(authority)) = (scheme, uri.authority()) else {
        return Err(refused());
    };
    // Written exactly so, or no browser's origin would ever be equal to it.
    if origin != format!("{scheme}://{authority}").to_lowercase() || authority.as_str().contains('@') {
        return Err(refused());
    }
    HeaderValue::from_str(origin).map_err(|_| refused())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_scheme_host_and_port_and_nothing_else() {
        for good in ["https://dichvucong.nghean.gov.vn", "http://localhost:3000"] {
            assert!(one(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "*",
            "null",
            "dichvucong.nghean.gov.vn",
            "https://a.vn/",
            "https://a.vn/page",
            "https://A.vn",
            "https://u@a.vn",
            "ftp://a.vn",
        ] {
            assert!(one(bad).is_err(), "{bad}");
        }
        assert!(layer(&CorsConfig::default()).unwrap().is_none());
    }
}
