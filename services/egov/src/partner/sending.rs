//! `cargo egov partner webhook --send`: sends a receiver what the platform would, and what somebody else might, and judges the answers.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use egov_clock::{Clock as _, Ids as _, SharedClock, SystemIds};
use egov_events::{
    CloudEvent, WEBHOOK_ANSWER, WEBHOOK_CONTENT_TYPE, WEBHOOK_ID, WEBHOOK_SIGNATURE, WEBHOOK_TIMESTAMP,
    WEBHOOK_TOLERANCE_SECONDS, WebhookSecret, webhook_client,
};
use jiff::Timestamp;
use reqwest::{Client, Url, header};
use serde::Serialize;

use crate::problem::Problem;
use crate::say;

/// An answer that takes longer is worth a word: the receiver should take the event in and work on it afterwards.
const SLOW: Duration = Duration::from_secs(3);

/// What is sent, and what a receiver must do with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trial {
    Good,
    Again,
    OtherSecret,
    Altered,
    Old,
    Unsigned,
}

impl Trial {
    const ALL: [Self; 6] = [
        Self::Good,
        Self::Again,
        Self::OtherSecret,
        Self::Altered,
        Self::Old,
        Self::Unsigned,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Good => "a signed event",
            Self::Again => "the same once more",
            Self::OtherSecret => "another secret",
            Self::Altered => "altered on the way",
            Self::Old => "an hour old",
            Self::Unsigned => "no signature",
        }
    }

    /// Whether the receiver has to take it.
    const fn good(self) -> bool {
        matches!(self, Self::Good | Self::Again)
    }
}

/// How a receiver answered.
#[derive(Debug, Serialize)]
struct Answered {
    trial: &'static str,
    /// 0 if none came.
    status: u16,
    elapsed_ms: u64,
    passed: bool,
    /// What is to be done; empty if nothing is.
    advice: String,
}

/// A message: id, time, signature, body.
struct Message {
    id: String,
    seconds: i64,
    signature: Option<String>,
    body: Vec<u8>,
}

fn sample(id: &str, now: Timestamp) -> Vec<u8> {
    let event = CloudEvent {
        id: id.to_owned(),
        source: "/egov/partner/webhook".to_owned(),
        kind: "vn.egov.test".to_owned(),
        subject: Some("thử nghiệm".to_owned()),
        time: Some(now),
        data_content_type: Some("application/json".to_owned()),
        data_schema: None,
        partition_key: None,
        epoch: None,
        data: br#"{"state":"tested"}"#.to_vec().into(),
    };
    event.to_json().to_string().into_bytes()
}

/// What a trial sends. The repeated one has the id of the first, everything else its own: a receiver that forgets to look at the
/// signature must not be saved by knowing the id.
fn message(trial: Trial, first: &str, own: &str, secret: &WebhookSecret, now: Timestamp) -> Message {
    let id = format!("evt_{}", if trial == Trial::Again { first } else { own });
    let id = if trial == Trial::Good {
        format!("evt_{first}")
    } else {
        id
    };
    let mut body = sample(&id, now);
    let seconds = match trial {
        Trial::Old => now.as_second() - 3600_i64.max(WEBHOOK_TOLERANCE_SECONDS + 1),
        _ => now.as_second(),
    };
    let signature = match trial {
        Trial::OtherSecret => Some(WebhookSecret::from_bytes(&[0x5a; WebhookSecret::BYTES]).sign(&id, seconds, &body)),
        Trial::Unsigned => None,
        _ => Some(secret.sign(&id, seconds, &body)),
    };
    if trial == Trial::Altered {
        // Still the JSON of an event: only the signature gives it away.
        body = String::from_utf8_lossy(&body).replace("tested", "forged").into_bytes();
    }
    Message {
        id,
        seconds,
        signature,
        body,
    }
}

