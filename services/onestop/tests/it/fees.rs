//! Phí, lệ phí: assessed, exempted, asked for, paid online and at the counter, given back; the platform away, late, twice.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use egov_clock::{Clock as _, Ids as _, SystemIds};
use egov_fault::{Code as FaultCode, Fault};
use egov_onestop::domain::charge::{Order, OrderState};
use egov_onestop::payments::{PaymentOrders, Settled, SettledOrder};
use egov_proto::egov::onestop::v1 as proto;
use egov_proto::egov::onestop::v1::{CaseState, ChargeState, PaymentState};
use egov_testkit::ManualClock;
use jiff::SignedDuration;
use jiff::civil::Date;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::generated::verified;
use crate::support::*;

/// What goes wrong with the next call of integration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// It is done, and the answer is lost.
    AnswerLost,
    /// Nothing is done.
    Away,
    /// It is refused.
    Refused,
}

#[derive(Default)]
struct Orders {
    /// By integration's id.
    made: BTreeMap<Uuid, (Order, i32, String)>,
    /// Which request made which order.
    requests: BTreeMap<Uuid, Uuid>,
    refund_requests: Vec<Uuid>,
    trouble: VecDeque<Trouble>,
    clock: Option<ManualClock>,
    unknown: Vec<SettledOrder>,
}

/// Integration as one-stop sees it: orders are made once for a request id, and are paid when the test says so.
#[derive(Clone, Default)]
pub(crate) struct Platform(Arc<Mutex<Orders>>);

impl Platform {
    pub(crate) async fn stack() -> (Stack, Self) {
        let platform = Self::default();
        let stack = Stack::with_payments(Arc::new(platform.clone())).await;
        platform.0.lock().unwrap().clock = Some(stack.clock.clone());
        (stack, platform)
    }

    pub(crate) fn trouble(&self, trouble: &[Trouble]) {
        self.0.lock().unwrap().trouble.extend(trouble);
    }

    pub(crate) fn made(&self) -> usize {
        self.0.lock().unwrap().made.len()
    }

    pub(crate) fn unknown(&self, order_code: &str, amount_vnd: i64) {
        self.0.lock().unwrap().unknown.push(SettledOrder {
            order_code: order_code.to_owned(),
            case_code: String::new(),
            unit_id: 0,
            amount_vnd,
        });
    }

    fn refunds(&self) -> usize {
        self.0.lock().unwrap().refund_requests.len()
    }

    /// Sets every order of a case to a state, as a call-back would.
    pub(crate) fn set(&self, case_code: &str, state: OrderState) {
        let mut orders = self.0.lock().unwrap();
        let now = orders.clock.as_ref().unwrap().now();
        for (order, _, code) in orders.made.values_mut() {
            if code == case_code {
                order.state = state;
                order.update_time = now;
                if state == OrderState::Paid {
                    order.transaction = format!("T-{}", order.order_code);
                }
            }
        }
    }

    /// Does something, unless trouble is next; what is lost is done all the same.
    fn call<T>(&self, does: impl FnOnce(&mut Orders) -> Result<T, Fault>) -> Result<T, Fault> {
        let mut orders = self.0.lock().unwrap();
        let away = || Fault::new(FaultCode::Unavailable, "PARTNER_UNAVAILABLE", "chưa gửi được", "away");
        match orders.trouble.pop_front() {
            None => does(&mut orders),
            Some(Trouble::AnswerLost) => {
                does(&mut orders)?;
                Err(away())
            }
            Some(Trouble::Away) => Err(away()),
            Some(Trouble::Refused) => Err(Fault::new(
                FaultCode::FailedPrecondition,
                "AGENCY_CODE_NOT_OF_UNIT",
                "bị từ chối",
                "refused",
            )),
        }
    }
}

fn gone() -> Fault {
    Fault::new(FaultCode::NotFound, "PAYMENT_ORDER_NOT_FOUND", "không có", "none")
}

#[async_trait]
impl PaymentOrders for Platform {
    fn is_connected(&self) -> bool {
        true
    }

