//! Background work. What must be done by one process at a time holds a lease.

mod leavers;
mod purge;
mod reload_keys;
mod reorganise;
mod reseal;

use std::sync::Arc;

use egov_database::Relay;
use egov_runtime::server::Job;

use crate::identity::Identity;

/// Every job of identity.
pub(crate) fn all(identity: &Arc<Identity>) -> Vec<Job> {
    let follow = Arc::clone(identity);
    let relay = identity.database.clone();
    let request_days = identity.database.clone();
    let (purge, reseal, reload) = (Arc::clone(identity), Arc::clone(identity), Arc::clone(identity));
    let leavers = Arc::clone(identity);
    let reorganise = Arc::clone(identity);
    vec![
        Job::new("identity.directory", move |stop| {
            let identity = Arc::clone(&follow);
            async move {
                Arc::clone(&identity.directory).follow(identity.feed(), stop).await;
                Ok(())
            }
        }),
        Job::new("identity.relay", move |stop| {
            let relay = Relay::new(relay.clone());
            async move {
                relay.run(stop).await;
                Ok(())
            }
        }),
        Job::new("identity.request_days", move |stop| {
            let database = request_days.clone();
            async move {
                database.keep_request_days_until(stop).await;
                Ok(())
            }
        }),
        Job::new("identity.purge", move |stop| {
            let identity = Arc::clone(&purge);
            async move { purge::run(&identity, stop).await }
        }),
        Job::new("identity.reorganise", move |stop| {
            let identity = Arc::clone(&reorganise);
            async move { reorganise::run(&identity, stop).await }
        }),
        Job::new("identity.reseal", move |stop| {
            let identity = Arc::clone(&reseal);
            async move { reseal::run(&identity, stop).await }
        }),
        Job::new("identity.leavers", move |stop| {
            let identity = Arc::clone(&leavers);
            async move { leavers::run(&identity, stop).await }
        }),
        Job::new("identity.reload_keys", move |stop| {
            let identity = Arc::clone(&reload);
            async move { reload_keys::run(&identity, stop).await }
        }),
    ]
}

pub(crate) use purge::purge_once;
pub(crate) use reorganise::{LEASE as REORGANISE_LEASE, LEASE_TIME as REORGANISE_LEASE_TIME, reorganise};
pub(crate) use reseal::reseal_once;
