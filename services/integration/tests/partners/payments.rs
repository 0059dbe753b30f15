//! The payment platform.

use egov_proto::egov::integration::v1::{
    Delivery, DeliveryState, ListDeliveriesRequest, ListSettledPaymentsRequest, ListSettledPaymentsResponse,
    PaymentOrder, PaymentState, RefundPaymentOrderRequest,
};
use egov_simulators::{Fault, NoticeFault};
use jiff::SignedDuration;
use tonic::Code;

use crate::support::{HERE, NEIGHBOUR, Running, new_id, order, refusal};

async fn notify(service: &Running, order: &PaymentOrder, fault: NoticeFault) -> Vec<u16> {
    use egov_clock::Clock as _;
    let url = format!("{}/v1/integration/payment-notices", service.address);
    let platform = &service.partners.payment;
    platform
        .notify(&url, &order.order_code, fault, service.clock.now())
        .await
        .unwrap()
}

#[tokio::test]
async fn an_order_is_made_at_the_platform_paid_and_settled_by_its_call_back() {
    let service = Running::start().await;
    let made = service.order(order()).await.unwrap();
    assert_eq!(made.state(), PaymentState::Ordered);
    service.round().await;
    let pending = service.order_now(&made.order_id).await;
    assert_eq!(pending.state(), PaymentState::Pending);
    assert!(pending.pay_url.contains(&made.order_code));
    service.partners.payment.pay(&made.order_code).unwrap();
    assert_eq!(notify(&service, &made, NoticeFault::None).await, [200]);
    let paid = service.order_now(&made.order_id).await;
    assert_eq!(
        (paid.state(), paid.transaction),
        (PaymentState::Paid, format!("T{}", made.order_code))
    );
    assert_eq!(service.events("payment_settled").await.len(), 1);
    let leaves = "SELECT count(*) FROM egov.leaves WHERE kind = 'payment_order'";
    assert_eq!(service.count(leaves).await, 3, "ordered, pending, paid");
}

#[tokio::test]
async fn the_same_order_twice_and_two_at_once_is_one_order() {
    let service = Running::start().await;
    let message = order();
    let (first, second) = tokio::join!(service.order(message.clone()), service.order(message.clone()));
    assert_eq!(first.unwrap(), second.unwrap());
    service.order(message.clone()).await.unwrap();
    let deliverers = [service.deliverer(), service.deliverer(), service.deliverer()];
    let rounds = futures::future::join_all(deliverers.iter().map(egov_integration::Deliverer::round)).await;
    assert!(rounds.iter().any(|round| matches!(round, Ok(Some(_)))));
    service.rounds().await;
    assert_eq!(service.partners.payment.made(), 1);
    let mut other = message;
    other.amount_vnd = 1;
    let status = service.order(other).await.unwrap_err();
    assert_eq!(refusal(&status), (Code::AlreadyExists, "REQUEST_ID_REUSED".to_owned()));
}

#[tokio::test]
async fn call_backs_that_are_repeated_or_come_in_the_wrong_order_settle_once() {
    for fault in [NoticeFault::Duplicate, NoticeFault::Reorder] {
        let service = Running::start().await;
        let made = service.order(order()).await.unwrap();
        service.round().await;
        service.partners.payment.pay(&made.order_code).unwrap();
        let statuses = notify(&service, &made, fault).await;
        assert!(statuses.iter().all(|status| *status == 200), "{fault:?}: {statuses:?}");
        assert_eq!(
            service.order_now(&made.order_id).await.state(),
            PaymentState::Paid,
            "{fault:?}"
        );
        assert_eq!(service.events("payment_settled").await.len(), 1, "{fault:?}");
        assert_eq!(
            service
                .count("SELECT count(*) FROM payment_notices WHERE had_effect")
                .await,
            1,
            "{fault:?}"
        );
    }
}

