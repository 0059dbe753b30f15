//! Password and one-time code.

use std::time::Duration;

use egov_clock::Clock as _;
use egov_fault::fault_of;
use egov_identity::totp;
use egov_proto::egov::identity::v1::{GetAccountRequest, ListSignInsRequest, UnlockAccountRequest};
use tonic::Code;
use uuid::Uuid;

use crate::support::{PASSWORD, SECRET, WARD, World, by, fresh, reason, refused};

#[tokio::test]
async fn password_and_code_give_tokens_with_the_roles_of_the_day() {
    let world = World::start().await;
    let person = world
        .person("an.nguyen", WARD, &[("one_stop_clerk", WARD), ("unit_admin", WARD)])
        .await;
    let tokens = world.session("an.nguyen").await;
    assert_eq!(tokens.expires_in, 300);
    let principal = world.verified(&tokens.access_token).await;
    assert_eq!(principal.subject, person.account_id);
    assert_eq!(principal.unit, Some(WARD));
    assert!(principal.session.is_some());
    let mut roles: Vec<_> = principal
        .roles
        .iter()
        .map(|held| (held.role.as_str(), held.unit))
        .collect();
    roles.sort_unstable();
    assert_eq!(roles, [("one_stop_clerk", WARD), ("unit_admin", WARD)]);

    // The token opens the port.
    let request = GetAccountRequest {
        account_id: person.account_id.to_string(),
    };
    let account = world
        .accounts()
        .get_account(by(&tokens.access_token, request))
        .await
        .unwrap();
    assert_eq!(account.into_inner().account.unwrap().username, "an.nguyen");
}

#[tokio::test]
async fn a_name_is_taken_in_any_case_and_with_space_around_it() {
    let world = World::start().await;
    world.person("an.nguyen", WARD, &[]).await;
    assert!(world.challenge("  An.Nguyen ", PASSWORD).await.is_ok());
}

#[tokio::test]
async fn a_wrong_name_and_a_wrong_password_look_the_same() {
    let world = World::start().await;
    world.person("an.nguyen", WARD, &[]).await;
    let wrong_password = world.challenge("an.nguyen", "sai rồi").await.unwrap_err();
    let wrong_name = world.challenge("khong.co", "sai rồi").await.unwrap_err();
    assert_eq!(reason(&wrong_password), "SIGN_IN_REFUSED");
    assert_eq!(wrong_password.code(), wrong_name.code());
    assert_eq!(wrong_password.message(), wrong_name.message());
    assert_eq!(wrong_password.details(), wrong_name.details());
    assert_eq!(wrong_password.code(), Code::Unauthenticated);
}

#[tokio::test]
async fn the_fifth_failure_locks_a_name_for_a_minute_whether_it_exists_or_not() {
    let world = World::start().await;
    world.person("an.nguyen", WARD, &[]).await;
    for name in ["an.nguyen", "khong.co"] {
        for _ in 0..5 {
            assert_eq!(refused(world.challenge(name, "sai rồi").await), "SIGN_IN_REFUSED");
        }
        let locked = world.challenge(name, PASSWORD).await.unwrap_err();
        assert_eq!(reason(&locked), "ACCOUNT_LOCKED", "{name}");
        assert_eq!(locked.code(), Code::ResourceExhausted);
        assert_eq!(fault_of(&locked).retry_delay(), Some(Duration::from_mins(1)));
    }
}

#[tokio::test]
async fn the_lock_grows_survives_a_restart_and_opens_by_itself() {
    let world = World::start().await;
    world.person("an.nguyen", WARD, &[]).await;
    for _ in 0..5 {
        let _ = world.challenge("an.nguyen", "sai rồi").await;
    }
    let world = world.restart().await;
    assert_eq!(refused(world.challenge("an.nguyen", PASSWORD).await), "ACCOUNT_LOCKED");
    world.advance(60);
    assert_eq!(
        refused(world.challenge("an.nguyen", "sai rồi").await),
        "SIGN_IN_REFUSED"
    );
    let locked = world.challenge("an.nguyen", PASSWORD).await.unwrap_err();
    assert_eq!(
        fault_of(&locked).retry_delay(),
        Some(Duration::from_mins(2)),
        "the sixth failure doubles the lock"
    );
    world.advance(120);
    let tokens = world.session("an.nguyen").await;
    assert!(!tokens.access_token.is_empty());
    // Whoever got in begins anew.
    assert_eq!(
        refused(world.challenge("an.nguyen", "sai rồi").await),
        "SIGN_IN_REFUSED"
    );
    assert!(world.challenge("an.nguyen", PASSWORD).await.is_ok());
}

