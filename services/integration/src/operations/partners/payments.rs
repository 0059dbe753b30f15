//! CreatePaymentOrder, GetPaymentOrder, RefundPaymentOrder, ListSettledPayments, and the platform's call-back.

use egov_auth::{Caller, Resource, RowScope};
use egov_database::{Event, Leaf, UnitOfWork, WriteRequest, stored_instant};
use egov_partners::Partner;
use egov_partners::payment::{NewOrder, NewRefund, NoticeError, Order, OrderState};
use egov_proto::egov::integration::v1::{
    CreatePaymentOrderRequest, CreatePaymentOrderResponse, RefundPaymentOrderRequest, RefundPaymentOrderResponse,
};
use jiff::civil::Date;
use uuid::Uuid;

use super::{Message, NewDelivery, Partners, connected, record};
use crate::domain::payment::{PaymentOrder, PaymentState};
use crate::error::Error;
use crate::store::{deliveries, payments};

const CREATE: &str = "integration.payments.create";
const READ: &str = "integration.payments.read";
const REFUND: &str = "integration.payments.refund";

/// What the platform settled on a day, and what it gave back on it.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    /// Orders that the caller sees: unit, case code, and what the platform says.
    pub(crate) seen: Vec<(i32, String, Order)>,
    /// What no order of ours is.
    pub(crate) unknown: Vec<Order>,
}

