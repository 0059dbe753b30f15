//! `cargo egov partner webhook`: a receiver that judges what it gets as Standard Webhooks says, and fails on purpose; the other
//! direction, judging a receiver, stands in [`super::sending`].

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::{NonZeroU32, NonZeroU64};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use clap::Args;
use egov_clock::{Clock, Ids as _, SharedClock, SystemClock, SystemIds, vietnam};
use egov_events::{CloudEvent, WEBHOOK_ID, WebhookRefusal, WebhookSecret};
use reqwest::Url;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::Notify;

use super::sending;
use crate::problem::Problem;
use crate::say;

/// Where the tester listens; a demonstration may send webhooks there.
pub(crate) const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8787);
/// The most bytes of a body: an event with its data in base64, and some room.
const MOST: usize = 1 << 20;
/// Of so many ids the tester remembers how often they came.
const REMEMBERED: usize = 10_000;

/// `cargo egov partner webhook`
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Address and port.
    #[arg(long, value_name = "ADDRESS:PORT", default_value_t = LISTEN, conflicts_with = "send")]
    listen: SocketAddr,
    /// The secret that `CreateSubscription` has shown, `whsec_…`; without it one is made and printed.
    #[arg(long, value_name = "SECRET", env = "EGOV_WEBHOOK_SECRET", hide_env_values = true, value_parser = secret)]
    secret: Option<WebhookSecret>,
    /// What a good message is answered with.
    #[arg(long, value_name = "STATUS", default_value = "204", value_parser = status, conflicts_with = "send")]
    answer: StatusCode,
    /// Only every so many good messages get that answer, the others 204.
    #[arg(long, value_name = "N", default_value = "1", conflicts_with = "send")]
    every: NonZeroU32,
    /// With a 429 or 503: come back after so many seconds.
    #[arg(long, value_name = "SECONDS", conflicts_with = "send")]
    retry_after: Option<u32>,
    /// End after so many messages.
    #[arg(long, value_name = "N", conflicts_with = "send")]
    count: Option<NonZeroU64>,
    /// Do not receive: send to this address, and judge how it answers.
    #[arg(long, value_name = "URL", requires = "secret")]
    send: Option<Url>,
    /// Print JSON, one object a message.
    #[arg(long)]
    json: bool,
}

fn secret(text: &str) -> Result<WebhookSecret, String> {
    WebhookSecret::parse(text).map_err(|error| format!("{error}; CreateSubscription shows it once, as webhookSecret"))
}

fn status(text: &str) -> Result<StatusCode, String> {
    text.parse()
        .ok()
        .filter(|status: &StatusCode| !status.is_informational())
        .ok_or_else(|| "a status of HTTP lies between 200 and 599".to_owned())
}

/// `cargo egov partner webhook`
pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    match (&arguments.send, &arguments.secret) {
        (Some(url), Some(secret)) => {
            return sending::judge(url, secret, &SystemClock::shared(), arguments.json).await;
        }
        (Some(_), None) => {
            return Err(Problem::new("nothing can be signed", "name the secret: --secret whsec_…").into());
        }
        (None, _) => {}
    }
    let listener = TcpListener::bind(arguments.listen).await.map_err(|error| {
        Problem::new(
            format!("cannot listen on {}: {error}", arguments.listen),
            "choose another port: --listen 127.0.0.1:PORT",
        )
    })?;
    let address = listener.local_addr()?;
    let (secret, made) = match arguments.secret {
        Some(secret) => (secret, false),
        None => {
            let mut bytes = [0; WebhookSecret::BYTES];
            SystemIds::default().random_bytes(&mut bytes);
            (WebhookSecret::from_bytes(&bytes), true)
        }
    };
    if arguments.json {
        say::json(
            &serde_json::json!({ "listens": format!("http://{address}/"), "secret": made.then(|| secret.to_text()) }),
        );
    } else {
        say::line(format!("listens on http://{address}/; Ctrl-C ends it"));
        if made {
            say::line(format!("secret {}", secret.to_text()));
            say::line("(made up: messages of a subscription carry the signature of its own, --secret whsec_…)");
        }
    }
    let finished = Arc::new(Notify::new());
    let tester = Arc::new(Tester {
        secret,
        clock: SystemClock::shared(),
        answer: arguments.answer,
        every: arguments.every,
        retry_after: arguments.retry_after,
        json: arguments.json,
        count: arguments.count,
        finished: Arc::clone(&finished),
        seen: Mutex::default(),
    });
    let app = axum::Router::new()
        .fallback(received)
        .layer(DefaultBodyLimit::max(MOST))
        .with_state(tester);
    let until = async move {
        tokio::select! {
            () = finished.notified() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    };
    axum::serve(listener, app)
        .with_graceful_shutdown(until)
        .await
        .context("the tester cannot serve")
}

