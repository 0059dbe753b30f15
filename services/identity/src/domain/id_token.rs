//! What an issuer says of a person: the ID token, checked by OpenID Connect Core 1.0, section 3.1.3.7.
//!
//! Other than tokens of this platform, ID tokens may be signed with RSA, because many issuers know nothing else. What is the same:
//! the algorithm follows from the **key** and must be among those that were registered for the issuer; keys inside a header are
//! never looked at; times are judged by our clock. A symmetric algorithm cannot even be named, so a public key is never taken for
//! a secret.

use std::collections::HashMap;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use egov_auth::Audience;
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyAlgorithm, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The longest ID token that is looked at.
const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// The longest `sub` (OpenID Connect Core 1.0, section 2), in characters of ASCII.
pub(crate) const SUBJECT_CHARACTERS: usize = 255;

/// Keys of a set beyond this many are not looked at: no issuer publishes so many.
const MOST_KEYS: usize = 100;

/// How an issuer may sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub(crate) enum SigningAlgorithm {
    /// ECDSA on P-256 with SHA-256.
    #[serde(rename = "ES256")]
    Es256,
    /// Ed25519.
    #[serde(rename = "EdDSA")]
    EdDsa,
    /// RSA PKCS #1 v1.5 with SHA-256.
    #[serde(rename = "RS256")]
    Rs256,
    /// RSA-PSS with SHA-256.
    #[serde(rename = "PS256")]
    Ps256,
}

impl SigningAlgorithm {
    /// Every algorithm that can be registered.
    pub(crate) const ALL: [Self; 4] = [Self::Es256, Self::EdDsa, Self::Rs256, Self::Ps256];

    /// The name in a header and in the database.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
        }
    }

    /// The algorithm of a name.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.as_str() == name)
    }

    const fn in_jsonwebtoken(self) -> (Algorithm, KeyAlgorithm) {
        match self {
            Self::Es256 => (Algorithm::ES256, KeyAlgorithm::ES256),
            Self::EdDsa => (Algorithm::EdDSA, KeyAlgorithm::EdDSA),
            Self::Rs256 => (Algorithm::RS256, KeyAlgorithm::RS256),
            Self::Ps256 => (Algorithm::PS256, KeyAlgorithm::PS256),
        }
    }

    /// The left half of the hash that belongs to the algorithm, base64url: `at_hash` of a token (section 3.1.3.6).
    fn half_hash(self, text: &str) -> String {
        let algorithm = match self {
            Self::EdDsa => &digest::SHA512,
            Self::Es256 | Self::Rs256 | Self::Ps256 => &digest::SHA256,
        };
        let hash = digest::digest(algorithm, text.as_bytes());
        let half = hash.as_ref().split_at(hash.as_ref().len() / 2).0;
        URL_SAFE_NO_PAD.encode(half)
    }
}

/// Why an ID token is not accepted: one row a check, in the order in which they are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdTokenRefusal {
    /// Not a signed token, or it lacks a claim that it must have.
    #[error("it is not an ID token, or lacks a claim that it must have")]
    Form,
    /// The header names another type of token.
    #[error("it is a token of another type")]
    Type,
    /// Not an algorithm that was registered for the issuer, or not the one of its key.
    #[error("it is signed with an algorithm that the issuer may not use")]
    Algorithm,
    /// The issuer publishes no such key.
    #[error("it names a key that the issuer does not publish")]
    Key,
    /// The signature is wrong.
    #[error("its signature is wrong")]
    Signature,
    /// Another issuer.
    #[error("it comes from another issuer")]
    Issuer,
    /// For another client, or for others too.
    #[error("it is for another client")]
    Audience,
    /// Another client asked for it.
    #[error("another client asked for it")]
    AuthorizedParty,
    /// Expired.
    #[error("it has expired")]
    Expired,
    /// Issued or valid in the future, or before the sign-in began.
    #[error("it was not issued during this sign-in")]
    IssuedAt,
    /// Another sign-in.
    #[error("it belongs to another sign-in")]
    Nonce,
    /// The person signed in at the issuer too long ago, or the issuer does not say when.
    #[error("the person signed in at the issuer too long ago, or the issuer does not say when")]
    AuthTime,
    /// The access token beside it is another one.
    #[error("it belongs to another access token")]
    AccessTokenHash,
    /// No usable name for the person.
    #[error("it names nobody, or by a name longer than 255 characters")]
    Subject,
}

