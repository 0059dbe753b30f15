//! The use cases, one a file: authorise, load, let the domain decide, write, commit.

pub(crate) mod agencies;
mod amend_agreement;
mod change_organisation;
mod change_service;
mod change_system;
mod create_agreement;
mod delegate_agreement;
mod end_agreement;
mod endpoints;
pub(crate) mod expire_agreements;
pub(crate) mod list_permit_changes;
pub(crate) mod partners;
mod publish_interface;
mod read_agreements;
pub(crate) mod read_bodies;
pub(crate) mod read_exchanges;
mod read_organisations;
mod read_services;
mod read_systems;
pub mod rebuild_leaves;
pub(crate) mod register_organisation;
mod register_service;
mod register_system;
pub(crate) mod reseal;
mod sign_agreement;
mod suggest_narrowing;
mod system_proofs;
pub(crate) mod traffic;

mod dead_letters;
pub(crate) mod deliveries;
pub(crate) mod mailboxes;
pub(crate) mod publish_events;
pub(crate) mod subscriptions;
pub(crate) mod topics;

use std::sync::Arc;

use egov_auth::{Caller, Resource};
use egov_database::{Database, Event, Leaf, UnitOfWork};
use egov_door::Destinations;
use egov_events::EventStore;
use egov_fault::Fault;
use egov_keyring::Keyring;
use serde::Serialize;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::webhook::AllowedHosts;

use crate::domain::agreement::{Actor, Agreement, Side};
use crate::domain::canonical::canonical;
use crate::domain::commitment::{AGREEMENT, ChangeMade, of_agreement, of_entry, of_entry_kind};
use crate::error::Error;
use crate::operations::agencies::Agencies;
use crate::store;

/// The permissions, as the contracts name them.
pub(crate) mod permission {
    pub(crate) const READ_DIRECTORY: &str = "integration.directory.read";
    pub(crate) const MANAGE_DIRECTORY: &str = "integration.directory.manage";
    pub(crate) const READ_AGREEMENTS: &str = "integration.agreements.read";
    pub(crate) const MANAGE_AGREEMENTS: &str = "integration.agreements.manage";
    pub(crate) const SIGN_AGREEMENTS: &str = "integration.agreements.sign";
    pub(crate) const REVOKE_AGREEMENTS: &str = "integration.agreements.revoke";
    pub(crate) const READ_PERMITS: &str = "integration.permits.read";
    pub(crate) const READ_BODIES: &str = "integration.bodies.read";
    pub(crate) const READ_TRAFFIC: &str = "integration.traffic.read";
}

/// What every use case works with.
pub(crate) struct Integration {
    pub(crate) database: Database,
    pub(crate) agencies: Agencies,
    /// Where the endpoints of services may lie.
    pub(crate) endpoints: Arc<Destinations>,
}

/// What every use case of the events works with.
pub(crate) struct Events {
    pub(crate) database: Database,
    pub(crate) store: Arc<dyn EventStore>,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) hosts: AllowedHosts,
    pub(crate) data_schemas: publish_events::DataSchemas,
    /// Held by whoever asks the store while its own transaction is open: it takes a second connection, and many at once would wait for
    /// each other's.
    pub(crate) one_at_a_time: tokio::sync::Mutex<()>,
}

/// Refuses if what was read is not what is there.
fn check_etag(etag: &str, version: i64) -> Result<(), Error> {
    if etag == version.to_string() {
        Ok(())
    } else {
        Err(Error::StaleEtag)
    }
}

/// What was done to an entry of the directory.
struct Done<'a> {
    /// The kind of entry: `organisation`, `system`, `service`.
    kind: &'static str,
    id: Uuid,
    unit_id: i32,
    version: i64,
    /// In the past tense, for example `organisation_registered`.
    event: &'static str,
    reason: &'a str,
    /// Who did it: the caller's key, or the step of the installation.
    actor: String,
}

