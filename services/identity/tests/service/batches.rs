//! Accounts from a list: made in one transaction or not at all, activated by their owners, closed when they leave.

use std::time::Duration;

use egov_clock::Clock as _;
use egov_identity::totp;
use egov_proto::egov::identity::v1::{
    AccountRow, BeginActivationRequest, ClosingOutcome, CompleteActivationRequest, CreateAccountsRequest,
    CreateAccountsResponse, DisableAccountsRequest, DisableAccountsResponse, ListAccountsRequest,
    ReissueActivationRequest, ReissueActivationResponse, RowOutcome, RowReport, RowRole,
};
use egov_proto::google::r#type::Date;
use jiff::civil::date;
use tonic::Status;

use crate::support::{COMMUNE, PASSWORD, WARD, WARD_OFFICE, World, by, fresh, refused};

fn row(line: i32, username: &str, unit_code: &str, roles: &[(&str, &str)]) -> AccountRow {
    AccountRow {
        line,
        username: username.to_owned(),
        full_name: "Trần Thị Bình".to_owned(),
        unit_code: unit_code.to_owned(),
        roles: roles
            .iter()
            .map(|(role, unit_code)| RowRole {
                role: (*role).to_owned(),
                unit_code: (*unit_code).to_owned(),
            })
            .collect(),
    }
}

fn batch(rows: Vec<AccountRow>) -> CreateAccountsRequest {
    CreateAccountsRequest {
        request_id: fresh(),
        rows,
        dry_run: false,
    }
}

async fn create(world: &World, token: &str, request: CreateAccountsRequest) -> Result<CreateAccountsResponse, Status> {
    world
        .batches()
        .create_accounts(by(token, request))
        .await
        .map(tonic::Response::into_inner)
}

fn outcomes(answer: &CreateAccountsResponse) -> Vec<RowOutcome> {
    answer.rows.iter().map(RowReport::outcome).collect()
}

fn rules(report: &RowReport) -> Vec<&str> {
    report.violations.iter().map(|one| one.rule.as_str()).collect()
}

async fn accounts(world: &World) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM accounts")
        .fetch_one(&mut world.sql().await)
        .await
        .unwrap()
}

async fn activate(world: &World, code: &str) -> Result<(String, Vec<u8>), Status> {
    let begun = world
        .batches()
        .begin_activation(BeginActivationRequest {
            activation_code: code.to_owned(),
        })
        .await?
        .into_inner();
    let secret = totp::from_base32(&begun.totp_secret).unwrap();
    let request = CompleteActivationRequest {
        activation_code: code.to_owned(),
        password: PASSWORD.to_owned(),
        totp_code: totp::code_at(&secret, totp::step_at(world.clock.now())),
    };
    let done = world.batches().complete_activation(request).await?.into_inner();
    assert_eq!(done.username, begun.username);
    Ok((done.username, secret))
}

