//! Orders at the payment platform, as far as one-stop has to do with them: made, asked about and refunded by the contract of the
//! integration service, as a system. What is due and what a payment means is decided here; how the platform is spoken to, there.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use egov_clock::{SharedClock, SharedIds};
use egov_events::SystemToken;
use egov_fault::{Code, Fault, fault_of};
use egov_keyring::Keyring;
use egov_proto::egov::integration::v1 as integration;
use egov_proto::egov::integration::v1::payment_service_client::PaymentServiceClient;
use egov_proto::google::r#type::Money;
use egov_proto::instant;
use jiff::Timestamp;
use jiff::civil::Date;
use tonic::transport::Channel;
use tonic::{Request, Status};
use uuid::Uuid;

use crate::calls::CallsConfig;
use crate::domain::charge::{Order, OrderState};

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(10);

/// What the platform says it settled on a day.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settled {
    /// Orders of ours.
    pub orders: Vec<SettledOrder>,
    /// Orders that integration does not know.
    pub unknown: Vec<SettledOrder>,
    /// True if the list does not say where orders are: what it lists was paid, and whether it went back is not known.
    pub is_without_states: bool,
}

/// An order in the platform's list of a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettledOrder {
    /// Our code of it.
    pub order_code: String,
    /// Mã hồ sơ; empty if integration does not know the order.
    pub case_code: String,
    /// The unit for which it is; 0 if integration does not know the order.
    pub unit_id: i32,
    /// The platform's amount, VND.
    pub amount_vnd: i64,
    /// Where it is at the platform, now.
    pub state: OrderState,
    /// When the platform settled it; none if it does not say.
    pub settle_time: Option<Timestamp>,
    /// When the platform gave it back; none if it did not, or does not say.
    pub refund_time: Option<Timestamp>,
}

/// Orders at the payment platform.
#[async_trait]
pub trait PaymentOrders: Send + Sync + 'static {
    /// True if there is a way to the platform at all.
    fn is_connected(&self) -> bool;
    /// Makes an order, once for a request id: the same again gives the same order.
    async fn create(&self, request_id: Uuid, unit_id: i32, case_code: &str, amount_vnd: i64) -> Result<Order, Fault>;
    /// The order as it is.
    async fn get(&self, order_id: Uuid) -> Result<Order, Fault>;
    /// Has a paid order given back, once for a request id.
    async fn refund(&self, request_id: Uuid, order_id: Uuid) -> Result<Order, Fault>;
    /// What the platform settled on a day, and what it gave back on it (danh sách đối soát).
    async fn settled(&self, day: Date) -> Result<Settled, Fault>;
}

/// No way to the platform: fees are taken at the counter.
#[derive(Debug, Clone, Copy, Default)]
pub struct NotConnected;

impl NotConnected {
    fn fault() -> Fault {
        Fault::new(
            Code::FailedPrecondition,
            "PAYMENTS_NOT_CONNECTED",
            "chưa kết nối nền tảng thanh toán",
            "no payment platform is connected",
        )
    }
}

#[async_trait]
impl PaymentOrders for NotConnected {
    fn is_connected(&self) -> bool {
        false
    }

    async fn create(&self, _: Uuid, _: i32, _: &str, _: i64) -> Result<Order, Fault> {
        Err(Self::fault())
    }

    async fn get(&self, _: Uuid) -> Result<Order, Fault> {
        Err(Self::fault())
    }

    async fn refund(&self, _: Uuid, _: Uuid) -> Result<Order, Fault> {
        Err(Self::fault())
    }

    async fn settled(&self, _: Date) -> Result<Settled, Fault> {
        Err(Self::fault())
    }
}

/// The way to the platform by the section `payments`: where orders are made. Empty takes fees at the counter only.
///
/// # Errors
/// The address is none, the authority cannot be read, or something is missing.
pub fn open(
    config: &CallsConfig,
    keyring: &Arc<Keyring>,
    clock: &SharedClock,
    ids: &SharedIds,
) -> anyhow::Result<Arc<dyn PaymentOrders>> {
    Ok(match config.open(("payments", ANSWER), keyring, clock, ids)? {
        None => Arc::new(NotConnected),
        Some((channel, token)) => Arc::new(IntegrationPayments {
            client: PaymentServiceClient::new(channel),
            token,
        }),
    })
}

/// Integration over gRPC.
#[derive(Debug)]
pub struct IntegrationPayments {
    client: PaymentServiceClient<Channel>,
    token: SystemToken,
}

impl IntegrationPayments {
    async fn request<T>(&self, message: T) -> Result<Request<T>, Fault> {
        self.token.request(message).await
    }

    /// A refusal; a token that is believed no more is exchanged before the next call.
    async fn refused(&self, status: &Status) -> Fault {
        let fault = fault_of(status);
        if fault.code() == Code::Unauthenticated {
            self.token.forget().await;
        }
        fault
    }
}

