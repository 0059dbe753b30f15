//! Phí, lệ phí: assessed, exempted, asked for, paid online and at the counter, given back; the platform away, late, twice.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use egov_clock::{Clock as _, Ids as _, SystemIds};
use egov_fault::{Code as FaultCode, Fault};
use egov_onestop::domain::charge::{Order, OrderState};
use egov_onestop::operations::rebuild_statistics::rebuild_statistics;
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
            state: OrderState::Paid,
            settle_time: None,
            refund_time: None,
        });
    }

    fn refunds(&self) -> usize {
        self.0.lock().unwrap().refund_requests.len()
    }

    /// For which units orders of a case were made.
    fn ordered_for(&self, case_code: &str) -> Vec<i32> {
        let orders = self.0.lock().unwrap();
        let of_case = orders.made.values().filter(|(_, _, code)| code == case_code);
        of_case.map(|(_, unit_id, _)| *unit_id).collect()
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

    /// Lets the platform name this amount for every order of a case.
    pub(crate) fn says(&self, case_code: &str, amount_vnd: i64) {
        let mut orders = self.0.lock().unwrap();
        let of_case = orders.made.values_mut().filter(|(_, _, code)| code == case_code);
        of_case.for_each(|(order, ..)| order.amount_vnd = amount_vnd);
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
                settle_time: None,
                refund_time: None,
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
            let known = orders.refund_requests.contains(&request_id);
            let now = orders.clock.as_ref().unwrap().now();
            let (order, ..) = orders.made.get_mut(&order_id).ok_or_else(gone)?;
            let before = order.clone();
            if known {
                return Ok(before);
            }
            if order.state != OrderState::Paid {
                return Err(Fault::new(
                    FaultCode::FailedPrecondition,
                    "PAYMENT_NOT_REFUNDABLE",
                    "không hoàn được",
                    "not paid",
                ));
            }
            orders.refund_requests.push(request_id);
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
                    state: order.state,
                    settle_time: order.settle_time,
                    refund_time: (order.state == OrderState::Refunded).then_some(order.update_time),
                })
                .collect(),
            unknown: orders.unknown.clone(),
            is_without_states: false,
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

