//! Accounts: made, read, listed, closed; allowed, forbidden, and of a neighbour unit.

use egov_clock::Clock as _;
use egov_identity::totp;
use egov_proto::egov::identity::v1::{
    CreateAccountRequest, DisableAccountRequest, GetAccountRequest, ListAccountsRequest, ListSignInsRequest,
    UnlockAccountRequest,
};
use uuid::Uuid;

use crate::support::{COMMUNE, PASSWORD, PROVINCE, WARD, WARD_OFFICE, World, by, fresh, reason, refused};

fn new_account(username: &str, unit_id: i32) -> CreateAccountRequest {
    CreateAccountRequest {
        request_id: fresh(),
        username: username.to_owned(),
        full_name: "Trần Thị Bình".to_owned(),
        unit_id,
        password: PASSWORD.to_owned(),
    }
}

#[tokio::test]
async fn an_administrator_makes_an_account_with_which_one_can_sign_in() {
    let world = World::start().await;
    let admin = world.unit_admin(WARD);
    let made = world
        .accounts()
        .create_account(by(&admin, new_account("binh.tran", WARD_OFFICE)))
        .await
        .unwrap()
        .into_inner();
    let account = made.account.unwrap();
    assert_eq!(account.unit_id, WARD_OFFICE);
    assert!(account.roles.is_empty() && !account.disabled);
    let secret = totp::from_base32(&made.totp_secret).unwrap();
    assert_eq!(secret.len(), 20);
    let challenge = world.challenge("binh.tran", PASSWORD).await.unwrap();
    let code = totp::code_at(&secret, totp::step_at(world.clock.now()));
    let tokens = world.answer(&challenge, &code).await.unwrap();
    let principal = world.verified(&tokens.access_token).await;
    assert_eq!(principal.subject.to_string(), account.account_id);
    assert_eq!(principal.unit, Some(WARD_OFFICE));
}

#[tokio::test]
async fn the_same_request_gets_the_same_answer_and_another_under_its_id_is_refused() {
    let world = World::start().await;
    let admin = world.unit_admin(WARD);
    let request = new_account("binh.tran", WARD);
    let create = |request: CreateAccountRequest| {
        let mut client = world.accounts();
        let request = by(&admin, request);
        async move { client.create_account(request).await.map(tonic::Response::into_inner) }
    };
    let (one, two) = tokio::join!(create(request.clone()), create(request.clone()));
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_eq!(one, two, "the secret of the codes included");
    assert_eq!(create(request.clone()).await.unwrap(), one);
    let other_password = CreateAccountRequest {
        password: "một mật khẩu khác".to_owned(),
        ..request.clone()
    };
    assert_eq!(refused(create(other_password).await), "REQUEST_ID_REUSED");
    // Another caller's request id is independent, and then the name is taken.
    let outcome = world
        .accounts()
        .create_account(by(&world.province_admin(), request))
        .await;
    assert_eq!(refused(outcome), "USERNAME_TAKEN");
    let accounts: i64 = sqlx::query_scalar("SELECT count(*) FROM accounts")
        .fetch_one(&mut world.sql().await)
        .await
        .unwrap();
    assert_eq!(accounts, 1);
}

#[tokio::test]
async fn a_name_is_taken_in_the_whole_province_also_where_the_caller_cannot_look() {
    let world = World::start().await;
    world.person("binh.tran", COMMUNE, &[]).await;
    let outcome = world
        .accounts()
        .create_account(by(&world.unit_admin(WARD), new_account("binh.tran", WARD)))
        .await;
    assert_eq!(refused(outcome), "USERNAME_TAKEN");
}

