//! E-forms, shapes and decision tables where they count: when a case is filed and when something is supplied.

use egov_proto::egov::onestop::v1::{
    ApplicantKind, Case, CaseComponent, Channel, RequestSupplementRequest, SubmitCaseRequest, SupplementItem,
    SupplyComponentsRequest,
};
use tonic::{Code, Status};

use crate::definitions::{CODE, SOUND, published};
use crate::support::*;

const FILLED: &str = r#" {"ngay_sinh": "2026-11-01",  "ho_ten": "Nguyễn Văn An", "so_ban": 2} "#;

fn e_form(text: &str) -> CaseComponent {
    CaseComponent {
        component_code: "to_khai".to_owned(),
        form_data: text.to_owned(),
        ..Default::default()
    }
}

fn request(components: Vec<CaseComponent>, conditions: &[&str]) -> SubmitCaseRequest {
    SubmitCaseRequest {
        procedure_code: CODE.to_owned(),
        components,
        conditions: conditions.iter().map(|code| (*code).to_owned()).collect(),
        ..birth_registration()
    }
}

/// Files a case of the definition online, with its e-form.
pub(crate) async fn submit(stack: &Stack, conditions: &[&str]) -> Result<Case, Status> {
    send(stack, request(vec![e_form(FILLED)], conditions)).await
}

async fn send(stack: &Stack, request: SubmitCaseRequest) -> Result<Case, Status> {
    let answer = stack.portal(citizen()).cases.submit_case(request).await?;
    Ok(answer.into_inner().case.unwrap())
}

#[tokio::test]
async fn an_e_form_is_judged_when_it_is_filed_and_kept_in_one_form() {
    let stack = Stack::start().await;
    published(&stack, CODE, SOUND).await;
    let wrong = r#"{"ho_ten": "A", "ngay_sinh": "2026-13-01", "so_ban": 21, "khac": "bí mật"}"#;
    let status = send(&stack, request(vec![e_form(wrong)], &["da_cu_tru"]))
        .await
        .unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::InvalidArgument, "INVALID_FIELD")
    );
    let fault = egov_fault::fault_of(&status);
    let named: Vec<(&str, &str)> = fault
        .violations()
        .iter()
        .map(|violation| (violation.field.as_str(), violation.vi.as_str()))
        .collect();
    assert_eq!(
        named,
        [
            (
                "components[0].form_data/ho_ten",
                "“Họ, chữ đệm, tên” phải có ít nhất 2 ký tự"
            ),
            ("components[0].form_data/khac", "“khac” không có trong mẫu đơn"),
            (
                "components[0].form_data/ngay_sinh",
                "“Ngày sinh” phải là một ngày có thật, dạng năm-tháng-ngày"
            ),
            ("components[0].form_data/so_ban", "“Số bản sao” không được lớn hơn 20"),
        ]
    );
    assert!(
        !format!("{status:?}").contains("bí mật"),
        "what was filled in is not repeated"
    );
    let mut sql = stack.database.connect_as_superuser().await.unwrap();
    let cases: i64 = sqlx::query_scalar("SELECT count(*) FROM cases")
        .fetch_one(&mut sql)
        .await
        .unwrap();
    assert_eq!(cases, 0, "nothing changed");

    let case = submit(&stack, &["da_cu_tru"]).await.unwrap();
    let kept = r#"{"ho_ten":"Nguyễn Văn An","ngay_sinh":"2026-11-01","so_ban":2}"#;
    assert_eq!(case.components[0].form_data, kept);
    let read = get(&stack.staff("case_reader", TRUONG_VINH), &case.case_id)
        .await
        .unwrap();
    assert_eq!(read.components[0].form_data, kept);
    // The leaf commits to what was filled in.
    let found = egov_onestop::operations::verify::verify(
        &stack.pool,
        &stack.keyring,
        egov_onestop::domain::pack::Profile::Demo,
        None,
        |_, _| {},
    )
    .await
    .unwrap();
    assert!(found.is_whole(), "{:?}", found.violations);
    sqlx::query("UPDATE case_components SET form_data = '{}'")
        .execute(&mut sql)
        .await
        .unwrap();
    let found = egov_onestop::operations::verify::verify(
        &stack.pool,
        &stack.keyring,
        egov_onestop::domain::pack::Profile::Demo,
        None,
        |_, _| {},
    )
    .await
    .unwrap();
    assert!(!found.is_whole(), "a changed e-form is noticed");
}

