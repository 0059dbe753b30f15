//! Issued, delivered and synchronised as three facts; one-stop's cases compared with the portal's, and what differs mended.

use std::sync::Arc;

use egov_clock::{Clock as _, ManualClock, SystemIds};
use egov_integration::partners::{Connection, Connections, Reconciling};
use egov_integration::rebuild_leaves::{rebuild_leaves, rows_unlike_history, without_row};
use egov_integration::{CaseReconciler, Deliverer, Reconciled};
use egov_partners::Partner;
use egov_partners::line::{Line, LineConfig};
use egov_partners::portal::{CaseItem, NationalPortal};
use egov_partners::portal_rest::{AttachedFile, RestAccount, RestPortal};
use egov_partners::signing::sha256_hex;
use egov_partners::wire_time::WireTime;
use egov_proto::egov::integration::v1 as proto;
use egov_proto::egov::integration::v1::{
    DeliveryState, DifferenceKind, DifferenceState, PortalDifference, Reconciliation, ReconciliationState,
};
use egov_proto::egov::onestop::v1::{Case, CaseComponent, CaseParticulars, CaseReturn, CaseState, NamedFile};
use egov_proto::google::r#type::Date;
use egov_simulators::{CLIENT_ID, CLIENT_SECRET, Fault, RestPortalSimulator};
use egov_transparency::{LogReport, kinds, verify_kind};
use jiff::SignedDuration;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::follow::{OneStop, Stage, following};
use crate::support::{AGENCY, HERE, NEIGHBOUR, Running, case_with_code, new_id, refusal};

/// The day of the test's clock.
const TODAY: Date = Date {
    year: 2026,
    month: 11,
    day: 23,
};

/// A case filed this morning.
pub(crate) fn filed(n: u32, state: CaseState, version: i64) -> Case {
    Case {
        case_id: Uuid::from_u128(2_000 + u128::from(n)).to_string(),
        submit_time: Some(egov_proto::timestamp("2026-11-23T00:30:00Z".parse().unwrap())),
        accept_time: Some(egov_proto::timestamp("2026-11-23T00:40:00Z".parse().unwrap())),
        ..case_with_code(&code(n), state, version).case.unwrap()
    }
}

pub(crate) fn code(n: u32) -> String {
    format!("H41.50.05.13-261123-{n:04}")
}

/// The service, which reads one-stop's cases.
pub(crate) async fn stage() -> Stage {
    stage_with(|connections, _| connections).await
}

pub(crate) async fn stage_with(make: impl FnOnce(Connections, &ManualClock) -> Connections) -> Stage {
    let one_stop = OneStop::default();
    let address = one_stop.start().await;
    let service = Running::connected(|connections, clock| {
        let mut connections = following(make(connections, clock), &address, Vec::new());
        // A test asks for what it wants.
        connections.reconciling.days = 0;
        connections
    })
    .await;
    Stage::beside(service, one_stop, address).await
}

fn reconciler(stage: &Stage, reconciling: Reconciling) -> CaseReconciler {
    let service = &stage.service;
    let connections = service
        .partners
        .connections(Arc::clone(&service.keyring), &service.clock);
    let mut connections = following(connections, &stage.address, vec![HERE]);
    connections.reconciling = reconciling;
    CaseReconciler::new(service.pool(), connections)
}

/// Only what was asked for.
pub(crate) const ASKED: Reconciling = Reconciling {
    days: 0,
    hour: 0,
    repair: false,
    open_within_days: 0,
};

/// Every day at once, and a week for the cases that are not over.
const DAILY: Reconciling = Reconciling {
    days: 3,
    hour: 0,
    repair: true,
    open_within_days: 7,
};

pub(crate) async fn compare(stage: &Stage) -> Reconciled {
    reconciler(stage, ASKED).round().await.unwrap().unwrap()
}

pub(crate) fn asked(repair: bool) -> proto::ReconcileCasesRequest {
    proto::ReconcileCasesRequest {
        request_id: new_id(),
        unit_id: HERE,
        from_date: Some(TODAY),
        to_date: Some(TODAY),
        repair,
    }
}

pub(crate) async fn ask(service: &Running, message: proto::ReconcileCasesRequest) -> Result<Reconciliation, Status> {
    let request = service.by("partner_operator", HERE, message);
    let answer = service.synchronisations().reconcile_cases(request).await?;
    Ok(answer.into_inner().reconciliation.unwrap())
}

pub(crate) async fn run_now(service: &Running, id: &str) -> Reconciliation {
    let message = proto::GetReconciliationRequest {
        reconciliation_id: id.to_owned(),
    };
    let request = service.by("partner_operator", HERE, message);
    let answer = service.synchronisations().get_reconciliation(request).await.unwrap();
    answer.into_inner().reconciliation.unwrap()
}

pub(crate) async fn differences(service: &Running, run: &str) -> Vec<PortalDifference> {
    let mut all = Vec::new();
    let mut page_token = String::new();
    loop {
        let message = proto::ListDifferencesRequest {
            page_size: 3,
            page_token,
            reconciliation_id: run.to_owned(),
            open: false,
        };
        let request = service.by("partner_operator", HERE, message);
        let answer = service.synchronisations().list_differences(request).await.unwrap();
        let page = answer.into_inner();
        all.extend(page.differences);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            all.sort_by(|a, b| a.case_code.cmp(&b.case_code));
            return all;
        }
    }
}

async fn synchronisation(service: &Running, n: u32) -> proto::Synchronisation {
    let message = proto::GetSynchronisationRequest { case_code: code(n) };
    let request = service.by("partner_operator", HERE, message);
    let answer = service.synchronisations().get_synchronisation(request).await.unwrap();
    answer.into_inner().synchronisation.unwrap()
}

async fn waiting(service: &Running) -> Vec<String> {
    let message = proto::ListSynchronisationsRequest {
        waiting: true,
        unit_id: HERE,
        ..proto::ListSynchronisationsRequest::default()
    };
    let request = service.by("partner_operator", HERE, message);
    let answer = service.synchronisations().list_synchronisations(request).await.unwrap();
    let all = answer.into_inner().synchronisations;
    all.into_iter().map(|one| one.case_code).collect()
}