    async fn create(&self, request_id: Uuid, unit_id: i32, case_code: &str, amount_vnd: i64) -> Result<Order, Fault> {
        self.call(|orders| {
            if let Some(known) = orders.requests.get(&request_id) {
                return Ok(orders.made[known].0.clone());
            }
            let order_id = SystemIds::shared().uuid();
            let order = Order {
                order_id,
                order_code: order_id.to_string(),
                amount_vnd,
                state: OrderState::Ordered,
                pay_url: String::new(),
                transaction: String::new(),
                update_time: orders.clock.as_ref().unwrap().now(),
            };
            orders.requests.insert(request_id, order_id);
            // The answer says that it was ordered; a moment later the platform has it.
            let pending = Order {
                state: OrderState::Pending,
                pay_url: format!("https://pay.example/{order_id}"),
                ..order.clone()
            };
            orders.made.insert(order_id, (pending, unit_id, case_code.to_owned()));
            Ok(order)
        })
    }

    async fn get(&self, order_id: Uuid) -> Result<Order, Fault> {
        self.call(|orders| Ok(orders.made.get(&order_id).ok_or_else(gone)?.0.clone()))
    }

    async fn refund(&self, request_id: Uuid, order_id: Uuid) -> Result<Order, Fault> {
        self.call(|orders| {
            if !orders.refund_requests.contains(&request_id) {
                orders.refund_requests.push(request_id);
            }
            let now = orders.clock.as_ref().unwrap().now();
            let (order, ..) = orders.made.get_mut(&order_id).ok_or_else(gone)?;
            let before = order.clone();
            order.state = OrderState::Refunded;
            order.update_time = now;
            Ok(before)
        })
    }

    async fn settled(&self, _day: Date) -> Result<Settled, Fault> {
        let orders = self.0.lock().unwrap();
        let settled = orders
            .made
            .values()
            .filter(|(order, ..)| matches!(order.state, OrderState::Paid | OrderState::Refunded));
        Ok(Settled {
            orders: settled
                .map(|(order, unit_id, case_code)| SettledOrder {
                    order_code: order.order_code.clone(),
                    case_code: case_code.clone(),
                    unit_id: *unit_id,
                    amount_vnd: order.amount_vnd,
                })
                .collect(),
            unknown: orders.unknown.clone(),
        })
    }
}

/// A case in state 4 that owes 8,000 đồng for each copy.
pub(crate) async fn owing(stack: &Stack) -> proto::Case {
    let request = proto::SubmitCaseRequest {
        conditions: vec!["yeu_cau_ban_sao".to_owned()],
        ..birth_registration()
    };
    let submitted = stack.portal(citizen()).cases.submit_case(request).await.unwrap();
    let submitted = submitted.into_inner().case.unwrap();
    let accepted = accept(stack, &submitted).await.case.unwrap();
    assign(stack, &accepted).await
}

pub(crate) async fn charge(client: &Client, case: &proto::Case) -> Result<proto::CaseCharge, Status> {
    let request = proto::GetChargeRequest {
        case_id: case.case_id.clone(),
    };
    let answer = client.clone().fees.get_charge(request).await?;
    Ok(answer.into_inner().charge.unwrap())
}

async fn quantities(client: &Client, charge: &proto::CaseCharge, quantity: i32) -> Result<proto::CaseCharge, Status> {
    let request = proto::SetFeeQuantitiesRequest {
        request_id: request_id(),
        case_id: charge.case_id.clone(),
        etag: charge.etag.clone(),
        quantities: vec![proto::FeeQuantity { number: 1, quantity }],
    };
    let answer = client.clone().fees.set_fee_quantities(request).await?;
    Ok(answer.into_inner().charge.unwrap())
}

fn payment_request(charge: &proto::CaseCharge) -> proto::RequestPaymentRequest {
    proto::RequestPaymentRequest {
        request_id: request_id(),
        case_id: charge.case_id.clone(),
        etag: charge.etag.clone(),
    }
}

pub(crate) async fn ask_for_payment(client: &Client, charge: &proto::CaseCharge) -> Result<proto::CaseCharge, Status> {
    let answer = client.clone().fees.request_payment(payment_request(charge)).await?;
    Ok(answer.into_inner().charge.unwrap())
}

pub(crate) async fn cash(
    client: &Client,
    charge: &proto::CaseCharge,
    receipt: &str,
    amount_vnd: i64,
) -> Result<proto::CaseCharge, Status> {
    let request = proto::RecordCashPaymentRequest {
        request_id: request_id(),
        case_id: charge.case_id.clone(),
        etag: charge.etag.clone(),
        receipt_number: receipt.to_owned(),
        amount_vnd,
    };
    let answer = client.clone().fees.record_cash_payment(request).await?;
    Ok(answer.into_inner().charge.unwrap())
}