impl IdTokenRefusal {
    /// Every refusal.
    pub const ALL: [Self; 14] = [
        Self::Form,
        Self::Type,
        Self::Algorithm,
        Self::Key,
        Self::Signature,
        Self::Issuer,
        Self::Audience,
        Self::AuthorizedParty,
        Self::Expired,
        Self::IssuedAt,
        Self::Nonce,
        Self::AuthTime,
        Self::AccessTokenHash,
        Self::Subject,
    ];

    /// The word for the check: the claim or the part of the header that it is about.
    pub const fn check(self) -> &'static str {
        match self {
            Self::Form => "form",
            Self::Type => "typ",
            Self::Algorithm => "alg",
            Self::Key => "kid",
            Self::Signature => "signature",
            Self::Issuer => "iss",
            Self::Audience => "aud",
            Self::AuthorizedParty => "azp",
            Self::Expired => "exp",
            Self::IssuedAt => "iat",
            Self::Nonce => "nonce",
            Self::AuthTime => "auth_time",
            Self::AccessTokenHash => "at_hash",
            Self::Subject => "sub",
        }
    }

    /// In Vietnamese.
    pub const fn vi(self) -> &'static str {
        match self {
            Self::Form => "không phải là mã định danh hợp lệ hoặc thiếu thông tin bắt buộc",
            Self::Type => "là mã thuộc loại khác",
            Self::Algorithm => "được ký bằng thuật toán mà bên cấp danh tính không được dùng",
            Self::Key => "được ký bằng khoá mà bên cấp danh tính không công bố",
            Self::Signature => "chữ ký không đúng",
            Self::Issuer => "do bên khác cấp",
            Self::Audience => "được cấp cho ứng dụng khác",
            Self::AuthorizedParty => "do ứng dụng khác yêu cầu",
            Self::Expired => "đã hết hạn",
            Self::IssuedAt => "không được cấp trong lần đăng nhập này",
            Self::Nonce => "thuộc về lần đăng nhập khác",
            Self::AuthTime => "người dùng đã đăng nhập tại bên cấp danh tính quá lâu, hoặc không rõ khi nào",
            Self::AccessTokenHash => "thuộc về mã truy cập khác",
            Self::Subject => "không nêu người dùng, hoặc tên dài hơn 255 ký tự",
        }
    }
}

/// One public key and the algorithms for which it can be used.
#[derive(Clone)]
struct IssuerKey {
    algorithms: Vec<SigningAlgorithm>,
    decoding: DecodingKey,
}

/// The keys that an issuer publishes, by their ids. Symmetric keys, keys for encryption and keys without an id are left out.
#[derive(Clone, Default)]
pub(crate) struct IssuerKeys(HashMap<String, IssuerKey>);

impl IssuerKeys {
    /// The usable keys of a published set. An id that occurs twice belongs to no key: which one is meant is not known.
    pub(crate) fn from_jwks(set: &JwkSet) -> Self {
        let mut keys = HashMap::new();
        let mut twice = Vec::new();
        for jwk in set.keys.iter().take(MOST_KEYS) {
            let Some(id) = jwk.common.key_id.clone().filter(|id| !id.is_empty()) else {
                continue;
            };
            let Some(key) = usable(jwk) else { continue };
            if keys.insert(id.clone(), key).is_some() {
                twice.push(id);
            }
        }
        for id in twice {
            keys.remove(&id);
        }
        Self(keys)
    }

    /// Whether a key of this id is published.
    pub(crate) fn contains(&self, key_id: &str) -> bool {
        self.0.contains_key(key_id)
    }
}

impl std::fmt::Debug for IssuerKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