#[tokio::test]
async fn issued_delivered_and_synchronised_are_three_facts() {
    let stage = stage().await;
    let service = &stage.service;
    let accepted = Case {
        results: Vec::new(),
        ..filed(1, CaseState::Accepted, 2)
    };
    stage.changed(&accepted).await;
    stage.round().await;
    service.rounds().await;
    let known = synchronisation(service, 1).await;
    assert!(known.synchronised && known.issue_learn_time.is_none() && known.return_time.is_none());
    assert_eq!(
        (known.acknowledged_version, known.acknowledged_state()),
        (2, CaseState::Accepted)
    );
    // The result is there. The portal does not know of it yet.
    stage.changed(&filed(1, CaseState::Completed, 3)).await;
    stage.round().await;
    let known = synchronisation(service, 1).await;
    assert!(known.issue_learn_time.is_some() && known.return_time.is_none() && !known.synchronised);
    assert_eq!(
        (known.told_version, known.acknowledged_version, known.waiting_state()),
        (3, 2, DeliveryState::Queued)
    );
    assert_eq!(waiting(service).await, [code(1)]);
    // It is handed over while the portal fails for so long that the delivery is given up.
    let returned = Case {
        r#return: Some(CaseReturn {
            return_time: Some(egov_proto::timestamp("2026-11-23T02:00:00Z".parse().unwrap())),
            ..CaseReturn::default()
        }),
        ..filed(1, CaseState::Returned, 4)
    };
    stage.changed(&returned).await;
    stage.round().await;
    for _ in 0..60 {
        service.partners.portal.faults().script("TraCuuHoSo", Fault::Failed);
    }
    service.rounds().await;
    let known = synchronisation(service, 1).await;
    assert_eq!(
        known.return_time.unwrap().seconds,
        returned.r#return.unwrap().return_time.unwrap().seconds
    );
    assert!(known.issue_learn_time.is_some() && !known.synchronised);
    assert_eq!(known.waiting_state(), DeliveryState::Dead, "somebody has to look at it");
    assert!(!known.waiting_problem.is_empty() && known.waiting_count > 0);
    // The portal is there again, and somebody sends out again what was given up, the last word first to be told.
    while service.partners.portal.faults().left() > 0 {
        let line = service
            .partners
            .connections(Arc::clone(&service.keyring), &service.clock);
        let _ = line.portal.unwrap().partner.find_case("x").await;
    }
    let message = proto::ListDeliveriesRequest {
        state: DeliveryState::Dead.into(),
        ..proto::ListDeliveriesRequest::default()
    };
    let request = service.by("partner_operator", HERE, message);
    let dead = service
        .portal()
        .list_deliveries(request)
        .await
        .unwrap()
        .into_inner()
        .deliveries;
    let last = dead.iter().max_by_key(|delivery| delivery.partner_key.clone()).unwrap();
    service.redrive(last).await.unwrap();
    service.rounds().await;
    let known = synchronisation(service, 1).await;
    assert!(known.synchronised && known.waiting_delivery_id.is_empty());
    assert_eq!(known.acknowledged_state(), CaseState::Returned);
    assert_eq!(waiting(service).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_reconciliation_finds_each_kind_of_difference_and_mends_what_can_be_mended() {
    let stage = stage().await;
    let (service, portal) = (&stage.service, &stage.service.partners.portal);
    for n in 1..=6 {
        stage.changed(&filed(n, CaseState::Processing, 2)).await;
    }
    for _ in 0..2 {
        stage.round().await;
    }
    service.rounds().await;
    portal.lose(&code(2));
    portal.change(&code(3), |case| "2".clone_into(&mut case.state));
    portal.change(&code(4), |case| {
        case.accept_time = WireTime::parse("20260101000000").ok();
    });
    portal.change(&code(5), |case| "Trần Thị Khác".clone_into(&mut case.owner_name));
    portal.invent(CaseItem {
        case_code: code(999),
        state: "2".to_owned(),
        ..CaseItem::default()
    });
    // One whose event was lost, one that is on its way, and one that one-stop cannot show as the portal wants it.
    stage.one_stop.show(filed(7, CaseState::Accepted, 1));
    stage.changed(&filed(8, CaseState::Accepted, 1)).await;
    stage.round().await;
    stage.one_stop.show(Case {
        owner: None,
        ..filed(9, CaseState::Accepted, 1)
    });
    let run = ask(service, asked(true)).await.unwrap();
    assert_eq!(run.state(), ReconciliationState::Queued);
    assert_eq!(compare(&stage).await.done, 1);
    let done = run_now(service, &run.reconciliation_id).await;
    assert_eq!(done.state(), ReconciliationState::Done);
    assert_eq!(
        (
            done.compared,
            done.equal,
            done.waiting,
            done.differing,
            done.not_comparable
        ),
        (8, 2, 1, 6, 1)
    );
    assert!(done.looked_for_unknown && done.end_time.is_some());
    let found = differences(service, &run.reconciliation_id).await;
    let seen: Vec<_> = found
        .iter()
        .map(|one| {
            (
                one.case_code.clone(),
                one.kind(),
                one.ours.as_str(),
                one.theirs.as_str(),
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            (code(2), DifferenceKind::MissingThere, "4", ""),
            (code(3), DifferenceKind::StateDiffers, "4", "2"),
            (code(4), DifferenceKind::DateDiffers, "20261123074000", "20260101000000"),
            (code(5), DifferenceKind::ContentDiffers, "", ""),
            (code(7), DifferenceKind::MissingThere, "2", ""),
            (code(999), DifferenceKind::UnknownHere, "", "2"),
        ]
    );
    assert_eq!(found[3].fields, ["ChuHoSo"], "which field, and not whose name");
    let states: Vec<_> = found.iter().map(PortalDifference::state).collect();
    assert_eq!(states[..5], [DifferenceState::Repairing; 5]);
    assert_eq!(states[5], DifferenceState::Open);
    service.rounds().await;
    let found = differences(service, &run.reconciliation_id).await;
    assert!(found[..5].iter().all(|one| one.state() == DifferenceState::Repaired));
    let there = portal.cases();
    assert_eq!(
        (there[&code(2)].state.as_str(), there[&code(3)].state.as_str()),
        ("4", "4")
    );
    assert_eq!(there[&code(5)].owner_name, "Nguyễn Văn An");
    assert_eq!(there[&code(7)].state, "2");
    // The lost event comes after all: it is told already.
    stage.said(&filed(7, CaseState::Accepted, 1)).await;
    let before = stage.deliveries().await;
    stage.round().await;
    assert_eq!(stage.deliveries().await, before);
    // Both sides are equal now, but for what only the portal has.
    let again = ask(service, asked(true)).await.unwrap();
    compare(&stage).await;
    let done = run_now(service, &again.reconciliation_id).await;
    assert_eq!((done.compared, done.equal, done.waiting, done.differing), (8, 8, 0, 1));
    let events = service.events("portal_difference_found").await;
    assert_eq!(events.len(), 7);
    assert!(!format!("{events:?}").contains("Nguyễn"), "events name no person");
    let histories = "SELECT count(*) FROM portal_difference_history";
    assert_eq!(service.count(histories).await, 7);
}

#[tokio::test]
async fn what_only_the_portal_has_is_settled_by_hand_once() {
    let stage = stage().await;
    let service = &stage.service;
    service.partners.portal.invent(CaseItem {
        case_code: code(999),
        state: "2".to_owned(),
        ..CaseItem::default()
    });
    // One-stop has this one, though it was filed on another day and never told.
    let elsewhere = Case {
        submit_time: Some(egov_proto::timestamp("2026-10-01T00:30:00Z".parse().unwrap())),
        ..filed(5, CaseState::Accepted, 1)
    };
    service.partners.portal.invent(CaseItem {
        case_code: elsewhere.case_code.clone(),
        ..CaseItem::default()
    });
    stage.one_stop.show(elsewhere);
    let run = ask(service, asked(true)).await.unwrap();
    compare(&stage).await;
    let found = differences(service, &run.reconciliation_id).await;
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].case_code.clone(), found[0].kind()),
        (code(999), DifferenceKind::UnknownHere)
    );
    let refused = repair(service, "partner_operator", HERE, &repair_of(&found[0]))
        .await
        .unwrap_err();
    assert_eq!(
        refusal(&refused),
        (Code::FailedPrecondition, "DIFFERENCE_NOT_REPAIRABLE".to_owned())
    );
    let message = proto::SettleDifferenceRequest {
        request_id: new_id(),
        difference_id: found[0].difference_id.clone(),
        etag: found[0].etag.clone(),
        reason: "Hồ sơ nhập thử trên Cổng, đã đề nghị huỷ".to_owned(),
    };
    let mut answers = Vec::new();
    for _ in 0..2 {
        let request = service.by("partner_operator", HERE, message.clone());
        let answer = service.synchronisations().settle_difference(request).await.unwrap();
        answers.push(answer.into_inner().difference.unwrap());
    }
    assert_eq!(answers[0], answers[1], "the same request has the same answer");
    assert_eq!(
        (answers[0].state(), answers[0].reason.as_str()),
        (DifferenceState::Settled, message.reason.as_str())
    );
    let mut later = message;
    later.request_id = new_id();
    let request = service.by("partner_operator", HERE, later.clone());
    let refused = service.synchronisations().settle_difference(request).await.unwrap_err();
    assert_eq!(refusal(&refused), (Code::Aborted, "STALE_ETAG".to_owned()));
    answers[0].etag.clone_into(&mut later.etag);
    later.request_id = new_id();
    let request = service.by("partner_operator", HERE, later);
    let refused = service.synchronisations().settle_difference(request).await.unwrap_err();
    assert_eq!(
        refusal(&refused),
        (Code::FailedPrecondition, "DIFFERENCE_CLOSED".to_owned())
    );
}

