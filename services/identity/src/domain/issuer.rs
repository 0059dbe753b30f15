//! Issuers of agencies (bên cấp danh tính): what an administrator says of one, and what it may do.
//!
//! An issuer speaks for the staff of its units and of nobody else, proves a second factor only by the words that were registered
//! for it, and signs with the algorithms that were registered for it. Its URL is its name: it never changes.

use egov_auth::UnitTree;
use http::Uri;
use jiff::SignedDuration;
use serde::Serialize;
use uuid::Uuid;

use super::id_token::SigningAlgorithm;

/// How this platform proves at the issuer that it is the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ClientAuthentication {
    /// A signed assertion (RFC 7523).
    PrivateKeyJwt,
    /// A shared secret.
    ClientSecret,
    /// Nothing but PKCE.
    None,
}

impl ClientAuthentication {
    /// Every way.
    const ALL: [Self; 3] = [Self::PrivateKeyJwt, Self::ClientSecret, Self::None];

    /// The word under which it is stored.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::PrivateKeyJwt => "private_key_jwt",
            Self::ClientSecret => "client_secret",
            Self::None => "none",
        }
    }

    /// The way of a stored word.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == word)
    }
}

/// What was said of an issuer; the secret lies apart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct IssuerSettings {
    /// As it stands on the page where people choose how to sign in.
    pub title: String,
    /// The client id of this platform at the issuer.
    pub client_id: String,
    /// How the platform proves to be that client.
    pub authentication: ClientAuthentication,
    /// Where the issuer may send the browser, compared exactly.
    pub redirect_uris: Vec<String>,
    /// For whose staff it may speak: these units and everything below.
    pub unit_ids: Vec<i32>,
    /// How it may sign.
    pub algorithms: Vec<SigningAlgorithm>,
    /// Values of `acr` that prove a second factor.
    pub second_factor_acr: Vec<String>,
    /// Values of `amr` that prove one; any of them suffices.
    pub second_factor_amr: Vec<String>,
    /// The person must have signed in at the issuer within this many seconds; 0 asks for nothing.
    pub max_auth_age: i32,
}

impl IssuerSettings {
    /// How long ago the person may have signed in at the issuer.
    pub(crate) fn longest_auth_age(&self) -> Option<SignedDuration> {
        (self.max_auth_age > 0).then(|| SignedDuration::from_secs(i64::from(self.max_auth_age)))
    }

    /// Whether the issuer may do less under other settings, or knows the platform as another client: what began by it may then rest on
    /// what is no longer believed. More units, words or algorithms take nothing away.
    pub(crate) fn narrowed_by(&self, new: &Self, tree: &UnitTree) -> bool {
        let lacks = |old: &[String], new: &[String]| old.iter().any(|one| !new.contains(one));
        self.unit_ids.iter().any(|&unit| !new.may_speak_for(unit, tree))
            || self.algorithms.iter().any(|one| !new.algorithms.contains(one))
            || lacks(&self.second_factor_acr, &new.second_factor_acr)
            || lacks(&self.second_factor_amr, &new.second_factor_amr)
            || match (self.longest_auth_age(), new.longest_auth_age()) {
                (_, None) => false,
                (None, Some(_)) => true,
                (Some(old), Some(new)) => new < old,
            }
            || self.client_id != new.client_id
    }

    /// Whether the issuer may speak for the staff of a unit, as the tree is now.
    pub(crate) fn may_speak_for(&self, unit: i32, tree: &UnitTree) -> bool {
        self.unit_ids
            .iter()
            .any(|&own| own == unit || tree.subtree(own).binary_search(&unit).is_ok())
    }
}

/// A registered issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FederatedIssuer {
    /// Its id.
    pub issuer_id: Uuid,
    /// Its URL, exactly as it stands in `iss`.
    pub issuer: String,
    /// What was said of it.
    pub settings: IssuerSettings,
    /// True if nobody signs in by it any more.
    pub disabled: bool,
    /// Grows with every change.
    pub version: i64,
}

/// A rule that a registration breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Flaw {
    /// Where in the request.
    pub field: String,
    /// Which rule.
    pub rule: &'static str,
    /// In Vietnamese.
    pub vi: &'static str,
    /// In English.
    pub en: &'static str,
}

/// Whether a secret comes with a registration, or is stored already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Secret {
    /// The request carries one.
    pub given: bool,
    /// One is stored that stays if none is given.
    pub stored: bool,
}