pub(crate) async fn quantities(
    client: &Client,
    charge: &proto::CaseCharge,
    quantity: i32,
) -> Result<proto::CaseCharge, Status> {
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

pub(crate) async fn refund(
    client: &Client,
    charge: &proto::CaseCharge,
    payment: usize,
) -> Result<proto::CaseCharge, Status> {
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
    until_at(stack, TRUONG_VINH, case, wanted).await
}

/// The same, where the case is at another unit by now.
async fn until_at(
    stack: &Stack,
    unit_id: i32,
    case: &proto::Case,
    wanted: impl Fn(&proto::CaseCharge) -> bool,
) -> proto::CaseCharge {
    for _ in 0..100 {
        let now = charge(&stack.staff("officer", unit_id), case).await.unwrap();
        if wanted(&now) {
            return now;
        }
        stack.advance(SignedDuration::from_secs(20)).await;
        tokio::time::sleep(std::time::Duration::from_millis(150)).await;
    }
    let last = charge(&stack.staff("officer", unit_id), case).await.unwrap();
    panic!("the charge does not become as wanted: {last:?}");
}

pub(crate) async fn exempt(
    client: &Client,
    charge: &proto::CaseCharge,
    reduced_to_vnd: i64,
) -> Result<proto::CaseCharge, Status> {
    let request = proto::ExemptFeeRequest {
        request_id: request_id(),
        case_id: charge.case_id.clone(),
        etag: charge.etag.clone(),
        number: 1,
        reduced_to_vnd,
        reason: "hộ nghèo".to_owned(),
        legal_basis: "nghị quyết của HĐND tỉnh".to_owned(),
        evidence_file_id: String::new(),
    };
    let answer = client.clone().fees.exempt_fee(request).await?;
    Ok(answer.into_inner().charge.unwrap())
}

/// What the treasury booked of a day, as lines below the names.
fn treasury_file(unit_id: i32, day: Date, lines: &str) -> proto::ImportTreasuryFileRequest {
    proto::ImportTreasuryFileRequest {
        request_id: request_id(),
        unit_id,
        day: Some(day.into()),
        content: format!("ngay_hach_toan,ma_ho_so,ma_tham_chieu,so_tien\n{lines}").into_bytes(),
        dry_run: false,
    }
}

pub(crate) async fn import_treasury(
    client: &Client,
    unit_id: i32,
    day: Date,
    lines: &str,
) -> Result<proto::ImportTreasuryFileResponse, Status> {
    let request = treasury_file(unit_id, day, lines);
    Ok(client.clone().fees.import_treasury_file(request).await?.into_inner())
}

pub(crate) async fn take_back(client: &Client, file_id: &str) -> Result<proto::TakeBackTreasuryFileResponse, Status> {
    let request = proto::TakeBackTreasuryFileRequest {
        request_id: request_id(),
        file_id: file_id.to_owned(),
        reason: "nhập nhầm".to_owned(),
    };
    Ok(client.clone().fees.take_back_treasury_file(request).await?.into_inner())
}

pub(crate) async fn reconcile_day(
    client: &Client,
    unit_id: i32,
    day: Date,
) -> Result<proto::ReconcileDayResponse, Status> {
    let request = proto::ReconcileDayRequest {
        request_id: request_id(),
        unit_id,
        day: Some(day.into()),
    };
    Ok(client.clone().fees.reconcile_day(request).await?.into_inner())
}

/// How many payments agree and how many differences are open.
async fn reconciled(client: &Client, unit_id: i32, day: Date) -> (i32, i32) {
    let done = reconcile_day(client, unit_id, day).await.unwrap();
    (done.matched, done.open_differences)
}

/// Lets no row of a case in a table be changed.
async fn freeze(stack: &Stack, table: &str, case: &proto::Case) {
    let mut superuser = stack.database.connect_as_superuser().await.unwrap();
    let case_id = &case.case_id;
    for statement in [
        "CREATE FUNCTION refuse_as_frozen() RETURNS trigger LANGUAGE plpgsql
         AS $$ BEGIN RAISE EXCEPTION 'frozen'; END $$"
            .to_owned(),
        format!(
            "CREATE TRIGGER frozen BEFORE UPDATE ON {table}
             FOR EACH ROW WHEN (OLD.case_id = '{case_id}') EXECUTE FUNCTION refuse_as_frozen()"
        ),
    ] {
        sqlx::query(sqlx::AssertSqlSafe(statement))
            .execute(&mut superuser)
            .await
            .unwrap();
    }
}

async fn thaw(stack: &Stack, table: &str) {
    let mut superuser = stack.database.connect_as_superuser().await.unwrap();
    let statement = format!("DROP TRIGGER frozen ON {table}");
    sqlx::query(sqlx::AssertSqlSafe(statement))
        .execute(&mut superuser)
        .await
        .unwrap();
}

pub(crate) fn is_pending(charge: &proto::CaseCharge) -> bool {
    charge
        .payments
        .last()
        .is_some_and(|payment| payment.state() == PaymentState::Pending)
}

#[tokio::test]
async fn whoever_passes_a_case_on_reads_its_names_its_history_and_what_is_due_now() {
    let stack = Stack::start().await;
    let case = owing(&stack).await;
    let clerk = stack.staff("one_stop_clerk", TRUONG_VINH);
    quantities(&clerk, &charge(&clerk, &case).await.unwrap(), 2)
        .await
        .unwrap();
    let token = stack
        .tokens
        .system(Uuid::from_u128(0x901), &[("case_synchroniser", TRUONG_VINH)]);
    let mut synchroniser = stack.client(Some(token), Some("portal_synchronisation"));
    let request = proto::GetCaseRequest {
        case_id: case.case_id.clone(),
        with_particulars: true,
    };
    let answer = synchroniser.cases.get_case(request.clone()).await.unwrap().into_inner();
    let (read, known) = (answer.case.unwrap(), answer.particulars.unwrap());
    assert_eq!(known.responsible_unit_name, "Phường Trường Vinh");
    assert!(!known.sector_code.is_empty() && !known.sector_name.is_empty());
    let due = known.fees.iter().map(|fee| fee.due.as_ref().map(|due| due.units));
    assert_eq!(due.sum::<Option<i64>>(), Some(16_000), "two copies");
    for component in &read.components {
        let named = known.components.iter().find(|one| one.code == component.component_code);
        assert!(!named.unwrap().name.is_empty());
        for file_id in &component.file_ids {
            assert!(
                known
                    .files
                    .iter()
                    .any(|file| file.file_id == *file_id && !file.name.is_empty())
            );
        }
    }
    assert!(known.results.iter().all(|one| !one.name.is_empty()));
    assert!(known.steps.iter().all(|one| !one.name.is_empty()));
    let last = known.history.last().unwrap();
    assert_eq!((last.version, last.to_state), (read.version, read.state));
    assert_eq!(known.history_page_token, "", "these are all");

    // Only if they are asked for, and nothing of the inside of the office for the applicant.
    let plain = proto::GetCaseRequest {
        with_particulars: false,
        ..request.clone()
    };
    let answer = synchroniser.cases.get_case(plain).await.unwrap().into_inner();
    assert_eq!(answer.particulars, None);
    let mut applicant = stack.portal(citizen()).cases;
    let answer = applicant.get_case(request.clone()).await.unwrap().into_inner();
    assert!(answer.case.is_some() && answer.particulars.is_none());

    // A history that is longer than what goes with a case is gone on with, page by page, to its end.
    let mut superuser = stack.database.connect_as_superuser().await.unwrap();
    sqlx::query(
        "INSERT INTO case_history
         SELECT (jsonb_populate_record(h, jsonb_build_object('version', h.version + n))).*
         FROM case_history AS h, generate_series(1, 700) AS n
         WHERE h.case_id = $1::uuid AND h.version = $2",
    )
    .bind(&case.case_id)
    .bind(last.version)
    .execute(&mut superuser)
    .await
    .unwrap();
    let answer = synchroniser.cases.get_case(request).await.unwrap().into_inner();
    let known = answer.particulars.unwrap();
    let mut versions: Vec<i64> = known.history.iter().map(|entry| entry.version).collect();
    assert_eq!(versions.len(), 500);
    let (mut page_token, mut pages) = (known.history_page_token, 0);
    while !page_token.is_empty() {
        let rest = proto::ListCaseHistoryRequest {
            case_id: case.case_id.clone(),
            page_size: 200,
            page_token,
        };
        // The token is this caller's alone.
        let status = clerk.clone().cases.list_case_history(rest.clone()).await.unwrap_err();
        assert_eq!(reason(&status), "PAGE_TOKEN_INVALID");
        let page = synchroniser.cases.list_case_history(rest).await.unwrap().into_inner();
        versions.extend(page.entries.iter().map(|entry| entry.version));
        page_token = page.next_page_token;
        pages += 1;
    }
    assert_eq!(pages, 2);
    let all: Vec<i64> = (1..=last.version + 700).collect();
    assert_eq!(versions, all, "each entry once, none left out");
}

/// How many events of a kind there are.
pub(crate) async fn events(stack: &Stack, kind: &str) -> i64 {
    let mut superuser = stack.database.connect_as_superuser().await.unwrap();
    sqlx::query_scalar(
        "SELECT (SELECT count(*) FROM egov.outbox WHERE kind = $1) + (SELECT count(*) FROM egov.event_log WHERE kind = $1)",
    )
        .bind(kind)
        .fetch_one(&mut superuser)
        .await
        .unwrap()
}

/// Paid online, and paid at all, by the index of these days at the unit.
async fn paid_online(stack: &Stack) -> (i64, i64) {
    let request = proto::GetPerformanceIndexRequest {
        from: Some(jiff::civil::date(2026, 11, 23).into()),
        to: Some(stack.clock.today().into()),
        ..Default::default()
    };
    let mut leader = stack.staff("unit_leader", TRUONG_VINH);
    let index = leader
        .reports
        .get_performance_index(request)
        .await
        .unwrap()
        .into_inner();
    let mut rates = index.groups.into_iter().flat_map(|group| group.rates);
    let rate = rates.find(|rate| rate.code == "online_payment").unwrap();
    assert!(rate.counted);
    (rate.part, rate.whole)
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

/// A birth registration with copies, received at the counter of Thành Vinh for Trường Vinh.
async fn owing_and_received_elsewhere(desk: &Client) -> proto::Case {
    let request = proto::SubmitCaseRequest {
        channel: proto::Channel::Counter.into(),
        receiving_unit_code: "16681".to_owned(),
        conditions: vec!["yeu_cau_ban_sao".to_owned()],
        components: ["to_khai", "giay_chung_sinh", "giay_to_tuy_than"]
            .map(component)
            .to_vec(),
        ..birth_registration()
    };
    let submitted = desk.clone().cases.submit_case(request).await.unwrap();
    submitted.into_inner().case.unwrap()
}

#[track_caller]
fn is_not_permitted<T: std::fmt::Debug>(answer: Result<T, Status>, permission: &str) {
    let status = answer.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::PermissionDenied, "PERMISSION_MISSING")
    );
    assert_eq!(egov_fault::fault_of(&status).metadata()["permission"], permission);
}