#[tokio::test]
async fn a_supplement_is_judged_by_the_same_form() {
    let stack = Stack::start().await;
    published(&stack, CODE, SOUND).await;
    let case = submit(&stack, &["da_cu_tru"]).await.unwrap();
    let asked = RequestSupplementRequest {
        request_id: request_id(),
        case_id: case.case_id.clone(),
        etag: case.etag.clone(),
        items: vec![SupplementItem {
            component_code: "to_khai".to_owned(),
            instruction: "Sửa ngày sinh".to_owned(),
        }],
        reason: "Ngày sinh không đúng".to_owned(),
        ..Default::default()
    };
    let case = stack
        .staff("one_stop_clerk", TRUONG_VINH)
        .cases
        .request_supplement(asked)
        .await
        .unwrap()
        .into_inner()
        .case
        .unwrap();
    let supply = |text: &str| SupplyComponentsRequest {
        request_id: request_id(),
        case_id: case.case_id.clone(),
        etag: case.etag.clone(),
        components: vec![e_form(text)],
    };
    let mut portal = stack.portal(citizen());
    let status = portal
        .cases
        .supply_components(supply(r#"{"ho_ten": "An Bình"}"#))
        .await
        .unwrap_err();
    let fault = egov_fault::fault_of(&status);
    assert_eq!(fault.violations()[0].field, "components[0].form_data/ngay_sinh");
    assert_eq!(fault.violations()[0].vi, "“Ngày sinh” phải có");
    let supplied = portal
        .cases
        .supply_components(supply(FILLED))
        .await
        .unwrap()
        .into_inner()
        .case
        .unwrap();
    assert_eq!(supplied.components.len(), 2);
    assert!(supplied.components[1].form_data.contains("2026-11-01"));
}

#[tokio::test]
async fn a_component_is_filed_in_a_shape_that_its_channel_accepts() {
    let stack = Stack::start().await;
    published(&stack, CODE, SOUND).await;
    // Online only the e-form; paper is for the counter.
    let status = send(&stack, request(vec![component("to_khai")], &["da_cu_tru"]))
        .await
        .unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::InvalidArgument, "COMPONENT_SHAPE_NOT_ACCEPTED")
    );
    let fault = egov_fault::fault_of(&status);
    assert_eq!(fault.metadata()["components"], "to_khai: e_form");
    assert_eq!(fault.violations()[0].field, "components[0]");
    let counter = SubmitCaseRequest {
        channel: Channel::Counter.into(),
        ..request(
            vec![component("to_khai"), component("giay_to_tuy_than")],
            &["da_cu_tru"],
        )
    };
    let mut clerk = stack.staff("one_stop_clerk", TRUONG_VINH);
    clerk.cases.submit_case(counter).await.unwrap();
    // A component without an e-form takes none.
    let mut odd = e_form(FILLED);
    odd.component_code = "giay_to_tuy_than".to_owned();
    odd.originals = 1;
    let status = send(&stack, request(vec![e_form(FILLED), odd], &["da_cu_tru"]))
        .await
        .unwrap_err();
    let fault = egov_fault::fault_of(&status);
    assert_eq!(
        (
            fault.violations()[0].field.as_str(),
            fault.violations()[0].rule.as_str()
        ),
        ("components[1].form_data", "no_form")
    );
}

#[tokio::test]
async fn the_tables_decide_who_may_file_and_how_much_it_costs() {
    let stack = Stack::start().await;
    published(&stack, CODE, SOUND).await;
    let organisation = SubmitCaseRequest {
        owner: Some(egov_proto::egov::onestop::v1::Party {
            kind: ApplicantKind::Organisation.into(),
            personal_number: String::new(),
            organisation_number: "0100109106".to_owned(),
            ..owner("Công ty Đại Phát")
        }),
        ..request(vec![e_form(FILLED)], &["chua_cu_tru"])
    };
    let status = send(&stack, organisation.clone()).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::FailedPrecondition, "NOT_ELIGIBLE")
    );
    let fault = egov_fault::fault_of(&status);
    assert_eq!(fault.metadata()["row"], "to_chuc_chua_cu_tru");
    assert_eq!(fault.metadata()["article"], "Điều 4 Luật Hộ tịch 60/2014/QH13");
    assert!(fault.vi().contains("Tổ chức phải có trụ sở tại địa phương"));
    let here = SubmitCaseRequest {
        request_id: request_id(),
        conditions: vec!["da_cu_tru".to_owned()],
        ..organisation
    };
    send(&stack, here).await.unwrap();

    let fee = |case: &Case| {
        let fee = case.fees[0].clone();
        (fee.amount.unwrap().units, fee.basis.unwrap().basis)
    };
    let ordinary = submit(&stack, &["da_cu_tru"]).await.unwrap();
    assert_eq!(
        fee(&ordinary),
        (4000, "khoản 2 Điều 11 Luật Hộ tịch 60/2014/QH13; test".to_owned())
    );
    let poor = submit(&stack, &["da_cu_tru", "ho_ngheo"]).await.unwrap();
    assert_eq!(fee(&poor).0, 0);
    // From 2027 on the row is over, and the amount of the channel stands; the receipt says what holds on its day.
    stack.advance(jiff::SignedDuration::from_hours(24 * 45)).await;
    assert_eq!(
        fee(&submit(&stack, &["da_cu_tru"]).await.unwrap()),
        (8000, "test".to_owned())
    );
    let accepted = accept(&stack, &ordinary).await.case.unwrap();
    assert_eq!(fee(&accepted).0, 8000);
}
