//! Nơi hỗ trợ, nơi tiếp nhận, cơ quan có thẩm quyền: three fields, and what each gives.

use egov_onestop::domain::pack::Profile;
use egov_onestop::domain::verify::Rule;
use egov_onestop::make_up_for_version_before;
use egov_onestop::operations::verify::verify;
use egov_proto::egov::onestop::v1::{
    AcceptCaseRequest, ApproveCaseRequest, Case, CaseResult, CaseState, Channel as FilingChannel, ClaimTaskRequest,
    ComparedWith, ConfirmComponentsRequest, ConfirmedComponent, GetFileRequest, InboxView, ListCaseHistoryRequest,
    ListCasesRequest, RecordStepRequest, RejectCaseRequest, RequestSupplementRequest, ReturnResultRequest,
    SearchCasesRequest, SubmitCaseRequest, SupplementItem, SupplyComponentsRequest,
};
use tonic::{Code, Status};

use crate::components::{BIRTH_NOTICE, digitise_by};
use crate::support::*;
use crate::work::{inbox, is_whole};

/// Received at the counter of Thành Vinh for Trường Vinh, with a file.
pub(crate) async fn received_elsewhere(stack: &Stack) -> (Case, String) {
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

fn accepting(case: &Case) -> AcceptCaseRequest {
    AcceptCaseRequest {
        request_id: request_id(),
        case_id: case.case_id.clone(),
        etag: case.etag.clone(),
    }
}

fn supplement(case: &Case) -> RequestSupplementRequest {
    RequestSupplementRequest {
        request_id: request_id(),
        case_id: case.case_id.clone(),
        etag: case.etag.clone(),
        items: vec![SupplementItem {
            component_code: BIRTH_NOTICE.to_owned(),
            instruction: "Bổ sung bản chính giấy chứng sinh".to_owned(),
        }],
        reason: "thiếu trang 2".to_owned(),
        ..Default::default()
    }
}

fn confirming(case: &Case) -> ConfirmComponentsRequest {
    ConfirmComponentsRequest {
        request_id: request_id(),
        case_id: case.case_id.clone(),
        etag: case.etag.clone(),
        components: vec![ConfirmedComponent {
            component_code: BIRTH_NOTICE.to_owned(),
            compared_with: ComparedWith::Electronic.into(),
            ..Default::default()
        }],
    }
}

async fn state_of(stack: &Stack, case: &Case) -> CaseState {
    let reader = stack.staff("unit_leader", TRUONG_VINH);
    get(&reader, &case.case_id).await.unwrap().state()
}

#[track_caller]
fn is_refused<T: std::fmt::Debug>(answer: Result<T, Status>, permission: &str) {
    let status = answer.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::PermissionDenied, "PERMISSION_MISSING")
    );
    assert_eq!(egov_fault::fault_of(&status).metadata()["permission"], permission);
}

/// Steps and decision are the competent unit's, whoever tries at the place of reception.
async fn decides_nothing(stack: &Stack, case: &Case) {
    let step = RecordStepRequest {
        request_id: request_id(),
        case_id: case.case_id.clone(),
        etag: case.etag.clone(),
        step: "tham_tra".to_owned(),
        ..Default::default()
    };
    for role in ["one_stop_clerk", "officer", "unit_leader"] {
        let mut there = stack.staff(role, THANH_VINH);
        is_refused(there.cases.record_step(step.clone()).await, "onestop.cases.process");
    }
    let approval = ApproveCaseRequest {
        request_id: request_id(),
        case_id: case.case_id.clone(),
        etag: case.etag.clone(),
        results: vec![CaseResult {
            result_code: "KQ.G15.000031".to_owned(),
            ..Default::default()
        }],
        ..Default::default()
    };
    let mut leader = stack.staff("unit_leader", THANH_VINH);
    is_refused(leader.cases.approve_case(approval).await, "onestop.cases.approve");
}

