//! Which metadata passes the door, and what the door adds.

use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use std::collections::HashSet;

/// To both: the agreement by which the call comes.
pub const AGREEMENT: HeaderName = HeaderName::from_static("x-egov-agreement");
/// To the provider: the client id of the system that calls, which the door has verified.
pub const CONSUMER: HeaderName = HeaderName::from_static("x-egov-consumer");
/// To both: the id of the exchange, by which it is found in the record.
pub const EXCHANGE: HeaderName = HeaderName::from_static("x-egov-exchange");
/// To the consumer, in the trailers: the signed promise that the exchange will stand in the ledger.
pub const PROMISE: HeaderName = HeaderName::from_static("x-egov-promise");
/// From the consumer: the service that is meant, where agreements with several have the same method.
pub const SERVICE: HeaderName = HeaderName::from_static("x-egov-service");
/// The purpose, which goes on to the provider as it came.
const PURPOSE: &str = "x-egov-purpose";

/// Headers between two neighbours, and what is for the door alone.
const STOPPED: [HeaderName; 12] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("proxy-authorization"),
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    HOST,
    CONTENT_LENGTH,
    AUTHORIZATION,
    COOKIE,
];

fn passes(name: &HeaderName) -> bool {
    let text = name.as_str();
    !STOPPED.contains(name) && (!text.starts_with("x-egov-") || text == PURPOSE) && text != "grpc-timeout"
}

/// The metadata of a request on its way to the provider: the consumer's token is for the door and stays here.
pub(crate) fn to_provider(from: &HeaderMap) -> HeaderMap {
    let mut to = HeaderMap::with_capacity(from.len() + 4);
    for (name, value) in from {
        if passes(name) {
            to.append(name, value.clone());
        }
    }
    to.insert(TE, HeaderValue::from_static("trailers"));
    to
}

/// The metadata of an answer on its way to the consumer, initial or trailing: no provider speaks for the door.
pub(crate) fn to_consumer(from: &HeaderMap) -> HeaderMap {
    let mut to = HeaderMap::with_capacity(from.len() + 2);
    for (name, value) in from {
        if passes(name) && name.as_str() != PURPOSE {
            to.append(name, value.clone());
        }
    }
    to
}

/// Beginnings of headers of plain HTTP that do not pass in either direction: what neighbours and proxies say to one another, and
/// what only the door may say, in its own words and in those of X-Road.
const STOPPED_BEGINNINGS: [&str; 9] = [
    "x-egov-",
    "x-road-",
    "x-forwarded",
    "proxy-",
    "x-accel-",
    "x-sendfile",
    "x-ssl-",
    "ssl-client-",
    "grpc-",
];

/// Headers of a request by which some frameworks take it for another one than it is, or for that of somebody else.
const BENDING: [&str; 14] = [
    "expect",
    "forwarded",
    "via",
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-original-url",
    "x-original-uri",
    "x-rewrite-url",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-client-cert",
    "x-original-host",
];

/// Headers of an answer that are about the provider's own host, not about what was asked.
const OF_THE_HOST: [&str; 10] = [
    "set-cookie",
    "set-cookie2",
    "server",
    "via",
    "alt-svc",
    "strict-transport-security",
    "clear-site-data",
    "refresh",
    "x-powered-by",
    "www-authenticate",
];

/// What goes on to a provider whose requests are judged, beside what its interface declares.
const JUDGED: [&str; 15] = [
    "accept",
    "accept-encoding",
    "accept-language",
    "content-encoding",
    "content-language",
    "content-type",
    "idempotency-key",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-unmodified-since",
    "traceparent",
    "tracestate",
    "x-correlation-id",
    "x-request-id",
];

/// The names that `Connection` gives: headers between two neighbours.
fn named_by_connection(from: &HeaderMap) -> HashSet<String> {
    from.get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect()
}

fn passes_plain(name: &HeaderName, hops: &HashSet<String>) -> bool {
    let text = name.as_str();
    !STOPPED.contains(name)
        && !hops.contains(text)
        && !STOPPED_BEGINNINGS.iter().any(|beginning| text.starts_with(beginning))
}

