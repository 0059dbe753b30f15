//! The same request twice, two at once, and the answer lost on the way.

use egov_proto::egov::onestop::v1::AcceptCaseRequest;
use tonic::Code;
use uuid::Uuid;

use crate::support::*;

async fn count(stack: &Stack, what: &'static str) -> i64 {
    let mut superuser = stack.database.connect_as_superuser().await.unwrap();
    sqlx::query_scalar(what).fetch_one(&mut superuser).await.unwrap()
}

#[tokio::test]
async fn two_simultaneous_identical_requests_make_one_case_and_get_the_same_answer() {
    let stack = Stack::start().await;
    let request = birth_registration();
    let (mut one, mut two) = (stack.portal(citizen()), stack.portal(citizen()));
    let (first, second) = tokio::join!(
        one.cases.submit_case(request.clone()),
        two.cases.submit_case(request.clone())
    );
    let (first, second) = (first.unwrap().into_inner(), second.unwrap().into_inner());
    assert_eq!(first, second);
    assert_eq!(count(&stack, "SELECT count(*) FROM cases").await, 1);
    let later = stack
        .portal(citizen())
        .cases
        .submit_case(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(later, first, "and a third time, later");
}

#[tokio::test]
async fn the_same_request_id_with_another_body_is_refused() {
    let stack = Stack::start().await;
    let request = birth_registration();
    let mut portal = stack.portal(citizen());
    portal.cases.submit_case(request.clone()).await.unwrap();
    let mut other = request;
    other.subject = "việc khác".to_owned();
    let status = portal.cases.submit_case(other).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::AlreadyExists, "REQUEST_ID_REUSED")
    );
    assert_eq!(count(&stack, "SELECT count(*) FROM cases").await, 1);
}

#[tokio::test]
async fn another_callers_request_id_is_independent() {
    let stack = Stack::start().await;
    let request = birth_registration();
    let first = stack
        .portal(citizen())
        .cases
        .submit_case(request.clone())
        .await
        .unwrap()
        .into_inner();
    let second = stack
        .portal(Uuid::from_u128(0xC2))
        .cases
        .submit_case(request)
        .await
        .unwrap()
        .into_inner();
    assert_ne!(first.case.unwrap().case_id, second.case.unwrap().case_id);
}

#[tokio::test]
async fn a_refusal_is_not_remembered_so_the_mended_request_may_keep_its_id() {
    let stack = Stack::start().await;
    let mut portal = stack.portal(citizen());
    let mut request = birth_registration();
    let components = std::mem::take(&mut request.components);
    portal.cases.submit_case(request.clone()).await.unwrap_err();
    request.components = components;
    portal.cases.submit_case(request).await.unwrap();
}

#[tokio::test]
async fn of_two_clerks_who_accept_at_once_one_succeeds() {
    let stack = Stack::start().await;
    let case = submit(&stack).await.case.unwrap();
    let accept_as = |client: Client, id: String| {
        let request = AcceptCaseRequest {
            request_id: id,
            case_id: case.case_id.clone(),
            etag: case.etag.clone(),
        };
        async move { client.clone().cases.accept_case(request).await }
    };
    let (first, second) = tokio::join!(
        accept_as(stack.staff("one_stop_clerk", TRUONG_VINH), request_id()),
        accept_as(stack.staff("one_stop_clerk", PROVINCE), request_id()),
    );
    let refused = match (first, second) {
        (Ok(_), Err(status)) | (Err(status), Ok(_)) => status,
        other => panic!("exactly one must succeed: {other:?}"),
    };
    assert_eq!(reason(&refused), "STALE_ETAG");
    assert_eq!(
        count(&stack, "SELECT count(*) FROM case_history WHERE operation = 'accept'").await,
        1
    );
}

#[tokio::test]
async fn a_caller_that_hangs_up_and_asks_again_gets_one_case() {
    let stack = Stack::start().await;
    let request = birth_registration();
    for pause in [0, 1, 2, 4, 8, 16] {
        let mut portal = stack.portal(citizen());
        let request = request.clone();
        let call = tokio::spawn(async move { portal.cases.submit_case(request).await });
        tokio::time::sleep(std::time::Duration::from_millis(pause)).await;
        call.abort();
    }
    let answer = stack
        .portal(citizen())
        .cases
        .submit_case(request)
        .await
        .unwrap()
        .into_inner();
    assert!(answer.case.unwrap().case_code.ends_with("-0001"));
    assert_eq!(count(&stack, "SELECT count(*) FROM cases").await, 1);
    assert_eq!(count(&stack, "SELECT count(*) FROM egov.leaves").await, 1);
}

#[tokio::test]
async fn one_write_leaves_state_history_request_id_event_and_leaf_together() {
    let stack = Stack::start().await;
    submit(&stack).await;
    for (what, expected) in [
        ("SELECT count(*) FROM cases WHERE version = 1", 1),
        ("SELECT count(*) FROM case_history WHERE version = 1", 1),
        ("SELECT count(*) FROM egov.request_ids", 1),
        (
            "SELECT (SELECT count(*) FROM egov.outbox) + (SELECT count(*) FROM egov.event_log)",
            1,
        ),
        (
            "SELECT count(*) FROM egov.leaves WHERE kind = 'case' AND version = 1",
            1,
        ),
    ] {
        assert_eq!(count(&stack, what).await, expected, "{what}");
    }
    let mut app = stack.database.connect_as_app().await.unwrap();
    for forbidden in [
        "UPDATE case_history SET reason = 'x'",
        "DELETE FROM case_history",
        "UPDATE egov.leaves SET version = 9",
        "DELETE FROM egov.leaves",
        "DELETE FROM cases",
    ] {
        let refused = sqlx::query(forbidden).execute(&mut app).await.unwrap_err();
        let code = refused
            .as_database_error()
            .and_then(sqlx::error::DatabaseError::code)
            .unwrap_or_default();
        assert_eq!(code, "42501", "{forbidden}");
    }
}
