//! A unit closes: its open cases follow to the designated successor, and nobody files with it any more.

use std::sync::Mutex;
use std::time::Duration;

use egov_onestop::domain::pack::Profile;
use egov_onestop::operations::verify::verify;
use egov_onestop::{Round, follow_units};
use egov_proto::egov::identity::v1::UnitKind;
use egov_proto::egov::onestop::v1::new_mark::Target;
use egov_proto::egov::onestop::v1::{
    Case, CaseState, InboxView, ListCaseHistoryRequest, ListCasesRequest, NewMark, ReassignTaskRequest,
    SearchCasesRequest, SendBackTaskRequest, Task, WithdrawCaseRequest,
};
use jiff::civil::date;
use tonic::Code;
use uuid::Uuid;

use crate::support::*;
use crate::work::{complete, completion, details, inbox, officer, with_roles, wrong_leaves};
use crate::work_places::received_elsewhere;

const TODAY: jiff::civil::Date = date(2026, 11, 23);
const LEASE: &str = "onestop.units";

/// Trường Vinh and its centre merge into Thành Vinh today.
async fn merge(stack: &Stack) {
    stack
        .reorganise(TODAY, &[(TRUONG_VINH, THANH_VINH), (COUNTER, THANH_VINH)], Vec::new())
        .await;
}

