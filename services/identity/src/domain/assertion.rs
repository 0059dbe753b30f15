//! Assertions (RFC 7521, RFC 7523): JWTs with which a citizen's identity provider speaks for a citizen, and with which a
//! system speaks for itself.
//!
//! The form, the algorithm, the signature and the times are checked by [`egov_auth::token`], as for access tokens: the
//! algorithm follows from the **key**, never from the token. What is particular to assertions is here: their types, their
//! audiences, their subject, and that each has an id by which it is believed once.

use egov_auth::TokenRefusal;
use egov_auth::token::{Expected, KeySet, MAX_SKEW, UnverifiedToken};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Map, Value};

/// Longest accepted `jti`, in bytes.
const TOKEN_ID_BYTES: usize = 255;

/// The `typ` of an assertion: none, the old one, or those of RFC 7523bis. An access token (`at+jwt`) never passes.
const TYPES: [&str; 4] = ["", "jwt", "client-authentication+jwt", "authorization-grant+jwt"];

/// What an assertion must be to be believed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules<'a> {
    /// Who must have issued it.
    pub issuer: &'a str,
    /// Whom it must be about, if that is known beforehand.
    pub subject: Option<&'a str>,
    /// One of these must be its audience: the token endpoint or this server's issuer name.
    pub audiences: &'a [String],
    /// The present instant.
    pub now: Timestamp,
    /// How far the clocks may differ.
    pub skew: SignedDuration,
    /// How long it counts at most: its id must be remembered that long.
    pub longest: SignedDuration,
}

/// A believed assertion.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Assertion {
    /// Whom it is about.
    pub subject: String,
    /// Its id; it is believed once.
    pub token_id: String,
    /// Its id must be remembered until then.
    pub remember_until: Timestamp,
    /// The other claims.
    pub claims: Map<String, Value>,
}

/// Why an assertion is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// As any token of ours would be.
    #[error(transparent)]
    Token(#[from] TokenRefusal),
    /// It is about nobody, or about another.
    #[error("the subject of the assertion is not accepted")]
    WrongSubject,
    /// Without an id it cannot be believed only once.
    #[error("the assertion has no usable jti")]
    NoTokenId,
}

#[derive(Deserialize)]
struct Claims {
    #[serde(default)]
    sub: String,
    #[serde(default)]
    jti: String,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// The issuer and the key that an assertion names, before anything about it is believed: only to find the keys with which
/// to check.
pub(crate) fn named_issuer(assertion: &str) -> Result<(String, Option<String>), Refusal> {
    let unverified = UnverifiedToken::parse(assertion)?;
    Ok((unverified.claimed_issuer()?, unverified.key_id().map(str::to_owned)))
}

/// Believes an assertion or says why not.
pub(crate) fn verify(assertion: &str, keys: &KeySet, rules: &Rules<'_>) -> Result<Assertion, Refusal> {
    let unverified = UnverifiedToken::parse(assertion)?;
    unverified.expect_type(&TYPES)?;
    let genuine = keys.verify(&unverified)?;
    let mut outcome = Err(TokenRefusal::WrongAudience);
    for audience in rules.audiences {
        outcome = genuine.claims::<Claims>(
            &Expected {
                issuer: rules.issuer,
                audience,
                max_age: rules.longest,
                skew: rules.skew,
            },
            rules.now,
        );
        if outcome != Err(TokenRefusal::WrongAudience) {
            break;
        }
    }
    let (claims, validity) = outcome?;
    if claims.sub.is_empty() || rules.subject.is_some_and(|only| only != claims.sub) {
        return Err(Refusal::WrongSubject);
    }
    if claims.jti.is_empty() || claims.jti.len() > TOKEN_ID_BYTES {
        return Err(Refusal::NoTokenId);
    }
    Ok(Assertion {
        subject: claims.sub,
        token_id: claims.jti,
        remember_until: validity.until.saturating_add(MAX_SKEW).unwrap_or(Timestamp::MAX),
        claims: claims.rest,
    })
}

impl PartialEq for Claims {
    fn eq(&self, other: &Self) -> bool {
        self.sub == other.sub && self.jti == other.jti && self.rest == other.rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
    use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, JwkSet};
    use jsonwebtoken::{Algorithm, EncodingKey, Header};
    use serde_json::json;

    const AUDIENCE: &str = "https://identity.example/oauth2/token";

    struct Signer {
        key: EncodingKey,
        algorithm: Algorithm,
        id: &'static str,
    }

    impl Signer {
        fn p256(id: &'static str) -> Self {
            let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
            let der = pair.to_pkcs8v1().unwrap();
            Self {
                key: EncodingKey::from_ec_der(der.as_ref()),
                algorithm: Algorithm::ES256,
                id,
            }
        }

        fn ed25519(id: &'static str) -> Self {
            let pair = Ed25519KeyPair::generate().unwrap();
            let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
            Self {
                key: EncodingKey::from_ed_der(der.as_ref()),
                algorithm: Algorithm::EdDSA,
                id,
            }
        }

        fn jwk(&self) -> Jwk {
            let mut jwk = Jwk::from_encoding_key(&self.key, self.algorithm).unwrap();
            jwk.common.key_id = Some(self.id.to_owned());
            jwk
        }

        fn keys(&self) -> KeySet {
            let set = JwkSet { keys: vec![self.jwk()] };
            KeySet::from_jwks(&set).unwrap()
        }

        fn sign(&self, claims: &Value) -> String {
            let mut header = Header::new(self.algorithm);
            header.kid = Some(self.id.to_owned());
            jsonwebtoken::encode(&header, claims, &self.key).unwrap()
        }
    }

