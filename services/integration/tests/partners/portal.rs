//! The national portal.

use egov_proto::egov::integration::v1::{DeliveryState, ReportProgressRequest};
use egov_proto::egov::onestop::v1::{CaseState, ResultStanding};
use egov_simulators::Fault;
use tonic::Code;

use crate::support::{CASE, HERE, Running, case, case_with_code, new_id, refusal};

#[tokio::test]
async fn a_case_is_told_as_it_stands_and_then_as_it_changes() {
    let service = Running::start().await;
    let first = service
        .submit(case(CaseState::Accepted, 1))
        .await
        .unwrap()
        .delivery
        .unwrap();
    let second = service
        .submit(case(CaseState::Processing, 2))
        .await
        .unwrap()
        .delivery
        .unwrap();
    assert_eq!(service.round().await.acknowledged, 2);
    assert_eq!(service.partners.portal.cases()[CASE].state, "4");
    assert_eq!(service.partners.portal.writes(CASE), 2);
    for delivery in [first, second] {
        let now = service.delivery(&delivery.delivery_id).await;
        assert_eq!(
            (now.state(), now.contract.as_str()),
            (DeliveryState::Acknowledged, "sim-1")
        );
    }
    let kept = "SELECT count(*) FROM deliveries WHERE message IS NOT NULL";
    assert_eq!(service.count(kept).await, 0, "what was told is forgotten");
}

#[tokio::test]
async fn a_version_handed_in_twice_is_one_delivery_and_an_older_one_is_refused() {
    let service = Running::start().await;
    let first = service.submit(case(CaseState::Processing, 2)).await.unwrap();
    let again = service.submit(case(CaseState::Processing, 2)).await.unwrap();
    assert_eq!(first.delivery, again.delivery, "another request id, the same version");
    let (one, two) = tokio::join!(
        service.submit(case(CaseState::Completed, 3)),
        service.submit(case(CaseState::Completed, 3)),
    );
    assert_eq!(one.unwrap().delivery, two.unwrap().delivery);
    let status = service.submit(case(CaseState::Accepted, 1)).await.unwrap_err();
    assert_eq!(
        refusal(&status),
        (Code::FailedPrecondition, "CASE_VERSION_SUPERSEDED".to_owned())
    );
    service.rounds().await;
    assert_eq!(service.partners.portal.cases()[CASE].state, "9");
    let mut renamed = case(CaseState::Completed, 3);
    "Hộ tịch và chứng thực".clone_into(&mut renamed.field_name);
    let third = service.submit(case(CaseState::Completed, 3)).await.unwrap().delivery;
    assert_eq!(
        service.submit(renamed).await.unwrap().delivery,
        third,
        "one-stop says the same"
    );
}

#[tokio::test]
async fn a_restored_one_stops_other_case_under_a_version_that_was_handed_in_is_told_after_it_once() {
    let service = Running::start().await;
    for (state, version) in [(CaseState::Accepted, 2), (CaseState::Completed, 3)] {
        service.submit(case(state, version)).await.unwrap();
    }
    let known = service.submit(case(CaseState::Accepted, 2)).await.unwrap();
    assert_eq!(service.count("SELECT count(*) FROM deliveries").await, 2);
    // Restored, it comes to its third version again.
    let other = || case(CaseState::SupplementRequested, 3);
    let (one, two) = tokio::join!(service.submit(other()), service.submit(other()));
    let told = one.unwrap().delivery;
    assert_eq!(told, two.unwrap().delivery);
    assert_ne!(told, known.delivery);
    assert_eq!(service.count("SELECT count(*) FROM deliveries").await, 3);
    // Of its second, of which something else was told before, nothing is told any more: a later one was.
    let status = service.submit(case(CaseState::Processing, 2)).await.unwrap_err();
    assert_eq!(
        refusal(&status),
        (Code::FailedPrecondition, "CASE_VERSION_SUPERSEDED".to_owned())
    );
    service.rounds().await;
    let state = i32::from(CaseState::SupplementRequested).to_string();
    assert_eq!(service.partners.portal.cases()[CASE].state, state);
    assert_eq!(service.partners.portal.writes(CASE), 3);
}

