//! A request of the protocol, read whole before anything is done with it.

use http::HeaderMap;
use percent_encoding::percent_decode_str;
use uuid::Uuid;

use crate::failure::{Failure, FailureKind};
use crate::headers::names;
use crate::identifier::{ClientId, ServiceId, is_party};

/// What every path of the protocol begins with.
pub const PREFIX: &str = "/r1/";

/// The longest path with its query, in bytes (PR-REST 4.2 names 2,000 as what most clients can send).
const LONGEST: usize = 8192;

/// A metaservice: one that tells of services.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetaService {
    /// Every service of the provider.
    ListMethods,
    /// Those that the client may call.
    AllowedMethods,
    /// The OpenAPI document of a service.
    GetOpenApi {
        /// Its code.
        service: String,
    },
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A call of the service.
    Service {
        /// What goes to the provider behind the address of the service: empty, or from its first slash or question mark on, as
        /// it came.
        path_and_query: String,
    },
    /// A metaservice of the subsystem; the code of the service is its name.
    Meta(MetaService),
}

/// A call as the client made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Who says to call. Whether it is true, the certificate says.
    pub client: ClientId,
    /// What is called.
    pub service: ServiceId,
    /// What is asked of it.
    pub asked: Asked,
    /// The client's id of the message, if it gave one.
    pub id: Option<String>,
    /// For whom the client acts, as it says: two letters of a country and a number. Personal data.
    pub user_id: Option<String>,
    /// The case or document for which the client calls, as it says.
    pub issue: Option<String>,
    /// The member for which the client acts, as it says: `class/code` or `code`. The call stays the client's own.
    pub represented_party: Option<String>,
}

/// The value of a header that may stand once and must be readable.
fn single(headers: &HeaderMap, name: &str, longest: usize) -> Result<Option<String>, Failure> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(bad(format!("the header {name} stands more than once")));
    }
    match std::str::from_utf8(value.as_bytes()) {
        Ok(text) if !text.is_empty() && text.len() <= longest && !text.chars().any(char::is_control) => {
            Ok(Some(text.to_owned()))
        }
        _ => Err(bad(format!(
            "the header {name} is empty, longer than {longest} bytes or not UTF-8"
        ))),
    }
}

fn bad(message: String) -> Failure {
    Failure::new(FailureKind::BadRequest, message)
}

impl Call {
    /// Reads a path with its query and the headers of a request.
    ///
    /// # Errors
    /// `Client.BadRequest` with what is wrong: another protocol version, too few parts, an identifier that is none, no client, a
    /// path that walks upwards.
    pub fn read(path_and_query: &str, headers: &HeaderMap) -> Result<Self, Failure> {
        if path_and_query.len() > LONGEST {
            return Err(bad(format!("the path is longer than {LONGEST} bytes")));
        }
        let rest = path_and_query
            .strip_prefix(PREFIX)
            .ok_or_else(|| bad("the path does not begin with /r1/".to_owned()))?;
        let (path, query) = rest
            .split_once('?')
            .map_or((rest, None), |(path, query)| (path, Some(query)));
        let mut parts = path.splitn(6, '/');
        let mut next = || parts.next().unwrap_or_default();
        let id = [next(), next(), next(), next(), next()];
        let service = ServiceId::of_parts(id).map_err(|error| {
            bad(format!(
                "the path is not /r1/instance/class/member/subsystem/service: {error}"
            ))
        })?;
        let tail = parts.next();
        if tail.is_some_and(climbs) {
            return Err(bad("the path has a segment . or ..".to_owned()));
        }
        let asked = match (service.service.as_str(), tail) {
            ("listMethods", None) => Asked::Meta(MetaService::ListMethods),
            ("allowedMethods", None) => Asked::Meta(MetaService::AllowedMethods),
            ("getOpenAPI", None) => Asked::Meta(MetaService::GetOpenApi {
                service: service_code(query.unwrap_or_default())?,
            }),
            _ => {
                let mut path_and_query = tail.map_or_else(String::new, |tail| format!("/{tail}"));
                if let Some(query) = query {
                    path_and_query.push('?');
                    path_and_query.push_str(query);
                }
                Asked::Service { path_and_query }
            }
        };
        let client = single(headers, names::CLIENT, 1200)?
            .ok_or_else(|| bad("the header X-Road-Client is missing".to_owned()))?
            .parse()
            .map_err(|error| bad(format!("the header X-Road-Client is no member or subsystem: {error}")))?;
        let represented_party = single(headers, names::REPRESENTED_PARTY, 1200)?;
        if represented_party.as_deref().is_some_and(|party| !is_party(party)) {
            return Err(bad(
                "the header X-Road-Represented-Party is not class/code or code of a member".to_owned(),
            ));
        }
        Ok(Self {
            client,
            service,
            asked,
            id: single(headers, names::ID, 255)?,
            user_id: single(headers, names::USER_ID, 255)?,
            issue: single(headers, names::ISSUE, 255)?,
            represented_party,
        })
    }

    /// The id of the message: the client's own, or this one.
    pub fn id_or(&self, otherwise: Uuid) -> String {
        self.id.clone().unwrap_or_else(|| otherwise.to_string())
    }
}

/// Whether a segment, as it is or decoded, walks the provider's tree.
fn climbs(path: &str) -> bool {
    path.split('/').any(|segment| {
        let decoded = percent_decode_str(segment).decode_utf8_lossy();
        decoded == "." || decoded == ".." || decoded.split(['/', '\\']).any(|inner| inner == "..")
    })
}

