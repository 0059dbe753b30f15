//! What whoever owns the database changes of accounts, roles, systems, delegations, verdicts, issuers, links, reorganisations, and of what
//! was done to keys and upon whole kinds of callers, past the service is named by the verification of the ledger.

use std::collections::BTreeSet;

use egov_identity::operations::bootstrap::{SystemSpec, ensure_system};
use egov_identity::operations::rebuild_leaves::{rebuild_leaves, without_row};
use egov_proto::egov::identity::v1::{
    ChangeRoleEndRequest, ConfirmGrantRequest, CreateAccountRequest, DisableAccountRequest, DisableIssuerRequest,
    DisableSystemRequest, EndRoleRequest, GrantRoleRequest, KeyPurpose, RegisterSystemRequest, RevocationScope,
    SystemRole, UnlinkIdentityRequest, UnlockAccountRequest,
};
use egov_proto::google::r#type::Date;
use egov_transparency::{LogReport, verify_kind};
use jiff::civil::date;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::delegation::{delegate, end, holder, to};
use crate::emergency::{revoke_all, rotate, withdraw};
use crate::reorganisations::{create, merger};
use crate::sso::{Linked, OTHER_REDIRECT, settings_at};
use crate::support::{PASSWORD, PROVINCE, Signer, WARD, World, by, fresh, refused};

/// Every kind that is compared with its rows.
const KINDS: [&str; 10] = [
    "unit_tree",
    "account",
    "system",
    "delegation",
    "grant_review",
    "federated_issuer",
    "reorganisation",
    "federated_identity",
    "signing_key",
    "mass_revocation",
];

/// What the verification finds wrong with the tree, the accounts and the systems, and how many leaves are what the rows say.
pub async fn found(world: &World) -> (u64, BTreeSet<String>) {
    found_of(world, &KINDS[..3]).await
}

async fn found_of(world: &World, kinds: &[&str]) -> (u64, BTreeSet<String>) {
    let rebuilt = rebuild_leaves(&world.database).await.unwrap();
    let mut report = LogReport::default();
    let mut recomputed = 0;
    for &kind in kinds {
        recomputed += verify_kind(&world.database, kind, &rebuilt, without_row(kind), &mut report)
            .await
            .unwrap()
            .recomputed;
    }
    (recomputed, report.findings.into_iter().map(|one| one.detail).collect())
}

/// Nothing was changed past the service.
pub async fn untouched(world: &World) {
    assert_eq!(found_of(world, &KINDS).await.1, BTreeSet::new());
}

async fn give(world: &World, account: Uuid, to: Option<Date>) -> String {
    let request = GrantRoleRequest {
        request_id: fresh(),
        account_id: account.to_string(),
        role: "officer".to_owned(),
        unit_id: WARD,
        effective_from: Some(date(2026, 11, 25).into()),
        effective_to: to,
        reason: "phân công".to_owned(),
    };
    let granted = world
        .accounts()
        .grant_role(by(&world.unit_admin(WARD), request))
        .await
        .unwrap();
    let roles = granted.into_inner().account.unwrap().roles;
    let given = roles
        .into_iter()
        .find(|grant| grant.role == "officer" && grant.effective_to == to);
    given.unwrap().grant_id
}

async fn close(world: &World, account: Uuid) {
    let request = DisableAccountRequest {
        request_id: fresh(),
        account_id: account.to_string(),
        reason: "nghỉ việc".to_owned(),
    };
    let closed = world
        .accounts()
        .disable_account(by(&world.unit_admin(WARD), request))
        .await;
    assert!(closed.unwrap().into_inner().account.unwrap().disabled);
}

