//! Webhooks, against a receiver of the test.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use egov_proto::egov::integration::v1::{
    CreateSubscriptionRequest, DeliveryMode, GetSubscriptionStatusRequest, PullRequest,
};
use jiff::SignedDuration;
use tokio::sync::{Mutex, mpsc};
use tonic::Code;

use crate::stage::{SUBSCRIBER, Stage, event, new_id, pulling, refusal};

type Heard = (HeaderMap, String);

/// A receiver that answers as it is told, and passes on what it hears.
struct Receiver {
    host: String,
    heard: mpsc::UnboundedReceiver<Heard>,
    answers: Arc<Mutex<Vec<StatusCode>>>,
}

impl Receiver {
    /// Answers with these in turn, then with 204.
    async fn start(answers: &[StatusCode]) -> Self {
        let (tell, heard) = mpsc::unbounded_channel();
        let answers = Arc::new(Mutex::new(answers.to_vec()));
        let told = Arc::clone(&answers);
        let handler = move |headers: HeaderMap, body: String| {
            let (tell, told) = (tell.clone(), Arc::clone(&told));
            async move {
                let _ = tell.send((headers, body));
                let mut told = told.lock().await;
                let status = if told.is_empty() {
                    StatusCode::NO_CONTENT
                } else {
                    told.remove(0)
                };
                if status.is_redirection() {
                    return (status, [("location", "http://127.0.0.1:1/stolen")]).into_response();
                }
                status.into_response()
            }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let app = axum::Router::new().fallback(handler);
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { host, heard, answers }
    }

    async fn next(&mut self) -> Heard {
        tokio::time::timeout(Duration::from_secs(15), self.heard.recv())
            .await
            .expect("a webhook comes")
            .unwrap()
    }
}

pub(crate) fn hook(topic: &str, url: &str) -> CreateSubscriptionRequest {
    CreateSubscriptionRequest {
        mode: DeliveryMode::Webhook.into(),
        webhook_url: url.to_owned(),
        ..pulling(topic, "hook")
    }
}

/// As the receiver of a Standard Webhook checks it.
pub(crate) fn verify(secret: &str, headers: &HeaderMap, body: &str) {
    let header = |name: &str| headers[name].to_str().unwrap();
    let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    let signed = format!("{}.{}.{body}", header("webhook-id"), header("webhook-timestamp"));
    let tag = STANDARD
        .decode(header("webhook-signature").strip_prefix("v1,").unwrap())
        .unwrap();
    hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, &key), signed.as_bytes(), &tag).expect("the signature is right");
}

async fn status(stage: &Stage, subscription: &str) -> (i64, i64) {
    let message = GetSubscriptionStatusRequest {
        subscription_id: subscription.to_owned(),
    };
    let request = stage.system(SUBSCRIBER, &[], message);
    let status = stage
        .events
        .clone()
        .get_subscription_status(request)
        .await
        .unwrap()
        .into_inner();
    (status.lag, status.dead_letters)
}