#[tokio::test]
async fn the_place_of_reception_asks_for_the_payment_of_what_it_received_and_holds_no_money() {
    let (stack, platform) = Platform::stack().await;
    let (desk, here) = (
        stack.staff("one_stop_clerk", THANH_VINH),
        stack.staff("one_stop_clerk", TRUONG_VINH),
    );
    let filed = owing_and_received_elsewhere(&desk).await;
    // Before it is taken in it owes nothing yet, there as here.
    let first = charge(&desk, &filed).await.unwrap();
    assert_eq!(first.owed.as_ref().unwrap().units, 8_000);
    let status = quantities(&desk, &first, 2).await.unwrap_err();
    assert_eq!(reason(&status), "CHARGE_NOT_OPEN");
    let taking_in = proto::AcceptCaseRequest {
        request_id: request_id(),
        case_id: filed.case_id.clone(),
        etag: filed.etag.clone(),
    };
    let accepted = desk.clone().cases.accept_case(taking_in).await.unwrap().into_inner();
    let accepted = accepted.case.unwrap();

    // Whoever reads fees there reads it, a third unit does not; of the competent unit's other cases nothing is seen there.
    let (officer, leader) = (
        stack.staff("officer", THANH_VINH),
        stack.staff("unit_leader", THANH_VINH),
    );
    for reader in [&desk, &officer, &leader, &stack.staff("case_reader", THANH_VINH)] {
        assert_eq!(charge(reader, &accepted).await.unwrap().case_id, accepted.case_id);
    }
    let third = stack.staff("one_stop_clerk", COUNTER);
    let other = owing(&stack).await;
    let others = charge(&here, &other).await.unwrap();
    for (client, case, known) in [(&third, &accepted, &first), (&desk, &other, &others)] {
        for status in [
            charge(client, case).await.unwrap_err(),
            quantities(client, known, 2).await.unwrap_err(),
            ask_for_payment(client, known).await.unwrap_err(),
        ] {
            assert_eq!(reason(&status), "CASE_NOT_FOUND");
        }
    }

    // How many: of the desk and the competent unit at once one wins.
    let (there_too, here_too) = tokio::join!(quantities(&desk, &first, 2), quantities(&here, &first, 2));
    assert_ne!(there_too.is_ok(), here_too.is_ok(), "{there_too:?} {here_too:?}");
    let lost = there_too.err().or_else(|| here_too.err()).unwrap();
    assert_eq!(reason(&lost), "STALE_ETAG");
    let two = charge(&desk, &accepted).await.unwrap();
    assert_eq!(two.owed.as_ref().unwrap().units, 16_000);
    let three = quantities(&desk, &two, 3).await.unwrap();
    assert_eq!(three.owed.as_ref().unwrap().units, 24_000);

    // Who does not take cases in asks for nothing there; and nobody there takes cash or waives anything.
    is_not_permitted(quantities(&officer, &three, 1).await, "onestop.fees.collect");
    is_not_permitted(ask_for_payment(&officer, &three).await, "onestop.fees.collect");
    is_not_permitted(cash(&desk, &three, "BL-1", 24_000).await, "onestop.fees.collect");
    is_not_permitted(exempt(&officer, &three, 0).await, "onestop.fees.exempt");
    assert_eq!(charge(&here, &accepted).await.unwrap(), three);

    // Asked for once, in state 4: the case waits in 6, and the order is the competent unit's.
    assign(&stack, &accepted).await;
    let request = payment_request(&three);
    let asked = desk.clone().fees.request_payment(request.clone()).await.unwrap();
    let again = desk.clone().fees.request_payment(request).await.unwrap();
    assert_eq!(asked.into_inner(), again.into_inner());
    assert_eq!(state_of(&stack, &accepted).await.state(), CaseState::PaymentRequested);
    let pending = until(&stack, &accepted, is_pending).await;
    assert_eq!(pending.payments[0].collecting_unit_id, TRUONG_VINH);
    assert_eq!(platform.ordered_for(&accepted.case_code), [TRUONG_VINH]);
    let told = charge(&desk, &accepted).await.unwrap();
    assert!(!told.payments[0].pay_url.is_empty(), "where the applicant pays");

    // Paid, it goes on by itself; what becomes of the money is none of the desk's business.
    platform.set(&accepted.case_code, OrderState::Paid);
    let paid = until(&stack, &accepted, |charge| charge.state() == ChargeState::Paid).await;
    assert_eq!(state_of(&stack, &accepted).await.state(), CaseState::Processing);
    assert_eq!(charge(&desk, &accepted).await.unwrap(), paid);
    is_not_permitted(refund(&leader, &paid, 0).await, "onestop.fees.refund");
    assert_eq!((platform.made(), platform.refunds()), (1, 0));
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
    let mut settled = Vec::new();
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
        // Said again, and out of order.
        platform.set(&case.case_code, OrderState::Pending);
        stack.advance(SignedDuration::from_mins(20)).await;
        settled.push((case, paid, trouble));
    }
    // A round of the job that began after all of that has made an order of another payment: nothing changed of those that are paid.
    let later = owing(&stack).await;
    let clerk = stack.staff("one_stop_clerk", TRUONG_VINH);
    let first = charge(&clerk, &later).await.unwrap();
    ask_for_payment(&clerk, &first).await.unwrap();
    let ordered = until(&stack, &later, is_pending).await;
    for (case, paid, trouble) in settled {
        let after = charge(&stack.staff("officer", TRUONG_VINH), &case).await.unwrap();
        assert_eq!((after.etag, after.held), (paid.etag, paid.held), "{trouble:?}");
        assert_eq!(after.payments.len(), 1);
    }
    assert_eq!(events(&stack, "payment_received").await, 4);

    // Each counts as paid online, once; what is taken at the counter counts as a payment.
    assert_eq!(paid_online(&stack).await, (4, 4));
    let clerk = stack.staff("one_stop_clerk", TRUONG_VINH);
    cash(&clerk, &ordered, "BL-900", 8_000).await.unwrap();
    assert_eq!(paid_online(&stack).await, (4, 5));
    whole(&stack).await;
    assert_eq!(rebuild_statistics(&stack.pool, |_| {}).await.unwrap(), 5);
    assert_eq!(paid_online(&stack).await, (4, 5), "worked out anew from the payments");
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

