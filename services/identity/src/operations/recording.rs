//! Writing the record, the event and the ledger leaf of what was done.

use egov_database::{Event, Leaf, UnitOfWork};
use egov_fault::Fault;
use egov_proto::egov::identity::v1 as contract;
use jsonwebtoken::jwk::Jwk;
use prost::Message;
use uuid::Uuid;

use crate::domain::client::System;
use crate::domain::delegation::Delegation;
use crate::domain::record::{NewRecord, RecordKind};
use crate::domain::review::Verdict;
use crate::error::IdentityError;
use crate::store::federation::StoredLink;
use crate::store::keys::KeyChange;
use crate::store::revocations::MassRevocation;
use crate::{store, wire};

/// The kind of the leaves of the tree of units.
pub(crate) const TREE_KIND: &str = "unit_tree";

/// The kind of the leaves of accounts.
pub(crate) const ACCOUNT_KIND: &str = "account";

/// The kind of the leaves of systems.
pub(crate) const SYSTEM_KIND: &str = "system";

/// The kind of the leaves of delegations.
pub(crate) const DELEGATION_KIND: &str = "delegation";

/// The kind of the leaves of verdicts on roles.
pub(crate) const REVIEW_KIND: &str = "grant_review";

/// The kind of the leaves of issuers of agencies.
pub(crate) const ISSUER_KIND: &str = "federated_issuer";

/// The kind of the leaves of reorganisations.
pub(crate) const REORGANISATION_KIND: &str = "reorganisation";

/// The kind of the leaves of links of accounts to what an issuer calls somebody.
pub(crate) const LINK_KIND: &str = "federated_identity";

/// The kind of the leaves of what was done to keys.
pub(crate) const KEY_KIND: &str = "signing_key";

/// The kind of the leaves of acts upon whole kinds of callers.
pub(crate) const MASS_REVOCATION_KIND: &str = "mass_revocation";

/// About whom a record is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct About {
    /// Account, system or citizen; absent for a name that no account carries.
    pub(crate) subject: Option<Uuid>,
    /// The unit of the account.
    pub(crate) unit: Option<i32>,
    /// Who acted, if it was another.
    pub(crate) actor: Option<Uuid>,
}

/// Writes an entry of the record.
pub(crate) async fn record(
    write: &mut UnitOfWork<'_>,
    kind: RecordKind,
    about: About,
    detail: impl Into<String>,
) -> Result<(), Fault> {
    let entry = NewRecord {
        record_id: write.new_id(),
        subject_id: about.subject,
        unit_id: about.unit,
        record_time: write.now(),
        kind,
        actor_id: about.actor,
        detail: detail.into(),
    };
    store::records::insert(write.conn(), &entry).await
}

/// What was done, and why if somebody said so.
pub(crate) fn with_reason(detail: String, reason: &str) -> String {
    if reason.is_empty() {
        detail
    } else {
        format!("{detail}: {reason}")
    }
}