#[tokio::test]
async fn a_list_makes_accounts_that_their_owners_activate_and_sign_in_with() {
    let world = World::start().await;
    let rows = vec![
        row(2, "An.Nguyen", "16690", &[("one_stop_clerk", "")]),
        row(
            3,
            "vp.le",
            "16690.VP",
            &[("officer", "16690"), ("unit_admin", "16690.VP")],
        ),
    ];
    let made = create(&world, &world.unit_admin(WARD), batch(rows)).await.unwrap();
    assert!(made.done);
    assert_eq!(outcomes(&made), [RowOutcome::Created, RowOutcome::Created]);
    assert_eq!(made.rows[0].username, "an.nguyen");
    assert_ne!(made.rows[0].activation_code, made.rows[1].activation_code);
    // Before the activation nobody signs in, and the refusal tells nothing.
    assert_eq!(refused(world.challenge("an.nguyen", PASSWORD).await), "SIGN_IN_REFUSED");
    let code = &made.rows[0].activation_code;
    let (name, secret) = activate(&world, &code.to_lowercase().replace('-', "")).await.unwrap();
    assert_eq!(name, "an.nguyen");
    let shown = totp::code_at(&secret, totp::step_at(world.clock.now()));
    let challenge = world.challenge("an.nguyen", PASSWORD).await.unwrap();
    assert_eq!(
        refused(world.answer(&challenge, &shown).await),
        "SIGN_IN_REFUSED",
        "the code that proved the authenticator works once"
    );
    world.advance(30);
    let shown = totp::code_at(&secret, totp::step_at(world.clock.now()));
    let tokens = world.answer(&challenge, &shown).await.unwrap();
    let principal = world.verified(&tokens.access_token).await;
    assert_eq!(principal.roles.len(), 1);
    assert_eq!(principal.subject.to_string(), made.rows[0].account_id);
    // A code works once.
    assert_eq!(refused(activate(&world, code).await), "ACTIVATION_REFUSED");
    let mut sql = world.sql().await;
    let stored: i64 = sqlx::query_scalar("SELECT count(*) FROM activations")
        .fetch_one(&mut sql)
        .await
        .unwrap();
    assert_eq!(stored, 1);
    let leaves: i64 = sqlx::query_scalar("SELECT count(*) FROM egov.leaves WHERE kind = 'account'")
        .fetch_one(&mut sql)
        .await
        .unwrap();
    assert_eq!(leaves, 3, "two made, one activated");
    crate::ledger::untouched(&world).await;
}

#[tokio::test]
async fn every_fault_of_every_row_is_named_in_both_languages_and_nothing_is_changed() {
    let world = World::start().await;
    world.person("xa.tran", COMMUNE, &[]).await;
    let rows = [
        row(2, "tot.dep", "16690", &[]),
        AccountRow {
            full_name: " ".to_owned(),
            ..row(3, "Ấ", "999", &[("no_role", "998")])
        },
        row(4, "tot.dep", "16690", &[]),
        row(5, "xa.nguyen", "17329", &[]),
        row(6, "tinh.le", "16690", &[("province_admin", "")]),
        row(7, "xa.tran", "16690", &[]),
    ];
    let ward = world.unit_admin(WARD);
    let expected = [
        vec![],
        vec![
            "username.form",
            "full_name.form",
            "unit.unknown",
            "role.unknown",
            "role.unit",
        ],
        vec!["username.repeated"],
        vec!["unit.forbidden"],
        vec!["role.forbidden"],
    ];
    for dry_run in [true, false] {
        let request = CreateAccountsRequest {
            dry_run,
            ..batch(rows[..5].to_vec())
        };
        let answer = create(&world, &ward, request).await.unwrap();
        assert!(!answer.done);
        assert_eq!(answer.rows.iter().map(rules).collect::<Vec<_>>(), expected);
        assert_eq!(outcomes(&answer)[0], RowOutcome::Acceptable);
        assert_eq!(answer.rows[3].line, 5);
        let all = answer.rows.iter().flat_map(|row| &row.violations);
        assert!(all.clone().count() > 7 && all.clone().all(|one| !one.vi.is_empty() && !one.en.is_empty()));
    }
    // A name that somebody has whom the caller does not see: found by the look and by the making alike.
    for dry_run in [true, false] {
        let request = CreateAccountsRequest {
            dry_run,
            ..batch(vec![rows[0].clone(), rows[5].clone()])
        };
        let answer = create(&world, &ward, request).await.unwrap();
        assert_eq!(rules(&answer.rows[1]), ["username.taken"]);
        assert!(!answer.done);
    }
    assert_eq!(accounts(&world).await, 1);
    let codes: i64 = sqlx::query_scalar("SELECT count(*) FROM activations")
        .fetch_one(&mut world.sql().await)
        .await
        .unwrap();
    assert_eq!(codes, 0);
}