#[tokio::test]
async fn what_is_paid_is_recorded_although_the_case_cannot_go_on_and_it_goes_on_when_it_can() {
    let (stack, platform) = Platform::stack().await;
    let case = owing(&stack).await;
    let officer = stack.staff("officer", TRUONG_VINH);
    let first = charge(&officer, &case).await.unwrap();
    ask_for_payment(&officer, &first).await.unwrap();
    until(&stack, &case, is_pending).await;
    freeze(&stack, "cases", &case).await;
    platform.set(&case.case_code, OrderState::Paid);
    let paid = until(&stack, &case, |charge| charge.state() == ChargeState::Paid).await;
    assert!(
        !paid.payments[0].problem.is_empty(),
        "it is said that something is wrong"
    );
    assert_eq!(state_of(&stack, &case).await.state(), CaseState::PaymentRequested);
    thaw(&stack, "cases").await;
    let well = until(&stack, &case, |charge| charge.payments[0].problem.is_empty()).await;
    assert_eq!((&well.etag, well.state()), (&paid.etag, ChargeState::Paid));
    assert_eq!(state_of(&stack, &case).await.state(), CaseState::Processing);
    assert_eq!(events(&stack, "payment_received").await, 1);
    assert_eq!(events(&stack, "case_payment_settled").await, 1);
    whole(&stack).await;
}

