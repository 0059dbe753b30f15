//! Endpoints of services.

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use super::service::InterfaceKind;

/// Where an endpoint stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum EndpointState {
    Active,
    Maintenance,
    Draining,
    Removed,
}

impl EndpointState {
    /// The word under which it is stored.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Maintenance => "maintenance",
            Self::Draining => "draining",
            Self::Removed => "removed",
        }
    }

    /// The state that a stored word names.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        [Self::Active, Self::Maintenance, Self::Draining, Self::Removed]
            .into_iter()
            .find(|one| one.as_str() == word)
    }
}

/// An address of a service, and how it was last seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[expect(clippy::struct_field_names, reason = "the names of the contract")]
pub(crate) struct Endpoint {
    pub(crate) endpoint_id: Uuid,
    pub(crate) service_id: Uuid,
    pub(crate) responsible_unit_id: i32,
    pub(crate) url: String,
    pub(crate) health_path: String,
    pub(crate) weight: i32,
    pub(crate) state: EndpointState,
    #[serde(skip)]
    pub(crate) health: Option<Health>,
}

/// How an endpoint was last seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Health {
    pub(crate) healthy: bool,
    pub(crate) detail: String,
    pub(crate) latency_ms: i32,
    pub(crate) check_time: Timestamp,
}

/// Checks the address of an endpoint: scheme that fits the kind of interface, host, and neither credentials nor a query.
///
/// # Errors
/// What is wrong, in English.
pub(crate) fn check_url(url: &str, kind: InterfaceKind) -> Result<(), &'static str> {
    let uri: http::Uri = url.parse().map_err(|_| "it is not an address")?;
    let fits = match kind {
        InterfaceKind::Grpc => ["grpc", "grpcs"],
        InterfaceKind::OpenApi => ["http", "https"],
    };
    if !uri.scheme_str().is_some_and(|scheme| fits.contains(&scheme)) {
        return Err("its scheme must be grpc or grpcs for a gRPC interface, http or https for an OpenAPI one");
    }
    let authority = uri.authority().ok_or("it names no host")?;
    if authority.host().is_empty() {
        return Err("it names no host");
    }
    if authority.as_str().contains('@') {
        return Err("it carries credentials");
    }
    if uri.query().is_some() {
        return Err("it carries a query");
    }
    if kind == InterfaceKind::Grpc && !matches!(uri.path(), "" | "/") {
        return Err("a gRPC address has no path");
    }
    Ok(())
}

/// Host and port of an address.
pub(crate) fn place_of(url: &str) -> Option<(String, u16)> {
    let uri: http::Uri = url.parse().ok()?;
    let usual = match uri.scheme_str()? {
        "grpcs" | "https" => 443,
        _ => 80,
    };
    let host = uri.host()?.trim_start_matches('[').trim_end_matches(']');
    Some((host.to_owned(), uri.port_u16().unwrap_or(usual)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_address_fits_the_kind_of_its_interface() {
        assert_eq!(check_url("grpc://10.0.0.1:50051", InterfaceKind::Grpc), Ok(()));
        assert_eq!(check_url("https://api.test/base", InterfaceKind::OpenApi), Ok(()));
        for (url, kind) in [
            ("http://a.test", InterfaceKind::Grpc),
            ("grpc://a.test", InterfaceKind::OpenApi),
            ("https://user:word@a.test", InterfaceKind::OpenApi),
            ("https://a.test?key=1", InterfaceKind::OpenApi),
            ("grpc://a.test/path", InterfaceKind::Grpc),
            ("/path", InterfaceKind::OpenApi),
            ("ftp://a.test", InterfaceKind::OpenApi),
        ] {
            assert!(check_url(url, kind).is_err(), "{url}");
        }
    }

    #[test]
    fn an_address_lies_at_a_host_and_port() {
        for (url, wanted) in [
            ("grpc://10.0.0.1:50051", Some(("10.0.0.1", 50051))),
            ("grpcs://a.test", Some(("a.test", 443))),
            ("https://[fd12::7]/base", Some(("fd12::7", 443))),
            ("http://a.test", Some(("a.test", 80))),
            ("/path", None),
        ] {
            let wanted = wanted.map(|(host, port)| (host.to_owned(), port));
            assert_eq!(place_of(url), wanted, "{url}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,100}") {
            let _ = (check_url(&text, InterfaceKind::Grpc), place_of(&text));
        }
    }
}