fn repair_of(difference: &PortalDifference) -> proto::RepairDifferenceRequest {
    proto::RepairDifferenceRequest {
        request_id: new_id(),
        difference_id: difference.difference_id.clone(),
        etag: difference.etag.clone(),
    }
}

async fn repair(
    service: &Running,
    role: &str,
    unit: i32,
    message: &proto::RepairDifferenceRequest,
) -> Result<PortalDifference, Status> {
    let request = service.by(role, unit, message.clone());
    let answer = service.synchronisations().repair_difference(request).await?;
    Ok(answer.into_inner().difference.unwrap())
}

#[tokio::test]
async fn a_difference_is_repaired_by_hand_once_by_whoever_comes_first() {
    let stage = stage().await;
    let service = &stage.service;
    stage.changed(&filed(1, CaseState::Processing, 2)).await;
    stage.round().await;
    service.rounds().await;
    service.partners.portal.lose(&code(1));
    let run = ask(service, asked(false)).await.unwrap();
    compare(&stage).await;
    let found = differences(service, &run.reconciliation_id).await;
    assert_eq!((found.len(), found[0].state()), (1, DifferenceState::Open));
    let before = stage.deliveries().await;
    let (one, other) = (repair_of(&found[0]), repair_of(&found[0]));
    let (left, right) = tokio::join!(
        repair(service, "partner_operator", HERE, &one),
        repair(service, "partner_operator", HERE, &other),
    );
    let (won, lost) = match (left, right) {
        (Ok(won), Err(lost)) => ((won, one), lost),
        (Err(lost), Ok(won)) => ((won, other), lost),
        both => panic!("one of two: {both:?}"),
    };
    assert_eq!(lost.code(), Code::Aborted, "{lost:?}");
    assert_eq!(won.0.state(), DifferenceState::Repairing);
    assert_eq!(repair(service, "partner_operator", HERE, &won.1).await.unwrap(), won.0);
    assert_eq!(stage.deliveries().await, before + 1);
    service.rounds().await;
    assert_eq!(service.partners.portal.cases()[&code(1)].state, "4");
    assert_eq!(
        service.delivery(&won.0.delivery_id).await.state(),
        DeliveryState::Acknowledged
    );
    // An older version never follows, and the next one does.
    stage.changed(&filed(1, CaseState::Completed, 3)).await;
    stage.round().await;
    service.rounds().await;
    assert_eq!(service.partners.portal.cases()[&code(1)].state, "9");
    let known = synchronisation(service, 1).await;
    assert!(known.synchronised);
    assert_eq!(known.acknowledged_version, 3);
}

#[tokio::test]
async fn a_reconciliation_waits_for_whoever_is_away_and_is_done_then() {
    let stage = stage().await;
    let service = &stage.service;
    stage.changed(&filed(1, CaseState::Processing, 2)).await;
    stage.round().await;
    service.rounds().await;
    let run = ask(service, asked(true)).await.unwrap();
    stage.one_stop.away(true);
    assert_eq!(compare(&stage).await.put_off, 1);
    let put_off = run_now(service, &run.reconciliation_id).await;
    assert_eq!(
        (put_off.state(), put_off.problem.as_str()),
        (ReconciliationState::Queued, "one_stop_failed")
    );
    stage.one_stop.away(false);
    assert_eq!(compare(&stage).await, Reconciled::default(), "not before its time");
    service.clock.advance(SignedDuration::from_mins(11));
    for _ in 0..2 {
        service.partners.portal.faults().script("TraCuuHoSo", Fault::Failed);
    }
    assert_eq!(compare(&stage).await.put_off, 1);
    let put_off = run_now(service, &run.reconciliation_id).await;
    assert_eq!(put_off.problem, "partner_failed");
    service.clock.advance(SignedDuration::from_mins(11));
    assert_eq!(compare(&stage).await.done, 1);
    let done = run_now(service, &run.reconciliation_id).await;
    assert_eq!(
        (done.state(), done.equal, done.problem.as_str()),
        (ReconciliationState::Done, 1, "")
    );
}

#[tokio::test]
async fn every_day_each_unit_is_compared_once_however_many_processes_there_are() {
    let stage = stage().await;
    let service = &stage.service;
    stage.changed(&filed(1, CaseState::Processing, 2)).await;
    stage.round().await;
    service.rounds().await;
    service.partners.portal.lose(&code(1));
    let daily = Reconciling { hour: 9, ..DAILY };
    service.clock.advance(SignedDuration::from_hours(16));
    let (one, other) = (reconciler(&stage, daily), reconciler(&stage, daily));
    let count = "SELECT count(*) FROM portal_reconciliations WHERE daily";
    while service.clock.shared().now() < "2026-11-24T01:59:00Z".parse().unwrap() {
        one.round().await.unwrap();
        service.clock.advance(SignedDuration::from_mins(30));
        if service.clock.shared().now() < "2026-11-24T02:00:00Z".parse().unwrap() {
            assert_eq!(service.count(count).await, 0, "before nine");
        }
    }
    for _ in 0..3 {
        let (left, right) = tokio::join!(one.round(), other.round());
        left.unwrap();
        right.unwrap();
    }
    assert_eq!(service.count(count).await, 1);
    let open = "SELECT count(*) FROM portal_differences WHERE kind = 1 AND state = 2";
    assert_eq!(
        service.count(open).await,
        1,
        "yesterday's case was missed there, and is handed in again"
    );
    service.rounds().await;
    assert_eq!(service.partners.portal.cases()[&code(1)].state, "4");
    service.clock.advance(SignedDuration::from_hours(24));
    assert_eq!(one.round().await.unwrap().unwrap().queued, 1);
    assert_eq!(service.count(count).await, 2, "the next day again");
}