#[tokio::test]
async fn a_payment_that_cannot_be_followed_holds_up_no_other() {
    let (stack, platform) = Platform::stack().await;
    let (broken, other) = (owing(&stack).await, owing(&stack).await);
    freeze(&stack, "case_charges", &broken).await;
    let officer = stack.staff("officer", TRUONG_VINH);
    for case in [&broken, &other] {
        let first = charge(&officer, case).await.unwrap();
        ask_for_payment(&officer, &first).await.unwrap();
    }
    until(&stack, &other, is_pending).await;
    platform.set(&other.case_code, OrderState::Paid);
    until(&stack, &other, |charge| charge.state() == ChargeState::Paid).await;
    let put_off = until(&stack, &broken, |charge| !charge.payments[0].problem.is_empty()).await;
    assert_eq!(put_off.payments[0].state(), PaymentState::Requested);
    thaw(&stack, "case_charges").await;
    until(&stack, &broken, is_pending).await;
    assert_eq!(platform.made(), 2, "one order each, however often it was asked for");
    whole(&stack).await;
}

#[tokio::test]
async fn an_order_that_the_platform_gave_back_by_itself_is_refunded_when_that_is_decided() {
    let (stack, platform) = Platform::stack().await;
    let case = owing(&stack).await;
    let officer = stack.staff("officer", TRUONG_VINH);
    let first = charge(&officer, &case).await.unwrap();
    ask_for_payment(&officer, &first).await.unwrap();
    until(&stack, &case, is_pending).await;
    platform.set(&case.case_code, OrderState::Paid);
    let paid = until(&stack, &case, |charge| charge.state() == ChargeState::Paid).await;
    platform.set(&case.case_code, OrderState::Refunded);
    let exempted = exempt(&stack.staff("officer", TRUONG_VINH), &paid, 0).await.unwrap();
    refund(&stack.staff("unit_leader", TRUONG_VINH), &exempted, 0)
        .await
        .unwrap();
    let back = until(&stack, &case, |charge| charge.state() == ChargeState::Refunded).await;
    assert!(back.payments[0].refund.as_ref().unwrap().done_time.is_some());
    assert_eq!(platform.refunds(), 0, "nothing was left to ask for");
    whole(&stack).await;
}

