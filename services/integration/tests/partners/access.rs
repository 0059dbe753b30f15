//! Who may do what: allowed, forbidden, the neighbour, and without a connection.

use egov_proto::egov::integration::v1 as proto;
use egov_proto::egov::onestop::v1::CaseState;
use tonic::Code;

use crate::support::{
    AGENCY, CASE, HERE, NEIGHBOUR, NEIGHBOURS_AGENCY, Running, agency, case, case_with_code, enquiry, new_id, order,
    refusal, registration,
};

fn denied(reason: &str) -> (Code, String) {
    (Code::PermissionDenied, reason.to_owned())
}

fn progress() -> proto::ReportProgressRequest {
    proto::ReportProgressRequest {
        request_id: new_id(),
        unit_id: HERE,
        case_code: CASE.to_owned(),
        state: CaseState::Processing.into(),
        officer_name: "Lê Thị Cúc".to_owned(),
        content: "Thẩm định".to_owned(),
        process_time: Some(egov_proto::timestamp("2026-11-26T02:00:00Z".parse().unwrap())),
        ..proto::ReportProgressRequest::default()
    }
}

fn look_up() -> proto::LookUpCitizenRequest {
    proto::LookUpCitizenRequest {
        request_id: new_id(),
        enquiry: Some(enquiry()),
    }
}

fn confirm() -> proto::ConfirmCitizenRequest {
    proto::ConfirmCitizenRequest {
        request_id: new_id(),
        enquiry: Some(enquiry()),
    }
}

/// The refusals of every act for a role at a unit.
async fn acts(service: &Running, role: &str, unit: i32) -> Vec<(Code, String)> {
    let mut refusals = Vec::new();
    let mut note = |result: Result<(), tonic::Status>| {
        refusals.push(result.map_or_else(|status| refusal(&status), |()| (Code::Ok, String::new())));
    };
    let done = service
        .population()
        .look_up_citizen(service.by(role, unit, look_up()))
        .await;
    note(done.map(drop));
    let done = service
        .population()
        .confirm_citizen(service.by(role, unit, confirm()))
        .await;
    note(done.map(drop));
    let done = service
        .payments()
        .create_payment_order(service.by(role, unit, order()))
        .await;
    note(done.map(drop));
    let done = service
        .portal()
        .synchronise_case(service.by(role, unit, case(CaseState::Accepted, 1)))
        .await;
    note(done.map(drop));
    let done = service
        .portal()
        .report_progress(service.by(role, unit, progress()))
        .await;
    note(done.map(drop));
    let done = service
        .civil_status()
        .submit_registration(service.by(role, unit, registration()))
        .await;
    note(done.map(drop));
    refusals
}

#[tokio::test]
async fn each_role_does_what_it_is_for_and_no_more() {
    let service = Running::start().await;
    let ok = (Code::Ok, String::new());
    let no = denied("PERMISSION_MISSING");
    assert_eq!(
        acts(&service, "partner_caller", HERE).await,
        [&ok, &ok, &ok, &ok, &ok, &ok].map(Clone::clone)
    );
    assert_eq!(
        acts(&service, "partner_officer", HERE).await,
        [&ok, &ok, &no, &no, &no, &no].map(Clone::clone)
    );
    assert_eq!(
        acts(&service, "partner_operator", HERE).await,
        [&no, &no, &no, &no, &no, &no].map(Clone::clone)
    );
}

#[tokio::test]
async fn nobody_acts_for_the_neighbour() {
    let service = Running::start().await;
    for (code, reason) in acts(&service, "partner_caller", NEIGHBOUR).await {
        assert_eq!(code, Code::PermissionDenied, "{reason}");
    }
    assert!(service.partners.population.asked().is_empty());
    assert_eq!(service.count("SELECT count(*) FROM deliveries").await, 0);
}