async fn until(stage: &Stage, subscription: &str, expected: (i64, i64)) {
    for _ in 0..100 {
        if status(stage, subscription).await == expected {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{:?} instead of {expected:?}", status(stage, subscription).await);
}

#[tokio::test]
async fn a_webhook_is_signed_and_repeated_until_the_receiver_has_it() {
    let mut receiver = Receiver::start(&[StatusCode::INTERNAL_SERVER_ERROR]).await;
    let stage = Stage::with_webhooks(std::slice::from_ref(&receiver.host)).await;
    let topic = stage.topic("test.cases").await.topic_id;
    let request = stage.system(SUBSCRIBER, &[], hook(&topic, &format!("http://{}/hook", receiver.host)));
    let made = stage
        .events
        .clone()
        .create_subscription(request)
        .await
        .unwrap()
        .into_inner();
    let (secret, subscription) = (made.webhook_secret, made.subscription.unwrap().subscription_id);
    stage
        .publish(&topic, vec![event("1", "k"), event("2", "k")])
        .await
        .unwrap();
    let (headers, body) = receiver.next().await;
    verify(&secret, &headers, &body);
    assert_eq!(headers["content-type"], "application/cloudevents+json; charset=utf-8");
    let json: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        (&json["specversion"], &json["id"], &json["data"]["id"]),
        (&"1.0".into(), &"1".into(), &"1".into())
    );
    tokio::time::sleep(Duration::from_millis(300)).await;
    stage.clock.advance(SignedDuration::from_secs(5));
    let (again, _) = receiver.next().await;
    assert_eq!(
        again["webhook-id"], headers["webhook-id"],
        "by its id the receiver knows it again"
    );
    assert_ne!(again["webhook-timestamp"], headers["webhook-timestamp"]);
    let (_, second) = receiver.next().await;
    assert!(second.contains("\"id\":\"2\""), "{second}");
    until(&stage, &subscription, (0, 0)).await;
    // It cannot be fetched as well.
    let pull = PullRequest {
        subscription_id: subscription,
        ..Default::default()
    };
    let status = stage
        .events
        .clone()
        .pull(stage.system(SUBSCRIBER, &[], pull))
        .await
        .unwrap_err();
    assert_eq!(
        refusal(&status),
        (Code::FailedPrecondition, "SUBSCRIPTION_MODE_MISMATCH".to_owned())
    );
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_leads_to_the_dead_letters() {
    let mut receiver = Receiver::start(&[StatusCode::FOUND]).await;
    let stage = Stage::with_webhooks(std::slice::from_ref(&receiver.host)).await;
    let topic = stage.topic("test.cases").await.topic_id;
    let mut wanted = hook(&topic, &format!("http://{}/hook", receiver.host));
    wanted.max_attempts = 1;
    let subscription = stage.subscribe(SUBSCRIBER, wanted).await.unwrap().subscription_id;
    stage.publish(&topic, vec![event("1", "")]).await.unwrap();
    receiver.next().await;
    until(&stage, &subscription, (0, 1)).await;
    assert!(receiver.answers.lock().await.is_empty());
    let request = stage.system(
        SUBSCRIBER,
        &[],
        egov_proto::egov::integration::v1::RedriveDeadLettersRequest {
            request_id: new_id(),
            subscription_id: subscription.clone(),
            offsets: vec![],
            until_time: Some(egov_proto::timestamp(stage.now())),
        },
    );
    stage.events.clone().redrive_dead_letters(request).await.unwrap();
    receiver.next().await;
    until(&stage, &subscription, (0, 0)).await;
}

#[tokio::test]
async fn a_webhook_goes_only_to_a_registered_host() {
    let stage = Stage::with_webhooks(&["nhan.example.vn".to_owned()]).await;
    let topic = stage.topic("test.cases").await.topic_id;
    for address in [
        "https://evil.example/hook",
        "http://nhan.example.vn/hook",
        "https://nhan.example.vn:8443/hook",
        "https://169.254.169.254/latest/meta-data",
        "https://nhan.example.vn@evil.example/",
    ] {
        let status = stage.subscribe(SUBSCRIBER, hook(&topic, address)).await.unwrap_err();
        assert_eq!(
            refusal(&status),
            (Code::InvalidArgument, "WEBHOOK_ADDRESS_NOT_ALLOWED".to_owned()),
            "{address}"
        );
    }
    let mut without = hook(&topic, "");
    without.webhook_url.clear();
    let status = stage.subscribe(SUBSCRIBER, without).await.unwrap_err();
    assert_eq!(refusal(&status), (Code::InvalidArgument, "INVALID_FIELD".to_owned()));
    stage
        .subscribe(SUBSCRIBER, hook(&topic, "https://nhan.example.vn/hook"))
        .await
        .unwrap();
}
