//! Generated code; the documentation of its items is that of the contracts.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::pedantic,
    clippy::allow_attributes,
    clippy::str_to_string,
    clippy::or_fun_call,
    rustdoc::all,
    reason = "generated"
)]

include!(concat!(env!("OUT_DIR"), "/contracts.rs"));
