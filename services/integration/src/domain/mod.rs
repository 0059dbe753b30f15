//! The rules: plain types and functions, no I/O, no protobuf, no SQL.

pub(crate) mod entry;
pub mod permit;
