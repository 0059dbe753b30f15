use proptest::prelude::*;

use super::super::pack::{Fact, FactStatus};
use super::*;

fn now() -> Timestamp {
    "2026-11-23T01:00:00Z".parse().unwrap()
}

fn day(_: Timestamp) -> Date {
    jiff::civil::date(2026, 11, 23)
}

fn charge(amounts: &[Option<i64>]) -> Charge {
    let fees = amounts.iter().zip(1..).map(|(amount, number)| ChargedFee {
        number,
        name: format!("Lệ phí {number}"),
        kind: "le_phi".to_owned(),
        amount_vnd: *amount,
        per: (number == 2).then(|| "bản".to_owned()),
        quantity: 1,
        basis: Basis::default(),
        exemption: None,
    });
    Charge {
        case_id: Uuid::from_u128(7),
        case_code: "H41.201-261123-0001".to_owned(),
        responsible_unit_id: 2,
        owner_id: None,
        fees: fees.collect(),
        payments: Vec::new(),
        version: 0,
    }
}

fn exemption(reduced_to_vnd: i64) -> Exemption {
    Exemption {
        reduced_to_vnd,
        reason: "hộ nghèo".to_owned(),
        legal_basis: "nghị quyết của HĐND".to_owned(),
        evidence_file_id: None,
        officer_id: Uuid::from_u128(1),
        time: now(),
    }
}

fn refund() -> Refund {
    Refund {
        request_id: Uuid::from_u128(9),
        reason: "rút hồ sơ".to_owned(),
        decision_number: "01/QĐ".to_owned(),
        decided_by: Uuid::from_u128(1),
        decide_time: now(),
        done_time: None,
    }
}

fn order(state: OrderState, amount_vnd: i64) -> Order {
    Order {
        order_id: Uuid::from_u128(5),
        order_code: "o-5".to_owned(),
        amount_vnd,
        state,
        pay_url: "https://pay".to_owned(),
        transaction: if state == OrderState::Paid { "T5" } else { "" }.to_owned(),
        settle_time: None,
        refund_time: None,
        update_time: now(),
    }
}

const PAYMENT: Uuid = Uuid::from_u128(3);
const OTHER: Uuid = Uuid::from_u128(4);

#[test]
fn what_is_due_by_number_is_multiplied_and_what_is_due_once_is_not() {
    let mut charge = charge(&[Some(50_000), Some(8_000)]);
    charge.set_quantities(&[(2, 3)]).unwrap();
    assert_eq!(charge.owed_vnd(), Some(74_000));
    let before = charge.clone();
    assert_eq!(
        charge.set_quantities(&[(1, 2), (2, 5), (2, 6)]),
        Err(FeeRefused::Quantities(vec![
            (0, QuantityFlaw::DueOnce),
            (2, QuantityFlaw::Twice)
        ]))
    );
    assert_eq!(
        charge.set_quantities(&[(9, 2), (2, 5), (8, 1)]),
        Err(FeeRefused::FeeUnknown(vec![9, 8]))
    );
    assert_eq!(charge, before, "all of it or nothing");
}

#[test]
fn what_a_fee_is_due_for_is_read_by_its_place_where_a_name_is_there_twice() {
    let fee = |code: &str, per: Option<&str>| Fee {
        code: code.to_owned(),
        name: "Lệ phí".to_owned(),
        kind: None,
        amount_vnd: Some(1_000),
        per: per.map(str::to_owned),
        when: None,
        exemptions: Vec::new(),
        fact: Fact {
            status: FactStatus::Confirmed,
            source: "một nguồn".to_owned(),
            by: None,
            when: None,
            basis: None,
            demonstration: false,
        },
    };
    let (once, each) = (fee("a", None), fee("b", Some("bản")));
    let per = |fees: &[&Fee]| {
        let places = fees.iter().enumerate();
        places
            .map(|(place, fee)| per_of(fees, place, &fee.name))
            .collect::<Vec<_>>()
    };
    assert_eq!(per(&[&once, &each]), [None, Some("bản".to_owned())]);
    assert_eq!(per(&[&each, &once]), [Some("bản".to_owned()), None]);
    assert_eq!(per_of(&[&each], 3, "Lệ phí"), Some("bản".to_owned()));
    assert_eq!(per_of(&[&each], 0, "Phí"), None);
}

