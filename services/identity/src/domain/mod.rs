//! The rules of identity: plain types and functions, no I/O, no protobuf, no SQL.

pub(crate) mod account;
pub(crate) mod activation;
pub(crate) mod assertion;
pub(crate) mod client;
pub(crate) mod client_hint;
pub(crate) mod delegation;
pub(crate) mod enrolment;
pub(crate) mod federated_sign_in;
pub(crate) mod following;
pub(crate) mod id_token;
pub(crate) mod issuer;
pub(crate) mod key;
pub(crate) mod lockout;
pub(crate) mod oauth;
pub(crate) mod pack;
pub(crate) mod record;
pub(crate) mod reorganisation;
pub(crate) mod review;
pub(crate) mod role;
pub(crate) mod secret;
pub(crate) mod session;
pub(crate) mod succession;
pub mod totp;
pub(crate) mod unit;
