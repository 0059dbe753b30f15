//! Errors of the door, as clients of X-Road expect them (PR-REST 4.6).

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::Serialize;
use uuid::Uuid;

use crate::headers::names;

/// The kinds of errors that this door makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// The request does not keep the protocol.
    BadRequest,
    /// The client is not who it says to be, or not known.
    UnknownMember,
    /// There is no such service.
    UnknownService,
    /// The client may not call it.
    AccessDenied,
    /// The client's agreement does not allow more now.
    LimitReached,
    /// The exchange cannot be recorded, so it did not take place.
    LogUnavailable,
    /// The provider could not be reached, or broke off.
    NetworkError,
    /// The provider took too long.
    ServiceTimeout,
    /// Something failed inside.
    InternalError,
}

impl FailureKind {
    /// The code in `type` and `X-Road-Error`.
    pub const fn code(self) -> &'static str {
        match self {
            Self::BadRequest => "Client.BadRequest",
            Self::UnknownMember => "Server.ClientProxy.UnknownMember",
            Self::UnknownService => "Server.ServerProxy.UnknownService",
            Self::AccessDenied => "Server.ServerProxy.AccessDenied",
            Self::LimitReached => "Server.ClientProxy.LimitReached",
            Self::LogUnavailable => "Server.ClientProxy.LoggingFailed",
            Self::NetworkError => "Server.ServerProxy.NetworkError",
            Self::ServiceTimeout => "Server.ServerProxy.ServiceFailed.Timeout",
            Self::InternalError => "Server.ServerProxy.InternalError",
        }
    }

    /// The HTTP status: PR-REST knows 400 for what the client did and 500 for everything of the door; an exhausted quota is 429,
    /// so that a client can wait.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::LimitReached => StatusCode::TOO_MANY_REQUESTS,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// An error of the door.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", kind.code())]
pub struct Failure {
    kind: FailureKind,
    message: String,
}

/// The form of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaType {
    /// `application/json`
    Json,
    /// `text/xml` or `application/xml`
    Xml,
}

impl MediaType {
    /// What an `Accept` asks for; JSON if it asks for neither.
    pub fn of_accept(accept: Option<&HeaderValue>) -> Self {
        let text = accept.and_then(|value| value.to_str().ok()).unwrap_or_default();
        let first = text
            .split(',')
            .map(|range| range.split(';').next().unwrap_or_default().trim())
            .find(|range| matches!(*range, "application/json" | "text/xml" | "application/xml" | "*/*"));
        match first {
            Some("text/xml" | "application/xml") => Self::Xml,
            _ => Self::Json,
        }
    }
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The status.
    pub status: StatusCode,
    /// `content-type` and `x-road-error`.
    pub headers: HeaderMap,
    /// The body.
    pub body: String,
}

#[derive(Serialize)]
struct Body<'a> {
    r#type: &'a str,
    message: &'a str,
    detail: String,
}

impl Failure {
    /// An error of this kind; `message` says what is wrong and names nothing inside.
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
        }
    }

    /// Its kind.
    pub const fn kind(&self) -> FailureKind {
        self.kind
    }

    /// What is wrong.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The answer; `trace` finds the lines of the log.
    pub fn answer(&self, media: MediaType, trace: Uuid) -> Answered {
        let code = self.kind.code();
        let (content_type, body) = match media {
            MediaType::Json => {
                let body = Body {
                    r#type: code,
                    message: &self.message,
                    detail: trace.to_string(),
                };
                let body = serde_json::to_string(&body).unwrap_or_default();
                ("application/json;charset=utf-8", body)
            }
            MediaType::Xml => (
                "text/xml;charset=utf-8",
                format!(
                    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<error><type>{code}</type><message>{}</message><detail>{trace}</detail></error>\n",
                    escaped(&self.message)
                ),
            ),
        };
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert(HeaderName::from_static(names::ERROR), HeaderValue::from_static(code));
        Answered {
            status: self.kind.status(),
            headers,
            body,
        }
    }
}

/// Text as the content of an element; what XML cannot hold is left out.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\u{fffe}' | '\u{ffff}' => {}
            other if other.is_control() && !matches!(other, '\n' | '\t') => {}
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_its_kind_in_header_and_body() {
        let failure = Failure::new(FailureKind::AccessDenied, "a < b & \"c\"\u{1}");
        let json = failure.answer(MediaType::Json, Uuid::nil());
        assert_eq!(json.status, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(json.headers["x-road-error"], "Server.ServerProxy.AccessDenied");
        let body: serde_json::Value = serde_json::from_str(&json.body).unwrap();
        assert_eq!(body["type"], "Server.ServerProxy.AccessDenied");
        assert_eq!(body["message"], "a < b & \"c\"\u{1}");
        assert_eq!(body["detail"], Uuid::nil().to_string());

        let xml = failure.answer(MediaType::Xml, Uuid::nil());
        assert!(
            xml.body.contains("<message>a &lt; b &amp; \"c\"</message>"),
            "{}",
            xml.body
        );
    }

    #[test]
    fn the_first_known_type_of_accept_decides() {
        let of = |text| MediaType::of_accept(Some(&HeaderValue::from_static(text)));
        assert_eq!(of("text/html, application/xml;q=0.9, */*"), MediaType::Xml);
        assert_eq!(of("*/*"), MediaType::Json);
        assert_eq!(of("application/json, text/xml"), MediaType::Json);
        assert_eq!(MediaType::of_accept(None), MediaType::Json);
    }
}
