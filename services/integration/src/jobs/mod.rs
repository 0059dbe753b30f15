//! Background work, each under a lease or harmless to do twice.

pub(crate) mod deliveries;
