//! Khoản thu chưa xong: what is owed, in doubt, or to be given back, as accountants and leaders see it.

use egov_onestop::domain::charge::OrderState;
use egov_proto::egov::onestop::v1 as proto;
use egov_proto::egov::onestop::v1::{ChargeState, UnsettledState};
use jiff::SignedDuration;
use jiff::civil::date;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::fees::{
    Platform, ask_for_payment, cash, charge, exempt, import_treasury, is_pending, owing, quantities, reconcile_day,
    refund, until, whole,
};
use crate::support::*;

const OWED: UnsettledState = UnsettledState::Owed;
const IN_DOUBT: UnsettledState = UnsettledState::InDoubt;
const REFUNDS_DUE: UnsettledState = UnsettledState::RefundsDue;

async fn page(
    client: &Client,
    request: proto::ListUnsettledChargesRequest,
) -> Result<proto::ListUnsettledChargesResponse, Status> {
    Ok(client.clone().fees.list_unsettled_charges(request).await?.into_inner())
}

async fn listed(client: &Client, state: UnsettledState) -> Vec<proto::UnsettledCharge> {
    let request = proto::ListUnsettledChargesRequest {
        state: state.into(),
        ..Default::default()
    };
    page(client, request).await.unwrap().charges
}

/// Everything that is listed: of which case, and why.
async fn all(client: &Client) -> Vec<(String, Vec<UnsettledState>)> {
    let charges = listed(client, UnsettledState::Unspecified).await;
    let of = |charge: &proto::UnsettledCharge| (charge.case_code.clone(), charge.states().collect());
    charges.iter().map(of).collect()
}

/// What is left, held and to go back.
fn money(charge: &proto::UnsettledCharge) -> (Option<i64>, i64, i64) {
    (
        charge.left.as_ref().map(|left| left.units),
        charge.held.as_ref().unwrap().units,
        charge.refund.as_ref().unwrap().units,
    )
}

fn withdrawal(case: &proto::Case) -> proto::WithdrawCaseRequest {
    proto::WithdrawCaseRequest {
        request_id: request_id(),
        case_id: case.case_id.clone(),
        etag: case.etag.clone(),
        reason: "không cần nữa".to_owned(),
    }
}

async fn withdraw(stack: &Stack, case: &proto::Case) -> Result<(), Status> {
    let mut cases = stack.portal(citizen()).cases;
    cases.withdraw_case(withdrawal(case)).await.map(drop)
}

#[tokio::test]
async fn a_charge_is_listed_while_something_is_left_to_pay_or_to_give_back_and_no_longer() {
    let stack = Stack::start().await;
    // Without a fee nothing is owed.
    processing(&stack).await;
    let first = owing(&stack).await;
    stack.advance(SignedDuration::from_mins(2)).await;
    let second = owing(&stack).await;
    let accountant = stack.staff("fee_accountant", TRUONG_VINH);
    let owed = |case: &proto::Case| (case.case_code.clone(), vec![OWED]);
    assert_eq!(
        all(&accountant).await,
        [owed(&first), owed(&second)],
        "the longest open first"
    );
    let charges = listed(&accountant, OWED).await;
    assert!(charges.iter().all(|charge| money(charge) == (Some(8_000), 0, 0)));
    assert_eq!(
        (charges[0].unit_id, charges[0].unit_name.as_str(), charges[0].order_open),
        (TRUONG_VINH, "Phường Trường Vinh", false)
    );
    assert!(charges[0].open_since.as_ref().unwrap().seconds < charges[1].open_since.as_ref().unwrap().seconds);

    // A page at a time.
    let one = proto::ListUnsettledChargesRequest {
        page_size: 1,
        unit_id: TRUONG_VINH,
        ..Default::default()
    };
    let begin = page(&accountant, one.clone()).await.unwrap();
    let rest = proto::ListUnsettledChargesRequest {
        page_token: begin.next_page_token.clone(),
        ..one.clone()
    };
    let end = page(&accountant, rest.clone()).await.unwrap();
    let codes = |page: &proto::ListUnsettledChargesResponse| page.charges[0].case_code.clone();
    assert_eq!(
        (codes(&begin), codes(&end)),
        (first.case_code.clone(), second.case_code.clone())
    );
    assert_eq!(end.next_page_token, "");
    let leader = stack.staff("unit_leader", TRUONG_VINH);
    let status = page(&leader, rest).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument, "another caller's place is none");

    // Half of it is paid; a number of copies grows after that; part of it is waived, and goes back.
    let clerk = stack.staff("one_stop_clerk", TRUONG_VINH);
    let three = quantities(&clerk, &charge(&clerk, &first).await.unwrap(), 3)
        .await
        .unwrap();
    let paid = cash(&clerk, &three, "BL-1", 24_000).await.unwrap();
    assert_eq!(all(&accountant).await, [owed(&second)]);
    let four = quantities(&clerk, &paid, 4).await.unwrap();
    let left = listed(&accountant, OWED).await;
    let of_first = left.iter().find(|charge| charge.case_code == first.case_code);
    assert_eq!(of_first.map(money), Some((Some(8_000), 24_000, 0)));
    let officer = stack.staff("officer", TRUONG_VINH);
    let reduced = exempt(&officer, &four, 10_000).await.unwrap();
    let due = listed(&leader, REFUNDS_DUE).await;
    assert_eq!(due.len(), 1);
    assert_eq!(
        (due[0].case_code.as_str(), money(&due[0])),
        (first.case_code.as_str(), (None, 24_000, 14_000))
    );
    let back = refund(&leader, &reduced, 0).await.unwrap();
    assert_eq!(back.state(), ChargeState::Unpaid);
    assert!(listed(&leader, REFUNDS_DUE).await.is_empty());
    assert_eq!(
        listed(&leader, OWED).await.iter().map(money).max(),
        Some((Some(10_000), 0, 0))
    );
    cash(&clerk, &back, "BL-2", 10_000).await.unwrap();
    assert_eq!(all(&leader).await, [owed(&second)]);

    // Cash and a withdrawal at once: whichever came first, the list says what is so.
    let owing_still = charge(&clerk, &second).await.unwrap();
    let (taken, ended) = tokio::join!(cash(&clerk, &owing_still, "BL-3", 8_000), withdraw(&stack, &second));
    ended.unwrap();
    let expected = taken.is_ok().then(|| (second.case_code.clone(), vec![REFUNDS_DUE]));
    assert_eq!(all(&leader).await, expected.into_iter().collect::<Vec<_>>());
    whole(&stack).await;
}