#[tokio::test]
async fn a_list_again_changes_nothing_and_says_what_differs() {
    let world = World::start().await;
    let ward = world.unit_admin(WARD);
    let rows = vec![
        row(2, "an.nguyen", "16690", &[("one_stop_clerk", "")]),
        row(3, "vp.le", "16690.VP", &[]),
    ];
    let request = batch(rows.clone());
    let first = create(&world, &ward, request.clone()).await.unwrap();
    // The same request: the same answer, codes included; another body under its id is refused.
    assert_eq!(create(&world, &ward, request.clone()).await.unwrap(), first);
    let other = CreateAccountsRequest {
        rows: rows[..1].to_vec(),
        ..request
    };
    assert_eq!(refused(create(&world, &ward, other).await), "REQUEST_ID_REUSED");
    // The same content under another id: it is there, and no code is given again.
    let again = create(&world, &ward, batch(rows.clone())).await.unwrap();
    assert!(again.done);
    assert_eq!(outcomes(&again), [RowOutcome::Unchanged, RowOutcome::Unchanged]);
    assert!(
        again
            .rows
            .iter()
            .all(|row| row.activation_code.is_empty() && !row.account_id.is_empty())
    );
    let changed = vec![
        AccountRow {
            full_name: "Trần Thị Hoa".to_owned(),
            ..row(2, "an.nguyen", "16690.VP", &[("officer", "16690")])
        },
        row(3, "moi", "16690", &[]),
    ];
    let answer = create(&world, &ward, batch(changed)).await.unwrap();
    assert_eq!(outcomes(&answer), [RowOutcome::Differs, RowOutcome::Created]);
    let fields: Vec<&str> = answer.rows[0].violations.iter().map(|one| one.field.as_str()).collect();
    assert_eq!(fields, ["full_name", "unit_code", "roles"]);
    assert_eq!(accounts(&world).await, 3);
}

#[tokio::test]
async fn two_lists_with_the_same_people_at_once_make_each_account_once() {
    let world = World::start().await;
    let ward = world.unit_admin(WARD);
    let names = ["a.mot", "b.hai", "c.ba", "d.bon"];
    let rows: Vec<AccountRow> = (2..)
        .zip(names)
        .map(|(line, name)| row(line, name, "16690", &[]))
        .collect();
    let mut reversed = rows.clone();
    reversed.reverse();
    let (one, two) = tokio::join!(
        create(&world, &ward, batch(rows)),
        create(&world, &ward, batch(reversed))
    );
    let both = [one.unwrap(), two.unwrap()];
    assert!(both.iter().all(|answer| answer.done));
    let made = both
        .iter()
        .flat_map(outcomes)
        .filter(|outcome| *outcome == RowOutcome::Created)
        .count();
    assert_eq!((made, accounts(&world).await), (4, 4));
}