/// The receiver.
struct Tester {
    secret: WebhookSecret,
    clock: SharedClock,
    answer: StatusCode,
    every: NonZeroU32,
    retry_after: Option<u32>,
    json: bool,
    count: Option<NonZeroU64>,
    finished: Arc<Notify>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    messages: u64,
    good: u32,
    /// How often a good message of an id came.
    times: HashMap<String, u32>,
}

/// What is said of a message.
#[derive(Debug, Serialize)]
struct Judged {
    time: String,
    id: String,
    /// How often it came, this time included; 0 if it is not believed.
    times: u32,
    kind: String,
    source: String,
    subject: String,
    /// What is wrong with it; empty if nothing is.
    faults: Vec<String>,
    answer: u16,
    data: serde_json::Value,
}

async fn received(State(tester): State<Arc<Tester>>, method: Method, headers: HeaderMap, body: Bytes) -> Response {
    let judged = tester.judge(&method, &headers, &body);
    let (status, last) = (
        judged.answer,
        tester.count.is_some_and(|count| tester.messages() >= count.get()),
    );
    tester.show(&judged);
    if last {
        tester.finished.notify_one();
    }
    let mut answer = StatusCode::from_u16(status)
        .unwrap_or(StatusCode::NO_CONTENT)
        .into_response();
    if let Some(seconds) = tester.retry_after
        && matches!(status, 429 | 503)
    {
        answer
            .headers_mut()
            .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    answer
}

impl Tester {
    fn messages(&self) -> u64 {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).messages
    }

    /// Judges a message, and decides the answer: what is not believed gets 400 or 401, and has no effect.
    fn judge(&self, method: &Method, headers: &HeaderMap, body: &[u8]) -> Judged {
        let now = self.clock.now();
        let text = |name: &'static str| headers.get(name)?.to_str().ok().map(str::to_owned);
        let mut faults = Vec::new();
        let mut answer = StatusCode::NO_CONTENT;
        if method != Method::POST {
            faults.push(format!("it comes by {method}; webhooks come by POST"));
            answer = StatusCode::METHOD_NOT_ALLOWED;
        }
        if let Err(refusal) = self.secret.verify(text, body, now) {
            let hint = match &refusal {
                WebhookRefusal::Signature => {
                    "; compare --secret with what CreateSubscription showed, and sign the body as it came, byte by byte"
                }
                _ => "",
            };
            faults.push(format!("{refusal}{hint}"));
            answer = StatusCode::UNAUTHORIZED;
        }
        let event = CloudEvent::from_json(body);
        if let Err(error) = &event {
            faults.push(format!("the body is no CloudEvent: {error}"));
            if answer == StatusCode::NO_CONTENT {
                answer = StatusCode::BAD_REQUEST;
            }
        }
        let id = text(WEBHOOK_ID).unwrap_or_default();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.messages += 1;
        let mut times = 0;
        if faults.is_empty() {
            seen.good = seen.good.wrapping_add(1);
            if seen.good % self.every == 0 {
                answer = self.answer;
            }
            if seen.times.len() < REMEMBERED || seen.times.contains_key(&id) {
                let known = seen.times.entry(id.clone()).or_default();
                *known = known.saturating_add(1);
                times = *known;
            }
        }
        drop(seen);
        let (kind, source, subject) = match &event {
            Ok(event) => (
                event.kind.clone(),
                event.source.clone(),
                event.subject.clone().unwrap_or_default(),
            ),
            Err(_) => <(String, String, String)>::default(),
        };
        let data = event.map_or(serde_json::Value::Null, |event| {
            event.to_json().get("data").cloned().unwrap_or_default()
        });
        Judged {
            time: now.to_zoned(vietnam()).strftime("%H:%M:%S").to_string(),
            id,
            times,
            kind,
            source,
            subject,
            faults,
            answer: answer.as_u16(),
            data,
        }
    }

    fn show(&self, judged: &Judged) {
        if self.json {
            say::json(judged);
            return;
        }
        let verdict = match (judged.faults.is_empty(), judged.times) {
            (false, _) => "REFUSED".to_owned(),
            (true, 0 | 1) => "good".to_owned(),
            (true, times) => format!("good, for the {times}. time: do nothing a second time"),
        };
        say::line(format!(
            "{} {} → {}  {verdict}",
            judged.time,
            shown(&judged.id),
            judged.answer
        ));
        for fault in &judged.faults {
            say::line(format!("    {fault}"));
        }
        if !judged.kind.is_empty() {
            say::line(format!(
                "    {} from {} about {}",
                shown(&judged.kind),
                shown(&judged.source),
                shown(&judged.subject)
            ));
            say::line(format!("    {}", judged.data));
        }
    }
}

