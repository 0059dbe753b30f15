//! Cases whose approval goes into a book of civil status: they wait in 4, and are completed once by what the registry tells.

use egov_proto::egov::onestop::v1::{
    Case, CivilDecision, DecideCivilCaseRequest, InboxView, ListCivilDecisionsRequest, ListInboxRequest,
    RecordCivilEntryRequest, ReturnCivilDecisionRequest, StopCaseRequest, WithdrawCaseRequest,
};
use egov_proto::google::r#type::Date;
use tonic::Code;
use uuid::Uuid;

use crate::generated::verified;
use crate::support::*;

fn decision_of(case: &Case) -> DecideCivilCaseRequest {
    DecideCivilCaseRequest {
        request_id: request_id(),
        case_id: case.case_id.clone(),
        etag: case.etag.clone(),
        number: "12/QĐ".to_owned(),
        signer_name: "Lê Văn An".to_owned(),
        signer_title: "Chủ tịch".to_owned(),
        signer_authorisation: String::new(),
        performer_name: "Phan Thị Lan".to_owned(),
        reason: String::new(),
    }
}

/// The civil registry.
fn registry(stack: &Stack) -> Client {
    let system = Uuid::from_u128(0x903);
    let token = stack.tokens.system(system, &[("civil_decision_taker", PROVINCE)]);
    stack.client(Some(token), Some("civil_status_registration"))
}

async fn waiting(registry: &Client) -> Vec<CivilDecision> {
    let request = ListCivilDecisionsRequest::default();
    let answer = registry.clone().civil.list_civil_decisions(request).await.unwrap();
    answer.into_inner().decisions
}