#[tokio::test]
async fn each_sees_and_compares_what_is_its_own() {
    let stage = stage().await;
    let service = &stage.service;
    stage.changed(&filed(1, CaseState::Processing, 2)).await;
    stage.round().await;
    let run = ask(service, asked(true)).await.unwrap();
    compare(&stage).await;
    let client = || service.synchronisations();
    let get = proto::GetSynchronisationRequest { case_code: code(1) };
    for (role, unit, expected) in [
        ("partner_operator", HERE, Code::Ok),
        ("partner_caller", HERE, Code::Ok),
        ("partner_officer", HERE, Code::Ok),
        ("partner_operator", NEIGHBOUR, Code::NotFound),
        ("partner_caller", NEIGHBOUR, Code::NotFound),
        ("partner_officer", NEIGHBOUR, Code::NotFound),
        ("integration_partner", HERE, Code::PermissionDenied),
    ] {
        let found = client().get_synchronisation(service.by(role, unit, get.clone())).await;
        assert_eq!(
            found.map_or_else(|status| status.code(), |_| Code::Ok),
            expected,
            "{role} {unit}"
        );
    }
    let request = service.by(
        "partner_operator",
        NEIGHBOUR,
        proto::ListSynchronisationsRequest::default(),
    );
    let list = client().list_synchronisations(request).await.unwrap().into_inner();
    assert_eq!(list.synchronisations, []);
    let request = service.by("partner_operator", NEIGHBOUR, proto::ListDifferencesRequest::default());
    let list = client().list_differences(request).await.unwrap().into_inner();
    assert_eq!(list.differences, []);
    let message = proto::GetReconciliationRequest {
        reconciliation_id: run.reconciliation_id.clone(),
    };
    let request = service.by("partner_operator", NEIGHBOUR, message);
    let status = client().get_reconciliation(request).await.unwrap_err();
    assert_eq!(
        refusal(&status),
        (Code::NotFound, "RECONCILIATION_NOT_FOUND".to_owned())
    );
    // Nobody compares for the neighbour, and who only reads compares nothing.
    for (role, unit) in [
        ("partner_operator", NEIGHBOUR),
        ("partner_officer", HERE),
        ("partner_caller", HERE),
    ] {
        let status = client()
            .reconcile_cases(service.by(role, unit, asked(true)))
            .await
            .unwrap_err();
        assert_eq!(status.code(), Code::PermissionDenied, "{role}");
    }
    assert_eq!(service.count("SELECT count(*) FROM portal_reconciliations").await, 1);
    // A difference of ours, for the neighbour and for who only reads.
    service.rounds().await;
    service.partners.portal.lose(&code(1));
    let run = ask(service, asked(false)).await.unwrap();
    compare(&stage).await;
    let found = differences(service, &run.reconciliation_id).await;
    let message = repair_of(&found[0]);
    let status = repair(service, "partner_operator", NEIGHBOUR, &message)
        .await
        .unwrap_err();
    assert_eq!(refusal(&status), (Code::NotFound, "DIFFERENCE_NOT_FOUND".to_owned()));
    let status = repair(service, "partner_officer", HERE, &message).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    let settle = proto::SettleDifferenceRequest {
        request_id: new_id(),
        difference_id: found[0].difference_id.clone(),
        etag: found[0].etag.clone(),
        reason: "x".to_owned(),
    };
    let request = service.by("partner_operator", NEIGHBOUR, settle);
    let status = client().settle_difference(request).await.unwrap_err();
    assert_eq!(refusal(&status), (Code::NotFound, "DIFFERENCE_NOT_FOUND".to_owned()));
}

#[tokio::test]
async fn a_period_that_is_none_is_refused_with_its_reason_and_so_is_who_cannot_compare() {
    let stage = stage().await;
    let service = &stage.service;
    let day = |month, day| Some(Date { year: 2026, month, day });
    for (from, to) in [
        (day(11, 23), day(11, 22)),
        (day(11, 23), day(11, 24)),
        (day(10, 1), day(11, 23)),
        (day(11, 31), day(11, 23)),
        (None, day(11, 23)),
    ] {
        let message = proto::ReconcileCasesRequest {
            from_date: from,
            to_date: to,
            ..asked(true)
        };
        let status = ask(service, message).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{from:?} {to:?}");
    }
    assert_eq!(service.count("SELECT count(*) FROM portal_reconciliations").await, 0);
    let without = Running::start().await;
    let status = ask(&without, asked(true)).await.unwrap_err();
    assert_eq!(
        refusal(&status),
        (Code::FailedPrecondition, "ONE_STOP_NOT_CONFIGURED".to_owned())
    );
    let without = Running::unconnected().await;
    let status = ask(&without, asked(true)).await.unwrap_err();
    assert_eq!(
        refusal(&status),
        (Code::FailedPrecondition, "PARTNER_NOT_CONFIGURED".to_owned())
    );
    let message = proto::GetSynchronisationRequest { case_code: code(1) };
    let request = without.by("partner_operator", HERE, message);
    let status = without
        .synchronisations()
        .get_synchronisation(request)
        .await
        .unwrap_err();
    assert_eq!(
        refusal(&status),
        (Code::NotFound, "SYNCHRONISATION_NOT_FOUND".to_owned())
    );
}

/// The portal's second generation, from a day on.
pub(crate) fn second(mut connections: Connections, clock: &ManualClock, url: &str, from: &str) -> Connections {
    let config = LineConfig {
        address: url.to_owned(),
        hosts: vec!["127.0.0.1".to_owned()],
        timeout_ms: 300,
        dead_line_ms: 1_500,
        tries: 2,
        ..LineConfig::default()
    };
    let line = Line::open(Partner::NationalPortal, config, clock.shared(), SystemIds::shared()).unwrap();
    let account = RestAccount {
        client_id: CLIENT_ID.to_owned(),
        client_secret: CLIENT_SECRET.into(),
    };
    let partner: Arc<dyn NationalPortal> = Arc::new(RestPortal::new(line, account));
    let connection = Connection {
        partner,
        contract: "rest-sim-1".to_owned(),
    };
    connections.portal_second = Some((from.parse().unwrap(), connection));
    connections
}

