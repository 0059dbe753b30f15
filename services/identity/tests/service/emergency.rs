//! A compromised key is withdrawn; everybody's tokens are revoked. What was signed by others goes on.

use std::sync::Arc;

use egov_auth::{HttpKeySource, Issuer, KeySourceConfig, TokenRefusal, Verifier, VerifierConfig};
use egov_clock::Clock as _;
use egov_directory::{Directory, DirectoryConfig, GrpcFeed};
use egov_keyring::{Keyring, Purpose};
use egov_proto::egov::identity::v1::{
    KeyPurpose, KeyState, ListAccountsRequest, ListKeysRequest, ListRevocationsRequest, ListRevocationsResponse,
    RefreshTokensRequest, ResolveUnitRequest, RevocationScope, RevokeAllTokensRequest, RevokeAllTokensResponse,
    RotateSigningKeyRequest, TokenPair, WithdrawSigningKeyRequest, WithdrawSigningKeyResponse,
};
use jiff::SignedDuration;
use serde_json::Value;
use tonic::Status;

use crate::support::{ISSUER, PROVINCE, Signer, WARD, World, by, fresh, reason, refused};

const WHY: &str = "máy chủ bị xâm nhập";

pub async fn withdraw(
    world: &World,
    token: &str,
    request_id: &str,
    key_id: &str,
) -> Result<WithdrawSigningKeyResponse, Status> {
    let request = WithdrawSigningKeyRequest {
        request_id: request_id.to_owned(),
        key_id: key_id.to_owned(),
        reason: WHY.to_owned(),
    };
    let answer = world.keys().withdraw_signing_key(by(token, request)).await?;
    Ok(answer.into_inner())
}

pub async fn revoke_all(
    world: &World,
    token: &str,
    request_id: &str,
    scope: RevocationScope,
    end_sessions: bool,
) -> Result<RevokeAllTokensResponse, Status> {
    let request = RevokeAllTokensRequest {
        request_id: request_id.to_owned(),
        scope: scope.into(),
        end_sessions,
        reason: WHY.to_owned(),
    };
    let answer = world.keys().revoke_all_tokens(by(token, request)).await?;
    Ok(answer.into_inner())
}

pub async fn rotate(world: &World, purpose: KeyPurpose) -> Result<String, Status> {
    let request = RotateSigningKeyRequest {
        request_id: fresh(),
        purpose: purpose.into(),
    };
    let answer = world
        .keys()
        .rotate_signing_key(by(&world.province_admin(), request))
        .await?;
    Ok(answer.into_inner().key_id)
}

async fn feed(world: &World) -> ListRevocationsResponse {
    world
        .keys()
        .list_revocations(ListRevocationsRequest { after: 0 })
        .await
        .unwrap()
        .into_inner()
}

async fn refresh(world: &World, tokens: &TokenPair) -> Result<TokenPair, Status> {
    let request = RefreshTokensRequest {
        refresh_token: tokens.refresh_token.clone(),
    };
    let answer = world.sign_in().refresh_tokens(request).await?;
    Ok(answer.into_inner().tokens.unwrap())
}

/// Why the service refuses a token; none if it accepts it.
async fn refusal(world: &World, token: &str) -> Option<String> {
    let request = ResolveUnitRequest {
        code: "40".to_owned(),
        on: None,
    };
    let outcome = world.units().resolve_unit(by(token, request)).await;
    outcome.err().map(|status| reason(&status))
}

fn kid(token: &str) -> String {
    jsonwebtoken::decode_header(token).unwrap().kid.unwrap()
}