fn refund_request(charge: &proto::CaseCharge, payment: usize) -> proto::DecideRefundRequest {
    proto::DecideRefundRequest {
        request_id: request_id(),
        case_id: charge.case_id.clone(),
        etag: charge.etag.clone(),
        payment_id: charge.payments[payment].payment_id.clone(),
        reason: "công dân rút hồ sơ".to_owned(),
        decision_number: "12/QĐ-UBND".to_owned(),
    }
}

async fn refund(client: &Client, charge: &proto::CaseCharge, payment: usize) -> Result<proto::CaseCharge, Status> {
    let answer = client
        .clone()
        .fees
        .decide_refund(refund_request(charge, payment))
        .await?;
    Ok(answer.into_inner().charge.unwrap())
}

/// Lets time pass until the charge of the case is as wanted.
pub(crate) async fn until(
    stack: &Stack,
    case: &proto::Case,
    wanted: impl Fn(&proto::CaseCharge) -> bool,
) -> proto::CaseCharge {
    for _ in 0..100 {
        let now = charge(&stack.staff("officer", TRUONG_VINH), case).await.unwrap();
        if wanted(&now) {
            return now;
        }
        stack.advance(SignedDuration::from_secs(20)).await;
        tokio::time::sleep(std::time::Duration::from_millis(150)).await;
    }
    let last = charge(&stack.staff("officer", TRUONG_VINH), case).await.unwrap();
    panic!("the charge does not become as wanted: {last:?}");
}

fn is_pending(charge: &proto::CaseCharge) -> bool {
    charge
        .payments
        .last()
        .is_some_and(|payment| payment.state() == PaymentState::Pending)
}

/// How many events of a kind there are.
async fn events(stack: &Stack, kind: &str) -> i64 {
    let mut superuser = stack.database.connect_as_superuser().await.unwrap();
    sqlx::query_scalar(
        "SELECT (SELECT count(*) FROM egov.outbox WHERE kind = $1) + (SELECT count(*) FROM egov.event_log WHERE kind = $1)",
    )
        .bind(kind)
        .fetch_one(&mut superuser)
        .await
        .unwrap()
}

/// Demands that the verification finds nothing.
pub(crate) async fn whole(stack: &Stack) {
    let found = verified(stack).await;
    assert!(found.is_whole(), "{found:?}");
}

async fn state_of(stack: &Stack, case: &proto::Case) -> proto::Case {
    get(&stack.staff("officer", TRUONG_VINH), &case.case_id).await.unwrap()
}

#[tokio::test]
async fn a_case_owes_what_its_version_says_times_how_many_and_its_applicant_sees_it() {
    let (stack, _) = Platform::stack().await;
    let case = owing(&stack).await;
    let clerk = stack.staff("one_stop_clerk", TRUONG_VINH);
    let first = charge(&clerk, &case).await.unwrap();
    assert_eq!(first.state(), ChargeState::Unpaid);
    assert_eq!((first.fees.len(), first.fees[0].per.as_str()), (1, "bản"));
    assert_eq!(first.owed.as_ref().unwrap().units, 8_000);
    let three = quantities(&clerk, &first, 3).await.unwrap();
    assert_eq!(
        (three.owed.as_ref().unwrap().units, three.fees[0].quantity),
        (24_000, 3)
    );
    let status = quantities(&clerk, &first, 2).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status)),
        (Code::Aborted, "STALE_ETAG".to_owned())
    );
    let own = charge(&stack.portal(citizen()), &case).await.unwrap();
    assert_eq!(own.owed.unwrap().units, 24_000);
    for client in [stack.portal(Uuid::from_u128(0xC7)), stack.staff("officer", THANH_VINH)] {
        assert_eq!(charge(&client, &case).await.unwrap_err().code(), Code::NotFound);
    }
    let neighbour = stack.staff("officer", THANH_VINH);
    assert_eq!(
        quantities(&neighbour, &three, 1).await.unwrap_err().code(),
        Code::NotFound
    );
    let status = quantities(&stack.portal(citizen()), &three, 1).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    whole(&stack).await;
}