#[tokio::test]
async fn from_its_day_on_the_second_generation_is_spoken_and_before_it_the_first() {
    let simulator = RestPortalSimulator::start(egov_testkit::clock().shared())
        .await
        .unwrap();
    let url = simulator.url();
    let stage = stage_with(|connections, clock| second(connections, clock, &url, "2026-11-24")).await;
    let service = &stage.service;
    let deliver = || {
        let connections = service
            .partners
            .connections(Arc::clone(&service.keyring), &service.clock);
        Deliverer::new(service.pool(), second(connections, &service.clock, &url, "2026-11-24"))
    };
    let tell = async |state, version| {
        let answer = service.submit(case_request(filed(1, state, version))).await.unwrap();
        answer.delivery.unwrap()
    };
    let first = tell(CaseState::Accepted, 2).await;
    deliver().round().await.unwrap();
    assert_eq!(
        (first.contract.as_str(), service.partners.portal.cases().len()),
        ("sim-1", 1)
    );
    assert!(simulator.dossiers().is_empty());
    service.clock.advance(SignedDuration::from_hours(24));
    // A case that the first generation was told of begins anew: with its dossier, and then its states.
    for fault in [Fault::HalfOpen, Fault::Silent, Fault::FailedAfter] {
        simulator.faults().script("ho-so/cap-nhat-trang-thai", fault);
    }
    let later = tell(CaseState::Processing, 3).await;
    tell(CaseState::Completed, 4).await;
    for _ in 0..12 {
        deliver().round().await.unwrap();
        service.clock.advance(SignedDuration::from_mins(16));
    }
    assert_eq!(later.contract, "rest-sim-1");
    assert_eq!(
        service.partners.portal.cases()[&code(1)].state,
        "2",
        "the first is told nothing more"
    );
    assert_eq!(simulator.states(&code(1)), ["4", "9"], "in their order, each once");
    assert_eq!(simulator.made(&code(1)), 1);
    let dossier = &simulator.dossiers()[&code(1)].dossier;
    assert_eq!(
        (dossier.receiving_agency.as_str(), dossier.submitter.owner_name.as_str()),
        ("H41.50.05.13", "Nguyễn Văn An")
    );
    let known = synchronisation(service, 1).await;
    assert!(known.synchronised && known.acknowledged_version == 4);
}

fn case_request(case: Case) -> proto::SynchroniseCaseRequest {
    proto::SynchroniseCaseRequest {
        request_id: new_id(),
        case: Some(case),
        ..proto::SynchroniseCaseRequest::default()
    }
}

#[tokio::test]
async fn what_the_second_generation_never_changes_is_found_and_not_promised_to_be_mended() {
    let simulator = RestPortalSimulator::start(egov_testkit::clock().shared())
        .await
        .unwrap();
    let url = simulator.url();
    let stage = stage_with(|connections, clock| second(connections, clock, &url, "2026-01-01")).await;
    let service = &stage.service;
    let connections = || {
        let connections = service
            .partners
            .connections(Arc::clone(&service.keyring), &service.clock);
        following(
            second(connections, &service.clock, &url, "2026-01-01"),
            &stage.address,
            vec![HERE],
        )
    };
    let deliver = async || {
        for _ in 0..3 {
            Deliverer::new(service.pool(), connections()).round().await.unwrap();
            service.clock.advance(SignedDuration::from_mins(16));
        }
    };
    let compare = async || {
        let mut connections = connections();
        connections.reconciling = ASKED;
        CaseReconciler::new(service.pool(), connections)
            .round()
            .await
            .unwrap()
            .unwrap()
    };
    for n in 1..=3 {
        stage.changed(&filed(n, CaseState::Processing, 2)).await;
        service
            .submit(case_request(filed(n, CaseState::Processing, 2)))
            .await
            .unwrap();
    }
    deliver().await;
    simulator.change(&code(1), |found| {
        "Trần Thị Khác".clone_into(&mut found.dossier.owner_name);
    });
    simulator.change(&code(2), |found| {
        "2".clone_into(&mut found.state.as_mut().unwrap().state);
    });
    let run = ask(service, asked(true)).await.unwrap();
    assert_eq!(compare().await.done, 1);
    let found = differences(service, &run.reconciliation_id).await;
    let seen: Vec<_> = found
        .iter()
        .map(|one| (one.case_code.clone(), one.kind(), one.state()))
        .collect();
    assert_eq!(
        seen,
        [
            (code(1), DifferenceKind::ContentDiffers, DifferenceState::Open),
            (code(2), DifferenceKind::StateDiffers, DifferenceState::Repairing),
        ]
    );
    let status = repair(service, "partner_operator", HERE, &repair_of(&found[0]))
        .await
        .unwrap_err();
    assert_eq!(refusal(&status).1, "DIFFERENCE_NOT_REPAIRABLE");
    deliver().await;
    assert_eq!(simulator.dossiers()[&code(2)].state.as_ref().unwrap().state, "4");
    let run = ask(service, asked(true)).await.unwrap();
    compare().await;
    let done = run_now(service, &run.reconciliation_id).await;
    assert_eq!((done.equal, done.differing, done.looked_for_unknown), (2, 1, true));
}

#[tokio::test]
async fn the_files_of_a_case_are_handed_over_with_its_dossier_and_what_lacks_there_is_found() {
    let simulator = RestPortalSimulator::start(egov_testkit::clock().shared())
        .await
        .unwrap();
    let url = simulator.url();
    let stage = stage_with(|connections, clock| second(connections, clock, &url, "2026-01-01")).await;
    let (service, one_stop) = (&stage.service, &stage.one_stop);
    let connections = || {
        let connections = service
            .partners
            .connections(Arc::clone(&service.keyring), &service.clock);
        let mut connections = following(
            second(connections, &service.clock, &url, "2026-01-01"),
            &stage.address,
            vec![HERE],
        );
        connections.delivering.most_file_bytes = 40;
        connections.reconciling = ASKED;
        connections
    };
    let deliver = async || {
        Deliverer::new(service.pool(), connections()).round().await.unwrap();
        service.clock.advance(SignedDuration::from_mins(16));
    };
    // Of the second case a file is not shown to the system, and one is too large; of the third only the unit's software speaks of files.
    let declaration = "%PDF-1.7 tờ khai, hai phần".as_bytes();
    let file = |n: u128| Uuid::from_u128(n).to_string();
    one_stop.keeps(&file(11), declaration);
    one_stop.keeps(&file(21), declaration);
    one_stop.keeps(&file(23), &[7; 41]);
    one_stop.keeps(&file(31), declaration);
    let filed_with = |n: u32, files: &[u128]| Case {
        components: vec![CaseComponent {
            component_code: "to-khai".to_owned(),
            file_ids: files.iter().map(|n| file(*n)).collect(),
            ..CaseComponent::default()
        }],
        ..filed(n, CaseState::Processing, 2)
    };
    for (n, files) in [(1, &[11][..]), (2, &[21, 22, 23][..])] {
        let case = filed_with(n, files);
        let named = files.iter().map(|n| NamedFile {
            file_id: file(*n),
            name: format!("{n}.pdf"),
        });
        let known = CaseParticulars {
            files: named.collect(),
            ..CaseParticulars::default()
        };
        one_stop.knows(&case, known);
        stage.changed(&case).await;
    }
    stage.round().await;
    one_stop.show(filed_with(3, &[31]));
    service.submit(case_request(filed_with(3, &[31]))).await.unwrap();
    // While one-stop is away a case with files waits, and one without is told; what the portal loses of an upload is uploaded again.
    one_stop.away(true);
    deliver().await;
    assert_eq!(simulator.dossiers().into_keys().collect::<Vec<_>>(), [code(3)]);
    one_stop.away(false);
    simulator.faults().script("tep-tin", Fault::FailedAfter);
    for _ in 0..3 {
        deliver().await;
    }
    assert_eq!(simulator.faults().left(), 0, "the upload was met");
    let attached = |n: u32| simulator.dossiers()[&code(n)].dossier.components[0].files.clone();
    let handed_over = |name: &str| AttachedFile {
        file_id: "tep-1".to_owned(),
        name: name.to_owned(),
        hash: sha256_hex(declaration),
        ..AttachedFile::default()
    };
    assert_eq!(attached(1), [handed_over("11.pdf")]);
    assert_eq!(attached(2), [handed_over("21.pdf")]);
    assert_eq!(attached(3), [], "whose file it is nobody knows here");
    assert_eq!(simulator.files(), 1, "the same content is one file");
    let read = one_stop.files_read();
    assert!(read.iter().all(|(_, purpose)| purpose == "portal_synchronisation"));
    for n in [11, 21, 22, 23] {
        assert!(read.iter().any(|(id, _)| *id == file(n)), "{n} was asked for");
    }
    assert!(read.iter().all(|(id, _)| *id != file(31)));
    assert!(
        read.iter().filter(|(id, _)| *id == file(11)).count() >= 4,
        "part by part"
    );
    // A case that is there goes on without its files being read again.
    let completed = Case {
        state: CaseState::Completed.into(),
        version: 3,
        ..filed_with(1, &[11])
    };
    stage.changed(&completed).await;
    stage.round().await;
    deliver().await;
    assert_eq!(simulator.states(&code(1)), ["4", "9"]);
    assert_eq!(one_stop.files_read(), []);
    let run = ask(service, asked(true)).await.unwrap();
    let reconciler = CaseReconciler::new(service.pool(), connections());
    reconciler.round().await.unwrap().unwrap();
    let found = differences(service, &run.reconciliation_id).await;
    let seen: Vec<_> = found
        .iter()
        .map(|one| (one.case_code.clone(), one.kind(), one.fields.clone()))
        .collect();
    assert_eq!(
        seen,
        [(code(2), DifferenceKind::ContentDiffers, vec!["TaiLieuNop".to_owned()])],
        "what lacks there is found, and no repair promises to mend it"
    );
    let refused = repair(service, "partner_operator", HERE, &repair_of(&found[0])).await;
    assert_eq!(refusal(&refused.unwrap_err()).1, "DIFFERENCE_NOT_REPAIRABLE");
}