fn usable(jwk: &Jwk) -> Option<IssuerKey> {
    let possible: &[SigningAlgorithm] = match &jwk.algorithm {
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => &[SigningAlgorithm::Es256],
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => &[SigningAlgorithm::EdDsa],
        AlgorithmParameters::RSA(_) => &[SigningAlgorithm::Rs256, SigningAlgorithm::Ps256],
        _ => return None,
    };
    let common = &jwk.common;
    let for_signatures = common
        .public_key_use
        .as_ref()
        .is_none_or(|usage| *usage == PublicKeyUse::Signature)
        && common
            .key_operations
            .as_ref()
            .is_none_or(|operations| operations.contains(&KeyOperations::Verify));
    if !for_signatures {
        return None;
    }
    let algorithms: Vec<_> = possible
        .iter()
        .copied()
        .filter(|one| {
            common
                .key_algorithm
                .is_none_or(|named| named == one.in_jsonwebtoken().1)
        })
        .collect();
    let decoding = DecodingKey::from_jwk(jwk).ok()?;
    (!algorithms.is_empty()).then_some(IssuerKey { algorithms, decoding })
}

/// The parts of a header that are looked at.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    crit: Option<serde_json::Value>,
}

/// An ID token taken apart; nothing in it may be believed yet.
pub(crate) struct Unverified<'a> {
    algorithm: SigningAlgorithm,
    key_id: String,
    signed: &'a str,
    payload: Vec<u8>,
    signature: &'a str,
}

impl<'a> Unverified<'a> {
    /// Takes a token apart: three parts, base64url, one of the allowed algorithms, a key id, the type of a token of this kind.
    pub(crate) fn parse(token: &'a str, allowed: &[SigningAlgorithm]) -> Result<Self, IdTokenRefusal> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(IdTokenRefusal::Form);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(IdTokenRefusal::Form)?;
        let (header, payload) = signed.split_once('.').ok_or(IdTokenRefusal::Form)?;
        if payload.contains('.') {
            return Err(IdTokenRefusal::Form);
        }
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| IdTokenRefusal::Form);
        let header: Header = object(&decode(header)?).ok_or(IdTokenRefusal::Form)?;
        if header.crit.is_some() {
            return Err(IdTokenRefusal::Form);
        }
        let typ = header.typ.unwrap_or_default().to_ascii_lowercase();
        if !matches!(typ.strip_prefix("application/").unwrap_or(&typ), "" | "jwt") {
            return Err(IdTokenRefusal::Type);
        }
        let algorithm = SigningAlgorithm::from_name(&header.alg)
            .filter(|named| allowed.contains(named))
            .ok_or(IdTokenRefusal::Algorithm)?;
        Ok(Self {
            algorithm,
            key_id: header.kid.ok_or(IdTokenRefusal::Key)?,
            signed,
            payload: decode(payload)?,
            signature,
        })
    }

    /// The key that it names.
    pub(crate) fn key_id(&self) -> &str {
        &self.key_id
    }

    /// Checks the signature, then everything that the token says.
    pub(crate) fn verify(&self, keys: &IssuerKeys, rules: &Rules<'_>) -> Result<Person, IdTokenRefusal> {
        let key = keys.0.get(&self.key_id).ok_or(IdTokenRefusal::Key)?;
        if !key.algorithms.contains(&self.algorithm) {
            return Err(IdTokenRefusal::Algorithm);
        }
        let (algorithm, _) = self.algorithm.in_jsonwebtoken();
        let genuine = jsonwebtoken::crypto::verify(self.signature, self.signed.as_bytes(), &key.decoding, algorithm);
        if !matches!(genuine, Ok(true)) {
            return Err(IdTokenRefusal::Signature);
        }
        let claims: Claims = object(&self.payload).ok_or(IdTokenRefusal::Form)?;
        judge(claims, self.algorithm, rules)
    }
}

/// A JSON object and nothing else: serde would also take an array for a struct.
fn object<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let is_object = bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
    is_object.then(|| serde_json::from_slice(bytes).ok()).flatten()
}

/// What an ID token must say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules<'a> {
    /// The exact `iss`.
    pub issuer: &'a str,
    /// The client id of this platform at the issuer.
    pub client_id: &'a str,
    /// The nonce of the sign-in.
    pub nonce: &'a str,
    /// The access token that came with it, if one did.
    pub access_token: Option<&'a str>,
    /// When the sign-in began.
    pub began: Timestamp,
    /// The present instant.
    pub now: Timestamp,
    /// How far the clocks may differ; more than a minute counts as a minute.
    pub skew: SignedDuration,
    /// How long ago the person may have signed in at the issuer; none asks for nothing.
    pub longest_auth_age: Option<SignedDuration>,
    /// Values of `acr` that prove a second factor.
    pub second_factor_acr: &'a [String],
    /// Values of `amr` that prove one.
    pub second_factor_amr: &'a [String],
}