#[tokio::test]
async fn a_later_version_waits_for_an_earlier_one_that_is_in_doubt() {
    let service = Running::start().await;
    // The first arrives late, after the portal was asked in vain and got it again.
    service
        .partners
        .portal
        .faults()
        .script("DongBoHoSoMC", Fault::Late(300));
    service.submit(case(CaseState::Accepted, 1)).await.unwrap();
    service.submit(case(CaseState::Processing, 2)).await.unwrap();
    assert_eq!(
        service.round().await.tried,
        1,
        "the second is not due before the first is settled"
    );
    tokio::time::sleep(std::time::Duration::from_millis(400)).await;
    service.clock.advance(jiff::SignedDuration::from_mins(16));
    service.rounds().await;
    assert_eq!(service.partners.portal.cases()[CASE].state, "4");
}

#[tokio::test]
async fn every_fault_of_the_portal_ends_in_the_case_as_it_stands() {
    let service = Running::start().await;
    for (place, fault) in Fault::ALL.into_iter().enumerate() {
        let code = format!("H41.50.05.13-261126-{:04}", place + 100);
        service.partners.portal.faults().script("DongBoHoSoMC", fault);
        service
            .submit(case_with_code(&code, CaseState::Accepted, 1))
            .await
            .unwrap();
        let last = service
            .submit(case_with_code(&code, CaseState::Processing, 2))
            .await
            .unwrap();
        service.rounds().await;
        if matches!(fault, Fault::Late(_)) {
            tokio::time::sleep(std::time::Duration::from_millis(350)).await;
        }
        assert_eq!(service.partners.portal.cases()[&code].state, "4", "{fault:?}");
        assert_eq!(service.partners.portal.writes(&code), 2, "{fault:?}");
        let now = service.delivery(&last.delivery.unwrap().delivery_id).await;
        assert_eq!(now.state(), DeliveryState::Acknowledged, "{fault:?}");
    }
}

#[tokio::test]
async fn a_step_is_told_once_and_after_its_case() {
    let service = Running::start().await;
    service.submit(case(CaseState::Processing, 1)).await.unwrap();
    let message = ReportProgressRequest {
        request_id: new_id(),
        unit_id: HERE,
        case_code: CASE.to_owned(),
        state: CaseState::Processing.into(),
        officer_name: "Lê Thị Cúc".to_owned(),
        officer_title: "Công chức tư pháp - hộ tịch".to_owned(),
        department: "Phòng Văn hóa - Xã hội".to_owned(),
        content: "Thẩm định hồ sơ".to_owned(),
        process_time: Some(egov_proto::timestamp("2026-11-26T02:00:00Z".parse().unwrap())),
    };
    service
        .partners
        .portal
        .faults()
        .script("CapNhatTienDoHoSoMC", Fault::HalfOpen);
    for _ in 0..2 {
        let request = service.by("partner_caller", HERE, message.clone());
        service.portal().report_progress(request).await.unwrap();
    }
    let mut again = message;
    again.request_id = new_id();
    let request = service.by("partner_caller", HERE, again);
    service.portal().report_progress(request).await.unwrap();
    service.rounds().await;
    let told = service.partners.portal.progress(CASE);
    assert_eq!(told.len(), 1);
    assert_eq!(
        (told[0].at.text().as_str(), told[0].state.as_str()),
        ("20261126090000", "4")
    );
}

