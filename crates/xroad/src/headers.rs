//! Which headers pass the door, and the hash of a request.

use std::collections::HashSet;

use aws_lc_rs::digest::{Context, SHA512, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    ACCEPT, CONNECTION, CONTENT_LENGTH, EXPECT, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, SERVER, TE, TRAILER,
    TRANSFER_ENCODING, UPGRADE, USER_AGENT,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use crate::request::Call;

/// The names of the protocol's headers, in lower case.
pub mod names {
    /// Who calls.
    pub const CLIENT: &str = "x-road-client";
    /// What is called.
    pub const SERVICE: &str = "x-road-service";
    /// The id of the message.
    pub const ID: &str = "x-road-id";
    /// The id of this request, made by the door.
    pub const REQUEST_ID: &str = "x-road-request-id";
    /// The hash of the request, in the answer.
    pub const REQUEST_HASH: &str = "x-road-request-hash";
    /// The kind of an error of the door.
    pub const ERROR: &str = "x-road-error";
    /// For whom the client acts.
    pub const USER_ID: &str = "x-road-userid";
    /// The case or document for which it calls.
    pub const ISSUE: &str = "x-road-issue";
    /// A wish for one security server.
    pub const SECURITY_SERVER: &str = "x-road-security-server";
}

/// Headers that are between two neighbours only, or would tell where somebody is (PR-REST 4.3, "Filtered headers").
const FILTERED: [HeaderName; 14] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    HOST,
    USER_AGENT,
    SERVER,
    EXPECT,
    CONTENT_LENGTH,
];

/// Which way headers go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forwarded {
    /// From the client to the provider.
    Request,
    /// From the provider to the client.
    Answer,
}

/// Copies what may pass.
#[derive(Clone, Copy, Debug)]
pub struct ForwardedHeaders(pub Forwarded);

impl ForwardedHeaders {
    /// The headers of `from` that may pass: all but the filtered ones and what `Connection` names; of an answer also none by
    /// which a provider would speak for the door.
    pub fn copy(self, from: &HeaderMap) -> HeaderMap {
        let named: HashSet<String> = from
            .get_all(CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(|name| name.trim().to_ascii_lowercase())
            .collect();
        let mut to = HeaderMap::with_capacity(from.len());
        for (name, value) in from {
            let text = name.as_str();
            let by_the_door = match self.0 {
                Forwarded::Answer => text.starts_with("x-road-"),
                Forwarded::Request => {
                    matches!(
                        text,
                        names::REQUEST_ID | names::REQUEST_HASH | names::ERROR | names::SERVICE
                    )
                }
            };
            if !FILTERED.contains(name) && !named.contains(text) && !by_the_door && !text.starts_with("x-egov-") {
                to.append(name, value.clone());
            }
        }
        to
    }
}

fn value(text: &str) -> Option<HeaderValue> {
    HeaderValue::from_bytes(text.as_bytes()).ok()
}

/// The headers of a request on its way to the provider; `id` is that of the message, `request_id` that of the door.
pub fn provider_headers(from: &HeaderMap, call: &Call, id: &str, request_id: &str) -> HeaderMap {
    let mut to = ForwardedHeaders(Forwarded::Request).copy(from);
    to.entry(ACCEPT).or_insert(HeaderValue::from_static("application/json"));
    set(&mut to, names::CLIENT, &call.client.to_string());
    set(&mut to, names::SERVICE, &call.service.to_string());
    set(&mut to, names::ID, id);
    set(&mut to, names::REQUEST_ID, request_id);
    to
}

/// The headers of an answer on its way to the client.
pub fn answer_headers(from: &HeaderMap, call: &Call, id: &str, request_id: &str, hash: &RequestHash) -> HeaderMap {
    let mut to = ForwardedHeaders(Forwarded::Answer).copy(from);
    set(&mut to, names::CLIENT, &call.client.to_string());
    set(&mut to, names::SERVICE, &call.service.to_string());
    set(&mut to, names::ID, id);
    set(&mut to, names::REQUEST_ID, request_id);
    set(&mut to, names::REQUEST_HASH, hash.as_str());
    to
}

fn set(headers: &mut HeaderMap, name: &'static str, text: &str) {
    if let Some(value) = value(text) {
        headers.insert(HeaderName::from_static(name), value);
    }
}

/// The value of `X-Road-Request-Hash`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHash(String);

impl RequestHash {
    /// Of the request line and the headers as they go to the provider, and the SHA-512 of the body, if there is one.
    pub fn of(method: &Method, path_and_query: &str, headers: &HeaderMap, body: Option<[u8; 64]>) -> Self {
        let mut lines: Vec<Vec<u8>> = headers
            .iter()
            .map(|(name, value)| [name.as_str().as_bytes(), b":", value.as_bytes(), b"\r\n"].concat())
            .collect();
        lines.sort();
        let mut head = Context::new(&SHA512);
        head.update(format!("{method} {path_and_query} HTTP/1.1\r\n").as_bytes());
        for line in &lines {
            head.update(line);
        }
        let head = head.finish();
        let hash = match body {
            None => head,
            Some(body) => digest(&SHA512, &[head.as_ref(), &body].concat()),
        };
        Self(STANDARD.encode(hash))
    }

