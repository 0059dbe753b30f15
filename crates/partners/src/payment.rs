//! The payment platform (nền tảng thanh toán).
//!
//! No source gives its interface: all of it is the contract `sim-1` of our simulator, **unconfirmed**. What is not
//! particular to it: an order has our code, by which it is created once and asked about; answers and call-backs are signed;
//! what is settled is decided by a signed call-back or by the platform's answer to a question, never by what a browser brings.

use async_trait::async_trait;
use egov_clock::Clock as _;
use http::{HeaderName, HeaderValue, Method};
use jiff::Timestamp;
use jiff::civil::Date;
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::line::{Answer, Line, Outgoing};
use crate::outcome::{CallError, Doubt, NotSent};
use crate::signing::{sha256_hex, sim_signature, sim_signature_holds};
use crate::wire_time::day_text;

/// Milliseconds that a signed call-back may be old or early.
const FRESH_MS: i64 = 5 * 60 * 1000;

/// The header with the instant of a signature, in milliseconds.
pub const TIMESTAMP: &str = "x-sim-timestamp";
/// The header with a signature.
pub const SIGNATURE: &str = "x-sim-signature";

/// An order to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewOrder {
    /// Our code of the order: the same code never makes a second order.
    pub order_code: String,
    /// VND.
    pub amount: i64,
    /// Mã hồ sơ that it is for.
    pub case_code: String,
}

/// Where an order is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OrderState {
    /// Chờ thanh toán.
    Pending,
    /// Đã thanh toán.
    Paid,
    /// Đã hoàn.
    Refunded,
    /// Never paid, and cannot be any more.
    Expired,
}

impl OrderState {
    /// Whether an order may become this after `before`: reports that come late or twice change nothing.
    pub fn follows(self, before: Self) -> bool {
        matches!(
            (before, self),
            (Self::Pending, Self::Paid | Self::Refunded | Self::Expired) | (Self::Paid, Self::Refunded)
        )
    }
}

/// An order as the platform has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Our code.
    pub order_code: String,
    /// VND.
    pub amount: i64,
    /// Where it is.
    pub state: OrderState,
    /// The platform's own number of the transaction; empty until it is paid.
    #[serde(default)]
    pub transaction: String,
    /// Where the citizen pays.
    #[serde(default)]
    pub pay_url: String,
    /// When it was paid, on the platform's clock: on that day it stands in the platform's list, whenever somebody hears of it.
    #[serde(default)]
    pub settle_time: Option<Timestamp>,
    /// When the money went back, on the platform's clock.
    #[serde(default)]
    pub refund_time: Option<Timestamp>,
}

/// A refund to be made: of an order as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewRefund {
    /// Our code of the order: an order is given back once.
    pub order_code: String,
    /// VND.
    pub amount: i64,
}

/// A refund as the platform has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refund {
    /// Our code of the order.
    pub order_code: String,
    /// VND.
    pub amount: i64,
    /// Whether the money is back.
    pub done: bool,
    /// When it went back, on the platform's clock.
    #[serde(default)]
    pub done_time: Option<Timestamp>,
}

/// What a call-back (IPN) says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// By which a repetition is recognised.
    pub notice_id: String,
    /// Our code of the order.
    pub order_code: String,
    /// VND.
    pub amount: i64,
    /// Where the order is.
    pub state: OrderState,
    /// The platform's number of the transaction.
    pub transaction: String,
    /// When it was paid, on the platform's clock.
    #[serde(default)]
    pub settle_time: Option<Timestamp>,
    /// When the money went back, on the platform's clock.
    #[serde(default)]
    pub refund_time: Option<Timestamp>,
}

/// Why a call-back is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoticeError {
    /// No signature, or a wrong one.
    #[error("the signature is missing or wrong")]
    Signature,
    /// Signed too long ago, or in the future.
    #[error("the signature is not of now")]
    Stale,
    /// Signed, but not a notice.
    #[error("not a notice")]
    Form,
}

/// The platform.
#[async_trait]
pub trait PaymentPlatform: Send + Sync + 'static {
    /// Makes an order, one try.
    async fn create_order(&self, order: &NewOrder) -> Result<Order, CallError>;
    /// The order with our code; none if there is none.
    async fn find_order(&self, order_code: &str) -> Result<Option<Order>, CallError>;
    /// Has an order given back, one try; again is the same refund.
    async fn refund_order(&self, refund: &NewRefund) -> Result<Refund, CallError>;
    /// The refunds of an order.
    async fn refunds(&self, order_code: &str) -> Result<Vec<Refund>, CallError>;
    /// What the platform settled on a day, and what it gave back on it (danh sách đối soát): each order once, as it is now.
    async fn reconciliation(&self, day: Date) -> Result<Vec<Order>, CallError>;
    /// Checks a call-back's signature and reads it.
    fn read_notice(&self, timestamp: &str, signature: &str, body: &[u8], now: Timestamp)
    -> Result<Notice, NoticeError>;
    /// Whether the platform failed so often a moment ago that it is left alone: nothing would be sent now.
    fn is_resting(&self) -> bool;
}

