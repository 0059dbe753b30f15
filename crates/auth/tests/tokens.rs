//! Every way in which a token can be wrong, against a verifier with one ES256 and one EdDSA key.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests fail loudly"
)]

mod support;

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use egov_auth::{
    ActorClaim, Assurance, CallerKind, Issuer, StaticKeySource, TokenClaims, TokenRefusal, Verifier, VerifierConfig,
};
use egov_clock::{Clock as _, ManualClock};
use jiff::SignedDuration;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};
use support::{AUDIENCE, ISSUER, TestKey, jwks, staff};
use uuid::Uuid;

struct Setting {
    clock: ManualClock,
    es256: TestKey,
    eddsa: TestKey,
    verifier: Verifier,
}

impl Setting {
    fn new() -> Self {
        let clock = support::clock();
        let (es256, eddsa) = (TestKey::es256("es"), TestKey::eddsa("ed"));
        let source = Arc::new(StaticKeySource::new(jwks(&[&es256, &eddsa])));
        let verifier = Verifier::new(
            vec![Issuer::new(ISSUER, AUDIENCE, source)],
            clock.shared(),
            VerifierConfig::default(),
        );
        Self {
            clock,
            es256,
            eddsa,
            verifier,
        }
    }

    fn claims(&self) -> TokenClaims {
        staff(&self.clock, &[("one_stop_clerk", 12)])
    }

    fn claims_json(&self) -> Value {
        serde_json::to_value(self.claims()).unwrap()
    }

    /// A token like a good one, except for one claim.
    fn with_claim(&self, name: &str, value: Value) -> String {
        let mut claims = self.claims_json();
        claims[name] = value;
        self.es256.sign_as(&self.es256.header(), &claims)
    }

    /// A token like a good one, except for one header parameter.
    fn with_header(&self, name: &str, value: Value) -> String {
        let mut header = self.es256.header();
        header[name] = value;
        self.es256.sign_as(&header, &self.claims_json())
    }

    async fn refusal(&self, token: &str) -> TokenRefusal {
        self.verifier
            .verify(token)
            .await
            .expect_err("the token must be refused")
    }

    async fn assert_malformed(&self, token: &str) {
        let refusal = self.refusal(token).await;
        assert!(matches!(refusal, TokenRefusal::Malformed(_)), "{refusal:?} for {token}");
    }
}

#[tokio::test]
async fn a_genuine_token_of_either_algorithm_makes_its_bearer_known() {
    let setting = Setting::new();
    for key in [&setting.es256, &setting.eddsa] {
        let principal = setting.verifier.verify(&key.sign(&setting.claims())).await.unwrap();
        assert_eq!(principal.kind, CallerKind::Staff);
        assert_eq!(principal.issuer, ISSUER);
        assert_eq!(
            (principal.roles[0].role.as_str(), principal.roles[0].unit),
            ("one_stop_clerk", 12)
        );
        assert_eq!(principal.expires_at.as_second(), setting.clock.now().as_second() + 300);
    }
}

#[tokio::test]
async fn a_system_for_a_citizen_is_known_with_the_citizen() {
    let setting = Setting::new();
    let (system, citizen) = (Uuid::from_u128(9), Uuid::from_u128(8));
    let claims = TokenClaims {
        kind: CallerKind::System,
        sub: citizen,
        act: Some(ActorClaim { sub: system }),
        acr: Assurance::Substantial,
        ..setting.claims()
    };
    let principal = setting.verifier.verify(&setting.es256.sign(&claims)).await.unwrap();
    assert_eq!(principal.subject, system);
    assert_eq!(principal.citizen(), Some((citizen, Assurance::Substantial)));
}

#[tokio::test]
async fn a_forged_signature_is_refused() {
    let setting = Setting::new();
    let forger = TestKey::es256("es");
    assert_eq!(
        setting.refusal(&forger.sign(&setting.claims())).await,
        TokenRefusal::BadSignature,
        "another key under the same id"
    );

    let token = setting.es256.sign(&setting.claims());
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let mut bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
    bytes[10] ^= 1;
    let flipped = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(&bytes));
    assert_eq!(setting.refusal(&flipped).await, TokenRefusal::BadSignature);

    let (header, _) = signed.split_once('.').unwrap();
    let other = TokenClaims {
        sub: Uuid::from_u128(2),
        ..setting.claims()
    };
    let payload = URL_SAFE_NO_PAD.encode(serde_json::to_string(&other).unwrap());
    assert_eq!(
        setting.refusal(&format!("{header}.{payload}.{signature}")).await,
        TokenRefusal::BadSignature,
        "the signature of another payload"
    );
    assert_eq!(setting.refusal(&format!("{signed}.")).await, TokenRefusal::BadSignature);
}