#[test]
fn what_was_paid_for_is_counted_up_and_left_to_pay_and_never_down() {
    let mut charge = charge(&[Some(50_000), Some(8_000)]);
    charge.set_quantities(&[(2, 2)]).unwrap();
    charge.take_cash(PAYMENT, "BL1", 66_000, (now(), day(now()))).unwrap();
    assert_eq!(charge.set_quantities(&[(2, 1)]), Err(FeeRefused::AlreadyPaid));
    charge.set_quantities(&[(2, 3)]).unwrap();
    assert_eq!(
        (charge.state(true), charge.outstanding()),
        (ChargeState::Unpaid, Ok(8_000))
    );
    charge.take_cash(OTHER, "BL2", 8_000, (now(), day(now()))).unwrap();
    assert_eq!(charge.state(true), ChargeState::Paid);
}

#[test]
fn what_is_waived_after_it_was_paid_goes_back() {
    let mut charge = charge(&[Some(8_000)]);
    charge.take_cash(PAYMENT, "BL1", 8_000, (now(), day(now()))).unwrap();
    charge.exempt(1, exemption(0)).unwrap();
    assert_eq!(charge.state(true), ChargeState::RefundDue);
    charge.decide_refund(PAYMENT, refund(), true).unwrap();
    assert_eq!(charge.state(true), ChargeState::Refunded);
}

#[test]
fn what_is_reduced_after_it_was_paid_goes_back_whole_and_the_rest_is_left_to_pay() {
    let mut charge = charge(&[Some(8_000)]);
    charge.take_cash(PAYMENT, "BL1", 8_000, (now(), day(now()))).unwrap();
    charge.exempt(1, exemption(3_000)).unwrap();
    assert_eq!(charge.state(true), ChargeState::RefundDue);
    charge.decide_refund(PAYMENT, refund(), true).unwrap();
    assert_eq!(
        (charge.state(true), charge.outstanding()),
        (ChargeState::Unpaid, Ok(3_000))
    );
    assert!(charge.is_payable(true) && !charge.is_payable(false));
}

#[test]
fn of_two_payments_the_one_that_is_too_much_goes_back_and_no_other() {
    let mut charge = charge(&[Some(8_000), Some(8_000)]);
    charge.take_cash(PAYMENT, "BL1", 16_000, (now(), day(now()))).unwrap();
    charge.set_quantities(&[(2, 2)]).unwrap();
    charge.take_cash(OTHER, "BL2", 8_000, (now(), day(now()))).unwrap();
    charge.exempt(1, exemption(0)).unwrap();
    assert_eq!(
        charge.decide_refund(PAYMENT, refund(), true),
        Err(FeeRefused::RefundNotDue),
        "16,000 are more than what is too much, and a payment of 8,000 is there"
    );
    charge.decide_refund(OTHER, refund(), true).unwrap();
    assert_eq!(charge.state(true), ChargeState::Paid);
}

#[test]
fn an_exemption_leaves_nothing_or_less_and_another_number_takes_it_back() {
    let mut charge = charge(&[Some(50_000), Some(8_000)]);
    assert_eq!(charge.exempt(1, exemption(50_001)), Err(FeeRefused::NotLess(50_000)));
    charge.exempt(1, exemption(25_000)).unwrap();
    charge.exempt(2, exemption(0)).unwrap();
    assert_eq!(charge.owed_vnd(), Some(25_000));
    charge.set_quantities(&[(2, 2)]).unwrap();
    assert_eq!(charge.owed_vnd(), Some(41_000));
    charge.exempt(1, exemption(0)).unwrap();
    charge.exempt(2, exemption(0)).unwrap();
    assert_eq!(charge.state(true), ChargeState::Free);
    assert_eq!(charge.request(PAYMENT, now()), Err(FeeRefused::NothingToPay));
}

#[test]
fn an_amount_that_nobody_established_is_not_asked_for() {
    let mut charge = charge(&[Some(1), None]);
    assert_eq!(
        charge.request(PAYMENT, now()),
        Err(FeeRefused::NotEstablished(vec!["Lệ phí 2".to_owned()]))
    );
    assert_eq!(charge.state(true), ChargeState::Unpaid);
}

