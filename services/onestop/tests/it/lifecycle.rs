//! A case from filing to result, and what its rules refuse.

use egov_onestop::domain::pack::Profile;
use egov_proto::egov::onestop::v1::{
    AcceptCaseRequest, ApproveCaseRequest, Case, CaseResult, CaseState, Channel, ListCaseHistoryRequest,
    RateCaseRequest, RatingScore, RecordStepRequest, RejectCaseRequest, RequestSupplementRequest, ReturnResultRequest,
    StopCaseRequest, SubmitCaseRequest, SupplementItem, SupplyComponentsRequest, WithdrawCaseRequest,
};
use egov_proto::google::r#type::Date;
use jiff::SignedDuration;
use tonic::{Code, Status};

use crate::support::*;

fn supplement(case: &egov_proto::egov::onestop::v1::Case) -> RequestSupplementRequest {
    RequestSupplementRequest {
        request_id: request_id(),
        case_id: case.case_id.clone(),
        etag: case.etag.clone(),
        items: vec![SupplementItem {
            component_code: "giay_chung_sinh".to_owned(),
            instruction: "Bổ sung bản chụp rõ nét giấy chứng sinh".to_owned(),
        }],
        reason: "bản chụp không đọc được".to_owned(),
        ..Default::default()
    }
}

fn supply(case: &egov_proto::egov::onestop::v1::Case) -> SupplyComponentsRequest {
    SupplyComponentsRequest {
        request_id: request_id(),
        case_id: case.case_id.clone(),
        etag: case.etag.clone(),
        components: vec![component("giay_chung_sinh")],
    }
}

#[track_caller]
fn refused<T: std::fmt::Debug>(answer: Result<T, Status>, code: Code, why: &str) -> Status {
    let status = answer.unwrap_err();
    assert_eq!((status.code(), reason(&status).as_str()), (code, why), "{status:?}");
    status
}

#[tokio::test]
async fn a_birth_registration_goes_from_filing_to_rating() {
    let stack = Stack::start().await;
    let submitted = submit(&stack).await;
    let case = submitted.case.unwrap();
    assert_eq!(case.case_code, "H41.201-261123-0001");
    assert!(case.code_provisional, "no agency code below H41 was issued");
    assert_eq!(case.state(), CaseState::Registered);
    assert!(case.deadline.is_none(), "nothing is due before acceptance");
    assert_eq!(case.owner.as_ref().unwrap().phone, "84912345678");
    assert_eq!(submitted.lookup_secret.len(), 8);

    let accepted = accept(&stack, &case).await;
    let receipt = accepted.receipt.unwrap();
    assert_eq!(receipt.lookup_secret, submitted.lookup_secret);
    assert_eq!(receipt.receiving_unit_name, "Phường Trường Vinh");
    let deadline = receipt.deadline.unwrap();
    // Received on Monday 23/11/2026; 24/11 is a day off since 2026; one working day later is Wednesday.
    assert_eq!(
        deadline.due_date,
        Some(Date {
            year: 2026,
            month: 11,
            day: 25
        })
    );
    let days: Vec<(i32, &str, i32)> = deadline
        .days
        .iter()
        .map(|note| (note.date.unwrap().day, note.kind.as_str(), note.counted))
        .collect();
    assert_eq!(days, [(23, "received", 0), (24, "not_counted", 0), (25, "counted", 1)]);

    let case = assign(&stack, &accepted.case.unwrap()).await;
    assert_eq!(case.state(), CaseState::Processing);
    let officer = stack.staff("officer", TRUONG_VINH);
    let case = officer
        .clone()
        .cases
        .request_supplement(supplement(&case))
        .await
        .unwrap()
        .into_inner()
        .case
        .unwrap();
    assert_eq!(case.state(), CaseState::SupplementRequested);
    assert!(case.pauses[0].end_time.is_none());

    stack.advance(SignedDuration::from_hours(48)).await;
    let portal = stack.portal(citizen());
    let case = portal
        .clone()
        .cases
        .supply_components(supply(&case))
        .await
        .unwrap()
        .into_inner()
        .case
        .unwrap();
    assert_eq!(case.state(), CaseState::Processing);
    assert!(case.pauses[0].end_time.is_some());
    // Paused from 23/11 to 25/11, 08:00: the day of resumption does not count, so the one working day is the 26th.
    assert_eq!(
        case.deadline.as_ref().unwrap().due_date,
        Some(Date {
            year: 2026,
            month: 11,
            day: 26
        })
    );

    let case = approve(&stack, &case).await;
    assert_eq!(case.state(), CaseState::Completed);
    let back = ReturnResultRequest {
        request_id: request_id(),
        case_id: case.case_id.clone(),
        etag: case.etag.clone(),
        channel: Channel::Counter.into(),
        recipient_name: " Nguyễn  Văn Cha ".to_owned(),
    };
    let clerk = stack.staff("one_stop_clerk", TRUONG_VINH);
    let case = clerk
        .clone()
        .cases
        .return_result(back)
        .await
        .unwrap()
        .into_inner()
        .case
        .unwrap();
    assert_eq!(case.state(), CaseState::Returned);
    let returned = get(&clerk, &case.case_id).await.unwrap().r#return.unwrap();
    assert_eq!(
        (returned.channel(), returned.recipient_name.as_str()),
        (Channel::Counter, "Nguyễn Văn Cha")
    );

    let rating = |score: RatingScore| RateCaseRequest {
        request_id: request_id(),
        case_id: case.case_id.clone(),
        score: score.into(),
        comment: "nhanh".to_owned(),
    };
    let rated = portal
        .clone()
        .cases
        .rate_case(rating(RatingScore::VerySatisfied))
        .await
        .unwrap()
        .into_inner()
        .case
        .unwrap();
    assert_eq!(rated.rating.unwrap().score(), RatingScore::VerySatisfied);
    refused(
        portal.clone().cases.rate_case(rating(RatingScore::Dissatisfied)).await,
        Code::FailedPrecondition,
        "ALREADY_RATED",
    );

    let history = ListCaseHistoryRequest {
        case_id: case.case_id.clone(),
        page_size: 3,
        page_token: String::new(),
    };
    let first = clerk
        .clone()
        .cases
        .list_case_history(history.clone())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(first.entries.len(), 3);
    let rest = ListCaseHistoryRequest {
        page_token: first.next_page_token,
        page_size: 50,
        ..history
    };
    let rest = clerk.clone().cases.list_case_history(rest).await.unwrap().into_inner();
    let operations: Vec<&str> = first
        .entries
        .iter()
        .chain(&rest.entries)
        .map(|entry| entry.operation.as_str())
        .collect();
    assert_eq!(
        operations,
        [
            "submit",
            "accept",
            "assign",
            "request_supplement",
            "supply",
            "approve",
            "return_result",
            "rate"
        ]
    );
    assert!(rest.next_page_token.is_empty());
}

