//! What the build made of the contracts in `tests/bench`; they have the comments.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::pedantic,
    clippy::allow_attributes,
    clippy::str_to_string,
    reason = "generated"
)]

tonic::include_proto!("egov.bench.v1");