/// The ids at the published address.
async fn published(world: &World) -> Vec<String> {
    let url = format!("{}/.well-known/jwks.json", world.address);
    let set: Value = world.http.get(url).send().await.unwrap().json().await.unwrap();
    let keys = set["keys"].as_array().unwrap();
    keys.iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

async fn count(world: &World, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(&mut world.sql().await).await.unwrap()
}

/// Tokens of this service of every kind: an official's, a citizen's, a system's, a system's for the citizen.
struct Everybody {
    staff: TokenPair,
    citizen: String,
    system: String,
    for_citizen: String,
}

impl Everybody {
    async fn of(world: &World, username: &str) -> Self {
        world.person(username, WARD, &[]).await;
        let (_, key) = world.system(&format!("system-of-{username}"), true).await;
        Self::again(world, username, &key).await
    }

    async fn again(world: &World, username: &str, key: &Signer) -> Self {
        let client = format!("system-of-{username}");
        let token = async |form: &[(&str, &str)]| {
            let (status, body) = world.token(form).await;
            assert_eq!(status, 200, "{body}");
            body["access_token"].as_str().unwrap().to_owned()
        };
        let client_assertion = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        let vouched = world.eid.sign(&world.citizen_claims("citizen-7"));
        let bearer = "urn:ietf:params:oauth:grant-type:jwt-bearer";
        let citizen = token(&[("grant_type", bearer), ("assertion", &vouched)]).await;
        let proof = key.sign(&world.client_claims(&client));
        let system = token(&[
            ("grant_type", "client_credentials"),
            ("client_assertion_type", client_assertion),
            ("client_assertion", &proof),
        ])
        .await;
        let proof = key.sign(&world.client_claims(&client));
        let vouched = world.eid.sign(&world.citizen_claims("citizen-7"));
        let for_citizen = token(&[
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("client_assertion_type", client_assertion),
            ("client_assertion", &proof),
            ("subject_token", &vouched),
            ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
        ])
        .await;
        Self {
            staff: world.session(username).await,
            citizen,
            system,
            for_citizen,
        }
    }

    /// Which of them are accepted: official, citizen, system, system for the citizen.
    async fn accepted(&self, world: &World) -> [bool; 4] {
        let mut accepted = [false; 4];
        let tokens = [&self.staff.access_token, &self.citizen, &self.system, &self.for_citizen];
        for (accepted, token) in accepted.iter_mut().zip(tokens) {
            *accepted = match refusal(world, token).await.as_deref() {
                None => true,
                Some("TOKEN_REVOKED") => false,
                Some(other) => panic!("{other}"),
            };
        }
        accepted
    }
}

#[tokio::test]
async fn a_withdrawn_key_leaves_at_once_and_what_other_keys_signed_goes_on() {
    let world = World::start().await;
    world.person("an.nguyen", WARD, &[]).await;
    world.person("binh.tran", WARD, &[]).await;
    let stolen = world.session("an.nguyen").await;
    let before = feed(&world).await;
    let new_key = rotate(&world, KeyPurpose::TokenSigning).await.unwrap();
    world.later(120).await;
    let other = world.session("binh.tran").await;
    assert_eq!(kid(&other.access_token), new_key);
    let stolen_key = world.keyring.lives(Purpose::TokenSigning).unwrap()[0].id.clone();
    assert_eq!(kid(&stolen.access_token), stolen_key);
    for token in [&stolen.access_token, &other.access_token] {
        assert_eq!(refusal(&world, token).await, None);
    }

    let answer = withdraw(&world, &world.province_admin(), &fresh(), &stolen_key)
        .await
        .unwrap();
    assert_eq!(
        (answer.signing_key_id.as_str(), answer.key_made),
        (new_key.as_str(), false)
    );
    assert_eq!(published(&world).await, [new_key.as_str()]);
    let said = refusal(&world, &stolen.access_token).await.unwrap();
    assert!(
        ["TOKEN_REVOKED", "TOKEN_UNKNOWN_KEY"].contains(&said.as_str()),
        "{said}"
    );
    assert_eq!(refusal(&world, &other.access_token).await, None);
    let after = feed(&world).await;
    assert_eq!(after.withdrawn_key_ids, [stolen_key]);
    assert_ne!(after.key_set_digest, before.key_set_digest);
    // The session goes on, with a token of the other key.
    let renewed = refresh(&world, &stolen).await.unwrap();
    assert_eq!(kid(&renewed.access_token), new_key);
    assert_eq!(refusal(&world, &renewed.access_token).await, None);
}

#[tokio::test]
async fn withdrawing_the_only_key_makes_another_in_the_same_act() {
    let world = World::start().await;
    world.person("an.nguyen", WARD, &[]).await;
    let tokens = world.session("an.nguyen").await;
    let only = kid(&tokens.access_token);
    let answer = withdraw(&world, &world.province_admin(), &fresh(), &only)
        .await
        .unwrap();
    assert!(answer.key_made);
    assert_eq!(published(&world).await, [answer.signing_key_id.as_str()]);
    assert!(refusal(&world, &tokens.access_token).await.is_some());
    // It signs at once: nobody has to wait until it was published for a while.
    let renewed = refresh(&world, &tokens).await.unwrap();
    assert_eq!(kid(&renewed.access_token), answer.signing_key_id);
    assert_eq!(refusal(&world, &renewed.access_token).await, None);
}

#[tokio::test]
async fn another_service_follows_within_one_round_of_the_feed_also_during_a_flood() {
    let world = World::start().await;
    world.person("an.nguyen", WARD, &[]).await;
    let tokens = world.session("an.nguyen").await;
    // It fetches the keys over HTTP and hears the feed over gRPC, as a service in a process of its own does.
    let directory = Directory::open(DirectoryConfig::default(), world.clock.shared()).unwrap();
    let keys = HttpKeySource::new(&format!("{}/.well-known/jwks.json", world.address)).unwrap();
    let elsewhere = Arc::new(Verifier::new(
        vec![Issuer::new(ISSUER, "egov", Arc::new(keys))],
        world.clock.shared(),
        VerifierConfig::default(),
    ));
    directory.announce_keys_to(Arc::clone(&elsewhere));
    let feed = GrpcFeed::lazy(&world.address).unwrap();
    directory.refresh(&feed).await.unwrap();
    let principal = elsewhere.verify(&tokens.access_token).await.unwrap();
    assert!(!directory.revocations().is_revoked(&principal));
    // Somebody sends invented key ids, which uses the fetch up that unknown ids are allowed in five seconds.
    world.clock.advance(SignedDuration::from_secs(6));
    let invented = Signer::new().sign(&serde_json::json!({ "iss": ISSUER }));
    let invented = {
        use base64::Engine as _;
        let header = serde_json::json!({ "typ": "at+jwt", "alg": "ES256", "kid": "invented" }).to_string();
        let header = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(header);
        format!("{header}.{}", invented.split_once('.').unwrap().1)
    };
    assert_eq!(elsewhere.verify(&invented).await.unwrap_err(), TokenRefusal::UnknownKey);

    world.later(0).await;
    let stolen = kid(&tokens.access_token);
    withdraw(&world, &world.province_admin(), &fresh(), &stolen)
        .await
        .unwrap();
    let renewed = refresh(&world, &tokens).await.unwrap();
    // Before the round it knows nothing of it; after it everything.
    assert!(elsewhere.verify(&tokens.access_token).await.is_ok());
    assert_eq!(
        elsewhere.verify(&renewed.access_token).await.unwrap_err(),
        TokenRefusal::UnknownKey
    );
    directory.refresh(&feed).await.unwrap();
    assert!(directory.revocations().is_revoked(&principal));
    assert_eq!(
        elsewhere.verify(&tokens.access_token).await.unwrap_err(),
        TokenRefusal::UnknownKey
    );
    let principal = elsewhere.verify(&renewed.access_token).await.unwrap();
    assert!(!directory.revocations().is_revoked(&principal));
}

#[tokio::test]
async fn a_service_that_still_holds_the_key_refuses_it_by_its_id() {
    let world = World::start().await;
    world.person("an.nguyen", WARD, &[]).await;
    let tokens = world.session("an.nguyen").await;
    // Its keys are written down in its configuration: it never fetches any.
    let keys = serde_json::from_value(world.keyring.jwks(Purpose::TokenSigning)).unwrap();
    let config = egov_auth::IssuerConfig::new(ISSUER, "egov", KeySourceConfig::Jwks(keys));
    let pinned = Arc::new(Verifier::new(
        vec![Issuer::from_config(config).unwrap()],
        world.clock.shared(),
        VerifierConfig::default(),
    ));
    let directory = Directory::open(DirectoryConfig::default(), world.clock.shared()).unwrap();
    directory.announce_keys_to(Arc::clone(&pinned));
    let stolen = world.keyring.signing(Purpose::TokenSigning);
    withdraw(&world, &world.province_admin(), &fresh(), stolen.id())
        .await
        .unwrap();
    directory
        .refresh(&GrpcFeed::lazy(&world.address).unwrap())
        .await
        .unwrap();
    // What the thief signs afterwards, with whatever time.
    let payload = tokens.access_token.split('.').nth(1).unwrap();
    let mut claims: Value = {
        use base64::Engine as _;
        serde_json::from_slice(
            &base64::engine::general_purpose::URL_SAFE_NO_PAD
                .decode(payload)
                .unwrap(),
        )
        .unwrap()
    };
    claims["iat"] = (world.clock.now().as_second() + 20).into();
    claims["jti"] = fresh().into();
    let forged = stolen.jwt("at+jwt", &claims).unwrap();
    let principal = pinned.verify(&forged).await.unwrap();
    assert!(directory.revocations().is_revoked(&principal));
    // Long after every entry of its time was forgotten.
    world.clock.advance(SignedDuration::from_hours(48));
    directory
        .refresh(&GrpcFeed::lazy(&world.address).unwrap())
        .await
        .unwrap();
    assert!(directory.revocations().is_revoked(&principal));
}

#[tokio::test]
async fn withdrawing_twice_is_told_and_the_same_request_gets_the_same_answer() {
    let world = World::start().await;
    let admin = world.province_admin();
    let key = world.keyring.signing(Purpose::TokenSigning).id().to_owned();
    let id = fresh();
    let first = withdraw(&world, &admin, &id, &key).await.unwrap();
    assert_eq!(withdraw(&world, &admin, &id, &key).await.unwrap(), first);
    assert_eq!(
        refused(withdraw(&world, &admin, &fresh(), &key).await),
        "KEY_ALREADY_WITHDRAWN"
    );
    assert_eq!(
        refused(withdraw(&world, &admin, &id, "another").await),
        "REQUEST_ID_REUSED"
    );
    assert_eq!(
        refused(withdraw(&world, &admin, &fresh(), "20261123-00000000").await),
        "KEY_NOT_FOUND"
    );
    // One key was made, and one act is on record.
    assert_eq!(world.keyring.lives(Purpose::TokenSigning).unwrap().len(), 2);
    assert_eq!(count(&world, "SELECT count(*) FROM key_changes").await, 1);
}

#[tokio::test]
async fn of_administrators_who_withdraw_a_key_at_once_one_does_and_one_key_is_made() {
    let world = Arc::new(World::start().await);
    let key = world.keyring.signing(Purpose::TokenSigning).id().to_owned();
    let mut administrators = tokio::task::JoinSet::new();
    for number in 0..4 {
        let (world, key) = (Arc::clone(&world), key.clone());
        administrators.spawn(async move {
            let subject = uuid::Uuid::from_u128(900 + number);
            let token = world.tokens.staff(subject, &[("province_admin", PROVINCE)]);
            withdraw(&world, &token, &fresh(), &key).await
        });
    }
    let (done, told): (Vec<_>, Vec<_>) = administrators.join_all().await.into_iter().partition(Result::is_ok);
    assert_eq!(done.len(), 1);
    for outcome in told {
        assert_eq!(refused(outcome), "KEY_ALREADY_WITHDRAWN");
    }
    let lives = world.keyring.lives(Purpose::TokenSigning).unwrap();
    assert_eq!(
        lives.iter().map(|life| life.withdrawn).collect::<Vec<_>>(),
        [true, false]
    );
    assert_eq!(count(&world, "SELECT count(*) FROM key_changes").await, 1);
}

#[tokio::test]
async fn only_the_province_acts_upon_keys_and_everybody_and_every_violation_is_named() {
    let world = World::start().await;
    let key = world.keyring.signing(Purpose::TokenSigning).id().to_owned();
    let citizen = world
        .tokens
        .citizen(uuid::Uuid::from_u128(9), egov_auth::Assurance::High);
    for token in [world.unit_admin(WARD), world.clerk(WARD), citizen] {
        assert_eq!(
            refused(withdraw(&world, &token, &fresh(), &key).await),
            "PERMISSION_MISSING"
        );
        let outcome = revoke_all(&world, &token, &fresh(), RevocationScope::Everybody, true).await;
        assert_eq!(refused(outcome), "PERMISSION_MISSING");
        let outcome = world.keys().list_keys(by(&token, ListKeysRequest::default())).await;
        assert_eq!(refused(outcome), "PERMISSION_MISSING");
    }
    let admin = world.province_admin();
    let empty = world
        .keys()
        .withdraw_signing_key(by(&admin, WithdrawSigningKeyRequest::default()))
        .await;
    let fault = egov_fault::fault_of(&empty.unwrap_err());
    let mut named: Vec<&str> = fault
        .violations()
        .iter()
        .map(|violation| violation.field.as_str())
        .collect();
    named.sort_unstable();
    assert_eq!(named, ["key_id", "reason", "request_id"]);
    let empty = world
        .keys()
        .revoke_all_tokens(by(&admin, RevokeAllTokensRequest::default()))
        .await;
    let fault = egov_fault::fault_of(&empty.unwrap_err());
    let mut named: Vec<&str> = fault
        .violations()
        .iter()
        .map(|violation| violation.field.as_str())
        .collect();
    named.sort_unstable();
    assert_eq!(named, ["reason", "request_id", "scope"]);
    // Sessions where there are none.
    let outcome = revoke_all(&world, &admin, &fresh(), RevocationScope::Systems, true).await;
    let fault = egov_fault::fault_of(&outcome.unwrap_err());
    assert_eq!(fault.violations()[0].field, "end_sessions");
    // Nothing was done by any of it.
    assert_eq!(published(&world).await, [key]);
    assert_eq!(count(&world, "SELECT count(*) FROM mass_revocations").await, 0);
}

#[tokio::test]
async fn a_process_killed_before_the_commit_leaves_the_key_withdrawn_and_the_repetition_records_it() {
    let world = World::start().await;
    world.person("an.nguyen", WARD, &[]).await;
    let tokens = world.session("an.nguyen").await;
    let stolen = kid(&tokens.access_token);
    // What the killed process had done: the keyring, and not yet the database.
    let made = world
        .keyring
        .withdraw(Purpose::TokenSigning, &stolen, &world.clock)
        .unwrap()
        .unwrap();
    let world = world.restart().await;
    assert_eq!(count(&world, "SELECT count(*) FROM withdrawn_keys").await, 0);
    assert_eq!(feed(&world).await.withdrawn_key_ids, [stolen.as_str()]);
    assert!(refusal(&world, &tokens.access_token).await.is_some());
    assert_eq!(published(&world).await, [made.as_str()]);

    let answer = withdraw(&world, &world.province_admin(), &fresh(), &stolen)
        .await
        .unwrap();
    assert_eq!(
        (answer.signing_key_id.as_str(), answer.key_made),
        (made.as_str(), false)
    );
    assert_eq!(count(&world, "SELECT count(*) FROM withdrawn_keys").await, 1);
    assert_eq!(
        count(&world, "SELECT count(*) FROM key_changes WHERE act = 'withdrawn'").await,
        1
    );
    assert_eq!(published(&world).await, [made.as_str()]);
}

#[tokio::test]
async fn a_keyring_restored_from_its_backup_does_not_bring_a_withdrawn_key_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("keys");
    let clock = egov_testkit::clock();
    Keyring::create_missing(&path, &clock).unwrap();
    let mut world = World::start_with(Arc::new(Keyring::open(&path, &clock).unwrap())).await;
    world.person("an.nguyen", WARD, &[]).await;
    let tokens = world.session("an.nguyen").await;
    let stolen = kid(&tokens.access_token);
    let file = path.join("token-signing.json");
    let backup = std::fs::read(&file).unwrap();
    withdraw(&world, &world.province_admin(), &fresh(), &stolen)
        .await
        .unwrap();

    std::fs::write(&file, &backup).unwrap();
    world.keyring = Arc::new(Keyring::open(&path, &clock).unwrap());
    assert_eq!(world.keyring.signing(Purpose::TokenSigning).id(), stolen);
    let world = world.restart().await;
    let now = published(&world).await;
    assert_eq!(now.len(), 1);
    assert_ne!(now[0], stolen);
    assert!(refusal(&world, &tokens.access_token).await.is_some());
    world.later(30).await;
    let anew = world.session("an.nguyen").await;
    assert_eq!(refusal(&world, &anew.access_token).await, None);
}

