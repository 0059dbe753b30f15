//! gRPC handlers of a few lines: what comes in is validated by the contract, what goes out is the use case's answer.

mod agreements;
mod civil_register;
mod interfaces;
mod organisations;
mod permits;
mod systems;

pub(crate) mod exchanges;
pub(crate) mod traffic;

pub(crate) mod events;
pub(crate) mod mailboxes;
pub(crate) mod partners;
mod synchronisations;

use std::sync::Arc;

use egov_fault::Fault;
use egov_runtime::contract::Contract;
use tonic::Status;

use crate::error::Error;
use crate::operations::Integration;

/// The services of the contract over the use cases.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) contract: Arc<Contract>,
    pub(crate) service: Arc<Integration>,
}

/// A refusal on its way out: its one translation.
fn status(error: Error) -> Status {
    Fault::from(error).into()
}