#[tokio::test]
async fn a_supplement_before_acceptance_is_checked_at_the_counter_and_starts_no_clock() {
    let stack = Stack::start().await;
    let clerk = stack.staff("one_stop_clerk", TRUONG_VINH);
    let case = submit(&stack).await.case.unwrap();
    let case = clerk
        .clone()
        .cases
        .request_supplement(supplement(&case))
        .await
        .unwrap()
        .into_inner()
        .case
        .unwrap();
    assert_eq!(case.state(), CaseState::SupplementRequested);
    assert!(case.pauses.is_empty(), "no clock runs yet, so none is paused");

    let accept_now = |case: &egov_proto::egov::onestop::v1::Case| AcceptCaseRequest {
        request_id: request_id(),
        case_id: case.case_id.clone(),
        etag: case.etag.clone(),
    };
    refused(
        clerk.clone().cases.accept_case(accept_now(&case)).await,
        Code::FailedPrecondition,
        "SUPPLEMENT_NOT_SUPPLIED",
    );
    let case = stack
        .portal(citizen())
        .cases
        .supply_components(supply(&case))
        .await
        .unwrap()
        .into_inner()
        .case
        .unwrap();
    assert_eq!(case.state(), CaseState::SupplementRequested);
    let case = clerk
        .clone()
        .cases
        .accept_case(accept_now(&case))
        .await
        .unwrap()
        .into_inner()
        .case
        .unwrap();
    assert_eq!(case.state(), CaseState::Accepted);
    assert!(case.deadline.is_some());
}