#[tokio::test]
async fn what_is_reduced_after_it_was_paid_goes_back_and_the_rest_is_taken_anew() {
    let stack = Stack::start().await;
    let case = owing(&stack).await;
    let clerk = stack.staff("one_stop_clerk", TRUONG_VINH);
    let first = charge(&clerk, &case).await.unwrap();
    let three = quantities(&clerk, &first, 3).await.unwrap();
    let paid = cash(&clerk, &three, "BL-1", 24_000).await.unwrap();
    let status = quantities(&clerk, &paid, 1).await.unwrap_err();
    assert_eq!(reason(&status), "FEES_PAID", "what was paid for is not counted down");
    let (officer, leader) = (
        stack.staff("officer", TRUONG_VINH),
        stack.staff("unit_leader", TRUONG_VINH),
    );
    let reduced = exempt(&officer, &paid, 8_000).await.unwrap();
    assert_eq!(reduced.state(), ChargeState::RefundDue);
    let back = refund(&leader, &reduced, 0).await.unwrap();
    assert_eq!(
        (back.state(), back.payments[0].state()),
        (ChargeState::Unpaid, PaymentState::Refunded)
    );
    let status = cash(&clerk, &back, "BL-2", 24_000).await.unwrap_err();
    assert_eq!(egov_fault::fault_of(&status).violations()[0].field, "amount_vnd");
    let rest = cash(&clerk, &back, "BL-2", 8_000).await.unwrap();
    assert_eq!(rest.state(), ChargeState::Paid);
    let waived = exempt(&officer, &rest, 0).await.unwrap();
    let second = waived.payments.iter().position(|payment| payment.reference == "BL-2");
    let nothing = refund(&leader, &waived, second.unwrap()).await.unwrap();
    assert_eq!(nothing.state(), ChargeState::Refunded);
    whole(&stack).await;
}

#[tokio::test]
async fn the_applicant_is_shown_where_to_pay_only_while_something_is_to_be_paid() {
    let (stack, platform) = Platform::stack().await;
    let (at_the_counter, withdrawn) = (owing(&stack).await, owing(&stack).await);
    for case in [&at_the_counter, &withdrawn] {
        let clerk = stack.staff("one_stop_clerk", TRUONG_VINH);
        let first = charge(&clerk, case).await.unwrap();
        ask_for_payment(&clerk, &first).await.unwrap();
        until(&stack, case, is_pending).await;
        let shown = charge(&stack.portal(citizen()), case).await.unwrap();
        assert!(!shown.payments[0].pay_url.is_empty());
    }
    let clerk = stack.staff("one_stop_clerk", TRUONG_VINH);
    let owed = charge(&clerk, &at_the_counter).await.unwrap();
    cash(&clerk, &owed, "BL-1", 8_000).await.unwrap();
    let request = proto::WithdrawCaseRequest {
        request_id: request_id(),
        case_id: withdrawn.case_id.clone(),
        etag: state_of(&stack, &withdrawn).await.etag,
        reason: "không cần nữa".to_owned(),
    };
    stack.portal(citizen()).cases.withdraw_case(request).await.unwrap();
    for case in [&at_the_counter, &withdrawn] {
        let shown = charge(&stack.portal(citizen()), case).await.unwrap();
        let order = &shown.payments[0];
        assert_eq!((order.state(), order.pay_url.as_str()), (PaymentState::Pending, ""));
    }
    // Whoever kept the address pays all the same: it is known, and goes back.
    platform.set(&at_the_counter.case_code, OrderState::Paid);
    until(&stack, &at_the_counter, |charge| {
        charge.state() == ChargeState::RefundDue
    })
    .await;
    whole(&stack).await;
}

#[tokio::test]
async fn a_receipt_does_not_carry_the_code_of_an_order() {
    let (stack, _) = Platform::stack().await;
    let (online, counter) = (owing(&stack).await, owing(&stack).await);
    let clerk = stack.staff("one_stop_clerk", TRUONG_VINH);
    let first = charge(&clerk, &online).await.unwrap();
    ask_for_payment(&clerk, &first).await.unwrap();
    let pending = until(&stack, &online, is_pending).await;
    let clerk = stack.staff("one_stop_clerk", TRUONG_VINH);
    let owed = charge(&clerk, &counter).await.unwrap();
    let status = cash(&clerk, &owed, &pending.payments[0].reference, 8_000)
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "RECEIPT_NUMBER_TAKEN");
    cash(&clerk, &owed, "BL-1", 8_000).await.unwrap();
}