/// The claims that are looked at.
#[derive(Clone, Debug, Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    azp: Option<String>,
    exp: i64,
    iat: i64,
    nbf: Option<i64>,
    nonce: Option<String>,
    auth_time: Option<i64>,
    at_hash: Option<String>,
    acr: Option<String>,
    #[serde(default)]
    amr: Vec<String>,
}

/// Whom the issuer means, as far as it is believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Person {
    /// What the issuer calls the person.
    pub subject: String,
    /// Whether the issuer proved a second factor, by the words that were registered for it.
    pub second_factor: bool,
}

/// Judges the claims of a token with a genuine signature.
fn judge(claims: Claims, algorithm: SigningAlgorithm, rules: &Rules<'_>) -> Result<Person, IdTokenRefusal> {
    if claims.iss != rules.issuer {
        return Err(IdTokenRefusal::Issuer);
    }
    // No other audience is trusted here, so the token must be for us alone (section 3.1.3.7, number 3).
    if claims.aud != Audience::one(rules.client_id) && claims.aud != vec![rules.client_id.to_owned()].into() {
        return Err(IdTokenRefusal::Audience);
    }
    if claims.azp.is_some_and(|party| party != rules.client_id) {
        return Err(IdTokenRefusal::AuthorizedParty);
    }
    let skew = rules.skew.clamp(SignedDuration::ZERO, SignedDuration::from_mins(1));
    let instant = |seconds| Timestamp::from_second(seconds).map_err(|_| IdTokenRefusal::Form);
    let (expiry, issued) = (instant(claims.exp)?, instant(claims.iat)?);
    if rules.now.duration_since(expiry) >= skew {
        return Err(IdTokenRefusal::Expired);
    }
    let not_before = claims.nbf.map(instant).transpose()?.unwrap_or(issued);
    // Times in tokens are whole seconds: one of the second in which the sign-in began is not older than it.
    let began = instant(rules.began.as_second())?;
    if issued.duration_since(rules.now) > skew
        || not_before.duration_since(rules.now) > skew
        || began.duration_since(issued) > skew
    {
        return Err(IdTokenRefusal::IssuedAt);
    }
    if claims.nonce.as_deref() != Some(rules.nonce) {
        return Err(IdTokenRefusal::Nonce);
    }
    if let Some(longest) = rules.longest_auth_age {
        let signed_in = claims
            .auth_time
            .and_then(|seconds| instant(seconds).ok())
            .ok_or(IdTokenRefusal::AuthTime)?;
        let age = rules.now.duration_since(signed_in);
        if age > longest.saturating_add(skew) || age < -skew {
            return Err(IdTokenRefusal::AuthTime);
        }
    }
    if let Some(hash) = &claims.at_hash
        && rules.access_token.map(|token| algorithm.half_hash(token)).as_ref() != Some(hash)
    {
        return Err(IdTokenRefusal::AccessTokenHash);
    }
    if !is_subject(&claims.sub) {
        return Err(IdTokenRefusal::Subject);
    }
    let second_factor = claims.acr.is_some_and(|word| rules.second_factor_acr.contains(&word))
        || claims.amr.iter().any(|word| rules.second_factor_amr.contains(word));
    Ok(Person {
        subject: claims.sub,
        second_factor,
    })
}

