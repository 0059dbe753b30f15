//! Rotation without an outage, and the list of revocations.

use std::sync::Arc;

use egov_auth::{Issuer, StaticKeySource, Verifier, VerifierConfig};
use egov_keyring::Purpose;
use egov_proto::egov::identity::v1::revocation::Target;
use egov_proto::egov::identity::v1::{
    GetAccountRequest, ListRevocationsRequest, ListRevocationsResponse, RevokeTokensRequest, RotateSigningKeyRequest,
    SignOutRequest,
};
use jiff::SignedDuration;
use tonic::Status;
use uuid::Uuid;

use crate::support::{ISSUER, WARD, World, by, fresh, refused};

async fn rotate(world: &World, token: &str, request_id: &str) -> Result<String, Status> {
    world
        .keys()
        .rotate_signing_key(by(
            token,
            RotateSigningKeyRequest {
                request_id: request_id.to_owned(),
                ..RotateSigningKeyRequest::default()
            },
        ))
        .await
        .map(|answer| answer.into_inner().key_id)
}

async fn revocations(world: &World, after: i64) -> ListRevocationsResponse {
    world
        .keys()
        .list_revocations(ListRevocationsRequest { after })
        .await
        .unwrap()
        .into_inner()
}

/// A verifier that has fetched the published keys just now and keeps them.
fn keeps_published_keys(world: &World) -> Verifier {
    let keys = serde_json::from_value(world.keyring.jwks(Purpose::TokenSigning)).unwrap();
    let issuer = Issuer::new(ISSUER, "egov", Arc::new(StaticKeySource::new(keys)));
    Verifier::new(
        vec![issuer],
        egov_clock::SharedClock::clone(world.database.clock()),
        VerifierConfig::default(),
    )
}

#[tokio::test]
async fn a_rotation_is_never_noticed_by_a_verifier_that_keeps_keys_for_a_while() {
    let world = World::start().await;
    world.person("an.nguyen", WARD, &[]).await;
    let before_rotation = keeps_published_keys(&world);
    let before = world.session("an.nguyen").await;
    let new_key = rotate(&world, &world.province_admin(), &fresh()).await.unwrap();

    // For two minutes the old key signs: whoever fetched the keys before the rotation verifies all of it.
    let kid = |token: &str| jsonwebtoken::decode_header(token).unwrap().kid.unwrap();
    world.advance(60);
    let meanwhile = world.session("an.nguyen").await;
    assert_ne!(kid(&meanwhile.access_token), new_key);
    for token in [&before.access_token, &meanwhile.access_token] {
        assert!(before_rotation.verify(token).await.is_ok());
    }
    // By then everybody has fetched them again, and those keys verify what either key signed.
    let after_rotation = keeps_published_keys(&world);
    world.advance(60);
    let after = world.session("an.nguyen").await;
    assert_eq!(kid(&after.access_token), new_key);
    for token in [&meanwhile.access_token, &after.access_token] {
        assert!(after_rotation.verify(token).await.is_ok());
    }
}

#[tokio::test]
async fn the_old_key_verifies_until_its_overlap_is_over() {
    let world = World::start().await;
    let old = world.keyring.signing(Purpose::TokenSigning).id().to_owned();
    rotate(&world, &world.province_admin(), &fresh()).await.unwrap();
    let published = || {
        let keys: jsonwebtoken::jwk::JwkSet =
            serde_json::from_value(world.keyring.jwks(Purpose::TokenSigning)).unwrap();
        keys.find(&old).is_some()
    };
    world.clock.advance(SignedDuration::from_mins(59));
    world.keyring.reload(&world.clock).unwrap();
    assert!(published());
    world.clock.advance(SignedDuration::from_mins(1));
    world.keyring.reload(&world.clock).unwrap();
    assert!(!published());
}