#[tokio::test]
async fn a_list_that_is_cut_off_in_the_middle_leaves_nothing_behind() {
    let world = World::start().await;
    let ward = world.unit_admin(WARD);
    let rows: Vec<AccountRow> = (0..400)
        .map(|n| row(n + 2, &format!("nguoi.{n}"), "16690", &[]))
        .collect();
    let request = batch(rows);
    // The accounts are made and their activations wait for a lock: there the database loses the connection.
    let killer = {
        let (mut holder, mut sql) = (world.sql().await, world.sql().await);
        sqlx::raw_sql("BEGIN; LOCK TABLE activations IN SHARE MODE")
            .execute(&mut holder)
            .await
            .unwrap();
        tokio::spawn(async move {
            for _ in 0..1000 {
                let killed: i64 = sqlx::query_scalar(
                    "SELECT count(*) FROM (SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                     WHERE datname = current_database() AND wait_event_type = 'Lock'
                       AND query LIKE '%INSERT INTO activations%') k",
                )
                .fetch_one(&mut sql)
                .await
                .unwrap();
                if killed > 0 {
                    sqlx::raw_sql("ROLLBACK").execute(&mut holder).await.unwrap();
                    return true;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            false
        })
    };
    let outcome = create(&world, &ward, request.clone()).await;
    assert!(killer.await.unwrap(), "the write was met in the middle");
    assert!(outcome.is_err(), "{outcome:?}");
    assert_eq!(accounts(&world).await, 0);
    // The same request again makes them all.
    let answer = create(&world, &ward, request).await.unwrap();
    assert!(answer.done && answer.rows.iter().all(|row| !row.activation_code.is_empty()));
    assert_eq!(accounts(&world).await, 400);
}

#[tokio::test]
async fn making_many_accounts_hashes_nothing_and_leaves_the_sign_ins_alone() {
    let world = World::start().await;
    // One hash at a time, and one caller that may wait: a list that hashed would shut everybody out.
    let world = world
        .restart_with(|settings| {
            settings.passwords.at_once = 1;
            settings.passwords.waiting = 1;
        })
        .await;
    world.person("an.nguyen", WARD, &[]).await;
    let ward = world.unit_admin(WARD);
    let rows: Vec<AccountRow> = (0..500)
        .map(|n| row(n + 2, &format!("nguoi.{n}"), "16690", &[]))
        .collect();
    let making = create(&world, &ward, batch(rows));
    let signing_in = async {
        for _ in 0..5 {
            world.challenge("an.nguyen", PASSWORD).await.unwrap();
        }
    };
    let (made, ()) = tokio::join!(making, signing_in);
    assert!(made.unwrap().done);
    let hashes: i64 = sqlx::query_scalar("SELECT count(*) FROM credentials")
        .fetch_one(&mut world.sql().await)
        .await
        .unwrap();
    assert_eq!(hashes, 1);
}

async fn made(world: &World, name: &str) -> (String, String) {
    let answer = create(world, &world.unit_admin(WARD), batch(vec![row(2, name, "16690", &[])]))
        .await
        .unwrap();
    let report = answer.rows.into_iter().next().unwrap();
    (report.account_id, report.activation_code)
}

async fn reissue(world: &World, token: &str, account_id: &str) -> Result<ReissueActivationResponse, Status> {
    let request = ReissueActivationRequest {
        request_id: fresh(),
        account_id: account_id.to_owned(),
    };
    world
        .batches()
        .reissue_activation(by(token, request))
        .await
        .map(tonic::Response::into_inner)
}

#[tokio::test]
async fn an_activation_is_refused_alike_whatever_is_wrong_and_shows_the_same_until_it_is_completed() {
    let world = World::start().await;
    let (_, code) = made(&world, "an.nguyen").await;
    for wrong in ["", "xxxx", "0000-0000-0000-0000-0000"] {
        let outcome = activate(&world, wrong).await;
        let expected = if wrong.is_empty() {
            "INVALID_FIELD"
        } else {
            "ACTIVATION_REFUSED"
        };
        assert_eq!(refused(outcome), expected, "{wrong}");
    }
    let begin = || {
        let mut client = world.batches();
        let request = BeginActivationRequest {
            activation_code: code.clone(),
        };
        async move { client.begin_activation(request).await.unwrap().into_inner() }
    };
    assert_eq!(begin().await, begin().await);
    let complete = |password: &str, totp_code: &str| {
        let mut client = world.batches();
        let request = CompleteActivationRequest {
            activation_code: code.clone(),
            password: password.to_owned(),
            totp_code: totp_code.to_owned(),
        };
        async move { client.complete_activation(request).await }
    };
    assert_eq!(refused(complete("ngắn", "000000").await), "INVALID_FIELD");
    assert_eq!(refused(complete(PASSWORD, "000000").await), "ACTIVATION_REFUSED");
    // Twice at once: one of them sets the password.
    let secret = totp::from_base32(&begin().await.totp_secret).unwrap();
    let shown = totp::code_at(&secret, totp::step_at(world.clock.now()));
    let (one, two) = tokio::join!(
        complete("mật khẩu thứ nhất", &shown),
        complete("mật khẩu thứ hai", &shown)
    );
    let right = match (&one, &two) {
        (Ok(_), Err(_)) => "mật khẩu thứ nhất",
        (Err(_), Ok(_)) => "mật khẩu thứ hai",
        other => panic!("{other:?}"),
    };
    assert!(world.challenge("an.nguyen", right).await.is_ok());
}

#[tokio::test]
async fn an_unused_code_runs_out_and_another_is_given_until_the_account_is_in_use() {
    let world = World::start().await;
    let (account, code) = made(&world, "an.nguyen").await;
    world.days_later(14).await;
    assert_eq!(refused(activate(&world, &code).await), "ACTIVATION_REFUSED");
    // The job may be at work itself at this moment and hold its lease, or have been faster.
    let left = async || {
        sqlx::query_scalar::<_, i64>("SELECT count(*) FROM activations")
            .fetch_one(&mut world.sql().await)
            .await
            .unwrap()
    };
    for _ in 0..200 {
        world.identity.purge().await.unwrap();
        if left().await == 0 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(left().await, 0);
    let ward = world.unit_admin(WARD);
    assert_eq!(
        refused(reissue(&world, &world.clerk(WARD), &account).await),
        "PERMISSION_MISSING"
    );
    assert_eq!(
        refused(reissue(&world, &world.unit_admin(COMMUNE), &account).await),
        "ACCOUNT_NOT_FOUND"
    );
    let second = reissue(&world, &ward, &account).await.unwrap().activation_code;
    let third = reissue(&world, &ward, &account).await.unwrap().activation_code;
    assert_eq!(
        refused(activate(&world, &second).await),
        "ACTIVATION_REFUSED",
        "a later code makes it void"
    );
    assert!(activate(&world, &third).await.is_ok());
    assert_eq!(refused(reissue(&world, &ward, &account).await), "ALREADY_ACTIVATED");
}

#[tokio::test]
async fn a_waiting_activation_survives_the_rotation_of_the_key_that_seals_it() {
    let world = World::start().await;
    let (_, code) = made(&world, "an.nguyen").await;
    let former: String = sqlx::query_scalar("SELECT seal_key_id FROM activations")
        .fetch_one(&mut world.sql().await)
        .await
        .unwrap();
    world
        .keyring
        .rotate(
            egov_keyring::Purpose::Answers,
            jiff::SignedDuration::from_hours(24),
            &world.clock,
        )
        .unwrap();
    // The job of the running service may be at it and hold the lease.
    for _ in 0..200 {
        world.identity.reseal().await.unwrap();
        let waiting: i64 = sqlx::query_scalar("SELECT count(*) FROM activations WHERE seal_key_id = $1")
            .bind(&former)
            .fetch_one(&mut world.sql().await)
            .await
            .unwrap();
        if waiting == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    world.advance(48 * 3600);
    world.keyring.reload(&world.clock).unwrap();
    assert!(activate(&world, &code).await.is_ok());
}

fn leaving(names: &[&str], day: Option<Date>) -> DisableAccountsRequest {
    DisableAccountsRequest {
        request_id: fresh(),
        usernames: names.iter().map(|name| (*name).to_owned()).collect(),
        closing_day: day,
        reason: "nghỉ hưu".to_owned(),
    }
}

async fn close(world: &World, token: &str, request: DisableAccountsRequest) -> Result<DisableAccountsResponse, Status> {
    world
        .batches()
        .disable_accounts(by(token, request))
        .await
        .map(tonic::Response::into_inner)
}

fn closed(answer: &DisableAccountsResponse) -> Vec<ClosingOutcome> {
    answer
        .accounts
        .iter()
        .map(egov_proto::egov::identity::v1::ClosingReport::outcome)
        .collect()
}

#[tokio::test]
async fn a_list_of_leavers_is_closed_at_once_or_not_at_all() {
    use ClosingOutcome::{Acceptable, AlreadyClosed, Closed, Refused};
    let world = World::start().await;
    let ward = world.unit_admin(WARD);
    world.person("an.nguyen", WARD, &[]).await;
    world.person("vp.le", WARD_OFFICE, &[]).await;
    world.person("xa.tran", COMMUNE, &[]).await;
    world
        .person("cap.tinh", WARD, &[("province_admin", crate::support::PROVINCE)])
        .await;
    let tokens = world.session("an.nguyen").await;
    let answer = close(
        &world,
        &ward,
        leaving(&["an.nguyen", "xa.tran", "khong.co", "cap.tinh"], None),
    )
    .await
    .unwrap();
    assert!(!answer.done);
    assert_eq!(closed(&answer), [Acceptable, Refused, Refused, Refused]);
    assert!(
        answer.accounts[1].account_id.is_empty(),
        "whom one cannot see is like nobody"
    );
    assert_eq!(
        answer.accounts[1].violations[0].rule,
        answer.accounts[2].violations[0].rule
    );
    assert_eq!(answer.accounts[3].violations[0].rule, "account.forbidden");
    assert!(world.challenge("an.nguyen", PASSWORD).await.is_ok());
    assert_eq!(
        refused(close(&world, &world.clerk(WARD), leaving(&["an.nguyen"], None)).await),
        "PERMISSION_MISSING"
    );
    let request = leaving(&["an.nguyen", "vp.le"], None);
    let answer = close(&world, &ward, request.clone()).await.unwrap();
    assert_eq!((answer.done, closed(&answer)), (true, vec![Closed, Closed]));
    assert_eq!(close(&world, &ward, request).await.unwrap(), answer);
    let answer = close(&world, &ward, leaving(&["an.nguyen"], None)).await.unwrap();
    assert_eq!(closed(&answer), [AlreadyClosed]);
    assert_eq!(refused(world.challenge("an.nguyen", PASSWORD).await), "SIGN_IN_REFUSED");
    let request = ListAccountsRequest {
        page_size: 0,
        page_token: String::new(),
        unit_id: 0,
    };
    let outcome = world.accounts().list_accounts(by(&tokens.access_token, request)).await;
    assert_eq!(refused(outcome), "TOKEN_REVOKED");
}

#[tokio::test]
async fn a_leaver_works_until_the_day_and_not_on_it() {
    let world = World::start().await;
    let ward = world.unit_admin(WARD);
    world.person("an.nguyen", WARD, &[]).await;
    let day = |day| Some(Date::from(day));
    assert_eq!(
        refused(close(&world, &ward, leaving(&["an.nguyen"], day(date(2026, 11, 22)))).await),
        "INVALID_FIELD"
    );
    let answer = close(&world, &ward, leaving(&["an.nguyen"], day(date(2026, 11, 25))))
        .await
        .unwrap();
    assert_eq!(closed(&answer), [ClosingOutcome::Scheduled]);
    // Moved by naming another day.
    close(&world, &ward, leaving(&["an.nguyen"], day(date(2026, 11, 24))))
        .await
        .unwrap();
    crate::ledger::untouched(&world).await;
    assert_eq!(world.identity.close_leavers().await.unwrap(), 0);
    let tokens = world.session("an.nguyen").await;
    // The 24th begins in Việt Nam at 17:00 in Greenwich.
    world.advance(16 * 3600);
    let mut closed_now = world.identity.close_leavers().await.unwrap();
    // The job of the running service may have been quicker.
    if closed_now == 0 {
        let already: i64 = sqlx::query_scalar("SELECT count(*) FROM accounts WHERE disabled_time IS NOT NULL")
            .fetch_one(&mut world.sql().await)
            .await
            .unwrap();
        closed_now = usize::try_from(already).unwrap();
    }
    assert_eq!(closed_now, 1);
    assert_eq!(refused(world.challenge("an.nguyen", PASSWORD).await), "SIGN_IN_REFUSED");
    let outcome = world
        .sign_in()
        .refresh_tokens(egov_proto::egov::identity::v1::RefreshTokensRequest {
            refresh_token: tokens.refresh_token,
        })
        .await;
    assert!(outcome.is_err());
    let (kind, by): (String, Option<uuid::Uuid>) =
        sqlx::query_as("SELECT kind, actor_id FROM access_records WHERE kind = 'account_disabled'")
            .fetch_one(&mut world.sql().await)
            .await
            .unwrap();
    assert_eq!(
        (kind.as_str(), by),
        ("account_disabled", Some(uuid::Uuid::from_u128(2)))
    );
    crate::ledger::untouched(&world).await;
}
