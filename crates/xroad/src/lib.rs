#![doc = include_str!("../README.md")]

mod failure;
mod headers;
mod identifier;
mod metadata;
mod request;

pub use failure::{Answered, Failure, FailureKind, MediaType};
pub use headers::{RequestHash, answer_headers, names, provider_headers};
pub use identifier::{ClientId, IdentifierError, ServiceId};
pub use metadata::{Endpoint, Listed, MethodList, ServiceType};
pub use request::{Asked, Call, MetaService, PREFIX};