/// Leaves the event of an act of administration, with ids and words only, and commits to the resource as it became.
pub(crate) fn announce(
    write: &mut UnitOfWork<'_>,
    aggregate: (&'static str, Uuid, i64),
    kind: &'static str,
    payload: serde_json::Value,
    became: &impl Message,
) {
    announce_canonical(write, aggregate, kind, payload, &became.encode_to_vec());
}

/// As [`announce`], with what the leaf commits to.
pub(crate) fn announce_canonical(
    write: &mut UnitOfWork<'_>,
    aggregate: (&'static str, Uuid, i64),
    kind: &'static str,
    payload: serde_json::Value,
    canonical: &[u8],
) {
    let (aggregate_kind, aggregate_id, version) = aggregate;
    write.publish(Event {
        aggregate_kind,
        aggregate_id,
        version,
        kind,
        payload,
    });
    write.leaf(Leaf {
        kind: aggregate_kind,
        resource: aggregate_id,
        version,
        canonical,
    });
}

/// Tells what became of an account, and commits to it with its roles. Whatever changes the row or a grant raises the version and comes
/// here: the verification compares both with the newest leaf.
pub(crate) fn announce_account(
    write: &mut UnitOfWork<'_>,
    (account_id, version): (Uuid, i64),
    kind: &'static str,
    payload: serde_json::Value,
    became: &contract::Account,
) {
    let canonical = canonical_account(became);
    announce_canonical(write, (ACCOUNT_KIND, account_id, version), kind, payload, &canonical);
}

/// What the leaf of an account commits to: the account as it is answered, with its roles, past, present and to come. Not that it is
/// locked: failed sign-ins lock it and time unlocks it, without a version.
pub(crate) fn canonical_account(account: &contract::Account) -> Vec<u8> {
    let mut committed = account.clone();
    committed.locked_until = None;
    committed.roles.sort_by(|a, b| a.grant_id.cmp(&b.grant_id));
    committed.encode_to_vec()
}

/// The version of a delegation: it is made, and ends once before its time or not at all.
pub(crate) const fn delegation_version(delegation: &Delegation) -> i64 {
    if delegation.end_time.is_some() { 2 } else { 1 }
}

/// What the leaf of a delegation commits to: the units of both sides, and the delegation as it was made, with its own end. Not whether
/// it counts today, nor until when its grant lets it: both change without a version.
pub(crate) fn canonical_delegation(delegation: &Delegation) -> Vec<u8> {
    let mut committed = wire::delegation(delegation, delegation.effective_from);
    committed.effective_to = Some(delegation.effective_to.into());
    committed.in_force = false;
    let units = [delegation.delegator_unit_id, delegation.delegatee_unit_id];
    let mut canonical: Vec<u8> = units.into_iter().flat_map(i32::to_be_bytes).collect();
    canonical.extend(committed.encode_to_vec());
    canonical
}

/// What the leaf of a verdict commits to: the grant on which it was given, and the verdict as it is answered.
pub(crate) fn canonical_review(grant_id: Uuid, verdict: &Verdict) -> Vec<u8> {
    let mut canonical = grant_id.as_bytes().to_vec();
    canonical.extend(wire::verdict(verdict).encode_to_vec());
    canonical
}

/// The version of a link: it is made, and taken away once or not at all.
pub(crate) const fn link_version(link: &StoredLink) -> i64 {
    if link.unlink_time.is_some() { 2 } else { 1 }
}

/// What the leaf of a link commits to: the digest of what the issuer calls the person, and whose link it is, since when, and until when.
/// Not the title of the issuer, which changes without the link.
pub(crate) fn canonical_link(link: &StoredLink) -> Vec<u8> {
    let mut canonical = link.subject_digest.clone();
    let said = serde_json::json!({
        "identity_id": link.identity_id,
        "account_id": link.account_id,
        "issuer_id": link.issuer_id,
        "link_time": link.link_time,
        "linked_by": link.linked_by,
        "unlink_time": link.unlink_time,
        "unlinked_by": link.unlinked_by,
        "unlink_reason": link.unlink_reason,
    });
    canonical.extend(said.to_string().into_bytes());
    canonical
}

/// Tells what became of a link, and commits to it as it stands.
pub(crate) async fn announce_link(
    write: &mut UnitOfWork<'_>,
    identity_id: Uuid,
    kind: &'static str,
    payload: serde_json::Value,
) -> Result<(), Fault> {
    let link = store::federation::link_as_stored(write.conn(), identity_id)
        .await?
        .ok_or(IdentityError::IdentityNotFound)?;
    let aggregate = (LINK_KIND, identity_id, link_version(&link));
    announce_canonical(write, aggregate, kind, payload, &canonical_link(&link));
    Ok(())
}

/// What the leaf of an act on a key commits to: the act, and since when the key is on the list of those withdrawn. Not the key as the
/// keyring has it, which changes with time and without an act.
pub(crate) fn canonical_key_change(change: &KeyChange) -> Vec<u8> {
    let said = serde_json::json!({
        "act": change.act,
        "purpose": change.purpose,
        "key_id": change.key_id,
        "used_key_id": change.used_key_id,
        "reason": change.reason,
        "actor_id": change.actor_id,
        "record_time": change.record_time,
        "withdraw_time": change.withdraw_time,
    });
    said.to_string().into_bytes()
}

/// What the leaf of an act upon whole kinds commits to: all of it.
pub(crate) fn canonical_mass_revocation(act: &MassRevocation) -> Vec<u8> {
    let said = serde_json::json!({
        "scope": act.scope,
        "not_after": act.not_after,
        "end_sessions": act.end_sessions,
        "sessions_ended": act.sessions_ended,
        "reason": act.reason,
        "actor_id": act.actor_id,
        "record_time": act.record_time,
    });
    said.to_string().into_bytes()
}

/// Tells what became of a system, and commits to it as it stands, with its roles and its key.
pub(crate) async fn announce_system(
    write: &mut UnitOfWork<'_>,
    client_id: &str,
    version: i64,
    kind: &'static str,
) -> Result<(), Fault> {
    // As it is stored: a role that was asked for twice is there once.
    let (system, key) = store::systems::by_client_id(write.conn(), client_id)
        .await?
        .ok_or(IdentityError::SystemNotFound)?;
    let canonical = canonical_system(&system, &canonical_key(&key)?);
    let payload = serde_json::json!({ "client_id": client_id });
    announce_canonical(
        write,
        (SYSTEM_KIND, system.system_id, version),
        kind,
        payload,
        &canonical,
    );
    Ok(())
}

/// What the leaf of a system commits to: the system as it is answered, with its length before it, and its key.
pub(crate) fn canonical_system(system: &System, key: &[u8]) -> Vec<u8> {
    let mut committed = wire::system(system);
    committed
        .roles
        .sort_by(|a, b| (&a.role, a.unit_id).cmp(&(&b.role, b.unit_id)));
    let mut canonical = committed.encode_length_delimited_to_vec();
    canonical.extend_from_slice(key);
    canonical
}

/// A key in the one order of members that it is written in, whatever the order in the database.
pub(crate) fn canonical_key(key: &Jwk) -> Result<Vec<u8>, Fault> {
    serde_json::to_vec(key).map_err(Fault::internal)
}

/// Tells that the tree changed, and commits to the whole of it. It is one aggregate: its parts change together.
pub(crate) async fn announce_tree(
    write: &mut UnitOfWork<'_>,
    version: i64,
    opened: Vec<i32>,
    changed: Vec<i32>,
) -> Result<(), Fault> {
    let units = store::units::all(write.conn()).await?;
    let closings = store::reorganisations::closings(write.conn()).await?;
    announce(
        write,
        (TREE_KIND, Uuid::nil(), version),
        "unit_tree_changed",
        serde_json::json!({ "opened": opened, "changed": changed }),
        &wire::tree(version, &units, &closings),
    );
    Ok(())
}