#[tokio::test]
async fn a_call_back_that_is_signed_wrongly_late_or_for_another_amount_has_no_effect() {
    for (fault, status) in [
        (NoticeFault::WrongSignature, 401),
        (NoticeFault::Stale, 401),
        (NoticeFault::WrongAmount, 422),
    ] {
        let service = Running::start().await;
        let made = service.order(order()).await.unwrap();
        service.round().await;
        service.partners.payment.pay(&made.order_code).unwrap();
        assert_eq!(notify(&service, &made, fault).await, [status], "{fault:?}");
        assert_eq!(
            service.order_now(&made.order_id).await.state(),
            PaymentState::Pending,
            "{fault:?}"
        );
    }
}

#[tokio::test]
async fn a_call_back_too_large_or_about_an_order_of_somebody_else_is_refused() {
    let service = Running::start().await;
    let url = format!("{}/v1/integration/payment-notices", service.address);
    let large = reqwest::Client::new()
        .post(&url)
        .body(vec![b'x'; 17 * 1024])
        .send()
        .await
        .unwrap();
    assert_eq!(large.status(), 413);
    let other = Running::start().await;
    let made = other.order(order()).await.unwrap();
    other.round().await;
    assert_eq!(notify_at(&other, &service, &made).await, [404]);
}

/// The platform of one installation calls back at another.
async fn notify_at(from: &Running, to: &Running, order: &PaymentOrder) -> Vec<u16> {
    use egov_clock::Clock as _;
    let url = format!("{}/v1/integration/payment-notices", to.address);
    let platform = &from.partners.payment;
    platform
        .notify(&url, &order.order_code, NoticeFault::None, to.clock.now())
        .await
        .unwrap()
}

#[tokio::test]
async fn a_payment_whose_call_back_was_lost_is_settled_by_asking() {
    let service = Running::start().await;
    let made = service.order(order()).await.unwrap();
    service.round().await;
    service.partners.payment.pay(&made.order_code).unwrap();
    assert_eq!(service.round().await.payments_asked, 0, "not yet");
    service.clock.advance(SignedDuration::from_mins(6));
    assert_eq!(service.round().await.payments_asked, 1);
    assert_eq!(service.order_now(&made.order_id).await.state(), PaymentState::Paid);
    // The call-back comes after all.
    assert_eq!(notify(&service, &made, NoticeFault::None).await, [200]);
    assert_eq!(service.events("payment_settled").await.len(), 1);
}

#[tokio::test]
async fn a_call_back_that_overtakes_our_own_answer_is_kept() {
    let service = Running::start().await;
    service.partners.payment.faults().script("create", Fault::Silent);
    let made = service.order(order()).await.unwrap();
    service.round().await;
    assert_eq!(service.order_now(&made.order_id).await.state(), PaymentState::Ordered);
    service.partners.payment.pay(&made.order_code).unwrap();
    assert_eq!(notify(&service, &made, NoticeFault::None).await, [200]);
    service.rounds().await;
    let settled = service.order_now(&made.order_id).await;
    assert_eq!(settled.state(), PaymentState::Paid);
    assert!(!settled.pay_url.is_empty());
    assert_eq!(service.partners.payment.made(), 1);
    assert_eq!(
        service.delivery(&made.delivery_id).await.state(),
        DeliveryState::Acknowledged
    );
}

#[tokio::test]
async fn every_fault_of_the_platform_ends_in_one_order() {
    let service = Running::start().await;
    for (before, fault) in (0_u32..).zip(Fault::ALL) {
        service.partners.payment.faults().script("create", fault);
        let made = service.order(order()).await.unwrap();
        service.rounds().await;
        if matches!(fault, Fault::Late(_)) {
            tokio::time::sleep(std::time::Duration::from_millis(350)).await;
        }
        assert_eq!(service.partners.payment.made(), before + 1, "{fault:?}");
        let delivery = service.delivery(&made.delivery_id).await;
        assert_eq!(delivery.state(), DeliveryState::Acknowledged, "{fault:?}");
        assert_eq!(
            service.order_now(&made.order_id).await.state(),
            PaymentState::Pending,
            "{fault:?}"
        );
    }
}

