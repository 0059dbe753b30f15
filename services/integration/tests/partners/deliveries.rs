//! What becomes of deliveries that do not go through, and of what is left half done.

use std::sync::Arc;

use egov_clock::SystemIds;
use egov_integration::Deliverer;
use egov_integration::partners::Connections;
use egov_partners::Partner;
use egov_partners::breaker::BreakerConfig;
use egov_partners::line::{Line, LineConfig};
use egov_partners::payment::{PaymentAccount, SimPaymentPlatform};
use egov_partners::portal::{OpenCpsPortal, PortalAccount};
use egov_proto::egov::integration::v1::{DeliveryState, ListDeliveriesRequest};
use egov_proto::egov::onestop::v1::CaseState;
use egov_simulators::{Fault, Faults, NOTICE_SECRET, PASSWORD, SECRET, USERNAME};
use jiff::SignedDuration;
use tonic::Code;

use crate::support::{HERE, Running, case, case_with_code, connections, order, refusal, registration};

/// A line to a partner that leaves it alone by these rules.
fn line(service: &Running, partner: Partner, address: String, breaker: BreakerConfig) -> Line {
    let config = LineConfig {
        address,
        hosts: vec!["127.0.0.1".to_owned()],
        breaker,
        ..LineConfig::default()
    };
    Line::open(partner, config, service.clock.shared(), SystemIds::shared()).unwrap()
}

/// Connections that know this password of the portal's, and leave it alone by these rules.
fn to_portal(service: &Running, password: &str, breaker: BreakerConfig) -> Connections {
    let line = line(service, Partner::NationalPortal, service.partners.portal.url(), breaker);
    let account = PortalAccount {
        username: USERNAME.to_owned(),
        password: password.into(),
    };
    let mut connections = service
        .partners
        .connections(Arc::clone(&service.keyring), &service.clock);
    connections.portal.as_mut().unwrap().partner = Arc::new(OpenCpsPortal::new(line, account));
    connections
}

/// The job as it waits three days for whoever is away; at these addresses, or where the partners are.
fn patient(service: &Running, urls: Option<&[String; 4]>) -> Deliverer {
    let keyring = Arc::clone(&service.keyring);
    let mut connections = match urls {
        Some(urls) => connections(urls, keyring, &service.clock),
        None => service.partners.connections(keyring, &service.clock),
    };
    connections.delivering.wait_for_partner_hours = 72;
    Deliverer::new(service.pool(), connections)
}

/// So many rounds, each after so long that everything open is due.
async fn rounds(service: &Running, deliverer: &Deliverer, count: usize) {
    for _ in 0..count {
        deliverer.round().await.unwrap();
        service.clock.advance(SignedDuration::from_mins(16));
    }
}

/// Until a partner has met all faults that were written for it.
async fn let_pass(faults: &Faults, url: &str) {
    while faults.left() > 0 {
        reqwest::Client::new()
            .get(format!("{url}reconciliation/1"))
            .send()
            .await
            .unwrap();
    }
}

/// The deliveries of an order to pay and of an entry for the civil-status register.
async fn an_order_and_an_entry(service: &Running) -> [String; 2] {
    let ordered = service.order(order()).await.unwrap();
    let request = service.by("partner_caller", HERE, registration());
    let answer = service.civil_status().submit_registration(request).await.unwrap();
    [ordered.delivery_id, answer.into_inner().delivery.unwrap().delivery_id]
}

#[tokio::test]
async fn whoever_is_away_for_hours_is_waited_for_whichever_partner_it_is() {
    let service = Running::start().await;
    let (payment, civil_status) = (&service.partners.payment, &service.partners.civil_status);
    let waiting = an_order_and_an_entry(&service).await;
    let nowhere = ["http://127.0.0.1:1/"; 4].map(str::to_owned);
    rounds(&service, &patient(&service, Some(&nowhere)), 20).await;
    for id in &waiting {
        let now = service.delivery(id).await;
        assert_eq!(
            (now.state(), now.problem.as_str()),
            (DeliveryState::Queued, "no_connection"),
            "{}",
            now.partner
        );
    }
    // For hours more somebody in front of them says that they are not there.
    for _ in 0..60 {
        payment.faults().script("*", Fault::Failed);
        civil_status.faults().script("*", Fault::Failed);
    }
    rounds(&service, &patient(&service, None), 20).await;
    for id in &waiting {
        let now = service.delivery(id).await;
        assert_eq!(
            (now.state(), now.problem.as_str()),
            (DeliveryState::OutcomeUnknown, "partner_failed"),
            "{}",
            now.partner
        );
    }
    for kind in ["delivery_failed", "delivery_dead"] {
        assert_eq!(service.events(kind).await.len(), 0, "{kind}");
    }
    let_pass(payment.faults(), &payment.url()).await;
    let_pass(civil_status.faults(), &civil_status.url()).await;
    service.rounds().await;
    for id in &waiting {
        assert_eq!(service.delivery(id).await.state(), DeliveryState::Acknowledged);
    }
    assert_eq!((payment.made(), civil_status.numbers_used()), (1, 1));
}

