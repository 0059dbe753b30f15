//! Which roles there are, who holds them, their ends, and the review of all that.

use egov_proto::egov::identity::v1::{
    Account, ChangeRoleEndRequest, ConfirmGrantRequest, GrantRoleRequest, ListRoleGrantsRequest, ListRoleUnitsRequest,
    ListRoleUnitsResponse, ListRolesRequest, ReviewAccessRequest, ReviewEntry, ReviewFlag, Role, RoleGrantEntry,
};
use egov_proto::google::r#type::Date;
use jiff::civil::date;
use tonic::{Request, Status};
use uuid::Uuid;

use crate::support::{COMMUNE, PROVINCE, WARD, WARD_OFFICE, World, by, fresh, refused};

async fn roles(world: &World, token: &str, unit_id: i32) -> Vec<Role> {
    world
        .access()
        .list_roles(by(token, ListRolesRequest { unit_id }))
        .await
        .unwrap()
        .into_inner()
        .roles
}

fn everything() -> ListRoleGrantsRequest {
    ListRoleGrantsRequest {
        page_size: 0,
        page_token: String::new(),
        account_id: String::new(),
        unit_id: 0,
        role: String::new(),
        on: None,
    }
}

async fn grants(world: &World, token: &str, request: ListRoleGrantsRequest) -> Vec<RoleGrantEntry> {
    world
        .access()
        .list_role_grants(by(token, request))
        .await
        .unwrap()
        .into_inner()
        .grants
}

async fn give(world: &World, token: &str, account: Uuid, role: &str, unit_id: i32) -> Account {
    let request = GrantRoleRequest {
        request_id: fresh(),
        account_id: account.to_string(),
        role: role.to_owned(),
        unit_id,
        effective_from: None,
        effective_to: Some(Date::from(date(2026, 12, 10))),
        reason: "theo Quyết định 15/QĐ-UBND".to_owned(),
    };
    world
        .accounts()
        .grant_role(by(token, request))
        .await
        .unwrap()
        .into_inner()
        .account
        .unwrap()
}

#[tokio::test]
async fn the_roles_are_those_of_the_policies_with_where_the_caller_may_give_them() {
    let world = World::start().await;
    let all = roles(&world, &world.province_admin(), 0).await;
    let names: Vec<&str> = all.iter().map(|role| role.role.as_str()).collect();
    assert_eq!(
        names,
        [
            "ledger_auditor",
            "officer",
            "one_stop_clerk",
            "procedure_controller",
            "province_admin",
            "unit_admin",
            "unit_auditor"
        ]
    );
    let role = |roles: &[Role], name: &str| roles.iter().find(|role| role.role == name).unwrap().clone();
    let admin = role(&all, "unit_admin");
    assert_eq!(admin.title_vi, "Quản trị tài khoản của đơn vị");
    assert!(admin.title_en.contains("Administrator") && !admin.delegable);
    assert!(
        admin.permissions[0]
            .permissions
            .contains(&"identity.roles.manage".to_owned())
    );
    assert_eq!(admin.permissions[0].over, "subtree");
    assert!(role(&all, "officer").delegable);
    // The whole province is told as one place.
    assert_eq!(admin.grantable_at.len(), 1);
    assert!(admin.grantable_at[0].and_below && admin.grantable_at[0].unit_id == PROVINCE);
    // The administrator of the ward gives work and administration there and below, and nothing of the province.
    let here = roles(&world, &world.unit_admin(WARD), 0).await;
    let place = &role(&here, "unit_admin").grantable_at;
    assert_eq!((place.len(), place[0].unit_id, place[0].and_below), (1, WARD, true));
    assert!(role(&here, "province_admin").grantable_at.is_empty());
    // Asked for a unit, only what may be given there is shown.
    let at_ward = roles(&world, &world.unit_admin(WARD), WARD).await;
    assert!(
        at_ward
            .iter()
            .all(|role| !["province_admin", "ledger_auditor"].contains(&role.role.as_str()))
            && at_ward.len() == 5
    );
    assert!(roles(&world, &world.unit_admin(WARD), COMMUNE).await.is_empty());
    // Everybody on the staff may read which roles there are, and gives none.
    let staff = roles(&world, &world.clerk(WARD), 0).await;
    assert!(staff.len() == 7 && staff.iter().all(|role| role.grantable_at.is_empty()));
    let citizen = world.tokens.citizen(Uuid::from_u128(4), egov_auth::Assurance::High);
    let outcome = world
        .access()
        .list_roles(by(&citizen, ListRolesRequest { unit_id: 0 }))
        .await;
    assert_eq!(refused(outcome), "PERMISSION_MISSING");
    let outcome = world
        .access()
        .list_roles(Request::new(ListRolesRequest { unit_id: 0 }))
        .await;
    assert_eq!(refused(outcome), "TOKEN_MISSING");
}