#[tokio::test]
async fn a_payment_has_the_time_at_which_the_platform_settled_it_whenever_it_is_heard_of() {
    let service = Running::start().await;
    let made = service.order(order()).await.unwrap();
    service.round().await;
    assert_eq!(service.order_now(&made.order_id).await.settle_time, None);
    // Two seconds before midnight in Việt Nam; the call-back comes after it.
    let day = jiff::civil::date(2026, 11, 23);
    let said_at: jiff::Timestamp = "2026-11-23T16:59:58.123456789Z".parse().unwrap();
    // As it is stored.
    let paid_at: jiff::Timestamp = "2026-11-23T16:59:58.123456Z".parse().unwrap();
    service.clock.set(paid_at + SignedDuration::from_secs(5));
    service.partners.payment.pay_at(&made.order_code, said_at).unwrap();
    assert_eq!(notify(&service, &made, NoticeFault::None).await, [200]);
    let paid = service.order_now(&made.order_id).await;
    assert_eq!(paid.settle_time, Some(egov_proto::timestamp(paid_at)));
    assert!(paid.update_time.as_ref().unwrap().seconds >= paid_at.as_second() + 5);
    let listed = settled(&service, HERE, day).await.payments;
    let said_at = Some(egov_proto::timestamp(said_at));
    assert_eq!((listed.len(), &listed[0].settle_time), (1, &said_at));
    // So has what goes back.
    let back_at = paid_at + SignedDuration::from_hours(30);
    service.clock.set(back_at);
    refund(&service, &paid, &new_id()).await.unwrap();
    service.round().await;
    let back = service.order_now(&made.order_id).await;
    assert_eq!(
        (back.state(), back.settle_time, back.refund_time),
        (
            PaymentState::Refunded,
            Some(egov_proto::timestamp(paid_at)),
            Some(egov_proto::timestamp(back_at))
        )
    );
}

#[tokio::test]
async fn what_the_platform_refuses_is_not_repeated_and_may_be_asked_for_anew() {
    let service = Running::start().await;
    let platform = &service.partners.payment;
    platform.refuse("create", "limit", "vượt hạn mức giao dịch");
    let request = order();
    let made = service.order(request.clone()).await.unwrap();
    service.rounds().await;
    let refused = service.delivery(&made.delivery_id).await;
    let said = |delivery: &Delivery| {
        (
            delivery.state(),
            delivery.problem.clone(),
            delivery.partner_code.clone(),
        )
    };
    let refused_as = |code: &str| (DeliveryState::Failed, "refused".to_owned(), code.to_owned());
    assert_eq!(said(&refused), refused_as("limit"));
    // Neither time nor the same request sends it again.
    service.order(request).await.unwrap();
    service.clock.advance(SignedDuration::from_hours(24));
    service.rounds().await;
    assert_eq!((platform.asked("create"), platform.made()), (1, 0));
    assert_eq!(service.delivery(&made.delivery_id).await, refused);
    assert_eq!(service.order_now(&made.order_id).await.state(), PaymentState::Ordered);
    // Another request is another order.
    let paid = paid(&service).await;
    assert_eq!((paid.state(), platform.made()), (PaymentState::Paid, 1));

    platform.refuse("refund", "account_closed", "tài khoản thụ hưởng đã đóng");
    refund(&service, &paid, &new_id()).await.unwrap();
    service.rounds().await;
    let refused = refund_delivery(&service, &paid).await;
    assert_eq!(said(&refused), refused_as("account_closed"));
    service.clock.advance(SignedDuration::from_hours(24));
    service.rounds().await;
    assert_eq!((platform.asked("refund"), platform.refunded()), (1, 0));
    assert_eq!(
        service.order_now(&paid.order_id).await.state(),
        PaymentState::Paid,
        "the money is there"
    );
    assert_eq!(service.events("delivery_failed").await.len(), 2);
    refund(&service, &paid, &new_id()).await.unwrap();
    service.rounds().await;
    assert_eq!(service.order_now(&paid.order_id).await.state(), PaymentState::Refunded);
    assert_eq!((platform.asked("refund"), platform.refunded()), (2, 1));
}