/// Why a call-back is answered with a refusal.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoticeRefusal {
    /// It is not believed.
    #[error(transparent)]
    Disbelieved(#[from] NoticeError),
    /// There is no such order.
    #[error("there is no such order")]
    UnknownOrder,
    /// It names another amount than the order.
    #[error("the amount is not the order's")]
    WrongAmount,
    /// It could not be recorded: the platform comes again.
    #[error(transparent)]
    Failed(#[from] Error),
}

impl From<egov_fault::Fault> for NoticeRefusal {
    fn from(fault: egov_fault::Fault) -> Self {
        Self::Failed(fault.into())
    }
}

impl From<crate::store::StoreError> for NoticeRefusal {
    fn from(error: crate::store::StoreError) -> Self {
        Self::Failed(error.into())
    }
}

impl Partners {
    /// Makes an order, at most once for a request id; a job makes it at the platform.
    pub(crate) async fn create_payment_order(
        &self,
        caller: &Caller,
        request_id: Uuid,
        body: &CreatePaymentOrderRequest,
        answer: impl FnOnce(&PaymentOrder) -> CreatePaymentOrderResponse + Send,
    ) -> Result<CreatePaymentOrderResponse, Error> {
        let platform = connected(self.connections.payment.as_ref(), Partner::PaymentPlatform)?;
        caller.require(CREATE, &Resource::of_unit(body.unit_id))?;
        let method = "egov.integration.v1.PaymentService/CreatePaymentOrder";
        let request = WriteRequest::by(caller, CREATE, method, request_id, body);
        let written = self
            .database
            .write(request, async |unit: &mut UnitOfWork<'_>| {
                let code = &body.case_code;
                self.agencies
                    .require_case(unit, body.unit_id, "case_code", code)
                    .await?;
                let order_id = unit.new_id();
                let order_code = order_id.to_string();
                let message = Message::CreateOrder {
                    order: NewOrder {
                        order_code: order_code.clone(),
                        amount: body.amount_vnd,
                        case_code: body.case_code.clone(),
                    },
                };
                let new = NewDelivery {
                    unit_id: body.unit_id,
                    partner_key: &order_code,
                    order_key: &order_code,
                    message: &message,
                    content_digest: "",
                    subjects: Vec::new(),
                    actor: &caller.key(),
                };
                let delivery = self.hand_in(unit, new, &platform.contract).await?;
                let order = PaymentOrder {
                    id: order_id,
                    unit_id: body.unit_id,
                    order_code: order_code.clone(),
                    case_code: body.case_code.clone(),
                    amount: body.amount_vnd,
                    state: PaymentState::Ordered,
                    pay_url: String::new(),
                    transaction: String::new(),
                    delivery_id: delivery.id,
                    settle_time: None,
                    refund_time: None,
                    version: 1,
                    create_time: unit.now(),
                    update_time: unit.now(),
                };
                payments::insert(unit.conn(), &order).await?;
                commit_to(unit, &order, "payment_ordered");
                unit.led_to(ORDER, order.id, 1);
                Ok::<_, Error>(answer(&order))
            })
            .await?;
        Ok(written.into_answer())
    }

    /// An order that the caller sees.
    pub(crate) async fn get_payment_order(&self, caller: &Caller, order_id: Uuid) -> Result<PaymentOrder, Error> {
        let scope = caller.scope(READ);
        self.database
            .read(&scope, async |connection| {
                payments::get(connection, order_id, &scope)
                    .await?
                    .ok_or(Error::PaymentOrderNotFound)
            })
            .await
    }

    /// Has a paid order given back, once; a job has the platform do it. Ordered again after its delivery failed or was given up, it is
    /// tried again as that delivery, so that the platform is asked first whether the money went back.
    pub(crate) async fn refund_payment_order(
        &self,
        caller: &Caller,
        request_id: Uuid,
        body: &RefundPaymentOrderRequest,
        order_id: Uuid,
        answer: impl FnOnce(&PaymentOrder) -> RefundPaymentOrderResponse + Send,
    ) -> Result<RefundPaymentOrderResponse, Error> {
        let platform = connected(self.connections.payment.as_ref(), Partner::PaymentPlatform)?;
        let scope = caller.scope(READ);
        let method = "egov.integration.v1.PaymentService/RefundPaymentOrder";
        let request = WriteRequest::by(caller, READ, method, request_id, body);
        let written = self
            .database
            .write(request, async |unit: &mut UnitOfWork<'_>| {
                let seen = payments::get(unit.conn(), order_id, &scope)
                    .await?
                    .ok_or(Error::PaymentOrderNotFound)?;
                caller.require(REFUND, &Resource::of_unit(seen.unit_id))?;
                let message = Message::RefundOrder {
                    refund: NewRefund {
                        order_code: seen.order_code.clone(),
                        amount: seen.amount,
                    },
                };
                // Of two who ask at once the second finds what the first has ordered. The delivery is held before the order, as by the job
                // that concludes it.
                deliveries::lock_matter(unit.conn(), &seen.order_code).await?;
                let partner = Partner::PaymentPlatform.name();
                let last = deliveries::last_of_matter(unit.conn(), partner, message.act(), &seen.order_code).await?;
                let ordered = match last {
                    Some(last) => deliveries::lock(unit.conn(), last.id).await?,
                    None => None,
                };
                let order = payments::lock(unit.conn(), &seen.order_code)
                    .await?
                    .ok_or(Error::PaymentOrderNotFound)?;
                if order.state != PaymentState::Paid {
                    return Err(Error::PaymentNotRefundable(order.state.number()));
                }
                if let Some((mut delivery, _)) = ordered {
                    if !delivery.redrive(unit.now()) {
                        return Err(Error::PaymentRefundOrdered);
                    }
                    deliveries::update(unit.conn(), &delivery, None).await?;
                    record(unit, &delivery, &caller.key(), None, "delivery_redriven").await?;
                    return Ok(answer(&order));
                }
                let new = NewDelivery {
                    unit_id: order.unit_id,
                    partner_key: &order.order_code,
                    order_key: &order.order_code,
                    message: &message,
                    content_digest: "",
                    subjects: Vec::new(),
                    actor: &caller.key(),
                };
                self.hand_in(unit, new, &platform.contract).await?;
                Ok::<_, Error>(answer(&order))
            })
            .await?;
        Ok(written.into_answer())
    }

    /// What the platform settled on a day, as far as the caller sees it.
    pub(crate) async fn settled_payments(&self, caller: &Caller, day: Date) -> Result<Settled, Error> {
        let platform = connected(self.connections.payment.as_ref(), Partner::PaymentPlatform)?;
        let scope = caller.scope(READ);
        let listed = platform
            .partner
            .reconciliation(day)
            .await
            .map_err(|error| Error::PartnerCall(Partner::PaymentPlatform, error))?;
        let codes: Vec<String> = listed.iter().map(|order| order.order_code.clone()).collect();
        // All of ours, so that an order out of the caller's sight is not taken for one that nobody made.
        let known = self
            .database
            .read(&RowScope::everything(), async |connection| {
                Ok::<_, Error>(payments::with_codes(connection, &codes).await?)
            })
            .await?;
        let mut settled = Settled::default();
        for order in listed {
            match known.get(&order.order_code) {
                None => settled.unknown.push(order),
                Some((unit_id, case_code)) if scope.all || scope.units.contains(unit_id) => {
                    settled.seen.push((*unit_id, case_code.clone(), order));
                }
                Some(_) => {}
            }
        }
        Ok(settled)
    }

    /// A call-back as it came. What came before or comes too late has no effect and is answered well all the same: the
    /// platform need not come again.
    pub(crate) async fn payment_notice(
        &self,
        timestamp: &str,
        signature: &str,
        body: &[u8],
    ) -> Result<bool, NoticeRefusal> {
        let platform = connected(self.connections.payment.as_ref(), Partner::PaymentPlatform)?;
        let notice = platform.partner.read_notice(timestamp, signature, body, self.now())?;
        self.database
            .write_unkeyed(&RowScope::everything(), async |unit: &mut UnitOfWork<'_>| {
                let order = Order {
                    order_code: notice.order_code.clone(),
                    amount: notice.amount,
                    state: notice.state,
                    transaction: notice.transaction.clone(),
                    pay_url: String::new(),
                    settle_time: notice.settle_time,
                    refund_time: notice.refund_time,
                };
                let known = payments::lock(unit.conn(), &order.order_code).await?;
                let Some(known) = known else {
                    return Err(NoticeRefusal::UnknownOrder);
                };
                if known.amount != order.amount {
                    return Err(NoticeRefusal::WrongAmount);
                }
                Ok(self.settle(unit, &order, Some(&notice.notice_id)).await?)
            })
            .await
    }

    /// What the platform says of an order takes its effect, if it has one that it did not have before.
    pub(super) async fn settle(
        &self,
        unit: &mut UnitOfWork<'_>,
        said: &Order,
        notice_id: Option<&str>,
    ) -> Result<bool, Error> {
        let Some(mut order) = payments::lock(unit.conn(), &said.order_code).await? else {
            return Ok(false);
        };
        let now = unit.now();
        let sensible = said.amount == order.amount;
        if !sensible {
            tracing::error!(
                order = order.order_code,
                "the platform names another amount than the order"
            );
        }
        let new_url = order.pay_url.is_empty() && !said.pay_url.is_empty();
        if new_url {
            order.pay_url.clone_from(&said.pay_url);
        }
        // As it is stored: the leaf commits to what is read again.
        let said = &Order {
            settle_time: said.settle_time.map(stored_instant),
            refund_time: said.refund_time.map(stored_instant),
            ..said.clone()
        };
        let changed = sensible && order.report(said, now);
        if let Some(notice_id) = notice_id {
            // The same notice again: the order is as it made it.
            payments::note(unit.conn(), notice_id, &order, changed, now).await?;
        }
        if changed || new_url {
            if !changed {
                order.version = order.version.saturating_add(1);
                order.update_time = now;
            }
            payments::update(unit.conn(), &order).await?;
            let event = match (changed, said.state) {
                (true, OrderState::Paid) => "payment_settled",
                (true, OrderState::Refunded) => "payment_refunded",
                (true, OrderState::Expired) => "payment_expired",
                _ => "payment_pending",
            };
            commit_to(unit, &order, event);
        }
        Ok(changed)
    }
}