#[tokio::test]
async fn an_expired_token_is_refused_also_when_it_was_good_before() {
    let setting = Setting::new();
    let token = setting.es256.sign(&setting.claims());
    setting.verifier.verify(&token).await.unwrap();
    setting.clock.advance(SignedDuration::from_secs(300 + 29));
    setting
        .verifier
        .verify(&token)
        .await
        .expect("30 s of skew are tolerated");
    setting.clock.advance(SignedDuration::from_secs(1));
    assert_eq!(setting.refusal(&token).await, TokenRefusal::Expired);
    let now = setting.clock.now().as_second();
    assert_eq!(
        setting.refusal(&setting.with_claim("exp", json!(now - 31))).await,
        TokenRefusal::Expired
    );
}

#[tokio::test]
async fn a_token_counts_for_five_minutes_from_its_issue_whatever_its_exp() {
    let setting = Setting::new();
    let now = setting.clock.now().as_second();
    let long = TokenClaims {
        exp: now + 86_400,
        ..setting.claims()
    };
    let token = setting.es256.sign(&long);
    let principal = setting.verifier.verify(&token).await.unwrap();
    assert_eq!(principal.expires_at.as_second(), now + 300);
    setting.clock.advance(SignedDuration::from_secs(331));
    assert_eq!(setting.refusal(&token).await, TokenRefusal::Expired);
}

#[tokio::test]
async fn a_token_that_is_not_yet_valid_is_refused() {
    let setting = Setting::new();
    let now = setting.clock.now().as_second();
    for claim in ["nbf", "iat"] {
        let early = setting.with_claim(claim, json!(now + 31));
        assert_eq!(setting.refusal(&early).await, TokenRefusal::NotYetValid, "{claim}");
        let tolerated = setting.with_claim(claim, json!(now + 30));
        setting.verifier.verify(&tolerated).await.unwrap();
    }
}

#[tokio::test]
async fn a_token_for_another_audience_is_refused() {
    let setting = Setting::new();
    for audience in [
        json!("other"),
        json!(["other", "egov2"]),
        json!([]),
        json!(""),
        json!("EGOV"),
    ] {
        let token = setting.with_claim("aud", audience.clone());
        assert_eq!(setting.refusal(&token).await, TokenRefusal::WrongAudience, "{audience}");
    }
    let several = setting.with_claim("aud", json!(["other", AUDIENCE]));
    setting.verifier.verify(&several).await.unwrap();
}

#[tokio::test]
async fn a_token_of_another_issuer_is_refused() {
    let setting = Setting::new();
    for issuer in ["https://identity.example/", "https://evil.example", ""] {
        let token = setting.with_claim("iss", json!(issuer));
        assert_eq!(setting.refusal(&token).await, TokenRefusal::UnknownIssuer, "{issuer}");
    }
}

#[tokio::test]
async fn an_issuer_makes_known_only_the_kinds_it_is_trusted_for() {
    let clock = support::clock();
    let key = TestKey::es256("es");
    let source = Arc::new(StaticKeySource::new(jwks(&[&key])));
    let issuer = Issuer::new(ISSUER, AUDIENCE, source).trusted_for(vec![CallerKind::Citizen]);
    let verifier = Verifier::new(vec![issuer], clock.shared(), VerifierConfig::default());
    let citizen = support::citizen(&clock, Uuid::from_u128(5), Assurance::Substantial);
    assert!(verifier.verify(&key.sign(&citizen)).await.is_ok());
    assert_eq!(
        verifier.verify(&key.sign(&staff(&clock, &[]))).await.unwrap_err(),
        TokenRefusal::UnknownIssuer
    );
}

#[tokio::test]
async fn the_keys_of_one_issuer_do_not_count_for_another() {
    let clock = support::clock();
    let (ours, theirs) = (TestKey::es256("k1"), TestKey::es256("k2"));
    let issuer = |name: &str, key| Issuer::new(name, AUDIENCE, Arc::new(StaticKeySource::new(jwks(&[key]))));
    let verifier = Verifier::new(
        vec![issuer(ISSUER, &ours), issuer("https://other.example", &theirs)],
        clock.shared(),
        VerifierConfig::default(),
    );
    assert_eq!(
        verifier.verify(&theirs.sign(&staff(&clock, &[]))).await.unwrap_err(),
        TokenRefusal::UnknownKey
    );
    let claims = TokenClaims {
        iss: "https://other.example".to_owned(),
        ..staff(&clock, &[])
    };
    assert!(verifier.verify(&theirs.sign(&claims)).await.is_ok());
}

