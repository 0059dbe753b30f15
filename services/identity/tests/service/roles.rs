//! Roles: who gives what to whom, from when, and how they end.

use egov_proto::egov::identity::v1::{Account, EndRoleRequest, GrantRoleRequest, RefreshTokensRequest};
use egov_proto::google::r#type::Date;
use jiff::civil::date;
use tonic::Status;
use uuid::Uuid;

use crate::support::{COMMUNE, PROVINCE, WARD, WARD_OFFICE, World, by, fresh, reason, refused};

fn grant(account: Uuid, role: &str, unit_id: i32) -> GrantRoleRequest {
    GrantRoleRequest {
        request_id: fresh(),
        account_id: account.to_string(),
        role: role.to_owned(),
        unit_id,
        effective_from: None,
        effective_to: None,
        reason: String::new(),
    }
}

async fn give(world: &World, token: &str, request: GrantRoleRequest) -> Result<Account, Status> {
    world
        .accounts()
        .grant_role(by(token, request))
        .await
        .map(|answer| answer.into_inner().account.unwrap())
}

#[tokio::test]
async fn a_role_is_in_the_tokens_from_its_first_day_to_the_day_before_its_end() {
    let world = World::start().await;
    let person = world.person("an.nguyen", WARD, &[]).await;
    // It is the 23rd of November; the role lasts from the 24th to the 25th.
    let request = GrantRoleRequest {
        effective_from: Some(Date::from(date(2026, 11, 24))),
        effective_to: Some(Date::from(date(2026, 11, 26))),
        ..grant(person.account_id, "one_stop_clerk", WARD)
    };
    let account = give(&world, &world.unit_admin(WARD), request).await.unwrap();
    assert_eq!(account.roles.len(), 1);
    assert_eq!(account.etag, "2");
    let mut held = Vec::new();
    for _ in 0..4 {
        let tokens = world.session("an.nguyen").await;
        held.push(world.verified(&tokens.access_token).await.roles.len());
        world.advance(24 * 3600);
    }
    assert_eq!(held, [0, 1, 1, 0]);
}

#[tokio::test]
async fn a_day_begins_in_vietnam_not_in_greenwich() {
    let world = World::start().await;
    let person = world.person("an.nguyen", WARD, &[]).await;
    let request = GrantRoleRequest {
        effective_from: Some(Date::from(date(2026, 11, 24))),
        ..grant(person.account_id, "one_stop_clerk", WARD)
    };
    give(&world, &world.unit_admin(WARD), request).await.unwrap();
    // 16:59:30 in Greenwich is half a minute before midnight in Vietnam.
    world.advance(15 * 3600 + 59 * 60 + 30);
    let tokens = world.session("an.nguyen").await;
    assert!(world.verified(&tokens.access_token).await.roles.is_empty());
    world.advance(30);
    let tokens = world.session("an.nguyen").await;
    assert_eq!(world.verified(&tokens.access_token).await.roles.len(), 1);
}

#[tokio::test]
async fn nobody_gives_a_role_outside_the_own_units_or_with_more_administration_than_the_own() {
    let world = World::start().await;
    let here = world.person("an.nguyen", WARD, &[]).await.account_id;
    let there = world.person("binh.tran", COMMUNE, &[]).await.account_id;
    let ward_admin = world.unit_admin(WARD);
    for (account, role, unit, expected) in [
        // At a unit that is not one's own.
        (here, "one_stop_clerk", COMMUNE, "PERMISSION_MISSING"),
        (here, "one_stop_clerk", PROVINCE, "PERMISSION_MISSING"),
        // More than one administers oneself.
        (here, "province_admin", WARD, "PERMISSION_MISSING"),
        // To somebody whom one cannot see.
        (there, "one_stop_clerk", WARD, "ACCOUNT_NOT_FOUND"),
        (here, "no_such_role", WARD, "ROLE_UNKNOWN"),
        // What follows from being somebody is not given.
        (here, "staff", WARD, "ROLE_UNKNOWN"),
        (here, "citizen_agent", WARD, "ROLE_UNKNOWN"),
    ] {
        let outcome = give(&world, &ward_admin, grant(account, role, unit)).await;
        assert_eq!(refused(outcome), expected, "{role} at {unit}");
    }
    // The work of the offices is appointed without being done, and administration is passed on downwards.
    for (role, unit) in [("one_stop_clerk", WARD), ("unit_admin", WARD_OFFICE)] {
        assert!(give(&world, &ward_admin, grant(here, role, unit)).await.is_ok());
    }
    let province = world.province_admin();
    assert!(
        give(&world, &province, grant(there, "province_admin", PROVINCE))
            .await
            .is_ok()
    );
    assert_eq!(
        refused(give(&world, &province, grant(there, "one_stop_clerk", 99)).await),
        "UNIT_NOT_FOUND"
    );
    assert_eq!(
        refused(give(&world, &world.clerk(WARD), grant(here, "one_stop_clerk", WARD)).await),
        "PERMISSION_MISSING"
    );
}

#[tokio::test]
async fn nobody_changes_the_own_access() {
    let world = World::start().await;
    let admin = world.person("quan.tri", WARD, &[("unit_admin", WARD)]).await;
    let token = world.session("quan.tri").await.access_token;
    let outcome = give(&world, &token, grant(admin.account_id, "one_stop_clerk", WARD)).await;
    assert_eq!(refused(outcome), "PERMISSION_MISSING");
}