#[tokio::test]
async fn what_the_service_itself_does_to_accounts_and_systems_is_found_to_be_what_was_committed_to() {
    let world = World::start().await;
    let an = world
        .person("an.nguyen", WARD, &[("one_stop_clerk", WARD)])
        .await
        .account_id;
    // Made sure of again, with one role more, as `up` does.
    world
        .person("an.nguyen", WARD, &[("one_stop_clerk", WARD), ("unit_auditor", WARD)])
        .await;
    let request = CreateAccountRequest {
        request_id: fresh(),
        username: "binh.tran".to_owned(),
        full_name: "Trần Thị Bình".to_owned(),
        unit_id: WARD,
        password: PASSWORD.to_owned(),
    };
    world
        .accounts()
        .create_account(by(&world.unit_admin(WARD), request))
        .await
        .unwrap();
    let gone = world.person("cu.le", WARD, &[("officer", WARD)]).await.account_id;
    close(&world, gone).await;
    world.session("an.nguyen").await;
    untouched(&world).await;

    // A name that failed sign-ins lock is written to while it is locked, and the lock ends by itself or is lifted.
    for _ in 0..5 {
        assert!(world.challenge("an.nguyen", "mật khẩu không đúng").await.is_err());
    }
    assert_eq!(refused(world.challenge("an.nguyen", PASSWORD).await), "ACCOUNT_LOCKED");
    let first = give(&world, an, None).await;
    untouched(&world).await;
    world.later(120).await;
    untouched(&world).await;
    let request = UnlockAccountRequest {
        request_id: fresh(),
        account_id: an.to_string(),
    };
    world
        .accounts()
        .unlock_account(by(&world.unit_admin(WARD), request))
        .await
        .unwrap();
    let second = give(&world, an, Some(date(2026, 12, 1).into())).await;
    let request = ChangeRoleEndRequest {
        request_id: fresh(),
        grant_id: second,
        effective_to: Some(date(2026, 11, 26).into()),
        reason: "điều động".to_owned(),
    };
    world
        .access()
        .change_role_end(by(&world.unit_admin(WARD), request))
        .await
        .unwrap();
    let request = EndRoleRequest {
        request_id: fresh(),
        account_id: an.to_string(),
        grant_id: first,
        reason: String::new(),
    };
    world
        .accounts()
        .end_role(by(&world.unit_admin(WARD), request))
        .await
        .unwrap();

    let (system, _) = world.system("mot-cua", false).await;
    let twice = SystemRole {
        role: "one_stop_clerk".to_owned(),
        unit_id: WARD,
    };
    let request = RegisterSystemRequest {
        request_id: fresh(),
        client_id: "cong-quoc-gia".to_owned(),
        name: "Cổng dịch vụ công quốc gia".to_owned(),
        public_jwk: Signer::new().jwk().to_string(),
        roles: vec![twice.clone(), twice],
        acts_for_citizens: true,
    };
    world
        .systems()
        .register_system(by(&world.province_admin(), request))
        .await
        .unwrap();
    untouched(&world).await;
    // Another key, as after a rotation, and then the end.
    let spec = SystemSpec {
        client_id: "mot-cua",
        name: "Hệ thống một cửa",
        public_jwk: &Signer::new().jwk().to_string(),
        roles: &[("officer", WARD), ("one_stop_clerk", WARD)],
        acts_for_citizens: false,
    };
    assert!(ensure_system(&world.identity, &spec).await.unwrap().changed);
    untouched(&world).await;
    let request = DisableSystemRequest {
        request_id: fresh(),
        system_id: system.to_string(),
        reason: "hết hợp đồng".to_owned(),
    };
    world
        .systems()
        .disable_system(by(&world.province_admin(), request))
        .await
        .unwrap();

    // Roles begin and end by the day, and no leaf says which day it is. The tree, three accounts and two systems.
    for _ in 0..4 {
        assert_eq!(found(&world).await, (6, BTreeSet::new()));
        world.days_later(1).await;
    }
}

async fn past_the_service(sql: &mut PgConnection, statement: &'static str, id: Uuid) {
    let done = sqlx::query(statement).bind(id).execute(sql).await.unwrap();
    assert_eq!(done.rows_affected(), 1, "{statement}");
}