#[tokio::test]
async fn grants_are_listed_by_account_unit_role_and_day_within_the_callers_scope() {
    let world = World::start().await;
    let here = world
        .person("an.nguyen", WARD, &[("one_stop_clerk", WARD)])
        .await
        .account_id;
    world
        .person("vp.le", WARD_OFFICE, &[("one_stop_clerk", WARD_OFFICE)])
        .await;
    let there = world
        .person("xa.tran", COMMUNE, &[("one_stop_clerk", COMMUNE)])
        .await
        .account_id;
    let ward = world.unit_admin(WARD);
    give(&world, &ward, here, "unit_auditor", WARD).await;
    assert_eq!(grants(&world, &world.province_admin(), everything()).await.len(), 4);
    let shown = grants(&world, &ward, everything()).await;
    assert_eq!(shown.len(), 3, "nothing of the neighbour");
    assert!(shown.iter().all(|entry| entry.account_id != there.to_string()));
    let given = shown.iter().find(|entry| entry.reason.contains("15/QĐ-UBND")).unwrap();
    assert_eq!(given.granted_by_id, Uuid::from_u128(2).to_string());
    assert_eq!((given.username.as_str(), given.account_unit_id), ("an.nguyen", WARD));
    for (request, expected) in [
        (
            ListRoleGrantsRequest {
                account_id: here.to_string(),
                ..everything()
            },
            2,
        ),
        (
            ListRoleGrantsRequest {
                account_id: there.to_string(),
                ..everything()
            },
            0,
        ),
        (
            ListRoleGrantsRequest {
                unit_id: WARD_OFFICE,
                ..everything()
            },
            1,
        ),
        (
            ListRoleGrantsRequest {
                unit_id: COMMUNE,
                ..everything()
            },
            0,
        ),
        (
            ListRoleGrantsRequest {
                role: "unit_auditor".to_owned(),
                ..everything()
            },
            1,
        ),
        (
            ListRoleGrantsRequest {
                on: Some(Date::from(date(2026, 12, 9))),
                ..everything()
            },
            3,
        ),
        (
            ListRoleGrantsRequest {
                on: Some(Date::from(date(2026, 12, 10))),
                ..everything()
            },
            2,
        ),
        (
            ListRoleGrantsRequest {
                on: Some(Date::from(date(2026, 11, 22))),
                ..everything()
            },
            0,
        ),
    ] {
        assert_eq!(
            grants(&world, &ward, request.clone()).await.len(),
            expected,
            "{request:?}"
        );
    }
    // Somebody without administration sees the own ones.
    let own = world.tokens.staff(here, &[("one_stop_clerk", WARD)]);
    assert_eq!(grants(&world, &own, everything()).await.len(), 2);
    // Page by page, without skip or repeat.
    let mut seen = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = ListRoleGrantsRequest {
            page_size: 2,
            page_token: page_token.clone(),
            ..everything()
        };
        let page = world
            .access()
            .list_role_grants(by(&ward, request))
            .await
            .unwrap()
            .into_inner();
        seen.extend(page.grants.into_iter().map(|entry| entry.grant.unwrap().grant_id));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert_eq!(seen.len(), 3);
    seen.dedup();
    assert_eq!(seen.len(), 3);
}

#[tokio::test]
async fn a_role_at_ones_unit_is_seen_also_when_its_holder_belongs_elsewhere_and_then_without_the_name() {
    let world = World::start().await;
    world.person("xa.tran", COMMUNE, &[("one_stop_clerk", WARD)]).await;
    let shown = grants(&world, &world.unit_admin(WARD), everything()).await;
    assert_eq!(shown.len(), 1);
    assert!(shown[0].username.is_empty() && shown[0].full_name.is_empty() && shown[0].account_unit_id == 0);
    let shown = grants(&world, &world.unit_admin(COMMUNE), everything()).await;
    assert_eq!((shown.len(), shown[0].username.as_str()), (1, "xa.tran"));
}

