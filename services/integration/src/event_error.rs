//! Why an operation on events or mailboxes is refused: one enum of what a caller can act on, one table to code, reason and words.

use std::time::Duration;

use egov_events::EventError;
use egov_fault::{Code, Fault, Violation};

use crate::error::DOMAIN;
use crate::store::StoreError;

/// Why an operation is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EventsError {
    /// There is no such topic, or the caller may not know of it: the two look the same.
    #[error("topic not found")]
    TopicNotFound,
    /// Another topic has the name.
    #[error("topic name taken")]
    TopicNameTaken,
    /// The caller is not on the topic's list of publishers.
    #[error("publishing not granted")]
    PublishingNotGranted,
    /// The caller is not on the topic's list of subscribers.
    #[error("subscribing not granted")]
    SubscribingNotGranted,
    /// An event is none of CloudEvents.
    #[error("event {index}: {error}")]
    EventInvalid {
        /// Which of the batch.
        index: usize,
        /// Why.
        error: EventError,
    },
    /// An event names a schema that the topic does not have.
    #[error("event {index}: schema mismatch")]
    EventSchemaMismatch {
        /// Which of the batch.
        index: usize,
    },
    /// There is no such subscription, or the caller may not know of it.
    #[error("subscription not found")]
    SubscriptionNotFound,
    /// The caller has a subscription of this name.
    #[error("subscription name taken")]
    SubscriptionNameTaken,
    /// The subscription is fed in another way.
    #[error("subscription mode mismatch")]
    SubscriptionModeMismatch,
    /// The subscriber has as many as it may have.
    #[error("too many subscriptions")]
    TooManySubscriptions,
    /// Events may not be sent to this address.
    #[error("webhook address not allowed")]
    WebhookAddressNotAllowed,
    /// The topic or subscription changed since the caller read it.
    #[error("stale etag")]
    StaleEtag,
    /// There is no such mailbox, or the caller may not know of it.
    #[error("mailbox not found")]
    MailboxNotFound,
    /// There is a mailbox between these two.
    #[error("mailbox exists")]
    MailboxExists,
    /// There is no such message, or the caller may not know of it.
    #[error("message not found")]
    MessageNotFound,
    /// The mailbox is full.
    #[error("mailbox full")]
    MailboxFull,
    /// The message was given up.
    #[error("message dead")]
    MessageDead,
    /// The caller is on the other side.
    #[error("not a party")]
    NotAParty,
    /// A field is wrong in a way that the contract's rules cannot say.
    #[error("{field}: {en}")]
    Field {
        /// The field.
        field: &'static str,
        /// What is wrong, in Vietnamese.
        vi: &'static str,
        /// What is wrong, in English.
        en: &'static str,
    },
    /// By the directory, an agency code is not the unit's.
    #[error(transparent)]
    Agency(#[from] crate::error::Error),
    /// A fault of another part of the platform, passed on as it is.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for EventsError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

impl From<EventsError> for Fault {
    fn from(error: EventsError) -> Self {
        use Code::{
            Aborted, AlreadyExists, FailedPrecondition, InvalidArgument, NotFound, PermissionDenied, ResourceExhausted,
        };
        let (code, reason, vi, en) = match error {
            EventsError::TopicNotFound => (
                NotFound,
                "TOPIC_NOT_FOUND",
                "không có chủ đề sự kiện này",
                "there is no such topic",
            ),
            EventsError::TopicNameTaken => (
                AlreadyExists,
                "TOPIC_NAME_TAKEN",
                "tên chủ đề đã được dùng",
                "a topic of this name exists",
            ),
            EventsError::PublishingNotGranted => (
                PermissionDenied,
                "PUBLISHING_NOT_GRANTED",
                "hệ thống chưa được cấp quyền gửi sự kiện vào chủ đề này",
                "the caller is not on the topic's list of publishers",
            ),
            EventsError::SubscribingNotGranted => (
                PermissionDenied,
                "SUBSCRIBING_NOT_GRANTED",
                "hệ thống chưa được cấp quyền nhận sự kiện của chủ đề này",
                "the caller is not on the topic's list of subscribers",
            ),
            EventsError::EventInvalid { index, error } => {
                return invalid(
                    format!("events[{index}].{}", error.attribute),
                    InvalidArgument,
                    "EVENT_INVALID",
                    error.vi,
                    error.en,
                );
            }
            EventsError::EventSchemaMismatch { index } => {
                return invalid(
                    format!("events[{index}].data_schema"),
                    InvalidArgument,
                    "EVENT_SCHEMA_MISMATCH",
                    "không phải là lược đồ của chủ đề này",
                    "is not a schema of this topic",
                );
            }
            EventsError::SubscriptionNotFound => (
                NotFound,
                "SUBSCRIPTION_NOT_FOUND",
                "không có đăng ký nhận sự kiện này",
                "there is no such subscription",
            ),
            EventsError::SubscriptionNameTaken => (
                AlreadyExists,
                "SUBSCRIPTION_NAME_TAKEN",
                "tên đăng ký đã được dùng",
                "a subscription of this name exists",
            ),
            EventsError::SubscriptionModeMismatch => (
                FailedPrecondition,
                "SUBSCRIPTION_MODE_MISMATCH",
                "đăng ký này nhận sự kiện theo cách khác",
                "the subscription is fed in another way",
            ),
            EventsError::TooManySubscriptions => (
                ResourceExhausted,
                "TOO_MANY_SUBSCRIPTIONS",
                "đã đạt số đăng ký tối đa",
                "the subscriber has as many subscriptions as it may have",
            ),
            EventsError::WebhookAddressNotAllowed => (
                InvalidArgument,
                "WEBHOOK_ADDRESS_NOT_ALLOWED",
                "địa chỉ nhận phải là https tới máy chủ đã đăng ký",
                "the address must be https to a host that the operator has registered",
            ),
            EventsError::StaleEtag => (
                Aborted,
                "STALE_ETAG",
                "dữ liệu đã được người khác thay đổi",
                "somebody changed it in between",
            ),
            EventsError::MailboxNotFound => (
                NotFound,
                "MAILBOX_NOT_FOUND",
                "không có hộp thư này",
                "there is no such mailbox",
            ),
            EventsError::MailboxExists => (
                AlreadyExists,
                "MAILBOX_EXISTS",
                "đã có hộp thư giữa hai cơ quan này",
                "there is a mailbox between these two",
            ),
            EventsError::MessageNotFound => (
                NotFound,
                "MESSAGE_NOT_FOUND",
                "không có thông điệp này",
                "there is no such message",
            ),
            EventsError::MailboxFull => (
                ResourceExhausted,
                "MAILBOX_FULL",
                "hộp thư đã đầy; hãy gửi lại sau",
                "the mailbox is full; send again later",
            ),
            EventsError::MessageDead => (
                FailedPrecondition,
                "MESSAGE_DEAD",
                "thông điệp đã bị huỷ vì quá hạn hoặc bị từ chối nhiều lần",
                "the message was given up",
            ),
            EventsError::NotAParty => (
                PermissionDenied,
                "NOT_A_PARTY",
                "không phải bên gửi hoặc bên nhận của việc này",
                "the caller is on the other side of this mailbox",
            ),
            EventsError::Field { field, vi, en } => {
                return Self::invalid(vec![violation(field.to_owned(), vi, en)]);
            }
            EventsError::Agency(error) => return error.into(),
            EventsError::Fault(fault) => return fault,
            EventsError::Store(error) => return crate::error::Error::Store(error).into(),
        };
        let fault = Self::new(code, reason, vi, en).domain(DOMAIN);
        if matches!(reason, "MAILBOX_FULL") {
            return fault.retry_after(Duration::from_mins(1));
        }
        fault
    }
}

fn violation(field: String, vi: &str, en: &str) -> Violation {
    Violation {
        field,
        rule: "value".to_owned(),
        vi: vi.to_owned(),
        en: en.to_owned(),
    }
}

/// A wrong event: with the reason of its own and the place.
fn invalid(field: String, code: Code, reason: &'static str, vi: &str, en: &str) -> Fault {
    Fault::new(code, reason, format!("{field}: {vi}"), format!("{field}: {en}"))
        .domain(DOMAIN)
        .with("field", field)
}