#[tokio::test]
async fn every_account_role_and_system_that_was_changed_past_the_service_is_named() {
    let world = World::start().await;
    let mut people = Vec::new();
    for username in [
        "mot.ten",
        "hai.don_vi",
        "ba.them",
        "bon.bot",
        "nam.sua",
        "sau.mo_lai",
        "bay.mat",
    ] {
        people.push(world.person(username, WARD, &[("officer", WARD)]).await.account_id);
    }
    let [renamed, moved, raised, stripped, altered, reopened, gone] = people[..] else {
        panic!("seven people");
    };
    close(&world, reopened).await;
    let mut systems = Vec::new();
    for client_id in ["khoa-khac", "them-vai-tro", "bi-xoa"] {
        systems.push(world.system(client_id, false).await.0);
    }
    let [keyed, widened, removed] = systems[..] else {
        panic!("three systems");
    };
    untouched(&world).await;

    let mut sql = world.sql().await;
    sqlx::raw_sql("SET session_replication_role = replica")
        .execute(&mut sql)
        .await
        .unwrap();
    let (added, nobody) = (Uuid::from_u128(71), Uuid::from_u128(72));
    for (statement, id) in [
        (
            "UPDATE accounts SET full_name = 'Ai đó khác' WHERE account_id = $1",
            renamed,
        ),
        (
            "UPDATE accounts SET responsible_unit_id = 1 WHERE account_id = $1",
            moved,
        ),
        (
            "INSERT INTO role_grants (grant_id, account_id, role, unit_id, effective_from, grant_time)
             VALUES ('00000000-0000-0000-0000-000000000001', $1, 'province_admin', 1, '2026-11-01', now())",
            raised,
        ),
        ("DELETE FROM role_grants WHERE account_id = $1", stripped),
        (
            "UPDATE role_grants SET effective_to = '2026-11-23' WHERE account_id = $1",
            altered,
        ),
        // As it was before it was closed, to the letter: what its first leaf commits to.
        (
            "UPDATE accounts SET disabled_time = NULL, version = 1 WHERE account_id = $1",
            reopened,
        ),
        ("DELETE FROM accounts WHERE account_id = $1", gone),
        (
            "INSERT INTO accounts (account_id, username, full_name, responsible_unit_id, attempt_key, version, create_time, update_time)
             VALUES ($1, 'khong.ai.tao', 'Không ai tạo', 1, sha256('x'), 1, now(), now())",
            added,
        ),
        (
            "INSERT INTO role_grants (grant_id, account_id, role, unit_id, effective_from, grant_time)
             VALUES ('00000000-0000-0000-0000-000000000002', $1, 'province_admin', 1, '2026-11-01', now())",
            nobody,
        ),
        (
            "UPDATE systems SET public_jwk = (SELECT public_jwk FROM systems WHERE client_id = 'them-vai-tro') WHERE system_id = $1",
            keyed,
        ),
        (
            "INSERT INTO system_roles (system_id, role, unit_id) VALUES ($1, 'province_admin', 0)",
            widened,
        ),
        ("DELETE FROM systems WHERE system_id = $1", removed),
    ] {
        past_the_service(&mut sql, statement, id).await;
    }
    let unlike = |kind: &str, id: Uuid| format!("{kind} {id} version 1 is not what its leaf commits to");
    let expected = BTreeSet::from([
        unlike("account", renamed),
        unlike("account", moved),
        unlike("account", raised),
        unlike("account", stripped),
        unlike("account", altered),
        format!("account {reopened} version 2: its row is gone"),
        format!("account {gone} version 1: its row is gone"),
        // Its roles are there still.
        format!("account {gone} version 0 has no leaf"),
        format!("account {added} version 1 has no leaf"),
        format!("account {nobody} version 0 has no leaf"),
        unlike("system", keyed),
        unlike("system", widened),
        format!("system {removed} version 1: its row is gone"),
        format!("system {removed} version 0 has no leaf"),
    ]);
    assert_eq!(found(&world).await.1, expected);

    // What was committed to once more is found whole once more.
    sqlx::raw_sql("DELETE FROM role_grants WHERE role = 'province_admin'")
        .execute(&mut sql)
        .await
        .unwrap();
    let still = found(&world).await.1;
    assert!(!still.contains(&unlike("account", raised)), "{still:?}");
    let tree = "UPDATE units SET name = name || ' khác' WHERE unit_id = $1::text::int";
    let done = sqlx::query(tree)
        .bind(PROVINCE.to_string())
        .execute(&mut sql)
        .await
        .unwrap();
    assert_eq!(done.rows_affected(), 1);
    let tree = found(&world).await.1.difference(&still).cloned().collect::<Vec<_>>();
    assert_eq!(tree.len(), 1, "{tree:?}");
    assert!(tree[0].starts_with("unit_tree ") && tree[0].ends_with("is not what its leaf commits to"));
}

