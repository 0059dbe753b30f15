//! The signature of one side under an agreement: JWS (RFC 7515), compact, with its payload or detached from it.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ED25519, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk};
use serde::Deserialize;

/// The most bytes of a protected header.
const MAX_HEADER: usize = 4_096;

/// Why a signature does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SignatureRefusal {
    /// It has not the three parts of a compact JWS, or they cannot be read.
    #[error("it is not a compact JWS")]
    Malformed,
    /// Its header names an extension that must be understood (crit), or carries a key of its own.
    #[error("its header names an extension or carries a key of its own")]
    Extension,
    /// ES256 and EdDSA are accepted, and only with a key of that kind.
    #[error("its algorithm is not ES256 or EdDSA, or not that of its key")]
    Algorithm,
    /// It names no key, or none that this side may sign with now.
    #[error("its key is not a valid one of this side")]
    UnknownKey,
    /// It is over something else.
    #[error("it is over something else")]
    OtherPayload,
    /// It does not verify.
    #[error("it does not verify")]
    Invalid,
}

/// The protected header. What would change how a signature is verified is named here and refused.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<serde_json::Value>,
    b64: Option<serde_json::Value>,
    jwk: Option<serde_json::Value>,
    jku: Option<serde_json::Value>,
    x5c: Option<serde_json::Value>,
    x5u: Option<serde_json::Value>,
}

/// A signature taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Jws {
    /// Header and payload as they were signed.
    message: String,
    signature: Vec<u8>,
    algorithm: Algorithm,
    /// Which key signed.
    pub(crate) key_id: String,
    /// The signature with its payload left out, as it is kept: header, two dots, signature.
    pub(crate) detached: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Algorithm {
    Es256,
    EdDsa,
}