#[tokio::test]
async fn unsigned_tokens_are_refused() {
    let setting = Setting::new();
    for alg in ["none", "None", "NONE", "nOnE"] {
        let signed_as_none = setting.with_header("alg", json!(alg));
        assert_eq!(setting.refusal(&signed_as_none).await, TokenRefusal::BadAlgorithm);
        let (signed, _) = signed_as_none.rsplit_once('.').unwrap();
        assert_eq!(setting.refusal(&format!("{signed}.")).await, TokenRefusal::BadAlgorithm);
    }
}

#[tokio::test]
async fn the_public_key_as_a_symmetric_secret_opens_nothing() {
    let setting = Setting::new();
    for key in [&setting.es256, &setting.eddsa] {
        let jwk = serde_json::to_value(key.jwk()).unwrap();
        let coordinate = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap_or_default()).unwrap();
        let raw = [coordinate("x"), coordinate("y")].concat();
        let point = [&[4][..], &raw].concat();
        let pem = format!(
            "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
            STANDARD.encode(&point)
        );
        for secret in [raw, point, jwk.to_string().into_bytes(), pem.into_bytes(), Vec::new()] {
            for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
                let mut header = TokenClaims::header(key.algorithm, key.id.clone());
                header.alg = algorithm;
                let confused =
                    jsonwebtoken::encode(&header, &setting.claims(), &EncodingKey::from_secret(&secret)).unwrap();
                assert_eq!(setting.refusal(&confused).await, TokenRefusal::BadAlgorithm);
            }
        }
    }
}

#[tokio::test]
async fn the_algorithm_is_the_one_of_the_key_whatever_the_header_says() {
    let setting = Setting::new();
    for name in ["RS256", "PS256", "ES384", "ES512", "HS256", "es256", "Ed25519"] {
        let token = setting.with_header("alg", json!(name));
        assert_eq!(setting.refusal(&token).await, TokenRefusal::BadAlgorithm, "{name}");
    }
    // Both are on our list, but each belongs to the other key.
    let swapped = setting.with_header("alg", json!("EdDSA"));
    assert_eq!(setting.refusal(&swapped).await, TokenRefusal::BadAlgorithm);
    let swapped = setting.with_header("kid", json!("ed"));
    assert_eq!(setting.refusal(&swapped).await, TokenRefusal::BadAlgorithm);
}

#[tokio::test]
async fn a_key_that_its_issuer_does_not_publish_is_refused() {
    let setting = Setting::new();
    let unknown = TestKey::es256("other");
    assert_eq!(
        setting.refusal(&unknown.sign(&setting.claims())).await,
        TokenRefusal::UnknownKey
    );
    let mut nameless = setting.es256.header();
    nameless.as_object_mut().unwrap().remove("kid");
    let nameless = setting.es256.sign_as(&nameless, &setting.claims_json());
    assert_eq!(setting.refusal(&nameless).await, TokenRefusal::UnknownKey);
}

#[tokio::test]
async fn keys_that_the_token_brings_along_are_not_looked_at() {
    let setting = Setting::new();
    let forger = TestKey::es256("es");
    let mut header = forger.header();
    header["jwk"] = serde_json::to_value(forger.jwk()).unwrap();
    header["jku"] = json!("https://evil.example/jwks.json");
    header["x5u"] = json!("https://evil.example/cert.pem");
    let token = forger.sign_as(&header, &setting.claims_json());
    assert_eq!(setting.refusal(&token).await, TokenRefusal::BadSignature);
}

#[tokio::test]
async fn a_token_of_another_type_is_refused() {
    let setting = Setting::new();
    for typ in ["JWT", "jwt", "", "refresh+jwt", "at+jwt+x", "logout+jwt"] {
        let token = setting.with_header("typ", json!(typ));
        assert_eq!(setting.refusal(&token).await, TokenRefusal::WrongType, "{typ}");
    }
    let mut untyped = setting.es256.header();
    untyped.as_object_mut().unwrap().remove("typ");
    let untyped = setting.es256.sign_as(&untyped, &setting.claims_json());
    assert_eq!(setting.refusal(&untyped).await, TokenRefusal::WrongType);
    let prefixed = setting.with_header("typ", json!("application/at+jwt"));
    setting.verifier.verify(&prefixed).await.unwrap();
}

#[tokio::test]
async fn critical_extensions_are_refused() {
    let setting = Setting::new();
    setting
        .assert_malformed(&setting.with_header("crit", json!(["exp"])))
        .await;
}