#[tokio::test]
async fn every_delegation_verdict_issuer_link_reorganisation_and_act_on_keys_changed_past_the_service_is_named() {
    let linked = Linked::start().await;
    let world = &linked.world;
    let (mut delegations, mut deputies) = (Vec::new(), Vec::new());
    for (leader, deputy) in [
        ("mot.truong", "mot.pho"),
        ("hai.truong", "hai.pho"),
        ("ba.truong", "ba.pho"),
        ("bon.truong", "bon.pho"),
    ] {
        deputies.push(world.person(deputy, WARD, &[]).await.account_id);
        let leader = holder(world, leader, "officer", WARD).await;
        let token = &leader.tokens.access_token;
        let made = delegate(world, token, to(&leader.grant, deputy)).await.unwrap();
        delegations.push((leader, made));
    }
    let (leader, reopened) = &delegations[1];
    end(world, &leader.tokens.access_token, reopened).await.unwrap();
    for (leader, _) in &delegations[..3] {
        let request = ConfirmGrantRequest {
            request_id: fresh(),
            grant_id: leader.grant.clone(),
            note: "vẫn cần".to_owned(),
        };
        let kept = world.access().confirm_grant(by(&world.unit_admin(WARD), request)).await;
        kept.unwrap();
    }
    let other = world
        .register("https://sso.so.test", settings_at(OTHER_REDIRECT))
        .await
        .unwrap();
    let request = DisableIssuerRequest {
        request_id: fresh(),
        issuer_id: other.issuer_id.clone(),
        etag: other.etag.clone(),
        reason: "hết hợp đồng".to_owned(),
    };
    let disabled = world
        .federation()
        .disable_issuer(by(&world.province_admin(), request))
        .await;
    assert!(disabled.unwrap().into_inner().issuer.unwrap().disabled);
    let plan = create(world, merger(date(2026, 12, 20))).await.unwrap();
    let issuer = &linked.issuer.issuer_id;
    let relinked = world.link(deputies[0], issuer, "staff-8").await.unwrap();
    let unlinked = world.link(deputies[1], issuer, "staff-9").await.unwrap();
    untouched(world).await;
    let request = UnlinkIdentityRequest {
        request_id: fresh(),
        identity_id: relinked.clone(),
        reason: "nghỉ việc".to_owned(),
    };
    world
        .federation()
        .unlink_identity(by(&world.province_admin(), request))
        .await
        .unwrap();
    let key = rotate(world, KeyPurpose::TokenSigning).await.unwrap();
    withdraw(world, &world.province_admin(), &fresh(), &key).await.unwrap();
    for scope in [RevocationScope::Citizens, RevocationScope::Systems] {
        revoke_all(world, &world.province_admin(), &fresh(), scope, false)
            .await
            .unwrap();
    }
    untouched(world).await;
    // A delegation comes to its end by the day, and no leaf says which day it is.
    world.days_later(9).await;
    untouched(world).await;

    let mut sql = world.sql().await;
    let reviews: Vec<Uuid> = sqlx::query_scalar("SELECT review_id FROM grant_reviews ORDER BY review_id")
        .fetch_all(&mut sql)
        .await
        .unwrap();
    let keys: Vec<Uuid> = sqlx::query_scalar("SELECT change_id FROM key_changes ORDER BY act")
        .fetch_all(&mut sql)
        .await
        .unwrap();
    let revocations: Vec<Uuid> = sqlx::query_scalar("SELECT mass_revocation_id FROM mass_revocations")
        .fetch_all(&mut sql)
        .await
        .unwrap();
    assert_eq!((keys.len(), revocations.len()), (2, 2));
    sqlx::raw_sql("SET session_replication_role = replica")
        .execute(&mut sql)
        .await
        .unwrap();
    let id = |text: &str| text.parse::<Uuid>().unwrap();
    let ids: Vec<Uuid> = delegations.iter().map(|(_, made)| id(&made.delegation_id)).collect();
    let added = Uuid::from_u128(71);
    for (statement, id) in [
        (
            "UPDATE delegations SET effective_to = '2027-01-01' WHERE delegation_id = $1",
            ids[0],
        ),
        // As it was before it was ended, to the letter: what its first leaf commits to.
        (
            "UPDATE delegations SET end_time = NULL, ended_by = NULL, end_reason = '' WHERE delegation_id = $1",
            ids[1],
        ),
        ("DELETE FROM delegations WHERE delegation_id = $1", ids[2]),
        (
            "UPDATE delegations SET delegator_unit_id = 1 WHERE delegation_id = $1",
            ids[3],
        ),
        (
            "INSERT INTO delegations (delegation_id, grant_id, delegator_id, delegator_name, delegator_unit_id, delegatee_id,
                                      delegatee_name, delegatee_unit_id, effective_from, effective_to, reason, document_number,
                                      create_time)
             SELECT $1, grant_id, delegatee_id, delegator_name, delegator_unit_id, delegator_id, delegatee_name, delegatee_unit_id,
                    effective_from, effective_to, reason, document_number, create_time FROM delegations ORDER BY delegation_id LIMIT 1",
            added,
        ),
        (
            "UPDATE grant_reviews SET grant_id = (SELECT grant_id FROM grant_reviews WHERE review_id <> $1 LIMIT 1)
             WHERE review_id = $1",
            reviews[0],
        ),
        ("DELETE FROM grant_reviews WHERE review_id = $1", reviews[1]),
        (
            "INSERT INTO grant_reviews (review_id, grant_id, reviewer_id, review_time, note)
             SELECT $1, grant_id, reviewer_id, review_time, note FROM grant_reviews LIMIT 1",
            added,
        ),
        (
            "UPDATE federated_issuers SET algorithms = '{none}' WHERE issuer_id = $1",
            id(&linked.issuer.issuer_id),
        ),
        (
            "UPDATE federated_issuers SET disabled_time = NULL, version = 1 WHERE issuer_id = $1",
            id(&other.issuer_id),
        ),
        (
            "INSERT INTO federated_issuers (issuer_id, issuer, title, client_id, client_authentication, redirect_uris, unit_ids,
                                            algorithms, second_factor_acr, second_factor_amr, max_auth_age, version, create_time,
                                            update_time)
             SELECT $1, 'https://ai.do.test', title, client_id, client_authentication, '{}', unit_ids, algorithms,
                    second_factor_acr, second_factor_amr, max_auth_age, 1, create_time, update_time
             FROM federated_issuers LIMIT 1",
            added,
        ),
        (
            "UPDATE reorganisations SET legal_basis = 'Nghị quyết khác' WHERE reorganisation_id = $1",
            id(&plan.reorganisation_id),
        ),
        (
            "INSERT INTO reorganisations (reorganisation_id, effective_date, title, legal_basis, status, fact_status, plan, version,
                                          create_time, update_time)
             SELECT $1, effective_date, title, legal_basis, status, fact_status, plan, 1, create_time, update_time
             FROM reorganisations WHERE plan IS NOT NULL LIMIT 1",
            added,
        ),
        // Who signs in by the agency as another.
        (
            "UPDATE federated_identities SET account_id = (SELECT account_id FROM accounts WHERE username = 'bon.pho')
             WHERE identity_id = $1",
            id(&linked.link_id),
        ),
        (
            "UPDATE federated_identities SET unlink_time = NULL, unlinked_by = NULL, unlink_reason = '' WHERE identity_id = $1",
            id(&relinked),
        ),
        ("DELETE FROM federated_identities WHERE identity_id = $1", id(&unlinked)),
        (
            "INSERT INTO federated_identities (identity_id, account_id, issuer_id, subject_digest, link_time, linked_by)
             SELECT $1, a.account_id, l.issuer_id, sha256('x'), l.link_time, l.linked_by
             FROM federated_identities l JOIN accounts a ON a.username = 'ba.pho' LIMIT 1",
            added,
        ),
        (
            "UPDATE key_changes SET actor_id = change_id WHERE change_id = $1",
            keys[0],
        ),
        // What the compromised key signs is believed again.
        (
            "DELETE FROM withdrawn_keys WHERE key_id = (SELECT key_id FROM key_changes WHERE change_id = $1)",
            keys[1],
        ),
        (
            "INSERT INTO key_changes (change_id, act, purpose, key_id, used_key_id, reason, actor_id, record_time)
             SELECT $1, act, purpose, key_id, used_key_id, reason, actor_id, record_time FROM key_changes LIMIT 1",
            added,
        ),
        (
            "UPDATE mass_revocations SET not_after = not_after - interval '1 day' WHERE mass_revocation_id = $1",
            revocations[0],
        ),
        (
            "DELETE FROM mass_revocations WHERE mass_revocation_id = $1",
            revocations[1],
        ),
    ] {
        past_the_service(&mut sql, statement, id).await;
    }
    let unlike = |kind: &str, id: &str| format!("{kind} {id} version 1 is not what its leaf commits to");
    let without = |kind: &str| format!("{kind} {added} version 1 has no leaf");
    let expected = BTreeSet::from([
        unlike("delegation", &ids[0].to_string()),
        format!("delegation {} version 2: its row is gone", ids[1]),
        format!("delegation {} version 1: its row is gone", ids[2]),
        unlike("delegation", &ids[3].to_string()),
        without("delegation"),
        unlike("grant_review", &reviews[0].to_string()),
        format!("grant_review {} version 1: its row is gone", reviews[1]),
        without("grant_review"),
        unlike("federated_issuer", &linked.issuer.issuer_id),
        format!("federated_issuer {} version 2: its row is gone", other.issuer_id),
        without("federated_issuer"),
        unlike("reorganisation", &plan.reorganisation_id),
        without("reorganisation"),
        unlike("federated_identity", &linked.link_id),
        format!("federated_identity {relinked} version 2: its row is gone"),
        format!("federated_identity {unlinked} version 1: its row is gone"),
        without("federated_identity"),
        unlike("signing_key", &keys[0].to_string()),
        unlike("signing_key", &keys[1].to_string()),
        without("signing_key"),
        unlike("mass_revocation", &revocations[0].to_string()),
        format!("mass_revocation {} version 1: its row is gone", revocations[1]),
    ]);
    assert_eq!(found_of(world, &KINDS).await.1, expected);
    let deleted = sqlx::query("DELETE FROM reorganisations WHERE reorganisation_id = $1")
        .bind(id(&plan.reorganisation_id))
        .execute(&mut sql)
        .await
        .unwrap();
    assert_eq!(deleted.rows_affected(), 1);
    let gone = format!("reorganisation {} version 1: its row is gone", plan.reorganisation_id);
    assert!(found_of(world, &KINDS).await.1.contains(&gone));
}
