//! EndDelegation: by either side, or by whoever may end the role itself.

use egov_auth::{Caller, Resource};
use egov_database::WriteRequest;
use egov_fault::Fault;
use egov_proto::egov::identity::v1::{EndDelegationRequest, EndDelegationResponse};

use super::delegating;
use super::granting::may_grant;
use super::permission::{MANAGE_ROLES, READ_ACCOUNTS};
use crate::error::IdentityError;
use crate::identity::{Identity, parse_id, resource_id};
use crate::{store, wire};

const METHOD: &str = "/egov.identity.v1.AccessService/EndDelegation";

/// Ends a delegation at once. One that has ended stays as it is.
pub(crate) async fn end_delegation(
    identity: &Identity,
    caller: &Caller,
    request: &EndDelegationRequest,
) -> Result<EndDelegationResponse, Fault> {
    let request_id = parse_id(&request.request_id)?;
    let delegation_id = resource_id(&request.delegation_id, IdentityError::DelegationNotFound)?;
    let scope = caller.scope(READ_ACCOUNTS);
    let own = caller.principal.subject;
    let write = WriteRequest::by(caller, READ_ACCOUNTS, METHOD, request_id, request);
    let written = identity
        .database
        .write(write, async |write| {
            let today = write.today();
            let delegation = store::delegations::lock(write.conn(), &scope, delegation_id)
                .await?
                .ok_or(IdentityError::DelegationNotFound)?;
            if delegation.delegator_id != own && delegation.delegatee_id != own {
                caller.require(MANAGE_ROLES, &Resource::of_unit(delegation.delegator_unit_id))?;
                may_grant(identity, caller, MANAGE_ROLES, &delegation.role, delegation.unit_id)?;
            }
            if !delegation.is_open(today) {
                return Ok::<_, Fault>(EndDelegationResponse {
                    delegation: Some(wire::delegation(&delegation, today)),
                });
            }
            let ended = delegating::end(write, vec![delegation], Some(own), &request.reason).await?;
            delegating::revoke(write, &ended).await?;
            Ok(EndDelegationResponse {
                delegation: ended.first().map(|ended| wire::delegation(ended, today)),
            })
        })
        .await?;
    identity.spread().await;
    Ok(written.into_answer())
}