#[tokio::test]
async fn what_was_done_stands_in_history_record_event_and_leaf() {
    let world = World::start().await;
    let admin = world.province_admin();
    let first = world.keyring.signing(Purpose::TokenSigning).id().to_owned();
    let second = rotate(&world, KeyPurpose::TokenSigning).await.unwrap();
    withdraw(&world, &admin, &fresh(), &first).await.unwrap();
    revoke_all(&world, &admin, &fresh(), RevocationScope::Citizens, false)
        .await
        .unwrap();
    let mut sql = world.sql().await;
    let history: Vec<(String, String, String, String, String)> =
        sqlx::query_as("SELECT act, purpose, key_id, used_key_id, reason FROM key_changes ORDER BY act")
            .fetch_all(&mut sql)
            .await
            .unwrap();
    let row =
        |act: &str, key: &str, used: &str, why: &str| [act, "token-signing", key, used, why].map(str::to_owned).into();
    assert_eq!(
        history,
        [
            row("rotated", &second, &first, ""),
            row("withdrawn", &first, &second, WHY)
        ]
    );
    let mass: (String, bool, i64, String) =
        sqlx::query_as("SELECT scope, end_sessions, sessions_ended, reason FROM mass_revocations")
            .fetch_one(&mut sql)
            .await
            .unwrap();
    assert_eq!(mass, ("citizens".to_owned(), false, 0, WHY.to_owned()));
    let records: Vec<(String, String)> = sqlx::query_as(
        r#"SELECT kind, detail FROM access_records
         WHERE kind IN ('signing_key_rotated', 'signing_key_withdrawn', 'all_tokens_revoked') ORDER BY kind COLLATE "C""#,
    )
    .fetch_all(&mut sql)
    .await
    .unwrap();
    let record = |kind: &str, detail: String| (kind.to_owned(), detail);
    assert_eq!(
        records,
        [
            record("all_tokens_revoked", format!("citizens, 0 sessions: {WHY}")),
            record("signing_key_rotated", format!("key {second}")),
            record("signing_key_withdrawn", format!("key {first}: {WHY}")),
        ]
    );
    let mut events: Vec<(String, Value)> = sqlx::query_as(
        "SELECT kind, payload FROM egov.outbox WHERE aggregate_kind IN ('signing_key', 'mass_revocation')
         UNION ALL SELECT kind, payload FROM egov.event_log WHERE aggregate_kind IN ('signing_key', 'mass_revocation')",
    )
    .fetch_all(&mut sql)
    .await
    .unwrap();
    events.sort_by(|a, b| a.0.cmp(&b.0));
    let kinds: Vec<&str> = events.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(
        kinds,
        ["all_tokens_revoked", "signing_key_rotated", "signing_key_withdrawn"]
    );
    assert_eq!(events[2].1["key_id"], first.as_str());
    assert_eq!(events[2].1["used_key_id"], second.as_str());
    // Reasons are typed by people: they stay in the record.
    assert!(events.iter().all(|(_, payload)| !payload.to_string().contains(WHY)));
    let leaves = count(
        &world,
        "SELECT count(*) FROM egov.leaves WHERE kind IN ('signing_key', 'mass_revocation')",
    )
    .await;
    assert_eq!(leaves, 3);
}

