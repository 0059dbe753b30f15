//! On its day a reorganisation closes and opens units; then staff and roles follow to the designated successors.
//!
//! Both halves are found by what is stored and not by what was done before, so that a process that was killed leaves
//! nothing but work for the next one. Cases follow in the services that keep them, by the signed tree.

use std::collections::HashMap;

use egov_auth::RowScope;
use egov_database::{Lease, UnitOfWork};
use egov_fault::Fault;
use serde_json::json;
use uuid::Uuid;

use super::delegating;
use super::recording::{About, announce, announce_account, announce_system, announce_tree, record};
use crate::domain::following::following;
use crate::domain::record::RecordKind;
use crate::domain::reorganisation::{Flaw, Judge, Outcome, Plan, carry_out, check};
use crate::domain::role::NewGrant;
use crate::domain::succession::Closing;
use crate::error::IdentityError;
use crate::identity::Identity;
use crate::store::reorganisations::{Reorganisation, Status};
use crate::store::revocations::Target;
use crate::{store, wire};

/// Accounts and systems of one transaction.
const BATCH: i64 = 50;

/// Applies the earliest plan whose day has come, or says why it cannot be; true if there was one.
pub(crate) async fn apply_next(identity: &Identity, lease: &Lease) -> Result<bool, Fault> {
    identity
        .database
        .work(lease, async |write| {
            let today = write.today();
            store::units::lock_tree(write.conn()).await?;
            let Some(id) = store::reorganisations::due(write.conn(), today).await? else {
                return Ok(false);
            };
            let mut reorganisation = store::reorganisations::lock(write.conn(), id)
                .await?
                .ok_or(IdentityError::ReorganisationNotFound)?;
            let Some(plan) = reorganisation.plan.take() else {
                return Err(Fault::internal("a reorganisation that waits has no plan"));
            };
            let units = store::units::all(write.conn()).await?;
            let next_id = units.last().map_or(1, |last| last.unit_id.saturating_add(1));
            // It was judged when it was planned. A pack may have changed the tree since.
            let judge = Judge {
                units: &units,
                others: &[],
                today: plan.effective_date,
            };
            let flaws = check(&plan, judge);
            match carry_out(&plan, &units, next_id).filter(|_| flaws.is_empty()) {
                Some(outcome) => apply(write, reorganisation, plan, &outcome).await?,
                None => fail(write, reorganisation, plan, &flaws).await?,
            }
            Ok(true)
        })
        .await
}

async fn apply(
    write: &mut UnitOfWork<'_>,
    mut reorganisation: Reorganisation,
    plan: Plan,
    outcome: &Outcome,
) -> Result<(), Fault> {
    let now = write.now();
    let id = reorganisation.reorganisation_id;
    let source = format!("reorganisation {id}");
    let version = store::units::raise_version(write.conn(), now).await?;
    for unit in &outcome.closed {
        store::units::update(write.conn(), unit).await?;
        store::units::insert_history(write.conn(), unit, version, now, &source).await?;
    }
    for unit in &outcome.opened {
        store::units::insert(write.conn(), unit).await?;
        store::units::insert_history(write.conn(), unit, version, now, &source).await?;
    }
    for closing in &outcome.closings {
        store::reorganisations::insert_closing(write.conn(), id, closing).await?;
    }
    reorganisation.status = Status::Applied;
    reorganisation.version += 1;
    reorganisation.closed_units = i64::try_from(outcome.closed.len()).unwrap_or(i64::MAX);
    reorganisation.plan = Some(plan);
    store::reorganisations::update(write.conn(), &reorganisation, now).await?;
    store::reorganisations::insert_history(write.conn(), &reorganisation, None, "applied on its day", now).await?;
    let units_closed: Vec<_> = outcome
        .closings
        .iter()
        .map(|closing| json!({ "unit": closing.unit_id, "successor": closing.successor }))
        .collect();
    announce(
        write,
        ("reorganisation", id, reorganisation.version),
        "reorganisation_applied",
        json!({ "effective_date": reorganisation.effective_date, "units_closed": units_closed }),
        &wire::reorganisation(&reorganisation),
    );
    announce_tree(
        write,
        version,
        outcome.opened.iter().map(|unit| unit.unit_id).collect(),
        outcome.closed.iter().map(|unit| unit.unit_id).collect(),
    )
    .await?;
    tracing::info!(
        reorganisation = %id,
        closed = outcome.closed.len(),
        opened = outcome.opened.len(),
        "a reorganisation was applied"
    );
    Ok(())
}

