//! Systems, and what they prove themselves by.

use aws_lc_rs::digest;
use egov_auth::token::KeySet;
use jiff::Timestamp;
use jsonwebtoken::jwk::{Jwk, JwkSet, ThumbprintHash};
use serde::Serialize;
use uuid::Uuid;
use x509_parser::pem::Pem;

use super::organisation::Standing;

/// Hệ thống thông tin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[expect(clippy::struct_field_names, reason = "the names of the contract")]
pub(crate) struct System {
    pub(crate) system_id: Uuid,
    pub(crate) organisation_id: Uuid,
    pub(crate) responsible_unit_id: i32,
    pub(crate) name: String,
    pub(crate) client_id: String,
    /// X-Road subsystem code.
    pub(crate) subsystem_code: String,
    pub(crate) state: Standing,
    pub(crate) certificates: Vec<Certificate>,
    pub(crate) keys: Vec<SigningKey>,
    pub(crate) version: i64,
    pub(crate) create_time: Timestamp,
    pub(crate) update_time: Timestamp,
}

/// A client certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[expect(clippy::struct_field_names, reason = "the names of the contract")]
pub(crate) struct Certificate {
    pub(crate) certificate_id: Uuid,
    /// SHA-256 over the DER form, lower-case hexadecimal.
    pub(crate) thumbprint: String,
    pub(crate) subject: String,
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
    pub(crate) withdraw_time: Option<Timestamp>,
}

/// A key for agreements.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct SigningKey {
    pub(crate) key_id: String,
    pub(crate) public_jwk: String,
    pub(crate) valid_from: Timestamp,
    pub(crate) valid_to: Timestamp,
    pub(crate) withdraw_time: Option<Timestamp>,
}

impl SigningKey {
    /// Whether it may sign at an instant.
    pub(crate) fn valid(&self, now: Timestamp) -> bool {
        self.withdraw_time.is_none() && self.valid_from <= now && now < self.valid_to
    }
}

/// What a certificate says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReadCertificate {
    pub(crate) der: Vec<u8>,
    pub(crate) thumbprint: String,
    pub(crate) subject: String,
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
}

/// Reads one certificate in PEM. An expired one is refused: nothing could be proved by it.
///
/// # Errors
/// What is wrong, in English.
pub(crate) fn read_certificate(pem: &str, now: Timestamp) -> Result<ReadCertificate, &'static str> {
    let mut blocks = Pem::iter_from_buffer(pem.as_bytes());
    let block = match (blocks.next(), blocks.next()) {
        (Some(Ok(one)), None) if one.label == "CERTIFICATE" => one,
        (Some(Ok(one)), None) if one.label.contains("PRIVATE") => return Err("it is a private key; make a new one"),
        _ => return Err("it is not one certificate in PEM, alone"),
    };
    let (rest, certificate) =
        x509_parser::parse_x509_certificate(&block.contents).map_err(|_| "it is not an X.509 certificate")?;
    if !rest.is_empty() {
        return Err("something follows the certificate");
    }
    let instant = |time: x509_parser::time::ASN1Time| {
        Timestamp::from_second(time.timestamp()).map_err(|_| "its dates cannot be read")
    };
    let read = ReadCertificate {
        thumbprint: hex::encode(digest::digest(&digest::SHA256, &block.contents)),
        subject: certificate.subject().to_string(),
        not_before: instant(certificate.validity().not_before)?,
        not_after: instant(certificate.validity().not_after)?,
        der: block.contents.clone(),
    };
    if read.not_after < now {
        return Err("it has expired");
    }
    if read.not_after < read.not_before {
        return Err("it ends before it begins");
    }
    Ok(read)
}

/// Reads the public key of a signer: P-256 or Ed25519, for signatures, its private half not with it. Without an id its
/// thumbprint (RFC 7638) becomes its id. The answer is the id and the key as JSON.
///
/// # Errors
/// What is wrong, in English.
pub(crate) fn read_key(text: &str) -> Result<(String, String), &'static str> {
    let value: serde_json::Value = serde_json::from_str(text).map_err(|_| "it is not a JWK")?;
    if value.get("d").is_some() || value.get("k").is_some() {
        return Err("it contains its private half; make a new one, this one has travelled");
    }
    let mut key: Jwk = serde_json::from_value(value).map_err(|_| "it is not a JWK")?;
    let thumbprint = key
        .thumbprint(ThumbprintHash::SHA256)
        .map_err(|_| "it is not a key for ES256 or EdDSA")?;
    let key_id = key
        .common
        .key_id
        .clone()
        .filter(|id| !id.is_empty())
        .unwrap_or(thumbprint);
    if key_id.len() > 200 {
        return Err("its id is longer than 200 bytes");
    }
    key.common.key_id = Some(key_id.clone());
    let set = JwkSet {
        keys: vec![key.clone()],
    };
    let keys = KeySet::from_jwks(&set).unwrap_or_default();
    if keys.is_empty() {
        return Err("it is not a key for ES256 or EdDSA signatures");
    }
    if !keys.all_on_curve() {
        return Err("it is not a point of its curve");
    }
    let text = serde_json::to_string(&key).map_err(|_| "it is not a JWK")?;
    Ok((key_id, text))
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use proptest::prelude::*;

    use super::*;

    // RFC 8037, appendix A.2 and A.3.
    const ED25519_KEY: &str = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

    fn pem() -> String {
        let pair = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["client.test".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2026, 1, 1);
        params.not_after = rcgen::date_time_ymd(2027, 1, 1);
        params.self_signed(&pair).unwrap().pem()
    }

    #[test]
    fn a_certificate_is_read_with_its_thumbprint_and_dates() {
        let now: Timestamp = "2026-11-23T01:00:00Z".parse().unwrap();
        let text = pem();
        let read = read_certificate(&text, now).unwrap();
        assert_eq!(read.thumbprint.len(), 64);
        assert_eq!(read.not_before, "2026-01-01T00:00:00Z".parse().unwrap());
        assert_eq!(
            read_certificate(&text, "2027-01-01T00:00:01Z".parse().unwrap()),
            Err("it has expired")
        );
        assert!(read_certificate(&format!("{text}{text}"), now).is_err(), "two at once");
        let private = rcgen::KeyPair::generate().unwrap().serialize_pem();
        assert!(read_certificate(&private, now).unwrap_err().contains("private"));
    }

    #[test]
    fn a_public_key_is_read_and_a_private_or_foreign_one_refused() {
        let (key_id, _) = read_key(ED25519_KEY).unwrap();
        assert_eq!(key_id, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
        let private = ED25519_KEY.replace("\"x\"", "\"d\":\"AAAA\",\"x\"");
        assert!(read_key(&private).unwrap_err().contains("private"));
        assert!(read_key(r#"{"kty":"oct","k":"c2VjcmV0"}"#).is_err());
        assert!(read_key(&ED25519_KEY.replace("11qYAYKx", "")).is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,200}") {
            prop_assert!(read_certificate(&text, Timestamp::UNIX_EPOCH).is_err());
            prop_assert!(read_key(&text).is_err());
        }

        #[test]
        fn any_content_of_a_certificate_is_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let body = base64::engine::general_purpose::STANDARD.encode(bytes);
            let text = format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n");
            prop_assert!(read_certificate(&text, Timestamp::UNIX_EPOCH).is_err());
        }
    }
}