/// Every rule that a registration breaks; none if it can be accepted. `issuer` is given when it is new.
pub(crate) fn flaws(
    issuer: Option<&str>,
    settings: &IssuerSettings,
    secret: Secret,
    loopback_allowed: bool,
) -> Vec<Flaw> {
    let mut flaws = Vec::new();
    if let Some(issuer) = issuer
        && !is_issuer_url(issuer, loopback_allowed)
    {
        flaws.push(Flaw {
            field: "issuer".to_owned(),
            rule: "issuer.url",
            vi: "phải là địa chỉ https, không có tham số truy vấn, phần neo hay tên người dùng",
            en: "must be an https address without query, fragment or user name",
        });
    }
    for (at, uri) in settings.redirect_uris.iter().enumerate() {
        if !is_endpoint(uri, loopback_allowed) {
            flaws.push(Flaw {
                field: format!("settings.redirect_uris[{at}]"),
                rule: "redirect_uri.url",
                vi: "phải là địa chỉ https, không có phần neo hay tên người dùng",
                en: "must be an https address without fragment or user name",
            });
        }
    }
    if settings.title.trim().is_empty() {
        flaws.push(Flaw {
            field: "settings.title".to_owned(),
            rule: "title.blank",
            vi: "không được để trống",
            en: "must not be blank",
        });
    }
    let uses_secret = settings.authentication == ClientAuthentication::ClientSecret;
    if uses_secret && !secret.given && !secret.stored {
        flaws.push(Flaw {
            field: "settings.client_secret".to_owned(),
            rule: "client_secret.required",
            vi: "phải có khi xác thực bằng mật khẩu chung",
            en: "is required with client authentication by a secret",
        });
    }
    if !uses_secret && secret.given {
        flaws.push(Flaw {
            field: "settings.client_secret".to_owned(),
            rule: "client_secret.unused",
            vi: "chỉ được có khi xác thực bằng mật khẩu chung",
            en: "must be empty without client authentication by a secret",
        });
    }
    flaws
}

/// The redirect URIs of a registration that are among those of other issuers.
pub(crate) fn shared(settings: &IssuerSettings, of_others: &[String]) -> Vec<Flaw> {
    let taken = settings
        .redirect_uris
        .iter()
        .enumerate()
        .filter(|(_, uri)| of_others.contains(uri));
    taken
        .map(|(at, _)| Flaw {
            field: format!("settings.redirect_uris[{at}]"),
            rule: "redirect_uri.shared",
            vi: "đã được đăng ký cho bên cấp danh tính khác; mỗi bên phải có địa chỉ quay lại riêng",
            en: "is another issuer's; every issuer needs a redirect URI of its own",
        })
        .collect()
}

/// Whether a text can be an issuer's name: an address without query (OpenID Connect Discovery 1.0, section 2).
fn is_issuer_url(text: &str, loopback_allowed: bool) -> bool {
    is_endpoint(text, loopback_allowed) && !text.contains('?')
}

