//! Running cases go over to a new version: previewed, case by case, and resumed after a stop.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use egov_onestop::domain::pack::Profile;
use egov_onestop::migrate_cases;
use egov_onestop::operations::verify::verify;
use egov_proto::egov::onestop::v1::{
    Case, GetMigrationRequest, ListCaseHistoryRequest, ListMigratedCasesRequest, Migration, MigrationPreview,
    MigrationState, OutcomeMapping, PreviewMigrationRequest, StartMigrationRequest, StepMapping,
};
use jiff::SignedDuration;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tonic::{Code, Status};

use crate::definitions::{BIRTH, controller, create, publish, update};
use crate::linked::looked_at;
use crate::support::*;

const LEASE: &str = "onestop.migrations";

/// Keeps the service's own job from its turn until it is released.
async fn hold(stack: &Stack) -> egov_database::Lease {
    loop {
        if let Some(lease) = stack.pool.acquire_lease(LEASE, Duration::from_mins(5)).await.unwrap() {
            return lease;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Publishes the next version of the birth registration, in force today, with a change of its text.
pub(crate) async fn next_version(stack: &Stack, change: impl Fn(String) -> String) -> i32 {
    let client = controller(stack);
    let draft = create(&client, BIRTH, "").await.unwrap();
    let text = draft
        .definition
        .replacen("effective_from = \"2026-07-20\"", "effective_from = \"2026-11-23\"", 1);
    let draft = update(&client, &draft, &change(text)).await.unwrap();
    publish(&client, &draft).await.unwrap().procedure.unwrap().version
}

/// The step that checks is called otherwise.
fn renamed(text: String) -> String {
    text.replace("code = \"tham_tra\"", "code = \"tham_dinh\"")
}

fn mapping() -> Vec<StepMapping> {
    vec![StepMapping {
        from: "tham_tra".to_owned(),
        to: "tham_dinh".to_owned(),
    }]
}

/// The step that checks ends with one of these outcomes, each of which leads to a step.
fn ending(text: &str, ways: &[(&str, &str)]) -> String {
    let ways: Vec<String> = ways
        .iter()
        .map(|(to, outcome)| format!("{{ to = \"{to}\", outcome = \"{outcome}\" }}"))
        .collect();
    let ends = format!("code = \"tham_tra\"\nnext = [{}]\n", ways.join(", "));
    text.replacen("code = \"tham_tra\"\n", &ends, 1)
}

/// A step by which the case is stopped, to which an outcome may lead.
fn with_a_stop(text: &str) -> String {
    text.replacen(
        "code = \"xac_nhan_bieu_mau\"\n",
        "code = \"dung\"\nname = \"Dừng giải quyết\"\nrole = \"unit_leader\"\nstate = 8\nnext = []\n\n\
         [[steps]]\ncode = \"xac_nhan_bieu_mau\"\n",
        1,
    )
}

fn outcome(step: &str, from: &str, to: &str) -> OutcomeMapping {
    OutcomeMapping {
        step: step.to_owned(),
        from: from.to_owned(),
        to: to.to_owned(),
    }
}

async fn checked(stack: &Stack, case: &Case) -> Case {
    checked_with(stack, case, "").await
}

async fn checked_with(stack: &Stack, case: &Case, outcome: &str) -> Case {
    let request = egov_proto::egov::onestop::v1::RecordStepRequest {
        request_id: request_id(),
        case_id: case.case_id.clone(),
        etag: case.etag.clone(),
        step: "tham_tra".to_owned(),
        outcome: outcome.to_owned(),
        ..Default::default()
    };
    let mut officer = stack.staff("officer", TRUONG_VINH);
    officer
        .cases
        .record_step(request)
        .await
        .unwrap()
        .into_inner()
        .case
        .unwrap()
}

pub(crate) fn start(from: i32, to: i32, steps: Vec<StepMapping>) -> StartMigrationRequest {
    StartMigrationRequest {
        request_id: request_id(),
        procedure_code: BIRTH.to_owned(),
        from_version: from,
        to_version: to,
        steps,
        reason: "Áp dụng quy trình mới".to_owned(),
        legal_basis: "Quyết định số 2/QĐ-UBND".to_owned(),
        outcomes: Vec::new(),
    }
}

async fn preview(client: &Client, to: i32, steps: Vec<StepMapping>) -> Result<Vec<MigrationPreview>, Status> {
    let request = PreviewMigrationRequest {
        procedure_code: BIRTH.to_owned(),
        from_version: 1,
        to_version: to,
        steps,
        ..Default::default()
    };
    let answer = client.clone().definitions.preview_migration(request).await?;
    Ok(answer.into_inner().cases)
}

pub(crate) async fn migration(client: &Client, id: &str) -> Migration {
    let request = GetMigrationRequest {
        migration_id: id.to_owned(),
    };
    client
        .clone()
        .definitions
        .get_migration(request)
        .await
        .unwrap()
        .into_inner()
        .migration
        .unwrap()
}

async fn whole(stack: &Stack) {
    let found = verify(&stack.pool, &stack.keyring, Profile::Demo, None, |_, _| {})
        .await
        .unwrap();
    assert!(found.is_whole(), "{:?}", found.violations);
}

/// Rounds until a migration is finished.
async fn finished(stack: &Stack, client: &Client, id: &str) -> Migration {
    let mut now = migration(client, id).await;
    while now.state() != MigrationState::Finished {
        migrate_cases(&stack.pool, Profile::Demo, 2, || false).await.unwrap();
        now = migration(client, id).await;
    }
    now
}

#[tokio::test]
async fn running_cases_go_over_as_previewed_and_a_stop_loses_nothing() {
    let stack = Stack::start().await;
    let lease = hold(&stack).await;
    let mut running = Vec::new();
    for _ in 0..3 {
        let case = processing(&stack).await;
        running.push(checked(&stack, &case).await);
        stack.advance(SignedDuration::from_secs(1)).await;
    }
    let decided = approve(&stack, &processing(&stack).await).await;
    let version = next_version(&stack, renamed).await;
    let client = controller(&stack);

    // Without the new name of the step everything stays; with it everything goes over. A decided case is not asked.
    let without = preview(&client, version, Vec::new()).await.unwrap();
    assert_eq!(without.len(), 3);
    assert!(
        without
            .iter()
            .all(|case| case.hindrances[0].kind == "step_gone" && case.new_due_date.is_none()),
        "{without:?}"
    );
    let with = preview(&client, version, mapping()).await.unwrap();
    for case in &with {
        assert_eq!(
            (case.hindrances.len(), case.new_step.as_str()),
            (0, "tham_dinh"),
            "{case:?}"
        );
        assert_eq!(case.due_date, case.new_due_date);
    }

    let request = start(1, version, mapping());
    let started = client
        .clone()
        .definitions
        .start_migration(request.clone())
        .await
        .unwrap()
        .into_inner();
    let again = client
        .clone()
        .definitions
        .start_migration(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(again, started, "the same request begins nothing twice");
    let status = client
        .clone()
        .definitions
        .start_migration(start(1, version, mapping()))
        .await
        .unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::FailedPrecondition, "MIGRATION_RUNNING")
    );
    let id = started.migration.unwrap().migration_id;

    // One case, then the process stops; the next one goes on where it was.
    lease.release().await.unwrap();
    let turns = AtomicUsize::new(0);
    while migration(&client, &id).await.moved == 0 {
        turns.store(0, Ordering::Relaxed);
        migrate_cases(&stack.pool, Profile::Demo, 1, || {
            turns.fetch_add(1, Ordering::Relaxed) >= 1
        })
        .await
        .unwrap();
    }
    let mut finished = migration(&client, &id).await;
    while finished.state() != MigrationState::Finished {
        migrate_cases(&stack.pool, Profile::Demo, 2, || false).await.unwrap();
        finished = migration(&client, &id).await;
    }
    assert_eq!((finished.moved, finished.kept), (3, 0));

    let reader = stack.staff("case_reader", TRUONG_VINH);
    for before in &running {
        let after = get(&reader, &before.case_id).await.unwrap();
        assert_eq!((after.procedure_version, after.step.as_str()), (version, "tham_dinh"));
        assert_eq!(
            (after.state, &after.deadline, &after.fees),
            (before.state, &before.deadline, &before.fees)
        );
        assert_eq!(after.version, before.version + 1, "once, however often it was begun");
        let request = ListCaseHistoryRequest {
            case_id: before.case_id.clone(),
            ..Default::default()
        };
        let history = reader
            .clone()
            .cases
            .list_case_history(request)
            .await
            .unwrap()
            .into_inner()
            .entries;
        let last = history.last().unwrap();
        assert_eq!(
            (last.operation.as_str(), last.step.as_str()),
            ("migrate_version", "tham_dinh")
        );
        assert_eq!(last.legal_basis, "Quyết định số 2/QĐ-UBND");
    }
    assert_eq!(get(&reader, &decided.case_id).await.unwrap().procedure_version, 1);
    let outcomes = ListMigratedCasesRequest {
        migration_id: id.clone(),
        page_size: 2,
        ..Default::default()
    };
    let page = client
        .clone()
        .definitions
        .list_migrated_cases(outcomes.clone())
        .await
        .unwrap()
        .into_inner();
    let rest = ListMigratedCasesRequest {
        page_token: page.next_page_token.clone(),
        ..outcomes
    };
    let rest = client
        .clone()
        .definitions
        .list_migrated_cases(rest)
        .await
        .unwrap()
        .into_inner();
    assert_eq!((page.cases.len(), rest.cases.len()), (2, 1));
    assert!(page.cases.iter().chain(&rest.cases).all(|case| case.moved));
    whole(&stack).await;
    let rebuilt = egov_onestop::operations::rebuild_leaves::rebuild_leaves(&stack.pool)
        .await
        .unwrap();
    assert_eq!(
        rebuilt.iter().filter(|one| one.kind == "procedure_migration").count(),
        2
    );
    // The case goes on by its new version.
    let officer = stack.staff("officer", TRUONG_VINH);
    let case = get(&officer, &running[0].case_id).await.unwrap();
    approve(&stack, &case).await;
    whole(&stack).await;
}

#[tokio::test]
async fn an_outcome_goes_over_by_the_name_that_stands_for_it_and_without_one_the_case_stays() {
    let stack = Stack::start().await;
    let lease = hold(&stack).await;
    let first = Mutex::new(String::new());
    let old = next_version(&stack, |text| {
        first.lock().unwrap().clone_from(&text);
        let ways = [
            ("ghi_so", "đủ điều kiện"),
            ("xac_nhan_bieu_mau", "cần xác nhận biểu mẫu"),
        ];
        ending(&text, &ways)
    })
    .await;
    let mut ended = Vec::new();
    for outcome in ["đủ điều kiện", "cần xác nhận biểu mẫu"] {
        let case = processing(&stack).await;
        ended.push(checked_with(&stack, &case, outcome).await);
        stack.advance(SignedDuration::from_secs(1)).await;
    }
    let (sound, unconfirmed) = (&ended[0], &ended[1]);
    let begun = processing(&stack).await;
    // The new version calls the step and its outcomes otherwise, and has one by which the case is stopped.
    let text = first.into_inner().unwrap();
    let new = next_version(&stack, |_| {
        let ways = [
            ("ghi_so", "đạt"),
            ("xac_nhan_bieu_mau", "cần biểu mẫu"),
            ("dung", "phải dừng"),
        ];
        renamed(with_a_stop(&ending(&text, &ways)))
    })
    .await;
    let client = controller(&stack);
    let request = |outcomes: Vec<OutcomeMapping>| StartMigrationRequest {
        outcomes,
        ..start(old, new, mapping())
    };
    let previewed = async |steps: Vec<StepMapping>, outcomes: Vec<OutcomeMapping>| {
        let request = PreviewMigrationRequest {
            procedure_code: BIRTH.to_owned(),
            from_version: old,
            to_version: new,
            steps,
            outcomes,
            ..Default::default()
        };
        let answer = client.clone().definitions.preview_migration(request).await?;
        Ok::<_, Status>(answer.into_inner().cases)
    };
    let of = |previews: &[MigrationPreview], case: &Case| {
        let preview = previews.iter().find(|one| one.case_id == case.case_id).unwrap();
        let kinds: Vec<String> = preview.hindrances.iter().map(|one| one.kind.clone()).collect();
        (preview.outcome.clone(), preview.new_outcome.clone(), kinds.join(", "))
    };
    let say = |outcome: &str, new: &str, kinds: &str| (outcome.to_owned(), new.to_owned(), kinds.to_owned());

    // Without names what came to an outcome stays, and it is said which; what came to none goes over.
    let without = previewed(mapping(), Vec::new()).await.unwrap();
    assert_eq!(of(&without, sound), say("đủ điều kiện", "", "outcome_gone"));
    assert_eq!(
        of(&without, unconfirmed),
        say("cần xác nhận biểu mẫu", "", "outcome_gone")
    );
    assert_eq!(of(&without, &begun), say("", "", ""));
    let kept = without.iter().find(|one| one.case_id == sound.case_id).unwrap();
    let words = kept.hindrances[0].text.clone().unwrap();
    for words in [&words.vi, &words.en] {
        assert!(words.contains("tham_tra") && words.contains("đủ điều kiện"), "{words}");
    }

    // Everything that is wrong is named at once, and nothing begins.
    let named = vec![outcome("tham_tra", "đủ điều kiện", "đạt")];
    let wrong = vec![
        named[0].clone(),
        outcome("tham_tra", "đủ", "được"),
        outcome("tham_tra", "đủ điều kiện", "phải dừng"),
        outcome("khong_co", "đủ điều kiện", "đạt"),
        outcome("ghi_so", "đạt", ""),
    ];
    for status in [
        previewed(mapping(), wrong.clone()).await.unwrap_err(),
        client
            .clone()
            .definitions
            .start_migration(request(wrong))
            .await
            .unwrap_err(),
    ] {
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::InvalidArgument, "INVALID_FIELD")
        );
        let fault = egov_fault::fault_of(&status);
        let fields: Vec<&str> = fault.violations().iter().map(|one| one.field.as_str()).collect();
        assert_eq!(
            fields,
            [
                "outcomes[1].from",
                "outcomes[1].to",
                "outcomes[2].from",
                "outcomes[2].to",
                "outcomes[3].step",
                "outcomes[4].from",
            ]
        );
        let unknown = &fault.violations()[0];
        for words in [&unknown.vi, &unknown.en] {
            assert!(words.contains("đủ điều kiện; cần xác nhận biểu mẫu"), "{words}");
        }
    }
    // By its old name the step is none of the new version, and no outcome of it either.
    let status = previewed(Vec::new(), named.clone()).await.unwrap_err();
    assert_eq!(egov_fault::fault_of(&status).violations()[0].field, "outcomes[0].step");
    let mut superuser = stack.database.connect_as_superuser().await.unwrap();
    let begun_by_then: i64 = sqlx::query_scalar("SELECT count(*) FROM procedure_migrations")
        .fetch_one(&mut superuser)
        .await
        .unwrap();
    assert_eq!(begun_by_then, 0);

    let some = previewed(mapping(), named.clone()).await.unwrap();
    assert_eq!(of(&some, sound), say("đủ điều kiện", "đạt", ""));
    assert_eq!(of(&some, unconfirmed), say("cần xác nhận biểu mẫu", "", "outcome_gone"));
    assert_eq!(of(&some, &begun), say("", "", ""));

    let asked = request(named.clone());
    let started = client
        .clone()
        .definitions
        .start_migration(asked.clone())
        .await
        .unwrap()
        .into_inner();
    let again = client
        .clone()
        .definitions
        .start_migration(asked.clone())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(again, started, "the same request begins nothing twice");
    let other = StartMigrationRequest {
        outcomes: vec![outcome("tham_tra", "cần xác nhận biểu mẫu", "cần biểu mẫu")],
        ..asked
    };
    let status = client.clone().definitions.start_migration(other).await.unwrap_err();
    assert_eq!(reason(&status), "REQUEST_ID_REUSED");
    let work = crate::work::open_step(&stack, &sound.case_id).await;

    // A case, then the process stops; the next one goes on by the same names.
    let id = started.migration.unwrap().migration_id;
    lease.release().await.unwrap();
    let turns = AtomicUsize::new(0);
    let mut now = migration(&client, &id).await;
    while now.moved + now.kept == 0 {
        turns.store(0, Ordering::Relaxed);
        let stopped = || turns.fetch_add(1, Ordering::Relaxed) >= 1;
        migrate_cases(&stack.pool, Profile::Demo, 1, stopped).await.unwrap();
        now = migration(&client, &id).await;
    }
    let now = finished(&stack, &client, &id).await;
    assert_eq!((now.moved, now.kept, &now.outcomes), (2, 1, &named));

    let reader = stack.staff("case_reader", TRUONG_VINH);
    let after = get(&reader, &sound.case_id).await.unwrap();
    assert_eq!(
        (
            after.procedure_version,
            after.step.as_str(),
            after.step_outcome.as_str()
        ),
        (new, "tham_dinh", "đạt")
    );
    assert_eq!((after.version, after.state), (sound.version + 1, sound.state));
    let stayed = get(&reader, &unconfirmed.case_id).await.unwrap();
    assert_eq!((stayed.procedure_version, &stayed.etag), (old, &unconfirmed.etag));
    assert_eq!(get(&reader, &begun.case_id).await.unwrap().procedure_version, new);
    // The history keeps what was found, and says what stands for it.
    let history = ListCaseHistoryRequest {
        case_id: sound.case_id.clone(),
        ..Default::default()
    };
    let history = reader
        .clone()
        .cases
        .list_case_history(history)
        .await
        .unwrap()
        .into_inner()
        .entries;
    let told: Vec<(&str, &str, &str, &str)> = history
        .iter()
        .rev()
        .take(2)
        .map(|one| {
            (
                one.operation.as_str(),
                one.step.as_str(),
                one.outcome.as_str(),
                one.from_outcome.as_str(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("migrate_version", "tham_dinh", "đạt", "đủ điều kiện"),
            ("record_step", "tham_tra", "đủ điều kiện", ""),
        ]
    );
    let same = crate::work::open_step(&stack, &sound.case_id).await;
    assert_eq!(
        (&same.task_id, same.step.as_str(), &same.etag),
        (&work.task_id, "ghi_so", &work.etag),
        "the work goes on"
    );
    whole(&stack).await;

    // What stayed goes over as soon as somebody says what stands for its outcome.
    let rest = vec![outcome("tham_tra", "cần xác nhận biểu mẫu", "cần biểu mẫu")];
    let started = client
        .clone()
        .definitions
        .start_migration(request(rest))
        .await
        .unwrap()
        .into_inner();
    let now = finished(&stack, &client, &started.migration.unwrap().migration_id).await;
    assert_eq!((now.moved, now.kept), (1, 0));
    let after = get(&reader, &unconfirmed.case_id).await.unwrap();
    assert_eq!(after.step_outcome, "cần biểu mẫu");
    let next = crate::work::open_step(&stack, &unconfirmed.case_id).await;
    assert_eq!(next.step, "xac_nhan_bieu_mau");
    approve(&stack, &get(&reader, &sound.case_id).await.unwrap()).await;
    whole(&stack).await;
}

/// The statements of a batch, each by the table that it writes to.
const WRITTEN: [&str; 4] = [
    "cases",
    "case_history",
    "procedure_migration_cases",
    "procedure_migrations",
];

/// Gives a round up where it waits for what somebody else holds, and does not come back until nothing of it is left.
async fn given_up_where_it_waits(stack: &Stack, held: &str, watcher: &mut PgConnection) {
    let mut holder = stack.database.connect_as_superuser().await.unwrap();
    let mut holding = holder.begin().await.unwrap();
    sqlx::query(AssertSqlSafe(held.to_owned()))
        .execute(&mut *holding)
        .await
        .unwrap();
    let waits = async {
        loop {
            let waits: bool = sqlx::query_scalar(
                // What is left of the service may wait for the same.
                "SELECT EXISTS (SELECT 1 FROM pg_stat_activity
                                WHERE datname = current_database() AND wait_event_type = 'Lock')
                    AND EXISTS (SELECT 1 FROM egov.leases WHERE name = $1 AND expire_time > clock_timestamp())",
            )
            .bind(LEASE)
            .fetch_one(&mut *watcher)
            .await
            .unwrap();
            if waits {
                return;
            }
        }
    };
    tokio::select! {
        ended = migrate_cases(&stack.pool, Profile::Demo, 2, || false) => panic!("{held}: {ended:?}"),
        () = waits => {}
    }
    holding.rollback().await.unwrap();
    loop {
        let at_work: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT 1 FROM pg_stat_activity
                            WHERE datname = current_database() AND pid <> pg_backend_pid()
                              AND backend_type = 'client backend' AND state <> 'idle')",
        )
        .fetch_one(&mut *watcher)
        .await
        .unwrap();
        if !at_work {
            return;
        }
    }
}

