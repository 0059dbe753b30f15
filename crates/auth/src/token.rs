//! The form of a signed token (JWS, RFC 7515, compact serialisation) and the checks that any of ours must pass,
//! whatever its claims: algorithm, type, key, signature, issuer, audience, times.
//!
//! `jsonwebtoken` does the cryptography and reads keys. Everything that a token *says* is checked here, by our clock,
//! in a fixed order, because the defaults of libraries are where such checks get lost.

use std::collections::HashMap;

use aws_lc_rs::digest;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyAlgorithm, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::TokenRefusal;

/// The longest token that is looked at. Ours are below 2 KiB; HTTP servers commonly stop at 8 or 16 KiB of headers.
pub const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// The most clock skew between issuer and verifier that is ever tolerated.
pub const MAX_SKEW: SignedDuration = SignedDuration::from_secs(60);

/// The signature algorithms that are accepted: this list and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SignatureAlgorithm {
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl SignatureAlgorithm {
    /// Every accepted algorithm.
    pub const ALL: [Self; 2] = [Self::Es256, Self::EdDsa];

    /// The name in a token's header (RFC 7518, RFC 8037).
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }

    fn from_header(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == name)
    }

    /// The same algorithm in `jsonwebtoken`.
    pub const fn to_jsonwebtoken(self) -> Algorithm {
        match self {
            Self::Es256 => Algorithm::ES256,
            Self::EdDsa => Algorithm::EdDSA,
        }
    }

    const fn key_algorithm(self) -> KeyAlgorithm {
        match self {
            Self::Es256 => KeyAlgorithm::ES256,
            Self::EdDsa => KeyAlgorithm::EdDSA,
        }
    }
}

/// One public key and the one algorithm that belongs to it.
#[derive(Clone)]
struct VerifyingKey {
    algorithm: SignatureAlgorithm,
    material: Vec<u8>,
    decoding: DecodingKey,
}

impl VerifyingKey {
    /// The key of a JWK, or why it is not one of ours.
    fn from_jwk(jwk: &Jwk) -> Result<Self, &'static str> {
        let (algorithm, material) = match &jwk.algorithm {
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
                let mut point = vec![4]; // SEC 1: an uncompressed point
                point.extend(coordinate(&key.x)?);
                point.extend(coordinate(&key.y)?);
                (SignatureAlgorithm::Es256, point)
            }
            AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
                (SignatureAlgorithm::EdDsa, coordinate(&key.x)?)
            }
            _ => return Err("not a P-256 or Ed25519 key"),
        };
        let common = &jwk.common;
        if common
            .key_algorithm
            .is_some_and(|named| named != algorithm.key_algorithm())
        {
            return Err("its alg is not the one of its curve");
        }
        if common
            .public_key_use
            .as_ref()
            .is_some_and(|usage| *usage != PublicKeyUse::Signature)
        {
            return Err("it is not for signatures");
        }
        if common
            .key_operations
            .as_ref()
            .is_some_and(|ops| !ops.contains(&KeyOperations::Verify))
        {
            return Err("it is not for verifying");
        }
        let decoding = match algorithm {
            SignatureAlgorithm::Es256 => DecodingKey::from_ec_der(&material),
            SignatureAlgorithm::EdDsa => DecodingKey::from_ed_der(&material),
        };
        Ok(Self {
            algorithm,
            material,
            decoding,
        })
    }

    fn is_on_curve(&self) -> bool {
        match self.algorithm {
            SignatureAlgorithm::Es256 => ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &self.material).is_ok(),
            SignatureAlgorithm::EdDsa => ParsedPublicKey::new(&ED25519, &self.material).is_ok(),
        }
    }

    /// `signature` is base64url, as in a token.
    fn verify(&self, message: &[u8], signature: &str) -> Result<(), TokenRefusal> {
        let algorithm = self.algorithm.to_jsonwebtoken();
        match jsonwebtoken::crypto::verify(signature, message, &self.decoding, algorithm) {
            Ok(true) => Ok(()),
            _ => Err(TokenRefusal::BadSignature),
        }
    }
}

