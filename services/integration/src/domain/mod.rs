//! The rules: plain types and functions, no I/O, no messages of our contracts, no SQL, no clock.

pub(crate) mod agreement;
pub(crate) mod canonical;
pub(crate) mod case_event;
pub(crate) mod commitment;
pub(crate) mod delivery;
pub mod descriptors;
pub(crate) mod endpoint;
pub mod exchange;
pub(crate) mod issuing;
pub(crate) mod mailbox;
pub(crate) mod narrowing;
pub(crate) mod openapi;
pub(crate) mod organisation;
pub(crate) mod payment;
pub mod permit;
pub(crate) mod plain;
pub(crate) mod reconciliation;
pub(crate) mod routes;
pub(crate) mod service;
pub(crate) mod shape;
pub(crate) mod signature;
pub(crate) mod system;
pub(crate) mod terms;
pub(crate) mod topic;
pub mod traffic;
pub(crate) mod webhook;
