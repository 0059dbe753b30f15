//! A sign-in at an issuer, from the beginning to the issuer's answer (OpenID Connect Core 1.0, RFC 7636, RFC 9207, RFC 9700).
//!
//! Two secrets are made: the **state** travels through the browser's address to the issuer and back; the **binding** stays with
//! whoever began. Both must come back together, so that an answer that was begun in one browser completes nothing in another
//! (session fixation, login CSRF). Nonce and PKCE verifier follow from both by a keyed digest; none of the four is stored.

use std::fmt::Write as _;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use uuid::Uuid;

use super::issuer::{FederatedIssuer, is_endpoint};
use super::secret::SecretHash;

/// What was begun counts for this long.
pub(crate) const LIFETIME: SignedDuration = SignedDuration::from_mins(10);

/// So often an answer to a sign-in is tried: a state is no licence to try codes.
pub(crate) const MOST_ATTEMPTS: i32 = 5;

/// A sign-in under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Flow {
    /// At which issuer.
    pub issuer_id: Uuid,
    /// Where the issuer was told to send the browser.
    pub redirect_uri: String,
    /// The hash of what the browser that began it keeps.
    pub binding_hash: SecretHash,
    /// When it began.
    pub begin_time: Timestamp,
    /// When it is void.
    pub expire_time: Timestamp,
    /// How often an answer to it was tried, the present attempt among them.
    pub attempts: i32,
    /// When it was completed.
    pub used_time: Option<Timestamp>,
}

impl Flow {
    /// Whether an answer that arrived at this address may be tried now by whoever holds the binding with this hash. An answer that
    /// arrived elsewhere may be another issuer's (mix-up, RFC 9700, 4.4.2).
    pub(crate) fn can_be_attempted(&self, binding_hash: &SecretHash, arrived_at: &str, now: Timestamp) -> bool {
        self.attempts < MOST_ATTEMPTS && self.redirect_uri == arrived_at && self.can_be_completed(binding_hash, now)
    }

    /// Whether the attempt that was counted may complete it now.
    pub(crate) fn can_be_completed(&self, binding_hash: &SecretHash, now: Timestamp) -> bool {
        self.used_time.is_none()
            && now < self.expire_time
            && self.attempts <= MOST_ATTEMPTS
            && aws_lc_rs::constant_time::verify_slices_are_equal(&self.binding_hash, binding_hash).is_ok()
    }
}

/// The metadata of an issuer, as far as they are looked at (OpenID Connect Discovery 1.0, section 3).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Metadata {
    /// Its own name.
    pub issuer: String,
    /// Where the browser is sent.
    pub authorization_endpoint: String,
    /// Where the code is exchanged.
    pub token_endpoint: String,
    /// Where its keys are.
    pub jwks_uri: String,
    /// How clients may prove themselves; a client with a secret sends it in the header if this does not say otherwise.
    #[serde(default)]
    pub token_endpoint_auth_methods_supported: Option<Vec<String>>,
    /// The ways of PKCE that it knows, if it says so.
    #[serde(default)]
    pub code_challenge_methods_supported: Option<Vec<String>>,
    /// Whether its answers carry `iss` (RFC 9207).
    #[serde(default)]
    pub authorization_response_iss_parameter_supported: bool,
}

/// Why an issuer cannot be used: what an administrator has to settle with those who run it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// Its metadata or keys are larger than any issuer's.
    #[error("its answer is too large")]
    TooLarge,
    /// The answer is not what it should be.
    #[error("its answer is not the JSON that it should be")]
    Form,
    /// It redirects, or answers with another status.
    #[error("it answers with a redirect or an unexpected status")]
    Status,
    /// Its metadata belong to another issuer (mix-up).
    #[error("its metadata name another issuer")]
    OtherIssuer,
    /// One of its addresses may not be used.
    #[error("one of its addresses is not https")]
    Address,
    /// It does not know PKCE with S256.
    #[error("it does not support PKCE with S256")]
    NoPkce,
    /// It refuses the client.
    #[error("it does not accept this platform as the registered client")]
    ClientRefused,
}

