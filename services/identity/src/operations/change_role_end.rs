//! ChangeRoleEnd: a grant that has not ended gets another last day.

use egov_auth::Caller;
use egov_database::WriteRequest;
use egov_fault::Fault;
use egov_proto::egov::identity::v1::{ChangeRoleEndRequest, ChangeRoleEndResponse};
use serde_json::json;

use super::granting::open_grant;
use super::permission::READ_ACCOUNTS;
use super::recording::{About, announce_account, record, with_reason};
use crate::domain::record::RecordKind;
use crate::error::IdentityError;
use crate::identity::{Identity, parse_id, resource_id};
use crate::{store, wire};

const METHOD: &str = "/egov.identity.v1.AccessService/ChangeRoleEnd";

/// Sets the end. The role is in force today before and after, so no token has to be revoked; what rests on the grant by delegation
/// ends with it by itself.
pub(crate) async fn change_role_end(
    identity: &Identity,
    caller: &Caller,
    request: &ChangeRoleEndRequest,
) -> Result<ChangeRoleEndResponse, Fault> {
    let request_id = parse_id(&request.request_id)?;
    let grant_id = resource_id(&request.grant_id, IdentityError::GrantNotFound)?;
    let to = wire::day("effective_to", request.effective_to)?;
    let scope = caller.scope(READ_ACCOUNTS);
    let write = WriteRequest::by(caller, READ_ACCOUNTS, METHOD, request_id, request);
    identity
        .database
        .write(write, async |write| {
            let (now, today) = (write.now(), write.today());
            let (account, grant) = open_grant(identity, caller, write, &scope, grant_id).await?;
            let account_id = account.account_id;
            grant
                .may_end_on(to, today)
                .map_err(|problem| IdentityError::InvalidDate {
                    field: "effective_to",
                    problem,
                })?;
            let by = caller.principal.subject;
            store::roles::end(write.conn(), grant_id, to, by, &request.reason, now).await?;
            let version = store::accounts::touch(write.conn(), account_id, None, now).await?;
            let about = About {
                subject: Some(account_id),
                unit: Some(account.unit_id),
                actor: Some(by),
            };
            let end = to.map_or_else(|| "open".to_owned(), |day| day.to_string());
            let detail = format!("{} at unit {} to {end}", grant.role, grant.unit_id);
            record(
                write,
                RecordKind::RoleEndChanged,
                about,
                with_reason(detail, &request.reason),
            )
            .await?;
            let after = store::accounts::get(write.conn(), &scope, account_id)
                .await?
                .ok_or(IdentityError::AccountNotFound)?;
            let after = wire::account(&after);
            announce_account(
                write,
                (account_id, version),
                "role_end_changed",
                json!({ "grant": grant_id, "role": grant.role, "unit": grant.unit_id }),
                &after,
            );
            Ok(ChangeRoleEndResponse { account: Some(after) })
        })
        .await
        .map(egov_database::Written::into_answer)
}