#[tokio::test]
async fn steps_that_come_before_their_case_are_told_in_their_order_when_the_portal_knows_the_case() {
    let service = Running::start().await;
    let portal = &service.partners.portal;
    let mut steps = Vec::new();
    for (minute, content) in [(10, "Tiếp nhận hồ sơ"), (20, "Thẩm định hồ sơ")] {
        let at = format!("2026-11-26T02:{minute}:00Z");
        let message = ReportProgressRequest {
            request_id: new_id(),
            unit_id: HERE,
            case_code: CASE.to_owned(),
            state: CaseState::Processing.into(),
            officer_name: "Lê Thị Cúc".to_owned(),
            officer_title: String::new(),
            department: String::new(),
            content: content.to_owned(),
            process_time: Some(egov_proto::timestamp(at.parse().unwrap())),
        };
        let request = service.by("partner_caller", HERE, message);
        let answer = service.portal().report_progress(request).await.unwrap();
        steps.push(answer.into_inner().delivery.unwrap().delivery_id);
    }
    service.rounds().await;
    for id in &steps {
        let failed = service.delivery(id).await;
        assert_eq!(
            (failed.state(), failed.problem.as_str()),
            (DeliveryState::Failed, "case_unknown")
        );
    }
    // Another case lets nothing go on.
    service
        .submit(case_with_code("H41.50.05.13-261126-0002", CaseState::Processing, 1))
        .await
        .unwrap();
    service.rounds().await;
    assert_eq!(service.events("delivery_redriven").await.len(), 0);
    service.submit(case(CaseState::Processing, 1)).await.unwrap();
    service.rounds().await;
    for id in &steps {
        let told = service.delivery(id).await;
        assert_eq!((told.state(), told.problem.as_str()), (DeliveryState::Acknowledged, ""));
    }
    let told: Vec<_> = portal.progress(CASE).into_iter().map(|step| step.content).collect();
    assert_eq!(told, ["Tiếp nhận hồ sơ", "Thẩm định hồ sơ"]);
    assert_eq!(portal.steps_taken(CASE), 2, "each once");
    assert_eq!(service.events("delivery_redriven").await.len(), 2);
    // The next version of the case sends nothing again.
    service.submit(case(CaseState::Completed, 2)).await.unwrap();
    service.rounds().await;
    assert_eq!(portal.steps_taken(CASE), 2);
}

#[tokio::test]
async fn a_number_that_is_no_version_of_a_case_is_refused_with_its_field_and_blocks_nothing() {
    let service = Running::start().await;
    for version in [i64::MIN, -1, 0, 1_000_001, i64::MAX] {
        let status = service.submit(case(CaseState::Accepted, version)).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{version}");
        let fault = egov_fault::fault_of(&status);
        assert_eq!(fault.violations()[0].field, "case.version", "{version}");
    }
    assert_eq!(service.count("SELECT count(*) FROM deliveries").await, 0);
    service.submit(case(CaseState::Accepted, 1)).await.unwrap();
    service.rounds().await;
    assert_eq!(service.partners.portal.cases()[CASE].state, "2");
}

#[tokio::test]
async fn a_result_that_the_portal_does_not_know_is_left_out_reported_and_counted() {
    let service = Running::start().await;
    for version in [1, 2] {
        let mut message = case(CaseState::Completed, version);
        message.case.as_mut().unwrap().results[0].result_code = "KQ.X99.000001".to_owned();
        let answer = service.submit(message).await.unwrap();
        assert_eq!(answer.unmapped[0].path, "DanhSachGiayToKetQua[0].MaThanhPhanHoSo");
    }
    let request = service.by("partner_operator", HERE, Default::default());
    let values = service
        .portal()
        .list_unmapped_values(request)
        .await
        .unwrap()
        .into_inner()
        .values;
    assert_eq!((values.len(), values[0].count, values[0].table_version), (1, 2, 1));
    service.round().await;
    assert_eq!(service.partners.portal.cases()[CASE].results[0].result_code, "");
}