/// Until the portal has met all faults that were written for it.
async fn let_faults_pass(service: &Running) {
    while service.partners.portal.faults().left() > 0 {
        let connections = service
            .partners
            .connections(Arc::clone(&service.keyring), &service.clock);
        let _ = connections.portal.unwrap().partner.find_case("x").await;
    }
}

async fn open_differences(service: &Running) -> Vec<(String, DifferenceState)> {
    let message = proto::ListDifferencesRequest {
        open: true,
        ..proto::ListDifferencesRequest::default()
    };
    let request = service.by("partner_operator", HERE, message);
    let answer = service.synchronisations().list_differences(request).await.unwrap();
    let mut all: Vec<_> = answer
        .into_inner()
        .differences
        .iter()
        .map(|one| (one.case_code.clone(), one.state()))
        .collect();
    all.sort();
    all
}

/// Cases that the portal was told of.
async fn told(stage: &Stage, cases: u32) {
    for n in 1..=cases {
        stage.changed(&filed(n, CaseState::Processing, 2)).await;
    }
    stage.round().await;
    stage.service.rounds().await;
}

#[tokio::test]
async fn a_repair_that_came_to_nothing_is_seen_and_repaired_again_or_settled() {
    let stage = stage().await;
    let (service, portal) = (&stage.service, &stage.service.partners.portal);
    told(&stage, 3).await;
    for n in 1..=3 {
        portal.lose(&code(n));
    }
    let run = ask(service, asked(true)).await.unwrap();
    compare(&stage).await;
    assert!(open_differences(service).await.is_empty(), "all are being repaired");
    for _ in 0..80 {
        portal.faults().script("TraCuuHoSo", Fault::Failed);
    }
    service.rounds().await;
    let failed = DifferenceState::RepairFailed;
    let found = differences(service, &run.reconciliation_id).await;
    assert!(
        found
            .iter()
            .all(|one| one.state() == failed && !one.delivery_id.is_empty())
    );
    assert_eq!(
        open_differences(service).await,
        [1, 2, 3].map(|n| (code(n), failed)),
        "somebody has to look at them"
    );
    let_faults_pass(service).await;
    // One is repaired again, one is settled by hand, and of one the next version is told.
    let again = repair(service, "partner_operator", HERE, &repair_of(&found[0]))
        .await
        .unwrap();
    assert_eq!(again.state(), DifferenceState::Repairing);
    assert_ne!(again.delivery_id, found[0].delivery_id);
    let message = proto::SettleDifferenceRequest {
        request_id: new_id(),
        difference_id: found[1].difference_id.clone(),
        etag: found[1].etag.clone(),
        reason: "Cổng đã nhập lại bằng tay".to_owned(),
    };
    let request = service.by("partner_operator", HERE, message);
    let settled = service.synchronisations().settle_difference(request).await.unwrap();
    let settled = settled.into_inner().difference.unwrap();
    assert_eq!(
        (settled.state(), settled.delivery_id.as_str()),
        (DifferenceState::Settled, "")
    );
    stage.changed(&filed(3, CaseState::Completed, 3)).await;
    stage.round().await;
    assert!(open_differences(service).await.is_empty(), "the third is on its way");
    service.rounds().await;
    let states: Vec<_> = differences(service, &run.reconciliation_id)
        .await
        .iter()
        .map(PortalDifference::state)
        .collect();
    let repaired = DifferenceState::Repaired;
    assert_eq!(states, [repaired, DifferenceState::Settled, repaired]);
    let there = portal.cases();
    assert_eq!(
        (there[&code(1)].state.as_str(), there[&code(3)].state.as_str()),
        ("4", "9")
    );
    let status = repair(service, "partner_operator", HERE, &repair_of(&again))
        .await
        .unwrap_err();
    assert_eq!(
        refusal(&status).1,
        "DIFFERENCE_CLOSED",
        "a repair that went through is not done twice"
    );
}

#[tokio::test]
async fn a_case_that_the_portal_does_not_have_is_not_called_synchronised() {
    let stage = stage().await;
    let (service, portal) = (&stage.service, &stage.service.partners.portal);
    told(&stage, 2).await;
    assert!(synchronisation(service, 1).await.synchronised);
    portal.lose(&code(1));
    portal.change(&code(2), |case| "2".clone_into(&mut case.state));
    let run = ask(service, asked(false)).await.unwrap();
    compare(&stage).await;
    for n in [1, 2] {
        let known = synchronisation(service, n).await;
        assert!(
            !known.synchronised && known.acknowledged_time.is_none(),
            "{n}: {known:?}"
        );
        assert_eq!((known.told_version, known.acknowledged_version), (2, 0));
    }
    let mut seen = waiting(service).await;
    seen.sort();
    assert_eq!(seen, [code(1), code(2)]);
    let found = differences(service, &run.reconciliation_id).await;
    repair(service, "partner_operator", HERE, &repair_of(&found[0]))
        .await
        .unwrap();
    let known = synchronisation(service, 1).await;
    assert!(!known.synchronised, "not before the portal has said so");
    assert_eq!(known.waiting_state(), DeliveryState::Queued);
    service.rounds().await;
    let known = synchronisation(service, 1).await;
    assert!(known.synchronised && known.acknowledged_version == 2);
    assert_eq!(waiting(service).await, [code(2)]);
}

