//! Delegation: who may let whom act with what, what the tokens say, and how it ends.

use egov_proto::egov::identity::v1::{
    ChangeRoleEndRequest, DelegateRoleRequest, Delegation, DisableAccountRequest, EndDelegationRequest, EndRoleRequest,
    GetAccountRequest, ListDelegationsRequest, ListSignInsRequest, RefreshTokensRequest, TokenPair,
};
use egov_proto::google::r#type::Date;
use jiff::civil::date;
use tonic::Status;
use uuid::Uuid;

use crate::support::{COMMUNE, PROVINCE, WARD, WARD_OFFICE, World, by, fresh, refused};

/// Somebody with a role, and the grant of it.
pub struct Holder {
    account: Uuid,
    pub grant: String,
    pub tokens: TokenPair,
}

pub async fn holder(world: &World, name: &str, role: &str, unit: i32) -> Holder {
    let account = world.person(name, unit, &[(role, unit)]).await.account_id;
    Holder {
        account,
        grant: grant_of(world, account).await,
        tokens: world.session(name).await,
    }
}

async fn grant_of(world: &World, account: Uuid) -> String {
    sqlx::query_scalar::<_, Uuid>("SELECT grant_id FROM role_grants WHERE account_id = $1")
        .bind(account)
        .fetch_one(&mut world.sql().await)
        .await
        .unwrap()
        .to_string()
}

pub fn to(grant: &str, username: &str) -> DelegateRoleRequest {
    DelegateRoleRequest {
        request_id: fresh(),
        grant_id: grant.to_owned(),
        delegatee_username: username.to_owned(),
        effective_from: None,
        effective_to: Some(Date::from(date(2026, 12, 1))),
        reason: "đi công tác".to_owned(),
        document_number: "12/GUQ-UBND".to_owned(),
    }
}

pub async fn delegate(world: &World, token: &str, request: DelegateRoleRequest) -> Result<Delegation, Status> {
    world
        .access()
        .delegate_role(by(token, request))
        .await
        .map(|answer| answer.into_inner().delegation.unwrap())
}

pub async fn end(world: &World, token: &str, delegation: &Delegation) -> Result<Delegation, Status> {
    let request = EndDelegationRequest {
        request_id: fresh(),
        delegation_id: delegation.delegation_id.clone(),
        reason: "đã về".to_owned(),
    };
    world
        .access()
        .end_delegation(by(token, request))
        .await
        .map(|answer| answer.into_inner().delegation.unwrap())
}

async fn refresh(world: &World, tokens: &TokenPair) -> TokenPair {
    world
        .sign_in()
        .refresh_tokens(RefreshTokensRequest {
            refresh_token: tokens.refresh_token.clone(),
        })
        .await
        .unwrap()
        .into_inner()
        .tokens
        .unwrap()
}

/// Whether the token is void, and whom the account of it acts for afterwards.
async fn acts_for(world: &World, tokens: &mut TokenPair) -> Vec<Uuid> {
    *tokens = refresh(world, tokens).await;
    let principal = world.verified(&tokens.access_token).await;
    principal.delegated.iter().map(|one| one.delegator).collect()
}

async fn list(world: &World, token: &str, all_times: bool) -> Vec<Delegation> {
    let request = ListDelegationsRequest {
        page_size: 0,
        page_token: String::new(),
        account_id: String::new(),
        all_times,
    };
    world
        .access()
        .list_delegations(by(token, request))
        .await
        .unwrap()
        .into_inner()
        .delegations
}

async fn is_void(world: &World, tokens: &TokenPair) -> bool {
    let request = GetAccountRequest {
        account_id: Uuid::nil().to_string(),
    };
    let outcome = world.accounts().get_account(by(&tokens.access_token, request)).await;
    refused(outcome) == "TOKEN_REVOKED"
}

#[tokio::test]
async fn the_delegatee_acts_in_the_delegators_name_and_the_delegator_keeps_the_role() {
    let world = World::start().await;
    let leader = holder(&world, "lanh.dao", "officer", WARD).await;
    let deputy = world.person("cap.pho", WARD_OFFICE, &[]).await.account_id;
    let mut tokens = world.session("cap.pho").await;
    let made = delegate(&world, &leader.tokens.access_token, to(&leader.grant, "cap.pho"))
        .await
        .unwrap();
    assert!(made.in_force);
    assert_eq!(made.delegatee_id, deputy.to_string());
    assert_eq!(made.document_number, "12/GUQ-UBND");
    assert_eq!(acts_for(&world, &mut tokens).await, [leader.account]);
    let principal = world.verified(&tokens.access_token).await;
    assert!(principal.roles.is_empty(), "it is not the deputy's own");
    assert_eq!(principal.delegated[0].held.role, "officer");
    assert_eq!(principal.delegated[0].held.unit, WARD);
    let kept = refresh(&world, &leader.tokens).await;
    assert_eq!(world.verified(&kept.access_token).await.roles.len(), 1);
    // Both sides see it, by their own token, and nobody else without administration does.
    for token in [&kept.access_token, &tokens.access_token] {
        let shown = list(&world, token, false).await;
        assert_eq!(shown.len(), 1);
        assert_eq!(shown[0].delegator_name, "Nguyễn Văn An");
    }
    world.person("nguoi.ngoai", WARD, &[]).await;
    let other = world.session("nguoi.ngoai").await;
    assert!(list(&world, &other.access_token, true).await.is_empty());
    assert!(list(&world, &world.unit_admin(COMMUNE), true).await.is_empty());
    assert_eq!(list(&world, &world.unit_admin(WARD), true).await.len(), 1);
}