#[tokio::test]
async fn accounts_are_made_within_the_callers_units_and_only_at_units_that_exist() {
    let world = World::start().await;
    let create = |token: String, unit| {
        let mut client = world.accounts();
        async move { client.create_account(by(&token, new_account("binh.tran", unit))).await }
    };
    for (token, unit, expected) in [
        (world.unit_admin(WARD), COMMUNE, "PERMISSION_MISSING"),
        (world.unit_admin(WARD), PROVINCE, "PERMISSION_MISSING"),
        (world.unit_admin(WARD), 99, "PERMISSION_MISSING"),
        (world.clerk(WARD), WARD, "PERMISSION_MISSING"),
        (world.province_admin(), 99, "UNIT_NOT_FOUND"),
    ] {
        assert_eq!(refused(create(token, unit).await), expected);
    }
    let outcome = world.accounts().create_account(new_account("binh.tran", WARD)).await;
    assert_eq!(refused(outcome), "TOKEN_MISSING");
}

#[tokio::test]
async fn every_wrong_field_is_named() {
    let world = World::start().await;
    let request = CreateAccountRequest {
        request_id: "1".to_owned(),
        username: "Bình".to_owned(),
        full_name: String::new(),
        unit_id: 0,
        password: "ngắn".to_owned(),
    };
    let status = world
        .accounts()
        .create_account(by(&world.province_admin(), request))
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "INVALID_FIELD");
    let mut fields: Vec<_> = egov_fault::fault_of(&status)
        .violations()
        .iter()
        .map(|violation| violation.field.clone())
        .collect();
    fields.sort_unstable();
    assert_eq!(fields, ["full_name", "password", "request_id", "unit_id", "username"]);
}

#[tokio::test]
async fn a_neighbours_account_is_not_there() {
    let world = World::start().await;
    let person = world.person("an.nguyen", WARD, &[]).await;
    let id = person.account_id.to_string();
    let get = |token: String| {
        let mut client = world.accounts();
        let request = GetAccountRequest { account_id: id.clone() };
        async move { client.get_account(by(&token, request)).await }
    };
    assert!(get(world.unit_admin(WARD)).await.is_ok());
    assert!(get(world.unit_admin(PROVINCE)).await.is_ok());
    assert!(get(world.province_admin()).await.is_ok());
    // The person itself.
    let own = world.tokens.staff(person.account_id, &[("one_stop_clerk", WARD)]);
    assert!(get(own).await.is_ok());
    let hidden = get(world.unit_admin(COMMUNE)).await.unwrap_err();
    assert_eq!(reason(&hidden), "ACCOUNT_NOT_FOUND");
    assert_eq!(hidden.code(), tonic::Code::NotFound);
    assert_eq!(refused(get(world.unit_admin(WARD_OFFICE)).await), "ACCOUNT_NOT_FOUND");
    // A colleague sees nobody but the own account.
    assert_eq!(refused(get(world.clerk(WARD)).await), "ACCOUNT_NOT_FOUND");
    let citizen = world.tokens.citizen(Uuid::from_u128(9), egov_auth::Assurance::High);
    assert_eq!(refused(get(citizen).await), "PERMISSION_MISSING");
    assert_eq!(
        refused(
            world
                .accounts()
                .get_account(by(
                    &world.province_admin(),
                    GetAccountRequest {
                        account_id: Uuid::nil().to_string()
                    }
                ))
                .await
        ),
        "ACCOUNT_NOT_FOUND"
    );
}

