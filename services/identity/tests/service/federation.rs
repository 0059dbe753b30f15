//! Sign-in at an issuer of an agency, and every way in which an issuer, a browser or somebody between them may lie.

use std::time::Duration;

use egov_fault::fault_of;
use egov_keyring::Purpose;
use egov_proto::egov::identity::v1::{
    ClientAuthentication, CompleteFederatedSignInResponse, DisableAccountRequest, DisableIssuerRequest,
    GetAccountRequest, IssuerSettings, KeyPurpose, KeyState, KeyringKey, ListKeysRequest, RefreshTokensRequest,
    RotateSigningKeyRequest, UnlinkIdentityRequest, UpdateIssuerRequest,
};
use jiff::SignedDuration;
use serde_json::{Value, json};
use tonic::{Code, Status};

use crate::sso::{Linked, OTHER_REDIRECT, REDIRECT, Signing, Sso, settings, settings_at};
use crate::support::{COMMUNE, WARD, by, fresh, reason, refused};

/// The check of the ID token that failed.
#[track_caller]
fn check(outcome: Result<CompleteFederatedSignInResponse, Status>) -> String {
    let status = outcome.unwrap_err();
    assert_eq!(reason(&status), "ID_TOKEN_REFUSED", "{status:?}");
    assert_eq!(status.code(), Code::Unauthenticated);
    fault_of(&status).metadata()["check"].clone()
}

/// Why the issuer cannot be used.
#[track_caller]
fn problem<T: std::fmt::Debug>(outcome: Result<T, Status>) -> String {
    let status = outcome.unwrap_err();
    assert_eq!(reason(&status), "ISSUER_UNUSABLE", "{status:?}");
    fault_of(&status).metadata()["problem"].clone()
}

#[tokio::test]
async fn a_linked_member_signs_in_at_the_issuer_and_gets_the_session_of_a_password() {
    let linked = Linked::start().await;
    let (world, sso) = (&linked.world, &linked.sso);
    let begun = world.begin(&sso.url).await.unwrap();
    assert!(begun.authorization_url.starts_with(&format!("{}/auth?", sso.url)));
    for (name, value) in [
        ("response_type", "code"),
        ("client_id", "egov-platform"),
        ("redirect_uri", REDIRECT),
        ("scope", "openid"),
        ("code_challenge_method", "S256"),
        ("max_age", "600"),
        ("acr_values", "urn:two"),
    ] {
        assert_eq!(begun.parameter(name), value);
    }
    let code = sso.sign_in(&begun, "staff-7");
    let answer = world.complete(begun.answer(&code)).await.unwrap();
    assert_eq!(answer.challenge, "");
    let tokens = answer.tokens.unwrap();
    let principal = world.verified(&tokens.access_token).await;
    assert_eq!(principal.subject, linked.account_id);
    assert_eq!(principal.unit, Some(WARD));
    let roles: Vec<_> = principal
        .roles
        .iter()
        .map(|held| (held.role.as_str(), held.unit))
        .collect();
    assert_eq!(roles, [("one_stop_clerk", WARD)]);
    // The token opens the port, and the session goes on.
    let request = GetAccountRequest {
        account_id: linked.account_id.to_string(),
    };
    assert!(
        world
            .accounts()
            .get_account(by(&tokens.access_token, request))
            .await
            .is_ok()
    );
    let request = RefreshTokensRequest {
        refresh_token: tokens.refresh_token,
    };
    assert!(world.sign_in().refresh_tokens(request).await.is_ok());
    let recorded = "SELECT count(*) FROM access_records WHERE kind = 'sign_in' AND detail LIKE '%, issuer %'";
    assert_eq!(linked.count(recorded).await, 1);
    // Nothing that would complete a sign-in lies in the database.
    let rows: Vec<String> = sqlx::query_scalar("SELECT f::text FROM federated_sign_ins f")
        .fetch_all(&mut world.sql().await)
        .await
        .unwrap();
    for secret in [
        begun.parameter("state"),
        begun.parameter("nonce"),
        begun.binding.clone(),
    ] {
        assert!(rows.iter().all(|row| !row.contains(&secret)));
    }
}

#[tokio::test]
async fn without_a_second_factor_at_the_issuer_our_own_code_follows() {
    let linked = Linked::start().await;
    let (world, sso) = (&linked.world, &linked.sso);
    sso.behave(|sso| sso.claims = json!({ "amr": ["pwd"], "acr": "urn:one" }));
    let answer = world.by_issuer(sso, "staff-7").await.unwrap();
    assert_eq!(answer.tokens, None);
    assert_eq!(linked.count("SELECT count(*) FROM sessions").await, 0);
    assert_eq!(
        refused(world.answer(&answer.challenge, "000000").await),
        "SIGN_IN_REFUSED"
    );
    let tokens = world.answer(&answer.challenge, &world.code()).await.unwrap();
    assert_eq!(world.verified(&tokens.access_token).await.subject, linked.account_id);
    // By `acr` as well.
    sso.behave(|sso| sso.claims = json!({ "amr": null, "acr": "urn:two" }));
    assert!(world.by_issuer(sso, "staff-7").await.unwrap().tokens.is_some());

    // Somebody who never activated the account has no authenticator here: the issuer's own second factor suffices, its lack is said.
    let binh = world.person("binh.tran", WARD, &[]).await.account_id;
    sqlx::query("DELETE FROM credentials WHERE account_id = $1")
        .bind(binh)
        .execute(&mut world.sql().await)
        .await
        .unwrap();
    world.link(binh, &linked.issuer.issuer_id, "staff-8").await.unwrap();
    let tokens = world.by_issuer(sso, "staff-8").await.unwrap().tokens.unwrap();
    let request = RefreshTokensRequest {
        refresh_token: tokens.refresh_token,
    };
    assert!(world.sign_in().refresh_tokens(request).await.is_ok());
    sso.behave(|sso| sso.claims = json!({ "amr": ["pwd"] }));
    assert_eq!(refused(world.by_issuer(sso, "staff-8").await), "SECOND_FACTOR_MISSING");
}