#[tokio::test]
async fn every_token_of_a_kind_is_void_and_the_other_kinds_go_on() {
    for (scope, left) in [
        (RevocationScope::Staff, [false, true, true, true]),
        (RevocationScope::Citizens, [true, false, true, false]),
        (RevocationScope::Systems, [true, true, false, false]),
        (RevocationScope::Everybody, [false; 4]),
    ] {
        let world = World::start().await;
        let tokens = Everybody::of(&world, "an.nguyen").await;
        assert_eq!(tokens.accepted(&world).await, [true; 4]);
        let answer = revoke_all(&world, &world.province_admin(), &fresh(), scope, false)
            .await
            .unwrap();
        assert_eq!(answer.sessions_ended, 0);
        assert_eq!(tokens.accepted(&world).await, left, "{scope:?}");
        // Whoever was revoked gets a new token, which counts, also in the same second.
        if !left[0] {
            let renewed = refresh(&world, &tokens.staff).await.unwrap();
            assert_eq!(refusal(&world, &renewed.access_token).await, None, "{scope:?}");
        }
    }
}

#[tokio::test]
async fn tokens_issued_in_the_second_of_a_revocation_of_everybody_and_after_it_count() {
    let world = World::start().await;
    world.person("an.nguyen", WARD, &[]).await;
    let (_, key) = world.system("system-of-an.nguyen", true).await;
    revoke_all(
        &world,
        &world.province_admin(),
        &fresh(),
        RevocationScope::Everybody,
        true,
    )
    .await
    .unwrap();
    let after = Everybody::again(&world, "an.nguyen", &key).await;
    assert_eq!(after.accepted(&world).await, [true; 4]);
    // And it is forgotten when no token can be concerned.
    assert_eq!(feed(&world).await.kind_revocations.len(), 3);
    world.later(601).await;
    assert!(feed(&world).await.kind_revocations.is_empty());
}