async fn role_units(
    world: &World,
    token: &str,
    roles: &[&str],
    on: Option<Date>,
) -> Result<ListRoleUnitsResponse, Status> {
    let request = ListRoleUnitsRequest {
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        on,
    };
    let answer = world.access().list_role_units(by(token, request)).await?;
    Ok(answer.into_inner())
}

/// Roles with the units that were told.
type Told<'a> = Vec<(&'a str, &'a [i32])>;

/// Each role with the units that were told, and where was looked.
fn told(answer: &ListRoleUnitsResponse) -> (Told<'_>, Vec<(i32, bool)>) {
    let roles = answer
        .roles
        .iter()
        .map(|role| (role.role.as_str(), role.unit_ids.as_slice()))
        .collect();
    let places = answer
        .looked_at
        .iter()
        .map(|place| (place.unit_id, place.and_below))
        .collect();
    (roles, places)
}

#[tokio::test]
async fn where_a_role_is_held_is_told_to_the_controller_of_procedures_by_units_and_never_by_persons() {
    let world = World::start().await;
    world.person("an.nguyen", WARD, &[("one_stop_clerk", WARD)]).await;
    world
        .person("binh.tran", WARD, &[("one_stop_clerk", WARD), ("officer", WARD_OFFICE)])
        .await;
    let closed = world
        .person("xa.tran", COMMUNE, &[("one_stop_clerk", COMMUNE)])
        .await
        .account_id;
    let later = world.person("sau.le", COMMUNE, &[]).await.account_id;
    let controller = |unit| {
        world
            .tokens
            .staff(Uuid::from_u128(6), &[("procedure_controller", unit)])
    };
    let wanted = ["officer", "one_stop_clerk", "officer", "unit_leader"];
    let nowhere: &[i32] = &[];

    // The province: each role once, two holders at one unit are one unit, and of a role that nobody holds that is said.
    let answer = role_units(&world, &controller(PROVINCE), &wanted, None).await.unwrap();
    assert_eq!(
        told(&answer),
        (
            vec![
                ("officer", &[WARD_OFFICE][..]),
                ("one_stop_clerk", &[WARD, COMMUNE][..]),
                ("unit_leader", nowhere),
            ],
            vec![(PROVINCE, true)]
        )
    );
    // As of a day; what a closed account holds does not count.
    let request = GrantRoleRequest {
        request_id: fresh(),
        account_id: later.to_string(),
        role: "officer".to_owned(),
        unit_id: COMMUNE,
        effective_from: Some(Date::from(date(2026, 11, 25))),
        effective_to: Some(Date::from(date(2026, 11, 27))),
        reason: String::new(),
    };
    world
        .accounts()
        .grant_role(by(&world.unit_admin(COMMUNE), request))
        .await
        .unwrap();
    sqlx::query("UPDATE accounts SET disabled_time = create_time WHERE account_id = $1")
        .bind(closed)
        .execute(&mut world.sql().await)
        .await
        .unwrap();
    for (day, officers) in [
        (24, vec![WARD_OFFICE]),
        (25, vec![COMMUNE, WARD_OFFICE]),
        (27, vec![WARD_OFFICE]),
    ] {
        let on = Some(Date::from(date(2026, 11, day)));
        let answer = role_units(&world, &controller(PROVINCE), &wanted, on).await.unwrap();
        assert_eq!(answer.roles[0].unit_ids, officers, "{day}");
        assert_eq!(answer.roles[1].unit_ids, [WARD], "{day}");
    }

    // The neighbour: whoever has the role at a ward is told of the ward and what is below it, and that nothing else was looked at.
    let at_ward = role_units(&world, &controller(WARD), &wanted, None).await.unwrap();
    assert_eq!(
        told(&at_ward),
        (
            vec![
                ("officer", &[WARD_OFFICE][..]),
                ("one_stop_clerk", &[WARD][..]),
                ("unit_leader", nowhere)
            ],
            vec![(WARD, true)]
        )
    );
    let elsewhere = role_units(&world, &controller(COMMUNE), &wanted, None).await.unwrap();
    assert!(
        elsewhere.roles.iter().all(|role| role.unit_ids.is_empty()),
        "{elsewhere:?}"
    );
    assert_eq!(told(&elsewhere).1, [(COMMUNE, true)]);

    // The second wall: where the query would ask for everything, row-level security still shows units of the scope alone.
    let mut app = world.test_database.connect_as_app().await.unwrap();
    let mut transaction = sqlx::Connection::begin(&mut app).await.unwrap();
    sqlx::query("SELECT set_config('egov.scope_units', $1, true)")
        .bind(format!("{{{COMMUNE}}}"))
        .execute(&mut *transaction)
        .await
        .unwrap();
    let seen: Vec<i32> = sqlx::query_scalar("SELECT DISTINCT unit_id FROM role_grants ORDER BY unit_id")
        .fetch_all(&mut *transaction)
        .await
        .unwrap();
    assert_eq!(seen, [COMMUNE], "of the neighbours' grants none");

    // Nobody else: neither staff nor a citizen nor a system, and nobody without a token.
    let citizen = world.tokens.citizen(Uuid::from_u128(4), egov_auth::Assurance::High);
    for token in [world.clerk(WARD), citizen] {
        assert_eq!(
            refused(role_units(&world, &token, &wanted, None).await),
            "PERMISSION_MISSING"
        );
    }
    let outcome = world
        .access()
        .list_role_units(Request::new(ListRoleUnitsRequest::default()))
        .await;
    assert_eq!(refused(outcome), "TOKEN_MISSING");
    assert_eq!(
        refused(role_units(&world, &controller(PROVINCE), &[], None).await),
        "INVALID_FIELD"
    );
}