#[tokio::test]
async fn a_result_that_was_revoked_is_not_told_anew_and_the_case_is() {
    let service = Running::start().await;
    let told = |service: &Running| service.partners.portal.cases()[CASE].results.len();
    service.submit(case(CaseState::Completed, 1)).await.unwrap();
    service.rounds().await;
    assert_eq!(told(&service), 1);
    let mut revoked = case(CaseState::Returned, 2);
    revoked.case.as_mut().unwrap().results[0].standing = ResultStanding::Revoked.into();
    service.submit(revoked).await.unwrap();
    service.rounds().await;
    assert_eq!(service.partners.portal.cases()[CASE].state, "10");
    assert_eq!(
        told(&service),
        0,
        "the simulated portal takes what it is told as the whole"
    );
}

#[tokio::test]
async fn a_case_without_an_owner_cannot_be_told() {
    let service = Running::start().await;
    let mut message = case(CaseState::Accepted, 1);
    message.case.as_mut().unwrap().owner = None;
    let status = service.submit(message).await.unwrap_err();
    assert_eq!(
        refusal(&status),
        (Code::FailedPrecondition, "CASE_NOT_MAPPABLE".to_owned())
    );
}

#[tokio::test]
async fn a_step_that_the_portal_takes_late_is_one_step() {
    let service = Running::start().await;
    service.submit(case(CaseState::Processing, 1)).await.unwrap();
    service.round().await;
    let message = ReportProgressRequest {
        request_id: new_id(),
        unit_id: HERE,
        case_code: CASE.to_owned(),
        state: CaseState::Processing.into(),
        officer_name: "Lê Thị Cúc".to_owned(),
        officer_title: String::new(),
        department: String::new(),
        content: "Thẩm định hồ sơ".to_owned(),
        process_time: Some(egov_proto::timestamp("2026-11-26T02:00:00Z".parse().unwrap())),
    };
    // The portal answers nothing, and takes it in when it has been asked in vain already.
    let late = Fault::Late(1_500);
    service.partners.portal.faults().script("CapNhatTienDoHoSoMC", late);
    let request = service.by("partner_caller", HERE, message);
    let answer = service.portal().report_progress(request).await.unwrap();
    let id = answer.into_inner().delivery.unwrap().delivery_id;
    service.round().await;
    service.clock.advance(jiff::SignedDuration::from_secs(30));
    service.round().await;
    let asked = service.delivery(&id).await;
    assert_eq!(
        (asked.state(), asked.problem.as_str()),
        (DeliveryState::OutcomeUnknown, "not_there_yet")
    );
    assert_eq!(service.round().await.tried, 0, "once said is not believed");
    for _ in 0..100 {
        if !service.partners.portal.progress(CASE).is_empty() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    service.clock.advance(jiff::SignedDuration::from_secs(130));
    service.round().await;
    assert_eq!(service.delivery(&id).await.state(), DeliveryState::Acknowledged);
    assert_eq!(service.partners.portal.steps_taken(CASE), 1);
}

#[tokio::test]
async fn a_step_that_never_arrived_is_told_again_when_the_portal_has_said_so_twice() {
    let service = Running::start().await;
    service.submit(case(CaseState::Processing, 1)).await.unwrap();
    service.round().await;
    service
        .partners
        .portal
        .faults()
        .script("CapNhatTienDoHoSoMC", Fault::HangUp);
    let message = ReportProgressRequest {
        request_id: new_id(),
        unit_id: HERE,
        case_code: CASE.to_owned(),
        state: CaseState::Processing.into(),
        officer_name: "Lê Thị Cúc".to_owned(),
        officer_title: String::new(),
        department: String::new(),
        content: "Thẩm định hồ sơ".to_owned(),
        process_time: Some(egov_proto::timestamp("2026-11-26T02:00:00Z".parse().unwrap())),
    };
    let request = service.by("partner_caller", HERE, message);
    service.portal().report_progress(request).await.unwrap();
    service.rounds().await;
    assert_eq!(service.partners.portal.steps_taken(CASE), 1);
}