#[tokio::test]
async fn a_role_cannot_begin_in_the_past_or_end_before_it_begins() {
    let world = World::start().await;
    let person = world.person("an.nguyen", WARD, &[]).await;
    let admin = world.unit_admin(WARD);
    let day = |year, month, day| Some(Date { year, month, day });
    for (from, to, field) in [
        (day(2026, 11, 22), None, "effective_from"),
        (None, day(2026, 11, 23), "effective_to"),
        (day(2026, 13, 1), None, "effective_from"),
        (day(2026, 0, 0), None, "effective_from"),
    ] {
        let request = GrantRoleRequest {
            effective_from: from,
            effective_to: to,
            ..grant(person.account_id, "one_stop_clerk", WARD)
        };
        let status = give(&world, &admin, request).await.unwrap_err();
        assert_eq!(reason(&status), "INVALID_FIELD");
        assert_eq!(egov_fault::fault_of(&status).violations()[0].field, field);
    }
}

#[tokio::test]
async fn a_role_that_ends_ends_the_tokens_that_carry_it_and_the_session_goes_on_without_it() {
    let world = World::start().await;
    let person = world.person("an.nguyen", WARD, &[]).await;
    let admin = world.unit_admin(WARD);
    let account = give(&world, &admin, grant(person.account_id, "unit_auditor", WARD))
        .await
        .unwrap();
    let tokens = world.session("an.nguyen").await;
    let end = |token: String, grant_id: String| {
        let mut client = world.accounts();
        let request = EndRoleRequest {
            request_id: fresh(),
            account_id: person.account_id.to_string(),
            grant_id,
            reason: String::new(),
        };
        async move { client.end_role(by(&token, request)).await }
    };
    let grant_id = account.roles[0].grant_id.clone();
    assert_eq!(
        refused(end(world.unit_admin(COMMUNE), grant_id.clone()).await),
        "ACCOUNT_NOT_FOUND"
    );
    assert_eq!(
        refused(end(world.clerk(WARD), grant_id.clone()).await),
        "PERMISSION_MISSING"
    );
    assert_eq!(refused(end(admin.clone(), fresh()).await), "GRANT_NOT_FOUND");
    let ended = end(admin.clone(), grant_id.clone())
        .await
        .unwrap()
        .into_inner()
        .account
        .unwrap();
    assert_eq!(ended.roles[0].effective_to, Some(Date::from(date(2026, 11, 23))));
    // What carries the role is void at once …
    let request = egov_proto::egov::identity::v1::GetAccountRequest {
        account_id: person.account_id.to_string(),
    };
    let outcome = world
        .accounts()
        .get_account(by(&tokens.access_token, request.clone()))
        .await;
    assert_eq!(refused(outcome), "TOKEN_REVOKED");
    // … and the session gets tokens without it, in the same second.
    let next = world
        .sign_in()
        .refresh_tokens(RefreshTokensRequest {
            refresh_token: tokens.refresh_token,
        })
        .await
        .unwrap()
        .into_inner()
        .tokens
        .unwrap();
    assert!(world.verified(&next.access_token).await.roles.is_empty());
    let outcome = world.accounts().get_account(by(&next.access_token, request)).await;
    assert!(outcome.is_ok());
    // Ending it again changes nothing.
    let again = end(admin, grant_id).await.unwrap().into_inner();
    assert_eq!(again.account.unwrap().etag, ended.etag);
}

#[tokio::test]
async fn acts_of_administration_are_recorded_announced_and_committed_to() {
    let world = World::start().await;
    let person = world.person("an.nguyen", WARD, &[]).await;
    let request = grant(person.account_id, "one_stop_clerk", WARD);
    give(&world, &world.unit_admin(WARD), request.clone()).await.unwrap();
    give(&world, &world.unit_admin(WARD), request).await.unwrap();
    let mut sql = world.sql().await;
    let recorded: Vec<(String, Option<Uuid>)> =
        sqlx::query_as("SELECT kind, actor_id FROM access_records WHERE owner_id = $1 AND kind = 'role_granted'")
            .bind(person.account_id)
            .fetch_all(&mut sql)
            .await
            .unwrap();
    assert_eq!(
        recorded,
        [("role_granted".to_owned(), Some(Uuid::from_u128(2)))],
        "once, by the administrator"
    );
    let leaves: i64 =
        sqlx::query_scalar("SELECT count(*) FROM egov.leaves WHERE kind = 'account' AND resource_id = $1")
            .bind(person.account_id)
            .fetch_one(&mut sql)
            .await
            .unwrap();
    assert_eq!(leaves, 2);
    let payloads: Vec<serde_json::Value> = sqlx::query_scalar(
        "SELECT payload FROM egov.outbox WHERE aggregate_id = $1
         UNION ALL SELECT payload FROM egov.event_log WHERE aggregate_id = $1",
    )
    .bind(person.account_id)
    .fetch_all(&mut sql)
    .await
    .unwrap();
    assert_eq!(payloads.len(), 2);
    let text = serde_json::to_string(&payloads).unwrap();
    assert!(!text.contains("Nguyễn") && !text.contains("an.nguyen"), "{text}");
}
