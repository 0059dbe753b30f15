//! The rules: plain types and functions, no I/O, no protobuf, no SQL.

pub(crate) mod delivery;
pub(crate) mod entry;
pub(crate) mod payment;
pub mod permit;