#[tokio::test]
async fn only_the_holder_delegates_only_what_is_delegable_only_within_its_days_and_units() {
    let world = World::start().await;
    let leader = holder(&world, "lanh.dao", "officer", WARD).await;
    let admin = holder(&world, "quan.tri", "unit_admin", WARD).await;
    let clerk = holder(&world, "mot.cua", "one_stop_clerk", WARD).await;
    world.person("cap.pho", WARD, &[]).await;
    world.person("xa.khac", COMMUNE, &[]).await;
    world.person("cap.tinh", PROVINCE, &[]).await;
    let token = &leader.tokens.access_token;
    let until = |day| DelegateRoleRequest {
        effective_to: Some(Date::from(day)),
        ..to(&leader.grant, "cap.pho")
    };
    let from = |day| DelegateRoleRequest {
        effective_from: Some(Date::from(day)),
        ..to(&leader.grant, "cap.pho")
    };
    for (name, token, request, expected) in [
        ("another's grant", token, to(&clerk.grant, "cap.pho"), "GRANT_NOT_FOUND"),
        ("no grant", token, to(&fresh(), "cap.pho"), "GRANT_NOT_FOUND"),
        (
            "an administrator for another",
            &admin.tokens.access_token,
            to(&leader.grant, "cap.pho"),
            "GRANT_NOT_FOUND",
        ),
        (
            "administration",
            &admin.tokens.access_token,
            to(&admin.grant, "cap.pho"),
            "ROLE_NOT_DELEGABLE",
        ),
        (
            "a role whose policy does not allow it",
            &clerk.tokens.access_token,
            to(&clerk.grant, "cap.pho"),
            "ROLE_NOT_DELEGABLE",
        ),
        ("oneself", token, to(&leader.grant, "lanh.dao"), "ACCOUNT_NOT_FOUND"),
        ("a neighbour", token, to(&leader.grant, "xa.khac"), "ACCOUNT_NOT_FOUND"),
        (
            "the unit above",
            token,
            to(&leader.grant, "cap.tinh"),
            "ACCOUNT_NOT_FOUND",
        ),
        ("nobody", token, to(&leader.grant, "khong.co"), "ACCOUNT_NOT_FOUND"),
        (
            "no time at all",
            token,
            until(date(2026, 11, 23)),
            "DELEGATION_BEYOND_GRANT",
        ),
        ("too long", token, until(date(2028, 1, 1)), "DELEGATION_BEYOND_GRANT"),
        ("the past", token, from(date(2026, 11, 22)), "DELEGATION_BEYOND_GRANT"),
    ] {
        assert_eq!(refused(delegate(&world, token, request).await), expected, "{name}");
    }
    let endless = DelegateRoleRequest {
        effective_to: None,
        ..to(&leader.grant, "cap.pho")
    };
    assert_eq!(refused(delegate(&world, token, endless).await), "INVALID_FIELD");
    let nothing: i64 = sqlx::query_scalar("SELECT count(*) FROM delegations")
        .fetch_one(&mut world.sql().await)
        .await
        .unwrap();
    assert_eq!(nothing, 0);
    assert!(delegate(&world, token, to(&leader.grant, "cap.pho")).await.is_ok());
    assert_eq!(
        refused(delegate(&world, token, to(&leader.grant, "cap.pho")).await),
        "DELEGATION_EXISTS"
    );
}

#[tokio::test]
async fn what_was_delegated_cannot_be_delegated_again() {
    let world = World::start().await;
    let leader = holder(&world, "lanh.dao", "officer", WARD).await;
    world.person("cap.pho", WARD, &[]).await;
    world.person("cap.ba", WARD, &[]).await;
    delegate(&world, &leader.tokens.access_token, to(&leader.grant, "cap.pho"))
        .await
        .unwrap();
    let deputy = world.session("cap.pho").await;
    let outcome = delegate(&world, &deputy.access_token, to(&leader.grant, "cap.ba")).await;
    assert_eq!(refused(outcome), "GRANT_NOT_FOUND");
}