async fn change(world: &World, token: &str, grant: &str, to: Option<Date>) -> Result<Account, Status> {
    let request = ChangeRoleEndRequest {
        request_id: fresh(),
        grant_id: grant.to_owned(),
        effective_to: to,
        reason: "gia hạn".to_owned(),
    };
    world
        .access()
        .change_role_end(by(token, request))
        .await
        .map(|answer| answer.into_inner().account.unwrap())
}

#[tokio::test]
async fn the_end_of_a_role_is_moved_by_who_may_give_it_and_says_who_when_and_why() {
    let world = World::start().await;
    let person = world.person("an.nguyen", WARD, &[]).await.account_id;
    let ward = world.unit_admin(WARD);
    let grant = give(&world, &ward, person, "one_stop_clerk", WARD).await.roles[0]
        .grant_id
        .clone();
    let day = |day| Some(Date::from(day));
    let later = day(date(2027, 6, 1));
    assert_eq!(
        refused(change(&world, &world.clerk(WARD), &grant, later).await),
        "PERMISSION_MISSING"
    );
    assert_eq!(
        refused(change(&world, &world.unit_admin(COMMUNE), &grant, later).await),
        "GRANT_NOT_FOUND"
    );
    assert_eq!(refused(change(&world, &ward, &fresh(), later).await), "GRANT_NOT_FOUND");
    let own = world.tokens.staff(person, &[("unit_admin", WARD)]);
    assert_eq!(refused(change(&world, &own, &grant, later).await), "PERMISSION_MISSING");
    for past in [
        day(date(2026, 11, 23)),
        day(date(2026, 1, 1)),
        Some(Date {
            year: 2026,
            month: 13,
            day: 1,
        }),
    ] {
        assert_eq!(refused(change(&world, &ward, &grant, past).await), "INVALID_FIELD");
    }
    let account = change(&world, &ward, &grant, later).await.unwrap();
    assert_eq!(account.roles[0].effective_to, later);
    let entry = &grants(&world, &ward, everything()).await[0];
    assert_eq!(entry.end_reason, "gia hạn");
    assert_eq!(entry.ended_by_id, Uuid::from_u128(2).to_string());
    assert!(entry.end_time.is_some());
    assert_eq!(
        change(&world, &ward, &grant, None).await.unwrap().roles[0].effective_to,
        None
    );
    // The same request twice, at once: one change.
    let request = ChangeRoleEndRequest {
        request_id: fresh(),
        grant_id: grant.clone(),
        effective_to: day(date(2026, 11, 25)),
        reason: "điều động".to_owned(),
    };
    let mut clients = (world.access(), world.access());
    let (one, two) = tokio::join!(
        clients.0.change_role_end(by(&ward, request.clone())),
        clients.1.change_role_end(by(&ward, request.clone()))
    );
    assert_eq!(one.unwrap().into_inner(), two.unwrap().into_inner());
    world.days_later(3).await;
    let ward = world.unit_admin(WARD);
    assert_eq!(refused(change(&world, &ward, &grant, later).await), "GRANT_ENDED");
}