#[tokio::test]
async fn twenty_guesses_at_once_are_twenty_counted_attempts() {
    let world = World::start().await;
    world.person("an.nguyen", WARD, &[]).await;
    let mut guesses = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let mut client = world.sign_in();
        guesses.spawn(async move {
            client
                .sign_in(egov_proto::egov::identity::v1::SignInRequest {
                    username: "an.nguyen".to_owned(),
                    password: "sai rồi".to_owned(),
                })
                .await
        });
    }
    let judged = guesses
        .join_all()
        .await
        .into_iter()
        .filter(|outcome| reason(outcome.as_ref().unwrap_err()) == "SIGN_IN_REFUSED")
        .count();
    assert_eq!(judged, 5, "the rest met the lock");
}

#[tokio::test]
async fn a_lock_is_shown_and_lifted_by_the_administrator_and_by_nobody_else() {
    let world = World::start().await;
    let person = world.person("an.nguyen", WARD, &[]).await;
    for _ in 0..5 {
        let _ = world.challenge("an.nguyen", "sai rồi").await;
    }
    let admin = world.unit_admin(WARD);
    let get = GetAccountRequest {
        account_id: person.account_id.to_string(),
    };
    let account = world
        .accounts()
        .get_account(by(&admin, get))
        .await
        .unwrap()
        .into_inner()
        .account
        .unwrap();
    assert!(account.locked_until.is_some());

    let unlock = || UnlockAccountRequest {
        request_id: fresh(),
        account_id: person.account_id.to_string(),
    };
    let neighbour = world.unit_admin(crate::support::COMMUNE);
    let outcome = world.accounts().unlock_account(by(&neighbour, unlock())).await;
    assert_eq!(refused(outcome), "ACCOUNT_NOT_FOUND");
    let unlocked = world
        .accounts()
        .unlock_account(by(&admin, unlock()))
        .await
        .unwrap()
        .into_inner()
        .account
        .unwrap();
    assert_eq!(unlocked.locked_until, None);
    assert!(world.challenge("an.nguyen", PASSWORD).await.is_ok());
}

#[tokio::test]
async fn a_code_works_once_also_when_it_is_sent_twice_at_the_same_moment() {
    let world = World::start().await;
    world.person("an.nguyen", WARD, &[]).await;
    let first = world.challenge("an.nguyen", PASSWORD).await.unwrap();
    let second = world.challenge("an.nguyen", PASSWORD).await.unwrap();
    let code = world.code();
    let (one, other) = tokio::join!(world.answer(&first, &code), world.answer(&second, &code));
    let refusals: Vec<_> = [one, other]
        .into_iter()
        .filter_map(|outcome| outcome.err().map(|status| reason(&status)))
        .collect();
    assert_eq!(refusals, ["SIGN_IN_REFUSED"]);
    // The step of the code that was used, and all before it, are gone; the next one works.
    let third = world.challenge("an.nguyen", PASSWORD).await.unwrap();
    let earlier = totp::code_at(SECRET, totp::step_at(world.clock.now()) - 1);
    assert_eq!(refused(world.answer(&third, &earlier).await), "SIGN_IN_REFUSED");
    world.advance(30);
    assert!(world.answer(&third, &world.code()).await.is_ok());
}