#[tokio::test]
async fn nobody_uses_the_neighbours_agency_code_for_the_own_unit() {
    let service = Running::start().await;
    let neighbours = CASE.replace(AGENCY, NEIGHBOURS_AGENCY);
    let mut refusals = Vec::new();
    let mut message = look_up();
    NEIGHBOURS_AGENCY.clone_into(&mut message.enquiry.as_mut().unwrap().agency_code);
    let request = service.by("partner_caller", HERE, message);
    refusals.push(service.population().look_up_citizen(request).await.unwrap_err());
    let mut message = confirm();
    NEIGHBOURS_AGENCY.clone_into(&mut message.enquiry.as_mut().unwrap().agency_code);
    let request = service.by("partner_caller", HERE, message);
    refusals.push(service.population().confirm_citizen(request).await.unwrap_err());
    let mut message = order();
    neighbours.clone_into(&mut message.case_code);
    refusals.push(service.order(message).await.unwrap_err());
    let message = case_with_code(&neighbours, CaseState::Accepted, 1);
    refusals.push(service.submit(message).await.unwrap_err());
    let mut message = progress();
    neighbours.clone_into(&mut message.case_code);
    let request = service.by("partner_caller", HERE, message);
    refusals.push(service.portal().report_progress(request).await.unwrap_err());
    for (code, case_code) in [(NEIGHBOURS_AGENCY, CASE), (AGENCY, neighbours.as_str())] {
        let mut message = registration();
        code.clone_into(&mut message.agency_code);
        case_code.clone_into(&mut message.case_code);
        let request = service.by("partner_caller", HERE, message);
        refusals.push(service.civil_status().submit_registration(request).await.unwrap_err());
    }
    for status in &refusals {
        let expected = (Code::FailedPrecondition, "AGENCY_CODE_NOT_OF_UNIT".to_owned());
        assert_eq!(refusal(status), expected);
        let fault = egov_fault::fault_of(status);
        assert_eq!(fault.metadata()["agency_code"], NEIGHBOURS_AGENCY);
    }
    assert!(service.partners.population.asked().is_empty());
    assert_eq!(service.count("SELECT count(*) FROM deliveries").await, 0);
    // A code that the directory does not know is nobody's.
    let message = case_with_code("H41.99-261126-0001", CaseState::Accepted, 1);
    let status = service.submit(message).await.unwrap_err();
    assert_eq!(refusal(&status).1, "AGENCY_CODE_NOT_OF_UNIT");
    let message = case_with_code("no code", CaseState::Accepted, 1);
    assert_eq!(
        service.submit(message).await.unwrap_err().code(),
        Code::FailedPrecondition
    );
}

#[tokio::test]
async fn an_agency_code_counts_as_it_was_on_the_day_of_the_case() {
    let service = Running::start().await;
    let mut connection = service.database.connect_as_superuser().await.unwrap();
    sqlx::query("UPDATE organisation_codes SET valid_to = '2026-11-25' WHERE code = $1")
        .bind(AGENCY)
        .execute(&mut connection)
        .await
        .unwrap();
    agency(&service.database, NEIGHBOUR, AGENCY, "2026-11-25").await;
    let on = |day: &str| case_with_code(&format!("{AGENCY}-{day}-0001"), CaseState::Accepted, 1);
    service.submit(on("261124")).await.unwrap();
    let status = service.submit(on("261125")).await.unwrap_err();
    assert_eq!(refusal(&status).1, "AGENCY_CODE_NOT_OF_UNIT");
    // The directory knows a code from the day of its registration: before, it was its first holder's.
    service.submit(on("250701")).await.unwrap();
}

#[tokio::test]
async fn without_a_purpose_nobody_asks_about_a_person() {
    let service = Running::start().await;
    let request = service.without_purpose("partner_officer", HERE, look_up());
    let status = service.population().look_up_citizen(request).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    assert!(service.partners.population.asked().is_empty());
    let mut message = look_up();
    let enquiry = message.enquiry.as_mut().unwrap();
    (enquiry.officer_code, enquiry.service_code, enquiry.legal_basis) = Default::default();
    let request = service.by("partner_officer", HERE, message);
    let status = service.population().look_up_citizen(request).await.unwrap_err();
    let fields: Vec<String> = egov_fault::fault_of(&status)
        .violations()
        .iter()
        .map(|violation| violation.field.clone())
        .collect();
    assert_eq!(
        fields,
        ["enquiry.service_code", "enquiry.officer_code", "enquiry.legal_basis"]
    );
}