#[tokio::test]
async fn everybody_signs_in_anew_when_sessions_end_too() {
    let world = World::start().await;
    world.person("an.nguyen", WARD, &[]).await;
    world.person("binh.tran", WARD, &[]).await;
    let tokens = [world.session("an.nguyen").await, world.session("binh.tran").await];
    let (admin, id) = (world.province_admin(), fresh());
    let answer = revoke_all(&world, &admin, &id, RevocationScope::Staff, true)
        .await
        .unwrap();
    assert_eq!(answer.sessions_ended, 2);
    for tokens in &tokens {
        assert_eq!(
            refusal(&world, &tokens.access_token).await.as_deref(),
            Some("TOKEN_REVOKED")
        );
        assert_eq!(refused(refresh(&world, tokens).await), "REFRESH_TOKEN_INVALID");
    }
    // The administrator's own token is among them, and the repetition is answered to whoever signed in anew.
    let outcome = revoke_all(&world, &admin, &id, RevocationScope::Staff, true).await;
    assert_eq!(refused(outcome), "TOKEN_REVOKED");
    world.later(30).await;
    let again = revoke_all(&world, &world.province_admin(), &id, RevocationScope::Staff, true)
        .await
        .unwrap();
    assert_eq!(again, answer);
    let anew = world.session("an.nguyen").await;
    assert_eq!(refusal(&world, &anew.access_token).await, None);
    assert_eq!(count(&world, "SELECT count(*) FROM mass_revocations").await, 1);
}