/// The parameter `serviceCode`, which must stand exactly once.
fn service_code(query: &str) -> Result<String, Failure> {
    let mut codes = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .filter(|(name, _)| *name == "serviceCode");
    let (Some((_, code)), None) = (codes.next(), codes.next()) else {
        return Err(bad("getOpenAPI needs the parameter serviceCode once".to_owned()));
    };
    match percent_decode_str(code).decode_utf8() {
        Ok(code) if !code.is_empty() && code.len() <= 255 => Ok(code.into_owned()),
        _ => Err(bad("serviceCode is empty, too long or not UTF-8".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn headers() -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(names::CLIENT, HeaderValue::from_static("VN/GOV/H41/motcua"));
        headers
    }

    fn asked(path: &str) -> Result<Asked, Failure> {
        Call::read(path, &headers()).map(|call| call.asked)
    }

    #[test]
    fn path_and_query_go_on_as_they_came() {
        for (path, wanted) in [
            ("/r1/VN/GOV/G15/ht/kk", ""),
            ("/r1/VN/GOV/G15/ht/kk/", "/"),
            ("/r1/VN/GOV/G15/ht/kk?a=1&a=2", "?a=1&a=2"),
            ("/r1/VN/GOV/G15/ht/kk/v1/%C4%91?a=%2F", "/v1/%C4%91?a=%2F"),
            ("/r1/VN/GOV/G15/ht/listMethods/x", "/x"),
        ] {
            let service = Asked::Service {
                path_and_query: wanted.to_owned(),
            };
            assert_eq!(asked(path), Ok(service), "{path}");
        }
    }

    #[test]
    fn the_metaservices_are_told_by_their_names() {
        assert_eq!(
            asked("/r1/VN/GOV/G15/ht/listMethods"),
            Ok(Asked::Meta(MetaService::ListMethods))
        );
        assert_eq!(
            asked("/r1/VN/GOV/G15/ht/allowedMethods"),
            Ok(Asked::Meta(MetaService::AllowedMethods))
        );
        assert_eq!(
            asked("/r1/VN/GOV/G15/ht/getOpenAPI?serviceCode=kk"),
            Ok(Asked::Meta(MetaService::GetOpenApi {
                service: "kk".to_owned()
            }))
        );
        assert!(asked("/r1/VN/GOV/G15/ht/getOpenAPI").is_err());
        assert!(asked("/r1/VN/GOV/G15/ht/getOpenAPI?serviceCode=a&serviceCode=b").is_err());
    }

    #[test]
    fn what_is_no_call_of_the_protocol_is_refused() {
        for path in [
            "/r2/VN/GOV/G15/ht/kk",
            "/r1/VN/GOV/G15/ht",
            "/r1/VN/GOV/G15//kk",
            "/r1/VN%2FGOV%2FG15%2Fht%2Fkk",
            "/r1/VN/GOV/G15/ht/kk/../x",
            "/r1/VN/GOV/G15/ht/kk/%2e%2E/x",
            "/r1/VN/GOV/G15/ht/kk/a%2F..%2Fb",
        ] {
            let failure = asked(path).unwrap_err();
            assert_eq!(failure.kind(), FailureKind::BadRequest, "{path}");
        }
        assert!(Call::read("/r1/VN/GOV/G15/ht/kk", &HeaderMap::new()).is_err());
        let mut twice = headers();
        twice.append(names::CLIENT, HeaderValue::from_static("VN/GOV/H41/other"));
        assert!(Call::read("/r1/VN/GOV/G15/ht/kk", &twice).is_err());
    }

    #[test]
    fn what_the_client_says_of_itself_is_read() {
        let mut all = headers();
        all.insert(names::ID, HeaderValue::from_static("m-1"));
        all.insert(names::USER_ID, HeaderValue::from_static("VN040090000001"));
        all.insert(names::ISSUE, HeaderValue::from_static("H41.1-261126-0001"));
        let call = Call::read("/r1/VN/GOV/G15/ht/kk", &all).unwrap();
        assert_eq!(call.id_or(Uuid::nil()), "m-1");
        assert_eq!(call.user_id.as_deref(), Some("VN040090000001"));
        assert_eq!(call.issue.as_deref(), Some("H41.1-261126-0001"));
        for (party, wanted) in [
            ("GOV/G15", true),
            ("G15", true),
            ("GOV/%C4%91", true),
            ("GOV/G15/x", false),
            ("/G15", false),
            ("GOV/", false),
            ("GOV/..", false),
            ("a%2Fb", false),
        ] {
            all.insert(names::REPRESENTED_PARTY, HeaderValue::from_static(party));
            let read = Call::read("/r1/VN/GOV/G15/ht/kk", &all).map(|call| call.represented_party);
            assert_eq!(read.ok(), wanted.then(|| Some(party.to_owned())), "{party}");
        }
        let plain = Call::read("/r1/VN/GOV/G15/ht/kk", &headers()).unwrap();
        assert_eq!(plain.id_or(Uuid::nil()), Uuid::nil().to_string());
    }

    proptest! {
        #[test]
        fn any_path_is_read_or_refused(path in "(/r1/)?[ -~]{0,80}") {
            // A panic would be the failure; and nothing that is read climbs.
            if let Ok(Call { asked: Asked::Service { path_and_query }, .. }) = Call::read(&path, &headers()) {
                let path = path_and_query.split('?').next().unwrap_or_default();
                prop_assert!(!path.split('/').any(|segment| segment == ".."));
            }
        }
    }
}