#[tokio::test]
async fn the_place_of_reception_takes_the_case_in_and_hands_the_result_over() {
    let stack = Stack::start().await;
    let (case, _) = received_elsewhere(&stack).await;
    let mut desk = stack.staff("one_stop_clerk", THANH_VINH);
    // It is the desk's work: who only processes cases there does nothing to those of others, and a third unit knows of none.
    let mut officer = stack.staff("officer", THANH_VINH);
    is_refused(
        officer.cases.request_supplement(supplement(&case)).await,
        "onestop.cases.process",
    );
    is_refused(
        officer.components.confirm_components(confirming(&case)).await,
        "onestop.components.check",
    );
    let mut third = stack.staff("one_stop_clerk", COUNTER);
    let status = third.cases.accept_case(accepting(&case)).await.unwrap_err();
    assert_eq!(reason(&status), "CASE_NOT_FOUND");
    assert_eq!(state_of(&stack, &case).await, CaseState::Registered);

    // The step lies in its inbox as in that of the competent unit, once for who sees both; whoever takes it has it.
    let waiting = inbox(&desk, InboxView::MyRoles, 0).await;
    let reception = waiting[0].task.clone().unwrap();
    assert_eq!((waiting.len(), reception.step.as_str()), (1, "tiep_nhan"));
    let here = stack.staff("one_stop_clerk", TRUONG_VINH);
    assert_eq!(inbox(&here, InboxView::MyRoles, 0).await.len(), 1);
    let above = stack.staff("one_stop_clerk", PROVINCE);
    assert_eq!(inbox(&above, InboxView::MyRoles, 0).await.len(), 1);
    assert!(inbox(&third, InboxView::MyRoles, 0).await.is_empty());
    let leader = stack.staff("unit_leader", THANH_VINH);
    assert_eq!(inbox(&leader, InboxView::Unit, THANH_VINH).await.len(), 1);
    let claim = ClaimTaskRequest {
        request_id: request_id(),
        task_id: reception.task_id.clone(),
        etag: reception.etag.clone(),
    };
    let elsewhere = ClaimTaskRequest {
        request_id: request_id(),
        ..claim.clone()
    };
    let status = third.work.claim_task(elsewhere).await.unwrap_err();
    assert_eq!(reason(&status), "TASK_NOT_FOUND");
    desk.work.claim_task(claim).await.unwrap();
    let mine = inbox(&desk, InboxView::Mine, 0).await;
    assert_eq!(mine[0].task.as_ref().unwrap().task_id, reception.task_id);

    // Checked and digitised, asked for a supplement, supplied there.
    let digitised = digitise_by(&desk, &case, BIRTH_NOTICE).await;
    let asked = desk.cases.request_supplement(supplement(&digitised)).await.unwrap();
    let asked = asked.into_inner().case.unwrap();
    assert_eq!(asked.state(), CaseState::SupplementRequested);
    let supply = SupplyComponentsRequest {
        request_id: request_id(),
        case_id: case.case_id.clone(),
        etag: asked.etag.clone(),
        components: vec![component(BIRTH_NOTICE)],
    };
    let supplied = desk.cases.supply_components(supply).await.unwrap();
    let supplied = supplied.into_inner().case.unwrap();

    // Taken in, once: with the receipt of the competent unit's procedure.
    let request = accepting(&supplied);
    let first = desk.cases.accept_case(request.clone()).await.unwrap().into_inner();
    let again = desk.cases.accept_case(request).await.unwrap().into_inner();
    assert_eq!(first, again);
    let receipt = first.receipt.unwrap();
    assert_eq!(receipt.responsible_unit_name, "Phường Trường Vinh");
    assert_eq!(receipt.receiving_unit_name, "Phường Thành Vinh");
    let accepted = first.case.unwrap();
    assert_eq!(accepted.state(), CaseState::Accepted);
    assert_eq!(accepted.responsible_unit_id, TRUONG_VINH);

    // Handed over by that: it reads, and neither confirms nor asks for anything any more.
    assert_eq!(get(&desk, &case.case_id).await.unwrap().state(), CaseState::Accepted);
    is_refused(
        desk.components.confirm_components(confirming(&accepted)).await,
        "onestop.components.check",
    );
    is_refused(
        desk.cases.request_supplement(supplement(&accepted)).await,
        "onestop.cases.process",
    );
    decides_nothing(&stack, &accepted).await;

    // The steps between are none of its work.
    assert!(inbox(&desk, InboxView::Mine, 0).await.is_empty());
    assert!(inbox(&leader, InboxView::Unit, THANH_VINH).await.is_empty());

    // The result is handed over where the applicant came to.
    let assigned = assign(&stack, &accepted).await;
    let decided = approve(&stack, &assigned).await;
    assert_eq!(inbox(&desk, InboxView::MyRoles, 0).await.len(), 1);
    let handing = ReturnResultRequest {
        request_id: request_id(),
        case_id: case.case_id.clone(),
        etag: decided.etag.clone(),
        channel: FilingChannel::Counter.into(),
        ..Default::default()
    };
    is_refused(
        officer.cases.return_result(handing.clone()).await,
        "onestop.cases.return",
    );
    let returned = desk.cases.return_result(handing).await.unwrap().into_inner();
    assert_eq!(returned.case.unwrap().state(), CaseState::Returned);
    is_whole(&stack).await;
}

