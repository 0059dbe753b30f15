//! Webhooks as [Standard Webhooks](https://www.standardwebhooks.com) 1.0 describes them: how a message is signed, and how a receiver checks it.

use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use reqwest::{Client, redirect};

/// The header with the id of the message, the same for every attempt.
pub const WEBHOOK_ID: &str = "webhook-id";
/// The header with the time of the attempt, in seconds since 1970.
pub const WEBHOOK_TIMESTAMP: &str = "webhook-timestamp";
/// The header with the signatures, with spaces between them.
pub const WEBHOOK_SIGNATURE: &str = "webhook-signature";
/// The media type of the body: one event in the JSON format of CloudEvents.
pub const WEBHOOK_CONTENT_TYPE: &str = "application/cloudevents+json; charset=utf-8";
/// How far the time of an attempt may lie from the receiver's own, in seconds.
pub const WEBHOOK_TOLERANCE_SECONDS: i64 = 300;

/// How long a receiver may take to answer.
pub const WEBHOOK_ANSWER: Duration = Duration::from_secs(10);
/// How long it may take to be reached.
const CONNECT: Duration = Duration::from_secs(2);

/// The client that sends webhooks: no redirect (it could lead to a host that nobody registered), no proxy of the environment.
///
/// # Errors
/// If it cannot be made.
pub fn webhook_client() -> Result<Client, reqwest::Error> {
    Client::builder()
        .connect_timeout(CONNECT)
        .timeout(WEBHOOK_ANSWER)
        .redirect(redirect::Policy::none())
        .no_proxy()
        .user_agent("egov-webhooks/1")
        .build()
}

/// How a written secret begins.
const PREFIX: &str = "whsec_";
/// What a signature of this version begins with.
const V1: &str = "v1,";
/// How many bytes a secret has, by the specification.
const LENGTHS: std::ops::RangeInclusive<usize> = 24..=64;

/// What both sides of a webhook know.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookSecret(Vec<u8>);

impl std::fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WebhookSecret")
    }
}

/// Why a text is not a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebhookSecretError {
    /// It is not `whsec_` and base64.
    #[error("it is not whsec_ and base64")]
    Malformed,
    /// It has too few or too many bytes.
    #[error("it has not 24 to 64 bytes")]
    Length,
}

/// Why a message is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebhookRefusal {
    /// A header is missing, or holds what it cannot.
    #[error("the header {0} is missing or cannot be read")]
    Header(&'static str),
    /// The attempt is too old: it may be an old message sent again by somebody else.
    #[error("it is {0} s old, more than the tolerance of {WEBHOOK_TOLERANCE_SECONDS} s")]
    Late(i64),
    /// The attempt is from the future: one of the two clocks is wrong.
    #[error(
        "it comes from {0} s in the future, more than the tolerance of {WEBHOOK_TOLERANCE_SECONDS} s: one of the clocks is wrong"
    )]
    Early(i64),
    /// There is no signature of version 1.
    #[error("it carries no signature of version 1")]
    NoSignature,
    /// No signature is that of this secret over this id, time and body.
    #[error(
        "no signature is that of this secret over this id, time and body: another secret, or something was altered on the way"
    )]
    Signature,
}

impl WebhookSecret {
    /// How many bytes a new secret gets.
    pub const BYTES: usize = 32;

    /// The secret of these bytes.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }

    /// Reads a secret as a subscriber keeps it.
    ///
    /// # Errors
    /// If it is not one.
    pub fn parse(text: &str) -> Result<Self, WebhookSecretError> {
        let coded = text.trim().strip_prefix(PREFIX).ok_or(WebhookSecretError::Malformed)?;
        let bytes = STANDARD.decode(coded).map_err(|_| WebhookSecretError::Malformed)?;
        if LENGTHS.contains(&bytes.len()) {
            Ok(Self(bytes))
        } else {
            Err(WebhookSecretError::Length)
        }
    }

    /// The secret as a subscriber keeps it.
    pub fn to_text(&self) -> String {
        format!("{PREFIX}{}", STANDARD.encode(&self.0))
    }