/// Lets cases follow until nothing is left to do; how many moved in these rounds, if the service's own job had no turn.
pub(crate) async fn settle(stack: &Stack) -> i64 {
    loop {
        match follow_units(&stack.pool, &stack.directory, &stack.clock.shared(), 100, || false).await {
            Ok(Some(Round { moved: 0, stranded })) => return stranded,
            Ok(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            Err(fault) => panic!("{fault:?}"),
        }
    }
}

/// Keeps the service's own job from its turn until it is released.
async fn hold(stack: &Stack) -> egov_database::Lease {
    loop {
        if let Some(lease) = stack.pool.acquire_lease(LEASE, Duration::from_mins(1)).await.unwrap() {
            return lease;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn count(stack: &Stack, query: &str) -> i64 {
    let mut sql = stack.database.connect_as_superuser().await.unwrap();
    sqlx::query_scalar(sqlx::AssertSqlSafe(query.to_owned()))
        .fetch_one(&mut sql)
        .await
        .unwrap()
}

const AT_THE_OLD: &str = "SELECT count(*) FROM cases WHERE responsible_unit_id = 2";
const MOVES: &str = "SELECT count(*) FROM case_history WHERE operation = 'move_unit'";

async fn whole(stack: &Stack) {
    let found = verify(&stack.pool, &stack.keyring, Profile::Demo, None, |_, _| {})
        .await
        .unwrap();
    assert!(found.is_whole(), "{:?}", found.violations);
}

#[tokio::test]
async fn an_open_case_moves_and_the_successors_officer_reads_it_and_others_no_longer() {
    let stack = Stack::start().await;
    let before = processing(&stack).await;
    let old = stack.staff("officer", TRUONG_VINH);
    let mut new = stack.staff("officer", THANH_VINH);
    assert_eq!(get(&new, &before.case_id).await.unwrap_err().code(), Code::NotFound);
    get(&old, &before.case_id).await.unwrap();

    merge(&stack).await;
    assert_eq!(settle(&stack).await, 0);
    let after = get(&new, &before.case_id).await.unwrap();
    assert_eq!(after.responsible_unit_id, THANH_VINH);
    assert_eq!((&after.case_code, after.state), (&before.case_code, before.state));
    assert_eq!(after.receiving_unit_id, before.receiving_unit_id);
    assert_eq!(after.deadline, before.deadline);
    assert_ne!(after.etag, before.etag);
    // Whoever received it goes on reading it, and finds it by a name.
    get(&old, &before.case_id).await.unwrap();

    for client in [&mut new, &mut old.clone()] {
        let listed = client
            .cases
            .list_cases(ListCasesRequest::default())
            .await
            .unwrap()
            .into_inner();
        assert_eq!(listed.cases.len(), 1);
        let search = SearchCasesRequest {
            query: "huong".to_owned(),
            ..Default::default()
        };
        let found = client.cases.search_cases(search).await.unwrap().into_inner();
        assert_eq!(found.cases.len(), 1);
    }
    let request = ListCaseHistoryRequest {
        case_id: before.case_id.clone(),
        ..Default::default()
    };
    let history = new.cases.list_case_history(request).await.unwrap().into_inner().entries;
    let last = history.last().unwrap();
    assert_eq!(
        (last.operation.as_str(), last.actor_kind.as_str()),
        ("move_unit", "system")
    );
    assert!(last.reason.contains("Phường Trường Vinh") && last.reason.contains("Phường Thành Vinh"));

    // Event and leaf, each once; and everything that is stored fits together.
    assert_eq!(
        count(&stack, "SELECT count(*) FROM egov.leaves WHERE version = 4").await,
        1
    );
    whole(&stack).await;
    // The owner's act goes on as before.
    let request = WithdrawCaseRequest {
        request_id: request_id(),
        case_id: after.case_id.clone(),
        etag: after.etag.clone(),
        reason: "không còn nhu cầu".to_owned(),
    };
    stack.portal(citizen()).cases.withdraw_case(request).await.unwrap();
    whole(&stack).await;
}

/// A case whose second inner step was sent back to the first, with a mark on a component.
async fn sent_back_with_a_mark(stack: &Stack) -> (Case, Task) {
    let case = processing(stack).await;
    let a = officer(stack, 0xA1);
    let first = inbox(&a, InboxView::Mine, 0).await[0].task.clone().unwrap();
    let second = complete(&a, &first).await.unwrap().next.unwrap();
    let mark = NewMark {
        target: Some(Target::ComponentCode("giay_chung_sinh".to_owned())),
        text: "bản mờ".to_owned(),
    };
    let back = SendBackTaskRequest {
        request_id: request_id(),
        task_id: second.task_id.clone(),
        etag: second.etag.clone(),
        reason: "xem lại".to_owned(),
        marks: vec![mark],
        ..Default::default()
    };
    let answer = a.clone().work.send_back_task(back).await.unwrap().into_inner();
    (case, answer.next.unwrap())
}

#[tokio::test]
async fn the_work_and_its_marks_follow_the_case_and_go_on_at_the_successor() {
    let stack = Stack::start().await;
    let (case, task) = sent_back_with_a_mark(&stack).await;
    let old = stack.staff("unit_leader", TRUONG_VINH);
    merge(&stack).await;
    settle(&stack).await;

    assert!(inbox(&old, InboxView::Unit, TRUONG_VINH).await.is_empty());
    let leader = stack.staff("unit_leader", THANH_VINH);
    let waiting = inbox(&leader, InboxView::Unit, THANH_VINH).await;
    let open = waiting[0].task.clone().unwrap();
    assert_eq!((waiting.len(), &open.task_id), (1, &task.task_id));
    let seen = details(&leader, &task.task_id).await.unwrap();
    assert_eq!(seen.open_marks.len(), 1, "what is wrong came along");
    assert_eq!(details(&old, &task.task_id).await.unwrap_err().code(), Code::NotFound);
    // Every task of the case lies there now, the finished ones too.
    assert_eq!(
        count(&stack, "SELECT count(*) FROM case_tasks WHERE responsible_unit_id <> 3").await,
        0
    );
    let new = with_roles(&stack, 0xC1, &[("officer", THANH_VINH)]);
    let given = ReassignTaskRequest {
        request_id: request_id(),
        task_id: open.task_id.clone(),
        etag: open.etag.clone(),
        assignee_id: Uuid::from_u128(0xC1).to_string(),
        reason: "sáp nhập đơn vị".to_owned(),
    };
    let held = leader.clone().work.reassign_task(given).await.unwrap().into_inner();
    let mut done = completion(&held.task.unwrap());
    done.resolved_mark_ids = vec![seen.open_marks[0].mark_id.clone()];
    let next = new.clone().work.complete_task(done).await.unwrap().into_inner();
    assert_eq!(next.case.unwrap().case_id, case.case_id);
    whole(&stack).await;

    // Whoever edits or deletes a mark in the database is found out; that it was dealt with is no edit.
    assert_eq!(wrong_leaves(&stack, "case_mark").await, Vec::<String>::new());
    let id = &seen.open_marks[0].mark_id;
    let mut superuser = stack.database.connect_as_superuser().await.unwrap();
    for (forged, says) in [
        (
            "UPDATE case_marks SET text = text || 'x'",
            format!("case_mark {id} version 1 is not what its leaf commits to"),
        ),
        (
            "DELETE FROM case_marks",
            format!("case_mark {id} version 1: its row is gone"),
        ),
    ] {
        sqlx::raw_sql("SET session_replication_role = replica")
            .execute(&mut superuser)
            .await
            .unwrap();
        sqlx::query(forged).execute(&mut superuser).await.unwrap();
        assert_eq!(wrong_leaves(&stack, "case_mark").await, [says], "{forged}");
    }
}

#[tokio::test]
async fn finished_cases_stay_and_a_second_round_moves_nothing() {
    let stack = Stack::start().await;
    let finished = submit(&stack).await.case.unwrap();
    let request = WithdrawCaseRequest {
        request_id: request_id(),
        case_id: finished.case_id.clone(),
        etag: finished.etag.clone(),
        reason: "không còn nhu cầu".to_owned(),
    };
    stack.portal(citizen()).cases.withdraw_case(request).await.unwrap();
    submit(&stack).await;
    merge(&stack).await;
    settle(&stack).await;
    settle(&stack).await;
    assert_eq!((count(&stack, AT_THE_OLD).await, count(&stack, MOVES).await), (1, 1));
    let kept = get(&stack.portal(citizen()), &finished.case_id).await.unwrap();
    assert_eq!(
        (kept.responsible_unit_id, kept.state()),
        (TRUONG_VINH, CaseState::Withdrawn)
    );
    whole(&stack).await;
}

#[tokio::test]
async fn killed_between_two_batches_the_next_holder_goes_on_and_nothing_moves_twice() {
    let stack = Stack::start().await;
    for _ in 0..5 {
        submit(&stack).await;
    }
    let lease = hold(&stack).await;
    merge(&stack).await;
    // Somebody else holds the lease: nothing is done here.
    let clock = stack.clock.shared();
    let round = follow_units(&stack.pool, &stack.directory, &clock, 2, || false).await;
    assert_eq!(round.unwrap(), None);
    assert_eq!(count(&stack, MOVES).await, 0);
    lease.release().await.unwrap();

    // The process dies after its first batch of two, with the lease in its hands.
    let (pool, directory) = (stack.pool.clone(), std::sync::Arc::clone(&stack.directory));
    let looks = Mutex::new(0);
    let dead = tokio::spawn(async move {
        let stop = || {
            let mut looks = looks.lock().unwrap();
            *looks += 1;
            assert!(*looks < 2, "the process was killed");
            false
        };
        follow_units(&pool, &directory, &clock, 2, stop).await
    });
    assert!(dead.await.unwrap_err().is_panic());
    assert_eq!((count(&stack, AT_THE_OLD).await, count(&stack, MOVES).await), (3, 2));
    let clock = stack.clock.shared();
    let round = follow_units(&stack.pool, &stack.directory, &clock, 2, || false).await;
    assert_eq!(round.unwrap(), None, "its lease has not run out");

    let mut sql = stack.database.connect_as_superuser().await.unwrap();
    sqlx::query("UPDATE egov.leases SET expire_time = now() WHERE name = $1")
        .bind(LEASE)
        .execute(&mut sql)
        .await
        .unwrap();
    settle(&stack).await;
    assert_eq!((count(&stack, AT_THE_OLD).await, count(&stack, MOVES).await), (0, 5));
    assert_eq!(
        count(
            &stack,
            "SELECT count(*) FROM case_tokens WHERE responsible_unit_id <> 3"
        )
        .await,
        0
    );
    let at_reception = "SELECT count(DISTINCT case_id) FROM received_case_tokens WHERE (receiving_unit_id, responsible_unit_id) = (2, 3)";
    assert_eq!(count(&stack, at_reception).await, 5);
    whole(&stack).await;
}

#[tokio::test]
async fn two_holders_at_once_move_each_case_once() {
    let stack = Stack::start().await;
    for _ in 0..3 {
        submit(&stack).await;
    }
    // Received by the successor: from then on there is no other unit.
    received_elsewhere(&stack).await;
    merge(&stack).await;
    let clock = stack.clock.shared();
    let (one, two, three) = tokio::join!(
        follow_units(&stack.pool, &stack.directory, &clock, 1, || false),
        follow_units(&stack.pool, &stack.directory, &clock, 1, || false),
        follow_units(&stack.pool, &stack.directory, &clock, 1, || false),
    );
    for round in [one, two, three] {
        round.unwrap();
    }
    settle(&stack).await;
    assert_eq!((count(&stack, AT_THE_OLD).await, count(&stack, MOVES).await), (0, 4));
    let at_reception = "SELECT count(DISTINCT (case_id, receiving_unit_id)) FROM received_case_tokens";
    assert_eq!(count(&stack, at_reception).await, 3);
    whole(&stack).await;
}

#[tokio::test]
async fn cases_of_a_unit_without_successor_stay_and_are_counted() {
    let stack = Stack::start().await;
    let case: Case = submit(&stack).await.case.unwrap();
    stack
        .reorganise(TODAY, &[(TRUONG_VINH, 0), (COUNTER, 0)], Vec::new())
        .await;
    assert_eq!(settle(&stack).await, 1);
    let kept = get(&stack.staff("officer", TRUONG_VINH), &case.case_id).await.unwrap();
    assert_eq!(kept.responsible_unit_id, TRUONG_VINH);
    assert_eq!(count(&stack, MOVES).await, 0);
}

#[tokio::test]
async fn over_two_reorganisations_a_case_goes_where_the_work_is_now() {
    let stack = Stack::start().await;
    let case = submit(&stack).await.case.unwrap();
    let lease = hold(&stack).await;
    let mut first = unit(10, "16700", "Phường Một", UnitKind::Ward, PROVINCE, "H41.210");
    first.effective_from = Some(date(2026, 11, 22).into());
    let mut second = unit(11, "16701", "Phường Hai", UnitKind::Ward, PROVINCE, "H41.211");
    second.effective_from = Some(TODAY.into());
    stack
        .reorganise(date(2026, 11, 22), &[(TRUONG_VINH, 10)], vec![first, second])
        .await;
    stack.reorganise(TODAY, &[(10, 11)], Vec::new()).await;
    lease.release().await.unwrap();
    settle(&stack).await;
    let moved = get(&stack.staff("officer", 11), &case.case_id).await.unwrap();
    assert_eq!(moved.responsible_unit_id, 11);
    assert_eq!(count(&stack, MOVES).await, 1);
}

#[tokio::test]
async fn a_submission_to_a_closed_unit_is_refused_with_its_successor_in_both_languages() {
    let stack = Stack::start().await;
    let file = async || {
        let request = birth_registration();
        stack.portal(citizen()).cases.submit_case(request).await.unwrap_err()
    };
    merge(&stack).await;
    let status = file().await;
    assert_eq!(reason(&status), "UNIT_CLOSED");
    let fault = egov_fault::fault_of(&status);
    assert_eq!(fault.code(), egov_fault::Code::FailedPrecondition);
    assert_eq!(fault.metadata()["successor_code"], "16681");
    assert_eq!(fault.metadata()["successor_name"], "Phường Thành Vinh");
    for text in [fault.vi(), fault.en()] {
        assert!(
            text.contains("Phường Trường Vinh") && text.contains("Phường Thành Vinh"),
            "{text}"
        );
    }
    // The successor takes it.
    let mut request = birth_registration();
    request.competent_unit_code = "16681".to_owned();
    stack.portal(citizen()).cases.submit_case(request).await.unwrap();
    // A code that nobody ever carried is another refusal.
    let mut request = birth_registration();
    request.competent_unit_code = "99999".to_owned();
    let status = stack.portal(citizen()).cases.submit_case(request).await.unwrap_err();
    assert_eq!(reason(&status), "UNIT_NOT_FOUND");
}

#[tokio::test]
async fn a_submission_to_a_unit_that_closed_without_successor_says_so() {
    let stack = Stack::start().await;
    stack.reorganise(TODAY, &[(TRUONG_VINH, 0)], Vec::new()).await;
    let status = stack
        .portal(citizen())
        .cases
        .submit_case(birth_registration())
        .await
        .unwrap_err();
    let fault = egov_fault::fault_of(&status);
    assert_eq!(fault.reason(), "UNIT_CLOSED");
    assert!(!fault.metadata().contains_key("successor_code"));
    assert!(fault.en().contains("no successor was recorded"), "{}", fault.en());
}