async fn fail(
    write: &mut UnitOfWork<'_>,
    mut reorganisation: Reorganisation,
    plan: Plan,
    flaws: &[Flaw],
) -> Result<(), Fault> {
    let now = write.now();
    let told: Vec<String> = flaws
        .iter()
        .map(|flaw| format!("{}: {}", flaw.field, flaw.en))
        .collect();
    reorganisation.status = Status::Failed;
    reorganisation.problem = told.join("; ");
    reorganisation.version += 1;
    reorganisation.plan = Some(plan);
    store::reorganisations::update(write.conn(), &reorganisation, now).await?;
    store::reorganisations::insert_history(write.conn(), &reorganisation, None, &reorganisation.problem, now).await?;
    announce(
        write,
        (
            "reorganisation",
            reorganisation.reorganisation_id,
            reorganisation.version,
        ),
        "reorganisation_failed",
        json!({ "effective_date": reorganisation.effective_date }),
        &wire::reorganisation(&reorganisation),
    );
    tracing::error!(
        reorganisation = %reorganisation.reorganisation_id,
        problem = reorganisation.problem,
        "a reorganisation no longer fits the tree and was not applied"
    );
    Ok(())
}

/// Lets one batch of accounts and systems follow; how many did. 0 when nobody is left.
pub(crate) async fn follow_once(identity: &Identity, lease: &Lease) -> Result<usize, Fault> {
    identity
        .database
        .work(lease, async |write| {
            let accounts = store::reorganisations::accounts_to_move(write.conn(), BATCH).await?;
            let systems = store::reorganisations::systems_to_move(write.conn(), BATCH).await?;
            if accounts.is_empty() && systems.is_empty() {
                return Ok(0);
            }
            let closings: HashMap<i32, Closing> = store::reorganisations::closings(write.conn())
                .await?
                .into_iter()
                .map(|(_, closing)| (closing.unit_id, closing))
                .collect();
            for account_id in &accounts {
                follow_account(write, *account_id, &closings).await?;
            }
            for system_id in &systems {
                follow_system(write, *system_id).await?;
            }
            Ok(accounts.len() + systems.len())
        })
        .await
}

async fn follow_account(
    write: &mut UnitOfWork<'_>,
    account_id: Uuid,
    closings: &HashMap<i32, Closing>,
) -> Result<(), Fault> {
    let everything = RowScope::everything();
    let now = write.now();
    let before = store::accounts::lock(write.conn(), &everything, account_id)
        .await?
        .ok_or(IdentityError::AccountNotFound)?;
    let following = following(&before, closings, || write.new_id());
    // What was delegated rests on the grant that ends; on the new one the holder decides anew.
    let ended: Vec<Uuid> = following.ended.iter().map(|(grant_id, _)| *grant_id).collect();
    let today = write.today();
    let resting = store::delegations::open_on_grants(write.conn(), &ended, today).await?;
    let resting = delegating::end(write, resting, None, "unit closed").await?;
    for (grant_id, end) in &following.ended {
        store::reorganisations::end_grant(write.conn(), *grant_id, *end, now).await?;
    }
    for grant in &following.begun {
        let new = NewGrant {
            grant: grant.clone(),
            account_id,
            granted_by: None,
            grant_time: now,
            reason: "sắp xếp đơn vị".to_owned(),
        };
        store::roles::insert(write.conn(), &new).await?;
    }
    if let Some(unit_id) = following.unit {
        store::reorganisations::move_account(write.conn(), account_id, unit_id).await?;
    }
    let version = store::accounts::touch(write.conn(), account_id, None, now).await?;
    let after = store::accounts::get(write.conn(), &everything, account_id)
        .await?
        .ok_or(IdentityError::AccountNotFound)?;
    let about = About {
        subject: Some(account_id),
        unit: Some(after.unit_id),
        actor: None,
    };
    let detail = format!(
        "from unit {} to {}, {} roles ended, {} begun",
        before.unit_id,
        after.unit_id,
        following.ended.len(),
        following.begun.len()
    );
    record(write, RecordKind::UnitFollowed, about, detail).await?;
    announce_account(
        write,
        (account_id, version),
        "account_unit_followed",
        json!({ "from": before.unit_id, "unit": after.unit_id }),
        &wire::account(&after),
    );
    // Tokens say the old roles: they are void, and the session gets new ones.
    let expiry = Identity::revocation_expiry(now);
    store::revocations::append(write.conn(), &Target::Subject(account_id), now, expiry).await?;
    delegating::revoke(write, &resting).await
}

async fn follow_system(write: &mut UnitOfWork<'_>, system_id: Uuid) -> Result<(), Fault> {
    let now = write.now();
    let version = store::reorganisations::move_system_roles(write.conn(), system_id, now).await?;
    let system = store::systems::get(write.conn(), system_id)
        .await?
        .ok_or(IdentityError::SystemNotFound)?;
    let about = About {
        subject: Some(system_id),
        ..About::default()
    };
    record(
        write,
        RecordKind::UnitFollowed,
        about,
        format!("client {}", system.client_id),
    )
    .await?;
    announce_system(write, &system.client_id, version, "system_unit_followed").await?;
    let expiry = Identity::revocation_expiry(now);
    store::revocations::append(write.conn(), &Target::Subject(system_id), now, expiry)
        .await
        .map(drop)
}
