//! The vectors of Project Wycheproof (see `vectors/README.md`).

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests fail loudly")]

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use egov_auth::TokenRefusal;
use egov_auth::token::{KeySet, UnverifiedToken};
use jsonwebtoken::jwk::{Jwk, JwkSet};
use serde_json::{Value, json};

fn vectors(text: &str) -> Vec<Value> {
    let file: Value = serde_json::from_str(text).unwrap();
    file["testGroups"].as_array().unwrap().clone()
}

fn keys(jwk: &Value) -> KeySet {
    let jwk: Jwk = serde_json::from_value(jwk.clone()).unwrap();
    KeySet::from_jwks(&JwkSet { keys: vec![jwk] }).unwrap()
}

/// Whether a case is to be accepted here, given Wycheproof's verdict.
fn is_to_be_accepted(group: &str, verdict: &str) -> bool {
    match group {
        "es256" | "SpecialCaseEs256" => verdict == "valid",
        // A key for encryption verifies nothing, and the algorithms of the other groups are not on our list, however
        // genuine their signatures.
        "ec_key_for_encryption" | "hs256" | "base64" | "rs256" | "ps384" | "rfc7520" => false,
        _ => unreachable!("the extract has no group {group}"),
    }
}

#[test]
fn json_web_signatures_are_accepted_exactly_if_wycheproof_says_so_and_the_algorithm_is_ours() {
    let (mut accepted, mut refused) = (0, 0);
    for group in vectors(include_str!("vectors/json_web_signature.json")) {
        let name = group["comment"].as_str().unwrap();
        let key = if group["public"].is_object() {
            &group["public"]
        } else {
            &group["private"]
        };
        let keys = keys(key);
        for test in group["tests"].as_array().unwrap() {
            let token = test["jws"]
                .as_str()
                .map_or_else(|| test["jws"].to_string(), str::to_owned);
            let outcome = UnverifiedToken::parse(&token).and_then(|parsed| keys.verify(&parsed));
            let comment = test["comment"].as_str().unwrap();
            let expected = is_to_be_accepted(name, test["result"].as_str().unwrap());
            assert_eq!(outcome.is_ok(), expected, "{name}, case {}: {comment}", test["tcId"]);
            if expected {
                accepted += 1;
            } else {
                refused += 1;
            }
        }
    }
    assert_eq!((accepted, refused), (2, 92));
}

#[test]
fn the_attacks_of_wycheproof_are_refused_for_the_right_reason() {
    let refusal = |name: &str, comment: &str| {
        let groups = vectors(include_str!("vectors/json_web_signature.json"));
        let group = groups.iter().find(|group| group["comment"] == name).unwrap();
        let tests = group["tests"].as_array().unwrap();
        let test = tests.iter().find(|test| test["comment"] == comment).unwrap();
        let keys = if group["public"].is_object() {
            keys(&group["public"])
        } else {
            KeySet::default()
        };
        UnverifiedToken::parse(test["jws"].as_str().unwrap())
            .and_then(|parsed| keys.verify(&parsed))
            .unwrap_err()
    };
    assert_eq!(
        refusal(
            "es256",
            "rejectsSymmetryConfusionAttacks_aesKeyFromEcVerificationKeyBytes"
        ),
        TokenRefusal::BadAlgorithm
    );
    assert_eq!(
        refusal("es256", "rejectsAttackerProvidedEmbeddedJwk"),
        TokenRefusal::BadSignature
    );
    assert_eq!(
        refusal("hs256", "rejectsNoneAlgorithmAndMissingSignature"),
        TokenRefusal::BadAlgorithm
    );
    assert_eq!(refusal("rs256", "normalPayload"), TokenRefusal::BadAlgorithm);
}

#[test]
fn ed25519_signatures_are_accepted_exactly_if_wycheproof_says_so() {
    let mut counts = (0, 0);
    for group in vectors(include_str!("vectors/ed25519.json")) {
        let public = hex::decode(group["publicKey"]["pk"].as_str().unwrap()).unwrap();
        let keys = keys(&json!({
            "kid": "k", "kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode(public)
        }));
        for test in group["tests"].as_array().unwrap() {
            let message = hex::decode(test["msg"].as_str().unwrap()).unwrap();
            let signature = hex::decode(test["sig"].as_str().unwrap()).unwrap();
            let accepted = keys.verify_bytes("k", &message, &signature).is_ok();
            assert_eq!(
                accepted,
                test["result"] == "valid",
                "case {}: {}",
                test["tcId"],
                test["comment"]
            );
            if accepted {
                counts.0 += 1;
            } else {
                counts.1 += 1;
            }
        }
    }
    assert_eq!(counts.0 + counts.1, 151);
    assert!(counts.0 > 50 && counts.1 > 50, "{counts:?}");
}