#[tokio::test]
async fn an_id_token_that_fails_a_check_is_refused_with_the_check_and_makes_nothing() {
    let linked = Linked::start().await;
    let (world, sso) = (&linked.world, &linked.sso);
    let now = egov_clock::Clock::now(&world.clock).as_second();
    for (claims, expected) in [
        (json!({ "nonce": "another" }), "nonce"),
        (json!({ "nonce": null }), "nonce"),
        (json!({ "aud": "another-client" }), "aud"),
        (json!({ "aud": ["egov-platform", "another-client"] }), "aud"),
        (json!({ "azp": "another-client" }), "azp"),
        (json!({ "iss": "https://evil.test" }), "iss"),
        (json!({ "exp": now - 31 }), "exp"),
        (json!({ "iat": now + 31 }), "iat"),
        (json!({ "iat": now - 3600 }), "iat"),
        (json!({ "auth_time": now - 700 }), "auth_time"),
        (json!({ "auth_time": null }), "auth_time"),
        (json!({ "at_hash": "AAAAAAAAAAAAAAAAAAAAAA" }), "at_hash"),
        (json!({ "sub": "s".repeat(256) }), "sub"),
        (json!({ "exp": null }), "form"),
    ] {
        sso.behave(|sso| sso.claims = claims.clone());
        assert_eq!(check(world.by_issuer(sso, "staff-7").await), expected, "{claims}");
    }
    sso.behave(|sso| sso.claims = json!({}));
    for (signing, expected) in [
        (Signing::None, "alg"),
        (Signing::Confused, "alg"),
        (Signing::UnknownKey, "kid"),
        (Signing::Forged, "signature"),
    ] {
        sso.behave(|sso| sso.signing = signing);
        assert_eq!(check(world.by_issuer(sso, "staff-7").await), expected);
    }
    assert_eq!(linked.count("SELECT count(*) FROM sessions").await, 0);
    let recorded = "SELECT count(*) FROM access_records WHERE kind = 'sign_in_refused'";
    assert_eq!(linked.count(recorded).await, 18);
}

#[tokio::test]
async fn an_issuer_signs_only_with_the_algorithms_that_were_registered_for_it() {
    let linked = Linked::with(IssuerSettings {
        algorithms: vec![egov_proto::egov::identity::v1::IdTokenAlgorithm::Rs256.into()],
        ..settings()
    })
    .await;
    assert_eq!(check(linked.world.by_issuer(&linked.sso, "staff-7").await), "alg");
}

#[tokio::test]
async fn an_answer_of_another_issuer_is_refused_before_its_code_is_sent_anywhere() {
    let linked = Linked::start().await;
    let (world, sso) = (&linked.world, &linked.sso);
    let begun = world.begin(&sso.url).await.unwrap();
    let code = sso.sign_in(&begun, "staff-7");
    let mut answer = begun.answer(&code);
    answer.iss = "https://evil.test".to_owned();
    assert_eq!(check(world.complete(answer.clone()).await), "iss");
    assert!(sso.asked().is_empty());
    answer.iss.clone_from(&sso.url);
    assert!(world.complete(answer).await.is_ok());

    // An issuer that says that it names itself must do so (RFC 9207).
    let other = Sso::other(world).await;
    other.behave(|sso| sso.metadata = json!({ "authorization_response_iss_parameter_supported": true }));
    let issuer = world.register(&other.url, settings_at(other.redirect)).await.unwrap();
    world
        .link(linked.account_id, &issuer.issuer_id, "staff-7")
        .await
        .unwrap();
    assert_eq!(check(world.by_issuer(&other, "staff-7").await), "iss");
    assert!(other.asked().is_empty());
    let begun = world.begin_at(&other.url, other.redirect).await.unwrap();
    let mut answer = begun.answer(&other.sign_in(&begun, "staff-7"));
    answer.iss.clone_from(&other.url);
    assert!(world.complete(answer).await.is_ok());
}