#[tokio::test]
async fn an_oversized_token_is_refused_before_it_is_looked_at() {
    let setting = Setting::new();
    let large = setting.with_claim("padding", json!("x".repeat(8 * 1024)));
    setting.assert_malformed(&large).await;
    let below = setting.with_claim("padding", json!("x".repeat(4 * 1024)));
    setting
        .verifier
        .verify(&below)
        .await
        .expect("unknown claims are ignored");
}

#[tokio::test]
async fn garbage_and_misshapen_tokens_are_refused() {
    let setting = Setting::new();
    let good = setting.es256.sign(&setting.claims());
    let [header, payload, signature] = good.split('.').collect::<Vec<_>>().try_into().unwrap();
    for token in [
        "x".to_owned(),
        ".".to_owned(),
        "..".to_owned(),
        "...".to_owned(),
        format!("{header}.{payload}"),
        format!("{good}.{signature}"),
        format!("{good}."),
        format!(".{good}"),
        format!("{header}.{header}.{payload}.{signature}"),
        format!("{header}..{signature}"),
        format!(".{payload}.{signature}"),
        format!("{header}=.{payload}.{signature}"),
        format!("{header}.{payload}=.{signature}"),
        format!(" {good}"),
        format!("{header} .{payload}.{signature}"),
        format!("{header}.{payload}\n.{signature}"),
        format!("{header}.!!!.{signature}"),
        "\u{0}.\u{0}.\u{0}".to_owned(),
        "ế.ế.ế".to_owned(),
    ] {
        setting.assert_malformed(&token).await;
    }
    for token in [
        format!("{header}.{payload}.{signature}="),
        format!("{header}.{payload}.{signature} "),
        format!("{header}.{payload}.{signature}AA"),
        format!("{header}.{payload}.{}", &signature[..signature.len() - 2]),
        format!("{header}.{payload}.{}", URL_SAFE.encode("short")),
    ] {
        assert_eq!(setting.refusal(&token).await, TokenRefusal::BadSignature, "{token}");
    }
    assert_eq!(setting.refusal("").await, TokenRefusal::Missing);
}

#[tokio::test]
async fn claims_of_a_wrong_form_are_refused_although_signed() {
    let setting = Setting::new();
    for (name, value) in [
        ("exp", json!("tomorrow")),
        ("exp", json!(null)),
        ("exp", json!(1e300)),
        ("exp", json!(i64::MAX)),
        ("iat", json!(null)),
        ("nbf", json!(true)),
        ("sub", json!("not-a-uuid")),
        ("sub", json!(7)),
        ("iss", json!(["https://identity.example"])),
        ("aud", json!({"egov": true})),
        ("jti", json!("")),
        ("kind", json!("root")),
        ("acr", json!("urn:very:high")),
        ("roles", json!("one_stop_clerk")),
        ("roles", json!([{"r": "leader"}])),
        ("roles", json!([{"r": "leader", "u": 1, "x": 2}])),
        ("roles", json!([{"r": "leader", "u": 99_999_999_999_i64}])),
        ("act", json!({"sub": "00000000-0000-0000-0000-000000000001"})),
        ("sid", json!("x")),
    ] {
        let token = setting.with_claim(name, value.clone());
        let refusal = setting.refusal(&token).await;
        assert!(
            matches!(refusal, TokenRefusal::Malformed(_)),
            "{name} = {value} gave {refusal:?}"
        );
    }
}

#[tokio::test]
async fn duplicated_claims_are_refused_although_signed() {
    let setting = Setting::new();
    let claims = setting.claims_json().to_string();
    let header = URL_SAFE_NO_PAD.encode(setting.es256.header().to_string());
    for extra in [
        r#""kind":"system""#,
        r#""sub":"00000000-0000-0000-0000-000000000009""#,
        r#""exp":99999999999"#,
        r#""iss":"https://other.example""#,
        r#""roles":[{"r":"leader","u":0}]"#,
    ] {
        let doubled = claims.replacen('{', &format!("{{{extra},"), 1);
        let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(doubled));
        let signature = setting.es256.raw_signature(&signed, Algorithm::ES256);
        setting.assert_malformed(&format!("{signed}.{signature}")).await;
    }
    for payload in ["[]", "null", "\"x\"", "{}", "{", "{} {}", ""] {
        let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(payload));
        let signature = setting.es256.raw_signature(&signed, Algorithm::ES256);
        setting.assert_malformed(&format!("{signed}.{signature}")).await;
    }
}
