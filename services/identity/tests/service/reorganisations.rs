//! Reorganisations: shown, planned, cancelled, applied on their day; staff and roles follow.

use std::time::Duration;

use egov_proto::egov::identity::v1::{
    CancelReorganisationRequest, CreateReorganisationRequest, DelegateRoleRequest, GetAccountRequest,
    ListReorganisationsRequest, ListSuccessorsRequest, PlannedClosing, PlannedOpening, PlannedUnit,
    PreviewReorganisationRequest, Reorganisation, ReorganisationPlan, ReorganisationStatus, ResolveUnitRequest,
    UnitChange, UnitKind,
};
use egov_proto::google::r#type::Date as WireDate;
use jiff::civil::date;
use tonic::Status;
use uuid::Uuid;

use crate::support::{COMMUNE, PROVINCE, WARD, WARD_OFFICE, World, by, fresh, refused};

const COMMUNE_OFFICE: i32 = 5;

#[expect(clippy::unnecessary_wraps, reason = "the contract's fields are optional")]
fn unit(unit_id: i32) -> Option<PlannedUnit> {
    Some(PlannedUnit {
        unit_id,
        key: String::new(),
    })
}

#[expect(clippy::unnecessary_wraps, reason = "the contract's fields are optional")]
fn key(key: &str) -> Option<PlannedUnit> {
    Some(PlannedUnit {
        unit_id: 0,
        key: key.to_owned(),
    })
}

fn closing(unit_id: i32, successor: Option<PlannedUnit>) -> PlannedClosing {
    PlannedClosing {
        unit_id,
        without_successor: successor.is_none(),
        successor,
        others: Vec::new(),
    }
}

/// The commune merges into the ward, with its office.
pub fn merger(on: jiff::civil::Date) -> ReorganisationPlan {
    ReorganisationPlan {
        effective_date: Some(on.into()),
        title: "Nhập xã Kim Liên vào phường Trường Vinh".to_owned(),
        legal_basis: "Nghị quyết 1/NQ-HĐND".to_owned(),
        openings: Vec::new(),
        closings: vec![closing(COMMUNE, unit(WARD))],
        carry_departments: true,
    }
}

/// The ward gets another name; its code stays.
fn renaming(on: jiff::civil::Date) -> ReorganisationPlan {
    ReorganisationPlan {
        effective_date: Some(on.into()),
        title: "Đổi tên phường Trường Vinh".to_owned(),
        legal_basis: "Nghị quyết 2/NQ-HĐND".to_owned(),
        openings: vec![PlannedOpening {
            key: "new".to_owned(),
            code: "16690".to_owned(),
            name: "Phường Vinh".to_owned(),
            kind: UnitKind::Ward.into(),
            parent: unit(PROVINCE),
            agency_code: "H41.101".to_owned(),
            agency_code_provisional: true,
        }],
        closings: vec![closing(WARD, key("new"))],
        carry_departments: true,
    }
}

const TODAY: jiff::civil::Date = date(2026, 11, 23);
const LATER: jiff::civil::Date = date(2026, 12, 1);

pub async fn create(world: &World, plan: ReorganisationPlan) -> Result<Reorganisation, Status> {
    let request = CreateReorganisationRequest {
        request_id: fresh(),
        plan: Some(plan),
    };
    let answer = world
        .units()
        .create_reorganisation(by(&world.province_admin(), request))
        .await?;
    Ok(answer.into_inner().reorganisation.unwrap())
}

async fn list(world: &World) -> Vec<Reorganisation> {
    let request = by(&world.province_admin(), ListReorganisationsRequest::default());
    world
        .units()
        .list_reorganisations(request)
        .await
        .unwrap()
        .into_inner()
        .reorganisations
}