/// Whether a text can be what an issuer calls somebody: up to 255 characters of ASCII.
pub(crate) fn is_subject(text: &str) -> bool {
    !text.is_empty() && text.len() <= SUBJECT_CHARACTERS && text.is_ascii()
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
    use aws_lc_rs::rsa::KeySize;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RsaKeyPair};
    use jsonwebtoken::{EncodingKey, Header as JwtHeader};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    const ISSUER: &str = "https://sso.example";
    const NOW: i64 = 1_795_395_600;

    fn key(algorithm: Algorithm) -> EncodingKey {
        match algorithm {
            Algorithm::ES256 => {
                let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
                EncodingKey::from_ec_der(pair.to_pkcs8v1().unwrap().as_ref())
            }
            Algorithm::EdDSA => {
                let pair = Ed25519KeyPair::generate().unwrap();
                let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
                EncodingKey::from_ed_der(der.as_ref())
            }
            _ => {
                let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
                let der: aws_lc_rs::encoding::Pkcs8V1Der<'_> = pair.as_der().unwrap();
                let pem = format!(
                    "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
                    base64::engine::general_purpose::STANDARD.encode(der.as_ref())
                );
                EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap()
            }
        }
    }

    fn jwk(key: &EncodingKey, algorithm: Algorithm, id: &str) -> Jwk {
        let mut jwk = Jwk::from_encoding_key(key, algorithm).unwrap();
        jwk.common.key_id = Some(id.to_owned());
        jwk
    }

    fn sign(key: &EncodingKey, algorithm: Algorithm, id: &str, claims: &Value) -> String {
        let mut header = JwtHeader::new(algorithm);
        header.kid = Some(id.to_owned());
        jsonwebtoken::encode(&header, claims, key).unwrap()
    }

    fn claims() -> Value {
        json!({
            "iss": ISSUER, "sub": "staff-7", "aud": "egov", "iat": NOW, "exp": NOW + 300, "nonce": "n",
        })
    }

    fn rules<'a>() -> Rules<'a> {
        Rules {
            issuer: ISSUER,
            client_id: "egov",
            nonce: "n",
            access_token: None,
            began: Timestamp::from_second(NOW - 60).unwrap(),
            now: Timestamp::from_second(NOW).unwrap(),
            skew: SignedDuration::from_secs(30),
            longest_auth_age: None,
            second_factor_acr: &[],
            second_factor_amr: &[],
        }
    }

    fn check(token: &str, keys: &IssuerKeys) -> Result<Person, IdTokenRefusal> {
        Unverified::parse(token, &SigningAlgorithm::ALL)?.verify(keys, &rules())
    }

    fn judged(claims: &Value, rules: &Rules<'_>) -> Result<Person, IdTokenRefusal> {
        let claims: Claims = serde_json::from_value(claims.clone()).map_err(|_| IdTokenRefusal::Form)?;
        judge(claims, SigningAlgorithm::Es256, rules)
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

    #[test]
    fn every_registrable_algorithm_verifies_with_its_key_and_with_no_other() {
        let kinds = [Algorithm::ES256, Algorithm::EdDSA, Algorithm::RS256, Algorithm::PS256];
        let keys: Vec<_> = kinds.iter().map(|&kind| key(kind)).collect();
        let set = JwkSet {
            keys: std::iter::zip(&keys, kinds)
                .enumerate()
                .map(|(at, (key, kind))| jwk(key, kind, &at.to_string()))
                .collect(),
        };
        let published = IssuerKeys::from_jwks(&set);
        for (at, (key, kind)) in std::iter::zip(&keys, kinds).enumerate() {
            let token = sign(key, kind, &at.to_string(), &claims());
            assert_eq!(check(&token, &published).unwrap().subject, "staff-7", "{kind:?}");
            // Under the id of another key.
            let other = sign(key, kind, &((at + 1) % 4).to_string(), &claims());
            assert!(check(&other, &published).is_err(), "{kind:?}");
            let unknown = sign(key, kind, "9", &claims());
            assert_eq!(check(&unknown, &published), Err(IdTokenRefusal::Key));
            // The issuer was registered with other algorithms.
            let others: Vec<_> = SigningAlgorithm::ALL
                .into_iter()
                .filter(|one| one.in_jsonwebtoken().0 != kind)
                .collect();
            assert_eq!(
                Unverified::parse(&token, &others).err(),
                Some(IdTokenRefusal::Algorithm)
            );
            let mut broken = token.into_bytes();
            let last = broken.len() - 10;
            broken[last] = if broken[last] == b'A' { b'B' } else { b'A' };
            let broken = String::from_utf8(broken).unwrap();
            assert_eq!(check(&broken, &published), Err(IdTokenRefusal::Signature));
        }
    }

    #[test]
    fn neither_none_nor_a_public_key_as_a_secret_nor_another_type_passes() {
        let signer = key(Algorithm::ES256);
        let public = jwk(&signer, Algorithm::ES256, "a");
        let published = IssuerKeys::from_jwks(&JwkSet {
            keys: vec![public.clone()],
        });
        let body = URL_SAFE_NO_PAD.encode(claims().to_string());
        let head = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let none = format!("{}.{body}.", head(r#"{"alg":"none","kid":"a"}"#));
        assert_eq!(check(&none, &published), Err(IdTokenRefusal::Algorithm));
        let AlgorithmParameters::EllipticCurve(point) = &public.algorithm else {
            panic!("an elliptic-curve key");
        };
        let confused = sign(
            &EncodingKey::from_secret(point.x.as_bytes()),
            Algorithm::HS256,
            "a",
            &claims(),
        );
        assert_eq!(check(&confused, &published), Err(IdTokenRefusal::Algorithm));
        for (header, refusal) in [
            (r#"{"alg":"ES256","kid":"a","typ":"at+jwt"}"#, IdTokenRefusal::Type),
            (r#"{"alg":"ES256","kid":"a","typ":"logout+jwt"}"#, IdTokenRefusal::Type),
            (r#"{"alg":"ES256","kid":"a","crit":["b64"]}"#, IdTokenRefusal::Form),
            (r#"{"alg":"ES256","alg":"none","kid":"a"}"#, IdTokenRefusal::Form),
            (r#"{"alg":"ES256"}"#, IdTokenRefusal::Key),
            (r#"["ES256","a",null,null]"#, IdTokenRefusal::Form),
        ] {
            let token = format!("{}.{body}.AAAA", head(header));
            assert_eq!(check(&token, &published), Err(refusal), "{header}");
        }
        // A header that brings its own key is checked with the published one all the same.
        let own = key(Algorithm::ES256);
        let mut header = JwtHeader::new(Algorithm::ES256);
        header.kid = Some("a".to_owned());
        header.jwk = Some(jwk(&own, Algorithm::ES256, "a"));
        let token = jsonwebtoken::encode(&header, &claims(), &own).unwrap();
        assert_eq!(check(&token, &published), Err(IdTokenRefusal::Signature));
    }

    #[test]
    fn keys_that_are_not_for_signatures_or_share_an_id_are_left_out() {
        let signer = key(Algorithm::ES256);
        let good = jwk(&signer, Algorithm::ES256, "a");
        let mut encryption = good.clone();
        encryption.common.public_key_use = Some(PublicKeyUse::Encryption);
        let mut other = good.clone();
        other.common.key_algorithm = Some(KeyAlgorithm::ES384);
        let symmetric: Jwk = serde_json::from_value(json!({"kty": "oct", "k": "AAAA", "kid": "a"})).unwrap();
        for bad in [encryption, other, symmetric] {
            assert!(!IssuerKeys::from_jwks(&JwkSet { keys: vec![bad] }).contains("a"));
        }
        let twice = JwkSet {
            keys: vec![good.clone(), good.clone()],
        };
        assert!(!IssuerKeys::from_jwks(&twice).contains("a"));
        assert!(IssuerKeys::from_jwks(&JwkSet { keys: vec![good] }).contains("a"));
    }

    #[test]
    fn each_claim_is_checked() {
        for (change, refusal) in [
            (json!({"iss": "https://sso.example/"}), IdTokenRefusal::Issuer),
            (json!({"aud": "other"}), IdTokenRefusal::Audience),
            (json!({"aud": ["egov", "other"]}), IdTokenRefusal::Audience),
            (json!({"aud": []}), IdTokenRefusal::Audience),
            (json!({"azp": "other"}), IdTokenRefusal::AuthorizedParty),
            (json!({"exp": NOW - 30}), IdTokenRefusal::Expired),
            (json!({"iat": NOW + 31}), IdTokenRefusal::IssuedAt),
            (json!({"iat": NOW - 91}), IdTokenRefusal::IssuedAt),
            (json!({"nbf": NOW + 31}), IdTokenRefusal::IssuedAt),
            (json!({"nonce": "m"}), IdTokenRefusal::Nonce),
            (json!({"nonce": null}), IdTokenRefusal::Nonce),
            (json!({"at_hash": "AAAA"}), IdTokenRefusal::AccessTokenHash),
            (json!({"sub": ""}), IdTokenRefusal::Subject),
            (json!({"sub": "a".repeat(256)}), IdTokenRefusal::Subject),
            (json!({"sub": "ân"}), IdTokenRefusal::Subject),
            (json!({"exp": null}), IdTokenRefusal::Form),
            (json!({"iat": "now"}), IdTokenRefusal::Form),
        ] {
            assert_eq!(judged(&with(&change), &rules()), Err(refusal), "{change}");
        }
        for fine in [
            json!({}),
            json!({"aud": ["egov"], "azp": "egov"}),
            json!({"exp": NOW - 29}),
            json!({"iat": NOW - 90}),
            json!({"sub": "a".repeat(255)}),
        ] {
            assert!(judged(&with(&fine), &rules()).is_ok(), "{fine}");
        }
    }

    #[test]
    fn the_hash_of_the_access_token_is_that_of_the_specification() {
        // OpenID Connect Core 1.0, appendix A.3.
        assert_eq!(
            SigningAlgorithm::Rs256.half_hash("jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y"),
            "77QmUPtjPfzWtF2AnpK9RQ"
        );
        let token = with(&json!({"at_hash": SigningAlgorithm::Es256.half_hash("opaque")}));
        let beside = |access_token| Rules {
            access_token,
            ..rules()
        };
        assert!(judged(&token, &beside(Some("opaque"))).is_ok());
        assert_eq!(
            judged(&token, &beside(Some("another"))),
            Err(IdTokenRefusal::AccessTokenHash)
        );
        assert_eq!(judged(&token, &beside(None)), Err(IdTokenRefusal::AccessTokenHash));
    }

    #[test]
    fn only_registered_words_prove_a_second_factor() {
        let (acr, amr) = (vec!["gold".to_owned()], vec!["otp".to_owned(), "hwk".to_owned()]);
        let registered = Rules {
            second_factor_acr: &acr,
            second_factor_amr: &amr,
            ..rules()
        };
        for (change, proved) in [
            (json!({}), false),
            (json!({"acr": "gold"}), true),
            (json!({"acr": "silver", "amr": ["pwd"]}), false),
            (json!({"amr": ["pwd", "otp"]}), true),
            (json!({"acr": "otp", "amr": ["gold"]}), false),
        ] {
            let person = judged(&with(&change), &registered).unwrap();
            assert_eq!(person.second_factor, proved, "{change}");
            // With nothing registered nothing proves it.
            assert!(!judged(&with(&change), &rules()).unwrap().second_factor);
        }
    }

    proptest! {
        #[test]
        fn times_are_judged_as_the_plain_reading_says(
            exp in -200_i64..200, iat in -200_i64..200, nbf in proptest::option::of(-200_i64..200),
            auth in proptest::option::of(-2000_i64..200), age in proptest::option::of(1_i64..1500),
            skew in 0_i64..120, began in -150_i64..=0,
        ) {
            let mut claims = with(&json!({"exp": NOW + exp, "iat": NOW + iat}));
            if let Some(nbf) = nbf { claims["nbf"] = json!(NOW + nbf); }
            if let Some(auth) = auth { claims["auth_time"] = json!(NOW + auth); }
            let rules = Rules {
                began: Timestamp::from_second(NOW + began).unwrap(),
                skew: SignedDuration::from_secs(skew),
                longest_auth_age: age.map(SignedDuration::from_secs),
                ..rules()
            };
            let skew = skew.min(60);
            let current = -exp < skew;
            let during = iat <= skew && iat >= began - skew && nbf.is_none_or(|nbf| nbf <= skew);
            let recent = age.is_none_or(|age| auth.is_some_and(|auth| auth <= skew && -auth <= age + skew));
            prop_assert_eq!(judged(&claims, &rules).is_ok(), current && during && recent);
        }

        #[test]
        fn a_token_of_another_sign_in_client_or_issuer_never_passes(
            nonce in "[a-z]{1,3}", audience in "[a-z]{1,5}", issuer in "https://[a-z]{3}\\.example/?",
        ) {
            let claims = with(&json!({"nonce": nonce, "aud": audience, "iss": issuer}));
            let same = nonce == "n" && audience == "egov" && issuer == ISSUER;
            prop_assert_eq!(judged(&claims, &rules()).is_ok(), same);
        }

        #[test]
        fn whatever_is_sent_is_refused_or_judged_and_never_panics(text in "\\PC{0,60}", dots in 0_usize..5) {
            let token = vec![text; dots + 1].join(".");
            prop_assert!(check(&token, &IssuerKeys::default()).is_err());
        }
    }
}
