//! An issuer's keys through rotation, removal, floods and outages.

#![allow(clippy::unwrap_used, reason = "tests fail loudly")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use egov_auth::{Issuer, IssuerConfig, KeySourceConfig, TokenClaims, TokenRefusal, Verifier, VerifierConfig};
use egov_clock::ManualClock;
use jiff::SignedDuration;
use jsonwebtoken::jwk::JwkSet;
use support::{AUDIENCE, ISSUER, SwitchedSource, TestKey, jwks, staff};
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

fn verifier(source: &Arc<SwitchedSource>, clock: &ManualClock) -> Verifier {
    let issuer = Issuer::new(ISSUER, AUDIENCE, Arc::<SwitchedSource>::clone(source));
    Verifier::new(vec![issuer], clock.shared(), VerifierConfig::default())
}

/// A token of its own, so that no remembered one answers.
fn token(key: &TestKey, clock: &ManualClock, id: &str) -> String {
    key.sign(&TokenClaims {
        jti: id.to_owned(),
        ..staff(clock, &[])
    })
}

/// Calls with the token until the fetch in the background has changed the answer.
async fn refusal_after_refresh(verifier: &Verifier, token: &str) -> Option<TokenRefusal> {
    for _ in 0..1000 {
        if let Err(refusal) = verifier.verify(token).await {
            return Some(refusal);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    None
}

#[tokio::test]
async fn keys_are_fetched_once_for_many_callers() {
    let clock = support::clock();
    let key = TestKey::es256("k1");
    let source = SwitchedSource::with(jwks(&[&key]));
    let verifier = Arc::new(verifier(&source, &clock));
    let mut calls = Vec::new();
    for n in 0..50 {
        let (verifier, token) = (Arc::clone(&verifier), token(&key, &clock, &n.to_string()));
        calls.push(tokio::spawn(async move { verifier.verify(&token).await.is_ok() }));
    }
    for call in calls {
        assert!(call.await.unwrap());
    }
    assert_eq!(source.fetches(), 1);
}

#[tokio::test]
async fn a_new_key_is_found_at_its_first_token() {
    let clock = support::clock();
    let (old, new) = (TestKey::es256("old"), TestKey::eddsa("new"));
    let source = SwitchedSource::with(jwks(&[&old]));
    let verifier = verifier(&source, &clock);
    verifier.verify(&token(&old, &clock, "1")).await.unwrap();

    source.publish(Some(jwks(&[&old, &new])));
    clock.advance(SignedDuration::from_secs(6));
    verifier.verify(&token(&new, &clock, "2")).await.unwrap();
    verifier.verify(&token(&old, &clock, "3")).await.unwrap();
    assert_eq!(source.fetches(), 2);
}

#[tokio::test]
async fn a_flood_of_unknown_keys_leads_to_one_fetch_in_five_seconds() {
    let clock = support::clock();
    let key = TestKey::es256("k1");
    let source = SwitchedSource::with(jwks(&[&key]));
    let verifier = verifier(&source, &clock);
    verifier.verify(&token(&key, &clock, "1")).await.unwrap();
    clock.advance(SignedDuration::from_secs(6));
    for n in 0..100 {
        let invented = TestKey {
            id: format!("invented-{n}"),
            ..TestKey::eddsa("x")
        };
        assert_eq!(
            verifier.verify(&token(&invented, &clock, "x")).await.unwrap_err(),
            TokenRefusal::UnknownKey
        );
    }
    assert_eq!(source.fetches(), 2);
    verifier.verify(&token(&key, &clock, "2")).await.unwrap();
}

#[tokio::test]
async fn a_removed_key_stops_counting_also_for_remembered_tokens() {
    let clock = support::clock();
    let (leaked, new) = (TestKey::es256("leaked"), TestKey::es256("new"));
    let source = SwitchedSource::with(jwks(&[&leaked, &new]));
    let verifier = verifier(&source, &clock);
    let remembered = token(&leaked, &clock, "1");
    verifier.verify(&remembered).await.unwrap();

    source.publish(Some(jwks(&[&new])));
    clock.advance(SignedDuration::from_secs(61));
    // The first call is still answered from memory, and starts the fetch.
    verifier.verify(&remembered).await.unwrap();
    assert_eq!(
        refusal_after_refresh(&verifier, &remembered).await,
        Some(TokenRefusal::UnknownKey)
    );
    assert_eq!(source.fetches(), 2);
    verifier.verify(&token(&new, &clock, "2")).await.unwrap();
}

#[tokio::test]
async fn a_key_exchanged_under_its_id_stops_counting() {
    let clock = support::clock();
    let (before, after) = (TestKey::es256("k"), TestKey::es256("k"));
    let source = SwitchedSource::with(jwks(&[&before]));
    let verifier = verifier(&source, &clock);
    let remembered = token(&before, &clock, "1");
    verifier.verify(&remembered).await.unwrap();
    source.publish(Some(jwks(&[&after])));
    verifier.refresh().await.unwrap();
    assert_eq!(
        verifier.verify(&remembered).await.unwrap_err(),
        TokenRefusal::BadSignature
    );
    verifier.verify(&token(&after, &clock, "2")).await.unwrap();
}

#[tokio::test]
async fn an_outage_of_the_issuer_is_survived_with_the_last_keys_for_a_day() {
    let clock = support::clock();
    let key = TestKey::es256("k1");
    let source = SwitchedSource::with(jwks(&[&key]));
    let verifier = verifier(&source, &clock);
    verifier.refresh().await.unwrap();
    source.publish(None);
    assert!(verifier.refresh().await.is_err());

    clock.advance(SignedDuration::from_hours(23));
    verifier.verify(&token(&key, &clock, "1")).await.unwrap();
    clock.advance(SignedDuration::from_hours(2));
    assert_eq!(
        verifier.verify(&token(&key, &clock, "2")).await.unwrap_err(),
        TokenRefusal::KeysUnavailable
    );

    source.publish(Some(jwks(&[&key])));
    clock.advance(SignedDuration::from_secs(6));
    verifier.verify(&token(&key, &clock, "3")).await.unwrap();
}

#[tokio::test]
async fn without_any_keys_the_answer_is_unavailable_and_not_unauthenticated() {
    let clock = support::clock();
    let key = TestKey::es256("k1");
    let source = Arc::new(SwitchedSource::default());
    let verifier = verifier(&source, &clock);
    for _ in 0..10 {
        let refusal = verifier.verify(&token(&key, &clock, "1")).await.unwrap_err();
        assert_eq!(refusal, TokenRefusal::KeysUnavailable);
    }
    assert_eq!(source.fetches(), 1, "an issuer in trouble is not asked by every call");
}

#[tokio::test]
async fn a_damaged_set_changes_nothing_and_an_empty_one_does() {
    let clock = support::clock();
    let key = TestKey::es256("k1");
    let source = SwitchedSource::with(jwks(&[&key]));
    let verifier = verifier(&source, &clock);
    verifier.refresh().await.unwrap();
    source.publish(Some(jwks(&[&key, &TestKey::eddsa("k1")])));
    assert!(verifier.refresh().await.is_err(), "two keys with one id");
    verifier.verify(&token(&key, &clock, "1")).await.unwrap();
    source.publish(Some(JwkSet { keys: Vec::new() }));
    verifier.refresh().await.unwrap();
    assert_eq!(
        verifier.verify(&token(&key, &clock, "2")).await.unwrap_err(),
        TokenRefusal::UnknownKey
    );
}

async fn answer_with(server: &MockServer, answer: ResponseTemplate) {
    server.reset().await;
    Mock::given(method("GET"))
        .and(path("/jwks.json"))
        .respond_with(answer)
        .mount(server)
        .await;
}

#[tokio::test]
async fn keys_come_over_http_and_anything_but_a_key_set_changes_nothing() {
    let clock = support::clock();
    let (old, new) = (TestKey::es256("old"), TestKey::eddsa("new"));
    let server = MockServer::start().await;
    let config = IssuerConfig::new(
        ISSUER,
        AUDIENCE,
        KeySourceConfig::JwksUrl(format!("{}/jwks.json", server.uri())),
    );
    let verifier = Verifier::new(
        vec![Issuer::from_config(config).unwrap()],
        clock.shared(),
        VerifierConfig::default(),
    );

    answer_with(&server, ResponseTemplate::new(200).set_body_json(jwks(&[&old]))).await;
    verifier.verify(&token(&old, &clock, "1")).await.unwrap();

    for answer in [
        ResponseTemplate::new(500),
        ResponseTemplate::new(204),
        ResponseTemplate::new(302).insert_header("location", "https://evil.example/jwks.json"),
        ResponseTemplate::new(200).set_body_string("<html>maintenance</html>"),
        ResponseTemplate::new(200).set_body_string("{}"),
        ResponseTemplate::new(200).set_body_bytes(vec![b' '; 300 * 1024]),
    ] {
        answer_with(&server, answer).await;
        assert!(verifier.refresh().await.is_err());
        verifier.verify(&token(&old, &clock, "2")).await.unwrap();
    }

    answer_with(&server, ResponseTemplate::new(200).set_body_json(jwks(&[&new]))).await;
    verifier.refresh().await.unwrap();
    verifier.verify(&token(&new, &clock, "3")).await.unwrap();
    assert_eq!(
        verifier.verify(&token(&old, &clock, "4")).await.unwrap_err(),
        TokenRefusal::UnknownKey
    );
}