#[tokio::test]
async fn a_one_stop_that_was_restored_is_no_case_that_waits_and_the_portal_is_told_what_it_shows_now() {
    let stage = stage().await;
    let (service, portal) = (&stage.service, &stage.service.partners.portal);
    for n in [1, 2] {
        stage.changed(&filed(n, CaseState::Completed, 5)).await;
    }
    stage.round().await;
    service.rounds().await;
    // Of one case the later versions are gone; of the other nothing is.
    stage.one_stop.show(filed(1, CaseState::Processing, 3));
    let run = ask(service, asked(false)).await.unwrap();
    compare(&stage).await;
    let done = run_now(service, &run.reconciliation_id).await;
    assert_eq!((done.compared, done.equal, done.waiting, done.differing), (2, 1, 0, 1));
    let found = differences(service, &run.reconciliation_id).await;
    assert_eq!(
        (found[0].kind(), found[0].ours.as_str(), found[0].theirs.as_str()),
        (DifferenceKind::StateDiffers, "4", "9")
    );
    assert!(!synchronisation(service, 1).await.synchronised);
    let repaired = repair(service, "partner_operator", HERE, &repair_of(&found[0]))
        .await
        .unwrap();
    assert_eq!(repaired.state(), DifferenceState::Repairing);
    // What is on its way waits, as ever.
    let run = ask(service, asked(true)).await.unwrap();
    compare(&stage).await;
    let done = run_now(service, &run.reconciliation_id).await;
    assert_eq!((done.equal, done.waiting, done.differing), (1, 1, 0));
    service.rounds().await;
    assert_eq!(portal.cases()[&code(1)].state, "4");
    let known = synchronisation(service, 1).await;
    assert!(known.synchronised);
    assert_eq!((known.told_version, known.acknowledged_version), (3, 3));
    // Its versions count on from there, also over those that were told once.
    for (state, version) in [(CaseState::SupplementRequested, 4), (CaseState::Completed, 5)] {
        let told = service.submit(case_request(filed(1, state, version))).await.unwrap();
        assert_eq!(told.delivery.unwrap().state(), DeliveryState::Queued);
        service.rounds().await;
    }
    assert_eq!(portal.cases()[&code(1)].state, "9");
    assert!(synchronisation(service, 1).await.synchronised);
    let refused = service.submit(case_request(filed(1, CaseState::Accepted, 1))).await;
    assert_eq!(refusal(&refused.unwrap_err()).1, "CASE_VERSION_SUPERSEDED");
}

#[tokio::test]
async fn one_case_of_which_nothing_can_be_read_holds_up_no_other() {
    let stage = stage().await;
    let (service, portal) = (&stage.service, &stage.service.partners.portal);
    told(&stage, 3).await;
    portal.garble(&code(2), true);
    portal.change(&code(3), |case| "2".clone_into(&mut case.state));
    let run = ask(service, asked(false)).await.unwrap();
    for _ in 0..2 {
        assert_eq!(compare(&stage).await.put_off, 1, "perhaps it can be read later");
        service.clock.advance(SignedDuration::from_mins(11));
    }
    assert_eq!(compare(&stage).await.done, 1);
    let done = run_now(service, &run.reconciliation_id).await;
    assert_eq!(
        (done.compared, done.equal, done.differing, done.not_comparable),
        (2, 1, 1, 1)
    );
    assert!(done.looked_for_unknown);
    // Where nothing at all can be read, nobody says that all is well.
    for n in [1, 3] {
        portal.garble(&code(n), true);
    }
    let run = ask(service, asked(false)).await.unwrap();
    for _ in 0..12 {
        assert_eq!(compare(&stage).await.put_off, 1);
        service.clock.advance(SignedDuration::from_mins(11));
    }
    let failed = run_now(service, &run.reconciliation_id).await;
    assert_eq!(
        (failed.state(), failed.problem.as_str()),
        (ReconciliationState::Failed, "unreadable")
    );
}

#[tokio::test]
async fn whatever_the_portal_lists_is_looked_at_and_kept_as_short_as_a_code() {
    let stage = stage().await;
    let (service, portal) = (&stage.service, &stage.service.partners.portal);
    let listed = [
        format!("{AGENCY}-261123-\u{0}\n0666"),
        format!("{AGENCY}-261123-{}", "9".repeat(300)),
        format!("{AGENCY}-261123-'; --"),
    ];
    for case_code in &listed {
        portal.invent(CaseItem {
            case_code: case_code.clone(),
            state: "một trạng thái rất dài và không có mã".to_owned(),
            ..CaseItem::default()
        });
    }
    let run = ask(service, asked(true)).await.unwrap();
    assert_eq!(compare(&stage).await.done, 1);
    let found = differences(service, &run.reconciliation_id).await;
    assert_eq!(found.len(), 3);
    for one in &found {
        assert_eq!(one.kind(), DifferenceKind::UnknownHere);
        assert!(one.case_code.chars().count() <= 60 && !one.case_code.contains(char::is_control));
        assert!(one.theirs.chars().count() <= 20);
    }
    assert!(found.iter().any(|one| one.case_code == format!("{AGENCY}-261123-0666")));
}

#[tokio::test]
async fn what_became_of_an_old_case_without_our_hearing_of_it_is_found_within_a_week() {
    let stage = stage().await;
    let (service, portal) = (&stage.service, &stage.service.partners.portal);
    told(&stage, 1).await;
    service.clock.advance(SignedDuration::from_hours(24 * 20));
    // It is finished, and no event says so.
    stage.one_stop.show(filed(1, CaseState::Completed, 3));
    let found = "SELECT count(*) FROM portal_differences WHERE kind = 2 AND state = 2";
    for day in 1..=7 {
        let round = reconciler(&stage, DAILY).round().await.unwrap().unwrap();
        assert_eq!((round.queued, round.done), (1, 1), "day {day}");
        service.rounds().await;
        service.clock.advance(SignedDuration::from_hours(24));
    }
    assert_eq!(service.count(found).await, 1);
    assert_eq!(portal.cases()[&code(1)].state, "9");
    assert!(synchronisation(service, 1).await.synchronised);
}