#[tokio::test]
async fn only_the_province_rotates_keys_and_the_same_request_rotates_once() {
    let world = World::start().await;
    assert_eq!(
        refused(rotate(&world, &world.unit_admin(WARD), &fresh()).await),
        "PERMISSION_MISSING"
    );
    let id = fresh();
    let first = rotate(&world, &world.province_admin(), &id).await.unwrap();
    let second = rotate(&world, &world.province_admin(), &id).await.unwrap();
    assert_eq!(first, second);
    let keys = world.keyring.jwks(Purpose::TokenSigning);
    assert_eq!(keys["keys"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn what_is_revoked_is_in_the_feed_and_void_at_once() {
    let world = World::start().await;
    let person = world.person("an.nguyen", WARD, &[]).await;
    let start = revocations(&world, 0).await;
    assert_eq!((start.revocations.len(), start.position), (0, 0));
    let tokens = world.session("an.nguyen").await;
    world
        .keys()
        .revoke_tokens(by(
            &world.unit_admin(WARD),
            RevokeTokensRequest {
                request_id: fresh(),
                subject_id: person.account_id.to_string(),
                reason: "mất điện thoại".to_owned(),
            },
        ))
        .await
        .unwrap();
    let request = GetAccountRequest {
        account_id: person.account_id.to_string(),
    };
    let outcome = world.accounts().get_account(by(&tokens.access_token, request)).await;
    assert_eq!(refused(outcome), "TOKEN_REVOKED");
    let feed = revocations(&world, start.position).await;
    assert_eq!(feed.position, 1);
    assert_eq!(
        feed.revocations[0].target,
        Some(Target::SubjectId(person.account_id.to_string()))
    );
    assert!(!feed.more);
    // Nothing after it; and it is forgotten when no token can be concerned.
    assert!(revocations(&world, 1).await.revocations.is_empty());
    world.advance(601);
    assert!(revocations(&world, 0).await.revocations.is_empty());
    assert_eq!(revocations(&world, 0).await.position, 1);
    assert!(world.identity.purge().await.unwrap() >= 1);
}

#[tokio::test]
async fn positions_have_no_gaps_and_a_late_commit_is_never_missed() {
    let world = World::start().await;
    // A reader that polls all the time, from where it was.
    let mut reader = world.keys();
    let stop = tokio_util::sync::CancellationToken::new();
    let stopped = stop.clone();
    let reading = tokio::spawn(async move {
        let (mut position, mut seen) = (0, 0);
        loop {
            let last = stopped.is_cancelled();
            let answer = reader
                .list_revocations(ListRevocationsRequest { after: position })
                .await
                .unwrap()
                .into_inner();
            seen += answer.revocations.len();
            assert_eq!(answer.position, position + answer.revocations.len() as i64);
            position = answer.position;
            if last {
                return seen;
            }
        }
    });
    let mut writers = tokio::task::JoinSet::new();
    for number in 0..40 {
        let mut client = world.sign_in();
        let token = world
            .tokens
            .staff(Uuid::from_u128(100 + number), &[("one_stop_clerk", WARD)]);
        writers.spawn(async move { client.sign_out(by(&token, SignOutRequest {})).await });
    }
    for outcome in writers.join_all().await {
        outcome.unwrap();
    }
    stop.cancel();
    assert_eq!(reading.await.unwrap(), 40);
}

#[tokio::test]
async fn a_token_without_a_session_is_revoked_by_its_id() {
    let world = World::start().await;
    let citizen = world.tokens.citizen(Uuid::from_u128(9), egov_auth::Assurance::Low);
    world.sign_in().sign_out(by(&citizen, SignOutRequest {})).await.unwrap();
    let feed = revocations(&world, 0).await;
    assert!(matches!(feed.revocations[0].target, Some(Target::TokenId(_))));
    let again = world.sign_in().sign_out(by(&citizen, SignOutRequest {})).await;
    assert_eq!(refused(again), "TOKEN_REVOKED");
}

#[tokio::test]
async fn columns_are_sealed_anew_after_the_key_for_columns_was_rotated() {
    let world = World::start().await;
    world.person("an.nguyen", WARD, &[]).await;
    let claims = {
        let mut claims = world.citizen_claims("citizen-7");
        claims["personal_number"] = serde_json::json!("040190000123");
        claims
    };
    let bearer = "urn:ietf:params:oauth:grant-type:jwt-bearer";
    let assertion = world.eid.sign(&claims);
    let form = [("grant_type", bearer), ("assertion", assertion.as_str())];
    assert_eq!(world.token(&form).await.0, 200);
    let former: String = sqlx::query_scalar("SELECT seal_key_id FROM digest_keys")
        .fetch_one(&mut world.sql().await)
        .await
        .unwrap();
    world
        .keyring
        .rotate(Purpose::Answers, SignedDuration::from_hours(1), &world.clock)
        .unwrap();
    // The job of the running service may be quicker, or at it.
    let sealed_by = "SELECT (SELECT count(*) FROM credentials WHERE seal_key_id <> $1)
                          + (SELECT count(*) FROM citizens WHERE seal_key_id <> $1)
                          + (SELECT count(*) FROM digest_keys WHERE seal_key_id <> $1)";
    let mut sealed: i64 = 0;
    for _ in 0..100 {
        world.identity.reseal().await.unwrap();
        sealed = sqlx::query_scalar(sealed_by)
            .bind(&former)
            .fetch_one(&mut world.sql().await)
            .await
            .unwrap();
        if sealed == 3 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(sealed, 3, "a secret of codes, a personal number, the key of digests");
    // The old key retires, and everything opens all the same, in a new process too.
    world.clock.advance(SignedDuration::from_hours(2));
    world.keyring.reload(&world.clock).unwrap();
    let world = world.restart().await;
    assert!(!world.session("an.nguyen").await.access_token.is_empty());
}
