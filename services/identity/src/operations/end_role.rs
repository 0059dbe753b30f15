//! EndRole: a role ends at once.

use egov_auth::Caller;
use egov_database::WriteRequest;
use egov_fault::Fault;
use egov_proto::egov::identity::v1::{EndRoleRequest, EndRoleResponse};
use serde_json::json;

use super::delegating;
use super::granting::managed_grant;
use super::permission::READ_ACCOUNTS;
use super::recording::{About, announce_account, record, with_reason};
use crate::domain::record::RecordKind;
use crate::error::IdentityError;
use crate::identity::{Identity, parse_id, resource_id};
use crate::store::revocations::Target;
use crate::{store, wire};

const METHOD: &str = "/egov.identity.v1.AccountService/EndRole";

/// Ends a role and revokes the tokens that carry it; the session goes on and gets tokens without the role. A role that has
/// ended already stays as it is.
pub(crate) async fn end_role(
    identity: &Identity,
    caller: &Caller,
    request: &EndRoleRequest,
) -> Result<EndRoleResponse, Fault> {
    let request_id = parse_id(&request.request_id)?;
    let account_id = resource_id(&request.account_id, IdentityError::AccountNotFound)?;
    let grant_id = resource_id(&request.grant_id, IdentityError::GrantNotFound)?;
    let scope = caller.scope(READ_ACCOUNTS);
    let write = WriteRequest::by(caller, READ_ACCOUNTS, METHOD, request_id, request);
    let written = identity
        .database
        .write(write, async |write| {
            let (now, today) = (write.now(), write.today());
            let account = store::accounts::lock(write.conn(), &scope, account_id)
                .await?
                .ok_or(IdentityError::AccountNotFound)?;
            let grant = managed_grant(identity, caller, &account, grant_id)?;
            let Some(end) = grant.end_at_once(today) else {
                return Ok::<_, Fault>(EndRoleResponse {
                    account: Some(wire::account(&account)),
                });
            };
            let by = caller.principal.subject;
            let resting = store::delegations::open_on_grants(write.conn(), &[grant_id], today).await?;
            let resting = delegating::end(write, resting, Some(by), "grant ended").await?;
            store::roles::end(write.conn(), grant_id, Some(end), by, &request.reason, now).await?;
            let version = store::accounts::touch(write.conn(), account_id, None, now).await?;
            write.led_to("account", account_id, version);
            let about = About {
                subject: Some(account_id),
                unit: Some(account.unit_id),
                actor: Some(by),
            };
            let detail = format!("{} at unit {} on {end}", grant.role, grant.unit_id);
            let detail = with_reason(detail, &request.reason);
            record(write, RecordKind::RoleEnded, about, detail).await?;
            let after = store::accounts::get(write.conn(), &scope, account_id)
                .await?
                .ok_or(IdentityError::AccountNotFound)?;
            let after = wire::account(&after);
            announce_account(
                write,
                (account_id, version),
                "role_ended",
                json!({ "grant": grant_id, "role": grant.role, "unit": grant.unit_id }),
                &after,
            );
            let expiry = Identity::revocation_expiry(now);
            store::revocations::append(write.conn(), &Target::Subject(account_id), now, expiry).await?;
            delegating::revoke(write, &resting).await?;
            Ok(EndRoleResponse { account: Some(after) })
        })
        .await?;
    identity.spread().await;
    Ok(written.into_answer())
}
