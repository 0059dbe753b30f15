//! The payment platform, simulated: orders by our code, signed answers, signed call-backs.

use std::collections::BTreeMap;
use std::time::Duration;

use egov_partners::payment::{NewOrder, NewRefund, Notice, Order, OrderState, Refund, SIGNATURE, TIMESTAMP};
use egov_partners::signing::{sha256_hex, sim_signature, sim_signature_holds};
use egov_partners::wire_time::day_text;
use jiff::Timestamp;
use jiff::civil::Date;
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::stage::{Incoming, Part, Reply, Stage, Twist, simulator};

/// Signs requests and answers: of the simulator, no secret.
pub const SECRET: &str = "payment simulator";
/// Signs call-backs.
pub const NOTICE_SECRET: &str = "payment simulator notices";

/// The platform.
pub struct PaymentSimulator(Stage<Platform>);

simulator!(PaymentSimulator, Platform);

/// What goes wrong with a call-back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoticeFault {
    /// It comes once, as it should.
    None,
    /// It comes three times.
    Duplicate,
    /// One that says "pending" comes after it.
    Reorder,
    /// It is signed with another secret.
    WrongSignature,
    /// It names another amount.
    WrongAmount,
    /// It was signed ten minutes ago.
    Stale,
}

impl PaymentSimulator {
    /// The orders, by our code.
    pub fn orders(&self) -> BTreeMap<String, Order> {
        self.0.with(|part| part.orders.clone())
    }

    /// How many orders were ever made: more than one a code is a second debt of a citizen.
    pub fn made(&self) -> u32 {
        self.0.with(|part| part.made)
    }

    /// The citizen pays; none if there is no such order. Nobody is told yet.
    pub fn pay(&self, order_code: &str) -> Option<Order> {
        self.0.with(|part| {
            let order = part.orders.get_mut(order_code)?;
            order.state = OrderState::Paid;
            order.transaction = format!("T{}", order.order_code);
            Some(order.clone())
        })
    }

    /// The same, settled on a day: it stands in the list of that day only.
    pub fn pay_on(&self, order_code: &str, day: Date) -> Option<Order> {
        self.0
            .with(|part| part.days.insert(order_code.to_owned(), day_text(day)));
        self.pay(order_code)
    }

    /// How many refunds were ever made: more than one an order is money given away.
    pub fn refunded(&self) -> u32 {
        self.0.with(|part| part.refunded)
    }

    /// The money goes back.
    pub fn refund(&self, order_code: &str) -> Option<Order> {
        self.0.with(|part| {
            let order = part.orders.get_mut(order_code)?;
            order.state = OrderState::Refunded;
            Some(order.clone())
        })
    }

    /// Calls back about an order as it is; the HTTP status of each call.
    pub async fn notify(
        &self,
        url: &str,
        order_code: &str,
        fault: NoticeFault,
        now: Timestamp,
    ) -> Result<Vec<u16>, reqwest::Error> {
        let Some(order) = self.orders().remove(order_code) else {
            return Ok(Vec::new());
        };
        let notice = Notice {
            notice_id: format!("{order_code}-{:?}", order.state),
            order_code: order.order_code,
            amount: order.amount + i64::from(fault == NoticeFault::WrongAmount),
            state: order.state,
            transaction: order.transaction,
        };
        let mut notices = vec![notice.clone()];
        match fault {
            NoticeFault::Duplicate => notices.extend([notice.clone(), notice]),
            NoticeFault::Reorder => notices.push(Notice {
                notice_id: format!("{order_code}-early"),
                state: OrderState::Pending,
                ..notice
            }),
            _ => {}
        }
        let secret = SecretString::from(if fault == NoticeFault::WrongSignature {
            "another"
        } else {
            NOTICE_SECRET
        });
        let age = if fault == NoticeFault::Stale { 600_000 } else { 0 };
        let at = (now.as_millisecond() - age).to_string();
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(10))
            .build()?;
        let mut statuses = Vec::new();
        for notice in notices {
            let body = serde_json::to_vec(&notice).unwrap_or_default();
            let signature = sim_signature(&secret, &[b"notice", at.as_bytes(), &body]);
            let answer = client
                .post(url)
                .header(TIMESTAMP, &at)
                .header(SIGNATURE, signature)
                .header("content-type", "application/json")
                .body(body)
                .send()
                .await?;
            statuses.push(answer.status().as_u16());
        }
        Ok(statuses)
    }
}

#[derive(Default)]
struct Platform {
    orders: BTreeMap<String, Order>,
    made: u32,
    refunded: u32,
    /// On which day an order was settled, where that is said.
    days: BTreeMap<String, String>,
}