fn review() -> ReviewAccessRequest {
    ReviewAccessRequest {
        page_size: 0,
        page_token: String::new(),
        on: None,
        unit_id: 0,
        unused_days: 0,
        ends_within_days: 0,
        round_from: None,
        round_due: None,
        only_flagged: false,
        only_without_verdict: false,
    }
}

/// A request with a token that says why it reads.
fn why<T>(token: &str, message: T) -> Request<T> {
    let mut request = by(token, message);
    request
        .metadata_mut()
        .insert("x-egov-purpose", "access_review".parse().unwrap());
    request
}

async fn lines(world: &World, token: &str, request: ReviewAccessRequest) -> Vec<ReviewEntry> {
    world
        .access()
        .review_access(why(token, request))
        .await
        .unwrap()
        .into_inner()
        .entries
}

fn line<'a>(lines: &'a [ReviewEntry], name: &str) -> &'a ReviewEntry {
    lines
        .iter()
        .find(|line| line.entry.as_ref().unwrap().username == name)
        .unwrap_or_else(|| panic!("{name} is not among {lines:?}"))
}

fn flags(line: &ReviewEntry) -> Vec<ReviewFlag> {
    line.flags().collect()
}

#[tokio::test]
async fn a_review_shows_use_by_tokens_and_asks_about_what_lies_idle() {
    let world = World::start().await;
    let ward = world.unit_admin(WARD);
    world.person("an.nguyen", WARD, &[("one_stop_clerk", WARD)]).await;
    let idle = world
        .person("binh.tran", WARD, &[("one_stop_clerk", WARD)])
        .await
        .account_id;
    world.session("an.nguyen").await;
    let shown = lines(&world, &ward, review()).await;
    let used = line(&shown, "an.nguyen");
    assert_eq!(used.last_in_token, Some(Date::from(date(2026, 11, 23))));
    assert!(used.last_sign_in_time.is_some() && flags(used).is_empty());
    // A role of today is not idle although nobody signed in with it.
    let unused = line(&shown, "binh.tran");
    assert!(unused.last_in_token.is_none() && unused.last_sign_in_time.is_none() && flags(unused).is_empty());
    world.days_later(91).await;
    let ward = world.unit_admin(WARD);
    let shown = lines(&world, &ward, review()).await;
    assert_eq!(flags(line(&shown, "an.nguyen")), [ReviewFlag::NotInToken]);
    assert_eq!(flags(line(&shown, "binh.tran")), [ReviewFlag::NeverInToken]);
    let patient = ReviewAccessRequest {
        unused_days: 120,
        only_flagged: true,
        ..review()
    };
    assert!(lines(&world, &ward, patient).await.is_empty());
    // Who looked at whom, and why, is recorded.
    let reads: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM egov.read_records WHERE purpose = 'access_review' AND subjects @> ARRAY[$1]",
    )
    .bind(idle)
    .fetch_one(&mut world.sql().await)
    .await
    .unwrap();
    assert_eq!(reads, 2);
}

#[tokio::test]
async fn a_review_finds_closed_accounts_foreign_holders_doubles_what_ends_and_forgotten_roles() {
    let world = World::start().await;
    let ward = world.unit_admin(WARD);
    let person = world
        .person("an.nguyen", WARD, &[("one_stop_clerk", WARD)])
        .await
        .account_id;
    give(&world, &ward, person, "one_stop_clerk", WARD).await;
    world.person("xa.tran", COMMUNE, &[("one_stop_clerk", WARD)]).await;
    world.person("vp.le", WARD_OFFICE, &[("officer", WARD)]).await;
    let mut sql = world.sql().await;
    sqlx::query("UPDATE accounts SET disabled_time = now() WHERE username = 'vp.le'")
        .execute(&mut sql)
        .await
        .unwrap();
    sqlx::query("UPDATE role_grants SET role = 'abolished' WHERE role = 'officer'")
        .execute(&mut sql)
        .await
        .unwrap();
    let shown = lines(&world, &ward, review()).await;
    assert_eq!(shown.len(), 4);
    let mut doubles: Vec<_> = shown
        .iter()
        .filter(|line| line.entry.as_ref().unwrap().username == "an.nguyen")
        .map(flags)
        .collect();
    // They were made in the same millisecond, so either comes first.
    doubles.sort_by_key(Vec::len);
    assert_eq!(
        doubles,
        [vec![ReviewFlag::Double], vec![ReviewFlag::EndsSoon, ReviewFlag::Double]]
    );
    assert_eq!(
        flags(line(&shown, "vp.le")),
        [ReviewFlag::HolderDisabled, ReviewFlag::RoleUnknown]
    );
    assert_eq!(flags(line(&shown, "")), [ReviewFlag::HolderElsewhere]);
    // The province sees who it is; the neighbour sees their own people only.
    let whole = lines(&world, &world.province_admin(), review()).await;
    assert_eq!(flags(line(&whole, "xa.tran")), [ReviewFlag::HolderElsewhere]);
    assert_eq!(lines(&world, &world.unit_admin(COMMUNE), review()).await.len(), 1);
    let below = ReviewAccessRequest {
        unit_id: WARD_OFFICE,
        ..review()
    };
    assert!(lines(&world, &ward, below).await.is_empty());
}

