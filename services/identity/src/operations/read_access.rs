//! ListRoles, ListRoleGrants, ListRoleUnits, ListDelegations.

use std::collections::{BTreeMap, BTreeSet};

use egov_auth::{Caller, UnitTree};
use egov_database::{Page, page_of};
use egov_fault::Fault;
use egov_proto::egov::identity::v1::{
    GrantablePlace, ListDelegationsRequest, ListDelegationsResponse, ListRoleGrantsRequest, ListRoleGrantsResponse,
    ListRoleUnitsRequest, ListRoleUnitsResponse, ListRolesRequest, ListRolesResponse, Role, RolePermission, RoleUnits,
    UnitReach,
};
use uuid::Uuid;

use super::granting::may_grant;
use super::permission::{MANAGE_ROLES, READ_ACCOUNTS, READ_ROLE_UNITS};
use crate::domain::delegation::is_delegable;
use crate::domain::unit;
use crate::error::IdentityError;
use crate::identity::{Identity, resource_id};
use crate::store::roles::GrantFilter;
use crate::{store, wire};

const LIST_GRANTS: &str = "/egov.identity.v1.AccessService/ListRoleGrants";
const LIST_DELEGATIONS: &str = "/egov.identity.v1.AccessService/ListDelegations";

/// The roles of the policies, with what each permits and where the caller may give it.
pub(crate) fn list_roles(identity: &Identity, caller: &Caller, request: ListRolesRequest) -> ListRolesResponse {
    let policies = identity.access.policies();
    let tree = identity.directory.tree().load_full();
    let at_unit = (request.unit_id != 0).then_some(request.unit_id);
    let roles = policies
        .roles()
        .filter(|role| {
            at_unit.is_none_or(|unit_id| may_grant(identity, caller, MANAGE_ROLES, &role.name, unit_id).is_ok())
        })
        .map(|role| Role {
            role: role.name.clone(),
            title_vi: role.title.clone(),
            title_en: role.title_en.clone(),
            delegable: is_delegable(policies, &role.name),
            permissions: policies
                .grants()
                .iter()
                .filter(|grant| grant.role == role.name)
                .map(|grant| RolePermission {
                    permissions: grant.permissions.clone(),
                    over: grant.over.to_string(),
                    conditions: grant.when.iter().map(ToString::to_string).collect(),
                    origin: grant.origin.clone(),
                })
                .collect(),
            grantable_at: grantable(identity, caller, &tree, &role.name, at_unit),
        })
        .collect();
    ListRolesResponse { roles }
}

/// The units where the caller may give a role, told as few as possible.
fn grantable(
    identity: &Identity,
    caller: &Caller,
    tree: &UnitTree,
    role: &str,
    at_unit: Option<i32>,
) -> Vec<GrantablePlace> {
    let scope = caller.scope(MANAGE_ROLES);
    let candidates: Vec<i32> = match at_unit {
        Some(unit_id) => vec![unit_id],
        None if scope.all => tree.units().collect(),
        None => scope.units,
    };
    let mut allowed: Vec<i32> = candidates
        .into_iter()
        .filter(|unit_id| may_grant(identity, caller, MANAGE_ROLES, role, *unit_id).is_ok())
        .collect();
    allowed.sort_unstable();
    unit::summarised(tree, &allowed)
        .into_iter()
        .map(|(unit_id, and_below)| GrantablePlace { unit_id, and_below })
        .collect()
}

/// The grants of a day in the caller's scope.
pub(crate) async fn list_role_grants(
    identity: &Identity,
    caller: &Caller,
    request: ListRoleGrantsRequest,
) -> Result<ListRoleGrantsResponse, Fault> {
    let on = wire::day("on", request.on)?.unwrap_or_else(|| identity.today());
    let account_id = wanted_account(&request.account_id)?;
    // The pages that follow are those of the same day, also behind midnight.
    let of_day = ListRoleGrantsRequest {
        on: Some(on.into()),
        ..request.clone()
    };
    let page: Page<Uuid> = page_of!(identity.pages, caller, LIST_GRANTS, of_day)?;
    let tree = identity.directory.tree().load_full();
    let filter = GrantFilter {
        account_id,
        units: (request.unit_id != 0).then(|| tree.subtree(request.unit_id)),
        role: (!request.role.is_empty()).then_some(request.role.as_str()),
        on,
    };
    let scope = caller.scope(READ_ACCOUNTS);
    let rows = identity
        .database
        .read(&scope, async |conn| {
            store::roles::list(conn, &scope, &filter, page.after().copied(), page.fetch()).await
        })
        .await?;
    let (grants, next_page_token) = page.finish(rows, |entry| entry.grant.grant_id)?;
    Ok(ListRoleGrantsResponse {
        grants: grants.iter().map(wire::grant_entry).collect(),
        next_page_token,
    })
}

/// At which units of the caller's scope somebody holds roles on a day.
pub(crate) async fn list_role_units(
    identity: &Identity,
    caller: &Caller,
    request: ListRoleUnitsRequest,
) -> Result<ListRoleUnitsResponse, Fault> {
    let on = wire::day("on", request.on)?.unwrap_or_else(|| identity.today());
    let asked: BTreeSet<String> = request.roles.into_iter().collect();
    let scope = caller.scope(READ_ROLE_UNITS);
    let roles: Vec<String> = asked.iter().cloned().collect();
    let rows = identity
        .database
        .read(&scope, async |conn| {
            store::roles::units_held(conn, &scope, &roles, on).await
        })
        .await?;
    // A role that nobody holds is told too: that is an answer, and not the lack of one.
    let mut held: BTreeMap<String, Vec<i32>> = asked.into_iter().map(|role| (role, Vec::new())).collect();
    for (role, unit_id) in rows {
        held.entry(role).or_default().push(unit_id);
    }
    let tree = identity.directory.tree().load_full();
    let mut looked_at: Vec<i32> = if scope.all { tree.units().collect() } else { scope.units };
    looked_at.sort_unstable();
    Ok(ListRoleUnitsResponse {
        roles: held
            .into_iter()
            .map(|(role, unit_ids)| RoleUnits { role, unit_ids })
            .collect(),
        looked_at: unit::summarised(&tree, &looked_at)
            .into_iter()
            .map(|(unit_id, and_below)| UnitReach { unit_id, and_below })
            .collect(),
    })
}

/// The delegations of which either side is in the caller's scope.
pub(crate) async fn list_delegations(
    identity: &Identity,
    caller: &Caller,
    request: ListDelegationsRequest,
) -> Result<ListDelegationsResponse, Fault> {
    let account_id = wanted_account(&request.account_id)?;
    let page: Page<Uuid> = page_of!(identity.pages, caller, LIST_DELEGATIONS, request)?;
    let today = identity.today();
    let open_on = (!request.all_times).then_some(today);
    let scope = caller.scope(READ_ACCOUNTS);
    let rows = identity
        .database
        .read(&scope, async |conn| {
            store::delegations::list(conn, &scope, account_id, open_on, page.after().copied(), page.fetch()).await
        })
        .await?;
    let (delegations, next_page_token) = page.finish(rows, |delegation| delegation.delegation_id)?;
    Ok(ListDelegationsResponse {
        delegations: delegations
            .iter()
            .map(|delegation| wire::delegation(delegation, today))
            .collect(),
        next_page_token,
    })
}

/// The account of a filter; none if it is empty. One that is no id is one that does not exist.
pub(crate) fn wanted_account(text: &str) -> Result<Option<Uuid>, Fault> {
    if text.is_empty() {
        return Ok(None);
    }
    resource_id(text, IdentityError::AccountNotFound).map(Some)
}