#[tokio::test]
async fn everything_that_is_wrong_with_quantities_and_a_refund_is_named() {
    let stack = Stack::start().await;
    let case = owing(&stack).await;
    let clerk = stack.staff("one_stop_clerk", TRUONG_VINH);
    let first = charge(&clerk, &case).await.unwrap();
    let twice = |quantity: i32| proto::FeeQuantity { number: 1, quantity };
    let request = proto::SetFeeQuantitiesRequest {
        request_id: request_id(),
        case_id: case.case_id.clone(),
        etag: first.etag.clone(),
        quantities: vec![twice(2), twice(3), twice(4)],
    };
    let status = clerk.clone().fees.set_fee_quantities(request).await.unwrap_err();
    let fields = |status: &Status| -> Vec<String> {
        let fault = egov_fault::fault_of(status);
        fault.violations().iter().map(|wrong| wrong.field.clone()).collect()
    };
    assert_eq!(fields(&status), ["quantities[1].number", "quantities[2].number"]);
    let paid = cash(&clerk, &first, "BL-1", 8_000).await.unwrap();
    let request = proto::DecideRefundRequest {
        reason: " ".to_owned(),
        decision_number: " ".to_owned(),
        ..refund_request(&paid, 0)
    };
    let leader = stack.staff("unit_leader", TRUONG_VINH);
    let status = leader.clone().fees.decide_refund(request).await.unwrap_err();
    assert_eq!(fields(&status), ["reason", "decision_number"]);
}

#[tokio::test]
async fn money_of_a_unit_that_closed_is_reconciled_under_its_name_by_the_successor() {
    let (stack, platform) = Platform::stack().await;
    let (paid, asked, later) = (owing(&stack).await, owing(&stack).await, owing(&stack).await);
    let clerk = stack.staff("one_stop_clerk", TRUONG_VINH);
    let first = charge(&clerk, &paid).await.unwrap();
    cash(&clerk, &first, "BL-1", 8_000).await.unwrap();
    let first = charge(&clerk, &asked).await.unwrap();
    ask_for_payment(&clerk, &first).await.unwrap();
    until(&stack, &asked, is_pending).await;
    let (last_day, merged) = (jiff::civil::date(2026, 11, 23), jiff::civil::date(2026, 11, 24));
    stack.advance(SignedDuration::from_hours(24)).await;
    stack
        .reorganise(merged, &[(TRUONG_VINH, THANH_VINH), (COUNTER, THANH_VINH)], Vec::new())
        .await;
    assert_eq!(crate::units::settle(&stack).await, 0);

    // What the closed unit took is in its own file, and not missing in the successor's.
    let accountant = stack.staff("fee_accountant", THANH_VINH);
    let line = format!("23/11/2026,{},BL-1,8000\n", paid.case_code);
    import_treasury(&accountant, TRUONG_VINH, last_day, &line)
        .await
        .unwrap();
    assert_eq!(reconciled(&accountant, TRUONG_VINH, last_day).await, (1, 0));
    import_treasury(&accountant, THANH_VINH, last_day, "").await.unwrap();
    assert_eq!(reconciled(&accountant, THANH_VINH, last_day).await, (0, 0));
    let officer = stack.staff("officer", THANH_VINH);
    assert_eq!(charge(&officer, &paid).await.unwrap().state(), ChargeState::Reconciled);

    // The order that it made is paid after it closed; a receipt of after that is the successor's, under whatever number.
    let first = charge(&officer, &later).await.unwrap();
    let taken = cash(&officer, &first, "BL-1", 8_000).await.unwrap();
    assert_eq!(taken.payments[0].collecting_unit_id, THANH_VINH);
    platform.set(&asked.case_code, OrderState::Paid);
    let online = until_at(&stack, THANH_VINH, &asked, |charge| charge.state() == ChargeState::Paid).await;
    assert_eq!(platform.ordered_for(&asked.case_code), [TRUONG_VINH]);
    let accountant = stack.staff("fee_accountant", THANH_VINH);
    for (unit_id, code, reference) in [
        (TRUONG_VINH, &asked.case_code, online.payments[0].reference.as_str()),
        (THANH_VINH, &later.case_code, "BL-1"),
    ] {
        let line = format!("24/11/2026,{code},{reference},8000\n");
        import_treasury(&accountant, unit_id, merged, &line).await.unwrap();
        assert_eq!(reconciled(&accountant, unit_id, merged).await, (1, 0), "{unit_id}");
    }
    // Nobody else's accountant knows of it.
    let stranger = stack.staff("fee_accountant", COUNTER);
    let status = reconcile_day(&stranger, TRUONG_VINH, merged).await.unwrap_err();
    assert_eq!(reason(&status), "UNIT_NOT_IN_SCOPE");
    whole(&stack).await;
}