#[tokio::test]
async fn what_was_issued_while_a_revocation_waited_for_sessions_is_void_too() {
    let world = World::start().await;
    world.person("an.nguyen", WARD, &[]).await;
    world.session("an.nguyen").await;
    world.person("binh.tran", WARD, &[]).await;
    let mut sql = world.sql().await;
    let mut holding = sqlx::Connection::begin(&mut sql).await.unwrap();
    sqlx::query("SELECT FROM sessions FOR UPDATE")
        .execute(&mut *holding)
        .await
        .unwrap();
    let (admin, id) = (world.province_admin(), fresh());
    let revoking = revoke_all(&world, &admin, &id, RevocationScope::Staff, true);
    let meanwhile = async {
        let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                     AND wait_event_type = 'Lock' AND query LIKE '%UPDATE sessions%'";
        while count(&world, waits).await == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        world.advance(20);
        let issued = world.session("binh.tran").await;
        world.advance(1);
        holding.commit().await.unwrap();
        issued
    };
    let (answer, issued) = tokio::join!(revoking, meanwhile);
    let not_after = answer.unwrap().not_after.unwrap();
    assert_eq!(not_after.seconds, world.clock.now().as_second());
    let said = refusal(&world, &issued.access_token).await;
    assert_eq!(said.as_deref(), Some("TOKEN_REVOKED"));
}