#[tokio::test]
async fn of_two_desks_that_take_a_case_in_at_once_one_wins_and_either_may_refuse_to() {
    let stack = Stack::start().await;
    let mut there = stack.staff("one_stop_clerk", THANH_VINH);
    let mut here = stack.staff("one_stop_clerk", TRUONG_VINH);
    let (case, _) = received_elsewhere(&stack).await;
    let (one, other) = tokio::join!(
        there.cases.accept_case(accepting(&case)),
        here.cases.accept_case(accepting(&case))
    );
    assert_ne!(one.is_ok(), other.is_ok(), "{one:?} {other:?}");
    let lost = one.err().or_else(|| other.err()).unwrap();
    assert_eq!(reason(&lost), "STALE_ETAG");
    assert_eq!(state_of(&stack, &case).await, CaseState::Accepted);

    for desk in [&mut there, &mut here] {
        let (case, _) = received_elsewhere(&stack).await;
        let refusal = RejectCaseRequest {
            request_id: request_id(),
            case_id: case.case_id.clone(),
            etag: case.etag.clone(),
            reason: "không thuộc phạm vi giải quyết".to_owned(),
            legal_basis: "NĐ 118/2025/NĐ-CP".to_owned(),
        };
        let refused = desk.cases.reject_case(refusal).await.unwrap().into_inner();
        assert_eq!(refused.case.unwrap().state(), CaseState::Rejected);
    }
    is_whole(&stack).await;
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
    there.files.get_file(GetFileRequest { file_id }).await.unwrap();

    // Reading yes, processing and deciding no: told what is missing, not that there is nothing.
    decides_nothing(&stack, &case).await;
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

/// How many cases a search finds.
async fn found(client: &Client, search: &SearchCasesRequest) -> usize {
    let answer = client.clone().cases.search_cases(search.clone()).await.unwrap();
    answer.into_inner().cases.len()
}

#[tokio::test]
async fn the_place_of_reception_finds_what_it_received_by_code_and_by_the_words_of_the_owner() {
    let stack = Stack::start().await;
    let (case, _) = received_elsewhere(&stack).await;
    let search = |query: &str| SearchCasesRequest {
        query: query.to_owned(),
        ..Default::default()
    };
    let desk = stack.staff("one_stop_clerk", THANH_VINH);
    // Whoever reads the cases there finds them; a third unit, also that of support, does not.
    let finding = [
        desk.clone(),
        stack.staff("officer", THANH_VINH),
        stack.staff("case_reader", THANH_VINH),
        stack.staff("officer", TRUONG_VINH),
    ];
    let support = stack.staff("one_stop_clerk", COUNTER);
    for query in [
        case.case_code.as_str(),
        "Nguyễn Thị Hường",
        "huong nguyen ",
        "HƯỜNG thi ngu",
        "nguyen hu",
        " h",
        "0912 345 678",
        "huong 0912345678",
        "040190000123",
    ] {
        for client in &finding {
            assert_eq!(found(client, &search(query)).await, 1, "{query}");
        }
        assert_eq!(found(&support, &search(query)).await, 0, "{query}");
    }
    for query in ["huong van ", "04019000012", "0912 345 679", "nguyen hx"] {
        assert_eq!(found(&desk, &search(query)).await, 0, "{query}");
    }
    // Narrowed by what the case is, and by whose it is.
    let narrowed = |unit_id: i32, state: CaseState| SearchCasesRequest {
        unit_id,
        states: vec![state.into()],
        ..search("nguyen huong ")
    };
    for (narrowed, expected) in [
        (narrowed(TRUONG_VINH, CaseState::Registered), 1),
        (narrowed(THANH_VINH, CaseState::Registered), 0),
        (narrowed(TRUONG_VINH, CaseState::Accepted), 0),
    ] {
        assert_eq!(found(&desk, &narrowed).await, expected, "{narrowed:?}");
    }
    // Beside its own, page by page; what others received of the same name is none of it.
    submit(&stack).await;
    let own = SubmitCaseRequest {
        channel: FilingChannel::Counter.into(),
        competent_unit_code: "16681".to_owned(),
        components: ["to_khai", "giay_chung_sinh", "giay_to_tuy_than"]
            .map(component)
            .to_vec(),
        ..birth_registration()
    };
    let own = desk.clone().cases.submit_case(own).await.unwrap().into_inner();
    let (second, _) = received_elsewhere(&stack).await;
    let (mut ids, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = SearchCasesRequest {
            page_size: 1,
            page_token,
            ..search("nguyen huong ")
        };
        let page = desk.clone().cases.search_cases(request).await.unwrap().into_inner();
        ids.extend(page.cases.into_iter().map(|case| case.case_id));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    let mut expected = [case.case_id.clone(), own.case.unwrap().case_id, second.case_id];
    expected.sort();
    ids.sort();
    assert_eq!(ids, expected);

    // What a version before filed has no words there: the verification says so, and the job makes up for it.
    is_whole(&stack).await;
    let mut superuser = stack.database.connect_as_superuser().await.unwrap();
    sqlx::query("DELETE FROM received_case_tokens WHERE case_id = $1")
        .bind(uuid::Uuid::parse_str(&case.case_id).unwrap())
        .execute(&mut superuser)
        .await
        .unwrap();
    assert_eq!(found(&desk, &search("nguyen huong ")).await, 2);
    let verified = verify(&stack.pool, &stack.keyring, Profile::Demo, None, |_, _| {})
        .await
        .unwrap();
    let rules: Vec<Rule> = verified.violations.iter().map(|violation| violation.rule).collect();
    assert_eq!(rules, [Rule::Words]);
    assert!(make_up_for_version_before(&stack.pool).await.unwrap() > Some(0));
    assert_eq!(make_up_for_version_before(&stack.pool).await.unwrap(), Some(0));
    assert_eq!(found(&desk, &search("nguyen huong ")).await, 3);
    is_whole(&stack).await;
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
    let words: i64 = sqlx::query_scalar("SELECT count(*) FROM received_case_tokens")
        .fetch_one(&mut *transaction)
        .await
        .unwrap();
    assert!(words > 0, "by which it finds the case");
    for changing in [
        "UPDATE received_case_tokens SET responsible_unit_id = 77",
        "DELETE FROM received_case_tokens",
    ] {
        let changed = sqlx::query(changing).execute(&mut *transaction).await.unwrap();
        assert_eq!(changed.rows_affected(), 0, "{changing}");
    }
    let tasks: Vec<String> = sqlx::query_scalar("SELECT step FROM case_tasks")
        .fetch_all(&mut *transaction)
        .await
        .unwrap();
    assert_eq!(tasks, ["tiep_nhan"], "the reception, that is its work too");
    let changed = sqlx::query("UPDATE case_tasks SET version = version + 1")
        .execute(&mut *transaction)
        .await
        .unwrap();
    assert_eq!(changed.rows_affected(), 0);
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
