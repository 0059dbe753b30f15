//! May this caller give this role at this unit? The rules are explained in [`crate::domain::role`].

use egov_auth::{Caller, Over, Policies, Resource, RowScope, UnitTree, WHOLE_PROVINCE};
use egov_database::UnitOfWork;
use egov_fault::Fault;
use uuid::Uuid;

use super::permission::MANAGE_ROLES;
use crate::domain::account::Account;
use crate::domain::role::{RoleGrant, is_administrative};
use crate::error::IdentityError;
use crate::identity::{Identity, refuse_self};
use crate::store;

/// A role that the policies declare.
pub(crate) fn known_role(identity: &Identity, role: &str) -> Result<(), IdentityError> {
    if identity.access.policies().declares(role) {
        Ok(())
    } else {
        Err(IdentityError::RoleUnknown)
    }
}

/// The caller may give or end this role at this unit: `permission` reaches the unit, and no administrative permission of the
/// role goes beyond what the caller holds there.
pub(crate) fn may_grant(
    identity: &Identity,
    caller: &Caller,
    permission: &str,
    role: &str,
    unit_id: i32,
) -> Result<(), Fault> {
    let policies = identity.access.policies();
    // What reaches beyond any unit, only the province gives.
    let provincial = policies.role(role).is_some_and(|role| role.provincial);
    require_at(caller, permission, if provincial { WHOLE_PROVINCE } else { unit_id })?;
    let tree = identity.directory.tree().load_full();
    match beyond(policies, &tree, caller, role, unit_id) {
        None => Ok(()),
        Some(permission) => Err(IdentityError::PermissionMissing {
            permission: permission.to_owned(),
        }
        .into()),
    }
}

/// The grant of this account, if the caller may end or confirm it: whoever may give a role may, and nobody their own.
pub(crate) fn managed_grant<'a>(
    identity: &Identity,
    caller: &Caller,
    account: &'a Account,
    grant_id: Uuid,
) -> Result<&'a RoleGrant, Fault> {
    caller.require(MANAGE_ROLES, &Resource::of_unit(account.unit_id))?;
    refuse_self(caller, account.account_id)?;
    let grant = account
        .roles
        .iter()
        .find(|grant| grant.grant_id == grant_id)
        .ok_or(IdentityError::GrantNotFound)?;
    may_grant(identity, caller, MANAGE_ROLES, &grant.role, grant.unit_id)?;
    Ok(grant)
}

/// A grant that has not ended and that the caller may end or confirm, with the account that holds it: locked until the end of the
/// transaction, and unknown if it is not in `scope`.
pub(crate) async fn open_grant(
    identity: &Identity,
    caller: &Caller,
    write: &mut UnitOfWork<'_>,
    scope: &RowScope,
    grant_id: Uuid,
) -> Result<(Account, RoleGrant), Fault> {
    let today = write.today();
    let account_id = store::roles::holder_of(write.conn(), grant_id)
        .await?
        .ok_or(IdentityError::GrantNotFound)?;
    let account = store::accounts::lock(write.conn(), scope, account_id)
        .await?
        .ok_or(IdentityError::GrantNotFound)?;
    let grant = managed_grant(identity, caller, &account, grant_id)?.clone();
    if grant.effective_to.is_some_and(|end| end <= today) {
        return Err(IdentityError::GrantEnded.into());
    }
    Ok((account, grant))
}

/// The permission reaches the unit; for the whole province it must reach every row.
fn require_at(caller: &Caller, permission: &str, unit_id: i32) -> Result<(), Fault> {
    if unit_id != WHOLE_PROVINCE {
        return caller.require(permission, &Resource::of_unit(unit_id));
    }
    if caller.scope(permission).all {
        return Ok(());
    }
    Err(IdentityError::PermissionMissing {
        permission: permission.to_owned(),
    }
    .into())
}

/// The first administrative permission that the role would give at the unit and that the caller does not hold over all of
/// what the role would reach.
fn beyond<'p>(policies: &'p Policies, tree: &UnitTree, caller: &Caller, role: &str, unit_id: i32) -> Option<&'p str> {
    policies
        .grants()
        .iter()
        .filter(|grant| grant.role == role)
        .flat_map(|grant| grant.permissions.iter().map(|name| (grant.over, name.as_str())))
        .filter(|(_, permission)| is_administrative(permission))
        .find(|(over, permission)| {
            let held = caller.scope(permission);
            let covers = held.all
                || match over {
                    Over::All => false,
                    Over::Subtree if unit_id == WHOLE_PROVINCE => false,
                    Over::Subtree => tree
                        .subtree(unit_id)
                        .iter()
                        .all(|unit| held.units.binary_search(unit).is_ok()),
                    Over::Unit => held.units.binary_search(&unit_id).is_ok(),
                    Over::None => caller.holds(permission),
                };
            !covers
        })
        .map(|(_, permission)| permission)
}