#[tokio::test]
async fn a_further_supplement_needs_its_stage_and_legal_basis() {
    let stack = Stack::start().await;
    let officer = stack.staff("officer", TRUONG_VINH);
    let case = processing(&stack).await;
    let case = officer
        .clone()
        .cases
        .request_supplement(supplement(&case))
        .await
        .unwrap()
        .into_inner()
        .case
        .unwrap();
    let case = stack
        .portal(citizen())
        .cases
        .supply_components(supply(&case))
        .await
        .unwrap()
        .into_inner()
        .case
        .unwrap();
    refused(
        officer.clone().cases.request_supplement(supplement(&case)).await,
        Code::FailedPrecondition,
        "SUPPLEMENT_BASIS_MISSING",
    );
    let again = RequestSupplementRequest {
        stage: "thẩm định".to_owned(),
        legal_basis: "NĐ 118/2025/NĐ-CP".to_owned(),
        ..supplement(&case)
    };
    let case = officer
        .clone()
        .cases
        .request_supplement(again)
        .await
        .unwrap()
        .into_inner()
        .case
        .unwrap();
    assert_eq!(case.pauses.len(), 2);
}

#[tokio::test]
async fn what_the_state_does_not_allow_is_refused_with_what_it_does() {
    let stack = Stack::start().await;
    let clerk = stack.staff("one_stop_clerk", TRUONG_VINH);
    let case = submit(&stack).await.case.unwrap();
    let back = ReturnResultRequest {
        request_id: request_id(),
        case_id: case.case_id.clone(),
        etag: case.etag.clone(),
        channel: Channel::Counter.into(),
        recipient_name: String::new(),
    };
    let status = refused(
        clerk.clone().cases.return_result(back).await,
        Code::FailedPrecondition,
        "TRANSITION_NOT_ALLOWED",
    );
    let fault = egov_fault::fault_of(&status);
    assert_eq!(
        fault.metadata()["allowed"],
        "accept→2, reject→3, request_supplement→5, withdraw→7"
    );
    assert_eq!(
        get(&clerk, &case.case_id).await.unwrap().etag,
        case.etag,
        "a refusal changes nothing"
    );
}

#[tokio::test]
async fn a_rejected_case_is_final() {
    let stack = Stack::start().await;
    let clerk = stack.staff("one_stop_clerk", TRUONG_VINH);
    let case = submit(&stack).await.case.unwrap();
    let reject = RejectCaseRequest {
        request_id: request_id(),
        case_id: case.case_id.clone(),
        etag: case.etag.clone(),
        reason: "không thuộc thẩm quyền".to_owned(),
        legal_basis: "NĐ 118/2025/NĐ-CP".to_owned(),
    };
    let case = clerk
        .clone()
        .cases
        .reject_case(reject)
        .await
        .unwrap()
        .into_inner()
        .case
        .unwrap();
    assert_eq!(case.state(), CaseState::Rejected);
    let accept_now = AcceptCaseRequest {
        request_id: request_id(),
        case_id: case.case_id.clone(),
        etag: case.etag.clone(),
    };
    refused(
        clerk.clone().cases.accept_case(accept_now).await,
        Code::FailedPrecondition,
        "TRANSITION_NOT_ALLOWED",
    );
}

#[tokio::test]
async fn a_stopped_case_is_final_and_says_why() {
    let stack = Stack::start().await;
    let leader = stack.staff("unit_leader", TRUONG_VINH);
    let case = processing(&stack).await;
    let stop = StopCaseRequest {
        request_id: request_id(),
        case_id: case.case_id.clone(),
        etag: case.etag.clone(),
        reason: "không đủ điều kiện".to_owned(),
        legal_basis: "Luật Hộ tịch 2014".to_owned(),
    };
    let case = leader
        .clone()
        .cases
        .stop_case(stop)
        .await
        .unwrap()
        .into_inner()
        .case
        .unwrap();
    assert_eq!(case.state(), CaseState::Stopped);
}

#[tokio::test]
async fn a_case_is_withdrawn_until_a_decision_and_not_after() {
    let stack = Stack::start().await;
    let portal = stack.portal(citizen());
    let withdraw = |case: &egov_proto::egov::onestop::v1::Case| WithdrawCaseRequest {
        request_id: request_id(),
        case_id: case.case_id.clone(),
        etag: case.etag.clone(),
        reason: String::new(),
    };
    let first = processing(&stack).await;
    let withdrawn = portal
        .clone()
        .cases
        .withdraw_case(withdraw(&first))
        .await
        .unwrap()
        .into_inner()
        .case
        .unwrap();
    assert_eq!(withdrawn.state(), CaseState::Withdrawn);

    let second = processing(&stack).await;
    let decided = approve(&stack, &second).await;
    refused(
        portal.clone().cases.withdraw_case(withdraw(&decided)).await,
        Code::FailedPrecondition,
        "TRANSITION_NOT_ALLOWED",
    );
}