/// An order that is paid.
async fn paid(service: &Running) -> PaymentOrder {
    let made = service.order(order()).await.unwrap();
    service.round().await;
    service.partners.payment.pay(&made.order_code).unwrap();
    assert_eq!(notify(service, &made, NoticeFault::None).await, [200]);
    service.order_now(&made.order_id).await
}

async fn refund(service: &Running, order: &PaymentOrder, request_id: &str) -> Result<PaymentOrder, tonic::Status> {
    let message = RefundPaymentOrderRequest {
        request_id: request_id.to_owned(),
        order_id: order.order_id.clone(),
    };
    let request = service.by("partner_caller", HERE, message);
    let answer = service.payments().refund_payment_order(request).await?;
    Ok(answer.into_inner().order.unwrap())
}

#[tokio::test]
async fn a_paid_order_is_given_back_once_whoever_asks_how_often() {
    let service = Running::start().await;
    let unpaid = service.order(order()).await.unwrap();
    let status = refund(&service, &unpaid, &new_id()).await.unwrap_err();
    assert_eq!(
        refusal(&status),
        (Code::FailedPrecondition, "PAYMENT_NOT_REFUNDABLE".to_owned())
    );
    let paid = paid(&service).await;
    let request_id = new_id();
    let (first, second) = tokio::join!(
        refund(&service, &paid, &request_id),
        refund(&service, &paid, &request_id)
    );
    assert_eq!(first.unwrap(), second.unwrap());
    let status = refund(&service, &paid, &new_id()).await.unwrap_err();
    assert_eq!(
        refusal(&status),
        (Code::FailedPrecondition, "PAYMENT_REFUND_ORDERED".to_owned())
    );
    service.rounds().await;
    assert_eq!(service.order_now(&paid.order_id).await.state(), PaymentState::Refunded);
    assert_eq!(service.partners.payment.refunded(), 1);
    assert_eq!(service.events("payment_refunded").await.len(), 1);
    let other = service.by(
        "partner_caller",
        NEIGHBOUR,
        RefundPaymentOrderRequest {
            request_id: new_id(),
            order_id: paid.order_id.clone(),
        },
    );
    let status = service.payments().refund_payment_order(other).await.unwrap_err();
    assert_eq!(refusal(&status), (Code::NotFound, "PAYMENT_ORDER_NOT_FOUND".to_owned()));
    let reader = service.by(
        "partner_operator",
        HERE,
        RefundPaymentOrderRequest {
            request_id: new_id(),
            order_id: paid.order_id.clone(),
        },
    );
    let status = service.payments().refund_payment_order(reader).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
}

#[tokio::test]
async fn whatever_becomes_of_the_call_the_money_goes_back_once() {
    for fault in [
        Fault::Silent,
        Fault::Duplicate,
        Fault::HalfOpen,
        Fault::HangUp,
        Fault::Malformed,
        Fault::WrongSignature,
        Fault::WrongRecord,
        Fault::Failed,
        Fault::FailedAfter,
    ] {
        let service = Running::start().await;
        let paid = paid(&service).await;
        service.partners.payment.faults().script("refund", fault);
        refund(&service, &paid, &new_id()).await.unwrap();
        for _ in 0..6 {
            service.round().await;
            service.clock.advance(SignedDuration::from_mins(3));
        }
        assert_eq!(service.partners.payment.faults().left(), 0, "{fault:?}");
        assert_eq!(
            service.order_now(&paid.order_id).await.state(),
            PaymentState::Refunded,
            "{fault:?}"
        );
        assert_eq!(service.partners.payment.refunded(), 1, "{fault:?}");
    }
}

