//! The protocol's own headers, and the hash of a request.

use aws_lc_rs::digest::{Context, SHA512, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{ACCEPT, USER_AGENT};
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
    /// For which member the client acts (extension for third parties).
    pub const REPRESENTED_PARTY: &str = "x-road-represented-party";
    /// A wish for one security server.
    pub const SECURITY_SERVER: &str = "x-road-security-server";
}

fn value(text: &str) -> Option<HeaderValue> {
    HeaderValue::from_bytes(text.as_bytes()).ok()
}

/// Says in the headers of a request, on its way to the provider, who calls what; `id` is that of the message, `request_id` that
/// of the door. Which other headers pass is the door's own rule; none that begins with `x-road-` does.
pub fn provider_headers(headers: &mut HeaderMap, call: &Call, id: &str, request_id: &str) {
    // It tells of the client's host (PR-REST 4.3, filtered headers).
    headers.remove(USER_AGENT);
    headers
        .entry(ACCEPT)
        .or_insert(HeaderValue::from_static("application/json"));
    identify(headers, call, id, request_id);
    for (name, said) in [
        (names::USER_ID, &call.user_id),
        (names::ISSUE, &call.issue),
        (names::REPRESENTED_PARTY, &call.represented_party),
    ] {
        if let Some(said) = said {
            set(headers, name, said);
        }
    }
}

/// Says in the headers of an answer, on its way to the client, to whom it belongs. Without `hash` nothing was sent on.
pub fn answer_headers(headers: &mut HeaderMap, call: &Call, id: &str, request_id: &str, hash: Option<&RequestHash>) {
    identify(headers, call, id, request_id);
    if let Some(hash) = hash {
        set(headers, names::REQUEST_HASH, hash.as_str());
    }
}

fn identify(headers: &mut HeaderMap, call: &Call, id: &str, request_id: &str) {
    set(headers, names::CLIENT, &call.client.to_string());
    set(headers, names::SERVICE, &call.service.to_string());
    set(headers, names::ID, id);
    set(headers, names::REQUEST_ID, request_id);
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
        let headers = map(&[
            ("x-road-client", "VN/GOV/H41/mc"),
            ("x-road-userid", "VN1"),
            ("x-road-issue", "H41.1-261126-0001"),
            ("x-road-represented-party", "GOV/G15"),
        ]);
        Call::read("/r1/VN/GOV/G15/ht/kk/v1", &headers).unwrap()
    }

    #[test]
    fn both_sides_are_told_who_calls_what() {
        let mut to = map(&[("own", "1"), ("user-agent", "inside/1")]);
        provider_headers(&mut to, &call(), "m", "r");
        for (name, wanted) in [
            ("own", "1"),
            ("accept", "application/json"),
            ("x-road-client", "VN/GOV/H41/mc"),
            ("x-road-service", "VN/GOV/G15/ht/kk"),
            ("x-road-id", "m"),
            ("x-road-request-id", "r"),
            ("x-road-userid", "VN1"),
            ("x-road-issue", "H41.1-261126-0001"),
            ("x-road-represented-party", "GOV/G15"),
        ] {
            assert_eq!(to[name], wanted, "{name}");
        }
        assert!(!to.contains_key("x-road-request-hash") && !to.contains_key("user-agent"));

        let hash = RequestHash::of(&Method::GET, "/v1", &to, None);
        let mut back = map(&[("etag", "\"1\"")]);
        answer_headers(&mut back, &call(), "m", "r", Some(&hash));
        assert_eq!(back["x-road-request-hash"], hash.as_str());
        assert_eq!(
            (&back["etag"], &back["x-road-id"]),
            (&HeaderValue::from_static("\"1\""), &HeaderValue::from_static("m"))
        );
        // Of whom the client acts for, the answer says nothing.
        assert!(!back.contains_key("x-road-userid"));
        let mut refused = HeaderMap::new();
        answer_headers(&mut refused, &call(), "m", "r", None);
        assert!(!refused.contains_key("x-road-request-hash"));
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