#[tokio::test]
async fn a_step_moves_the_case_to_the_state_that_it_maps_to() {
    let stack = Stack::start().await;
    let officer = stack.staff("officer", TRUONG_VINH);
    let procedure = stack
        .public()
        .procedures
        .get_procedure(egov_proto::egov::onestop::v1::GetProcedureRequest {
            procedure_code: "1.001193".to_owned(),
            on: None,
        })
        .await
        .unwrap()
        .into_inner()
        .procedure
        .unwrap();
    let inner = procedure
        .steps
        .iter()
        .find(|step| step.state() == CaseState::Processing)
        .unwrap();
    let case = processing(&stack).await;
    let step = |code: &str| RecordStepRequest {
        request_id: request_id(),
        case_id: case.case_id.clone(),
        etag: case.etag.clone(),
        step: code.to_owned(),
        ..Default::default()
    };
    refused(
        officer.clone().cases.record_step(step("khong_co")).await,
        Code::InvalidArgument,
        "STEP_UNKNOWN",
    );
    let moved = officer
        .clone()
        .cases
        .record_step(step(&inner.code))
        .await
        .unwrap()
        .into_inner()
        .case
        .unwrap();
    assert_eq!(
        (moved.step.as_str(), moved.state()),
        (inner.code.as_str(), CaseState::Processing)
    );
}

#[tokio::test]
async fn an_etag_that_was_read_before_a_change_is_refused() {
    let stack = Stack::start().await;
    let clerk = stack.staff("one_stop_clerk", TRUONG_VINH);
    let case = submit(&stack).await.case.unwrap();
    accept(&stack, &case).await;
    let again = AcceptCaseRequest {
        request_id: request_id(),
        case_id: case.case_id.clone(),
        etag: case.etag.clone(),
    };
    refused(
        clerk.clone().cases.accept_case(again).await,
        Code::Aborted,
        "STALE_ETAG",
    );
}

#[tokio::test]
async fn missing_and_unknown_components_are_all_named_and_nothing_is_filed() {
    let stack = Stack::start().await;
    let mut portal = stack.portal(citizen());
    let empty = egov_proto::egov::onestop::v1::SubmitCaseRequest {
        components: vec![],
        ..birth_registration()
    };
    let status = refused(
        portal.cases.submit_case(empty).await,
        Code::FailedPrecondition,
        "COMPONENTS_MISSING",
    );
    let missing = egov_fault::fault_of(&status).metadata()["components"].clone();
    assert!(
        missing.contains("mau_dien_tu") && missing.contains("giay_chung_sinh"),
        "{missing}"
    );

    let mut unknown = birth_registration();
    unknown.components.push(component("giay_la"));
    refused(
        portal.cases.submit_case(unknown).await,
        Code::InvalidArgument,
        "COMPONENT_UNKNOWN",
    );

    let first = portal
        .cases
        .submit_case(birth_registration())
        .await
        .unwrap()
        .into_inner()
        .case
        .unwrap();
    assert!(
        first.case_code.ends_with("-0001"),
        "refusals use no number: {}",
        first.case_code
    );
}

#[tokio::test]
async fn the_production_profile_publishes_nothing_that_nobody_decided() {
    let stack = Stack::with_profiles(Profile::Production, Profile::Production).await;
    refused(
        stack.portal(citizen()).cases.submit_case(birth_registration()).await,
        Code::FailedPrecondition,
        "FACT_NOT_DECIDED",
    );
}

#[tokio::test]
async fn the_production_profile_issues_no_case_code_from_a_provisional_agency_code() {
    let stack = Stack::with_profiles(Profile::Demo, Profile::Production).await;
    refused(
        stack.portal(citizen()).cases.submit_case(birth_registration()).await,
        Code::FailedPrecondition,
        "AGENCY_CODE_MISSING",
    );
}

/// A copy of an extract, which is given in the day, asked for at the counter and accepted right away.
async fn same_day_case_accepted_after(wait: SignedDuration) -> Date {
    let stack = Stack::start().await;
    stack.advance(wait).await;
    let mut clerk = stack.staff("one_stop_clerk", TRUONG_VINH);
    let request = SubmitCaseRequest {
        procedure_code: "2.000635".to_owned(),
        channel: Channel::Counter.into(),
        components: ["to_khai", "giay_to_tuy_than"].map(component).to_vec(),
        ..birth_registration()
    };
    let case = clerk
        .cases
        .submit_case(request)
        .await
        .unwrap()
        .into_inner()
        .case
        .unwrap();
    accept(&stack, &case)
        .await
        .receipt
        .unwrap()
        .deadline
        .unwrap()
        .due_date
        .unwrap()
}