    fn key(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, &self.0)
    }

    /// The header [`WEBHOOK_SIGNATURE`] of a message: version 1, HMAC-SHA256 over id, time in seconds and body.
    pub fn sign(&self, id: &str, seconds: i64, body: &[u8]) -> String {
        let mut context = hmac::Context::with_key(&self.key());
        context.update(format!("{id}.{seconds}.").as_bytes());
        context.update(body);
        format!("{V1}{}", STANDARD.encode(context.sign()))
    }

    /// Checks a message as its receiver must, by its three headers, its body as it came and the receiver's own time.
    ///
    /// # Errors
    /// Why it is not to be believed. A caller answers it with 401 and does nothing of what it says.
    pub fn verify(
        &self,
        header: impl Fn(&'static str) -> Option<String>,
        body: &[u8],
        now: Timestamp,
    ) -> Result<(), WebhookRefusal> {
        let text = |name: &'static str| {
            header(name)
                .filter(|text| !text.is_empty())
                .ok_or(WebhookRefusal::Header(name))
        };
        let (id, time, signatures) = (text(WEBHOOK_ID)?, text(WEBHOOK_TIMESTAMP)?, text(WEBHOOK_SIGNATURE)?);
        let seconds: i64 = time
            .parse()
            .ok()
            .filter(|seconds| *seconds >= 0)
            .ok_or(WebhookRefusal::Header(WEBHOOK_TIMESTAMP))?;
        let age = now.as_second().saturating_sub(seconds);
        let signed = [format!("{id}.{time}.").as_bytes(), body].concat();
        let key = self.key();
        let mut known = false;
        let mut right = false;
        for tag in signatures.split(' ').filter_map(|one| one.strip_prefix(V1)) {
            known = true;
            right |= STANDARD
                .decode(tag)
                .is_ok_and(|tag| hmac::verify(&key, &signed, &tag).is_ok());
        }
        if !known {
            Err(WebhookRefusal::NoSignature)
        } else if !right {
            Err(WebhookRefusal::Signature)
        } else if age > WEBHOOK_TOLERANCE_SECONDS {
            Err(WebhookRefusal::Late(age))
        } else if age < -WEBHOOK_TOLERANCE_SECONDS {
            Err(WebhookRefusal::Early(age.saturating_neg()))
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn now() -> Timestamp {
        Timestamp::from_second(1_614_265_330).unwrap()
    }

    /// The headers of a message.
    fn headers<'a>(id: &'a str, time: &'a str, signature: &'a str) -> impl Fn(&'static str) -> Option<String> + 'a {
        move |name| {
            let value = match name {
                WEBHOOK_ID => id,
                WEBHOOK_TIMESTAMP => time,
                _ => signature,
            };
            (!value.is_empty()).then(|| value.to_owned())
        }
    }

    /// The example of the specification's reference libraries.
    #[test]
    fn the_signature_is_that_of_standard_webhooks() {
        let secret = WebhookSecret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let body = br#"{"test": 2432232314}"#;
        let signed = secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        let others = format!("v2,AAAA v1,AAAA {signed}");
        for signature in [&signed, &others] {
            let sent = headers("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", signature);
            assert_eq!(secret.verify(sent, body, now()), Ok(()));
        }
        assert_eq!(WebhookSecret::parse(&secret.to_text()), Ok(secret));
    }

    #[test]
    fn a_message_is_refused_for_what_is_wrong_with_it() {
        let secret = WebhookSecret::from_bytes(&[7; 32]);
        let at = |seconds: i64| secret.sign("m", seconds, b"body");
        let time = now().as_second();
        let check = |id: &str, seconds: &str, signature: &str, body: &[u8]| {
            secret.verify(headers(id, seconds, signature), body, now()).unwrap_err()
        };
        let (right, text) = (at(time), time.to_string());
        assert_eq!(check("", &text, &right, b"body"), WebhookRefusal::Header(WEBHOOK_ID));
        assert_eq!(
            check("m", "soon", &right, b"body"),
            WebhookRefusal::Header(WEBHOOK_TIMESTAMP)
        );
        assert_eq!(
            check("m", "-1", &at(-1), b"body"),
            WebhookRefusal::Header(WEBHOOK_TIMESTAMP)
        );
        assert_eq!(
            check("m", &text, "", b"body"),
            WebhookRefusal::Header(WEBHOOK_SIGNATURE)
        );
        assert_eq!(check("m", &text, "v2,AAAA", b"body"), WebhookRefusal::NoSignature);
        assert_eq!(check("m", &text, &right, b"other"), WebhookRefusal::Signature);
        assert_eq!(check("n", &text, &right, b"body"), WebhookRefusal::Signature);
        let foreign = WebhookSecret::from_bytes(&[8; 32]).sign("m", time, b"body");
        assert_eq!(check("m", &text, &foreign, b"body"), WebhookRefusal::Signature);
        let late = time - 301;
        assert_eq!(
            check("m", &late.to_string(), &at(late), b"body"),
            WebhookRefusal::Late(301)
        );
        let early = time + 301;
        assert_eq!(
            check("m", &early.to_string(), &at(early), b"body"),
            WebhookRefusal::Early(301)
        );
    }

    #[test]
    fn what_is_no_secret_is_refused() {
        assert_eq!(
            WebhookSecret::parse("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
            Err(WebhookSecretError::Malformed)
        );
        assert_eq!(WebhookSecret::parse("whsec_%"), Err(WebhookSecretError::Malformed));
        assert_eq!(WebhookSecret::parse("whsec_AAAA"), Err(WebhookSecretError::Length));
    }

    proptest! {
        #[test]
        fn what_is_signed_is_believed_and_a_changed_bit_is_not(
            secret in proptest::collection::vec(any::<u8>(), 24..64),
            id in "[a-zA-Z0-9_]{1,40}",
            body in proptest::collection::vec(any::<u8>(), 1..200),
            place in any::<prop::sample::Index>(),
            off in -300_i64..=300,
        ) {
            let secret = WebhookSecret::from_bytes(&secret);
            let seconds = now().as_second() + off;
            let (time, signature) = (seconds.to_string(), secret.sign(&id, seconds, &body));
            prop_assert_eq!(secret.verify(headers(&id, &time, &signature), &body, now()), Ok(()));
            let mut other = body.clone();
            let at = place.index(other.len());
            other[at] ^= 1;
            prop_assert_eq!(
                secret.verify(headers(&id, &time, &signature), &other, now()),
                Err(WebhookRefusal::Signature)
            );
        }

        #[test]
        fn any_headers_are_believed_or_refused(id in "\\PC{0,20}", time in "-?[0-9]{0,25}|\\PC{0,10}", signature in "(v1,)?\\PC{0,40}", text in "(whsec_)?\\PC{0,90}") {
            let secret = WebhookSecret::from_bytes(&[7; 32]);
            prop_assert!(secret.verify(headers(&id, &time, &signature), b"body", now()).is_err());
            if let Ok(secret) = WebhookSecret::parse(&text) {
                prop_assert!(secret.to_text().starts_with("whsec_"));
            }
        }
    }
}