fn coordinate(text: &str) -> Result<Vec<u8>, &'static str> {
    match URL_SAFE_NO_PAD.decode(text) {
        Ok(bytes) if bytes.len() == 32 => Ok(bytes),
        _ => Err("a coordinate is not 32 bytes in base64url"),
    }
}

impl PartialEq for VerifyingKey {
    fn eq(&self, other: &Self) -> bool {
        self.algorithm == other.algorithm && self.material == other.material
    }
}

/// The public keys of one issuer, by key id.
///
/// Keys that this platform does not accept (RSA, symmetric, other curves, for encryption, without an id) are left out:
/// a token that names one of them finds no key.
#[derive(Clone, PartialEq, Default)]
pub struct KeySet {
    keys: HashMap<String, VerifyingKey>,
}

/// Two keys of a set carry the same id, so that a token's key is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("two keys of the set carry the same id")]
pub struct AmbiguousKeys;

impl KeySet {
    /// The usable keys of a published set.
    pub fn from_jwks(set: &JwkSet) -> Result<Self, AmbiguousKeys> {
        let mut keys = HashMap::with_capacity(set.keys.len());
        for jwk in &set.keys {
            let Some(id) = jwk.common.key_id.as_deref().filter(|id| !id.is_empty()) else {
                tracing::debug!("a published key was left out: it has no id");
                continue;
            };
            match VerifyingKey::from_jwk(jwk) {
                Ok(key) => {
                    if keys.insert(id.to_owned(), key).is_some() {
                        return Err(AmbiguousKeys);
                    }
                }
                Err(why) => tracing::debug!(key_id = id, why, "a published key was left out"),
            }
        }
        Ok(Self { keys })
    }

    /// Whether each key is a point of its curve. A set is made by the form of its keys alone; whoever registers a key asks this as well,
    /// since no signature ever fits one that is not.
    pub fn all_on_curve(&self) -> bool {
        self.keys.values().all(VerifyingKey::is_on_curve)
    }

    /// A digest of the keys, the same whatever their order: SHA-256 in hexadecimal digits.
    pub fn digest(&self) -> String {
        let mut keys: Vec<_> = self.keys.iter().collect();
        keys.sort_unstable_by_key(|(id, _)| *id);
        let mut context = digest::Context::new(&digest::SHA256);
        for (id, key) in keys {
            for part in [id.as_bytes(), key.algorithm.as_str().as_bytes(), &key.material] {
                // With their lengths, so that no two sets read alike.
                context.update(&(part.len() as u64).to_be_bytes());
                context.update(part);
            }
        }
        hex::encode(context.finish())
    }

    /// Whether the set holds a key of this id.
    pub fn contains(&self, key_id: &str) -> bool {
        self.keys.contains_key(key_id)
    }

    /// How many usable keys there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is no usable key.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Checks the signature of `token`. The algorithm is the one of the key; the header's must be equal to it.
    pub fn verify(&self, token: &UnverifiedToken<'_>) -> Result<VerifiedToken, TokenRefusal> {
        let key = token
            .key_id()
            .and_then(|id| self.keys.get(id))
            .ok_or(TokenRefusal::UnknownKey)?;
        if key.algorithm != token.algorithm {
            return Err(TokenRefusal::BadAlgorithm);
        }
        key.verify(token.signed.as_bytes(), token.signature)?;
        Ok(VerifiedToken {
            payload: token.payload.clone(),
        })
    }

    /// Checks a signature over bytes that are not a token, such as a snapshot of the unit tree, with the algorithm of
    /// the key.
    ///
    /// Errors: [`TokenRefusal::UnknownKey`], [`TokenRefusal::BadSignature`].
    pub fn verify_bytes(&self, key_id: &str, message: &[u8], signature: &[u8]) -> Result<(), TokenRefusal> {
        let key = self.keys.get(key_id).ok_or(TokenRefusal::UnknownKey)?;
        key.verify(message, &URL_SAFE_NO_PAD.encode(signature))
    }
}