#[tokio::test]
async fn what_the_platform_contradicts_is_in_doubt_until_the_sides_agree_or_somebody_settles_it() {
    let (stack, platform) = Platform::stack().await;
    let case = owing(&stack).await;
    let code = case.case_code.as_str();
    let officer = stack.staff("officer", TRUONG_VINH);
    ask_for_payment(&officer, &charge(&officer, &case).await.unwrap())
        .await
        .unwrap();
    let pending = until(&stack, &case, is_pending).await;
    let ours = stack.staff("fee_accountant", TRUONG_VINH);
    assert!(listed(&ours, OWED).await[0].order_open);

    // Another amount than was asked for was paid: it is not believed, and looked into.
    platform.says(code, 9_000);
    platform.set(code, OrderState::Paid);
    until(&stack, &case, |charge| charge.payments[0].problem == "AMOUNT_DIFFERS").await;
    let ours = stack.staff("fee_accountant", TRUONG_VINH);
    assert_eq!(all(&ours).await, [(code.to_owned(), vec![OWED, IN_DOUBT])]);
    platform.says(code, 8_000);
    until(&stack, &case, |charge| charge.state() == ChargeState::Paid).await;
    let ours = stack.staff("fee_accountant", TRUONG_VINH);
    assert_eq!(all(&ours).await, []);

    // The list of the day has another amount: in doubt until it has the same again, or somebody settles the difference.
    let day = date(2026, 11, 23);
    let line = format!("23/11/2026,{code},{},8000\n", pending.payments[0].reference);
    import_treasury(&ours, TRUONG_VINH, day, &line).await.unwrap();
    platform.says(code, 9_000);
    let done = reconcile_day(&ours, TRUONG_VINH, day).await.unwrap();
    assert_eq!((done.matched, done.open_differences), (0, 1));
    let doubted = listed(&ours, IN_DOUBT).await;
    assert_eq!(doubted.len(), 1);
    assert_eq!(
        (money(&doubted[0]), doubted[0].states().collect::<Vec<_>>()),
        ((None, 8_000, 0), vec![IN_DOUBT])
    );
    let neighbour = stack.staff("fee_accountant", THANH_VINH);
    assert_eq!(all(&neighbour).await, []);
    platform.says(code, 8_000);
    let done = reconcile_day(&ours, TRUONG_VINH, day).await.unwrap();
    assert_eq!((done.matched, done.gone_differences), (1, 1));
    assert_eq!(all(&ours).await, [], "the sides agree");
    platform.says(code, 9_000);
    reconcile_day(&ours, TRUONG_VINH, day).await.unwrap();
    assert_eq!(all(&ours).await, [(code.to_owned(), vec![IN_DOUBT])]);
    whole(&stack).await;
    let mut fees = ours.clone().fees;
    let open = proto::ListDifferencesRequest {
        open_only: true,
        ..Default::default()
    };
    let open = fees.list_differences(open).await.unwrap().into_inner().differences;
    let settle = proto::SettleDifferenceRequest {
        request_id: request_id(),
        difference_id: open[0].difference_id.clone(),
        etag: open[0].etag.clone(),
        resolution: "nền tảng xác nhận 8.000 đồng".to_owned(),
    };
    fees.settle_difference(settle).await.unwrap();
    assert_eq!(all(&ours).await, [], "somebody settled it");

    // A withdrawn case: the refund is due until it is made, not until it is decided.
    platform.says(code, 8_000);
    let now = get(&stack.staff("officer", TRUONG_VINH), &case.case_id).await.unwrap();
    withdraw(&stack, &now).await.unwrap();
    let leader = stack.staff("unit_leader", TRUONG_VINH);
    let due = listed(&leader, REFUNDS_DUE).await;
    assert_eq!(due.iter().map(money).collect::<Vec<_>>(), [(None, 8_000, 8_000)]);
    let held = charge(&leader, &case).await.unwrap();
    let ordered = refund(&leader, &held, 0).await.unwrap();
    assert_eq!(ordered.state(), ChargeState::Refunding);
    until(&stack, &case, |charge| charge.state() == ChargeState::Refunded).await;
    assert_eq!(all(&stack.staff("unit_leader", TRUONG_VINH)).await, []);
    whole(&stack).await;
}

