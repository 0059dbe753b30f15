//! May this caller give this role at this unit? The rules are explained in [`crate::domain::role`].

use egov_auth::{Caller, Over, Policies, Resource, UnitTree, WHOLE_PROVINCE};
use egov_fault::Fault;

use crate::domain::role::is_administrative;
use crate::error::IdentityError;
use crate::identity::Identity;

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