/// Whether an address may be used: https with a host, without fragment and user name; this machine, over http too, only where that is
/// allowed.
pub(crate) fn is_endpoint(text: &str, loopback_allowed: bool) -> bool {
    if text.contains(['#', '@', '\\']) || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return false;
    }
    let Ok(uri) = text.parse::<Uri>() else { return false };
    let Some(host) = uri.host().filter(|host| !host.is_empty()) else {
        return false;
    };
    match uri.scheme_str() {
        Some("https") => loopback_allowed || !is_loopback(host),
        Some("http") => loopback_allowed && is_loopback(host),
        _ => false,
    }
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let host = host.strip_suffix('.').unwrap_or(host);
    host.eq_ignore_ascii_case("localhost")
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use egov_auth::Unit;
    use proptest::prelude::*;

    fn settings() -> IssuerSettings {
        IssuerSettings {
            title: "Sở Nội vụ".to_owned(),
            client_id: "egov".to_owned(),
            authentication: ClientAuthentication::PrivateKeyJwt,
            redirect_uris: vec!["https://portal.example/callback".to_owned()],
            unit_ids: vec![2],
            algorithms: vec![SigningAlgorithm::Es256],
            second_factor_acr: Vec::new(),
            second_factor_amr: Vec::new(),
            max_auth_age: 0,
        }
    }

    const NO_SECRET: Secret = Secret {
        given: false,
        stored: false,
    };

    #[test]
    fn every_rule_that_a_registration_breaks_is_named() {
        assert_eq!(flaws(Some("https://sso.example/a"), &settings(), NO_SECRET, false), []);
        let wrong = IssuerSettings {
            title: " ".to_owned(),
            authentication: ClientAuthentication::ClientSecret,
            redirect_uris: vec![
                "https://ok.example/".to_owned(),
                "http://portal.example/".to_owned(),
                "https://portal.example/#a".to_owned(),
            ],
            ..settings()
        };
        let found = flaws(Some("https://sso.example/?tenant=1"), &wrong, NO_SECRET, false);
        let named: Vec<_> = found.iter().map(|flaw| (flaw.field.as_str(), flaw.rule)).collect();
        assert_eq!(
            named,
            [
                ("issuer", "issuer.url"),
                ("settings.redirect_uris[1]", "redirect_uri.url"),
                ("settings.redirect_uris[2]", "redirect_uri.url"),
                ("settings.title", "title.blank"),
                ("settings.client_secret", "client_secret.required"),
            ]
        );
        let given = Secret {
            given: true,
            stored: false,
        };
        let found = flaws(None, &settings(), given, false);
        assert_eq!(found[0].rule, "client_secret.unused");
        let stored = Secret {
            given: false,
            stored: true,
        };
        let by_secret = IssuerSettings {
            authentication: ClientAuthentication::ClientSecret,
            ..settings()
        };
        assert_eq!(flaws(None, &by_secret, stored, false), []);
    }

    #[test]
    fn an_address_of_another_issuer_is_named() {
        let settings = IssuerSettings {
            redirect_uris: vec!["https://a.example/".to_owned(), "https://b.example/".to_owned()],
            ..settings()
        };
        assert_eq!(shared(&settings, &[]), []);
        let found = shared(&settings, &["https://b.example/".to_owned()]);
        let named: Vec<_> = found.iter().map(|flaw| (flaw.field.as_str(), flaw.rule)).collect();
        assert_eq!(named, [("settings.redirect_uris[1]", "redirect_uri.shared")]);
    }

    #[test]
    fn less_than_before_is_narrower_and_more_is_not() {
        // Unit 2 and its neighbour 3 lie below 1.
        let units = [(1, None), (2, Some(1)), (3, Some(1))];
        let tree = UnitTree::new(1, units.map(|(id, parent)| Unit { id, parent })).unwrap();
        let old = IssuerSettings {
            second_factor_acr: vec!["urn:two".to_owned()],
            second_factor_amr: vec!["otp".to_owned(), "hwk".to_owned()],
            ..settings()
        };
        let narrowed = |change: fn(&mut IssuerSettings)| {
            let mut new = old.clone();
            change(&mut new);
            old.narrowed_by(&new, &tree)
        };
        let wider: [fn(&mut IssuerSettings); 5] = [
            |_| {},
            |new| new.title = "Tên khác".to_owned(),
            |new| new.unit_ids = vec![1],
            |new| new.algorithms.push(SigningAlgorithm::Rs256),
            |new| new.second_factor_amr.push("sc".to_owned()),
        ];
        for change in wider {
            assert!(!narrowed(change));
        }
        let narrower: [fn(&mut IssuerSettings); 6] = [
            |new| new.max_auth_age = 60,
            |new| new.unit_ids = vec![3],
            |new| new.algorithms = vec![SigningAlgorithm::Rs256],
            |new| new.second_factor_acr.clear(),
            |new| drop(new.second_factor_amr.pop()),
            |new| new.client_id = "another".to_owned(),
        ];
        for change in narrower {
            assert!(narrowed(change));
        }
        // Of two ages at the issuer the lower one is narrower; none is the widest.
        for (before, after, narrower) in [(60, 30, true), (60, 60, false), (60, 90, false), (60, 0, false)] {
            let of = |max_auth_age| IssuerSettings {
                max_auth_age,
                ..old.clone()
            };
            assert_eq!(
                of(before).narrowed_by(&of(after), &tree),
                narrower,
                "{before} → {after}"
            );
        }
    }

    #[test]
    fn http_is_for_this_machine_and_only_where_that_is_allowed() {
        for text in ["http://127.0.0.1:8000", "http://localhost/sso", "http://[::1]:8000/sso"] {
            assert!(is_endpoint(text, true), "{text}");
            assert!(!is_endpoint(text, false), "{text}");
        }
        for text in [
            "https://127.0.0.1/token",
            "https://localhost:8443",
            "https://LOCALHOST.",
            "https://[::1]/jwks",
        ] {
            assert!(is_endpoint(text, true), "{text}");
            assert!(!is_endpoint(text, false), "{text}");
        }
        for text in [
            "http://sso.example",
            "http://127.0.0.1.example",
            "http://localhost.example",
            "http://127.0.0.1@sso.example",
            "https://user@sso.example",
            "https://sso.example\\@127.0.0.1",
            "ftp://127.0.0.1",
            "https://",
            "/callback",
            "javascript:alert(1)",
            "https://sso.example/a b",
            "",
        ] {
            assert!(!is_endpoint(text, true), "{text}");
        }
    }

    proptest! {
        #[test]
        fn an_issuer_speaks_for_its_units_and_what_lies_below_and_for_nobody_else(
            parents in proptest::collection::vec(any::<prop::sample::Index>(), 1..30),
            own in proptest::collection::vec(any::<prop::sample::Index>(), 1..4),
            asked in any::<prop::sample::Index>(),
        ) {
            // Unit 1 is the root; each later one lies below some earlier one.
            let count = parents.len() + 1;
            let parent_of: Vec<Option<i32>> = std::iter::once(None)
                .chain(parents.iter().enumerate().map(|(at, below)| Some(below.index(at + 1) as i32 + 1)))
                .collect();
            let units = (1..=count).map(|id| Unit { id: id as i32, parent: parent_of[id - 1] });
            let tree = UnitTree::new(1, units).unwrap();
            let unit_ids: Vec<i32> = own.iter().map(|one| one.index(count) as i32 + 1).collect();
            let asked = asked.index(count) as i32 + 1;
            // The plain reading: walk up from the unit.
            let mut expected = false;
            let mut at = Some(asked);
            while let Some(unit) = at {
                expected |= unit_ids.contains(&unit);
                at = parent_of[unit as usize - 1];
            }
            let settings = IssuerSettings { unit_ids, ..settings() };
            prop_assert_eq!(settings.may_speak_for(asked, &tree), expected);
        }
    }
}
