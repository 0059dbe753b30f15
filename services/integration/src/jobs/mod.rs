//! Background work. What must be done by one process at a time holds a lease.

pub(crate) mod sweep_exchanges;
