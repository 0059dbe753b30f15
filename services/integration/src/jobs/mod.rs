//! Background work, each under a lease or harmless to do twice.

mod civil_register;
mod deliveries;
mod expire;
mod follow_cases;
mod probe;
mod reconcile_cases;
mod reseal;
mod retention;
pub(crate) mod roll_up_traffic;
pub(crate) mod sweep_exchanges;
mod webhooks;

use std::sync::Arc;

use egov_database::{Database, Relay};
use egov_keyring::Keyring;
use egov_runtime::server::{Assembly, Job};

use crate::door::Built;
use crate::operations::mailboxes::Mailboxes;
use crate::operations::partners::Shared;
use crate::operations::{Events, Integration};
use crate::permit_feed;
use crate::permits::PermitBook;

pub use expire::expire_once;
pub use probe::probe_once;
pub use reseal::reseal_once;

/// Adds the jobs of this service.
pub(crate) fn add(
    assembly: Assembly,
    service: &Arc<Integration>,
    database: Database,
    permits: Arc<PermitBook>,
    keyring: Arc<Keyring>,
) -> Assembly {
    let resealing = database.clone();
    let (relaying, keeping, following) = (database.clone(), database.clone(), database.clone());
    let (expiring, endpoints) = (Arc::clone(service), Arc::clone(&service.endpoints));
    assembly
        .job(Job::new("integration.relay", move |stop| {
            let relay = Relay::new(relaying.clone());
            async move {
                relay.run(stop).await;
                Ok(())
            }
        }))
        .job(Job::new("integration.request-days", move |stop| {
            let database = keeping.clone();
            async move {
                database.keep_request_days_until(stop).await;
                Ok(())
            }
        }))
        .job(Job::new("integration.reseal", move |stop| {
            let (database, keyring) = (resealing.clone(), Arc::clone(&keyring));
            async move {
                reseal::run(&database, &keyring, stop).await;
                Ok(())
            }
        }))
        .job(Job::new("integration.permits", move |stop| {
            let (database, book) = (following.clone(), Arc::clone(&permits));
            async move {
                let clock = database.clock().clone();
                Ok(permit_feed::follow_apart(&database, &book, &clock, stop).await?)
            }
        }))
        .job(Job::new("integration.expiry", move |stop| {
            let service = Arc::clone(&expiring);
            async move {
                expire::run(&service, stop).await;
                Ok(())
            }
        }))
        .job(Job::new("integration.endpoints", move |stop| {
            let (database, endpoints) = (database.clone(), Arc::clone(&endpoints));
            async move {
                probe::run(&database, &endpoints, stop).await;
                Ok(())
            }
        }))
}

/// Adds the jobs of the door.
pub(crate) fn add_door(assembly: Assembly, database: Database, built: &Built) -> Assembly {
    let (agreements, following) = (Arc::clone(&built.agreements), database.clone());
    let (instance, living) = (built.journal.instance_id(), database.clone());
    let (door, journal) = (built.door.clone(), built.journal.clone());
    let (counting, kept) = (database.clone(), built.traffic_kept);
    assembly
        .after_calls(Job::new("integration.journal", move |stop| {
            let journal = journal.clone();
            async move { Ok(journal.settled(stop).await?) }
        }))
        .job(Job::new("integration.door", move |stop| {
            let (agreements, database) = (Arc::clone(&agreements), following.clone());
            async move {
                agreements.follow(&database, stop).await;
                Ok(())
            }
        }))
        .job(Job::new("integration.door-alive", move |stop| {
            let database = living.clone();
            async move { sweep_exchanges::keep_alive(&database, instance, stop).await }
        }))
        .job(Job::new("integration.traffic", move |stop| {
            let database = counting.clone();
            async move { roll_up_traffic::run(&database, kept, stop).await }
        }))
        .job(Job::new("integration.exchanges", move |stop| {
            let (database, door) = (database.clone(), door.clone());
            async move { sweep_exchanges::run(&database, &door, stop).await }
        }))
}

/// Adds the jobs of the events and mailboxes.
pub(crate) fn add_events(
    assembly: Assembly,
    events: &Arc<Events>,
    mailboxes: &Arc<Mailboxes>,
) -> Result<Assembly, reqwest::Error> {
    let client = egov_events::webhook_client()?;
    let (sending, sweeping, mailboxes) = (Arc::clone(events), Arc::clone(events), Arc::clone(mailboxes));
    Ok(assembly
        .job(Job::new("integration.retention", move |stop| {
            let (events, mailboxes) = (Arc::clone(&sweeping), Arc::clone(&mailboxes));
            async move {
                retention::run(events, mailboxes, stop).await;
                Ok(())
            }
        }))
        .job(Job::new("integration.webhooks", move |stop| {
            let (events, client) = (Arc::clone(&sending), client.clone());
            async move {
                webhooks::run(events, client, stop).await;
                Ok(())
            }
        })))
}

/// Adds the job that tells the national portal of one-stop's cases.
pub(crate) fn add_follower(assembly: Assembly, partners: &Shared, events: &Arc<Events>) -> Assembly {
    let Some(follow) = partners.connections.follow.clone() else {
        return assembly;
    };
    if !partners.connections.delivering.here {
        return assembly;
    }
    let comparing = Arc::clone(partners);
    let assembly = assembly.job(Job::new("integration.portal-reconciliation", move |stop| {
        let partners = Arc::clone(&comparing);
        async move {
            reconcile_cases::run(partners, stop).await;
            Ok(())
        }
    }));
    let (partners, events) = (Arc::clone(partners), Arc::clone(events));
    assembly.job(Job::new("integration.portal-cases", move |stop| {
        let (partners, events, follow) = (Arc::clone(&partners), Arc::clone(&events), Arc::clone(&follow));
        async move {
            follow_cases::run(partners, events, follow, stop).await;
            Ok(())
        }
    }))
}

/// Adds the jobs that tell the civil-status register of the civil registry's entries, receive what it reports, and compare both.
pub(crate) fn add_civil_register(assembly: Assembly, partners: &Shared, events: &Arc<Events>) -> Assembly {
    let Some(books) = partners.connections.books.clone() else {
        return assembly;
    };
    if !partners.connections.delivering.here {
        return assembly;
    }
    let (receiving, comparing) = (Arc::clone(partners), Arc::clone(partners));
    let assembly = assembly
        .job(Job::new("integration.register-changes", move |stop| {
            let partners = Arc::clone(&receiving);
            async move {
                civil_register::receive(partners, stop).await;
                Ok(())
            }
        }))
        .job(Job::new("integration.register-reconciliation", move |stop| {
            let partners = Arc::clone(&comparing);
            async move {
                civil_register::compare(partners, stop).await;
                Ok(())
            }
        }));
    let (partners, events) = (Arc::clone(partners), Arc::clone(events));
    assembly.job(Job::new("integration.register-entries", move |stop| {
        let (partners, events, books) = (Arc::clone(&partners), Arc::clone(&events), Arc::clone(&books));
        async move {
            civil_register::follow(partners, events, books, stop).await;
            Ok(())
        }
    }))
}

/// Adds the job that delivers to partners.
pub(crate) fn add_deliveries(assembly: Assembly, partners: &Shared) -> Assembly {
    if !partners.connections.delivers() {
        return assembly;
    }
    let partners = Arc::clone(partners);
    assembly.job(Job::new("integration.deliveries", move |stop| {
        deliveries::run(Arc::clone(&partners), stop)
    }))
}