#[tokio::test]
async fn given_up_in_the_middle_of_whatever_a_migration_goes_on_and_moves_each_case_once() {
    const CASES: i64 = 6;
    let stack = Stack::start().await;
    let lease = hold(&stack).await;
    for _ in 0..CASES {
        checked(&stack, &processing(&stack).await).await;
        stack.advance(SignedDuration::from_secs(1)).await;
    }
    let version = next_version(&stack, renamed).await;
    let mut client = controller(&stack);
    let request = start(1, version, mapping());
    client.definitions.start_migration(request).await.unwrap();
    // The running service would take the migration over at once: it must be gone before the lease is free.
    stack.take_down().await;
    lease.release().await.unwrap();

    let mut superuser = stack.database.connect_as_superuser().await.unwrap();
    // Whoever held the lease is gone, and its time is over.
    let expire = async |superuser: &mut PgConnection| {
        sqlx::query("UPDATE egov.leases SET expire_time = '-infinity' WHERE name = $1")
            .bind(LEASE)
            .execute(superuser)
            .await
            .unwrap();
    };
    let stand = async |superuser: &mut PgConnection| -> (bool, bool, i64) {
        sqlx::query_as(
            "SELECT state = 'finished',
                    EXISTS (SELECT 1 FROM egov.leases WHERE name = $1 AND expire_time > clock_timestamp()), moved + kept
             FROM procedure_migrations",
        )
        .bind(LEASE)
        .fetch_one(superuser)
        .await
        .unwrap()
    };
    // What comes before the first batch is read, whether or not there is one: half of that is passed over. Its last request for the lease may
    // be all that is left of the service.
    let before = loop {
        expire(&mut superuser).await;
        let (looks, ended) = looked_at(usize::MAX, migrate_cases(&stack.pool, Profile::Demo, 2, || true)).await;
        if let Some(cases) = ended.unwrap().unwrap() {
            assert_eq!(cases, 0);
            break looks;
        }
    };
    let (mut given_up, mut partway) = (0, 0);
    // In each statement that writes: how often the future is looked at until it comes there depends on how busy the machine is, and a round of
    // which every answer is there at once comes to its end between two looks.
    for table in WRITTEN {
        expire(&mut superuser).await;
        given_up_where_it_waits(&stack, &format!("LOCK TABLE {table} IN SHARE MODE"), &mut superuser).await;
        assert_eq!(stand(&mut superuser).await, (false, true, 0), "{table}");
        given_up += 1;
    }
    // Between the first batch and the last: the first case of the second one is held by somebody else.
    expire(&mut superuser).await;
    // Found first: rows that OFFSET passes over would be locked as well.
    let third = "SELECT 1 FROM cases
                 WHERE case_id = (SELECT case_id FROM cases ORDER BY submit_time DESC, case_id DESC OFFSET 2 LIMIT 1) FOR UPDATE";
    given_up_where_it_waits(&stack, third, &mut superuser).await;
    assert_eq!(stand(&mut superuser).await, (false, true, 2));
    given_up += 1;
    partway += 1;
    for point in 1_usize.. {
        expire(&mut superuser).await;
        // Each time it comes a little further before the future is dropped, two cases a transaction.
        let round = migrate_cases(&stack.pool, Profile::Demo, 2, || false);
        let (_, ended) = looked_at(before / 2 + point * 4, round).await;
        let is_over = ended.map(Result::unwrap).is_some();
        let (finished, held, reached) = stand(&mut superuser).await;
        if finished {
            break;
        }
        given_up += u32::from(held && !is_over);
        partway += u32::from(reached > 0);
    }
    assert!(given_up >= 4, "only {given_up} rounds were given up under their lease");
    assert!(partway > 0, "none was given up between the first batch and the last");
    assert_eq!(
        migrate_cases(&stack.pool, Profile::Demo, 2, || false).await.unwrap(),
        Some(0),
        "nothing is left to do"
    );
    for once in [
        "SELECT moved FROM procedure_migrations WHERE kept = 0",
        "SELECT count(*) FROM procedure_migration_cases WHERE moved",
        "SELECT count(*) FROM cases WHERE procedure_version = (SELECT to_version FROM procedure_migrations) AND step = 'tham_dinh'",
        "SELECT count(*) FROM case_history WHERE operation = 'migrate_version'",
        "SELECT (SELECT count(*) FROM egov.outbox WHERE kind = 'case_version_migrated')
              + (SELECT count(*) FROM egov.event_log WHERE kind = 'case_version_migrated')",
    ] {
        let found: i64 = sqlx::query_scalar(once).fetch_one(&mut superuser).await.unwrap();
        assert_eq!(found, CASES, "{once}");
    }
    whole(&stack).await;
}

