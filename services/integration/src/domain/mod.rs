//! The rules: plain types and functions, no I/O, no protobuf, no SQL.

pub(crate) mod entry;
pub(crate) mod mailbox;
pub mod permit;
pub(crate) mod topic;
pub(crate) mod webhook;