fn unreadable(what: &'static str) -> Fault {
    Fault::internal(format!("integration's answer has no {what}"))
}

/// Whole đồng.
fn vnd(money: Option<&Money>) -> Result<i64, Fault> {
    money
        .filter(|money| money.currency_code == "VND" && money.nanos == 0)
        .map(|money| money.units)
        .ok_or_else(|| unreadable("amount"))
}

fn order(said: Option<integration::PaymentOrder>) -> Result<Order, Fault> {
    let said = said.ok_or_else(|| unreadable("order"))?;
    let state = state_of(said.state()).ok_or_else(|| unreadable("state"))?;
    let update_time = said
        .update_time
        .and_then(|time| jiff::Timestamp::new(time.seconds, time.nanos).ok())
        .ok_or_else(|| unreadable("time"))?;
    Ok(Order {
        order_id: Uuid::try_parse(&said.order_id).map_err(|_| unreadable("id"))?,
        amount_vnd: vnd(said.amount.as_ref())?,
        order_code: said.order_code,
        state,
        pay_url: said.pay_url,
        transaction: said.transaction,
        settle_time: said.settle_time.as_ref().and_then(instant),
        refund_time: said.refund_time.as_ref().and_then(instant),
        update_time,
    })
}

fn state_of(said: integration::PaymentState) -> Option<OrderState> {
    match said {
        integration::PaymentState::Ordered => Some(OrderState::Ordered),
        integration::PaymentState::Pending => Some(OrderState::Pending),
        integration::PaymentState::Paid => Some(OrderState::Paid),
        integration::PaymentState::Refunded => Some(OrderState::Refunded),
        integration::PaymentState::Expired => Some(OrderState::Expired),
        integration::PaymentState::Unspecified => None,
    }
}

#[async_trait]
impl PaymentOrders for IntegrationPayments {
    fn is_connected(&self) -> bool {
        true
    }

    async fn create(&self, request_id: Uuid, unit_id: i32, case_code: &str, amount_vnd: i64) -> Result<Order, Fault> {
        let request = integration::CreatePaymentOrderRequest {
            request_id: request_id.to_string(),
            unit_id,
            case_code: case_code.to_owned(),
            amount_vnd,
        };
        match self
            .client
            .clone()
            .create_payment_order(self.request(request).await?)
            .await
        {
            Ok(answer) => order(answer.into_inner().order),
            Err(status) => Err(self.refused(&status).await),
        }
    }

    async fn get(&self, order_id: Uuid) -> Result<Order, Fault> {
        let request = integration::GetPaymentOrderRequest {
            order_id: order_id.to_string(),
        };
        match self
            .client
            .clone()
            .get_payment_order(self.request(request).await?)
            .await
        {
            Ok(answer) => order(answer.into_inner().order),
            Err(status) => Err(self.refused(&status).await),
        }
    }

    async fn refund(&self, request_id: Uuid, order_id: Uuid) -> Result<Order, Fault> {
        let request = integration::RefundPaymentOrderRequest {
            request_id: request_id.to_string(),
            order_id: order_id.to_string(),
        };
        match self
            .client
            .clone()
            .refund_payment_order(self.request(request).await?)
            .await
        {
            Ok(answer) => order(answer.into_inner().order),
            Err(status) => Err(self.refused(&status).await),
        }
    }

    async fn settled(&self, day: Date) -> Result<Settled, Fault> {
        let request = integration::ListSettledPaymentsRequest { day: Some(day.into()) };
        let answer = match self
            .client
            .clone()
            .list_settled_payments(self.request(request).await?)
            .await
        {
            Ok(answer) => answer.into_inner(),
            Err(status) => return Err(self.refused(&status).await),
        };
        // An integration of the version before lists no states: what it lists was paid.
        let is_without_states = answer
            .payments
            .iter()
            .chain(&answer.unknown)
            .any(|one| state_of(one.state()).is_none());
        let read = |listed: Vec<integration::SettledPayment>| {
            let orders = listed.into_iter().map(|one| {
                Ok(SettledOrder {
                    amount_vnd: vnd(one.amount.as_ref())?,
                    state: state_of(one.state()).unwrap_or(OrderState::Paid),
                    settle_time: one.settle_time.as_ref().and_then(instant),
                    refund_time: one.refund_time.as_ref().and_then(instant),
                    order_code: one.order_code,
                    case_code: one.case_code,
                    unit_id: one.unit_id,
                })
            });
            orders.collect::<Result<Vec<_>, Fault>>()
        };
        Ok(Settled {
            orders: read(answer.payments)?,
            unknown: read(answer.unknown)?,
            is_without_states,
        })
    }
}