#[test]
fn one_order_is_open_at_a_time_and_nothing_is_assessed_while_it_is() {
    let mut charge = charge(&[Some(8_000)]);
    charge.request(PAYMENT, now()).unwrap();
    assert_eq!(charge.request(OTHER, now()), Err(FeeRefused::Pending(PAYMENT)));
    assert_eq!(charge.exempt(1, exemption(0)), Err(FeeRefused::Pending(PAYMENT)));
    assert_eq!(charge.state(true), ChargeState::Awaiting);
    assert_eq!(
        charge.report(PAYMENT, &order(OrderState::Expired, 8_000), day),
        Reported::Expired
    );
    assert_eq!(charge.state(true), ChargeState::Unpaid);
    charge.request(OTHER, now()).unwrap();
    assert_eq!(charge.payments.len(), 2);
}

#[test]
fn cash_beside_an_order_that_is_paid_after_all_is_a_refund_that_is_due() {
    let mut charge = charge(&[Some(8_000)]);
    charge.request(PAYMENT, now()).unwrap();
    assert_eq!(
        charge.take_cash(OTHER, "BL1", 1, (now(), day(now()))),
        Err(FeeRefused::OtherAmount(8_000))
    );
    charge.take_cash(OTHER, "BL1", 8_000, (now(), day(now()))).unwrap();
    assert_eq!(charge.state(true), ChargeState::Paid);
    assert_eq!(
        charge.decide_refund(OTHER, refund(), true),
        Err(FeeRefused::RefundNotDue)
    );
    assert_eq!(
        charge.report(PAYMENT, &order(OrderState::Paid, 8_000), day),
        Reported::Received
    );
    assert_eq!(charge.state(true), ChargeState::RefundDue);
    charge.decide_refund(PAYMENT, refund(), true).unwrap();
    assert_eq!(charge.state(true), ChargeState::Refunding);
    assert_eq!(
        charge.report(PAYMENT, &order(OrderState::Refunded, 8_000), day),
        Reported::Refunded
    );
    assert_eq!(charge.state(true), ChargeState::Paid);
    assert_eq!(charge.payments[0].refund.as_ref().unwrap().done_time, Some(now()));
}

#[test]
fn what_was_paid_for_a_case_that_ended_without_a_result_may_go_back_and_cash_goes_back_at_once() {
    let mut charge = charge(&[Some(8_000)]);
    charge.take_cash(PAYMENT, "BL1", 8_000, (now(), day(now()))).unwrap();
    assert_eq!(charge.state(false), ChargeState::RefundDue);
    charge.decide_refund(PAYMENT, refund(), false).unwrap();
    assert_eq!((charge.state(false), charge.held_vnd()), (ChargeState::Refunded, 0));
    assert_eq!(
        charge.decide_refund(PAYMENT, refund(), false),
        Err(FeeRefused::PaymentState(PaymentState::Refunded))
    );
}

#[test]
fn a_report_of_another_amount_or_order_changes_nothing() {
    let mut charge = charge(&[Some(8_000)]);
    charge.request(PAYMENT, now()).unwrap();
    let before = charge.clone();
    assert_eq!(
        charge.report(PAYMENT, &order(OrderState::Paid, 1), day),
        Reported::Nothing
    );
    assert_eq!(charge, before);
    charge.report(PAYMENT, &order(OrderState::Pending, 8_000), day);
    let other = Order {
        order_id: Uuid::from_u128(6),
        ..order(OrderState::Paid, 8_000)
    };
    assert_eq!(charge.report(PAYMENT, &other, day), Reported::Nothing);
}