#[tokio::test]
async fn what_was_promised_is_not_taken_away_by_a_migration() {
    let stack = Stack::start().await;
    let lease = hold(&stack).await;
    let promised = processing(&stack).await;
    let waiting = submit(&stack).await.case.unwrap();
    let version = next_version(&stack, |text| {
        text.replace("value = 1\nunit = \"working_day\"", "value = 5\nunit = \"working_day\"")
    })
    .await;
    let client = controller(&stack);
    let previews = preview(&client, version, Vec::new()).await.unwrap();
    let of = |id: &str| previews.iter().find(|case| case.case_id == id).unwrap();
    let kinds: Vec<&str> = of(&promised.case_id)
        .hindrances
        .iter()
        .map(|one| one.kind.as_str())
        .collect();
    assert_eq!(kinds, ["due_later"]);
    assert_eq!(of(&waiting.case_id).hindrances.len(), 0, "nothing was promised yet");

    let started = client
        .clone()
        .definitions
        .start_migration(start(1, version, Vec::new()))
        .await
        .unwrap()
        .into_inner();
    let id = started.migration.unwrap().migration_id;
    lease.release().await.unwrap();
    let mut done = migration(&client, &id).await;
    while done.state() != MigrationState::Finished {
        migrate_cases(&stack.pool, Profile::Demo, 50, || false).await.unwrap();
        done = migration(&client, &id).await;
    }
    assert_eq!((done.moved, done.kept), (1, 1));
    let reader = stack.staff("case_reader", TRUONG_VINH);
    let kept = get(&reader, &promised.case_id).await.unwrap();
    assert_eq!((kept.procedure_version, &kept.etag), (1, &promised.etag));
    assert_eq!(get(&reader, &waiting.case_id).await.unwrap().procedure_version, version);
    let outcomes = ListMigratedCasesRequest {
        migration_id: id,
        ..Default::default()
    };
    let outcomes = client
        .clone()
        .definitions
        .list_migrated_cases(outcomes)
        .await
        .unwrap()
        .into_inner()
        .cases;
    let stayed = outcomes.iter().find(|one| one.case_id == promised.case_id).unwrap();
    assert_eq!((stayed.moved, stayed.hindrances[0].kind.as_str()), (false, "due_later"));
    whole(&stack).await;
    // The old version keeps working for the case that stayed.
    approve(&stack, &kept).await;
}