#[tokio::test]
async fn who_fails_whenever_something_is_sent_is_waited_for_until_the_time_is_over_and_after_a_redrive_anew() {
    let service = Running::start().await;
    let payment = &service.partners.payment;
    let deliverer = patient(&service, None);
    for _ in 0..15 {
        payment.faults().script("create", Fault::Failed);
    }
    let first = service.order(order()).await.unwrap();
    rounds(&service, &deliverer, 15).await;
    assert_eq!(payment.faults().left(), 0, "it was sent fifteen times");
    assert_eq!(
        service.delivery(&first.delivery_id).await.state(),
        DeliveryState::OutcomeUnknown
    );
    rounds(&service, &deliverer, 1).await;
    assert_eq!(
        service.delivery(&first.delivery_id).await.state(),
        DeliveryState::Acknowledged
    );
    assert_eq!(payment.made(), 1);
    // After three days it is given up.
    for _ in 0..60 {
        payment.faults().script("create", Fault::Failed);
    }
    let second = service.order(order()).await.unwrap();
    rounds(&service, &deliverer, 1).await;
    service.clock.advance(SignedDuration::from_hours(73));
    rounds(&service, &deliverer, 6).await;
    let dead = service.delivery(&second.delivery_id).await;
    assert_eq!((dead.state(), dead.attempts), (DeliveryState::Dead, 6));
    assert_eq!(service.events("delivery_dead").await.len(), 1);
    // Whoever sends it again has it waited for anew.
    service.redrive(&dead).await.unwrap();
    rounds(&service, &deliverer, 12).await;
    let waiting = service.delivery(&second.delivery_id).await;
    assert_eq!(
        (waiting.state(), waiting.problem.as_str()),
        (DeliveryState::OutcomeUnknown, "partner_failed")
    );
    assert_eq!(payment.made(), 1);
}

#[tokio::test]
async fn while_a_platform_is_left_alone_what_waits_for_it_is_not_touched() {
    let service = Running::start().await;
    let payment = &service.partners.payment;
    let breaker = BreakerConfig {
        failures: 1,
        pause_ms: 60_000,
    };
    let account = PaymentAccount {
        secret: SECRET.into(),
        notice_secret: NOTICE_SECRET.into(),
    };
    let line = line(&service, Partner::PaymentPlatform, payment.url(), breaker);
    let mut connections = service
        .partners
        .connections(Arc::clone(&service.keyring), &service.clock);
    connections.payment.as_mut().unwrap().partner = Arc::new(SimPaymentPlatform::new(line, account));
    let deliverer = Deliverer::new(service.pool(), connections);
    payment.faults().script("create", Fault::Failed);
    let made = service.order(order()).await.unwrap();
    deliverer.round().await.unwrap();
    let failed = service.delivery(&made.delivery_id).await;
    assert_eq!(
        (failed.state(), failed.problem.as_str()),
        (DeliveryState::OutcomeUnknown, "partner_failed")
    );
    for _ in 0..5 {
        service.clock.advance(SignedDuration::from_secs(10));
        assert_eq!(deliverer.round().await.unwrap().unwrap().tried, 0);
    }
    assert_eq!(
        service.delivery(&made.delivery_id).await,
        failed,
        "no try, and no entry that says nothing"
    );
    service.clock.advance(SignedDuration::from_secs(11));
    assert_eq!(deliverer.round().await.unwrap().unwrap().acknowledged, 1);
    assert_eq!(payment.made(), 1);
}

