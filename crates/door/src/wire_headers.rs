//! Which metadata passes the door, and what the door adds.

use http::header::{AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, HOST, TE, TRAILER, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue};

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
}