impl Unusable {
    /// Every reason.
    pub const ALL: [Self; 7] = [
        Self::TooLarge,
        Self::Form,
        Self::Status,
        Self::OtherIssuer,
        Self::Address,
        Self::NoPkce,
        Self::ClientRefused,
    ];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::Form => "form",
            Self::Status => "status",
            Self::OtherIssuer => "other_issuer",
            Self::Address => "address",
            Self::NoPkce => "no_pkce",
            Self::ClientRefused => "client_refused",
        }
    }

    /// In Vietnamese.
    pub const fn vi(self) -> &'static str {
        match self {
            Self::TooLarge => "dữ liệu trả về quá lớn",
            Self::Form => "dữ liệu trả về không đúng định dạng JSON quy định",
            Self::Status => "trả về chuyển hướng hoặc mã trạng thái không mong đợi",
            Self::OtherIssuer => "thông tin công bố thuộc về bên cấp danh tính khác",
            Self::Address => "có địa chỉ không dùng https",
            Self::NoPkce => "không hỗ trợ PKCE với S256",
            Self::ClientRefused => "không chấp nhận hệ thống này là ứng dụng đã đăng ký",
        }
    }
}

impl Metadata {
    /// Refuses metadata that are another issuer's, lead elsewhere than to https, or know no PKCE.
    pub(crate) fn check(&self, issuer: &str, loopback_allowed: bool) -> Result<(), Unusable> {
        if self.issuer != issuer {
            return Err(Unusable::OtherIssuer);
        }
        let endpoints = [&self.authorization_endpoint, &self.token_endpoint, &self.jwks_uri];
        if !endpoints
            .into_iter()
            .all(|endpoint| is_endpoint(endpoint, loopback_allowed))
        {
            return Err(Unusable::Address);
        }
        match &self.code_challenge_methods_supported {
            Some(methods) if !methods.iter().any(|method| method == "S256") => Err(Unusable::NoPkce),
            _ => Ok(()),
        }
    }

    /// Whether a client's secret travels in the body instead of the header.
    pub(crate) fn secret_in_body(&self) -> bool {
        self.token_endpoint_auth_methods_supported
            .as_ref()
            .is_some_and(|methods| {
                let knows = |name: &str| methods.iter().any(|method| method == name);
                knows("client_secret_post") && !knows("client_secret_basic")
            })
    }

    /// The check of RFC 9207: the issuer that the answer names is the one at which the sign-in began; and one that says that it
    /// names itself must do so.
    pub(crate) fn answers_for(&self, named: &str) -> bool {
        if named.is_empty() {
            !self.authorization_response_iss_parameter_supported
        } else {
            named == self.issuer
        }
    }
}

/// Where an issuer's metadata are (OpenID Connect Discovery 1.0, section 4.1).
pub(crate) fn metadata_address(issuer: &str) -> String {
    format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'))
}

/// The challenge of a PKCE verifier: S256 (RFC 7636, section 4.2).
pub(crate) fn code_challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, verifier.as_bytes()))
}

/// What of a sign-in travels to the issuer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    /// Where the browser shall be sent back.
    pub redirect_uri: &'a str,
    /// The state.
    pub state: &'a str,
    /// The nonce.
    pub nonce: &'a str,
    /// The PKCE verifier, of which only the challenge travels.
    pub verifier: &'a str,
}

