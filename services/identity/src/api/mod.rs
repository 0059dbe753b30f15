//! The port: gRPC handlers of a few lines, and the HTTP endpoints of OAuth beside them.

mod access;
mod account_batches;
mod accounts;
mod federation;
pub(crate) mod http;
mod keys;
mod sessions;
mod sign_in;
mod systems;
mod units;

use std::sync::Arc;

use egov_runtime::contract::Contract;

use crate::identity::Identity;

/// What every handler holds.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) identity: Arc<Identity>,
    pub(crate) contract: Arc<Contract>,
}
