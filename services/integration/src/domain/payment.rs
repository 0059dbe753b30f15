//! An order to pay.

use egov_partners::payment::OrderState;
use jiff::Timestamp;
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
    pub(crate) version: i64,
    pub(crate) create_time: Timestamp,
    pub(crate) update_time: Timestamp,
}

impl PaymentOrder {
    /// The platform says that the order is in this state. What comes late or twice has no effect: false.
    pub(crate) fn report(&mut self, said: OrderState, transaction: &str, now: Timestamp) -> bool {
        let before = match self.state {
            PaymentState::Ordered | PaymentState::Pending => OrderState::Pending,
            PaymentState::Paid => OrderState::Paid,
            PaymentState::Refunded => OrderState::Refunded,
            PaymentState::Expired => OrderState::Expired,
        };
        let known = self.state == PaymentState::Ordered && said == OrderState::Pending;
        if !said.follows(before) && !known {
            return false;
        }
        self.state = match said {
            OrderState::Pending => PaymentState::Pending,
            OrderState::Paid => PaymentState::Paid,
            OrderState::Refunded => PaymentState::Refunded,
            OrderState::Expired => PaymentState::Expired,
        };
        if !transaction.is_empty() {
            transaction.clone_into(&mut self.transaction);
        }
        self.version = self.version.saturating_add(1);
        self.update_time = now;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payment_goes_forward_only_whatever_order_reports_come_in() {
        let now = "2026-11-26T01:00:00Z".parse().unwrap();
        let mut order = PaymentOrder {
            id: Uuid::from_u128(1),
            unit_id: 2,
            order_code: "o".to_owned(),
            case_code: "c".to_owned(),
            amount: 1,
            state: PaymentState::Ordered,
            pay_url: String::new(),
            transaction: String::new(),
            delivery_id: Uuid::from_u128(2),
            version: 1,
            create_time: now,
            update_time: now,
        };
        assert!(
            order.report(OrderState::Paid, "t", now),
            "the call-back may come before our own answer"
        );
        assert!(!order.report(OrderState::Pending, "", now));
        assert!(!order.report(OrderState::Paid, "other", now));
        assert_eq!(
            (order.state, order.transaction.as_str(), order.version),
            (PaymentState::Paid, "t", 2)
        );
        assert!(order.report(OrderState::Refunded, "", now));
        assert!(!order.report(OrderState::Paid, "", now));
    }
}