#[tokio::test]
async fn a_challenge_is_answered_once_and_runs_out_after_five_minutes() {
    let world = World::start().await;
    world.person("an.nguyen", WARD, &[]).await;
    let used = world.challenge("an.nguyen", PASSWORD).await.unwrap();
    world.answer(&used, &world.code()).await.unwrap();
    world.advance(30);
    assert_eq!(refused(world.answer(&used, &world.code()).await), "SIGN_IN_REFUSED");
    let old = world.challenge("an.nguyen", PASSWORD).await.unwrap();
    world.advance(300);
    assert_eq!(refused(world.answer(&old, &world.code()).await), "SIGN_IN_REFUSED");
    assert_eq!(
        refused(world.answer("không có", &world.code()).await),
        "SIGN_IN_REFUSED"
    );
}

#[tokio::test]
async fn knowing_the_password_buys_no_more_guesses_at_the_code() {
    let world = World::start().await;
    world.person("an.nguyen", WARD, &[]).await;
    let right = world.code();
    let wrong = if right == "000000" { "000001" } else { "000000" };
    for _ in 0..5 {
        let challenge = world.challenge("an.nguyen", PASSWORD).await.unwrap();
        assert_eq!(refused(world.answer(&challenge, wrong).await), "SIGN_IN_REFUSED");
    }
    assert_eq!(refused(world.challenge("an.nguyen", PASSWORD).await), "ACCOUNT_LOCKED");
}

#[tokio::test]
async fn every_sign_in_and_every_refusal_is_recorded_newest_first() {
    let world = World::start().await;
    let person = world.person("an.nguyen", WARD, &[]).await;
    world.advance(1);
    let _ = world.challenge("an.nguyen", "sai rồi").await;
    world.advance(1);
    world.session("an.nguyen").await;
    let list = |size: i32, token: String| {
        let request = ListSignInsRequest {
            page_size: size,
            page_token: token,
            account_id: person.account_id.to_string(),
        };
        by(&world.unit_admin(WARD), request)
    };
    let first = world
        .accounts()
        .list_sign_ins(list(2, String::new()))
        .await
        .unwrap()
        .into_inner();
    let second = world
        .accounts()
        .list_sign_ins(list(2, first.next_page_token.clone()))
        .await
        .unwrap()
        .into_inner();
    let kinds: Vec<_> = first
        .records
        .iter()
        .chain(&second.records)
        .map(|record| record.kind.as_str())
        .collect();
    assert_eq!(kinds, ["sign_in", "sign_in_refused", "account_created"]);
    assert_eq!(second.next_page_token, "");

    let neighbour = by(
        &world.unit_admin(crate::support::COMMUNE),
        ListSignInsRequest {
            page_size: 0,
            page_token: String::new(),
            account_id: person.account_id.to_string(),
        },
    );
    let outcome = world.accounts().list_sign_ins(neighbour).await;
    assert_eq!(refused(outcome), "ACCOUNT_NOT_FOUND");
}

#[tokio::test]
async fn a_refused_name_that_nobody_has_is_recorded_without_the_name() {
    let world = World::start().await;
    let _ = world.challenge("mat-khau-go-nham", "sai rồi").await;
    let row: (Option<Uuid>, String) =
        sqlx::query_as("SELECT owner_id, detail FROM access_records WHERE kind = 'sign_in_refused'")
            .fetch_one(&mut world.sql().await)
            .await
            .unwrap();
    assert_eq!(row, (None, "unknown name".to_owned()));
}

#[tokio::test]
async fn a_hash_with_weaker_parameters_is_made_anew_at_the_next_sign_in() {
    let world = World::start().await;
    let person = world.person("an.nguyen", WARD, &[]).await;
    let stronger = world.restart_with(|settings| settings.passwords.passes = 2).await;
    stronger.session("an.nguyen").await;
    let hash: String = sqlx::query_scalar("SELECT password_hash FROM credentials WHERE account_id = $1")
        .bind(person.account_id)
        .fetch_one(&mut stronger.sql().await)
        .await
        .unwrap();
    assert!(hash.starts_with("$argon2id$v=19$m=64,t=2,p=1$"), "{hash}");
    stronger.advance(30);
    assert!(!stronger.session("an.nguyen").await.refresh_token.is_empty());
}