/// Leaves history, event and ledger leaf of a change of the directory.
async fn record(unit: &mut UnitOfWork<'_>, done: Done<'_>, became: &impl Serialize) -> Result<(), Error> {
    let document = serde_json::to_value(became).map_err(Fault::internal)?;
    let made = ChangeMade {
        change: done.event,
        reason: done.reason,
        actor: &done.actor,
        time: unit.now(),
    };
    let text = canonical(&of_entry(&document, made)).map_err(Fault::internal)?;
    let leaf = of_entry_kind(done.kind).ok_or_else(|| Fault::internal("no kind of entry of the directory"))?;
    let change = store::history::Change {
        version: done.version,
        change: done.event.to_owned(),
        reason: done.reason.to_owned(),
        actor: done.actor,
        record_time: unit.now(),
        document,
    };
    store::history::append(unit.conn(), (done.kind, done.id, done.unit_id), &change).await?;
    unit.publish(Event {
        aggregate_kind: done.kind,
        aggregate_id: done.id,
        version: done.version,
        kind: done.event,
        payload: serde_json::json!({ "unit_id": done.unit_id }),
    });
    unit.leaf(Leaf {
        kind: leaf,
        resource: done.id,
        version: done.version,
        canonical: text.as_bytes(),
    });
    Ok(())
}

/// What was done to an agreement.
struct AgreementDone<'a> {
    /// In the past tense, for example `agreement_signed`.
    event: &'static str,
    /// The version of the terms that it concerned.
    number: i64,
    reason: &'a str,
    actor: &'a str,
}

/// Leaves history, event and ledger leaf of a change of an agreement. The leaf commits to what was signed and to where
/// the agreement stands.
async fn record_agreement(unit: &mut UnitOfWork<'_>, one: &Agreement, done: AgreementDone<'_>) -> Result<(), Error> {
    let (now, state) = (unit.now(), one.state(unit.now()));
    let change = store::agreements::Change {
        version: one.version,
        change: done.event.to_owned(),
        state,
        agreement_version: done.number,
        reason: done.reason.to_owned(),
        actor: done.actor.to_owned(),
        record_time: now,
    };
    let document = of_agreement(
        one,
        ChangeMade {
            change: done.event,
            reason: done.reason,
            actor: done.actor,
            time: now,
        },
    );
    store::agreements::append_history(unit.conn(), one, &change, &document).await?;
    unit.publish(Event {
        aggregate_kind: "agreement",
        aggregate_id: one.agreement_id,
        version: one.version,
        kind: done.event,
        payload: serde_json::json!({
            "state": state.as_str(),
            "agreement_version": done.number,
            "service_id": one.parties.service_id,
        }),
    });
    let text = canonical(&document).map_err(Fault::internal)?;
    unit.leaf(Leaf {
        kind: AGREEMENT,
        resource: one.agreement_id,
        version: one.version,
        canonical: text.as_bytes(),
    });
    Ok(())
}

/// Says to the feed that systems changed: every agreement that they take part in follows.
async fn touch_systems(conn: &mut PgConnection, systems: &[Uuid]) -> Result<(), Error> {
    let agreements = store::agreements::of_systems(&mut *conn, systems).await?;
    store::permits::touch(conn, &agreements).await?;
    Ok(())
}

/// As whom the caller acts on an agreement: for one side, or for both, which is what the administrator does.
///
/// # Errors
/// `PERMISSION_MISSING` if the caller may act for neither.
fn acting_as(caller: &Caller, permission: &str, one: &Agreement) -> Result<Actor, Error> {
    let may = |side| caller.require(permission, &Resource::of_unit(one.unit_of(side)));
    match (may(Side::Consumer), may(Side::Provider)) {
        (Ok(()), Ok(())) => Ok(Actor::Administrator),
        (Ok(()), Err(_)) => Ok(Actor::Side(Side::Consumer)),
        (Err(_), Ok(())) => Ok(Actor::Side(Side::Provider)),
        (Err(refusal), Err(_)) => Err(refusal.into()),
    }
}
