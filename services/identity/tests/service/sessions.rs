//! Refresh tokens, sign-out, and what ends a session.

use egov_proto::egov::identity::v1::{
    DisableAccountRequest, GetAccountRequest, RefreshTokensRequest, SignOutRequest, TokenPair,
};
use tonic::Status;

use crate::support::{WARD, World, by, fresh, reason, refused};

async fn refresh(world: &World, token: &str) -> Result<TokenPair, Status> {
    world
        .sign_in()
        .refresh_tokens(RefreshTokensRequest {
            refresh_token: token.to_owned(),
        })
        .await
        .map(|answer| answer.into_inner().tokens.unwrap())
}

/// Whether the access token still opens the port.
async fn opens(world: &World, account_id: &str, access_token: &str) -> Result<(), String> {
    let request = GetAccountRequest {
        account_id: account_id.to_owned(),
    };
    world
        .accounts()
        .get_account(by(access_token, request))
        .await
        .map(drop)
        .map_err(|status| reason(&status))
}

#[tokio::test]
async fn each_refresh_gives_a_new_pair_of_the_same_session() {
    let world = World::start().await;
    world.person("an.nguyen", WARD, &[("one_stop_clerk", WARD)]).await;
    let first = world.session("an.nguyen").await;
    world.advance(240);
    let second = refresh(&world, &first.refresh_token).await.unwrap();
    world.advance(240);
    let third = refresh(&world, &second.refresh_token).await.unwrap();
    assert_ne!(first.refresh_token, second.refresh_token);
    assert_ne!(second.refresh_token, third.refresh_token);
    let (before, after) = (
        world.own_verifier.verify(&second.access_token).await.unwrap(),
        world.verified(&third.access_token).await,
    );
    assert_eq!(before.session, after.session);
    assert_eq!(after.roles.len(), 1);
}

#[tokio::test]
async fn a_refresh_token_used_a_second_time_ends_the_session_for_both() {
    let world = World::start().await;
    let person = world.person("an.nguyen", WARD, &[]).await;
    let account = person.account_id.to_string();
    let first = world.session("an.nguyen").await;
    let second = refresh(&world, &first.refresh_token).await.unwrap();
    assert_eq!(opens(&world, &account, &second.access_token).await, Ok(()));
    assert_eq!(
        refused(refresh(&world, &first.refresh_token).await),
        "REFRESH_TOKEN_REUSED"
    );
    // The thief's and the owner's tokens are void alike, at once.
    assert_eq!(
        refused(refresh(&world, &second.refresh_token).await),
        "REFRESH_TOKEN_INVALID"
    );
    assert_eq!(
        opens(&world, &account, &second.access_token).await,
        Err("TOKEN_REVOKED".to_owned())
    );
    let recorded: i64 = sqlx::query_scalar("SELECT count(*) FROM access_records WHERE kind = 'reuse_detected'")
        .fetch_one(&mut world.sql().await)
        .await
        .unwrap();
    assert_eq!(recorded, 1);
    // Another session of the same person is not concerned.
    world.advance(30);
    let other = world.session("an.nguyen").await;
    assert_eq!(opens(&world, &account, &other.access_token).await, Ok(()));
}

#[tokio::test]
async fn of_many_simultaneous_refreshes_exactly_one_wins_and_the_session_ends() {
    let world = World::start().await;
    world.person("an.nguyen", WARD, &[]).await;
    // Several rounds: the first opens the connections, on the others nothing keeps the requests apart.
    for _ in 0..6 {
        let tokens = world.session("an.nguyen").await;
        let mut all = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let mut client = world.sign_in();
            let refresh_token = tokens.refresh_token.clone();
            all.spawn(async move { client.refresh_tokens(RefreshTokensRequest { refresh_token }).await });
        }
        let mut won = Vec::new();
        let mut lost = Vec::new();
        for outcome in all.join_all().await {
            match outcome {
                Ok(answer) => won.push(answer.into_inner().tokens.unwrap()),
                Err(status) => lost.push(reason(&status)),
            }
        }
        assert_eq!(won.len(), 1);
        lost.sort_unstable();
        lost.dedup();
        // The first loser ends the session; those after it find it ended.
        assert_eq!(lost, ["REFRESH_TOKEN_INVALID", "REFRESH_TOKEN_REUSED"]);
        assert_eq!(
            refused(refresh(&world, &won[0].refresh_token).await),
            "REFRESH_TOKEN_INVALID"
        );
        world.advance(30);
    }
}

#[tokio::test]
async fn a_session_ends_when_it_idles_and_at_the_latest_after_twelve_hours() {
    let world = World::start().await;
    world.person("an.nguyen", WARD, &[]).await;
    let idle = world.session("an.nguyen").await;
    world.advance(3600);
    assert_eq!(
        refused(refresh(&world, &idle.refresh_token).await),
        "REFRESH_TOKEN_INVALID"
    );
    let mut tokens = world.session("an.nguyen").await;
    for _ in 0..13 {
        world.advance(3300);
        tokens = refresh(&world, &tokens.refresh_token).await.unwrap();
    }
    world.advance(300);
    assert_eq!(
        refused(refresh(&world, &tokens.refresh_token).await),
        "REFRESH_TOKEN_INVALID"
    );
    assert_eq!(refused(refresh(&world, "không có").await), "REFRESH_TOKEN_INVALID");
}

#[tokio::test]
async fn signing_out_ends_the_refresh_token_and_the_access_token() {
    let world = World::start().await;
    let person = world.person("an.nguyen", WARD, &[]).await;
    let account = person.account_id.to_string();
    let tokens = world.session("an.nguyen").await;
    world
        .sign_in()
        .sign_out(by(&tokens.access_token, SignOutRequest {}))
        .await
        .unwrap();
    assert_eq!(
        refused(refresh(&world, &tokens.refresh_token).await),
        "REFRESH_TOKEN_INVALID"
    );
    assert_eq!(
        opens(&world, &account, &tokens.access_token).await,
        Err("TOKEN_REVOKED".to_owned())
    );
    let outcome = world.sign_in().sign_out(SignOutRequest {}).await;
    assert_eq!(refused(outcome), "TOKEN_MISSING");
}

#[tokio::test]
async fn closing_an_account_ends_its_sessions_and_refuses_the_next_sign_in() {
    let world = World::start().await;
    let person = world.person("an.nguyen", WARD, &[]).await;
    let account = person.account_id.to_string();
    let tokens = world.session("an.nguyen").await;
    let request = DisableAccountRequest {
        request_id: fresh(),
        account_id: account.clone(),
        reason: "nghỉ việc".to_owned(),
    };
    let closed = world
        .accounts()
        .disable_account(by(&world.unit_admin(WARD), request))
        .await
        .unwrap()
        .into_inner()
        .account
        .unwrap();
    assert!(closed.disabled);
    assert_eq!(
        refused(refresh(&world, &tokens.refresh_token).await),
        "REFRESH_TOKEN_INVALID"
    );
    assert_eq!(
        opens(&world, &account, &tokens.access_token).await,
        Err("TOKEN_REVOKED".to_owned())
    );
    assert_eq!(
        refused(world.challenge("an.nguyen", crate::support::PASSWORD).await),
        "SIGN_IN_REFUSED"
    );
}
