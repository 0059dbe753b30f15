//! gRPC handlers of a few lines: protobuf ⇄ domain; what comes in is validated by the contract and by its conversion.

mod case_filter;
mod cases;
mod civil_decisions;
mod components;
mod counters;
mod deadlines;
mod decode;
mod definitions;
mod encode;
mod encode_deadlines;
mod encode_definition;
mod encode_work;
mod fees;
mod files;
mod linked;
mod papers;
mod procedures;
mod ratings;
mod reports;
mod results;
mod tables;
mod work;

use std::sync::Arc;

use egov_fault::Fault;
use egov_runtime::contract::Contract;
use tonic::Status;

use crate::error::Error;
use crate::operations::OneStop;

/// The services of the contract over the same use cases.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) contract: Arc<Contract>,
    pub(crate) one_stop: Arc<OneStop>,
}

/// A refusal on its way out: its one translation.
fn status(error: Error) -> Status {
    Fault::from(error).into()
}