    fn now() -> Timestamp {
        Timestamp::from_second(1_795_395_600).unwrap()
    }

    fn claims() -> Value {
        json!({
            "iss": "https://eid.example", "sub": "citizen-7", "aud": [AUDIENCE, "other"],
            "iat": now().as_second(), "exp": now().as_second() + 120, "jti": "j1", "acr": "substantial",
        })
    }

    fn with(change: &Value) -> Value {
        let mut claims = claims();
        for (name, value) in change.as_object().unwrap() {
            if value.is_null() {
                claims.as_object_mut().unwrap().remove(name);
            } else {
                claims[name] = value.clone();
            }
        }
        claims
    }

    fn check(assertion: &str, keys: &KeySet) -> Result<Assertion, Refusal> {
        let audiences = ["https://identity.example".to_owned(), AUDIENCE.to_owned()];
        let rules = Rules {
            issuer: "https://eid.example",
            subject: None,
            audiences: &audiences,
            now: now(),
            skew: SignedDuration::from_secs(30),
            longest: SignedDuration::from_mins(5),
        };
        verify(assertion, keys, &rules)
    }

    #[test]
    fn an_assertion_of_either_key_type_is_believed() {
        for signer in [Signer::p256("a"), Signer::ed25519("a")] {
            let believed = check(&signer.sign(&claims()), &signer.keys()).unwrap();
            assert_eq!(believed.subject, "citizen-7");
            assert_eq!(believed.token_id, "j1");
            assert_eq!(believed.claims.get("acr"), Some(&json!("substantial")));
            assert_eq!(believed.remember_until, now() + SignedDuration::from_secs(180));
        }
    }

    #[test]
    fn the_issuer_and_the_key_are_found_before_the_signature_is_checked() {
        let assertion = Signer::p256("a").sign(&claims());
        assert_eq!(
            named_issuer(&assertion),
            Ok(("https://eid.example".to_owned(), Some("a".to_owned())))
        );
        assert!(named_issuer("not a token").is_err());
    }

    #[test]
    fn each_wrong_claim_has_its_own_refusal() {
        let signer = Signer::p256("a");
        let second = now().as_second();
        for (change, refusal) in [
            (
                json!({"iss": "https://other.example"}),
                TokenRefusal::UnknownIssuer.into(),
            ),
            (json!({"sub": null}), Refusal::WrongSubject),
            (json!({"sub": ""}), Refusal::WrongSubject),
            (
                json!({"aud": "https://other.example"}),
                TokenRefusal::WrongAudience.into(),
            ),
            (json!({"exp": second - 30}), TokenRefusal::Expired.into()),
            (
                json!({"iat": second - 330, "exp": second + 3600}),
                TokenRefusal::Expired.into(),
            ),
            (json!({"nbf": second + 31}), TokenRefusal::NotYetValid.into()),
            (json!({"iat": second + 31}), TokenRefusal::NotYetValid.into()),
            (json!({"jti": null}), Refusal::NoTokenId),
            (json!({"jti": "x".repeat(256)}), Refusal::NoTokenId),
        ] {
            let outcome = check(&signer.sign(&with(&change)), &signer.keys());
            assert_eq!(outcome, Err(refusal), "{change}");
        }
        for malformed in [
            json!({"aud": null}),
            json!({"exp": null}),
            json!({"exp": "soon"}),
            json!({"iat": null, "exp": second + 3600}),
        ] {
            let outcome = check(&signer.sign(&with(&malformed)), &signer.keys());
            assert!(
                matches!(outcome, Err(Refusal::Token(TokenRefusal::Malformed(_)))),
                "{malformed}"
            );
        }
    }

    #[test]
    fn a_foreign_signature_and_an_unknown_key_are_refused() {
        let keys = Signer::p256("a").keys();
        let forged = check(&Signer::p256("a").sign(&claims()), &keys);
        assert_eq!(forged, Err(TokenRefusal::BadSignature.into()));
        let unknown = check(&Signer::p256("b").sign(&claims()), &keys);
        assert_eq!(unknown, Err(TokenRefusal::UnknownKey.into()));
    }

    #[test]
    fn the_algorithm_comes_from_the_key_and_never_from_the_token() {
        let signer = Signer::p256("a");
        let AlgorithmParameters::EllipticCurve(point) = signer.jwk().algorithm else {
            panic!("an elliptic-curve key");
        };
        // HMAC with the public key as its secret.
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some("a".to_owned());
        let secret = EncodingKey::from_secret(point.x.as_bytes());
        let confused = jsonwebtoken::encode(&header, &claims(), &secret).unwrap();
        // A key of another type under the same id.
        let edwards = Signer::ed25519("a").sign(&claims());
        // No algorithm at all.
        let signed = signer.sign(&claims());
        let body = signed.split('.').nth(1).unwrap();
        let none = format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIiwia2lkIjoiYSJ9.{body}.");
        for assertion in [confused, edwards, none] {
            assert_eq!(
                check(&assertion, &signer.keys()),
                Err(TokenRefusal::BadAlgorithm.into())
            );
        }
    }

    #[test]
    fn an_access_token_is_no_assertion() {
        let signer = Signer::p256("a");
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some("a".to_owned());
        header.typ = Some("at+jwt".to_owned());
        let access = jsonwebtoken::encode(&header, &claims(), &signer.key).unwrap();
        assert_eq!(check(&access, &signer.keys()), Err(TokenRefusal::WrongType.into()));
    }
}