#[tokio::test]
async fn metadata_that_name_another_issuer_or_lead_elsewhere_are_not_used() {
    let linked = Linked::start().await;
    let (world, sso) = (&linked.world, &linked.sso);
    for (metadata, expected) in [
        (json!({ "issuer": "https://evil.test" }), "other_issuer"),
        (json!({ "issuer": format!("{}/", sso.url) }), "other_issuer"),
        (json!({ "token_endpoint": "http://evil.test/token" }), "address"),
        (json!({ "jwks_uri": "file:///etc/passwd" }), "address"),
        (json!({ "code_challenge_methods_supported": ["plain"] }), "no_pkce"),
        (json!({ "token_endpoint": null }), "form"),
    ] {
        sso.behave(|sso| sso.metadata = metadata.clone());
        world.advance(5);
        assert_eq!(problem(world.begin(&sso.url).await), expected, "{metadata}");
    }
    sso.behave(|sso| sso.metadata = json!({}));
    sso.behave(|sso| sso.redirects = true);
    world.advance(5);
    assert_eq!(problem(world.begin(&sso.url).await), "status");
    sso.behave(|sso| sso.redirects = false);
    world.advance(5);
    assert!(world.begin(&sso.url).await.is_ok());
}

#[tokio::test]
async fn metadata_and_keys_beyond_their_size_are_not_read_to_the_end() {
    let linked = Linked::start().await;
    let (world, sso) = (&linked.world, &linked.sso);
    sso.behave(|sso| sso.metadata_bytes = 70 * 1024);
    assert_eq!(problem(world.begin(&sso.url).await), "too_large");
    sso.behave(|sso| {
        sso.metadata_bytes = 0;
        sso.keys_bytes = 300 * 1024;
    });
    world.advance(5);
    assert_eq!(problem(world.by_issuer(sso, "staff-7").await), "too_large");
    assert_eq!(linked.count("SELECT count(*) FROM sessions").await, 0);
}

#[tokio::test]
async fn a_sign_in_is_completed_once_and_of_two_at_once_one_wins() {
    let linked = Linked::start().await;
    let (world, sso) = (&linked.world, &linked.sso);
    let begun = world.begin(&sso.url).await.unwrap();
    let code = sso.sign_in(&begun, "staff-7");
    assert!(world.complete(begun.answer(&code)).await.is_ok());
    let again = world.complete(begun.answer(&code)).await;
    assert_eq!(refused(again), "FEDERATED_STATE_REFUSED");
    // Even if the issuer gave tokens for a code as often as it is asked.
    sso.behave(|sso| sso.careless = true);
    for round in 0..5 {
        let begun = world.begin(&sso.url).await.unwrap();
        let code = sso.sign_in(&begun, "staff-7");
        let (one, other) = tokio::join!(world.complete(begun.answer(&code)), world.complete(begun.answer(&code)));
        let refusals: Vec<_> = [one, other]
            .into_iter()
            .filter_map(|outcome| outcome.err().map(|status| reason(&status)))
            .collect();
        assert_eq!(refusals, ["FEDERATED_STATE_REFUSED"], "round {round}");
    }
    assert_eq!(linked.count("SELECT count(*) FROM sessions").await, 6);
    assert_eq!(linked.count("SELECT count(*) FROM refresh_tokens").await, 6);
    // Two sign-ins of one person at the same moment are two sessions.
    let (one, other) = tokio::join!(world.by_issuer(sso, "staff-7"), world.by_issuer(sso, "staff-7"));
    assert!(one.is_ok() && other.is_ok());
    assert_eq!(linked.count("SELECT count(*) FROM sessions").await, 8);
}

#[tokio::test]
async fn a_sign_in_that_breaks_off_in_its_transaction_leaves_nothing_half() {
    let linked = Linked::start().await;
    let (world, sso) = (&linked.world, &linked.sso);
    sso.behave(|sso| sso.careless = true);
    let mut sql = world.sql().await;
    // The session stands already when the refresh token fails.
    sqlx::raw_sql(
        "CREATE FUNCTION public.break_off() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'broken off'; END $$;
         CREATE TRIGGER break_off BEFORE INSERT ON refresh_tokens EXECUTE FUNCTION public.break_off()",
    )
    .execute(&mut sql)
    .await
    .unwrap();
    let begun = world.begin(&sso.url).await.unwrap();
    let code = sso.sign_in(&begun, "staff-7");
    let broken = world.complete(begun.answer(&code)).await.unwrap_err();
    assert_eq!(broken.code(), Code::Internal);
    let half = "SELECT (SELECT count(*) FROM sessions) + (SELECT count(*) FROM access_records WHERE kind = 'sign_in')
                + (SELECT count(*) FROM federated_sign_ins WHERE used_time IS NOT NULL)";
    assert_eq!(linked.count(half).await, 0);
    sqlx::raw_sql("DROP TRIGGER break_off ON refresh_tokens")
        .execute(&mut sql)
        .await
        .unwrap();
    assert!(world.complete(begun.answer(&code)).await.unwrap().tokens.is_some());
}

