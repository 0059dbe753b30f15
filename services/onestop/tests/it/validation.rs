//! Bad input gets every violation named, in Vietnamese and English, and changes nothing.

use egov_proto::egov::onestop::v1::{Party, SubmitCaseRequest};
use tonic::Code;

use crate::support::*;

#[tokio::test]
async fn every_violation_is_named_in_both_languages() {
    let stack = Stack::start().await;
    let request = SubmitCaseRequest {
        request_id: "not a uuid".to_owned(),
        procedure_code: "khai sinh".to_owned(),
        competent_unit_code: "1669".to_owned(),
        channel: 9,
        owner: Some(Party {
            kind: 0,
            full_name: String::new(),
            personal_number: "123".to_owned(),
            phone: "hello".to_owned(),
            email: "no at".to_owned(),
            ..Default::default()
        }),
        ..Default::default()
    };
    let status = stack.portal(citizen()).cases.submit_case(request).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::InvalidArgument, "INVALID_FIELD")
    );
    let fault = egov_fault::fault_of(&status);
    let mut fields: Vec<&str> = fault
        .violations()
        .iter()
        .map(|violation| violation.field.as_str())
        .collect();
    fields.sort_unstable();
    fields.dedup();
    assert_eq!(
        fields,
        [
            "channel",
            "competent_unit_code",
            "owner.email",
            "owner.full_name",
            "owner.kind",
            "owner.personal_number",
            "owner.phone",
            "procedure_code",
            "request_id",
        ]
    );
    assert!(
        !format!("{status:?}").contains("hello"),
        "what was wrong is not repeated"
    );
}

#[tokio::test]
async fn a_list_refuses_a_page_token_of_somebody_else() {
    use egov_proto::egov::onestop::v1::ListCasesRequest;

    let stack = Stack::start().await;
    for _ in 0..3 {
        submit(&stack).await;
    }
    let page = ListCasesRequest {
        page_size: 1,
        ..Default::default()
    };
    let mut clerk = stack.staff("one_stop_clerk", TRUONG_VINH);
    let token = clerk
        .cases
        .list_cases(page.clone())
        .await
        .unwrap()
        .into_inner()
        .next_page_token;
    assert!(!token.is_empty());
    let next = ListCasesRequest {
        page_token: token,
        ..page
    };
    clerk.cases.list_cases(next.clone()).await.unwrap();
    let mut other = stack.staff("case_reader", PROVINCE);
    let status = other.cases.list_cases(next.clone()).await.unwrap_err();
    assert_eq!(reason(&status), "PAGE_TOKEN_INVALID");
    let other_filter = ListCasesRequest {
        unit_id: TRUONG_VINH,
        ..next
    };
    let status = clerk.cases.list_cases(other_filter).await.unwrap_err();
    assert_eq!(reason(&status), "PAGE_TOKEN_INVALID");
}