#[tokio::test]
async fn days_that_nobody_compared_are_made_up_for() {
    let stage = stage().await;
    let service = &stage.service;
    told(&stage, 1).await;
    service.clock.advance(SignedDuration::from_hours(24));
    assert_eq!(reconciler(&stage, DAILY).round().await.unwrap().unwrap().done, 1);
    // For ten days nobody compares, and one case of these is never told.
    service.clock.advance(SignedDuration::from_hours(24 * 10));
    stage.one_stop.show(Case {
        submit_time: Some(egov_proto::timestamp("2026-11-27T01:00:00Z".parse().unwrap())),
        ..filed(2, CaseState::Accepted, 1)
    });
    assert_eq!(reconciler(&stage, DAILY).round().await.unwrap().unwrap().done, 1);
    let made_up = "SELECT count(*) FROM portal_reconciliations WHERE daily AND from_date = '2026-11-24' AND to_date = '2026-12-03'";
    assert_eq!(service.count(made_up).await, 1);
    service.rounds().await;
    assert_eq!(service.partners.portal.cases()[&code(2)].state, "2");
    // Of a period long ago one-stop lists what was filed in it, and nothing that was filed since; one of before lists all.
    for (is_old, listed) in [(false, vec![code(1)]), (true, vec![code(2), code(1)])] {
        stage.one_stop.is_old(is_old);
        stage.one_stop.listed();
        let run = ask(service, asked(false)).await.unwrap();
        compare(&stage).await;
        assert_eq!(stage.one_stop.listed(), listed);
        let done = run_now(service, &run.reconciliation_id).await;
        assert_eq!((done.compared, done.equal, done.differing), (1, 1, 0));
    }
}

/// What a superuser may do who knows how to switch the triggers off.
async fn by_force(service: &Running, sql: &str) {
    let mut superuser = service.database.connect_as_superuser().await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!(
        "SET session_replication_role = replica; {sql}"
    )))
    .execute(&mut superuser)
    .await
    .unwrap();
}

#[tokio::test]
async fn a_reconciliation_whose_process_is_gone_each_time_is_given_up() {
    let stage = stage().await;
    let service = &stage.service;
    let run = ask(service, asked(false)).await.unwrap();
    by_force(service, "UPDATE portal_reconciliations SET attempts = 12").await;
    let round = compare(&stage).await;
    assert_eq!((round.done, round.put_off), (0, 1));
    let lost = run_now(service, &run.reconciliation_id).await;
    assert_eq!(
        (lost.state(), lost.problem.as_str()),
        (ReconciliationState::Failed, "lost")
    );
    assert_eq!(compare(&stage).await, Reconciled::default());
}

#[tokio::test]
async fn what_was_told_while_it_was_compared_is_no_difference() {
    let stage = stage().await;
    let service = &stage.service;
    told(&stage, 1).await;
    service.partners.portal.lose(&code(1));
    // The portal acknowledges it after it was looked up there.
    by_force(
        service,
        "UPDATE deliveries SET update_time = update_time + interval '1 day'",
    )
    .await;
    let run = ask(service, asked(true)).await.unwrap();
    compare(&stage).await;
    let done = run_now(service, &run.reconciliation_id).await;
    assert_eq!((done.compared, done.waiting, done.differing), (1, 1, 0));
    service.clock.advance(SignedDuration::from_hours(25));
    let message = proto::ReconcileCasesRequest {
        to_date: Some(Date { day: 24, ..TODAY }),
        ..asked(false)
    };
    let run = ask(service, message).await.unwrap();
    compare(&stage).await;
    assert_eq!(run_now(service, &run.reconciliation_id).await.differing, 1);
}

/// What the verification says of reconciliations, differences and deliveries, each in one sentence.
pub(crate) async fn findings(service: &Running) -> Vec<String> {
    let mut report = LogReport::default();
    let rebuilt = rebuild_leaves(service.pool()).await.unwrap();
    for kind in kinds(service.pool()).await.unwrap() {
        verify_kind(service.pool(), &kind, &rebuilt, without_row(&kind), &mut report)
            .await
            .unwrap();
    }
    let mut all: Vec<String> = report.findings.iter().map(|one| one.detail.clone()).collect();
    all.extend(rows_unlike_history(service.pool()).await.unwrap());
    // The agencies of the tests have no history.
    let ours = ["portal_", "register_", "delivery "];
    all.retain(|one| ours.iter().any(|begin| one.starts_with(begin)));
    all
}

#[tokio::test]
async fn every_edited_or_deleted_row_of_a_reconciliation_is_named_by_the_verification() {
    let stage = stage().await;
    let service = &stage.service;
    told(&stage, 2).await;
    for n in [1, 2] {
        service.partners.portal.lose(&code(n));
    }
    stage.one_stop.away(true);
    let run = ask(service, asked(false)).await.unwrap();
    compare(&stage).await;
    stage.one_stop.away(false);
    service.clock.advance(SignedDuration::from_mins(11));
    compare(&stage).await;
    let found = differences(service, &run.reconciliation_id).await;
    repair(service, "partner_operator", HERE, &repair_of(&found[0]))
        .await
        .unwrap();
    service.rounds().await;
    assert_eq!(findings(service).await, Vec::<String>::new(), "nothing was touched");
    let report = "SELECT count(*) FROM egov.leaves WHERE kind IN ('portal_reconciliation_change', 'portal_difference')";
    assert_eq!(
        service.count(report).await,
        8,
        "five changes of the run, and three of differences"
    );
    let edits = [
        (
            "UPDATE portal_reconciliations SET differing = differing - 1",
            "UPDATE portal_reconciliations SET differing = differing + 1",
        ),
        (
            "UPDATE portal_reconciliations SET actor = actor || 'x'",
            "UPDATE portal_reconciliations SET actor = left(actor, -1)",
        ),
        (
            "UPDATE portal_reconciliation_history SET document = document || ' ' WHERE version = 2",
            "UPDATE portal_reconciliation_history SET document = left(document, -1) WHERE version = 2",
        ),
        (
            "UPDATE portal_differences SET theirs = theirs || 'x'",
            "UPDATE portal_differences SET theirs = left(theirs, -1)",
        ),
        (
            "UPDATE portal_differences SET reason = reason || 'x'",
            "UPDATE portal_differences SET reason = left(reason, -1)",
        ),
        (
            "UPDATE portal_difference_history SET actor = actor || 'x' WHERE version = 1",
            "UPDATE portal_difference_history SET actor = left(actor, -1) WHERE version = 1",
        ),
        (
            "UPDATE deliveries SET reference = reference || 'x'",
            "UPDATE deliveries SET reference = left(reference, -1)",
        ),
        (
            "UPDATE deliveries SET attempts = attempts + 1",
            "UPDATE deliveries SET attempts = attempts - 1",
        ),
        (
            "UPDATE delivery_history SET problem = problem || 'x'",
            "UPDATE delivery_history SET problem = left(problem, -1)",
        ),
        (
            "UPDATE delivery_history SET actor = actor || 'x'",
            "UPDATE delivery_history SET actor = left(actor, -1)",
        ),
    ];
    for (edit, undo) in edits {
        by_force(service, edit).await;
        assert!(!findings(service).await.is_empty(), "{edit}");
        by_force(service, undo).await;
        assert_eq!(findings(service).await, Vec::<String>::new(), "{undo}");
    }
    // A difference that somebody wants never to have been found, a reconciliation that never was, and a delivery.
    for delete in [
        "DELETE FROM portal_difference_history; DELETE FROM portal_differences",
        "DELETE FROM portal_reconciliation_history; DELETE FROM portal_reconciliations",
        "DELETE FROM delivery_history WHERE version = 1",
        "DELETE FROM deliveries",
    ] {
        let before = findings(service).await.len();
        by_force(service, delete).await;
        assert!(findings(service).await.len() > before, "{delete}");
    }
}
