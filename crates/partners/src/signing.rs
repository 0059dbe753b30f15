//! How requests are signed and answers checked.

use aws_lc_rs::{constant_time, digest, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret as _, SecretString};

/// SHA-256 in lower-case hexadecimal.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(digest::digest(&digest::SHA256, bytes))
}

/// `Authorization` of the population register: `Basic base64(user:sha256hex(endpoint + user + timestamp + secret))`, where
/// `timestamp` is the text in the header `Timestamp`, in milliseconds.
pub fn population_authorization(endpoint: &str, user: &str, timestamp: &str, secret: &SecretString) -> String {
    let signed = [endpoint, user, timestamp, secret.expose_secret()].concat();
    let pair = format!("{user}:{}", sha256_hex(signed.as_bytes()));
    format!("Basic {}", STANDARD.encode(pair))
}

/// HMAC-SHA256 over `parts`, each with its length before it, in hexadecimal. Contract `sim-1`, unconfirmed.
pub fn sim_signature(secret: &SecretString, parts: &[&[u8]]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose_secret().as_bytes());
    hex::encode(hmac::sign(&key, &framed(parts)))
}

/// Whether `signature` is [`sim_signature`] of the parts, compared in constant time.
pub fn sim_signature_holds(secret: &SecretString, parts: &[&[u8]], signature: &str) -> bool {
    let expected = sim_signature(secret, parts);
    constant_time::verify_slices_are_equal(expected.as_bytes(), signature.as_bytes()).is_ok()
}

fn framed(parts: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    for part in parts {
        out.extend_from_slice(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        out.extend_from_slice(part);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_population_header_equals_an_outside_computation() {
        // python3: hashlib.sha256(b"http://dancuquocgia.bca/x" b"nghean" b"1795653072000" b"s3cret").hexdigest()
        let secret = SecretString::from("s3cret");
        let header = population_authorization("http://dancuquocgia.bca/x", "nghean", "1795653072000", &secret);
        assert_eq!(header, OUTSIDE);
    }

    const OUTSIDE: &str =
        "Basic bmdoZWFuOjZkZmRlMGJiNzUzM2YzZDBkMDNkZjIzMjI3MjgzMDFhNTQwZmVlNjAwNTE3MjY4NzA5ZjMyMzc1MTAzNDg1MzE=";

    #[test]
    fn a_signature_holds_for_its_parts_and_not_for_other_cuts_of_the_same_bytes() {
        let secret = SecretString::from("a secret of the simulator");
        let signature = sim_signature(&secret, &[b"ab", b"c"]);
        assert!(sim_signature_holds(&secret, &[b"ab", b"c"], &signature));
        assert!(!sim_signature_holds(&secret, &[b"a", b"bc"], &signature));
        assert!(!sim_signature_holds(&secret, &[b"ab", b"c"], ""));
        assert!(!sim_signature_holds(
            &SecretString::from("another"),
            &[b"ab", b"c"],
            &signature
        ));
    }
}