#[tokio::test]
async fn an_answer_completes_nothing_in_another_browser_nor_after_ten_minutes() {
    let linked = Linked::start().await;
    let (world, sso) = (&linked.world, &linked.sso);
    let (mine, other) = (
        world.begin(&sso.url).await.unwrap(),
        world.begin(&sso.url).await.unwrap(),
    );
    let code = sso.sign_in(&mine, "staff-7");
    let mut stolen = mine.answer(&code);
    stolen.binding.clone_from(&other.binding);
    assert_eq!(refused(world.complete(stolen).await), "FEDERATED_STATE_REFUSED");
    let mut unknown = mine.answer(&code);
    unknown.state = "không có".to_owned();
    assert_eq!(refused(world.complete(unknown).await), "FEDERATED_STATE_REFUSED");
    assert!(sso.asked().is_empty(), "no code was sent anywhere");
    assert!(world.complete(mine.answer(&code)).await.is_ok());

    let code = sso.sign_in(&other, "staff-7");
    world.advance(600);
    assert_eq!(
        refused(world.complete(other.answer(&code)).await),
        "FEDERATED_STATE_REFUSED"
    );
    // The job forgets what ran out; it may be at work itself at this moment and hold its lease.
    world.advance(1);
    let left = "SELECT count(*) FROM federated_sign_ins";
    for _ in 0..200 {
        world.identity.purge().await.unwrap();
        if linked.count(left).await == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(linked.count(left).await, 0);
}

#[tokio::test]
async fn a_code_of_another_sign_in_is_refused_and_five_refusals_void_a_sign_in() {
    let linked = Linked::start().await;
    let (world, sso) = (&linked.world, &linked.sso);
    let (mine, other) = (
        world.begin(&sso.url).await.unwrap(),
        world.begin(&sso.url).await.unwrap(),
    );
    let stolen = sso.sign_in(&other, "staff-7");
    // The issuer refuses it by PKCE; one that does not is found out by the nonce.
    assert_eq!(refused(world.complete(mine.answer(&stolen)).await), "CODE_REFUSED");
    sso.behave(|sso| sso.careless = true);
    assert_eq!(check(world.complete(mine.answer(&stolen)).await), "nonce");
    for _ in 0..3 {
        assert_eq!(refused(world.complete(mine.answer("guess")).await), "CODE_REFUSED");
    }
    let code = sso.sign_in(&mine, "staff-7");
    assert_eq!(
        refused(world.complete(mine.answer(&code)).await),
        "FEDERATED_STATE_REFUSED"
    );
    assert!(world.complete(other.answer(&stolen)).await.is_ok());
}

#[tokio::test]
async fn a_disabled_issuer_signs_nobody_in_and_what_began_by_it_ends() {
    let linked = Linked::start().await;
    let (world, sso) = (&linked.world, &linked.sso);
    let tokens = world.by_issuer(sso, "staff-7").await.unwrap().tokens.unwrap();
    sso.behave(|sso| sso.claims = json!({ "amr": ["pwd"] }));
    let challenge = world.by_issuer(sso, "staff-7").await.unwrap().challenge;
    let by_password = world.session("an.nguyen").await;
    let begun = world.begin(&sso.url).await.unwrap();
    let code = sso.sign_in(&begun, "staff-7");
    world.later(1).await;
    let request = DisableIssuerRequest {
        request_id: fresh(),
        issuer_id: linked.issuer.issuer_id.clone(),
        reason: "lộ khoá".to_owned(),
        etag: linked.issuer.etag.clone(),
    };
    world
        .federation()
        .disable_issuer(by(&world.province_admin(), request))
        .await
        .unwrap();
    assert_eq!(refused(world.begin(&sso.url).await), "ISSUER_DISABLED");
    assert_eq!(refused(world.complete(begun.answer(&code)).await), "ISSUER_DISABLED");
    world.advance(30);
    assert_eq!(
        refused(world.answer(&challenge, &world.code()).await),
        "SIGN_IN_REFUSED"
    );
    let request = RefreshTokensRequest {
        refresh_token: tokens.refresh_token,
    };
    assert_eq!(
        refused(world.sign_in().refresh_tokens(request).await),
        "REFRESH_TOKEN_INVALID"
    );
    let own = GetAccountRequest {
        account_id: linked.account_id.to_string(),
    };
    let outcome = world
        .accounts()
        .get_account(by(&tokens.access_token, own.clone()))
        .await;
    assert_eq!(refused(outcome), "TOKEN_REVOKED");
    // Who signed in by the password goes on.
    assert!(
        world
            .accounts()
            .get_account(by(&by_password.access_token, own))
            .await
            .is_ok()
    );
    let request = RefreshTokensRequest {
        refresh_token: by_password.refresh_token,
    };
    assert!(world.sign_in().refresh_tokens(request).await.is_ok());
}

#[tokio::test]
async fn an_issuer_that_is_disabled_while_it_is_asked_signs_nobody_in() {
    let linked = Linked::start().await;
    let (world, sso) = (&linked.world, &linked.sso);
    let begun = world.begin(&sso.url).await.unwrap();
    let code = sso.sign_in(&begun, "staff-7");
    // The transaction waits for the row of the sign-in until the issuer is disabled.
    let mut sql = world.sql().await;
    let mut holding = sqlx::Connection::begin(&mut sql).await.unwrap();
    sqlx::query("UPDATE federated_issuers SET disabled_time = now()")
        .execute(&mut *holding)
        .await
        .unwrap();
    let completing = world.complete(begun.answer(&code));
    let disabling = async {
        while sso.asked().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        holding.commit().await.unwrap();
    };
    let (outcome, ()) = tokio::join!(completing, disabling);
    assert_eq!(refused(outcome), "ISSUER_DISABLED");
    assert_eq!(linked.count("SELECT count(*) FROM sessions").await, 0);
}

#[tokio::test]
async fn a_subject_without_link_a_closed_account_and_a_unit_outside_are_refused() {
    let linked = Linked::start().await;
    let (world, sso) = (&linked.world, &linked.sso);
    // Never by what else the issuer says of the person.
    sso.behave(|sso| {
        sso.claims =
            json!({ "email": "an.nguyen@ward.test", "email_verified": true, "preferred_username": "an.nguyen" });
    });
    assert_eq!(refused(world.by_issuer(sso, "staff-9").await), "IDENTITY_NOT_LINKED");
    // The same name at another issuer means nobody.
    let other = Sso::other(world).await;
    let of_other = settings_at(other.redirect);
    world.register(&other.url, of_other).await.unwrap();
    assert_eq!(refused(world.by_issuer(&other, "staff-7").await), "IDENTITY_NOT_LINKED");

    // The issuer is taken the ward away.
    let update = |unit_id, etag: &str| UpdateIssuerRequest {
        request_id: fresh(),
        issuer_id: linked.issuer.issuer_id.clone(),
        settings: Some(IssuerSettings {
            unit_ids: vec![unit_id],
            ..settings()
        }),
        etag: etag.to_owned(),
    };
    let admin = world.province_admin();
    let mut client = world.federation();
    client.update_issuer(by(&admin, update(COMMUNE, "1"))).await.unwrap();
    assert_eq!(refused(world.by_issuer(sso, "staff-7").await), "ISSUER_NOT_FOR_UNIT");
    client.update_issuer(by(&admin, update(WARD, "2"))).await.unwrap();
    assert!(world.by_issuer(sso, "staff-7").await.is_ok());

    let close = DisableAccountRequest {
        request_id: fresh(),
        account_id: linked.account_id.to_string(),
        reason: "nghỉ việc".to_owned(),
    };
    world.accounts().disable_account(by(&admin, close)).await.unwrap();
    assert_eq!(refused(world.by_issuer(sso, "staff-7").await), "ACCOUNT_CLOSED");
    assert_eq!(
        refused(world.link(linked.account_id, &linked.issuer.issuer_id, "staff-9").await),
        "ACCOUNT_CLOSED"
    );
    // What concerned the account is recorded with it and its unit; the rest of nobody known.
    let recorded: Vec<(Option<uuid::Uuid>, Option<i32>, String)> = sqlx::query_as(
        "SELECT owner_id, responsible_unit_id, detail FROM access_records WHERE kind = 'sign_in_refused'",
    )
    .fetch_all(&mut world.sql().await)
    .await
    .unwrap();
    let mut whom: Vec<_> = recorded.iter().map(|(subject, unit, _)| (*subject, *unit)).collect();
    whom.sort();
    let known = (Some(linked.account_id), Some(WARD));
    assert_eq!(whom, [(None, None), (None, None), known, known], "{recorded:?}");
}

#[tokio::test]
async fn an_answer_of_an_issuer_that_does_not_name_itself_is_known_by_where_it_arrives() {
    let linked = Linked::start().await;
    let (world, honest) = (&linked.world, &linked.sso);
    let evil = Sso::other(world).await;
    world.register(&evil.url, settings_at(evil.redirect)).await.unwrap();
    // The sign-in began at the evil issuer, which sent the browser on to the honest one, with its own state.
    let begun = world.begin_at(&evil.url, evil.redirect).await.unwrap();
    let code = honest.sign_in(&begun, "staff-7");
    let mut answer = begun.answer(&code);
    answer.redirect_uri = honest.redirect.to_owned();
    assert_eq!(refused(world.complete(answer).await), "FEDERATED_STATE_REFUSED");
    assert!(
        evil.asked().is_empty() && honest.asked().is_empty(),
        "no code was sent anywhere"
    );
    let mut nowhere = begun.answer(&code);
    nowhere.redirect_uri = String::new();
    assert_eq!(refused(world.complete(nowhere).await), "INVALID_FIELD");
}

#[tokio::test]
async fn however_many_answers_come_at_once_the_issuer_is_asked_five_times() {
    let linked = Linked::start().await;
    let (world, sso) = (&linked.world, &linked.sso);
    let begun = world.begin(&sso.url).await.unwrap();
    let mut attempts = tokio::task::JoinSet::new();
    for guess in 0..20 {
        let answer = begun.answer(&format!("guess-{guess}"));
        let mut client = world.federation();
        attempts.spawn(async move { reason(&client.complete_federated_sign_in(answer).await.unwrap_err()) });
    }
    let mut reasons = attempts.join_all().await;
    reasons.sort();
    assert_eq!(reasons[..5], ["CODE_REFUSED"; 5]);
    assert_eq!(reasons[5..], ["FEDERATED_STATE_REFUSED"; 15]);
    assert_eq!(sso.asked().len(), 5);
}

#[tokio::test]
async fn an_answer_about_which_the_issuer_could_not_be_asked_is_no_attempt() {
    let linked = Linked::start().await;
    let (world, sso) = (&linked.world, &linked.sso);
    world.begin(&sso.url).await.unwrap();
    // Metadata are kept ten minutes, from before this sign-in began.
    world.advance(300);
    let begun = world.begin(&sso.url).await.unwrap();
    world.advance(301);
    let code = sso.sign_in(&begun, "staff-7");
    sso.behave(|sso| sso.metadata = json!({ "issuer": "https://evil.test" }));
    for _ in 0..7 {
        assert_eq!(problem(world.complete(begun.answer(&code)).await), "other_issuer");
    }
    sso.behave(|sso| sso.metadata = json!({}));
    world.advance(5);
    assert!(world.complete(begun.answer(&code)).await.is_ok());
}

#[tokio::test]
async fn an_issuer_that_may_do_less_ends_what_began_by_it_and_another_title_does_not() {
    let linked = Linked::start().await;
    let (world, sso) = (&linked.world, &linked.sso);
    let tokens = world.by_issuer(sso, "staff-7").await.unwrap().tokens.unwrap();
    sso.behave(|sso| sso.claims = json!({ "amr": ["pwd"] }));
    let challenge = world.by_issuer(sso, "staff-7").await.unwrap().challenge;
    let by_password = world.session("an.nguyen").await;
    world.later(1).await;
    let update = async |settings: IssuerSettings, etag: &str| {
        let request = UpdateIssuerRequest {
            request_id: fresh(),
            issuer_id: linked.issuer.issuer_id.clone(),
            settings: Some(settings),
            etag: etag.to_owned(),
        };
        let mut client = world.federation();
        client
            .update_issuer(by(&world.province_admin(), request))
            .await
            .unwrap()
    };
    let own = async |token: &str| {
        let request = GetAccountRequest {
            account_id: linked.account_id.to_string(),
        };
        world.accounts().get_account(by(token, request)).await
    };
    let title = "Tên mới".to_owned();
    update(IssuerSettings { title, ..settings() }, "1").await;
    assert!(own(&tokens.access_token).await.is_ok());

    let second_factor_amr = vec!["hwk".to_owned()];
    let narrower = IssuerSettings {
        second_factor_amr,
        ..settings()
    };
    update(narrower, "2").await;
    assert_eq!(refused(own(&tokens.access_token).await), "TOKEN_REVOKED");
    let request = RefreshTokensRequest {
        refresh_token: tokens.refresh_token,
    };
    assert_eq!(
        refused(world.sign_in().refresh_tokens(request).await),
        "REFRESH_TOKEN_INVALID"
    );
    world.advance(30);
    assert_eq!(
        refused(world.answer(&challenge, &world.code()).await),
        "SIGN_IN_REFUSED"
    );
    assert!(own(&by_password.access_token).await.is_ok());
}

#[tokio::test]
async fn an_issuer_is_disabled_while_a_challenge_of_it_is_being_answered_and_neither_waits_for_the_other() {
    let linked = Linked::start().await;
    let (world, sso) = (&linked.world, &linked.sso);
    for _ in 0..3 {
        assert!(world.by_issuer(sso, "staff-7").await.unwrap().tokens.is_some());
    }
    sso.behave(|sso| sso.claims = json!({ "amr": ["pwd"] }));
    world.by_issuer(sso, "staff-7").await.unwrap();
    let before = linked.count("SELECT position FROM revocation_head").await;
    // As VerifyTotp: it holds the challenge, and then refers to the issuer.
    let mut sql = world.sql().await;
    let mut answering = sqlx::Connection::begin(&mut sql).await.unwrap();
    sqlx::query("SELECT FROM sign_in_challenges WHERE issuer_id IS NOT NULL FOR UPDATE")
        .execute(&mut *answering)
        .await
        .unwrap();
    let disabling = async {
        let request = DisableIssuerRequest {
            request_id: fresh(),
            issuer_id: linked.issuer.issuer_id.clone(),
            reason: "lộ khoá".to_owned(),
            etag: linked.issuer.etag.clone(),
        };
        let mut client = world.federation();
        client.disable_issuer(by(&world.province_admin(), request)).await
    };
    let referring = async {
        let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                     AND wait_event_type = 'Lock' AND query LIKE '%UPDATE sign_in_challenges%'";
        while linked.count(waits).await == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        sqlx::query("SELECT FROM federated_issuers FOR KEY SHARE NOWAIT")
            .execute(&mut *answering)
            .await
            .unwrap();
        answering.commit().await.unwrap();
    };
    let (disabled, ()) = tokio::join!(disabling, referring);
    disabled.unwrap();
    // Three sessions, three entries one after the other, and the head stands at the last.
    let mut sql = world.sql().await;
    let positions: Vec<i64> = sqlx::query_scalar(
        "SELECT position FROM revocations r JOIN sessions s USING (session_id)
         WHERE s.issuer_id IS NOT NULL AND s.end_time IS NOT NULL ORDER BY position",
    )
    .fetch_all(&mut sql)
    .await
    .unwrap();
    assert_eq!(positions, [before + 1, before + 2, before + 3]);
    assert_eq!(linked.count("SELECT position FROM revocation_head").await, before + 3);
}

#[tokio::test]
async fn a_link_that_is_taken_away_ends_the_sessions_that_began_by_it() {
    let linked = Linked::start().await;
    let (world, sso) = (&linked.world, &linked.sso);
    let tokens = world.by_issuer(sso, "staff-7").await.unwrap().tokens.unwrap();
    world.later(1).await;
    let request = UnlinkIdentityRequest {
        request_id: fresh(),
        identity_id: linked.link_id.clone(),
        reason: "nghỉ việc".to_owned(),
    };
    let admin = world.unit_admin(WARD);
    world.federation().unlink_identity(by(&admin, request)).await.unwrap();
    let own = GetAccountRequest {
        account_id: linked.account_id.to_string(),
    };
    let outcome = world.accounts().get_account(by(&tokens.access_token, own)).await;
    assert_eq!(refused(outcome), "TOKEN_REVOKED");
    assert_eq!(refused(world.by_issuer(sso, "staff-7").await), "IDENTITY_NOT_LINKED");
}

#[tokio::test]
async fn an_issuer_that_is_away_is_said_to_be_and_the_same_code_completes_when_it_is_back() {
    let linked = Linked::start().await;
    let (world, sso) = (&linked.world, &linked.sso);
    sso.behave(|sso| sso.down = true);
    let status = world.begin(&sso.url).await.unwrap_err();
    assert_eq!(reason(&status), "ISSUER_UNAVAILABLE");
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(fault_of(&status).retry_delay(), Some(Duration::from_secs(5)));
    world.advance(5);
    sso.behave(|sso| sso.down = false);
    let begun = world.begin(&sso.url).await.unwrap();
    let code = sso.sign_in(&begun, "staff-7");
    sso.behave(|sso| sso.down = true);
    for _ in 0..10 {
        assert_eq!(refused(world.complete(begun.answer(&code)).await), "ISSUER_UNAVAILABLE");
    }
    sso.behave(|sso| sso.down = false);
    assert!(world.complete(begun.answer(&code)).await.is_ok());
    // Nobody listens there at all.
    let nobody = "http://127.0.0.1:9";
    world.register(nobody, settings_at(OTHER_REDIRECT)).await.unwrap();
    let outcome = world.begin_at(nobody, OTHER_REDIRECT).await;
    assert_eq!(refused(outcome), "ISSUER_UNAVAILABLE");
}

#[tokio::test]
async fn an_issuer_that_accepts_and_says_nothing_is_given_five_seconds() {
    let world = crate::support::World::start().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = format!("http://{}", listener.local_addr().unwrap());
    world.register(&silent, settings()).await.unwrap();
    let begun = std::time::Instant::now();
    assert_eq!(refused(world.begin(&silent).await), "ISSUER_UNAVAILABLE");
    let took = begun.elapsed();
    assert!(
        took >= Duration::from_secs(4) && took < Duration::from_secs(20),
        "{took:?}"
    );
    // The next one does not wait again.
    let begun = std::time::Instant::now();
    assert_eq!(refused(world.begin(&silent).await), "ISSUER_UNAVAILABLE");
    assert!(begun.elapsed() < Duration::from_secs(4));
}

#[tokio::test]
async fn a_new_key_of_the_issuer_is_found_at_its_first_token_and_the_old_one_counts_no_longer() {
    let linked = Linked::start().await;
    let (world, sso) = (&linked.world, &linked.sso);
    assert!(world.by_issuer(sso, "staff-7").await.is_ok());
    world.advance(5);
    sso.new_key();
    assert!(world.by_issuer(sso, "staff-7").await.is_ok());
    // A flood of unknown keys asks the issuer once in five seconds.
    sso.behave(|sso| sso.signing = Signing::UnknownKey);
    assert_eq!(check(world.by_issuer(sso, "staff-7").await), "kid");
}

#[tokio::test]
async fn the_platform_proves_to_be_the_client_by_assertion_by_secret_or_by_pkce_alone() {
    let linked = Linked::start().await;
    let (world, sso) = (&linked.world, &linked.sso);
    assert!(world.by_issuer(sso, "staff-7").await.is_ok());
    let form = sso.asked().pop().unwrap();
    assert_eq!(
        form["client_assertion_type"],
        "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    );
    let keys = world
        .http
        .get(format!("{}/.well-known/federation-jwks.json", world.address));
    let keys: jsonwebtoken::jwk::JwkSet = keys.send().await.unwrap().json().await.unwrap();
    let header = jsonwebtoken::decode_header(&form["client_assertion"]).unwrap();
    let key = keys.find(header.kid.as_deref().unwrap()).unwrap();
    let mut rules = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::ES256);
    rules.validate_exp = false;
    rules.set_audience(&[&sso.url]);
    rules.set_issuer(&["egov-platform"]);
    let decoding = jsonwebtoken::DecodingKey::from_jwk(key).unwrap();
    let claims = jsonwebtoken::decode::<Value>(&form["client_assertion"], &decoding, &rules)
        .unwrap()
        .claims;
    assert_eq!(claims["sub"], "egov-platform");
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 60);
    // The key signs assertions and nothing else.
    let tokens = world.keyring.jwks(Purpose::TokenSigning).to_string();
    assert!(!tokens.contains(header.kid.as_deref().unwrap()));

    let change = async |settings: IssuerSettings, etag: &str| {
        let request = UpdateIssuerRequest {
            request_id: fresh(),
            issuer_id: linked.issuer.issuer_id.clone(),
            settings: Some(settings),
            etag: etag.to_owned(),
        };
        let admin = world.province_admin();
        world.federation().update_issuer(by(&admin, request)).await.unwrap();
    };
    let with_secret = |client_secret: &str| IssuerSettings {
        client_authentication: ClientAuthentication::ClientSecret.into(),
        client_secret: client_secret.to_owned(),
        ..settings()
    };
    change(with_secret("bí mật: 1"), "1").await;
    assert!(world.by_issuer(sso, "staff-7").await.is_ok());
    let form = sso.asked().pop().unwrap();
    // RFC 6749, section 2.3.1: both halves are escaped before they are joined.
    let basic = "Basic ZWdvdi1wbGF0Zm9ybTpiJUMzJUFEJTIwbSVFMSVCQSVBRHQlM0ElMjAx";
    assert_eq!(form["authorization"], basic);
    assert!(!form.contains_key("client_assertion") && !form.contains_key("client_secret"));
    // It lies sealed, survives a change that does not name it and a rotation of the key, and is never shown.
    change(with_secret(""), "2").await;
    world
        .keyring
        .rotate(Purpose::Answers, SignedDuration::from_hours(1), &world.clock)
        .unwrap();
    while world.identity.reseal().await.unwrap() > 0 {}
    assert!(world.by_issuer(sso, "staff-7").await.is_ok());
    assert_eq!(sso.asked().pop().unwrap()["authorization"], basic);
    let rows: Vec<String> = sqlx::query_scalar(
        "SELECT i::text FROM federated_issuers i UNION ALL SELECT h::text FROM federated_issuer_history h",
    )
    .fetch_all(&mut world.sql().await)
    .await
    .unwrap();
    assert!(rows.iter().all(|row| !row.contains("bí mật")), "{rows:?}");

    change(
        IssuerSettings {
            client_authentication: ClientAuthentication::None.into(),
            ..settings()
        },
        "3",
    )
    .await;
    assert!(world.by_issuer(sso, "staff-7").await.is_ok());
    let form = sso.asked().pop().unwrap();
    assert_eq!(form["client_id"], "egov-platform");
    assert!(!form.contains_key("authorization") && !form.contains_key("client_assertion"));
}