#[test]
fn the_day_of_a_payment_and_of_a_refund_is_the_platforms() {
    let (at, heard) = ("2026-11-22T16:59:58Z", "2026-11-22T17:00:03Z");
    let [at, heard] = [at, heard].map(|text| text.parse::<Timestamp>().unwrap());
    let in_vietnam = |at: Timestamp| egov_calendar::vietnam_time(at).date();
    let mut charge = charge(&[Some(8_000)]);
    charge.request(PAYMENT, now()).unwrap();
    let paid = Order {
        settle_time: Some(at),
        update_time: heard,
        ..order(OrderState::Paid, 8_000)
    };
    assert_eq!(charge.report(PAYMENT, &paid, in_vietnam), Reported::Received);
    let payment = charge.payment(PAYMENT).unwrap();
    assert_eq!(
        (payment.paid_time, payment.paid_day),
        (Some(at), Some(jiff::civil::date(2026, 11, 22)))
    );
    charge.decide_refund(PAYMENT, refund(), false).unwrap();
    let back = Order {
        refund_time: Some(heard),
        update_time: now(),
        ..order(OrderState::Refunded, 8_000)
    };
    assert_eq!(charge.report(PAYMENT, &back, in_vietnam), Reported::Refunded);
    let refund = charge.payment(PAYMENT).unwrap().refund.as_ref().unwrap();
    assert_eq!(refund.done_time, Some(heard));
}

#[test]
fn what_is_reconciled_by_what_no_longer_counts_is_paid_until_it_agrees_again() {
    let mut charge = charge(&[Some(8_000)]);
    charge.take_cash(PAYMENT, "BL1", 8_000, (now(), day(now()))).unwrap();
    assert_eq!(charge.reopen(PAYMENT), Ok(false), "it did not agree yet");
    let paid = charge.clone();
    assert_eq!(charge.reconcile(PAYMENT), Ok(true));
    assert_eq!(charge.reopen(PAYMENT), Ok(true));
    assert_eq!(
        (charge.state(true), charge.version),
        (ChargeState::Paid, paid.version + 2)
    );
    assert_eq!(charge.payments, paid.payments);
    assert_eq!(charge.reconcile(PAYMENT), Ok(true));
    assert_eq!(charge.reopen(OTHER), Err(FeeRefused::PaymentNotFound));
}

#[test]
fn what_the_platform_contradicts_is_in_doubt_until_it_agrees_or_the_money_is_back() {
    let mut charge = charge(&[Some(8_000)]);
    charge.request(PAYMENT, now()).unwrap();
    let other = order(OrderState::Paid, 9_000);
    assert!(charge.note_amount(PAYMENT, &other) && !charge.note_amount(PAYMENT, &other));
    let states = |charge: &Charge| charge.unsettled(true).map(|unsettled| unsettled.states());
    assert_eq!(
        states(&charge),
        Some(vec![UnsettledState::Owed, UnsettledState::InDoubt])
    );
    let paid = order(OrderState::Paid, 8_000);
    assert!(charge.note_amount(PAYMENT, &paid));
    charge.report(PAYMENT, &paid, day);
    assert_eq!(states(&charge), None);
    charge.payments[0].listed_otherwise = true;
    assert_eq!(states(&charge), Some(vec![UnsettledState::InDoubt]));
    charge.payments[0].state = PaymentState::Refunded;
    assert_eq!(states(&charge), Some(vec![UnsettledState::Owed]), "and owed anew");
    assert!(!charge.note_amount(OTHER, &other), "there is no such payment");
}

#[test]
fn what_nobody_established_is_owed_without_an_amount_and_never_given_back() {
    let mut charge = charge(&[Some(8_000)]);
    charge.take_cash(PAYMENT, "BL1", 8_000, (now(), day(now()))).unwrap();
    assert_eq!(charge.unsettled(true), None);
    charge.fees[0].amount_vnd = None;
    let unsettled = charge.unsettled(true).unwrap();
    assert_eq!(unsettled.states(), [UnsettledState::Owed]);
    assert_eq!((unsettled.left_vnd, unsettled.refund_vnd), (None, 0));
    let ended = charge.unsettled(false).unwrap();
    assert_eq!(ended.states(), [UnsettledState::RefundsDue]);
    assert_eq!((ended.held_vnd, ended.refund_vnd), (8_000, 8_000));
}