impl std::fmt::Debug for KeySet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.keys.keys()).finish()
    }
}

/// The digest of the usable keys of a published set: what an issuer announces when its keys change, and what
/// [`Verifier::expect_keys`](crate::Verifier::expect_keys) compares.
pub fn key_set_digest(set: &JwkSet) -> Result<String, AmbiguousKeys> {
    KeySet::from_jwks(set).map(|keys| keys.digest())
}

/// The parts of a header that we look at. Keys in the header (`jwk`, `jku`, `x5c`, `x5u`) are never looked at.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<serde_json::Value>,
}

/// A token taken apart; nothing in it may be believed yet.
pub struct UnverifiedToken<'a> {
    algorithm: SignatureAlgorithm,
    key_id: Option<String>,
    typ: Option<String>,
    signed: &'a str,
    payload: Vec<u8>,
    signature: &'a str,
}

impl<'a> UnverifiedToken<'a> {
    /// Takes a token apart: three parts, strict base64url, a JSON object as header, an algorithm from our list.
    ///
    /// Errors: [`TokenRefusal::Malformed`], [`TokenRefusal::BadAlgorithm`].
    pub fn parse(token: &'a str) -> Result<Self, TokenRefusal> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenRefusal::Malformed("it is longer than 8 KiB"));
        }
        let (signed, signature) = token
            .rsplit_once('.')
            .ok_or(TokenRefusal::Malformed("it does not have three parts"))?;
        let (header, payload) = signed
            .split_once('.')
            .ok_or(TokenRefusal::Malformed("it does not have three parts"))?;
        if payload.contains('.') {
            return Err(TokenRefusal::Malformed("it does not have three parts"));
        }
        let header: Header = object(
            &URL_SAFE_NO_PAD
                .decode(header)
                .map_err(|_| TokenRefusal::Malformed("its header is not base64url"))?,
        )
        .ok_or(TokenRefusal::Malformed("its header is not a JSON object with an alg"))?;
        if header.crit.is_some() {
            return Err(TokenRefusal::Malformed("its header makes extensions critical"));
        }
        let algorithm = SignatureAlgorithm::from_header(&header.alg).ok_or(TokenRefusal::BadAlgorithm)?;
        let payload = URL_SAFE_NO_PAD
            .decode(payload)
            .map_err(|_| TokenRefusal::Malformed("its payload is not base64url"))?;
        Ok(Self {
            algorithm,
            key_id: header.kid,
            typ: header.typ,
            signed,
            payload,
            signature,
        })
    }

    /// The key id that the header names.
    pub fn key_id(&self) -> Option<&str> {
        self.key_id.as_deref()
    }

    /// The issuer that the payload names, to look up whose keys to check with.
    pub fn claimed_issuer(&self) -> Result<String, TokenRefusal> {
        #[derive(Deserialize)]
        struct Peek {
            iss: String,
        }
        object::<Peek>(&self.payload)
            .map(|peek| peek.iss)
            .ok_or(TokenRefusal::Malformed("its payload is not a JSON object with an iss"))
    }

    /// Checks the `typ` of the header: one of `types`, where an empty string stands for "no `typ`". Case and the prefix
    /// `application/` do not matter (RFC 7515, section 4.1.9).
    pub fn expect_type(&self, types: &[&str]) -> Result<(), TokenRefusal> {
        let typ = self.typ.as_deref().unwrap_or_default().to_ascii_lowercase();
        let typ = typ.strip_prefix("application/").unwrap_or(&typ);
        if types.iter().any(|expected| expected.eq_ignore_ascii_case(typ)) {
            Ok(())
        } else {
            Err(TokenRefusal::WrongType)
        }
    }
}

