//! What is recorded of a call.

use std::any::Any;
use std::sync::Arc;

use bytes::Bytes;
use egov_fault::Fault;
use futures::future::BoxFuture;
use jiff::Timestamp;
use uuid::Uuid;

use crate::tally::Tally;

/// A call that is about to be forwarded.
#[derive(Clone, Debug)]
pub struct Begun {
    /// The exchange.
    pub exchange_id: Uuid,
    /// The agreement by which it is let through.
    pub agreement_id: Uuid,
    /// Its version.
    pub agreement_version: i64,
    /// The delegation by which the caller acts, if it is not the consumer itself.
    pub delegation_id: Option<Uuid>,
    /// The client id of the caller.
    pub client_id: String,
    /// The account of the caller; and the citizen for whom it acts.
    pub caller: Uuid,
    /// The citizen for whom the caller acts.
    pub on_behalf_of: Option<Uuid>,
    /// The consumer's organisation.
    pub consumer_organisation_id: Uuid,
    /// The unit that keeps it.
    pub consumer_unit_id: i32,
    /// The provider's organisation.
    pub provider_organisation_id: Uuid,
    /// The unit that keeps it.
    pub provider_unit_id: i32,
    /// The service.
    pub service_id: Uuid,
    /// The method, as the agreement names it.
    pub method: String,
    /// For what, as the caller says.
    pub purpose: Option<String>,
    /// The request as it came, where it is there before the call is forwarded; of a stream it is known at its end.
    pub request: Option<Tally>,
    /// The trace to which the call belongs (W3C trace id, 32 hexadecimal digits).
    pub trace: Option<String>,
    /// When the call came.
    pub at: Timestamp,
    /// For how many days bodies are kept.
    pub retention_days: u32,
}

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The provider answered with success.
    Answered,
    /// The provider answered with an error of its own.
    Refused,
    /// The provider could not be reached, and did not get the request.
    NotSent,
    /// The provider broke off, or sent what is no answer; whether it has acted is not known.
    BrokenOff,
    /// The consumer went away.
    Cancelled,
    /// The time was over.
    TimedOut,
    /// The agreement ended while the exchange was under way.
    AgreementEnded,
    /// The door stopped it: a message that the agreement does not allow, that is too large or cannot be read.
    Stopped,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 8] = [
        Self::Answered,
        Self::Refused,
        Self::NotSent,
        Self::BrokenOff,
        Self::Cancelled,
        Self::TimedOut,
        Self::AgreementEnded,
        Self::Stopped,
    ];

    /// The word in the record.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Refused => "refused",
            Self::NotSent => "not_sent",
            Self::BrokenOff => "broken_off",
            Self::Cancelled => "cancelled",
            Self::TimedOut => "timed_out",
            Self::AgreementEnded => "agreement_ended",
            Self::Stopped => "stopped",
        }
    }
}

/// An exchange that is over.
#[derive(Clone, Debug)]
pub struct Ended {
    /// The call.
    pub begun: Arc<Begun>,
    /// How it ended.
    pub outcome: Outcome,
    /// The gRPC status that the consumer gets; for plain HTTP the HTTP status.
    pub status: i32,
    /// The request as it came from the consumer.
    pub request: Tally,
    /// The request as it went to the provider, where that differs: under a predicate it is read and written anew.
    pub forwarded: Option<Tally>,
    /// The answer as the consumer gets it.
    pub response: Tally,
    /// The answer as it came from the provider, where that differs: under a mask.
    pub received: Option<Tally>,
    /// When it ended.
    pub at: Timestamp,
    /// The whole time, in microseconds.
    pub elapsed_us: u64,
    /// The time that passed at the provider, in microseconds.
    pub provider_us: u64,
    /// The answer as the consumer gets it, where the agreement says that it is kept.
    pub body: Option<Bytes>,
}

/// The signed promise that the exchange will stand in the ledger, as it travels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promise(pub String);

/// What must not be given back before a record is stored or given up: the places of the call.
pub type Held = Arc<dyn Any + Send + Sync>;

/// A record on its way: resolves when it survives a crash, or cannot be made to.
pub type Recording<T> = BoxFuture<'static, Result<T, Fault>>;

/// Where exchanges are recorded.
///
/// A record is taken when the function is called, behind those that were taken before; what it returns only waits. Whoever drops
/// that does not take the record back.
pub trait Journal: Send + Sync + 'static {
    /// Records that a call is about to be forwarded, with the request where the agreement says that it is kept. When it resolves, the
    /// record survives a crash. `EXCHANGE_NOT_RECORDED` if it cannot be.
    fn begin(&self, begun: Arc<Begun>, body: Option<Bytes>, held: Held) -> Recording<()>;

    /// Records how it ended, together with its leaf. When it resolves, both survive a crash. `EXCHANGE_NOT_RECORDED` if they
    /// cannot be; the exchange is then swept to "outcome unknown" some time later.
    fn end(&self, ended: Ended) -> Recording<Promise>;

    /// The same for an exchange whose consumer went away and waits for nothing. It may have gone before its beginning was stored.
    /// Must not block; what is lost here is swept.
    fn abandon(&self, ended: Ended);
}