#[tokio::test]
async fn nobody_acts_for_more_than_ten_others() {
    let world = World::start().await;
    world.person("cap.pho", WARD, &[]).await;
    for number in 0..11 {
        let name = format!("lanh.dao{number}");
        let leader = holder(&world, &name, "officer", WARD).await;
        let outcome = delegate(&world, &leader.tokens.access_token, to(&leader.grant, "cap.pho")).await;
        if number < 10 {
            assert!(outcome.is_ok(), "{outcome:?}");
        } else {
            assert_eq!(refused(outcome), "DELEGATIONS_FULL");
        }
    }
    let tokens = world.session("cap.pho").await;
    assert_eq!(world.verified(&tokens.access_token).await.delegated.len(), 10);
    assert!(tokens.access_token.len() < 4096, "{}", tokens.access_token.len());
}

#[tokio::test]
async fn the_same_request_delegates_once_also_when_it_is_sent_twice_at_the_same_moment() {
    let world = World::start().await;
    let leader = holder(&world, "lanh.dao", "officer", WARD).await;
    world.person("cap.pho", WARD, &[]).await;
    let token = leader.tokens.access_token.clone();
    let request = to(&leader.grant, "cap.pho");
    let (one, two) = tokio::join!(
        delegate(&world, &token, request.clone()),
        delegate(&world, &token, request.clone())
    );
    assert_eq!(one.unwrap(), two.unwrap());
    // Two different requests for the same thing at once: one is made.
    let later = || DelegateRoleRequest {
        effective_from: Some(Date::from(date(2026, 12, 1))),
        effective_to: Some(Date::from(date(2026, 12, 31))),
        ..to(&leader.grant, "cap.pho")
    };
    let (one, two) = tokio::join!(delegate(&world, &token, later()), delegate(&world, &token, later()));
    let refusals: Vec<String> = [one, two]
        .into_iter()
        .filter_map(Result::err)
        .map(|status| crate::support::reason(&status))
        .collect();
    assert_eq!(refusals, ["DELEGATION_EXISTS"]);
}

#[tokio::test]
async fn either_side_and_the_administrators_end_it_and_a_neighbour_does_not() {
    let world = World::start().await;
    let leader = holder(&world, "lanh.dao", "officer", WARD).await;
    world.person("cap.pho", WARD, &[]).await;
    world.person("nguoi.ngoai", WARD, &[]).await;
    let other = world.session("nguoi.ngoai").await;
    let mut deputy = world.session("cap.pho").await;
    for ender in ["delegator", "delegatee", "unit admin", "province admin"] {
        let leader_token = refresh_of(&world, "lanh.dao").await;
        let made = delegate(&world, &leader_token, to(&leader.grant, "cap.pho"))
            .await
            .unwrap();
        assert_eq!(acts_for(&world, &mut deputy).await, [leader.account]);
        assert_eq!(
            refused(end(&world, &other.access_token, &made).await),
            "DELEGATION_NOT_FOUND"
        );
        assert_eq!(
            refused(end(&world, &world.unit_admin(COMMUNE), &made).await),
            "DELEGATION_NOT_FOUND"
        );
        let token = match ender {
            "delegator" => leader_token,
            "delegatee" => deputy.access_token.clone(),
            "unit admin" => world.unit_admin(WARD),
            _ => world.province_admin(),
        };
        let ended = end(&world, &token, &made).await.unwrap();
        assert!(!ended.in_force && ended.end_time.is_some(), "{ender}");
        // At once: what was issued with the role is void, and the session goes on without it.
        assert!(is_void(&world, &deputy).await, "{ender}");
        assert!(acts_for(&world, &mut deputy).await.is_empty(), "{ender}");
    }
}

/// A token of a new session, half a minute later, because a code works once.
async fn refresh_of(world: &World, name: &str) -> String {
    world.later(30).await;
    world.session(name).await.access_token
}