#[tokio::test]
async fn a_same_day_case_accepted_at_15_00_is_due_today_and_a_second_later_on_the_next_working_day() {
    let day = |day| Date {
        year: 2026,
        month: 11,
        day,
    };
    assert_eq!(
        same_day_case_accepted_after(SignedDuration::from_hours(7)).await,
        day(23)
    );
    // 24/11/2026 is a day off.
    let a_second_later = SignedDuration::from_hours(7) + SignedDuration::from_secs(1);
    assert_eq!(same_day_case_accepted_after(a_second_later).await, day(25));
}

#[tokio::test]
async fn a_case_accepted_on_the_last_day_of_the_year_is_due_after_the_new_years_days_off() {
    let stack = Stack::start().await;
    // Thursday 31/12/2026, eight o'clock; 01/01/2027 is a day off, then comes a weekend.
    stack.advance(SignedDuration::from_hours(38 * 24)).await;
    let case = submit(&stack).await.case.unwrap();
    assert_eq!(case.case_code, "H41.201-261231-0001");
    let due = accept(&stack, &case).await.receipt.unwrap().deadline.unwrap().due_date;
    assert_eq!(
        due,
        Some(Date {
            year: 2027,
            month: 1,
            day: 4
        })
    );
}

#[tokio::test]
async fn a_component_behind_which_there_is_nothing_is_not_filed() {
    let stack = Stack::start().await;
    let mut portal = stack.portal(citizen());
    let mut hollow = birth_registration();
    hollow.components[1].originals = 0;
    let status = refused(
        portal.cases.submit_case(hollow).await,
        Code::InvalidArgument,
        "COMPONENT_EMPTY",
    );
    assert_eq!(
        egov_fault::fault_of(&status).metadata()["components"],
        "giay_chung_sinh"
    );

    // The electronic form cannot be replaced by data; the certificate of birth can.
    let mut by_data = birth_registration();
    by_data.components[0].originals = 0;
    by_data.components[0].replaced_by_data = "CSDL hộ tịch".to_owned();
    refused(
        portal.cases.submit_case(by_data).await,
        Code::InvalidArgument,
        "COMPONENT_EMPTY",
    );
    let mut by_data = birth_registration();
    by_data.components[1].originals = 0;
    by_data.components[1].replaced_by_data = "Dữ liệu giấy chứng sinh điện tử".to_owned();
    portal.cases.submit_case(by_data).await.unwrap();
}

#[tokio::test]
async fn a_supplement_with_nothing_in_it_does_not_start_the_clock_again() {
    let stack = Stack::start().await;
    let case = processing(&stack).await;
    let asked = stack
        .staff("officer", TRUONG_VINH)
        .cases
        .request_supplement(supplement(&case))
        .await
        .unwrap();
    let case = asked.into_inner().case.unwrap();
    let mut nothing = supply(&case);
    nothing.components[0].originals = 0;
    refused(
        stack.portal(citizen()).cases.supply_components(nothing).await,
        Code::InvalidArgument,
        "COMPONENT_EMPTY",
    );
}

#[tokio::test]
async fn a_citizen_files_online_and_a_clerk_at_the_counter() {
    let stack = Stack::start().await;
    let counter = SubmitCaseRequest {
        channel: Channel::Counter.into(),
        ..birth_registration()
    };
    refused(
        stack.portal(citizen()).cases.submit_case(counter).await,
        Code::FailedPrecondition,
        "CHANNEL_NOT_OFFERED",
    );
    refused(
        stack
            .staff("one_stop_clerk", TRUONG_VINH)
            .cases
            .submit_case(birth_registration())
            .await,
        Code::FailedPrecondition,
        "CHANNEL_NOT_OFFERED",
    );
}

#[tokio::test]
async fn a_birth_is_not_registered_by_an_organisation() {
    let stack = Stack::start().await;
    let mut request = birth_registration();
    request.owner.as_mut().unwrap().kind = egov_proto::egov::onestop::v1::ApplicantKind::Organisation.into();
    refused(
        stack.portal(citizen()).cases.submit_case(request).await,
        Code::FailedPrecondition,
        "APPLICANT_NOT_ELIGIBLE",
    );
}

