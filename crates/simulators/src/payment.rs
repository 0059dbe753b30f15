//! The payment platform, simulated: orders by our code, signed answers, signed call-backs, and a page for each order on which it
//! is paid.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use egov_clock::{Clock as _, SharedClock, vietnam};
use egov_partners::payment::{NewOrder, NewRefund, Notice, Order, OrderState, Refund, SIGNATURE, TIMESTAMP};
use egov_partners::signing::{sha256_hex, sim_signature, sim_signature_holds};
use egov_partners::wire_time::day_text;
use http::Method;
use jiff::Timestamp;
use jiff::civil::{Date, time};
use reqwest::Client;
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::stage::{Incoming, Part, Reply, Stage, Twist, simulator};

/// Signs requests and answers: of the simulator, no secret.
pub const SECRET: &str = "payment simulator";
/// Signs call-backs.
pub const NOTICE_SECRET: &str = "payment simulator notices";

/// Where the pages of orders are.
const PAGES: &str = "pay/";

/// After so long somebody who did not hear a call-back is called again.
const AGAIN: Duration = Duration::from_millis(500);

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

    /// The citizen pays; none if there is no such order. Nobody is told yet, unless the platform calls back by itself.
    pub fn pay(&self, order_code: &str) -> Option<Order> {
        let now = self.0.clock.now();
        self.0.with(|part| part.pay(order_code, now))
    }

    /// From now on the platform calls back at `url` by itself when an order was paid, again and again until it is heard or refused. It
    /// needs a tokio runtime.
    pub fn call_back_to(&self, url: String, clock: SharedClock) -> Result<(), reqwest::Error> {
        let client = caller()?;
        let (notices, waiting) = unbounded_channel();
        self.0.with(|part| part.notices = Some(notices));
        tokio::spawn(call_back(client, url, clock, waiting));
        Ok(())
    }

    /// The same, settled at noon of a day: it stands in the list of that day.
    pub fn pay_on(&self, order_code: &str, day: Date) -> Option<Order> {
        let noon = day.to_datetime(time(12, 0, 0, 0)).to_zoned(vietnam()).ok()?.timestamp();
        self.pay_at(order_code, noon)
    }

    /// The same, settled at an instant: whoever hears of it later is told when it was.
    pub fn pay_at(&self, order_code: &str, at: Timestamp) -> Option<Order> {
        self.0.with(|part| part.pay(order_code, at))
    }

    /// The next request for `operation` (`create` or `refund`) is refused with this code and these words, and nothing is done; several are
    /// refused one after the other.
    pub fn refuse(&self, operation: &str, code: &str, words: &str) {
        let refusal = (operation.to_owned(), json!({ "code": code, "message": words }));
        self.0.with(|part| part.refusals.push_back(refusal));
    }

    /// How many requests for `operation` came to the platform, also those that it refused.
    pub fn asked(&self, operation: &str) -> usize {
        self.0
            .with(|part| part.asked.iter().filter(|asked| *asked == operation).count())
    }

    /// How many refunds were ever made: more than one an order is money given away.
    pub fn refunded(&self) -> u32 {
        self.0.with(|part| part.refunded)
    }

    /// From now on a refund is only taken when it is asked for, and made by [`make_refunds`](Self::make_refunds).
    pub fn refund_later(&self) {
        self.0.with(|part| part.refunds_later = true);
    }

    /// Makes the refunds that were taken.
    pub fn make_refunds(&self) {
        let now = self.0.clock.now();
        self.0.with(|part| {
            for code in std::mem::take(&mut part.refunds_taken) {
                if let Some(order) = part.orders.get_mut(&code) {
                    give_back(order, now);
                    part.refunded += 1;
                }
            }
        });
    }

    /// The money goes back, by nobody's order of ours.
    pub fn refund(&self, order_code: &str) -> Option<Order> {
        let now = self.0.clock.now();
        self.0.with(|part| {
            let order = part.orders.get_mut(order_code)?;
            give_back(order, now);
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
        let mut notice = notice_of(&order);
        notice.amount += i64::from(fault == NoticeFault::WrongAmount);
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
        let client = caller()?;
        let mut statuses = Vec::new();
        for notice in notices {
            statuses.push(call(&client, url, &notice, &secret, now.as_millisecond() - age).await?);
        }
        Ok(statuses)
    }
}

/// What is said of an order as it is.
fn notice_of(order: &Order) -> Notice {
    Notice {
        notice_id: format!("{}-{:?}", order.order_code, order.state),
        order_code: order.order_code.clone(),
        amount: order.amount,
        state: order.state,
        transaction: order.transaction.clone(),
        settle_time: order.settle_time,
        refund_time: order.refund_time,
    }
}

fn give_back(order: &mut Order, at: Timestamp) {
    order.state = OrderState::Refunded;
    order.refund_time = Some(at);
}

/// Whether something was on a day of Việt Nam, as it is written.
fn is_on(at: Option<Timestamp>, day: &str) -> bool {
    at.is_some_and(|at| day_text(at.to_zoned(vietnam()).date()) == day)
}

fn caller() -> Result<Client, reqwest::Error> {
    Client::builder().no_proxy().timeout(Duration::from_secs(10)).build()
}

/// Calls back once, signed at this millisecond; the HTTP status.
async fn call(
    client: &Client,
    url: &str,
    notice: &Notice,
    secret: &SecretString,
    millisecond: i64,
) -> Result<u16, reqwest::Error> {
    let at = millisecond.to_string();
    let body = serde_json::to_vec(notice).unwrap_or_default();
    let signature = sim_signature(secret, &[b"notice", at.as_bytes(), &body]);
    let answer = client
        .post(url)
        .header(TIMESTAMP, &at)
        .header(SIGNATURE, signature)
        .header("content-type", "application/json")
        .body(body)
        .send()
        .await?;
    Ok(answer.status().as_u16())
}

/// Calls back about what was paid, in its order, until the platform is gone.
async fn call_back(client: Client, url: String, clock: SharedClock, mut waiting: UnboundedReceiver<Notice>) {
    let secret = SecretString::from(NOTICE_SECRET);
    while let Some(notice) = waiting.recv().await {
        // Signed anew each time: a signature counts for some minutes only.
        while !waiting.is_closed() {
            let answer = call(&client, &url, &notice, &secret, clock.now().as_millisecond()).await;
            // Whoever is away, or in trouble, is called again.
            if answer.is_ok_and(|status| status < 500) {
                break;
            }
            tokio::time::sleep(AGAIN).await;
        }
    }
}

#[derive(Default)]
struct Platform {
    orders: BTreeMap<String, Order>,
    made: u32,
    refunded: u32,
    /// Whether a refund is only taken when it is asked for.
    refunds_later: bool,
    /// The orders of which a refund was taken and not made yet.
    refunds_taken: BTreeSet<String>,
    /// What is refused next: operation and answer.
    refusals: VecDeque<(String, Value)>,
    /// Every request that came, by operation.
    asked: Vec<String>,
    /// What is to be told by itself; none as long as nobody is called back.
    notices: Option<UnboundedSender<Notice>>,
}

/// The button on the page of an order.
const BUTTON: &str = "<form method=\"post\"><button>Thanh toán</button></form>";

impl Platform {
    fn pay(&mut self, order_code: &str, at: Timestamp) -> Option<Order> {
        let order = self.orders.get_mut(order_code)?;
        order.state = OrderState::Paid;
        order.settle_time = Some(at);
        order.transaction = format!("T{}", order.order_code);
        if let Some(notices) = &self.notices {
            // If nobody calls back any more, the platform is about to end.
            let _ = notices.send(notice_of(order));
        }
        Some(order.clone())
    }

    /// What a browser shows of an order; whoever presses the button has paid it. It has the amount and the state only: nothing that came
    /// from outside stands in it.
    fn page(&mut self, order_code: &str, request: &Incoming) -> Reply {
        let is_pending = |order: &Order| order.state == OrderState::Pending;
        if request.method == Method::POST && self.orders.get(order_code).is_some_and(is_pending) {
            self.pay(order_code, request.now);
        }
        let (status, shown) = match self.orders.get(order_code) {
            None => (404, "<p>Không có yêu cầu thanh toán này.</p>".to_owned()),
            Some(order) => {
                let (state, button) = match order.state {
                    OrderState::Pending => ("Chờ thanh toán", BUTTON),
                    OrderState::Paid => ("Đã thanh toán", ""),
                    OrderState::Refunded => ("Đã hoàn", ""),
                    OrderState::Expired => ("Đã hết hạn", ""),
                };
                (
                    200,
                    format!("<p>Số tiền: {} đồng</p><p>{state}</p>{button}", order.amount),
                )
            }
        };
        let title = "Nền tảng thanh toán (mô phỏng)";
        let head = format!("<meta charset=\"utf-8\"><title>{title}</title>");
        Reply {
            status,
            content_type: "text/html; charset=utf-8",
            headers: Vec::new(),
            body: format!("<!doctype html><html lang=\"vi\">{head}<h1>{title}</h1>{shown}</html>").into_bytes(),
        }
    }

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
            OrderState::Paid if self.refunds_later => {
                self.refunds_taken.insert(new.order_code.clone());
            }
            OrderState::Paid => {
                give_back(order, request.now);
                self.refunded += 1;
            }
            OrderState::Refunded => {}
            OrderState::Pending | OrderState::Expired => return (409, json!({ "code": "not_paid" })),
        }
        let made = Refund {
            done: order.state == OrderState::Refunded,
            done_time: order.refund_time,
            order_code: new.order_code,
            amount: new.amount,
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
                    pay_url: format!(
                        "{}{PAGES}{}",
                        request.endpoint.trim_end_matches(request.path.as_str()),
                        new.order_code
                    ),
                    settle_time: None,
                    refund_time: None,
                };
                self.made += 1;
                self.orders.insert(new.order_code, order.clone());
                (200, json!(order))
            }
        }
    }

    fn answer(&mut self, request: &Incoming) -> (u16, Value) {
        let operation = operation_of(request);
        let refused = self.refusals.iter().position(|(at, _)| at == operation);
        self.asked.push(operation.to_owned());
        if let Some((_, answer)) = refused.and_then(|place| self.refusals.remove(place)) {
            return (422, answer);
        }
        let parts: Vec<&str> = request.path.split('/').collect();
        match (request.method.as_str(), parts.as_slice()) {
            ("POST", ["orders"]) => self.create(request),
            ("POST", ["orders", code, "refunds"]) => self.refund(code, request),
            ("GET", ["orders", code]) => match self.orders.get(*code) {
                Some(order) => (200, json!(order)),
                None => (404, json!({ "code": "none" })),
            },
            ("GET", ["orders", code, "refunds"]) => {
                let done = |order: &Order| order.state == OrderState::Refunded;
                let refunded = self
                    .orders
                    .get(*code)
                    .filter(|order| done(order) || self.refunds_taken.contains(*code));
                let refunds = refunded.map(|order| Refund {
                    order_code: order.order_code.clone(),
                    amount: order.amount,
                    done: done(order),
                    done_time: order.refund_time,
                });
                (200, json!(refunds.into_iter().collect::<Vec<_>>()))
            }
            ("GET", ["reconciliation", day]) => {
                let listed = self
                    .orders
                    .values()
                    .filter(|order| is_on(order.settle_time, day) || is_on(order.refund_time, day));
                (200, json!(listed.collect::<Vec<_>>()))
            }
            _ => (400, json!({ "code": "operation" })),
        }
    }
}