#[tokio::test]
async fn of_two_who_import_one_file_at_once_the_second_is_told_which_it_is() {
    let stack = Stack::start().await;
    let accountant = stack.staff("fee_accountant", TRUONG_VINH);
    let day = jiff::civil::date(2026, 11, 23);
    let line = "23/11/2026,H41.201-261123-0001,BL-1,8000\n";
    let (one, two) = tokio::join!(
        import_treasury(&accountant, TRUONG_VINH, day, line),
        import_treasury(&accountant, TRUONG_VINH, day, line)
    );
    let (won, lost) = if one.is_ok() { (one, two) } else { (two, one) };
    let (won, lost) = (won.unwrap(), lost.unwrap_err());
    assert_eq!(reason(&lost), "TREASURY_FILE_KNOWN");
    assert_eq!(egov_fault::fault_of(&lost).metadata()["file_id"], won.file_id);
}

#[tokio::test]
async fn a_file_that_is_given_again_with_more_lines_repeats_what_it_said() {
    let stack = Stack::start().await;
    let (morning, evening) = (owing(&stack).await, owing(&stack).await);
    let clerk = stack.staff("one_stop_clerk", TRUONG_VINH);
    for (case, receipt) in [(&morning, "BL-1"), (&evening, "BL-2")] {
        let owed = charge(&clerk, case).await.unwrap();
        cash(&clerk, &owed, receipt, 8_000).await.unwrap();
    }
    let day = jiff::civil::date(2026, 11, 23);
    let accountant = stack.staff("fee_accountant", TRUONG_VINH);
    let first = format!("23/11/2026,{},BL-1,8000\n", morning.case_code);
    let whole_day = format!("{first}23/11/2026,{},BL-2,8000\n", evening.case_code);
    // Nothing was booked yet, and that is a file too: of every day.
    for of in [day, day.tomorrow().unwrap()] {
        let empty = import_treasury(&accountant, TRUONG_VINH, of, "").await.unwrap();
        assert_eq!(empty.entries, 0);
    }
    assert_eq!(reconciled(&accountant, TRUONG_VINH, day).await, (0, 2));
    import_treasury(&accountant, TRUONG_VINH, day, &first).await.unwrap();
    assert_eq!(reconciled(&accountant, TRUONG_VINH, day).await, (1, 1));
    import_treasury(&accountant, TRUONG_VINH, day, &whole_day)
        .await
        .unwrap();
    assert_eq!(reconciled(&accountant, TRUONG_VINH, day).await, (2, 0));
    // Twice in one file is booked twice.
    let twice = format!("{whole_day}{first}");
    import_treasury(&accountant, TRUONG_VINH, day, &twice).await.unwrap();
    assert_eq!(reconciled(&accountant, TRUONG_VINH, day).await, (1, 1));
    assert_eq!(charge(&clerk, &morning).await.unwrap().state(), ChargeState::Paid);
    assert_eq!(charge(&clerk, &evening).await.unwrap().state(), ChargeState::Reconciled);
    whole(&stack).await;
}

#[tokio::test]
async fn what_the_treasury_booked_for_another_case_is_a_difference_that_names_it() {
    let stack = Stack::start().await;
    let (case, other) = (owing(&stack).await, owing(&stack).await);
    let clerk = stack.staff("one_stop_clerk", TRUONG_VINH);
    let owed = charge(&clerk, &case).await.unwrap();
    cash(&clerk, &owed, "BL-1", 8_000).await.unwrap();
    let day = jiff::civil::date(2026, 11, 23);
    let accountant = stack.staff("fee_accountant", TRUONG_VINH);
    let line = format!("23/11/2026,{},BL-1,8000\n", other.case_code);
    import_treasury(&accountant, TRUONG_VINH, day, &line).await.unwrap();
    assert_eq!(reconciled(&accountant, TRUONG_VINH, day).await, (0, 1));
    let listed = accountant
        .clone()
        .fees
        .list_differences(proto::ListDifferencesRequest::default())
        .await
        .unwrap()
        .into_inner()
        .differences;
    assert_eq!(listed.len(), 1);
    assert_eq!(
        (
            listed[0].kind(),
            listed[0].case_code.as_str(),
            listed[0].treasury_case_code.as_str()
        ),
        (
            proto::DifferenceKind::CaseInTreasury,
            case.case_code.as_str(),
            other.case_code.as_str()
        )
    );
    assert_eq!(charge(&clerk, &case).await.unwrap().state(), ChargeState::Paid);
    whole(&stack).await;
}