#[tokio::test]
async fn a_review_is_for_administrators_who_say_why() {
    let world = World::start().await;
    let outcome = world
        .access()
        .review_access(by(&world.unit_admin(WARD), review()))
        .await;
    assert_eq!(refused(outcome), "PURPOSE_MISSING");
    let outcome = world.access().review_access(why(&world.clerk(WARD), review())).await;
    assert_eq!(refused(outcome), "PERMISSION_MISSING");
    let backwards = ReviewAccessRequest {
        round_from: Some(Date::from(date(2026, 11, 2))),
        round_due: Some(Date::from(date(2026, 11, 1))),
        ..review()
    };
    let outcome = world
        .access()
        .review_access(why(&world.unit_admin(WARD), backwards))
        .await;
    assert_eq!(refused(outcome), "INVALID_FIELD");
}

#[tokio::test]
async fn what_has_no_verdict_in_the_round_is_listed_until_a_reviewer_keeps_or_ends_it() {
    let world = World::start().await;
    let one = world
        .person("an.nguyen", WARD, &[("one_stop_clerk", WARD)])
        .await
        .account_id;
    world.person("binh.tran", WARD, &[("one_stop_clerk", WARD)]).await;
    world.days_later(10).await;
    let ward = world.unit_admin(WARD);
    let round = || ReviewAccessRequest {
        round_from: Some(Date::from(date(2026, 12, 1))),
        round_due: Some(Date::from(date(2026, 12, 15))),
        only_without_verdict: true,
        ..review()
    };
    let open = lines(&world, &ward, round()).await;
    assert_eq!(open.len(), 2);
    let grant = line(&open, "an.nguyen").entry.clone().unwrap().grant.unwrap().grant_id;
    let keep = |token: String, grant: String| {
        let mut client = world.access();
        let request = ConfirmGrantRequest {
            request_id: fresh(),
            grant_id: grant,
            note: "vẫn cần".to_owned(),
        };
        async move {
            client
                .confirm_grant(by(&token, request))
                .await
                .map(tonic::Response::into_inner)
        }
    };
    assert_eq!(
        refused(keep(world.clerk(WARD), grant.clone()).await),
        "PERMISSION_MISSING"
    );
    assert_eq!(
        refused(keep(world.unit_admin(COMMUNE), grant.clone()).await),
        "GRANT_NOT_FOUND"
    );
    let own = world.tokens.staff(one, &[("unit_admin", WARD)]);
    assert_eq!(refused(keep(own, grant.clone()).await), "PERMISSION_MISSING");
    let verdict = keep(ward.clone(), grant.clone()).await.unwrap().verdict.unwrap();
    assert_eq!(verdict.reviewer_id, Uuid::from_u128(2).to_string());
    let open = lines(&world, &ward, round()).await;
    assert_eq!(open.len(), 1);
    assert_eq!(open[0].entry.as_ref().unwrap().username, "binh.tran");
    let whole = lines(
        &world,
        &ward,
        ReviewAccessRequest {
            only_without_verdict: false,
            ..round()
        },
    )
    .await;
    assert_eq!(line(&whole, "an.nguyen").verdict.as_ref().unwrap().note, "vẫn cần");
    // The same request twice is one verdict.
    let request = ConfirmGrantRequest {
        request_id: fresh(),
        grant_id: grant,
        note: "vẫn cần".to_owned(),
    };
    for _ in 0..2 {
        world.access().confirm_grant(by(&ward, request.clone())).await.unwrap();
    }
    let verdicts: i64 = sqlx::query_scalar("SELECT count(*) FROM grant_reviews")
        .fetch_one(&mut world.sql().await)
        .await
        .unwrap();
    assert_eq!(verdicts, 2);
}