#[tokio::test]
async fn a_new_key_of_the_platform_as_a_client_is_published_before_it_signs() {
    let linked = Linked::start().await;
    let (world, sso) = (&linked.world, &linked.sso);
    let signed_by = async || {
        world.by_issuer(sso, "staff-7").await.unwrap();
        let assertion = sso.asked().pop().unwrap()["client_assertion"].clone();
        jsonwebtoken::decode_header(&assertion).unwrap().kid.unwrap()
    };
    let published = async || {
        let url = format!("{}/.well-known/federation-jwks.json", world.address);
        let keys: jsonwebtoken::jwk::JwkSet = world.http.get(url).send().await.unwrap().json().await.unwrap();
        keys.keys
            .into_iter()
            .map(|key| key.common.key_id.unwrap())
            .collect::<Vec<_>>()
    };
    let states = async || {
        let request = ListKeysRequest {
            purpose: KeyPurpose::ClientAssertions.into(),
        };
        let admin = world.province_admin();
        let listed = world.keys().list_keys(by(&admin, request)).await.unwrap().into_inner();
        listed.keys.iter().map(KeyringKey::state).collect::<Vec<_>>()
    };
    let old = signed_by().await;
    let request = RotateSigningKeyRequest {
        request_id: fresh(),
        purpose: KeyPurpose::ClientAssertions.into(),
    };
    let admin = world.province_admin();
    let answer = world.keys().rotate_signing_key(by(&admin, request)).await.unwrap();
    let new = answer.into_inner().key_id;
    assert_eq!(published().await, [old.clone(), new.clone()]);
    assert_eq!(states().await, [KeyState::InUse, KeyState::Published]);
    world.later(119).await;
    assert_eq!(signed_by().await, old);
    world.later(1).await;
    assert_eq!(signed_by().await, new);
    assert_eq!(states().await, [KeyState::Overlapping, KeyState::InUse]);
    // What the old key signed last can be verified until it has expired.
    assert_eq!(published().await.len(), 2);
    world.later(3600 + 300 - 120).await;
    world.keyring.reload(&world.clock).unwrap();
    assert_eq!(published().await, [new]);
}

