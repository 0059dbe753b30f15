//! Nơi hỗ trợ, nơi tiếp nhận, cơ quan có thẩm quyền: three fields, and what each gives.

use egov_proto::egov::onestop::v1::{
    AcceptCaseRequest, Case, Channel as FilingChannel, GetFileRequest, ListCaseHistoryRequest, ListCasesRequest,
    RejectCaseRequest, SearchCasesRequest, SubmitCaseRequest,
};
use tonic::Code;

use crate::support::*;

/// Received at the counter of Thành Vinh for Trường Vinh, with a file.
async fn received_elsewhere(stack: &Stack) -> (Case, String) {
    let clerk = stack.staff("one_stop_clerk", THANH_VINH);
    let file_id = upload(&clerk, PDF).await;
    let mut components = ["to_khai", "giay_chung_sinh", "giay_to_tuy_than"]
        .map(component)
        .to_vec();
    components[0].file_ids = vec![file_id.clone()];
    let request = SubmitCaseRequest {
        channel: FilingChannel::Counter.into(),
        receiving_unit_code: "16681".to_owned(),
        support_unit_code: "16690.PVHCC".to_owned(),
        components,
        ..birth_registration()
    };
    let case = clerk
        .clone()
        .cases
        .submit_case(request)
        .await
        .unwrap()
        .into_inner()
        .case
        .unwrap();
    (case, file_id)
}

#[tokio::test]
async fn the_place_of_reception_reads_the_case_and_decides_nothing() {
    let stack = Stack::start().await;
    let (case, file_id) = received_elsewhere(&stack).await;
    assert_eq!(
        (case.responsible_unit_id, case.receiving_unit_id, case.support_unit_id),
        (TRUONG_VINH, THANH_VINH, COUNTER)
    );
    let mut there = stack.staff("one_stop_clerk", THANH_VINH);
    assert_eq!(get(&there, &case.case_id).await.unwrap().case_code, case.case_code);
    let history = ListCaseHistoryRequest {
        case_id: case.case_id.clone(),
        ..Default::default()
    };
    assert_eq!(
        there
            .cases
            .list_case_history(history)
            .await
            .unwrap()
            .into_inner()
            .entries
            .len(),
        1
    );
    let listed = there
        .cases
        .list_cases(ListCasesRequest::default())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(listed.cases.len(), 1);
    let search = SearchCasesRequest {
        query: case.case_code.clone(),
        ..Default::default()
    };
    assert_eq!(
        there.cases.search_cases(search).await.unwrap().into_inner().cases.len(),
        1
    );
    there.files.get_file(GetFileRequest { file_id }).await.unwrap();

    // Reading yes, deciding no: told what is missing, not that there is nothing.
    let accepted = AcceptCaseRequest {
        request_id: request_id(),
        case_id: case.case_id.clone(),
        etag: case.etag.clone(),
    };
    let status = there.cases.accept_case(accepted).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::PermissionDenied, "PERMISSION_MISSING")
    );
    let rejected = RejectCaseRequest {
        request_id: request_id(),
        case_id: case.case_id.clone(),
        etag: case.etag.clone(),
        reason: "x".to_owned(),
        legal_basis: "x".to_owned(),
    };
    assert_eq!(
        there.cases.reject_case(rejected).await.unwrap_err().code(),
        Code::PermissionDenied
    );
    let asked = ListCasesRequest {
        unit_id: TRUONG_VINH,
        ..Default::default()
    };
    let narrowed = there.cases.list_cases(asked).await.unwrap().into_inner().cases;
    assert_eq!(
        narrowed.len(),
        1,
        "of the competent unit it sees what it received, and no more"
    );
    let own = submit(&stack).await.case.unwrap();
    assert_eq!(get(&there, &own.case_id).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn the_database_itself_lets_the_place_of_reception_read_and_not_write() {
    let stack = Stack::start().await;
    let (case, _) = received_elsewhere(&stack).await;
    let mut app = stack.database.connect_as_app().await.unwrap();
    let mut transaction = sqlx::Connection::begin(&mut app).await.unwrap();
    sqlx::query("SELECT set_config('egov.scope_units', $1, true)")
        .bind(format!("{{{THANH_VINH}}}"))
        .execute(&mut *transaction)
        .await
        .unwrap();
    let id = uuid::Uuid::parse_str(&case.case_id).unwrap();
    let seen: i64 = sqlx::query_scalar("SELECT count(*) FROM cases WHERE case_id = $1")
        .bind(id)
        .fetch_one(&mut *transaction)
        .await
        .unwrap();
    assert_eq!(seen, 1);
    let held = sqlx::query("SELECT 1 FROM cases WHERE case_id = $1 FOR UPDATE")
        .bind(id)
        .fetch_all(&mut *transaction)
        .await
        .unwrap();
    assert!(held.is_empty(), "its row cannot even be held for a change");
    let changed = sqlx::query("UPDATE cases SET step = 'x' WHERE case_id = $1")
        .bind(id)
        .execute(&mut *transaction)
        .await
        .unwrap();
    assert_eq!(changed.rows_affected(), 0);
    let tasks: i64 = sqlx::query_scalar("SELECT count(*) FROM case_tasks")
        .fetch_one(&mut *transaction)
        .await
        .unwrap();
    assert_eq!(tasks, 0, "the work lies with the competent unit");
}

#[tokio::test]
async fn the_receipt_names_all_three_places_and_support_gives_no_sight() {
    let stack = Stack::start().await;
    let (case, _) = received_elsewhere(&stack).await;
    let answer = accept(&stack, &case).await;
    let receipt = answer.receipt.unwrap();
    assert_eq!(receipt.responsible_unit_name, "Phường Trường Vinh");
    assert_eq!(receipt.receiving_unit_name, "Phường Thành Vinh");
    assert_eq!(receipt.support_unit_name, "Trung tâm Phục vụ hành chính công");
    let support = stack.staff("one_stop_clerk", COUNTER);
    assert_eq!(get(&support, &case.case_id).await.unwrap_err().code(), Code::NotFound);
    let listed = support
        .clone()
        .cases
        .list_cases(ListCasesRequest::default())
        .await
        .unwrap();
    assert!(listed.into_inner().cases.is_empty());
}