#[tokio::test]
async fn a_partner_that_is_away_for_long_leaves_a_dead_delivery_that_is_redriven() {
    let service = Running::start().await;
    for _ in 0..30 {
        service.partners.payment.faults().script("*", Fault::Failed);
    }
    let made = service.order(order()).await.unwrap();
    service.rounds().await;
    let request = service.by(
        "partner_operator",
        HERE,
        ListDeliveriesRequest {
            state: DeliveryState::Dead.into(),
            ..ListDeliveriesRequest::default()
        },
    );
    let dead = service
        .portal()
        .list_deliveries(request)
        .await
        .unwrap()
        .into_inner()
        .deliveries;
    assert_eq!(
        (dead.len(), dead[0].problem.as_str(), dead[0].attempts),
        (1, "partner_failed", 6)
    );
    assert_eq!(service.events("delivery_dead").await.len(), 1);
    let_pass(service.partners.payment.faults(), &service.partners.payment.url()).await;
    let redriven = service.redrive(&dead[0]).await.unwrap();
    assert_eq!(redriven.state(), DeliveryState::OutcomeUnknown, "it is asked first");
    let status = service.redrive(&dead[0]).await.unwrap_err();
    assert_eq!(refusal(&status), (Code::Aborted, "STALE_ETAG".to_owned()));
    service.rounds().await;
    let now = service.delivery(&made.delivery_id).await;
    assert_eq!(now.state(), DeliveryState::Acknowledged);
    assert_eq!(service.partners.payment.made(), 1);
    let status = service.redrive(&now).await.unwrap_err();
    assert_eq!(
        refusal(&status),
        (Code::FailedPrecondition, "DELIVERY_NOT_REDRIVABLE".to_owned())
    );
}

#[tokio::test]
async fn a_doubt_that_nobody_settles_is_said_and_never_acted_upon() {
    let service = Running::start().await;
    service.partners.payment.faults().script("create", Fault::Silent);
    for _ in 0..30 {
        service.partners.payment.faults().script("find", Fault::WrongSignature);
    }
    let made = service.order(order()).await.unwrap();
    service.rounds().await;
    let delivery = service.delivery(&made.delivery_id).await;
    assert_eq!(
        (delivery.state(), delivery.problem.as_str()),
        (DeliveryState::Dead, "bad_signature")
    );
    assert_eq!(
        service.partners.payment.made(),
        1,
        "nothing was sent again while it was not known"
    );
}

#[tokio::test]
async fn a_question_before_sending_that_fails_leaves_nothing_in_doubt() {
    let service = Running::start().await;
    let faults = service.partners.portal.faults();
    faults.script("TraCuuHoSo", Fault::HangUp);
    faults.script("TraCuuHoSo", Fault::HangUp);
    let delivery = service
        .submit(case(CaseState::Processing, 1))
        .await
        .unwrap()
        .delivery
        .unwrap();
    service.round().await;
    let now = service.delivery(&delivery.delivery_id).await;
    assert_eq!(
        (now.state(), now.problem.as_str()),
        (DeliveryState::Queued, "no_connection")
    );
    service.rounds().await;
    assert_eq!(
        service.delivery(&delivery.delivery_id).await.state(),
        DeliveryState::Acknowledged
    );
}

#[tokio::test]
async fn a_refusal_is_final_and_told_with_the_partners_code() {
    let service = Running::start().await;
    // A birth without the child's name.
    let mut message = registration();
    message.fields[0].name = "nksNoiSinh".to_owned();
    let request = service.by("partner_caller", HERE, message);
    let answer = service.civil_status().submit_registration(request).await.unwrap();
    let id = answer.into_inner().delivery.unwrap().delivery_id;
    service.rounds().await;
    let refused = service.delivery(&id).await;
    assert_eq!(
        (refused.state(), refused.problem.as_str()),
        (DeliveryState::Failed, "refused")
    );
    assert_eq!((refused.partner_code.as_str(), refused.attempts), ("refused", 1));
    assert_eq!(service.events("delivery_failed").await.len(), 1);
}

#[tokio::test]
async fn a_portal_that_lets_nobody_in_fails_no_delivery_for_good() {
    let service = Running::start().await;
    let mut connections = to_portal(&service, "of last year", BreakerConfig::default());
    connections.delivering.wait_for_partner_hours = 72;
    let barred = Deliverer::new(service.pool(), connections);
    let mut waiting = Vec::new();
    for n in 1..=3 {
        let told = case_with_code(&format!("H41.50.05.13-261126-{n:04}"), CaseState::Accepted, 1);
        let delivery = service.submit(told).await.unwrap().delivery.unwrap();
        waiting.push(delivery.delivery_id);
    }
    for _ in 0..20 {
        barred.round().await.unwrap();
        service.clock.advance(SignedDuration::from_mins(16));
    }
    for id in &waiting {
        let now = service.delivery(id).await;
        assert_eq!(
            (now.state(), now.problem.as_str(), now.partner_code.as_str()),
            (DeliveryState::Queued, "refused_before", "03"),
            "the password is wrong, and not the case"
        );
    }
    let sign_ins = service.partners.portal.sign_ins();
    assert!(sign_ins <= 20, "{sign_ins} times, for all that waits together");
    for kind in ["delivery_failed", "delivery_dead"] {
        assert_eq!(service.events(kind).await.len(), 0, "{kind}");
    }
    // Somebody sets the password right.
    service.rounds().await;
    for id in &waiting {
        assert_eq!(service.delivery(id).await.state(), DeliveryState::Acknowledged);
    }
}