#[tokio::test]
async fn an_exemption_is_an_officers_with_reason_and_basis_and_what_is_waived_is_not_asked_for() {
    let (stack, platform) = Platform::stack().await;
    let case = owing(&stack).await;
    let officer = stack.staff("officer", TRUONG_VINH);
    let first = charge(&officer, &case).await.unwrap();
    let evidence_file_id = upload(&officer, PDF).await;
    let exempt = |reduced_to_vnd: i64, number: i32| proto::ExemptFeeRequest {
        request_id: request_id(),
        case_id: case.case_id.clone(),
        etag: first.etag.clone(),
        number,
        reduced_to_vnd,
        reason: "hộ nghèo".to_owned(),
        legal_basis: "nghị quyết của HĐND tỉnh".to_owned(),
        evidence_file_id: evidence_file_id.clone(),
    };
    let mut clerk = stack.staff("one_stop_clerk", TRUONG_VINH).fees;
    let status = clerk.exempt_fee(exempt(0, 1)).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    let mut fees = officer.clone().fees;
    let status = fees.exempt_fee(exempt(8_001, 1)).await.unwrap_err();
    assert_eq!(egov_fault::fault_of(&status).violations()[0].field, "reduced_to_vnd");
    let status = fees.exempt_fee(exempt(0, 2)).await.unwrap_err();
    assert_eq!(reason(&status), "FEE_UNKNOWN");
    let request = exempt(0, 1);
    let exempted = fees
        .exempt_fee(request.clone())
        .await
        .unwrap()
        .into_inner()
        .charge
        .unwrap();
    assert_eq!(exempted.state(), ChargeState::Free);
    assert_eq!(
        exempted.fees[0].exemption.as_ref().unwrap().evidence_file_id,
        evidence_file_id
    );
    let again = fees.exempt_fee(request).await.unwrap().into_inner().charge.unwrap();
    assert_eq!(again, exempted, "the same request, the same answer");
    let status = ask_for_payment(&officer, &exempted).await.unwrap_err();
    assert_eq!(reason(&status), "NOTHING_TO_PAY");
    let own = charge(&stack.portal(citizen()), &case).await.unwrap();
    assert!(
        own.fees[0].exemption.as_ref().unwrap().officer_id.is_empty(),
        "no official is named to the applicant"
    );
    assert_eq!(platform.made(), 0);
    whole(&stack).await;
}

#[tokio::test]
async fn a_payment_pauses_the_clock_is_ordered_once_and_lets_the_case_go_on() {
    let (stack, platform) = Platform::stack().await;
    let case = owing(&stack).await;
    let officer = stack.staff("officer", TRUONG_VINH);
    let first = charge(&officer, &case).await.unwrap();
    let request = payment_request(&first);
    let mut fees = officer.clone().fees;
    let asked = fees
        .request_payment(request.clone())
        .await
        .unwrap()
        .into_inner()
        .charge
        .unwrap();
    assert_eq!(asked.state(), ChargeState::Awaiting);
    assert_eq!(
        fees.request_payment(request)
            .await
            .unwrap()
            .into_inner()
            .charge
            .unwrap(),
        asked
    );
    let waiting = state_of(&stack, &case).await;
    assert_eq!(waiting.state(), CaseState::PaymentRequested);
    assert!(
        waiting.pauses.last().unwrap().end_time.is_none(),
        "the clock stands still"
    );
    let status = ask_for_payment(&officer, &asked).await.unwrap_err();
    assert_eq!(reason(&status), "PAYMENT_PENDING");
    let pending = until(&stack, &case, is_pending).await;
    assert!(pending.payments[0].pay_url.starts_with("https://pay.example/"));
    platform.set(&case.case_code, OrderState::Paid);
    let paid = until(&stack, &case, |charge| charge.state() == ChargeState::Paid).await;
    assert!(paid.payments[0].transaction.starts_with("T-"));
    let on = state_of(&stack, &case).await;
    assert_eq!(
        (on.state(), on.step.as_str()),
        (CaseState::Processing, case.step.as_str())
    );
    assert!(on.pauses.last().unwrap().end_time.is_some());
    assert_eq!((platform.made(), events(&stack, "payment_received").await), (1, 1));
    assert_eq!(events(&stack, "case_payment_settled").await, 1);
    approve(&stack, &on).await;
    whole(&stack).await;
}

