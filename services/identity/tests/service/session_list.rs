//! Sessions: listed by their owner and by administrators, ended one by one and all at once.

use egov_proto::egov::identity::v1::revocation::Target;
use egov_proto::egov::identity::v1::{
    EndAllSessionsRequest, EndSessionRequest, GetAccountRequest, ListMySessionsRequest, ListSessionsRequest,
    RefreshTokensRequest, Session, TokenPair,
};
use tonic::Status;
use uuid::Uuid;

use crate::support::{COMMUNE, PROVINCE, WARD, World, by, fresh, refused};

async fn mine(world: &World, tokens: &TokenPair) -> Vec<Session> {
    world
        .sessions()
        .list_my_sessions(by(&tokens.access_token, ListMySessionsRequest {}))
        .await
        .unwrap()
        .into_inner()
        .sessions
}

async fn of(world: &World, token: &str, account: Uuid) -> Result<Vec<Session>, Status> {
    let request = ListSessionsRequest {
        account_id: account.to_string(),
    };
    world
        .sessions()
        .list_sessions(by(token, request))
        .await
        .map(|answer| answer.into_inner().sessions)
}

async fn end(world: &World, token: &str, session_id: &str) -> Result<(), Status> {
    let request = EndSessionRequest {
        request_id: fresh(),
        session_id: session_id.to_owned(),
    };
    world.sessions().end_session(by(token, request)).await.map(drop)
}

async fn end_all(world: &World, token: &str, account_id: &str, except_current: bool) -> Result<i32, Status> {
    let request = EndAllSessionsRequest {
        request_id: fresh(),
        account_id: account_id.to_owned(),
        except_current,
    };
    world
        .sessions()
        .end_all_sessions(by(token, request))
        .await
        .map(|answer| answer.into_inner().ended)
}

/// Whether both tokens of a pair are void.
async fn is_over(world: &World, tokens: &TokenPair) -> bool {
    let request = GetAccountRequest {
        account_id: Uuid::nil().to_string(),
    };
    let access = world.accounts().get_account(by(&tokens.access_token, request)).await;
    let refresh = world
        .sign_in()
        .refresh_tokens(RefreshTokensRequest {
            refresh_token: tokens.refresh_token.clone(),
        })
        .await;
    let access = refused(access) == "TOKEN_REVOKED";
    assert_eq!(access, refresh.is_err(), "both tokens of a session share its fate");
    access
}

async fn three_sessions(world: &World, name: &str) -> [TokenPair; 3] {
    let first = world.session(name).await;
    world.advance(30);
    let second = world.session(name).await;
    world.advance(30);
    [first, second, world.session(name).await]
}

#[tokio::test]
async fn a_person_sees_the_own_sessions_the_current_one_marked_and_no_address_or_version_kept() {
    let world = World::start().await;
    world.person("an.nguyen", WARD, &[]).await;
    world.person("binh.tran", WARD, &[]).await;
    let [first, second, third] = three_sessions(&world, "an.nguyen").await;
    world.session("binh.tran").await;
    let shown = mine(&world, &second).await;
    assert_eq!(shown.len(), 3, "and none of anybody else's");
    let current: Vec<bool> = shown.iter().map(|session| session.current).collect();
    assert_eq!(current, [false, true, false], "the newest first");
    let principal = world.verified(&third.access_token).await;
    assert_eq!(shown[0].session_id, principal.session.unwrap().to_string());
    // The client of the tests names itself "tonic/VERSION".
    assert!(shown.iter().all(|session| session.client_hint == "tonic"), "{shown:?}");
    let columns: Vec<String> = sqlx::query_scalar(
        "SELECT column_name::text FROM information_schema.columns WHERE table_name = 'sessions' ORDER BY 1",
    )
    .fetch_all(&mut world.sql().await)
    .await
    .unwrap();
    assert!(
        !columns
            .iter()
            .any(|column| column.contains("ip") || column.contains("addr")),
        "{columns:?}"
    );
    // What idles too long is no session any more; what was renewed says when.
    world.advance(3500);
    let request = RefreshTokensRequest {
        refresh_token: first.refresh_token.clone(),
    };
    let renewed = world
        .sign_in()
        .refresh_tokens(request)
        .await
        .unwrap()
        .into_inner()
        .tokens
        .unwrap();
    world.advance(200);
    let shown = mine(&world, &renewed).await;
    assert_eq!(shown.len(), 1);
    assert!(shown[0].last_refresh_time.unwrap().seconds > shown[0].create_time.unwrap().seconds + 3000);
    assert!(shown[0].current);
}

#[tokio::test]
async fn a_session_is_ended_by_its_owner_at_once_and_no_other_is() {
    let world = World::start().await;
    world.person("an.nguyen", WARD, &[]).await;
    world.person("binh.tran", WARD, &[]).await;
    let [first, second, third] = three_sessions(&world, "an.nguyen").await;
    let other = world.session("binh.tran").await;
    let shown = mine(&world, &third).await;
    let oldest = &shown[2].session_id;
    assert_eq!(
        refused(end(&world, &other.access_token, oldest).await),
        "SESSION_NOT_FOUND"
    );
    assert_eq!(
        refused(end(&world, &third.access_token, &fresh()).await),
        "SESSION_NOT_FOUND"
    );
    end(&world, &third.access_token, oldest).await.unwrap();
    assert!(is_over(&world, &first).await);
    assert!(!is_over(&world, &second).await);
    assert_eq!(
        refused(end(&world, &third.access_token, oldest).await),
        "SESSION_NOT_FOUND"
    );
}

