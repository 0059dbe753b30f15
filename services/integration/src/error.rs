//! Why an operation is refused: one enum of what a caller can act on, one table to code, reason and words.

use egov_fault::{Code, Fault};

use crate::store::StoreError;

/// ErrorInfo.domain of this service's own reasons.
const DOMAIN: &str = "integration.egov";

/// Why an operation is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// There is no such entry, or the caller may not know of it: the two look the same.
    #[error("entry not found")]
    EntryNotFound,
    /// There is no such exchange, or the caller may not know of it.
    #[error("exchange not found")]
    ExchangeNotFound,
    /// The exchange is not over yet.
    #[error("the exchange is under way")]
    ExchangeUnderWay,
    /// A fault of another part of the platform, passed on as it is.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        match error {
            Error::EntryNotFound => Fault::new(
                Code::NotFound,
                "ENTRY_NOT_FOUND",
                "không tìm thấy",
                "there is no such entry",
            )
            .domain(DOMAIN),
            Error::ExchangeNotFound => Fault::new(
                Code::NotFound,
                "EXCHANGE_NOT_FOUND",
                "không tìm thấy lần trao đổi này",
                "there is no such exchange",
            )
            .domain(DOMAIN),
            Error::ExchangeUnderWay => Fault::new(
                Code::FailedPrecondition,
                "EXCHANGE_UNDER_WAY",
                "lần trao đổi chưa kết thúc nên chưa có biên nhận",
                "the exchange is not over yet, so there is no receipt",
            )
            .domain(DOMAIN)
            .retry_after(std::time::Duration::from_secs(2)),
            Error::Fault(fault) => fault,
            Error::Store(StoreError::Sql(error)) => egov_database::sql_fault(error),
        }
    }
}