#[tokio::test]
async fn a_redirect_uri_is_compared_exactly_and_an_unknown_issuer_begins_nothing() {
    let linked = Linked::start().await;
    let (world, sso) = (&linked.world, &linked.sso);
    let begin = async |issuer: &str, redirect_uri: &str| {
        let request = egov_proto::egov::identity::v1::BeginFederatedSignInRequest {
            issuer: issuer.to_owned(),
            redirect_uri: redirect_uri.to_owned(),
        };
        world.federation().begin_federated_sign_in(request).await
    };
    for wrong in [
        "https://portal.test/callback/",
        "https://portal.test/callback?a=b",
        "https://evil.test/",
    ] {
        assert_eq!(refused(begin(&sso.url, wrong).await), "REDIRECT_URI_REFUSED");
    }
    assert_eq!(
        refused(begin("https://khong.co.test", REDIRECT).await),
        "ISSUER_NOT_FOUND"
    );
    assert!(begin(&sso.url, REDIRECT).await.is_ok());
}

#[tokio::test]
async fn only_so_many_sign_ins_by_one_issuer_are_under_way_at_once() {
    let Linked { world, sso, .. } = Linked::start().await;
    let world = world.restart_with(|settings| settings.federation.under_way = 3).await;
    for _ in 0..3 {
        assert!(world.begin(&sso.url).await.is_ok());
    }
    let full = world.begin(&sso.url).await.unwrap_err();
    assert_eq!(reason(&full), "OVERLOADED");
    assert_eq!(full.code(), Code::ResourceExhausted);
    world.advance(600);
    assert!(world.begin(&sso.url).await.is_ok());
}
