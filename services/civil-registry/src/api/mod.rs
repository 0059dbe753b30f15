//! gRPC handlers of a few lines: protobuf ⇄ domain; what comes in is validated by the contract and by its conversion.

mod births;
mod books;
mod corrections;
mod deaths;
mod digitisation;
mod disclosure;
mod duplicates;
mod entries;
mod families;
mod marriages;
mod papers;
mod pending_decisions;
mod personal_numbers;
mod persons;
mod programmes;
mod statistics;

use std::sync::Arc;

use egov_fault::{Fault, Violation};
use egov_runtime::contract::Contract;
use tonic::Status;
use uuid::Uuid;

use crate::domain::book::EventKind;
use crate::error::Error;
use crate::operations::{Asked, CivilRegistry};

/// The services of the contract over the same use cases.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) contract: Arc<Contract>,
    pub(crate) registry: Arc<CivilRegistry>,
}

/// A refusal on its way out: its one translation.
fn status(error: Error) -> Status {
    Fault::from(error).into()
}

/// A value that the contract's rules cannot refuse.
fn wrong(field: &str, vi: &str, en: &str) -> Violation {
    Violation {
        field: field.to_owned(),
        rule: "value".to_owned(),
        vi: vi.to_owned(),
        en: en.to_owned(),
    }
}

/// An id whose form the contract has checked.
fn id(text: &str, field: &str) -> Result<Uuid, Fault> {
    Uuid::try_parse(text)
        .map_err(|_| Fault::invalid(vec![wrong(field, "không phải là mã định danh UUID", "is not a UUID")]))
}

/// A request with its id and full gRPC name.
fn asked<'a, M>(request_id: &str, body: &'a M, method: &'static str) -> Result<Asked<'a, M>, Status> {
    Ok(Asked {
        request_id: id(request_id, "request_id")?,
        body,
        method,
    })
}

/// A kind of event; none if it is not said.
fn event(number: i32) -> Option<EventKind> {
    i16::try_from(number).ok().and_then(EventKind::of_code)
}