/// The kind of the events and the leaves of orders.
pub(crate) const ORDER: &str = "payment_order";

fn commit_to(unit: &mut UnitOfWork<'_>, order: &PaymentOrder, event: &'static str) {
    unit.publish(Event {
        aggregate_kind: ORDER,
        aggregate_id: order.id,
        version: order.version,
        kind: event,
        payload: serde_json::json!({
            "unit_id": order.unit_id,
            "case_code": order.case_code,
            "state": order.state.number(),
            "amount_vnd": order.amount,
        }),
    });
    unit.leaf(Leaf {
        kind: ORDER,
        resource: order.id,
        version: order.version,
        canonical: canonical(order).to_string().as_bytes(),
    });
}

/// What a leaf commits to: the row as it stands, with where the payer is sent. A time that the platform does not say is not in it, as before it was asked for times.
pub(crate) fn canonical(order: &PaymentOrder) -> serde_json::Value {
    let mut said = serde_json::json!({
        "order_id": order.id,
        "unit_id": order.unit_id,
        "order_code": order.order_code,
        "case_code": order.case_code,
        "amount_vnd": order.amount,
        "state": order.state.number(),
        "transaction": order.transaction,
        "pay_url": order.pay_url,
        "create_time": order.create_time,
        "time": order.update_time,
    });
    let times = [("settle_time", order.settle_time), ("refund_time", order.refund_time)];
    for (name, time) in times {
        if let (Some(time), Some(said)) = (time, said.as_object_mut()) {
            said.insert(name.to_owned(), serde_json::json!(time));
        }
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leaf_has_the_times_that_the_platform_says_and_no_others() {
        let now = "2026-11-26T01:00:00Z".parse().unwrap();
        let mut order = PaymentOrder {
            id: Uuid::from_u128(1),
            unit_id: 2,
            order_code: "o".to_owned(),
            case_code: "c".to_owned(),
            amount: 1,
            state: PaymentState::Pending,
            pay_url: String::new(),
            transaction: String::new(),
            delivery_id: Uuid::from_u128(2),
            settle_time: None,
            refund_time: None,
            version: 2,
            create_time: now,
            update_time: now,
        };
        let without = canonical(&order);
        assert!(without.get("settle_time").is_none() && without.get("refund_time").is_none());
        order.settle_time = Some(now);
        let with = canonical(&order);
        assert_eq!(with.get("settle_time"), Some(&serde_json::json!(now)));
        assert!(with.get("refund_time").is_none());
    }
}