#[tokio::test]
async fn a_refund_that_was_given_up_is_tried_again_when_it_is_ordered_again_and_the_money_goes_back_once() {
    // The platform did nothing, or did it and nobody knows.
    for fault in [Fault::Failed, Fault::FailedAfter] {
        let service = Running::start().await;
        let paid = paid(&service).await;
        let faults = service.partners.payment.faults();
        faults.script("refund", fault);
        for _ in 0..10 {
            faults.script("refunds", Fault::Failed);
        }
        let first = new_id();
        refund(&service, &paid, &first).await.unwrap();
        service.rounds().await;
        assert_eq!(faults.left(), 0, "{fault:?}");
        let message = ListDeliveriesRequest {
            state: DeliveryState::Dead.into(),
            ..ListDeliveriesRequest::default()
        };
        let request = service.by("partner_operator", HERE, message);
        let listed = service.portal().list_deliveries(request).await.unwrap();
        let dead = listed.into_inner().deliveries;
        assert_eq!((dead.len(), dead[0].act.as_str()), (1, "refund_order"), "{fault:?}");
        // The request that ordered it has its answer, and does nothing more.
        refund(&service, &paid, &first).await.unwrap();
        assert_eq!(service.delivery(&dead[0].delivery_id).await, dead[0], "{fault:?}");
        let (one, other) = (new_id(), new_id());
        let (left, right) = tokio::join!(refund(&service, &paid, &one), refund(&service, &paid, &other));
        let refused = match (left, right) {
            (Ok(_), Err(refused)) | (Err(refused), Ok(_)) => refused,
            both => panic!("one of two: {both:?}"),
        };
        assert_eq!(
            refusal(&refused),
            (Code::FailedPrecondition, "PAYMENT_REFUND_ORDERED".to_owned())
        );
        let again = service.delivery(&dead[0].delivery_id).await;
        assert_eq!(
            (again.state(), again.attempts),
            (DeliveryState::OutcomeUnknown, 0),
            "the platform is asked first"
        );
        service.rounds().await;
        assert_eq!(service.order_now(&paid.order_id).await.state(), PaymentState::Refunded);
        assert_eq!(service.partners.payment.refunded(), 1, "{fault:?}");
        assert_eq!(service.events("delivery_redriven").await.len(), 1);
        let deliveries = "SELECT count(*) FROM deliveries WHERE act = 'refund_order'";
        assert_eq!(service.count(deliveries).await, 1);
        let status = refund(&service, &paid, &new_id()).await.unwrap_err();
        assert_eq!(
            refusal(&status),
            (Code::FailedPrecondition, "PAYMENT_NOT_REFUNDABLE".to_owned())
        );
    }
}

/// So many rounds, some hours between them; how many deliveries were tried in them.
async fn rounds_of_hours(service: &Running, count: usize) -> usize {
    let mut tried = 0;
    for _ in 0..count {
        service.clock.advance(SignedDuration::from_hours(4));
        tried += service.round().await.tried;
    }
    tried
}

/// The delivery of the refund of an order.
async fn refund_delivery(service: &Running, order: &PaymentOrder) -> Delivery {
    let request = service.by("partner_operator", HERE, ListDeliveriesRequest::default());
    let listed = service.portal().list_deliveries(request).await.unwrap();
    let mut all = listed.into_inner().deliveries.into_iter();
    all.find(|one| one.act == "refund_order" && one.partner_key == order.order_code)
        .unwrap()
}