#[tokio::test]
async fn keys_are_listed_with_where_each_stands() {
    let world = World::start().await;
    let admin = world.province_admin();
    let list = async |purpose: KeyPurpose| {
        let request = ListKeysRequest {
            purpose: purpose.into(),
        };
        let keys = world
            .keys()
            .list_keys(by(&world.province_admin(), request))
            .await
            .unwrap()
            .into_inner()
            .keys;
        keys.into_iter()
            .map(|key| (key.key_id.clone(), key.state(), key.end_time.is_some()))
            .collect::<Vec<_>>()
    };
    assert_eq!(list(KeyPurpose::Unspecified).await.len(), 10);
    let first = world.keyring.signing(Purpose::TokenSigning).id().to_owned();
    let second = rotate(&world, KeyPurpose::TokenSigning).await.unwrap();
    let tokens = KeyPurpose::TokenSigning;
    assert_eq!(
        list(tokens).await,
        [
            (first.clone(), KeyState::InUse, true),
            (second.clone(), KeyState::Published, false)
        ]
    );
    world.later(120).await;
    assert_eq!(
        list(tokens).await,
        [
            (first.clone(), KeyState::Overlapping, true),
            (second.clone(), KeyState::InUse, false)
        ]
    );
    let third = withdraw(&world, &admin, &fresh(), &second)
        .await
        .unwrap()
        .signing_key_id;
    assert_eq!(
        list(tokens).await,
        [
            (first.clone(), KeyState::Overlapping, true),
            (second.clone(), KeyState::Withdrawn, true),
            (third.clone(), KeyState::InUse, false),
        ]
    );
    world.later(3600).await;
    world.keyring.reload(&world.clock).unwrap();
    assert_eq!(list(tokens).await[0], (first, KeyState::Retired, true));
}

