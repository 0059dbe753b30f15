//! DelegateRole: the holder of a role lets another act with it.

use egov_auth::{Caller, RowScope};
use egov_database::{UnitOfWork, WriteRequest};
use egov_fault::Fault;
use egov_proto::egov::identity::v1::{DelegateRoleRequest, DelegateRoleResponse};
use jiff::civil::Date;
use serde_json::json;
use uuid::Uuid;

use super::delegating::record_both;
use super::permission::READ_ACCOUNTS;
use super::recording::{DELEGATION_KIND, announce_canonical, canonical_delegation};
use crate::domain::account::{Account, canonical_username};
use crate::domain::delegation::{self, Delegation, MOST_PER_DELEGATEE};
use crate::domain::record::RecordKind;
use crate::error::{DateProblem, IdentityError};
use crate::identity::{Identity, parse_id, resource_id};
use crate::{store, wire};

const METHOD: &str = "/egov.identity.v1.AccessService/DelegateRole";

/// Delegates a grant of the caller's own, within the rules of [`crate::domain::delegation`].
pub(crate) async fn delegate_role(
    identity: &Identity,
    caller: &Caller,
    request: &DelegateRoleRequest,
) -> Result<DelegateRoleResponse, Fault> {
    let request_id = parse_id(&request.request_id)?;
    let grant_id = resource_id(&request.grant_id, IdentityError::GrantNotFound)?;
    let from = wire::day("effective_from", request.effective_from)?;
    let to = wire::day("effective_to", request.effective_to)?.ok_or(IdentityError::InvalidDate {
        field: "effective_to",
        problem: DateProblem::NotADay,
    })?;
    let username = canonical_username(&request.delegatee_username);
    let scope = caller.scope(READ_ACCOUNTS);
    let own = caller.principal.subject;
    let write = WriteRequest::by(caller, READ_ACCOUNTS, METHOD, request_id, request);
    identity
        .database
        .write(write, async |write| {
            let (now, today) = (write.now(), write.today());
            let grant = store::accounts::get(write.conn(), &scope, own)
                .await?
                .and_then(|account| account.roles.into_iter().find(|grant| grant.grant_id == grant_id))
                .ok_or(IdentityError::GrantNotFound)?;
            if !delegation::is_delegable(identity.access.policies(), &grant.role) {
                return Err(IdentityError::RoleNotDelegable.into());
            }
            let delegatee = find_delegatee(identity, write, grant.unit_id, &username, own).await?;
            store::accounts::lock_all(write.conn(), &[own, delegatee.account_id]).await?;
            // Read anew under the lock: whoever ends the grant holds the same one.
            let delegator = store::accounts::get(write.conn(), &scope, own)
                .await?
                .filter(|account| account.disabled_time.is_none())
                .ok_or(IdentityError::GrantNotFound)?;
            let grant = delegator
                .roles
                .iter()
                .find(|grant| grant.grant_id == grant_id)
                .ok_or(IdentityError::GrantNotFound)?;
            let from = from.unwrap_or_else(|| today.max(grant.effective_from));
            if !delegation::within(grant, from, to, today) {
                return Err(IdentityError::DelegationBeyondGrant.into());
            }
            check_others(write, delegatee.account_id, (grant_id, from, to)).await?;
            let new = Delegation {
                delegation_id: write.new_id(),
                grant_id,
                role: grant.role.clone(),
                unit_id: grant.unit_id,
                delegator_id: own,
                delegator_name: delegator.full_name.clone(),
                delegator_unit_id: delegator.unit_id,
                delegatee_id: delegatee.account_id,
                delegatee_name: delegatee.full_name,
                delegatee_unit_id: delegatee.unit_id,
                effective_from: from,
                effective_to: to,
                grant_from: grant.effective_from,
                grant_to: grant.effective_to,
                reason: request.reason.clone(),
                document_number: request.document_number.clone(),
                create_time: now,
                end_time: None,
                ended_by: None,
                end_reason: String::new(),
            };
            store::delegations::insert(write.conn(), &new).await?;
            record_both(write, RecordKind::RoleDelegated, &new, Some(own), &new.reason).await?;
            let answer = wire::delegation(&new, today);
            announce_canonical(
                write,
                (DELEGATION_KIND, new.delegation_id, 1),
                "role_delegated",
                json!({ "grant": grant_id, "role": new.role, "unit": new.unit_id }),
                &canonical_delegation(&new),
            );
            Ok(DelegateRoleResponse {
                delegation: Some(answer),
            })
        })
        .await
        .map(egov_database::Written::into_answer)
}

/// To whom a role may be delegated: somebody else of the units that it reaches, and only they are looked up.
async fn find_delegatee(
    identity: &Identity,
    write: &mut UnitOfWork<'_>,
    role_unit: i32,
    username: &str,
    own: Uuid,
) -> Result<Account, Fault> {
    let family = identity.directory.tree().load().subtree(role_unit).to_vec();
    write.hand_over_to(&family).await?;
    let family = RowScope {
        units: family,
        ..RowScope::none()
    };
    store::accounts::by_usernames(write.conn(), &family, &[username.to_owned()])
        .await?
        .into_iter()
        .find(|account| account.account_id != own && account.disabled_time.is_none())
        .ok_or_else(|| IdentityError::AccountNotFound.into())
}

/// What the delegatee acts by already leaves room for this one.
async fn check_others(
    write: &mut UnitOfWork<'_>,
    delegatee_id: Uuid,
    (grant_id, from, to): (Uuid, Date, Date),
) -> Result<(), Fault> {
    let today = write.today();
    let mut others = store::delegations::open_of(write.conn(), delegatee_id, today).await?;
    others.retain(|other| other.delegatee_id == delegatee_id);
    if others
        .iter()
        .any(|other| other.grant_id == grant_id && other.overlaps(from, to))
    {
        return Err(IdentityError::DelegationExists.into());
    }
    if others.len() >= MOST_PER_DELEGATEE {
        return Err(IdentityError::DelegationsFull.into());
    }
    Ok(())
}