/// What an answer is worth.
fn verdict(trial: Trial, status: u16, elapsed: Duration) -> (bool, String) {
    let passed = matches!((trial.good(), status), (true, 200..=299) | (false, 400..=499));
    let advice = match (trial, status) {
        (_, 0) => format!(
            "no answer within {} s: take the event in, answer 204, and work on it afterwards",
            WEBHOOK_ANSWER.as_secs()
        ),
        (_, 300..=399) => "redirects are not followed: register the address itself".to_owned(),
        (Trial::Good, _) if !passed => {
            "a signed event gets 2xx; is the secret the one that was given with --secret?".to_owned()
        }
        (Trial::Again, _) if !passed => {
            "what came before gets 2xx again, without a second effect: remember webhook-id".to_owned()
        }
        (Trial::Good | Trial::Again, _) if elapsed > SLOW => {
            format!(
                "it took {:.1} s of ten: answer first, work afterwards",
                elapsed.as_secs_f64()
            )
        }
        (_, 200..=299) if !passed => "this must be refused with 401, and have no effect".to_owned(),
        (_, 500..=599) if !passed => "this is refused with 401: 5xx asks for it again".to_owned(),
        _ => String::new(),
    };
    (passed, advice)
}

async fn send(client: &Client, url: &Url, message: Message) -> (u16, Duration) {
    let mut request = client
        .post(url.clone())
        .header(header::CONTENT_TYPE, WEBHOOK_CONTENT_TYPE)
        .header(WEBHOOK_ID, message.id)
        .header(WEBHOOK_TIMESTAMP, message.seconds);
    if let Some(signature) = message.signature {
        request = request.header(WEBHOOK_SIGNATURE, signature);
    }
    let began = Instant::now();
    let status = request
        .body(message.body)
        .send()
        .await
        .map_or(0, |answer| answer.status().as_u16());
    (status, began.elapsed())
}

/// Sends everything and judges the answers.
pub(super) async fn judge(url: &Url, secret: &WebhookSecret, clock: &SharedClock, json: bool) -> anyhow::Result<()> {
    let client = webhook_client().context("no HTTP client can be made")?;
    let ids = SystemIds::default();
    let first = ids.uuid().simple().to_string();
    let mut answers = Vec::new();
    for trial in Trial::ALL {
        let own = ids.uuid().simple().to_string();
        let (status, elapsed) = send(&client, url, message(trial, &first, &own, secret, clock.now())).await;
        let (passed, advice) = verdict(trial, status, elapsed);
        answers.push(Answered {
            trial: trial.name(),
            status,
            elapsed_ms: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
            passed,
            advice,
        });
    }
    let failed = answers.iter().filter(|one| !one.passed).count();
    if json {
        say::json(&serde_json::json!({ "url": url.as_str(), "passed": failed == 0, "answers": answers }));
    } else {
        let rows = answers.iter().map(|one| {
            vec![
                if one.passed { "ok" } else { "FAILED" }.to_owned(),
                one.trial.to_owned(),
                one.status.to_string(),
                format!("{} ms", one.elapsed_ms),
                one.advice.clone(),
            ]
        });
        say::line(say::table(rows));
    }
    if failed == 0 {
        return Ok(());
    }
    Err(Problem::new(
        format!("{failed} of {} answers are wrong", answers.len()),
        "docs/partners/README.md says what a receiver has to do",
    )
    .into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        "2026-11-23T01:00:00Z".parse().unwrap()
    }

    #[test]
    fn only_the_good_messages_are_believed_and_all_of_them_are_events() {
        let secret = WebhookSecret::from_bytes(&[7; 32]);
        for trial in Trial::ALL {
            let message = message(trial, "first", "own", &secret, now());
            let header = |name: &'static str| match name {
                WEBHOOK_ID => Some(message.id.clone()),
                WEBHOOK_TIMESTAMP => Some(message.seconds.to_string()),
                _ => message.signature.clone(),
            };
            let believed = secret.verify(header, &message.body, now());
            assert_eq!(believed.is_ok(), trial.good(), "{trial:?}: {believed:?}");
            CloudEvent::from_json(&message.body).unwrap();
            assert_eq!(message.id == "evt_first", trial.good(), "{trial:?}");
        }
    }

    #[test]
    fn an_answer_is_right_or_there_is_something_to_do() {
        let soon = Duration::from_millis(5);
        for trial in Trial::ALL {
            for status in [0, 200, 204, 302, 400, 401, 404, 500, 503] {
                let (passed, advice) = verdict(trial, status, soon);
                let right = if trial.good() {
                    (200..300).contains(&status)
                } else {
                    (400..500).contains(&status)
                };
                assert_eq!(passed, right, "{trial:?} {status}");
                assert_eq!(advice.is_empty(), passed, "{trial:?} {status}: {advice}");
            }
        }
        let (passed, advice) = verdict(Trial::Good, 204, Duration::from_secs(5));
        assert!(passed && advice.contains("answer first"), "{advice}");
    }
}