impl Jws {
    /// Takes a signature over `payload` apart.
    pub(crate) fn read(text: &str, payload: &[u8]) -> Result<Self, SignatureRefusal> {
        let mut parts = text.split('.');
        let (Some(header), Some(body), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(SignatureRefusal::Malformed);
        };
        if header.len() > MAX_HEADER {
            return Err(SignatureRefusal::Malformed);
        }
        let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_| SignatureRefusal::Malformed);
        let read: Header = serde_json::from_slice(&decode(header)?).map_err(|_| SignatureRefusal::Malformed)?;
        if [&read.crit, &read.b64, &read.jwk, &read.jku, &read.x5c, &read.x5u]
            .into_iter()
            .any(Option::is_some)
        {
            return Err(SignatureRefusal::Extension);
        }
        let algorithm = match read.alg.as_str() {
            "ES256" => Algorithm::Es256,
            "EdDSA" => Algorithm::EdDsa,
            _ => return Err(SignatureRefusal::Algorithm),
        };
        if !body.is_empty() && decode(body)? != payload {
            return Err(SignatureRefusal::OtherPayload);
        }
        Ok(Self {
            message: format!("{header}.{}", URL_SAFE_NO_PAD.encode(payload)),
            detached: format!("{header}..{signature}"),
            signature: decode(signature)?,
            algorithm,
            key_id: read
                .kid
                .filter(|kid| !kid.is_empty())
                .ok_or(SignatureRefusal::UnknownKey)?,
        })
    }

    /// Verifies it with a key (JWK, JSON).
    pub(crate) fn verify(&self, public_jwk: &str) -> Result<(), SignatureRefusal> {
        let key: Jwk = serde_json::from_str(public_jwk).map_err(|_| SignatureRefusal::UnknownKey)?;
        let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_| SignatureRefusal::UnknownKey);
        let verified = match (&key.algorithm, self.algorithm) {
            (AlgorithmParameters::EllipticCurve(point), Algorithm::Es256) => {
                let mut bytes = vec![4]; // SEC 1: an uncompressed point
                bytes.extend(decode(&point.x)?);
                bytes.extend(decode(&point.y)?);
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, bytes).verify(self.message.as_bytes(), &self.signature)
            }
            (AlgorithmParameters::OctetKeyPair(pair), Algorithm::EdDsa) => {
                UnparsedPublicKey::new(&ED25519, decode(&pair.x)?).verify(self.message.as_bytes(), &self.signature)
            }
            _ => return Err(SignatureRefusal::Algorithm),
        };
        verified.map_err(|_| SignatureRefusal::Invalid)
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
    use proptest::prelude::*;

    use super::*;

    // RFC 8037, appendix A.4: EdDSA over "Example of Ed25519 signing".
    const RFC_KEY: &str = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

    fn pair() -> (Ed25519KeyPair, String) {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        let x = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
        (pair, format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}"}}"#))
    }

    fn signed(header: &str, payload: &[u8], detached: bool) -> String {
        let header = URL_SAFE_NO_PAD.encode(header);
        let body = URL_SAFE_NO_PAD.encode(payload);
        let signature = URL_SAFE_NO_PAD.encode(pair().0.sign(format!("{header}.{body}").as_bytes()).as_ref());
        let body = if detached { String::new() } else { body };
        format!("{header}.{body}.{signature}")
    }

    #[test]
    fn a_signature_with_or_without_its_payload_is_verified() {
        let header = r#"{"alg":"EdDSA","kid":"k"}"#;
        for detached in [true, false] {
            let jws = Jws::read(&signed(header, b"terms", detached), b"terms").unwrap();
            assert_eq!(jws.key_id, "k");
            jws.verify(&pair().1).unwrap();
            assert_eq!(jws.verify(RFC_KEY), Err(SignatureRefusal::Invalid));
            // What is kept verifies as well.
            Jws::read(&jws.detached, b"terms").unwrap().verify(&pair().1).unwrap();
        }
        let attached = signed(header, b"terms", false);
        assert_eq!(Jws::read(&attached, b"other"), Err(SignatureRefusal::OtherPayload));
        let detached = Jws::read(&signed(header, b"terms", true), b"other").unwrap();
        assert_eq!(detached.verify(&pair().1), Err(SignatureRefusal::Invalid));
    }

    #[test]
    fn a_vector_of_another_maker_is_verified() {
        // RFC 8037 A.4 has no kid in its header, and ours demands one: the refusal comes after everything else was read.
        let text = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
        let payload = b"Example of Ed25519 signing";
        assert_eq!(Jws::read(text, payload), Err(SignatureRefusal::UnknownKey));
        let mut parts = text.split('.');
        let (header, body, signature) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
        let jws = Jws {
            message: format!("{header}.{body}"),
            signature: URL_SAFE_NO_PAD.decode(signature).unwrap(),
            algorithm: Algorithm::EdDsa,
            key_id: "k".to_owned(),
            detached: String::new(),
        };
        jws.verify(RFC_KEY).unwrap();
    }

    #[test]
    fn headers_that_would_bend_the_verification_are_refused() {
        for (header, refusal) in [
            (r#"{"alg":"none","kid":"k"}"#, SignatureRefusal::Algorithm),
            (r#"{"alg":"HS256","kid":"k"}"#, SignatureRefusal::Algorithm),
            (r#"{"alg":"EdDSA"}"#, SignatureRefusal::UnknownKey),
            (r#"{"alg":"EdDSA","kid":"k","b64":false}"#, SignatureRefusal::Extension),
            (
                r#"{"alg":"EdDSA","kid":"k","crit":["b64"]}"#,
                SignatureRefusal::Extension,
            ),
            (r#"{"alg":"EdDSA","kid":"k","jwk":{}}"#, SignatureRefusal::Extension),
            ("no json", SignatureRefusal::Malformed),
        ] {
            assert_eq!(Jws::read(&signed(header, b"t", true), b"t"), Err(refusal), "{header}");
        }
        let wrong_kind = signed(r#"{"alg":"ES256","kid":"k"}"#, b"t", true);
        let read = Jws::read(&wrong_kind, b"t").unwrap();
        assert_eq!(read.verify(&pair().1), Err(SignatureRefusal::Algorithm));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,200}|[A-Za-z0-9_.-]{0,200}") {
            let _ = Jws::read(&text, b"payload");
        }

        #[test]
        fn a_changed_bit_is_found(payload in proptest::collection::vec(any::<u8>(), 1..100), place in any::<prop::sample::Index>()) {
            let text = signed(r#"{"alg":"EdDSA","kid":"k"}"#, &payload, true);
            let mut other = payload.clone();
            let at = place.index(other.len());
            other[at] ^= 1;
            let jws = Jws::read(&text, &other).unwrap();
            prop_assert_eq!(jws.verify(&pair().1), Err(SignatureRefusal::Invalid));
        }
    }
}