/// Waits until nothing is left to do: the job of the running service may be at it.
async fn settle(world: &World) {
    loop {
        if world.identity.reorganise().await.unwrap() == Some((0, 0)) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn resolve(world: &World, code: &str) -> Option<i32> {
    let request = ResolveUnitRequest {
        code: code.to_owned(),
        on: None,
    };
    let answer = world.units().resolve_unit(request).await.ok()?;
    answer.into_inner().unit.map(|unit| unit.unit_id)
}

#[tokio::test]
async fn a_preview_tells_what_moves_and_every_rule_that_breaks_and_changes_nothing() {
    let world = World::start().await;
    world
        .person(
            "an",
            COMMUNE,
            &[("one_stop_clerk", COMMUNE), ("unit_auditor", COMMUNE_OFFICE)],
        )
        .await;
    world.person("binh", WARD, &[("one_stop_clerk", WARD)]).await;
    let preview = async |token: &str, plan| {
        let request = PreviewReorganisationRequest { plan: Some(plan) };
        let answer = world.units().preview_reorganisation(by(token, request)).await;
        answer.map(tonic::Response::into_inner)
    };
    let admin = world.province_admin();
    let shown = preview(&admin, merger(LATER)).await.unwrap();
    assert_eq!(shown.violations, []);
    let changes: Vec<_> = shown
        .changes
        .iter()
        .map(|change| {
            (
                change.unit.as_ref().unwrap().unit_id,
                change.change(),
                change.successor.as_ref().unwrap().unit_id,
                change.accounts,
                change.roles,
            )
        })
        .collect();
    let merge = UnitChange::Merge;
    assert_eq!(
        changes,
        [(COMMUNE, merge, WARD, 1, 1), (COMMUNE_OFFICE, merge, WARD_OFFICE, 0, 1)]
    );
    assert_eq!((shown.accounts_moved, shown.roles_moved, shown.roles_ended), (1, 2, 0));

    // Everything that is wrong at once, in both languages.
    let mut wrong = merger(date(2026, 11, 22));
    wrong.carry_departments = false;
    wrong.closings.push(closing(PROVINCE, None));
    let shown = preview(&admin, wrong).await.unwrap();
    let mut rules: Vec<&str> = shown
        .violations
        .iter()
        .map(|violation| violation.rule.as_str())
        .collect();
    rules.sort_unstable();
    rules.dedup();
    assert_eq!(rules, ["child.left", "date.past", "unit.province"]);
    assert!(
        shown
            .violations
            .iter()
            .all(|one| !one.message_vi.is_empty() && !one.message_en.is_empty())
    );

    for token in [world.unit_admin(COMMUNE), world.clerk(WARD)] {
        assert_eq!(refused(preview(&token, merger(LATER)).await), "PERMISSION_MISSING");
    }
    assert!(list(&world).await.is_empty());
    assert_eq!(resolve(&world, "17329").await, Some(COMMUNE));
}

#[tokio::test]
async fn a_plan_is_kept_once_refused_with_every_violation_and_only_by_the_administrator_of_the_province() {
    let world = World::start().await;
    let request = CreateReorganisationRequest {
        request_id: fresh(),
        plan: Some(merger(LATER)),
    };
    let admin = world.province_admin();
    let (mut one, mut two) = (world.units(), world.units());
    let (first, second) = tokio::join!(
        one.create_reorganisation(by(&admin, request.clone())),
        two.create_reorganisation(by(&admin, request.clone())),
    );
    let first = first.unwrap().into_inner();
    assert_eq!(first, second.unwrap().into_inner());
    let again = world
        .units()
        .create_reorganisation(by(&admin, request.clone()))
        .await
        .unwrap();
    assert_eq!(again.into_inner(), first);
    assert_eq!(list(&world).await.len(), 1);
    let made = first.reorganisation.unwrap();
    assert_eq!(made.status(), ReorganisationStatus::Planned);
    // What it carries along stands in it.
    assert_eq!(made.plan.unwrap().closings.len(), 2);

    let mut other = request.clone();
    other.plan = Some(renaming(LATER));
    assert_eq!(
        refused(world.units().create_reorganisation(by(&admin, other)).await),
        "REQUEST_ID_REUSED"
    );
    // A second plan about the same units waits for the first, or is refused: two at once of which one is.
    let status = create(&world, renaming(LATER)).await.unwrap_err();
    let fault = egov_fault::fault_of(&status);
    assert_eq!(fault.reason(), "INVALID_FIELD");
    assert!(
        fault
            .violations()
            .iter()
            .all(|violation| violation.rule == "plan.other")
    );

    let mut wrong = merger(date(2026, 11, 1));
    wrong.closings.push(closing(77, None));
    let fault = egov_fault::fault_of(&create(&world, wrong).await.unwrap_err());
    let rules: Vec<&str> = fault
        .violations()
        .iter()
        .map(|violation| violation.rule.as_str())
        .collect();
    assert!(
        rules.contains(&"date.past") && rules.contains(&"unit.not_open"),
        "{rules:?}"
    );

    for token in [world.unit_admin(COMMUNE), world.unit_admin(WARD), world.clerk(WARD)] {
        let mut request = request.clone();
        request.request_id = fresh();
        let outcome = world.units().create_reorganisation(by(&token, request)).await;
        assert_eq!(refused(outcome), "PERMISSION_MISSING");
        let outcome = world
            .units()
            .list_reorganisations(by(&token, ListReorganisationsRequest::default()))
            .await;
        assert_eq!(refused(outcome), "PERMISSION_MISSING");
    }
}

#[tokio::test]
async fn of_two_plans_about_one_unit_at_the_same_moment_one_is_kept() {
    let world = World::start().await;
    let (one, two) = tokio::join!(create(&world, merger(LATER)), create(&world, renaming(LATER)));
    assert_ne!(one.is_ok(), two.is_ok());
    assert_eq!(list(&world).await.len(), 1);
}

#[tokio::test]
async fn a_plan_is_cancelled_before_its_day_and_not_on_it() {
    let world = World::start().await;
    let admin = world.province_admin();
    let cancel = async |token: &str, made: &Reorganisation, request_id: String| {
        let request = CancelReorganisationRequest {
            request_id,
            reorganisation_id: made.reorganisation_id.clone(),
            etag: made.etag.clone(),
            reason: "nghị quyết bị hoãn".to_owned(),
        };
        let answer = world.units().cancel_reorganisation(by(token, request)).await;
        answer.map(|answer| answer.into_inner().reorganisation.unwrap())
    };
    let made = create(&world, merger(LATER)).await.unwrap();
    assert_eq!(
        refused(cancel(&world.unit_admin(COMMUNE), &made, fresh()).await),
        "PERMISSION_MISSING"
    );
    let mut stale = made.clone();
    stale.etag = "7".to_owned();
    assert_eq!(refused(cancel(&admin, &stale, fresh()).await), "STALE_ETAG");
    let mut unknown = made.clone();
    unknown.reorganisation_id = fresh();
    assert_eq!(
        refused(cancel(&admin, &unknown, fresh()).await),
        "REORGANISATION_NOT_FOUND"
    );
    let id = fresh();
    let cancelled = cancel(&admin, &made, id.clone()).await.unwrap();
    assert_eq!(cancelled.status(), ReorganisationStatus::Cancelled);
    assert_eq!(cancel(&admin, &made, id).await.unwrap(), cancelled);
    assert_eq!(
        refused(cancel(&admin, &cancelled, fresh()).await),
        "REORGANISATION_NOT_PLANNED"
    );

    // Its day comes and nothing happens; the units are free for another plan.
    world.advance(9 * 86_400);
    settle(&world).await;
    // The service has heard of revocations at the new time.
    world.directory.refresh(&world.identity.feed()).await.unwrap();
    assert_eq!(resolve(&world, "17329").await, Some(COMMUNE));
    let today = date(2026, 12, 2);
    let made = create(&world, merger(today)).await.unwrap();
    let refusal = refused(cancel(&world.province_admin(), &made, fresh()).await);
    // The job of the running service may have had its turn by now: then it is another version already.
    assert!(
        ["REORGANISATION_NOT_PLANNED", "STALE_ETAG"].contains(&refusal.as_str()),
        "{refusal}"
    );
}

#[tokio::test]
async fn on_its_day_and_not_before_units_close_and_staff_roles_and_tokens_follow() {
    let world = World::start().await;
    let roles = [
        ("one_stop_clerk", COMMUNE),
        ("one_stop_clerk", WARD),
        ("unit_auditor", COMMUNE_OFFICE),
    ];
    let an = world.person("an", COMMUNE, &roles).await.account_id;
    let tokens = world.session("an").await;
    let made = create(&world, merger(LATER)).await.unwrap();
    settle(&world).await;
    assert_eq!(resolve(&world, "17329").await, Some(COMMUNE), "not before its day");

    // 08:00 on 23 November: the day begins at midnight eight days later.
    world.advance(7 * 86_400 + 15 * 3_600);
    settle(&world).await;
    assert_eq!(resolve(&world, "17329").await, Some(COMMUNE));
    world.advance(3_600);
    settle(&world).await;
    assert_eq!(resolve(&world, "17329").await, None);
    assert_eq!(resolve(&world, "17329.VP").await, None);
    assert_eq!(resolve(&world, "16690").await, Some(WARD));

    let request = ListSuccessorsRequest {
        unit_id: COMMUNE,
        on: None,
    };
    let answer = world.units().list_successors(request).await.unwrap().into_inner();
    let succession = answer.succession.unwrap();
    assert_eq!(
        (succession.successor_id, succession.change()),
        (WARD, UnitChange::Merge)
    );
    assert_eq!(succession.reorganisation_id, made.reorganisation_id);
    assert_eq!(answer.current.unwrap().unit_id, WARD);

    let request = by(
        &world.province_admin(),
        GetAccountRequest {
            account_id: an.to_string(),
        },
    );
    let account = world
        .accounts()
        .get_account(request)
        .await
        .unwrap()
        .into_inner()
        .account
        .unwrap();
    assert_eq!(account.unit_id, WARD);
    let day: Option<WireDate> = Some(LATER.into());
    let mut roles: Vec<_> = account
        .roles
        .iter()
        .map(|grant| (grant.role.as_str(), grant.unit_id, grant.effective_to))
        .collect();
    roles.sort_by_key(|(role, unit, _)| (role.to_owned(), *unit));
    // The clerk's role at both units is held once afterwards.
    assert_eq!(
        roles,
        [
            ("one_stop_clerk", WARD, None),
            ("one_stop_clerk", COMMUNE, day),
            ("unit_auditor", WARD_OFFICE, None),
            ("unit_auditor", COMMUNE_OFFICE, day),
        ]
    );
    // Tokens that said the old roles are void.
    let mut sql = world.sql().await;
    let revoked: i64 = sqlx::query_scalar("SELECT count(*) FROM revocations WHERE subject_id = $1")
        .bind(an)
        .fetch_one(&mut sql)
        .await
        .unwrap();
    assert_eq!(revoked, 1);
    drop(tokens);

    // History, events, leaves, record: each once, also after further rounds.
    settle(&world).await;
    for (what, query) in [
        (2, "SELECT count(*) FROM unit_history WHERE unit_id = 3"),
        (2, "SELECT count(*) FROM reorganisation_history"),
        (1, "SELECT count(*) FROM access_records WHERE kind = 'unit_followed'"),
        (
            1,
            "SELECT count(*) FROM egov.leaves WHERE kind = 'reorganisation' AND version = 2",
        ),
    ] {
        let found: i64 = sqlx::query_scalar(query).fetch_one(&mut sql).await.unwrap();
        assert_eq!(found, what, "{query}");
    }
    let listed = list(&world).await;
    assert_eq!(
        (listed[0].status(), listed[0].closed_units),
        (ReorganisationStatus::Applied, 2)
    );
    crate::ledger::untouched(&world).await;
}

#[tokio::test]
async fn what_was_delegated_at_a_unit_ends_with_it_and_both_sides_are_told_once() {
    let world = World::start().await;
    let leader = world
        .person("lanh.dao", COMMUNE, &[("officer", COMMUNE)])
        .await
        .account_id;
    let deputy = world.person("cap.pho", COMMUNE, &[]).await.account_id;
    let mut sql = world.sql().await;
    let grant: Uuid = sqlx::query_scalar("SELECT grant_id FROM role_grants WHERE account_id = $1")
        .bind(leader)
        .fetch_one(&mut sql)
        .await
        .unwrap();
    let request = DelegateRoleRequest {
        request_id: fresh(),
        grant_id: grant.to_string(),
        delegatee_username: "cap.pho".to_owned(),
        effective_from: None,
        effective_to: Some(date(2027, 1, 1).into()),
        reason: "đi công tác".to_owned(),
        document_number: "12/GUQ-UBND".to_owned(),
    };
    let tokens = world.session("lanh.dao").await;
    let made = world
        .access()
        .delegate_role(by(&tokens.access_token, request))
        .await
        .unwrap();
    assert!(made.into_inner().delegation.unwrap().in_force);
    create(&world, merger(LATER)).await.unwrap();
    world.advance(8 * 86_400);
    settle(&world).await;
    settle(&world).await;
    let ended: Vec<(Uuid, String)> =
        sqlx::query_as("SELECT delegatee_id, end_reason FROM delegations WHERE end_time IS NOT NULL")
            .fetch_all(&mut sql)
            .await
            .unwrap();
    assert_eq!(ended, [(deputy, "unit closed".to_owned())]);
    let told: i64 = sqlx::query_scalar("SELECT count(*) FROM access_records WHERE kind = 'delegation_ended'")
        .fetch_one(&mut sql)
        .await
        .unwrap();
    assert_eq!(told, 2);
    // The leader goes on at the successor; the deputy acts for nobody there until it is delegated anew.
    world.later(30).await;
    let deputy = world.verified(&world.session("cap.pho").await.access_token).await;
    assert!(deputy.delegated.is_empty());
    let leader = world.verified(&world.session("lanh.dao").await.access_token).await;
    assert_eq!((leader.roles[0].role.as_str(), leader.roles[0].unit), ("officer", WARD));
}

#[tokio::test]
async fn a_renamed_unit_gets_another_id_and_its_code_means_it_from_the_day_on() {
    let world = World::start().await;
    let (_, _signer) = world.system("portal", false).await;
    create(&world, renaming(TODAY)).await.unwrap();
    settle(&world).await;
    let new = resolve(&world, "16690").await.unwrap();
    assert_ne!(new, WARD);
    let yesterday = ResolveUnitRequest {
        code: "16690".to_owned(),
        on: Some(date(2026, 11, 22).into()),
    };
    let old = world
        .units()
        .resolve_unit(yesterday)
        .await
        .unwrap()
        .into_inner()
        .unit
        .unwrap();
    assert_eq!((old.unit_id, old.effective_to), (WARD, Some(TODAY.into())));
    assert_ne!(resolve(&world, "16690.VP").await.unwrap(), WARD_OFFICE);
    // The system's role followed.
    let units: Vec<i32> = sqlx::query_scalar("SELECT unit_id FROM system_roles")
        .fetch_all(&mut world.sql().await)
        .await
        .unwrap();
    assert_eq!(units, [new]);
    crate::ledger::untouched(&world).await;
    // The pack of the province, imported again, brings nothing back.
    let again = egov_identity::import::units(&world.database, &crate::support::pack(), &mut |_| {})
        .await
        .unwrap();
    assert_eq!(again.opened, 0);
    assert_eq!(resolve(&world, "16690").await, Some(new));
}

#[tokio::test]
async fn below_a_unit_without_successor_roles_end_and_accounts_stay() {
    let world = World::start().await;
    let an = world
        .person("an", COMMUNE_OFFICE, &[("unit_auditor", COMMUNE_OFFICE)])
        .await
        .account_id;
    let mut plan = merger(TODAY);
    plan.closings = vec![closing(COMMUNE_OFFICE, None)];
    create(&world, plan).await.unwrap();
    settle(&world).await;
    let (unit, ended): (i32, bool) = sqlx::query_as(
        "SELECT a.responsible_unit_id, bool_and(g.effective_to IS NOT NULL) FROM accounts a JOIN role_grants g USING (account_id)
         WHERE account_id = $1 GROUP BY 1",
    )
    .bind(an)
    .fetch_one(&mut world.sql().await)
    .await
    .unwrap();
    assert_eq!((unit, ended), (COMMUNE_OFFICE, true));
}

#[tokio::test]
async fn while_another_process_holds_the_lease_nothing_is_applied() {
    let world = World::start().await;
    let lease = loop {
        let lease = world
            .database
            .acquire_lease("identity.reorganise", Duration::from_mins(1))
            .await;
        if let Some(lease) = lease.unwrap() {
            break lease;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    create(&world, merger(TODAY)).await.unwrap();
    assert_eq!(world.identity.reorganise().await.unwrap(), None);
    assert_eq!(resolve(&world, "17329").await, Some(COMMUNE));
    lease.release().await.unwrap();
    settle(&world).await;
    assert_eq!(resolve(&world, "17329").await, None);
}

#[tokio::test]
async fn a_plan_that_the_tree_no_longer_fits_fails_on_its_day_and_changes_nothing() {
    let world = World::start().await;
    create(&world, merger(LATER)).await.unwrap();
    // Meanwhile a pack brings another department below the commune.
    let more = "code,name,level,parent,effective_from,status,note\n\
        17329.KT,Phòng Kinh tế,phong,17329,2026-01-01,confirmed,\n";
    let pack = egov_identity::import::UnitPack {
        name: "more",
        units: vec![("more.csv", more)],
        commune_departments: None,
        agency_codes: None,
    };
    egov_identity::import::units(&world.database, &pack, &mut |_| {})
        .await
        .unwrap();
    world.advance(9 * 86_400);
    settle(&world).await;
    let listed = list(&world).await;
    assert_eq!(listed[0].status(), ReorganisationStatus::Failed);
    assert!(listed[0].problem.contains("Phòng Kinh tế"), "{}", listed[0].problem);
    assert_eq!(resolve(&world, "17329").await, Some(COMMUNE));
}