#[tokio::test]
async fn the_neighbour_sees_nothing_of_what_is_sent() {
    let service = Running::start().await;
    let made = service.order(order()).await.unwrap();
    let mut unknown = case(CaseState::Completed, 1);
    unknown.case.as_mut().unwrap().results[0].result_code = "KQ.X99.000001".to_owned();
    service.submit(unknown).await.unwrap();
    let request = service.by("partner_caller", HERE, registration());
    let registered = service
        .civil_status()
        .submit_registration(request)
        .await
        .unwrap()
        .into_inner();
    let delivery_id = registered.delivery.unwrap().delivery_id;

    let message = proto::GetPaymentOrderRequest {
        order_id: made.order_id,
    };
    let request = service.by("partner_operator", NEIGHBOUR, message);
    let status = service.payments().get_payment_order(request).await.unwrap_err();
    assert_eq!(refusal(&status), (Code::NotFound, "PAYMENT_ORDER_NOT_FOUND".to_owned()));
    let message = proto::GetDeliveryRequest {
        delivery_id: made.delivery_id.clone(),
    };
    let request = service.by("partner_operator", NEIGHBOUR, message);
    let status = service.portal().get_delivery(request).await.unwrap_err();
    assert_eq!(refusal(&status), (Code::NotFound, "DELIVERY_NOT_FOUND".to_owned()));
    let message = proto::RedriveDeliveryRequest {
        request_id: new_id(),
        delivery_id: made.delivery_id,
        etag: "x".to_owned(),
    };
    let request = service.by("partner_operator", NEIGHBOUR, message.clone());
    let status = service.portal().redrive_delivery(request).await.unwrap_err();
    assert_eq!(refusal(&status), (Code::NotFound, "DELIVERY_NOT_FOUND".to_owned()));
    let request = service.by("partner_caller", HERE, message);
    let status = service.portal().redrive_delivery(request).await.unwrap_err();
    assert_eq!(refusal(&status), denied("PERMISSION_MISSING"));
    let message = proto::GetRegistrationRequest { delivery_id };
    let request = service.by("partner_officer", NEIGHBOUR, message);
    let status = service.civil_status().get_registration(request).await.unwrap_err();
    assert_eq!(refusal(&status), (Code::NotFound, "REGISTRATION_NOT_FOUND".to_owned()));
    for (unit, deliveries, values) in [(HERE, 3, 1), (NEIGHBOUR, 0, 0)] {
        let request = service.by("partner_operator", unit, Default::default());
        let listed = service.portal().list_deliveries(request).await.unwrap().into_inner();
        assert_eq!(listed.deliveries.len(), deliveries);
        let request = service.by("partner_operator", unit, Default::default());
        let listed = service
            .portal()
            .list_unmapped_values(request)
            .await
            .unwrap()
            .into_inner();
        assert_eq!(listed.values.len(), values);
    }
}

#[tokio::test]
async fn deliveries_are_listed_page_by_page_each_once() {
    let service = Running::start().await;
    for _ in 0..5 {
        service.order(order()).await.unwrap();
    }
    let (mut token, mut seen) = (String::new(), Vec::new());
    loop {
        let message = proto::ListDeliveriesRequest {
            page_size: 2,
            page_token: token,
            ..proto::ListDeliveriesRequest::default()
        };
        let request = service.by("partner_operator", HERE, message);
        let page = service.portal().list_deliveries(request).await.unwrap().into_inner();
        seen.extend(page.deliveries.into_iter().map(|delivery| delivery.delivery_id));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    let all = seen.len();
    seen.sort();
    seen.dedup();
    assert_eq!((all, seen.len()), (5, 5));
}

#[tokio::test]
async fn what_is_not_connected_is_said_before_anything_is_kept() {
    let service = Running::unconnected().await;
    for refused in acts(&service, "partner_caller", HERE).await {
        assert_eq!(refused, (Code::FailedPrecondition, "PARTNER_NOT_CONFIGURED".to_owned()));
    }
    assert_eq!(service.count("SELECT count(*) FROM deliveries").await, 0);
}
