//! `/openapi.json`, and `/docs`: a page to read and try it, whole in itself.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use axum::Router;
use axum::body::Body;
use axum::response::Response;
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderValue, StatusCode};
use prost_reflect::DescriptorPool;

use crate::openapi;

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// Routes for the document of the services that `served` says yes to, and for the page. Both are made once.
pub fn docs(pool: &DescriptorPool, served: impl Fn(&str) -> bool) -> Router {
    let document = Content::new(
        openapi::document(pool, served).to_string().into_bytes(),
        "application/json",
        None,
    );
    page().route(
        "/openapi.json",
        get(move |headers: HeaderMap| async move { document.answer(&headers) }),
    )
}

/// The page alone, at `/docs`: for a server that makes `/openapi.json` by itself. Where that wants a token, the page asks for
/// one.
pub fn page() -> Router {
    let page = Content::new(
        PAGE.replace("{{style}}", STYLE)
            .replace("{{script}}", SCRIPT)
            .into_bytes(),
        "text/html; charset=utf-8",
        Some(policy()),
    );
    Router::new().route(
        "/docs",
        get(move |headers: HeaderMap| async move { page.answer(&headers) }),
    )
}

/// Only the page's own style and script run, by their hashes, and it calls its own server only: what a service answers,
/// shown in the page, can neither run nor send anything elsewhere.
fn policy() -> String {
    let hash = |text: &str| STANDARD.encode(digest(&SHA256, text.as_bytes()));
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; connect-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
        hash(STYLE),
        hash(SCRIPT)
    )
}

/// Something that does not change while the process runs.
#[derive(Clone)]
struct Content(Arc<Inner>);

struct Inner {
    body: Bytes,
    media_type: &'static str,
    etag: String,
    policy: Option<String>,
}

impl Content {
    fn new(body: Vec<u8>, media_type: &'static str, policy: Option<String>) -> Self {
        let hash = digest(&SHA256, &body);
        let short = hash.as_ref().get(..16).unwrap_or_default();
        Self(Arc::new(Inner {
            etag: format!("\"{}\"", hex::encode(short)),
            body: Bytes::from(body),
            media_type,
            policy,
        }))
    }

    fn answer(&self, request: &HeaderMap) -> Response {
        let content = &*self.0;
        let same = request
            .get_all(IF_NONE_MATCH)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|tag| matches!(tag.trim(), "*") || tag.trim().trim_start_matches("W/") == content.etag);
        let mut response = if same {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            response
        } else {
            let mut response = Response::new(Body::from(content.body.clone()));
            response
                .headers_mut()
                .insert(CONTENT_TYPE, HeaderValue::from_static(content.media_type));
            response
        };
        let headers = response.headers_mut();
        let mut put = |name, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        };
        put(ETAG, &content.etag);
        // Asked about each time, sent when it has changed: after an update of the server nobody sees the old one.
        put(CACHE_CONTROL, "no-cache");
        put(X_CONTENT_TYPE_OPTIONS, "nosniff");
        if let Some(policy) = &content.policy {
            put(CONTENT_SECURITY_POLICY, policy);
            put(REFERRER_POLICY, "no-referrer");
            put(X_FRAME_OPTIONS, "DENY");
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_names_no_address_but_its_own() {
        for text in [PAGE, STYLE, SCRIPT] {
            for outside in ["http://", "https://", "//cdn", "@import", "url(", "innerHTML", "eval("] {
                assert!(!text.contains(outside), "{outside}");
            }
        }
        // What is hashed is what stands in the page: nothing in it may end the element early.
        assert!(!STYLE.contains("</style") && !SCRIPT.contains("</script"));
        assert!(PAGE.contains("{{style}}") && PAGE.contains("{{script}}"));
        assert!(!SCRIPT.contains("{{style}}") && !STYLE.contains("{{script}}"));
    }
}