/// Who we are at the platform.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PaymentAccount {
    /// Signs requests and answers.
    pub secret: SecretString,
    /// Signs call-backs.
    pub notice_secret: SecretString,
}

/// The platform by contract `sim-1`.
#[derive(Debug)]
pub struct SimPaymentPlatform {
    line: Line,
    account: PaymentAccount,
}

impl SimPaymentPlatform {
    /// Speaks over `line`.
    pub fn new(line: Line, account: PaymentAccount) -> Self {
        Self { line, account }
    }

    /// The line.
    pub fn line(&self) -> &Line {
        &self.line
    }

    /// None if the platform says that there is nothing.
    async fn once<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<Option<T>, CallError> {
        let timestamp = self.line.clock().now().as_millisecond().to_string();
        let digest = sha256_hex(&body);
        let signature = sim_signature(
            &self.account.secret,
            &[
                b"request",
                method.as_str().as_bytes(),
                path.as_bytes(),
                timestamp.as_bytes(),
                digest.as_bytes(),
            ],
        );
        let header =
            |text: &str| HeaderValue::from_str(text).map_err(|_| CallError::NotSent(NotSent::Unsendable("a header")));
        let outgoing = Outgoing {
            headers: vec![
                (HeaderName::from_static(TIMESTAMP), header(&timestamp)?),
                (HeaderName::from_static(SIGNATURE), header(&signature)?),
            ],
            content_type: if body.is_empty() { "" } else { "application/json" },
            path: path.to_owned(),
            method,
            body,
        };
        let answer = self.line.once(&outgoing).await?;
        read_answer(&self.account.secret, &signature, &answer)
    }

    async fn read<T: DeserializeOwned + Send>(&self, path: String) -> Result<Option<T>, CallError> {
        let mut tries = self.line.tries();
        loop {
            let call = self.once(Method::GET, &path, Vec::new());
            if let Some(result) = tries.attempt(call).await {
                return result;
            }
        }
    }
}

/// Reads an answer that is signed together with the signature of its request, so that none can be put in another's place.
pub fn read_answer<T: DeserializeOwned>(
    secret: &SecretString,
    request_signature: &str,
    answer: &Answer,
) -> Result<Option<T>, CallError> {
    let status = answer.status.to_string();
    let signed: [&[u8]; 4] = [b"answer", request_signature.as_bytes(), status.as_bytes(), &answer.body];
    if !sim_signature_holds(secret, &signed, answer.header(SIGNATURE).unwrap_or_default()) {
        return Err(CallError::Unknown(Doubt::BadSignature));
    }
    #[derive(Deserialize)]
    struct Refused {
        code: String,
        #[serde(default)]
        message: String,
    }
    match answer.status {
        200 => serde_json::from_slice(&answer.body)
            .map(Some)
            .map_err(CallError::unreadable_json),
        404 => Ok(None),
        400..=499 => {
            let said: Refused = serde_json::from_slice(&answer.body).map_err(CallError::unreadable_json)?;
            Err(CallError::refused(said.code, &said.message))
        }
        other => Err(CallError::unreadable(format_args!("status {other}"))),
    }
}

/// An order code as it may stand in a path: letters, digits and hyphens.
fn in_path(code: &str) -> Result<&str, CallError> {
    let fits = (1..=64).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if fits {
        Ok(code)
    } else {
        Err(CallError::NotSent(NotSent::Unsendable("the order's code")))
    }
}

fn about(order: Order, code: &str, amount: Option<i64>) -> Result<Order, CallError> {
    if order.order_code != code || amount.is_some_and(|amount| amount != order.amount) {
        return Err(CallError::Unknown(Doubt::Other("order")));
    }
    Ok(order)
}

#[async_trait]
impl PaymentPlatform for SimPaymentPlatform {
    async fn create_order(&self, order: &NewOrder) -> Result<Order, CallError> {
        in_path(&order.order_code)?;
        let body = serde_json::to_vec(order).map_err(CallError::unreadable_json)?;
        match self.once::<Order>(Method::POST, "orders", body).await? {
            Some(made) => about(made, &order.order_code, Some(order.amount)),
            None => Err(CallError::refused("http_404", "")),
        }
    }

    async fn find_order(&self, order_code: &str) -> Result<Option<Order>, CallError> {
        let path = format!("orders/{}", in_path(order_code)?);
        let found: Option<Order> = self.read(path).await?;
        found.map(|order| about(order, order_code, None)).transpose()
    }

    async fn refund_order(&self, refund: &NewRefund) -> Result<Refund, CallError> {
        let path = format!("orders/{}/refunds", in_path(&refund.order_code)?);
        let body = serde_json::to_vec(refund).map_err(CallError::unreadable_json)?;
        match self.once::<Refund>(Method::POST, &path, body).await? {
            Some(made) if made.order_code == refund.order_code && made.amount == refund.amount => Ok(made),
            Some(_) => Err(CallError::Unknown(Doubt::Other("refund"))),
            None => Err(CallError::refused("http_404", "")),
        }
    }