    /// As it stands in the header.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        map
    }

    fn call() -> Call {
        let headers = map(&[("x-road-client", "VN/GOV/H41/mc")]);
        Call::read("/r1/VN/GOV/G15/ht/kk/v1", &headers).unwrap()
    }

    #[test]
    fn neighbours_headers_and_what_tells_of_the_origin_stay_here() {
        let from = map(&[
            ("connection", "keep-alive, X-Secret-Hop"),
            ("keep-alive", "5"),
            ("x-secret-hop", "1"),
            ("host", "inside.nghean"),
            ("user-agent", "client/1"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("x-egov-promise", "forged"),
            ("x-road-service", "forged"),
            ("x-road-userid", "VN1"),
            ("authorization", "Bearer of-the-provider"),
            ("content-type", "text/plain; charset=utf-8"),
            ("x-own", "a"),
            ("x-own", "b"),
        ]);
        let to = provider_headers(&from, &call(), "m", "r");
        let mut names: Vec<&str> = to.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "accept",
                "authorization",
                "content-type",
                "x-own",
                "x-own",
                "x-road-client",
                "x-road-id",
                "x-road-request-id",
                "x-road-service",
                "x-road-userid",
            ]
        );
        assert_eq!(to["x-road-service"], "VN/GOV/G15/ht/kk");
        assert_eq!(to["accept"], "application/json");
    }

    #[test]
    fn a_provider_does_not_speak_for_the_door() {
        let from = map(&[
            ("x-road-error", "Server.ServerProxy.Forged"),
            ("x-road-request-hash", "forged"),
            ("server", "inside/1"),
            ("etag", "\"1\""),
        ]);
        let hash = RequestHash::of(&Method::GET, "/v1", &HeaderMap::new(), None);
        let to = answer_headers(&from, &call(), "m", "r", &hash);
        assert!(!to.contains_key("x-road-error") && !to.contains_key("server"));
        assert_eq!(to["x-road-request-hash"], hash.as_str());
        assert_eq!(to["etag"], "\"1\"");
    }

    #[test]
    fn the_hash_depends_on_every_part_and_not_on_the_order_of_headers() {
        let (ab, ba) = (map(&[("a", "1"), ("b", "2")]), map(&[("b", "2"), ("a", "1")]));
        let of = |method: &Method, path: &str, headers: &HeaderMap, body| RequestHash::of(method, path, headers, body);
        let whole = of(&Method::GET, "/v1", &ab, None);
        assert_eq!(whole, of(&Method::GET, "/v1", &ba, None));
        for other in [
            of(&Method::PUT, "/v1", &ab, None),
            of(&Method::GET, "/v2", &ab, None),
            of(&Method::GET, "/v1", &map(&[("a", "1")]), None),
            of(&Method::GET, "/v1", &ab, Some([0; 64])),
        ] {
            assert_ne!(whole, other);
        }
        // The bytes that are hashed, written out.
        let hex = digest(&SHA512, b"GET /v1 HTTP/1.1\r\na:1\r\nb:2\r\n");
        assert_eq!(whole.as_str(), STANDARD.encode(hex));
    }
}