#[tokio::test]
async fn each_purpose_that_can_is_rotated_and_what_the_old_keys_made_counts() {
    let world = World::start().await;
    for name in ["an.nguyen", "binh.tran", "chi.le"] {
        world.person(name, WARD, &[]).await;
    }
    let admin = world.province_admin();
    let page = async |page_token: String| {
        let request = ListAccountsRequest {
            page_size: 1,
            page_token,
            ..ListAccountsRequest::default()
        };
        world
            .accounts()
            .list_accounts(by(&world.province_admin(), request))
            .await
            .unwrap()
            .into_inner()
    };
    let page_token = page(String::new()).await.next_page_token;
    let id = fresh();
    let answered = withdraw(&world, &admin, &id, world.keyring.signing(Purpose::TokenSigning).id())
        .await
        .unwrap();
    let stolen = world.keyring.lives(Purpose::TokenSigning).unwrap()[0].id.clone();

    for purpose in [KeyPurpose::TreeSigning, KeyPurpose::PageTokens, KeyPurpose::Answers] {
        rotate(&world, purpose).await.unwrap();
    }
    // A page token, a stored answer and the tree, of before and after.
    assert_eq!(page(page_token).await.accounts.len(), 1);
    assert_eq!(withdraw(&world, &admin, &id, &stolen).await.unwrap(), answered);
    let elsewhere = Directory::open(DirectoryConfig::default(), world.clock.shared()).unwrap();
    elsewhere
        .refresh(&GrpcFeed::lazy(&world.address).unwrap())
        .await
        .unwrap();
    assert!(elsewhere.version() > 0);
    for purpose in [
        KeyPurpose::Receipts,
        KeyPurpose::Checkpoints,
        KeyPurpose::Webhooks,
        KeyPurpose::LookupSecrets,
    ] {
        assert_eq!(refused(rotate(&world, purpose).await), "KEY_NOT_ROTATABLE");
    }
}
