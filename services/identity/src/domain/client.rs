//! Systems (hệ thống) that sign in with a key of their own (private_key_jwt).

use egov_auth::token::KeySet;
use jsonwebtoken::jwk::{Jwk, JwkSet, ThumbprintHash};
use serde_json::Value;
use uuid::Uuid;

/// A registered system.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::struct_field_names, reason = "the names of the contract")]
pub(crate) struct System {
    /// Its id: the subject of its tokens.
    pub system_id: Uuid,
    /// Its client id.
    pub client_id: String,
    /// Its name.
    pub name: String,
    /// Its roles.
    pub roles: Vec<SystemRole>,
    /// True if it may act for citizens (token exchange).
    pub acts_for_citizens: bool,
    /// True if it was closed.
    pub disabled: bool,
}

/// A role of a system at a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SystemRole {
    /// The role.
    pub role: String,
    /// The unit; 0 for the whole province.
    pub unit_id: i32,
}

/// Why a public key is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyRefusal {
    /// Not a JWK.
    #[error("the key is not a JWK")]
    Malformed,
    /// It carries its private half. Whoever sent it must make a new one: this one has travelled.
    #[error("the key contains its private half")]
    Private,
    /// Neither P-256 nor Ed25519, or not for signatures.
    #[error("the key is not one for ES256 or EdDSA signatures")]
    WrongType,
    /// Not a point of its curve.
    #[error("the key is not a point of its curve")]
    NotOnCurve,
}

/// Reads the public key of a system. It must be able to verify ES256 or EdDSA signatures and nothing more. A key without
/// an id gets its thumbprint (RFC 7638) as its id; the system's assertions must name the id (`kid`).
pub(crate) fn public_key(text: &str) -> Result<Jwk, KeyRefusal> {
    let value: Value = serde_json::from_str(text).map_err(|_| KeyRefusal::Malformed)?;
    if value.get("d").is_some() || value.get("k").is_some() {
        return Err(KeyRefusal::Private);
    }
    let mut key: Jwk = serde_json::from_value(value).map_err(|_| KeyRefusal::Malformed)?;
    if key.common.key_id.as_deref().is_none_or(str::is_empty) {
        let thumbprint = key
            .thumbprint(ThumbprintHash::SHA256)
            .map_err(|_| KeyRefusal::WrongType)?;
        key.common.key_id = Some(thumbprint);
    }
    // The set that will verify the system's assertions must hold the key.
    let keys = keys_of(&key);
    if keys.is_empty() {
        return Err(KeyRefusal::WrongType);
    }
    if !keys.all_on_curve() {
        return Err(KeyRefusal::NotOnCurve);
    }
    Ok(key)
}

/// The one key of a system as the set with which its assertions are checked.
pub(crate) fn keys_of(key: &Jwk) -> KeySet {
    let set = JwkSet {
        keys: vec![key.clone()],
    };
    KeySet::from_jwks(&set).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 7517, appendix A.1, and RFC 8037, appendix A.2.
    const P256: &str = r#"{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
        "y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM","use":"sig","kid":"1"}"#;
    const ED25519_KEY: &str = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

    #[test]
    fn public_keys_of_both_types_are_taken() {
        let named = public_key(P256).unwrap();
        assert_eq!(named.common.key_id.as_deref(), Some("1"));
        // The thumbprint of RFC 8037, appendix A.3.
        let unnamed = public_key(ED25519_KEY).unwrap();
        assert_eq!(
            unnamed.common.key_id.as_deref(),
            Some("kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k")
        );
    }

    #[test]
    fn what_is_not_a_public_signature_key_is_refused() {
        let off_curve = P256.replace("4Etl6", "5Etl6");
        let encryption = P256.replace(r#""sig""#, r#""enc""#);
        let other = P256.replace(r#""use":"sig""#, r#""alg":"ES384""#);
        let private = P256.replace(r#""use""#, r#""d":"870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE","use""#);
        let short = ED25519_KEY.replace("11qYAYKx", "");
        for (text, refusal) in [
            ("not json", KeyRefusal::Malformed),
            (r#"{"kty":"oct","k":"c2VjcmV0"}"#, KeyRefusal::Private),
            (
                r#"{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB"}"#,
                KeyRefusal::WrongType,
            ),
            (off_curve.as_str(), KeyRefusal::NotOnCurve),
            (encryption.as_str(), KeyRefusal::WrongType),
            (other.as_str(), KeyRefusal::WrongType),
            (private.as_str(), KeyRefusal::Private),
            (short.as_str(), KeyRefusal::WrongType),
        ] {
            assert_eq!(public_key(text).err(), Some(refusal), "{text}");
        }
    }
}
