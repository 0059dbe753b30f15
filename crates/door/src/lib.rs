#![doc = include_str!("../README.md")]

mod body;
mod consumer;
mod deadline;
mod destination;
mod door;
mod exchange;
mod frames;
mod meters;
mod passage;
mod plain;
mod plain_path;
mod quota;
mod refusal;
mod stream;
mod tally;
mod unary;
mod upstream;
mod wire_headers;

pub use body::{AnswerBody, BrokenOff};
pub use consumer::{Authenticator, Consumer};
pub use destination::{Destinations, Forbidden, NotANetwork};
pub use door::{Door, DoorLimits, DoorParts, service_of};
pub use exchange::{Begun, Ended, Held, Journal, Outcome, Promise, Recording};
pub use frames::{Compression, FrameError, Message, inflate};
pub use passage::{
    Asked, BodyRules, FilterRefusal, Gatekeeper, MessageFilter, MethodFacts, Passage, PlainAsked, PlainFilter,
    PlainPassage, PlainRequest, Standing, Stands,
};
pub use plain::{Manner, PlainCall};
pub use plain_path::{PathRefused, PlainPath};
pub use quota::{MOST_CALLS, Quota, QuotaLedger, Quotas, Span, Window};
pub use refusal::{ByTheDoor, DOMAIN, Refusal, refusal};
pub use tally::Tally;
pub use upstream::{Endpoint, EndpointSpec, EndpointState, Trust, Upstream, UpstreamError, UpstreamLimits};
pub use wire_headers::{AGREEMENT, CONSUMER, EXCHANGE, PROMISE, SERVICE};