#[tokio::test]
async fn a_refund_that_is_taken_is_waited_for_a_week_and_asked_about_again_when_it_is_ordered_again() {
    let service = Running::start().await;
    let platform = &service.partners.payment;
    platform.refund_later();
    let (made, forgotten) = (paid(&service).await, paid(&service).await);
    refund(&service, &made, &new_id()).await.unwrap();
    service.rounds().await;
    // For five days it is taken and not made, and for more than a day of them no question is answered.
    let tried = rounds_of_hours(&service, 10).await;
    for _ in 0..16 {
        platform.faults().script("refunds", Fault::Failed);
    }
    let tried = tried + rounds_of_hours(&service, 20).await;
    assert_eq!(platform.faults().left(), 0);
    assert!((12..=30).contains(&tried), "far more often than it is sent: {tried}");
    let waiting = refund_delivery(&service, &made).await;
    assert_eq!(
        (waiting.state(), waiting.problem.as_str()),
        (DeliveryState::OutcomeUnknown, "taken")
    );
    assert!(waiting.attempts < 6, "{waiting:?}");
    assert_eq!(service.order_now(&made.order_id).await.state(), PaymentState::Paid);
    platform.make_refunds();
    rounds_of_hours(&service, 3).await;
    assert_eq!(service.order_now(&made.order_id).await.state(), PaymentState::Refunded);
    assert_eq!(
        refund_delivery(&service, &made).await.state(),
        DeliveryState::Acknowledged
    );
    assert_eq!(
        (platform.refunded(), service.events("delivery_dead").await.len()),
        (1, 0)
    );
    // One that is never made is given up after a week, and says why.
    refund(&service, &forgotten, &new_id()).await.unwrap();
    rounds_of_hours(&service, 41).await;
    assert_eq!(
        refund_delivery(&service, &forgotten).await.state(),
        DeliveryState::OutcomeUnknown
    );
    let status = refund(&service, &forgotten, &new_id()).await.unwrap_err();
    assert_eq!(refusal(&status).1, "PAYMENT_REFUND_ORDERED");
    rounds_of_hours(&service, 3).await;
    let dead = refund_delivery(&service, &forgotten).await;
    assert_eq!(
        (dead.state(), dead.problem.as_str()),
        (DeliveryState::Dead, "taken_not_done")
    );
    assert_eq!(service.events("delivery_dead").await.len(), 1);
    // Ordered again it is asked about, not made again; and waited for anew.
    refund(&service, &forgotten, &new_id()).await.unwrap();
    service.round().await;
    let again = refund_delivery(&service, &forgotten).await;
    assert_eq!(
        (again.state(), again.problem.as_str()),
        (DeliveryState::OutcomeUnknown, "taken")
    );
    platform.make_refunds();
    service.rounds().await;
    assert_eq!(
        service.order_now(&forgotten.order_id).await.state(),
        PaymentState::Refunded
    );
    assert_eq!(platform.refunded(), 2);
}

#[tokio::test]
async fn the_list_of_a_day_shows_the_own_units_orders_and_what_nobody_made() {
    let service = Running::start().await;
    let made = service.order(order()).await.unwrap();
    service.round().await;
    let day = jiff::civil::date(2026, 11, 23);
    service.partners.payment.pay_on(&made.order_code, day).unwrap();
    let own = settled(&service, HERE, day).await;
    assert_eq!((own.payments.len(), own.unknown.len()), (1, 0));
    assert_eq!(
        (own.payments[0].state(), own.payments[0].refund_time),
        (PaymentState::Paid, None)
    );
    assert_eq!(
        (own.payments[0].order_code.as_str(), own.payments[0].unit_id),
        (made.order_code.as_str(), HERE)
    );
    let neighbours = settled(&service, NEIGHBOUR, day).await;
    assert_eq!((neighbours.payments.len(), neighbours.unknown.len()), (0, 0));
    let later = day.tomorrow().unwrap();
    assert!(settled(&service, HERE, later).await.payments.is_empty());
    // What the platform gave back by itself is in the list of the day on which it was paid, and of the one on which it went back, as such.
    service.clock.advance(SignedDuration::from_hours(24));
    service.partners.payment.refund(&made.order_code).unwrap();
    for day in [day, later] {
        let listed = settled(&service, HERE, day).await.payments;
        assert_eq!((listed.len(), listed[0].state()), (1, PaymentState::Refunded), "{day}");
        assert!(listed[0].settle_time.is_some() && listed[0].refund_time.is_some());
    }
}

async fn settled(service: &Running, unit: i32, day: jiff::civil::Date) -> ListSettledPaymentsResponse {
    let message = ListSettledPaymentsRequest { day: Some(day.into()) };
    let request = service.by("partner_caller", unit, message);
    let listed = service.payments().list_settled_payments(request).await;
    listed.unwrap().into_inner()
}