proptest! {
    /// A second, plain reading after whatever acts: what is held, left, too much and on its way are sums by hand, and a charge is on
    /// the list exactly if its state says that something is to be done about the money, or the platform contradicts us.
    #[test]
    fn a_charge_is_unsettled_exactly_if_something_is_to_be_done_about_its_money(
        acts in proptest::collection::vec((0..9_u8, 0..4_usize), 0..20),
        obliged: bool,
    ) {
        let mut charge = charge(&[Some(50_000), Some(8_000)]);
        for (number, (act, which)) in acts.into_iter().enumerate() {
            let chosen = charge.payments.get(which).map(|payment| (payment.payment_id, payment.amount_vnd));
            let new = Uuid::from_u128(100 + number as u128);
            let left = charge.owed_vnd().unwrap() - charge.held_vnd();
            let about = |state: OrderState, amount_vnd: i64| Order {
                order_id: Uuid::from_u128(7),
                ..order(state, amount_vnd)
            };
            let before = charge.clone();
            let did = match (act, chosen) {
                (0, _) => charge.request(new, now()).is_ok(),
                (1, _) => charge.take_cash(new, &format!("BL{number}"), left, (now(), day(now()))).is_ok(),
                (2, _) => charge.set_quantities(&[(2, which as i32 + 1)]).is_ok(),
                (3, _) => charge.exempt(1, exemption(which as i64 * 10_000)).is_ok(),
                (4, Some((id, amount))) => charge.report(id, &about(OrderState::Paid, amount), day) != Reported::Nothing,
                (5, Some((id, amount))) => charge.report(id, &about(OrderState::Expired, amount), day) != Reported::Nothing,
                (6, Some((id, _))) => charge.decide_refund(id, refund(), obliged).is_ok(),
                (7, Some((id, amount))) => charge.report(id, &about(OrderState::Refunded, amount), day) != Reported::Nothing,
                (8, Some((id, _))) => charge.reconcile(id) == Ok(true),
                _ => false,
            };
            prop_assert_eq!(charge.version, before.version + i64::from(did));
            if !did {
                prop_assert_eq!(&charge, &before, "what is refused changes nothing");
            }
            let sum = |states: &[PaymentState]| -> i64 {
                let of = charge.payments.iter().filter(|payment| states.contains(&payment.state));
                of.map(|payment| payment.amount_vnd).sum()
            };
            let held = sum(&[PaymentState::Paid, PaymentState::Reconciled]);
            let on_its_way = sum(&[PaymentState::RefundOrdered]);
            let owed = if obliged { charge.owed_vnd().unwrap() } else { 0 };
            let unsettled = charge.unsettled(obliged);
            prop_assert_eq!(unsettled.is_some(), held != owed || on_its_way > 0);
            let state = charge.state(obliged);
            let settled = matches!(state, ChargeState::Free | ChargeState::Paid | ChargeState::Reconciled | ChargeState::Refunded);
            let order_for_nothing = state == ChargeState::Awaiting && held == owed;
            prop_assert_eq!(unsettled.is_none(), settled || order_for_nothing, "{:?}", state);
            if let Some(unsettled) = unsettled {
                prop_assert_eq!(unsettled.owed, held < owed);
                prop_assert_eq!(unsettled.left_vnd.unwrap_or(0), (owed - held).max(0));
                prop_assert_eq!(unsettled.refund_vnd, (held - owed).max(0) + on_its_way);
                prop_assert_eq!(unsettled.refund_due, matches!(state, ChargeState::RefundDue | ChargeState::Refunding));
                prop_assert_eq!((unsettled.held_vnd, unsettled.in_doubt), (held, false));
            }
        }
    }
}

proptest! {
    /// Whatever reports come, in whatever order and however often, the money is counted once and the same reports again change nothing.
    #[test]
    fn reports_in_any_order_count_the_money_once(reports in proptest::collection::vec(0..5_usize, 0..12)) {
        let all = [OrderState::Ordered, OrderState::Pending, OrderState::Paid, OrderState::Refunded, OrderState::Expired];
        let mut charge = charge(&[Some(8_000)]);
        charge.request(PAYMENT, now()).unwrap();
        let mut received = 0;
        for place in &reports {
            let reported = charge.report(PAYMENT, &order(all[*place], 8_000), day);
            received += u32::from(reported == Reported::Received);
            let again = charge.clone();
            prop_assert_eq!(charge.report(PAYMENT, &order(all[*place], 8_000), day), Reported::Nothing);
            prop_assert_eq!(&charge, &again);
        }
        prop_assert!(received <= 1);
        let paid = reports.contains(&2);
        let refunded = reports.contains(&3);
        let held = charge.held_vnd();
        prop_assert_eq!(held, if paid && !refunded { 8_000 } else { 0 });
        prop_assert_eq!(charge.payments.len(), 1);
    }
}
