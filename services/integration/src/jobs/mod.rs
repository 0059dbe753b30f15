//! Background work that holds a lease.

pub(crate) mod retention;
pub(crate) mod webhooks;