    async fn refunds(&self, order_code: &str) -> Result<Vec<Refund>, CallError> {
        let path = format!("orders/{}/refunds", in_path(order_code)?);
        let found: Vec<Refund> = self.read(path).await?.unwrap_or_default();
        if found.iter().any(|refund| refund.order_code != order_code) {
            return Err(CallError::Unknown(Doubt::Other("order")));
        }
        Ok(found)
    }

    async fn reconciliation(&self, day: Date) -> Result<Vec<Order>, CallError> {
        Ok(self
            .read(format!("reconciliation/{}", day_text(day)))
            .await?
            .unwrap_or_default())
    }

    fn read_notice(
        &self,
        timestamp: &str,
        signature: &str,
        body: &[u8],
        now: Timestamp,
    ) -> Result<Notice, NoticeError> {
        read_notice(&self.account.notice_secret, timestamp, signature, body, now)
    }

    fn is_resting(&self) -> bool {
        self.line.is_resting()
    }
}

/// Checks a call-back's signature and reads it.
pub fn read_notice(
    secret: &SecretString,
    timestamp: &str,
    signature: &str,
    body: &[u8],
    now: Timestamp,
) -> Result<Notice, NoticeError> {
    if !sim_signature_holds(secret, &[b"notice", timestamp.as_bytes(), body], signature) {
        return Err(NoticeError::Signature);
    }
    let signed_at: i64 = timestamp.parse().map_err(|_| NoticeError::Stale)?;
    if now.as_millisecond().abs_diff(signed_at) > FRESH_MS.unsigned_abs() {
        return Err(NoticeError::Stale);
    }
    let notice: Notice = serde_json::from_slice(body).map_err(|_| NoticeError::Form)?;
    let fits = |text: &str| (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    if fits(&notice.notice_id) && fits(&notice.order_code) && notice.transaction.len() <= 100 {
        Ok(notice)
    } else {
        Err(NoticeError::Form)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn secret() -> SecretString {
        SecretString::from("of the simulator")
    }

    fn now() -> Timestamp {
        "2026-11-26T01:00:00Z".parse().unwrap()
    }

    fn notice() -> Vec<u8> {
        br#"{"notice_id":"n-1","order_code":"o-1","amount":8000,"state":"paid","transaction":"t-1"}"#.to_vec()
    }

    #[test]
    fn a_notice_is_believed_by_its_signature_of_now_only() {
        let at = now().as_millisecond().to_string();
        let signature = sim_signature(&secret(), &[b"notice", at.as_bytes(), &notice()]);
        let read = |body: &[u8], signature: &str, now| read_notice(&secret(), &at, signature, body, now);
        assert_eq!(read(&notice(), &signature, now()).unwrap().state, OrderState::Paid);
        assert_eq!(read(&notice(), "", now()), Err(NoticeError::Signature));
        let other = String::from_utf8(notice()).unwrap().replace("8000", "1");
        assert_eq!(read(other.as_bytes(), &signature, now()), Err(NoticeError::Signature));
        let later = now() + jiff::SignedDuration::from_secs(301);
        assert_eq!(read(&notice(), &signature, later), Err(NoticeError::Stale));
    }

    #[test]
    fn a_report_that_comes_late_changes_nothing() {
        use OrderState::{Expired, Paid, Pending, Refunded};
        assert!(Paid.follows(Pending) && Refunded.follows(Paid) && Expired.follows(Pending));
        assert!(!Pending.follows(Paid) && !Paid.follows(Refunded) && !Paid.follows(Paid) && !Paid.follows(Expired));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_never_a_notice(body in proptest::collection::vec(any::<u8>(), 0..200), at in ".{0,20}", signature in ".{0,64}") {
            prop_assert!(read_notice(&secret(), &at, &signature, &body, now()).is_err());
        }

        #[test]
        fn arbitrary_bytes_with_a_good_signature_are_refused_by_their_form(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let at = now().as_millisecond().to_string();
            let signature = sim_signature(&secret(), &[b"notice", at.as_bytes(), &body]);
            prop_assert_eq!(read_notice(&secret(), &at, &signature, &body, now()), Err(NoticeError::Form));
        }

        #[test]
        fn arbitrary_answers_are_errors(body in proptest::collection::vec(any::<u8>(), 0..200), status in 200_u16..500, sign: bool) {
            let text = status.to_string();
            let mut headers = http::HeaderMap::new();
            if sign {
                let signature = sim_signature(&secret(), &[b"answer", b"request", text.as_bytes(), &body]);
                headers.insert(SIGNATURE, signature.parse().unwrap());
            }
            let answer = Answer { status, headers, body };
            let read: Result<Option<Order>, _> = read_answer(&secret(), "request", &answer);
            prop_assert!(read.is_err() || (sign && status == 404));
        }
    }
}