#[tokio::test]
async fn a_list_shows_the_callers_units_page_by_page() {
    let world = World::start().await;
    for number in 0..5 {
        world.advance(1);
        let unit = if number % 2 == 0 { WARD } else { WARD_OFFICE };
        world.person(&format!("ward{number}"), unit, &[]).await;
        world.person(&format!("commune{number}"), COMMUNE, &[]).await;
    }
    let list = |token: String, request: ListAccountsRequest| {
        let mut client = world.accounts();
        async move { client.list_accounts(by(&token, request)).await }
    };
    let admin = world.unit_admin(WARD);
    let mut seen = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListAccountsRequest {
            page_size: 2,
            page_token,
            unit_id: 0,
        };
        let page = list(admin.clone(), request).await.unwrap().into_inner();
        assert!(page.accounts.len() <= 2);
        seen.extend(page.accounts.into_iter().map(|account| account.username));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(seen, ["ward0", "ward1", "ward2", "ward3", "ward4"]);

    let all = |unit_id| ListAccountsRequest {
        page_size: 0,
        page_token: String::new(),
        unit_id,
    };
    let count = |outcome: Result<tonic::Response<_>, tonic::Status>| {
        let page: egov_proto::egov::identity::v1::ListAccountsResponse = outcome.unwrap().into_inner();
        page.accounts.len()
    };
    assert_eq!(count(list(admin.clone(), all(WARD_OFFICE)).await), 2);
    assert_eq!(count(list(admin.clone(), all(COMMUNE)).await), 0);
    assert_eq!(count(list(world.province_admin(), all(0)).await), 10);
    assert_eq!(count(list(world.clerk(WARD), all(0)).await), 0);

    // A page token belongs to its caller and its filter.
    let first = ListAccountsRequest {
        page_size: 2,
        page_token: String::new(),
        unit_id: 0,
    };
    let token = list(admin.clone(), first).await.unwrap().into_inner().next_page_token;
    let next = |unit_id| ListAccountsRequest {
        page_size: 2,
        page_token: token.clone(),
        unit_id,
    };
    assert_eq!(
        refused(list(world.province_admin(), next(0)).await),
        "PAGE_TOKEN_INVALID"
    );
    assert_eq!(refused(list(admin, next(WARD)).await), "PAGE_TOKEN_INVALID");
}

#[tokio::test]
async fn readable_is_not_yet_changeable() {
    let world = World::start().await;
    let person = world.person("an.nguyen", WARD, &[]).await;
    let id = person.account_id.to_string();
    let auditor = world
        .tokens
        .staff(Uuid::from_u128(5), &[("unit_auditor", WARD), ("unit_admin", COMMUNE)]);
    let close = || DisableAccountRequest {
        request_id: fresh(),
        account_id: id.clone(),
        reason: "thử".to_owned(),
    };
    let refusal = world
        .accounts()
        .disable_account(by(&auditor, close()))
        .await
        .unwrap_err();
    assert_eq!(reason(&refusal), "PERMISSION_MISSING");
    assert_eq!(
        egov_fault::fault_of(&refusal).metadata()["permission"],
        "identity.accounts.manage"
    );
    let unlock = UnlockAccountRequest {
        request_id: fresh(),
        account_id: id.clone(),
    };
    let outcome = world.accounts().unlock_account(by(&auditor, unlock)).await;
    assert_eq!(refused(outcome), "PERMISSION_MISSING");
    // A neighbour does not even learn that it is there.
    let neighbour = world.unit_admin(COMMUNE);
    let outcome = world.accounts().disable_account(by(&neighbour, close())).await;
    assert_eq!(refused(outcome), "ACCOUNT_NOT_FOUND");
    let clerk = world.clerk(WARD);
    let outcome = world.accounts().disable_account(by(&clerk, close())).await;
    assert_eq!(refused(outcome), "PERMISSION_MISSING");
    let reads = ListSignInsRequest {
        page_size: 0,
        page_token: String::new(),
        account_id: id.clone(),
    };
    let outcome = world.accounts().list_sign_ins(by(&auditor, reads)).await;
    assert!(outcome.is_ok());
}

#[tokio::test]
async fn a_units_administrator_cannot_shut_out_the_provinces_who_belongs_to_the_unit() {
    let world = World::start().await;
    let boss = world.person("boss", WARD, &[("province_admin", PROVINCE)]).await;
    let close = |token: String| {
        let mut client = world.accounts();
        let request = DisableAccountRequest {
            request_id: fresh(),
            account_id: boss.account_id.to_string(),
            reason: "thử".to_owned(),
        };
        async move { client.disable_account(by(&token, request)).await }
    };
    assert_eq!(refused(close(world.unit_admin(WARD)).await), "PERMISSION_MISSING");
    // Nor does anybody close the own account.
    let itself = world.tokens.staff(boss.account_id, &[("province_admin", PROVINCE)]);
    assert_eq!(refused(close(itself).await), "PERMISSION_MISSING");
    assert!(close(world.province_admin()).await.is_ok());
}