fn entry_of(decision: &CivilDecision, file_id: &str) -> RecordCivilEntryRequest {
    RecordCivilEntryRequest {
        request_id: request_id(),
        decision_id: decision.decision_id.clone(),
        entry_id: Uuid::from_u128(0xE1).to_string(),
        printed_number: "01/2026".to_owned(),
        registration_date: Some(Date {
            year: 2026,
            month: 11,
            day: 23,
        }),
        file_id: file_id.to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_decision_waits_for_the_book_and_completes_its_case_once() {
    let stack = Stack::with_books().await;
    let case = processing(&stack).await;
    let leader = stack.staff("unit_leader", TRUONG_VINH);
    let registry = registry(&stack);

    // Approved at once it is not.
    let approval = egov_proto::egov::onestop::v1::ApproveCaseRequest {
        request_id: request_id(),
        case_id: case.case_id.clone(),
        etag: case.etag.clone(),
        results: vec![egov_proto::egov::onestop::v1::CaseResult {
            result_code: "KQ.G15.000031".to_owned(),
            ..Default::default()
        }],
        reason: String::new(),
    };
    let refused = leader.clone().cases.approve_case(approval).await.unwrap_err();
    assert_eq!(reason(&refused), "CIVIL_DECISION_EXPECTED");

    // Decided, the case stays in 4 and nobody has anything to do with it.
    let request = decision_of(&case);
    let decided = leader
        .clone()
        .civil
        .decide_civil_case(request.clone())
        .await
        .unwrap()
        .into_inner();
    let again = leader
        .clone()
        .civil
        .decide_civil_case(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(decided, again);
    let waits = get(&leader, &case.case_id).await.unwrap();
    assert_eq!((waits.state, waits.step.as_str()), (4, "cho_vao_so"));
    let inbox = ListInboxRequest {
        view: InboxView::Unit.into(),
        unit_id: TRUONG_VINH,
        ..Default::default()
    };
    let tasks = leader.clone().work.list_inbox(inbox).await.unwrap().into_inner().items;
    assert!(tasks.is_empty(), "{tasks:?}");

    // Meanwhile nothing changes it.
    let stop = StopCaseRequest {
        request_id: request_id(),
        case_id: waits.case_id.clone(),
        etag: waits.etag.clone(),
        reason: "x".to_owned(),
        legal_basis: "Điều 1".to_owned(),
    };
    let refused = leader.clone().cases.stop_case(stop).await.unwrap_err();
    assert_eq!(reason(&refused), "DECISION_AWAITS_BOOK");
    let withdrawal = WithdrawCaseRequest {
        request_id: request_id(),
        case_id: waits.case_id.clone(),
        etag: waits.etag.clone(),
        reason: "x".to_owned(),
    };
    let refused = stack
        .portal(citizen())
        .cases
        .withdraw_case(withdrawal)
        .await
        .unwrap_err();
    assert_eq!(reason(&refused), "DECISION_AWAITS_BOOK");
    let refused = leader
        .clone()
        .civil
        .decide_civil_case(decision_of(&waits))
        .await
        .unwrap_err();
    assert_eq!(reason(&refused), "DECISION_AWAITS_BOOK");

    // The registry sees it, the neighbour's leader does not, and nobody but the registry answers.
    let [decision] = &waiting(&registry).await[..] else {
        panic!("one decision waits");
    };
    assert_eq!(decision.case_id, case.case_id);
    assert_eq!(
        (decision.signer_title.as_str(), decision.unit_id),
        ("Chủ tịch", TRUONG_VINH)
    );
    let refused = leader
        .clone()
        .civil
        .record_civil_entry(entry_of(decision, ""))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);

    // What cannot be entered comes back, and is decided again; the answer to the old decision comes too late.
    let give_back = ReturnCivilDecisionRequest {
        request_id: request_id(),
        decision_id: decision.decision_id.clone(),
        reason: "thiếu tên mẹ".to_owned(),
    };
    let mut one = registry.clone();
    let mut other = registry.clone();
    let (first, second) = tokio::join!(
        one.civil.return_civil_decision(give_back.clone()),
        other.civil.return_civil_decision(give_back)
    );
    assert_eq!(first.unwrap().into_inner(), second.unwrap().into_inner());
    let refused = registry
        .clone()
        .civil
        .record_civil_entry(entry_of(decision, ""))
        .await
        .unwrap_err();
    assert_eq!(reason(&refused), "CIVIL_DECISION_NOT_WAITING");
    let back = get(&leader, &case.case_id).await.unwrap();
    assert_eq!((back.state, back.step), (4, case.step.clone()));
    assert!(waiting(&registry).await.is_empty());
    let back = get(&leader, &case.case_id).await.unwrap();
    leader
        .clone()
        .civil
        .decide_civil_case(decision_of(&back))
        .await
        .unwrap();

    // Entered, it is completed with the entry as its result and the certificate as its file; told twice at once, once.
    let [decision] = &waiting(&registry).await[..] else {
        panic!("one decision waits again");
    };
    let file_id = upload(&registry, PDF).await;
    let (told, told_again) = (entry_of(decision, &file_id), entry_of(decision, &file_id));
    let mut one = registry.clone();
    let mut other = registry.clone();
    let (first, second) = tokio::join!(
        one.civil.record_civil_entry(told.clone()),
        other.civil.record_civil_entry(told_again)
    );
    let refused = match (&first, &second) {
        (Ok(_), Err(refused)) | (Err(refused), Ok(_)) => refused,
        both => panic!("one of the two: {both:?}"),
    };
    assert_eq!(reason(refused), "CIVIL_DECISION_NOT_WAITING");
    let completed = get(&leader, &case.case_id).await.unwrap();
    assert_eq!(completed.state, 9);
    let [result] = &completed.results[..] else {
        panic!("one result");
    };
    assert_eq!(
        (
            result.result_code.as_str(),
            result.number.as_str(),
            result.file_id.as_str()
        ),
        ("KQ.G15.000031", "01/2026", file_id.as_str())
    );
    assert!(waiting(&registry).await.is_empty());
    let found = verified(&stack).await;
    assert!(found.is_whole(), "{:?}", found.violations);
}