/// The address to which the browser is sent.
pub(crate) fn authorization_url(metadata: &Metadata, issuer: &FederatedIssuer, asked: &Asked<'_>) -> String {
    let settings = &issuer.settings;
    let challenge = code_challenge(asked.verifier);
    let age = settings.max_auth_age.to_string();
    let acr = settings.second_factor_acr.join(" ");
    let mut pairs = vec![
        ("response_type", "code"),
        ("client_id", settings.client_id.as_str()),
        ("redirect_uri", asked.redirect_uri),
        ("scope", "openid"),
        ("state", asked.state),
        ("nonce", asked.nonce),
        ("code_challenge", challenge.as_str()),
        ("code_challenge_method", "S256"),
    ];
    if settings.max_auth_age > 0 {
        pairs.push(("max_age", age.as_str()));
    }
    if !acr.is_empty() {
        pairs.push(("acr_values", acr.as_str()));
    }
    let border = if metadata.authorization_endpoint.contains('?') {
        '&'
    } else {
        '?'
    };
    format!("{}{border}{}", metadata.authorization_endpoint, form(&pairs))
}

/// Pairs as `application/x-www-form-urlencoded`; what is not unreserved (RFC 3986) is escaped.
pub(crate) fn form(pairs: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for (name, value) in pairs {
        if !text.is_empty() {
            text.push('&');
        }
        escape(name, &mut text);
        text.push('=');
        escape(value, &mut text);
    }
    text
}

/// A text as one value of a form (RFC 6749, section 2.3.1, asks for it in the header too).
pub(crate) fn escaped(text: &str) -> String {
    let mut into = String::new();
    escape(text, &mut into);
    into
}