#[tokio::test]
async fn while_a_portal_is_left_alone_what_waits_for_it_is_not_touched() {
    let service = Running::start().await;
    let breaker = BreakerConfig {
        failures: 1,
        pause_ms: 60_000,
    };
    let deliverer = Deliverer::new(service.pool(), to_portal(&service, PASSWORD, breaker));
    service.partners.portal.faults().script("TraCuuHoSo", Fault::Failed);
    let told = service.submit(case(CaseState::Accepted, 1)).await.unwrap();
    let id = told.delivery.unwrap().delivery_id;
    deliverer.round().await.unwrap();
    let failed = service.delivery(&id).await;
    assert_eq!(failed.state(), DeliveryState::Queued);
    for _ in 0..5 {
        service.clock.advance(SignedDuration::from_secs(10));
        assert_eq!(deliverer.round().await.unwrap().unwrap().tried, 0);
    }
    assert_eq!(
        service.delivery(&id).await,
        failed,
        "no try, and no entry that says nothing"
    );
    service.clock.advance(SignedDuration::from_secs(11));
    assert_eq!(deliverer.round().await.unwrap().unwrap().acknowledged, 1);
}

#[tokio::test]
async fn an_older_word_about_a_case_is_not_redriven_after_a_newer_one() {
    let service = Running::start().await;
    for _ in 0..30 {
        service.partners.portal.faults().script("*", Fault::Failed);
    }
    let first = service
        .submit(case(CaseState::Accepted, 1))
        .await
        .unwrap()
        .delivery
        .unwrap();
    service.rounds().await;
    let dead = service.delivery(&first.delivery_id).await;
    assert_eq!(dead.state(), DeliveryState::Dead);
    service.submit(case(CaseState::Processing, 2)).await.unwrap();
    let status = service.redrive(&dead).await.unwrap_err();
    assert_eq!(
        refusal(&status),
        (Code::FailedPrecondition, "DELIVERY_SUPERSEDED".to_owned())
    );
}

#[tokio::test]
async fn a_round_given_up_at_any_instant_leaves_one_effect() {
    let each = [0_u64, 1, 2, 3, 5, 8, 12, 20, 40, 80].map(|millis| async move {
        let service = Running::start().await;
        service.partners.payment.faults().script("create", Fault::Delay(10));
        let made = service.order(order()).await.unwrap();
        let deliverer = service.deliverer();
        let given_up = tokio::time::timeout(std::time::Duration::from_millis(millis), deliverer.round()).await;
        drop(given_up);
        let mut connection = service.database.connect_as_superuser().await.unwrap();
        // Whoever held the lease is gone.
        sqlx::query("DELETE FROM egov.leases")
            .execute(&mut connection)
            .await
            .unwrap();
        // On a busy machine a call may be over before it has arrived: it is made again, later.
        for _ in 0..5 {
            service.clock.advance(SignedDuration::from_mins(3));
            service.rounds().await;
            if service.delivery(&made.delivery_id).await.state() == DeliveryState::Acknowledged {
                break;
            }
        }
        assert_eq!(service.partners.payment.made(), 1, "given up after {millis} ms");
        let delivery = service.delivery(&made.delivery_id).await;
        assert_eq!(
            delivery.state(),
            DeliveryState::Acknowledged,
            "given up after {millis} ms"
        );
    });
    futures::future::join_all(each).await;
}

#[tokio::test]
async fn a_partner_that_is_silent_holds_up_nobody_else() {
    let service = Running::start().await;
    for _ in 0..3 {
        service.partners.payment.faults().script("create", Fault::Silent);
        service.order(order()).await.unwrap();
    }
    service.submit(case(CaseState::Accepted, 1)).await.unwrap();
    let deliverer = service.deliverer();
    let told = async {
        while service.partners.portal.cases().is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::select! {
        round = deliverer.round() => panic!("the platform is silent three times: {round:?}"),
        () = told => {}
    }
}

#[tokio::test]
async fn what_was_handed_in_is_kept_sealed() {
    let service = Running::start().await;
    service.submit(case(CaseState::Accepted, 1)).await.unwrap();
    let plain = "SELECT count(*) FROM deliveries WHERE encode(message, 'escape') LIKE '%040099000001%'
                 OR deliveries::text LIKE '%040099000001%'";
    assert_eq!(service.count(plain).await, 0);
    let told = service.events("delivery_queued").await;
    assert!(told.len() == 1 && !told[0].to_string().contains("040099000001"));
}

#[tokio::test]
async fn every_table_of_the_service_is_behind_its_wall() {
    let service = Running::start().await;
    assert_eq!(service.count("SELECT count(*) FROM egov.unprotected_tables()").await, 0);
}