#[tokio::test]
async fn whatever_becomes_of_the_calls_there_is_one_order_and_one_payment() {
    let (stack, platform) = Platform::stack().await;
    for trouble in [
        vec![Trouble::AnswerLost, Trouble::AnswerLost],
        vec![Trouble::Away],
        vec![Trouble::Refused],
        vec![Trouble::Away, Trouble::AnswerLost, Trouble::Refused],
    ] {
        let case = owing(&stack).await;
        let made = platform.made();
        platform.trouble(&trouble);
        let officer = stack.staff("officer", TRUONG_VINH);
        let first = charge(&officer, &case).await.unwrap();
        ask_for_payment(&officer, &first).await.unwrap();
        until(&stack, &case, is_pending).await;
        assert_eq!(platform.made(), made + 1, "{trouble:?}");
        platform.trouble(&trouble);
        platform.set(&case.case_code, OrderState::Paid);
        let paid = until(&stack, &case, |charge| charge.state() == ChargeState::Paid).await;
        // Said again, and out of order: nothing changes.
        platform.set(&case.case_code, OrderState::Pending);
        stack.advance(SignedDuration::from_mins(20)).await;
        tokio::time::sleep(std::time::Duration::from_millis(700)).await;
        let after = charge(&stack.staff("officer", TRUONG_VINH), &case).await.unwrap();
        assert_eq!((after.etag, after.held), (paid.etag, paid.held), "{trouble:?}");
        assert_eq!(after.payments.len(), 1);
    }
    assert_eq!(events(&stack, "payment_received").await, 4);
    whole(&stack).await;
}

#[tokio::test]
async fn an_order_that_is_paid_before_its_answer_came_is_a_payment() {
    let (stack, platform) = Platform::stack().await;
    let case = owing(&stack).await;
    // The order is made and paid; we learn of neither, until we ask again.
    platform.trouble(&[Trouble::AnswerLost]);
    let officer = stack.staff("officer", TRUONG_VINH);
    let first = charge(&officer, &case).await.unwrap();
    ask_for_payment(&officer, &first).await.unwrap();
    while platform.made() == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    platform.set(&case.case_code, OrderState::Paid);
    until(&stack, &case, |charge| charge.state() == ChargeState::Paid).await;
    assert_eq!(platform.made(), 1);
    assert_eq!(state_of(&stack, &case).await.state(), CaseState::Processing);
    whole(&stack).await;
}

#[tokio::test]
async fn what_is_paid_after_the_case_was_withdrawn_is_to_be_given_back() {
    let (stack, platform) = Platform::stack().await;
    let case = owing(&stack).await;
    let officer = stack.staff("officer", TRUONG_VINH);
    let first = charge(&officer, &case).await.unwrap();
    ask_for_payment(&officer, &first).await.unwrap();
    until(&stack, &case, is_pending).await;
    let waiting = state_of(&stack, &case).await;
    let withdraw = proto::WithdrawCaseRequest {
        request_id: request_id(),
        case_id: case.case_id.clone(),
        etag: waiting.etag,
        reason: "không cần nữa".to_owned(),
    };
    stack.portal(citizen()).cases.withdraw_case(withdraw).await.unwrap();
    platform.set(&case.case_code, OrderState::Paid);
    let due = until(&stack, &case, |charge| charge.state() == ChargeState::RefundDue).await;
    assert_eq!(state_of(&stack, &case).await.state(), CaseState::Withdrawn);
    let officer = stack.staff("officer", TRUONG_VINH);
    assert_eq!(
        refund(&officer, &due, 0).await.unwrap_err().code(),
        Code::PermissionDenied
    );
    let leader = stack.staff("unit_leader", TRUONG_VINH);
    let status = refund(&stack.staff("unit_leader", THANH_VINH), &due, 0)
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
    // The answer is lost, twice: it goes back once.
    platform.trouble(&[Trouble::AnswerLost, Trouble::AnswerLost]);
    let ordered = refund(&leader, &due, 0).await.unwrap();
    assert_eq!(ordered.state(), ChargeState::Refunding);
    let status = refund(&leader, &ordered, 0).await.unwrap_err();
    assert_eq!(reason(&status), "PAYMENT_STATE");
    let refunded = until(&stack, &case, |charge| charge.state() == ChargeState::Refunded).await;
    assert!(refunded.payments[0].refund.as_ref().unwrap().done_time.is_some());
    assert_eq!(platform.refunds(), 1);
    let status = ask_for_payment(&stack.staff("officer", TRUONG_VINH), &refunded)
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "CHARGE_NOT_OPEN");
    whole(&stack).await;
}