/// A JSON object and nothing else: serde would also take an array for a struct.
fn object<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let is_object = bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
    is_object.then(|| serde_json::from_slice(bytes).ok()).flatten()
}

/// What a token must say beside its signature.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The exact `iss`.
    pub issuer: &'a str,
    /// A string that must be among `aud`.
    pub audience: &'a str,
    /// How long after its `iat` a token is accepted at most, whatever its `exp`; without an `iat`, how far ahead its
    /// `exp` may lie.
    pub max_age: SignedDuration,
    /// Tolerated clock skew; more than [`MAX_SKEW`] counts as [`MAX_SKEW`].
    pub skew: SignedDuration,
}

/// The period in which a token counts, skew not included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// From this instant on.
    pub from: Timestamp,
    /// Up to and without this instant.
    pub until: Timestamp,
}

impl Validity {
    /// Whether `now` lies within the period, widened by `skew` at both ends.
    pub fn check(&self, now: Timestamp, skew: SignedDuration) -> Result<(), TokenRefusal> {
        let skew = skew.clamp(SignedDuration::ZERO, MAX_SKEW);
        if now.duration_since(self.until) >= skew {
            Err(TokenRefusal::Expired)
        } else if self.from.duration_since(now) > skew {
            Err(TokenRefusal::NotYetValid)
        } else {
            Ok(())
        }
    }
}

/// A token whose signature is genuine. What it claims is to be checked by [`VerifiedToken::claims`].
#[derive(Debug)]
pub struct VerifiedToken {
    payload: Vec<u8>,
}

impl VerifiedToken {
    /// The signed bytes.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The claims, after issuer, audience and times were checked against `now`.
    ///
    /// `exp` is required. Errors: [`TokenRefusal::Malformed`], [`TokenRefusal::UnknownIssuer`],
    /// [`TokenRefusal::WrongAudience`], [`TokenRefusal::Expired`], [`TokenRefusal::NotYetValid`].
    pub fn claims<C: DeserializeOwned>(
        &self,
        expected: &Expected<'_>,
        now: Timestamp,
    ) -> Result<(C, Validity), TokenRefusal> {
        let registered: RegisteredClaims = object(&self.payload).ok_or(TokenRefusal::Malformed(
            "it lacks a registered claim, or one has a wrong form",
        ))?;
        if registered.iss != expected.issuer {
            return Err(TokenRefusal::UnknownIssuer);
        }
        if !registered.aud.contains(expected.audience) {
            return Err(TokenRefusal::WrongAudience);
        }
        let validity = registered.validity(expected, now)?;
        validity.check(now, expected.skew)?;
        let claims = object(&self.payload).ok_or(TokenRefusal::Malformed(
            "it lacks a claim of its profile, or one has a wrong form",
        ))?;
        Ok((claims, validity))
    }
}

/// The claims of RFC 7519 that every token is checked for.
#[derive(Deserialize)]
struct RegisteredClaims {
    iss: String,
    aud: Audience,
    exp: i64,
    nbf: Option<i64>,
    iat: Option<i64>,
}

impl RegisteredClaims {
    fn validity(&self, expected: &Expected<'_>, now: Timestamp) -> Result<Validity, TokenRefusal> {
        let until = instant(self.exp)?;
        let not_before = self.nbf.map(instant).transpose()?.unwrap_or(Timestamp::MIN);
        if let Some(issued) = self.iat.map(instant).transpose()? {
            let oldest = issued.checked_add(expected.max_age).unwrap_or(Timestamp::MAX);
            Ok(Validity {
                from: not_before.max(issued),
                until: until.min(oldest),
            })
        } else if until.duration_since(now) > expected.max_age.saturating_add(MAX_SKEW) {
            Err(TokenRefusal::Malformed("it has no iat and lives longer than accepted"))
        } else {
            Ok(Validity {
                from: not_before,
                until,
            })
        }
    }
}