#[tokio::test]
async fn signing_out_everywhere_spares_the_current_session_only_if_that_is_asked_for() {
    let world = World::start().await;
    world.person("an.nguyen", WARD, &[]).await;
    let [first, second, third] = three_sessions(&world, "an.nguyen").await;
    assert_eq!(end_all(&world, &third.access_token, "", true).await.unwrap(), 2);
    assert!(is_over(&world, &first).await && is_over(&world, &second).await);
    assert_eq!(mine(&world, &third).await.len(), 1);
    assert_eq!(end_all(&world, &third.access_token, "", false).await.unwrap(), 1);
    assert!(is_over(&world, &third).await);
    // A new sign-in, in the same second, is not concerned.
    world.advance(30);
    let again = world.session("an.nguyen").await;
    assert!(!is_over(&world, &again).await);
}

#[tokio::test]
async fn the_same_sign_out_everywhere_twice_at_once_is_one() {
    let world = World::start().await;
    let account = world.person("an.nguyen", WARD, &[]).await.account_id;
    three_sessions(&world, "an.nguyen").await;
    let request = EndAllSessionsRequest {
        request_id: fresh(),
        account_id: account.to_string(),
        except_current: false,
    };
    let token = world.unit_admin(WARD);
    let mut clients = (world.sessions(), world.sessions());
    let (one, two) = tokio::join!(
        clients.0.end_all_sessions(by(&token, request.clone())),
        clients.1.end_all_sessions(by(&token, request.clone()))
    );
    assert_eq!(
        (one.unwrap().into_inner().ended, two.unwrap().into_inner().ended),
        (3, 3)
    );
    let recorded: i64 = sqlx::query_scalar("SELECT count(*) FROM access_records WHERE kind = 'sessions_ended'")
        .fetch_one(&mut world.sql().await)
        .await
        .unwrap();
    assert_eq!(recorded, 1);
}

#[tokio::test]
async fn an_administrator_of_the_unit_lists_and_ends_sessions_recorded_and_a_neighbour_does_not() {
    let world = World::start().await;
    let account = world.person("an.nguyen", WARD, &[]).await.account_id;
    let [first, ..] = three_sessions(&world, "an.nguyen").await;
    let (ward, commune) = (world.unit_admin(WARD), world.unit_admin(COMMUNE));
    assert_eq!(refused(of(&world, &commune, account).await), "ACCOUNT_NOT_FOUND");
    assert_eq!(
        refused(of(&world, &world.clerk(WARD), account).await),
        "ACCOUNT_NOT_FOUND"
    );
    let shown = of(&world, &ward, account).await.unwrap();
    assert_eq!(shown.len(), 3);
    assert!(shown.iter().all(|session| !session.current));
    let reads: i64 = sqlx::query_scalar("SELECT count(*) FROM egov.read_records WHERE subjects @> ARRAY[$1]")
        .bind(account)
        .fetch_one(&mut world.sql().await)
        .await
        .unwrap();
    assert_eq!(reads, 1);
    let oldest = &shown[2].session_id;
    assert_eq!(refused(end(&world, &commune, oldest).await), "SESSION_NOT_FOUND");
    assert_eq!(
        refused(end(&world, &world.clerk(WARD), oldest).await),
        "SESSION_NOT_FOUND"
    );
    end(&world, &ward, oldest).await.unwrap();
    assert!(is_over(&world, &first).await);
    let id = account.to_string();
    assert_eq!(
        refused(end_all(&world, &commune, &id, false).await),
        "ACCOUNT_NOT_FOUND"
    );
    assert_eq!(end_all(&world, &ward, &id, false).await.unwrap(), 2);
    // Who holds a role elsewhere is signed out by somebody who administers that as well.
    let high = world
        .person("cap.tinh", WARD, &[("province_admin", PROVINCE)])
        .await
        .account_id;
    world.session("cap.tinh").await;
    assert_eq!(
        refused(end_all(&world, &ward, &high.to_string(), false).await),
        "PERMISSION_MISSING"
    );
    assert_eq!(
        end_all(&world, &world.province_admin(), &high.to_string(), false)
            .await
            .unwrap(),
        1
    );
}

#[tokio::test]
async fn an_ended_session_is_in_the_feed_that_every_service_follows() {
    let world = World::start().await;
    world.person("an.nguyen", WARD, &[]).await;
    let [first, _, third] = three_sessions(&world, "an.nguyen").await;
    let before = world.verified(&first.access_token).await.session.unwrap();
    let shown = mine(&world, &third).await;
    end(&world, &third.access_token, &shown[2].session_id).await.unwrap();
    let feed = world
        .keys()
        .list_revocations(egov_proto::egov::identity::v1::ListRevocationsRequest { after: 0 })
        .await
        .unwrap()
        .into_inner();
    let ended = Some(Target::SessionId(before.to_string()));
    assert!(feed.revocations.iter().any(|entry| entry.target == ended), "{feed:?}");
}