/// The name of what a request asks for.
fn operation_of(request: &Incoming) -> &'static str {
    let parts: Vec<&str> = request.path.split('/').collect();
    match (request.method.as_str(), parts.as_slice()) {
        ("POST", ["orders", _, "refunds"]) => "refund",
        ("POST", _) => "create",
        ("GET", ["orders", _]) => "find",
        ("GET", ["orders", _, "refunds"]) => "refunds",
        _ => "reconciliation",
    }
}

impl Part for Platform {
    fn operation(&self, request: &Incoming) -> Option<String> {
        let is_page = request.path.starts_with(PAGES);
        (!is_page).then(|| operation_of(request).to_owned())
    }

    fn play(&mut self, request: &Incoming, twist: Twist) -> Reply {
        if let Some(order_code) = request.path.strip_prefix(PAGES) {
            return self.page(order_code, request);
        }
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use axum::Router;
    use bytes::Bytes;
    use egov_clock::SystemClock;
    use egov_partners::payment::read_notice;
    use http::{HeaderMap, StatusCode};

    use super::*;

    async fn shown(request: reqwest::RequestBuilder) -> (u16, String) {
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    #[tokio::test]
    async fn what_is_paid_on_its_page_is_called_back_until_it_is_heard_and_once() {
        let (told, mut heard) = unbounded_channel();
        let calls = Arc::new(AtomicU32::new(0));
        let receiver = Router::new().fallback(move |headers: HeaderMap, body: Bytes| {
            let (told, calls) = (told.clone(), Arc::clone(&calls));
            async move {
                if calls.fetch_add(1, Ordering::SeqCst) == 0 {
                    return StatusCode::SERVICE_UNAVAILABLE;
                }
                let header = |name: &str| headers.get(name).unwrap().to_str().unwrap();
                let (at, signature) = (header(TIMESTAMP), header(SIGNATURE));
                let secret = SecretString::from(NOTICE_SECRET);
                told.send(read_notice(&secret, at, signature, &body, SystemClock.now()))
                    .unwrap();
                StatusCode::OK
            }
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/notices", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, receiver).await });

        let simulator = PaymentSimulator::start(SystemClock::shared()).await.unwrap();
        simulator.call_back_to(url, SystemClock::shared()).unwrap();
        let order = Order {
            order_code: "o-1".to_owned(),
            amount: 8_000,
            state: OrderState::Pending,
            transaction: String::new(),
            pay_url: String::new(),
            settle_time: None,
            refund_time: None,
        };
        simulator.0.with(|part| part.orders.insert("o-1".to_owned(), order));
        let page = format!("{}pay/o-1", simulator.url());
        let browser = caller().unwrap();
        let (status, text) = shown(browser.get(&page)).await;
        assert!(
            status == 200 && text.contains("Chờ thanh toán") && text.contains("8000 đồng"),
            "{text}"
        );
        for _ in 0..2 {
            let (status, text) = shown(browser.post(&page)).await;
            assert!(
                status == 200 && text.contains("Đã thanh toán") && !text.contains("<form"),
                "{text}"
            );
        }
        let notice = heard.recv().await.unwrap().unwrap();
        assert_eq!(
            (notice.order_code.as_str(), notice.amount, notice.state),
            ("o-1", 8_000, OrderState::Paid)
        );
        assert!(notice.settle_time.is_some(), "the platform says when");
        assert!(heard.try_recv().is_err(), "pressed twice it is paid once");
        assert_eq!(shown(browser.post(format!("{page}0"))).await.0, 404);
    }
}