#[tokio::test]
async fn unsettled_charges_are_shown_to_who_may_for_a_purpose_and_what_a_closed_unit_left_to_its_successor() {
    let stack = Stack::start().await;
    let (finished, open) = (owing(&stack).await, owing(&stack).await);
    for role in ["one_stop_clerk", "officer", "case_reader", "procedure_controller"] {
        let status = page(
            &stack.staff(role, TRUONG_VINH),
            proto::ListUnsettledChargesRequest::default(),
        )
        .await;
        assert_eq!(status.unwrap_err().code(), Code::PermissionDenied, "{role}");
    }
    let of_ours = proto::ListUnsettledChargesRequest {
        unit_id: TRUONG_VINH,
        ..Default::default()
    };
    for role in ["fee_accountant", "unit_leader"] {
        let neighbour = stack.staff(role, THANH_VINH);
        assert_eq!(all(&neighbour).await, [], "{role}");
        let status = page(&neighbour, of_ours.clone()).await.unwrap_err();
        assert_eq!(reason(&status), "UNIT_NOT_IN_SCOPE");
        assert_eq!(all(&stack.staff(role, TRUONG_VINH)).await.len(), 2, "{role}");
        assert_eq!(all(&stack.staff(role, PROVINCE)).await.len(), 2, "{role}");
    }
    let subject = Uuid::from_u128(0x77);
    let token = stack.tokens.staff(subject, &[("fee_accountant", TRUONG_VINH)]);
    let status = page(&stack.client(Some(token), None), of_ours.clone())
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "PURPOSE_MISSING");
    let unknown = proto::ListUnsettledChargesRequest {
        state: 9,
        ..Default::default()
    };
    let accountant = stack.staff("fee_accountant", TRUONG_VINH);
    assert_eq!(
        page(&accountant, unknown).await.unwrap_err().code(),
        Code::InvalidArgument
    );
    let mut superuser = stack.database.connect_as_superuser().await.unwrap();
    let recorded: Vec<Vec<String>> = sqlx::query_scalar(
        "SELECT resources FROM egov.read_records WHERE method LIKE '%/ListUnsettledCharges' AND purpose = 'case_handling' AND $1 = ANY (subjects)",
    )
    .bind(citizen())
    .fetch_all(&mut superuser)
    .await
    .unwrap();
    assert_eq!(recorded.len(), 4, "each list that showed something of the citizen");
    for case in [&finished, &open] {
        let resource = format!("cases/{}", case.case_code);
        assert!(
            recorded.iter().all(|resources| resources.contains(&resource)),
            "{recorded:?}"
        );
    }

    // Finished cases stay where they were finished, the others move.
    let approved = approve(&stack, &finished).await;
    let back = proto::ReturnResultRequest {
        request_id: request_id(),
        case_id: approved.case_id.clone(),
        etag: approved.etag.clone(),
        channel: proto::Channel::Counter.into(),
        recipient_name: "Nguyễn Thị Hường".to_owned(),
    };
    let mut cases = stack.staff("one_stop_clerk", TRUONG_VINH).cases;
    cases.return_result(back).await.unwrap();
    stack.advance(SignedDuration::from_hours(24)).await;
    stack
        .reorganise(
            date(2026, 11, 24),
            &[(TRUONG_VINH, THANH_VINH), (COUNTER, THANH_VINH)],
            Vec::new(),
        )
        .await;
    assert_eq!(crate::units::settle(&stack).await, 0);
    let successor = stack.staff("fee_accountant", THANH_VINH);
    let left = listed(&successor, OWED).await;
    let mut at: Vec<(i32, &str)> = left.iter().map(|one| (one.unit_id, one.case_code.as_str())).collect();
    at.sort_unstable();
    assert_eq!(
        at,
        [
            (TRUONG_VINH, finished.case_code.as_str()),
            (THANH_VINH, open.case_code.as_str())
        ]
    );
    let narrowed = page(&successor, of_ours).await.unwrap().charges;
    assert_eq!(narrowed.len(), 1, "by the name of the unit that closed");
    whole(&stack).await;
}
