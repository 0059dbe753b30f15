#![doc = include_str!("../README.md")]

mod binding;
mod error;
mod from_json;
mod openapi;
mod page;
mod plan;
mod query;
mod rest;
mod router;
mod template;
mod to_json;
mod wire;

#[cfg(test)]
mod tests;

pub use binding::{Binding, Bindings, BodyRule};
pub use error::{Language, Outcome, failure, method_not_allowed, refusal, refusal_bytes, unknown_path};
pub use openapi::{Introduction, Section, Terms, document, document_of};
pub use page::{docs, page};
pub use rest::{Call, Endpoint, FORWARDED, Failed, FailedBy, Rest, RestError, Target};
pub use router::{Found, Router, Segments};
pub use template::{Segment, Template, TemplateError, Variable};

/// The contracts of a descriptor set that somebody else made.
///
/// # Errors
/// Why it cannot be read. The library that reads it panics on some malformed notes about the source; that is told as an error too.
pub fn foreign_contracts(set: &[u8]) -> Result<prost_reflect::DescriptorPool, String> {
    std::panic::catch_unwind(|| prost_reflect::DescriptorPool::decode(set))
        .map_err(|_| "its notes about the source (source_code_info) are malformed".to_owned())?
        .map_err(|error| error.to_string())
}