#[tokio::test]
async fn a_preview_shows_the_cases_of_the_callers_units_and_only_the_province_migrates() {
    let stack = Stack::start().await;
    let case = processing(&stack).await;
    let version = next_version(&stack, renamed).await;
    let own = stack.staff("procedure_controller", TRUONG_VINH);
    let neighbour = stack.staff("procedure_controller", THANH_VINH);
    let seen = preview(&own, version, mapping()).await.unwrap();
    assert_eq!((seen.len(), seen[0].case_id.as_str()), (1, case.case_id.as_str()));
    let shown = format!("{seen:?}");
    assert!(
        !shown.contains("Hường") && !shown.contains("040190000123"),
        "it names nobody"
    );
    assert_eq!(preview(&neighbour, version, mapping()).await.unwrap(), []);
    let status = own
        .clone()
        .definitions
        .start_migration(start(1, version, mapping()))
        .await
        .unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::PermissionDenied, "PERMISSION_MISSING")
    );
    for role in ["one_stop_clerk", "officer", "unit_leader", "case_reader"] {
        let status = preview(&stack.staff(role, PROVINCE), version, mapping())
            .await
            .unwrap_err();
        assert_eq!(reason(&status), "PERMISSION_MISSING", "{role}");
    }
    let client = controller(&stack);
    let started = client
        .clone()
        .definitions
        .start_migration(start(1, version, mapping()))
        .await
        .unwrap()
        .into_inner();
    let id = started.migration.unwrap().migration_id;
    let request = GetMigrationRequest {
        migration_id: id.clone(),
    };
    let status = own.clone().definitions.get_migration(request).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::NotFound, "MIGRATION_NOT_FOUND")
    );
    let outcomes = ListMigratedCasesRequest {
        migration_id: id,
        ..Default::default()
    };
    let status = own.clone().definitions.list_migrated_cases(outcomes).await.unwrap_err();
    assert_eq!(reason(&status), "MIGRATION_NOT_FOUND");
    let mut owner = stack.database.connect_as_owner().await.unwrap();
    for table in ["procedure_migrations", "procedure_migration_cases"] {
        let query = format!("SELECT count(*) FROM {table}");
        let seen: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(query))
            .fetch_one(&mut owner)
            .await
            .unwrap();
        assert_eq!(seen, 0, "{table}");
    }

    // To itself, from nothing, or to a version that is not in force yet: nothing begins.
    let status = preview(&client, 1, Vec::new()).await.unwrap_err();
    assert_eq!(egov_fault::fault_of(&status).violations()[0].field, "to_version");
    // Each step is named once.
    let twice = [mapping(), mapping(), mapping()].concat();
    for status in [
        preview(&client, version, twice.clone()).await.unwrap_err(),
        client
            .definitions
            .clone()
            .start_migration(start(1, version, twice))
            .await
            .unwrap_err(),
    ] {
        let fault = egov_fault::fault_of(&status);
        let named: Vec<&str> = fault.violations().iter().map(|one| one.field.as_str()).collect();
        assert_eq!(named, ["steps[1].from", "steps[2].from"]);
    }
    let status = preview(&client, 99, Vec::new()).await.unwrap_err();
    assert_eq!(reason(&status), "PROCEDURE_NOT_FOUND");
    let later = next_version(&stack, |text| {
        text.replacen("effective_from = \"2026-11-23\"", "effective_from = \"2026-12-23\"", 1)
    })
    .await;
    let status = preview(&client, later, Vec::new()).await.unwrap_err();
    assert_eq!(reason(&status), "PROCEDURE_NOT_FOUND");
}