/// The headers of a request of plain HTTP on its way to the provider, without the token, the cookies and all that would bend the
/// request; nor any name with an underscore, which many servers take for the same name with a hyphen. Where `declares` is given, only what is known here or declared passes.
pub(crate) fn to_plain_provider(from: &HeaderMap, declares: Option<&dyn Fn(&HeaderName) -> bool>) -> HeaderMap {
    let hops = named_by_connection(from);
    let mut to = HeaderMap::with_capacity(from.len() + 4);
    for (name, value) in from {
        let text = name.as_str();
        let wanted = declares.is_none_or(|declares| JUDGED.contains(&text) || declares(name));
        if text == PURPOSE || (wanted && passes_plain(name, &hops) && !BENDING.contains(&text) && !text.contains('_')) {
            to.append(name, value.clone());
        }
    }
    to
}

/// The headers of an answer of plain HTTP on its way to the consumer; of one that is masked only its type.
pub(crate) fn to_plain_consumer(from: &HeaderMap, masked: bool) -> HeaderMap {
    let hops = named_by_connection(from);
    let mut to = HeaderMap::with_capacity(from.len() + 2);
    for (name, value) in from {
        let passes = if masked {
            name == CONTENT_TYPE
        } else {
            passes_plain(name, &hops)
                && !OF_THE_HOST.contains(&name.as_str())
                // Behind some gateways `x_egov_promise` and `x-egov-promise` are one name.
                && !name.as_str().contains('_')
                && !name.as_str().starts_with("access-control-")
        };
        if passes {
            to.append(name, value.clone());
        }
    }
    to
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

    fn names(map: &HeaderMap) -> Vec<&str> {
        let mut names: Vec<&str> = map.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn the_token_and_what_the_door_itself_says_do_not_pass() {
        let from = map(&[
            ("authorization", "Bearer t"),
            ("cookie", "a=b"),
            ("te", "gzip"),
            ("grpc-timeout", "1S"),
            ("x-egov-purpose", "doi-chieu"),
            ("x-egov-consumer", "forged"),
            ("x-egov-agreement", "forged"),
            ("traceparent", "00-1-2-01"),
            ("own", "1"),
            ("own", "2"),
            ("content-type", "application/grpc"),
        ]);
        let to = to_provider(&from);
        assert_eq!(
            names(&to),
            ["content-type", "own", "own", "te", "traceparent", "x-egov-purpose"]
        );
        assert_eq!(to["te"], "trailers");
    }

    #[test]
    fn a_provider_does_not_speak_for_the_door() {
        let from = map(&[
            ("grpc-status", "0"),
            ("x-egov-promise", "forged"),
            ("x-egov-purpose", "forged"),
            ("own-bin", "AA"),
        ]);
        assert_eq!(names(&to_consumer(&from)), ["grpc-status", "own-bin"]);
    }

    #[test]
    fn of_plain_http_nothing_passes_that_bends_the_request_or_speaks_for_another() {
        let from = map(&[
            ("authorization", "Bearer t"),
            ("cookie", "a=b"),
            ("connection", "close, X-Hop"),
            ("x-hop", "1"),
            ("x-http-method-override", "DELETE"),
            ("x-original-url", "/admin"),
            ("x-forwarded-for", "10.0.0.1"),
            ("x-road-client", "VN/GOV/forged"),
            ("x-egov-consumer", "forged"),
            ("x_egov_consumer", "forged"),
            ("x-egov-purpose", "doi-chieu"),
            ("expect", "100-continue"),
            ("own", "1"),
            ("accept", "application/json"),
        ]);
        assert_eq!(
            names(&to_plain_provider(&from, None)),
            ["accept", "own", "x-egov-purpose"]
        );
        let nothing = |_: &HeaderName| false;
        assert_eq!(
            names(&to_plain_provider(&from, Some(&nothing))),
            ["accept", "x-egov-purpose"]
        );
        // Not even a declared name bends the request.
        let everything = |_: &HeaderName| true;
        assert_eq!(
            names(&to_plain_provider(&from, Some(&everything))),
            ["accept", "own", "x-egov-purpose"]
        );
    }

    #[test]
    fn of_a_masked_answer_only_the_type_passes_and_of_none_what_is_the_hosts() {
        let from = map(&[
            ("content-type", "application/json"),
            ("etag", "\"1\""),
            ("set-cookie", "a=b"),
            ("server", "inside/1"),
            ("x-accel-redirect", "/secret"),
            ("x-road-error", "forged"),
            ("x-egov-promise", "forged"),
            ("access-control-allow-origin", "*"),
            ("content-length", "7"),
        ]);
        assert_eq!(names(&to_plain_consumer(&from, false)), ["content-type", "etag"]);
        assert_eq!(names(&to_plain_consumer(&from, true)), ["content-type"]);
    }
}