/// A NumericDate of RFC 7519, in whole seconds.
pub(crate) fn instant(seconds: i64) -> Result<Timestamp, TokenRefusal> {
    Timestamp::from_second(seconds).map_err(|_| TokenRefusal::Malformed("a time is out of range"))
}

/// The `aud` of a token: one string or several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audience(Vec<String>);

impl Audience {
    /// The audience of one.
    pub fn one(audience: impl Into<String>) -> Self {
        Self(vec![audience.into()])
    }

    /// Whether `audience` is among them.
    pub fn contains(&self, audience: &str) -> bool {
        self.0.iter().any(|one| one == audience)
    }
}

impl From<&str> for Audience {
    fn from(audience: &str) -> Self {
        Self::one(audience)
    }
}

impl From<String> for Audience {
    fn from(audience: String) -> Self {
        Self::one(audience)
    }
}

impl From<Vec<String>> for Audience {
    fn from(audiences: Vec<String>) -> Self {
        Self(audiences)
    }
}

impl Serialize for Audience {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [one] => one.serialize(serializer),
            several => several.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Audience {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum OneOrSeveral {
            One(String),
            Several(Vec<String>),
        }
        Ok(match OneOrSeveral::deserialize(deserializer)? {
            OneOrSeveral::One(one) => Self(vec![one]),
            OneOrSeveral::Several(several) => Self(several),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jwks(text: &str) -> JwkSet {
        serde_json::from_str(text).unwrap()
    }

    /// RFC 8037, appendix A.2 (public key) and A.4 (signature).
    const RFC_8037_KEY: &str =
        r#"{"keys":[{"kid":"a","kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

    #[test]
    fn keys_that_we_do_not_accept_are_left_out() {
        let set = KeySet::from_jwks(&jwks(
            r#"{"keys":[
              {"kid":"oct","kty":"oct","k":"AAAA"},
              {"kid":"rsa","kty":"RSA","n":"AQAB","e":"AQAB"},
              {"kid":"p384","kty":"EC","crv":"P-384","x":"AA","y":"AA"},
              {"kid":"short","kty":"OKP","crv":"Ed25519","x":"AAAA"},
              {"kid":"enc","kty":"OKP","crv":"Ed25519","use":"enc","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
              {"kid":"ops","kty":"OKP","crv":"Ed25519","key_ops":["sign"],"x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
              {"kid":"alg","kty":"OKP","crv":"Ed25519","alg":"ES256","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
              {"kid":"future","kty":"AKP","alg":"ML-DSA-44","pub":"AAAA"},
              {"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
              {"kid":"good","kty":"OKP","crv":"Ed25519","use":"sig","alg":"EdDSA","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
            ]}"#,
        ))
        .unwrap();
        assert_eq!(set.len(), 1);
        assert!(set.contains("good"));
    }

    #[test]
    fn a_set_with_two_keys_of_one_id_is_refused() {
        let twice = jwks(RFC_8037_KEY).keys;
        let set = JwkSet {
            keys: [twice.clone(), twice].concat(),
        };
        assert_eq!(KeySet::from_jwks(&set).unwrap_err(), AmbiguousKeys);
    }

    #[test]
    fn the_digest_of_a_set_depends_on_its_keys_and_not_on_their_order() {
        let other = RFC_8037_KEY.replace(r#""kid":"a""#, r#""kid":"b""#);
        let (a, b) = (jwks(RFC_8037_KEY).keys, jwks(&other).keys);
        let digest = |keys: &[Vec<Jwk>]| key_set_digest(&JwkSet { keys: keys.concat() }).unwrap();
        assert_eq!(digest(&[a.clone(), b.clone()]), digest(&[b.clone(), a.clone()]));
        assert_ne!(digest(std::slice::from_ref(&a)), digest(std::slice::from_ref(&b)));
        assert_ne!(digest(&[a.clone(), b]), digest(&[a]));
    }

    #[test]
    fn the_eddsa_signature_of_rfc_8037_verifies() {
        // The RFC's header has no kid, so the signature is checked by the key alone.
        let set = KeySet::from_jwks(&jwks(RFC_8037_KEY)).unwrap();
        let token = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.\
                     hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
        let mut parsed = UnverifiedToken::parse(token).unwrap();
        assert_eq!(set.verify(&parsed).unwrap_err(), TokenRefusal::UnknownKey);
        parsed.key_id = Some("a".to_owned());
        assert_eq!(set.verify(&parsed).unwrap().payload(), b"Example of Ed25519 signing");
        parsed.algorithm = SignatureAlgorithm::Es256;
        assert_eq!(set.verify(&parsed).unwrap_err(), TokenRefusal::BadAlgorithm);
    }

    fn header(text: &str) -> String {
        format!("{}.e30.AAAA", URL_SAFE_NO_PAD.encode(text))
    }

    #[test]
    fn headers_with_duplicates_arrays_or_critical_extensions_are_refused() {
        for text in [
            r#"{"alg":"ES256","alg":"none"}"#,
            r#"{"alg":"ES256","kid":"a","kid":"b"}"#,
            r#"["ES256","a",null,null]"#,
            r#"{"alg":"ES256","crit":["b64"],"b64":false}"#,
            r#"{"alg":["ES256"]}"#,
            r#"{"kid":"a"}"#,
            r#"{"alg":"ES256"} {}"#,
            "",
        ] {
            assert!(
                matches!(UnverifiedToken::parse(&header(text)), Err(TokenRefusal::Malformed(_))),
                "{text}"
            );
        }
    }

    #[test]
    fn algorithms_outside_the_list_are_refused_whatever_their_spelling() {
        for name in [
            "none", "None", "", "HS256", "RS256", "PS256", "ES384", "ES512", "es256", "Ed25519 ",
        ] {
            let text = format!(r#"{{"alg":"{name}"}}"#);
            assert_eq!(
                UnverifiedToken::parse(&header(&text)).err(),
                Some(TokenRefusal::BadAlgorithm),
                "{name}"
            );
        }
    }

    #[test]
    fn the_type_is_compared_without_case_and_prefix() {
        let typed = |typ: &str| header(&format!(r#"{{"alg":"ES256","typ":"{typ}"}}"#));
        for typ in ["at+jwt", "AT+JWT", "application/at+jwt", "Application/AT+jwt"] {
            assert_eq!(
                UnverifiedToken::parse(&typed(typ)).unwrap().expect_type(&["at+jwt"]),
                Ok(())
            );
        }
        for typ in ["JWT", "", "application/", "at+jwt "] {
            assert_eq!(
                UnverifiedToken::parse(&typed(typ)).unwrap().expect_type(&["at+jwt"]),
                Err(TokenRefusal::WrongType)
            );
        }
        let untyped = header(r#"{"alg":"ES256"}"#);
        let untyped = UnverifiedToken::parse(&untyped).unwrap();
        assert_eq!(untyped.expect_type(&["at+jwt"]), Err(TokenRefusal::WrongType));
        assert_eq!(untyped.expect_type(&["jwt", ""]), Ok(()));
    }

    #[test]
    fn skew_is_bounded_by_a_minute() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let validity = Validity {
            from: at(1000),
            until: at(2000),
        };
        let hour = SignedDuration::from_hours(1);
        assert_eq!(validity.check(at(2059), hour), Ok(()));
        assert_eq!(validity.check(at(2060), hour), Err(TokenRefusal::Expired));
        assert_eq!(validity.check(at(940), hour), Ok(()));
        assert_eq!(validity.check(at(939), hour), Err(TokenRefusal::NotYetValid));
        assert_eq!(validity.check(at(2000), -hour), Err(TokenRefusal::Expired));
    }
}