#[tokio::test]
async fn an_officers_draft_comes_with_a_step_and_the_leader_approves_with_it() {
    let stack = Stack::start().await;
    let case = processing(&stack).await;
    let officer = stack.staff("officer", TRUONG_VINH);
    let draft = upload(&officer, PDF).await;
    let step = RecordStepRequest {
        request_id: request_id(),
        case_id: case.case_id.clone(),
        etag: case.etag.clone(),
        step: "trinh_ky".to_owned(),
        file_ids: vec![draft.clone()],
        ..Default::default()
    };
    let case = officer
        .clone()
        .cases
        .record_step(step)
        .await
        .unwrap()
        .into_inner()
        .case
        .unwrap();
    let approve = ApproveCaseRequest {
        request_id: request_id(),
        case_id: case.case_id.clone(),
        etag: case.etag.clone(),
        results: vec![CaseResult {
            result_code: "KQ.G15.000031".to_owned(),
            number: "01/2026".to_owned(),
            file_id: draft.clone(),
            ..Default::default()
        }],
        reason: String::new(),
    };
    let approved = stack
        .staff("unit_leader", TRUONG_VINH)
        .cases
        .approve_case(approve)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(approved.case.unwrap().results[0].file_id, draft);
}

/// A certificate of land use rights to be exchanged (1.012783), decided by the province: it waits for a payment for a week.
async fn waiting_for_a_payment(stack: &Stack) -> Case {
    let request = SubmitCaseRequest {
        procedure_code: "1.012783".to_owned(),
        competent_unit_code: "40".to_owned(),
        components: ["don_bien_dong", "giay_chung_nhan"].map(component).to_vec(),
        ..birth_registration()
    };
    let case = stack
        .portal(citizen())
        .cases
        .submit_case(request)
        .await
        .unwrap()
        .into_inner()
        .case
        .unwrap();
    let accept = AcceptCaseRequest {
        request_id: request_id(),
        case_id: case.case_id.clone(),
        etag: case.etag.clone(),
    };
    let accepted = stack
        .staff("one_stop_clerk", PROVINCE)
        .cases
        .accept_case(accept)
        .await
        .unwrap()
        .into_inner();
    let case = accepted.case.unwrap();
    // Fifteen working days from Monday 23/11/2026; 24/11 is a day off.
    assert_eq!(
        case.deadline.as_ref().unwrap().due_date,
        Some(Date {
            year: 2026,
            month: 12,
            day: 15
        })
    );
    let case = record(stack, &case, "kiem_tra").await;
    let case = record(stack, &case, "nghia_vu_tai_chinh").await;
    assert_eq!(case.state(), CaseState::PaymentRequested);
    assert!(case.pauses[0].end_time.is_none());
    stack.advance(SignedDuration::from_hours(7 * 24)).await;
    case
}

async fn record(stack: &Stack, case: &Case, step: &str) -> Case {
    let request = RecordStepRequest {
        request_id: request_id(),
        case_id: case.case_id.clone(),
        etag: case.etag.clone(),
        step: step.to_owned(),
        ..Default::default()
    };
    stack
        .staff("officer", PROVINCE)
        .cases
        .record_step(request)
        .await
        .unwrap()
        .into_inner()
        .case
        .unwrap()
}

#[tokio::test]
async fn whichever_act_ends_a_pause_the_due_date_is_worked_out_again() {
    // Paused from 23/11 to Monday 30/11, whose rest does not count: fifteen working days from 01/12.
    let later = Some(Date {
        year: 2026,
        month: 12,
        day: 21,
    });

    let stack = Stack::start().await;
    let case = waiting_for_a_payment(&stack).await;
    let stepped = record(&stack, &case, "chinh_ly").await;
    assert_eq!(
        (stepped.state(), stepped.deadline.unwrap().due_date),
        (CaseState::Processing, later)
    );

    let stack = Stack::start().await;
    let case = waiting_for_a_payment(&stack).await;
    let approve = ApproveCaseRequest {
        request_id: request_id(),
        case_id: case.case_id.clone(),
        etag: case.etag.clone(),
        results: vec![CaseResult {
            result_code: "KQ.G10.001147".to_owned(),
            ..Default::default()
        }],
        reason: String::new(),
    };
    let approved = stack
        .staff("unit_leader", PROVINCE)
        .cases
        .approve_case(approve)
        .await
        .unwrap()
        .into_inner();
    let approved = approved.case.unwrap();
    assert_eq!(
        (approved.state(), approved.deadline.unwrap().due_date),
        (CaseState::Completed, later)
    );
}