impl Platform {
    fn refund(&mut self, code: &str, request: &Incoming) -> (u16, Value) {
        let Ok(new) = serde_json::from_slice::<NewRefund>(&request.body) else {
            return (400, json!({ "code": "form" }));
        };
        let Some(order) = self
            .orders
            .get_mut(code)
            .filter(|order| order.order_code == new.order_code)
        else {
            return (404, json!({ "code": "none" }));
        };
        if order.amount != new.amount {
            return (409, json!({ "code": "another_amount" }));
        }
        match order.state {
            OrderState::Paid => {
                order.state = OrderState::Refunded;
                self.refunded += 1;
            }
            OrderState::Refunded => {}
            OrderState::Pending | OrderState::Expired => return (409, json!({ "code": "not_paid" })),
        }
        let made = Refund {
            order_code: new.order_code,
            amount: new.amount,
            done: true,
        };
        (200, json!(made))
    }

    fn create(&mut self, request: &Incoming) -> (u16, Value) {
        let Ok(new) = serde_json::from_slice::<NewOrder>(&request.body) else {
            return (400, json!({ "code": "form" }));
        };
        if new.amount <= 0 {
            return (422, json!({ "code": "amount" }));
        }
        match self.orders.get(&new.order_code) {
            Some(order) if order.amount == new.amount => (200, json!(order)),
            Some(_) => (409, json!({ "code": "another_amount" })),
            None => {
                let order = Order {
                    order_code: new.order_code.clone(),
                    amount: new.amount,
                    state: OrderState::Pending,
                    transaction: String::new(),
                    pay_url: format!("{}/pay/{}", request.endpoint, new.order_code),
                };
                self.made += 1;
                self.orders.insert(new.order_code, order.clone());
                (200, json!(order))
            }
        }
    }

    fn answer(&mut self, request: &Incoming) -> (u16, Value) {
        let parts: Vec<&str> = request.path.split('/').collect();
        match (request.method.as_str(), parts.as_slice()) {
            ("POST", ["orders"]) => self.create(request),
            ("POST", ["orders", code, "refunds"]) => self.refund(code, request),
            ("GET", ["orders", code]) => match self.orders.get(*code) {
                Some(order) => (200, json!(order)),
                None => (404, json!({ "code": "none" })),
            },
            ("GET", ["orders", code, "refunds"]) => {
                let refunded = self
                    .orders
                    .get(*code)
                    .filter(|order| order.state == OrderState::Refunded);
                let refunds = refunded.map(|order| Refund {
                    order_code: order.order_code.clone(),
                    amount: order.amount,
                    done: true,
                });
                (200, json!(refunds.into_iter().collect::<Vec<_>>()))
            }
            ("GET", ["reconciliation", day]) => {
                let settled = self.orders.values().filter(|order| {
                    let of_day = self.days.get(&order.order_code).is_none_or(|on| on == day);
                    of_day && matches!(order.state, OrderState::Paid | OrderState::Refunded)
                });
                (200, json!(settled.collect::<Vec<_>>()))
            }
            _ => (400, json!({ "code": "operation" })),
        }
    }
}

impl Part for Platform {
    fn operation(&self, request: &Incoming) -> Option<String> {
        let parts: Vec<&str> = request.path.split('/').collect();
        let name = match (request.method.as_str(), parts.as_slice()) {
            ("POST", ["orders", _, "refunds"]) => "refund",
            ("POST", _) => "create",
            ("GET", ["orders", _]) => "find",
            ("GET", ["orders", _, "refunds"]) => "refunds",
            _ => "reconciliation",
        };
        Some(name.to_owned())
    }

    fn play(&mut self, request: &Incoming, twist: Twist) -> Reply {
        let secret = SecretString::from(SECRET);
        let (signature, at) = (request.header(SIGNATURE), request.header(TIMESTAMP));
        let digest = sha256_hex(&request.body);
        let signed: [&[u8]; 5] = [
            b"request",
            request.method.as_str().as_bytes(),
            request.path.as_bytes(),
            at.as_bytes(),
            digest.as_bytes(),
        ];
        let (status, mut body) = if sim_signature_holds(&secret, &signed, signature) {
            self.answer(request)
        } else {
            (401, json!({ "code": "signature" }))
        };
        match twist {
            Twist::WrongCode => body = json!({ "code": 77 }),
            Twist::WrongRecord => {
                if let Some(code) = body.get_mut("order_code") {
                    *code = json!("another");
                }
            }
            Twist::None | Twist::WrongSignature => {}
        }
        let mut reply = Reply::json(status, &body);
        let secret = if twist == Twist::WrongSignature {
            SecretString::from("another")
        } else {
            secret
        };
        let text = status.to_string();
        let signed: [&[u8]; 4] = [b"answer", signature.as_bytes(), text.as_bytes(), &reply.body];
        let answered = sim_signature(&secret, &signed);
        reply.headers.push((SIGNATURE, answered));
        reply
    }
}