#[tokio::test]
async fn a_delegation_ends_with_the_grant_it_rests_on_and_with_either_account() {
    let world = World::start().await;
    let admin = world.unit_admin(WARD);
    for (round, what) in ["grant", "delegator", "delegatee"].into_iter().enumerate() {
        let (boss, second) = (format!("lanh.dao{round}"), format!("cap.pho{round}"));
        let leader = holder(&world, &boss, "officer", WARD).await;
        let deputy = world.person(&second, WARD, &[]).await.account_id;
        delegate(&world, &leader.tokens.access_token, to(&leader.grant, &second))
            .await
            .unwrap();
        let mut tokens = world.session(&second).await;
        assert_eq!(world.verified(&tokens.access_token).await.delegated.len(), 1);
        let close = |account: Uuid| DisableAccountRequest {
            request_id: fresh(),
            account_id: account.to_string(),
            reason: "nghỉ việc".to_owned(),
        };
        match what {
            "grant" => {
                let request = EndRoleRequest {
                    request_id: fresh(),
                    account_id: leader.account.to_string(),
                    grant_id: leader.grant.clone(),
                    reason: "luân chuyển".to_owned(),
                };
                world.accounts().end_role(by(&admin, request)).await.map(drop).unwrap();
            }
            "delegator" => world
                .accounts()
                .disable_account(by(&admin, close(leader.account)))
                .await
                .map(drop)
                .unwrap(),
            _ => world
                .accounts()
                .disable_account(by(&admin, close(deputy)))
                .await
                .map(drop)
                .unwrap(),
        }
        assert!(is_void(&world, &tokens).await, "{what}");
        if what != "delegatee" {
            assert!(acts_for(&world, &mut tokens).await.is_empty(), "{what}");
        }
        let ended = list(&world, &admin, true).await;
        let ended = ended.iter().find(|one| one.grant_id == leader.grant).unwrap();
        assert!(ended.end_time.is_some() && !ended.in_force, "{what}");
    }
}

#[tokio::test]
async fn a_delegation_counts_from_its_first_day_and_never_longer_than_a_shortened_grant() {
    let world = World::start().await;
    let leader = holder(&world, "lanh.dao", "officer", WARD).await;
    world.person("cap.pho", WARD, &[]).await;
    let request = DelegateRoleRequest {
        effective_from: Some(Date::from(date(2026, 11, 24))),
        ..to(&leader.grant, "cap.pho")
    };
    delegate(&world, &leader.tokens.access_token, request).await.unwrap();
    let request = ChangeRoleEndRequest {
        request_id: fresh(),
        grant_id: leader.grant.clone(),
        effective_to: Some(Date::from(date(2026, 11, 26))),
        reason: "điều động".to_owned(),
    };
    world
        .access()
        .change_role_end(by(&world.unit_admin(WARD), request))
        .await
        .unwrap();
    let mut held = Vec::new();
    for _ in 0..4 {
        let tokens = world.session("cap.pho").await;
        held.push(world.verified(&tokens.access_token).await.delegated.len());
        world.advance(24 * 3600);
    }
    assert_eq!(held, [0, 1, 1, 0]);
}

#[tokio::test]
async fn delegations_are_recorded_about_both_sides_announced_and_committed_to() {
    let world = World::start().await;
    let leader = holder(&world, "lanh.dao", "officer", WARD).await;
    // Of an office below the unit of the role: the leader sees no account of it.
    let deputy = world.person("cap.pho", WARD_OFFICE, &[]).await.account_id;
    let made = delegate(&world, &leader.tokens.access_token, to(&leader.grant, "cap.pho"))
        .await
        .unwrap();
    world.later(1).await;
    let tokens = world.session("cap.pho").await;
    end(&world, &tokens.access_token, &made).await.unwrap();
    for (account, kinds) in [
        (leader.account, vec!["delegation_ended", "role_delegated"]),
        (deputy, vec!["delegation_ended", "role_delegated"]),
    ] {
        let request = ListSignInsRequest {
            page_size: 0,
            page_token: String::new(),
            account_id: account.to_string(),
        };
        let records = world
            .accounts()
            .list_sign_ins(by(&world.unit_admin(WARD), request))
            .await
            .unwrap()
            .into_inner()
            .records;
        let found: Vec<&str> = records
            .iter()
            .map(|record| record.kind.as_str())
            .filter(|kind| kind.contains("deleg"))
            .collect();
        assert_eq!(found, kinds);
    }
    let mut sql = world.sql().await;
    let id: Uuid = made.delegation_id.parse().unwrap();
    let events: Vec<(String, i64, serde_json::Value)> = sqlx::query_as(
        "SELECT kind, version, payload FROM egov.outbox WHERE aggregate_id = $1
         UNION ALL SELECT kind, version, payload FROM egov.event_log WHERE aggregate_id = $1 ORDER BY 2",
    )
    .bind(id)
    .fetch_all(&mut sql)
    .await
    .unwrap();
    assert_eq!(events.len(), 2);
    assert_eq!(
        (events[0].0.as_str(), events[1].0.as_str()),
        ("role_delegated", "delegation_ended")
    );
    let leaves: i64 =
        sqlx::query_scalar("SELECT count(*) FROM egov.leaves WHERE kind = 'delegation' AND resource_id = $1")
            .bind(id)
            .fetch_one(&mut sql)
            .await
            .unwrap();
    assert_eq!(leaves, 2);
    let text = serde_json::to_string(&events.iter().map(|event| &event.2).collect::<Vec<_>>()).unwrap();
    assert!(!text.contains("Nguyễn") && !text.contains("công tác"), "{text}");
    crate::ledger::untouched(&world).await;
}
