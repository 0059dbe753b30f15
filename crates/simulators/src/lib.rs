//! The province's partners, simulated: real HTTP servers that keep their state in memory and fail as told.
//!
//! They speak the contracts of [`egov_partners`], and nothing more is claimed: where a contract is unconfirmed there, it is
//! ours, named `sim-1`. Faults come by script or by seed ([`Faults`]): what the network or a partner does wrong, at which
//! operation, in which order. Everything is repeatable but the scheduler.

mod civil_status;
mod faults;
mod payment;
mod people;
mod population;
mod portal;
mod portal_rest;
mod stage;

pub use civil_status::{CivilStatusSimulator, TOKEN};
pub use faults::{Fault, Faults};
pub use payment::{NOTICE_SECRET, NoticeFault, PaymentSimulator, SECRET};
pub use people::Person;
pub use population::{ACCOUNT, API_KEY, PopulationSimulator, SIGNING_SECRET, X_ROAD_CLIENT};
pub use portal::{PASSWORD, PortalSimulator, USERNAME};
pub use portal_rest::{CLIENT_ID, CLIENT_SECRET, RestPortalSimulator};
