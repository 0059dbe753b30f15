//! An order to pay.

use egov_partners::payment::{Order, OrderState};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

/// Where a payment is. The numbers are those of the contract and the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PaymentState {
    Ordered = 1,
    Pending = 2,
    Paid = 3,
    Refunded = 4,
    Expired = 5,
}

impl PaymentState {
    pub(crate) const fn number(self) -> i16 {
        self as i16
    }

    pub(crate) fn from_number(number: i16) -> Option<Self> {
        [Self::Ordered, Self::Pending, Self::Paid, Self::Refunded, Self::Expired]
            .into_iter()
            .find(|state| state.number() == number)
    }
}

/// So far the platform's clock may be from ours: what it says of a time farther away is no time of this order.
const CLOCKS_APART: SignedDuration = SignedDuration::from_hours(24);

/// An order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PaymentOrder {
    pub(crate) id: Uuid,
    pub(crate) unit_id: i32,
    pub(crate) order_code: String,
    pub(crate) case_code: String,
    /// VND.
    pub(crate) amount: i64,
    pub(crate) state: PaymentState,
    pub(crate) pay_url: String,
    pub(crate) transaction: String,
    pub(crate) delivery_id: Uuid,
    /// When it was paid, as the platform says.
    pub(crate) settle_time: Option<Timestamp>,
    /// When the money went back, as the platform says.
    pub(crate) refund_time: Option<Timestamp>,
    pub(crate) version: i64,
    pub(crate) create_time: Timestamp,
    pub(crate) update_time: Timestamp,
}

impl PaymentOrder {
    /// What the platform says of the order. What comes late or twice has no effect: false. Of a time that cannot be one of this order
    /// nothing is kept.
    pub(crate) fn report(&mut self, said: &Order, now: Timestamp) -> bool {
        let before = match self.state {
            PaymentState::Ordered | PaymentState::Pending => OrderState::Pending,
            PaymentState::Paid => OrderState::Paid,
            PaymentState::Refunded => OrderState::Refunded,
            PaymentState::Expired => OrderState::Expired,
        };
        let known = self.state == PaymentState::Ordered && said.state == OrderState::Pending;
        if !said.state.follows(before) && !known {
            return false;
        }
        let possible = |at: &Timestamp| {
            at.duration_until(now) >= -CLOCKS_APART && self.create_time.duration_until(*at) >= -CLOCKS_APART
        };
        let (settled, refunded) = (said.settle_time.filter(possible), said.refund_time.filter(possible));
        if matches!(said.state, OrderState::Paid | OrderState::Refunded) {
            self.settle_time = self.settle_time.or(settled);
        }
        if said.state == OrderState::Refunded {
            self.refund_time = self.refund_time.or(refunded);
        }
        self.state = match said.state {
            OrderState::Pending => PaymentState::Pending,
            OrderState::Paid => PaymentState::Paid,
            OrderState::Refunded => PaymentState::Refunded,
            OrderState::Expired => PaymentState::Expired,
        };
        if !said.transaction.is_empty() {
            self.transaction.clone_from(&said.transaction);
        }
        self.version = self.version.saturating_add(1);
        self.update_time = now;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ordered(now: Timestamp) -> PaymentOrder {
        PaymentOrder {
            id: Uuid::from_u128(1),
            unit_id: 2,
            order_code: "o".to_owned(),
            case_code: "c".to_owned(),
            amount: 1,
            state: PaymentState::Ordered,
            pay_url: String::new(),
            transaction: String::new(),
            delivery_id: Uuid::from_u128(2),
            settle_time: None,
            refund_time: None,
            version: 1,
            create_time: now,
            update_time: now,
        }
    }

    fn said(state: OrderState, transaction: &str) -> Order {
        Order {
            order_code: "o".to_owned(),
            amount: 1,
            state,
            transaction: transaction.to_owned(),
            pay_url: String::new(),
            settle_time: None,
            refund_time: None,
        }
    }

    #[test]
    fn a_payment_goes_forward_only_whatever_order_reports_come_in() {
        let now = "2026-11-26T01:00:00Z".parse().unwrap();
        let mut order = ordered(now);
        assert!(
            order.report(&said(OrderState::Paid, "t"), now),
            "the call-back may come before our own answer"
        );
        assert!(!order.report(&said(OrderState::Pending, ""), now));
        assert!(!order.report(&said(OrderState::Paid, "other"), now));
        assert_eq!(
            (order.state, order.transaction.as_str(), order.version),
            (PaymentState::Paid, "t", 2)
        );
        assert!(order.report(&said(OrderState::Refunded, ""), now));
        assert!(!order.report(&said(OrderState::Paid, ""), now));
    }

    #[test]
    fn the_times_are_the_platforms_as_far_as_they_can_be() {
        let now: Timestamp = "2026-11-26T17:00:02Z".parse().unwrap();
        let before_midnight: Timestamp = "2026-11-26T16:59:58Z".parse().unwrap();
        let mut order = ordered("2026-11-26T01:00:00Z".parse().unwrap());
        let paid = Order {
            settle_time: Some(before_midnight),
            ..said(OrderState::Paid, "t")
        };
        assert!(order.report(&paid, now));
        assert_eq!((order.settle_time, order.update_time), (Some(before_midnight), now));
        let back = Order {
            settle_time: Some(now),
            refund_time: Some(now),
            ..said(OrderState::Refunded, "t")
        };
        assert!(order.report(&back, now));
        assert_eq!(
            (order.settle_time, order.refund_time),
            (Some(before_midnight), Some(now))
        );
        for impossible in ["2026-11-20T01:00:00Z", "2027-11-26T01:00:00Z"] {
            let mut order = ordered(now);
            let paid = Order {
                settle_time: Some(impossible.parse().unwrap()),
                ..said(OrderState::Paid, "t")
            };
            assert!(order.report(&paid, now), "that it was paid is believed");
            assert_eq!(order.settle_time, None, "{impossible}");
        }
    }
}