fn escape(text: &str, into: &mut String) {
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => into.push(char::from(byte)),
            // Writing to a string cannot fail.
            other => drop(write!(into, "%{other:02X}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id_token::SigningAlgorithm;
    use crate::domain::issuer::{ClientAuthentication, IssuerSettings};
    use proptest::prelude::*;

    fn metadata() -> Metadata {
        Metadata {
            issuer: "https://sso.example".to_owned(),
            authorization_endpoint: "https://sso.example/auth".to_owned(),
            token_endpoint: "https://sso.example/token".to_owned(),
            jwks_uri: "https://sso.example/jwks".to_owned(),
            token_endpoint_auth_methods_supported: None,
            code_challenge_methods_supported: None,
            authorization_response_iss_parameter_supported: false,
        }
    }

    #[test]
    fn the_challenge_is_that_of_rfc_7636_appendix_b() {
        assert_eq!(
            code_challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
        );
    }

    #[test]
    fn metadata_of_another_issuer_and_addresses_without_tls_are_not_used() {
        let issuer = "https://sso.example";
        assert_eq!(metadata().check(issuer, false), Ok(()));
        assert_eq!(
            metadata().check("https://sso.example/", false),
            Err(Unusable::OtherIssuer)
        );
        for change in [
            |metadata: &mut Metadata| metadata.token_endpoint = "http://sso.example/token".to_owned(),
            |metadata: &mut Metadata| metadata.jwks_uri = "file:///etc/passwd".to_owned(),
            |metadata: &mut Metadata| metadata.authorization_endpoint = "javascript:alert(1)".to_owned(),
        ] {
            let mut wrong = metadata();
            change(&mut wrong);
            assert_eq!(wrong.check(issuer, true), Err(Unusable::Address));
        }
        let plain = Metadata {
            code_challenge_methods_supported: Some(vec!["plain".to_owned()]),
            ..metadata()
        };
        assert_eq!(plain.check(issuer, false), Err(Unusable::NoPkce));
    }

    #[test]
    fn an_answer_names_the_issuer_at_which_it_began_and_must_where_the_issuer_says_so() {
        assert!(metadata().answers_for(""));
        assert!(metadata().answers_for("https://sso.example"));
        assert!(!metadata().answers_for("https://evil.example"));
        let naming = Metadata {
            authorization_response_iss_parameter_supported: true,
            ..metadata()
        };
        assert!(naming.answers_for("https://sso.example"));
        assert!(!naming.answers_for(""));
    }

    #[test]
    fn a_secret_travels_in_the_body_only_where_the_header_is_not_known() {
        let with = |methods: &[&str]| Metadata {
            token_endpoint_auth_methods_supported: Some(methods.iter().map(|&one| one.to_owned()).collect()),
            ..metadata()
        };
        assert!(!metadata().secret_in_body());
        assert!(!with(&["client_secret_basic", "client_secret_post"]).secret_in_body());
        assert!(with(&["client_secret_post"]).secret_in_body());
    }

    #[test]
    fn the_address_carries_state_nonce_and_challenge_and_never_the_verifier() {
        let issuer = FederatedIssuer {
            issuer_id: Uuid::nil(),
            issuer: "https://sso.example".to_owned(),
            settings: IssuerSettings {
                title: "Sở".to_owned(),
                client_id: "egov".to_owned(),
                authentication: ClientAuthentication::None,
                redirect_uris: Vec::new(),
                unit_ids: vec![1],
                algorithms: vec![SigningAlgorithm::Es256],
                second_factor_acr: vec!["gold".to_owned(), "urn:mfa".to_owned()],
                second_factor_amr: Vec::new(),
                max_auth_age: 600,
            },
            disabled: false,
            version: 1,
        };
        let asked = Asked {
            redirect_uri: "https://portal.example/callback?a=b",
            state: "s",
            nonce: "n",
            verifier: "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
        };
        let url = authorization_url(&metadata(), &issuer, &asked);
        assert_eq!(
            url,
            "https://sso.example/auth?response_type=code&client_id=egov\
             &redirect_uri=https%3A%2F%2Fportal.example%2Fcallback%3Fa%3Db&scope=openid&state=s&nonce=n\
             &code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256\
             &max_age=600&acr_values=gold%20urn%3Amfa"
        );
        let with_query = Metadata {
            authorization_endpoint: "https://sso.example/auth?tenant=1".to_owned(),
            ..metadata()
        };
        assert!(
            authorization_url(&with_query, &issuer, &asked)
                .starts_with("https://sso.example/auth?tenant=1&response_type=code")
        );
    }

    proptest! {
        #[test]
        fn a_flow_is_completed_once_in_time_by_its_own_browser(
            age in -5_i64..1200, attempts in 0_i32..10, used in any::<bool>(), own in any::<bool>(),
        ) {
            let begin_time: Timestamp = "2026-11-23T01:00:00Z".parse().unwrap();
            let flow = Flow {
                issuer_id: Uuid::nil(),
                redirect_uri: "https://a.example".to_owned(),
                binding_hash: [7; 32],
                begin_time,
                expire_time: begin_time + LIFETIME,
                attempts,
                used_time: used.then_some(begin_time),
            };
            let binding = if own { [7; 32] } else { [8; 32] };
            let now = begin_time + SignedDuration::from_secs(age);
            prop_assert_eq!(
                flow.can_be_completed(&binding, now),
                own && !used && age < 600 && attempts <= 5
            );
            let attempted = |at| flow.can_be_attempted(&binding, at, now);
            prop_assert_eq!(attempted("https://a.example"), own && !used && age < 600 && attempts < 5);
            prop_assert!(!attempted("https://b.example"));
        }

        #[test]
        fn a_form_is_read_back_as_it_was_written(pairs in proptest::collection::vec(("\\PC{0,8}", "\\PC{0,8}"), 0..4)) {
            let borrowed: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            let text = form(&borrowed);
            prop_assert!(text.is_ascii());
            let read: Vec<(String, String)> = text
                .split('&')
                .filter(|pair| !pair.is_empty())
                .map(|pair| {
                    let (name, value) = pair.split_once('=').unwrap();
                    (read_back(name), read_back(value))
                })
                .collect();
            prop_assert_eq!(read, pairs);
        }
    }

    fn read_back(text: &str) -> String {
        let mut bytes = Vec::new();
        let mut rest = text.as_bytes();
        while let Some((&first, after)) = rest.split_first() {
            if first == b'%' {
                let code = std::str::from_utf8(&after[..2]).unwrap();
                bytes.push(u8::from_str_radix(code, 16).unwrap());
                rest = &after[2..];
            } else {
                bytes.push(first);
                rest = after;
            }
        }
        String::from_utf8(bytes).unwrap()
    }
}