/// A text of somebody else on a terminal: without what would steer it.
fn shown(text: &str) -> String {
    text.chars()
        .map(|one| if one.is_control() { '�' } else { one })
        .collect()
}

#[cfg(test)]
mod tests {
    use egov_clock::ManualClock;
    use egov_events::{WEBHOOK_SIGNATURE, WEBHOOK_TIMESTAMP};

    use super::*;

    fn tester(answer: u16, every: u32) -> (Tester, ManualClock) {
        let clock = ManualClock::at("2026-11-23T01:00:00Z".parse().unwrap());
        let tester = Tester {
            secret: WebhookSecret::from_bytes(&[7; 32]),
            clock: clock.shared(),
            answer: StatusCode::from_u16(answer).unwrap(),
            every: NonZeroU32::new(every).unwrap(),
            retry_after: None,
            json: true,
            count: None,
            finished: Arc::default(),
            seen: Mutex::default(),
        };
        (tester, clock)
    }

    const BODY: &str =
        r#"{"specversion":"1.0","id":"1","source":"/egov/test","type":"vn.test.happened","data":{"n":1}}"#;

    fn message(secret: &WebhookSecret, id: &str, seconds: i64, body: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let mut put = |name: &'static str, value: String| headers.insert(name, value.parse().unwrap());
        put(WEBHOOK_ID, id.to_owned());
        put(WEBHOOK_TIMESTAMP, seconds.to_string());
        put(WEBHOOK_SIGNATURE, secret.sign(id, seconds, body.as_bytes()));
        headers
    }

    #[test]
    fn a_good_message_is_told_with_how_often_it_came() {
        let (tester, clock) = tester(204, 1);
        let headers = message(&tester.secret, "evt_1", clock.now().as_second(), BODY);
        for times in 1..=2 {
            let judged = tester.judge(&Method::POST, &headers, BODY.as_bytes());
            assert_eq!(
                (judged.times, judged.answer, judged.faults.len()),
                (times, 204, 0),
                "{judged:?}"
            );
            assert_eq!(
                (judged.kind.as_str(), &judged.data["n"]),
                ("vn.test.happened", &1.into())
            );
        }
    }

    #[test]
    fn a_bad_message_is_refused_with_what_is_wrong_and_counts_for_nothing() {
        let (tester, clock) = tester(204, 1);
        let now = clock.now().as_second();
        let refused = |headers: &HeaderMap, body: &str, method: Method| {
            let judged = tester.judge(&method, headers, body.as_bytes());
            assert_eq!(judged.times, 0);
            (judged.answer, judged.faults.join(" "))
        };
        let good = message(&tester.secret, "evt_1", now, BODY);
        let (answer, said) = refused(&good, &BODY.replace('1', "2"), Method::POST);
        assert!(
            answer == 401 && said.contains("altered") && said.contains("--secret"),
            "{said}"
        );
        let (answer, said) = refused(
            &message(&WebhookSecret::from_bytes(&[8; 32]), "evt_1", now, BODY),
            BODY,
            Method::POST,
        );
        assert!(answer == 401 && said.contains("another secret"), "{said}");
        let (answer, said) = refused(&message(&tester.secret, "evt_1", now - 3600, BODY), BODY, Method::POST);
        assert!(answer == 401 && said.contains("3600 s old"), "{said}");
        let (answer, said) = refused(&HeaderMap::new(), BODY, Method::POST);
        assert!(answer == 401 && said.contains("webhook-id"), "{said}");
        let (answer, said) = refused(&message(&tester.secret, "evt_1", now, "{}"), "{}", Method::POST);
        assert!(answer == 400 && said.contains("no CloudEvent"), "{said}");
        assert_eq!(refused(&good, BODY, Method::PUT).0, 405);
        assert_eq!(tester.judge(&Method::POST, &good, BODY.as_bytes()).times, 1);
    }

    #[test]
    fn every_third_answer_is_the_error_that_was_asked_for() {
        let (tester, clock) = tester(503, 3);
        let headers = message(&tester.secret, "evt_1", clock.now().as_second(), BODY);
        let answers: Vec<u16> = (0..6)
            .map(|_| tester.judge(&Method::POST, &headers, BODY.as_bytes()).answer)
            .collect();
        assert_eq!(answers, [204, 204, 503, 204, 204, 503]);
    }

    #[test]
    fn what_came_does_not_steer_the_terminal() {
        assert_eq!(shown("a\u{1b}[2Jb\n"), "a�[2Jb�");
    }
}