#[tokio::test]
async fn cash_is_taken_once_a_receipt_and_a_second_payment_is_a_refund_that_is_due() {
    let (stack, platform) = Platform::stack().await;
    let (case, other) = (owing(&stack).await, owing(&stack).await);
    let clerk = stack.staff("one_stop_clerk", TRUONG_VINH);
    let first = charge(&clerk, &case).await.unwrap();
    let asked = ask_for_payment(&clerk, &first).await.unwrap();
    until(&stack, &case, is_pending).await;
    let clerk = stack.staff("one_stop_clerk", TRUONG_VINH);
    let now = charge(&clerk, &case).await.unwrap();
    assert_ne!(now.etag, asked.etag);
    let status = cash(&clerk, &now, "BL-001", 7_000).await.unwrap_err();
    assert_eq!(egov_fault::fault_of(&status).violations()[0].field, "amount_vnd");
    // Two clerks at once: one of them has it.
    let (one, two) = tokio::join!(cash(&clerk, &now, "BL-001", 8_000), cash(&clerk, &now, "BL-002", 8_000));
    let (won, lost) = if one.is_ok() { (one, two) } else { (two, one) };
    let paid = won.unwrap();
    assert_eq!(reason(&lost.unwrap_err()), "STALE_ETAG");
    assert_eq!(paid.state(), ChargeState::Paid);
    assert_eq!(
        state_of(&stack, &case).await.state(),
        CaseState::Processing,
        "the case goes on"
    );
    let receipt = paid
        .payments
        .iter()
        .find(|payment| payment.state() == PaymentState::Paid)
        .unwrap()
        .reference
        .clone();
    let of_other = charge(&clerk, &other).await.unwrap();
    let status = cash(&clerk, &of_other, &receipt, 8_000).await.unwrap_err();
    assert_eq!(reason(&status), "RECEIPT_NUMBER_TAKEN");
    let leader = stack.staff("unit_leader", TRUONG_VINH);
    let status = refund(&leader, &paid, 1).await.unwrap_err();
    assert_eq!(reason(&status), "REFUND_NOT_DUE");
    // The order is paid after all.
    platform.set(&case.case_code, OrderState::Paid);
    let due = until(&stack, &case, |charge| charge.state() == ChargeState::RefundDue).await;
    let back = refund(&stack.staff("unit_leader", TRUONG_VINH), &due, 1).await.unwrap();
    assert_eq!(
        back.payments[1].state(),
        PaymentState::Refunded,
        "cash goes back at once"
    );
    assert_eq!((back.state(), platform.refunds()), (ChargeState::Paid, 0));
    whole(&stack).await;
}

#[tokio::test]
async fn an_order_that_ends_unpaid_is_asked_for_anew() {
    let (stack, platform) = Platform::stack().await;
    let case = owing(&stack).await;
    let officer = stack.staff("officer", TRUONG_VINH);
    let first = charge(&officer, &case).await.unwrap();
    ask_for_payment(&officer, &first).await.unwrap();
    until(&stack, &case, is_pending).await;
    platform.set(&case.case_code, OrderState::Expired);
    let unpaid = until(&stack, &case, |charge| charge.state() == ChargeState::Unpaid).await;
    assert_eq!(state_of(&stack, &case).await.state(), CaseState::PaymentRequested);
    ask_for_payment(&stack.staff("officer", TRUONG_VINH), &unpaid)
        .await
        .unwrap();
    let pending = until(&stack, &case, is_pending).await;
    assert_eq!((pending.payments.len(), platform.made()), (2, 2));
    whole(&stack).await;
}

#[tokio::test]
async fn without_a_platform_fees_are_taken_at_the_counter_and_nothing_before_acceptance() {
    let stack = Stack::start().await;
    let case = owing(&stack).await;
    let clerk = stack.staff("one_stop_clerk", TRUONG_VINH);
    let first = charge(&clerk, &case).await.unwrap();
    let status = ask_for_payment(&clerk, &first).await.unwrap_err();
    assert_eq!(reason(&status), "PAYMENTS_NOT_CONNECTED");
    assert_eq!(charge(&clerk, &case).await.unwrap().etag, first.etag);
    cash(&clerk, &first, "BL-1", 8_000).await.unwrap();
    let figures = proto::GetPaymentFiguresRequest {
        unit_id: TRUONG_VINH,
        from: Some(jiff::civil::date(2026, 11, 1).into()),
        to: Some(jiff::civil::date(2026, 11, 30).into()),
    };
    let mut leader = stack.staff("unit_leader", TRUONG_VINH).fees;
    let ways = leader.get_payment_figures(figures).await.unwrap().into_inner().ways;
    assert_eq!(
        (ways.len(), ways[0].way(), ways[0].payments),
        (1, proto::PaymentWay::Cash, 1)
    );
    let filed = submit(&stack).await.case.unwrap();
    let filed_charge = charge(&clerk, &filed).await.unwrap();
    let status = cash(&clerk, &filed_charge, "BL-2", 8_000).await.unwrap_err();
    assert_eq!(reason(&status), "CHARGE_NOT_OPEN");
    whole(&stack).await;
}
